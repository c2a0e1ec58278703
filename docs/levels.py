"""Measures what the documented models reach on held-out data: where the levels in `docs/models.md` come from.

`KERAS_BACKEND=torch python docs/levels.py 20` trains each model from 20 seeds; name models to train only those.
"""

from __future__ import annotations

import sys

import keras
import numpy as np

from pytest_dlcheck.models import build
from pytest_dlcheck.models.data import load
from pytest_dlcheck.models.documented import DOCUMENTED
from pytest_dlcheck.models.spec import ModelSpec
from pytest_dlcheck.references.scores import LOSSES, accuracy_range
from pytest_dlcheck.seeds import derive


def reached(spec: ModelSpec, run: int) -> float:
    """The held-out accuracy, or error, of one training run."""
    seed = derive(run, spec.subject)
    data = load(spec, seed)
    keras.utils.set_random_seed(seed)
    model, _ = build.documented(spec, keras)
    build.compile_model(model, spec)
    model.fit(data.x_train, data.y_train, batch_size=spec.batch_size, epochs=spec.epochs_in("default"), verbose=0)
    predicted = np.asarray(model.predict(data.x_test, batch_size=len(data.x_test), verbose=0))
    if spec.level.metric == "accuracy":
        return accuracy_range(spec.loss, data.y_test, predicted, np.zeros(predicted.shape))[0]
    return LOSSES[spec.level.metric](data.y_test, predicted, clip=False)


def main() -> None:
    runs, names = int(sys.argv[1]), sys.argv[2:]
    for spec in DOCUMENTED:
        if names and spec.name not in names:
            continue
        values = [reached(spec, run) for run in range(runs)]
        print(  # noqa: T201
            f"{keras.backend.backend():10s} {spec.name:20s} {spec.level.metric} of {runs} runs: "
            f"{np.mean(values):.4g} +- {np.std(values):.2g}, {min(values):.4g} to {max(values):.4g}",
            flush=True,
        )


if __name__ == "__main__":
    main()
