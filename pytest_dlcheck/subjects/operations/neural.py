"""Convolutions, poolings, normalizations, attention and the losses of `keras.ops`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pytest_dlcheck.subjects.operations.record import (
    Maker,
    Operation,
    Variant,
    at,
    away,
    below,
    between,
    distinct,
    given,
    positive,
    real,
    whole,
)

__all__ = ["OPERATIONS", "labels", "shares"]


def shares(*shape: int) -> Maker:
    """Probabilities: positive, of sum 1 along the last axis, none near 0 or 1."""

    def make(rng: np.random.Generator) -> Any:
        weights = rng.uniform(0.5, 2.0, size=shape)
        return weights / weights.sum(axis=-1, keepdims=True)

    return make


def _shares_of_axis_1(*shape: int) -> Maker:
    """As `shares`, with the last two axes exchanged: a fused gradient holds only of probabilities along the axis."""
    return lambda rng: np.swapaxes(shares(*shape)(rng), 1, 2)


def labels(classes: int, *shape: int) -> Maker:
    """Class numbers."""
    return whole(classes, *shape)


def _onehot(rows: int, classes: int) -> Maker:
    return lambda rng: np.eye(classes)[rng.integers(classes, size=rows)]


_FIRST: Mapping[str, Any] = {"data_format": "channels_first"}

_CONVOLUTIONS: tuple[Variant, ...] = (
    at(real(2, 5, 4, 2), real(3, 2, 2, 3), padding="same"),
    at(real(2, 5, 4, 2), real(3, 2, 2, 3), strides=(2, 1)),
    at(real(2, 5, 4, 2), real(3, 2, 2, 3), strides=2, padding="same"),
    at(real(1, 6, 5, 2), real(2, 2, 2, 3), dilation_rate=(2, 3)),
    at(real(1, 6, 6, 2), real(2, 2, 2, 3), dilation_rate=2, padding="same"),
    at(real(1, 5, 5, 4), real(2, 2, 2, 6), label="2 groups"),
    at(real(2, 7, 2), real(3, 2, 3), padding="same", strides=2, label="1D"),
    at(real(2, 7, 2), real(3, 2, 3), dilation_rate=2, label="1D"),
    at(real(1, 3, 4, 3, 2), real(2, 2, 2, 2, 2), padding="same", label="3D"),
    at(real(1, 2, 5, 4), real(3, 2, 2, 3), padding="same", **_FIRST),
    at(real(1, 2, 5, 4), real(3, 2, 2, 3), strides=2, **_FIRST),
)

_TRANSPOSED: tuple[Variant, ...] = (
    at(real(2, 3, 4, 2), real(3, 2, 3, 2), strides=2, padding="same"),
    at(real(2, 3, 4, 2), real(3, 2, 3, 2)),
    at(real(2, 3, 4, 2), real(3, 3, 3, 2), strides=2, padding="valid", output_padding=1),
    at(real(1, 3, 4, 2), real(2, 2, 3, 2), dilation_rate=2),
    at(real(2, 4, 2), real(3, 3, 2), strides=3, padding="same", label="1D"),
    at(real(1, 2, 3, 2, 2), real(2, 2, 2, 3, 2), strides=2, label="3D"),
    at(real(1, 2, 3, 4), real(3, 2, 3, 2), strides=2, padding="same", **_FIRST),
)

_DEPTHWISE: tuple[Variant, ...] = (
    at(real(2, 5, 4, 2), real(3, 2, 2, 2), padding="same"),
    at(real(2, 5, 4, 2), real(3, 2, 2, 1), strides=2),
    at(real(1, 6, 6, 2), real(2, 2, 2, 2), dilation_rate=2),
    at(real(2, 7, 2), real(3, 2, 2), padding="same", strides=2, label="1D"),
    at(real(1, 2, 5, 4), real(3, 2, 2, 2), padding="same", **_FIRST),
)

_SEPARABLE: tuple[Variant, ...] = (
    at(real(1, 5, 4, 2), real(3, 2, 2, 2), real(1, 1, 4, 3), padding="same"),
    at(real(1, 5, 4, 2), real(3, 2, 2, 1), real(1, 1, 2, 3), strides=2),
    at(real(1, 6, 6, 2), real(2, 2, 2, 2), real(1, 1, 4, 3), dilation_rate=2),
    at(real(2, 7, 2), real(3, 2, 2), real(1, 4, 3), padding="same", label="1D"),
    at(real(1, 2, 5, 4), real(3, 2, 2, 2), real(1, 1, 4, 3), padding="same", **_FIRST),
)


def _pooled(make: Any) -> tuple[Variant, ...]:
    return (
        at(make(2, 5, 4, 2), pool_size=(3, 2), padding="same", strides=2),
        at(make(2, 5, 4, 2), pool_size=2),
        at(make(2, 5, 4, 2), pool_size=(2, 3), strides=(1, 2)),
        at(make(2, 5, 4, 2), pool_size=3, strides=1, padding="same"),
        at(make(2, 7, 2), pool_size=3, strides=2, padding="same", label="1D"),
        at(make(1, 4, 3, 5, 1), pool_size=2, padding="same", label="3D"),
        at(make(1, 2, 5, 4), pool_size=2, strides=1, **_FIRST),
    )


def _adaptive(make: Any) -> tuple[Variant, ...]:
    return (
        at(make(2, 5, 4, 2), output_size=(3, 2)),
        at(make(2, 7, 2), output_size=3, label="1D"),
        at(make(1, 4, 3, 5, 1), output_size=2, label="3D"),
        at(make(1, 2, 5, 4), output_size=(2, 3), **_FIRST),
    )


_ROWS = (2, 3, 2, 4)


def _attention() -> tuple[Variant, ...]:
    """Of batch, length, heads and size of a head."""
    three = (real(*_ROWS), real(2, 5, 2, 4), real(2, 5, 2, 4))
    square = (real(*_ROWS), real(*_ROWS), real(*_ROWS))
    return (
        at(*three),
        at(*three, real(2, 2, 3, 5), call=_biased, label="bias"),
        at(*three, given(np.tri(3, 5, dtype=bool)[None, None]), call=_masked, label="mask"),
        at(*square, is_causal=True),
        at(*three, scale=0.3),
        at(*three, flash_attention=False),
        at(real(*_ROWS), real(2, 5, 1, 4), real(2, 5, 1, 4), label="one head of keys"),
        at(*three, attn_logits_soft_cap=2.0),
    )


def _biased(attend: Any, query: Any, key: Any, value: Any, bias: Any) -> Any:
    return attend(query, key, value, bias=bias)


def _masked(attend: Any, query: Any, key: Any, value: Any, mask: Any) -> Any:
    return attend(query, key, value, mask=mask)


def _normalized(normalize: Any, *xs: Any, **options: Any) -> Any:
    x, mean, variance, offset, scale = xs
    return normalize(x, mean, variance, offset=offset, scale=scale, **options)


def _scaled(normalize: Any, x: Any, gamma: Any, beta: Any, **options: Any) -> Any:
    return normalize(x, gamma=gamma, beta=beta, **options)


def _aligned(ctc: Any, target: Any, output: Any, target_length: Any, output_length: Any, **options: Any) -> Any:
    return ctc(target, output, target_length, output_length, **options)


_CTC = (
    given(np.array([[1, 2, 1], [2, 2, 0]], np.int32)),
    real(2, 6, 4),
    given(np.array([3, 2], np.int32)),
    given(np.array([6, 5], np.int32)),
)
_LOGITS: tuple[Mapping[str, Any], ...] = (
    {"from_logits": True},
    {"from_logits": False},
)

OPERATIONS: tuple[Operation, ...] = (
    below("conv", *_CONVOLUTIONS),
    below("conv_transpose", *_TRANSPOSED),
    below("depthwise_conv", *_DEPTHWISE),
    below("separable_conv", *_SEPARABLE),
    below("average_pool", *_pooled(real)),
    below("max_pool", *_pooled(distinct)),
    below("adaptive_average_pool", *_adaptive(real)),
    below("adaptive_max_pool", *_adaptive(distinct)),
    below(
        "unfold", at(real(1, 2, 4, 5), kernel_size=2), at(real(1, 2, 5, 5), kernel_size=(2, 3), stride=2, padding=1, dilation=1)
    ),
    below("unfold", at(real(1, 2, 6, 6), kernel_size=2, dilation=2)),
    below(
        "fold", at(real(1, 8, 12), output_size=(4, 5), kernel_size=2), at(real(1, 8, 9), output_size=6, kernel_size=2, stride=2)
    ),
    below("depth_to_space", at(real(1, 2, 3, 8), block_size=2), at(real(1, 8, 2, 3), block_size=2, **_FIRST)),
    below("space_to_depth", at(real(1, 4, 6, 2), block_size=2), at(real(1, 2, 4, 6), block_size=2, **_FIRST)),
    below(
        "batch_normalization",
        at(real(2, 3, 4), real(4), positive(4), real(4), away(4), axis=-1, call=_normalized, label="offset and scale"),
        at(real(2, 3, 4), real(4), positive(4), axis=-1),
        at(
            real(2, 3, 4),
            real(3),
            positive(3),
            real(3),
            away(3),
            axis=1,
            epsilon=0.1,
            call=_normalized,
            label="offset and scale",
        ),
    ),
    below(
        "layer_normalization",
        at(real(2, 3, 4), away(4), real(4), call=_scaled, label="gamma and beta"),
        at(real(2, 3, 4)),
        at(real(2, 3, 4), axis=1, epsilon=0.1),
        at(real(2, 3, 4), away(3, 4), real(3, 4), axis=(1, 2), call=_scaled, label="gamma and beta"),
    ),
    below("rms_normalization", at(real(2, 3, 4), away(4), epsilon=1e-3), at(real(2, 3, 4)), at(real(2, 3, 4), axis=1)),
    below("dot_product_attention", *_attention()),
    below("psnr", at(between(0.0, 1.0, 2, 3), between(0.0, 1.0, 2, 3), max_val=1.0)),
    below(
        "binary_crossentropy",
        *(at(between(0.1, 0.9, 2, 3), between(0.1, 0.9, 2, 3), **options) for options in _LOGITS),
    ),
    below(
        "categorical_crossentropy",
        *(at(shares(2, 4), shares(2, 4), **options) for options in _LOGITS),
        at(_shares_of_axis_1(2, 4, 3), real(2, 3, 4), from_logits=True, axis=1),
        at(_onehot(3, 4), real(3, 4), from_logits=True, label="one-hot"),
    ),
    below(
        "sparse_categorical_crossentropy",
        *(at(labels(4, 3), shares(3, 4), **options) for options in _LOGITS),
        at(labels(3, 2, 4), real(2, 3, 4), from_logits=True, axis=1),
    ),
    below("ctc_loss", at(*_CTC, call=_aligned), at(*_CTC, call=_aligned, mask_index=3)),
    below(
        "ctc_decode",
        *(
            at(
                real(2, 6, 4),
                given(np.array([6, 5], np.int32)),
                call=lambda decode, *xs, **options: decode(*xs, **options)[0],
                **options,
            )
            for options in ({"strategy": "greedy"}, {"strategy": "beam_search", "beam_width": 4})
        ),
        why="gives class numbers",
    ),
)
