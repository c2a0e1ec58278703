"""Products and decompositions of matrices, spectra and windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_dlcheck.subjects.operations.record import (
    Operation,
    at,
    away,
    below,
    definite,
    parts,
    real,
    regular,
    symmetric,
)

__all__ = ["OPERATIONS"]


def _of_symmetric(function: Callable[..., Any], x: Any, **options: Any) -> Any:
    """Of a symmetric matrix it is the same whether a function reads one triangle or both."""
    import keras

    axes = (*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2)
    return function((x + keras.ops.transpose(x, axes)) / 2, **options)


def _without_signs(function: Callable[..., Any], x: Any, **options: Any) -> Any:
    """Eigenvalues, and eigenvectors up to their signs, which each framework chooses for itself."""
    import keras

    values, vectors = _of_symmetric(function, x, **options)
    return values, keras.ops.square(vectors)


def _of_general(function: Callable[..., Any], x: Any) -> Any:
    return parts(function(x)[0])


def _svd(function: Callable[..., Any], x: Any, **options: Any) -> Any:
    import keras

    if not options.get("compute_uv", True):
        return function(x, **options)
    left, values, right = function(x, **options)
    return keras.ops.square(left), values, keras.ops.square(right)


def _qr(function: Callable[..., Any], x: Any, **options: Any) -> Any:
    import keras

    # Their signs are free as well.
    return tuple(keras.ops.square(each) for each in function(x, **options))


def _lu(function: Callable[..., Any], x: Any) -> Any:
    return function(x)[0]


def _complex(function: Callable[..., Any], re: Any, im: Any, **options: Any) -> Any:
    return function((re, im), **options)


def _lower(function: Callable[..., Any], a: Any, b: Any, **options: Any) -> Any:
    import keras

    triangle = keras.ops.tril if options.get("lower") else keras.ops.triu
    return function(triangle(a), b, **options)


def _factor(function: Callable[..., Any], x: Any, **options: Any) -> Any:
    import keras

    factor = keras.ops.cholesky(_of_symmetric(lambda each: each, x))
    return function(keras.ops.transpose(factor) if options.get("upper") else factor, **options)


_FRAMES: Mapping[str, Any] = {"sequence_length": 4, "sequence_stride": 2, "fft_length": 8}

OPERATIONS: tuple[Operation, ...] = (
    # Products.
    below(
        "matmul",
        at(real(2, 3, 4), real(4, 2)),
        at(real(4), real(4)),
        at(real(2, 1, 2, 3), real(4, 3, 2)),
        at(real(3), real(3, 2)),
    ),
    below("dot", at(real(2, 3), real(3, 4)), at(real(3), real(3)), at(real(2, 3), real()), at(real(2, 3, 4), real(2, 4, 3))),
    below("vdot", at(real(4), real(4)), at(real(2, 3), real(2, 3), label="matrices")),
    below("inner", at(real(2, 3), real(4, 3)), at(real(3), real(3))),
    below("outer", at(real(3), real(4)), at(real(2, 2), real(3))),
    below("kron", at(real(2, 3), real(2, 2))),
    below("cross", at(real(2, 3), real(2, 3)), at(real(3, 2), real(3, 2), axis=0)),
    below(
        "tensordot",
        at(real(2, 3, 4), real(4, 3, 2), axes=((1, 2), (1, 0))),
        at(real(2, 3), real(3, 4), axes=1),
        at(real(2), real(3), axes=0),
    ),
    below(
        "einsum",
        *(
            at(left, right, call=lambda einsum, a, b, how=how: einsum(how, a, b), label=how)
            for how, left, right in (
                ("bij,jk->bik", real(2, 3, 4), real(4, 2)),
                ("ij,ij->", real(2, 3), real(2, 3)),
                ("ii,i->i", real(3, 3), real(3)),
                ("i,j->ji", real(2), real(3)),
                ("...ij,...jk->...ik", real(2, 2, 3), real(2, 3, 2)),
            )
        ),
    ),
    below("cdist", at(real(3, 2), real(4, 2)), at(real(2, 3, 2), real(2, 2, 2))),
    # Of one matrix.
    below("inv", at(regular(3, 3)), at(regular(2, 2, 3))),
    below("det", at(regular(3, 3)), at(regular(2, 2, 3))),
    below("logdet", at(definite(3), call=_of_symmetric), at(definite(2, 3), call=_of_symmetric)),
    below("slogdet", at(regular(3, 3)), at(regular(2, 2, 3))),
    below("pinv", at(regular(3, 2)), at(regular(2, 4))),
    below("cholesky", at(definite(3), call=_of_symmetric), at(definite(2, 3), call=_of_symmetric)),
    below("cholesky", at(definite(3), call=_of_symmetric, upper=True)),
    below("cholesky_inverse", at(definite(3), call=_factor), at(definite(3), call=_factor, upper=True)),
    below("eigh", at(symmetric(3), call=_without_signs), at(symmetric(2, 3), call=_without_signs)),
    below("eig", at(symmetric(3), call=_of_general)),
    below("svd", at(regular(3, 3), call=_svd), at(regular(3, 3), call=_svd, compute_uv=False)),
    below("svd", at(regular(4, 2), call=_svd, full_matrices=False), at(regular(2, 4), call=_svd, full_matrices=False)),
    below("qr", at(regular(3, 3), call=_qr), at(regular(4, 2), call=_qr)),
    below("lu_factor", at(regular(3, 3), call=_lu)),
    below("norm", at(away(2, 3)), *(at(away(2, 3), ord=order, axis=1) for order in (1, 2, 3, float("inf"), -float("inf")))),
    below("norm", *(at(regular(3, 2), ord=order) for order in ("fro", "nuc", 1, -1, 2, -2, float("inf")))),
    below("norm", at(away(2, 3, 2), axis=(0, 2), keepdims=True), at(away(2, 3), axis=-1, keepdims=True)),
    below("normalize", at(away(2, 3)), at(away(2, 3), axis=0, order=1), at(away(2, 3), order=3)),
    # Of two.
    below("solve", at(regular(3, 3), real(3, 2)), at(regular(3, 3), real(3)), at(regular(2, 2, 3), real(3, 2, 1))),
    below("solve_triangular", at(definite(3), real(3, 2), call=_lower, lower=True), at(definite(3), real(3, 2), call=_lower)),
    below("lstsq", at(regular(4, 2), real(4)), at(regular(4, 2), real(4, 3))),
    # Spectra: a complex array is a pair of real ones.
    below("fft", at(real(2, 4), real(2, 4), call=_complex), at(real(5), real(5), call=_complex)),
    below("fft2", at(real(2, 3, 4), real(2, 3, 4), call=_complex)),
    below("ifft2", at(real(2, 3, 4), real(2, 3, 4), call=_complex)),
    below("rfft", at(real(2, 8)), at(real(2, 5)), at(real(2, 5), fft_length=8), at(real(2, 9), fft_length=4)),
    below("irfft", at(real(2, 5), real(2, 5), call=_complex), at(real(2, 5), real(2, 5), call=_complex, fft_length=6)),
    below(
        "stft", at(real(2, 16), **_FRAMES), at(real(16), **_FRAMES, center=False), at(real(2, 16), **_FRAMES, window="hamming")
    ),
    below("stft", at(real(2, 16), **_FRAMES, window=None)),
    below(
        "istft",
        at(real(2, 9, 5), real(2, 9, 5), call=_complex, **_FRAMES),
        at(real(9, 5), real(9, 5), call=_complex, **_FRAMES, length=14),
    ),
    # Windows have no argument that has a derivative.
    *(
        below(name, at(call=lambda window: window(5)), why="of the window's length alone")
        for name in ("bartlett", "blackman", "hamming", "hanning")
    ),
    below("kaiser", at(call=lambda kaiser: kaiser(6, 2.0)), why="of numbers alone, which are no tensors"),
)
