"""Functions along an axis: sums, convolutions, normalizations."""

from __future__ import annotations

from typing import Any

from formulas.base import Function, normal, softmax

__all__ = ["CONV", "CUMSUM", "LAYER_NORM", "LOG_SUM_EXP", "MEAN", "NORM", "SOFTMAX", "VARIANCE"]

PADDED = 1


def _padded(xp: Any, x: Any) -> Any:
    edge = 0.0 * x[:PADDED]
    return xp.concatenate([edge, x, edge], axis=0)


def _conv_value(xp: Any, x: Any, w: Any) -> Any:
    wide, length = _padded(xp, x), x.shape[0]
    return sum(w[k] * wide[k : k + length] for k in range(w.shape[0]))


def _conv(
    xp: Any, v: Any, x: Any, w: Any, *, flip: bool = True, edge: bool = True, padding: bool = True, stop: bool = False
) -> Any:
    length, width = x.shape[0], w.shape[0]
    x_inside, w_inside = (xp.stop_gradient(x), w) if stop else (x, w)
    wide_v = _padded(xp, v)
    by_x = sum((w_inside[width - 1 - k] if flip else w_inside[k]) * wide_v[k : k + length] for k in range(width))
    if not edge:
        by_x = xp.concatenate([by_x[:-1], 0.0 * by_x[-1:]], axis=0)
    # Without the padding the outermost taps see one position less: their sums lose the entry next to the edge.
    wide_x = _padded(xp, x_inside)
    by_w = []
    for k in range(width):
        seen = v * wide_x[k : k + length]
        by_w.append(xp.sum(seen if padding else seen[1:-1]))
    return [by_x, xp.stack(by_w)]


CONV = Function("convolution", ("x", "w"), normal((6,), (3,)), _conv_value, _conv)


def _cumsum(xp: Any, v: Any, x: Any, *, reverse: bool = True, inclusive: bool = True) -> Any:
    if not reverse:
        return [xp.cumsum(v, axis=0)]
    found = xp.flip(xp.cumsum(xp.flip(v, axis=0), axis=0), axis=0)
    return [found if inclusive else found - v]


CUMSUM = Function("cumulative sum", ("x",), normal((5, 2)), lambda xp, x: xp.cumsum(x, axis=0), _cumsum)


def _mean(xp: Any, v: Any, x: Any, *, by_count: bool = True, edge: bool = True) -> Any:
    found = xp.expand_dims(v, 1) + 0.0 * x
    found = found / x.shape[1] if by_count else found
    return [found if edge else xp.concatenate([found[:, :-1], 0.0 * found[:, -1:]], axis=1)]


MEAN = Function("mean", ("x",), normal((3, 4)), lambda xp, x: xp.mean(x, axis=1), _mean)


def _variance_value(xp: Any, x: Any) -> Any:
    centered = x - xp.mean(x, axis=1, keepdims=True)
    return xp.mean(centered * centered, axis=1)


def _variance(xp: Any, v: Any, x: Any, *, stop: bool = False, unbiased: bool = False, factor: float = 2.0) -> Any:
    # The mean's own gradient is zero here, so that one may stop it: of first order. The second order then is wrong.
    mean = xp.mean(x, axis=1, keepdims=True)
    centered = x - (xp.stop_gradient(mean) if stop else mean)
    return [factor * xp.expand_dims(v, 1) * centered / (x.shape[1] - (1 if unbiased else 0))]


VARIANCE = Function("variance", ("x",), normal((2, 5)), _variance_value, _variance)

EPSILON = 1e-3


def _standardized(xp: Any, x: Any) -> tuple[Any, Any]:
    centered = x - xp.mean(x, axis=1, keepdims=True)
    scale = xp.sqrt(xp.mean(centered * centered, axis=1, keepdims=True) + EPSILON)
    return centered / scale, scale


def _layer_norm_value(xp: Any, x: Any, gamma: Any, beta: Any) -> Any:
    return _standardized(xp, x)[0] * gamma + beta


def _layer_norm(
    xp: Any,
    v: Any,
    x: Any,
    gamma: Any,
    beta: Any,
    *,
    mean: bool = True,
    spread: bool = True,
    sums: bool = True,
    stop: bool = False,
) -> Any:
    z, scale = _standardized(xp, x)
    scale = xp.stop_gradient(scale) if stop else scale
    inner = v * gamma
    by_x = inner
    if mean:
        by_x = by_x - xp.mean(inner, axis=1, keepdims=True)
    if spread:
        by_x = by_x - z * xp.mean(inner * z, axis=1, keepdims=True)
    return [by_x / scale, xp.sum(v * z, axis=0) if sums else (v * z)[0], xp.sum(v, axis=0)]


LAYER_NORM = Function(
    "layer normalization",
    ("x", "gamma", "beta"),
    lambda rng: [rng.standard_normal((4, 5)), 1 + 0.3 * rng.standard_normal(5), rng.standard_normal(5)],
    _layer_norm_value,
    _layer_norm,
)


def _norm(xp: Any, v: Any, x: Any, *, stop: bool = False, squared: bool = False) -> Any:
    size = xp.sqrt(xp.sum(x * x, axis=1, keepdims=True))
    size = xp.stop_gradient(size) if stop else size
    return [xp.expand_dims(v, 1) * x / (size * size if squared else size)]


NORM = Function("l2 norm", ("x",), normal((3, 4)), lambda xp, x: xp.sqrt(xp.sum(x * x, axis=1)), _norm)


def _softmax(xp: Any, v: Any, x: Any, *, coupling: bool = True, axis: int = -1, stop: bool = False) -> Any:
    s = softmax(xp, x)
    if not coupling:
        return [v * s * (1.0 - s)]  # the diagonal alone
    total = xp.sum(v * s, axis=axis, keepdims=True)
    return [s * (v - (xp.stop_gradient(total) if stop else total))]


def _softmax_forward(xp: Any, us: Any, x: Any, *, coupling: bool = True) -> Any:
    s = softmax(xp, x)
    return s * (us[0] - (xp.sum(us[0] * s, axis=-1, keepdims=True) if coupling else 0.0 * s))


SOFTMAX = Function("softmax", ("x",), normal((4, 4)), softmax, _softmax, _softmax_forward)


def _log_sum_exp(xp: Any, v: Any, x: Any, *, stop: bool = False, normalized: bool = True) -> Any:
    s = softmax(xp, x) if normalized else xp.exp(x)
    return [xp.expand_dims(v, 1) * (xp.stop_gradient(s) if stop else s)]


LOG_SUM_EXP = Function("log-sum-exp", ("x",), normal((3, 4)), lambda xp, x: xp.log(xp.sum(xp.exp(x), axis=1)), _log_sum_exp)
