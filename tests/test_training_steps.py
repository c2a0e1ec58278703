"""The properties of training pass runs that are right but for rounding, and catch planted defects. No framework: the runs are
computed here, with every weight rounded to float32 before every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_dlcheck.observe.training_models import CLASSES, FEATURES, UNITS, samples
from pytest_dlcheck.observe.training_observations import (
    Accumulated,
    Irrelevance,
    Masked,
    Run,
    Scaled,
    ScaledStep,
    Scores,
    Scoring,
    Task,
    Training,
)
from pytest_dlcheck.properties import training, training_precision, training_weights
from pytest_dlcheck.properties.verdict import Verdict
from pytest_dlcheck.references.training import Batch, Descent, batches_of, cross_entropy, inference, train

Weights = dict[str, np.ndarray]
Change = Callable[[Any], Any]


def start(*, normalized: bool = True, seed: int = 0) -> Weights:
    rng = np.random.default_rng(seed)
    shapes = {
        "hidden.kernel": (FEATURES, UNITS),
        "hidden.bias": (UNITS,),
        "out.kernel": (UNITS, CLASSES),
        "out.bias": (CLASSES,),
    }
    made = {name: 0.5 * rng.standard_normal(shape) for name, shape in shapes.items()}
    if normalized:
        made |= {"norm.gamma": rng.uniform(0.5, 1.5, UNITS), "norm.beta": 0.5 * rng.standard_normal(UNITS)}
        made |= {"norm.moving_mean": rng.standard_normal(UNITS), "norm.moving_variance": rng.uniform(0.5, 1.5, UNITS)}
    return {name: value.astype(np.float32) for name, value in made.items()}


def in_float32(value: np.ndarray) -> np.ndarray:
    return value.astype(np.float32).astype(np.float64)


def task(*, weighted: bool = False, **changes: Any) -> Task:
    x, labels = samples(1, 20)
    weights = np.random.default_rng(2).choice(np.float32([0, 0.5, 1, 2, 3]), 20) if weighted else None
    given = {"batch_size": 8, "epochs": 2, "rate": 0.25, "momentum": 0.5, **changes}
    return Task(start(), x, labels, weights, **given)


def batches(of: Task) -> list[Batch]:
    return batches_of(of.x, of.labels, of.weights, of.batch_size, of.epochs)


def run(of: Task, steps: list[Batch] | None = None) -> Run:
    """A right run of a task, or of other batches than it has."""
    steps = batches(of) if steps is None else steps
    found = train(of.start, steps, Descent(of.rate, of.momentum, of.reduction, of.accumulation), in_float32)
    sizes = np.array([len(batch.x) for batch in steps], dtype=float).reshape(of.epochs, -1)
    losses = (np.array(found.losses).reshape(sizes.shape) * sizes).sum(axis=1) / sizes.sum(axis=1)
    weights = {name: value.astype(np.float32) for name, value in found.weights.items()}
    return Run(tuple(losses.astype(np.float32).tolist()), weights, len(steps) // of.accumulation)


def seen(of: Task, found: Run | None = None) -> Training:
    return Training(of, {"fit": run(of) if found is None else found})


def without_last(of: Task) -> Run:
    """The short last batch of each epoch is dropped; the count of steps is the right one all the same."""
    kept = [batch for batch in batches(of) if len(batch.x) == of.batch_size]
    return replace(run(of, kept), steps=of.updates)


def reordered(of: Task) -> Run:
    first, second, *others = batches(of)
    return run(of, [second, first, *others])


def changed(name: str, change: Change) -> Callable[[Task], Run]:
    def apply(of: Task) -> Run:
        found = run(of)
        return replace(found, weights={**found.weights, name: change(found.weights[name])})

    return apply


def unbiased(of: Task) -> Run:
    """Moving variance from n - 1: off by a seventh, or a third in the short batch, of a tenth of the batch's."""
    found, weights = run(of), dict(of.start)
    for batch in batches(of):
        hidden = np.tanh(batch.x @ weights["hidden.kernel"] + weights["hidden.bias"])
        moving = 0.9 * weights["norm.moving_variance"] + 0.1 * hidden.var(axis=0, ddof=1)
        weights = dict(train(weights, [batch], Descent(of.rate)).weights) | {"norm.moving_variance": moving}
    return replace(found, weights={**found.weights, "norm.moving_variance": weights["norm.moving_variance"].astype(np.float32)})


