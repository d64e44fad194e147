/** The panel beside the chat: settings, tools and the schema of a lane. */
import { controlFields, labelled } from "./controls.js";
import { button, h } from "./dom.js";
import { SCHEMAS, TOOLS } from "./examples.js";
import { parsed, toolsOf } from "./request.js";

const TABS = { Settings: settingsPane, Tools: toolsPane, Schema: schemaPane };
let chosen = "Settings";

/** Fill `element` for `settings`. `changed` is called after each change. `offer` is what the server offers. */
export function drawPanel(element, { settings, offer, changed, extra = [] }) {
  const draw = () => drawPanel(element, { settings, offer, changed, extra });
  const choose = (name) => {
    chosen = name;
    draw();
    document.getElementById(`tab-${name}`).focus();
  };
  const names = Object.keys(TABS);
  const onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) choose(names.at((names.indexOf(chosen) + step) % names.length));
  };
  const tabs = names.map((name) => button(name, () => choose(name), {
    role: "tab", id: `tab-${name}`, "aria-selected": String(name === chosen), "aria-controls": "pane", tabIndex: name === chosen ? 0 : -1,
  }));
  element.replaceChildren(
    h("div", { className: "tabs", role: "tablist", "aria-label": "Panes", onkeydown }, tabs),
    h("div", { id: "pane", role: "tabpanel", "aria-labelledby": `tab-${chosen}` },
      extra, TABS[chosen]({ settings, offer, changed, draw })));
}

function settingsPane({ settings, offer, changed, draw }) {
  const model = offer.models.find((each) => each.names.includes(settings.model)) ?? offer.models[0];
  const models = h("select", {
    onchange: () => {
      settings.model = models.value;
      changed();
      draw();
    },
  }, offer.models.map(({ id }) => h("option", { value: id, selected: id === model.id }, id)));
  const system = h("textarea", { rows: 3, value: settings.system, oninput: () => { settings.system = system.value; changed(); } });
  return [
    labelled("Model", models, model.context_length ? `${model.context_length.toLocaleString("en")} tokens of context` : ""),
    labelled("System prompt", system),
    heatFields(settings, offer, changed),
    ...controlFields(offer.controls, settings, model, changed),
    button("Use all defaults", () => {
      settings.values = {};
      changed();
      draw();
    }),
  ];
}

function heatFields(settings, offer, changed) {
  const { schema } = offer.controls.find((control) => control.name === "top_logprobs");
  const { minimum, maximum } = (schema.anyOf ?? [schema])[0];
  const check = h("input", { type: "checkbox", checked: settings.heat, onchange: () => { settings.heat = check.checked; changed(); } });
  const count = h("input", {
    type: "number", className: "number", min: minimum, max: maximum, value: settings.alternatives, "aria-label": "Alternatives for each token",
    oninput: () => { settings.alternatives = Number(count.value); changed(); },
  });
  return h("div", { className: "field" }, h("label", { className: "check" }, check, "Heat map"), count,
    h("small", {}, "Colours each token of the next answers by its probability, with so many alternatives."));
}

function toolsPane({ settings, changed, draw }) {
  const choice = h("select", { onchange: () => { settings.toolChoice = choice.value; changed(); } },
    ["auto", "required", "none"].map((value) => h("option", { selected: value === settings.toolChoice }, value)));
  const use = (text) => {
    settings.tools = text;
    changed();
    draw();
  };
  return [
    h("p", { className: "hint" }, "The model can call these functions. You type their results."),
    h("div", { className: "row" },
      button("Example", () => use(JSON.stringify(TOOLS, null, 2))), button("Clear", () => use(""))),
    jsonField("Tools (JSON)", settings, "tools", toolsOf, changed),
    labelled("tool_choice", choice, "With required, the model must call a function."),
  ];
}

function schemaPane({ settings, changed, draw }) {
  const check = h("input", {
    type: "checkbox", checked: settings.format === "json_schema",
    onchange: () => { settings.format = check.checked ? "json_schema" : "text"; changed(); },
  });
  const use = (schema) => {
    settings.schema = JSON.stringify(schema, null, 2);
    settings.format = "json_schema";
    changed();
    draw();
  };
  return [
    h("label", { className: "check" }, check, "Answers match this schema"),
    h("div", { className: "row" }, Object.entries(SCHEMAS).map(([name, schema]) => button(name, () => use(schema)))),
    jsonField("JSON Schema", settings, "schema", (text) => text.trim() && parsed(text, "Schema"), changed),
  ];
}

/** A field for JSON in `settings[name]`. `check` throws an Error that is shown. */
function jsonField(label, settings, name, check, changed) {
  const problem = h("p", { className: "problem", role: "alert" });
  const judge = () => {
    try {
      check(settings[name]);
      problem.textContent = "";
    } catch (error) {
      problem.textContent = error.message;
    }
  };
  const field = h("textarea", {
    className: "code", rows: 18, spellcheck: false, value: settings[name],
    oninput: () => {
      settings[name] = field.value;
      judge();
      changed();
    },
  });
  judge();
  return h("div", {}, labelled(label, field), problem);
}
