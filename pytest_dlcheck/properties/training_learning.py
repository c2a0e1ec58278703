"""What must hold of training as a whole: it learns, with every weight, alike from one seed, and leaves nothing behind."""

from __future__ import annotations

import numpy as np

from pytest_dlcheck.observe.training_learnt import Growth, Learning, Repeated
from pytest_dlcheck.properties.comparison import identical
from pytest_dlcheck.properties.training import first_failure
from pytest_dlcheck.properties.verdict import Verdict, failed, passed

__all__ = ["every_parameter_learns", "leaves_nothing", "one_batch_overfits", "same_seed_same_run"]


def every_parameter_learns(seen: Learning) -> Verdict:
    """No entry of any trainable weight is where it was, and all are finite."""
    for name, before, after in zip(seen.names, seen.before, seen.after, strict=True):
        if not np.isfinite(after).all():
            return failed(f"{name} has {int((~np.isfinite(after)).sum())} entries that are not finite")
        still = int((before == after).sum())
        if still:
            return failed(f"{still} of {before.size} entries of {name} have not moved after {len(seen.losses)} steps")
    return passed(f"{sum(each.size for each in seen.before)} entries of {len(seen.names)} weights have moved")


def one_batch_overfits(seen: Learning, count: int) -> Verdict:
    """Trained on one batch over and over, a network that is large enough learns it by heart.

    The mean loss falls below ln 2 / n for n samples: then the sum of the losses is below ln 2, and not one of the n samples
    can have a probability of less than a half for its label.
    """
    least = float(np.log(2)) / count
    last = seen.losses[-1]
    if not last < least:
        return failed(f"after {len(seen.losses)} steps on one batch of {count} the loss is {last:.4g}, not below {least:.4g}")
    return passed(f"loss {seen.losses[0]:.4g}, after {len(seen.losses)} steps {last:.4g}")


def same_seed_same_run(seen: Repeated) -> Verdict:
    """Initial weights, dropout and the order of the samples come from the seed: losses and weights are equal bit for bit."""
    first, second, other = seen.losses
    if first != second:
        return failed(f"two runs from one seed have the losses {first} and {second}")
    if first == other:
        return failed(f"another seed gives the same losses: {first}")
    verdicts = [
        identical(f"weight {index} of the second run", b, a)
        for index, (a, b) in enumerate(zip(seen.weights[0], seen.weights[1], strict=True))
    ]
    return first_failure(*verdicts)


def leaves_nothing(seen: Growth) -> Verdict:
    """What is alive does not grow in every round of calls: one array or object that a call leaves behind would show in each."""
    kinds = {"arrays of the framework": seen.arrays, "objects": seen.objects, "buffers of NumPy arrays": seen.buffers}
    for what, counts in kinds.items():
        if len(counts) < 3:
            return failed(f"only {len(counts)} rounds were counted")
        if (np.diff(counts) > 0).all():
            each = (counts[-1] - counts[0]) / ((len(counts) - 1) * seen.calls)
            told = ", ".join(map(str, counts))
            return failed(f"{seen.what} leaves {each:.3g} {what} behind with each call: {told} after rounds of {seen.calls}")
    return passed("; ".join(f"{what}: {', '.join(map(str, counts))}" for what, counts in kinds.items()))
