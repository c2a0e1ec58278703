"""What must hold of training, however it is started: every way takes the steps of a computation in float64 NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.observe.training_observations import Run, Scoring, Task, Training
from pytest_dlcheck.properties.comparison import identical, within
from pytest_dlcheck.properties.verdict import PASS, Verdict, failed, passed
from pytest_dlcheck.references.training import Batch, Descent, Trained, batches_of, cross_entropy, inference, train
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, Bounded, perturbed

__all__ = [
    "batch_size_is_irrelevant",
    "first_failure",
    "held_out_loss",
    "reported_losses",
    "same_run",
    "takes_the_steps",
]

Array = NDArray[Any]
Move = Callable[[Array], Array]


def first_failure(*verdicts: Verdict) -> Verdict:
    """The first verdict that is not a pass; when all pass, one pass that says what each of them said."""
    for verdict in verdicts:
        if verdict.outcome != PASS:
            return verdict
    return passed("\n".join(verdict.message for verdict in verdicts))


def _batches(task: Task) -> list[Batch]:
    return batches_of(task.x, task.labels, task.weights, task.batch_size, task.epochs)


def _trained(task: Task, move: Move = np.asarray) -> Trained:
    descent = Descent(task.rate, task.momentum, task.reduction, task.accumulation)
    return train(task.start, _batches(task), descent, move)


def _bounded(task: Task, read: Callable[[Trained], Any]) -> Bounded:
    """A part of what the reference gives, and how far rounding may carry a run from it: inputs, and weights before every
    step, are moved."""
    return perturbed(
        lambda move: np.asarray(read(_trained(task, move)), dtype=np.float64),
        unit_roundoff=UNIT_ROUNDOFF[task.dtype],
        scale=1.0,
    )


def takes_the_steps(seen: Training) -> Verdict:
    """However training is started, the weights, the moving statistics and the count of steps are those of the reference."""
    task = seen.task
    expected_steps = task.updates
    expected = {name: _bounded(task, partial(_weight, name)) for name in task.start}
    verdicts = []
    for way, run in seen.runs.items():
        if run.steps != expected_steps:
            return failed(f"{way}: the optimizer counts {run.steps} steps of {expected_steps}")
        if set(run.weights) != set(expected):
            return failed(f"{way}: weights {', '.join(sorted(run.weights))} instead of {', '.join(sorted(expected))}")
        verdicts += [within(f"{way}: {name}", run.weights[name], bounded) for name, bounded in expected.items()]
    unmoved = [name for name, bounded in expected.items() if np.array_equal(bounded.value, task.start[name])]
    if unmoved:
        return failed(f"the task trains nothing: {', '.join(unmoved)} stays where it is in the reference")
    return first_failure(*verdicts)


def _weight(name: str, trained: Trained) -> Array:
    return trained.weights[name]


def _of_epochs(task: Task, trained: Trained) -> Array:
    """The loss of each epoch: the mean of its batches' losses, each counted by its samples."""
    sizes = np.array([len(batch.x) for batch in _batches(task)], dtype=np.float64).reshape(task.epochs, -1)
    losses = np.array(trained.losses).reshape(task.epochs, -1)
    return np.asarray((losses * sizes).sum(axis=1) / sizes.sum(axis=1))


def reported_losses(seen: Training) -> Verdict:
    """The losses that training reports are those of the reference: of every step, or of every epoch over its samples."""
    task = seen.task
    verdicts = []
    for way, run in seen.runs.items():
        if not run.losses:
            return failed(f"{way} reports no loss")
        read: Callable[[Trained], Any] = _losses if run.per_step else partial(_of_epochs, task)
        verdicts.append(within(f"{way}: losses", np.asarray(run.losses), _bounded(task, read)))
    return first_failure(*verdicts)


def _losses(trained: Trained) -> Sequence[float]:
    return trained.losses


def _mean_loss(trained: Trained, x: Array, labels: Array) -> float:
    return float(np.mean(cross_entropy(inference(trained.weights, x), labels)))


