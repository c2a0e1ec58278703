"""Losses by their formulas, in float64 (https://keras.io/api/losses/), as functions and as classes that reduce them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["CLASSES", "FUNCTIONS"]

Array = NDArray[Any]
Axis = int | tuple[int, ...] | None

EPSILON = 1e-7
"""`keras.config.epsilon`: how far probabilities are kept from 0 and 1, and what keeps a quotient finite."""


def _mean(values: Array) -> Array:
    return np.asarray(np.mean(values, axis=-1))


def _huber(y_true: Array, y_pred: Array, delta: float = 1.0) -> Array:
    error = np.abs(y_true - y_pred)
    return _mean(np.where(error <= delta, error**2 / 2, delta * error - delta**2 / 2))


def _cosine_similarity(y_true: Array, y_pred: Array, axis: int = -1) -> Array:
    def unit(x: Array) -> Array:
        return np.asarray(x / np.linalg.norm(x, axis=axis, keepdims=True))

    return np.asarray(-np.sum(unit(y_true) * unit(y_pred), axis=axis))


def _squared_logarithmic(y_true: Array, y_pred: Array) -> Array:
    return _mean(np.square(np.log1p(np.maximum(y_pred, EPSILON)) - np.log1p(np.maximum(y_true, EPSILON))))


def _categorical_hinge(y_true: Array, y_pred: Array) -> Array:
    wrong, right = np.max((1 - y_true) * y_pred, axis=-1), np.sum(y_true * y_pred, axis=-1)
    return np.asarray(np.maximum(wrong - right + 1, 0))


def _kept(p: Array) -> Array:
    return np.asarray(np.clip(p, EPSILON, 1 - EPSILON))


def _binary(y_true: Array, y_pred: Array, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1) -> Array:
    return np.asarray(np.mean(_bits(y_true, _probability(y_pred, from_logits), label_smoothing), axis=axis))


def _probability(y_pred: Array, from_logits: bool) -> Array:
    return np.asarray(special.expit(y_pred)) if from_logits else _kept(y_pred)


def _bits(y_true: Array, p: Array, label_smoothing: float) -> Array:
    t = y_true * (1 - label_smoothing) + label_smoothing / 2
    return np.asarray(-t * np.log(p) - (1 - t) * np.log1p(-p))


def _binary_focal(
    y_true: Array,
    y_pred: Array,
    *,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> Array:
    """(1 - p_t)^gamma times the cross-entropy (Lin et al., Focal Loss for Dense Object Detection, arXiv:1708.02002)."""
    p = _probability(y_pred, from_logits)
    t = y_true * (1 - label_smoothing) + label_smoothing / 2
    found = (1 - (t * p + (1 - t) * (1 - p))) ** gamma * _bits(y_true, p, label_smoothing)
    return _mean(found * (t * alpha + (1 - t) * (1 - alpha)) if apply_class_balancing else found)


def _categorical(
    y_true: Array, y_pred: Array, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Array:
    t = y_true * (1 - label_smoothing) + label_smoothing / y_true.shape[axis]
    return np.asarray(-np.sum(t * _logarithms(y_pred, from_logits, axis), axis=axis))


def _logarithms(y_pred: Array, from_logits: bool, axis: int) -> Array:
    if from_logits:
        return np.asarray(special.log_softmax(y_pred, axis=axis))
    return np.asarray(np.log(_kept(y_pred / np.sum(y_pred, axis=axis, keepdims=True))))


def _categorical_focal(
    y_true: Array,
    y_pred: Array,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
) -> Array:
    t = y_true * (1 - label_smoothing) + label_smoothing / y_true.shape[-1]
    logarithms = _logarithms(y_pred, from_logits, -1)
    return np.asarray(-np.sum(alpha * (1 - np.exp(logarithms)) ** gamma * t * logarithms, axis=-1))


def _sparse(y_true: Array, y_pred: Array, from_logits: bool = False, ignore_class: int | None = None) -> Array:
    """0 for the ignored class; labels may have a last axis of size 1."""
    labels = (y_true[..., 0] if y_true.ndim == y_pred.ndim else y_true).astype(int)
    kept = np.ones(labels.shape, bool) if ignore_class is None else labels != ignore_class
    classes = np.eye(y_pred.shape[-1])[np.where(kept, labels, 0)]
    return np.where(kept, _categorical(classes, y_pred, from_logits), 0.0)


def _generalized(y_true: Array, y_pred: Array, q: float) -> Array:
    """(1 - p^q) / q (Zhang and Sabuncu, arXiv:1805.07836)."""
    p = np.take_along_axis(y_pred, y_true[..., None].astype(int), axis=-1)[..., 0]
    return np.asarray((1 - p**q) / q)


def _dice(y_true: Array, y_pred: Array, axis: Axis = None) -> Array:
    shared = np.sum(y_true * y_pred, axis=axis)
    return np.asarray(1 - (2 * shared + EPSILON) / (np.sum(y_true, axis=axis) + np.sum(y_pred, axis=axis) + EPSILON))


def _tversky(y_true: Array, y_pred: Array, alpha: float = 0.5, beta: float = 0.5, axis: Axis = None) -> Array:
    shared = np.sum(y_true * y_pred, axis=axis)
    more, less = np.sum((1 - y_true) * y_pred, axis=axis), np.sum(y_true * (1 - y_pred), axis=axis)
    return np.asarray(1 - (shared + EPSILON) / (shared + more * alpha + less * beta + EPSILON))


FUNCTIONS: Mapping[str, Callable[..., Array]] = MappingProxyType(
    {
        "mean_squared_error": lambda t, p: _mean(np.square(p - t)),
        "mean_absolute_error": lambda t, p: _mean(np.abs(p - t)),
        "mean_absolute_percentage_error": lambda t, p: 100 * _mean(np.abs(t - p) / np.maximum(np.abs(t), EPSILON)),
        "mean_squared_logarithmic_error": _squared_logarithmic,
        "log_cosh": lambda t, p: _mean(np.logaddexp(p - t, t - p) - np.log(2)),
        "huber": _huber,
        "cosine_similarity": _cosine_similarity,
        "kl_divergence": lambda t, p: np.sum(
            np.clip(t, EPSILON, 1) * np.log(np.clip(t, EPSILON, 1) / np.clip(p, EPSILON, 1)), axis=-1
        ),
        "poisson": lambda t, p: _mean(p - t * np.log(p + EPSILON)),
        "hinge": lambda t, p: _mean(np.maximum(1 - t * p, 0)),
        "squared_hinge": lambda t, p: _mean(np.square(np.maximum(1 - t * p, 0))),
        "categorical_hinge": _categorical_hinge,
        "binary_crossentropy": _binary,
        "binary_focal_crossentropy": _binary_focal,
        "categorical_crossentropy": _categorical,
        "categorical_focal_crossentropy": _categorical_focal,
        "categorical_generalized_cross_entropy": _generalized,
        "sparse_categorical_crossentropy": _sparse,
        "dice": _dice,
        "tversky": _tversky,
    }
)
"""By name below `keras.losses`: from targets and predictions to one value for each sample, or each place."""


def _class_of(function: Callable[..., Array]) -> Callable[..., Callable[..., Array]]:
    """The class of a loss: values, times the weights, reduced as its `reduction` says."""

    def build(reduction: str | None = "sum_over_batch_size", **options: Any) -> Callable[..., Array]:
        def call(y_true: Array, y_pred: Array, sample_weight: Any = None) -> Array:
            values = function(y_true, y_pred, **options)
            weights = np.ones_like(values) if sample_weight is None else _aligned(sample_weight, values)
            if options.get("ignore_class") is not None:
                # The mean is of those that are left.
                labels = y_true.reshape(values.shape)
                weights = weights * (labels != options["ignore_class"])
                values, weights = values[weights != 0], weights[weights != 0]
            total = np.sum(values * weights)
            if reduction in (None, "none"):
                return np.asarray(values * weights)
            shares = {"sum": 1.0, "sum_over_batch_size": values.size, "mean_with_sample_weight": np.sum(weights)}
            return np.asarray(total / shares[reduction])

        return call

    return build


def _aligned(weight: Array, values: Array) -> Array:
    """Weights of samples for each value."""
    return np.broadcast_to(np.reshape(weight, (*weight.shape, *(1,) * (values.ndim - weight.ndim))), values.shape)


_NAMES = {"kl_divergence": "KLDivergence"}

CLASSES: Mapping[str, Callable[..., Callable[..., Array]]] = MappingProxyType(
    {
        _NAMES.get(name, "".join(part.capitalize() for part in name.split("_"))): _class_of(function)
        for name, function in FUNCTIONS.items()
    }
)
"""By the name of the class below `keras.losses`: from options to a function of targets, predictions and weights."""
