"""Training in replicas in float64 NumPy: each has its part of the batch and its own batch statistics, and the mean of their
gradients is applied to all. It is how data parallelism is defined where batch normalization is not synchronized (Ioffe and
Szegedy, Batch Normalization, 2015, of each part)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.references.training import Batch, Descent, Trained, train

__all__ = ["STATISTICS", "train_in_replicas"]

Array = NDArray[Any]
Weights = Mapping[str, Array]

STATISTICS = ("norm.moving_mean", "norm.moving_variance")


def train_in_replicas(
    start: Weights, steps: Sequence[Sequence[Batch]], descent: Descent, move: Callable[[Array], Array] = np.asarray
) -> Trained:
    """Trains on the parts of each batch at once.

    Args:
        start: as `references.training.train` has it.
        steps: for each step the replicas' parts, all of one size.
        descent: how; with one rate, and without accumulation.
        move: is applied to the inputs and, before every step, to the weights: for tolerances.

    Returns:
        The mean of the replicas' losses in each step, and the weights; moving statistics as the mean over the replicas.
    """
    weights = {name: np.asarray(value, dtype=np.float64) for name, value in start.items()}
    velocity = {name: np.zeros_like(value) for name, value in weights.items()}
    losses = []
    for number, parts in enumerate(steps):
        weights = {name: move(value) for name, value in weights.items()}
        # A step of rate 1 from the same weights: what it takes off is the gradient.
        stepped = [train(weights, [Batch(move(np.asarray(part.x, np.float64)), part.labels)], Descent(1.0)) for part in parts]
        losses.append(float(np.mean([one.losses[0] for one in stepped])))
        after = {name: np.mean([one.weights[name] for one in stepped], axis=0) for name in weights}
        for name, value in weights.items():
            if name in STATISTICS:
                weights[name] = after[name]
            else:
                velocity[name] = descent.momentum * velocity[name] - descent.rate(number) * (value - after[name])
                weights[name] = value + velocity[name]
    return Trained(tuple(losses), weights)
