"""Specs of the core layers: Dense, EinsumDense, embeddings, and those that hand their input on."""

# ruff: noqa: ARG001 - laws and identities take what the interface says

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Build, Case, Name
from pytest_dlcheck.cases.values import make
from pytest_dlcheck.references.layers import core as references
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.identities import mapped_inputs, of_array
from pytest_dlcheck.subjects.spec import Call, Identity, Law, LayerSpec
from pytest_dlcheck.tolerance_of_laws import of_operations

__all__ = ["SPECS"]

Array = NDArray[Any]

OWN = "pytest_dlcheck.subjects.callables"


def _low_rank(d: Draw) -> None:
    """Low-rank adaptation: not with a constraint of the same weight, and its own weights are float32 whatever the policy is."""
    if any(name.endswith("_constraint") for name in d.arguments) or d.policy in {"float64", "float16", "bfloat16"}:
        return
    if d.option("lora_rank", [1, 2, 3], one_in=8):
        d.option("lora_alpha", [1.0, 4, 0.5], one_in=2)


def _dense(d: Draw) -> None:
    d.set("units", d.size())
    d.activation(extra=["softmax", "gelu"])
    d.option("use_bias", [False])
    d.weight_options("kernel", "bias")
    d.option("activity_regularizer", ["l2"], one_in=6)
    _low_rank(d)
    d.common_options()
    rank = d.choice([2, 3, 4])
    d.inputs = d.floats(d.shape(rank))
    if rank > 2 and d.flag(4):
        batch, steps = d.inputs.shape[:2]
        d.masks = (d.padding(batch, steps),)


def _as_rows(case: Case) -> Case | None:
    """Rank n as rank 2."""
    shape = case.inputs.shape
    if len(shape) < 3 or 0 in shape or _looks_beyond_rows(case):
        return None
    return case.replace(inputs=mapped_inputs(case, lambda values: values.reshape(-1, shape[-1])), masks=None)


def _looks_beyond_rows(case: Case) -> bool:
    return "activity_regularizer" in case.arguments


