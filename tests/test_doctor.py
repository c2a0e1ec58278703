"""The `dlcheck` command. What it is told about the machine is made up here, but for one backend that it really asks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conftest import python
from pytest_dlcheck import __version__, cli, doctor
from pytest_dlcheck.backends import BACKENDS
from pytest_dlcheck.devices import DeviceKind, Discovery
from pytest_dlcheck.hardware import gpus, share_of_memory_maps

VERSIONS = {"keras": "3.15", "numpy": "2.4"}
ON_CPU = {
    name: Discovery(
        name,
        {name: "1.0", **VERSIONS},
        {"cpu": ["a processor"]},
        {"gpu": f"{name} is a CPU build", "tpu": "no"},
        seconds=2.5,
    )
    for name in BACKENDS
}
ON_GPU = {
    name: Discovery(name, VERSIONS, {"cpu": ["a processor"], "gpu": ["H100", "H100"]}, {"tpu": "no"}) for name in BACKENDS
}


class NVMLError(Exception):
    pass


def nvml(*names: str | bytes, error: str | None = None, later: str | None = None) -> Any:
    """NVIDIA's management library on a machine with these GPUs, or with what it raises."""

    def init() -> None:
        if error is not None:
            raise NVMLError(error)

    def count() -> int:
        if later is not None:
            raise NVMLError(later)
        return len(names)

    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=init,
        nvmlShutdown=lambda: None,
        nvmlSystemGetDriverVersion=lambda: b"595.1",
        nvmlDeviceGetCount=count,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=lambda _: SimpleNamespace(total=80 * 2**30),
        nvmlDeviceGetName=lambda index: names[index],
    )


Simulate = Callable[..., None]


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch) -> Simulate:
    """Answers for the machine: what each backend finds (one that is left out is not installed), and what the driver sees."""

    def simulate(found: Mapping[str, Discovery], driver: Any = None) -> None:
        def ask(name: str, kinds: Mapping[str, DeviceKind]) -> Discovery:
            assert list(kinds) == ["cpu", "gpu", "tpu"]
            return found[name]

        monkeypatch.setattr(doctor.probe, "ask", ask)
        monkeypatch.setattr(doctor, "installed", lambda name: name in found)
        monkeypatch.setitem(sys.modules, "pynvml", driver or nvml(error="library not found"))
        monkeypatch.setenv("COLUMNS", "200")

    return simulate


