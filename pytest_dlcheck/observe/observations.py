"""What a product did with a documented model: plain arrays and names, no framework objects.

Each class is one part of the observation; a property reads the parts it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Forward",
    "Functional",
    "Gradients",
    "Loop",
    "Placement",
    "Repeat",
    "Saved",
    "Scoring",
    "Structure",
    "Training",
]

Array = NDArray[np.generic]
Weights = tuple[Array, ...]


@dataclass(frozen=True)
class Structure:
    """The model as built, before anything ran."""

    parameters: int
    """What `count_params()` says."""
    trainable_sizes: tuple[int, ...]
    """The size of each trainable weight."""
    output_shape: tuple[int | None, ...]
    """As declared, the batch dimension first."""


@dataclass(frozen=True)
class Placement:
    """Where things lie: `cpu:0` and so on, one name per device that holds a part of it."""

    weights: tuple[tuple[str, ...], ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Forward:
    """One forward pass at the initial weights."""

    x: Array
    weights: Weights
    called: Array
    """What `model(x)` gave."""


@dataclass(frozen=True)
class Gradients:
    """The loss's gradients on one batch, and the weights before and after one training step on it."""

    names: tuple[str, ...]
    gradients: tuple[Array | None, ...]
    """Per trainable weight; None where the framework gave none."""
    before: Weights
    after: Weights


@dataclass(frozen=True)
class Training:
    """The documented training run."""

    losses: tuple[float, ...]
    """Per epoch, as `fit` reported them."""
    steps_per_epoch: int
    held_out_predictions: Array
    held_out_targets: Array
    untrained_predictions: Array | None = None
    """Of the same samples before training; None where the level is not a share of their error."""


@dataclass(frozen=True)
class Scoring:
    """`evaluate` and `predict` of the same samples in batches of several sizes."""

    x: Array
    targets: Array
    weights: Weights
    evaluated: Mapping[int, Mapping[str, float]]
    predicted: Mapping[int, Array]


@dataclass(frozen=True)
class Repeat:
    """The first steps of two runs from one seed, and the initial weights that another seed gives."""

    first: tuple[float, ...]
    second: tuple[float, ...]
    first_weights: Weights
    """After these steps."""
    second_weights: Weights
    initial: Weights
    other_initial: Weights


@dataclass(frozen=True)
class Saved:
    """A trained model, and what came back from the file that it was saved to."""

    x: Array
    outputs: Array
    loaded_outputs: Array
    weights: Weights
    loaded_weights: Weights
    optimizer: Weights
    loaded_optimizer: Weights
    next_weights: Weights
    """The weights after one more training step."""
    loaded_next_weights: Weights


@dataclass(frozen=True)
class Functional:
    """The Sequential model and the functional one with the same weights."""

    x: Array
    weights: Weights
    sequential: Array
    functional: Array
    sequential_parameters: int
    functional_parameters: int


@dataclass(frozen=True)
class Loop:
    """The losses of the first training steps: by `fit`, and by the loop written out in the framework's own operations.

    `moved` holds what the written-out loop gives when its initial weights are moved by two units of roundoff at random,
    one row per draw: how far rounding alone can take the losses.
    """

    fit: tuple[float, ...]
    written_out: tuple[float, ...]
    moved: Array
