"""References and laws of the audio layers against SciPy and values worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.signal

from pytest_dlcheck.cases.case import Case, Tensor
from pytest_dlcheck.references.layers import spectrogram
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import Call

STFT = {
    "mode": "stft",
    "frame_length": 8,
    "frame_step": None,
    "fft_length": None,
    "window": "hann",
    "periodic": False,
    "scaling": "density",
    "padding": "valid",
    "expand_dims": False,
    "data_format": None,
}
MEL = {
    "fft_length": 16,
    "sequence_stride": 4,
    "sequence_length": None,
    "window": "hann",
    "sampling_rate": 16000,
    "num_mel_bins": 2,
    "min_freq": 20.0,
    "max_freq": None,
    "power_to_db": False,
    "top_db": 80.0,
    "mag_exp": 2.0,
    "min_power": 1e-10,
    "ref_power": 1.0,
}
SIGNAL = np.random.default_rng(0).standard_normal(24)


def call(arguments: dict[str, Any], inputs: Any) -> Call:
    return Call(arguments, {}, inputs)


@pytest.mark.parametrize("scaling", ["density", "spectrum"])
def test_power_density_is_scipys(scaling: str) -> None:
    found = spectrogram.stft_spectrogram(call({**STFT, "mode": "psd", "scaling": scaling}, SIGNAL[None, :, None]))
    window = scipy.signal.get_window("hann", 8, fftbins=False)
    _, _, wanted = scipy.signal.spectrogram(SIGNAL, window=window, nperseg=8, noverlap=4, detrend=False, scaling=scaling)
    assert found is not None
    assert found[0] == pytest.approx(wanted.T)


def test_transform_of_a_frame_is_numpys() -> None:
    given = {**STFT, "window": None, "fft_length": 16, "frame_step": 8}
    found = spectrogram.stft_spectrogram(call(given, SIGNAL[None, :, None]))
    assert found is not None
    wanted = np.fft.rfft(SIGNAL[8:16], n=16)
    assert found[0, 1] == pytest.approx(np.concatenate([wanted.real, wanted.imag]))


def test_same_padding_keeps_the_time_and_channels_come_in_order() -> None:
    x = SIGNAL.reshape(1, 12, 2)
    flat = spectrogram.stft_spectrogram(call({**STFT, "mode": "magnitude", "padding": "same", "frame_step": 1}, x))
    image = spectrogram.stft_spectrogram(
        call({**STFT, "mode": "magnitude", "padding": "same", "frame_step": 1, "expand_dims": True}, x)
    )
    assert flat is not None
    assert image is not None
    assert (flat.shape, image.shape) == ((1, 12, 10), (1, 12, 5, 2))
    assert flat[0, 3, 5:] == pytest.approx(image[0, 3, :, 1])


def test_the_angle_is_known_up_to_whole_turns() -> None:
    given = call({**STFT, "mode": "angle"}, SIGNAL[None, :, None])
    assert spectrogram.stft_spectrogram(given) is None
    check = SPECS["STFTSpectrogram"].laws[0].check
    angle = np.angle(spectrogram.spectrum(given))[:, 0]
    assert check(given, [angle], 2.0**-24) is None
    assert "rounding" in check(given, [angle + 0.01 * (angle < 3)], 2.0**-24)
    assert "half a turn" in check(given, [angle + 2 * np.pi], 2.0**-24)
    assert "shape" in check(given, [angle[:, :1]], 2.0**-24)


def test_mel_filters_are_triangles_with_a_peak_of_one() -> None:
    filters = spectrogram.mel_filters(3, 2001, 8000, 0.0, 4000.0)
    assert filters.max(axis=0) == pytest.approx(np.ones(3), abs=1e-2)
    assert not filters[0].any()
    # On the mel scale the second triangle's middle is half of the way.
    half = 700 * (10 ** (2595 * np.log10(1 + 4000 / 700) / 2 / 2595) - 1)
    assert filters[:, 1].argmax() * 2 == pytest.approx(half, abs=2)


def test_mel_frames_are_centred_and_decibels_cut() -> None:
    power = spectrogram.mel_spectrogram(call(MEL, SIGNAL[None]))
    assert power.shape == (1, 2, 7)
    window = scipy.signal.get_window("hann", 16)
    frame = np.abs(np.fft.rfft(SIGNAL[4:20] * window)) ** 2
    assert power[0, :, 3] == pytest.approx(frame @ spectrogram.mel_filters(2, 9, 16000, 20.0, 8000.0))
    decibels = spectrogram.mel_spectrogram(call({**MEL, "power_to_db": True, "top_db": 5.0, "ref_power": 2.0}, SIGNAL[None]))
    assert decibels == pytest.approx(np.maximum(10 * np.log10(power / 2), 10 * np.log10(power.max() / 2) - 5))


def test_decibels_must_lie_within_top_db() -> None:
    check = SPECS["MelSpectrogram"].laws[0].check
    cut = call({**MEL, "power_to_db": True, "top_db": 5.0}, SIGNAL[None])
    assert check(cut, [np.array([0.0, -5.0])], 2.0**-24) is None
    assert check(cut, [np.array([0.0, -5.1])], 2.0**-24) is not None
    assert check(call(MEL, SIGNAL[None]), [np.array([0.0, -5.0])], 2.0**-24) is not None


def test_one_signal_alone_is_no_batch() -> None:
    spec = SPECS["MelSpectrogram"]
    assert not spec.has_batch(Case("keras.layers.MelSpectrogram", {}, Tensor((16,))))
    assert spec.has_batch(Case("keras.layers.MelSpectrogram", {}, Tensor((2, 16))))
