"""What must hold of images that were changed at random, whatever was drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dlcheck.references.layers.augmentation import grey, settled
from pytest_dlcheck.subjects.spec import Call, Law
from pytest_dlcheck.tolerance_of_laws import FROM_UNIT, HSV, LUMA, MIX, TO_UNIT, of_copies, of_operations, of_range

__all__ = [
    "BLENDED_WITH_GREY",
    "BRIGHTER_BY_ONE_AMOUNT",
    "CUT_FROM_THE_BATCH",
    "ERASED_IN_A_RECTANGLE",
    "GREY_OR_THE_SAME",
    "HUE_KEEPS_EXTREMES",
    "INVERTED_OR_THE_SAME",
    "KEEPS_LABELS",
    "MIXED_FROM_TWO",
    "SATURATION_KEEPS_VALUE",
    "SCALED_ABOUT_THE_MEAN",
    "SOLARIZED_ABOVE_A_THRESHOLD",
    "STAYS_IN_RANGE",
    "batch_of",
    "bounds",
    "brightened",
    "contrasted",
    "pairs",
    "parts",
]

Array = NDArray[Any]


def parts(call: Call, outputs: Sequence[Array]) -> dict[str, Array]:
    """The outputs by name: images, labels, segmentation_masks, boxes, box_labels."""
    if not isinstance(call.inputs, Mapping):
        return {"images": outputs[0]}
    names: list[str] = []
    for key in sorted(call.inputs):
        names += ["boxes", "box_labels"] if key == "bounding_boxes" else [key]
    return dict(zip(names, outputs, strict=True))


def batch_of(call: Call, images: Array) -> Array:
    """As a batch, channels last, in float64."""
    images = np.asarray(images, dtype=np.float64)
    images = images[None] if images.ndim == 3 else images
    return np.moveaxis(images, 1, -1) if call.channels_first else images


def pairs(call: Call, outputs: Sequence[Array]) -> Iterator[tuple[Array, Array]]:
    """Each image before and after."""
    before = call.inputs["images"] if isinstance(call.inputs, Mapping) else call.inputs
    yield from zip(batch_of(call, before), batch_of(call, parts(call, outputs)["images"]), strict=True)


def bounds(factor: Any, low: float | None = None) -> tuple[float, float]:
    """The least and the largest value of a factor; `low` is the least of one number, which else counts both ways."""
    if isinstance(factor, (tuple, list)):
        return float(min(factor)), float(max(factor))
    return (-abs(float(factor)) if low is None else low), abs(float(factor))


def _span(call: Call) -> tuple[float, float]:
    low, high = sorted(float(each) for each in call["value_range"])
    return low, high


def _largest(*images: Array) -> float:
    return max(float(np.max(np.abs(each), initial=0.0)) for each in images)


# The operations that lie between an image and what it becomes.
SUM = 4
"""x + factor (high - low): the factor is rounded; a difference, a product and a sum."""
COMPLEMENT = 2
"""low + high - x."""
BLEND = LUMA + MIX
"""(1 - factor) x + factor grey(x)."""
TURN = TO_UNIT + HSV + FROM_UNIT
"""A hue is turned in images that are mapped to [0, 1] and back."""
THERE_AND_BACK = TO_UNIT + FROM_UNIT + 2
"""To (0, 255) and back: a product more on the one way, a quotient more on the other."""


def _of_mixture(call: Call) -> int:
    """Operations of AugMix: K chains are multiplied with shares of 1 and added, and the sum is mixed with the image."""
    chains = call.arguments.get("num_chains")
    return 0 if chains is None else 2 * int(chains) + 1 + MIX


Check = Callable[[Call, Sequence[Array], float], "str | None"]


def _in_range(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    low, high = _span(call)
    images = parts(call, outputs)["images"]
    # Colours are clipped to the range, or to one that is mapped to it; what layers do after it stays in it but for rounding.
    slack = of_range(low, high, count=THERE_AND_BACK + _of_mixture(call), unit_roundoff=u)
    if images.size and not (images.min() >= low - slack and images.max() <= high + slack):
        return f"values from {images.min():g} to {images.max():g}, and the range is {low:g} to {high:g}"
    return None


STAYS_IN_RANGE = Law("stays_in_value_range", _in_range)


def _keeps_labels(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    del u
    if not isinstance(call.inputs, Mapping) or "labels" not in call.inputs:
        return None
    same = np.array_equal(parts(call, outputs)["labels"], call.inputs["labels"])
    return None if same else "the labels are not those of the input"


KEEPS_LABELS = Law("labels_stay", _keeps_labels)


# Colour.


def brightened(factor: str) -> Check:
    """y = clip(x + delta), one delta for an image, within the factor's bounds times the range."""

    def check(call: Call, outputs: Sequence[Array], u: float) -> str | None:
        low, high = _span(call)
        least, most = (each * (high - low) for each in bounds(call[factor]))
        slack = of_range(low, high, count=SUM, unit_roundoff=u)
        for x, y in pairs(call, outputs):
            inside = (y > low + slack) & (y < high - slack)
            if not inside.any():
                continue
            deltas = (y - x)[inside]
            if np.ptp(deltas) > 2 * slack or not least - slack <= deltas[0] <= most + slack:
                return f"brighter by {deltas.min():g} to {deltas.max():g}, and the factor allows one of {least:g} to {most:g}"
            if np.max(np.abs(np.clip(x + deltas[0], low, high) - y)) > 2 * slack:
                return "what left the range is not clipped to it"
        return None

    return check


