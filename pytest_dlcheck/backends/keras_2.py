"""Keras 2, in the words of Keras 3: what the observers ask of Keras, so that they observe either in the same way.

TensorFlow 2.12 to 2.15 hold Keras 2. What the layers take, give and are called is read off them, as it is between releases of
Keras 3; this module only spells the few things around them that were renamed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

__all__ = ["KerasTwo", "is_keras_2", "operations", "path_of", "plain"]


def is_keras_2(version: str) -> bool:
    """Whether a version of Keras is of that generation.

    Args:
        version: `2.15.0`.
    """
    return version.startswith("2.")


def operations(keras: Any) -> Any:
    """`keras.ops`; of a Keras that has none, TensorFlow's operations of the same names."""
    found = getattr(keras, "ops", None)
    return found if found is not None else _operations()


def _operations() -> Any:
    import tensorflow as tf

    return SimpleNamespace(
        add=tf.add,
        cast=tf.cast,
        convert_to_tensor=tf.convert_to_tensor,
        expand_dims=tf.expand_dims,
        mean=tf.reduce_mean,
        multiply=tf.multiply,
    )


def path_of(variable: Any) -> str:
    """Where a variable belongs: `dense/kernel`. Keras 2 has TensorFlow's name for it, with an output's number behind."""
    path = getattr(variable, "path", None)
    return str(variable.name).partition(":")[0] if path is None else str(path)


class KerasTwo:
    """The module of a Keras 2, and around it the names that Keras 3 has for the same things.

    Args:
        keras: the module.
    """

    def __init__(self, keras: Any) -> None:
        self._keras = keras
        self.ops = operations(keras)
        self.config = SimpleNamespace(
            epsilon=keras.backend.epsilon,
            set_epsilon=keras.backend.set_epsilon,
            floatx=keras.backend.floatx,
            set_floatx=keras.backend.set_floatx,
            image_data_format=keras.backend.image_data_format,
            set_image_data_format=keras.backend.set_image_data_format,
            dtype_policy=keras.mixed_precision.global_policy,
            set_dtype_policy=keras.mixed_precision.set_global_policy,
        )
        # In Keras 2.12 layers have functions of their own, and arrays and shapes stay what they are until a model is written.
        saving, older = keras.saving, keras.layers
        self.saving = SimpleNamespace(
            custom_object_scope=keras.utils.custom_object_scope,
            serialize_keras_object=getattr(saving, "serialize_keras_object", lambda layer: plain(older.serialize(layer))),
            deserialize_keras_object=getattr(
                saving, "deserialize_keras_object", lambda config, safe_mode=True: older.deserialize(config)
            ),
        )
        self.backend = SimpleNamespace(backend=lambda: "tensorflow", standardize_dtype=_name_of_dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._keras, name)

    def KerasTensor(self, shape: Sequence[int | None], dtype: str) -> Any:  # noqa: N802 - as Keras 3 calls it
        """What a layer is called on to learn what it would give."""
        return self._keras.Input(batch_shape=tuple(shape), dtype=dtype)


def _name_of_dtype(dtype: Any) -> str:
    import tensorflow as tf

    return str(tf.as_dtype(dtype).name)


def plain(value: Any) -> Any:
    """A config with what JSON lacks as lists and numbers: arrays, shapes, dictionaries that are watched."""
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    for way in ("as_list", "tolist"):
        if hasattr(value, way):
            return getattr(value, way)()
    return value
