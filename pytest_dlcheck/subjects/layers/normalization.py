"""Specs of the normalization layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Build, Case, Tensor
from pytest_dlcheck.references.layers import normalization as references
from pytest_dlcheck.references.layers.normalization import positions
from pytest_dlcheck.strategies.draw import INITIALIZERS, Draw
from pytest_dlcheck.subjects.identities import axis_sign, mapped_inputs
from pytest_dlcheck.subjects.spec import Identity, LayerSpec, World

__all__ = ["SPECS"]

Array = NDArray[Any]

SOURCE = "https://keras.io/api/layers/normalization_layers/"
POSITIVE = ("ones", Build("keras.initializers.Constant", {"value": 0.5}))


def _affine(d: Draw) -> None:
    d.option("epsilon", [0.1, 1e-5, 1e-3])
    d.option("center", [False])
    d.option("scale", [False])
    d.weight_options("gamma", "beta")


def _floats(d: Draw, shape: Sequence[int], count: int) -> Tensor:
    """Inputs of which `count` entries share their moments.

    A single one is its own mean, however it is moved: a tolerance that comes from moving inputs is then nothing, while x and
    its mean, each multiplied by 1 / sqrt(epsilon) before they are subtracted, leave a rounding of their size. So it is small.
    """
    return d.floats(shape, ["zeros", "tiny"] if count == 1 else None)


def _axes(rank: int) -> list[int]:
    return [*range(-1, -rank, -1), *range(1, rank)]


def _axis(d: Draw, rank: int) -> int:
    """An axis that is not the batch, counted from either end; the last one unless drawn."""
    return int(d.option("axis", _axes(rank), default=-1, one_in=2))


def _masked(d: Draw) -> None:
    shape = d.inputs.shape
    if len(shape) > 2 and d.flag(4):
        d.masks = (d.padding(shape[0], shape[1]),)


def _batch_mask(d: Draw) -> None:
    """Of all axes but the channels, or of size 1 along the last of them, for all places there, since it is broadcast.

    It keeps one position at least, else there is no mean to speak of.
    """
    shape = d.inputs.shape[:-1]
    if len(shape) > 2 and d.flag():
        shape = (*shape[:-1], 1)
    mask = Tensor(shape, "bool", d.choice(["padding", "bool"]), d.integer(0, 3), planted=((0, 1.0),))
    if d.flag():
        d.call["mask"] = mask
    else:
        d.masks = (mask,)


def _batch_normalization(d: Draw) -> None:
    rank = d.choice([2, 3, 4, 5])
    axis = _axis(d, rank)
    d.option("momentum", [0.9, 0.5, 0.0, 1.0])
    _affine(d)
    d.option("moving_mean_initializer", INITIALIZERS, one_in=6)
    d.option("moving_variance_initializer", POSITIVE, one_in=6)
    if d.option("renorm", [True], default=False, one_in=4):

        def limits() -> dict[str, float]:
            drawn = {"rmax": d.choice([1.5, 1.0]), "rmin": d.choice([0.5, 0.9]), "dmax": d.choice([0.5, 0.0, 2.0])}
            return {name: value for name, value in drawn.items() if d.flag()}

        d.option("renorm_clipping", limits, one_in=2)
        d.option("renorm_momentum", [0.9, 0.5])
    d.option("synchronized", [True], one_in=12)
    d.common_options()
    shape = d.shape(rank)
    d.inputs = _floats(d, shape, math.prod(shape) // shape[axis])
    if axis in (-1, rank - 1) and d.flag(3):
        _batch_mask(d)


def _synchronized(case: Case, world: World) -> str | None:
    if case.arguments.get("synchronized") and world.backend != "tensorflow":
        return "synchronized=True is documented to be for TensorFlow only"
    return None


def _layer_normalization(d: Draw) -> None:
    rank = d.choice([2, 3, 4])

    def axes() -> Any:
        if d.flag():
            return d.choice(_axes(rank))
        chosen = [axis for axis in range(1, rank) if d.flag()] or [rank - 1]
        if d.flag():
            chosen.reverse()
        signs = d.choice(["positive", "negative", "mixed"])
        chosen = [axis - rank if signs == "negative" or (signs == "mixed" and axis % 2) else axis for axis in chosen]
        return chosen if d.flag() else tuple(chosen)

    chosen = positions(d.option("axis", axes, default=-1, one_in=2), rank)
    _affine(d)
    d.common_options()
    shape = d.shape(rank)
    d.inputs = _floats(d, shape, math.prod(shape[axis] for axis in chosen))
    _masked(d)


def _group_normalization(d: Draw) -> None:
    rank = d.choice([3, 2, 4])
    shape = list(d.shape(rank))
    if d.option("axis", lambda: [-1], default=None, one_in=16) is None:
        axis = _axis(d, rank)
    else:
        axis = -1
    groups = d.option("groups", [1, 2, 3, -1], default=32, one_in=1 if d.integer(0, 7) < 7 else 9)
    if groups == -1:
        shape[axis] = d.size()
    elif groups == 32:
        shape = [min(size, 3) for size in shape]
        shape[axis] = 32 * d.choice([1, 2])
    else:
        shape[axis] = groups * d.choice([1, 2])
    _affine(d)
    d.common_options()
    parts = shape[axis] if groups == -1 else groups
    d.inputs = _floats(d, shape, math.prod(shape[1:]) // parts)
    _masked(d)


def _rms_normalization(d: Draw) -> None:
    rank = d.choice([2, 3, 4])
    _axis(d, rank)
    d.option("epsilon", [0.1, 1e-3, 1e-6])
    d.common_options()
    d.inputs = d.floats(d.shape(rank))


def _unit_normalization(d: Draw) -> None:
    rank = d.choice([2, 3, 4])

    def axes() -> Any:
        if d.flag():
            return d.choice(_axes(rank))
        chosen = [d.choice([axis, axis - rank]) for axis in range(1, rank) if d.flag()] or [-1]
        if d.flag():
            chosen.reverse()
        return chosen if d.flag() else tuple(chosen)

    d.option("axis", axes, one_in=2)
    d.common_options()
    d.inputs = d.floats(d.shape(rank))
    _masked(d)


# Identities.


def _in_order(case: Case) -> Case | None:
    """Several axes in ascending order, counted from the front."""
    given = case.arguments.get("axis")
    if not isinstance(given, (list, tuple)):
        return None
    ordered = positions(given, len(case.inputs.shape))
    return None if tuple(given) == ordered else case.with_arguments(axis=type(given)(ordered))


def _one_axis_in_a_list(case: Case) -> Case | None:
    given = case.arguments.get("axis", -1)
    return case.with_arguments(axis=[given]) if isinstance(given, int) else None


def _as_rows(case: Case) -> Case | None:
    """Rank n as rank 2, where the last axis is normalized. In inference, as identities are observed."""
    shape = case.inputs.shape
    if case.arguments.get("axis", -1) not in (-1, len(shape) - 1) or len(shape) < 3 or 0 in shape:
        return None
    call = {name: value for name, value in case.call.items() if name != "mask"}
    changed = case.replace(inputs=mapped_inputs(case, lambda values: values.reshape(-1, shape[-1])), masks=None, call=call)
    return changed.with_arguments(axis=-1)


def _rows_of(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    del case
    return [output.reshape(-1, output.shape[-1]) for output in outputs]


def _channels(case: Case) -> int:
    axis = case.arguments.get("axis", -1)
    return int(case.inputs.shape[axis if isinstance(axis, int) else axis[0]])


def _instances(case: Case) -> Case | None:
    """-1 groups are one for each channel."""
    if case.arguments.get("groups") != -1 or not isinstance(case.arguments.get("axis", -1), int):
        return None
    return case.with_arguments(groups=_channels(case))


def _as_layer(case: Case) -> Case | None:
    """One group is layer normalization over all axes but the batch, its weights spread over them."""
    if case.arguments.get("groups") != 1 or not isinstance(case.arguments.get("axis", -1), int):
        return None
    kept = {name: value for name, value in case.arguments.items() if name in {"epsilon", "center", "scale"}}
    rank = len(case.inputs.shape)
    return case.replace(subject="keras.layers.LayerNormalization", arguments={**kept, "axis": list(range(1, rank))})


def _spread(case: Case, weights: Sequence[Array]) -> Sequence[Array]:
    shape = case.inputs.shape
    axis = case.arguments.get("axis", -1) % len(shape)
    along = [size if place == axis else 1 for place, size in enumerate(shape)]
    return [np.broadcast_to(weight.reshape(along), (1, *shape[1:]))[0] for weight in weights]


def _doubled(case: Case) -> Case | None:
    """Twice the input has the same direction. Only where its square neither vanishes nor overflows."""
    if case.inputs.values not in {"normal", "small_integers", "offset"} or case.inputs.planted:
        return None
    norms = []

    def looked_at(values: Array) -> Array:
        axes = positions(case.arguments.get("axis", -1), values.ndim)
        norms.append(float(np.sqrt((values.astype(np.float64) ** 2).sum(axis=axes)).min(initial=np.inf)))
        return 2 * values

    doubled = mapped_inputs(case, looked_at)
    return case.replace(inputs=doubled) if min(norms) > 0.1 else None


SIGN = Identity("negative_axis_is_positive", axis_sign("axis"), exact=True)


def _renormalizes(case: Case) -> str:
    """Ioffe, Batch Renormalization, NeurIPS 2017, section 3: gradients do not flow through r and d."""
    return "batch renormalization takes its corrections r and d for constants" if case.arguments.get("renorm") else ""


SPECS = (
    LayerSpec(
        "BatchNormalization",
        _batch_normalization,
        references.batch_normalization,
        f"{SOURCE}batch_normalization/",
        identities=(SIGN, Identity("rank_n_is_rank_2", _as_rows, _rows_of)),
        unsupported=_synchronized,
        rows_in_training=False,
        held_constant=_renormalizes,
    ),
    LayerSpec(
        "LayerNormalization",
        _layer_normalization,
        references.layer_normalization,
        f"{SOURCE}layer_normalization/",
        identities=(
            SIGN,
            Identity("unsorted_axes_are_sorted", _in_order),
            Identity("one_axis_in_a_list", _one_axis_in_a_list, exact=True),
            Identity("rank_n_is_rank_2", _as_rows, _rows_of),
        ),
        not_drawn={"rms_scaling": "deprecated for RMSNormalization: documented to scale wrongly"},
    ),
    LayerSpec(
        "GroupNormalization",
        _group_normalization,
        references.group_normalization,
        f"{SOURCE}group_normalization/",
        identities=(
            SIGN,
            Identity("minus_one_group_is_one_per_channel", _instances, exact=True),
            Identity("one_group_is_layer_normalization", _as_layer, weights=_spread),
        ),
    ),
    LayerSpec(
        "RMSNormalization",
        _rms_normalization,
        references.rms_normalization,
        f"{SOURCE}rms_normalization/",
        identities=(SIGN, Identity("rank_n_is_rank_2", _as_rows, _rows_of)),
    ),
    LayerSpec(
        "UnitNormalization",
        _unit_normalization,
        references.unit_normalization,
        f"{SOURCE}unit_normalization/",
        identities=(
            SIGN,
            Identity("unsorted_axes_are_sorted", _in_order),
            Identity("one_axis_in_a_list", _one_axis_in_a_list),
            Identity("twice_is_the_same", _doubled),
        ),
        exempt={"effect:trainable": "there are no weights to be trained"},
    ),
)
