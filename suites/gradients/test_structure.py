"""Where a gradient must be zero, absent, whole or finite, whatever its value elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pytest_dlcheck import Backend, GradientsWrong

pytestmark = [pytest.mark.dl_trains, pytest.mark.dl_property("gradient_structure"), pytest.mark.usefixtures("wide")]

Pull = Callable[..., Any]


def _normal(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


# What must be exactly zero.


@pytest.mark.dl_subject("keras.layers.LSTM")
@pytest.mark.parametrize("kind", ["SimpleRNN", "GRU", "LSTM"])
def test_masked_steps_get_no_gradient(backend: Backend, dl_seed: int, pull_back: Pull, kind: str) -> None:
    keras, x = backend.keras, _normal(dl_seed, 2, 5, 3)
    x[0, 3:] = 0
    x[1, 2:] = 0
    model = keras.Sequential([keras.layers.Masking(dtype="float64"), getattr(keras.layers, kind)(4, dtype="float64")])
    model.build((2, 5, 3))
    gradient = pull_back(model, x)["inputs"]
    assert not gradient[0, 3:].any(), "padding has a gradient"
    assert not gradient[1, 2:].any(), "padding has a gradient"
    assert gradient[0, :3].all()
    assert gradient[1, :2].all()


@pytest.mark.dl_subject("keras.layers.Attention")
def test_masked_keys_get_no_gradient(backend: Backend, dl_seed: int, pull_back: Pull) -> None:
    layers = backend.keras.layers
    layer = layers.Attention(dtype="float64")
    q, kv = _normal(dl_seed, 2, 3, 4), _normal(dl_seed + 1, 2, 5, 4)
    mask = np.array([[True, True, False, False, True], [True, False, True, True, False]])

    def attend(query: Any, value: Any) -> Any:
        return layer([query, value], mask=[None, backend.put(mask)])

    gradient = pull_back(attend, (q, kv))["value"]
    assert not gradient[~mask].any(), "a key that the mask hides has a gradient"
    assert np.abs(gradient[mask]).min() > 0


@pytest.mark.dl_subject("keras.layers.Cropping1D")
def test_what_is_cropped_gets_no_gradient(backend: Backend, dl_seed: int, pull_back: Pull) -> None:
    gradient = pull_back(backend.keras.layers.Cropping1D((1, 2), dtype="float64"), _normal(dl_seed, 2, 6, 3))["inputs"]
    assert not gradient[:, :1].any()
    assert not gradient[:, 4:].any()
    assert np.array_equal(gradient[:, 1:4], np.ones((2, 3, 3)))


@pytest.mark.dl_subject("keras.layers.ZeroPadding1D")
def test_padding_takes_no_gradient_from_what_it_surrounds(backend: Backend, dl_seed: int, pull_back: Pull) -> None:
    v = _normal(dl_seed, 2, 7, 3)
    gradient = pull_back(backend.keras.layers.ZeroPadding1D((1, 2), dtype="float64"), _normal(dl_seed, 2, 4, 3), [v])["inputs"]
    assert np.array_equal(gradient, v[:, 1:5])


@pytest.mark.dl_subject("keras.layers.Conv1D")
def test_the_future_gets_no_gradient_from_a_causal_convolution(backend: Backend, dl_seed: int, pull_back: Pull) -> None:
    v = np.zeros((1, 6, 2))
    v[:, 2] = 1
    layer = backend.keras.layers.Conv1D(2, 3, padding="causal", dtype="float64", data_format="channels_last")
    gradient = pull_back(layer, _normal(dl_seed, 1, 6, 3), [v])["inputs"]
    assert gradient[:, :3].all()
    assert not gradient[:, 3:].any(), "step 2 depends on a later one"


# What has none.


@pytest.mark.dl_subject("keras.Model")
def test_frozen_layers_have_no_gradient_and_let_it_through(backend: Backend, dl_seed: int, pull_back: Pull) -> None:
    layers = backend.keras.layers
    first, frozen = layers.Dense(4, dtype="float64", name="first"), layers.Dense(2, dtype="float64", name="frozen")
    model = backend.keras.Sequential([backend.keras.Input((3,), dtype="float64"), first, frozen])
    x = _normal(dl_seed, 5, 3)
    free = pull_back(model, x)
    frozen.trainable = False
    found = pull_back(model, x)
    assert len(free) == 5
    assert len(found) == 3, f"of a frozen layer there must be no gradient, and there are {sorted(found)}"
    for name, gradient in found.items():
        same = next(value for key, value in free.items() if key == name or key.endswith(f"first/{name}"))
        assert np.array_equal(gradient, same), f"{name}: freezing a layer changed the gradient below it"


@pytest.mark.dl_subject("keras.Model")
def test_an_unused_input_has_none_or_zeros(backend: Backend, dl_seed: int, pull_back: Pull) -> None:
    found = pull_back(lambda x, unused: x * x, (_normal(dl_seed, 3), _normal(dl_seed, 4)))
    assert found["unused"] is None or not found["unused"].any()
    assert found["x"].all()


@pytest.mark.dl_subject("keras.Model")
def test_an_output_that_depends_on_nothing(backend: Backend, dl_seed: int, pull_back: Pull) -> None:
    ops = backend.keras.ops
    x = _normal(dl_seed, 3)
    found = pull_back(lambda x: [2 * x, ops.ones((2,), dtype="float64")], x)
    assert np.array_equal(found["x"], np.full(3, 2.0))


@pytest.mark.dl_subject("keras.ops.stop_gradient")
def test_stop_gradient_stops_it_on_that_path_only(backend: Backend, dl_seed: int, pull_back: Pull) -> None:
    ops, x = backend.keras.ops, _normal(dl_seed, 4)
    assert np.array_equal(pull_back(lambda x: ops.stop_gradient(x) * x, x)["x"], x)
    found = pull_back(lambda x: ops.stop_gradient(x) * 3.0, x)["x"]
    assert found is None or not found.any()


@pytest.mark.dl_subject("keras.ops.custom_gradient")
def test_custom_gradient_is_used(backend: Backend, dl_seed: int, pull_back: Pull) -> None:
    ops, x, v = backend.keras.ops, _normal(dl_seed, 4), _normal(dl_seed + 1, 4)

    @ops.custom_gradient  # type: ignore[untyped-decorator]
    def straight_through(x: Any) -> Any:
        def grad(*args: Any, upstream: Any = None) -> Any:
            return 5.0 * (args[0] if upstream is None else upstream)

        return ops.round(x), grad

    (found,) = pull_back(straight_through, x, [v]).values()
    assert np.array_equal(found, 5 * v)


# What must be finite, whole, or empty.


@pytest.mark.dl_subject("keras.activations")
@pytest.mark.parametrize(
    "name", ["sigmoid", "tanh", "softplus", "softmax", "log_softmax", "gelu", "silu", "elu", "selu", "mish", "log_sigmoid"]
)
def test_saturated_activations_have_finite_gradients(backend: Backend, pull_back: Pull, name: str) -> None:
    function = getattr(backend.keras.activations, name)
    for size in (1e2, 1e4):
        found = pull_back(function, np.array([[-size, -size / 2, 0.0, size / 2, size]]))
        (found,) = found.values()
        assert np.isfinite(found).all(), f"{name} at {size:g}: {found}"


@pytest.mark.dl_subject("keras.ops.where")
def test_where_with_a_guarded_argument_has_a_finite_gradient(backend: Backend, pull_back: Pull) -> None:
    ops = backend.keras.ops

    def safe_log(x: Any) -> Any:
        positive = x > 0
        return ops.where(positive, ops.log(ops.where(positive, x, ops.ones_like(x))), ops.zeros_like(x))

    found = pull_back(safe_log, np.array([-1.0, 0.0, 2.0]))["x"]
    assert np.array_equal(found, [0.0, 0.0, 0.5])


@pytest.mark.dl_subject("keras.ops.where")
def test_an_unguarded_where_is_found_out(backend: Backend, check_gradients: Callable[..., Any]) -> None:
    """The well-known trap: the branch that is not taken is differentiated all the same, and 0 times infinity is NaN."""
    ops = backend.keras.ops
    with pytest.raises(GradientsWrong, match="NaN in 1 of 3 entries, first \\[1\\]"):
        check_gradients(lambda x: ops.where(x > 0.0, ops.sqrt(x) / x, ops.zeros_like(x)), np.array([2.0, 0.0, 3.0]), order=1)


@pytest.mark.dl_subject("keras.layers")
@pytest.mark.parametrize("kind", ["Dense", "Conv1D", "LayerNormalization", "SimpleRNN"])
def test_of_no_samples_weights_get_zeros(backend: Backend, pull_back: Pull, kind: str) -> None:
    layers = backend.keras.layers
    made = {
        "Dense": lambda: layers.Dense(3, dtype="float64"),
        "Conv1D": lambda: layers.Conv1D(3, 2, dtype="float64", data_format="channels_last"),
        "LayerNormalization": lambda: layers.LayerNormalization(dtype="float64"),
        "SimpleRNN": lambda: layers.SimpleRNN(3, dtype="float64"),
    }[kind]()
    shape = (4, 2) if kind == "Dense" else (4, 5, 2)
    made.build(shape)
    for name, gradient in pull_back(made, np.zeros((0, *shape[1:]))).items():
        if name == "inputs":
            assert gradient is None or gradient.shape == (0, *shape[1:])
        else:
            assert gradient is None or (np.isfinite(gradient).all() and not gradient.any()), f"{name}: {gradient}"


@pytest.mark.dl_subject("keras.ops.take")
def test_what_is_used_several_times_adds_up(
    backend: Backend, dl_seed: int, pull_back: Pull, agrees: Callable[..., None]
) -> None:
    ops, v = backend.keras.ops, _normal(dl_seed, 4)
    places = np.array([1, 1, 2, 1])
    found = pull_back(lambda x: ops.take(x, places), _normal(dl_seed, 3), [v])
    agrees(found, lambda move: {"x": np.bincount(places, weights=move(v), minlength=3)})
    assert found["x"][0] == 0, "what nothing takes has a gradient"


@pytest.mark.dl_subject("keras.ops.add")
def test_a_broadcast_argument_gets_the_sum(dl_seed: int, pull_back: Pull, agrees: Callable[..., None]) -> None:
    v = _normal(dl_seed, 3, 4)
    found = pull_back(lambda x, y: x + y, (_normal(dl_seed, 3, 4), _normal(dl_seed, 4)), [v])
    assert np.array_equal(found["x"], v)
    agrees(found, lambda move: {"x": move(v), "y": move(v).sum(axis=0)})
