"""A case as a script of its own, which needs Keras and NumPy and nothing of this package."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from pytest_dlcheck.backends.keras_2 import is_keras_2
from pytest_dlcheck.cases.case import Build, Case, Name, Tensor, tensors
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.subjects.keras_2 import as_called

__all__ = ["CaseWriter", "backend_of", "docstring", "script"]

WEIGHTS = '''
def give_weights(layer, seed, dtype):
    """Other values than the initial ones, which hide much."""
    for index, weight in enumerate(layer.weights):
        name, shape = getattr(weight, "path", weight.name).partition(":")[0].rpartition("/")[2], tuple(weight.shape)
        if not str(weight.dtype).removeprefix("<dtype: '").startswith(("float", "bfloat", "torch.float", "torch.bfloat")):
            continue
        values = np.random.default_rng([seed, index, 17]).standard_normal(shape)
        values = values / np.sqrt(max(1.0, np.prod(shape[:-1]) if len(shape) > 1 else 4.0))
        if "variance" in name or "stddev" in name:
            values = np.abs(values) + 0.5
        elif name in ("gamma", "scale"):
            values = 1 + values / 2
        weight.assign(values.astype(dtype))
'''

ATTACH = '''
class Attach(keras.layers.Layer):
    """Hands its input on with a mask attached, as Embedding and Masking do."""

    def __init__(self, mask):
        super().__init__(autocast=False)
        self.supports_masking = True
        self.mask = mask

    def call(self, x):
        return x

    def compute_mask(self, inputs, previous_mask=None):
        return {ops}.convert_to_tensor(self.mask)
'''


def script(case: Case, backend: str, said: str, keras: str = "3") -> str:
    """The text of the script.

    Args:
        case: what to run.
        backend: for `KERAS_BACKEND`.
        said: what was seen when the case was judged; it becomes the script's docstring.
        keras: the version with which it was seen; Keras 2 has other names for some things.
    """
    return CaseWriter(case, backend, keras).text(said)


class CaseWriter:
    """Writes a case's values as Python; `custom` then holds what they need beside Keras and NumPy."""

    def __init__(self, case: Case, backend: str, keras: str = "3") -> None:
        self.case = case
        self.backend = backend
        self.keras_2 = is_keras_2(keras)
        self.ops = "tf" if self.keras_2 else "keras.ops"
        self.policy = "float32" if case.policy == "none" else case.policy
        self.compute = self.policy.removeprefix("mixed_")
        self.custom: dict[str, str] = {}

    def text(self, said: str) -> str:
        case = self.case
        dtype = [] if case.policy in {"float32", "none"} else [f"dtype={case.policy!r}"]
        given = self.keywords(case.subject, case.arguments)
        arguments = ", ".join([f"{name}={self.value(value)}" for name, value in given.items()] + dtype)
        call = "".join(f", {name}={self.value(value)}" for name, value in case.call.items())
        masked = case.masks is not None and any(mask is not None for mask in case.masks)
        inputs = self.inputs(case.inputs)
        config = "backend" if self.keras_2 else "config"
        body = [
            *(f"keras.{config}.set_{name}({value!r})" for name, value in case.settings.items()),
            f"layer = {case.subject}({arguments})",
            *([f"layer.adapt({self.value(case.adapt)})"] if case.adapt is not None else []),
            f"x = {inputs}",
            f"layer(x{call})",
            *([f'give_weights(layer, {case.weights_seed}, "{self.stored}")'] if case.weights_seed is not None else []),
            f"print(layer(x{call}))",
            'if "training" in inspect.signature(layer.call).parameters:',
            f'    print("in training mode:", layer(x{call}, training=True))',
        ]
        parts = [
            docstring(f"{case.subject} on {backend_of(self.backend)}.\n\n{said}"),
            f'import inspect\nimport os\n\nos.environ["KERAS_BACKEND"] = "{self.backend}"\n\nimport keras\nimport numpy as np'
            + ("\nimport tensorflow as tf" if self.keras_2 else ""),
            *self.custom.values(),
            *([WEIGHTS.strip()] if case.weights_seed is not None else []),
            *([ATTACH.strip().replace("{ops}", self.ops)] if masked else []),
            "\n".join(body),
        ]
        return "\n\n\n".join(parts) + "\n"

    @property
    def stored(self) -> str:
        """The dtype in which NumPy hands weights over: it has no bfloat16."""
        return "float32" if self.policy.startswith("mixed") or self.policy == "bfloat16" else self.policy

    def inputs(self, inputs: Any) -> str:
        masks = iter(self.case.masks or [None] * len(tensors(inputs)))

        def one(value: Any) -> str:
            if isinstance(value, Tensor):
                mask = next(masks)
                text = self.tensor(value)
                return text if mask is None else f"Attach({self.tensor(mask)})({text})"
            if isinstance(value, Mapping):
                return "{" + ", ".join(f"{key!r}: {one(value[key])}" for key in sorted(value)) + "}"
            items = ", ".join(one(item) for item in value)
            return f"[{items}]" if isinstance(value, list) else f"({items},)"

        return one(inputs)

    def tensor(self, tensor: Tensor) -> str:
        array = make(tensor, self.compute)
        if array.dtype == object:
            return f"np.array({array.tolist()!r}, dtype=object)"
        dtype = "float32" if tensor.dtype == "float" and self.policy.startswith("mixed") else str(array.dtype)
        values = (
            "np.array(" + _numbers(array) + f', dtype="{dtype}")' + (f".reshape({array.shape})" if 0 in array.shape else "")
        )
        return f'{self.ops}.cast({values}, "bfloat16")' if self.policy == "bfloat16" and tensor.dtype == "float" else values

    def value(self, value: Any) -> str:
        if isinstance(value, Tensor):
            return self.tensor(value)
        if isinstance(value, Name):
            return self.name(value.path)
        if isinstance(value, Build):
            given = [self.value(item) for item in value.positional] + [
                f"{k}={self.value(v)}" for k, v in self.keywords(value.path, value.arguments).items()
            ]
            return f"{self.name(value.path)}({', '.join(given)})"
        if isinstance(value, Mapping):
            return "{" + ", ".join(f"{key!r}: {self.value(item)}" for key, item in value.items()) + "}"
        if isinstance(value, tuple):
            return "(" + "".join(f"{self.value(item)}, " for item in value).rstrip() + ")" if value else "()"
        if isinstance(value, list):
            return "[" + ", ".join(self.value(item) for item in value) + "]"
        return repr(value)

    def keywords(self, path: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Constructor arguments by the names that they have in this generation of Keras."""
        return as_called(path, arguments) if self.keras_2 else arguments

    def name(self, path: str) -> str:
        """A name of Keras as it stands; a function of ours by its source, which the script then holds."""
        if path.startswith("keras."):
            return path
        module, _, name = path.rpartition(".")
        found = getattr(importlib.import_module(module), name)
        if not module.startswith("pytest_dlcheck"):
            self.custom[path] = f"import {module}"
            return path
        if not inspect.isfunction(found):
            # A class of ours, or what one made: too much to write out, so this script needs the package after all.
            self.custom[name] = f"from {module} import {name}"
            return name
        source = inspect.getsource(found).strip()
        self.custom[name] = source.replace(": Any", "").replace(" -> Any", "").replace("operations(keras)", self.ops)
        return name


def docstring(text: str) -> str:
    """A text as a module's docstring."""
    told = text.replace("\\", "\\\\").replace('"""', "'''")
    return f'"""{told}\n"""'


def _numbers(array: Any) -> str:
    text = repr(array.tolist())
    return text.replace("nan", "np.nan").replace("inf", "np.inf") if np.asarray(array).dtype.kind == "f" else text


def backend_of(name: str) -> str:
    """The backend as a reader knows it."""
    return {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch", "numpy": "NumPy"}.get(name, name)
