"""Every property of the documented models passes a right observation and catches planted defects. No framework: the
observations are computed here, in float32 NumPy, by code that stands in for one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_dlcheck.models.documented import DOCUMENTED, by_name
from pytest_dlcheck.models.spec import Conv2D, Dense, Flatten, MaxPooling2D, ModelSpec
from pytest_dlcheck.observe.observations import (
    Forward,
    Functional,
    Gradients,
    Loop,
    Placement,
    Repeat,
    Saved,
    Scoring,
    Structure,
    Training,
)
from pytest_dlcheck.properties import models as properties
from pytest_dlcheck.properties.verdict import Verdict
from pytest_dlcheck.references.network import forward
from pytest_dlcheck.references.scores import LOSSES, accuracy_range

Defect = Callable[[Any], Any]


def weights_of(spec: ModelSpec, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Weights as an initializer and some training might leave them, float32."""
    rng = np.random.default_rng(seed)
    made: list[np.ndarray] = []
    for layer, shape in spec.shapes():
        if isinstance(layer, Conv2D):
            kernel = (layer.kernel_size, layer.kernel_size, shape[-1], layer.filters)
            made += [rng.normal(0, np.prod(kernel[:3]) ** -0.5, kernel), rng.normal(0, 0.1, layer.filters)]
        elif isinstance(layer, Dense):
            made += [rng.normal(0, shape[-1] ** -0.5, (shape[-1], layer.units)), rng.normal(0, 0.1, layer.units)]
        elif layer.kind == "SimpleRNN":
            units = layer.arguments["units"]
            made += [rng.normal(0, 0.3, (shape[-1], units)), rng.normal(0, 0.1, (units, units)), rng.normal(0, 0.1, units)]
    return tuple(weight.astype(np.float32) for weight in made)


