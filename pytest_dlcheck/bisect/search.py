"""Bisection with answers that may be missing and that may contradict each other. Pure: it asks a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["Answer", "Found", "search", "steps_left"]

CHECKS = 2
Verdict = Literal["good", "bad", "skip"]


@dataclass(frozen=True)
class Answer:
    """Of one candidate: `skip` where it could not be tested; what was seen."""

    verdict: Verdict
    evidence: str


@dataclass(frozen=True)
class Found:
    """What came of it.

    Attributes:
        answers: of every candidate that was asked, by its place.
        before: the last one that is as the first is; None where the ends do not differ.
        after: the first one that is otherwise.
        contradictions: places that are as the first is after others were not, or the other way: then there is more than one
            change.
    """

    answers: Mapping[int, Answer]
    before: int | None
    after: int | None
    contradictions: tuple[int, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether one candidate is to blame: none between the two could not be tested, and nothing contradicts."""
        return self.before is not None and self.after is not None and self.after - self.before == 1 and not self.contradictions


def steps_left(low: int, high: int) -> int:
    """How many candidates are still to be asked, if none is skipped."""
    return max(0, (high - low - 1).bit_length())


def _nearest(low: int, high: int, answers: Mapping[int, Answer]) -> int | None:
    """The untested place between two that is nearest to their middle."""
    middle = (low + high) // 2
    left = [place for place in range(low + 1, high) if place not in answers]
    return min(left, key=lambda place: (abs(place - middle), place), default=None)


def search(count: int, ask: Callable[[int, int], Answer]) -> Found:
    """Looks for the first candidate that is otherwise than the first one is: bad where that is good, or good where it is bad.

    Args:
        count: of candidates, in order; at least two.
        ask: given a place and how many questions are left at most, says what the candidate there is.
    """
    answers: dict[int, Answer] = {}

    def of(place: int, left: int) -> Verdict:
        if place not in answers:
            answers[place] = ask(place, left)
        return answers[place].verdict

    ends = _ends(count, of)
    if ends is None:
        return Found(answers, None, None)
    first, last = low, high = ends
    base = of(first, 0)
    while (place := _nearest(low, high, answers)) is not None:
        verdict = of(place, steps_left(low, high) + CHECKS)
        if verdict == base:
            low = place
        elif verdict != "skip":
            high = place
    # One more on either side: a bisection alone cannot see that there are several changes.
    for below, above in ((first, low), (high, last)):
        place = _nearest(below, above, answers)
        if place is not None:
            of(place, 1)
    told = [(place, answer.verdict) for place, answer in sorted(answers.items()) if answer.verdict != "skip"]
    wrong = tuple(place for place, verdict in told if (place > high and verdict == base) or (place < low and verdict != base))
    return Found(answers, low, high, wrong)


def _ends(count: int, of: Callable[[int, int], Verdict]) -> tuple[int, int] | None:
    """The first and the last that can be tested, where they differ; those that cannot give way to their neighbours."""
    low, high = 0, count - 1
    left = 2 + steps_left(low, high) + CHECKS
    while low < high and of(low, left) == "skip":
        low += 1
    while high > low and of(high, left - 1) == "skip":
        high -= 1
    return (low, high) if low < high and of(low, left) != of(high, left) else None
