"""Takes a tiny model through its life in this process: config, files, resuming. Records what comes of each part."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.models.custom import custom_objects
from pytest_dlcheck.models.tiny import Arrays, TinySpec
from pytest_dlcheck.models.tiny_build import build, compile_tiny, single
from pytest_dlcheck.observe.layer_observation import Raised
from pytest_dlcheck.observe.life_cycle_observations import Held, Plain, Rebuilt, Refused, Reloaded, Resumed, Run
from pytest_dlcheck.seeds import derive

__all__ = ["EPOCHS", "SAVED_AFTER", "LifeCycleObserver", "attempt", "generators", "hold", "learning_rate", "train"]

T = TypeVar("T")

SAMPLES = 8
BATCH = 4
PROBED = 3
EPOCHS = 4
SAVED_AFTER = 2
# What a layer notes of how it was built, not of what it is: after `adapt`, the size of the batch that it was adapted to.
OF_BUILDING = ("build_config", "build_input_shape")


def attempt(during: str, function: Callable[[], T]) -> T | Raised:
    """What the function returns, or the error that it ends in: that is an observation too."""
    try:
        with warnings.catch_warnings():
            # Keras warns of legacy formats and of loading an optimizer; what follows from it is what is judged.
            warnings.simplefilter("ignore")
            return function()
    except Exception as error:  # noqa: BLE001 - frameworks raise anything
        return Raised(type(error).__name__, str(error), during)


def learning_rate(epoch: int) -> float:
    """A schedule: what a resumed run does depends on which epoch it believes to be in."""
    return 0.01 / (1 + epoch)


def _without(config: Any, names: tuple[str, ...]) -> Any:
    if isinstance(config, Mapping):
        return {key: _without(value, names) for key, value in config.items() if key not in names}
    return [_without(each, names) for each in config] if isinstance(config, list | tuple) else config


def _text(config: Any) -> str:
    # What is no JSON shows in `plain`; here it must only compare.
    return json.dumps(_without(config, OF_BUILDING), sort_keys=True, default=repr)


def outputs_of(backend: Backend, model: Any, x: Arrays) -> tuple[NDArray[Any], ...]:
    """The outputs in inference, one array each."""
    outputs = model(single([backend.put(each) for each in x]), training=False)
    return tuple(backend.to_numpy(each) for each in (outputs if isinstance(outputs, list | tuple) else [outputs]))


def generators(model: Any) -> list[Any]:
    """The variables in which the model's layers keep the states of their random generators."""
    return [variable for variable in model.variables if "seed_generator_state" in variable.name]


def hold(backend: Backend, model: Any, x: Arrays) -> Held:
    """What the model holds now; `x` is the probe."""
    layers = model.layers
    owners = {id(weight): layer.name for layer in layers for weight in layer.weights}
    optimizer = getattr(model, "optimizer", None)
    settings = model.get_compile_config() if getattr(model, "compiled", False) else None
    # On JAX each eager operation is compiled: in every process alike.
    with backend.quick():
        outputs = outputs_of(backend, model, x)
    return Held(
        names=tuple(f"{owners[id(weight)]}/{weight.name}" for weight in model.weights),
        weights=tuple(backend.to_numpy(weight) for weight in model.weights),
        seeds=tuple(backend.to_numpy(state) for state in generators(model)),
        optimizer=tuple(backend.to_numpy(variable) for variable in optimizer.variables) if optimizer is not None else (),
        config=_text(model.get_config()),
        settings=_text(settings),
        outputs=outputs,
    )


def train(
    backend: Backend, model: Any, spec: TinySpec, seed: int, *, begun: int = 0, callbacks: tuple[Any, ...] = (), x: Arrays = ()
) -> Run:
    """Trains from epoch `begun` to the last, with the schedule. `seed` gives the data; `x` is the probe."""
    inputs, targets = spec.data(SAMPLES, seed)
    schedule = backend.keras.callbacks.LearningRateScheduler(learning_rate)
    history = model.fit(
        single(inputs),
        single(targets),
        batch_size=BATCH,
        epochs=EPOCHS,
        initial_epoch=begun,
        # The order of the batches comes from the process, and is in no file.
        shuffle=False,
        verbose=0,
        callbacks=[schedule, *callbacks],
    ).history
    return Run({name: tuple(float(value) for value in values) for name, values in history.items()}, hold(backend, model, x))


