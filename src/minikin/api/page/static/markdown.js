/** Markdown of a model, shown safely and without work for parts that are complete. */
import { marked } from "./vendor/marked.js";
import "./vendor/purify.js";
import { h } from "./dom.js";

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
const EMPTY = new Set(["br", "hr"]);
// Characters: a shorter block can become part of the one before. "2" becomes the next item of a list, and a line
// "***" becomes words of a paragraph.
const UNSETTLED = 80;

function escaped(text) {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

// HTML in an answer is shown as text. An image becomes its description: it could send data elsewhere.
marked.use({
  renderer: {
    html: ({ text }) => escaped(text),
    image: ({ href, text }) => escaped(`![${text}](${href})`),
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
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

/** HTML as nodes. All nodes of an answer come from here. */
function cleaned(html) {
  const safe = globalThis.DOMPurify.sanitize(html, SAFE);
  for (const link of safe.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  for (const scrolled of safe.querySelectorAll("pre, table")) scrolled.tabIndex = 0;
  return safe;
}

function commonLength(before, after) {
  let at = 0;
  while (at < before.length && before[at] === after[at]) at += 1;
  return at;
}

/**
 * The end of the last tag in `html`, which marked wrote, and the elements that are open there, from the outside:
 * the tag of each, and how many complete elements are in it.
 */
function lastTag(html) {
  const levels = [{ tag: "", count: 0 }];
  let end = 0;
  for (const { 0: tag, 1: slash, 2: name, index } of html.matchAll(/<(\/?)(\w+)[^>]*>/g)) {
    if (slash) levels.pop();
    if (slash || EMPTY.has(name)) levels.at(-1).count += 1;
    else levels.push({ tag, count: 0 });
    end = index + tag.length;
  }
  return { end, levels };
}

/**
 * Keep the complete elements of `levels` in `shown`, and replace what follows by what `made` has in the same
 * open elements. Returns whether both have these elements.
 */
function graft(shown, made, [{ count }, ...inner]) {
  if (!shown || !made) return false;
  const kept = shown.children[inner.length ? count : count - 1];
  if (inner.length) {
    if (!graft(kept, made.firstElementChild, inner)) return false;
    made.firstElementChild.remove();
  }
  while (shown.lastChild && shown.lastChild !== kept) shown.lastChild.remove();
  shown.append(...made.childNodes);
  return true;
}

/** Change `shown` from the HTML `before` to `html`. Returns whether its elements are those of the tags in `html`. */
function growOne(shown, before, html) {
  const { end, levels } = lastTag(html.slice(0, commonLength(before, html)));
  const made = cleaned(levels.map(({ tag }) => tag).join("") + html.slice(end));
  const count = html.match(/<\w/g)?.length ?? 0;
  if (graft(shown, made, levels) && shown.querySelectorAll("*").length === count) return true;
  shown.replaceChildren(cleaned(html)); // for example, a browser takes a link out of a link
  return false;
}

export class MarkdownView {
  constructor() {
    this.element = h("div", { className: "markdown" });
    this.blocks = [];
  }

  /** Show `text`, which grows: only its last block is read again, and the one before while the last is short. */
  grow(text) {
    let last = this.lastBefore(this.blocks.length);
    if (this.blocks[last]?.raw.length < UNSETTLED) last = this.lastBefore(last);
    const kept = this.blocks.slice(0, Math.max(0, last)).map(({ raw }) => raw);
    const before = kept.join("");
    if (text.startsWith(before)) this.show(blocksOf(text.slice(before.length)), kept.length);
    else this.update(text);
  }

  /** Where the last block with text before the block `end` is, or -1. */
  lastBefore(end) {
    return this.blocks.findLastIndex(({ isSpace }, at) => at < end && !isSpace);
  }

  /** Show `text`. Only blocks that changed since the last call are made again. */
  update(text) {
    this.show(blocksOf(text), 0);
  }

  show(tokens, first) {
    tokens.forEach((token, at) => this.showOne(token, first + at));
    for (const { node } of this.blocks.splice(first + tokens.length)) node.remove();
  }

  showOne(token, at) {
    const { node = this.element.appendChild(h("div")), html: before = "" } = this.blocks[at] ?? {};
    const html = marked.parser([token]);
    const isExact = html === before || growOne(node, before, html);
    this.blocks[at] = { raw: token.raw, isSpace: token.type === "space", html: isExact ? html : "", node };
  }
}
