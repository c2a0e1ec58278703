"""`dlcheck bench` and `throughput.compare`: what they take, show and write. What is measured is made up or plain NumPy."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from test_bench_paired import PLANTED, Machine, compared

from conftest import Runs
from pytest_dlcheck import cli
from pytest_dlcheck.benchmark import command, paired
from pytest_dlcheck.benchmark.command import Asked, Result, medians, sides, status
from pytest_dlcheck.benchmark.comparison import SCHEMA, Comparison
from pytest_dlcheck.benchmark.page import page
from pytest_dlcheck.benchmark.show import as_text, quantile_99
from pytest_dlcheck.benchmark.variation import Variation
from pytest_dlcheck.benchmark.verdicts import judge
from pytest_dlcheck.errors import DlcheckError

HERE = sys.executable


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "state", dict)
    monkeypatch.setattr(paired, "changes", lambda *_: {"others": 1.0, "steal": 0.0, "clock": 1.0})
    made_up = {"cpu": "made up", "cores": 2, "memory_bytes": 2**30, "os": "none", "gpus": []}
    monkeypatch.setattr(paired, "machine", lambda: made_up)
    monkeypatch.setattr(command, "installed", lambda name: name != "jax")


def result(**cost: float) -> Result:
    found = compared(Machine(new=cost))
    return Result(found.workload, found, judge(found))


class TestSides:
    def test_of_nothing_else_are_one_side_twice(self) -> None:
        reference, candidate = sides(Asked([], backend="torch", options=["batch=8"]))
        assert (reference.backend, reference.variation.batch, reference.label, candidate) == (
            "torch",
            8,
            "torch, batch=8",
            None,
        )

    def test_of_another_interpreter_have_the_same_options(self) -> None:
        reference, candidate = sides(Asked([], backend="torch", python=HERE, options=["jit=true"]))
        assert candidate is not None
        assert (reference.python, candidate.python) == (Path(HERE), None)
        assert reference.variation == candidate.variation == Variation(jit=True)
        assert (reference.label, candidate.label) == (Path(HERE).parent.parent.name, "this environment")

    def test_of_options_differ_in_what_is_given_for_one_alone(self) -> None:
        reference, candidate = sides(Asked([], "torch", options=["batch=8", "jit=true"], against_options=["jit=false"]))
        assert candidate is not None
        assert (reference.variation, candidate.variation) == (Variation(batch=8, jit=False), Variation(batch=8, jit=True))
        assert (reference.label, candidate.label) == ("jit=false", "jit=true")

    def test_of_two_backends(self) -> None:
        reference, candidate = sides(Asked([], "torch", against_backend="tensorflow"))
        assert candidate is not None
        assert (reference.label, candidate.label) == ("tensorflow", "torch")

    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            (Asked([], "theano"), "unknown backend 'theano'; there are tensorflow, jax, torch, numpy"),
            (Asked([], "numpy"), "'numpy' does not train"),
            (Asked([], "jax"), "backend 'jax' is not installed here"),
            (Asked([], "torch", python="/absent/python"), "--python /absent/python: there is no such interpreter"),
            (Asked([], "torch", python="x", against="y"), "--against and --python contradict each other"),
            (Asked([], "torch", options=["fast"]), "an option is written name=value, not 'fast'"),
        ],
    )
    def test_that_are_wrongly_named_end_in_one_line(self, asked: Asked, words: str) -> None:
        with pytest.raises(DlcheckError, match=words) as caught:
            sides(asked)
        assert "\n" not in str(caught.value)


class TestShowing:
    def test_has_every_figure_with_its_verdict(self) -> None:
        found = result(step=0.0108, compile=1.0)
        assert found.comparison is not None
        assert found.verdicts is not None
        text = as_text(found.comparison, found.verdicts)
        lines = [[cell.strip() for cell in line.split("│")] for line in text.splitlines()]
        rows = {line[1]: line for line in lines if len(line) > 5}
        assert rows["step, processor time"][5] == "regressed"
        assert rows["compile"][4].startswith("+99.")
        assert rows["peak memory"][5] == "ok"
        assert "note: set 1: 1.0 processors were busy with something else" in text
        assert "\x1b" not in text

    def test_the_page_stands_alone_and_is_escaped(self) -> None:
        found = result(step=0.0108)
        bad = Result("a:<b>", None, None, "a:<b> on x: ValueError: <i>")
        text = page([found, bad], "2026-01-01T00:00:00+00:00")
        assert "2 workloads: 1 slower, 1 not measured" in text
        assert "ValueError: &lt;i&gt;" in text
        assert "<i>" not in text.replace("<i>k", "")[: text.index("plotly")]
        assert 'src="http' not in text
        assert text.count('class="plotly-graph-div"') == 4

    def test_the_page_of_one_side_twice(self) -> None:
        found = compared(Machine(), None)
        text = page([Result(found.workload, found, judge(found))], "2026-01-01T00:00:00+00:00")
        assert "1 workload: 1 measured" in text

    def test_one_in_a_hundred_exceeds_the_last_row(self) -> None:
        assert quantile_99([float(n) for n in range(1, 201)]) == 198.0
        assert quantile_99([3.0]) == 3.0

    def test_medians_are_what_github_action_benchmark_takes(self) -> None:
        found = medians([result(step=0.0125), Result("bad", None, None, "no")])
        assert [each["unit"] for each in found] == ["ms", "s", "MiB"]
        assert found[0]["name"] == "made_up:workload, new: step"
        assert found[0]["value"] == pytest.approx(12.5, rel=0.01)
        assert all(set(each) == {"name", "unit", "value", "range", "extra"} for each in found)


class TestCommand:
    @pytest.mark.parametrize(
        ("codes", "expected"), [([0, 0], 0), ([0, 3], 3), ([3, 1], 1), ([1, 2], 2)], ids=["ok", "none", "slower", "error"]
    )
    def test_gives_the_status_of_the_worst(self, codes: list[int], expected: int) -> None:
        made = {0: result(), 1: result(step=0.011), 2: Result("x", None, None, "no"), 3: result(compile=0.62)}
        few = compared(Machine(new={"step": 0.011}), budget_s=16.0)
        made[3] = Result("few", few, judge(few))
        assert [made[code].status for code in codes] == codes
        assert status([made[code] for code in codes]) == expected

    def test_measures_shows_and_writes(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        options = [
            "bench",
            PLANTED,
            "--backend",
            "none",
            "--budget",
            "4s",
            "-o",
            str(tmp_path / "out"),
            "--json",
            str(tmp_path / "a"),
        ]
        code = cli.main([*options, "--option", "products=40"])
        assert code in (0, 3)  # so short, it is as the machine is
        out = tmp_path / "out"
        assert sorted(path.name for path in out.iterdir()) == ["bench.json", "github-action-benchmark.json", "index.html"]
        written = json.loads((out / "bench.json").read_text())
        assert written == json.loads((tmp_path / "a").read_text())
        (found,) = written["results"]
        assert (written["schema"], found["schema"]) == (SCHEMA, SCHEMA)
        assert found["verdict"]["outcome"] in capsys.readouterr().out
        assert Comparison.load({name: value for name, value in found.items() if name != "verdict"}).workload == PLANTED

    def test_goes_on_after_a_workload_that_cannot_be_measured(self, capsys: pytest.CaptureFixture[str]) -> None:
        code = cli.main(["bench", "absent:one", PLANTED, "--backend", "none", "--budget", "3s"])
        assert code == 2
        shown = capsys.readouterr().out.replace("\n", " ")
        assert "error: absent:one on none: workload 'absent:one' cannot be loaded" in shown
        assert PLANTED in shown

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--budget", "soon"], "--budget: 'soon' is no time; write 90s, 10m or 2h"),
            (["--budget", "0"], "--budget: '0' is no time"),
            (["--steps", "0"], "--steps takes a positive integer, not 0"),
            (["--device", "9"], "'9' names no device"),
            (["--against", "tf2.18"], "--against"),
        ],
    )
    def test_refuses_bad_input_in_one_line(
        self, options: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "pytest_dlcheck.environments", None)
        assert cli.main(["bench", PLANTED, "--backend", "none", *options]) == 2
        said = capsys.readouterr().err
        assert said.startswith("dlcheck: error: ")
        assert words in said
        assert said.count("\n") == 1

    def test_finds_the_other_environment_by_its_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Environments:
            class Found:
                python, backend, variables = HERE, "tensorflow", {"A": "b"}

            @staticmethod
            def project_root(start: Path) -> Path:
                return start

            @staticmethod
            def find(name: str, root: Path) -> Any:
                assert (name, root) == ("tf2.18", Path.cwd())
                return Environments.Found

        monkeypatch.setitem(sys.modules, "pytest_dlcheck.environments", Environments)
        reference, candidate = sides(Asked([], "torch", against="tf2.18"))
        assert candidate is not None
        assert (reference.backend, reference.variables, candidate.label) == (
            "tensorflow",
            {"A": "b"},
            "this environment, torch",
        )


STANDING_IN = """
    from pytest_dlcheck.benchmark import paired
    import os, sys
    sys.path.insert(0, {tests!r})
    def compare(plan, *rest):
        from test_bench_paired import Machine, MadeUp
        import test_bench_paired as made_up
        paired.state, paired.changes = dict, lambda *_: {{"others": 0.0, "steal": 0.0, "clock": 1.0}}
        machine = Machine(float(os.environ["NOISE"]))
        count = iter(range(100))
        def start(side, task, folder):
            made = machine.start(side, task, folder)
            new = side is plan.sides["candidate"]
            made.cost["step"] = 0.01 * (float(os.environ["FACTOR"]) if new else 1.0)
            made.side = type(side)("same", None, "torch")
            return made
        return real(plan, start=start, now=machine.now)
    real = paired.compare
    paired.compare = compare
