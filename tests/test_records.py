"""Records of real and of planted products: the file, the process, the command, the scripts, and bad input."""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from records import a_record, changed
from reports import a_measurement, a_report, a_result

from conftest import need
from pytest_dlcheck.cli import main
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.records.drawing import EFFORTS, chosen_subjects, drawn
from pytest_dlcheck.records.host import Died, Host, started
from pytest_dlcheck.records.record import Record, read_record, write_record
from pytest_dlcheck.records.referee import right_side
from pytest_dlcheck.records.reports import GREW, SLOWER, compare_reports
from pytest_dlcheck.records.sides import side_of

SUBJECTS = ("Dense", "Softmax", "Dropout", "Rescaling")


def chosen(*names: str) -> list[str]:
    return [part for name in names for part in ("--subject", f"keras.layers.{name}")]


# The file.


def test_the_same_record_is_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_record(tmp_path / name, a_record())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    back = read_record(tmp_path / "a")
    assert back == a_record()
    # The order of arguments is one that users rely on.
    assert list(back.subjects["keras.layers.Dense"]["parameters"]) == ["units", "activation", "use_bias", "kwargs"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no JSON"),
        (b"\xfd7zXZ\x00broken", "is no record, or was cut off"),
        (lzma.compress(b"{"), "is no record, or was cut off"),
        (lzma.compress(b'{"schema": "dlcheck-record/9"}'), "has schema 'dlcheck-record/9', and 'dlcheck-record/1' is needed"),
        (lzma.compress(b'{"schema": "dlcheck-record/1"}'), "has no product"),
        (lzma.compress(b'{"schema": "dlcheck-record/1", "product": {}, "run": {}, "subjects": {}}'), "names no backend"),
        (b"{}", "has schema None, and 'dlcheck-report/1' is needed"),
    ],
)
def test_bad_files_get_one_line(content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, good = tmp_path / "old.record", tmp_path / "good.record"
    path.write_bytes(content)
    write_record(good, a_record())
    assert main(["diff", str(path), str(good)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["diff", "nowhere/old.record"], "nowhere/old.record is not there: give a report, a record"),
        (["diff", "python:/nowhere/python"], "python:/nowhere/python: there is no such interpreter"),
        (["record", "-o", "x", "--backend", "mxnet"], "unknown backend 'mxnet'; there are tensorflow, jax, torch, numpy"),
        (["record", "-o", "x", "--backend", "numpy", "--python", "/nowhere/python"], "/nowhere/python cannot be started"),
    ],
)
def test_bad_arguments_get_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_unlike_sides_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_record(tmp_path / "torch.record", a_record())
    jax = a_record()
    write_record(tmp_path / "jax.record", Record({**jax.product, "backend": "jax"}, jax.run, jax.subjects))
    (tmp_path / "report.json").write_text(json.dumps(a_report(a_result())))
    record = str(tmp_path / "torch.record")
    assert main(["diff", record, str(tmp_path / "jax.record")]) == 2
    assert "one side is of torch, the other of jax" in capsys.readouterr().err
    assert main(["diff", record, str(tmp_path)]) == 2
    assert "a report compares with a report only" in capsys.readouterr().err


def test_environments_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Found:
        python = sys.executable
        variables = {"A": "1"}  # noqa: RUF012 - a stand-in
        backend = "torch"

    class Environments:
        @staticmethod
        def find(name: str, root: Path) -> Found:
            assert (name, root) == ("tf2.18", tmp_path)
            return Found()

    monkeypatch.setitem(sys.modules, "pytest_dlcheck.environments", Environments)
    side = side_of("tf2.18", tmp_path)
    assert side == side_of("tf2.18", tmp_path)
    assert (side.python, side.backend) == (sys.executable, "torch")  # type: ignore[union-attr]


# The cases.


def test_cases_follow_from_the_seed_alone() -> None:
    def cases(subject: str, seed: int) -> list[Any]:
        return list(drawn(subject, "torch", seed, EFFORTS["smoke"], None))

    for subject in ("keras.layers.Conv2D", "keras.ops.add"):
        assert cases(subject, 3) == cases(subject, 3)
    assert cases("keras.layers.Conv2D", 3) != cases("keras.layers.Conv2D", 4)


def test_a_name_that_matches_nothing_is_refused() -> None:
    with pytest.raises(DlcheckError, match=r"--subject keras.layers.Dens: none of the \d+ subjects"):
        chosen_subjects(["keras.layers.Dens"], "torch")


