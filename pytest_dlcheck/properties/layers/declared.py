"""Properties of what a layer says of its outputs, and of how it is written down and made again."""

from __future__ import annotations

from typing import Any

import numpy as np

from pytest_dlcheck.cases.case import Build, Name
from pytest_dlcheck.observe.layer_observation import Declared, Outcome, Raised, Restored
from pytest_dlcheck.properties.layers.judging import Judging, same_outcome
from pytest_dlcheck.properties.verdict import Verdict, failed, first_failure, passed
from pytest_dlcheck.tolerance import of_sum

__all__ = [
    "carries_its_mask",
    "config_restores",
    "declares_its_dtype",
    "declares_its_shape",
    "default_given_is_default",
    "file_restores",
    "keeps_its_policy",
    "seed_repeats",
    "weights_restore",
]


def declares_its_shape(judging: Judging) -> Verdict | None:
    """Structure and shapes of the outputs are what the symbolic call and `compute_output_shape` say."""
    outcome, declared = judging.outcome, judging.seen.declared
    if outcome is None or declared is None:
        return None
    shapes = [value.array.shape for value in outcome.values]
    for how, said in declared.items():
        if isinstance(said, Raised):
            # A layer need not have `compute_output_shape`; a symbolic call it must answer.
            if said.kind == "NotImplementedError" and how.startswith("compute_output_shape"):
                continue
            return failed(str(said))
        if said.structure != outcome.structure:
            return failed(f"{how}: outputs {said.structure}, and the call gives {outcome.structure}")
        for index, (one, other) in enumerate(zip(said.shapes, shapes, strict=True)):
            if len(one) != len(other) or any(a is not None and a != b for a, b in zip(one, other, strict=True)):
                return failed(f"{how}: output {index} has shape {one}, and the call gives {other}")
    known = [how for how, said in declared.items() if isinstance(said, Declared)]
    return passed(f"{shapes} by {', '.join(known)}") if known else None


def declares_its_dtype(judging: Judging) -> Verdict | None:
    """Outputs have the dtypes that the symbolic call says."""
    outcome, declared = judging.outcome, judging.seen.declared
    if outcome is None or declared is None:
        return None
    dtypes = [value.dtype for value in outcome.values]
    for how, said in declared.items():
        if isinstance(said, Declared) and said.dtypes and len(said.dtypes) == len(dtypes) and list(said.dtypes) != dtypes:
            return failed(f"{how}: outputs of {', '.join(said.dtypes)}, and the call gives {', '.join(dtypes)}")
    return passed(", ".join(dtypes))


def keeps_its_policy(judging: Judging) -> Verdict | None:
    """Floating outputs have the policy's compute dtype, floating trainable weights its variable dtype."""
    case, outcome = judging.seen.case, judging.outcome
    if outcome is None or case.policy == "none" or isinstance(judging.seen.weights, Raised):
        return None
    for index, value in enumerate(outcome.values):
        if value.dtype.startswith(("float", "bfloat")) and value.dtype != judging.dtype:
            return failed(f"output {index} is {value.dtype}, and policy {case.policy} computes in {judging.dtype}")
    stored = "float32" if case.policy.startswith("mixed") else case.policy
    for weight in judging.seen.weights:
        if weight.trainable and weight.dtype.startswith(("float", "bfloat")) and weight.dtype != stored:
            return failed(f"weight {weight.name} is {weight.dtype}, and policy {case.policy} stores {stored}")
    return passed(f"{case.policy}: outputs {judging.dtype}, weights {stored}")


def carries_its_mask(judging: Judging) -> Verdict | None:
    """The outputs carry the mask that the reference says, or none."""
    if judging.outcome is None or not judging.outcome.masks:
        return None
    expected = judging.expected()
    if expected is None or not expected.checks_mask:
        return None
    got = judging.outcome.masks[0]
    if expected.mask is None:
        return (
            passed("no mask")
            if got is None
            else failed(f"the output carries a mask of shape {got.shape}, and should have none")
        )
    if got is None:
        return failed(f"the output carries no mask, and should have {expected.mask.tolist()}")
    if got.shape != expected.mask.shape or not np.array_equal(got.astype(bool), expected.mask.astype(bool)):
        return failed(f"the output carries the mask {got.tolist()} instead of {expected.mask.tolist()}")
    return passed(f"mask of shape {got.shape}")


def default_given_is_default(judging: Judging) -> Verdict | None:
    """A layer that is given its defaults in words is the layer that is not."""
    other = judging.seen.defaulted
    if judging.outcome is None or other is None or judging.random():
        return None
    if isinstance(other, Raised):
        return failed(str(other))
    return same_outcome("given its defaults", judging, judging.outcome, other)


