"""How the cost of a step grows: batch, width and depth with a fitted exponent; steps_per_execution, jit and dtype beside.

python docs/bench_sweep.py [BACKEND] [TURNS]
"""

# ruff: noqa: T201 - a script
from __future__ import annotations

import statistics
import sys

from pytest_dlcheck.benchmark.flops import fitted_exponent
from pytest_dlcheck.benchmark.paired import Plan, compare
from pytest_dlcheck.benchmark.sides import Side
from pytest_dlcheck.benchmark.variation import Variation
from pytest_dlcheck.devices import DeviceName, kinds_by_name
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.report.words import duration, rate

WORK = "pytest_dlcheck.benchmark.planted:keras_work"
SIZES = {
    "batch": ("mnist_mlp", "batch={}", (32, 128, 512)),
    "width": (WORK, "units={}", (128, 256, 512)),
    "depth": (WORK, "layers={}", (10, 20, 40)),
}
SETTINGS = ("steps_per_execution=1", "steps_per_execution=8", "jit=false", "jit=true", "dtype=float32", "dtype=mixed_bfloat16")


def _step_s(backend: str, workload: str, option: str, turns: int) -> tuple[float, int]:
    """Seconds of a step by processor time, and its samples."""
    side = Side(option, None, backend, Variation.parse([option]))
    found = compare(Plan(workload, side, None, device=DeviceName("cpu"), kinds=kinds_by_name(()), turns=turns))
    runs = found.runs("reference") + found.runs("again")
    return statistics.median(step for run in runs for step in run.per_step(found.clock)), int(runs[0].start["batch"])


def main() -> None:
    backend = sys.argv[1] if len(sys.argv) > 1 else "tensorflow"
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    print(f"{backend}, processor time, one thread, {turns} blocks on each of two processes")
    for name, (workload, option, sizes) in SIZES.items():
        seconds = [_step_s(backend, workload, option.format(size), turns)[0] for size in sizes]
        exponent, error = fitted_exponent(sizes, seconds)
        shown = ", ".join(f"{size}: {duration(second)}" for size, second in zip(sizes, seconds, strict=True))
        print(f"{name}: {shown}; time grows as {name}^{exponent:.2f} (standard error {error:.2f})", flush=True)
    for setting in SETTINGS:
        try:
            step, batch = _step_s(backend, "mnist_mlp", setting, turns)
        except DlcheckError as error:
            print(f"mnist_mlp, {setting}: {error}", flush=True)
            continue
        print(f"mnist_mlp, {setting}: {duration(step)} a step, {rate(batch / step)} samples/s", flush=True)


if __name__ == "__main__":
    main()
