"""How verdicts changed from one run of a check to the next. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_dlcheck.properties.verdict import HARMLESS, IMPRECISE

__all__ = ["KINDS", "Seen", "Turn", "turns"]

KINDS = ("newly failing", "newly imprecise", "newly broken", "error size", "newly passing")
"""The worst first."""

# A share of a tolerance that moves by more is told, if it comes to a tenth of the tolerance: drawn inputs move it by less.
ERROR_RATIO = 10.0
LEAST_SHARE = 0.1
RUNNER = ("broken", "crash", "timeout")
# Verdicts that are no statement on whether the property holds.
SILENT = ("skip",)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one run saw of a check: `run` is its place among all runs."""

    run: int
    verdict: str
    error: float | None


@dataclass(frozen=True)
class Turn:
    """A check that turned out otherwise than before.

    Attributes:
        kind: one of `KINDS`.
        before: what was seen last before.
        after: what was first seen since.
    """

    kind: str
    before: Seen
    after: Seen


def turns(seen: Sequence[Seen]) -> list[Turn]:
    """Every turn of one check, oldest first; a run that skipped it says nothing.

    Args:
        seen: oldest first.
    """
    told = [each for each in seen if each.verdict not in SILENT]
    found = []
    for place in range(1, len(told)):
        kind = _kind(told[:place], told[place])
        if kind is not None:
            found.append(Turn(kind, told[place - 1], told[place]))
    return found


def _kind(earlier: Sequence[Seen], now: Seen) -> str | None:
    before = earlier[-1]
    if now.verdict != before.verdict:
        if now.verdict in RUNNER:
            return "newly broken"
        if now.verdict == IMPRECISE:
            return "newly imprecise"
        if now.verdict not in HARMLESS:
            return "newly failing" if before.verdict in HARMLESS or before.verdict == IMPRECISE else None
        return "newly passing" if before.verdict not in HARMLESS else None
    # The largest of the last runs, so that one lucky draw is no reason to tell of the next ordinary one.
    known = [each.error for each in earlier[-5:] if each.error is not None and each.verdict == now.verdict]
    if now.error is None or not known:
        return None
    grown = now.error >= LEAST_SHARE and now.error > ERROR_RATIO * max(known)
    return "error size" if grown and len(known) >= 2 else None
