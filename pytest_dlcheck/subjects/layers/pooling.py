"""Specs of the pooling layers: by windows, over everything, and to a given size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Case, Tensor
from pytest_dlcheck.references.layers import pooling as references
from pytest_dlcheck.references.layers.convolutional import per_axis
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.identities import mapped_inputs
from pytest_dlcheck.subjects.layers.convolutional import extent, numbers, steps_over
from pytest_dlcheck.subjects.layers.convolutional_rules import channels_last_outputs, given_format, to_channels_last
from pytest_dlcheck.subjects.spec import HALF, Call, Identity, Law, LayerSpec, World

__all__ = ["SPECS"]

Array = NDArray[Any]

SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)

PAGES = "https://keras.io/api/layers/pooling_layers/"


# Drawing.


def _inputs(d: Draw, spatial: Sequence[int]) -> None:
    channels = d.choice((2, 1, 3))
    d.inputs = d.floats(d.image(d.choice((2, 1, 3)), spatial, channels, d.data_format()))
    if len(spatial) == 1 and d.flag(6):
        d.masks = (_mask(d, d.inputs.shape[0], spatial[0]),)


def _mask(d: Draw, batch: int, steps: int) -> Tensor:
    """Steps that come first, or any at all; each row keeps one, but where there is only one step."""
    if d.flag():
        return d.padding(batch, steps)
    kept = [d.integer(0, steps - 1) if steps > 1 else -1 for _ in range(batch)]
    rows = [[bool(step == keep or d.flag()) for step in range(steps)] for keep in kept]
    return Tensor((batch, steps), "bool", literal=rows)


def _windowed(rank: int, *, default: bool) -> Callable[[Draw], None]:
    def draw(d: Draw) -> None:
        # In one dimension the page knows integers only.
        def sizes() -> Any:
            return d.choice((2, 3, 1, 4)) if rank == 1 else numbers(d, rank, (2, 3, 1))

        def steps() -> Any:
            # In one dimension, as with sizes.
            if rank == 1:
                return d.choice((1, 2, 3, None, pool + 1))
            return d.choice((None, steps_over(d, rank, per_axis(pool, rank), (1, 2, 3))))

        pool = d.option("pool_size", sizes, 2, one_in=2) if default else d.set("pool_size", sizes())
        d.option("strides", steps, one_in=2)
        padding = d.option("padding", ("same", "SAME", "valid"), "valid", one_in=2).lower()
        least = per_axis(pool, rank) if padding == "valid" else (1,) * rank
        _inputs(d, tuple(extent(d, rank, each) for each in least))
        d.common_options()

    return draw


def _global(rank: int, *, takes_mask: bool) -> Callable[[Draw], None]:
    def draw(d: Draw) -> None:
        d.option("keepdims", [True, False])
        spatial = tuple(extent(d, rank, 1) for _ in range(rank))
        _inputs(d, spatial)
        if takes_mask and d.masks is None and d.flag():
            mask = _mask(d, d.inputs.shape[0], spatial[0])
            if d.flag():
                d.masks = (mask,)
            else:
                d.call["mask"] = mask
        d.common_options()

    return draw


def _adaptive(rank: int) -> Callable[[Draw], None]:
    def draw(d: Draw) -> None:
        values = (2, 1, 3, 4) if rank < 3 else (2, 1, 3)
        d.set("output_size", d.choice(values) if rank == 1 else d.per_axis(rank, values))
        _inputs(d, tuple(extent(d, rank, 1) for _ in range(rank)))
        d.common_options()

    return draw


# Where the frameworks say that they do not do it.


def _unsupported(case: Case, world: World) -> str | None:
    rank, policy = len(case.inputs.shape) - 2, case.policy
    if world.device != "cpu" or rank != 3:
        return None
    if world.backend == "tensorflow" and policy not in {"float32", "bfloat16", "mixed_bfloat16"}:
        return f"TensorFlow: no OpKernel was registered to support pooling in 3D on the CPU with {policy}"
    if world.backend == "torch" and case.name == "AveragePooling3D" and policy in HALF:
        return f"PyTorch: avg_pool3d is not implemented on the CPU for {policy}"
    return None


def _everywhere(case: Case) -> bool:
    """Whether every device pools in 3D with the case's policy: an identity must not lead to where there is no kernel."""
    return case.policy == "float32"


# Identities and laws.


def _one_more_axis(name: str) -> Callable[[Case], Case | None]:
    """The same with a spatial axis of size 1 before the others."""

    def other(case: Case) -> Case | None:
        rank = len(case.inputs.shape) - 2
        if rank == 2 and not name.startswith("Global") and not _everywhere(case):
            return None
        changed = {
            argument: (1, *per_axis(case.arguments[argument], rank))
            for argument in ("pool_size", "strides", "output_size")
            if case.arguments.get(argument) is not None
        }
        if "pool_size" not in changed and "output_size" not in changed and not name.startswith("Global"):
            changed["pool_size"] = (1,) + (2,) * rank
        axis = 2 if given_format(case) == "channels_first" else 1
        inputs = mapped_inputs(case, lambda values: np.expand_dims(values, axis))
        return case.with_arguments(**changed).replace(subject=f"keras.layers.{name}", inputs=inputs, masks=None)

    return other


