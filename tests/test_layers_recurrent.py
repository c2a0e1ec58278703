"""References, laws and identities of the recurrent layers, without a framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal, special

from pytest_dlcheck.cases.case import Build, Case, Tensor, map_tensors
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import recurrent as references
from pytest_dlcheck.strategies.draw import cases
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.layers.recurrent_rules import is_random, is_stateful
from pytest_dlcheck.subjects.spec import Call, Identity, World, flat

Array = NDArray[Any]
U = 2.0**-53
B, T, F, N = 2, 4, 3, 2
DEFAULTS: Mapping[str, Any] = {
    "activation": "tanh",
    "recurrent_activation": "sigmoid",
    "use_bias": True,
    "return_sequences": False,
    "return_state": False,
    "go_backwards": False,
}
OWN: Mapping[str, Mapping[str, Any]] = {
    "SimpleRNN": {},
    "LSTM": {"unit_forget_bias": True},
    "GRU": {"reset_after": True},
    "ConvLSTM1D": {"unit_forget_bias": True, "data_format": None},
    "RNN": {},
}
GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}


def weights(kind: str, seed: int = 0) -> dict[str, Array]:
    rng, gates = np.random.default_rng(seed), GATES[kind]
    bias = (2, gates * N) if kind == "GRU" else (gates * N,)
    shapes = {"kernel": (F, gates * N), "recurrent_kernel": (N, gates * N), "bias": bias}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def call_of(kind: str, given: Mapping[str, Any], of: Mapping[str, Array], x: Any, **fields: Any) -> Call:
    return Call({**DEFAULTS, **OWN.get(kind, {}), "units": N, **given}, of, x, **fields)


def expected_of(case: Case, of: Mapping[str, Array]) -> list[Array]:
    """What the layer's reference gives for a case, in float64."""
    reference = SPECS[case.name].reference
    assert reference is not None

    def array(tensor: Tensor) -> Array:
        return make(tensor, "float64")

    masks = [None if mask is None else make(mask) for mask in case.masks or ()]
    call = call_of(
        case.name,
        case.arguments,
        of,
        map_tensors(array, case.inputs),
        keywords=map_tensors(array, dict(case.call)),
        masks=masks,
        settings=case.settings,
    )
    return flat(reference(call).outputs)


def sigma(x: Any) -> Any:
    return special.expit(x)


def test_simple_rnn_by_hand() -> None:
    of = {"kernel": np.array([[2.0]]), "recurrent_kernel": np.array([[0.5]]), "bias": np.array([-1.0])}
    x = np.array([[[1.0], [0.25]]])
    first = np.tanh(1.0)
    second = np.tanh(-0.5 + 0.5 * first)
    found = references.layer_reference("SimpleRNN")(
        call_of("SimpleRNN", {"return_sequences": True, "return_state": True}, of, x)
    )
    np.testing.assert_allclose(found.outputs[0], [[[first], [second]]])
    np.testing.assert_allclose(found.outputs[1], [[second]])


def test_lstm_by_hand() -> None:
    of = {
        "kernel": np.array([[0.1, 0.2, 0.3, 0.4]]),
        "recurrent_kernel": np.array([[-0.5, 0.6, 0.7, -0.8]]),
        "bias": np.array([0.0, 1.0, -1.0, 0.5]),
    }
    h, c = 0.25, -2.0
    c_next = sigma(0.2 + 0.6 * h + 1) * c + sigma(0.1 - 0.5 * h) * np.tanh(0.3 + 0.7 * h - 1)
    h_next = sigma(0.4 - 0.8 * h + 0.5) * np.tanh(c_next)
    keywords = {"states": [np.array([[h]]), np.array([[c]])]}
    found = references.cell_reference("LSTMCell")(call_of("LSTM", {}, of, np.array([[1.0]]), keywords=keywords))
    np.testing.assert_allclose(np.ravel(found.outputs), [h_next, h_next, c_next])


