"""`first_divergence` and `check_models_equivalent` on real frameworks, each in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

Needs = Callable[..., None]

MINE = """
import numpy as np
import pytest

from pytest_dlcheck import DlcheckError, ModelsDiffer, first_divergence

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")


def chain(keras, units=3, activation="tanh", epsilon=1e-3, prefix="", **options):
    return keras.Sequential([
        keras.Input((3,)),
        keras.layers.Dense(units, activation="relu", name=prefix + "first", **options),
        keras.layers.BatchNormalization(epsilon=epsilon, name=prefix + "norm"),
        keras.layers.Dense(2, activation=activation, name=prefix + "last"),
    ])


def functional(keras, middle=lambda x: x):
    inputs = keras.Input((3,))
    x = keras.layers.Dense(3, activation="relu")(inputs)
    x = keras.layers.BatchNormalization()(middle(x))
    return keras.Model(inputs, keras.layers.Dense(2, activation="tanh")(x))


def test_a_model_written_in_two_ways_is_one_function(backend, check_models_equivalent):
    one, other = chain(backend.keras), functional(backend.keras)
    before = [backend.to_numpy(weight) for weight in other.weights]
    report = check_models_equivalent(one, other, X)
    assert report.equivalent and not report.parting
    assert {"outputs", "parameters", "training_call", "gradients", "training", "predict"} <= set(report.verdicts)
    assert all(np.array_equal(a, backend.to_numpy(b)) for a, b in zip(before, other.weights)), "the weights are put back"
    assert first_divergence(one, one, X) is None


def test_weights_that_differ_are_named(backend, check_models_equivalent):
    one, other = chain(backend.keras), chain(backend.keras)
    with pytest.raises(ModelsDiffer, match="the weights of first .* differ: kernel"):
        check_models_equivalent(one, other, X, copy_weights=False, train=False)
    found = first_divergence(one, other, X)
    assert (found.layer, found.index, found.cause) == ("first", 0, "weights")


def copied(one, other):
    for a, b in zip(one.weights, other.weights):
        b.assign(a)
    return one, other


def test_the_layer_in_which_the_error_starts_is_named(backend, check_models_equivalent):
    one, other = copied(chain(backend.keras), chain(backend.keras, activation="sigmoid"))
    found = first_divergence(one, other, X)
    assert (found.layer, found.index, found.cause) == ("last", 2, "starts")
    with pytest.raises(ModelsDiffer, match="the error starts in last"):
        check_models_equivalent(one, other, X, train=False)


def test_an_epsilon_is_no_rounding(backend):
    one, other = copied(chain(backend.keras), chain(backend.keras, epsilon=1.1e-3))
    found = first_divergence(one, other, X)
    assert (found.layer, found.cause) == ("norm", "starts")


def test_an_error_that_came_in_is_told_from_one_that_starts(backend):
    keras = backend.keras
    one, other = copied(functional(keras), functional(keras, middle=lambda x: x * 1.01))
    found = first_divergence(one, other, X)
    assert found.cause == "comes_in" and found.index == 1, found
    assert "the error came in with its inputs" in found.message


def test_layers_may_have_other_names(backend):
    keras = backend.keras
    one, other = copied(chain(keras), chain(keras, prefix="my_"))
    assert first_divergence(one, other, X) is None
    other.layers[-1].kernel.assign(other.layers[-1].kernel * 2)
    found = first_divergence(one, other, X)
    assert (found.layer, found.other, found.cause) == ("last", "my_last", "weights")


def test_what_lies_between_the_layers_is_told(backend):
    keras = backend.keras
    inputs = keras.Input((3,))
    layer = keras.layers.Dense(2)
    one, other = keras.Model(inputs, layer(inputs)), keras.Model(inputs, layer(inputs) + 1)
    assert first_divergence(one, other, X).cause == "between"


def test_models_of_other_layers_have_no_common_walk(backend):
    keras = backend.keras
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, name="first"), keras.layers.Dense(2, name="last")])
    found = first_divergence(chain(keras), other, X)
    assert found.cause == "structure" and "call 1 is of norm (BatchNormalization)" in found.message


def test_a_shared_layer_that_became_two_is_seen(backend, check_models_equivalent):
    keras = backend.keras

    def model(shared):
        inputs = keras.Input((3,))
        first = keras.layers.Dense(3)
        second = first if shared else keras.layers.Dense(3)
        return keras.Model(inputs, second(first(inputs)))

    with pytest.raises(DlcheckError, match="cannot be matched"):
        check_models_equivalent(model(False), model(True), X)
    with pytest.raises(ModelsDiffer, match="parameters +fail"):
        check_models_equivalent(model(True), model(False), X, copy_weights=False)


