"""What must hold of values that were moved about, and of images that were enlarged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.subjects.spec import Call
from pytest_dlcheck.tolerance_of_laws import of_interpolation, pixels_summed

__all__ = ["constant_stays", "is_moved", "stays_between"]

Array = NDArray[Any]


def is_moved(reference: Callable[[Call], Array]) -> Callable[[Call, Sequence[Array], float], str | None]:
    """Bit for bit: nothing is computed."""

    def check(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
        del unit_roundoff
        if call.arguments.get("interpolation", "nearest") != "nearest":
            return None
        expected = reference(call)
        if outputs[0].shape != expected.shape:
            return f"shape {outputs[0].shape} instead of {expected.shape}"
        wrong = outputs[0] != expected
        return f"{int(wrong.sum())} of {wrong.size} values differ" if wrong.any() else None

    return check


def _of_resizing(call: Call, x: Array, unit_roundoff: float) -> float:
    """How far rounding may take a pixel beyond those that it is a weighted mean of."""
    interpolation = call.arguments.get("interpolation", "nearest")
    spatial = x.shape[2:] if call.channels_first else x.shape[1:-1]
    # The image gets larger: no kernel is stretched.
    pixels = [pixels_summed(interpolation, size, size, antialias=False) for size in spatial]
    largest = float(np.max(np.abs(x), initial=0.0))
    return float(of_interpolation(interpolation, pixels, largest, unit_roundoff=unit_roundoff))


def constant_stays(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """An image of one value stays so: weights add up to 1."""
    x = np.asarray(call.inputs)
    if not x.size or np.any(x != x.reshape(-1)[0]):
        return None
    value = float(x.reshape(-1)[0])
    off = float(np.max(np.abs(outputs[0] - value), initial=0.0))
    return f"{off:g} off the constant {value:g}" if off > _of_resizing(call, x, unit_roundoff) else None


def stays_between(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """Bilinear weights are not negative."""
    if call.arguments.get("interpolation", "nearest") not in {"nearest", "bilinear"}:
        return None
    x = np.asarray(call.inputs, dtype=np.float64)
    slack = _of_resizing(call, x, unit_roundoff)
    low, high = float(np.min(x)) - slack, float(np.max(x)) + slack
    wrong = (outputs[0] < low) | (outputs[0] > high)
    return f"{outputs[0][wrong][0]} is outside [{low}, {high}]" if wrong.any() else None
