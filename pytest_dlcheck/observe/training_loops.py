"""The training loop as one writes it by hand around a Keras optimizer, in each framework's own operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend

__all__ = ["by_hand"]

Array = NDArray[Any]
Step = Callable[[Any, Any], float]


def by_hand(backend: Backend, model: Any, loss: Any, batches: Sequence[tuple[Array, Array]]) -> tuple[float, ...]:
    """Forward, backward and `optimizer.apply`, batch by batch: the loss of each before its update.

    Args:
        backend: one that trains.
        model: built; its optimizer, too.
        loss: a Keras loss.
        batches: inputs and targets.
    """
    makers: dict[str, Callable[[Backend, Any, Any], Step]] = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    step = makers[backend.name](backend, model, loss)
    return tuple(step(backend.put(x), backend.put(y)) for x, y in batches)


def _tensorflow(backend: Backend, model: Any, loss: Any) -> Step:
    tf = backend.framework

    def step(x: Any, y: Any) -> float:
        with tf.GradientTape() as tape:
            value = loss(y, model(x, training=True))
        model.optimizer.apply(tape.gradient(value, [weight.value for weight in model.trainable_weights]))
        return float(value)

    return step


def _torch(backend: Backend, model: Any, loss: Any) -> Step:
    torch = backend.framework

    def step(x: Any, y: Any) -> float:
        value = loss(y, model(x, training=True))
        gradients = torch.autograd.grad(value, [weight.value for weight in model.trainable_weights])
        with torch.no_grad():
            model.optimizer.apply(list(gradients))
        return float(value.detach())

    return step


def _jax(backend: Backend, model: Any, loss: Any) -> Step:
    jax = backend.framework

    def compute(trainable: Any, others: Any, x: Any, y: Any) -> Any:
        outputs, others = model.stateless_call(trainable, others, x, training=True)
        return loss(y, outputs), others

    @jax.jit  # type: ignore[untyped-decorator]
    def pure(trainable: Any, others: Any, state: Any, x: Any, y: Any) -> Any:
        (value, others), gradients = jax.value_and_grad(compute, has_aux=True)(trainable, others, x, y)
        trainable, state = model.optimizer.stateless_apply(state, gradients, trainable)
        return value, trainable, others, state

    def step(x: Any, y: Any) -> float:
        groups = (model.trainable_variables, model.non_trainable_variables, model.optimizer.variables)
        value, *after = pure(*([variable.value for variable in group] for group in groups), x, y)
        for group, values in zip(groups, after, strict=True):
            for variable, new in zip(group, values, strict=True):
                variable.assign(new)
        return float(np.asarray(value))

    return step
