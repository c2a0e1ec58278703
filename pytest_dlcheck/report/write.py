"""The report: `report.json` first, and what is made from it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_dlcheck import __version__
from pytest_dlcheck.report.collect import Result
from pytest_dlcheck.report.reading import SCHEMA

if TYPE_CHECKING:
    from pytest_dlcheck.run import Run

__all__ = ["SCHEMA", "as_json", "write"]


def as_json(run: Run, results: Sequence[Result], *, started: dt.datetime, seconds: float, exit_status: int) -> dict[str, Any]:
    """The report as `docs/report.md` describes it."""
    from pytest_dlcheck.hardware import machine
    from pytest_dlcheck.startup import products

    host = machine()
    # As they were collected: workers finish in an order of their own.
    order = {facts.nodeid: place for worker in run.facts.values() for place, facts in enumerate(worker)}
    results = sorted(results, key=lambda each: order.get(each.facts.nodeid, len(order)))
    return {
        "schema": SCHEMA,
        "product": [
            {
                **versions,
                "python": host["python"],
                "backend": {"name": name},
                "device": {"names": [str(device) for device in run.plan.devices[name]], "gpus": host["gpus"]},
                "cpu": host["cpu"],
                "cores": host["cores"],
                "memory_bytes": host["memory_bytes"],
                "os": host["os"],
            }
            for name, versions in products(run).items()
        ],
        "run": {
            "seed": run.plan.seed,
            "profile": run.plan.profile,
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
            "suite": __version__,
            "exit_status": exit_status,
            "left_out": dict(run.plan.left_out),
        },
        "results": [_result(each) for each in results],
        "measurements": [_measurement(each, entry) for each in results for entry in each.measurements],
    }


def _result(result: Result) -> dict[str, Any]:
    return {
        "subject": result.subject,
        "property": result.property,
        "backend": result.facts.backend,
        "device": result.facts.device,
        "api": result.facts.api,
        "dtype": result.dtype,
        "mode": result.mode,
        "verdict": result.verdict,
        "examples": result.examples,
        "seconds": round(result.seconds, 4),
        "message": result.message,
        "details": result.details,
        "test": result.facts.nodeid,
        "worker": result.worker,
        "known_issue": result.known_issue,
        "case": None if result.case is None else json.loads(result.case),
    }


def _measurement(result: Result, entry: dict[str, Any]) -> dict[str, Any]:
    side = entry["sides"][entry["side"]]
    return {
        "subject": result.subject,
        "backend": entry["backend"],
        "device": entry["device"],
        "workload": entry["workload"],
        "side": entry["side"],
        "test": result.facts.nodeid,
        "batch_size": entry["batch_size"],
        "data": entry["data"],
        "threads": entry["threads"],
        "import_s": entry["import_s"],
        "start_s": entry["start_s"],
        "build_s": entry["build_s"],
        "first_step_s": side["first_step_s"],
        "step_s": list(side["samples_s"]),
        "call_s": list(side["calls_s"]),
        "steps_per_block": side["steps_per_block"],
        "peak_memory_bytes": entry["peak_memory_bytes"],
    }


def _write_cases(folder: Path, results: Sequence[Mapping[str, Any]], keras: Mapping[str, str]) -> None:
    """A script for each result that shows something, and beside it the case itself, for `dlcheck replay`.

    Args:
        folder: where.
        results: as in the report.
        keras: its version, by backend.
    """
    shown = [each for each in results if each["case"] is not None]
    if not shown:
        return
    from pytest_dlcheck.architectures.script import architecture_script
    from pytest_dlcheck.cases.case import Case, revive
    from pytest_dlcheck.cases.script import script

    folder.mkdir(exist_ok=True)
    for each in shown:
        name = "-".join(
            [each["subject"].removeprefix("keras."), each["property"], each["backend"], each["dtype"], each["mode"]]
        )
        said = f"{each['property']}: {each['verdict']}\n{each['message']}"
        try:
            found = revive(each["case"])
            if isinstance(found, Case):
                text = script(found, each["backend"], said, keras.get(each["backend"], "3"))
            else:
                text = architecture_script(found, each["backend"], said)
        except Exception as error:  # noqa: BLE001 - the report must not be lost over one script
            text = f"# The case could not be written as a script: {type(error).__name__}: {error}\n"
        (folder / f"{name}.py").write_text(text, "utf-8", "backslashreplace")
        stored = {key: each[key] for key in ("subject", "property", "backend", "device", "dtype", "mode", "verdict", "case")}
        (folder / f"{name}.json").write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def write(folder: str, report: Mapping[str, Any]) -> Path:
    """Writes the three files of a report, as `as_json` gives it; gives the path of the page.

    Raises:
        OSError: the folder cannot be written to any more.
    """
    from pytest_dlcheck.report.html import page
    from pytest_dlcheck.report.markdown import summary

    target = Path(folder)
    (target / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    # What a test says may hold half of a surrogate pair, which no encoding takes.
    (target / "summary.md").write_text(summary(report), encoding="utf-8", errors="backslashreplace")
    keras = {product["backend"]["name"]: product["keras"] for product in report["product"] if "keras" in product}
    _write_cases(target / "cases", report["results"], keras)
    path = target / "index.html"
    path.write_text(page(report), encoding="utf-8", errors="backslashreplace")
    return path
