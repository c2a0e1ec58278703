"""Measures workloads of one backend, each in a process of its own: `python -m pytest_dlcheck.benchmark.server BACKEND`.

It imports the framework once, in an idle machine, and forks a process for each request, so that no workload finds what
another left (compiled functions, threads, memory) and none waits for the import. Forking is safe only while the framework has
never run an operation and no thread is running: where the import alone starts threads, it says so and serves one request.

Requests and answers are lines of JSON on standard input and output.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

from pytest_dlcheck.backends import create
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.devices import DeviceKind, DeviceName
from pytest_dlcheck.errors import DeviceMissing, DlcheckError


def _threads() -> int:
    try:
        return len(list(Path("/proc/self/task").iterdir()))
    except OSError:
        return threading.active_count()


def _answer(request: dict[str, Any], backend: Backend) -> dict[str, Any]:
    from pytest_dlcheck.benchmark.measure import Budget, measure

    try:
        found = measure(
            request["workload"],
            backend,
            DeviceName.parse(request["device"]),
            request["seed"],
            Budget(request["seconds"], request["pairs"]),
        )
    except DeviceMissing as error:
        return {"error": str(error), "missing": True}
    except DlcheckError as error:
        return {"error": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever a workload raises belongs to whoever asked for it
        last = traceback.format_exc()
        return {"error": f"{type(error).__name__}: {error}", "traceback": last}
    return {"measurement": found.dump()}


def _as_line(answer: dict[str, Any]) -> str:
    try:
        return json.dumps(answer)
    except (TypeError, ValueError) as error:  # what a workload says of itself need not be text
        return json.dumps({"error": f"the measurement cannot be sent on: {error}"})


def _in_a_fork(request: dict[str, Any], backend: Backend) -> dict[str, Any]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            with os.fdopen(writing, "w") as pipe:
                pipe.write(_as_line(_answer(request, backend)))
            status = 0
        finally:
            # Not sys.exit: the server's own clean-up is not this process's to run, and frameworks may hang in theirs.
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text, late = _read(pipe, time.monotonic() + request["timeout"])
    if late:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if late:
        return {"error": f"no result within {request['timeout']} s"}
    if not text:
        code = os.waitstatus_to_exitcode(status)
        died = f"signal {signal.Signals(-code).name}" if code < 0 else f"status {code}"
        return {"error": f"the measuring process died ({died})"}
    answer: dict[str, Any] = json.loads(text)
    return answer


def _read(pipe: TextIO, deadline: float) -> tuple[str, bool]:
    """Everything that comes through the pipe, and whether the time ran out first."""
    parts: list[bytes] = []
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return "", True
        part = os.read(pipe.fileno(), 1 << 16)
        if not part:
            return b"".join(parts).decode(), False
        parts.append(part)


def main() -> None:
    # What frameworks and workloads print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    setup = json.loads(sys.stdin.readline())
    kinds = {name: DeviceKind(name, platforms) for name, platforms in setup["kinds"].items()}
    backend = create(setup["backend"], kinds, setup["cpu_devices"])
    hello: dict[str, Any] = {}
    try:
        backend.load()
    except DlcheckError as error:
        hello = {"error": str(error)}
    # What every workload imports, and no framework starts with: once here, not once in each.
    from sklearn import datasets  # noqa: F401

    from pytest_dlcheck.benchmark import measure  # noqa: F401

    forks = _threads() == 1
    # What is there now stays: a collection in a forked process would otherwise touch, and so copy, every page of it.
    gc.collect()
    gc.freeze()
    print(json.dumps({**hello, "forks": forks}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = _in_a_fork(request, backend) if forks else _answer(request, backend)
        print(_as_line(answer), file=answers, flush=True)
        if not forks:
            return


if __name__ == "__main__":
    main()
