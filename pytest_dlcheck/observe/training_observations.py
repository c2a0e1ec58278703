"""What a product did when it trained, by whatever way: plain arrays and names, no framework objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

__all__ = [
    "Accumulated",
    "Irrelevance",
    "Masked",
    "Run",
    "Scaled",
    "ScaledStep",
    "Scores",
    "Scoring",
    "Steps",
    "Task",
    "Training",
]

Array = NDArray[Any]
Weights = Mapping[str, Array]


@dataclass(frozen=True)
class Task:
    """What is trained, on what, and how: all that the float64 reference needs to do the same.

    Attributes:
        start: the weights before, by name.
        x: inputs.
        labels: integers.
        weights: what each sample counts, or None.
        batch_size: of the training.
        epochs: how many times over the samples, in their order.
        rate: the learning rate; or one for each step.
        momentum: of the update.
        reduction: of the loss over a batch.
        accumulation: after how many batches an update is made.
        dtype: that was computed in.
    """

    start: Weights
    x: Array
    labels: Array
    weights: Array | None
    batch_size: int
    epochs: int
    rate: float | tuple[float, ...]
    momentum: float = 0.0
    reduction: str = "sum_over_batch_size"
    accumulation: int = 1
    dtype: str = "float32"

    @property
    def steps_per_epoch(self) -> int:
        """Batches, the short one included."""
        return -(-len(self.x) // self.batch_size)

    @property
    def updates(self) -> int:
        """How many the optimizer has made in the end."""
        return self.epochs * self.steps_per_epoch // self.accumulation


@dataclass(frozen=True)
class Run:
    """What came of one way of training.

    Attributes:
        losses: of each epoch, or of each step, as `per_step` says; empty where the way reports none.
        weights: after it, by name.
        steps: what the optimizer says that it has made.
        per_step: whether there is one loss for each step.
        validation: the held-out loss after each epoch; empty where nothing is held out.
    """

    losses: tuple[float, ...]
    weights: Weights
    steps: int
    per_step: bool = False
    validation: tuple[float, ...] = ()


@dataclass(frozen=True)
class Training:
    """One task, trained in some ways.

    Attributes:
        task: what was to be done.
        runs: what came of it, by the name of the way.
        held_out: inputs and labels that were not to be trained on, where there are any.
    """

    task: Task
    runs: Mapping[str, Run]
    held_out: tuple[Array, Array] | None = None


@dataclass(frozen=True)
class Scores:
    """What one `evaluate` or one `predict` gave: figures by name, and outputs."""

    figures: Mapping[str, float]
    outputs: Array | None = None


@dataclass(frozen=True)
class Scoring:
    """The same samples scored in several ways.

    Attributes:
        weights: of the model.
        x: inputs.
        labels: integers.
        sample_weights: what each sample counts, or None.
        ways: what each way gave, by its name.
    """

    weights: Weights
    x: Array
    labels: Array
    sample_weights: Array | None
    ways: Mapping[str, Scores]


Steps = tuple[tuple[float, ...], tuple[Array, ...]]
"""The loss of each step, and the weights after the last one."""


@dataclass(frozen=True)
class Irrelevance:
    """Runs that differ only in what must not matter.

    Attributes:
        base: the run that the others must equal.
        others: by what is different.
        moved: the first one from starts that were moved by two units of roundoff; none where nothing but the very same
            numbers will do.
    """

    base: Steps
    others: Mapping[str, Steps]
    moved: tuple[Steps, ...] = ()


@dataclass(frozen=True)
class Masked:
    """Training of an embedding that masks zeros, an LSTM and a softmax layer on sentences that are padded with zeros.

    Attributes:
        words: (sentences, length); 0 is padding.
        labels: one for each word.
        before: the embedding, the LSTM's kernel, recurrent kernel and bias, the softmax layer's kernel and bias.
        after: the same after some steps of gradient descent.
        loss: the first one that was reported.
    """

    words: Array
    labels: Array
    before: tuple[Array, ...]
    after: tuple[Array, ...]
    loss: float


@dataclass(frozen=True)
class Accumulated:
    """Training whose gradients are added up over several small batches.

    Attributes:
        small: the run as what it is, small batches.
        big: the same run as what it must equal, one step for each batch of as many samples.
        after: the weights after each small batch.
    """

    small: Training
    big: Training
    after: tuple[Weights, ...]


@dataclass(frozen=True)
class ScaledStep:
    """One step of training with a scaled loss.

    Attributes:
        finite: whether its gradients were to be finite.
        loss: that was reported.
        scale: the loss scale after it.
        updates: how many the inner optimizer counts.
        weights: after it.
    """

    finite: bool
    loss: float
    scale: float
    updates: int
    weights: Weights


@dataclass(frozen=True)
class Scaled:
    """Some steps of training with a scaled loss in half precision, all on the same batch.

    Attributes:
        task: one finite step.
        scale: the one to begin with.
        growth: after how many finite steps it is doubled.
        steps: what was done.
    """

    task: Task
    scale: float
    growth: int
    steps: tuple[ScaledStep, ...]
