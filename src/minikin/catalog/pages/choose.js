// The search of the front page. Its conditions are in the address, so that a link leads to them.
"use strict";

const STEP = 40;
const ORDERS = {
  newest: ["Newest", (one, other) => other.released.localeCompare(one.released)],
  cheapest: ["Cheapest", (one, other) => cost(one) - cost(other)],
  context: ["Longest context", (one, other) => other.context - one.context],
  offered: ["Most providers", (one, other) => other.offerings - one.offerings],
  proven: ["Most verified", (one, other) => other.proven - one.proven],
};
const LIMITS = {
  kind: ["Kind", { "": "writes text", other: "other", all: "any" }],
  price: ["Input price", { "": "any", 0: "free", 0.1: "to $0.10", 0.5: "to $0.50", 1: "to $1", 3: "to $3", 10: "to $10" }],
  context: ["Context", { "": "any", 32000: "from 32k", 128000: "from 128k", 200000: "from 200k", 1000000: "from 1M" }],
  weights: ["Weights", { "": "any", 1: "open", 0: "closed" }],
  proof: ["Evidence", { "": "any", probed: "probed", all: "verified" }],
  since: ["Released", { "": "any time", 2026: "since 2026", 2025: "since 2025", 2024: "since 2024" }],
  order: ["Order", Object.fromEntries(Object.entries(ORDERS).map(([name, [title]]) => [name, title]))],
};
const VIEWS = { list: "List", chart: "Chart", compare: "Compare" };
const ASKED = ["tools", "structured_outputs", "reasoning", "input_image", "input_pdf", "input_audio", "input_video", "output_image", "output_audio", "logprobs"];
const place = document.getElementById("choice");
const state = { q: "", kind: "", price: "", context: "", weights: "", proof: "", since: "", in: "", out: "", order: "newest", view: "list", x: "input", y: "context", can: [], compare: [] };
let most = STEP;

// The price of the job, or without one of three input tokens for each output token. What has no price
// comes last.
function cost(model) {
  if (hasJob()) return priceOf(model);
  return model.input >= 0 && model.output >= 0 ? 3 * model.input + model.output : Infinity;
}

function hasJob() {
  return Number(state.in) + Number(state.out) > 0;
}

function priceOf(model) {
  return jobPrice(model, Number(state.in), Number(state.out));
}

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const [name, value] of Object.entries(state)) {
    const said = given.get(name) ?? "";
    if (Array.isArray(value)) state[name] = said ? said.split(" ") : [];
    else if (said || !["order", "view", "x", "y"].includes(name)) state[name] = said;
  }
  for (const name of ["in", "out"]) if (!/^\d{1,9}$/.test(state[name])) state[name] = "";
  if (!(state.order in ORDERS)) state.order = "newest";
  if (!(state.view in VIEWS)) state.view = "list";
  if (!(state.x in AXES)) state.x = "input";
  if (!(state.y in AXES)) state.y = "context";
  const named = state.compare.map((name) => modelNamed(name)?.id).filter(Boolean);
  state.compare = [...new Set(named)].slice(0, MOST_COMPARED);
  if (state.compare.length && !given.has("view")) state.view = "compare";
}

function writeAddress() {
  const usual = { order: "newest", view: "list", x: "input", y: "context" };
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    const text = Array.isArray(value) ? value.join(" ") : value;
    if (text && text !== usual[name]) said.set(name, text);
  }
  // A list beside chosen models needs its name, because chosen models alone mean a comparison.
  if (state.compare.length) said.set("view", state.view);
  history.replaceState(null, "", `#${said}`);
}

function matches(model) {
  const words = state.q.toLowerCase().split(/\s+/);
  const able = CAPABILITIES.filter((capability) => state.can.includes(capability.id));
  const enough = state.proof === "all" ? ["verified"] : ["verified", "declared", "stale"];
  return (
    words.every((word) => model.text.includes(word)) &&
    (state.kind === "all" || model.chats === Number(state.kind === "")) &&
    (!state.price || (model.input >= 0 && model.input <= Number(state.price))) &&
    (!state.context || model.context >= Number(state.context)) &&
    (!state.weights || model.open === Number(state.weights)) &&
    (!state.proof || model.proven > 0) &&
    (!state.since || model.released >= state.since) &&
    (!hasJob() || priceOf(model) !== null) &&
    able.every((capability) => enough.includes(stateOf(model, capability)))
  );
}

function found() {
  const query = state.q.trim().toLowerCase();
  const near = (model) => (query && model.id === query ? 0 : query && model.id.startsWith(query) ? 1 : 2);
  const [, compare] = ORDERS[state.order];
  return MODELS.filter(matches).sort((one, other) => near(one) - near(other) || compare(one, other) || 0);
}

function change(values) {
  Object.assign(state, values);
  most = STEP;
  writeAddress();
  show();
}

function choose(name) {
  const [title, options] = LIMITS[name];
  const keys = Object.keys(options).sort((one, other) => (one !== "") - (other !== "") || (name === "order" ? 0 : one - other || 0));
  const list = keys.map((key) => h("option", { value: key, selected: state[name] === key }, options[key]));
  const field = h("select", { name, onchange: (event) => change({ [name]: event.target.value }) }, ...list);
  return h("label", {}, title, field);
}

