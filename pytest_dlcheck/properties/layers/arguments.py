"""Properties of constructor arguments: initializers, regularizers, constraints, and that each does something."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pytest_dlcheck.cases.case import Build
from pytest_dlcheck.observe.layer_observation import Raised, Weight
from pytest_dlcheck.properties.layers.judging import Judging, brief
from pytest_dlcheck.properties.verdict import Verdict, failed, passed
from pytest_dlcheck.references.regularizers import penalty
from pytest_dlcheck.tolerance import of_sum

__all__ = ["constraints_are_kept", "initializers_fill", "regularizers_penalize", "shows_an_effect"]

# The names that weights have beyond the word that arguments use of them.
WEIGHTS = {
    "kernel": ("kernel",),
    "bias": ("bias",),
    "recurrent": ("recurrent_kernel",),
    "depthwise": ("depthwise_kernel", "kernel"),
    "pointwise": ("pointwise_kernel",),
    "embeddings": ("embeddings",),
    "beta": ("beta",),
    "gamma": ("gamma", "scale"),
    "alpha": ("alpha",),
    "moving_mean": ("moving_mean",),
    "moving_variance": ("moving_variance",),
}


def _given(judging: Judging, kind: str) -> Iterator[tuple[str, Any, list[Weight]]]:
    """Each argument of a kind (`regularizer`) that was given, with the weights it speaks of; none of nested layers."""
    weights = judging.seen.weights
    assert not isinstance(weights, Raised)
    for argument, value in judging.seen.case.arguments.items():
        prefix, _, suffix = argument.rpartition("_")
        if suffix != kind or prefix not in WEIGHTS or argument in judging.spec.exempt:
            continue
        names = WEIGHTS[prefix]
        if kind == "regularizer":  # the low-rank parts are penalized like the kernel, which is frozen beside them
            names = (*names, *(f"lora_{name}_{part}" for name in names for part in "ab"))
        found = [weight for weight in weights if weight.name.rpartition("/")[2] in names]
        if prefix == "depthwise" and any(weight.name == "depthwise_kernel" for weight in found):
            found = [weight for weight in found if weight.name == "depthwise_kernel"]
        yield argument, value, found


def _constant(given: Any) -> float | None:
    if isinstance(given, str):
        return {"zeros": 0.0, "ones": 1.0}.get(given)
    if isinstance(given, Build) and given.path.endswith(".Constant"):
        return float(given.arguments["value"])
    return None


def initializers_fill(judging: Judging) -> Verdict | None:
    """A weight whose initializer is a constant holds that constant when it is new, unless its values are given."""
    if isinstance(judging.seen.weights, Raised) or judging.seen.case.arguments.get("weights") is not None:
        return None
    said = []
    for argument, given, weights in _given(judging, "initializer"):
        value = _constant(given)
        if value is None:
            continue
        for weight in weights:
            if not np.all(np.asarray(weight.initial, dtype=np.float64) == value):
                return failed(f"{argument}={brief(given)} ({value}), and {weight.name} begins as {weight.initial.tolist()}")
            said.append(f"{weight.name} = {value}")
    return passed(", ".join(said)) if said else None


def _regularized_inside(value: Any) -> bool:
    """Whether an argument is a layer, or holds one, that has regularizers of its own."""
    if isinstance(value, (list, tuple)):
        return any(map(_regularized_inside, value))
    if not isinstance(value, Build):
        return False
    return any(name.endswith("regularizer") or _regularized_inside(each) for name, each in value.arguments.items())


def regularizers_penalize(judging: Judging) -> Verdict | None:  # noqa: C901, PLR0912 - a sum of two kinds of terms
    """The layer's losses are those of its regularizers: of weights, and of the output divided by the batch's size."""
    outcome = judging.outcome
    if outcome is None or isinstance(judging.seen.weights, Raised) or judging.random():
        return None
    expected, size, any_given = 0.0, 0.0, False
    for _, given, weights in _given(judging, "regularizer"):
        for weight in (weight for weight in weights if weight.trainable):  # frozen ones are not penalized
            found = penalty(given, np.asarray(weight.array, dtype=np.float64))
            if found is None:
                return None
            expected, size, any_given = expected + found, size + abs(found), True
    activity = judging.seen.case.arguments.get("activity_regularizer")
    if activity is not None and "activity_regularizer" in judging.spec.exempt:
        return None
    if activity is not None:
        if judging.too_large([value.array for value in outcome.values]) or any(v.array.ndim == 0 for v in outcome.values):
            return None
        for value in outcome.values:
            found = penalty(activity, value.float64)
            if found is None:
                return None
            expected, size = expected + found / max(1, len(value.array)), size + abs(found)
        any_given = True
    told = judging.expected()
    if (told is None or told.losses is None) and any(map(_regularized_inside, judging.seen.case.arguments.values())):
        return None  # what a cell or a wrapped layer adds is for its own check
    if told is not None and told.losses is not None and not judging.too_large([value.array for value in outcome.values]):
        expected, size, any_given = expected + told.losses, size + abs(told.losses), True
    if not any_given:
        return None
    got = float(np.sum(outcome.losses))
    terms = 1 + sum(value.array.size for value in outcome.values)
    bound = of_sum(size + abs(expected), unit_roundoff=judging.unit_roundoff, terms=terms)
    if not abs(got - expected) <= bound:
        return failed(f"the losses are {list(outcome.losses)}, and the regularizers give {expected}")
    return passed(f"a penalty of {expected:.4g}")


def constraints_are_kept(judging: Judging) -> Verdict | None:
    """A weight with a constraint carries it, for the optimizer to apply."""
    if isinstance(judging.seen.weights, Raised):
        return None
    said = []
    for argument, given, weights in _given(judging, "constraint"):
        for weight in weights:
            if not weight.constrained:
                return failed(f"{argument}={brief(given)}, and {weight.name} has no constraint")
            said.append(weight.name)
    return passed(", ".join(said)) if said else None


def shows_an_effect(judging: Judging) -> Verdict | None:
    """Without one of its arguments the layer is another one: some argument that changes nothing anyone can observe is dead."""
    dropped = judging.seen.dropped
    if dropped is None or f"effect:{dropped.argument}" in judging.spec.exempt or dropped.argument == "name":
        return None
    if dropped.differences:
        return passed(f"{dropped.argument}: {', '.join(dropped.differences)}")
    return failed(f"{dropped.argument}: nothing that can be observed")
