"""What is done to a built model: a part cut out of its middle, one layer frozen and thawed, a call inside a user's function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.architectures.architecture import Architecture
from pytest_dlcheck.architectures.divergence import layer_calls
from pytest_dlcheck.architectures.listing import entries, listing_of
from pytest_dlcheck.architectures.observation import Middle, Thawed
from pytest_dlcheck.architectures.rounding import MOVES, equal
from pytest_dlcheck.architectures.watcher import Watcher
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.observe.layer_observation import Value
from pytest_dlcheck.observe.nests import leaves_of
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, moved_start

__all__ = ["chosen_middle", "cut_middle", "middles", "run_inside", "thaw"]

Array = NDArray[Any]

REMEMBERS = frozenset({"BatchNormalization", "SpectralNormalization"})
"""Layers that compute something else when they are frozen, as documented."""


def middles(architecture: Architecture) -> list[tuple[tuple[int, ...], int]]:
    """The parts that can be cut out of a graph: the tensors that each begins with, some of them from inside, and where it ends.

    A tensor that it begins or ends with comes from a layer that is called once, so that it is that layer's `output`, and is no
    nested model, whose `output` lies in a graph of its own.
    """
    count, nodes = len(architecture.inputs), architecture.nodes

    def has_output(tensor: int) -> bool:
        if tensor < count:
            return True
        layer = nodes[tensor - count].layer
        nested = isinstance(architecture.layers[layer], Architecture)
        return not nested and sum(node.layer == layer for node in nodes) == 1

    found = []
    for first in range(1, len(nodes)):
        for last in range(first, len(nodes)):
            begins = _begins(architecture, first, count + last)
            inside = any(tensor >= count for tensor in begins)
            if inside and has_output(count + last) and all(map(has_output, begins)):
                found.append((begins, count + last))
    return found


def chosen_middle(architecture: Architecture) -> tuple[tuple[int, ...], int] | None:
    """The part that the architecture's seed chooses among them; None if there is none."""
    options = middles(architecture)
    return options[(7 * architecture.seed + 3) % len(options)] if options else None


def _part(architecture: Architecture, first: int, end: int) -> set[int]:
    """The tensors from a node on that a tensor depends on, itself among them."""
    count, part, open_ends = len(architecture.inputs), set[int](), [end]
    while open_ends:
        tensor = open_ends.pop()
        if tensor >= count + first and tensor not in part:
            part.add(tensor)
            open_ends.extend(architecture.nodes[tensor - count].inputs)
    return part


def _begins(architecture: Architecture, first: int, end: int) -> tuple[int, ...]:
    """The tensors from before a node that the part from there to a tensor reads."""
    part = _part(architecture, first, end)
    count = len(architecture.inputs)
    return tuple(sorted({each for tensor in part for each in architecture.nodes[tensor - count].inputs} - part))


def _between(architecture: Architecture, begins: Sequence[int], end: int) -> set[int]:
    """The layers that are called between some tensors and another."""
    count, layers, open_ends = len(architecture.inputs), set[int](), [end]
    while open_ends:
        tensor = open_ends.pop()
        if tensor not in begins:
            layers.add(architecture.nodes[tensor - count].layer)
            open_ends.extend(architecture.nodes[tensor - count].inputs)
    return layers


def cut_middle(architecture: Architecture, watcher: Watcher, backend: Backend) -> Middle | None:
    """Cuts a part out of the middle of a functional model, which the architecture's seed chooses; None if there is none.

    Args:
        architecture: of the model.
        watcher: of the model, in the state that it is to be run in.
        backend: the process's backend.
    """
    chosen = chosen_middle(architecture)
    if chosen is None:
        return None
    begins, end = chosen
    model, count = watcher.model, len(architecture.inputs)
    given = [backend.put(array) for array in watcher.inputs]
    calls, _ = layer_calls(model, given if len(given) > 1 else given[0], backend)
    outputs = {call.layer.name: call.outputs for call in calls}

    def name(tensor: int) -> str:
        return f"l{architecture.nodes[tensor - count].layer}"

    symbols = [model.inputs[each] if each < count else model.get_layer(name(each)).output for each in (*begins, end)]
    values = [given[each] if each < count else outputs[name(each)] for each in begins]
    before = model.to_json()
    part = backend.keras.Model(symbols[:-1] if len(begins) > 1 else symbols[0], symbols[-1])
    changed = _changed(model, before)
    again = type(part).from_config(part.get_config())
    again.set_weights(part.get_weights())
    taken: Any = values if len(begins) > 1 else values[0]
    runs = [tuple(watcher.value(leaf) for leaf in leaves_of(each(taken, training=False))) for each in (part, again)]
    layers = [watcher.layers[f"l{index}"] for index in sorted(_between(architecture, begins, end))]
    return Middle(
        f"from {', '.join(name(each) if each >= count else f'x{each}' for each in begins)} to {name(end)}",
        tuple(watcher.value(leaf) for leaf in leaves_of(outputs[name(end)])),
        runs[0],
        runs[1],
        entries(weight for layer in layers for weight in layer.weights),
        (int(part.count_params()), int(again.count_params())),
        changed,
    )


