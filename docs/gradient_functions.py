"""What `check_gradients` finds and takes on functions with planted defects, next to the checker that a framework brings along.

`KERAS_BACKEND=torch python docs/gradient_functions.py` runs the functions and the planted defects of
`tests/planted_gradients.py` on that backend (or `tensorflow`, `jax`), each through `check_gradients` and through the
framework's own checker, in float64 and at the same points.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from gradient_checkers import Subject, backend_of_environment, bar, every_checker, forget, milliseconds, repeated, timed
from planted_gradients import DEFECTS, FORWARD, FUNCTIONS, KINDS, SECOND, Defect, Function, on_keras, on_torch
from rich.console import Console
from rich.table import Table

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.backends.wide_floats import wide_floats
from pytest_dlcheck.gradients.public import check_gradients


def of_function(backend: Backend, function: Function, defect: Defect | None = None, *, seed: int) -> Subject:
    """A function with its own gradient, or with a defective one."""
    forward = function.jvp is not None and backend.name == "torch"
    if forward and (defect is None or defect.kind == FORWARD):
        run = on_torch(backend.keras, backend.framework, function, defect and defect.jvp)
    else:
        run, forward = on_keras(backend.keras, function, defect and defect.vjp), False
    point = function.at(seed)

    def check(**keywords: Any) -> None:
        check_gradients(run, point, name=function.name, backend=backend, seed=seed, **keywords)

    return Subject(check, run, point, forward)


# Runs.


@dataclass
class Score:
    """What one way of judging made of all subjects."""

    found: dict[str, list[bool]] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)


def run_functions(backend: Backend, console: Console, seeds: Sequence[int], every: int) -> dict[str, Score]:
    checkers = every_checker(backend)
    functions = FUNCTIONS[::every]
    defects = [each for each in DEFECTS[::every] if backend.name not in each.not_on]
    scores = {name: Score() for checker in checkers for name in checker.names}
    with bar(console) as progress:
        runs = [len(functions) + checker.planted * len(defects) for checker in checkers]
        task = progress.add_task("functions", total=len(seeds) * sum(runs))
        for checker in checkers:
            forget(backend)
            progress.update(task, description=checker.names[0])
            for seed in seeds:
                for function in functions:
                    with wide_floats(backend):
                        subject = of_function(backend, function, seed=seed)
                        found, first = timed(checker, subject)
                        again = repeated(checker, subject, first)
                    for name, wrong in found.items():
                        scores[name].first.append(first)
                        scores[name].again.append(again)
                        scores[name].alarms += [function.name] if wrong else []
                    progress.advance(task)
                for defect in defects if checker.planted else ():
                    with wide_floats(backend):
                        found, _ = timed(checker, of_function(backend, defect.function, defect, seed=seed))
                    for name, wrong in found.items():
                        scores[name].found.setdefault(defect.kind, []).append(wrong)
                        scores[name].missed += [] if wrong or defect.kind == SECOND else [defect.name]
                    progress.advance(task)
    return scores


# Tables.


def of_scores(backend: Backend, scores: dict[str, Score]) -> Table:
    table = Table(title=f"{backend.name}: functions, and defects planted in them", title_justify="left")
    table.add_column("checker")
    for name in ("defects found", "false alarms", "CPU ms per function, first call", "again"):
        table.add_column(name, justify="right")
    for name, score in scores.items():
        verdicts = [each for kind in score.found.values() for each in kind]
        cells = (f"{sum(verdicts)} of {len(verdicts)}" if verdicts else "not run", f"{len(score.alarms)} of {len(score.first)}")
        medians = (milliseconds(statistics.median(each)) for each in (score.first, score.again))
        table.add_row(name, *cells, *medians)
    return table


def by_kind(every: dict[str, Score]) -> Table:
    scores = {name: score for name, score in every.items() if score.found}
    table = Table(title="defects found, by kind", title_justify="left")
    table.add_column("kind")
    for number in range(1, len(scores) + 1):
        table.add_column(str(number), justify="right")
    for kind in KINDS:
        found = [score.found.get(kind, []) for score in scores.values()]
        if found[0]:
            table.add_row(f"{kind} ({len(found[0])})", *(str(sum(each)) for each in found))
    table.caption = "\n".join(f"{number}: {name}" for number, name in enumerate(scores, 1))
    table.caption_justify = "left"
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="of points and directions (default 1)")
    parser.add_argument("--every", type=int, default=1, help="of functions and defects only every so many-th (default 1)")
    given = parser.parse_args()
    console = Console(width=150)
    backend = backend_of_environment(console)
    scores = run_functions(backend, console, range(given.seeds), given.every)
    console.print(of_scores(backend, scores))
    console.print(by_kind(scores))
    for each, score in scores.items():
        for what, names in (("missed", score.missed), ("false alarm", score.alarms)):
            for one in sorted(set(names)):
                console.print(f"{each}: {what}: {one}", markup=False)


if __name__ == "__main__":
    main()
