"""Compares arrays and says how far off they are, in words that a person can act on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.properties.verdict import Verdict, failed, passed
from pytest_dlcheck.tolerance import SMALLEST_NORMAL, UNIT_ROUNDOFF, Bounded

__all__ = ["identical", "within"]

Array = NDArray[np.generic]


def identical(what: str, actual: Array, expected: Array) -> Verdict:
    """T0: the same shape, dtype and values; NaN equals NaN, and -0 equals 0."""
    if actual.shape != expected.shape:
        return failed(f"{what}: shape {actual.shape} instead of {expected.shape}")
    if actual.dtype != expected.dtype:
        return failed(f"{what}: dtype {actual.dtype} instead of {expected.dtype}")
    if actual.dtype.kind in "fc":
        wrong = ~((actual == expected) | (np.isnan(actual) & np.isnan(expected)))
    else:
        wrong = actual != expected
    if not wrong.any():
        return passed(f"{what}: {actual.size} values, all identical")
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    return failed(
        f"{what}: {int(wrong.sum())} of {actual.size} values differ; the first is {actual[index].item()!r} instead of "
        f"{expected[index].item()!r} at {list(index)}"
    )


def _ulp(value: Array, dtype: str) -> Array | None:
    """The distance from each value to the next one of the dtype; None for a dtype that is not a float."""
    if dtype not in UNIT_ROUNDOFF:
        return None
    _, exponent = np.frexp(np.maximum(np.abs(np.asarray(value, dtype=np.float64)), SMALLEST_NORMAL))
    return np.asarray(np.ldexp(UNIT_ROUNDOFF[dtype], exponent))


def within(what: str, actual: Array, bounded: Bounded, dtype: str | None = None) -> Verdict:
    """Every entry at most its tolerance away from the value.

    Args:
        what: is compared.
        actual: the entries.
        bounded: what they must be, and how far off they may be.
        dtype: that they were computed in, for errors in units in the last place; by default the array's own.
    """
    expected, tolerance, derived = bounded.value, bounded.tolerance, bounded.derived
    if actual.shape != expected.shape:
        return failed(f"{what}: shape {actual.shape} instead of {expected.shape}")
    error = np.abs(np.asarray(actual, dtype=np.float64) - expected)
    share = error / tolerance
    if not share.size:
        return passed(f"{what}: no values")
    wrong = ~(share <= 1)  # NaN is wrong too
    # A NaN is the worst that there is, and argmax must find it.
    index = np.unravel_index(int(np.argmax(np.where(np.isnan(share), np.inf, share))), share.shape)
    at = [int(i) for i in index]
    if not wrong.any():
        return passed(
            f"{what}: {actual.size} values, "
            f"the worst at {share[index]:.2g} of its tolerance of {tolerance[index]:.2g} ({derived})"
        )
    # Beside an expected zero, where the next number is far nearer than any rounding, the wrong value's own unit says more.
    ulp = _ulp(np.maximum(np.abs(expected), np.nan_to_num(np.abs(actual))), dtype or str(actual.dtype))

    def told(size: float, unit: float) -> str:
        return f"{size:.3g}" if ulp is None or not np.isfinite(size) else f"{size:.3g} ({size / unit:.3g} ulp)"

    unit = np.ones_like(error) if ulp is None else ulp
    finite = wrong & np.isfinite(error)
    spread = "none of the wrong values is finite"
    if finite.any():
        middle, most = np.median(error[finite]), int(np.argmax(np.where(finite, error, -1)))
        typical_unit = float(np.median(unit[finite]))
        spread = f"wrong values are off by {told(float(middle), typical_unit)} in the median, "
        spread += f"{told(float(error.flat[most]), float(unit.flat[most]))} at most"
    return failed(
        f"{what}: {int(wrong.sum())} of {actual.size} values are outside their tolerance\n"
        f"  worst   {actual[index].item()!r} instead of {expected[index].item()!r} at {at}, "
        f"off by {told(float(error[index]), float(unit[index]))}\n"
        f"  allowed {tolerance[index]:.3g} there ({derived}); {share[index]:.3g} times exceeded\n"
        f"  {spread}"
    )
