/** The heat map: each token coloured by its probability, with the tokens that were likely instead. */
import { button, h, newId } from "./dom.js";

const HIDE_AFTER = 250;

function percent(logprob) {
  const value = 100 * Math.exp(logprob);
  return value < 0.1 ? "< 0.1 %" : `${value.toFixed(value < 10 ? 1 : 0)} %`;
}

/** The text of tokens. Throws a TypeError if they end inside a character. */
export function textOf(tokens) {
  const bytes = tokens.flatMap((token) => token.bytes ?? [...new TextEncoder().encode(token.token)]);
  return new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(bytes));
}

/** `onpick(tokens)` continues from those tokens. */
export class HeatView {
  constructor(message, onpick) {
    this.message = message;
    this.onpick = onpick;
    this.decoder = new TextDecoder();
    this.spans = [];
    this.line = null;
    this.tokens = h("div", {
      className: "heat", role: "group", "aria-label": "Tokens by probability. Arrow keys move, Enter shows alternatives.",
      onkeydown: (event) => this.key(event),
      onclick: (event) => this.open(event.target.closest("span"), true),
      onfocusin: (event) => this.open(event.target),
      onfocusout: () => this.closeSoon(),
      onmouseover: (event) => this.open(event.target.closest("span")),
      onmouseout: () => this.closeSoon(),
    });
    this.element = h("div", {}, this.tokens,
      h("p", { className: "scale" }, "unlikely", h("i", { "aria-hidden": "true" }), "certain"));
  }

  update() {
    for (const token of this.message.tokens.slice(this.spans.length)) this.add(this.span(token, this.spans.length));
  }

  /** Each line is a block of its own, so that a browser lays out only the last one anew. */
  add(span) {
    if (!this.line) this.tokens.append(this.line = h("div"));
    this.line.append(span);
    this.spans.push(span);
    if (span.textContent.endsWith("\n")) this.line = null;
  }

  span(token, at) {
    const text = this.decoder.decode(new Uint8Array(token.bytes ?? []), { stream: true });
    const span = h("span", {
      role: "button", tabIndex: at ? -1 : 0, "aria-expanded": "false",
      "aria-label": `${JSON.stringify(token.token)}, ${percent(token.logprob)}`,
    }, text);
    span.dataset.at = at;
    span.style.setProperty("--p", Math.exp(token.logprob).toFixed(3));
    return span;
  }

  key(event) {
    const span = event.target.closest("span");
    if (!span) return;
    const at = Number(span.dataset.at);
    const to = { ArrowRight: this.spans[at + 1], ArrowLeft: this.spans[at - 1],
      Home: this.spans[0], End: this.spans.at(-1) }[event.key];
    if (to) {
      span.tabIndex = -1;
      to.tabIndex = 0;
      to.focus();
    } else if (event.key === "Enter" || event.key === " ") this.open(span, true);
    else if (event.key === "Escape") this.close();
    else return;
    event.preventDefault();
  }

  open(span, enter = false) {
    if (!span?.dataset.at) return;
    clearTimeout(this.timer);
    if (this.anchor !== span) {
      this.close();
      this.anchor = span;
      this.box = this.alternatives(Number(span.dataset.at));
      span.setAttribute("aria-expanded", "true");
      document.body.append(this.box);
      place(this.box, span);
    }
    if (enter) this.box.querySelector("button:not(:disabled)")?.focus();
  }

  closeSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.close(), HIDE_AFTER);
  }

  close() {
    clearTimeout(this.timer);
    this.box?.remove();
    this.anchor?.setAttribute("aria-expanded", "false");
    this.box = this.anchor = null;
  }

  alternatives(at) {
    const token = this.message.tokens[at];
    const title = newId();
    const choices = token.top_logprobs.map((other) => this.choice(at, other));
    return h("div", {
      className: "alternatives", role: "dialog", "aria-labelledby": title,
      onmouseenter: () => clearTimeout(this.timer), onmouseleave: () => this.closeSoon(),
      onfocusin: () => clearTimeout(this.timer), onfocusout: () => this.closeSoon(),
      onkeydown: (event) => this.boxKey(event),
    }, h("p", { id: title }, `${JSON.stringify(token.token)} was ${percent(token.logprob)}. Pick a token to continue from there.`), choices);
  }

  choice(at, other) {
    const tokens = this.message.tokens;
    const kept = [...tokens.slice(0, at), { ...tokens[at], token: other.token, logprob: other.logprob, bytes: other.bytes }];
    const pick = () => {
      this.close();
      this.onpick(kept);
    };
    const probability = Math.exp(other.logprob);
    return h("button", {
      type: "button", onclick: pick, disabled: !isText(kept),
      "aria-current": other.token === tokens[at].token ? "true" : null,
    }, h("code", {}, JSON.stringify(other.token)),
      h("meter", { value: probability, "aria-hidden": "true" }), h("small", {}, percent(other.logprob)));
  }

  boxKey(event) {
    const buttons = [...this.box.querySelectorAll("button:not(:disabled)")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) buttons.at((buttons.indexOf(document.activeElement) + step) % buttons.length)?.focus();
    else if (event.key === "Escape") this.anchor.focus();
    else return;
    event.preventDefault();
  }
}

function isText(tokens) {
  try {
    return Boolean(textOf(tokens));
  } catch {
    return false;
  }
}

function place(box, span) {
  const { left, top, bottom } = span.getBoundingClientRect();
  const room = window.innerHeight - bottom > box.offsetHeight + 8;
  box.style.left = `${Math.max(4, Math.min(left, window.innerWidth - box.offsetWidth - 4))}px`;
  box.style.top = `${room ? bottom + 4 : Math.max(4, top - box.offsetHeight - 4)}px`;
}
