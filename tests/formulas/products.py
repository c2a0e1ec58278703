"""Products, and what is broadcast."""

from __future__ import annotations

from typing import Any

from formulas.base import Function, normal

__all__ = ["ADD", "AFFINE", "BILINEAR", "MATMUL", "OUTER", "SCALE"]


def _matmul(xp: Any, v: Any, a: Any, b: Any, *, transpose: bool = True, stop: bool = False) -> Any:
    b_inside = xp.stop_gradient(b) if stop else b
    return [
        xp.matmul(v, xp.transpose(b_inside) if transpose else b_inside),
        xp.matmul(xp.transpose(a), v),
    ]


def _matmul_forward(xp: Any, us: Any, a: Any, b: Any, *, both: bool = True) -> Any:
    found = xp.matmul(us[0], b)
    return found + xp.matmul(a, us[1]) if both else found


MATMUL = Function("matmul", ("a", "b"), normal((3, 3), (3, 3)), lambda xp, a, b: xp.matmul(a, b), _matmul, _matmul_forward)


def _affine(xp: Any, v: Any, x: Any, w: Any, b: Any, *, bias: str = "sum", stop: bool = False) -> Any:
    by_bias = {
        "sum": lambda: xp.sum(v, axis=0),
        "other axis": lambda: xp.sum(v, axis=1),
        "one row": lambda: v[0],
        "mean": lambda: xp.mean(v, axis=0),
        "all but the last row": lambda: xp.sum(v[:-1], axis=0),
        "not summed": lambda: v,
    }[bias]()
    return [xp.matmul(v, xp.transpose(w)), xp.matmul(xp.transpose(xp.stop_gradient(x) if stop else x), v), by_bias]


AFFINE = Function("affine", ("x", "w", "b"), normal((4, 3), (3, 4), (4,)), lambda xp, x, w, b: xp.matmul(x, w) + b, _affine)


def _add(xp: Any, v: Any, x: Any, b: Any, *, how: str = "sum") -> Any:
    by_b = {
        "sum": lambda: xp.sum(v, axis=0),
        "one row": lambda: v[-1],
        "other axis": lambda: xp.sum(v, axis=1),
        "not summed": lambda: v,
    }
    return [v, by_b[how]()]


ADD = Function("broadcasting add", ("x", "b"), normal((3, 3), (3,)), lambda xp, x, b: x + b, _add)


def _scale(xp: Any, v: Any, x: Any, s: Any, *, how: str = "sum", stop: bool = False) -> Any:
    by_s = {
        "sum": lambda: xp.sum(v * x, axis=1, keepdims=True),
        "no x": lambda: xp.sum(v, axis=1, keepdims=True),
        "first column": lambda: (v * x)[:, :1],
        "mean": lambda: xp.mean(v * x, axis=1, keepdims=True),
        "not summed": lambda: v * x,
    }
    return [v * (xp.stop_gradient(s) if stop else s), by_s[how]()]


SCALE = Function("broadcasting multiply", ("x", "s"), normal((4, 3), (4, 1)), lambda xp, x, s: x * s, _scale)


def _outer(xp: Any, v: Any, a: Any, b: Any, *, swap: bool = False) -> Any:
    inner = xp.transpose(v) if swap else v
    return [xp.sum(inner * b, axis=1), xp.sum(v * xp.expand_dims(a, 1), axis=0)]


OUTER = Function("outer product", ("a", "b"), normal((4,), (4,)), lambda xp, a, b: xp.expand_dims(a, 1) * b, _outer)


def _bilinear(xp: Any, v: Any, a: Any, m: Any, b: Any, *, swap: bool = False, stop: bool = False) -> Any:
    left, right = xp.expand_dims(a, 1), xp.expand_dims(b, 0)
    by_m = v * left * right
    return [
        v * xp.sum(m * right, axis=1),
        xp.transpose(by_m) if swap else by_m,
        v * xp.sum((xp.stop_gradient(m) if stop else m) * left, axis=0),
    ]


BILINEAR = Function(
    "bilinear form",
    ("a", "m", "b"),
    normal((3,), (3, 3), (3,)),
    lambda xp, a, m, b: xp.sum(xp.expand_dims(a, 1) * m * xp.expand_dims(b, 0)),
    _bilinear,
)
