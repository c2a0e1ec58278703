"""One function that a framework exports: how to call it, where it is smooth, or why it has no derivative."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Maker",
    "Operation",
    "Variant",
    "at",
    "away",
    "below",
    "between",
    "definite",
    "distinct",
    "given",
    "listed",
    "parts",
    "positive",
    "real",
    "regular",
    "symmetric",
    "true",
    "whole",
]

Array = NDArray[Any]
Maker = Callable[[np.random.Generator], Any]
"""Draws one positional argument: an array, or a list of them."""


def _plainly(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    return function(*arguments, **options)


@dataclass(frozen=True)
class Variant:
    """One way of calling a function.

    Attributes:
        makers: of its positional arguments. Floating ones are differentiated, others are handed on.
        options: its keyword arguments, plain values.
        call: from the function, the arguments as tensors and the options to the outputs; by default the plain call.
        fixed: the places of floating arguments that are handed on, too.
        label: what `options` do not say of it.
    """

    makers: tuple[Maker, ...]
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    call: Callable[..., Any] = _plainly
    fixed: tuple[int, ...] = ()
    label: str = ""

    def arguments(self, rng: np.random.Generator) -> list[Any]:
        """The positional arguments, drawn."""
        return [make(rng) for make in self.makers]

    def told(self) -> str:
        """The variant in words."""
        said = [self.label] if self.label else []
        return ", ".join([*said, *(f"{name}={value!r}" for name, value in self.options.items())]) or "no options"


def at(
    *makers: Maker, call: Callable[..., Any] = _plainly, fixed: tuple[int, ...] = (), label: str = "", **options: Any
) -> Variant:
    """A variant, its options as keywords."""
    return Variant(makers, MappingProxyType(options), call, fixed, label)


@dataclass(frozen=True)
class Operation:
    """One exported function, or class whose instances are functions.

    Attributes:
        name: below `keras.`: `ops.arccosh`, `losses.Huber`.
        variants: the plainest that tells the most first.
        not_differentiable: why it has no derivative, or zero everywhere; empty if it has one. It must then have none.
        unsupported: by backend, why the function is documented not to work there; it must then fail.
        more: variants that are looked at for what they give alone, and not for derivatives: at steps, at infinities.
    """

    name: str
    variants: tuple[Variant, ...]
    not_differentiable: str = ""
    unsupported: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    more: tuple[Variant, ...] = ()

    @property
    def subject(self) -> str:
        return f"keras.{self.name}"


# Makers.


def real(*shape: int) -> Maker:
    """Of a size around 1, of either sign."""
    return lambda rng: rng.normal(size=shape)


def between(low: float, high: float, *shape: int) -> Maker:
    """Evenly spread."""
    return lambda rng: rng.uniform(low, high, size=shape)


def positive(*shape: int) -> Maker:
    """Well away from zero."""
    return between(0.4, 2.0, *shape)


def away(*shape: int) -> Maker:
    """Of either sign, well away from zero."""
    return lambda rng: rng.uniform(0.3, 2.0, size=shape) * rng.choice((-1.0, 1.0), size=shape)


def distinct(*shape: int) -> Maker:
    """No two of them near each other: where an order matters, it does not change nearby."""

    def make(rng: np.random.Generator) -> Array:
        count = int(np.prod(shape, dtype=int))
        spaced = (rng.permutation(count) + rng.uniform(0.2, 0.8, count) - count / 2) * (4.0 / max(count, 4))
        return np.asarray(spaced.reshape(shape))

    return make


def whole(high: int, *shape: int, low: int = 0) -> Maker:
    """Whole numbers from `low` to below `high`, as int32."""
    return lambda rng: rng.integers(low, high, size=shape, dtype=np.int32)


def true(*shape: int) -> Maker:
    """Truth values, both of them."""

    def make(rng: np.random.Generator) -> Array:
        values = np.arange(int(np.prod(shape, dtype=int))) % 2 == 0
        return np.asarray(rng.permutation(values).reshape(shape))

    return make


def given(value: Any) -> Maker:
    """These values."""
    return lambda rng: np.asarray(value)


def listed(*makers: Maker) -> Maker:
    """One argument that is a list."""
    return lambda rng: [make(rng) for make in makers]


# Matrices. Derivatives of what is computed from one go with the inverse of its eigenvalues, or of their gaps.


def _orthogonal(rng: np.random.Generator, size: int) -> Array:
    return np.asarray(np.linalg.qr(rng.normal(size=(size, size)))[0])


def _of_each(batch: tuple[int, ...], make: Callable[[], Array]) -> Array:
    found = [make() for _ in range(int(np.prod(batch, dtype=int)))]
    return np.stack(found).reshape(*batch, *found[0].shape)


def _spectrum(rng: np.random.Generator, size: int) -> Array:
    return np.arange(1, size + 1) + rng.uniform(-0.2, 0.2, size)


def symmetric(size: int, *batch: int) -> Maker:
    """Symmetric, with eigenvalues of either sign that are apart from each other and from zero."""

    def one(rng: np.random.Generator) -> Array:
        basis, values = _orthogonal(rng, size), _spectrum(rng, size)
        values[::2] *= -1
        return np.asarray((basis * values) @ basis.T)

    return lambda rng: _of_each(batch, lambda: one(rng))


def definite(size: int, *batch: int) -> Maker:
    """Symmetric, with positive eigenvalues that are apart from each other."""

    def one(rng: np.random.Generator) -> Array:
        basis = _orthogonal(rng, size)
        return np.asarray((basis * _spectrum(rng, size)) @ basis.T)

    return lambda rng: _of_each(batch, lambda: one(rng))


def regular(rows: int, columns: int, *batch: int) -> Maker:
    """Any shape, with singular values that are apart from each other and from zero."""

    def one(rng: np.random.Generator) -> Array:
        rank = min(rows, columns)
        left, right = _orthogonal(rng, rows)[:, :rank], _orthogonal(rng, columns)[:, :rank]
        return np.asarray((left * _spectrum(rng, rank)) @ right.T)

    return lambda rng: _of_each(batch, lambda: one(rng))


# What several families do with a function.


def parts(value: Any) -> Any:
    """A complex tensor as its real and its imaginary part, which have derivatives by real arguments."""
    import keras

    return keras.ops.real(value), keras.ops.imag(value)


def below(
    name: str,
    *variants: Variant,
    why: str = "",
    unsupported: Mapping[str, str] | None = None,
    more: tuple[Variant, ...] = (),
) -> Operation:
    """An operation of `keras.ops`."""
    return Operation(f"ops.{name}", variants, why, MappingProxyType(dict(unsupported or {})), more)
