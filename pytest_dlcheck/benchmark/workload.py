"""What is to be timed: a compiled model, and data for it."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.benchmark.loops import WrittenOutLoop, written_out
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.models import build
from pytest_dlcheck.models.data import load
from pytest_dlcheck.models.documented import DOCUMENTED, by_name
from pytest_dlcheck.seeds import derive

__all__ = ["Workload", "documented", "resolve"]

Array = NDArray[np.generic]


@dataclass(frozen=True)
class Workload:
    """Something to train.

    Args:
        make_model: gives the model, built and compiled; its time is the build time.
        x, y: at least one batch of inputs and targets, as `fit` takes them.
        batch_size: how many samples make a step.
        data: one line that says what the data is.
        make_loop: given the model, the same training written out, see `pytest_dlcheck.benchmark.loops`; or None.
    """

    make_model: Callable[[], Any]
    x: Array
    y: Array
    batch_size: int
    data: str = "not described"
    make_loop: Callable[[Any], WrittenOutLoop] | None = None


def documented(name: str, backend: Backend, seed: int) -> Workload:
    """A documented model on its own data."""
    spec = by_name(name)
    dataset = load(spec, derive(seed, spec.subject))

    def make_model() -> Any:
        # All that Keras draws its initial weights from. `keras.utils.set_random_seed` would import every framework that is
        # installed, and their import would count as this model's build time.
        random.seed(derive(seed, spec.subject))
        model, _ = build.documented(spec, backend.keras)
        build.compile_model(model, spec)
        return model

    def make_loop(model: Any) -> WrittenOutLoop:
        return written_out(backend.name, spec, [backend.to_numpy(weight) for weight in model.trainable_weights])

    return Workload(make_model, dataset.x_train, dataset.y_train, spec.batch_size, dataset.description, make_loop)


def resolve(name: str, backend: Backend, seed: int) -> Workload:
    """The workload that a name stands for: a documented model, or `package.module:function`, called without arguments.

    Raises:
        DlcheckError: there is nothing of that name, or it gives something else.
    """
    if ":" not in name:
        if name not in [spec.name for spec in DOCUMENTED]:
            raise DlcheckError(
                f"no documented model {name!r}; there are {', '.join(spec.name for spec in DOCUMENTED)}; "
                "one of your own is named as 'package.module:function'"
            )
        return documented(name, backend, seed)
    module, _, function = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise DlcheckError(f"workload {name!r} cannot be loaded: {error}") from error
    if not isinstance(made, Workload):
        raise DlcheckError(f"workload {name!r} gave a {type(made).__name__}, not a pytest_dlcheck.benchmark.workload.Workload")
    _validate(name, made)
    return made


def _validate(name: str, made: Workload) -> None:
    for letter, array in (("x", made.x), ("y", made.y)):
        if not isinstance(array, np.ndarray) or array.ndim == 0:
            raise DlcheckError(f"workload {name!r}: {letter} must be a NumPy array of samples, not a {type(array).__name__}")
    if len(made.x) != len(made.y):
        raise DlcheckError(f"workload {name!r} has {len(made.x)} inputs and {len(made.y)} targets")
    if not isinstance(made.batch_size, int) or made.batch_size < 1:
        raise DlcheckError(f"workload {name!r}: the batch size must be a positive integer, not {made.batch_size!r}")
    if len(made.x) < made.batch_size:
        raise DlcheckError(f"workload {name!r} has {len(made.x)} samples, less than its batch of {made.batch_size}")
