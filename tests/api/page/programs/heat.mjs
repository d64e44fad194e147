// The heat map: every token has its probability and its alternatives, by mouse and by keyboard.
import assert from "node:assert/strict";
import { ask, inBrowser, nextBody, set } from "./browser.mjs";

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

  await answer.getByRole("button", { name: "Show text" }).click();
  assert.match(await answer.locator(".markdown").textContent(), /Paris/);
});