# The process.


def fake(tmp_path: Path, body: str) -> str:
    """An interpreter that runs this in place of the recorder."""
    program = tmp_path / "program.py"
    program.write_text("import json, os, sys, time\n" + body)
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {program} "$@"\n')
    path.chmod(0o755)
    return str(path)


ANSWERS = """
for line in sys.stdin:
    request = json.loads(line)
    if request["do"] == "case":
        {case}
    print(json.dumps({{"reply": {{"keras": "1", "backend": "torch"}}}}), flush=True)
"""


def test_a_process_that_dies_is_started_again(tmp_path: Path) -> None:
    with started(Host(fake(tmp_path, ANSWERS.format(case='os.abort() if request["n"] == 1 else None')), "torch")) as host:
        assert host.ask({"do": "case", "n": 0})["keras"] == "1"
        with pytest.raises(Died, match="crash: the process ended with status -6"):
            host.ask({"do": "case", "n": 1})
        assert host.ask({"do": "case", "n": 2})["keras"] == "1"


def test_a_process_that_hangs_is_ended(tmp_path: Path) -> None:
    with started(Host(fake(tmp_path, ANSWERS.format(case="time.sleep(60)")), "torch")) as host:
        with pytest.raises(Died, match="timeout: no answer within 1 s"):
            host.ask({"do": "case"}, limit_s=1)
        assert host.ask({"do": "product"})["keras"] == "1"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
        ("sys.exit(3)", "the process ended with status 3"),
        ('print(json.dumps({"failed": "no torch"}), flush=True)', "cannot load backend 'torch': no torch"),
        ('print("hello", flush=True)', "answers what is no JSON: hello"),
    ],
)
def test_an_interpreter_that_cannot_record_says_why(body: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DlcheckError, match=message):
        Host(fake(tmp_path, body), "torch").start()


