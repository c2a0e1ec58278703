"""Makes the layer of a case in this process, and calls it."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.backends.keras_2 import KerasTwo, path_of
from pytest_dlcheck.cases.case import Build, Case, Tensor, map_tensors, tensors
from pytest_dlcheck.cases.values import make, rounded_to, weight_values
from pytest_dlcheck.known_issues.fatal import refuse
from pytest_dlcheck.observe.framework_values import mask_of, value_of
from pytest_dlcheck.observe.layer_observation import Outcome, Value
from pytest_dlcheck.observe.nests import leaves_of, map_leaves, structure_of
from pytest_dlcheck.observe.resolving import find, global_settings, resolve
from pytest_dlcheck.subjects.spec import LayerSpec

__all__ = ["LayerRunner", "arrays_of", "remembered", "takes_training"]

Array = NDArray[Any]


class LayerRunner:
    """Makes the layer of one case on one backend, and calls it.

    Args:
        spec: of the layer.
        case: what to run.
        backend: the process's backend, loaded.
    """

    def __init__(self, spec: LayerSpec, case: Case, backend: Backend) -> None:
        self.spec = spec
        self.case = case
        self.backend = backend
        self.keras = backend.keras_api
        self.compute_dtype = case.compute_dtype
        for module in spec.requires:  # before `Backend.alone` hides TensorFlow where nothing has imported it
            importlib.import_module(module)

    def input_dtype(self, tensor: Tensor) -> str:
        """What a model's input for this tensor has: with a mixed policy the layer itself casts."""
        if tensor.dtype == "float":
            return "float32" if self.case.policy.startswith("mixed") else self.compute_dtype
        return tensor.dtype

    # Making.

    def settings(self) -> contextlib.AbstractContextManager[None]:
        """Inside, Keras has the case's global settings."""
        return global_settings(self.backend, self.case.settings)

    def resolve(self, value: Any) -> Any:
        """A case's value as the object that it stands for."""
        return resolve(self.backend, value, self.array)

    def find(self, path: str) -> Any:
        """What a path names."""
        return find(self.backend, path)

    def construct(self, case: Case | None = None) -> Any:
        """A new layer, not built."""
        case = case or self.case
        refuse(case, self.backend)
        # What draws a seed of its own draws it from Python's generator.
        random.seed(20_11_22)
        if isinstance(self.keras, KerasTwo):
            self.keras.utils.set_random_seed(20_11_22)  # or from one of its own, which this alone sets
        arguments = dict(case.arguments)
        if case.policy not in {"float32", "none"}:
            arguments["dtype"] = case.policy
        layer = self.resolve(Build(case.subject, arguments))
        if case.adapt is not None:
            layer.adapt(self.resolve(case.adapt))
        return layer

    def array(self, tensor: Tensor) -> Array:
        """The values of an input, as they are handed to the layer."""
        found = make(tensor, self.compute_dtype)
        if tensor.dtype == "float" and self.case.policy.startswith("mixed"):
            return found.astype(np.float32)  # which the layer must cast itself; the values survive that
        return found

    def put(self, tensor: Tensor | Array) -> Any:
        """The framework's own tensor of an input."""
        array = self.array(tensor) if isinstance(tensor, Tensor) else tensor
        if array.dtype == object:
            return array if self.backend.name != "tensorflow" else self.backend.put(array)
        if self.backend.name != "tensorflow" and any(each.dtype == "string" for each in tensors(self.case.inputs)):
            return array  # beside a text, which no other framework has tensors of
        if isinstance(tensor, Tensor) and tensor.dtype == "float" and self.case.policy == "bfloat16":
            return self.keras.ops.cast(self.backend.put(array), "bfloat16")
        return self.backend.put(array)

    # Calling.

    def keywords(self, layer: Any, training: bool) -> dict[str, Any]:
        keywords: dict[str, Any] = map_tensors(self.put, dict(self.case.call))
        return keywords | ({"training": training} if takes_training(layer) else {})

    def inputs(self, replace: Callable[[Tensor], Any] | None = None) -> Any:
        return self.attached(map_tensors(replace or self.put, self.case.inputs))

    def attached(self, inputs: Any) -> Any:
        """The nest of tensors with the case's masks attached."""
        if self.case.masks is None:
            return inputs
        masks = iter(self.case.masks)

        def attach(mask: Tensor | None, value: Any) -> Any:
            return value if mask is None else attacher(self.keras, self.backend.put(make(mask)))(value)

        return map_leaves(lambda value: attach(next(masks), value), inputs)

    def call(self, layer: Any, *, training: bool = False) -> Outcome:
        """Calls the layer as the case says."""
        outputs = layer(self.inputs(), **self.keywords(layer, training))
        return self.outcome(layer, outputs)

    def outcome(self, layer: Any, outputs: Any) -> Outcome:
        """What a call gave, as plain values."""
        leaves = leaves_of(outputs)
        return Outcome(
            structure_of(outputs),
            [self.value(leaf) for leaf in leaves],
            [self._mask(leaf) for leaf in leaves],
            self.state(layer),
            [float(self.value(loss).array) for loss in layer.losses],
        )

    def value(self, tensor: Any) -> Value:
        """A tensor as a plain array."""
        return value_of(self.backend, tensor)

    def _mask(self, tensor: Any) -> Array | None:
        return mask_of(self.backend, tensor)

    def state(self, layer: Any) -> dict[str, Array]:
        """Every variable, by name; two of one name get a number."""
        found: dict[str, Array] = {}
        for variable in arrays_of(layer.variables):
            name = path_of(variable)
            found[name if name not in found else f"{name}#{len(found)}"] = self.value(variable).array
        return found | {name: self.value(variable).array for name, variable in remembered(layer).items()}

    def set_state(self, layer: Any, state: Mapping[str, Array]) -> None:
        """Gives every variable the values of a snapshot of this layer."""
        for variable, value in zip([*arrays_of(layer.variables), *remembered(layer).values()], state.values(), strict=True):
            variable.assign(value)

    def give_weights(self, layer: Any, values: Sequence[Array]) -> None:
        """Puts values into the layer's weights, in order."""
        for variable, value in zip([*arrays_of(layer.weights), *remembered(layer).values()], values, strict=True):
            # A size that TensorFlow leaves open is None.
            if len(variable.shape) != value.ndim or any(
                size not in (None, given) for size, given in zip(variable.shape, value.shape, strict=True)
            ):
                raise ValueError(f"weight {path_of(variable)} has shape {tuple(variable.shape)} and not {value.shape}")
            variable.assign(value)

    @cached_property
    def layer(self) -> Any:
        """The layer, built by one call, its weights given the case's values."""
        layer = self.construct()
        layer(self.inputs(), **self.keywords(layer, training=False))
        return layer

    @cached_property
    def weight_values_given(self) -> list[Array]:
        layer, seed = self.layer, self.case.weights_seed
        values = []
        for index, variable in enumerate([*arrays_of(layer.weights), *remembered(layer).values()]):
            dtype = str(self.keras.backend.standardize_dtype(variable.dtype))
            name = path_of(variable).rpartition("/")[2]
            if seed is None or not dtype.startswith(("float", "bfloat")):
                values.append(self.value(variable).array)
            else:
                drawn = weight_values(seed, index, name, tuple(variable.shape))
                values.append(rounded_to(drawn, self.compute_dtype).astype(dtype if dtype != "bfloat16" else "float32"))
        return values


