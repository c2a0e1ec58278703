"""`check_gradients` and the gradient suites on real frameworks, each in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest

from pytest_dlcheck.cases.case import Case, Tensor, dumps
from pytest_dlcheck.gradients.layers import smooth

Needs = Callable[..., None]

MINE = """
import numpy as np
import pytest

from pytest_dlcheck import DlcheckError, GradientsWrong
from pytest_dlcheck.backends.wide_floats import narrow, wide_floats

X = np.random.default_rng(0).normal(size=(2, 3))


def layer_of(keras, factor=1.0):
    ops = keras.ops

    class Mine(keras.layers.Layer):
        def build(self, shape):
            self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

        def call(self, x):
            @ops.custom_gradient
            def cube(x):
                def grad(*args, upstream=None):
                    return factor * 3 * x**2 * (args[0] if upstream is None else upstream)
                return x**3, grad
            return cube(x) * self.scale

    return Mine()


def test_a_layer_of_float32_is_checked_in_float64(backend, check_gradients):
    layer = layer_of(backend.keras)
    report = check_gradients(layer, X)
    assert {row.verdict for row in report.rows if row.check == "numeric"} == {"ok"}
    assert {row.argument for row in report.rows if row.check == "numeric"} == {"inputs", "scale"}
    assert max(row.error for row in report.rows if row.check == "numeric") < 1e-8, "that is not float64"
    assert layer.dtype_policy.name == "float32" and str(layer.scale.dtype) == "float32"
    assert "float32" in str(layer(X.astype("float32")).dtype)


def test_a_wrong_layer_is_told(backend, check_gradients):
    with pytest.raises(GradientsWrong, match="1.5 times the differences"):
        check_gradients(layer_of(backend.keras, 1.5), X, order=1)


def test_weights_are_checked_too(backend, check_gradients):
    keras = backend.keras

    class Stopped(keras.layers.Dense):
        def call(self, x):
            return keras.ops.matmul(x, keras.ops.stop_gradient(self.kernel)) + self.bias

    with pytest.raises(GradientsWrong) as caught:
        check_gradients(Stopped(2), X, order=1)
    assert [(row.argument, row.check) for row in caught.value.report.bad()][:1] == [("kernel", "numeric")]


def test_a_model_computes_in_float64_from_its_inputs_on(backend, check_gradients):
    keras = backend.keras
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="tanh")(inputs))
    report = check_gradients(model, X)
    assert max(row.error for row in report.rows if row.check == "numeric") < 1e-8
    assert str(model.inputs[0].dtype) == "float32"


def test_random_layers_draw_the_same_every_time(backend, check_gradients):
    report = check_gradients(backend.keras.layers.Dropout(0.5), X, training=True)
    assert report.verdict in ("ok", "weak", "kink", "unsupported") and report.good


def test_the_same_seed_gives_the_same_report(backend, check_gradients):
    ops = backend.keras.ops
    one, two = (check_gradients(lambda x: ops.exp(x), X, name="f", order=1) for _ in range(2))
    assert one == two


@pytest.mark.parametrize("what, complaint", [
    (dict(order=3), "order 3"), (dict(modes=["sideways"]), "mode 'sideways'"), (dict(modes=[]), "mode none"),
])
def test_bad_input(backend, check_gradients, what, complaint):
    with pytest.raises(DlcheckError, match=complaint):
        check_gradients(lambda x: x, X, **what)


def test_a_function_that_cannot_be_run_is_no_silent_pass(backend, check_gradients):
    def fails(x):
        raise ValueError("not today")

    with pytest.raises(GradientsWrong, match="none of the modes"):
        check_gradients(fails, X)


def test_nothing_to_differentiate(backend, check_gradients):
    with pytest.raises(DlcheckError, match="nothing to differentiate"):
        check_gradients(lambda n: n, np.arange(3))
    with pytest.raises(DlcheckError, match="neither a layer nor a function"):
        check_gradients(3, X)


