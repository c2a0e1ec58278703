"""Builds one architecture in every form on one backend, with the same weights, and records what each computes."""

from __future__ import annotations

import dataclasses
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.architectures.architecture import Architecture
from pytest_dlcheck.architectures.divergence import first_divergence, layer_calls
from pytest_dlcheck.architectures.forms import FORMS, input_arrays, parts_of, subclass
from pytest_dlcheck.architectures.observation import FormSeen, Frozen, ModelsSeen, Run
from pytest_dlcheck.architectures.rounding import equal, moved_runs, predicts_alike, same_runs, same_values
from pytest_dlcheck.architectures.surgery import cut_middle, run_inside, thaw
from pytest_dlcheck.architectures.watcher import Watcher
from pytest_dlcheck.architectures.ways import OPEN, lengthened, ways_of
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.cases.values import weight_values
from pytest_dlcheck.observe.layer_observation import Raised, Value
from pytest_dlcheck.observe.nests import leaves_of
from pytest_dlcheck.observe.resolving import global_settings
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF

__all__ = ["ArchitectureObserver"]

Array = NDArray[Any]
T = TypeVar("T")


class ArchitectureObserver:
    """One architecture on one backend.

    Args:
        architecture: what to build.
        backend: the process's backend, loaded.
        copies: whether the first form is cloned, made from its config and saved, too.
        surgery: whether it is cut, frozen and called sample by sample.
    """

    def __init__(self, architecture: Architecture, backend: Backend, *, copies: bool = True, surgery: bool = True) -> None:
        self.architecture = architecture
        self.backend = backend
        self.keras = backend.keras
        self.copies = copies
        self.surgery = surgery
        self.inputs = input_arrays(architecture)
        self.seen = ModelsSeen(architecture.compute_dtype, ordered=architecture.is_chain)
        self.watchers: dict[str, Watcher] = {}
        self._state: dict[str, Array] = {}

    def attempt(self, during: str, make: Callable[[], T]) -> T | Raised:
        """What a call gives, or the error that it ends in."""
        try:
            return make()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the framework did
            return Raised(type(error).__name__, str(error), during)

    def observe(self) -> ModelsSeen:
        """Everything that was asked for."""
        # A model whose making ended in an error leaves half-made variables behind, which the next one would stumble over.
        self.keras.utils.clear_session()
        # The policy is set for all, as users do: of it a model itself takes whether its loss is scaled.
        with global_settings(self.backend, {**self.architecture.settings, "dtype_policy": self.architecture.policy}):
            for name in FORMS:
                if name != "sequential" or self.architecture.is_chain:
                    self.seen.forms[name] = self.attempt(f"the {name} model", partial(self._form, name))
            if self.seen.first is not None:
                self._copies()
                self._surgery()
                self._parting()
                # Last, since it leaves the model with another optimizer.
                if self.surgery and self.backend.trains:
                    like = self.seen.first.run.inference
                    thawing = partial(thaw, self._first, self._state, like, self.seen.dtype)
                    self.seen.thawed = self.attempt("one layer frozen and thawed", thawing)
                    self.seen.frozen = self.attempt("the frozen model", self._frozen)
        return self.seen

    @property
    def _given(self) -> Any:
        return self.inputs[0] if len(self.inputs) == 1 else self.inputs

    # The forms.

    def _built(self, name: str) -> Any:
        return self._seeded(lambda: FORMS[name](self.architecture, self.backend, ""))

    def _seeded(self, make: Callable[[], Any]) -> Any:
        # What draws a seed of its own draws it from Python's generator.
        random.seed(20_11_22)
        self.backend.seed(self.architecture.seed)
        return make()

    def _watcher(self, model: Any, inputs: Sequence[Array] | None = None) -> Watcher:
        inputs = self.inputs if inputs is None else inputs
        model(self.backend.put_all(inputs[0] if len(inputs) == 1 else list(inputs)), training=False)
        layers = parts_of(self.architecture, model)
        named = {f"l{index}": layer for index, layer in enumerate(layers)}
        return Watcher(model, named, inputs, self.backend, self.architecture.seed)

    def _form(self, name: str) -> FormSeen:
        watcher = self._watcher(self._built(name))
        if not self._state:
            self._state = self._chosen(watcher)
        watcher.set_state(self._state)
        self.watchers[name] = watcher
        return watcher.form(trains=self.backend.trains)

    def _chosen(self, watcher: Watcher) -> dict[str, Array]:
        """What every form's variables are given: other values than the initial ones, which hide much."""
        found = {}
        for index, (name, variable) in enumerate(watcher.variables.items()):
            value = watcher.value(variable)
            tail = name.rpartition(":")[2]
            if value.dtype in UNIT_ROUNDOFF:
                drawn = weight_values(self.architecture.seed, index, tail, value.array.shape)
                found[name] = drawn.astype(value.array.dtype)
            else:
                found[name] = value.array
        return found

    @property
    def _first(self) -> Watcher:
        return next(iter(self.watchers.values()))

    # Copies.

    def _copies(self) -> None:
        if not self.copies:
            return
        model = self._first.model
        made: Mapping[str, Callable[[], Any]] = {
            "clone": lambda: self.keras.models.clone_model(model),
            "config": lambda: type(model).from_config(model.get_config()),
            "json": lambda: self.keras.models.model_from_json(model.to_json()),
            "file": lambda: self._loaded(model),
        }
        for name, make in made.items():
            self.seen.copies[name] = self.attempt(f"the copy by {name}", partial(self._copy, name, make))
        for name, make in ways_of(self.architecture, self.backend).items():
            built = partial(self._seeded, make)
            self.seen.copies[name] = self.attempt(f"the model of {name}", partial(self._copy, name, built))
        if OPEN in self.watchers and "subclass" in self.watchers:
            self.seen.longer = self.attempt("the models on longer inputs", self._on_longer_inputs)

    def _loaded(self, model: Any) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.keras"
            self._first.set_state(self._state)
            model.save(path)
            # A function of our own in a Lambda is what safe mode is there to refuse.
            return self.keras.models.load_model(path, compile=False, safe_mode=False)

    def _copy(self, name: str, make: Callable[[], Any]) -> FormSeen:
        watcher = self.watchers[name] = self._watcher(make())
        # A file must have brought its state itself; that of random generators is in none.
        brought = {key for key in self._state if name == "file" and not key.endswith(":seed_generator_state")}
        watcher.set_state({key: value for key, value in self._state.items() if key not in brought})
        return watcher.form(trains=False)

    def _on_longer_inputs(self) -> ModelsSeen:
        """A class built for longer inputs, beside the one that was built for those at hand, and a graph that left it open."""
        longer = lengthened(self.architecture)
        inputs = input_arrays(longer)
        fresh = self._watcher(self._seeded(lambda: subclass(longer, self.backend)), inputs)
        watchers = {"fresh subclass": fresh, "subclass": self.watchers["subclass"], OPEN: self.watchers[OPEN]}
        seen = ModelsSeen(self.seen.dtype)
        for name, watcher in watchers.items():
            watcher.put(inputs)
            watcher.set_state(self._state)
            form = watcher.form(trains=False)
            seen.forms[name] = dataclasses.replace(form, run=dataclasses.replace(form.run, predicted=watcher.predict()))
            watcher.put(self.inputs)
        first = seen.first
        assert first is not None
        if not all(
            same_runs(first.run, form.run) and same_values(first.run.inference, form.run.predicted)
            for form in seen.others.values()
        ):
            fresh.put(inputs)
            seen.moved = moved_runs(fresh, self._state, seen.dtype, trains=False)
        return seen

    # What is done to the first form.

    def _surgery(self) -> None:
        if not self.surgery:
            return
        self._first.set_state(self._state)
        self.seen.cut = self.attempt("the models cut out of it", self._cut)
        self.seen.batches = self.attempt("the samples one by one", self._one_by_one)
        self._first.set_state(self._state)
        middle = partial(cut_middle, self.architecture, self._first, self.backend)
        self.seen.middle = self.attempt("the model cut out of the middle", middle)
        for kind in ("graph", "compiled"):
            self._inside(kind)

    def _inside(self, kind: str) -> None:
        # A graph is what TensorFlow has of its own; XLA, which takes it seconds for each model, is JAX's way.
        if kind == "compiled" and not self.backend.compiles_operations:
            return
        for name in FORMS:
            if name not in self.watchers:
                continue
            watcher = self.watchers[name]
            watcher.set_state(self._state)
            make = getattr(self.backend, kind)
            found = self.attempt(f"the {name} model inside a function", partial(run_inside, watcher, self.backend, make))
            if found is not None:
                self.seen.inside[f"{name} model inside a {kind} function"] = found

    def _cut(self) -> dict[str, tuple[Sequence[Value], Sequence[Value]]]:
        watcher, model = self._first, self._first.model
        given = self.backend.put_all(self._given)
        calls, _ = layer_calls(model, given, self.backend)
        counts: dict[str, int] = {}
        for call in calls:
            counts[call.layer.name] = counts.get(call.layer.name, 0) + 1
        # A layer that is called twice has two outputs, and those of a nested model have no place in this graph.
        chosen = [call for call in calls if counts[call.layer.name] == 1 and call.layer.name in watcher.layers]
        if not chosen:
            return {}
        outputs = [model.get_layer(call.layer.name).output for call in chosen]
        cut = self.keras.Model(model.inputs, outputs)
        found = leaves_of(cut(given if isinstance(given, list) else [given], training=False))
        return {
            call.layer.name: ([watcher.value(leaf)], [watcher.value(each) for each in leaves_of(call.outputs)])
            for call, leaf in zip(chosen, found, strict=True)
        }

    def _one_by_one(self) -> list[Value]:
        watcher = self._first
        rows = []
        for index in range(self.architecture.batch):
            one = [array[index : index + 1] for array in self.inputs]
            watcher.set_state(self._state)
            outputs = watcher.model(self.backend.put_all(one[0] if len(one) == 1 else one), training=False)
            rows.append([watcher.value(leaf) for leaf in leaves_of(outputs)])
        return [Value(parts[0].dtype, np.concatenate([each.array for each in parts])) for parts in zip(*rows, strict=True)]

    def _frozen(self) -> Frozen:
        watcher, model = self._first, self._first.model
        names = self._trainable()
        watcher.set_state(self._state)
        before = watcher.state()
        model.trainable = False
        try:
            frozen = len(model.trainable_weights)
            again = Watcher(model, watcher.layers, self.inputs, self.backend, self.architecture.seed)
            first = self.seen.first
            assert first is not None
            again.train(first.run.inference)
            after = again.state()
            weights = [name for name, variable in again.variables.items() if str(variable.path) in names]
            moved = tuple(name for name in weights if not equal(after[name], before[name]))
        finally:
            model.trainable = True
        return Frozen(frozen, moved, names, self._trainable())

    def _trainable(self) -> tuple[str, ...]:
        return tuple(str(weight.path) for weight in self._first.model.trainable_weights)

    # What explains a difference.

    def _parting(self) -> None:
        first = self.seen.first
        assert first is not None
        differing = [name for name, form in self.seen.others.items() if not same_runs(first.run, form.run)]
        if not differing and predicts_alike(first.run) and self._rows_agree(first.run):
            return
        watcher = self._first
        watcher.set_state(self._state)
        self.seen.moved = moved_runs(watcher, self._state, self.seen.dtype, trains=self.backend.trains)
        for name in differing:
            other = self.seen.others[name]
            if same_values(first.run.inference, other.run.inference):
                continue
            watcher.set_state(self._state)
            if name != "file":
                self.watchers[name].set_state(self._state)
            told = self.attempt(
                "looking for where they part",
                partial(first_divergence, watcher.model, self.watchers[name].model, self._given, backend=self.backend),
            )
            self.seen.parting[name] = str(told) if told is not None else "no layer is to blame: called one by one they agree"

    def _rows_agree(self, run: Run) -> bool:
        found = [self.seen.batches, *self.seen.inside.values()]
        return all(same_values(run.inference, each) for each in found if isinstance(each, list))
