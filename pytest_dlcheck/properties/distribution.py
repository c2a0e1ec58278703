"""What must hold of training over several devices: it is training on one, and what was to be cut is cut."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.observe.distribution_observations import ALONE, TOGETHER, Cut, Distributed, Laid, Uneven
from pytest_dlcheck.observe.layer_observation import Raised
from pytest_dlcheck.properties import training
from pytest_dlcheck.properties.comparison import identical, within
from pytest_dlcheck.properties.verdict import Verdict, failed, first_failure, passed
from pytest_dlcheck.references.replicas import STATISTICS, train_in_replicas
from pytest_dlcheck.references.training import Batch, Descent, Trained
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, Bounded, perturbed

__all__ = [
    "batches_are_cut",
    "equals_one_device",
    "is_replicated_training",
    "scores_a_short_batch",
    "trains_on_a_short_batch",
    "variables_are_cut",
    "variables_are_whole",
]

Array = NDArray[Any]


def equals_one_device(seen: Distributed) -> Verdict:
    """Both runs, on one device and on several, take the steps and report the losses of the reference in float64."""
    missing = {ALONE, TOGETHER} - set(seen.training.runs)
    if missing:
        return failed(f"there is no run on {' nor on '.join(sorted(missing))}")
    return first_failure(training.takes_the_steps(seen.training), training.reported_losses(seen.training))


def trains_on_a_short_batch(seen: Uneven) -> Verdict:
    """With a last batch that is short, on one device and on several, the steps and losses of the reference in float64."""
    if isinstance(seen.training, Raised):
        return failed(f"{seen.count} samples: {seen.training}")
    return first_failure(training.takes_the_steps(seen.training), training.reported_losses(seen.training))


def scores_a_short_batch(seen: Uneven) -> Verdict:
    """With a last batch that is short, `evaluate` and `predict` give the loss and the outputs of the reference in float64."""
    if isinstance(seen.scoring, Raised):
        return failed(f"{seen.count} samples: {seen.scoring}")
    missing = {ALONE, TOGETHER} - set(seen.scoring.ways)
    if missing:
        return failed(f"nothing was scored on {' nor on '.join(sorted(missing))}")
    return training.batch_size_is_irrelevant(seen.scoring)


def _rows(values: Array) -> Array:
    """In an order of their own."""
    return np.asarray(values[np.lexsort(values.T[::-1])])


def _held(what: str, laid: Laid, devices: tuple[str, ...]) -> Verdict | None:
    """What is wrong with the devices that hold a value, if anything."""
    holders = [piece.device for piece in laid.pieces]
    if len(holders) != len(devices) or len(set(holders)) != len(devices):
        return failed(f"{what} is held by {', '.join(holders) or 'no device'}, and not once by each of {', '.join(devices)}")
    return None


def batches_are_cut(seen: Distributed) -> Verdict:
    """In each step every device has an equal part of the batch, and together they have every sample of it.

    Each sample is there once; or, where several devices are to share a part, as often as devices do.
    """
    parts, task = seen.batch_cut.parts, seen.training.task
    expected_steps = task.epochs * task.steps_per_epoch
    if len(seen.batches) != expected_steps:
        return failed(f"{len(seen.batches)} steps were taken of {expected_steps}")
    if len(seen.devices) % parts:
        return failed(f"{len(seen.devices)} devices cannot hold {parts} parts")
    for number, batch in enumerate(seen.batches, 1):
        what = f"the batch of step {number}"
        if len(batch.pieces) != len(seen.devices) or len({piece.device for piece in batch.pieces}) != len(seen.devices):
            holders = ", ".join(piece.device for piece in batch.pieces) or "none"
            return failed(f"{what} went to {holders}, and not to each of {len(seen.devices)} devices")
        sizes = [len(piece.values) for piece in batch.pieces]
        if len(batch.whole) % parts or set(sizes) != {len(batch.whole) // parts}:
            return failed(f"{what}: {sizes} samples a device of {len(batch.whole)}, instead of one of {parts} equal parts")
        together = np.concatenate([piece.values for piece in batch.pieces])
        copies = np.repeat(batch.whole, len(seen.devices) // parts, axis=0)
        verdict = identical(f"{what}: samples of all devices, sorted", _rows(together), _rows(copies))
        if verdict.outcome != "pass":
            return verdict
    if seen.replicas != parts:
        return failed(f"{seen.replicas} replicas are said to be trained, and the batch is cut into {parts} parts")
    return passed(f"{len(seen.batches)} batches, each in {parts} equal parts on {len(seen.devices)} devices")


def _whole(what: str, laid: Laid, devices: tuple[str, ...]) -> Verdict:
    wrong = _held(what, laid, devices)
    if wrong is not None:
        return wrong
    return first_failure(*(identical(f"{what} on {piece.device}", piece.values, laid.whole) for piece in laid.pieces))


def _cut(what: str, laid: Laid, cut: Cut, devices: tuple[str, ...]) -> Verdict:
    wrong = _held(what, laid, devices)
    if wrong is not None:
        return wrong
    wide = laid.whole.shape[cut.axis] // cut.parts
    shape = tuple(wide if axis == cut.axis else length for axis, length in enumerate(laid.whole.shape))
    starts: dict[int, int] = {}
    for piece in laid.pieces:
        on = f"{what} on {piece.device}"
        if piece.start is None or piece.values.shape != shape:
            return failed(f"{on}: shape {piece.values.shape}, not the {shape} of one of {cut.parts} parts")
        start = piece.start[cut.axis]
        part = np.take(laid.whole, np.arange(start, min(start + wide, laid.whole.shape[cut.axis])), axis=cut.axis)
        verdict = identical(f"{on}, from {start} on along axis {cut.axis}", piece.values, part)
        if verdict.outcome != "pass":
            return verdict
        starts[start] = starts.get(start, 0) + 1
    if starts != {number * wide: len(devices) // cut.parts for number in range(cut.parts)}:
        return failed(f"{what}: parts begin at {starts} (index: devices), and not {cut.parts} equal ones on as many each")
    return passed(f"{what}: {cut.parts} parts of shape {shape}")


def variables_are_whole(seen: Distributed) -> Verdict:
    """Each variable that was not to be cut lies on each device, and is the same on all, bit for bit."""
    whole = {name: laid for name, laid in seen.variables.items() if name not in seen.cuts}
    if not whole:
        return failed("no variable was to lie on each device as a whole")
    if lost := set(seen.variables) - set(seen.before):
        return failed(f"not there before the first step: {', '.join(sorted(lost))}")
    early = {name: seen.before[name] for name in whole}
    return first_failure(
        *(_whole(f"before the first step, {name}", laid, seen.devices) for name, laid in early.items()),
        *(_whole(name, laid, seen.devices) for name, laid in whole.items()),
    )


def variables_are_cut(seen: Distributed) -> Verdict:
    """Each variable that was to be cut is: every device has one part, the parts are equal and are the whole together."""
    missing = [name for name in seen.cuts if name not in seen.variables]
    if missing or not seen.cuts:
        return failed(f"was to be cut, and is not there: {', '.join(missing) or 'nothing was asked for'}")
    if lost := set(seen.cuts) - set(seen.before):
        return failed(f"not there before the first step: {', '.join(sorted(lost))}")
    return first_failure(
        *(_cut(f"before the first step, {name}", seen.before[name], cut, seen.devices) for name, cut in seen.cuts.items()),
        *(_cut(name, seen.variables[name], cut, seen.devices) for name, cut in seen.cuts.items()),
    )


def is_replicated_training(seen: Distributed) -> Verdict:
    """With a batch normalization that is not synchronized: the steps of replicas that each normalize their own part, and
    average their gradients. Moving statistics count by their mean over the replicas."""
    task, run = seen.training.task, seen.training.runs[TOGETHER]
    steps = [[_part_of(piece.values, task.x, task.labels) for piece in batch.pieces] for batch in seen.batches]

    def bounded(read: Callable[[Trained], Any]) -> Bounded:
        descent = Descent(task.rate, task.momentum)
        return perturbed(
            lambda move: np.asarray(read(train_in_replicas(task.start, steps, descent, move)), dtype=np.float64),
            unit_roundoff=UNIT_ROUNDOFF[task.dtype],
            scale=1.0,
        )

    def weight(name: str, trained: Trained) -> Array:
        return trained.weights[name]

    def of_epochs(trained: Trained) -> Array:
        return np.asarray(np.array(trained.losses).reshape(task.epochs, -1).mean(axis=1))

    if run.steps != task.updates:
        return failed(f"the optimizer counts {run.steps} steps of {task.updates}")
    found = {name: run.weights[name] for name in task.start if name not in STATISTICS}
    for name in STATISTICS:
        pieces = [piece.values.astype(np.float64) for piece in seen.variables[name].pieces]
        found[f"{name}, mean over replicas"] = np.mean(pieces, axis=0)
    return first_failure(
        *(within(name, value, bounded(partial(weight, name.split(",")[0]))) for name, value in found.items()),
        within("losses of the epochs", np.array(run.losses), bounded(of_epochs)),
    )


def _part_of(rows: Array, x: Array, labels: Array) -> Batch:
    """The samples with their labels, found by their values."""
    where = [int(np.flatnonzero((x == row).all(axis=1))[0]) for row in rows]
    return Batch(rows, labels[where])
