"""Reads `report.json` back, and says in one line what is wrong with a file that is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.properties.verdict import VERDICTS

__all__ = ["SCHEMA", "as_report", "file_of", "parsed", "product_of", "read_report"]

SCHEMA = "dlcheck-report/1"

Report = dict[str, Any]


def file_of(path: str) -> Path:
    """The file itself, where a folder that `--dl-report` wrote may have been given."""
    place = Path(path)
    return place / "report.json" if place.is_dir() else place


def parsed(path: str) -> Any:
    """The JSON of a file, or of the report in a folder.

    Raises:
        DlcheckError: it cannot be read, or is no JSON.
    """
    place = file_of(path)
    try:
        text = place.read_text(encoding="utf-8")
    except OSError as error:
        raise DlcheckError(f"{place} cannot be read: {error.strerror}; give a folder that --dl-report wrote") from None
    except UnicodeDecodeError:
        raise DlcheckError(f"{place} is no report: it is not text") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DlcheckError(f"{place} is no JSON ({error}): was the run that wrote it cut off?") from None


def read_report(path: str) -> Report:
    """The report of a folder that `--dl-report` wrote, or of the file itself.

    Raises:
        DlcheckError: it cannot be read, or is no report of this schema.
    """
    return as_report(parsed(path), str(file_of(path)))


def as_report(found: Any, name: str) -> Report:
    """The same object, once what is read of it later has been seen to be there.

    Args:
        found: parsed JSON.
        name: of the file, for the message.

    Raises:
        DlcheckError: it is no report of this schema.
    """
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != SCHEMA:
        raise DlcheckError(f"{name} has schema {schema!r}, and {SCHEMA!r} is needed: another program's, or another version's")
    wrong = _wrong(found)
    if wrong is not None:
        raise DlcheckError(f"{name} says that it is {SCHEMA!r}, and {wrong}")
    return dict(found)


def _wrong(report: Report) -> str | None:
    for key, kind in (("product", list), ("run", dict), ("results", list), ("measurements", list)):
        if not isinstance(report.get(key), kind):
            return f"has no {key}"
    backends = set()
    for product in report["product"]:
        if not isinstance(product, dict) or not isinstance(product.get("backend"), dict) or "name" not in product["backend"]:
            return "one of its products has no backend"
        backends.add(product["backend"]["name"])
    for place, result in enumerate(report["results"]):
        if not isinstance(result, dict) or any(key not in result for key in ("subject", "property", "backend", "verdict")):
            return f"result {place} lacks one of subject, property, backend, verdict"
        if result["verdict"] not in VERDICTS:
            return f"result {place} has the verdict {result['verdict']!r}, which is none"
        if result["backend"] is not None and result["backend"] not in backends:
            return f"result {place} is of backend {result['backend']!r}, which is none of its products"
    return None


def product_of(entry: dict[str, Any]) -> str:
    """The product that a result or a measurement belongs to: by its name in a merged report, else by its backend."""
    return str(entry.get("product") or entry["backend"])
