"""A made-up history, to see the dashboard at once: 200 nights of three products, with changes planted.

    python docs/demo_history.py demo.db && dlcheck dashboard demo.db -o demo && xdg-open demo/index.html

Nothing in it was measured. Planted: Keras 3.15 breaks one layer on one backend (night 90); PyTorch 2.13 makes convolutions 8 %
slower (night 180); a commit makes the MLPs 12 % faster on JAX (174); TensorFlow 2.21 is imprecise in two layers (185); one
model drifts; some nights are wild; the last night has a new failure, a crash, an
error that grew and a slow night.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from pytest_dlcheck.history.alerts import mute, note, update
from pytest_dlcheck.history.store import open_history
from pytest_dlcheck.seeds import derive

MODELS = ("linear_regression", "logistic_regression", "binary_classifier", "mnist_mlp", "wide_mlp", "autoencoder")
MODELS += ("mnist_cnn1", "mnist_cnn3", "residual_cnn", "simple_rnn", "lstm", "transformer_block")
LAYERS = (
    "Dense",
    "EinsumDense",
    "Embedding",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "DepthwiseConv2D",
    "SeparableConv2D",
    "MaxPooling2D",
)
LAYERS += (
    "AveragePooling1D",
    "BatchNormalization",
    "LayerNormalization",
    "GroupNormalization",
    "UnitNormalization",
    "LSTM",
    "GRU",
)
LAYERS += ("SimpleRNN", "Bidirectional", "TimeDistributed", "Attention", "MultiHeadAttention", "Softmax", "ReLU", "Dropout")
LAYERS += ("Flatten", "Reshape", "Concatenate", "Add", "Resizing", "Rescaling")
PROPERTIES = ("reference", "shape", "save", "gradients", "config", "batch_invariance")
BACKENDS = ("tensorflow", "jax", "torch")
BENCHMARK = "suites/benchmarks/test_documented_throughput.py::test_training_step"
WATCHED = 30
ISSUE = "https://github.com/keras-team/keras/issues/"


def versions(backend: str, night: int) -> dict[str, str]:
    own = {
        "tensorflow": {"tensorflow": "2.20.0" if night < 185 else "2.21.0"},
        "jax": {"jax": "0.10.1" if night < 60 else "0.10.2"},
        "torch": {"torch": "2.12.1" if night < 180 else "2.13.0"},
    }[backend]
    return {**own, "keras": "3.14.1" if night < 90 else "3.15.0" if night < 100 else "3.15.1", "numpy": "2.4.6"}


# What does not simply pass: layer, property, backend (any where None), from and to which night (from the last back where
# negative), verdict, link of the known issue.
STORIES = (
    ("GroupNormalization", "batch_invariance", "jax", 90, None, "fail", None),
    ("Softmax", "reference", "tensorflow", 185, None, "imprecise", None),
    ("LayerNormalization", "reference", "tensorflow", 185, None, "imprecise", None),
    ("EinsumDense", "shape", None, 0, None, "known", f"{ISSUE}20000"),
    ("Resizing", "reference", "torch", 0, None, "known", f"{ISSUE}20001"),
    ("Bidirectional", "save", "torch", -1, None, "fail", None),
    ("MultiHeadAttention", "gradients", "tensorflow", -1, None, "crash", None),
    ("Embedding", "gradients", "jax", 20, 45, "fail", None),
)
WRONG = "outputs against the reference: 3 of 24 values are outside their tolerance"
SAID = {
    "pass": "outputs: 24 values, the worst at {:.2g} of its tolerance of 1e-06 (both sides round)",
    "crash": "the worker died: Fatal Python error: Segmentation fault",
}


def story(layer: str, name: str, backend: str, night: int, last: int) -> tuple[str, str | None]:
    """The verdict of a night, and what is known of it."""
    for its, of, on, start, stop, verdict, known in STORIES:
        first = start if start >= 0 else last + 1 + start
        if (its, of) == (layer, name) and on in (None, backend) and first <= night < (stop or last + 1):
            return verdict, known
    return "pass", None


def results(night: int, last: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    for layer, name, backend in itertools.product(LAYERS, PROPERTIES, BACKENDS):
        verdict, known = story(layer, name, backend, night, last)
        share = rng.uniform(0.01, 0.05)
        if (layer, name, backend) == ("Attention", "reference", "torch") and night == last:
            share = 0.72
        said = SAID.get(verdict, f"{WRONG}\n  allowed 1e-06 there (both sides round); {{:.3g}} times exceeded")
        yield {
            "subject": f"keras.layers.{layer}",
            "property": name,
            "backend": backend,
            "device": "cpu:0",
            "api": None,
            "dtype": "float32",
            "mode": "eager",
            "verdict": verdict,
            "examples": 20,
            "seconds": 0.1,
            "message": said.format(share if verdict == "pass" else 100 * share),
            "details": None,
            "test": f"suites/layers/test_layers.py::test_eager[{backend}-cpu-{layer}]",
            "worker": None,
            "known_issue": known,
            "case": None,
        }


def level(model: str, backend: str, side: str, night: int, last: int) -> float:
    """Seconds of a step, before noise."""
    found = 0.0004 * (1 + 3 * MODELS.index(model)) * {"tensorflow": 1.0, "jax": 0.7, "torch": 1.3}[backend]
    found *= 1.6 if side == "fit" else 1.0
    if backend == "torch" and "cnn" in model and night >= 180:
        found *= 1.08
    if backend == "jax" and "mlp" in model and night >= 174:
        found *= 0.88
    if (backend, model, side) == ("tensorflow", "lstm", "fit"):
        found *= 1 + 0.09 * max(0, night - 100) / 100
    if (backend, model, side) == ("tensorflow", "transformer_block", "fit") and night == last:
        found *= 1.12
    return found


def measurements(night: int, last: int, rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    for backend in BACKENDS:
        host = np.exp(rng.normal(0, 0.02))  # the machine's own night, which ratios to the reference cancel
        for model in MODELS:
            wild = 1 + rng.exponential(0.15) if rng.random() < 0.01 else 1.0
            for side in ("fit", "loop"):
                middle = level(model, backend, side, night, last) * host * np.exp(rng.normal(0, 0.011)) * wild
                steps = middle * np.exp(rng.normal(0, 0.015, 5))
                yield {
                    "subject": f"models.{model}",
                    "backend": backend,
                    "device": "cpu:0",
                    "workload": model,
                    "side": side,
                    "test": f"{BENCHMARK}[{backend}-cpu-{model}-{side}]",
                    "batch_size": 32,
                    "data": "made up",
                    "threads": 4,
                    "import_s": round(6.0 * float(host * np.exp(rng.normal(0, 0.03))), 4),
                    "start_s": 0.02,
                    "build_s": round(0.3 * float(host * np.exp(rng.normal(0, 0.03))), 4),
                    "first_step_s": round(40 * float(middle), 5),
                    "step_s": [float(f"{each:.6g}") for each in steps],
                    "call_s": [float(f"{0.01 * host * np.exp(rng.normal(0, 0.05)):.4g}") for _ in range(3)],
                    "steps_per_block": 20,
                    "peak_memory_bytes": int(6e8 * np.exp(rng.normal(0, 0.004))),
                }


def aa(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """A/A of one model on each backend: the log-ratio of a side to itself."""
    for backend in BACKENDS:
        test = f"{BENCHMARK}[{backend}-cpu-mnist_cnn3-fit]"
        row = {
            "subject": "models.mnist_cnn3",
            "workload": "mnist_cnn3",
            "side": "fit",
            "phase": "step",
            "metric": "time",
            "unit": "s",
        }
        rest = {"backend": backend, "device": "cpu:0", "batch_size": 32, "threads": 4, "role": "aa", "test": test}
        yield {**row, **rest, "unit": "s", "samples": [float(f"{each:.4g}") for each in rng.normal(0, 0.012, 5)]}


def report(night: int, last: int, end: dt.datetime, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(derive(seed, f"night {night}"))
    host = {"python": "3.11.7", "cpu": "Demo CPU", "cores": 4, "memory_bytes": 2**34, "os": "Linux 6.1"}
    started = end - dt.timedelta(days=last - night)
    return {
        "schema": "dlcheck-report/1",
        "product": [
            {**versions(name, night), **host, "backend": {"name": name}, "device": {"names": ["cpu:0"], "gpus": []}}
            for name in BACKENDS
        ],
        "run": {
            "seed": night,
            "profile": "nightly",
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(5400 + float(rng.normal(0, 200)), 1),
            "suite": "0.1.0",
            "exit_status": 1 if night == last else 0,
            "left_out": {},
            "commit": f"{derive(seed, f'commit {night // 3}'):08x}" * 5,
        },
        "results": list(results(night, last, rng)),
        "measurements": list(measurements(night, last, rng)),
        "series": list(aa(rng)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("history", type=Path)
    parser.add_argument("--nights", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--end", default=None, help="the last night (default: yesterday)")
    options = parser.parse_args()
    day = dt.date.fromisoformat(options.end) if options.end else dt.datetime.now(dt.timezone.utc).date() - dt.timedelta(days=1)
    end = dt.datetime.combine(day, dt.time(3, 17), dt.timezone.utc)
    last = options.nights - 1
    with open_history(options.history, write=True) as history:
        history.pin_reference("linear_regression")
        for night in track(range(options.nights), description="nights"):
            # By way of JSON, as a real report comes.
            history.add(json.loads(json.dumps(report(night, last, end, options.seed))), f"night {night}")
            # As a nightly job does, so that what was found last night is told from what is still open.
            if night > last - WATCHED and (last - night) % 3 == 0:
                update(history)
        if not history.connection.execute("SELECT 1 FROM annotations").fetchone():
            note(history, (day - dt.timedelta(days=75)).isoformat(), "machine moved to another rack")
            mute(history, "*lstm, fit*", "the drift of the LSTM is being looked at", (day + dt.timedelta(days=30)).isoformat())


if __name__ == "__main__":
    main()
