"""Messages between a host and a peer: a head with two lengths, a JSON value, and the bytes of the arrays that it speaks of.

Both sides use this file. It knows nothing but NumPy, and runs on Python 3.6.
"""

import json
import struct
from typing import IO, Any, List

import numpy as np

__all__ = ["PROTOCOL", "End", "WireError", "packed", "receive", "send"]

PROTOCOL = 1
_MAGIC = b"dlc1"
# The magic number, the bytes of the JSON, the bytes of the arrays.
_HEAD = struct.Struct("<4sIQ")
_LARGEST_HEADER = 2**28
_LARGEST_PAYLOAD = 2**33
_KINDS = "biufc"


class WireError(Exception):
    """What arrived is no message."""


class End:
    """What `receive` gives at the end of a stream, between two messages."""


def _encoded(value: Any, arrays: List[Any]) -> Any:
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if isinstance(value, np.ndarray):
        if value.dtype == object:  # texts
            return {"$strings": [list(value.shape), [str(each) for each in value.reshape(-1).tolist()]]}
        if value.dtype.kind not in _KINDS:
            raise TypeError("an array of dtype %s cannot be sent" % value.dtype)
        arrays.append(np.asarray(value, order="C"))
        return {"$array": len(arrays) - 1}
    if isinstance(value, dict):
        return {str(key): _encoded(item, arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encoded(item, arrays) for item in value]
    return value


def packed(value: Any) -> List[bytes]:
    """The parts of a message, to be written one after the other.

    Args:
        value: what JSON knows, with arrays of numbers, truth values or texts in it.

    Raises:
        TypeError: it holds something else.
    """
    arrays: List[Any] = []
    plain = _encoded(value, arrays)
    header = json.dumps({"value": plain, "arrays": [[each.dtype.str, list(each.shape)] for each in arrays]}).encode("utf-8")
    blobs = [each.tobytes() for each in arrays]
    return [_HEAD.pack(_MAGIC, len(header), sum(map(len, blobs))), header] + blobs


def send(stream: IO[bytes], value: Any) -> None:
    """Writes a message."""
    stream.write(b"".join(packed(value)))
    stream.flush()


def _read(stream: IO[bytes], count: int) -> bytes:
    parts = []
    while count:
        part = stream.read(count)
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _rest(stream: IO[bytes], count: int) -> bytes:
    found = _read(stream, count)
    if len(found) < count:
        raise WireError("the stream ends in the middle of a message")
    return found


def _decoded(value: Any, arrays: List[Any]) -> Any:
    if isinstance(value, list):
        return [_decoded(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, inner),) = value.items()
        if key == "$array":
            return arrays[inner]
        if key == "$strings":
            return np.array(inner[1], dtype=object).reshape(inner[0])
    return {key: _decoded(item, arrays) for key, item in value.items()}


def receive(stream: IO[bytes]) -> Any:
    """The next message's value; the class `End` where the stream ends.

    Raises:
        WireError: what comes is no message.
    """
    start = _read(stream, _HEAD.size)
    if not start:
        return End
    if not start.startswith(_MAGIC[: len(start)]):
        raise WireError("%r is no beginning of a message" % start[:40])
    if len(start) < _HEAD.size:
        raise WireError("the stream ends in the middle of a message")
    _, header_size, payload_size = _HEAD.unpack(start)
    if header_size > _LARGEST_HEADER or payload_size > _LARGEST_PAYLOAD:
        raise WireError("a message of %d and %d bytes is too long" % (header_size, payload_size))
    header = _rest(stream, header_size)
    payload = _rest(stream, payload_size)
    try:
        return _message(json.loads(header.decode("utf-8")), payload)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise WireError("a message that cannot be read: %s: %s" % (type(error).__name__, error)) from None


def _message(header: Any, payload: bytes) -> Any:
    arrays: List[Any] = []
    place = 0
    for name, shape in header["arrays"]:
        dtype = np.dtype(name)
        if dtype.kind not in _KINDS:
            raise ValueError("dtype %s" % name)
        count = 1
        for size in shape:
            count *= size
        end = place + count * dtype.itemsize
        if count < 0 or end > len(payload):
            raise ValueError("an array of %s %s in %d bytes" % (name, shape, len(payload) - place))
        # A copy, since what is read from bytes cannot be written to.
        arrays.append(np.frombuffer(payload, dtype, count, place).reshape(shape).copy())
        place = end
    if place != len(payload):
        raise ValueError("%d bytes too many" % (len(payload) - place))
    return _decoded(header["value"], arrays)
