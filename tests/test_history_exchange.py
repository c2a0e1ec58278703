"""What goes into a history besides our own reports, what comes out of it, and several as one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import histories
import numpy as np
import pytest

from pytest_dlcheck.cli import main
from pytest_dlcheck.history import alerts as kept
from pytest_dlcheck.history.store import open_history

ASV = {
    "commit_hash": "c0ffee",
    "env_name": "virtualenv-py3.11-numpy",
    "date": 1772335020000,
    "params": {
        "arch": "x86_64",
        "cpu": "A processor",
        "machine": "box",
        "num_cpu": "4",
        "os": "Linux",
        "ram": "16",
        "python": "3.11",
    },
    "python": "3.11",
    "requirements": {"numpy": "2.4.6", "scipy": ""},
    "result_columns": ["result", "params", "version", "started_at", "duration", "stats_ci_99_a", "stats_ci_99_b", "samples"],
    "results": {
        "conv.Suite.time_forward": [[0.5, None], [["32", "64"]], "v", 1, 1.0, None, None, [[0.4, 0.5, 0.6], None]],
        "conv.peakmem_forward": [[1024], [], "v", 1],
        "conv.track_loss": [[0.25], [], "v", 1],
        "conv.time_gone": None,
    },
    "version": 2,
}
BENCHMARK = {
    "machine_info": {
        "python_version": "3.11.7",
        "cpu": {"brand_raw": "A processor", "count": 4},
        "system": "Linux",
        "release": "6",
        "dlcheck": {"torch": {"torch": "2.13.0", "keras": "3.15.1"}, "jax": {"jax": "0.10.2", "keras": "3.15.0"}},
    },
    "commit_info": {"id": "c0ffee", "dirty": False},
    "benchmarks": [
        {
            "group": None,
            "name": "test_fit[32]",
            "fullname": "tests/test_fit.py::test_fit[32]",
            "stats": {"median": 0.2, "mean": 0.21, "data": [0.1, 0.2, 0.33]},
        },
        {"group": "g", "name": "test_b", "fullname": "tests/test_fit.py::test_b", "stats": {"median": 0.4}},
    ],
    "datetime": "2026-03-01T03:17:00+00:00",
    "version": "5.3.1",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


def write(place: Path, found: Any) -> str:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(found))
    return str(place)


def lines(path: Path) -> dict[str, tuple[str, float, list[float]]]:
    with open_history(path) as history:
        return {each.key.subject: (each.key.unit, each.points[0].value, each.points[0].samples) for each in history.lines()}


class TestForeign:
    def test_pytest_benchmark(self, path: Path, tmp_path: Path) -> None:
        assert main(["track", write(tmp_path / "b.json", BENCHMARK), "--history", str(path)]) == 0
        assert lines(path) == {"test_b": ("s", 0.4, [0.4]), "test_fit[32]": ("s", 0.2, [0.1, 0.2, 0.33])}
        with open_history(path) as history:
            (line, _) = history.lines()
            assert line.key.suite == "tests/test_fit.py"
            assert line.points[0].commit == "c0ffee"
            # Keras's versions differ between the backends, so nobody knows which this was measured with.
            assert dict(line.points[0].series.versions) == {
                "torch": "2.13.0",
                "jax": "0.10.2",
                "pytest-dlcheck": "pytest-benchmark 5.3.1",
            }

    def test_what_pytest_benchmark_itself_writes(self, path: Path, pytester: pytest.Pytester) -> None:
        pytester.makepyfile("def test_a(benchmark):\n    benchmark(lambda: sum(range(100)))")
        done = pytester.runpytest_subprocess("--benchmark-json=b.json", "-n0", "--benchmark-max-time=0.05")
        assert done.ret == 0
        assert main(["track", str(pytester.path / "b.json"), "--history", str(path)]) == 0
        ((name, (unit, value, samples)),) = lines(path).items()
        assert (name, unit) == ("test_a", "s")
        assert value == pytest.approx(float(np.median(samples)), rel=1e-6)

    @pytest.mark.parametrize("described", [True, False])
    def test_asv(self, described: bool, path: Path, tmp_path: Path) -> None:
        if described:
            units = {"conv.track_loss": {"unit": "nats"}, "conv.Suite.time_forward": {"unit": "seconds"}, "version": 2}
            write(tmp_path / "results" / "benchmarks.json", units)
        file = write(tmp_path / "results" / "box" / "c0ffee-env.json", ASV)
        assert main(["track", file, "--history", str(path)]) == 0
        assert lines(path) == {
            "conv.Suite.time_forward(32)": ("s", 0.5, [0.4, 0.5, 0.6]),
            "conv.peakmem_forward": ("bytes", 1024, [1024]),
            "conv.track_loss": ("nats" if described else "unit", 0.25, [0.25]),
        }
        with open_history(path) as history:
            (run,) = history.runs()
        assert (run.started, run.commit) == ("2026-03-01T03:17:00+00:00", "c0ffee")

    @pytest.mark.parametrize(
        ("found", "said"),
        [
            ({**ASV, "version": 1}, "version 1; version 2 is read"),
            ({**ASV, "results": {"a": 3}}, "cannot be read as measurements"),
            ({**BENCHMARK, "benchmarks": [{"name": "x"}]}, "cannot be read as measurements (KeyError: 'stats')"),
            ({**BENCHMARK, "benchmarks": []}, "nothing to keep"),
            ({"version": 3}, "has schema None"),
        ],
    )
    def test_what_cannot_be_read_is_one_line(
        self, found: Any, said: str, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["track", write(tmp_path / "x.json", found), "--history", str(path)]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert said in line


def test_a_folder_of_reports_stands_for_all_of_them(path: Path, tmp_path: Path) -> None:
    for night in range(3):
        write(tmp_path / "reports" / str(night) / "report.json", histories.report(night, [histories.result()]))
    assert main(["track", str(tmp_path / "reports"), "--history", str(path)]) == 0
    with open_history(path) as history:
        assert len(history.runs()) == 3


def night(number: int, seed: int = 0) -> dict[str, Any]:
    step = 0.01 * float(np.exp(np.random.default_rng([seed, number]).normal(0, 0.005))) * (1.1 if number >= 30 else 1.0)
    found = [histories.result("a", "fail" if number == 39 else "pass", case={"n": number} if number == 39 else None)]
    found += [histories.result("b", "pass", message="the worst at 0.5 of its tolerance")]
    row = {"subject": "models.mlp", "backend": "torch", "phase": "total", "metric": "time", "unit": "s", "samples": [1.0, 2.0]}
    return histories.report(number, found, [histories.measurement(step_s=[step] * 3)], series=[row])


def filled(path: Path, nights: range, *, reference: str | None = None) -> Path:
    with open_history(path, write=True) as history:
        if reference:
            history.pin_reference(reference)
        for number in nights:
            history.add(night(number), "it", commit=f"{number:040x}")
        kept.update(history)
    return path


def exported(path: Path, tmp_path: Path) -> dict[str, Any]:
    assert main(["export", str(path), "-o", str(tmp_path / "out.json")]) == 0
    return dict(json.loads((tmp_path / "out.json").read_text()))


class TestExport:
    def test_json_holds_every_row(self, path: Path, tmp_path: Path) -> None:
        found = exported(filled(path, range(40)), tmp_path)
        assert found["schema"] == "dlcheck-history/1"
        counts = {name: len(rows) for name, rows in found.items() if isinstance(rows, list)}
        assert counts == {
            "runs": 40,
            "products": 40,
            "results": 80,
            "measurements": 280,
            "alerts": len(found["alerts"]),
            "annotations": 0,
        }
        assert {each["kind"] for each in found["alerts"]} >= {"slower", "newly failing"}
        last = found["results"][-2:]
        assert [(each["subject"], each["verdict"], each["error"]) for each in last] == [("a", "fail", None), ("b", "pass", 0.5)]
        steps = [each for each in found["measurements"] if each["phase"] == "step"]
        assert steps[0]["samples"] == night(0)["measurements"][0]["step_s"]
        assert steps[0]["versions"]["keras"] == "3.15.1"

    def test_since_a_day(self, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        filled(path, range(5))
        assert main(["export", str(path), "-o", str(tmp_path / "o.json"), "--since", "2026-03-04"]) == 0
        assert len(json.loads((tmp_path / "o.json").read_text())["results"]) == 4
        assert main(["export", str(path), "-o", str(tmp_path / "o.json"), "--since", "lately"]) == 2
        assert "is no day" in capsys.readouterr().err

    def test_parquet_holds_the_same(self, path: Path, tmp_path: Path) -> None:
        parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
        found = exported(filled(path, range(40)), tmp_path)
        assert main(["export", str(path), "-o", str(tmp_path / "tables")]) == 0
        for table in ("runs", "products", "results", "measurements", "alerts", "annotations"):
            rows = parquet.read_table(tmp_path / "tables" / f"{table}.parquet").to_pylist()
            wanted = [{k: json.dumps(v) if isinstance(v, dict) else v for k, v in row.items()} for row in found[table]]
            assert rows == wanted, table

    def test_of_a_damaged_history_no_half_export_is_left(
        self, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = bytearray(filled(path, range(40)).read_bytes())
        found[len(found) // 2 :] = b"x" * (len(found) - len(found) // 2)
        (tmp_path / "damaged.db").write_bytes(found)
        assert main(["export", str(tmp_path / "damaged.db"), "-o", str(tmp_path / "out.json")]) == 2
        assert "is damaged" in capsys.readouterr().err
        assert not [each for each in tmp_path.iterdir() if "out.json" in each.name]

    def test_without_pyarrow_it_says_what_to_do(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
        assert main(["export", str(filled(path, range(1))), "-o", str(tmp_path / "tables")]) == 2
        assert "pip install 'pytest-dlcheck[parquet]'" in capsys.readouterr().err


class TestJoin:
    def test_two_halves_are_the_whole(self, path: Path, tmp_path: Path) -> None:
        whole = filled(path, range(40))
        first, second = filled(tmp_path / "1.db", range(25)), filled(tmp_path / "2.db", range(20, 40))
        target = tmp_path / "joined.db"
        assert main(["merge", str(second), str(first), "-o", str(target)]) == 0
        with open_history(target, write=True) as history:
            kept.update(history)
            assert [each[2] for each in history.cases().values()] == ['{"n": 39}']
        wanted, found = exported(whole, tmp_path), exported(target, tmp_path)

        def plain(rows: list[dict[str, Any]], *without: str) -> list[str]:
            return sorted(json.dumps({k: v for k, v in row.items() if k not in without}, sort_keys=True) for row in rows)

        numbers = ("run", "line", "tracked")
        for table in ("runs", "products", "results", "measurements"):
            assert plain(found[table], *numbers) == plain(wanted[table], *numbers), table
        told = [{(each["kind"], each["title"], each["state"]) for each in one["alerts"]} for one in (found, wanted)]
        assert told[0] >= told[1]

    def test_twice_changes_nothing_and_what_was_said_is_kept(self, path: Path, tmp_path: Path) -> None:
        source = filled(path, range(40))
        with open_history(source, write=True) as history:
            number = next(each.id for each in kept.alerts(history) if each.kind == "newly failing")
            kept.acknowledge(history, [number], "seen", "me")
            kept.mute(history, "*mlp*", "known", "2999-12-31")
            kept.note(history, "2026-03-05", "more memory")
        target = str(tmp_path / "joined.db")
        assert main(["merge", str(source), "-o", target]) == 0
        once = exported(Path(target), tmp_path)
        assert main(["merge", str(source), "-o", target]) == 0
        assert exported(Path(target), tmp_path) == once
        assert [each["note"] for each in once["alerts"] if each["kind"] == "newly failing"] == ["seen"]
        assert once["annotations"] == [{"at": "2026-03-05", "text": "more memory"}]
        with open_history(target) as history:
            assert [each["pattern"] for each in kept.mutes(history)] == ["*mlp*"]

    @pytest.mark.parametrize(
        ("references", "said"), [(("mlp", "cnn"), "not comparable"), ((None, "mlp"), "not comparable"), (("mlp", "mlp"), None)]
    )
    def test_ratios_to_two_references_are_not_joined(
        self, references: tuple[str | None, str], said: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        one, two = (filled(tmp_path / f"{n}.db", range(n, n + 2), reference=r) for n, r in enumerate(references))
        status = main(["merge", str(one), str(two), "-o", str(tmp_path / "joined.db")])
        assert status == (2 if said else 0)
        assert (said or "") in capsys.readouterr().err
        with open_history(tmp_path / "joined.db") as joined:
            assert len(joined.runs()) == (0 if said else 3)

    def test_what_cannot_be_joined(self, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        filled(path, range(1))
        report = write(tmp_path / "r" / "report.json", histories.report(0, [histories.result()]))
        for arguments, said in (
            ([str(path), report], "is a history, and others are none"),
            ([str(path), str(tmp_path / "nowhere")], "is a history, and others are none"),
        ):
            assert main(["merge", *arguments, "-o", str(tmp_path / "o")]) == 2
            assert said in capsys.readouterr().err
        assert main(["merge", str(path), "-o", str(path)]) == 2
        assert "cannot be joined to itself" in capsys.readouterr().err


def test_the_last_case_of_a_check_is_kept_whatever_the_order_in_which_runs_come(path: Path) -> None:
    with open_history(path, write=True) as history:
        for number in (2, 5, 3):
            found = [histories.result("a", "fail", case={"night": number}), histories.result("b", "pass")]
            history.add(histories.report(number, found), "it")
        history.add(histories.report(6, [histories.result("a", "pass")]), "it")
        ((run, backend, text),) = history.cases().values()
    assert (run, backend, text) == (2, "torch", '{"night": 5}')
