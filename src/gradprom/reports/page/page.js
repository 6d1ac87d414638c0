const data = JSON.parse(document.getElementById("data").textContent);
const panel = document.getElementById("panel");

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// parts: one at a time, or all of them

function follow() {
  const asked = decodeURIComponent(location.hash.slice(1));
  if (asked.startsWith("run-")) return showRun(asked.slice(4));
  const sections = [...document.querySelectorAll("main > section")];
  const chosen = sections.find((section) => section.id === asked);
  for (const section of sections) section.hidden = Boolean(chosen) && section !== chosen;
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.hash === (chosen ? `#${chosen.id}` : "#all");
    here ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current");
  }
  if (chosen) scrollTo(0, Math.min(scrollY, document.querySelector("nav").offsetTop));
}

// sorting: largest first, smallest first, the paper's order

const NEXT = { none: "descending", descending: "ascending", ascending: "none" };

function sort(header) {
  const table = header.closest("table");
  const order = NEXT[header.getAttribute("aria-sort") || "none"];
  for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  if (order !== "none") header.setAttribute("aria-sort", order);
  table.classList.toggle("sorted", order !== "none");
  const sign = order === "ascending" ? 1 : -1;
  const value = (row) => {
    const cell = row.cells[header.cellIndex];
    return cell?.dataset?.ours ? Number(cell.dataset.ours) : null;
  };
  const body = table.tBodies[0];
  body.ours ||= [...body.rows];
  const rows = [...body.ours];
  if (order !== "none") {
    rows.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      const pinned = b.classList.contains("pinned") - a.classList.contains("pinned");
      return pinned || (x === null) - (y === null) || (x === null ? 0 : sign * (x - y));
    });
  }
  body.append(...rows);
}

// arrows move through the numbers of a table, of which the tab key reaches one

function move(event) {
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const [down, right] = steps[event.key] || [];
  const cell = event.target.closest("td");
  if (down === undefined || !cell) return;
  event.preventDefault();
  const next = { 1: "nextElementSibling", "-1": "previousElementSibling" }[down];
  const wide = cell.parentElement.cells.length;
  let row = cell.parentElement, column = cell.cellIndex, button = null;
  while (row && !button && column >= 0 && column < wide) {
    column += right;
    row = next ? row[next] : row;
    button = row?.cells[column]?.querySelector("button.cell");
  }
  if (button) button.focus();
}

for (const table of document.querySelectorAll(".results")) {
  const first = table.querySelector("button.cell");
  if (first) first.tabIndex = 0;
  table.addEventListener("keydown", move);
  table.addEventListener("focusin", (event) => {
    if (!event.target.matches("button.cell")) return;
    for (const other of table.querySelectorAll("[tabindex='0'].cell")) other.tabIndex = -1;
    event.target.tabIndex = 0;
  });
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.matches(".sort")) sort(button.closest("th"));
  if (button?.matches(".cell")) showCell(button);
  if (button?.matches(".close")) hidePanel();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !panel.hidden) hidePanel();
});
addEventListener("hashchange", follow);
