"""Wrappers in float64: what they do with the layer inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Build
from pytest_dlcheck.references.activations import activation, softmax
from pytest_dlcheck.references.layers import recurrent
from pytest_dlcheck.subjects.spec import Call, Expected

__all__ = ["bidirectional", "inner", "spectral_normalization", "time_distributed"]

Array = NDArray[Any]

_MERGES: Mapping[str, Callable[[Array, Array], Array]] = {
    "sum": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "ave": lambda a, b: (a + b) / 2,
    "concat": lambda a, b: np.concatenate([a, b], axis=-1),
}


def bidirectional(call: Call) -> Expected:
    """Two runs, one from the end, the second one's outputs turned back to the order of the first, and the two merged.

    Outputs of masked steps in a sequence are zero (https://keras.io/api/layers/recurrent_layers/bidirectional/).
    """
    forward: Build = call["layer"]
    given: Build | None = call["backward_layer"]
    backward = Build(forward.path, {**forward.arguments, "go_backwards": True}) if given is None else given
    mask, attached = recurrent.mask_of(call)
    initial = recurrent.initial_of(call)
    weights = recurrent.WeightsInOrder(call.weights, call.rounded)
    halves: tuple[Any, Any] = (None, None)
    if initial is not None:
        halves = initial[: len(initial) // 2], initial[len(initial) // 2 :]
    with np.errstate(over="ignore"):
        first, second = (
            recurrent.layer_of(
                each.path.rpartition(".")[2],
                each.arguments,
                weights,
                call.inputs,
                initial=half,
                mask=mask,
                channels_first=call.channels_first,
                zero_masked=True,
            )
            for each, half in zip((forward, backward), halves, strict=True)
        )
    sequence = forward.arguments.get("return_sequences", False)
    one, other = (first.outputs, second.outputs[:, ::-1]) if sequence else (first.last, second.last)
    outputs = [one, other] if call["merge_mode"] is None else [_MERGES[call["merge_mode"]](one, other)]
    states = [*first.states, *second.states]
    if forward.arguments.get("return_state", False):
        outputs += states
    carried = mask if sequence else None
    if carried is not None and forward.arguments.get("go_backwards"):
        carried = carried[:, ::-1]
    return Expected(
        outputs,
        mask=carried,
        checks_mask=attached,
        state=dict(zip(recurrent.remembered(call.weights), states, strict=False)),
    )


# Layers inside, each by its formula in the documentation of its own.


def _dense(arguments: Mapping[str, Any], weights: recurrent.WeightsInOrder) -> Callable[[Array, Array | None], Array]:
    kernel = weights.take("kernel")
    bias = weights.take("bias") if arguments.get("use_bias", True) else 0.0
    f = activation(arguments.get("activation"))
    return lambda x, mask: f(x @ kernel + bias)


def _conv(arguments: Mapping[str, Any], weights: recurrent.WeightsInOrder) -> Callable[[Array, Array | None], Array]:
    kernel = weights.take("kernel")
    bias = weights.take("bias") if arguments.get("use_bias", True) else 0.0
    ones = (1,) * (kernel.ndim - 2)
    padding = arguments.get("padding", "valid")
    return lambda x, mask: recurrent.convolved(x, kernel, ones, padding, ones) + bias


def _embedding(arguments: Mapping[str, Any], weights: recurrent.WeightsInOrder) -> Callable[[Array, Array | None], Array]:
    del arguments
    table = weights.take("embeddings")
    return lambda x, mask: table[x.astype(int)]


def _softmax(arguments: Mapping[str, Any], weights: recurrent.WeightsInOrder) -> Callable[[Array, Array | None], Array]:
    """Over the last axis; what the mask leaves out gets none."""
    del arguments, weights
    return lambda x, mask: softmax(x if mask is None else np.where(mask, x, -np.inf))


def _sequence(kind: str) -> Callable[..., Callable[[Array, Array | None], Array]]:
    def made(arguments: Mapping[str, Any], weights: recurrent.WeightsInOrder) -> Callable[[Array, Array | None], Array]:
        kept: list[tuple[str, Array]] = []

        def call(x: Array, mask: Array | None) -> Array:
            if not kept:
                kept.extend((name, weights.take(name)) for name in ("kernel", "recurrent_kernel"))
                if arguments.get("use_bias", True):
                    kept.append(("bias", weights.take("bias")))
            found = recurrent.layer_of(kind, arguments, recurrent.WeightsInOrder(dict(kept), weights.rounded), x, mask=mask)
            return found.outputs if arguments.get("return_sequences", False) else found.last

        return call

    return made


_INNER: Mapping[str, Callable[..., Callable[[Array, Array | None], Array]]] = {
    "Dense": _dense,
    "Conv1D": _conv,
    "Conv2D": _conv,
    "Embedding": _embedding,
    "Softmax": _softmax,
    "Flatten": lambda arguments, weights: lambda x, mask: x.reshape(len(x), -1),
    "Activation": lambda arguments, weights: lambda x, mask: activation(arguments["activation"])(x),
    "Rescaling": lambda arguments, weights: lambda x, mask: x * arguments["scale"] + arguments.get("offset", 0.0),
    "Dropout": lambda arguments, weights: lambda x, mask: x,
    "SimpleRNN": _sequence("SimpleRNN"),
    "LSTM": _sequence("LSTM"),
    "GRU": _sequence("GRU"),
    "TimeDistributed": lambda arguments, weights: _over_time(inner(arguments["layer"], weights)),
}
"""Dropout is here as it is in inference; in training a case with one is random."""


def inner(layer: Build, weights: recurrent.WeightsInOrder) -> Callable[[Array, Array | None], Array]:
    """The layer inside, as a function of its input and of the mask that the wrapper hands on."""
    return _INNER[layer.path.rpartition(".")[2]](layer.arguments, weights)


def _over_time(layer: Callable[[Array, Array | None], Array]) -> Callable[[Array, Array | None], Array]:
    def applied(x: Array, mask: Array | None) -> Array:
        steps = range(x.shape[1])
        return np.stack([layer(x[:, time], None if mask is None else mask[:, time]) for time in steps], axis=1)

    return applied


def time_distributed(call: Call) -> Expected:
    """The same layer applied to each step (https://keras.io/api/layers/recurrent_layers/time_distributed/).

    The mask's part for a step is handed to a layer that takes one; here that is Softmax alone.
    """
    mask, attached = recurrent.mask_of(call)
    layer: Build = call["layer"]
    takes = layer.path.endswith((".Softmax", ".SimpleRNN", ".LSTM", ".GRU"))
    output = _over_time(inner(layer, recurrent.WeightsInOrder(call.weights, call.rounded)))(
        call.inputs, mask if takes else None
    )
    return Expected(output, mask=mask, checks_mask=attached)


def spectral_normalization(call: Call) -> Expected:
    """In training the kernel is first divided by its largest singular value, as power iteration estimates it.

    With W the kernel as a matrix of shape (-1, outputs): v = u W^T / |.|, u = v W / |.|, repeated; sigma = v W u^T
    (T. Miyato et al., arXiv:1802.05957, algorithm 1; https://keras.io/api/layers/normalization_layers/spectral_normalization/).
    """
    layer: Build = call["layer"]
    name = "embeddings" if layer.path.endswith(".Embedding") else "kernel"
    weights = {each.rpartition("/")[2]: array for each, array in call.weights.items()}
    if call.training and np.any(weights[name]):
        matrix, u = weights[name].reshape(-1, weights[name].shape[-1]), weights["vector_u"]
        for _ in range(call["power_iterations"]):
            v = u @ matrix.T
            v = v / np.linalg.norm(v)
            u = v @ matrix
            u = u / np.linalg.norm(u)
        weights |= {name: weights[name] / (v @ matrix @ u.T).item(), "vector_u": u}
    of_layer = {each: array for each, array in weights.items() if each != "vector_u"}
    output = inner(layer, recurrent.WeightsInOrder(of_layer, call.rounded))(call.inputs, None)
    return Expected(output, state={name: weights[name], "vector_u": weights["vector_u"]})
