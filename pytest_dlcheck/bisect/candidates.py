"""What is searched among: interpreters, environments by name, or commits of a repository."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_dlcheck.errors import DlcheckError

__all__ = ["Candidate", "check_out", "commits", "environments", "interpreters", "made", "worktree"]


@dataclass(frozen=True)
class Candidate:
    """One of them.

    Attributes:
        name: what a person calls it.
        identity: names it in the cache: changes when it does.
        python: the interpreter to run; None until it has been made.
        environment: the name by which it is made, where `python` is None.
        commit: what to check out; None where that does not differ.
        variables: to run it with.
    """

    name: str
    identity: str
    python: Path | None = None
    environment: str | None = None
    commit: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


def interpreters(given: Sequence[str]) -> list[Candidate]:
    """Of `NAME=PATH`, or of paths alone.

    Raises:
        DlcheckError: one is no program.
    """
    found = []
    for each in given:
        name, _, path = each.rpartition("=")
        # Not resolved: a virtual environment's interpreter is a link, and what it is called decides what it finds.
        python = Path(path).expanduser().absolute()
        if not python.is_file():
            raise DlcheckError(f"{path} is no interpreter; give --python NAME=PATH, as 3.15=/opt/keras3.15/bin/python")
        found.append(Candidate(name or path, f"{python} {python.stat().st_mtime_ns}", python))
    return found


def environments(names: Sequence[str]) -> list[Candidate]:
    """Of names that `pytest_dlcheck.environments` knows; each is made when it is asked for first."""
    return [Candidate(name, f"environment {name}", environment=name) for name in names]


def made(candidate: Candidate, root: Path) -> Candidate:
    """A candidate whose interpreter is there.

    Raises:
        DlcheckError: it cannot be made.
    """
    if candidate.python is not None or candidate.environment is None:
        return replace(candidate, python=candidate.python or Path(sys.executable))
    try:
        # A part that may be missing: interpreters that are given need none of it.
        find = importlib.import_module("pytest_dlcheck.environments").find
    except (ImportError, AttributeError):
        raise DlcheckError("environments by name are not available in this version; give --python NAME=PATH") from None
    found = find(candidate.environment, root)
    return replace(candidate, python=Path(found.python), variables=dict(found.process_variables()))


def _git(repository: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    except OSError as error:
        raise DlcheckError(f"git cannot be run: {error.strerror}") from None
    if done.returncode:
        raise DlcheckError(f"git {arguments[0]} in {repository}: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    return done.stdout.strip()


def commits(repository: Path, good: str, bad: str) -> list[Candidate]:
    """From a good commit to a bad one, along first parents.

    Raises:
        DlcheckError: there is no such commit, or the good one is no ancestor of the bad one.
    """
    first, last = (_git(repository, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") for name in (good, bad))
    listed = _git(repository, "log", "--first-parent", "--reverse", "--format=%H %h %cs %s", f"{first}..{last}").splitlines()
    start = _git(repository, "log", "-1", "--format=%H %h %cs %s", first)
    base = _git(repository, "merge-base", first, last)
    if base != first or not listed:
        raise DlcheckError(f"{good} is not before {bad} in {repository}")
    found = []
    for line in (start, *listed):
        full, _, told = line.partition(" ")
        found.append(Candidate(told, full, commit=full))
    return found


@contextmanager
def worktree(repository: Path, folder: Path) -> Iterator[Path]:
    """A checkout of its own, so that the user's files stay as they are; removed at the end."""
    _git(repository, "worktree", "add", "--detach", "--quiet", str(folder))
    try:
        yield folder
    finally:
        _git(repository, "worktree", "remove", "--force", str(folder))


def check_out(folder: Path, commit: str) -> None:
    _git(folder, "checkout", "--quiet", "--force", "--detach", commit)
    _git(folder, "clean", "-fdq")
