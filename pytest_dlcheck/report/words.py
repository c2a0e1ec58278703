"""Figures as people read them."""

from __future__ import annotations

__all__ = ["duration", "memory", "rate"]


def _rounded(value: float) -> float:
    """Three significant digits, so that a figure that rounds up to the next unit is given in it."""
    return float(f"{value:.3g}")


def duration(seconds: float) -> str:
    """Three significant digits, in the unit that suits: `1.23 ms`, `45.6 µs`, `2 min 5 s`."""
    if seconds >= 99.5:
        whole = round(seconds)
        return f"{whole // 60} min {whole % 60} s"
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if _rounded(seconds / size) >= 1:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def rate(per_second: float) -> str:
    """Three significant digits with a thousands separator."""
    value = _rounded(per_second)
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def memory(size: int) -> str:
    """Three significant digits of GiB from 1 GiB on, whole MiB below."""
    mebibytes = round(size / 2**20)
    if mebibytes < 1024:
        return f"{mebibytes} MiB"
    return f"{_rounded(size / 2**30):,.4g} GiB"
