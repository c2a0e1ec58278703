"""Properties of the values that a layer computes, and of what it must leave alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from pytest_dlcheck.observe.layer_observation import Outcome, Raised
from pytest_dlcheck.properties.layers.judging import Judging, compare, same_outcome
from pytest_dlcheck.properties.verdict import IMPRECISE, PASS, Verdict, failed, first_failure, passed
from pytest_dlcheck.tolerance import Bounded, of_formula, of_lost_digits

__all__ = [
    "accepts",
    "alone_as_in_the_batch",
    "compiled_is_eager",
    "follows_its_laws",
    "graph_is_eager",
    "keeps_its_inputs",
    "keeps_its_state",
    "matches_reference",
    "same_twice",
    "satisfies_identities",
    "takes_another_size",
    "takes_no_samples",
    "training_matches_reference",
]


def accepts(judging: Judging) -> Verdict:
    """Valid input is computed, in inference and in training; what is declared unsupported ends in an error."""
    seen, reason = judging.seen, judging.spec.unsupported(judging.seen.case, judging.world)
    errors = [each for each in (seen.eager, seen.training) if isinstance(each, Raised)]
    if reason is not None:
        if errors:
            return passed(f"{reason}: {errors[0]}")
        return failed(f"declared unsupported ({reason}), and it ran")
    if errors:
        return failed(str(errors[0]))
    assert judging.outcome is not None
    if any(not np.isfinite(np.asarray(array, dtype=np.float64)).all() for array in seen.inputs if array.dtype.kind == "f"):
        return passed("computed")
    reference = judging.reference()
    for index, value in enumerate(judging.outcome.values):
        if value.array.dtype.kind != "f" or np.isfinite(value.float64).all() or judging.too_large(seen.inputs):
            continue
        expected = reference[index] if reference is not None and index < len(reference) else None
        target = np.zeros(0) if expected is None else np.asarray(getattr(expected, "value", expected), dtype=np.float64)
        odd = ~np.isfinite(value.float64)
        if expected is None or (target.shape == odd.shape and np.isfinite(target[odd]).any()):
            return failed(f"finite input gives {value.float64[odd][0]}")
    return passed("computed")


def _against(judging: Judging, outcome: Outcome, what: str, training: bool) -> Verdict | None:
    reference = judging.reference(training)
    if reference is None:
        return None
    if len(reference) != len(outcome.values):
        return failed(f"{what}: {len(outcome.values)} outputs, and the reference has {len(reference)}")
    if judging.too_large([getattr(each, "value", each) for each in reference]):
        return None
    verdicts = []
    for index, (value, expected) in enumerate(zip(outcome.values, reference, strict=True)):
        verdicts.append(compare(f"{what}, output {index}" if len(reference) > 1 else what, value, expected))
    return first_failure(*verdicts)


def matches_reference(judging: Judging) -> Verdict | None:
    """The outputs in inference mode are those of the independent float64 reference, as far as rounding allows."""
    if judging.outcome is None:
        return None
    verdict = _against(judging, judging.outcome, f"outputs against the reference ({judging.spec.source})", training=False)
    if verdict is None or verdict.outcome == PASS:
        return verdict
    return _rounding_or_logic(judging, verdict)


def _rounding_or_logic(judging: Judging, verdict: Verdict) -> Verdict:
    """Tells a wrong formula from too little precision by the same layer in float64."""
    exact = judging.seen.exact
    if not isinstance(exact, Outcome) or judging.dtype == "float64" or judging.outcome is None:
        return verdict
    reference = judging.reference()
    assert reference is not None
    for value, single, expected in zip(exact.values, judging.outcome.values, reference, strict=True):
        target = np.asarray(getattr(expected, "value", expected), dtype=np.float64)
        if value.array.shape != target.shape or value.array.dtype.kind != "f":
            return verdict
        size = float(np.max(np.abs(target), initial=0.0)) + judging.spec.scale
        lost = of_lost_digits(size, unit_roundoff=judging.unit_roundoff)
        # Wrong in float64 too, or so far off in single precision that half of its digits are gone: no matter of rounding.
        if np.max(np.abs(value.float64 - target), initial=0.0) > of_formula(size):
            return failed(f"{verdict.message}\n  float64 is off too: a matter of logic, not of rounding")
        if not np.max(np.abs(single.float64 - target), initial=0.0) <= lost:
            return failed(f"{verdict.message}\n  float64 is right, and half of the digits are wrong")
    return Verdict(IMPRECISE, f"{verdict.message}\n  float64 is right: a matter of rounding")


def training_matches_reference(judging: Judging) -> Verdict | None:
    """The outputs in training mode, and the state after, are those of the reference."""
    outcome = judging.seen.training
    if not isinstance(outcome, Outcome):
        return None
    verdict = _against(judging, outcome, "outputs in training mode against the reference", training=True)
    expected = judging.expected(training=True)
    if verdict is None or verdict.outcome != PASS or expected is None:
        return verdict
    verdicts = [verdict]
    for name, target in expected.state.items():
        places = [path for path in outcome.state if path == name or path.endswith("/" + name)]
        if len(places) != 1:
            verdicts.append(failed(f"state {name}: {len(places)} variables of that name"))
            continue
        got = np.asarray(outcome.state[places[0]], dtype=np.float64)
        bound = judging.state_tolerance(np.asarray(judging.seen.state_before[places[0]]), np.asarray(target))
        wrong = ~(np.abs(got - target) <= bound)
        if got.shape != target.shape or wrong.any():
            verdicts.append(
                failed(f"state {name} after a training call: {got.tolist()} instead of {np.asarray(target).tolist()}")
            )
    return first_failure(*verdicts)


def same_twice(judging: Judging) -> Verdict | None:
    """A second call in inference mode gives the same, bit for bit."""
    first, second = judging.outcome, judging.seen.again
    if first is None or second is None or judging.random() or judging.stateful():
        return None
    if isinstance(second, Raised):
        return failed(str(second))
    return _bitwise("a second call", first, second)


def _bitwise(what: str, first: Outcome, second: Outcome) -> Verdict:
    for index, (one, other) in enumerate(zip(first.values, second.values, strict=True)):
        if one.array.shape != other.array.shape:
            return failed(f"{what}, output {index}: shape {other.array.shape} instead of {one.array.shape}")
        if one.array.dtype.kind in "fc":
            equal = (one.array == other.array) | (np.isnan(one.array) & np.isnan(other.array))
        else:
            equal = one.array == other.array
        if not np.all(equal):
            return failed(f"{what}, output {index}: {int(np.sum(~np.asarray(equal)))} of {one.array.size} values differ")
    return passed(f"{what}: the same")


def keeps_its_state(judging: Judging) -> Verdict | None:
    """Inference leaves weights and other variables as they were."""
    if judging.outcome is None or judging.stateful() or judging.random():
        return None
    before, after = judging.seen.state_before, judging.outcome.state
    changed = [
        name for name, value in before.items() if not np.array_equal(value, after.get(name, np.empty(0)), equal_nan=_nan(value))
    ]
    return failed(f"a call in inference mode changed {', '.join(changed)}") if changed else passed(f"{len(before)} variables")


def _nan(value: object) -> bool:
    return np.asarray(value).dtype.kind in "fc"


def keeps_its_inputs(judging: Judging) -> Verdict | None:
    """The inputs hold the same values after the calls."""
    seen = judging.seen
    if seen.inputs_after is None:
        return None
    for index, (before, after) in enumerate(zip(seen.inputs, seen.inputs_after, strict=True)):
        same = before.dtype == object or np.array_equal(
            np.asarray(before), np.asarray(after), equal_nan=before.dtype.kind == "f"
        )
        if not same:
            return failed(f"input {index} was changed by the call")
    return passed(f"{len(seen.inputs)} inputs")


def alone_as_in_the_batch(judging: Judging) -> Verdict | None:
    """A sample's output does not depend on the others of its batch."""
    rows, outcome = judging.seen.rows, judging.outcome
    if rows is None or outcome is None or not judging.spec.rows or judging.random() or judging.stateful():
        return None
    verdicts = []
    for row, each in enumerate(rows):
        if isinstance(each, Raised):
            return failed(str(each))
        for index, (value, alone) in enumerate(zip(outcome.values, each.values, strict=True)):
            what = f"sample {row} alone, output {index}"
            if value.array.ndim == 0 or alone.array.shape != (1, *value.array.shape[1:]):
                verdicts.append(failed(f"{what}: shape {alone.array.shape}, and {value.array.shape} with the others"))
            elif value.array.dtype.kind not in "fc":
                verdicts.append(compare(what, alone, value.array[row : row + 1]))
            elif not judging.too_large([value.array]):
                whole = judging.between(value, index)
                part = type(whole)(whole.value[row : row + 1], whole.tolerance[row : row + 1], whole.derived)
                verdicts.append(compare(what, alone, part))
    return first_failure(*verdicts)


