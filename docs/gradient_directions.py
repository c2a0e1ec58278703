"""Which directions and tolerances see which wrong gradients, simulated on 256 entries, without a framework.

`python docs/gradient_directions.py` compares those of the package with others that one might take.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from gradient_checkers import bar
from rich.console import Console
from rich.table import Table

from pytest_dlcheck.gradients.argument import signs
from pytest_dlcheck.gradients.check import DIRECTIONS
from pytest_dlcheck.gradients.lines import Line, best_step
from pytest_dlcheck.gradients.program import Array
from pytest_dlcheck.tolerance import UNIT_ROUNDOFF, of_differences


@dataclass(frozen=True)
class Directions:
    """A way of drawing directions, how many, and how far apart two slopes may be."""

    name: str
    draw: Callable[[np.random.Generator, int], Array]
    count: int
    allowed: Callable[[Array], float]


def ways_of(unit_roundoff: float) -> list[Directions]:
    """The package's own, and others that one might take."""

    def quadrature(terms: Array) -> float:
        return float(of_differences(terms, unit_roundoff=unit_roundoff))

    def rademacher(rng: np.random.Generator, count: int) -> Array:
        return rng.choice((-1.0, 1.0), count)

    rtol = relative(unit_roundoff)
    return [
        Directions("3, signs and magnitudes, quadrature (ours)", lambda rng, n: signs(rng, (n,)), DIRECTIONS, quadrature),
        Directions("3 Rademacher, quadrature", rademacher, 3, quadrature),
        Directions("1 Rademacher, quadrature", rademacher, 1, quadrature),
        Directions("1 Gaussian, relative to the slope", _gaussian, 1, lambda terms: rtol * abs(float(np.sum(terms)))),
        Directions("3 non-negative, relative to the sum", _uniform, 3, lambda terms: rtol * float(np.sum(np.abs(terms)))),
    ]


def _gaussian(rng: np.random.Generator, count: int) -> Array:
    return rng.standard_normal(count)


def _uniform(rng: np.random.Generator, count: int) -> Array:
    return rng.random(count)


def relative(unit_roundoff: float) -> float:
    """How far off each numeric entry may be, relatively, for the package's tolerance."""
    return float(of_differences(np.ones(1), unit_roundoff=unit_roundoff)) / 2


def simulate(console: Console, dtype: str, *, entries: int = 256, draws: int = 1000, seed: int = 0) -> None:
    """Which share of wrong and of right gradients a way of choosing directions flags.

    The function is a sum of a_i sin(x_i), whose central differences are taken in float64 with the step of the package. "Noisy"
    adds to every entry of the numeric gradient the largest error that the tolerance is meant for, times a number from -1 to 1.
    """
    unit_roundoff = UNIT_ROUNDOFF[dtype]
    title = f"flagged of {draws:,} draws with {entries} entries; tolerance of {dtype}: {relative(unit_roundoff):.2g}"
    table = Table(title=title, title_justify="left")
    table.add_column("directions and tolerance")
    for name in CASES:
        table.add_column(name, justify="right")
    ways = ways_of(unit_roundoff)
    with bar(console) as progress:
        task = progress.add_task("directions", total=len(ways) * draws)
        for way in ways:
            flagged = dict.fromkeys(CASES, 0)
            rng = np.random.default_rng(seed)
            for _ in range(draws):
                for name, wrong in _simulated(way, rng, entries, relative(unit_roundoff)).items():
                    flagged[name] += wrong
                progress.advance(task)
            table.add_row(way.name, *(f"{each / draws:.1%}" for each in flagged.values()))
    console.print(table)


CASES = (
    "one entry wrong",
    "all 1 % off",
    "two equal entries turned",
    "correct",
    "correct, noisy",
)


def _simulated(way: Directions, rng: np.random.Generator, count: int, rtol: float) -> dict[str, bool]:
    x, a, exact = rng.standard_normal(count), rng.standard_normal(count), UNIT_ROUNDOFF["float64"]
    right = a * np.cos(x)
    # Two entries that are alike: a layer without weights has many.
    alike = np.array(right)
    alike[1] = alike[0]
    entry, turned = np.array(right), np.array(alike)
    entry[rng.integers(count)] = rng.standard_normal()
    turned[:2] *= -1
    noise = rtol * right * rng.uniform(-1, 1, count)
    drawn = [way.draw(rng, count) for _ in range(way.count)]
    found = dict.fromkeys(CASES, False)
    for u in drawn:
        line = Line(lambda xs: [a * np.sin(xs[0])], [x], index=0, direction=u, vs=[np.ones(count)], unit_roundoff=exact)
        numeric = line.central(best_step(exact))
        compared = (
            (numeric, entry),
            (numeric, 1.01 * right),
            (float(np.sum(alike * u)), turned),
            (numeric, right),
            (numeric + float(np.sum(noise * u)), right),
        )
        for name, (slope, gradient) in zip(CASES, compared, strict=True):
            terms = gradient * u
            found[name] |= not abs(slope - float(np.sum(terms))) <= way.allowed(terms)
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    console = Console(width=150)
    for dtype in ("float64", "float32"):
        simulate(console, dtype)


if __name__ == "__main__":
    main()
