"""What the documented models' steps cost beside what the machine can do: the table of docs/comparing.md.

    python docs/bench_models.py [BACKEND,...] [MODEL,...]

Operations are by formula (`benchmark/flops.py`); the peak is a large float32 matrix product or convolution in the same
framework; overhead is what `fit` takes beyond the plain loop, as a share of the step in `fit`.
"""

# ruff: noqa: T201 - a script
from __future__ import annotations

import json
import statistics
import subprocess
import sys

from pytest_dlcheck.benchmark.client import THOROUGH, Stopwatch
from pytest_dlcheck.benchmark.flops import step_flops
from pytest_dlcheck.benchmark.measurement import FIT, LOOP
from pytest_dlcheck.devices import DeviceName, kinds_by_name
from pytest_dlcheck.models.documented import DOCUMENTED, by_name
from pytest_dlcheck.models.spec import Conv2D
from pytest_dlcheck.report.words import duration


def _peaks(backend: str) -> dict[str, float]:
    command = [sys.executable, "-m", "pytest_dlcheck.benchmark.peak", backend, "cpu"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    backends = sys.argv[1].split(",") if len(sys.argv) > 1 else ["tensorflow", "jax", "torch"]
    names = sys.argv[2].split(",") if len(sys.argv) > 2 else [spec.name for spec in DOCUMENTED]
    stopwatch = Stopwatch(kinds_by_name(()), seed=0, effort=THOROUGH)
    print("| model | backend | operations a step | fit | plain loop | overhead | utilisation in fit | in the loop |")
    print("|---|---|---|---|---|---|---|---|")
    for backend in backends:
        peak = _peaks(backend)
        for name in names:
            spec = by_name(name)
            found = stopwatch.measure(name, backend, DeviceName("cpu"))
            kind = "convolution" if any(isinstance(layer, Conv2D) for layer in spec.layers) else "gemm"
            fit, loop = found.sides[FIT].median_s, found.sides[LOOP].median_s
            shares = [1 - b / a for a, b in zip(found.sides[FIT].samples_s, found.sides[LOOP].samples_s, strict=True)]
            used = [step_flops(spec) / seconds / peak[kind] for seconds in (fit, loop)]
            print(
                f"| {name} | {backend} | {step_flops(spec):.3g} | {duration(fit)} | {duration(loop)} | "
                f"{100 * statistics.median(shares):.0f} % | {100 * used[0]:.2g} % | {100 * used[1]:.2g} % |",
                flush=True,
            )
        print(f"| *peak* | {backend} | product {peak['gemm']:.3g}/s, convolution {peak['convolution']:.3g}/s | | | | | |")
    stopwatch.close()


if __name__ == "__main__":
    main()
