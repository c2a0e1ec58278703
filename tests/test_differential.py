"""Every property of differences on comparisons made by hand: the planted defect that it must catch, and its twin.

Then what carries them: translation, what a peer answers, the register, and one run of the suite against another process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from conftest import Runs
from pytest_dlcheck.cases.case import Build, Case, Name, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.differential.comparison import Comparison, Slopes
from pytest_dlcheck.differential.register import expected
from pytest_dlcheck.known_issues import parse
from pytest_dlcheck.observe.layer_observation import LayerObservation, Outcome, Raised, Value, Weight
from pytest_dlcheck.peers.answers import Answer, answers
from pytest_dlcheck.peers.errors import PeerError
from pytest_dlcheck.peers.items import item_of
from pytest_dlcheck.peers.translation import KERAS_2, KERAS_3, NoCounterpart, translated
from pytest_dlcheck.properties.differential import PROPERTIES
from pytest_dlcheck.properties.layers.judging import Judging
from pytest_dlcheck.properties.verdict import Verdict
from pytest_dlcheck.subjects.spec import LayerSpec, World
from pytest_dlcheck.tolerance import Bounded

CASE = Case("keras.layers.Scaled", {}, Tensor((3, 2)))
X = make(CASE.inputs)
BIAS = np.array([0.5, -0.25], dtype=np.float32)
Y = 2 * X + BIAS
HERE = World("tensorflow", (3, 15, 1))
THERE = World("tensorflow", (2, 15, 0))
SPEC = LayerSpec("Scaled", lambda d: None, lambda call: 2 * call.inputs + call.weights["bias"], "the formula")


def value(array: Any, dtype: str = "float32") -> Value:
    return Value(dtype, np.asarray(array, dtype=dtype))


OURS = LayerObservation(
    CASE,
    "tensorflow",
    weights=(Weight("bias", "float32", BIAS, BIAS, trainable=True),),
    inputs=(X,),
    eager=Outcome("*", [value(Y)], [None], {"scaled/bias": BIAS}),
    training=Outcome("*", [value(Y)], [None], {"scaled/bias": BIAS + 1}),
    state_before={"scaled/bias": BIAS},
)
THEIRS = Answer("ran", structure="*", values=[value(Y)], masks=[None], state=[BIAS])
TRAINED = replace(THEIRS, state=[BIAS + 1])
ONES = np.ones_like(X)
BOUNDS = Slopes([Bounded(2 * ONES, 1e-6 * ONES, "rounding")], [Bounded(np.array([3.0, 3.0]), np.full(2, 1e-6), "")], ["bias"])
SLOPES = replace(THEIRS, input_gradients=[2 * ONES], weight_gradients=[np.array([3.0, 3.0])], differentiated=True)


def comparison(ours: LayerObservation = OURS, spec: LayerSpec = SPEC, **changes: Any) -> Comparison:
    base = Comparison(Judging(spec, HERE, ours), "older", THERE, THEIRS, TRAINED, BOUNDS, SLOPES)
    return replace(base, **changes)


def said(name: str, compared: Comparison) -> Verdict | None:
    return next(each for each in PROPERTIES if each.name == name).check(compared)


def moved(by: float, at: tuple[int, int] = (1, 1)) -> list[Value]:
    found = Y.copy()
    found[at] += by
    return [value(found)]


ERROR = Answer("error", "ValueError: no")
REFUSED = replace(OURS, eager=Raised("ValueError", "no", "the call"))
UNSUPPORTED_HERE = replace(SPEC, unsupported=lambda case, world: "as documented" if world == HERE else None)
UNSUPPORTED_THERE = replace(SPEC, unsupported=lambda case, world: "as documented" if world == THERE else None)
NAN = replace(THEIRS, values=moved(np.nan))
INFINITE = replace(THEIRS, values=moved(np.inf))
BOTH_NAN = replace(OURS, eager=Outcome("*", moved(np.nan), [None]))

PLANTED: Sequence[tuple[str, Comparison, str, str]] = [
    ("peer_accepts", comparison(answer=ERROR), "reject_mismatch", "computed here, and older refuses it: ValueError: no"),
    (
        "peer_accepts",
        comparison(REFUSED),
        "reject_mismatch",
        "refused here (ValueError in the call: no), and older computes it",
    ),
    ("peer_accepts", comparison(answer=ERROR, spec=UNSUPPORTED_HERE), "reject_mismatch", "valid by the layer's documentation"),
    ("peer_accepts", comparison(answer=Answer("crash", "peer older has ended")), "crash", "has ended"),
    ("peer_accepts", comparison(answer=Answer("timeout", "too long")), "timeout", "too long"),
    ("peer_accepts", comparison(answer=Answer("unsupported", "no Scaled")), "unsupported", "older: no Scaled"),
    ("peer_outputs", comparison(answer=replace(THEIRS, structure="[*]")), "fail", "*, and [*] on older"),
    ("peer_outputs", comparison(answer=replace(THEIRS, values=[value(Y[:2])])), "fail", "shape (3, 2), and (2, 2) on older"),
    ("peer_outputs", comparison(answer=replace(THEIRS, values=[value(Y, "float64")])), "fail", "dtype float32, and float64"),
    ("peer_special", comparison(answer=NAN), "fail", "nan on older\nby the float64 reference (the formula), wrong: older"),
    ("peer_special", comparison(answer=INFINITE), "fail", "inf on older"),
    ("peer_special", comparison(BOTH_NAN, answer=INFINITE), "fail", "wrong: this product and older"),
    ("peer_special", comparison(BOTH_NAN), "fail", "wrong: this product"),
    ("peer_values", comparison(answer=replace(THEIRS, values=moved(1e-3))), "fail", "wrong: older"),
    ("peer_values", comparison(replace(OURS, eager=Outcome("*", moved(1e-3), [None]))), "fail", "wrong: this product"),
    (
        "peer_values",
        comparison(spec=replace(SPEC, reference=None), answer=replace(THEIRS, values=moved(1))),
        "fail",
        "no reference",
    ),
    ("peer_mask", comparison(answer=replace(THEIRS, masks=[np.array([True])])), "fail", "carries no mask, and [True] on older"),
    ("peer_training", comparison(training=replace(TRAINED, values=moved(1e-3))), "fail", "of older"),
    (
        "peer_training",
        comparison(training=replace(TRAINED, state=[BIAS + 1.01])),
        "fail",
        "bias after a training call on older",
    ),
    ("peer_training", comparison(training=replace(TRAINED, structure="[*]")), "fail", "in training mode"),
    ("peer_training", comparison(training=ERROR), "reject_mismatch", "in training mode older: ValueError"),
    ("peer_training", comparison(training=Answer("crash", "ended")), "crash", "ended"),
    (
        "peer_gradients",
        comparison(slopes_answer=replace(SLOPES, input_gradients=[2.001 * ONES])),
        "fail",
        "gradient by input 0",
    ),
    ("peer_gradients", comparison(slopes_answer=replace(SLOPES, weight_gradients=[None])), "fail", "gradient by bias on older"),
    ("peer_gradients", comparison(slopes_answer=replace(SLOPES, input_gradients=[ONES[:1]])), "fail", "shape (1, 2)"),
    (
        "peer_gradients",
        comparison(slopes_answer=replace(SLOPES, input_gradients=[])),
        "fail",
        "gradients by 0 inputs, and not by 1",
    ),
]


@pytest.mark.parametrize(
    ("name", "compared", "outcome", "message"), PLANTED, ids=lambda each: each if isinstance(each, str) else ""
)
def test_a_planted_difference_is_caught(name: str, compared: Comparison, outcome: str, message: str) -> None:
    verdict = said(name, compared)
    assert verdict is not None
    assert verdict.outcome == outcome
    assert message in verdict.message


def test_every_property_has_a_planted_difference() -> None:
    assert {name for name, *_ in PLANTED} == {each.name for each in PROPERTIES}


ROUNDED = moved(1e-7)
TWINS: Sequence[tuple[str, Comparison]] = [
    *((each.name, comparison()) for each in PROPERTIES),
    ("peer_accepts", comparison(REFUSED, answer=ERROR)),
    ("peer_accepts", comparison(REFUSED, spec=UNSUPPORTED_HERE)),
    ("peer_accepts", comparison(answer=ERROR, spec=UNSUPPORTED_THERE)),
    ("peer_special", comparison(BOTH_NAN, answer=NAN)),
    ("peer_values", comparison(answer=replace(THEIRS, values=ROUNDED))),
    # A NaN on one side is the matter of peer_special alone.
    ("peer_values", comparison(answer=NAN)),
    ("peer_training", comparison(training=replace(TRAINED, values=ROUNDED, state=[BIAS + 1 + 1e-7]))),
    ("peer_gradients", comparison(slopes_answer=replace(SLOPES, input_gradients=[2 * ONES + 5e-7]))),
]


@pytest.mark.parametrize(("name", "compared"), TWINS)
def test_the_twin_passes(name: str, compared: Comparison) -> None:
    verdict = said(name, compared)
    assert verdict is not None
    assert verdict.outcome == "pass", verdict.message


def test_two_that_agree_on_what_is_wrong_are_told_by_the_reference() -> None:
    both = comparison(replace(OURS, eager=Outcome("*", moved(1.0), [None])), answer=replace(THEIRS, values=moved(1.002)))
    verdict = said("peer_values", both)
    assert verdict is not None
    assert "wrong: this product and older" in verdict.message


@pytest.mark.parametrize("name", ["peer_values", "peer_special"])
def test_what_is_random_is_not_compared(name: str) -> None:
    drawn = replace(SPEC, random=lambda case, training: True)
    assert said(name, comparison(spec=drawn, answer=replace(THEIRS, values=moved(1)))) is None


@pytest.mark.parametrize(
    "answer", [ERROR, Answer("unsupported", "none"), replace(THEIRS, structure="[*, *]", values=[value(Y)] * 2)]
)
def test_without_values_on_both_sides_none_are_compared(answer: Answer) -> None:
    assert said("peer_values", comparison(answer=answer)) is None


# Translation.


def test_keras_3_needs_no_translation() -> None:
    case = Case("keras.layers.LeakyReLU", {"negative_slope": 0.1, "autocast": True}, Tensor((2, 2)))
    assert translated(case, KERAS_3) == case


@pytest.mark.parametrize(
    ("case", "arguments"),
    [
        (Case("keras.layers.LeakyReLU", {"negative_slope": 0.1, "name": "a"}, Tensor((2,))), {"alpha": 0.1, "name": "a"}),
        (Case("keras.layers.LSTM", {"units": 2, "seed": 3, "use_cudnn": "auto"}, Tensor((2,))), {"units": 2}),
        (
            Case(
                "keras.layers.Dense",
                {"units": 2, "activation": Build("keras.layers.LeakyReLU", {"negative_slope": 0.2})},
                Tensor((2,)),
            ),
            {"units": 2, "activation": Build("keras.layers.LeakyReLU", {"alpha": 0.2})},
        ),
        (Case("keras.layers.ConvLSTM2D", {"filters": 1}, Tensor((2,))), {"recurrent_activation": "sigmoid", "filters": 1}),
        (
            Case("keras.layers.MaxPooling1D", {}, Tensor((2, 2, 2)), settings={"image_data_format": "channels_first"}),
            {"data_format": "channels_first"},
        ),
    ],
)
def test_names_and_arguments_in_keras_2(case: Case, arguments: dict[str, Any]) -> None:
    assert translated(case, KERAS_2).arguments == arguments


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (
            Case("keras.layers.LSTM", {"units": 2, "use_cudnn": True}, Tensor((2,))),
            "has no use_cudnn, and True is not what it does",
        ),
        (Case("keras.layers.Dense", {"units": 2, "activation": "hard_sigmoid"}, Tensor((2,))), "clip(0.2 x + 0.5) in Keras 2"),
        (Case("keras.layers.Dense", {"activation": Name("keras.activations.hard_sigmoid")}, Tensor((2,))), "hard_sigmoid"),
        (Case("keras.layers.Resizing", {"height": 2}, {"images": Tensor((2,))}), "takes images alone"),
        (Case("keras.layers.Normalization", {}, Tensor((2, 2)), adapt=[Tensor((1, 2))]), "several inputs, and no batches"),
    ],
)
def test_what_has_no_counterpart_in_keras_2(case: Case, reason: str) -> None:
    with pytest.raises(NoCounterpart) as raised:
        translated(case, KERAS_2)
    assert reason in str(raised.value)


def test_an_item_is_plain_and_its_arrays_are_made() -> None:
    case = Case(
        "keras.layers.DepthwiseConv2D",
        {"kernel_size": (1, 2), "bias_initializer": Build("keras.initializers.Constant", {"value": float("inf")})},
        [Tensor((2, 2)), Tensor((1,), "string", literal=("a",))],
        masks=(Tensor((2,), "bool", "bool"), None),
    )
    found = item_of(case, KERAS_2, [("kernel#3", np.zeros(1)), ("bias", np.ones(2))], cotangents=[None, np.ones(1)])
    assert [name for name, _ in found["weights"]] == ["depthwise_kernel", "bias"]
    assert found["arguments"]["kernel_size"] == {"$tuple": [1, 2]}
    assert found["arguments"]["bias_initializer"]["$build"]["arguments"] == {"value": {"$float": "inf"}}
    assert found["inputs"][0].dtype == np.float32
    assert found["inputs"][1].tolist() == ["a"]
    assert found["masks"][0].dtype == bool
    assert found["masks"][1] is None


# What a peer answers.


class Scripted:
    """A peer whose answers are written down: each request takes the next script."""

    environment = SimpleNamespace(name="scripted")

    def __init__(self, *scripts: Sequence[Any]) -> None:
        self.scripts = list(scripts)
        self.asked: list[int] = []

    def submit(self, kind: str, items: Sequence[Any]) -> int:
        assert kind == "cases"
        self.asked.append(len(items))
        return len(self.asked) - 1

    def parts(self, number: int, timeout_s: float | None) -> Any:
        for part in self.scripts[number]:
            if isinstance(part, Exception):
                raise part
            yield part


RAN = {
    "outcome": "ran",
    "structure": "*",
    "dtypes": ["float32"],
    "outputs": [Y],
    "masks": [None],
    "state": [],
    "gradients": None,
}


def test_the_case_at_which_a_peer_crashes_is_known_and_the_rest_goes_on() -> None:
    crash, timeout = PeerError("crash", "it has ended"), PeerError("timeout", "too long")
    peer: Any = Scripted([RAN, crash], [RAN, timeout], [RAN])
    found = answers(peer, [{}] * 5)
    assert [each.outcome for each in found] == ["ran", "crash", "ran", "timeout", "ran"]
    assert peer.asked == [5, 3, 1]
    assert found[1].message == "it has ended"


def test_errors_and_what_is_unsupported() -> None:
    peer: Any = Scripted(
        [{"outcome": "error", "kind": "ValueError", "message": "a\nb"}, {"outcome": "unsupported", "message": "no"}]
    )
    found = answers(peer, [{}] * 2)
    assert [(each.outcome, each.message) for each in found] == [("error", "ValueError: a"), ("unsupported", "no")]


@pytest.mark.parametrize(
    "part", [{}, {"outcome": "danced"}, {"outcome": "ran"}, {**RAN, "dtypes": []}, 3, {"outcome": "error"}], ids=repr
)
def test_a_wrongly_formed_answer_is_an_error(part: Any) -> None:
    peer: Any = Scripted([part])
    with pytest.raises(PeerError, match="peer scripted answered a case wrongly"):
        answers(peer, [{}])


def test_one_that_is_given_up_ends_the_check() -> None:
    peer: Any = Scripted([PeerError("given up", "too often")])
    with pytest.raises(PeerError, match="too often"):
        answers(peer, [{}])


# The register.

ENTRY = """
[[issue]]
id = "one"
subject = "keras.layers.Scaled"
property = "peer_values"
versions = { keras = "<4" }
peer = { keras = ">=2.12,<2.16" }
where = "rank == 2"
reason = "they differ"
link = "https://example.org/1"
date = "2026-01-02"
"""
OF_ONE = (
    ENTRY.replace('peer = { keras = ">=2.12,<2.16" }\n', "").replace("peer_values", "reference").replace('"<4"', '">=3.5,<3.6"')
)


@pytest.mark.parametrize(
    ("text", "name", "ours", "theirs", "found"),
    [
        (ENTRY, "peer_values", "3.15.1", "2.15.0", True),
        (ENTRY, "peer_values", "3.15.1", "2.11.0", False),
        (ENTRY, "peer_values", "4.0", "2.15.0", False),
        (ENTRY, "peer_mask", "3.15.1", "2.15.0", False),
        (ENTRY.replace("rank == 2", "rank == 3"), "peer_values", "3.15.1", "2.15.0", False),
        # What is wrong on one side alone shows as a difference, whichever side it is.
        (OF_ONE, "peer_values", "3.5.0", "3.15.1", True),
        (OF_ONE, "peer_values", "3.15.1", "3.5.0", True),
        (OF_ONE, "peer_values", "3.15.1", "3.14.0", False),
        (OF_ONE, "peer_mask", "3.15.1", "3.5.0", False),
    ],
)
def test_which_entries_explain_a_difference(
    monkeypatch: pytest.MonkeyPatch, text: str, name: str, ours: str, theirs: str, found: bool
) -> None:
    from pytest_dlcheck.differential import register

    monkeypatch.setattr(register, "load", lambda: parse(text))
    product: Any = SimpleNamespace(backend="torch", versions={"keras": theirs})
    check = next(each for each in PROPERTIES if each.name == name)
    assert (expected("torch", {"keras": ours}, product)(check, CASE) is not None) == found


def test_an_entry_with_a_wrong_specifier_is_named() -> None:
    from pytest_dlcheck.errors import DlcheckError

    with pytest.raises(DlcheckError, match="one"):
        parse(ENTRY.replace(">=2.12,<2.16", "two"), "here")


# The suite.

SUITE = Path(__file__).parents[1] / "suites" / "differential" / "test_layers.py"
# Runs when the interpreter starts: a Dense that is off by a thousandth where it has more than one unit.
DEFECT = """
import os
if os.environ.get("KERAS_BACKEND"):
    import keras
    whole = keras.layers.Dense.call
    def call(self, inputs, training=None):
        return whole(self, inputs, training=training) * (1.001 if self.units > 1 else 1)
    keras.layers.Dense.call = call
