"use strict";
(() => {
  const root = document.documentElement;
  const remember = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private window */ } };
  const recall = (key) => { try { return localStorage.getItem(key); } catch { return null; } };

  // Light and dark: the system's choice until the reader makes one.
  const theme = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const label = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  const chosen = recall("medseg-theme");
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remember("medseg-theme", root.dataset.theme);
    label();
  });
  system.addEventListener("change", label);
  label();

  const code = document.getElementById("code");
  if (code) {
    code.hidden = false;
    code.addEventListener("click", () => {
      const show = code.getAttribute("aria-pressed") !== "true";
      code.setAttribute("aria-pressed", String(show));
      document.querySelectorAll(".code").forEach((block) => { block.hidden = !show; });
    });
  }

  // Contents: closed where they would push the text away; the section being read is marked.
  const contents = document.querySelector(".contents details");
  if (contents) {
    const wide = matchMedia("(min-width: 75rem)");
    const fit = () => { contents.open = wide.matches; };
    wide.addEventListener("change", fit);
    contents.querySelector("summary").addEventListener("click", (event) => { if (wide.matches) event.preventDefault(); });
    fit();
    const links = [...contents.querySelectorAll("a")];
    const headings = links.map((link) => document.getElementById(decodeURIComponent(link.hash.slice(1))));
    const mark = () => {
      const passed = headings.filter((heading) => heading.getBoundingClientRect().top < 120).length;
      links.forEach((link, i) => {
        if (i === Math.max(passed - 1, 0)) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      });
    };
    addEventListener("scroll", mark, { passive: true });
    mark();
  }

  // Tables: a heading is a button; numbers start with the largest, words with the first. What has no value comes last.
  const value = (cell) => {
    const text = cell.dataset.sort ?? cell.textContent.trim();
    if (text === "" || text === "NaN" || text === "\u2013") return null;
    return Number.isNaN(Number(text)) ? text : Number(text);
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  const sort = (table, heading, column) => {
    const bodies = [...table.tBodies];  // the second holds the rows that are folded
    const rows = bodies.flatMap((body) => [...body.rows]).map((row) => ({ row, key: value(row.cells[column]) }));
    const numeric = rows.some(({ key }) => typeof key === "number");
    const before = heading.getAttribute("aria-sort") ?? (numeric ? "ascending" : "descending");
    const order = before === "ascending" ? "descending" : "ascending";
    const sign = order === "ascending" ? 1 : -1;
    rows.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
      return sign * compare(a.key, b.key);
    });
    table.querySelectorAll("th[aria-sort]").forEach((th) => th.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", order);
    const sizes = bodies.map((body) => body.rows.length);
    bodies.forEach((body, i) => body.append(...rows.splice(0, sizes[i]).map(({ row }) => row)));
  };
  document.querySelectorAll("table.sortable").forEach((table) => {
    table.querySelectorAll("thead th[data-column]").forEach((heading) => {
      if (!heading.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => sort(table, heading, Number(heading.dataset.column)));
    });
  });
})();