@pytest.mark.parametrize("after", [True, False])
def test_gru_by_hand(after: bool) -> None:
    kernel, recurrent = np.array([[0.1, 0.2, 0.3]]), np.array([[-0.5, 0.6, 0.7]])
    bias = np.array([[0.1, -0.1, 0.2], [0.3, 0.4, -0.6]]) if after else np.array([0.1, -0.1, 0.2])
    h = 0.25
    second = bias[1] if after else np.zeros(3)
    first = bias[0] if after else bias
    z = sigma(0.1 + first[0] - 0.5 * h + second[0])
    r = sigma(0.2 + first[1] + 0.6 * h + second[1])
    n = np.tanh(0.3 + first[2] + (r * (0.7 * h + second[2]) if after else 0.7 * (r * h)))
    of = {"kernel": kernel, "recurrent_kernel": recurrent, "bias": bias}
    call = call_of("GRU", {"reset_after": after}, of, np.array([[1.0]]), keywords={"states": np.array([[h]])})
    np.testing.assert_allclose(np.ravel(references.cell_reference("GRUCell")(call).outputs), [z * h + (1 - z) * n] * 2)


@pytest.mark.parametrize("after", [True, False])
def test_before_and_after_agree_where_the_recurrent_part_is_diagonal_and_unbiased(after: bool) -> None:
    of = weights("GRU")
    of["recurrent_kernel"] = np.concatenate([np.eye(N)] * 3, axis=1)
    bias = of["bias"] * np.array([[1.0], [0.0]])
    x = np.random.default_rng(1).standard_normal((B, T, F))
    one = references.layer_reference("GRU")(call_of("GRU", {}, of | {"bias": bias}, x)).outputs[0]
    other = references.layer_reference("GRU")(call_of("GRU", {"reset_after": False}, of | {"bias": bias[0]}, x)).outputs[0]
    np.testing.assert_allclose(one, other)


def test_a_stack_is_one_layer_after_the_other() -> None:
    rng = np.random.default_rng(0)
    first, second = weights("LSTM"), {
        "kernel": rng.standard_normal((N, N)), "recurrent_kernel": rng.standard_normal((N, N)), "bias": rng.standard_normal(N)
    }  # fmt: skip
    of = {f"lstm_cell/{name}": array for name, array in first.items()}
    of |= {f"simple_rnn_cell/{name}": array for name, array in second.items()}
    cells = [Build("keras.layers.LSTMCell", {"units": N}), Build("keras.layers.SimpleRNNCell", {"units": N})]
    x = rng.standard_normal((B, T, F))
    between = references.layer_reference("LSTM")(call_of("LSTM", {"return_sequences": True}, first, x)).outputs[0]
    wanted = references.layer_reference("SimpleRNN")(call_of("SimpleRNN", {"return_state": True}, second, between)).outputs
    for cell in (cells, Build("keras.layers.StackedRNNCells", {"cells": cells})):
        found = references.layer_reference("RNN")(call_of("RNN", {"cell": cell, "return_state": True}, of, x)).outputs
        assert len(found) == 4
        np.testing.assert_allclose(found[0], wanted[0])
        np.testing.assert_allclose(found[3], wanted[1])


@pytest.mark.parametrize("mode", ["valid", "same"])
def test_convolution_is_scipys(mode: str) -> None:
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((2, 6, 5, 3)), rng.standard_normal((3, 2, 3, 4))
    found = references.convolved(x, kernel, (1, 1), mode, (1, 1))
    for out in range(4):
        total = sum(
            signal.correlate(np.pad(x[0, :, :, c], ((1, 1), (0, 1)) if mode == "same" else 0), kernel[:, :, c, out], "valid")
            for c in range(3)
        )
        np.testing.assert_allclose(found[0, :, :, out], total)


def test_strides_skip_and_dilation_spreads() -> None:
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((1, 7, 2)), rng.standard_normal((2, 2, 3))
    whole = references.convolved(x, kernel, (1,), "valid", (1,))
    np.testing.assert_allclose(references.convolved(x, kernel, (2,), "valid", (1,)), whole[:, ::2])
    spread = np.zeros((3, 2, 3))
    spread[::2] = kernel
    np.testing.assert_allclose(
        references.convolved(x, kernel, (1,), "valid", (2,)), references.convolved(x, spread, (1,), "valid", (1,))
    )


