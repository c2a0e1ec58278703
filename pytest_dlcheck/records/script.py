"""A change as a script that runs on both sides and prints what it sees there: Keras and NumPy, nothing of this package."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from pytest_dlcheck.cases.case import Case, describe, map_tensors, revive
from pytest_dlcheck.cases.script import ATTACH, WEIGHTS, CaseWriter, docstring, script
from pytest_dlcheck.records.changes import Change
from pytest_dlcheck.subjects.operations import OPERATIONS
from pytest_dlcheck.subjects.operations.record import Variant

__all__ = ["change_script"]

HEAD = """import inspect
import json
import os

os.environ["KERAS_BACKEND"] = "{backend}"

import keras
import numpy as np

np.set_printoptions(precision=9, suppress=False, threshold=200)
print("keras", keras.__version__, "on {backend}", __import__("{backend}").__version__)"""

SHOW = '''
def show(name, value):
    """Prints a tensor, or a nest of them, with its dtype and shape."""
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value)]
    if isinstance(value, (list, tuple)):
        for place, each in enumerate(value):
            show(f"{name}[{place}]", each)
        return
    value = value.detach() if hasattr(value, "detach") else value
    narrow = "bfloat16" in str(getattr(value, "dtype", ""))
    print(name, getattr(value, "dtype", type(value)), tuple(getattr(value, "shape", ())))
    print(np.array(keras.ops.cast(value, "float32") if narrow else value))'''

ATTEMPT = '''
def attempt(name, action):
    """Prints what an action gives, or the error that it ends in."""
    try:
        show(name, action())
    except Exception as error:
        print(name, "ends in", type(error).__name__, str(error))'''

GRADIENTS = {
    "torch": """outputs = keras.tree.flatten(layer(x{call}))
total = sum((output * keras.ops.ones_like(output)).sum() for output in outputs)
weights = [weight.value for weight in layer.trainable_weights]
show("gradient of the sum", __import__("torch").autograd.grad(total, weights, allow_unused=True))""",
    "tensorflow": """import tensorflow as tf

weights = [weight.value for weight in layer.trainable_weights]
with tf.GradientTape() as tape:
    total = sum(tf.reduce_sum(output) for output in keras.tree.flatten(layer(x{call})))
show("gradient of the sum", [each for each in tape.gradient(total, weights) if each is not None])""",
    "jax": """import jax

others = [variable.value for variable in layer.non_trainable_variables]


def total(weights):
    outputs, _ = layer.stateless_call(weights, others, x{call})
    return sum(output.sum() for output in keras.tree.flatten(outputs))


show("gradient of the sum", jax.grad(total)([weight.value for weight in layer.trainable_weights]))""",
}


def change_script(change: Change, backend: str) -> str | None:
    """The text of the script; None where there is nothing to run.

    Args:
        change: the clearest of its group.
        backend: for `KERAS_BACKEND`.
    """
    told = (
        f"{change.subject}: {change.kind}, {change.what}.\n\nRun it with the old and with the new version.\n\n{change.message}"
    )
    head = [docstring(told), HEAD.format(backend=backend)]
    if change.case is None:
        parts = [*head, _of_a_name(change.subject)]
    elif "case" in change.case:
        case = revive(change.case["case"])
        assert isinstance(case, Case)
        parts = [head[0] + "\n\n# " + describe(case).replace("\n", " "), head[1], *_of_a_case(change, case, backend)]
    else:
        parts = [*head, *_of_a_function(change.case)]
    return "\n\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _of_a_verdict(change: Change, backend: str) -> str:
    """As a report's folder `cases` has it."""
    from pytest_dlcheck.architectures.script import architecture_script

    assert change.case is not None
    found = revive(change.case["case"])
    said = f"{change.what}: {change.message}\n\nRun it with the old and with the new version."
    return script(found, backend, said) if isinstance(found, Case) else architecture_script(found, backend, said)


def _of_a_name(subject: str) -> str:
    return (
        f"try:\n    subject = {subject}\nexcept AttributeError as error:\n    print(error)\nelse:\n"
        f'    print("{subject}", inspect.signature(subject))'
    )


