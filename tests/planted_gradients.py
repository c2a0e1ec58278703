"""Functions with their gradients as formulas, right and wrong: the defects that a check of gradients has to find.

Each formula is written once, over a namespace `xp` with the names of `keras.ops`, and runs in NumPy alone
(`tests/numpy_program.py`) or, as a custom gradient, on any backend of Keras. A switch in a formula turns it into the wrong one,
so that the right and the wrong one differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from formulas.axes import CONV, CUMSUM, LAYER_NORM, LOG_SUM_EXP, MEAN, NORM, SOFTMAX, VARIANCE
from formulas.base import Formula, Function
from formulas.blocks import ATTENTION, CLASSIFICATION, CROSS_ENTROPY, RECURRENT, RESIDUAL
from formulas.elementwise import (
    CLIP,
    DIVIDE,
    EXP,
    FAR_SOFTPLUS,
    GUARDED,
    MAXIMUM,
    SILU,
    SINC,
    SOFTPLUS,
    SQUARE,
    TANH,
    WHERE,
    XLOGX,
)
from formulas.lookups import CROP, GATHER, POOL, SEGMENT
from formulas.products import ADD, AFFINE, BILINEAR, MATMUL, OUTER, SCALE
from numpy_program import NumpyProgram

from pytest_dlcheck.gradients.program import Array

__all__ = ["DEFECTS", "FORWARD", "FUNCTIONS", "KINDS", "SECOND", "Defect", "Function", "on_keras", "on_numpy", "on_torch"]


ENTRY = "one entry wrong"
PERCENT = "all entries 1 % off"
SIGN = "sign turned"
FACTOR = "factor missing"
TRANSPOSED = "transposed"
BROADCAST = "broadcast sum missing"
BOUNDARY = "wrong at the boundary"
SECOND = "second order wrong"
DUPLICATES = "duplicates not accumulated"
STOPPED = "stopped on one path"
NAN = "NaN where the value is finite"
LEAK = "leaks where nothing depends"
NONLINEAR = "not linear in the cotangent"
FORWARD = "forward mode wrong"

KINDS = (
    ENTRY,
    PERCENT,
    SIGN,
    FACTOR,
    TRANSPOSED,
    BROADCAST,
    BOUNDARY,
    SECOND,
    DUPLICATES,
    STOPPED,
    NAN,
    LEAK,
    NONLINEAR,
    FORWARD,
)


@dataclass(frozen=True)
class Defect:
    """A function whose gradient is wrong in one way.

    Attributes:
        function: with the right gradient, its correct twin.
        kind: one of `KINDS`.
        what: what is wrong.
        vjp: the wrong one, or the right one where only forward mode is wrong.
        jvp: the wrong one, for that kind.
        not_on: backends that turn the defect into a correct gradient, or refuse it, by themselves.
    """

    function: Function
    kind: str
    what: str
    vjp: Formula
    jvp: Formula | None = None
    not_on: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What to call it in a table of tests."""
        return f"{self.function.name}: {self.what}"


def on_numpy(function: Function, vjp: Formula | None = None, jvp: Formula | None = None) -> NumpyProgram:
    """The function with this gradient, or with its own, without any framework."""
    pull, push = vjp or function.vjp, jvp or function.jvp
    return NumpyProgram(
        function.names,
        lambda xp, xs: [function.value(xp, *xs)],
        lambda xp, xs, vs: pull(xp, vs[0], *xs),
        None if push is None else lambda xp, xs, us: [push(xp, us, *xs)],
    )


class KerasOps:
    """`keras.ops`, with constants in float64 on every backend."""

    def __init__(self, keras: Any) -> None:
        self._ops = keras.ops

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ops, name)

    def constant(self, array: Array) -> Any:
        return self._ops.convert_to_tensor(array, dtype="int32" if array.dtype.kind in "iu" else "float64")


def on_keras(keras: Any, function: Function, vjp: Formula | None = None) -> Callable[..., Any]:
    """The function with this gradient, or with its own, as `keras.ops.custom_gradient` makes it. Needs wide floats."""
    xp, pull = KerasOps(keras), vjp or function.vjp

    def run(*xs: Any) -> Any:
        def gradient(*given: Any, upstream: Any = None) -> Any:
            # PyTorch hands over the arguments and names the cotangent; the others give the cotangent alone.
            found = pull(xp, given[-1] if upstream is None else upstream, *xs)
            return found[0] if len(found) == 1 else tuple(found)

        return function.value(xp, *xs), gradient

    return keras.ops.custom_gradient(run)  # type: ignore[no-any-return]


