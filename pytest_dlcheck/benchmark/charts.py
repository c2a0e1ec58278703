"""The charts of a comparison's page, drawn by plotly without a network."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from pytest_dlcheck.benchmark.comparison import AGAIN, CANDIDATE, REFERENCE, Comparison
from pytest_dlcheck.benchmark.verdicts import Verdicts

__all__ = ["distribution_chart", "pairs_chart", "phases_chart", "throughput_chart"]

# Told apart by people who see colours differently (Okabe and Ito), and legible on light and on dark.
COLOUR = {REFERENCE: "#2b7bba", CANDIDATE: "#e08a00", AGAIN: "#8a939b"}
PARTS = {"import": "#2b7bba", "build": "#4c9a6a", "compile": "#c2559b", "calls": "#8a939b", "steps": "#e08a00"}
BAND = "rgba(224, 138, 0, 0.18)"
HEIGHT_PX = 300


def _html(figure: Any, *, height: int, library: bool) -> str:
    import plotly.io

    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 20, "t": 34, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
        hovermode="closest",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
    )
    figure.update_xaxes(gridcolor="#cfd5da", zerolinecolor="#8a939b", automargin=True)
    figure.update_yaxes(gridcolor="#cfd5da", zerolinecolor="#8a939b", automargin=True)
    text: str = plotly.io.to_html(
        figure,
        include_plotlyjs=library,
        full_html=False,
        default_width="100%",
        config={"responsive": True, "displaylogo": False, "displayModeBar": False},
    )
    return text


def throughput_chart(compared: Sequence[Comparison]) -> str:
    """Samples per second of each workload and side: a dot for the median, whiskers that hold half of the blocks.

    It brings plotly's library, which the other charts of the page use.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for role in (REFERENCE, CANDIDATE):
        chosen = [each for each in compared if each.runs(role)]
        if not chosen:
            continue
        speeds = [sorted(1 / t for run in each.runs(role) for t in run.per_sample(each.clock) if t > 0) for each in chosen]
        middles = [statistics.median(values) for values in speeds]
        lows, highs = ([values[int(share * (len(values) - 1))] for values in speeds] for share in (0.25, 0.75))
        figure.add_trace(
            go.Scatter(
                x=middles,
                y=[each.workload.rpartition(":")[2] for each in chosen],
                mode="markers",
                name=chosen[0].labels[role],
                marker={"color": COLOUR[role], "size": 12, "symbol": "circle" if role == CANDIDATE else "circle-open"},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [high - middle for high, middle in zip(highs, middles, strict=True)],
                    "arrayminus": [middle - low for low, middle in zip(lows, middles, strict=True)],
                    "color": COLOUR[role],
                    "thickness": 1,
                },
            )
        )
    spread = max(figure.data, key=lambda trace: max(trace.x)).x if figure.data else [1.0]
    kind = "log" if max(spread) > 20 * min(spread) else "linear"
    figure.update_xaxes(type=kind, title={"text": "samples per second (further right is faster)"}, rangemode="tozero")
    figure.update_yaxes(autorange="reversed")
    return _html(figure, height=120 + 34 * len(compared), library=True)


