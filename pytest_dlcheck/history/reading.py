"""From a report to what the history keeps: runs, products, verdicts, measurements. Pure functions on the JSON."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.history.keys import LineKey, SeriesKey
from pytest_dlcheck.report.reading import product_of
from pytest_dlcheck.report.table import SEVERITY

__all__ = ["Check", "Outcome", "Point", "error_share", "outcomes", "points", "started_of", "versions_of"]

Report = Mapping[str, Any]

# What a product holds beside its versions.
FINGERPRINT = ("python", "backend", "device", "cpu", "cores", "memory_bytes", "os", "name")
SHARES = (
    re.compile(r"the worst at (\S+) of its tolerance"),
    re.compile(r"; (\S+) times exceeded"),
)


@dataclass(frozen=True)
class Check:
    """One property of one subject in one product and mode."""

    subject: str
    property: str
    product: str
    device: str | None
    api: str | None
    dtype: str | None
    mode: str | None


@dataclass(frozen=True)
class Outcome:
    """What a run found of a check: the worst verdict of its tests, and the largest share of a tolerance that was used."""

    check: Check
    verdict: str
    error: float | None
    message: str | None
    known_issue: str | None
    test: str | None
    examples: int
    backend: str | None = None
    case: str | None = None
    """As JSON, the one that shows the verdict, as `dlcheck replay` takes it."""


@dataclass(frozen=True)
class Point:
    """One measured figure of a run, with its samples.

    Attributes:
        series: what of.
        value: the median of the samples.
        samples: as measured, in the line's unit; for `aa`, log-ratios of two identical sides.
        aa: whether the two sides were the same code, so that this is noise.
        ratio: to the reference workload measured in the same run; None where there was none.
    """

    series: SeriesKey
    value: float
    samples: tuple[float, ...]
    aa: bool = False
    ratio: float | None = None


def started_of(report: Report, name: str) -> str:
    """When the run began: UTC, ISO 8601, comparable as text.

    Raises:
        DlcheckError: the report does not say.
    """
    try:
        found = dt.datetime.fromisoformat(report["run"]["started"])
    except (KeyError, TypeError, ValueError):
        raise DlcheckError(f"{name} does not say when its run began (run.started)") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=dt.timezone.utc)
    return found.astimezone(dt.timezone.utc).isoformat(timespec="seconds")


def versions_of(product: Mapping[str, Any]) -> dict[str, str]:
    """Of the distributions of a product."""
    return {name: version for name, version in product.items() if name not in FINGERPRINT and isinstance(version, str)}


def error_share(message: str | None) -> float | None:
    """The largest share of its tolerance that a message of `properties/comparison.py` speaks of: above 1, exceeded."""
    found = [float(each) for pattern in SHARES for each in pattern.findall(message or "")]
    found = [each for each in found if math.isfinite(each)]
    return max(found, default=None)


def outcomes(report: Report, channel: str = "") -> list[Outcome]:
    """One for each check; of several tests of one check the worst verdict counts.

    Args:
        report: its JSON.
        channel: which of several environments it is of; empty where there is one.
    """
    grouped: dict[Check, list[Mapping[str, Any]]] = {}
    for each in report["results"]:
        product = " ".join(filter(None, [product_of(each) if each["backend"] is not None else "", channel]))
        place = (each.get("device"), each.get("api"), each.get("dtype"), each.get("mode"))
        grouped.setdefault(Check(each["subject"], each["property"], product, *place), []).append(each)
    return [_outcome(check, found) for check, found in grouped.items()]


def _outcome(check: Check, found: Sequence[Mapping[str, Any]]) -> Outcome:
    worst = min(found, key=lambda each: SEVERITY.index(each["verdict"]))
    # A known failure is as wrong as its drawn case happens to be: its size says nothing of what was not known.
    shares = [
        share for each in found if each["verdict"] not in ("known", "skip") and (share := error_share(each.get("message")))
    ]
    return Outcome(
        check,
        worst["verdict"],
        max(shares, default=None),
        worst.get("message"),
        worst.get("known_issue"),
        worst.get("test"),
        sum(each.get("examples") or 1 for each in found),
        worst["backend"],
        None if worst.get("case") is None else json.dumps(worst["case"]),
    )


def points(report: Report, name: str, reference: str | None = None, channel: str = "") -> list[Point]:
    """The figures of a run.

    Args:
        report: its JSON.
        name: of its file, for messages.
        reference: the workload whose figure divides the others of its side, phase, backend and device; None for no ratios.
        channel: which of several environments it is of; empty where there is one.

    Raises:
        DlcheckError: a figure lacks something, is no number, or one is there twice.
    """
    products = {str(each.get("name") or each["backend"]["name"]): each for each in report["product"]}
    found: dict[tuple[str, bool], Point] = {}
    places = [*enumerate(report["measurements"]), *enumerate(report.get("series", []))]
    for place, entry in places:
        try:
            product = products[product_of(entry)]
            known = _Known(product, str(report["run"].get("suite")), channel)
            made = list(_measured(entry, known) if "step_s" in entry else _listed(entry, known))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise DlcheckError(f"{name}: measurement {place} cannot be read ({type(error).__name__}: {error})") from None
        for point in made:
            key = point.series.digest, point.aa
            if key in found:
                raise DlcheckError(f"{name}: {point.series.line.title()} is measured twice in one run")
            found[key] = point
    return _with_ratios(list(found.values()), reference)


def _point(key: SeriesKey, samples: Sequence[float], value: float | None = None, *, aa: bool = False) -> Point:
    kept = tuple(float(each) for each in samples)
    middle = statistics.median(kept) if value is None else float(value)
    if not all(map(math.isfinite, (*kept, middle))) or (middle < 0 and not aa):
        raise ValueError(f"{key.line.title()} is {middle}, of {kept[:3]}")
    return Point(key, middle, kept, aa)


@dataclass(frozen=True)
class _Known:
    """What all figures of a product share."""

    product: Mapping[str, Any]
    suite: str
    channel: str


def _key(entry: Mapping[str, Any], known: _Known, **fixed: str) -> SeriesKey:
    product = known.product
    device = str(entry.get("device") or "cpu:0")
    kind, _, index = device.partition(":")
    gpus = product["device"].get("gpus") or []
    gpu = gpus[int(index or 0)] if kind == "gpu" and gpus else None
    said = {**entry, **fixed}
    line = LineKey(
        channel=known.channel,
        suite=str(entry.get("suite") or str(entry.get("test") or "").split("::")[0]),
        subject=str(entry["subject"]),
        workload=str(entry.get("workload") or entry["subject"]),
        side=str(entry.get("side") or "fit"),
        phase=str(said["phase"]),
        metric=str(said["metric"]),
        unit=str(said["unit"]),
        backend=str(entry["backend"]),
        batch=entry.get("batch_size"),
        dtype=entry.get("dtype"),
        jit=None if entry.get("jit") is None else str(entry["jit"]),
        device=device,
        device_model=str(gpu["name"] if gpu else product["cpu"] if kind == "cpu" else entry.get("device_model") or "unknown"),
        driver=gpu["driver"] if gpu else None,
        cpu=str(product["cpu"]),
        cores=product.get("cores"),
        threads=entry.get("threads"),
        python=".".join(str(product["python"]).split(".")[:2]),
    )
    return SeriesKey.of(line, {**versions_of(product), "pytest-dlcheck": known.suite})


def _measured(entry: Mapping[str, Any], known: _Known) -> Iterator[Point]:
    """What one timed side says: each phase a series of its own."""
    phases: list[tuple[str, str, str, Sequence[float]]] = [
        ("step", "time", "s", entry["step_s"]),
        ("call", "time", "s", entry["call_s"]),
        ("first_step", "time", "s", [entry["first_step_s"]]),
    ]
    if entry["side"] == "fit":  # both sides share a process: what is of the process is kept once
        phases += [
            ("import", "time", "s", [entry["import_s"]]),
            ("build", "time", "s", [entry["start_s"] + entry["build_s"]]),
            ("process", "peak_memory", "bytes", [entry["peak_memory_bytes"]]),
        ]
    for phase, metric, unit, samples in phases:
        yield _point(_key(entry, known, phase=phase, metric=metric, unit=unit), samples)


def _listed(entry: Mapping[str, Any], known: _Known) -> Iterator[Point]:
    """A row of the table `series`, as docs/history.md describes it."""
    aa = entry.get("role", "value") == "aa"
    yield _point(_key(entry, known), entry.get("samples") or [entry["value"]], entry.get("value"), aa=aa)


def _with_ratios(found: Sequence[Point], reference: str | None) -> list[Point]:
    def place(point: Point) -> tuple[Any, ...]:
        line = point.series.line
        return (
            line.channel,
            line.side,
            line.phase,
            line.metric,
            line.backend,
            line.device,
            line.threads,
            point.series.versions,
        )

    wanted = {place(each): each for each in found if each.series.line.workload == reference and not each.aa}

    def ratio(point: Point) -> float | None:
        other = wanted.get(place(point))
        return point.value / other.value if other is not None and other.value > 0 and not point.aa else None

    return [replace(each, ratio=ratio(each)) for each in found]
