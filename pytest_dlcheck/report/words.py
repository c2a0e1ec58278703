"""Figures as people read them."""

from __future__ import annotations

__all__ = ["duration", "memory", "rate"]


def duration(seconds: float) -> str:
    """Three significant digits, in the unit that suits: `1.23 ms`, `45.6 us`, `2 min 5 s`."""
    if seconds >= 100:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    if seconds >= 1:
        return f"{seconds:.3g} s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds * 1e6:.3g} µs"


def rate(per_second: float) -> str:
    """Three significant digits with a thousands separator."""
    if per_second >= 1000:
        digits = len(str(int(per_second))) - 3
        return f"{round(per_second, -digits):,.0f}"
    return f"{per_second:.3g}"


def memory(size: int) -> str:
    return f"{size / 2**30:.3g} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
