"""A comparison as a table of the terminal, and what is shown while it is measured."""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from collections.abc import Callable, Iterator
from io import StringIO
from typing import TYPE_CHECKING, Any

from pytest_dlcheck.benchmark.comparison import CANDIDATE, REFERENCE, Comparison
from pytest_dlcheck.benchmark.statistics import INCONCLUSIVE, OK, REGRESSED
from pytest_dlcheck.benchmark.verdicts import PHASES, Verdicts
from pytest_dlcheck.report.words import duration, memory, rate

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pytest_dlcheck.benchmark.command import Result
    from pytest_dlcheck.benchmark.paired import Plan

__all__ = ["as_text", "rows", "show", "watched"]

COLOURS = {OK: "green", REGRESSED: "red", INCONCLUSIVE: "yellow"}


@contextlib.contextmanager
def watched(plan: Plan) -> Iterator[Callable[[str, float], None]]:
    """Shows on standard error what is being done, how much of the budget is spent and how much is left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    begun = time.monotonic()
    columns = (TextColumn("{task.fields[workload]}"), BarColumn(20), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=1.0, workload=plan.workload)

        def say(text: str, share: float) -> None:
            left = max(0.0, plan.budget_s - (time.monotonic() - begun))
            progress.update(task, completed=share, description=f"{text}; at most {duration(round(left))} to go")

        yield say


def quantile_99(values: list[float]) -> float:
    """The value that one in a hundred exceeds."""
    return sorted(values)[min(len(values) - 1, math.ceil(0.99 * len(values)) - 1)]


def rows(comparison: Comparison, verdicts: Verdicts) -> list[tuple[str, str, str, str, str]]:
    """Name, reference, candidate, change and verdict of each figure."""
    roles = [REFERENCE] if comparison.same else [REFERENCE, CANDIDATE]
    found = []

    def row(name: str, figure: Callable[[str], str], change: str = "", said: str = "") -> None:
        cells = [figure(role) for role in roles]
        found.append((name, cells[0], cells[1] if len(cells) > 1 else "", change, said))

    for number, clock in ((1, "cpu"), (0, "wall")):
        judged = verdicts.step.get(clock)
        change = ""
        if judged is not None:
            low, middle, high = judged.effect.percent
            change = f"{middle:+.1f} % ({low:+.1f} to {high:+.1f})"
        decides = clock == comparison.gate
        word = "processor" if clock == "cpu" else "wall"
        said = judged.outcome if judged is not None and decides else ""
        row(f"step, {word} time", lambda role, n=number: duration(statistics.median(comparison.steps(role, n))), change, said)  # type: ignore[misc]
    row("step, 99 % of blocks", lambda role: duration(quantile_99(comparison.steps(role))))
    row("samples per second", lambda role: rate(_speed(comparison, role)))
    for name in PHASES:
        phase = verdicts.phases.get(name)
        words = {"call": "per call of fit", "total": f"total, {comparison.total_steps} steps", "memory": "peak memory"}
        change = f"{100 * math.expm1(phase.change):+.1f} %" if phase is not None and not phase.negligible else ""
        said = phase.outcome if phase is not None and (phase.gated or phase.outcome != OK) else ""
        if phase is not None and said and not phase.gated:
            said = f"({said})"
        row(words.get(name, name), lambda role, n=name: _phase(comparison, role, n), change, said)  # type: ignore[misc]
    return found


def _speed(comparison: Comparison, role: str) -> float:
    return 1 / statistics.median(sample for run in comparison.runs(role) for sample in run.per_sample(comparison.clock))


def _phase(comparison: Comparison, role: str, name: str) -> str:
    middle = statistics.median(comparison.values(role, name))
    return memory(int(middle)) if name == "memory" else duration(middle)


def _table(comparison: Comparison, verdicts: Verdicts) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{comparison.workload}, batch {comparison.runs(REFERENCE)[0].start['batch']}", title_justify="left")
    table.add_column("", no_wrap=True)
    for label in comparison.labels.values():
        table.add_column(label, justify="right", overflow="fold", min_width=8)
    table.add_column("change (99 %)" if not comparison.same else "again", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for name, one, other, change, said in rows(comparison, verdicts):
        figures = [one] if comparison.same else [one, other]
        table.add_row(name, *figures, change, Text(said, COLOURS.get(said, "")))
    return table


def show(result: Result, console: Console) -> None:
    """Prints a comparison: the table, the verdict with its reasons, and what whoever reads it should know."""
    from rich.text import Text

    compared, verdicts = result.comparison, result.verdicts
    if compared is None or verdicts is None:
        console.print(Text(f"error: {result.error}", "red"))
        return
    if compared.rounds:
        console.print(_table(compared, verdicts))
    console.print(Text(verdicts.outcome, f"bold {COLOURS[verdicts.outcome]}"), Text(f"({compared.workload})"))
    for line in verdicts.why:
        console.print(Text(f"  {line}"))
    for note in compared.notes:
        console.print(Text(f"  note: {note}", "dim"))


def as_text(comparison: Comparison, verdicts: Verdicts) -> str:
    """The same without colours, for a message."""
    from rich.console import Console

    from pytest_dlcheck.benchmark.command import Result

    text = StringIO()
    options: dict[str, Any] = {"file": text, "width": 120, "color_system": None}
    show(Result(comparison.workload, comparison, verdicts), Console(**options))
    return text.getvalue().rstrip()
