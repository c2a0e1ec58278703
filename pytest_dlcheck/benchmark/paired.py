"""Measures a workload on two sides in pairs: fresh processes, turns in an order drawn anew, looks, and a budget."""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pytest_dlcheck.benchmark.comparison import AGAIN, CANDIDATE, REFERENCE, Comparison, RoundRun, SideRun
from pytest_dlcheck.benchmark.keys import SeriesKey, require_alike
from pytest_dlcheck.benchmark.sides import Runner, Side, SideProcess, Task, along, package_folder
from pytest_dlcheck.benchmark.state import changes, state
from pytest_dlcheck.benchmark.statistics import FEWEST_PAIRS, LOOKS, ROUNDS, round_is_done
from pytest_dlcheck.benchmark.trainer import Times, clock_of
from pytest_dlcheck.benchmark.workload import store
from pytest_dlcheck.devices import DeviceKind, DeviceName
from pytest_dlcheck.hardware import machine
from pytest_dlcheck.seeds import derive

__all__ = ["TOTAL_STEPS", "Plan", "compare"]

TOTAL_STEPS = 1000
"""Of the phase `total`: about what a short training takes, so that starting counts as well as stepping."""
BUSY, STOLEN, CLOCK_CHANGE = 0.5, 0.05, 0.1
"""From how many busy or stolen processors on, and from what change of the clock, it is told beside the figures."""
LONGEST_APART = 2.0
"""Blocks have the same number of steps on both sides, unless one side's would then be so many times longer than it need be."""

Say = Callable[[str, float], None]
Start = Callable[[Side, Task, Path], Runner]


class Plan:
    """What to compare.

    Args:
        workload: a documented model, or `package.module:function`.
        reference: the side that is held against.
        candidate: the side that is judged; None to run the reference twice.
        device: to run on.
        kinds: of devices.
        seed: of everything random.
        budget_s: how long it may take, in seconds, starts included.
        total_steps: of the phase `total`.
        suite: part of the series' keys.
        turns: if given, so many pairs of one set of processes and no verdict: to see that it runs.
    """

    def __init__(
        self,
        workload: str,
        reference: Side,
        candidate: Side | None,
        *,
        device: DeviceName,
        kinds: Mapping[str, DeviceKind],
        seed: int = 0,
        budget_s: float = 180.0,
        total_steps: int = TOTAL_STEPS,
        suite: str = "dlcheck bench",
        turns: int = 0,
    ) -> None:
        self.workload = workload
        self.sides = {REFERENCE: reference, AGAIN: reference} | ({CANDIDATE: candidate} if candidate is not None else {})
        self.device = device
        self.kinds = kinds
        self.seed = seed
        self.budget_s = budget_s
        self.total_steps = total_steps
        self.suite = suite
        self.turns = turns

    @property
    def on_cpu(self) -> bool:
        return self.device.kind == "cpu"


def _nothing(_text: str, _share: float) -> None:
    """Tells nobody."""


def compare(
    plan: Plan,
    say: Say = _nothing,
    start: Start = SideProcess,
    now: Callable[[], float] = time.monotonic,
) -> Comparison:
    """Measures what is planned.

    Args:
        plan: what to compare.
        say: is told now and then what is being done, and which share of the budget is spent.
        start: makes a side's process.
        now: the clock that the budget is read on.

    Raises:
        DlcheckError: a side cannot be started, or does not train.
    """
    with tempfile.TemporaryDirectory(prefix="dlcheck-bench-") as name:
        root = Path(name)
        data = root / "data.npz"
        task = Task(
            plan.workload,
            plan.device,
            plan.kinds,
            plan.seed,
            1 if plan.on_cpu else None,
            "cpu" if plan.on_cpu else "wall",
            data if store(plan.workload, plan.seed, data) else None,
        )
        return _Session(plan, task, package_folder(root), say=say, start=start, now=now).run()


