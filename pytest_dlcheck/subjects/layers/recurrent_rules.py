"""What must hold of recurrent layers beyond their formulas: laws of their dropout and first biases, and pairs of cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Build, Case, Tensor, map_tensors
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import recurrent as references
from pytest_dlcheck.subjects.identities import compute_dtype, of_array
from pytest_dlcheck.subjects.spec import Call, Identity, Law
from pytest_dlcheck.tolerance import perturbed

__all__ = [
    "FORGET_BIAS",
    "INITIAL_ZEROS",
    "LAST_OF_SEQUENCE",
    "MASKED_STEPS",
    "MORE_PADDING",
    "OF_ITS_CELL",
    "ONE_MASK_FOR_ALL_STEPS",
    "REVERSED",
    "UNROLLED",
    "is_random",
    "is_stateful",
    "mapped_steps",
]

Array = NDArray[Any]


def _argument(value: Any, name: str) -> bool:
    """Whether an argument is given, and is not zero, anywhere in a nest of layers."""
    if isinstance(value, Build):
        return _argument(value.arguments, name)
    if isinstance(value, Mapping):
        return bool(value.get(name)) or any(_argument(each, name) for each in value.values())
    return isinstance(value, (list, tuple)) and any(_argument(each, name) for each in value)


def is_random(case: Case, training: bool) -> bool:
    """Whether something is dropped."""
    return training and any(_argument(case.arguments, name) for name in ("dropout", "recurrent_dropout"))


def is_stateful(case: Case) -> bool:
    """Whether the layer, or one inside it, remembers."""
    return _argument(case.arguments, "stateful")


# Laws.

MOST_DROPPED = 8
"""Entries to be dropped of which every subset is tried: 2 to the power of this."""
GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}


def _one_mask_for_all_steps(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """Each sample drops some features and some units, the same ones at every step, and scales the others up by 1 / (1 - rate).

    Y. Gal and Z. Ghahramani, arXiv:1512.05287, as the layers' `dropout` and `recurrent_dropout` document. All subsets are
    tried: one of them must give the outputs that were seen. With `recurrent_dropout` each gate drops its own.
    """
    rates = [float(call.arguments.get(name) or 0.0) for name in ("dropout", "recurrent_dropout")]
    kind = "LSTM" if "unit_forget_bias" in call.arguments else "GRU" if "reset_after" in call.arguments else "SimpleRNN"
    gates = GATES[kind] if rates[1] else 1
    sizes = [gates * size if rate else 0 for size, rate in zip((call.inputs.shape[-1], call["units"]), rates, strict=True)]
    if not 0 < sum(sizes) <= MOST_DROPPED:
        return None
    kept = np.array(list(product((0.0, 1.0), repeat=sum(sizes))))
    table = [
        None if not rate else (part / (1 - rate)).reshape(len(kept), gates, -1).transpose(1, 0, 2)
        for part, rate in zip(np.split(kept, sizes[:1], axis=1), rates, strict=True)
    ]
    for row in range(len(call.inputs)):
        seen = np.concatenate([output[row].reshape(-1) for output in outputs])
        with np.errstate(over="ignore", invalid="ignore"):
            bounded = perturbed(
                lambda move, row=row: _dropped(  # type: ignore[misc]
                    call, move, kind=kind, row=row, factors=(table[0], table[1]), count=len(kept)
                ),
                unit_roundoff=unit_roundoff,
                scale=1.0,
            )
            near = np.abs(seen - bounded.value) <= bounded.tolerance
        if not near.all(axis=1).any():
            best = int(np.argmax(near.sum(axis=1)))
            return (
                f"no choice of dropped features and units gives the outputs of sample {row}, {seen.tolist()}; the nearest, "
                f"{bounded.value[best].tolist()}, keeps {kept[best].tolist()}"
            )
    return None


def _dropped(
    call: Call, move: Callable[[Array], Array], *, kind: str, row: int, factors: references.Factors, count: int
) -> Array:
    """What one sample gives under each choice of what is dropped, a row each."""

    def repeated(array: Array) -> Array:
        return np.repeat(array[row : row + 1], count, axis=0)

    weights = {name: move(array) for name, array in call.weights.items() if "rnn_state_" not in name}
    initial, (mask, _) = references.initial_of(call), references.mask_of(call)
    found = references.run(
        references.cell_of(kind, call.arguments, references.WeightsInOrder(weights), factors=factors),
        repeated(move(call.inputs)),
        None if initial is None else [repeated(move(each)) for each in initial],
        None if mask is None else repeated(mask),
        go_backwards=call["go_backwards"],
    )
    leaves = [found.outputs if call["return_sequences"] else found.last, *(found.states if call["return_state"] else ())]
    return np.concatenate([leaf.reshape(count, -1) for leaf in leaves], axis=1)


def _forget_bias(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """A layer's first biases: 1 for the forget gate and 0 for the others with `unit_forget_bias`, else the initializer's.

    https://keras.io/api/layers/recurrent_layers/lstm/: it will "force `bias_initializer="zeros"`". Biases that are neither all
    zeros nor ones were given to the layer after it was built, and say nothing.
    """
    del outputs, unit_roundoff
    given = call.arguments.get("bias_initializer", "zeros")
    bias = next((array for name, array in call.weights.items() if name.rpartition("/")[2] == "bias"), None)
    if bias is None or given not in ("zeros", "ones"):
        return None
    one, forget, *rest = np.split(bias, 4)
    if not np.isin([one, *rest], (0.0, 1.0)).all():
        return None
    unit = call["unit_forget_bias"]
    others = 1.0 if given == "ones" and not unit else 0.0
    wanted = np.concatenate([np.full_like(one, others), np.full_like(forget, 1.0 if unit else others), *[0 * one + others] * 2])
    return None if np.array_equal(bias, wanted) else f"the bias begins as {bias.tolist()} instead of {wanted.tolist()}"


ONE_MASK_FOR_ALL_STEPS = Law("drops_the_same_at_every_step", _one_mask_for_all_steps, training=True)
FORGET_BIAS = Law("first_bias", _forget_bias)


# Identities.


def _mask(case: Case) -> Tensor | None:
    mask: Tensor | None = case.call.get("mask")
    return mask if mask is not None else (case.masks or (None,))[0]


def with_mask(case: Case, mask: Tensor) -> Case:
    """The case with another mask, attached if it was, else by keyword."""
    if case.masks is not None and case.masks[0] is not None:
        return case.replace(masks=(mask,))
    return case.replace(call={**case.call, "mask": mask})


def mapped_steps(case: Case, function: Callable[[Array], Array], of_mask: Callable[[Array], Array] | None = None) -> Case:
    """The case with a function applied to its sequences, and one (by default the same) to its mask, if it has one."""
    found = case.replace(
        inputs=map_tensors(
            lambda tensor: of_array(function(make(tensor, compute_dtype(case))), tensor.dtype),
            case.inputs,
        )
    )
    mask = _mask(case)
    return found if mask is None else with_mask(found, of_array((of_mask or function)(make(mask)), "bool"))


def _unrolled(case: Case) -> Case | None:
    return case.with_arguments(unroll=not case.arguments.get("unroll", False))


def _reversed(case: Case) -> Case | None:
    return mapped_steps(case.with_arguments(go_backwards=not case.arguments.get("go_backwards", False)), lambda x: x[:, ::-1])


def _other_masked_values(case: Case) -> Case | None:
    mask = _mask(case)
    if mask is None:
        return None
    kept = make(mask).astype(bool)

    def changed(x: Array) -> Array:
        other = 1 - x / 2
        return np.where(kept.reshape(*kept.shape, *(1,) * (x.ndim - 2)), x, other)

    return mapped_steps(case, changed, lambda rows: rows)


PADDED = 2


def _more_padding(case: Case) -> Case | None:
    """Two steps of padding behind each sequence, as a mask says; with one of its own, behind what that leaves out too."""

    def longer(x: Array) -> Array:
        return np.concatenate([x, np.ones((x.shape[0], PADDED, *x.shape[2:]), x.dtype)], axis=1)

    def longer_mask(rows: Array) -> Array:
        return np.concatenate([rows, np.zeros((len(rows), PADDED), bool)], axis=1)

    if _mask(case) is None and case.name.startswith("ConvLSTM"):
        return None  # which cannot be masked everywhere: where they can, the cases with masks show
    batch, steps = case.inputs.shape[:2]
    whole = case if _mask(case) is not None else with_mask(case, of_array(np.ones((batch, steps), bool), "bool"))
    return mapped_steps(whole, longer, longer_mask)


def _padded_outputs(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    if not case.arguments.get("return_sequences"):
        return outputs
    sequence, *states = outputs
    nothing = np.zeros_like(sequence[:, :1])
    if case.arguments.get("go_backwards"):  # the padding comes first, before any output
        return [np.concatenate([*[nothing] * PADDED, sequence], axis=1), *states]
    last = nothing if case.arguments.get("zero_output_for_mask") else sequence[:, -1:]
    return [np.concatenate([sequence, *[last] * PADDED], axis=1), *states]


def _only_the_last(case: Case) -> Case | None:
    if not case.arguments.get("return_sequences") or (case.arguments.get("zero_output_for_mask") and _mask(case) is not None):
        return None
    return case.without("return_sequences")


def _initial_zeros(case: Case) -> Case | None:
    if "initial_state" in case.call or is_stateful(case) or (case.masks or (None,))[0] is not None:
        return None  # a mask that is attached gets lost there: the reference says so
    units, batch = case.arguments["units"], case.inputs.shape[0]
    zeros = [Tensor((batch, units), "float", "zeros") for _ in range(2 if case.name == "LSTM" else 1)]
    return case.replace(call={"initial_state": zeros, **case.call})


_OF_LAYER = (
    "return_sequences",
    "return_state",
    "go_backwards",
    "stateful",
    "unroll",
    "activity_regularizer",
    "name",
    "trainable",
)


def _of_its_cell(case: Case) -> Case | None:
    """`RNN` over the cell of that kind."""
    inner = {name: value for name, value in case.arguments.items() if name not in (*_OF_LAYER, "use_cudnn")}
    if case.policy not in {"float32", "none"}:
        inner["dtype"] = case.policy
    outer = {name: value for name, value in case.arguments.items() if name in _OF_LAYER}
    return case.replace(subject="keras.layers.RNN", arguments={"cell": Build(f"{case.subject}Cell", inner), **outer})


UNROLLED = Identity("unrolled_is_looped", _unrolled)
REVERSED = Identity("backwards_is_forwards_reversed", _reversed)
MASKED_STEPS = Identity("masked_steps_do_not_matter", _other_masked_values, exact=True)
MORE_PADDING = Identity("padding_with_a_mask_changes_nothing", _more_padding, _padded_outputs)
LAST_OF_SEQUENCE = Identity(
    "last_of_the_sequence_is_the_output",
    _only_the_last,
    lambda case, outputs: [outputs[0][:, -1], *outputs[1:]],
)
INITIAL_ZEROS = Identity("begins_with_zeros", _initial_zeros)
OF_ITS_CELL = Identity("is_rnn_of_its_cell", _of_its_cell)
