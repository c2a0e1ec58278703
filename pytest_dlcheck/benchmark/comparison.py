"""What a comparison has measured, as plain data: the raw samples, and the figures that follow from them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pytest_dlcheck.benchmark.statistics import (
    Round,
    log_ratios,
)
from pytest_dlcheck.benchmark.trainer import clock_of

__all__ = ["AGAIN", "CANDIDATE", "REFERENCE", "SCHEMA", "Comparison", "RoundRun", "SideRun"]

SCHEMA = "dlcheck-bench/1"

REFERENCE, AGAIN, CANDIDATE = "reference", "again", "candidate"
"""The three processes of a round: the second is of the reference too, so that noise is measured beside what is compared."""


@dataclass(frozen=True)
class SideRun:
    """One process: what it said at its start, and its blocks.

    Attributes:
        start: what `pytest_dlcheck.benchmark.side` answers to `start`.
        length: executions in a block, beside one.
        ones, manys: of each turn, a call with one execution and one with a block more: (wall, processor) seconds.
    """

    start: Mapping[str, Any]
    length: int
    ones: Sequence[Sequence[float]]
    manys: Sequence[Sequence[float]]

    def per_step(self, clock: int) -> list[float]:
        """Seconds of one steady step, block by block: what a call takes besides is taken off."""
        once = statistics.median(one[clock] for one in self.ones)
        steps = self.length * self.start["execution"]
        return [(many[clock] - once) / steps for many in self.manys]

    def per_sample(self, clock: int) -> list[float]:
        """Seconds per sample."""
        return [step / self.start["batch"] for step in self.per_step(clock)]

    def phase(self, name: str, clock: int, total_steps: int) -> float:
        """Seconds (`memory`: bytes) of a phase that is known once per process."""
        start: Mapping[str, Any] = self.start
        step = statistics.median(self.per_step(clock))
        if name == "memory":
            return float(start["device_memory_bytes"] or start["peak_memory_bytes"])
        if name == "import":
            return float(start["import"][clock])
        if name == "build":
            return float(start["start"][clock] + start["build"][clock])
        if name == "compile":
            return max(0.0, float(start["first"][clock] - start["second"][clock]))
        if name == "call":
            return max(0.0, statistics.median(one[clock] for one in self.ones) - step * float(start["execution"]))
        before = start["import"][clock] + start["start"][clock] + start["build"][clock] + start["first"][clock]
        return float(before) + max(0, total_steps - int(start["execution"])) * step


@dataclass(frozen=True)
class RoundRun:
    """One set of fresh processes, by role, and the machine meanwhile (see `pytest_dlcheck.benchmark.state.changes`)."""

    runs: Mapping[str, SideRun]
    machine: Mapping[str, float]
    seconds: float

    def pairs(self, clock: int) -> Round:
        """The round's log-ratios, of the time per sample: batches may be what differs.

        Raises:
            ValueError: a time is not above zero: the blocks are too short for the noise.
        """
        reference = self.runs[REFERENCE].per_sample(clock)
        ratios = {
            role: log_ratios(reference, self.runs[role].per_sample(clock)).tolist()
            for role in (AGAIN, CANDIDATE)
            if role in self.runs
        }
        return Round(ratios[AGAIN], ratios.get(CANDIDATE, []))


@dataclass(frozen=True)
class Comparison:
    """One workload on two sides, or on one side twice.

    Attributes:
        workload: its name.
        labels: of the sides by role: `reference`, and `candidate` unless the same was run twice.
        keys: series keys by role, as plain data.
        gate: the clock that decides: `cpu` or `wall`.
        total_steps: the steps of the phase `total`.
        budget_s: what was allowed.
        seed: of the data, the weights and the order of the sides.
        machine: what it is.
        notes: what whoever reads the figures should know.
        rounds: what was measured.
        problem: why there is no more, if something ended it.
    """

    workload: str
    labels: Mapping[str, str]
    keys: Mapping[str, Mapping[str, Any]]
    gate: str
    total_steps: int
    budget_s: float
    seed: int
    machine: Mapping[str, Any]
    notes: Sequence[str]
    rounds: Sequence[RoundRun]
    problem: str | None = None

    @property
    def clock(self) -> int:
        return clock_of(self.gate)

    @property
    def same(self) -> bool:
        """Whether one side was run twice, and nothing is compared but noise."""
        return CANDIDATE not in self.labels

    def runs(self, role: str) -> list[SideRun]:
        return [each.runs[role] for each in self.rounds if role in each.runs]

    def values(self, role: str, phase: str) -> list[float]:
        """A phase's value in each round."""
        return [run.phase(phase, self.clock, self.total_steps) for run in self.runs(role)]

    def steps(self, role: str, clock: int | None = None) -> list[float]:
        """Seconds per step of all blocks."""
        chosen = self.clock if clock is None else clock
        return [step for run in self.runs(role) for step in run.per_step(chosen)]

    def dump(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> Comparison:
        """What `dump` made, perhaps by way of JSON."""
        rounds = [
            RoundRun({role: SideRun(**run) for role, run in each["runs"].items()}, each["machine"], each["seconds"])
            for each in values["rounds"]
        ]
        return cls(**{name: value for name, value in values.items() if name not in ("schema", "rounds")}, rounds=rounds)
