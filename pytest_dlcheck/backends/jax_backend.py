"""Keras on JAX."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_dlcheck.backends.base import Array, Backend, Invoke
from pytest_dlcheck.compiled_cache import build_of, folder_in
from pytest_dlcheck.devices import DeviceName
from pytest_dlcheck.hardware import share_of_memory_maps

__all__ = ["BACKEND", "JaxBackend"]

HOST_DEVICES = "--xla_force_host_platform_device_count"


class JaxBackend(Backend):
    name = "jax"

    def before_import(self) -> None:
        # Other workers may share the GPU; JAX would take three quarters of its memory at once.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        flags = os.environ.get("XLA_FLAGS", "")
        if self.cpu_devices > 1 and HOST_DEVICES not in flags:
            os.environ["XLA_FLAGS"] = f"{flags} {HOST_DEVICES}={self.cpu_devices}".strip()

    def find(self, platform: str) -> tuple[list[str], str]:
        try:
            return [f"{device.device_kind} ({device})" for device in self.framework.devices(platform)], ""
        except RuntimeError as error:
            return [], f"jax.devices({platform!r}): {str(error).splitlines()[0]}"

    def _device(self, device: DeviceName) -> Any:
        return self.framework.devices(self.kinds[device.kind].platforms[self.name])[device.index]

    def scope(self, device: DeviceName) -> contextlib.AbstractContextManager[object]:
        scope: contextlib.AbstractContextManager[object] = self.framework.default_device(self._device(device))
        return scope

    def locate(self, value: Any) -> set[tuple[str, int]]:
        return {self._name_of(device) for device in value.devices()}

    def _name_of(self, device: Any) -> tuple[str, int]:
        # By membership: what a device calls its platform differs from the word that `jax.devices` takes (cuda, gpu).
        for kind in self.kinds.values():
            platform = kind.platforms.get(self.name)
            with contextlib.suppress(RuntimeError, ValueError):  # no such platform; not one of its devices
                if platform is not None:
                    return platform, self.framework.devices(platform).index(device)
        return str(device.platform), int(device.id)

    def synchronize(self, *values: Any) -> None:
        self.framework.block_until_ready([self.tensor(value) for value in values])
        # Effects and transfers that no value waits for.
        self.framework.effects_barrier()

    def put(self, array: Array) -> Any:
        return self.framework.numpy.asarray(array)

    def gradients_of(self, model: Any, inputs: Any, objective: Callable[[Any], Any]) -> list[Array | None]:
        jax = self.framework
        trainable = [weight.value for weight in model.trainable_weights]
        others = [weight.value for weight in model.non_trainable_variables]
        # Handed to the model's own `call`, which need not take it.
        mode = {"training": True} if "training" in inspect.signature(model.call).parameters else {}

        def value(weights: list[Any], tensors: Any) -> Any:
            outputs, _ = model.stateless_call(weights, others, tensors, **mode)
            return objective(outputs)

        # Compiled, since op by op JAX compiles each operation for each shape on its own.
        return [self._exported(gradient) for gradient in jax.jit(jax.grad(value))(trainable, self.put_all(inputs))]

    compiles_operations = True

    @contextlib.contextmanager
    def _optimizing(self, wanted: bool) -> Iterator[None]:
        config = self.framework.config
        before = config.read("jax_disable_most_optimizations")
        config.update("jax_disable_most_optimizations", not wanted)
        try:
            yield
        finally:
            config.update("jax_disable_most_optimizations", before)

    def quick(self) -> contextlib.AbstractContextManager[object]:
        return self._optimizing(False)

    def keep_compiled(self, root: Path) -> None:
        compiler = Path(importlib.import_module("jaxlib").__file__ or "").parent
        config = self.framework.config
        config.update("jax_compilation_cache_dir", str(folder_in(root, build_of([compiler]))))
        # JAX would leave out what takes less than a second, and here nearly everything does.
        config.update("jax_persistent_cache_min_compile_time_secs", 0)
        config.update("jax_persistent_cache_min_entry_size_bytes", -1)

    def make_room(self) -> None:
        # Compiled code lies in memory maps, of which Linux gives a process 65,530 by default. The program that takes the last
        # one ends the process with a segmentation fault in the compiler; a recurrent layer's gradients take thousands.
        if share_of_memory_maps() > 0.5:
            self.framework.clear_caches()

    def compiled(self, layer: Any, invoke: Invoke) -> Callable[[Sequence[Any]], Any]:
        trainable, others = layer.trainable_variables, layer.non_trainable_variables

        def pure(first: list[Any], second: list[Any], tensors: Sequence[Any]) -> Any:
            kept: list[Any] = []

            def stand_in(*args: Any, **kwargs: Any) -> Any:
                # Not `stateless_call`, which leaves out what `__call__` does beside the call: casts and masks.
                mapping = [*zip(trainable, first, strict=True), *zip(others, second, strict=True)]
                with self.keras.StatelessScope(state_mapping=mapping) as scope:
                    outputs = layer(*args, **kwargs)
                held = [scope.get_current_value(variable) for variable in others]
                kept.append([value if now is None else now for value, now in zip(second, held, strict=True)])
                return outputs

            return invoke(stand_in, tensors), kept[0]

        program = self.framework.jit(pure)

        def run(values: Sequence[Any]) -> Any:
            with self._optimizing(True):
                outputs, after = program(
                    [variable.value for variable in trainable], [variable.value for variable in others], list(values)
                )
            for variable, value in zip(others, after, strict=True):
                variable.assign(value)
            return outputs

        return run


BACKEND = JaxBackend