"""


class TestThroughputCompare:
    @pytest.fixture
    def ran(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> Any:
        def run(factor: float, noise: float = 0.005, *options: str) -> pytest.RunResult:
            monkeypatch.setenv("FACTOR", str(factor))
            monkeypatch.setenv("NOISE", str(noise))
            runs.fake_backends("torch")
            runs.pytester.makeconftest(STANDING_IN.format(tests=str(Path(__file__).parent)))
            runs.pytester.makepyfile(
                """
                def test_step(throughput):
                    found = throughput.compare("made_up:workload", options={"k": True}, against_options={"k": False})
                    assert len(found.rounds) >= 1
                """
            )
            return runs("--dl-backend=torch", "-n0", "-rs", *options)

        return run

    def test_passes_what_is_not_slower_and_shows_it(self, ran: Any) -> None:
        result = ran(1.0)
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(["*one training step of made_up:workload, cpu time*"])

    def test_fails_a_regression_with_the_table(self, ran: Any) -> None:
        result = ran(1.08)
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            ["*step, processor time*+8.*regressed*", "regressed (made_up:workload)", "*step: slower: +8.*"]
        )
        result.stdout.no_fnmatch_line("*Error*")

    def test_skips_what_it_has_no_verdict_of(self, ran: Any) -> None:
        result = ran(1.08, 0.2)
        result.assert_outcomes(skipped=1)
        result.stdout.fnmatch_lines(["SKIPPED*no verdict: step: A/A is *"])

    def test_only_looks_whether_it_runs_when_disabled(self, ran: Any) -> None:
        result = ran(1.5, 0.005, "--benchmark-disable")
        result.assert_outcomes(passed=1)
        result.stdout.no_fnmatch_line("*one training step of*")

    def test_fails_what_cannot_be_measured(self, runs: Runs) -> None:
        runs.fake_backends("torch")
        runs.pytester.makepyfile("def test_step(throughput):\n    throughput.compare('absent', python='/absent/python')\n")
        result = runs("--dl-backend=torch", "-n0")
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["--python /absent/python: there is no such interpreter"])
        assert math.isfinite(result.duration)
