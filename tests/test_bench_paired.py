"""Paired comparisons: the session on sides that only reckon, what is said of it, and real processes without a framework."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_dlcheck.benchmark import paired, trainer
from pytest_dlcheck.benchmark.comparison import AGAIN, CANDIDATE, REFERENCE, Comparison
from pytest_dlcheck.benchmark.keys import SeriesKey, require_alike
from pytest_dlcheck.benchmark.paired import Plan, compare
from pytest_dlcheck.benchmark.plain import PlainBackend
from pytest_dlcheck.benchmark.process import MeasurementError
from pytest_dlcheck.benchmark.sides import Side, Task, along
from pytest_dlcheck.benchmark.state import changes, state
from pytest_dlcheck.benchmark.statistics import INCONCLUSIVE, OK, REGRESSED
from pytest_dlcheck.benchmark.trainer import CPU, Clocks, Times, Trainer
from pytest_dlcheck.benchmark.variation import Variation
from pytest_dlcheck.benchmark.verdicts import judge
from pytest_dlcheck.benchmark.workload import Workload
from pytest_dlcheck.devices import DeviceName, kinds_by_name
from pytest_dlcheck.errors import DlcheckError

CPU_0 = DeviceName("cpu")
KINDS = kinds_by_name(())
PLANTED = "pytest_dlcheck.benchmark.planted:numpy_work"


class Machine:
    """A clock, and sides whose times are made up: `cost` gives what a side's phases and steps take."""

    def __init__(self, noise: float = 0.005, **cost: Mapping[str, float]) -> None:
        self.seconds = 0.0
        self.rng = np.random.default_rng(0)
        self.noise = noise
        self.cost = cost
        self.running = 0
        self.started: list[str] = []
        self.blocks: list[str] = []

    def now(self) -> float:
        return self.seconds

    def passes(self, seconds: float) -> list[float]:
        took = seconds * math.exp(self.rng.normal(0, self.noise))
        self.seconds += took
        return [took, took]

    def start(self, side: Side, task: Task, folder: Path) -> MadeUp:
        assert (folder / "pytest_dlcheck" / "benchmark" / "side.py").exists()
        assert [each.name for each in folder.iterdir()] == ["pytest_dlcheck"]
        self.running += 1
        self.started.append(side.label)
        return MadeUp(self, side)


class MadeUp:
    def __init__(self, machine: Machine, side: Side) -> None:
        self.machine, self.side, self.length = machine, side, 0
        cost = {"import": 1.0, "build": 0.2, "compile": 0.5, "step": 0.01, "call": 0.02, "memory": 1e9, "batch": 32.0}
        self.cost = {**cost, **machine.cost.get(side.label, {})}

    def start(self) -> dict[str, Any]:
        cost, passes = self.cost, self.machine.passes
        return {
            "import": passes(cost["import"]),
            "start": passes(0.01),
            "build": passes(cost["build"]),
            "first": passes(cost["compile"] + cost["call"] + cost["step"]),
            "second": passes(cost["call"] + cost["step"]),
            "peak_memory_bytes": cost["memory"],
            "device_memory_bytes": None,
            "batch": cost["batch"],
            "execution": 1,
            "python": "3.11.7",
            "versions": {"keras": self.side.label},
            "device_model": "made up",
        }

    def calibrate(self) -> dict[str, float]:
        return {"length": math.ceil(0.1 / self.cost["step"]), "execution_s": self.cost["step"], "call_s": self.cost["call"]}

    def prepare(self, length: int) -> None:
        self.length = length

    def block(self) -> tuple[list[float], list[float]]:
        self.machine.blocks.append(self.side.label)
        once = self.cost["call"] + self.cost["step"]
        return self.machine.passes(once), self.machine.passes(once + self.length * self.cost["step"])

    def close(self) -> None:
        self.machine.running -= 1


OLD, NEW = Side("old", Path("old"), "torch"), Side("new", Path("new"), "torch")


