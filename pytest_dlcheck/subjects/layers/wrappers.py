"""Specs of layers that wrap others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Build, Case
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import wrappers as references
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.identities import compute_dtype, of_array
from pytest_dlcheck.subjects.layers.recurrent_drawing import (
    KINDS,
    built,
    layer_arguments,
    masked,
    rnn_arguments,
    sequences,
    stacked_states,
    states_of,
)
from pytest_dlcheck.subjects.layers.recurrent_rules import (
    MASKED_STEPS,
    is_random,
    is_stateful,
    mapped_steps,
)
from pytest_dlcheck.subjects.spec import Identity, LayerSpec

__all__ = ["SPECS"]

Array = NDArray[Any]

MERGES = ("concat", "sum", "mul", "ave", None)


# Bidirectional.


def _bidirectional(d: Draw) -> None:
    kind = d.choice([*KINDS, "RNN"])
    path = f"keras.layers.{kind}"
    stack: list[Build] = []

    def forward(d: Draw) -> None:
        if kind == "RNN":
            stack.extend(rnn_arguments(d))
        else:
            layer_arguments(d, kind)
        d.arguments.pop("go_backwards", None)

    layer = d.set("layer", built(d, path, forward))
    if kind != "RNN" and d.flag(4):
        layer = _given_backward(d, kind, layer)
    d.option("merge_mode", MERGES, one_in=2)
    d.common_options()
    sequences(d)
    if d.flag(4):
        batch = d.inputs.shape[0]
        if kind == "RNN":
            both = [stacked_states(d, stack, batch) for _ in range(2)]
            d.call["initial_state"] = [*both[0], *both[1]] if len(stack) > 1 or _is_stack(layer) else [*both[0][0], *both[1][0]]
        else:
            units = layer.arguments["units"]
            states = [states_of(d, kind, batch, units) for _ in range(2)]
            d.call["initial_state"] = [each for half in states for each in (half if isinstance(half, list) else [half])]
    masked(d)


def _is_stack(layer: Build) -> bool:
    cell = layer.arguments["cell"]
    return not isinstance(cell, Build) or cell.path.endswith("StackedRNNCells")


def _given_backward(d: Draw, kind: str, layer: Build) -> Build:
    """A backward layer of its own: alike in what it returns, and turned the other way; returns the forward layer."""
    shared = {
        name: layer.arguments[name] for name in ("return_sequences", "return_state", "stateful") if name in layer.arguments
    }

    def backward(d: Draw) -> None:
        layer_arguments(d, kind, layer.arguments["units"])
        for name in ("return_sequences", "return_state", "go_backwards", "stateful"):
            d.arguments.pop(name, None)
        d.arguments.update(shared)

    other = built(d, layer.path, backward)
    if d.flag(3):  # the first one backwards, the second one forwards
        layer = d.set("layer", Build(layer.path, {**layer.arguments, "go_backwards": True}))
    else:
        other = Build(other.path, {**other.arguments, "go_backwards": True})
    d.set("backward_layer", other)
    return layer


def _merged_apart(case: Case) -> Case | None:
    """The two outputs by themselves."""
    return None if case.arguments.get("merge_mode", "concat") is not None else case.with_arguments(merge_mode="concat")


def _joined(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    del case
    return [np.concatenate(outputs[:2], axis=-1), *outputs[2:]]


def _turned(case: Case) -> Case | None:
    """The sequence from its end, with the weights of the two layers exchanged."""
    if "backward_layer" in case.arguments or is_stateful(case) or "initial_state" in case.call:
        return None
    return mapped_steps(case, lambda x: x[:, ::-1])


def _weights_exchanged(case: Case, weights: Sequence[Array]) -> Sequence[Array]:
    del case
    half = len(weights) // 2
    return [*weights[half:], *weights[:half]]


def _outputs_exchanged(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    inner: Build = case.arguments["layer"]
    mode = case.arguments.get("merge_mode", "concat")
    count = 2 if mode is None else 1
    merged, states = list(outputs[:count]), list(outputs[count:])
    if inner.arguments.get("return_sequences"):
        merged = [output[:, ::-1] for output in merged]
    if mode is None:
        merged.reverse()
    elif mode == "concat":
        merged = [np.concatenate(np.split(merged[0], 2, axis=-1)[::-1], axis=-1)]
    half = len(states) // 2
    return [*merged, *states[half:], *states[:half]]


# TimeDistributed.


def _time_distributed(d: Draw) -> None:
    kind = d.choice(
        [
            "Dense",
            "Flatten",
            "Conv1D",
            "Softmax",
            "Activation",
            "Rescaling",
            "LSTM",
            "GRU",
            "Conv2D",
            "Dropout",
            "TimeDistributed",
        ]
    )
    rank = {"Conv1D": 4, "LSTM": 4, "GRU": 4, "Conv2D": 5, "TimeDistributed": 4}.get(kind) or d.choice([3, 4])
    d.set("layer", _distributed(d, kind))
    d.common_options()
    if kind == "Conv2D":
        d.inputs = d.floats((d.choice([2, 1]), d.choice([2, 3, 1]), *(2 + d.integer(0, 1) for _ in range(2)), 2))
    elif kind == "Conv1D":
        d.inputs = d.floats((*d.shape(2), 2 + d.integer(0, 2), d.choice([2, 1])))
    else:
        d.inputs = d.floats(d.shape(rank))
    if kind not in {"LSTM", "GRU", "TimeDistributed", "Softmax"} and d.flag(3):
        batch, steps = d.inputs.shape[:2]
        mask = d.padding(batch, steps) if d.flag() else d.bools((batch, steps))
        if d.flag():
            d.masks = (mask,)
        else:
            d.call["mask"] = mask


def _distributed(d: Draw, kind: str) -> Build:
    def arguments(d: Draw) -> None:
        if kind == "Dense":
            d.set("units", d.size())
            d.option("activation", ["relu", "tanh"])
            d.option("use_bias", [False])
        elif kind in {"Conv1D", "Conv2D"}:
            d.set("filters", d.size())
            d.set("kernel_size", d.choice([1, 2]))
            d.option("padding", ["same", "valid"])
            d.set("data_format", "channels_last")
        elif kind in {"LSTM", "GRU"}:
            d.set("units", d.size())
            d.option("return_sequences", [True])
            d.option("go_backwards", [True])
            d.option("dropout", [0.5], one_in=5)
        elif kind == "Activation":
            d.set("activation", d.choice(["tanh", "relu", "sigmoid"]))
        elif kind == "Rescaling":
            d.set("scale", 0.5)
            d.option("offset", [1.0, -0.25])
        elif kind == "Dropout":
            d.set("rate", 0.5)
            d.option("seed", [0, 1])
        elif kind == "TimeDistributed":
            d.set("layer", _distributed(d, d.choice(["Dense", "Activation"])))

    return built(d, f"keras.layers.{kind}", arguments)


def _drops(case: Case, training: bool) -> bool:
    layer: Build = case.arguments["layer"]
    return training and (layer.path.endswith(".Dropout") or is_random(case, training))


def _as_more_samples(case: Case) -> Case | None:
    """All steps at once, as samples of the layer inside."""
    layer: Build = case.arguments["layer"]
    shape = case.inputs.shape
    if "mask" in case.call or case.masks is not None:
        return None
    flat = make(case.inputs, compute_dtype(case)).reshape(-1, *shape[2:])
    arguments = {name: value for name, value in layer.arguments.items() if name != "dtype"}
    if layer.path.endswith(".TimeDistributed") and flat.ndim < 3:
        return None
    return case.replace(subject=layer.path, arguments=arguments, inputs=of_array(flat), masks=None)


def _as_samples(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    del case
    return [output.reshape(-1, *output.shape[2:]) for output in outputs]


# SpectralNormalization.


def _spectral(d: Draw) -> None:
    kind = d.choice(["Dense", "Conv1D", "Conv2D", "Embedding"])

    def arguments(d: Draw) -> None:
        if kind == "Embedding":
            d.set("input_dim", 4)
            d.set("output_dim", d.size())
            return
        d.set("units" if kind == "Dense" else "filters", d.size())
        if kind != "Dense":
            d.set("kernel_size", d.choice([1, 2]))
            d.option("padding", ["same"])
            d.set("data_format", "channels_last")
        else:
            d.option("activation", ["relu", "tanh"])
        d.option("use_bias", [False])

    d.set("layer", built(d, f"keras.layers.{kind}", arguments))
    d.option("power_iterations", [2, 3, 1, 10])
    d.common_options()
    if kind == "Embedding":
        d.inputs = d.integers(d.shape(2), 0, 3)
    elif kind == "Dense":
        d.inputs = d.floats(d.shape(d.choice([2, 3])))
    else:
        spatial = tuple(2 + d.integer(0, 2) for _ in range(1 if kind == "Conv1D" else 2))
        d.inputs = d.floats((d.size(), *spatial, d.choice([2, 1])))


SPECS: tuple[LayerSpec, ...] = (
    LayerSpec(
        "Bidirectional",
        _bidirectional,
        references.bidirectional,
        "https://keras.io/api/layers/recurrent_layers/bidirectional/",
        random=is_random,
        stateful=is_stateful,
        scale=1.0,
        identities=(
            MASKED_STEPS,
            Identity("none_is_concat_apart", _merged_apart, _joined),
            Identity("turned_sequence_exchanges_the_layers", _turned, _outputs_exchanged, weights=_weights_exchanged),
        ),
        not_drawn={"weights": "in no documentation, and in no config"},
    ),
    LayerSpec(
        "TimeDistributed",
        _time_distributed,
        references.time_distributed,
        "https://keras.io/api/layers/recurrent_layers/time_distributed/",
        random=_drops,
        stateful=is_stateful,
        scale=1.0,
        identities=(Identity("steps_are_samples", _as_more_samples, _as_samples),),
    ),
    LayerSpec(
        "SpectralNormalization",
        _spectral,
        references.spectral_normalization,
        "https://keras.io/api/layers/normalization_layers/spectral_normalization/",
    ),
    LayerSpec(
        "Wrapper",
        _spectral,
        source="https://keras.io/api/layers/base_layer/",
        abstract="the base class of wrappers, which its documentation says is not to be used as a layer",
    ),
)
