"""Runs one built model and records what it computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.architectures.listing import listing_of
from pytest_dlcheck.architectures.observation import FormSeen, Run, Variable
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.observe.framework_values import mask_of, value_of
from pytest_dlcheck.observe.layer_observation import Value
from pytest_dlcheck.observe.nests import leaves_of

__all__ = ["STEPS", "Watcher", "by_layer"]

Array = NDArray[Any]

STEPS = 3
LEARNING_RATE = 0.01

OPTIMIZERS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("SGD", MappingProxyType({"momentum": 0.9})),
    ("Adam", MappingProxyType({})),
    ("RMSprop", MappingProxyType({"momentum": 0.5})),
    ("AdamW", MappingProxyType({"weight_decay": 0.1})),
)
"""Those that a seed chooses among, the simplest first."""


def by_layer(layers: Mapping[str, Any]) -> dict[str, Any]:
    """Every variable of some layers, each once, by its layer's name, its own and its place."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for name, layer in layers.items():
        for index, variable in enumerate(layer.variables):
            if id(variable) not in seen:
                seen.add(id(variable))
                found[f"{name}/{index}:{_tail(variable)}"] = variable
    return found


def _tail(variable: Any) -> str:
    return str(variable.path).rpartition("/")[2]


class Watcher:
    """One built model.

    Args:
        model: called once before, so that it has its variables.
        layers: by the names under which the same layers go in the models that this one is compared with.
        variables: likewise; by default those of the layers.
        inputs: arrays, one for each input.
        backend: the process's backend.
        seed: of the targets and of what the gradients are taken of.
    """

    def __init__(
        self,
        model: Any,
        layers: Mapping[str, Any],
        inputs: Sequence[Array],
        backend: Backend,
        seed: int,
        *,
        variables: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.layers = layers
        self.backend = backend
        self.seed = seed
        self.variables = by_layer(layers) if variables is None else dict(variables)
        self.put(inputs)

    def put(self, inputs: Sequence[Array]) -> None:
        """Gives it other inputs."""
        self.inputs = list(inputs)
        self._given = inputs[0] if len(inputs) == 1 else list(inputs)

    # State.

    def value(self, tensor: Any) -> Value:
        return value_of(self.backend, tensor)

    def state(self) -> dict[str, Array]:
        """Every variable."""
        return {name: self.value(variable).array for name, variable in self.variables.items()}

    def set_state(self, state: Mapping[str, Array]) -> None:
        """Gives every variable its value.

        Raises:
            KeyError: there is none of that name.
        """
        for name, value in state.items():
            self.variables[name].assign(value)

    # Watching.

    def form(self, *, trains: bool) -> FormSeen:
        """All that is recorded of the model; its variables are then as they were."""
        state = self.state()
        listing = listing_of(self.model)
        run = self.run(trains=trains)
        self.set_state(state)
        names = {id(variable): name for name, variable in self.variables.items()}
        return FormSeen(
            int(self.model.count_params()),
            {name: tuple(map(self._variable, layer.variables)) for name, layer in self.layers.items()},
            tuple(names.get(id(weight), str(weight.path)) for weight in self.model.weights),
            self._declared(),
            run,
            listing,
        )

    def _variable(self, variable: Any) -> Variable:
        dtype = str(self.backend.keras.backend.standardize_dtype(variable.dtype))
        return Variable(_tail(variable), tuple(variable.shape), dtype, bool(variable.trainable))

    def _declared(self) -> list[tuple[int | None, ...]] | None:
        shapes = getattr(self.model, "output_shape", None) if hasattr(self.model, "inputs") else None
        if shapes is None:
            return None
        return [tuple(shapes)] if isinstance(shapes, tuple) and not isinstance(shapes[0], tuple) else [tuple(s) for s in shapes]

    def run(self, *, trains: bool) -> Run:
        """What the model computes from the state that it is in; it is left in another."""
        before = self.state()
        given = self.backend.put_all(self._given)
        outputs = leaves_of(self.model(given, training=False))
        inference, masks = [self.value(leaf) for leaf in outputs], [mask_of(self.backend, leaf) for leaf in outputs]
        moved = tuple(name for name, value in self.state().items() if not _same(value, before[name]))
        self.set_state(before)
        training = [self.value(leaf) for leaf in leaves_of(self.model(given, training=True))]
        losses = [float(self.value(loss).array) for loss in self.model.losses]
        state = self.state()
        self.set_state(before)
        if not trains:
            return Run(inference, masks, moved, training, losses, state, {})
        gradients = self._gradients(inference)
        self.set_state(before)
        predicted, steps = self._trained(inference)
        optimizer = self.optimizer_state()
        return Run(inference, masks, moved, training, losses, state, gradients, predicted, steps, self.state(), optimizer)

    def _random(self, like: Sequence[Value], offset: int) -> list[Array]:
        rng = np.random.default_rng([self.seed, offset, 29])
        return [rng.standard_normal(value.array.shape).astype("float32") for value in like]

    def _gradients(self, like: Sequence[Value]) -> dict[str, Array | None]:
        ops = self.backend.keras.ops
        factors = [self.backend.put(each) for each in self._random(like, 1)]

        def objective(outputs: Any) -> Any:
            parts = [
                ops.sum(ops.cast(leaf, "float32") * factor) for leaf, factor in zip(leaves_of(outputs), factors, strict=True)
            ]
            return sum(parts[1:], start=parts[0])

        found = self.backend.gradients_of(self.model, self._given, objective)
        names = {id(variable): name for name, variable in self.variables.items()}
        return {
            names.get(id(weight), str(weight.path)): gradient
            for weight, gradient in zip(self.model.trainable_weights, found, strict=True)
        }

    @cached_property
    def _optimizer_start(self) -> list[Array]:
        """Compiles the model, and gives its optimizer's variables as they are before the first step."""
        keras = self.backend.keras
        # TensorFlow's XLA takes seconds for each model; JAX knows no other way.
        compiled = {"jit_compile": self.backend.name == "jax"}
        name, options = OPTIMIZERS[self.seed % len(OPTIMIZERS)]
        optimizer = getattr(keras.optimizers, name)(LEARNING_RATE, **options)
        self.model.compile(optimizer=optimizer, loss="mse", **compiled)
        self.model.optimizer.build(self.model.trainable_variables)
        return [self.value(variable).array for variable in self.model.optimizer.variables]

    def train(self, like: Sequence[Value], steps: int = STEPS) -> list[float]:
        """Some steps of the seed's optimizer towards random targets; gives the loss after each.

        Args:
            like: of the shapes of the targets.
            steps: how many.
        """
        start = self._optimizer_start  # which compiles it
        for variable, value in zip(self.model.optimizer.variables, start, strict=True):
            variable.assign(value)
        self.model.reset_metrics()
        targets = self._random(like, 2)
        target = targets[0] if len(targets) == 1 else targets
        said = [self.model.train_on_batch(self._given, target) for _ in range(steps)]
        return [float(np.ravel(np.asarray(each))[0]) for each in said]

    def optimizer_state(self) -> dict[str, Array]:
        """The variables of the optimizer, by the weight that each belongs to and its own name.

        Their order follows that of the model's weights, which is each form's own; their names begin with the weight's path.
        """
        names = {id(variable): name for name, variable in self.variables.items()}
        paths = {str(weight.path).replace("/", "_") + "_": names.get(id(weight)) for weight in self.model.trainable_weights}
        found = {}
        for variable in _inner(self.model.optimizer).variables:
            tail = str(variable.path).rpartition("/")[2]
            owner = max((path for path in paths if tail.startswith(path)), key=len, default="")
            if paths.get(owner) is not None:
                found[f"{tail.removeprefix(owner)} of {paths[owner]}"] = self.value(variable).array
            elif not owner:
                found[tail] = self.value(variable).array
        return found

    def predict(self) -> list[Value]:
        """The outputs of `predict_on_batch`."""
        assert self._optimizer_start is not None  # compiled, so that Keras does not choose how
        return [self.value(leaf) for leaf in leaves_of(self.model.predict_on_batch(self._given))]

    def _trained(self, like: Sequence[Value]) -> tuple[list[Value], list[float]]:
        state = self.state()
        predicted = self.predict()
        self.set_state(state)
        return predicted, self.train(like)


def _inner(optimizer: Any) -> Any:
    """The optimizer itself where another one scales the loss for it."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _same(one: Array, other: Array) -> bool:
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
