"""What the page and the summary show, worked out from a report: pure functions on the JSON."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_dlcheck.properties.verdict import HARMLESS

__all__ = ["SEVERITY", "Cell", "Matrix", "Row", "Speed", "column_of", "headline", "matrix", "speeds", "worst"]

Report = Mapping[str, Any]

SEVERITY = (
    "crash",
    "broken",
    "fail",
    "timeout",
    "fixed",
    "reject_mismatch",
    "flaky",
    "imprecise",
    "kink",
    "known",
    "weak",
    "unsupported",
    "skip",
    "pass",
)
"""The worst first: what a cell shows when it holds several verdicts."""


@dataclass(frozen=True)
class Cell:
    """All results of one subject, property and column; `number` finds their details on the page."""

    number: int
    verdict: str
    results: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Row:
    """One subject in one column of products: a cell per property, None where nothing was run."""

    column: str
    cells: Sequence[Cell | None]


@dataclass(frozen=True)
class Matrix:
    """Subjects by properties, with a row for each backend (and API, and device beside the first) under each subject."""

    properties: Sequence[str]
    subjects: Mapping[str, Sequence[Row]]
    cells: Sequence[Cell] = field(default=())


def worst(verdicts: Iterable[str]) -> str:
    """The verdict that a reader must see first."""
    return min(verdicts, key=SEVERITY.index)


def column_of(result: Mapping[str, Any]) -> str:
    """The product that a result belongs to, in words: `jax`, `tensorflow (tf.keras)`, `torch on gpu:0`."""
    name = str(result["backend"])
    if result.get("api") not in (None, "keras"):
        name += f" ({result['api']})"
    if result.get("device") not in (None, "cpu:0"):
        name += f" on {result['device']}"
    return name


def _order(report: Report) -> Callable[[Mapping[str, Any]], tuple[int, str, str]]:
    """By which to sort what belongs to one subject: its products as the report lists them, each API beside its backend."""
    names = [product["backend"]["name"] for product in report["product"]]

    def place(result: Mapping[str, Any]) -> tuple[int, str, str]:
        backend = result["backend"]
        return names.index(backend) if backend in names else len(names), result.get("device") or "", result.get("api") or ""

    return place


def matrix(report: Report) -> Matrix:
    """Subjects and properties in the order in which they came, products as the report lists them."""
    properties = list(dict.fromkeys(result["property"] for result in report["results"]))
    grouped: dict[str, dict[str, dict[str, list[Mapping[str, Any]]]]] = {}
    for result in sorted(report["results"], key=_order(report)):
        columns = grouped.setdefault(result["subject"], {})
        columns.setdefault(column_of(result), {}).setdefault(result["property"], []).append(result)
    cells: list[Cell] = []

    def cell(results: Sequence[Mapping[str, Any]]) -> Cell | None:
        if not results:
            return None
        cells.append(Cell(len(cells), worst(result["verdict"] for result in results), results))
        return cells[-1]

    subjects = {
        subject: [Row(column, [cell(found.get(name, [])) for name in properties]) for column, found in grouped[subject].items()]
        for subject in dict.fromkeys(result["subject"] for result in report["results"])
    }
    return Matrix(properties, subjects, cells)


def counts(report: Report) -> dict[str, int]:
    """How often each verdict was given, the worst first."""
    found = Counter(result["verdict"] for result in report["results"])
    return {verdict: found[verdict] for verdict in SEVERITY if found[verdict]}


def headline(report: Report) -> tuple[str, bool]:
    """One sentence that says how it went, and whether it went well."""
    found = counts(report)
    total = sum(found.values())
    bad = sum(count for verdict, count in found.items() if verdict not in HARMLESS)
    ran = total - found.get("skip", 0)
    if not ran:
        return "Nothing was checked: no test ran", False
    if bad:
        return f"{bad:,} of {ran:,} {_checks(ran)} {'does' if bad == 1 else 'do'} not hold", False
    known = found.get("known", 0)
    held = ran - known
    sentence = f"{held:,} {_checks(held)} {'holds' if held == 1 else 'hold'}"
    if known:
        sentence += f", {known:,} {'fails' if known == 1 else 'fail'} as known"
    if report["run"]["exit_status"]:
        return f"{sentence}, and the run ended with exit status {report['run']['exit_status']}", False
    return sentence if known or ran == 1 else f"All {sentence}", True


def _checks(count: int) -> str:
    return "check" if count == 1 else "checks"


@dataclass(frozen=True)
class Speed:
    """Training speed of one model on one backend and device: `fit`, and beside it the loop written out, if there is one."""

    subject: str
    column: str
    backend: str
    batch_size: int
    import_s: float
    start_s: float
    build_s: float
    first_step_s: float
    call_s: float
    fit_s: Sequence[float]
    loop_s: Sequence[float]
    peak_memory_bytes: int

    @property
    def fit_median_s(self) -> float:
        return statistics.median(self.fit_s)

    @property
    def loop_median_s(self) -> float | None:
        return statistics.median(self.loop_s) if self.loop_s else None

    @property
    def samples_per_second(self) -> float:
        return self.batch_size / self.fit_median_s

    @property
    def compile_s(self) -> float:
        """What the first step took beyond a later call of one step."""
        return max(0.0, self.first_step_s - self.call_s - self.fit_median_s)

    @property
    def ratio(self) -> float | None:
        """How many times longer a step takes in `fit`: the median of the paired ratios."""
        if not self.loop_s:
            return None
        if len(self.loop_s) != len(self.fit_s):  # measured apart, so there are no pairs
            return self.fit_median_s / statistics.median(self.loop_s)
        return statistics.median(fit / loop for fit, loop in zip(self.fit_s, self.loop_s, strict=True))

    @staticmethod
    def spread(samples: Sequence[float]) -> tuple[float, float]:
        """The quartiles."""
        low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
        return low, high


def speeds(report: Report) -> list[Speed]:
    """One entry per subject, backend and device that `fit` was timed for, subject by subject."""

    def key(each: Mapping[str, Any]) -> tuple[Any, ...]:
        return each["subject"], each["workload"], each["backend"], each["device"]

    loops = {key(each): each for each in report["measurements"] if each["side"] == "loop"}
    found = []
    subjects = list(dict.fromkeys(each["subject"] for each in report["measurements"]))
    place = _order(report)
    for each in sorted(report["measurements"], key=lambda each: (subjects.index(each["subject"]), place(each))):
        if each["side"] != "fit":
            continue
        loop = loops.get(key(each))
        found.append(
            Speed(
                subject=each["subject"],
                column=column_of({**each, "api": None}),
                backend=each["backend"],
                batch_size=each["batch_size"],
                import_s=each["import_s"],
                start_s=each["start_s"],
                build_s=each["build_s"],
                first_step_s=each["first_step_s"],
                call_s=statistics.median(each["call_s"]),
                fit_s=each["step_s"],
                loop_s=loop["step_s"] if loop is not None else (),
                peak_memory_bytes=each["peak_memory_bytes"],
            )
        )
    return found
