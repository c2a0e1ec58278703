"""From a name to an environment that can be run."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from pytest_dlcheck.backends import BACKENDS, DISTRIBUTIONS
from pytest_dlcheck.environments.environment import Environment, Interpreter, examine, installed_in
from pytest_dlcheck.environments.names import FORMS, understood
from pytest_dlcheck.environments.table import Request, read
from pytest_dlcheck.errors import DlcheckError

__all__ = ["configured", "find", "project_root", "request"]


def project_root(start: Path) -> Path:
    """The nearest folder, from this one up, that holds a `dlcheck.toml` or `pyproject.toml`; the folder itself if none does."""
    start = start.absolute()
    for folder in (start, *start.parents):
        if any((folder / name).is_file() for name in ("dlcheck.toml", "pyproject.toml")):
            return folder
    return start


def configured(root: Path) -> dict[str, Request]:
    """What the project in a folder names itself.

    Raises:
        DlcheckError: its files are wrong.
    """
    return read(root)


def request(name: str, root: Path) -> Request:
    """What a name stands for in a project: by its table, else by what the name says.

    Raises:
        DlcheckError: it stands for nothing, or the project's files are wrong.
    """
    table = read(root)
    if name in table:
        return table[name]
    known = understood(name)
    if known is None:
        named = f"{root} names {', '.join(table)}" if table else f"[tool.dlcheck.peers] in {root} names none"
        raise DlcheckError(f"there is no environment {name!r}: {named}, and names like {FORMS} need no entry")
    return Request(name, *known[:1], None, known[1])


def find(name: str, root: Path) -> Environment:
    """The environment of a name, made if there is none yet: that takes a minute, and the network.

    Args:
        name: one of the project's table, or one like `tf2.18`.
        root: the project's folder.

    Raises:
        DlcheckError: there is none of that name, it cannot be made, or its interpreter cannot be used.
    """
    asked = request(name, root)
    if asked.interpreter is not None:
        python = asked.interpreter
    else:
        from pytest_dlcheck.environments.making import made

        python = made(name, asked.requirements)
    interpreter = examine(name, python, asked.variables)
    backend = asked.backend or _backend_of(interpreter)
    return Environment(name, python, asked.requirements, MappingProxyType(dict(asked.variables)), backend, interpreter)


def _backend_of(interpreter: Interpreter) -> str | None:
    """The first framework that is installed for an interpreter, in the order in which defaults are chosen."""
    installed = installed_in(interpreter)
    for name in BACKENDS:
        if any(each in installed for each in DISTRIBUTIONS[name]):
            return name
    return None
