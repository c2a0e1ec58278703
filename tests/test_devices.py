"""Devices by name; what each backend finds, on this machine and on simulated ones; where values lie."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from conftest import Runs, need
from pytest_dlcheck import backends, probe
from pytest_dlcheck.devices import DeviceKind, DeviceName, Discovery, kinds_by_name
from pytest_dlcheck.errors import DeviceMismatch, DeviceMissing, DlcheckError

KINDS = kinds_by_name(())


class TestNames:
    @pytest.mark.parametrize(
        ("text", "kind", "index", "shown", "in_report"),
        [("gpu", "gpu", 0, "gpu", "gpu:0"), ("gpu:0", "gpu", 0, "gpu", "gpu:0"), (" cpu:3 ", "cpu", 3, "cpu:3", "cpu:3")],
    )
    def test_are_read_and_shown(self, text: str, kind: str, index: int, shown: str, in_report: str) -> None:
        name = DeviceName.parse(text)
        assert (name.kind, name.index, name.id, str(name)) == (kind, index, shown, in_report)

    @pytest.mark.parametrize("text", ["", "gpu:", "gpu:-1", "gpu:1.5", ":1", "g pu", "gpu:٣"])
    def test_that_are_none(self, text: str) -> None:
        with pytest.raises(DlcheckError, match="names no device"):
            DeviceName.parse(text)

    @pytest.mark.parametrize("name", ["all", "auto", "GPU", "a b", "x:1", ""])
    def test_that_no_kind_can_have(self, name: str) -> None:
        with pytest.raises(DlcheckError, match="cannot name a kind"):
            DeviceKind(name, {})

    def test_a_kind_is_defined_once(self) -> None:
        with pytest.raises(DlcheckError, match="defined twice"):
            kinds_by_name([DeviceKind("gpu", {})])


class TestDiscovery:
    FOUND = Discovery("jax", {}, {"cpu": ["a", "b"]}, {"gpu": "no driver"})

    @pytest.mark.parametrize(
        ("device", "reason"),
        [
            ("cpu", None),
            ("cpu:1", None),
            ("cpu:2", "jax finds 2 of kind cpu, so there is no cpu:2"),
            ("gpu", "jax finds no gpu: no driver"),
            ("npu", "jax finds no npu: it does not know this kind"),
        ],
    )
    def test_says_why_a_device_is_missing(self, device: str, reason: str | None) -> None:
        assert self.FOUND.why_not(DeviceName.parse(device)) == reason

    def test_of_a_backend_that_cannot_be_used(self) -> None:
        assert Discovery("jax", {}, {}, {}, error="broken").why_not(DeviceName("cpu")) == "broken"


def loaded(name: str, framework: Any, kinds: dict[str, DeviceKind] = KINDS) -> backends.base.Backend:
    """A backend on a framework that is only pretended: recorded answers, no machine behind them."""
    made = backends.create(name, kinds)
    made._framework = framework
    made._keras = SimpleNamespace()
    return made


def tensorflow_with(devices: dict[str, list[str]], *, cuda: bool, split: dict[str, int] | None = None) -> Any:
    """TensorFlow's device calls as recorded on machines with GPUs (2.21, one H100) and TPUs (2.16, a v4-8 host)."""
    physical = {
        kind: [SimpleNamespace(name=f"/physical_device:{kind}:{i}", details=name) for i, name in enumerate(names)]
        for kind, names in devices.items()
    }
    return SimpleNamespace(
        __version__="2.21.0",
        config=SimpleNamespace(
            list_physical_devices=lambda kind: physical.get(kind, []),
            get_logical_device_configuration=lambda device: [object()] * (split or {}).get(device.name, 0) or None,
            experimental=SimpleNamespace(get_device_details=lambda device: {"device_name": device.details}),
        ),
        sysconfig=SimpleNamespace(get_build_info=lambda: {"is_cuda_build": cuda, "is_rocm_build": False}),
        DeviceSpec=SimpleNamespace(
            from_string=lambda text: SimpleNamespace(
                device_type=text.rsplit(":", 2)[1], device_index=int(text.rsplit(":", 1)[1])
            )
        ),
    )


