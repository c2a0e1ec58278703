"""`keras.losses`: functions of labels and predictions, and classes that reduce them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from pytest_dlcheck.subjects.operations.neural import labels, shares
from pytest_dlcheck.subjects.operations.record import Maker, Operation, Variant, at, between, given, positive, real

__all__ = ["OPERATIONS"]


def _signed(*shape: int) -> Maker:
    """Labels of hinge losses, which take a label of 0 for -1."""
    return lambda rng: rng.choice((-1.0, 1.0), size=shape)


def _hinged(*shape: int) -> Maker:
    """Predictions none of which has a margin near 1."""
    return lambda rng: rng.choice((-1.6, -0.6, 0.5, 1.5), size=shape) + rng.uniform(-0.2, 0.2, size=shape)


def _onehot(rows: int, classes: int) -> Maker:
    return lambda rng: np.eye(classes)[rng.integers(classes, size=rows)]


def _bits(*shape: int) -> Maker:
    return lambda rng: (np.arange(int(np.prod(shape))) % 2).reshape(shape).astype(np.float64)


def _shifted(maker: Maker) -> Maker:
    """Well above what `between(0, 1)` and the like give, so that no difference is near 0."""
    return lambda rng: maker(rng) + 1.5


_LABELS = (0,)
"""Where labels are numbers of a class or truth values in floating dress, losses may treat them as constants."""

Pair = tuple[Maker, Maker]


def _weigh(count: int, *shape: int) -> Maker:
    """Weights of samples, one of them 0."""
    del shape

    def make(rng: np.random.Generator) -> Any:
        weights = rng.uniform(0.5, 2.0, size=count)
        weights[rng.integers(count)] = 0.0
        return weights

    return make


def _functional(pair: Pair, options: Sequence[Mapping[str, Any]], fixed: tuple[int, ...]) -> tuple[Variant, ...]:
    return tuple(at(*pair, fixed=fixed, **each) for each in options)


def _reduced(build: Any, y_true: Any, y_pred: Any, **options: Any) -> Any:
    return build(**options)(y_true, y_pred)


def _weighted(build: Any, y_true: Any, y_pred: Any, weight: Any, **options: Any) -> Any:
    return build(**options)(y_true, y_pred, sample_weight=weight)


def _classes(pair: Pair, samples: int, options: Sequence[Mapping[str, Any]], fixed: tuple[int, ...]) -> tuple[Variant, ...]:
    """Each reduction, with weights of the samples and without, then the options."""
    weighted = tuple(
        at(*pair, positive(samples), call=_weighted, fixed=fixed, label="sample_weight", reduction=reduction)
        for reduction in ("sum_over_batch_size", "mean_with_sample_weight", "sum", "none")
    )
    plain = tuple(
        at(*pair, call=_reduced, fixed=fixed, reduction=reduction)
        for reduction in ("sum_over_batch_size", "mean_with_sample_weight", "sum", "none", None)
    )
    zero = at(*pair, _weigh(samples), call=_weighted, fixed=(*fixed, 2), label="sample_weight, one of them 0")
    return (*weighted, *plain, zero, *(at(*pair, call=_reduced, fixed=fixed, **each) for each in options[1:]))


def _both(
    function: str, kind: str, pair: Pair, *options: Mapping[str, Any], samples: int = 3, fixed: tuple[int, ...] = ()
) -> tuple[Operation, ...]:
    """A loss as a function and as a class; the first options are those that the function needs."""
    every = options or ({},)
    return (
        Operation(f"losses.{function}", _functional(pair, every, fixed)),
        Operation(f"losses.{kind}", _classes(pair, samples, every, fixed)),
    )


_REAL: Pair = (real(3, 4), _shifted(positive(3, 4)))
_UNIT: Pair = (between(0.1, 0.9, 3, 4), between(0.1, 0.9, 3, 4))
_SHARES: Pair = (shares(3, 4), shares(3, 4))
_ONEHOT: Pair = (_onehot(3, 4), shares(3, 4))
_BITS: Pair = (_bits(3, 4), between(0.1, 0.9, 3, 4))
_NUMBERS: Pair = (labels(4, 3), shares(3, 4))
_COLUMN: Pair = (labels(4, 3, 1), shares(3, 4))
_IGNORED: tuple[Mapping[str, Any], ...] = ({}, {"ignore_class": 1}, {"ignore_class": 1, "from_logits": True})
_TWO_CLASSES: Pair = (given(np.array([0, 1, 0, 1, 0], np.int32)), real(5, 3))
_LONE: Pair = (given(np.array([0, 1, 0, 1, 2], np.int32)), real(5, 3))
_TEXT: Pair = (given(np.array([[1, 2, 1], [2, 2, 0], [3, 1, 0]], np.int32)), real(3, 7, 4))
_LOGITS: tuple[Mapping[str, Any], ...] = (
    {},
    {"from_logits": True},
    {"label_smoothing": 0.2},
    {"from_logits": True, "label_smoothing": 0.1},
)


def _of_mine(base: Any, y_true: Any, y_pred: Any, weight: Any, **options: Any) -> Any:
    """A class of a user's own."""
    import keras

    class Mine(base):  # type: ignore[misc]
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return keras.ops.sum(keras.ops.sin(y_true) * y_pred * y_pred, axis=-1)

    return Mine(**options)(y_true, y_pred, sample_weight=weight)


def _by_name(get: Any, y_true: Any, y_pred: Any) -> Any:
    return get("log_cosh")(y_true, y_pred)


def _config_of(loss: Any) -> Any:
    import keras

    return keras.losses.serialize(loss)


