"""Specs of the activation layers."""

# ruff: noqa: ARG001 - laws and identities take what the interface says

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Build, Case, Name, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import activation as references
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.identities import axis_sign, mapped_inputs, of_array
from pytest_dlcheck.subjects.spec import HALF, Call, Expected, Identity, Law, LayerSpec
from pytest_dlcheck.tolerance_of_laws import ELEMENTARY, of_operations, of_shares

__all__ = ["SPECS"]

Array = NDArray[Any]

FUNCTIONS = (
    "relu", "sigmoid", "tanh", "softmax", "softplus", "softsign", "selu", "elu", "exponential", "gelu", "silu", "swish",
    "linear", "hard_sigmoid", "leaky_relu", "log_softmax", "mish", "relu6", "hard_silu", "hard_swish",
)  # fmt: skip
"""Those of every version of Keras 3, by https://keras.io/api/layers/activations/."""
NEWER = (
    "celu", "glu", "hard_shrink", "hard_tanh", "log_sigmoid", "soft_shrink", "sparse_plus", "sparse_sigmoid", "sparsemax",
    "squareplus", "tanh_shrink",
)  # fmt: skip
"""Those that came one after the other up to Keras 3.8."""
KNOWN_BY_NAME = ("glu", "leaky_relu", "sparsemax")
"""Of which the register speaks, and it can tell names, not functions; that these are the same is an identity of Activation."""
OBJECTS: tuple[Name | Build, ...] = (
    Name("pytest_dlcheck.subjects.callables.double"),
    Build("keras.layers.LeakyReLU", {"negative_slope": 0.25}),
    Build("keras.layers.ReLU", {"max_value": 2.0, "negative_slope": 0.5}),
    Build("keras.layers.ELU", {"alpha": 0.5}),
    Build("keras.layers.Softmax", {"axis": -1}),
)
"""A function of the user's own, and layers."""


def _inputs(d: Draw, least_rank: int = 1) -> tuple[int, ...]:
    """Of any rank; of rank 3 now and then with a mask over time."""
    shape = d.shape(d.choice([rank for rank in (2, 3, 1, 4) if rank >= least_rank]))
    d.inputs = d.floats(shape)
    if len(shape) == 3 and d.flag(3):
        d.masks = (d.padding(*shape[:2]),)
    return shape


def _activation(d: Draw) -> None:
    names = FUNCTIONS + (NEWER if d.world.keras >= (3, 8) else ())
    how = d.choice(["name", "function", "object", "none"])
    if how == "none":
        d.set("activation", None)
    elif how == "object":
        d.set("activation", _in_policy(d.choice(OBJECTS), d.policy))
    else:
        name = d.choice(names)
        if name in KNOWN_BY_NAME:
            how = "name"
        d.set("activation", name if how == "name" else Name(f"keras.activations.{name}"))
    d.common_options()
    shape = _inputs(d, 2)
    if _name(d.arguments["activation"]) == "glu":
        d.inputs = d.floats((*shape[:-1], 2 * shape[-1]))
    elif _name(d.arguments["activation"]) == "exponential":
        d.inputs = d.floats(shape, ("normal", "small_integers", "sparse", "zeros", "tiny"))


def _in_policy(given: Name | Build, policy: str) -> Name | Build:
    """A layer has a policy of its own, and would compute in float32."""
    if isinstance(given, Name) or policy == "float32":
        return given
    return Build(given.path, {**given.arguments, "dtype": policy})


def _name(given: Any) -> str | None:
    """Of an activation that has one: `relu`."""
    path = given.path if isinstance(given, (Name, Build)) else given
    return None if path is None else str(path).rpartition(".")[2]


def _relu(d: Draw) -> None:
    # Inputs meet 1 and 0, and never 3/4.
    threshold = d.option("threshold", [0.75, 1.0, 0], default=0.0)
    d.option("max_value", [6.0, 1, 2.5, None] if threshold <= 1 else [6.0])
    d.option("negative_slope", [0.25, 1, 0.01])
    d.common_options()
    _inputs(d)


def _leaky_relu(d: Draw) -> None:
    d.option("negative_slope", [0.0, 0.25, 1, 0.01], one_in=2)
    d.common_options()
    _inputs(d)


def _elu(d: Draw) -> None:
    d.option("alpha", [0.5, 2, 0.01], one_in=2)
    d.common_options()
    _inputs(d)


def _p_relu(d: Draw) -> None:
    shape = _inputs(d, 2)
    axes = list(range(1, len(shape)))
    d.option("shared_axes", lambda: d.choice([[1], axes, axes[::-1], (axes[-1],)]), one_in=2)
    d.weight_options("alpha")
    d.common_options()