class TestCommand:
    def test_is_installed_under_its_name(self) -> None:
        (command,) = metadata.entry_points(group="console_scripts", name="dlcheck")
        assert command.load() is cli.main

    def test_says_its_version(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            cli.main(["--version"])
        assert (ended.value.code, capsys.readouterr().out) == (0, f"dlcheck {__version__}\n")

    @pytest.mark.parametrize("arguments", [[], ["docter"], ["doctor", "--jsn"]])
    def test_refuses_what_it_does_not_know(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 2
        assert "usage: dlcheck" in capsys.readouterr().err

    @pytest.mark.parametrize(("names", "shown"), [("bogus", "bogus"), ("numpy,torhc", "torhc"), ("numpy,", "")])
    def test_refuses_an_unknown_backend_in_one_line(
        self, simulate: Simulate, names: str, shown: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        simulate(ON_CPU)
        assert cli.main(["doctor", "--backend", names]) == 2
        seen = capsys.readouterr()
        assert (seen.out, seen.err) == (
            "",
            f"dlcheck: error: unknown backend {shown!r}; there are tensorflow, jax, torch, numpy\n",
        )

    def test_ends_quietly_when_nobody_reads_on(self) -> None:
        command = (
            "import sys; from pytest_dlcheck import cli, doctor; "
            "doctor.examine = lambda names, as_json: [print('x' * 99) for _ in range(9999)] and 0; "
            "sys.exit(cli.main(['doctor']))"
        )
        with subprocess.Popen(python("-c", command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.read(1) == "x"
            process.stdout.close()
            assert process.stderr.read() == ""
        assert process.returncode == 1


class TestJson:
    def test_holds_the_machine_and_every_backend(self, simulate: Simulate, capsys: pytest.CaptureFixture[str]) -> None:
        simulate(ON_CPU)
        assert cli.main(["doctor", "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert set(said) == {"schema", "machine", "backends", "advice"}
        assert said["schema"] == "dlcheck-doctor/1"
        assert set(said["machine"]) == {"python", "os", "cpu", "cores", "memory_bytes", "gpus", "why_no_gpu"}
        assert said["machine"]["why_no_gpu"] == "no NVIDIA driver (library not found)"
        assert [Discovery(**each) for each in said["backends"]] == [ON_CPU[name] for name in BACKENDS]

    def test_holds_the_backends_that_were_named_in_that_order(
        self, simulate: Simulate, capsys: pytest.CaptureFixture[str]
    ) -> None:
        simulate(ON_CPU)
        assert cli.main(["doctor", "--json", "--backend", "torch, jax"]) == 0
        assert [each["backend"] for each in json.loads(capsys.readouterr().out)["backends"]] == ["torch", "jax"]

    def test_comes_from_a_real_backend(self, needs: Any) -> None:
        needs("keras")
        command = python("-m", "pytest_dlcheck.cli", "doctor", "--json", "--backend=numpy")
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
        (found,) = json.loads(done.stdout)["backends"]
        assert (found["backend"], found["error"], found["devices"]) == ("numpy", None, {"cpu": ["cpu"]})
        assert found["versions"]["numpy"] == metadata.version("numpy")
        assert found["seconds"] > 0
        assert done.stderr == ""


class TestText:
    def test_says_what_is_there_and_why_the_rest_is_missing(
        self, simulate: Simulate, capsys: pytest.CaptureFixture[str]
    ) -> None:
        simulate(ON_CPU)
        assert cli.main(["doctor", "--backend=jax"]) == 0
        lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line.strip()]
        said = {name: text.rstrip() for name, text in lines}
        assert said["jax"] == "jax 1.0, keras 3.15, numpy 2.4; imported in 2.5 s"
        assert said["cpu"] == "1: a processor"
        assert said["gpu"] == "none: jax is a CPU build"
        assert said["GPUs"] == "none: no NVIDIA driver (library not found)"
        assert "advice" not in said

    def test_shows_the_gpus_that_are_used(self, simulate: Simulate, capsys: pytest.CaptureFixture[str]) -> None:
        simulate(ON_GPU, nvml("NVIDIA H100", "NVIDIA H100"))
        assert cli.main(["doctor", "--backend=torch"]) == 0
        said = capsys.readouterr().out
        assert "NVIDIA H100 (driver 595.1), NVIDIA H100 (driver 595.1)" in said
        assert "2: H100, H100" in said

    def test_keeps_a_long_reason_whole_in_a_narrow_terminal(
        self, simulate: Simulate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        reason = "a reason [of] many words " * 9 + "end"
        simulate({"jax": Discovery("jax", {}, {"cpu": ["cpu"]}, {"gpu": reason})})
        monkeypatch.setenv("COLUMNS", "40")
        cli.main(["doctor", "--backend=jax"])
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= 40
        assert reason in " ".join(" ".join(lines).split())


class TestWhatCannotBeUsed:
    def test_a_missing_backend_says_how_to_get_it(self, simulate: Simulate, capsys: pytest.CaptureFixture[str]) -> None:
        simulate({"jax": ON_CPU["jax"]})
        assert cli.main(["doctor"]) == 0
        said = capsys.readouterr().out
        assert "not installed: pip install 'pytest-dlcheck[tensorflow]'" in said
        assert "not installed: pip install 'pytest-dlcheck[torch]'" in said
        assert "not installed: pip install keras" in said
        assert "pytest-dlcheck[jax]" not in said

    @pytest.mark.parametrize("option", ["--json", "--backend=tensorflow,jax"])
    def test_is_an_error_when_there_is_nothing_else(
        self, simulate: Simulate, option: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        simulate({"jax": Discovery("jax", {}, {}, {}, error="backend 'jax' is installed, but importing it fails")})
        assert cli.main(["doctor", option]) == 1
        seen = capsys.readouterr()
        assert "backend 'jax' is installed, but importing it fails" in seen.out
        assert seen.err == "dlcheck: error: no backend is usable here\n"


class TestAdvice:
    """On a machine whose driver sees a GPU."""

    def advice(self, capsys: pytest.CaptureFixture[str]) -> list[str]:
        cli.main(["doctor", "--json"])
        advice: list[str] = json.loads(capsys.readouterr().out)["advice"]
        return advice

    def test_is_given_for_each_backend_that_does_not_use_it(
        self, simulate: Simulate, capsys: pytest.CaptureFixture[str]
    ) -> None:
        simulate({**ON_CPU, "torch": ON_GPU["torch"]}, nvml("NVIDIA H100"))
        assert self.advice(capsys) == [
            f"the driver sees NVIDIA H100, and {name} does not use it: {name} is a CPU build" for name in ("tensorflow", "jax")
        ]

    def test_is_shown_in_the_text_too(self, simulate: Simulate, capsys: pytest.CaptureFixture[str]) -> None:
        simulate(ON_CPU, nvml("NVIDIA H100"))
        cli.main(["doctor", "--backend=torch"])
        name, text = capsys.readouterr().out.splitlines()[-1].split(maxsplit=1)
        assert name == "advice"
        assert text.rstrip() == "the driver sees NVIDIA H100, and torch does not use it: torch is a CPU build"

    def test_is_not_given_for_a_backend_that_is_broken_or_missing(
        self, simulate: Simulate, capsys: pytest.CaptureFixture[str]
    ) -> None:
        simulate({"jax": Discovery("jax", {}, {}, {}, error="broken"), "numpy": ON_CPU["numpy"]}, nvml("NVIDIA H100"))
        assert self.advice(capsys) == []

    def test_is_not_given_where_there_is_no_gpu(self, simulate: Simulate, capsys: pytest.CaptureFixture[str]) -> None:
        simulate(ON_CPU, nvml())
        assert self.advice(capsys) == []


@pytest.mark.parametrize(
    ("driver", "names", "why"),
    [
        (nvml("NVIDIA H100", b"NVIDIA L4"), ["NVIDIA H100", "NVIDIA L4"], None),
        (nvml(), [], "the NVIDIA driver lists no GPU"),
        (nvml(error="not loaded"), [], "no NVIDIA driver (not loaded)"),
        (nvml("NVIDIA H100", later="timeout"), [], "the NVIDIA driver does not answer (timeout)"),
    ],
    ids=["two", "none", "no driver", "a driver that hangs"],
)
def test_the_driver_is_asked_for_gpus(driver: Any, names: list[str], why: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    found, reason = gpus()
    assert [gpu["name"] for gpu in found] == names
    assert {(gpu["memory_bytes"], gpu["driver"]) for gpu in found} <= {(80 * 2**30, "595.1")}
    assert reason == why


def test_memory_maps_are_counted(tmp_path: Path) -> None:
    (tmp_path / "maps").write_text("one\ntwo\nthree\n")
    (tmp_path / "limit").write_text("12\n")
    assert share_of_memory_maps(str(tmp_path / "maps"), str(tmp_path / "limit")) == 0.25
    for unreadable in ("0\n", "many\n"):
        (tmp_path / "limit").write_text(unreadable)
        assert share_of_memory_maps(str(tmp_path / "maps"), str(tmp_path / "limit")) == 0
    assert share_of_memory_maps(str(tmp_path / "nothing")) == 0
    assert 0 < share_of_memory_maps() < 1


@pytest.mark.parametrize(("share", "dropped"), [(0.4, 0), (0.6, 1)])
def test_compiled_code_is_dropped_before_memory_maps_run_out(
    monkeypatch: pytest.MonkeyPatch, share: float, dropped: int
) -> None:
    from pytest_dlcheck.backends import create, jax_backend
    from pytest_dlcheck.devices import kinds_by_name

    calls: list[str] = []
    backend = create("jax", kinds_by_name(()))
    monkeypatch.setattr(jax_backend, "share_of_memory_maps", lambda: share)
    monkeypatch.setattr(type(backend), "framework", SimpleNamespace(clear_caches=lambda: calls.append("dropped")))
    backend.make_room()
    assert len(calls) == dropped
