// A schema: an example is picked, and the answer is shown as a tree beside its text.
import assert from "node:assert/strict";
import { ask, inBrowser, nextBody, set } from "./browser.mjs";

await inBrowser(async (page) => {
  await set(page, "temperature", 0);
  await page.getByRole("tab", { name: "Schema" }).click();
  await page.getByRole("button", { name: "A review" }).click();
  assert.ok(await page.getByLabel("Answers match this schema").isChecked());
  const body = nextBody(page);
  const answer = await ask(page, "The soup was cold. I paid 12 euros.");
  assert.equal((await body).response_format.json_schema.schema.properties.mood.enum.length, 2);
  const object = JSON.parse(await answer.locator(".beside pre").textContent());
  assert.deepEqual(Object.keys(object), ["mood", "dishes", "price"]);
  const tree = answer.locator(".tree");
  assert.match(await tree.textContent(), new RegExp(`mood: ${object.mood}`));
  await page.getByLabel("Answers match this schema").uncheck();
  const next = nextBody(page);
  await ask(page, "Thanks.");
  assert.equal((await next).response_format, undefined);
});
