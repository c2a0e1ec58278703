"""Does training mode reach the layers inside a model whose class does not hand it on?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.observe.framework_values import value_of
from pytest_dlcheck.properties.verdict import Verdict, failed, passed

__all__ = ["TrainingMode", "observe_training_mode", "training_reaches_layers"]

STEPS = 3
FEATURES = 64
RATE = 0.9


@dataclass(frozen=True)
class TrainingMode:
    """A model with a Dropout layer in it, trained with a learning rate of zero.

    Attributes:
        inference: the loss without dropout, to which nothing is random.
        called: the loss of a call in training mode.
        steps: the loss of each training step.
    """

    inference: float
    called: float
    steps: tuple[float, ...]


def _model(keras: Any, *, hands_on: bool, seed: int) -> Any:
    class Inner(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.dropout = keras.layers.Dropout(RATE, seed=seed)
            self.sum = keras.layers.Dense(1, kernel_initializer="ones")

        def call(self, x: Any, training: Any = None) -> Any:
            return self.sum(self.dropout(x, training=training) if hands_on else self.dropout(x))

    return Inner()


def observe_training_mode(backend: Backend, *, hands_on: bool, seed: int) -> TrainingMode:
    """Trains such a model.

    Args:
        backend: loaded.
        hands_on: whether the class hands its `training` argument on to the layers, or leaves that to Keras.
        seed: of the dropout.
    """
    keras = backend.keras
    model = _model(keras, hands_on=hands_on, seed=seed)
    x, y = np.ones((4, FEATURES), dtype=np.float32), np.full((4, 1), FEATURES, dtype=np.float32)
    model(backend.put(x))
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse", jit_compile=backend.name == "jax")

    def loss(training: bool) -> float:
        return float(np.mean(np.square(value_of(backend, model(backend.put(x), training=training)).float64 - y)))

    inference, called = loss(False), loss(True)
    steps = []
    for _ in range(STEPS):
        model.reset_metrics()
        steps.append(float(np.ravel(np.asarray(model.train_on_batch(x, y)))[0]))
    return TrainingMode(inference, called, tuple(steps))


def training_reaches_layers(seen: TrainingMode) -> Verdict:
    """A training step computes what a call in training mode computes: with a dropout of nine in ten, other sums every time.

    The sum of 64 ones, of which those that stay count tenfold, is never 64, so no chance hides dropout.
    """
    if seen.called == seen.inference:
        return failed("a call in training mode drops nothing")
    if all(step == seen.inference for step in seen.steps):
        return failed(
            f"training steps run in inference mode: a loss of {seen.inference:.6g} in each, and {seen.called:.6g} in a call "
            "with training=True"
        )
    return passed(f"losses {', '.join(f'{step:.4g}' for step in seen.steps)} in training, {seen.inference:.4g} in inference")