def _without_the_axis(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    return [np.expand_dims(output, 2 if given_format(case) == "channels_first" else 1) for output in outputs]


def _one_more_axis_unmasked(name: str) -> Callable[[Case], Case | None]:
    def other(case: Case) -> Case | None:
        masked = "mask" in case.call or case.masks is not None
        return None if masked else _one_more_axis(name)(case)

    return other


def _global_without_the_axis(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    return _without_the_axis(case, outputs) if case.arguments.get("keepdims") else outputs


def _window_of_everything(name: str) -> Callable[[Case], Case | None]:
    """Global pooling as pooling with a window as large as the input."""

    def other(case: Case) -> Case | None:
        shape = case.inputs.shape
        if "mask" in case.call or case.masks is not None or (len(shape) == 5 and not _everywhere(case)):
            return None
        spatial = shape[2:] if given_format(case) == "channels_first" else shape[1:-1]
        size = spatial[0] if len(spatial) == 1 else tuple(spatial)
        return case.without("keepdims").with_arguments(pool_size=size).replace(subject=f"keras.layers.{name}")

    return other


def _kept_axes(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    if case.arguments.get("keepdims"):
        return outputs
    rank = len(case.inputs.shape) - 2
    first = 2 if given_format(case) == "channels_first" else 1
    return [np.expand_dims(output, tuple(range(first, first + rank))) for output in outputs]


def _are_inputs(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """Every output of a maximum is an input of the same sample and channel: nothing is computed.

    Bit for bit, but for numbers below the smallest normal one, which some devices take for zero.
    """
    del unit_roundoff
    axis = 1 if call.channels_first else -1
    x = np.moveaxis(np.asarray(call.inputs), axis, 1).reshape(*_samples_and_channels(call), -1)
    y = outputs[0] if outputs[0].ndim == 2 else np.moveaxis(outputs[0], axis, 1)
    y = y.reshape(*y.shape[:2], -1)
    for sample in range(x.shape[0]):
        for channel in range(x.shape[1]):
            known = _flushed(x[sample, channel])
            strangers = [value for value in _flushed(y[sample, channel]) if value not in known]
            if strangers:
                return f"{strangers[0]!r} of sample {sample}, channel {channel}, is none of its inputs"
    return None


def _flushed(values: Array) -> Array:
    return np.where(np.abs(values) < SMALLEST_NORMAL, 0, values)


def _samples_and_channels(call: Call) -> tuple[int, int]:
    shape = np.shape(call.inputs)
    return shape[0], shape[1] if call.channels_first else shape[-1]


ARE_INPUTS = Law("maxima_are_inputs", _are_inputs, training=None)


def _identities(rank: int, name: str) -> tuple[Identity, ...]:
    found = [Identity("channels_first_is_channels_last_transposed", to_channels_last, channels_last_outputs)]
    if rank < 3:
        wider = name.replace(f"{rank}D", f"{rank + 1}D")
        title = f"{rank}d_is_{rank + 1}d_with_a_single_row"
        if name.startswith("Global"):
            found.append(Identity(title, _one_more_axis_unmasked(wider), _global_without_the_axis))
        else:
            found.append(Identity(title, _one_more_axis(wider), _without_the_axis))
    if name.startswith("Global"):
        windowed = name.removeprefix("Global")
        found.append(Identity("global_is_a_window_of_everything", _window_of_everything(windowed), _kept_axes))
    return tuple(found)


def _windowed_spec(rank: int, kind: str) -> LayerSpec:
    short = "Max" if kind == "Max" else "Avg"
    name = f"{kind}Pooling{rank}D"
    return LayerSpec(
        name,
        _windowed(rank, default=kind == "Max"),
        references.max_pooling if kind == "Max" else references.average_pooling,
        f"{PAGES}{kind.lower()}_pooling{rank}d/",
        aliases=(f"{short}Pool{rank}D",),
        laws=(ARE_INPUTS,) if kind == "Max" else (),
        identities=_identities(rank, name),
        unsupported=_unsupported,
    )


def _global_spec(rank: int, kind: str) -> LayerSpec:
    short = "Max" if kind == "Max" else "Avg"
    name = f"Global{kind}Pooling{rank}D"
    return LayerSpec(
        name,
        _global(rank, takes_mask=kind == "Average" and rank == 1),
        references.global_max if kind == "Max" else references.global_average,
        f"{PAGES}global_{kind.lower()}_pooling{rank}d/",
        aliases=(f"Global{short}Pool{rank}D",),
        laws=(ARE_INPUTS,) if kind == "Max" else (),
        identities=_identities(rank, name),
    )


def _adaptive_spec(rank: int, kind: str) -> LayerSpec:
    name = f"Adaptive{kind}Pooling{rank}D"
    return LayerSpec(
        name,
        _adaptive(rank),
        references.adaptive_max if kind == "Max" else references.adaptive_average,
        f"{PAGES}adaptive_{kind.lower()}_pooling{rank}d/",
        laws=(ARE_INPUTS,) if kind == "Max" else (),
        identities=_identities(rank, name),
        unsupported=_unsupported,
    )


SPECS: tuple[LayerSpec, ...] = tuple(
    make(rank, kind)
    for make in (_windowed_spec, _global_spec, _adaptive_spec)
    for kind in ("Max", "Average")
    for rank in (1, 2, 3)
)