def takes_another_size(judging: Judging) -> Verdict | None:
    """A layer that has been called on one size takes another one as a new layer with its weights does."""
    resized = judging.seen.resized
    if resized is None or judging.random() or judging.stateful():
        return None
    if isinstance(resized.called, Raised):
        return failed(f"a new layer takes a shape of {resized.shape}, and {resized.called}")
    if len(resized.called.values) != len(resized.new.values):
        return failed(
            f"{len(resized.called.values)} outputs of a shape of {resized.shape}, and {len(resized.new.values)} of a new layer"
        )
    verdicts = []
    for index, (value, new) in enumerate(zip(resized.called.values, resized.new.values, strict=True)):
        what = f"on a shape of {resized.shape}, output {index}"
        if value.array.shape != new.array.shape or value.dtype != new.dtype:
            told = f"{value.dtype} {value.array.shape}, and {new.dtype} {new.array.shape} of a new layer"
            verdicts.append(failed(f"{what}: {told}"))
        elif new.array.dtype.kind not in "fc":
            verdicts.append(compare(what, value, new.array))
        elif not judging.too_large([new.array]):
            verdicts.append(compare(what, value, judging.between(new, index)))
    return first_failure(*verdicts)


def _mode(judging: Judging, other: Outcome | Raised | None, what: str) -> Verdict | None:
    if judging.outcome is None or other is None:
        return None
    if isinstance(other, Raised):
        return failed(f"eager it runs; {other}")
    if judging.random():
        if judging.outcome.structure != other.structure:
            return failed(f"{what}: outputs {other.structure} instead of {judging.outcome.structure}")
        shapes = [[value.array.shape for value in each.values] for each in (judging.outcome, other)]
        return (
            passed(f"{what}: shapes {shapes[0]}")
            if shapes[0] == shapes[1]
            else failed(f"{what}: shapes {shapes[1]} instead of {shapes[0]}")
        )
    return same_outcome(what, judging, judging.outcome, other)


