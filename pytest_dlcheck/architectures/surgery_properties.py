"""What must hold of what is done to a model: cut, frozen, thawed, called sample by sample and inside other functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.architectures.agreement import agree, values_agree
from pytest_dlcheck.architectures.listing import wrong_summary
from pytest_dlcheck.architectures.observation import Frozen, Middle, ModelsSeen, Thawed
from pytest_dlcheck.observe.layer_observation import Raised, Value
from pytest_dlcheck.properties.verdict import PASS, Verdict, failed, first_failure, passed

__all__ = ["batches", "cut", "frozen", "inside", "middle", "middle_keeps_whole", "thawed"]

Array = NDArray[Any]


def cut(seen: ModelsSeen) -> Verdict | None:
    """A model cut out of the graph at a layer gives what that layer gave."""
    if not isinstance(seen.cut, dict):
        return None
    for name, (one, other) in seen.cut.items():
        if wrong := _other(one, other):
            return failed(f"the model that ends at {name} gives {wrong}")
    return passed(f"cut at {', '.join(seen.cut) or 'no layer'}")


def _other(found: Sequence[Value], expected: Sequence[Value]) -> str:
    """How values differ from what a layer gave in the whole model; nothing if they do not."""
    if len(found) != len(expected):
        return f"{len(found)} outputs and not {len(expected)}"
    for a, b in zip(found, expected, strict=True):
        if a.dtype != b.dtype or a.array.shape != b.array.shape:
            return f"{a.dtype}{list(a.array.shape)} and not {b.dtype}{list(b.array.shape)}"
        if not np.array_equal(a.array, b.array, equal_nan=a.array.dtype.kind == "f"):
            return "other values than the layer did in the whole model"
    return ""


def middle(seen: ModelsSeen) -> Verdict | None:
    """A model cut out of the middle gives what its last layer gave in the whole one, and so does what its config makes."""
    found = seen.middle
    if isinstance(found, Raised):
        return failed(str(found))
    if found is None:
        return None
    for what, values, count in (
        ("the part", found.part, found.parameters[0]),
        ("the config of the part", found.again, found.parameters[1]),
    ):
        if count != found.entries:
            return failed(f"{found.which}: {what} counts {count} parameters, and its layers have {found.entries}")
        if wrong := _other(values, found.whole):
            return failed(f"{found.which}: {what} gives {wrong}")
    return passed(f"{found.which}: {found.entries} parameters, the same to the last bit, from its config as well")


def middle_keeps_whole(seen: ModelsSeen) -> Verdict | None:
    """Cutting a part out leaves the config of the whole model, which files are made of, as it was."""
    if not isinstance(seen.middle, Middle):
        return None
    if seen.middle.changed:
        return failed(f"once a part {seen.middle.which} is cut out, the config of the whole model {seen.middle.changed}")
    return passed(f"the whole model's config is the same after a part {seen.middle.which} was cut out")


def inside(seen: ModelsSeen) -> Verdict | None:
    """A model that is called inside a user's graph or compiled function gives what it gives outside."""
    if seen.first is None or not seen.inside:
        return None
    expected = seen.first.run.inference
    verdicts = []
    for name, values in seen.inside.items():
        if isinstance(values, Raised):
            return failed(f"{name}: {values}")
        verdicts.append(values_agree(seen, f"outputs of the {name}", values, "inference", expected))
    return first_failure(*verdicts)


def batches(seen: ModelsSeen) -> Verdict | None:
    """Sample by sample the model gives what it gives for all of them at once."""
    if not isinstance(seen.batches, list) or seen.first is None:
        return None
    return values_agree(seen, "outputs, sample by sample", seen.batches, "inference")


def frozen(seen: ModelsSeen) -> Verdict | None:
    """A frozen model has nothing to train and keeps its weights in training; unfrozen it has all that it had."""
    found = seen.frozen
    if not isinstance(found, Frozen):
        return None
    if found.trainable:
        return failed(f"frozen, it has {found.trainable} trainable weights")
    if found.moved:
        return failed(f"frozen, training moves {', '.join(found.moved)}")
    lost = [name for name in found.before if name not in found.back]
    if lost:
        return failed(f"unfrozen, it no longer trains {', '.join(lost)}")
    return passed(f"{len(found.before)} weights freeze and thaw")


def thawed(seen: ModelsSeen) -> Verdict | None:
    """With one layer frozen all others train as before, and thawed it trains again as it did."""
    found = seen.thawed
    if not isinstance(found, Thawed):
        return None
    others = set(found.before) - set(found.own)
    if set(found.kept) != others:
        odd = ", ".join(sorted(set(found.kept) ^ others))
        return failed(f"with {found.layer} frozen, these should not be trainable, or should and are not: {odd}")
    if isinstance(found.listing, Raised):
        return failed(f"with {found.layer} frozen: {found.listing}")
    if wrong := wrong_summary(found.listing):
        return failed(f"with {found.layer} frozen, the summary {wrong}")
    if moved := [name for name in found.own if not _same(found.without[name], found.start[name])]:
        return failed(f"with {found.layer} frozen, training moves {', '.join(moved)}")
    if lost := set(found.before) - set(found.after):
        return failed(f"with {found.layer} thawed, these are not trainable: {', '.join(sorted(lost))}")
    if all(_same(found.whole[name], found.start[name]) for name in found.before):
        return passed(f"{found.layer} freezes and thaws; the step moves nothing, frozen or not")
    verdicts = [_step(seen, found, f"{name}, {found.layer} thawed", found.back[name], name) for name in found.before]
    if found.comparable:
        verdicts += [_step(seen, found, f"{name}, {found.layer} frozen", found.without[name], name) for name in sorted(others)]
    bad = [verdict for verdict in verdicts if verdict.outcome != PASS]
    return bad[0] if bad else passed(f"{found.layer} freezes and thaws: {len(others)} weights train on, {len(found.own)} again")


def _same(one: Array, other: Array) -> bool:
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))


def _step(seen: ModelsSeen, found: Thawed, what: str, got: Array, name: str) -> Verdict:
    return agree(seen, f"after a step, {what}", got, found.whole[name], [run[name] for run in found.moved])
