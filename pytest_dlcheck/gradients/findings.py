"""From the rows of gradient checks to what reports say: one finding for each property and mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from pytest_dlcheck.cases.case import Case
from pytest_dlcheck.finding import Finding
from pytest_dlcheck.gradients.outcome import (
    KINK,
    NOISE,
    NONDETERMINISTIC,
    NOT_DIFFERENTIABLE,
    OK,
    UNSUPPORTED,
    WEAK,
    WRONG,
    Row,
)
from pytest_dlcheck.known_issues import KnownIssue
from pytest_dlcheck.properties.verdict import HARMLESS, Verdict

__all__ = ["PROPERTY_OF", "VERDICT_OF", "Tallies", "said_of", "verdict_on"]

PROPERTY_OF: Mapping[str, str] = MappingProxyType(
    {
        "call": "accepts",
        "numeric": "gradient",
        "forward": "forward_mode",
        "second order": "second_order",
        "second order, forward": "second_order_forward",
        "modes": "gradient_modes",
        "closed form": "closed_form",
        "finite": "finite_gradient",
    }
)
"""What reports call each check."""

VERDICT_OF: Mapping[str, str] = MappingProxyType(
    {
        OK: "pass",
        WRONG: "fail",
        KINK: "kink",
        NOISE: "imprecise",
        NONDETERMINISTIC: "flaky",
        NOT_DIFFERENTIABLE: "unsupported",
        UNSUPPORTED: "unsupported",
        WEAK: "weak",
    }
)
"""What reports call each verdict."""

Look = TypeVar("Look")
"""What one look was at: a layer's case, a function's variant."""
Shrink = Callable[[str, str, str, Look, str], tuple[Look, str]]
"""From property, mode, verdict, look and message to a simpler look that fails in the same way, and its message."""


def said_of(row: Row) -> str:
    """A row in words: which argument, what was seen, and which entries are wrong."""
    return f"{row.argument}: {row.message}" + (f"\n{row.entries.told()}" if row.entries is not None else "")


def verdict_on(rows: Iterable[Row], name: str, mode: str) -> tuple[str, str] | None:
    """The first verdict on a property in a mode that is not harmless, else any other, with what was seen; None for none."""
    found = None
    for row in rows:
        if PROPERTY_OF[row.check] == name and row.mode == mode:
            verdict = VERDICT_OF.get(row.verdict, row.verdict)
            if verdict not in HARMLESS:
                return verdict, said_of(row)
            found = (verdict, said_of(row))
    return found


@dataclass
class _Tally(Generic[Look]):
    rows: int = 0
    seconds: float = 0.0
    verdicts: dict[str, tuple[Look, str]] = field(default_factory=dict)
    known: tuple[Look, KnownIssue, str] | None = None


class Tallies(Generic[Look]):
    """Takes the rows of several looks at one subject, and says what became of each property in each mode.

    Args:
        known: the register's entries, by property.
        names_of: what their conditions may speak of.
        told: a look in words.
    """

    def __init__(
        self,
        known: Mapping[str, Sequence[KnownIssue]],
        names_of: Callable[[Look], Mapping[str, Any]],
        told: Callable[[Look], str],
    ) -> None:
        self.known, self.names_of, self.told = known, names_of, told
        self._tallies: dict[tuple[str, str, str], _Tally[Look]] = {}

    def expected(self, name: str, look: Look) -> KnownIssue | None:
        """The register's entry that speaks of this property of this look."""
        names = self.names_of(look)
        for issue in self.known.get(name, ()):
            if issue.covers(names.get("policy", names.get("dtype")), names):
                return issue
        return None

    def enter(self, look: Look, row: Row, seconds: float) -> None:
        """Takes a row, and how long it took."""
        verdict = VERDICT_OF.get(row.verdict, row.verdict)
        self.take(look, (PROPERTY_OF[row.check], "float64", row.mode), Verdict(verdict, said_of(row)), seconds)

    def take(self, look: Look, key: tuple[str, str, str], found: Verdict, seconds: float) -> None:
        """Takes what a look says of a property in a dtype and a mode, and how long it took."""
        name, verdict, said = key[0], found.outcome, found.message
        tally = self._tallies.setdefault(key, _Tally())
        tally.rows += 1
        tally.seconds += seconds
        if verdict not in HARMLESS and verdict != "broken":
            issue = self.expected(name, look)
            if issue is not None:
                tally.known = tally.known or (look, issue, said)
                return
        tally.verdicts.setdefault(verdict, (look, said))

    def findings(self, shrunk: Shrink[Look] = lambda name, mode, verdict, look, said: (look, said)) -> list[Finding]:
        """What became of each property in each mode.

        Args:
            shrunk: looks for a simpler look at what failed.
        """
        return [self._finding(*key, tally, shrunk) for key, tally in self._tallies.items()]

    def _finding(self, name: str, dtype: str, mode: str, tally: _Tally[Look], shrunk: Shrink[Look]) -> Finding:
        finding = Finding(name, dtype, mode, "pass", "", tally.rows, tally.seconds)
        for verdict in ("broken", "fail", "flaky", "imprecise"):
            if verdict in tally.verdicts:
                look, said = tally.verdicts[verdict]
                if verdict != "broken":
                    look, said = shrunk(name, mode, verdict, look, said)
                finding.verdict, finding.case = verdict, _case(look)
                finding.message = f"{said}\nsmallest case: {self.told(look)}"
                return finding
        if tally.known is not None:
            look, issue, said = tally.known
            finding.verdict, finding.case, finding.known_issue = "known", _case(look), issue.link
            finding.message = f"{issue.told()}\n{said}\n{self.told(look)}"
            return finding
        # One that agreed somewhere is a pass; what is only weak, or only at a corner, is said to be so.
        for verdict in ("pass", "kink", "weak", "unsupported"):
            if verdict in tally.verdicts:
                finding.verdict, finding.message = verdict, tally.verdicts[verdict][1]
                return finding
        return finding


def _case(look: Any) -> Case | None:
    """What the report stores to be replayed."""
    return look if isinstance(look, Case) else None
