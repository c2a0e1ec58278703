"""Do the references of the pooling layers hold on independent values, and do laws and identities tell right from wrong?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from pytest_dlcheck.cases.case import Case, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import pooling as references
from pytest_dlcheck.strategies.draw import cases
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.layers.pooling import SPECS as FAMILY
from pytest_dlcheck.subjects.spec import Call, Identity, World

Array = NDArray[Any]

DEFAULTS: Mapping[str, Any] = {
    "pool_size": 2,
    "strides": None,
    "padding": "valid",
    "keepdims": False,
    "data_format": None,
}


def call_of(case: Case) -> Call:
    masks = [None if mask is None else make(mask) for mask in case.masks or ()]
    keywords = {name: make(tensor) for name, tensor in case.call.items()}
    inputs = np.asarray(make(case.inputs, "float64"), dtype=np.float64)
    return Call({**DEFAULTS, **case.arguments}, {}, inputs, keywords, masks, settings=case.settings)


def run(case: Case) -> Array:
    """What the reference of the case's layer gives."""
    reference = SPECS[case.name].reference
    assert reference is not None
    return np.asarray(reference(call_of(case)).outputs)


def case_of(name: str, inputs: Any, **arguments: Any) -> Case:
    tensor = Tensor(np.shape(inputs), literal=np.asarray(inputs, dtype=float).tolist())
    return Case(f"keras.layers.{name}", arguments, tensor, policy="float32")


STEPS = [[[1.0], [2.0], [6.0], [4.0], [9.0]]]


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("MaxPooling1D", {}, [2, 6]),
        ("MaxPooling1D", {"strides": 1}, [2, 6, 6, 9]),
        ("MaxPooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}, [2, 6, 9]),
        ("AveragePooling1D", {}, [1.5, 5]),
        ("AveragePooling1D", {"padding": "SAME"}, [1.5, 5, 9]),
        ("AveragePooling1D", {"pool_size": 3, "strides": 1, "padding": "same"}, [1.5, 3, 4, 19 / 3, 6.5]),
        ("AveragePooling1D", {"pool_size": 4, "strides": 4, "padding": "same"}, [3, 6.5]),
        ("AdaptiveAveragePooling1D", {"output_size": 2}, [3, 19 / 3]),
        ("AdaptiveMaxPooling1D", {"output_size": 3}, [2, 6, 9]),
        ("AdaptiveMaxPooling1D", {"output_size": 7}, [1, 2, 6, 6, 6, 9, 9]),
        ("GlobalMaxPooling1D", {}, [9]),
        ("GlobalAveragePooling1D", {}, [4.4]),
    ],
)
def test_a_reference_by_hand(name: str, arguments: dict[str, Any], expected: list[float]) -> None:
    np.testing.assert_allclose(run(case_of(name, STEPS, **arguments)).ravel(), expected, rtol=1e-12)


def test_adaptive_windows_overlap_where_sizes_do_not_divide() -> None:
    assert references.adaptive_windows(5, 2) == [slice(0, 3), slice(2, 5)]
    assert references.adaptive_windows(4, 2) == [slice(0, 2), slice(2, 4)]
    assert references.adaptive_windows(1, 3) == [slice(0, 1)] * 3


def test_pooling_with_stride_one_and_an_odd_window_is_scipys_filter() -> None:
    x = np.random.default_rng(0).standard_normal((4, 5))
    image = x[np.newaxis, ..., np.newaxis]
    got = run(case_of("MaxPooling2D", image, pool_size=3, strides=1, padding="same"))
    np.testing.assert_array_equal(got[0, ..., 0], ndimage.maximum_filter(x, 3, mode="constant", cval=-np.inf))
    inside = ndimage.uniform_filter(np.ones_like(x), 3, mode="constant")
    got = run(case_of("AveragePooling2D", image, pool_size=3, strides=1, padding="same"))
    np.testing.assert_allclose(got[0, ..., 0], ndimage.uniform_filter(x, 3, mode="constant") / inside, rtol=1e-9)


def test_a_mask_leaves_steps_out_of_the_average() -> None:
    case = case_of("GlobalAveragePooling1D", [[[1.0, 5.0], [3.0, 7.0], [100.0, 100.0]], [[8.0, 0.0], [4.0, 2.0], [0.0, 1.0]]])
    mask = Tensor((2, 3), "bool", literal=[[True, True, False], [False, False, True]])
    for masked in (case.replace(masks=(mask,)), case.replace(call={"mask": mask})):
        assert run(masked).tolist() == [[2, 6], [0, 1]]
        assert run(masked.with_arguments(keepdims=True)).shape == (2, 1, 2)
    first = case.replace(
        inputs=Tensor((2, 2, 3), literal=np.moveaxis(make(case.inputs), 1, 2).tolist()),
        masks=(mask,),
    ).with_arguments(data_format="channels_first")
    assert run(first).tolist() == [[2, 6], [0, 1]]
    assert run(first.with_arguments(keepdims=True)).shape == (2, 2, 1)
    none = Tensor((2, 3), "bool", literal=[[False] * 3] * 2)
    assert np.isfinite(run(case.replace(masks=(none,)))).all()


