"""How recurrent layers, their cells and what wraps them are drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pytest_dlcheck.cases.case import Build, Name, Tensor
from pytest_dlcheck.strategies.draw import Draw

__all__ = [
    "GATES",
    "KINDS",
    "built",
    "cell_activation",
    "cell_arguments",
    "cells",
    "dropout",
    "grows",
    "initial_state",
    "layer_arguments",
    "masked",
    "rnn_arguments",
    "sequence_arguments",
    "sequences",
    "stacked_states",
    "state",
    "states_of",
    "weights_of_cell",
]

KINDS = ("SimpleRNN", "LSTM", "GRU")

GATES: tuple[Any, ...] = (
    "hard_sigmoid",
    "tanh",
    Name("keras.activations.sigmoid"),
)
UNBOUNDED: tuple[Any, ...] = (None, "relu")
"""Gates that multiply what they let through without end: for short sequences of small values."""


def built(d: Draw, path: str, draw: Callable[[Draw], None]) -> Build:
    """An object inside the layer, its arguments drawn as the layer's own are; it computes in the layer's policy."""
    outer, world = d.arguments, d.world
    d.arguments, d.world = {}, dataclasses.replace(world, parameters=None)
    draw(d)
    if d.policy not in {"float32", "none"}:
        d.arguments["dtype"] = d.policy
    inner, d.arguments, d.world = d.arguments, outer, world
    return Build(path, inner)


# Arguments.


def cell_activation(d: Draw, extra: Sequence[Any]) -> None:
    """An activation; a layer for one computes in the global policy, and so is for that policy alone."""
    given = d.activation(extra=extra)
    if isinstance(given, Build) and d.policy != "float32":
        del d.arguments["activation"]


def weights_of_cell(d: Draw) -> None:
    """What is said of a bias is said where there is one."""
    used = d.option("use_bias", [False, True], default=True)
    d.weight_options("kernel", "recurrent", *(("bias",) if used else ()))
    if d.policy in {"float16", "bfloat16"} and not d.flag(4):
        # The default one, Orthogonal, works in half precision nowhere, and would leave nothing to be seen.
        d.arguments.setdefault("recurrent_initializer", "he_normal")


def dropout(d: Draw) -> None:
    """Rates, and a seed where something is random."""
    rates = d.option("dropout", [0.5, 0.2], one_in=5), d.option("recurrent_dropout", [0.25, 0.5], one_in=6)
    if any(rates):
        d.seed()


def cell_arguments(d: Draw, kind: str, units: int | None = None) -> None:
    """What cells take, and the layers of their kind."""
    d.set("units", d.size() if units is None else units)
    cell_activation(d, extra=[None, "softmax", "selu"])
    if kind != "SimpleRNN":
        d.option("recurrent_activation", (*GATES, *UNBOUNDED))
    weights_of_cell(d)
    if kind == "LSTM":
        d.option("unit_forget_bias", [False, True])
    if kind == "GRU":
        d.option("reset_after", [False, True])
    dropout(d)
    if d.flag(6):
        d.weights_seed = None  # what a layer begins with has formulas too


def sequence_arguments(d: Draw, *, unrolls: bool = True) -> None:
    """What every layer over sequences takes."""
    d.option("return_sequences", [True], one_in=2)
    d.option("return_state", [True])
    d.option("go_backwards", [True])
    d.option("stateful", [True], one_in=6)
    if unrolls:
        d.option("unroll", [True])


def layer_arguments(d: Draw, kind: str, units: int | None = None) -> None:
    """A whole layer's arguments."""
    cell_arguments(d, kind, units)
    d.option("activity_regularizer", ["l2"], one_in=6)
    sequence_arguments(d)


# Inputs.


def grows(value: Any) -> bool:
    """Whether something in these arguments multiplies without end from step to step."""
    if isinstance(value, Build):
        return grows(value.arguments)
    if isinstance(value, Mapping):
        return ("recurrent_activation" in value and value["recurrent_activation"] in UNBOUNDED) or any(
            grows(each) for each in value.values()
        )
    return isinstance(value, (list, tuple)) and any(grows(each) for each in value)


def sequences(d: Draw) -> None:
    """A batch of sequences."""
    batch, steps, features = d.shape(3)
    if grows(d.arguments):
        d.inputs = d.floats((batch, min(steps, 2), features), values=["normal", "sparse", "tiny"])
    else:
        d.inputs = d.floats((batch, steps, features))


def state(d: Draw, *shape: int) -> Tensor:
    """States of the size that a cell's own have."""
    return d.floats(shape, values=["normal", "tiny", "zeros"])


def initial_state(d: Draw, states: Callable[[], Any]) -> None:
    """The states to begin with, given by keyword one time in four."""
    if d.flag(4):
        d.call["initial_state"] = states()


def masked(d: Draw, *, surely: bool = False) -> None:
    """A mask over the steps, one time in two: attached, or as an argument of the call; padded at the end, or with holes."""
    how = d.choice(["attached", "keyword"] if surely else ["no", "no", "attached", "keyword"])
    if how == "no":
        return
    batch, steps = d.inputs.shape[:2]
    mask = d.padding(batch, steps) if d.flag() else d.bools((batch, steps))
    if how == "attached":
        d.masks = (mask,)
    else:
        d.call["mask"] = mask  # after `initial_state`: keywords are called in the order of their names


def states_of(d: Draw, kind: str, batch: int, units: int) -> Any:
    """A cell's states: a list, or, where there is only one, that one alone."""
    if kind == "LSTM":
        return [state(d, batch, units), state(d, batch, units)]
    one = state(d, batch, units)
    return [one] if d.flag() else one


def cells(d: Draw, most: int) -> list[Build]:
    """Cells to be stacked."""
    found = []
    for _ in range(d.integer(1, most)):
        kind = d.choice(KINDS)
        found.append(built(d, f"keras.layers.{kind}Cell", partial(cell_arguments, kind=kind)))
    return found


def stacked_states(d: Draw, stack: list[Build], batch: int) -> list[Any]:
    """The states of each cell, those of one cell in a list."""
    found = []
    for cell in stack:
        count = 2 if cell.path.endswith("LSTMCell") else 1
        found.append([state(d, batch, cell.arguments["units"]) for _ in range(count)])
    return found


def rnn_arguments(d: Draw) -> list[Build]:
    """The cell of `RNN`: one, a list, or a stack made of one; returns what is stacked."""
    stack = cells(d, 2)
    how = d.choice(["cell", "list", "stack"]) if len(stack) == 1 else d.choice(["list", "stack"])
    if how == "cell":
        d.set("cell", stack[0])
    elif how == "list":
        d.set("cell", stack)
    else:
        d.set("cell", built(d, "keras.layers.StackedRNNCells", lambda d: d.arguments.update(cells=stack)))
    sequence_arguments(d)
    d.option("zero_output_for_mask", [True])
    return stack
