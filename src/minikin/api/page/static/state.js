/**
 * Conversations, in the browser's storage.
 *
 * A conversation is `{id, title, lanes}`. A lane is `{settings, messages}`. Two lanes are shown side by
 * side. A message has the fields of the API, and those of `answer.js`.
 */
const PLACE = "minikin.conversations";
const MOST = 100;

/** The settings of a new conversation. A value of null or "" means the server's default. */
export function newSettings() {
  return {
    model: "", system: "", values: {}, heat: false, alternatives: 5,
    tools: "", toolChoice: "auto", format: "text", schema: "",
  };
}

export class Conversations {
  constructor() {
    this.all = read();
    this.current = this.all[0] ?? this.begin();
  }

  /** Start a conversation with the settings of the current one. */
  begin() {
    const settings = structuredClone(this.current?.lanes[0].settings ?? newSettings());
    this.current = { id: crypto.getRandomValues(new Uint32Array(1))[0], title: "", lanes: [{ settings, messages: [] }] };
    this.all = [this.current, ...this.all.filter((each) => each.title)].slice(0, MOST);
    return this.current;
  }

  remove(conversation) {
    this.all = this.all.filter((each) => each !== conversation);
    if (conversation === this.current) this.current = this.all[0] ?? this.begin();
    this.save();
  }

  /** Write everything. If the browser has no room, the oldest conversations go. */
  save() {
    const kept = this.all.filter((each) => each.title);
    for (;;) {
      try {
        localStorage.setItem(PLACE, JSON.stringify(kept, withoutMemory));
        return;
      } catch {
        if (!kept.pop()) return;
      }
    }
  }
}

/** Log probabilities are large. A request has the messages before it, which are there already. */
function withoutMemory(name, value) {
  if (name === "body" && !value.continue_final_message) return { ...value, messages: undefined };
  return name === "tokens" ? undefined : value;
}

function read() {
  try {
    return JSON.parse(localStorage.getItem(PLACE)) ?? [];
  } catch {
    return [];
  }
}
