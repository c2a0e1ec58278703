"""Finds the Pythons of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.specifiers import SpecifierSet

from pytest_dlcheck.environments.environment import clean_variables
from pytest_dlcheck.errors import DlcheckError

__all__ = ["newest_python"]

NEWEST, OLDEST = 14, 6
TIMEOUT_S = 60


def _candidates(minor: int) -> Iterator[Path]:
    """Where a Python 3 of a minor version may be: this one, on the path, pyenv's, uv's."""
    name = f"python3.{minor}"
    if sys.version_info[:2] == (3, minor):
        yield Path(sys.base_prefix) / "bin" / name
    on_path = shutil.which(name)
    if on_path is not None:
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    yield from sorted(pyenv.glob(f"3.{minor}.*/bin/{name}"), reverse=True)
    managed = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path.home() / ".local" / "share" / "uv" / "python"))
    yield from sorted(managed.glob(f"cpython-3.{minor}.*/bin/{name}"), reverse=True)


def _version(python: Path) -> str | None:
    """`3.11.7`; None of what does not run, as pyenv's placeholders for versions that are not switched on."""
    question = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    try:
        done = subprocess.run(  # noqa: S603 - found on this machine
            [str(python), "-c", question],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            env=clean_variables(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def newest_python(name: str, wanted: SpecifierSet) -> Path:
    """The newest Python of this machine that a requirement allows; `==3.11` allows every 3.11.

    Args:
        name: of the environment, for messages.
        wanted: the requirement's version; empty for any.

    Raises:
        DlcheckError: there is none.
    """
    seen = []
    for minor in range(NEWEST, OLDEST - 1, -1):
        for python in _candidates(minor):
            version = _version(python)
            if version is None:
                continue
            if wanted.contains(version) or wanted.contains(f"3.{minor}"):
                return python
            seen.append(version)
    there = f"there are {', '.join(dict.fromkeys(seen))}" if seen else "there is none"
    raise DlcheckError(f"environment {name}: no Python{wanted} is found on this machine: {there}")
