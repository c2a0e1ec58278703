"""Gradients of the documented models, whole: by the inputs and by every weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pytest_dlcheck import Backend
from pytest_dlcheck.models import build
from pytest_dlcheck.models.documented import DOCUMENTED
from pytest_dlcheck.models.spec import ModelSpec
from pytest_dlcheck.seeds import derive


@pytest.mark.dl_trains
@pytest.mark.dl_property("gradient")
@pytest.mark.parametrize(
    "spec", [pytest.param(spec, id=spec.name, marks=pytest.mark.dl_subject(spec.subject)) for spec in DOCUMENTED]
)
def test_model_gradients(spec: ModelSpec, backend: Backend, dl_seed: int, check_gradients: Callable[..., Any]) -> None:
    seed = derive(dl_seed, spec.subject, "gradients")
    backend.seed(seed)
    with backend.quick():
        model = build.functional(spec, backend.keras)
        x = np.random.default_rng(seed).random((2, *spec.input_shape))
        # Second derivatives of the large convolutions take seconds on TensorFlow and minutes elsewhere.
        order = 2 if len(spec.input_shape) < 3 or backend.name == "tensorflow" else 1
        check_gradients(model, x, name=spec.name, order=order, modes=("compiled",) if backend.name == "jax" else ("eager",))
