// Markdown that grows: each state is that of the text at once, and a new word costs the same in a long block.
// The arguments after the browser: how many random texts to grow, and the seed of the first.
import assert from "node:assert/strict";
import { inBrowser } from "./browser.mjs";

const [, , , , COUNT = "40", SEED = "1"] = process.argv;

/** Grow random texts. Returns those that differ from the text at once. */
async function differences([count, seed]) {
  const { MarkdownView } = await import("/page/markdown.js");
  let state = seed;
  const random = (most) => {
    state = (state * 48271) % 2147483647;
    return state % most;
  };
  const any = (choices) => choices[random(choices.length)];
  const times = (most, make) => Array.from({ length: 1 + random(most) }, make);
  const words = () => times(9, () => any([
    "sea", "of", "the", "*wind*", "**deep water**", "`sail`", "snake_case", "2 * 3", "[sic]", "[a link](https://example.org/x)", "~~no~~",
    "海の上の船は", "a < b", "<b>tag</b>", "https://example.org/a_b", "**open", "`open", "[open", "_x_", "&amp;", "\\*", "end.  \nnew", "x\ny", "![p](q)",
    "1.", "- -", "# no", "a | b", "***", "it's", "é", "🚢",
  ])).join(" ");
  const indented = (text, by, first) => first + text.split("\n").map((line) => (line ? by + line : line)).join("\n").slice(by.length);
  const list = (depth) => {
    const [mark, gap] = [any(["- ", "* ", "1. ", "7. ", "- [ ] "]), any(["\n", "\n", "\n\n"])];
    const by = mark === "- [ ] " ? "  " : " ".repeat(mark.length);
    return times(6, () => indented(depth ? blocks(depth - 1, any(["\n", "\n\n"])) : words(), by, mark)).join(gap);
  };
  const quotation = (depth) => blocks(Math.max(0, depth - 1), "\n\n").split("\n").map((line) => `> ${line}`).join("\n");
  const table = () => `| a | b |\n|---|:-:|\n${times(6, () => `| ${any(["x", "*y*", "`|`", ""])} | ${any(["z", "**", "\\|"])} |`).join("\n")}`;
  const code = () => `\`\`\`${any(["", "python"])}\n${times(8, () => any(["x = 1", "", "    return", "- no list", "<b>", "> no"])).join("\n")}\n\`\`\``;
  const block = (depth) => any([
    words, words, () => `${"#".repeat(1 + random(3))} ${any(["Title", "*x*"])}`, code, table, () => "---", () => "    indented\n    code",
    () => `<div>\n${times(5, words).join("\n")}\n</div>`, () => "Title\n===", () => "[open]: https://example.org/z",
    () => list(depth), () => list(depth), () => quotation(depth),
  ])();
  const blocks = (depth, gap) => times(depth ? 4 : 2, () => block(depth)).join(gap);
  const whole = (text) => {
    const view = new MarkdownView();
    view.update(text);
    return view.element.innerHTML;
  };

  const found = [];
  let compared = 0;
  for (let at = 0; at < count && found.length < 3; at += 1) {
    const text = blocks(2, any(["\n\n", "\n\n", "\n"]));
    const view = new MarkdownView();
    const most = any([2, 12]); // a model writes "2" and then ".", but a busy browser gets several tokens at once
    for (let end = 0; end < text.length;) {
      end = Math.min(text.length, end + 1 + random(most));
      const part = text.slice(0, end);
      view.grow(part);
      if (part.includes("]:")) continue; // a definition changes the links of earlier blocks, in the end
      compared += 1;
      const [shown, wanted] = [view.element.innerHTML, whole(part)];
      if (shown !== wanted) {
        found.push({ text: part, shown, wanted });
        break;
      }
    }
    view.update(text);
    const [shown, wanted] = [view.element.innerHTML, whole(text)];
    if (shown !== wanted) found.push({ text, shown, wanted });
  }
  return { found, compared };
}

/** For each kind of long block, the most elements that were cleaned, and the most nodes that changed, for a few words. */
async function costs() {
  const { MarkdownView } = await import("/page/markdown.js");
  const LENGTH = 7_000;
  const STEP = 20; // characters, of about four words
  const many = (make) => Array.from({ length: 900 }, (_, at) => make(at)).join("");
  const line = "the **deep** sea of `sails` and *winds* with ships";
  const kinds = {
    "a paragraph": many(() => `${line} `),
    "plain words": many(() => "of the sea and the ship "),
    "Japanese": many(() => "海の上の船はとても大きいのである。"),
    "a mark without a counterpart": `**${many(() => "word ")}`,
    "JSON": `{"a": [${many((at) => `{"name": "the ship ${at}", "of_sea": [1, 2]}, `)}`,
    "lines": many(() => `${line}\n`),
    "a list": many((at) => `${at + 1}. ${line}\n`),
    "a list with empty lines": many((at) => `${at + 1}. ${line}\n\n`),
    "a list that gets empty lines late": many((at) => `- ${line}\n${at > 20 ? "\n" : ""}`),
    "a list in a list": `1. first\n${many(() => `    - ${line}\n`)}`,
    "a list with lists": many((at) => `${at + 1}. **title**\n\n   - ${line}\n   - more\n\n`),
    "tasks": many(() => `- [x] ${line}\n`),
    "one item": `- ${many(() => `${line} `)}`,
    "an item of paragraphs": `- first\n\n${many(() => `  ${line}\n\n`)}`,
    "code": `\`\`\`python\n${many(() => "print(1)  # a line\n\n")}`,
    "code in a list": `1. do:\n\n   \`\`\`python\n${many(() => "   print(1)  # a line\n")}`,
    "a table": `| a | b |\n|---|---|\n${many(() => `| x | ${line} |\n`)}`,
    "a quotation": many(() => `> ${line}\n`),
    "a list in a quotation": many(() => `> - ${line}\n`),
    "tags": `<div>\n${many(() => `<p>${line}</p>\n`)}`,
    "paragraphs": many(() => `${line}.\n\n`),
    "headings": many((at) => `## ${at}\n`),
  };
  const clean = globalThis.DOMPurify.sanitize;
  let longest;
  globalThis.DOMPurify.sanitize = (...given) => {
    const made = clean(...given);
    longest = Math.max(longest, made.querySelectorAll("*").length);
    return made;
  };
  const found = {};
  for (const [name, text] of Object.entries(kinds)) {
    const view = new MarkdownView();
    const watch = new MutationObserver(() => {});
    watch.observe(view.element, { childList: true, characterData: true, subtree: true });
    let most = 0;
    longest = 0;
    for (let end = STEP; end < LENGTH; end += STEP) {
      view.grow(text.slice(0, end));
      const records = watch.takeRecords();
      if (end > LENGTH / 2) most = Math.max(most, records.reduce((sum, { addedNodes, removedNodes }) => sum + 1 + addedNodes.length + removedNodes.length, 0));
      else longest = 0;
    }
    found[name] = { longest, most };
    view.element.remove();
  }
  globalThis.DOMPurify.sanitize = clean;
  return found;
}

await inBrowser(async (page) => {
  await page.getByLabel("Message", { exact: true }).waitFor();
  const { found, compared } = await page.evaluate(differences, [Number(COUNT), Number(SEED)]);
  assert.deepEqual(found.slice(0, 2), [], `${found.length} of ${COUNT}`);
  assert.ok(compared > 20 * Number(COUNT), `${compared} states`);
  const cost = await page.evaluate(costs);
  const dear = Object.entries(cost).filter(([, { longest, most }]) => longest > 40 || most > 40);
  assert.deepEqual(dear, []);
});
