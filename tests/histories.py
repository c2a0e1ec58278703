"""Reports made up for tests of the history: as `--dl-report` writes them, small."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

NIGHT = dt.timedelta(days=1)
FIRST = dt.datetime(2026, 3, 1, 3, 17, tzinfo=dt.timezone.utc)


def product(name: str = "torch", **changed: Any) -> dict[str, Any]:
    versions = {name: "2.13.0", "keras": "3.15.1"}
    return {
        **versions,
        "python": "3.11.7",
        "backend": {"name": name},
        "device": {"names": ["cpu:0"], "gpus": []},
        "cpu": "A processor",
        "cores": 4,
        "memory_bytes": 2**34,
        "os": "Linux 6",
        **changed,
    }


def result(subject: str = "keras.layers.Dense", verdict: str = "pass", **changed: Any) -> dict[str, Any]:
    return {
        "subject": subject,
        "property": "reference",
        "backend": "torch",
        "device": "cpu:0",
        "api": None,
        "dtype": "float32",
        "mode": "eager",
        "verdict": verdict,
        "examples": 3,
        "seconds": 0.1,
        "message": "said",
        "details": None,
        "test": f"suites/layers/test_layers.py::test_eager[torch-cpu-{subject}]",
        "worker": None,
        "known_issue": None,
        "case": None,
        **changed,
    }


def measurement(subject: str = "models.mlp", step_s: Sequence[float] = (0.01, 0.011, 0.012), **changed: Any) -> dict[str, Any]:
    return {
        "subject": subject,
        "backend": "torch",
        "device": "cpu:0",
        "workload": subject.removeprefix("models."),
        "side": "fit",
        "test": "suites/benchmarks/test_documented_throughput.py::test_training_step",
        "batch_size": 32,
        "data": "digits",
        "threads": 4,
        "import_s": 5.0,
        "start_s": 0.1,
        "build_s": 0.2,
        "first_step_s": 0.5,
        "step_s": list(step_s),
        "call_s": [0.02] * len(step_s),
        "steps_per_block": 10,
        "peak_memory_bytes": 4 * 10**8,
        **changed,
    }


def report(
    night: int = 0,
    results: Sequence[Mapping[str, Any]] = (),
    measurements: Sequence[Mapping[str, Any]] = (),
    products: Sequence[Mapping[str, Any]] = (),
    **changed: Any,
) -> dict[str, Any]:
    return {
        "schema": "dlcheck-report/1",
        "product": list(products) or [product()],
        "run": {
            "seed": 0,
            "profile": "nightly",
            "started": (FIRST + night * NIGHT).isoformat(timespec="seconds"),
            "seconds": 60.0,
            "suite": "0.1.0",
            "exit_status": 0,
            "left_out": {},
        },
        "results": list(results),
        "measurements": list(measurements),
        **changed,
    }
