"""What callbacks did in a training run: plain arrays and names, no framework objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.observe.training_observations import Task

__all__ = [
    "Averaged",
    "Backup",
    "BrokenTwice",
    "Checkpoints",
    "Continued",
    "Ended",
    "Planned",
    "Scheduled",
    "Watched",
    "draw_plan",
    "draw_plateau",
]

Array = NDArray[Any]
Weights = Mapping[str, Array]


@dataclass(frozen=True)
class Planned:
    """A callback that watches a quantity, and the values that this quantity is given, one for each epoch.

    Attributes:
        values: of the quantity.
        higher_is_better: what its mode, or its name, means.
        arguments: of the callback, `monitor` and `mode` among them.
    """

    values: tuple[float, ...]
    higher_is_better: bool
    arguments: Mapping[str, Any]

    def told(self) -> str:
        """In a line, for a message."""
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{given}; values {', '.join(f'{value:g}' for value in self.values)}"


@dataclass(frozen=True)
class Watched:
    """A run with a planned callback.

    Attributes:
        plan: the callback.
        after: the weights after each epoch that was run.
        final: those after training.
        rates: the learning rate after each epoch that was run, as the optimizer has it.
        first_rate: the one before training.
        kept: by epoch, from 1, the weights of the file that was saved with its number.
    """

    plan: Planned
    after: tuple[Weights, ...]
    final: Weights
    rates: tuple[float, ...] = ()
    first_rate: float = 0.0
    kept: Mapping[int, Weights] = field(default_factory=dict)


@dataclass(frozen=True)
class Scheduled:
    """A run whose learning rate a function gives.

    Attributes:
        task: what was trained, with the rates that the function gave.
        given: what the function was given as the current rate, for each epoch.
        reported: the rate that the history reports for each epoch.
        final: the weights after training.
    """

    task: Task
    given: tuple[float, ...]
    reported: tuple[float, ...]
    final: Weights


@dataclass(frozen=True)
class Checkpoints:
    """Files that were saved every so many steps.

    Attributes:
        task: what was trained.
        every: how many steps there are between files.
        files: the weights in them, by the number of the step, from 1, that their names say.
    """

    task: Task
    every: int
    files: Mapping[int, Weights]


@dataclass(frozen=True)
class Ended:
    """A run in which one batch has a loss that is not finite.

    Attributes:
        bad: the number of that batch, from 0, in the first epoch.
        batches: the numbers of the batches that ended, epoch by epoch.
        hooks: the names of the hooks that a callback saw, in their order.
    """

    bad: int
    batches: tuple[tuple[int, ...], ...]
    hooks: tuple[str, ...]


@dataclass(frozen=True)
class Backup:
    """A run that was broken off, and the one that took it up.

    Attributes:
        broken_off: after how many epochs.
        epochs: of the whole run.
        resumed: the numbers, from 0, of the epochs that the second run made.
        whole: the weights after a run that nothing disturbed.
        final: those after the second run.
        left: whether the backup was still there after it.
    """

    broken_off: int
    epochs: int
    resumed: tuple[int, ...]
    whole: Weights
    final: Weights
    left: bool


@dataclass(frozen=True)
class BrokenTwice:
    """A run that was broken off, taken up, broken off again, and taken up.

    Attributes:
        backed_up: how often: each epoch, or so many batches.
        stops: after how many batches of the whole run each interruption came.
        begun: the first epoch, from 0, of each of the three runs.
        batches: of the whole run.
        counted: the count of the optimizer's steps at the end.
        whole: the weights after a run that nothing disturbed.
        final: those after the third run.
    """

    backed_up: str | int
    stops: tuple[int, ...]
    begun: tuple[int, ...]
    batches: int
    counted: int
    whole: Weights
    final: Weights


@dataclass(frozen=True)
class Averaged:
    """A run whose weights are averaged, and swapped for their averages while it is scored.

    Attributes:
        task: what was trained, one step an epoch.
        momentum: of the moving average.
        held_out: inputs and labels that it was scored on.
        losses: the held-out loss after each epoch.
        final: the weights after training, which are to be the averages.
        before_predicting: the weights before a prediction with the callback.
        after_predicting: and after it.
    """

    task: Task
    momentum: float
    held_out: tuple[Array, Array]
    losses: tuple[float, ...]
    final: Weights
    before_predicting: Weights
    after_predicting: Weights


@dataclass(frozen=True)
class Continued:
    """Two calls of `fit`, one after the other, of one step each.

    Attributes:
        error: what the second one raised; None if it went through.
        steps: the optimizer's count after it.
    """

    error: str | None
    steps: int


EPOCHS = 9
MONITORS = (("planned", "min", False), ("planned", "max", True), ("loss", "auto", False), ("accuracy", "auto", True))
"""The quantity, the mode that is asked for, and what that means."""


def _draw_values(rng: np.random.Generator) -> tuple[float, ...]:
    """A walk in quarters, so that values repeat and float32 holds them all."""
    return tuple(float(value) for value in np.cumsum(rng.integers(-2, 3, EPOCHS)) / 4 + 2)


def draw_plan(rng: np.random.Generator) -> Planned:
    """An EarlyStopping without a baseline; a change is never just `min_delta`, of which the documentation says nothing."""
    monitor, mode, higher = MONITORS[rng.integers(len(MONITORS))]
    arguments = {
        "monitor": monitor,
        "mode": mode,
        "patience": int(rng.integers(0, 4)),
        "min_delta": float(rng.choice([0, 0.125, 0.375])),
        "restore_best_weights": bool(rng.integers(2)),
        "start_from_epoch": int(rng.choice([0, 0, 2])),
    }
    return Planned(_draw_values(rng), higher, arguments)


def draw_plateau(rng: np.random.Generator) -> Planned:
    """A ReduceLROnPlateau without a cooldown."""
    monitor, mode, higher = MONITORS[rng.integers(len(MONITORS))]
    arguments = {
        "monitor": monitor,
        "mode": mode,
        "patience": int(rng.integers(0, 3)),
        "factor": float(rng.choice([0.5, 0.1])),
        "min_delta": float(rng.choice([0, 0.125])),
        "min_lr": float(rng.choice([0, 0.03])),
        "cooldown": 0,
    }
    return Planned(_draw_values(rng), higher, arguments)
