"""What a record holds of one way of calling a function, in the process of the product."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.observe.framework_values import value_of
from pytest_dlcheck.observe.nests import leaves_of, structure_of
from pytest_dlcheck.records.arrays import pack
from pytest_dlcheck.records.names import LACKS, MOVES, SEED, raised
from pytest_dlcheck.records.observing_gradients import function_gradients
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, moved_start

__all__ = ["UNDEFINED", "observe_operation"]

Array = NDArray[Any]
Seen = dict[str, Any]

UNDEFINED = frozenset({"ops.empty", "ops.empty_like"})
"""Functions that hand out memory as it is, as documented."""


def observe_operation(name: str, variant_number: int, seed: int, backend: Backend, *, gradients: bool) -> Seen:
    """One way of calling a function: what a record holds of it.

    Args:
        name: below `keras`: `ops.arccosh`.
        variant_number: which of the variants of `subjects.operations`.
        seed: of its arguments.
        backend: loaded.
        gradients: whether they are looked at.
    """
    operations = importlib.import_module("pytest_dlcheck.subjects.operations")
    operation = operations.OPERATIONS[name]
    variant = operation.variants[variant_number]
    function = operations.find(backend.keras, name)
    if function is None:
        return {"status": "unsupported", "why": f"this Keras has no {name}"}
    drawn = variant.arguments(np.random.default_rng(seed))
    arguments = [_narrow(each) for each in drawn]
    seen: Seen = {"status": "ran", "facts": {}, "arrays": {}, "errors": {}}

    def run(move: Callable[[Array], Array]) -> Any:
        backend.seed(SEED)
        outputs = variant.call(function, *(backend.put_all(_mapped(move, each)) for each in arguments), **variant.options)
        return structure_of(outputs), [_value(backend, leaf) for leaf in leaves_of(outputs)]

    with backend.alone(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            structure, plain = run(lambda array: array)
        except Exception as error:  # noqa: BLE001 - an error is an observation too
            said = raised(error, "the call")
            lacking = LACKS.search(said["message"])
            return {"status": "unsupported", "why": said["message"]} if lacking else {"status": "error", "error": said}
        moved = []
        with contextlib.suppress(Exception):
            for number in range(MOVES):
                rng = np.random.default_rng([SEED, number])
                moved.append(run(partial(moved_start, unit_roundoff=UNIT_ROUNDOFF["float32"], rng=rng))[1])
        seen["facts"]["inference structure"] = structure
        for place, (dtype, value) in enumerate(plain):
            others = [each[place][1] for each in moved if len(each) == len(plain)]
            # Zeros where any value would do: the shape and the dtype still tell.
            value, others = (np.zeros_like(value), []) if name in UNDEFINED else (value, others)  # noqa: PLW2901
            seen["arrays"][f"inference output {place}"] = pack(dtype, value, others)
        if gradients and not operation.not_differentiable and backend.trains:
            seen["arrays"] |= function_gradients(variant, function, drawn, backend, seen["errors"])
    return seen


def _narrow(value: Any) -> Any:
    """Float64 as float32, which is what a user computes in."""
    return _mapped(lambda array: array.astype(np.float32) if array.dtype == np.float64 else array, value)


def _mapped(function: Callable[[Array], Array], value: Any) -> Any:
    return [_mapped(function, each) for each in value] if isinstance(value, list) else function(np.asarray(value))


def _value(backend: Backend, tensor: Any) -> tuple[str, Array]:
    found = value_of(backend, tensor)
    return found.dtype, np.asarray(found.array)
