"""What a framework must offer for gradients to be checked: three derivatives, and ways of running them."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.gradients.program import Array, NoDerivative, zeros_for_none
from pytest_dlcheck.observe.layer_observation import telling_line

__all__ = ["Autodiff", "FrameworkProgram", "Function"]

Function = Callable[[list[Any]], list[Any]]
"""From the framework's tensors to the framework's tensors, without effects."""
Derivative = Callable[[list[Any], list[Any]], list[Any]]


class Autodiff(ABC):
    """Derivatives of functions of tensors, on one framework.

    Attributes:
        modes: the ways in which it can run a function, the one for differences first.
    """

    modes: ClassVar[tuple[str, ...]] = ("eager",)

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.framework = backend.framework

    def put(self, array: Array) -> Any:
        """The framework's own tensor with these values, in float64."""
        return self.backend.put(np.asarray(array, dtype=np.float64))

    def get(self, tensor: Any) -> Array:
        """A tensor's values, in float64."""
        return np.asarray(self.backend.to_numpy(tensor), dtype=np.float64)

    @abstractmethod
    def reverse(self, function: Function) -> Derivative:
        """(x, v) -> J(x)^T v by reverse mode, differentiable itself; None where there is no path."""

    @abstractmethod
    def forward(self, function: Function) -> Derivative:
        """(x, u) -> J(x) u by forward mode."""

    @abstractmethod
    def zeros_like(self, tensor: Any) -> Any:
        """Zeros of a tensor's shape and dtype."""

    def one_thread(self) -> contextlib.AbstractContextManager[object]:
        """Inside, an operation runs in one thread, where the framework lets that be changed.

        What is checked is small, and threads that wait for each other on a machine with other work take hundreds of times
        longer than the work itself.
        """
        return contextlib.nullcontext()

    def same_draws(self) -> contextlib.AbstractContextManager[object]:
        """Inside, what is drawn from the framework's own global generator is the same every time."""
        return contextlib.nullcontext()

    def in_mode(self, function: Callable[..., Any], mode: str) -> Callable[..., Any]:
        """A function of lists of tensors, run in a mode."""
        if mode != "eager":
            raise ValueError(f"{self.backend.name} has no mode {mode!r}; there are {', '.join(self.modes)}")
        return function


class FrameworkProgram:
    """A function of a framework's tensors as a `Program`.

    Args:
        autodiff: of the framework.
        function: without effects, of one float64 tensor per name.
        names: of its arguments.
        mode: in which it runs.
        value: what gives its value, where another program has compiled that already.
    """

    def __init__(
        self,
        autodiff: Autodiff,
        function: Function,
        names: Sequence[str],
        mode: str,
        *,
        value: Callable[[Sequence[Array]], list[Array]] | None = None,
    ) -> None:
        self.names = tuple(names)
        self._given = value
        self._autodiff, self._function, self._mode = autodiff, function, mode

    @cached_property
    def _value(self) -> Callable[..., Any]:
        return self._autodiff.in_mode(self._function, self._mode)

    @cached_property
    def _reverse(self) -> Callable[..., Any]:
        return self._autodiff.in_mode(self._autodiff.reverse(self._function), self._mode)

    @cached_property
    def _forward(self) -> Callable[..., Any]:
        return self._autodiff.in_mode(self._autodiff.forward(self._function), self._mode)

    def _put(self, arrays: Sequence[Array]) -> list[Any]:
        return [self._autodiff.put(each) for each in arrays]

    def value(self, xs: Sequence[Array]) -> list[Array]:
        if self._given is not None:
            return self._given(xs)
        return [self._autodiff.get(each) for each in self._value(self._put(xs))]

    def reverse(self, xs: Sequence[Array], vs: Sequence[Array]) -> list[Array | None]:
        found = _derived(self._reverse, self._put(xs), self._put(vs))
        return [None if each is None else self._autodiff.get(each) for each in found]

    def forward(self, xs: Sequence[Array], us: Sequence[Array]) -> list[Array]:
        return [self._autodiff.get(each) for each in _derived(self._forward, self._put(xs), self._put(us))]

    def derivative(self, vs: Sequence[Array]) -> FrameworkProgram:
        cotangents = self._put(vs)
        reverse, zeros_like = self._autodiff.reverse(self._function), self._autodiff.zeros_like

        def gradient(xs: list[Any]) -> list[Any]:
            found = reverse(xs, cotangents)
            return [zeros_like(x) if each is None else each for each, x in zip(found, xs, strict=True)]

        def value(xs: Sequence[Array]) -> list[Array]:
            return zeros_for_none(self.reverse(xs, vs), xs)

        return FrameworkProgram(self._autodiff, gradient, self.names, self._mode, value=value)


def _derived(function: Callable[..., Any], xs: list[Any], vs: list[Any]) -> list[Any]:
    try:
        return list(function(xs, vs))
    except Exception as error:
        # The value itself has been computed before: what fails here is differentiation, and each framework says so by other
        # types of errors.
        raise NoDerivative(f"{type(error).__name__}: {telling_line(str(error))}") from error
