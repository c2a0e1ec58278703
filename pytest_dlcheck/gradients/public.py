"""`check_gradients`: one call for a layer, a model or a function of one's own."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pytest_dlcheck.backends import present
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.backends.wide_floats import wide_floats
from pytest_dlcheck.errors import DlcheckError
from pytest_dlcheck.gradients.argument import largest
from pytest_dlcheck.gradients.autodiff import autodiff_of
from pytest_dlcheck.gradients.autodiff.base import Autodiff, FrameworkProgram
from pytest_dlcheck.gradients.check import DIRECTIONS, GradientCheck, apart
from pytest_dlcheck.gradients.functions import Differentiable, of_call, of_layer, widened
from pytest_dlcheck.gradients.lines import projected
from pytest_dlcheck.gradients.outcome import BAD, OK, UNSUPPORTED, WRONG, GradientReport, Row
from pytest_dlcheck.gradients.program import Array, NoDerivative, Program, zeros_for_none
from pytest_dlcheck.observe.layer_observation import telling_line
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, of_adjoint, of_sum

__all__ = ["check_gradients", "gradient_rows"]

HIGHEST_ORDER = 2


def check_gradients(
    target: Any,
    inputs: Any,
    *,
    order: int = 2,
    modes: Sequence[str] | None = None,
    seed: int = 0,
    training: bool = False,
    call: Mapping[str, Any] | None = None,
    name: str | None = None,
    backend: Backend | None = None,
) -> GradientReport:
    """Checks the gradients of a layer, a model or a function, in float64, and says why they are right or wrong.

    With respect to every floating input and every trainable weight: reverse mode against differences of the value along three
    random directions, against forward mode by the adjoint identity <v, J u> = <J^T v, u>, the second derivatives the same way,
    and one mode of running against another. What disagrees is looked at again before it is called wrong: by extrapolation, for
    corners, and by the order of Taylor's remainder.

        from pytest_dlcheck import check_gradients

        def test_my_layer():
            check_gradients(MyLayer(4), np.random.default_rng(0).normal(size=(2, 3)))

    Args:
        target: a Keras layer or model, or a function of the framework's tensors that gives one tensor or a nest of them.
        inputs: of a layer, what it is called with: an array or a nest. Of a function, its positional arguments: a tuple or a
            list, or one array. Floating arrays are differentiated, others handed on.
        order: 1 for first derivatives, 2 for second ones too.
        modes: `eager`, `graph` (TensorFlow), `compiled` (TensorFlow with XLA, JAX); by default all that the backend has.
        seed: of the directions: the same seed gives the same verdicts.
        training: the mode in which a layer is called.
        call: further keyword arguments of a layer's call.
        name: what to call it in the table.
        backend: on which; by default the one that Keras runs on in this process.

    Returns:
        The report, in which nothing is wrong; `print(report.table())` shows it.

    Raises:
        GradientsWrong: an `AssertionError` with the table: a gradient is wrong, or cannot be told.
        DlcheckError: the order or a mode does not exist, or there is nothing to differentiate.
    """
    if order not in range(1, HIGHEST_ORDER + 1):
        raise DlcheckError(f"order {order!r}: there are 1, first derivatives, and 2, second ones as well")
    backend = backend or present()
    backend.load()
    autodiff = autodiff_of(backend)
    chosen = autodiff.modes if modes is None else tuple(modes)
    unknown = [each for each in chosen if each not in autodiff.modes]
    if unknown or not chosen:
        wrong = ", ".join(map(repr, unknown)) or "none"
        raise DlcheckError(f"mode {wrong}: {backend.name} has {', '.join(autodiff.modes)} to check gradients in")
    subject = name or getattr(target, "name", None) or getattr(target, "__qualname__", None) or type(target).__name__
    with wide_floats(backend), autodiff.one_thread(), contextlib.ExitStack() as stack:
        if isinstance(target, backend.keras.layers.Layer):
            if not target.built:
                target(_converted(inputs, backend), **(call or {}))
            stack.enter_context(widened(target))
            found = of_layer(target, inputs, autodiff, training=training, call=call)
        elif callable(target):
            found = of_call(target, inputs, autodiff)
        else:
            raise DlcheckError(f"{subject}: neither a layer nor a function")
        if not found.point:
            raise DlcheckError(f"{subject}: no input of a floating dtype and no trainable weight, so nothing to differentiate")
        rows = gradient_rows(found, autodiff, modes=chosen, order=order, seed=seed)
    if not any(row.check == "numeric" for row in rows):
        rows.append(Row("all", "numeric", chosen[0], WRONG, "it can be run in none of the modes"))
    return GradientReport(str(subject), backend.name, rows, seed).check()


def _converted(inputs: Any, backend: Backend) -> Any:
    from pytest_dlcheck.observe.nests import map_leaves

    return map_leaves(lambda leaf: backend.put(np.asarray(leaf)), inputs)


def gradient_rows(
    target: Differentiable,
    autodiff: Autodiff,
    *,
    modes: Sequence[str],
    order: int = 2,
    seed: int = 0,
    directions: int = DIRECTIONS,
    forward: bool = True,
) -> list[Row]:
    """Every check of a function: all of them in the first mode, and the gradients of the others against those.

    Args:
        target: what to check, and where. The caller has made floats wide (`wide_floats`).
        autodiff: of the framework.
        modes: at least one.
        order: 1 or 2.
        seed: of the directions.
        directions: how many for each argument.
        forward: whether forward mode is checked too.
    """

    def check(mode: str) -> GradientCheck:
        program = FrameworkProgram(autodiff, target.function, target.names, mode)
        seed_of = derive(seed, "first")
        least = target.unit_roundoff
        return GradientCheck(program, target.point, seed=seed_of, mode=mode, directions=directions, least_roundoff=least)

    rows: list[Row] = []
    left = list(modes)
    while left:
        mode = left.pop(0)
        first = check(mode)
        try:
            first.outputs  # noqa: B018 - computed once, here
        except Exception as error:  # noqa: BLE001 - of the mode; the caller has seen the function run in some other way
            rows.append(_not_in(mode, error))
        else:
            break
    else:
        return rows
    rows += first.rows(forward=forward)
    if any(row.argument == "all" and row.check == "numeric" for row in rows):  # nothing could be looked at
        return rows
    for mode in left:
        if target.random:  # each mode may draw other numbers, and is checked on its own
            rows += _alone(check(mode))
        else:
            rows.append(_same(check(mode).program, first, mode, target.point))
    if order > 1 and first.unit_roundoff > UNIT_ROUNDOFF["float64"]:
        said = "it computes in less than float64 inside, too coarse for differences of its gradient"
        rows.append(Row("all", "second order", first.mode, UNSUPPORTED, said))
    elif order > 1 and not any(row.verdict in BAD for row in rows):
        second = first.of_gradient(seed=derive(seed, "second"))
        rows += second.rows(forward=forward)
    return rows


def _not_in(mode: str, error: Exception) -> Row:
    said = f"{mode} cannot run it: {type(error).__name__}: {telling_line(str(error))}"
    return Row("all", "modes", mode, UNSUPPORTED, said)


def _alone(check: GradientCheck) -> list[Row]:
    try:
        check.outputs  # noqa: B018 - computed once, here
    except Exception as error:  # noqa: BLE001 - of the mode: the same call has gone well in the first one
        return [_not_in(check.mode, error)]
    return [*check.rows(forward=False)]


def _same(program: Program, first: GradientCheck, mode: str, point: Sequence[Array]) -> Row:
    """Whether another mode gives the same values and gradients."""
    look = first.looks[0]
    try:
        values = program.value(point)
        if [each.shape for each in values] != [each.shape for each in first.outputs]:
            # What else comes out there is a matter for the suites of values, and no derivative of it is asked for:
            # TensorFlow's tape has ended the process over output gradients that were fewer than its targets.
            said = f"{mode} gives {len(values)} floating outputs, and {first.mode} {len(first.outputs)}, or other shapes"
            return Row("all", "modes", mode, UNSUPPORTED, said)
        found = [*values, *zeros_for_none(program.reverse(point, look.vs), point)]
    except NoDerivative as error:
        return Row("all", "modes", mode, WRONG, f"{first.mode} gives a gradient, and {mode} fails: {error}")
    except Exception as error:  # noqa: BLE001 - of the mode: the same call has gone well in the first one
        return _not_in(mode, error)
    expected = [*first.outputs, *zeros_for_none(look.gradient, point)]
    names = [*(f"output {number}" for number in range(len(first.outputs))), *first.program.names]
    # A gradient is made of quantities of the size of the outputs over that of the argument, whatever cancels.
    made_of = [*(0.0 for _ in first.outputs), *(projected(look.vs, first.outputs)[1] / size for size in first.sizes)]
    worst = (0.0, of_adjoint(1.0, unit_roundoff=first.unit_roundoff))
    for name, one, other, magnitude in zip(names, found, expected, made_of, strict=True):
        size = largest(other)
        allowed = of_adjoint(size, unit_roundoff=first.unit_roundoff)
        allowed += float(of_sum(magnitude, unit_roundoff=first.unit_roundoff))
        gap = apart(one, other)
        shares = gap / (size or 1.0), allowed / (size or 1.0)
        if gap > allowed:
            return Row(name, "modes", mode, WRONG, f"{mode} differs from {first.mode}", *shares)
        worst = max(worst, shares)
    return Row("all", "modes", mode, OK, f"as in {first.mode}", *worst)
