// A scatter of models: what they cost against what they offer, and the ones that no other beats.
"use strict";

const AXES = {
  input: { title: "input price, $ per million tokens", of: (model) => model.input, shown: (n) => `$${n}`, log: true },
  output: { title: "output price, $ per million tokens", of: (model) => model.output, shown: (n) => `$${n}`, log: true },
  context: { title: "context, tokens", of: (model) => model.context, shown: tokens, log: true },
  maxOutput: { title: "longest answer, tokens", of: (model) => model.maxOutput, shown: tokens, log: true },
  speed: { title: "measured tokens per second", of: (model) => model.speed, shown: (n) => `${n}`, log: true },
  released: { title: "release date", of: (model) => day(model.released), shown: (n) => `${n}` },
};
const HEIGHT = 420;
const EDGE = { left: 58, right: 14, top: 12, bottom: 46 };

function day(text) {
  const [year, month = 1, date = 1] = text.split("-").map(Number);
  return text ? year + (month - 1) / 12 + (date - 1) / 365 : 0;
}

// Places from 0 to 1 of the values of an axis, and its marks.
function scaleOf(axis, values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const turn = axis.log ? Math.log10 : (n) => n;
  const [from, to] = [turn(low), Math.max(turn(high), turn(low) + 0.5)];
  const marks = axis.log
    ? [1, 2, 5].flatMap((digit) => [-3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7].map((power) => digit * 10 ** power))
    : Array.from({ length: 30 }, (_, at) => Math.floor(low) + at);
  const inside = marks.map((n) => Number(n.toPrecision(3))).filter((n) => turn(n) >= from && turn(n) <= to).sort((a, b) => a - b);
  return { place: (n) => (turn(n) - from) / (to - from), marks: inside };
}

function chart(models, axes, width, change) {
  const [x, y] = [AXES[axes.x], AXES[axes.y]];
  const shown = models.filter((model) => x.of(model) > 0 && y.of(model) > 0);
  const choosers = h("p", { className: "axes" }, chooser("Across", "x", axes, ["input", "output"], change),
    chooser("Up", "y", axes, ["context", "maxOutput", "speed", "released"], change));
  const hidden = models.length - shown.length;
  const said = `${shown.length.toLocaleString("en")} models` + (hidden ? `. ${hidden.toLocaleString("en")} are free or have no known value, and are not drawn.` : ".");
  if (!shown.length) return h("div", {}, choosers, h("p", {}, "No model that matches has both values."));
  const best = frontier(shown, x, y);
  return h("div", {}, choosers, drawing(shown, new Set(best), x, y, width),
    h("p", { className: "legend" }, mark("open", "open weights"), mark("", "closed or unknown"), mark("best", "no cheaper model has more")),
    h("p", { className: "soft" }, said),
    h("h3", {}, "No cheaper model has more"),
    h("ul", {}, ...best.map((model) => h("li", {}, h("a", { href: model.page }, model.name),
      ` ${model.author ? `(${model.author}) ` : ""}— ${pricePair(model)}, ${tokens(model.context)} context`))));
}

function mark(kind, text) {
  return h("span", {}, h("span", { className: `dot ${kind}` }), text);
}

function chooser(title, side, axes, names, change) {
  const options = names.map((name) => h("option", { value: name, selected: axes[side] === name }, AXES[name].title));
  return h("label", {}, title, h("select", { onchange: (event) => change({ [side]: event.target.value }) }, ...options));
}

// The models of which each costs more than the one before it, and has more than all before it.
function frontier(models, x, y) {
  let most = 0;
  const sorted = [...models].sort((one, other) => x.of(one) - x.of(other) || y.of(other) - y.of(one));
  return sorted.filter((model) => y.of(model) > most && (most = y.of(model)));
}

function drawing(models, best, x, y, width) {
  const [across, up] = [scaleOf(x, models.map(x.of)), scaleOf(y, models.map(y.of))];
  const left = (n) => EDGE.left + across.place(n) * (width - EDGE.left - EDGE.right);
  const top = (n) => HEIGHT - EDGE.bottom - up.place(n) * (HEIGHT - EDGE.top - EDGE.bottom);
  const room = Math.max(1, Math.ceil((across.marks.length * 44) / width));
  const columns = across.marks.filter((_, at) => at % room === 0).map((n) => h("g", {},
    h("line", { x1: left(n), x2: left(n), y1: EDGE.top, y2: HEIGHT - EDGE.bottom }),
    h("text", { x: left(n), y: HEIGHT - EDGE.bottom + 17, "text-anchor": "middle" }, x.shown(n))));
  const lines = up.marks.map((n) => h("g", {},
    h("line", { x1: EDGE.left, x2: width - EDGE.right, y1: top(n), y2: top(n) }),
    h("text", { x: EDGE.left - 7, y: top(n) + 4, "text-anchor": "end" }, y.shown(n))));
  const points = models.map((model) => {
    const kind = `point${model.open === 1 ? " open" : ""}${best.has(model) ? " best" : ""}`;
    const point = h("circle", { class: kind, cx: left(x.of(model)), cy: top(y.of(model)), r: best.has(model) ? 6 : 4 });
    point.append(document.createElementNS(point.namespaceURI, "title"));
    point.firstChild.textContent = `${model.name}, ${model.author}: ${pricePair(model)}, ${tokens(model.context)}`;
    return best.has(model) ? h("a:svg", { href: model.page, "aria-label": model.name }, point) : point;
  });
  points.sort((one, other) => (one.localName === "a") - (other.localName === "a"));
  const title = h("text", { x: width / 2, y: HEIGHT - 6, "text-anchor": "middle" }, x.title);
  return h("svg", { class: "chart", width, height: HEIGHT, role: "img", "aria-label": `Models by ${x.title} and ${y.title}` },
    ...columns, ...lines, title, ...points);
}
