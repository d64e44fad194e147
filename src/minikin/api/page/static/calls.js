/** Tool calls as cards: what the model asks for, and a field for the result. */
import { h, newId } from "./dom.js";

/** Cards for calls without results. `onresults(messages)` sends the results back. */
export function openCalls(calls, onresults) {
  const fields = calls.map(() => h("textarea", { id: newId(), className: "code", rows: 2 }));
  const cards = calls.map((call, at) => h("div", { className: "call" },
    head(call), h("label", { htmlFor: fields[at].id }, `Result of ${call.function.name}`), fields[at]));
  return h("form", {
    onsubmit: (event) => {
      event.preventDefault();
      onresults(calls.map((call, at) => ({ role: "tool", tool_call_id: call.id, content: fields[at].value })));
    },
  }, cards, h("button", { type: "submit", className: "primary" }, calls.length > 1 ? "Send results" : "Send result"));
}

/** Cards for calls as they grow, or whose results are sent. */
export function closedCalls(calls) {
  return calls.map((call) => h("div", { className: "call" }, head(call)));
}

/** The card of a result that was sent. */
export function resultCard(message) {
  return h("div", { className: "call" }, h("h3", {}, "Result"), h("div", { className: "result" }, message.content));
}

function head(call) {
  return [h("h3", {}, call.function.name), h("pre", { tabIndex: 0 }, indented(call.function.arguments))];
}

function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