BRIGHTER_BY_ONE_AMOUNT = Law("brighter_by_one_amount", brightened("factor"), training=True)


def contrasted(factor: str) -> Check:
    """y = clip((x - mean) c + mean) with the mean of each channel and one c for an image, from 1 - lower to 1 + upper."""

    def check(call: Call, outputs: Sequence[Array], u: float) -> str | None:
        low, high = _span(call)
        given = call[factor]
        lower, upper = given if isinstance(given, (tuple, list)) else (given, given)
        for x, y in pairs(call, outputs):
            mean = x.mean(axis=(0, 1), keepdims=True)
            # A mean of n pixels, n operations; c is rounded; a difference, a product and a sum.
            magnitude = _largest(x) + (1 + upper) * (_largest(x) + _largest(mean))
            slack = of_operations(x.shape[0] * x.shape[1] + 4, magnitude, unit_roundoff=u)
            apart = np.where((y > low + slack) & (y < high - slack), np.abs(x - mean), 0.0)
            place = np.unravel_index(int(np.argmax(apart)), apart.shape)
            if apart[place] <= slack:
                continue
            unsure = slack / apart[place]
            c = float(((y - mean) / np.where(x == mean, 1.0, x - mean))[place])
            if not 1 - lower - unsure <= c <= 1 + upper + unsure:
                return f"a contrast of {c:g}, and the factor allows {1 - lower:g} to {1 + upper:g}"
            off = float(np.max(np.abs(np.clip((x - mean) * c + mean, low, high) - y)))
            if off > slack + unsure * float(np.max(np.abs(x - mean))):
                return f"a contrast of {c:g} is off by {off:.3g} elsewhere in the image"
        return None

    return check


SCALED_ABOUT_THE_MEAN = Law("scaled_about_the_mean", contrasted("factor"), training=True)


def _one_of(what: str, others: Callable[[Call, Array], Array], operations: int) -> Check:
    """Each image is what it was, or what the function makes of it in so many operations."""

    def check(call: Call, outputs: Sequence[Array], u: float) -> str | None:
        for x, y in pairs(call, outputs):
            other = others(call, x)
            slack = of_operations(operations, _largest(x, other), unit_roundoff=u)
            same = np.max(np.abs(y - x), initial=0.0) <= of_copies(unit_roundoff=u)
            if not same and np.max(np.abs(y - other), initial=0.0) > slack:
                return f"an image is neither what it was nor {what}"
        return None

    return check