"""


def test_without_a_name_the_suite_skips(runs: Runs) -> None:
    runs.fake_backends("torch")
    result = runs(SUITE, "--rootdir=.", "-rs", "--dl-backend=torch", "--dl-subject=keras.layers.Dense", "-pno:cacheprovider")
    result.stdout.fnmatch_lines(["*there is nothing to compare with: --dl-against names another product*"])


def test_an_unknown_name_is_a_usage_error(runs: Runs) -> None:
    runs.fake_backends("torch")
    result = runs("--dl-backend=torch", "--dl-against=nothing")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --dl-against: there is no environment 'nothing': *"])


def test_a_planted_defect_of_a_product_is_found_shrunk_and_reported(
    runs: Runs, needs: Callable[..., None], tmp_path: Path
) -> None:
    needs("keras")
    (tmp_path / "patched").mkdir()
    (tmp_path / "patched" / "sitecustomize.py").write_text(DEFECT)
    (runs.pytester.path / "dlcheck.toml").write_text(
        f"[peers.same]\ninterpreter = {sys.executable!r}\nbackend = 'numpy'\n"
        f"[peers.off]\ninterpreter = {sys.executable!r}\nbackend = 'numpy'\n"
        f"variables = {{PYTHONPATH = '{tmp_path / 'patched'}'}}\n"
    )
    runs.pytester.makepyprojecttoml("")
    for name, verdict in (("same", "pass"), ("off", "fail")):
        result = runs(
            SUITE,
            "--rootdir=.",
            "-cpyproject.toml",
            "-pno:cacheprovider",
            "--dl-backend=numpy",
            "--dl-profile=smoke",
            "--dl-subject=keras.layers.Dense",
            f"--dl-against={name}",
            f"--dl-report={name}",
        )
        assert result.ret == (0 if verdict == "pass" else 1), result.outlines
        report = json.loads((runs.pytester.path / name / "report.json").read_text())
        found = {each["property"]: each for each in report["results"]}
        assert found["peer_accepts"]["verdict"] == "pass"
        assert found["peer_values"]["verdict"] == verdict
        same = "this product and same resolve to the same versions" in found["peer_accepts"]["message"]
        assert same == (name == "same"), found["peer_accepts"]["message"]
    assert "wrong: off" in found["peer_values"]["message"]
    assert "smallest case: Dense(units=2) on float[2, 2]" in found["peer_values"]["message"]