def compared(machine: Machine, candidate: Side | None = NEW, **options: Any) -> Comparison:
    plan = Plan("made_up:workload", OLD, candidate, device=CPU_0, kinds=KINDS, **options)
    found = compare(plan, start=machine.start, now=machine.now)
    assert machine.running == 0, "every process is ended"
    return found


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdicts of what is made up must not depend on the machine that runs this; nor need it be asked each time."""
    monkeypatch.setattr(paired, "state", dict)
    monkeypatch.setattr(paired, "changes", lambda *_: {"others": 0.0, "steal": 0.0, "clock": 1.0})
    monkeypatch.setattr(paired, "machine", lambda: {"cpu": "made up", "gpus": []})


class TestSession:
    def test_runs_three_sets_of_three_processes_in_pairs(self) -> None:
        machine = Machine()
        found = compared(machine)
        assert sorted(machine.started) == ["new"] * 3 + ["old"] * 6
        assert [len(run.ones) for run in found.runs(CANDIDATE)] == [40] * 3
        turns = [tuple(machine.blocks[n : n + 3]) for n in range(0, len(machine.blocks), 3)]
        assert {tuple(sorted(turn)) for turn in turns} == {("new", "old", "old")}
        assert len(set(turns)) == 3, "the order is drawn anew"
        assert judge(found).outcome == OK

    def test_measures_what_a_step_takes_without_its_call(self) -> None:
        found = compared(Machine(noise=1e-6, new={"step": 0.0125, "call": 0.08}))
        assert np.median(found.steps(REFERENCE)) == pytest.approx(0.01, rel=1e-3)
        assert np.median(found.steps(CANDIDATE)) == pytest.approx(0.0125, rel=1e-3)
        assert found.values(CANDIDATE, "call") == pytest.approx([0.08] * 3, rel=1e-2)
        assert found.values(REFERENCE, "compile") == pytest.approx([0.5] * 3, rel=1e-2)
        assert found.values(REFERENCE, "total") == pytest.approx([1.0 + 0.01 + 0.2 + 0.53 + 999 * 0.01] * 3, rel=1e-3)

    @pytest.mark.parametrize(
        ("cost", "outcome", "words"),
        [
            ({"step": 0.0105}, REGRESSED, "step: slower: +5."),
            ({"step": 0.0101}, OK, "step: not slower"),
            ({"step": 0.0095}, OK, "step: faster: -"),
            ({"compile": 0.75}, REGRESSED, "compile: +"),
            ({"memory": 1.2e9}, REGRESSED, "memory: +20.0 % in all 3 sets of processes"),
            ({"memory": 1.02e9}, OK, "step: not slower"),
            ({"import": 1.5}, OK, "import: +"),
            ({"step": 0.008, "compile": 6.0}, REGRESSED, "step faster, total slower: the total of 1000 steps"),
            ({"build": 0.001}, OK, "step: not slower"),
        ],
    )
    def test_finds_what_is_planted(self, cost: dict[str, float], outcome: str, words: str) -> None:
        found = judge(compared(Machine(new=cost)))
        assert found.outcome == outcome, found.why
        assert any(line.startswith(words) for line in found.why), found.why

    def test_of_a_machine_that_is_too_noisy_is_inconclusive_whatever_it_shows(self) -> None:
        found = judge(compared(Machine(noise=0.5, new={"memory": 2e9, "step": 0.02})))
        assert found.outcome == INCONCLUSIVE

    def test_of_one_side_twice_measures_noise(self) -> None:
        machine = Machine()
        found = compared(machine, None)
        assert set(machine.started) == {"old"}
        assert (found.same, judge(found).outcome, judge(found).phases) == (True, OK, {})

    @pytest.mark.parametrize(
        ("budget", "sets", "words"), [(16.0, 1, "is enough for 1 of 3"), (32.0, 2, "is enough for 2 of 3")]
    )
    def test_keeps_to_its_budget(self, budget: float, sets: int, words: str) -> None:
        machine = Machine()
        found = compared(machine, budget_s=budget)
        assert machine.seconds <= budget * 1.1
        assert len(found.rounds) == sets
        assert words in str(found.problem)
        assert all(len(run.ones) >= 20 for run in found.runs(REFERENCE))

    def test_with_a_budget_too_small_for_a_verdict_says_how_much_it_takes(self) -> None:
        found = judge(compared(Machine(), budget_s=6.0))
        assert found.outcome == INCONCLUSIVE
        assert "a budget of 6 s is too small for a verdict: a set of processes starts in" in found.why[0]

    def test_confirms_no_regression_in_one_set_of_processes(self) -> None:
        found = judge(compared(Machine(new={"step": 0.011}), budget_s=16.0))
        assert found.outcome == INCONCLUSIVE
        assert "1 of 1 sets of processes show it: not confirmed" in found.why[0]

    def test_that_is_only_to_see_whether_it_runs_takes_two_turns(self) -> None:
        found = compared(Machine(), turns=2)
        assert [len(run.ones) for run in found.runs(CANDIDATE)] == [2]
        assert found.problem is None

    def test_says_when_both_sides_are_the_same(self) -> None:
        found = compared(Machine(), Side("old", Path("elsewhere"), "torch"))
        assert "both sides have the same versions (keras old): nothing but noise is compared" in found.notes

    def test_refuses_to_compare_unlike_with_unlike(self) -> None:
        with pytest.raises(DlcheckError, match=r"of different series: batch: 32 and 64"):
            compared(Machine(new={"batch": 64}))

    def test_compares_batches_by_the_sample(self) -> None:
        found = compared(Machine(new={"batch": 64, "step": 0.02}), Side("new", Path("new"), "torch", Variation(batch=64)))
        assert judge(found).step["cpu"].effect.percent[1] == pytest.approx(0.0, abs=1.0)

    def test_survives_the_way_through_json(self) -> None:
        found = compared(Machine())
        again = Comparison.load(json.loads(json.dumps(found.dump())))
        assert judge(again) == judge(found)
        assert again.labels == {REFERENCE: "old", CANDIDATE: "new"}

    def test_draws_the_order_from_the_seed(self) -> None:
        machines = [Machine(), Machine(), Machine()]
        for machine, seed in zip(machines, (1, 1, 2), strict=True):
            compared(machine, seed=seed)
        assert machines[0].blocks == machines[1].blocks != machines[2].blocks


class TestKeys:
    KEY = SeriesKey(*["x"] * 4, 1, *["x"] * 2, 1, *["x"] * 9)

    def test_that_differ_are_never_compared(self) -> None:
        other = SeriesKey.load({**self.KEY.dump(), "driver": "550"})
        with pytest.raises(DlcheckError, match="different series: driver: 'x' and '550'"):
            require_alike(self.KEY, other)
        require_alike(self.KEY, other, {"driver"})
        require_alike(self.KEY, self.KEY)

    def test_may_differ_in_what_is_compared_alone(self) -> None:
        assert along(OLD, NEW) == {"python", "versions"}
        assert along(OLD, Side("x", OLD.python, "jax")) == {"backend", "versions", "jit"}
        varied = Variation.parse(["batch=4", "jit=true", "products=3"])
        assert along(OLD, Side("x", OLD.python, "torch", varied)) == {"batch", "jit", "options"}


class TestVariation:
    def test_is_read_from_text(self) -> None:
        found = Variation.parse(
            ["batch=64", "dtype=mixed_bfloat16", "jit=auto", "steps_per_execution=4", "width=8", "rate=.5", "k=v"]
        )
        assert found == Variation(64, "mixed_bfloat16", "auto", 4, {"width": 8, "rate": 0.5, "k": "v"})
        assert Variation.load(json.loads(json.dumps(found.dump()))) == found
        assert str(Variation.parse(["jit=false", "k=v"])) == "jit=false, k=v"
        assert Variation.parse(["jit=false", "k=v"]).unlike(Variation.parse(["k=v"])) == ("jit=false", "jit=unset")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("batch", "an option is written name=value, not 'batch'"),
            ("batch=0", "'batch' takes a positive integer, not '0'"),
            ("jit=yes", "'jit' takes true, false or auto, not 'yes'"),
            ("a b=1", "written name=value"),
        ],
    )
    def test_refuses_anything_else(self, text: str, words: str) -> None:
        with pytest.raises(DlcheckError, match=words):
            Variation.parse([text])

    def test_refuses_a_name_twice(self) -> None:
        with pytest.raises(DlcheckError, match="'k' is given twice"):
            Variation.parse(["k=1", "k=2"])


class MadeUpClocks(Clocks):
    """Time passes where the model says so."""

    def __init__(self) -> None:
        super().__init__(CPU)
        self.wall = self.cpu = 0.0
        self.at_rest = 0.0

    def now(self) -> Times:
        return Times(self.wall, self.cpu)

    def sleep(self, seconds: float) -> None:
        self.wall += seconds
        self.cpu += self.at_rest * seconds


def trained(
    clocks: MadeUpClocks, step_s: float, call_s: float = 0.01, loss: Callable[[int], float] = lambda step: 1.0
) -> Trainer:
    class Model:
        weights: tuple[()] = ()
        steps = 0

        def fit(self, x: Any, y: Any, **options: Any) -> Any:
            assert options["shuffle"] is False
            assert len(x) % options["batch_size"] == 0
            steps = len(x) // options["batch_size"]
            self.steps += steps
            clocks.cpu += call_s + steps * step_s
            clocks.wall += 2 * (call_s + steps * step_s)
            return SimpleNamespace(history={"loss": [loss(self.steps)]})

    x = np.zeros((16, 1), np.float32)
    workload = Workload(Model, x, x, batch_size=8)
    return Trainer(workload, Model(), PlainBackend(KINDS), 1, clocks)


class TestTrainer:
    def test_finds_a_block_that_is_long_enough(self) -> None:
        made = trained(MadeUpClocks(), 0.004)
        found = made.calibrate()
        assert found["length"] == 25
        assert found["execution_s"] == pytest.approx(0.004)
        one, many = made.block()
        assert (many.cpu - one.cpu, many.wall - one.wall) == pytest.approx((0.1, 0.2))

    def test_refuses_a_workload_shorter_than_the_timer(self) -> None:
        with pytest.raises(DlcheckError, match="the workload is shorter than can be timed: 500 steps take"):
            trained(MadeUpClocks(), 1e-7).calibrate()

    def test_refuses_a_loss_that_is_not_finite(self) -> None:
        with pytest.raises(DlcheckError, match="the loss is nan after "):
            trained(MadeUpClocks(), 0.01, loss=lambda step: math.nan if step > 3 else 1.0).calibrate()

    @pytest.mark.parametrize(("at_rest", "refused"), [(1.0, True), (0.2, True), (0.05, False)])
    def test_sees_a_timer_that_stops_before_the_work_is_done(self, at_rest: float, refused: bool) -> None:
        clocks = MadeUpClocks()
        clocks.at_rest = at_rest
        made = trained(clocks, 0.01)
        if refused:
            with pytest.raises(DlcheckError, match="the work goes on after fit has ended"):
                made.calibrate()
        else:
            made.calibrate()

    def test_wants_to_be_prepared(self) -> None:
        with pytest.raises(RuntimeError, match="prepare comes before block"):
            trained(MadeUpClocks(), 0.01).block()

    def test_reads_the_clock_that_was_named(self) -> None:
        assert (trainer.clock_of("wall"), trainer.clock_of("cpu")) == (0, 1)


class TestState:
    def test_says_what_happened_in_between(self) -> None:
        before = {"at_s": 0.0, "steal_s": 1.0, "busy_s": 10.0, "cpu_clocks_mhz": [2000.0, 2000.0]}
        after = {"at_s": 10.0, "steal_s": 2.0, "busy_s": 26.0, "cpu_clocks_mhz": [1000.0, 2000.0]}
        assert changes(before, after, own_cpu_s=5.0) == {"others": 1.0, "steal": 0.1, "clock": 0.75}
        assert changes(before, {**after, "cpu_clocks_mhz": []}, 5.0)["clock"] == 1.0
        with pytest.raises(DlcheckError, match="twice at the same time"):
            changes(before, before, 0.0)

    def test_of_this_machine_can_be_read(self) -> None:
        found = state()
        assert found["busy_s"] > 0
        json.dumps(found)


def real(reference: Variation, candidate: Variation | None, workload: str = PLANTED, **options: Any) -> Comparison:
    sides = [
        None if each is None else Side("mine", None, options.pop("backend", "none"), each) for each in (reference, candidate)
    ]
    assert sides[0] is not None
    return compare(Plan(workload, sides[0], sides[1], device=CPU_0, kinds=KINDS, turns=2, **options))


class TestRealProcesses:
    def test_are_measured_by_both_clocks(self) -> None:
        found = real(Variation(), Variation.parse(["products=800"]))
        run = found.runs(CANDIDATE)[0]
        assert len(run.ones) == len(run.manys) == 2
        assert all(seconds > 0 for pair in run.manys for seconds in pair)
        assert found.keys[CANDIDATE]["options"] == "products=800"
        assert found.keys[REFERENCE]["threads"] == "1"
        assert len(found.runs(AGAIN)) == 1

    def test_have_memory_of_their_own(self) -> None:
        found = real(Variation.parse(["memory=16"]), Variation.parse(["memory=216"]))
        less, more = (found.values(role, "memory")[0] for role in (REFERENCE, CANDIDATE))
        assert more - less == pytest.approx(200 * 2**20, rel=0.1)

    @pytest.mark.parametrize(
        ("options", "workload", "words"),
        [
            ({"poison_after": 3}, PLANTED, "the loss is nan after"),
            ({"asynchronous": 1}, PLANTED, "the work goes on after fit has ended"),
            ({"products": 0}, PLANTED, "the workload is shorter than can be timed"),
            ({"speed": 1}, PLANTED, "takes no option 'speed': its function has no argument of that name"),
            ({}, "absent:nothing", "cannot be loaded: No module named 'absent'"),
            ({"products": "many"}, PLANTED, "TypeError: "),
        ],
    )
    def test_say_in_one_line_what_is_wrong(self, options: dict[str, Any], workload: str, words: str) -> None:
        with pytest.raises(MeasurementError) as caught:
            real(Variation(more=options), None, workload)
        assert str(caught.value).startswith(f"{workload} on mine: ")
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_that_cannot_start_say_so(self, tmp_path: Path) -> None:
        plan = Plan(PLANTED, Side("other", tmp_path / "python", "none"), None, device=CPU_0, kinds=KINDS)
        with pytest.raises(MeasurementError, match=r"the process of other .* cannot be started: .*: No such file"):
            compare(plan)

    def test_of_another_interpreter_train_alike_from_the_stored_data(self, needs: Any) -> None:
        needs("torch")
        side = Side("other", Path(sys.executable), "torch")
        found = compare(Plan("logistic_regression", side, None, device=CPU_0, kinds=KINDS, turns=2))
        assert found.runs(REFERENCE)[0].start["versions"]["torch"]
        assert found.runs(REFERENCE)[0].start["loss"] == found.runs(AGAIN)[0].start["loss"]

    def test_need_numpy_and_the_framework_alone(self) -> None:
        """Where TensorFlow 2.12 is installed, nothing else of what this package needs may be."""
        code = (
            "import sys\nfrom pytest_dlcheck.benchmark import side, loops, planted\n"
            "print(*{name.partition('.')[0] for name in sys.modules})"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        found = set(done.stdout.split()) - set(sys.stdlib_module_names)
        assert {name for name in found if not name.startswith("_")} <= {"numpy", "pytest_dlcheck", "sitecustomize"}
