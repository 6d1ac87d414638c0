const data = JSON.parse(document.getElementById("data").textContent);
const panel = document.getElementById("panel");

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// tabs: one at a time; an anchor inside of one shows it

const tabs = [...document.querySelectorAll("main > .tab")];
const tabLinks = [...document.querySelectorAll("nav [role=tab]")];

function follow() {
  const asked = decodeURIComponent(location.hash.slice(1));
  const run = asked.startsWith("run-") ? asked.slice(4) : null;
  const asTab = tabs.find((tab) => tab.id === `tab-${asked}`);
  const target = run || asTab ? null : document.getElementById(asked);
  const chosen = asTab || target?.closest(".tab") || tabs.find((tab) => !tab.hidden) || tabs[0];
  for (const tab of tabs) tab.hidden = tab !== chosen;
  for (const link of tabLinks) {
    const here = link.getAttribute("aria-controls") === chosen?.id;
    link.setAttribute("aria-selected", String(here));
    link.tabIndex = here ? 0 : -1;
  }
  if (run) return showRun(run);
  if (target) target.scrollIntoView();
  else if (asTab) scrollTo(0, Math.min(scrollY, document.querySelector("header").offsetHeight));
}

function moveTab(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const at = tabLinks.indexOf(event.target);
  if (!step || at < 0) return;
  event.preventDefault();
  const next = tabLinks[(at + step + tabLinks.length) % tabLinks.length];
  next.focus();
  next.click();
}

// copying, also where a page from a file may not use the clipboard

async function copy(button) {
  const text = button.dataset.copied;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { class: "unseen" });
    area.value = text;
    button.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  document.getElementById("told").textContent = `copied ${text}`;
  button.textContent = "copied";
  setTimeout(() => { button.textContent = "copy"; }, 1500);
}

const copyable = (text) => make("button",
  { type: "button", class: "copy", "data-copied": text, "aria-label": `copy ${text}` }, "copy");

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
  if (button?.matches(".copy")) copy(button);
  if (button?.matches(".cell")) showCell(button);
  if (button?.matches(".close")) hidePanel();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !panel.hidden) hidePanel();
  moveTab(event);
});
addEventListener("hashchange", follow);
