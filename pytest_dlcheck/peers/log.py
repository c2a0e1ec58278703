"""What a peer prints, kept in a file that cannot grow without end."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO

__all__ = ["Log"]

KEPT_FILES = 40


class Log:
    """Copies a stream into a file; of more than it may hold, the beginning goes.

    Two files of half the size: when the second is full it takes the place of the first.

    Args:
        path: of the file; the older half gets the suffix `.1`.
        largest: bytes that both may take together.
    """

    def __init__(self, path: Path, largest: int) -> None:
        self.path = path
        self._half = max(1, largest // 2)
        self._last: deque[bytes] = deque(maxlen=20)
        self._thread: threading.Thread | None = None

    def follow(self, stream: IO[bytes]) -> None:
        """Begins to copy, in a thread, until the stream ends."""
        self._thread = threading.Thread(target=self._copy, args=(stream,), daemon=True)
        self._thread.start()

    def _copy(self, stream: IO[bytes]) -> None:
        file = self.path.open("ab")
        written = file.tell()
        try:
            for chunk in _chunks(stream):
                self._last.extend(line for line in chunk.splitlines() if line.strip())
                if written + len(chunk) > self._half:
                    file.close()
                    self.path.replace(self.path.with_name(f"{self.path.name}.1"))
                    file, written = self.path.open("wb"), 0
                with contextlib.suppress(OSError):  # a full disk must not stop the peer, which waits for us to read
                    file.write(chunk)
                    file.flush()
                written += len(chunk)
        finally:
            file.close()
            stream.close()

    def finish(self, timeout_s: float = 2.0) -> None:
        """Waits for the end of the stream, for what a process printed last."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def last_line(self) -> str:
        """What was printed last."""
        return self._last[-1].decode("utf-8", "replace").strip()[:300] if self._last else ""


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while True:
        try:
            chunk = stream.read1(65536)  # type: ignore[attr-defined]
        except (OSError, ValueError):
            return
        if not chunk:
            return
        yield chunk


def tidy(folder: Path) -> None:
    """Removes the oldest logs of a folder, so that only some are kept."""
    files = sorted((each for each in folder.glob("*.log*") if each.is_file()), key=lambda each: each.stat().st_mtime)
    for file in files[:-KEPT_FILES]:
        file.unlink(missing_ok=True)