class TestTensorFlowSimulated:
    """What this machine does not have: GPUs and TPUs under TensorFlow. The answers are recorded or made up, not measured."""

    def test_finds_gpus_by_name(self) -> None:
        found = loaded(
            "tensorflow", tensorflow_with({"CPU": ["cpu"], "GPU": ["NVIDIA H100", "NVIDIA H100"]}, cuda=True)
        ).discover()
        assert found.devices == {"cpu": ["cpu"], "gpu": ["NVIDIA H100", "NVIDIA H100"]}
        assert "list_physical_devices('TPU') is empty" in found.missing["tpu"]

    def test_finds_tpus(self) -> None:
        found = loaded("tensorflow", tensorflow_with({"CPU": ["cpu"], "TPU": ["v4"] * 4}, cuda=False)).discover()
        assert len(found.devices["tpu"]) == 4
        assert found.missing["gpu"] == "TensorFlow 2.21.0 is a CPU build"

    def test_counts_logical_devices(self) -> None:
        framework = tensorflow_with({"CPU": ["cpu"]}, cuda=False, split={"/physical_device:CPU:0": 4})
        assert len(loaded("tensorflow", framework).discover().devices["cpu"]) == 4

    def test_tells_a_missing_driver_from_a_cpu_build(self) -> None:
        found = loaded("tensorflow", tensorflow_with({"CPU": ["cpu"]}, cuda=True)).discover()
        assert "is the driver, or its CUDA library, missing?" in found.missing["gpu"]

    def test_a_value_on_the_gpu_passes_and_one_that_fell_back_fails(self) -> None:
        backend = loaded("tensorflow", tensorflow_with({"CPU": ["cpu"], "GPU": ["H100"]}, cuda=True))
        place = "/job:localhost/replica:0/task:0/device:"
        on_gpu, fallen_back = SimpleNamespace(device=place + "GPU:0"), SimpleNamespace(device=place + "CPU:0")
        backend.verify([on_gpu, {"state": (on_gpu,)}], DeviceName("gpu"))
        with pytest.raises(DeviceMismatch, match="asked tensorflow for gpu:0, and the result lies on cpu:0 and gpu:0"):
            backend.verify([on_gpu, fallen_back], DeviceName("gpu"))
        with pytest.raises(DeviceMismatch, match="lies on gpu:0"):
            backend.verify(on_gpu, DeviceName("gpu", 1))


class JaxDevice:
    def __init__(self, platform: str, index: int) -> None:
        self.platform, self.id, self.device_kind = platform, index, f"simulated {platform}"

    def __repr__(self) -> str:
        return f"{self.platform}:{self.id}"


def jax_with(**counts: int) -> Any:
    devices = {platform: [JaxDevice(platform, i) for i in range(count)] for platform, count in counts.items()}

    def list_devices(platform: str) -> list[JaxDevice]:
        if platform not in devices:
            raise RuntimeError(
                f"Unknown backend: '{platform}' requested, but no platforms that are instances of it are present."
            )
        return devices[platform]

    return SimpleNamespace(devices=list_devices)


class TestJaxSimulated:
    def test_finds_a_host_of_tpus(self) -> None:
        found = loaded("jax", jax_with(cpu=1, tpu=8)).discover()
        assert found.devices["tpu"][7] == "simulated tpu (tpu:7)"
        assert "Unknown backend: 'gpu'" in found.missing["gpu"]

    def test_a_sharded_value_lies_on_all_its_devices(self) -> None:
        framework = jax_with(cpu=4)
        value = SimpleNamespace(devices=lambda: set(framework.devices("cpu")[1:3]))
        backend = loaded("jax", framework)
        assert backend.places(value) == ("cpu:1", "cpu:2")
        with pytest.raises(DeviceMismatch, match="lies on cpu:1 and cpu:2"):
            backend.verify(value, DeviceName("cpu", 1))

    def test_a_device_of_no_known_kind_is_named_by_its_platform(self) -> None:
        value = SimpleNamespace(devices=lambda: {JaxDevice("fpga", 3)})
        assert loaded("jax", jax_with(cpu=1)).places(value) == ("fpga:3",)


