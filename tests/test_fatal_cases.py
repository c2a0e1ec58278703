"""Cases that end the process: refused where the register names them, and judged in a process of their own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from conftest import need
from pytest_dlcheck import checking
from pytest_dlcheck.cases.case import Case, Tensor, plain
from pytest_dlcheck.checking import LayerCheck
from pytest_dlcheck.effort import EXAMPLES
from pytest_dlcheck.known_issues import KnownIssue, fatal
from pytest_dlcheck.known_issues.fatal import EndsProcess, how_it_ends, refuse
from pytest_dlcheck.known_issues.stored import StoredCase
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import World

CASE = Case("keras.layers.Dense", {"units": 1}, Tensor((1, 2)))
ENTRY = KnownIssue(
    "one", "keras.layers.Dense", "accepts", {}, "it dies", "https://example.org/1", "2026-11-23", ends_process=True
)


def on(onednn: set[str]) -> Any:
    return SimpleNamespace(name="numpy", onednn=frozenset(onednn))


@pytest.mark.parametrize(
    ("entry", "case", "refused"),
    [
        (ENTRY, CASE, True),
        (ENTRY._replace(ends_process=False), CASE, False),
        (ENTRY._replace(where="units > 1"), CASE, False),
        (ENTRY._replace(kernels="oneDNN"), CASE, True),
        (ENTRY._replace(kernels="oneDNN"), CASE.replace(policy="float64"), False),
        (ENTRY._replace(kernels="Eigen"), CASE, False),
        (ENTRY._replace(backends=("torch",)), CASE, False),
        (ENTRY, CASE.replace(subject="keras.layers.ReLU"), False),
    ],
)
def test_what_the_register_names_is_not_run(entry: KnownIssue, case: Case, refused: bool) -> None:
    if refused:
        with pytest.raises(EndsProcess, match="it dies"):
            refuse(case, on({"float32"}), lambda: (entry,))
    else:
        refuse(case, on({"float32"}), lambda: (entry,))


def test_how_a_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fatal, "script", lambda *given: "import os, signal; os.kill(os.getpid(), signal.SIGFPE)")
    assert how_it_ends(CASE, "numpy", "3.15.1") == "SIGFPE"
    monkeypatch.setattr(fatal, "script", lambda *given: "raise ValueError")
    assert how_it_ends(CASE, "numpy", "3.15.1") is None


@pytest.mark.parametrize(("signal", "verdict"), [("SIGFPE", "known"), (None, "fixed")])
def test_a_stored_case_must_still_end_it(monkeypatch: pytest.MonkeyPatch, signal: str | None, verdict: str) -> None:
    need("numpy")
    monkeypatch.setattr(checking, "how_it_ends", lambda *given: signal)
    check = LayerCheck(
        SPECS["Dense"],
        SimpleNamespace(name="numpy", compiles_operations=False),  # type: ignore[arg-type] # nothing of it is run here
        World("numpy"),
        "eager",
        seed=0,
        effort=EXAMPLES["default"],
        known=lambda name: [ENTRY] if name == "accepts" else [],
        stored=lambda issue: [StoredCase("one", "accepts", "numpy", "eager", plain(CASE))],
    )
    (found,) = check._replay()
    assert (found.verdict, found.property) == (verdict, "accepts")
