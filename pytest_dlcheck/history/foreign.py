"""Files of pytest-benchmark and of asv as reports, so that what was measured before can stand in a history."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.report.reading import SCHEMA, as_report, file_of, parsed

__all__ = ["read_any"]

Found = Mapping[str, Any]
UNITS = {"seconds": "s"}
# What asv's own prefixes say, where its benchmarks.json is not beside the file.
PREFIXES = (
    ("time_", "time", "s"),
    ("mem_", "memory", "bytes"),
    ("peakmem_", "peak_memory", "bytes"),
    ("track_", "tracked", "unit"),
)


def read_any(path: str) -> dict[str, Any]:
    """A report: ours, or made of pytest-benchmark's JSON or of one of asv's result files.

    Raises:
        DlcheckError: it cannot be read, or is none of them.
    """
    found, name = parsed(path), str(file_of(path))
    if isinstance(found, dict):
        try:
            if {"machine_info", "benchmarks", "datetime"} <= found.keys():
                return as_report(_of_pytest_benchmark(found), name)
            if {"commit_hash", "results", "params"} <= found.keys():
                return as_report(_of_asv(found, Path(name)), name)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise DlcheckError(f"{name} cannot be read as measurements ({type(error).__name__}: {error})") from None
    return as_report(found, name)


def _report(product: dict[str, Any], run: dict[str, Any], series: list[dict[str, Any]]) -> dict[str, Any]:
    return {"schema": SCHEMA, "product": [product], "run": run, "results": [], "measurements": [], "series": series}


def _of_pytest_benchmark(found: Found) -> dict[str, Any]:
    """`--benchmark-json`, with its samples where they were kept (they are, by default)."""
    machine = found["machine_info"]
    cpu = machine.get("cpu") or {}
    product = {
        "backend": {"name": "python"},
        "python": str(machine["python_version"]),
        "device": {"names": ["cpu:0"], "gpus": []},
        "cpu": str(cpu.get("brand_raw") or cpu.get("brand") or machine.get("processor") or machine.get("machine") or "unknown"),
        "cores": cpu.get("count"),
        "os": f"{machine.get('system', '')} {machine.get('release', '')}".strip(),
        **_versions(machine.get("dlcheck") or {}),
    }
    commit = (found.get("commit_info") or {}).get("id")
    run = {"started": found["datetime"], "suite": f"pytest-benchmark {found.get('version', '')}".strip(), "commit": commit}
    return _report(product, run, [_of_benchmark(each) for each in found["benchmarks"]])


def _versions(products: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Of a run in which this plugin said what it ran on; where backends differ, nobody can say which a benchmark was of."""
    kept: dict[str, set[str]] = {}
    for versions in products.values():
        for name, version in versions.items():
            kept.setdefault(name, set()).add(str(version))
    return {name: versions.pop() for name, versions in kept.items() if len(versions) == 1}


def _of_benchmark(each: Found) -> dict[str, Any]:
    stats = each["stats"]
    fullname = str(each.get("fullname") or each["name"])
    return {
        "subject": fullname.rpartition("::")[2] if "::" not in fullname else fullname.partition("::")[2],
        "suite": fullname.partition("::")[0],
        "backend": "python",
        "phase": "benchmark",
        "metric": "time",
        "unit": "s",
        "side": str(each.get("group") or "call"),
        "value": stats["median"],
        "samples": stats.get("data") or [stats["median"]],
    }


def _of_asv(found: Found, path: Path) -> dict[str, Any]:
    """`results/MACHINE/COMMIT-ENVIRONMENT.json`, version 2: a run of its commit's day, since asv measures old commits late."""
    if found.get("version") != 2:
        raise ValueError(f"asv's results of version {found.get('version')!r}; version 2 is read")
    params = found["params"]
    product = {
        **{name: str(version) for name, version in (found.get("requirements") or {}).items() if version},
        "backend": {"name": "python"},
        "python": str(found.get("python") or params.get("python")),
        "device": {"names": ["cpu:0"], "gpus": []},
        "cpu": str(params.get("cpu") or params.get("machine") or "unknown"),
        "cores": int(params["num_cpu"]) if params.get("num_cpu") else None,
        "os": str(params.get("os", "")),
    }
    at = dt.datetime.fromtimestamp(float(found["date"]) / 1000, dt.timezone.utc)
    run = {"started": at.isoformat(timespec="seconds"), "suite": "asv", "commit": found["commit_hash"]}
    units = _asv_units(path)
    columns = found["result_columns"]
    series = [
        row
        for name, values in found["results"].items()
        if values is not None
        for row in _of_asv_result(name, dict(zip(columns, values, strict=False)), units)
    ]
    return _report(product, run, series)


def _asv_units(path: Path) -> Mapping[str, str]:
    """asv's description of its benchmarks, two folders up or beside; empty where there is none."""
    for place in (path.parent.parent, path.parent):
        try:
            known = json.loads((place / "benchmarks.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return {name: str(each["unit"]) for name, each in known.items() if isinstance(each, dict) and "unit" in each}
    return {}


def _of_asv_result(name: str, values: Mapping[str, Any], units: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    results: Sequence[Any] = values["result"] or []
    samples = values.get("samples") or [None] * len(results)
    combinations = list(itertools.product(*(values.get("params") or [])))
    function = name.rpartition(".")[2]
    _, metric, unit = next((each for each in PREFIXES if function.startswith(each[0])), ("", "tracked", "unit"))
    unit = units.get(name, unit)
    for combination, value, taken in zip(combinations, results, samples, strict=True):
        if value is None or not math.isfinite(value):
            continue  # it failed, or was skipped, for these
        yield {
            "subject": f"{name}({', '.join(combination)})" if combination else name,
            "suite": name.partition(".")[0],
            "backend": "python",
            "phase": "benchmark",
            "side": "call",
            "metric": metric,
            "unit": UNITS.get(unit, unit),
            "value": value,
            "samples": taken or [value],
        }