def torch_with_gpus(count: int, version: str | None = "13.0", more: dict[str, int] | None = None) -> Any:
    counts = {"cuda": count, **(more or {})}

    def module(platform: str) -> Any:
        if platform not in counts:
            raise RuntimeError(f"Invalid device type: {platform}")
        return SimpleNamespace(device_count=lambda: counts[platform], get_device_name=lambda i: f"simulated {platform} {i}")

    return SimpleNamespace(__version__="2.13.0", get_device_module=module, version=SimpleNamespace(cuda=version, hip=None))


class TestTorchSimulated:
    def test_finds_gpus(self) -> None:
        found = loaded("torch", torch_with_gpus(2)).discover()
        assert found.devices["gpu"] == ["simulated cuda 0", "simulated cuda 1"]
        assert found.missing["tpu"] == "Keras on torch does not run on this kind of device"

    def test_tells_a_cpu_build_from_a_missing_driver(self) -> None:
        assert "is a CPU build" in loaded("torch", torch_with_gpus(0, version=None)).discover().missing["gpu"]
        assert "is the driver missing?" in loaded("torch", torch_with_gpus(0)).discover().missing["gpu"]

    def test_an_added_kind_goes_by_its_own_word(self) -> None:
        kinds = kinds_by_name([DeviceKind("xpu", {"torch": "xpu"})])
        backend = loaded("torch", torch_with_gpus(0, more={"xpu": 1}), kinds)
        assert backend.discover().devices["xpu"] == ["simulated xpu 0"]
        assert backend.places(SimpleNamespace(device=SimpleNamespace(type="xpu", index=None))) == ("xpu:0",)


REAL = """
import json, sys
import numpy as np
from pytest_dlcheck import backends
from pytest_dlcheck.devices import DeviceName, kinds_by_name
from pytest_dlcheck.errors import DeviceMismatch, DeviceMissing

name, count = sys.argv[1], int(sys.argv[2])
backend = backends.create(name, kinds_by_name(()), count)
seen = {"cpus": len(backend.discover().devices["cpu"])}
last = DeviceName("cpu", seen["cpus"] - 1)
with backend.activate(last):
    x = backend.put(np.arange(6, dtype=np.float32).reshape(2, 3))
    layer = backend.keras.layers.Dense(2)
    y = layer(x)
    backend.verify([x, y, layer, {"weights": layer.weights}], last)
    seen["places"] = backend.places([y, layer])
    seen["values"] = backend.to_numpy(x).tolist()
    backend.synchronize(x, y)
try:
    backend.activate(DeviceName("gpu"))
except DeviceMissing as error:
    seen["gpu"] = str(error)
try:
    backend.verify(np.ones(2), last)
except TypeError as error:
    seen["numpy"] = str(error)
if name == "tensorflow":
    # TensorFlow computes this on the CPU without a word.
    with backend.keras.device("gpu:0"):
        fallen_back = backend.keras.ops.ones((2,)) + 1
    try:
        backend.verify(fallen_back, DeviceName("gpu"))
    except DeviceMismatch as error:
        seen["fallback"] = str(error)
print(json.dumps(seen))
"""