def _softmax(d: Draw) -> None:
    shape = _inputs(d, 2)
    rank = len(shape)
    # The batch's own axis aside, over which samples would depend on each other.
    axes = [axis for axis in range(-rank + 1, rank) if axis != 0]
    several = [(1, 2), [-1, 1], (-1, -2)] if rank > 2 else [(1,), [-1]]
    axis = d.option("axis", [*axes, *several], default=-1, one_in=2)
    d.common_options()
    d.masks = None
    if d.flag(3):
        d.call["mask"] = _keeping_some(d, shape, axis)
        if d.policy not in HALF and d.flag():
            d.inputs = d.floats(shape, ["huge"]) if d.flag() else _larger_where_masked(d, shape, d.call["mask"])


def _larger_where_masked(d: Draw, shape: Sequence[int], mask: Tensor) -> Tensor:
    """What is masked lies far above what is kept."""
    masked = np.flatnonzero(~np.broadcast_to(make(mask), shape))
    return replace(d.floats(shape, ["normal"]), planted=tuple((int(place), 1e10) for place in masked[:3]))


def _keeping_some(d: Draw, shape: Sequence[int], axis: Any) -> Tensor:
    """A mask that may be of size 1 along axes, and that keeps an entry of every sum."""
    # Along the batch it stays whole, for samples are also looked at one by one.
    broadcast = [size if position == 0 or not d.flag(4) else 1 for position, size in enumerate(shape)]
    kept = make(d.bools(broadcast))
    first: list[Any] = [slice(None)] * len(shape)
    for each in axis if isinstance(axis, (list, tuple)) else (axis,):
        first[each] = 0
    kept[tuple(first)] = True
    return of_array(kept, "bool")


def _is_exact(reference: Callable[[Call], Expected], operations: int) -> Callable[[Call, Sequence[Array], float], str | None]:
    """At a jump the tolerance is as wide as the jump, for it moves the inputs; here nothing is moved.

    `operations` are those of the formula where it is not constant, each of a quantity no larger than its input or its output.
    """

    def check(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
        expected = np.asarray(reference(call).outputs)
        magnitude = np.maximum(np.abs(expected), np.abs(call.inputs))
        wrong = ~(np.abs(outputs[0] - expected) <= of_operations(operations, magnitude, unit_roundoff=unit_roundoff))
        if not wrong.any():
            return None
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        return f"{outputs[0][at]!r} instead of {expected[at]!r} at x = {call.inputs[at]!r}"

    return check


RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "relu": (0, np.inf), "relu6": (0, 6), "sigmoid": (0, 1), "hard_sigmoid": (0, 1), "sparse_sigmoid": (0, 1),
        "softmax": (0, 1), "sparsemax": (0, 1), "tanh": (-1, 1), "hard_tanh": (-1, 1), "softsign": (-1, 1),
        "softplus": (0, np.inf), "exponential": (0, np.inf), "sparse_plus": (0, np.inf), "squareplus": (0, np.inf),
        "log_softmax": (-np.inf, 0), "log_sigmoid": (-np.inf, 0), "elu": (-1, np.inf), "celu": (-1, np.inf),
    }
)  # fmt: skip
"""What an activation cannot leave, whatever it is given."""


