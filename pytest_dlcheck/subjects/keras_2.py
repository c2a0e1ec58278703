"""What differs in Keras 2's layers from those that the specs are written for, as data.

Keras 2 is what TensorFlow 2.12 to 2.15 hold. The suites run there through the same specs: an argument or a weight that had
another name is given its later one, what the constructor did not yet take has the value that it later has by default, and an
activation that was another function under the same name is told from it. What fails there stands in the register, as for any
other version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from pytest_dlcheck.backends.keras_2 import is_keras_2
from pytest_dlcheck.cases.case import Build, Case, Name
from pytest_dlcheck.subjects.spec import LayerSpec, Older, never

__all__ = ["KERAS_2_ONLY", "LAYERS", "as_called", "of_generation"]

KERAS_2_ONLY = frozenset(
    {
        "AbstractRNNCell",
        "CuDNNGRU",
        "CuDNNLSTM",
        "DenseFeatures",
        "LocallyConnected1D",
        "LocallyConnected2D",
        "RandomHeight",
        "RandomWidth",
        "ThresholdedReLU",
    }
)
"""Layers that Keras 3 has no more, so that no spec is written for them."""

# Nothing that Keras could be asked for: a layer's generators are no variables in Keras 2.
_SEED = "the random state of a Keras 2 layer is no variable, so that nothing puts it back"

_CHANNELS_FIRST = (
    "Keras 2 hands channels first on to TensorFlow, which has it on the CPU for some dtypes and sizes only, by way of oneDNN"
)
_LAST_ONLY = "Keras 2's layers for images know channels last only"
_IMAGES = (
    *("CenterCrop", "RandomBrightness", "RandomContrast", "RandomCrop", "RandomFlip", "RandomRotation"),
    *("RandomTranslation", "RandomZoom", "Resizing"),
)
_RANKS = (1, 2, 3)
_SPATIAL = frozenset(
    {
        *(f"{kind}Conv{rank}D" for kind in ("", "Depthwise", "Separable") for rank in _RANKS),
        *(f"Conv{rank}DTranspose" for rank in _RANKS),
        *(f"{kind}Pooling{rank}D" for kind in ("Average", "Max", "GlobalAverage", "GlobalMax") for rank in _RANKS),
        *(f"ConvLSTM{rank}D" for rank in _RANKS),
    }
)


# Not in every Keras 2, by name or as `keras.activations.silu`.
_NEWER = frozenset({"mish", "hard_silu", "hard_swish"})
_NOT_EXPORTED = _NEWER | {"silu", "leaky_relu", "log_softmax", "relu6"}
_NO_SUCH_FUNCTION = "not every Keras 2 has this activation, or exports it"


@dataclass(frozen=True)
class Layer:
    """One layer of Keras 2, where it differs.

    Attributes:
        arguments: by their later name: the constructor arguments that were called otherwise.
        weights: by their name in Keras 2: the weights that were called otherwise.
        absent: what the constructor of some release does not take, and what it does as if it were given.
        without: what no release takes, and what makes no difference to what can be expected.
        exempt: further properties that say nothing there, each with the reason.
        supported: whether it runs what the spec says is unsupported.
    """

    arguments: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, Any] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    exempt: Mapping[str, str] = field(default_factory=dict)
    supported: bool = False


_GLOBAL = Layer(absent={"keepdims": False})
_IMAGE = Layer(absent={"data_format": "channels_last"})
_RECURRENT = Layer(without=frozenset({"seed"}))
_DEPTHWISE = Layer(weights={"depthwise_kernel": "kernel"})

LAYERS: Mapping[str, Layer] = MappingProxyType(
    {
        "LeakyReLU": Layer(arguments={"negative_slope": "alpha"}),
        "DepthwiseConv1D": _DEPTHWISE,
        "DepthwiseConv2D": _DEPTHWISE,
        # Of which the first has an operation of TensorFlow's for dilation, and the second leaves it out.
        "Conv2DTranspose": Layer(supported=True),
        "Conv3DTranspose": Layer(supported=True),
        **{f"{name}{suffix}": _RECURRENT for name in ("SimpleRNN", "LSTM", "GRU") for suffix in ("", "Cell")},
        **{f"ConvLSTM{rank}D": _RECURRENT for rank in _RANKS},
        **{f"Global{kind}Pooling{rank}D": _GLOBAL for kind in ("Average", "Max") for rank in (1, 2, 3)},
        **dict.fromkeys(sorted(_IMAGES), _IMAGE),
        "Resizing": Layer(absent={"pad_to_aspect_ratio": False, "fill_value": 0.0, "antialias": False, **_IMAGE.absent}),
        "RandomContrast": Layer(absent={"value_range": (0, 255), **_IMAGE.absent}),
        "ZeroPadding1D": _IMAGE,
    }
)

VALUES: Mapping[str, str] = MappingProxyType({"hard_sigmoid": "hard_sigmoid_of_keras_2"})
"""Activations that were other functions: 0.2 x + 0.5 between 0 and 1, for one."""


def of_generation(spec: LayerSpec, keras_version: str) -> LayerSpec:
    """The spec as it is for an installed Keras: the same, or, of Keras 2, with what differs there.

    Args:
        spec: of a layer.
        keras_version: `2.15.0`.
    """
    if not is_keras_2(keras_version):
        return spec
    layer = LAYERS.get(spec.name, Layer())
    return replace(
        spec,
        older=Older(layer.arguments, layer.weights, layer.absent, VALUES, _not_here),
        exempt={**spec.exempt, **layer.exempt, "seed": _SEED},
        unsupported=never if layer.supported else spec.unsupported,
    )


def as_called(path: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments by the names that they have in Keras 2; those that it never takes go.

    Args:
        path: of the class: `keras.layers.LeakyReLU`.
        arguments: by the names that specs use.
    """
    layer = LAYERS.get(path.removeprefix("keras.layers."), Layer())
    return {layer.arguments.get(name, name): value for name, value in arguments.items() if name not in layer.without}


def _not_here(case: Case) -> str | None:
    """Why a case is not run on Keras 2; None if it is."""
    first = case.arguments.get("data_format") or case.settings.get("image_data_format")
    if first == "channels_first" and any(name in _SPATIAL for name in _names_in(case)):
        return _CHANNELS_FIRST
    if first == "channels_first" and case.name in _IMAGES:
        return _LAST_ONLY
    functions = [value.path for value in _objects_in(case) if isinstance(value, Name)]
    texts = [value for value in _objects_in(case) if isinstance(value, str)]
    if any(path.removeprefix("keras.activations.") in _NOT_EXPORTED for path in functions) or not _NEWER.isdisjoint(texts):
        return _NO_SUCH_FUNCTION
    return None


def _names_in(case: Case) -> list[str]:
    """The case's layer, and the layers among its arguments."""
    return [case.name, *(each.path.rpartition(".")[2] for each in _objects_in(case) if isinstance(each, Build))]


def _objects_in(case: Case) -> list[Build | Name | str]:
    """What the arguments are and hold: objects, functions, texts."""

    def walk(value: Any) -> list[Build | Name | str]:
        if isinstance(value, Build):
            return [value, *walk(value.arguments), *walk(value.positional)]
        if isinstance(value, (Name, str)):
            return [value]
        if isinstance(value, Mapping):
            return [each for item in value.values() for each in walk(item)]
        if isinstance(value, (list, tuple)):
            return [each for item in value for each in walk(item)]
        return []

    return walk(case.arguments)
