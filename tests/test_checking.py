"""The engine: how verdicts on single cases become findings, how it shrinks, and what it makes of the register."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conftest import need
from pytest_dlcheck import checking
from pytest_dlcheck.cases.case import Build, Case, Tensor, dumps, plain, with_values
from pytest_dlcheck.cases.naming import names_of
from pytest_dlcheck.checking import LayerCheck
from pytest_dlcheck.effort import ENOUGH, EXAMPLES, TURNS, Effort
from pytest_dlcheck.finding import Finding
from pytest_dlcheck.known_issues import KnownIssue
from pytest_dlcheck.known_issues.stored import StoredCase
from pytest_dlcheck.observe.layer import PARTS
from pytest_dlcheck.properties.layers.catalogue import PROPERTIES
from pytest_dlcheck.properties.verdict import HARMLESS, Verdict, failed, passed
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import LayerSpec, World


def draw(d: Draw) -> None:
    d.set("units", d.integer(1, 50))
    d.option("axis", [-1, 1, 2])
    d.inputs = d.floats(d.shape(2))


SPEC = LayerSpec("Dense", draw, policies=("float32",))
EFFORT = Effort({"eager": 30, "graph": 2, "compiled": 1}, values=0, op_by_op=5, costly=2, shrink_s=30)
BACKEND = SimpleNamespace(name="tensorflow", compiles_operations=False, quick=contextlib.nullcontext)


class Fake:
    """Judges cases by their arguments alone, and counts them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **verdicts: Any) -> None:
        self.verdicts = verdicts
        self.cases: list[Case] = []
        monkeypatch.setattr(checking, "judge_case", self.judge)

    def judge(self, spec: LayerSpec, case: Case, *args: Any, **kwargs: Any) -> dict[str, Verdict]:
        self.cases.append(case)
        said = {name: judge(case) for name, judge in self.verdicts.items()}
        return {name: verdict for name, verdict in said.items() if verdict is not None}


def check(known: Sequence[KnownIssue] = (), *, seed: int = 1, spec: LayerSpec = SPEC, **options: Any) -> dict[str, Finding]:
    made = LayerCheck(
        spec,
        options.pop("backend", BACKEND),
        World(),
        options.pop("group", "eager"),
        seed=seed,
        effort=options.pop("effort", EFFORT),
        known=lambda name: [issue for issue in known if issue.property == name],
        **options,
    )
    return {finding.property: finding for finding in made.run()}


def above(limit: int) -> Any:
    return lambda case: failed("too many") if case.arguments["units"] > limit else passed("few")


def entry(**changes: Any) -> KnownIssue:
    return KnownIssue("one", "keras.layers.*", "shape", {"keras": "<4"}, "off", "https://example.org/1", "2026-01-02")._replace(
        **changes
    )


def test_what_holds_in_every_case_passes_and_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch, shape=lambda case: passed("fine"), mask=lambda case: None)
    found = check()
    assert set(found) == {"shape"}
    assert (found["shape"].verdict, found["shape"].examples, found["shape"].case) == ("pass", len(fake.cases), None)
    assert len({dumps(case) for case in fake.cases}) == len(fake.cases) == 30


def test_a_failure_is_shrunk_to_the_smallest_case(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake(monkeypatch, shape=above(17), dtype=lambda case: passed("fine"))
    found = check()
    assert found["dtype"].verdict == "pass"
    assert found["shape"].verdict == "fail"
    smallest = found["shape"].case
    assert smallest is not None
    assert dict(smallest.arguments) == {"units": 18}
    assert smallest.inputs == Tensor((2, 2))
    assert found["shape"].message == "too many\nsmallest case: Dense(units=18) on float[2, 2] normal #0, float32"


def test_each_failing_property_is_shrunk_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake(monkeypatch, shape=above(17), mask=lambda case: failed("axis") if case.arguments.get("axis") == 2 else passed("fine"))
    found = check()
    assert found["shape"].case is not None
    assert found["mask"].case is not None
    assert dict(found["shape"].case.arguments) == {"units": 18}
    assert dict(found["mask"].case.arguments) == {"units": 1, "axis": 2}


def test_a_shrunk_case_fails_in_the_policy_in_which_it_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = LayerSpec("Dense", draw, policies=("float32", "float16"))
    Fake(monkeypatch, shape=lambda case: failed("half") if case.policy == "float16" else passed("fine"))
    checked = LayerCheck(spec, BACKEND, World(), "eager", seed=0, effort=EFFORT)  # type: ignore[arg-type]
    found = {(finding.property, finding.dtype): finding for finding in checked.run()}
    assert found["shape", "float32"].verdict == "pass"
    assert found["shape", "float16"].verdict == "fail"
    assert found["shape", "float16"].case is not None
    assert found["shape", "float16"].case.policy == "float16"


def test_the_same_seed_draws_the_same_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for seed in (5, 5, 6):
        fake = Fake(monkeypatch, shape=lambda case: passed("fine"))
        check(seed=seed)
        seen.append([dumps(case) for case in fake.cases])
    assert seen[0] == seen[1] != seen[2]


def test_few_cases_are_not_the_simplest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch, compiled=lambda case: passed("fine"))
    check(group="compiled")
    (case,) = fake.cases
    assert dict(case.arguments) != {"units": 1}