def test_state_that_inference_changes_is_seen(backend, check_models_equivalent):
    keras = backend.keras

    class Counts(keras.layers.Layer):
        def __init__(self, counts, **kwargs):
            super().__init__(**kwargs)
            self.counts = counts

        def build(self, shape):
            self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")

        def call(self, x, training=False):
            if self.counts or training:
                self.count.assign(self.count + 1)
            return x

    def model(counts):
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense"), Counts(counts, name="counts")])

    with pytest.raises(ModelsDiffer, match="inference changes counts/0:count"):
        check_models_equivalent(model(False), model(True), X, train=False)
    assert check_models_equivalent(model(False), model(False), X, train=False).equivalent


def test_a_loss_that_one_model_lacks_is_seen(backend, check_models_equivalent):
    one, other = chain(backend.keras, kernel_regularizer="l2"), chain(backend.keras)
    with pytest.raises(ModelsDiffer, match="0 of them instead of 1"):
        check_models_equivalent(one, other, X, train=False)


def test_a_dropped_mask_is_seen(backend, check_models_equivalent):
    keras = backend.keras
    words = np.array([[1, 2, 0], [3, 0, 0]], "int32")

    class Passes(keras.layers.Layer):
        def __init__(self, masks, **kwargs):
            super().__init__(**kwargs)
            self.supports_masking = masks

        def call(self, x):
            return x * 1.0

    def model(masks):
        return keras.Sequential([
            keras.Input((3,), dtype="int32"),
            keras.layers.Embedding(4, 2, mask_zero=True, name="words"),
            Passes(masks, name="passes"),
            keras.layers.LSTM(2, name="last"),
        ])

    assert check_models_equivalent(model(True), model(True), words, train=False).equivalent
    with pytest.raises(ModelsDiffer, match="outputs +fail"):
        check_models_equivalent(model(True), model(False), words, train=False)


def test_weights_of_the_model_itself_count_too(backend, check_models_equivalent):
    keras = backend.keras

    class Scaled(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.last = keras.layers.Dense(2, name="last")
            self.scale = self.add_weight(shape=(2,), initializer="random_normal", name="scale")

        def call(self, x):
            return self.last(x) * self.scale

    # Inputs in float64, as NumPy makes them.
    assert check_models_equivalent(Scaled(), Scaled(), X.astype("float64")).equivalent
    with pytest.raises(ModelsDiffer, match="between|every layer agrees|weights of last"):
        check_models_equivalent(Scaled(), Scaled(), X, copy_weights=False, train=False)


class Listed:
    # Planted in a model of Keras: what it says of its layers is not so.

    def summary(self, *args, print_fn=print, **kwargs):
        super().summary(*args, print_fn=lambda text, **_: print_fn(text.replace("params: ", "params: 1")), **kwargs)


class Lost:
    def get_layer(self, name=None, index=None):
        return super().get_layer(index=0) if index is None else super().get_layer(index=index)


@pytest.mark.parametrize(
    ("planted", "said"), [(Listed, "summary +fail +the summary of the model_b says total"), (Lost, "get_layer +fail +model_b")]
)
def test_what_a_model_says_wrongly_of_its_layers_is_seen(backend, check_models_equivalent, planted, said):
    one, other = chain(backend.keras), chain(backend.keras)
    assert {"summary", "get_layer"} <= set(check_models_equivalent(one, other, X, train=False).verdicts)
    other.__class__ = type("Planted", (planted, type(other)), {})
    with pytest.raises(ModelsDiffer, match=said):
        check_models_equivalent(one, other, X, train=False)


OPTIMIZERS = [("SGD", "momentum"), ("Adam", "beta_1"), ("RMSprop", "rho"), ("AdamW", "weight_decay")]


@pytest.mark.parametrize(("seed", "name", "constant"), [(seed, *each) for seed, each in enumerate(OPTIMIZERS)])
def test_each_seed_trains_with_another_optimizer(backend, check_models_equivalent, seed, name, constant):
    one, other = chain(backend.keras), chain(backend.keras)
    assert check_models_equivalent(one, other, X, seed=seed).equivalent
    assert type(other.optimizer).__name__ == name

    class Planted(type(other)):
        def compile(self, optimizer, **options):
            setattr(optimizer, constant, getattr(optimizer, constant) * 0.9)
            super().compile(optimizer=optimizer, **options)

    other.__class__ = Planted
    with pytest.raises(ModelsDiffer, match="training +fail"):
        check_models_equivalent(one, other, X, seed=seed)


def test_bad_inputs_are_one_line(backend, check_models_equivalent):
    with pytest.raises(DlcheckError, match="model_a cannot be called on these inputs"):
        check_models_equivalent(chain(backend.keras), chain(backend.keras), X[:, :2])
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_two_models(pytester: pytest.Pytester, needs: Needs, backend: str) -> None:
    needs(backend)
    pytester.makepyfile(MINE)
    done = pytester.run(sys.executable, "-m", "pytest", "-q", "--dl-backend", backend, "-n0", "-p", "no:warnings")
    assert done.ret == 0, "\n".join(done.outlines)
    done.stdout.fnmatch_lines(["*20 passed*"])
