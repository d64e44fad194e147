// Prints the milliseconds from a ready server to the page, to the first text of an answer and to its end, as JSON.
// The browser runs before the server is ready.
import { inBrowser, SERVER } from "./browser.mjs";

let ready;

async function isReady() {
  try {
    return (await fetch(`${SERVER}/ready`)).ok;
  } catch {
    return false;
  }
}

async function before() {
  while (!(await isReady())) await new Promise((resolve) => setTimeout(resolve, 10));
  ready = performance.now();
}

await inBrowser(async (page) => {
  const since = () => Math.round(performance.now() - ready);
  const question = page.getByRole("button", { name: "What is the capital of France?" });
  await question.waitFor();
  const times = { page: since() };
  await question.click();
  await page.locator(".markdown > div").first().waitFor();
  times.first_text = since();
  await page.locator(".stats:not(:empty)").waitFor();
  times.answer = since();
  // Of the page and its files, not compressed.
  const bytes = await page.evaluate(() => performance.getEntries().filter(({ name }) => !name.includes("/v1/"))
    .reduce((sum, { decodedBodySize = 0 }) => sum + decodedBodySize, 0));
  times.weight_kb = Math.round(bytes / 1000);
  console.log(JSON.stringify(times));
}, { before });
