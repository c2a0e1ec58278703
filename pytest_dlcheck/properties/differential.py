"""Properties of a case on two products: both take it or neither does, and what comes out is the same.

Where the spec has a reference, that independent computation in float64 says who is wrong: two products may well agree on what
is not so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.differential.comparison import Comparison
from pytest_dlcheck.observe.layer_observation import Outcome, Raised, Value
from pytest_dlcheck.peers.answers import CRASH, ERROR, RAN, TIMEOUT, UNSUPPORTED, Answer
from pytest_dlcheck.properties.comparison import within
from pytest_dlcheck.properties.layers.judging import compare
from pytest_dlcheck.properties.verdict import PASS, Verdict, failed, first_failure, passed
from pytest_dlcheck.tolerance import Bounded

__all__ = [
    "PROPERTIES",
    "DifferentialProperty",
    "gradients_agree",
    "masks_agree",
    "outputs_are_alike",
    "special_values_agree",
    "taken_alike",
    "training_agrees",
    "values_agree",
]


def taken_alike(compared: Comparison) -> Verdict:
    """Both compute the case, or both refuse it; what the spec says not to work on one of them may be refused there."""
    answer, seen = compared.answer, compared.judging.seen
    if answer.outcome == UNSUPPORTED:
        return Verdict("unsupported", f"{compared.product}: {answer.message}")
    if answer.outcome in {CRASH, TIMEOUT}:
        return Verdict(answer.outcome, answer.message)
    here = seen.eager
    refused_here, refused_there = isinstance(here, Raised), answer.outcome == ERROR
    spec = compared.judging.spec
    documented = spec.unsupported(seen.case, compared.judging.world if refused_here else compared.world)
    if refused_here == refused_there:
        return passed(
            "both compute it" if not refused_here else f"both refuse it: {here}; {compared.product}: {answer.message}"
        )
    told = f"refused here ({here}), and {compared.product} computes it"
    if refused_there:
        told = f"computed here, and {compared.product} refuses it: {answer.message}"
    if documented is not None:
        return passed(f"{told}: {documented}")
    return Verdict("reject_mismatch", f"{told}\nthe case is valid by the layer's documentation, as the spec reads it")


def _both(compared: Comparison) -> tuple[Outcome, Answer] | None:
    outcome = compared.judging.outcome
    return (outcome, compared.answer) if outcome is not None and compared.answer.outcome == RAN else None


def _unlike(what: str, here: Outcome, there: Answer, product: str) -> Verdict | None:
    """What structure, shapes and dtypes differ in; None where they are the same."""
    if here.structure != there.structure:
        return failed(f"{what}: {here.structure}, and {there.structure} on {product}")
    for index, (one, other) in enumerate(zip(here.values, there.values, strict=True)):
        if one.array.shape != other.array.shape:
            return failed(f"{what} {index}: shape {one.array.shape}, and {other.array.shape} on {product}")
        if one.dtype != other.dtype:
            return failed(f"{what} {index}: dtype {one.dtype}, and {other.dtype} on {product}")
    return None


def outputs_are_alike(compared: Comparison) -> Verdict | None:
    """Outputs have the same structure, shapes and dtypes."""
    both = _both(compared)
    if both is None:
        return None
    found = _unlike("output", *both, compared.product)
    return found or passed(", ".join(f"{value.dtype}{list(value.array.shape)}" for value in both[0].values))


def _comparable(here: Outcome, there: Answer) -> bool:
    """Whether there are values to compare, one by one; shapes that differ are another property's matter."""
    return [each.array.shape for each in here.values] == [each.array.shape for each in there.values]


def _pattern(value: Value) -> NDArray[np.int8]:
    """1 for infinity, -1 for its negative, 2 for NaN, 0 for all else."""
    array = value.float64
    return np.where(np.isnan(array), 2, np.where(np.isinf(array), np.sign(np.nan_to_num(array)), 0)).astype(np.int8)


def _fault(compared: Comparison, index: int, there: Value, training: bool) -> str:
    """Who is wrong about an output, by the reference."""
    judging = compared.judging
    reference = judging.reference(training)
    outcome = judging.seen.training if training else judging.outcome
    if reference is None or index >= len(reference) or not isinstance(outcome, Outcome):
        return "there is no reference that could say who is wrong"
    wrong = [
        name
        for name, value in (("this product", outcome.values[index]), (compared.product, there))
        if compare("", value, reference[index]).outcome != PASS
    ]
    return f"by the float64 reference ({judging.spec.source}), wrong: {' and '.join(wrong) or 'neither'}"


def special_values_agree(compared: Comparison) -> Verdict | None:
    """NaN and infinities are at the same places."""
    both = _both(compared)
    if both is None or not _comparable(*both) or compared.judging.random():
        return None
    for index, (one, other) in enumerate(zip(both[0].values, both[1].values, strict=True)):
        if one.array.dtype.kind != "f" or other.array.dtype.kind != "f" or compared.judging.too_large([one.array, other.array]):
            continue
        differs = np.argwhere(_pattern(one) != _pattern(other))
        if len(differs):
            place = tuple(int(i) for i in differs[0])
            told = f"output {index} at {list(place)}: {one.array[place]}, and {other.array[place]} on {compared.product}"
            return failed(f"{told}\n{_fault(compared, index, other, training=False)}")
    return passed("NaN and infinities at the same places")


