"""What came of training as a whole: plain arrays and names, no framework objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

__all__ = ["Growth", "Learning", "Repeated", "Streamed"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Learning:
    """Training on one batch, over and over.

    Attributes:
        losses: of each step.
        names: of the trainable weights.
        before: they, before.
        after: and after.
    """

    losses: tuple[float, ...]
    names: tuple[str, ...]
    before: tuple[Array, ...]
    after: tuple[Array, ...]


@dataclass(frozen=True)
class Repeated:
    """Shuffled runs with dropout: two from one seed, and one from another.

    Attributes:
        losses: of each epoch, run by run.
        weights: after it, run by run.
    """

    losses: tuple[tuple[float, ...], ...]
    weights: tuple[tuple[Array, ...], ...]


@dataclass(frozen=True)
class Growth:
    """What is alive after each round of calls that should leave nothing behind.

    Attributes:
        what: was called.
        calls: in each round.
        arrays: the framework's own that were made in these rounds and are alive; on JAX, all that are alive.
        objects: of those that Python's collector knows, the ones made in these rounds.
        buffers: of NumPy's arrays, which the collector does not know, that were made in these rounds.
    """

    what: str
    calls: int
    arrays: tuple[int, ...]
    objects: tuple[int, ...]
    buffers: tuple[int, ...]


@dataclass(frozen=True)
class Streamed:
    """Metrics over batches.

    Attributes:
        probabilities: what was scored, (n, classes).
        labels: one-hot, (n, classes).
        weights: of the samples, or None.
        ways: each metric's value, by the way of going through the samples.
    """

    probabilities: Array
    labels: Array
    weights: Array | None
    ways: Mapping[str, Mapping[str, float]]