def _of_a_case(change: Change, case: Case, backend: str) -> list[str]:
    writer = CaseWriter(case, backend)
    dtype = [] if case.policy in {"float32", "none"} else [f"dtype={case.policy!r}"]
    arguments = ", ".join([f"{name}={writer.value(value)}" for name, value in case.arguments.items()] + dtype)
    call = "".join(f", {name}={writer.value(value)}" for name, value in case.call.items())
    masked = case.masks is not None and any(mask is not None for mask in case.masks)
    lines = [
        *(f"keras.backend.set_{name}({value!r})" for name, value in case.settings.items()),
        "keras.utils.set_random_seed(20221122)",
        f"x = {writer.inputs(case.inputs)}",
        f"layer = {case.subject}({arguments})",
        *([f"layer.adapt({writer.value(case.adapt)})"] if case.adapt is not None else []),
        f'attempt("first call", lambda: layer(x{call}))',
        *_looked_at(change, case, writer, call),
    ]
    return [
        *writer.custom.values(),
        *([WEIGHTS] if case.weights_seed is not None else []),
        *([ATTACH] if masked else []),
        SHOW,
        ATTEMPT,
        "\n".join(lines),
    ]


def _looked_at(change: Change, case: Case, writer: CaseWriter, call: str) -> list[str]:
    """What to print of the layer, in Python, for this kind of change."""
    what = change.what
    if change.kind == "weights" or what.startswith("initial"):
        return ["for weight in layer.weights:", "    show(weight.name, weight)"]
    if change.kind == "config" or what == "config":
        return ["print(json.dumps(layer.get_config(), indent=1, default=str))"]
    if what == "declared":
        symbol = "keras.KerasTensor"

        def of(value: Any) -> Any:
            return map_tensors(
                lambda tensor: f"{symbol}({(None, *tensor.shape[1:])}, {_input_dtype(case, tensor.dtype)!r})", value
            )

        keywords = "".join(f", {name}={_nest(of(value))}" for name, value in case.call.items())
        return [f"symbols = {_nest(of(case.inputs))}", f'attempt("declared", lambda: print(layer(symbols{keywords})) or [])']
    given = [f'give_weights(layer, {case.weights_seed}, "{writer.stored}")'] if case.weights_seed is not None else []
    if change.kind == "gradient" or what == "gradient":
        return [*given, GRADIENTS[writer.backend].format(call=call)] if writer.backend in GRADIENTS else given
    lines = [*given, f'attempt("inference", lambda: layer(x{call}))', 'print("losses", [float(loss) for loss in layer.losses])']
    if "training" in what:
        lines += ["keras.utils.set_random_seed(20221122)", f'attempt("training", lambda: layer(x{call}, training=True))']
    if change.kind == "mask":
        lines += [f'print("mask", getattr(layer(x{call}), "_keras_mask", None))']
    return lines


def _input_dtype(case: Case, dtype: str) -> str:
    if dtype != "float":
        return dtype
    return "float32" if case.policy.startswith("mixed") else case.compute_dtype


def _nest(value: Any) -> str:
    """A nest of pieces of Python as Python."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_nest(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        inner = ", ".join(_nest(item) for item in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner},)"
    return value if isinstance(value, str) else repr(value)


def _of_a_function(stored: Mapping[str, Any]) -> list[str]:
    name, number, seed = stored["operation"], stored["variant"], stored["seed"]
    variant = OPERATIONS[name].variants[number]
    arguments = [_array(each) for each in variant.arguments(np.random.default_rng(seed))]
    lines = [
        f"arguments = [{', '.join(arguments)}]",
        "arguments = keras.tree.map_structure(keras.ops.convert_to_tensor, arguments)",
    ]
    options = "".join(f", {key}={value!r}" for key, value in variant.options.items())
    plainly = inspect.signature(Variant).parameters["call"].default
    if variant.call is plainly:
        lines += [f'attempt("{name}", lambda: keras.{name}(*arguments{options}))']
    else:
        # How it is called takes more than a line, so here the package is needed after all.
        lines += [
            "from pytest_dlcheck.subjects.operations import OPERATIONS",
            f'variant = OPERATIONS["{name}"].variants[{number}]',
            f'attempt("{name}", lambda: variant.call(keras.{name}, *arguments, **variant.options))',
        ]
    return [SHOW, ATTEMPT, "\n".join(lines)]


def _array(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_array(each) for each in value) + "]"
    array = np.asarray(value)
    array = array.astype(np.float32) if array.dtype == np.float64 else array
    text = repr(array.tolist()).replace("nan", "np.nan").replace("inf", "np.inf")
    return f'np.array({text}, "{array.dtype}").reshape({array.shape})'