def _from_config(deserialize: Any, y_true: Any, y_pred: Any) -> Any:
    import keras

    return deserialize(_config_of(keras.losses.Huber(delta=0.7)))(y_true, y_pred)


def _to_config(serialize: Any, y_true: Any, y_pred: Any) -> Any:
    import keras

    return keras.losses.deserialize(serialize(keras.losses.Huber(delta=0.7)))(y_true, y_pred)


def _embedded(circle: Any, y_true: Any, y_pred: Any, **options: Any) -> Any:
    import keras

    return circle(y_true, keras.ops.normalize(y_pred), **options)


def _measured(circle: Callable[..., Any], y_true: Any, y_pred: Any, references: Any, **options: Any) -> Any:
    import keras

    normalize = keras.ops.normalize
    labels = np.array([0, 1, 2, 1], np.int32)
    return circle(y_true, normalize(y_pred), ref_labels=labels, ref_embeddings=normalize(references), **options)


def _circle_class(build: Any, y_true: Any, y_pred: Any, **options: Any) -> Any:
    return _embedded(build(**options), y_true, y_pred)


# Embeddings at which the clipping in the loss is not near: one group around each of three directions would be.
_CIRCLE: Mapping[str, Any] = MappingProxyType({"gamma": 2.0, "margin": 0.3})

OPERATIONS: tuple[Operation, ...] = (
    *_both("mean_squared_error", "MeanSquaredError", _REAL),
    *_both("mean_absolute_error", "MeanAbsoluteError", (between(0.0, 1.0, 3, 4), _shifted(positive(3, 4)))),
    *_both("mean_absolute_percentage_error", "MeanAbsolutePercentageError", (positive(3, 4), _shifted(positive(3, 4)))),
    *_both("mean_squared_logarithmic_error", "MeanSquaredLogarithmicError", (positive(3, 4), positive(3, 4))),
    *_both("log_cosh", "LogCosh", _REAL),
    *_both("huber", "Huber", (given(np.zeros((3, 4))), _hinged(3, 4)), {}, {"delta": 0.9}),
    *_both("cosine_similarity", "CosineSimilarity", (real(3, 4), real(3, 4)), {}, {"axis": 0}, samples=3),
    *_both("kl_divergence", "KLDivergence", _SHARES),
    *_both("poisson", "Poisson", (positive(3, 4), positive(3, 4))),
    *_both("hinge", "Hinge", (_signed(3, 4), _hinged(3, 4)), fixed=_LABELS),
    *_both("squared_hinge", "SquaredHinge", (_signed(3, 4), _hinged(3, 4)), fixed=_LABELS),
    *_both("categorical_hinge", "CategoricalHinge", (_onehot(3, 4), real(3, 4)), fixed=_LABELS),
    *_both("binary_crossentropy", "BinaryCrossentropy", _UNIT, *_LOGITS, {"axis": 0}),
    *_both(
        "binary_focal_crossentropy",
        "BinaryFocalCrossentropy",
        _BITS,
        *_LOGITS,
        {"apply_class_balancing": True, "alpha": 0.7, "gamma": 1.5},
        fixed=_LABELS,
    ),
    *_both("categorical_crossentropy", "CategoricalCrossentropy", _SHARES, *_LOGITS, {"axis": 0}),
    *_both("categorical_focal_crossentropy", "CategoricalFocalCrossentropy", _ONEHOT, *_LOGITS, {"gamma": 1.5, "alpha": 0.6}),
    *_both("categorical_generalized_cross_entropy", "CategoricalGeneralizedCrossEntropy", _NUMBERS, {"q": 0.5}, {"q": 0.8}),
    *_both(
        "sparse_categorical_crossentropy",
        "SparseCategoricalCrossentropy",
        _NUMBERS,
        {},
        {"from_logits": True},
        {"ignore_class": 1},
    ),
    # Labels in a column, as a file of labels has them.
    Operation("losses.sparse_categorical_crossentropy", (), more=tuple(at(*_COLUMN, **each) for each in _IGNORED)),
    Operation("losses.SparseCategoricalCrossentropy", (), more=tuple(at(*_COLUMN, call=_reduced, **each) for each in _IGNORED)),
    *_both("dice", "Dice", _BITS, {}, {"axis": 1}, {"axis": (0, 1)}),
    *_both("tversky", "Tversky", _BITS, {}, {"alpha": 0.3, "beta": 0.8}, {"axis": 1}),
    *_both("ctc", "CTC", _TEXT),
    Operation(
        "losses.circle",
        (
            at(*_TWO_CLASSES, call=_embedded, **_CIRCLE),
            at(*_LONE, call=_embedded, **_CIRCLE, label="one sample without a partner"),
            at(*_TWO_CLASSES, call=_embedded, gamma=2.0, margin=0.3, remove_diagonal=False),
            at(*_TWO_CLASSES, real(4, 3), call=_measured, **_CIRCLE, remove_diagonal=False, label="references"),
        ),
    ),
    Operation(
        "losses.Circle",
        tuple(
            at(*_TWO_CLASSES, call=_circle_class, **_CIRCLE, reduction=reduction)
            for reduction in ("sum_over_batch_size", "sum", "none")
        ),
    ),
    Operation(
        "losses.Loss",
        tuple(
            at(real(3, 4), real(3, 4), positive(3), call=_of_mine, reduction=reduction)
            for reduction in ("sum_over_batch_size", "mean_with_sample_weight", "sum", "none")
        ),
    ),
    Operation("losses.get", (at(*_REAL, call=_by_name, label="of a name"),)),
    Operation("losses.serialize", (at(*_REAL, call=_to_config, label="and back"),)),
    Operation("losses.deserialize", (at(*_REAL, call=_from_config, label="from a config"),)),
)
