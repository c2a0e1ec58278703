"""Times one workload in this process: `fit`, and beside it the loop written out, block by block in turn.

What a figure covers, and why it is measured like this, stands in `docs/benchmarking.md`.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.benchmark.blocks import block_length
from pytest_dlcheck.benchmark.measurement import FIT, LOOP, Measurement, Side
from pytest_dlcheck.benchmark.workload import Array, resolve
from pytest_dlcheck.devices import DeviceName

__all__ = ["Budget", "measure", "repeat_batches"]


class Budget:
    """How long the steady part may take, and how many blocks there are in any case."""

    def __init__(self, seconds: float, pairs: int) -> None:
        self.seconds = seconds
        self.pairs = pairs


def repeat_batches(x: Array, y: Array, batch_size: int, steps: int) -> tuple[Array, Array]:
    """Exactly `steps` whole batches, the data repeated as often as that takes: a short last batch would compile anew."""
    index = np.arange(steps * batch_size) % len(x)
    return x[index], y[index]


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """As `timeit` does it. Collected once before, not each time: with a framework loaded a collection takes a while."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Block:
    """A stretch of steady steps of one side, beside a call with one step: the difference is what the steps alone take.

    What happens once per call (`fit` makes an iterator, resets and fetches metrics) is thus no part of a step's time.
    """

    def __init__(self, make: Callable[[int], Callable[[], None]]) -> None:
        """
        Args:
            make: gives something to call that takes as many steps as it is told, all compiled already.
        """
        self._one = make(1)
        self._ones = [_timed(self._one)]
        self.steps = block_length(self._ones[0], lambda steps: _timed(make(1 + steps)))
        self._many = make(1 + self.steps)
        self._manys: list[float] = []

    def sample(self) -> None:
        self._ones.append(_timed(self._one))
        self._manys.append(_timed(self._many))

    @property
    def steps_s(self) -> list[float]:
        """Seconds per step, one figure per sample."""
        once = statistics.median(self._ones)
        return [(many - once) / self.steps for many in self._manys]

    @property
    def calls_s(self) -> list[float]:
        """Seconds per call beyond its one step, one figure per sample."""
        step = statistics.median(self.steps_s)
        return [max(0.0, one - step) for one in self._ones[1:]]


def measure(workload_name: str, backend: Backend, device: DeviceName, seed: int, budget: Budget) -> Measurement:
    """Measures a workload; the process should do nothing else, before or meanwhile.

    Raises:
        DlcheckError: there is no such workload, or no such device.
    """
    workload = resolve(workload_name, backend, seed)
    start = time.perf_counter()
    scope = backend.activate(device)
    start_s = time.perf_counter() - start
    with scope, _no_garbage_collection():
        start = time.perf_counter()
        model = workload.make_model()
        backend.synchronize(*model.weights)
        build_s = time.perf_counter() - start

        size = workload.batch_size

        def prepare_fit(steps: int) -> Callable[[], None]:
            x, y = repeat_batches(workload.x, workload.y, size, steps)

            def block() -> None:
                # No callbacks: one per batch would wait for every step. No shuffling: it is not what is measured.
                model.fit(x, y, batch_size=size, epochs=1, shuffle=False, verbose=0)
                backend.synchronize(*model.weights)

            return block

        first = {FIT: _timed(prepare_fit(1))}
        prepare: dict[str, Callable[[int], Callable[[], None]]] = {FIT: prepare_fit}
        if workload.make_loop is not None:
            loop = workload.make_loop(model)

            def prepare_loop(steps: int) -> Callable[[], None]:
                x, y = repeat_batches(workload.x, workload.y, size, steps)
                batches = [loop.prepare(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]

                def block() -> None:
                    for batch in batches:
                        loop.step(*batch)
                    loop.synchronize()

                return block

            prepare[LOOP] = prepare_loop
            first[LOOP] = _timed(prepare_loop(1))

        blocks = {side: _Block(make) for side, make in prepare.items()}
        _alternate(blocks, budget, random.Random(seed))
        # The model must have stayed where it was asked to be.
        backend.verify(model, device)

    return Measurement(
        workload=workload_name,
        backend=backend.name,
        device=str(device),
        batch_size=size,
        data=workload.data,
        import_s=backend.import_seconds,
        start_s=start_s,
        build_s=build_s,
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        threads=len(os.sched_getaffinity(0)),
        sides={side: Side(first[side], block.steps_s, block.calls_s, block.steps) for side, block in blocks.items()},
    )


def _alternate(blocks: Mapping[str, _Block], budget: Budget, rng: random.Random) -> None:
    """Samples the sides in turn, their order drawn anew each time, so that noise hits both alike."""
    end = time.perf_counter() + budget.seconds
    pairs = 0
    while pairs < budget.pairs or time.perf_counter() < end:
        order = list(blocks)
        rng.shuffle(order)
        for side in order:
            blocks[side].sample()
        pairs += 1
