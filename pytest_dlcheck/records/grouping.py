"""Changes grouped by their cause, those that hurt most first. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_dlcheck.records.changes import Change, Hurt

__all__ = ["Group", "grouped"]


@dataclass(frozen=True)
class Group:
    """Changes of one cause: one subject, one part of it and one kind of change, or one text that is the same in many subjects.

    Attributes:
        changes: the clearest first.
    """

    changes: Sequence[Change]

    @property
    def first(self) -> Change:
        return self.changes[0]

    @property
    def hurt(self) -> Hurt:
        return self.first.hurt

    @property
    def subjects(self) -> list[str]:
        return list(dict.fromkeys(change.subject for change in self.changes))

    @property
    def title(self) -> str:
        """In a few words: `keras.layers.Softmax, inference output: values`."""
        names = [name.removeprefix("keras.") for name in self.subjects]
        told = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        return f"{told}: {self.first.kind}, {self.first.what}"

    @property
    def right(self) -> str:
        """What an independent computation says of it, where it says the same of all that it can judge."""
        found = {change.right for change in self.changes if change.right}
        return found.pop() if len(found) == 1 else "divided" if found else ""


def grouped(changes: Sequence[Change]) -> list[Group]:
    """By cause, in the order of who is hurt; among those hurt alike, newly wrong before corrected, large before small."""
    found: dict[tuple[str, ...], list[Change]] = {}
    for change in changes:
        key = (change.kind, change.cause) if change.cause else (change.kind, change.subject, change.what)
        found.setdefault(key, []).append(change)
    groups = [Group(sorted(each, key=_clarity)) for each in found.values()]
    return sorted(groups, key=_place)


def _clarity(change: Change) -> tuple[bool, float, int]:
    """What an independent computation can judge first, then the largest, then the simplest case."""
    return not change.right, -change.size if math.isfinite(change.size) else -math.inf, len(str(change.case))


def _place(group: Group) -> tuple[int, int, float, int, str]:
    judged = {"old": 0, "neither": 1, "divided": 1, "": 2, "both": 3, "new": 4}[group.right]
    return group.hurt.rank, judged, -group.first.size, -len(group.subjects), group.title
