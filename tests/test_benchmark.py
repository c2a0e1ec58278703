"""Measuring: its arithmetic on a clock that only a test moves, its processes, and pytest-benchmark as its face."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import Runs, python
from pytest_dlcheck.backends import installed
from pytest_dlcheck.benchmark import blocks, client, measure
from pytest_dlcheck.benchmark.client import LOOK, MeasurementError, Stopwatch
from pytest_dlcheck.benchmark.measurement import FIT, LOOP, Measurement, Side
from pytest_dlcheck.benchmark.replay import ReplayClock
from pytest_dlcheck.devices import DeviceName, kinds_by_name
from pytest_dlcheck.errors import DeviceMissing

CPU = DeviceName("cpu")
KINDS = kinds_by_name(())

FOUND = Measurement(
    workload="w",
    backend="torch",
    device="cpu:0",
    batch_size=32,
    data="made up",
    import_s=5.0,
    start_s=0.5,
    build_s=0.25,
    peak_memory_bytes=2**28,
    threads=2,
    sides={
        FIT: Side(first_step_s=1.0, samples_s=[0.002, 0.004, 0.016], calls_s=[0.1, 0.2, 0.6], steps_per_block=50),
        LOOP: Side(first_step_s=0.0001, samples_s=[0.001, 0.004, 0.002], calls_s=[0.0, 0.0, 0.001], steps_per_block=100),
    },
)


class TestReplayClock:
    def test_gives_readings_in_pairs_that_lie_as_far_apart_as_the_samples(self) -> None:
        clock, samples = ReplayClock(), [0.25, 3.0, 0.001]
        clock.load(samples)
        readings = [(clock(), clock()) for _ in samples]
        assert [end - start for start, end in readings] == pytest.approx(samples, rel=1e-9)
        assert [start for start, _ in readings] == sorted(start for start, _ in readings)

    def test_refuses_to_time_anything_else(self) -> None:
        clock = ReplayClock()
        with pytest.raises(RuntimeError, match="nothing left to replay"):
            clock()
        clock.load([1.0])
        clock(), clock()
        with pytest.raises(RuntimeError, match="more rounds were timed than there are samples"):
            clock()

    def test_forgets_what_was_not_replayed(self) -> None:
        clock = ReplayClock()
        clock.load([1.0, 2.0])
        clock()
        clock.load([5.0])
        assert (clock(), clock()) == (0.0, 5.0)


class TestMeasurement:
    def test_survives_the_way_through_json(self) -> None:
        assert Measurement.load(json.loads(json.dumps(FOUND.dump()))) == FOUND

    def test_takes_throughput_from_the_median_step(self) -> None:
        assert FOUND.samples_per_second() == pytest.approx(32 / 0.004)
        assert FOUND.samples_per_second(LOOP) == pytest.approx(32 / 0.002)

    def test_compares_the_two_sides_pair_by_pair(self) -> None:
        """The ratios are 2, 4 and 1; that of the medians would be 4."""
        sides = {**FOUND.sides, LOOP: replace(FOUND.sides[LOOP], samples_s=[0.001, 0.001, 0.016])}
        assert replace(FOUND, sides=sides).fit_cost == pytest.approx(2)

    def test_has_no_cost_of_fit_without_the_loop(self) -> None:
        assert replace(FOUND, sides={FIT: FOUND.sides[FIT]}).fit_cost is None

    def test_tells_compiling_from_running(self) -> None:
        fit, loop = FOUND.sides[FIT], FOUND.sides[LOOP]
        assert fit.call_s == 0.2
        assert fit.compile_s == pytest.approx(1.0 - 0.004 - 0.2)
        assert loop.compile_s == 0

    def test_gives_the_quartiles(self) -> None:
        assert replace(FOUND.sides[FIT], samples_s=[5, 1, 4, 2, 3]).quartiles_s == (2, 4)


class Machine:
    """On which a call takes `call_s`, and each of its steps `step_s`; no other time passes."""

    def __init__(self, call_s: float, step_s: float) -> None:
        self.now = 0.0
        self.call_s = call_s
        self.step_s = step_s
        self.prepared: list[int] = []

    def perf_counter(self) -> float:
        return self.now

    def prepare(self, steps: int) -> Callable[[], None]:
        self.prepared.append(steps)

        def call() -> None:
            self.now += self.call_s + steps * self.step_s

        return call


@contextlib.contextmanager
def clock_of(machine: Machine) -> Iterator[None]:
    """Inside, the machine's clock is the one that measures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "time", machine)
        yield


