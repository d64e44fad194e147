/** One column of the chat: its messages, and the request that runs. */
import { Fold, newAnswer } from "./answer.js";
import { streamed } from "./api.js";
import { announce, button, h } from "./dom.js";
import { textOf } from "./heat.js";
import { AnswerView, sentView } from "./message.js";
import { parted, requestOf } from "./request.js";
import { showSnippets } from "./snippets.js";

const NEAR = 60;
const REST = 3; // between two drawings, as a multiple of the time that one takes: the page stays responsive

export class Lane {
  /**
   * `state` is `{settings, messages}`. `extensions` has the names of parameters that OpenAI does not
   * have, and the `headers` for them. `onchange` is called when a request begins and ends, `onchoose`
   * when one of several lanes is chosen.
   */
  constructor(state, { label, extensions, welcome, onchange, onchoose = null }) {
    this.state = state;
    this.extensions = extensions;
    this.welcome = welcome;
    this.onchange = onchange;
    this.running = null;
    this.rest = 0;
    this.log = h("div", { className: "log", role: "log", tabIndex: 0, "aria-label": label });
    this.title = onchoose && button(label, onchoose, { className: "quiet" });
    this.element = h("section", { className: "lane", "aria-label": label }, onchoose && h("h2", {}, this.title), this.log);
    this.draw();
  }

  get settings() {
    return this.state.settings;
  }

  get messages() {
    return this.state.messages;
  }

  isLast(message) {
    return this.messages.at(-1) === message;
  }

  draw() {
    this.log.replaceChildren(...this.messages.map((message) => this.viewOf(message).element));
    if (!this.messages.length) this.log.append(this.welcome());
    this.log.scrollTop = this.log.scrollHeight;
  }

  viewOf(message) {
    if (message.role !== "assistant") return { element: sentView(message, this) };
    const view = new AnswerView(message, this);
    view.update(true);
    return view;
  }

  send(text, seed = null) {
    return this.run([...this.messages, { role: "user", content: text }], { seed });
  }

  sendAgain(message, text) {
    const at = this.messages.indexOf(message);
    return this.run([...this.messages.slice(0, at), { role: "user", content: text }]);
  }

  sendResults(results) {
    return this.run([...this.messages, ...results]);
  }

  retry(message) {
    return this.run(this.messages.slice(0, this.messages.indexOf(message)));
  }

  /** Answer again with these tokens as the beginning. */
  continueFrom(message, tokens) {
    const before = this.messages.slice(0, this.messages.indexOf(message));
    return this.run(before, { tokens });
  }

  showCode(message) {
    const before = this.messages.slice(0, this.messages.indexOf(message));
    const made = () => requestOf(this.settings, before);
    const sent = () => message.body.messages ? message.body : { model: message.body.model, messages: made().messages, ...message.body };
    showSnippets(message.body ? sent : made, this.extensions);
  }

  stop() {
    this.running?.abort();
  }

  async run(messages, { seed = null, tokens = [] } = {}) {
    this.stop();
    const { format, heat } = this.settings;
    const message = { ...newAnswer(), format, wantsHeat: heat, tokens: [...tokens], content: textOf(tokens) };
    this.state.messages = [...messages, message];
    this.draw();
    this.view = this.viewOf(message);
    this.log.lastElementChild.replaceWith(this.view.element);
    const running = (this.running = new AbortController());
    this.log.setAttribute("aria-busy", "true");
    this.onchange();
    try {
      const fold = new Fold(message);
      const sent = tokens.length ? [...messages, { role: "assistant", content: message.content }] : messages;
      message.body = requestOf(this.settings, sent, { seed, continues: tokens.length > 0 });
      const [, own] = parted(message.body, this.extensions.names);
      const headers = Object.keys(own).length ? this.extensions.headers : {};
      for await (const chunk of streamed(message.body, headers, running.signal)) {
        fold.add(chunk);
        this.drawSoon();
      }
    } catch (error) {
      if (running.signal.aborted) message.finish ??= "stopped";
      else message.error = error.message;
    }
    if (this.running === running) this.end(message);
  }

  end(message) {
    this.running = null;
    this.log.removeAttribute("aria-busy");
    this.following(() => this.view.update(true));
    announce(message.error ?? `The answer is complete: ${message.content.slice(0, 500)}`);
    this.onchange();
  }

  drawSoon() {
    this.timer ??= setTimeout(() => requestAnimationFrame(() => {
      this.timer = null;
      const begun = performance.now();
      if (this.running) this.following(() => this.view.update(false));
      this.rest = REST * (performance.now() - begun);
    }), this.rest);
  }

  /** Change the log; keep its end in view if it was. */
  following(change) {
    const isAtEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < NEAR;
    change();
    if (isAtEnd) this.log.scrollTop = this.log.scrollHeight;
  }
}
