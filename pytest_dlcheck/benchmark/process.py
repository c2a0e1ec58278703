"""A process that answers lines of JSON with lines of JSON. Imports no framework and no numpy."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pytest_dlcheck.errors import DeviceMissing, DlcheckError

__all__ = ["LineProcess", "MeasurementError"]


class MeasurementError(DlcheckError):
    """A workload could not be measured."""


class LineProcess:
    """Started at once; between two requests it waits for a line and does nothing.

    Args:
        name: of the process, for messages.
        command: program and arguments.
        environment: all of its environment variables.

    Attributes:
        lost: whether it has died or been ended for being late.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self.lost = False
        self._log: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in close()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - an interpreter, of this process or of the user's choice
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                cwd=Path.cwd(),
                env=dict(environment),
            )
        except OSError as error:
            self._log.close()
            raise MeasurementError(f"{name} cannot be started: {command[0]}: {error.strerror or error}") from None

    @property
    def pid(self) -> int:
        """The operating system's number of the process."""
        return self._process.pid

    def exchange(self, request: Mapping[str, Any], timeout: float, about: str = "") -> dict[str, Any]:
        """Sends a line and reads one.

        Args:
            request: what can be said in JSON.
            timeout: after so many seconds without an answer the process is ended.
            about: stands before the message of an error that the process answers with.

        Raises:
            DeviceMissing: the answer says so.
            MeasurementError: the answer says what is wrong, is no answer, or does not come in time.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._process.poll() is not None:
            self.lost = True
            raise MeasurementError(f"{self.name} has died: {self._last_words()}")
        # The process has time limits of its own; this one is for when it hangs altogether.
        watchdog = threading.Timer(timeout, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        except (OSError, ValueError):
            self.lost = True
            raise MeasurementError(f"{self.name} gave no answer within {timeout:g} s, or died: {self._last_words()}") from None
        finally:
            watchdog.cancel()
        if answer.get("missing"):
            raise DeviceMissing(answer["error"])
        if "error" in answer:
            error = MeasurementError(about + answer["error"])
            if "traceback" in answer:
                error.add_note(answer["traceback"]) if hasattr(error, "add_note") else None
            raise error
        return answer

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().strip().splitlines()
        return lines[-1] if lines else "it printed nothing"

    def close(self) -> None:
        """Ends the process: it is told that nothing more comes, and killed if it does not end by itself."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
