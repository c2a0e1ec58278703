"""A layer and an activation that Keras does not know, registered with it or not."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import Any

__all__ = ["PACKAGE", "custom_objects", "registered"]

PACKAGE = "dlcheck"
"""Under which they are registered: Keras then calls them `dlcheck>Gated`."""


def custom_objects() -> dict[str, Any]:
    """The layer `Gated` and the activation `halved`, made anew: classes that no module holds, so that no import finds them.

    `Gated` multiplies a dense layer within it by a weight of its own, and counts its calls in training in another that
    gradients do not reach. Keras must be importable.
    """
    import keras

    def halved(x: Any) -> Any:
        return x / 2

    class Gated(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, units: int, activation: Any = None, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense = keras.layers.Dense(units, activation=activation, name="dense")

        def build(self, shape: Any) -> None:
            self.dense.build(shape)
            self.gate = self.add_weight(shape=(self.dense.units,), initializer="ones", name="gate")
            self.steps = self.add_weight(shape=(), initializer="zeros", trainable=False, name="steps")
            super().build(shape)

        def call(self, x: Any, training: bool = False) -> Any:
            if training:
                self.steps.assign(self.steps + 1)
            return self.dense(x) * self.gate

        def compute_output_shape(self, shape: Any) -> Any:
            return (*shape[:-1], self.dense.units)

        def get_config(self) -> dict[str, Any]:
            activation = keras.saving.serialize_keras_object(self.dense.activation)
            return {**super().get_config(), "units": self.dense.units, "activation": activation}

        @classmethod
        def from_config(cls, config: dict[str, Any]) -> Any:
            config = dict(config)
            config["activation"] = keras.saving.deserialize_keras_object(config["activation"])
            return cls(**config)

    return {"Gated": Gated, "halved": halved}


@cache
def registered() -> MappingProxyType[str, Any]:
    """The same, registered with Keras, once a process."""
    import keras

    register = keras.saving.register_keras_serializable
    return MappingProxyType({name: register(package=PACKAGE)(each) for name, each in custom_objects().items()})