STEP_DEFECTS: Mapping[str, Callable[[Task], Run]] = {
    "the short last batch is dropped": without_last,
    "two batches change places": reordered,
    "the last batch counts twice": lambda of: replace(
        run(replace(of, epochs=1), [*batches(replace(of, epochs=2)), batches(of)[-1]]), steps=of.updates
    ),
    "the rate is off by a thousandth": lambda of: run(replace(of, rate=of.rate * 1.001)),
    "no momentum": lambda of: run(replace(of, momentum=0.0)),
    "the momentum begins anew with each epoch": lambda of: replace(
        run(replace(of, start=run(replace(of, epochs=1)).weights, epochs=1)), steps=of.updates
    ),
    "the batch's loss is its sum": lambda of: run(replace(of, reduction="sum")),
    "moving variance from n - 1": unbiased,
    "moving statistics stay": lambda of: changed("norm.moving_mean", lambda _: of.start["norm.moving_mean"])(of),
    "one bias is not trained": lambda of: changed("out.bias", lambda _: of.start["out.bias"])(of),
    "one entry off by 1e-4": changed("hidden.kernel", lambda w: w + np.eye(*w.shape, dtype=np.float32) * np.float32(1e-4)),
    "not a number": changed("norm.gamma", lambda w: w * np.float32(np.nan)),
    "a step too many is counted": lambda of: replace(run(of), steps=of.updates + 1),
    "a weight is missing": lambda of: replace(run(of), weights={k: v for k, v in run(of).weights.items() if k != "norm.beta"}),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weighted", [False, True])
def test_a_right_run_passes(weighted: bool, seed: int) -> None:
    of = replace(task(weighted=weighted), start=start(seed=seed))
    assert training.takes_the_steps(seen(of)).outcome == "pass"
    assert training.reported_losses(seen(of)).outcome == "pass"


@pytest.mark.parametrize("defect", STEP_DEFECTS)
def test_a_wrong_step_is_caught(defect: str) -> None:
    of = task()
    assert training.takes_the_steps(seen(of, STEP_DEFECTS[defect](of))).outcome == "fail"


@pytest.mark.parametrize(
    "weights",
    [
        lambda w: None,
        lambda w: w[::-1],
        lambda w: w / w.mean(),
        lambda w: np.where(w == 0, 1, w),
        lambda w: np.where(w == 3, 2, w),
    ],
    ids=["ignored", "of other samples", "scaled to a mean of 1", "0 is 1", "cut off at 2"],
)
def test_a_wrong_sample_weight_is_caught(weights: Change) -> None:
    of = task(weighted=True)
    assert training.takes_the_steps(seen(of, run(replace(of, weights=weights(of.weights))))).outcome == "fail"


def test_a_task_that_trains_nothing_is_no_check() -> None:
    verdict = training.takes_the_steps(seen(task(rate=0.0)))
    assert (verdict.outcome, "trains nothing" in verdict.message) == ("fail", True)


def mean_of_batches(of: Task) -> Run:
    """What Keras reported before 3.2: each batch counts alike, however short."""
    losses = train(of.start, batches(of), Descent(of.rate, of.momentum)).losses
    return replace(run(of), losses=tuple(np.array(losses).reshape(of.epochs, -1).mean(axis=1)))


@pytest.mark.parametrize(
    "defect",
    [
        mean_of_batches,
        lambda of: replace(run(of), losses=run(of).losses[::-1]),
        lambda of: replace(run(of), losses=()),
        lambda of: replace(run(of), losses=(*run(of).losses, 0.0)),
        lambda of: replace(run(of), losses=(run(of).losses[0], float(np.mean(run(of).losses)))),
        lambda of: replace(run(of), losses=tuple(loss * 1.0001 for loss in run(of).losses)),
    ],
    ids=["a short batch counts as a full one", "epochs swapped", "none", "one too many", "not reset", "off by 1e-4"],
)
def test_a_wrong_loss_is_caught(defect: Callable[[Task], Run]) -> None:
    of = task()
    assert training.reported_losses(seen(of, defect(of))).outcome == "fail"


def test_losses_of_steps() -> None:
    of = task()
    losses = train(of.start, batches(of), Descent(of.rate, of.momentum), in_float32).losses
    assert training.reported_losses(seen(of, Run(losses, {}, 6, per_step=True))).outcome == "pass"
    running = tuple(np.cumsum(losses) / np.arange(1, 7))
    assert training.reported_losses(seen(of, Run(running, {}, 6, per_step=True))).outcome == "fail"


def split(kept: slice = slice(0, 12), *, after: int = 0) -> Training:
    """A run with eight samples held out, scored `after` epochs too late."""
    whole = task()
    of = replace(whole, x=whole.x[:12], labels=whole.labels[:12])
    x, labels = whole.x[12:], whole.labels[12:]
    part = replace(whole, x=whole.x[kept], labels=whole.labels[kept])
    losses = tuple(
        float(np.mean(cross_entropy(inference(run(replace(part, epochs=epoch + after)).weights, x), labels)))
        for epoch in (1, 2)
    )
    return Training(of, {"fit": replace(run(part), validation=losses)}, (x, labels))


def test_what_is_held_out() -> None:
    assert training.held_out_loss(split()).outcome == "pass"
    assert training.held_out_loss(split(slice(8, 20))).outcome == "fail"
    assert training.takes_the_steps(split(slice(8, 20))).outcome == "fail"
    assert training.held_out_loss(split(after=1)).outcome == "fail"
    assert training.held_out_loss(replace(split(), held_out=None)).outcome == "fail"
    assert training.held_out_loss(seen(task())).outcome == "fail"


def test_same_run() -> None:
    first = run(task())
    both = Training(task(), {"a": first, "b": first})
    assert training.same_run("a", "b", both).outcome == "pass"
    for other in (
        replace(first, losses=tuple(np.nextafter(first.losses, 9))),
        replace(first, steps=5),
        replace(first, weights={**first.weights, "out.bias": np.nextafter(first.weights["out.bias"], np.float32(9))}),
    ):
        assert training.same_run("a", "b", replace(both, runs={"a": first, "b": other})).outcome == "fail"


# Scores.


def scoring(*, weighted: bool = False, change: Change = lambda outputs: outputs, last: int = 20) -> Scoring:
    """Scores of the first `last` samples, as if they were of all."""
    weights, (x, labels) = start(), samples(1, 20)
    counts = np.random.default_rng(5).integers(0, 4, 20).astype(np.float32) if weighted else None
    outputs = inference({name: in_float32(value) for name, value in weights.items()}, x).astype(np.float32)
    w = np.ones(20) if counts is None else counts
    right = (outputs.argmax(axis=1) == labels)[:last]
    figures = {
        "loss": float(np.mean((w * cross_entropy(outputs.astype(float), labels))[:last])),
        "accuracy": float(np.mean(right)),
        "weighted_accuracy": float(np.sum(w[:last] * right) / np.sum(w[:last])),
    }
    return Scoring(weights, x, labels, counts, {"evaluate": Scores(figures), "predict": Scores({}, change(outputs))})


@pytest.mark.parametrize("weighted", [False, True])
def test_scores(weighted: bool) -> None:
    right = scoring(weighted=weighted)
    assert training.batch_size_is_irrelevant(right).outcome == "pass"
    for name, value in right.ways["evaluate"].figures.items():
        wrong = {**right.ways["evaluate"].figures, name: value + 1e-4}
        assert training.batch_size_is_irrelevant(replace(right, ways={"evaluate": Scores(wrong)})).outcome == "fail", name
    assert training.batch_size_is_irrelevant(scoring(weighted=weighted, last=16)).outcome == "fail"
    for change in (
        lambda o: o[:16],
        lambda o: o[::-1],
        lambda o: np.concatenate([o[:16], o[:4]]),
        lambda o: o.astype(np.float16),
    ):
        assert training.batch_size_is_irrelevant(scoring(change=change)).outcome == "fail"
    assert training.batch_size_is_irrelevant(replace(right, ways={})).outcome == "fail"


# Masks.


def test_irrelevance() -> None:
    weights = tuple(start().values())
    base = ((1.0, 0.5), weights)
    moved = tuple(((1.0 + d, 0.5 - d), tuple(w + np.float32(d) for w in weights)) for d in (1e-7, -1e-7, 2e-7))
    near = ((1.0 + 1e-7, 0.5), tuple(w + np.float32(1e-7) for w in weights))
    far = ((1.0 + 1e-4, 0.5), weights)
    assert training_weights.makes_no_difference(Irrelevance(base, {"same": base})).outcome == "pass"
    assert training_weights.makes_no_difference(Irrelevance(base, {"near": near})).outcome == "fail"
    assert training_weights.makes_no_difference(Irrelevance(base, {"near": near}, moved)).outcome == "pass"
    assert training_weights.makes_no_difference(Irrelevance(base, {"far": far}, moved)).outcome == "fail"
    other = ((1.0, 0.5), (weights[0] + np.float32(1e-3), *weights[1:]))
    assert training_weights.makes_no_difference(Irrelevance(base, {"weights": other}, moved)).outcome == "fail"


def masked(change: Change = lambda losses, there: losses[there].mean()) -> Masked:
    """Sentences with padding; `change` makes a loss of those of all words."""
    rng = np.random.default_rng(3)
    shapes = ((7, 3), (3, 16), (4, 16), (16,), (4, CLASSES), (CLASSES,))
    before = tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    words = np.array([[1, 2, 3, 4, 5], [6, 1, 0, 0, 0], [2, 0, 0, 0, 0]])
    labels = rng.integers(0, CLASSES, words.shape)
    after = tuple(each + np.float32(0.1) for each in before)
    after[0][0] = before[0][0]
    seen = Masked(words, labels, before, after, 0.0)
    losses = -np.log(np.take_along_axis(training_weights._probabilities(seen, in_float32), labels[..., None], -1)[..., 0])
    return replace(seen, loss=float(np.float32(change(losses, words != 0))))


def test_masked_loss() -> None:
    assert training_weights.masked_loss(masked()).outcome == "pass"
    for change in (
        lambda losses, there: losses.mean(),
        lambda losses, there: losses[there].sum() / losses.size,
        lambda losses, there: np.mean([row[keep].mean() for row, keep in zip(losses, there, strict=True)]),
        lambda losses, there: losses[there].mean() * 1.0001,
    ):
        assert training_weights.masked_loss(masked(change)).outcome == "fail"
    assert training_weights.masked_loss(replace(masked(), words=np.ones((3, 5), dtype=int))).outcome == "fail"


def test_padding_is_not_learnt() -> None:
    right = masked()
    assert training_weights.padding_is_not_learnt(right).outcome == "pass"
    for row in (0, 3):
        wrong = right.after[0].copy()
        wrong[row] = right.before[0][row] + np.float32(1e-6) if row == 0 else right.before[0][row]
        assert training_weights.padding_is_not_learnt(replace(right, after=(wrong, *right.after[1:]))).outcome == "fail"


# Accumulation and scaling.


def accumulated(*, share: float = 1.0, moves: bool = False, reset: bool = True) -> Accumulated:
    """Four small batches in groups of two; each group's step is `share` of what it must be."""
    x, labels = samples(4, 16)
    small = Task(start(normalized=False), x, labels, None, 4, 1, 0.25, 0.0, accumulation=2)
    big = replace(small, batch_size=8, accumulation=1)
    after, weights = [], dict(small.start)
    for number in range(4):
        first = number - number % 2 if reset else 0
        if number % 2:
            group = Batch(x[4 * first : 4 * number + 4], labels[4 * first : 4 * number + 4])
            weights = dict(train(weights, [group], Descent(0.25 * share), in_float32).weights)
        elif moves:
            weights = {name: value + 1e-6 for name, value in weights.items()}
        after.append({name: value.astype(np.float32) for name, value in weights.items()})
    found = Run((), after[-1], 2)
    return Accumulated(Training(small, {"small": found}), Training(big, {"small": found}), tuple(after))


def test_accumulation() -> None:
    assert training_precision.accumulation_is_the_big_batch(accumulated()).outcome == "pass"
    for wrong in (accumulated(share=2.0), accumulated(share=0.5), accumulated(moves=True), accumulated(reset=False)):
        assert training_precision.accumulation_is_the_big_batch(wrong).outcome == "fail"
    still = accumulated()
    stays = (still.after[0], still.after[0], *still.after[2:])
    assert training_precision.accumulation_is_the_big_batch(replace(still, after=stays)).outcome == "fail"


def in_float16(value: np.ndarray) -> np.ndarray:
    return value.astype(np.float16).astype(np.float64)


def scaled(*, factor: float = 1.0) -> Scaled:
    """Steps in half precision, each `factor` of what it must be."""
    x, labels = samples(4, 8)
    weights, steps = start(normalized=False), []
    scales, updates = (16.0, 8.0, 8.0, 8.0, 16.0), (1, 1, 2, 3, 4)
    of = Task(weights, x, labels, None, 8, 1, 0.25, dtype="float16")
    for number in range(5):
        finite = number != 1
        if finite:
            found = train(weights, batches(of), Descent(0.25 * factor), in_float16).weights
            # Weights are kept in float32; what the step began with was rounded for the computation alone.
            weights = {name: (weights[name] + (found[name] - in_float16(weights[name]))).astype(np.float32) for name in weights}
        steps.append(ScaledStep(finite, 1.0, scales[number], updates[number], dict(weights)))
    return Scaled(of, 16.0, 3, tuple(steps))


def at(right: Scaled, number: int, **changes: Any) -> Scaled:
    steps = list(right.steps)
    steps[number] = replace(steps[number], **changes)
    return replace(right, steps=tuple(steps))


def verdict_of(wrong: Scaled) -> Verdict:
    return training_precision.skips_what_is_not_finite(wrong)


def test_scaled_losses() -> None:
    right = scaled()
    assert verdict_of(right).outcome == "pass"
    assert training_precision.scales_the_loss(right).outcome == "pass"
    moved = {name: np.nextafter(value, np.float32(9)) for name, value in right.steps[0].weights.items()}
    for wrong in (
        at(right, 1, scale=16.0),
        at(right, 1, updates=2),
        at(right, 1, weights=moved),
        at(right, 3, scale=16.0),
        at(right, 4, scale=8.0),
        replace(right, steps=right.steps[:1]),
    ):
        assert verdict_of(wrong).outcome == "fail"
    for factor in (16.0, 1 / 16.0, 2.0, 0.0):
        assert training_precision.scales_the_loss(scaled(factor=factor)).outcome == "fail"
