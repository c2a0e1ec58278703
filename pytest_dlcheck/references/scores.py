"""Losses and metrics by hand, in float64, from predictions.

The cross-entropies are -sum t log p (Goodfellow, Bengio and Courville, Deep Learning, 2016, section 3.13). Keras documents
that it keeps probabilities at least `epsilon` = 1e-7 away from 0 and 1 (`keras.config.epsilon`); TensorFlow's graph may
take the logits instead, where nothing is clipped. So a cross-entropy is given as the pair (clipped, exact): equal unless a
probability is that extreme, and an implementation may lie anywhere between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LOSSES", "accuracy_range", "mean_squared_error"]

Array = NDArray[Any]
EPSILON = 1e-7


def _log(p: Array, *, clip: bool) -> Array:
    # The smallest positive float64, not zero: an exact zero probability costs 745, not infinity, and stays comparable.
    floor = EPSILON if clip else np.nextafter(0, 1)
    logarithm: Array = np.log(np.clip(p, floor, 1 - EPSILON if clip else 1))
    return logarithm


def _categorical(targets: Array, p: Array, *, clip: bool) -> float:
    return float(-np.mean(np.sum(targets * _log(p, clip=clip), axis=-1)))


def _sparse(labels: Array, p: Array, *, clip: bool) -> float:
    return _categorical(np.eye(p.shape[-1])[np.asarray(labels, dtype=np.int64)], p, clip=clip)


def _binary(targets: Array, p: Array, *, clip: bool) -> float:
    terms = targets * _log(p, clip=clip) + (1 - targets) * _log(1 - p, clip=clip)
    return float(-np.mean(terms))


def mean_squared_error(targets: Array, predictions: Array, *, clip: bool = False) -> float:
    """The mean over all elements of (prediction - target)^2; `targets` may lack the last axis when it is 1."""
    del clip
    difference = predictions.reshape(len(predictions), -1) - targets.reshape(len(targets), -1)
    return float(np.mean(np.square(difference)))


LOSSES: Mapping[str, Callable[..., float]] = MappingProxyType(
    {
        "categorical_crossentropy": _categorical,
        "sparse_categorical_crossentropy": _sparse,
        "binary_crossentropy": _binary,
        "mean_squared_error": mean_squared_error,
    }
)


def accuracy_range(loss: str, targets: Array, p: Array, slack: Array) -> tuple[float, float]:
    """The least and the greatest accuracy that predictions `p` can show, each entry uncertain by `slack`.

    A sample counts as undecided where rounding may turn its verdict: the two largest probabilities (or 0.5 and the one)
    are no further apart than their slack.
    """
    if loss == "binary_crossentropy":
        right = (p > 0.5) == (targets > 0.5)
        undecided = np.abs(p - 0.5) <= slack
        right, undecided = right.reshape(len(p), -1)[:, 0], undecided.reshape(len(p), -1)[:, 0]
    else:
        labels = np.argmax(targets, axis=-1) if targets.ndim == p.ndim else np.asarray(targets, dtype=np.int64)
        order = np.argsort(p, axis=-1)
        rows = np.arange(len(p))
        first, second = order[:, -1], order[:, -2]
        right = first == labels
        undecided = p[rows, first] - p[rows, second] <= slack[rows, first] + slack[rows, second]
    low, high = np.mean(right & ~undecided), np.mean(right | undecided)
    return float(low), float(high)
