"""References and identities of the layers that wrap others, without a framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from pytest_dlcheck.cases.case import Build, Case, Tensor, map_tensors
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import recurrent, wrappers
from pytest_dlcheck.strategies.draw import cases
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import Call, Identity, World, flat

Array = NDArray[Any]
B, T, F, N = 2, 4, 3, 2
X = np.random.default_rng(1).standard_normal((B, T, F))
MASK = np.array([[True, True, False, True], [False, True, True, False]])


def rnn_weights(prefix: str, seed: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    shapes = {"kernel": (F, N), "recurrent_kernel": (N, N), "bias": (N,)}
    return {f"{prefix}/{name}": rng.standard_normal(shape) for name, shape in shapes.items()}


BOTH = rnn_weights("forward", 0) | rnn_weights("backward", 1)


def rnn(**given: Any) -> Build:
    return Build("keras.layers.SimpleRNN", {"units": N, **given})


def bidirectional(layer: Build, of: Mapping[str, Array] = BOTH, **fields: Any) -> Any:
    arguments = {"merge_mode": "concat", "backward_layer": None, **fields.pop("arguments", {})}
    return wrappers.bidirectional(Call({"layer": layer, **arguments}, of, X, **fields))


def alone(x: Array, seed: int, mask: Array | None = None) -> recurrent.Run:
    of = recurrent.WeightsInOrder(rnn_weights("alone", seed))
    return recurrent.layer_of("SimpleRNN", {"return_sequences": True}, of, x, mask=mask, zero_masked=True)


@pytest.mark.parametrize(
    ("mode", "merged"),
    [
        ("sum", lambda a, b: a + b),
        ("mul", lambda a, b: a * b),
        ("ave", lambda a, b: (a + b) / 2),
        ("concat", lambda a, b: np.concatenate([a, b], -1)),
    ],
)
def test_bidirectional_is_two_runs_merged(mode: str, merged: Any) -> None:
    first, second = alone(X, 0), alone(X[:, ::-1], 1)
    sequence = bidirectional(rnn(return_sequences=True), arguments={"merge_mode": mode})
    np.testing.assert_allclose(flat(sequence.outputs)[0], merged(first.outputs, second.outputs[:, ::-1]))
    last = bidirectional(rnn(return_state=True), arguments={"merge_mode": mode})
    np.testing.assert_allclose(last.outputs[0], merged(first.last, second.last))
    np.testing.assert_allclose(last.outputs[1], first.states[0])
    np.testing.assert_allclose(last.outputs[2], second.states[0])


def test_bidirectional_unmerged_and_masked() -> None:
    found = bidirectional(rnn(return_sequences=True), arguments={"merge_mode": None}, masks=[MASK])
    np.testing.assert_allclose(found.outputs[0], alone(X, 0, MASK).outputs)
    np.testing.assert_allclose(found.outputs[1], alone(X[:, ::-1], 1, MASK[:, ::-1]).outputs[:, ::-1])
    for output in found.outputs:
        np.testing.assert_array_equal(output[~MASK], 0)
    np.testing.assert_array_equal(found.mask, MASK)
    assert found.checks_mask


def test_bidirectional_hands_each_layer_its_half_of_the_states() -> None:
    states = [np.full((B, N), 0.5), np.full((B, N), -0.25)]
    found = bidirectional(rnn(), arguments={"merge_mode": None}, keywords={"initial_state": states})
    for seed, x, state, output in ((0, X, states[0], 0), (1, X[:, ::-1], states[1], 1)):
        of = recurrent.WeightsInOrder(rnn_weights("alone", seed))
        wanted = recurrent.layer_of("SimpleRNN", {}, of, x, initial=[state]).last
        np.testing.assert_allclose(found.outputs[output], wanted)
    held = BOTH | {"forward/rnn_state_0": states[0], "backward/rnn_state_0": states[1]}
    stateful = bidirectional(rnn(stateful=True), held, arguments={"merge_mode": None})
    np.testing.assert_allclose(stateful.outputs, found.outputs)
    np.testing.assert_allclose(stateful.state["backward/rnn_state_0"], found.outputs[1])


def test_a_backward_layer_of_its_own() -> None:
    other = rnn(go_backwards=True, activation="relu")
    found = bidirectional(rnn(), arguments={"merge_mode": None, "backward_layer": other})
    of = recurrent.WeightsInOrder(rnn_weights("alone", 1))
    np.testing.assert_allclose(found.outputs[1], recurrent.layer_of("SimpleRNN", {"activation": "relu"}, of, X[:, ::-1]).last)


def test_time_distributed_dense_and_convolution() -> None:
    rng = np.random.default_rng(0)
    kernel, bias = rng.standard_normal((F, 5)), rng.standard_normal(5)
    layer = Build("keras.layers.Dense", {"units": 5, "activation": "relu"})
    found = wrappers.time_distributed(Call({"layer": layer}, {"kernel": kernel, "bias": bias}, X, masks=[MASK]))
    np.testing.assert_allclose(found.outputs, np.maximum(X @ kernel + bias, 0))
    np.testing.assert_array_equal(found.mask, MASK)
    x, kernel = rng.standard_normal((1, 2, 6, 1)), rng.standard_normal((3, 1, 1))
    conv = Build("keras.layers.Conv1D", {"filters": 1, "kernel_size": 3, "use_bias": False})
    found = wrappers.time_distributed(Call({"layer": conv}, {"kernel": kernel}, x))
    for step in range(2):
        np.testing.assert_allclose(
            flat(found.outputs)[0][0, step, :, 0], signal.correlate(x[0, step, :, 0], kernel[:, 0, 0], "valid")
        )


@pytest.mark.parametrize(
    ("layer", "of", "wanted"),
    [
        (Build("keras.layers.Flatten"), {}, X.reshape(B, T, -1)),
        (Build("keras.layers.Rescaling", {"scale": 0.5, "offset": 1.0}), {}, X / 2 + 1),
        (Build("keras.layers.Activation", {"activation": "tanh"}), {}, np.tanh(X)),
        (Build("keras.layers.Softmax"), {}, np.exp(X) / np.exp(X).sum(-1, keepdims=True)),
    ],
)
def test_time_distributed_others(layer: Build, of: Mapping[str, Array], wanted: Array) -> None:
    np.testing.assert_allclose(wrappers.time_distributed(Call({"layer": layer}, of, X)).outputs, wanted)


def test_time_distributed_recurrent_layer() -> None:
    x = np.random.default_rng(0).standard_normal((B, 2, T, F))
    layer = rnn(return_sequences=True)
    of = rnn_weights("cell", 0)
    found = flat(wrappers.time_distributed(Call({"layer": layer}, of, x)).outputs)[0]
    for step in range(2):
        np.testing.assert_allclose(found[:, step], alone(x[:, step], 0).outputs)


def test_spectral_normalization_divides_by_the_largest_singular_value() -> None:
    rng = np.random.default_rng(0)
    kernel, u = rng.standard_normal((F, N)), rng.standard_normal((1, N))
    layer = Build("keras.layers.Dense", {"units": N, "use_bias": False})
    arguments = {"layer": layer, "power_iterations": 200}
    of = {"kernel": kernel, "vector_u": u}
    normalized = kernel / np.linalg.svd(kernel, compute_uv=False)[0]
    found = wrappers.spectral_normalization(Call(arguments, of, X, training=True))
    np.testing.assert_allclose(found.state["kernel"], normalized)
    np.testing.assert_allclose(found.outputs, X @ normalized)
    once = wrappers.spectral_normalization(Call(arguments | {"power_iterations": 1}, of, X, training=True))
    assert np.max(np.abs(once.state["kernel"] - normalized)) > 1e-6
    inference = wrappers.spectral_normalization(Call(arguments, of, X))
    np.testing.assert_allclose(inference.outputs, X @ kernel)
    np.testing.assert_array_equal(inference.state["vector_u"], u)


def test_spectral_normalization_of_embeddings_and_of_zeros() -> None:
    layer = Build("keras.layers.Embedding", {"input_dim": 4, "output_dim": N})
    table = np.arange(8.0).reshape(4, N)
    of = {"embeddings": table, "vector_u": np.ones((1, N))}
    call = Call({"layer": layer, "power_iterations": 1}, of, np.array([[3, 0]]))
    np.testing.assert_array_equal(wrappers.spectral_normalization(call).outputs, [[table[3], table[0]]])
    zeros = Call({"layer": layer, "power_iterations": 1}, of | {"embeddings": 0 * table}, np.array([[3, 0]]), training=True)
    np.testing.assert_array_equal(wrappers.spectral_normalization(zeros).outputs, np.zeros((1, 2, N)))


# Identities.


def expected_of(case: Case, of: Mapping[str, Array]) -> list[Array]:
    """What the layer's reference gives for a case, in float64."""
    reference = SPECS[case.name].reference
    assert reference is not None

    def array(tensor: Tensor) -> Array:
        return make(tensor, "float64")

    defaults = {"merge_mode": "concat", "backward_layer": None, "use_bias": True, "activation": None}
    masks = [None if mask is None else make(mask) for mask in case.masks or ()]
    inputs, keywords = map_tensors(array, case.inputs), map_tensors(array, dict(case.call))
    return flat(reference(Call({**defaults, **case.arguments}, of, inputs, keywords, masks)).outputs)


