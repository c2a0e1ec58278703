"""What changed between two records: pure functions, without any framework."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_dlcheck.records.arrays import Kept, unpack
from pytest_dlcheck.records.changes import Change, Comparison
from pytest_dlcheck.records.facts import compare_facts, compare_parameters
from pytest_dlcheck.records.record import Record
from pytest_dlcheck.records.values import BEYOND, ROUNDING, SAME, apart

__all__ = ["Knowledge", "compare_records"]

Stored = Mapping[str, Any]

JUDGED = ("inference output",)
"""Of which a reference may know what they must be."""


@dataclass(frozen=True)
class Knowledge:
    """What specs know of a case that its record does not say.

    Attributes:
        random: whether its outputs are random, in training or not.
        scale: of intermediate values that its outputs do not show.
        right: as `referee.right_side`: from a case, and of each side the parameters and what was seen, to which side is right.
    """

    random: Callable[[Stored, bool], bool] = lambda case, training: False
    scale: Callable[[Stored], float] = lambda case: 0.0
    right: Callable[[Stored, tuple[Stored, Stored], tuple[Stored, Stored]], str] = lambda case, old, new: ""


def compare_records(old: Record, new: Record, knowledge: Knowledge | None = None) -> Comparison:
    """Everything that two products, or two versions of one, do differently.

    Args:
        old: the first.
        new: the second.
        knowledge: of specs; by default nothing is random.
    """
    found = Comparison(old.name, new.name)
    known = knowledge or Knowledge()
    for subject in dict.fromkeys([*old.subjects, *new.subjects]):
        before, after = old.subjects.get(subject), new.subjects.get(subject)
        if before is None or after is None:
            found.skip("subjects that only one of the two records holds")
            continue
        gone = [each.get("missing") for each in (before, after)]
        if any(gone):
            if not all(gone):
                kind = "subject appears" if gone[0] else "subject disappears"
                message = f"{gone[0] or gone[1]} in the {'old' if gone[0] else 'new'} one"
                # What is new is told in one breath; what has gone hurts each of its users.
                found.changes.append(Change(subject, kind, "name", message, cause=kind if gone[0] else subject))
            continue
        found.changes += compare_parameters(subject, before["parameters"], after["parameters"])
        _compare_cases(subject, before, after, known, found)
    return found


def _compare_cases(subject: str, before: Stored, after: Stored, known: Knowledge, found: Comparison) -> None:
    there = {_key(case): case for case in after["cases"]}
    for case in before["cases"]:
        other = there.get(_key(case))
        if other is None:
            found.skip("cases that only one of the two records holds")
            continue
        statuses = {case["seen"]["status"], other["seen"]["status"]}
        if "broken" in statuses:
            found.skip("cases that could not be recorded, by a defect of this package")
            continue
        if "unsupported" in statuses:
            found.skip("cases that one side does not support" if len(statuses) > 1 else "cases that neither side supports")
            continue
        found.compared += 1
        shown = {key: value for key, value in case.items() if key != "seen"}
        changes = list(_CaseComparison(subject, shown, case["seen"], other["seen"], known, counts=found).changes())
        if any(change.what in JUDGED for change in changes):
            sides = (before["parameters"], case["seen"]), (after["parameters"], other["seen"])
            right = known.right(shown, *sides)
            changes = [replace(change, right=right) if change.what in JUDGED else change for change in changes]
        found.changes += changes


def _key(case: Stored) -> str:
    return json.dumps({key: value for key, value in case.items() if key not in ("seen", "gradients")}, sort_keys=True)


class _CaseComparison:
    """One case on both sides.

    What follows from something else is left out: where an output is another number, so are its gradient and what a loss makes
    of it; where it has another shape, its values say nothing.
    """

    def __init__(self, subject: str, case: Stored, old: Stored, new: Stored, known: Knowledge, *, counts: Comparison) -> None:
        self.subject, self.case, self.old, self.new = subject, case, old, new
        self.known, self.counts = known, counts
        self.dtype = _compute_dtype(case)

    def changes(self) -> Iterator[Change]:
        if "ran" not in (self.old["status"], self.new["status"]) or self.old["status"] != self.new["status"]:
            change = self._errors("the call", self.old.get("error"), self.new.get("error"))
            if change is not None:
                yield change
            return
        for part in dict.fromkeys([*self.old["errors"], *self.new["errors"]]):
            change = self._errors(part, self.old["errors"].get(part), self.new["errors"].get(part))
            if change is not None:
                yield change
        broken = {*self.old["errors"], *self.new["errors"]}
        for change in compare_facts(self.subject, self.old["facts"], self.new["facts"], broken):
            yield replace(change, case=self.case)
        yield from self._arrays(broken)

    def _errors(self, part: str, old: Stored | None, new: Stored | None) -> Change | None:
        def said(error: Stored) -> str:
            return f"{error['kind']}: {error['message']}"

        if old is None and new is None:
            return None
        if old is None and new is not None:
            kind = "crash" if new["kind"] in ("crash", "timeout") else "error appears"
            return Change(self.subject, kind, part, f"{said(new)} (it ran before)", cause=said(new), case=self.case, size=1)
        if new is None and old is not None:
            message = f"it runs, and ended before in {said(old)}"
            return Change(self.subject, "error disappears", part, message, case=self.case)
        assert old is not None
        assert new is not None
        if said(old) == said(new):
            return None
        kind = "error class" if old["kind"] != new["kind"] else "error text"
        message = f"{said(new)}\ninstead of {said(old)}"
        return Change(self.subject, kind, part, message, cause=message, case=self.case)

    def _arrays(self, broken: set[str]) -> Iterator[Change]:
        found: list[Change] = []
        for name, stored in self.old["arrays"].items():
            other = self.new["arrays"].get(name)
            mode = name.partition(" ")[0]
            if other is None or mode in broken:
                continue  # which errors, weights or structure have said already
            change = self._array(name, unpack(stored), unpack(other))
            if change is not None:
                found.append(change)
        before = {change.what for change in found if change.what.startswith("inference")}
        for change in found:
            mode, _, part = change.what.partition(" ")
            follows = mode == "training" and (f"inference {part}" in before or "inference output" in before)
            if not follows and not (mode == "gradient" and "inference output" in before):
                yield change

    def _array(self, name: str, old: Kept, new: Kept) -> Change | None:
        mode, what = name.partition(" ")[0], name.rstrip("0123456789 ")

        def change(kind: str, message: str, size: float = 1.0) -> Change:
            # One cause changes the start, or the gradient, of every weight.
            cause = self.subject if mode in ("initial", "gradient") else ""
            return Change(self.subject, kind, what, message, cause=cause, case=self.case, size=size)

        if mode == "gradient" and old.dtype != new.dtype:
            return change("gradient", _gradient_or_none(new))
        if old.shape != new.shape:
            # Another weight is another weight; what is drawn into it is no matter.
            return None if mode == "initial" else change("shape", f"shape {list(new.shape)} instead of {list(old.shape)}")
        if old.dtype != new.dtype:
            return None if mode == "initial" else change("dtype", f"dtype {new.dtype} instead of {old.dtype}")
        difference = apart(old, new, compute_dtype=self.dtype, scale=self.known.scale(self.case))
        if difference.how == SAME:
            self.counts.identical += 1
            return None
        if difference.how == ROUNDING:
            self.counts.rounding += 1
            return None
        assert difference.how == BEYOND
        return change(self._kind(name, old, new, special=difference.special), difference.message, difference.times)

    def _kind(self, name: str, old: Kept, new: Kept, *, special: bool) -> str:
        mode = name.partition(" ")[0]
        if mode == "initial":
            constant = any(each.values.size == 0 or (each.values == each.values[0]).all() for each in (old, new))
            return "start" if constant else "random stream"
        if mode == "gradient":
            return "gradient"
        if self.known.random(self.case, mode == "training"):
            return "random stream"
        if " mask " in name:
            return "mask"
        return "not finite" if special else "values"


def _gradient_or_none(new: Kept) -> str:
    return (
        "no gradient where there was one"
        if new.dtype == "none"
        else f"a gradient of {math.prod(new.shape)} where there was none"
    )


def _compute_dtype(case: Stored) -> str:
    inner = case.get("case", {})
    policy = str(inner.get("$case", {}).get("policy", "float32")) if isinstance(inner, Mapping) else "float32"
    return "float32" if policy == "none" else policy.removeprefix("mixed_")
