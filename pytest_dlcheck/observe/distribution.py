"""Trains a small classifier on one device and on several, and records what came of it and what lay where."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.observe.distribution_observations import ALONE, TOGETHER, Cut, Distributed, Laid, Piece, Uneven
from pytest_dlcheck.observe.layer_observation import Raised
from pytest_dlcheck.observe.life_cycle import attempt
from pytest_dlcheck.observe.training_models import FEATURES, Trainee, classifier, samples
from pytest_dlcheck.observe.training_observations import Run, Scores, Scoring, Task, Training
from pytest_dlcheck.references.training import EPSILON, MOMENTUM_OF_STATISTICS

__all__ = ["MirroredObserver", "ShardedObserver", "usable"]

Array = NDArray[Any]

COUNT, BATCH, EPOCHS = 16, 8, 2
RATE, MOMENTUM = 0.25, 0.5


def usable(found: int) -> int:
    """How many of the devices are trained on: as many as a batch and the layers can be divided by, 4 at most."""
    return 4 if found >= 4 else 2


class _Observer:
    """The samples, the start and the run on one device that several are compared with.

    Args:
        backend: the process's backend.
        seed: of the data and the initial weights.
        devices: how many to train on, as `usable` has it.
        kind: of device.
    """

    def __init__(self, backend: Backend, seed: int, devices: int, kind: str = "cpu") -> None:
        self.backend = backend
        self.seed = seed
        self.count = devices
        self.kind = kind
        self.x, self.labels = samples(seed, COUNT)

    def _compiled(self, model: Any) -> Trainee:
        keras = self.backend.keras
        model.compile(
            optimizer=keras.optimizers.SGD(RATE, momentum=MOMENTUM), loss=keras.losses.SparseCategoricalCrossentropy()
        )
        return Trainee(model, self.backend)

    def _task(self, trainee: Trainee, count: int = COUNT) -> Task:
        """From weights unlike what an initializer gives: no gain of 1 and no bias of 0 hides what is left out."""
        rng = np.random.default_rng(self.seed + 2)
        start = {}
        for name, value in trainee.weights().items():
            drawn = 0.5 * rng.standard_normal(value.shape)
            if name.endswith(("gamma", "moving_variance")):
                drawn = rng.uniform(0.5, 1.5, value.shape)
            start[name] = drawn.astype(np.float32)
        x, labels = (self.x, self.labels) if count == COUNT else samples(self.seed, count)
        return Task(start, x, labels, None, BATCH, EPOCHS, RATE, MOMENTUM)

    def _fit(self, trainee: Trainee, task: Task) -> Run:
        trainee.restart(task.start)
        history = trainee.model.fit(
            task.x, task.labels, batch_size=task.batch_size, epochs=task.epochs, shuffle=False, verbose=0
        ).history
        return Run(tuple(map(float, history["loss"])), trainee.weights(), trainee.steps)

    def _scores(self, trainee: Trainee, task: Task) -> Scores:
        trainee.restart(task.start)
        model = trainee.model
        loss = model.evaluate(task.x, task.labels, batch_size=task.batch_size, verbose=0)
        return Scores({"loss": float(np.ravel(loss)[0])}, np.asarray(model.predict(task.x, batch_size=BATCH, verbose=0)))

    def _uneven(self, count: int, make: Callable[[], Trainee], alone: Trainee) -> Uneven:
        """`fit`, `evaluate` and `predict` of so many samples on one device, and on several inside what `make` is called in."""
        task = self._task(alone, count)
        trained, scored = {ALONE: self._fit(alone, task)}, {ALONE: self._scores(alone, task)}
        together = make()
        found = attempt("scoring on several devices", lambda: self._scores(together, task))
        scoring: Scoring | Raised = found if isinstance(found, Raised) else self._scoring(task, scored | {TOGETHER: found})
        run = attempt("training on several devices", lambda: self._fit(together, task))
        training: Training | Raised = run if isinstance(run, Raised) else Training(task, trained | {TOGETHER: run})
        return Uneven(count, training, scoring)

    def _scoring(self, task: Task, ways: Mapping[str, Scores]) -> Scoring:
        return Scoring(task.start, task.x, task.labels, None, ways)

    def _variables(self, trainee: Trainee, *, optimizer: bool, lay: Callable[[Any], Laid]) -> dict[str, Laid]:
        laid = {name: lay(trainee.variable(name)) for name in trainee.weights()}
        if optimizer:
            # The learning rate and the count of steps too: a replica that had others would go its own way.
            laid |= {f"optimizer: {variable.path}": lay(variable) for variable in trainee.model.optimizer.variables}
        return laid


class MirroredObserver(_Observer):
    """`tf.distribute.MirroredStrategy`. One observer for a process: the collective operations of two strategies collide."""

    @cached_property
    def strategy(self) -> Any:
        names = [f"/{self.kind.upper()}:{index}" for index in range(self.count)]
        return self.backend.framework.distribute.MirroredStrategy(names)

    def _witness(self, seen: list[tuple[int, Array]]) -> Any:
        """A layer that writes down, for each step, which replica is given which samples, and changes nothing."""
        tf = self.backend.framework

        def note(replica: Any, rows: Any) -> Any:
            seen.append((int(replica), np.array(rows)))
            return np.int32(0)

        class Witness(self.backend.keras.layers.Layer):  # type: ignore[name-defined, misc]
            def call(self, inputs: Any) -> Any:
                context = tf.distribute.get_replica_context()
                if context is not None and hasattr(inputs, "device"):  # a tensor, no symbol of Keras
                    replica = tf.convert_to_tensor(context.replica_id_in_sync_group)
                    tf.numpy_function(note, [replica, inputs], tf.int32)
                return inputs

            def compute_output_shape(self, input_shape: Any) -> Any:
                return input_shape

        return Witness(name="witness")

    def _model(self, normalized: str, seen: list[tuple[int, Array]] | None) -> Any:
        keras = self.backend.keras
        layers = list(classifier(keras, normalized=normalized != "none").layers)
        if normalized == "synchronized":
            layers[1] = keras.layers.BatchNormalization(
                momentum=MOMENTUM_OF_STATISTICS, epsilon=EPSILON, synchronized=True, name="norm"
            )
        witness = [] if seen is None else [self._witness(seen)]
        return keras.Sequential([keras.Input((FEATURES,)), *witness, *layers])

    def _lay(self, variable: Any) -> Laid:
        components = self.strategy.experimental_local_results(variable.value)
        pieces = tuple(Piece(str(component.device), np.array(component.numpy())) for component in components)
        return Laid(self.backend.to_numpy(variable), pieces)

    def _batches(self, task: Task, seen: Sequence[tuple[int, Array]]) -> tuple[Laid, ...]:
        """Each replica's k-th batch is of the k-th step: none begins one before all have ended the last."""
        by_replica = {index: [rows for replica, rows in seen if replica == index] for index in range(self.count)}
        steps = max(map(len, by_replica.values()))
        order = [slice(first, first + BATCH) for first in range(0, len(task.x), BATCH)] * task.epochs
        return tuple(
            Laid(
                task.x[order[step]] if step < len(order) else task.x[:0],
                tuple(Piece(f"replica {index}", rows[step]) for index, rows in by_replica.items() if step < len(rows)),
            )
            for step in range(steps)
        )

    def observed(self, normalized: str) -> Distributed:
        """`fit` without a strategy and within one.

        Args:
            normalized: `none`, `synchronized`, or `by_replica` for a batch normalization that is not.
        """
        self.backend.seed(self.seed)
        alone = self._compiled(self._model(normalized, None))
        task = self._task(alone)
        runs = {ALONE: self._fit(alone, task)}
        seen: list[tuple[int, Array]] = []
        with self.strategy.scope():
            together = self._compiled(self._model(normalized, seen))
        before = self._variables(together, optimizer=True, lay=self._lay)
        runs[TOGETHER] = self._fit(together, task)
        devices = tuple(str(name) for name in self.strategy.extended.worker_devices)
        return Distributed(
            devices=devices,
            replicas=int(self.strategy.num_replicas_in_sync),
            training=Training(task, runs),
            batches=self._batches(task, seen),
            batch_cut=Cut(0, self.count),
            variables=self._variables(together, optimizer=True, lay=self._lay),
            before=before,
        )

    def uneven(self, count: int) -> Uneven:
        """So many samples, of which the last batch is short."""
        self.backend.seed(self.seed)
        alone = self._compiled(self._model("none", None))

        def together() -> Trainee:
            with self.strategy.scope():
                return self._compiled(self._model("none", None))

        return self._uneven(count, together, alone)


