"""The properties of callbacks pass what the documentation says, computed here, and catch planted defects. No framework."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from test_training_steps import in_float32, start

from pytest_dlcheck.observe.training_models import samples
from pytest_dlcheck.observe.training_observations import Task
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
    draw_plan,
    draw_plateau,
)
from pytest_dlcheck.properties import training_callbacks as properties
from pytest_dlcheck.references.training import Batch, Descent, batches_of, cross_entropy, inference, train

RATE = 0.25
VALUES = (3.0, 2.0, 2.0, 1.875, 2.5, 1.0, 1.0, 1.0, 1.0)
STOPPING = {
    "monitor": "loss",
    "mode": "min",
    "patience": 2,
    "min_delta": 0.0,
    "restore_best_weights": True,
    "start_from_epoch": 0,
}


def of_epoch(epoch: int) -> dict[str, np.ndarray]:
    return {"out.bias": np.float32([epoch, -epoch])}


def stopped(epochs: int, kept: int, values: tuple[float, ...] = VALUES, **changes: Any) -> Watched:
    """A run that ends after so many epochs, with the weights of epoch `kept`, from 1."""
    plan = Planned(values, changes.pop("higher", False), {**STOPPING, **changes})
    return Watched(plan, tuple(of_epoch(each) for each in range(1, epochs + 1)), of_epoch(kept))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (stopped(8, 6), [stopped(7, 6), stopped(9, 6), stopped(8, 8), stopped(8, 7), stopped(3, 2)]),
        (stopped(3, 2, patience=1), [stopped(4, 2, patience=1), stopped(3, 3, patience=1), stopped(2, 2, patience=1)]),
        (stopped(3, 2, patience=0), [stopped(4, 4, patience=0), stopped(1, 1, patience=0)]),
        (stopped(8, 8, restore_best_weights=False), [stopped(8, 6, restore_best_weights=False)]),
        (stopped(4, 2, min_delta=0.25), [stopped(8, 6, min_delta=0.25), stopped(3, 2, min_delta=0.25)]),
        (stopped(3, 1, higher=True, mode="max"), [stopped(8, 6, higher=True, mode="max"), stopped(2, 1, higher=True)]),
        (stopped(8, 6, start_from_epoch=2), [stopped(5, 4, start_from_epoch=2)]),
        (stopped(7, 5, higher=True, start_from_epoch=2), [stopped(4, 3, higher=True, start_from_epoch=2)]),
        (stopped(9, 6, patience=5), [stopped(8, 6, patience=5)]),
    ],
)
def test_stops_early(right: Watched, wrong: list[Watched]) -> None:
    verdict = properties.stops_early(right)
    assert verdict.outcome == "pass", verdict.message
    for each in wrong:
        assert properties.stops_early(each).outcome == "fail", each


def test_stops_by_the_baseline() -> None:
    falling = (5.0, 4.0, 3.0, 2.5, 2.0, 1.5)
    for epochs in (2, 3):
        assert properties.stops_by_the_baseline(stopped(epochs, 1, falling, baseline=1.0)).outcome == "pass"
    assert properties.stops_by_the_baseline(stopped(6, 6, falling, baseline=1.0)).outcome == "fail"
    assert "is reached" in properties.stops_by_the_baseline(stopped(2, 1, falling, baseline=2.25)).message


PLATEAU = {"monitor": "loss", "mode": "min", "patience": 2, "factor": 0.5, "min_delta": 0.0, "min_lr": 0.0, "cooldown": 0}


def reduced(*rates: float, values: tuple[float, ...] = VALUES, **changes: Any) -> Watched:
    return Watched(Planned(values, False, {**PLATEAU, **changes}), (), {}, tuple(np.float32(rates).tolist()), 1.0)


LEVEL = (2.0,) * 9


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (
            reduced(1, 1, 1, 1, 1, 1, 1, 0.5, 0.5),
            [reduced(1, 1, 1, 1, 1, 1, 1, 1, 0.5), reduced(1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25), reduced(*[1] * 9)],
        ),
        (
            reduced(1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625, values=LEVEL),
            [
                reduced(1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625, 0.0625, values=LEVEL),
                reduced(1, 1, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, values=LEVEL),
                reduced(1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, values=LEVEL),
            ],
        ),
        (
            reduced(1, 1, 0.5, 0.5, 0.3, 0.3, 0.3, 0.3, 0.3, values=LEVEL, min_lr=0.3),
            [
                reduced(1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25, values=LEVEL, min_lr=0.3),
                reduced(1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, values=LEVEL, min_lr=0.3),
            ],
        ),
        (
            reduced(1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625, 0.0625, values=LEVEL, patience=1, cooldown=1),
            # What Keras does: a cooldown of 1 is one of 0.
            [
                reduced(
                    1, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625, values=LEVEL, patience=1, cooldown=1
                )
            ],
        ),
        (
            reduced(1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125, values=LEVEL, patience=1, cooldown=2),
            [reduced(1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625, 0.0625, values=LEVEL, patience=1, cooldown=2)],
        ),
    ],
)
def test_reduces_the_rate(right: Watched, wrong: list[Watched]) -> None:
    verdict = properties.reduces_the_rate(right)
    assert verdict.outcome == "pass", verdict.message
    for each in wrong:
        assert properties.reduces_the_rate(each).outcome == "fail", each


def kept(*epochs: int, of: Callable[[int], dict[str, np.ndarray]] = of_epoch, **changes: Any) -> Watched:
    plan = Planned(VALUES, False, {"monitor": "loss", "mode": "min", "save_best_only": True, **changes})
    return Watched(plan, tuple(of_epoch(each) for each in range(1, 10)), {}, kept={epoch: of(epoch) for epoch in epochs})


def test_keeps_the_best() -> None:
    assert properties.keeps_the_best(kept(1, 2, 4, 6)).outcome == "pass"
    assert properties.keeps_the_best(kept(*range(1, 10), save_best_only=False)).outcome == "pass"
    assert properties.keeps_the_best(kept(4, 6, initial_value_threshold=2.0)).outcome == "pass"
    for wrong in (
        kept(1, 2, 3, 4, 6),
        kept(1, 2, 4),
        kept(1, 2, 4, 6, save_best_only=False),
        kept(1, 2, 4, 6, of=lambda epoch: of_epoch(epoch - 1)),
        kept(1, 2, 4, 6, of=lambda epoch: {}),
        kept(1, 2, 4, 6, initial_value_threshold=2.0),
    ):
        assert properties.keeps_the_best(wrong).outcome == "fail", wrong


X, LABELS = samples(1, 8)


def task(**changes: Any) -> Task:
    return Task(start(normalized=False), X, LABELS, None, **{"batch_size": 8, "epochs": 4, "rate": RATE, **changes})


def after(of: Task, rates: Any = None, steps: int | None = None) -> dict[str, np.ndarray]:
    steps_of = batches_of(of.x, of.labels, None, of.batch_size, of.epochs)[:steps]
    found = train(of.start, steps_of, Descent(of.rate if rates is None else rates), in_float32).weights
    return {name: value.astype(np.float32) for name, value in found.items()}


RATES = (0.5, 0.25, 0.125, 0.25)


def scheduled(**changes: Any) -> Scheduled:
    of = task(rate=RATES)
    return replace(Scheduled(of, (0.25, *RATES[:-1]), RATES, after(of)), **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"given": (0.25,) * 4},
        {"given": RATES},
        {"reported": (0.25, *RATES[:-1])},
        {"final": after(task(rate=RATES), (0.25, *RATES[:-1]))},
        {"final": after(task())},
    ],
    ids=["always the first", "already the new", "reported an epoch late", "used an epoch late", "not used"],
)
def test_follows_the_schedule(changes: dict[str, Any]) -> None:
    assert properties.follows_the_schedule(scheduled()).outcome == "pass"
    assert properties.follows_the_schedule(scheduled(**changes)).outcome == "fail"


def test_saves_every_so_often() -> None:
    of = task(batch_size=2, epochs=2)
    right = Checkpoints(of, 3, {step: after(of, steps=step) for step in (3, 6)})
    assert properties.saves_every_so_often(right).outcome == "pass"
    for files in (
        {step: after(of, steps=step) for step in (3, 7)},  # counted anew in each epoch
        {3: after(of, steps=3)},
        {step: after(of, steps=step - 1) for step in (3, 6)},  # before the step
        {3: after(of, steps=3), 6: after(of, steps=3)},
    ):
        assert properties.saves_every_so_often(replace(right, files=files)).outcome == "fail"


def ended(*batches: int, closed: bool = True) -> Ended:
    hooks = ["on_train_begin", "on_epoch_begin", *["on_train_batch_begin", "on_train_batch_end"] * len(batches)]
    return Ended(2, (batches,), (*hooks, *(["on_epoch_end", "on_train_end"] if closed else [])))


def test_stops_at_nan() -> None:
    assert properties.stops_at_nan(ended(0, 1, 2)).outcome == "pass"
    for wrong in (
        ended(0, 1, 2, 3),
        ended(0, 1),
        ended(0, 1, 2, closed=False),
        replace(ended(0, 1, 2), batches=((0, 1, 2), (0,))),
    ):
        assert properties.stops_at_nan(wrong).outcome == "fail"


def test_backs_up() -> None:
    right = Backup(2, 4, (2, 3), of_epoch(4), of_epoch(4), left=False)
    assert properties.backs_up(right).outcome == "pass"
    near = {"out.bias": np.nextafter(of_epoch(4)["out.bias"], np.float32(9))}
    for changes in ({"resumed": (0, 1, 2, 3)}, {"resumed": (3,)}, {"left": True}, {"final": near}, {"final": {}}):
        assert properties.backs_up(replace(right, **changes)).outcome == "fail", changes


def test_backs_up_twice() -> None:
    right = BrokenTwice(3, (6, 14), (0, 1, 3), 16, 16, of_epoch(4), of_epoch(4))
    assert properties.backs_up_twice(right).outcome == "pass"
    near = {"out.bias": np.nextafter(of_epoch(4)["out.bias"], np.float32(9))}
    for changes in ({"counted": 18}, {"counted": 12}, {"final": near}, {"final": {}}):
        assert properties.backs_up_twice(replace(right, **changes)).outcome == "fail", changes


def test_epochs_that_are_begun_again() -> None:
    right = BrokenTwice(3, (6, 9), (0, 1, 1), 16, 16, of_epoch(4), of_epoch(4))
    assert properties.goes_back_to_no_epoch(right).outcome == "pass"
    assert properties.goes_back_to_no_epoch(replace(right, begun=(0, 1, 0))).outcome == "fail"


def test_a_fit_that_begins_where_another_one_was_restored() -> None:
    assert properties.fits_from_the_first_epoch((0, 1, 2, 3), 4).outcome == "pass"
    for epochs in ((2, 3), (0, 1, 2), ()):
        assert properties.fits_from_the_first_epoch(epochs, 4).outcome == "fail"


def averaged(*, momentum: float = 0.75, from_zero: bool = False, raw: bool = False, disturbed: bool = False) -> Averaged:
    """Four steps; averages with this momentum, from zero, or not used; training that goes on from them."""
    of, losses, weights = task(), [], start(normalized=False)
    average = {name: np.zeros_like(value) for name, value in weights.items()} if from_zero else {}
    for _ in range(4):
        weights = dict(train(weights, [Batch(X, LABELS)], Descent(RATE), in_float32).weights)
        average = {
            name: momentum * average[name] + (1 - momentum) * value if average else value for name, value in weights.items()
        }
        losses.append(float(np.mean(cross_entropy(inference(weights if raw else average, X), LABELS))))
        weights = dict(average) if disturbed else weights
    return Averaged(of, 0.75, (X, LABELS), tuple(losses), average, of_epoch(1), of_epoch(1))


def test_averages() -> None:
    assert properties.averages_are_scored(averaged()).outcome == "pass"
    for wrong in (averaged(momentum=0.7), averaged(from_zero=True), averaged(raw=True), averaged(disturbed=True)):
        assert properties.averages_are_scored(wrong).outcome == "fail"
    assert properties.averages_are_scored(replace(averaged(), final=after(task()))).outcome == "fail"


def test_swaps_back() -> None:
    right = averaged()
    before = start(normalized=False)
    averages = {name: np.float32(value) for name, value in right.final.items()}
    in_place = {}
    for name, value in before.items():
        w, a = value, averages[name]
        for _ in range(2):
            w = w + a
            a = w - a
            w = w - a
        in_place[name] = w
    right = replace(right, before_predicting=before, after_predicting=in_place)
    assert any((in_place[name] != before[name]).any() for name in before)
    assert properties.swaps_back_after_predicting(right).outcome == "pass"
    assert properties.swaps_back_after_predicting(replace(right, after_predicting=averages)).outcome == "fail"
    near = {**before, "out.bias": before["out.bias"] + np.float32(1e-5)}
    assert properties.swaps_back_after_predicting(replace(right, after_predicting=near)).outcome == "fail"


def test_fits_again() -> None:
    assert properties.fits_again(Continued(None, 2)).outcome == "pass"
    assert properties.fits_again(Continued(None, 1)).outcome == "fail"
    assert "TypeError: no" in properties.fits_again(Continued("TypeError: no", 0)).message


@pytest.mark.parametrize("draw", [draw_plan, draw_plateau])
def test_plans_are_drawn_from_the_seed_and_differ(draw: Callable[[np.random.Generator], Planned]) -> None:
    first, again = ([draw(rng) for _ in range(30)] for rng in (np.random.default_rng(3), np.random.default_rng(3)))
    assert first == again
    for name in first[0].arguments:
        assert name == "cooldown" or len({plan.arguments[name] for plan in first}) > 1, name
    if draw is draw_plan:
        # Both ends occur: stopped early, and run to the last epoch.
        ends = {properties._stop(plan)[0] == len(plan.values) for plan in first}
        assert ends == {True, False}