@pytest.mark.parametrize(("name", "count"), [("tensorflow", 3), ("jax", 3), ("torch", 1), ("numpy", 1)])
def test_a_real_backend_places_and_verifies(name: str, count: int, needs: Any) -> None:
    needs(name, "keras")
    done = subprocess.run(
        [sys.executable, "-c", REAL, name, str(count)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["cpus"] == count
    assert seen["places"] == [f"cpu:{count - 1}"]
    assert seen["values"] == [[0, 1, 2], [3, 4, 5]]
    if name != "numpy":
        assert "a NumPy array lies in the host's memory" in seen["numpy"]
    assert seen["gpu"].startswith(f"{name} finds no gpu: ")
    if name == "tensorflow":
        assert seen["fallback"] == "asked tensorflow for gpu:0, and the result lies on cpu:0"


class TestProbe:
    def test_asks_a_process_of_its_own(self, needs: Any) -> None:
        needs("keras")
        found = probe.ask("numpy", KINDS)
        assert found.error is None
        assert found.devices == {"cpu": ["cpu"]}
        assert found.versions["keras"]

    def test_reports_a_backend_that_dies(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
        (tmp_path / "torch.py").write_text("import os; os._exit(9)")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        found = probe.ask("torch", KINDS)
        assert found.error == "asking backend 'torch' for its devices ended with status 9: nothing was printed"

    def test_reports_a_backend_that_cannot_be_imported(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
        (tmp_path / "torch.py").write_text("print('noise on standard output'); raise OSError('libtorch.so is missing')")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        found = probe.ask("torch", KINDS)
        assert found.error == "backend 'torch' is installed, but importing it fails: OSError: libtorch.so is missing"

    def test_does_not_wait_for_ever(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
        (tmp_path / "torch.py").write_text("import time; time.sleep(60)")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(probe, "TIMEOUT_S", 2)
        assert probe.ask("torch", KINDS).error == "backend 'torch' did not answer within 2 s"


# A conftest.py that answers for the machine: one backend has two GPUs, the other none; both are stand-ins.
SIMULATED = """
    import pytest
    from pytest_dlcheck import DeviceKind, Discovery

    def pytest_dlcheck_discover(backend):
        devices = {"cpu": ["cpu"]}
        if backend == "jax":
            devices["gpu"] = ["simulated", "simulated"]
        return Discovery(backend, {}, devices, {"gpu": "it is a stand-in", "tpu": "it is a stand-in"})

    def pytest_dlcheck_device_kinds():
        return [DeviceKind("npu", {"torch": "npu"})]
"""


class TestOptions:
    @pytest.fixture
    def simulated(self, runs: Runs) -> Runs:
        runs.fake_backends("jax", "torch")
        runs.pytester.makeconftest(SIMULATED)
        runs.pytester.makepyfile("def test_a(backend, _dl_device): print('ON', backend.name, _dl_device)")
        return runs

    @pytest.mark.parametrize(
        ("option", "ids"),
        [
            ("cpu", ["jax-cpu", "torch-cpu"]),
            ("all", ["jax-cpu", "jax-gpu", "jax-gpu:1", "torch-cpu"]),
            ("auto", ["jax-gpu", "torch-cpu"]),
            ("gpu:1,cpu", ["jax-gpu:1", "jax-cpu", "torch-gpu:1", "torch-cpu"]),
            ("npu", ["jax-npu", "torch-npu"]),
        ],
    )
    def test_make_the_ids(self, simulated: Runs, option: str, ids: list[str]) -> None:
        result = simulated("--dl-backend=jax,torch", f"--dl-device={option}", "--collect-only", "-q")
        collected = [line.split("[")[1][:-1] for line in result.outlines if "::test_a[" in line]
        assert sorted(collected) == sorted(ids)

    def test_require_turns_a_missing_device_into_an_error(self, simulated: Runs) -> None:
        simulated("--dl-backend=jax", "--dl-device=gpu", "--dl-require=gpu").assert_outcomes(passed=1)
        result = simulated("--dl-backend=jax,torch", "--dl-device=gpu", "--dl-require=gpu")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: --dl-require: torch finds no gpu: it is a stand-in"])
        result = simulated("--dl-backend=jax", "--dl-device=gpu:2", "--dl-require=gpu:2")
        result.stderr.fnmatch_lines(["ERROR: --dl-require: jax finds 2 of kind gpu, so there is no gpu:2"])

    def test_require_of_a_backend_asks_it(self, simulated: Runs) -> None:
        simulated("--dl-backend=jax,torch", "--dl-require=torch").assert_outcomes(passed=2)

    def test_a_kind_defined_twice(self, simulated: Runs) -> None:
        simulated.pytester.makeconftest(
            "from pytest_dlcheck import DeviceKind\n"
            "def pytest_dlcheck_device_kinds(): return [DeviceKind('gpu', {'torch': 'mps'})]"
        )
        result = simulated("--dl-backend=jax")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: the device kind 'gpu' is defined twice"])


class TestFixtures:
    """On the quickest real backend."""

    @pytest.fixture
    def real(self, runs: Runs, needs: Any) -> Runs:
        needs("jax", "keras")
        return runs

    def test_a_missing_device_is_skipped_with_its_reason(self, real: Runs) -> None:
        real.pytester.makepyfile("def test_a(device): pass\ndef test_b(gpu): pass\ndef test_c(cpu): assert cpu.kind == 'cpu'")
        result = real("--dl-backend=jax", "--dl-device=cpu,gpu", "-rs")
        result.assert_outcomes(passed=2, skipped=2)
        result.stdout.fnmatch_lines(["SKIPPED*jax finds no gpu: jax.devices('gpu'): Unknown backend*"])

    def test_a_kind_that_is_no_part_of_the_run_is_skipped(self, real: Runs) -> None:
        real.pytester.makepyfile("def test_a(cpu): pass\ndef test_b(tpu): pass")
        result = real("--dl-backend=jax", "-rs", "-v")
        result.assert_outcomes(passed=1, skipped=1)
        result.stdout.fnmatch_lines(
            ["*test_b?jax-tpu?*", "SKIPPED*the test needs tpu, and this run is on cpu only (--dl-device)"]
        )

    def test_several_logical_devices(self, real: Runs) -> None:
        real.pytester.makepyfile(
            """
            import numpy as np, pytest

            def test_index(backend, device):
                x = device.put(np.ones(3, dtype="float32"))
                device.verify(x + x)
                assert str(device) in ("cpu:0", "cpu:2")

            @pytest.mark.dl_devices(3)
            def test_three(devices):
                assert [str(each) for each in devices] == ["cpu:0", "cpu:1", "cpu:2"]
                with devices[1].scope():
                    devices[1].verify(devices[0].backend.keras.ops.ones(2))

            @pytest.mark.dl_devices(4)
            def test_four(devices): pass
            """
        )
        result = real("--dl-backend=jax", "--dl-device=cpu,cpu:2", "-rs", "-v")
        result.assert_outcomes(passed=4, skipped=2)
        result.stdout.fnmatch_lines(
            ["*test_index?jax-cpu:2?*", "SKIPPED*needs 4 devices of kind cpu, and jax has 3; --dl-cpu-devices 4 makes more"]
        )

    def test_a_result_elsewhere_fails_the_test(self, real: Runs) -> None:
        real.pytester.makepyfile(
            """
            import numpy as np
            def test_elsewhere(backend, device):
                with backend.framework.default_device(backend.framework.devices()[1]):
                    device.verify(backend.framework.numpy.ones(2))
            def test_nothing_to_verify(device):
                device.verify(np.ones(2))
            """
        )
        result = real("--dl-backend=jax", "--dl-cpu-devices=2")
        result.assert_outcomes(failed=2)
        result.stdout.fnmatch_lines(["*DeviceMismatch: asked jax for cpu:0, and the result lies on cpu:1*"])
        result.stdout.fnmatch_lines(["*TypeError: a NumPy array lies in the host's memory*"])

    def test_work_under_hypothesis(self, real: Runs) -> None:
        real.pytester.makepyfile(
            """
            from hypothesis import given, settings, strategies as st

            @settings(max_examples=5, deadline=None)
            @given(n=st.integers(1, 3))
            def test_a(n, backend, device):
                device.verify(backend.keras.ops.ones(n))
            """
        )
        real("--dl-backend=jax").assert_outcomes(passed=1)


def test_the_numpy_backend_knows_its_arrays() -> None:
    need("keras")
    backend = backends.create("numpy", KINDS)
    assert backend.places([np.ones(2), np.float32(1)]) == ("cpu:0",)
    with pytest.raises(DeviceMissing, match="numpy finds no gpu"):
        backend.activate(DeviceName("gpu"))
