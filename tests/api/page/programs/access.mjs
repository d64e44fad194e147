// Everyone: axe finds nothing serious, in light and dark, on a desktop and a phone; a phone's page does not scroll sideways.
import assert from "node:assert/strict";
import { check } from "./axe.mjs";
import { ask, inBrowser, set } from "./browser.mjs";

await inBrowser(async (page) => {
  await check(page, "empty");
  await set(page, "max_completion_tokens", 30);
  await page.getByLabel("Heat map").check();
  const answer = await ask(page, "What is the capital of France?");
  await check(page, "heat map");
  await answer.locator(".heat span").nth(1).hover();
  await check(page, "alternatives");
  await page.emulateMedia({ colorScheme: "dark" });
  await check(page, "dark");
  for (const pane of ["Tools", "Schema"]) {
    await page.getByRole("tab", { name: pane }).click();
    await check(page, pane);
  }
  await answer.getByRole("button", { name: "Code" }).click();
  await check(page, "code");
  await page.keyboard.press("Escape");
  await page.setViewportSize({ width: 360, height: 700 });
  await check(page, "phone");
  const sideways = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(sideways <= 0, `${sideways} pixels too wide`);
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await check(page, "drawer");
}, { bypassCSP: true });
