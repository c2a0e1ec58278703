"""How often a paired comparison is wrong, on machines that are made up: the table of docs/comparing.md.

python docs/bench_simulation.py [COMPARISONS]
"""

# ruff: noqa: T201 - a script
from __future__ import annotations

import math
import sys

from pytest_dlcheck.benchmark.simulation import NOISES, rates
from pytest_dlcheck.seeds import derive

CHANGES = (0.0, 0.02, 0.05, 0.10)


def main() -> None:
    comparisons = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    print(f"{comparisons} comparisons each; regressed / inconclusive, in percent; mean number of pairs")
    print("| noise |" + "".join(f" {100 * change:+.0f} % |" for change in CHANGES) + " pairs at +0 % |")
    print("|---|" + "---|" * (len(CHANGES) + 1))
    for name, noise in NOISES.items():
        found = [
            rates(noise, math.log1p(change), comparisons, derive(0, "bench_simulation", name, str(change)))
            for change in CHANGES
        ]
        cells = "".join(f" {100 * each.regressed:.1f} / {100 * each.inconclusive:.1f} |" for each in found)
        print(f"| {name} |{cells} {found[0].pairs:.0f} |")


if __name__ == "__main__":
    main()
