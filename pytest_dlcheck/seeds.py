"""Everything random comes from one seed: this derives the others."""

from __future__ import annotations

import zlib

__all__ = ["derive"]


def derive(seed: int, *names: str) -> int:
    """A seed of its own for whatever the names name, the same in every process: 0 to 2^31 - 1."""
    return zlib.crc32("\0".join([str(seed), *names]).encode()) & 0x7FFF_FFFF
