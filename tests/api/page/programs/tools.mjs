// Tools: definitions in JSON, a call as a card, its result typed in and sent back.
import assert from "node:assert/strict";
import { answered, ask, inBrowser, nextBody, set } from "./browser.mjs";

await inBrowser(async (page) => {
  await set(page, "temperature", 0);
  await set(page, "max_completion_tokens", 60);
  await page.getByRole("tab", { name: "Tools" }).click();
  const field = page.getByLabel("Tools (JSON)");
  await field.fill("[{");
  await page.getByText("Tools: this is not valid JSON.").waitFor();
  await page.getByRole("button", { name: "Example" }).click();
  await page.getByLabel("tool_choice").selectOption("required");
  const asked = nextBody(page);
  const answer = await ask(page, "What is the weather in Paris?");
  assert.equal((await asked).tools[0].function.name, "get_weather");
  await answer.getByRole("heading", { name: "get_weather" }).first().waitFor();
  const results = answer.getByLabel("Result of get_weather");
  const count = await results.count();
  assert.ok(count > 0);
  for (let at = 0; at < count; at += 1) await results.nth(at).fill("Sunny, 21 degrees.");
  await page.getByLabel("tool_choice").selectOption("none");
  const sent = nextBody(page);
  await answer.getByRole("button", { name: /Send result/ }).click();
  const { messages } = await sent;
  assert.deepEqual(messages.map(({ role }) => role), ["user", "assistant", ...Array(count).fill("tool")]);
  assert.equal(messages.at(-1).content, "Sunny, 21 degrees.");
  assert.equal(messages.at(-1).tool_call_id, messages[1].tool_calls.at(-1).id);
  await answered(page);
  assert.equal(await page.getByRole("button", { name: /Send result/ }).count(), 0);
});
