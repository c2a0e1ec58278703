"""What is known of a layer before any framework builds it, as frozen data and pure functions."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Build, Case, Name, tensors

if TYPE_CHECKING:
    from pytest_dlcheck.backends.base import Backend
    from pytest_dlcheck.strategies.draw import Draw

__all__ = ["HALF", "POLICIES", "Call", "Expected", "Identity", "Law", "LayerSpec", "Older", "World", "class_of", "never"]

Array = NDArray[Any]

POLICIES = ("float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")
HALF = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


def parameter_names(kind: type, renamed: Mapping[str, str] = MappingProxyType({})) -> frozenset[str]:
    """What a layer's constructor takes, those names among it that hide in `**kwargs`.

    Args:
        kind: the class.
        renamed: by the names that specs use: parameters that have other names there.
    """
    parameters = inspect.signature(kind).parameters
    names = set(parameters)
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        names |= {"activity_regularizer", "trainable", "name"}
    return frozenset(names | {later for later, older in renamed.items() if older in names})


@dataclass(frozen=True)
class World:
    """Where a case is to run, as far as a spec may have to know it.

    Attributes:
        backend: `tensorflow`, `jax`, `torch`, `numpy`.
        keras: Keras's version, as numbers: (3, 15, 1).
        parameters: the names that the subject's constructor takes there; None stands for all.
        device: the kind of device: `cpu`, `gpu`, `tpu`.
        onednn: the dtypes whose convolutions and poolings oneDNN computes there (`Backend.onednn`).
    """

    backend: str = "numpy"
    keras: tuple[int, ...] = (3, 15)
    parameters: frozenset[str] | None = None
    device: str = "cpu"
    onednn: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        backend: str,
        keras_version: str,
        kind: type,
        device: str,
        renamed: Mapping[str, str] = MappingProxyType({}),
    ) -> World:
        """Where a class of an installed Keras runs.

        Args:
            backend: its name.
            keras_version: `3.15.1`.
            kind: the subject's class.
            device: the kind of device.
            renamed: by the names that specs use: parameters that have other names there.
        """
        numbers = tuple(int(part) for part in keras_version.split(".")[:3] if part.isdigit())
        return cls(backend, numbers, parameter_names(kind, renamed), device)

    def by_onednn(self, case: Case) -> bool:
        """Whether oneDNN computes a case's convolutions and poolings."""
        return self.device == "cpu" and case.compute_dtype in self.onednn

    def by_eigen(self, case: Case) -> bool:
        """Whether TensorFlow's own kernels for the CPU compute them."""
        return self.backend == "tensorflow" and self.device == "cpu" and not self.by_onednn(case)

    def takes(self, name: str) -> bool:
        """Whether the constructor has a parameter of that name."""
        return self.parameters is None or name in self.parameters


@dataclass(frozen=True)
class Call:
    """One call of a layer, for a reference or a law: everything in float64, integers and texts as they are.

    Attributes:
        arguments: the constructor's, those that were not given at their defaults.
        weights: by the last part of their path (`kernel`), and, where that is not unique, by as much of the path as is needed.
        inputs: nested as the layer got them.
        keywords: further arguments of the call.
        masks: the attached mask of each tensor of the inputs, None where there is none.
        training: whether it was called in training mode.
        settings: the global settings, `image_data_format` among them.
        adapt: what `adapt` was called with before, None if it was not.
        rounded: applied to what is computed on the way where its rounding counts more than that of what goes in: a gate
            that is 1 but for rounding, and by 1 less which something large is multiplied. Moves it while a tolerance is
            derived, else leaves it.
    """

    arguments: Mapping[str, Any]
    weights: Mapping[str, Array]
    inputs: Any
    keywords: Mapping[str, Any] = field(default_factory=dict)
    masks: Sequence[Array | None] = ()
    training: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    adapt: Any = None
    rounded: Callable[[Array], Array] = lambda array: array

    def __getitem__(self, name: str) -> Any:
        """A constructor argument."""
        return self.arguments[name]

    @property
    def channels_first(self) -> bool:
        """Whether images come channels first: by the argument, else by the global setting."""
        chosen = self.arguments.get("data_format") or self.settings.get("image_data_format", "channels_last")
        return bool(chosen == "channels_first")


@dataclass(frozen=True)
class Expected:
    """What a reference expects beside the outputs.

    Attributes:
        outputs: one array, or a sequence of them in the order in which the frameworks flatten the layer's outputs.
        mask: the mask of the (first) output; None where there is none. Only checked if `checks_mask`.
        checks_mask: whether `mask` says anything.
        state: what each variable holds after the call, by name as in `Call.weights`; those that are left out are not checked.
        losses: the sum of those that the layer adds by itself, beside its regularizers'; None is not checked.
    """

    outputs: Any
    mask: Array | None = None
    checks_mask: bool = False
    state: Mapping[str, Array] = field(default_factory=dict)
    losses: float | None = None


Reference = Callable[[Call], Any]


@dataclass(frozen=True)
class Law:
    """Something that must hold of a call's outputs where no single value can be expected, or none is known.

    Attributes:
        name: in words joined by underscores: `sums_to_one`.
        check: from a call and its outputs (float64, flattened) to what is wrong, or None; the third argument is the unit
            roundoff that the layer computed with.
        training: of which calls: False inference, True training, None both.
    """

    name: str
    check: Callable[[Call, Sequence[Array], float], str | None]
    training: bool | None = False


