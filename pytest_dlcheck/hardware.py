"""What the machine is, from psutil, py-cpuinfo and NVIDIA's management library; no framework is asked."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

__all__ = ["gpus", "machine", "share_of_memory_maps"]


def _cpu() -> str:
    try:
        import cpuinfo  # pytest-benchmark brings it

        return str(cpuinfo.get_cpu_info().get("brand_raw") or platform.machine())
    except Exception:  # noqa: BLE001 - it reads many sources, and a report must not fail for a processor's name
        return platform.processor() or platform.machine()


def gpus() -> tuple[list[dict[str, Any]], str | None]:
    """NVIDIA's GPUs as the driver sees them, and, if there are none, why."""
    import pynvml  # the module of nvidia-ml-py

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return [], f"no NVIDIA driver ({error})"
    try:
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        found = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            found.append({"name": _text(pynvml.nvmlDeviceGetName(handle)), "memory_bytes": int(memory.total), "driver": driver})
        return found, None if found else "the NVIDIA driver lists no GPU"
    except pynvml.NVMLError as error:
        return [], f"the NVIDIA driver does not answer ({error})"
    finally:
        pynvml.nvmlShutdown()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def machine() -> dict[str, Any]:
    """Python, operating system, processor, memory and GPUs."""
    import psutil

    found, _ = gpus()
    return {
        "python": platform.python_version(),
        "os": f"{platform.system()} {platform.release()}",
        "cpu": _cpu(),
        "cores": psutil.cpu_count(),
        "memory_bytes": int(psutil.virtual_memory().total),
        "gpus": found,
    }


def share_of_memory_maps(process: str = "/proc/self/maps", limit: str = "/proc/sys/vm/max_map_count") -> float:
    """Which share of the memory maps that Linux gives a process this one has taken; 0 where the system does not say.

    Args:
        process: the file that lists them, a line for each.
        limit: the file that says how many a process may have.
    """
    try:
        with Path(process).open("rb") as lines:
            return sum(1 for _ in lines) / int(Path(limit).read_text(encoding="ascii"))
    except (OSError, ValueError, ZeroDivisionError):
        return 0.0
