/** A JSON value as a tree of lists. */
import { h } from "./dom.js";

/** The tree of the JSON in `text`, or null if it is not complete. */
export function treeOf(text) {
  try {
    const value = JSON.parse(text);
    const isSimple = typeof value !== "object" || !value;
    return h("div", { className: "tree" }, isSimple ? leaf(value) : listOf(value));
  } catch {
    return null;
  }
}

function listOf(value) {
  return h("ul", {}, Object.entries(value).map(([name, each]) => item(name, each)));
}

function item(name, value) {
  const label = [h("b", {}, name), ": "];
  if (typeof value !== "object" || value === null) return h("li", {}, label, leaf(value));
  return h("li", {}, label, Array.isArray(value) ? `${value.length} ${value.length === 1 ? "item" : "items"}` : "", listOf(value));
}

function leaf(value) {
  const isText = typeof value === "string";
  return h("span", { className: isText ? "string" : "other" }, isText ? value : JSON.stringify(value));
}
