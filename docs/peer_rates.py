"""How many cases a peer answers per second, forward and gradient, and how long an echo takes.

`python docs/peer_rates.py tf2.18 keras3.13-jax` starts each environment's peer (names as for `--dl-against`; without any, this
interpreter on tensorflow, jax and torch, as far as they are installed), and prints a table in Markdown. Each small layer is
built once and given other inputs and weights a few hundred times, all in one message; the first ones, in which it is built and
compiled, are not counted. Nothing else should run on the machine.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pytest_dlcheck.backends import installed
from pytest_dlcheck.environments import Environment, find, project_root
from pytest_dlcheck.environments.environment import examine
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.peers.answers import answers
from pytest_dlcheck.peers.host import Peer

EXAMPLES = 300
WARM_UP = 10
ECHOES = 500

# Arguments, shape of the input, shapes of the weights, shape of the output.
Layer = tuple[Mapping[str, Any], tuple[int, ...], Mapping[str, tuple[int, ...]], tuple[int, ...]]
LAYERS: Mapping[str, Layer] = {
    "Dense": ({"units": 4}, (2, 3), {"kernel": (3, 4), "bias": (4,)}, (2, 4)),
    "Conv2D": ({"filters": 2, "kernel_size": 2}, (2, 4, 4, 3), {"kernel": (2, 2, 3, 2), "bias": (2,)}, (2, 3, 3, 2)),
    "LayerNormalization": ({}, (2, 4), {"gamma": (4,), "beta": (4,)}, (2, 4)),
    "LSTM": ({"units": 3}, (2, 4, 3), {"kernel": (3, 12), "recurrent_kernel": (3, 12), "bias": (12,)}, (2, 3)),
}


def item(name: str, rng: np.random.Generator) -> dict[str, Any]:
    """One case of a layer with values of its own."""
    arguments, shape, weights, output = LAYERS[name]

    def draw(size: tuple[int, ...]) -> Any:
        return rng.standard_normal(size).astype(np.float32)

    return {
        "subject": f"keras.layers.{name}",
        "arguments": dict(arguments),
        "inputs": draw(shape),
        "weights": [[each, draw(size)] for each, size in weights.items()],
        "cotangents": [draw(output)],
    }


def rate(peer: Peer, name: str) -> float:
    """Examples per second.

    Raises:
        DlcheckError: the peer does not run the layer.
    """
    rng = np.random.default_rng(0)
    answers(peer, [item(name, rng) for _ in range(WARM_UP)])
    items = [item(name, rng) for _ in range(EXAMPLES)]
    start = time.perf_counter()
    found = answers(peer, items)
    seconds = time.perf_counter() - start
    wrong = [each for each in found if not each.differentiated]
    if wrong:
        raise DlcheckError(f"{peer.environment.name}: {name}: {wrong[0].outcome} {wrong[0].message}")
    return len(found) / seconds


def echo_ms(peer: Peer) -> float:
    """The median time of an echo of a small array."""
    taken = []
    for _ in range(ECHOES):
        start = time.perf_counter()
        peer.ask("echo", np.zeros(3))
        taken.append(time.perf_counter() - start)
    return 1000 * statistics.median(taken)


def here() -> list[Environment]:
    """This interpreter, once for each framework that it has."""
    python = Path(sys.executable)
    return [
        Environment(name, python, backend=name, interpreter=examine(name, python, {}))
        for name in ("tensorflow", "jax", "torch")
        if installed(name)
    ]


def main(names: Sequence[str]) -> None:
    """Prints the table."""
    root = project_root(Path.cwd())
    environments = [find(name, root) for name in names] or here()
    print("| peer | echo, ms | framework's import, s | " + " | ".join(f"{name}, examples/s" for name in LAYERS) + " |")  # noqa: T201 - a script
    print("|---|---|---|" + "---|" * len(LAYERS))  # noqa: T201 - a script
    for environment in environments:
        peer = Peer(environment)
        echo = echo_ms(peer)
        start = time.perf_counter()
        peer.ask("versions")
        loading = time.perf_counter() - start
        rates = " | ".join(f"{rate(peer, name):.0f}" for name in LAYERS)
        print(f"| {environment.told()} | {echo:.2f} | {loading:.1f} | {rates} |", flush=True)  # noqa: T201 - a script
        peer.close()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except DlcheckError as error:
        sys.exit(f"error: {error}")
