"""What every part of a recorder agrees on: its seed, and names and messages without what differs from process to process."""

from __future__ import annotations

import re

from pytest_dlcheck.observe.layer_observation import telling_line

__all__ = ["LACKS", "MOVES", "SEED", "raised", "unnumbered"]

MOVES = 2
"""How many moved starts tell how far rounding may carry a result; `records.judging` says what is made of them."""

SEED = 20_11_22

LACKS = re.compile(r"unexpected keyword|[Uu]nrecognized keyword|[Kk]eyword argument not understood|module \S+ has no attribute")
"""What says that an argument, a class or a function does not exist in this version."""

_NUMBERED = re.compile(r"(?<=[A-Za-z0-9])_\d+(?=\b|/|:)")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


def unnumbered(text: str) -> str:
    """A name without the numbers that Keras appends to tell the layers of a process apart."""
    return _NUMBERED.sub("", text)


def raised(error: BaseException, during: str) -> dict[str, str]:
    """An error as a record holds it."""
    # A KeyError prints its message as a literal.
    message = error.args[0] if isinstance(error, KeyError) and error.args and isinstance(error.args[0], str) else str(error)
    return {
        "kind": type(error).__name__,
        "message": _ADDRESS.sub("0x", unnumbered(telling_line(message))),
        "during": during,
    }
