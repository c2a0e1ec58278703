"""`dlcheck register`: which of the register's entries show here, whatever versions they name."""

from __future__ import annotations

import fnmatch
import inspect
import json
import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.properties.verdict import HARMLESS

if TYPE_CHECKING:
    from pytest_dlcheck.backends.base import Backend
    from pytest_dlcheck.cases.case import Case
    from pytest_dlcheck.known_issues import KnownIssue
    from pytest_dlcheck.known_issues.stored import StoredCase
    from pytest_dlcheck.subjects.operations.record import Operation
    from pytest_dlcheck.subjects.spec import LayerSpec, World

__all__ = ["BROKEN", "FAILS", "HOLDS", "NOT_HERE", "Register", "Shown", "examine"]

FAILS, HOLDS, NOT_HERE, BROKEN = "fails", "holds", "not here", "broken"

# An argument, a class or a function that an older version has not got yet, or a newer one no longer.
_LACKS = re.compile(
    r"unexpected keyword|[Uu]nrecognized keyword|module \S+ has no attribute|missing \d+ required"
    r"|takes (from )?\d+ .*positional"
)

SCHEMA = "dlcheck-register/1"


class Shown(NamedTuple):
    """What became of one entry of the register here.

    Attributes:
        issue: the entry's id.
        subject: what was looked at.
        property: which fails, as the entry says.
        mode: in which it was looked at.
        registered: whether the entry names the versions that are installed.
        outcome: `fails`, `holds`, `not here` (what the case needs does not exist in these versions), `broken` (a defect of
            this package).
        message: what was seen.
        seconds: it took.
    """

    issue: str
    subject: str
    property: str
    mode: str
    registered: bool
    outcome: str
    message: str
    seconds: float = 0.0

    def contradicts(self) -> bool:
        """Whether the register is wrong: what it expects to fail does not."""
        return self.registered and self.outcome in (HOLDS, BROKEN)


