"""Convolutions in float64: a sum over the places of the kernel, each a shifted view of the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.references.activations import activation
from pytest_dlcheck.subjects.spec import Call, Expected

__all__ = [
    "conv",
    "conv_transpose",
    "correlated",
    "depthwise_conv",
    "depthwise_correlated",
    "per_axis",
    "same_padding",
    "scattered",
    "separable_conv",
    "transposed_size",
]

Array = NDArray[Any]
Sizes = Sequence[int]
Pads = Sequence[tuple[int, int]]


def per_axis(value: Any, rank: int) -> tuple[int, ...]:
    """One number for each axis, where one may stand for all."""
    return (value,) * rank if isinstance(value, int) else tuple(value)


def same_padding(size: int, extent: int, stride: int) -> tuple[int, int]:
    """The zeros before and after an axis for padding `same`.

    The output has ceil(size / stride) places; the padding that this needs is split evenly, the odd one at the end
    (https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2).

    Args:
        size: of the axis.
        extent: of the kernel, its gaps included: dilation (k - 1) + 1.
        stride: of the window.
    """
    total = max((-(-size // stride) - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def _extents(kernel: Sizes, dilation: Sizes) -> list[int]:
    return [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]


def _pads(sizes: Sizes, extents: Sizes, strides: Sizes, padding: str) -> list[tuple[int, int]]:
    if padding == "same":
        return [same_padding(*each) for each in zip(sizes, extents, strides, strict=True)]
    # Causal: y[t] sees x[t - d j] only, so all zeros are in the past (van den Oord et al., arXiv:1609.03499, section 2.1).
    return [(extent - 1 if padding == "causal" else 0, 0) for extent in extents]


def _padded(x: Array, pads: Pads) -> Array:
    return np.pad(x, [(0, 0), *pads, (0, 0)])


def _places(offset: Sizes, counts: Sizes, strides: Sizes, dilation: Sizes) -> tuple[slice, ...]:
    """Where one place of the kernel lies, for every place of the window."""
    starts = [o * d for o, d in zip(offset, dilation, strict=True)]
    return (slice(None), *(slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(starts, counts, strides, strict=True)))


def _inside(bounds: Pads) -> tuple[slice, ...]:
    """A part of each spatial axis."""
    return (slice(None), *(slice(start, end) for start, end in bounds))


def _counts(padded: Sizes, extents: Sizes, strides: Sizes) -> list[int]:
    return [(n - e) // s + 1 for n, e, s in zip(padded, extents, strides, strict=True)]


def correlated(x: Array, kernel: Array, strides: Sizes, dilation: Sizes, pads: Pads, *, groups: int = 1) -> Array:
    """y[b, i, f] = sum over j and c of x[b, i s + j d, c] kernel[j, c, f], for each group of channels on its own.

    Args:
        x: (batch, *sizes, channels).
        kernel: (*sizes, channels / groups, filters).
        strides: s.
        dilation: d.
        pads: zeros before and after each axis.
        groups: of the channels; the outputs of group g are the filters of group g.
    """
    if groups > 1:
        parts = zip(np.split(x, groups, axis=-1), np.split(kernel, groups, axis=-1), strict=True)
        return np.concatenate([correlated(part, k, strides, dilation, pads) for part, k in parts], axis=-1)
    sizes = kernel.shape[:-2]
    x = _padded(x, pads)
    counts = _counts(x.shape[1:-1], _extents(sizes, dilation), strides)
    y = np.zeros((x.shape[0], *counts, kernel.shape[-1]))
    for offset in np.ndindex(*sizes):
        y += x[_places(offset, counts, strides, dilation)] @ kernel[offset]
    return y


def depthwise_correlated(x: Array, kernel: Array, strides: Sizes, dilation: Sizes, pads: Pads) -> Array:
    """y[b, i, c m + q] = sum over j of x[b, i s + j d, c] kernel[j, c, q], with m outputs to a channel."""
    sizes = kernel.shape[:-2]
    x = _padded(x, pads)
    counts = _counts(x.shape[1:-1], _extents(sizes, dilation), strides)
    y = np.zeros((x.shape[0], *counts, *kernel.shape[-2:]))
    for offset in np.ndindex(*sizes):
        y += x[_places(offset, counts, strides, dilation)][..., np.newaxis] * kernel[offset]
    return y.reshape(*y.shape[:-2], -1)


def transposed_size(size: int, extent: int, stride: int, padding: str, output_padding: int | None) -> int:
    """The size of a transposed convolution's output.

    Without `output_padding` the smallest one that shows all of the kernel, or size * stride with padding `same`. With it,
    (size - 1) stride + extent - 2 pad + output_padding, where pad is half of the extent, rounded down, with padding `same`
    and else 0 (https://www.tensorflow.org/api_docs/python/tf/keras/layers/Conv2DTranspose).
    """
    if output_padding is None:
        return size * stride if padding == "same" else (size - 1) * stride + max(extent, stride)
    pad = extent // 2 if padding == "same" else 0
    return (size - 1) * stride + extent - 2 * pad + output_padding


def scattered(x: Array, kernel: Array, strides: Sizes, dilation: Sizes, sizes: Sizes) -> Array:
    """The adjoint of `correlated`: each input sets down the kernel, times itself, and the edges are cut to `sizes`.

    y[b, i s + j d - before, f] += x[b, i, c] kernel[j, f, c] (Dumoulin and Visin, arXiv:1603.07285, chapter 4). What is
    cut off is what the convolution from `sizes` to the input's size would pad with, the odd one at the end; places that no
    kernel reaches are zero.
    """
    extents = _extents(kernel.shape[:-2], dilation)
    reached = [(n - 1) * s + e for n, s, e in zip(x.shape[1:-1], strides, extents, strict=True)]
    whole = [max(n, r) for n, r in zip(sizes, reached, strict=True)]
    y = np.zeros((x.shape[0], *whole, kernel.shape[-2]))
    for offset in np.ndindex(*kernel.shape[:-2]):
        y[_places(offset, x.shape[1:-1], strides, dilation)] += x @ kernel[offset].T
    starts = [(r - n) // 2 if r > n else 0 for n, r in zip(sizes, reached, strict=True)]
    return y[_inside([(start, start + n) for start, n in zip(starts, sizes, strict=True)])]


def _last(call: Call) -> Array:
    """The inputs, channels last."""
    return np.moveaxis(call.inputs, 1, -1) if call.channels_first else np.asarray(call.inputs)


def _finished(call: Call, y: Array) -> Expected:
    if call["use_bias"]:
        y = y + call.weights["bias"]
    y = activation(call["activation"])(y)
    # Which steps survive a window is nowhere documented, and none of these layers supports masking.
    return Expected(np.moveaxis(y, -1, 1) if call.channels_first else y, mask=None, checks_mask=True)


def _window(call: Call, x: Array, kernel: Array) -> tuple[tuple[int, ...], tuple[int, ...], list[tuple[int, int]]]:
    rank = x.ndim - 2
    strides, dilation = per_axis(call["strides"], rank), per_axis(call["dilation_rate"], rank)
    extents = _extents(kernel.shape[:rank], dilation)
    return strides, dilation, _pads(x.shape[1:-1], extents, strides, call["padding"].lower())


def conv(call: Call) -> Expected:
    """activation(conv(x, kernel) + bias), conv as `correlated` (https://keras.io/api/layers/convolution_layers/convolution2d/)."""
    x, kernel = _last(call), call.weights["kernel"]
    return _finished(call, correlated(x, kernel, *_window(call, x, kernel), groups=call.arguments.get("groups", 1)))


def depthwise_conv(call: Call) -> Expected:
    """Each channel with kernels of its own, `depthwise_correlated`.

    https://keras.io/api/layers/convolution_layers/depthwise_convolution2d/.
    """
    x, kernel = _last(call), call.weights["kernel"]
    return _finished(call, depthwise_correlated(x, kernel, *_window(call, x, kernel)))


def separable_conv(call: Call) -> Expected:
    """A depthwise convolution, then a 1x1 convolution that mixes the channels.

    https://keras.io/api/layers/convolution_layers/separable_convolution2d/.
    """
    x, kernel = _last(call), call.weights["depthwise_kernel"]
    pointwise = call.weights["pointwise_kernel"]
    y = depthwise_correlated(x, kernel, *_window(call, x, kernel))
    return _finished(call, y @ pointwise.reshape(pointwise.shape[-2:]))


def conv_transpose(call: Call) -> Expected:
    """The adjoint of the convolution that leads from the output's size to the input's, `scattered`.

    https://keras.io/api/layers/convolution_layers/convolution2d_transpose/ and Dumoulin and Visin, arXiv:1603.07285.
    """
    x, kernel = _last(call), call.weights["kernel"]
    rank = x.ndim - 2
    strides, dilation = per_axis(call["strides"], rank), per_axis(call["dilation_rate"], rank)
    given = call["output_padding"]
    added = (None,) * rank if given is None else per_axis(given, rank)
    padding = call["padding"].lower()
    extents = _extents(kernel.shape[:rank], dilation)
    sizes = [transposed_size(n, e, s, padding, p) for n, e, s, p in zip(x.shape[1:-1], extents, strides, added, strict=True)]
    return _finished(call, scattered(x, kernel, strides, dilation, sizes))
