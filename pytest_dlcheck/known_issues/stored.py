"""The cases that are kept with the register's entries: small ones that show what the entry says, one for each backend."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from pytest_dlcheck.errors import DlcheckError

__all__ = ["StoredCase", "read", "stored_cases", "written"]


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
