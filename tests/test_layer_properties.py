"""Every property of layers on observations made by hand: the planted defect that it must catch, and the twin that it must pass.

No framework takes part: a property reads arrays and names.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_dlcheck.cases.case import Build, Case, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.observe.layer import LayerObserver
from pytest_dlcheck.observe.layer_observation import (
    Declared,
    Dropped,
    LayerObservation,
    Outcome,
    Raised,
    Resized,
    Restored,
    Value,
    Weight,
)
from pytest_dlcheck.properties.layers.catalogue import PROPERTIES
from pytest_dlcheck.properties.layers.judging import Judging
from pytest_dlcheck.properties.verdict import Verdict
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.spec import Call, Expected, Identity, Law, LayerSpec, World

CASE = Case("keras.layers.Scaled", {"bias_initializer": "ones", "bias_regularizer": "l2", "axis": -1}, Tensor((3, 2)))
X = make(CASE.inputs)
BIAS = np.array([0.5, -0.25], dtype=np.float32)
MASK = np.array([True, True, False])


def _never_drawn(d: Draw) -> None:
    raise AssertionError


def reference(call: Call) -> Expected:
    """2 x + b; in training the moving mean becomes the batch's."""
    state = {"moving_mean": call.inputs.mean(axis=0)} if call.training else {}
    return Expected(2 * call.inputs + call.weights["bias"], mask=MASK, checks_mask=True, state=state)


def law(call: Call, outputs: Any, unit_roundoff: float) -> str | None:
    del unit_roundoff
    low = 2 * call.inputs.min() - 0.25
    return None if outputs[0].min() >= low - 1e-3 else f"{outputs[0].min()} is less than {low}"


SPEC = LayerSpec(
    "Scaled",
    _never_drawn,
    reference,
    "a page",
    laws=(Law("not_too_small", law, training=None),),
    identities=(
        Identity("flipped", lambda case: case, lambda case, outputs: [output[::-1] for output in outputs]),
        Identity("exactly_itself", lambda case: case, exact=True),
    ),
)
WORLD = World("numpy")
LONGER = np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3)


def value(array: Any, dtype: str = "float32") -> Value:
    return Value(dtype, np.asarray(array, dtype=dtype))


def outcome(array: Any = None, **changes: Any) -> Outcome:
    array = 2 * X + BIAS if array is None else array
    return replace(
        Outcome(
            "*", [value(array)], [MASK], {"bias": BIAS, "moving_mean": np.zeros(2, "float32")}, [float(0.01 * np.sum(BIAS**2))]
        ),
        **changes,
    )


def good() -> LayerObservation:
    """A layer that does all that it should."""
    y = 2 * X + BIAS
    config = {"name": "scaled", "axis": -1, "bias_initializer": {}, "bias_regularizer": {}}
    trained = outcome(state={"bias": BIAS, "moving_mean": X.mean(axis=0)})
    return LayerObservation(
        CASE,
        "numpy",
        {"use_bias": True},
        [Weight("bias", "float32", BIAS, np.ones(2, "float32"), trainable=True, constrained=True)],
        [X],
        [X.copy()],
        outcome(),
        outcome(),
        trained,
        trained,
        {"bias": BIAS, "moving_mean": np.zeros(2, "float32")},
        {"symbolic call": Declared("*", [(3, 2)], ["float32"]), "compute_output_shape": Declared("*", [(None, 2)])},
        [outcome(y[:1]), outcome(y[1:2])],
        outcome(),
        {"config": Restored(outcome(), config), "keras": Restored(outcome()), "weights": Restored(outcome())},
        config,
        outcome(),
        outcome(),
        Dropped("axis", ["values"]),
        {"flipped": outcome(y[::-1]), "exactly_itself": outcome()},
        None,
        outcome(y[:0]),
        Resized((2, 3), outcome(LONGER), outcome(LONGER)),
    )


def judged(name: str, seen: LayerObservation, spec: LayerSpec = SPEC) -> Verdict | None:
    (chosen,) = [each for each in PROPERTIES if each.name == name]
    return chosen.check(Judging(spec, WORLD, seen))


def off(by: float = 0.01) -> Outcome:
    """A call of which one value is wrong."""
    wrong = 2 * X + BIAS
    wrong[1, 1] += by
    return outcome(wrong)


Plant = Callable[[LayerObservation], None]


def plants(part: str, planted: Any) -> Plant:
    def plant(seen: LayerObservation) -> None:
        setattr(seen, part, planted)

    return plant


def in_dict(part: str, key: str, planted: Any) -> Plant:
    def plant(seen: LayerObservation) -> None:
        setattr(seen, part, {**getattr(seen, part), key: planted})

    return plant


