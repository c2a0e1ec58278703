"""`dlcheck power`: bugs as a folder describes them, and what two reports say of one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from reports import a_report, a_result

from pytest_dlcheck.cli import main
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.power.bugs import Bug, judged, read_bugs, subjects_of, suites_for
from pytest_dlcheck.power.measuring import interpreter_of, markdown, measure

META = {
    "id": "k1",
    "title": "wrong",
    "component": "layers.Dense",
    "backend": "torch",
    "bad": "3.1.0",
    "good": "3.2.0",
    "python": "3.11.7",
    "property": "right",
}

BUG = Bug("k1", "wrong", "layers.Dense", "right", "torch", {"bad": ("keras==3.1.0",), "good": ("keras==3.2.0",)})


def the_bug(folder: Path, **changes: Any) -> Bug:
    place = folder / "k1"
    place.mkdir()
    (place / "meta.json").write_text(json.dumps(META | changes))
    (bug,) = read_bugs(folder)
    return bug


@pytest.mark.parametrize(
    ("component", "subjects"),
    [
        ("layers.LSTM/GRU/SimpleRNN", ["keras.layers.LSTM", "keras.layers.GRU", "keras.layers.SimpleRNN"]),
        ("layers.Conv2D / AveragePooling2D", ["keras.layers.Conv2D", "keras.layers.AveragePooling2D"]),
        ("layers.Dense(activation=Layer)", ["keras.layers.Dense"]),
        ("layers.Layer", ["keras.layers.Dense"]),
        ("ops.sum/mean/... (reduce_shape)", ["keras.ops.sum", "keras.ops.mean"]),
        ("tf.keras.layers.Concatenate", ["keras.layers.Concatenate"]),
        ("ops.image.map_coordinates", ["keras.ops.image.map_coordinates"]),
    ],
)
def test_subjects_of_a_component(component: str, subjects: list[str]) -> None:
    assert subjects_of(component) == subjects


def test_suites_that_look_at_a_subject() -> None:
    assert suites_for(["keras.layers.Dense"]) == ["layers"]
    assert suites_for(["keras.ops.sum"]) == ["functions", "gradients"]
    assert suites_for(["keras.metrics.IoU", "tf.saturate_cast"]) == []


def test_a_folder_of_bugs(tmp_path: Path) -> None:
    bug = the_bug(tmp_path)
    assert bug.requirements == {
        "bad": ("python==3.11.*", "keras==3.1.0", "torch"),
        "good": ("python==3.11.*", "keras==3.2.0", "torch"),
    }


def test_a_bug_of_tensorflow_names_its_packages(tmp_path: Path) -> None:
    packages = {"bad": "tensorflow-cpu==2.13.1", "good": "tensorflow-cpu==2.14.1"}
    bug = the_bug(tmp_path, packages=packages, python={"bad": "3.11", "good": "3.11"})
    assert bug.requirements["bad"] == ("python==3.11.*", "tensorflow-cpu==2.13.1")


FAIL = a_result("fail", backend="jax", property="reference")
KNOWN = a_result("known", backend="jax", property="reference", known_issue="link", examples=9)


@pytest.mark.parametrize(
    ("bad", "good", "verdict", "by", "false"),
    [
        ([FAIL], [a_result()], "found", ["reference"], []),
        ([KNOWN], [a_result()], "found", ["reference"], []),
        ([KNOWN | {"message": "it is off (keras ==3.1.0, link)"}], [a_result()], "found", ["reference: it is off"], []),
        ([KNOWN | {"examples": 1}], [a_result()], "missed", [], []),  # the register's own case
        ([FAIL], [FAIL], "missed", [], ["reference"]),
        ([FAIL], [KNOWN], "found", ["reference"], []),
        ([KNOWN], [KNOWN], "missed", [], []),
        ([a_result()], [a_result()], "missed", [], []),
        ([a_result()], [FAIL], "missed", [], ["reference"]),
        ([a_result("unsupported")], [a_result()], "missed", [], []),
    ],
)
def test_found_is_what_fails_on_the_bad_version_alone(
    bad: list[Any], good: list[Any], verdict: str, by: list[str], false: list[str]
) -> None:
    outcome = judged(BUG, a_report(*bad), a_report(*good))
    assert (outcome.verdict, list(outcome.by), list(outcome.false)) == (verdict, by, false)


def test_what_no_suite_covers_is_missed_and_says_so(tmp_path: Path) -> None:
    outcome = measure(the_bug(tmp_path, component="metrics.IoU"), lambda bug, side: sys.executable, "smoke")
    assert (outcome.verdict, outcome.why) == ("missed", "no suite covers it")
    assert "0 of 1 bugs found; 0 missed though a suite looks there, 1 that no suite covers" in markdown([outcome], "smoke")


def test_an_old_python_is_not_measured(tmp_path: Path) -> None:
    packages = {"bad": "tensorflow-cpu==2.8.4", "good": "tensorflow-cpu==2.9.3"}
    bug = the_bug(tmp_path, packages=packages, python={"bad": "3.8", "good": "3.8"})
    assert measure(bug, lambda bug, side: sys.executable, "smoke").why == "not measured: the suites need Python 3.10"


def test_an_interpreter_that_cannot_run_the_suites_says_why(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho something is wrong here\nexit 3\n")
    python.chmod(0o755)
    outcome = measure(the_bug(tmp_path), lambda bug, side: str(python), "smoke")
    assert outcome.verdict == "missed"
    assert outcome.why.startswith("not measured, bad version: the suites cannot be run with")
    assert outcome.why.endswith("something is wrong here")


def test_the_suites_run_restricted_to_the_subject(tmp_path: Path) -> None:
    """On a stand-in that writes the report of a version with the bug, and of one without."""
    made = {}
    for side, verdict in (("bad", "fail"), ("good", "pass")):
        report = json.dumps(a_report(a_result(verdict, property="reference")))
        program = tmp_path / f"{side}.py"
        program.write_text(
            "import sys, pathlib\n"
            "assert sys.argv[sys.argv.index('--dl-subject') + 1] == 'keras.layers.Dense', sys.argv\n"
            "assert sys.argv[-1].endswith('suites/layers'), sys.argv\n"
            "folder = pathlib.Path(sys.argv[sys.argv.index('--dl-report') + 1])\n"
            f"folder.mkdir()\n(folder / 'report.json').write_text({report!r})\n"
        )
        made[side] = tmp_path / f"python-{side}"
        made[side].write_text(f'#!/bin/sh\nexec {sys.executable} {program} "$@"\n')
        made[side].chmod(0o755)
    outcome = measure(the_bug(tmp_path), lambda bug, side: str(made[side]), "smoke")
    assert (outcome.verdict, list(outcome.by)) == ("found", ["reference"])


def test_an_interpreter_is_given_for_a_requirement(monkeypatch: pytest.MonkeyPatch) -> None:
    assert interpreter_of(BUG, "bad", {"keras==3.1.0": "/some/python"}) == "/some/python"
    monkeypatch.setitem(sys.modules, "pytest_dlcheck.environments.making", None)
    with pytest.raises(DlcheckError, match=r"k1 needs keras==3\.2\.0, and there is no --with for any of it"):
        interpreter_of(BUG, "good", {"keras==3.1.0": "/some/python"})


@pytest.mark.parametrize(
    ("arguments", "content", "message"),
    [
        ([], None, "holds no meta.json at all"),
        ([], "{", "is no JSON"),
        ([], "{}", "lacks"),
        (["nothing*"], json.dumps(META), "holds no bug that is named nothing*"),
        (["--with", "keras==1"], json.dumps(META), "write a requirement and an interpreter"),
    ],
)
def test_bad_input_gets_one_line(
    arguments: list[str], content: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "meta.json").write_text(content)
    assert main(["power", str(tmp_path), *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
