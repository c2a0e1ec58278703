"""Do the references of the convolutional layers hold on independent values, and do their identities tell right from wrong?"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from pytest_dlcheck.cases.case import Case, Tensor
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import convolutional as references
from pytest_dlcheck.strategies.draw import cases
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.layers.convolutional import SPECS as FAMILY
from pytest_dlcheck.subjects.spec import Call, Identity, World

Array = NDArray[Any]

DEFAULTS: Mapping[str, Any] = {
    "strides": 1,
    "padding": "valid",
    "dilation_rate": 1,
    "groups": 1,
    "depth_multiplier": 1,
    "output_padding": None,
    "use_bias": True,
    "activation": None,
    "data_format": None,
}


def weights_of(case: Case) -> list[Array]:
    """Weights of the shapes that Keras documents, in the layer's order."""
    rng = np.random.default_rng(0)
    given = {**DEFAULTS, **case.arguments}
    shape = case.inputs.shape
    first = (given["data_format"] or case.settings.get("image_data_format")) == "channels_first"
    channels = shape[1] if first else shape[-1]
    size = references.per_axis(given["kernel_size"], len(shape) - 2)
    filters, deep = given.get("filters", 0), channels * given["depth_multiplier"]
    if case.name.startswith("Depthwise"):
        shapes = [(*size, channels, given["depth_multiplier"]), (deep,)]
    elif case.name.startswith("Separable"):
        shapes = [(*size, channels, given["depth_multiplier"]), (*(1 for _ in size), deep, filters), (filters,)]
    elif case.name.endswith("Transpose"):
        shapes = [(*size, filters, channels), (filters,)]
    else:
        shapes = [(*size, channels // given["groups"], filters), (filters,)]
    return [rng.standard_normal(each) for each in (shapes if given["use_bias"] else shapes[:-1])]


def run(case: Case, weights: list[Array] | None = None) -> Array:
    """What the reference of the case's layer gives."""
    given = {**DEFAULTS, **case.arguments}
    names = ["depthwise_kernel", "pointwise_kernel", "bias"] if case.name.startswith("Separable") else ["kernel", "bias"]
    values = weights_of(case) if weights is None else weights
    call = Call(
        given,
        dict(zip(names, values, strict=False)),
        np.asarray(make(case.inputs, "float64"), dtype=np.float64),
        settings=case.settings,
    )
    reference = SPECS[case.name].reference
    assert reference is not None
    return np.asarray(reference(call).outputs)


def case_of(name: str, shape: tuple[int, ...], **arguments: Any) -> Case:
    return Case(f"keras.layers.{name}", arguments, Tensor(shape), policy="float64")


def values(*shape: int) -> Array:
    return np.random.default_rng([3, *shape]).standard_normal(shape)


def test_same_padding_puts_the_odd_zero_at_the_end() -> None:
    assert references.same_padding(5, 3, 1) == (1, 1)
    assert references.same_padding(5, 2, 1) == (0, 1)
    assert references.same_padding(5, 3, 2) == (1, 1)
    assert references.same_padding(6, 3, 2) == (0, 1)
    assert references.same_padding(5, 1, 3) == (0, 0)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_plain_convolution_is_scipys_correlation(rank: int) -> None:
    x, kernel = values(2, *(4, 5, 3)[:rank], 3), values(*(2, 3, 2)[:rank], 3, 4)
    got = references.correlated(x, kernel, (1,) * rank, (1,) * rank, [(0, 0)] * rank)
    for sample, filters in itertools.product(range(2), range(4)):
        expected = sum(signal.correlate(x[sample, ..., c], kernel[..., c, filters], "valid") for c in range(3))
        np.testing.assert_allclose(got[sample, ..., filters], expected, rtol=1e-12)


def test_strides_and_dilation_by_hand() -> None:
    x, ones = np.arange(1.0, 8.0).reshape(1, 7, 1), np.ones((2, 1, 1))
    strided = references.correlated(x, ones, (3,), (1,), [(0, 0)])
    assert strided.ravel().tolist() == [3, 9]
    dilated = references.correlated(x, ones, (1,), (4,), [(0, 0)])
    assert dilated.ravel().tolist() == [6, 8, 10]
    padded = references.correlated(x, ones, (3,), (1,), [(1, 1)])
    assert padded.ravel().tolist() == [1, 7, 13]


def test_groups_see_their_own_channels() -> None:
    x, kernel = values(1, 4, 4), values(2, 2, 6)
    whole = references.correlated(x, kernel, (1,), (1,), [(0, 0)], groups=2)
    left = references.correlated(x[..., :2], kernel[..., :3], (1,), (1,), [(0, 0)])
    np.testing.assert_array_equal(whole[..., :3], left)
    x[..., 0] += 1
    changed = references.correlated(x, kernel, (1,), (1,), [(0, 0)], groups=2)
    assert not np.allclose(changed[..., :3], whole[..., :3])
    np.testing.assert_array_equal(changed[..., 3:], whole[..., 3:])


def test_a_causal_convolution_ignores_the_future() -> None:
    case = case_of("Conv1D", (1, 5, 2), filters=3, kernel_size=3, padding="causal", dilation_rate=2)
    weights = weights_of(case)
    before = run(case, weights)
    changed = make(case.inputs, "float64")
    changed[:, 3:] += 7
    after = run(case.replace(inputs=Tensor(changed.shape, literal=changed.tolist())), weights)
    assert before.shape == (1, 5, 3)
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert not np.allclose(before[:, 3:], after[:, 3:])


def test_depthwise_outputs_lie_channel_by_channel() -> None:
    x, kernel = values(1, 4, 2), values(2, 2, 3)
    got = references.depthwise_correlated(x, kernel, (1,), (1,), [(0, 0)])
    for channel, which in itertools.product(range(2), range(3)):
        expected = signal.correlate(x[0, :, channel], kernel[:, channel, which], "valid")
        np.testing.assert_allclose(got[0, :, channel * 3 + which], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "added", "expected"),
    [
        (3, 2, "valid", None, [1, 1, 2, 1, 2, 1, 1]),
        (1, 3, "valid", None, [1, 0, 0, 1, 0, 0, 1, 0, 0]),
        (2, 2, "valid", 1, [1, 1, 1, 1, 1, 1, 0]),
        (3, 2, "same", None, [1, 1, 2, 1, 2, 1]),
        (3, 1, "same", None, [2, 3, 2]),
        (3, 2, "same", 0, [1, 2, 1, 2, 1]),
        (3, 2, "same", 1, [1, 1, 2, 1, 2, 1]),
        (4, 2, "same", 0, [2, 2, 2, 2]),
    ],
)
def test_transposed_convolutions_of_ones_by_hand(
    kernel: int, stride: int, padding: str, added: int | None, expected: list[float]
) -> None:
    case = case_of(
        "Conv1DTranspose", (1, 3, 1), filters=1, kernel_size=kernel, strides=stride, padding=padding, output_padding=added
    ).replace(inputs=Tensor((1, 3, 1), values="ones"))
    assert run(case, [np.ones((kernel, 1, 1)), np.zeros(1)]).ravel().tolist() == expected


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_a_transposed_convolution_is_the_adjoint(padding: str) -> None:
    """<conv(x), y> = <x, convT(y)>, for every size, kernel and stride."""
    for size, kernel, stride in itertools.product(range(1, 7), range(1, 4), range(1, 4)):
        if padding == "valid" and size < kernel:
            continue
        weights = values(kernel, 2, 3)
        pads = [references.same_padding(size, kernel, stride)] if padding == "same" else [(0, 0)]
        x = values(1, size, 2)
        there = references.correlated(x, weights, (stride,), (1,), pads)
        y = values(*there.shape)
        back = references.scattered(y, weights, (stride,), (1,), (size,))
        assert np.sum(there * y) == pytest.approx(np.sum(x * back)), (size, kernel, stride)


def test_a_bias_goes_with_its_channel_in_either_format() -> None:
    last = case_of("DepthwiseConv1D", (1, 3, 2), kernel_size=2).replace(inputs=Tensor((1, 3, 2), values="zeros"))
    first = last.with_arguments(data_format="channels_first").replace(inputs=Tensor((1, 2, 3), values="zeros"))
    weights = [np.ones((2, 2, 1)), np.array([1.0, 2.0])]
    assert run(last, weights).tolist() == [[[1, 2], [1, 2]]]
    assert run(first, weights).tolist() == [[[1, 1], [2, 2]]]


ARGUMENTS: Mapping[str, Any] = {"kernel_size": 2, "padding": "same"}


def identities() -> list[Any]:
    return [
        pytest.param(spec.name, identity, id=f"{spec.name}-{identity.name}") for spec in FAMILY for identity in spec.identities
    ]


@pytest.mark.parametrize(("name", "identity"), identities())
def test_an_identity_holds_of_the_reference_and_not_of_a_shifted_one(name: str, identity: Identity) -> None:
    rank = int(name.removesuffix("Transpose")[-2])
    case = case_of(name, (2, *(3, 4, 2)[:rank], 2), **ARGUMENTS)
    if not name.startswith("Depthwise"):
        case = case.with_arguments(filters=4)
    if "dilation" in identity.name:
        case = case.with_arguments(dilation_rate=2)
    if "channels_first" in identity.name:
        case = case.with_arguments(data_format="channels_first").replace(inputs=Tensor((2, 2, *(3, 4, 2)[:rank])))
    if "depthwise" in identity.name:
        case = case.with_arguments(depth_multiplier=3)
    weights = weights_of(case)
    other = identity.other(case)
    assert other is not None
    moved = weights if identity.weights is None else list(identity.weights(case, weights))
    assert [each.shape for each in moved] == [each.shape for each in weights_of(other)]
    (expected,) = identity.expected(case, [run(case, weights)])
    got = run(other, moved)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)
    assert not np.allclose(np.roll(got, 1, axis=-2), expected)


