"""What a start of pytest, of the command and of the package costs: nothing heavy is imported before it is used."""

from __future__ import annotations

import json
import subprocess

import pytest

import pytest_dlcheck
from conftest import Runs, need, python

FRAMEWORKS = {"tensorflow", "keras", "jax", "torch"}
HEAVY = FRAMEWORKS | {"numpy", "hypothesis", "scipy", "sklearn", "plotly", "jinja2", "rich"}

# A plugin beside ours that notes, at its process's end, what has been imported there; `--version` ends before any hook.
WATCH = """
    import atexit, json, os, sys

    @atexit.register
    def note():
        name = os.environ.get("PYTEST_XDIST_WORKER", "controller")
        with open(os.path.join(os.environ["WATCHED"], name + ".json"), "w") as file:
            json.dump({"backend": os.environ.get("KERAS_BACKEND"), "modules": list(sys.modules)}, file)
"""


@pytest.fixture
def watched(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> Runs:
    folder = runs.pytester.mkdir("watched")
    monkeypatch.setenv("WATCHED", str(folder))
    runs.pytester.makepyfile(watch=WATCH)
    runs.pytester.makepyfile(test_trivial="def test_a(): assert True")
    monkeypatch.setenv("PYTHONPATH", str(runs.pytester.path), prepend=":")
    return runs


def seen_by(runs: Runs, *arguments: str) -> dict[str, tuple[str | None, set[str]]]:
    """Each process's backend and modules. Hypothesis's plugin, which imports Hypothesis while tests are collected, is off."""
    result = runs("-p", "watch", "-p", "no:hypothesispytest", *arguments)
    assert result.ret == pytest.ExitCode.OK, result.stderr.str()
    found = {}
    for file in (runs.pytester.path / "watched").iterdir():
        noted = json.loads(file.read_text())
        found[file.stem] = noted["backend"], set(noted["modules"])
        file.unlink()
    return found


@pytest.mark.parametrize("arguments", [("--co", "-q"), ("--version", "--version"), ("--help",), ("-q",)], ids=" ".join)
def test_a_start_imports_nothing_heavy(watched: Runs, arguments: tuple[str, ...]) -> None:
    _, modules = seen_by(watched, *arguments)["controller"]
    _, without = seen_by(watched, *arguments, "-p", "no:dlcheck")["controller"]
    assert "pytest_dlcheck.plugin" in modules
    assert "pytest_dlcheck.plugin" not in without
    assert HEAVY & (modules - without) == set()


def test_naming_a_backend_imports_none(watched: Runs) -> None:
    """It is a test that asks for a backend which imports it."""
    need("keras")
    backend, modules = seen_by(watched, "--dl-backend=numpy", "-q")["controller"]
    assert backend == "numpy"
    assert HEAVY & modules == set()


def test_of_several_backends_each_worker_imports_its_own_and_the_controller_none(watched: Runs) -> None:
    watched.fake_backends("tensorflow", "jax", "torch")
    watched.pytester.makepyfile(test_backend="def test_a(backend): assert backend.keras")
    found = seen_by(watched, "--dl-backend=tensorflow,jax,torch", "-q")
    _, modules = found.pop("controller")
    assert HEAVY & modules == set()
    assert {backend: FRAMEWORKS & modules for backend, modules in found.values()} == {
        name: {name, "keras"} for name in ("tensorflow", "jax", "torch")
    }


@pytest.mark.parametrize(
    "code",
    [
        "import pytest_dlcheck",
        "import pytest_dlcheck; pytest_dlcheck.DeviceKind, pytest_dlcheck.Discovery, pytest_dlcheck.DlcheckError",
        "from pytest_dlcheck import Measurement",
        "import pytest_dlcheck.plugin",
        "import pytest_dlcheck.benchmark.client",
        "import pytest_dlcheck.benchmark.replay",
        "from pytest_dlcheck.cli import main\ntry: main(['--version'])\nexcept SystemExit: pass",
    ],
)
def test_an_import_brings_nothing_heavy(code: str) -> None:
    noting = f"{code}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run(python("-c", noting), capture_output=True, text=True, timeout=60, check=True)
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    assert "pytest_dlcheck" in modules
    assert HEAVY & modules == set()


class TestNames:
    @pytest.mark.parametrize("name", [name for name in pytest_dlcheck.__all__ if name != "__version__"])
    def test_that_are_public_resolve(self, name: str) -> None:
        found = getattr(pytest_dlcheck, name)
        assert found.__name__ == name
        assert found.__module__.startswith("pytest_dlcheck.")

    def test_a_star_import_brings_all(self) -> None:
        namespace: dict[str, object] = {}
        exec("from pytest_dlcheck import *", namespace)  # noqa: S102
        assert set(pytest_dlcheck.__all__) <= set(namespace)

    def test_an_unknown_one_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="module 'pytest_dlcheck' has no attribute 'Divice'"):
            _ = pytest_dlcheck.Divice
        assert not hasattr(pytest_dlcheck, "Bridge")
