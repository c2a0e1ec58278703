"""What every backend must offer: the few primitives that Keras has no portable form of."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends import versions
from pytest_dlcheck.backends.keras_2 import KerasTwo, is_keras_2
from pytest_dlcheck.devices import DeviceKind, DeviceName, Discovery
from pytest_dlcheck.errors import BackendError, DeviceMismatch, DeviceMissing

__all__ = ["Array", "Backend", "Invoke"]

Array = NDArray[np.generic]
Invoke = Callable[[Callable[..., Any], Sequence[Any]], Any]


class Backend(ABC):
    """One framework behind Keras, loaded when first used.

    A process has one backend: Keras chooses it when it is imported. `load` is that moment; `keras` and `framework` call it.

    Attributes:
        name: `tensorflow`, `jax`, `torch` or `numpy`.
        trains: whether Keras can train on it; `numpy` only runs forward.
    """

    name: ClassVar[str]
    trains: ClassVar[bool] = True

    def __init__(self, kinds: Mapping[str, DeviceKind], cpu_devices: int = 1) -> None:
        self.kinds = kinds
        self.cpu_devices = cpu_devices
        self.import_seconds = 0.0
        self._keras: Any = None
        self._keras_api: Any = None
        self._framework: Any = None

    def __repr__(self) -> str:
        return f"<backend {self.name}>"

    # Loading.

    def load(self) -> None:
        """Imports the framework and Keras on it. Does nothing the second time.

        Raises:
            BackendError: the import fails, or Keras is already running on another backend in this process.
        """
        if self._keras is not None:
            return
        os.environ["KERAS_BACKEND"] = self.name
        start = time.perf_counter()
        self.before_import()
        try:
            framework = importlib.import_module(self.name)
            keras = importlib.import_module("keras")
        except Exception as error:  # a broken installation can raise anything, and it must end in one line
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise BackendError(f"backend {self.name!r} is installed, but importing it fails: {reason}") from error
        running = keras.backend.backend()
        if running != self.name:
            raise BackendError(
                f"Keras already runs on {running!r} in this process, so {self.name!r} cannot be tested: something "
                "imported it earlier (a conftest.py, a test module?) with another KERAS_BACKEND"
            )
        self.import_seconds = time.perf_counter() - start
        self._framework, self._keras = framework, keras
        self.after_import()

    @property
    def loaded(self) -> bool:
        """Whether the framework has been imported through this object."""
        return self._keras is not None

    def before_import(self) -> None:
        """Sets what the framework reads once, when it is imported."""

    def after_import(self) -> None:
        """Sets what must be set before the framework's runtime starts."""

    @property
    def keras(self) -> Any:
        """The module `keras`, running on this backend."""
        self.load()
        return self._keras

    @property
    def keras_api(self) -> Any:
        """Keras in the words of Keras 3: the module itself, or a stand-in for a Keras 2 (`KerasTwo`)."""
        if self._keras_api is None:
            self._keras_api = KerasTwo(self.keras) if is_keras_2(str(self.keras.__version__)) else self.keras
        return self._keras_api

    @property
    def policies(self) -> Any:
        """The module of `dtype_policy` and `set_dtype_policy`: `keras.config`, which the first Keras 3.0 has without them."""
        api = self.keras_api
        return api.config if hasattr(api.config, "dtype_policy") else api.mixed_precision

    @property
    def framework(self) -> Any:
        """The framework's own module: `tensorflow`, `jax`, `torch` or `numpy`."""
        self.load()
        return self._framework

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Inside, Keras does not import TensorFlow merely because it is installed.

        On another backend it would, to seed it or to ask whether a value is of one of its types: seconds and hundreds of
        megabytes for a framework that has no part in what the process does. Where it has been imported, nothing changes.
        """
        self.load()
        try:
            tensorflow = importlib.import_module("keras.src.utils.module_utils").tensorflow
        except (ImportError, AttributeError):  # Keras 2 is TensorFlow's own
            yield
            return
        if "tensorflow" in sys.modules:
            yield
            return
        before = vars(tensorflow).get("_available")
        tensorflow._available = False  # noqa: SLF001 - there is no public way
        try:
            yield
        finally:
            tensorflow._available = before  # noqa: SLF001

    # Devices.

    @abstractmethod
    def find(self, platform: str) -> tuple[list[str], str]:
        """The framework's devices of one platform, by its own public calls.

        Returns a description of each device, and, if there is none, why.
        """

    @abstractmethod
    def scope(self, device: DeviceName) -> contextlib.AbstractContextManager[object]:
        """Inside, the framework and Keras create and compute values on the device."""

    @abstractmethod
    def locate(self, value: Any) -> set[tuple[str, int]]:
        """Where one of the framework's arrays lies: (platform, index) pairs."""

    def discover(self) -> Discovery:
        """What this backend offers here. Starts the framework's runtime if it has no other way of finding out."""
        devices: dict[str, list[str]] = {}
        missing: dict[str, str] = {}
        try:
            self.load()
        except BackendError as error:
            return Discovery(self.name, versions(self.name), {}, {}, error=str(error))
        for kind in self.kinds.values():
            platform = kind.platforms.get(self.name)
            if platform is None:
                missing[kind.name] = f"Keras on {self.name} does not run on this kind of device"
                continue
            found, reason = self.find(platform)
            if found:
                devices[kind.name] = found
            else:
                missing[kind.name] = reason
        return Discovery(self.name, versions(self.name), devices, missing, seconds=self.import_seconds)

    def synchronize(self, *values: Any) -> None:
        """Waits until the values, and what was queued before them, have been computed."""
        del values

    def places(self, value: Any) -> tuple[str, ...]:
        """The names of all devices on which a part of the value lies: an array, a variable, a model, or a nest of them.

        Raises:
            TypeError: there is a NumPy array in it, or something else that lies on no device.
        """
        words = {kind.platforms[self.name]: kind.name for kind in self.kinds.values() if self.name in kind.platforms}
        found = set()
        for leaf in self._leaves(value):
            found |= {f"{words.get(platform, platform)}:{index}" for platform, index in self.locate(leaf)}
        return tuple(sorted(found))

    def _leaves(self, value: Any) -> Iterator[Any]:
        if isinstance(value, np.ndarray | np.generic) and self.name != "numpy":
            raise TypeError(
                "a NumPy array lies in the host's memory whatever computed it: verify the framework's own tensor "
                "(model(x), not model.predict(x))"
            )
        if isinstance(value, Mapping):
            value = value.values()
        elif hasattr(value, "weights") and isinstance(value.weights, list):
            value = value.weights
        elif not isinstance(value, list | tuple):
            yield self.tensor(value)
            return
        for part in value:
            yield from self._leaves(part)

    def tensor(self, value: Any) -> Any:
        """The framework's array behind a Keras variable; anything else as it is."""
        inner = getattr(value, "value", None)
        # Keras 3's variable has it as a property, TensorFlow's own as a method that copies.
        return value if inner is None or callable(inner) else inner

    def verify(self, value: Any, device: DeviceName) -> None:
        """Asserts that every part of the value lies on the device.

        Raises:
            DeviceMismatch: it does not. TensorFlow computes on the CPU, silently, what it cannot place.
        """
        places = self.places(value)
        if places != (str(device),):
            where = " and ".join(places) or "no device"
            raise DeviceMismatch(f"asked {self.name} for {device}, and the result lies on {where}")

    def activate(self, device: DeviceName) -> contextlib.AbstractContextManager[object]:
        """The scope of a device, once one addition has been seen to run there.

        Raises:
            DeviceMissing: the backend does not have the device.
            DeviceMismatch: it has, and computes elsewhere all the same.
        """
        reason = self.discover().why_not(device)
        if reason is not None:
            raise DeviceMissing(reason)
        with self.scope(device):
            self.verify(self.put(np.ones(2, dtype=np.float32)) + 1, device)
        return self.scope(device)

    # Values.

    @abstractmethod
    def put(self, array: Array) -> Any:
        """The framework's own array with these values, on the device of the scope."""

    def to_numpy(self, value: Any) -> Array:
        """A copy of the framework's array, or of a Keras variable, in the host's memory."""
        inner = self.tensor(value)
        return np.array(inner.numpy() if hasattr(inner, "numpy") else inner)

    def seed(self, seed: int) -> None:
        """Seeds Python, NumPy and the framework, by `keras.utils.set_random_seed`."""
        with self.alone():
            self.keras.utils.set_random_seed(seed)

    @abstractmethod
    def gradients_of(self, model: Any, inputs: Any, objective: Callable[[Any], Any]) -> list[Array | None]:
        """The gradient of a number with respect to each trainable weight, in training mode.

        Args:
            model: a built Keras model.
            inputs: an array, batch first, or a nest of them.
            objective: from the model's outputs to the number, in `keras.ops`.

        Returns:
            One array per entry of `model.trainable_weights`; None where the framework finds no path to the number.
        """

    def gradients(self, model: Any, loss: str, x: Array, y: Array) -> list[Array | None]:
        """The gradient of the mean loss with respect to each trainable weight, in training mode.

        Args:
            model: a built Keras model.
            loss: the name of a Keras loss.
            x: inputs, batch first.
            y: targets, of the rank of the outputs (integer labels: one less).

        Returns:
            As of `gradients_of`.
        """
        keras, targets = self.keras, self.put(y)
        return self.gradients_of(model, x, lambda outputs: keras.ops.mean(keras.losses.get(loss)(targets, outputs)))

    def _exported(self, gradient: Any) -> Array:
        """A gradient as an array; bfloat16, which NumPy lacks, as float32."""
        narrow = self.keras_api.backend.standardize_dtype(gradient.dtype) == "bfloat16"
        return self.to_numpy(self.keras_api.ops.cast(gradient, "float32") if narrow else gradient)

    def put_all(self, nest: Any) -> Any:
        """As `put`, for each array of a nest of lists."""
        return [self.put_all(each) for each in nest] if isinstance(nest, (list, tuple)) else self.put(nest)

    # Modes.

    onednn: frozenset[str] = frozenset()
    """The dtypes whose convolutions and poolings on a CPU are oneDNN's, where the framework has kernels of its own, too."""

    compiles_operations = False
    """Whether each operation of an eager call is compiled, for each shape anew."""

    def quick(self) -> contextlib.AbstractContextManager[object]:
        """Inside, what is compiled for eager calls goes without optimization, where the framework compiles them at all."""
        return contextlib.nullcontext()

    def keep_compiled(self, root: Path) -> None:
        """From now on compiled code is kept in a folder below `root`, and taken from there, where the framework can do so.

        Raises:
            OSError: the folder cannot be made.
        """
        del root

    def make_room(self) -> None:
        """Lets go of compiled code, where so much of it has piled up that more would end the process."""

    def graph(self, layer: Any, invoke: Invoke) -> Callable[[Sequence[Any]], Any] | None:
        """The layer's call as a graph, traced with sizes left open where the framework can; None if it has no graphs.

        Args:
            layer: a built layer.
            invoke: calls what it is given first (the layer, or a stand-in) on the tensors that it is given second.

        Returns:
            A function of the tensors, which gives the outputs and updates the layer's variables.
        """
        del layer, invoke
        return None

    def compiled(self, layer: Any, invoke: Invoke) -> Callable[[Sequence[Any]], Any] | None:
        """The layer's call, compiled; None if the framework does not compile. Arguments as for `graph`."""
        del layer, invoke
        return None
