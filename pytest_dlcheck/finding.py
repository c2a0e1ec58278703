"""What a check says of a subject: as a worker sends it, and as reports keep it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_dlcheck.architectures.architecture import Architecture
from pytest_dlcheck.cases.case import Case, dumps
from pytest_dlcheck.properties.verdict import HARMLESS

__all__ = ["Finding"]


@dataclass
class Finding:
    """What became of one property of the subject under one dtype policy.

    Attributes:
        property: its name.
        dtype: the policy of the cases.
        mode: the group of modes.
        verdict: the outcome over all of them, the worst that was not expected.
        message: what was seen, of the smallest failing case if there is one.
        examples: how many cases it judged.
        seconds: what observing and judging these cases took, shared among the properties that read them.
        case: the smallest case, or model, that shows the verdict; None for a pass.
        known_issue: the link of the register's entry, for `known` and `fixed`.
    """

    property: str
    dtype: str
    mode: str
    verdict: str
    message: str
    examples: int = 1
    seconds: float = 0.0
    case: Case | Architecture | None = None
    known_issue: str | None = None

    def dump(self) -> dict[str, Any]:
        """As a worker sends it, and as the report keeps it."""
        case = None if self.case is None else dumps(self.case)
        return {**{name: getattr(self, name) for name in self.__dataclass_fields__}, "case": case}

    def is_harmless(self) -> bool:
        """Whether it leaves the run green."""
        return self.verdict in HARMLESS
