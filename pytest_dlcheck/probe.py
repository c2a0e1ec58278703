"""Asks a process of its own what a backend offers here, so that the one who asks imports no framework.

`python -m pytest_dlcheck.probe` is that process: a JSON request on its standard input, a JSON answer on its standard output.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping

from pytest_dlcheck.devices import DeviceKind, Discovery

__all__ = ["ask"]

# An import takes 10 s on a slow machine; a driver that hangs must not hang the run.
TIMEOUT_S = 180


def ask(backend: str, kinds: Mapping[str, DeviceKind], cpu_devices: int = 1) -> Discovery:
    """What the backend offers, or, with `error` set, why it cannot be used."""
    request = {
        "backend": backend,
        "kinds": {kind.name: dict(kind.platforms) for kind in kinds.values()},
        "cpu_devices": cpu_devices,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest_dlcheck.probe"],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Discovery(backend, {}, {}, {}, error=f"backend {backend!r} did not answer within {TIMEOUT_S} s")
    try:
        # Frameworks print to standard output while they are imported; the answer is the last line.
        return Discovery(**json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        last = (done.stderr.strip().splitlines() or ["nothing was printed"])[-1]
        return Discovery(
            backend, {}, {}, {}, error=f"asking backend {backend!r} for its devices ended with status {done.returncode}: {last}"
        )


def main() -> None:
    # What the framework prints must not mix with the answer.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from pytest_dlcheck.backends import create

    request = json.load(sys.stdin)
    kinds = {name: DeviceKind(name, platforms) for name, platforms in request["kinds"].items()}
    discovery = create(request["backend"], kinds, request["cpu_devices"]).discover()
    print(json.dumps(discovery._asdict()), file=answer, flush=True)


if __name__ == "__main__":
    main()
