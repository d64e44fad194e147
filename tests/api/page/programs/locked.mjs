// The catalog of a server with keys: a page asks for the key once, and links lead on without asking.
import assert from "node:assert/strict";
import { inBrowser, SERVER } from "./browser.mjs";

const KEY = process.argv[4];

await inBrowser(async (page) => {
  const box = page.getByRole("dialog", { name: "API key" });
  await box.getByLabel("Key", { exact: true }).fill("wrong");
  await page.keyboard.press("Enter");
  await box.getByText("does not accept this key").waitFor();
  await box.getByLabel("Key", { exact: true }).fill(KEY);
  await page.keyboard.press("Enter");
  await page.locator("footer").waitFor();
  assert.ok(page.url().endsWith("/catalog/index.html"), page.url());
  assert.notEqual(await page.evaluate(() => document.styleSheets.length), 0);
  await page.locator("main a").first().click();
  await page.waitForURL((url) => !url.pathname.endsWith("/catalog/index.html"));
  await page.locator("footer").waitFor();
  assert.equal(await box.count(), 0);
  await page.goto(`${SERVER}/v1/models`);
  await page.locator("pre", { hasText: '"object":"list"' }).waitFor();
}, { path: "catalog" });
