"""Tiny models as plain data: between them they hold what a file can lose.

Weights that training moves and weights that it does not, random state, masks, shared and nested layers, several inputs and
outputs, learnt statistics, and classes and functions that Keras does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CHAIN", "CUSTOM", "IMAGE", "SHARED", "TEXT", "TINY", "Arrays", "Call", "Field", "Layer", "TinySpec", "by_name"]

Arrays = tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class Field:
    """One input or target: its shape without the batch, and, for integers, the number of values."""

    shape: tuple[int, ...]
    values: int | None = None

    @property
    def dtype(self) -> str:
        return "float32" if self.values is None else "int32"

    def draw(self, count: int, rng: np.random.Generator) -> NDArray[Any]:
        """Standard normal numbers, or integers from 0 on that leave none out that has a chance."""
        if self.values is None:
            return rng.normal(size=(count, *self.shape)).astype(np.float32)
        return rng.integers(0, self.values, size=(count, *self.shape)).astype(np.int32)


@dataclass(frozen=True)
class Layer:
    """A layer by its class and arguments.

    `kind` is a name in `keras.layers`, `Sequential` (of `parts`), or a name of `pytest_dlcheck.models.custom`. `parts` are
    layers within this one: of a `Sequential` its layers, of a wrapper the layer that it wraps.
    """

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Layer, ...] = ()


@dataclass(frozen=True)
class Call:
    """One step of a functional model: the layer `layer` is called on the values `of`, and gives the value `to`."""

    layer: str
    of: tuple[str, ...]
    to: str


@dataclass(frozen=True)
class TinySpec:
    """A model and how it is trained.

    Attributes:
        name: of the model; part of the subject's name in reports.
        inputs: by name, in order.
        layers: by name.
        calls: in order; a layer that is called twice is shared. Empty for a Sequential model, which takes the layers in order.
        outputs: the names of the values that the model gives.
        targets: one for each output.
        losses: one for each output, by the names that Keras knows them by.
        metrics: of the first output.
        adapted: the layers that learn from data before training.
        random: whether training draws random numbers (dropout). Its layers have seeds: without one PyTorch draws from a
            generator of the process.
        custom: whether it holds classes that Keras does not know.
    """

    name: str
    inputs: Mapping[str, Field]
    layers: Mapping[str, Layer]
    calls: tuple[Call, ...]
    outputs: tuple[str, ...]
    targets: tuple[Field, ...]
    losses: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()
    random: bool = False
    custom: bool = False

    def data(self, count: int, seed: int) -> tuple[Arrays, Arrays]:
        """Inputs and targets, one array each."""
        rng = np.random.default_rng(seed)
        x = tuple(each.draw(count, rng) for each in self.inputs.values())
        return x, tuple(each.draw(count, rng) for each in self.targets)


CHAIN = TinySpec(
    name="chain",
    inputs={"x": Field((6,))},
    layers={
        "first": Layer("Dense", {"units": 5, "activation": "relu"}),
        "normalization": Layer("BatchNormalization"),
        "dropout": Layer("Dropout", {"rate": 0.3, "seed": 11}),
        "last": Layer("Dense", {"units": 3, "activation": "softmax"}),
    },
    calls=(),
    outputs=("last",),
    targets=(Field((), 3),),
    losses=("sparse_categorical_crossentropy",),
    metrics=("sparse_categorical_accuracy",),
    random=True,
)

IMAGE = TinySpec(
    name="image",
    inputs={"x": Field((6, 6, 2))},
    layers={
        "convolution": Layer("Conv2D", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"}),
        "depthwise": Layer("DepthwiseConv2D", {"kernel_size": 2, "depth_multiplier": 2}),
        "pooling": Layer("GlobalAveragePooling2D"),
        "last": Layer("Dense", {"units": 2}),
    },
    calls=(),
    outputs=("last",),
    targets=(Field((2,)),),
    losses=("mean_squared_error",),
    metrics=("mean_absolute_error",),
)

TEXT = TinySpec(
    name="text",
    inputs={"words": Field((4,), 5)},
    layers={
        "embedding": Layer("Embedding", {"input_dim": 5, "output_dim": 3, "mask_zero": True}),
        "both_ways": Layer("Bidirectional", {}, (Layer("LSTM", {"units": 2}),)),
        "last": Layer("Dense", {"units": 2}),
    },
    calls=(),
    outputs=("last",),
    targets=(Field((2,)),),
    losses=("mean_squared_error",),
)

SHARED = TinySpec(
    name="shared",
    inputs={"left": Field((4,)), "right": Field((4,))},
    layers={
        "shared": Layer("Dense", {"units": 3, "activation": "tanh"}),
        "difference": Layer("Subtract"),
        "both": Layer("Concatenate"),
        "near": Layer("Dense", {"units": 1, "activation": "sigmoid"}),
        "far": Layer("Dense", {"units": 2}),
    },
    calls=(
        Call("shared", ("left",), "a"),
        Call("shared", ("right",), "b"),
        Call("difference", ("a", "b"), "c"),
        Call("both", ("a", "c"), "d"),
        Call("near", ("c",), "near"),
        Call("far", ("d",), "far"),
    ),
    outputs=("near", "far"),
    targets=(Field((1,), 2), Field((2,))),
    losses=("binary_crossentropy", "mean_squared_error"),
)

NESTED = TinySpec(
    name="nested",
    inputs={"x": Field((4,))},
    layers={
        "inner": Layer(
            "Sequential",
            {},
            (
                Layer("Dense", {"units": 4, "activation": "elu"}),
                Layer("Dropout", {"rate": 0.4, "seed": 12}),
                Layer("LayerNormalization"),
            ),
        ),
        "last": Layer("Dense", {"units": 2}),
    },
    # The inner model twice, one after the other: its weights are those of one.
    calls=(Call("inner", ("x",), "a"), Call("inner", ("a",), "b"), Call("last", ("b",), "y")),
    outputs=("y",),
    targets=(Field((2,)),),
    losses=("huber",),
    random=True,
)

CUSTOM = TinySpec(
    name="custom",
    inputs={"x": Field((4,))},
    layers={
        "gated": Layer("Gated", {"units": 3, "activation": "halved"}),
        "last": Layer("Dense", {"units": 2}),
    },
    calls=(Call("gated", ("x",), "a"), Call("last", ("a",), "y")),
    outputs=("y",),
    targets=(Field((2,)),),
    losses=("mean_squared_error",),
    custom=True,
)

ADAPTED = TinySpec(
    name="adapted",
    inputs={"x": Field((4,))},
    layers={
        "normalization": Layer("Normalization"),
        "first": Layer("Dense", {"units": 3, "activation": "silu", "kernel_regularizer": "l2"}),
        "last": Layer("Dense", {"units": 2, "kernel_constraint": "non_neg"}),
    },
    calls=(),
    outputs=("last",),
    targets=(Field((2,)),),
    losses=("mean_squared_error",),
    adapted=("normalization",),
)

TINY = (CHAIN, IMAGE, TEXT, SHARED, NESTED, CUSTOM, ADAPTED)


def by_name(name: str) -> TinySpec:
    """The model of that name.

    Raises:
        LookupError: there is none; the message lists those that there are.
    """
    for spec in TINY:
        if spec.name == name:
            return spec
    raise LookupError(f"no tiny model {name!r}; there are {', '.join(spec.name for spec in TINY)}")
