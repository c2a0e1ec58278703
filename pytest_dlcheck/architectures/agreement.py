"""How two models' values are compared: to the last bit, or within what moved inputs and weights change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.architectures.observation import FormSeen, ModelsSeen
from pytest_dlcheck.observe.layer_observation import Value
from pytest_dlcheck.properties.comparison import within
from pytest_dlcheck.properties.verdict import PASS, Verdict, failed, first_failure, passed
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, from_moved_starts

__all__ = ["agree", "each_form", "each_trained", "named_agree", "values_agree"]

Array = NDArray[Any]


def agree(seen: ModelsSeen, what: str, got: Array, expected: Array, moved: Sequence[Array], *, scale: float = 0.0) -> Verdict:
    """Bit for bit, or as far apart as the first form's inputs and weights, moved by two units of roundoff, carry it."""
    if got.shape != expected.shape:
        return failed(f"{what}: shape {got.shape} instead of {expected.shape}")
    if np.array_equal(got, expected, equal_nan=got.dtype.kind == "f" and expected.dtype.kind == "f"):
        return passed(f"{what}: {got.size} values, the same to the last bit")
    got, expected = np.asarray(got, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(got)):
        return failed(
            f"{what}: {int((finite != np.isfinite(got)).sum())} of {got.size} values are finite in one of the two only"
        )
    if not moved:
        return failed(f"{what}: not the same to the last bit, and nothing is known of what rounding may do")
    runs = np.stack([np.where(np.isfinite(run), run, expected) for run in moved])[:, finite]
    allowed = from_moved_starts(expected[finite], runs, unit_roundoff=UNIT_ROUNDOFF[seen.dtype], scale=scale)
    return within(what, got[finite], allowed, seen.dtype)


def values_agree(
    seen: ModelsSeen, what: str, got: Sequence[Value], part: str, expected: Sequence[Value] | None = None
) -> Verdict:
    assert seen.first is not None
    expected = getattr(seen.first.run, part) if expected is None else expected
    if len(got) != len(expected):
        return failed(f"{what}: {len(got)} of them instead of {len(expected)}")
    verdicts = []
    for index, (one, other) in enumerate(zip(got, expected, strict=True)):
        if one.dtype != other.dtype:
            return failed(f"{what}: {one.dtype} instead of {other.dtype}")
        moved = [getattr(run, part)[index].array for run in seen.moved]
        verdicts.append(agree(seen, what, one.array, other.array, moved))
    return first_failure(*verdicts) if verdicts else passed(f"{what}: there are none")


def named_agree(seen: ModelsSeen, what: str, got: Mapping[str, Array | None], part: str) -> Verdict:
    """Values by name against that part of the first form's run."""
    assert seen.first is not None
    expected: Mapping[str, Array | None] = getattr(seen.first.run, part)
    if set(got) != set(expected):
        odd = ", ".join(sorted(set(got) ^ set(expected)))
        return failed(f"{what}: not of the same variables: {odd}")
    verdicts = []
    real = [each for each in expected.values() if each is not None and each.dtype.kind == "f" and np.isfinite(each).all()]
    size = max((float(np.max(np.abs(each), initial=0.0)) for each in real), default=0.0)
    for name, other in expected.items():
        one = got[name]
        if (one is None) != (other is None):
            return failed(
                f"{what}: {name} has {'none' if one is None else 'one'} here, and {'none' if other is None else 'one'} there"
            )
        if one is None or other is None:
            continue
        if one.dtype.kind != "f":  # the state of a random generator, a counter
            same = np.array_equal(one, other)
            verdicts.append(passed(what) if same else failed(f"{what}: {name} is {one.tolist()} instead of {other.tolist()}"))
            continue
        moved = [getattr(run, part)[name] for run in seen.moved]
        # Sums over the batch cancel: what is left of them is as exact as what they were made of.
        verdicts.append(agree(seen, f"{what} of {name}", one, other, moved, scale=size if part == "gradients" else 0.0))
    exact = sum("to the last bit" in verdict.message for verdict in verdicts)
    bad = [verdict for verdict in verdicts if verdict.outcome != PASS]
    return bad[0] if bad else passed(f"{what}: {len(expected)} of them, {exact} of floats the same to the last bit")


def each_form(seen: ModelsSeen, judge: Callable[[str, FormSeen], Verdict]) -> Verdict | None:
    """The verdict on every other form and copy against the first one, the worst of them; None if there are none."""
    if seen.first is None or not seen.others:
        return None
    verdicts = []
    for name, form in seen.others.items():
        said = judge(name, form)
        if said.outcome != PASS and name in seen.parting:
            said = failed(f"{said.message}\n{seen.parting[name]}")
        verdicts.append(said)
    return first_failure(*verdicts, passed(f"{', '.join(seen.others)}: {verdicts[0].message.partition(': ')[2]}"))


def each_trained(seen: ModelsSeen, judge: Callable[[str, FormSeen], Verdict]) -> Verdict | None:
    """As `each_form`, of those that were trained; None if there are none."""
    trained = [name for name, form in seen.others.items() if form.run.steps]
    if not trained:
        return None
    return each_form(seen, lambda name, form: judge(name, form) if name in trained else passed(f"{name}: not trained"))
