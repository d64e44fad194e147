/** One message of a lane, as an element that follows it. */
import { statsText } from "./answer.js";
import { closedCalls, openCalls, resultCard } from "./calls.js";
import { announce, button, copy, h } from "./dom.js";
import { HeatView } from "./heat.js";
import { MarkdownView } from "./markdown.js";
import { treeOf } from "./tree.js";

const NAMES = { user: "You", assistant: "Model", tool: "Tool" };

/** A message of the user, or of a tool. `lane` acts on it. */
export function sentView(message, lane) {
  const body = h("div", { className: "body" }, message.role === "tool" ? resultCard(message) : message.content);
  const element = h("article", { className: `message ${message.role}`, "aria-label": NAMES[message.role] },
    h("header", {}, h("strong", {}, NAMES[message.role]),
      message.role === "user" && button("Edit", () => edit(message, body, lane), { className: "quiet" })), body);
  return element;
}

function edit(message, body, lane) {
  const field = h("textarea", { value: message.content, rows: 3, "aria-label": "Edited message" });
  const cancel = () => body.replaceChildren(message.content);
  body.replaceChildren(h("form", {
    onsubmit: (event) => {
      event.preventDefault();
      lane.sendAgain(message, field.value);
    },
    onkeydown: (event) => event.key === "Escape" && cancel(),
  }, field, h("button", { type: "submit", className: "primary" }, "Send"), " ", button("Cancel", cancel)));
  field.focus();
}

/** The view of an answer, which can still grow. */
export class AnswerView {
  constructor(message, lane) {
    this.message = message;
    this.lane = lane;
    this.showsHeat = message.format !== "json_schema" && Boolean(message.tokens?.length || message.wantsHeat);
    this.thought = h("p");
    this.thoughts = h("details", { className: "thoughts", hidden: true }, h("summary", {}, "Thoughts"), this.thought);
    this.body = h("div", { className: "body" });
    this.calls = h("div");
    this.error = h("p", { className: "error", role: "alert", hidden: true });
    this.stats = h("p", { className: "stats" });
    this.actions = h("div", { className: "actions" });
    this.element = h("article", { className: "message assistant", "aria-label": "Model" },
      h("header", {}, h("strong", {}, "Model")), this.thoughts, this.body, this.calls, this.error, this.stats, this.actions);
    this.showBody();
  }

  /** Begin the body anew: as Markdown, or as a heat map. */
  showBody() {
    this.heat?.close();
    this.heat = null;
    if (this.showsHeat) {
      this.heat = new HeatView(this.message, (tokens) => this.lane.continueFrom(this.message, tokens));
    }
    this.view = this.heat ?? new MarkdownView();
    this.body.replaceChildren(this.view.element);
  }

  /** Show what the message is now. `isOver`: it grows no more. */
  update(isOver) {
    const { message } = this;
    if (isOver || this.heat) this.view.update(message.content);
    else this.view.grow(message.content);
    this.thoughts.hidden = !message.reasoning;
    if (this.thought.textContent !== message.reasoning) this.thought.textContent = message.reasoning ?? "";
    if (isOver) this.finish();
    else if (message.tool_calls?.length) this.calls.replaceChildren(...closedCalls(message.tool_calls));
  }

  finish() {
    const { message, lane } = this;
    this.error.hidden = !message.error;
    this.error.textContent = message.error ?? "";
    this.stats.textContent = statsText(message);
    if (message.tool_calls?.length) {
      const open = lane.isLast(message) && message.finish === "tool_calls";
      this.calls.replaceChildren(...(open
        ? [openCalls(message.tool_calls, (results) => lane.sendResults(results))]
        : closedCalls(message.tool_calls)));
    }
    const tree = message.format === "json_schema" && !this.heat && treeOf(message.content);
    if (tree) this.body.replaceChildren(h("div", { className: "beside" }, tree, h("pre", { tabIndex: 0 }, message.content)));
    this.actions.replaceChildren(...this.buttons());
  }

  async copy(clicked) {
    clicked.textContent = await copy(this.message.content, this.body);
    announce(clicked.textContent);
  }

  buttons() {
    const { message, lane } = this;
    const quiet = { className: "quiet" };
    const flip = () => {
      this.showsHeat = !this.showsHeat;
      this.showBody();
      this.update(true);
    };
    return [
      button("Copy", ({ target }) => this.copy(target), quiet),
      button("Retry", () => lane.retry(message), quiet),
      message.tokens?.length && button(this.showsHeat ? "Show text" : "Show heat map", flip, quiet),
      button("Code", () => lane.showCode(message), quiet),
    ].filter(Boolean);
  }
}
