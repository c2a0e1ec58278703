"""What is known not to hold in released versions: every expected failure of the suites stands here, and nowhere else.

An entry of the TOML files is strict. In the versions that it names its property must fail, by a verdict and not by any other
error; where it holds after all the run fails and the report says `fixed`.
"""

from __future__ import annotations

import ast
import fnmatch
import importlib
import operator
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, NamedTuple

from pytest_dlcheck.errors import DlcheckError

__all__ = ["KnownIssue", "holds", "known_issue", "known_issues", "load", "parse"]


class KnownIssue(NamedTuple):
    """One expected failure.

    Attributes:
        id: a short name, unique.
        subject: what fails, a name or several; `*` and `?` match any.
        property: what does not hold of it, a name or several; `*` and `?` match any.
        versions: version specifier (PEP 440) by distribution: where it fails. All must match.
        reason: what is wrong, in a sentence.
        link: where upstream deals with it, or the script that shows it.
        date: when this was last confirmed, ISO 8601.
        backends: on which; empty for all.
        devices: on which kinds of device; empty for all.
        dtypes: under which dtype policies; empty for all.
        where: of which cases: an expression of constructor arguments, `policy`, `shape` (of the first input), `rank` and
            others (`names_of` in `checking.py`), as in `padding == 'same' and groups > 1`. Empty for all.
        case: a stored case that shows it, as JSON; replayed first. Empty if there is none.
    """

    id: str
    subject: str | Sequence[str]
    property: str | Sequence[str]
    versions: Mapping[str, str]
    reason: str
    link: str
    date: str
    backends: Sequence[str] = ()
    devices: Sequence[str] = ()
    dtypes: Sequence[str] = ()
    where: str = ""
    case: str = ""

    def applies(
        self,
        subject: str | None,
        property_name: str | None,
        backend: str | None,
        versions: Mapping[str, str],
        device: str | None = None,
    ) -> bool:
        """Whether the entry speaks of this property of this subject on this product."""
        from packaging.specifiers import SpecifierSet

        return (
            _matches(property_name, self.property)
            and _matches(subject, self.subject)
            and (not self.backends or backend in self.backends)
            and (not self.devices or device is None or device.partition(":")[0] in self.devices)
            and all(
                (found := _version(name, versions)) is not None and SpecifierSet(allowed).contains(found, prereleases=True)
                for name, allowed in self.versions.items()
            )
        )

    def told(self) -> str:
        """The entry in a line, for a message."""
        versions = ", ".join(f"{name} {allowed}" for name, allowed in self.versions.items())
        return f"{self.reason} ({versions}, {self.link}, {self.date})"


def _version(name: str, versions: Mapping[str, str]) -> str | None:
    """Of a distribution, or of a build of it under a name of its own: tensorflow, tensorflow-cpu."""
    return versions.get(name) or next((found for other, found in versions.items() if other.startswith(f"{name}-")), None)


def _matches(name: str | None, patterns: str | Sequence[str]) -> bool:
    allowed = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatch.fnmatchcase(name or "", pattern) for pattern in allowed)


def parse(text: str, where: str = "the register") -> tuple[KnownIssue, ...]:
    """The entries of a TOML text.

    Raises:
        DlcheckError: it is no TOML, an entry lacks a field or has one too many, or says something that cannot be read.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        found = tomllib.loads(text).get("issue", [])
    except tomllib.TOMLDecodeError as error:
        raise DlcheckError(f"{where} is not readable as TOML: {error}") from None
    issues = []
    for number, entry in enumerate(found, 1):
        name = entry.get("id", f"entry {number}")
        try:
            issue = KnownIssue(**entry)
        except TypeError as error:
            raise DlcheckError(f"{where}, {name}: {str(error).partition(' ')[2]}") from None
        try:
            for allowed in issue.versions.values():
                SpecifierSet(allowed)
        except InvalidSpecifier as error:
            raise DlcheckError(f"{where}, {name}: {error}") from None
        if issue.where:
            try:
                _check(ast.parse(issue.where, mode="eval").body)
            except (SyntaxError, ValueError) as error:
                raise DlcheckError(f"{where}, {name}: cannot read {issue.where!r}: {error}") from None
        issues.append(issue)
    return tuple(issues)


@cache
def load() -> tuple[KnownIssue, ...]:
    """The entries that the package brings: of all TOML files beside this one."""
    files = sorted(
        (each for each in resources.files(__name__).iterdir() if each.name.endswith(".toml")), key=lambda each: each.name
    )
    issues = tuple(issue for file in files for issue in parse(file.read_text(encoding="utf-8"), file.name))
    twice = sorted({issue.id for issue in issues if sum(other.id == issue.id for other in issues) > 1})
    if twice:
        raise DlcheckError(f"the register has several entries {', '.join(twice)}")
    return issues


def known_issues(
    subject: str | None,
    property_name: str | None,
    backend: str | None,
    versions: Mapping[str, str],
    *,
    device: str | None = None,
    register: Sequence[KnownIssue] | None = None,
) -> tuple[KnownIssue, ...]:
    """The entries that speak of this property of this subject on this product."""
    entries = load() if register is None else register
    return tuple(issue for issue in entries if issue.applies(subject, property_name, backend, versions, device))


def known_issue(
    subject: str | None,
    property_name: str | None,
    backend: str | None,
    versions: Mapping[str, str],
    *,
    register: Sequence[KnownIssue] | None = None,
) -> KnownIssue | None:
    """The first of those that speak of every case: for a test that has only one."""
    found = known_issues(subject, property_name, backend, versions, register=register)
    return next((issue for issue in found if not issue.where), None)


# `where`: a small language of comparisons, read with Python's own parser and never executed.

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


def _check(node: ast.AST) -> None:
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
    _check(node)
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
