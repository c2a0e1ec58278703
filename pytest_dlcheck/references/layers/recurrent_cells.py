"""What recurrent layers do at one step, in float64: the formulas of their cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Build
from pytest_dlcheck.references.activations import activation

__all__ = ["Cell", "Factors", "States", "Step", "WeightsInOrder", "cell_of", "convolved", "product", "remembered"]

Array = NDArray[Any]
States = list[Array]
Factors = tuple[Array | None, Array | None]
Step = Callable[[Array, Sequence[Array]], tuple[Array, States]]


@dataclass(frozen=True)
class Cell:
    """What is done at one step.

    Attributes:
        step: from the input and the states to the output and the next states.
        zeros: from a batch of inputs of one step to the states that stand for "nothing has been seen".
    """

    step: Step
    zeros: Callable[[Array], States]


class WeightsInOrder:
    """Hands out weights one by one, in the order in which layers make them, and checks each by its name.

    Args:
        weights: by name.
        rounded: applied to the gates, as `Call.rounded` says.
    """

    def __init__(self, weights: Mapping[str, Array], rounded: Callable[[Array], Array] = lambda array: array) -> None:
        self._left = [(name, array) for name, array in weights.items() if not _is_state(name)]
        self.rounded = rounded

    def take(self, name: str) -> Array:
        """The next weight, which must have that name."""
        found, array = self._left.pop(0)
        assert found.rpartition("/")[2].partition("#")[0] == name, f"{found} where {name} was expected"
        return array


def _is_state(name: str) -> bool:
    return name.rpartition("/")[2].startswith("rnn_state_")


def remembered(weights: Mapping[str, Array]) -> dict[str, Array]:
    """The states that a stateful layer holds, by name."""
    return {name: array for name, array in weights.items() if _is_state(name)}


def _gate(arguments: Mapping[str, Any], weights: WeightsInOrder) -> Callable[[Array], Array]:
    """The function of the gates."""
    function = activation(arguments.get("recurrent_activation", "sigmoid"))
    return lambda array: weights.rounded(function(array))


def product(x: Array, kernel: Array, factors: Array | None) -> Array:
    """x K, where what enters the part of K that belongs to a gate is first multiplied by dropout's factors.

    Args:
        x: of shape (batch, size).
        kernel: of shape (size, gates * units), the gates side by side.
        factors: of shape (gates, batch, size), or (1, batch, size) if the gates share them; None if nothing is dropped.
    """
    if factors is None:
        return np.asarray(x @ kernel)
    parts = np.split(kernel, len(factors), axis=-1)
    return np.concatenate([(x * each) @ part for each, part in zip(factors, parts, strict=True)], axis=-1)


# Cells. Arguments that are absent have the defaults of the documentation.


def _simple_rnn(arguments: Mapping[str, Any], weights: WeightsInOrder, factors: Factors = (None, None)) -> Cell:
    """h' = f(x W + b + h U) (https://keras.io/api/layers/recurrent_layers/simple_rnn/)."""
    kernel, recurrent = weights.take("kernel"), weights.take("recurrent_kernel")
    bias = weights.take("bias") if arguments.get("use_bias", True) else 0.0
    f = activation(arguments.get("activation", "tanh"))

    def step(x: Array, states: Sequence[Array]) -> tuple[Array, States]:
        h = f(product(x, kernel, factors[0]) + bias + product(states[0], recurrent, factors[1]))
        return h, [h]

    return Cell(step, lambda x: [np.zeros((len(x), len(recurrent)))])