class _Session:
    def __init__(
        self,
        plan: Plan,
        task: Task,
        folder: Path,
        *,
        say: Say,
        start: Start,
        now: Callable[[], float],
    ) -> None:
        self._plan, self._task, self._folder = plan, task, folder
        self._say_to, self._start, self._now = say, start, now
        self._rng = random.Random(derive(plan.seed, "paired", plan.workload))
        self._begun = now()
        self._machine = machine()
        self._lengths: dict[str, int] = {}
        self._keys: dict[str, SeriesKey] = {}
        self._rounds: list[RoundRun] = []
        self._planned = 1 if plan.turns else ROUNDS

    def run(self) -> Comparison:
        problem: str | None = None
        while len(self._rounds) < self._planned:
            begun = self._now()
            problem = self._round()
            if problem is not None:
                break
            took, left = self._now() - begun, self._left()
            pairs = len(self._rounds[-1].runs[REFERENCE].ones)
            # The starts count in full, the turns as far as the first look.
            needed = max(1e-9, took - self._turns_s * max(0, pairs - LOOKS[0].pairs))
            if not self._plan.turns:
                self._planned = min(ROUNDS, len(self._rounds) + int(left / needed))
        if problem is None and not self._plan.turns and self._planned < ROUNDS:
            problem = (
                f"the budget of {self._plan.budget_s:g} s is enough for {self._planned} of {ROUNDS} sets of fresh processes, "
                "and a change that only one shows is not confirmed"
            )
        labels = {role: side.label for role, side in self._plan.sides.items() if role != AGAIN}
        return Comparison(
            workload=self._plan.workload,
            labels=labels,
            keys={role: key.dump() for role, key in self._keys.items() if role in labels},
            gate=self._task.gate,
            total_steps=self._plan.total_steps,
            budget_s=self._plan.budget_s,
            seed=self._plan.seed,
            machine=self._machine,
            notes=self._notes(),
            rounds=self._rounds,
            problem=problem,
        )

    # One set of fresh processes.

    def _round(self) -> str | None:
        """Adds a round; gives why it was not possible, if it was the budget."""
        before, begun = state(), self._now()
        with contextlib.ExitStack() as ending:
            runners, starts = self._starts(ending)
            self._check(starts)
            self._calibrate(runners)
            for role, runner in runners.items():
                runner.prepare(self._lengths[role])
            started_s = self._now() - begun
            found: dict[str, list[tuple[Times, Times]]] = {role: [] for role in runners}
            first_turn = self._now()
            while True:
                for role in self._rng.sample(list(runners), len(runners)):
                    one, many = runners[role].block()
                    found[role].append((Times(*one), Times(*many)))
                done = len(found[REFERENCE])
                self._turns_s = (self._now() - first_turn) / done
                affordable = self._affordable(done, started_s)
                if affordable < LOOKS[0].pairs and not self._plan.turns:
                    return self._too_small(started_s)
                self._say(f"{self._where()}: pair {done} of {min(affordable, LOOKS[-1].pairs)} at most")
                runs = {
                    role: SideRun(starts[role], self._lengths[role], *map(list, zip(*blocks, strict=True)))
                    for role, blocks in found.items()
                }
                if self._is_done(runs, affordable):
                    break
        after = state()
        own_s = sum(one.cpu + many.cpu for blocks in found.values() for one, many in blocks)
        own_s += sum(start[name][1] for start in starts.values() for name in ("import", "start", "build", "first", "second"))
        self._rounds.append(RoundRun(runs, changes(before, after, own_s), self._now() - begun))
        return None

    def _is_done(self, runs: Mapping[str, SideRun], affordable: int) -> bool:
        done = len(runs[REFERENCE].ones)
        if self._plan.turns:
            return done >= self._plan.turns
        if done < affordable and all(done != look.pairs for look in LOOKS):
            return False
        try:
            pairs = RoundRun(runs, {}, 0.0).pairs(clock_of(self._task.gate))
        except ValueError:  # a block that took nothing: more of them may tell
            return done >= affordable or done >= LOOKS[-1].pairs
        return round_is_done(pairs, affordable)

    def _starts(self, ending: contextlib.ExitStack) -> tuple[dict[str, Runner], dict[str, dict[str, Any]]]:
        runners: dict[str, Runner] = {}
        starts: dict[str, dict[str, Any]] = {}
        for role in self._rng.sample(list(self._plan.sides), len(self._plan.sides)):
            side = self._plan.sides[role]
            self._say(f"{self._where()}: starting {side.label}{' again' if role == AGAIN else ''}")
            runners[role] = self._start(side, self._task, self._folder)
            ending.callback(runners[role].close)
            starts[role] = runners[role].start()
        return runners, starts

    def _calibrate(self, runners: Mapping[str, Runner]) -> None:
        """How long the blocks are: found in the first round, and the same in the others."""
        if self._lengths:
            return
        self._say(f"{self._where()}: how long is a step?")
        own = {role: int(runner.calibrate()["length"]) for role, runner in runners.items()}
        own[REFERENCE] = own[AGAIN] = max(own[REFERENCE], own[AGAIN])
        longest = max(own.values())
        self._lengths = own if longest > LONGEST_APART * min(own.values()) else dict.fromkeys(own, longest)

    def _check(self, starts: Mapping[str, Mapping[str, Any]]) -> None:
        """The series of each side, which must be one but for what is compared, and stay it."""
        keys = {role: self._key(role, start) for role, start in starts.items()}
        for role, key in (self._keys or keys).items():
            require_alike(key, keys[role])
        require_alike(keys[REFERENCE], keys[AGAIN])
        if CANDIDATE in keys:
            require_alike(keys[REFERENCE], keys[CANDIDATE], along(self._plan.sides[REFERENCE], self._plan.sides[CANDIDATE]))
        self._keys = keys

    def _key(self, role: str, start: Mapping[str, Any]) -> SeriesKey:
        side, plan = self._plan.sides[role], self._plan
        variation = side.variation
        return SeriesKey(
            suite=plan.suite,
            workload=plan.workload,
            phase="step",
            metric=f"{self._task.gate} time",
            batch=int(start["batch"]),
            dtype=variation.dtype or "default",
            jit="default" if variation.jit is None else str(variation.jit).lower(),
            steps_per_execution=int(start["execution"]),
            options=", ".join(f"{name}={value}" for name, value in sorted(variation.more.items())),
            backend=side.backend,
            python=str(start["python"]),
            versions=", ".join(f"{name} {version}" for name, version in start["versions"].items()),
            device=str(plan.device),
            # Every framework has a word of its own for the processor.
            device_model=self._machine["cpu"] if plan.on_cpu else str(start["device_model"]),
            driver=", ".join(sorted({gpu["driver"] for gpu in self._machine["gpus"]})),
            cpu=str(self._machine["cpu"]),
            threads="default" if self._task.threads is None else str(self._task.threads),
        )

    # What the budget allows.

    def _left(self) -> float:
        return self._plan.budget_s - (self._now() - self._begun)

    def _affordable(self, done: int, started_s: float) -> int:
        """How many pairs this round may have, so that the others still get their share, or in all if they cannot."""
        if not self._rounds and done == 1 and not self._plan.turns:
            per_round = started_s + LOOKS[0].pairs * self._turns_s
            self._planned = max(1, min(ROUNDS, int(self._plan.budget_s / per_round)))
        rest = self._planned - len(self._rounds) - 1
        turns_s = max(self._turns_s, 1e-9)
        share = self._left() - rest * (started_s + LOOKS[0].pairs * turns_s)
        if rest:  # what is beyond the least is shared out evenly, in whole rounds
            spare = max(0.0, share - max(0, LOOKS[0].pairs - done) * turns_s)
            share -= spare * rest / (rest + 1)
        return done + int(share / turns_s)

    def _too_small(self, started_s: float) -> str:
        least = started_s + LOOKS[0].pairs * self._turns_s
        whole = ROUNDS * (started_s + FEWEST_PAIRS * self._turns_s)
        return (
            f"a budget of {self._plan.budget_s:g} s is too small for a verdict: a set of processes starts in {started_s:.0f} s "
            f"and a pair takes {self._turns_s:.2f} s; for {ROUNDS} sets of {FEWEST_PAIRS} pairs give it {whole:.0f} s, and "
            f"{least:.0f} s at least"
        )

    # What is told.

    def _where(self) -> str:
        return f"set {len(self._rounds) + 1} of {self._planned}"

    def _say(self, text: str) -> None:
        self._say_to(text, min(1.0, 1 - self._left() / self._plan.budget_s))

    def _notes(self) -> list[str]:
        notes = []
        if CANDIDATE in self._keys and not self._keys[REFERENCE].differences(self._keys[CANDIDATE]):
            notes.append(f"both sides have the same versions ({self._keys[REFERENCE].versions}): nothing but noise is compared")
        for number, each in enumerate(self._rounds, 1):
            if each.machine["others"] > BUSY:
                notes.append(f"set {number}: {each.machine['others']:.1f} processors were busy with something else")
            if each.machine["steal"] > STOLEN:
                notes.append(
                    f"set {number}: the host of this virtual machine kept {each.machine['steal']:.2f} processors for itself"
                )
            if abs(each.machine["clock"] - 1) > CLOCK_CHANGE:
                notes.append(f"set {number}: the processors' clock changed by the factor {each.machine['clock']:.2f}")
        return notes