class ShardedObserver(_Observer):
    """`keras.distribution` on JAX."""

    @property
    def names(self) -> list[str]:
        """The devices, as `keras.distribution` calls them."""
        return list(self.backend.keras.distribution.list_devices(self.kind))[: self.count]

    @contextlib.contextmanager
    def _set(self, distribution: Any) -> Iterator[None]:
        """Keras has one distribution for the process, and what comes after must not be in it."""
        of_keras = self.backend.keras.distribution
        before = of_keras.distribution()
        of_keras.set_distribution(distribution)
        try:
            yield
        finally:
            of_keras.set_distribution(before)

    def _lay(self, value: Any) -> Laid:
        tensor = self.backend.tensor(value)
        shards = sorted(tensor.addressable_shards, key=lambda shard: int(shard.device.id))
        pieces = tuple(
            Piece(str(shard.device), np.array(shard.data), tuple(part.start or 0 for part in shard.index)) for shard in shards
        )
        return Laid(np.array(tensor), pieces)

    def _watched(self, trainee: Trainee, seen: list[Laid]) -> None:
        """From now on what each step is given is written down."""
        step = trainee.model.train_function

        def noted(data: Iterable[Any]) -> Iterator[Any]:
            for batch in data:  # only when it is asked for: the next epoch's may be behind it
                seen.append(self._lay(batch[0]))
                yield batch

        def train(state: Any, data: Any) -> Any:
            return step(state, list(noted(data)) if isinstance(data, list) else noted(data))

        trainee.model.train_function = train

    def _fit_watched(self, trainee: Trainee, task: Task, seen: list[Laid]) -> Run:
        # Makes the training function, which is then there to be watched. Not `train_on_batch`, which Keras 3.6 cannot do in a
        # distribution.
        trainee.model.fit(task.x[:BATCH], task.labels[:BATCH], batch_size=BATCH, verbose=0)
        self._watched(trainee, seen)
        return self._fit(trainee, task)

    def _observed(self, distribution: Any, normalized: bool, cuts: Mapping[str, Cut], batch_parts: int) -> Distributed:
        self.backend.seed(self.seed)
        with self.backend.alone():
            alone = self._compiled(classifier(self.backend.keras, normalized=normalized))
            task = self._task(alone)
            runs = {ALONE: self._fit(alone, task)}
            seen: list[Laid] = []
            with self._set(distribution):
                together = self._compiled(classifier(self.backend.keras, normalized=normalized))
                before = self._variables(together, optimizer=not cuts, lay=self._lay)
                runs[TOGETHER] = self._fit_watched(together, task, seen)
                variables = self._variables(together, optimizer=not cuts, lay=self._lay)
        devices = tuple(str(device) for device in self.backend.framework.devices(self.kind)[: self.count])
        batch_cut = Cut(0, batch_parts)
        replicas = int(distribution.device_mesh.shape[0])
        return Distributed(devices, replicas, Training(task, runs), tuple(seen), batch_cut, variables, before, cuts)

    def uneven(self, count: int) -> Uneven:
        """So many samples, of which the last batch is short, with `DataParallel`."""
        self.backend.seed(self.seed)
        with self.backend.alone(), contextlib.ExitStack() as stack:
            alone = self._compiled(classifier(self.backend.keras, normalized=False))

            def together() -> Trainee:
                stack.enter_context(self._set(self.backend.keras.distribution.DataParallel(devices=self.names)))
                return self._compiled(classifier(self.backend.keras, normalized=False))

            return self._uneven(count, together, alone)

    def data_parallel(self) -> Distributed:
        """Every device has all weights, and its part of each batch. The batch normalization is over the whole batch."""
        return self._observed(self.backend.keras.distribution.DataParallel(devices=self.names), True, {}, self.count)

    def model_parallel(self) -> Distributed:
        """The hidden layer's weights are cut along its units, the other kernel along its inputs: with four devices in two, and
        the batch in two as well; with two devices every one has the whole batch."""
        of_keras = self.backend.keras.distribution
        rows = self.count // 2 if self.count > 2 else 1
        mesh = of_keras.DeviceMesh((rows, self.count // rows), ["batch", "model"], self.names)
        layouts = of_keras.LayoutMap(mesh)
        # Both `layer/kernel`, as a weight's path has it, and `layer_kernel`, as its momentum's has it.
        layouts[".*hidden.kernel.*"] = (None, "model")
        layouts[".*hidden.bias.*"] = ("model",)
        layouts[".*out.kernel.*"] = ("model", None)
        given = {"layout_map": layouts, "batch_dim_name": "batch"}
        if "device_mesh" in inspect.signature(of_keras.ModelParallel.__init__).parameters:  # Keras 3.0 to 3.4
            given["device_mesh"] = mesh
        parts = self.count // rows
        cuts = {"hidden.kernel": Cut(1, parts), "hidden.bias": Cut(0, parts), "out.kernel": Cut(0, parts)}
        return self._observed(of_keras.ModelParallel(**given), False, cuts, rows)
