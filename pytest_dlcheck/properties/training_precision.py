"""What must hold between a gradient and an update: accumulation is the big batch, a scaled loss is the loss."""

from __future__ import annotations

from dataclasses import replace

from pytest_dlcheck.observe.training_observations import Accumulated, Run, Scaled, Training
from pytest_dlcheck.properties.comparison import identical
from pytest_dlcheck.properties.training import first_failure, takes_the_steps
from pytest_dlcheck.properties.verdict import PASS, Verdict, failed, passed

__all__ = ["accumulation_is_the_big_batch", "scales_the_loss", "skips_what_is_not_finite"]


def accumulation_is_the_big_batch(seen: Accumulated) -> Verdict:
    """Weights stay, bit for bit, until the last batch of a group, and then take the step of the whole group at once."""
    every = seen.small.task.accumulation
    for number, weights in enumerate(seen.after, 1):
        before = seen.small.task.start if number == 1 else seen.after[number - 2]
        still = [identical(name, weights[name], before[name]).outcome == PASS for name in weights]
        if number % every and not all(still):
            return failed(f"batch {number} of groups of {every} moves weights")
        if not number % every and any(still):
            return failed(f"batch {number}, the last of its group of {every}, leaves weights where they are")
    return first_failure(*(takes_the_steps(_counted(each)) for each in (seen.big, seen.small)))


def _counted(seen: Training) -> Training:
    """With the count of steps that is expected: whether `iterations` counts batches or updates is not documented."""
    return replace(seen, runs={way: replace(run, steps=seen.task.updates) for way, run in seen.runs.items()})


def skips_what_is_not_finite(seen: Scaled) -> Verdict:
    """A step whose gradients overflow changes no weight and counts no update; it halves the scale.

    A finite one counts; after `growth` of them in a row the scale is doubled.
    """
    if all(step.finite for step in seen.steps) or not any(step.finite for step in seen.steps):
        return failed("only one kind of step was taken")
    scale, updates, row, before = seen.scale, 0, 0, seen.task.start
    for number, step in enumerate(seen.steps, 1):
        if step.finite:
            updates, row = updates + 1, row + 1
            scale, row = (scale * 2, 0) if row == seen.growth else (scale, row)
        else:
            scale, row = scale / 2, 0
        if step.scale != scale:
            return failed(f"the scale after step {number} is {step.scale:g} instead of {scale:g}")
        if step.updates != updates:
            return failed(f"after step {number} the optimizer counts {step.updates} updates instead of {updates}")
        if not step.finite:
            verdict = first_failure(
                *(identical(f"{name} after step {number}", step.weights[name], before[name]) for name in before)
            )
            if verdict.outcome != PASS:
                return verdict
        before = step.weights
    return passed(f"{len(seen.steps)} steps, of which {sum(not step.finite for step in seen.steps)} overflow")


def scales_the_loss(seen: Scaled) -> Verdict:
    """A finite step is the step of the loss that is not scaled, as far as half precision can tell.

    Each step is judged by itself, from the weights before it.
    """
    verdicts, before = [], seen.task.start
    for number, step in enumerate(seen.steps, 1):
        if step.finite:
            task = replace(seen.task, start=before)
            verdicts.append(takes_the_steps(Training(task, {f"step {number}": Run((), step.weights, 1)})))
        before = step.weights
    return first_failure(*verdicts)
