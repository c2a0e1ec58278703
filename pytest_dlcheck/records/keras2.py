"""Where Keras 2, as TensorFlow 2.12 to 2.15 have it, goes by other names: what a record of it needs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.values import rounded_to, weight_values
from pytest_dlcheck.observe.layer_observation import Value
from pytest_dlcheck.observe.layer_runner import LayerRunner, remembered
from pytest_dlcheck.records.names import unnumbered
from pytest_dlcheck.subjects.callables import CUSTOM_OBJECTS

__all__ = ["Keras2Runner"]

Array = NDArray[Any]


class Keras2Runner(LayerRunner):
    """Makes and calls a layer with Keras 2 on TensorFlow."""

    @contextlib.contextmanager
    def settings(self) -> Iterator[None]:
        config = self.keras.backend
        before = {name: getattr(config, name)() for name in self.case.settings}
        for name, value in self.case.settings.items():
            getattr(config, f"set_{name}")(value)
        try:
            with self.keras.utils.custom_object_scope(dict(CUSTOM_OBJECTS)):
                yield
        finally:
            for name, value in before.items():
                getattr(config, f"set_{name}")(value)

    def path(self, variable: Any) -> str:
        """A variable's name, as Keras 3 writes it."""
        return unnumbered(str(variable.name).partition(":")[0])

    def dtype_of(self, variable: Any) -> str:
        return str(variable.dtype.name)

    def value(self, tensor: Any) -> Value:
        if isinstance(tensor, (np.ndarray, np.generic, int, float, bool, str, list)):
            return Value(str(np.asarray(tensor).dtype), np.asarray(tensor))
        if type(tensor).__name__ == "SparseTensor":
            tensor = self.backend.framework.sparse.to_dense(tensor)
        if tensor.dtype == "bfloat16":
            return Value("bfloat16", np.asarray(self.backend.framework.cast(tensor, "float32")))
        array = np.asarray(tensor.numpy())
        if array.dtype == object:
            array = np.vectorize(lambda text: text.decode() if isinstance(text, bytes) else str(text), otypes=[object])(array)
        return Value("string" if array.dtype == object else str(tensor.dtype.name), array)

    def _mask(self, tensor: Any) -> Array | None:
        mask = getattr(tensor, "_keras_mask", None)
        return None if mask is None else np.asarray(mask)

    def state(self, layer: Any) -> dict[str, Array]:
        found: dict[str, Array] = {}
        for variable in layer.variables:
            name = str(variable.name)
            found[name if name not in found else f"{name}#{len(found)}"] = self.value(variable).array
        return found | {name: self.value(variable).array for name, variable in remembered(layer).items()}

    @cached_property
    def weight_values_given(self) -> list[Array]:
        values = []
        for index, variable in enumerate([*self.layer.weights, *remembered(self.layer).values()]):
            dtype = self.dtype_of(variable)
            if self.case.weights_seed is None or not dtype.startswith(("float", "bfloat")):
                values.append(self.value(variable).array)
                continue
            drawn = weight_values(self.case.weights_seed, index, self.path(variable).rpartition("/")[2], tuple(variable.shape))
            values.append(rounded_to(drawn, self.compute_dtype).astype(dtype if dtype != "bfloat16" else "float32"))
        return values