def weight(**changes: Any) -> Plant:
    def plant(seen: LayerObservation) -> None:
        assert not isinstance(seen.weights, Raised)
        seen.weights = [replace(seen.weights[0], **changes)]

    return plant


RAISED = Raised("TypeError", "no", "the call")
DEFECTS: list[tuple[str, str, Plant]] = [
    ("accepts", "an error", plants("eager", RAISED)),
    ("accepts", "an error in training", plants("training", RAISED)),
    ("accepts", "NaN from finite input", plants("eager", off(float("nan")))),
    ("reference", "one value off", plants("eager", off())),
    ("reference", "one value off by some units", plants("eager", off(2e-4))),
    ("reference", "NaN", plants("eager", off(float("nan")))),
    ("reference", "infinity", plants("eager", off(float("inf")))),
    ("reference", "another shape", plants("eager", outcome((2 * X + BIAS).T))),
    ("reference", "two outputs", plants("eager", outcome(values=[value(2 * X + BIAS)] * 2))),
    ("training_reference", "one value off", plants("training", off())),
    ("training_reference", "a moving mean that does not move", plants("training", outcome())),
    ("training_reference", "a moving mean missing", plants("training", outcome(state={"bias": BIAS}))),
    ("shape", "symbolic call", in_dict("declared", "symbolic call", Declared("*", [(3, 3)]))),
    ("shape", "rank", in_dict("declared", "compute_output_shape", Declared("*", [(3,)]))),
    ("shape", "structure", in_dict("declared", "symbolic call", Declared("[*, *]", [(3, 2)] * 2))),
    ("shape", "an error", in_dict("declared", "symbolic call", RAISED)),
    ("shape", "no symbolic call", in_dict("declared", "symbolic call", Raised("NotImplementedError", "no", "it"))),
    ("dtype", "symbolic call", in_dict("declared", "symbolic call", Declared("*", [(3, 2)], ["float16"]))),
    ("policy", "output", plants("eager", outcome(values=[value(X, "float64")]))),
    ("policy", "weight", weight(dtype="float16")),
    ("mask", "none", plants("eager", outcome(masks=[None]))),
    ("mask", "inverted", plants("eager", outcome(masks=[~MASK]))),
    ("mask", "shape", plants("eager", outcome(masks=[MASK[:2]]))),
    ("identities", "one value off", in_dict("identities", "flipped", off())),
    ("identities", "not exact", in_dict("identities", "exactly_itself", outcome(np.nextafter(2 * X + BIAS, np.float32(9))))),
    ("identities", "an error", in_dict("identities", "flipped", RAISED)),
    ("laws", "in inference", plants("eager", off(-100))),
    ("laws", "in training", plants("training", off(-100))),
    ("same_twice", "one value off by a unit", plants("again", outcome(np.nextafter(2 * X + BIAS, np.float32(9))))),
    ("same_twice", "an error", plants("again", RAISED)),
    ("seed", "other values", plants("training_again", off())),
    ("state", "a weight that moves", plants("eager", outcome(state={"bias": BIAS + 1, "moving_mean": np.zeros(2)}))),
    ("state", "a weight that is gone", plants("eager", outcome(state={"moving_mean": np.zeros(2)}))),
    ("inputs", "changed in place", plants("inputs_after", [X + 1])),
    ("rows", "the other sample's", plants("rows", [outcome((2 * X + BIAS)[1:2])])),
    ("rows", "no batch axis", plants("rows", [outcome((2 * X + BIAS)[0])])),
    ("rows", "an error", plants("rows", [RAISED])),
    ("another_size", "a value", plants("resized", Resized((2, 3), outcome(LONGER), outcome(LONGER + 0.01)))),
    ("another_size", "a shape", plants("resized", Resized((2, 3), outcome(LONGER), outcome(LONGER[:, :2])))),
    (
        "another_size",
        "a dtype",
        plants("resized", Resized((2, 3), outcome(LONGER), outcome(values=[value(LONGER, "float64")]))),
    ),
    ("another_size", "an output", plants("resized", Resized((2, 3), outcome(LONGER), outcome(values=[])))),
    ("another_size", "an error", plants("resized", Resized((2, 3), outcome(LONGER), RAISED))),
    ("no_samples", "one sample", plants("empty", outcome((2 * X + BIAS)[:1]))),
    ("no_samples", "another dtype", plants("empty", outcome(values=[value(X[:0], "float64")]))),
    ("no_samples", "an error that is not clear", plants("empty", RAISED)),
    ("no_samples", "an error on the way", plants("empty", Raised("InvalidArgumentError", "Biases must be 1D: [0,2]", "it"))),
    ("no_samples", "an error of another class", plants("empty", Raised("IndexError", "the sequence is empty", "it"))),
    ("defaults", "one value off", plants("defaulted", off())),
    ("defaults", "an error", plants("defaulted", RAISED)),
    ("config", "outputs", in_dict("restored", "config", Restored(off(), None))),
    ("config", "losses", in_dict("restored", "config", Restored(outcome(losses=[]), None))),
    ("config", "a loss", in_dict("restored", "config", Restored(outcome(losses=[0.5]), None))),
    ("config", "another config", in_dict("restored", "config", Restored(outcome(), {"name": "scaled", "axis": 1}))),
    ("config", "an argument that it says otherwise", in_dict("config", "axis", 1)),
    ("config", "an error", in_dict("restored", "config", RAISED)),
    ("keras_file", "outputs", in_dict("restored", "keras", Restored(off()))),
    ("keras_file", "an error", in_dict("restored", "keras", RAISED)),
    ("weights_file", "outputs", in_dict("restored", "weights", Restored(off()))),
    ("initial_weights", "zeros", weight(initial=np.zeros(2))),
    ("losses", "none", plants("eager", outcome(losses=[]))),
    ("losses", "counted twice", plants("eager", outcome(losses=[2 * 0.01 * float(np.sum(BIAS**2))]))),
    ("effect", "none", plants("dropped", Dropped("axis", []))),
    ("graph", "one value off", plants("graph", off())),
    ("graph", "another dtype", plants("graph", outcome(values=[value(2 * X + BIAS, "float64")]))),
    ("graph", "an error", plants("graph", RAISED)),
    ("compiled", "one value off", plants("compiled", off())),
    ("compiled", "another structure", plants("compiled", outcome(structure="[*]"))),
]


