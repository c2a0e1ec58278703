"""Specs of the preprocessing layers of numbers and categories; those of texts and vocabularies are in `lookup`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Build, Case, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import preprocessing as references
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.identities import axis_sign, compute_dtype, of_array
from pytest_dlcheck.subjects.layers import lookup
from pytest_dlcheck.subjects.spec import Call, Identity, Law, LayerSpec

__all__ = ["SPECS"]

Array = NDArray[Any]

PAGES = "https://keras.io/api/layers/preprocessing_layers"

# Normalization.


def _axes(d: Draw, rank: int) -> Any:
    """The kept axes, any but the batch: -1 by default, one, several in any order, none."""
    axes = list(range(1, rank))
    if not axes or d.flag(6):
        return d.set("axis", None)
    some = sorted({d.choice(axes) for _ in range(d.integer(1, 3))})
    order = some[::-1] if d.flag(3) else some
    signed = tuple(axis - rank if d.flag(3) else axis for axis in order)
    return d.option("axis", [signed[0], signed, signed], default=-1, one_in=2)


def _normalization(d: Draw) -> None:
    rank = d.choice([2, 3, 4, 1])
    shape = d.shape(rank)
    axis = _axes(d, rank)
    d.option("invert", [True])
    d.weights_seed = None
    if d.flag():
        # Three samples, so that every feature varies.
        data = (d.choice([3, 4]), *shape[1:])
        kinds = ["normal", "tiny"] if "16" in d.policy else ["normal", "offset", "large", "tiny"]
        if "float16" in d.policy and "bfloat16" not in d.policy:
            kinds = ["normal"]  # the variance of tiny values, 1e-6, is none of float16's normal numbers
        d.adapt = Tensor(data, "float", d.choice(kinds), d.integer(0, 3))
        if d.world.keras >= (3, 15) and d.flag(3):
            # In several batches, of sizes that differ.
            first = d.choice([1, 2])
            kind, seed = d.adapt.values, d.adapt.seed
            d.adapt = [Tensor((first, *shape[1:]), "float", kind, seed), Tensor((3, *shape[1:]), "float", kind, seed + 1)]
    else:
        sizes = _kept_sizes(axis, shape)
        # Both of one shape: a number, or one for each index of the last kept axis, or of all.
        form = sizes if d.flag() else sizes[-1:]
        form = [] if not sizes or d.flag() else form
        d.set("mean", _statistic(d, form, [0.0, 1.0, -2.5, 10.0]))
        d.set("variance", _statistic(d, form, [1.0, 0.25, 4.0, 3.0, 0.01]))
    d.common_options()
    d.inputs = d.floats(shape)


def _kept(case: Case) -> Sequence[int]:
    """The axes that have a mean each: it is spread over them when the layer is built, be it one number."""
    axis = case.arguments.get("axis", -1)
    return () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)


def _kept_sizes(axis: Any, shape: Sequence[int]) -> list[int]:
    axes = () if axis is None else (axis,) if isinstance(axis, int) else axis
    return [shape[each] for each in sorted(each % len(shape) for each in axes)]


def _statistic(d: Draw, shape: Sequence[int], values: Sequence[float]) -> Any:
    """A nest of numbers of that shape."""
    found: Any = [d.choice(values) for _ in range(int(np.prod(shape)))]
    for size in shape[:0:-1]:
        found = [found[start : start + size] for start in range(0, len(found), size)]
    return found if shape else found[0]


def _at_once(case: Case) -> Case | None:
    """Adapted to the same data as one array."""
    if not isinstance(case.adapt, list):
        return None
    data = np.concatenate([make(batch, compute_dtype(case)) for batch in case.adapt])
    return case.replace(adapt=of_array(data))


# Discretization.

BOUNDARIES = ([0.0], [-1.0, 0.0, 1.0], [0.5, 2.0], [-100.0, -0.5, 0.0, 0.5, 100.0])
MODES = ("one_hot", "multi_hot", "count")


def _encoding(d: Draw, modes: Sequence[str] = MODES, sparse: Sequence[str] = ("tensorflow",), one_in: int = 2) -> str:
    """The output mode, and now and then a sparse output, where the backend has any."""
    mode = str(d.option("output_mode", modes, default="int", one_in=one_in))
    if mode != "int":
        d.option("sparse", [True, False] if d.world.backend in sparse else [False], one_in=4)
    return mode


def _discretization(d: Draw) -> None:
    mode = _encoding(d)
    shape = d.shape(d.choice([2, 3]) if mode in {"int", "one_hot"} else 2)
    d.option("dtype", ["int32", "int64"] if mode == "int" else ["float32", "int32"], one_in=5)
    if d.flag(3):
        shape = (d.choice([4, 6, 8]), *shape[1:])
        d.set("num_bins", d.choice([2, 3, 4]))
        d.option("epsilon", [0.1, 0.001, 0.01])
        d.inputs = Tensor(shape, "float", d.choice(["normal", "distinct", "large"]), d.integer(0, 3))
        d.adapt = d.inputs
    else:
        d.set("bin_boundaries", d.choice(BOUNDARIES))
        d.inputs = d.floats(shape)
    d.weights_seed = None
    d.option("name", ["subject"], one_in=10)


def _equal_bins(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """Below the i-th of k learnt boundaries lies i / k of the data, to within epsilon of it and a value on either side."""
    del unit_roundoff
    if call.adapt is None or call["output_mode"] != "int":
        return None
    x, found, count = call.inputs.reshape(-1), outputs[0].reshape(-1), call["num_bins"]
    if found.min() < 0 or found.max() >= count:
        return f"bins {found.min()} to {found.max()} of {count}"
    order = np.argsort(x, kind="stable")
    if (np.diff(found[order]) < 0).any():
        return "a larger value falls into a lower bin"
    if not np.array_equal(call.adapt, call.inputs):  # of other data nothing is known
        return None
    for boundary in range(1, count):
        below, wanted = int((found < boundary).sum()), boundary * x.size / count
        if not abs(below - wanted) <= call["epsilon"] * x.size + 1:
            return f"{below} of {x.size} values lie below boundary {boundary} of {count}, and {wanted:g} should"
    return None


def _encodes_bins(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """Of learnt bins, each sample's counts add up to how many values it has; a one-hot row has a single one."""
    del unit_roundoff
    mode = call["output_mode"]
    if call.adapt is None or mode == "int":
        return None
    size = call["num_bins"]
    if outputs[0].shape[-1] != size:
        return f"{outputs[0].shape[-1]} bins instead of {size}"
    total = outputs[0].sum(axis=-1)
    wanted = call.inputs.shape[-1] if mode == "count" else 1
    right = total == wanted if mode != "multi_hot" else (total >= 1) & (total <= min(size, call.inputs.shape[-1]))
    return None if right.all() else f"{mode}: rows add up to {total.tolist()}"


