"""What the plugin's own tests share."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TRAINING_BACKENDS = ("tensorflow", "jax", "torch")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine or an outer run has chosen must not choose here."""
    for name in ("KERAS_BACKEND", "XLA_FLAGS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    # A fresh process recompiles every module that it imports where bytecode is not kept.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)


def need(*modules: str) -> None:
    """Skips a test that needs frameworks which are not installed."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}, not installed here")


@pytest.fixture
def needs() -> Callable[..., None]:
    return need


class Runs:
    """Runs pytest, with the plugin, in a process of its own."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester

    def __call__(self, *arguments: str | os.PathLike[str], timeout: float = 240) -> pytest.RunResult:
        return self.pytester.runpytest_subprocess(*arguments, timeout=timeout)

    def fake_backends(self, *names: str) -> None:
        """Puts modules of these names before the real ones, and a Keras that follows KERAS_BACKEND.

        Routing, options and reporting concern names and processes; with these a test of them takes no framework's import.
        """
        folder = self.pytester.mkdir("fakes")
        for name in names:
            (folder / f"{name}.py").write_text(f"__version__ = '1.0'\nNAME = {name!r}\n")
        keras = folder / "keras"
        keras.mkdir()
        (keras / "__init__.py").write_text(
            "import os\nfrom keras import backend, utils\n__version__ = '3.0'\nclass layers: pass\n"
        )
        (keras / "backend.py").write_text("import os\nNAME = os.environ['KERAS_BACKEND']\ndef backend():\n    return NAME\n")
        (keras / "utils.py").write_text("def set_random_seed(seed):\n    import random\n    random.seed(seed)\n")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)


@pytest.fixture
def runs(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    return Runs(pytester)


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).resolve().parent.parent


def last_line(result: pytest.RunResult) -> str:
    """The last line of a run's standard error that says something."""
    lines = [line for line in result.errlines if line.strip()]
    return lines[-1] if lines else ""


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]