def on_torch(keras: Any, torch: Any, function: Function, jvp: Formula | None = None) -> Callable[..., Any]:
    """The function with a forward mode of its own: only PyTorch lets one write both modes by hand."""
    xp, push = KerasOps(keras), jvp or function.jvp
    assert push is not None

    class Both(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(context: Any, *xs: Any) -> Any:
            context.save_for_backward(*xs)
            context.save_for_forward(*xs)
            return function.value(xp, *xs)

        @staticmethod
        def backward(context: Any, v: Any) -> Any:
            return tuple(function.vjp(xp, v, *context.saved_tensors))

        @staticmethod
        def jvp(context: Any, *us: Any) -> Any:
            return push(xp, us, *context.saved_tensors)

    return Both.apply  # type: ignore[no-any-return]


# What can be done to any gradient.


def _mask(shape: Sequence[int], place: int, at: float, elsewhere: float) -> Array:
    mask = np.full(tuple(shape), elsewhere)
    mask.reshape(-1)[place] = at
    return mask


def _changed(vjp: Formula, change: Callable[[Any, Any], Any], argument: int | None) -> Formula:
    def changed(xp: Any, v: Any, *xs: Any) -> Any:
        return [change(xp, g) if argument is None or place == argument else g for place, g in enumerate(vjp(xp, v, *xs))]

    return changed


def one_entry(function: Function, place: int, argument: int = 0) -> Formula:
    """One entry has the other sign."""
    return _changed(function.vjp, lambda xp, g: g * xp.constant(_mask(g.shape, place, -1.0, 1.0)), argument)


def times(function: Function, factor: float, argument: int | None = None) -> Formula:
    """All entries, of one argument or of all, are multiplied."""
    return _changed(function.vjp, lambda xp, g: g * factor, argument)


def leaking(function: Function, place: int, amount: float, argument: int = 0) -> Formula:
    """An amount of the first cotangent is added to one entry."""

    def leaking(xp: Any, v: Any, *xs: Any) -> Any:
        found = list(function.vjp(xp, v, *xs))
        into = xp.constant(_mask(found[argument].shape, place, amount, 0.0))
        found[argument] = found[argument] + into * xp.reshape(v, (-1,))[0]
        return found

    return leaking


def of_changed_cotangent(function: Function, change: Callable[[Any, Any], Any]) -> Formula:
    """The right gradient of another cotangent."""
    return lambda xp, v, *xs: function.vjp(xp, change(xp, v), *xs)


def _clipped(limit: float) -> Callable[[Any, Any], Any]:
    def clip(xp: Any, v: Any) -> Any:
        edge = limit + 0.0 * v
        return -xp.maximum(-xp.maximum(v, -edge), -edge)

    return clip


def swapped(vjp: Formula, argument: int) -> Formula:
    """The gradient by a square argument is transposed."""
    return _changed(vjp, lambda xp, g: xp.transpose(g), argument)


FUNCTIONS = (
    EXP,
    TANH,
    SOFTPLUS,
    FAR_SOFTPLUS,
    SQUARE,
    SILU,
    GUARDED,
    XLOGX,
    SINC,
    CLIP,
    MAXIMUM,
    WHERE,
    DIVIDE,
    MATMUL,
    AFFINE,
    ADD,
    SCALE,
    OUTER,
    BILINEAR,
    CONV,
    CUMSUM,
    MEAN,
    VARIANCE,
    LAYER_NORM,
    NORM,
    SOFTMAX,
    LOG_SUM_EXP,
    GATHER,
    SEGMENT,
    POOL,
    CROP,
    RECURRENT,
    ATTENTION,
    CROSS_ENTROPY,
    CLASSIFICATION,
    RESIDUAL,
)


def _wrong(function: Function, kind: str, what: str, **switches: Any) -> Defect:
    """The function's own formula with its switches turned."""
    return Defect(function, kind, what, partial(function.vjp, **switches))


def _unsummed(function: Function, **switches: Any) -> Defect:
    # PyTorch sums a gradient to the shape of its argument by itself, and JAX refuses one of another shape.
    what = "a gradient of the broadcast shape"
    return Defect(function, BROADCAST, what, partial(function.vjp, **switches), not_on=("torch", "jax"))


def _pushed(function: Function, what: str, **switches: Any) -> Defect:
    assert function.jvp is not None
    # PyTorch alone lets one write both modes by hand.
    return Defect(function, FORWARD, what, function.vjp, partial(function.jvp, **switches), not_on=("tensorflow", "jax"))


DEFECTS = (
    *(
        Defect(
            function,
            ENTRY,
            f"entry {place} of {function.names[argument]} has the other sign",
            one_entry(function, place, argument),
        )
        for function, place, argument in (
            (EXP, 5, 0),
            (TANH, 0, 0),
            (SOFTPLUS, 6, 0),
            (MATMUL, 4, 1),
            (AFFINE, 7, 1),
            (CONV, 1, 1),
            (LAYER_NORM, 13, 0),
            (RECURRENT, 3, 2),
            (ATTENTION, 2, 1),
        )
    ),
    *(
        Defect(function, PERCENT, "all gradients 1 % too large", times(function, 1.01))
        for function in (SQUARE, DIVIDE, MATMUL, CONV, SOFTMAX, VARIANCE, RECURRENT, ATTENTION)
    ),
    Defect(LAYER_NORM, PERCENT, "by gamma 1 % too small", times(LAYER_NORM, 0.99, 1)),
    Defect(AFFINE, PERCENT, "by the bias 1 % too small", times(AFFINE, 0.99, 2)),
    Defect(EXP, SIGN, "turned", times(EXP, -1.0)),
    Defect(NORM, SIGN, "turned", times(NORM, -1.0)),
    Defect(MATMUL, SIGN, "turned for b", times(MATMUL, -1.0, 1)),
    Defect(RESIDUAL, SIGN, "turned for u", times(RESIDUAL, -1.0, 2)),
    _wrong(DIVIDE, SIGN, "turned for the divisor", sign=1.0),
    _wrong(CROSS_ENTROPY, SIGN, "of the targets turned", target=-1.0),
    _wrong(SQUARE, FACTOR, "2 missing", factor=1.0),
    _wrong(TANH, FACTOR, "1 - y for 1 - y^2", squared=False),
    _wrong(DIVIDE, FACTOR, "a division by b missing", power=1),
    _wrong(MEAN, FACTOR, "1 / n missing", by_count=False),
    _wrong(VARIANCE, FACTOR, "1 / (n - 1) for 1 / n", unbiased=True),
    _wrong(NORM, FACTOR, "divided by the norm twice", squared=True),
    _wrong(LOG_SUM_EXP, FACTOR, "not divided by the sum", normalized=False),
    _wrong(ATTENTION, FACTOR, "1 / sqrt(d) missing", scaled=False),
    _wrong(CLASSIFICATION, FACTOR, "1 / batch missing", by_count=False),
    _wrong(SCALE, FACTOR, "x missing in the scale's", how="no x"),
    _wrong(MATMUL, TRANSPOSED, "b not transposed", transpose=False),
    Defect(MATMUL, TRANSPOSED, "the gradient by b", swapped(MATMUL.vjp, 1)),
    _wrong(OUTER, TRANSPOSED, "the cotangent", swap=True),
    _wrong(BILINEAR, TRANSPOSED, "the gradient by m", swap=True),
    _wrong(RECURRENT, TRANSPOSED, "u not transposed", transpose=False),
    _wrong(ATTENTION, TRANSPOSED, "the weights", transpose=False),
    _wrong(CONV, TRANSPOSED, "kernel not flipped", flip=False),
    _wrong(AFFINE, BROADCAST, "summed over the other axis", bias="other axis"),
    _wrong(AFFINE, BROADCAST, "the first row for the sum", bias="one row"),
    _wrong(AFFINE, BROADCAST, "the mean for the sum", bias="mean"),
    _wrong(ADD, BROADCAST, "the last row for the sum", how="one row"),
    _wrong(ADD, BROADCAST, "summed over the other axis", how="other axis"),
    _wrong(SCALE, BROADCAST, "the first column for the sum", how="first column"),
    _wrong(SCALE, BROADCAST, "the mean for the sum", how="mean"),
    _wrong(LAYER_NORM, BROADCAST, "gamma's of the first row alone", sums=False),
    _wrong(SOFTMAX, BROADCAST, "summed over the other axis", axis=0),
    _unsummed(AFFINE, bias="not summed"),
    _unsummed(ADD, how="not summed"),
    _unsummed(SCALE, how="not summed"),
    _wrong(CONV, BOUNDARY, "zero at the last position", edge=False),
    _wrong(CONV, BOUNDARY, "kernel's without the edges", padding=False),
    _wrong(CUMSUM, BOUNDARY, "without the entry itself", inclusive=False),
    _wrong(MEAN, BOUNDARY, "zero in the last column", edge=False),
    _wrong(POOL, BOUNDARY, "zero in the last window", edge=False),
    _wrong(CROP, BOUNDARY, "shifted by one", shift=1),
    _wrong(CROP, BOUNDARY, "the first entry twice", wide=True),
    _wrong(RECURRENT, BOUNDARY, "without the first step", late=1),
    _wrong(AFFINE, BOUNDARY, "without the last row", bias="all but the last row"),
    _wrong(CLASSIFICATION, BOUNDARY, "without the last sample", last=False),
    *(
        _wrong(function, SECOND, what, stop=True)
        for function, what in (
            (EXP, "the value counts as a constant"),
            (TANH, "one factor counts as a constant"),
            (SOFTPLUS, "the slope counts as a constant"),
            (SQUARE, "x counts as a constant"),
            (SILU, "one factor counts as a constant"),
            (XLOGX, "the logarithm counts as a constant"),
            (DIVIDE, "the quotient counts as a constant"),
            (MATMUL, "b counts as a constant"),
            (AFFINE, "x counts as a constant"),
            (SCALE, "s counts as a constant"),
            (BILINEAR, "m counts as a constant"),
            (CONV, "x counts as a constant"),
            (VARIANCE, "the mean counts as a constant"),
            (LAYER_NORM, "the spread counts as a constant"),
            (NORM, "the norm counts as a constant"),
            (SOFTMAX, "the sum counts as a constant"),
            (LOG_SUM_EXP, "the softmax counts as a constant"),
            (SEGMENT, "the sums count as constants"),
            (RECURRENT, "the states count as constants"),
            (ATTENTION, "the queries count as constants"),
            (CROSS_ENTROPY, "the sigmoid counts as a constant"),
            (CLASSIFICATION, "the softmax counts as a constant"),
            (RESIDUAL, "the hidden layer counts as a constant"),
        )
    ),
    _wrong(GATHER, DUPLICATES, "the last lookup wins", accumulate=False),
    _wrong(GATHER, DUPLICATES, "averaged over the lookups", mean=True),
    _wrong(SEGMENT, DUPLICATES, "the first of a segment gets all", once=True),
    _wrong(GATHER, ENTRY, "every row is that of the next", shift=1),
    _wrong(SILU, STOPPED, "not through the gate", gate=False),
    _wrong(SILU, STOPPED, "not through the content", content=False),
    _wrong(SOFTMAX, STOPPED, "the diagonal alone", coupling=False),
    _wrong(LAYER_NORM, STOPPED, "not through the mean", mean=False),
    _wrong(LAYER_NORM, STOPPED, "not through the spread", spread=False),
    _wrong(RECURRENT, STOPPED, "not through time", through_time=False),
    _wrong(RECURRENT, STOPPED, "the bias of the last step alone", bias_each_step=False),
    _wrong(ATTENTION, STOPPED, "not through the keys", through_weights=False),
    _wrong(ATTENTION, STOPPED, "not through the softmax's sum", coupling=False),
    _wrong(RESIDUAL, STOPPED, "not through the connection", skip=False),
    _wrong(RESIDUAL, STOPPED, "not through the block", inner=False),
    _wrong(CROSS_ENTROPY, STOPPED, "not through the targets' term", target=0.0),
    _wrong(CUMSUM, BOUNDARY, "summed from the front", reverse=False),
    _wrong(RECURRENT, BOUNDARY, "the state of the same step for that of the step before", lag=0),
    _wrong(GUARDED, NAN, "of the other side of a where", guarded=False),
    _wrong(XLOGX, NAN, "of the other side of a where", guarded=False),
    _wrong(SINC, NAN, "at zero", guarded=False),
    _wrong(FAR_SOFTPLUS, NAN, "by overflow", stable=False),
    _wrong(CLIP, LEAK, "a millionth through the limits", through=1e-6),
    _wrong(MAXIMUM, STOPPED, "to the smaller one", swap=True),
    _wrong(WHERE, STOPPED, "to both sides", to_a=False),
    _wrong(POOL, ENTRY, "to both of a window", both=True),
    _wrong(POOL, ENTRY, "always to the first of a window", first=True),
    Defect(CROP, LEAK, "1e-12 into an entry that is cropped", leaking(CROP, 0, 1e-12)),
    Defect(CROP, LEAK, "1e-5 into an entry that is cropped", leaking(CROP, 5, 1e-5)),
    Defect(GATHER, LEAK, "1e-9 into a row that is not looked up", leaking(GATHER, 9, 1e-9)),
    Defect(WHERE, LEAK, "1e-7 into an entry that is not chosen", leaking(WHERE, 1, 1e-7)),
    Defect(EXP, NONLINEAR, "cotangent clipped at 1", of_changed_cotangent(EXP, _clipped(1.0))),
    Defect(MATMUL, NONLINEAR, "cotangent clipped at 10", of_changed_cotangent(MATMUL, _clipped(10.0))),
    Defect(RECURRENT, NONLINEAR, "cotangent clipped at 100", of_changed_cotangent(RECURRENT, _clipped(100.0))),
    Defect(SQUARE, NONLINEAR, "the cotangent's sign alone", of_changed_cotangent(SQUARE, lambda xp, v: v / xp.abs(v))),
    _pushed(TANH, "1 - y for 1 - y^2", squared=False),
    _pushed(SQUARE, "2 missing", factor=1.0),
    _pushed(SOFTMAX, "the diagonal alone", coupling=False),
    _pushed(MATMUL, "not through b", both=False),
)
