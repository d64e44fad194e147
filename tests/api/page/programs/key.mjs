// A server with keys: the page asks once, and keeps the key for the browser's session only.
import assert from "node:assert/strict";
import { inBrowser } from "./browser.mjs";

const KEY = process.argv[4];

await inBrowser(async (page) => {
  const box = page.getByRole("dialog", { name: "API key" });
  const field = box.getByLabel("Key", { exact: true });
  await field.fill("wrong");
  await box.getByRole("button", { name: "Use it" }).click();
  await page.getByText("Incorrect API key provided").waitFor();
  await field.fill(KEY);
  await box.getByRole("button", { name: "Use it" }).click();
  await page.getByRole("button", { name: "What is the capital of France?" }).click();
  await page.locator(".stats:not(:empty)").waitFor();
  await page.reload();
  await page.getByRole("combobox", { name: "Model" }).waitFor();
  assert.equal(await box.count(), 0);
  const kept = await page.evaluate(() => JSON.stringify({ ...localStorage }));
  assert.ok(!kept.includes(KEY));
});