def test_conv_lstm_of_one_place_is_an_lstm() -> None:
    of, x = weights("LSTM"), np.random.default_rng(1).standard_normal((B, T, F))
    wanted = references.layer_reference("LSTM")(call_of("LSTM", {"return_state": True}, of, x)).outputs
    given = {"filters": N, "kernel_size": 1, "return_state": True}
    wide = {name: array[None] if array.ndim > 1 else array for name, array in of.items()}
    for data_format, axis in (("channels_last", 2), ("channels_first", 3)):
        call = call_of("ConvLSTM1D", given | {"data_format": data_format}, wide, np.expand_dims(x, axis))
        found = references.layer_reference("ConvLSTM1D")(call).outputs
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(np.squeeze(one, axis - 1), other)


def test_masked_steps_are_skipped() -> None:
    of, x = weights("LSTM"), np.random.default_rng(1).standard_normal((1, 4, F))
    mask = np.array([[False, True, False, True]])
    given = {"return_sequences": True, "return_state": True}
    kept = references.layer_reference("LSTM")(call_of("LSTM", given, of, x[:, [1, 3]])).outputs
    found = references.layer_reference("LSTM")(call_of("LSTM", given, of, x, masks=[mask]))
    sequence = found.outputs[0]
    np.testing.assert_allclose(sequence[:, [1, 3]], kept[0])
    np.testing.assert_array_equal(sequence[:, 0], 0)
    np.testing.assert_array_equal(sequence[:, 2], sequence[:, 1])
    for one, other in zip(found.outputs[1:], kept[1:], strict=True):
        np.testing.assert_allclose(one, other)
    assert found.checks_mask
    np.testing.assert_array_equal(found.mask, mask)
    backwards = references.layer_reference("LSTM")(call_of("LSTM", given | {"go_backwards": True}, of, x, masks=[mask]))
    np.testing.assert_array_equal(backwards.mask, mask[:, ::-1])
    keyword = references.layer_reference("LSTM")(call_of("LSTM", given, of, x, keywords={"mask": mask}))
    assert not keyword.checks_mask
    np.testing.assert_array_equal(flat(keyword.outputs)[0], sequence)


def test_masked_outputs_are_zero_where_that_is_asked_of_a_sequence() -> None:
    of = {f"c/{name}": array for name, array in weights("SimpleRNN").items()}
    x, mask = np.random.default_rng(1).standard_normal((1, 3, F)), np.array([[True, True, False]])
    given = {"cell": Build("keras.layers.SimpleRNNCell", {"units": N}), "zero_output_for_mask": True}
    sequence = references.layer_reference("RNN")(
        call_of("RNN", given | {"return_sequences": True}, of, x, masks=[mask])
    ).outputs[0]
    last = references.layer_reference("RNN")(call_of("RNN", given, of, x, masks=[mask])).outputs[0]
    np.testing.assert_array_equal(sequence[:, 2], 0)
    np.testing.assert_allclose(last, sequence[:, 1])


def test_a_sequence_in_two_parts_with_the_states_handed_over() -> None:
    x = np.random.default_rng(1).standard_normal((B, T, F))
    for kind in GATES:
        of, given = weights(kind), {"return_state": True}
        whole = references.layer_reference(kind)(call_of(kind, given, of, x)).outputs
        _, *states = references.layer_reference(kind)(call_of(kind, given, of, x[:, :1])).outputs
        second = call_of(kind, given, of, x[:, 1:], keywords={"initial_state": states})
        remembered = of | {f"{kind}/rnn_state_{index}": state for index, state in enumerate(states)}
        stateful = references.layer_reference(kind)(call_of(kind, given, remembered, x[:, 1:]))
        for found in (references.layer_reference(kind)(second).outputs, stateful.outputs):
            for one, other in zip(found, whole, strict=True):
                np.testing.assert_allclose(one, other)
        assert [*stateful.state] == [f"{kind}/rnn_state_{index}" for index in range(len(states))]
        np.testing.assert_allclose(stateful.state[f"{kind}/rnn_state_0"], whole[1])


def test_weights_are_handed_out_in_order_and_by_name() -> None:
    given = references.WeightsInOrder({"a/kernel": np.zeros(1), "l/rnn_state_0": np.zeros(3), "a/bias": np.zeros(2)})
    assert given.take("kernel").shape == (1,)
    with pytest.raises(AssertionError, match="a/bias where kernel"):
        given.take("kernel")


# Laws.


def law(kind: str, name: str) -> Any:
    return next(each for each in SPECS[kind].laws if each.name == name).check


