"""What was different between two runs, and which changes began at the same one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

__all__ = ["described", "grouped", "moved"]

T = TypeVar("T")

# Two changes began at the same time if their first days are this near: each is known to within a night or two.
NEAR = 1


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Each distribution whose version is another: `keras 3.15.0 to 3.15.1`."""
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return [f"{name} {before.get(name, 'none')} to {after.get(name, 'none')}" for name in names]


def described(versions: Sequence[str], commits: tuple[str | None, str | None]) -> str:
    """In a line, what a change may be due to.

    Args:
        versions: as `moved` gives them.
        commits: of the last run before and of the first since; None where a run does not say.
    """
    parts = list(versions)
    before, after = commits
    if before != after and after is not None:
        parts.append(f"commit {after[:10]}" if before is None else f"commits {before[:10]}..{after[:10]}")
    return ", ".join(parts) or "no version and no commit changed: the machine, or something that is not recorded"


def grouped(changes: Sequence[tuple[int, str, T]]) -> list[tuple[int, str, list[T]]]:
    """Changes with one cause at one time, together; the newest first.

    Args:
        changes: of each the day on which it began, its cause and whatever it is.
    """
    groups: list[tuple[int, str, list[T]]] = []
    for place, cause, what in sorted(changes, key=lambda each: -each[0]):
        near = next((group for group in groups if group[1] == cause and abs(group[0] - place) <= NEAR), None)
        if near is None:
            groups.append((place, cause, [what]))
        else:
            near[2].append(what)
    return groups
