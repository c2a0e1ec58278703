"""The `throughput` fixture: measures elsewhere, and lets pytest-benchmark show the samples as if it had measured them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_dlcheck.benchmark.client import LOOK, THOROUGH, USUAL, MeasurementError, Stopwatch
from pytest_dlcheck.benchmark.measurement import FIT, Measurement
from pytest_dlcheck.devices import DeviceName
from pytest_dlcheck.errors import DeviceMissing
from pytest_dlcheck.run import VERDICTS, Verdicts

if TYPE_CHECKING:
    from pytest_dlcheck.run import Run

__all__ = ["Bridge"]


class Bridge:
    """Called with a workload's name, gives its `Measurement`. One call a test, as with `benchmark` itself."""

    def __init__(self, request: pytest.FixtureRequest, run: Run, backend: str, device: DeviceName, benchmark: Any) -> None:
        self._item = request.node
        self._run = run
        self._backend = backend
        self._device = device
        self._benchmark = benchmark

    def __call__(self, workload: str, *, side: str = FIT) -> Measurement:
        run = self._run
        if run.is_worker:
            pytest.skip("timed tests run one at a time: with --dist other than 'load' there is nobody to do it; use -n or -n0")
        if run.stopwatch is None:
            usual = THOROUGH if run.plan.profile == "nightly" else USUAL
            run.stopwatch = Stopwatch(run.plan.kinds, run.plan.seed, LOOK if run.benchmarks_disabled else usual)
        found: Measurement | None = None
        try:
            found = run.stopwatch.measure(workload, self._backend, self._device)
        except DeviceMissing as error:
            missing, why = True, str(error)
        except MeasurementError as error:
            missing, why = False, str(error)
        if found is None:  # outside of the except, whose error pytest would show beside the message
            self._not_used()
            (pytest.skip if missing else partial(pytest.fail, pytrace=False))(why)
        if side not in found.sides:
            self._not_used()
            pytest.fail(f"workload {workload!r} has no loop written out (make_loop)", pytrace=False)
        said = self._item.stash.setdefault(VERDICTS, Verdicts())
        said.measurements.append({"side": side, **found.dump()})
        self._replay(found, side)
        return found

    def _not_used(self) -> None:
        # Else pytest-benchmark warns that its fixture was asked for in vain.
        self._benchmark.skipped = True

    def _replay(self, found: Measurement, side: str) -> None:
        benchmark = self._benchmark
        # Switched off by xdist's presence alone; by now nothing else runs.
        benchmark.disabled = self._run.benchmarks_disabled
        benchmark.group = f"one training step of {found.workload}, batch {found.batch_size}"
        benchmark.extra_info.update(
            {
                "backend": found.backend,
                "device": found.device,
                "side": side,
                "samples_per_second": found.samples_per_second(side),
                "import_s": found.import_s,
                "start_s": found.start_s,
                "build_s": found.build_s,
                "first_step_s": found.sides[side].first_step_s,
                "call_s": found.sides[side].call_s,
                "steps_per_block": found.sides[side].steps_per_block,
                "fit_cost": found.fit_cost,
            }
        )
        samples = found.sides[side].samples_s
        clock = self._item.get_closest_marker("benchmark").kwargs["timer"]
        clock.load(samples)
        benchmark.pedantic(lambda: None, rounds=len(samples), iterations=1, warmup_rounds=0)