def _stays_in_its_range(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    given = call["activation"]
    if isinstance(given, Build):
        return None
    low, high = RANGES.get(_name(given) or "", (-np.inf, np.inf))
    # An elementary function at most, at an end of the range that is not zero, and a product with it.
    largest = max([1.0, *(abs(end) for end in (low, high) if np.isfinite(end))])
    slack = of_operations(ELEMENTARY + 1, largest, unit_roundoff=unit_roundoff)
    wrong = (outputs[0] < low - slack) | (outputs[0] > high + slack)
    return f"{outputs[0][wrong][0]} is outside [{low}, {high}]" if wrong.any() else None


STEPS = ("hard_shrink",)

# The operations of `_is_exact`.
JUMP = 0
"""x or 0."""
SLOPE = 2
"""slope x: the slope is rounded; a product."""
SLOPE_BELOW = 4
"""slope (x - threshold): both numbers are rounded; a difference and a product."""


def _steps_are_exact(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    if _name(call["activation"]) not in STEPS:
        return None
    return _is_exact(references.activation_layer, JUMP)(call, outputs, unit_roundoff)


def _sums_to_one(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    axis = call["axis"]
    axes = tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)
    sums = np.sum(outputs[0], axis=axes)
    count = int(np.prod([outputs[0].shape[each] for each in axes]))
    off = float(np.max(np.abs(sums - 1), initial=0.0))
    # Over several axes at once Keras takes exp(x - log(sum(exp(x)))), whose logarithm is as large as the inputs.
    offset = float(np.max(np.abs(call.inputs), initial=0.0)) if len(axes) > 1 else None
    return f"a sum is {off:g} off 1" if off > of_shares(count, unit_roundoff=unit_roundoff, offset=offset) else None


def _masked_get_nothing(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    if "mask" not in call.keywords:
        return None
    masked = outputs[0][~np.broadcast_to(call.keywords["mask"], outputs[0].shape)]
    return f"a masked entry gets {masked.max():g}" if masked.size and masked.max() > 0 else None


def _mirrored(case: Case, names: tuple[str, ...]) -> Case | None:
    if _name(case.arguments["activation"]) not in names or isinstance(case.arguments["activation"], Build):
        return None
    return case.replace(inputs=mapped_inputs(case, lambda values: -values))


ODD = ("tanh", "softsign", "hard_tanh", "linear", "tanh_shrink", "soft_shrink", "hard_shrink")
COMPLEMENTS = ("sigmoid", "hard_sigmoid", "sparse_sigmoid")


def _by_name(case: Case) -> Case | None:
    """A function as the object for its name, and the name for the function."""
    given = case.arguments["activation"]
    if isinstance(given, str):
        return case.with_arguments(activation=Name(f"keras.activations.{given}"))
    if isinstance(given, Name) and given.path.startswith("keras."):
        return case.with_arguments(activation=_name(given))
    return None


def _shifted(case: Case) -> Case | None:
    """A power of two is added to inputs of small integers: neither side rounds."""
    if not isinstance(case.inputs, Tensor) or case.inputs.values != "small_integers" or case.inputs.planted:
        return None
    return case.replace(inputs=mapped_inputs(case, lambda values: values + 4))


def _as_relu(case: Case) -> Case | None:
    """The leaky kind as ReLU with a slope."""
    slope = case.arguments.get("negative_slope", 0.3)
    given = {key: value for key, value in case.arguments.items() if key != "negative_slope"}
    return case.replace(subject="keras.layers.ReLU", arguments={**given, "negative_slope": slope})


def _axes_turned_round(case: Case) -> Case | None:
    axis = case.arguments.get("axis")
    if not isinstance(axis, (list, tuple)) or len(axis) < 2:
        return None
    return case.with_arguments(axis=type(axis)(reversed(axis)))


PAGES = "https://keras.io/api/layers/activation_layers"

SPECS = (
    LayerSpec(
        "Activation",
        _activation,
        references.activation_layer,
        "https://keras.io/api/layers/core_layers/activation/",
        scale=1.0,
        laws=(Law("stays_in_its_range", _stays_in_its_range, None), Law("steps_are_exact", _steps_are_exact)),
        identities=(
            Identity("odd", lambda case: _mirrored(case, ODD), lambda case, outputs: [-each for each in outputs]),
            Identity(
                "complement", lambda case: _mirrored(case, COMPLEMENTS), lambda case, outputs: [1 - each for each in outputs]
            ),
            Identity("name_is_function", _by_name, exact=True),
        ),
    ),
    LayerSpec(
        "ReLU",
        _relu,
        references.relu,
        f"{PAGES}/relu/",
        laws=(Law("exact_at_the_threshold", _is_exact(references.relu, SLOPE_BELOW)),),
    ),
    LayerSpec(
        "LeakyReLU",
        _leaky_relu,
        references.leaky_relu,
        f"{PAGES}/leaky_relu/",
        laws=(Law("exact_at_zero", _is_exact(references.leaky_relu, SLOPE)),),
        identities=(Identity("is_relu_with_a_slope", _as_relu),),
    ),
    LayerSpec("PReLU", _p_relu, references.p_relu, f"{PAGES}/prelu/"),
    # exp(x) - 1, as documented, has a term of size 1 however small x is.
    LayerSpec("ELU", _elu, references.elu, f"{PAGES}/elu/", scale=1.0),
    LayerSpec(
        "Softmax",
        _softmax,
        references.softmax,
        f"{PAGES}/softmax/",
        scale=1.0,
        laws=(Law("sums_to_one", _sums_to_one, None), Law("masked_get_nothing", _masked_get_nothing, None)),
        identities=(
            Identity("negative_axis_is_positive", axis_sign("axis")),
            Identity("order_of_axes", _axes_turned_round),
            Identity("shift_invariant", _shifted),
        ),
    ),
)
