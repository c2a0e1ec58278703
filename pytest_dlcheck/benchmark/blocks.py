"""How long a stretch of steps is timed as one. Imports no framework and no numpy."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["BLOCK_S", "FEWEST_STEPS", "MOST_STEPS", "block_length"]

# A block is long enough for the timer, and short enough to have several.
BLOCK_S = 0.1
FEWEST_STEPS = 2
LEAST_GROWTH, MOST_GROWTH = 3, 9
MOST_STEPS = 500


def block_length(one_s: float, many: Callable[[int], float]) -> int:
    """How many steps a block takes, so that it is long beside the timer and beside what a call costs besides its steps.

    Args:
        one_s: what a call with one step takes, in seconds.
        many: times a call with so many steps more, in seconds.
    """
    steps = FEWEST_STEPS
    while True:
        # A call that costs much beside its steps varies by much, and that must not drown the steps.
        steps_s = max(many(steps) - one_s, 0.0)
        call_s = max(one_s - steps_s / steps, 0.0)
        wanted_s = max(BLOCK_S, 1.5 * call_s)
        if steps_s >= wanted_s:
            return max(FEWEST_STEPS, math.ceil(steps * wanted_s / steps_s))
        if steps == MOST_STEPS:
            return steps
        # The first stretches are short, so what they say of a step is rough: not too far at once.
        growth = wanted_s / steps_s if steps_s else MOST_GROWTH
        steps = min(math.ceil(steps * min(max(growth, LEAST_GROWTH), MOST_GROWTH)), MOST_STEPS)