def identity(kind: str, name: str) -> Identity:
    return next(each for each in SPECS[kind].identities if each.name == name)


@pytest.mark.parametrize("name", [each.name for each in SPECS["Bidirectional"].identities])
@pytest.mark.parametrize("mode", ["concat", "mul", None])
@pytest.mark.parametrize("sequences", [False, True])
def test_identity_of_bidirectional(name: str, mode: str | None, sequences: bool) -> None:
    mask = Tensor((B, T), "bool", literal=MASK.tolist())
    layer = rnn(return_sequences=sequences, return_state=True)
    case = Case(
        "keras.layers.Bidirectional", {"layer": layer, "merge_mode": mode}, Tensor((B, T, F)), masks=(mask,), policy="float64"
    )
    each = identity("Bidirectional", name)
    other = each.other(case)
    if other is None:
        assert name == "none_is_concat_apart"
        assert mode is not None
        return
    values = list(BOTH.values()) if each.weights is None else each.weights(case, list(BOTH.values()))
    of = dict(zip(BOTH, values, strict=True))
    targets, found = each.expected(case, expected_of(case, BOTH)), expected_of(other, of)
    for one, target in zip(found, targets, strict=True):
        np.testing.assert_allclose(one, target)
    wrong = expected_of(other, of | {"backward/kernel": of["backward/kernel"] * (1 + 1e-6)})
    assert any(np.max(np.abs(one - target)) > 1e-9 for one, target in zip(wrong, targets, strict=True))


