"""Control flow, functions of functions, creation of arrays, and questions about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_dlcheck.subjects.operations.record import (
    Operation,
    Variant,
    at,
    away,
    below,
    listed,
    positive,
    real,
    whole,
)

__all__ = ["OPERATIONS"]

SIZES = "takes sizes alone"
SHAPE = "takes the shape alone"
QUESTION = "a question about a tensor"


def _ops() -> Any:
    import keras

    return keras.ops


def _sine(x: Any) -> Any:
    return _ops().sin(x)


def _cube(x: Any) -> Any:
    return x * x * x


def _cond(cond: Any, x: Any, *, positive: bool) -> Any:
    total = _ops().sum(x * x)
    return cond(total > 0 if positive else total < 0, lambda: _sine(x), lambda: _cube(x))


def _switch(switch: Any, x: Any, y: Any, *, index: int) -> Any:
    return switch(index, [lambda a, b: a * b, lambda a, b: _sine(a) + b, lambda a, b: a - _cube(b)], x, y)


def _loop(while_loop: Any, x: Any, **options: Any) -> Any:
    return while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, _sine(y) * x), (0, x), **options)[1]


def _for(fori_loop: Any, x: Any) -> Any:
    return fori_loop(0, 3, lambda i, y: _sine(y) * x, x)


def _scan(scan: Any, carry: Any, xs: Any, **options: Any) -> Any:
    def step(state: Any, x: Any) -> tuple[Any, Any]:
        state = _sine(state) * x
        return state, state + x

    return scan(step, carry, xs, **options)


def _associative(scan: Any, x: Any, **options: Any) -> Any:
    return scan(lambda a, b: a * b, x, **options)


def _map(function: Any, x: Any) -> Any:
    return function(lambda row: _sine(row) * _ops().sum(row), x)


def _map_two(function: Any, xs: Any) -> Any:
    return function(lambda both: _sine(both[0]) * both[1], tuple(xs))


def _vectorize(vectorize: Any, x: Any, y: Any, **options: Any) -> Any:
    inner: Callable[..., Any] = (lambda a, b: _ops().sum(a * _sine(b))) if options else (lambda a, b: a * _sine(b))
    return vectorize(inner, **options)(x, y)


def _custom(custom_gradient: Any, x: Any) -> Any:
    """A sine with its own derivative written out."""

    @custom_gradient  # type: ignore[untyped-decorator]
    def sine(x: Any) -> tuple[Any, Any]:
        def gradient(*args: Any, upstream: Any = None) -> Any:
            return (args[0] if upstream is None else upstream) * _ops().cos(x)

        return _sine(x), gradient

    return sine(x)


def _jvp(jvp: Any, x: Any, u: Any) -> Any:
    return jvp(lambda each: _cube(each) * _sine(each), (x,), (u,))


def _made(function: Any, x: Any) -> Any:
    return function(tuple(x.shape))


def _full(full: Any, value: Any) -> Any:
    return full((2, 3), value)


def _spaced(name: str, *, base: bool = False) -> Operation:
    ends = (positive(3), positive(3)) if name == "geomspace" else (real(3), real(3))
    more = (at(*ends, num=4, base=2.0),) if base else ()
    return below(name, at(*ends, num=4), at(*ends, num=4, endpoint=False), at(*ends, num=3, axis=-1), *more)


_LISTS: tuple[Variant, ...] = (at(real(2, 3)), at(real()))

OPERATIONS: tuple[Operation, ...] = (
    # Control flow and functions of functions.
    below("cond", at(real(2, 3), call=_cond, positive=True), at(real(2, 3), call=_cond, positive=False)),
    below("switch", *(at(real(2, 3), real(2, 3), call=_switch, index=index) for index in (1, 0, 2))),
    below("while_loop", at(real(2, 3), call=_loop), at(real(2, 3), call=_loop, maximum_iterations=2)),
    below("fori_loop", at(real(2, 3), call=_for)),
    below("scan", at(real(2), real(4, 2), call=_scan), at(real(2), real(4, 2), call=_scan, reverse=True)),
    below("associative_scan", at(away(4, 2), call=_associative), at(away(4, 2), call=_associative, reverse=True)),
    below("associative_scan", at(away(2, 5), call=_associative, axis=1)),
    below("map", at(real(3, 2), call=_map), at(listed(real(3, 2), real(3, 2)), call=_map_two, label="of two")),
    below("vectorized_map", at(real(3, 2), call=_map), at(listed(real(3, 2), real(3, 2)), call=_map_two, label="of two")),
    below(
        "vectorize", at(real(3), real(3), call=_vectorize), at(real(2, 3), real(2, 3), call=_vectorize, signature="(n),(n)->()")
    ),
    below("custom_gradient", at(real(2, 3), call=_custom)),
    below("jvp", at(real(2, 3), real(2, 3), call=_jvp)),
    below("stop_gradient", at(real(2, 3)), why="stops it"),
    # Handing on, and leaving.
    below("array", *_LISTS),
    below("convert_to_tensor", *_LISTS),
    below("convert_to_numpy", at(real(2, 3)), why="leaves the framework"),
    # Creation.
    _spaced("linspace"),
    _spaced("logspace", base=True),
    _spaced("geomspace"),
    below("full", at(real(), call=_full, label="a scalar"), at(real(3), call=_full)),
    below("full_like", at(real(2, 3), real(), label="a scalar"), at(real(2, 3), real(3))),
    below("arange", at(call=lambda arange: arange(0.0, 2.0, 0.5)), why=SIZES),
    *(below(name, at(real(2, 3), call=_made), why=SHAPE) for name in ("empty", "ones", "zeros")),
    *(below(name, at(real(2, 3)), why=SHAPE) for name in ("empty_like", "ones_like", "zeros_like")),
    *(below(name, at(call=lambda make: make(3)), why=SIZES) for name in ("eye", "identity", "tri")),
    below("one_hot", at(whole(4, 2, 3), num_classes=4), why="of whole numbers"),
    below("multi_hot", at(whole(4, 2, 3), num_classes=4), why="of whole numbers"),
    # Questions.
    *(below(name, at(real(2, 3)), why=QUESTION) for name in ("dtype", "is_tensor", "ndim", "shape", "size")),
)
