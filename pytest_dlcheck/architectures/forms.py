"""Builds an architecture in the ways that Keras offers: Sequential, functional, subclass of Model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from pytest_dlcheck.architectures.architecture import Architecture
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.cases.case import Build, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.observe.layer_runner import takes_training
from pytest_dlcheck.observe.resolving import resolve

__all__ = ["FORMS", "deferred", "functional", "input_arrays", "parts_of", "sequential", "subclass"]

Form = Callable[[Architecture, Backend, str], Any]
Shaped = Callable[[Tensor], tuple[int | None, ...]]


def _input_dtype(architecture: Architecture, recipe: Tensor) -> str:
    """With a mixed policy the layers cast, not the caller."""
    if recipe.dtype != "float":
        return recipe.dtype
    return "float32" if architecture.policy.startswith("mixed") else architecture.compute_dtype


def input_arrays(architecture: Architecture) -> list[Any]:
    """The values of each input, as NumPy arrays; bfloat16, which NumPy lacks, comes as float32 that it can hold."""
    found = []
    for recipe in architecture.inputs:
        array = make(recipe, architecture.compute_dtype)
        widened = recipe.dtype == "float" and _input_dtype(architecture, recipe) == "float32"
        found.append(array.astype("float32") if widened else array)
    return found


def _layers(architecture: Architecture, backend: Backend, prefix: str, nested: Form) -> list[Any]:
    """Every layer, new, named after its place."""
    made = []
    for index, build in enumerate(architecture.layers):
        name = f"{prefix}l{index}"
        if isinstance(build, Architecture):
            made.append(nested(build, backend, f"{name}_"))
            continue
        given = {"dtype": architecture.policy, **build.arguments, "name": name}
        layer = resolve(backend, Build(build.path, given), lambda tensor: make(tensor, architecture.compute_dtype))
        made.append(layer)
    return made


def _run(architecture: Architecture, layers: Sequence[Any], inputs: Sequence[Any], training: Any = None) -> Any:
    """Calls the layers one after another."""
    tensors = list(inputs)
    for node in architecture.nodes:
        given, layer = [tensors[index] for index in node.inputs], layers[node.layer]
        keywords = {"training": training} if training is not None and takes_training(layer) else {}
        tensors.append(layer(given if len(given) > 1 else given[0], **keywords))
    outputs = [tensors[index] for index in architecture.outputs]
    return outputs if len(outputs) > 1 else outputs[0]


def _batch_open(recipe: Tensor) -> tuple[int | None, ...]:
    return (None, *recipe.shape[1:])


def _symbolic_inputs(architecture: Architecture, backend: Backend, shaped: Shaped) -> list[Any]:
    return [
        backend.keras.Input(batch_shape=shaped(recipe), dtype=_input_dtype(architecture, recipe))
        for recipe in architecture.inputs
    ]


def _in_order(architecture: Architecture, backend: Backend, prefix: str, nested: Form) -> list[Any]:
    if not architecture.is_chain:
        raise ValueError("Sequential holds chains only")
    layers = _layers(architecture, backend, prefix, nested)
    return [layers[node.layer] for node in architecture.nodes]


def _named(prefix: str) -> dict[str, str]:
    return {"name": prefix[:-1]} if prefix else {}


def sequential(architecture: Architecture, backend: Backend, prefix: str = "") -> Any:
    """The model as a list of layers.

    Raises:
        ValueError: it is no chain.
    """
    called = _in_order(architecture, backend, prefix, sequential)
    return backend.keras.Sequential([*_symbolic_inputs(architecture, backend, _batch_open), *called], **_named(prefix))


def deferred(architecture: Architecture, backend: Backend, prefix: str = "") -> Any:
    """The model as a list of layers that says nothing of its input, and is built when it is first called, or by `build`.

    Raises:
        ValueError: it is no chain.
    """
    return backend.keras.Sequential(_in_order(architecture, backend, prefix, deferred), **_named(prefix))


def functional(architecture: Architecture, backend: Backend, prefix: str = "", *, shaped: Shaped = _batch_open) -> Any:
    """The model as a graph of symbolic tensors.

    Args:
        architecture: what to build.
        backend: loaded.
        prefix: of the layers' names.
        shaped: gives the shape, batch first, that an input is declared with; None for what is left open.
    """
    layers = _layers(architecture, backend, prefix, partial(functional, shaped=shaped))
    inputs = _symbolic_inputs(architecture, backend, shaped)
    outputs = _run(architecture, layers, inputs)
    return backend.keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs, **_named(prefix))


def _written(keras: Any, architecture: Architecture, make: Callable[[], list[Any]]) -> Any:
    """The class that a user would write: its layers made in `__init__`, called in `call`."""

    class Written(keras.Model):  # type: ignore[misc]
        def __init__(self, **keywords: Any) -> None:
            super().__init__(dtype=architecture.policy, **keywords)
            self.parts = make()

        def call(self, inputs: Any, training: Any = None) -> Any:
            return _run(architecture, self.parts, inputs if isinstance(inputs, (list, tuple)) else [inputs], training)

    return Written


def subclass(architecture: Architecture, backend: Backend, prefix: str = "") -> Any:
    """The model as a class whose `call` calls the layers; its weights are there after the first call."""
    kind = _written(backend.keras, architecture, lambda: _layers(architecture, backend, prefix, subclass))
    return kind(**_named(prefix))


FORMS: Mapping[str, Form] = MappingProxyType({"functional": functional, "sequential": sequential, "subclass": subclass})
"""By name; the one that the others are compared with comes first."""


def parts_of(architecture: Architecture, model: Any) -> list[Any]:
    """The layers of a model that one of the forms built, in the architecture's order."""
    by_name = {layer.name: layer for layer in model.layers}
    return [by_name[f"l{index}"] for index in range(len(architecture.layers))]
