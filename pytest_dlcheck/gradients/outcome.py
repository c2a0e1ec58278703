"""What a gradient check found, row by row, and the table that it prints."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pytest_dlcheck.gradients.jacobian import Entries

__all__ = [
    "BAD",
    "KINK",
    "NOISE",
    "NONDETERMINISTIC",
    "NOT_DIFFERENTIABLE",
    "OK",
    "UNSUPPORTED",
    "WEAK",
    "WORDS",
    "WRONG",
    "GradientReport",
    "GradientsWrong",
    "Row",
]

OK = "ok"
WRONG = "wrong"
KINK = "kink"
NOISE = "noise"
NONDETERMINISTIC = "nondeterministic"
NOT_DIFFERENTIABLE = "not differentiable as documented"
WEAK = "weak"
UNSUPPORTED = "unsupported"

WORDS = {
    OK: "agrees on every direction",
    WRONG: "disagrees, and a second opinion says so too",
    KINK: "agrees away from points where the function has a corner, and lies between its one-sided derivatives there",
    NOISE: "the function is rounded too coarsely at this point to tell",
    NONDETERMINISTIC: "two evaluations at one point differ",
    NOT_DIFFERENTIABLE: "has no gradient, as it is documented",
    WEAK: "identically zero on both sides, or nothing but corners, which says little",
    UNSUPPORTED: "the framework cannot compute this derivative of it",
}
"""Each verdict in words."""

BAD = (WRONG, NOISE, NONDETERMINISTIC)
"""Verdicts that fail a check."""

_COLORS = {OK: "green", WRONG: "bold red", KINK: "yellow", NOISE: "red", NONDETERMINISTIC: "red", WEAK: "yellow"}
# The gravest first.
_ORDER = (WRONG, NONDETERMINISTIC, NOISE, KINK, WEAK, UNSUPPORTED, NOT_DIFFERENTIABLE, OK)


@dataclass(frozen=True)
class Row:
    """One check of one argument in one mode.

    Attributes:
        argument: its name, or `all`.
        check: `numeric`, `forward`, `second order`, `second order, forward`, `modes`, `closed form`, `repeat`.
        mode: `eager`, `graph`, `compiled`.
        verdict: a key of `WORDS`.
        message: what was seen, in figures.
        error: the disagreement, as a share of the gradient along the directions; None where there is none to give.
        tolerance: what would have been allowed, as the same share.
        entries: where the gradient is wrong, entry by entry; None unless it is.
    """

    argument: str
    check: str
    mode: str
    verdict: str
    message: str
    error: float | None = None
    tolerance: float | None = None
    entries: Entries | None = field(default=None, repr=False)


class GradientsWrong(AssertionError):
    """A gradient check failed; the message is its table, `report` the rows."""

    def __init__(self, report: GradientReport) -> None:
        super().__init__("\n" + report.table())
        self.report = report


@dataclass(frozen=True)
class GradientReport:
    """All rows of one check.

    Attributes:
        subject: what was checked.
        backend: on which.
        rows: in the order in which they were found.
        seed: from which directions were drawn.
    """

    subject: str
    backend: str
    rows: Sequence[Row]
    seed: int = 0

    @property
    def verdict(self) -> str:
        """The gravest of its rows."""
        return worst(row.verdict for row in self.rows)

    @property
    def good(self) -> bool:
        """Whether nothing in it fails a check."""
        return not any(row.verdict in BAD for row in self.rows)

    def bad(self) -> list[Row]:
        """The rows that fail."""
        return [row for row in self.rows if row.verdict in BAD]

    def table(self, width: int = 130) -> str:
        """The rows as text, and below them what the failing ones saw, entry by entry."""
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table(title=f"gradients of {self.subject} on {self.backend}, seed {self.seed}", title_justify="left")
        for name in ("argument", "check", "mode", "verdict"):
            table.add_column(name, no_wrap=True)
        table.add_column("error", justify="right", no_wrap=True)
        table.add_column("allowed", justify="right", no_wrap=True)
        table.add_column("what was seen", overflow="fold")
        for row in self.rows:
            color = _COLORS.get(row.verdict, "default")
            figures = ("" if value is None else f"{value:.1e}" for value in (row.error, row.tolerance))
            said = f"[{color}]{row.verdict}[/]"
            table.add_row(escape(row.argument), row.check, row.mode, said, *figures, escape(row.message))
        out = io.StringIO()
        console = Console(file=out, width=width, highlight=False)
        console.print(table)
        for row in self.rows:
            if row.entries is not None:
                console.print(escape(f"{row.argument}, {row.check}, {row.mode}: {row.entries.told()}"), soft_wrap=True)
        return out.getvalue()

    def check(self) -> GradientReport:
        """Itself, if nothing in it fails.

        Raises:
            GradientsWrong: something does.
        """
        if not self.good:
            raise GradientsWrong(self)
        return self


def worst(verdicts: Iterable[str]) -> str:
    """The gravest verdict."""
    return min(verdicts, key=_ORDER.index, default=OK)