def pairs_chart(compared: Comparison, verdicts: Verdicts) -> str:
    """Every pair's ratio in the order of measurement, set by set, with the median, its interval and the threshold."""
    import plotly.graph_objects as go

    figure = go.Figure()
    names = {"ab": (CANDIDATE, "compared"), "aa": (AGAIN, "the same code against itself")}
    for kind in ("aa", "ab"):
        x: list[int] = []
        y: list[float] = []
        edges: list[int] = []
        for each in compared.rounds:
            pairs = each.pairs(compared.clock)
            ratios = pairs.ab if kind == "ab" else pairs.aa
            start = edges[-1] if edges else 0
            edges.append(start + len(pairs.aa))
            x += range(start + 1, start + len(ratios) + 1)
            y += [100 * math.expm1(ratio) for ratio in ratios]
        if not y:
            continue
        role, name = names[kind]
        marker = {"color": COLOUR[role], "size": 6, "symbol": "circle" if kind == "ab" else "cross-thin-open"}
        figure.add_trace(go.Scatter(x=x, y=y, mode="markers", name=name, marker=marker))
        for edge in edges[:-1]:
            figure.add_vline(x=edge + 0.5, line={"color": "#8a939b", "width": 1, "dash": "dot"})
    judged = verdicts.step[compared.gate]
    low, middle, high = judged.effect.percent
    if math.isfinite(judged.effect.low):
        figure.add_hrect(y0=low, y1=high, fillcolor=BAND, line={"width": 0})
    figure.add_hline(y=middle, line={"color": COLOUR[CANDIDATE], "width": 2})
    threshold = 100 * math.expm1(judged.threshold)
    text = f"threshold {threshold:+.1f} %"
    figure.add_hline(y=threshold, line={"color": "#b3261e", "width": 1, "dash": "dash"}, annotation_text=text)
    # Where the median and its interval lie must be seen, whatever a few pairs show.
    values = sorted(abs(y) for trace in figure.data for y in trace.y)
    reach = 1.3 * max(values[int(0.95 * (len(values) - 1))], abs(low) if math.isfinite(low) else 0.0, threshold)
    figure.update_yaxes(title={"text": "longer by, %"}, range=[-reach, reach], ticksuffix=" %")
    figure.update_xaxes(title={"text": "pair (a dotted line: fresh processes)"})
    return _html(figure, height=HEIGHT_PX, library=False)


def distribution_chart(compared: Comparison) -> str:
    """How long a step takes, block by block: a histogram of each side."""
    import plotly.graph_objects as go

    figure = go.Figure()
    roles = [role for role in (REFERENCE, CANDIDATE) if compared.runs(role)]
    steps = {role: [1e3 * step for step in compared.steps(role)] for role in roles}
    whole = sorted(step for values in steps.values() for step in values)
    low, high = whole[0], whole[math.ceil(0.99 * len(whole)) - 1]
    width = max((high - low) / 40, 1e-9)
    for role in roles:
        figure.add_trace(
            go.Histogram(
                x=steps[role],
                name=compared.labels[role],
                marker={"color": COLOUR[role]},
                opacity=0.65,
                xbins={"start": low, "end": high + width, "size": width},
            )
        )
        figure.add_vline(x=statistics.median(steps[role]), line={"color": COLOUR[role], "width": 2, "dash": "dot"})
    figure.update_layout(barmode="overlay")
    figure.update_xaxes(title={"text": "ms a step, mean of a block (dotted: median)"})
    figure.update_yaxes(title={"text": "blocks"})
    return _html(figure, height=HEIGHT_PX, library=False)


def phases_chart(compared: Comparison) -> str:
    """Where the time of a training of so many steps goes: medians over the processes."""
    import plotly.graph_objects as go

    figure = go.Figure()
    roles = [role for role in (CANDIDATE, REFERENCE) if compared.runs(role)]
    for part, colour in PARTS.items():
        seconds = []
        for role in roles:
            if part == "steps":
                seconds.append(compared.total_steps * statistics.median(compared.steps(role)))
            elif part == "calls":
                seconds.append(statistics.median(compared.values(role, "call")))
            else:
                seconds.append(statistics.median(compared.values(role, part)))
        labels = [compared.labels[role] for role in roles]
        name = {"calls": "one call of fit besides", "steps": f"{compared.total_steps} steps"}.get(part, part)
        figure.add_trace(go.Bar(x=seconds, y=labels, name=name, orientation="h", marker={"color": colour}))
    figure.update_layout(barmode="stack", legend={"traceorder": "normal"})
    clock = "processor" if compared.gate == "cpu" else "wall"
    figure.update_xaxes(title={"text": f"seconds ({clock} time)"})
    return _html(figure, height=130 + 46 * len(roles), library=False)
