"""The host's side: one peer, started when it is first asked, kept, and started again after a crash."""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_dlcheck.environments import Environment
from pytest_dlcheck.environments.cache import logs
from pytest_dlcheck.peers.errors import PeerError
from pytest_dlcheck.peers.log import tidy
from pytest_dlcheck.peers.process import Limits, PeerProcess

__all__ = ["PROGRAM", "Peer"]

PROGRAM = Path(__file__).with_name("program")


class Peer:
    """Another product that answers.

    Requests that were sent before one is waited for are worked off in their order. After a crash or a timeout those that were
    under way are lost, and say so; the next request starts the program anew, a limited number of times.

    Args:
        environment: of the product.
        program: what is run there.
        limits: what it may take.
        log: the file for what it prints; by default one of the cache.
    """

    def __init__(
        self, environment: Environment, *, program: Path = PROGRAM, limits: Limits | None = None, log: Path | None = None
    ) -> None:
        self.environment = environment
        self.limits = limits or Limits()
        self._program = program
        self._log = log
        self._numbers = itertools.count(1)
        self._process: PeerProcess | None = None
        self._requests: dict[int, PeerProcess] = {}
        self._stop: Any = None
        self._never_ready: PeerError | None = None
        self.starts = 0

    def _running(self) -> PeerProcess:
        if self._process is not None and self._process.alive:
            return self._process
        if self._never_ready is not None:
            raise self._never_ready
        if self._process is not None:
            self._drop()
        if self.starts > self.limits.restarts:
            raise PeerError("given up", f"peer {self.environment.name} was started {self.starts} times and ended each time")
        self.starts += 1
        try:
            self._process = PeerProcess(self.environment, self._program, self.limits, self._log_path())
        except PeerError as error:
            # What does not come up once will not come up the next time.
            self._never_ready = error
            raise
        self._stop = weakref.finalize(self, PeerProcess.kill, self._process)
        return self._process

    def _log_path(self) -> Path:
        if self._log is not None:
            return self._log
        folder = logs()
        tidy(folder)
        return folder / f"{self.environment.name}-{os.getpid()}.log"

    def _drop(self) -> None:
        if self._stop is not None:
            self._stop()
            self._stop = None
        self._process = None

    def submit(self, kind: str, value: Any = None) -> int:
        """Sends a request; gives its number, for `parts`.

        Raises:
            PeerError: the program cannot be started, or has been too often.
        """
        process = self._running()
        number = next(self._numbers)
        self._requests[number] = process
        process.ask(number, kind, value)
        return number

    def parts(self, number: int, timeout_s: float | None = None) -> Iterator[Any]:
        """What answers a request, as it comes.

        Args:
            number: from `submit`.
            timeout_s: seconds for each part; by default the limits'. After it the program is ended.

        Raises:
            PeerError: it crashed, did not answer in time, answered with what is no answer, or refused.
        """
        process = self._requests.pop(number)
        wanted = 0
        try:
            while True:
                message = process.next_part(number, self.limits.answer_s if timeout_s is None else timeout_s)
                if message.get("done") == wanted:
                    return
                self._check(message, wanted, process)
                wanted += 1
                yield message["value"]
        except PeerError as error:
            if error.kind != "refused" and process is self._process:
                self._drop()
            raise
        finally:
            process.forget(number)

    def _check(self, message: dict[str, Any], wanted: int, process: PeerProcess) -> None:
        name, log = self.environment.name, str(process.log.path)
        if "error" in message:
            raise PeerError("refused", f"peer {name}: {' '.join(str(message['error']).split())}", log)
        if message.get("part") != wanted or "value" not in message:
            raise PeerError("malformed", f"peer {name} answered {str(message)[:80]}, and part {wanted} was due", log)

    def ask(self, kind: str, value: Any = None, timeout_s: float | None = None) -> list[Any]:
        """Sends a request and waits for all parts of its answer.

        Raises:
            PeerError: as `submit` and `parts`.
        """
        return list(self.parts(self.submit(kind, value), timeout_s))

    def close(self) -> None:
        """Lets the program end."""
        if self._process is not None:
            self._process.close()
        self._drop()
