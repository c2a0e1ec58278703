"""Reshaping layers in float64: NumPy's data movement, and resampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.subjects.spec import Call

__all__ = ["cropping", "flatten", "pairs", "permute", "repeat_vector", "resampling", "reshape", "up_sampling", "zero_padding"]

Array = NDArray[Any]


def reshape(call: Call) -> Array:
    """Each sample in the order of its memory; -1 is what is left (https://keras.io/api/layers/reshaping_layers/reshape/)."""
    size = int(np.prod(call.inputs.shape[1:]))
    known = int(np.prod([each for each in call["target_shape"] if each != -1], dtype=int))
    shape = [size // known if each == -1 else each for each in call["target_shape"]]
    return np.asarray(call.inputs.reshape(call.inputs.shape[0], *shape))


def permute(call: Call) -> Array:
    """Axis i of the output is axis dims[i] of the input (https://keras.io/api/layers/reshaping_layers/permute/)."""
    return np.transpose(call.inputs, (0, *call["dims"]))


def flatten(call: Call) -> Array:
    """Each sample as a vector; channels first, they are moved to the end before.

    https://keras.io/api/layers/reshaping_layers/flatten/
    """
    x = call.inputs
    if call.channels_first and x.ndim > 2:
        x = np.moveaxis(x, 1, -1)
    return np.asarray(x).reshape(x.shape[0], -1 if x.size else int(np.prod(x.shape[1:])))


def repeat_vector(call: Call) -> Array:
    """Each vector n times, one below the other (https://keras.io/api/layers/reshaping_layers/repeat_vector/)."""
    return np.repeat(call.inputs[:, None, :], call["n"], axis=1)


def _spatial(call: Call) -> range:
    """The axes of time or space."""
    rank = np.ndim(call.inputs) - 2
    return range(2, 2 + rank) if call.channels_first and "data_format" in call.arguments else range(1, 1 + rank)


def pairs(given: Any, rank: int) -> list[tuple[int, int]]:
    """Before and after, for each axis: from one number for all, one for each axis, or a pair for each (in 1D, the pair)."""
    if isinstance(given, int):
        return [(given, given)] * rank
    if rank == 1:
        return [(given[0], given[1])]
    return [(each, each) if isinstance(each, int) else (each[0], each[1]) for each in given]


def zero_padding(call: Call) -> Array:
    """Zeros before and after (https://keras.io/api/layers/reshaping_layers/zero_padding2d/)."""
    axes = _spatial(call)
    widths = [(0, 0)] * np.ndim(call.inputs)
    for axis, pair in zip(axes, pairs(call["padding"], len(axes)), strict=True):
        widths[axis] = pair
    return np.pad(call.inputs, widths)


def cropping(call: Call) -> Array:
    """Without the first and last entries (https://keras.io/api/layers/reshaping_layers/cropping2d/)."""
    axes = _spatial(call)
    window = [slice(None)] * np.ndim(call.inputs)
    for axis, (before, after) in zip(axes, pairs(call["cropping"], len(axes)), strict=True):
        window[axis] = slice(before, call.inputs.shape[axis] - after)
    return np.asarray(call.inputs[tuple(window)])


def _triangle(t: Array) -> Array:
    return np.asarray(np.maximum(1 - np.abs(t), 0))


def _cubic(t: Array) -> Array:
    """Keys, Cubic convolution interpolation for digital image processing (1981), with a = -1/2."""
    a, s = -0.5, np.abs(t)
    near = (a + 2) * s**3 - (a + 3) * s**2 + 1
    far = a * s**3 - 5 * a * s**2 + 8 * a * s - 4 * a
    return np.where(s <= 1, near, np.where(s < 2, far, 0))


def _lanczos(radius: int) -> Callable[[Array], Array]:
    """sinc(t) sinc(t / radius) within the radius (Duchon, 1979)."""
    return lambda t: np.where(np.abs(t) < radius, np.sinc(t) * np.sinc(t / radius), 0)


KERNELS: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {"bilinear": _triangle, "bicubic": _cubic, "lanczos3": _lanczos(3), "lanczos5": _lanczos(5)}
)


def resampling(size: int, factor: int, interpolation: str) -> Array:
    """What each output position takes of each input position: (factor size, size).

    Position i of the output lies at (i + 1/2) / factor - 1/2 of the input; each input position within reach counts by the
    kernel of its distance, and what counts adds up to 1.
    """
    if interpolation == "nearest":
        return np.repeat(np.eye(size), factor, axis=0)
    places = (np.arange(size * factor) + 0.5) / factor - 0.5
    weights = KERNELS[interpolation](places[:, None] - np.arange(size))
    return np.asarray(weights / np.sum(weights, axis=1, keepdims=True))


def up_sampling(call: Call) -> Array:
    """Each axis resampled to `size` times its length (https://keras.io/api/layers/reshaping_layers/up_sampling2d/)."""
    axes, factors = _spatial(call), call["size"]
    if isinstance(factors, int):
        factors = (factors,) * len(axes)
    y = call.inputs
    for axis, factor in zip(axes, factors, strict=True):
        interpolation = call.arguments.get("interpolation", "nearest")
        if interpolation == "nearest":
            y = np.repeat(y, factor, axis=axis)
        else:
            y = _applied(resampling(y.shape[axis], factor, interpolation), y, axis)
    return np.asarray(y)


def _applied(matrix: Array, y: Array, axis: int) -> Array:
    return np.moveaxis(np.tensordot(matrix, y, axes=(1, axis)), 0, axis)