def test_identity_of_time_distributed() -> None:
    layer = Build("keras.layers.Dense", {"units": N, "dtype": "float64"})
    case = Case("keras.layers.TimeDistributed", {"layer": layer}, Tensor((B, T, F)), policy="float64")
    other = identity("TimeDistributed", "steps_are_samples").other(case)
    assert other is not None
    assert other.subject == "keras.layers.Dense"
    assert dict(other.arguments) == {"units": N}  # the policy is given to the layer that is called
    assert other.inputs.shape == (B * T, F)
    of = {"kernel": np.ones((F, N)), "bias": np.ones(N)}
    targets = identity("TimeDistributed", "steps_are_samples").expected(case, expected_of(case, of))
    np.testing.assert_allclose(expected_of(other, of)[0], targets[0])
    assert np.max(np.abs(expected_of(other, of | {"bias": 2 * of["bias"]})[0] - targets[0])) > 0.5


# Drawing.


@pytest.mark.parametrize("kind", ["Bidirectional", "TimeDistributed", "SpectralNormalization"])
@pytest.mark.parametrize("policy", ["float16", "mixed_bfloat16"])
def test_what_is_inside_computes_in_the_same_policy(kind: str, policy: str) -> None:
    import dataclasses

    from hypothesis import HealthCheck, given, settings

    spec = dataclasses.replace(SPECS[kind], policies=(policy,))

    @settings(max_examples=20, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(cases(spec, World("numpy")))
    def look(case: Case) -> None:
        assert case.arguments["layer"].arguments["dtype"] == policy
        assert list(case.call) == sorted(case.call)

    look()
