"""What changed between two reports: verdicts, and speed and memory where both measured them. Pure functions on the JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.records.changes import Change, Comparison
from pytest_dlcheck.report.across import FAILS, HOLDS
from pytest_dlcheck.report.merging import check_of, names_of_products
from pytest_dlcheck.report.table import worst
from pytest_dlcheck.report.words import duration, memory

__all__ = ["GREW", "SLOWER", "compare_reports"]

Report = Mapping[str, Any]

SLOWER = 1 + 3 * 0.24
"""How many times a step must take before two reports say anything: medians of runs one after the other scatter by 24 % on a
shared machine (docs/benchmarking.md), and three standard deviations of that are not chance."""

GREW = 1.1
"""The same for peak memory, which scatters by some per cent: half of the least that a benchmark is to find, 20 %."""


def compare_reports(old: Report, new: Report) -> Comparison:
    """The checks and measurements of one product in two versions.

    Raises:
        DlcheckError: a report holds several products of one backend, or they have no check in common.
    """
    for report in (old, new):
        backends = [product["backend"]["name"] for product in report["product"]]
        twice = next((name for name in backends if backends.count(name) > 1), None)
        if twice is not None:
            raise DlcheckError(f"a report holds {backends.count(twice)} products of {twice}: give reports of one product each")
    found = Comparison(_name(old), _name(new))
    before, after = _checks(old), _checks(new)
    found.compared = len(before.keys() & after.keys())
    speeds = _measurements(old).keys() & _measurements(new).keys()
    if not found.compared and not speeds:
        raise DlcheckError("the two reports have no check in common: they are of other suites, or of other backends")
    for key in dict.fromkeys([*before, *after]):
        found.changes += _verdicts(key, before.get(key, []), after.get(key, []), found)
    found.changes += _speeds(old, new)
    if old["run"].get("seed") != new["run"].get("seed") or old["run"].get("profile") != new["run"].get("profile"):
        found.notes.append(
            "the runs had other seeds or profiles, so other cases were drawn: a verdict may differ for that alone"
        )
    return found


def _name(report: Report) -> str:
    products = [{key: value for key, value in each.items() if key != "name"} for each in report["product"]]
    names = names_of_products(products)
    return "; ".join(f"{name}, keras {each.get('keras', '?')}" for name, each in zip(names, products, strict=True))


def _checks(report: Report) -> dict[tuple[str, ...], list[Mapping[str, Any]]]:
    found: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for result in report["results"]:
        if result["backend"] is not None:
            found.setdefault((result["backend"], *check_of(result)), []).append(result)
    return found


def _verdicts(
    key: tuple[str, ...], before: list[Mapping[str, Any]], after: list[Mapping[str, Any]], found: Comparison
) -> Iterator[Change]:
    backend, subject, name, *rest = key
    how = ", ".join(part for part in (backend, *rest) if part not in ("", "cpu:0"))
    if not before or not after:
        kind = "check appears" if after else "check disappears"
        yield Change(
            subject, kind, name, f"{name} ({how}) was judged in the {'new' if after else 'old'} report only", cause=kind
        )
        return
    old, new = (worst(str(each["verdict"]) for each in side) for side in (before, after))
    if old == new:
        found.identical += 1
        return
    kind = "verdict fails" if new in FAILS and old in HOLDS else "verdict holds" if new in HOLDS and old in FAILS else "verdict"
    shown = next(each for side, verdict in ((after, new), (before, old)) for each in side if each["verdict"] == verdict)
    if kind == "verdict holds":
        shown = next(each for each in before if each["verdict"] == old)
    case = shown.get("case")
    message = f"{new} instead of {old} ({how})\n{shown.get('message') or ''}".strip()
    stored = {"case": case, "backend": backend} if case is not None else None
    yield Change(subject, kind, name, message, case=stored, size=1)


def _measurements(report: Report) -> dict[tuple[str, ...], Mapping[str, Any]]:
    keys = ("subject", "workload", "backend", "device", "side")
    return {tuple(str(each.get(key)) for key in keys): each for each in report["measurements"]}


def _speeds(old: Report, new: Report) -> Iterator[Change]:
    before, after = _measurements(old), _measurements(new)
    for key in before.keys() & after.keys():
        first, second = before[key], after[key]
        subject, _, backend, _, side = key
        for what, name, limit, told in (
            ("step_s", "a step", SLOWER, duration),
            ("first_step_s", "the first step", SLOWER, duration),
            ("import_s", "the import", SLOWER, duration),
            ("peak_memory_bytes", "peak memory", GREW, memory),
        ):
            if first.get(what) is None or second.get(what) is None:
                continue
            values = [statistics.median(each[what]) if isinstance(each[what], list) else each[what] for each in (first, second)]
            ratio = values[1] / values[0] if values[0] else 1.0
            if max(ratio, 1 / ratio if ratio else 1.0) > limit:
                kind = "memory" if what == "peak_memory_bytes" else "speed"
                said = f"{name} ({backend}, {side}): {told(values[1])} instead of {told(values[0])}, {ratio:.2f} times"
                yield Change(subject, kind, name, said, size=max(ratio, 1 / ratio))
