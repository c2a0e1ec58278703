"""Other ways to build a model, what is done to one, and what the properties say of planted observations of these."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from planted_models import LISTING, MIDDLE, START, STEP, THAWED, value

from pytest_dlcheck.architectures.architecture import Architecture, Node
from pytest_dlcheck.architectures.observation import FormSeen, ModelsSeen, Run
from pytest_dlcheck.architectures.properties import PROPERTIES
from pytest_dlcheck.architectures.surgery import middles
from pytest_dlcheck.architectures.ways import lengthened, takes_any_length
from pytest_dlcheck.cases.case import Build, Tensor
from pytest_dlcheck.observe.layer_observation import Raised, Value
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


ADD = Build("keras.layers.Add")
BRANCHES = Architecture(
    (Tensor((2, 3)), Tensor((2, 3))),
    (DENSE, DENSE, ADD, chain(DENSE), DENSE),
    # t0 and t1 of the inputs, t2 their sum, t3 a nested model of it, t4 of that and t0
    (Node(0, (0,)), Node(1, (1,)), Node(2, (2, 3)), Node(3, (4,)), Node(2, (5, 2))),
    (6,),
)


def test_what_can_be_cut_out_of_the_middle() -> None:
    assert middles(chain(DENSE, DENSE, DENSE)) == [((1,), 2), ((1,), 3), ((2,), 3)]
    assert middles(chain(DENSE)) == [], "one layer has no middle"
    shared = chain(DENSE, DENSE).replace(nodes=(Node(0, (0,)), Node(0, (1,))))
    assert middles(shared) == [], "of a layer that is called twice no output is the output"
    once = BRANCHES.replace(layers=(*BRANCHES.layers[:4], ADD), nodes=(*BRANCHES.nodes[:4], Node(4, (5, 2))))
    # From t0 and an input, from both branches, or from the sum, to the sum or to the end: none at the nested model.
    assert middles(once) == [((1, 2), 4), ((1, 2), 6), ((2, 3), 4), ((2, 3), 6), ((2, 4), 6)]


def observed(**found: Any) -> ModelsSeen:
    seen = ModelsSeen("float32", forms={"functional": form(1, 2)})
    seen.moved = [form(1 + 1e-7, 2).run]
    for name, each in found.items():
        setattr(seen, name, each)
    return seen


def middle(**changes: Any) -> dict[str, Any]:
    return {"middle": dataclasses.replace(MIDDLE, **changes)}


def thawed(**changes: Any) -> dict[str, Any]:
    return {"thawed": dataclasses.replace(THAWED, **changes)}


GRAPH = "subclass model inside a graph function"


@pytest.mark.parametrize(
    ("name", "planted", "said"),
    [
        ("middle", middle(), ""),
        ("middle", middle(part=[value(1, 3)]), "the part gives other values"),
        ("middle", middle(part=[]), "0 outputs and not 1"),
        ("middle", middle(again=[value(2, 2)]), "the config of the part gives other values"),
        ("middle", middle(parameters=(9, 6)), "the part counts 9 parameters, and its layers have 6"),
        ("middle", middle(parameters=(6, 9)), "the config of the part counts 9"),
        ("middle", {"middle": Raised("ValueError", "no graph", "the model cut out of the middle")}, "no graph"),
        ("middle_keeps_whole", middle(), ""),
        ("middle_keeps_whole", middle(changed="is another"), "the config of the whole model is another"),
        ("inside", {"inside": {GRAPH: [value(1, 2)]}}, ""),
        ("inside", {"inside": {GRAPH: [value(1 + 3e-7, 2)]}}, ""),
        ("inside", {"inside": {GRAPH: [value(1 + 1e-4, 2)]}}, "outputs of the subclass model inside a graph function"),
        ("inside", {"inside": {GRAPH: [Value("float16", value(1, 2).array)]}}, "float16 instead of float32"),
        ("inside", {"inside": {GRAPH: Raised("TypeError", "a symbolic tensor", "the call")}}, "a symbolic tensor"),
        ("thawed", thawed(), ""),
        ("thawed", thawed(kept=("a", "b")), "should not be trainable, or should and are not: a"),
        ("thawed", thawed(kept=()), "should not be trainable, or should and are not: b"),
        ("thawed", thawed(without=STEP), "with l0 frozen, training moves a"),
        ("thawed", thawed(without={"a": START["a"], "b": np.array([3.4])}), "after a step, b, l0 frozen"),
        ("thawed", thawed(without={"a": START["a"], "b": np.array([3.4])}, comparable=False), ""),
        ("thawed", thawed(after=("b",)), "with l0 thawed, these are not trainable: a"),
        ("thawed", thawed(back={**STEP, "a": START["a"]}), "after a step, a, l0 thawed"),
        ("thawed", thawed(back={**STEP, "b": np.array([3.4])}, comparable=False), "after a step, b, l0 thawed"),
        (
            "thawed",
            thawed(listing=dataclasses.replace(LISTING, totals={"total": 3, "trainable": 3, "non-trainable": 0})),
            "summary says",
        ),
        ("thawed", thawed(listing=Raised("KeyError", "l0", "summary and get_layer")), "KeyError"),
        ("accepts", {"thawed": Raised("ValueError", "no step", "one layer frozen and thawed")}, "no step"),
    ],
)
def test_what_is_done_to_a_model(name: str, planted: dict[str, Any], said: str) -> None:
    verdict = PROPERTIES[name](observed(**planted))
    assert verdict is not None
    assert (verdict.outcome == PASS) is (said == ""), verdict.message
    assert said in verdict.message


def test_a_thawed_layer_that_differs_in_the_last_bit_is_judged_by_moved_steps() -> None:
    back = {**STEP, "a": STEP["a"] + 1e-7}
    near = {**STEP, "a": STEP["a"] + 2e-8}
    assert PROPERTIES["thawed"](observed(**thawed(back=back, moved=[near]))).outcome == PASS  # type: ignore[union-attr]
    assert PROPERTIES["thawed"](observed(**thawed(back=back))).outcome != PASS  # type: ignore[union-attr]


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
    assert {"longer", "summary", "get_layer", "middle", "thawed"} <= set(found)
    assert ("inside" in found) == (backend.name != "torch")


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


def test_a_layer_that_thaws_by_halves_is_seen(backend, monkeypatch):
    keras = backend.keras
    trainable = keras.layers.Layer.trainable

    class Planted(keras.layers.Dense):
        @property
        def trainable(self):
            return trainable.fget(self)

        @trainable.setter
        def trainable(self, value):
            trainable.fset(self, value)
            if self.built and value:
                self.bias.trainable = False

    monkeypatch.setattr(keras.layers, "Dense", Planted)
    wrong, _ = said(MODEL.replace(seed=1), backend)
    assert "these are not trainable: l1/1:bias" in wrong["thawed"], wrong


def test_a_frozen_layer_that_is_trained_is_seen(backend, monkeypatch):
    keras = backend.keras

    class Planted(keras.layers.Dense):
        @property
        def trainable(self):
            return self._trainable

        @trainable.setter
        def trainable(self, value):
            self._trainable = value  # and its variables know nothing of it

    monkeypatch.setattr(keras.layers, "Dense", Planted)
    wrong, _ = said(MODEL.replace(seed=1), backend)
    assert "l1/0:kernel" in wrong["thawed"], wrong


def test_a_part_that_begins_elsewhere_is_seen(backend, monkeypatch):
    keras = backend.keras
    call = keras.layers.Dense.call

    def planted(self, x, *args, **kwargs):
        # What stands first in a graph is not what stands later in one.
        last = [node.parent_nodes[0].operation for node in self._inbound_nodes[-1:]]
        first = any(isinstance(each, keras.layers.InputLayer) for each in last)
        return call(self, x * 2 if first else x, *args, **kwargs)

    monkeypatch.setattr(keras.layers.Dense, "call", planted)
    wrong, _ = said(MODEL, backend)
    assert "middle" in wrong, wrong


def test_a_model_that_computes_something_else_in_a_graph_is_seen(backend, monkeypatch):
    if backend.name == "torch":
        pytest.skip("PyTorch has no function of that kind")
    call = backend.keras.layers.Dense.call

    def planted(self, x, *args, **kwargs):
        symbolic = "Tracer" in type(x).__name__ or "Symbolic" in type(x).__name__
        return call(self, x * 2 if symbolic else x, *args, **kwargs)

    monkeypatch.setattr(backend.keras.layers.Dense, "call", planted)
    wrong, _ = said(MODEL, backend)
    assert {"inside", "predict"} <= set(wrong), wrong
"""


# Where each model takes long to compile, what depends on the backend alone.
FEW = "sound or in_a_graph"


@pytest.mark.parametrize(("backend", "chosen", "count"), [("torch", "", 7), ("tensorflow", FEW, 2), ("jax", FEW, 2)])
def test_planted_in_a_framework(pytester: pytest.Pytester, needs: Needs, backend: str, chosen: str, count: int) -> None:
    needs(backend)
    pytester.makepyfile(MINE)
    options = ("-q", "-n0", "-p", "no:warnings", "-k", chosen)
    done = pytester.run(sys.executable, "-m", "pytest", "--dl-backend", backend, *options)
    assert done.ret == 0, "\n".join(done.outlines)
    done.stdout.fnmatch_lines([f"*{count} passed*"])