def test_the_recorder_imports_none_of_our_dependencies() -> None:
    program = (
        "import sys, pytest_dlcheck.records.recorder, pytest_dlcheck.records.observing\n"
        "import pytest_dlcheck.records.observing_functions\n"
        "import pytest_dlcheck.gradients.autodiff, pytest_dlcheck.gradients.functions, pytest_dlcheck.backends.torch_backend\n"
        "print(sorted({'scipy', 'hypothesis', 'rich', 'pytest', 'jinja2', 'packaging', 'plotly'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# Real products, one of them with planted changes.

PLANTED = """
import keras

def call(self, inputs, mask=None):
    return keras.ops.multiply(keras.activations.softmax(inputs, axis=self.axis), {factor})

if {factor} != 1:
    keras.layers.Softmax.call = call
    of = keras.layers.Dense.get_config
    keras.layers.Dense.get_config = lambda self: {{**of(self), "rank": 0}}
"""


def product(folder: Path, factor: float) -> str:
    """An interpreter whose Keras has a softmax that is off by a factor, and a Dense with one more key."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(PLANTED.format(factor=factor))
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}:$PYTHONPATH" exec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    need("keras")
    folder = tmp_path_factory.mktemp("records")
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            path = folder / f"{name}.record"
            python = product(folder / name, {"planted": 1.01}.get(name, 1))
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("PYTHONHASHSEED", "1" if name == "twin" else "0")
                assert main(["record", "-o", str(path), "--backend", "numpy", "--python", python, *chosen(*SUBJECTS)]) == 0
            made[name] = path
        return made[name]

    return get


def test_the_same_version_twice_says_that_nothing_changed(
    records: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", str(records("first")), str(records("twin"))]) == 0
    said = capsys.readouterr().out
    assert "Nothing changed: 12 cases and checks compared" in said
    assert "both sides are the same versions" in said


def test_planted_changes_are_found_with_a_script_each(
    records: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "diff"
    assert main(["diff", str(records("first")), str(records("planted")), "-o", str(folder)]) == 1
    found = json.loads((folder / "diff.json").read_text())
    assert [(group["kind"], group["subjects"], group["right"]) for group in found["groups"]] == [
        ("values", ["keras.layers.Softmax"], "old"),
        ("config", ["keras.layers.Dense"], None),
    ]
    page = (folder / "index.html").read_text()
    assert "an independent float64 computation agrees with the old one: newly wrong" in page
    assert "newly wrong" in (folder / "summary.md").read_text()
    assert "http" not in page
    config, softmax = (folder / "scripts" / name for name in ("002-layers.Dense-config.py", "001-layers.Softmax-values.py"))
    compile(config.read_text(), str(config), "exec")
    seen = []
    for name in ("first", "planted"):
        python = records(name).with_name(name) / "python"
        seen.append(subprocess.run([str(python), str(softmax)], capture_output=True, text=True, check=True).stdout)
    assert seen[0] != seen[1]
    assert all(text.startswith("keras ") for text in seen)
    capsys.readouterr()


def test_a_record_is_checked_against_what_is_installed(
    records: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", str(records("first")), "here", "--subject", "keras.layers.Softmax"]) == 0
    assert "Nothing changed: 3 cases" in capsys.readouterr().out
    assert main(["diff", str(records("planted")), "--subject", "keras.layers.Nothing"]) == 2
    assert "the record holds no subject that is named keras.layers.Nothing" in capsys.readouterr().err


def test_an_independent_computation_says_which_side_is_right(records: Callable[[str], Path]) -> None:
    first, planted = (read_record(records(name)).subjects["keras.layers.Softmax"] for name in ("first", "planted"))
    for old, new, right in (
        (first, planted, "old"),
        (planted, first, "new"),
        (first, first, "both"),
        (planted, planted, "neither"),
    ):
        sides = [(side["parameters"], side["cases"][0]["seen"]) for side in (old, new)]
        assert right_side(first["cases"][0], *sides, "numpy") == right


# Reports.


def speeds(step: float, peak: int) -> dict[str, Any]:
    return a_report(a_result(), measurements=[a_measurement(step_s=[step] * 3, peak_memory_bytes=peak)])


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("pass", "pass", None),
        ("fail", "fail", None),
        ("pass", "fail", "verdict fails"),
        ("pass", "known", "verdict fails"),
        ("fail", "pass", "verdict holds"),
        ("known", "fixed", "verdict holds"),
        ("fail", "known", "verdict"),
        ("pass", "skip", "verdict"),
    ],
)
def test_verdicts_of_two_reports(before: str, after: str, kind: str | None) -> None:
    found = compare_reports(a_report(a_result(before)), a_report(a_result(after, message="seen")))
    assert [change.kind for change in found.changes] == ([] if kind is None else [kind])
    assert found.compared == 1


def test_checks_that_only_one_report_has() -> None:
    both, more = a_result(), a_result(property="another")
    assert [each.kind for each in compare_reports(a_report(both, more), a_report(both)).changes] == ["check disappears"]
    assert [each.kind for each in compare_reports(a_report(both), a_report(both, more)).changes] == ["check appears"]
    with pytest.raises(DlcheckError, match="no check in common"):
        compare_reports(a_report(both), a_report(more))


def test_speed_and_memory_change_by_more_than_chance() -> None:
    same = speeds(0.01, 1000)
    assert not compare_reports(same, speeds(0.01 * (SLOWER - 0.1), int(1000 * (GREW - 0.05)))).changes
    found = compare_reports(same, speeds(0.01 * (SLOWER + 0.1), int(1000 * (GREW + 0.05)))).changes
    assert [(change.kind, change.what) for change in found] == [("speed", "a step"), ("memory", "peak memory")]
    assert "1.82 times" in found[0].message


def test_several_products_of_one_backend_are_refused() -> None:
    several = a_report(a_result())
    several["product"] *= 2
    with pytest.raises(DlcheckError, match="a report holds 2 products of jax"):
        compare_reports(a_report(a_result()), several)


def test_reports_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, verdict in (("old", "pass"), ("new", "fail")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps(a_report(a_result(verdict, message="off by 3"))))
    assert main(["diff", str(tmp_path / "old"), str(tmp_path / "old")]) == 0
    assert main(["diff", str(tmp_path / "old"), str(tmp_path / "new"), "-o", str(tmp_path / "out")]) == 1
    assert "1 change: 1 other numbers" in capsys.readouterr().out
    assert "off by 3" in (tmp_path / "out" / "index.html").read_text()


def test_nothing_in_common_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_record(tmp_path / "a", a_record({"status": "unsupported", "why": "no"}))
    write_record(tmp_path / "b", changed(lambda observed: None))
    assert main(["diff", str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "have no case in common" in capsys.readouterr().err
