"""Specs of the merging layers."""

# ruff: noqa: ARG001 - laws and identities take what the interface says

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Case, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import merging as references
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.identities import axis_sign, mapped_inputs, of_array
from pytest_dlcheck.subjects.spec import HALF, Call, Identity, Law, LayerSpec
from pytest_dlcheck.tolerance import SMALLEST_NORMAL
from pytest_dlcheck.tolerance_of_laws import of_cosines

__all__ = ["SPECS"]

Array = NDArray[Any]

# Masks of merging layers were put right in Keras 3.4: https://github.com/keras-team/keras/pull/19685.
MASKS_SINCE = (3, 4)


def _merging(most: int = 4, *, masks_matter: bool = False, integers: bool = True) -> Callable[[Draw], None]:
    """Several inputs of one shape, or of shapes that broadcast.

    Args:
        most: how many inputs the layer takes.
        masks_matter: whether a masked step counts for nothing; then no step is masked in every input.
        integers: whether integers give integers.
    """

    def draw(d: Draw) -> None:
        count = d.choice(range(2, most + 1))
        shape = d.shape(d.choice([2, 3, 4, 1]))
        d.common_options()
        if integers and d.flag(8):
            d.inputs = [d.integers(shape, -3, 40) for _ in range(count)]
            return
        if len(shape) == 3 and d.world.keras >= MASKS_SINCE and d.flag(3):
            d.inputs = [d.floats(shape) for _ in range(count)]
            d.masks = _masks(d, shape, count, masks_matter=masks_matter)
            return
        shapes = [shape]
        for _ in range(count - 1):
            shapes.append(_broadcast(d, shape) if d.flag(3) else shape)
        if d.flag(8):
            shapes.reverse()
        d.inputs = [d.floats(each) for each in shapes]

    return draw


def _broadcast(d: Draw, shape: Sequence[int]) -> tuple[int, ...]:
    """Some sizes 1, or some axes after the batch left out."""
    if len(shape) > 2 and d.flag(3):
        return (shape[0], *shape[d.integer(2, len(shape) - 1) :])
    return (shape[0], *(1 if d.flag() else size for size in shape[1:]))


def _masks(d: Draw, shape: Sequence[int], count: int, *, masks_matter: bool) -> tuple[Tensor | None, ...]:
    """For each input a mask over time or none."""
    masks: list[Tensor | None] = [d.padding(*shape[:2]) if not d.flag(4) else None for _ in range(count)]
    if masks_matter and all(mask is not None for mask in masks):
        # What every input masks has no value that anything says.
        kept = [make(mask) for mask in masks if mask is not None]
        kept[-1] = kept[-1] | ~np.any(kept, axis=0)
        masks[-1] = of_array(kept[-1], "bool")
    return tuple(masks)


def _concatenate(d: Draw) -> None:
    rank = d.choice([2, 3, 4])
    shape = d.shape(rank)
    count = d.choice([2, 3, 4])
    # Samples are no axis to concatenate along.
    axis = d.option("axis", [axis for axis in range(-rank + 1, rank) if axis != 0], default=-1, one_in=2)
    shapes = []
    for _ in range(count):
        sizes = list(shape)
        sizes[axis] = d.size()
        shapes.append(tuple(sizes))
    d.common_options()
    if d.flag(6):
        d.inputs = [d.integers(each, 0, 300) for each in shapes]
        return
    d.inputs = [d.floats(each) for each in shapes]
    if rank == 3 and d.world.keras >= MASKS_SINCE and d.flag(3):
        d.masks = tuple(d.padding(*each[:2]) if not d.flag(4) else None for each in shapes)


def _dot(d: Draw) -> None:
    batch, common = d.size(), d.size()
    ranks = d.choice([(2, 2), (3, 3), (3, 2), (2, 3), (4, 3), (3, 4)])
    axes, shapes = [], []
    for rank in ranks:
        axis = d.integer(1, rank - 1)
        rest = list(d.shape(rank - 2))
        rest.insert(axis - 1, common)
        shapes.append((batch, *rest))
        axes.append(axis - rank if d.flag() else axis)
    same = axes[0] == axes[1]
    d.set("axes", axes[0] if same and d.flag() else d.choice([tuple, list])(axes))
    normalized = d.option("normalize", [True], default=False)
    d.common_options()
    # The square of 1e-3 is no number of float16.
    kinds = ("normal", "small_integers", "sparse", "zeros") if normalized and d.policy in HALF else None
    d.inputs = [d.floats(shape, kinds) for shape in shapes]


def _turned_round(case: Case) -> Case | None:
    masks = None if case.masks is None else tuple(reversed(case.masks))
    return case.replace(inputs=list(reversed(case.inputs)), masks=masks)


def _shapes(case: Case) -> set[tuple[int, ...]]:
    return {each.shape for each in case.inputs}


def _alike(case: Case) -> Case | None:
    """The first input and itself once more, if it holds nothing that a backend may take for zero."""
    values = np.abs(make_of(case).astype(np.float64))
    if case.masks is not None or np.any((values > 0) & (values < SMALLEST_NORMAL)):
        return None
    return case.replace(inputs=[case.inputs[0], case.inputs[0]])


def _as_add(case: Case) -> Case | None:
    return case.replace(subject="keras.layers.Add", masks=None if case.masks is None else case.masks)


