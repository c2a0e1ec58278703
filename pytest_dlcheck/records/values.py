"""Two kept arrays: the same bits, apart by rounding, or beyond it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.properties.comparison import identical, within
from pytest_dlcheck.properties.verdict import PASS
from pytest_dlcheck.records.arrays import Kept
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, Bounded, from_moved_starts, unreferenced

__all__ = ["BEYOND", "ROUNDING", "SAME", "Apart", "apart"]

SAME, ROUNDING, BEYOND = "same", "rounding", "beyond"


@dataclass(frozen=True)
class Apart:
    """How far two arrays are apart.

    Attributes:
        how: `SAME`, `ROUNDING` or `BEYOND`.
        message: in figures.
        times: how many times the tolerance is exceeded, at most; infinite where one is finite and the other is not.
        special: whether NaN or infinity stands on one side where the other has something else.
    """

    how: str
    message: str = ""
    times: float = 0.0
    special: bool = False


def apart(old: Kept, new: Kept, *, compute_dtype: str, scale: float = 0.0) -> Apart:
    """Compares the values of two arrays of one shape and dtype.

    The tolerance is `tolerance.from_moved_starts`: sixteen times what the output changes when inputs and weights move by two
    units of roundoff, of the dtype in which was computed or of the output's own, whichever is coarser. Where nothing could be
    moved it is `tolerance.unreferenced`. What is no number, and what has no tolerance, must be equal.

    Args:
        old: the first.
        new: the second.
        compute_dtype: of the policy.
        scale: of intermediate values that the output does not show, as the spec says.
    """
    if old.digest == new.digest and np.array_equal(old.values, new.values, equal_nan=old.values.dtype.kind in "fc"):
        return Apart(SAME)
    what = "values" if old.whole else f"{old.values.size} of {int(np.prod(old.shape))} values"
    if old.values.dtype.kind in "fc" and new.values.dtype.kind in "fc":
        strange = _special(old, new, what)
        if strange is not None:
            return strange
    changes = [each.change for each in (old, new) if each.change is not None and each.change.size == old.values.size]
    moves = bool(changes) and bool(np.max(changes, initial=0.0) > 0)
    if old.values.dtype.kind not in "fiu" or (old.values.dtype.kind in "iu" and not moves):
        return _exactly(old, new, what)
    verdict, share = _numbers(old, new, changes, what, compute_dtype=compute_dtype, scale=scale)
    if verdict is None:
        return Apart(ROUNDING, "", share)
    return Apart(BEYOND, verdict, share)


def _exactly(old: Kept, new: Kept, what: str) -> Apart:
    """Of what has no tolerance: truth values, whole numbers, texts."""
    first, second = (each.array.astype(str) if each.array.dtype == object else each.array for each in (old, new))
    wrong = int(np.count_nonzero(first != second))
    message = identical(what, second, first).message if wrong else f"{what}: equal; some that are not kept differ"
    return Apart(BEYOND, message, float(max(wrong, 1)))


def _special(old: Kept, new: Kept, what: str) -> Apart | None:
    """Where one side has NaN or infinity and the other something else."""
    first, second = old.values, new.values
    with np.errstate(invalid="ignore"):
        same = (first == second) | (np.isnan(first) & np.isnan(second)) | (np.isfinite(first) & np.isfinite(second))
    if same.all():
        return None
    place = int(np.argmin(same))
    said = f"{what}: {int((~same).sum())} are {_word(second[~same])} where they were {_word(first[~same])}; "
    said += f"the first is {second[place].item()!r} instead of {first[place].item()!r}"
    return Apart(BEYOND, said, float("inf"), special=True)


def _word(values: NDArray[np.generic]) -> str:
    if np.isnan(values).all():
        return "NaN"
    if np.isfinite(values).all():
        return "finite"
    return "infinite" if np.isinf(values).all() else "NaN or infinite"


def _numbers(
    old: Kept, new: Kept, changes: list[NDArray[np.float64]], what: str, *, compute_dtype: str, scale: float
) -> tuple[str | None, float]:
    finite = np.isfinite(old.values)
    first = np.where(finite, old.values, 0).astype(np.float64)
    second = np.where(finite, new.values, 0).astype(np.float64)
    whole = old.values.dtype.kind in "iu"
    unit = max(UNIT_ROUNDOFF.get(name, 0.0) for name in (old.dtype, compute_dtype, "float64"))
    if changes:
        moved = (first + np.max(changes, axis=0))[None]
        bounded = from_moved_starts(first, moved, unit_roundoff=0.0 if whole else unit, scale=scale)
    else:
        bounded = unreferenced(first, unit_roundoff=max(unit, UNIT_ROUNDOFF["float32"]), scale=scale)
    if old.whole:
        bounded = Bounded(first.reshape(old.shape), bounded.tolerance.reshape(old.shape), bounded.derived)
        second = second.reshape(old.shape)
    verdict = within(what, second, bounded, dtype=old.dtype)
    share = float(np.max(np.abs(second - bounded.value) / bounded.tolerance, initial=0.0))
    return None if verdict.outcome == PASS else verdict.message, share
