"""Environments by name: what names stand for, how environments are made, kept and removed, and why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from conftest import python
from pytest_dlcheck.environments import find, project_root, same_versions
from pytest_dlcheck.environments.cache import folder_of, key_of, read_record
from pytest_dlcheck.environments.making import clash
from pytest_dlcheck.environments.names import KERAS, TENSORFLOW, understood
from pytest_dlcheck.environments.table import read
from pytest_dlcheck.errors import DlcheckError

HERE = f"3.{sys.version_info.minor}"


def wheel(folder: Path, name: str, version: str = "1.0", requires: str = "") -> Path:
    """A package that holds nothing but its version, as a file that needs no index."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + (
        f"Requires-Dist: {requires}\n" if requires else ""
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", f"__version__ = {version!r}\n")
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{name}/__init__.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder that is the current one, a cache of its own, and no network."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("DLCHECK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    return root


def name_one(project: Path, name: str = "small", version: str = "1.0") -> list[str]:
    """Adds an environment with a NumPy that is none; gives its requirements."""
    path = wheel(project, "numpy", version)
    requirements = [f"python=={HERE}", f"numpy @ file://{path}"]
    with (project / "dlcheck.toml").open("a") as file:
        file.write(f"[peers.{name}]\nrequirements = {json.dumps(requirements)}\n")
    return requirements


def dlcheck(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        python("-m", "pytest_dlcheck.cli", *arguments), capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize(
    ("name", "requirements", "backend"),
    [
        ("tf2.15", ("python>=3.9,<3.12", "tensorflow-cpu==2.15.*"), "tensorflow"),
        ("tf2.18", ("python>=3.9,<3.13", "tensorflow-cpu==2.18.*", "keras==3.6.*"), "tensorflow"),
        ("tf2.18.1-keras3.5.0", ("python>=3.9,<3.13", "tensorflow-cpu==2.18.1", "keras==3.5.0"), "tensorflow"),
        ("keras3.5", ("python>=3.9,<3.13", "tensorflow-cpu==2.17.*", "keras==3.5.*"), "tensorflow"),
        ("keras3.5-jax", ("python>=3.10,<3.13", "keras==3.5.*", "jax==0.4.31"), "jax"),
    ],
)
def test_what_names_stand_for(name: str, requirements: tuple[str, ...], backend: str) -> None:
    assert understood(name) == (requirements, backend)


def test_pytorch_comes_with_the_python_that_runs() -> None:
    found = understood("keras3.13-torch")
    assert found is not None
    assert found[1] == "torch"
    assert "torch" in found[0]
    if 11 <= sys.version_info.minor <= 13:
        assert f"python=={HERE}" in found[0]


def test_every_keras_names_a_tensorflow_that_is_known() -> None:
    assert all(release.tensorflow in TENSORFLOW for release in KERAS.values())
    assert all(release.keras in KERAS for release in TENSORFLOW.values() if release.keras is not None)


@pytest.mark.parametrize("name", ["torch2.3", "tf2", "my-env", "keras3.5-numpy"])
def test_a_name_of_no_known_form(project: Path, name: str) -> None:
    assert understood(name) is None
    with pytest.raises(
        DlcheckError, match=f"there is no environment '{name}'.*names none, and names like tf2.18, .* need no entry"
    ):
        find(name, project)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tf2.99", "TensorFlow 2.99 is not known by name, 2.12 to 2.21 are: write"),
        ("keras3.99-jax", "Keras 3.99 is not known by name, 3.0 to 3.15 are: write"),
        ("tf2.15-keras3.5", "tf2.15-keras3.5: TensorFlow 2.15 has a Keras 2 of its own"),
    ],
)
def test_a_release_that_is_not_known(name: str, message: str) -> None:
    with pytest.raises(DlcheckError, match=message):
        understood(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[peers", "cannot be read"),
        ("peers = 3", "is a table of environments"),
        ("peers = {a = 3}", "environment a is neither a list of requirements nor a table"),
        ("peers = {a = []}", "requirements is a list of texts"),
        ("peers = {a = ['numpy=1']}", "a requirement cannot be read"),
        ("peers = {a = {pythn = 'x'}}", "has a field 'pythn'; there are requirements, interpreter, backend, variables"),
        ("peers = {a = {backend = 'jax'}}", "needs either requirements or an interpreter"),
        ("peers = {a = {interpreter = '/no/such'}}", "there is no /no/such"),
        ("peers = {a = {requirements = ['x'], backend = 'theano'}}", "has backend 'theano'; there are tensorflow"),
        ("peers = {a = {requirements = ['x'], variables = {A = 1}}}", "variables is a table of texts"),
    ],
)
def test_a_table_that_is_wrong(project: Path, text: str, message: str) -> None:
    (project / "dlcheck.toml").write_text(text)
    with pytest.raises(DlcheckError, match=r"dlcheck\.toml") as raised:
        read(project)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_both_files_and_one_name_in_both(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.dlcheck.peers]\na = ['numpy']\n")
    (project / "dlcheck.toml").write_text("[tool.dlcheck.peers]\nb = ['numpy']\n")
    assert sorted(read(project)) == ["a", "b"]
    assert project_root(project / "below") == project
    (project / "dlcheck.toml").write_text("[peers]\na = ['numpy']\n")
    with pytest.raises(DlcheckError, match=r"environment a is in dlcheck\.toml too"):
        read(project)


