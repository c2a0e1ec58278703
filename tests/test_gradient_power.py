"""Planted gradient defects, found without any framework; and their correct twins, on which nothing may be found."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy_program import NumpyProgram
from planted_gradients import DEFECTS, FORWARD, FUNCTIONS, KINDS, SECOND, Defect, Function, on_numpy

from pytest_dlcheck.gradients.argument import signs
from pytest_dlcheck.gradients.check import GradientCheck
from pytest_dlcheck.gradients.outcome import BAD, OK, WRONG, Row
from pytest_dlcheck.gradients.program import Array

SEEDS = (0, 1, 2)
LEAST_DEFECTS = 64


def rows_of(program: NumpyProgram, point: list[Array], seed: int) -> list[Row]:
    """Every check of the first order and, where those find nothing, of the second: as `check_gradients` does."""
    first = GradientCheck(program, point, seed=seed)
    rows = list(first.rows())
    if not any(row.verdict in BAD for row in rows):
        rows += first.of_gradient(seed=seed).rows()
    return rows


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_a_correct_twin_raises_no_alarm(function: Function, seed: int) -> None:
    rows = rows_of(on_numpy(function), function.at(seed), seed)
    assert [row for row in rows if row.verdict in BAD] == []
    # Not by saying nothing: each argument's first derivative was compared.
    numeric = [row.verdict for row in rows if row.check == "numeric"]
    assert numeric == [OK] * len(function.names)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: f"{defect.kind}: {defect.name}")
def test_a_planted_defect_is_found(defect: Defect, seed: int) -> None:
    program = on_numpy(defect.function, defect.vjp, defect.jvp)
    bad = [row for row in rows_of(program, defect.function.at(seed), seed) if row.verdict in BAD]
    assert bad, "nothing was found"
    assert {row.verdict for row in bad} == {WRONG}
    # By the check that is meant for it, not by luck in another one.
    expected = {SECOND: "second order", FORWARD: "forward"}.get(defect.kind, "numeric")
    assert expected in {row.check for row in bad}


def test_there_are_defects_of_every_kind() -> None:
    kinds = Counter(defect.kind for defect in DEFECTS)
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= 2
    assert len(DEFECTS) >= LEAST_DEFECTS
    assert len({(defect.kind, defect.name) for defect in DEFECTS}) == len(DEFECTS)
    assert {defect.function.name for defect in DEFECTS} == {function.name for function in FUNCTIONS}


@pytest.mark.parametrize("defect", [each for each in DEFECTS if each.kind == SECOND], ids=lambda defect: defect.name)
def test_a_defect_of_second_order_is_none_of_first_order(defect: Defect) -> None:
    rows = list(GradientCheck(on_numpy(defect.function, defect.vjp), defect.function.at(0), seed=0).rows())
    assert [row for row in rows if row.verdict in BAD] == []


def test_directions_neither_overlook_an_entry_nor_cancel() -> None:
    """Of whole signs, an even number sums to zero now and then, and hides what is wrong in all of them alike."""
    rng = np.random.default_rng(0)
    drawn = [signs(rng, (4,)) for _ in range(1000)]
    assert min(float(np.min(np.abs(each))) for each in drawn) >= 0.5
    assert min(abs(float(np.sum(each))) for each in drawn) > 0
    assert any(abs(float(np.sum(np.sign(each)))) == 0 for each in drawn)
