"""`dlcheck doctor`: what this machine offers, and why the rest is missing."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pytest_dlcheck import probe
from pytest_dlcheck.backends import BACKENDS, installed
from pytest_dlcheck.devices import BUILTIN_KINDS, Discovery, kinds_by_name
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.hardware import gpus, machine
from pytest_dlcheck.options import install_hint

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["examine"]


def _discover(name: str) -> Discovery:
    if not installed(name):
        return Discovery(name, {}, {}, {}, error=f"not installed: {install_hint(name)}")
    return probe.ask(name, kinds_by_name(()))


def _advice(found: Sequence[Discovery], hardware: Sequence[dict[str, Any]]) -> list[str]:
    """What would make more of this machine usable."""
    advice = []
    for each in found:
        if each.error is None and hardware and "gpu" not in each.devices and each.backend != "numpy":
            advice.append(
                f"the driver sees {hardware[0]['name']}, and {each.backend} does not use it: {each.missing.get('gpu')}"
            )
    return advice


def examine(names: str | None, *, as_json: bool) -> int:
    """Prints what there is; gives 0 if at least one backend is usable, else 1.

    Raises:
        DlcheckError: `names` holds one that is unknown.
    """
    from rich.console import Console

    chosen = [name.strip() for name in names.split(",")] if names else list(BACKENDS)
    unknown = [name for name in chosen if name not in BACKENDS]
    if unknown:
        raise DlcheckError(f"unknown backend {unknown[0]!r}; there are {', '.join(BACKENDS)}")
    progress = Console(stderr=True)
    asking = f"asking {', '.join(chosen)} in processes of their own (an import may take 10 s)"
    with progress.status(asking) as status, ThreadPoolExecutor(len(chosen)) as pool:
        pending = {name: pool.submit(_discover, name) for name in chosen}
        found = []
        for number, (name, answer) in enumerate(pending.items(), 1):
            found.append(answer.result())
            status.update(f"{name} has answered, {len(chosen) - number} to go")
    host = machine()
    hardware, why_no_gpu = gpus()
    advice = _advice(found, hardware)
    if as_json:
        print(
            json.dumps(
                {
                    "schema": "dlcheck-doctor/1",
                    "machine": {**host, "why_no_gpu": why_no_gpu},
                    "backends": [each._asdict() for each in found],
                    "advice": advice,
                },
                indent=1,
            )
        )
    else:
        _show(Console(), host, why_no_gpu, found, advice)
    usable = [each for each in found if each.error is None]
    if not usable:
        print("dlcheck: error: no backend is usable here", file=sys.stderr)
    return 0 if usable else 1


def _show(
    console: Console, host: dict[str, Any], why_no_gpu: str | None, found: Sequence[Discovery], advice: Sequence[str]
) -> None:
    from rich.table import Table
    from rich.text import Text

    # Two columns, so that a long reason stays beside its name however narrow the terminal is.
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")

    def line(indent: int, name: str, text: str, style: str = "") -> None:
        grid.add_row(Text(" " * indent + name, "" if indent else "bold"), Text(text, style))

    gpu_line = ", ".join(f"{gpu['name']} (driver {gpu['driver']})" for gpu in host["gpus"]) or f"none: {why_no_gpu}"
    line(0, "machine", f"Python {host['python']}, {host['os']}")
    line(2, "processor", f"{host['cpu']}, {host['cores']} cores, {host['memory_bytes'] / 2**30:.1f} GiB")
    line(2, "GPUs", gpu_line)
    for each in found:
        grid.add_row()
        if each.error is not None:
            line(0, each.backend, each.error, "red")
            continue
        versions = ", ".join(f"{name} {version}" for name, version in each.versions.items())
        line(0, each.backend, f"{versions}; imported in {each.seconds:.1f} s")
        for kind in BUILTIN_KINDS:
            names = each.devices.get(kind.name)
            if names:
                line(2, kind.name, f"{len(names)}: {', '.join(names)}", "green")
            else:
                line(2, kind.name, f"none: {each.missing.get(kind.name)}", "dim")
    for text in advice:
        grid.add_row()
        line(0, "advice", text, "yellow")
    console.print(grid)
