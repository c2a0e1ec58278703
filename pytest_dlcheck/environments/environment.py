"""An interpreter with what is installed for it: one product, or part of one."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

from packaging.utils import canonicalize_name

from pytest_dlcheck.errors import DlcheckError

__all__ = ["Environment", "Interpreter", "clean_variables", "examine", "same_versions"]

# A start of Python takes 20 ms, of one that imports NumPy 100; on a network drive, minutes.
TIMEOUT_S = 120
# What the host's own process was started with says nothing of another interpreter.
OURS = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "VIRTUAL_ENV",
    "KERAS_BACKEND",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONSAFEPATH",
)

# Runs on Python 2.7 too, so that what is too old can be said.
_QUESTION = """
import json, sys
try:
    import numpy
    numpy = numpy.__version__
except Exception as error:
    numpy = None
print("\\n" + json.dumps({"python": "%d.%d.%d" % sys.version_info[:3], "paths": [p for p in sys.path if p], "numpy": numpy}))
"""


@dataclass(frozen=True)
class Interpreter:
    """What an interpreter says of itself.

    Attributes:
        version: `3.11.7`.
        paths: where it looks for modules.
    """

    version: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Environment:
    """One interpreter that can be run.

    Attributes:
        name: by which it was asked for.
        python: the interpreter's program.
        requirements: what was asked to be in it; empty for one that was given as an interpreter.
        variables: environment variables to run it with, beside those of `process_variables`.
        backend: `tensorflow`, `jax`, `torch` or `numpy`; None where none of these frameworks is installed.
        interpreter: what it said of itself.
    """

    name: str
    python: Path
    requirements: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    backend: str | None = None
    interpreter: Interpreter = Interpreter("", ())

    def versions(self) -> dict[str, str]:
        """Everything that is installed, and `python`: version by normalized name of the distribution, sorted."""
        return installed_in(self.interpreter)

    def process_variables(self) -> dict[str, str]:
        """The variables of a process of this environment: this one's, but for what chose Python, Keras and their paths here."""
        chosen = {} if self.backend is None else {"KERAS_BACKEND": self.backend}
        return clean_variables() | chosen | dict(self.variables)

    def told(self) -> str:
        """The name with the versions that make up the product: `tf2.15 (python 3.11.7, keras 2.15.0, numpy 1.26.4)`."""
        return f"{self.name} ({product(self.versions())})"


# Those that tell one product from another, in the order in which they are shown.
PRODUCT = ("python", "tensorflow", "tensorflow-cpu", "tf-nightly-cpu", "tf-keras", "keras", "jax", "torch", "theano", "numpy")


def product(versions: Mapping[str, str]) -> str:
    """The versions that tell products apart, in a line."""
    return ", ".join(f"{name} {versions[name]}" for name in PRODUCT if name in versions)


def clean_variables() -> dict[str, str]:
    """This process's environment variables, but for those that say which Python, Keras and modules to use."""
    return {name: value for name, value in os.environ.items() if name not in OURS}


def installed_in(interpreter: Interpreter) -> dict[str, str]:
    """Versions by normalized name of the distribution, of an interpreter's paths; the first of two on the path counts."""
    found: dict[str, str] = {"python": interpreter.version}
    for each in metadata.distributions(path=list(interpreter.paths)):
        name = each.metadata["Name"]
        if name:
            found.setdefault(canonicalize_name(name), each.version)
    return dict(sorted(found.items()))


def same_versions(one: Environment, other: Environment) -> str | None:
    """That two environments hold the same, as a sentence; None where something differs that a comparison could be of."""
    if (one.versions(), one.backend, dict(one.variables)) != (other.versions(), other.backend, dict(other.variables)):
        return None
    return (
        f"{one.name} and {other.name} resolve to the same versions ({product(one.versions())}): "
        "a comparison of the two says nothing of versions"
    )


def examine(name: str, python: Path, variables: Mapping[str, str]) -> Interpreter:
    """Starts an interpreter and asks what it is.

    Args:
        name: of the environment, for messages.
        python: the program.
        variables: to run it with, beside this process's own.

    Raises:
        DlcheckError: it does not start, is older than Python 3.6, or has no NumPy.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the user's own interpreter
            [str(python), "-c", _QUESTION],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env=clean_variables() | dict(variables),
        )
        said = json.loads(done.stdout.splitlines()[-1])
    except OSError as error:
        raise DlcheckError(f"environment {name}: {python} does not start: {error.strerror or error}") from None
    except subprocess.TimeoutExpired:
        raise DlcheckError(f"environment {name}: {python} did not answer within {TIMEOUT_S} s") from None
    except (ValueError, IndexError):
        last = (done.stderr.strip().splitlines() or ["nothing was printed"])[-1]
        raise DlcheckError(f"environment {name}: {python} ends with status {done.returncode}: {last}") from None
    if tuple(map(int, said["python"].split("."))) < (3, 6):
        raise DlcheckError(f"environment {name}: {python} is Python {said['python']}; a peer needs 3.6 or newer")
    if said["numpy"] is None:
        raise DlcheckError(f"environment {name}: {python} has no NumPy that can be imported: install it there")
    return Interpreter(said["python"], tuple(said["paths"]))