function jobTokens(name, title) {
  const field = h("input", { type: "number", min: 0, max: 999999999, name, value: state[name], placeholder: "any", oninput: () => change({ [name]: field.validity.valid ? field.value : "" }) });
  return h("label", {}, title, field);
}

function ability(id) {
  const capability = CAPABILITIES.find((known) => known.id === id);
  const toggle = (event) => change({ can: event.target.checked ? [...state.can, id] : state.can.filter((other) => other !== id) });
  return h("label", { className: "chip" }, h("input", { type: "checkbox", checked: state.can.includes(id), onchange: toggle }), capability.words);
}

function form() {
  const search = h("input", { type: "search", value: state.q, placeholder: "Search models and authors", ariaLabel: "Search models and authors" });
  search.addEventListener("input", () => change({ q: search.value }));
  const more = h("details", {}, h("summary", {}, "Filters and order"),
    h("div", { className: "limits" }, ...Object.keys(LIMITS).map(choose), jobTokens("in", "Job: input tokens"), jobTokens("out", "Job: output tokens")),
    h("div", { className: "chips", role: "group", ariaLabel: "Capabilities" }, ...ASKED.map(ability)));
  more.open = matchMedia("(min-width: 40.01rem)").matches;
  return h("form", { className: "choose", onsubmit: (event) => event.preventDefault() }, search, more);
}

function tabs() {
  return h("div", { className: "tabs", role: "group", ariaLabel: "View" }, ...Object.entries(VIEWS).map(([name, title]) => {
    const count = name === "compare" && state.compare.length ? ` (${state.compare.length})` : "";
    const tab = h("button", { type: "button", onclick: () => change({ view: name }) }, title + count);
    tab.setAttribute("aria-pressed", state.view === name);
    return tab;
  }));
}

function row(model) {
  const tick = h("input", { type: "checkbox", checked: state.compare.includes(model.id), ariaLabel: `Compare ${model.name}` });
  tick.addEventListener("change", () => {
    const others = state.compare.filter((id) => id !== model.id);
    state.compare = tick.checked ? [...others, model.id].slice(-MOST_COMPARED) : others;
    writeAddress();
    views.replaceChildren(tabs());
  });
  const able = CAPABILITIES.filter((capability) => ASKED.includes(capability.id))
    .map((capability) => [capability.words, stateOf(model, capability)])
    .filter(([, known]) => ["verified", "declared", "failed"].includes(known));
  const proven = model.proven ? h("span", { className: "verified" }, `✓ ${model.proven}`) : "";
  return h("tr", {}, h("td", { className: "tick" }, tick),
    h("td", { className: "name" }, h("a", { href: model.page }, model.name), h("small", {}, model.author || "")),
    h("td", {}, model.released || UNKNOWN), h("td", {}, tokens(model.context)), h("td", {}, pricePair(model)),
    h("td", {}, model.open === 1 ? "open" : ""), h("td", {}, `${model.offerings}`), h("td", {}, proven), ...(hasJob() ? [h("td", {}, amount(priceOf(model)))] : []),
    h("td", { className: "able" }, h("div", {}, ...able.map(([words, known]) => h("span", { className: known }, words)))));
}

function list(models) {
  if (!models.length) return h("p", {}, "No model matches. Remove a condition.");
  const titles = ["", "Model", "Released", "Context", "Input / output", "Weights", "Providers", "Proof", ...(hasJob() ? ["Job"] : []), "Beyond text"];
  const table = h("table", { className: "models" }, h("thead", {}, h("tr", {}, ...titles.map((title) => h("th", { scope: "col" }, title)))),
    h("tbody", {}, ...models.slice(0, most).map(row)));
  const rest = models.length - most;
  const more = h("button", { type: "button", className: "more", onclick: () => { most += STEP; show(); } }, `Show ${Math.min(rest, STEP)} more`);
  return h("div", {}, h("div", { className: "wide" }, table), rest > 0 ? more : "",
    h("p", { className: "soft" }, "Prices are in US dollars per million tokens: at the author's own service, or else at the cheapest provider. A job is priced there too, and what it does not fit is left out. ✓ counts what probes verified."));
}

let conditions = null;
const views = h("div", {});
const count = h("output", {});
const view = h("div", { className: "view" });

function show() {
  conditions.hidden = state.view === "compare";
  const models = state.view === "compare" ? [] : found();
  views.replaceChildren(tabs());
  count.textContent = state.view === "compare" ? "" : `${models.length.toLocaleString("en")} of ${MODELS.length.toLocaleString("en")} models`;
  if (state.view === "list") view.replaceChildren(list(models));
  if (state.view === "chart") view.replaceChildren(chart(models, state, place.clientWidth, change));
  if (state.view === "compare") view.replaceChildren(comparison(state.compare, (ids) => change({ compare: ids })));
}

function start() {
  readAddress();
  conditions = form();
  place.replaceChildren(conditions, h("div", { className: "bar" }, views, count), view);
  show();
}

addEventListener("hashchange", start);
addEventListener("resize", () => { if (state.view === "chart") show(); });
start();