def _lstm(arguments: Mapping[str, Any], weights: WeightsInOrder, factors: Factors = (None, None)) -> Cell:
    """The LSTM with a forget gate (https://keras.io/api/layers/recurrent_layers/lstm/).

    i = s(x Wi + h Ui + bi), f = s(x Wf + h Uf + bf), o = s(x Wo + h Uo + bo), c' = f c + i g(x Wc + h Uc + bc), h' = o g(c');
    the kernels hold i, f, c, o side by side.
    """
    kernel, recurrent = weights.take("kernel"), weights.take("recurrent_kernel")
    bias = weights.take("bias") if arguments.get("use_bias", True) else 0.0
    g, gate = activation(arguments.get("activation", "tanh")), _gate(arguments, weights)
    return Cell(
        _lstm_step(lambda x, h: product(x, kernel, factors[0]) + product(h, recurrent, factors[1]) + bias, g, gate, -1),
        lambda x: [np.zeros((len(x), len(recurrent))) for _ in range(2)],
    )


def _lstm_step(
    joined: Callable[[Array, Array], Array], g: Callable[[Array], Array], gate: Callable[[Array], Array], axis: int
) -> Step:
    """From what enters the four gates, side by side on an axis, to the next states."""

    def step(x: Array, states: Sequence[Array]) -> tuple[Array, States]:
        h, c = states
        i, f, new, o = np.split(joined(x, h), 4, axis=axis)
        c = gate(f) * c + gate(i) * g(new)
        h = gate(o) * g(c)
        return h, [h, c]

    return step


def _gru(arguments: Mapping[str, Any], weights: WeightsInOrder, factors: Factors = (None, None)) -> Cell:
    """The gated recurrent unit (https://keras.io/api/layers/recurrent_layers/gru/).

    z = s(x Wz + h Uz + b), r = s(x Wr + h Ur + b), h' = z h + (1 - z) n. With `reset_after`, as in arXiv:1406.1078v3 and cuDNN,
    n = g(x Wn + bn + r (h Un + b'n)), and both products have a bias of their own; else, as in v1, n = g(x Wn + (r h) Un + bn).
    The kernels hold z, r, n side by side.
    """
    kernel, recurrent = weights.take("kernel"), weights.take("recurrent_kernel")
    after = arguments.get("reset_after", True)
    units = len(recurrent)
    bias = weights.take("bias") if arguments.get("use_bias", True) else np.zeros((2, 3 * units) if after else 3 * units)
    of_input, of_state = (bias[0], bias[1]) if after else (bias, np.zeros(3 * units))
    g, gate = activation(arguments.get("activation", "tanh")), _gate(arguments, weights)

    def step(x: Array, states: Sequence[Array]) -> tuple[Array, States]:
        h = states[0]
        xz, xr, xn = np.split(product(x, kernel, factors[0]) + of_input, 3, axis=-1)
        hz, hr, hn = np.split(product(h, recurrent, factors[1]) + of_state, 3, axis=-1)
        z, r = gate(xz + hz), gate(xr + hr)
        if not after:
            last = None if factors[1] is None else factors[1][-1:]
            hn, r = product(r * h, recurrent[:, 2 * units :], last), np.ones_like(r)
        n = g(xn + r * hn)
        h = z * h + (1 - z) * n
        return h, [h]

    return Cell(step, lambda x: [np.zeros((len(x), units))])


def _stacked(cells: Sequence[Cell]) -> Cell:
    """Each cell's output is the next one's input (https://keras.io/api/layers/recurrent_layers/stacked_rnn_cell/)."""

    def zeros(x: Array) -> States:
        found: States = []
        for cell in cells:
            states = cell.zeros(x)
            found += states
            x, _ = cell.step(x, states)
        return found

    def step(x: Array, states: Sequence[Array]) -> tuple[Array, States]:
        left, found = list(states), []
        for cell in cells:
            count = len(cell.zeros(x))
            x, new = cell.step(x, left[:count])
            left = left[count:]
            found += new
        return x, found

    return Cell(step, zeros)


