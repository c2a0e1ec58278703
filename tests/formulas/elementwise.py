"""Functions that treat each entry by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from formulas.base import Function, either, normal, sigmoid
from pytest_dlcheck.gradients.program import Array

__all__ = [
    "CLIP",
    "DIVIDE",
    "EXP",
    "FAR_SOFTPLUS",
    "GUARDED",
    "MAXIMUM",
    "SILU",
    "SINC",
    "SOFTPLUS",
    "SQUARE",
    "TANH",
    "WHERE",
    "XLOGX",
]


def _exp(xp: Any, v: Any, x: Any, *, stop: bool = False) -> Any:
    y = xp.exp(x)
    return [v * (xp.stop_gradient(y) if stop else y)]


EXP = Function("exp", ("x",), normal((3, 4)), lambda xp, x: xp.exp(x), _exp)


def _tanh(xp: Any, v: Any, x: Any, *, stop: bool = False, squared: bool = True) -> Any:
    y = xp.tanh(x)
    other = xp.stop_gradient(y) if stop else y
    return [v * (1.0 - (y * other if squared else y))]


def _tanh_forward(xp: Any, us: Any, x: Any, *, squared: bool = True) -> Any:
    y = xp.tanh(x)
    return us[0] * (1.0 - (y * y if squared else y))


TANH = Function("tanh", ("x",), normal((3, 4)), lambda xp, x: xp.tanh(x), _tanh, _tanh_forward)


def _softplus(xp: Any, v: Any, x: Any, *, stable: bool = True, stop: bool = False) -> Any:
    slope = sigmoid(xp, x) if stable else xp.exp(x) / (1.0 + xp.exp(x))
    return [v * (xp.stop_gradient(slope) if stop else slope)]


def _softplus_value(xp: Any, x: Any) -> Any:
    return xp.maximum(x, 0.0 * x) + xp.log(1.0 + xp.exp(-xp.abs(x)))


SOFTPLUS = Function("softplus", ("x",), normal((7,)), _softplus_value, _softplus)
FAR_SOFTPLUS = Function("softplus far out", ("x",), lambda rng: [np.array([-2.0, 0.5, 720.0, 1.5])], _softplus_value, _softplus)


def _square(xp: Any, v: Any, x: Any, *, factor: float = 2.0, stop: bool = False) -> Any:
    return [factor * v * (xp.stop_gradient(x) if stop else x)]


def _square_forward(xp: Any, us: Any, x: Any, *, factor: float = 2.0) -> Any:
    return factor * us[0] * x


SQUARE = Function("square", ("x",), normal((2, 3)), lambda xp, x: x * x, _square, _square_forward)


def _gated(xp: Any, v: Any, x: Any, *, gate: bool = True, content: bool = True, stop: bool = False) -> Any:
    s = sigmoid(xp, x)
    inner = xp.stop_gradient(s) if stop else s
    return [v * ((s if content else 0.0 * s) + (x * s * (1.0 - inner) if gate else 0.0 * s))]


SILU = Function("silu", ("x",), normal((5,)), lambda xp, x: x * sigmoid(xp, x), _gated)


def _guarded(xp: Any, v: Any, x: Any, *, guarded: bool = True) -> Any:
    positive = xp.greater(x, 0.0 * x)
    one = 1.0 + 0.0 * x
    # The gradient of a `where` is a product with 0 on the other side: of infinity or NaN that is NaN.
    slope = 0.5 / xp.sqrt(xp.where(positive, x, one) if guarded else x)
    return [v * slope * xp.where(positive, one, 0.0 * x)]


def _guarded_value(xp: Any, x: Any) -> Any:
    positive = xp.greater(x, 0.0 * x)
    return xp.where(positive, xp.sqrt(xp.where(positive, x, 1.0 + 0.0 * x)), 0.0 * x)


GUARDED = Function("guarded square root", ("x",), lambda rng: [np.array([0.5, -1.0, 2.0, -0.3])], _guarded_value, _guarded)


def _entropy(xp: Any, v: Any, x: Any, *, guarded: bool = True, stop: bool = False) -> Any:
    positive = xp.greater(x, 0.0 * x)
    logarithm = xp.log(xp.where(positive, x, 1.0 + 0.0 * x) if guarded else x)
    logarithm = xp.stop_gradient(logarithm) if stop else logarithm
    return [v * (logarithm + 1.0) * xp.where(positive, 1.0 + 0.0 * x, 0.0 * x)]


def _entropy_value(xp: Any, x: Any) -> Any:
    positive = xp.greater(x, 0.0 * x)
    return xp.where(positive, x * xp.log(xp.where(positive, x, 1.0 + 0.0 * x)), 0.0 * x)


XLOGX = Function("x log x", ("x",), lambda rng: [np.array([0.5, -1.0, 2.0, 0.7])], _entropy_value, _entropy)


def _sinc(xp: Any, v: Any, x: Any, *, guarded: bool = True) -> Any:
    away = xp.greater(x * x, 0.0 * x)
    safe = xp.where(away, x, 1.0 + 0.0 * x) if guarded else x
    slope = xp.cos(safe) / safe - xp.sin(safe) / (safe * safe)
    # Beside 0 it is -x/3, which the second derivative has to know.
    return [v * (xp.where(away, slope, -x / 3.0) if guarded else slope)]


def _sinc_value(xp: Any, x: Any) -> Any:
    away = xp.greater(x * x, 0.0 * x)
    safe = xp.where(away, x, 1.0 + 0.0 * x)
    return xp.where(away, xp.sin(safe) / safe, 1.0 + 0.0 * x)


SINC = Function("sin x / x", ("x",), lambda rng: [np.array([1.5, 0.0, -0.7])], _sinc_value, _sinc)


def _clip(xp: Any, v: Any, x: Any, *, through: float = 0.0) -> Any:
    inside = xp.greater(1.0 + 0.0 * x, xp.abs(x))
    return [v * xp.where(inside, 1.0 + 0.0 * x, through + 0.0 * x)]


def _clip_value(xp: Any, x: Any) -> Any:
    one = 1.0 + 0.0 * x
    return -xp.maximum(-xp.maximum(x, -one), -one)


CLIP = Function("clip", ("x",), lambda rng: [np.array([0.3, -0.6, 1.7, -2.0, 0.9])], _clip_value, _clip)


def _maximum(xp: Any, v: Any, a: Any, b: Any, *, other: float = 0.0, swap: bool = False) -> Any:
    first = xp.greater(b, a) if swap else xp.greater(a, b)
    to_a = xp.where(first, v, other * v)
    return [to_a, v - to_a if other == 0.0 else xp.where(first, 0.0 * v, v)]


MAXIMUM = Function("maximum", ("a", "b"), either, lambda xp, a, b: xp.maximum(a, b), _maximum)

CHOSEN = np.array([[True, False, True], [False, False, True]])


def _where(xp: Any, v: Any, a: Any, b: Any, *, to_a: bool = True, chosen: Array = CHOSEN) -> Any:
    weights = xp.constant(chosen.astype(float))
    return [v * weights if to_a else v, v * (1.0 - weights)]


def _where_value(xp: Any, a: Any, b: Any) -> Any:
    return xp.where(xp.greater(xp.constant(CHOSEN.astype(float)), 0.0 * a), a, b)


WHERE = Function("where", ("a", "b"), normal((2, 3), (2, 3)), _where_value, _where)


def _divide(xp: Any, v: Any, a: Any, b: Any, *, sign: float = -1.0, power: int = 2, stop: bool = False) -> Any:
    quotient = xp.stop_gradient(a / b) if stop else a / b
    return [v / b, sign * v * quotient / (b if power == 2 else 1.0)]


DIVIDE = Function(
    "divide",
    ("a", "b"),
    lambda rng: [rng.standard_normal((2, 3)), 1.0 + rng.random((2, 3))],
    lambda xp, a, b: a / b,
    _divide,
)
