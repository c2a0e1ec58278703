"""Estimates that single wild nights do not move. Pure functions on arrays; the last axis is time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["autocorrelation", "hampel_clip", "robust_sd"]

Array = NDArray[np.float64]

# The median absolute deviation of a normal distribution is its standard deviation divided by this.
MAD_TO_SD = 1.4826
# Of the squared differences, the share that is kept; and how many values an autocorrelation is taken from.
TRIMMED = 0.9
LEAST = 20


def robust_sd(values: Sequence[float] | Array) -> float:
    """The standard deviation that the median absolute deviation implies; 0 for fewer than two values."""
    found = np.asarray(values, float)
    if found.size < 2:
        return 0.0
    return float(MAD_TO_SD * np.median(np.abs(found - np.median(found))))


def hampel_clip(values: Sequence[float] | Array, window: int = 7, limit: float = 4.0) -> Array:
    """Pulls values that lie far from their neighbours back to the edge of what is near.

    Args:
        values: one series, or several of one length, time last.
        window: how many neighbours, the value among them; at the ends fewer.
        limit: how many standard deviations, estimated from the window's median absolute deviation, is far.

    Source: Hampel, The influence curve and its role in robust estimation, JASA 69 (1974); window and limit were measured, see
    docs/history.md.
    """
    found = np.asarray(values, float)
    count, half = found.shape[-1], window // 2
    middle, spread = np.empty_like(found), np.empty_like(found)
    if count > 2 * half:
        windows = np.lib.stride_tricks.sliding_window_view(found, 2 * half + 1, axis=-1)
        middle[..., half : count - half], spread[..., half : count - half] = _middle(windows)
    for place in {*range(min(half, count)), *range(max(0, count - half), count)}:
        near = found[..., max(0, place - half) : place + half + 1]
        middle[..., place], spread[..., place] = _middle(near)
    far = limit * MAD_TO_SD * spread
    clipped: Array = np.clip(found, middle - far, middle + far)
    return clipped


def _middle(windows: Array) -> tuple[Array, Array]:
    """The median and the median absolute deviation over the last axis."""
    middle = np.median(windows, axis=-1)
    return middle, np.median(np.abs(windows - middle[..., None]), axis=-1)


def autocorrelation(values: Sequence[float] | Array) -> float:
    """How much a night resembles the one before: the correlation at lag 1, 0 to 0.9; 0 where too few nights would tell.

    From the variances of differences over one night and over two, whose ratio is 1 + r for a first-order process. Steps make
    few differences large, and a tenth is left out; the correlation of the values themselves would take a step for likeness.
    """
    found = np.asarray(values, float)
    if found.size < LEAST:
        return 0.0
    over_one, over_two = (_trimmed_power(found[lag:] - found[:-lag]) for lag in (1, 2))
    if over_one <= 0:
        return 0.0
    # One standard error less: what chance alone shows must not cost power.
    return float(np.clip(over_two / over_one - 1 - found.size**-0.5, 0.0, 0.9))


def _trimmed_power(differences: Array) -> float:
    squares = np.sort(differences**2)
    return float(squares[: max(1, int(TRIMMED * squares.size))].mean())
