// The heat map: every token has its probability and its alternatives, by mouse and by keyboard.
import assert from "node:assert/strict";
import { answered, ask, inBrowser, nextBody, set } from "./browser.mjs";

await inBrowser(async (page) => {
  await set(page, "temperature", 0);
  await set(page, "max_completion_tokens", 30);
  await page.getByLabel("Heat map").check();
  await page.getByLabel("Alternatives for each token").fill("4");
  const body = nextBody(page);
  const answer = await ask(page, "What is the capital of France?");
  const sent = await body;
  assert.deepEqual([sent.logprobs, sent.top_logprobs], [true, 4]);
  const tokens = answer.locator(".heat span");
  const words = (await tokens.allTextContents()).join("");
  assert.match(words, /Paris/);
  assert.match(await tokens.first().getAttribute("aria-label"), /^".*", (< )?[\d.]+ %$/);
  const colours = await tokens.evaluateAll((spans) => new Set(spans.map((span) => getComputedStyle(span).backgroundColor)).size);
  assert.ok(colours > 1, "tokens differ in colour");

  await tokens.nth(2).hover();
  const box = page.getByRole("dialog");
  assert.equal(await box.getByRole("button").count(), 4);
  await page.mouse.move(0, 0);
  await box.waitFor({ state: "detached" });

  await tokens.first().focus();
  await page.keyboard.press("ArrowRight");
  assert.equal(await tokens.nth(1).getAttribute("aria-expanded"), "true");
  await page.keyboard.press("Escape");
  await box.waitFor({ state: "detached" });

  const before = await tokens.allTextContents();
  await tokens.nth(3).click();
  const other = box.locator("button:not([aria-current]):not(:disabled)").first();
  const picked = JSON.parse(await other.locator("code").textContent());
  const next = nextBody(page);
  await other.click();
  const continued = await next;
  const beginning = before.slice(0, 3).join("") + picked;
  assert.equal(continued.continue_final_message, true);
  assert.deepEqual(continued.messages.at(-1), { role: "assistant", content: beginning });
  await answered(page);
  const after = await tokens.allTextContents();
  assert.ok(after.join("").startsWith(beginning));
  assert.ok(after.length > 4, "the answer goes on after the token");
  await answer.getByRole("button", { name: "Code" }).click();
  assert.match(await page.getByRole("dialog").locator("pre").textContent(), /x-minikin-extensions: true/);
  await page.keyboard.press("Escape");

  await answer.getByRole("button", { name: "Show text" }).click();
  assert.ok((await answer.locator(".markdown").textContent()).length > 0);
});
