"""What functions of `keras.ops` give, in float64, by NumPy, by SciPy and from formulas.

`keras.ops` has NumPy's functions under NumPy's names ("near-full NumPy API", https://keras.io/api/ops/numpy/), so these are
their own reference. What has none in NumPy has one from SciPy or from its definition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

from pytest_dlcheck.references import losses
from pytest_dlcheck.references.activations import ACTIVATIONS

__all__ = ["MIRRORS", "REFERENCES", "reference_of"]

Array = NDArray[Any]

MIRRORS = frozenset(
    [
        "abs",
        "absolute",
        "add",
        "all",
        "amax",
        "amin",
        "angle",
        "any",
        "append",
        "arange",
        "arccos",
        "arccosh",
        "arcsin",
        "arcsinh",
        "arctan",
        "arctan2",
        "arctanh",
        "argmax",
        "argmin",
        "argsort",
        "array",
        "array_split",
        "average",
        "bartlett",
        "bitwise_and",
        "bitwise_invert",
        "bitwise_left_shift",
        "bitwise_not",
        "bitwise_or",
        "bitwise_right_shift",
        "bitwise_xor",
        "blackman",
        "broadcast_to",
        "cbrt",
        "ceil",
        "concatenate",
        "conj",
        "conjugate",
        "copy",
        "corrcoef",
        "correlate",
        "cos",
        "cosh",
        "count_nonzero",
        "cross",
        "cumprod",
        "cumsum",
        "deg2rad",
        "diag",
        "diagflat",
        "diagonal",
        "diff",
        "digitize",
        "divide",
        "dot",
        "dsplit",
        "equal",
        "exp",
        "exp2",
        "expand_dims",
        "expm1",
        "eye",
        "fabs",
        "flip",
        "fliplr",
        "flipud",
        "floor",
        "floor_divide",
        "fmax",
        "fmin",
        "fmod",
        "full",
        "full_like",
        "gcd",
        "geomspace",
        "greater",
        "greater_equal",
        "hamming",
        "hanning",
        "heaviside",
        "histogram",
        "hsplit",
        "hypot",
        "i0",
        "identity",
        "imag",
        "inner",
        "isclose",
        "isfinite",
        "isin",
        "isinf",
        "isnan",
        "isneginf",
        "isposinf",
        "isreal",
        "kaiser",
        "kron",
        "lcm",
        "ldexp",
        "left_shift",
        "less",
        "less_equal",
        "linspace",
        "log",
        "log10",
        "log1p",
        "log2",
        "logaddexp",
        "logaddexp2",
        "logical_and",
        "logical_not",
        "logical_or",
        "logical_xor",
        "logspace",
        "matmul",
        "max",
        "maximum",
        "mean",
        "median",
        "meshgrid",
        "min",
        "minimum",
        "mod",
        "moveaxis",
        "multiply",
        "nan_to_num",
        "nanargmax",
        "nanargmin",
        "nancumprod",
        "nancumsum",
        "nanmax",
        "nanmean",
        "nanmedian",
        "nanmin",
        "nanpercentile",
        "nanprod",
        "nanquantile",
        "nanstd",
        "nansum",
        "nanvar",
        "ndim",
        "negative",
        "nonzero",
        "not_equal",
        "ones",
        "ones_like",
        "outer",
        "pad",
        "percentile",
        "power",
        "prod",
        "ptp",
        "quantile",
        "rad2deg",
        "ravel",
        "real",
        "reciprocal",
        "repeat",
        "reshape",
        "right_shift",
        "roll",
        "rot90",
        "round",
        "searchsorted",
        "select",
        "shape",
        "sign",
        "signbit",
        "sin",
        "sinc",
        "sinh",
        "size",
        "sort",
        "split",
        "sqrt",
        "square",
        "squeeze",
        "stack",
        "std",
        "subtract",
        "sum",
        "swapaxes",
        "take",
        "take_along_axis",
        "tan",
        "tanh",
        "tensordot",
        "tile",
        "trace",
        "transpose",
        "trapezoid",
        "tri",
        "tril",
        "triu",
        "true_divide",
        "trunc",
        "unravel_index",
        "vander",
        "var",
        "vdot",
        "vstack",
        "hstack",
        "dstack",
        "where",
        "zeros",
        "zeros_like",
        "allclose",
    ]
)
"""Functions of `keras.ops` that do what NumPy's function of the same name does, with the same arguments."""


def _numpy(name: str) -> Callable[..., Any]:
    # Names that NumPy 2 has and NumPy 1 has under another, or not at all.
    older = {"trapezoid": "trapz", "bitwise_invert": "invert", "bitwise_left_shift": "left_shift"}
    older["bitwise_right_shift"] = "right_shift"
    found: Callable[..., Any] = getattr(np, name, None) or getattr(np, older.get(name, name))
    return found


