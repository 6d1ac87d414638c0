// sorting: the best first, the worst first, the table's own order

const OTHER = { descending: "ascending", ascending: "descending" };

function sort(header) {
  const table = header.closest("table");
  const now = header.getAttribute("aria-sort"), first = header.dataset.first;
  const order = !now ? first : now === first ? OTHER[first] : "none";
  for (const other of table.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  if (order !== "none") header.setAttribute("aria-sort", order);
  table.classList.toggle("sorted", order !== "none");
  const sign = order === "ascending" ? 1 : -1;
  const body = table.tBodies[0];
  body.own ||= [...body.rows];
  const rows = body.own.map((row) => [row, sortValue(row.cells[header.cellIndex])]);
  if (order !== "none") {
    rows.sort(([a, x], [b, y]) => {
      const pinned = b.classList.contains("pinned") - a.classList.contains("pinned");
      return pinned || (x === null) - (y === null) || (x === null ? 0 : sign * compared(x, y));
    });
  }
  body.append(...rows.map(([row]) => row));
}

// a number, or the text of a cell that has none; null where there is nothing to sort by
function sortValue(cell) {
  if (!cell) return null;
  if ("ours" in cell.dataset) return cell.dataset.ours === "" ? null : Number(cell.dataset.ours);
  const text = cell.innerText.trim();
  if (text === "" || text === "–") return null;
  return Number.isFinite(Number(text)) ? Number(text) : text;
}

const compared = (x, y) => (typeof x === "number" && typeof y === "number"
  ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true }));

// filtering: rows that have all words, and of each column what stands above it

function filter(table) {
  const tools = table.closest(".runs") || table.closest("section");
  const words = wordsOf(tools.querySelector(".words")?.value);
  const columns = [...table.querySelectorAll(".of-column")]
    .map((input) => [input.closest("th").cellIndex, input.value.trim()]).filter(([, text]) => text);
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    const kept = row.matches(".pinned, .group") || (hasWords(row.textContent, words)
      && columns.every(([number, text]) => fits(row.cells[number], text)));
    row.hidden = !kept;
    shown += kept;
  }
  const count = tools.querySelector(".count");
  const all = table.tBodies[0].rows.length;
  if (count) count.textContent = shown === all ? count.dataset.of : `${shown} of ${count.dataset.of}`;
}

const wordsOf = (text) => (text || "").toLowerCase().split(/\s+/).filter(Boolean);
const hasWords = (text, words) => words.every((word) => text.toLowerCase().includes(word));

const BOUNDS = {
  ">": (x, y) => x > y, "<": (x, y) => x < y, ">=": (x, y) => x >= y, "<=": (x, y) => x <= y,
  "=": (x, y) => x === y,
};

function fits(cell, text) {
  const bound = /^([<>]=?|=)\s*(-?[\d.]+(?:e-?\d+)?)$/i.exec(text);
  if (!bound || !("ours" in cell.dataset)) return hasWords(cell.textContent, wordsOf(text));
  return cell.dataset.ours !== "" && BOUNDS[bound[1]](Number(cell.dataset.ours), Number(bound[2]));
}

// columns of numbers can be hidden by their metric, or by the degradation above them

function hideColumns(section) {
  const table = section.querySelector(".results");
  const off = [...section.querySelectorAll(".toggle:not(:checked)")].map((box) => box.value);
  const [above, heads] = table.tHead.rows;
  const hidden = [...heads.cells].map((head) =>
    "names" in head.dataset && JSON.parse(head.dataset.names).some((name) => off.includes(name)));
  for (const row of [heads, ...table.tBodies[0].rows]) {
    if (row.cells.length < hidden.length) continue;
    [...row.cells].forEach((cell, number) => { cell.hidden = hidden[number]; });
  }
  let at = above.cells[0].colSpan;
  for (const head of [...above.cells].slice(1)) {
    head.dataset.span ||= head.colSpan;
    const own = hidden.slice(at, at += Number(head.dataset.span));
    head.hidden = own.every(Boolean);
    head.colSpan = Math.max(1, own.filter((gone) => !gone).length);
  }
}

document.addEventListener("input", (event) => {
  const input = event.target;
  if (input.matches(".toggle")) hideColumns(input.closest("section"));
  if (input.matches(".of-column")) filter(input.closest("table"));
  if (input.matches(".words")) {
    filter((input.closest(".runs") || input.closest("section")).querySelector("table.sortable"));
  }
});