class Register:
    """The register, looked at on one backend.

    Args:
        backend: loaded.
        keras: Keras's version.
        registered: whether an entry names the versions that are installed, for a subject and a property.
        device: the kind of device.
    """

    def __init__(
        self, backend: Backend, keras: str, registered: Callable[[KnownIssue, str, str], bool], device: str = "cpu"
    ) -> None:
        self.backend, self.keras, self.registered, self.device = backend, keras, registered, device

    def judge(self, case: Case, name: str, mode: str) -> tuple[str, str]:
        """Whether a property fails of a layer's case, and what was seen.

        Args:
            case: to be judged.
            name: the property.
            mode: the group of modes, or a gradient check's mode.
        """
        from pytest_dlcheck.subjects.installed import installed_layer
        from pytest_dlcheck.subjects.layers import SPECS

        found = installed_layer(SPECS[case.name], self.backend, self.keras, self.device)
        if isinstance(found, str):
            return NOT_HERE, found
        spec, kind, world = found
        open_ended = any(each.kind is each.VAR_KEYWORD for each in inspect.signature(kind).parameters.values())
        gone = [argument for argument in case.arguments if not world.takes(argument)]
        if gone and not open_ended:
            return NOT_HERE, f"{case.name} takes no {', '.join(gone)}"
        with self.backend.quick(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome, message = self._verdict(spec, case, world, name, mode)
        if outcome in (BROKEN, NOT_HERE):
            return outcome, message
        if outcome in HARMLESS:
            return HOLDS, message
        return (NOT_HERE if name == "accepts" and _LACKS.search(message) else FAILS), message

    def _verdict(self, spec: LayerSpec, case: Case, world: World, name: str, mode: str) -> tuple[str, str]:
        from pytest_dlcheck.checking import judge_case
        from pytest_dlcheck.properties.layers.catalogue import GROUPS, PROPERTIES, of_group

        if mode not in GROUPS or name not in {each.name for each in of_group(mode)} | {"accepts"}:
            return self._gradient_verdict(spec, case, world, name, mode)
        wanted = [each for each in PROPERTIES if each.name in (name, "accepts")]
        said = judge_case(spec, case, self.backend, world, wanted)
        verdict = said.get(name)
        if verdict is not None:
            return verdict.outcome, verdict.message
        accepted = said.get("accepts")
        return NOT_HERE, accepted.message if accepted is not None else "the property does not apply"

    def _gradient_verdict(self, spec: LayerSpec, case: Case, world: World, name: str, mode: str) -> tuple[str, str]:
        """The worst of a property's verdicts, in inference and in training."""
        from pytest_dlcheck.gradients.layers import EFFORTS, LayerGradients

        check = LayerGradients(spec, self.backend, world, seed=0, effort=EFFORTS["default"])
        return check.again(case, name, mode) or (NOT_HERE, "the property does not apply")

    def stored(self, issue: KnownIssue, stored: StoredCase) -> Shown:
        """What became of a stored case."""
        from pytest_dlcheck.cases.case import revive
        from pytest_dlcheck.known_issues.fatal import how_it_ends

        case: Case = revive(stored.case)
        start = time.perf_counter()
        if issue.ends_process:
            signal = how_it_ends(case, self.backend.name, self.keras)
            outcome, message = (HOLDS, "the process goes on") if signal is None else (FAILS, f"the process ends: {signal}")
        else:
            outcome, message = self.judge(case, stored.property, stored.mode)
        seconds = time.perf_counter() - start
        here = issue.where_computed(self.backend.onednn)
        computed = here is not None and (not here.dtypes or case.policy in here.dtypes)
        registered = computed and self.registered(issue, case.subject, stored.property)
        return Shown(issue.id, case.subject, stored.property, stored.mode, registered, outcome, message, seconds)

    def functions(self, issue: KnownIssue) -> Iterator[Shown]:
        """What became of an entry that speaks of functions: those have no stored cases, since each of their variants is."""
        from pytest_dlcheck.functions.check import PROPERTIES
        from pytest_dlcheck.gradients.findings import PROPERTY_OF
        from pytest_dlcheck.subjects.operations import OPERATIONS

        operations = [each for each in OPERATIONS.values() if issue.names_subject(each.subject)]
        for known, check in ((PROPERTY_OF.values(), self._gradients), (PROPERTIES, self._values)):
            names = [name for name in known if issue.names_property(name)]
            # An entry that names none of these speaks of layers only, or of the other kind.
            for operation in operations if names else []:
                yield self._function(issue, operation, names, check)

    def _gradients(self, operation: Operation, function: Callable[..., Any], keras: tuple[int, ...]) -> Any:
        from pytest_dlcheck.gradients.operations import EFFORTS, OperationGradients

        return OperationGradients(operation, function, self.backend, keras=keras, effort=EFFORTS["default"])

    def _values(self, operation: Operation, function: Callable[..., Any], keras: tuple[int, ...]) -> Any:
        from pytest_dlcheck.functions.check import FunctionCheck
        from pytest_dlcheck.functions.looks import EFFORTS

        return FunctionCheck(operation, function, self.backend, keras=keras, effort=EFFORTS["default"])

    def _function(self, issue: KnownIssue, operation: Operation, names: Sequence[str], make: Callable[..., Any]) -> Shown:
        from pytest_dlcheck.subjects.operations import find

        start = time.perf_counter()
        shown = Shown(issue.id, operation.subject, ", ".join(names), "any", False, NOT_HERE, "")
        shown = shown._replace(registered=any(self.registered(issue, operation.subject, name) for name in names))
        function = find(self.backend.keras, operation.name)
        if function is None:
            return shown._replace(message=f"keras {self.keras} has no {operation.name}")
        check = make(operation, function, tuple(int(part) for part in self.keras.split(".")[:3] if part.isdigit()))
        check.run()
        found = [failed for name in names for failed in check.judged(name, issue)]
        outcome = NOT_HERE if not found else FAILS if any(found) else HOLDS
        said = f"{sum(found)} of {len(found)} verdicts on the variants of which it speaks are failures"
        return shown._replace(outcome=outcome, message=said, seconds=time.perf_counter() - start)

    def shown(self, issue: KnownIssue) -> Iterator[Shown]:
        """What became of an entry: of each case that is stored for this backend, and of the functions that it names."""
        from pytest_dlcheck.known_issues.stored import stored_cases

        for stored in stored_cases(issue.id):
            if stored.backend == self.backend.name:
                yield self.stored(issue, stored)
        if self.backend.trains and (not issue.backends or self.backend.name in issue.backends):
            yield from self.functions(issue)


def examine(names: Sequence[str], backend_name: str | None, json_path: str | None) -> int:
    """Looks at entries of the register, all by default; gives 1 if one is contradicted, else 0.

    Args:
        names: ids; `*` and `?` match any.
        backend_name: on which backend; by default the first that is installed.
        json_path: where to write what was seen, as JSON.

    Raises:
        DlcheckError: there is no such entry, or the backend cannot be had.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from pytest_dlcheck.backends import BACKENDS, create, importable, installed, versions
    from pytest_dlcheck.devices import DeviceName, kinds_by_name
    from pytest_dlcheck.known_issues import load

    of_one = [each for each in load() if not each.of_difference()]
    issues = [each for each in of_one if not names or any(fnmatch.fnmatchcase(each.id, name) for name in names)]
    unknown = [name for name in names if not any(fnmatch.fnmatchcase(each.id, name) for each in issues)]
    if unknown:
        raise DlcheckError(f"the register has no entry {unknown[0]!r}; `dlcheck register` without a name shows all")
    name = backend_name or next((each for each in BACKENDS if installed(each)), None)
    if name not in BACKENDS or not installed(name):
        raise DlcheckError(f"backend {name!r} is not installed; there are {', '.join(filter(installed, BACKENDS)) or 'none'}")
    found_versions = versions(name)
    backend = create(name, kinds_by_name(()))
    backend.load()
    place = DeviceName.parse("cpu")
    register = Register(
        backend,
        found_versions["keras"],
        lambda issue, subject, wanted: (
            issue.applies(subject, wanted, name, found_versions, str(place)) and issue.lacking(importable)
        ),
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    seen: list[Shown] = []
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress, backend.activate(place):
        task = progress.add_task("", total=len(issues))
        for issue in issues:
            progress.update(task, description=issue.id)
            seen += register.shown(issue)
            progress.advance(task)
    if json_path is not None:
        _write(Path(json_path), name, found_versions, seen)
    _show(Console(), f"{name}: {', '.join(f'{key} {value}' for key, value in found_versions.items())}", seen, bool(names))
    if not seen:
        raise DlcheckError(f"of these entries none has a case on {name}")
    return 1 if any(each.contradicts() for each in seen) else 0


def _write(path: Path, backend: str, found_versions: dict[str, str], seen: Sequence[Shown]) -> None:
    report: dict[str, Any] = {"schema": SCHEMA, "backend": backend, "versions": found_versions}
    report["results"] = [each._asdict() for each in seen]
    try:
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise DlcheckError(f"{path} cannot be written: {error.strerror}") from None


def _show(console: Any, title: str, seen: Sequence[Shown], whole: bool) -> None:
    """What is worth looking at; of entries that were asked for by name, everything."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("entry", "subject", "property", "mode", "here", "what was seen", title=title)
    for each in seen:
        if not (whole or each.contradicts() or (each.outcome == FAILS and not each.registered)):
            continue
        said = each.outcome if each.registered else f"{each.outcome}, other versions registered"
        color = "bold red" if each.contradicts() else "yellow" if not each.registered and each.outcome == FAILS else "green"
        message = each.message if whole else each.message.partition("\n")[0][:120]
        subject = each.subject.removeprefix("keras.")
        table.add_row(each.issue, subject, each.property, each.mode, f"[{color}]{said}", escape(message))
    if table.row_count:
        console.print(table)
    entries = {outcome: len({each.issue for each in seen if each.outcome == outcome}) for outcome in (FAILS, HOLDS, NOT_HERE)}
    wrong = len({each.issue for each in seen if each.contradicts()})
    console.print(
        f"{len({each.issue for each in seen})} entries: {entries[FAILS]} fail, {entries[HOLDS]} hold, "
        f"{entries[NOT_HERE]} have nothing to show here; {wrong} contradict the register",
        highlight=False,
    )
