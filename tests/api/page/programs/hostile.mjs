// Hostile Markdown that arrives in two parts, split at every place, and in single characters: every element in the
// page is one that the sanitizer returned, and nothing runs or loads.
import assert from "node:assert/strict";
import { inBrowser } from "./browser.mjs";

const RUN = "window.hacked=1";
const TEXTS = [
  `<img src=x onerror="${RUN}">`,
  `a <svg onload=${RUN}> b`,
  `<script>${RUN}</script>`,
  `text <script>${RUN}</script> text`,
  `<iframe srcdoc="<script>parent.${RUN}</script>"></iframe>`,
  `<a href="javascript:${RUN}">a</a>`,
  `[a](javascript:${RUN}) [b](JaVaScRiPt:${RUN}) [c](&#106;avascript:${RUN}) [d](java&Tab;script:${RUN})`,
  `[a](data:text/html,<script>${RUN}</script>) [b](vbscript:x) [c](file:///etc/passwd)`,
  `[a](https://example.org "t\\" onmouseover=${RUN} x=\\"")`,
  `[a](https://example.org/"onmouseover="${RUN})`,
  `<javascript:${RUN}> <https://example.org/?"onclick=${RUN}>`,
  "![a](https://example.org/pixel.png) ![b][c]\n\n[c]: https://example.org/other.png",
  `[a] and [b][a]\n\n[a]: javascript:${RUN}`,
  `\`<b onclick=${RUN}>\` **<b onclick=${RUN}>** ~~<b onclick=${RUN}>~~`,
  `\`\`\`html" onclick="${RUN}\n<script>${RUN}</script>\n</code></pre><img src=x onerror=${RUN}>\n\`\`\``,
  `| <img src=x onerror=${RUN}> | b |\n|---|:-:|\n| <script>${RUN}</script> | [x](javascript:${RUN}) |\n| </td></tr></table><img src=x onerror=${RUN}> | y |`,
  `> <details open ontoggle=${RUN}>\n> > </blockquote><img src=x onerror=${RUN}>`,
  `1. <style>@import "https://example.org/x.css"</style>\n2. </li></ol><img src=x onerror=${RUN}>\n\n   <form action=https://example.org><button>x`,
  `- [ ] <input autofocus onfocus=${RUN}>\n- [x] b\n    - <video src=https://example.org/v onerror=${RUN}>`,
  `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=${RUN}&gt;">`,
  `<noscript><p title="</noscript><img src=x onerror=${RUN}>"></noscript>`,
  `&lt;img src=x onerror=${RUN}&gt; &#60;script&#62;${RUN}&#60;/script&#62;`,
  `<code>&lt;img src=x onerror=${RUN}&gt; <pre>\n\n<img src=x onerror=${RUN}>`,
  `<!-- <img src=x onerror=${RUN}> --> <![CDATA[<img src=x onerror=${RUN}>]]> <?php <img src=x onerror=${RUN}> ?>`,
  `<b style="background:url(https://example.org/x)" id=send name=lanes>x</b>`,
  `<scr\u0000ipt>${RUN}</scr\u0000ipt> <img\u000csrc=x\u000conerror=${RUN}>`,
  `word ${"word ".repeat(150)} <img src=x onerror=${RUN}> ${"word ".repeat(150)} [a](javascript:${RUN})`,
];

async function watch(texts) {
  const { MarkdownView } = await import("/page/markdown.js");
  const clean = globalThis.DOMPurify.sanitize;
  const cleaned = new WeakSet();
  globalThis.DOMPurify.sanitize = (...given) => {
    const safe = clean(...given);
    for (const element of safe.querySelectorAll("*")) cleaned.add(element);
    return safe;
  };
  const tags = /^(a|blockquote|br|code|del|em|h[1-6]|hr|li|ol|p|pre|strong|table|tbody|td|th|thead|tr|ul)$/;
  const names = /^(href|title|start|align|target|rel|tabindex)$/;
  const faults = [];
  let count = 0;

  function check(view, text) {
    count += 1;
    for (const element of view.element.querySelectorAll(":scope > div *")) {
      const isSafe = cleaned.has(element) && tags.test(element.localName)
        && [...element.attributes].every(({ name }) => names.test(name))
        && (!element.hasAttribute("href") || /^(https?|mailto):/i.test(element.getAttribute("href")));
      if (!isSafe) faults.push(`${element.outerHTML} of ${text}`);
    }
  }

  function grown(parts) {
    const view = new MarkdownView();
    document.body.append(view.element);
    let text = "";
    for (const part of parts) {
      view.grow(text += part);
      check(view, text);
    }
    view.update(text);
    check(view, text);
    view.element.remove();
  }

  for (const text of texts) {
    const splits = text.length < 500 ? [...text].map((_, at) => [text.slice(0, at), text.slice(at)]) : [];
    for (const parts of [...splits, text.split("")]) grown(parts);
  }
  return { faults: faults.slice(0, 5), count };
}

await inBrowser(async (page) => {
  await page.getByLabel("Message", { exact: true }).waitFor();
  const { faults, count } = await page.evaluate(watch, TEXTS);
  assert.deepEqual(faults, []);
  assert.ok(count > 5_000, `${count} states`);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
});
