"""The small models that the training protocol is observed with, and what restarts them without building them anew."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.references.training import EPSILON, MOMENTUM_OF_STATISTICS

__all__ = ["CLASSES", "FEATURES", "Trainee", "classifier", "samples"]

Array = NDArray[Any]

FEATURES, UNITS, CLASSES = 5, 4, 3


def samples(seed: int, count: int) -> tuple[Array, Array]:
    """Inputs, (count, features) in float32, and integer labels that depend on them, all classes among them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, FEATURES)).astype(np.float32)
    labels = np.argmax(x[:, :CLASSES] + 0.5 * rng.standard_normal((count, CLASSES)), axis=1)
    labels[:CLASSES] = np.arange(CLASSES)
    return x, labels.astype(np.int32)


def classifier(keras: Any, *, normalized: bool, dtype: Any = None) -> Any:
    """tanh layer, batch normalization if it is to have one, softmax layer: what `references.training` computes.

    Not compiled.
    """
    layers = [keras.Input((FEATURES,)), keras.layers.Dense(UNITS, activation="tanh", name="hidden", dtype=dtype)]
    if normalized:
        layers.append(
            keras.layers.BatchNormalization(momentum=MOMENTUM_OF_STATISTICS, epsilon=EPSILON, name="norm", dtype=dtype)
        )
    # What leaves the model is in float32 under a mixed policy too, as its guide advises.
    layers.append(keras.layers.Dense(CLASSES, activation="softmax", name="out", dtype=None if dtype is None else "float32"))
    return keras.Sequential(layers)


class Trainee:
    """A compiled model that can be put back to where it began: weights, optimizer, seeds and metrics.

    Put back and not built once more, since each model compiles its training step anew.

    Args:
        model: compiled, with an optimizer.
        backend: the process's backend.
    """

    def __init__(self, model: Any, backend: Backend) -> None:
        self.model = model
        self.backend = backend
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        self._start = [(variable, backend.to_numpy(variable)) for variable in self._variables()]

    def _variables(self) -> list[Any]:
        """Of the model and of its optimizer, seeds included."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def restart(self, weights: Mapping[str, Array] | None = None) -> None:
        """Puts everything back, and sets the weights that are given."""
        for variable, value in self._start:
            variable.assign(value)
        self.model.reset_metrics()
        self.model.stop_training = False
        for name, value in (weights or {}).items():
            self.variable(name).assign(value)

    def variable(self, name: str) -> Any:
        """A weight by its layer's name and its own: `hidden.kernel`."""
        layer, _, attribute = name.partition(".")
        return getattr(self.model.get_layer(layer), attribute)

    def weights(self) -> dict[str, Array]:
        """All weights, by name."""
        names = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
        return {
            f"{layer.name}.{name}": self.backend.to_numpy(getattr(layer, name))
            for layer in self.model.layers
            for name in names
            if hasattr(layer, name)
        }

    def values(self) -> tuple[Array, ...]:
        """All weights, in the model's order."""
        return tuple(self.backend.to_numpy(weight) for weight in self.model.weights)

    @property
    def steps(self) -> int:
        """How many the optimizer has made, or the one inside it where the loss is scaled."""
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        return int(self.backend.to_numpy(optimizer.iterations))

    @contextlib.contextmanager
    def recompiled(self, **options: Any) -> Iterator[None]:
        """Inside, the model is compiled with other options; the optimizer, the loss and the metrics stay."""
        model = self.model
        before = {"run_eagerly": model.run_eagerly, "jit_compile": model.jit_compile, "steps_per_execution": 1}
        try:
            self._compile(before | options)
            yield
        finally:
            self._compile(before)

    def _compile(self, options: Mapping[str, Any]) -> None:
        for name, value in options.items():
            setattr(self.model, name, value)
        self.model.make_train_function(force=True)
        self.model.make_test_function(force=True)
        self.model.make_predict_function(force=True)