# CategoryEncoding.


def _category_encoding(d: Draw) -> None:
    count = d.set("num_tokens", d.choice([3, 1, 2, 5, 8]))
    mode = d.option("output_mode", MODES, default="multi_hot", one_in=2)
    sparse = d.option("sparse", [True, False] if d.world.backend in {"tensorflow", "jax"} else [False], one_in=4)
    d.common_options()
    # Of one axis, the batch is the sample, unless each element is encoded on its own.
    shape = d.shape(2) if mode != "one_hot" else d.shape(d.choice([2, 1]))
    if mode == "one_hot" and len(shape) == 2 and d.flag():
        shape = (shape[0], 1)  # a column, of which some layers make a vector
    d.inputs = d.integers(shape, 0, count - 1, ("int32", "int64", "uint8"))
    if mode == "count" and not sparse and d.flag():
        d.call["count_weights"] = d.floats(shape)


# Pipeline.

STEPS = (
    Build("keras.layers.Rescaling", {"scale": 0.5, "offset": -1.0}),
    Build("keras.layers.Rescaling", {"scale": 3.0}),
    Build("keras.layers.Normalization", {"mean": 1.0, "variance": 4.0}),
    Build("keras.layers.Activation", {"activation": "tanh"}),
    Build("keras.layers.Flatten"),
    Build("keras.layers.Identity"),
)


def _pipeline(d: Draw) -> None:
    layers = d.set("layers", [d.choice(STEPS) for _ in range(d.integer(1, 3))])
    if any(layer.path.endswith("Normalization") for layer in layers):
        d.set("name", "with_normalization")  # by which the register knows it
    else:
        d.option("name", ["subject"], one_in=10)
    d.inputs = d.floats(d.shape(d.choice([2, 3, 4])))


def _nested(case: Case) -> Case:
    """A pipeline within a pipeline."""
    return case.with_arguments(layers=[Build("keras.layers.Pipeline", {"layers": case.arguments["layers"]})])


SPECS = (
    LayerSpec(
        "Normalization",
        _normalization,
        references.normalization,
        f"{PAGES}/numerical/normalization/",
        identities=(
            Identity("negative_axis_is_positive", axis_sign("axis")),
            Identity("adapt_in_batches_is_adapt_at_once", _at_once),
        ),
        keeps=_kept,
    ),
    LayerSpec(
        "Discretization",
        _discretization,
        references.discretization,
        f"{PAGES}/numerical/discretization/",
        policies=("none",),
        not_differentiable="which bin a value falls into is a whole number",
        laws=(Law("learnt_bins_hold_equally_many", _equal_bins), Law("learnt_bins_are_encoded", _encodes_bins)),
    ),
    LayerSpec(
        "CategoryEncoding",
        _category_encoding,
        references.category_encoding,
        f"{PAGES}/categorical/category_encoding/",
    ),
    LayerSpec(
        "Pipeline",
        _pipeline,
        references.pipeline,
        f"{PAGES}/pipeline/",
        policies=("float32",),
        identities=(Identity("nested_is_flat", _nested, exact=True),),
    ),
    *lookup.SPECS,
)
