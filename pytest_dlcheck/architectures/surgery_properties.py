"""What must hold of what is done to a model: cut, frozen, called sample by sample."""

from __future__ import annotations

import numpy as np

from pytest_dlcheck.architectures.agreement import values_agree
from pytest_dlcheck.architectures.observation import Frozen, ModelsSeen
from pytest_dlcheck.properties.verdict import Verdict, failed, passed

__all__ = ["batches", "cut", "frozen"]


def cut(seen: ModelsSeen) -> Verdict | None:
    """A model cut out of the graph at a layer gives what that layer gave."""
    if not isinstance(seen.cut, dict):
        return None
    for name, (one, other) in seen.cut.items():
        for a, b in zip(one, other, strict=True):
            if a.dtype != b.dtype or a.array.shape != b.array.shape:
                given = f"{a.dtype}{list(a.array.shape)} and not {b.dtype}{list(b.array.shape)}"
                return failed(f"the model that ends at {name} gives {given}")
            if not np.array_equal(a.array, b.array, equal_nan=a.array.dtype.kind == "f"):
                return failed(f"the model that ends at {name} gives other values than the layer did in the whole model")
    return passed(f"cut at {', '.join(seen.cut) or 'no layer'}")


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
