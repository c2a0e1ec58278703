"""The forward pass of a documented model in float64 NumPy, written from the formulas and sharing no code with a framework.

Sources: the tutorials' own formulas (`ModelSpec.formula`); for the convolution, cross-correlation over valid windows as
Goodfellow, Bengio and Courville, Deep Learning (2016), equation 9.6 defines it; softmax and sigmoid as in section 6.2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pytest_dlcheck.models.spec import Conv2D, Dense, Flatten, Layer, MaxPooling2D, ModelSpec, SimpleRNN
from pytest_dlcheck.tolerance import Rounding

__all__ = ["ACTIVATIONS", "forward", "weight_count"]

Array = NDArray[np.float64]


def _softmax(z: Array) -> Array:
    exponentials = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def _sigmoid(z: Array) -> Array:
    # exp of a non-positive number on both sides of zero, so that neither overflows.
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))


ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "relu": lambda z: np.maximum(z, 0),
        "tanh": np.tanh,
        "sigmoid": _sigmoid,
        "softmax": _softmax,
    }
)


def _activate(z: Array, name: str | None) -> Array:
    return z if name is None else ACTIVATIONS[name](z)


def weight_count(layer: Layer) -> int:
    """How many weight arrays a layer has: a kernel and a bias, and the recurrent kernel of a recurrent one."""
    return {"Conv2D": 2, "Dense": 2, "SimpleRNN": 3}.get(layer.kind, 0)


def _affine(x: Array, kernel: Array, bias: Array, rounding: Rounding | None) -> Array:
    """x W + b over the last axis of x, each sum handed to `rounding`."""
    total = x @ kernel + bias
    if rounding is None:
        return total
    return rounding(total, np.abs(x) @ np.abs(kernel) + np.abs(bias), len(kernel) + 1)


def _apply(layer: Layer, weights: Sequence[Array], x: Array, rounding: Rounding | None) -> Array:
    if isinstance(layer, Conv2D):
        kernel, bias = weights
        height, width, channels, filters = kernel.shape
        windows = sliding_window_view(x, (height, width), axis=(1, 2)).transpose(0, 1, 2, 4, 5, 3)
        rows = windows.reshape(*windows.shape[:3], height * width * channels)
        return _activate(_affine(rows, kernel.reshape(-1, filters), bias, rounding), layer.activation)
    if isinstance(layer, MaxPooling2D):
        size = layer.pool_size
        windows = sliding_window_view(x, (size, size), axis=(1, 2))[:, ::size, ::size]
        return np.asarray(windows.max(axis=(-2, -1)))
    if isinstance(layer, Flatten):
        return x.reshape(len(x), -1)
    if isinstance(layer, Dense):
        kernel, bias = weights
        return _activate(_affine(x, kernel, bias, rounding), layer.activation)
    if isinstance(layer, SimpleRNN):
        kernel, recurrent, bias = weights
        state = np.zeros((len(x), layer.units))
        both = np.concatenate([kernel, recurrent])
        for step in range(x.shape[1]):
            state = _activate(_affine(np.concatenate([x[:, step], state], axis=1), both, bias, rounding), layer.activation)
        return state
    raise TypeError(f"no reference for a layer of kind {layer.kind}")


def forward(
    spec: ModelSpec,
    weights: Sequence[NDArray[np.generic]],
    x: NDArray[np.generic],
    rounding: Rounding | None = None,
) -> Array:
    """What the model gives for `x`, in float64.

    Args:
        spec: the model.
        weights: its weight arrays in the order in which Keras lists them: per layer kernel, (recurrent kernel,) bias.
        x: inputs of shape (n, *spec.input_shape); for a single feature (n,) will do, as in the tutorial.
        rounding: if given, moves each sum as lower precision may, see `pytest_dlcheck.tolerance`.

    Returns:
        Outputs of shape (n, *spec.output_shape).
    """
    remaining = [np.asarray(w, dtype=np.float64) for w in weights]
    y = np.asarray(x, dtype=np.float64)
    y = y.reshape(len(y), *spec.input_shape)
    for layer in spec.layers:
        count = weight_count(layer)
        y = _apply(layer, remaining[:count], y, rounding)
        remaining = remaining[count:]
    if remaining:
        raise ValueError(f"{len(remaining)} weight arrays too many for {spec.name}")
    return y
