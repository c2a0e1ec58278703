"""The cases kept with the register: each shows what its entry says, and `dlcheck register` looks at them again."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_dlcheck import checking
from pytest_dlcheck.cases.case import Case, Tensor, plain, revive
from pytest_dlcheck.cases.naming import names_of
from pytest_dlcheck.cli import main
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.gradients import layers
from pytest_dlcheck.gradients.layers import EFFORTS, LayerGradients
from pytest_dlcheck.known_issues import KnownIssue, holds, load
from pytest_dlcheck.known_issues.stored import StoredCase, read, stored_cases, written
from pytest_dlcheck.properties.verdict import Verdict
from pytest_dlcheck.register import BROKEN, FAILS, HOLDS, NOT_HERE, Register, Shown
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import World

# Cases of differences would need the other product.
OF_LAYERS = [
    issue for issue in load() if not issue.of_difference() and any(issue.names_subject(spec.subject) for spec in SPECS.values())
]
Needs = Callable[..., None]


@pytest.mark.parametrize("issue", OF_LAYERS, ids=lambda issue: issue.id)
def test_an_entry_has_cases_of_which_it_speaks(issue: KnownIssue) -> None:
    kept = stored_cases(issue.id)
    assert bool(kept) != issue.unsteady, "no case is kept that shows it: python docs/register_cases.py BACKEND"
    for each in kept:
        case = revive(each.case)
        assert isinstance(case, Case)
        assert case.name in SPECS
        assert not issue.backends or each.backend in issue.backends
        assert issue._replace(versions={}).applies(case.subject, each.property, each.backend, {})
        assert not issue.dtypes or case.policy in issue.dtypes
        assert holds(issue.where, names_of(case))


def test_no_case_is_kept_of_an_entry_that_is_gone() -> None:
    from pytest_dlcheck.known_issues import stored

    assert set(stored._all()) <= {issue.id for issue in load()}


CASE = Case("keras.layers.Dense", {"units": 1}, Tensor((1, 1)))
KEPT = StoredCase("one", "shape", "torch", "eager", plain(CASE))
ENTRY = KnownIssue("one", "keras.layers.*", "shape", {"keras": "<4"}, "off", "https://example.org/1", "2026-01-02")


def test_cases_are_written_in_one_order_and_read_again() -> None:
    other = KEPT._replace(issue="another")
    text = written([KEPT, other])
    assert text == written([other, KEPT])
    assert read(text, "here") == (other, KEPT)


@pytest.mark.parametrize("text", ["{", '{"issue": "one"}', '["one"]'])
def test_a_line_that_is_no_case_is_named(text: str) -> None:
    with pytest.raises(DlcheckError, match=r"torch\.jsonl, line 2: not a stored case"):
        read(written([KEPT]) + text, "torch.jsonl")


class Dense:
    def __init__(self, units: int) -> None: ...


def registered(keras: str = "3.15.1", allowed: bool = True) -> Register:
    backend: Any = SimpleNamespace(
        onednn=frozenset(),
        name="torch",
        keras=SimpleNamespace(layers=SimpleNamespace(Dense=Dense)),
        quick=contextlib.nullcontext,
    )
    return Register(backend, keras, lambda issue, subject, name: allowed)


@pytest.mark.parametrize(
    ("said", "outcome", "contradicts"),
    [
        ({"shape": Verdict("fail", "off")}, FAILS, False),
        ({"shape": Verdict("imprecise", "off")}, FAILS, False),
        ({"shape": Verdict("pass", "fine")}, HOLDS, True),
        ({"shape": Verdict("broken", "KeyError")}, BROKEN, True),
        ({"accepts": Verdict("fail", "TypeError")}, NOT_HERE, False),
        ({}, NOT_HERE, False),
    ],
)
def test_what_became_of_a_stored_case(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, Verdict], outcome: str, contradicts: bool
) -> None:
    monkeypatch.setattr(checking, "judge_case", lambda *given, **options: said)
    shown = registered().stored(ENTRY, KEPT)
    assert (shown.outcome, shown.contradicts()) == (outcome, contradicts)


def test_an_entry_of_other_versions_is_not_contradicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "judge_case", lambda *given, **options: {"shape": Verdict("pass", "fine")})
    assert not registered(allowed=False).stored(ENTRY, KEPT).contradicts()


@pytest.mark.parametrize("missing", ["use_cudnn", "axis"])
def test_an_argument_that_a_version_lacks_is_not_the_failure(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setattr(checking, "judge_case", lambda *given, **options: {"shape": Verdict("fail", "off")})
    case = CASE.with_arguments(**{missing: 1})
    shown = registered().stored(ENTRY, KEPT._replace(case=plain(case)))
    assert (shown.outcome, shown.message) == (NOT_HERE, f"Dense takes no {missing}")


def test_a_refused_argument_deep_inside_is_not_the_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"accepts": Verdict("fail", "TypeError in building: LSTM.__init__() got an unexpected keyword argument 'x'")}
    monkeypatch.setattr(checking, "judge_case", lambda *given, **options: said)
    assert registered().stored(ENTRY, KEPT._replace(property="accepts")).outcome == NOT_HERE


def test_a_layer_that_a_version_lacks() -> None:
    backend: Any = SimpleNamespace(name="torch", onednn=frozenset(), keras=SimpleNamespace(layers=SimpleNamespace()))
    shown: Shown = Register(backend, "3.0.5", lambda *given: True).stored(ENTRY, KEPT)
    assert (shown.outcome, shown.message) == (NOT_HERE, "keras 3.0.5 has no layers.Dense")


OF_GRADIENTS = ENTRY._replace(property="gradient")
GRADIENT_OF_DENSE = StoredCase("one", "gradient", "torch", "eager", plain(CASE))


@pytest.mark.parametrize(
    ("profile", "again", "expected"),
    [
        ("default", ("fail", "off"), ["known"]),
        ("default", ("imprecise", "off"), ["known"]),
        ("default", ("pass", "fine"), ["fixed"]),
        ("default", None, ["fixed"]),
        ("default", ("broken", "KeyError"), ["broken"]),
        ("smoke", ("pass", "fine"), []),
    ],
)
def test_stored_gradients_are_looked_at_again(
    monkeypatch: pytest.MonkeyPatch, profile: str, again: tuple[str, str] | None, expected: list[str]
) -> None:
    backend: Any = SimpleNamespace(name="torch", onednn=frozenset(), quick=contextlib.nullcontext)
    autodiff = SimpleNamespace(modes=("eager",), one_thread=contextlib.nullcontext)
    monkeypatch.setattr(layers, "autodiff_of", lambda backend: autodiff)
    monkeypatch.setattr(LayerGradients, "again", lambda self, case, name, mode: again)
    monkeypatch.setattr(LayerGradients, "_draw", lambda self, number: None)
    monkeypatch.setattr(LayerGradients, "_why_none", lambda self: "nothing is drawn here")
    made = LayerGradients(
        SPECS["Dense"],
        backend,
        World("torch"),
        seed=0,
        effort=EFFORTS[profile],
        known=lambda name: [OF_GRADIENTS] if name in ("gradient", "accepts") else [],
        stored=lambda issue: [
            GRADIENT_OF_DENSE,
            GRADIENT_OF_DENSE._replace(backend="jax"),
            GRADIENT_OF_DENSE._replace(property="accepts"),
        ],
    )
    assert [each.verdict for each in made.run() if each.case is not None] == expected


def test_an_unknown_entry_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["register", "nonsense"]) == 2
    assert capsys.readouterr().err == (
        "dlcheck: error: the register has no entry 'nonsense'; `dlcheck register` without a name shows all\n"
    )


def test_a_backend_that_is_not_there_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["register", "rnn-*", "--backend", "theano"]) == 2
    assert capsys.readouterr().err.startswith("dlcheck: error: backend 'theano' is not installed; there are")


def test_entries_shown_by_a_framework(pytester: pytest.Pytester, needs: Needs) -> None:
    needs("torch", "keras")
    path = pytester.path / "seen.json"
    # Of layers, of what a function gives, and of a function's gradient.
    entries = ("rnn-one-stacked-cell-torch", "rnn-use-cudnn-not-in-config", "torch-dot-of-three-axes", "torch-vdot-of-matrices")
    result = pytester.run(
        sys.executable, "-m", "pytest_dlcheck.cli", "register", *entries, "--backend", "torch", "--json", path
    )
    seen = json.loads(Path(path).read_text())
    assert seen["schema"] == "dlcheck-register/1"
    assert {each["issue"] for each in seen["results"]} == set(entries)
    contradicted = [each for each in seen["results"] if each["registered"] and each["outcome"] != FAILS]
    assert result.ret == (1 if contradicted else 0)
    # Where the newest Keras is installed, which the entries name.
    if all(each["registered"] for each in seen["results"]):
        assert {each["outcome"] for each in seen["results"]} == {FAILS}
    result.stdout.fnmatch_lines(["4 entries: *"])
