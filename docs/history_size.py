"""How long a large history takes to ask and to show: the figures of docs/history.md.

    python docs/history_size.py large.db [--runs 10000] [--checks 5000]

Fills a history with made-up runs, ten a night, 1,667 checks on each of three backends and six figures a run, and times what
people wait for. Then: `dlcheck dashboard large.db -o site`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from pytest_dlcheck.history.store import History, open_history

BACKENDS = ("tensorflow", "jax", "torch")
PER_NIGHT = 10
NIGHT = dt.timedelta(days=1)


def report(number: int, runs: int, checks: int, rng: np.random.Generator) -> dict[str, Any]:
    """A run: few checks fail, a few others each time; step times scatter by 1 %."""
    failing = set(rng.integers(0, checks, 5).tolist()) | {7, 11}
    per = checks // len(BACKENDS) + 1
    names = [(BACKENDS[place // per], place % per) for place in range(checks)]
    started = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc) - NIGHT * ((runs - number) / PER_NIGHT)
    return {
        "schema": "dlcheck-report/1",
        "product": [
            {
                name: "1.0",
                "keras": "3.15.1",
                "python": "3.11.7",
                "cpu": "A processor",
                "cores": 4,
                "memory_bytes": 2**34,
                "os": "Linux",
                "backend": {"name": name},
                "device": {"names": ["cpu:0"], "gpus": []},
            }
            for name in BACKENDS
        ],
        "run": {"seed": number, "profile": "nightly", "started": started.isoformat(), "seconds": 600.0, "suite": "0.1.0"},
        "results": [
            {
                "subject": f"keras.layers.Layer{check // 10}",
                "property": f"property_{check % 10}",
                "backend": backend,
                "device": "cpu:0",
                "dtype": "float32",
                "mode": "eager",
                "verdict": "fail" if place in failing else "pass",
                "examples": 5,
                "message": "3 of 24 values are outside; 1.4 times exceeded" if place in failing else None,
                "test": "suites/layers/test_layers.py::test_eager",
            }
            for place, (backend, check) in enumerate(names)
        ],
        "measurements": [],
        "series": [
            {
                "subject": f"models.model_{model}",
                "backend": backend,
                "device": "cpu:0",
                "phase": "step",
                "metric": "time",
                "unit": "s",
                "samples": (0.01 * np.exp(rng.normal(0, 0.01, 5))).tolist(),
            }
            for backend in BACKENDS
            for model in range(2)
        ],
    }


def timed(what: str, call: Callable[[], object]) -> None:
    begun = time.perf_counter()
    found = call()
    print(f"{what}: {time.perf_counter() - begun:.3f} s{'' if found is None else f' ({found})'}")  # noqa: T201


def questions(history: History) -> None:
    """What a page, an alert or a person asks."""
    one = history.connection.execute("SELECT max(id) FROM runs").fetchone()[0]
    timed("all runs", lambda: len(history.runs()))
    timed("every verdict of one check, over all runs", lambda: len(history.timeline(8)))
    counted = "SELECT count(*) FROM results WHERE run = ? AND verdict <> (SELECT id FROM words WHERE text = 'pass')"
    timed("what fails in one run", lambda: history.connection.execute(counted, (one,)).fetchone()[0])
    joined = (
        "SELECT count(*) FROM results a JOIN results b ON b.check_id = a.check_id AND b.run = ? WHERE a.run = ?"
        " AND a.verdict <> b.verdict"
    )
    timed("what differs between two runs", lambda: history.connection.execute(joined, (one, one - 1)).fetchone()[0])
    timed("one line with all samples", lambda: len(next(history.lines()).points))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("history", type=Path)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--checks", type=int, default=5_000)
    options = parser.parse_args()
    with open_history(options.history, write=True) as history:
        rng = np.random.default_rng(0)
        for number in track(range(len(history.runs()), options.runs), description="runs"):
            history.add(report(number, options.runs, options.checks, rng), "made up")
    with open_history(options.history) as history:
        questions(history)
    print(f"{options.history.stat().st_size / 2**20:,.0f} MiB")  # noqa: T201


if __name__ == "__main__":
    main()
