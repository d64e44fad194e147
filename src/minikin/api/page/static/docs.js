/** The viewer of the API. Its "try it" sends the key of this browser session, if there is one. */
import { SERVER, fetchJson } from "./api.js";
import { h } from "./dom.js";
import { keyHeaders } from "./key.js";

/** The description, with the routes in groups by the first word of their path. */
function grouped(described) {
  for (const [path, operations] of Object.entries(described.paths)) {
    const [group] = path.replace(/^\/v1\//, "/").split("/").filter(Boolean);
    for (const operation of Object.values(operations)) operation.tags ??= [group];
  }
  return { ...described, servers: [{ url: SERVER.slice(0, -1) }] };
}

const viewer = document.getElementById("viewer");

/** The viewer leaves these without a name, or out of reach of the keyboard. */
const ADDED = [
  ["select:not([aria-label])", "aria-label", "Choice"],
  ["textarea:not([aria-label])", "aria-label", "Request body"],
  [".microlight:not([tabindex])", "tabindex", "0"],
];

function complete() {
  for (const [selector, name, value] of ADDED) {
    for (const element of viewer.querySelectorAll(selector)) element.setAttribute(name, value);
  }
}

new MutationObserver(complete).observe(viewer, { childList: true, subtree: true });
try {
  globalThis.SwaggerUIBundle({
    domNode: viewer,
    spec: grouped(await fetchJson("openapi.json")),
    displayRequestDuration: true,
    defaultModelsExpandDepth: 0,
    tryItOutEnabled: true,
    validatorUrl: null,
    requestInterceptor: (request) => {
      request.headers = { ...keyHeaders(), ...request.headers };
      return request;
    },
  });
} catch (error) {
  viewer.replaceChildren(h("p", { role: "alert" }, error.message));
}
