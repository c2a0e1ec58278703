"""Activation functions, in `keras.ops` and in `keras.activations`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from pytest_dlcheck.subjects.operations.record import Maker, Operation, Variant, at, between, distinct, real

__all__ = ["OPERATIONS"]


def _spread(rng: np.random.Generator) -> Any:
    """For whole activation functions: values on either side of each corner, none near one."""
    return rng.permutation([-7.0, -3.6, -1.4, -0.8, -0.3, 0.2, 0.7, 1.3, 3.4, 6.5]) + rng.uniform(-0.09, 0.09, 10)


# Between the corners of each.
_SCALAR = between(0.55, 0.95)

_PLAIN = (
    "hard_sigmoid hard_silu hard_swish hard_tanh log_sigmoid relu relu6 selu sigmoid silu softplus softsign sparse_plus "
    "sparse_sigmoid swish tanh tanh_shrink"
)

# Options with their values, by function; the defaults first.
_OPTIONS: Mapping[str, tuple[Mapping[str, Any], ...]] = MappingProxyType(
    {
        "celu": ({}, {"alpha": 0.3}),
        "elu": ({}, {"alpha": 0.3}),
        "gelu": ({}, {"approximate": True}, {"approximate": False}),
        "hard_shrink": ({}, {"threshold": 1.0}),
        "leaky_relu": ({}, {"negative_slope": 0.01}),
        "soft_shrink": ({}, {"threshold": 1.0}),
        "squareplus": ({}, {"b": 0.5}),
        "threshold": ({"threshold": 0.5, "default_value": 0.1}, {"threshold": -1.0, "default_value": 20.0}),
    }
)


def _along_axes(maker: Maker) -> tuple[Variant, ...]:
    return at(maker), at(maker, axis=0), at(maker, axis=1), at(maker, axis=-2)


# Of `keras.activations` alone.
_RELU: tuple[Mapping[str, Any], ...] = (
    {"negative_slope": 0.1},
    {"max_value": 2.0},
    {"threshold": 0.5, "negative_slope": 0.2, "max_value": 3.0},
)


def _both(name: str, *variants: Variant) -> tuple[Operation, ...]:
    return tuple(Operation(f"{module}.{name}", variants) for module in ("activations", "ops"))


def _by_name(get: Any, x: Any) -> Any:
    return get("tanh")(x)


def _from_config(deserialize: Any, x: Any) -> Any:
    import keras

    return deserialize(keras.activations.serialize(keras.activations.softplus))(x)


def _to_config(serialize: Any, x: Any) -> Any:
    import keras

    return keras.activations.deserialize(serialize(keras.activations.softplus))(x)


def _close(*shape: int) -> Maker:
    """Distinct, and so near each other that sparsemax is no corner of the simplex, where its derivative is zero."""
    return lambda rng: 0.4 * distinct(*shape)(rng)


OPERATIONS: tuple[Operation, ...] = (
    *(each for name in _PLAIN.split() for each in _both(name, at(_spread), at(_SCALAR, label="a scalar"))),
    *(each for name, options in _OPTIONS.items() for each in _both(name, *(at(_spread, **option) for option in options))),
    *(each for name in ("log_softmax", "softmax") for each in _both(name, *_along_axes(real(2, 4, 3)))),
    *_both("glu", at(real(2, 4, 6)), at(real(2, 4, 6), axis=1), at(real(2, 4, 6), axis=-2)),
    *_both("sparsemax", at(_close(2, 5)), at(_close(5, 2), axis=0)),
    Operation("ops.softmax", (at(real(2, 3, 2), axis=(1, 2)), at(real(2, 3, 2), axis=(0, -1)))),
    Operation("activations.relu", tuple(at(_spread, **options) for options in _RELU)),
    Operation("activations.exponential", (at(real(2, 3)), at(real(), label="a scalar"))),
    Operation("activations.linear", (at(real(2, 3)),)),
    Operation("activations.mish", (at(_spread), at(_SCALAR, label="a scalar"))),
    Operation("activations.get", (at(real(2, 3), call=_by_name, label="of a name"),)),
    Operation("activations.serialize", (at(real(2, 3), call=_to_config, label="and back"),)),
    Operation("activations.deserialize", (at(real(2, 3), call=_from_config, label="from a config"),)),
)