@pytest.mark.parametrize("name", [each.name for each in PROPERTIES])
def test_a_layer_without_defects_passes(name: str) -> None:
    seen = good()
    if name == "constraints":
        seen.case = CASE.with_arguments(bias_constraint="non_neg")
        seen.config["bias_constraint"] = {}
    verdict = judged(name, seen)
    assert verdict is not None, "the property does not apply"
    assert verdict.outcome == "pass", verdict.message


@pytest.mark.parametrize(("name", "what", "plant"), DEFECTS, ids=[f"{name}-{what}" for name, what, _ in DEFECTS])
def test_a_planted_defect_is_caught(name: str, what: str, plant: Plant) -> None:
    seen = good()
    plant(seen)
    if name == "config" and what in {"outputs", "losses", "a loss"}:
        assert seen.restored is not None
        found = seen.restored["config"]
        assert isinstance(found, Restored)
        seen.restored = {**seen.restored, "config": replace(found, config=seen.config)}
    if name == "config" and what == "an argument that it says otherwise":
        seen.restored = {"config": Restored(outcome(), seen.config)}
    verdict = judged(name, seen)
    assert verdict is not None
    assert verdict.outcome == "fail", verdict
    assert verdict.message


def test_a_constraint_that_was_dropped_is_caught() -> None:
    seen = good()
    seen.case = CASE.with_arguments(bias_constraint=Build("keras.constraints.NonNeg"))
    weight(constrained=False)(seen)
    verdict = judged("constraints", seen)
    assert verdict is not None
    assert verdict.outcome == "fail"


@pytest.mark.parametrize(("share", "expected"), [(1.0, "pass"), (0.5, "fail")])
def test_low_rank_parts_are_penalized_beside_a_frozen_kernel(share: float, expected: str) -> None:
    def weighed(name: str, trainable: bool) -> Weight:
        return Weight(name, "float32", BIAS, BIAS, trainable=trainable, constrained=False)

    seen = good()
    seen.case = Case(CASE.subject, {"kernel_regularizer": "l2", "lora_rank": 1}, CASE.inputs)
    seen.weights = [weighed("kernel", False), weighed("lora_kernel_a", True), weighed("lora_kernel_b", True)]
    penalty = 2 * 0.01 * float(np.sum(np.square(BIAS)))
    seen.eager = outcome(losses=[share * penalty])
    verdict = judged("losses", seen, replace(SPEC, reference=None))
    assert verdict is not None
    assert verdict.outcome == expected


def test_every_property_has_a_planted_defect() -> None:
    assert {each.name for each in PROPERTIES} == {name for name, _, _ in DEFECTS} | {"constraints"}


def test_a_layer_need_not_have_compute_output_shape() -> None:
    seen = good()
    in_dict("declared", "compute_output_shape", Raised("NotImplementedError", "no", "it"))(seen)
    verdict = judged("shape", seen)
    assert verdict is not None
    assert verdict.outcome == "pass"


# What depends on what the spec claims.


