"""Where a gradient is wrong: the Jacobian entry by entry, from differences and from reverse mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_dlcheck.gradients.lines import best_step
from pytest_dlcheck.gradients.program import Array, Program
from pytest_dlcheck.tolerance import of_quotient

__all__ = ["Entries", "entries"]

# More than so many evaluations help nobody; what is left out is said.
MOST_INPUTS = 64
MOST_OUTPUTS = 64
SHOWN = 5


@dataclass(frozen=True)
class Entries:
    """The Jacobian of one output with respect to one argument, as far as it was computed.

    Attributes:
        output: which output.
        rows: the flat indices of the output's entries that were computed.
        columns: the flat indices of the argument's.
        shapes: of the output and of the argument.
        numeric: by differences, one row per entry of the output, one column per entry of the argument.
        reverse: by reverse mode, likewise.
        allowed: how far they may differ.
    """

    output: int
    rows: Sequence[int]
    columns: Sequence[int]
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    numeric: Array
    reverse: Array
    allowed: Array

    @property
    def wrong(self) -> Array:
        """Which entries differ by more than they may."""
        return np.asarray(~(np.abs(self.numeric - self.reverse) <= self.allowed))

    def told(self) -> str:
        """Which entries, how many, and the worst ones in figures."""
        wrong = self.wrong
        of_output, of_argument = self.shapes
        whole = len(self.rows) * len(self.columns) == np.prod(of_output, dtype=int) * np.prod(of_argument, dtype=int)
        lines = [
            f"Jacobian of output {self.output} {list(of_output)} by argument {list(of_argument)}: {np.sum(wrong)} of "
            f"{wrong.size} entries are wrong" + ("" if whole else f", of the first {len(self.rows)} x {len(self.columns)}")
        ]
        off = np.where(wrong, np.nan_to_num(np.abs(self.numeric - self.reverse), nan=np.inf), -1)
        for flat in np.argsort(off, axis=None, kind="stable")[::-1][:SHOWN]:
            row, column = np.unravel_index(flat, off.shape)
            if wrong[row, column]:
                of = _index(self.rows[row], of_output), _index(self.columns[column], of_argument)
                numeric, reverse = self.numeric[row, column], self.reverse[row, column]
                lines.append(f"  d output{of[0]} / d argument{of[1]}: differences {numeric:.9g}, reverse mode {reverse:.9g}")
        pattern = self._pattern()
        return "\n".join([*lines, *([f"  {pattern}"] if pattern else [])])

    def _pattern(self) -> str:
        """What the wrong entries have in common, if that says what went wrong."""
        wrong = self.wrong
        numeric, reverse = self.numeric[wrong], self.reverse[wrong]
        if not wrong.any() or not np.isfinite(reverse).all():
            return ""
        if np.all(reverse == 0):
            return "reverse mode gives 0 in all of them: does the gradient stop somewhere?"
        if np.allclose(reverse, -numeric, rtol=1e-3, atol=0):
            return "the sign is turned in all of them"
        if np.all(numeric != 0):
            ratios = reverse / numeric
            if np.ptp(ratios) <= 1e-3 * abs(ratios[0]):
                return f"reverse mode is {ratios[0]:.6g} times the differences in all of them: is a factor missing?"
        return ""


def _index(flat: int, shape: tuple[int, ...]) -> list[int]:
    return [int(each) for each in np.unravel_index(flat, shape)] if shape else []


def entries(program: Program, point: Sequence[Array], argument: int, *, unit_roundoff: float, rtol: float) -> Entries:
    """The Jacobian of the output in which it is wrong most, with respect to one argument.

    Args:
        program: the function.
        point: where.
        argument: the index of the argument.
        unit_roundoff: of the dtype that it computes in.
        rtol: of the largest entry: how far differences may be off.
    """
    values = program.value(point)
    found = []
    for output, value in enumerate(values):
        rows, columns = list(range(min(value.size, MOST_OUTPUTS))), list(range(min(point[argument].size, MOST_INPUTS)))
        cotangents = [_unit(values, output, row) for row in rows]
        numeric, error = _by_differences(program, point, argument, (output, len(rows)), unit_roundoff)
        reverse = np.zeros_like(numeric)
        for place, vs in enumerate(cotangents):
            gradient = program.reverse(point, vs)[argument]
            if gradient is not None:
                reverse[place] = gradient.reshape(-1)[columns]
        largest = float(np.max(np.abs(numeric), initial=0.0, where=np.isfinite(numeric)))
        shapes = value.shape, point[argument].shape
        found.append(Entries(output, rows, columns, shapes, numeric, reverse, rtol * largest + 4 * error))
    return max(found, key=lambda each: int(np.sum(each.wrong)))


def _by_differences(
    program: Program, point: Sequence[Array], argument: int, of: tuple[int, int], unit_roundoff: float
) -> tuple[Array, Array]:
    """One row per entry of an output, one column per entry of the argument; and how far each may be off.

    All rows at once, as `refined` does for one.
    """
    scale = size_of(point[argument])
    columns = min(point[argument].size, MOST_INPUTS)
    output, rows = of
    found = np.zeros((2, rows, columns))
    coarse_step = 4 * best_step(unit_roundoff)

    def moved(column: int, step: float) -> Array:
        xs = list(point)
        xs[argument] = np.array(xs[argument], order="C")
        xs[argument].reshape(-1)[column] += step * scale
        return np.asarray(program.value(xs)[output], dtype=np.float64).reshape(-1)[:rows]

    for column in range(columns):
        differences, magnitude = [], np.zeros(rows)
        for step in (coarse_step, coarse_step / 2):
            above, below = moved(column, step), moved(column, -step)
            differences.append((above - below) / (2 * step))
            magnitude = np.maximum(magnitude, np.maximum(np.abs(above), np.abs(below)))
        coarse, fine = differences
        found[0, :, column] = (4 * fine - coarse) / 3
        found[1, :, column] = np.abs(fine - coarse) / 3 + of_quotient(magnitude, coarse_step / 2, unit_roundoff=unit_roundoff)
    return found[0] / scale, found[1] / scale


def _unit(values: Sequence[Array], output: int, row: int) -> list[Array]:
    vs = [np.zeros(each.shape) for each in values]
    vs[output].reshape(-1)[row] = 1.0
    return vs


def size_of(x: Array) -> float:
    """The size of an argument's entries: their root mean square; 1 where all are zero or there are none."""
    finite = x[np.isfinite(x)] if x.size else x
    size = float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 0.0
    return size if size > 0 else 1.0
