/** The server's numbers, and what they say between two moments. */

/** The sum of a metric over all its values whose labels `matches` accepts. */
export function total({ metrics }, name, matches = () => true) {
  return (metrics[name] ?? []).reduce((sum, [labels, value]) => (matches(labels) ? sum + value : sum), 0);
}

/** A metric of one model. */
export function ofModel(numbers, name, model) {
  return total(numbers, name, ({ model_name }) => model_name === model);
}

/** How much a counter grew. A server that started anew counts from 0. */
function growth(before, now, name, matches) {
  return before ? Math.max(0, total(now, name, matches) - total(before, name, matches)) : null;
}

function perSecond(name, matches) {
  return (before, now) => before && growth(before, now, name, matches) / Math.max(now.at - before.at, 0.001);
}

function quotient(above, below, scale = 1) {
  return (before, now) => {
    const whole = growth(before, now, below);
    return whole ? (scale * growth(before, now, above)) / whole : null;
  };
}

function value(name, scale = 1) {
  return (before, now) => scale * total(now, name);
}

const ENDED = "vllm:request_success_total";
const status = (first, last) => (labels) => Number(labels.status) >= first && Number(labels.status) <= last;
const reason = (...names) => ({ finished_reason }) => names.includes(finished_reason);
const FIRST = "vllm:time_to_first_token_seconds";

/** Each chart has lines: a name, and a function of the numbers before and now. null is a gap. */
export const CHARTS = [
  { title: "Answers per second", lines: [
    ["complete", perSecond(ENDED, reason("stop", "length"))],
    ["client left or cancelled", perSecond(ENDED, reason("abort"))],
    ["failed", perSecond(ENDED, reason("error"))],
  ] },
  { title: "Tokens per second", lines: [
    ["generated", perSecond("vllm:generation_tokens_total")],
    ["prompts", perSecond("vllm:prompt_tokens_total")],
  ] },
  { title: "Time to first token, ms", lines: [["mean", quotient(`${FIRST}_sum`, `${FIRST}_count`, 1000)]] },
  { title: "Requests and answers now", lines: [
    ["running", value("vllm:num_requests_running")],
    ["waiting for the engine", value("vllm:num_requests_waiting")],
    ["requests in flight", value("minikin_requests_in_flight")],
  ] },
  { title: "KV cache, %", most: 100, lines: [
    ["used", (before, now) => (100 * total(now, "vllm:kv_cache_usage_perc")) / Math.max(1, now.models.length)],
    ["hit rate", quotient("vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total", 100)],
  ] },
  { title: "Memory, MB", lines: [
    ["engines", value("minikin_engine_memory_bytes", 1e-6)],
    ["server", value("process_resident_memory_bytes", 1e-6)],
  ] },
  { title: "Errors per second", lines: [
    ["wrong requests (4xx)", perSecond("minikin_errors_total", status(400, 499))],
    ["no room (503)", perSecond("minikin_errors_total", status(503, 503))],
    ["faults (500)", perSecond("minikin_errors_total", status(500, 502))],
  ] },
  { title: "Engine restarts", lines: [["since the start", value("minikin_engine_restarts_total")]] },
];

/** The figures at the top: a name, and its text. */
export function figures(before, now) {
  const rate = perSecond("vllm:generation_tokens_total")(before, now);
  const first = total(now, `${FIRST}_count`);
  const all = total(now, "vllm:prefix_cache_queries_total");
  return [
    ["In flight", `${total(now, "minikin_requests_in_flight")} of ${now.limits.requests}`],
    ["Running", total(now, "vllm:num_requests_running")],
    ["Waiting", total(now, "vllm:num_requests_waiting")],
    ["Tokens/s", rate === null ? "-" : short(rate)],
    ["First token", first ? `${short((1000 * total(now, `${FIRST}_sum`)) / first)} ms` : "-"],
    ["Cache hits", all ? `${short((100 * total(now, "vllm:prefix_cache_hits_total")) / all)} %` : "-"],
    ["Memory", bytes(total(now, "minikin_engine_memory_bytes") + total(now, "process_resident_memory_bytes"))],
    ["Restarts", total(now, "minikin_engine_restarts_total")],
  ];
}

/** A number with few digits. */
export function short(number) {
  if (number === null || number === undefined) return "-";
  return number >= 100 || Number.isInteger(number) ? Math.round(number).toLocaleString("en") : number.toFixed(1);
}

/** A size with its unit. */
export function bytes(size) {
  return size >= 1e9 ? `${(size / 1e9).toFixed(1)} GB` : `${Math.round(size / 1e6)} MB`;
}