def arrays_of(variables: Sequence[Any]) -> list[Any]:
    """Those of a layer's variables that hold an array; Keras 2 counts the tables of words among them, too."""
    return [variable for variable in variables if hasattr(variable, "dtype")]


def remembered(layer: Any) -> dict[str, Any]:
    """What stateful recurrent layers carry from call to call, by name: Keras does not count it among their variables."""
    found: dict[str, Any] = {}
    counted = {id(variable) for variable in layer.variables}
    for part in layer._flatten_layers():  # noqa: SLF001 - there is no public way to what a wrapper holds
        states = getattr(part, "states", None) if getattr(part, "stateful", False) else None
        for index, variable in enumerate(leaves_of(states)):
            if id(variable) not in counted and hasattr(variable, "assign"):
                counted.add(id(variable))
                found[f"{part.name}/rnn_state_{index}"] = variable
    return found


def takes_training(layer: Any) -> bool:
    """Whether the layer's call distinguishes training from inference."""
    return "training" in inspect.signature(layer.call).parameters


def attacher(keras: Any, mask: Any) -> Any:
    """A layer that hands its input on with a mask attached, as Embedding and Masking do."""

    class Attach(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(autocast=False)
            self.supports_masking = True

        def call(self, x: Any) -> Any:
            return x

        def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
            return mask

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

    return Attach()