def test_a_known_failure_is_known_and_not_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch, shape=above(0))
    found = check([entry()])["shape"]
    assert (found.verdict, found.known_issue) == ("known", "https://example.org/1")
    assert "off (keras <4, https://example.org/1, 2026-01-02)" in found.message
    assert len(fake.cases) <= 30


def test_a_known_failure_of_some_cases_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake(monkeypatch, shape=above(17))
    found = check([entry(where="units > 40")])["shape"]
    assert found.verdict == "fail"
    assert found.case is not None
    assert dict(found.case.arguments) == {"units": 18}


def test_a_known_failure_of_another_policy_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake(monkeypatch, shape=above(17))
    assert check([entry(dtypes=("float16",))])["shape"].verdict == "fail"


NESTED = Case(
    "keras.layers.RNN",
    {"cell": Build("keras.layers.StackedRNNCells", {"cells": [Build("keras.layers.LSTMCell", {"units": 3, "dropout": 0.5})]})},
    Tensor((2, 4, 5)),
)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("cell_class == 'StackedRNNCells' and cell_cells_count == 1", True),
        ("cell_cells_0_units == 3", True),
        ("any_dropout == 0.5 and any_units", True),
        ("any_recurrent_dropout", False),
        ("'LSTMCell' in classes", True),
        ("'GRUCell' in classes", False),
        ("unseeded", True),
        ("lacking(objects, ('LSTMCell',), 'seed') and not lacking(objects, ('RNN',), 'cell')", True),
        ("sizes == (4,) and channels == 5", True),
        ("none_kept", False),
    ],
)
def test_an_entry_may_speak_of_what_is_inside_an_argument(where: str, expected: bool) -> None:
    issue = entry(where=where)
    made = LayerCheck(SPEC, BACKEND, World(), "eager", seed=0, effort=EFFORT, known=lambda name: [issue])  # type: ignore[arg-type]
    assert made.expected("shape", NESTED) == (issue if expected else None)


@pytest.mark.parametrize(("mask", "expected"), [([[True, False]], False), ([[False, False]], True)], ids=["one", "none"])
def test_an_entry_may_speak_of_a_mask_that_keeps_nothing(mask: Any, expected: bool) -> None:
    attached = Case("keras.layers.LSTM", {}, Tensor((1, 2, 3)), masks=(Tensor((1, 2), "bool", literal=mask),))
    given = Case("keras.layers.LSTM", {}, Tensor((1, 2, 3)), call={"mask": Tensor((1, 2), "bool", literal=mask)})
    assert names_of(attached)["none_kept"] is names_of(given)["none_kept"] is expected


def test_the_sizes_of_an_image_are_found_in_either_format() -> None:
    issue = entry(where="sizes == (3, 4)")
    made = LayerCheck(SPEC, BACKEND, World(), "eager", seed=0, effort=EFFORT, known=lambda name: [issue])  # type: ignore[arg-type]
    first, last = Tensor((1, 2, 3, 4)), Tensor((1, 3, 4, 2))
    assert made.expected("shape", Case("keras.layers.Conv2D", {}, last)) is issue
    assert made.expected("shape", Case("keras.layers.Conv2D", {"data_format": "channels_first"}, first)) is issue
    assert (
        made.expected("shape", Case("keras.layers.Conv2D", {}, first, settings={"image_data_format": "channels_first"}))
        is issue
    )
    assert made.expected("shape", Case("keras.layers.Conv2D", {}, first)) is None


STORED = Case("keras.layers.Dense", {"units": 30}, Tensor((1, 1)))


def kept(issue: str) -> list[StoredCase]:
    return [StoredCase(issue, "shape", backend, "eager", plain(STORED)) for backend in ("numpy", "tensorflow")]


def test_a_stored_case_is_replayed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch, shape=lambda case: failed("off") if case == STORED else passed("fine"))
    made = LayerCheck(SPEC, BACKEND, World(), "eager", seed=0, effort=EFFORT, known=lambda name: [entry()], stored=kept)  # type: ignore[arg-type]
    (first, *_) = [finding for finding in made.run() if finding.property == "shape"]
    assert fake.cases[0] == STORED
    assert first.verdict == "known"
    assert first.case == STORED


