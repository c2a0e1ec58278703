"""`dlcheck bench`: measures workloads in pairs, shows what came of it, and writes it down."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pytest_dlcheck import __version__
from pytest_dlcheck.backends import BACKENDS, installed
from pytest_dlcheck.benchmark.comparison import SCHEMA, Comparison
from pytest_dlcheck.benchmark.paired import Plan, compare
from pytest_dlcheck.benchmark.plain import NAME
from pytest_dlcheck.benchmark.sides import Side
from pytest_dlcheck.benchmark.statistics import INCONCLUSIVE, OK, REGRESSED
from pytest_dlcheck.benchmark.variation import Variation
from pytest_dlcheck.benchmark.verdicts import Verdicts, judge
from pytest_dlcheck.devices import DeviceName, kinds_by_name
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.models.documented import DOCUMENTED

__all__ = ["Asked", "Result", "bench", "sides", "status"]

STATUS: Mapping[str, int] = {OK: 0, REGRESSED: 1, INCONCLUSIVE: 3}
FAILED = 2


@dataclass(frozen=True)
class Asked:
    """The options of the command, as they were written."""

    workloads: Sequence[str]
    backend: str | None = None
    against: str | None = None
    python: str | None = None
    against_backend: str | None = None
    options: Sequence[str] = ()
    against_options: Sequence[str] = ()
    budget_s: float = 180.0
    device: str = "cpu"
    seed: int = 0
    steps: int = 1000
    json_path: str | None = None
    folder: str | None = None


@dataclass(frozen=True)
class Result:
    """A workload's comparison with what is said of it, or why there is none."""

    workload: str
    comparison: Comparison | None
    verdicts: Verdicts | None
    error: str | None = None

    @property
    def status(self) -> int:
        return FAILED if self.verdicts is None else STATUS[self.verdicts.outcome]

    def dump(self) -> dict[str, Any]:
        if self.comparison is None or self.verdicts is None:
            return {"workload": self.workload, "error": self.error}
        return {**self.comparison.dump(), "verdict": self.verdicts.dump()}


def status(results: Sequence[Result]) -> int:
    """Of the whole command: an error outweighs a regression, and that a comparison without a verdict."""
    found = [result.status for result in results]
    return next((each for each in (FAILED, STATUS[REGRESSED], STATUS[INCONCLUSIVE]) if each in found), STATUS[OK])


def _backend(name: str | None, elsewhere: bool) -> str:
    """The backend of a side; `elsewhere`: in another environment, where only starting it tells what is installed."""
    if name is None:
        name = os.environ.get("KERAS_BACKEND") or next((each for each in BACKENDS if installed(each)), None)
        if name is None:
            raise DlcheckError(f"no backend is installed here; there are {', '.join(BACKENDS)}")
    if name == "numpy":
        raise DlcheckError("backend 'numpy' does not train, so there is nothing to time")
    if name not in (*BACKENDS, NAME):
        raise DlcheckError(f"unknown backend {name!r}; there are {', '.join(BACKENDS)}, and 'none' for a workload without one")
    if not elsewhere and name != NAME and not installed(name):
        raise DlcheckError(f"backend {name!r} is not installed here ('dlcheck doctor' says what is)")
    return name


def _other_environment(asked: Asked) -> tuple[Path | None, str | None, Mapping[str, str] | None]:
    """Interpreter, backend and variables of the side that is held against; None where it is this environment's."""
    if asked.against is not None and asked.python is not None:
        raise DlcheckError("--against and --python contradict each other: each names the other side's environment")
    if asked.python is not None:
        python = Path(asked.python).expanduser()
        if not python.is_file():
            raise DlcheckError(f"--python {asked.python}: there is no such interpreter")
        return python.absolute(), None, None
    if asked.against is None:
        return None, None, None
    try:
        environments = importlib.import_module("pytest_dlcheck.environments")
    except ImportError:
        raise DlcheckError("--against: this installation cannot make environments; name an interpreter with --python") from None
    found = environments.find(asked.against, environments.project_root(Path.cwd()))
    return Path(found.python), found.backend, dict(found.variables)


def _named(python: Path) -> str:
    """An interpreter as one calls it: a virtual environment by its folder."""
    return python.parent.parent.name if python.parent.name == "bin" and python.parent.parent.name else str(python)


