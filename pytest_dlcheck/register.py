"""What is known not to hold in released versions: every expected failure of the suites stands here, and nowhere else.

An entry is strict. In the versions that it names its test must fail, by the verdict of its property and not by any other
error; where it holds after all the run fails and the report says `fixed`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = ["REGISTER", "KnownIssue", "known_issue"]


class KnownIssue(NamedTuple):
    """One expected failure.

    Attributes:
        subject: whose test fails; `*` and `?` match any.
        property: what does not hold of it.
        distribution: whose version decides, as an index names it: `keras`.
        versions: a version specifier (PEP 440): where it fails, confirmed by runs of the versions at both ends.
        backends: on which; empty for all.
        reason: what is wrong, in a sentence.
        link: where upstream deals with it.
        date: when this was last confirmed, ISO 8601.
    """

    subject: str
    property: str
    distribution: str
    versions: str
    backends: Sequence[str]
    reason: str
    link: str
    date: str


REGISTER: Sequence[KnownIssue] = (
    KnownIssue(
        subject="models.*",
        property="evaluate",
        distribution="keras",
        versions=">=3.0,<3.2",
        backends=(),
        reason="the loss of an epoch is the mean of its batches' means, so a short last batch counts as much as a full one",
        link="https://github.com/keras-team/keras/pull/19363",
        date="2026-11-22",
    ),
)


def known_issue(
    subject: str | None,
    property_name: str | None,
    backend: str | None,
    versions: Mapping[str, str],
    register: Sequence[KnownIssue] = REGISTER,
) -> KnownIssue | None:
    """The entry that says that this test fails on these versions, if there is one.

    Args:
        subject: of the test.
        property_name: of the test.
        backend: that it runs on.
        versions: version by distribution, of what is installed.
        register: where to look.
    """
    from packaging.specifiers import SpecifierSet

    for issue in register:
        version = versions.get(issue.distribution)
        if (
            version is not None
            and issue.property == property_name
            and fnmatch.fnmatchcase(subject or "", issue.subject)
            and (not issue.backends or backend in issue.backends)
            and SpecifierSet(issue.versions).contains(version, prereleases=True)
        ):
            return issue
    return None
