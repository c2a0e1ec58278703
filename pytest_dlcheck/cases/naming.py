"""What tells one case from another, by names: what the register's conditions may speak of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pytest_dlcheck.cases.case import Build, Case, Name, Tensor, tensors
from pytest_dlcheck.cases.values import make

__all__ = ["names_of"]


def names_of(case: Case) -> dict[str, Any]:
    """What `where` may speak of: the constructor's arguments, by their names, and what else tells one case from another.

    Beside what is written below these are `setting_...` for global settings, `cell_units` and the like for arguments of what
    is an argument, and `any_dropout` and the like for an argument of the layer or of anything in it.
    """
    flat = tensors(case.inputs)
    shape = flat[0].shape if flat else ()
    channels_last = case.arguments.get("data_format", case.settings.get("image_data_format")) != "channels_first"
    masks = [mask for mask in (*(case.masks or ()), case.call.get("mask")) if isinstance(mask, Tensor)]
    inside = {name: each for key, value in case.arguments.items() for name, each in _inside(key, value).items()}
    return {
        **inside,
        **_anywhere(case),
        **case.arguments,
        **{f"setting_{key}": value for key, value in case.settings.items()},
        "policy": case.policy,
        # Of the first input, and of all; `sizes` are those that are neither the batch's nor the channels'.
        "shape": shape,
        "rank": len(shape),
        "sizes": shape[1:-1] if channels_last else shape[2:],
        "channels": shape[-1 if channels_last else 1] if len(shape) > 1 else None,
        "inputs": len(flat),
        "shapes": tuple(tensor.shape for tensor in flat),
        "dtypes": tuple(tensor.dtype for tensor in flat),
        "values": tuple(tensor.values for tensor in flat),
        "offset": _offset(flat[0], case.compute_dtype, channels_last) if flat else 0.0,
        "planted": tuple(value for tensor in flat for _, value in tensor.planted),
        "keys": tuple(sorted(case.inputs)) if isinstance(case.inputs, Mapping) else (),
        # Of texts, whether they are plain ones.
        "ascii": all(str(tensor.literal).isascii() for tensor in flat),
        "call": tuple(case.call),
        "adapt": case.adapt and ("batches" if isinstance(case.adapt, list) else "whole"),
        "masked": case.masks is not None and any(mask is not None for mask in case.masks),
        # Whether a mask leaves nothing of some sample.
        "none_kept": any(not make(mask).reshape(mask.shape[0], -1).any(axis=1).all() for mask in masks if all(mask.shape)),
    }


def _offset(tensor: Tensor, dtype: str, channels_last: bool) -> float:
    """How far from zero the input lies, in units of its spread: the largest |mean| / std of a sample, a channel of a sample, or
    a channel of all samples."""
    if tensor.dtype != "float" or len(tensor.shape) < 2 or not all(tensor.shape):
        return 0.0
    array = np.asarray(make(tensor, dtype), dtype=np.float64)
    array = array if channels_last else np.moveaxis(array, 1, -1)
    samples, channels = array.shape[0], array.shape[-1]
    found = 0.0
    for rows in (
        array.reshape(samples, -1),
        np.moveaxis(array, -1, 1).reshape(samples * channels, -1),
        array.reshape(-1, channels).T,
    ):
        spread = np.std(rows, axis=1)
        ratios = np.abs(np.mean(rows, axis=1))[spread > 0] / spread[spread > 0]
        found = max(found, float(np.max(ratios, initial=0.0)))
    return found


def _anywhere(case: Case) -> dict[str, Any]:
    """What `where` may say of the layer and everything in it, however deep."""
    found: dict[str, Any] = {"classes": (), "objects": (), "unseeded": False}

    def look(value: Any) -> None:
        if isinstance(value, Build):
            kind = value.path.rpartition(".")[2]
            found["classes"] += (kind,)
            add(kind, value.arguments)
        elif isinstance(value, (list, tuple)):
            for each in value:
                look(each)

    def add(kind: str, arguments: Mapping[str, Any]) -> None:
        found["objects"] += ((kind, arguments),)
        drops = any(arguments.get(name) for name in ("dropout", "recurrent_dropout", "rate"))
        found["unseeded"] |= drops and arguments.get("seed") is None
        for name, each in arguments.items():
            found[f"any_{name}"] = found.get(f"any_{name}") or each
            look(each)

    add(case.name, case.arguments)
    return found


def _inside(name: str, value: Any) -> dict[str, Any]:
    """What `where` may say of objects that are arguments: `layer_class`, `layer_units`, `cell_count`, `cell_0_units`."""
    found: dict[str, Any] = {}
    if isinstance(value, (Build, Name)):
        found[f"{name}_class"] = value.path.rpartition(".")[2]
    if isinstance(value, Build):
        for key, each in value.arguments.items():
            found |= {f"{name}_{key}": each, **_inside(f"{name}_{key}", each)}
    elif isinstance(value, (list, tuple)) and any(isinstance(each, Build) for each in value):
        found[f"{name}_count"] = len(value)
        for index, each in enumerate(value):
            found |= _inside(f"{name}_{index}", each)
    return found
