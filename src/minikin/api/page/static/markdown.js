/** Markdown of a model, shown safely and without work for parts that are complete. */
import { marked } from "./vendor/marked.js";
import "./vendor/purify.js";
import { h } from "./dom.js";

const MOST_ITEMS = 8;
const SAFE = {
  RETURN_DOM_FRAGMENT: true,
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol",
    "p", "pre", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: ["href", "title", "start", "align"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ADD_URI_SAFE_ATTR: ["start", "align"], // DOMPurify wants an address in every other attribute
};

function escaped(text) {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

// HTML in an answer is shown as text. An image becomes its description: it could send data elsewhere.
marked.use({
  renderer: {
    html: ({ text }) => escaped(text),
    image: ({ href, text }) => escaped(`![${text}](${href})`),
  },
});

/** The blocks of `text`. marked throws at some lists in a quotation in an item: such a text is shown as it is. */
function blocksOf(text) {
  try {
    return marked.lexer(text);
  } catch {
    return [{ type: "html", block: true, raw: text, text }];
  }
}

function fragment(token) {
  const safe = globalThis.DOMPurify.sanitize(marked.parser([token]), SAFE);
  for (const link of safe.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  for (const scrolled of safe.querySelectorAll("pre, table")) scrolled.tabIndex = 0;
  return safe;
}

/** Long lists in parts, so that only the last items of a list that grows are made again. */
function parts(tokens) {
  return tokens.flatMap((token) => (token.items?.length > MOST_ITEMS ? listParts(token) : [token]));
}

function listParts(list) {
  const found = [];
  for (let at = 0; at < list.items.length; at += MOST_ITEMS) {
    const items = list.items.slice(at, at + MOST_ITEMS);
    const start = list.ordered ? Number(list.start || 1) + at : list.start;
    found.push({ ...list, items, start, raw: items.map(({ raw }) => raw).join("") });
  }
  return found;
}

/**
 * Make the children of `shown` those of `made`. What is equal from the beginning stays: text that grows
 * changes only the last element of each level, so that a browser lays out and paints only its end.
 */
function grow(shown, made) {
  const [before, after] = [[...shown.childNodes], [...made.childNodes]];
  const found = after.findIndex((node, at) => !before[at]?.isEqualNode(node));
  const same = found < 0 ? after.length : found;
  const [old, fresh] = [before[same], after[same]];
  const isGrown = old && fresh && old.cloneNode(false).isEqualNode(fresh.cloneNode(false));
  const isText = old?.nodeType === Node.TEXT_NODE && fresh?.nodeType === Node.TEXT_NODE;
  if (isText) old.data = fresh.data;
  else if (isGrown) grow(old, fresh);
  const kept = same + Number(Boolean(isText || isGrown));
  for (const node of before.slice(kept)) node.remove();
  shown.append(...after.slice(kept));
}

export class MarkdownView {
  constructor() {
    this.element = h("div", { className: "markdown" });
    this.blocks = [];
  }

  /** Show `text`, which grows: only the last block is read again. */
  grow(text) {
    const kept = this.blocks.slice(0, -1);
    const end = kept.reduce((sum, { raw }) => sum + raw.length, 0);
    const isSame = text.startsWith(this.blocks.map(({ raw }) => raw).join("").slice(0, end));
    this.show(isSame ? [...kept, ...blocksOf(text.slice(end))] : blocksOf(text));
  }

  /** Show `text`. Only blocks that changed since the last call are made again. */
  update(text) {
    this.show(blocksOf(text));
  }

  show(tokens) {
    const all = parts(tokens);
    all.forEach((token, at) => this.showOne(token, at));
    for (const { node } of this.blocks.splice(all.length)) node.remove();
  }

  showOne(token, at) {
    const block = this.blocks[at];
    const { raw, loose } = token;
    if (block?.raw === raw && block.loose === loose) return;
    const node = block?.node ?? this.element.appendChild(h("div"));
    grow(node, fragment(token));
    this.blocks[at] = { raw, loose, node };
  }
}
