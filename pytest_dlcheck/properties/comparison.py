"""Compares arrays and says how far off they are, in words that a person can act on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.properties.verdict import Verdict, failed, passed
from pytest_dlcheck.tolerance import Bounded

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
        f"{what}: {int(wrong.sum())} of {actual.size} values differ; the first is {actual[index]!r} instead of "
        f"{expected[index]!r} at {list(index)}"
    )


def within(what: str, actual: Array, bounded: Bounded) -> Verdict:
    """Every entry at most its tolerance away from the value."""
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
    median = float(np.nanmedian(error[wrong])) if not np.isnan(error[wrong]).all() else float("nan")
    return failed(
        f"{what}: {int(wrong.sum())} of {actual.size} values are outside their tolerance\n"
        f"  worst   {actual[index]!r} instead of {expected[index]!r} at {at}, off by {error[index]:.3g}\n"
        f"  allowed {tolerance[index]:.3g} there ({derived}); {share[index]:.3g} times exceeded\n"
        f"  wrong values are off by {median:.3g} in the median, {float(np.nanmax(error[wrong], initial=0.0)):.3g} at most"
    )
