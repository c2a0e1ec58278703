"""Cases: plain data that goes through text and back, values that follow from a recipe, scripts that run alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import need
from pytest_dlcheck.cases.case import Build, Case, Name, Tensor, describe, dumps, loads, map_tensors, tensors
from pytest_dlcheck.cases.script import script
from pytest_dlcheck.cases.values import INTERESTING, KINDS, make, rounded_to, weight_values

FULL = Case(
    "keras.layers.Dense",
    {
        "units": 2,
        "activation": Name("pytest_dlcheck.subjects.callables.double"),
        "kernel_regularizer": Build("keras.regularizers.L1", {"l1": 0.5}),
        "axis": (1, -1),
        "bounds": [1.5, float("inf")],
        "cell": Build("keras.layers.Layer", positional=(Build("keras.layers.LSTMCell", {"units": 2}),)),
    },
    [Tensor((2, 3), planted=((0, -0.0),)), {"b": Tensor((1,), "string", literal=("é",)), "a": Tensor(())}],
    call={"mask": Tensor((2,), "bool", "bool", 3)},
    masks=(None, Tensor((1,), "bool", "ones"), None),
    policy="mixed_bfloat16",
    settings={"image_data_format": "channels_first"},
    weights_seed=None,
    adapt=Tensor((4, 3)),
)


def test_a_case_comes_back_from_its_text() -> None:
    again = loads(dumps(FULL))
    assert again == FULL
    assert isinstance(again.arguments["axis"], tuple)
    assert isinstance(again.arguments["bounds"], list)
    assert np.signbit(again.inputs[0].planted[0][1])


@pytest.mark.parametrize("text", ["{", '{"$tensor": {"colour": 1}}', '{"$case": 3}'])
def test_what_is_no_case_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|not a stored"):
        loads(text)


def test_an_object_that_is_not_plain_is_refused() -> None:
    with pytest.raises(TypeError, match="holds plain values"):
        dumps(Case("a.b", {"x": object()}, Tensor((1,))))


def test_tensors_come_in_the_order_in_which_frameworks_flatten() -> None:
    assert [tensor.shape for tensor in tensors(FULL.inputs)] == [(2, 3), (), (1,)]
    assert map_tensors(lambda tensor: tensor.shape, FULL.inputs) == [(2, 3), {"b": (1,), "a": ()}]


def test_a_case_reads_like_the_call_that_it_is() -> None:
    case = Case("keras.layers.Dense", {"units": 2, "activation": "relu"}, Tensor((2, 3)), policy="float16")
    assert describe(case) == "Dense(units=2, activation='relu') on float[2, 3] normal #0, float16"


@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_gives_the_same_values_every_time(kind: str) -> None:
    tensor = Tensor((3, 4), "float", kind, seed=5, low=-1, high=2)
    np.testing.assert_array_equal(make(tensor), make(tensor))
    assert make(tensor).shape == (3, 4)
    assert np.isfinite(make(tensor, "float32" if kind == "huge" else "float16")).all()
    if kind not in {"zeros", "ones", "padding"}:
        assert not np.array_equal(make(tensor), make(Tensor((3, 4), "float", kind, seed=6, low=-1, high=2)))


def test_planted_values_lie_where_they_were_put_and_wrap_around() -> None:
    found = make(Tensor((2, 2), values="zeros", planted=((0, 5.0), (7, 3.0))))
    np.testing.assert_array_equal(found, [[5, 0], [0, 3]])
    assert make(Tensor((0, 2), planted=((1, 1.0),))).shape == (0, 2)


def test_padding_is_a_run_of_true_steps_in_each_row() -> None:
    for seed in range(20):
        rows = make(Tensor((4, 5), "bool", "padding", seed))
        assert rows[:, 0].all()
        assert (np.diff(rows.astype(int), axis=1) <= 0).all()


@pytest.mark.parametrize("value", [1.0, 1.00390625, 3.1415926, -2.7e-5, 65280.0, *INTERESTING])
def test_bfloat16_is_rounded_to_nearest(value: float) -> None:
    got = float(rounded_to(np.array([value]), "bfloat16")[0])
    assert np.asarray(got, dtype=np.float32).view(np.uint32) & 0xFFFF == 0
    assert abs(got - value) <= 2.0**-8 * abs(value) + 1e-40


def test_bfloat16_ties_go_to_even() -> None:
    assert rounded_to(np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8]), "bfloat16").tolist() == [1.0, 1 + 4 * 2.0**-8]


def test_weights_have_other_values_than_initial_ones() -> None:
    assert (weight_values(0, 0, "moving_variance", (50,)) > 0).all()
    assert np.abs(weight_values(0, 1, "bias", (50,))).min() > 0
    assert not np.array_equal(weight_values(0, 1, "bias", (5,)), weight_values(0, 2, "bias", (5,)))
    assert not np.array_equal(weight_values(0, 1, "bias", (5,)), weight_values(1, 1, "bias", (5,)))


def run(text: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "case.py"
    path.write_text(text)
    return subprocess.run(
        [sys.executable, "-S", "-c", f"import site; site.main(); exec(open({str(path)!r}).read())"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**environment, "PATH": "/usr/bin:/bin"},
    )


def case(**changes: Any) -> Case:
    arguments = {"units": 2, "activation": Name("pytest_dlcheck.subjects.callables.double"), "kernel_regularizer": "l2"}
    return Case("keras.layers.Dense", arguments, Tensor((2, 3, 2)), **changes)


@pytest.mark.parametrize(
    "chosen",
    [
        case(),
        case(policy="mixed_float16", masks=(Tensor((2, 3), "bool", "padding"),)),
        case(policy="bfloat16", weights_seed=None, settings={"image_data_format": "channels_first"}),
    ],
    ids=["plain", "masked", "bfloat16"],
)
def test_a_script_runs_without_this_package(chosen: Case, tmp_path: Path) -> None:
    need("keras")
    text = script(chosen, "numpy", 'the reference says "so" \\ """')
    assert "pytest_dlcheck" not in text
    done = run(text, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