def test_made_once_and_found_again(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    requirements = name_one(project)
    first = find("small", project)
    assert first.versions() == {"numpy": "1.0", "python": first.interpreter.version}
    assert first.python.is_file()
    assert "making it" in capsys.readouterr().err
    again = find("small", project)
    assert again == first
    assert "making it" not in capsys.readouterr().err
    record = read_record(folder_of(key_of(requirements)))
    assert record is not None
    assert record.names == ["small"]
    assert any(line.startswith("numpy @ ") for line in record.locked)
    assert list(first.python.parents[1].glob("lib/*/site-packages/numpy/__pycache__/*.pyc")), "compiled when it was made"


def test_the_order_of_requirements_makes_no_other_environment() -> None:
    assert key_of(["a==1", "b == 2"]) == key_of(["b==2", "a==1"])
    assert key_of(["a==1"]) != key_of(["a==2"])


def test_a_half_made_one_is_made_anew(project: Path) -> None:
    folder = folder_of(key_of(name_one(project)))
    broken = folder / "venv" / "bin" / "python"
    broken.parent.mkdir(parents=True)
    broken.write_text("no program")
    assert "half made" in dlcheck("env", "list").stdout
    assert find("small", project).versions()["numpy"] == "1.0"


def test_two_processes_make_one(project: Path) -> None:
    name_one(project)
    command = python("-m", "pytest_dlcheck.cli", "env", "make", "small")
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sum("made in" in stderr for _, stderr in said) == 1


def test_requirements_that_clash(project: Path) -> None:
    needs_two = wheel(project, "framework", requires="numpy>=2")
    one = wheel(project, "numpy")
    (project / "dlcheck.toml").write_text(
        f'[peers]\nodd = ["python=={HERE}", "framework @ file://{needs_two}", "numpy @ file://{one}"]\n'
    )
    result = dlcheck("env", "make", "odd")
    assert result.returncode == 2
    line = result.stderr.splitlines()[-1]
    assert line.startswith("dlcheck: error: environment odd: the requirements clash: ")
    assert "numpy>=2" in line
    assert "Traceback" not in result.stderr
    assert dlcheck("env", "list").stdout.count("half made") == 0


def test_one_line_of_what_uv_and_pip_say() -> None:
    uv = """error: No solution found when resolving dependencies
  cause: Because tensorflow-cpu>=2.15.0rc0,<=2.15.1 depends on numpy>=1.23.5,<2.0.0 and you
         require numpy==2.1, we can conclude that your requirements are incompatible.
         And because you require tensorflow-cpu==2.15.*, we can conclude that they are unsatisfiable."""
    wanted = (
        "the requirements clash: tensorflow-cpu>=2.15.0rc0,<=2.15.1 depends on numpy>=1.23.5,<2.0.0 and you require numpy==2.1"
    )
    assert clash(uv) == wanted
    pip = """ERROR: Cannot install jaxlib==0.4 and numpy==2.1 because these package versions have conflicting dependencies.

The conflict is caused by:
    The user requested numpy==2.1
    jaxlib 0.4 depends on numpy<2

To fix this you could try to:
1. loosen the range of package versions you've specified"""
    assert clash(pip) == "the requirements clash: The user requested numpy==2.1 jaxlib 0.4 depends on numpy<2"
    assert clash("error: Failed to fetch: x\n  cause: no route to host") == "Failed to fetch: x: no route to host"
    assert clash("") == "the command failed and said nothing"


def test_no_such_python(project: Path) -> None:
    (project / "dlcheck.toml").write_text("[peers]\nodd = ['python==3.5', 'numpy']\n")
    with pytest.raises(DlcheckError, match=r"environment odd: no Python==3\.5 is found on this machine: there are .*3\."):
        find("odd", project)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (f'exec {sys.executable} -S -I "$@"', "has no NumPy that can be imported"),
        ("echo oh no >&2; exit 3", "ends with status 3: oh no"),
        ("exit 0", "ends with status 0: nothing was printed"),
        ("""echo '{"python": "2.7.18", "paths": [], "numpy": null}'""", "is Python 2.7.18; a peer needs 3.6 or newer"),
    ],
)
def test_an_interpreter_that_cannot_be_used(project: Path, program: str, message: str) -> None:
    script = project / "python"
    script.write_text(f"#!/bin/sh\n{program}\n")
    (project / "dlcheck.toml").write_text("[peers]\nodd = {interpreter = 'python'}\n")
    with pytest.raises(DlcheckError, match=r"environment odd: .*python does not start: Permission denied"):
        find("odd", project)
    script.chmod(0o755)
    with pytest.raises(DlcheckError) as raised:
        find("odd", project)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_same_versions(project: Path) -> None:
    (project / "dlcheck.toml").write_text(
        f"[peers]\none = {{interpreter = {sys.executable!r}}}\nother = {{interpreter = {sys.executable!r}}}\n"
        f"third = {{interpreter = {sys.executable!r}, variables = {{TF_USE_LEGACY_KERAS = '1'}}}}\n"
    )
    one, other, third = (find(name, project) for name in ("one", "other", "third"))
    said = same_versions(one, other)
    assert said is not None
    assert said.startswith("one and other resolve to the same versions (python 3.")
    assert same_versions(one, third) is None


def test_what_a_process_of_it_is_run_with(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(project), os.environ.get("PYTHONPATH", "")]))
    (project / "dlcheck.toml").write_text(
        f"[peers]\none = {{interpreter = {sys.executable!r}, backend = 'jax', variables = {{A = 'b'}}}}\n"
    )
    variables = find("one", project).process_variables()
    assert (variables["KERAS_BACKEND"], variables["A"]) == ("jax", "b")
    assert "PYTHONPATH" not in variables


def test_list_and_prune(project: Path) -> None:
    assert "no environments" in dlcheck("env", "list").stdout
    folder = folder_of(key_of(name_one(project)))
    assert "not made" in dlcheck("env", "list").stdout
    assert dlcheck("env", "make", "small").returncode == 0
    assert "today" in dlcheck("env", "list").stdout
    assert "nothing has been unused for 30 days" in dlcheck("env", "prune").stdout
    assert folder.is_dir()
    assert "removed small" in dlcheck("env", "prune", "--all").stdout
    assert not folder.exists()
    assert dlcheck("env", "prune", "--unused-days=-1").returncode == 2
