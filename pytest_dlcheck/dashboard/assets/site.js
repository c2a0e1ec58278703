"use strict";
// Filters, keys, and how old a run is by the clock of whoever looks.
(() => {
  const search = document.getElementById("search");
  const only = document.getElementById("only");
  const first = document.getElementById("first");
  const second = document.getElementById("second");
  const rows = [...document.querySelectorAll("tr[data-text]")];
  const filter = () => {
    const wanted = (search?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const row of rows) {
      const text = row.dataset.text.toLowerCase();
      let shown = wanted.every((word) => text.includes(word));
      if (only?.value) shown = shown && row.dataset.kind === only.value;
      if (first?.value && second?.value) {
        const cells = row.dataset.cells.split(" ");
        shown = shown && cells[first.value] !== cells[second.value];
      }
      row.hidden = !shown;
      left += shown;
    }
    const nothing = document.getElementById("nothing");
    if (nothing) nothing.hidden = left > 0;
    const count = document.getElementById("count");
    if (count) count.textContent = `${left} of ${rows.length}`;
    const query = new URLSearchParams();
    if (search?.value) query.set("q", search.value);
    for (const part of [only, first, second]) if (part?.value) query.set(part.id, part.value);
    if (rows.length) history.replaceState(null, "", query.size ? `#?${query}` : location.pathname);
  };
  if (rows.length) {
    const given = new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
    if (search) search.value = given.get("q") ?? "";
    for (const part of [only, first, second]) if (part && given.has(part.id)) part.value = given.get(part.id);
    for (const part of [search, only, first, second]) part?.addEventListener("input", filter);
    filter();
  }
  for (const each of document.querySelectorAll("[data-started]")) {
    const hours = (Date.now() - Date.parse(each.dataset.started)) / 36e5;
    if (hours >= 0) each.textContent = hours < 48 ? `${Math.round(hours)} h ago` : `${Math.round(hours / 24)} days ago`;
    each.classList.toggle("stale", hours > Number(each.dataset.stale) || hours < 0);
    if (each.classList.contains("stale")) each.textContent += " ⚠";
  }
  const pages = { o: "index", m: "matrix", p: "performance", v: "versions", r: "register" };
  let at = -1;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const shown = rows.filter((row) => !row.hidden);
    if (event.key === "/" && search) search.focus();
    else if (event.key === "?") document.getElementById("keys").showModal();
    else if (pages[event.key]) location.href = `${document.body.dataset.root}${pages[event.key]}.html`;
    else if ((event.key === "j" || event.key === "k") && shown.length) {
      at = Math.min(shown.length - 1, Math.max(0, at + (event.key === "j" ? 1 : -1)));
      shown[at].querySelector("a")?.focus();
    } else return;
    event.preventDefault();
  });
})();
