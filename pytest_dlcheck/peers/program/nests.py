"""Nests of lists, tuples and dictionaries, and the signatures of what has the same shape."""

import hashlib
import json
from typing import Any, Callable, List

import numpy as np

__all__ = ["leaves", "mapped", "signature", "structure"]


def leaves(nest: Any) -> List[Any]:
    """What a nest holds, dictionaries by key; None is nothing."""
    if nest is None:
        return []
    if isinstance(nest, dict):
        return [leaf for key in sorted(nest) for leaf in leaves(nest[key])]
    if isinstance(nest, (list, tuple)):
        return [leaf for item in nest for leaf in leaves(item)]
    return [nest]


def structure(nest: Any) -> str:
    """The nest with a star for each leaf: `[*, {a: *}]`."""
    if nest is None:
        return "None"
    if isinstance(nest, dict):
        return "{" + ", ".join("%s: %s" % (key, structure(nest[key])) for key in sorted(nest)) + "}"
    if isinstance(nest, (list, tuple)):
        return "[" + ", ".join(structure(item) for item in nest) + "]"
    return "*"


def mapped(function: Callable[[Any], Any], nest: Any) -> Any:
    """The nest with each array replaced, in the order of `leaves`; what is no array stays."""
    if isinstance(nest, dict):
        found = {key: mapped(function, nest[key]) for key in sorted(nest)}
        return {key: found[key] for key in nest}
    if isinstance(nest, list):
        return [mapped(function, item) for item in nest]
    if isinstance(nest, tuple):
        return tuple(mapped(function, item) for item in nest)
    return function(nest) if isinstance(nest, np.ndarray) else nest


def signature(value: Any, by_value: bool) -> str:
    """The same text for what is alike: arrays by their shapes and dtypes, or by their values too."""

    def plain(each: Any) -> Any:
        if isinstance(each, np.ndarray):
            told = [str(each.dtype), list(each.shape)]
            if by_value:
                told.append(hashlib.sha256(repr(each.tolist()).encode("utf-8")).hexdigest())
            return told
        if isinstance(each, dict):
            return {str(key): plain(item) for key, item in each.items()}
        if isinstance(each, (list, tuple)):
            return [type(each).__name__] + [plain(item) for item in each]
        return each

    return json.dumps(plain(value), sort_keys=True)
