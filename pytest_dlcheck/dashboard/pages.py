"""What each page shows, worked out from a history: pure functions on what `history/examine.py` gives."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_dlcheck.history.examine import CheckReport, Whole
from pytest_dlcheck.properties.verdict import HARMLESS
from pytest_dlcheck.report.table import worst

__all__ = [
    "Current",
    "MatrixRow",
    "broken",
    "currents",
    "matrix_rows",
]

# A check that its product's runs have not held for so long is no longer there: it is neither red nor green.
KEPT_DAYS = 14
BROKEN = ("broken", "crash", "timeout")


def present(whole: Whole) -> list[CheckReport]:
    """The checks that their products still hold."""
    newest: dict[str, str] = {}
    for each in whole.checks:
        name, started = each.check.product, whole.runs[each.seen[-1].run].started
        newest[name] = max(newest.get(name, started), started)
    oldest = {name: dt.datetime.fromisoformat(at) - dt.timedelta(days=KEPT_DAYS) for name, at in newest.items()}
    return [
        each
        for each in whole.checks
        if dt.datetime.fromisoformat(whole.runs[each.seen[-1].run].started) >= oldest[each.check.product]
    ]


@dataclass(frozen=True)
class Current:
    """A product as it was last seen.

    Attributes:
        name: of it.
        backend: its array framework.
        versions: of its distributions.
        fingerprint: its machine.
        started: when its last run began.
        run: the place of that run.
        counts: of the verdicts of its checks, each as it was last seen.
        left_out: what the runs of that day left out, and why.
        exit_status: pytest's, the largest of that day.
    """

    name: str
    backend: str
    versions: Mapping[str, str]
    fingerprint: Mapping[str, object]
    started: str
    run: int
    counts: Mapping[str, int]
    left_out: Mapping[str, str]
    exit_status: int | None

    @property
    def failing(self) -> int:
        return sum(count for verdict, count in self.counts.items() if verdict not in HARMLESS)


def currents(whole: Whole) -> list[Current]:
    """Every product, by name; of one that has several runs the last."""
    counts: dict[str, Counter[str]] = {}
    for check in present(whole):
        counts.setdefault(check.check.product, Counter())[check.seen[-1].verdict] += 1
    found: dict[str, Current] = {}
    for place, run in enumerate(whole.runs):
        for each in whole.products.get(run.id, ()):
            before = found.get(each.name)
            # A night may be several runs, of a suite each: one that broke must not vanish behind the next.
            same = before is not None and before.started[:10] == run.started[:10]
            statuses = [run.exit_status, before.exit_status if before is not None and same else None]
            found[each.name] = Current(
                each.name,
                each.backend,
                each.versions,
                each.fingerprint,
                run.started,
                place,
                counts.get(each.name, {}),
                {**(before.left_out if before is not None and same else {}), **run.left_out},
                max((status for status in statuses if status is not None), default=None),
            )
    return [found[name] for name in sorted(found)]


def age(started: str, now: dt.datetime) -> str:
    """How long ago, in words."""
    hours = (now - dt.datetime.fromisoformat(started)).total_seconds() / 3600
    if hours < 0:
        return "in the future: a clock is wrong"
    return f"{hours:.0f} h ago" if hours < 48 else f"{hours / 24:.0f} days ago"


@dataclass(frozen=True)
class MatrixRow:
    """A subject: its worst verdict in each product, None where it was not run, and how many of its checks fail there."""

    subject: str
    cells: Sequence[tuple[str, int, int] | None]

    @property
    def failing(self) -> int:
        """In how many products something of it fails."""
        return sum(1 for cell in self.cells if cell is not None and cell[0] not in HARMLESS)

    @property
    def kind(self) -> str:
        ran = sum(1 for cell in self.cells if cell is not None)
        if self.failing == 0:
            return "known" if any(cell is not None and cell[0] == "known" for cell in self.cells) else "holds"
        return "one" if self.failing == 1 < ran else "several"


ORDER = ("one", "several", "known", "holds")


def matrix_rows(whole: Whole, products: Sequence[str]) -> list[MatrixRow]:
    """Every subject; first those that fail in exactly one product."""
    grouped: dict[str, dict[str, list[str]]] = {}
    for each in present(whole):
        grouped.setdefault(each.check.subject, {}).setdefault(each.check.product, []).append(each.seen[-1].verdict)
    rows = []
    for subject, found in grouped.items():
        cells = [
            (worst(found[name]), sum(verdict not in HARMLESS for verdict in found[name]), len(found[name]))
            if name in found
            else None
            for name in products
        ]
        rows.append(MatrixRow(subject, cells))
    return sorted(rows, key=lambda row: (ORDER.index(row.kind), row.subject))


def broken(whole: Whole) -> list[CheckReport]:
    """Checks whose last verdict says that the runner, not the property, gave up."""
    return [each for each in present(whole) if each.seen[-1].verdict in BROKEN]