def _noting(backend: Backend, states: list[NDArray[Any]]) -> Any:
    """A callback that notes the generators' states in the middle."""

    class Noting(backend.keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch + 1 == SAVED_AFTER:
                states.extend(backend.to_numpy(state) for state in generators(self.model))

    return Noting()


class LifeCycleObserver:
    """One tiny model on one backend. Each part runs when it is first read, and once.

    Args:
        spec: the model.
        backend: the process's.
        folder: for files, of this observer alone.
        seed: of the initial weights and the data.
        custom: the classes that Keras does not know, by name; by default those that are registered with it.
    """

    def __init__(
        self, spec: TinySpec, backend: Backend, folder: Path, seed: int, custom: Mapping[str, Any] | None = None
    ) -> None:
        self.spec, self.backend, self.folder, self.seed, self.custom = spec, backend, folder, seed, custom
        self.x = spec.data(PROBED, derive(seed, "probe"))[0]
        self._reloaded: dict[str, Reloaded | Raised] = {}

    @property
    def keras(self) -> Any:
        return self.backend.keras

    def fresh(self, seed: int | None = None, custom: Mapping[str, Any] | None = None) -> Any:
        """The model, compiled, with initial weights."""
        self.backend.seed(self.seed if seed is None else seed)
        with self.backend.quick():
            model = build(self.spec, self.keras, custom=self.custom if custom is None else custom, seed=self.seed)
        compile_tiny(model, self.spec, self.keras)
        return model

    def hold(self, model: Any) -> Held:
        return hold(self.backend, model, self.x)

    @property
    def checkpoint(self) -> Path:
        """Where the file lies that training leaves in its middle."""
        return self.folder / f"{SAVED_AFTER:02d}.keras"

    @cached_property
    def _trained(self) -> tuple[Any, Run, list[NDArray[Any]]]:
        """The model after all epochs, which left a file after each, and its generators' states in the middle."""
        model = self.fresh()
        each_epoch = self.keras.callbacks.ModelCheckpoint(str(self.folder / "{epoch:02d}.keras"))
        states: list[NDArray[Any]] = []
        noting = _noting(self.backend, states)
        with self.backend.alone():
            run = train(self.backend, model, self.spec, self.seed, callbacks=(each_epoch, noting), x=self.x)
        return model, run, states

    @property
    def model(self) -> Any:
        """The model after all epochs."""
        return self._trained[0]

    @property
    def uninterrupted(self) -> tuple[Run, list[NDArray[Any]]]:
        """The whole training, and the states of the generators when the file in its middle was written."""
        return self._trained[1], self._trained[2]

    @cached_property
    def original(self) -> Held:
        return self._trained[1].held

    @cached_property
    def plain(self) -> Plain:
        model = self._trained[0]
        text = attempt(
            "json.dumps of the config", lambda: json.dumps(_without(model.get_config(), OF_BUILDING), sort_keys=True)
        )

        def again() -> str:
            made = type(model).from_config(json.loads(json.dumps(model.get_config())), **self._known())
            return json.dumps(_without(made.get_config(), OF_BUILDING), sort_keys=True)

        return Plain(text, attempt("from_config of the config as JSON gives it back", again))

    def _known(self) -> dict[str, Any]:
        return {"custom_objects": dict(self.custom)} if self.custom and self.spec.custom else {}

    def rebuilt(self, way: str) -> Rebuilt | Raised:
        """The model made again: `config`, `json` or `clone`."""
        model = self._trained[0]
        ways: dict[str, Callable[[], Any]] = {
            "config": lambda: type(model).from_config(model.get_config(), **self._known()),
            "json": lambda: self.keras.models.model_from_json(model.to_json(), **self._known()),
            "clone": self._clone,
        }

        def observe() -> Rebuilt:
            with self.backend.quick(), self.backend.alone():
                made = ways[way]()
            made.set_weights([weight + 1 for weight in made.get_weights()])
            after = tuple(self.backend.to_numpy(weight) for weight in model.weights)
            made.set_weights(model.get_weights())
            return Rebuilt(way, self.original, self.hold(made), after)

        return attempt(f"making the model again by way of {way}", observe)

    def _clone(self) -> Any:
        with self.keras.saving.custom_object_scope(dict(self.custom or {})):
            return self.keras.models.clone_model(self.model)

    def reloaded(self, way: str) -> Reloaded | Raised:
        """The model from a file: `keras`, `weights` (into a model of other weights) or `h5`."""
        if way == "h5":
            # Writing a legacy file takes the optimizer out of what the model was compiled with: the others come first.
            self.reloaded("keras")
            self.reloaded("weights")
        if way not in self._reloaded:
            self._reloaded[way] = self._reload(way)
        return self._reloaded[way]

    def _reload(self, way: str) -> Reloaded | Raised:
        model = self._trained[0]
        kept = {"keras": ("optimizer", "settings", "config"), "weights": (), "h5": ("config",)}[way]

        def observe() -> Reloaded:
            path = self.folder / f"model.{'weights.h5' if way == 'weights' else way}"
            with self.backend.alone():
                if way == "weights":
                    model.save_weights(path)
                    made = self.fresh(self.seed + 1)
                    made.load_weights(path)
                else:
                    # A text, as early versions want it for the legacy format.
                    model.save(str(path))
                    made = self.keras.models.load_model(str(path), **self._known())
            return Reloaded(way, self.original, self.hold(made), self.hold(model), frozenset(kept))

        return attempt(f"saving and loading ({way})", observe)

    @cached_property
    def resumed(self) -> Resumed | Raised:
        """Training gone on with from the file that `ModelCheckpoint` wrote in the middle.

        Of a model that draws random numbers the generators' states are put back by hand: whether the file holds them is a
        question of its own.
        """
        _, uninterrupted, states = self._trained

        def observe() -> Resumed:
            with self.backend.alone():
                # Another state of everything that is not in the file: it must not matter.
                self.backend.seed(self.seed + 2)
                model = self.keras.models.load_model(self.checkpoint, **self._known())
                for variable, state in zip(generators(model), states, strict=True):
                    variable.assign(state)
                start = self.hold(model)
                run = train(self.backend, model, self.spec, self.seed, begun=SAVED_AFTER, x=self.x)
            return Resumed("in the same process", SAVED_AFTER, uninterrupted, run, start)

        return attempt("resuming from the checkpoint", observe)

    def loaded_with_a_lambda(self) -> tuple[Refused, Reloaded | Raised]:
        """A model with Python code in it: its file loaded as by default, and with `safe_mode=False`."""
        layers = self.keras.layers
        inputs = self.keras.Input((4,))
        doubled = layers.Lambda(lambda x: 2 * x, output_shape=(4,), name="doubled")(inputs)
        model = self.keras.Model(inputs, layers.Dense(2, name="last")(doubled))
        path, x = self.folder / "lambda.keras", (self.x[0],)
        with self.backend.alone(), self.backend.quick():
            model.save(path)
            error = attempt("loading Python code in safe mode", lambda: self.keras.models.load_model(path))

            def unsafe() -> Reloaded:
                before = hold(self.backend, model, x)
                made = self.keras.models.load_model(path, safe_mode=False)
                after = hold(self.backend, model, x)
                return Reloaded("keras, safe_mode=False", before, hold(self.backend, made, x), after, frozenset())

            refused = Refused(
                "loading a Lambda's Python code in safe mode",
                error if isinstance(error, Raised) else None,
                ("safe_mode", "lambda"),
            )
            return refused, attempt("loading with safe_mode=False", unsafe)

    def foreign_weights(self, other: TinySpec) -> Refused:
        """The weights file of another model, loaded into this one."""
        _ = self._trained
        path = self.folder / "other.weights.h5"
        with self.backend.quick(), self.backend.alone():
            build(other, self.keras, seed=self.seed).save_weights(path)
        model = self.fresh(self.seed + 1)
        before = [self.backend.to_numpy(weight) for weight in model.weights]
        error = attempt("loading another model's weights", lambda: model.load_weights(path))
        after = [self.backend.to_numpy(weight) for weight in model.weights]
        untouched = all(np.array_equal(one, two) for one, two in zip(before, after, strict=True))
        return Refused(
            f"loading the weights of {other.name!r} into {self.spec.name!r}",
            error if isinstance(error, Raised) else None,
            tuple(self.spec.layers),
            untouched,
        )

    def unregistered(self) -> tuple[Refused, Reloaded | Raised]:
        """The model with classes that are not registered: its file loaded without them, and with them as custom objects."""
        custom = custom_objects()
        model = self.fresh(custom=custom)
        path = self.folder / "unregistered.keras"
        with self.backend.alone():
            model.save(path)
            error = attempt("loading without the custom objects", lambda: self.keras.models.load_model(path))

            def with_them() -> Reloaded:
                before = self.hold(model)
                made = self.keras.models.load_model(path, custom_objects=custom)
                kept = frozenset(("settings", "config"))
                return Reloaded("keras, custom_objects", before, self.hold(made), self.hold(model), kept)

            return (
                Refused(
                    "loading a class that is not registered",
                    error if isinstance(error, Raised) else None,
                    ("gated", "halved"),
                ),
                attempt("loading with custom_objects", with_them),
            )
