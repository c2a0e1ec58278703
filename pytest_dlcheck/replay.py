"""`dlcheck replay`: runs a stored case again, and says what each property makes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_dlcheck.errors import DlcheckError

if TYPE_CHECKING:
    from rich.console import Console

    from pytest_dlcheck.backends.base import Backend
    from pytest_dlcheck.cases.case import Case
    from pytest_dlcheck.subjects.spec import LayerSpec, World

__all__ = ["replay"]


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
    if isinstance(found, dict) and "$case" in found:
        found = {"case": found}
    if not isinstance(found, dict) or "$case" not in (found.get("case") or {}):
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


def replay(path: str, backend_name: str | None, device: str | None) -> int:
    """Runs the case of a file, in every mode or in the one that it was stored for; gives the exit status.

    Args:
        path: a file of a report's folder `cases`, or one that holds a case alone.
        backend_name: on which backend; by default the stored one, else the first that is installed.
        device: on which device; by default the stored one, else the first CPU.

    Raises:
        DlcheckError: the file, the backend or the device cannot be had.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from pytest_dlcheck.backends import BACKENDS, create, installed, versions
    from pytest_dlcheck.cases.case import Case, describe, revive
    from pytest_dlcheck.checking import judge_case
    from pytest_dlcheck.devices import DeviceName, kinds_by_name
    from pytest_dlcheck.properties.layers.catalogue import GROUPS, of_group
    from pytest_dlcheck.properties.verdict import HARMLESS
    from pytest_dlcheck.subjects.layers import SPECS
    from pytest_dlcheck.subjects.spec import World

    stored = _read(path)
    try:
        case = revive(stored["case"])
    except ValueError as error:
        raise DlcheckError(f"{path}: {error}") from None
    assert isinstance(case, Case)
    spec = SPECS.get(case.name)
    if spec is None:
        raise DlcheckError(f"{path}: there is no spec of {case.subject}")
    name = backend_name or stored.get("backend") or next((each for each in BACKENDS if installed(each)), None)
    if name not in BACKENDS or not installed(name):
        raise DlcheckError(f"backend {name!r} is not installed; there are {', '.join(filter(installed, BACKENDS)) or 'none'}")
    backend = create(name, kinds_by_name(()))
    backend.load()
    kind = getattr(backend.keras.layers, spec.name, None)
    if kind is None:
        raise DlcheckError(f"keras {versions(name)['keras']} has no layers.{spec.name}")
    place = DeviceName.parse(device or stored.get("device") or "cpu")
    world = World.of(name, versions(name)["keras"], kind, place.kind)
    console = Console()
    console.print(escape(describe(case)), highlight=False)
    if stored.get("property") in _gradient_properties():
        with backend.activate(place):
            return _replay_gradients(spec, case, backend, world, console)
    table = Table("property", "verdict", "what was seen", title=f"{case.subject} on {name}, {place}")
    well = True
    with backend.activate(place):
        for group in GROUPS if stored.get("mode") not in GROUPS else (stored["mode"],):
            for each, verdict in judge_case(spec, case, backend, world, of_group(group)).items():
                fine = verdict.outcome in HARMLESS
                well = well and fine
                table.add_row(each, f"[{'green' if fine else 'bold red'}]{verdict.outcome}", escape(verdict.message))
    console.print(table)
    return 0 if well else 1
