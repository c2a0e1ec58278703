"""The sides of a comparison and the processes that run them. Imports no framework and no numpy."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest_dlcheck
from pytest_dlcheck.benchmark.process import LineProcess, MeasurementError
from pytest_dlcheck.benchmark.variation import Variation
from pytest_dlcheck.devices import DeviceKind, DeviceName
from pytest_dlcheck.errors import DlcheckError

__all__ = ["Runner", "Side", "SideProcess", "Task", "along"]

START_TIMEOUT_S = 300
BLOCK_TIMEOUT_S = 300

# One thread each. What is not set here, each side's program sets in the framework.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "NPROC",  # from which XLA takes how many threads its CPU client has
    "PJRT_NPROC",
)


@dataclass(frozen=True)
class Side:
    """What one side runs on.

    Attributes:
        label: by which tables and messages name it.
        python: the interpreter; None is this process's own.
        backend: `tensorflow`, `jax`, `torch`, or `none` for a workload without a framework.
        variation: how the workload is run.
        variables: environment variables of another interpreter, beside this process's.
    """

    label: str
    python: Path | None
    backend: str
    variation: Variation = field(default_factory=Variation)
    variables: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Task:
    """What all sides do.

    Attributes:
        workload: a documented model, or `package.module:function`.
        device: to run on.
        kinds: of devices.
        seed: of data and weights.
        threads: how many each side may use; None leaves it to the framework.
        gate: `cpu` or `wall`: the clock that decides.
        data: a documented model's data as a file, so that both sides have the same and need nothing to make it with.
    """

    workload: str
    device: DeviceName
    kinds: Mapping[str, DeviceKind]
    seed: int
    threads: int | None
    gate: str
    data: Path | None


class Runner(Protocol):
    """One side's process, as the session sees it. A test gives one that only reckons."""

    def start(self) -> dict[str, Any]: ...

    def calibrate(self) -> dict[str, float]: ...

    def prepare(self, length: int) -> None: ...

    def block(self) -> tuple[list[float], list[float]]: ...

    def close(self) -> None: ...


def along(one: Side, other: Side) -> set[str]:
    """Which parts of a series' key may differ between two sides, because they are what is compared."""
    found: set[str] = set()
    if one.python != other.python or one.variables != other.variables:
        found |= {"python", "versions"}
    if one.backend != other.backend:
        found |= {"backend", "versions", "jit"}
    mine, theirs = one.variation, other.variation
    found |= {name for name in ("batch", "dtype", "jit", "steps_per_execution") if getattr(mine, name) != getattr(theirs, name)}
    if mine.more != theirs.more:
        found.add("options")
    return found


class SideProcess:
    """A side in a process of its own, which waits on its pipe between requests.

    Args:
        side: what it runs on.
        task: what it does.
        folder: holds nothing but a link to this package, for the path of another interpreter, which must not find what else is
            installed beside it.

    Raises:
        MeasurementError: it cannot be started.
    """

    def __init__(self, side: Side, task: Task, folder: Path) -> None:
        self._side = side
        self._about = f"{task.workload} on {side.label}: "
        name = f"{side.label} ({side.python})" if side.python else side.label
        self._process = LineProcess(
            f"the process of {name}",
            [str(side.python or sys.executable), "-m", "pytest_dlcheck.benchmark.side"],
            _environment(side, task, folder),
        )
        setup = {
            "backend": side.backend,
            "kinds": {kind.name: dict(kind.platforms) for kind in task.kinds.values()},
            "device": str(task.device),
            "workload": task.workload,
            "variation": side.variation.dump(),
            "seed": task.seed,
            "threads": task.threads,
            "gate": task.gate,
            "data": None if task.data is None else str(task.data),
        }
        try:
            self._ask({"setup": setup}, START_TIMEOUT_S)
        except MeasurementError:
            self.close()
            raise

    def _ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        return self._process.exchange(request, timeout, self._about)

    def start(self) -> dict[str, Any]:
        """Imports, builds and takes the first step; says what that took and what it runs on."""
        return self._ask({"do": "start"}, START_TIMEOUT_S)

    def calibrate(self) -> dict[str, float]:
        """About how long a step takes, and how many make a block."""
        return self._ask({"do": "calibrate"}, START_TIMEOUT_S)

    def prepare(self, length: int) -> None:
        """From now on a block has so many executions."""
        self._ask({"do": "prepare", "length": length}, BLOCK_TIMEOUT_S)

    def block(self) -> tuple[list[float], list[float]]:
        """A call with one execution and one with a block more: seconds on the wall and of the processors each."""
        answer = self._ask({"do": "block"}, BLOCK_TIMEOUT_S)
        return answer["one"], answer["many"]

    def close(self) -> None:
        """Ends the process."""
        self._process.close()


def package_folder(root: Path) -> Path:
    """Makes a folder below `root` that holds a link to this package and nothing else.

    Raises:
        DlcheckError: the link cannot be made.
    """
    folder = root / "path"
    try:
        folder.mkdir()
        (folder / "pytest_dlcheck").symlink_to(Path(pytest_dlcheck.__file__).parent, target_is_directory=True)
    except OSError as error:
        raise DlcheckError(f"{folder}: a link to this package cannot be made there ({error.strerror})") from None
    return folder


def _environment(side: Side, task: Task, folder: Path) -> dict[str, str]:
    if side.python is None:
        found, paths = dict(os.environ), [str(Path(pytest_dlcheck.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    else:
        # What this process was started with says nothing of another interpreter.
        found = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
        found |= dict(side.variables or {})
        paths = [str(folder), found.get("PYTHONPATH", "")]
    found["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    found.pop("KERAS_BACKEND", None)
    # Two processes share the GPU, and JAX would take three quarters of its memory for the first.
    found.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if task.threads is not None:
        found |= dict.fromkeys(THREAD_VARIABLES, str(task.threads))
        if task.threads == 1:
            found["XLA_FLAGS"] = f"{found.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    return found
