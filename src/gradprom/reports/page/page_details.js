// the panel: the runs behind a number

let opener = null;

function showCell(button) {
  const runs = button.dataset.runs.split(" ").map((pair) => pair.split(":"));
  open(button, button.dataset.place, runs);
}

function showRun(id) {
  const run = data.runs[id];
  open(null, run ? `Run ${id}` : `No run ${id} in this report`, [[run ? run.seed : "?", id]]);
}

function open(button, title, runs) {
  opener?.setAttribute("aria-expanded", "false");
  opener = button;
  opener?.setAttribute("aria-expanded", "true");
  const found = runs.filter(([, id]) => data.runs[id]).map(([, id]) => [id, data.runs[id]]);
  const close = make("button", { type: "button", class: "close" }, "close (Esc)");
  panel.replaceChildren(close, make("h2", {}, title), summary(runs, button));
  if (found.length) {
    panel.append(curves(found), configuration(found[0][1]));
    panel.append(...found.map(([id, run]) => details(id, run)));
  }
  panel.hidden = false;
  panel.scrollTop = 0;
  panel.focus({ preventScroll: true });
}

function hidePanel() {
  panel.hidden = true;
  opener?.setAttribute("aria-expanded", "false");
  opener?.focus({ preventScroll: true });
  const tab = tabLinks.find((link) => link.getAttribute("aria-selected") === "true");
  if (location.hash.startsWith("#run-")) history.replaceState(null, "", tab?.hash || "#");
}

// a row for each seed, then what the table shows of them
function summary(runs, button) {
  const scores = runs.map(([, id]) => scoresOf(id, button?.dataset.testSet));
  const shown = Object.keys(data.metrics).filter((metric) => scores.some((of) => metric in of));
  const rows = runs.map(([seed, id], i) => {
    const run = data.runs[id];
    const numbers = shown.map((metric) => make("td", { class: "n" }, fixed(scores[i][metric], metric)));
    return make("tr", {},
      make("td", {}, make("span", { class: `swatch s${i % 5}` }), String(seed)), ...numbers,
      make("td", {}, run ? run.status : "not run"),
      make("td", { class: "key" }, run ? make("a", { href: `#run-${id}` }, id) : id, " ", copyable(id)),
      make("td", { class: "key" }, run ? run.short_revision : ""));
  });
  const head = [["", "seed"], ...shown.map((metric) => ["n", data.metrics[metric].title]),
    ["", "status"], ["", "run"], ["", "revision"]].map(([kind, t]) => make("th", { class: kind }, t));
  return make("div", { class: "box" }, make("table", { class: "plain" },
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows, ...(button ? means(button, shown) : []))));
}

function means(button, shown) {
  const cells = [...button.closest("tr").querySelectorAll("button.cell")]
    .filter((other) => other.dataset.place === button.dataset.place);
  const of = (metric) => cells.find((cell) => cell.dataset.metric === metric);
  const lines = [
    ["mean", (cell) => cell.querySelector(".ours").textContent],
    ["published", (cell) => cell.querySelector(".theirs")?.title.replace("published: ", "")],
    ["difference", (cell) => cell.querySelector(".theirs i")?.textContent],
  ];
  return lines.map(([title, tell]) => make("tr", { class: title }, make("td", { class: "of" }, title),
    ...shown.map((m) => make("td", { class: "n" }, (of(m) && tell(of(m))) || "")),
    make("td", { colspan: 3 })));
}

const scoresOf = (id, testSet) =>
  (testSet ? data.runs[id]?.evaluate_on[testSet] : data.runs[id]?.metrics) || {};
const fixed = (value, metric) =>
  (typeof value === "number" ? value.toFixed(data.metrics[metric].digits) : "–");

function configuration(run) {
  const differing = Object.entries(run.differing).filter(([key]) => key !== "seed");
  const told = differing.length
    ? make("dl", {}, ...differing.flatMap(([key, value]) => [
        make("dt", { class: "key" }, key), make("dd", { class: "key" }, scalar(value))]))
    : make("p", { class: "told" }, "The most common value of every key.");
  return make("div", {}, make("h3", {}, "Configuration, where it differs from most runs"), told,
    fold("whole configuration", () => make("pre", {}, yaml(whole(run)))));
}

