"""One drawn instance of a subject, as plain data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

__all__ = [
    "Build",
    "Case",
    "Name",
    "Tensor",
    "brief",
    "describe",
    "dumps",
    "loads",
    "map_tensors",
    "plain",
    "revive",
    "tensors",
    "with_values",
]


@dataclass(frozen=True)
class Tensor:
    """An input, as the recipe from which `values.make` makes an array: small to store, and quick to shrink.

    Attributes:
        shape: of the array.
        dtype: a NumPy dtype, `string`, or `float` for the dtype that the case's policy computes in.
        values: a name in `values.KINDS`.
        seed: of the values.
        low: the least value, for the kinds that take bounds.
        high: the largest one.
        planted: (position in the flattened array, value): what is put over the values.
        literal: the values themselves, nested as the array is; the recipe is then not used.
    """

    shape: tuple[int, ...]
    dtype: str = "float"
    values: str = "normal"
    seed: int = 0
    low: float = 0
    high: float = 1
    planted: tuple[tuple[int, float], ...] = ()
    literal: Any = None


@dataclass(frozen=True)
class Name:
    """A thing that has a name, given as the object: `keras.activations.relu`, `pytest_dlcheck.subjects.callables.double`."""

    path: str


@dataclass(frozen=True)
class Build:
    """An object made when the case is run: `Build("keras.layers.LSTM", {"units": 3})`.

    Attributes:
        path: of the class or function that makes it.
        arguments: by keyword; they may hold further objects.
        positional: those that have no name.
    """

    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    positional: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Case:
    """One instance of a subject.

    Attributes:
        subject: `keras.layers.Conv2D`.
        arguments: of the constructor, by keyword. Numbers, texts, tuples, lists, `Name` and `Build`.
        inputs: what the layer is called with: a `Tensor`, or lists and dictionaries of them. A list is one argument.
        call: further keyword arguments of the call; they may hold tensors.
        masks: an attached Keras mask for each tensor of the inputs, in their order; None where there is none.
        policy: the dtype policy: `float32`, `mixed_float16`.
        settings: global settings: `image_data_format`, `epsilon`.
        weights_seed: of the values that every weight is given after it has been built; None leaves the initial ones.
        adapt: what `adapt` is called with before the first call; None if it is not.
    """

    subject: str
    arguments: Mapping[str, Any]
    inputs: Any
    call: Mapping[str, Any] = field(default_factory=dict)
    masks: tuple[Tensor | None, ...] | None = None
    policy: str = "float32"
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights_seed: int | None = 0
    adapt: Any = None

    @property
    def name(self) -> str:
        """The class's own name: `Conv2D`."""
        return self.subject.rpartition(".")[2]

    @property
    def compute_dtype(self) -> str:
        """The dtype that the policy computes in; float32 where there is no policy."""
        return "float32" if self.policy == "none" else self.policy.removeprefix("mixed_")

    def replace(self, **changes: Any) -> Case:
        """The same case, with some fields changed."""
        return dataclasses.replace(self, **changes)

    def with_arguments(self, **changes: Any) -> Case:
        """The same case, with some constructor arguments added or changed."""
        return self.replace(arguments={**self.arguments, **changes})

    def without(self, name: str) -> Case:
        """The same case, without one constructor argument."""
        return self.replace(arguments={key: value for key, value in self.arguments.items() if key != name})

    def key(self) -> str:
        """The same text for the same case."""
        return dumps(self)

    def __str__(self) -> str:
        return describe(self)


def tensors(value: Any) -> list[Tensor]:
    """All tensors inside a nest, in order (of dictionaries: by key, as the frameworks flatten them)."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [each for key in sorted(value) for each in tensors(value[key])]
    if isinstance(value, (list, tuple)):
        return [each for item in value for each in tensors(item)]
    return []


def map_tensors(function: Callable[[Tensor], Any], value: Any) -> Any:
    """The nest with each tensor replaced."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, Mapping):
        # In the order of `tensors`; the dictionary keeps its own.
        found = {key: map_tensors(function, value[key]) for key in sorted(value)}
        return {key: found[key] for key in value}
    if isinstance(value, (list, tuple)):
        return type(value)(map_tensors(function, item) for item in value)
    return value


