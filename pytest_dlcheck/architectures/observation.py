"""What is recorded of one model built in several ways: plain arrays and names, nothing of a framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from pytest_dlcheck.observe.layer_observation import Raised, Value

__all__ = ["FormSeen", "Frozen", "Listing", "Middle", "ModelsSeen", "Run", "Thawed", "Variable"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Variable:
    """One variable, in the order in which its layer has it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool


@dataclass(frozen=True)
class Run:
    """What a model computes from a state that it has been given.

    Attributes:
        inference: the outputs in inference mode.
        masks: the mask attached to each of them.
        moved_by_inference: the variables that the call in inference mode changed.
        training: the outputs in training mode.
        losses: what the model adds to its loss by itself, in the order in which it does, after the call in training mode.
        state: every variable after that call, by its layer and place.
        gradients: of the sum of the outputs times fixed random numbers, for each trainable weight; None where there is no path.
        predicted: the outputs of `predict_on_batch`, which runs as a graph or compiled.
        steps: the loss of each `train_on_batch`.
        after: every variable after these.
        optimizer: the optimizer's variables after these, by the weight that they belong to and their name.
    """

    inference: Sequence[Value]
    masks: Sequence[Array | None]
    moved_by_inference: tuple[str, ...]
    training: Sequence[Value]
    losses: Sequence[float]
    state: Mapping[str, Array]
    gradients: Mapping[str, Array | None]
    predicted: Sequence[Value] = ()
    steps: Sequence[float] = ()
    after: Mapping[str, Array] = field(default_factory=dict)
    optimizer: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """What a model says of its layers.

    Attributes:
        rows: the layers that `summary` lists, in order, with the number of parameters that stands beside each.
        totals: the numbers below the table: `total`, `trainable`, `non-trainable`, and `optimizer` where it has one.
        layers: the names in `model.layers`, in order.
        sizes: the number of entries of each of these layers' weights, counted once each.
        weights: the number of entries of the trainable weights of the model, and of the others.
        optimizer: the number of entries of the optimizer's variables; 0 where it is not built.
        by_name: for each name, the places in `model.layers` of the object that `get_layer(name)` gave.
        by_index: the same for each index.
        refused: whether `get_layer` raised a ValueError for a name and for an index that there is not.
    """

    rows: Sequence[tuple[str, int]]
    totals: Mapping[str, int]
    layers: tuple[str, ...]
    sizes: tuple[int, ...]
    weights: tuple[int, int]
    optimizer: int
    by_name: Mapping[str, tuple[int, ...]]
    by_index: tuple[tuple[int, ...], ...]
    refused: tuple[bool, bool]


@dataclass(frozen=True)
class FormSeen:
    """One model.

    Attributes:
        parameters: what `count_params()` says.
        variables: of each layer, by its name (or of the whole model, in order).
        weights: the names of the model's own list of weights, in order, each with its layer's.
        declared: the shapes that the model declares for its outputs; None where it declares none.
        run: what it computes.
        listing: what it says of its layers, or the error that asking ended in.
    """

    parameters: int
    variables: Mapping[str, tuple[Variable, ...]]
    weights: tuple[str, ...]
    declared: Sequence[tuple[int | None, ...]] | None
    run: Run
    listing: Listing | Raised | None = None


