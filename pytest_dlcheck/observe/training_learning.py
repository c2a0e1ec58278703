"""Does training learn, repeat itself, keep its metrics, and leave nothing behind? Runs a small model with dropout and sees."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.observe.training_learnt import Growth, Learning, Repeated
from pytest_dlcheck.observe.training_models import CLASSES, FEATURES, Trainee, samples

__all__ = ["OVERFITTED", "LearningObserver", "count_growth"]

Array = NDArray[Any]

COUNT, BATCH = 16, 8
OVERFITTED, STEPS = 8, 40
WARM_UP, ROUNDS, CALLS = 4, 5, 2


def _arrays(backend: Backend) -> int:
    """How many of the framework's arrays are alive."""
    framework = backend.framework
    if backend.name == "jax":
        return len(framework.live_arrays())
    kind = framework.Tensor
    # By type and not by isinstance, which would ask every proxy among the objects for its class.
    return sum(issubclass(type(each), kind) for each in gc.get_objects())


def _buffers() -> int:
    """How many of the buffers that NumPy has allocated since tracing began are alive."""
    numpy_alone = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    return len(tracemalloc.take_snapshot().filter_traces([numpy_alone]).traces)


def count_growth(backend: Backend, what: str, call: Callable[[], Any]) -> Growth:
    """Calls it round after round, once warmed up, and counts after each round what is alive.

    Args:
        backend: whose arrays are counted.
        what: is called, for messages.
        call: what should leave nothing behind.
    """
    for _ in range(WARM_UP):
        call()
    arrays, objects, buffers = [], [], []
    gc.collect()
    # What there is already is neither collected nor counted: that would take most of the time.
    gc.freeze()
    tracemalloc.start()
    try:
        for _ in range(ROUNDS):
            for _ in range(CALLS):
                call()
            gc.collect()
            arrays.append(_arrays(backend))
            objects.append(len(gc.get_objects()))
            buffers.append(_buffers())
    finally:
        tracemalloc.stop()
        gc.unfreeze()
    return Growth(what, CALLS, tuple(arrays), tuple(objects), tuple(buffers))


class LearningObserver:
    """A dense stack with batch normalization and dropout, trained by Adam.

    Args:
        backend: one that trains.
        seed: of the data, the initial weights, the dropout and the order of the samples.
    """

    def __init__(self, backend: Backend, seed: int) -> None:
        self.backend = backend
        self.seed = seed
        self.x, self.labels = samples(seed, COUNT)

    def _build(self, seed: int, *, dropout: bool) -> Trainee:
        keras = self.backend.keras
        layers = keras.layers
        self.backend.seed(seed)
        with self.backend.quick():
            model = keras.Sequential(
                [
                    keras.Input((FEATURES,)),
                    layers.Dense(16, activation="tanh", name="first"),
                    layers.BatchNormalization(name="norm"),
                    *([layers.Dropout(0.25)] if dropout else []),
                    layers.Dense(CLASSES, activation="softmax", name="out"),
                ]
            )
        model.compile(optimizer=keras.optimizers.Adam(0.05), loss=keras.losses.SparseCategoricalCrossentropy())
        return Trainee(model, self.backend)

    @cached_property
    def _plain(self) -> Trainee:
        return self._build(self.seed, dropout=False)

    @cached_property
    def learnt(self) -> Learning:
        """One batch, over and over: labels at random, so that there is nothing to find but the samples themselves."""
        trainee = self._plain
        trainee.restart()
        labels = np.random.default_rng(self.seed + 1).integers(0, CLASSES, OVERFITTED).astype(np.int32)
        weights = trainee.model.trainable_weights
        before = tuple(map(self.backend.to_numpy, weights))
        with self.backend.alone():
            options = {"batch_size": OVERFITTED, "epochs": STEPS, "shuffle": False, "verbose": 0}
            history = trainee.model.fit(self.x[:OVERFITTED], labels, **options).history
        names = tuple(getattr(weight, "path", weight.name) for weight in weights)
        return Learning(tuple(map(float, history["loss"])), names, before, tuple(map(self.backend.to_numpy, weights)))

    def _shuffled(self, seed: int) -> tuple[tuple[float, ...], tuple[Array, ...]]:
        trainee = self._build(seed, dropout=True)
        with self.backend.alone():
            history = trainee.model.fit(self.x, self.labels, batch_size=BATCH, epochs=2, verbose=0).history
        return tuple(map(float, history["loss"])), trainee.values()

    @cached_property
    def repeated(self) -> Repeated:
        """The same seed twice, and another one."""
        runs = [self._shuffled(seed) for seed in (self.seed, self.seed, self.seed + 1)]
        return Repeated(tuple(losses for losses, _ in runs), tuple(weights for _, weights in runs))

    def growth(self, name: str) -> Growth:
        """Of one of the model's methods, called over and over on one batch."""
        trainee, x, labels = self._plain, self.x[:OVERFITTED], self.labels[:OVERFITTED]
        trainee.restart()
        model, options = trainee.model, {"batch_size": OVERFITTED, "verbose": 0}
        calls: Mapping[str, Callable[[], Any]] = {
            "train_on_batch": lambda: model.train_on_batch(x, labels),
            "fit": lambda: model.fit(x, labels, **options),
            "evaluate": lambda: model.evaluate(x, labels, **options),
            "predict": lambda: model.predict(x, **options),
        }
        with self.backend.alone():
            return count_growth(self.backend, name, calls[name])
