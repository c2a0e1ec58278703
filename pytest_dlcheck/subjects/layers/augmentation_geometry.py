"""Specs of the layers that move pixels at random: flips, crops, translations, rotations, zooms, and what bends images."""

from __future__ import annotations

from collections.abc import Callable

from pytest_dlcheck.cases.case import Case
from pytest_dlcheck.references.layers import augmentation as references
from pytest_dlcheck.references.layers.augmentation import settled, whole_turns
from pytest_dlcheck.strategies.draw import Draw
from pytest_dlcheck.subjects.images import (
    draw_image,
    draw_value_range,
    images_of,
    takes_dictionaries,
    with_boxes,
    with_labels,
    with_masks,
)
from pytest_dlcheck.subjects.layers import augmentation_laws as laws
from pytest_dlcheck.subjects.layers import augmentation_laws_geometry as moves
from pytest_dlcheck.subjects.spec import LayerSpec

__all__ = ["SPECS"]

PAGE = "https://keras.io/api/layers/preprocessing_layers/image_augmentation/"
# The matrices are float32 whatever the policy is: float64 is no wider.
POLICIES = ("float32", "mixed_float16", "bfloat16")
INTERPOLATIONS = ("nearest", "bilinear")
FILL_MODES = ("constant", "nearest", "wrap", "reflect")
AS_RANGE = "the config holds the range that a single number is documented to stand for"


def _data(
    d: Draw,
    data_format: str,
    size: tuple[int, int],
    *,
    value_range: tuple[float, float] = (0.0, 255.0),
    boxes: bool = True,
) -> None:
    """Images of that size, with labels, masks and boxes now and then."""
    image = draw_image(d, data_format, value_range, spatial=size)
    d.inputs = image
    if not takes_dictionaries(d):
        return
    data = with_labels(d, image)
    if d.flag():
        data = with_masks(d, data, data_format)
    if boxes and d.flag():
        data = with_boxes(d, data, size)
    d.inputs = data


def _size(case: Case) -> tuple[int, int]:
    """Height and width of the images."""
    shape = images_of(case.inputs).shape
    setting = case.settings.get("image_data_format", "channels_last")
    first = (case.arguments.get("data_format") or setting) == "channels_first"
    height, width = shape[-2:] if first else shape[-3:-1]
    return height, width


def _fill(d: Draw) -> str:
    """`interpolation`, `fill_mode` and `fill_value`."""
    d.option("interpolation", INTERPOLATIONS)
    mode = d.option("fill_mode", FILL_MODES, "reflect", one_in=2)
    d.option("fill_value", [0.5, 7.0, -1])
    return str(mode)


# Flips and crops.


def _flip(d: Draw) -> None:
    d.option("mode", ["horizontal", "vertical", "horizontal_and_vertical"], one_in=2)
    d.seed()
    data_format = d.data_format()
    d.common_options()
    height, width = d.shape(2)
    _data(d, data_format, (height, width))


def _crop(d: Draw) -> None:
    d.set("height", d.size())
    d.set("width", d.size())
    d.seed()
    data_format = d.data_format()
    d.common_options()
    height, width = d.shape(2)
    # At inference the layer resizes, of which the labels and masks of a dictionary know nothing documented.
    _data(d, data_format, (height, width))


def _crop_is_random(case: Case, training: bool) -> bool:
    height, width = _size(case)
    return training and height >= case.arguments["height"] and width >= case.arguments["width"]


# What moves pixels by a matrix.


def _translation(d: Draw) -> None:
    data_format = d.data_format()
    height, width = d.shape(2)
    mode = _fill(d)
    # Whole pixels, which can be told; on torch `reflect` is documented to be another filling, and `wrap` not to be there.
    free = d.flag(3) or (d.world.backend == "torch" and mode in {"reflect", "wrap"})
    if free:
        d.set("height_factor", d.choice([0.2, (-0.2, 0.3), [0.1, 0.4], 1.0]))
        d.set("width_factor", d.choice([0.3, (-0.5, -0.1), 0.0]))
    else:
        for name, size in (("height_factor", height), ("width_factor", width)):
            share = d.integer(-size, size) / size
            d.set(name, (share, share))
    d.seed()
    d.common_options()
    _data(d, data_format, (height, width))


def _translation_is_random(case: Case, training: bool) -> bool:
    return training and any(settled(case.arguments[name]) is None for name in ("height_factor", "width_factor"))


def _rotation(d: Draw) -> None:
    data_format = d.data_format()
    height = d.size()
    width = height if d.flag() else d.size()
    _fill(d)
    d.set("factor", d.choice([0.2, (0.25, 0.25), (0.5, 0.5), (-0.2, 0.3), 0.0, [-0.25, -0.25], (0.1, 0.1)]))
    d.seed()
    d.common_options()
    turned = whole_turns(d.arguments["factor"], height, width)
    _data(d, data_format, (height, width), boxes=turned in (None, 0))


