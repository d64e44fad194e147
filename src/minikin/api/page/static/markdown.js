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

function fragment(token) {
  const safe = globalThis.DOMPurify.sanitize(marked.parser([token]), SAFE);
  for (const link of safe.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  for (const scrolled of safe.querySelectorAll("pre, table")) scrolled.tabIndex = 0;
  return safe;
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
    this.show(isSame ? [...kept, ...marked.lexer(text.slice(end))] : marked.lexer(text));
  }

  /** Show `text`. Only blocks that changed since the last call are made again. */
  update(text) {
    this.show(marked.lexer(text));
  }

  show(tokens) {
    tokens.forEach((token, at) => {
      const block = this.blocks[at];
      if (block?.raw === token.raw) return;
      const node = h("div");
      node.append(fragment(token));
      if (block) block.node.replaceWith(node);
      else this.element.append(node);
      this.blocks[at] = { raw: token.raw, node };
    });
    for (const { node } of this.blocks.splice(tokens.length)) node.remove();
  }
}
