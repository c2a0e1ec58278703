"""Merging layers in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.subjects.spec import Call, Expected

__all__ = ["add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract"]

Array = NDArray[Any]

EPSILON = 1e-7
"""The least norm that `normalize` divides by, `keras.config.epsilon()`: https://keras.io/api/ops/nn/#normalize-function."""


def _of_one_rank(inputs: Sequence[Array]) -> list[Array]:
    """Axes of size 1 after the batch, until all have as many."""
    rank = max(each.ndim for each in inputs)
    return [each.reshape(each.shape[0], *([1] * (rank - each.ndim)), *each.shape[1:]) for each in inputs]


def _any_mask(call: Call) -> Array | None:
    """A step counts if it does in one of the inputs; without a mask on each of them there is none."""
    masks = [mask for mask in call.masks if mask is not None]
    if not masks or len(masks) < len(call.masks):
        return None
    return np.asarray(np.any(masks, axis=0))


def _merged(call: Call, merge: Callable[[Array, Array], Array], neutral: float | None = None) -> Expected:
    """The inputs merged two by two; where `neutral` is given a masked step of an input counts for nothing.

    https://github.com/keras-team/keras/pull/19685 says what masks mean here.
    """
    inputs = _of_one_rank(call.inputs)
    if neutral is not None and call.masks:
        inputs = [
            each if mask is None else np.where(mask[..., None], each, neutral)
            for each, mask in zip(inputs, call.masks, strict=True)
        ]
    return Expected(reduce(merge, inputs), mask=_any_mask(call), checks_mask=True)


def add(call: Call) -> Expected:
    """x1 + x2 + ... (https://keras.io/api/layers/merging_layers/add/)."""
    return _merged(call, np.add)


def subtract(call: Call) -> Expected:
    """x1 - x2 (https://keras.io/api/layers/merging_layers/subtract/)."""
    return _merged(call, np.subtract)


def multiply(call: Call) -> Expected:
    """x1 x2 ..., the masked steps as ones (https://keras.io/api/layers/merging_layers/multiply/)."""
    return _merged(call, np.multiply, 1.0)


def average(call: Call) -> Expected:
    """(x1 + x2 + ...) / n (https://keras.io/api/layers/merging_layers/average/)."""
    found = _merged(call, np.add)
    return Expected(found.outputs / len(call.inputs), mask=found.mask, checks_mask=True)


def maximum(call: Call) -> Expected:
    """The largest of each place (https://keras.io/api/layers/merging_layers/maximum/)."""
    return _merged(call, np.maximum, -np.inf)


def minimum(call: Call) -> Expected:
    """The smallest of each place (https://keras.io/api/layers/merging_layers/minimum/)."""
    return _merged(call, np.minimum, np.inf)


def concatenate(call: Call) -> Expected:
    """One after the other along the axis, and over time their masks too; an input without one counts wholly.

    Over another axis a step counts if it does in one of the inputs (https://keras.io/api/layers/merging_layers/concatenate/).
    """
    axis = call["axis"]
    outputs = np.concatenate(call.inputs, axis=axis)
    if not call.masks or all(mask is None for mask in call.masks):
        return Expected(outputs, mask=None, checks_mask=True)
    masks = [
        np.ones(each.shape[:2], dtype=bool) if mask is None else mask
        for each, mask in zip(call.inputs, call.masks, strict=True)
    ]
    over_time = axis % outputs.ndim == 1
    mask = np.concatenate(masks, axis=1) if over_time else reduce(np.logical_or, masks)
    return Expected(outputs, mask=mask, checks_mask=True)


def dot(call: Call) -> Array:
    """For each sample the sum over an axis of each of the two; normalized, both are divided by their L2 norm over it first.

    What is left of the first input's axes comes first, then of the second's; of two vectors, one number in an axis of its
    own (https://keras.io/api/layers/merging_layers/dot/).
    """
    x, y = call.inputs
    axes = call["axes"]
    first, second = (axes, axes) if isinstance(axes, int) else axes
    first, second = first % x.ndim, second % y.ndim
    if call["normalize"]:
        x, y = _normalized(x, first), _normalized(y, second)
    x, y = np.moveaxis(x, first, -1), np.moveaxis(y, second, -1)
    left, right = "bcd"[: x.ndim - 2], "efg"[: y.ndim - 2]
    found = np.einsum(f"a{left}k,a{right}k->a{left}{right}", x, y)
    return np.asarray(found[:, None] if found.ndim == 1 else found)


def _normalized(x: Array, axis: int) -> Array:
    norm = np.linalg.norm(x, axis=axis, keepdims=True)
    return np.asarray(x / np.maximum(norm, EPSILON))