class TestBlock:
    @settings(deadline=None)
    @given(call_s=st.floats(0, 3), step_s=st.floats(1e-8, 30))
    def test_tells_steps_from_calls(self, call_s: float, step_s: float) -> None:
        machine = Machine(call_s, step_s)
        with clock_of(machine):
            block = measure._Block(machine.prepare)
            for _ in range(3):
                block.sample()
        assert block.steps_s == pytest.approx([step_s] * 3, rel=1e-6)
        assert block.calls_s == pytest.approx([call_s] * 3, rel=1e-6, abs=1e-6 * step_s + 1e-12)

    @settings(deadline=None)
    @given(call_s=st.floats(0, 3), step_s=st.floats(0, 30))
    def test_is_as_long_as_needed_and_no_longer(self, call_s: float, step_s: float) -> None:
        machine = Machine(call_s, step_s)
        with clock_of(machine):
            steps = measure._Block(machine.prepare).steps
        needed_s = max(blocks.BLOCK_S, 1.5 * call_s)
        assert blocks.FEWEST_STEPS <= steps <= blocks.MOST_STEPS
        assert steps * step_s >= needed_s * (1 - 1e-6) or steps == blocks.MOST_STEPS
        assert (steps - 1) * step_s <= needed_s * (1 + 1e-6) or steps == blocks.FEWEST_STEPS
        # Nor does finding it take calls that are much longer.
        assert max(machine.prepared) <= 1 + min(3 * steps, blocks.MOST_STEPS)

    @pytest.mark.parametrize(
        ("call_s", "step_s", "steps"),
        [(0, 60, 2), (0, 0.001, 100), (0.01, 0.004, 25), (0.2, 0.001, 300), (0, 1e-6, 500), (0, 0, 500), (4, 0.001, 500)],
    )
    def test_takes_so_many_steps(self, call_s: float, step_s: float, steps: int) -> None:
        machine = Machine(call_s, step_s)
        with clock_of(machine):
            found = measure._Block(machine.prepare).steps
        assert steps <= found <= min(steps + 1, 500), "one more where a quotient is rounded"

    def test_one_disturbed_call_is_one_odd_sample(self) -> None:
        machine = Machine(0.01, 0.002)
        with clock_of(machine):
            block = measure._Block(machine.prepare)
            for call_s in (0.01, 0.01, 0.01, 5.0):
                machine.call_s = call_s
                block.sample()
        assert [step == pytest.approx(0.002) for step in block.steps_s] == [True, True, True, False]
        assert [call == pytest.approx(0.01) for call in block.calls_s] == [True, True, True, False]

    def test_a_call_never_takes_less_than_nothing(self) -> None:
        machine = Machine(0.01, 0.002)
        with clock_of(machine):
            block = measure._Block(machine.prepare)
            block.sample()
            machine.call_s = -0.002
            block.sample()
        assert block.calls_s[0] > 0
        assert block.calls_s[1] == 0


class TestAlternate:
    def order(self, seed: int, pairs: int = 20) -> list[str]:
        sampled: list[str] = []
        blocks: Any = {side: SimpleNamespace(sample=lambda side=side: sampled.append(side)) for side in (FIT, LOOP)}
        measure._alternate(blocks, measure.Budget(0, pairs), random.Random(seed))
        return sampled

    def test_samples_both_sides_of_each_pair_in_an_order_drawn_from_the_seed(self) -> None:
        order = self.order(0)
        pairs = list(zip(order[::2], order[1::2], strict=True))
        assert len(pairs) == 20
        assert set(pairs) == {(FIT, LOOP), (LOOP, FIT)}
        assert self.order(0) == order
        assert self.order(1) != order

    @pytest.mark.parametrize(("seconds", "pairs", "expected"), [(0, 3, 3), (10, 2, 4), (12, 2, 4), (12.5, 2, 5), (6, 7, 7)])
    def test_goes_on_for_the_time_there_is(self, seconds: float, pairs: int, expected: int) -> None:
        machine = Machine(1.5, 0)
        blocks: Any = {side: SimpleNamespace(sample=machine.prepare(1)) for side in (FIT, LOOP)}
        with clock_of(machine):
            measure._alternate(blocks, measure.Budget(seconds, pairs), random.Random(0))
        assert machine.now == expected * 3.0


