"""Timed tests as pytest-benchmark shows them: its table, JSON and comparison, in one process and beside workers."""

from __future__ import annotations

import json
import os
from textwrap import dedent
from typing import Any

import pytest

from conftest import Runs
from pytest_dlcheck.benchmark.client import USUAL
from pytest_dlcheck.benchmark.measurement import FIT, LOOP

TIMED = """
    import pytest

    @pytest.mark.parametrize("side", ["fit", "loop"])
    def test_step(throughput, side):
        assert throughput("logistic_regression", side=side).batch_size == 32

    def test_plain():
        pass
"""

# A conftest.py in which a stand-in measures: it notes who asked for what, and answers at once.
RECORDED = """
    import os
    from pytest_dlcheck.benchmark import bridge
    from pytest_dlcheck.benchmark.client import LOOK
    from pytest_dlcheck.benchmark.measurement import Measurement, Side

    class Recorded:
        def __init__(self, kinds, seed, effort):
            self.quick = effort is LOOK

        def measure(self, workload, backend, device):
            who = os.environ.get("PYTEST_XDIST_WORKER", "controller")
            with open("asked.txt", "a") as file:
                print(who, workload, backend, device, "quick" if self.quick else "whole", file=file)
            steps = [float(os.environ.get("STEP_S", "0.25"))] * 3
            sides = {side: Side(1.0, steps, [0.0] * 3, 10) for side in ("fit", "loop")}
            return Measurement(workload, backend, str(device), 32, "", 1.0, 1.0, 1.0, 1, 1, sides)

        def close(self):
            with open("asked.txt", "a") as file:
                print("closed", file=file)

    bridge.Stopwatch = Recorded
"""
ASKED = "controller logistic_regression torch cpu:0"


class TestPytestBenchmark:
    @pytest.fixture
    def recorded(self, runs: Runs) -> Runs:
        runs.fake_backends("torch")
        runs.pytester.makeconftest(RECORDED)
        runs.pytester.makepyfile(TIMED)
        return runs

    def asked(self, runs: Runs) -> list[str]:
        file = runs.pytester.path / "asked.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

    def test_only_runs_the_timed_and_json_holds_both_sides(self, runs: Runs, needs: Any) -> None:
        """A real measurement, from end to end."""
        needs("torch", "keras")
        runs.pytester.makepyfile(TIMED)
        result = runs("--dl-backend=torch", "-n0", "--benchmark-only", "--benchmark-json=out.json")
        result.assert_outcomes(passed=2, skipped=1)
        said = json.loads((runs.pytester.path / "out.json").read_text())
        assert set(said["machine_info"]["dlcheck"]["torch"]) == {"torch", "keras", "numpy"}
        shown = {each["extra_info"]["side"]: each for each in said["benchmarks"]}
        assert set(shown) == {FIT, LOOP}
        assert {each["group"] for each in shown.values()} == {"one training step of logistic_regression, batch 32"}
        assert len({each["extra_info"]["fit_cost"] for each in shown.values()}) == 1, "both sides are of one measurement"
        for each in shown.values():
            extra = each["extra_info"]
            assert (extra["backend"], extra["device"]) == ("torch", "cpu:0")
            assert each["stats"]["rounds"] == len(each["stats"]["data"]) >= USUAL.pairs
            assert 32 / each["stats"]["median"] == pytest.approx(extra["samples_per_second"], rel=1e-6)
            assert extra["import_s"] > 0
            assert extra["steps_per_block"] >= 2

    def test_beside_workers_the_controller_measures_and_compares_with_a_saved_run(
        self, recorded: Runs, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recorded("--dl-backend=torch", "--benchmark-save=first").assert_outcomes(passed=3)
        assert self.asked(recorded) == [f"{ASKED} whole"] * 2 + ["closed"]
        monkeypatch.setenv("STEP_S", "0.5")
        result = recorded("--dl-backend=torch", "-n2", "--benchmark-compare=0001")
        result.assert_outcomes(passed=3)
        assert self.asked(recorded) == [f"{ASKED} whole"] * 2 + ["closed"]
        result.stdout.fnmatch_lines(["*one training step of logistic_regression, batch 32*"])
        for side in (FIT, LOOP):
            name = f"*test_step?torch-cpu-{side}?"
            result.stdout.fnmatch_lines_random([f"{name} (0001_first) *250.0*(1.0)*", f"{name} (NOW) *500.0*(2.0*)*"])

    def test_disabled_runs_the_workloads_quickly_and_shows_no_figures(self, recorded: Runs) -> None:
        result = recorded("--dl-backend=torch", "--benchmark-disable")
        result.assert_outcomes(passed=3)
        assert self.asked(recorded) == [f"{ASKED} quick"] * 2 + ["closed"]
        result.stdout.no_fnmatch_line("*one training step of*")

    def test_skip_leaves_the_timed_out(self, recorded: Runs) -> None:
        recorded("--dl-backend=torch", "--benchmark-skip").assert_outcomes(passed=1, skipped=2)
        assert self.asked(recorded) == []

    def test_of_an_installed_package_run_beside_workers(self, recorded: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is collected by a package's name has ids that name no file from where pytest was started."""
        package = recorded.pytester.mkpydir("installed")
        (package / "test_timed.py").write_text(dedent(TIMED))
        (package / "conftest.py").write_text(dedent(RECORDED))
        monkeypatch.setenv("PYTHONPATH", str(recorded.pytester.path), prepend=os.pathsep)
        elsewhere = recorded.pytester.mkdir("elsewhere")
        monkeypatch.chdir(elsewhere)
        (elsewhere / "pytest.ini").write_text("[pytest]\n")
        result = recorded("--pyargs", "installed", "--dl-backend=torch", "-n1", "-v", "--junitxml=out.xml")
        result.assert_outcomes(passed=3)
        said = (elsewhere / "asked.txt").read_text().splitlines()
        assert said == [f"{ASKED} whole"] * 2 + ["closed"]
