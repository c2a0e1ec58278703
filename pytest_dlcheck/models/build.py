"""Builds a model from its spec, in the ways that Keras offers.

`keras` is the namespace to build with: the module `keras`, or `tensorflow.keras`.
"""

from __future__ import annotations

import warnings
from typing import Any

from pytest_dlcheck.models.spec import ModelSpec

__all__ = ["compile_model", "documented", "functional", "load_keras_namespace", "same_classes"]


def load_keras_namespace(api: str) -> Any:
    """The module that `api` names: `keras`, or `tf.keras` (TensorFlow's own name for it)."""
    if api == "keras":
        import keras

        return keras
    if api == "tf.keras":
        import tensorflow as tf

        return tf.keras
    raise ValueError(f"unknown API {api!r}: it is 'keras' or 'tf.keras'")


def same_classes(spec: ModelSpec, one: str, other: str) -> bool:
    """Whether two APIs are one under two names, as far as the model uses them: every class and function is the same object."""
    first, second = load_keras_namespace(one), load_keras_namespace(other)
    names = ("Sequential", "Model", "Input")
    return (
        all(getattr(first, name) is getattr(second, name) for name in names)
        and all(getattr(first.layers, layer.kind) is getattr(second.layers, layer.kind) for layer in spec.layers)
        and first.models.load_model is second.models.load_model
    )


def documented(spec: ModelSpec, keras: Any) -> tuple[Any, list[str]]:
    """The model as the tutorials write it: Sequential, the first layer given `input_shape`.

    Returns the model, not compiled, and what Keras warned of while it was built (Keras 3 advises against
    `input_shape`, and takes it).
    """
    first, *rest = spec.layers
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layers = [
            getattr(keras.layers, first.kind)(**first.arguments, input_shape=spec.input_shape),
            *(getattr(keras.layers, layer.kind)(**layer.arguments) for layer in rest),
        ]
        if spec.written == "add":
            model = keras.Sequential()
            for layer in layers:
                model.add(layer)
        else:
            model = keras.Sequential(layers)
    return model, [str(warning.message) for warning in caught]


def functional(spec: ModelSpec, keras: Any) -> Any:
    """The same layers as a graph from `Input` to output."""
    inputs = keras.Input(shape=spec.input_shape)
    outputs = inputs
    for layer in spec.layers:
        outputs = getattr(keras.layers, layer.kind)(**layer.arguments)(outputs)
    return keras.Model(inputs, outputs)


def compile_model(model: Any, spec: ModelSpec, **more: Any) -> None:
    """Optimizer, loss and metrics, by the names that the tutorials give them; `more` is for `compile` besides."""
    model.compile(optimizer=spec.optimizer, loss=spec.loss, metrics=list(spec.metrics), **more)
