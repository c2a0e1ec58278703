"""Specs of the convolutional recurrent layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Case, map_tensors
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import recurrent as references
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.identities import compute_dtype, of_array
from pytest_dlcheck.subjects.layers.recurrent_drawing import (
    GATES,
    cell_activation,
    dropout,
    masked,
    sequence_arguments,
    state,
    weights_of_cell,
)
from pytest_dlcheck.subjects.layers.recurrent_rules import (
    FORGET_BIAS,
    LAST_OF_SEQUENCE,
    MASKED_STEPS,
    MORE_PADDING,
    REVERSED,
    is_random,
    is_stateful,
)
from pytest_dlcheck.subjects.spec import Identity, LayerSpec, World

__all__ = ["SPECS"]

Array = NDArray[Any]

MOST_STEPS = 3


def _conv_lstm(rank: int) -> Callable[[Draw], None]:
    def draw(d: Draw) -> None:
        filters = d.set("filters", d.choice([1, 2, 3]))
        kernel = d.set("kernel_size", _smaller(d.per_axis(rank, [1, 2, 3]), rank))
        data_format = d.data_format()
        padding = d.option("padding", ["same", "valid", "SAME"], default="valid", one_in=2)
        strides: Any = 1
        dilation: Any = 1
        if d.flag():  # the two do not go together
            strides = d.option("strides", lambda: d.per_axis(rank, [1, 2]), default=1)
        else:
            dilation = d.option("dilation_rate", lambda: d.per_axis(rank, [1, 2]), default=1)
        cell_activation(d, extra=[None, "selu"])
        d.option("recurrent_activation", GATES)
        weights_of_cell(d)
        d.option("unit_forget_bias", [False, True])
        d.option("activity_regularizer", ["l2"], one_in=6)
        dropout(d)
        sequence_arguments(d, unrolls=False)
        d.common_options()
        if d.flag(6):
            d.weights_seed = None
        reach = [(k - 1) * r + 1 for k, r in zip(_each(kernel, rank), _each(dilation, rank), strict=True)]
        spatial = tuple(d.size() if padding.lower() == "same" else n + d.choice([0, 1, 2]) for n in reach)
        batch, channels = d.choice([2, 1, 3]), d.choice([1, 2])
        shape = d.image(batch, spatial, channels, data_format)
        d.inputs = d.floats((batch, min(d.size(), MOST_STEPS), *shape[1:]))
        if d.flag(4):
            sizes = [
                -(-n // s) if padding.lower() == "same" else (n - r) // s + 1
                for n, s, r in zip(spatial, _each(strides, rank), reach, strict=True)
            ]
            of_state = d.image(batch, sizes, filters, data_format)
            d.call["initial_state"] = [state(d, *of_state), state(d, *of_state)]
        masked(d)

    return draw


def _each(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _smaller(kernel: Any, rank: int) -> Any:
    """In three dimensions, a window of two in each is large enough."""
    if rank < 3:
        return kernel
    return min(kernel, 2) if isinstance(kernel, int) else tuple(min(size, 2) for size in kernel)


def _data_format(case: Case) -> str:
    return str(case.arguments.get("data_format") or case.settings.get("image_data_format", "channels_last"))


def _channels_last(case: Case) -> Case | None:
    """Only to the format that works everywhere."""
    if _data_format(case) != "channels_first" or is_stateful(case):
        return None

    def last(values: Array, place: int) -> Array:
        return np.moveaxis(values, place, -1)

    dtype = compute_dtype(case)
    changed = case.with_arguments(data_format="channels_last").replace(
        inputs=map_tensors(lambda tensor: of_array(last(make(tensor, dtype), 2)), case.inputs)
    )
    states = case.call.get("initial_state")
    if states is None:
        return changed
    moved = [of_array(last(make(tensor, dtype), 1)) for tensor in states]
    return changed.replace(call={**case.call, "initial_state": moved})


def _channels_last_outputs(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    sequence = bool(case.arguments.get("return_sequences"))
    return [np.moveaxis(output, 2 if sequence and not place else 1, -1) for place, output in enumerate(outputs)]


def _one_dimension_more(rank: int) -> Callable[[Case], Case | None]:
    """The same with a first axis of size one."""

    def other(case: Case) -> Case | None:
        if is_stateful(case):
            return None  # what it remembers is given with the weights, and would need the axis too
        dtype = compute_dtype(case)
        at = 3 if _data_format(case) == "channels_first" else 2

        def wider(value: Any) -> Any:
            return (1, *_each(value, rank))

        changed = case.replace(
            subject=f"keras.layers.ConvLSTM{rank + 1}D",
            inputs=map_tensors(lambda tensor: of_array(np.expand_dims(make(tensor, dtype), at)), case.inputs),
        )
        spread = ("kernel_size", "strides", "dilation_rate")
        changed = changed.with_arguments(**{name: wider(case.arguments[name]) for name in spread if name in case.arguments})
        states = case.call.get("initial_state")
        if states is None:
            return changed
        moved = [of_array(np.expand_dims(make(tensor, dtype), at - 1)) for tensor in states]
        return changed.replace(call={**case.call, "initial_state": moved})

    return other


def _wider_weights(case: Case, weights: Sequence[Array]) -> Sequence[Array]:
    del case
    return [weight[None] if weight.ndim > 1 else weight for weight in weights]


def _wider_outputs(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    at = 2 if _data_format(case) == "channels_first" else 1
    sequence = bool(case.arguments.get("return_sequences"))
    return [np.expand_dims(output, at + (sequence and not place)) for place, output in enumerate(outputs)]


def _unsupported(case: Case, world: World) -> str | None:
    # Keras compiles 3D convolutions with XLA, which does take it.
    flat = len(case.inputs.shape) < 6
    if flat and world.by_eigen(case) and _data_format(case) == "channels_first":
        return "TensorFlow: the Conv2D op currently only supports the NHWC tensor format on the CPU"
    return None


def _spec(rank: int) -> LayerSpec:
    wider = (
        (Identity("is_one_dimension_more", _one_dimension_more(rank), _wider_outputs, weights=_wider_weights),)
        if rank < 3
        else ()
    )
    return LayerSpec(
        f"ConvLSTM{rank}D",
        _conv_lstm(rank),
        references.layer_reference(f"ConvLSTM{rank}D"),
        f"https://keras.io/api/layers/recurrent_layers/conv_lstm{rank}d/",
        random=is_random,
        stateful=is_stateful,
        scale=1.0,
        laws=(FORGET_BIAS,),
        unsupported=_unsupported,
        exempt={"bias_initializer": "unit_forget_bias overrides it: the law first_bias says how"},
        identities=(
            REVERSED,
            MASKED_STEPS,
            MORE_PADDING,
            LAST_OF_SEQUENCE,
            Identity("channels_first_is_channels_last", _channels_last, _channels_last_outputs),
            *wider,
        ),
    )


SPECS: tuple[LayerSpec, ...] = tuple(_spec(rank) for rank in (1, 2, 3))
