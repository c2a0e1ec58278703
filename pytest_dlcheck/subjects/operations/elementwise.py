"""Functions of each entry on its own, and of two arrays that are broadcast against each other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pytest_dlcheck.subjects.operations.record import (
    Maker,
    Operation,
    at,
    away,
    below,
    between,
    given,
    parts,
    positive,
    real,
    true,
    whole,
)

__all__ = ["OPERATIONS"]

Shaped = Callable[..., Maker]

STEP = "constant between its steps"
COMPARISON = "gives truth values"
BITS = "of whole numbers"

# Of one argument, each at two shapes, a scalar among them.
_SMOOTH = (
    "arcsinh arctan conj conjugate cos cosh deg2rad erf erfc exp exp2 expm1 i0 negative rad2deg real sin sinc sinh square tanh"
)
_AWAY = "abs absolute cbrt fabs reciprocal"
_POSITIVE = "log log10 log2 rsqrt sqrt"
_STEPS = "ceil floor round sign trunc"
_TRUTH = "isfinite isinf isnan isneginf isposinf isreal logical_not signbit"


def _of_one(names: str, maker: Maker, scalar: Maker, why: str = "") -> tuple[Operation, ...]:
    return tuple(below(name, at(maker), at(scalar, label="a scalar"), why=why) for name in names.split())


def _of_two(names: str, left: Shaped, right: Shaped, why: str = "") -> tuple[Operation, ...]:
    """Broadcast to the right, to the left, both ways, and of equal shapes."""
    shapes = (((2, 3), (3,)), ((3, 1), (2, 3, 4)), ((2, 1), (1, 3)), ((2, 3), (2, 3)), ((2, 3), ()))
    return tuple(
        below(name, *(at(left(*one), right(*other), label=f"{one} and {other}") for one, other in shapes), why=why)
        for name in names.split()
    )


def _ordered(*shape: int) -> Maker:
    """On whole numbers and a half: never equal to what lies on whole ones."""
    return lambda rng: rng.integers(-2, 2, size=shape) + 0.5 + rng.uniform(-0.1, 0.1, size=shape)


def _on_whole(*shape: int) -> Maker:
    return lambda rng: rng.integers(-2, 2, size=shape) + rng.uniform(-0.1, 0.1, size=shape)


def _divided(*shape: int) -> Maker:
    """Of either sign, with quotients by 1.6 to 2.0 that are no whole numbers."""
    return lambda rng: rng.choice((-4.6, -2.8, -0.9, 0.9, 2.8, 4.6), size=shape) + rng.uniform(-0.05, 0.05, size=shape)


def _divisor(*shape: int) -> Maker:
    return lambda rng: rng.choice((-1.0, 1.0), size=shape) * rng.uniform(1.7, 1.9, size=shape)


def _bits(*shape: int) -> Maker:
    return whole(5, *shape, low=1)


OPERATIONS: tuple[Operation, ...] = (
    *_of_one(_SMOOTH, real(2, 3), real()),
    *_of_one(_AWAY, away(2, 3), away()),
    *_of_one(_POSITIVE, positive(2, 3), positive()),
    *_of_one(_STEPS, away(2, 3), away(), STEP),
    *_of_one(_TRUTH, away(2, 3), away(), COMPARISON),
    *_of_one("arccos arcsin arctanh erfinv tan", between(-0.8, 0.8, 2, 3), between(-0.8, 0.8)),
    below("arccosh", at(between(1.2, 3.0, 2, 3)), at(between(1.2, 3.0), label="a scalar")),
    below("log1p", at(between(-0.6, 2.0, 2, 3)), at(between(-0.6, 2.0), label="a scalar")),
    below("angle", at(away(2, 3)), why="0 or pi of a real number"),
    below("imag", at(real(2, 3)), why="0 of a real number"),
    below("nan_to_num", at(real(2, 3)), at(given([[np.nan, 1.5], [np.inf, -np.inf]]), nan=2.0, posinf=3.0, neginf=-3.0)),
    below("clip", at(real(2, 5), x_min=-0.4, x_max=0.6), at(between(-0.3, 0.3, 2, 3), x_min=-0.4, x_max=0.6)),
    below("round", at(away(2, 3)), at(away(2, 3), decimals=1), why=STEP),
    below("bitwise_invert", at(whole(9, 2, 3)), why=BITS),
    below("bitwise_not", at(whole(9, 2, 3)), why=BITS),
    below("nextafter", at(away(2, 3), away(2, 3))),
    *_of_two("add arctan2 hypot logaddexp logaddexp2 multiply subtract", away, away),
    *_of_two("divide divide_no_nan true_divide", real, away),
    *_of_two("maximum minimum fmax fmin", _ordered, _on_whole),
    *_of_two("mod fmod", _divided, _divisor),
    *_of_two("floor_divide", _divided, _divisor, STEP),
    *_of_two("power", positive, away),
    *_of_two("heaviside", away, positive, STEP),
    *_of_two("equal greater greater_equal isclose less less_equal not_equal", away, away, COMPARISON),
    *_of_two("logical_and logical_or logical_xor", true, true, COMPARISON),
    *_of_two("bitwise_and bitwise_or bitwise_xor gcd lcm", _bits, _bits, BITS),
    *_of_two("bitwise_left_shift bitwise_right_shift left_shift right_shift", _bits, _bits, BITS),
    below("power", at(away(2, 3), given(2.0), fixed=(1,), label="squares"), at(away(2, 3), given(3), label="a whole exponent")),
    below("divide_no_nan", at(real(2, 3), given([[1.5, 0.0, -2.0]]), fixed=(1,), label="by zero")),
    below("allclose", at(away(2, 3), away(2, 3)), why=COMPARISON),
    below("ldexp", at(real(2, 3), whole(4, 2, 3, low=-2))),
    below("polar", at(positive(2, 3), real(2, 3), call=lambda polar, size, angle: parts(polar(size, angle)))),
)