def sides(asked: Asked) -> tuple[Side, Side | None]:
    """The side that is held against, and the one that is judged; None if the first is to be run twice.

    Raises:
        DlcheckError: the options contradict each other, or name what is not there.
    """
    python, their_backend, variables = _other_environment(asked)
    own = Variation.parse(asked.options)
    theirs = Variation.parse([*_others(asked.options, asked.against_options), *asked.against_options])
    backend = _backend(asked.backend, elsewhere=False)
    against = _backend(asked.against_backend or their_backend or backend, elsewhere=python is not None)
    told = {
        "environment": ("this environment", asked.against or _named(python)) if python else None,
        "backend": (backend, against) if backend != against else None,
        "options": own.unlike(theirs) if own != theirs else None,
    }
    differs = [pair for pair in told.values() if pair]
    if not (python or asked.against_backend or asked.against_options):
        return Side(", ".join(filter(None, (backend, str(own)))), None, backend, own), None
    names = [", ".join(str(pair[n]) for pair in differs) for n in (0, 1)] if differs else [backend, f"{backend} as before"]
    return Side(names[1], python, against, theirs, variables), Side(names[0], None, backend, own)


def _others(options: Sequence[str], against: Sequence[str]) -> list[str]:
    """The options of this side that the other has too: those that it is not given a value of its own for."""
    given = {text.partition("=")[0] for text in against}
    return [text for text in options if text.partition("=")[0] not in given]


def bench(asked: Asked) -> int:
    """Runs the command; gives the exit status: 0, 1 for a regression, 2 for an error, 3 where there is no verdict.

    Raises:
        DlcheckError: the options are wrong, or a file cannot be written.
    """
    from rich.console import Console

    from pytest_dlcheck.benchmark.show import show, watched

    if asked.steps < 1:
        raise DlcheckError(f"--steps takes a positive integer, not {asked.steps}")
    reference, candidate = sides(asked)
    console = Console()
    results: list[Result] = []
    names = list(dict.fromkeys(asked.workloads or [spec.name for spec in DOCUMENTED]))
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    for name in names:
        plan = Plan(
            name,
            reference,
            candidate,
            device=DeviceName.parse(asked.device),
            kinds=kinds_by_name(()),
            seed=asked.seed,
            budget_s=asked.budget_s,
            total_steps=asked.steps,
        )
        results.append(_measured(plan, watched))
        show(results[-1], console)
    _write(asked, results, started)
    return status(results)


def _measured(plan: Plan, watched: Callable[[Plan], Any]) -> Result:
    try:
        with watched(plan) as say:
            found = compare(plan, say)
    except DlcheckError as error:
        return Result(plan.workload, None, None, str(error))
    return Result(plan.workload, found, judge(found))


def document(results: Sequence[Result], started: str) -> dict[str, Any]:
    """All of it as plain data, raw samples included; docs/comparing.md says what each name means."""
    return {
        "schema": SCHEMA,
        "dlcheck": __version__,
        "started": started,
        "results": [result.dump() for result in results],
    }


def medians(results: Sequence[Result]) -> list[dict[str, Any]]:
    """For github-action-benchmark (`tool: customSmallerIsBetter`): the medians of the side that is judged."""
    found: list[dict[str, Any]] = []
    for result in results:
        compared, verdicts = result.comparison, result.verdicts
        if compared is None or verdicts is None or not compared.rounds:
            continue
        role = "reference" if compared.same else "candidate"
        for name, unit, values in (
            ("step", "ms", [1e3 * step for step in compared.steps(role)]),
            ("total", "s", compared.values(role, "total")),
            ("peak memory", "MiB", [size / 2**20 for size in compared.values(role, "memory")]),
        ):
            middle = sorted(values)[len(values) // 2]
            low, high = min(values), max(values)
            extra = f"{verdicts.outcome}; {len(values)} values from {low:.6g} to {high:.6g}"
            named = f"{compared.workload}, {compared.labels[role]}: {name}"
            found.append({"name": named, "unit": unit, "value": middle, "range": f"{high - low:.3g}", "extra": extra})
    return found


def _write(asked: Asked, results: Sequence[Result], started: str) -> None:
    whole = json.dumps(document(results, started), indent=1)
    if asked.json_path is not None:
        _write_one(Path(asked.json_path), whole)
    if asked.folder is not None:
        from pytest_dlcheck.benchmark.page import page

        folder = Path(asked.folder)
        _write_one(folder / "bench.json", whole)
        _write_one(folder / "github-action-benchmark.json", json.dumps(medians(results), indent=1))
        _write_one(folder / "index.html", page(results, started))


def _write_one(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DlcheckError(f"{path} cannot be written: {error.strerror}") from None
