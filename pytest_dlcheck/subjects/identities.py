"""What families of layers share when they state identities: how to make the other case of a pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Case, Tensor, map_tensors
from pytest_dlcheck.cases.values import make

__all__ = [
    "axis_sign",
    "compute_dtype",
    "mapped_inputs",
    "of_array",
    "other_format",
    "other_format_outputs",
    "transposed",
]

Array = NDArray[Any]


def compute_dtype(case: Case) -> str:
    """The dtype that the case's layer computes in."""
    return case.compute_dtype


def of_array(array: Array, dtype: str = "float") -> Tensor:
    """A tensor of just these values."""
    return Tensor(array.shape, dtype, literal=array.tolist())


def mapped_inputs(case: Case, function: Callable[[Array], Array]) -> Any:
    """The inputs of a case with a function applied to the values of each tensor."""
    return map_tensors(lambda tensor: of_array(function(make(tensor, compute_dtype(case))), tensor.dtype), case.inputs)


def axis_sign(argument: str, rank: Callable[[Case], int] | None = None) -> Callable[[Case], Case | None]:
    """The same case with an axis, or each of several, counted from the other end: -k for n - k, and back.

    Args:
        argument: of the constructor: one integer, or a list or tuple of them.
        rank: how many axes are counted, the batch included; by default the rank of the first input.
    """

    def other(case: Case) -> Case | None:
        given = case.arguments.get(argument)
        if given is None:
            return None
        first = case.inputs
        while not isinstance(first, Tensor):
            first = first[0]
        count = rank(case) if rank is not None else len(first.shape)

        def turned(axis: int) -> int:
            return axis - count if axis >= 0 else axis + count

        if isinstance(given, (list, tuple)):
            return case.with_arguments(**{argument: type(given)(turned(axis) for axis in given)})
        return case.with_arguments(**{argument: turned(given)})

    return other


def transposed(values: Array, *, to_first: bool) -> Array:
    """A batch of images with its channels moved, `to_first` from the end to right after the batch, or back."""
    return np.moveaxis(values, -1, 1) if to_first else np.moveaxis(values, 1, -1)


def other_format(case: Case) -> Case | None:
    """The same images in the other data format, said by argument."""
    first = case.arguments.get("data_format") or case.settings.get("image_data_format", "channels_last")
    to_first = first == "channels_last"
    return case.with_arguments(data_format="channels_first" if to_first else "channels_last").replace(
        inputs=mapped_inputs(case, lambda values: transposed(values, to_first=to_first))
    )


def other_format_outputs(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    """What outputs in the case's own format look like in the other."""
    first = case.arguments.get("data_format") or case.settings.get("image_data_format", "channels_last")
    return [transposed(output, to_first=first == "channels_last") if output.ndim > 2 else output for output in outputs]
