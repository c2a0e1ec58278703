"""What convolutions must agree with, and what the frameworks say that they do not do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Case
from pytest_dlcheck.references.layers.convolutional import per_axis
from pytest_dlcheck.subjects.identities import mapped_inputs, other_format, other_format_outputs
from pytest_dlcheck.subjects.spec import Identity, World

__all__ = [
    "DILATED",
    "channels_last_outputs",
    "conv_unsupported",
    "depthwise_unsupported",
    "given_format",
    "identities",
    "one_group_each",
    "to_channels_last",
    "transpose_unsupported",
    "unless_strided",
]

Array = NDArray[Any]


# Where the frameworks say that they do not do it.


def given_format(case: Case) -> str:
    """The data format that a case's layer works in."""
    return str(case.arguments.get("data_format") or case.settings.get("image_data_format", "channels_last"))


def conv_unsupported(case: Case, world: World) -> str | None:
    rank = len(case.inputs.shape) - 2
    # Keras compiles grouped and 3D convolutions with XLA, which does take it.
    plain = rank < 3 and case.arguments.get("groups", 1) == 1
    if plain and world.by_eigen(case) and given_format(case) == "channels_first":
        return "TensorFlow: the Conv2D op currently only supports the NHWC tensor format on the CPU"
    return None


def transpose_unsupported(case: Case, world: World) -> str | None:
    if not world.by_eigen(case):
        return None
    if given_format(case) == "channels_first":
        return "TensorFlow: the gradient of a convolution currently only supports the NHWC tensor format on the CPU"
    if max(per_axis(case.arguments.get("dilation_rate", 1), 1)) > 1:
        return "TensorFlow: the gradient of a convolution does not yet support dilation rates larger than 1 on the CPU"
    return None


def depthwise_unsupported(case: Case, world: World) -> str | None:
    rank = len(case.inputs.shape) - 2
    uneven = len(set(per_axis(case.arguments.get("strides", 1), rank))) > 1
    if uneven and world.backend == "tensorflow" and not world.by_onednn(case):
        return "TensorFlow: depthwise_conv2d only supports equal length strides in the row and column dimensions"
    return None


# Identities.


def to_channels_last(case: Case) -> Case | None:
    """The same images channels last: the one format that every device knows."""
    return other_format(case) if given_format(case) == "channels_first" else None


def channels_last_outputs(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    """Outputs of the case's format, channels last."""
    return other_format_outputs(case, outputs)


def _one_more_axis(name: str) -> Callable[[Case], Case | None]:
    """The same with a spatial axis of size 1 before the others, over which kernel, strides and dilation are 1."""

    def other(case: Case) -> Case | None:
        rank = len(case.inputs.shape) - 2
        if case.arguments.get("padding", "valid").lower() == "causal":
            return None
        changed: dict[str, Any] = {}
        for argument, alone in (("kernel_size", 1), ("strides", 1), ("dilation_rate", 1), ("output_padding", 0)):
            if case.arguments.get(argument) is not None:
                changed[argument] = (alone, *per_axis(case.arguments[argument], rank))
        if name.endswith("Transpose") and max(changed.get("dilation_rate", (1,))) > 1:
            return None  # which would differ from axis to axis
        axis = 2 if given_format(case) == "channels_first" else 1
        inputs = mapped_inputs(case, lambda values: np.expand_dims(values, axis))
        return case.with_arguments(**changed).replace(subject=f"keras.layers.{name}", inputs=inputs, masks=None)

    return other


def _without_the_axis(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    return [np.expand_dims(output, 2 if given_format(case) == "channels_first" else 1) for output in outputs]


def _kernels_with_the_axis(case: Case, weights: Sequence[Array]) -> Sequence[Array]:
    del case
    return [weight[np.newaxis] if weight.ndim > 1 else weight for weight in weights]


def _stuffed(case: Case) -> Case | None:
    """Dilation by zeros in the kernel."""
    if max(_rates(case)) == 1:
        return None
    kernel = per_axis(case.arguments["kernel_size"], len(case.inputs.shape) - 2)
    size = tuple(rate * (k - 1) + 1 for k, rate in zip(kernel, _rates(case), strict=True))
    return case.without("dilation_rate").with_arguments(kernel_size=size)


def _rates(case: Case) -> tuple[int, ...]:
    return per_axis(case.arguments.get("dilation_rate", 1), len(case.inputs.shape) - 2)


def _stuffed_kernels(case: Case, weights: Sequence[Array]) -> Sequence[Array]:
    kernel, *others = weights
    rates = _rates(case)
    sizes = [rate * (k - 1) + 1 for k, rate in zip(kernel.shape, rates, strict=False)]
    stuffed = np.zeros((*sizes, *kernel.shape[len(rates) :]), dtype=kernel.dtype)
    stuffed[tuple(slice(None, None, rate) for rate in rates)] = kernel
    return [stuffed, *others]


def _grouped(name: str) -> Callable[[Case], Case | None]:
    """A depthwise convolution as one with a group for each channel."""

    def other(case: Case) -> Case | None:
        if given_format(case) == "channels_first":
            return None
        channels = case.inputs.shape[-1]
        kept = {
            argument.replace("depthwise_", "kernel_"): value
            for argument, value in case.arguments.items()
            if argument != "depth_multiplier"
        }
        filters = channels * case.arguments.get("depth_multiplier", 1)
        return case.replace(subject=f"keras.layers.{name}", arguments={**kept, "filters": filters, "groups": channels})

    return other


def _grouped_kernels(case: Case, weights: Sequence[Array]) -> Sequence[Array]:
    del case
    kernel, *others = weights
    return [kernel.reshape(*kernel.shape[:-2], 1, -1), *others]


def identities(rank: int, name: str, most: int) -> tuple[Identity, ...]:
    """Those of a layer of which there is one with an axis more, up to `most`."""
    found = [Identity("channels_first_is_channels_last_transposed", to_channels_last, channels_last_outputs)]
    if rank < most:
        wider = name.replace(f"{rank}D", f"{rank + 1}D")
        found.append(
            Identity(
                f"{rank}d_is_{rank + 1}d_with_a_single_row",
                _one_more_axis(wider),
                _without_the_axis,
                weights=_kernels_with_the_axis,
            )
        )
    return tuple(found)


DILATED = Identity("dilation_is_a_kernel_with_zeros", _stuffed, weights=_stuffed_kernels)


def unless_strided(found: tuple[Identity, ...]) -> tuple[Identity, ...]:
    """Without the one that needs strides that differ from axis to axis, where a depthwise layer has strides."""

    def where_plain(identity: Identity) -> Identity:
        def other(case: Case) -> Case | None:
            return None if "strides" in case.arguments else identity.other(case)

        return Identity(identity.name, other, identity.expected, identity.exact, identity.weights)

    return tuple(each if "channels" in each.name else where_plain(each) for each in found)


def one_group_each(name: str) -> Identity:
    """A depthwise convolution is `name` with a group for each channel."""
    return Identity("depthwise_is_a_group_for_each_channel", _grouped(name), weights=_grouped_kernels)
