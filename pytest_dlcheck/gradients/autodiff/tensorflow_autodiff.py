"""Gradients on TensorFlow: GradientTape, ForwardAccumulator, tf.function with and without XLA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_dlcheck.gradients.autodiff.base import Autodiff, Derivative, Function

__all__ = ["AUTODIFF", "TensorFlowAutodiff"]


class TensorFlowAutodiff(Autodiff):
    modes = ("eager", "graph", "compiled")

    def reverse(self, function: Function) -> Derivative:
        tf = self.framework

        def run(xs: list[Any], vs: list[Any]) -> list[Any]:
            xs = [tf.convert_to_tensor(x) for x in xs]
            with tf.GradientTape() as tape:
                tape.watch(xs)
                ys = function(xs)
            found = tape.gradient(ys, xs, output_gradients=vs)
            # A lookup's gradient comes as slices.
            return [None if each is None else tf.convert_to_tensor(each) for each in found]

        return run

    def forward(self, function: Function) -> Derivative:
        tf = self.framework

        def run(xs: list[Any], us: list[Any]) -> list[Any]:
            xs = [tf.convert_to_tensor(x) for x in xs]
            with tf.autodiff.ForwardAccumulator(primals=xs, tangents=us) as accumulator:
                ys = function(xs)
            found = [accumulator.jvp(y, unconnected_gradients=tf.UnconnectedGradients.ZERO) for y in ys]
            return [tf.convert_to_tensor(each) for each in found]  # which may come as slices

        return run

    def zeros_like(self, tensor: Any) -> Any:
        return self.framework.zeros_like(tensor)

    def in_mode(self, function: Callable[..., Any], mode: str) -> Callable[..., Any]:
        if mode not in ("graph", "compiled"):
            return super().in_mode(function, mode)
        traced: list[Callable[..., Any]] = []

        def run(*arguments: list[Any]) -> Any:
            # Shapes and dtypes stay as they are. Traced by hand, since TensorFlow warns of many functions made in a row.
            if not traced:
                graph = self.framework.function(function, jit_compile=mode == "compiled")
                traced.append(graph.get_concrete_function(*arguments))
            return traced[0](*arguments)

        return run


AUTODIFF = TensorFlowAutodiff
