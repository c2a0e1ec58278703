"""Specs of the convolutional layers: plain, transposed, depthwise and separable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Build
from pytest_dlcheck.references.layers import convolutional as references
from pytest_dlcheck.references.layers.convolutional import per_axis
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.layers.convolutional_rules import (
    DILATED,
    conv_unsupported,
    depthwise_unsupported,
    identities,
    one_group_each,
    transpose_unsupported,
    unless_strided,
)
from pytest_dlcheck.subjects.spec import LayerSpec, Older

__all__ = ["SPECS", "extent", "numbers", "steps_over"]

Array = NDArray[Any]

PAGES = "https://keras.io/api/layers/convolution_layers/"

# How far an axis reaches beyond the least that it needs. Three spatial axes multiply, so they stay short.
BEYOND: Mapping[int, tuple[int, ...]] = MappingProxyType({1: (2, 0, 1, 3, 6), 2: (2, 0, 1, 3), 3: (1, 0, 2)})
BEYOND_ON_JAX = (2, 0, 1)


# Drawing. The pooling layers draw with some of this too.


def numbers(d: Draw, rank: int, values: Sequence[int]) -> int | tuple[int, ...] | list[int]:
    """One number for all axes, or one for each as a tuple or a list."""
    found = d.per_axis(rank, values)
    return list(found) if isinstance(found, tuple) and d.flag(3) else found


def steps_over(d: Draw, rank: int, window: Sequence[int], values: Sequence[int]) -> int | tuple[int, ...] | list[int]:
    """Strides; one time in three longer than the window along every axis, so that places between are passed over."""
    if not d.flag(3):
        return numbers(d, rank, values)
    longer = [size + d.choice((1, 2)) for size in window]
    return longer[0] if len(set(longer)) == 1 else tuple(longer)


def extent(d: Draw, rank: int, least: int) -> int:
    """The size of a spatial axis."""
    return least + d.choice(BEYOND_ON_JAX if d.world.backend == "jax" else BEYOND[rank])


def _window(d: Draw, rank: int, paddings: Sequence[str]) -> tuple[tuple[int, ...], str]:
    """Kernel, strides or dilation, which exclude each other, and padding; the extents of the kernel, and the padding."""
    kernel = per_axis(d.set("kernel_size", numbers(d, rank, (2, 3, 1) if rank == 3 else (2, 3, 1, 4))), rank)
    dilation = (1,) * rank
    if d.flag(4):
        dilation = per_axis(d.option("dilation_rate", lambda: numbers(d, rank, (2, 1, 3)), 1, one_in=1), rank)
    else:
        d.option("strides", lambda: steps_over(d, rank, kernel, (2, 1, 3)), one_in=2)
    padding = d.option("padding", paddings, "valid", one_in=2)
    return tuple(rate * (k - 1) + 1 for k, rate in zip(kernel, dilation, strict=True)), padding.lower()


def _inputs(d: Draw, rank: int, spatial: Sequence[int], channels: int) -> None:
    shape = d.image(d.choice((2, 1, 3)), spatial, channels, d.data_format())
    d.inputs = d.floats(shape)
    if rank == 1 and d.flag(6):
        d.masks = (d.padding(shape[0], spatial[0] if shape[-1] == channels else shape[-1]),)


def _sizes(d: Draw, rank: int, extents: Sequence[int], padding: str) -> tuple[int, ...]:
    """At least one whole kernel where nothing is padded; with padding also less than one."""
    return tuple(extent(d, rank, each if padding == "valid" else 1) for each in extents)


def _options(d: Draw, *weights: str) -> None:
    d.activation()
    if d.policy != "float32" and isinstance(d.arguments.get("activation"), Build):
        # A layer has a policy of its own, and computes in float32 whatever the convolution's is.
        del d.arguments["activation"]
    d.option("use_bias", [False])
    d.weight_options(*weights, "bias")
    d.option("activity_regularizer", ["l2"], one_in=6)
    d.common_options()


def _conv(rank: int) -> Callable[[Draw], None]:
    def draw(d: Draw) -> None:
        groups = d.option("groups", (2, 3, 1), default=1)
        d.set("filters", groups * d.choice((2, 1, 3)))
        extents, padding = _window(d, rank, ("same", "SAME", "valid", *(("causal", "causal") if rank == 1 else ())))
        _inputs(d, rank, _sizes(d, rank, extents, padding), groups * d.choice((2, 1, 3)))
        _options(d, "kernel")

    return draw


def _depthwise(rank: int) -> Callable[[Draw], None]:
    def draw(d: Draw) -> None:
        extents, padding = _window(d, rank, ("same", "SAME", "valid"))
        d.option("depth_multiplier", (2, 3, 1))
        _inputs(d, rank, _sizes(d, rank, extents, padding), d.choice((2, 1, 3)))
        _options(d, "depthwise")

    return draw


def _separable(rank: int) -> Callable[[Draw], None]:
    def draw(d: Draw) -> None:
        d.set("filters", d.choice((2, 1, 3)))
        extents, padding = _window(d, rank, ("same", "SAME", "valid"))
        d.option("depth_multiplier", (2, 3, 1))
        _inputs(d, rank, _sizes(d, rank, extents, padding), d.choice((2, 1, 3)))
        _options(d, "depthwise", "pointwise")

    return draw


def _transpose(rank: int) -> Callable[[Draw], None]:
    def draw(d: Draw) -> None:
        d.set("filters", d.choice((2, 1, 3)))
        kernel = per_axis(d.set("kernel_size", numbers(d, rank, (2, 3, 1) if rank == 3 else (2, 3, 1, 4))), rank)
        strides, dilation = (1,) * rank, 1
        if d.flag(5):
            # Rates that differ from axis to axis are documented not to be supported.
            dilation = d.choice((2, 3))
            d.set("dilation_rate", (dilation,) * rank if d.flag() else dilation)
        else:
            strides = per_axis(d.option("strides", lambda: numbers(d, rank, (2, 1, 3)), 1, one_in=2), rank)
        padding = d.option("padding", ("same", "SAME", "valid"), "valid", one_in=2).lower()
        extents = tuple(dilation * (k - 1) + 1 for k in kernel)
        least = _output_padding(d, strides, extents, padding) if d.flag() else 1
        _inputs(d, rank, tuple(extent(d, rank, least) for _ in range(rank)), d.choice((2, 1, 3)))
        _options(d, "kernel")

    return draw


def _output_padding(d: Draw, strides: Sequence[int], extents: Sequence[int], padding: str) -> int:
    """Less than the stride on each axis; the least size that an input must then have so that an output is left."""
    zero = d.world.keras >= ZERO_OUTPUT_PADDING
    allowed = [list(range(0 if zero else 1, stride)) for stride in strides]
    if not all(allowed):
        return 1
    if d.flag():
        given: Any = tuple(d.choice(each) for each in allowed)
        given = list(given) if d.flag(3) else given
    else:
        given = d.choice(min(allowed, key=len))
    d.set("output_padding", given)
    added = per_axis(given, len(strides))
    return 1 if all(p or padding == "valid" or e % 2 for p, e in zip(added, extents, strict=True)) else 2


# Before, Keras refused an output padding of zero (https://github.com/keras-team/keras/pull/21383).
ZERO_OUTPUT_PADDING = (3, 11)


LORA = {
    "lora_rank": "low-rank adaptation is switched on by a method, and has a spec of its own to come",
    "lora_alpha": "as lora_rank",
}


def _conv_spec(rank: int) -> LayerSpec:
    return LayerSpec(
        f"Conv{rank}D",
        _conv(rank),
        references.conv,
        f"{PAGES}convolution{rank}d/",
        aliases=(f"Convolution{rank}D",),
        identities=(*identities(rank, f"Conv{rank}D", 3), DILATED),
        unsupported=conv_unsupported,
        not_drawn=LORA,
    )


def _transpose_spec(rank: int) -> LayerSpec:
    return LayerSpec(
        f"Conv{rank}DTranspose",
        _transpose(rank),
        references.conv_transpose,
        f"{PAGES}convolution{rank}d_transpose/",
        aliases=(f"Convolution{rank}DTranspose",),
        identities=identities(rank, f"Conv{rank}DTranspose", 3),
        unsupported=transpose_unsupported,
        older=Older(absent={"output_padding": None}),
    )


def _depthwise_spec(rank: int) -> LayerSpec:
    return LayerSpec(
        f"DepthwiseConv{rank}D",
        _depthwise(rank),
        references.depthwise_conv,
        f"{PAGES}depthwise_convolution{rank}d/",
        identities=(
            *unless_strided(identities(rank, f"DepthwiseConv{rank}D", 2)),
            one_group_each(f"Conv{rank}D"),
        ),
        unsupported=depthwise_unsupported,
    )


def _separable_spec(rank: int) -> LayerSpec:
    return LayerSpec(
        f"SeparableConv{rank}D",
        _separable(rank),
        references.separable_conv,
        f"{PAGES}separable_convolution{rank}d/",
        aliases=(f"SeparableConvolution{rank}D",),
        identities=unless_strided(identities(rank, f"SeparableConv{rank}D", 2)),
        unsupported=depthwise_unsupported,
    )


SPECS: tuple[LayerSpec, ...] = (
    *(_conv_spec(rank) for rank in (1, 2, 3)),
    *(_transpose_spec(rank) for rank in (1, 2, 3)),
    *(_depthwise_spec(rank) for rank in (1, 2)),
    *(_separable_spec(rank) for rank in (1, 2)),
)
