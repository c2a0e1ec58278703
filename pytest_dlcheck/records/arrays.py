"""An array in a record: shape, the framework's dtype, and the values; of a large one some values and a digest of all."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["KEPT", "Kept", "change_of", "pack", "unpack"]

Array = NDArray[Any]

KEPT = 512
"""Arrays of more elements are kept as that many of them, evenly spread, and a digest."""

BIAS = 150
"""What a power of two is stored with: 2^-149, the least number of float32, is 1; 0 says that nothing changed at all."""


@dataclass(frozen=True)
class Kept:
    """An array as it comes back from a record.

    Attributes:
        dtype: the framework's.
        shape: of the whole array.
        values: flat; of a large array, every so many.
        change: per value, the power of two that bounds how far it moved when inputs and weights were moved by two units of
            roundoff; None where nothing was moved.
        digest: of the whole array's bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    values: Array
    change: Array | None
    digest: str

    @property
    def whole(self) -> bool:
        """Whether `values` holds every element."""
        return self.values.size == int(np.prod(self.shape, dtype=int))

    @property
    def array(self) -> Array:
        """The values in their shape; of a large array, the kept ones in a row."""
        return self.values.reshape(self.shape) if self.whole else self.values


def _chosen(array: Array) -> Array:
    flat = array.reshape(-1)
    if flat.size <= KEPT:
        return flat
    return np.asarray(flat[np.linspace(0, flat.size - 1, KEPT).round().astype(int)])


def change_of(value: Array, moved: Sequence[Array]) -> Array | None:
    """The largest change of each entry, as a power of two plus `BIAS`; None where there is nothing to compare with."""
    if not moved or value.dtype.kind not in "fiu" or any(each.shape != value.shape for each in moved):
        return None
    wide = np.asarray(value, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        change = np.max([np.abs(np.asarray(each, dtype=np.float64) - wide) for each in moved], axis=0)
    change = np.where(np.isfinite(change), change, 0)
    _, exponent = np.frexp(change)
    return np.where(change == 0, 0, np.clip(exponent + BIAS, 1, 255)).astype(np.uint8)


def pack(dtype: str, value: Array, moved: Sequence[Array] = ()) -> dict[str, Any]:
    """The array as JSON.

    Args:
        dtype: the framework's name of it.
        value: in a dtype that NumPy has.
        moved: the same array of runs whose inputs and weights were moved.
    """
    stored: dict[str, Any] = {"t": dtype, "s": list(value.shape)}
    if value.dtype.kind in "OUS":
        return stored | {"x": [str(each) for each in value.reshape(-1)[:KEPT]], "h": _digest(repr(value.tolist()).encode())}
    little = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"))
    chosen = _chosen(little)
    stored |= {"n": value.dtype.str.lstrip("<>|="), "d": _text(chosen.tobytes())}
    if chosen.size < little.size:
        stored["h"] = _digest(little.tobytes())
    change = change_of(_chosen(value), [_chosen(each) for each in moved])
    if change is not None and change.any():
        stored["c"] = _text(change.tobytes())
    elif change is not None:
        stored["c"] = ""  # moved, and nothing came of it
    return stored


def unpack(stored: Mapping[str, Any]) -> Kept:
    """What `pack` was given.

    Raises:
        ValueError: it is not of that form.
    """
    try:
        shape = tuple(int(size) for size in stored["s"])
        if "x" in stored:
            return Kept(str(stored["t"]), shape, np.array(stored["x"], dtype=object), None, str(stored["h"]))
        dtype = np.dtype(stored["n"])
        raw = base64.b64decode(stored["d"], validate=True)
        values = np.frombuffer(raw, dtype=dtype.newbyteorder("<")).astype(dtype)
        if values.size != min(int(np.prod(shape, dtype=int)), KEPT):
            raise ValueError(f"{values.size} values for shape {shape}")
        change = None
        if "c" in stored:
            bits = np.frombuffer(base64.b64decode(stored["c"], validate=True), dtype=np.uint8)
            powers = np.ldexp(1.0, bits.astype(int) - BIAS)
            change = np.where(bits == 0, 0.0, powers) if bits.size else np.zeros(values.size)
        return Kept(str(stored["t"]), shape, values, change, str(stored.get("h") or _digest(raw)))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a stored array: {error!r}") from None


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:16]
