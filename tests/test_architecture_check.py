"""The check of random models: what it draws, shrinks, leaves out and writes down."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from planted_models import ADD, CATALOGUE, DENSE, SHARED

from pytest_dlcheck.architectures.architecture import Architecture, Node
from pytest_dlcheck.architectures.check import ArchitectureCheck, ArchitectureEffort, names_of_model
from pytest_dlcheck.architectures.script import architecture_script
from pytest_dlcheck.cases.case import Build, Tensor, dumps, loads
from pytest_dlcheck.known_issues import KnownIssue
from pytest_dlcheck.properties.verdict import PASS, failed, passed

EFFORT = ArchitectureEffort(models=5, op_by_op=2, copies=1, shrink_s=10)
BACKEND: Any = SimpleNamespace(name="torch", compiles_operations=False)


def check(judge: Callable[..., Any], **changes: Any) -> Any:
    return ArchitectureCheck("chain", CATALOGUE, BACKEND, seed=1, effort=EFFORT, judge=judge, **changes)


def test_what_fails_is_shrunk() -> None:
    def judge(architecture: Architecture, backend: Any, *, copies: bool) -> Any:
        return {"outputs": failed("wrong") if len(architecture.nodes) > 1 else passed("right")}

    bad = [each for each in check(judge).run() if not each.is_harmless()]
    assert bad
    for finding in bad:
        assert isinstance(finding.case, Architecture)
        # Sequential has nothing shorter of two calls.
        assert len(finding.case.nodes) == 2, finding.message
        assert "smallest model:" in finding.message
        assert loads(str(finding.dump()["case"])) == finding.case


def test_what_the_register_knows_of_models_is_known_and_not_shrunk() -> None:
    issue = KnownIssue("id", "architectures.*", "outputs", {}, "why", "link", "2026-11-22", where="'Dense' in classes")

    def judge(architecture: Architecture, backend: Any, *, copies: bool) -> Any:
        return {"outputs": failed("wrong")}

    def verdicts(where: str) -> set[str]:
        entry = issue._replace(where=where)
        return {each.verdict for each in check(judge, known=lambda name: [entry] if name == "outputs" else []).run()}

    assert verdicts("'NoSuchLayer' in classes") == {"fail"}
    assert verdicts("policy in ('float32', 'mixed_float16', 'mixed_bfloat16', 'bfloat16')") == {"known"}


@pytest.mark.parametrize(("where", "judged"), [("weight_regularized", False), ("policy != ''", True)])
def test_what_cannot_be_run_is_left_out_as_long_as_there_is_something_else(where: str, judged: bool) -> None:
    issue = KnownIssue("id", "architectures.*", "accepts", {}, "why", "link", "2026-11-22", where=where)
    looked: list[bool] = []

    def judge(architecture: Architecture, backend: Any, *, copies: bool) -> Any:
        looked.append(bool(names_of_model(architecture)["weight_regularized"]))
        return {"accepts": passed("it runs")}

    check(judge, known=lambda name: [issue] if name == "accepts" else []).run()
    assert len(looked) == EFFORT.models, "as many as without the entry"
    assert judged or not any(looked)


def test_what_conditions_may_speak_of() -> None:
    plain = names_of_model(SHARED)
    assert not plain["activity_regularized"]
    assert not plain["weight_regularized"]
    assert "Add" in plain["classes"]
    inner = Build("keras.layers.TimeDistributed", {"layer": Build("keras.layers.Dense", {"kernel_regularizer": "l2"})})
    assert names_of_model(SHARED.replace(layers=(inner, ADD)))["weight_regularized"]
    assert names_of_model(SHARED.replace(layers=(DENSE, Build("keras.layers.ActivityRegularization"))))["activity_regularized"]


def test_as_many_are_drawn_as_the_effort_says_and_some_are_copied() -> None:
    looked: list[bool] = []

    def judge(architecture: Architecture, backend: Any, *, copies: bool) -> Any:
        looked.append(copies)
        return {"outputs": passed("right")}

    found = check(judge).run()
    assert looked == [True] + [False] * 4
    assert sum(each.examples for each in found) == 5
    assert all(each.verdict == PASS for each in found)


def test_a_budget_cuts_and_says_so() -> None:
    found = check(lambda architecture, backend, copies: {"outputs": passed("right")}, budget_s=0.0).run()
    assert [each.message for each in found if each.verdict == "skip"] == ["the budget of 0 s left time for 1 of 5 models"]


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind 'ring'; there are chain"):
        ArchitectureCheck("ring", CATALOGUE, BACKEND, seed=0, effort=EFFORT)


# As a script, and again.


def test_a_model_becomes_a_script_of_its_own(tmp_path: Path, needs: Callable[..., None]) -> None:
    needs("torch")
    nested = Architecture(
        (Tensor((2, 3)),), (Build("keras.layers.LayerNormalization"), DENSE), (Node(0, (0,)), Node(1, (1,))), (2,)
    )
    recurrent = Build("keras.layers.Bidirectional", {"layer": Build("keras.layers.GRU", {"units": 2})})
    reshape = Build("keras.layers.Reshape", {"target_shape": (2, 1)})
    model = SHARED.replace(
        layers=(DENSE, ADD, nested, Build("keras.layers.Dense", {"units": 3}), reshape, recurrent),
        nodes=(Node(0, (0,)), Node(0, (1,)), Node(1, (2, 3)), Node(3, (4,)), Node(2, (5,)), Node(4, (6,)), Node(5, (7,))),
        outputs=(4, 8),
        policy="mixed_bfloat16",
    )
    path = tmp_path / "model.py"
    path.write_text(architecture_script(model, "torch", 'outputs: fail\nit says """no"""'))
    done = subprocess.run([sys.executable, path], check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    parts = re.split(r"\w+ (?:inference|training)\n|losses .*\n", done.stdout)
    tensors = [part for part in parts if part.startswith("[tensor")]
    # Inference and training of both forms: the same outputs, since nothing in it is random.
    assert len(tensors) == 4
    assert tensors[0].partition("grad_fn")[0] == tensors[2].partition("grad_fn")[0]


def test_a_stored_model_is_looked_at_again(tmp_path: Path, needs: Callable[..., None]) -> None:
    needs("torch")
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"case": json.loads(dumps(SHARED)), "backend": "torch"}))
    command = [sys.executable, "-m", "pytest_dlcheck.cli", "replay", path]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "t1 = layers.Dense(units=2) #0(x1)" in done.stdout
    assert "training_call" in done.stdout