@pytest.mark.parametrize("name", ["MaxPooling2D", "GlobalMaxPooling2D", "AdaptiveMaxPooling2D"])
def test_a_maximum_that_is_none_of_its_inputs_is_caught(name: str) -> None:
    (law,) = SPECS[name].laws
    arguments = {"output_size": 2} if name.startswith("Adaptive") else {}
    case = case_of(name, np.arange(32.0).reshape(2, 4, 2, 2) - 16, data_format="channels_first", **arguments)
    call, right = call_of(case), run(case)
    assert law.check(call, [right], 2.0**-24) is None
    off = right.copy()
    off.flat[-1] += 1e-6
    assert law.check(call, [off], 2.0**-24)
    # Of another channel, and of another sample.
    assert law.check(call, [right[:, ::-1]], 2.0**-24)
    assert law.check(call, [right[::-1]], 2.0**-24)


def test_a_subnormal_maximum_may_be_zero() -> None:
    (law,) = SPECS["MaxPooling1D"].laws
    call = call_of(case_of("MaxPooling1D", [[[-1e-39], [-2.0]]]))
    assert law.check(call, [np.zeros((1, 1, 1))], 2.0**-24) is None
    assert law.check(call, [np.full((1, 1, 1), 1e-37)], 2.0**-24)


def identities() -> list[Any]:
    return [
        pytest.param(spec.name, identity, id=f"{spec.name}-{identity.name}") for spec in FAMILY for identity in spec.identities
    ]


@pytest.mark.parametrize(("name", "identity"), identities())
def test_an_identity_holds_of_the_reference_and_not_of_swapped_samples(name: str, identity: Identity) -> None:
    rank = int(name[-2])
    first = "channels_first" in identity.name
    shape = (2, 3, *(3, 4, 2)[:rank]) if first else (2, *(3, 4, 2)[:rank], 3)
    arguments: dict[str, Any] = {"data_format": "channels_first"} if first else {}
    if name.startswith("Adaptive"):
        arguments["output_size"] = 2
    elif name.startswith("Average"):
        arguments["pool_size"] = 2
    for more in ({}, {"keepdims": True}) if name.startswith("Global") else ({}, {"padding": "same"}):
        kept = more if not (name.startswith("Adaptive")) else {}
        case = case_of(name, np.random.default_rng(1).integers(-50, 50, shape), **arguments, **kept)
        other = identity.other(case)
        assert other is not None
        (expected,) = identity.expected(case, [run(case)])
        got = run(other)
        np.testing.assert_allclose(got, expected, rtol=1e-9)
        assert not np.allclose(got[::-1], expected)


@pytest.mark.parametrize("spec", FAMILY, ids=[spec.name for spec in FAMILY])
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_what_is_drawn_has_an_output(spec: Any, backend: str) -> None:
    """Cases are valid by construction: no window is larger than what it slides over, and no output is empty."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    @seed(0)
    @settings(max_examples=40, database=None, deadline=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
    @given(cases(spec, World(backend, (3, 15))))
    def check(case: Case) -> None:
        y = run(case)
        assert y.size > 0
        assert np.isfinite(y).all()

    check()


def test_what_the_cpu_cannot_do_is_said_exactly() -> None:
    case = case_of("AveragePooling3D", np.ones((1, 2, 2, 2, 1)), pool_size=2)
    spec = SPECS["AveragePooling3D"]
    half, double = case.replace(policy="mixed_float16"), case.replace(policy="float64")
    for backend in ("tensorflow", "torch"):
        assert not spec.unsupported(case, World(backend))
        assert spec.unsupported(half, World(backend))
        assert not spec.unsupported(half, World(backend, device="gpu"))
    assert spec.unsupported(double, World("tensorflow"))
    assert not spec.unsupported(half, World("jax"))
    assert not SPECS["AveragePooling2D"].unsupported(case_of("AveragePooling2D", np.ones((1, 2, 2, 1))), World("tensorflow"))
    maximum = half.replace(subject="keras.layers.MaxPooling3D")
    assert SPECS["MaxPooling3D"].unsupported(maximum, World("tensorflow"))
    assert not SPECS["MaxPooling3D"].unsupported(maximum, World("torch"))
