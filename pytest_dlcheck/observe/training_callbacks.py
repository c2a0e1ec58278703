"""Trains a small classifier under Keras's callbacks, one step an epoch, and records what they did."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.observe.training_models import Trainee, classifier, samples
from pytest_dlcheck.observe.training_observations import Task
from pytest_dlcheck.observe.training_watched import (
    Averaged,
    Backup,
    BrokenTwice,
    Checkpoints,
    Continued,
    Ended,
    Planned,
    Scheduled,
    Watched,
)

__all__ = ["CallbackObserver"]

Array = NDArray[Any]

COUNT, RATE = 8, 0.25
EPOCHS, BROKEN_OFF = 4, 2
SAVE_EVERY = 3
PARTS = 4  # batches of an epoch that is broken off in its middle
BATCHES, BAD = 4, 2
EMA_MOMENTUM = 0.75


class _BrokenOff(Exception):
    """Ends a run in its middle."""


class CallbackObserver:
    """A classifier without batch normalization, trained by gradient descent under one callback after the other.

    Args:
        backend: one that trains.
        seed: of the data and the initial weights.
    """

    def __init__(self, backend: Backend, seed: int) -> None:
        self.backend = backend
        self.seed = seed
        self.x, self.labels = samples(seed, COUNT)

    def _build(self, **options: Any) -> Trainee:
        keras = self.backend.keras
        self.backend.seed(self.seed)
        with self.backend.quick():
            model = classifier(keras, normalized=False)
        model.compile(
            optimizer=keras.optimizers.SGD(RATE, **options),
            loss=keras.losses.SparseCategoricalCrossentropy(),
            metrics=["accuracy"],
        )
        return Trainee(model, self.backend)

    @cached_property
    def trainee(self) -> Trainee:
        return self._build()

    def _callback(self, name: str, **arguments: Any) -> Any:
        return getattr(self.backend.keras.callbacks, name)(**arguments)

    def _lambda(self, **hooks: Callable[..., Any]) -> Any:
        """A callback made of functions; they are called without the callback itself."""
        callback = self.backend.keras.callbacks.Callback()
        for name, hook in hooks.items():
            setattr(callback, name, hook)
        return callback

    def _fit(self, callbacks: list[Any], trainee: Trainee | None = None, **options: Any) -> Any:
        settings = {"batch_size": COUNT, "epochs": EPOCHS, "shuffle": False, "verbose": 0, **options}
        x, labels = settings.pop("x", self.x), settings.pop("labels", self.labels)
        with self.backend.alone():
            return (trainee or self.trainee).model.fit(x, labels, callbacks=callbacks, **settings)

    def _rate(self) -> float:
        return float(self.backend.to_numpy(self.trainee.model.optimizer.learning_rate))

    # Callbacks that watch a quantity.

    def watched(self, name: str, plan: Planned, *, checkpoint: bool = False) -> Watched:
        """A run under a callback that watches a quantity, whose values are put in place of what training gives."""
        self.trainee.restart()
        after: list[dict[str, Array]] = []
        rates: list[float] = []

        def give(epoch: int, logs: Any = None) -> None:
            logs[plan.arguments["monitor"]] = plan.values[epoch]
            after.append(self.trainee.weights())

        with tempfile.TemporaryDirectory(prefix="dlcheck-") as folder:
            more = {"filepath": str(Path(folder) / "{epoch:02d}.weights.h5")} if checkpoint else {}
            first_rate = self._rate()
            self._fit(
                [
                    self._lambda(on_epoch_end=give),
                    self._callback(name, **plan.arguments, **more),
                    self._lambda(on_epoch_end=lambda epoch, logs=None: rates.append(self._rate())),
                ],
                epochs=len(plan.values),
            )
            final = self.trainee.weights()
            kept = {int(file.name[:2]): self._loaded(file) for file in sorted(Path(folder).iterdir())}
        return Watched(plan, tuple(after), final, tuple(rates), first_rate, kept)

    def _loaded(self, file: Path) -> Mapping[str, Array]:
        with self.backend.alone():
            self.trainee.model.load_weights(file)
        return self.trainee.weights()

    # Others.

    def _task(self, **changes: Any) -> Task:
        self.trainee.restart()
        given = {"batch_size": COUNT, "epochs": EPOCHS, "rate": RATE, **changes}
        return Task(self.trainee.weights(), self.x, self.labels, None, **given)

    @cached_property
    def scheduled(self) -> Scheduled:
        """A rate that depends on the epoch and on the rate before it."""
        rates, given = [], []

        def schedule(epoch: int, rate: float) -> float:
            given.append(float(rate))
            rates.append(float(np.float32(0.5 * rate + 0.125 * epoch)))
            return rates[-1]

        task = self._task()
        history = self._fit([self._callback("LearningRateScheduler", schedule=schedule)]).history
        final = self.trainee.weights()
        task = self._task(rate=tuple(rates))
        return Scheduled(task, tuple(given), tuple(map(float, history["learning_rate"])), final)

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """Files every so many batches, across the ends of epochs."""
        size = COUNT // BATCHES
        task = self._task(batch_size=size, epochs=2)
        with tempfile.TemporaryDirectory(prefix="dlcheck-") as folder:
            path = str(Path(folder) / "{epoch:02d}-{batch:02d}.weights.h5")
            saver = self._callback("ModelCheckpoint", filepath=path, save_freq=SAVE_EVERY, save_weights_only=True)
            self._fit([saver], batch_size=size, epochs=2)
            files = {self._step_of(file): self._loaded(file) for file in sorted(Path(folder).iterdir())}
        return Checkpoints(task, SAVE_EVERY, files)

    def _step_of(self, file: Path) -> int:
        epoch, batch = (int(part) for part in file.name.split(".", maxsplit=1)[0].split("-"))
        return (epoch - 1) * BATCHES + batch

    @cached_property
    def ended(self) -> Ended:
        """One batch of several has a loss that is not a number."""
        self.trainee.restart()
        x = self.x.copy()
        size = COUNT // BATCHES
        x[BAD * size] = np.nan
        batches: list[list[int]] = []
        hooks: list[str] = []

        def noting(name: str) -> Callable[..., None]:
            def note(*numbers: int, logs: Any = None) -> None:  # noqa: ARG001 - Keras hands it over by name
                hooks.append(name)
                if name == "on_epoch_begin":
                    batches.append([])
                elif name == "on_train_batch_end":
                    batches[-1].append(int(numbers[0]))

            return note

        names = (
            "on_train_begin",
            "on_epoch_begin",
            "on_train_batch_begin",
            "on_train_batch_end",
            "on_epoch_end",
            "on_train_end",
        )
        watching = self._lambda(**{name: noting(name) for name in names})
        self._fit([watching, self._callback("TerminateOnNaN")], x=x, batch_size=size)
        return Ended(BAD, tuple(map(tuple, batches)), tuple(hooks))

    @cached_property
    def backup(self) -> Backup:
        """A run with a backup ends in an error; the next one starts from other weights, and takes it up."""
        # A model of its own: what was restored once leaves out epochs of a later `fit`.
        trainee = self._build()
        self._fit([], trainee)
        whole = trainee.weights()
        resumed: list[int] = []

        def stop(epoch: int, logs: Any = None) -> None:  # noqa: ARG001 - Keras hands both over by name
            if epoch == BROKEN_OFF:
                raise _BrokenOff

        with tempfile.TemporaryDirectory(prefix="dlcheck-") as folder:
            kept = Path(folder) / "backup"
            trainee.restart()
            with contextlib.suppress(_BrokenOff):
                backup = self._callback("BackupAndRestore", backup_dir=str(kept))
                self._fit([backup, self._lambda(on_epoch_begin=stop)], trainee)
            trainee.restart({name: np.ones_like(value) for name, value in whole.items()})
            watching = self._lambda(on_epoch_begin=lambda epoch, logs=None: resumed.append(int(epoch)))
            self._fit([self._callback("BackupAndRestore", backup_dir=str(kept)), watching], trainee)
            left = kept.exists()
        return Backup(BROKEN_OFF, EPOCHS, tuple(resumed), whole, trainee.weights(), left)

    def broken_twice(self, save_freq: str | int, stops: tuple[int, ...]) -> BrokenTwice:
        """Each run ends in an error after so many batches of the whole; the next one starts from other weights, with a backup.

        Args:
            save_freq: as the callback takes it.
            stops: after how many steps, as the optimizer counts them, the runs are broken off.
        """
        trainee, size = self._build(), COUNT // PARTS
        self._fit([], trainee, batch_size=size)
        whole, batches = trainee.weights(), trainee.steps
        others = {name: np.ones_like(value) for name, value in whole.items()}
        begun: list[int] = []
        with tempfile.TemporaryDirectory(prefix="dlcheck-") as folder:
            for number, stop in enumerate((*stops, None)):
                epochs: list[int] = []

                def broken(batch: int, logs: Any = None, stop: int | None = stop) -> None:  # noqa: ARG001 - Keras gives both
                    # Within an epoch JAX keeps the variables' values elsewhere, until they are asked for.
                    getattr(trainee.model, "jax_state_sync", lambda: None)()
                    if trainee.steps == stop:
                        raise _BrokenOff

                def note(epoch: int, logs: Any = None, epochs: list[int] = epochs) -> None:  # noqa: ARG001
                    epochs.append(int(epoch))

                trainee.restart(others if number else None)
                # What breaks a run off comes after the backup of the same batch.
                backup = self._callback("BackupAndRestore", backup_dir=str(Path(folder) / "backup"), save_freq=save_freq)
                with contextlib.suppress(_BrokenOff):
                    self._fit([backup, self._lambda(on_epoch_begin=note, on_train_batch_end=broken)], trainee, batch_size=size)
                begun.append(epochs[0])
        return BrokenTwice(save_freq, stops, tuple(begun), batches, trainee.steps, whole, trainee.weights())

    @cached_property
    def fitted_again(self) -> tuple[tuple[int, ...], int]:
        """The epochs that a `fit` makes of a model whose last one was restored from a backup; and how many it was asked for."""
        trainee, epochs = self._build(), list[int]()

        def stop(epoch: int, logs: Any = None) -> None:  # noqa: ARG001 - Keras hands both over by name
            if epoch == BROKEN_OFF:
                raise _BrokenOff

        with tempfile.TemporaryDirectory(prefix="dlcheck-") as folder:
            for callbacks in ([self._lambda(on_epoch_begin=stop)], []):
                backup = self._callback("BackupAndRestore", backup_dir=str(Path(folder) / "backup"))
                with contextlib.suppress(_BrokenOff):
                    self._fit([backup, *callbacks], trainee)
        self._fit([self._lambda(on_epoch_begin=lambda epoch, logs=None: epochs.append(int(epoch)))], trainee)
        return tuple(epochs), EPOCHS

    @cached_property
    def _averaging(self) -> Trainee:
        return self._build(use_ema=True, ema_momentum=EMA_MOMENTUM)

    @cached_property
    def averaged(self) -> Averaged:
        """Weights that are swapped for their moving averages while the model is scored."""
        trainee = self._averaging
        trainee.restart()
        start = trainee.weights()
        x, labels = samples(self.seed + 1, COUNT)
        options = {"validation_data": (x, labels), "validation_batch_size": COUNT}
        history = self._fit([self._callback("SwapEMAWeights")], trainee, **options).history
        final = trainee.weights()
        # `fit` ends with the averages; other weights than these are what a prediction must leave as they are.
        for name, value in start.items():
            trainee.variable(name).assign(value)
        with self.backend.alone():
            swap = self._callback("SwapEMAWeights")
            trainee.model.predict(self.x, batch_size=COUNT, verbose=0, callbacks=[swap])
        return Averaged(
            Task(start, self.x, self.labels, None, COUNT, EPOCHS, RATE),
            EMA_MOMENTUM,
            (x, labels),
            tuple(map(float, history["val_loss"])),
            final,
            start,
            trainee.weights(),
        )

    @cached_property
    def continued(self) -> Continued:
        """A second `fit` of a model whose optimizer keeps averages."""
        trainee = self._averaging
        trainee.restart()
        self._fit([], trainee, epochs=1)
        try:
            self._fit([], trainee, epochs=1)
        except Exception as error:  # noqa: BLE001 - whatever it raises is what was observed
            return Continued(f"{type(error).__name__}: {error}".splitlines()[0], 0)
        return Continued(None, trainee.steps)
