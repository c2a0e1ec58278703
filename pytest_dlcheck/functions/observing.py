"""Calls a function and writes down what came out: the only part that touches a framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.observe.framework_values import value_of
from pytest_dlcheck.observe.layer_observation import Raised, Value
from pytest_dlcheck.observe.nests import leaves_of, map_leaves, structure_of
from pytest_dlcheck.subjects.operations.record import Variant

__all__ = ["SEED", "Declaration", "Observer", "Outputs"]

Array = NDArray[Any]
SEED = 1


@dataclass(frozen=True)
class Outputs:
    """What a call gave: its structure with a star for each tensor, the tensors, and whether they are the framework's own.

    Numbers and arrays of NumPy are what a question is answered with: of how many axes, of which dtype.
    """

    structure: str
    values: tuple[Value, ...]
    tensors: bool = True


@dataclass(frozen=True)
class Declaration:
    """What a call on symbolic tensors gave: by tensor its shape, None for a size that is left open, and its dtype."""

    structure: str
    tensors: tuple[tuple[tuple[int | None, ...], str], ...]


class _Stateless:
    """A function of tensors in the place of a layer, for `Backend.graph` and `Backend.compiled`."""

    trainable_variables: tuple[()] = ()
    non_trainable_variables: tuple[()] = ()
    # A function may need every size; that leaving them open works is no promise of most.
    stateful = True

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run

    def _flatten_layers(self) -> list[Any]:
        return [self]

    def __call__(self, *tensors: Any) -> Any:
        return self._run(*tensors)


class Observer:
    """Calls one function on a backend.

    Args:
        function: as Keras exports it.
        backend: loaded.
    """

    def __init__(self, function: Callable[..., Any], backend: Backend) -> None:
        self.function, self.backend = function, backend

    def eager(self, variant: Variant, arguments: Sequence[Any], dtype: str) -> Outputs | Raised:
        """The plain call.

        Args:
            variant: how.
            arguments: NumPy's arrays and lists of them.
            dtype: bfloat16 if floats are to be cast to it, which NumPy lacks; else nothing follows from it.
        """
        return self._seen("the call", lambda: variant.call(self.function, *self._put(arguments, dtype), **variant.options))

    def in_mode(self, mode: str, variant: Variant, arguments: Sequence[Any], dtype: str) -> Outputs | Raised | None:
        """As `eager`, as a `graph` or `compiled`; None where the framework has no such mode."""
        tensors = leaves_of(self._put(arguments, dtype))

        def run(*flat: Any) -> Any:
            left = iter(flat)
            given = [map_leaves(lambda _: next(left), each) for each in arguments]
            return variant.call(self.function, *given, **variant.options)

        make = self.backend.graph if mode == "graph" else self.backend.compiled
        program = make(_Stateless(run), lambda function, flat: function(*flat))
        if program is None:
            return None
        return self._seen(f"the call in mode {mode}", lambda: program(tensors))

    def declared(
        self, variant: Variant, arguments: Sequence[Any], dtype: str, *, open_sizes: bool = False
    ) -> Declaration | Raised:
        """The call on symbolic tensors (`keras.KerasTensor`) of the arguments' shapes and dtypes.

        Args:
            variant: how.
            arguments: NumPy's arrays and lists of them.
            dtype: as of `eager`.
            open_sizes: whether the first size of each tensor is left open.
        """
        keras = self.backend.keras

        def symbolic(array: Array) -> Any:
            shape = (None, *array.shape[1:]) if open_sizes and array.ndim else array.shape
            return keras.KerasTensor(shape, dtype=_name(array, dtype))

        try:
            outputs = variant.call(self.function, *(map_leaves(symbolic, each) for each in arguments), **variant.options)
            tensors = [(tuple(each.shape), str(keras.backend.standardize_dtype(each.dtype))) for each in leaves_of(outputs)]
        except Exception as error:  # noqa: BLE001 - an error is an observation too
            return Raised(type(error).__name__, str(error), "the call on symbolic tensors")
        return Declaration(structure_of(outputs), tuple(tensors))

    def _put(self, arguments: Sequence[Any], dtype: str) -> list[Any]:
        def put(array: Array) -> Any:
            tensor = self.backend.put(array)
            return self.backend.keras.ops.cast(tensor, "bfloat16") if _name(array, dtype) == "bfloat16" else tensor

        return [map_leaves(put, each) for each in arguments]

    def _seen(self, during: str, call: Callable[[], Any]) -> Outputs | Raised:
        self.backend.seed(SEED)
        try:
            outputs = call()
            leaves = leaves_of(outputs)
            tensors = not all(isinstance(leaf, (bool, int, float, str, np.ndarray, np.generic)) for leaf in leaves)
            return Outputs(structure_of(outputs), tuple(value_of(self.backend, leaf) for leaf in leaves), tensors)
        except Exception as error:  # noqa: BLE001 - an error is an observation too
            return Raised(type(error).__name__, str(error), during)


def _name(array: Array, dtype: str) -> str:
    return "bfloat16" if dtype == "bfloat16" and np.asarray(array).dtype.kind == "f" else str(np.asarray(array).dtype)
