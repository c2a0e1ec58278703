"""What the machine is doing while it measures: load, stolen time, clocks."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from pytest_dlcheck.errors import DlcheckError

__all__ = ["changes", "state"]


def _gpu_clocks() -> list[dict[str, float]]:
    """Clock, temperature and use of each NVIDIA GPU; none where there is no driver, or it does not say."""
    import pynvml  # the module of nvidia-ml-py

    found: list[dict[str, float]] = []
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        try:
            for index in range(pynvml.nvmlDeviceGetCount()):
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                found.append(
                    {
                        "clock_mhz": float(pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)),
                        "temperature_c": float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
                        "used_percent": float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
                    }
                )
        finally:
            pynvml.nvmlShutdown()
    return found


def state() -> dict[str, Any]:
    """The machine's counters now; two of them make `changes`."""
    import psutil

    times = psutil.cpu_times()
    clocks: list[float] = []
    with contextlib.suppress(OSError, NotImplementedError, AttributeError):
        clocks = [each.current for each in psutil.cpu_freq(percpu=True) or []]
    return {
        "at_s": time.monotonic(),
        "load_1min": psutil.getloadavg()[0],
        "steal_s": float(getattr(times, "steal", 0.0)),
        "busy_s": float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)),
        "cpu_clocks_mhz": clocks,
        "gpus": _gpu_clocks(),
    }


def changes(before: dict[str, Any], after: dict[str, Any], own_cpu_s: float) -> dict[str, float]:
    """What happened in between.

    Args:
        before, after: of `state`.
        own_cpu_s: the processor seconds that the measured processes took themselves.

    Returns:
        `others`: how many processors were busy with something else on average; `steal`: how many the host of a virtual machine
        kept for itself; `clock`: the mean clock after over the one before, 1 where none is known.

    Raises:
        DlcheckError: no time has passed.
    """
    seconds = after["at_s"] - before["at_s"]
    if seconds <= 0:
        raise DlcheckError("the machine's state was asked for twice at the same time")
    steal = after["steal_s"] - before["steal_s"]
    others = max(0.0, after["busy_s"] - before["busy_s"] - steal - own_cpu_s)
    first, last = before["cpu_clocks_mhz"], after["cpu_clocks_mhz"]
    clock = (sum(last) / len(last)) / (sum(first) / len(first)) if first and last and sum(first) else 1.0
    return {"others": others / seconds, "steal": steal / seconds, "clock": clock}
