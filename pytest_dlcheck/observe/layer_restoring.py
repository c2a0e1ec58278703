"""Observes whether a layer comes back as it was: from its config, from a file, with the weights of a file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_dlcheck.cases.case import map_tensors, tensors
from pytest_dlcheck.observe.layer_observation import Outcome, Restored
from pytest_dlcheck.observe.nests import leaves_of, structure_of

if TYPE_CHECKING:
    from pytest_dlcheck.observe.layer import LayerObserver

__all__ = ["through_config", "through_files"]


def through_config(observer: LayerObserver) -> None:
    """The layer made again from its config, as JSON, with the same weights."""
    layer, kind = observer.layer, type(observer.layer)
    observer.set_state(layer, observer.seen.state_before)
    serialize = observer.keras.saving.serialize_keras_object
    later = {older: name for name, older in observer.spec.older.arguments.items()}

    def named(config: Any) -> Any:
        """The config, its entries named as specs name the arguments."""
        return {later.get(key, key): value for key, value in config.items()} if isinstance(config, dict) else config

    def from_config() -> Restored:
        # Both were last called alike: a torch.nn.Module, which is part of the config, remembers the mode of its last call.
        layer(observer.inputs(), **observer.keywords(layer, training=False))
        observer.set_state(layer, observer.seen.state_before)
        # Through text and back, as a file would take it.
        stored = json.loads(json.dumps(serialize(layer)))
        # A copy: some layers put objects into the config that they are made from.
        observer.seen.config = named(json.loads(json.dumps(stored.get("config"))))
        made = observer.keras.saving.deserialize_keras_object(stored, safe_mode=False)
        if type(made) is not kind:
            raise TypeError(f"a {type(made).__name__} came back of a {kind.__name__}")
        if observer.case.adapt is not None:  # what was learnt is state, which a config does not hold
            made.adapt(observer.resolve(observer.case.adapt))
        made(observer.inputs(), **observer.keywords(made, training=False))
        observer.give_weights(made, observer.weight_values_given)
        outcome = observer.call(made)
        return Restored(outcome, named(json.loads(json.dumps(serialize(made))).get("config")))

    restored = dict(observer.seen.restored or {})
    restored["config"] = observer.attempt("the round trip through the config", from_config)
    observer.seen.restored = restored


def through_files(observer: LayerObserver) -> None:
    """A model of the layer saved as .keras and loaded, and its weights alone saved and loaded."""
    if observer.spec.stateful(observer.case) or any(mask is not None for mask in observer.case.masks or ()):
        return  # what a layer remembers, and what attaches a mask, are no part of a file
    if observer.backend.name != "tensorflow" and any(each.dtype == "string" for each in tensors(observer.case.inputs)):
        return  # documented: texts are no part of a model elsewhere
    layer = observer.layer
    observer.set_state(layer, observer.seen.state_before)
    given = dict(sorted(observer.case.call.items()))  # in the order of `tensors`
    flat = tensors([observer.case.inputs, given])

    def model_of() -> Any:
        symbols = [
            observer.keras.Input(batch_shape=(None, *tensor.shape[1:]), dtype=observer.input_dtype(tensor)) for tensor in flat
        ]
        places = iter(symbols)
        inputs = map_tensors(lambda tensor: next(places), observer.case.inputs)
        keywords = map_tensors(lambda tensor: next(places), given)
        return observer.keras.Model(symbols, layer(inputs, **keywords))

    def call(model: Any) -> Outcome:
        outputs = model([observer.put(tensor) for tensor in flat], training=False)
        leaves = leaves_of(outputs)
        return Outcome(structure_of(outputs), [observer.value(leaf) for leaf in leaves])

    def keras_file() -> Restored:
        with tempfile.TemporaryDirectory(prefix="dlcheck-") as folder:
            path = Path(folder) / "model.keras"
            model_of().save(path)
            return Restored(call(observer.keras.models.load_model(path, safe_mode=False)))

    def weights_file() -> Restored:
        with tempfile.TemporaryDirectory(prefix="dlcheck-") as folder:
            path = Path(folder) / "model.weights.h5"
            model = model_of()
            model.save_weights(path)
            before = [np.array(value) for value in observer.weight_values_given]
            observer.give_weights(layer, [value if value.dtype.kind != "f" else 0 * value for value in before])
            model.load_weights(path)
            return Restored(call(model))

    restored = dict(observer.seen.restored or {})
    restored["keras"] = observer.attempt("saving and loading as .keras", keras_file)
    restored["weights"] = observer.attempt("saving and loading the weights", weights_file)
    observer.seen.restored = restored
    observer.set_state(layer, observer.seen.state_before)