def test_a_stored_case_that_passes_is_fixed_and_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake(monkeypatch, shape=lambda case: passed("fine"))
    made = LayerCheck(SPEC, BACKEND, World(), "eager", seed=0, effort=EFFORT, known=lambda name: [entry()], stored=kept)  # type: ignore[arg-type]
    found = next(finding for finding in made.run() if finding.property == "shape")
    assert found.verdict == "fixed"
    assert not found.is_harmless()


def test_a_profile_may_leave_stored_cases_out(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch, shape=lambda case: passed("fine"))
    effort = replace(EFFORT, replays=False)
    made = LayerCheck(SPEC, BACKEND, World(), "eager", seed=0, effort=effort, known=lambda name: [entry()], stored=kept)  # type: ignore[arg-type]
    assert {finding.verdict for finding in made.run()} == {"pass"}
    assert STORED not in fake.cases
    assert not EXAMPLES["smoke"].replays
    assert EXAMPLES["default"].replays


def test_a_defect_of_ours_is_broken_whatever_the_register_says(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake(monkeypatch, shape=lambda case: Verdict("broken", "KeyError"))
    assert check([entry()])["shape"].verdict == "broken"


def test_what_only_refuses_is_unsupported(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake(monkeypatch, no_samples=lambda case: Verdict("unsupported", "ValueError: at least one"))
    assert check()["no_samples"].verdict == "unsupported"


def effects(dead: str) -> Any:
    def judge(case: Case) -> Verdict | None:
        if "axis" not in case.arguments:
            return passed("units: shape")
        return failed("axis: nothing") if dead == "axis" else passed("axis: values")

    return judge


def test_an_argument_that_never_shows_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake(monkeypatch, effect=effects("axis"))
    found = check()["effect"]
    assert found.verdict == "fail"
    assert found.message.startswith("axis: without it nothing changes")
    Fake(monkeypatch, effect=effects(""))
    found = check()["effect"]
    assert (found.verdict, found.message) == ("pass", "seen of axis, units")


def test_a_budget_cuts_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(monkeypatch, shape=lambda case: passed("fine"))
    assert check(budget_s=0.0)["shape"].examples == len(fake.cases) == 1


class FurtherValues(Fake):
    """Judges further values, too, as `judge_case` does."""

    def judge(self, spec: LayerSpec, case: Case, *args: Any, **kwargs: Any) -> dict[str, Verdict]:
        for number in range(1, kwargs["values"] + 1):
            further = with_values(case, number)
            kwargs["tell"](number, further, {name: judge(further) for name, judge in self.verdicts.items()})
        return super().judge(spec, case, *args, **kwargs)


def of_seed(limit: int) -> Any:
    return lambda case: failed("off") if case.inputs.seed >= limit else passed("fine")


def test_further_values_of_a_case_count_as_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FurtherValues(monkeypatch, shape=of_seed(100))
    found = check(effort=replace(EFFORT, values=3))["shape"]
    assert (found.verdict, found.examples) == ("pass", 4 * len(fake.cases))


def test_further_values_that_fail_are_a_case_of_their_own_that_is_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    FurtherValues(monkeypatch, shape=of_seed(8))
    found = check(effort=replace(EFFORT, values=3))["shape"]
    assert found.verdict == "fail"
    assert found.case is not None
    # The second set of values of the simplest case that there is.
    assert found.case.inputs.seed in (8, 12)
    assert found.case.arguments == {"units": 1}
    assert "smallest case" in found.message


def test_what_only_fails_after_other_values_keeps_its_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    class Remembering(FurtherValues):
        def judge(self, spec: LayerSpec, case: Case, *args: Any, **kwargs: Any) -> dict[str, Verdict]:
            if kwargs["values"]:
                kwargs["tell"](1, with_values(case, 1), {"shape": failed("left from the call before")})
            return {"shape": passed("fine")}

    Remembering(monkeypatch)
    found = check(effort=replace(EFFORT, values=3))["shape"]
    assert (found.verdict, found.message.partition("\n")[0]) == ("fail", "left from the call before")


def test_profiles_draw_more_and_more() -> None:
    for less, more in (("smoke", "default"), ("default", "nightly")):
        assert all(EXAMPLES[less].examples[group] < EXAMPLES[more].examples[group] for group in EXAMPLES[less].examples)
        assert EXAMPLES[less].op_by_op < EXAMPLES[more].op_by_op


def test_where_every_operation_is_compiled_fewer_cases_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    for group, examples in (("eager", EFFORT.op_by_op), ("compiled", EFFORT.examples["compiled"])):
        fake = Fake(monkeypatch, shape=lambda case: passed("fine"))
        check(group=group, backend=SimpleNamespace(name="jax", compiles_operations=True, quick=contextlib.nullcontext))
        assert len(fake.cases) == examples


def test_optimizations_are_left_out_only_where_the_effort_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[str] = []

    @contextlib.contextmanager
    def quick() -> Iterator[None]:
        inside.append("quick")
        yield

    Fake(monkeypatch, shape=lambda case: passed("fine"))
    for wanted in (False, True):
        backend = SimpleNamespace(name="jax", compiles_operations=True, quick=quick)
        check(backend=backend, effort=replace(EFFORT, quick=wanted))
        assert inside == ["quick"] * wanted


def test_cases_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """One case is observed without one half of the parts, the next without the other; without turns, every one in full."""
    for in_turns in (False, True):
        left_out: list[frozenset[str]] = []

        def judge(*args: Any, without: frozenset[str], **kwargs: Any) -> dict[str, Verdict]:
            left_out.append(without)  # noqa: B023 - called within this turn of the loop
            return {"shape": passed("fine")}

        monkeypatch.setattr(checking, "judge_case", judge)
        check(effort=replace(EFFORT, in_turns=in_turns))
        wanted = set(TURNS) if in_turns else {frozenset()}
        assert set(left_out) == wanted
        assert all(first != second for first, second in pairwise(left_out)) is in_turns


def test_turns_share_out_the_parts_that_take_calls_of_their_own() -> None:
    assert frozenset.union(*TURNS) <= set(PARTS)
    assert not frozenset.intersection(*TURNS)
    for each in PROPERTIES:
        # In one half or the other, so that every property has its turn.
        assert each.name == "accepts" or any(turn.isdisjoint(each.parts) for turn in TURNS), each.name


def test_an_argument_s_effect_is_not_judged_on_too_few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake(monkeypatch, effect=lambda case: passed("units: seen"))
    few = replace(EFFORT, examples={**EFFORT.examples, "eager": ENOUGH - 1})
    made = LayerCheck(SPEC, BACKEND, World(), "eager", seed=1, effort=few)  # type: ignore[arg-type]
    assert "effect" not in {each.name for each in made.properties}


def test_every_argument_a_spec_leaves_out_says_why() -> None:
    for spec in SPECS.values():
        assert all(len(reason) > 10 for reason in [*spec.not_drawn.values(), *spec.exempt.values()]), spec.name


# On a framework: a defect planted into a layer of Keras, found from outside.

CONFTEST = """
import keras

right = keras.layers.Dense.call

def wrong(self, inputs, training=None):
    outputs = right(self, inputs)
    return outputs + 1 if {planted} else outputs

keras.layers.Dense.call = wrong
"""


def run_with(pytester: pytest.Pytester, *, planted: str) -> tuple[pytest.RunResult, list[dict[str, Any]]]:
    """The suite's own test on a Dense layer that adds one where what is planted holds."""
    need("keras")
    pytester.makeconftest(f"import os\nos.environ['KERAS_BACKEND'] = 'numpy'\n{CONFTEST.format(planted=planted)}")
    (pytester.path / "test_layers.py").write_text(
        "from suites.layers.conftest import *\nfrom suites.layers.test_layers import test_eager\n"
    )
    options = ("--dl-backend", "numpy", "-n0", "--dl-profile", "smoke", "--dl-report", "report", "-p", "no:cacheprovider")
    result = pytester.runpytest_subprocess("--dl-subject", "keras.layers.Dense", *options)
    return result, json.loads((pytester.path / "report" / "report.json").read_text())["results"]


@pytest.fixture
def suites_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent), prepend=os.pathsep)


