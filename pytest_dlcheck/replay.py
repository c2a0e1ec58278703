"""`dlcheck replay`: runs a stored case again, and says what each property makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_dlcheck.errors import DlcheckError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console
    from rich.table import Table

    from pytest_dlcheck.architectures.architecture import Architecture
    from pytest_dlcheck.backends.base import Backend
    from pytest_dlcheck.cases.case import Case
    from pytest_dlcheck.devices import DeviceName
    from pytest_dlcheck.properties.verdict import Verdict
    from pytest_dlcheck.subjects.spec import LayerSpec, World

__all__ = ["replay"]

KINDS = frozenset({"$case", "$architecture"})


def _read(path: str) -> dict[str, Any]:
    """A stored case with what is known of it.

    Raises:
        DlcheckError: there is no such file, or it holds no case.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DlcheckError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DlcheckError(f"{path} is no JSON: {error}") from None
    if isinstance(found, dict) and set(found) & KINDS:
        found = {"case": found}
    if not isinstance(found, dict) or not set(found.get("case") or {}) & KINDS:
        raise DlcheckError(f"{path} holds no case: a report's folder `cases` has some")
    return found


def _gradient_properties() -> frozenset[str]:
    """The properties that only gradients have: `accepts` is the layers' too."""
    from pytest_dlcheck.gradients.findings import PROPERTY_OF

    return frozenset(PROPERTY_OF.values()) - {"accepts"}


def _replay_gradients(spec: LayerSpec, case: Case, backend: Backend, world: World, console: Console) -> int:
    """Prints the gradients' table in inference and in training; gives the exit status."""
    from pytest_dlcheck.gradients.layers import EFFORTS, LayerGradients

    check = LayerGradients(spec, backend, world, seed=0, effort=EFFORTS["nightly"])
    reports = [check.report(case, training=training) for training in (False, True)]
    for report in reports:
        console.print(report.table(), markup=False, highlight=False, soft_wrap=True)
    return 0 if all(report.good for report in reports) else 1


def _replay_architecture(architecture: Architecture, backend_name: str | None, device: str | None, only: str | None) -> int:
    """Prints what each property makes of a model; gives the exit status."""
    from rich.console import Console
    from rich.markup import escape

    from pytest_dlcheck.architectures.architecture import describe
    from pytest_dlcheck.architectures.check import judge_architecture

    backend, place = _chosen(backend_name, device)
    console = Console()
    console.print(escape(describe(architecture)), highlight=False)
    with backend.activate(place):
        verdicts = _chosen_of(judge_architecture(architecture, backend), only)
    table, well = _table(f"a model on {backend.name}, {place}", verdicts)
    console.print(table)
    return 0 if well else 1


def _table(title: str, verdicts: Mapping[str, Verdict]) -> tuple[Table, bool]:
    """A row for each property, and whether all of them hold."""
    from rich.markup import escape
    from rich.table import Table

    from pytest_dlcheck.properties.verdict import HARMLESS

    table = Table("property", "verdict", "what was seen", title=title)
    for name, verdict in verdicts.items():
        colour = "green" if verdict.outcome in HARMLESS else "bold red"
        table.add_row(name, f"[{colour}]{verdict.outcome}", escape(verdict.message))
    return table, all(verdict.outcome in HARMLESS for verdict in verdicts.values())


def _chosen(name: str | None, device: str | None) -> tuple[Backend, DeviceName]:
    """The backend of that name, loaded, or the first that is installed, and the device or the first CPU.

    Raises:
        DlcheckError: the backend is not installed.
    """
    from pytest_dlcheck.backends import BACKENDS, create, installed
    from pytest_dlcheck.devices import DeviceName, kinds_by_name

    name = name or next((each for each in BACKENDS if installed(each)), None)
    if name not in BACKENDS or not installed(name):
        raise DlcheckError(f"backend {name!r} is not installed; there are {', '.join(filter(installed, BACKENDS)) or 'none'}")
    backend = create(name, kinds_by_name(()))
    backend.load()
    return backend, DeviceName.parse(device or "cpu")


def _chosen_of(verdicts: Mapping[str, Verdict], only: str | None) -> Mapping[str, Verdict]:
    """All of them, or the one that was asked for.

    Raises:
        DlcheckError: it was not judged here.
    """
    if only is None:
        return verdicts
    if only not in verdicts:
        said = "; ".join(f"{name}: {verdict.outcome}" for name, verdict in verdicts.items()) or "nothing was"
        raise DlcheckError(f"{only} was not judged here ({said})")
    return {only: verdicts[only]}


def replay(path: str, backend_name: str | None, device: str | None, only: str | None = None) -> int:
    """Runs the case of a file, in every mode or in the one that it was stored for; gives the exit status.

    Args:
        path: a file of a report's folder `cases`, or one that holds a case alone.
        backend_name: on which backend; by default the stored one, else the first that is installed.
        device: on which device; by default the stored one, else the first CPU.
        only: this property alone; by default every one.

    Raises:
        DlcheckError: the file, the backend or the device cannot be had, or the property was not judged.
    """
    from rich.console import Console
    from rich.markup import escape

    from pytest_dlcheck.architectures.architecture import Architecture
    from pytest_dlcheck.backends import versions
    from pytest_dlcheck.cases.case import Case, describe, revive
    from pytest_dlcheck.checking import judge_case
    from pytest_dlcheck.properties.layers.catalogue import GROUPS, of_group
    from pytest_dlcheck.subjects.installed import installed_layer
    from pytest_dlcheck.subjects.layers import SPECS

    stored = _read(path)
    try:
        case = revive(stored["case"])
    except ValueError as error:
        raise DlcheckError(f"{path}: {error}") from None
    if isinstance(case, Architecture):
        return _replay_architecture(case, backend_name or stored.get("backend"), device or stored.get("device"), only)
    assert isinstance(case, Case)
    if case.name not in SPECS:
        raise DlcheckError(f"{path}: there is no spec of {case.subject}")
    backend, place = _chosen(backend_name or stored.get("backend"), device or stored.get("device"))
    name = backend.name
    found = installed_layer(SPECS[case.name], backend, versions(name)["keras"], place.kind)
    if isinstance(found, str):
        raise DlcheckError(found)
    spec, _, world = found
    console = Console()
    console.print(escape(describe(case)), highlight=False)
    if stored.get("property") in _gradient_properties():
        with backend.activate(place):
            return _replay_gradients(spec, case, backend, world, console)
    verdicts: dict[str, Verdict] = {}
    with backend.activate(place):
        for group in GROUPS if stored.get("mode") not in GROUPS else (stored["mode"],):
            verdicts |= judge_case(spec, case, backend, world, of_group(group))
    table, well = _table(f"{case.subject} on {name}, {place}", _chosen_of(verdicts, only))
    console.print(table)
    return 0 if well else 1
