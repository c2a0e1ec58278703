"""Specs of recurrent layers and their cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_dlcheck.cases.case import Build
from pytest_dlcheck.references.layers import recurrent as references
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.layers import recurrent_conv
from pytest_dlcheck.subjects.layers.recurrent_drawing import (
    cell_arguments,
    cells,
    grows,
    initial_state,
    layer_arguments,
    masked,
    rnn_arguments,
    sequences,
    stacked_states,
    states_of,
)
from pytest_dlcheck.subjects.layers.recurrent_rules import (
    FORGET_BIAS,
    INITIAL_ZEROS,
    LAST_OF_SEQUENCE,
    MASKED_STEPS,
    MORE_PADDING,
    OF_ITS_CELL,
    ONE_MASK_FOR_ALL_STEPS,
    REVERSED,
    UNROLLED,
    is_random,
    is_stateful,
)
from pytest_dlcheck.subjects.spec import LayerSpec

__all__ = ["SPECS"]

_EXEMPT = {
    "effect:unroll": "says how it is computed, not what",
    "effect:use_cudnn": "says how it is computed, not what",
}
_BIASED = {"bias_initializer": "unit_forget_bias overrides it: the law first_bias says how"}

_PAGE = "https://keras.io/api/layers/recurrent_layers/"


def _layer(kind: str) -> Callable[[Draw], None]:
    def draw(d: Draw) -> None:
        layer_arguments(d, kind)
        if kind != "SimpleRNN":
            d.option("use_cudnn", ["auto", False], one_in=5)
        d.common_options()
        sequences(d)
        initial_state(d, lambda: states_of(d, kind, d.inputs.shape[0], d.arguments["units"]))
        masked(d)

    return draw


def _cell(kind: str) -> Callable[[Draw], None]:
    def draw(d: Draw) -> None:
        cell_arguments(d, kind)
        d.common_options()
        batch, features = d.shape(2)
        d.inputs = d.floats((batch, features), values=["normal", "tiny"] if grows(d.arguments) else None)
        d.call["states"] = states_of(d, kind, batch, d.arguments["units"])

    return draw


def _stacked(d: Draw) -> None:
    stack = d.set("cells", cells(d, 3))
    d.common_options()
    batch, features = d.shape(2)
    d.inputs = d.floats((batch, features), values=["normal", "tiny"] if grows(d.arguments) else None)
    d.call["states"] = stacked_states(d, stack, batch)


def _rnn(d: Draw) -> None:
    stack = rnn_arguments(d)
    d.option("activity_regularizer", ["l2"], one_in=8)
    d.common_options()
    sequences(d)
    alone = isinstance(d.arguments["cell"], Build) and d.arguments["cell"].path != "keras.layers.StackedRNNCells"

    def states() -> Any:
        found = stacked_states(d, stack, d.inputs.shape[0])
        return found[0] if alone else found

    initial_state(d, states)
    masked(d, surely=bool(d.arguments.get("zero_output_for_mask")))


def _spec(kind: str, page: str) -> LayerSpec:
    return LayerSpec(
        kind,
        _layer(kind),
        references.layer_reference(kind),
        _PAGE + page,
        random=is_random,
        stateful=is_stateful,
        scale=1.0,
        laws=(ONE_MASK_FOR_ALL_STEPS, *((FORGET_BIAS,) if kind == "LSTM" else ())),
        identities=(UNROLLED, REVERSED, MASKED_STEPS, MORE_PADDING, LAST_OF_SEQUENCE, INITIAL_ZEROS, OF_ITS_CELL),
        exempt=_EXEMPT | (_BIASED if kind == "LSTM" else {}),
    )


def _cell_spec(kind: str, page: str) -> LayerSpec:
    return LayerSpec(
        f"{kind}Cell",
        _cell(kind),
        references.cell_reference(f"{kind}Cell"),
        _PAGE + page,
        random=is_random,
        scale=1.0,
        laws=(FORGET_BIAS,) if kind == "LSTM" else (),
        exempt=_BIASED if kind == "LSTM" else {},
    )


SPECS: tuple[LayerSpec, ...] = (
    _spec("SimpleRNN", "simple_rnn/"),
    _spec("LSTM", "lstm/"),
    _spec("GRU", "gru/"),
    _cell_spec("SimpleRNN", "simple_rnn_cell/"),
    _cell_spec("LSTM", "lstm_cell/"),
    _cell_spec("GRU", "gru_cell/"),
    LayerSpec(
        "StackedRNNCells",
        _stacked,
        references.cell_reference("StackedRNNCells"),
        _PAGE + "stacked_rnn_cell/",
        random=is_random,
        scale=1.0,
    ),
    LayerSpec(
        "RNN",
        _rnn,
        references.layer_reference("RNN"),
        _PAGE + "rnn/",
        random=is_random,
        stateful=is_stateful,
        scale=1.0,
        identities=(UNROLLED, REVERSED, MASKED_STEPS, MORE_PADDING, LAST_OF_SEQUENCE),
        exempt=_EXEMPT,
    ),
    *recurrent_conv.SPECS,
)
