"""How much is drawn and observed of a layer, in each profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pytest_dlcheck.backends.base import Backend

__all__ = ["ENOUGH", "EXAMPLES", "TURNS", "Effort"]

# After so many cases without it, something that never showed is missing.
ENOUGH = 8


@dataclass(frozen=True)
class Effort:
    """How much is drawn for one item.

    Attributes:
        examples: cases in each group of modes.
        values: how many further sets of values go through each case's layer, or what it was traced to.
        op_by_op: eager cases where the framework compiles every operation for every shape, which takes a second a case.
        costly: how many of them are observed with files and empty batches.
        shrink_s: seconds to look for a smaller case of one failing property.
        in_turns: whether a case is observed in one half of the ways only, the next one in the other half.
        quick: whether what is compiled for the eager calls goes without the compiler's optimizations.
        replays: whether the register's stored cases are judged, too.
        pool: out of how many times as many cases those are chosen that show most combinations of options; 1 to take them as
            they are drawn.
    """

    examples: Mapping[str, int]
    values: int
    op_by_op: int
    costly: int
    shrink_s: float
    in_turns: bool = False
    quick: bool = False
    replays: bool = True
    pool: int = 1

    def cases(self, group: str, backend: Backend) -> int:
        """How many cases a group of modes gets on a backend."""
        return self.op_by_op if group == "eager" and backend.compiles_operations else self.examples[group]


EXAMPLES: Mapping[str, Effort] = MappingProxyType(
    {
        "smoke": Effort(
            {"eager": 3, "graph": 1, "compiled": 1},
            values=4,
            op_by_op=2,
            costly=1,
            shrink_s=5,
            in_turns=True,
            quick=True,
            replays=False,
        ),
        "default": Effort(
            {"eager": 15, "graph": 5, "compiled": 2}, values=8, op_by_op=5, costly=8, shrink_s=20, quick=True, pool=12
        ),
        "nightly": Effort({"eager": 150, "graph": 40, "compiled": 12}, values=20, op_by_op=50, costly=60, shrink_s=60, pool=6),
    }
)

TURNS: tuple[frozenset[str], ...] = (
    frozenset({"again", "training", "rows", "dropped"}),
    frozenset({"identities", "defaulted", "config"}),
)
"""The parts of an observation that take calls or layers of their own, in halves that take about as long."""