@dataclass(frozen=True)
class Identity:
    """Two cases whose outputs determine each other: a metamorphic relation.

    Attributes:
        name: in words joined by underscores: `negative_axis_is_positive`.
        other: the second case, None where the identity says nothing of this one. Its weights are made from the same recipe:
            a weight at the same place in the layer with the same name and shape has the same values.
        expected: from the first case and its outputs (flattened, as float64) to what the second one's must be.
        exact: whether the two must be equal bit for bit; else as rounding allows.
        weights: from the first case and the first layer's weights, in order, to the second layer's; by default the same.
    """

    name: str
    other: Callable[[Case], Case | None]
    expected: Callable[[Case, Sequence[Array]], Sequence[Array]] = lambda case, outputs: outputs
    exact: bool = False
    weights: Callable[[Case, Sequence[Array]], Sequence[Array]] | None = None


def never(case: Case, world: World) -> str | None:
    """Nothing is unsupported."""
    del case, world
    return None


def deterministic(case: Case, training: bool) -> bool:
    """Nothing is random."""
    del case, training
    return False


@dataclass(frozen=True)
class Older:
    """How an older generation of Keras differs from what a spec is written for.

    Attributes:
        arguments: by the names that specs use: constructor arguments that have other names there.
        weights: by their names there: weights that specs call otherwise.
        absent: what the constructor does not take there, and does as if it were given.
        values: functions that are others there under the same name, and what references call those.
        not_here: why a case is not run there; None if it is.
    """

    arguments: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    not_here: Callable[[Case], str | None] = lambda case: None

    def meant(self, value: Any) -> Any:
        """A case's value as references take it."""
        if isinstance(value, str):
            return self.values.get(value, value)
        if isinstance(value, Name):
            module, _, name = value.path.rpartition(".")
            return Name(f"{module}.{self.values[name]}") if name in self.values else value
        if isinstance(value, Build):
            return Build(value.path, self.meant(value.arguments), self.meant(value.positional))
        if isinstance(value, Mapping):
            return {key: self.meant(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.meant(item) for item in value)
        return value


@dataclass(frozen=True)
class LayerSpec:
    """One layer.

    Attributes:
        name: the class in `keras.layers`.
        draw: draws a case that is valid by construction.
        reference: gives what must come out, in float64; None of a call where only laws are known.
        source: where the formula of the reference is documented.
        aliases: other names of the same class.
        policies: the dtype policies that it is to be run under. `none` passes no dtype (text, integers).
        laws: what must hold of its outputs.
        identities: other cases with which it must agree.
        unsupported: why a case is documented not to work somewhere; it must then fail with an error. None if it must work.
        random: whether a case's outputs are random, in training or in inference.
        rows: whether each sample's output depends on that sample alone.
        rows_in_training: the same in training mode.
        stateful: whether a case's call in inference mode changes its state, as documented.
        keeps: the axes whose sizes are those of the first call, as documented, though no weight has them.
        sample_rank: the rank of an input that is one sample, not a batch of them, if the layer takes such inputs.
        scale: 1 for gates and probabilities, whose intermediate values are of that size however small the output is.
        not_drawn: constructor parameters that are not drawn, each with the reason.
        exempt: properties that do not apply, each with the reason.
        requires: modules without which the layer cannot be used, beyond the backend.
        backends: on which the layer exists; empty for all.
        not_differentiable: why it has no gradient, as documented; empty if it has one. It must then have none.
        held_constant: why a case's gradient in training is, as documented, not that of its values: it takes something that
            depends on the inputs for constant. Empty if it does not.
        abstract: not a layer to be called, and why; then only its being there is checked.
        older: how the installed Keras differs, if it is of an older generation.
    """

    name: str
    draw: Callable[[Draw], None]
    reference: Reference | None = None
    source: str = ""
    aliases: tuple[str, ...] = ()
    policies: tuple[str, ...] = POLICIES
    laws: tuple[Law, ...] = ()
    identities: tuple[Identity, ...] = ()
    unsupported: Callable[[Case, World], str | None] = never
    random: Callable[[Case, bool], bool] = deterministic
    rows: bool = True
    rows_in_training: bool = True
    stateful: Callable[[Case], bool] = lambda case: False
    keeps: Callable[[Case], Sequence[int]] = lambda case: ()
    sample_rank: int | None = None
    scale: float = 0.0
    not_drawn: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    exempt: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    requires: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    not_differentiable: str = ""
    held_constant: Callable[[Case], str] = lambda case: ""
    abstract: str = ""
    older: Older = field(default_factory=Older)

    def has_batch(self, case: Case) -> bool:
        """Whether the inputs are a batch of samples."""
        return not any(len(tensor.shape) == self.sample_rank for tensor in tensors(case.inputs))

    @property
    def subject(self) -> str:
        return f"keras.layers.{self.name}"


def class_of(spec: LayerSpec, backend: Backend, keras_version: str) -> type | str:
    """The spec's class in an installed Keras; why there is none to check, as a text, if there is not.

    Args:
        spec: of the layer.
        backend: loaded.
        keras_version: `3.15.1`.
    """
    kind: type | None = getattr(backend.keras.layers, spec.name, None)
    if kind is None:
        return f"keras {keras_version} has no layers.{spec.name}"
    if spec.backends and backend.name not in spec.backends:
        return f"{spec.name} exists on {', '.join(spec.backends)} only"
    missing = [module for module in spec.requires if importlib.util.find_spec(module) is None]
    return f"{spec.name} needs the module {missing[0]}, which is not installed" if missing else kind


def flat(outputs: Any) -> list[Array]:
    """A reference's outputs as a list."""
    if isinstance(outputs, Mapping):
        return [each for key in sorted(outputs) for each in flat(outputs[key])]
    if isinstance(outputs, (list, tuple)):
        return [each for item in outputs for each in flat(item)]
    return [np.asarray(outputs)]