def test_what_is_declared_unsupported_must_fail() -> None:
    spec = replace(SPEC, unsupported=lambda case, world: "not on a CPU")
    seen = good()
    ran = judged("accepts", seen, spec)
    assert ran is not None
    assert (ran.outcome, ran.message) == ("fail", "declared unsupported (not on a CPU), and it ran")
    seen.eager = Raised("NotImplementedError", "channels first", "the call")
    refused = judged("accepts", seen, spec)
    assert refused is not None
    assert refused.outcome == "pass"


def test_random_outputs_are_compared_with_nothing_that_is_not_random_alike() -> None:
    spec = replace(SPEC, random=lambda case, training: True)
    seen = good()
    seen.graph = seen.defaulted = off()
    for name in ("reference", "training_reference", "same_twice", "rows", "identities", "defaults"):
        assert judged(name, seen, spec) is None
    graph = judged("graph", seen, spec)
    assert graph is not None
    assert graph.outcome == "pass"
    seen.graph = outcome(X.T)
    graph = judged("graph", seen, spec)
    assert graph is not None
    assert graph.outcome == "fail"


def test_samples_that_influence_each_other_are_not_compared_alone() -> None:
    seen = good()
    seen.rows = [off()]
    assert judged("rows", seen, replace(SPEC, rows=False)) is None


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("ValueError", "at least one sample is needed"),
        ("InvalidArgumentError", "Cannot compute the max of an empty tensor."),
        ("ValueError", "zero-size array to reduction operation maximum which has no identity"),
    ],
)
def test_a_clear_refusal_of_no_samples_is_unsupported(kind: str, message: str) -> None:
    seen = good()
    seen.empty = Raised(kind, message, "the call")
    verdict = judged("no_samples", seen)
    assert verdict is not None
    assert verdict.outcome == "unsupported"


def test_a_layer_that_remembers_its_samples_takes_no_other_number_of_them() -> None:
    seen = good()
    seen.empty = RAISED
    assert judged("no_samples", seen, replace(SPEC, stateful=lambda case: True)) is None


def precise(seen: LayerObservation, error: float, wrong_in_float64: float) -> Verdict | None:
    seen.eager = off(error)
    y = 2 * X.astype(np.float64) + BIAS
    y[1, 1] += wrong_in_float64
    seen.exact = outcome(values=[Value("float64", y)])
    return judged("reference", seen)


@pytest.mark.parametrize(
    ("error", "in_float64", "verdict"),
    [(1e-4, 0.0, "imprecise"), (1e-4, 1e-4, "fail"), (0.01, 0.0, "fail"), (1e-8, 0.0, "pass")],
    ids=["rounding", "logic", "too far off for rounding", "within"],
)
def test_float64_tells_rounding_from_logic(error: float, in_float64: float, verdict: str) -> None:
    found = precise(good(), error, in_float64)
    assert found is not None
    assert found.outcome == verdict


def test_half_precision_that_overflows_is_not_judged() -> None:
    seen = good()
    seen.case = CASE.replace(policy="float16", inputs=Tensor((3, 2), literal=[[1e4, 1.0], [1.0, 1.0], [1.0, 1.0]]))
    seen.eager = outcome(values=[value(np.full((3, 2), np.inf), "float16")])
    assert judged("reference", seen) is None


def test_an_error_is_told_by_its_own_message_and_not_by_the_line_before_it() -> None:
    wrapped = (
        "Exception encountered when calling Add.call().\n\n\x1b[1mreshape of 0 entries\x1b[0m\n\nArguments received by Add"
    )
    assert str(Raised("ValueError", wrapped, "the call")) == "ValueError in the call: reshape of 0 entries"
    assert str(Raised("ValueError", "plain\nand more", "the call")) == "ValueError in the call: plain"
    assert str(Raised("ValueError", "", "the call")) == "ValueError in the call: "


def dropped(training: Outcome | Raised, without: Outcome | Raised) -> Dropped | None:
    """What is recorded of an argument that shows in training only, of a layer with it and of one without."""
    case = CASE.replace(arguments={"factor": 2.0})
    called = outcome()
    seen = LayerObservation(case, "numpy", weights=[], inputs=[X], eager=called, training=training)
    other = LayerObservation(case, "numpy", weights=[], inputs=[X], eager=called, training=without)
    beside = SimpleNamespace(settings=contextlib.nullcontext, run=lambda *parts: other)
    LayerObserver._dropped(SimpleNamespace(case=case, seen=seen, beside=lambda case: beside))  # type: ignore[arg-type]
    return seen.dropped


def test_where_neither_layer_can_be_trained_nothing_is_said_of_an_argument() -> None:
    assert dropped(RAISED, RAISED) is None
    assert dropped(outcome(), outcome()) == Dropped("factor", [])
    assert dropped(off(), outcome()) == Dropped("factor", ["values in training"])
    assert dropped(RAISED, outcome()) == Dropped("factor", ["an error in training"])
