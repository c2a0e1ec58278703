"""What a peer made of a case, and how many cases are asked of it in one go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.observe.layer_observation import Value, telling_line
from pytest_dlcheck.peers.errors import PeerError
from pytest_dlcheck.peers.host import Peer

__all__ = ["CRASH", "ERROR", "RAN", "TIMEOUT", "UNSUPPORTED", "Answer", "answers"]

Array = NDArray[Any]

RAN, ERROR, UNSUPPORTED, CRASH, TIMEOUT = "ran", "error", "unsupported", "crash", "timeout"


@dataclass(frozen=True)
class Answer:
    """A case on another product.

    Attributes:
        outcome: `ran`, `error` (it raised), `unsupported` (the product has nothing of the kind), `crash`, `timeout`.
        message: what was raised, what is missing, how it ended.
        structure: of the outputs: `*`, `[*, *]`.
        values: the outputs, flattened.
        masks: the mask that each of them carries.
        state: each of the given weights after the call, in the order in which they were given.
        input_gradients: of the sum of outputs times cotangents, by each floating input; None where there is no path.
        weight_gradients: the same by each given weight.
        differentiated: whether there are gradients.
    """

    outcome: str
    message: str = ""
    structure: str = ""
    values: Sequence[Value] = ()
    masks: Sequence[Array | None] = ()
    state: Sequence[Array] = ()
    input_gradients: Sequence[Array | None] = ()
    weight_gradients: Sequence[Array | None] = ()
    differentiated: bool = False


def answers(peer: Peer, items: Sequence[Mapping[str, Any]], timeout_s: float | None = None) -> list[Answer]:
    """Asks a peer for all of these; a case at which it crashes or hangs is answered by that, and the rest goes on.

    Args:
        peer: to ask.
        items: cases as `peers.items.item_of` makes them.
        timeout_s: for each of them; the limits' by default.

    Raises:
        PeerError: it cannot be started, gives no proper answers, or has crashed too often.
    """
    found: list[Answer] = []
    while len(found) < len(items):
        found += _until_it_ends(peer, items[len(found) :], timeout_s)
    return found


def _until_it_ends(peer: Peer, items: Sequence[Mapping[str, Any]], timeout_s: float | None) -> Iterator[Answer]:
    """The answers up to the first case at which the peer ends."""
    try:
        for part in peer.parts(peer.submit("cases", items), timeout_s):
            yield _read(part, peer)
    except PeerError as error:
        if error.kind not in {CRASH, TIMEOUT}:
            raise
        yield Answer(error.kind, str(error))


def _read(part: Any, peer: Peer) -> Answer:
    """One answer.

    Raises:
        PeerError: it is none.
    """
    try:
        outcome = part["outcome"]
        if outcome != RAN:
            kind = f"{part['kind']}: " if "kind" in part else ""
            return Answer({ERROR: ERROR, UNSUPPORTED: UNSUPPORTED}[outcome], kind + telling_line(part["message"]))
        gradients = part["gradients"] or {"inputs": [], "weights": []}
        values = [Value(dtype, np.asarray(array)) for dtype, array in zip(part["dtypes"], part["outputs"], strict=True)]
        return Answer(
            RAN,
            structure=part["structure"],
            values=values,
            masks=part["masks"],
            state=part["state"],
            input_gradients=gradients["inputs"],
            weight_gradients=gradients["weights"],
            differentiated=part["gradients"] is not None,
        )
    except (KeyError, TypeError, ValueError) as error:
        told = f"peer {peer.environment.name} answered a case wrongly: {type(error).__name__}: {error}"
        raise PeerError("malformed", told) from None