def in_float32(spec: ModelSpec, weights: tuple[np.ndarray, ...], x: np.ndarray) -> np.ndarray:
    """The forward pass as a framework would run it: in float32 throughout, sums in another order than the reference's."""
    remaining = list(weights)
    y = x.reshape(len(x), *spec.input_shape)
    activations = {
        None: lambda z: z,
        "relu": lambda z: np.maximum(z, np.float32(0)),
        "tanh": np.tanh,
        "sigmoid": lambda z: np.float32(1) / (np.float32(1) + np.exp(-z)),
        "softmax": lambda z: np.exp(z - z.max(-1, keepdims=True)) / np.exp(z - z.max(-1, keepdims=True)).sum(-1, keepdims=True),
    }
    for layer in spec.layers:
        if isinstance(layer, Conv2D):
            kernel, bias, *remaining = remaining
            size = layer.kernel_size
            height, width = y.shape[1] - size + 1, y.shape[2] - size + 1
            total = np.zeros((len(y), height, width, layer.filters), dtype=np.float32)
            for row in range(size):
                for column in range(size):
                    total += y[:, row : row + height, column : column + width] @ kernel[row, column]
            y = activations[layer.activation](total + bias)
        elif isinstance(layer, MaxPooling2D):
            height, width = y.shape[1] // 2 * 2, y.shape[2] // 2 * 2
            y = y[:, :height, :width].reshape(len(y), height // 2, 2, width // 2, 2, -1).max(axis=(2, 4))
        elif isinstance(layer, Flatten):
            y = y.reshape(len(y), -1)
        elif isinstance(layer, Dense):
            kernel, bias, *remaining = remaining
            y = activations[layer.activation](y @ kernel + bias)
        else:
            kernel, recurrent, bias, *remaining = remaining
            state = np.zeros((len(y), len(bias)), dtype=np.float32)
            for step in range(y.shape[1]):
                state = np.tanh(y[:, step] @ kernel + state @ recurrent + bias)
            y = state
    assert y.dtype == np.float32
    return y


def inputs_of(spec: ModelSpec, count: int = 8, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((count, *spec.input_shape), dtype=np.float32)


def targets_of(spec: ModelSpec, x: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, max(2, spec.output_shape[-1]), len(x))
    return {
        "one_hot": np.eye(spec.output_shape[-1], dtype=np.float32)[labels % spec.output_shape[-1]],
        "integer": labels,
        "binary": (labels % 2).astype(np.float32)[:, None],
        "real": rng.random(len(x), dtype=np.float32),
        "inputs": x,
    }[spec.targets]


def structure(spec: ModelSpec) -> Structure:
    return Structure(spec.parameters, tuple(w.size for w in weights_of(spec)), (None, *spec.output_shape))


def observed_forward(spec: ModelSpec) -> Forward:
    x, weights = inputs_of(spec), weights_of(spec)
    return Forward(x, weights, in_float32(spec, weights, x))


def observed_gradients(spec: ModelSpec) -> Gradients:
    before = weights_of(spec)
    gradients = tuple(np.random.default_rng(i).normal(size=w.shape).astype(np.float32) for i, w in enumerate(before))
    after = tuple(w - np.float32(0.01) * g for w, g in zip(before, gradients, strict=True))
    return Gradients(tuple(f"weight {i}" for i in range(len(before))), gradients, before, after)


def observed_training(spec: ModelSpec) -> Training:
    x = inputs_of(spec, 200)
    targets = targets_of(spec, x)
    perfect = targets
    if spec.targets == "integer":
        perfect = np.eye(spec.output_shape[-1], dtype=np.float32)[targets]
    predictions = perfect.reshape(len(x), -1) * 0.98 + 0.01
    untrained = np.zeros_like(predictions) if spec.level.of_start else None
    return Training(tuple(np.linspace(2.3, 0.3, spec.epochs)), 30, predictions, targets, untrained)


def observed_scoring(spec: ModelSpec) -> Scoring:
    x, weights = inputs_of(spec, 11), weights_of(spec)
    targets = targets_of(spec, x)
    p = in_float32(spec, weights, x)
    scores = {"loss": float(np.float32(LOSSES[spec.loss](targets, p.astype(np.float64), clip=True)))}
    if "accuracy" in spec.metrics:
        scores["accuracy"] = float(np.float32(accuracy_range(spec.loss, targets, p, np.zeros(p.shape))[0]))
    return Scoring(x, targets, weights, {1: scores, 4: scores}, {1: p, 4: p})


def observed_repeat(spec: ModelSpec) -> Repeat:
    losses = (2.0, 1.5, 1.25)
    return Repeat(losses, losses, weights_of(spec, 3), weights_of(spec, 3), weights_of(spec, 0), weights_of(spec, 1))


def observed_saved(spec: ModelSpec) -> Saved:
    x, weights, moved = inputs_of(spec), weights_of(spec), weights_of(spec, 5)
    y = in_float32(spec, weights, x)
    return Saved(x, y, y.copy(), weights, weights, (*moved, np.int64(7)), (*moved, np.int64(7)), moved, moved)


def observed_functional(spec: ModelSpec) -> Functional:
    x, weights = inputs_of(spec), weights_of(spec)
    y = in_float32(spec, weights, x)
    return Functional(x, weights, y, y.copy(), spec.parameters, spec.parameters)


def observed_loop(spec: ModelSpec) -> Loop:
    losses = np.float32([2.31, 2.2, 2.05, 1.9])
    moved = np.stack([losses * (1 + np.float32(1e-7) * sign) for sign in (-1, 1, 2)])
    return Loop(tuple(float(loss) * (1 + 6e-8) for loss in losses), tuple(map(float, losses)), moved)


OBSERVED: dict[str, tuple[Callable[[ModelSpec], Any], Callable[[ModelSpec, Any], Verdict]]] = {
    "parameter_count": (structure, properties.parameter_count),
    "forward": (observed_forward, properties.forward_matches_reference),
    "gradients": (observed_gradients, properties.weights_learn),
    "loss_falls": (observed_training, properties.loss_falls),
    "level": (observed_training, properties.reaches_level),
    "evaluate": (observed_scoring, properties.evaluate_agrees),
    "predict": (observed_scoring, properties.predict_agrees),
    "same_seed": (observed_repeat, properties.same_seed_same_run),
    "save_and_load": (observed_saved, properties.save_and_load),
    "functional": (observed_functional, properties.functional_is_sequential),
    "fit_is_the_loop": (observed_loop, properties.fit_is_the_loop),
}


@pytest.mark.parametrize("name", OBSERVED)
@pytest.mark.parametrize("spec", DOCUMENTED, ids=lambda spec: spec.name)
def test_a_right_observation_passes(spec: ModelSpec, name: str) -> None:
    observe, judge = OBSERVED[name]
    verdict = judge(spec, observe(spec))
    assert verdict.outcome == "pass", verdict.message
    assert verdict.message


def changed(arrays: tuple[np.ndarray, ...], index: int, change: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, ...]:
    return (*arrays[:index], change(arrays[index]), *arrays[index + 1 :])


def one_entry(by: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array.flat[array.size // 2] += by
        return array

    return change


def twice_the_last_batch(scores: dict[str, float]) -> dict[str, float]:
    """A loss that counts a short last batch as if it were whole."""
    return {**scores, "loss": scores["loss"] * 12 / 11}


# Property -> (what is planted, how it changes a right observation, words that the verdict must hold).
DEFECTS: dict[str, list[tuple[str, Defect, str]]] = {
    "parameter_count": [
        ("a bias too many", lambda s: replace(s, parameters=s.parameters + 10), "count_params() says"),
        ("a frozen weight", lambda s: replace(s, trainable_sizes=s.trainable_sizes[:-1]), "the trainable weights hold"),
        ("another output shape", lambda s: replace(s, output_shape=(None, 3, 3)), "the declared output shape is"),
    ],
    "forward": [
        ("no bias", lambda f: replace(f, called=in_float32_without_bias(f)), "outside their tolerance"),
        ("half precision inside", lambda f: replace(f, called=f.called.astype(np.float16).astype(np.float32)), "outside"),
        ("one entry wrong", lambda f: replace(f, called=one_entry(1e-4)(f.called)), "1 of 80 values are outside"),
        ("a sample too few", lambda f: replace(f, called=f.called[:-1]), "shape"),
        ("NaN", lambda f: replace(f, called=one_entry(np.nan)(f.called)), "nan"),
        ("samples permuted", lambda f: replace(f, called=f.called[::-1]), "outside"),
    ],
    "gradients": [
        ("no path to a weight", lambda g: replace(g, gradients=(*g.gradients[:-1], None)), "has no gradient"),
        ("a gradient of zeros", lambda g: replace(g, gradients=changed(g.gradients, 0, np.zeros_like)), "zero throughout"),
        ("an infinite gradient", lambda g: replace(g, gradients=changed(g.gradients, 1, one_entry(np.inf))), "not finite"),
        (
            "a transposed gradient",
            lambda g: replace(g, gradients=changed(g.gradients, -2 % len(g.gradients), np.transpose)),
            "of shape",
        ),
        ("a weight that stays", lambda g: replace(g, after=(g.before[0], *g.after[1:])), "leaves it where it was"),
    ],
    "loss_falls": [
        ("nothing learned", lambda t: replace(t, losses=(2.3,) * len(t.losses)), "does not fall"),
        ("nothing learned but rounding", lambda t: replace(t, losses=(2.3, *[2.3 - 1e-7] * 4)), "does not fall"),
        ("ascent", lambda t: replace(t, losses=t.losses[::-1]), "does not fall"),
        ("divergence", lambda t: replace(t, losses=(*t.losses[:-1], float("nan"))), "not finite"),
    ],
    "level": [
        ("labels shuffled", lambda t: replace(t, held_out_targets=np.roll(t.held_out_targets, 1, axis=0)), "it must be"),
        (
            "one class for all",
            lambda t: replace(t, held_out_predictions=np.tile(t.held_out_predictions[:1], (200, 1))),
            "it must be",
        ),
    ],
    "evaluate": [
        (
            "a short last batch weighs as a whole one",
            lambda s: replace(s, evaluated={**s.evaluated, 4: twice_the_last_batch(s.evaluated[4])}),
            "evaluate(batch_size=4) gives a loss",
        ),
        (
            "accuracy of the last batch only",
            lambda s: replace(s, evaluated={**s.evaluated, 4: {**s.evaluated[4], "accuracy": 1.0}}),
            "gives an accuracy",
        ),
        (
            "sum instead of mean",
            lambda s: replace(s, evaluated={1: {**s.evaluated[1], "loss": s.evaluated[1]["loss"] * 11}}),
            "gives a loss",
        ),
        ("NaN", lambda s: replace(s, evaluated={1: {**s.evaluated[1], "loss": float("nan")}}), "gives a loss of nan"),
    ],
    "predict": [
        (
            "the last batch is lost",
            lambda s: replace(s, predicted={**s.predicted, 4: s.predicted[4][:8]}),
            "predict(batch_size=4): shape",
        ),
        (
            "the last batch is the first again",
            lambda s: replace(s, predicted={**s.predicted, 4: np.concatenate([s.predicted[4][:8], s.predicted[4][:3]])}),
            "predict(batch_size=4)",
        ),
        (
            "another dtype",
            lambda s: replace(s, predicted={**s.predicted, 4: s.predicted[4].astype(np.float64)}),
            "depends on the batch size",
        ),
    ],
    "same_seed": [
        (
            "another order of batches",
            lambda r: replace(r, second=(*r.second[:-1], r.second[-1] + 1e-7)),
            "two runs from one seed",
        ),
        (
            "weights that differ in one bit",
            lambda r: replace(r, second_weights=changed(r.second_weights, 0, lambda w: np.nextafter(w, np.float32(9)))),
            "weight 0 of the second run",
        ),
        ("a seed without effect", lambda r: replace(r, other_initial=r.initial), "the seed has no effect"),
    ],
    "save_and_load": [
        (
            "a weight that is not loaded",
            lambda s: replace(s, loaded_weights=changed(s.loaded_weights, 0, np.zeros_like)),
            "weights, number 0",
        ),
        (
            "optimizer state that is lost",
            lambda s: replace(s, loaded_optimizer=changed(s.loaded_optimizer, 1, np.zeros_like)),
            "optimizer variables, number 1",
        ),
        ("no optimizer state", lambda s: replace(s, loaded_optimizer=()), "0 optimizer variables came back"),
        (
            "a step count that starts anew",
            lambda s: replace(s, loaded_optimizer=(*s.loaded_optimizer[:-1], np.int64(0))),
            "optimizer variables",
        ),
        (
            "another learning rate",
            lambda s: replace(s, loaded_next_weights=changed(s.loaded_next_weights, 0, lambda w: w * np.float32(1.001))),
            "after one more training step",
        ),
        (
            "weights stored in half precision",
            lambda s: replace(s, loaded_weights=tuple(w.astype(np.float16).astype(np.float32) for w in s.loaded_weights)),
            "weights, number 0",
        ),
        (
            "an activation that is lost",
            lambda s: replace(s, loaded_outputs=np.log(s.loaded_outputs + 2)),
            "outputs of the loaded model",
        ),
    ],
    "functional": [
        (
            "a layer counted twice",
            lambda f: replace(f, functional_parameters=f.functional_parameters + 10),
            "parameters as Sequential",
        ),
        ("weights in another order", lambda f: replace(f, functional=f.functional[:, ::-1]), "functional against Sequential"),
        (
            "both wrong alike",
            lambda f: replace(f, functional=f.functional + np.float32(0.01), sequential=f.sequential + np.float32(0.01)),
            "functional against the float64 reference",
        ),
    ],
    "fit_is_the_loop": [
        (
            "another optimizer",
            lambda run: replace(run, fit=(*run.fit[:2], run.fit[2] * 1.001, run.fit[3] * 1.002)),
            "losses of the first 4 steps",
        ),
        ("no update", lambda run: replace(run, fit=(run.fit[0],) * 4), "losses of the first 4 steps"),
        ("a step skipped", lambda run: replace(run, fit=(*run.fit[1:], 1.8)), "losses of the first 4 steps"),
    ],
}


def in_float32_without_bias(seen: Forward) -> np.ndarray:
    spec = by_name("mnist_mlp")
    return in_float32(spec, tuple(w if w.ndim > 1 else np.zeros_like(w) for w in seen.weights), seen.x)


@pytest.mark.parametrize(
    ("name", "planted", "words"),
    [
        pytest.param(name, planted, words, id=f"{name}: {what}")
        for name, cases in DEFECTS.items()
        for what, planted, words in cases
    ],
)
def test_a_planted_defect_is_caught(name: str, planted: Defect, words: str) -> None:
    spec = by_name("mnist_mlp")
    observe, judge = OBSERVED[name]
    verdict = judge(spec, planted(observe(spec)))
    assert verdict.outcome == "fail"
    assert words in verdict.message


def test_a_level_that_is_a_share_of_the_untrained_error() -> None:
    spec = by_name("linear_regression")
    right = observed_training(spec)
    half_way = replace(right, held_out_predictions=(right.held_out_predictions + right.untrained_predictions) / 2)
    verdict = properties.reaches_level(spec, half_way)
    assert verdict.outcome == "fail"
    assert "of the untrained model's" in verdict.message
    with pytest.raises(ValueError, match="which was not observed"):
        properties.reaches_level(spec, replace(right, untrained_predictions=None))


def test_every_property_has_planted_defects() -> None:
    assert set(DEFECTS) == set(OBSERVED)
    judged = {judge.__name__ for _, judge in OBSERVED.values()} | {"placed_on_device"}
    assert judged == set(properties.__all__)


class TestPlacement:
    RIGHT = Placement((("cpu:0",), ("cpu:0",)), ("cpu:0",))

    def test_passes_where_everything_lies_on_the_device(self) -> None:
        assert properties.placed_on_device("cpu:0", self.RIGHT).outcome == "pass"

    @pytest.mark.parametrize(
        ("seen", "words"),
        [
            (replace(RIGHT, outputs=("cpu:1",)), "the output lies on cpu:1, not on cpu:0"),
            (replace(RIGHT, weights=(("cpu:0",), ("cpu:0", "gpu:0"))), "weight 1 lies on cpu:0 and gpu:0, not on cpu:0"),
            (replace(RIGHT, outputs=()), "the output lies on no device, not on cpu:0"),
        ],
    )
    def test_catches_what_lies_elsewhere(self, seen: Placement, words: str) -> None:
        verdict = properties.placed_on_device("cpu:0", seen)
        assert (verdict.outcome, verdict.message) == ("fail", words)


@pytest.mark.parametrize("spec", DOCUMENTED, ids=lambda spec: spec.name)
def test_a_weight_off_by_a_hundredth_shows_in_every_model(spec: ModelSpec) -> None:
    """How sharp the forward check is: a scaled kernel or bias of any layer, whatever lies behind it."""
    seen = observed_forward(spec)
    for index, weight in enumerate(seen.weights):
        called = in_float32(spec, changed(seen.weights, index, lambda w: w * np.float32(1.01)), seen.x)
        verdict = properties.forward_matches_reference(spec, replace(seen, called=called))
        assert verdict.outcome == "fail", f"weight {index}, of shape {weight.shape}"


def test_the_stated_parameter_count_is_checked_against_the_formula() -> None:
    spec = replace(by_name("mnist_mlp"), parameters_stated=1)
    assert "the tutorial states 1 parameters" in properties.parameter_count(spec, structure(spec)).message


def test_the_reference_is_the_judge_of_an_extreme_probability() -> None:
    """Below 1e-7 a backend may clip or not; both are right, and anything else is not."""
    spec = by_name("mnist_mlp")
    seen = observed_scoring(spec)
    weights = (*seen.weights[:-1], seen.weights[-1] + np.float32([0] * 9 + [60]))
    p = forward(spec, weights, seen.x)
    assert p.min() < 1e-12
    clipped, exact = (LOSSES[spec.loss](seen.targets, p, clip=clip) for clip in (True, False))
    assert exact > clipped + 5
    accuracy = accuracy_range(spec.loss, seen.targets, p, np.zeros(p.shape))[0]
    for loss, outcome in ((clipped, "pass"), (exact, "pass"), (clipped - 0.1, "fail"), (exact + 0.1, "fail")):
        scores = {1: {"loss": loss, "accuracy": accuracy}}
        verdict = properties.evaluate_agrees(spec, replace(seen, weights=weights, evaluated=scores))
        assert verdict.outcome == outcome, (loss, verdict.message)
