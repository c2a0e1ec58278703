"""What samples and time steps count in training: repeated samples, and steps that a mask hides."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.observe.training_models import CLASSES, Trainee, classifier, samples
from pytest_dlcheck.observe.training_observations import Irrelevance, Masked, Run, Task, Training
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, moved_start

__all__ = ["MaskObserver", "RepetitionObserver"]

Array = NDArray[Any]

COUNTS = (0, 1, 2, 3, 1, 1)
"""How often the samples of a batch occur, in an order that is drawn: six samples, eight occurrences."""
RATE, EPOCHS = 0.25, 2
WORDS, SENTENCES, LENGTH, LONGER = 7, 6, 5, 2
STEPS = 3
MOVED_STARTS = 3


class RepetitionObserver:
    """A classifier without batch normalization, whose loss is the sum over the batch: weight k is k occurrences.

    Args:
        backend: one that trains.
        seed: of the data and the initial weights.
    """

    def __init__(self, backend: Backend, seed: int) -> None:
        self.backend = backend
        self.seed = seed

    @cached_property
    def observed(self) -> Training:
        """The same two batches with weights, and with repeated samples."""
        keras = self.backend.keras
        rng = np.random.default_rng(self.seed)
        x, labels = samples(self.seed, 2 * len(COUNTS))
        counts = np.concatenate([rng.permutation(COUNTS) for _ in range(2)])
        self.backend.seed(self.seed)
        with self.backend.quick():
            model = classifier(keras, normalized=False)
        model.compile(
            optimizer=keras.optimizers.SGD(RATE / 4, momentum=0.5),
            loss=keras.losses.SparseCategoricalCrossentropy(reduction="sum"),
        )
        trainee = Trainee(model, self.backend)
        start = trainee.weights()

        def fit(*data: Array, **options: Any) -> Run:
            trainee.restart()
            with self.backend.alone():
                model.fit(*data, epochs=EPOCHS, shuffle=False, verbose=0, **options)
            return Run((), trainee.weights(), trainee.steps)

        runs = {
            "sample_weight k": fit(x, labels, sample_weight=counts.astype(np.float32), batch_size=len(COUNTS)),
            "k occurrences": fit(np.repeat(x, counts, axis=0), np.repeat(labels, counts), batch_size=sum(COUNTS)),
        }
        task = Task(start, x, labels, counts, len(COUNTS), EPOCHS, RATE / 4, 0.5, reduction="sum")
        return Training(task, runs)


class MaskObserver:
    """An embedding that masks zeros, an LSTM, and a class for each word: what is padded must not count.

    Args:
        backend: one that trains.
        seed: of the sentences and the initial weights.
    """

    def __init__(self, backend: Backend, seed: int) -> None:
        self.backend = backend
        self.seed = seed
        rng = np.random.default_rng(seed)
        self.words = rng.integers(1, WORDS, (SENTENCES, LENGTH)).astype(np.int32)
        lengths = rng.permutation([LENGTH, 1, *rng.integers(2, LENGTH, SENTENCES - 2)])
        self.words[np.arange(LENGTH) >= lengths[:, np.newaxis]] = 0
        self.labels = rng.integers(0, CLASSES, self.words.shape).astype(np.int32)

    @cached_property
    def trainee(self) -> Trainee:
        keras = self.backend.keras
        self.backend.seed(self.seed)
        with self.backend.quick():
            model = keras.Sequential(
                [
                    keras.Input((None,), dtype="int32"),
                    keras.layers.Embedding(WORDS, 3, mask_zero=True, name="words"),
                    keras.layers.LSTM(4, return_sequences=True, name="memory"),
                    keras.layers.Dense(CLASSES, activation="softmax", name="out"),
                ]
            )
        model.compile(
            optimizer=keras.optimizers.SGD(0.5),
            loss=keras.losses.SparseCategoricalCrossentropy(),
            weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
        return Trainee(model, self.backend)

    def _fit(
        self, words: Array, labels: Array, start: list[Array] | None = None
    ) -> tuple[tuple[float, ...], tuple[Array, ...]]:
        self.trainee.restart()
        if start is not None:
            self.trainee.model.set_weights(start)
        with self.backend.alone():
            options = {"batch_size": SENTENCES, "epochs": STEPS, "shuffle": False, "verbose": 0}
            history = self.trainee.model.fit(words, labels, **options).history
        return tuple(map(float, history["loss"])), self.trainee.values()

    @cached_property
    def base(self) -> tuple[tuple[float, ...], tuple[Array, ...]]:
        """The run that the others must equal."""
        return self._fit(self.words, self.labels)

    @cached_property
    def other_targets(self) -> Irrelevance:
        """Other targets where the input is padding."""
        other = np.where(self.words == 0, (self.labels + 1) % CLASSES, self.labels).astype(np.int32)
        return self._against("other targets behind the mask", self._fit(self.words, other))

    @cached_property
    def longer(self) -> Irrelevance:
        """More padding, with targets of its own."""
        words = np.pad(self.words, ((0, 0), (0, LONGER)))
        labels = np.pad(self.labels, ((0, 0), (0, LONGER)), constant_values=1)
        start = self._initial()
        rng, unit = np.random.default_rng(self.seed), UNIT_ROUNDOFF["float32"]
        moved = [
            self._fit(self.words, self.labels, [moved_start(each, unit, rng) for each in start]) for _ in range(MOVED_STARTS)
        ]
        return self._against("longer padding", self._fit(words, labels), moved)

    def _initial(self) -> list[Array]:
        self.trainee.restart()
        return list(self.trainee.values())

    def _against(self, name: str, run: Any, moved: Any = ()) -> Irrelevance:
        return Irrelevance(self.base, {name: run}, tuple(moved))

    @cached_property
    def masked(self) -> Masked:
        """The first loss, with all that a reference needs, and the weights before and after."""
        losses, after = self.base
        return Masked(self.words, self.labels, tuple(self._initial()), after, losses[0])
