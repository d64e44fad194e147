// Code: the request of an answer as curl, Python and Node. Prints them for the test to run.
import { ask, inBrowser, set } from "./browser.mjs";

await inBrowser(async (page) => {
  await set(page, "temperature", 0);
  await set(page, "max_completion_tokens", 30);
  const answer = await ask(page, "It's \"late\": what is the capital of France?");
  const text = await answer.locator(".markdown").textContent();
  await answer.getByRole("button", { name: "Code" }).click();
  const box = page.getByRole("dialog", { name: "This request as code" });
  const shown = { answer: text.trim() };
  for (const name of ["curl", "Python", "Node"]) {
    await box.getByRole("button", { name, exact: true }).click();
    shown[name] = await box.locator("pre").textContent();
  }
  console.log(JSON.stringify(shown));
});