def _times_count(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    return [len(case.inputs) * output for output in outputs]


def _negated(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    return [-output for output in outputs]


def _as_minimum(case: Case) -> Case | None:
    """max(x) = -min(-x)."""
    other = "Minimum" if case.name == "Maximum" else "Maximum"
    if case.inputs[0].dtype != "float":
        return None
    return case.replace(subject=f"keras.layers.{other}", inputs=mapped_inputs(case, lambda values: -values))


def _splits(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """Cut where the inputs end, the output is the inputs, bit for bit."""
    axis = call["axis"]
    ends = np.cumsum([each.shape[axis] for each in call.inputs])[:-1]
    for index, (part, given) in enumerate(zip(np.split(outputs[0], ends, axis=axis), call.inputs, strict=True)):
        if part.shape != given.shape or not np.array_equal(part, given):
            return f"the part of input {index} is not that input"
    return None


def _one_of_the_inputs(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """Nothing is computed: each value is that of an input at the same place, or zero for a number too small to be normal."""
    like = outputs[0]
    rank = max(each.ndim for each in call.inputs)
    found = np.zeros(like.shape, dtype=bool)
    for each in call.inputs:
        found |= np.abs(like - each.reshape(each.shape[0], *([1] * (rank - each.ndim)), *each.shape[1:])) <= SMALLEST_NORMAL
    return None if found.all() else f"{int((~found).sum())} of {found.size} values are no input's"


def _cosines(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    if not call["normalize"]:
        return None
    largest = float(np.max(np.abs(outputs[0]), initial=0.0))
    axes = call["axes"]
    terms = call.inputs[0].shape[axes if isinstance(axes, int) else axes[0]]
    return f"a cosine of {largest}" if largest > 1 + of_cosines(terms, unit_roundoff=unit_roundoff) else None


def _dot_turned_round(case: Case) -> Case | None:
    axes = case.arguments["axes"]
    turned = axes if isinstance(axes, int) else type(axes)(reversed(axes))
    return case.with_arguments(axes=turned).replace(inputs=list(reversed(case.inputs)))


def _dot_transposed(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    """Of x's axes those of y, and the other way round."""
    left, right = (len(each.shape) - 2 for each in case.inputs)
    if left + right == 0:
        return outputs
    order = (0, *range(1 + left, 1 + left + right), *range(1, 1 + left))
    return [output.transpose(order) for output in outputs]


def _axes_from_the_end(case: Case) -> Case | None:
    """Each axis counted from the other end, which is another number for each input."""
    axes = case.arguments["axes"]
    pair = (axes, axes) if isinstance(axes, int) else axes
    turned = [
        axis - len(each.shape) if axis > 0 else axis + len(each.shape) for axis, each in zip(pair, case.inputs, strict=True)
    ]
    return case.with_arguments(axes=tuple(turned))


PAGES = "https://keras.io/api/layers/merging_layers"
COMMUTES = Identity("order_of_inputs", _turned_round)
COMMUTES_EXACTLY = Identity("order_of_inputs", _turned_round, exact=True)
ITSELF = Identity("of_one_input_twice", _alike, lambda case, outputs: [make_of(case)], exact=True)


def make_of(case: Case) -> Array:
    """The first input's values, as the layer takes them."""
    return np.asarray(make(case.inputs[0], case.policy.removeprefix("mixed_")))


SPECS = (
    LayerSpec("Add", _merging(), references.add, f"{PAGES}/add/", identities=(COMMUTES,)),
    LayerSpec(
        "Subtract",
        _merging(2),
        references.subtract,
        f"{PAGES}/subtract/",
        identities=(Identity("antisymmetric", _turned_round, _negated, exact=True),),
    ),
    LayerSpec("Multiply", _merging(masks_matter=True), references.multiply, f"{PAGES}/multiply/", identities=(COMMUTES,)),
    LayerSpec(
        "Average",
        _merging(integers=False),
        references.average,
        f"{PAGES}/average/",
        identities=(COMMUTES, Identity("sum_over_count", _as_add, _times_count)),
    ),
    LayerSpec(
        "Maximum",
        _merging(masks_matter=True),
        references.maximum,
        f"{PAGES}/maximum/",
        laws=(Law("one_of_the_inputs", _one_of_the_inputs, None),),
        identities=(COMMUTES_EXACTLY, ITSELF, Identity("minimum_of_the_negatives", _as_minimum, _negated)),
    ),
    LayerSpec(
        "Minimum",
        _merging(masks_matter=True),
        references.minimum,
        f"{PAGES}/minimum/",
        laws=(Law("one_of_the_inputs", _one_of_the_inputs, None),),
        identities=(COMMUTES_EXACTLY, ITSELF, Identity("maximum_of_the_negatives", _as_minimum, _negated)),
    ),
    LayerSpec(
        "Concatenate",
        _concatenate,
        references.concatenate,
        f"{PAGES}/concatenate/",
        laws=(Law("splits_into_the_inputs", _splits, None),),
        identities=(Identity("negative_axis_is_positive", axis_sign("axis"), exact=True),),
    ),
    LayerSpec(
        "Dot",
        _dot,
        references.dot,
        f"{PAGES}/dot/",
        laws=(Law("cosines", _cosines, None),),
        identities=(
            Identity("order_of_inputs", _dot_turned_round, _dot_transposed),
            Identity("negative_axes_are_positive", _axes_from_the_end),
        ),
    ),
)
