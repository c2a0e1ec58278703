"""Measures which share of its tolerance a correct layer uses, per dtype: where the constants in `tolerance.py` come from.

`python docs/calibration.py tensorflow 40 shares-tensorflow.json` runs forty cases of each layer that has a reference,
each under the policy that it is drawn with. `python docs/calibration.py --draw shares-*.json calibration.html` draws what
several backends gave.

A share is the largest error of one output, entry by entry, in units of the tolerance there. Known failures are left out.
Beside that it counts in how many outputs two defects would be seen: one entry off by a hundredth of the largest, and every
entry off by a hundredth of itself.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from pytest_dlcheck.backends import create, versions
from pytest_dlcheck.backends.base import Backend
from pytest_dlcheck.cases.case import Case
from pytest_dlcheck.checking import LayerCheck
from pytest_dlcheck.devices import kinds_by_name
from pytest_dlcheck.effort import EXAMPLES
from pytest_dlcheck.known_issues import known_issues
from pytest_dlcheck.observe.layer import observe
from pytest_dlcheck.observe.layer_observation import Outcome
from pytest_dlcheck.properties.layers.judging import Judging
from pytest_dlcheck.seeds import derive
from pytest_dlcheck.strategies.draw import random_case
from pytest_dlcheck.subjects.layers import SPECS
from pytest_dlcheck.subjects.spec import LayerSpec, World
from pytest_dlcheck.tolerance import Bounded

EDGES = (0.0, *(2.0**power for power in range(-14, 4)))


def shares_of(judging: Judging) -> list[tuple[float, bool, bool]]:
    """For each output: the share of its tolerance that the worst entry uses, and which of the two defects would be seen."""
    outcome, references = judging.outcome, judging.reference()
    if not isinstance(outcome, Outcome) or references is None:
        return []
    found = []
    for value, expected in zip(outcome.values, references, strict=False):
        if not isinstance(expected, Bounded) or expected.value.shape != value.array.shape or not expected.value.size:
            continue
        if not np.isfinite(expected.value).all() or np.isnan(value.float64).any() or judging.too_large([expected.value]):
            continue
        error = np.abs(value.float64 - expected.value)
        largest = np.max(np.abs(expected.value))
        if not largest > 0:
            continue
        entry = bool(0.01 * largest > np.median(expected.tolerance))
        every = bool((0.01 * np.abs(expected.value) > expected.tolerance).any())
        found.append((float(np.max(error / expected.tolerance)), entry, every))
    return found


def cases_of(spec: LayerSpec, world: World, count: int) -> list[Case]:
    drawn = [random_case(spec, world, derive(7, spec.subject, str(number)))[0] for number in range(count)]
    return [case for case in drawn if spec.unsupported(case, world) is None]


def measure(backend: Backend, count: int) -> dict[str, Any]:
    installed = versions(backend.name)
    found: dict[str, dict[str, list[tuple[float, bool, bool]]]] = defaultdict(dict)
    for name, spec in SPECS.items():
        kind = getattr(backend.keras.layers, name, None)
        usable = kind is not None and not spec.abstract and spec.reference is not None and not spec.requires
        if not usable or (spec.backends and backend.name not in spec.backends):
            continue
        world = World.of(backend.name, installed["keras"], kind, "cpu")
        check = LayerCheck(
            spec,
            backend,
            world,
            "eager",
            seed=0,
            effort=EXAMPLES["default"],
            known=lambda wanted, spec=spec: known_issues(spec.subject, wanted, backend.name, installed, device="cpu:0"),
        )
        for case in cases_of(spec, world, count):
            if any(check.expected(each, case) for each in ("accepts", "reference", "state")):
                continue
            try:
                seen = Judging(spec, world, observe(spec, case, backend))
                shares = shares_of(seen)
                if not all(share <= 1 for share, _, _ in shares):
                    print(f"{name}: {max(shares)[0]:.3g} of its tolerance: {case.key()}", file=sys.stderr)  # noqa: T201
            except Exception as error:  # noqa: BLE001 - a case that does not run measures nothing
                print(f"{name} {case.policy}: {type(error).__name__}", file=sys.stderr)  # noqa: T201
                continue
            found[case.compute_dtype].setdefault(name, []).extend(shares)
    return {"backend": backend.name, "versions": installed, "shares": found}


COLUMNS = (
    "backend",
    "dtype",
    "outputs",
    "exact",
    "median of the others",
    "99 %",
    "largest",
    "one entry off by 1 % of the largest",
    "all off by 1 %",
)


def table(runs: list[dict[str, Any]]) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for run in runs:
        for dtype, layers in run["shares"].items():
            rows = [row for each in layers.values() for row in each]
            shares = np.array([row[0] for row in rows])
            inexact = shares[shares > 0]
            worst = max(layers, key=lambda name: max((row[0] for row in layers[name]), default=0))
            cells = (
                run["backend"],
                dtype,
                f"{len(rows):,}",
                f"{np.mean(shares == 0):.0%}",
                f"{np.median(inexact):.2g}",
                f"{np.quantile(inexact, 0.99):.2g}",
                f"{shares.max():.2g} ({worst})",
                f"seen in {np.mean([row[1] for row in rows]):.0%}",
                f"seen in {np.mean([row[2] for row in rows]):.0%}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(runs: list[dict[str, Any]], path: Path) -> None:
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    dtypes = sorted({dtype for run in runs for dtype in run["shares"]})
    figure = make_subplots(rows=len(dtypes), cols=1, shared_xaxes=True, subplot_titles=dtypes, vertical_spacing=0.06)
    colours = {"tensorflow": "#d95f02", "jax": "#7570b3", "torch": "#1b9e77", "numpy": "#666666"}
    labels = ["0", *(f"2^{power}" for power in range(-14, 3))]
    for place, dtype in enumerate(dtypes, start=1):
        for run in runs:
            shares = [row[0] for each in run["shares"].get(dtype, {}).values() for row in each]
            counts, _ = np.histogram(shares, bins=(*EDGES[:-1], np.inf))
            bar = go.Bar(x=labels, y=counts, name=run["backend"], marker_color=colours[run["backend"]], showlegend=place == 1)
            figure.add_trace(bar, row=place, col=1)
    figure.update_xaxes(title_text="largest error of an output, at least this share of its tolerance", row=len(dtypes), col=1)
    figure.update_yaxes(type="log")
    figure.update_layout(template="plotly_white", height=220 * len(dtypes), width=900, margin={"t": 40, "b": 60})
    figure.write_html(path, include_plotlyjs=True, config={"displayModeBar": False})


def main() -> None:
    if sys.argv[1] == "--draw":
        runs = [json.loads(Path(name).read_text()) for name in sys.argv[2:-1]]
        draw(runs, Path(sys.argv[-1]))
    else:
        name, count, target = sys.argv[1:]
        backend = create(name, kinds_by_name(()), 1)
        backend.load()
        warnings.simplefilter("ignore")
        runs = [measure(backend, int(count))]
        Path(target).write_text(json.dumps(runs[0]))
    print(table(runs))  # noqa: T201


if __name__ == "__main__":
    main()
