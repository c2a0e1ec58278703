"""Which side of a changed output an independent float64 computation agrees with: the spec's reference. No framework."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Case, revive
from pytest_dlcheck.cases.values import rounded_to, weight_values
from pytest_dlcheck.observe.layer_observation import LayerObservation, Outcome, Value, Weight
from pytest_dlcheck.observe.nests import short_names
from pytest_dlcheck.properties.layers.judging import Judging, compare
from pytest_dlcheck.properties.verdict import HARMLESS
from pytest_dlcheck.records.arrays import unpack
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import LayerSpec, World

__all__ = ["is_random", "right_side", "scale_of"]

Stored = Mapping[str, Any]


def _case_of(stored: Stored) -> tuple[Case, LayerSpec] | None:
    """The case and the spec of its layer; None for a function."""
    if "case" not in stored:
        return None
    case = revive(stored["case"])
    return case, SPECS[case.name]


def is_random(stored: Stored, training: bool) -> bool:
    """Whether a case's outputs are random, as its spec says."""
    found = _case_of(stored)
    return found is not None and found[1].random(found[0], training)


def scale_of(stored: Stored) -> float:
    """The size of intermediate values that a case's outputs do not show, as its spec says."""
    found = _case_of(stored)
    return 0.0 if found is None else found[1].scale


def right_side(stored: Stored, old: tuple[Stored, Stored], new: tuple[Stored, Stored], backend: str) -> str:
    """`old`, `new`, `both` or `neither`; empty where no reference says what must come out in inference.

    Args:
        stored: the case.
        old: the subject's parameters and what was seen of the case, on the first side.
        new: the same of the second.
        backend: on which both ran.
    """
    found = _case_of(stored)
    if found is None:
        return ""
    agrees = [_agrees(*found, parameters, seen, backend) for parameters, seen in (old, new)]
    if None in agrees:
        return ""
    return {(True, True): "both", (True, False): "old", (False, True): "new"}.get((bool(agrees[0]), bool(agrees[1])), "neither")


def _agrees(case: Case, spec: LayerSpec, parameters: Stored, seen: Stored, backend: str) -> bool | None:
    """Whether a side's outputs are the reference's; None where there is none, or it cannot be asked."""
    outputs = [
        unpack(each) for name, each in sorted(seen["arrays"].items(), key=_number) if name.startswith("inference output")
    ]
    if not outputs or not all(each.whole for each in outputs):
        return None
    values = [Value(each.dtype, each.array) for each in outputs]
    observation = LayerObservation(case, backend, _defaults(parameters), _weights(case, seen))
    observation.eager = Outcome(seen["facts"]["inference structure"], values)
    judging = Judging(spec, World(backend), observation)
    try:
        expected = judging.reference()
    except Exception:  # noqa: BLE001 - what this reference needs is more than a record holds
        return None
    if expected is None or judging.too_large([each.array for each in values]):
        return None
    if len(expected) != len(values):
        return False
    return all(compare("", value, each).outcome in HARMLESS for value, each in zip(values, expected, strict=True))


def _number(item: tuple[str, Any]) -> tuple[int, str]:
    last = item[0].rpartition(" ")[2]
    return int(last) if last.isdigit() else 0, item[0]


def _defaults(parameters: Stored) -> dict[str, Any]:
    found = {}
    for name, text in parameters.items():
        if text is not None and text not in ("*", "**"):
            try:
                found[name] = ast.literal_eval(text)
            except (ValueError, SyntaxError):  # an object, which no reference reads
                continue
    return found


def _weights(case: Case, seen: Stored) -> Sequence[Weight]:
    """The weights as the case gives them, which a record need not hold."""
    facts = seen["facts"]["weights"]
    names = short_names([each[0] for each in facts])
    found = []
    for index, (short, (path, dtype, shape, trainable)) in enumerate(zip(names, facts, strict=True)):
        initial: NDArray[Any] = unpack(seen["arrays"][f"initial {path}"]).array
        given = initial
        if case.weights_seed is not None and dtype.startswith(("float", "bfloat")):
            drawn = weight_values(case.weights_seed, index, path.rpartition("/")[2], tuple(shape))
            given = rounded_to(drawn, case.compute_dtype).astype("float32" if dtype == "bfloat16" else dtype)
        found.append(Weight(short, dtype, np.asarray(given), initial, trainable))
    return found
