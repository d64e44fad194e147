// Models side by side: a column for each, a row for each fact.
"use strict";

const MOST_COMPARED = 6;
const FACTS = [
  ["Author", (model) => model.author || UNKNOWN],
  ["Released", (model) => model.released || UNKNOWN],
  ["Context", (model) => tokens(model.context)],
  ["Max output", (model) => tokens(model.maxOutput)],
  ["Input price", (model) => dollars(model.input)],
  ["Output price", (model) => dollars(model.output)],
  ["Weights", (model) => WEIGHTS[model.open]],
  ["Providers", (model) => `${model.offerings}`],
  ["Measured tokens/s", (model) => `${model.speed || UNKNOWN}`],
  ["Verified by probes", (model) => `${model.proven || UNKNOWN}`],
];
const SIGNS = { verified: "✓ verified", declared: "declared", stale: "stale", failed: "✗ failed", absent: "no", unknown: UNKNOWN };

// `change` gets the ids after a model is added or removed.
function comparison(ids, change) {
  const models = ids.map(modelNamed).filter(Boolean);
  const facts = FACTS.map(([title, shown]) => [title, models.map((model) => [shown(model), ""])]);
  const abilities = CAPABILITIES.map((capability) => [
    capability.words + (capability.observable ? "" : " (not observable)"),
    models.map((model) => [SIGNS[stateOf(model, capability)], stateOf(model, capability)]),
  ]).filter(([, cells]) => cells.some(([text]) => text !== UNKNOWN));
  const box = h("div", {}, adding(ids, change));
  if (!models.length) {
    box.append(h("p", {}, "Nothing to compare yet. Add a model here, or tick models in the list."));
    return box;
  }
  const remove = (model) => change(ids.filter((id) => id !== model.id));
  const head = models.map((model) => h("th", { scope: "col" },
    h("a", { href: model.page }, model.name),
    h("button", { type: "button", className: "remove", ariaLabel: `Remove ${model.name}`, onclick: () => remove(model) }, "×")));
  const rows = [...facts, ...abilities].map(([title, cells]) => {
    const differ = new Set(cells.map(([text]) => text)).size > 1;
    return h("tr", { className: differ ? "differ" : "" }, h("th", { scope: "row" }, title),
      ...cells.map(([text, state]) => h("td", { className: state }, text)));
  });
  box.append(
    h("div", { className: "wide", tabIndex: 0, role: "region", ariaLabel: "Comparison" },
      h("table", { className: "compared" }, h("thead", {}, h("tr", {}, h("td", {}), ...head)), h("tbody", {}, ...rows))),
    h("p", { className: "soft" }, "Rows in bold differ. A capability has its best state at any provider. Prices: see the list."));
  return box;
}

function adding(ids, change) {
  const field = h("input", { type: "search", placeholder: "Add a model to compare", ariaLabel: "Add a model to compare" });
  field.setAttribute("list", "ids");
  const add = () => {
    const model = modelNamed(field.value);
    if (model && !ids.includes(model.id)) change([...ids, model.id].slice(-MOST_COMPARED));
  };
  field.addEventListener("change", add);
  const known = h("datalist", { id: "ids" }, ...MODELS.map((model) => h("option", { value: model.id })));
  return h("form", { className: "adding", onsubmit: (event) => { event.preventDefault(); add(); } }, field, known);
}
