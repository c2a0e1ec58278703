"""What is to be timed: a compiled model, and data for it."""

from __future__ import annotations

import importlib
import inspect
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.benchmark.loops import WrittenOutLoop, written_out
from pytest_dlcheck.benchmark.variation import KNOWN, Variation
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.models import build
from pytest_dlcheck.models.data import Dataset, load
from pytest_dlcheck.models.documented import DOCUMENTED, by_name
from pytest_dlcheck.seeds import derive

__all__ = ["Workload", "documented", "resolve", "store"]

Array = NDArray[np.generic]
PLAIN = Variation()


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


def documented(name: str, backend: Backend, seed: int, variation: Variation = PLAIN, data: Path | None = None) -> Workload:
    """A documented model on its own data.

    Args:
        name: of the model.
        backend: to build it on.
        seed: of the split of the data, and of the initial weights.
        variation: how it is run.
        data: what `store` has written; None to make it here, for which scikit-learn and SciPy must be installed.

    Raises:
        DlcheckError: the variation holds an option that no documented model has.
    """
    spec = by_name(name)
    if variation.more:
        raise DlcheckError(f"a documented model has no option {next(iter(variation.more))!r}; there are {', '.join(KNOWN)}")
    dataset = load(spec, derive(seed, spec.subject)) if data is None else _stored(data)
    compiling: dict[str, Any] = {}
    if variation.jit is not None:
        compiling["jit_compile"] = variation.jit
    if variation.steps_per_execution is not None:
        compiling["steps_per_execution"] = variation.steps_per_execution

    def make_model() -> Any:
        # All that Keras draws its initial weights from. `keras.utils.set_random_seed` would import every framework that is
        # installed, and their import would count as this model's build time.
        random.seed(derive(seed, spec.subject))
        model, _ = build.documented(spec, backend.keras)
        build.compile_model(model, spec, **compiling)
        return model

    def make_loop(model: Any) -> WrittenOutLoop:
        return written_out(backend.name, spec, [backend.to_numpy(weight) for weight in model.trainable_weights])

    size = variation.batch or spec.batch_size
    x, y = _enough(dataset.x_train, dataset.y_train, size)
    return Workload(make_model, x, y, size, dataset.description, make_loop)


def _enough(x: Array, y: Array, size: int) -> tuple[Array, Array]:
    """One batch at least, the samples repeated if there are fewer: how long a step takes does not depend on their values."""
    times = -(-size // len(x))
    return (x, y) if times == 1 else (np.concatenate([x] * times), np.concatenate([y] * times))


def store(name: str, seed: int, path: Path) -> bool:
    """Writes a documented model's data as a file for `documented`; gives whether the workload is a documented model."""
    if name not in [spec.name for spec in DOCUMENTED]:
        return False
    spec = by_name(name)
    dataset = load(spec, derive(seed, spec.subject))
    np.savez(path, x=dataset.x_train, y=dataset.y_train, description=np.array(dataset.description))
    return True


def _stored(path: Path) -> Dataset:
    with np.load(path, allow_pickle=False) as file:
        x, y = file["x"], file["y"]
        return Dataset(str(file["description"]), x, y, x[:0], y[:0])


def _call(name: str, function: Callable[..., Any], variation: Variation) -> Any:
    """The user's function, given those options that are not the harness's to set."""
    given = {**variation.more}
    if variation.jit is not None:
        given["jit"] = variation.jit
    if variation.steps_per_execution is not None:
        given["steps_per_execution"] = variation.steps_per_execution
    parameters = inspect.signature(function).parameters
    if not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        for option in given:
            if option not in parameters:
                raise DlcheckError(f"workload {name!r} takes no option {option!r}: its function has no argument of that name")
    return function(**given)


def resolve(name: str, backend: Backend, seed: int, variation: Variation = PLAIN, data: Path | None = None) -> Workload:
    """The workload that a name stands for: a documented model, or `package.module:function`, called with the options.

    Args:
        name: of the workload.
        backend, seed, variation, data: as for `documented`.

    Raises:
        DlcheckError: there is nothing of that name, it gives something else, or it does not take the options.
    """
    if ":" not in name:
        if name not in [spec.name for spec in DOCUMENTED]:
            raise DlcheckError(
                f"no documented model {name!r}; there are {', '.join(spec.name for spec in DOCUMENTED)}; "
                "one of your own is named as 'package.module:function'"
            )
        return documented(name, backend, seed, variation, data)
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise DlcheckError(f"workload {name!r} cannot be loaded: {error}") from error
    made = _call(name, found, variation)
    if not isinstance(made, Workload):
        raise DlcheckError(f"workload {name!r} gave a {type(made).__name__}, not a pytest_dlcheck.benchmark.workload.Workload")
    _validate(name, made)
    if variation.batch is None:
        return made
    x, y = _enough(made.x, made.y, variation.batch)
    return replace(made, x=x, y=y, batch_size=variation.batch)


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
