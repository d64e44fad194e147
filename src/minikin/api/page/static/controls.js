/** Fields for the parameters of a request, from the server's own rules. */
import { h, newId } from "./dom.js";

const FIRST = ["temperature", "top_p", "max_completion_tokens", "seed"];
const MOST_OF_A_SLIDER = 100;

/** Fields for all `controls`: the usual ones, then the others folded. */
export function controlFields(controls, settings, model, changed) {
  const shown = controls.filter((control) => control.name !== "top_logprobs");
  const field = (control) => fieldOf(control, settings.values, model, changed);
  return [
    ...FIRST.flatMap((name) => shown.filter((control) => control.name === name)).map(field),
    h("details", {}, h("summary", {}, "More parameters"),
      shown.filter((control) => !FIRST.includes(control.name)).map(field)),
  ];
}

/** A field with a label and a description. An empty one means the default. */
export function labelled(text, input, hint = "") {
  const id = (input.id ||= newId());
  const note = newId();
  if (hint) input.setAttribute("aria-describedby", note);
  input.classList.add("wide");
  return h("div", { className: "field" }, h("label", { htmlFor: id }, text), input, hint && h("small", { id: note }, hint));
}

function fieldOf(control, values, model, changed) {
  const kinds = kindsOf(control.schema);
  const [schema] = kinds;
  const set = (value) => {
    values[control.name] = value;
    changed();
  };
  if (kinds.length > 1) return lines(control, values, set);
  if (schema.enum) return choice(control, schema, values, set);
  if (schema.type === "object") return biases(control, values, set);
  return number(control, schema, values, model, set);
}

/** The forms that a value can have, without null. */
function kindsOf(schema) {
  return schema.anyOf ? schema.anyOf.flatMap(kindsOf) : schema.type === "null" ? [] : [schema];
}

function number(control, schema, values, model, set) {
  const { name } = control;
  const fallback = model.sampling[name] ?? control.default;
  const max = name === "max_completion_tokens" ? (model.max_output_tokens ?? schema.maximum) : schema.maximum;
  const isShort = max - schema.minimum <= MOST_OF_A_SLIDER;
  const limits = Number.isSafeInteger(max) || isShort ? { min: schema.minimum, max } : {};
  const step = schema.type === "integer" ? 1 : "any";
  const field = h("input", {
    type: "number", className: "number", id: newId(), ...limits, step,
    value: values[name] ?? "", placeholder: fallback ?? "none", "aria-describedby": newId(),
  });
  const slider = isShort && h("input", {
    type: "range", className: "wide", ...limits, step: schema.type === "integer" ? 1 : 0.01, "aria-label": `${name}, slider`,
    value: values[name] ?? fallback ?? schema.minimum,
    oninput: () => {
      field.value = slider.value;
      set(Number(slider.value));
    },
  });
  field.addEventListener("input", () => {
    set(field.value === "" ? null : Number(field.value));
    if (slider) slider.value = field.value === "" ? (fallback ?? schema.minimum) : field.value;
  });
  const range = limits.max === undefined ? "" : `${limits.min} to ${limits.max}; `;
  return h("div", { className: "field" },
    h("label", { htmlFor: field.id, title: control.behaviour }, name), field, slider,
    h("small", { id: field.getAttribute("aria-describedby") }, `${range}default ${fallback ?? "none"}. ${sentence(control)}`));
}

function sentence({ behaviour }) {
  return `${behaviour[0].toUpperCase()}${behaviour.slice(1)}.`;
}

function lines(control, values, set) {
  const field = h("textarea", {
    rows: 1, value: [values[control.name] ?? []].flat().join("\n"),
    oninput: () => set(field.value ? field.value.split("\n").filter(Boolean) : null),
  });
  return labelled(control.name, field, `One on each line. ${sentence(control)}`);
}

function choice(control, schema, values, set) {
  const field = h("select", { onchange: () => set(field.value || null) },
    h("option", { value: "" }, `default: ${control.default_text}`),
    schema.enum.map((value) => h("option", { selected: values[control.name] === value }, value)));
  return labelled(control.name, field, sentence(control));
}

function biases(control, values, set) {
  const problem = h("p", { className: "problem", role: "alert", hidden: true });
  const field = h("textarea", {
    className: "code", rows: 1, value: values[control.name] ? JSON.stringify(values[control.name]) : "", placeholder: '{"1234": -100}',
    oninput: () => {
      problem.hidden = true;
      try {
        set(field.value.trim() ? JSON.parse(field.value) : null);
      } catch (error) {
        problem.textContent = `Not valid JSON: ${error.message}.`;
        problem.hidden = false;
      }
    },
  });
  return h("div", {}, labelled(control.name, field, sentence(control)), problem);
}
