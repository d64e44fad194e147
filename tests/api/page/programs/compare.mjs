// Side by side: one message goes to two lanes with their own settings and the same seed.
import assert from "node:assert/strict";
import { inBrowser, set } from "./browser.mjs";

await inBrowser(async (page) => {
  await set(page, "max_completion_tokens", 25);
  await page.getByRole("button", { name: "Compare side by side" }).click();
  await set(page, "temperature", 1.7);
  await page.getByRole("button", { name: "Settings of A" }).click();
  await set(page, "temperature", 0.1);
  const bodies = [];
  page.on("request", (request) => request.method() === "POST" && bodies.push(request.postDataJSON()));
  await page.getByLabel("Message", { exact: true }).fill("Name a colour.");
  await page.keyboard.press("Enter");
  for (const label of ["Answers A", "Answers B"]) {
    await page.getByRole("region", { name: label }).locator(".stats:not(:empty)").waitFor();
  }
  assert.deepEqual(bodies.map(({ temperature }) => temperature).sort(), [0.1, 1.7]);
  assert.equal(typeof bodies[0].seed, "number");
  assert.equal(bodies[0].seed, bodies[1].seed);
  await page.getByRole("button", { name: "Close B" }).click();
  assert.equal(await page.getByRole("article", { name: "Model" }).count(), 1);
});
