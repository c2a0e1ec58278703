"""The history's file: what goes in comes out, twice is once, and nothing harms what is there."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import histories
import pytest

from pytest_dlcheck.cli import main
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.history import schema
from pytest_dlcheck.history.keys import SeriesKey, comparable
from pytest_dlcheck.history.reading import error_share, outcomes, points
from pytest_dlcheck.history.store import open_history
from pytest_dlcheck.properties.verdict import VERDICTS
from pytest_dlcheck.report.table import SEVERITY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def add(path: Path, *reports: dict[str, Any], **options: Any) -> list[int | None]:
    with open_history(path, write=True) as history:
        return [history.add(each, "it", **options) for each in reports]


def tracked(tmp_path: Path, report: dict[str, Any], *options: str) -> int:
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report))
    return main(["track", str(file), "--history", str(tmp_path / "history.db"), *options])


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


class TestReading:
    def test_every_verdict_has_a_place_among_the_worst(self) -> None:
        assert set(VERDICTS) == set(SEVERITY)

    def test_the_worst_of_several_tests_of_one_check_counts(self) -> None:
        found = outcomes(histories.report(results=[histories.result(verdict=each) for each in ("pass", "fail", "known")]))
        assert [(each.verdict, each.examples) for each in found] == [("fail", 9)]

    def test_the_error_s_size_is_what_the_comparison_says(self) -> None:
        import numpy as np

        from pytest_dlcheck.properties.comparison import within
        from pytest_dlcheck.tolerance import Bounded

        right = np.array([1.0, 2.0])
        for off, share in ((0.5e-3, 0.5), (7e-3, 7.0)):
            verdict = within("outputs", right + off, Bounded(right, np.full(2, 1e-3), "given"), "float64")
            assert error_share(verdict.message) == pytest.approx(share, rel=0.01)
        assert error_share("two calls give the same") is None
        assert error_share(None) is None

    def test_what_is_known_to_fail_does_not_make_the_error_size(self) -> None:
        known = histories.result(verdict="known", message="x; 90 times exceeded")
        passed = histories.result(message="1 values, the worst at 0.25 of its tolerance of 1e-6 (x)")
        assert [each.error for each in outcomes(histories.report(results=[known, passed]))] == [0.25]

    def test_a_timed_side_gives_a_series_for_each_phase(self) -> None:
        found = points(histories.report(measurements=[histories.measurement(), histories.measurement(side="loop")]), "it")
        assert sorted((each.series.line.side, each.series.line.phase, each.value) for each in found) == [
            ("fit", "build", pytest.approx(0.3)),
            ("fit", "call", 0.02),
            ("fit", "first_step", 0.5),
            ("fit", "import", 5.0),
            ("fit", "process", 4e8),
            ("fit", "step", 0.011),
            ("loop", "call", 0.02),
            ("loop", "first_step", 0.5),
            ("loop", "step", 0.011),
        ]

    def test_ratios_stand_beside_the_raw_figures(self) -> None:
        twice = [histories.measurement(), histories.measurement("models.linear", [0.002, 0.002])]
        found = points(histories.report(measurements=twice), "it", "linear")
        steps = {each.series.line.workload: (each.value, each.ratio) for each in found if each.series.line.phase == "step"}
        assert steps == {"mlp": (0.011, 5.5), "linear": (0.002, 1.0)}

    def test_the_table_of_extra_measurements(self) -> None:
        row = {"subject": "models.mlp", "backend": "torch", "phase": "total_100", "metric": "time", "unit": "s"}
        series = [
            {**row, "samples": [2.0, 1.0, 4.0], "jit": True, "dtype": "mixed_bfloat16"},
            {**row, "phase": "step", "role": "aa", "samples": [0.01, -0.02]},
        ]
        first, second = points(histories.report(series=series), "it")
        assert (first.value, first.samples, first.aa, first.series.line.jit) == (2.0, (2.0, 1.0, 4.0), False, "True")
        assert (second.value, second.aa, second.series.line.phase) == (-0.005, True, "step")

    def test_an_accelerator_is_told_by_its_model_and_driver(self) -> None:
        gpus = [{"name": "GPU A", "driver": "1.0", "memory_bytes": 1}, {"name": "GPU B", "driver": "1.0", "memory_bytes": 1}]
        made = histories.product(device={"names": ["gpu:1"], "gpus": gpus})
        found = points(histories.report(measurements=[histories.measurement(device="gpu:1")], products=[made]), "it")
        assert {(each.series.line.device_model, each.series.line.driver) for each in found} == {("GPU B", "1.0")}

    @pytest.mark.parametrize("changed", [{"step_s": []}, {"step_s": [float("nan")]}, {"backend": "jax"}, {"import_s": "long"}])
    def test_a_measurement_that_says_nothing_is_an_error(self, changed: dict[str, Any]) -> None:
        with pytest.raises(DlcheckError, match="it: measurement 0 cannot be read"):
            points(histories.report(measurements=[histories.measurement(**changed)]), "it")

    def test_the_same_figure_twice_in_a_run_is_an_error(self) -> None:
        with pytest.raises(DlcheckError, match="is measured twice in one run"):
            points(histories.report(measurements=[histories.measurement()] * 2), "it")


class TestKeys:
    def key(self, **changed: Any) -> SeriesKey:
        made = histories.product(**changed.pop("product", {}))
        report = histories.report(measurements=[histories.measurement(**changed)], products=[made])
        return next(each.series for each in points(report, "it") if each.series.line.phase == "step")

    def test_the_same_is_comparable(self) -> None:
        comparable(self.key(), self.key(step_s=[3.0]))

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"threads": 8}, "threads 4 and 8"),
            ({"batch_size": 64}, "batch 32 and 64"),
            ({"product": {"cpu": "Another"}}, "cpu 'A processor' and 'Another'"),
            ({"product": {"keras": "3.15.2"}}, "keras 3.15.1 and 3.15.2"),
        ],
    )
    def test_what_is_unlike_is_not_compared(self, changed: dict[str, Any], said: str) -> None:
        with pytest.raises(DlcheckError, match=f"these two are not compared, because they differ in .*{said}"):
            comparable(self.key(), self.key(**changed))

    def test_across_versions_only_versions_may_differ(self) -> None:
        comparable(self.key(), self.key(product={"keras": "3.15.2"}), across_versions=True)
        with pytest.raises(DlcheckError, match="threads"):
            comparable(self.key(), self.key(product={"keras": "3.15.2"}, threads=1), across_versions=True)


class TestKeeping:
    def test_what_goes_in_comes_out(self, path: Path) -> None:
        samples = [0.0123456789012345, 0.02, 0.03]
        assert add(path, histories.report(0, [histories.result()], [histories.measurement(step_s=samples)]), commit="abc") == [
            1
        ]
        with open_history(path) as history:
            (run,) = history.runs()
            assert (run.started, run.commit, run.profile) == ("2026-03-01T03:17:00+00:00", "abc", "nightly")
            step = next(each for each in history.lines() if each.key.phase == "step")
            assert step.points[0].samples == samples
            assert dict(step.points[0].series.versions) == {"torch": "2.13.0", "keras": "3.15.1", "pytest-dlcheck": "0.1.0"}

    def test_the_same_run_twice_is_one_run(self, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        report = histories.report(0, [histories.result()])
        assert tracked(tmp_path, report) == 0
        assert tracked(tmp_path, dict(reversed(report.items()))) == 0
        assert capsys.readouterr().out.splitlines()[-1].endswith("0 of 1 runs are new")
        assert count(path, "runs") == count(path, "results") == 1

    def test_runs_are_in_the_order_in_which_they_ran(self, path: Path) -> None:
        measured = [histories.measurement()]
        add(path, *(histories.report(night, measurements=measured) for night in (2, 0, 1)))
        with open_history(path) as history:
            assert [run.id for run in history.runs()] == [2, 3, 1]
            assert {tuple(each.run for each in line.points) for line in history.lines()} == {(2, 3, 1)}

    def test_a_check_s_verdicts_are_told_in_the_order_of_its_runs(self, path: Path) -> None:
        add(
            path,
            *(histories.report(night, [histories.result(verdict=verdict)]) for night, verdict in ((1, "fail"), (0, "pass"))),
        )
        with open_history(path) as history:
            assert history.timeline(1) == [(2, "pass"), (1, "fail")]
            assert history.timeline(2) == []
            assert history.last_messages("2026-01-01")[1][0] == "said"
            assert history.last_messages("2027-01-01") == {}

    def test_a_label_keeps_environments_apart(self, path: Path) -> None:
        report = histories.report(0, [histories.result()], [histories.measurement()])
        add(path, report, channel="a")
        add(path, report, channel="b")
        assert (count(path, "runs"), count(path, "checks")) == (2, 2)
        with open_history(path) as history:
            assert {len(line.points) for line in history.lines()} == {1}

    def test_two_environments_in_one_line_are_noticed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for night, version in enumerate(["3.14.0", "3.15.0", "3.14.0"]):
            tracked(tmp_path, histories.report(night, [histories.result()], products=[histories.product(keras=version)]))
        assert "give each a --label" in capsys.readouterr().err.replace("\n", " ")

    def test_a_clock_that_went_backwards_is_noticed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for night, said in ((5, False), (6, False), (2, True)):
            assert tracked(tmp_path, histories.report(night, [histories.result()])) == 0
            told = " ".join(capsys.readouterr().err.split())
            assert ("the clock of its machine is wrong" in told) is said
        with open_history(tmp_path / "history.db") as history:
            assert [run.started[8:10] for run in history.runs()] == ["03", "06", "07"]

    def test_another_reference_is_refused(self, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        report = histories.report(0, [histories.result()])
        assert tracked(tmp_path, report, "--reference", "linear") == 0
        assert tracked(tmp_path, report, "--reference", "mlp") == 2
        assert "has the reference 'linear'; for 'mlp' start another" in capsys.readouterr().err

    def test_several_writers_at_once_lose_nothing(self, path: Path, tmp_path: Path) -> None:
        for number in range(12):
            made = histories.report(number, [histories.result(f"s{number}")], [histories.measurement()])
            (tmp_path / f"{number}.json").write_text(json.dumps(made))
        command = [sys.executable, "-m", "pytest_dlcheck.cli", "track", "--history", str(path)]
        started = [
            subprocess.Popen(
                [*command, *(str(tmp_path / f"{number}.json") for number in range(first, 12, 3))], stdout=subprocess.DEVNULL
            )
            for first in range(3)
        ]
        assert [process.wait(120) for process in started] == [0, 0, 0]
        assert (count(path, "runs"), count(path, "results")) == (12, 12)
        assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(".")) == []

    def test_a_killed_writer_leaves_the_runs_before(self, path: Path) -> None:
        add(path, histories.report(0, [histories.result()]))
        code = (
            "import sys, os, histories\nfrom pytest_dlcheck.history.store import open_history\n"
            "with open_history(sys.argv[1], write=True) as history, history.transaction():\n"
            "    history._add_run(histories.report(1), 'x', '', None)\n    os.kill(os.getpid(), 9)\n"
        )
        done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=Path(__file__).parent, check=False)
        assert done.returncode == -9
        assert count(path, "runs") == 1
        assert add(path, histories.report(1, [histories.result()])) == [2]

    def test_a_full_disk_is_one_line_and_keeps_the_runs_before(self, path: Path) -> None:
        add(path, histories.report(0, [histories.result()]))
        with open_history(path, write=True) as history:
            history.connection.execute(
                f"PRAGMA max_page_count = {history.connection.execute('PRAGMA page_count').fetchone()[0]}"
            )
            many = [histories.result(f"subject {number}", "fail", message="x" * 500) for number in range(500)]
            with pytest.raises(DlcheckError, match="the disk is full; earlier runs are there, this one is not"):
                history.add(histories.report(1, many), "it")
        assert (count(path, "runs"), count(path, "results")) == (1, 1)


class TestBadInput:
    def said(self, capsys: pytest.CaptureFixture[str], status: int) -> str:
        assert status == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        return line

    @pytest.mark.parametrize(
        ("report", "said"),
        [
            ({"schema": "other/1"}, "has schema 'other/1'"),
            (histories.report(), "holds no result and no measurement"),
            (histories.report(results=[histories.result()], run={"started": "yesterday"}), "does not say when its run began"),
            (histories.report(20000, [histories.result()]), "which is still to come"),
        ],
    )
    def test_a_report_that_is_none(self, report: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert said in self.said(capsys, tracked(tmp_path, report))

    @pytest.mark.parametrize("content", [b"no database, but longer than a header " * 9, b"x"])
    def test_a_file_that_is_no_database(
        self, content: bytes, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path.write_bytes(content)
        assert "is no history" in self.said(capsys, tracked(tmp_path, histories.report(0, [histories.result()])))
        assert path.read_bytes() == content

    def test_another_program_s_database(self, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE theirs (x)")
        before = path.read_bytes()
        line = self.said(capsys, tracked(tmp_path, histories.report(0, [histories.result()])))
        assert "is a database of another program" in line
        assert path.read_bytes() == before

    def test_a_newer_schema(self, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        add(path, histories.report(0, [histories.result()]))
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
        before = path.read_bytes()
        line = self.said(capsys, tracked(tmp_path, histories.report(1, [histories.result()])))
        assert f"has schema {schema.VERSION + 1} and this version knows {schema.VERSION} at most" in line
        assert path.read_bytes() == before

    def test_a_damaged_file(self, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        add(path, histories.report(0, [histories.result(f"subject {number}", "fail") for number in range(200)]))
        damaged = bytearray(path.read_bytes())
        damaged[4096 * 3 : 4096 * 8] = b"\xff" * 4096 * 5
        path.write_bytes(damaged)
        assert "is damaged" in self.said(capsys, tracked(tmp_path, histories.report(1, [histories.result()])))
        assert path.read_bytes() == damaged

    def test_no_history_to_read(self, path: Path) -> None:
        with pytest.raises(DlcheckError, match="there is no history"), open_history(path):
            pass
        assert not path.exists()


def test_an_older_history_is_brought_up_to_date_and_kept_beside(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr(schema, "STEPS", schema.STEPS[:1])
        older.setattr(schema, "VERSION", 1)
        add(path, histories.report(0, [histories.result()]))
    with pytest.raises(DlcheckError, match="has schema 1"), open_history(path):
        pass
    add(path, histories.report(1, [histories.result()]))
    assert (count(path, "runs"), count(path, "alerts")) == (2, 0)
    assert count(path.with_name("history.db.schema1"), "runs") == 1
