"""Functions written over an array namespace, as programs in NumPy alone: their derivatives are exact, by complex steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pytest_dlcheck.gradients.program import Array

__all__ = ["ComplexStep", "NumpyProgram", "Real"]

# So small that its square vanishes beside any entry: the imaginary part then is the derivative times this, and nothing else.
STEP = 1e-150


class Real:
    """NumPy under the names that `keras.ops` has, for real numbers."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def constant(self, array: Array) -> Any:
        return np.asarray(array)

    def stop_gradient(self, x: Any) -> Any:
        return x


class ComplexStep(Real):
    """The same for complex numbers whose imaginary parts are tangents.

    W. Squire and G. Trapp, Using complex variables to estimate derivatives of real functions, SIAM Review 40(1), 1998. What
    NumPy defines for complex numbers in another way than by the real part's branch is defined anew.
    """

    def stop_gradient(self, x: Any) -> Any:
        return np.real(x) + 0j

    def greater(self, a: Any, b: Any) -> Any:
        return np.real(a) > np.real(b)

    def maximum(self, a: Any, b: Any) -> Any:
        return np.where(np.real(a) >= np.real(b), a, b)

    def abs(self, x: Any) -> Any:
        return np.where(np.real(x) < 0, -x, x)


REAL, COMPLEX_STEP = Real(), ComplexStep()


class NumpyProgram:
    """A `Program` without a framework.

    Args:
        names: of the arguments.
        value: f, from a namespace and the arguments to one array per output.
        reverse: J^T v, from a namespace, the arguments and the cotangents; by default the exact one.
        forward: J u, from the arguments and the tangents; by default the exact one.
    """

    def __init__(
        self,
        names: Sequence[str],
        value: Callable[[Any, Sequence[Any]], Sequence[Any]],
        reverse: Callable[[Any, Sequence[Any], Sequence[Any]], Sequence[Any]] | None = None,
        forward: Callable[[Any, Sequence[Any], Sequence[Any]], Sequence[Any]] | None = None,
    ) -> None:
        self.names = tuple(names)
        self._value, self._reverse, self._forward = value, reverse, forward
        self._seen: tuple[bytes, list[list[list[Array]]]] = (b"", [])

    def value(self, xs: Sequence[Array]) -> list[Array]:
        return _arrays(self._value, xs)

    def reverse(self, xs: Sequence[Array], vs: Sequence[Array]) -> list[Array | None]:
        if self._reverse is not None:
            return list(_arrays(self._reverse, xs, vs))
        found = []
        for x, columns in zip(xs, self._jacobian(xs), strict=True):
            slopes = [sum(float(np.sum(v * along)) for v, along in zip(vs, column, strict=True)) for column in columns]
            found.append(np.array(slopes, dtype=np.float64).reshape(x.shape))
        return found

    def _jacobian(self, xs: Sequence[Array]) -> list[list[list[Array]]]:
        """For each entry of each argument, the derivative of every output along it: kept until the point moves."""
        key = b"".join(x.tobytes() for x in xs)
        if key != self._seen[0]:
            self._seen = (
                key,
                [[self._column(xs, index, place) for place in np.ndindex(x.shape)] for index, x in enumerate(xs)],
            )
        return self._seen[1]

    def _column(self, xs: Sequence[Array], index: int, place: tuple[int, ...]) -> list[Array]:
        us = [np.zeros(x.shape) for x in xs]
        us[index][place] = 1.0
        return self._exact(xs, us)

    def forward(self, xs: Sequence[Array], us: Sequence[Array]) -> list[Array]:
        return self._exact(xs, us) if self._forward is None else _arrays(self._forward, xs, us)

    def _exact(self, xs: Sequence[Array], us: Sequence[Array]) -> list[Array]:
        with np.errstate(all="ignore"):
            moved = self._value(COMPLEX_STEP, [x + 1j * STEP * u for x, u in zip(xs, us, strict=True)])
        return [np.imag(each) / STEP for each in moved]

    def derivative(self, vs: Sequence[Array]) -> NumpyProgram:
        reverse = self._reverse
        assert reverse is not None, "of third order, nothing is asked"
        return NumpyProgram(self.names, lambda xp, xs: reverse(xp, xs, vs))


def _arrays(function: Callable[..., Sequence[Any]], *arguments: Any) -> list[Any]:
    with np.errstate(all="ignore"):  # a defect may divide by zero
        return [np.asarray(each, dtype=np.float64) for each in function(REAL, *arguments)]
