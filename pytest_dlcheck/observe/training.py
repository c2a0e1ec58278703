"""Trains a small classifier in every way that Keras has, and records what came of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.observe.training_loops import by_hand
from pytest_dlcheck.observe.training_models import Trainee, classifier, samples
from pytest_dlcheck.observe.training_observations import Run, Scores, Scoring, Task, Training

__all__ = ["MODES", "SOURCES", "StepsObserver"]

Array = NDArray[Any]

COUNT, BATCH, EPOCHS = 20, 8, 2
"""Two full batches and a short one."""
RATE, MOMENTUM = 0.25, 0.5
SPLIT = 0.4
"""Of which 20 samples leave 12: a full batch and the short one, so that no further shape is compiled."""

SOURCES = ("tensors", "generator", "py_dataset", "tf_data", "torch_data_loader")
MODES: Mapping[str, Mapping[str, Any]] = {
    "run_eagerly": {"run_eagerly": True, "jit_compile": False},
    "jit_compile": {"jit_compile": True},
    "steps_per_execution=2": {"steps_per_execution": 2},
    "steps_per_execution=5": {"steps_per_execution": 5},
}


class StepsObserver:
    """One classifier with a batch normalization, trained by gradient descent with momentum, from one start.

    Args:
        backend: the process's backend, one that trains.
        seed: of the data and the initial weights.
    """

    def __init__(self, backend: Backend, seed: int) -> None:
        self.backend = backend
        self.seed = seed
        self.x, self.labels = samples(seed, COUNT)
        rng = np.random.default_rng(seed + 1)
        self.sample_weights = rng.choice(np.array([0, 0.5, 1, 2, 3], dtype=np.float32), COUNT)
        self.sample_weights[:2] = 0, 2
        self.class_weights = {0: 0.5, 1: 3.0}  # class 2 is left out, and counts 1

    @cached_property
    def trainee(self) -> Trainee:
        keras = self.backend.keras
        self.backend.seed(self.seed)
        with self.backend.quick():
            model = classifier(keras, normalized=True)
        model.compile(
            optimizer=keras.optimizers.SGD(RATE, momentum=MOMENTUM),
            loss=keras.losses.SparseCategoricalCrossentropy(),
            metrics=["accuracy"],
            weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="weighted_accuracy")],
        )
        return Trainee(model, self.backend)

    @cached_property
    def start(self) -> dict[str, Array]:
        """Weights unlike what an initializer gives, so that no gain of 1 and no bias of 0 hides what is left out."""
        rng = np.random.default_rng(self.seed + 2)
        made = {}
        for name, value in self.trainee.weights().items():
            drawn = 0.5 * rng.standard_normal(value.shape)
            if name.endswith(("gamma", "moving_variance")):
                drawn = rng.uniform(0.5, 1.5, value.shape)
            made[name] = drawn.astype(np.float32)
        return made

    def task(self, **changes: Any) -> Task:
        given = {"x": self.x, "labels": self.labels, "weights": None, "epochs": EPOCHS, **changes}
        return Task(start=self.start, batch_size=BATCH, rate=RATE, momentum=MOMENTUM, **given)

    def _observed(self, train: Callable[[], tuple[float, ...]], *, per_step: bool = False) -> Run:
        self.trainee.restart(self.start)
        with self.backend.alone():
            losses = train()
        return Run(losses, self.trainee.weights(), self.trainee.steps, per_step)

    def _fit(self, *data: Any, **options: Any) -> Run:
        validation: list[float] = []

        def train() -> tuple[float, ...]:
            settings = {"epochs": EPOCHS, "shuffle": False, "verbose": 0, **options}
            history = self.trainee.model.fit(*data, **settings).history
            validation.extend(map(float, history.get("val_loss", ())))
            return tuple(map(float, history["loss"]))

        run = self._observed(train)
        return Run(run.losses, run.weights, run.steps, run.per_step, tuple(validation))

    def _batches(self, epochs: int = EPOCHS) -> Iterator[tuple[Array, Array]]:
        for _ in range(epochs):
            for first in range(0, COUNT, BATCH):
                yield self.x[first : first + BATCH], self.labels[first : first + BATCH]

    # Ways of training.

    @cached_property
    def fitted(self) -> Training:
        return Training(self.task(), {"fit": self._fit(self.x, self.labels, batch_size=BATCH)})

    @cached_property
    def batch_by_batch(self) -> Training:
        def train() -> tuple[float, ...]:
            losses = []
            for x, y in self._batches():
                # What a batch's metrics add up to is for the caller to reset, as the documentation has it.
                self.trainee.model.reset_metrics()
                losses.append(self.trainee.model.train_on_batch(x, y, return_dict=True)["loss"])
            return tuple(map(float, losses))

        return Training(self.task(), {"train_on_batch": self._observed(train, per_step=True)})

    @cached_property
    def written_out(self) -> Training:
        loss = self.backend.keras.losses.SparseCategoricalCrossentropy()

        def train() -> tuple[float, ...]:
            return by_hand(self.backend, self.trainee.model, loss, list(self._batches()))

        return Training(self.task(), {"the loop by hand": self._observed(train, per_step=True)})

    @cached_property
    def resumed(self) -> Training:
        """`fit` twice, an epoch each: the second goes on where the first ended."""

        def train() -> tuple[float, ...]:
            settings = {"batch_size": BATCH, "shuffle": False, "verbose": 0}
            histories = [
                self.trainee.model.fit(self.x, self.labels, initial_epoch=epoch, epochs=epoch + 1, **settings)
                for epoch in range(EPOCHS)
            ]
            return tuple(float(history.history["loss"][0]) for history in histories)

        return Training(self.task(), {"fit, an epoch a call": self._observed(train)})

    def source(self, name: str) -> Training:
        """The samples by another way than as arrays."""
        data, options = getattr(self, f"_{name}")()
        return Training(self.task(), {f"fit from {name}": self._fit(*data, **options)})

    def _tensors(self) -> tuple[Any, dict[str, Any]]:
        return (self.backend.put(self.x), self.backend.put(self.labels)), {"batch_size": BATCH}

    def _generator(self) -> tuple[Any, dict[str, Any]]:
        return (self._batches(),), {"steps_per_epoch": self.task().steps_per_epoch}

    def _py_dataset(self) -> tuple[Any, dict[str, Any]]:
        batches = list(self._batches(1))

        class Batches(self.backend.keras.utils.PyDataset):  # type: ignore[name-defined, misc]
            def __len__(self) -> int:
                return len(batches)

            def __getitem__(self, index: int) -> tuple[Array, Array]:
                return batches[index]

        return (Batches(),), {}

    def _tf_data(self) -> tuple[Any, dict[str, Any]]:
        tf = self.backend.framework
        return (tf.data.Dataset.from_tensor_slices((self.x, self.labels)).batch(BATCH),), {}

    def _torch_data_loader(self) -> tuple[Any, dict[str, Any]]:
        data = self.backend.framework.utils.data
        samples_in_order = data.TensorDataset(self.backend.put(self.x), self.backend.put(self.labels))
        return (data.DataLoader(samples_in_order, batch_size=BATCH),), {}

    def mode(self, name: str) -> Training:
        """Compiled in another way, which must change nothing but speed."""
        with self.trainee.recompiled(**MODES[name]):
            run = self._fit(self.x, self.labels, batch_size=BATCH)
        return Training(self.task(), {f"fit, {name}": run})

    # What samples count.

    @cached_property
    def weighted(self) -> Training:
        task = self.task(weights=self.sample_weights)
        return Training(
            task,
            {"fit with sample_weight": self._fit(self.x, self.labels, sample_weight=self.sample_weights, batch_size=BATCH)},
        )

    @cached_property
    def weighted_by_class(self) -> Training:
        counts = np.array([self.class_weights.get(int(label), 1.0) for label in self.labels], dtype=np.float32)
        run = self._fit(self.x, self.labels, class_weight=self.class_weights, batch_size=BATCH)
        return Training(self.task(weights=counts), {"fit with class_weight": run})

    @cached_property
    def split(self) -> Training:
        """`validation_split` holds out the last samples, before anything is shuffled."""
        kept = COUNT - int(COUNT * SPLIT)
        run = self._fit(self.x, self.labels, validation_split=SPLIT, batch_size=BATCH)
        return Training(
            self.task(x=self.x[:kept], labels=self.labels[:kept]),
            {f"fit with validation_split={SPLIT}": run},
            (self.x[kept:], self.labels[kept:]),
        )

    # Scores.

    def _scored(self, sizes: tuple[int, ...], weights: Array | None) -> Iterator[tuple[str, Scores]]:
        for size in sizes:
            found = self.trainee.model.evaluate(
                self.x, self.labels, sample_weight=weights, batch_size=size, verbose=0, return_dict=True
            )
            yield f"evaluate(batch_size={size})", Scores({name: float(value) for name, value in found.items()})

    def evaluated(self, sizes: tuple[int, ...], *, weighted: bool = False) -> Scoring:
        """Loss and metrics in batches of several sizes."""
        self.trainee.restart(self.start)
        weights = self.sample_weights if weighted else None
        with self.backend.alone():
            return Scoring(self.start, self.x, self.labels, weights, dict(self._scored(sizes, weights)))

    def predicted(self, sizes: tuple[int, ...]) -> Scoring:
        """Outputs in batches of several sizes."""
        self.trainee.restart(self.start)
        ways = {}
        with self.backend.alone():
            for size in sizes:
                outputs = np.asarray(self.trainee.model.predict(self.x, batch_size=size, verbose=0))
                ways[f"predict(batch_size={size})"] = Scores({}, outputs)
            ways["predict_on_batch"] = Scores({}, np.asarray(self.trainee.model.predict_on_batch(self.x)))
        return Scoring(self.start, self.x, self.labels, None, ways)
