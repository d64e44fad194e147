/** The API key: asked for once, and kept until the browser's tab is closed. */
import { button, h } from "./dom.js";

const PLACE = "minikin.key";
let open = null;

/** The headers of a request. */
export function keyHeaders() {
  const key = sessionStorage.getItem(PLACE);
  return key ? { authorization: `Bearer ${key}` } : {};
}

/** Asks for the key. `reason` is the server's message. Resolves to whether there is a new one. */
export function askForKey(reason) {
  open ??= dialog(reason).finally(() => { open = null; });
  return open;
}

function dialog(reason) {
  const field = h("input", { type: "password", id: "key", required: true, autocomplete: "off" });
  const box = h("dialog", { "aria-labelledby": "key-title" },
    h("form", { onsubmit: (event) => { event.preventDefault(); box.close("given"); } },
      h("h2", { id: "key-title" }, "API key"),
      h("p", {}, reason),
      h("label", { htmlFor: "key" }, "Key"), field,
      h("div", { className: "row" },
        h("button", { type: "submit", className: "primary" }, "Use it"),
        button("Cancel", () => box.close("")))));
  document.body.append(box);
  box.showModal();
  return new Promise((resolve) => {
    box.addEventListener("close", () => {
      if (box.returnValue) sessionStorage.setItem(PLACE, field.value.trim());
      box.remove();
      resolve(Boolean(box.returnValue));
    });
  });
}
