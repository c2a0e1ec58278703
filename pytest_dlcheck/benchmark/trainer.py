"""Times one model's `fit`, call by call, in the process that it runs in. Needs NumPy and the framework, and nothing else."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.benchmark.blocks import MOST_STEPS, block_length
from pytest_dlcheck.benchmark.measure import repeat_batches
from pytest_dlcheck.benchmark.workload import Workload
from pytest_dlcheck.errors import DlcheckError

__all__ = ["CPU", "WALL", "Clocks", "Times", "Trainer", "clock_of"]

WALL, CPU = 0, 1


def clock_of(gate: str) -> int:
    """Which of a pair of readings is meant: by `wall` the first, by `cpu` the second."""
    return WALL if gate == "wall" else CPU


# Less than that is not told from what a call of fit takes besides.
LEAST_BLOCK_S = 0.01
LEAST_OF_CALL = 0.25
# To see whether a process that should have finished still computes.
WATCH_S = 0.1
MOST_AT_REST = 0.1  # a process at rest takes next to nothing, and one that computes gets a part of a crowded machine
ONES = 5


class Times(NamedTuple):
    """Seconds on the wall's clock, and seconds in which processors worked for this process, all of its threads together."""

    wall: float
    cpu: float

    def __sub__(self, other: Times) -> Times:
        return Times(self.wall - other.wall, self.cpu - other.cpu)


class Clocks:
    """The two clocks. A test gives others.

    Args:
        gate: which of them decides: `WALL` or `CPU`.
    """

    def __init__(self, gate: int) -> None:
        self.gate = gate

    def now(self) -> Times:
        return Times(time.perf_counter(), time.process_time())

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def timed(self, action: Callable[[], object]) -> Times:
        """What a call takes."""
        start = self.now()
        action()
        return self.now() - start


class Trainer:
    """A model that trains when told, in calls of `fit` with whole executions only.

    Args:
        workload: with the model to come from it.
        model: built and compiled.
        backend: that it runs on, to wait for the device with.
        execution: how many steps `fit` runs at a time (`steps_per_execution`): every call has a multiple of it.
        clocks: to read; their gate decides how long a block is.
    """

    def __init__(self, workload: Workload, model: Any, backend: Backend, execution: int, clocks: Clocks) -> None:
        self._workload = workload
        self._model = model
        self._backend = backend
        self._execution = execution
        self._clocks = clocks
        self._steps = 0
        self._one = self._call(1)
        self._many: Callable[[], None] | None = None

    def _call(self, executions: int) -> Callable[[], None]:
        size = self._workload.batch_size
        steps = executions * self._execution
        x, y = repeat_batches(self._workload.x, self._workload.y, size, steps)

        def call() -> None:
            # No callbacks: one per batch would wait for every step. No shuffling: it is not what is measured.
            history = self._model.fit(x, y, batch_size=size, epochs=1, shuffle=False, verbose=0)
            self._backend.synchronize(*self._model.weights)
            self._steps += steps
            self._history = history

        return call

    def _timed(self, call: Callable[[], None]) -> Times:
        gc.collect()
        took = self._clocks.timed(call)
        loss = self.loss
        if loss is not None and not math.isfinite(loss):
            raise DlcheckError(f"the loss is {loss} after {self._steps} steps: what it takes to compute that is not comparable")
        return took

    @property
    def loss(self) -> float | None:
        """The mean loss of the last call; None if the model keeps no history."""
        losses = getattr(getattr(self, "_history", None), "history", {}).get("loss")
        return float(losses[-1]) if losses else None

    def first(self) -> Times:
        """The first call, of one execution: the framework traces and compiles in it.

        Raises:
            DlcheckError: the loss is not finite; so do all of these.
        """
        return self._timed(self._one)

    def calibrate(self) -> dict[str, float]:
        """How many executions a block should have (beside one), and about what one takes, and a call besides.

        Raises:
            DlcheckError: as many as a block may have take too little to be told, or work goes on after `fit` has ended.
        """
        gate = self._clocks.gate
        one_s = statistics.median(self._timed(self._one)[gate] for _ in range(ONES))
        length = block_length(one_s, lambda count: self._timed(self._call(1 + count))[gate])
        self.prepare(length)
        _, many = self.block()
        self._verify_at_rest()
        block_s = many[gate] - one_s
        if block_s < max(LEAST_BLOCK_S, LEAST_OF_CALL * (one_s - block_s / length)):
            raise DlcheckError(
                f"the workload is shorter than can be timed: {length * self._execution} steps take {max(0.0, block_s):.2g} s, "
                f"a call of fit besides {one_s:.2g} s (at most {MOST_STEPS} steps are timed); make the batch or model larger"
            )
        return {"length": length, "execution_s": block_s / length, "call_s": max(0.0, one_s - block_s / length)}

    def _verify_at_rest(self) -> None:
        start = self._clocks.now()
        self._clocks.sleep(WATCH_S)
        rest = self._clocks.now() - start
        if rest.cpu > MOST_AT_REST * rest.wall:
            raise DlcheckError(
                f"the work goes on after fit has ended and the device was waited for (in the {rest.wall:.2g} s after it the "
                f"process computed for {rest.cpu:.2g} s): what was timed is not the work"
            )

    def prepare(self, length: int) -> None:
        """From now on a block has so many executions, beside one."""
        self._many = self._call(1 + length)

    def block(self) -> tuple[Times, Times]:
        """A call with one execution, and one with as many more as was prepared for."""
        if self._many is None:
            raise RuntimeError("prepare comes before block")
        return self._timed(self._one), self._timed(self._many)
