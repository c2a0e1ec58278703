"""What callbacks document: the rules are computed here, from the quantities that they watched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.observe.training_observations import Run, Training
from pytest_dlcheck.observe.training_watched import (
    Averaged,
    Backup,
    BrokenTwice,
    Checkpoints,
    Continued,
    Ended,
    Planned,
    Scheduled,
    Watched,
)
from pytest_dlcheck.properties.comparison import identical, within
from pytest_dlcheck.properties.training import first_failure, takes_the_steps
from pytest_dlcheck.properties.verdict import Verdict, failed, passed
from pytest_dlcheck.references.training import Batch, Descent, cross_entropy, inference, train
from pytest_dlcheck.tolerance import SMALLEST_NORMAL, UNIT_ROUNDOFF, Bounded, perturbed

__all__ = [
    "averages_are_scored",
    "backs_up",
    "backs_up_twice",
    "fits_again",
    "fits_from_the_first_epoch",
    "follows_the_schedule",
    "goes_back_to_no_epoch",
    "keeps_the_best",
    "reduces_the_rate",
    "saves_every_so_often",
    "stops_at_nan",
    "stops_by_the_baseline",
    "stops_early",
    "swaps_back_after_predicting",
]

Array = NDArray[Any]
Weights = Mapping[str, Array]


def _same(what: str, found: Weights, expected: Weights) -> Verdict:
    if set(found) != set(expected):
        return failed(f"{what}: weights {', '.join(sorted(found))} instead of {', '.join(sorted(expected))}")
    return first_failure(*(identical(f"{what}: {name}", found[name], expected[name]) for name in expected))


def _improves(plan: Planned, value: float, best: float | None) -> bool:
    """Better than the best so far, by more than `min_delta`."""
    if best is None:
        return True
    gain = value - best if plan.higher_is_better else best - value
    return bool(gain > plan.arguments.get("min_delta", 0))


def _stop(plan: Planned) -> tuple[int, int | None]:
    """After how many epochs EarlyStopping stops, and which epoch, from 0, was the best.

    `patience` epochs without improvement end the run, one at least; those before `start_from_epoch` are not looked at.
    """
    best, best_epoch, wait = None, None, 0
    for epoch, value in enumerate(plan.values):
        if epoch < plan.arguments.get("start_from_epoch", 0):
            continue
        if _improves(plan, value, best):
            best, best_epoch, wait = value, epoch, 0
            continue
        wait += 1
        if wait >= max(1, plan.arguments["patience"]):
            return epoch + 1, best_epoch
    return len(plan.values), best_epoch


def stops_early(seen: Watched) -> Verdict:
    """EarlyStopping stops after `patience` epochs without improvement, and restores the best weights if it is to."""
    epochs, best = _stop(seen.plan)
    told = seen.plan.told()
    if len(seen.after) != epochs:
        return failed(f"stopped after {len(seen.after)} epochs instead of {epochs}: {told}")
    restored = seen.plan.arguments["restore_best_weights"] and best is not None
    kept = best if restored and best is not None else epochs - 1
    return first_failure(
        _same(f"weights of epoch {kept + 1} ({told})", seen.final, seen.after[kept]), passed(f"{epochs} epochs: {told}")
    )


def stops_by_the_baseline(seen: Watched) -> Verdict:
    """Where no epoch improves on the baseline, training runs for `patience` epochs (one more is let pass)."""
    plan = seen.plan
    if any(_improves(plan, value, plan.arguments["baseline"]) for value in plan.values):
        return failed(f"the baseline is reached: {plan.told()}")
    most = max(1, plan.arguments["patience"]) + 1
    if len(seen.after) > most:
        return failed(f"no epoch improves on the baseline, and training runs for {len(seen.after)} epochs: {plan.told()}")
    return passed(f"{len(seen.after)} epochs: {plan.told()}")


def _rates(plan: Planned, rate: float) -> list[float]:
    """The learning rate after each epoch under ReduceLROnPlateau.

    `patience` epochs without improvement, one at least, reduce it; then `cooldown` epochs are not counted.
    """
    arguments, found = plan.arguments, []
    best, wait, resting = None, 0, 0
    for value in plan.values:
        better = _improves(plan, value, best)
        best = value if better else best
        if better or resting:
            wait = 0
        else:
            wait += 1
        resting = max(0, resting - 1)
        if wait >= max(1, arguments["patience"]) and rate > arguments["min_lr"]:
            rate, wait, resting = max(rate * arguments["factor"], arguments["min_lr"]), 0, arguments["cooldown"]
        found.append(rate)
    return found


def reduces_the_rate(seen: Watched) -> Verdict:
    """ReduceLROnPlateau multiplies the rate by its factor after `patience` epochs without improvement, and not before."""
    expected = np.array(_rates(seen.plan, seen.first_rate))
    if len(seen.rates) != len(expected):
        return failed(f"{len(seen.rates)} epochs were run of {len(expected)}")
    # A product and its storing in float32, for each reduction.
    tolerance = 2 * (len(expected) + 1) * UNIT_ROUNDOFF["float32"] * expected
    verdict = within("learning rates", np.array(seen.rates), Bounded(expected, tolerance, "two roundings for each reduction"))
    return verdict if verdict.outcome == "pass" else failed(f"{verdict.message}\n  {seen.plan.told()}")


def keeps_the_best(seen: Watched) -> Verdict:
    """ModelCheckpoint saves an epoch's weights if it is better than all before, or every epoch's if it is not to choose."""
    plan = seen.plan
    best = plan.arguments.get("initial_value_threshold")
    expected = []
    for epoch, value in enumerate(plan.values, 1):
        if not plan.arguments["save_best_only"] or _improves(plan, value, best):
            best = value
            expected.append(epoch)
    if list(seen.kept) != expected:
        return failed(f"saved epochs {list(seen.kept)} instead of {expected}: {plan.told()}")
    return first_failure(
        *(_same(f"the file of epoch {epoch}", seen.kept[epoch], seen.after[epoch - 1]) for epoch in expected),
        passed(f"epochs {expected}: {plan.told()}"),
    )


def follows_the_schedule(seen: Scheduled) -> Verdict:
    """LearningRateScheduler hands over the rate before, reports the one of each epoch, and training uses it."""
    rates = seen.task.rate
    assert isinstance(rates, tuple)
    before = (*seen.given[:1], *rates[:-1])
    if seen.given != before:
        return failed(f"the schedule is given the rates {seen.given}, and those before are {before}")
    if seen.reported != rates:
        return failed(f"the history reports the rates {seen.reported} instead of {rates}")
    return takes_the_steps(Training(seen.task, {"fit with a schedule": Run((), seen.final, seen.task.updates)}))


def saves_every_so_often(seen: Checkpoints) -> Verdict:
    """ModelCheckpoint with `save_freq=n` saves after every n batches, whatever the epoch, the weights after that batch."""
    task = seen.task
    total = task.epochs * task.steps_per_epoch
    expected = list(range(seen.every, total + 1, seen.every))
    if sorted(seen.files) != expected:
        return failed(f"files of the steps {sorted(seen.files)} instead of {expected}")
    verdicts = []
    for step, weights in seen.files.items():
        # The first steps as a task of their own: the samples over and over, as far as that.
        count = step * task.batch_size
        over = [np.concatenate([each] * task.epochs)[:count] for each in (task.x, task.labels)]
        part = replace(task, x=over[0], labels=over[1], epochs=1)
        verdicts.append(takes_the_steps(Training(part, {f"the file of step {step}": Run((), weights, step)})))
    return first_failure(*verdicts)


def stops_at_nan(seen: Ended) -> Verdict:
    """TerminateOnNaN ends the run with the batch whose loss is not finite, and the hooks that close it are still called."""
    expected = (tuple(range(seen.bad + 1)),)
    if seen.batches != expected:
        return failed(f"batches {seen.batches} ended; the loss is not finite in batch {seen.bad}, so {expected} must")
    batches = ("on_train_batch_begin", "on_train_batch_end") * (seen.bad + 1)
    hooks = ("on_train_begin", "on_epoch_begin", *batches, "on_epoch_end", "on_train_end")
    if seen.hooks != hooks:
        return failed(f"the hooks {', '.join(seen.hooks)} instead of {', '.join(hooks)}")
    return passed(f"ended with batch {seen.bad}")


def backs_up(seen: Backup) -> Verdict:
    """BackupAndRestore takes an interrupted run up where it was, to the very weights of one that nothing disturbed."""
    expected = tuple(range(seen.broken_off, seen.epochs))
    if seen.resumed != expected:
        return failed(f"the second run makes the epochs {seen.resumed} instead of {expected}")
    if seen.left:
        return failed("the backup is still there after a run that came to its end")
    return _same("weights after the second run", seen.final, seen.whole)


def backs_up_twice(seen: BrokenTwice) -> Verdict:
    """BackupAndRestore takes a run up that is broken off twice, and it ends with the weights of one that nothing disturbed."""
    said = f"broken off after {' and '.join(map(str, seen.stops))} of {seen.batches} batches, backed up every {seen.backed_up}"
    if seen.counted != seen.batches:
        return failed(f"{said}: the optimizer counts {seen.counted} steps in the end instead of {seen.batches}")
    return _same(f"{said}: weights in the end", seen.final, seen.whole)


def goes_back_to_no_epoch(seen: BrokenTwice) -> Verdict:
    """A run that BackupAndRestore takes up begins with no epoch before the one that the run before it began with."""
    if list(seen.begun) != sorted(seen.begun):
        return failed(
            f"broken off after {' and '.join(map(str, seen.stops))} batches: the runs begin with the epochs {seen.begun}"
        )
    return passed(f"the runs begin with the epochs {seen.begun}")


def fits_from_the_first_epoch(epochs: tuple[int, ...], asked: int) -> Verdict:
    """A `fit` that restores nothing makes all its epochs, whatever the one before it restored."""
    if epochs != tuple(range(asked)):
        return failed(f"a fit of {asked} epochs, without callbacks, makes the epochs {epochs}: one before it was restored")
    return passed(f"the epochs {epochs}")


def _averages(seen: Averaged, move: Callable[[Array], Array]) -> list[dict[str, Array]]:
    """The moving average of the weights after each step: it begins with the weights after the first one."""
    task, weights, found = seen.task, dict(seen.task.start), []
    rate = task.rate
    assert isinstance(rate, float)
    average: dict[str, Array] = {}
    for _ in range(task.epochs):
        weights = dict(train(weights, [Batch(task.x, task.labels)], Descent(rate), move).weights)
        average = {
            name: seen.momentum * average[name] + (1 - seen.momentum) * value if average else value
            for name, value in weights.items()
        }
        found.append(average)
    return found


def averages_are_scored(seen: Averaged) -> Verdict:
    """SwapEMAWeights scores the moving averages and trains on with the weights; in the end the model has the averages."""
    x, labels = seen.held_out
    unit = UNIT_ROUNDOFF["float32"]

    def losses(move: Callable[[Array], Array]) -> Array:
        moved = move(np.asarray(x, dtype=np.float64))
        return np.array([np.mean(cross_entropy(inference(average, moved), labels)) for average in _averages(seen, move)])

    verdicts = [within("held-out losses", np.array(seen.losses), perturbed(losses, unit_roundoff=unit, scale=1.0))]
    for name in seen.task.start:

        def last(move: Callable[[Array], Array], name: str = name) -> Array:
            return _averages(seen, move)[-1][name]

        verdicts.append(within(f"{name} after training", seen.final[name], perturbed(last, unit_roundoff=unit, scale=1.0)))
    return first_failure(*verdicts)


def swaps_back_after_predicting(seen: Averaged) -> Verdict:
    """A prediction with SwapEMAWeights leaves the weights as they were.

    Weights may be swapped in place, w += a, a = w - a, w -= a, as on TensorFlow: two swaps are six sums, each of numbers of up
    to |w| + |a|.
    """
    verdicts = []
    for name, before in seen.before_predicting.items():
        value = before.astype(np.float64)
        roundings = 6 * UNIT_ROUNDOFF["float32"] * (np.abs(value) + np.abs(seen.final[name]))
        bounded = Bounded(value, roundings + SMALLEST_NORMAL, "two swaps by three sums each")
        verdicts.append(within(f"{name} after predict", seen.after_predicting[name], bounded))
    return first_failure(*verdicts)


def fits_again(seen: Continued) -> Verdict:
    """A second `fit` goes on where the first ended."""
    if seen.error is not None:
        return failed(f"a second fit raises {seen.error}")
    return passed("2 steps") if seen.steps == 2 else failed(f"after two fits of one step the optimizer counts {seen.steps}")
