"""What is known not to hold in released versions: every expected failure of the suites stands here, and nowhere else.

An entry of the TOML files is strict. In the versions that it names its property must fail, by a verdict and not by any other
error; where it holds after all the run fails and the report says `fixed`. So that this shows whatever a run draws, cases that
fail as the entries say are kept beside them (`stored.py`) and are judged before any other.
"""

from __future__ import annotations

import ast
import fnmatch
import importlib
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.known_issues.conditions import check, holds

if TYPE_CHECKING:
    from pytest_dlcheck.backends.base import Backend

__all__ = ["KnownIssue", "holds", "known_here", "known_issue", "known_issues", "load", "parse"]


POLICIES = ("float64", "float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
ONEDNN, EIGEN = "oneDNN", "Eigen"


class KnownIssue(NamedTuple):
    """One expected failure.

    Attributes:
        id: a short name, unique.
        subject: what fails, a name or several; `*` and `?` match any.
        property: what does not hold of it, a name or several; `*` and `?` match any.
        versions: version specifier (PEP 440) by distribution: where it fails. All must match.
        reason: what is wrong, in a sentence.
        link: where upstream deals with it, or the script that shows it.
        date: when this was last confirmed, ISO 8601.
        backends: on which; empty for all.
        devices: on which kinds of device; empty for all.
        dtypes: under which dtype policies; empty for all.
        where: of which cases: an expression of constructor arguments, `policy`, `shape` (of the first input), `rank` and
            others (`cases/naming.py`), as in `padding == 'same' and groups > 1`. Empty for all.
        unsteady: whether one and the same case shows it now and then only (memory that is read before it is written): then no
            case can be kept that has to fail. Of a difference: whether some of the cases that it speaks of show none.
        kernels: of TensorFlow on a CPU: `oneDNN` or `Eigen` (its own kernels), whichever computes what fails. Which one does
            follows from the processor and the dtype; empty for both.
        without: modules, `tensorflow`: it shows only where none of them is installed.
        ends_process: whether such a case ends the process: then it is not run, and its stored cases are, in a process of
            their own.
        peer: of a difference between two products, version specifiers of the other one; `versions` are then of this one.
        peer_backends: what the other one runs on; empty for all.
    """

    id: str
    subject: str | Sequence[str]
    property: str | Sequence[str]
    versions: Mapping[str, str]
    reason: str
    link: str
    date: str
    backends: Sequence[str] = ()
    devices: Sequence[str] = ()
    dtypes: Sequence[str] = ()
    where: str = ""
    unsteady: bool = False
    kernels: str = ""
    without: Sequence[str] = ()
    ends_process: bool = False
    peer: Mapping[str, str] = MappingProxyType({})
    peer_backends: Sequence[str] = ()

    def of_difference(self) -> bool:
        """Whether it speaks of two products that differ, and not of one that is wrong."""
        return bool(self.peer or self.peer_backends)

    def differs_from(self, backend: str, versions: Mapping[str, str]) -> bool:
        """Whether the entry speaks of this other product."""
        return (
            self.of_difference() and (not self.peer_backends or backend in self.peer_backends) and _within(self.peer, versions)
        )

    def applies(
        self,
        subject: str | None,
        property_name: str | None,
        backend: str | None,
        versions: Mapping[str, str],
        device: str | None = None,
    ) -> bool:
        """Whether the entry speaks of this property of this subject on this product."""
        return self.names_property(property_name) and self.speaks_of(subject, backend, versions, device)

    def speaks_of(
        self, subject: str | None, backend: str | None, versions: Mapping[str, str], device: str | None = None
    ) -> bool:
        """Whether the entry speaks of this subject on this product, of whatever property."""
        return (
            self.names_subject(subject)
            and (not self.backends or backend in self.backends)
            and (not self.devices or device is None or device.partition(":")[0] in self.devices)
            and _within(self.versions, versions)
        )

    def names_subject(self, name: str | None) -> bool:
        """Whether the entry speaks of this subject, in any version."""
        return _matches(name, self.subject)

    def names_property(self, name: str | None) -> bool:
        """Whether the entry speaks of this property, in any version."""
        return _matches(name, self.property)

    def covers(self, policy: object, names: Mapping[str, Any]) -> bool:
        """Whether the entry speaks of this case, of what it speaks of at all.

        Args:
            policy: the case's dtype policy.
            names: what `where` may ask for, by name.
        """
        return (not self.dtypes or policy in self.dtypes) and holds(self.where, names)

    def where_computed(self, onednn: Collection[str] | None) -> KnownIssue | None:
        """The entry for a process in which oneDNN computes these dtypes: with the policies that it then speaks of, if any.

        Args:
            onednn: as `Backend.onednn`; None where that is not known.
        """
        if not self.kernels or onednn is None:
            return self
        policies = [
            each
            for each in POLICIES
            if (each.removeprefix("mixed_") in onednn) == (self.kernels == ONEDNN) and (not self.dtypes or each in self.dtypes)
        ]
        return self._replace(dtypes=policies) if policies else None

    def lacking(self, found: Callable[[str], bool] | None) -> bool:
        """Whether what has to be absent is.

        Args:
            found: whether a module can be imported; None where that is not known, and nothing is said to be there then.
        """
        return found is None or not any(map(found, self.without))

    def told(self) -> str:
        """The entry in a line, for a message."""
        versions = ", ".join(f"{name} {allowed}" for name, allowed in self.versions.items())
        return f"{self.reason} ({versions}, {self.link}, {self.date})"


def _within(allowed: Mapping[str, str], versions: Mapping[str, str]) -> bool:
    """Whether installed versions, by distribution, are all among those that specifiers allow."""
    from packaging.specifiers import SpecifierSet

    return all(
        (found := _version(name, versions)) is not None and SpecifierSet(each).contains(found, prereleases=True)
        for name, each in allowed.items()
    )


def _version(name: str, versions: Mapping[str, str]) -> str | None:
    """Of a distribution, or of a build of it under a name of its own: tensorflow, tensorflow-cpu."""
    return versions.get(name) or next((found for other, found in versions.items() if other.startswith(f"{name}-")), None)


def _matches(name: str | None, patterns: str | Sequence[str]) -> bool:
    allowed = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatch.fnmatchcase(name or "", pattern) for pattern in allowed)


