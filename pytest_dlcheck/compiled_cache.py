"""Where compiled code is kept from one run to the next, and when it may be used again."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Iterable
from pathlib import Path

__all__ = ["LARGEST_BYTES", "build_of", "folder_in"]

LARGEST_BYTES = 1_000_000_000
"""What is kept of all builds together may become so large before it is thrown away."""


def build_of(libraries: Iterable[Path]) -> str:
    """Names one build of a framework on one kind of processor.

    Frameworks tell builds apart by their version. Whoever rebuilds one under the same version would be shown what the build
    before had compiled, so the shared objects' sizes and times count, too.

    Args:
        libraries: the folders of the installed packages that compile.

    Returns:
        16 hexadecimal digits.
    """
    told = [platform.machine(), _processor(), os.environ.get("XLA_FLAGS", "")]
    for folder in libraries:
        for path in sorted(folder.rglob("*.so*")):
            found = path.stat()
            told.append(f"{path.relative_to(folder)} {found.st_size} {found.st_mtime_ns}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _processor() -> str:
    """What the processor can do: code compiled for one may not run on another."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())


def folder_in(root: Path, build: str) -> Path:
    """The folder of a build below `root`, made if need be; first makes room if all that is kept there has grown too large.

    Raises:
        OSError: it cannot be made.
    """
    folder = root / build
    if root.is_dir() and sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) > LARGEST_BYTES:
        shutil.rmtree(root, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
