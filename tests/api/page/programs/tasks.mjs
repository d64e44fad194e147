// Prints the longest tasks of the page's main thread while an answer of 4,000 tokens arrives, as JSON.
// Arguments after the browser: the text to ask, and whether to show the heat map.
import { inBrowser, set } from "./browser.mjs";
import { mainTasks, traced } from "./trace.mjs";

const [, , , , TEXT, HEAT] = process.argv;
const TOKENS = 4000;
const milliseconds = (microseconds) => Math.round(microseconds / 100) / 10;

await inBrowser(async (page) => {
  await set(page, "max_completion_tokens", TOKENS);
  await set(page, "temperature", 1);
  await page.locator("details summary").filter({ hasText: "More" }).click();
  await page.getByLabel("logit_bias", { exact: true }).fill('{"0": -100, "2": -100}'); // bans the end tokens
  if (HEAT) await page.getByLabel("Heat map").check();
  const tasks = mainTasks(await traced(page, async () => {
    await page.getByLabel("Message", { exact: true }).fill(TEXT);
    await page.keyboard.press("Enter");
    await page.locator(".message.assistant:last-child .stats:not(:empty)").waitFor({ timeout: 450_000 });
  }));
  const [cpu, wall] = ["tdur", "dur"].map((name) => tasks.map((task) => task[name] ?? 0));
  console.log(JSON.stringify({
    stats: await page.locator(".stats").last().textContent(),
    tasks: tasks.length,
    longest_cpu: milliseconds(Math.max(...cpu)),
    longest: milliseconds(Math.max(...wall)),
    over_50_cpu: cpu.filter((duration) => duration > 50_000).length,
    over_50: wall.filter((duration) => duration > 50_000).length,
    cpu_seconds: milliseconds(cpu.reduce((sum, each) => sum + each, 0)) / 1000,
  }));
});
