"""What must hold of an exported function: pure functions of what was observed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.functions.observing import Declaration, Outputs
from pytest_dlcheck.gradients.operations import NOT_OFFERED
from pytest_dlcheck.observe.layer_observation import Raised, Value
from pytest_dlcheck.properties.comparison import within
from pytest_dlcheck.properties.verdict import Verdict, failed, first_failure, passed
from pytest_dlcheck.tolerance import Bounded

__all__ = ["agrees", "declares", "declares_alike", "fits_open", "gives", "runs"]

Array = NDArray[Any]

# What a framework says of a dtype that it does not take: that is clear, and no defect.
_REFUSED = re.compile(
    r"compilable|n't support|not implemented|no registered|no OpKernel|not allowed|must be consistent|doesn't handle types|"
    r"does not accept dtype|"
    r"must be (a |an |of )?(float|int|bool|complex)|requires?|expected|invalid dtype|not defined|is not one of|not inexact|"
    r"allowed values|cannot (be )?(convert|cast)",
    re.IGNORECASE,
)
_WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_NEEDS_VALUES = re.compile(r"tracer|traced|abstract|concrete|compile.time constant|must be static|symbolic", re.IGNORECASE)


def _unsupported(said: str) -> Verdict:
    return Verdict("unsupported", said)


def runs(found: Outputs | Raised, dtype: str) -> Verdict:
    """A valid call gives something, or says that it is not offered. In another dtype than float32 it may refuse that, too.

    Args:
        found: of the plain call.
        dtype: of its floating arguments.
    """
    if isinstance(found, Outputs):
        return passed(f"it gives {found.structure}")
    refused = NOT_OFFERED.search(found.message) or (dtype != "float32" and _REFUSED.search(found.message))
    if found.kind == "NotImplementedError" or refused:
        return _unsupported(f"it says that it cannot: {found}")
    return failed(f"a valid call fails: {found}")


def declares(found: Declaration | Raised, outputs: Outputs) -> Verdict:
    """A call on symbolic tensors gives the structure, the shapes and the dtypes that the plain call has.

    It may leave a size open, which can follow from values.
    """
    if isinstance(found, Raised):
        return failed(f"the plain call gives {outputs.structure}, and one on symbolic tensors fails: {found}")
    if found.structure != outputs.structure:
        return failed(f"declared {found.structure}, and the call gives {outputs.structure}")
    wrong = [
        f"output {number} of {len(outputs.values)} is declared {_told(shape, dtype)}, "
        f"and the call gives {_told(value.array.shape, value.dtype)}"
        for number, ((shape, dtype), value) in enumerate(zip(found.tensors, outputs.values, strict=True), 1)
        if not _fits(shape, value.array.shape) or dtype != value.dtype
    ]
    return failed("; ".join(wrong)) if wrong else passed(f"{len(outputs.values)} outputs as declared")


def declares_alike(found: Declaration | Raised, other: Declaration) -> Verdict:
    """A call on symbolic tensors with axes counted from the other end declares the same."""
    if isinstance(found, Raised):
        return failed(f"with axes counted from one end it declares {other.structure}, and from the other one it fails: {found}")
    if found != other:
        told = ["; ".join(_told(*each) for each in one.tensors) for one in (other, found)]
        return failed(f"with axes counted from one end it declares {told[0]}, and from the other one {told[1]}")
    return passed(f"{len(found.tensors)} outputs declared alike")


def fits_open(found: Declaration | Raised, outputs: Outputs) -> Verdict:
    """With first sizes left open, what is declared leaves room for what the plain call gives.

    It may refuse, since sizes can matter.
    """
    if isinstance(found, Raised):
        return _unsupported(f"with sizes left open it says that it cannot: {found}")
    if found.structure != outputs.structure:
        # Into how many parts something is cut may follow from a size.
        return _unsupported(f"with sizes left open it declares {found.structure}")
    for number, ((shape, _), value) in enumerate(zip(found.tensors, outputs.values, strict=True), 1):
        real = value.array.shape
        if not _fits(shape, real):
            return failed(f"with first sizes left open output {number} is declared {shape}, and the call gives {real}")
    return passed(f"{len(outputs.values)} outputs fit")


def _fits(declared: Sequence[int | None], real: Sequence[int]) -> bool:
    return len(declared) == len(real) and all(size in (None, there) for size, there in zip(declared, real, strict=True))


def _told(shape: Sequence[int | None], dtype: str) -> str:
    return f"{dtype}[{', '.join('?' if size is None else str(size) for size in shape)}]"


def agrees(found: Outputs | Raised, outputs: Outputs, allowed: Sequence[Array | None], *, exact: bool = False) -> Verdict:
    """Another way of calling gives the same: structure, shapes, dtypes, and values within what rounding may do.

    Args:
        found: the other way: as a graph, compiled, with axes counted from the other end.
        outputs: of the plain call.
        allowed: by output, how far values may be off; None where that is not known, and shapes and dtypes tell all.
        exact: whether a refusal is a failure even if it says that values are needed, which a compiled program does not have.
    """
    if isinstance(found, Raised):
        if not exact and (
            _NEEDS_VALUES.search(found.message) or NOT_OFFERED.search(found.message) or "compilable" in found.message
        ):
            return _unsupported(f"it says that it cannot: {found}")
        return failed(f"the plain call gives {outputs.structure}, and {found.during} fails: {found}")
    if found.structure != outputs.structure:
        return failed(f"it gives {found.structure}, and the plain call {outputs.structure}")
    verdicts = []
    for number, (one, other) in enumerate(zip(found.values, outputs.values, strict=True), 1):
        if (one.array.shape, one.dtype) != (other.array.shape, other.dtype):
            told = _told(one.array.shape, one.dtype), _told(other.array.shape, other.dtype)
            return failed(f"output {number} is {told[0]}, and of the plain call {told[1]}")
        tolerance = allowed[number - 1]
        if tolerance is not None:
            both = Bounded(np.asarray(other.array), 2 * tolerance, "twice what each of both may be off")
            verdicts.append(_close(f"output {number}", one, both))
    return first_failure(*verdicts)


def gives(outputs: Outputs, expected: Sequence[Bounded]) -> Verdict:
    """The values are the reference's, and the shapes.

    Args:
        outputs: of the plain call.
        expected: by output.
    """
    if len(outputs.values) != len(expected):
        return failed(f"{len(outputs.values)} outputs, and by the reference {len(expected)}")
    return first_failure(
        *(
            _close(f"output {number}", one, other)
            for number, (one, other) in enumerate(zip(outputs.values, expected, strict=True), 1)
        )
    )


def _close(what: str, value: Value, bounded: Bounded) -> Verdict:
    """Infinities and NaN at the same places, and the rest within tolerance; complex numbers by their parts."""
    array, expected = np.asarray(value.array), np.asarray(bounded.value)
    if array.shape != expected.shape:
        return failed(f"{what}: shape {array.shape} instead of {expected.shape}")
    if "c" in (array.dtype.kind, expected.dtype.kind):
        split = (
            _close(
                f"{what}, {name} part",
                Value(value.dtype, part(array)),
                Bounded(part(expected), bounded.tolerance, bounded.derived),
            )
            for name, part in (("real", np.real), ("imaginary", np.imag))
        )
        return first_failure(*split)
    if array.dtype == object:  # texts
        same = bool(np.all(array == expected))
        return passed(f"{what}: all alike") if same else failed(f"{what}: {array.tolist()} instead of {expected.tolist()}")
    array, expected = array.astype(np.float64), expected.astype(np.float64)
    # What a whole number cannot hold wraps around, as in NumPy.
    over = np.abs(expected) > np.iinfo(value.dtype).max if value.dtype in _WHOLE else np.zeros(expected.shape, bool)
    array, expected = np.where(over, 0, array), np.where(over, 0, expected)
    special = ~np.isfinite(expected)
    apart = special & ~((array == expected) | (np.isnan(array) & np.isnan(expected)))
    if apart.any():
        place = tuple(int(each) for each in np.argwhere(apart)[0])
        return failed(f"{what}: {array[place].item()!r} instead of {expected[place].item()!r} at {list(place)}")
    plain = Bounded(np.where(special, 0, expected), bounded.tolerance, bounded.derived)
    return within(what, np.where(special, 0, array), plain, value.dtype)
