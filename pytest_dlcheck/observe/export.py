"""Exports a tiny model to a SavedModel and has it read back, by TensorFlow itself and by Keras's layer for it."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.models.tiny import Arrays
from pytest_dlcheck.observe.layer_observation import Raised
from pytest_dlcheck.observe.life_cycle import LifeCycleObserver, attempt, outputs_of
from pytest_dlcheck.observe.life_cycle_observations import Exported
from pytest_dlcheck.observe.moved import from_moved
from pytest_dlcheck.seeds import derive

__all__ = ["exported", "why_not"]

SIZES = (1, 3)
READ_BY_TENSORFLOW = "tf.saved_model.load"
READ_BY_KERAS = "keras.layers.TFSMLayer"


def why_not(backend: Backend) -> str | None:
    """Why a SavedModel cannot be made or read here; None where it can."""
    if importlib.util.find_spec("tensorflow") is None:
        return "a SavedModel is TensorFlow's, which is not installed"
    if backend.name == "torch":
        return "Keras on PyTorch exports a SavedModel by way of torch_xla, experimentally and for one size of batch only"
    return None


def _flat(outputs: Any) -> Arrays:
    """Outputs in the order of the model's: a dictionary has them by `output_0`, `output_1`."""
    if isinstance(outputs, dict):
        outputs = [outputs[name] for name in sorted(outputs)]
    return tuple(np.asarray(each) for each in (outputs if isinstance(outputs, list | tuple) else [outputs]))


def exported(life: LifeCycleObserver) -> Exported | Raised:
    """The model's outputs and those of what was exported, for batches of several sizes."""
    backend, model = life.backend, life.model
    path = str(life.folder / "exported")

    def observe() -> Exported:
        model.export(path)
        import tensorflow as tf

        artifact = tf.saved_model.load(path)  # whose variables live as long as it does
        called, moved = {}, {}
        read: dict[str, dict[int, Arrays]] = {READ_BY_TENSORFLOW: {}}
        layer = backend.keras.layers.TFSMLayer(path, call_endpoint="serve") if backend.name == "tensorflow" else None
        for size in SIZES:
            x = life.spec.data(size, derive(life.seed, "export", str(size)))[0]
            called[size] = outputs_of(backend, model, x)
            moved[size] = from_moved(backend, model, x, lambda each: outputs_of(backend, model, each), seed=life.seed)
            tensors = [tf.constant(each) for each in x]
            given = tensors[0] if len(tensors) == 1 else tensors
            read[READ_BY_TENSORFLOW][size] = _flat(artifact.serve(given))
            if layer is not None:
                read.setdefault(READ_BY_KERAS, {})[size] = _flat(layer(given))
        return Exported(called, moved, read)

    return attempt("exporting to a SavedModel", observe)