def _reshape(x: Array, newshape: Sequence[int]) -> Array:
    return np.reshape(x, newshape)


def _clip(x: Array, x_min: float, x_max: float) -> Array:
    return np.clip(x, x_min, x_max)


def _divide_no_nan(x: Array, y: Array) -> Array:
    """x / y, and 0 where y is 0."""
    x, y = np.broadcast_arrays(x, y)
    return np.asarray(np.divide(x, np.where(y == 0, 1, y)) * (y != 0))


def _top_k(x: Array, k: int, sorted: bool = True) -> tuple[Array, Array]:  # noqa: A002 - Keras's name
    if not sorted:
        raise NotImplementedError("in which order they come is not documented")
    order = np.argsort(-x, axis=-1, kind="stable")[..., :k]
    return np.take_along_axis(x, order, axis=-1), order


def _in_top_k(targets: Array, predictions: Array, k: int) -> Array:
    own = np.take_along_axis(predictions, targets[:, None].astype(int), axis=-1)
    return np.asarray(np.sum(predictions > own, axis=-1) < k)


def _segments(reduce: Callable[[Array, int], Array], empty: float) -> Callable[..., Array]:
    def run(data: Array, segment_ids: Array, num_segments: int | None = None, sorted: bool = False) -> Array:  # noqa: A002
        del sorted  # a promise, that changes nothing
        count = int(num_segments if num_segments is not None else segment_ids.max() + 1)
        found = [data[segment_ids == segment] for segment in range(count)]
        shape = data.shape[1:]
        return np.stack([reduce(each, 0) if len(each) else np.full(shape, empty) for each in found])

    return run


def _moments(x: Array, axes: Sequence[int], keepdims: bool = False) -> tuple[Array, Array]:
    return np.mean(x, axis=tuple(axes), keepdims=keepdims), np.var(x, axis=tuple(axes), keepdims=keepdims)


def _one_hot(x: Array, num_classes: int, axis: int = -1) -> Array:
    return np.moveaxis(np.asarray(np.eye(num_classes)[x]), -1, axis)


def _multi_hot(x: Array, num_classes: int) -> Array:
    return np.asarray(np.max(np.eye(num_classes)[x], axis=-2))


def _logsumexp(x: Array, axis: Any = None, keepdims: bool = False) -> Any:
    return special.logsumexp(x, axis=axis, keepdims=keepdims)


def _cdist(x: Array, y: Array) -> Array:
    return np.asarray(np.linalg.norm(x[..., :, None, :] - y[..., None, :, :], axis=-1))


def _normalize(x: Array, axis: int = -1, order: int = 2, epsilon: float | None = None) -> Array:
    del epsilon  # of vectors near zero, of which none is drawn
    return np.asarray(x / np.linalg.norm(x, ord=order, axis=axis, keepdims=True))


def _rfft(x: Array, fft_length: int | None = None) -> tuple[Array, Array]:
    found = np.fft.rfft(x, n=fft_length)
    return found.real, found.imag


def _pair(function: Callable[..., Array]) -> Callable[..., tuple[Array, Array]]:
    """Of a complex array as a pair."""

    def run(pair: Any, **options: Any) -> tuple[Array, Array]:
        found = function(np.asarray(pair[0]) + 1j * np.asarray(pair[1]), **options)
        return found.real, found.imag

    return run


def _irfft(pair: Any, fft_length: int | None = None) -> Array:
    # What a real signal cannot have, an imaginary part of the first and the last, is left out.
    return np.fft.irfft(np.asarray(pair[0]) + 1j * np.asarray(pair[1]), n=fft_length)


def _batch_normalization(
    x: Array, mean: Array, variance: Array, axis: int, *, offset: Any = None, scale: Any = None, epsilon: float = 1e-3
) -> Array:
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    mean, variance = np.reshape(mean, shape), np.reshape(variance, shape)
    found = (x - mean) / np.sqrt(variance + epsilon)
    found = found * np.reshape(scale, shape) if scale is not None else found
    return np.asarray(found + np.reshape(offset, shape) if offset is not None else found)


def _rms_normalization(x: Array, scale: Any = 1, axis: Any = -1, epsilon: float | None = None) -> Array:
    found = x / np.sqrt(np.mean(np.square(x), axis=axis, keepdims=True) + (1e-7 if epsilon is None else epsilon))
    return np.asarray(found * scale)


def _psnr(x1: Array, x2: Array, max_val: float) -> Any:
    return 20 * np.log10(max_val) - 10 * np.log10(np.mean(np.square(x1 - x2)))