def test_a_planted_defect_is_found_with_its_smallest_case(pytester: pytest.Pytester, suites_importable: None) -> None:
    result, results = run_with(pytester, planted="self.units > 2")
    result.assert_outcomes(failed=1)
    wrong = {each["property"]: each for each in results if each["verdict"] not in HARMLESS}
    assert {"reference", "identities"} <= set(wrong)
    assert wrong["reference"]["case"]["$case"]["arguments"] == {"units": 3}
    script = pytester.path / "report" / "cases" / "layers.Dense-reference-numpy-float32-eager.py"
    assert "keras.layers.Dense(units=3)" in script.read_text()


def test_without_the_defect_nothing_is_found(pytester: pytest.Pytester, suites_importable: None) -> None:
    result, results = run_with(pytester, planted="False")
    result.assert_outcomes(passed=1)
    assert {each["verdict"] for each in results} <= set(HARMLESS)
    # Further values went through the layers of these cases, too, and were judged by the properties that need nothing else.
    examples = {name: sum(each["examples"] for each in results if each["property"] == name) for name in ("shape", "reference")}
    assert examples["reference"] > 3 * examples["shape"]


def test_a_defect_that_few_values_show_is_found(pytester: pytest.Pytester, suites_importable: None) -> None:
    # Of a normal number, one time in three.
    result, results = run_with(pytester, planted="(inputs.ravel()[:1] > 0.4).any()")
    result.assert_outcomes(failed=1)
    assert any(each["property"] == "reference" and each["verdict"] not in HARMLESS for each in results)
