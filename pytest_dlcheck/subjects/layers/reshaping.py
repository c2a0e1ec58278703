"""Specs of the layers that move values about: reshaping, cropping, padding, upsampling."""

# ruff: noqa: ARG001 - laws and identities take what the interface says

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Case
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import reshaping as references
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.identities import compute_dtype, mapped_inputs, of_array, other_format, other_format_outputs
from pytest_dlcheck.subjects.layers.reshaping_laws import constant_stays, is_moved, stays_between
from pytest_dlcheck.subjects.spec import Call, Identity, Law, LayerSpec, World

__all__ = ["SPECS"]

Array = NDArray[Any]


def _values(d: Draw, shape: Sequence[int]) -> None:
    """Floats, now and then integers: what moves values about computes nothing."""
    d.inputs = d.integers(shape, -100, 300) if d.flag(8) else d.floats(shape)


def _reshape(d: Draw) -> None:
    factors = [d.size() for _ in range(d.integer(1, 4))]
    shape = _grouped(d, factors)
    target: list[int] = _grouped(d, factors[::-1] if d.flag() else factors)
    if d.flag():
        target[d.integer(0, len(target) - 1)] = -1
    d.set("target_shape", d.choice([tuple, list])(target))
    d.common_options()
    _values(d, (d.size(), *shape))


def _grouped(d: Draw, factors: Sequence[int]) -> list[int]:
    """The same product in fewer factors, or with ones between."""
    found: list[int] = []
    for factor in factors:
        if found and d.flag():
            found[-1] *= factor
        else:
            found.append(factor)
        if d.flag(6):
            found.append(1)
    return found


def _permute(d: Draw) -> None:
    rank = d.choice([2, 3, 1, 4])
    left = list(range(1, rank + 1))
    dims = []
    while left:
        dims.append(left.pop(d.integer(0, len(left) - 1)))
    d.set("dims", d.choice([tuple, list])(dims))
    d.common_options()
    _values(d, d.shape(rank + 1))


def _flatten(d: Draw) -> None:
    d.data_format()
    d.common_options()
    _values(d, d.shape(d.choice([3, 2, 4, 5, 1])))


def _repeat_vector(d: Draw) -> None:
    d.set("n", d.choice([2, 1, 3]))
    d.common_options()
    _values(d, d.shape(2))


def _image(d: Draw, rank: int, sizes: Sequence[int], data_format: str) -> None:
    _values(d, d.image(d.size(), sizes, d.size(), data_format))


def _format(d: Draw) -> str:
    return d.data_format() if d.world.takes("data_format") else "channels_last"


def _amounts(d: Draw, name: str, rank: int, default: int) -> list[tuple[int, int]]:
    """How much before and after each axis, given in one of the forms; what comes is spelt out."""
    how = d.choice(["default", "one", "pairs"] if rank == 1 else ["default", "one", "each", "pairs"])
    if how == "default":
        given: Any = default
    elif how == "one":
        given = d.set(name, d.integer(0, 2))
    elif how == "each":
        given = d.set(name, d.choice([tuple, list])(d.integer(0, 2) for _ in range(rank)))
    else:
        # The simplest is uneven: symmetric amounts hide an exchange.
        spelt = [(d.choice([1, 0, 2]), d.choice([2, 0, 1])) for _ in range(rank)]
        given = d.set(name, spelt[0] if rank == 1 else d.choice([tuple, list])(spelt))
    return references.pairs(given, rank)


def _cropping(rank: int, default: int) -> Callable[[Draw], None]:
    def draw(d: Draw) -> None:
        amounts = _amounts(d, "cropping", rank, default)
        data_format = _format(d)
        d.common_options()
        _image(d, rank, [before + after + d.size() for before, after in amounts], data_format)

    return draw


def _zero_padding(rank: int) -> Callable[[Draw], None]:
    def draw(d: Draw) -> None:
        _amounts(d, "padding", rank, 1)
        data_format = _format(d)
        d.common_options()
        _image(d, rank, d.shape(rank), data_format)

    return draw


INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


def _lanczos(case: Case, world: World) -> str | None:
    if world.backend == "torch" and str(case.arguments.get("interpolation")).startswith("lanczos"):
        return "PyTorch has no Lanczos interpolation"
    return None


def _up_sampling(rank: int) -> Callable[[Draw], None]:
    def draw(d: Draw) -> None:
        if rank == 1:
            d.option("size", [3, 1, 2], one_in=2)
        else:
            d.option("size", lambda: d.per_axis(rank, [2, 1, 3]), one_in=2)
        data_format = _format(d)
        interpolation = "nearest"
        if rank == 2:
            interpolation = d.option("interpolation", INTERPOLATIONS, default="nearest", one_in=2)
        d.common_options()
        sizes = d.shape(rank)
        if interpolation == "nearest":
            _image(d, rank, sizes, data_format)
        else:
            d.inputs = d.floats(d.image(d.size(), sizes, d.size(), data_format))

    return draw


# Identities.


def _shuffled_back(case: Case) -> Case | None:
    """The permutation that undoes the first, on what that one gives."""
    dims = case.arguments["dims"]
    inverse = [int(axis) + 1 for axis in np.argsort(dims)]
    moved = np.transpose(make(case.inputs, compute_dtype(case)), (0, *dims))
    return case.with_arguments(dims=type(dims)(inverse)).replace(inputs=of_array(moved, case.inputs.dtype))