function whole(run) {
  const without = new Set(run.without);
  const kept = Object.entries({ ...data.common, ...run.differing });
  return kept.filter(([key]) => !without.has(key));
}

function yaml(pairs) {
  const tree = {};
  for (const [key, value] of pairs) {
    const parts = key.split(".");
    const leaf = parts.pop();
    parts.reduce((node, part) => (node[part] ||= {}), tree)[leaf] = { value };
  }
  const lines = (node, indent) => Object.entries(node).flatMap(([key, found]) =>
    Object.hasOwn(found, "value") && Object.keys(found).length === 1
      ? `${indent}${key}: ${scalar(found.value)}`
      : [`${indent}${key}:`, ...lines(found, `${indent}  `)]);
  return lines(tree, "").join("\n");
}

function scalar(value) {
  if (Array.isArray(value)) return `[${value.map(scalar).join(", ")}]`;
  const plain = typeof value === "string" && /^[A-Za-z_/][\w ./+-]*$/.test(value);
  return plain && !/^(true|false|null|yes|no|on|off)$/i.test(value) ? value : JSON.stringify(value);
}

function fold(title, content) {
  const element = make("details", {}, make("summary", {}, title));
  element.addEventListener("toggle", () => element.append(content()), { once: true });
  return element;
}

function details(id, run) {
  const link = make("a", { href: `#run-${id}`, class: "key" }, id);
  const badge = make("span", { class: `badge ${run.status}` }, run.status);
  const article = make("article", { id: `details-${id}` },
    make("h3", {}, `seed ${run.seed} `, link, " ", copyable(id), " ", badge), ...trouble(run), facts(run));
  if (run.panels.length) {
    const images = run.panels.map((src) => make("img", { src, loading: "lazy", alt: "" }));
    article.append(make("h3", {}, "degraded | enhanced | clean | error × 4"),
      make("div", { class: "panels" }, ...images));
  }
  return article;
}

function trouble(run) {
  if (!run.error) return [];
  const { type, message, where, traceback } = run.error;
  return [make("p", { class: "error" }, `${type}: ${message} (${where})`),
    fold("traceback", () => make("pre", {}, traceback))];
}

function facts(run) {
  const numbers = (values) =>
    Object.entries(values).map(([k, v]) => `${k} ${Number.isInteger(v) || typeof v !== "number" ? v : v.toPrecision(5)}`);
  const told = {
    scores: numbers(run.metrics || {}).join(", "),
    ...Object.fromEntries(Object.entries(run.evaluate_on).map(
      ([name, values]) => [`on ${name}`, numbers(values).join(", ")])),
    strategy: numbers(run.training || {}).join(", "),
    revision: run.revision,
    data: `${run.dataset}, ${numbers(run.counts).join(", ")}, ${run.fingerprint.slice(0, 12)}`,
    ran: [run.started.slice(0, 16).replace("T", " "), duration(run.duration), run.device,
      run.host].filter(Boolean).join(", "),
    interruptions: run.interruptions ? String(run.interruptions) : "",
    memory: run.peak_memory ? `${(run.peak_memory / 1e9).toFixed(2)} GB` : "",
    overrides: run.overrides.join(" "),
    "other results": (run.variants || []).join(", "),
  };
  const folder = make("dd", {}, make("a", { href: `${run.folder}/` }, "files of the run"));
  const pairs = Object.entries(told).filter(([, value]) => value).flatMap(
    ([key, value]) => [make("dt", {}, key), make("dd", {}, value)]);
  const diff = run.diff ? [make("dt", {}, "not committed"),
    make("dd", {}, make("a", { href: run.diff }, "diff of its code"))] : [];
  return make("dl", {}, ...pairs, ...diff, make("dt", {}, "record"), folder);
}

function duration(seconds) {
  if (!seconds) return "";
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  return seconds < 7200 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
