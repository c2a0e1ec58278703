"""Specs of the layers that change colours at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from pytest_dlcheck.cases.case import Case
from pytest_dlcheck.references.layers import augmentation as references
from pytest_dlcheck.references.layers.augmentation import settled
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.images import draw_image, draw_value_range, takes_dictionaries, with_labels, with_masks
from pytest_dlcheck.subjects.layers import augmentation_laws as laws
from pytest_dlcheck.subjects.spec import Call, Law, LayerSpec, Older
from pytest_dlcheck.tolerance_of_laws import of_blur

__all__ = ["FACTOR_RANGE", "FORMATLESS", "PAGE", "POLICIES", "SINGLE", "SPECS", "draw_data"]

Array = NDArray[Any]

PAGE = "https://keras.io/api/layers/preprocessing_layers/image_augmentation/"
# Factors are drawn in float32, and some images converted in it, whatever the policy is: float64 is no wider.
POLICIES = ("float32", "mixed_float16", "bfloat16")
SINGLE = ("float32",)
# A number stands for a range in most of these layers, and the config may hold that range.
AS_RANGE = "the config holds the range that a single number is documented to stand for"

# What looks at one pixel, or at whole images, does not look for the channels.
FORMATLESS = {"effect:data_format": "no pixel's new value depends on where its channels are"}
FACTOR_RANGE = {"config:factor": AS_RANGE}

Draws = Callable[[Draw], None]
Random = Callable[[Case, bool], bool]


def _random_unless(*allowed: tuple[str, Any, Sequence[float]]) -> Random:
    """Random in training, unless each of these arguments (name, default) has settled on one of its values."""

    def random(case: Case, training: bool) -> bool:
        return training and not all(settled(case.arguments.get(name, default)) in values for name, default, values in allowed)

    return random


def draw_data(
    d: Draw, data_format: str, value_range: tuple[float, float], channels: Sequence[int], *, integers: bool = True
) -> None:
    """Draws the inputs: images, with labels and masks now and then."""
    image = draw_image(d, data_format, value_range, channels=channels, integers=integers)
    d.inputs = image
    if takes_dictionaries(d):
        data = with_labels(d, image)
        d.inputs = with_masks(d, data, data_format) if d.flag(3) else data


def _colour(
    factors: Sequence[Any],
    *,
    channels: Sequence[int] = (3,),
    ranged: bool = True,
    formats: bool = True,
    required: bool = True,
    integers: bool = True,
    more: Callable[[Draw], None] | None = None,
) -> Draws:
    """Draws a layer of a `factor`, a `value_range`, a `seed` and a `data_format`."""

    def draw(d: Draw) -> None:
        if required:
            d.set("factor", d.choice(factors))
        else:
            d.option("factor", factors, one_in=2)
        value_range = draw_value_range(d) if ranged else (0.0, 255.0)
        if more is not None:
            more(d)
        d.seed()
        data_format = d.data_format() if formats else "channels_last"
        d.common_options()
        draw_data(d, data_format, value_range, channels, integers=integers)

    return draw


SHARES = (0.5, (0.0, 0.0), (0.5, 0.5), (1.0, 1.0), (0.2, 0.7), 0.0, 1.0, [0.3, 0.3])
"""Factors from 0 to 1, settled and not."""


# Single layers with arguments of their own.


def _posterization(d: Draw) -> None:
    d.set("factor", d.integer(1, 8))
    value_range = draw_value_range(d)
    d.seed()
    data_format = d.data_format()
    d.common_options()
    draw_data(d, data_format, value_range, (3, 1))


def _solarization(d: Draw) -> None:
    d.option("addition_factor", [0.0, (0.25, 0.25), 0.5, (0.1, 0.3), [0.0, 0.0]])
    d.option("threshold_factor", [0.0, 0.5, 1.0, (0.0, 0.0), (0.0, 0.3)])
    value_range = draw_value_range(d)
    d.seed()
    d.common_options()
    draw_data(d, "channels_last", value_range, (3, 1))


def _blur(d: Draw) -> None:
    d.option("kernel_size", [3, 5, 1])
    d.option("sigma", [0.5, (0.2, 0.9), (0.5, 0.5)])


def _jitter(d: Draw) -> None:
    value_range = draw_value_range(d)
    only = d.choice([None, "brightness_factor", "contrast_factor", "saturation_factor", "hue_factor", "all"])
    choices = {
        "brightness_factor": [0.2, (-0.5, 0.3)],
        "contrast_factor": [0.5, (0.2, 0.6)],
        "saturation_factor": [0.5, (0.1, 0.4)],
        "hue_factor": [0.5, (0.2, 0.3)],
    }
    for name, values in choices.items():
        if only in (name, "all"):
            d.set(name, d.choice(values))
    d.seed()
    data_format = d.data_format()
    d.common_options()
    draw_data(d, data_format, value_range, (3,))


def _only(name: str, check: laws.Check) -> laws.Check:
    """A law of one of the four adjustments, where it is the only one."""

    def alone(call: Call, outputs: Sequence[Array], u: float) -> str | None:
        factors = ("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor")
        given = [each for each in factors if call.arguments.get(each) is not None]
        return check(call, outputs, u) if given == [name] else None

    return alone


def _jitter_is_random(case: Case, training: bool) -> bool:
    return training and any(name.endswith("_factor") for name in case.arguments)


def _erasing(d: Draw) -> None:
    d.option("factor", SHARES, one_in=2)
    # Of a small image a small share is nothing at all.
    d.option("scale", [(0.5, 0.5), (0.3, 0.9), 0.8], one_in=2)
    channels = 3
    fill = d.option("fill_value", [0.0, 7, 300.0, (1.0, 2.0, 3.0)], one_in=2)
    value_range = draw_value_range(d)
    d.seed()
    data_format = d.data_format()
    d.common_options()
    if isinstance(fill, tuple) and data_format == "channels_first":
        d.arguments["fill_value"] = 1.0
    draw_data(d, data_format, value_range, (channels, channels if isinstance(fill, tuple) else 1))


def _blur_stays(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    """Weights that are positive and sum to one at most (outside of the image is nothing) leave no value larger than it was."""
    for x, y in laws.pairs(call, outputs):
        least, most = min(0.0, float(x.min(initial=0.0))), max(0.0, float(x.max(initial=0.0)))
        size = call["kernel_size"]
        rows, columns = size if isinstance(size, (tuple, list)) else (size, size)
        slack = of_blur(int(rows), int(columns), max(abs(least), most), unit_roundoff=u)
        if y.size and (y.min() < least - slack or y.max() > most + slack):
            return f"a blur gives {y.min():g} to {y.max():g} from {x.min():g} to {x.max():g}"
    return None


LABELLED = (laws.STAYS_IN_RANGE, laws.KEEPS_LABELS)

SPECS: tuple[LayerSpec, ...] = (
    LayerSpec(
        "RandomBrightness",
        _colour([0.2, 0.5, (-0.3, 0.8), (0.4, 0.4), [-0.6, -0.6], (-1.0, -1.0), 0.0, (1, 1)], channels=(3, 1), formats=False),
        references.adjusted_brightness,
        PAGE + "random_brightness/",
        policies=POLICIES,
        laws=(*LABELLED, laws.BRIGHTER_BY_ONE_AMOUNT),
        random=lambda case, training: training and settled(case.arguments["factor"]) is None,
        exempt=FACTOR_RANGE,
    ),
    LayerSpec(
        "RandomContrast",
        _colour([0.5, (0.2, 0.6), (0.0, 0.0), (0.9, 0.1), [0.1, 0.5], 0.0, 1.0], channels=(3, 1), formats=False),
        references.identity,
        PAGE + "random_contrast/",
        policies=POLICIES,
        laws=(*LABELLED, laws.SCALED_ABOUT_THE_MEAN),
        older=Older(absent={"value_range": (0, 255)}),
        random=_random_unless(("factor", None, (0.0,))),
        exempt=FACTOR_RANGE,
    ),
    LayerSpec(
        "RandomSaturation",
        # Its page converts integers before.
        _colour(SHARES, integers=False),
        references.identity,
        PAGE + "random_saturation/",
        policies=POLICIES,
        laws=(*LABELLED, laws.SATURATION_KEEPS_VALUE),
        random=_random_unless(("factor", None, (0.5,))),
        exempt=FACTOR_RANGE,
    ),
    LayerSpec(
        "RandomHue",
        _colour(SHARES),
        references.identity,
        PAGE + "random_hue/",
        policies=POLICIES,
        laws=(*LABELLED, laws.HUE_KEEPS_EXTREMES),
        random=_random_unless(("factor", None, (0.0,))),
        exempt=FACTOR_RANGE,
    ),
    LayerSpec(
        "RandomColorDegeneration",
        _colour(SHARES),
        references.blended_with_grey,
        PAGE + "random_color_degeneration/",
        policies=POLICIES,
        laws=(*LABELLED, laws.BLENDED_WITH_GREY),
        random=lambda case, training: training and settled(case.arguments["factor"]) is None,
        exempt=FACTOR_RANGE,
    ),
    LayerSpec(
        "RandomColorJitter",
        _jitter,
        references.identity,
        PAGE + "random_color_jitter/",
        policies=POLICIES,
        laws=(
            *LABELLED,
            Law("brightness_alone", _only("brightness_factor", laws.brightened("brightness_factor")), training=True),
            Law("contrast_alone", _only("contrast_factor", laws.contrasted("contrast_factor")), training=True),
            Law("saturation_alone", _only("saturation_factor", laws.saturated("saturation_factor")), training=True),
            Law("hue_alone", _only("hue_factor", laws.keeps_extremes), training=True),
        ),
        random=_jitter_is_random,
    ),
    LayerSpec(
        "RandomGrayscale",
        # Of integers it makes integers, however it rounds.
        _colour([0.5, 0.0, 1.0, 0.9], ranged=False, required=False, integers=False),
        references.converted_to_grey,
        PAGE + "random_grayscale/",
        policies=POLICIES,
        laws=(laws.KEEPS_LABELS, laws.GREY_OR_THE_SAME),
        random=lambda case, training: training and case.arguments.get("factor", 0.5) not in (0, 1),
    ),
    LayerSpec(
        "RandomInvert",
        _colour(SHARES, channels=(3, 1), required=False),
        references.inverted,
        PAGE + "random_invert/",
        policies=POLICIES,
        laws=(*LABELLED, laws.INVERTED_OR_THE_SAME),
        random=_random_unless(("factor", 1.0, (0.0, 1.0))),
        exempt={**FACTOR_RANGE, **FORMATLESS},
    ),
    LayerSpec(
        "RandomPosterization",
        _posterization,
        references.posterized,
        PAGE + "random_posterization/",
        policies=SINGLE,
        laws=LABELLED,
        exempt={**FACTOR_RANGE, **FORMATLESS},
    ),
    LayerSpec(
        "Solarization",
        _solarization,
        references.solarized,
        PAGE + "solarization/",
        policies=POLICIES,
        laws=(*LABELLED, laws.SOLARIZED_ABOVE_A_THRESHOLD),
        random=lambda case, training: (
            training
            and (
                settled(case.arguments.get("addition_factor", 0.0)) is None
                or settled(case.arguments.get("threshold_factor", 0.0)) != 0
            )
        ),
        exempt={"config:addition_factor": AS_RANGE, "config:threshold_factor": AS_RANGE},
    ),
    LayerSpec(
        "RandomSharpness",
        _colour(SHARES, channels=(3, 1)),
        references.identity,
        PAGE + "random_sharpness/",
        policies=POLICIES,
        laws=LABELLED,
        random=_random_unless(("factor", None, (0.5,))),
        exempt=FACTOR_RANGE,
    ),
    LayerSpec(
        "RandomGaussianBlur",
        _colour(SHARES, channels=(3, 1), required=False, more=_blur),
        references.identity,
        PAGE + "random_gaussian_blur/",
        policies=POLICIES,
        laws=(*LABELLED, Law("blurred_within_its_values", _blur_stays, training=True)),
        random=_random_unless(("factor", 1.0, (0.0,))),
        exempt={**FACTOR_RANGE, "config:kernel_size": AS_RANGE, "config:sigma": AS_RANGE},
    ),
    LayerSpec(
        "RandomErasing",
        _erasing,
        references.identity,
        PAGE + "random_erasing/",
        policies=POLICIES,
        laws=(*LABELLED, laws.ERASED_IN_A_RECTANGLE),
        random=_random_unless(("factor", 1.0, (0.0,))),
        exempt={**FACTOR_RANGE, "config:scale": AS_RANGE},
    ),
)
