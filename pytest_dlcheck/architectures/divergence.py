"""Where do two models part? The first layer whose output leaves its tolerance, and whether the error starts there."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends import present
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.observe.framework_values import value_of
from pytest_dlcheck.observe.nests import leaves_of, map_leaves
from pytest_dlcheck.properties.comparison import within
from pytest_dlcheck.properties.verdict import PASS
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, from_moved_starts, moved_start

__all__ = ["Divergence", "LayerCall", "first_divergence", "layer_calls"]

Array = NDArray[Any]

MOVES = 3


@dataclass(frozen=True)
class Divergence:
    """The first place at which two models part.

    Attributes:
        layer: its name in the first model; empty where no layer is to blame.
        other: its name in the second model.
        index: its place in the order in which the first model calls its layers, from 0.
        cause: `structure` (the models do not call the same layers), `weights` (the layer's weights differ), `starts` (given
            the same inputs and weights, the two layers give different outputs), `comes_in` (the inputs differ already, each
            of the earlier differences within its own tolerance), `between` (every layer agrees, and the outputs do not).
        message: what differs, in figures.
    """

    layer: str
    other: str
    index: int
    cause: str
    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer while a model ran: the framework's own tensors.

    Attributes:
        layer: the layer.
        arguments: positional ones.
        keywords: the others.
        outputs: what it gave.
        state: the values of its variables before the call.
    """

    layer: Any
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    outputs: Any
    state: tuple[Array, ...]

    @property
    def kind(self) -> str:
        return type(self.layer).__name__


