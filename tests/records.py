"""Records to test with, made by hand: one layer, one case, and ways of changing one thing in it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from pytest_dlcheck.cases.case import Case, Tensor, plain
from pytest_dlcheck.records.arrays import pack
from pytest_dlcheck.records.record import Record

PRODUCT = {"backend": "torch", "torch": "2.13.0", "keras": "3.14.1", "python": "3.11.7"}

CASE = Case("keras.layers.Dense", {"units": 3}, Tensor((2, 4)))

OUTPUT = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


def moved(array: Any) -> list[Any]:
    """What a well-behaved layer gives when its inputs are moved by two units of roundoff."""
    return [(array * (1 + 2.0**-22)).astype(array.dtype)]


def seen(**changes: Any) -> dict[str, Any]:
    return {
        "status": "ran",
        "facts": {
            "inference structure": "*",
            "training structure": "*",
            "weights": [["dense/kernel", "float32", [4, 3], True], ["dense/bias", "float32", [3], True]],
            "declared": ["*", ["float32", [None, 3]]],
            "config": {"units": 3, "kernel_initializer.config.seed": None},
        },
        "arrays": {
            "initial dense/kernel": pack("float32", np.full((4, 3), 0.25, np.float32) * np.arange(3, dtype=np.float32)),
            "initial dense/bias": pack("float32", np.zeros(3, np.float32)),
            "inference output 0": pack("float32", OUTPUT, moved(OUTPUT)),
            "training output 0": pack("float32", OUTPUT, moved(OUTPUT)),
            "gradient dense/kernel": pack("float64", np.arange(12, dtype=np.float32).reshape(4, 3)),
        },
        "errors": {},
        **changes,
    }


def a_record(observed: dict[str, Any] | None = None, *, keras: str = "3.14.1", **parameters: str | None) -> Record:
    """A record of one layer with one case."""
    taken = {"units": None, "activation": "None", "use_bias": "True", "kwargs": "**"} | parameters
    cases = [{"case": plain(CASE), "gradients": True, "seen": observed or seen()}]
    subject = {"parameters": taken, "cases": cases}
    return Record({**PRODUCT, "keras": keras}, {"seed": 0, "profile": "smoke", "suite": "0"}, {CASE.subject: subject})


def changed(change: Callable[[dict[str, Any]], Any]) -> Record:
    """The same record, but for what a function changes of what was seen."""
    observed = copy.deepcopy(seen())
    change(observed)
    return a_record(observed, keras="3.15.1")