def _norm(x: Array, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:  # noqa: A002 - NumPy's name
    if ord is None and axis is None:
        return np.linalg.norm(np.ravel(x)).reshape((1,) * x.ndim if keepdims else ())
    return np.linalg.norm(x, ord=ord, axis=axis, keepdims=keepdims)


def _map_coordinates(
    inputs: Array, coordinates: Any, order: int, fill_mode: str = "constant", fill_value: float = 0.0
) -> Array:
    """As SciPy's of the same name, whose `grid-wrap` and `reflect` are what is called `wrap` and `reflect` here."""
    from scipy import ndimage

    mode = {"wrap": "grid-wrap", "reflect": "reflect"}.get(fill_mode, fill_mode)
    wanted = np.asarray(
        ndimage.map_coordinates(
            np.asarray(inputs, np.float64), np.asarray(coordinates), order=order, mode=mode, cval=fill_value
        )
    )
    # Whole numbers are rounded.
    return np.round(wanted) if np.asarray(inputs).dtype.kind in "iu" else wanted


def _solve_triangular(a: Array, b: Array, lower: bool = False) -> Array:
    return np.asarray(linalg.solve_triangular(a, b, lower=lower))


def _lstsq(a: Array, b: Array) -> Array:
    return np.asarray(np.linalg.lstsq(a, b, rcond=None)[0])


def _cast(x: Array, dtype: str) -> Array:
    return np.asarray(x).astype(dtype)


def _scatter(indices: Array, values: Array, shape: Sequence[int]) -> Array:
    found = np.zeros(tuple(shape))
    np.add.at(found, tuple(np.moveaxis(indices, -1, 0)), values)
    return found


def _scatter_update(inputs: Array, indices: Array, updates: Array, reduction: str | None = None) -> Array:
    found, places = np.array(inputs), tuple(np.moveaxis(indices, -1, 0))
    if reduction is None:
        found[places] = updates
        return found
    how = {"add": np.add, "max": np.maximum, "min": np.minimum, "mul": np.multiply}[reduction]
    how.at(found, places, updates)
    return found


def _extract_sequences(x: Array, sequence_length: int, sequence_stride: int) -> Array:
    starts = range(0, x.shape[-1] - sequence_length + 1, sequence_stride)
    return np.stack([x[..., start : start + sequence_length] for start in starts], axis=-2)


def _get_item(x: Array, key: Any) -> Array:
    return np.asarray(x[key])


def _slice(x: Array, start: Any, shape: Sequence[int]) -> Array:
    return np.asarray(x[tuple(slice(int(at), int(at) + size) for at, size in zip(start, shape, strict=True))])


def _unstack(x: Array, num: int | None = None, axis: int = 0) -> list[Array]:
    del num
    return [np.asarray(each) for each in np.moveaxis(x, axis, 0)]


def _adaptive(reduce: Callable[..., Array]) -> Callable[..., Array]:
    from pytest_dlcheck.references.layers.pooling import adaptive_windows

    def run(x: Array, output_size: Any, data_format: str = "channels_last") -> Array:
        first = data_format == "channels_first"
        x = np.moveaxis(x, 1, -1) if first else x
        rank = x.ndim - 2
        sizes = (output_size,) * rank if isinstance(output_size, int) else output_size
        for axis, count in enumerate(sizes, 1):
            parts = [
                reduce(x[(slice(None),) * axis + (window,)], axis=axis) for window in adaptive_windows(x.shape[axis], count)
            ]
            x = np.stack(parts, axis=axis)
        return np.moveaxis(x, -1, 1) if first else x

    return run


def _binary_crossentropy(target: Array, output: Array, from_logits: bool = False) -> Array:
    p = special.expit(output) if from_logits else output
    return np.asarray(-target * np.log(p) - (1 - target) * np.log1p(-p))


def _categorical_crossentropy(target: Array, output: Array, from_logits: bool = False, axis: int = -1) -> Array:
    """-sum t log p, of probabilities after they were divided by their sum."""
    logs = special.log_softmax(output, axis=axis) if from_logits else np.log(output / np.sum(output, axis=axis, keepdims=True))
    return np.asarray(-np.sum(target * logs, axis=axis))


def _sparse_categorical_crossentropy(target: Array, output: Array, from_logits: bool = False, axis: int = -1) -> Array:
    classes = np.moveaxis(np.eye(output.shape[axis])[target.astype(int)], -1, axis)
    return _categorical_crossentropy(classes, output, from_logits, axis)


def _activation(name: str) -> Callable[..., Array]:
    return lambda x, **options: np.asarray(ACTIVATIONS[name](x, **options))


def _glu(x: Array, axis: int = -1) -> Array:
    one, other = np.split(x, 2, axis=axis)
    return np.asarray(one * special.expit(other))


def _threshold(x: Array, threshold: float, default_value: float) -> Array:
    return np.where(x > threshold, x, default_value)


def _gelu(x: Array, approximate: bool = True) -> Array:
    """`keras.ops.gelu` approximates unless it is told not to, `keras.activations.gelu` only if it is."""
    return np.asarray(ACTIVATIONS["gelu"](x, approximate=approximate))


_OF_ACTIVATIONS = [
    "celu",
    "elu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "squareplus",
    "swish",
    "tanh_shrink",
]

REFERENCES: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        **{f"ops.{name}": _numpy(name) for name in MIRRORS},
        **{f"ops.{name}": _activation({"hard_swish": "hard_silu"}.get(name, name)) for name in _OF_ACTIVATIONS},
        "ops.adaptive_average_pool": _adaptive(np.mean),
        "ops.adaptive_max_pool": _adaptive(np.max),
        "ops.batch_normalization": _batch_normalization,
        "ops.binary_crossentropy": _binary_crossentropy,
        "ops.bincount": lambda x, weights=None, minlength=0: np.bincount(x, weights=weights, minlength=minlength),
        "ops.cast": _cast,
        "ops.categorical_crossentropy": _categorical_crossentropy,
        "ops.cdist": _cdist,
        "ops.cholesky": lambda x, upper=False: np.swapaxes(np.linalg.cholesky(x), -1, -2) if upper else np.linalg.cholesky(x),
        "ops.clip": _clip,
        "ops.convert_to_numpy": np.asarray,
        "ops.convert_to_tensor": np.asarray,
        "ops.det": np.linalg.det,
        "ops.divide_no_nan": _divide_no_nan,
        "ops.einsum": np.einsum,
        "ops.erf": special.erf,
        "ops.erfc": special.erfc,
        "ops.erfinv": special.erfinv,
        "ops.extract_sequences": _extract_sequences,
        "ops.fft": _pair(np.fft.fft),
        "ops.fft2": _pair(np.fft.fft2),
        "activations.gelu": _activation("gelu"),
        **{f"losses.{name}": function for name, function in {**losses.FUNCTIONS, **losses.CLASSES}.items()},
        "ops.gelu": _gelu,
        "ops.get_item": _get_item,
        "ops.glu": _glu,
        "ops.ifft2": _pair(np.fft.ifft2),
        "ops.image.map_coordinates": _map_coordinates,
        "ops.in_top_k": _in_top_k,
        "ops.inv": np.linalg.inv,
        "ops.irfft": _irfft,
        "ops.logdet": lambda x: np.linalg.slogdet(x)[1],
        "ops.logsumexp": _logsumexp,
        "ops.lstsq": _lstsq,
        "ops.matrix_rank": np.linalg.matrix_rank,
        "ops.moments": _moments,
        "ops.multi_hot": _multi_hot,
        "ops.norm": _norm,
        "ops.normalize": _normalize,
        "ops.one_hot": _one_hot,
        "ops.pinv": np.linalg.pinv,
        "ops.psnr": _psnr,
        "ops.reshape": _reshape,
        "ops.rfft": _rfft,
        "ops.rms_normalization": _rms_normalization,
        "ops.rsqrt": lambda x: 1 / np.sqrt(x),
        "ops.scatter": _scatter,
        "ops.scatter_update": _scatter_update,
        "ops.segment_max": _segments(np.max, -np.inf),
        "ops.segment_min": _segments(np.min, np.inf),
        "ops.segment_prod": _segments(np.prod, 1.0),
        "ops.segment_sum": _segments(np.sum, 0.0),
        "ops.slice": _slice,
        "ops.slogdet": lambda x: tuple(np.linalg.slogdet(x)),
        "ops.solve": lambda a, b: np.linalg.solve(a, b[..., None])[..., 0] if b.ndim == 1 else np.linalg.solve(a, b),
        "ops.solve_triangular": _solve_triangular,
        "ops.sparse_categorical_crossentropy": _sparse_categorical_crossentropy,
        "ops.stop_gradient": np.asarray,
        "ops.threshold": _threshold,
        "ops.top_k": _top_k,
        "ops.unstack": _unstack,
        "ops.view_as_real": lambda x: np.stack([x.real, x.imag], axis=-1),
    }
)
"""By name below `keras`; what each takes is what Keras's function does."""


def reference_of(name: str) -> Callable[..., Any] | None:
    """Of a function by its name below `keras`, `activations.gelu` by that of `ops.gelu`; None where there is none."""
    module, _, last = name.rpartition(".")
    return REFERENCES.get(name) or (REFERENCES.get(f"ops.{last}") if module == "activations" else None)