@dataclass
class ModelsSeen:
    """One model in several forms, the one that the others are compared with first.

    Attributes:
        dtype: that the models compute in: of it is the rounding that is allowed for.
        ordered: whether every form has its layers in the same order.
        named: whether variables that stand for each other have the same names.
        forms: each form, or the error that it ended in.
        moved: the first form's run from weights and inputs moved by two units of roundoff, a few times; empty where the forms
            agree to the last bit, so that nobody needs to know.
        parting: where a form parts from the first one, in words, where the outputs do.
        copies: the first form cloned, made from its config, made from JSON, saved and loaded, and built in other ways.
        longer: the forms that take inputs of any length, given longer ones than they were built with.
        frozen: what was trainable after `trainable = False`, and what training then changed; None if it was not tried.
        cut: the outputs of models that end at each layer, beside those that the layers gave when the whole model ran.
        middle: a part cut out of the middle of the graph; None where there is none.
        inside: the outputs of forms that were called inside a user's function, by the form and what the function was made by.
        thawed: one layer frozen and thawed; None where there is none to choose.
        batches: the outputs for the samples one by one, put together; None where they depend on each other.
    """

    dtype: str
    ordered: bool = False
    named: bool = True
    forms: dict[str, FormSeen | Raised] = field(default_factory=dict)
    moved: list[Run] = field(default_factory=list)
    parting: dict[str, str] = field(default_factory=dict)
    copies: dict[str, FormSeen | Raised] = field(default_factory=dict)
    longer: ModelsSeen | Raised | None = None
    frozen: Frozen | Raised | None = None
    cut: dict[str, tuple[Sequence[Value], Sequence[Value]]] | Raised | None = None
    middle: Middle | Raised | None = None
    inside: dict[str, Sequence[Value] | Raised] = field(default_factory=dict)
    thawed: Thawed | Raised | None = None
    batches: Sequence[Value] | Raised | None = None

    @property
    def first(self) -> FormSeen | None:
        """What the others are compared with, if it went well."""
        found = next(iter(self.forms.values()), None)
        return found if isinstance(found, FormSeen) else None

    @property
    def others(self) -> dict[str, FormSeen]:
        """The other forms and the copies that went well."""
        later = {name: form for index, (name, form) in enumerate(self.forms.items()) if index}
        return {name: form for name, form in {**later, **self.copies}.items() if isinstance(form, FormSeen)}


@dataclass(frozen=True)
class Frozen:
    """A model that was frozen, trained, and unfrozen.

    Attributes:
        trainable: how many trainable weights it had while it was frozen.
        moved: the weights that training changed meanwhile.
        before: its trainable weights before, by name.
        back: and after it was unfrozen.
    """

    trainable: int
    moved: tuple[str, ...]
    before: tuple[str, ...]
    back: tuple[str, ...]


@dataclass(frozen=True)
class Middle:
    """A model cut out of another's graph, from tensors inside it to a later one.

    Attributes:
        which: from where to where, in words.
        whole: what the layer at its end gave in the whole model.
        part: what the part gave for what the layers at its beginning gave in the whole model.
        again: what was made from its config, with its weights, gave.
        entries: the number of entries of the weights of the layers in it.
        parameters: the numbers that `count_params` says of it, and of what was made from its config.
        changed: what became of the whole model's config, in words; empty where it is as it was.
    """

    which: str
    whole: Sequence[Value]
    part: Sequence[Value]
    again: Sequence[Value]
    entries: int
    parameters: tuple[int, int]
    changed: str = ""


@dataclass(frozen=True)
class Thawed:
    """One layer frozen and thawed, with a step of training from one start as the model was, frozen, and thawed.

    Attributes:
        layer: its name.
        own: the names of its trainable weights.
        before: of all trainable weights of the model.
        kept: of those that are trainable while the layer is frozen.
        after: of those that are after it was thawed.
        listing: what the model says of its layers while one is frozen.
        start: the values of all trainable weights that each step starts from.
        whole, without, back: their values after the step: before, frozen, thawed.
        moved: after the step from starts that were moved by two units of roundoff; empty where all agree to the last bit.
        comparable: whether freezing the layer leaves what it computes in training mode as it is: batch normalization does not.
    """

    layer: str
    own: tuple[str, ...]
    before: tuple[str, ...]
    kept: tuple[str, ...]
    after: tuple[str, ...]
    listing: Listing | Raised
    start: Mapping[str, Array]
    whole: Mapping[str, Array]
    without: Mapping[str, Array]
    back: Mapping[str, Array]
    moved: Sequence[Mapping[str, Array]]
    comparable: bool
