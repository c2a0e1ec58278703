"""Numeric preprocessing in float64: normalization, bins, categories, and layers in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Build
from pytest_dlcheck.references.activations import activation
from pytest_dlcheck.subjects.spec import Call

__all__ = ["bins", "category_encoding", "discretization", "encoded", "normalization", "pipeline", "statistics"]

Array = NDArray[Any]

SMALLEST_DEVIATION = 1e-7
"""`keras.config.epsilon()`: what a feature that does not vary is divided by."""


def statistics(axis: Any, data: Sequence[Array]) -> tuple[Array, Array]:
    """Mean and variance of all batches together, over the axes that are not kept; the axes stay, of size 1."""
    rank = data[0].ndim
    kept = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    kept = tuple(each % rank for each in kept)
    over = tuple(each for each in range(rank) if each not in kept)
    whole = np.concatenate(data, axis=0)
    return whole.mean(axis=over, keepdims=True), whole.var(axis=over, keepdims=True)


def normalization(call: Call) -> Array:
    """(x - mean) / sqrt(variance), inverted mean + x sqrt(variance); both are the data's or given, one for each index of the
    kept axes (https://keras.io/api/layers/preprocessing_layers/numerical/normalization/)."""
    x = call.inputs
    if call.adapt is not None:
        mean, variance = statistics(call["axis"], call.adapt if isinstance(call.adapt, (list, tuple)) else [call.adapt])
    else:
        mean, variance = (_kept(call["axis"], np.asarray(call[name], dtype=np.float64), x) for name in ("mean", "variance"))
    deviation = np.maximum(np.sqrt(variance), SMALLEST_DEVIATION)
    return np.asarray(mean + x * deviation if call["invert"] else (x - mean) / deviation)


def _kept(axis: Any, value: Array, x: Array) -> Array:
    """A given statistic, broadcast to the kept axes, with size 1 along the others."""
    kept = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    places = sorted(each % x.ndim for each in kept)
    sizes = [x.shape[each] for each in places]
    shape = [x.shape[each] if each in places else 1 for each in range(x.ndim)]
    return np.broadcast_to(value, sizes).reshape(shape) if places else value.reshape([1] * x.ndim)


def encoded(indices: Array, size: int, mode: str, weights: Array | None = None) -> Array:
    """Indices as vectors: `one_hot` each on its own (a last axis of size 1, unless it is the batch, gives way to it),
    `multi_hot` and `count` the last axis together. What is not in the range counts for nothing
    (https://keras.io/api/layers/preprocessing_layers/categorical/category_encoding/)."""
    each = indices[..., None] == np.arange(size)
    if mode == "one_hot":
        if indices.ndim > 1 and indices.shape[-1] == 1:
            each = each[..., 0, :]
        return np.asarray(each, dtype=np.int64)
    if mode == "multi_hot":
        return np.asarray(each.any(axis=-2), dtype=np.int64)
    if weights is not None:
        return np.asarray((each * weights[..., None]).sum(axis=-2), dtype=np.float64)
    return np.asarray(each.sum(axis=-2))


def category_encoding(call: Call) -> Array:
    """See `encoded`; counting adds the weights instead of ones, if there are any
    (https://keras.io/api/layers/preprocessing_layers/categorical/category_encoding/)."""
    return encoded(call.inputs, call["num_tokens"], call["output_mode"], call.keywords.get("count_weights"))


def bins(x: Array, boundaries: Sequence[float]) -> Array:
    """The number of boundaries at or below each value: of [0, 1, 2] the bins (-inf, 0), [0, 1), [1, 2), [2, inf)."""
    return np.asarray((x[..., None] >= np.asarray(boundaries, dtype=np.float64)).sum(axis=-1))


def discretization(call: Call) -> Array | None:
    """See `bins`, then as `encoded`; boundaries that were learnt are only known about
    (https://keras.io/api/layers/preprocessing_layers/numerical/discretization/)."""
    if call.adapt is not None:
        return None
    found = bins(call.inputs, call["bin_boundaries"])
    return found if call["output_mode"] == "int" else encoded(found, len(call["bin_boundaries"]) + 1, call["output_mode"])


def pipeline(call: Call) -> Array:
    """One layer after the other (https://keras.io/api/layers/preprocessing_layers/pipeline/)."""
    x = call.inputs
    for layer in call["layers"]:
        x = _step(layer, x)
    return np.asarray(x)


def _step(layer: Build, x: Array) -> Array:
    name, given = layer.path.rpartition(".")[2], layer.arguments
    if name == "Rescaling":
        return np.asarray(x * given["scale"] + given.get("offset", 0.0))
    if name == "Normalization":
        return np.asarray((x - given["mean"]) / np.sqrt(given["variance"]))
    if name == "Activation":
        return np.asarray(activation(given["activation"])(x))
    if name == "Flatten":
        return np.asarray(x.reshape(len(x), -1))
    assert name == "Identity", name
    return x
