"""`dlcheck record`: asks a product for every case, and writes what it did to a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_dlcheck import __version__
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.records.host import CASE_S, CannotRecord, Died, Host, TooLong, started
from pytest_dlcheck.records.record import Record, write_record

if TYPE_CHECKING:
    from rich.console import Console

    from pytest_dlcheck.records.drawing import RecordEffort

__all__ = ["chosen_backend", "record", "recorded", "replayed"]

Seen = dict[str, Any]


def chosen_backend(name: str | None) -> str:
    """The backend of that name, by default the first that is installed here.

    Raises:
        DlcheckError: there is none of that name, or none is installed.
    """
    from pytest_dlcheck.backends import BACKENDS, installed

    if name is not None and name not in BACKENDS:
        raise DlcheckError(f"unknown backend {name!r}; there are {', '.join(BACKENDS)}")
    found = name or next((each for each in BACKENDS if installed(each)), None)
    if found is None:
        raise DlcheckError("no backend is installed here: install Keras with tensorflow, jax or torch, or name an interpreter")
    return found


def recorded(host: Host, globs: Sequence[str], seed: int, profile: str, console: Console) -> Record:
    """What a product does with the cases that the seed draws.

    Args:
        host: of the product, started.
        globs: which subjects; all without any.
        seed: of everything drawn.
        profile: how much.
        console: for progress.

    Raises:
        DlcheckError: no such subject, or nothing at all could be run.
    """
    from pytest_dlcheck.records.drawing import EFFORTS, chosen_subjects

    subjects = chosen_subjects(globs, host.backend)
    there = host.ask({"do": "parameters", "subjects": subjects})

    def cases_of(subject: str) -> list[Seen]:
        return _fresh(host, subject, seed, EFFORTS[profile], there[subject])

    run = {"seed": seed, "profile": profile, "suite": __version__}
    return Record(host.product, run, _each(host, there, cases_of, console))


def _fresh(host: Host, subject: str, seed: int, effort: RecordEffort, there: Mapping[str, Any]) -> list[Seen]:
    """Cases of a subject until enough of them are supported, with what was seen of each."""
    from pytest_dlcheck.records.drawing import differentiable, drawn, wanted

    found: list[Seen] = []
    enough, smooth = wanted(subject, effort), differentiable(subject)
    for taken in (None, there["parameters"]):
        supported = 0
        for case in drawn(subject, host.backend, seed, effort, taken):
            asked = {**case, "gradients": smooth and supported < effort.gradients}
            seen = _answer(host, asked)
            supported += seen["status"] != "unsupported"
            found.append({**asked, "seen": seen})
            if supported >= enough:
                break
        if supported:
            break
    # Of what is not supported a few are enough to say so.
    spare = [each for each in found if each["seen"]["status"] == "unsupported"][enough:]
    return [each for each in found if each not in spare]


def replayed(host: Host, old: Record, globs: Sequence[str], console: Console) -> Record:
    """What a product does with the cases of a record.

    Raises:
        DlcheckError: the record holds none of these subjects, or nothing could be run.
    """
    import fnmatch

    names = [name for name in old.subjects if not globs or any(fnmatch.fnmatchcase(name, glob) for glob in globs)]
    if not names:
        raise DlcheckError(f"the record holds no subject that is named {' or '.join(globs)}")
    there = host.ask({"do": "parameters", "subjects": names})

    def cases_of(subject: str) -> list[Seen]:
        cases = [{key: value for key, value in each.items() if key != "seen"} for each in old.subjects[subject]["cases"]]
        return [{**case, "seen": _answer(host, case)} for case in cases]

    return Record(host.product, old.run, _each(host, there, cases_of, console))


def _each(
    host: Host, there: Mapping[str, Any], cases_of: Callable[[str], list[Seen]], console: Console
) -> dict[str, dict[str, Any]]:
    """What is known of each subject that exists there, with its cases; says meanwhile how far it is."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    found: dict[str, dict[str, Any]] = {}
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(there))
        for subject, known in there.items():
            progress.update(task, description=f"keras {host.product['keras']}: {subject.removeprefix('keras.')}")
            found[subject] = {**known, "cases": [] if "missing" in known else cases_of(subject)}
            progress.advance(task)
    statuses = [case["seen"]["status"] for subject in found.values() for case in subject["cases"]]
    if not statuses:
        raise DlcheckError("nothing was recorded: none of these subjects exists there")
    if all(status == "unsupported" for status in statuses):
        raise DlcheckError(f"nothing was recorded: none of {len(statuses)} cases is supported there")
    return found


def _answer(host: Host, case: Mapping[str, Any]) -> Seen:
    if _strange(case):
        return {"status": "unsupported", "why": "another version of pytest-dlcheck drew this; record it again with this one"}
    try:
        try:
            return host.ask({"do": "case", **case})
        except TooLong:  # a machine with other work may take its time; a case that hangs hangs again
            return host.ask({"do": "case", **case}, 2 * CASE_S)
    except CannotRecord as failed:  # a defect of ours: counted, shown, and never compared
        return {"status": "broken", "why": str(failed)}
    except Died as died:
        status, _, message = str(died).partition(": ")
        return {"status": status, "error": {"kind": status, "message": message, "during": "the case"}}


def _strange(case: Mapping[str, Any]) -> bool:
    """Whether a function's variant is no longer the one that was recorded: it is known by its number and by its words."""
    if "operation" not in case:
        return False
    from pytest_dlcheck.subjects.operations import OPERATIONS

    operation = OPERATIONS.get(case["operation"])
    variants = operation.variants if operation is not None else ()
    return bool(case["variant"] >= len(variants) or variants[case["variant"]].told() != case["told"])


def record(path: str, python: str | None, *, globs: Sequence[str], backend: str | None, seed: int, profile: str) -> int:
    """Writes the record of this environment, or of another interpreter's; gives the exit status.

    Raises:
        DlcheckError: the product cannot be run, or the file cannot be written.
    """
    from rich.console import Console

    console = Console(stderr=True)
    with started(Host(python or sys.executable, chosen_backend(backend))) as host:
        found = recorded(host, globs, seed, profile, console)
    size = write_record(Path(path), found)
    cases = [case["seen"] for subject in found.subjects.values() for case in subject["cases"]]
    statuses = [seen["status"] for seen in cases]
    told = ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    broken = next((seen["why"] for seen in cases if seen["status"] == "broken"), None)
    if broken is not None:
        console.print(f"{statuses.count('broken')} cases could not be recorded, the first because of {broken}", markup=False)
    Console(highlight=False, soft_wrap=True).print(
        f"{found.name}: {len(found.subjects)} subjects, {len(statuses)} cases ({told}); {path}, {size / 1000:.0f} kB",
        markup=False,
    )
    return 0
