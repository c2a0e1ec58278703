"""What is recorded of a layer: plain arrays and names, nothing of a framework."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Case

__all__ = ["Declared", "Dropped", "LayerObservation", "Outcome", "Raised", "Resized", "Restored", "Value", "Weight"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Raised:
    """An error: its class, its message, and from which of the calls it came."""

    kind: str
    message: str
    during: str

    def __str__(self) -> str:
        return f"{self.kind} in {self.during}: {telling_line(self.message)}"


def telling_line(message: str) -> str:
    """The line of an error's message that says what is wrong."""
    # Keras puts a line before the message that only names the layer, and prints the message itself in bold.
    lines = [line.strip() for line in re.sub(r"\x1b\[\d*m", "", message).splitlines()]
    telling = [line for line in lines if line and not line.startswith("Exception encountered when calling")]
    # TensorFlow's autograph puts the places in the code first, and what is wrong last.
    return (telling or [""])[-1 if telling and telling[0] == "in user code:" else 0][:300]


@dataclass(frozen=True)
class Value:
    """One array, in a dtype that NumPy has; `dtype` is the framework's."""

    dtype: str
    array: Array

    @property
    def float64(self) -> Array:
        return np.asarray(self.array, dtype=np.float64)


@dataclass(frozen=True)
class Weight:
    """One weight after building, with the values that it was given."""

    name: str
    dtype: str
    array: Array
    initial: Array
    trainable: bool
    constrained: bool = False


@dataclass(frozen=True)
class Outcome:
    """One call.

    Attributes:
        structure: of the outputs: `*`, `[*, *]`, `{a: *}`.
        values: the outputs, flattened.
        masks: the mask that each of them carries.
        state: every variable of the layer after the call, by path.
        losses: the layer's, after the call.
    """

    structure: str
    values: Sequence[Value]
    masks: Sequence[Array | None] = ()
    state: Mapping[str, Array] = field(default_factory=dict)
    losses: Sequence[float] = ()


@dataclass(frozen=True)
class Declared:
    """What a layer says of its outputs before it computes them; None for a size that it cannot know."""

    structure: str
    shapes: Sequence[tuple[int | None, ...]]
    dtypes: Sequence[str] = ()


@dataclass(frozen=True)
class Restored:
    """A layer made anew from what was written of the first one."""

    outcome: Outcome
    config: Any = None


@dataclass(frozen=True)
class Dropped:
    """The same case without one of the constructor's arguments: what of it differs, in words; nothing if nothing does.

    Attributes:
        argument: which one.
        differences: what differs: `shape`, `values`, `values in training`, `losses`, `weights`, `trainable`.
    """

    argument: str
    differences: Sequence[str]


@dataclass(frozen=True)
class Resized:
    """Calls on inputs of another size than the layer was first called with.

    Attributes:
        shape: of these inputs.
        new: the call of a layer that was made for them, with the same weights.
        called: that of the layer.
    """

    shape: tuple[int, ...]
    new: Outcome
    called: Outcome | Raised


@dataclass
class LayerObservation:
    """A case on one backend. A part is None where it was not asked for, `Raised` where it ended in an error.

    Attributes:
        case: what was run.
        backend: on what.
        defaults: the constructor's defaults, where they are plain values.
        weights: after building.
        inputs: as given, and as they are after all calls, flattened.
        eager: a call in inference mode.
        again: a second one.
        training: a call in training mode, from the same state.
        training_again: the same of a second layer made from the same case, from the same state.
        declared: by how it was asked: `symbolic`, `compute_output_shape`, and both with unknown sizes.
        rows: one call per sample (the first few), in inference mode.
        defaulted: a layer given its defaults in words.
        restored: by how: `config`, `keras`, `weights`.
        config: what `get_config` says, as JSON values.
        graph: the call as a graph, traced with unknown sizes.
        compiled: the call compiled.
        dropped: what one of the arguments does, if the case is valid without it.
        identities: by name: the other case's call.
        exact: the case in float64, where the backend computes in it.
        empty: a call with no samples.
        resized: a call on inputs of another size.
    """

    case: Case
    backend: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    weights: Sequence[Weight] | Raised = ()
    inputs: Sequence[Array] = ()
    inputs_after: Sequence[Array] | None = None
    eager: Outcome | Raised | None = None
    again: Outcome | Raised | None = None
    training: Outcome | Raised | None = None
    training_again: Outcome | Raised | None = None
    state_before: Mapping[str, Array] = field(default_factory=dict)
    declared: Mapping[str, Declared | Raised] | None = None
    rows: Sequence[Outcome | Raised] | None = None
    defaulted: Outcome | Raised | None = None
    restored: Mapping[str, Restored | Raised] | None = None
    config: Any = None
    graph: Outcome | Raised | None = None
    compiled: Outcome | Raised | None = None
    dropped: Dropped | None = None
    identities: Mapping[str, Outcome | Raised] | None = None
    exact: Outcome | Raised | None = None
    empty: Outcome | Raised | None = None
    resized: Resized | None = None
