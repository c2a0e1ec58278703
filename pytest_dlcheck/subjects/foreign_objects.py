"""Objects from outside Keras that layers are given: files, modules and functions, made when a case is run.

Frameworks are imported inside the functions: a spec names only the path.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["FUNCTIONS", "affine", "at_commas", "saved_model", "shouted", "torch_linear", "torch_tanh", "vocabulary_file"]


@cache
def _folder() -> Path:
    """One folder for this process, gone when it ends."""
    path = Path(tempfile.mkdtemp(prefix="dlcheck-objects-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def vocabulary_file(words: Sequence[Any]) -> str:
    """The path of a text file of one word a line."""
    text = "\n".join(str(word) for word in words) + "\n"
    path = _folder() / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.txt"
    path.write_text(text, encoding="utf-8")
    return str(path)


def shouted(texts: Any) -> Any:
    """Texts in capitals, as `TextVectorization` hands them to its user's function: a tensor, or an array of texts."""
    if isinstance(texts, np.ndarray):
        return np.char.upper(texts.astype(str))
    import tensorflow as tf

    return tf.strings.upper(texts, encoding="utf-8")


def at_commas(texts: Any) -> Any:
    """Texts split where there are commas."""
    import tensorflow as tf

    return tf.strings.split(texts, sep=",")


def affine(inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of the function that all these objects compute, the same on every machine: float64, exact in half."""
    rng = np.random.default_rng([inputs, outputs])
    kernel = rng.integers(-8, 9, (inputs, outputs)) / 8
    return kernel, rng.integers(-8, 9, outputs) / 8


def saved_model(inputs: int, outputs: int) -> str:
    """The path of a TensorFlow SavedModel with the endpoints `serve`, x W + b, and `train`, twice that."""
    import tensorflow as tf

    path = _folder() / f"saved-{inputs}-{outputs}"
    if path.exists():
        return str(path)
    kernel, bias = affine(inputs, outputs)

    class Affine(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.kernel = tf.Variable(kernel, dtype="float32", name="kernel")
            self.bias = tf.Variable(bias, dtype="float32", name="bias")

        @tf.function(input_signature=[tf.TensorSpec([None, inputs], "float32")])  # type: ignore[untyped-decorator]
        def serve(self, x: Any) -> Any:
            return x @ self.kernel + self.bias

        @tf.function(input_signature=[tf.TensorSpec([None, inputs], "float32")])  # type: ignore[untyped-decorator]
        def train(self, x: Any) -> Any:
            return 2.0 * (x @ self.kernel + self.bias)

    module = Affine()
    tf.saved_model.save(module, str(path), signatures={"serve": module.serve, "train": module.train})
    return str(path)


def torch_linear(inputs: int, outputs: int) -> Any:
    """A torch module with parameters: x W + b."""
    import torch

    kernel, bias = affine(inputs, outputs)
    module = torch.nn.Linear(inputs, outputs)
    with torch.no_grad():
        module.weight.copy_(torch.tensor(kernel.T))
        module.bias.copy_(torch.tensor(bias))
    return module


def torch_tanh(inputs: int, outputs: int) -> Any:
    """A torch module of two: tanh(x W + b)."""
    import torch

    return torch.nn.Sequential(torch_linear(inputs, outputs), torch.nn.Tanh())


def jax_params(inputs: int, outputs: int) -> dict[str, np.ndarray]:
    """Trained parameters for `jax_affine`."""
    kernel, bias = affine(inputs, outputs)
    return {"kernel": kernel.astype("float32"), "bias": bias.astype("float32")}


def jax_affine(params: Any, inputs: Any) -> Any:
    """x W + b."""
    return inputs @ params["kernel"] + params["bias"]


def jax_affine_trained(params: Any, inputs: Any, training: bool) -> Any:
    """x W + b, and twice that in training."""
    y = inputs @ params["kernel"] + params["bias"]
    return 2 * y if training else y


def jax_counted(params: Any, state: Any, inputs: Any, training: bool) -> Any:
    """x W + b, and a state that counts the training calls."""
    y = inputs @ params["kernel"] + params["bias"]
    return y, {"calls": state["calls"] + (1.0 if training else 0.0)}


def jax_noisy(params: Any, rng: Any, inputs: Any, training: bool) -> Any:
    """x W + b, with noise in training."""
    import jax

    y = inputs @ params["kernel"] + params["bias"]
    return y + jax.random.uniform(rng, y.shape, y.dtype) if training else y


def jax_state() -> dict[str, np.ndarray]:
    """The state of `jax_counted` before any call."""
    return {"calls": np.zeros((), "float32")}


def jax_init(rng: Any, inputs: Any) -> Any:
    """Parameters for three outputs."""
    import jax

    return {
        "kernel": jax.random.normal(rng, (inputs.shape[-1], 3)),
        "bias": jax.numpy.full((3,), 0.5),
    }


def jax_init_counted(rng: Any, inputs: Any) -> Any:
    """The same, and the state of `jax_counted`."""
    import jax

    return jax_init(rng, inputs), {"calls": jax.numpy.zeros(())}


def flax_dense(outputs: int) -> Any:
    """A Flax module: x W + b."""
    return _flax_affine()(outputs)


@cache
def _flax_affine() -> Any:
    """Its class; of it `FlaxLayer.get_config` asks a config, and loading a file a name that is registered."""
    import importlib

    import keras

    linen: Any = importlib.import_module("flax.linen")

    @keras.saving.register_keras_serializable("dlcheck")
    class Affine(linen.Module):  # type: ignore[misc]
        outputs: int

        @linen.compact  # type: ignore[untyped-decorator]
        def __call__(self, inputs: Any) -> Any:
            return linen.Dense(self.outputs)(inputs)

        def get_config(self) -> dict[str, int]:
            return {"outputs": self.outputs}

        @classmethod
        def from_config(cls, config: dict[str, int]) -> Any:
            return cls(**config)

    return Affine


def flax_variables(inputs: int, outputs: int) -> dict[str, Any]:
    """What `flax_dense` begins with, as its `init` gives it."""
    return {"params": {"Dense_0": jax_params(inputs, outputs)}}


def flax_call(module: Any, inputs: Any) -> Any:
    """A method from outside the module."""
    return module(inputs)


FUNCTIONS = (at_commas, flax_call, jax_affine, jax_affine_trained, jax_counted, jax_init, jax_init_counted, jax_noisy, shouted)
"""Those that a layer's config names."""
