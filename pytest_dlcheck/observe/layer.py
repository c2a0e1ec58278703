"""Observes one case of a layer, a part at a time."""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.backends.keras_2 import KerasTwo, path_of
from pytest_dlcheck.backends.wide_floats import wide_floats
from pytest_dlcheck.cases.case import Case, Tensor, map_tensors, tensors, with_values
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.observe.differences import differences
from pytest_dlcheck.observe.layer_observation import Declared, Dropped, LayerObservation, Outcome, Raised, Resized, Weight
from pytest_dlcheck.observe.layer_restoring import through_config, through_files
from pytest_dlcheck.observe.layer_runner import LayerRunner, arrays_of, remembered, takes_training
from pytest_dlcheck.observe.nests import declared_shapes, leaves_of, short_names, structure_of
from pytest_dlcheck.subjects.spec import LayerSpec, parameter_names

__all__ = ["PARTS", "LayerObserver", "observe"]

Array = NDArray[Any]

ROWS = 2


class LayerObserver(LayerRunner):
    """One case on one backend: the layer is built once, and each part is run when it is asked for."""

    def __init__(self, spec: LayerSpec, case: Case, backend: Backend) -> None:
        super().__init__(spec, case, backend)
        self.seen = LayerObservation(case, backend.name)
        self._puts: list[Any] | None = None
        self._functions: dict[str, Callable[[Case], Any] | None] = {}

    # Parts. Each fills its fields of the observation.

    def run(self, *parts: str) -> LayerObservation:
        """The observation with these parts, named as in `PARTS`."""
        with self.settings():
            self._build()
            if isinstance(self.seen.weights, Raised):
                return self.seen
            for part in parts:
                PARTS[part](self)
            if self.seen.inputs_after is None and self._puts is not None:
                self.seen.inputs_after = [self.value(each).array for each in self._puts]
        return self.seen

    def attempt(self, during: str, action: Callable[[], Any]) -> Any:
        """What an action gives, or the error that it ends in."""
        try:
            return action()
        except Exception as error:  # noqa: BLE001 - an error is an observation too
            return Raised(type(error).__name__, str(error), during)

    def _build(self) -> None:
        if self.seen.weights != () or self.seen.eager is not None:
            return
        seen = self.seen
        older = self.spec.older
        seen.defaults = defaults_of(self.find(self.case.subject), older.arguments)
        seen.inputs = [self.array(tensor) for tensor in tensors(self.case.inputs)]
        made = self.attempt("building", lambda: self.layer)
        if isinstance(made, Raised):
            seen.weights = seen.eager = made
            return
        kept = remembered(made)
        variables = arrays_of(made.weights)
        weights = [*variables, *kept.values()]
        initial = [self.value(variable).array for variable in weights]
        self.give_weights(made, self.weight_values_given)
        trainable = {id(variable) for variable in made.trainable_weights}
        names = [named(name, older.weights) for name in short_names([*map(path_of, variables), *kept])]
        seen.weights = [
            Weight(
                name,
                str(self.keras.backend.standardize_dtype(variable.dtype)),
                self.value(variable).array,
                first,
                id(variable) in trainable,
                getattr(variable, "constraint", None) is not None,
            )
            for name, variable, first in zip(names, weights, initial, strict=True)
        ]
        seen.state_before = self.state(made)

        def eager() -> Outcome:
            self._puts = []

            def put(tensor: Tensor) -> Any:
                value = self.put(tensor)
                assert self._puts is not None
                self._puts.append(value)
                return value

            return self.outcome(made, made(self.inputs(put), **self.keywords(made, training=False)))

        seen.eager = self.attempt("the call", eager)

    def _again(self) -> None:
        self.set_state(self.layer, self.seen.state_before)
        self.seen.again = self.attempt("the second call", lambda: self.call(self.layer))

    def _training(self) -> None:
        layer, before = self.layer, self.seen.state_before
        self.set_state(layer, before)
        self.seen.training = self.attempt("the call in training mode", lambda: self.call(layer, training=True))
        self.set_state(layer, before)
        self.seen.training_again = self.attempt("the second call in training mode", lambda: self.call(layer, training=True))
        self.set_state(layer, before)

    def _symbolic_inputs(self, unknown: Callable[[int, int], bool]) -> Any:
        """Keras tensors of the inputs; `unknown(axis, rank)` says which sizes they leave open."""

        def symbol(tensor: Tensor) -> Any:
            rank = len(tensor.shape)
            shape = tuple(None if unknown(axis, rank) else size for axis, size in enumerate(tensor.shape))
            return self.keras.KerasTensor(shape, dtype=self.input_dtype(tensor))

        return symbol

    def _declared(self) -> None:
        layer = self.layer

        def symbolic(unknown: Callable[[int, int], bool]) -> Declared:
            symbol = self._symbolic_inputs(unknown)
            inputs = map_tensors(symbol, self.case.inputs)
            keywords = map_tensors(symbol, dict(self.case.call))
            if takes_training(layer):
                keywords["training"] = False
            outputs = layer(inputs, **keywords)
            leaves = leaves_of(outputs)
            return Declared(
                structure_of(outputs),
                [tuple(leaf.shape) for leaf in leaves],
                [str(self.keras.backend.standardize_dtype(leaf.dtype)) for leaf in leaves],
            )

        def shape_only(unknown: Callable[[int, int], bool]) -> Declared:
            shapes = map_tensors(
                lambda tensor: tuple(
                    None if unknown(axis, len(tensor.shape)) else size for axis, size in enumerate(tensor.shape)
                ),
                self.case.inputs,
            )
            return declared_shapes(layer.compute_output_shape(shapes))

        asked = {
            "symbolic call": lambda: symbolic(lambda axis, rank: False),
            "symbolic call, batch unknown": lambda: symbolic(lambda axis, rank: axis == 0),
            "compute_output_shape": lambda: shape_only(lambda axis, rank: False),
            "compute_output_shape, batch unknown": lambda: shape_only(lambda axis, rank: axis == 0),
        }
        if self.case.call:  # of which compute_output_shape knows nothing
            asked = {name: ask for name, ask in asked.items() if "compute" not in name}
        self.seen.declared = {name: self.attempt(name, ask) for name, ask in asked.items()}
        self.set_state(layer, self.seen.state_before)

    def _rows(self) -> None:
        sizes = {tensor.shape[0] for tensor in tensors([self.case.inputs, self.case.call]) if tensor.shape}
        masks = [mask for mask in self.case.masks or () if mask is not None]
        if not self.spec.has_batch(self.case):
            return
        if len(sizes) != 1 or sizes <= {0, 1} or any(len(tensor.shape) == 0 for tensor in tensors(self.case.inputs)):
            return
        (size,) = sizes
        if any(mask.shape[0] != size for mask in masks):
            return

        def one(index: int) -> Outcome:
            def cut(tensor: Tensor) -> Tensor:
                return literal(tensor, make(tensor, self.compute_dtype)[index : index + 1])

            case = self.case.replace(
                inputs=map_tensors(cut, self.case.inputs),
                call=map_tensors(cut, dict(self.case.call)),
                masks=None if self.case.masks is None else tuple(mask and cut(mask) for mask in self.case.masks),
            )
            return self.beside(case).call(self.layer)

        found = []
        for index in range(min(size, ROWS)):
            self.set_state(self.layer, self.seen.state_before)
            found.append(self.attempt(f"the call with sample {index} alone", partial(one, index)))
        self.seen.rows = found

    def beside(self, case: Case) -> LayerObserver:
        """An observer of another case in the same process."""
        return LayerObserver(self.spec, case, self.backend)

    def _like(self, case: Case, weights: Sequence[Array] | None = None, training: bool = False) -> Outcome:
        """The call of a layer made from another case, with this one's weights."""
        other = self.beside(case)
        with other.settings():
            layer = other.layer
            other.give_weights(layer, other.weight_values_given if weights is None else weights)
            return other.call(layer, training=training)

    def _defaulted(self) -> None:
        taken = {
            name: value
            for name, value in self.seen.defaults.items()
            if name not in self.case.arguments and name not in {"name", "dtype", "trainable"}
        }
        if taken:
            case = self.case.with_arguments(**taken)
            self.seen.defaulted = self.attempt(
                "the layer given its defaults", lambda: self._like(case, self.weight_values_given)
            )

    def _function(self, how: str) -> Callable[[Case], Any] | None:
        """The layer's call as a graph or compiled, traced once, for cases that differ in values only."""
        if how in self._functions:
            return self._functions[how]
        layer = self.layer
        flat = tensors([self.case.inputs, dict(self.case.call)])

        def invoke(called: Callable[..., Any], values: Sequence[Any]) -> Any:
            places = iter(values)
            inputs = self.inputs(lambda tensor: next(places))
            keywords = map_tensors(lambda tensor: next(places), dict(sorted(self.case.call.items())))
            if takes_training(layer):
                keywords["training"] = False
            return called(inputs, **keywords)

        function = None
        if self.backend.name == "tensorflow" or all(tensor.dtype != "string" for tensor in flat):
            trace = self.backend.graph if how == "graph" else self.backend.compiled
            function = trace(layer, invoke)

        def run(case: Case) -> Any:
            assert function is not None
            return function([self.put(tensor) for tensor in tensors([case.inputs, dict(case.call)])])

        self._functions[how] = run if function is not None else None
        return self._functions[how]

    def _traced(self, how: str) -> Outcome | Raised | None:
        layer = self.layer
        self.set_state(layer, self.seen.state_before)

        def run() -> Outcome | None:
            function = self._function(how)
            if function is None:
                return None
            outputs = function(self.case)
            leaves = leaves_of(outputs)
            return Outcome(structure_of(outputs), [self.value(leaf) for leaf in leaves], (), self.state(layer))

        found: Outcome | Raised | None = self.attempt("the call as a graph" if how == "graph" else "the compiled call", run)
        self.set_state(layer, self.seen.state_before)
        return found

    def further(self, number: int, how: str) -> LayerObservation | None:
        """What the layer gives for other values of the same kinds: its eager call, and the traced one if there is one.

        Args:
            number: which values, from 1 on.
            how: `eager`, `graph` or `compiled`.

        Returns:
            An observation with nothing but values in its outcomes; None where there are no other values, or where the call
            of this case ended in an error already.
        """
        seen = self.seen
        traced = {"graph": seen.graph, "compiled": seen.compiled}.get(how, seen.eager)
        case = with_values(self.case, number)
        if case == self.case or not (isinstance(seen.eager, Outcome) and isinstance(traced, Outcome)):
            return None

        def only_values(outputs: Any) -> Outcome:
            return Outcome(structure_of(outputs), [self.value(leaf) for leaf in leaves_of(outputs)])

        def eager() -> Outcome:
            other = self.beside(case)
            return only_values(self.layer(other.inputs(), **other.keywords(self.layer, training=False)))

        def run() -> Outcome:
            function = self._function(how)
            assert function is not None
            return only_values(function(case))

        found = LayerObservation(case, seen.backend, seen.defaults, seen.weights)
        with self.settings():
            found.inputs = [self.array(tensor) for tensor in tensors(case.inputs)]
            self._as_before()
            found.eager = self.attempt("the call", eager)
            if how != "eager":
                self._as_before()
                setattr(found, how, self.attempt(f"the {how} call", run))
        return found

    def _as_before(self) -> None:
        if self._moves_its_state:
            self.set_state(self.layer, self.seen.state_before)

    @cached_property
    def _moves_its_state(self) -> bool:
        """Whether a call in inference mode changes a variable."""
        before, eager = self.seen.state_before, self.seen.eager
        assert isinstance(eager, Outcome)
        return any(
            not np.array_equal(value, eager.state.get(name, np.empty(0)), equal_nan=value.dtype.kind == "f")
            for name, value in before.items()
        )

    def _graph(self) -> None:
        self.seen.graph = self._traced("graph")

    def _compiled(self) -> None:
        self.seen.compiled = self._traced("compiled")

    def _identities(self) -> None:
        found: dict[str, Outcome | Raised] = {}
        for identity in self.spec.identities:
            other = identity.other(self.case)
            if other is None or not self._takes(other) or self.spec.older.not_here(other):
                continue
            weights = None
            if identity.weights is not None:
                weights = list(identity.weights(self.case, self.weight_values_given))
            found[identity.name] = self.attempt(f"the other side of {identity.name}", partial(self._like, other, weights))
        self.seen.identities = found

    def _takes(self, case: Case) -> bool:
        """Whether the installed constructor takes a case's arguments: another side may have some that came later."""
        older = self.spec.older
        lacking = case.arguments.keys() - parameter_names(self.find(case.subject), older.arguments) - {"dtype"}
        # What Keras 2 never takes is left out of its calls; what only some releases take says something of those.
        return not (lacking & older.absent.keys() if isinstance(self.keras, KerasTwo) else lacking)

    def _dropped(self) -> None:
        case, seen = self.case, self.seen
        names = sorted(
            name for name, value in case.arguments.items() if name not in seen.defaults or value != seen.defaults[name]
        )
        if case.arguments.get("data_format") == case.settings.get("image_data_format", "channels_last"):
            names = [name for name in names if name != "data_format"]  # which says what holds anyway
        if not seen.weights:
            names = [name for name in names if name != "trainable"]
        nothing = all(not np.any(array) for array in seen.inputs if array.dtype != object)
        if not names or not isinstance(seen.eager, Outcome) or nothing:
            return
        # Another one for another case: over many cases each gets its turn.
        argument = names[zlib.crc32(case.key().encode()) % len(names)]
        other = self.beside(case.without(argument))
        with other.settings():
            without = other.run("training")
        if not isinstance(without.eager, Outcome):
            return
        found = differences(seen, without)
        # Where neither can be called in training, what the argument does there stays unseen.
        if found or not (isinstance(seen.training, Raised) and isinstance(without.training, Raised)):
            seen.dropped = Dropped(argument, found)

    def _exact(self) -> None:
        if self.case.policy == "none":
            return
        # The very numbers that the lower precision was given.
        rounded = partial(map_tensors, lambda tensor: literal(tensor, make(tensor, self.compute_dtype)))
        case = self.case.replace(policy="float64", inputs=rounded(self.case.inputs), call=rounded(dict(self.case.call)))
        weights = [np.asarray(value, dtype=np.float64) for value in self.weight_values_given]
        with wide_floats(self.backend):  # which Keras computes in float32 but on TensorFlow
            self.seen.exact = self.attempt("the call in float64", lambda: self._like(case, weights))

    def _empty(self) -> None:
        flat = tensors([self.case.inputs, dict(self.case.call)])
        if not self.spec.has_batch(self.case) or any(not tensor.shape or tensor.dtype == "string" for tensor in flat):
            return

        def none_of(tensor: Tensor) -> Tensor:
            return literal(tensor, make(tensor, self.compute_dtype)[:0])

        case = self.case.replace(
            inputs=map_tensors(none_of, self.case.inputs),
            call=map_tensors(none_of, dict(self.case.call)),
            masks=None if self.case.masks is None else tuple(mask and none_of(mask) for mask in self.case.masks),
        )
        self.set_state(self.layer, self.seen.state_before)
        self.seen.empty = self.attempt("the call with no samples", lambda: self.beside(case).call(self.layer))
        self.set_state(self.layer, self.seen.state_before)

    def _resized(self) -> None:
        """A call on a size that a new layer takes with the same weights: the first axis behind the batch that can be longer."""
        inputs = self.case.inputs
        if not isinstance(inputs, Tensor) or inputs.literal is not None or self.case.masks or tensors(dict(self.case.call)):
            return
        kept = {axis % len(inputs.shape) for axis in self.spec.keeps(self.case)}
        for axis in sorted({*range(1, len(inputs.shape))} - kept):
            shape = (*inputs.shape[:axis], inputs.shape[axis] + 1, *inputs.shape[axis + 1 :])
            case = self.case.replace(inputs=replace(inputs, shape=shape))
            new = self.attempt("the call of a new layer", partial(self._as_new, case))
            if not isinstance(new, Outcome):  # its arguments or its weights are of that size
                continue
            self.set_state(self.layer, self.seen.state_before)
            called = self.attempt(f"the call on a shape of {shape}", partial(self.beside(case).call, self.layer))
            self.seen.resized = Resized(shape, new, called)
            break
        self.set_state(self.layer, self.seen.state_before)

    def _as_new(self, case: Case) -> Outcome | None:
        """The call of a layer made for another case, with this one's weights; None where it has others."""
        other = self.beside(case)
        with other.settings():
            layer = other.layer
            if [tuple(each.shape) for each in arrays_of(layer.weights)] != [
                tuple(each.shape) for each in arrays_of(self.layer.weights)
            ]:
                return None
            other.give_weights(layer, self.weight_values_given)
            return other.call(layer)


