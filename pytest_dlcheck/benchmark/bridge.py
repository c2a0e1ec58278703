"""The `throughput` fixture: measures elsewhere, and lets pytest-benchmark show the samples as if it had measured them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_dlcheck.benchmark.client import LOOK, THOROUGH, USUAL, MeasurementError, Stopwatch
from pytest_dlcheck.benchmark.measurement import FIT, Measurement
from pytest_dlcheck.devices import DeviceName
from pytest_dlcheck.errors import DeviceMissing, DlcheckError
from pytest_dlcheck.run import VERDICTS, Verdicts

if TYPE_CHECKING:
    from pytest_dlcheck.benchmark.comparison import Comparison
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

    def compare(
        self,
        workload: str,
        *,
        against: str | None = None,
        python: str | None = None,
        against_backend: str | None = None,
        options: Mapping[str, object] | None = None,
        against_options: Mapping[str, object] | None = None,
        budget_s: float = 180.0,
    ) -> Comparison:
        """Measures a workload in pairs, on this test's backend and device and on the side that is held against.

        A confirmed regression fails the test, with the table as its message. Where there is no verdict the test is skipped and
        says why: it is neither a pass nor the workload's failure. With `--benchmark-disable` both sides are only seen to run.

        Args:
            workload: as for a call.
            against, python, against_backend: what is held against, as with `dlcheck bench`.
            options: how the workload is run, on both sides.
            against_options: where the side that is held against differs.
            budget_s: how long it may take, in seconds.
        """
        from pytest_dlcheck.benchmark.command import Asked, sides
        from pytest_dlcheck.benchmark.paired import Plan, compare
        from pytest_dlcheck.benchmark.show import as_text
        from pytest_dlcheck.benchmark.statistics import INCONCLUSIVE, REGRESSED
        from pytest_dlcheck.benchmark.verdicts import judge

        run = self._run
        if run.is_worker:
            pytest.skip("timed tests run one at a time: with --dist other than 'load' there is nobody to do it; use -n or -n0")
        asked = Asked(
            [workload],
            self._backend,
            against,
            python,
            against_backend,
            options=_texts(options),
            against_options=_texts(against_options),
        )
        found: Comparison | None = None
        missing, why = False, ""
        try:
            reference, candidate = sides(asked)
            plan = Plan(
                workload,
                reference,
                candidate,
                device=self._device,
                kinds=run.plan.kinds,
                seed=run.plan.seed,
                budget_s=budget_s,
                suite=self._item.nodeid.partition("::")[0],
                turns=LOOK.pairs if run.benchmarks_disabled else 0,
            )
            found = compare(plan)
        except DlcheckError as error:
            missing, why = isinstance(error, DeviceMissing), str(error)
        if found is None:
            self._not_used()
            (pytest.skip if missing else partial(pytest.fail, pytrace=False))(why)
        if run.benchmarks_disabled:
            self._not_used()
            return found
        verdicts = judge(found)
        self._show_steps(found, verdicts.outcome)
        if verdicts.outcome == REGRESSED:
            pytest.fail(as_text(found, verdicts), pytrace=False)
        if verdicts.outcome == INCONCLUSIVE:
            pytest.skip("no verdict: " + "; ".join(verdicts.why))
        return found

    def _show_steps(self, found: Comparison, outcome: str) -> None:
        """The steps of the side that is judged, for pytest-benchmark's table; there are none if the budget was too small."""
        role = "reference" if found.same else "candidate"
        if not found.runs(role):
            self._not_used()
            return
        benchmark = self._benchmark
        benchmark.group = f"one training step of {found.workload}, {found.gate} time"
        benchmark.extra_info.update({"backend": self._backend, "device": str(self._device), "verdict": outcome, **found.labels})
        self._play([max(step, 0.0) for step in found.steps(role)])

    def _not_used(self) -> None:
        # Else pytest-benchmark warns that its fixture was asked for in vain.
        self._benchmark.skipped = True

    def _replay(self, found: Measurement, side: str) -> None:
        benchmark = self._benchmark
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
        self._play(found.sides[side].samples_s)

    def _play(self, samples: Sequence[float]) -> None:
        benchmark = self._benchmark
        # Switched off by xdist's presence alone; by now nothing else runs.
        benchmark.disabled = self._run.benchmarks_disabled
        clock = self._item.get_closest_marker("benchmark").kwargs["timer"]
        clock.load(samples)
        benchmark.pedantic(lambda: None, rounds=len(samples), iterations=1, warmup_rounds=0)


def _texts(options: Mapping[str, object] | None) -> list[str]:
    """As the command takes them: name=value, True as `true`."""
    return [f"{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in (options or {}).items()]
