"""Goes on with training in a process of its own, from the file that another process left in the middle.

`python -m pytest_dlcheck.observe.resume_elsewhere ORDER` reads the order, a pickle, and writes what it saw beside it.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pytest_dlcheck.backends import present
from pytest_dlcheck.models.custom import registered
from pytest_dlcheck.models.tiny import Arrays, TinySpec
from pytest_dlcheck.observe.layer_observation import Raised
from pytest_dlcheck.observe.life_cycle import SAVED_AFTER, LifeCycleObserver, attempt, generators, hold, train
from pytest_dlcheck.observe.life_cycle_observations import Held, Resumed, Run

__all__ = ["Order", "resume", "resumed_elsewhere"]

LIMIT_S = 300


@dataclass(frozen=True)
class Order:
    """What the other process is to do.

    Attributes:
        checkpoint: the file that `ModelCheckpoint` left.
        spec: of the model, for its data.
        seed: of the data.
        states: of the model's random generators, which the file does not hold.
        probe: inputs that the outputs are compared for.
    """

    checkpoint: Path
    spec: TinySpec
    seed: int
    states: tuple[NDArray[Any], ...]
    probe: Arrays


def resume(order: Order) -> tuple[Held, Run]:
    """Loads the file and trains to the last epoch; gives what came back from the file, and what came of it."""
    backend = present()
    backend.load()
    registered()
    with backend.alone():
        # Nothing but the file: seeds of the process that wrote it are not known here.
        model = backend.keras.models.load_model(order.checkpoint)
        for variable, state in zip(generators(model), order.states, strict=True):
            variable.assign(state)
        start = hold(backend, model, order.probe)
        return start, train(backend, model, order.spec, order.seed, begun=SAVED_AFTER, x=order.probe)


def resumed_elsewhere(life: LifeCycleObserver) -> Resumed | Raised:
    """Training gone on with by a new Python process, which has the file alone."""
    uninterrupted, states = life.uninterrupted

    def observe() -> Resumed:
        order = life.folder / "order.pickle"
        order.write_bytes(pickle.dumps(Order(life.checkpoint, life.spec, life.seed, tuple(states), life.x)))
        command = [sys.executable, "-m", __spec__.name, str(order)]
        environment = {**os.environ, "KERAS_BACKEND": life.backend.name}
        done = subprocess.run(  # noqa: S603 - this Python, this module
            command, check=False, capture_output=True, text=True, timeout=LIMIT_S, env=environment
        )
        if done.returncode != 0:
            raise RuntimeError((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
        start, run = pickle.loads(order.with_suffix(".done").read_bytes())  # noqa: S301 - written by the process above
        return Resumed("in another process", SAVED_AFTER, uninterrupted, run, start)

    return attempt("resuming in another process", observe)


def main(path: Path) -> None:
    """Carries an order out."""
    order: Order = pickle.loads(path.read_bytes())  # noqa: S301 - written by the process that started this one
    path.with_suffix(".done").write_bytes(pickle.dumps(resume(order)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