def _rotation_is_random(case: Case, training: bool) -> bool:
    return training and whole_turns(case.arguments["factor"], *_size(case)) is None


def _zoom(d: Draw) -> None:
    data_format = d.data_format()
    height, width = d.shape(2)
    _fill(d)
    d.set("height_factor", d.choice([0.2, (0.0, 0.0), (-0.3, -0.2), (0.2, 0.3), [-0.5, 0.5], 0.0, (-0.5, -0.5)]))
    d.option("width_factor", [0.3, (0.0, 0.0), (0.1, 0.4), (-0.5, -0.5)], one_in=2)
    d.seed()
    d.common_options()
    _data(d, data_format, (height, width))


def _zoom_is_random(case: Case, training: bool) -> bool:
    return training and (settled(case.arguments["height_factor"]), settled(case.arguments.get("width_factor", 0.0))) != (0, 0)


def _shear(d: Draw) -> None:
    data_format = d.data_format()
    height, width = d.shape(2)
    _fill(d)
    d.option("x_factor", [0.3, (0.2, 0.5), (0.0, 0.0), 1.0], one_in=2)
    d.option("y_factor", [0.3, [0.2, 0.5], (0.0, 0.0)], one_in=2)
    d.seed()
    d.common_options()
    _data(d, data_format, (height, width))


def _shear_is_random(case: Case, training: bool) -> bool:
    return training and any(settled(case.arguments.get(name, 0.0)) != 0 for name in ("x_factor", "y_factor"))


SHARES = (0.5, (0.0, 0.0), (1.0, 1.0), (0.2, 0.7), 0.0, 1.0)


def _perspective(d: Draw) -> None:
    data_format = d.data_format()
    # The corners of a single row are no four points.
    height, width = d.shape(2, 2)
    d.option("factor", SHARES, one_in=2)
    d.option("scale", [0.3, 0.0, 0.05], one_in=2)
    d.option("interpolation", INTERPOLATIONS)
    d.option("fill_value", [0.5, 7.0, -1])
    d.seed()
    d.common_options()
    _data(d, data_format, (height, width))


def _bend_is_random(case: Case, training: bool) -> bool:
    return training and settled(case.arguments.get("factor", 1.0)) != 0


def _elastic(d: Draw) -> None:
    data_format = d.data_format()
    height, width = d.shape(2)
    d.option("factor", SHARES, one_in=2)
    d.option("scale", [0.3, (0.5, 0.9), 0.0, (1.0, 1.0)], one_in=2)
    _fill(d)
    value_range = draw_value_range(d)
    d.seed()
    d.common_options()
    # What it does to boxes its page does not say.
    _data(d, data_format, (height, width), value_range=value_range, boxes=False)


Random = Callable[[Case, bool], bool]
KEPT = (laws.KEEPS_LABELS,)
MOVED = (laws.KEEPS_LABELS, moves.STAYS_WITHIN_VALUES)

SPECS: tuple[LayerSpec, ...] = (
    LayerSpec(
        "RandomFlip",
        _flip,
        references.identity,
        PAGE + "random_flip/",
        laws=(*KEPT, moves.FLIPPED),
        random=lambda case, training: training,
    ),
    LayerSpec(
        "RandomCrop",
        _crop,
        references.cropped,
        PAGE + "random_crop/",
        policies=POLICIES,
        laws=(*KEPT, moves.WINDOW_OF_THE_IMAGE),
        random=_crop_is_random,
    ),
    LayerSpec(
        "RandomTranslation",
        _translation,
        references.moved,
        PAGE + "random_translation/",
        policies=POLICIES,
        laws=MOVED,
        random=_translation_is_random,
    ),
    LayerSpec(
        "RandomRotation",
        _rotation,
        references.rotated,
        PAGE + "random_rotation/",
        policies=POLICIES,
        laws=MOVED,
        random=_rotation_is_random,
        exempt={"config:factor": AS_RANGE},
    ),
    LayerSpec(
        "RandomZoom",
        _zoom,
        references.identity,
        PAGE + "random_zoom/",
        policies=POLICIES,
        laws=MOVED,
        random=_zoom_is_random,
    ),
    LayerSpec(
        "RandomShear",
        _shear,
        references.identity,
        PAGE + "random_shear/",
        policies=POLICIES,
        laws=MOVED,
        random=_shear_is_random,
        exempt={"config:x_factor": AS_RANGE, "config:y_factor": AS_RANGE},
    ),
    LayerSpec(
        "RandomPerspective",
        _perspective,
        references.identity,
        PAGE + "random_perspective/",
        policies=POLICIES,
        laws=MOVED,
        random=_bend_is_random,
        exempt={"config:factor": AS_RANGE},
    ),
    LayerSpec(
        "RandomElasticTransform",
        _elastic,
        references.identity,
        PAGE + "random_elastic_transform/",
        policies=POLICIES,
        laws=MOVED,
        random=_bend_is_random,
        exempt={"config:factor": AS_RANGE, "config:scale": AS_RANGE},
    ),
)
