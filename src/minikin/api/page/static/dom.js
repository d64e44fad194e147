/**
 * An element with properties, listeners (`onclick`) and children. Strings become text nodes, so that
 * no text can become markup. `data` and ARIA names are attributes. null and false are left out.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !name.startsWith("aria") && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false && child !== undefined));
  return element;
}

/** A button with a text. */
export function button(text, onclick, properties = {}) {
  return h("button", { type: "button", onclick, ...properties }, text);
}

let lastId = 0;

/** An id that no other element has. */
export function newId() {
  lastId += 1;
  return `id-${lastId}`;
}

/**
 * Copy `text`, which `shown` shows. Returns what to say. Browsers allow copying only on secure pages and on this
 * machine: elsewhere the text is selected.
 */
export async function copy(text, shown) {
  try {
    await navigator.clipboard.writeText(text);
    return "Copied";
  } catch {
    getSelection().selectAllChildren(shown);
    return "Selected: copy with Ctrl+C";
  }
}

/** Says `text` to screen readers. */
export function announce(text) {
  document.getElementById("status").textContent = text;
}
