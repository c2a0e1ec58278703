"""Builds an architecture in the ways that Keras offers: Sequential, functional, subclass of Model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pytest_dlcheck.architectures.architecture import Architecture
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.cases.case import Build, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.observe.layer_runner import takes_training
from pytest_dlcheck.observe.resolving import resolve

__all__ = ["FORMS", "functional", "input_arrays", "parts_of", "sequential", "subclass"]

Form = Callable[[Architecture, Backend, str], Any]


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


def _symbolic_inputs(architecture: Architecture, backend: Backend) -> list[Any]:
    return [
        backend.keras.Input(shape=recipe.shape[1:], dtype=_input_dtype(architecture, recipe)) for recipe in architecture.inputs
    ]


def sequential(architecture: Architecture, backend: Backend, prefix: str = "") -> Any:
    """The model as a list of layers.

    Raises:
        ValueError: it is no chain.
    """
    if not architecture.is_chain:
        raise ValueError("Sequential holds chains only")
    layers = _layers(architecture, backend, prefix, sequential)
    called = [layers[node.layer] for node in architecture.nodes]
    name = {"name": prefix[:-1]} if prefix else {}
    return backend.keras.Sequential([*_symbolic_inputs(architecture, backend), *called], **name)


def functional(architecture: Architecture, backend: Backend, prefix: str = "") -> Any:
    """The model as a graph of symbolic tensors."""
    layers = _layers(architecture, backend, prefix, functional)
    inputs = _symbolic_inputs(architecture, backend)
    outputs = _run(architecture, layers, inputs)
    name = {"name": prefix[:-1]} if prefix else {}
    return backend.keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs, **name)


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
    return kind(**({"name": prefix[:-1]} if prefix else {}))


FORMS: Mapping[str, Form] = MappingProxyType({"functional": functional, "sequential": sequential, "subclass": subclass})
"""By name; the one that the others are compared with comes first."""


def parts_of(architecture: Architecture, model: Any) -> list[Any]:
    """The layers of a model that one of the forms built, in the architecture's order."""
    by_name = {layer.name: layer for layer in model.layers}
    return [by_name[f"l{index}"] for index in range(len(architecture.layers))]