def _changed(model: Any, before: str) -> str:
    try:
        return "" if model.to_json() == before else "is another"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the framework did
        return f"cannot be made any more: {type(error).__name__}: {error}"


def run_inside(watcher: Watcher, backend: Backend, make: Callable[..., Any]) -> list[Value] | None:
    """The outputs of a model that is called inside a function of the user's; None if the framework has none of that kind.

    Args:
        watcher: of the model, in the state that it is to be run in.
        backend: the process's backend.
        make: gives that function from the model and what calls it: `backend.graph`, `backend.compiled`.
    """
    several = len(watcher.inputs) > 1

    def invoke(call: Callable[..., Any], tensors: Sequence[Any]) -> Any:
        return call(list(tensors) if several else tensors[0], training=False)

    function = make(watcher.model, invoke)
    if function is None:
        return None
    return [watcher.value(leaf) for leaf in leaves_of(function([backend.put(array) for array in watcher.inputs]))]


def thaw(watcher: Watcher, state: Mapping[str, Array], like: Sequence[Value], dtype: str) -> Thawed | None:
    """One step of training as the model is, with one layer frozen, and with that layer thawed again.

    Args:
        watcher: of the model, which is left with another optimizer; its seed chooses the layer.
        state: that each of the steps starts from.
        like: the outputs, of whose shapes the targets are.
        dtype: that the model computes in.

    Returns:
        None where no layer has trainable weights beside which there are others.
    """
    weights = {id(variable): name for name, variable in watcher.variables.items()}

    def trainable(part: Any) -> tuple[str, ...]:
        return tuple(weights[id(weight)] for weight in part.trainable_weights)

    before = trainable(watcher.model)
    able = [name for name, layer in watcher.layers.items() if layer.trainable_weights and set(before) - set(trainable(layer))]
    if not able:
        return None
    name = able[watcher.seed % len(able)]
    layer = watcher.layers[name]
    own = trainable(layer)

    def step(of: Watcher, start: Mapping[str, Array]) -> dict[str, Array]:
        of.set_state(start)
        of.train(like, steps=1)
        after = of.state()
        return {each: after[each] for each in before}

    def anew() -> Watcher:  # compiled anew, as what is trainable changes
        return Watcher(watcher.model, watcher.layers, watcher.inputs, watcher.backend, watcher.seed)

    watcher.set_state(state)
    state = watcher.state()  # as the weights' dtype holds it
    whole = step(watcher, state)
    layer.trainable = False
    try:
        frozen_watcher = anew()
        without = step(frozen_watcher, state)
        listing, kept = listing_of(watcher.model), trainable(watcher.model)
    finally:
        layer.trainable = True
    thawed_watcher = anew()
    back = step(thawed_watcher, state)
    same = all(equal(without[each], whole[each]) for each in kept if each in whole)
    moved: list[dict[str, Array]] = []
    if not same or not all(equal(back[each], whole[each]) for each in before):
        unit, rng, inputs = UNIT_ROUNDOFF[dtype], np.random.default_rng(0), watcher.inputs
        for _ in range(MOVES):
            thawed_watcher.put([moved_start(array, unit, rng) for array in inputs])
            moved.append(step(thawed_watcher, {each: moved_start(value, unit, rng) for each, value in state.items()}))
        thawed_watcher.set_state(state)
    kinds = {type(part).__name__ for part in layer._flatten_layers()}  # noqa: SLF001 - layers inside layers have no other way
    start = {each: state[each] for each in before}
    after = trainable(watcher.model)
    return Thawed(name, own, before, kept, after, listing, start, whole, without, back, moved, not kinds & REMEMBERS)
