"""One run of a peer's program: its pipes, and threads that keep them moving."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_dlcheck.environments import Environment
from pytest_dlcheck.peers.errors import PeerError
from pytest_dlcheck.peers.log import Log
from pytest_dlcheck.peers.program.wire import PROTOCOL, End, WireError, packed, receive

__all__ = ["Limits", "PeerProcess"]


class Limits:
    """What a peer may take.

    Attributes:
        start_s: seconds until it says hello.
        answer_s: seconds for one part of an answer; the first one holds the framework's import.
        memory: bytes of data; 0 for no limit.
        file: bytes of one file; 0 for no limit.
        log: bytes of what it prints that are kept.
        restarts: how often it is started again after a crash.
    """

    def __init__(
        self,
        *,
        start_s: float = 60.0,
        answer_s: float = 180.0,
        memory: int = 16 * 2**30,
        file: int = 2**30,
        log: int = 2**20,
        restarts: int = 10,
    ) -> None:
        self.start_s, self.answer_s = start_s, answer_s
        self.memory, self.file, self.log, self.restarts = memory, file, log, restarts


class PeerProcess:
    """A started program. What it answers is collected until it is asked for, by the number of the request.

    Args:
        environment: whose interpreter runs it.
        program: the folder or file.
        limits: for this process.
        log: the file for what it prints.

    Raises:
        PeerError: it cannot be started, or does not say hello.
    """

    def __init__(self, environment: Environment, program: Path, limits: Limits, log: Path) -> None:
        self._name = environment.name
        self._limits = limits
        self.log = Log(log, limits.log)
        self._folder = tempfile.mkdtemp(prefix="dlcheck-peer-")
        self._changed = threading.Condition()
        self._answers: defaultdict[int, deque[dict[str, Any]]] = defaultdict(deque)
        self._hello: dict[str, Any] | None = None
        self._failure: PeerError | None = None
        self._unknown = 0
        self._waited_for: set[int] = set()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own interpreter
                [str(environment.python), str(program), str(limits.memory), str(limits.file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._folder,
                env=environment.process_variables(),
                start_new_session=True,
            )
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise PeerError("start", f"peer {self._name} does not start: {error.strerror or error}") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.log.follow(self._process.stderr)
        self._outgoing: queue.SimpleQueue[Sequence[bytes] | None] = queue.SimpleQueue()
        for work in (self._write, self._read):
            threading.Thread(target=work, daemon=True).start()
        self._await_hello()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def _await_hello(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._hello is not None or self._failure is not None, self._limits.start_s)
            hello, failure = self._hello, self._failure
        if hello is not None and hello.get("hello") == PROTOCOL:
            return
        self.kill()
        if hello is not None:
            raise self._error("malformed", f"begins with {str(hello)[:80]} instead of hello {PROTOCOL}")
        if failure is None:
            raise self._error("start", f"did not start within {self._limits.start_s:g} s")
        kind = "start" if failure.kind == "crash" else failure.kind
        raise PeerError(kind, str(failure).replace("has ended", "has ended at its start"))

    def _error(self, kind: str, what: str) -> PeerError:
        return PeerError(kind, f"peer {self._name} {what}", str(self.log.path))

    # The threads.

    def _write(self) -> None:
        stream = self._process.stdin
        assert stream is not None
        with contextlib.suppress(OSError, ValueError):  # it has gone; the reader says so
            while (parts := self._outgoing.get()) is not None:
                for part in parts:
                    stream.write(part)
                stream.flush()
        with contextlib.suppress(OSError):
            stream.close()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        failure = None
        try:
            while (message := receive(stream)) is not End:
                self._enter(message)
        except WireError as error:
            failure = self._error("garbage", f"wrote to its answers what is none: {error}")
        except (OSError, ValueError) as error:
            failure = self._error("crash", f"cannot be read from: {error}")
        except PeerError as error:
            failure = error
        if failure is None or "in the middle" in str(failure):
            failure = self._ended()
        with self._changed:
            self._failure = failure
            self._changed.notify_all()
        stream.close()

    def _ended(self) -> PeerError:
        """The error of a process that has ended, or is about to."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self.log.finish()
        status = self._process.poll()
        if status is None:
            how = "has closed its answers and runs on"
        elif status < 0:
            how = f"has ended by signal {signal.Signals(-status).name}"
        else:
            how = f"has ended with status {status}"
        last = self.log.last_line()
        return self._error("crash", how + (f": {last}" if last else ", and printed nothing"))

    def _enter(self, message: Any) -> None:
        with self._changed:
            if self._hello is None:
                self._hello = message if isinstance(message, dict) else {"hello": message}
            elif not isinstance(message, dict) or not isinstance(message.get("id"), int):
                raise self._error("malformed", f"answered with something that belongs to no request: {str(message)[:80]}")
            elif message["id"] in self._waited_for:
                self._answers[message["id"]].append(message)
            else:
                self._unknown += 1  # too late: nobody waits for it any more
            self._changed.notify_all()

    # For the host.

    def ask(self, number: int, kind: str, value: Any) -> None:
        """Sends a request; what it gives is waited for with `next_part`."""
        with self._changed:
            self._waited_for.add(number)
        self._outgoing.put(packed({"id": number, "kind": kind, "value": value}))

    def next_part(self, number: int, timeout_s: float) -> dict[str, Any]:
        """The next message that answers a request.

        Raises:
            PeerError: it does not come in time, or the process has ended.
        """
        end = time.monotonic() + timeout_s
        with self._changed:
            while not self._answers[number]:
                if self._failure is not None:
                    raise self._failure
                left = end - time.monotonic()
                if left <= 0:
                    raise self._error("timeout", f"did not answer within {timeout_s:g} s")
                self._changed.wait(left)
            return self._answers[number].popleft()

    def forget(self, number: int) -> None:
        """No longer waits for a request; what still comes of it is dropped."""
        with self._changed:
            self._waited_for.discard(number)
            self._answers.pop(number, None)

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._failure is None and self._process.poll() is None

    def close(self) -> None:
        """Lets it end by itself, and ends it if it does not."""
        self._outgoing.put(None)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        self.kill()

    def kill(self) -> None:
        """Ends the process and what it has started."""
        self._outgoing.put(None)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self.log.finish()
        shutil.rmtree(self._folder, ignore_errors=True)
