"""Reads a history as a whole: every line with what changed along it, every check with how its verdicts turned."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_dlcheck.history.behaviour import Seen, Turn, turns
from pytest_dlcheck.history.detect import Change, Suspicion, changes, noise_floor, suspicion
from pytest_dlcheck.history.reading import Check
from pytest_dlcheck.history.store import History, Line, RunRow
from pytest_dlcheck.properties.verdict import VERDICTS

__all__ = ["CheckReport", "LineReport", "Product", "Whole", "examine", "judged", "verdicts_since"]


VERDICT_DAYS = 60
"""What was failing before is not told any more, and a night may hold tens of thousands of verdicts."""

# What is the framework's, whatever the workload: a ratio to another workload's would be 1 and hide every change.
OF_THE_PROCESS = ("import", "build", "process")
# Watched night by night, and not measured again for one slow night: one sample a run says too little.
UNGATED = (*OF_THE_PROCESS, "first_step", "call")


@dataclass(frozen=True)
class Product:
    """One product in one run."""

    run: int
    name: str
    backend: str
    fingerprint: Mapping[str, object]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class LineReport:
    """A line and what was found along it.

    Attributes:
        line: with its figures.
        values: one per night: ratios to the reference where every night has one, else the figures themselves.
        ratios: whether they are ratios.
        floor: the noise floor that its A/A runs show; None without.
        changes: oldest first; their indices count `values`.
        suspicion: of the newest nights.
    """

    line: Line
    values: Sequence[float]
    ratios: bool
    floor: float | None
    changes: Sequence[Change]
    suspicion: Suspicion | None


@dataclass(frozen=True)
class CheckReport:
    """A check and how its verdicts turned; runs are places in `Whole.runs`."""

    id: int
    check: Check
    seen: Sequence[Seen]
    turns: Sequence[Turn]


@dataclass(frozen=True)
class Whole:
    """Everything, oldest run first; verdicts of the last `VERDICT_DAYS` only."""

    runs: Sequence[RunRow]
    products: Mapping[int, Sequence[Product]]
    lines: Sequence[LineReport]
    checks: Sequence[CheckReport]
    reference: str | None

    def place(self, run: int) -> int:
        """Where a run stands among all."""
        return next(place for place, each in enumerate(self.runs) if each.id == run)

    @property
    def newest(self) -> dt.date:
        """The day of the last run."""
        return dt.date.fromisoformat(self.runs[-1].started[:10])

    def days(self) -> dict[int, int]:
        """On which day each run began, by its number: a night may have several."""
        return {each.id: dt.date.fromisoformat(each.started[:10]).toordinal() for each in self.runs}


def judged(line: Line, reference: str | None, cleared: int = 0) -> LineReport:
    """What changed along a line.

    Args:
        line: with its figures.
        reference: the workload that ratios are to; its own line is judged by its figures, for its ratios are 1.
        cleared: nights before this one have been measured again, and nothing was found.
    """
    ratios = [each.ratio for each in line.points if each.ratio is not None]
    divided = line.key.workload != reference and line.key.phase not in OF_THE_PROCESS
    relative = divided and 0 < len(ratios) == len(line.points)
    values = ratios if relative else [each.value for each in line.points]
    floor = noise_floor([each.value for each in line.aa])
    usable = bool(values) and min(values) > 0
    found = changes(values, floor) if usable else []
    gated = line.key.phase not in UNGATED
    doubtful = suspicion(values, found, floor, cleared) if usable and gated else None
    return LineReport(line, values, relative, floor, found, doubtful)


def examine(history: History, cleared: Mapping[int, int] | None = None) -> Whole:
    """Reads and judges everything.

    Args:
        history: an open one.
        cleared: by line, up to which of its nights suspicions have been dispelled.
    """
    runs = history.runs()
    reference = history.setting("reference")
    return Whole(
        runs,
        _products(history),
        [judged(line, reference, (cleared or {}).get(line.id, 0)) for line in history.lines() if line.points],
        _checks(history, {run.id: place for place, run in enumerate(runs)}, verdicts_since(runs)),
        reference,
    )


def verdicts_since(runs: Sequence[RunRow]) -> str:
    """From which day on verdicts are looked at."""
    newest = dt.date.fromisoformat(runs[-1].started[:10]) if runs else dt.date.min + dt.timedelta(days=VERDICT_DAYS)
    return (newest - dt.timedelta(days=VERDICT_DAYS)).isoformat()


def _products(history: History) -> dict[int, list[Product]]:
    found: dict[int, list[Product]] = {}
    rows = history.connection.execute("SELECT run, name, backend, fingerprint, versions FROM products ORDER BY run, name")
    for run, name, backend, fingerprint, versions in rows:
        found.setdefault(run, []).append(Product(run, name, backend, json.loads(fingerprint), json.loads(versions)))
    return found


def _checks(history: History, places: Mapping[int, int], since: str) -> list[CheckReport]:
    connection = history.connection
    found = ((text, connection.execute("SELECT id FROM words WHERE text = ?", (text,)).fetchone()) for text in VERDICTS)
    words = {row[0]: text for text, row in found if row is not None}
    seen: dict[int, list[Seen]] = {}
    rows = connection.execute(
        "SELECT check_id, run, verdict, error FROM runs CROSS JOIN results ON run = runs.id WHERE started >= ?", (since,)
    )
    for check, run, verdict, error in rows:
        seen.setdefault(check, []).append(Seen(places[run], words[verdict], error))
    names = "subject, property, product, device, api, dtype, mode"
    checks = connection.execute(f"SELECT id, {names} FROM checks ORDER BY {names}")  # noqa: S608 - ours
    made = []
    for number, *columns in checks:
        told = sorted(seen.get(number, []), key=lambda each: each.run)
        if told:
            made.append(CheckReport(number, Check(*columns), told, turns(told)))
    return made
