"""From the words of Keras 3, in which cases are written, to those of an older generation. What differs is data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pytest_dlcheck.cases.case import Build, Case, Name
from pytest_dlcheck.subjects.keras_2 import LAYERS

__all__ = ["KERAS_2", "KERAS_3", "NoCounterpart", "Translation", "translated", "translation_of"]


class NoCounterpart(Exception):
    """A case has no counterpart in another generation; the message says why."""


@dataclass(frozen=True)
class Translation:
    """How an older generation says what Keras 3 says.

    Attributes:
        renamed: arguments that have another name there, by class.
        without: arguments that it does not have, by class (`*`: any), with the values under which the older one does the same;
            None where it does the same under any.
        spelled: arguments whose default is another one there, by class, with the default of Keras 3.
        weights: weights that have another name there, by class.
        absent: classes and functions that it has under the same name with another meaning, each with the difference.
        deaf: classes whose `data_format` is `channels_last` there where it is not given, whatever the global setting is.
        images_alone: classes that take images, and no dictionary of images and what belongs to them.
        adapts_to_batches: whether `adapt` takes a list for batches, and not for several inputs.
    """

    renamed: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    without: Mapping[str, Mapping[str, tuple[Any, ...] | None]] = field(default_factory=lambda: MappingProxyType({}))
    spelled: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    weights: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    absent: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    deaf: frozenset[str] = frozenset()
    images_alone: frozenset[str] = frozenset()
    adapts_to_batches: bool = True


KERAS_3 = Translation()

# Where nothing is dropped at random, which seed there is makes no difference.
_SEED: Mapping[str, None] = MappingProxyType({"seed": None})

KERAS_2 = Translation(
    renamed=MappingProxyType({name: layer.arguments for name, layer in LAYERS.items() if layer.arguments}),
    spelled=MappingProxyType({f"ConvLSTM{rank}D": MappingProxyType({"recurrent_activation": "sigmoid"}) for rank in (1, 2, 3)}),
    absent=MappingProxyType({"hard_sigmoid": "it is clip(0.2 x + 0.5) in Keras 2, and clip(x / 6 + 0.5) in Keras 3"}),
    deaf=frozenset(
        {"Conv1D", "MaxPooling1D", "AveragePooling1D", "GlobalMaxPooling1D", "GlobalAveragePooling1D", "ZeroPadding1D"}
    ),
    images_alone=frozenset(
        {
            "CenterCrop",
            "RandomBrightness",
            "RandomContrast",
            "RandomCrop",
            "RandomFlip",
            "RandomRotation",
            "RandomTranslation",
            "RandomZoom",
            "Rescaling",
            "Resizing",
        }
    ),
    adapts_to_batches=False,
    without=MappingProxyType(
        {
            "*": {"autocast": (True,), "use_cudnn": ("auto", False)},
            **{name: _SEED for name, layer in LAYERS.items() if "seed" in layer.without},
            "Attention": _SEED,
            "AdditiveAttention": _SEED,
            "MultiHeadAttention": {"seed": None, "flash_attention": (None, False), "use_gate": (False,)},
            "Dense": {"lora_rank": (None,)},
            "EinsumDense": {"lora_rank": (None,)},
            "Embedding": {"lora_rank": (None,)},
        }
    ),
    weights=MappingProxyType(
        {name: {later: older for older, later in layer.weights.items()} for name, layer in LAYERS.items() if layer.weights}
    ),
)
"""Keras 2 in TensorFlow 2.12 to 2.15, and `tf_keras`. What it lacks altogether, the peer says itself."""

_TABLES: Mapping[str, Translation] = MappingProxyType({"keras3": KERAS_3, "keras2": KERAS_2, "tf_keras": KERAS_2})


def translation_of(generation: str) -> Translation:
    """The translation to a generation, by the name that a peer gives.

    Raises:
        KeyError: there is no such generation.
    """
    return _TABLES[generation]


def translated(case: Case, table: Translation) -> Case:
    """The case in the words of another generation.

    Raises:
        NoCounterpart: there is none.
    """
    _check(case.name, table)
    if case.name in table.images_alone and isinstance(case.inputs, Mapping):
        raise NoCounterpart(f"the older {case.name} takes images alone, and no dictionary")
    if isinstance(case.adapt, list) and not table.adapts_to_batches:
        raise NoCounterpart("a list given to the older adapt is several inputs, and no batches")
    arguments = _arguments(case.name, case.arguments, table)
    setting = case.settings.get("image_data_format")
    if case.name in table.deaf and setting is not None:
        arguments.setdefault("data_format", setting)
    return case.replace(arguments=arguments)


def _check(name: str, table: Translation) -> None:
    if name in table.absent:
        raise NoCounterpart(f"{name}: {table.absent[name]}")


def _arguments(name: str, given: Mapping[str, Any], table: Translation) -> dict[str, Any]:
    renamed = table.renamed.get(name, {})
    without = {**table.without.get("*", {}), **table.without.get(name, {})}
    found = {}
    for argument, value in given.items():
        if argument in without:
            same = without[argument]
            if same is not None and value not in same:
                raise NoCounterpart(f"the older {name} has no {argument}, and {value!r} is not what it does")
            continue
        found[renamed.get(argument, argument)] = _value(value, table)
    return {**table.spelled.get(name, {}), **found}


def _value(value: Any, table: Translation) -> Any:
    if isinstance(value, (str, Name)):
        _check((value.path if isinstance(value, Name) else value).rpartition(".")[2], table)
    if isinstance(value, Build):
        name = value.path.rpartition(".")[2]
        _check(name, table)
        positional = tuple(_value(item, table) for item in value.positional)
        return Build(value.path, _arguments(name, value.arguments, table), positional)
    if isinstance(value, Mapping):
        return {key: _value(item, table) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_value(item, table) for item in value)
    return value
