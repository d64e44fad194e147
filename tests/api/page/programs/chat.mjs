// Chat: an answer arrives in parts, can be stopped, edited and made again, and is there after a reload.
import assert from "node:assert/strict";
import { answered, ask, inBrowser, nextBody, set } from "./browser.mjs";

await inBrowser(async (page) => {
  await set(page, "temperature", 0);
  await set(page, "max_completion_tokens", 40);
  await page.getByLabel("System prompt").fill("You are a helpful assistant.");
  const body = nextBody(page);
  const answer = await ask(page, "What is the capital of France?");
  assert.match(await answer.locator(".markdown").textContent(), /Paris/);
  assert.match(await answer.locator(".stats").textContent(), /\d+ prompt tokens \(\d+ cached\) · \d+ completion tokens · first token after \d+ ms/);
  const sent = await body;
  assert.deepEqual([sent.temperature, sent.max_completion_tokens, sent.stream], [0, 40, true]);
  assert.deepEqual(sent.messages, [
    { role: "system", content: "You are a helpful assistant." }, { role: "user", content: "What is the capital of France?" },
  ]);
  await answer.getByRole("button", { name: "Copy", exact: true }).click();
  await answer.getByRole("button", { name: /^(Copied|Selected)/ }).waitFor();
  assert.deepEqual(Object.keys(sent).filter((name) => ["top_p", "seed", "stop"].includes(name)), []);

  await page.getByRole("button", { name: "Edit" }).click();
  await page.getByLabel("Edited message").fill("What is the capital of Italy?");
  const edited = nextBody(page);
  await page.getByRole("article", { name: "You" }).getByRole("button", { name: "Send" }).click();
  assert.equal((await edited).messages.at(-1).content, "What is the capital of Italy?");
  const second = await answered(page);
  assert.equal(await page.getByRole("article", { name: "You" }).count(), 1);

  const again = nextBody(page);
  await second.getByRole("button", { name: "Retry" }).click();
  assert.deepEqual((await again).messages, (await edited).messages);
  await answered(page);

  await set(page, "max_completion_tokens", 2000);
  await set(page, "temperature", 2);
  await page.getByLabel("Message", { exact: true }).fill("Write a very long story about the sea, in many chapters.");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByText("Stopped.").waitFor();

  await page.reload();
  assert.equal(await page.getByRole("article", { name: "You" }).count(), 2);
  await set(page, "temperature", 1);
  await page.getByRole("button", { name: "Code" }).first().click();
  const code = await page.getByRole("dialog").locator("pre").textContent();
  assert.match(code, /"temperature": 0,[^]*"max_completion_tokens": 40/, "the request as it was");
  assert.match(code, /capital of Italy/);
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "New conversation" }).click();
  assert.equal(await page.getByRole("article").count(), 0);
  await page.getByRole("button", { name: "What is the capital of France?", exact: true }).first().click();
  assert.equal(await page.getByRole("article", { name: "You" }).count(), 2);
  await page.getByRole("button", { name: "Delete What is the capital of France?" }).click();
  assert.equal(await page.getByRole("article").count(), 0);
});
