// Text of a model: Markdown is shown, and nothing in it becomes markup, a script or a request.
import assert from "node:assert/strict";
import { inBrowser } from "./browser.mjs";

const TEXT = `# Title

A **bold** word, \`code\` and [a link](https://example.org/).

<img src=x onerror="window.hacked = 1"><script>window.hacked = 1</script>

![a picture](https://example.org/pixel.png) [bad](javascript:window.hacked=1) <b onclick="window.hacked=1">b</b>

\`\`\`html
<script>window.hacked = 1</script>
\`\`\`

| a | b |
|---|---|
| 1 | 2 |

${Array.from({ length: 30 }, (_, at) => `${at + 3}. item ${at}\n    - below`).join("\n")}

${Array.from({ length: 20 }, (_, at) => `- point ${at}`).join("\n\n")}

\`\`\`python
${"print(1)\n".repeat(40)}\`\`\`

- [x] done
- [ ] open
`;

await inBrowser(async (page) => {
  await page.getByLabel("Message", { exact: true }).waitFor();
  const grown = await page.evaluate(async (text) => {
    const { MarkdownView } = await import("/page/markdown.js");
    const view = new MarkdownView();
    for (let end = 1; end <= text.length; end += 7) view.grow(text.slice(0, end));
    view.update(text);
    const whole = new MarkdownView();
    whole.update(text);
    document.body.append(view.element);
    const growing = new MarkdownView();
    const kept = ["| a |\n|---|\n| x |\n", "1. x\n    - below\n", "**x** and", "> x\n"].every((beginning) => {
      growing.update("");
      growing.grow(beginning);
      const early = growing.element.querySelector("td, li, strong, blockquote");
      growing.grow(`${beginning}${beginning.includes("|") ? "| y |\n" : "  - more `y`\n"}`);
      return growing.element.contains(early) && growing.element.textContent.includes("y");
    });
    const unread = "first\n\n- a\n  > 2. marked fails here\n  c\n\n- d";
    const plain = new MarkdownView();
    for (let end = 1; end <= unread.length; end += 1) plain.grow(unread.slice(0, end));
    plain.update(unread);
    return { plain: plain.element.textContent, kept, same: view.element.innerHTML === whole.element.innerHTML, html: view.element.innerHTML };
  }, TEXT);
  assert.match(grown.html, /<ol start="3">[^]*item 29[^]*<\/ol>/);
  assert.match(grown.html, /☑ done[^]*☐ open/);
  assert.match(grown.plain, /first[^]*marked fails here[^]*c[^]*- d/);
  assert.ok(grown.same, "text that grows looks like text that was there at once");
  assert.ok(grown.kept, "what is complete stays the same element, with what a reader selected in it");
  for (const part of ["<h1>Title</h1>", "<strong>bold</strong>", "<code>code</code>", "<td>2</td>", "rel=\"noopener noreferrer\""]) {
    assert.ok(grown.html.includes(part), `${part} in ${grown.html}`);
  }
  const view = page.locator("body > .markdown");
  assert.equal(await view.locator("img, script, [onclick], [onerror], a[href^='javascript']").count(), 0);
  assert.match(await view.textContent(), /<img src=x onerror=/);
  await view.getByText("bad", { exact: false }).first().click();
  assert.equal(await page.evaluate(() => window.hacked), undefined);
});
