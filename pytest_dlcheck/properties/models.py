"""What must hold of a documented model. Pure functions: a spec and a part of an observation in, a verdict out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.models.spec import ModelSpec
from pytest_dlcheck.observe.observations import (
    Forward,
    Functional,
    Gradients,
    Loop,
    Placement,
    Repeat,
    Saved,
    Scoring,
    Structure,
    Training,
)
from pytest_dlcheck.properties.comparison import identical, within
from pytest_dlcheck.properties.verdict import PASS, Verdict, failed, first_failure, passed
from pytest_dlcheck.references.network import forward
from pytest_dlcheck.references.scores import LOSSES, accuracy_range
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, Bounded, Rounding, from_moved_starts, propagated

__all__ = [
    "evaluate_agrees",
    "fit_is_the_loop",
    "forward_matches_reference",
    "functional_is_sequential",
    "loss_falls",
    "parameter_count",
    "placed_on_device",
    "predict_agrees",
    "reaches_level",
    "same_seed_same_run",
    "save_and_load",
    "weights_learn",
]

Array = NDArray[np.generic]


def reference(spec: ModelSpec, weights: Sequence[Array], x: Array, dtype: object) -> Bounded:
    """The forward pass in float64, with the tolerance for its being computed in `dtype`."""
    return propagated(lambda rounding: forward(spec, weights, x, rounding), unit_roundoff=UNIT_ROUNDOFF[str(dtype)], scale=1.0)


def _doubled(value: Array, bounded: Bounded) -> Bounded:
    """The tolerance between two computations that both round."""
    return Bounded(np.asarray(value, dtype=np.float64), 2 * bounded.tolerance, f"both sides round: twice {bounded.derived}")


def parameter_count(spec: ModelSpec, seen: Structure) -> Verdict:
    """`count_params()` = the sum of each layer's formula = the sizes of the weights (= the tutorial's figure)."""
    counted = sum(seen.trainable_sizes)
    expected = spec.parameters
    if spec.parameters_stated not in (None, expected):
        return failed(f"the tutorial states {spec.parameters_stated:,} parameters, the formula gives {expected:,}")
    if seen.parameters != expected:
        return failed(f"count_params() says {seen.parameters:,}, the formula gives {expected:,}")
    if counted != expected:
        return failed(f"the trainable weights hold {counted:,} numbers, the formula gives {expected:,}")
    if seen.output_shape[1:] != spec.output_shape:
        return failed(f"the declared output shape is {seen.output_shape}, the formula gives {spec.output_shape} a sample")
    return passed(f"{expected:,} parameters")


def placed_on_device(device: str, seen: Placement) -> Verdict:
    """Every weight and the output lie on the device that was asked for, and nowhere else."""
    for index, places in enumerate(seen.weights):
        if places != (device,):
            return failed(f"weight {index} lies on {' and '.join(places) or 'no device'}, not on {device}")
    if seen.outputs != (device,):
        return failed(f"the output lies on {' and '.join(seen.outputs) or 'no device'}, not on {device}")
    return passed(f"{len(seen.weights)} weights and the output lie on {device}")


def forward_matches_reference(spec: ModelSpec, seen: Forward) -> Verdict:
    """`model(x)` = the formula in float64 NumPy, within what rounding explains."""
    return within(
        "model(x) against the float64 reference",
        seen.called,
        reference(spec, seen.weights, seen.x, seen.called.dtype),
    )


def weights_learn(spec: ModelSpec, seen: Gradients) -> Verdict:
    """Every trainable weight has a finite gradient that is not zero throughout, and one training step moves it."""
    del spec
    for name, gradient, before, after in zip(seen.names, seen.gradients, seen.before, seen.after, strict=True):
        if gradient is None:
            return failed(f"{name} has no gradient")
        if gradient.shape != before.shape:
            return failed(f"{name} of shape {before.shape} has a gradient of shape {gradient.shape}")
        if not np.isfinite(gradient).all():
            return failed(f"{name} has {int((~np.isfinite(gradient)).sum())} gradient entries that are not finite")
        if not gradient.any():
            return failed(f"{name} has a gradient that is zero throughout")
        if np.array_equal(before, after):
            return failed(f"{name} has a gradient, and a training step leaves it where it was")
    return passed(f"{len(seen.names)} weights have gradients and move")


def loss_falls(spec: ModelSpec, seen: Training) -> Verdict:
    """The last epoch's mean loss is below the first's, by more than rounding explains."""
    if not np.isfinite(seen.losses).all():
        return failed(f"the loss is not finite: {_curve(seen.losses)}")
    first, last = seen.losses[0], seen.losses[-1]
    # An epoch's loss is a running mean: each step may round it once.
    rounding = 2 * seen.steps_per_epoch * UNIT_ROUNDOFF["float32"] * abs(first)
    if not first - last > rounding:
        return failed(f"the loss does not fall from the first epoch to the last: {_curve(seen.losses)}")
    short = "" if len(seen.losses) == spec.epochs else f" ({spec.epochs} are documented; --dl-profile nightly trains them all)"
    return passed(f"loss {first:.4g} in epoch 1, {last:.4g} in epoch {len(seen.losses)}{short}")


def _curve(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _exact(values: Sequence[float]) -> str:
    return ", ".join(repr(value) for value in values)


def reaches_level(spec: ModelSpec, seen: Training) -> Verdict:
    """On held-out data the model is as good as its spec demands, computed by hand from its predictions."""
    level = spec.level
    unit = ""
    if level.metric == "accuracy":
        no_slack = np.zeros(seen.held_out_predictions.shape)
        value, _ = accuracy_range(spec.loss, seen.held_out_targets, seen.held_out_predictions, no_slack)
    else:
        value = LOSSES[level.metric](seen.held_out_targets, seen.held_out_predictions, clip=False)
    if level.of_start:
        if seen.untrained_predictions is None:
            raise ValueError(f"the level of {spec.name} is a share of the untrained model's error, which was not observed")
        value /= LOSSES[level.metric](seen.held_out_targets, seen.untrained_predictions, clip=False)
        unit = " of the untrained model's"
    relation = "at least" if level.higher_is_better else "at most"
    message = f"held-out {level.metric} {value:.4g}{unit}; it must be {relation} {level.bound:g}: {level.why}"
    return passed(message) if level.reached(value) else failed(message)


def evaluate_agrees(spec: ModelSpec, seen: Scoring) -> Verdict:
    """`evaluate`, in batches of any size, gives the loss and the accuracy that one computes by hand."""
    unit_roundoff = UNIT_ROUNDOFF[str(next(iter(seen.predicted.values())).dtype)]
    outputs = propagated(lambda rounding: forward(spec, seen.weights, seen.x, rounding), unit_roundoff=unit_roundoff, scale=1.0)

    def by_hand(rounding: Rounding | None) -> NDArray[np.float64]:
        p = forward(spec, seen.weights, seen.x, rounding)
        return np.array([LOSSES[spec.loss](seen.targets, p, clip=clip) for clip in (True, False)])

    loss = propagated(by_hand, unit_roundoff=unit_roundoff, scale=1.0)
    low, high = (loss.value - loss.tolerance).min(), (loss.value + loss.tolerance).max()
    least, most = (
        accuracy_range(spec.loss, seen.targets, outputs.value, outputs.tolerance) if "accuracy" in spec.metrics else (0, 0)
    )
    for size, scores in seen.evaluated.items():
        if not low <= scores["loss"] <= high:
            return failed(
                f"evaluate(batch_size={size}) gives a loss of {scores['loss']!r}; by hand it is {loss.value[0]!r}, and "
                f"{loss.tolerance.max():.3g} away is allowed ({loss.derived})"
            )
        # The mean of n ones and zeros, computed in the model's precision.
        if "accuracy" in spec.metrics and not (least - 4 * unit_roundoff <= scores["accuracy"] <= most + 4 * unit_roundoff):
            return failed(
                f"evaluate(batch_size={size}) gives an accuracy of {scores['accuracy']!r}; by hand it is {least!r}"
                + (f" to {most!r}, as rounding may decide" if most > least else "")
            )
    accuracy = f", accuracy {least:.4g}," if "accuracy" in spec.metrics else ""
    return passed(
        f"loss {loss.value[0]:.6g}{accuracy} by hand, and by evaluate in batches of {', '.join(map(str, seen.evaluated))}"
    )


def predict_agrees(spec: ModelSpec, seen: Scoring) -> Verdict:
    """`predict`, in batches of any size, gives what the formula gives."""
    dtypes = {str(predicted.dtype) for predicted in seen.predicted.values()}
    if len(dtypes) != 1:
        return failed(f"the dtype of what predict gives depends on the batch size: {', '.join(sorted(dtypes))}")
    expected = reference(spec, seen.weights, seen.x, dtypes.pop())
    return first_failure(
        *(within(f"predict(batch_size={size})", predicted, expected) for size, predicted in seen.predicted.items())
    )


def same_seed_same_run(spec: ModelSpec, seen: Repeat) -> Verdict:
    """The same seed gives the same losses and weights, bit for bit; another seed gives other initial weights."""
    del spec
    if all(np.array_equal(a, b) for a, b in zip(seen.initial, seen.other_initial, strict=True)):
        return failed("another seed gives the very same initial weights: the seed has no effect")
    if seen.first != seen.second:
        return failed(f"two runs from one seed: losses {_exact(seen.first)} and {_exact(seen.second)}")
    verdict = first_failure(
        *(
            identical(f"weight {index} of the second run", second, first)
            for index, (first, second) in enumerate(zip(seen.first_weights, seen.second_weights, strict=True))
        )
    )
    if verdict.outcome != PASS:
        return verdict
    return passed(f"losses of {_curve(seen.first)} and {len(seen.first_weights)} weights, twice the same")


def save_and_load(spec: ModelSpec, seen: Saved) -> Verdict:
    """A loaded model has the saved one's weights and optimizer state bit for bit, computes the same, and learns on alike."""
    for what, loaded, saved in (
        ("weights", seen.loaded_weights, seen.weights),
        ("optimizer variables", seen.loaded_optimizer, seen.optimizer),
        ("weights after one more training step", seen.loaded_next_weights, seen.next_weights),
    ):
        if len(loaded) != len(saved):
            return failed(f"{len(loaded)} {what} came back of {len(saved)}")
        verdict = first_failure(
            *(
                identical(f"{what}, number {index}", after, before)
                for index, (after, before) in enumerate(zip(loaded, saved, strict=True))
            )
        )
        if verdict.outcome != PASS:
            return verdict
    allowed = _doubled(seen.outputs, reference(spec, seen.weights, seen.x, seen.outputs.dtype))
    return first_failure(
        within("outputs of the loaded model", seen.loaded_outputs, allowed),
        passed(f"{len(seen.weights)} weights and {len(seen.optimizer)} optimizer variables are identical"),
    )


def functional_is_sequential(spec: ModelSpec, seen: Functional) -> Verdict:
    """The Sequential model and the functional one with the same weights are one function."""
    if seen.sequential_parameters != seen.functional_parameters:
        return failed(f"{seen.sequential_parameters:,} parameters as Sequential, {seen.functional_parameters:,} as functional")
    expected = reference(spec, seen.weights, seen.x, seen.functional.dtype)
    return first_failure(
        within("functional against Sequential", seen.functional, _doubled(seen.sequential, expected)),
        within("functional against the float64 reference", seen.functional, expected),
    )


def fit_is_the_loop(spec: ModelSpec, seen: Loop) -> Verdict:
    """`fit` is the training loop written out: forward, backward, update, repeat."""
    del spec
    allowed = from_moved_starts(
        np.asarray(seen.written_out, dtype=np.float64),
        np.asarray(seen.moved, dtype=np.float64),
        unit_roundoff=UNIT_ROUNDOFF["float32"],
        scale=1.0,
    )
    return within(
        f"losses of the first {len(seen.fit)} steps of fit against the loop written out", np.asarray(seen.fit), allowed
    )
