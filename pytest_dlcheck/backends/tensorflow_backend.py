"""Keras on TensorFlow."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from pytest_dlcheck.backends.base import Array, Backend, Invoke
from pytest_dlcheck.devices import DeviceName

__all__ = ["BACKEND", "TensorFlowBackend"]


class TensorFlowBackend(Backend):
    name = "tensorflow"

    def before_import(self) -> None:
        # Notes on instruction sets and missing GPU libraries would stand between the test results.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        # Other workers may share the GPU; TensorFlow would take all of its memory at once.
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

    def after_import(self) -> None:
        if self.cpu_devices == 1:
            return
        config = self._framework.config
        (cpu, *_) = config.list_physical_devices("CPU")
        with contextlib.suppress(RuntimeError):  # too late: the runtime runs, and `find` then tells how many there are
            config.set_logical_device_configuration(cpu, [config.LogicalDeviceConfiguration()] * self.cpu_devices)

    def find(self, platform: str) -> tuple[list[str], str]:
        # Physical devices can be listed without starting the runtime, logical ones cannot.
        config = self.framework.config
        found = []
        for device in config.list_physical_devices(platform):
            parts = config.get_logical_device_configuration(device) or [None]
            try:
                details = config.experimental.get_device_details(device).get("device_name")
            except Exception:  # noqa: BLE001 - TensorFlow has no details of some kinds, and the device is there all the same
                details = None
            found += [details or device.name.removeprefix("/physical_device:")] * len(parts)
        return found, self._why_none(platform)

    def _why_none(self, platform: str) -> str:
        build = self.framework.sysconfig.get_build_info()
        if platform == "GPU" and not (build.get("is_cuda_build") or build.get("is_rocm_build")):
            return f"TensorFlow {self.framework.__version__} is a CPU build"
        if platform == "GPU":
            return "TensorFlow is built for GPUs and lists none: is the driver, or its CUDA library, missing?"
        return f"tf.config.list_physical_devices({platform!r}) is empty"

    @cached_property
    def onednn(self) -> frozenset[str]:  # type: ignore[override] # found out once, when first asked for
        # TensorFlow takes oneDNN's kernels for the dtypes that the processor has instructions for, unless TF_ENABLE_ONEDNN_OPTS
        # says otherwise, and has no public name for that. Its own kernels refuse channels first on a CPU; oneDNN's take it.
        tf = self.framework
        found = set()
        for dtype in ("float64", "float32", "float16", "bfloat16"):
            with contextlib.suppress(tf.errors.OpError), tf.device("/device:CPU:0"):
                ones = tf.ones((1, 1, 1, 1), dtype)
                tf.nn.conv2d(ones, ones, 1, "VALID", data_format="NCHW")
                found.add(dtype)
        return frozenset(found)

    def scope(self, device: DeviceName) -> contextlib.AbstractContextManager[object]:
        platform = self.kinds[device.kind].platforms[self.name]
        scope: contextlib.AbstractContextManager[object] = self.framework.device(f"/device:{platform}:{device.index}")
        return scope

    def locate(self, value: Any) -> set[tuple[str, int]]:
        if not value.device:  # symbolic, or without a place of its own
            return set()
        spec = self.framework.DeviceSpec.from_string(value.device)
        return {(spec.device_type, spec.device_index)}

    def synchronize(self, *values: Any) -> None:
        del values
        self.framework.test.experimental.sync_devices()

    def put(self, array: Array) -> Any:
        return self.framework.constant(array)

    def gradients_of(self, model: Any, inputs: Any, objective: Callable[[Any], Any]) -> list[Array | None]:
        tf = self.framework
        weights = [self.tensor(weight) for weight in model.trainable_weights]
        with tf.GradientTape() as tape:
            value = objective(model(self.put_all(inputs), training=True))
        found = tape.gradient(value, weights, unconnected_gradients=tf.UnconnectedGradients.NONE)
        # A lookup's gradient comes as slices; a dense tensor is what the others give.
        return [None if gradient is None else self._exported(tf.convert_to_tensor(gradient)) for gradient in found]

    def graph(self, layer: Any, invoke: Invoke) -> Callable[[Sequence[Any]], Any]:
        return self._function(layer, invoke, compiled=False)

    def compiled(self, layer: Any, invoke: Invoke) -> Callable[[Sequence[Any]], Any]:
        return self._function(layer, invoke, compiled=True)

    def _function(self, layer: Any, invoke: Invoke, *, compiled: bool) -> Callable[[Sequence[Any]], Any]:
        tf = self.framework
        # Only the batch's size is open: a layer may need to know the others. XLA needs them all, and a layer that carries
        # states from batch to batch is documented to need the batch's size.
        stateful = any(getattr(part, "stateful", False) for part in layer._flatten_layers())  # noqa: SLF001 - wrappers hide it
        whole = compiled or stateful
        traced: dict[tuple[Any, ...], Any] = {}

        def run(values: Sequence[Any]) -> Any:
            signature = tuple(
                tf.TensorSpec(value.shape if whole or not value.shape.rank else [None, *value.shape[1:]], value.dtype)
                for value in values
            )
            if signature not in traced:
                traced[signature] = tf.function(
                    lambda *tensors: invoke(layer, tensors), input_signature=list(signature), jit_compile=compiled
                )
            return traced[signature](*values)

        return run


BACKEND = TensorFlowBackend
