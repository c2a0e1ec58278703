"""Change points of a noisy series: E-divisive with a t-test, in windows, weak ones merged away. Pure.

After Matteson and James, A nonparametric approach for multiple change point analysis of multivariate data (JASA 109, 2014), and
Fleming and others, Hunter: using change point detection to hunt for performance regressions (ICPE 2023), which Apache Otava
follows. Otava itself pins NumPy and brings 43 packages, so it cannot stand beside the frameworks; a test compares the two where
it is installed. Two things are ours: the t-test's variance is the unbiased one, and it is inflated where a night resembles the
one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.history.robust import autocorrelation

__all__ = ["Split", "best_splits", "change_points", "t_test"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Split:
    """A change point.

    Attributes:
        index: of the first value after it.
        p: that both sides have one mean, of the t-test.
        before: the mean of the segment before.
        after: the mean of the segment after.
    """

    index: int
    p: float
    before: float
    after: float

    @property
    def size(self) -> float:
        return abs(self.after - self.before)


def best_splits(series: Array) -> tuple[NDArray[np.int64], Array]:
    """Where each of several series parts best into two, and the energy statistic there.

    The end of the right part is searched for as well: Q(t, k) of values before t, and from t on before k.

    Args:
        series: shape (series, values), at least two values.
    """
    count = series.shape[-1]
    distances = np.abs(series[:, :, None] - series[:, None, :])
    sums = np.zeros((series.shape[0], count + 1, count + 1))
    sums[:, 1:, 1:] = distances.cumsum(axis=1).cumsum(axis=2)
    diagonal = np.einsum("rii->ri", sums)
    split = np.arange(1, count)[:, None]
    end = np.arange(2, count + 1)[None, :]
    left, right = split.astype(float), (end - split).astype(float)
    valid = end > split
    here = sums[:, 1:count, 2:]  # the sum of distances between the first t values and the first k
    cross = here - diagonal[:, 1:count, None]
    within_left = diagonal[:, 1:count, None] / 2
    within_right = (diagonal[:, None, 2:] - 2 * here + diagonal[:, 1:count, None]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        total = left + right
        share_left = np.where(left > 1, 2 * right / (total * (left - 1)), 0.0)
        share_right = np.where(right > 1, 2 * left / (total * (right - 1)), 0.0)
        found = 2 / total * cross - share_left * within_left - share_right * within_right
    found = np.where(valid, found, -np.inf).reshape(series.shape[0], -1)
    best = found.argmax(axis=1)
    return best // (count - 1) + 1, found[np.arange(series.shape[0]), best]


def t_test(left: Array, right: Array, alike: float = 0.0) -> float:
    """The probability that two parts with one mean and spread differ as much as these: Student's t, two-sided.

    Pooled, because right after a change one side has a value or two; with fewer effective values where they are correlated.

    Args:
        left: values.
        right: values.
        alike: the correlation of a value with the one before.
    """
    from scipy.special import stdtr

    freedom = left.size + right.size - 2
    if freedom < 1:
        return 1.0
    residuals = np.concatenate([left - left.mean(), right - right.mean()])
    inflated = (1 + alike) / (1 - alike)
    variance = float(residuals @ residuals) / freedom * (1 / left.size + 1 / right.size) * inflated
    difference = abs(float(left.mean() - right.mean()))
    if variance <= 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * stdtr(max(1.0, freedom / inflated), -difference / variance**0.5))


def _split(values: Array, index: int, start: int, stop: int, alike: float) -> Split:
    left, right = values[start:index], values[index:stop]
    return Split(index, t_test(left, right, alike), float(left.mean()), float(right.mean()))


def _weak(values: Array, start: int, stop: int, largest_p: float, alike: float) -> list[int]:
    """The candidates of one window: parts are parted again, the best first, as long as the best is significant."""
    found: list[int] = []
    known: dict[tuple[int, int], tuple[int, float]] = {}
    while True:
        edges = [start, *found, stop]
        parts = [part for part in pairwise(edges) if part[1] - part[0] > 1]
        for part in parts:
            if part not in known:
                places, energies = best_splits(values[None, part[0] : part[1]])
                known[part] = part[0] + int(places[0]), float(energies[0])
        if not parts:
            return found
        part = max(parts, key=lambda each: known[each][1])
        index = known[part][0]
        if _split(values, index, *part, alike).p > largest_p:
            return found
        found = sorted([*found, index])


def change_points(
    series: Sequence[float] | Array, *, largest_p: float = 1e-4, smallest: float = 0.03, shortest: int = 1, window: int = 50
) -> list[Split]:
    """Where a series changes its level, oldest first.

    Args:
        series: one value per night; logarithms, so that sizes are relative.
        largest_p: a change is one if the t-test's p is below.
        smallest: a change is one if the level moves by more.
        shortest: how many values a level must have.
        window: values are parted in windows of so many, each half over the one before.
    """
    values = np.asarray(series, float)
    alike = autocorrelation(values)
    found: set[int] = set()
    start = 0
    # Candidates may be ten times weaker: what lies on either side of them is not known yet.
    while start < len(values) - 1:
        new = _weak(values, start, min(start + window, len(values)), min(1.0, 10 * largest_p), alike)
        found.update(new)
        start = max(max(new, default=0), start + window // 2)
    kept = sorted(found)
    while kept:
        edges = [0, *kept, len(values)]
        splits = [
            _split(values, each, before, after, alike) for before, each, after in zip(edges[:-2], kept, edges[2:], strict=True)
        ]
        short = [
            each
            for each, before, after in zip(splits, edges[:-2], edges[2:], strict=True)
            if min(each.index - before, after - each.index) < shortest
        ]
        weakest = max(short or splits, key=lambda each: each.p)
        if not short and weakest.p < largest_p:
            weakest = min(splits, key=lambda each: each.size)
            if weakest.size > smallest:
                return splits
        kept.remove(weakest.index)
    return []
