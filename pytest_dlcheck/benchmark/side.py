"""One side of a comparison, in a process of its own: `python -m pytest_dlcheck.benchmark.side`.

It runs under the interpreter of an environment that is compared, which has Python 3.10 or newer, NumPy and the framework (from
TensorFlow 2.12 on, so Keras 2 as well), and of this package only what lies on its path. Requests and answers are lines of JSON
on standard input and output; between two requests it waits for a line and does nothing.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import platform
import resource
import sys
import traceback
from pathlib import Path
from typing import Any

from pytest_dlcheck.backends import create, versions
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.benchmark.plain import NAME, PlainBackend
from pytest_dlcheck.benchmark.trainer import Clocks, Trainer, clock_of
from pytest_dlcheck.benchmark.variation import Variation
from pytest_dlcheck.benchmark.workload import resolve
from pytest_dlcheck.devices import DeviceKind, DeviceName
from pytest_dlcheck.errors import DeviceMissing, DlcheckError

__all__ = ["main", "peak_memory"]


def peak_memory() -> int:
    """The largest resident set of this process so far, in bytes.

    Not `getrusage`, where it can be helped: on Linux its figure is never less than what the parent had when it started us.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
    except (OSError, StopIteration, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _device_memory(backend: Backend, device: DeviceName) -> int | None:
    """The most that the framework's own counter has seen on an accelerator, in bytes; None on a CPU."""
    if device.kind == "cpu":
        return None
    framework, platform_name = backend.framework, backend.kinds[device.kind].platforms[backend.name]
    if backend.name == "torch":
        return int(framework.get_device_module(platform_name).max_memory_allocated(device.index))
    if backend.name == "jax":
        stats = framework.devices(platform_name)[device.index].memory_stats()
        return int(stats["peak_bytes_in_use"]) if stats else None
    return int(framework.config.experimental.get_memory_info(f"{platform_name}:{device.index}")["peak"])


def _one_thread(backend: Backend, threads: int | None) -> None:
    """What the environment's variables do not reach."""
    if threads is not None and backend.name == "torch":
        backend.framework.set_num_threads(threads)
    if threads is not None and backend.name == "tensorflow":
        with contextlib.suppress(RuntimeError):  # too late: then the variables count, which TensorFlow reads itself
            backend.framework.config.threading.set_intra_op_parallelism_threads(threads)
            backend.framework.config.threading.set_inter_op_parallelism_threads(threads)


class _Side:
    def __init__(self, setup: dict[str, Any]) -> None:
        self._setup = setup
        self._clocks = Clocks(clock_of(setup["gate"]))
        kinds = {name: DeviceKind(name, platforms) for name, platforms in setup["kinds"].items()}
        self._device = DeviceName.parse(setup["device"])
        cpus = self._device.index + 1 if self._device.kind == "cpu" else 1
        name = setup["backend"]
        self._backend: Backend = PlainBackend(kinds, cpus) if name == NAME else create(name, kinds, cpus)
        self._variation = Variation.load(setup["variation"])

    def start(self) -> dict[str, Any]:
        """Imports, builds, and takes the first step."""
        timed, backend = self._clocks.timed, self._backend
        imported = timed(backend.load)
        _one_thread(backend, self._setup["threads"])
        scopes: list[Any] = []
        started = timed(lambda: scopes.append(backend.activate(self._device)))
        scopes[0].__enter__()  # until the process ends
        if self._variation.dtype is not None:
            self._set_policy(self._variation.dtype)
        data = self._setup["data"]
        workload = resolve(
            self._setup["workload"], backend, self._setup["seed"], self._variation, None if data is None else Path(data)
        )
        gc.collect()
        gc.disable()  # as timeit does it; between calls it is collected
        before = peak_memory()
        models: list[Any] = []

        def build() -> None:
            models.append(workload.make_model())
            backend.synchronize(*models[0].weights)

        built = timed(build)
        execution = self._variation.steps_per_execution or 1
        self._trainer = Trainer(workload, models[0], backend, execution, self._clocks)
        first = self._trainer.first()
        again = self._trainer.first()
        backend.verify(models[0], self._device)
        memory = peak_memory()
        # What is there now stays: collections between calls then look at what came since.
        gc.collect()
        gc.freeze()
        return {
            "import": imported,
            "start": started,
            "build": built,
            "first": first,
            "second": again,
            "peak_memory_bytes": memory,
            "before_build_bytes": before,
            "device_memory_bytes": _device_memory(backend, self._device),
            "batch": workload.batch_size,
            "execution": execution,
            "data": workload.data,
            "loss": self._trainer.loss,
            "python": platform.python_version(),
            "versions": {} if backend.name == NAME else versions(backend.name),
            "device_model": self._device_model(),
        }

    def _device_model(self) -> str:
        found = self._backend.discover().devices.get(self._device.kind, [])
        return found[self._device.index] if self._device.index < len(found) else str(self._device)

    def _set_policy(self, name: str) -> None:
        # The one name that both Keras 2 and Keras 3 have.
        try:
            self._backend.keras.mixed_precision.set_global_policy(name)
        except (AttributeError, TypeError, ValueError) as error:
            raise DlcheckError(f"option dtype: Keras on {self._backend.name} has no policy {name!r} ({error})") from error

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        do = request["do"]
        if do == "start":
            return self.start()
        if do == "calibrate":
            return dict(self._trainer.calibrate())
        if do == "prepare":
            self._trainer.prepare(request["length"])
            return {}
        if do == "block":
            one, many = self._trainer.block()
            return {"one": one, "many": many}
        raise ValueError(f"unknown request {do!r}")


def main() -> None:
    # What frameworks and workloads print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    side: _Side | None = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any]
        try:
            if side is None:
                side = _Side(request["setup"])
                answer = {}
            else:
                answer = side.answer(request)
        except DeviceMissing as error:
            answer = {"error": str(error), "missing": True}
        except DlcheckError as error:
            answer = {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - whatever a workload raises belongs to whoever asked for it
            answer = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)
    # Frameworks may hang in their own clean-up.
    answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
