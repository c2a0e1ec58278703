"""Sums, means, extremes, orders and cumulations along axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_dlcheck.subjects.operations.record import (
    Maker,
    Operation,
    Variant,
    at,
    away,
    below,
    distinct,
    given,
    positive,
    real,
    regular,
    true,
    whole,
)

__all__ = ["OPERATIONS"]

INDICES = "gives indices"
COUNTS = "counts"
_AXES = (None, 0, -1, (0, 2))


def _along(maker: Maker, *, several: bool = True) -> tuple[Variant, ...]:
    """Over each axis, from either end, over all of them and over two, kept and not."""
    axes = _AXES if several else _AXES[:3]
    kept = tuple(at(maker, axis=axis, keepdims=True) for axis in axes[1:])
    return (at(maker, axis=1), *kept, *(at(maker, axis=axis) for axis in axes))


def _holed(maker: Maker) -> Maker:
    """With two entries that are not numbers."""

    def make(rng: np.random.Generator) -> np.ndarray:
        values = np.array(maker(rng))
        values[0, 1, 0] = values[1, 0, 2] = np.nan
        return values

    return make


def _single(maker: Maker) -> tuple[Variant, ...]:
    return at(maker, axis=1), at(maker, axis=-1), at(maker, axis=0), at(maker)


_CUBE = (2, 3, 4)
# The deviation of two values is half their distance, whose second derivative is 0, and of a single one it has a corner.
_LONG = (4, 4, 4)
_SHUFFLED = distinct(*_CUBE)
_MODES = ("full", "valid", "same")
_CUMULATED = (at(away(*_CUBE), axis=1), at(away(*_CUBE), axis=-1), at(away(*_CUBE)))
_QUANTILES: tuple[Variant, ...] = tuple(
    at(_SHUFFLED, given(q), axis=axis, keepdims=keep, fixed=(1,), label=f"q={q}")
    for q, axis, keep in ((0.3, 1, False), ([0.25, 0.6], -1, True), (0.7, None, False))
)
_METHODS = tuple(
    at(_SHUFFLED, given(0.3), axis=1, method=method, fixed=(1,)) for method in ("lower", "higher", "nearest", "midpoint")
)


def _percent(variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
    return tuple(
        Variant((each.makers[0], _hundredfold(each.makers[1])), each.options, fixed=(1,), label=f"100 {each.label}")
        for each in variants
    )


def _hundredfold(maker: Maker) -> Maker:
    return lambda rng: 100 * maker(rng)


def _with_holes(variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
    return tuple(
        Variant((_holed(each.makers[0]), *each.makers[1:]), each.options, each.call, each.fixed, each.label)
        for each in variants
    )


def _segments(maker: Maker, count: int = 4) -> tuple[Variant, ...]:
    ordered, mixed = np.array([0, 0, 1, 2, 2, 2], np.int32), np.array([2, 0, 1, 2, 0, 1], np.int32)
    return (
        at(maker, given(mixed), num_segments=count, label="in any order"),
        at(maker, given(ordered), num_segments=count, sorted=True),
    )


# The number of segments is left out, and one of them has no entries.
_GAP = given(np.array([0, 4, 2, 4, 2, 1], np.int32))


def _sparse_segments(maker: Maker) -> tuple[Variant, ...]:
    return (*_segments(maker), at(maker, _GAP, label="with a gap"))


def _weighted(average: Any, x: Any, weights: Any, **options: Any) -> Any:
    return average(x, weights=weights, **options)


def _counted(bincount: Any, x: Any, weights: Any) -> Any:
    return bincount(x, weights=weights, minlength=4)


OPERATIONS: tuple[Operation, ...] = (
    *(below(name, *_along(real(*_CUBE))) for name in ("sum", "mean", "logsumexp")),
    below("prod", *_along(away(*_CUBE))),
    *(below(name, *_along(away(*_LONG))) for name in ("std", "var")),
    *(below(name, *_along(_SHUFFLED)) for name in ("max", "min", "amax", "amin", "ptp", "median")),
    below("prod", at(given([[2.0, 0.0, 3.0], [1.5, -2.0, 0.5]]), axis=1, label="with a zero")),
    *(below(name, *_with_holes(_along(real(*_CUBE)))) for name in ("nansum", "nanmean")),
    below("nanprod", *_with_holes(_along(away(*_CUBE)))),
    *(below(name, *_with_holes(_along(away(*_LONG)))) for name in ("nanstd", "nanvar")),
    *(below(name, *_with_holes(_along(_SHUFFLED))) for name in ("nanmax", "nanmin", "nanmedian")),
    below("max", at(_SHUFFLED, axis=1, initial=0.3)),
    below("min", at(_SHUFFLED, axis=1, initial=0.3)),
    below(
        "average", at(real(2, 3), positive(3), axis=1, call=_weighted, label="weights"), *_along(real(*_CUBE), several=True)[4:]
    ),
    below("quantile", *_QUANTILES, *_METHODS),
    below("percentile", *_percent(_QUANTILES)),
    below("nanquantile", *_with_holes(_QUANTILES)),
    below("nanpercentile", *_with_holes(_percent(_QUANTILES))),
    *(below(name, *_along(true(*_CUBE)), why="gives truth values") for name in ("all", "any")),
    below("count_nonzero", at(away(*_CUBE), axis=1), at(away(*_CUBE)), why=COUNTS),
    *(below(name, *_single(_SHUFFLED), why=INDICES) for name in ("argmax", "argmin", "nanargmax", "nanargmin")),
    below("argsort", at(_SHUFFLED, axis=1), at(_SHUFFLED, axis=None), why=INDICES),
    below("argpartition", at(_SHUFFLED, kth=1, axis=1), why=INDICES),
    below("cumsum", *_CUMULATED),
    below("cumprod", *_CUMULATED, at(given([2.0, 0.0, 3.0, -1.0]), label="with a zero")),
    below("nancumsum", *_with_holes(_CUMULATED)),
    below("nancumprod", *_with_holes(_CUMULATED)),
    below("sort", at(_SHUFFLED, axis=1), at(_SHUFFLED), at(_SHUFFLED, axis=0)),
    below("top_k", at(_SHUFFLED, k=2), at(_SHUFFLED, k=3, sorted=False)),
    below("in_top_k", at(whole(4, 3), distinct(3, 4), k=2), why="gives truth values"),
    below("diff", at(real(*_CUBE), axis=1), at(real(*_CUBE), n=2), at(real(*_CUBE), axis=0)),
    below("trapezoid", at(real(2, 4), axis=1, dx=0.5), at(real(2, 4), distinct(4)), at(real(2, 4), axis=0)),
    below("corrcoef", at(real(3, 5))),
    below(
        "correlate",
        *(at(real(5), real(3), mode=mode) for mode in _MODES),
        more=tuple(at(real(size), real(length), mode=mode) for size, length in ((6, 4), (3, 5), (4, 4)) for mode in _MODES),
    ),
    below("moments", *(at(real(*_CUBE), axes=axes, keepdims=keep) for axes, keep in (((0, 1), False), ((2,), True)))),
    below("bincount", at(given(np.array([0, 2, 1, 2], np.int32)), real(4), call=_counted, label="weights")),
    below("digitize", at(distinct(6), given([-1.0, 0.0, 1.0]), fixed=(1,)), why=INDICES),
    below("searchsorted", at(given([-1.0, 0.0, 1.0]), distinct(4)), why=INDICES),
    below(
        "histogram",
        at(distinct(8), bins=3, range=(-2.0, 2.0), call=lambda count, x, **given: count(x, **given)[0]),
        why=COUNTS,
        more=(at(distinct(8)),),
    ),
    below("unique", at(given([3.0, 1.0, 3.0, 2.0])), why="which values there are says nothing of how they move"),
    below("nonzero", at(away(2, 3)), why=INDICES),
    below("isin", at(distinct(4), given([0.5, 1.5])), why="gives truth values"),
    below("matrix_rank", at(regular(3, 4)), why=COUNTS),
    below("segment_sum", *_segments(real(6, 2)), more=(at(real(6, 2), _GAP, label="with a gap"),)),
    below("segment_prod", *_segments(away(6, 2)), more=(at(away(6, 2), _GAP, label="with a gap"),)),
    # A segment without entries is an infinity, which has no derivative: here each has some.
    below("segment_max", *_segments(distinct(6, 2), count=3), more=_sparse_segments(distinct(6, 2))),
    below("segment_min", *_segments(distinct(6, 2), count=3), more=_sparse_segments(distinct(6, 2))),
)
