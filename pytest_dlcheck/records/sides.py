"""The two sides of `dlcheck diff`: a report, a record, an interpreter or an environment by name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.records.record import Record, is_record, read_record
from pytest_dlcheck.report.reading import read_report

__all__ = ["HERE", "Product", "Side", "side_of"]

HERE = "here"
"""The environment of this process."""


@dataclass(frozen=True)
class Product:
    """An interpreter that can be asked.

    Attributes:
        python: its path.
        variables: further environment variables.
        backend: which one it is to load; None where that is to be chosen.
    """

    python: str
    variables: Mapping[str, str] = field(default_factory=dict)
    backend: str | None = None


Side = Record | Product | dict[str, Any]
"""A dictionary is a report."""


def side_of(text: str, root: Path) -> Side:
    """What a side's name stands for.

    Args:
        text: `here`, `python:PATH`, the path of a record or of a report, or the name of an environment.
        root: the project's folder, for the names in its table.

    Raises:
        DlcheckError: it is none of these, or cannot be read.
    """
    if text == HERE:
        return Product(sys.executable)
    if text.startswith("python:"):
        return _interpreter(text.removeprefix("python:"))
    path = Path(text)
    if path.is_dir():
        return read_report(text)
    if path.is_file():
        return read_record(path) if is_record(path) else read_report(text)
    if path.suffix in (".json", ".record") or "/" in text:
        raise DlcheckError(f"{text} is not there: give a report, a record, python:PATH, 'here', or an environment's name")
    return _environment(text, root)


def _interpreter(path: str) -> Product:
    if not Path(path).is_file():
        raise DlcheckError(f"python:{path}: there is no such interpreter")
    return Product(path)


def _environment(name: str, root: Path) -> Product:
    try:
        environments = importlib.import_module("pytest_dlcheck.environments")
    except ModuleNotFoundError:
        raise DlcheckError(
            f"{name} is no file, and environments by name are not part of this version: write python:PATH for an interpreter"
        ) from None
    found = environments.find(name, root)
    return Product(str(found.python), dict(getattr(found, "variables", {})), getattr(found, "backend", None))
