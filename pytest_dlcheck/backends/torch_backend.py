"""Keras on PyTorch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from pytest_dlcheck.backends.base import Array, Backend
from pytest_dlcheck.devices import DeviceName

__all__ = ["BACKEND", "TorchBackend"]


class TorchBackend(Backend):
    name = "torch"

    def find(self, platform: str) -> tuple[list[str], str]:
        torch = self.framework
        if platform == "cpu":
            return ["cpu"], ""  # PyTorch knows one, however many cores it has
        try:
            module = torch.get_device_module(platform)
            count = module.device_count()
        except (AttributeError, RuntimeError) as error:
            return [], f"PyTorch {torch.__version__} does not know {platform!r} ({str(error).splitlines()[0]})"
        names = [
            str(module.get_device_name(index)) if hasattr(module, "get_device_name") else f"{platform}:{index}"
            for index in range(count)
        ]
        return names, self._why_none(platform)

    def _why_none(self, platform: str) -> str:
        torch = self.framework
        if platform == "cuda" and torch.version.cuda is None and torch.version.hip is None:
            return f"PyTorch {torch.__version__} is a CPU build"
        return f"torch.{platform}.device_count() is 0: is the driver missing?"

    def _device(self, device: DeviceName) -> Any:
        platform = self.kinds[device.kind].platforms[self.name]
        return self.framework.device(platform if platform == "cpu" else f"{platform}:{device.index}")

    @contextlib.contextmanager
    def scope(self, device: DeviceName) -> Any:
        target = self._device(device)
        # Keras keeps a default device of its own beside PyTorch's.
        with self.keras.device(str(target)), target:
            yield

    def locate(self, value: Any) -> set[tuple[str, int]]:
        return {(value.device.type, value.device.index or 0)}

    def synchronize(self, *values: Any) -> None:
        for device in {self.tensor(value).device for value in values}:
            if device.type != "cpu":
                self.framework.get_device_module(device.type).synchronize(device)

    def put(self, array: Array) -> Any:
        return self.framework.tensor(np.array(array))

    def to_numpy(self, value: Any) -> Array:
        return np.array(self.tensor(value).detach().cpu().numpy())

    def gradients_of(self, model: Any, inputs: Any, objective: Callable[[Any], Any]) -> list[Array | None]:
        torch = self.framework
        weights = [weight.value for weight in model.trainable_weights]
        value = objective(model(self.put_all(inputs), training=True))
        if not weights or not value.requires_grad:  # which PyTorch refuses to differentiate
            return [None] * len(weights)
        found = torch.autograd.grad(value, weights, allow_unused=True)
        return [None if gradient is None else self._exported(gradient) for gradient in found]


BACKEND = TorchBackend
