"""What a property says of an observation."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "FAIL",
    "HARMLESS",
    "IMPRECISE",
    "PASS",
    "RESERVED",
    "VERDICTS",
    "PropertiesFailed",
    "PropertyFailed",
    "Verdict",
    "failed",
    "first_failure",
    "passed",
]

PASS = "pass"  # noqa: S105 - a verdict
FAIL = "fail"
IMPRECISE = "imprecise"

VERDICTS = (
    PASS,
    FAIL,
    IMPRECISE,
    "kink",
    "weak",
    "unsupported",
    "reject_mismatch",
    "crash",
    "timeout",
    "flaky",
    "known",
    "fixed",
    "broken",
    "skip",
)
"""Every verdict that a report can hold. `skip` is a check that did not run, and says why; `weak` one that held and could
hardly have failed: a gradient that is zero everywhere."""

HARMLESS = (PASS, "skip", "known", "unsupported", "kink", "weak")
"""Verdicts that do not fail a run."""

RESERVED = ("skip", "known", "fixed", "broken")
"""What follows from marks, the register and pytest: a property that could say it would go around them."""


@dataclass(frozen=True)
class Verdict:
    """The outcome, and one or more lines that say what was seen, in figures.

    Raises:
        ValueError: the outcome is none of `VERDICTS`.
    """

    outcome: str
    message: str

    def __post_init__(self) -> None:
        if self.outcome not in VERDICTS:
            raise ValueError(f"{self.outcome!r} is no verdict; there are {', '.join(VERDICTS)}")


class PropertyFailed(AssertionError):
    """Raised by a test whose property did not hold; carries the verdict to the report."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.message)
        self.verdict = verdict


class PropertiesFailed(AssertionError):
    """Raised by a test in which several properties were judged and some do not hold; the message names them."""


def passed(message: str) -> Verdict:
    return Verdict(PASS, message)


def failed(message: str) -> Verdict:
    return Verdict(FAIL, message)


def first_failure(*verdicts: Verdict) -> Verdict:
    """The first verdict that is not a pass; when all pass, one pass that says what each of them said."""
    for verdict in verdicts:
        if verdict.outcome != PASS:
            return verdict
    return passed("\n".join(verdict.message for verdict in verdicts) or "nothing to compare")
