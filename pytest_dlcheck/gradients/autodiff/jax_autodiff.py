"""Gradients on JAX: vjp, jvp, jit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_dlcheck.gradients.autodiff.base import Autodiff, Derivative, Function

__all__ = ["AUTODIFF", "JaxAutodiff"]


class JaxAutodiff(Autodiff):
    # Differences are taken in compiled mode: op by op, JAX compiles each operation for each shape on its own.
    modes = ("compiled", "eager")

    def reverse(self, function: Function) -> Derivative:
        def run(xs: list[Any], vs: list[Any]) -> list[Any]:
            _, pull = self.framework.vjp(function, xs)
            (found,) = pull(list(vs))
            return list(found)

        return run

    def forward(self, function: Function) -> Derivative:
        def run(xs: list[Any], us: list[Any]) -> list[Any]:
            _, tangents = self.framework.jvp(function, (xs,), (us,))
            return list(tangents)

        return run

    def zeros_like(self, tensor: Any) -> Any:
        return self.framework.numpy.zeros_like(tensor)

    def in_mode(self, function: Callable[..., Any], mode: str) -> Callable[..., Any]:
        if mode == "compiled":
            # Else XLA leaves out roundings to float32 in a function and not in its derivatives, and the two do not match.
            return self.framework.jit(function, compiler_options={"xla_allow_excess_precision": False})  # type: ignore[no-any-return]
        return super().in_mode(function, mode)


AUTODIFF = JaxAutodiff
