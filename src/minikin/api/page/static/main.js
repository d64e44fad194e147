/** The playground: connects conversations, lanes, the panel and the composer. */
import { fetchJson } from "./api.js";
import { button, h } from "./dom.js";
import { QUESTIONS } from "./examples.js";
import { Lane } from "./lane.js";
import { drawList } from "./list.js";
import { drawPanel } from "./panel.js";
import { Conversations } from "./state.js";

const MOST_OF_A_TITLE = 60;
const at = (id) => document.getElementById(id);

class Playground {
  constructor(offer) {
    this.offer = offer;
    this.conversations = new Conversations();
    this.active = 0;
    at("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(at("prompt").value);
    });
    at("prompt").addEventListener("keydown", (event) => this.key(event));
    at("stop").addEventListener("click", () => this.stop());
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.closeDrawers());
    for (const name of ["list", "panel"]) at(`show-${name}`).addEventListener("click", () => this.toggle(name));
    this.open(this.conversations.current);
  }

  get conversation() {
    return this.conversations.current;
  }

  open(conversation) {
    this.stop();
    this.closeDrawers();
    this.conversations.current = conversation;
    this.drawLanes();
    this.drawList();
  }

  drawList() {
    drawList(at("list"), this.conversations, {
      open: (conversation) => this.open(conversation),
      begin: () => {
        this.open(this.conversations.begin());
        at("prompt").focus();
      },
      remove: (conversation) => {
        this.conversations.remove(conversation);
        this.open(this.conversation);
      },
    });
  }

  drawLanes() {
    const { lanes } = this.conversation;
    for (const { settings } of lanes) this.chooseModel(settings);
    this.lanes = lanes.map((state, index) => new Lane(state, {
      label: lanes.length > 1 ? `Answers ${"AB"[index]}` : "Answers",
      extensions: this.extensions,
      welcome: () => this.welcome(),
      onchange: () => this.changed(),
      onchoose: lanes.length > 1 ? () => this.choose(index) : null,
    }));
    at("lanes").replaceChildren(...this.lanes.map((lane) => lane.element));
    this.choose(0);
  }

  /** Show the settings of a lane. */
  choose(index) {
    this.active = index;
    this.lanes.forEach((lane, at) => lane.title?.setAttribute("aria-pressed", String(at === index)));
    this.drawPanel();
  }

  get extensions() {
    const own = this.offer.controls.filter((control) => control.is_extension);
    return { names: [...own.map(({ name }) => name), "continue_final_message"], headers: { [this.offer.extensions_header]: "true" } };
  }

  /** One lane, or two with the same conversation so far. */
  compare() {
    const { lanes } = this.conversation;
    this.stop();
    if (lanes.length > 1) lanes.pop();
    else lanes.push({ settings: structuredClone(lanes[0].settings), messages: [...lanes[0].messages] });
    this.drawLanes();
    if (lanes.length > 1) this.choose(1);
    this.conversations.save();
  }

  comparing() {
    const isTwo = this.lanes.length > 1;
    const names = isTwo ? this.lanes.map((lane, index) => button(`Settings of ${"AB"[index]}`, () => this.choose(index), {
      "aria-pressed": String(index === this.active),
    })) : [];
    return h("section", { className: "row", "aria-label": "Comparison" }, names,
      button(isTwo ? "Close B" : "Compare side by side", () => this.compare()));
  }

  /** A conversation can be older than the server's models. */
  chooseModel(settings) {
    const ids = this.offer.models.map(({ id }) => id);
    if (!ids.includes(settings.model)) [settings.model] = ids;
  }

  drawPanel() {
    drawPanel(at("panel"), {
      settings: this.lanes[this.active].settings,
      offer: this.offer,
      changed: () => this.conversations.save(),
      extra: this.comparing(),
    });
  }

  welcome() {
    return h("div", { className: "welcome" }, h("h2", {}, "Ask something"),
      h("p", {}, "The model runs on this server. Conversations stay in this browser."),
      h("div", { className: "row" }, QUESTIONS.map((text) => button(text, () => this.send(text)))));
  }

  key(event) {
    if (event.key === "Escape") this.stop();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.send(at("prompt").value);
  }

  send(text) {
    if (!text.trim() || this.isRunning) return;
    at("prompt").value = "";
    this.conversation.title ||= text.trim().slice(0, MOST_OF_A_TITLE);
    const seed = this.lanes.length > 1 ? crypto.getRandomValues(new Uint32Array(1))[0] : null;
    for (const lane of this.lanes) lane.send(text, seed);
    this.drawList();
  }

  get isRunning() {
    return Boolean(this.lanes?.some((lane) => lane.running));
  }

  stop() {
    for (const lane of this.lanes ?? []) lane.stop();
  }

  changed() {
    at("send").hidden = this.isRunning;
    at("stop").hidden = !this.isRunning;
    this.conversations.save();
  }

  toggle(name) {
    const isOpen = at(name).classList.toggle("open-drawer");
    at(`show-${name}`).setAttribute("aria-expanded", String(isOpen));
    if (isOpen) at(name).querySelector("button, select").focus();
  }

  closeDrawers() {
    for (const name of ["list", "panel"]) {
      at(name).classList.remove("open-drawer");
      at(`show-${name}`).setAttribute("aria-expanded", "false");
    }
  }
}

async function start() {
  try {
    new Playground(await fetchJson("playground.json"));
    at("prompt").focus();
  } catch (error) {
    at("lanes").replaceChildren(h("p", { className: "log", role: "alert" }, `${error.message} `, button("Try again", start)));
  }
}

start();
