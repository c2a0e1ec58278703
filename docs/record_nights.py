"""Measures a few NumPy programs again and again, each time in a new process: real noise for docs/detection_power.py.

    python docs/record_nights.py --nights 150 --pause 5 -o docs/recorded_idle.json

Each "night" is a process of its own, some seconds after the one before. It times five training steps and a reference in
turn, on one thread, in CPU time, and keeps the median of the paired ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from rich.progress import track

ROUNDS = 21
STEPS = 4
SHAPES = {"linear": (1, 16, 1), "mlp": (32, 64, 10), "wide": (64, 256, 10), "deep": (32, 128, 128), "narrow": (64, 16, 16)}


def step(shape: tuple[int, int, int], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    batch, hidden, outputs = shape
    return rng.normal(size=(batch, 64)), rng.normal(size=(64, hidden)), rng.normal(size=(hidden, outputs))


def train(x: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
    """One step of gradient descent of two dense layers."""
    hidden = np.maximum(x @ first, 0)
    error = hidden @ second - 1
    first -= 1e-9 * (x.T @ ((error @ second.T) * (hidden > 0)))
    second -= 1e-9 * (hidden.T @ error)


def night() -> dict[str, float]:
    rng = np.random.default_rng(0)
    arrays = {name: step(shape, rng) for name, shape in {**SHAPES, "reference": (32, 96, 32)}.items()}
    samples: dict[str, list[float]] = {name: [] for name in arrays}
    for _ in range(ROUNDS):
        for name, given in arrays.items():
            begun = time.process_time()
            for _ in range(STEPS):
                train(*given)
            samples[name].append(time.process_time() - begun)
    ratios = {name: [one / other for one, other in zip(samples[name], samples["reference"], strict=True)] for name in SHAPES}
    return {name: statistics.median(each) for name, each in ratios.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nights", type=int, default=150)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two nights")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--one", action="store_true", help="measure once, and print it")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(night()))  # noqa: T201
        return
    command = [sys.executable, __file__, "--one"]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    found = []
    for _ in track(range(options.nights), description="nights"):
        found.append(json.loads(subprocess.check_output(command, env=one_thread)))  # noqa: S603 - this file itself
        time.sleep(options.pause)
    ratios = {name: [round(each[name], 5) for each in found] for name in SHAPES}
    options.output.write_text(json.dumps({"what": "ratio to a reference, one process a night", "ratios": ratios}) + "\n")


if __name__ == "__main__":
    main()