@pytest.mark.parametrize(("samples", "steps"), [(10, 7), (8, 2), (9, 1), (4, 3)])
def test_repeated_batches_are_whole_and_keep_inputs_and_targets_together(samples: int, steps: int) -> None:
    x = np.arange(samples * 2).reshape(samples, 2)
    repeated_x, repeated_y = measure.repeat_batches(x, -x[:, 0], 4, steps)
    assert repeated_x.shape == (4 * steps, 2)
    assert repeated_y.tolist() == (-repeated_x[:, 0]).tolist()
    assert repeated_x.tolist() == [x[i % samples].tolist() for i in range(4 * steps)]


FAILING_START = """
import sys
import psutil
from pytest_dlcheck.benchmark import client
from pytest_dlcheck.devices import DeviceName, kinds_by_name

client.START_TIMEOUT_S = int(sys.argv[1])
stopwatch = client.Stopwatch(kinds_by_name(()), 0)
try:
    stopwatch.measure("linear_regression", "torch", DeviceName("cpu"))
except client.MeasurementError as error:
    print(error)
stopwatch.close()
_, left = psutil.wait_procs(psutil.Process().children(), timeout=3)
print(len(left), "left")
"""


class TestStopwatch:
    """Its process, on a backend that is only pretended: nothing there can be measured, and asking says so at once."""

    @pytest.fixture
    def pretended(self, runs: Runs) -> Path:
        """The module that stands for PyTorch; SciPy looks for the class."""
        runs.fake_backends("torch")
        module: Path = runs.pytester.path / "fakes" / "torch.py"
        module.write_text("__version__ = '1.0'\nclass Tensor: pass\n")
        return module

    @pytest.fixture
    def stopwatch(self, pretended: Path) -> Iterator[Stopwatch]:
        stopwatch = Stopwatch(KINDS, 0)
        yield stopwatch
        stopwatch.close()

    def ask(self, stopwatch: Stopwatch) -> None:
        with pytest.raises(MeasurementError, match="absent on torch: no documented model 'absent'; there are mnist_cnn3, "):
            stopwatch.measure("absent", "torch", CPU)

    def test_starts_anew_for_another_number_of_cpus(self, stopwatch: Stopwatch) -> None:
        self.ask(stopwatch)
        first = process(stopwatch)
        self.ask(stopwatch)
        assert process(stopwatch) == first
        with pytest.raises(MeasurementError):
            stopwatch.measure("absent", "torch", DeviceName("cpu", 1))
        assert process(stopwatch) != first
        assert not psutil.pid_exists(first)

    def test_leaves_no_process(self, stopwatch: Stopwatch) -> None:
        before = set(psutil.Process().children(recursive=True))
        self.ask(stopwatch)
        assert len(set(psutil.Process().children(recursive=True)) - before) == 1
        stopwatch.close()
        stopwatch.close()
        assert set(psutil.Process().children(recursive=True)) == before

    def test_starts_another_process_when_one_has_died(self, stopwatch: Stopwatch) -> None:
        self.ask(stopwatch)
        assert stopwatch._server is not None
        stopwatch._server._process._process.kill()
        stopwatch._server._process._process.wait()
        with pytest.raises(MeasurementError, match="the measuring process of torch has died: it printed nothing"):
            stopwatch.measure("absent", "torch", CPU)
        self.ask(stopwatch)

    @pytest.mark.parametrize(
        ("code", "timeout_s", "words"),
        [
            ("raise OSError('libtorch.so is missing')", 60, "importing it fails: OSError: libtorch.so is missing"),
            ("import os, sys; print('out of luck', flush=True); os._exit(3)", 60, "or died: out of luck"),
            ("import time; time.sleep(60)", 1, "gave no answer within 1 s, or died: it printed nothing"),
        ],
        ids=["raises", "dies", "hangs"],
    )
    def test_says_why_a_backend_cannot_start_and_leaves_no_process(
        self, pretended: Path, code: str, timeout_s: int, words: str
    ) -> None:
        pretended.write_text(code)
        command = python("-c", FAILING_START, str(timeout_s))
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        said, left = done.stdout.splitlines()
        assert words in said
        assert left == "0 left"

    def test_does_not_fork_where_the_import_starts_threads(self, pretended: Path, stopwatch: Stopwatch) -> None:
        """One process for each request then, whether or not the request before could be met."""
        with pretended.open("a") as module:
            module.write("import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n")
        self.ask(stopwatch)
        self.ask(stopwatch)


