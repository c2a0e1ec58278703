"""A second opinion on a change: five tests of other kinds, each with a vote. Pure.

After Mozilla, Exploring statistical change point detection techniques for performance anomaly detection (arXiv 2606.18377):
twelve values on either side, and most tests must agree.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ENOUGH", "SIDE", "TESTS", "votes"]

SIDE = 12
ENOUGH = 3
LARGEST_P = 1e-3
TESTS = ("Welch", "Mann-Whitney", "Kolmogorov-Smirnov", "Cramér-von Mises", "Levene")

Array = NDArray[np.float64]


def votes(values: Array, index: int) -> tuple[str, ...]:
    """Which of the tests say that values change there; none of them where a side has fewer than two.

    Args:
        values: one per night.
        index: of the first value after the change.
    """
    from scipy import stats

    left, right = values[max(0, index - SIDE) : index], values[index : index + SIDE]
    if left.size < 2 or right.size < 2 or np.ptp(np.concatenate([left, right])) == 0:
        return ()
    tests: dict[str, Callable[[], Any]] = {
        "Welch": lambda: stats.ttest_ind(left, right, equal_var=False),
        "Mann-Whitney": lambda: stats.mannwhitneyu(left, right),
        "Kolmogorov-Smirnov": lambda: stats.ks_2samp(left, right),
        "Cramér-von Mises": lambda: stats.cramervonmises_2samp(left, right),
        "Levene": lambda: stats.levene(left, right),
    }
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of values that are all equal: then p is not a number, and that is no vote
        return tuple(name for name in TESTS if tests[name]().pvalue < LARGEST_P)
