"""The cases that are kept with the register's entries: small ones that show what the entry says, one for each backend."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from pytest_dlcheck.cases.case import Case, revive
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.known_issues import KnownIssue

__all__ = ["StoredCase", "read", "stored_cases", "to_be_replayed", "written"]


class StoredCase(NamedTuple):
    """A case that shows a register entry.

    Attributes:
        issue: the entry's id.
        property: which does not hold of it.
        backend: on which it was seen.
        mode: the group of modes (of a layer's check) or the mode (of a gradient's check) in which it was seen.
        case: as `cases.case.plain` gives it.
    """

    issue: str
    property: str
    backend: str
    mode: str
    case: Mapping[str, Any]


def read(text: str, where: str) -> tuple[StoredCase, ...]:
    """The cases of a text, one in each line, as JSON.

    Raises:
        DlcheckError: a line is none.
    """
    return tuple(_one(line, f"{where}, line {number}") for number, line in enumerate(text.splitlines(), 1))


def _one(line: str, where: str) -> StoredCase:
    try:
        return StoredCase(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise DlcheckError(f"{where}: not a stored case: {error}") from None


def written(cases: Sequence[StoredCase]) -> str:
    """The text that `read` takes, in an order that does not depend on when a case was found."""
    ordered = sorted(cases, key=lambda each: (each.issue, each.backend, each.property, each.mode))
    return "".join(json.dumps(each._asdict(), sort_keys=True) + "\n" for each in ordered)


@cache
def _all() -> Mapping[str, tuple[StoredCase, ...]]:
    found: dict[str, tuple[StoredCase, ...]] = {}
    folder = resources.files("pytest_dlcheck.known_issues") / "cases"
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        for each in read(file.read_text(encoding="utf-8"), file.name):
            found[each.issue] = (*found.get(each.issue, ()), each)
    return found


def stored_cases(issue: str) -> tuple[StoredCase, ...]:
    """The cases that the package brings for an entry of its register, by the entry's id."""
    return _all().get(issue, ())


def to_be_replayed(
    known: Mapping[str, Sequence[KnownIssue]], stored: Callable[[str], Sequence[StoredCase]], backend: str, subject: str
) -> Iterator[tuple[KnownIssue, StoredCase, Case]]:
    """The cases of a subject that must fail on a backend, each with its entry.

    Args:
        known: the entries that speak of the subject in the versions that are installed, by property.
        stored: gives the cases that are kept with an entry, by its id.
        backend: its name.
        subject: `keras.layers.Dense`.
    """
    for issue in {issue.id: issue for entries in known.values() for issue in entries}.values():
        for each in stored(issue.id):
            # The case shows one of the entry's properties, and it may be one of which nothing is known here.
            if each.backend == backend and issue in known.get(each.property, ()):
                case = revive(each.case)
                if case.subject == subject and (not issue.dtypes or case.policy in issue.dtypes):
                    yield issue, each, case