@pytest.mark.parametrize("spec", FAMILY, ids=[spec.name for spec in FAMILY])
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_what_is_drawn_has_an_output(spec: Any, backend: str) -> None:
    """Cases are valid by construction: no kernel is larger than what it slides over, and no output is empty."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    @seed(0)
    @settings(max_examples=40, database=None, deadline=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
    @given(cases(spec, World(backend, (3, 15))))
    def check(case: Case) -> None:
        y = run(case)
        assert y.ndim == len(case.inputs.shape)
        assert y.size > 0

    check()


def test_what_the_cpu_cannot_do_is_said_exactly() -> None:
    cpu, gpu = World("tensorflow"), World("tensorflow", device="gpu")
    plain = case_of("Conv2D", (1, 2, 3, 3), filters=2, kernel_size=2, data_format="channels_first")
    assert SPECS["Conv2D"].unsupported(plain, cpu)
    assert not SPECS["Conv2D"].unsupported(plain, gpu)
    assert not SPECS["Conv2D"].unsupported(plain, World("jax"))
    assert not SPECS["Conv2D"].unsupported(plain.with_arguments(groups=2), cpu)
    assert not SPECS["Conv2D"].unsupported(plain.with_arguments(data_format="channels_last"), cpu)
    dilated = case_of("Conv1DTranspose", (1, 3, 1), filters=1, kernel_size=2, dilation_rate=(2,))
    assert SPECS["Conv1DTranspose"].unsupported(dilated, cpu)
    assert not SPECS["Conv1DTranspose"].unsupported(dilated.without("dilation_rate"), cpu)
    uneven = case_of("DepthwiseConv2D", (1, 3, 3, 1), kernel_size=2, strides=(2, 1))
    assert SPECS["DepthwiseConv2D"].unsupported(uneven, gpu)
    assert not SPECS["DepthwiseConv2D"].unsupported(uneven.with_arguments(strides=(2, 2)), gpu)


def test_what_onednn_can_do_is_said_exactly() -> None:
    world = World("tensorflow", onednn=frozenset({"float32", "bfloat16"}))
    plain = case_of("Conv2D", (1, 2, 3, 3), filters=2, kernel_size=2, data_format="channels_first")
    dilated = case_of("Conv1DTranspose", (1, 3, 1), filters=1, kernel_size=2, dilation_rate=(2,))
    uneven = case_of("DepthwiseConv2D", (1, 3, 3, 1), kernel_size=2, strides=(2, 1))
    for case in (plain, dilated, uneven):
        spec = SPECS[case.name]
        assert not spec.unsupported(case.replace(policy="mixed_bfloat16"), world)
        assert spec.unsupported(case.replace(policy="float16"), world)
    on_a_gpu = World("tensorflow", device="gpu", onednn=world.onednn)
    assert SPECS["DepthwiseConv2D"].unsupported(uneven, on_a_gpu)