def _inputs_again(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    return [np.asarray(make(case.inputs, compute_dtype(case)))]


def _cropped_off_again(case: Case) -> Case | None:
    """The padding cropped off what was padded."""
    rank = len(case.inputs.shape) - 2
    given = {key: value for key, value in case.arguments.items() if key != "padding"}
    padding = case.arguments.get("padding", 1)
    if rank == 1 and (given.pop("data_format", None) or case.settings.get("image_data_format", "")) == "channels_first":
        return None  # Cropping1D knows no data format
    padded = references.zero_padding(
        Call(
            {"data_format": None, **case.arguments, "padding": padding},
            {},
            make(case.inputs, compute_dtype(case)),
            settings=case.settings,
        )
    )
    return case.replace(
        subject=f"keras.layers.Cropping{rank}D",
        arguments={**given, "cropping": padding},
        inputs=of_array(padded, case.inputs.dtype),
    )


def _spelt_out(name: str, default: int) -> Callable[[Case], Case | None]:
    """One number for all axes, or one for each, as a pair for each."""

    def other(case: Case) -> Case | None:
        rank = len(case.inputs.shape) - 2
        pairs = references.pairs(case.arguments.get(name, default), rank)
        return case.with_arguments(**{name: pairs[0] if rank == 1 else tuple(pairs)})

    return other


def _in_a_plane(case: Case) -> Case | None:
    """One dimension as two, the second of size 1."""
    given = {key: value for key, value in case.arguments.items() if key in {"trainable", "name"}}
    size = case.arguments.get("size", 2)
    return case.replace(
        subject="keras.layers.UpSampling2D",
        arguments={**given, "size": (size, 1), "data_format": "channels_last"},
        inputs=mapped_inputs(case, lambda values: values[:, :, None, :]),
    )


def _out_of_the_plane(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    return [output[:, :, None, :] for output in outputs]


def _mirrored(case: Case) -> Case | None:
    """Height and width in reverse: every kernel is symmetric."""
    if case.inputs.dtype != "float":
        return None
    first = 2 if _first(case) else 1
    return case.replace(inputs=mapped_inputs(case, lambda values: np.flip(values, (first, first + 1))))


def _first(case: Case) -> bool:
    chosen = case.arguments.get("data_format") or case.settings.get("image_data_format", "channels_last")
    return bool(chosen == "channels_first")


def _mirrored_outputs(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    first = 2 if _first(case) else 1
    return [np.flip(output, (first, first + 1)) for output in outputs]


def _as_flatten(case: Case) -> Case | None:
    """Reshape to one axis is Flatten, channels last."""
    if tuple(case.arguments["target_shape"]) != (-1,):
        return None
    given = {key: value for key, value in case.arguments.items() if key != "target_shape"}
    return case.replace(subject="keras.layers.Flatten", arguments={**given, "data_format": "channels_last"})


def _sizes_named(case: Case) -> Case | None:
    """-1 as the number that it stands for."""
    target = case.arguments["target_shape"]
    if -1 not in target:
        return None
    size = int(np.prod(case.inputs.shape[1:]))
    rest = int(np.prod([each for each in target if each != -1], dtype=int))
    return case.with_arguments(target_shape=type(target)(size // rest if each == -1 else each for each in target))


def _moves(reference: Callable[[Call], Array]) -> tuple[Law, ...]:
    return (Law("moves_values_exactly", is_moved(reference), None),)


PAGES = "https://keras.io/api/layers/reshaping_layers"
FORMATS = Identity("other_data_format", other_format, other_format_outputs)


def _padding_spec(rank: int) -> LayerSpec:
    identities = [
        Identity("cropped_off_again", _cropped_off_again, _inputs_again, exact=True),
        Identity("pairs", _spelt_out("padding", 1), exact=True),
        FORMATS,
    ]
    return LayerSpec(
        f"ZeroPadding{rank}D",
        _zero_padding(rank),
        references.zero_padding,
        f"{PAGES}/zero_padding{rank}d/",
        laws=_moves(references.zero_padding),
        identities=tuple(identities),
    )


def _cropping_spec(rank: int, default: int) -> LayerSpec:
    identities = [Identity("pairs", _spelt_out("cropping", default), exact=True)]
    return LayerSpec(
        f"Cropping{rank}D",
        _cropping(rank, default),
        references.cropping,
        f"{PAGES}/cropping{rank}d/",
        laws=_moves(references.cropping),
        identities=(*identities, FORMATS) if rank > 1 else tuple(identities),
    )


SPECS = (
    LayerSpec(
        "Reshape",
        _reshape,
        references.reshape,
        f"{PAGES}/reshape/",
        laws=_moves(references.reshape),
        identities=(
            Identity("is_flatten", _as_flatten, exact=True),
            Identity("sizes_named", _sizes_named, exact=True),
        ),
    ),
    LayerSpec(
        "Permute",
        _permute,
        references.permute,
        f"{PAGES}/permute/",
        laws=_moves(references.permute),
        identities=(Identity("and_back", _shuffled_back, _inputs_again, exact=True),),
    ),
    LayerSpec(
        "Flatten",
        _flatten,
        references.flatten,
        f"{PAGES}/flatten/",
        laws=_moves(references.flatten),
    ),
    LayerSpec(
        "RepeatVector",
        _repeat_vector,
        references.repeat_vector,
        f"{PAGES}/repeat_vector/",
        laws=_moves(references.repeat_vector),
    ),
    LayerSpec(
        "UpSampling1D",
        _up_sampling(1),
        references.up_sampling,
        f"{PAGES}/up_sampling1d/",
        laws=_moves(references.up_sampling),
        identities=(Identity("plane_of_width_1", _in_a_plane, _out_of_the_plane, exact=True),),
    ),
    LayerSpec(
        "UpSampling2D",
        _up_sampling(2),
        references.up_sampling,
        f"{PAGES}/up_sampling2d/",
        laws=(
            *_moves(references.up_sampling),
            Law("constant_stays", constant_stays, None),
            Law("stays_between", stays_between, None),
        ),
        identities=(FORMATS, Identity("mirrored", _mirrored, _mirrored_outputs)),
        unsupported=_lanczos,
    ),
    LayerSpec(
        "UpSampling3D",
        _up_sampling(3),
        references.up_sampling,
        f"{PAGES}/up_sampling3d/",
        laws=_moves(references.up_sampling),
        identities=(FORMATS,),
    ),
    _cropping_spec(1, 1),
    _cropping_spec(2, 0),
    _cropping_spec(3, 1),
    _padding_spec(1),
    _padding_spec(2),
    _padding_spec(3),
)
