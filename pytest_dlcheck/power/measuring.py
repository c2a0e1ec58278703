"""Runs the suites on the bad and on the good version of each bug, and prints what was found, missed and false."""

from __future__ import annotations

import fnmatch
import importlib
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

import pytest_dlcheck
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.power.bugs import FOUND, MISSED, SIDES, Bug, Outcome, judged, read_bugs, subjects_of, suites_for
from pytest_dlcheck.report.markdown import table_lines
from pytest_dlcheck.report.reading import read_report

__all__ = ["markdown", "measure", "power"]

LIMIT_S = 1200
"""For all suites of one subject on one version; `default` takes a minute or two of most."""

OLDEST_PYTHON = (3, 10)

# pytest's status when it found what it was to run: passed, or failed.
RAN = (0, 1)

Interpreter = Callable[[Bug, str], str]


def _given(entries: Sequence[str]) -> Mapping[str, str]:
    """`keras==3.14.1=/path/python` as from a requirement to an interpreter.

    Raises:
        DlcheckError: it has another form, or the interpreter is not there.
    """
    found = {}
    for entry in entries:
        requirement, _, python = entry.rpartition("=")
        if not requirement or not Path(python).is_file():
            raise DlcheckError(f"--with {entry}: write a requirement and an interpreter, as keras==3.14.1=/path/to/python")
        found[requirement] = python
    return found


def interpreter_of(bug: Bug, side: str, given: Mapping[str, str]) -> str:
    """The interpreter of a side: one that was given for a requirement of it, else that of an environment made for it.

    Raises:
        DlcheckError: it cannot be made.
    """
    for requirement in bug.requirements[side]:
        if requirement in given:
            return given[requirement]
    try:
        making = importlib.import_module("pytest_dlcheck.environments.making")
    except ModuleNotFoundError:
        wanted = ", ".join(bug.requirements[side])
        raise DlcheckError(f"{bug.id} needs {wanted}, and there is no --with for any of it") from None
    return str(making.made(f"{bug.id}-{side}", [*bug.requirements[side], *_own_requirements()]))


def _own_requirements() -> list[str]:
    """What the suites need beside a framework."""
    from importlib import metadata

    requirements = metadata.requires("pytest-dlcheck") or []
    return [each for each in requirements if "extra ==" not in each]


def _suites_folder() -> Path:
    """Where the suites lie: in the wheel inside the package, in a checkout beside it."""
    package = Path(pytest_dlcheck.__file__).parent
    inside = package / "suites"
    return inside if inside.is_dir() else package.parent / "suites"


