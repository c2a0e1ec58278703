"""Can a model that computes in low precision be trained with the losses that its layers add?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.observe.framework_values import value_of
from pytest_dlcheck.observe.layer_observation import Raised
from pytest_dlcheck.properties.verdict import Verdict, failed, passed
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, of_sum

__all__ = ["AddedLosses", "added_losses_count", "observe_added_losses"]

SHAPE = (4, 3)


@dataclass(frozen=True)
class AddedLosses:
    """A regularized layer in training.

    Attributes:
        dtype: that it computes in.
        error: the mean squared error of its outputs, by hand.
        added: the sum of what it adds to the loss.
        reported: the loss of a training step, or the error that it ended in.
    """

    dtype: str
    error: float
    added: float
    reported: float | Raised


def observe_added_losses(backend: Backend, *, policy: str, regularizer: str) -> AddedLosses:
    """Trains one Dense layer for one step.

    Args:
        backend: loaded.
        policy: the layer's dtype policy, and the model's.
        regularizer: the argument that adds a loss: `kernel_regularizer`, `activity_regularizer`.
    """
    keras = backend.keras
    before = backend.policies.dtype_policy()
    backend.policies.set_dtype_policy(policy)
    try:
        layer = keras.layers.Dense(2, kernel_initializer="ones", **{regularizer: "l2"})
        inputs = keras.Input(SHAPE[1:], dtype="float32")
        model = keras.Model(inputs, layer(inputs))
        x, y = np.ones(SHAPE, dtype=np.float32), np.zeros((SHAPE[0], 2), dtype=np.float32)
        outputs = value_of(backend, model(backend.put(x), training=True)).float64
        added = sum(float(value_of(backend, loss).array) for loss in model.losses)
        model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse", jit_compile=backend.name == "jax")
        reported: float | Raised
        try:
            reported = float(np.ravel(np.asarray(model.train_on_batch(x, y)))[0])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the framework did
            reported = Raised(type(error).__name__, str(error), "the training step")
    finally:
        backend.policies.set_dtype_policy(before)
    return AddedLosses(policy.removeprefix("mixed_"), float(np.mean(np.square(outputs))), added, reported)


def added_losses_count(seen: AddedLosses) -> Verdict:
    """A training step's loss is that of the outputs and what the layers add."""
    if isinstance(seen.reported, Raised):
        return failed(str(seen.reported))
    expected = seen.error + seen.added
    if not seen.added:
        return failed("the layer adds no loss")
    allowed = float(of_sum(expected, unit_roundoff=UNIT_ROUNDOFF[seen.dtype]))
    # Only where the rounding cannot hide it does the sum say anything.
    told = f"{seen.reported:.6g} reported; {seen.error:.6g} of the outputs and {seen.added:.6g} added"
    return passed(told) if abs(seen.reported - expected) <= min(allowed, seen.added / 2) else failed(told)
