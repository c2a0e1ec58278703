"""Recurrent layers in float64: a plain loop over the steps of a sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.references.layers.recurrent_cells import (
    Cell,
    Factors,
    States,
    Step,
    WeightsInOrder,
    cell_of,
    convolved,
    product,
    remembered,
)
from pytest_dlcheck.subjects.spec import Call, Expected

__all__ = [
    "Cell",
    "Factors",
    "Run",
    "Step",
    "WeightsInOrder",
    "cell_of",
    "cell_reference",
    "convolved",
    "expected",
    "initial_of",
    "layer_of",
    "layer_reference",
    "mask_of",
    "product",
    "remembered",
    "run",
]

Array = NDArray[Any]


@dataclass(frozen=True)
class Run:
    """What came of a sequence: the output after each step, in the order in which they were taken, the last one, the states."""

    outputs: Array
    last: Array
    states: States


def run(
    cell: Cell, x: Array, initial: Sequence[Array] | None, mask: Array | None, *, go_backwards: bool, zero_masked: bool = False
) -> Run:
    """Takes one step after the other (https://keras.io/api/layers/recurrent_layers/rnn/).

    A step that the mask leaves out changes no state and repeats the output before it, zeros if there is none; with
    `zero_masked` its place in the sequence of outputs is zero instead.
    """
    states = list(cell.zeros(x[:, 0])) if initial is None else list(initial)
    order = range(x.shape[1])[::-1] if go_backwards else range(x.shape[1])
    outputs: list[Array] = []
    last: Array | None = None
    for time in order:
        output, new = cell.step(x[:, time], states)
        last = np.zeros_like(output) if last is None else last
        if mask is None:
            last, states = output, new
            outputs.append(output)
            continue
        keep = mask[:, time].astype(bool)
        last = _where(keep, output, last)
        states = [_where(keep, one, other) for one, other in zip(new, states, strict=True)]
        outputs.append(_where(keep, output, np.zeros_like(output)) if zero_masked else last)
    assert last is not None
    return Run(np.stack(outputs, axis=1), last, states)


def _where(keep: Array, one: Array, other: Array) -> Array:
    return np.where(keep.reshape((-1, *(1,) * (one.ndim - 1))), one, other)


def layer_of(
    kind: str,
    arguments: Mapping[str, Any],
    weights: WeightsInOrder,
    x: Array,
    *,
    initial: Sequence[Array] | None = None,
    mask: Array | None = None,
    channels_first: bool = False,
    zero_masked: bool | None = None,
) -> Run:
    """A recurrent layer's run over a batch of sequences."""
    sequences = arguments.get("return_sequences", False)
    zero = arguments.get("zero_output_for_mask", False) if zero_masked is None else zero_masked
    return run(
        cell_of(kind, arguments, weights, channels_first),
        x,
        initial,
        mask,
        go_backwards=arguments.get("go_backwards", False),
        zero_masked=bool(zero and sequences),
    )


def mask_of(call: Call) -> tuple[Array | None, bool]:
    """The mask of the steps, and whether it came attached to the input."""
    if call.keywords.get("mask") is not None:
        return call.keywords["mask"], False
    attached = call.masks[0] if call.masks else None
    return attached, True


def initial_of(call: Call) -> Sequence[Array] | None:
    """The states to begin with, flattened: those of the call, else those that a stateful layer holds; None for zeros."""
    given = call.keywords.get("initial_state")
    if given is not None:
        return list(_flat(given))
    held = remembered(call.weights)
    return list(held.values()) or None


def _flat(nest: Any) -> Iterator[Array]:
    if isinstance(nest, (list, tuple)):
        for item in nest:
            yield from _flat(item)
    else:
        yield nest


def expected(call: Call, found: Run) -> Expected:
    """The outputs of a layer that is no wrapper, the mask that goes with them, and what it remembers."""
    mask, attached = mask_of(call)
    outputs = [found.outputs if call["return_sequences"] else found.last]
    if call["return_state"]:
        outputs += found.states
    carried = mask if call["return_sequences"] else None
    if carried is not None and call["go_backwards"]:
        carried = carried[:, ::-1]  # the outputs are those of the reversed sequence
    state = dict(zip(remembered(call.weights), found.states, strict=False))
    return Expected(outputs, mask=carried, checks_mask=attached, state=state)


def layer_reference(kind: str) -> Callable[[Call], Expected]:
    """The reference of a recurrent layer: the formula of its cell, step by step."""

    def reference(call: Call) -> Expected:
        """See the cell's formula and `run`."""
        mask, _ = mask_of(call)
        with np.errstate(over="ignore"):
            found = layer_of(
                kind,
                call.arguments,
                WeightsInOrder(call.weights, call.rounded),
                call.inputs,
                initial=initial_of(call),
                mask=mask,
                channels_first=call.channels_first,
            )
        return expected(call, found)

    return reference


def cell_reference(kind: str) -> Callable[[Call], Expected]:
    """The reference of a cell: one step; the output, and the next states."""

    def reference(call: Call) -> Expected:
        """See the cell's formula."""
        cell = cell_of(kind, call.arguments, WeightsInOrder(call.weights, call.rounded))
        with np.errstate(over="ignore"):
            output, states = cell.step(call.inputs, list(_flat(call.keywords["states"])))
        return Expected([output, *states])

    return reference
