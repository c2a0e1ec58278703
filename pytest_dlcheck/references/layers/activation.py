"""Activation layers in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from pytest_dlcheck.cases.case import Build, Name
from pytest_dlcheck.references.activations import ACTIVATIONS, activation
from pytest_dlcheck.subjects.spec import Call, Expected

__all__ = ["FURTHER", "activation_layer", "elu", "leaky_relu", "masked_softmax", "p_relu", "relu", "softmax", "sparsemax"]

Array = NDArray[Any]


def sparsemax(x: Array) -> Array:
    """The point of the probability simplex that is nearest to x (Martins and Astudillo, arXiv:1602.02068, algorithm 1).

    With x sorted downwards, k the largest j for which 1 + j x_j > x_1 + ... + x_j, and tau = (x_1 + ... + x_k - 1) / k:
    max(x - tau, 0).
    """
    down = -np.sort(-x, axis=-1)
    sums = np.cumsum(down, axis=-1)
    counts = np.arange(1, x.shape[-1] + 1)
    k = np.sum(1 + counts * down > sums, axis=-1, keepdims=True)
    tau = (np.take_along_axis(sums, k - 1, axis=-1) - 1) / k
    return np.asarray(np.maximum(x - tau, 0))


def _glu(x: Array) -> Array:
    """a sigmoid(b), with x = [a, b] (Dauphin et al., arXiv:1612.08083)."""
    a, b = np.split(x, 2, axis=-1)
    return np.asarray(a * special.expit(b))


FURTHER: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "glu": _glu,
        "sparsemax": sparsemax,
        "sparse_plus": lambda x: np.where(x <= -1, 0, np.where(x >= 1, x, (x + 1) ** 2 / 4)),
        "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
        "hard_swish": ACTIVATIONS["hard_silu"],
    }
)
"""Those of https://keras.io/api/layers/activations/ that only the layer Activation is checked with."""


def activation_layer(call: Call) -> Expected:
    """f(x), with the mask handed on (https://keras.io/api/layers/core_layers/activation/)."""
    given = call["activation"]
    if isinstance(given, Build):
        given = Build(given.path, {name: value for name, value in given.arguments.items() if name != "dtype"})
    name = given.path.rpartition(".")[2] if isinstance(given, Name) else given
    if isinstance(given, Build) and given.path == "keras.layers.ReLU":
        y = _relu(call.inputs, **given.arguments)
    elif isinstance(name, str) and name in FURTHER:
        y = FURTHER[name](call.inputs)
    else:
        y = activation(given)(call.inputs)
    return Expected(y, mask=_mask(call), checks_mask=True)


def _relu(x: Array, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0) -> Array:
    y = np.where(x >= threshold, x, negative_slope * (x - threshold))
    return y if max_value is None else np.minimum(y, max_value)


def relu(call: Call) -> Expected:
    """max_value from there on, x from threshold on, negative_slope (x - threshold) below.

    https://keras.io/api/layers/activation_layers/relu/
    """
    y = _relu(call.inputs, call["max_value"], call["negative_slope"], call["threshold"])
    return Expected(y, mask=_mask(call), checks_mask=True)


def leaky_relu(call: Call) -> Expected:
    """x from zero on, negative_slope x below (https://keras.io/api/layers/activation_layers/leaky_relu/)."""
    return Expected(np.where(call.inputs >= 0, 1.0, call["negative_slope"]) * call.inputs, mask=_mask(call), checks_mask=True)


def p_relu(call: Call) -> Expected:
    """x from zero on, alpha x below, alpha of the shape of a sample, 1 along the shared axes.

    https://keras.io/api/layers/activation_layers/prelu/
    """
    alpha = np.broadcast_to(call.weights["alpha"], call.inputs.shape[1:])
    return Expected(np.where(call.inputs >= 0, 1.0, alpha) * call.inputs, mask=_mask(call), checks_mask=True)


def elu(call: Call) -> Expected:
    """x from zero on, alpha (exp(x) - 1) below (https://keras.io/api/layers/activation_layers/elu/)."""
    y = np.where(call.inputs >= 0, call.inputs, call["alpha"] * np.expm1(np.minimum(call.inputs, 0)))
    return Expected(y, mask=_mask(call), checks_mask=True)


def masked_softmax(x: Array, mask: Array | None, axis: int | tuple[int, ...]) -> Array:
    """Over the entries that the mask keeps; the others get nothing."""
    if mask is None:
        return np.asarray(special.softmax(x, axis=axis))
    kept = np.broadcast_to(mask, x.shape)
    return np.asarray(special.softmax(np.where(kept, x, -np.inf), axis=axis))


def softmax(call: Call) -> Expected:
    """exp(x - max x) / sum exp(x - max x) over the axes, of what the mask keeps.

    https://keras.io/api/layers/activation_layers/softmax/
    """
    axis = call["axis"]
    attached = _mask(call)
    mask = call.keywords.get("mask", attached)
    y = masked_softmax(call.inputs, mask, tuple(axis) if isinstance(axis, (list, tuple)) else axis)
    return Expected(y, mask=attached, checks_mask="mask" not in call.keywords)


def _mask(call: Call) -> Array | None:
    return call.masks[0] if call.masks else None
