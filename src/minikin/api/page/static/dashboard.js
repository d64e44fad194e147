/** The dashboard: asks the server for its numbers again and again, while somebody can see it. */
import { fetchJson, post } from "./api.js";
import { drawCharts } from "./charts.js";
import { announce, button, h } from "./dom.js";
import { bytes, figures, ofModel } from "./numbers.js";
import { Rows } from "./rows.js";

const EVERY = 2000;
const AFTER_A_FAULT = 5000;
const at = (id) => document.getElementById(id);

const running = new Rows(at("running"), [
  { title: "Request" }, { title: "Model" }, { title: "Key" }, { title: "Age", isNumber: true },
  { title: "Prompt", isNumber: true }, { title: "Tokens", isNumber: true }, { title: "" },
], { none: "No request runs.", label: "Running requests" });
const models = new Rows(at("models"), [
  { title: "Model" }, { title: "State" }, { title: "Running", isNumber: true }, { title: "Waiting", isNumber: true },
  { title: "Cache", isNumber: true }, { title: "Memory", isNumber: true }, { title: "Restarts", isNumber: true }, { title: "" },
], { none: "No model.", label: "Models" });

/** Do what a button says, and tell how it went. */
async function act(path, done) {
  try {
    await post(path);
    problem(null);
    announce(done);
  } catch (error) {
    problem(error.message);
  }
  await ask();
}

function problem(text) {
  at("problem").hidden = !text;
  at("problem").textContent = text ?? "";
}

function drawRunning({ requests }) {
  running.show(requests.map((row) => ({
    id: row.id,
    cells: [
      `${row.id.slice(0, 20)}${row.is_batch ? " (batch)" : ""}`, row.model, row.key || "-", `${row.seconds.toFixed(1)} s`,
      row.prompt_tokens, `${row.tokens} of ${row.limit}`,
    ],
    action: () => button("Cancel", () => act(`dashboard/requests/${encodeURIComponent(row.id)}/cancel`, "Cancelled the request."), { "aria-label": `Cancel ${row.id}` }),
  })));
}

function drawModels(numbers) {
  models.show(numbers.models.map(({ id, aliases, state, estimate }) => {
    const isHere = state !== "unloaded" && state !== "failed";
    const [word, path] = isHere ? ["Unload", "unload"] : ["Load", "load"];
    const memory = ofModel(numbers, "minikin_engine_memory_bytes", id);
    return {
      id,
      cells: [
        [id, ...aliases].join(", "), state, ofModel(numbers, "vllm:num_requests_running", id), ofModel(numbers, "vllm:num_requests_waiting", id),
        `${Math.round(100 * ofModel(numbers, "vllm:kv_cache_usage_perc", id))} %`,
        memory ? bytes(memory) : estimate ? `about ${bytes(estimate)}` : "-", ofModel(numbers, "minikin_engine_restarts_total", id),
      ],
      state: word,
      action: () => button(word, () => act(`dashboard/models/${id}/${path}`, `${word}: ${id}.`), { "aria-label": `${word} ${id}` }),
    };
  }));
}

function drawFigures(before, now) {
  at("figures").replaceChildren(...figures(before, now).map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(text)))));
}

let before = null;
let addToCharts = null;
let timer = null;

async function ask() {
  clearTimeout(timer);
  let wait = EVERY;
  try {
    const now = await fetchJson("dashboard.json");
    addToCharts ??= drawCharts(at("charts"));
    if (now.at !== before?.at) {
      addToCharts(before, now);
      drawFigures(before, now);
      before = now;
    }
    drawRunning(now);
    drawModels(now);
    if (at("problem").dataset.isOfPolling) problem(null);
    delete at("problem").dataset.isOfPolling;
  } catch (error) {
    problem(error.message);
    at("problem").dataset.isOfPolling = "yes";
    wait = AFTER_A_FAULT;
  }
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(ask, wait);
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  if (!document.hidden) ask();
});
ask();
