"""In how many ways a function is looked at: its variants, each in several dtypes, and with axes counted from the other end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.observe.nests import map_leaves
from pytest_dlcheck.references.functions import MIRRORS
from pytest_dlcheck.subjects.operations.record import Operation, Variant

__all__ = ["EFFORTS", "WHOLE", "Effort", "Look", "arguments_of", "looks_at", "turned"]

Array = NDArray[Any]

WHOLE = ("int32", "uint8")
_AXES = ("axis", "axes")
# Whose axes are those of what comes out, which has more, or a count.
_OTHER_AXES = frozenset({"ops.expand_dims", "ops.stack", "ops.tensordot", "ops.linspace", "ops.logspace", "ops.geomspace"})


@dataclass(frozen=True)
class Effort:
    """How much is looked at of one function.

    Attributes:
        variants: how many of them, in their order; None for all.
        dtypes: of the floating arguments; `int32` for functions that are NumPy's, `uint8` for those of images.
        compiled: dtypes in which compiled calls are looked at, which take most of the time.
    """

    variants: int | None
    dtypes: tuple[str, ...]
    compiled: tuple[str, ...]


EFFORTS: Mapping[str, Effort] = MappingProxyType(
    {
        "smoke": Effort(variants=3, dtypes=("float32",), compiled=()),
        "default": Effort(variants=None, dtypes=("float32", "float16", *WHOLE), compiled=("float32",)),
        "nightly": Effort(variants=None, dtypes=("float32", "float16", "bfloat16", *WHOLE), compiled=("float32", "float16")),
    }
)


@dataclass(frozen=True)
class Look:
    """One way of calling a function in one dtype.

    Attributes:
        variant: which.
        number: its place among all of the function's, from which its arguments are drawn.
        dtype: of those arguments that the variant draws as floats.
        shape: of the first argument; empty where it is none or a list.
    """

    variant: Variant
    number: int
    dtype: str
    shape: tuple[int, ...] = ()

    def told(self) -> str:
        """The look in words."""
        return f"{self.variant.told()}, {self.dtype}"

    def names(self) -> Mapping[str, Any]:
        """What the register's `where` may speak of: the options by their names, `label`, `shape` and `dtype`."""
        return {"label": self.variant.label, "shape": self.shape, "dtype": self.dtype, **self.variant.options}


def looks_at(operation: Operation, effort: Effort) -> Iterator[Look]:
    """All looks, those in float32 first.

    A function of whole numbers and truth values alone has one dtype, that of its arguments, which is said to be float32.
    """
    variants = list(enumerate((*operation.variants, *operation.more)))[: effort.variants]
    for dtype in effort.dtypes:
        if dtype in WHOLE and not _takes_whole_numbers(operation, dtype):
            continue
        for number, variant in variants:
            drawn = variant.arguments(np.random.default_rng(0))
            floating = any(_floats(each) for place, each in enumerate(drawn) if place not in variant.fixed)
            # A variant that names a dtype is about that one.
            if dtype == "float32" or (floating and "dtype" not in variant.options):
                shape = np.shape(drawn[0]) if drawn and not isinstance(drawn[0], list) else ()
                yield Look(variant, number, dtype, shape)


def _takes_whole_numbers(operation: Operation, dtype: str) -> bool:
    """Whether it is documented to do as NumPy's function of its name does, or works on images.

    Where equal numbers are put into an order, which of them comes first is not documented.
    """
    if dtype == "uint8":
        return operation.name.startswith("ops.image.")
    return operation.name.startswith("ops.") and operation.name[4:] in MIRRORS and "indices" not in operation.not_differentiable


def _floats(value: Any) -> bool:
    if isinstance(value, list):
        return any(_floats(each) for each in value)
    return bool(np.asarray(value).dtype.kind == "f")


def arguments_of(look: Look, rng: np.random.Generator) -> list[Any]:
    """The positional arguments as NumPy's arrays: floats in the look's dtype, bfloat16 as float32 of its values.

    Whole numbers are three times the floats, rounded; those without a sign are their magnitudes. What the variant holds
    fixed stays a float.
    """
    kept = look.variant.fixed if look.dtype in WHOLE else ()

    def one(place: int, array: Any) -> Array:
        return _in(np.asarray(array), "float32" if place in kept else look.dtype)

    return [map_leaves(partial(one, place), each) for place, each in enumerate(look.variant.arguments(rng))]


def _in(array: Array, dtype: str) -> Array:
    if array.dtype.kind != "f":
        return array
    if dtype == "bfloat16":
        # The nearest number with seven bits behind the first one; a tie goes to the even one.
        bits = np.atleast_1d(array.astype(np.float32)).view(np.uint32)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
        return np.where(np.isfinite(array), rounded.view(np.float32).reshape(array.shape), array).astype(np.float32)
    if dtype in WHOLE:
        numbers = np.nan_to_num(np.round(3 * array), nan=0.0, posinf=9.0, neginf=-9.0)
        return np.asarray(np.abs(numbers) if dtype.startswith("u") else numbers).astype(dtype)
    return array.astype(dtype)


def turned(operation: Operation, variant: Variant, ranks: Sequence[int]) -> Variant | None:
    """The variant with its axes counted from the other end; None where it names none, or nothing follows from it.

    Args:
        operation: whose.
        variant: with an option `axis` or `axes`.
        ranks: of its arguments.
    """
    name = next((each for each in _AXES if variant.options.get(each) is not None), None)
    if name is None or not ranks or max(ranks) == 0 or operation.name in _OTHER_AXES:
        return None
    rank, axes = ranks[0], variant.options[name]
    several = isinstance(axes, tuple)
    if not all(isinstance(each, int) for each in (axes if several else (axes,))):
        return None

    def other(axis: int) -> int:
        return axis - rank if axis >= 0 else axis + rank

    # The order of several axes says nothing, either, where they are reduced.
    turned_axes: Any = tuple(other(each) for each in axes) if several else other(axes)
    options = MappingProxyType({**variant.options, name: turned_axes})
    return Variant(variant.makers, options, variant.call, variant.fixed, variant.label)
