"""Gradients that are accumulated, and losses that are scaled: what an optimizer does between a gradient and an update."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.observe.training_models import Trainee, classifier, samples
from pytest_dlcheck.observe.training_observations import Accumulated, Run, Scaled, ScaledStep, Task, Training

__all__ = ["AccumulationObserver", "ScalingObserver"]

Array = NDArray[Any]

COUNT, MICRO, ACCUMULATION = 16, 4, 2
RATE, MOMENTUM = 0.25, 0.5
SCALE, GROWTH = 2.0**10, 3
"""A scale that keeps every gradient finite and normal in float16, and after how many finite steps it is doubled."""
OVERFLOW = 2.0**90


class AccumulationObserver:
    """A classifier without batch normalization, whose optimizer adds up the gradients of several small batches.

    Args:
        backend: one that trains.
        seed: of the data and the initial weights.
    """

    def __init__(self, backend: Backend, seed: int) -> None:
        self.backend = backend
        self.seed = seed

    @property
    def missing(self) -> str | None:
        """Why it cannot be observed, if it cannot."""
        try:
            self.backend.keras.optimizers.SGD(gradient_accumulation_steps=2)
        except (TypeError, ValueError):
            return f"optimizers of Keras {self.backend.keras.__version__} have no gradient_accumulation_steps"
        return None

    @cached_property
    def observed(self) -> Accumulated:
        """Two epochs of small batches, with the weights after each step."""
        keras = self.backend.keras
        x, labels = samples(self.seed, COUNT)
        self.backend.seed(self.seed)
        with self.backend.quick():
            model = classifier(keras, normalized=False)
        model.compile(
            optimizer=keras.optimizers.SGD(RATE, momentum=MOMENTUM, gradient_accumulation_steps=ACCUMULATION),
            loss=keras.losses.SparseCategoricalCrossentropy(),
        )
        trainee = Trainee(model, self.backend)
        start, after = trainee.weights(), []
        with self.backend.alone():
            for first in [*range(0, COUNT, MICRO)] * 2:
                model.train_on_batch(x[first : first + MICRO], labels[first : first + MICRO])
                after.append(trainee.weights())
        small = Task(start, x, labels, None, MICRO, 2, RATE, MOMENTUM, accumulation=ACCUMULATION)
        big = replace(small, batch_size=MICRO * ACCUMULATION, accumulation=1)
        run = Run((), after[-1], trainee.steps)
        return Accumulated(
            Training(small, {"small batches": run}),
            Training(big, {"small batches as one": run}),
            tuple(after),
        )


class ScalingObserver:
    """A classifier under `mixed_float16`, whose loss is scaled.

    Args:
        backend: one that trains.
        seed: of the data and the initial weights.
    """

    def __init__(self, backend: Backend, seed: int) -> None:
        self.backend = backend
        self.seed = seed

    @cached_property
    def observed(self) -> Scaled:
        """Finite steps, one that overflows, and finite steps until the scale grows."""
        keras = self.backend.keras
        x, labels = samples(self.seed, COUNT // 2)
        self.backend.seed(self.seed)
        with self.backend.quick():
            model = classifier(keras, normalized=False, dtype="mixed_float16")
        optimizer = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(RATE), initial_scale=SCALE, dynamic_growth_steps=GROWTH
        )
        model.compile(optimizer=optimizer, loss=keras.losses.SparseCategoricalCrossentropy())
        trainee = Trainee(model, self.backend)
        start = trainee.weights()
        steps = []
        # Weights of the samples by which the gradients of half precision overflow, and the loss, in float32, does not.
        ordinary = np.ones(len(x), dtype=np.float32)
        with self.backend.alone():
            for finite in (True, False, True, True, True, False, False):
                model.reset_metrics()
                counts = ordinary if finite else ordinary * np.float32(OVERFLOW)
                loss = float(model.train_on_batch(x, labels, sample_weight=counts))
                scale = float(self.backend.to_numpy(optimizer.dynamic_scale))
                steps.append(ScaledStep(finite, loss, scale, trainee.steps, trainee.weights()))
        task = Task(start, x, labels, None, len(x), 1, RATE, dtype="float16")
        return Scaled(task, SCALE, GROWTH, tuple(steps))