def _units(model: Any, keras: Any) -> Iterator[Any]:
    """The layers of a model and of the models inside it; a layer that is made of others counts as one."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _units(layer, keras)
        elif not isinstance(layer, keras.layers.InputLayer):
            yield layer


def layer_calls(model: Any, inputs: Any, backend: Backend, *, training: bool = False) -> tuple[list[LayerCall], Any]:
    """Runs a model eagerly; gives each call of a layer, in order, and the model's outputs.

    Args:
        model: built; its variables are left as the run leaves them.
        inputs: the framework's tensors, as the model takes them.
        backend: the process's backend.
        training: the mode.
    """
    found: list[LayerCall] = []

    def watched(layer: Any, call: Any) -> Any:
        @functools.wraps(call)
        def run(*arguments: Any, **keywords: Any) -> Any:
            state = tuple(value_of(backend, variable).array for variable in layer.variables)
            outputs = call(*arguments, **keywords)
            found.append(LayerCall(layer, arguments, keywords, outputs, state))
            return outputs

        return run

    with contextlib.ExitStack() as stack:
        for layer in {id(layer): layer for layer in _units(model, backend.keras)}.values():
            # On the instance, past what Keras and PyTorch do when an attribute of a layer is set.
            object.__setattr__(layer, "call", watched(layer, layer.call))
            stack.callback(object.__delattr__, layer, "call")
        outputs = model(inputs, training=training)
    return found, outputs


def _paired(one: Sequence[LayerCall], other: Sequence[LayerCall]) -> list[tuple[LayerCall, LayerCall]] | None:
    """The calls of two models that stand for each other; None if they do not call the same layers.

    By name where both have the same names; else in order, where the classes agree; else each class on its own, since
    branches may run in another order.
    """
    keys: tuple[Any, ...] = (lambda call: call.layer.name, None, lambda call: call.kind)
    for key in keys:
        if key is None:
            if [call.kind for call in one] == [call.kind for call in other]:
                return list(zip(one, other, strict=True))
            continue
        places: dict[Any, list[LayerCall]] = {}
        for call in other:
            places.setdefault(key(call), []).append(call)
        if Counter(map(key, one)) == Counter(map(key, other)):
            return [(call, places[key(call)].pop(0)) for call in one]
    return None


class _Walk:
    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def arrays(self, nest: Any) -> list[Array]:
        return [value_of(self.backend, leaf).float64 for leaf in leaves_of(nest)]

    def dtype(self, outputs: Any) -> str:
        names = [value_of(self.backend, leaf).dtype for leaf in leaves_of(outputs)]
        return next((name for name in names if name in UNIT_ROUNDOFF), "float32")

    def again(self, call: LayerCall, arguments: Any, state: Sequence[Array]) -> list[Array]:
        """What a layer gives for other arguments or weights; its variables are left as they were."""
        variables = call.layer.variables
        before = [value_of(self.backend, variable).array for variable in variables]
        try:
            for variable, value in zip(variables, state, strict=True):
                variable.assign(value)
            return self.arrays(call.layer.call(*arguments, **call.keywords))
        finally:
            for variable, value in zip(variables, before, strict=True):
                variable.assign(value)

    def moved(self, call: LayerCall, unit: float) -> list[list[Array]]:
        """The outputs for inputs and weights moved by two units of roundoff."""
        rng = np.random.default_rng(0)

        def leaf(value: Any) -> Any:
            if not hasattr(value, "dtype") or "float" not in str(value.dtype):
                return value
            keras = self.backend.keras
            array = value_of(self.backend, value).array
            signs = self.backend.put(rng.choice((-1.0, 1.0), size=array.shape).astype("float32"))
            return value * keras.ops.cast(1 + 2 * unit * signs, keras.backend.standardize_dtype(value.dtype))

        found = []
        for _ in range(MOVES):
            state = [moved_start(value, unit, rng) for value in call.state]
            found.append(self.again(call, map_leaves(leaf, call.arguments), state))
        return found

    def differs(self, call: LayerCall, mine: Sequence[Array], theirs: Sequence[Array]) -> str | None:
        """How the other model's outputs of a layer leave the tolerance of this one's; None if they do not."""
        if [each.shape for each in mine] != [each.shape for each in theirs]:
            return f"shapes {[each.shape for each in theirs]} and not {[each.shape for each in mine]}"
        if all(np.array_equal(a, b, equal_nan=True) for a, b in zip(mine, theirs, strict=True)):
            return None
        dtype = self.dtype(call.outputs)
        unit = UNIT_ROUNDOFF[dtype]
        moved = self.moved(call, unit)
        for index, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            if not np.array_equal(np.isfinite(a), np.isfinite(b)):
                return f"{int((np.isfinite(a) != np.isfinite(b)).sum())} values are finite in one of the two only"
            finite = np.isfinite(a)
            runs = np.stack([np.where(np.isfinite(run[index]), run[index], a) for run in moved])[:, finite]
            if not finite.any():
                continue
            allowed = from_moved_starts(a[finite], runs, unit_roundoff=unit, scale=0.0)
            said = within("output", b[finite], allowed, dtype)
            if said.outcome != PASS:
                return said.message
        return None


def first_divergence(
    model_a: Any, model_b: Any, inputs: Any, *, training: bool = False, backend: Backend | None = None
) -> Divergence | None:
    """The first layer at which two models part, and whether the error starts there or came in.

    Both models run eagerly on the same inputs. Each layer's output in the one is compared with that of its counterpart in the
    other, within what the layer's own inputs and weights, moved by two units of roundoff, would change. The first that leaves
    this is run once more on the other model's inputs and weights: if it then agrees, the error came in with them.

    Args:
        model_a: a Keras model, built.
        model_b: the one to compare with it. Layers stand for each other by name where both models have the same names, else
            by their order and class.
        inputs: an array, or a list of them, as both models take them.
        training: the mode in which both run. The models' variables are put back afterwards.
        backend: by default the one that Keras runs on in this process.

    Returns:
        None if the models agree, layer by layer and in their outputs.
    """
    backend = backend or present()
    backend.load()
    walk = _Walk(backend)
    tensors = backend.put_all(inputs)
    before = [[value_of(backend, variable).array for variable in model.variables] for model in (model_a, model_b)]
    try:
        calls_a, outputs_a = layer_calls(model_a, tensors, backend, training=training)
        calls_b, outputs_b = layer_calls(model_b, tensors, backend, training=training)
        return _first(walk, calls_a, calls_b, outputs_a, outputs_b)
    finally:
        for model, values in zip((model_a, model_b), before, strict=True):
            for variable, value in zip(model.variables, values, strict=True):
                variable.assign(value)


def _first(
    walk: _Walk, calls_a: list[LayerCall], calls_b: list[LayerCall], outputs_a: Any, outputs_b: Any
) -> Divergence | None:
    pairs = _paired(calls_a, calls_b)
    if pairs is None:
        return _structure(calls_a, calls_b)
    for index, (one, other) in enumerate(pairs):
        said = walk.differs(one, walk.arrays(one.outputs), walk.arrays(other.outputs))
        if said is not None:
            return _blamed(walk, index, one, other, said)
    mine, theirs = walk.arrays(outputs_a), walk.arrays(outputs_b)
    last = pairs[-1][0] if pairs else None
    said = None
    if [each.shape for each in mine] != [each.shape for each in theirs]:
        said = f"shapes {[each.shape for each in mine]} and {[each.shape for each in theirs]}"
    elif last is not None and len(mine) == len(theirs):
        # Every layer agreed within its tolerance, so what the outputs may be apart is what layers may be, added up.
        gap = max((float(np.max(np.abs(a - b), initial=0.0)) for a, b in zip(mine, theirs, strict=True)), default=0.0)
        layers = [
            float(np.max(np.abs(a - b), initial=0.0))
            for one, other in pairs
            for a, b in zip(walk.arrays(one.outputs), walk.arrays(other.outputs), strict=True)
        ]
        size = max((float(np.max(np.abs(a), initial=0.0)) for a in mine), default=0.0)
        allowed = sum(layers) + 64 * UNIT_ROUNDOFF[walk.dtype(outputs_a)] * size
        said = f"{gap:.3g} apart, and {allowed:.3g} is what the layers' own differences allow" if gap > allowed else None
    if said is None:
        return None
    return Divergence("", "", len(pairs), "between", f"every layer agrees, and the models' outputs do not: {said}")


def _structure(calls_a: Sequence[LayerCall], calls_b: Sequence[LayerCall]) -> Divergence:
    kinds_a, kinds_b = [call.kind for call in calls_a], [call.kind for call in calls_b]
    index = next((i for i, (a, b) in enumerate(zip(kinds_a, kinds_b, strict=False)) if a != b), min(len(kinds_a), len(kinds_b)))

    def at(calls: Sequence[LayerCall]) -> str:
        return f"{calls[index].layer.name} ({calls[index].kind})" if index < len(calls) else "nothing"

    return Divergence(
        calls_a[index].layer.name if index < len(calls_a) else "",
        calls_b[index].layer.name if index < len(calls_b) else "",
        index,
        "structure",
        f"the models do not call the same layers ({len(calls_a)} and {len(calls_b)} calls): "
        f"call {index} is of {at(calls_a)} in the one, and of {at(calls_b)} in the other",
    )


def _blamed(walk: _Walk, index: int, one: LayerCall, other: LayerCall, said: str) -> Divergence:
    names = one.layer.name, other.layer.name
    where = f"{names[0]} ({one.kind}), call {index}" + (f", which is {names[1]} in the other" if names[0] != names[1] else "")
    apart = [
        str(variable.path).rpartition("/")[2]
        for variable, a, b in zip(one.layer.variables, one.state, other.state, strict=False)
        if a.shape != b.shape or not np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    ]
    same_inputs = [x.shape for x in walk.arrays(one.arguments)] == [x.shape for x in walk.arrays(other.arguments)] and all(
        np.array_equal(a, b, equal_nan=True)
        for a, b in zip(walk.arrays(one.arguments), walk.arrays(other.arguments), strict=True)
    )
    state = other.state if [each.shape for each in one.state] == [each.shape for each in other.state] else one.state
    again = walk.differs(other, walk.arrays(other.outputs), walk.again(one, other.arguments, state))
    if again is not None:
        return Divergence(
            *names, index, "starts", f"the error starts in {where}: given the same, it gives other values\n{again}"
        )
    if apart:
        return Divergence(*names, index, "weights", f"the weights of {where} differ: {', '.join(apart)}\n{said}")
    if same_inputs:
        return Divergence(*names, index, "starts", f"the error starts in {where}\n{said}")
    return Divergence(
        *names,
        index,
        "comes_in",
        f"the outputs part in {where}, and the error came in with its inputs: on the other model's inputs it gives the other "
        f"model's outputs\n{said}",
    )
