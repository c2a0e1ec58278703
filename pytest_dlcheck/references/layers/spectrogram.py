"""Spectrograms in float64, by NumPy's Fourier transform and SciPy's windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from pytest_dlcheck.subjects.spec import Call

__all__ = ["mel_filters", "mel_spectrogram", "spectrum", "stft_spectrogram", "weighed"]

Array = NDArray[Any]

EPSILON = 1e-7
"""`keras.config.epsilon()`: what a power and a magnitude are not let below before the logarithm."""


def _frames(signal: Array, length: int, step: int) -> Array:
    """(..., frames, length): every `step` samples, whole frames only."""
    windows = np.lib.stride_tricks.sliding_window_view(signal, length, axis=-1)
    return np.asarray(windows[..., ::step, :])


def mel_filters(bands: int, frequencies: int, rate: float, low: float, high: float) -> Array:
    """(frequencies, bands): triangles of height 1 on the mel scale, mel(f) = 2595 log10(1 + f / 700), whose corners divide
    it evenly from `low` to `high`; the constant term belongs to none (https://en.wikipedia.org/wiki/Mel_scale and the
    layer's `linear_to_mel_weight_matrix`, after HTK)."""

    def mel(hertz: Any) -> Array:
        return np.asarray(2595 * np.log10(1 + np.asarray(hertz) / 700))

    corners = np.linspace(mel(low), mel(high), bands + 2)
    at = mel(np.linspace(0, rate / 2, frequencies))[:, None]
    rising = (at - corners[:-2]) / (corners[1:-1] - corners[:-2])
    falling = (corners[2:] - at) / (corners[2:] - corners[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling))
    filters[0] = 0
    return np.asarray(filters)


def mel_spectrogram(call: Call) -> Array:
    """Frames around every `sequence_stride`-th sample (the signal reflected at its ends), windowed (periodic) and padded to
    `fft_length` on both sides alike; |Fourier transform|^mag_exp, the mel filters, and in decibels 10 log10(max(S, min)) - 10
    log10(max(ref, min)), at least their maximum - top_db (https://keras.io/api/layers/preprocessing_layers/audio/mel_spectrogram/)."""
    size = call["fft_length"]
    length = call["sequence_length"] or size
    window = np.ones(length) if call["window"] is None else _window(call["window"], length, periodic=True)
    left = (size - length) // 2
    window = np.pad(window, (left, size - length - left))
    x = np.asarray(call.inputs)
    x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(size // 2, size // 2)], mode="reflect")
    spectrum_ = np.abs(np.fft.rfft(_frames(x, size, call["sequence_stride"]) * window, axis=-1)) ** call["mag_exp"]
    high = call["max_freq"] or call["sampling_rate"] / 2
    filters = mel_filters(call["num_mel_bins"], size // 2 + 1, call["sampling_rate"], call["min_freq"], high)
    found = spectrum_ @ filters
    if call["power_to_db"]:
        least = call["min_power"]
        found = 10 * np.log10(np.maximum(found, least)) - 10 * np.log10(max(abs(call["ref_power"]), least))
        found = np.maximum(found, found.max() - call["top_db"])
    return np.asarray(np.swapaxes(found, -1, -2))


def _window(window: Any, length: int, *, periodic: bool) -> Array:
    if isinstance(window, str):
        return np.asarray(scipy.signal.get_window(window, length, fftbins=periodic))
    return np.asarray(window, dtype=np.float64)


def spectrum(call: Call) -> Array:
    """(batch, channels, frames, frequencies), complex: the Fourier transform of each windowed frame, padded with zeros at its
    end to the transform's length; density divides a window by sqrt(sum of its squares), spectrum by its sum."""
    return np.asarray(np.fft.rfft(_windowed(call), n=_transform_length(call), axis=-1))


def weighed(call: Call) -> Array:
    """The sum of the magnitudes that each entry of `spectrum` adds up, in the same shape."""
    sums = np.sum(np.abs(_windowed(call)), axis=-1, keepdims=True)
    return np.repeat(sums, _transform_length(call) // 2 + 1, axis=-1)


def _transform_length(call: Call) -> int:
    return int(call["fft_length"] or 1 << (call["frame_length"] - 1).bit_length())


def _windowed(call: Call) -> Array:
    length = call["frame_length"]
    step = call["frame_step"] or length // 2
    x = np.asarray(call.inputs)
    x = x if call.channels_first else np.moveaxis(x, -1, 1)
    if call["padding"] == "same":
        short = max((-(-x.shape[-1] // step) - 1) * step + length - x.shape[-1], 0)
        x = np.pad(x, [(0, 0), (0, 0), (short // 2, short - short // 2)])
    window = np.ones(length)
    if call["window"] is not None:
        window = _window(call["window"], length, periodic=call["periodic"])
        if call["scaling"] is not None:
            window = window / (np.sqrt(np.sum(window**2)) if call["scaling"] == "density" else np.sum(window))
    return np.asarray(_frames(x, length, step) * window)


def stft_spectrogram(call: Call) -> Array | None:
    """From `spectrum`: real or imaginary parts, both (`stft`), magnitude, its logarithm, or the power density, in which all but
    the constant and the Nyquist frequency count for the negative ones too. The angle is only known up to whole turns: see the
    law (https://keras.io/api/layers/preprocessing_layers/audio/stft_spectrogram/)."""
    mode = call["mode"]
    if mode == "angle":
        return None
    z = spectrum(call)
    power = z.real**2 + z.imag**2
    if mode == "psd":
        power[..., 1:-1] *= 2
        found = power
    elif mode in {"real", "imag"}:
        found = z.real if mode == "real" else z.imag
    elif mode == "stft":
        found = np.concatenate([z.real, z.imag], axis=-1)
    else:
        found = np.sqrt(np.maximum(power, EPSILON))
        found = np.log(np.maximum(found, EPSILON)) if mode == "log" else found
    return arranged(found, channels_first=call.channels_first, image=call["expand_dims"])


def arranged(found: Array, *, channels_first: bool, image: bool) -> Array:
    """(batch, channels, frames, frequencies) as the layer gives it: an image, or all channels' frequencies in a row."""
    if image:
        return found if channels_first else np.moveaxis(found, 1, -1)
    batch, channels, frames, frequencies = found.shape
    rows = np.swapaxes(found, 2, 3).reshape(batch, channels * frequencies, frames)
    return rows if channels_first else np.swapaxes(rows, 1, 2)
