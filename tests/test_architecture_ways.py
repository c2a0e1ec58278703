"""Other ways to build a model, what is done to one, and what the properties say of planted observations of these."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pytest_dlcheck.architectures.architecture import Architecture, Node
from pytest_dlcheck.architectures.observation import FormSeen, ModelsSeen, Run
from pytest_dlcheck.architectures.properties import PROPERTIES
from pytest_dlcheck.architectures.ways import lengthened, takes_any_length
from pytest_dlcheck.cases.case import Build, Tensor
from pytest_dlcheck.observe.layer_observation import Value
from pytest_dlcheck.properties.verdict import PASS

Needs = Callable[..., None]

DENSE = Build("keras.layers.Dense", {"units": 2})
LSTM = Build("keras.layers.LSTM", {"units": 2, "return_sequences": True})


def chain(*layers: Any, shape: tuple[int, ...] = (2, 3, 2)) -> Architecture:
    nodes = tuple(Node(index, (index,)) for index in range(len(layers)))
    return Architecture((Tensor(shape),), layers, nodes, (len(layers),))


def wrapped(name: str, inner: Build) -> Build:
    return Build(f"keras.layers.{name}", {"layer": inner})


@pytest.mark.parametrize(
    ("architecture", "any_length"),
    [
        (chain(LSTM, DENSE), True),
        (chain(wrapped("Bidirectional", LSTM), wrapped("TimeDistributed", DENSE)), True),
        (chain(chain(LSTM), DENSE), True),
        (chain(Build("keras.layers.LSTM", {"units": 2, "unroll": True})), False),
        (chain(wrapped("TimeDistributed", Build("keras.layers.Flatten"))), False),
        (chain(Build("keras.layers.Flatten"), DENSE), False),
        (chain(Build("keras.layers.LayerNormalization", {"axis": 1})), False),
        (chain(Build("keras.layers.LayerNormalization")), True),
        (chain(DENSE, shape=(2, 3)), False),
    ],
)
def test_which_models_take_sequences_of_any_length(architecture: Architecture, any_length: bool) -> None:
    assert takes_any_length(architecture) is any_length


def test_only_the_length_grows() -> None:
    assert lengthened(chain(LSTM)).inputs[0].shape == (2, 5, 2)
    assert lengthened(chain(LSTM)).layers == (LSTM,)


# Planted observations.


def value(*numbers: float) -> Value:
    return Value("float32", np.array([numbers], dtype="float32"))


def form(*numbers: float, mask: Any = None, predicted: tuple[float, ...] | None = None) -> FormSeen:
    out = [value(*numbers)]
    given = out if predicted is None else [value(*predicted)]
    return FormSeen(0, {}, (), None, Run(out, [mask], (), out, [], {}, {}, given))


def longer(other: FormSeen) -> ModelsSeen:
    inner = ModelsSeen("float32", forms={"fresh subclass": form(1, 2, 3), "open sizes": other})
    inner.moved = [form(1, 2, 3).run]
    return ModelsSeen("float32", longer=inner)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (form(1, 2, 3), ""),
        (form(1, 2, 4), "outputs of the open sizes"),
        (form(1, 2), "shape (1, 2) instead of (1, 3)"),
        (form(1, 2, 3, mask=np.array([True])), "carries a mask"),
        (form(1, 2, 3, predicted=(1, 2, 2)), "predict_on_batch"),
    ],
)
def test_longer_inputs(other: FormSeen, said: str) -> None:
    verdict = PROPERTIES["longer"](longer(other))
    assert verdict is not None
    assert (verdict.outcome == PASS) is (said == "")
    assert said in verdict.message


# Planted in a real framework.

MINE = """
import numpy as np
import pytest

from pytest_dlcheck.architectures.architecture import Architecture, Node
from pytest_dlcheck.architectures.check import judge_architecture
from pytest_dlcheck.cases.case import Build, Tensor
from pytest_dlcheck.properties.verdict import HARMLESS


def chain(*layers, shape=(2, 3, 2), seed=0):
    nodes = tuple(Node(index, (index,)) for index in range(len(layers)))
    return Architecture((Tensor(shape),), layers, nodes, (len(layers),), seed=seed)


def layer(name, **arguments):
    return Build(f"keras.layers.{name}", arguments)


LAYERS = layer("LSTM", units=3, return_sequences=True), layer("Dense", units=2), layer("Dense", units=2, activation="tanh")
MODEL = chain(*LAYERS)


def said(model, backend):
    found = judge_architecture(model, backend)
    return {name: verdict.message for name, verdict in found.items() if verdict.outcome not in HARMLESS}, found


def test_a_sound_model_passes(backend):
    wrong, found = said(MODEL, backend)
    assert not wrong, wrong
    assert {"longer", "summary", "get_layer"} <= set(found)


def planted(monkeypatch, backend, name, call):
    kind = getattr(backend.keras.layers, name)
    monkeypatch.setattr(kind, "call", call(kind.call))


def test_a_layer_that_remembers_a_length_is_seen(backend, monkeypatch):
    # It computes with the length that it saw first: right on every input of that length.

    def remembering(call):
        def run(self, x, *args, **kwargs):
            if x.shape[1] is not None and not hasattr(self, "_steps"):
                self._steps = x.shape[1]
            return call(self, x / (self._steps if hasattr(self, "_steps") else 3), *args, **kwargs)

        return run

    planted(monkeypatch, backend, "Dense", remembering)
    wrong, _ = said(MODEL, backend)
    assert set(wrong) == {"longer"}, wrong


def test_sizes_that_cannot_be_left_open_are_seen(backend, monkeypatch):
    build = backend.keras.layers.Dense.build

    def refusing(self, input_shape):
        if input_shape[1] is None:
            raise ValueError("no length")
        build(self, input_shape)

    monkeypatch.setattr(backend.keras.layers.Dense, "build", refusing)
    wrong, _ = said(MODEL, backend)
    assert set(wrong) == {"accepts"} and "the model of open sizes" in wrong["accepts"], wrong


def test_a_model_that_build_leaves_with_other_layers_is_seen(backend, monkeypatch):
    build = backend.keras.Sequential.build

    def planted(self, *args, **kwargs):
        if not isinstance(self._layers[0], backend.keras.layers.InputLayer):
            self._layers[-1].activation = backend.keras.activations.linear
        build(self, *args, **kwargs)

    monkeypatch.setattr(backend.keras.Sequential, "build", planted)
    wrong, _ = said(MODEL, backend)
    assert "built by" in wrong["outputs"], wrong
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_planted_in_a_framework(pytester: pytest.Pytester, needs: Needs, backend: str) -> None:
    needs(backend)
    pytester.makepyfile(MINE)
    done = pytester.run(sys.executable, "-m", "pytest", "-q", "--dl-backend", backend, "-n0", "-p", "no:warnings")
    assert done.ret == 0, "\n".join(done.outlines)
    done.stdout.fnmatch_lines([f"*{MINE.count('def test_')} passed*"])
