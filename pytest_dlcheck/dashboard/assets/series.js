"use strict";
// Draws a line of the history: nights, band, changes, versions, samples, and two nights beside each other.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const nights = data.nights;
  const value = (night) => (data.ratios ? night.ratio : night.value);
  const named = (versions) => Object.entries(data.versions[versions]).map(([name, version]) => `${name} ${version}`).join(", ");
  const effect = (change) => (change.kind === "spread" ? `scatter × ${(1 + change.effect).toFixed(1)}` : `${change.effect > 0 ? "+" : ""}${(100 * change.effect).toFixed(1)} %`);
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const raw = document.getElementById("raw");
  const layout = () => ({
    margin: { l: 60, r: 20, t: 44, b: 50 }, modebar: { bgcolor: "rgba(0,0,0,0)", color: style("--soft"), activecolor: style("--accent") },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 13, color: style("--ink") },
    showlegend: false, hovermode: "closest",
    xaxis: { gridcolor: style("--line"), zeroline: false, automargin: true }, yaxis: { gridcolor: style("--line"), zeroline: false, automargin: true },
  });
  // One wild night must not press all others into a line: what lies far outside is drawn at the edge, with an arrow.
  const FAR = 4;
  // Of a long line the newest part is drawn at first: all of it takes seconds and is a blur.
  const LONGEST = 400;
  const every = document.getElementById("every");
  every.parentElement.hidden = nights.length <= LONGEST;
  const quantile = (sorted, share) => sorted[Math.round(share * (sorted.length - 1))];
  const limits = (values) => {
    const sorted = [...values].sort((a, b) => a - b);
    const [low, high] = [quantile(sorted, 0.02), quantile(sorted, 0.98)];
    const [first, last] = [Math.max(sorted[0], low - FAR * (high - low)), Math.min(sorted.at(-1), high + FAR * (high - low))];
    const [least, most] = nights.length < 20 || high === low ? [sorted[0], sorted.at(-1)] : [Math.max(first, low - 0.6 * (high - low)), Math.min(last, high + 0.6 * (high - low))];
    const room = 0.08 * (most - least) || 0.02 * most || 1;
    return [least - room, most + room];
  };
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
  const draw = () => {
    const oldest = every.checked ? 0 : Math.max(0, nights.length - LONGEST);
    const drawn = nights.slice(oldest);
    const shown = (night) => (raw && raw.checked ? night.value : value(night));
    const unit = data.ratios && !(raw && raw.checked) ? `times ${data.reference}` : data.unit;
    const traces = [];
    if (!(raw && raw.checked)) {
      for (const whole of data.bands.filter((each) => each.last >= oldest)) {
        const first = Math.max(oldest, whole.first);
        const slope = (whole.end - whole.middle) / Math.max(1, whole.last - whole.first);
        const band = { ...whole, first, middle: whole.middle + slope * (first - whole.first) };
        const ends = [nights[band.first].at, nights[band.last].at];
        traces.push({ x: [...ends, ...[...ends].reverse()], y: [band.middle + band.wide, band.end + band.wide, band.end - band.wide, band.middle - band.wide], fill: "toself", fillcolor: style("--band"), line: { width: 0 }, mode: "lines", hoverinfo: "skip" });
        traces.push({ x: ends, y: [band.middle, band.end], mode: "lines", line: { color: style("--accent"), width: 1, dash: "dot" }, hoverinfo: "skip" });
      }
    }
    const [bottom, top] = limits(drawn.map(shown));
    const [accent, warn] = [style("--accent"), style("--warn")];
    const outside = (night) => (shown(night) > top ? 1 : shown(night) < bottom ? -1 : 0);
    traces.push({
      x: drawn.map((night) => night.at), y: drawn.map((night) => Math.min(top, Math.max(bottom, shown(night)))), mode: "lines+markers", cliponaxis: false,
      line: { color: style("--accent"), width: 1 },
      marker: { color: drawn.map((night) => (outside(night) ? warn : accent)), size: drawn.map((night) => (outside(night) ? 11 : 5)), symbol: drawn.map((night) => ["triangle-down", "circle", "triangle-up"][outside(night) + 1]) },
      text: drawn.map((night) => `${night.at} · ${shown(night)} ${unit}<br>${night.commit ? `commit ${escaped(night.commit)}<br>` : ""}${escaped(named(night.versions))}`), hoverinfo: "text",
    });
    const made = layout();
    made.yaxis.title = { text: unit };
    if (unit === "s") made.yaxis.ticksuffix = " s";
    made.yaxis.range = [bottom, top];
    const days = nights.map((night) => Date.parse(`${night.at.replace(" ", "T")}Z`));
    const span = days.at(-1) - days[oldest];
    const room = Math.max(864e5, 0.02 * span);
    made.xaxis.range = [days[oldest] - room, days.at(-1) + room].map((day) => new Date(day).toISOString());
    // Labels keep apart: one that would lie on its neighbour goes a step lower.
    const width = Math.max(300, document.getElementById("chart").clientWidth - 80);
    const pixel = (at) => ((Date.parse(`${at.replace(" ", "T")}Z`) - days[oldest]) / Math.max(1, span)) * width;
    const taken = [];
    const side = (at) => (pixel(at) > width - 90 ? "right" : pixel(at) < 90 ? "left" : "center");
    const level = (at, text) => {
      const long = 8 * text.length;
      const left = pixel(at) - { left: 0, center: long / 2, right: long }[side(at)];
      const right = left + long;
      let step = 0;
      while (taken.some(([other, from, to]) => other === step && left < to && from < right)) step += 1;
      taken.push([step, left, right]);
      return step;
    };
    made.shapes = []; made.annotations = [];
    for (const change of data.changes.filter((each) => each.index >= oldest)) {
      const at = nights[change.index].at;
      made.shapes.push({ type: "line", x0: at, x1: at, yref: "paper", y0: 0, y1: 1, line: { color: style("--fail"), width: 2, dash: "dash" } });
      if (change.latest > change.earliest) made.shapes.push({ type: "rect", x0: nights[Math.max(oldest, change.earliest - 1)].at, x1: nights[change.latest].at, yref: "paper", y0: 0, y1: 1, line: { width: 0 }, fillcolor: style("--fail"), opacity: 0.12 });
      const text = `${change.kind} ${effect(change)}`;
      made.annotations.push({ x: at, yref: "paper", y: 1, yanchor: "top", yshift: -18 * level(at, text), xanchor: side(at), showarrow: false, text, font: { color: style("--fail") }, bgcolor: style("--card") });
    }
    nights.forEach((night, place) => {
      if (place > oldest && night.versions !== nights[place - 1].versions) {
        const [before, now] = [data.versions[nights[place - 1].versions], data.versions[night.versions]];
        const moved = Object.keys(now).filter((name) => now[name] !== before[name]).map((name) => `${name} ${now[name]}`);
        made.shapes.push({ type: "line", x0: night.at, x1: night.at, yref: "paper", y0: 0, y1: 1, line: { color: style("--soft"), width: 1, dash: "dot" } });
        made.annotations.push({ x: night.at, yref: "paper", y: 0, yanchor: "bottom", xanchor: "left", textangle: -90, showarrow: false, text: escaped(moved.join(", ")), font: { size: 11, color: style("--soft") } });
      }
    });
    for (const [day, text] of data.notes) {
      if (day < nights[oldest].at || day > `${nights.at(-1).at}~`) continue;
      made.shapes.push({ type: "line", x0: day, x1: day, yref: "paper", y0: 0, y1: 1, line: { color: style("--warn"), width: 1 } });
      made.annotations.push({ x: day, yref: "paper", y: 1, yanchor: "top", yshift: -18 * level(day, text), xanchor: side(day), showarrow: false, text: `✎ ${escaped(text)}`, font: { size: 11, color: style("--warn") }, bgcolor: style("--card") });
    }
    Plotly.react("chart", traces, made, config);
  };
  const samples = () => {
    const chosen = ["one", "two"].map((name) => nights[Number(document.getElementById(name).value)]);
    const traces = chosen.map((night, place) => ({
      x: night.samples, y: night.samples.map((_, number) => `${place ? "second" : "first"}: ${night.at}`), mode: "markers",
      marker: { size: 11, symbol: place ? "diamond-open" : "circle-open", color: style(place ? "--warn" : "--accent"), line: { width: 2 } }, hoverinfo: "x",
    }));
    const made = layout();
    made.xaxis.title = { text: `samples, ${data.unit}`, standoff: 12 };
    Object.assign(made.margin, { t: 30, b: 70 });
    Plotly.react("samples", traces, made, config);
    const ratio = value(chosen[1]) / value(chosen[0]);
    const differ = chosen[0].versions !== chosen[1].versions ? `; versions differ: ${named(chosen[0].versions)} and ${named(chosen[1].versions)}` : "; same versions";
    document.getElementById("said").textContent = `The second is ${ratio.toFixed(3)} times the first${data.ratios ? " (both as ratios to the reference of their own night)" : ""}${differ}. Two nights are no paired comparison: noise between nights is in it.`;
    history.replaceState(null, "", `#${document.getElementById("one").value},${document.getElementById("two").value}`);
  };
  const given = location.hash.slice(1).split(",").map(Number);
  ["one", "two"].forEach((name, place) => {
    const select = document.getElementById(name);
    select.append(...nights.map((night, number) => new Option(`${night.at} (run ${night.run})`, number)));
    const fallback = place ? nights.length - 1 : Math.max(0, nights.length - 2);
    select.value = Number.isInteger(given[place]) && given.length === 2 && nights[given[place]] ? given[place] : fallback;
    select.addEventListener("input", samples);
  });
  for (const each of [raw, every]) each?.addEventListener("input", draw);
  draw();
  samples();
  document.getElementById("chart").on("plotly_click", (event) => {
    const number = nights.findIndex((night) => night.at === event.points[0].x);
    if (number >= 0) { document.getElementById("two").value = number; samples(); }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { draw(); samples(); });
})();
