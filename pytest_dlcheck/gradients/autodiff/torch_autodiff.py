"""Gradients on PyTorch: autograd and its forward mode."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from pytest_dlcheck.gradients.autodiff.base import Autodiff, Derivative, Function
from pytest_dlcheck.gradients.program import Array

__all__ = ["AUTODIFF", "TorchAutodiff"]


class TorchAutodiff(Autodiff):
    # No `torch.compile`: TorchDynamo takes seconds for each layer and shape.
    modes = ("eager",)

    def reverse(self, function: Function) -> Derivative:
        torch = self.framework

        def run(xs: list[Any], vs: list[Any]) -> list[Any]:
            # Inside another derivative the arguments carry their history already, and the result must carry it on.
            nested = any(x.requires_grad for x in xs)
            xs = [x if x.requires_grad else x.detach().requires_grad_(True) for x in xs]
            with torch.enable_grad():
                ys = function(xs)
                connected = [(y, v) for y, v in zip(ys, vs, strict=True) if y.requires_grad]
                if not connected:
                    return [None] * len(xs)
                outputs, cotangents = zip(*connected, strict=True)
                return list(torch.autograd.grad(outputs, xs, cotangents, create_graph=nested, allow_unused=True))

        return run

    def forward(self, function: Function) -> Derivative:
        torch = self.framework
        forward_ad = torch.autograd.forward_ad

        def run(xs: list[Any], us: list[Any]) -> list[Any]:
            # Not torch.func.jvp, which refuses functions that read a value (`item`) and autograd functions of the older form.
            xs = [x.detach().requires_grad_(True) for x in xs]
            with forward_ad.dual_level():
                ys = function([forward_ad.make_dual(x, u) for x, u in zip(xs, us, strict=True)])
                found = [forward_ad.unpack_dual(y) for y in ys]
                return [torch.zeros_like(each.primal) if each.tangent is None else each.tangent.detach() for each in found]

        return run

    @contextlib.contextmanager
    def one_thread(self) -> Iterator[None]:
        before = self.framework.get_num_threads()
        self.framework.set_num_threads(1)
        try:
            yield
        finally:
            self.framework.set_num_threads(before)

    @contextlib.contextmanager
    def same_draws(self) -> Iterator[None]:
        # Keras's dropout without a seed draws from it.
        torch = self.framework
        if torch.cuda.is_available():
            with torch.random.fork_rng():
                torch.manual_seed(0)
                yield
            return
        # `manual_seed` notes a stack trace for each kind of device that is not there: a third of the time of a small layer.
        state = torch.get_rng_state()
        torch.default_generator.manual_seed(0)
        try:
            yield
        finally:
            torch.set_rng_state(state)

    def get(self, tensor: Any) -> Array:
        # A derivative that is zero throughout comes as a tensor without memory, which NumPy must be made to take.
        return np.asarray(tensor.detach().cpu().numpy(force=True), dtype=np.float64)

    def zeros_like(self, tensor: Any) -> Any:
        return self.framework.zeros_like(tensor)


AUTODIFF = TorchAutodiff
