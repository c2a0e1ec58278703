"""Specs of the regularization layers: dropouts, noise, and a penalty on activities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pytest_dlcheck.cases.case import Case
from pytest_dlcheck.references.layers import regularization as references
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.spec import Call, Law, LayerSpec
from pytest_dlcheck.tolerance_of_laws import hides_no_noise, of_copies, of_operations

__all__ = ["SPECS"]

Array = NDArray[Any]

NO_WEIGHTS = {"effect:trainable": "there are no weights to be trained"}
SOURCE = "https://keras.io/api/layers/regularization_layers/"
IMPROBABLE = 1e-9
SCALED = 4
"""x / (1 - rate): the rate is rounded; a difference; a quotient, or a reciprocal and a product."""
AFFINE = 4
"""a x + b, or a alpha' + b: a and b, or alpha', are rounded; a product and a sum."""
# Enough units to tell a rate from its complement.
MANY = (4, 50)


def _shape(d: Draw, rank: int) -> tuple[int, ...]:
    if rank == len(MANY) and d.flag():
        return MANY
    return d.shape(rank)


def _masked(d: Draw) -> None:
    shape = d.inputs.shape
    if len(shape) > 2 and d.flag(4):
        d.masks = (d.padding(shape[0], shape[1]),)


def _noise_shape(d: Draw, shape: Sequence[int]) -> None:
    def drawn() -> Any:
        found = [d.choice([size, 1, None]) for size in shape]
        return tuple(found) if d.flag() else found

    d.option("noise_shape", drawn)


def _dropout(rates: Sequence[float], *, noise_shape: bool) -> Callable[[Draw], None]:
    def draw(d: Draw) -> None:
        d.set("rate", d.choice(rates))
        d.seed()
        d.inputs = d.floats(_shape(d, d.choice([2, 3, 1, 4])))
        if noise_shape:
            _noise_shape(d, d.inputs.shape)
        d.common_options()
        _masked(d)

    return draw


def _noise(d: Draw) -> None:
    d.set("stddev", d.choice([0.5, 0.1, 1.0, 0.0]))
    d.seed()
    d.common_options()
    d.inputs = d.floats(_shape(d, d.choice([2, 3, 1, 4])))
    _masked(d)


def _spatial(rank: int) -> Callable[[Draw], None]:
    def draw(d: Draw) -> None:
        d.set("rate", d.choice([0.5, 0.25, 0.0, 0.1, 0.9, 1.0]))
        d.seed()
        data_format = d.data_format() if rank > 3 else "channels_last"
        # It documents no `trainable`.
        d.option("name", ["subject"], one_in=10)
        spatial = d.shape(rank - 2)
        batch, channels = (8, 8) if d.flag() else (d.size(), d.size())
        d.inputs = d.floats(d.image(batch, spatial, channels, data_format))
        if rank == 3:
            _masked(d)

    return draw


def _activity(d: Draw) -> None:
    d.option("l1", [0.01, 1.0, 0.0])
    d.option("l2", [0.01, 2, 0.5])
    d.common_options()
    d.inputs = d.floats(d.shape(d.choice([2, 3, 1, 4])))
    _masked(d)


def _at_a_rate(case: Case, training: bool) -> bool:
    return training and bool(case.arguments.get("rate", case.arguments.get("stddev", 0)) > 0)


def _rate(call: Call) -> float:
    return float(call.arguments.get("rate", call.arguments.get("stddev", 0)))


# Laws of training mode. Where the rate is zero the reference says it all.


def _scaled_or_zero(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    """Every value is 0 or x / (1 - rate)."""
    x, (y,) = call.inputs, outputs
    rate = _rate(call)
    if rate == 0:
        return None
    kept = x / (1 - rate) if rate < 1 else np.zeros_like(x)
    wrong = (y != 0) & ~(np.abs(y - kept) <= of_operations(SCALED, np.abs(kept), unit_roundoff=u))
    if not wrong.any():
        return None
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{y[index]:g} of {x[index]:g}: neither 0 nor {kept[index]:g}, at {list(index)}"


def _alpha_values_and_bound(call: Call, u: float) -> tuple[Array, float, Array]:
    kept, dropped = references.alpha_dropout_values(call.inputs, _rate(call))
    # a x is no larger than a x + b and b together, nor a alpha' than a alpha' + b and b.
    shift = float(references.alpha_dropout_values(np.zeros(1), _rate(call))[0][0])
    magnitude = np.maximum(np.abs(kept), abs(dropped)) + 2 * abs(shift)
    return kept, dropped, np.asarray(of_operations(AFFINE, magnitude, unit_roundoff=u))


def _alpha_values(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    """Every value is a x + b, or what a dropped one becomes."""
    x, (y,) = call.inputs, outputs
    if _rate(call) == 0:
        return None
    kept, dropped, bound = _alpha_values_and_bound(call, u)
    wrong = ~((np.abs(y - kept) <= bound) | (np.abs(y - dropped) <= bound))
    if not wrong.any():
        return None
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{y[index]:g} of {x[index]:g}: neither {kept[index]:g} nor {dropped:g}, at {list(index)}"


Fate = tuple[Array, Array]


def _dropped(call: Call, y: Array, u: float) -> Fate:
    """Which values were dropped, and of which one can tell."""
    x = call.inputs
    return y == 0, np.abs(x) > 2 * of_copies(unit_roundoff=u)  # what is kept only grows, and cannot vanish


def _alpha_dropped(call: Call, y: Array, u: float) -> Fate:
    kept, dropped, bound = _alpha_values_and_bound(call, u)
    apart = np.abs(kept - dropped) > 2 * bound
    return np.abs(y - dropped) < np.abs(y - kept), apart


def _fates(layer: str, fate: Callable[[Call, Array, float], Fate]) -> tuple[Law, Law]:
    """Laws of who is dropped: all together along an axis where the mask has size one, and as many as the rate says."""

    def units(call: Call, y: Array, u: float) -> tuple[Array, Array, tuple[int, ...]]:
        dropped, known = fate(call, y, u)
        shape = references.noise_shape(call, y.shape, layer)
        axes = tuple(axis for axis, (one, own) in enumerate(zip(shape, y.shape, strict=True)) if one == 1 and own != 1)
        return dropped, known, axes

    def together(call: Call, outputs: Sequence[Array], u: float) -> str | None:
        if _rate(call) == 0:
            return None
        dropped, known, axes = units(call, outputs[0], u)
        some, some_not = (dropped & known).any(axis=axes), (~dropped & known).any(axis=axes)
        count = int((some & some_not).sum())
        return f"{count} of {some.size} units are dropped in part, along axes {list(axes)}" if count else None

    def as_often(call: Call, outputs: Sequence[Array], u: float) -> str | None:
        rate = _rate(call)
        if rate == 0:
            return None
        dropped, known, axes = units(call, outputs[0], u)
        count = int(known.any(axis=axes).sum())
        lost = int((dropped & known).any(axis=axes).sum())
        if count == 0:
            return None
        chance = float(stats.binomtest(lost, count, rate).pvalue)
        return f"{lost} of {count} units dropped at rate {rate}: p = {chance:.1e}" if chance < IMPROBABLE else None

    return Law("dropped_together", together, training=True), Law("dropped_as_often_as_said", as_often, training=True)


def _normal(what: str, z: Array) -> str | None:
    """Whether these are independent values of a standard normal distribution, as far as mean, spread and range tell."""
    count = z.size
    if count == 0:
        return None
    total = float(z.sum())
    squares = float((z**2).sum())
    largest = float(np.abs(z).max())
    chances = {
        "mean": 2 * stats.norm.sf(abs(total) / np.sqrt(count)),
        # An overestimate of the chance for few: a count of squares near zero is no surprise then.
        "spread": 2 * min(stats.chi2.sf(squares, count), stats.chi2.cdf(squares, count)) if count > 1 else 1.0,
        "range": count * 2 * stats.norm.sf(largest),
    }
    for name, chance in chances.items():
        if chance < IMPROBABLE:
            return f"the {name} of {count} {what} is improbable: p = {chance:.1e}"
    if count >= 20 and np.ptp(z) == 0:
        return f"all {count} {what} are {z[0]:g}"
    return None


def _multiplied_by_noise(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    """y / x is normal around 1, with variance rate / (1 - rate)."""
    x, rate = call.inputs, _rate(call)
    if rate == 0:
        return None
    deviation = np.sqrt(rate / (1 - rate))
    # The factor is rounded, and multiplied.
    known = hides_no_noise(of_operations(2, np.abs(x), unit_roundoff=u), np.abs(x) * deviation)
    if not np.all(np.isfinite(outputs[0])):
        return "not finite"
    return _normal("factors", (outputs[0][known] / x[known] - 1) / deviation)


def _added_noise(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    """y - x is normal around 0, with the standard deviation asked for."""
    x, deviation = call.inputs, _rate(call)
    if deviation == 0:
        return None
    if not np.all(np.isfinite(outputs[0])):
        return "not finite"
    known = hides_no_noise(of_operations(1, np.abs(x), unit_roundoff=u), deviation)
    return _normal("summands", (outputs[0] - x)[known] / deviation)


def _spatial_spec(dimensions: int) -> LayerSpec:
    name = f"SpatialDropout{dimensions}D"
    return LayerSpec(
        name,
        _spatial(dimensions + 2),
        references.handed_on,
        f"{SOURCE}spatial_dropout{dimensions}d/",
        laws=(Law("zero_or_scaled", _scaled_or_zero, training=True), *_fates(name, _dropped)),
        random=_at_a_rate,
        not_drawn={"dtype": "the policy, which every case draws"},
    )


SPECS = (
    LayerSpec(
        "Dropout",
        _dropout([0.5, 0.25, 0.0, 0.1, 0.9, 1.0], noise_shape=True),
        references.handed_on,
        f"{SOURCE}dropout/",
        laws=(Law("zero_or_scaled", _scaled_or_zero, training=True), *_fates("Dropout", _dropped)),
        random=_at_a_rate,
        exempt=NO_WEIGHTS,
    ),
    _spatial_spec(1),
    _spatial_spec(2),
    _spatial_spec(3),
    LayerSpec(
        "AlphaDropout",
        _dropout([0.5, 0.25, 0.0, 0.1, 0.9], noise_shape=True),
        references.handed_on,
        f"{SOURCE}alpha_dropout/",
        laws=(Law("kept_or_dropped_value", _alpha_values, training=True), *_fates("AlphaDropout", _alpha_dropped)),
        random=_at_a_rate,
        exempt=NO_WEIGHTS,
    ),
    LayerSpec(
        "GaussianDropout",
        _dropout([0.5, 0.25, 0.0, 0.1, 0.9], noise_shape=False),
        references.handed_on,
        f"{SOURCE}gaussian_dropout/",
        laws=(Law("multiplied_by_noise", _multiplied_by_noise, training=True),),
        random=_at_a_rate,
        exempt=NO_WEIGHTS,
    ),
    LayerSpec(
        "GaussianNoise",
        _noise,
        references.handed_on,
        f"{SOURCE}gaussian_noise/",
        laws=(Law("added_noise", _added_noise, training=True),),
        random=_at_a_rate,
        exempt=NO_WEIGHTS,
    ),
    LayerSpec(
        "ActivityRegularization",
        _activity,
        references.activity_regularization,
        f"{SOURCE}activity_regularization/",
        exempt=NO_WEIGHTS,
    ),
)
