/** A request as code: curl, Python and Node. The key stays out of it. */
import { SERVER } from "./api.js";
import { button, copy, h } from "./dom.js";
import { parted } from "./request.js";

const BASE = `${SERVER}v1`;

export function curl(body, { names, headers }) {
  const [, own] = parted(body, names);
  const lines = Object.keys(own).length ? Object.entries(headers).map(([name, value]) => `  -H "${name}: ${value}" \\`) : [];
  const data = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  return [
    `curl ${BASE}/chat/completions \\`,
    '  -H "Authorization: Bearer $OPENAI_API_KEY" \\',
    '  -H "Content-Type: application/json" \\',
    ...lines,
    `  -d '${data}'`,
  ].join("\n");
}

export function python(body, { names, headers }) {
  const [known, own] = parted(body, names);
  if (Object.keys(own).length) Object.assign(known, { extra_headers: headers, extra_body: own });
  const fields = Object.entries(known).map(([name, value]) => `    ${name}=${literal(value, 1)},`);
  return [
    "import os", "", "from openai import OpenAI", "",
    `client = OpenAI(base_url=${JSON.stringify(BASE)}, api_key=os.environ.get("OPENAI_API_KEY", "unused"))`,
    "stream = client.chat.completions.create(", ...fields, ")",
    "for chunk in stream:", "    if chunk.choices:",
    '        print(chunk.choices[0].delta.content or "", end="", flush=True)', "print()",
  ].join("\n");
}

export function node(body, { names, headers }) {
  const [, own] = parted(body, names);
  const options = Object.keys(own).length ? `, { headers: ${JSON.stringify(headers)} }` : "";
  return [
    'import OpenAI from "openai";', "",
    `const client = new OpenAI({ baseURL: ${JSON.stringify(BASE)}, apiKey: process.env.OPENAI_API_KEY ?? "unused" });`,
    `const stream = await client.chat.completions.create(${JSON.stringify(body, null, 2)}${options});`,
    "for await (const chunk of stream) {",
    '  process.stdout.write(chunk.choices[0]?.delta.content ?? "");', "}",
  ].join("\n");
}

/** A JSON value as Python writes it. */
function literal(value, depth) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = "    ".repeat(depth + 1);
  const outer = "    ".repeat(depth);
  const items = Array.isArray(value)
    ? value.map((each) => `${inner}${literal(each, depth + 1)},`)
    : Object.entries(value).map(([name, each]) => `${inner}${JSON.stringify(name)}: ${literal(each, depth + 1)},`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return items.length ? [open, ...items, `${outer}${close}`].join("\n") : open + close;
}

const FORMS = { curl, Python: python, Node: node };

/** A dialog with the request that `make` returns. `extensions` is as in `lane.js`. */
export function showSnippets(make, extensions) {
  const shown = h("pre", { tabIndex: 0 });
  const copied = h("span", { role: "status" });
  const choose = (name) => {
    shown.textContent = attempt(() => FORMS[name](make(), extensions));
    copied.textContent = "";
    for (const each of tabs) each.setAttribute("aria-pressed", String(each.textContent === name));
  };
  const tabs = Object.keys(FORMS).map((name) => button(name, () => choose(name)));
  const box = h("dialog", { "aria-labelledby": "code-title", onclose: () => box.remove() },
    h("h2", { id: "code-title" }, "This request as code"), h("div", { className: "row" }, tabs), shown,
    h("div", { className: "row" },
      button("Copy", async () => { copied.textContent = await copy(shown.textContent, shown); }, { className: "primary" }), button("Close", () => box.close()), copied));
  document.body.append(box);
  choose("curl");
  box.showModal();
}

function attempt(make) {
  try {
    return make();
  } catch (error) {
    return error.message;
  }
}
