"""How many operations a second a framework reaches where nothing holds it up: one large product, one large convolution.

`python -m pytest_dlcheck.benchmark.peak BACKEND DEVICE` measures them in a process of its own and prints a line of JSON. On
NVIDIA's GPUs products of float32 are computed without TF32, as the suites do, so that the peak is of the same arithmetic.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from pytest_dlcheck.backends import create
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.devices import DeviceName, kinds_by_name

__all__ = ["SIZES", "main", "peaks"]

SIZES = {"cpu": (1024, 32), "other": (8192, 256)}
"""Of the square matrices, and the batch of the convolution: 64 channels to 64, 3 by 3, over 56 by 56."""
CHANNELS, SIDE, KERNEL = 64, 56, 3
REPEATS, CALLS = 7, 3


def _fastest(call: Callable[[], Any], wait: Callable[[Any], None]) -> float:
    """Seconds of one call: the fastest of several, which is what a peak is."""
    wait(call())
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(CALLS):
            value = call()
        wait(value)
        best = min(best, (time.perf_counter() - start) / CALLS)
    return best


def _convolve(backend: Backend, images: Any, kernels: Any) -> Callable[[], Any]:
    framework = backend.framework
    if backend.name == "tensorflow":
        return lambda: framework.nn.conv2d(images, kernels, 1, "VALID")
    if backend.name == "torch":
        # PyTorch's own layout: channels first.
        x, k = images.permute(0, 3, 1, 2).contiguous(), kernels.permute(3, 2, 0, 1).contiguous()
        return lambda: framework.nn.functional.conv2d(x, k)
    lax = framework.lax
    run = framework.jit(
        lambda x, k: lax.conv_general_dilated(x, k, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    )
    return lambda: run(images, kernels)


def peaks(backend: Backend, device: DeviceName) -> dict[str, float]:
    """Operations per second in float32 of a matrix product (`gemm`) and of a convolution (`convolution`)."""
    rows, batch = SIZES["cpu" if device.kind == "cpu" else "other"]
    rng = np.random.default_rng(0)
    with backend.activate(device):
        one, other = (backend.put(rng.random((rows, rows), dtype=np.float32)) for _ in range(2))
        images = backend.put(rng.random((batch, SIDE, SIDE, CHANNELS), dtype=np.float32))
        kernels = backend.put(rng.random((KERNEL, KERNEL, CHANNELS, CHANNELS), dtype=np.float32))
        wait = (lambda value: value.block_until_ready()) if backend.name == "jax" else backend.synchronize
        product = _fastest(lambda: one @ other, wait)
        convolution = _fastest(_convolve(backend, images, kernels), wait)
    across = SIDE - KERNEL + 1
    return {
        "gemm": 2 * rows**3 / product,
        "convolution": 2 * batch * across**2 * KERNEL**2 * CHANNELS**2 / convolution,
    }


def main() -> None:
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    backend = create(sys.argv[1], kinds_by_name(()))
    print(json.dumps(peaks(backend, DeviceName.parse(sys.argv[2]))), file=answer, flush=True)


if __name__ == "__main__":
    main()