def test_wide_floats_are_set_back_whatever_happens(backend):
    result_type = backend.keras.backend.result_type
    with pytest.raises(ZeroDivisionError), wide_floats(backend):
        assert result_type("float64", "float32") == "float64"
        assert backend.keras.layers.Rescaling(2.0).dtype_policy.name == "float64"
        assert backend.keras.backend.standardize_dtype(backend.put(np.ones(2)).dtype) == "float64"
        1 / 0
    assert narrow()
    assert backend.keras.config.floatx() == "float32"
    assert backend.keras.layers.Rescaling(2.0).dtype_policy.name == "float32"
    assert result_type("float64", "float32") == ("float64" if backend.name == "tensorflow" else "float32")
    if backend.name == "jax":
        assert str(backend.put(np.ones(2)).dtype) == "float32"
"""


@pytest.mark.parametrize("backend", ["torch", "tensorflow", "jax"])
def test_check_gradients(pytester: pytest.Pytester, needs: Needs, backend: str) -> None:
    needs(backend, "keras")
    pytester.makepyfile(test_mine=MINE)
    result = pytester.runpytest_subprocess("--dl-backend", backend, "-q", "-p", "no:cacheprovider", "-p", "no:warnings")
    result.assert_outcomes(passed=12)


def test_a_table_of_dtypes_that_was_left_changed_fails_the_next_test(pytester: pytest.Pytester, needs: Needs) -> None:
    needs("torch", "keras")
    pytester.makepyfile(
        test_leak="""
        import pytest_dlcheck.backends.wide_floats as wide

        KEPT = []

        def test_that_leaves_it_changed(backend):
            KEPT.append(wide.wide_floats(backend))
            KEPT[0].__enter__()

        def test_of_dtypes(backend):
            pass
        """
    )
    result = pytester.runpytest_subprocess("--dl-backend", "torch", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*left Keras's table of dtypes changed*"])


LAYERS = """
import pytest
from dataclasses import replace

from pytest_dlcheck.cases.case import Case, Tensor
from pytest_dlcheck.gradients.layers import EFFORTS, LayerGradients
from pytest_dlcheck.known_issues import KnownIssue
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import World


def findings(backend, monkeypatch, call=None, known=(), **changes):
    keras = backend.keras
    spec = replace(SPECS["Rescaling"], **changes)
    if call is not None:
        monkeypatch.setattr(keras.layers.Rescaling, "call", call)
    world = World.of(backend.name, keras.__version__, keras.layers.Rescaling, "cpu")
    effort = replace(EFFORTS["default"], cases=10, shrink_s=2.0)
    check = LayerGradients(spec, backend, world, seed=1, effort=effort, known=lambda name: known)
    return {finding.property: finding for finding in check.run()}


def wrong(self, inputs):
    from keras import ops
    inputs = ops.cast(inputs, self.compute_dtype)
    scale, offset = ops.cast(self.scale, self.compute_dtype), ops.cast(self.offset, self.compute_dtype)
    return 0.5 * inputs * scale + ops.stop_gradient(0.5 * inputs * scale) + offset


def test_a_right_layer_passes(backend, monkeypatch):
    found = findings(backend, monkeypatch)
    assert {found[name].verdict for name in ("gradient", "forward_mode", "finite_gradient")} == {"pass"}
    assert found["second_order"].verdict == "weak"


def test_a_wrong_one_fails_with_the_smallest_case(backend, monkeypatch):
    found = findings(backend, monkeypatch, wrong)["gradient"]
    assert found.verdict == "fail"
    assert "0.5 times the differences" in found.message and "smallest case: Rescaling(" in found.message
    assert found.case.policy == "float64"


def test_a_known_one_is_known(backend, monkeypatch):
    entry = KnownIssue("one", "*", "gradient", {"keras": ">=3"}, "it is off", "https://example.org", "2026-01-01")
    found = findings(backend, monkeypatch, wrong, known=(entry,))["gradient"]
    assert (found.verdict, found.known_issue) == ("known", "https://example.org")


def test_a_claim_that_there_is_no_gradient_is_tested(backend, monkeypatch):
    found = findings(backend, monkeypatch, not_differentiable="it is said")["gradient"]
    assert found.verdict == "fail" and "declared to have no gradient" in found.message
    rounded = lambda self, inputs: __import__("keras").ops.round(inputs)
    assert findings(backend, monkeypatch, rounded, not_differentiable="it rounds")["gradient"].verdict == "unsupported"


