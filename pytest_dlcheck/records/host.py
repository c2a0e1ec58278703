"""Starts the process of a product, asks it, and goes on with a new one where it dies or hangs."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest_dlcheck
from pytest_dlcheck.errors import DlcheckError

__all__ = ["CASE_S", "CannotRecord", "Died", "Host", "TooLong", "started"]

START_S = 180
"""An import takes 10 s on a slow machine; as `probe` waits."""
CASE_S = 120
"""A case takes a tenth of a second, and some seconds where it is compiled."""


class Died(Exception):
    """The process ended, or did not answer in time; the message says which."""


class TooLong(Died):
    """It did not answer in time."""


class CannotRecord(Exception):
    """The recorder itself failed over a case; the message has the traceback."""


class Host:
    """One product's recorder.

    Args:
        python: its interpreter.
        backend: which one it is to load.
        variables: further environment variables.
    """

    def __init__(self, python: str, backend: str, variables: Mapping[str, str] | None = None) -> None:
        self.python, self.backend, self.variables = python, backend, dict(variables or {})
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._log: Any = None
        self.product: dict[str, str] = {}

    def start(self) -> None:
        """Starts the process and loads the backend.

        Raises:
            DlcheckError: it cannot be started, or the backend cannot be loaded there.
        """
        # The package as it stands here, whatever the product's environment has installed.
        root = str(Path(pytest_dlcheck.__file__).parent.parent)
        path = os.pathsep.join(filter(None, [root, self.variables.get("PYTHONPATH") or os.environ.get("PYTHONPATH", "")]))
        variables = os.environ | self.variables | {"PYTHONPATH": path, "KERAS_BACKEND": self.backend, "PYTHONUNBUFFERED": "1"}
        self._log = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed by `stop`
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the interpreter that was asked for
                [self.python, "-m", "pytest_dlcheck.records.recorder"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                env=variables,
            )
        except OSError as error:
            self.stop()
            raise DlcheckError(f"{self.python} cannot be started: {error.strerror}") from None
        self._answers = queue.Queue()
        threading.Thread(target=self._read, args=(self._process, self._answers), daemon=True).start()
        try:
            reply = self._exchange({"do": "product", "backend": self.backend}, START_S)
        except Died as died:
            last = self._last_line()
            self.stop()
            raise DlcheckError(f"{self.python} cannot record: {last or died}") from None
        if "failed" in reply:
            self.stop()
            raise DlcheckError(f"{self.python} cannot load backend {self.backend!r}: {reply['failed']}")
        self.product = reply["reply"]

    def stop(self) -> None:
        """Ends the process, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def ask(self, request: Mapping[str, Any], limit_s: float = CASE_S) -> dict[str, Any]:
        """The reply to a request; after a death the next call starts a new process.

        Raises:
            Died: the process ended, or did not answer within the limit.
            CannotRecord: the request failed in our own code.
        """
        if self._process is None:
            self.start()
        try:
            reply = self._exchange(request, limit_s)
        except Died:
            self.stop()
            raise
        if "failed" in reply:
            raise CannotRecord(f"{reply['failed']}\n{reply.get('traceback', '')}".strip())
        found: dict[str, Any] = reply["reply"]
        return found

    def _exchange(self, request: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = self._answers.get(timeout=limit_s)
        except (BrokenPipeError, OSError):
            line = None
        except queue.Empty:
            raise TooLong(f"timeout: no answer within {limit_s:.0f} s") from None
        if line is None:
            status = process.wait()
            raise Died(f"crash: the process ended with status {status}")
        try:
            found: dict[str, Any] = json.loads(line)
        except ValueError:
            self.stop()
            raise DlcheckError(f"{self.python} answers what is no JSON: {line.strip()[:80]}") from None
        return found

    @staticmethod
    def _read(process: subprocess.Popen[str], answers: queue.Queue[str | None]) -> None:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                answers.put(line)
        except ValueError:  # closed by `stop`
            pass
        answers.put(None)

    def _last_line(self) -> str:
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().splitlines() if line.strip()]
        return lines[-1] if lines else ""


@contextlib.contextmanager
def started(host: Host) -> Iterator[Host]:
    """Inside, the product's process runs."""
    host.start()
    try:
        yield host
    finally:
        host.stop()
