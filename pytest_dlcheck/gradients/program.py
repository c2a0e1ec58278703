"""A differentiable function as the checks see it: NumPy arrays in, NumPy arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "NoDerivative", "Program"]

Array = NDArray[Any]


class NoDerivative(Exception):
    """The framework cannot compute a derivative that it was asked for; the message says why."""


class Program(Protocol):
    """A function of several float arrays with several float outputs, and the derivatives that a framework computes of it.

    With x the arguments, J the Jacobian at x, v one array per output and u one per argument:
    """

    @property
    def names(self) -> Sequence[str]:
        """What the arguments are called, in order."""

    def value(self, xs: Sequence[Array]) -> list[Array]:
        """f(x): one array per output."""

    def reverse(self, xs: Sequence[Array], vs: Sequence[Array]) -> list[Array | None]:
        """J^T v, by reverse mode: one array per argument, of its shape; None where the framework finds no path.

        Raises:
            NoDerivative: the framework cannot.
        """

    def forward(self, xs: Sequence[Array], us: Sequence[Array]) -> list[Array]:
        """J u, by forward mode: one array per output, of its shape.

        Raises:
            NoDerivative: the framework has no forward mode, or not for this function.
        """

    def derivative(self, vs: Sequence[Array]) -> Program:
        """The function x -> J(x)^T v of the same arguments, whose own derivatives are second ones; zeros where there is no
        path."""


def zeros_for_none(gradients: Sequence[Array | None], xs: Sequence[Array]) -> list[Array]:
    """The gradients, with zeros where there is no path."""
    return [np.zeros_like(x) if each is None else each for each, x in zip(gradients, xs, strict=True)]
