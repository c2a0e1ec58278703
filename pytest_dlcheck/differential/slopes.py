"""Gradients of a layer in float64 on this product, with what rounding in float32 may do to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.backends.wide_floats import wide_floats
from pytest_dlcheck.cases.case import Case, map_tensors
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.cases.wide import in_float64
from pytest_dlcheck.differential.comparison import Slopes
from pytest_dlcheck.gradients.autodiff import autodiff_of
from pytest_dlcheck.gradients.autodiff.base import FrameworkProgram
from pytest_dlcheck.gradients.functions import of_layer
from pytest_dlcheck.observe.layer import literal
from pytest_dlcheck.observe.layer_observation import Weight
from pytest_dlcheck.observe.layer_runner import LayerRunner
from pytest_dlcheck.subjects.spec import LayerSpec
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, Bounded, perturbed

__all__ = ["cotangents_of", "slopes_of"]

Array = NDArray[Any]


def cotangents_of(values: Sequence[Any], seed: int) -> list[Array | None]:
    """What each output is multiplied with before all are summed: normal values in float32; None for what is no float."""
    rng = np.random.default_rng(seed)
    return [
        rng.standard_normal(value.array.shape).astype(np.float32) if value.array.dtype.kind == "f" else None for value in values
    ]


def slopes_of(
    spec: LayerSpec, case: Case, backend: Backend, weights: Sequence[Weight], cotangents: Sequence[Array | None]
) -> Slopes:
    """The gradients of a case in inference mode.

    Args:
        spec: of the layer.
        case: under the policy float32; the very numbers of its inputs are taken in float64.
        backend: loaded.
        weights: with the values that they have in float32.
        cotangents: one for each output.

    Raises:
        Exception: whatever the framework raises where it cannot compute the case in float64, or its gradient.
    """
    exact = map_tensors(lambda tensor: literal(tensor, make(tensor, "float32")), case.inputs)
    wide = case.replace(inputs=exact, policy="float64", arguments=in_float64(case.arguments))
    autodiff = autodiff_of(backend)
    with backend.quick(), autodiff.one_thread(), wide_floats(backend):
        runner = LayerRunner(spec, wide, backend)
        with runner.settings():
            layer = runner.layer
            runner.give_weights(layer, [np.asarray(each.array, dtype=_wide(each.array)) for each in weights])
            target = of_layer(
                layer,
                map_tensors(runner.array, wide.inputs),
                autodiff,
                call=map_tensors(runner.put, dict(wide.call)),
                replace=runner.attached,
            )
            program = FrameworkProgram(autodiff, target.function, target.names, autodiff.modes[0])
            given = [each.astype(np.float64) for each in cotangents if each is not None]
            # What the layer adds as losses is a further output.
            vs = [*given, *(np.zeros_like(each) for each in program.value(target.point)[len(given) :])]
            bounds = _bounds(program, target.point, vs)
            count = len(bounds) - len(layer.trainable_variables)
            by_variable = {id(each): bound for each, bound in zip(layer.trainable_variables, bounds[count:], strict=True)}
            found = [by_variable.get(id(each)) for each in layer.weights]
    found += [None] * (len(weights) - len(found))  # what a recurrent layer remembers
    return Slopes(bounds[:count], found, [weight.name for weight in weights])


def _wide(array: Array) -> Any:
    return np.float64 if array.dtype.kind == "f" else array.dtype


def _bounds(program: FrameworkProgram, point: Sequence[Array], vs: Sequence[Array]) -> list[Bounded]:
    """One gradient for each argument, all of them from the same seven runs."""
    ends = np.cumsum([each.size for each in point])

    def run(move: Any) -> Array:
        found = program.reverse([np.asarray(move(each)) for each in point], vs)
        flat = [np.zeros(x.size) if each is None else each.reshape(-1) for each, x in zip(found, point, strict=True)]
        return np.concatenate(flat) if flat else np.zeros(0)

    bounded = perturbed(run, unit_roundoff=UNIT_ROUNDOFF["float32"])
    parts = [slice(end - each.size, end) for end, each in zip(ends, point, strict=True)]
    return [
        Bounded(bounded.value[part].reshape(each.shape), bounded.tolerance[part].reshape(each.shape), bounded.derived)
        for part, each in zip(parts, point, strict=True)
    ]
