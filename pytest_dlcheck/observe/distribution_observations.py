"""What training over several devices did: plain arrays and names, no framework objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from pytest_dlcheck.observe.layer_observation import Raised
from pytest_dlcheck.observe.training_observations import Scoring, Training

__all__ = ["ALONE", "TOGETHER", "Cut", "Distributed", "Laid", "Piece", "Uneven"]

Array = NDArray[Any]

ALONE, TOGETHER = "one device", "several devices"
"""The two runs of a `Distributed`."""


@dataclass(frozen=True)
class Piece:
    """What one device holds of a value.

    Attributes:
        device: its name.
        values: what it holds.
        start: where that begins in the whole, an index for each axis; None where the framework does not say.
    """

    device: str
    values: Array
    start: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Laid:
    """A value, and how it lies over the devices.

    Attributes:
        whole: the value as the framework gives it when asked for all of it.
        pieces: one for each device that holds any of it.
    """

    whole: Array
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Cut:
    """How a value was asked to be cut: along an axis, into equal parts. Each part may lie on several devices."""

    axis: int
    parts: int


@dataclass(frozen=True)
class Distributed:
    """One task, trained on one device and on several, from one start.

    Attributes:
        devices: names of those that were asked for.
        replicas: how many replicas the framework says that it trains.
        training: the task and its two runs, `ALONE` and `TOGETHER`.
        batches: the inputs of each step on several devices.
        batch_cut: how each batch was to be cut.
        variables: after training on several devices: the model's weights, by name, and where they are to lie everywhere, the
            optimizer's variables, by path.
        before: the same before the first step.
        cuts: which variables were to be cut; every other is to lie on each device as a whole.
    """

    devices: tuple[str, ...]
    replicas: int
    training: Training
    batches: tuple[Laid, ...]
    batch_cut: Cut
    variables: Mapping[str, Laid]
    before: Mapping[str, Laid]
    cuts: Mapping[str, Cut] = field(default_factory=dict)


@dataclass(frozen=True)
class Uneven:
    """Samples that no number of full batches holds, on one device and on several.

    Attributes:
        count: how many there are.
        training: the task and its two runs, or the error that `fit` on several devices ended in.
        scoring: what `evaluate` and `predict` gave on each, or the error that they ended in.
    """

    count: int
    training: Training | Raised
    scoring: Scoring | Raised