# What the one real process is asked to measure. A workload is called in the process that measures it.
WORKLOADS = """
    import json, os, signal, time
    import keras
    import numpy as np
    from pytest_dlcheck import Workload

    def small(samples=40, make_model=None, data=None):
        def dense():
            model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
            model.compile(optimizer="sgd", loss="mse")
            return model
        x = np.ones((samples, 3), dtype="float32")
        return Workload(make_model or dense, x, x[:, :1], 8, data or str(os.getpid()))

    def raises():
        raise ValueError("the data is gone")

    def raises_later():
        return small(make_model=raises)

    def not_compiled():
        return small(make_model=lambda: keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]))

    def kills_itself():
        os.kill(os.getpid(), signal.SIGKILL)

    def leaves():
        os._exit(3)

    def hangs():
        time.sleep(600)

    def too_few():
        return small(samples=7)

    def something_else():
        return {"x": 1}

    def no_text():
        return small(data={1, 2})

    def unequal():
        return Workload(None, np.ones((9, 3)), np.ones((8, 1)), 8)

    def lists():
        return Workload(None, [[1.0]] * 9, np.ones((9, 1)), 8)

    def no_batch():
        return Workload(None, np.ones((9, 3)), np.ones((9, 1)), 0)

    def speaks():
        print("a line that is no answer", flush=True)
        os.write(1, b"nor is this\\n")
        return small()

    def loops():
        from pytest_dlcheck.benchmark.loops import written_out
        from pytest_dlcheck.models import build
        from pytest_dlcheck.models.data import load
        from pytest_dlcheck.models.documented import by_name
        from pytest_dlcheck.references.network import forward
        from pytest_dlcheck.references.scores import LOSSES

        seen = {}
        for name in ("linear_regression", "binary_classifier", "mnist_cnn1", "simple_rnn"):
            spec = by_name(name)
            data = load(spec, 0)
            x, y = data.x_train[:16], data.y_train[:16]
            model, _ = build.documented(spec, keras)
            weights = model.get_weights()
            loop = written_out("torch", spec, weights)
            batch = loop.prepare(x, y)
            runs = []
            for _ in range(2):
                runs.append([float(loop.step(*batch)) for _ in range(12)])
                loop.synchronize()
                loop.restart(weights)
            p = forward(spec, weights, x.reshape(len(x), *spec.input_shape))
            seen[name] = {"runs": runs, "formula": float(LOSSES[spec.loss](y, p, clip=False))}
        return small(data=json.dumps(seen))
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopwatch]:
    """One process with PyTorch, for all that follows."""
    if not installed("torch"):
        pytest.skip("needs torch and keras, not installed here")
    folder = tmp_path_factory.mktemp("workloads")
    (folder / "workloads.py").write_text("\n".join(line[4:] for line in WORKLOADS.splitlines()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        stopwatch = Stopwatch(KINDS, 0, LOOK)
        yield stopwatch
        stopwatch.close()


def measure_a_good_one(stopwatch: Stopwatch) -> Measurement:
    """Again, even if it has been measured before."""
    stopwatch._done.clear()
    return stopwatch.measure("workloads:small", "torch", CPU)


def process(stopwatch: Stopwatch) -> int:
    assert stopwatch._server is not None
    return stopwatch._server._process.pid


class TestRealWorkload:
    def test_of_the_user_is_measured(self, real: Stopwatch) -> None:
        found = measure_a_good_one(real)
        assert (found.workload, found.backend, found.device, found.batch_size) == ("workloads:small", "torch", "cpu:0", 8)
        assert set(found.sides) == {FIT}
        assert len(found.sides[FIT].samples_s) == len(found.sides[FIT].calls_s) == 2, "quick takes two samples of each"
        assert found.sides[FIT].median_s > 0
        assert found.import_s > 0
        assert found.build_s > 0
        assert found.peak_memory_bytes > 2**26

    def test_is_measured_once_and_in_a_process_of_its_own(self, real: Stopwatch) -> None:
        first = measure_a_good_one(real)
        assert real.measure("workloads:small", "torch", CPU) is first
        second = measure_a_good_one(real)
        assert len({int(first.data), int(second.data), process(real), os.getpid()}) == 4

    def test_that_is_documented_has_both_sides(self, real: Stopwatch) -> None:
        found = real.measure("logistic_regression", "torch", CPU)
        assert set(found.sides) == {FIT, LOOP}
        assert len(found.sides[LOOP].samples_s) == len(found.sides[FIT].samples_s) == 2
        assert found.fit_cost is not None
        assert found.fit_cost > 0

    def test_on_a_device_that_is_missing_is_told_apart(self, real: Stopwatch) -> None:
        with pytest.raises(DeviceMissing, match="torch finds no tpu"):
            real.measure("workloads:small", "torch", DeviceName("tpu"))

    def test_may_print(self, real: Stopwatch) -> None:
        assert real.measure("workloads:speaks", "torch", CPU).batch_size == 8

    @pytest.mark.parametrize(
        ("workload", "words"),
        [
            ("absent", "no documented model 'absent'; there are mnist_cnn3, "),
            ("absent:small", "workload 'absent:small' cannot be loaded: No module named 'absent'"),
            ("workloads:absent", "cannot be loaded: module 'workloads' has no attribute 'absent'"),
            ("workloads:raises", "ValueError: the data is gone"),
            ("workloads:raises_later", "ValueError: the data is gone"),
            ("workloads:not_compiled", "ValueError: You must call `compile()`"),
            ("workloads:kills_itself", "the measuring process died (signal SIGKILL)"),
            ("workloads:leaves", "the measuring process died (status 3)"),
            ("workloads:hangs", "no result within 1 s"),
            ("workloads:too_few", "workload 'workloads:too_few' has 7 samples, less than its batch of 8"),
            ("workloads:no_text", "the measurement cannot be sent on: Object of type set is not JSON serializable"),
            ("workloads:unequal", "workload 'workloads:unequal' has 9 inputs and 8 targets"),
            ("workloads:lists", "workload 'workloads:lists': x must be a NumPy array of samples, not a list"),
            ("workloads:no_batch", "workload 'workloads:no_batch': the batch size must be a positive integer, not 0"),
            ("workloads:something_else", "workload 'workloads:something_else' gave a dict, not a "),
        ],
    )
    def test_that_fails_says_why_and_leaves_the_process_fit_for_others(
        self, real: Stopwatch, workload: str, words: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            if workload == "workloads:hangs":
                patch.setattr(client, "TIMEOUT_S", 1)
            with pytest.raises(MeasurementError) as caught:
                real.measure(workload, "torch", CPU)
        assert str(caught.value).startswith(f"{workload} on torch: ")
        assert words in str(caught.value)
        before = process(real)
        assert not psutil.Process(before).children()
        assert measure_a_good_one(real).backend == "torch"
        assert process(real) == before

    def test_loops_of_torch_start_at_the_formulas_loss_and_learn(self, real: Stopwatch) -> None:
        seen = json.loads(real.measure("workloads:loops", "torch", CPU).data)
        assert len(seen) == 4
        for name, found in seen.items():
            first, again = found["runs"]
            assert first[0] == pytest.approx(found["formula"], rel=1e-4), name
            assert first[-1] < first[0], name
            assert again == pytest.approx(first, rel=1e-5), f"{name}: restart does not go back to the start"
