"""The training loop written out in a framework's own operations, without Keras: what `fit` is compared with.

It trains the same model: the same layers, loss and optimizer formulas, from the same initial weights. The suites check that
(`fit_is_the_loop`), and the benchmarks then show what `fit` costs beside it. Each loop is written as one would write it for
speed: compiled where the framework compiles, the loss taken from the logits, batches on the device beforehand.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.models.spec import Layer, ModelSpec
from pytest_dlcheck.references.network import weight_count

__all__ = ["ADAM_BETAS", "ADAM_EPSILON", "ADAM_RATE", "SGD_RATE", "WrittenOutLoop", "batch", "layers", "written_out"]

Array = NDArray[np.generic]

# Keras's documented defaults, which the tutorials use by naming the optimizers.
SGD_RATE = 0.01
ADAM_RATE = 0.001
ADAM_BETAS = (0.9, 0.999)
ADAM_EPSILON = 1e-7


class WrittenOutLoop(Protocol):
    """Forward, backward, update."""

    def restart(self, weights: Sequence[Array]) -> None:
        """Back to the start: these weights, in Keras's order and layout, and a fresh optimizer. Nothing is compiled again."""

    def prepare(self, x: Array, y: Array) -> tuple[Any, Any]:
        """One batch in the framework's own form, on the device: done once, before anything is timed."""

    def step(self, x: Any, y: Any) -> Any:
        """One training step; gives the batch's mean loss before the update as a tensor, which may still be computing."""

    def synchronize(self) -> None:
        """Waits until every step has been computed."""


def written_out(backend: str, spec: ModelSpec, weights: Sequence[Array]) -> WrittenOutLoop:
    """The loop of a model on `tensorflow`, `jax` or `torch`, starting from weights in Keras's order and layout."""
    module = importlib.import_module(f"pytest_dlcheck.benchmark.loops.{backend}_loop")
    loop: WrittenOutLoop = module.Loop(spec)
    loop.restart(weights)
    return loop


def layers(spec: ModelSpec, weights: Sequence[Any]) -> Iterator[tuple[Layer, Sequence[Any], str | None]]:
    """Each layer with its weights and the activation to apply: none on the last one if the loss takes logits."""
    start = 0
    for number, layer in enumerate(spec.layers, 1):
        count = weight_count(layer)
        activation = getattr(layer, "activation", None)
        if number == len(spec.layers) and spec.loss.endswith("crossentropy"):
            activation = None
        yield layer, weights[start : start + count], activation
        start += count


def batch(spec: ModelSpec, x: Array, y: Array) -> tuple[Array, Array]:
    """A batch in the shapes of the formulas: the tutorial's line gives x and y as (n,)."""
    return x.reshape(len(x), *spec.input_shape), y.reshape(len(y), 1) if spec.targets == "real" else y