def graph_is_eager(judging: Judging) -> Verdict | None:
    """Traced as a graph, with the batch's size left open, the layer gives what it gives eagerly."""
    return _mode(judging, judging.seen.graph, "as a graph")


def compiled_is_eager(judging: Judging) -> Verdict | None:
    """Compiled, the layer gives what it gives eagerly."""
    return _mode(judging, judging.seen.compiled, "compiled")


def satisfies_identities(judging: Judging) -> Verdict | None:
    """Cases whose outputs determine each other agree (`LayerSpec.identities`)."""
    others, outcome = judging.seen.identities, judging.outcome
    if not others or outcome is None or judging.random():
        return None
    known = {identity.name: identity for identity in judging.spec.identities}
    verdicts = []
    for name, other in others.items():
        if isinstance(other, Raised):
            verdicts.append(failed(str(other)))
            continue
        identity = known[name]
        targets = identity.expected(judging.seen.case, [_wide(value.array) for value in outcome.values])
        if len(targets) != len(other.values):
            verdicts.append(failed(f"{name}: {len(other.values)} outputs instead of {len(targets)}"))
            continue
        bounds = identity.expected(judging.seen.case, _tolerances(judging, outcome))
        for index, (value, target, bound) in enumerate(zip(other.values, targets, bounds, strict=True)):
            what = f"{name}, output {index}" if len(targets) > 1 else name
            if identity.exact or value.array.dtype.kind not in "fc":
                verdicts.append(compare(what, value, np.asarray(target).astype(value.array.dtype)))
            elif not judging.too_large([target]):
                bounded = judging.between(value, -1) if bound.shape != target.shape else None
                tolerance = np.abs(bound) if bounded is None else bounded.tolerance
                # A map that adds or scales entries may shrink a bound to nothing; the largest one stands for all.
                floor = float(np.max(np.abs(bound), initial=0.0))
                verdicts.append(
                    compare(what, value, Bounded(np.asarray(target), np.maximum(tolerance, floor), "both sides round"))
                )
    return first_failure(*verdicts)


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _tolerances(judging: Judging, outcome: Outcome) -> Sequence[np.ndarray]:
    return [
        judging.between(value, index).tolerance if value.array.dtype.kind == "f" else np.zeros(value.array.shape)
        for index, value in enumerate(outcome.values)
    ]


def follows_its_laws(judging: Judging) -> Verdict | None:
    """What must hold of the outputs holds (`LayerSpec.laws`)."""
    said = []
    for law in judging.spec.laws:
        for training, outcome in ((False, judging.outcome), (True, judging.seen.training)):
            if law.training not in (None, training) or not isinstance(outcome, Outcome):
                continue
            outputs = [_wide(value.array) for value in outcome.values]
            if judging.too_large(outputs):
                continue
            wrong = law.check(judging.call(training), outputs, judging.unit_roundoff)
            if wrong is not None:
                return failed(f"{law.name}, {'training' if training else 'inference'}: {wrong}")
            said.append(law.name)
    return passed(", ".join(said)) if said else None


# How a message says that there is nothing to work on. A size of 0 that only shows up in a shape does not say so: that is
# an error on the way, whose message names something else ("Biases must be 1D: [0,2]").
_SPEAKS_OF_EMPTINESS = re.compile(r"\b(empty|zero-size|at least one)\b", re.IGNORECASE)


def takes_no_samples(judging: Judging) -> Verdict | None:
    """A batch of no samples gives outputs of no samples, of the same other sizes and dtype, or a clear error.

    Clear is a refusal of the value, by its class, whose message says that there are none. A layer that remembers states
    of its samples is documented to take no other number of them.
    """
    outcome, empty = judging.outcome, judging.seen.empty
    if outcome is None or empty is None or judging.stateful():
        return None
    if isinstance(empty, Raised):
        if empty.kind in {"ValueError", "InvalidArgumentError"} and _SPEAKS_OF_EMPTINESS.search(str(empty)):
            return Verdict("unsupported", str(empty))
        return failed(str(empty))
    for index, (value, none) in enumerate(zip(outcome.values, empty.values, strict=True)):
        if none.array.shape != (0, *value.array.shape[1:]) or none.dtype != value.dtype:
            return failed(
                f"output {index} of no samples: {none.dtype} {none.array.shape}, and {value.dtype} {value.array.shape} of some"
            )
    return passed("no samples in, none out")