GREY_OR_THE_SAME = Law("grey_or_the_same", _one_of("grey", lambda call, x: grey(x), LUMA), training=True)
INVERTED_OR_THE_SAME = Law(
    "inverted_or_the_same", _one_of("its complement", lambda call, x: sum(_span(call)) - x, COMPLEMENT), training=True
)


def _blended(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    least, most = bounds(call["factor"], 0.0)
    for x, y in pairs(call, outputs):
        toward = grey(x) - x
        place = np.unravel_index(int(np.argmax(np.abs(toward))), toward.shape)
        # Also as x + factor (grey(x) - x), whose terms add up to three times the largest.
        slack = of_operations(BLEND, 3 * _largest(x), unit_roundoff=u)
        if abs(toward[place]) <= slack:
            continue
        share = float((y - x)[place] / toward[place])
        unsure = slack / abs(float(toward[place]))
        if not least - unsure <= share <= most + unsure:
            return f"{share:g} of the way to grey, and the factor allows {least:g} to {most:g}"
        # The share is off by that much at the pixel where it matters most, and so is the pixel looked at.
        if np.max(np.abs(x + share * toward - y)) > 2 * slack:
            return "not every pixel is as far on its way to grey"
    return None


BLENDED_WITH_GREY = Law("blended_with_grey", _blended, training=True)


def keeps_extremes(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    slack = of_range(*_span(call), count=TURN, unit_roundoff=u)
    for x, y in pairs(call, outputs):
        for what, of in (("brightest", np.max), ("darkest", np.min)):
            off = float(np.max(np.abs(of(x, axis=-1) - of(y, axis=-1)), initial=0.0))
            if off > slack:
                return f"the {what} channel of a pixel changes by {off:.3g}, and a hue changes neither value nor saturation"
    return None


HUE_KEEPS_EXTREMES = Law("hue_keeps_value_and_saturation", keeps_extremes, training=True)


def saturated(factor: str) -> Check:
    """The brightest channel of each pixel stays; a factor of zero leaves no colour."""

    def check(call: Call, outputs: Sequence[Array], u: float) -> str | None:
        slack = of_range(*_span(call), count=HSV, unit_roundoff=u)
        for x, y in pairs(call, outputs):
            off = float(np.max(np.abs(x.max(axis=-1) - y.max(axis=-1)), initial=0.0))
            if off > slack:
                return f"the brightest channel of a pixel changes by {off:.3g}, and saturation leaves the value as it is"
            if settled(call[factor]) == 0 and np.max(np.ptp(y, axis=-1), initial=0.0) > slack:
                return "a factor of zero does not make the image grey"
        return None

    return check


SATURATION_KEEPS_VALUE = Law("saturation_keeps_value", saturated("factor"), training=True)


def _solarized(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    """Without addition, pixels below a threshold stay, and those above become low + high - x."""
    low, high = _span(call)
    if bounds(call["addition_factor"], 0.0)[1] != 0:
        return None
    most = low + bounds(call["threshold_factor"], 0.0)[1] * (high - low)
    slack = of_range(low, high, count=THERE_AND_BACK + COMPLEMENT, unit_roundoff=u)
    for x, y in pairs(call, outputs):
        kept, turned = np.abs(y - x) <= slack, np.abs(y - (low + high - x)) <= slack
        if not np.all(kept | turned):
            return "a pixel is neither what it was nor its complement"
        only_kept, only_turned = x[kept & ~turned], x[turned & ~kept]
        if only_kept.size and only_kept.max() > most + slack:
            return f"{only_kept.max():g} stays, and thresholds reach {most:g} at most"
        if only_kept.size and only_turned.size and only_kept.max() > only_turned.min() + slack:
            return f"{only_turned.min():g} is solarized, and {only_kept.max():g} is not"
    return None


SOLARIZED_ABOVE_A_THRESHOLD = Law("solarized_above_a_threshold", _solarized, training=True)


def _erased(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    """What changed fills a rectangle, and has the fill value if there is one."""
    low, high = _span(call)
    for x, y in pairs(call, outputs):
        changed = np.any(np.abs(y - x) > of_copies(unit_roundoff=u), axis=-1)
        if not changed.any():
            continue
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        patch = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        fill = call["fill_value"]
        if fill is None:
            continue
        wanted = np.broadcast_to(np.clip(np.asarray(fill, dtype=np.float64), low, high), y[patch].shape)
        # The fill value is rounded.
        if np.max(np.abs(y[patch] - wanted)) > of_operations(1, _largest(wanted), unit_roundoff=u):
            return f"inside of the rectangle that changed, a pixel does not have the fill value {fill}"
    return None


ERASED_IN_A_RECTANGLE = Law("erased_in_a_rectangle", _erased, training=True)


# Mixing.


def _mixed(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    """y = w x + (1 - w) of another image of the batch, w from 0 to 1, and labels mixed alike."""
    both = list(pairs(call, outputs))
    labels = _labels(call, outputs)
    slack = of_operations(MIX, _largest(np.zeros(0), *(x for x, _ in both)), unit_roundoff=u)
    masks = _masks(call, outputs)
    if masks is not None and masks[0].shape != masks[1].shape:
        return f"masks of shape {masks[0].shape} become masks of shape {masks[1].shape}"
    for index, (x, y) in enumerate(both):
        fits = False
        for place, (other, _) in enumerate(both):
            apart = other - x
            largest = float(np.max(np.abs(apart), initial=0.0))
            if largest <= slack:
                fits = fits or float(np.max(np.abs(y - x), initial=0.0)) <= largest + slack
                continue
            at = np.unravel_index(int(np.argmax(np.abs(apart))), apart.shape)
            share = float((y - x)[at] / apart[at])
            unsure = slack / largest
            if not -unsure <= share <= 1 + unsure or np.max(np.abs(x + share * apart - y)) > 2 * slack:
                continue
            if labels is not None:
                given, found = labels
                difference = given[place] - given[index]
                allowed = of_operations(MIX, 2 * _largest(given), unit_roundoff=u) + unsure * _largest(difference)
                if np.max(np.abs(given[index] + share * difference - found[index])) > allowed:
                    continue
            fits = True
        if not fits:
            return f"image {index} is no mixture of itself and one other, its label mixed alike"
    return None


def _labels(call: Call, outputs: Sequence[Array]) -> tuple[Array, Array] | None:
    if not isinstance(call.inputs, Mapping) or "labels" not in call.inputs:
        return None
    given, found = np.asarray(call.inputs["labels"], dtype=np.float64), parts(call, outputs)["labels"]
    return (given[None], found[None]) if given.ndim == 1 else (given, found)


def _masks(call: Call, outputs: Sequence[Array]) -> tuple[Array, Array] | None:
    if not isinstance(call.inputs, Mapping) or "segmentation_masks" not in call.inputs:
        return None
    return np.asarray(call.inputs["segmentation_masks"]), parts(call, outputs)["segmentation_masks"]


MIXED_FROM_TWO = Law("mixed_from_two", _mixed, training=True)


def _cut(call: Call, outputs: Sequence[Array], u: float) -> str | None:
    """Each image is itself but for pixels of one other image at the same place; its label lies between the two."""
    both = list(pairs(call, outputs))
    labels = _labels(call, outputs)
    for index, (x, y) in enumerate(both):
        slack = of_copies(unit_roundoff=u)
        own = np.all(np.abs(y - x) <= slack, axis=-1)
        fits = False
        for place, (other, _) in enumerate(both):
            if not np.all(own | np.all(np.abs(y - other) <= slack, axis=-1)):
                continue
            if labels is not None:
                given, found = labels
                pair = np.stack([given[index], given[place]])
                beyond = of_operations(MIX, _largest(pair), unit_roundoff=u)
                if np.any(found[index] < pair.min(axis=0) - beyond) or np.any(found[index] > pair.max(axis=0) + beyond):
                    continue
            fits = True
        if not fits:
            return f"image {index} holds pixels of neither itself nor one other image, or a label of neither"
    return None


CUT_FROM_THE_BATCH = Law("cut_from_the_batch", _cut, training=True)
