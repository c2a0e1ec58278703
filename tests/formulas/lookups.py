"""Lookups, windows and crops."""

from __future__ import annotations

from typing import Any

import numpy as np

from formulas.base import Function, either, normal
from pytest_dlcheck.gradients.program import Array

__all__ = ["CROP", "GATHER", "POOL", "SEGMENT"]

LOOKED_UP = np.array([1, 3, 1, 0, 1])
ROWS = 5


def _gather(xp: Any, v: Any, table: Any, *, accumulate: bool = True, mean: bool = False, shift: int = 0) -> Any:
    hits = np.zeros((ROWS, len(LOOKED_UP)))
    hits[(LOOKED_UP + shift) % ROWS, np.arange(len(LOOKED_UP))] = 1.0
    if not accumulate:  # the last one wins
        hits = hits * (np.cumsum(hits[:, ::-1], axis=1)[:, ::-1] == 1)
    if mean:
        hits /= np.maximum(hits.sum(axis=1, keepdims=True), 1.0)
    return [xp.matmul(xp.constant(hits), v)]


GATHER = Function(
    "embedding", ("table",), normal((ROWS, 2)), lambda xp, table: xp.take(table, xp.constant(LOOKED_UP), axis=0), _gather
)

SEGMENTS = np.array([0, 2, 0, 2])


def _scattered_value(xp: Any, x: Any) -> Any:
    hits = np.zeros((3, len(SEGMENTS)))
    hits[SEGMENTS, np.arange(len(SEGMENTS))] = 1.0
    sums = xp.matmul(xp.constant(hits), x)
    return sums * sums


def _scattered(xp: Any, v: Any, x: Any, *, once: bool = False, stop: bool = False) -> Any:
    hits = np.zeros((3, len(SEGMENTS)))
    hits[SEGMENTS, np.arange(len(SEGMENTS))] = 1.0
    sums = xp.matmul(xp.constant(hits), x)
    sums = xp.stop_gradient(sums) if stop else sums
    back = hits * (np.cumsum(hits, axis=1) == 1) if once else hits
    return [xp.matmul(xp.constant(back.T), 2.0 * v * sums)]


SEGMENT = Function("squared segment sum", ("x",), normal((4, 2)), _scattered_value, _scattered)


def _pool_value(xp: Any, x: Any) -> Any:
    return xp.maximum(x[0::2], x[1::2])


def _pool(xp: Any, v: Any, x: Any, *, both: bool = False, first: bool = False, edge: bool = True) -> Any:
    left, right = x[0::2], x[1::2]
    won = xp.where(xp.greater(left, right), v, 0.0 * v)
    pair = [v, v] if both else [v, 0.0 * v] if first else [won, v - won]
    found = xp.reshape(xp.stack(pair, axis=1), tuple(x.shape))
    return [found if edge else xp.concatenate([found[:-2], 0.0 * found[-2:]], axis=0)]


def _windows(rng: np.random.Generator) -> list[Array]:
    a, b = either(rng)
    return [np.stack([a, b], axis=-1).reshape(-1)]


POOL = Function("max pooling", ("x",), _windows, _pool_value, _pool)


def _crop(xp: Any, v: Any, x: Any, *, shift: int = 0, wide: bool = False) -> Any:
    left, right = 1 + shift, 2 - shift
    edges = [0.0 * x[:left], 0.0 * x[:right]]
    if wide:
        edges = [v[:1] + 0.0 * x[:1], 0.0 * x[:right]]
    return [xp.concatenate([edges[0], v, edges[1]], axis=0)]


CROP = Function("crop", ("x",), normal((6,)), lambda xp, x: x[1:-2], _crop)
