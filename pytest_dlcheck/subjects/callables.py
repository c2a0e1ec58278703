"""Functions of a user's own, for layers that take one. Each works on every backend."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pytest_dlcheck.backends.keras_2 import operations
from pytest_dlcheck.subjects.foreign_objects import FUNCTIONS

__all__ = [
    "CUSTOM_OBJECTS",
    "affine",
    "double",
    "first_feature",
    "first_feature_shape",
    "halve_in_training",
    "keep_mask",
    "magnitude",
    "no_mask",
    "total",
    "zero_where_masked",
]


def double(x: Any) -> Any:
    """2 x."""
    import keras

    # As an operation of Keras's, for where it is given whatever memory holds, to see the shape, an operator warns in our name.
    return operations(keras).add(x, x)


def affine(x: Any, scale: float = 1.0, shift: float = 0.0) -> Any:
    """x scale + shift, for a Lambda's `arguments`."""
    import keras

    # Operators would take NumPy's bfloat16, which it does not know well, for float32.
    return operations(keras).add(operations(keras).multiply(x, scale), shift)


def first_feature(x: Any) -> Any:
    """The first of the last axis, which it keeps."""
    return x[..., :1]


def first_feature_shape(shape: Any) -> Any:
    """The whole shape that `first_feature` gives, the batch included."""
    return (*tuple(shape)[:-1], 1)


def halve_in_training(x: Any, training: bool = False) -> Any:
    """x / 2 in training mode, else x."""
    import keras

    # A tensor of its own in either mode: x itself would hand on the mask that is attached to it.
    return operations(keras).multiply(x, 0.5 if training else 1.0)


def zero_where_masked(x: Any, mask: Any = None) -> Any:
    """x with the masked steps put to zero; without a mask, -x, which tells the two apart."""
    import keras

    if mask is None:
        return -x
    return operations(keras).multiply(x, operations(keras).expand_dims(operations(keras).cast(mask, x.dtype), -1))


def total(xs: Any) -> Any:
    """The sum of two inputs."""
    import keras

    return operations(keras).add(xs[0], xs[1])


def keep_mask(inputs: Any, mask: Any = None) -> Any:
    """As `compute_mask` of a layer that hands its mask on."""
    del inputs
    return mask


def no_mask(inputs: Any, mask: Any = None) -> Any:
    """As `compute_mask` of a layer that takes the mask away."""
    del inputs, mask
    return None


# A Lambda writes down a function without a name as its bytecode, and any other by its name.
magnitude = lambda x: abs(x)  # noqa: E731, PLW0108

CUSTOM_OBJECTS: Mapping[str, Any] = MappingProxyType(
    {
        each.__name__: each
        for each in (
            affine,
            double,
            first_feature,
            first_feature_shape,
            halve_in_training,
            keep_mask,
            no_mask,
            total,
            zero_where_masked,
            *FUNCTIONS,
        )
    }
)
"""As `keras.saving.custom_object_scope` takes them."""
