"""The conditions of register entries: a small language of comparisons, read with Python's own parser and never executed."""

from __future__ import annotations

import ast
import operator
import struct
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

__all__ = ["check", "holds"]

_OPERATORS: Mapping[type, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        ast.Eq: operator.eq,
        ast.NotEq: operator.ne,
        ast.Lt: operator.lt,
        ast.LtE: operator.le,
        ast.Gt: operator.gt,
        ast.GtE: operator.ge,
        ast.In: lambda a, b: a in b,
        ast.NotIn: lambda a, b: a not in b,
        ast.Is: operator.is_,
        ast.IsNot: operator.is_not,
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Mod: operator.mod,
        ast.FloorDiv: operator.floordiv,
    }
)


def _per_axis(count: int, value: int | Sequence[int]) -> Sequence[int]:
    """What an argument says of each axis."""
    return (value,) * count if isinstance(value, int) else value


def _same_padding(sizes: Sequence[int], window: int | Sequence[int], strides: int | Sequence[int]) -> tuple[int, ...]:
    """By the formula of padding 'same', how many places each axis lacks; less than none where windows leave some out."""
    lengths, steps = _per_axis(len(sizes), window), _per_axis(len(sizes), strides)
    return tuple(length - ((size - 1) % step + 1) for size, length, step in zip(sizes, lengths, steps, strict=True))


def _dilated(count: int, window: int | Sequence[int], dilation: int | Sequence[int]) -> tuple[int, ...]:
    """How long a window is on each axis with the places that it leaves out."""
    pairs = zip(_per_axis(count, window), _per_axis(count, dilation), strict=True)
    return tuple((length - 1) * step + 1 for length, step in pairs)


def _window_counts(
    sizes: Sequence[int], window: Sequence[int], strides: int | Sequence[int], padding: str | None
) -> tuple[int, ...]:
    """How many windows fit on each axis."""
    steps = _per_axis(len(sizes), strides)
    if (padding or "valid").lower() == "valid":
        return tuple((size - length) // step + 1 for size, length, step in zip(sizes, window, steps, strict=True))
    return tuple(-(-size // step) for size, step in zip(sizes, steps, strict=True))


def _taken_for_a_bias(shapes: Sequence[Sequence[int]], batch: int | None = None) -> bool:
    """Whether TensorFlow's `keras.ops.add`, in a sum of these shapes, lays one along another axis than broadcasting does.

    It takes what has one size above 1 for a bias of the last axis, or else of axis 1, if that has the same size. Shapes of
    fewer axes get theirs after the batch, whose size `batch` replaces if it is given.
    """
    rank = max(map(len, shapes))
    full = [(s[0] if batch is None else batch, *(1,) * (rank - len(s)), *s[1:]) for s in shapes]
    total = full[0]
    for shape in full[1:]:
        long = [axis for axis, size in enumerate(shape) if size > 1]
        if len(long) == 1 and rank > 1:
            (axis,) = long
            size = shape[axis]
            if size in (total[1], total[-1]) and axis != (rank - 1 if total[-1] == size else 1):
                return True
        total = tuple(max(sizes) for sizes in zip(total, shape, strict=True))
    return False


_FUNCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "len": len,
        "max": max,
        "min": min,
        "any": any,
        "all": all,
        "abs": abs,
        "kind": lambda value: type(value).__name__,
        # Of an argument that is one number for all axes, or one for each.
        "largest": lambda value: value if isinstance(value, (int, float)) else max(value),
        "least": lambda value: value if isinstance(value, (int, float)) else min(value),
        # The sizes of a shape that no broadcasting stretches.
        "longer": lambda shape: tuple(size for size in shape if size > 1),
        "same_padding": _same_padding,
        "dilated": _dilated,
        "window_counts": _window_counts,
        "paired": lambda count, first, second: tuple(zip(_per_axis(count, first), _per_axis(count, second), strict=True)),
        "remainders": lambda values, divisor: tuple(value % divisor for value in values),
        "positive": lambda values: tuple(max(value, 0) for value in values),
        "taken_for_a_bias": _taken_for_a_bias,
        # Whether an object of one of these classes, the layer or something in it, is not given an argument.
        "lacking": lambda objects, kinds, name: any(
            kind in kinds and arguments.get(name) is None for kind, arguments in objects
        ),
        "fits_float32": lambda value: struct.unpack("f", struct.pack("f", value))[0] == value,
    }
)


def check(node: ast.AST) -> None:
    allowed = (
        ast.BoolOp, ast.UnaryOp, ast.Not, ast.USub, ast.And, ast.Or, ast.Compare, ast.Name, ast.Load, ast.Constant, ast.Tuple,
        ast.List, ast.Subscript, ast.Slice, ast.BinOp, ast.Call, *_OPERATORS,
    )  # fmt: skip
    for each in ast.walk(node):
        if not isinstance(each, allowed):
            raise ValueError(f"{type(each).__name__} is not allowed in it")  # noqa: TRY004 - of the text, not of a type
        if isinstance(each, ast.Call) and not (isinstance(each.func, ast.Name) and each.func.id in _FUNCTIONS):
            raise ValueError("it may call only " + ", ".join(_FUNCTIONS))


def holds(where: str, names: Mapping[str, Any]) -> bool:
    """Whether an expression holds; a name that the case lacks is None, and what cannot be compared does not hold."""
    if not where:
        return True
    node = ast.parse(where, mode="eval").body
    check(node)
    try:
        return bool(_value(node, names))
    except (TypeError, IndexError, KeyError, ValueError):
        return False


def _value(node: ast.AST, names: Mapping[str, Any]) -> Any:  # noqa: C901, PLR0912 - one branch for each kind of node
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_value(item, names) for item in node.elts)
    if isinstance(node, ast.BoolOp):
        # As in Python: `strides or pool_size or 2` is the first of them that says something.
        for item in node.values:
            result = _value(item, names)
            if bool(result) is isinstance(node.op, ast.Or):
                break
        return result
    if isinstance(node, ast.UnaryOp):
        value = _value(node.operand, names)
        return not value if isinstance(node.op, ast.Not) else -value
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_value(node.left, names), _value(node.right, names))
    if isinstance(node, ast.Subscript):
        return _value(node.value, names)[_value(node.slice, names)]
    if isinstance(node, ast.Slice):
        return slice(*(part and _value(part, names) for part in (node.lower, node.upper, node.step)))
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        return _FUNCTIONS[node.func.id](*[_value(item, names) for item in node.args])
    assert isinstance(node, ast.Compare)
    left = _value(node.left, names)
    for op, comparator in zip(node.ops, node.comparators, strict=True):
        right = _value(comparator, names)
        if not _OPERATORS[type(op)](left, right):
            return False
        left = right
    return True
