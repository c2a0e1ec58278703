"""Corners: the entries along which a function's one-sided derivatives differ, found by halving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pytest_dlcheck.gradients.lines import Line, jump
from pytest_dlcheck.gradients.program import Array

__all__ = ["Kinks", "find_kinks"]

# Lines looked along while searching; more corners than that leave nothing to check anyway.
MOST_LINES = 200


@dataclass(frozen=True)
class Kinks:
    """Corners of one argument.

    Attributes:
        entries: their indices.
        complete: whether the search came to its end.
    """

    entries: tuple[tuple[int, ...], ...] = ()
    complete: bool = True

    def __bool__(self) -> bool:
        return bool(self.entries)

    def joined(self, other: Kinks) -> Kinks:
        """Those of both."""
        new = tuple(entry for entry in other.entries if entry not in self.entries)
        return Kinks(self.entries + new, self.complete and other.complete)

    def told(self) -> str:
        """The first few of them."""
        shown = ", ".join(str([int(each) for each in entry]) for entry in self.entries[:4])
        more = len(self.entries) - 4
        return shown + (f" and {more} more" if more > 0 else "") + ("" if self.complete else " and maybe others")


def _cornered(line: Line) -> bool:
    return jump(line) is not None


def find_kinks(
    line: Callable[[Array], Line],
    among: Array,
    size: float,
    rng: np.random.Generator,
    shows: Callable[[Line], bool] = _cornered,
) -> Kinks:
    """The entries among some along which there is a corner, by default one at the point itself.

    A set of entries is moved together; only where a corner shows is it halved, so that few corners among many entries take
    few evaluations.

    Args:
        line: the line through the point in a direction.
        among: true for the entries to look at.
        size: how far an entry is moved, in units of which steps are taken.
        rng: draws by how much each is moved: corners that cancel must not do so twice.
        shows: whether a line has a corner.
    """
    found: list[tuple[int, ...]] = []
    lines = 0
    sets = [np.argwhere(among)]
    while sets:
        places = sets.pop()
        if not len(places):
            continue
        if lines >= MOST_LINES:
            return Kinks(tuple(found), complete=False)
        lines += 1
        direction = np.zeros(among.shape)
        weights = size * rng.uniform(0.5, 1.5, len(places)) * rng.choice((-1.0, 1.0), len(places))
        direction[tuple(places.T)] = weights
        if not shows(line(direction)):
            continue
        if len(places) == 1:
            found.append(tuple(int(each) for each in places[0]))
        else:
            half = len(places) // 2
            sets += [places[half:], places[:half]]
    return Kinks(tuple(found))