def test_what_training_holds_constant_is_looked_at_in_inference(backend, monkeypatch):
    held = {"held_constant": lambda case: "as the paper says"}
    assert findings(backend, monkeypatch, **held)["gradient"].verdict == "pass"
    assert findings(backend, monkeypatch, wrong, **held)["gradient"].verdict == "fail"
    world = World.of(backend.name, backend.keras.__version__, backend.keras.layers.Rescaling, "cpu")
    spec = replace(SPECS["Rescaling"], **held)
    check = LayerGradients(spec, backend, world, seed=1, effort=EFFORTS["default"])
    case = Case("keras.layers.Rescaling", {"scale": 2.0}, Tensor((2, 3)), policy="float64")
    (row,) = check.report(case, training=True).rows
    assert (row.verdict, row.message) == ("not differentiable as documented", "as the paper says")


def test_nan_at_special_values_fails(backend, monkeypatch):
    def trap(self, inputs):
        from keras import ops
        x = ops.cast(inputs, self.compute_dtype)
        return ops.sqrt(x * x)  # at 0 the derivative is 0 times infinity

    assert findings(backend, monkeypatch, trap)["finite_gradient"].verdict == "fail"


def test_a_layer_is_checked_in_float64_if_it_runs_in_it_documented_or_not(backend, monkeypatch):
    found = findings(backend, monkeypatch, policies=("float32",))
    assert (found["gradient"].verdict, found["second_order"].verdict) == ("pass", "weak")

    def narrow(self, inputs):
        if self.compute_dtype == "float64":
            raise TypeError("float32 alone")
        return 2 * backend.keras.ops.cast(inputs, "float32")

    found = findings(backend, monkeypatch, narrow, policies=("float32",))
    assert (found["gradient"].verdict, found["second_order"].verdict) == ("pass", "unsupported")


def test_a_point_where_the_value_is_not_finite_says_nothing_of_gradients(backend, monkeypatch):
    found = findings(backend, monkeypatch, lambda self, inputs: inputs + float("nan"))["gradient"]
    assert found.verdict == "unsupported" and "not finite" in found.message


def test_a_layer_that_cannot_be_called_is_said_to_be_unsupported(backend, monkeypatch):
    def refuse(self, inputs):
        raise ValueError("not today")

    found = findings(backend, monkeypatch, refuse)["gradient"]
    assert found.verdict == "unsupported" and "not today" in found.message
"""


def test_layers(pytester: pytest.Pytester, needs: Needs) -> None:
    needs("torch", "keras")
    pytester.makepyfile(test_layers_=LAYERS)
    result = pytester.runpytest_subprocess("--dl-backend", "torch", "-q", "-p", "no:cacheprovider", "-p", "no:warnings")
    result.assert_outcomes(passed=9)


def test_a_stored_case_is_looked_at_again(pytester: pytest.Pytester, needs: Needs) -> None:
    needs("torch", "keras")
    case = dumps(Case("keras.layers.Rescaling", {"scale": 2.0}, Tensor((2, 3), values="zeros"), policy="float64"))
    stored = {"subject": "keras.layers.Rescaling", "property": "gradient", "backend": "torch", "mode": "eager"}
    path = pytester.path / "case.json"
    path.write_text(json.dumps({**stored, "case": json.loads(case)}))
    result = pytester.run(sys.executable, "-m", "pytest_dlcheck.cli", "replay", path)
    assert result.ret == 0
    text = result.stdout.str()
    assert "gradients of keras.layers.Rescaling in training on torch" in text
    assert text.count("numeric") == 2
    assert "wrong" not in text


def test_a_point_at_which_layers_are_smooth() -> None:
    written, whole = (
        Tensor((4,), literal=[0.0, 2.0, 1.0, 4.0]),
        Tensor((3,), values="integers", low=2, high=9, planted=((0, 9),)),
    )
    steps = Tensor((2,), "int32", "integers", high=5)
    moved, uniform, same = smooth(Case("keras.layers.Masking", {}, [written, whole, steps])).inputs
    assert all(old < new < old + 0.3 for old, new in zip(written.literal, moved.literal, strict=True))
    assert (uniform.values, uniform.low, uniform.high, uniform.planted) == ("uniform", 2, 9, ())
    assert same == steps
