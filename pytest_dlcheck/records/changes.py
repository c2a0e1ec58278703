"""What can change between two products, and who is hurt by it: the words in which `judging` speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

__all__ = ["HURTS", "KINDS", "Change", "Comparison", "Hurt"]


@dataclass(frozen=True)
class Hurt:
    """Who is hurt by a kind of change, and how badly: the lower the rank, the worse."""

    rank: int
    title: str
    who: str


SILENT = Hurt(1, "Other numbers", "whoever trusts results: nothing fails, and what comes out is another number")
STOPS = Hurt(2, "Stops working", "whoever upgrades: what ran ends in an error")
SHAPES = Hurt(3, "Other shapes and dtypes", "whoever computes further with what comes out")
FILES = Hurt(4, "Files and weights", "whoever loads what the other version wrote")
STREAMS = Hurt(5, "Random numbers", "whoever must repeat a run: the same seed gives other numbers")
SPEED = Hurt(6, "Speed and memory", "whoever waits; two reports are no paired measurement, so measure it again side by side")
MILD = Hurt(7, "Wording and what is new", "nobody who does not read it: other words, what works now, what has been added")

HURTS = (SILENT, STOPS, SHAPES, FILES, STREAMS, SPEED, MILD)
"""The worst first: a number that is silently another one before an error, an error before a file, words last."""

KINDS: Mapping[str, Hurt] = MappingProxyType(
    {
        "values": SILENT,
        "not finite": SILENT,
        "gradient": SILENT,
        "default": SILENT,
        "argument order": SILENT,
        "mask": SILENT,
        "start": SILENT,
        "verdict fails": SILENT,
        "error appears": STOPS,
        "crash": STOPS,
        "subject disappears": STOPS,
        "argument disappears": STOPS,
        "shape": SHAPES,
        "dtype": SHAPES,
        "structure": SHAPES,
        "declared": SHAPES,
        "weights": FILES,
        "config": FILES,
        "random stream": STREAMS,
        "speed": SPEED,
        "memory": SPEED,
        "error disappears": MILD,
        "error class": MILD,
        "error text": MILD,
        "subject appears": MILD,
        "argument appears": MILD,
        "verdict holds": MILD,
        "verdict": MILD,
        "check disappears": MILD,
        "check appears": MILD,
    }
)
"""Every kind of change, and who is hurt by it."""


@dataclass(frozen=True)
class Change:
    """One thing that is not as it was.

    Attributes:
        subject: of which.
        kind: a key of `KINDS`.
        what: in which part of what was observed: `inference output`, `config kernel_initializer`, a property.
        message: what was and what is, in figures.
        cause: what else has the same cause has the same text here; empty where only the subject and the part say that.
        case: as a record holds it, None where the change is of no single case.
        size: how large, for the order among changes that hurt alike: how many times a tolerance is exceeded, say.
        right: which side an independent computation agrees with: `old`, `new`, `both`, `neither`, or empty if there is none.
    """

    subject: str
    kind: str
    what: str
    message: str
    cause: str = ""
    case: Mapping[str, Any] | None = None
    size: float = 0.0
    right: str = ""

    @property
    def hurt(self) -> Hurt:
        return KINDS[self.kind]


@dataclass
class Comparison:
    """Two sides, compared.

    Attributes:
        old: the name of the first.
        new: the name of the second.
        changes: what is not as it was.
        compared: how many cases, or checks, both sides have.
        identical: of how many arrays every bit is the same.
        rounding: of how many they differ, as rounding may.
        skipped: what could not be compared, by the reason.
        notes: what a reader must know beside.
    """

    old: str
    new: str
    changes: list[Change] = field(default_factory=list)
    compared: int = 0
    identical: int = 0
    rounding: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def skip(self, reason: str) -> None:
        """Counts one that could not be compared."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1
