"""`[tool.dlcheck.peers]` in `pyproject.toml`, or `[peers]` in `dlcheck.toml`: environments that a project names itself."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement

from pytest_dlcheck.backends import BACKENDS
from pytest_dlcheck.errors import DlcheckError

__all__ = ["Request", "read"]

FIELDS = ("requirements", "interpreter", "backend", "variables")


class Request(NamedTuple):
    """What a name stands for.

    Attributes:
        name: of the environment.
        requirements: PEP 508; `python` among them chooses the interpreter.
        interpreter: the path of one that is there already; then there are no requirements.
        backend: to run it on; None for the first that is installed in it.
        variables: environment variables to run it with.
    """

    name: str
    requirements: tuple[str, ...] = ()
    interpreter: Path | None = None
    backend: str | None = None
    variables: Mapping[str, str] = MappingProxyType({})


def read(root: Path) -> dict[str, Request]:
    """The environments that the files in a folder name.

    Raises:
        DlcheckError: a file is no TOML, an entry is wrong, or both files have the same name.
    """
    found: dict[str, Request] = {}
    for file in ("dlcheck.toml", "pyproject.toml"):
        path = root / file
        for name, entry in _entries(path).items():
            where = f"{path}: environment {name}"
            if name in found:
                raise DlcheckError(f"{where} is in dlcheck.toml too: keep one of them")
            found[name] = _request(where, name, entry, root)
    return found


def _entries(path: Path) -> Mapping[str, Any]:
    tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DlcheckError(f"{path} cannot be read: {error}") from None
    ours: Any = document if path.name == "dlcheck.toml" and "tool" not in document else document.get("tool", {}).get("dlcheck")
    entries = ours.get("peers", {}) if isinstance(ours, dict) else {}
    if not isinstance(entries, dict):
        raise DlcheckError(f"{path}: [tool.dlcheck.peers] is a table of environments, each a list of requirements or a table")
    return entries


def _request(where: str, name: str, entry: Any, root: Path) -> Request:
    if isinstance(entry, list):
        entry = {"requirements": entry}
    if not isinstance(entry, dict):
        raise DlcheckError(f"{where} is neither a list of requirements nor a table")
    unknown = [key for key in entry if key not in FIELDS]
    if unknown:
        raise DlcheckError(f"{where} has a field {unknown[0]!r}; there are {', '.join(FIELDS)}")
    if ("interpreter" in entry) == ("requirements" in entry):
        raise DlcheckError(f"{where} needs either requirements or an interpreter")
    backend = entry.get("backend")
    if backend is not None and backend not in BACKENDS:
        raise DlcheckError(f"{where} has backend {backend!r}; there are {', '.join(BACKENDS)}")
    variables = entry.get("variables", {})
    if not isinstance(variables, dict) or not all(isinstance(value, str) for value in variables.values()):
        raise DlcheckError(f"{where}: variables is a table of texts")
    if "interpreter" in entry:
        return Request(name, (), _interpreter(where, entry["interpreter"], root), backend, variables)
    return Request(name, _requirements(where, entry["requirements"]), None, backend, variables)


def _interpreter(where: str, given: Any, root: Path) -> Path:
    if not isinstance(given, str) or not given:
        raise DlcheckError(f"{where}: interpreter is the path of a Python")
    path = root / Path(given).expanduser()  # and not resolved: a virtual environment is found by its link
    path = path / "bin" / "python" if path.is_dir() else path
    if not path.exists():
        raise DlcheckError(f"{where}: there is no {path}")
    return path


def _requirements(where: str, given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or not given or not all(isinstance(each, str) for each in given):
        raise DlcheckError(f'{where}: requirements is a list of texts such as "tensorflow-cpu==2.15.*"')
    try:
        return tuple(str(Requirement(each)) for each in given)
    except InvalidRequirement as error:
        raise DlcheckError(f"{where}: a requirement cannot be read: {' '.join(str(error).split())}") from None
