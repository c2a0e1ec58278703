"""In which precision does a function compute inside, whatever the dtype of its outputs is?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pytest_dlcheck.gradients.program import Array
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF

__all__ = ["of_steps", "unit_roundoff_of"]

# Evaluations close together, where a smooth function is a straight line: 1e-7 apart its second difference is some 1e-14 of
# itself, and that of one that is rounded to float32 some 1e-7.
STEP, STEPS = 1e-7, 5
# A second difference above this share of the function is rounding to less than float64. (Float16 would stand still.)
ROUGH = 2.0**-30


def unit_roundoff_of(outputs: Sequence[Array], magnitude: float = 0.0) -> float:
    """Of the narrowest dtype that holds all outputs exactly.

    Whole numbers say nothing, nor does what cancelled to nothing beside the magnitude of what they are made of; these count as
    float64.
    """
    outputs = [each for each in outputs if float(np.max(np.abs(each), initial=0.0)) > ROUGH * magnitude]
    if any(np.any(each != np.round(each)) for each in outputs):
        for name in ("float16", "float32"):
            with np.errstate(over="ignore"):
                if all(np.array_equal(each, each.astype(name).astype(each.dtype), equal_nan=True) for each in outputs):
                    return UNIT_ROUNDOFF[name]
    return UNIT_ROUNDOFF["float64"]


def of_steps(
    value: Callable[[Sequence[Array]], Sequence[Array]],
    point: Sequence[Array],
    direction: Sequence[Array],
    magnitude: float = 0.0,
) -> float:
    """That of float32 or of float64, as a row of values close together shows; R. W. Hamming, Introduction to Applied Numerical
    Analysis, 1971, chapter 6, tells rounding from the function by such differences.

    Args:
        value: the function.
        point: where the row begins.
        direction: one array per argument, of the size of its entries.
        magnitude: what the values are made of is no smaller than this: what cancels to nothing is not rough.
    """
    rows = [value([x + k * STEP * u for x, u in zip(point, direction, strict=True)]) for k in range(STEPS)]
    rough = 0.0
    for outputs in zip(*rows, strict=True):
        stacked = np.stack([np.asarray(each, dtype=np.float64) for each in outputs])
        size = float(np.max(np.abs(stacked), initial=magnitude))
        if size > 0 and np.isfinite(stacked).all():
            rough = max(rough, float(np.max(np.abs(np.diff(stacked, 2, axis=0)))) / size)
    return UNIT_ROUNDOFF["float32" if rough > ROUGH else "float64"]
