"""Training of a small classifier in float64 NumPy: forward, backward, update, batch by batch.

The network is tanh(x K + b), batch normalization (or none), and softmax(h K + b); the loss is cross-entropy of integer labels,
the optimizer gradient descent with momentum. Formulas: Ioffe and Szegedy, Batch Normalization, 2015, for the normalization and
its gradient; m <- momentum m - rate g, w <- w + m for the update, as the documentation of `keras.optimizers.SGD` gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "EPSILON",
    "MOMENTUM_OF_STATISTICS",
    "Batch",
    "Descent",
    "Trained",
    "batches_of",
    "cross_entropy",
    "inference",
    "train",
]

Array = NDArray[Any]
Weights = Mapping[str, Array]
Move = Callable[[Array], Array]

EPSILON = 1e-3
"""Of the batch normalization, Keras's default; the observed models state it all the same."""
MOMENTUM_OF_STATISTICS = 0.9


@dataclass(frozen=True)
class Batch:
    """What one step is given.

    Attributes:
        x: inputs, (n, features).
        labels: integers, (n,).
        weights: one for each sample, (n,), or None.
    """

    x: Array
    labels: Array
    weights: Array | None = None


@dataclass(frozen=True)
class Descent:
    """How to train.

    Attributes:
        rates: the learning rate; or one for each step.
        momentum: of the update.
        reduction: of the loss: `sum_over_batch_size` (divided by the number of samples), `sum`, or
            `mean_with_sample_weight` (divided by the sum of the weights).
        accumulation: after how many batches the mean of their gradients is applied.
    """

    rates: float | tuple[float, ...]
    momentum: float = 0.0
    reduction: str = "sum_over_batch_size"
    accumulation: int = 1

    def rate(self, step: int) -> float:
        """Of one step, counted from 0."""
        return self.rates if isinstance(self.rates, float) else self.rates[step]


@dataclass(frozen=True)
class Trained:
    """What came of it: the loss of each step before its update, and the weights after the last one."""

    losses: tuple[float, ...]
    weights: Weights


def batches_of(x: Array, labels: Array, weights: Array | None, size: int, epochs: int = 1) -> list[Batch]:
    """The samples in their order, cut into batches; the last one of an epoch may be smaller."""
    cuts = [slice(start, start + size) for start in range(0, len(x), size)] * epochs
    return [Batch(x[cut], labels[cut], None if weights is None else weights[cut]) for cut in cuts]


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def inference(weights: Weights, x: Array) -> Array:
    """The probabilities, (n, classes), with the moving statistics where there are any."""
    hidden = np.tanh(x @ weights["hidden.kernel"] + weights["hidden.bias"])
    if "norm.gamma" in weights:
        hidden = (hidden - weights["norm.moving_mean"]) / np.sqrt(weights["norm.moving_variance"] + EPSILON)
        hidden = hidden * weights["norm.gamma"] + weights["norm.beta"]
    return _softmax(hidden @ weights["out.kernel"] + weights["out.bias"])


def cross_entropy(probabilities: Array, labels: Array) -> Array:
    """Of each sample."""
    return np.asarray(-np.log(probabilities[np.arange(len(labels)), labels]))


def _scaled(batch: Batch, reduction: str) -> Array:
    """What each sample's loss counts in the batch's."""
    weights = np.ones(len(batch.x)) if batch.weights is None else np.asarray(batch.weights, dtype=np.float64)
    divisors = {"sum_over_batch_size": len(weights), "sum": 1, "mean_with_sample_weight": weights.sum()}
    return np.asarray(weights / divisors[reduction])


def _step(weights: Weights, batch: Batch, reduction: str) -> tuple[float, dict[str, Array], dict[str, Array]]:
    """The loss of one batch in training mode, its gradients, and the moving statistics after it."""
    hidden = np.tanh(batch.x @ weights["hidden.kernel"] + weights["hidden.bias"])
    moving: dict[str, Array] = {}
    features, hat, deviation = hidden, hidden, np.ones(hidden.shape[1])
    if "norm.gamma" in weights:
        mean, variance = hidden.mean(axis=0), hidden.var(axis=0)
        deviation = np.sqrt(variance + EPSILON)
        hat = (hidden - mean) / deviation
        features = hat * weights["norm.gamma"] + weights["norm.beta"]
        for name, seen in (("norm.moving_mean", mean), ("norm.moving_variance", variance)):
            moving[name] = weights[name] * MOMENTUM_OF_STATISTICS + seen * (1 - MOMENTUM_OF_STATISTICS)
    probabilities = _softmax(features @ weights["out.kernel"] + weights["out.bias"])
    counts = _scaled(batch, reduction)
    loss = float(np.sum(counts * cross_entropy(probabilities, batch.labels)))

    of_logits = probabilities.copy()
    of_logits[np.arange(len(batch.labels)), batch.labels] -= 1
    of_logits *= counts[:, np.newaxis]
    gradients = {"out.kernel": features.T @ of_logits, "out.bias": of_logits.sum(axis=0)}
    of_hidden = of_logits @ weights["out.kernel"].T
    if "norm.gamma" in weights:
        gradients |= {"norm.gamma": (of_hidden * hat).sum(axis=0), "norm.beta": of_hidden.sum(axis=0)}
        of_hat = of_hidden * weights["norm.gamma"]
        of_hidden = (of_hat - of_hat.mean(axis=0) - hat * (of_hat * hat).mean(axis=0)) / deviation
    of_sums = of_hidden * (1 - hidden**2)
    gradients |= {"hidden.kernel": batch.x.T @ of_sums, "hidden.bias": of_sums.sum(axis=0)}
    return loss, gradients, moving


def train(start: Weights, batches: Sequence[Batch], descent: Descent, move: Move = np.asarray) -> Trained:
    """Trains on the batches, one after the other.

    Args:
        start: the initial weights, by name: `hidden.kernel`, `hidden.bias`, `out.kernel`, `out.bias`, and, with a batch
            normalization, `norm.gamma`, `norm.beta`, `norm.moving_mean`, `norm.moving_variance`.
        batches: one for each step.
        descent: how.
        move: is applied to the inputs and, before every step, to the weights: for tolerances.
    """
    weights = {name: np.asarray(value, dtype=np.float64) for name, value in start.items()}
    velocity = {name: np.zeros_like(value) for name, value in weights.items()}
    total = {name: np.zeros_like(value) for name, value in weights.items()}
    losses, updates = [], 0
    for number, batch in enumerate(batches, 1):
        weights = {name: move(value) for name, value in weights.items()}
        moved = Batch(move(np.asarray(batch.x, dtype=np.float64)), batch.labels, batch.weights)
        loss, gradients, moving = _step(weights, moved, descent.reduction)
        losses.append(loss)
        weights |= moving
        for name, gradient in gradients.items():
            total[name] = total[name] + gradient / descent.accumulation
        if number % descent.accumulation:
            continue
        for name in gradients:
            velocity[name] = descent.momentum * velocity[name] - descent.rate(updates) * total[name]
            weights[name] = weights[name] + velocity[name]
            total[name] = np.zeros_like(total[name])
        updates += 1
    return Trained(tuple(losses), weights)