def _values(compared: Comparison, here: Outcome, there: Answer, training: bool) -> Verdict:
    said = []
    for index, (one, other) in enumerate(zip(here.values, there.values, strict=True)):
        what = f"output {index} of {compared.product}"
        if one.array.dtype.kind not in "fc" or other.array.dtype.kind not in "fc":
            verdict = compare(what, other, one.array)
        elif compared.judging.too_large([one.array]):
            continue
        else:
            bounded = compared.judging.between(one, index, training)
            finite = np.isfinite(one.float64) & np.isfinite(other.float64)
            bounded = Bounded(np.where(finite, bounded.value, 0), bounded.tolerance, bounded.derived)
            verdict = within(what, np.where(finite, other.float64, 0), bounded, one.dtype)
        if verdict.outcome != PASS:
            verdict = failed(f"{verdict.message}\n{_fault(compared, index, other, training)}")
        said.append(verdict)
    return first_failure(*said)


def values_agree(compared: Comparison) -> Verdict | None:
    """Outputs are the same, as far as the rounding of both allows."""
    both = _both(compared)
    if both is None or not _comparable(*both) or compared.judging.random():
        return None
    return _values(compared, *both, training=False)


def masks_agree(compared: Comparison) -> Verdict | None:
    """Outputs carry the same masks, or none."""
    both = _both(compared)
    if both is None or len(both[0].masks) != len(both[1].masks):
        return None
    for index, (one, other) in enumerate(zip(both[0].masks, both[1].masks, strict=True)):
        if (one is None) != (other is None) or (one is not None and not np.array_equal(one, np.asarray(other))):
            told = ["no mask" if each is None else str(np.asarray(each).tolist()) for each in (one, other)]
            return failed(f"output {index} carries {told[0]}, and {told[1]} on {compared.product}")
    return passed(f"masks of {len(both[0].masks)} outputs")


def training_agrees(compared: Comparison) -> Verdict | None:
    """In training mode outputs are the same, and so is every weight after the call."""
    judging, there = compared.judging, compared.training
    here = judging.seen.training
    if there is None or not isinstance(here, Outcome) or judging.random(training=True):
        return None
    if there.outcome != RAN:
        outcome = there.outcome if there.outcome in {CRASH, TIMEOUT, UNSUPPORTED} else "reject_mismatch"
        return Verdict(outcome, f"in training mode {compared.product}: {there.message}")
    unlike = _unlike("in training mode, output", here, there, compared.product)
    if unlike is not None:
        return unlike
    said = [_values(compared, here, there, training=True)]
    assert not isinstance(judging.seen.weights, Raised)
    for weight, theirs in zip(judging.seen.weights, there.state, strict=True):
        places = [path for path in here.state if path == weight.name or path.endswith("/" + weight.name)]
        if weight.array.dtype.kind != "f" or len(places) != 1:
            continue
        ours = np.asarray(here.state[places[0]], dtype=np.float64)
        bounded = Bounded(ours, 2 * judging.state_tolerance(weight.array, ours), "both sides round a mean and its average")
        said.append(within(f"{weight.name} after a training call on {compared.product}", theirs, bounded))
    return first_failure(*said)


def gradients_agree(compared: Comparison) -> Verdict | None:
    """Gradients by inputs and weights are those in float64 here, as far as rounding in float32 allows."""
    slopes, there = compared.slopes, compared.slopes_answer
    if slopes is None or there is None or there.outcome != RAN or not there.differentiated:
        return None
    if len(slopes.inputs) != len(there.input_gradients) or len(slopes.weights) != len(there.weight_gradients):
        return failed(
            f"{compared.product} has gradients by {len(there.input_gradients)} inputs, and not by {len(slopes.inputs)}"
        )
    pairs = [(f"input {index}", *pair) for index, pair in enumerate(zip(slopes.inputs, there.input_gradients, strict=True))]
    pairs += [
        (name, bounded, theirs)
        for name, bounded, theirs in zip(slopes.names, slopes.weights, there.weight_gradients, strict=True)
        if bounded is not None
    ]
    said = [_gradient(f"gradient by {name} on {compared.product}", bounded, theirs) for name, bounded, theirs in pairs]
    return first_failure(*said) if said else None


def _gradient(what: str, bounded: Bounded, theirs: NDArray[np.generic] | None) -> Verdict:
    """No path counts as a gradient of zeros."""
    found = np.zeros_like(bounded.value) if theirs is None else np.asarray(theirs, dtype=np.float64)
    if found.shape == bounded.value.shape:
        return within(what, found, bounded, "float32")
    return failed(f"{what}: shape {found.shape} instead of {bounded.value.shape}")


class DifferentialProperty(NamedTuple):
    """One property.

    Attributes:
        name: as reports show it.
        check: from a comparison to a verdict, None where it does not apply.
        alone: the properties of one product whose failing on either side shows as this one failing.
    """

    name: str
    check: Callable[[Comparison], Verdict | None]
    alone: Sequence[str]


PROPERTIES = (
    DifferentialProperty("peer_accepts", taken_alike, ("accepts", "defaults")),
    DifferentialProperty("peer_outputs", outputs_are_alike, ("shape", "dtype", "policy", "reference")),
    DifferentialProperty("peer_special", special_values_agree, ("accepts", "reference", "laws")),
    DifferentialProperty("peer_values", values_agree, ("reference", "laws", "identities", "defaults")),
    DifferentialProperty("peer_mask", masks_agree, ("mask",)),
    DifferentialProperty("peer_training", training_agrees, ("training_reference", "laws", "accepts", "state")),
    DifferentialProperty("peer_gradients", gradients_agree, ("gradient", "finite_gradient", "reference")),
)
