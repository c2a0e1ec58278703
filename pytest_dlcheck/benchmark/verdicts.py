"""What is said of a comparison. Pure: reads no clock and runs no process."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from pytest_dlcheck.benchmark.comparison import AGAIN, CANDIDATE, REFERENCE, Comparison
from pytest_dlcheck.benchmark.statistics import INCONCLUSIVE, OK, REGRESSED, Judged, judge_rounds, judge_starts
from pytest_dlcheck.benchmark.trainer import CPU, WALL

__all__ = ["GATED", "PHASES", "PhaseJudged", "Verdicts", "judge"]

PHASES: Mapping[str, float] = MappingProxyType(
    {
        "import": math.log(1.20),
        "build": math.log(1.20),
        "compile": math.log(1.20),
        "call": math.log(1.20),
        "total": math.log(1.10),
        "memory": math.log(1.05),
    }
)
"""What is known once per process, and which change of it counts. `docs/comparing.md` has the spread of each from A/A."""
GATED = ("compile", "total", "memory")
"""These decide with the step; the others are shown: what they take is in the total."""


NEGLIGIBLE_S = 0.02
"""A phase that takes the candidate less is not worth a verdict: nobody waits for it, and a page fault more doubles it."""


@dataclass(frozen=True)
class PhaseJudged:
    """What is said of a phase that is known once per process."""

    outcome: str
    change: float
    """The logarithm of the medians' ratio."""
    threshold: float
    gated: bool
    negligible: bool
    """Whether it takes so little that no verdict is worth it."""


@dataclass(frozen=True)
class Verdicts:
    """What is said of a comparison.

    Attributes:
        outcome: `regressed`, `ok` or `inconclusive`, of everything that decides.
        why: one line for each reason.
        step: the steady step, by clock: `cpu` and `wall`; empty if no round was completed.
        phases: those that are known once per process; empty where the same was run twice.
    """

    outcome: str
    why: Sequence[str]
    step: Mapping[str, Judged]
    phases: Mapping[str, PhaseJudged]

    def dump(self) -> dict[str, Any]:
        return asdict(self)


def judge(comparison: Comparison) -> Verdicts:
    """The verdicts. A wall-clock figure that cannot be told from noise takes part in no verdict that the other clock gives."""
    if not comparison.rounds:
        return Verdicts(INCONCLUSIVE, [comparison.problem or "nothing was measured"], {}, {})
    steps: dict[str, Judged] = {}
    for name, clock in (("cpu", CPU), ("wall", WALL)):
        found = _judge_step(comparison, clock)
        if found is not None:
            steps[name] = found
    if comparison.gate not in steps:
        return Verdicts(INCONCLUSIVE, ["the noise is larger than a block of steps"], steps, {})
    step = steps[comparison.gate]
    phases = {} if comparison.same else _phases(comparison)
    why = [f"step: {step.why}", *_of_phases(comparison, phases)]
    outcomes = [step.outcome, *(phase.outcome for phase in phases.values() if phase.gated)]
    if step.improved and phases and phases["total"].outcome == REGRESSED:
        why.insert(0, f"step faster, total slower: the total of {comparison.total_steps} steps is what one waits for")
    if comparison.problem:
        why.append(comparison.problem)
    if step.outcome == INCONCLUSIVE and "A/A" in step.why:
        outcome = INCONCLUSIVE  # whatever else was seen, this machine was not fit to say it
    else:
        outcome = next((each for each in (REGRESSED, INCONCLUSIVE) if each in outcomes), OK)
    return Verdicts(outcome, why, steps, phases)


def _of_phases(comparison: Comparison, phases: Mapping[str, PhaseJudged]) -> list[str]:
    """A sentence for each phase that got slower, or that decides and is not settled."""
    said = []
    count = len(comparison.rounds)
    sets = "one set" if count == 1 else f"{count} sets"
    for name, phase in phases.items():
        change = f"{name}: {100 * math.expm1(phase.change):+.1f} %"
        if phase.outcome == REGRESSED:
            said.append(
                f"{change} in all {len(comparison.rounds)} sets of processes{'' if phase.gated else ' (does not decide)'}"
            )
        elif phase.outcome == INCONCLUSIVE and phase.gated:
            said.append(f"{change}, which {sets} of processes cannot settle")
    return said


def _judge_step(comparison: Comparison, clock: int) -> Judged | None:
    """The step by one clock; None if a block took less than a call without it, so that there is no ratio."""
    try:
        return judge_rounds([each.pairs(clock) for each in comparison.rounds])
    except ValueError:
        return None


def _phases(comparison: Comparison) -> dict[str, PhaseJudged]:
    found = {}
    for name, smallest in PHASES.items():
        reference, again, candidate = (comparison.values(role, name) for role in (REFERENCE, AGAIN, CANDIDATE))
        outcome, change, threshold = judge_starts(reference, again, candidate, smallest)
        negligible = name != "memory" and statistics.median(candidate) < NEGLIGIBLE_S
        found[name] = PhaseJudged(OK if negligible else outcome, change, threshold, name in GATED, negligible)
    return found
