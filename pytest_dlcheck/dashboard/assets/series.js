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
    margin: { l: 60, r: 20, t: 30, b: 55 }, modebar: { bgcolor: "rgba(0,0,0,0)" },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 13, color: style("--ink") },
    showlegend: false, hovermode: "closest",
    xaxis: { gridcolor: style("--line"), zeroline: false }, yaxis: { gridcolor: style("--line"), zeroline: false, automargin: true },
  });
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
  const draw = () => {
    const shown = (night) => (raw && raw.checked ? night.value : value(night));
    const unit = data.ratios && !(raw && raw.checked) ? `times ${data.reference}` : data.unit;
    const traces = [];
    if (!(raw && raw.checked)) {
      for (const band of data.bands) {
        const ends = [nights[band.first].at, nights[band.last].at];
        traces.push({ x: [...ends, ...[...ends].reverse()], y: [band.middle + band.wide, band.middle + band.wide, band.middle - band.wide, band.middle - band.wide], fill: "toself", fillcolor: style("--band"), line: { width: 0 }, mode: "lines", hoverinfo: "skip" });
        traces.push({ x: ends, y: [band.middle, band.middle], mode: "lines", line: { color: style("--accent"), width: 1, dash: "dot" }, hoverinfo: "skip" });
      }
    }
    traces.push({
      x: nights.map((night) => night.at), y: nights.map(shown), mode: "lines+markers",
      line: { color: style("--accent"), width: 1 }, marker: { color: style("--accent"), size: 5 },
      text: nights.map((night) => `${night.at} · ${shown(night)} ${unit}<br>${night.commit ? `commit ${escaped(night.commit)}<br>` : ""}${escaped(named(night.versions))}`), hoverinfo: "text",
    });
    const made = layout();
    made.yaxis.title = { text: unit };
    made.shapes = []; made.annotations = [];
    for (const change of data.changes) {
      const at = nights[change.index].at;
      made.shapes.push({ type: "line", x0: at, x1: at, yref: "paper", y0: 0, y1: 1, line: { color: style("--fail"), width: 2, dash: "dash" } });
      if (change.latest > change.earliest) made.shapes.push({ type: "rect", x0: nights[Math.max(0, change.earliest - 1)].at, x1: nights[change.latest].at, yref: "paper", y0: 0, y1: 1, line: { width: 0 }, fillcolor: style("--fail"), opacity: 0.12 });
      made.annotations.push({ x: at, yref: "paper", y: 1, yanchor: "bottom", showarrow: false, text: `${change.kind} ${effect(change)}`, font: { color: style("--fail") } });
    }
    nights.forEach((night, place) => {
      if (place && night.versions !== nights[place - 1].versions) {
        const [before, now] = [data.versions[nights[place - 1].versions], data.versions[night.versions]];
        const moved = Object.keys(now).filter((name) => now[name] !== before[name]).map((name) => `${name} ${now[name]}`);
        made.shapes.push({ type: "line", x0: night.at, x1: night.at, yref: "paper", y0: 0, y1: 1, line: { color: style("--soft"), width: 1, dash: "dot" } });
        made.annotations.push({ x: night.at, yref: "paper", y: 0, yanchor: "bottom", xanchor: "left", textangle: -90, showarrow: false, text: escaped(moved.join(", ")), font: { size: 11, color: style("--soft") } });
      }
    });
    for (const [day, text] of data.notes) {
      if (day < nights[0].at || day > `${nights.at(-1).at}~`) continue;
      made.annotations.push({ x: day, yref: "paper", y: 0.94, showarrow: false, text: `✎ ${escaped(text)}`, font: { size: 11, color: style("--warn") }, bgcolor: style("--card") });
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
    made.xaxis.title = { text: `samples, ${data.unit}` };
    made.yaxis.automargin = true;
    Plotly.react("samples", traces, made, config);
    const ratio = value(chosen[1]) / value(chosen[0]);
    const differ = chosen[0].versions !== chosen[1].versions ? `; versions differ: ${named(chosen[0].versions)} and ${named(chosen[1].versions)}` : "; same versions";
    document.getElementById("said").textContent = `The second is ${ratio.toFixed(3)} times the first${data.ratios ? " (both as ratios to the reference of their own night)" : ""}${differ}. Two nights are no paired comparison: noise between nights is in it.`;
    history.replaceState(null, "", `#${document.getElementById("one").value},${document.getElementById("two").value}`);
  };
  const given = location.hash.slice(1).split(",").map(Number);
  ["one", "two"].forEach((name, place) => {
    const select = document.getElementById(name);
    nights.forEach((night, number) => select.append(new Option(`${night.at} (run ${night.run})`, number)));
    const fallback = place ? nights.length - 1 : Math.max(0, nights.length - 2);
    select.value = Number.isInteger(given[place]) && given.length === 2 && nights[given[place]] ? given[place] : fallback;
    select.addEventListener("input", samples);
  });
  raw?.addEventListener("input", draw);
  draw();
  samples();
  document.getElementById("chart").on("plotly_click", (event) => {
    const number = nights.findIndex((night) => night.at === event.points[0].x);
    if (number >= 0) { document.getElementById("two").value = number; samples(); }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { draw(); samples(); });
})();
