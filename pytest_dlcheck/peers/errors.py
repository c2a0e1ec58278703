"""What may go wrong with a peer."""

from __future__ import annotations

from pytest_dlcheck.errors import DlcheckError

__all__ = ["PeerError"]


class PeerError(DlcheckError):
    """A peer did not answer; the message says what happened, in a line.

    Attributes:
        kind: `start` (it never was ready), `crash`, `timeout`, `garbage` (what it wrote is no message), `malformed` (a message
            that is no answer), `refused` (it answered that it cannot), `given up` (it has crashed too often).
        log: the file that holds what it printed; empty where there is none.
    """

    def __init__(self, kind: str, message: str, log: str = "") -> None:
        super().__init__(message + (f" (log: {log})" if log else ""))
        self.kind = kind
        self.log = log
