"""From a framework's tensors to plain values."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.observe.layer_observation import Value
from pytest_dlcheck.observe.nests import is_text

__all__ = ["mask_of", "value_of"]

Array = NDArray[Any]


def value_of(backend: Backend, tensor: Any) -> Value:
    """A tensor as a plain array."""
    if isinstance(tensor, (np.ndarray, np.generic, int, float, bool, str, bytes, list)):
        array = np.asarray(tensor)
        if str(array.dtype) == "bfloat16":  # of the NumPy backend; NumPy's own functions do not know it as a float
            return Value("bfloat16", array.astype(np.float32))
        return Value(str(array.dtype), array)
    dtype = str(backend.keras_api.backend.standardize_dtype(tensor.dtype)) if not is_text(tensor) else "string"
    if dtype == "bfloat16":
        tensor = backend.keras_api.ops.cast(tensor, "float32")
    if backend.keras.utils.__dict__.get("is_sparse") or hasattr(tensor, "todense"):
        tensor = tensor.todense()
    if type(tensor).__name__ == "SparseTensor":
        tensor = backend.framework.sparse.to_dense(tensor)
    array = backend.to_numpy(tensor)
    return Value(dtype, array if dtype != "string" else np.vectorize(_text, otypes=[object])(array))


def mask_of(backend: Backend, tensor: Any) -> Array | None:
    """The mask that is attached to a tensor, if there is one."""
    mask = getattr(tensor, "_keras_mask", None)
    if mask is None:
        get = getattr(sys.modules.get("keras.src.backend"), "get_keras_mask", None)
        mask = get(tensor) if get is not None else None
    return None if mask is None else np.asarray(backend.to_numpy(mask))


def _text(value: Any) -> str:
    """TensorFlow's texts are bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