def convolved(x: Array, kernel: Array, strides: Sequence[int], padding: str, dilation: Sequence[int]) -> Array:
    """y[p, o] = sum_{k, c} x[p s + k d - before, c] kernel[k, c, o], of any rank, channels last.

    `same` gives ceil(n / s) positions; what is missing at the edges is zero, the odd one of it at the end
    (https://keras.io/api/layers/convolution_layers/).
    """
    rank = kernel.ndim - 2
    for axis in range(rank):
        size, reach = x.shape[axis + 1], (kernel.shape[axis] - 1) * dilation[axis] + 1
        if padding.lower() == "same":
            missing = max(0, (-(-size // strides[axis]) - 1) * strides[axis] + reach - size)
            widths = [(0, 0)] * x.ndim
            widths[axis + 1] = (missing // 2, missing - missing // 2)
            x = np.pad(x, widths)
    counts = [(x.shape[axis + 1] - (kernel.shape[axis] - 1) * dilation[axis] - 1) // strides[axis] + 1 for axis in range(rank)]
    y = np.zeros((x.shape[0], *counts, kernel.shape[-1]))
    for place in np.ndindex(*kernel.shape[:-2]):
        window = tuple(
            slice(k * d, k * d + (count - 1) * s + 1, s)
            for k, d, s, count in zip(place, dilation, strides, counts, strict=True)
        )
        index = (slice(None), *window)
        y = y + x[index] @ kernel[place]
    return np.asarray(y)


def _spread(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _conv_lstm(arguments: Mapping[str, Any], weights: WeightsInOrder, channels_first: bool) -> Cell:
    """The LSTM with convolutions for products (Shi et al., arXiv:1506.04214, without the peephole terms).

    Of the input: with the given strides, padding and dilation; of the state: `same`, so that its size stays
    (https://keras.io/api/layers/recurrent_layers/conv_lstm2d/).
    """
    kernel, recurrent = weights.take("kernel"), weights.take("recurrent_kernel")
    bias = weights.take("bias") if arguments.get("use_bias", True) else 0.0
    rank = kernel.ndim - 2
    strides, dilation = _spread(arguments.get("strides", 1), rank), _spread(arguments.get("dilation_rate", 1), rank)
    padding = arguments.get("padding", "valid")
    g, gate = activation(arguments.get("activation", "tanh")), _gate(arguments, weights)
    ones = (1,) * rank

    def last(x: Array) -> Array:
        return np.moveaxis(x, 1, -1) if channels_first else x

    def joined(x: Array, h: Array) -> Array:
        y = convolved(last(x), kernel, strides, padding, dilation) + convolved(last(h), recurrent, ones, "same", ones) + bias
        return np.moveaxis(y, -1, 1) if channels_first else np.asarray(y)

    def zeros(x: Array) -> States:
        y = convolved(0 * last(x), kernel[..., : recurrent.shape[-2]], strides, padding, dilation)
        return [np.moveaxis(y, -1, 1) if channels_first else y for _ in range(2)]

    return Cell(_lstm_step(joined, g, gate, 1 if channels_first else -1), zeros)


_CELLS: Mapping[str, Callable[..., Cell]] = {
    "SimpleRNN": _simple_rnn,
    "LSTM": _lstm,
    "GRU": _gru,
}


def cell_of(
    kind: str,
    arguments: Mapping[str, Any],
    weights: WeightsInOrder,
    channels_first: bool = False,
    factors: Factors = (None, None),
) -> Cell:
    """The cell of a class of cells or of layers: `LSTMCell`, `LSTM`, `RNN`, `StackedRNNCells`, `ConvLSTM2D`.

    Args:
        kind: the name of the class.
        arguments: of its constructor.
        weights: its weights are taken from these.
        channels_first: the data format of a convolutional cell.
        factors: dropout's, as `product` takes them: of the inputs, and of the states.
    """
    if kind == "RNN":
        given = arguments["cell"]
        return _built(given, weights) if isinstance(given, Build) else _stacked([_built(each, weights) for each in given])
    if kind == "StackedRNNCells":
        return _stacked([_built(each, weights) for each in arguments["cells"]])
    if kind.startswith("ConvLSTM"):
        return _conv_lstm(arguments, weights, channels_first)
    return _CELLS[kind.removesuffix("Cell")](arguments, weights, factors)


def _built(cell: Build, weights: WeightsInOrder) -> Cell:
    return cell_of(cell.path.rpartition(".")[2], cell.arguments, weights)
