// The dashboard: charts follow the server, a running request is cancelled, a model is unloaded and loaded.
import assert from "node:assert/strict";
import { check } from "./axe.mjs";
import { inBrowser, SERVER } from "./browser.mjs";

const body = (more) => ({
  method: "POST", headers: { "content-type": "application/json" },
  body: JSON.stringify({ model: "gpt-4.1-mini", messages: [{ role: "user", content: "Tell a long story." }], ...more }),
});

await inBrowser(async (page) => {
  const row = page.getByRole("table", { name: "Running requests" }).locator("tbody tr");
  await page.getByText("No request runs.").waitFor();
  await page.locator(".plot canvas").nth(7).waitFor();
  await fetch(`${SERVER}/v1/chat/completions`, body({ max_tokens: 20 }));
  const asked = fetch(`${SERVER}/v1/chat/completions`, body({ max_tokens: 8000, logit_bias: { 2: -100 } }));
  await row.waitFor();
  await page.getByRole("img", { name: /^Tokens per second: generated [1-9]/ }).waitFor();
  const unload = page.getByRole("button", { name: /^Unload / });
  await unload.click();
  await page.getByRole("alert").getByText("Requests use the model").waitFor();
  const cancel = page.getByRole("button", { name: /^Cancel / });
  await cancel.focus();
  await page.keyboard.press("Enter");
  const answer = await asked;
  assert.equal(answer.status, 403);
  assert.match((await answer.json()).error.message, /operator of this server cancelled/);
  await page.getByText("No request runs.").waitFor();

  await unload.click();
  await page.getByRole("cell", { name: "unloaded", exact: true }).waitFor();
  await page.getByRole("button", { name: /^Load / }).click();
  await page.getByRole("cell", { name: "ready", exact: true }).waitFor();

  await check(page, "light");
  await page.emulateMedia({ colorScheme: "dark" });
  await check(page, "dark");
  await page.setViewportSize({ width: 360, height: 700 });
  await check(page, "phone");
  const sideways = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(sideways <= 0, `${sideways} pixels too wide`);
}, { path: "dashboard", bypassCSP: true });

// With the page's own policy: nothing that it does is against it.
await inBrowser(async (page) => {
  await page.locator(".plot canvas").first().waitFor();
}, { path: "dashboard" });
