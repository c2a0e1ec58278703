"""The throughput chart: one self-contained piece of HTML, drawn by plotly without a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_dlcheck.report.table import Speed
from pytest_dlcheck.report.words import duration, rate

__all__ = ["throughput_chart"]

# Told apart by people who see colours differently (Okabe and Ito), and legible on light and on dark.
COLOURS = {"tensorflow": "#e08a00", "jax": "#2b7bba", "torch": "#c2559b", "numpy": "#4c9a6a"}
ROW_PX = 26
EDGE_PX = 110


def throughput_chart(speeds: Sequence[Speed]) -> str:
    """Samples per second by model and backend: `fit` filled, the loop written out hollow, a line for what lies between."""
    import plotly.graph_objects as go
    import plotly.io

    figure = go.Figure()
    for column in dict.fromkeys(speed.column for speed in speeds):
        chosen = [speed for speed in speeds if speed.column == column]
        colour = COLOURS.get(chosen[0].backend, "#777777")
        for speed in chosen:
            if speed.loop_median_s is not None:
                figure.add_trace(
                    _trace(
                        go,
                        [speed.samples_per_second, speed.batch_size / speed.loop_median_s],
                        [_place(speed)] * 2,
                        mode="lines",
                        line={"color": colour, "width": 2},
                        hoverinfo="skip",
                        showlegend=False,
                        legendgroup=column,
                    )
                )
        figure.add_trace(_points(go, chosen, colour, column, loop=False))
        if any(speed.loop_s for speed in chosen):
            figure.add_trace(_points(go, [speed for speed in chosen if speed.loop_s], colour, column, loop=True))
    figure.update_layout(
        height=EDGE_PX + ROW_PX * len(speeds),
        margin={"l": 10, "r": 20, "t": 10, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
        hovermode="closest",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        xaxis={"type": "log", "title": {"text": "samples per second (log scale; further right is faster)"}, "dtick": 1},
        yaxis={"automargin": True, "autorange": "reversed", "type": "multicategory", "showdividers": True},
    )
    html: str = plotly.io.to_html(
        figure,
        include_plotlyjs=True,
        full_html=False,
        default_width="100%",
        config={"responsive": True, "displaylogo": False, "displayModeBar": False},
    )
    return html


def _place(speed: Speed) -> tuple[str, str]:
    """Where a model and a column stand on the chart's second axis."""
    return speed.subject.removeprefix("models."), speed.column


def _trace(go: Any, x: Sequence[float], places: Sequence[tuple[str, str]], **options: Any) -> Any:
    return go.Scatter(x=list(x), y=[[model for model, _ in places], [column for _, column in places]], **options)


def _points(go: Any, chosen: Sequence[Speed], colour: str, column: str, *, loop: bool) -> Any:
    samples = [speed.loop_s if loop else speed.fit_s for speed in chosen]
    middles = [speed.loop_median_s if loop else speed.fit_median_s for speed in chosen]
    x = [speed.batch_size / middle for speed, middle in zip(chosen, middles, strict=True) if middle is not None]
    quartiles = [Speed.spread(each) for each in samples]
    return _trace(
        go,
        x,
        [_place(speed) for speed in chosen],
        mode="markers",
        name=f"{column}, {'own loop' if loop else 'fit'}",
        legendgroup=column,
        marker={
            "color": colour,
            "size": 11,
            "symbol": "circle-open" if loop else "circle",
            "line": {"color": colour, "width": 2},
        },
        # Half of the samples lie within: a slow quartile of the step's time is the low one of the rate.
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [s.batch_size / low - v for s, (low, _), v in zip(chosen, quartiles, x, strict=True)],
            "arrayminus": [v - s.batch_size / high for s, (_, high), v in zip(chosen, quartiles, x, strict=True)],
            "color": colour,
            "thickness": 1,
            "width": 3,
        },
        text=[
            f"{speed.subject.removeprefix('models.')}, {column}, {'own loop' if loop else 'fit'}<br>"
            f"{rate(value)} samples/s, {duration(speed.batch_size / value)} a step of {speed.batch_size}"
            for speed, value in zip(chosen, x, strict=True)
        ],
        hoverinfo="text",
    )
