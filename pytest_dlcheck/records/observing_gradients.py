"""The gradients that a record holds, in the process of the product: computed in float64, kept in float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.cases.case import Case, map_tensors
from pytest_dlcheck.observe.layer_runner import LayerRunner
from pytest_dlcheck.observe.nests import leaves_of
from pytest_dlcheck.records.arrays import pack
from pytest_dlcheck.records.names import SEED, raised, unnumbered
from pytest_dlcheck.subjects.spec import LayerSpec

__all__ = ["function_gradients", "layer_gradients"]


def layer_gradients(case: Case, backend: Backend, errors: dict[str, Any]) -> dict[str, Any]:
    """The gradients of a fixed combination of the outputs, computed in float64 and kept in float32."""
    from pytest_dlcheck.backends.wide_floats import wide_floats
    from pytest_dlcheck.cases.wide import in_float64
    from pytest_dlcheck.gradients.autodiff import autodiff_of
    from pytest_dlcheck.gradients.functions import of_layer

    wide = case.replace(policy="float64", arguments=in_float64(case.arguments))
    autodiff = autodiff_of(backend)
    with wide_floats(backend), autodiff.one_thread():
        runner = LayerRunner(LayerSpec(case.name, lambda drawing: None), wide, backend)
        with runner.settings():
            try:
                layer = runner.layer
                runner.give_weights(layer, runner.weight_values_given)
                target = of_layer(
                    layer,
                    map_tensors(runner.array, wide.inputs),
                    autodiff,
                    call=map_tensors(runner.put, dict(wide.call)),
                    replace=runner.attached,
                )
                return reversed_of(target, autodiff)
            except Exception as error:  # noqa: BLE001 - whether there is a gradient is an observation too
                errors["gradient"] = raised(error, "the gradient")
                return {}


def reversed_of(target: Any, autodiff: Any) -> dict[str, Any]:
    from pytest_dlcheck.gradients.autodiff.base import FrameworkProgram

    if not target.point:
        return {}
    program = FrameworkProgram(autodiff, target.function, target.names, "eager")
    rng = np.random.default_rng(SEED)
    cotangents = [rng.standard_normal(each.shape) for each in program.value(target.point)]
    if not cotangents:
        return {}
    found = program.reverse(target.point, cotangents)
    arrays = {}
    for name, gradient in zip(target.names, found, strict=True):
        short = unnumbered(name)
        with np.errstate(over="ignore"):
            arrays[f"gradient {short}"] = pack(
                "none" if gradient is None else "float64",
                np.zeros(0, np.float32) if gradient is None else gradient.astype(np.float32),
            )
    return arrays


def function_gradients(
    variant: Any, function: Any, arguments: Sequence[Any], backend: Backend, errors: dict[str, Any]
) -> dict[str, Any]:
    from pytest_dlcheck.backends.wide_floats import wide_floats
    from pytest_dlcheck.gradients.autodiff import autodiff_of
    from pytest_dlcheck.gradients.functions import of_call

    autodiff = autodiff_of(backend)
    constant = {place: arguments[place] for place in variant.fixed}
    moving = [place for place in range(len(arguments)) if place not in constant]

    def run(*tensors_: Any) -> Any:
        given = dict(zip(moving, tensors_, strict=True)) | {place: backend.put_all(each) for place, each in constant.items()}
        outputs = variant.call(function, *(given[place] for place in range(len(arguments))), **variant.options)
        return [each for each in leaves_of(outputs) if not isinstance(each, (np.ndarray, np.generic))]

    with wide_floats(backend), autodiff.one_thread():
        try:
            names = [f"argument {place}" for place in moving]
            return reversed_of(of_call(run, [arguments[place] for place in moving], autodiff, names), autodiff)
        except Exception as error:  # noqa: BLE001 - whether there is a gradient is an observation too
            errors["gradient"] = raised(error, "the gradient")
            return {}