def _rows_of(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    return [output.reshape(-1, output.shape[-1]) for output in outputs]


def _as_einsum(case: Case) -> Case | None:
    """Dense as the einsum that it is: `...x,xy->...y`, with the same weights."""
    given = dict(case.arguments)
    units, biased = given.pop("units"), given.pop("use_bias", True)
    given.update(equation="...x,xy->...y", output_shape=units, bias_axes="y" if biased else None)
    return case.replace(subject="keras.layers.EinsumDense", arguments=given)


def _as_dense(case: Case) -> Case | None:
    """An einsum over the last axis is Dense, if its bias, where it has one, is over the last axis too."""
    given = dict(case.arguments)
    equation, units, axes = given.pop("equation"), given.pop("output_shape"), given.pop("bias_axes", None)
    if equation not in {"ab,bc->ac", "abc,cd->abd", "...x,xy->...y"} or axes not in {None, equation[-1]}:
        return None
    given.update(units=units[-1] if isinstance(units, tuple) else units, use_bias=axes is not None)
    return case.replace(subject="keras.layers.Dense", arguments=given)


def _plain_dense(case: Case) -> bool:
    """Whether nothing but the weights stands between inputs and outputs."""
    return "activation" not in case.arguments and "lora_rank" not in case.arguments


def _zero_kernel(case: Case) -> Case | None:
    return case if _plain_dense(case) else None


def _bias_alone(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    """The outputs less themselves: a first weight of zeros and a bias of zeros leave nothing."""
    return [np.zeros_like(output) for output in outputs]


def _all_zero(case: Case, weights: Sequence[Array]) -> Sequence[Array]:
    return [np.zeros_like(weight) for weight in weights]


def _twice_the_weights(case: Case, weights: Sequence[Array]) -> Sequence[Array]:
    return [2 * weight for weight in weights]


def _doubled(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    return [2 * output for output in outputs]


HOMOGENEOUS = Identity("twice_the_weights_is_twice_the_outputs", _zero_kernel, _doubled, weights=_twice_the_weights)
"""A power of two: nothing rounds anew. Kernel and bias both enter linearly."""
NOTHING = Identity("weights_of_zero_give_zero", _zero_kernel, _bias_alone, exact=True, weights=_all_zero)


class Equation(NamedTuple):
    """An einsum that EinsumDense documents, or of the same form.

    Attributes:
        text: the equation.
        most: how many axes the ellipsis may stand for; none without one.
    """

    text: str
    most: int = 0


EQUATIONS = (
    Equation("ab,bc->ac"),
    Equation("abc,cd->abd"),
    Equation("...x,xy->...y", 3),
    Equation("ab...,bc->ac...", 2),
    Equation("...ab,bc->...ac", 2),
    Equation("abc,cde->abde"),
    Equation("abcd,cde->abe"),
    Equation("ab,cb->ac"),
    Equation("abc,bd->acd"),
    Equation("abc,bcd->abd"),
    Equation("abc,cd->adb"),
    Equation("ab,b->ab"),
    Equation("ab,bcd->acd"),
)


def _einsum_dense(d: Draw) -> None:
    equation, most = d.choice(EQUATIONS)
    d.set("equation", equation)
    left, output = equation.split("->")
    first, kernel = left.split(",")
    letters = sorted(set(first + kernel) - {"."})
    sizes = {letter: d.size() for letter in letters}
    leading = 1 if equation.startswith("...") else 0
    elided = [d.size() for _ in range(d.integer(leading, max(most, leading)))] if most else []
    shape: list[int] = []
    for letter in first.replace("...", "."):
        shape.extend(elided if letter == "." else [sizes[letter]])
    # What the documentation leaves out of `output_shape`: the batch, and what the ellipsis stands for.
    named = output.replace("...", "") if leading else output.replace("...", "")[1:]
    d.option("bias_axes", lambda: "".join(_some(d, named)), one_in=2)
    # An axis of unknown size can have no bias.
    inferred = [letter in first and letter not in d.arguments.get("bias_axes", "") and d.flag(3) for letter in named]
    wanted = tuple(None if known else sizes[letter] for letter, known in zip(named, inferred, strict=True))
    d.set("output_shape", wanted[0] if len(wanted) == 1 and wanted[0] and d.flag() else wanted)
    d.activation()
    d.weight_options("kernel", "bias" if "bias_axes" in d.arguments else "kernel")
    d.option("activity_regularizer", ["l2"], one_in=6)
    if len(kernel) == 2:
        _low_rank(d)
    d.common_options()
    d.inputs = d.floats(shape)


def _some(d: Draw, letters: str) -> list[str]:
    """At least one of them, in their order."""
    kept = d.choice(letters)
    return [letter for letter in letters if letter == kept or d.flag()]


def _embedding(d: Draw) -> None:
    words = d.set("input_dim", d.size(2))
    width = d.set("output_dim", d.size())
    d.option("mask_zero", [True])
    d.weight_options("embeddings")
    _low_rank(d)
    if d.world.takes("weights") and d.flag(6):
        table = np.arange(1, words * width + 1).reshape(words, width) / 8 - 1
        d.set("weights", Build("numpy.array", positional=(table.tolist(),)))
        d.weights_seed = None
    d.common_options()
    d.inputs = d.integers(d.shape(d.choice([2, 1, 3])), 0, words - 1, ("int32", "int64", "uint8"))


def _rows_of_the_table(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """A look-up rounds nothing."""
    if call.keywords.get("reverse", False) or call.arguments.get("lora_rank"):
        return None
    wrong = outputs[0] != call.weights["embeddings"][call.inputs]
    return f"{int(wrong.sum())} of {wrong.size} values are not the table's" if wrong.any() else None


def _starts_from_the_given(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    given = call.arguments.get("weights")
    if not isinstance(given, Build):
        return None
    table = np.asarray(given.positional[0])
    return None if np.array_equal(table, call.weights["embeddings"]) else "the table is not the one that `weights` gives"


def _one_hot(case: Case) -> Case | None:
    """The look-up as a product with the table: Dense without a bias on one-hot vectors."""
    if "lora_rank" in case.arguments or "weights" in case.arguments or "reverse" in case.call:
        return None
    indices = make(case.inputs)
    vectors = of_array(np.eye(case.arguments["input_dim"])[indices.astype(np.int64)])
    if len(vectors.shape) < 2:
        return None
    return Case(
        "keras.layers.Dense",
        {"units": case.arguments["output_dim"], "use_bias": False},
        vectors,
        policy=case.policy,
        weights_seed=case.weights_seed,
    )


def _table_first(case: Case, weights: Sequence[Array]) -> Sequence[Array]:
    return weights[:1]


LOOK_UPS = (Law("rows_of_the_table", _rows_of_the_table, None), Law("starts_from_the_given_weights", _starts_from_the_given))
ONE_HOT = Identity("one_hot_times_the_table", _one_hot, exact=True, weights=_table_first)


def _reversible_embedding(d: Draw) -> None:
    words = d.set("input_dim", d.size(2))
    width = d.set("output_dim", d.size())
    d.option("tie_weights", [False])
    d.option("mask_zero", [True])
    d.weight_options("embeddings")
    d.option("logit_soft_cap", [2.0, 0.5, 30.0])
    # A wider one gives wider outputs, and how wide is what the other properties take from the policy.
    d.option("reverse_dtype", [d.policy.removeprefix("mixed_")])
    d.common_options()
    if d.flag():
        d.call["reverse"] = True
        d.inputs = d.floats((*d.shape(d.choice([2, 1])), width))
    else:
        d.inputs = d.integers(d.shape(d.choice([2, 1, 3])), 0, words - 1)


def _within_the_cap(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    cap = call["logit_soft_cap"]
    if cap is None or not call.keywords.get("reverse", False):
        return None
    largest = float(np.max(np.abs(outputs[0]), initial=0.0))
    # The cap is rounded and multiplied with a hyperbolic tangent, which is one at most.
    bound = cap + of_operations(2, cap, unit_roundoff=unit_roundoff)
    return f"a logit of {largest}, and the cap is {cap}" if largest > bound else None


def _affine(d: Draw) -> None:
    d.set("arguments", d.choice([{"scale": 2.0}, {"shift": 0.5}, {"scale": -0.5, "shift": 3.0}]))


PLAIN_FUNCTIONS: Mapping[str, Callable[[Draw], None]] = MappingProxyType(
    {
        "double": lambda d: None,
        "affine": _affine,
        "first_feature": lambda d: None,
        "halve_in_training": lambda d: None,
        "zero_where_masked": lambda d: None,
        "magnitude": lambda d: None,
        "total": lambda d: None,
    }
)


def _lambda(d: Draw) -> None:
    name = d.choice(tuple(PLAIN_FUNCTIONS))
    d.set("function", Name(f"{OWN}.{name}"))
    PLAIN_FUNCTIONS[name](d)
    shape = d.shape(3 if name == "zero_where_masked" else d.choice([2, 3, 4]))
    d.inputs = [d.floats(shape), d.floats(shape)] if name == "total" else d.floats(shape)
    masks = name != "total" and len(shape) > 2 and d.flag(2 if name == "zero_where_masked" else 4)
    if masks:
        d.masks = (d.padding(*shape[:2]),)
        d.option("mask", [Name(f"{OWN}.keep_mask"), Name(f"{OWN}.no_mask")], one_in=2)
    else:
        d.option("mask", [Name(f"{OWN}.keep_mask")], one_in=6)
    if name == "first_feature":
        d.option("output_shape", [(*shape[1:-1], 1), Name(f"{OWN}.first_feature_shape")], one_in=2)
    elif name != "total":
        d.option("output_shape", [shape[1:]])
    d.common_options()


def _masking(d: Draw) -> None:
    value = d.option("mask_value", [1.0, -1.0, 2, 0.5], default=0.0, one_in=2)
    shape = d.shape(3)
    drawn = d.floats(shape)
    values = make(drawn, d.policy.removeprefix("mixed_")).astype(np.float64)
    for step in range(shape[0] * shape[1]):
        if d.flag(3):
            values.reshape(-1, shape[2])[step] = value
    d.inputs = of_array(values)
    d.common_options()


def _masking_is_exact(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """Nothing is computed; and the tolerance, which moves the inputs off `mask_value`, is wide."""
    wrong = outputs[0] != references.masking(call).outputs
    return (
        f"{int(wrong.sum())} of {wrong.size} values are neither the input's nor a masked step's zero" if wrong.any() else None
    )


def _identity(d: Draw) -> None:
    shape = d.shape(d.choice([2, 1, 3, 4]))
    kind = d.choice(["floats", "integers", "bools", "several", "named"])
    if kind == "floats":
        d.inputs = d.floats(shape)
        if len(shape) > 2 and d.flag(3):
            d.masks = (d.padding(*shape[:2]),)
    elif kind == "integers":
        d.inputs = d.integers(shape, 0, 200, ("int32", "uint8"))
    elif kind == "bools":
        d.inputs = d.bools(shape)
    elif kind == "several":
        d.inputs = [d.floats(shape), d.integers(d.shape(2), 0, 3)]
    else:
        d.inputs = {"a": d.floats(shape), "b": d.integers(d.shape(2), 0, 3)}
    d.common_options()


def _undrawn(d: Draw) -> None:
    """For what is no layer to be called."""
    d.inputs = d.floats((1, 1))


QUANTIZED = "quantization is a later issue"

SPECS = (
    LayerSpec(
        "Dense",
        _dense,
        references.dense,
        "https://keras.io/api/layers/core_layers/dense/",
        identities=(
            Identity("rank_n_is_rank_2", _as_rows, _rows_of),
            Identity("is_an_einsum", _as_einsum),
            HOMOGENEOUS,
            NOTHING,
        ),
        not_drawn={"quantization_config": QUANTIZED},
    ),
    LayerSpec(
        "EinsumDense",
        _einsum_dense,
        references.einsum_dense,
        "https://keras.io/api/layers/core_layers/einsum_dense/",
        identities=(Identity("is_dense", _as_dense), HOMOGENEOUS, NOTHING),
        not_drawn={"quantization_config": QUANTIZED, "gptq_unpacked_column_size": QUANTIZED},
    ),
    LayerSpec(
        "Embedding",
        _embedding,
        references.embedding,
        "https://keras.io/api/layers/core_layers/embedding/",
        laws=LOOK_UPS,
        identities=(ONE_HOT,),
        not_drawn={"quantization_config": QUANTIZED},
    ),
    LayerSpec(
        "ReversibleEmbedding",
        _reversible_embedding,
        references.reversible_embedding,
        "https://keras.io/api/layers/core_layers/reversible_embedding/",
        laws=(*LOOK_UPS, Law("within_the_cap", _within_the_cap)),
        identities=(ONE_HOT,),
    ),
    LayerSpec("Lambda", _lambda, references.lambda_layer, "https://keras.io/api/layers/core_layers/lambda/"),
    LayerSpec(
        "Masking",
        _masking,
        references.masking,
        "https://keras.io/api/layers/core_layers/masking/",
        laws=(Law("moves_nothing_else", _masking_is_exact, None),),
    ),
    LayerSpec("Identity", _identity, references.identity, "https://keras.io/api/layers/core_layers/identity/"),
    LayerSpec("InputLayer", _undrawn, abstract="a model's entry: it makes a symbolic tensor, and cannot be called"),
    LayerSpec("InputSpec", _undrawn, abstract="no layer: says what a layer's inputs must look like"),
    LayerSpec("Layer", _undrawn, abstract="the base class, without a call"),
)
