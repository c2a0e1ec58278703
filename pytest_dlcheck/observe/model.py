"""Runs a documented model in this process and records what happens, a part at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.models import build
from pytest_dlcheck.models.data import Dataset, load
from pytest_dlcheck.models.spec import ModelSpec
from pytest_dlcheck.observe.observations import (
    Forward,
    Functional,
    Gradients,
    Loop,
    Placement,
    Repeat,
    Saved,
    Scoring,
    Structure,
    Training,
)
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, moved_start

__all__ = ["ModelObserver"]

Array = NDArray[Any]

# One sample at a time, and a size that leaves a short last batch (of one: every further shape is compiled anew).
SCORED_SAMPLES = 25
SCORED_BATCHES = (1, 8)
# A forward pass over them follows every epoch; the level is then read off all that is held out.
VALIDATED_SAMPLES = 128
PROBED_SAMPLES = 16
LOOP_STEPS = 3
MOVED_STARTS = 3


class ModelObserver:
    """One documented model on one backend, through one API. Each part runs when it is first read, and once.

    Args:
        spec: the model.
        backend: the process's backend.
        device: the device whose scope the process is in, as `cpu:0`.
        api: `keras`, or `tf.keras` for TensorFlow's own name for it.
        seed: of the data's split, the initial weights and the order of the batches.
        epochs: how long to train; by default as documented.
    """

    def __init__(
        self, spec: ModelSpec, backend: Backend, *, device: str, api: str, seed: int, epochs: int | None = None
    ) -> None:
        self.spec = spec
        self.backend = backend
        self.device = device
        self.api = api
        self.seed = seed
        self.epochs = spec.epochs if epochs is None else epochs

    @cached_property
    def keras(self) -> Any:
        """The namespace to build with."""
        self.backend.load()
        return build.load_keras_namespace(self.api)

    @cached_property
    def data(self) -> Dataset:
        return load(self.spec, self.seed)

    def _fresh(self, seed: int | None = None) -> Any:
        """The documented model, compiled, with the initial weights that the seed gives."""
        self.backend.load()
        self.backend.seed(self.seed if seed is None else seed)
        # Only what draws the weights is compiled here; what the model computes is optimized as it is for users.
        with self.backend.quick():
            model, _ = build.documented(self.spec, self.keras)
        build.compile_model(model, self.spec)
        return model

    def _weights(self, model: Any) -> tuple[Array, ...]:
        return tuple(self.backend.to_numpy(weight) for weight in model.weights)

    def _call(self, model: Any, x: Array) -> Any:
        # The tutorial's line gives x as (n,); `fit` and `predict` add the axis, a call does not.
        return model(self.backend.put(x.reshape(len(x), *self.spec.input_shape)), training=False)

    def _fit(self, model: Any, x: Array, y: Array, **options: Any) -> Any:
        settings = {"batch_size": self.spec.batch_size, "epochs": 1, "verbose": 0, **options}
        return model.fit(x, y, **settings)

    @cached_property
    def _initial(self) -> Any:
        """A model that nothing trains."""
        return self._fresh()

    @cached_property
    def structure(self) -> Structure:
        model = self._initial
        return Structure(
            int(model.count_params()),
            tuple(int(np.prod(weight.shape)) for weight in model.trainable_weights),
            tuple(model.output_shape),
        )

    @cached_property
    def placement(self) -> Placement:
        outputs = self._call(self._initial, self.data.x_test[:PROBED_SAMPLES])
        weights = tuple(self.backend.places(weight) for weight in self._initial.weights)
        return Placement(weights, self.backend.places(outputs))

    @cached_property
    def forward(self) -> Forward:
        x = self.data.x_test[:PROBED_SAMPLES]
        model = self._initial
        return Forward(x, self._weights(model), self.backend.to_numpy(self._call(model, x)))

    def _batch(self, number: int) -> tuple[Array, Array]:
        size = self.spec.batch_size
        chosen = slice(number * size, (number + 1) * size)
        return self.data.x_train[chosen], self.data.y_train[chosen]

    def _begin(self, model: Any) -> tuple[list[float], tuple[Array, ...]]:
        """The first steps of training: `fit` of one batch at a time, as a loop would go, then one shuffled epoch of them.

        Gives the loss of each, and the trainable weights after the very first step.
        """
        losses = [self._fit_loss(model, *self._batch(0), shuffle=False)]
        after = tuple(self.backend.to_numpy(weight) for weight in model.trainable_weights)
        losses += [self._fit_loss(model, *self._batch(number), shuffle=False) for number in range(1, LOOP_STEPS)]
        count = LOOP_STEPS * self.spec.batch_size
        # Shuffled, as `fit` does unless told otherwise: the order of the batches is part of what a seed fixes.
        losses.append(self._fit_loss(model, self.data.x_train[:count], self.data.y_train[:count]))
        return losses, after

    def _fit_loss(self, model: Any, x: Array, y: Array, **options: Any) -> float:
        return float(self._fit(model, x, y, **options).history["loss"][0])

    @cached_property
    def _started(self) -> tuple[Any, Gradients, list[float]]:
        """A model after its first steps, the gradients before the first one, and the losses."""
        model = self._fresh()
        x, y = self._batch(0)
        gradients = self.backend.gradients(
            model,
            self.spec.loss,
            x.reshape(len(x), *self.spec.input_shape),
            y[:, np.newaxis] if self.spec.targets == "real" else y,
        )
        names = tuple(getattr(weight, "path", weight.name) for weight in model.trainable_weights)
        before = tuple(self.backend.to_numpy(weight) for weight in model.trainable_weights)
        losses, after = self._begin(model)
        return model, Gradients(names, tuple(gradients), before, after), losses

    @cached_property
    def gradients(self) -> Gradients:
        return self._started[1]

    @cached_property
    def loop(self) -> Loop:
        from pytest_dlcheck.benchmark.loops import written_out

        weights = self.gradients.before
        loop = written_out(self.backend.name, self.spec, weights)
        batches = [loop.prepare(*self._batch(number)) for number in range(LOOP_STEPS)]

        def losses(start: Sequence[Array]) -> tuple[float, ...]:
            loop.restart(start)
            return tuple(float(loop.step(*batch)) for batch in batches)

        rng, unit = np.random.default_rng(self.seed), UNIT_ROUNDOFF["float32"]
        elsewhere = [losses([moved_start(weight, unit, rng) for weight in weights]) for _ in range(MOVED_STARTS)]
        return Loop(tuple(self._started[2][:LOOP_STEPS]), losses(weights), np.asarray(elsewhere))

    @cached_property
    def repeat(self) -> Repeat:
        first_model, _, first = self._started
        first_weights = self._weights(first_model)
        second, second_weights = self._begun_again[1:]
        other_initial = self._weights(self._fresh(self.seed + 1))
        return Repeat(tuple(first), tuple(second), first_weights, second_weights, self._weights(self._initial), other_initial)

    @cached_property
    def _begun_again(self) -> tuple[Any, list[float], tuple[Array, ...]]:
        """A second model's first steps: their losses, the weights after them, and the model, put back to where it began.

        Put back and not built once more, since each model compiles its training step anew.
        """
        model = self._fresh()
        model.optimizer.build(model.trainable_variables)
        variables = [*model.weights, *self._optimizer_variables(model)]
        before = [self.backend.to_numpy(variable) for variable in variables]
        losses, _ = self._begin(model)
        weights = self._weights(model)
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        return model, losses, weights

    @cached_property
    def _trained(self) -> tuple[Any, Training]:
        """The documented training run, and what became of its model."""
        model, data = self._begun_again[0], self.data
        held_out = data.x_test[:VALIDATED_SAMPLES], data.y_test[:VALIDATED_SAMPLES]
        options = {"validation_data": held_out} if self.spec.validated else {}
        untrained = self._predict_held_out(model) if self.spec.level.of_start else None
        history = self._fit(model, data.x_train, data.y_train, epochs=self.epochs, **options).history
        return model, Training(
            tuple(float(loss) for loss in history["loss"]),
            -(-len(data.x_train) // self.spec.batch_size),
            self._predict_held_out(model),
            data.y_test,
            untrained,
        )

    def _predict_held_out(self, model: Any) -> Array:
        return np.asarray(model.predict(self.data.x_test, batch_size=SCORED_BATCHES[-1], verbose=0))

    @cached_property
    def training(self) -> Training:
        return self._trained[1]

    @cached_property
    def scoring(self) -> Scoring:
        model, _ = self._trained
        x, y = self.data.x_test[:SCORED_SAMPLES], self.data.y_test[:SCORED_SAMPLES]
        return Scoring(
            x,
            y,
            self._weights(model),
            {size: self._evaluate(model, x, y, size) for size in SCORED_BATCHES},
            {size: np.asarray(model.predict(x, batch_size=size, verbose=0)) for size in SCORED_BATCHES},
        )

    def _evaluate(self, model: Any, x: Array, y: Array, batch_size: int) -> dict[str, float]:
        scores = model.evaluate(x, y, batch_size=batch_size, verbose=0, return_dict=True)
        return {name: float(value) for name, value in scores.items()}

    @cached_property
    def saved(self) -> Saved:
        model, _, _ = self._started
        _ = self.repeat  # which needs the model's weights as they are before the step below
        x = self.data.x_test[:PROBED_SAMPLES]
        weights, optimizer = self._weights(model), self._optimizer(model)
        outputs = self.backend.to_numpy(self._call(model, x))
        with tempfile.TemporaryDirectory(prefix="dlcheck-") as folder:
            path = Path(folder) / "model.keras"
            with self.backend.alone():
                model.save(path)
                loaded = self.keras.models.load_model(path)
        loaded_weights, loaded_optimizer = self._weights(loaded), self._optimizer(loaded)
        loaded_outputs = self.backend.to_numpy(self._call(loaded, x))
        for each in (model, loaded):
            self._fit(each, *self._batch(0), shuffle=False)
        return Saved(
            x,
            outputs,
            loaded_outputs,
            weights,
            loaded_weights,
            optimizer,
            loaded_optimizer,
            self._weights(model),
            self._weights(loaded),
        )

    def _optimizer_variables(self, model: Any) -> list[Any]:
        variables = model.optimizer.variables
        # A property in Keras 3, a method in Keras 2.
        return list(variables() if callable(variables) else variables)

    def _optimizer(self, model: Any) -> tuple[Array, ...]:
        return tuple(self.backend.to_numpy(variable) for variable in self._optimizer_variables(model))

    @cached_property
    def functional(self) -> Functional:
        sequential = self._initial
        functional = build.functional(self.spec, self.keras)
        functional.set_weights(sequential.get_weights())
        x = self.data.x_test[:PROBED_SAMPLES]
        return Functional(
            x,
            self._weights(sequential),
            self.backend.to_numpy(self._call(sequential, x)),
            self.backend.to_numpy(self._call(functional, x)),
            int(sequential.count_params()),
            int(functional.count_params()),
        )