PARTS: Mapping[str, Callable[[LayerObserver], None]] = {
    "again": LayerObserver._again,  # noqa: SLF001
    "training": LayerObserver._training,  # noqa: SLF001
    "declared": LayerObserver._declared,  # noqa: SLF001
    "rows": LayerObserver._rows,  # noqa: SLF001
    "defaulted": LayerObserver._defaulted,  # noqa: SLF001
    "config": through_config,
    "saved": through_files,
    "graph": LayerObserver._graph,  # noqa: SLF001
    "compiled": LayerObserver._compiled,  # noqa: SLF001
    "identities": LayerObserver._identities,  # noqa: SLF001
    "dropped": LayerObserver._dropped,  # noqa: SLF001
    "exact": LayerObserver._exact,  # noqa: SLF001
    "empty": LayerObserver._empty,  # noqa: SLF001
    "resized": LayerObserver._resized,  # noqa: SLF001
}
"""What can be observed beyond the building and the first call."""


def observe(spec: LayerSpec, case: Case, backend: Backend, *parts: str) -> LayerObservation:
    """Runs a case and records these parts."""
    return LayerObserver(spec, case, backend).run(*parts)


def literal(tensor: Tensor, array: Array) -> Tensor:
    """A tensor that holds just these values."""
    return Tensor(array.shape, tensor.dtype, literal=array.tolist())


def defaults_of(kind: type, renamed: Mapping[str, str]) -> dict[str, Any]:
    """The constructor's defaults that are plain values.

    Args:
        kind: the class.
        renamed: by the names that specs use: parameters that have other names there.
    """
    later = {older: name for name, older in renamed.items()}
    found = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if isinstance(parameter.default, (bool, int, float, str, tuple)) or parameter.default is None:
            found[later.get(name, name)] = parameter.default
    return found


def named(name: str, renamed: Mapping[str, str]) -> str:
    """A weight's name as specs have it."""
    owner, slash, last = name.rpartition("/")
    return f"{owner}{slash}{renamed.get(last, last)}"
