"""Functions that lay entries out anew, pick some of them, or put several arrays together."""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_dlcheck.subjects.operations.record import (
    Maker,
    Operation,
    Variant,
    at,
    below,
    given,
    listed,
    parts,
    positive,
    real,
    true,
    whole,
)

__all__ = ["OPERATIONS"]

_CUBE = (2, 3, 4)
_X = real(*_CUBE)
_PAIR = listed(real(2, 3), real(2, 3))
_THREE = listed(real(2, 3), real(2, 3), real(2, 3))


def _ints(*values: Any) -> Maker:
    return given(np.array(values, np.int32))


def _keyed(key: Any, label: str) -> Variant:
    return at(_X, call=lambda get, x: get(x, key), label=label)


def _viewed(as_real: Any, x: Any) -> Any:
    import keras

    return as_real(keras.ops.view_as_complex(x))


def _placed(scatter: Any, values: Any, indices: Any, **options: Any) -> Any:
    return scatter(indices, values, **options)


_UPDATED = _ints([0, 1], [2, 0], [1, 1])
_TWICE = _ints([0, 1], [2, 0], [0, 1])

OPERATIONS: tuple[Operation, ...] = (
    below("reshape", at(_X, newshape=(4, -1)), at(_X, newshape=(24,))),
    below("ravel", at(_X)),
    below("transpose", at(_X), at(_X, axes=(1, 2, 0))),
    below("swapaxes", at(_X, axis1=0, axis2=-1)),
    below("moveaxis", at(_X, source=0, destination=-1), at(_X, source=(0, 1), destination=(2, 0))),
    below("expand_dims", at(_X, axis=1), at(_X, axis=-1), at(_X, axis=(0, 2))),
    below("squeeze", at(real(2, 1, 3)), at(real(2, 1, 3), axis=1), at(real(1, 2, 1), axis=-1)),
    below("broadcast_to", at(real(3, 1), shape=(2, 3, 4)), at(real(), shape=(2, 2), label="a scalar")),
    below("repeat", at(_X, repeats=2, axis=1), at(_X, repeats=3), at(_X, repeats=2, axis=-1)),
    below("tile", at(_X, repeats=(2, 1, 2)), at(_X, repeats=2), at(real(3), repeats=(2, 2))),
    below("flip", at(_X), at(_X, axis=1), at(_X, axis=(0, -1))),
    below("fliplr", at(_X)),
    below("flipud", at(_X)),
    below("roll", at(_X, shift=2, axis=1), at(_X, shift=-3), at(_X, shift=(1, 2), axis=(0, 2))),
    below("rot90", at(_X), at(_X, k=-1, axes=(1, 2)), at(_X, k=2)),
    below("rearrange", at(_X, pattern="a b c -> c (b a)"), at(_X, pattern="a b (c d) -> (a d) b c", d=2)),
    below("pad", *(at(real(3, 4), pad_width=((1, 2), (2, 1)), mode=mode) for mode in ("constant", "reflect", "symmetric"))),
    below("pad", at(real(2, 3), pad_width=1, mode="constant", constant_values=0.7), at(real(2, 3), pad_width=((0, 1), (1, 0)))),
    below(
        "split",
        at(_X, indices_or_sections=3, axis=1),
        at(_X, indices_or_sections=(1, 3), axis=-1),
        at(_X, indices_or_sections=2),
    ),
    below("array_split", at(_X, indices_or_sections=3, axis=-1), at(_X, indices_or_sections=2)),
    below("dsplit", at(_X, indices_or_sections=2)),
    below("hsplit", at(_X, indices_or_sections=3)),
    below("vsplit", at(_X, indices_or_sections=2)),
    below("unstack", at(_X, axis=1), at(_X)),
    below("concatenate", at(listed(real(2, 3), real(2, 1)), axis=1), at(_PAIR), at(_THREE, axis=-1)),
    below("append", at(real(2, 3), real(2, 1), axis=1), at(real(2, 3), real(4))),
    below("stack", at(_PAIR), at(_THREE, axis=1), at(_PAIR, axis=-1)),
    *(below(name, at(_THREE)) for name in ("hstack", "vstack", "dstack")),
    below("meshgrid", at(real(2), real(3)), at(real(2), real(3), indexing="ij")),
    below("diag", at(real(3)), at(real(3, 4)), at(real(3), k=1), at(real(3, 4), k=-1)),
    below("diagflat", at(real(2, 2)), at(real(3), k=-1)),
    below("diagonal", at(real(3, 4)), at(_X, offset=1, axis1=1, axis2=2), at(_X, offset=-1)),
    below("trace", at(real(3, 4)), at(_X, offset=1, axis1=1, axis2=2)),
    below("tril", at(real(3, 4)), at(real(3, 4), k=-1), at(_X, k=1)),
    below("triu", at(real(3, 4)), at(real(3, 4), k=-1), at(_X, k=1)),
    below("vander", at(positive(3)), at(positive(3), N=4, increasing=True), at(positive(3), N=2)),
    below("copy", at(_X)),
    # Picking.
    below("take", at(_X, _ints(2, 0, 2), axis=1), at(_X, _ints([1, 5], [5, 0])), at(_X, _ints(-1, 0), axis=-1)),
    below("take_along_axis", at(real(2, 3), _ints([2, 0], [1, 1]), axis=1), at(real(2, 3), _ints([0, 1, 0]), axis=0)),
    below(
        "get_item",
        _keyed(1, "one index"),
        _keyed((slice(None, None, 2), ..., -1), "a step and a rest"),
        _keyed((0, slice(1, 3)), "two"),
    ),
    below("slice", at(_X, given(np.array([0, 1, 1])), call=lambda cut, x, start: cut(x, start, (2, 2, 3)))),
    below(
        "slice_update", at(_X, given(np.array([0, 1, 1])), real(1, 2, 3), call=lambda put, x, start, new: put(x, start, new))
    ),
    below("select", at(listed(true(2, 3), true(2, 3)), listed(real(2, 3), real(2, 3)), default=0.5)),
    below(
        "where", at(true(2, 3), real(2, 3), real(2, 3)), at(true(3), real(2, 1), real(2, 3)), at(true(2, 3), real(), real(2, 3))
    ),
    below(
        "extract_sequences",
        at(real(2, 9), sequence_length=4, sequence_stride=2),
        at(real(9), sequence_length=3, sequence_stride=3),
    ),
    below("unravel_index", at(whole(6, 4), call=lambda unravel, x: unravel(x, (2, 3))), why="gives indices"),
    # Putting. What is written twice is added up, or overwritten.
    below("scatter", at(real(3), _UPDATED, shape=(3, 2), call=_placed), at(real(3), _TWICE, shape=(3, 2), call=_placed)),
    below(
        "scatter_update",
        at(real(3, 2), _UPDATED, real(3)),
        *(at(real(3, 2), _UPDATED, real(3), reduction=how) for how in ("add", "max", "min", "mul")),
        at(real(3, 2), _TWICE, real(3), reduction="add", label="one place twice"),
    ),
    # Complex numbers and dtypes.
    below("view_as_complex", at(real(2, 2), call=lambda view, x: parts(view(x)))),
    below("view_as_real", at(real(2, 2), call=_viewed)),
    below("view", at(real(2, 2), dtype="int64"), why="the bits of a number, taken for another"),
    below("cast", at(_X, dtype="float64")),
    below("cast", at(_X, dtype="float32", label="to float32")),
    below("saturate_cast", at(_X, dtype="float64")),
)
