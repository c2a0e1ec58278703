"use strict";
// Puts two products beside each other: verdicts that differ, versions, speed. Everything of a report is set as text.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { glyphs, harmless } = JSON.parse(document.getElementById("glyphs").textContent);
  if (data.products.length < 2) return;
  const LONGEST = 1000;
  const [first, second, search] = ["first", "second", "search"].map((name) => document.getElementById(name));
  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const cell = (content, attributes) => {
    const made = element("td", undefined, attributes);
    made.append(content);
    return made;
  };
  const badge = (verdict) => element("span", `${glyphs[verdict]} ${verdict.replaceAll("_", " ")}`, { class: `verdict v-${verdict}` });
  const anchor = (text, href) => element("a", text, { href });
  const row = (...cells) => {
    const made = element("tr");
    made.append(...cells);
    return made;
  };
  const fill = (id, rows) => {
    document.getElementById(id).hidden = !rows.length;
    document.querySelector(`#${id} tbody`).replaceChildren(...rows);
  };
  const figure = (value, unit) => {
    if (unit === "s") return value < 1e-3 ? `${(value * 1e6).toPrecision(3)} µs` : value < 1 ? `${(value * 1e3).toPrecision(3)} ms` : `${value.toPrecision(3)} s`;
    if (unit === "bytes") return `${(value / 2 ** 20).toPrecision(4)} MiB`;
    return `${value.toPrecision(4)} ${unit}`;
  };
  const draw = () => {
    const [one, two] = [Number(first.value), Number(second.value)];
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const named = (...parts) => words.every((word) => parts.join(" ").toLowerCase().includes(word));
    document.querySelectorAll(".one").forEach((each) => { each.textContent = data.products[one].name; });
    document.querySelectorAll(".two").forEach((each) => { each.textContent = data.products[two].name; });
    const both = data.checks.filter(([subject, , property, where, verdicts]) => verdicts[one] && verdicts[two] && verdicts[one] !== verdicts[two] && named(subject, property, where));
    const bad = (verdict) => !harmless.includes(verdict);
    const count = (place, other) => both.filter(([, , , , verdicts]) => bad(verdicts[place]) && !bad(verdicts[other])).length;
    const weight = ([, , , , verdicts]) => (bad(verdicts[one]) !== bad(verdicts[two]) ? 0 : 1);
    both.sort((a, b) => weight(a) - weight(b) || (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
    fill("checks", both.slice(0, LONGEST).map(([subject, page, property, where, verdicts]) => row(
      cell(anchor(subject, `subject/${page}.html`), { class: "wide" }), cell(property), cell(where, { class: "small" }), cell(badge(verdicts[one])), cell(badge(verdicts[two])),
    )));
    document.getElementById("none").hidden = both.length > 0;
    const more = document.getElementById("more");
    more.hidden = both.length <= LONGEST;
    more.textContent = `and ${both.length - LONGEST} more: filter`;
    document.getElementById("said").textContent = one === two ? "The same product twice." : `${both.length} checks say something else; ${count(one, two)} fail in the first alone, ${count(two, one)} in the second alone.`;
    const facts = [...new Set([...Object.keys(data.products[one].facts), ...Object.keys(data.products[two].facts)])];
    fill("facts", [["last run", data.products[one].started, data.products[two].started], ...facts.map((name) => [name, data.products[one].facts[name], data.products[two].facts[name]])].map(([name, left, right]) => row(
      element("th", name, { scope: "row" }), cell(left ?? "–"), cell(left === right ? right : element("b", right ?? "–")),
    )));
    const figures = data.figures.filter(([what, , cells]) => cells[one] && cells[two] && named(what));
    figures.sort((a, b) => Math.abs(Math.log(b[2][two][0] / b[2][one][0])) - Math.abs(Math.log(a[2][two][0] / a[2][one][0])));
    fill("figures", figures.slice(0, LONGEST).map(([what, unit, cells]) => row(
      element("th", what, { scope: "row", class: "wide" }), ...[one, two].map((place) => cell(anchor(figure(cells[place][0], unit), `series/${cells[place][1]}.html`), { class: "number" })),
      cell(`${(cells[two][0] / cells[one][0]).toFixed(2)} ×`, { class: "number" }),
    )));
    document.getElementById("unmeasured").hidden = figures.length > 0;
    const query = new URLSearchParams({ first: data.products[one].name, second: data.products[two].name });
    if (search.value) query.set("q", search.value);
    history.replaceState(null, "", `#?${query}`);
  };
  const given = new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
  const place = (name, fallback) => {
    const found = data.products.findIndex((each) => each.name === given.get(name));
    return found < 0 ? fallback : found;
  };
  first.value = place("first", 0);
  second.value = place("second", 1);
  search.value = given.get("q") ?? "";
  for (const each of [first, second, search]) each.addEventListener("input", draw);
  document.getElementById("swap").addEventListener("click", () => {
    [first.value, second.value] = [second.value, first.value];
    draw();
  });
  draw();
})();