@pytest.mark.parametrize("kind", [*GATES])
@pytest.mark.parametrize("recurrent", [0.0, 0.5])
def test_dropout_drops_the_same_at_every_step(kind: str, recurrent: float) -> None:
    check = law(kind, "drops_the_same_at_every_step")
    of = weights(kind)
    x = np.random.default_rng(3).standard_normal((1, T, F))
    given = {"dropout": 0.0 if recurrent else 0.5, "recurrent_dropout": recurrent, "return_sequences": True}
    call = call_of(kind, given, of, x, training=True)
    gates = GATES[kind] if recurrent else 1
    size = N if recurrent else F
    kept = (np.arange(gates * size) % 3 != 0).astype(float) * 2
    factors = kept.reshape(gates, 1, size)
    pair = (None, factors) if recurrent else (factors, None)
    cell = references.cell_of(kind, call.arguments, references.WeightsInOrder(of), factors=pair)
    right = references.run(cell, x, None, None, go_backwards=False).outputs
    assert check(call, [right], U) is None
    undropped = references.layer_reference(kind)(call).outputs[0]
    assert "no choice" in check(call, [undropped], U)
    mixed = right.copy()
    mixed[:, 2:] = undropped[:, 2:]
    assert "no choice" in check(call, [mixed], U)
    unscaled = references.cell_of(
        kind, call.arguments, references.WeightsInOrder(of), factors=tuple(None if each is None else each / 2 for each in pair)
    )
    assert "no choice" in check(call, [references.run(unscaled, x, None, None, go_backwards=False).outputs], U)


@pytest.mark.parametrize("kind", ["LSTM", "LSTMCell", "ConvLSTM2D"])
@pytest.mark.parametrize(
    ("given", "bias", "holds"),
    [
        ({"unit_forget_bias": True}, [0, 1, 0, 0], True),
        ({"unit_forget_bias": True}, [0, 0, 0, 0], False),
        ({"unit_forget_bias": True}, [1, 0, 0, 0], False),
        ({"unit_forget_bias": False}, [0, 0, 0, 0], True),
        ({"unit_forget_bias": False}, [0, 1, 0, 0], False),
        ({"unit_forget_bias": False, "bias_initializer": "ones"}, [1, 1, 1, 1], True),
        ({"unit_forget_bias": True, "bias_initializer": "ones"}, [1, 1, 1, 1], False),
        ({"unit_forget_bias": True}, [0.3, -0.2, 0.7, 0.1], True),  # given to it later
    ],
)
def test_first_bias(kind: str, given: Mapping[str, Any], bias: list[float], holds: bool) -> None:
    said = law(kind, "first_bias")(Call(given, {"cell/bias": np.array(bias, float)}, np.zeros((1, 1))), [], U)
    assert (said is None) == holds


# Identities: what the reference gives for one case determines what it gives for the other.


def base(kind: str, **changes: Any) -> Case:
    case = Case(f"keras.layers.{kind}", {"units": N, "return_sequences": True, "return_state": True}, Tensor((B, T, F)))
    return case.replace(policy="float64", **changes)


def identity(kind: str, name: str) -> Identity:
    return next(each for each in SPECS[kind].identities if each.name == name)


MASK = Tensor((B, T), "bool", literal=[[True, True, False, True], [False, True, True, False]])


@pytest.mark.parametrize("kind", [*GATES])
@pytest.mark.parametrize("name", [each.name for each in SPECS["LSTM"].identities])
@pytest.mark.parametrize("masked", ["no", "attached", "keyword"])
@pytest.mark.parametrize("backwards", [False, True])
def test_identity(kind: str, name: str, masked: str, backwards: bool) -> None:
    case = base(kind, masks=(MASK,) if masked == "attached" else None, call={"mask": MASK} if masked == "keyword" else {})
    case = case.with_arguments(go_backwards=backwards)
    each = identity(kind, name)
    other = each.other(case)
    if other is None:
        assert (name, masked) in {("masked_steps_do_not_matter", "no"), ("begins_with_zeros", "attached")}
        return
    assert other != case
    of = weights(kind)
    targets, found = each.expected(case, expected_of(case, of)), expected_of(other, of)
    for one, target in zip(found, targets, strict=True):
        np.testing.assert_allclose(one, target, atol=1e-12)
    # Weights that differ by a little show.
    wrong = expected_of(other, {**of, "kernel": of["kernel"] * (1 + 1e-6)})
    assert any(np.max(np.abs(one - target)) > 1e-9 for one, target in zip(wrong, targets, strict=True))


