// The viewer of the API: shows every route, and a request can be tried.
import assert from "node:assert/strict";
import { inBrowser } from "./browser.mjs";

await inBrowser(async (page) => {
  const route = page.locator("#operations-default-get_v1_models, .opblock").filter({ hasText: "/v1/models" }).first();
  await route.waitFor();
  await page.getByText("Answer a conversation", { exact: true }).click();
  const body = page.locator("textarea.body-param__text");
  assert.equal(JSON.parse(await body.inputValue()).messages[0].role, "user");
  await page.getByText("Answer a conversation", { exact: true }).click();
  await page.getByText("List the models", { exact: true }).click();
  await page.getByRole("button", { name: "Execute" }).click();
  await page.locator(".live-responses-table").getByText("gpt-4.1-mini", { exact: false }).first().waitFor();
  assert.equal(await page.getByRole("navigation", { name: "Site" }).getByRole("link").count(), 4);
}, { path: "docs" });
