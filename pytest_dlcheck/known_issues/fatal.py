"""Cases that would end the process that runs them: they are refused here, and looked at in a process of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pytest_dlcheck.cases.naming import names_of
from pytest_dlcheck.cases.script import script
from pytest_dlcheck.known_issues import KnownIssue, load

if TYPE_CHECKING:
    from pytest_dlcheck.backends.base import Backend
    from pytest_dlcheck.cases.case import Case

__all__ = ["EndsProcess", "how_it_ends", "refuse"]

# Importing a framework takes 10 s on a slow machine.
LIMIT_S = 120


class EndsProcess(RuntimeError):
    """The register says that the case would end the process; it was not run."""


def refuse(case: Case, backend: Backend, register: Callable[[], Sequence[KnownIssue]] = load) -> None:
    """Raises an error where the register says that a case ends the process.

    Args:
        case: about to be run.
        backend: loaded.
        register: gives the entries.

    Raises:
        EndsProcess: it would end it.
    """
    from pytest_dlcheck.backends import importable, versions

    for issue in register():
        if not issue.ends_process or not issue.speaks_of(case.subject, backend.name, versions(backend.name)):
            continue
        if not issue.lacking(importable):
            continue
        here = issue.where_computed(backend.onednn)
        if here is not None and here.covers(case.policy, names_of(case)):
            raise EndsProcess(f"not run, since it would end the process: {issue.told()}")


def how_it_ends(case: Case, backend: str, keras: str) -> str | None:
    """By which signal the process ends that runs a case; None if it does not.

    Args:
        case: to be run, as a script of its own.
        backend: its name.
        keras: its version.
    """
    text = script(case, backend, "Looked at in a process of its own.", keras)
    try:
        run = subprocess.run(  # noqa: S603 - this interpreter, and our own script
            [sys.executable, "-c", text], capture_output=True, check=False, timeout=LIMIT_S, env=dict(os.environ)
        )
    except subprocess.TimeoutExpired:
        return None
    return signal.Signals(-run.returncode).name if run.returncode < 0 else None
