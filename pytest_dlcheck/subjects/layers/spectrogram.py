"""Specs of the audio layers, on signals of a few dozen samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Case
from pytest_dlcheck.references.layers import spectrogram as references
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.identities import other_format
from pytest_dlcheck.subjects.spec import HALF, Call, Identity, Law, LayerSpec, World
from pytest_dlcheck.tolerance_of_laws import ELEMENTARY, of_operations, of_transform

__all__ = ["SPECS"]

Array = NDArray[Any]

PAGES = "https://keras.io/api/layers/preprocessing_layers/audio"


# MelSpectrogram.


def _mel_spectrogram(d: Draw) -> None:
    size = d.set("fft_length", d.choice([16, 32, 24, 17] if d.world.backend != "jax" else [16, 24]))
    d.set("sequence_stride", d.choice([4, 3, 1, 8]))
    d.option("sequence_length", [size, size - 2, size // 2])
    d.option("window", ["hamming", None, "hann"])
    rate = d.option("sampling_rate", [8000, 11025], default=16000, one_in=2)
    d.set("num_mel_bins", d.choice([2, 3, 4, 1]))
    low = d.option("min_freq", [0.0, 10.0], default=20.0)
    d.option("max_freq", [rate / 2, rate / 4, low + 3000.5])
    d.option("power_to_db", [False], one_in=2)
    d.option("top_db", [1.0, 20.0, 200.0])
    d.option("mag_exp", [1.0, 1.5])
    d.option("min_power", [1e-3, 1e-5])
    d.option("ref_power", [2.0, 0.1])
    d.common_options()
    samples = size + d.choice([0, 1, 3, 7] if d.world.backend != "jax" else [0, 3])
    d.inputs = d.floats((samples,) if d.flag(5) else (d.size(), samples))


def _decibels(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """In decibels, nothing is more than top_db below the largest; otherwise nothing is negative."""
    found = outputs[0]
    if not call["power_to_db"]:
        return None if found.min(initial=0.0) >= 0 else f"a power of {found.min()}"
    span = float(found.max() - found.min())
    # top_db is rounded, and subtracted from the largest; both ends of the span may be cast.
    bound = float(of_operations(4, np.abs(found).max() + call["top_db"], unit_roundoff=unit_roundoff))
    return None if span <= call["top_db"] + bound else f"{span} decibels apart, and top_db is {call['top_db']}"


# STFTSpectrogram.

MODES = ("magnitude", "psd", "real", "imag", "angle", "stft", "log")


def _stft_spectrogram(d: Draw) -> None:
    d.option("mode", MODES, one_in=2)
    length = d.set("frame_length", d.choice([8, 4, 6, 5] if d.world.backend != "jax" else [8, 5]))
    d.option("frame_step", [1, 3, length])
    d.option("fft_length", [length, length + 1, 16])
    taps = [0.5 + 0.125 * each for each in range(length)]
    d.option("window", ["hamming", taps, None, "hann"])
    d.option("periodic", [True])
    d.option("scaling", ["spectrum", None, "density"])
    padding = d.option("padding", ["same", "valid"], default="valid")
    d.option("expand_dims", [True])
    data_format = d.data_format()
    d.common_options()
    d.weights_seed = None
    samples = d.choice([12, 9, 8, 17] if d.world.backend != "jax" else [12, 9])
    samples = d.choice([samples, 3]) if padding == "same" else samples
    batch, channels = d.size(), d.size()
    shape = (batch, channels, samples) if data_format == "channels_first" else (batch, samples, channels)
    # The square of a weak signal vanishes in half precision, and a logarithm makes much of the little that is left.
    d.inputs = d.floats(shape, ["normal", "small_integers"] if d.policy in HALF else None)


def _phase(call: Call, outputs: Sequence[Array], unit_roundoff: float) -> str | None:
    """An angle turns the magnitude into the transform; where that is no more than rounding it may be any."""
    if call["mode"] != "angle":
        return None
    z = references.spectrum(call)
    angle, given = (
        references.arranged(part, channels_first=call.channels_first, image=call["expand_dims"]) for part in (np.abs(z), z)
    )
    if outputs[0].shape != given.shape:
        return f"shape {outputs[0].shape} instead of {given.shape}"
    half_turn = float(of_operations(ELEMENTARY, np.pi, unit_roundoff=unit_roundoff))
    if not (np.abs(outputs[0]) <= np.pi + half_turn).all():
        return "an angle is more than half a turn"
    # An error of the real and of the imaginary part turns the angle; the magnitude here is the right one.
    sums = references.arranged(references.weighed(call), channels_first=call.channels_first, image=call["expand_dims"])
    off = np.abs(angle * np.exp(1j * outputs[0]) - given)
    parts = of_transform(call["frame_length"], sums, unit_roundoff=unit_roundoff)
    bound = 2 * np.sqrt(2) * parts + half_turn * np.abs(given)
    return None if (off <= bound).all() else f"off by {float((off / bound).max()):.3g} times the rounding"


def _channels_last(case: Case) -> Case | None:
    """The same signals channels last; the other way round TensorFlow cannot always go."""
    given = case.arguments.get("data_format") or case.settings.get("image_data_format", "channels_last")
    return other_format(case) if given == "channels_first" else None


def _channels_last_outputs(case: Case, outputs: Sequence[Array]) -> Sequence[Array]:
    del case
    return [np.moveaxis(output, 1, -1) for output in outputs]


def _unsupported(case: Case, world: World) -> str | None:
    """The input types are documented, and so is what TensorFlow's CPU convolution lacks."""
    if case.policy in {"bfloat16", "mixed_bfloat16"}:
        return "the layer takes float16, float32 and float64 inputs only"
    data_format = case.arguments.get("data_format") or case.settings.get("image_data_format", "channels_last")
    if world.by_eigen(case) and data_format == "channels_first":
        return "TensorFlow has no channels_first convolution on the CPU"
    return None


SPECS = (
    LayerSpec(
        "MelSpectrogram",
        _mel_spectrogram,
        references.mel_spectrogram,
        f"{PAGES}/mel_spectrogram/",
        laws=(Law("within_top_db", _decibels),),
        # The largest value of the whole batch sets the least.
        rows=False,
        rows_in_training=False,
        sample_rank=1,
    ),
    LayerSpec(
        "STFTSpectrogram",
        _stft_spectrogram,
        references.stft_spectrogram,
        f"{PAGES}/stft_spectrogram/",
        laws=(Law("angle_is_the_phase", _phase),),
        unsupported=_unsupported,
        identities=(Identity("channels_first_is_channels_last_transposed", _channels_last, _channels_last_outputs),),
    ),
)