def parse(text: str, where: str = "the register") -> tuple[KnownIssue, ...]:
    """The entries of a TOML text.

    Raises:
        DlcheckError: it is no TOML, an entry lacks a field or has one too many, or says something that cannot be read.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        found = tomllib.loads(text).get("issue", [])
    except tomllib.TOMLDecodeError as error:
        raise DlcheckError(f"{where} is not readable as TOML: {error}") from None
    issues = []
    for number, entry in enumerate(found, 1):
        name = entry.get("id", f"entry {number}")
        try:
            issue = KnownIssue(**entry)
        except TypeError as error:
            raise DlcheckError(f"{where}, {name}: {str(error).partition(' ')[2]}") from None
        try:
            for allowed in (*issue.versions.values(), *issue.peer.values()):
                SpecifierSet(allowed)
        except InvalidSpecifier as error:
            raise DlcheckError(f"{where}, {name}: {error}") from None
        if issue.kernels not in ("", ONEDNN, EIGEN):
            raise DlcheckError(f"{where}, {name}: kernels are {ONEDNN} or {EIGEN}, and not {issue.kernels!r}")
        if issue.where:
            try:
                check(ast.parse(issue.where, mode="eval").body)
            except (SyntaxError, ValueError) as error:
                raise DlcheckError(f"{where}, {name}: cannot read {issue.where!r}: {error}") from None
        issues.append(issue)
    return tuple(issues)


@cache
def load() -> tuple[KnownIssue, ...]:
    """The entries that the package brings: of all TOML files beside this one."""
    files = sorted(
        (each for each in resources.files(__name__).iterdir() if each.name.endswith(".toml")), key=lambda each: each.name
    )
    issues = tuple(issue for file in files for issue in parse(file.read_text(encoding="utf-8"), file.name))
    twice = sorted({issue.id for issue in issues if sum(other.id == issue.id for other in issues) > 1})
    if twice:
        raise DlcheckError(f"the register has several entries {', '.join(twice)}")
    return issues


def known_issues(
    subject: str | None,
    property_name: str | None,
    backend: str | None,
    versions: Mapping[str, str],
    *,
    device: str | None = None,
    onednn: Collection[str] | None = None,
    found: Callable[[str], bool] | None = None,
    register: Sequence[KnownIssue] | None = None,
) -> tuple[KnownIssue, ...]:
    """The entries that speak of this property of this subject on this product."""
    entries = load() if register is None else register
    applying = [
        issue for issue in entries if issue.applies(subject, property_name, backend, versions, device) and issue.lacking(found)
    ]
    return tuple(computed for issue in applying if (computed := issue.where_computed(onednn)) is not None)


def known_here(subject: str, property_name: str, backend: Backend, device: object) -> tuple[KnownIssue, ...]:
    """The entries that speak of this property of this subject in this process.

    Args:
        subject: `keras.layers.Dense`.
        property_name: `reference`.
        backend: loaded.
        device: where it runs, `cpu:0` by its text.
    """
    from pytest_dlcheck.backends import importable, versions

    installed = versions(backend.name)
    return known_issues(
        subject, property_name, backend.name, installed, device=str(device), onednn=backend.onednn, found=importable
    )


def known_issue(
    subject: str | None,
    property_name: str | None,
    backend: str | None,
    versions: Mapping[str, str],
    *,
    found: Callable[[str], bool] | None = None,
    register: Sequence[KnownIssue] | None = None,
) -> KnownIssue | None:
    """The first of those that speak of every case: for a test that has only one."""
    issues = known_issues(subject, property_name, backend, versions, found=found, register=register)
    return next((issue for issue in issues if not issue.where and not issue.kernels), None)