def run_suites(python: str, bug: Bug, profile: str, folder: Path) -> dict[str, Any]:
    """The report of the suites on one version, restricted to the bug's subjects.

    Raises:
        DlcheckError: the suites cannot be run there, or do not end in time.
    """
    subjects = subjects_of(bug.component)
    root = str(Path(pytest_dlcheck.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    suites = [str(_suites_folder() / name) for name in suites_for(subjects)]
    # The suites of whole models are about no subject of Keras's.
    named = [subject for subject in subjects if not subject.startswith("keras.models.")]
    chosen = [part for subject in named for part in ("--dl-subject", subject)]
    command = [
        python,
        "-m",
        "pytest",
        "-q",
        "-p",
        "pytest_dlcheck.plugin",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:warnings",
    ]
    command += ["--rootdir", str(folder), "-c", os.devnull, "--dl-backend", bug.backend, "--dl-profile", profile]
    command += ["--dl-report", str(folder / "report"), *chosen, *suites]
    try:
        done = subprocess.run(  # noqa: S603 - the interpreter that was asked for
            command,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        )
    except OSError as error:
        raise DlcheckError(f"{python} cannot be started: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise DlcheckError(f"the suites did not end within {LIMIT_S} s") from None
    if done.returncode not in RAN:
        lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        said = next(
            (line for line in lines if ": error: " in line or line.startswith("ERROR: dlcheck")),
            (lines or ["nothing was printed"])[-1],
        )
        raise DlcheckError(f"the suites cannot be run with {python}: {said}")
    return read_report(str(folder / "report"))


def _runs_on(requirement: str) -> bool:
    """Whether the suites run on a Python that is asked for as `python==3.8.*`."""
    numbers = re.findall(r"\d+", requirement)[:2]
    return tuple(map(int, numbers)) >= OLDEST_PYTHON


def measure(bug: Bug, interpreter: Interpreter, profile: str) -> Outcome:
    """What the suites make of one bug; one that cannot be measured is missed, and says why."""
    subjects = subjects_of(bug.component)
    if not suites_for(subjects):
        return Outcome(bug, MISSED, why="no suite covers it")
    if any(Requirement(each).name == "python" and not _runs_on(each) for side in SIDES for each in bug.requirements[side]):
        return Outcome(bug, MISSED, why=f"not measured: the suites need Python {'.'.join(map(str, OLDEST_PYTHON))}")
    reports = {}
    for side in SIDES:
        with tempfile.TemporaryDirectory(prefix="dlcheck-power-") as folder:
            try:
                reports[side] = run_suites(interpreter(bug, side), bug, profile, Path(folder))
            except DlcheckError as error:
                return Outcome(bug, MISSED, why=f"not measured, {side} version: {error}")
    return judged(bug, reports["bad"], reports["good"])


def markdown(outcomes: Sequence[Outcome], profile: str) -> str:
    """The table, and the sums."""
    rows: list[list[object]] = [
        [
            each.bug.id,
            each.bug.component,
            _versions(each.bug),
            each.verdict,
            ", ".join(each.by) or each.why,
            ", ".join(each.false),
        ]
        for each in outcomes
    ]
    header = ["bug", "where", "bad, good", "", "by, or why not", "false"]
    return "\n".join([told(outcomes), "", f"Profile {profile}, seed 0.", "", *table_lines(header, rows)]).rstrip() + "\n"


def _reason(outcome: Outcome) -> str:
    return ", ".join(outcome.by) or outcome.why


def told(outcomes: Sequence[Outcome]) -> str:
    """The sums in a line."""
    found = sum(each.verdict == FOUND for each in outcomes)
    uncovered = sum(each.why == "no suite covers it" for each in outcomes)
    unmeasured = sum(each.why.startswith("not measured") for each in outcomes)
    false = sum(len(each.false) for each in outcomes)
    rest = len(outcomes) - found - uncovered - unmeasured
    return (
        f"{found} of {len(outcomes)} bugs found; {rest} missed though a suite looks there, {uncovered} that no suite covers, "
        f"{unmeasured} not measured; {false} false alarms on good versions."
    )


def _versions(bug: Bug) -> str:
    bad, good = (bug.requirements[side] for side in SIDES)
    differ = [(first, second) for first, second in zip(bad, good, strict=True) if first != second]
    return ", ".join(f"{first}, {second.rpartition('==')[2]}" for first, second in differ)


def power(folder: str, names: Sequence[str], given: Sequence[str], profile: str, output: str | None) -> int:
    """Measures every bug of a folder, prints the table, and writes it if asked; gives the exit status.

    Args:
        folder: of bugs.
        names: of bugs, with * and ?; all without any.
        given: interpreters for requirements, as `keras==3.14.1=/path/python`.
        profile: how much is drawn.
        output: where to write the table as Markdown.

    Raises:
        DlcheckError: there is no such bug, or nothing can be written.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    interpreters = _given(given)
    bugs = [bug for bug in read_bugs(Path(folder)) if not names or any(fnmatch.fnmatchcase(bug.id, name) for name in names)]
    if not bugs:
        raise DlcheckError(f"{folder} holds no bug that is named {' or '.join(names)}")
    outcomes = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(bugs))
        for bug in bugs:
            progress.update(task, description=bug.id)
            outcomes.append(measure(bug, lambda each, side: interpreter_of(each, side, interpreters), profile))
            # As they come: all of them take an hour.
            progress.console.print(f"{bug.id}: {outcomes[-1].verdict} {_reason(outcomes[-1])}", markup=False, highlight=False)
            progress.advance(task)
    _show(outcomes)
    if output is not None:
        try:
            Path(output).write_text(markdown(outcomes, profile), encoding="utf-8")
        except OSError as error:
            raise DlcheckError(f"{output} cannot be written: {error.strerror}") from None
    return 0


def _show(outcomes: Sequence[Outcome]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("bug", "where", "", "by, or why not", "false")
    for each in outcomes:
        colour = "green" if each.verdict == FOUND else "red"
        row = (escape(each.bug.component), f"[{colour}]{each.verdict}", escape(_reason(each)), ", ".join(each.false))
        table.add_row(each.bug.id, *row)
    console = Console(highlight=False)
    console.print(table)
    console.print(told(outcomes), markup=False)
