"""Float64 on JAX and PyTorch, where Keras would compute in float32: for a check that needs it, and for nothing else."""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from collections.abc import Iterator
from typing import Any

from pytest_dlcheck.backends.base import Backend

__all__ = ["narrow", "wide_floats"]

TABLE = "keras.src.backend.common.dtypes"


def _table() -> dict[str, str] | None:
    return getattr(sys.modules.get(TABLE), "BIT64_TO_BIT32_DTYPE", None)


@contextlib.contextmanager
def wide_floats(backend: Backend) -> Iterator[None]:
    """Inside, float64 stays float64 on every backend.

    Keras takes the dtype of most results from a table that turns float64 into float32 except on TensorFlow, that of constants
    from `floatx`, that of layers from a default policy, and JAX holds no float64 unless told to. All four are set back at the
    end, whatever happens inside; `narrow` says whether the table is.

    Args:
        backend: loaded.
    """
    with contextlib.suppress(ImportError):  # Keras 2 has no table, and keeps float64 as it is
        importlib.import_module(TABLE)
    table = _table()
    before = None if table is None else _made()
    config: Any = backend.framework.config if backend.name == "jax" else None
    floatx = backend.keras_api.config.floatx()
    # Keras makes the default policy from `floatx` with the first layer, and keeps it.
    policy = backend.policies.dtype_policy()
    x64 = None if config is None else config.read("jax_enable_x64")
    try:
        if table is not None and before is not None:
            table["float64"] = "float64"
        if config is not None:
            config.update("jax_enable_x64", True)
        backend.keras_api.config.set_floatx("float64")
        backend.policies.set_dtype_policy("float64")
        yield
    finally:
        backend.keras_api.config.set_floatx(floatx)
        backend.policies.set_dtype_policy(policy)
        if table is not None and before is not None:
            table["float64"] = before
        if config is not None:
            config.update("jax_enable_x64", x64)


@functools.cache
def _made() -> str | None:
    """What Keras turns float64 into, as it made the table: asked before anything is changed, and remembered.

    It depends on the backend and on the version: Keras 3.12 lets TensorFlow keep float64, up to 3.11 the table does not say so.
    """
    table = _table()
    assert table is not None
    return table.get("float64")


def narrow() -> bool:
    """Whether Keras's table of dtypes is as Keras made it: never during a test of dtypes may it be otherwise."""
    table = _table()
    return table is None or table.get("float64") == _made()