def _restored(judging: Judging, how: str, what: str) -> Verdict | None:
    found = (judging.seen.restored or {}).get(how)
    if found is None or judging.outcome is None:
        return None
    if isinstance(found, Raised):
        return failed(str(found))
    if judging.random():
        return passed(f"{what}: restored; its outputs are random")
    return same_outcome(what, judging, judging.outcome, found.outcome)


def config_restores(judging: Judging) -> Verdict | None:
    """The layer's config, written as JSON and read back, makes the same layer: outputs, losses, config, every argument."""
    verdict = _restored(judging, "config", "made from its config")
    if verdict is None:
        return None
    found = (judging.seen.restored or {})["config"]
    if verdict.outcome != "pass" or not isinstance(found, Restored):
        return verdict
    assert judging.outcome is not None
    return first_failure(
        verdict,
        _masks(judging.outcome, found.outcome),
        _losses(judging, judging.outcome, found.outcome),
        _configs(judging.seen.config, found.config),
        _arguments(judging),
    )


def _masks(first: Outcome, second: Outcome) -> Verdict:
    for index, (one, other) in enumerate(zip(first.masks, second.masks, strict=True)):
        if (one is None) is not (other is None) or (one is not None and not np.array_equal(one, np.asarray(other))):
            return failed(f"the mask of output {index} after the config round trip is {other}, and was {one}")
    return passed(f"{len(first.masks)} masks")


def _losses(judging: Judging, first: Outcome, second: Outcome) -> Verdict:
    if len(first.losses) != len(second.losses):
        return failed(f"{len(second.losses)} losses after the config round trip, {len(first.losses)} before")
    for one, other in zip(first.losses, second.losses, strict=True):
        if not abs(one - other) <= of_sum(one, unit_roundoff=judging.unit_roundoff) and np.isfinite(one):
            return failed(f"a loss of {other} after the config round trip, {one} before")
    return passed(f"{len(first.losses)} losses")


def _configs(before: Any, after: Any) -> Verdict:
    if _without_names(before) == _without_names(after):
        return passed("the config comes back")
    first, second = _without_names(before or {}), _without_names(after or {})
    different = sorted(key for key in {*first, *second} if first.get(key) != second.get(key))
    details = "; ".join(f"{key}: {(after or {}).get(key)!r} instead of {(before or {}).get(key)!r}" for key in different)
    return failed(f"the config does not come back: {details}")


def _without_names(value: Any) -> Any:
    """A config without what is made up anew for each object."""
    if isinstance(value, dict):
        # A function without a name is stored as its bytecode, which is written in more than one way.
        opaque = {"shared_object_id", "code"} if {"code", "closure"} <= value.keys() else {"shared_object_id"}
        if value.get("function_type") == "lambda":  # the same in Keras 2
            opaque |= {"function"}
        return {key: _without_names(item) for key, item in value.items() if key not in opaque}
    if isinstance(value, (list, tuple)):
        return [_without_names(item) for item in value]
    return value


def _arguments(judging: Judging) -> Verdict:
    """Every plain argument stands in the config as it was given; one and the same number for all axes may be spelt out."""
    config = judging.seen.config or {}
    for name, given in judging.seen.case.arguments.items():
        if name not in config:
            if isinstance(given, (Build, Name)) or name in judging.spec.exempt or f"config:{name}" in judging.spec.exempt:
                continue
            return failed(f"the config lacks the argument {name}")
        stored = config[name]
        if (
            not isinstance(given, (bool, int, float))
            or isinstance(stored, (dict, str))
            or f"config:{name}" in judging.spec.exempt
        ):
            continue
        numbers = [stored] if not isinstance(stored, list) else _numbers(stored)
        if not all(number == given for number in numbers):
            return failed(f"the config says {name}={stored!r}, and {given!r} was given")
    return passed(f"{len(judging.seen.case.arguments)} arguments")


def _numbers(value: Any) -> list[Any]:
    return [number for item in value for number in _numbers(item)] if isinstance(value, list) else [value]


def file_restores(judging: Judging) -> Verdict | None:
    """A model of the layer, saved as `.keras` and loaded, computes the same."""
    return _restored(judging, "keras", "loaded from a .keras file")


def weights_restore(judging: Judging) -> Verdict | None:
    """Weights that were saved to a file and loaded are the same weights."""
    return _restored(judging, "weights", "its weights loaded from a file")


def seed_repeats(judging: Judging) -> Verdict | None:
    """From the same state, a random layer gives the same in training mode."""
    first, second = judging.seen.training, judging.seen.training_again
    if not isinstance(first, Outcome) or not isinstance(second, Outcome):
        return None
    if first.structure != second.structure:
        return failed(f"outputs {second.structure} instead of {first.structure}")
    for index, (one, other) in enumerate(zip(first.values, second.values, strict=True)):
        same = np.array_equal(one.array, other.array, equal_nan=one.array.dtype.kind == "f")
        if not same:
            return failed(f"output {index} of two calls in training mode, from the same state: values differ")
    return passed("two calls from the same state give the same")
