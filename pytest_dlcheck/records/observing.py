"""What a record holds of one case of a layer, in the process of the product: runs it, and packs what came of it.

Imports NumPy and the light part of this package only, since the product's environment need not have our dependencies.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.cases.case import Case, Tensor, map_tensors, tensors
from pytest_dlcheck.observe.layer_observation import Outcome
from pytest_dlcheck.observe.layer_runner import LayerRunner, remembered, takes_training
from pytest_dlcheck.observe.nests import leaves_of, structure_of
from pytest_dlcheck.records.arrays import pack
from pytest_dlcheck.records.keras2 import Keras2Runner
from pytest_dlcheck.records.names import LACKS, MOVES, SEED, raised, unnumbered
from pytest_dlcheck.records.observing_gradients import layer_gradients
from pytest_dlcheck.subjects.spec import LayerSpec
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, moved_start

__all__ = ["observe_layer", "parameters_of"]

Array = NDArray[Any]
Seen = dict[str, Any]


def parameters_of(kind: Any) -> dict[str, str | None]:
    """The parameters of a class or function, each with its default as text; None where there is none."""
    try:
        found = inspect.signature(kind).parameters
    except (TypeError, ValueError):  # builtins have none
        return {}
    return {name: _default(each) for name, each in found.items()}


def _default(parameter: inspect.Parameter) -> str | None:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
    if parameter.default is parameter.empty:
        return None
    text = repr(parameter.default)
    return type(parameter.default).__name__ if "0x" in text or "<" in text else text


def observe_layer(case: Case, backend: Backend, *, gradients: bool) -> Seen:
    """A layer's case: what a record holds of it.

    Args:
        case: to be run.
        backend: loaded.
        gradients: whether they are looked at, which takes a layer of its own.
    """
    keras2 = str(backend.keras.__version__).startswith("2.")
    kind = getattr(backend.keras.layers, case.name, None)
    taken = parameters_of(kind)
    gone = [name for name in case.arguments if name not in taken]
    if gone and "**" not in taken.values():
        return {"status": "unsupported", "why": f"{case.name} takes no {', '.join(gone)}"}
    spec = LayerSpec(case.name, lambda drawing: None)
    runner = (Keras2Look if keras2 else LayerLook)(spec, case, backend)
    with runner.settings(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seen = runner.look()
    if gradients and not keras2 and seen["status"] == "ran" and case.policy == "float32" and backend.trains:
        seen["arrays"] |= layer_gradients(case, backend, seen["errors"])
    return seen


class LayerLook(LayerRunner):
    """One case of a layer, looked at in every way that a record holds."""

    moving: Callable[[Array], Array] | None = None

    def array(self, tensor: Tensor) -> Array:
        found = super().array(tensor)
        moves = self.moving is not None and tensor.dtype == "float" and tensor.literal is None
        return self.moving(found) if moves and self.moving is not None else found

    def path(self, variable: Any) -> str:
        """A variable's name without the numbers that tell the layers of a process apart."""
        return unnumbered(str(variable.path))

    def dtype_of(self, variable: Any) -> str:
        return str(self.keras.backend.standardize_dtype(variable.dtype))

    def look(self) -> Seen:
        self.backend.seed(SEED)
        try:
            layer = self.layer
        except Exception as error:  # noqa: BLE001 - an error is an observation too
            said = raised(error, "building")
            lacking = said["kind"] in {"TypeError", "ValueError", "AttributeError"} and LACKS.search(said["message"])
            return {"status": "unsupported", "why": said["message"]} if lacking else {"status": "error", "error": said}
        variables = [*layer.weights, *remembered(layer).values()]
        names = _distinct([self.path(variable) for variable in layer.weights]) + list(remembered(layer))
        trainable = {id(variable) for variable in layer.trainable_weights}
        facts: dict[str, Any] = {
            "weights": [
                [name, self.dtype_of(variable), list(variable.shape), id(variable) in trainable]
                for name, variable in zip(names, variables, strict=True)
            ]
        }
        arrays = {
            f"initial {name}": pack(self.dtype_of(variable), self.value(variable).array)
            for name, variable in zip(names, variables, strict=True)
        }
        seen: Seen = {"status": "ran", "facts": facts, "arrays": arrays, "errors": {}}
        self.give_weights(layer, self.weight_values_given)
        before = self.state(layer)
        for mode in ("inference", "training") if takes_training(layer) else ("inference",):
            self._call(layer, mode, before, seen)
        self.set_state(layer, before)
        self._declared(layer, seen)
        self._config(layer, seen)
        return seen

    def _call(self, layer: Any, mode: str, before: Mapping[str, Array], seen: Seen) -> None:
        """The outputs, losses and changed variables of one mode, and how far they go when everything is moved a little."""
        try:
            plain = self._outcome(layer, mode, before)
        except Exception as error:  # noqa: BLE001 - an error is an observation too
            seen["errors"][mode] = raised(error, mode)
            return
        moved = []
        with contextlib.suppress(Exception):  # where it cannot be run moved, the plain run stands alone
            for number in range(MOVES if self._can_move() else 0):
                with self._moved(layer, before, number) as start:
                    moved.append(self._outcome(layer, mode, start))
        seen["facts"][f"{mode} structure"] = plain.structure
        for place, value in enumerate(plain.values):
            others = [each.values[place].array for each in moved if len(each.values) == len(plain.values)]
            seen["arrays"][f"{mode} output {place}"] = pack(value.dtype, value.array, others)
        for place, mask in enumerate(plain.masks):
            if mask is not None:
                seen["arrays"][f"{mode} mask {place}"] = pack("bool", mask)
        if plain.losses:
            losses = [np.asarray(each.losses) for each in (plain, *moved)]
            seen["arrays"][f"{mode} losses"] = pack("float32", losses[0].astype(np.float32), losses[1:])
        for name, after in plain.state.items():
            first = before.get(name)
            if first is None or "seed" in name or np.array_equal(first, after, equal_nan=after.dtype.kind == "f"):
                continue
            short = unnumbered(name)
            seen["arrays"][f"{mode} state {short}"] = pack(str(after.dtype), after, [each.state[name] for each in moved])

    def _outcome(self, layer: Any, mode: str, start: Mapping[str, Array]) -> Outcome:
        self.set_state(layer, start)
        self.backend.seed(SEED)
        random.seed(SEED)
        return self.call(layer, training=mode == "training")

    def _can_move(self) -> bool:
        floats = any(tensor.dtype == "float" for tensor in tensors([self.case.inputs, dict(self.case.call)]))
        return self.compute_dtype in UNIT_ROUNDOFF and (
            floats or any(each.dtype.kind == "f" for each in self.weight_values_given)
        )

    @contextlib.contextmanager
    def _moved(self, layer: Any, before: Mapping[str, Array], number: int) -> Iterator[Mapping[str, Array]]:
        """Inside, inputs are moved by two units of roundoff; gives a state whose weights are."""
        rng = np.random.default_rng([SEED, number])
        unit = UNIT_ROUNDOFF[self.compute_dtype]

        def move(array: Array) -> Array:
            return moved_start(array, unit, rng)

        self.moving = move
        try:
            yield {name: move(value) for name, value in before.items()}
        finally:
            self.moving = None

    def _declared(self, layer: Any, seen: Seen) -> None:
        """What the layer says of its outputs, the batch unknown, before it computes them."""

        def symbol(tensor: Tensor) -> Any:
            shape = (None, *tensor.shape[1:]) if tensor.shape else ()
            return self.keras.KerasTensor(shape, dtype=self.input_dtype(tensor))

        if any(tensor.dtype == "string" for tensor in tensors(self.case.inputs)):
            return
        try:
            keywords = map_tensors(symbol, dict(self.case.call)) | ({"training": False} if takes_training(layer) else {})
            outputs = layer(map_tensors(symbol, self.case.inputs), **keywords)
        except Exception as error:  # noqa: BLE001 - an error is an observation too
            seen["errors"]["declared"] = raised(error, "the symbolic call")
            return
        seen["facts"]["declared"] = [
            structure_of(outputs),
            *(
                [self.dtype_of(leaf), [None if size is None else int(size) for size in leaf.shape]]
                for leaf in leaves_of(outputs)
            ),
        ]

    def _config(self, layer: Any, seen: Seen) -> None:
        try:
            stored = json.loads(json.dumps(self.keras.saving.serialize_keras_object(layer)))
        except Exception as error:  # noqa: BLE001 - an error is an observation too
            seen["errors"]["config"] = raised(error, "get_config")
            return
        seen["facts"]["config"] = _flat(stored.get("config"))


class Keras2Look(Keras2Runner, LayerLook):
    """The same with Keras 2, which has no symbolic tensors of its own."""

    def look(self) -> Seen:
        try:
            return super().look()
        except Exception as error:  # noqa: BLE001 - weights that are no variables, and others that come with the first call
            return {"status": "unsupported", "why": f"Keras 2 keeps its weights otherwise: {raised(error, 'look')['message']}"}

    def _declared(self, layer: Any, seen: Seen) -> None:
        del layer, seen


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """A config as one level, `kernel_initializer.config.seed`; without names, which are numbered by the process."""
    if isinstance(value, dict) and value:
        found: dict[str, Any] = {}
        for key, each in value.items():
            if not (key == "name" and isinstance(each, str)):
                found |= _flat(each, f"{prefix}.{key}" if prefix else str(key))
        return found
    text = json.dumps(value)
    return {prefix: value if len(text) <= 100 else f"{text[:100]}..."}


def _distinct(names: Sequence[str]) -> list[str]:
    """Those that come twice with a number behind them."""
    return [name if names.count(name) == 1 else f"{name} #{names[:place].count(name)}" for place, name in enumerate(names)]
