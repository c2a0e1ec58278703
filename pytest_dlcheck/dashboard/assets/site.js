"use strict";
// Filters, keys, and how old a run is by the clock of whoever looks.
(() => {
  const search = document.getElementById("search");
  const only = document.getElementById("only");
  const first = document.getElementById("first");
  const second = document.getElementById("second");
  const rows = [...document.querySelectorAll("tr[data-text]")];
  // The address of a row, as long as nothing is filtered.
  const kept = location.hash.startsWith("#?") ? "" : location.hash;
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
    const place = query.toString() ? `#?${query}` : kept;
    if (rows.length) history.replaceState(null, "", place || location.pathname);
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
  const pages = { o: "index", m: "matrix", p: "performance", d: "diff", v: "versions", r: "register" };
  const late = document.getElementById("late");
  if (late) {
    const days = (Date.now() - Date.parse(late.dataset.newest)) / 864e5;
    late.hidden = days * 24 <= Number(late.dataset.stale);
    late.textContent = `⚠ The newest run began ${Math.round(days * 10) / 10} days ago: whatever this page says, it says of then.`;
  }
  // Go to any subject or series; the list is loaded when somebody first asks.
  const find = document.getElementById("find");
  const found = document.getElementById("found");
  const MOST = 12;
  const ready = () => {
    if (window.dlcheckPages) return Promise.resolve();
    return new Promise((resolve) => {
      const script = document.createElement("script");
      script.src = `${document.body.dataset.root}assets/find.js`;
      script.onload = resolve;
      document.head.append(script);
    });
  };
  const offer = async () => {
    await ready();
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const hits = words.length ? window.dlcheckPages.filter(([, title]) => words.every((word) => title.toLowerCase().includes(word))) : [];
    found.replaceChildren(...hits.slice(0, MOST).map(([href, title]) => {
      const link = document.createElement("a");
      link.href = `${document.body.dataset.root}${href}`;
      link.textContent = title;
      link.setAttribute("role", "option");
      return link;
    }));
    if (words.length && hits.length !== found.children.length) found.append(`and ${hits.length - MOST} more`);
    if (words.length && !hits.length) found.append("nothing of that name");
    found.hidden = !words.length;
    find.setAttribute("aria-expanded", String(!found.hidden));
  };
  find.addEventListener("input", offer);
  find.addEventListener("keydown", async (event) => {
    if (event.key === "Enter") {
      await offer();
      found.querySelector("a")?.click();
    } else if (event.key === "ArrowDown") found.querySelector("a")?.focus();
    else if (event.key === "Escape") {
      find.value = "";
      offer();
    } else return;
    event.preventDefault();
  });
  found.addEventListener("keydown", (event) => {
    const next = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (!next) return;
    (document.activeElement[next] ?? find).focus();
    event.preventDefault();
    event.stopPropagation();
  });
  let at = -1;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const shown = rows.filter((row) => !row.hidden);
    if (event.key === "/" && search) search.focus();
    else if (event.key === "f") find.focus();
    else if (event.key === "?") document.getElementById("keys").showModal();
    else if (pages[event.key]) location.href = `${document.body.dataset.root}${pages[event.key]}.html`;
    else if ((event.key === "j" || event.key === "k") && shown.length) {
      at = Math.min(shown.length - 1, Math.max(0, at + (event.key === "j" ? 1 : -1)));
      shown[at].querySelector("a")?.focus();
    } else return;
    event.preventDefault();
  });
})();
