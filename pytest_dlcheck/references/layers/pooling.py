"""Pooling in float64: a loop over the windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.references.layers.convolutional import per_axis, same_padding
from pytest_dlcheck.subjects.spec import Call, Expected

__all__ = [
    "adaptive_average",
    "adaptive_max",
    "adaptive_windows",
    "average_pooling",
    "global_average",
    "global_max",
    "max_pooling",
    "pooled",
    "windows",
]

Array = NDArray[Any]
Reduce = Callable[..., Any]
Windows = Sequence[slice]


def windows(size: int, extent: int, stride: int, padding: str) -> list[slice]:
    """The part of each window that lies inside of an axis.

    What padding adds counts for nothing: not in a maximum, nor in the number that an average divides by
    (https://www.tensorflow.org/api_docs/python/tf/nn/avg_pool2d, and for the padding `same_padding`).
    """
    before, count = 0, (size - extent) // stride + 1
    if padding == "same":
        before, count = same_padding(size, extent, stride)[0], -(-size // stride)
    starts = [index * stride - before for index in range(count)]
    return [slice(max(start, 0), min(start + extent, size)) for start in starts]


def adaptive_windows(size: int, count: int) -> list[slice]:
    """Windows from floor(i size / count) to ceil((i + 1) size / count).

    https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html, whose name and arguments the layer has.
    """
    return [slice(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def pooled(x: Array, axes: Sequence[Windows], reduce: Reduce) -> Array:
    """Each combination of the axes' windows, reduced.

    Args:
        x: (batch, *sizes, channels).
        axes: the windows of each spatial axis.
        reduce: `numpy.max` or `numpy.mean`.
    """
    counts = [len(each) for each in axes]
    y = np.zeros((x.shape[0], *counts, x.shape[-1]))
    spatial = tuple(range(1, x.ndim - 1))
    for place in np.ndindex(*counts):
        part = (slice(None), *(each[i] for each, i in zip(axes, place, strict=True)))
        here = (slice(None), *place)
        y[here] = reduce(x[part], axis=spatial)
    return y


def _in_format(call: Call, pool: Callable[[Array], Array]) -> Expected:
    """Pools with the channels last; no layer of these hands a mask on."""
    x = np.moveaxis(call.inputs, 1, -1) if call.channels_first else np.asarray(call.inputs)
    y = pool(x)
    return Expected(np.moveaxis(y, -1, 1) if call.channels_first and y.ndim > 2 else y, mask=None, checks_mask=True)


def _windowed(call: Call, reduce: Reduce) -> Expected:
    def pool(x: Array) -> Array:
        rank = x.ndim - 2
        extents = per_axis(call["pool_size"], rank)
        strides = extents if call["strides"] is None else per_axis(call["strides"], rank)
        padding = call["padding"].lower()
        return pooled(x, [windows(*each, padding) for each in zip(x.shape[1:-1], extents, strides, strict=True)], reduce)

    return _in_format(call, pool)


def max_pooling(call: Call) -> Expected:
    """The largest value of each window (https://keras.io/api/layers/pooling_layers/max_pooling2d/)."""
    return _windowed(call, np.max)


def average_pooling(call: Call) -> Expected:
    """The mean of what each window covers (https://keras.io/api/layers/pooling_layers/average_pooling2d/)."""
    return _windowed(call, np.mean)


def _adaptive(call: Call, reduce: Reduce) -> Expected:
    def pool(x: Array) -> Array:
        counts = per_axis(call["output_size"], x.ndim - 2)
        return pooled(x, [adaptive_windows(*each) for each in zip(x.shape[1:-1], counts, strict=True)], reduce)

    return _in_format(call, pool)


def adaptive_average(call: Call) -> Expected:
    """The mean of each of `output_size` windows (https://keras.io/api/layers/pooling_layers/adaptive_average_pooling2d/)."""
    return _adaptive(call, np.mean)


def adaptive_max(call: Call) -> Expected:
    """The maximum of each of `output_size` windows (https://keras.io/api/layers/pooling_layers/adaptive_max_pooling2d/)."""
    return _adaptive(call, np.max)


def _global(call: Call, reduce: Callable[[Array, tuple[int, ...]], Array]) -> Expected:
    def pool(x: Array) -> Array:
        spatial = tuple(range(1, x.ndim - 1))
        y = reduce(x, spatial)
        return np.expand_dims(y, spatial) if call["keepdims"] else y

    return _in_format(call, pool)


def global_max(call: Call) -> Expected:
    """The largest value of each channel (https://keras.io/api/layers/pooling_layers/global_max_pooling2d/)."""
    return _global(call, lambda x, axes: np.max(x, axis=axes))


def global_average(call: Call) -> Expected:
    """The mean of each channel over all places, or over the steps that a mask leaves.

    https://keras.io/api/layers/pooling_layers/global_average_pooling1d/: "whether a given step should be masked (excluded
    from the average)".
    """
    mask = call.keywords.get("mask")
    if mask is None and call.masks:
        mask = call.masks[0]

    def mean(x: Array, axes: tuple[int, ...]) -> Array:
        if mask is None or x.ndim > 3:
            return np.asarray(np.mean(x, axis=axes))
        weight = np.asarray(mask, dtype=np.float64)[..., np.newaxis]
        # Of no steps at all the mean is taken to be zero, as Keras's own losses and metrics do: masked input gives no NaN.
        return np.asarray(np.sum(np.where(weight > 0, x, 0), axis=1) / np.maximum(np.sum(weight, axis=1), 1))

    return _global(call, mean)