def held_out_loss(seen: Training) -> Verdict:
    """What is held out is the part that must be, and its loss after each epoch is the reference's."""
    if seen.held_out is None:
        return failed("nothing was held out")
    x, labels = seen.held_out

    def run_of(epochs: int) -> Bounded:
        task = replace(seen.task, epochs=epochs)
        return perturbed(
            lambda move: np.array([_mean_loss(_trained(task, move), move(np.asarray(x, dtype=np.float64)), labels)]),
            unit_roundoff=UNIT_ROUNDOFF[task.dtype],
            scale=1.0,
        )

    verdicts = []
    for way, run in seen.runs.items():
        if len(run.validation) != seen.task.epochs:
            return failed(f"{way}: {len(run.validation)} held-out losses for {seen.task.epochs} epochs")
        for epoch, loss in enumerate(run.validation, 1):
            verdicts.append(within(f"{way}: held-out loss after epoch {epoch}", np.array([loss]), run_of(epoch)))
    return first_failure(*verdicts)


def _shortened(task: Task, epochs: int) -> Task:
    from dataclasses import replace

    return replace(task, epochs=epochs)


def same_run(first: str, second: str, seen: Training) -> Verdict:
    """Two runs are one: losses, weights and steps, bit for bit."""
    a, b = seen.runs[first], seen.runs[second]
    if a.losses != b.losses:
        return failed(f"losses of {first}: {_exact(a)}; of {second}: {_exact(b)}")
    if a.steps != b.steps:
        return failed(f"{first} takes {a.steps} steps, {second} {b.steps}")
    return first_failure(*(identical(f"{second}: {name}", b.weights[name], a.weights[name]) for name in a.weights))


def _exact(run: Run) -> str:
    return ", ".join(map(repr, run.losses))


def batch_size_is_irrelevant(seen: Scoring) -> Verdict:
    """In batches of any size, a last one that is short included: the loss, the metrics and the outputs of the reference.

    The loss and the accuracy count every sample once, or by its weight: the loss is the sum over the number of samples,
    weighted accuracy the sum over the sum of the weights, as the documentation of `Loss` and `Mean` has it.
    """
    unit = UNIT_ROUNDOFF["float32"]
    counts = np.ones(len(seen.x)) if seen.sample_weights is None else np.asarray(seen.sample_weights, dtype=np.float64)

    def outputs(move: Move) -> Array:
        weights = {name: move(np.asarray(value, dtype=np.float64)) for name, value in seen.weights.items()}
        return inference(weights, move(np.asarray(seen.x, dtype=np.float64)))

    expected = perturbed(outputs, unit_roundoff=unit, scale=1.0)
    loss = perturbed(
        lambda move: np.array([np.mean(counts * cross_entropy(outputs(move), seen.labels))]), unit_roundoff=unit, scale=1.0
    )
    right = expected.value.argmax(axis=1) == seen.labels
    ordered = np.sort(expected.value, axis=1)
    close = ordered[:, -1] - ordered[:, -2] < 2 * expected.tolerance.max()
    if close.any():
        return failed(f"{int(close.sum())} samples are too close to two classes for their accuracy to be known")
    shares = {"accuracy": float(np.mean(right)), "weighted_accuracy": float(np.sum(counts * right) / np.sum(counts))}
    verdicts = []
    for way, scores in seen.ways.items():
        if scores.outputs is not None:
            verdicts.append(within(f"{way}: outputs", scores.outputs, expected))
        for name, value in scores.figures.items():
            # A sum of n numbers that were rounded, over another.
            bounded = loss if name == "loss" else _rounded(shares[name], len(right))
            verdicts.append(within(f"{way}: {name}", np.array([value]), bounded))
    return first_failure(*verdicts) if verdicts else failed("nothing was scored")


def _rounded(value: float, count: int) -> Bounded:
    unit = UNIT_ROUNDOFF["float32"]
    return Bounded(
        np.array([value]), np.array([(2 * count + 4) * unit]), f"a quotient of two sums of {count} numbers in float32"
    )
