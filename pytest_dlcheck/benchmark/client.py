"""Asks the measuring process. Imports no framework and no numpy: it lives in the controller."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from pytest_dlcheck.benchmark.measurement import Measurement
from pytest_dlcheck.benchmark.process import LineProcess, MeasurementError
from pytest_dlcheck.devices import DeviceKind, DeviceName

__all__ = ["LOOK", "THOROUGH", "USUAL", "Effort", "MeasurementError", "Stopwatch"]

START_TIMEOUT_S = 180
TIMEOUT_S = 300


class Effort(NamedTuple):
    """How long the steady part of a measurement takes: at least so many pairs of blocks, for at least so many seconds."""

    pairs: int
    seconds: float


LOOK = Effort(2, 0.0)
"""To see that a workload runs, not how fast."""
USUAL = Effort(3, 0.5)
THOROUGH = Effort(5, 1.0)


class Stopwatch:
    """Measures workloads, each once, one after the other; keeps at most one measuring process, of one backend.

    Args:
        kinds: the kinds of device of the run.
        seed: of the run.
        effort: how long to measure each.
    """

    def __init__(self, kinds: Mapping[str, DeviceKind], seed: int, effort: Effort = USUAL) -> None:
        self._kinds = kinds
        self._seed = seed
        self._effort = effort
        self._server: _Server | None = None
        self._done: dict[tuple[str, str, str], Measurement] = {}

    def measure(self, workload: str, backend: str, device: DeviceName) -> Measurement:
        """The measurement of a workload; the same one when asked again.

        Raises:
            DeviceMissing: the backend does not have the device.
            MeasurementError: there is none for another reason, and the message says which.
        """
        key = (workload, backend, str(device))
        if key not in self._done:
            cpu_devices = device.index + 1 if device.kind == "cpu" else 1
            server = self._server
            if server is None or server.spent or (server.backend, server.cpu_devices) != (backend, cpu_devices):
                self.close()
                self._server = server = _Server(backend, self._kinds, cpu_devices)
            request = {
                "workload": workload,
                "device": str(device),
                "seed": self._seed,
                "seconds": self._effort.seconds,
                "pairs": self._effort.pairs,
                "timeout": TIMEOUT_S,
            }
            self._done[key] = server.ask(request)
        return self._done[key]

    def close(self) -> None:
        """Ends the measuring process, if there is one."""
        if self._server is not None:
            self._server.close()
            self._server = None


class _Server:
    def __init__(self, backend: str, kinds: Mapping[str, DeviceKind], cpu_devices: int) -> None:
        self.backend = backend
        self.cpu_devices = cpu_devices
        self.spent = False
        # A thread of a linear-algebra library would make forking unsafe; the frameworks have threads of their own.
        environment = {**os.environ, "KERAS_BACKEND": backend, "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._process = LineProcess(
            f"the measuring process of {backend}", [sys.executable, "-m", "pytest_dlcheck.benchmark.server"], environment
        )
        setup = {
            "backend": backend,
            "kinds": {kind.name: dict(kind.platforms) for kind in kinds.values()},
            "cpu_devices": cpu_devices,
        }
        try:
            self._forks = self._process.exchange(setup, START_TIMEOUT_S)["forks"]
        except MeasurementError:
            self.close()
            raise

    def ask(self, request: dict[str, Any]) -> Measurement:
        # Without forking it ends after one request, whatever comes of that.
        self.spent = not self._forks
        try:
            about = f"{request['workload']} on {self.backend}: "
            answer = self._process.exchange(request, request["timeout"] + 30, about)
        finally:
            self.spent = self.spent or self._process.lost
        return Measurement.load(answer["measurement"])

    def close(self) -> None:
        self._process.close()