@pytest.mark.parametrize("name", ["channels_first_is_channels_last", "is_one_dimension_more"])
@pytest.mark.parametrize("sequences", [False, True])
def test_identity_of_convolutions(name: str, sequences: bool) -> None:
    states = [Tensor((B, 2, 3), seed=seed) for seed in (1, 2)]
    case = Case(
        "keras.layers.ConvLSTM1D",
        {"filters": 2, "kernel_size": 2, "return_sequences": sequences, "return_state": True},
        Tensor((B, 3, 1, 4)),
        call={"initial_state": states},
        settings={"image_data_format": "channels_first"},
        policy="float64",
    )
    rng = np.random.default_rng(0)
    shapes = {"kernel": (2, 1, 8), "recurrent_kernel": (2, 2, 8), "bias": (8,)}
    of = {key: rng.standard_normal(shape) for key, shape in shapes.items()}
    each = identity("ConvLSTM1D", name)
    other = each.other(case)
    assert other is not None
    values = list(of.values()) if each.weights is None else each.weights(case, list(of.values()))
    found = expected_of(other, dict(zip(of, values, strict=True)))
    targets = each.expected(case, expected_of(case, of))
    for one, target in zip(found, targets, strict=True):
        np.testing.assert_allclose(one, target)
    assert each.other(case.with_arguments(stateful=True)) is None


# Drawing.


def test_what_is_random_and_what_remembers_is_found_in_nests() -> None:
    inner = Build("keras.layers.LSTM", {"units": 1, "dropout": 0.5, "stateful": True})
    case = Case("keras.layers.Bidirectional", {"layer": inner}, Tensor((1, 1, 1)))
    assert is_random(case, True)
    assert not is_random(case, False)
    assert is_stateful(case)
    stack = [Build("keras.layers.LSTMCell", {"units": 1}), Build("keras.layers.GRUCell", {"recurrent_dropout": 0.1})]
    assert is_random(Case("keras.layers.RNN", {"cell": stack}, Tensor((1, 1, 1))), True)
    assert not is_random(Case("keras.layers.RNN", {"cell": stack[:1]}, Tensor((1, 1, 1))), True)


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU", "RNN", "LSTMCell", "StackedRNNCells", "ConvLSTM2D"])
def test_keywords_come_in_the_order_of_their_names(kind: str) -> None:
    """As they are flattened; and what is drawn can be computed by the reference."""
    from hypothesis import HealthCheck, given, settings

    @settings(max_examples=30, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(cases(SPECS[kind], World("numpy")))
    def look(case: Case) -> None:
        assert list(case.call) == sorted(case.call)
        assert 0 not in case.inputs.shape

    look()


@pytest.mark.parametrize(("kind", "states"), [("GRU", 1), ("LSTM", 2)])
def test_the_rounding_of_a_gate_counts_as_much_as_what_it_lets_through(kind: str, states: int) -> None:
    # Gates of tanh(40), which is 1: the GRU's lets nothing of the candidate through, and 1e-7 of it if it is rounded down.
    gates = 3 if kind == "GRU" else 4
    weights = {"kernel": np.full((1, gates), 40.0), "recurrent_kernel": np.zeros((1, gates))}
    weights["bias"] = np.zeros((2, gates)) if kind == "GRU" else np.zeros(gates)
    arguments = {"activation": "relu", "recurrent_activation": "tanh"}

    def stepped(rounded: Callable[[np.ndarray], np.ndarray]) -> float:
        cell = references.cell_of(kind, arguments, references.WeightsInOrder(weights, rounded))
        output, _ = cell.step(np.ones((1, 1)), [np.zeros((1, 1))] * states)
        return float(output[0, 0])

    right, moved = stepped(lambda array: array), stepped(lambda array: array * (1 - 1e-7))
    assert right == (0.0 if kind == "GRU" else 40.0)
    assert moved - right == pytest.approx(40e-7 if kind == "GRU" else -80e-7, rel=1e-5)
