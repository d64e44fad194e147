// Prints the longest tasks of the page's main thread while an answer of 4,000 tokens arrives, as JSON.
// Arguments after the browser: the text to ask, and whether to show the heat map.
import { inBrowser, set } from "./browser.mjs";

const [, , , , TEXT, HEAT] = process.argv;
const CATEGORIES = ["toplevel", "disabled-by-default-devtools.timeline", "__metadata"];
const TOKENS = 4000;

/** The events of a trace that is made during `job`. */
async function traced(page, job) {
  const session = await page.context().newCDPSession(page);
  const events = [];
  session.on("Tracing.dataCollected", ({ value }) => events.push(...value));
  const complete = new Promise((resolve) => session.once("Tracing.tracingComplete", resolve));
  await session.send("Tracing.start", { transferMode: "ReportEvents", traceConfig: { includedCategories: CATEGORIES } });
  await job();
  await session.send("Tracing.end");
  await complete;
  return events;
}

/** The tasks of the busiest main thread: that of the page. */
function mainTasks(events) {
  const threads = events.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain");
  const isTask = ({ name, ph }) => ph === "X" && name.endsWith("RunTask");
  const all = threads.map(({ pid, tid }) => events.filter((event) => event.pid === pid && event.tid === tid && isTask(event)));
  return all.sort((one, other) => other.length - one.length)[0];
}

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
    over_50: wall.filter((duration) => duration > 50_000).length,
    cpu_seconds: milliseconds(cpu.reduce((sum, each) => sum + each, 0)) / 1000,
  }));
});