# Of these kinds every seed has the same values.
_SEEDLESS = frozenset({"zeros", "ones"})
_SEEDS = 4


def with_values(case: Case, number: int) -> Case:
    """The same case with other values of the same kinds in its inputs: another for each number from 1 on.

    Masks and truth values stay, since they say what of the inputs counts, and so does what is written out.
    """

    def one(tensor: Tensor) -> Tensor:
        fixed = tensor.literal is not None or tensor.dtype in ("bool", "string") or tensor.values in _SEEDLESS
        return tensor if fixed else dataclasses.replace(tensor, seed=tensor.seed + _SEEDS * number)

    return case.replace(inputs=map_tensors(one, case.inputs), call=map_tensors(one, dict(case.call)))


# As JSON. What JSON has no word for is an object with one key that begins with a dollar sign.


@cache
def _classes() -> Mapping[str, type]:
    from pytest_dlcheck.architectures.architecture import Architecture, Node  # which hold tensors

    return {
        "$tensor": Tensor,
        "$name": Name,
        "$build": Build,
        "$case": Case,
        "$architecture": Architecture,
        "$node": Node,
    }


def plain(value: Any) -> Any:
    """The value as JSON knows it; `revive` gives it back, tuples as tuples."""
    for key, cls in _classes().items():
        if isinstance(value, cls):
            fields = {
                each.name: plain(getattr(value, each.name))
                for each in dataclasses.fields(cls)
                if each.default is dataclasses.MISSING or getattr(value, each.name) != each.default
            }
            return {key: fields}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return {"$tuple": [plain(item) for item in value]}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):  # noqa: PLR0124 - NaN
        return {"$float": repr(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a case holds plain values, and {value!r} is none")


def revive(value: Any) -> Any:
    """The value that `plain` was given.

    Raises:
        ValueError: it is not of that form.
    """
    if isinstance(value, list):
        return [revive(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, inner),) = value.items()
        if key == "$tuple":
            return tuple(revive(item) for item in inner)
        if key == "$float":
            return float(inner)
        if key in _classes():
            try:
                return _classes()[key](**{name: revive(item) for name, item in inner.items()})
            except (TypeError, AttributeError) as error:
                raise ValueError(f"not a stored {key[1:]}: {error}") from None
    return {key: revive(item) for key, item in value.items()}


def dumps(value: Any) -> str:
    """One line of JSON."""
    return json.dumps(plain(value), sort_keys=True)


def loads(text: str) -> Any:
    """What `dumps` was given.

    Raises:
        ValueError: it is no JSON, or not of that form.
    """
    return revive(json.loads(text))


# For people.


def brief(value: Any) -> str:
    """A case's value in a few words: `Dense(units=3)`, `float[2, 3] normal #0`."""
    if isinstance(value, Tensor):
        if value.literal is not None:
            return f"{value.dtype}{list(value.shape)}={value.literal}"
        planted = "".join(f", [{index}]={number:g}" for index, number in value.planted)
        return f"{value.dtype}{list(value.shape)} {value.values} #{value.seed}{planted}"
    if isinstance(value, Name):
        return value.path
    if isinstance(value, Build):
        given = [brief(item) for item in value.positional] + [f"{k}={brief(v)}" for k, v in value.arguments.items()]
        return f"{value.path.removeprefix('keras.')}({', '.join(given)})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {brief(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple):
        return "(" + ", ".join(brief(item) for item in value) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, list):
        return "[" + ", ".join(brief(item) for item in value) + "]"
    return repr(value)


def describe(case: Case) -> str:
    """The case in a line or two: `Conv2D(filters=2, kernel_size=1) on float[1, 3, 3, 1] normal #0, float32`."""
    arguments = ", ".join(f"{name}={brief(value)}" for name, value in case.arguments.items())
    text = f"{case.name}({arguments}) on {brief(case.inputs)}"
    if case.call:
        text += f", called with {brief(case.call)}"
    if case.masks is not None and any(mask is not None for mask in case.masks):
        text += f", masks {brief(case.masks)}"
    if case.adapt is not None:
        text += f", adapted to {brief(case.adapt)}"
    text += f", {case.policy}"
    if case.settings:
        text += ", " + ", ".join(f"{name} {value}" for name, value in case.settings.items())
    return text
