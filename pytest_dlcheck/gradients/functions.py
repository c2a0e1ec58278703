"""From a layer, a model or a plain function to a function of float64 tensors alone, which is what can be differentiated."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.gradients.autodiff.base import Autodiff, Function
from pytest_dlcheck.gradients.program import Array
from pytest_dlcheck.observe.nests import leaves_of, map_leaves
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF

__all__ = ["Differentiable", "of_call", "of_layer"]


@dataclass(frozen=True)
class Differentiable:
    """A function of float64 tensors, and where to look at it.

    Attributes:
        function: gives every output of a floating dtype, flattened, in float64.
        names: of its arguments.
        point: the arguments, float64.
        unit_roundoff: of the dtype that it is known to compute in, at least.
        random: whether it draws random numbers, the same in every call; another mode of running may draw others.
    """

    function: Function
    names: list[str]
    point: list[Array]
    random: bool = False
    unit_roundoff: float = UNIT_ROUNDOFF["float64"]


def of_call(function: Callable[..., Any], inputs: Any, autodiff: Autodiff, names: Sequence[str] = ()) -> Differentiable:
    """A plain function of its floating inputs.

    Args:
        function: takes the framework's tensors, gives one or a nest of them.
        inputs: its arguments: a tuple or a list of nests of arrays, or a single array. What is not of a floating dtype is
            handed on as it is.
        autodiff: of the framework.
        names: of the arguments; by default those of the function's signature.
    """
    arguments = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    taken = _Inputs(dict(zip(names or _parameters(function, len(arguments)), arguments, strict=True)), autodiff)

    def run(xs: list[Any]) -> list[Any]:
        return floats(function(*taken.put(xs).values()), autodiff.backend)

    return Differentiable(run, taken.names, taken.point)


def of_layer(
    layer: Any,
    inputs: Any,
    autodiff: Autodiff,
    *,
    training: bool = False,
    call: Mapping[str, Any] | None = None,
    replace: Callable[[Any], Any] = lambda nest: nest,
    dtype: str = "float64",
) -> Differentiable:
    """A built layer or model, of its floating inputs and its trainable weights.

    Everything else that it holds, seeds too, has its present value in every call, and no call changes any. Losses that the
    layer adds, its regularizers' among them, are a further output.

    Args:
        layer: built.
        inputs: what it is called with, a nest of arrays.
        autodiff: of the framework.
        training: the mode of the calls, where the layer tells them apart.
        call: further keyword arguments of the call, plain or tensors.
        replace: applied to the nest of tensors just before the call: attaches masks.
        dtype: in which the layer takes its floating inputs.
    """
    keras = autodiff.backend.keras
    weights = list(layer.trainable_variables)
    others = [(variable, autodiff.backend.to_numpy(variable)) for variable in _others(layer)]
    keywords = dict(call or {})
    if "training" in inspect.signature(layer.call).parameters:
        keywords["training"] = training
    taken = _Inputs({"inputs": inputs}, autodiff, dtype)

    def run(xs: list[Any]) -> list[Any]:
        given = taken.put(xs[: len(taken.names)])["inputs"]
        held = [(variable, autodiff.backend.put(value)) for variable, value in others]
        mapping = [*zip(weights, xs[len(taken.names) :], strict=True), *held]
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True), autodiff.same_draws():
            outputs = floats(layer(replace(given), **keywords), autodiff.backend)
            losses = [floats(loss, autodiff.backend)[0] for loss in layer.losses]
        return [*outputs, *([sum(losses[1:], start=losses[0])] if losses else [])]

    values = [np.asarray(autodiff.backend.to_numpy(weight), dtype=np.float64) for weight in weights]
    names = [*taken.names, *_distinct([str(weight.path) for weight in weights])]
    return Differentiable(
        run, names, [*taken.point, *values], random=training and _draws(layer), unit_roundoff=UNIT_ROUNDOFF[dtype]
    )


def _draws(layer: Any) -> bool:
    return any("seed_generator_state" in str(variable.path) for variable in layer.variables)


def _others(layer: Any) -> list[Any]:
    trainable = {id(variable) for variable in layer.trainable_variables}
    return [variable for variable in layer.variables if id(variable) not in trainable]


def _distinct(paths: Sequence[str]) -> list[str]:
    """The last part of each path, and as much more as tells them apart."""
    short = [path.rpartition("/")[2] for path in paths]
    return [name if short.count(name) == 1 else path for name, path in zip(short, paths, strict=True)]


def _parameters(function: Callable[..., Any], count: int) -> list[str]:
    try:
        named = [
            each.name for each in inspect.signature(function).parameters.values() if each.kind <= each.POSITIONAL_OR_KEYWORD
        ]
    except (TypeError, ValueError):  # builtins have none
        named = []
    return [named[place] if place < len(named) else f"argument {place}" for place in range(count)]


class _Inputs:
    """Nests of arrays, taken apart into the floating ones, which are differentiated, and the rest."""

    def __init__(self, nests: Mapping[str, Any], autodiff: Autodiff, dtype: str = "float64") -> None:
        self._dtype = dtype
        self._nests = {name: map_leaves(np.asarray, nest) for name, nest in nests.items()}
        self._autodiff = autodiff
        self.names: list[str] = []
        self.point: list[Array] = []
        for name, nest in self._nests.items():
            leaves = leaves_of(nest)
            for place, leaf in enumerate(leaves):
                if _floating(leaf):
                    self.names.append(name if len(leaves) == 1 else f"{name}[{place}]")
                    self.point.append(np.asarray(leaf, dtype=np.float64))

    def put(self, xs: Sequence[Any]) -> dict[str, Any]:
        """The nests with the tensors in place of the floating arrays."""
        left = iter(xs)
        backend = self._autodiff.backend

        def one(leaf: Any) -> Any:
            if not _floating(leaf):
                return backend.put(leaf)
            return next(left) if self._dtype == "float64" else backend.keras.ops.cast(next(left), self._dtype)

        return {name: map_leaves(one, nest) for name, nest in self._nests.items()}


def _floating(array: Array) -> bool:
    return array.dtype.kind == "f" or str(array.dtype) == "bfloat16"


def floats(outputs: Any, backend: Backend) -> list[Any]:
    """The outputs of a floating dtype, flattened, in float64."""
    ops, found = backend.keras.ops, []
    for leaf in leaves_of(outputs):
        tensor = backend.tensor(leaf)
        dtype = str(backend.keras.backend.standardize_dtype(tensor.dtype)) if hasattr(tensor, "dtype") else ""
        if dtype.startswith(("float", "bfloat")):
            found.append(tensor if dtype == "float64" else ops.cast(tensor, "float64"))
    return found


@contextlib.contextmanager
def widened(layer: Any) -> Iterator[None]:
    """Inside, a layer and the layers in it compute in float64, whatever their policies say.

    Their variables keep their values; within a `StatelessScope` they stand for float64 ones.
    """
    parts = [part for part in layer._flatten_layers() if hasattr(part, "dtype_policy")]  # noqa: SLF001 - no public way
    policies = [(part, part.dtype_policy) for part in parts]
    dtypes = [(variable, variable._dtype) for variable in layer.variables if _is_float(variable)]  # noqa: SLF001
    # A functional model casts what it is given to the dtype of its inputs.
    inputs = {id(tensor): tensor for part in parts for tensor in leaves_of(getattr(part, "inputs", None)) if _is_float(tensor)}
    symbols = [(tensor, "_dtype" if hasattr(tensor, "_dtype") else "dtype") for tensor in inputs.values()]
    before = [getattr(tensor, name) for tensor, name in symbols]
    try:
        for tensor, name in symbols:
            setattr(tensor, name, "float64")
        for part, _ in policies:
            part.dtype_policy = "float64"
        for variable, _ in dtypes:
            variable._dtype = "float64"  # noqa: SLF001 - a variable's dtype is fixed when it is made
        yield
    finally:
        for (tensor, name), dtype in zip(symbols, before, strict=True):
            setattr(tensor, name, dtype)
        for part, policy in policies:
            part.dtype_policy = policy
        for variable, dtype in dtypes:
            variable._dtype = dtype  # noqa: SLF001


def _is_float(variable: Any) -> bool:
    return str(variable.dtype).startswith(("float", "bfloat"))
