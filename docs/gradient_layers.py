"""What `check_gradients` takes on layers, next to the checker that a framework brings along.

`KERAS_BACKEND=torch python docs/gradient_layers.py` runs some small layers on that backend (or `tensorflow`, `jax`), each
through `check_gradients` and through the framework's own checker, in float64 and at the same points.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
from gradient_checkers import Subject, backend_of_environment, bar, every_checker, forget, milliseconds, repeated, timed
from rich.console import Console
from rich.table import Table

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.backends.wide_floats import wide_floats
from pytest_dlcheck.gradients.autodiff import autodiff_of
from pytest_dlcheck.gradients.functions import of_layer, widened
from pytest_dlcheck.gradients.program import Array
from pytest_dlcheck.gradients.public import check_gradients


def layers(keras: Any) -> Iterator[tuple[str, Any, Array, bool]]:
    """Name, layer, input, whether in training mode."""
    rng = np.random.default_rng(0)
    kinds = keras.layers
    yield "Dense", kinds.Dense(4, activation="tanh"), rng.standard_normal((3, 6)), False
    yield "Conv2D", kinds.Conv2D(2, 3), rng.standard_normal((1, 6, 6, 2)), False
    yield "LSTM", kinds.LSTM(3), rng.standard_normal((2, 4, 3)), False
    yield "MultiHeadAttention", self_attention(keras), rng.standard_normal((2, 4, 4)), False
    yield "LayerNormalization", kinds.LayerNormalization(), rng.standard_normal((3, 6)), False
    yield "BatchNormalization", kinds.BatchNormalization(), rng.standard_normal((4, 5)), True
    yield "Embedding", kinds.Embedding(10, 4), rng.integers(0, 10, (3, 4)).astype("int32"), False


def self_attention(keras: Any) -> Any:
    """`MultiHeadAttention` takes its query and its values apart: here they are one."""

    class SelfAttention(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.inner = keras.layers.MultiHeadAttention(2, 3)

        def build(self, shape: Any) -> None:
            self.inner.build(shape, shape)
            self.built = True

        def call(self, x: Any) -> Any:
            return self.inner(x, x)

    return SelfAttention()


def of_a_layer(backend: Backend, layer: Any, inputs: Array, training: bool, stack: ExitStack) -> Subject:
    """A layer as a subject; the stack is closed when it has been checked by the framework's own checker."""
    autodiff = autodiff_of(backend)
    stack.enter_context(wide_floats(backend))
    stack.enter_context(widened(layer))
    target = of_layer(layer, inputs, autodiff, training=training)

    def run(*xs: Any) -> Any:
        (output,) = target.function(list(xs))
        return output

    def check(**keywords: Any) -> None:
        check_gradients(layer, inputs, backend=backend, training=training, **keywords)

    return Subject(check, run, target.point)


# Runs and their table.


def run_layers(backend: Backend, console: Console) -> dict[str, dict[str, list[float]]]:
    """Milliseconds per checker and layer: the first call, and a later one."""
    checkers = every_checker(backend)
    chosen = list(layers(backend.keras))
    found: dict[str, dict[str, list[float]]] = {}
    with bar(console) as progress:
        task = progress.add_task("layers", total=len(checkers) * len(chosen))
        for checker in checkers:
            forget(backend)
            progress.update(task, description=checker.names[0])
            for name, layer, inputs, training in chosen:
                layer(backend.put(inputs if inputs.dtype.kind == "i" else inputs.astype("float32")))
                with ExitStack() as stack:
                    subject = of_a_layer(backend, layer, inputs, training, stack)
                    seen, first = timed(checker, subject)
                    again = repeated(checker, subject, first)
                label = checker.names[0].partition(", error")[0]
                alarm = "" if not any(seen.values()) else " (alarm)"
                found.setdefault(label, {})[name + alarm] = [first, again]
                progress.advance(task)
    return found


def of_layers(backend: Backend, found: dict[str, dict[str, list[float]]]) -> Table:
    table = Table(title=f"{backend.name}: milliseconds of processor time per layer, first call / again", title_justify="left")
    table.add_column("checker")
    names = [name.partition(" (")[0] for name in next(iter(found.values()))]
    for name in names:
        table.add_column(name, justify="right")
    for label, row in found.items():
        cells = (" / ".join(map(milliseconds, each)) + (" fails" if "alarm" in name else "") for name, each in row.items())
        table.add_row(label, *cells)
    return table


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    console = Console(width=150)
    backend = backend_of_environment(console)
    console.print(of_layers(backend, run_layers(backend, console)))


if __name__ == "__main__":
    main()
