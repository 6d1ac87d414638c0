// curves of the runs of a cell, over the steps of the stages that have them

const WIDE = 300, HIGH = 132, LEFT = 44, TOP = 16, RIGHT = 4, BOTTOM = 14;

function curves(runs) {
  const names = [...new Set(runs.flatMap(([, run]) => run.curves.map(([, name]) => name)))];
  const drawn = names.map((name) => chart(name, runs.map(([, run]) => joined(run, name))));
  return make("div", { class: "curves" }, ...drawn);
}

// stages one after the other; step counts begin anew in each
function joined(run, name) {
  const points = [], stages = [];
  let before = 0;
  for (const [stage, of, grid, values] of run.curves) {
    if (of !== name) continue;
    const steps = data.grids[grid];
    stages.push([stage, before]);
    steps.forEach((step, i) => points.push([before + step, values[i]]));
    before += steps.at(-1);
  }
  return { points, stages };
}

function chart(name, series) {
  const values = series.flatMap(({ points }) => points.map(([, y]) => y)).filter(Number.isFinite);
  const last = Math.max(...series.flatMap(({ points }) => points.map(([x]) => x)));
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const log = name.startsWith("loss") && low > 0 && high / low > 8;
  const scale = log ? Math.log10 : (value) => value;
  if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - 1, high + 1];
  const x = (step) => LEFT + ((WIDE - LEFT - RIGHT) * step) / last;
  const y = (value) => HIGH - BOTTOM
    - ((HIGH - TOP - BOTTOM) * (scale(value) - scale(low))) / (scale(high) - scale(low));
  const picture = draw("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": name });
  picture.append(
    draw("rect", { class: "frame", x: LEFT, y: TOP, width: WIDE - LEFT - RIGHT, height: HIGH - TOP - BOTTOM }),
    text(LEFT, 11, name.replaceAll("_", " ") + (log ? ", log" : "")),
    text(LEFT - 4, TOP + 7, short(high), "end"), text(LEFT - 4, HIGH - BOTTOM, short(low), "end"),
    text(WIDE - RIGHT, HIGH - 4, `${last} steps`, "end"));
  const longest = series.reduce((a, b) => (b.stages.length > a.stages.length ? b : a));
  for (const [stage, begin] of longest.stages) {
    if (begin) picture.append(draw("line", { class: "stage", x1: x(begin), x2: x(begin), y1: TOP, y2: HIGH - BOTTOM }));
    picture.append(text(x(begin), HIGH - 4, stage));
  }
  series.forEach(({ points }, i) => {
    const kept = points.filter(([, value]) => Number.isFinite(value));
    const corners = kept.map(([s, v]) => `${x(s).toFixed(1)},${y(v).toFixed(1)}`).join(" ");
    // a line through a single point draws nothing
    if (kept.length === 1) picture.append(draw("circle", { class: `s${i % 5}`, cx: x(kept[0][0]), cy: y(kept[0][1]), r: 2 }));
    picture.append(draw("polyline", { class: `s${i % 5}`, points: corners }));
  });
  return picture;
}

const short = (value) => (Math.abs(value) >= 0.01 || value === 0
  ? String(Number(value.toPrecision(3))) : value.toExponential(1));

function draw(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function text(x, y, content, anchor = "start") {
  const element = draw("text", { x, y, "text-anchor": anchor });
  element.textContent = content;
  return element;
}

follow();
