"""Workloads whose cost is known because it is planted: the harness is tested on itself with them.

`keras_work` is a real model of as many equal layers as it is told. `numpy_work` needs NumPy alone and trains nothing: a step
multiplies matrices as often as it is told, so that 105 instead of 100 products are really 5 % more work; building, the first
step, memory and what goes on after `fit` has returned are planted beside it.
"""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.benchmark.workload import Workload

__all__ = ["keras_work", "numpy_work"]

SIZE = 64
ROWS = 4096


class _Planted:
    def __init__(self, products: int, compiling: int, memory_mib: int, *, asynchronous: bool, poison_after: int) -> None:
        self.weights: list[Any] = []
        self._products = products
        self._compiling = compiling
        self._asynchronous = asynchronous
        self._poison_after = poison_after
        self._steps = 0
        self._matrix = np.eye(SIZE, dtype=np.float32) * np.float32(0.999)
        # Written, so that the system really gives it.
        self._memory = np.ones(memory_mib << 18, dtype=np.float32)
        self._pending: list[threading.Thread] = []

    def _work(self, products: int) -> None:
        value = np.ones((SIZE, SIZE), dtype=np.float32)
        for _ in range(products):
            value = value @ self._matrix

    def fit(self, x: NDArray[Any], _y: Any, *, batch_size: int, **_: Any) -> Any:
        """As Keras's, for what the harness asks of it."""
        steps = len(x) // batch_size
        if not self._steps:
            self._work(self._compiling)
        self._steps += steps
        if self._asynchronous:
            thread = threading.Thread(target=self._work, args=(steps * self._products,), daemon=True)
            thread.start()
        else:
            for _step in range(steps):
                self._work(self._products)
        bad = self._poison_after and self._steps > self._poison_after
        return SimpleNamespace(history={"loss": [float("nan") if bad else 1.0]})


def numpy_work(
    *,
    products: int = 400,
    building: int = 4000,
    compiling: int = 4000,
    memory: int = 64,
    asynchronous: int = 0,
    poison_after: int = 0,
) -> Workload:
    """A workload that does as much as it is told, in products of two 64 by 64 matrices.

    Args:
        products: in a step.
        building: while the model is made.
        compiling: in the first step, beside its own.
        memory: that the model holds, in MiB.
        asynchronous: 1 if `fit` is to return before the work is done, as what reads a timer without waiting would have it.
        poison_after: from so many steps on the loss is not a number; 0 for never.
    """

    def make_model() -> _Planted:
        made = _Planted(products, compiling, memory, asynchronous=bool(asynchronous), poison_after=poison_after)
        made._work(building)  # noqa: SLF001 - its own maker
        return made

    x = np.zeros((ROWS, 1), dtype=np.float32)
    return Workload(make_model, x, x, batch_size=8, data="none")


def keras_work(*, layers: int = 40, units: int = 256) -> Workload:
    """A Keras model of equal dense layers: 42 instead of 40 are 5 % more work in every step, and in building it.

    Args:
        layers: how many.
        units: of each.
    """
    import keras

    def make_model() -> Any:
        dense = [keras.layers.Dense(units, activation="tanh") for _ in range(layers)]
        model = keras.Sequential([keras.Input((units,)), *dense])
        model.compile(optimizer="sgd", loss="mean_squared_error")
        return model

    x = np.random.default_rng(0).normal(size=(512, units)).astype(np.float32)
    return Workload(make_model, x, x, batch_size=64, data="normal")
