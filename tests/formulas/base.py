"""What a formula is, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_dlcheck.gradients.program import Array

__all__ = ["Formula", "Function", "either", "normal", "sigmoid", "softmax"]

Formula = Callable[..., Any]


@dataclass(frozen=True)
class Function:
    """A function of arrays with one output.

    Attributes:
        name: of it.
        names: of its arguments.
        point: draws them.
        value: (xp, *xs) -> y.
        vjp: (xp, v, *xs) -> J^T v: one array per argument, the right one.
        jvp: (xp, us, *xs) -> J u, likewise, where a defect of forward mode is planted.
    """

    name: str
    names: tuple[str, ...]
    point: Callable[[np.random.Generator], Sequence[Array]]
    value: Formula
    vjp: Formula
    jvp: Formula | None = None

    def at(self, seed: int) -> list[Array]:
        """The arguments that a seed draws."""
        return [np.asarray(x, dtype=np.float64) for x in self.point(np.random.default_rng(seed))]


def normal(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], list[Array]]:
    return lambda rng: [rng.standard_normal(shape) for shape in shapes]


def either(rng: np.random.Generator) -> list[Array]:
    """Two arrays, each the larger one in some entries, and nowhere close to a tie."""
    a = rng.standard_normal((2, 4))
    return [a, a + np.array([-1.0, 1.0, 1.0, -1.0]) * rng.uniform(0.5, 1.5, (2, 4))]


def sigmoid(xp: Any, x: Any) -> Any:
    return 1.0 / (1.0 + xp.exp(-x))


def softmax(xp: Any, x: Any) -> Any:
    powers = xp.exp(x)
    return powers / xp.sum(powers, axis=-1, keepdims=True)
