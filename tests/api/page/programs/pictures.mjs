// Makes the pictures of docs/pictures, in the folder that the argument after the browser names.
import { join } from "node:path";
import { ask, inBrowser, SERVER, set } from "./browser.mjs";

const FOLDER = process.argv[4];
const DESKTOP = { width: 1200, height: 720 };
const PHONE = { width: 390, height: 844 };
const QUESTIONS = [
  "Why is the sky blue?", "Name three rivers of France.", "Write a poem about the sea.",
  "What does a compiler do?", "Tell a long story about a ship.", "How do I make bread?",
];
const POINTS = 45; // of the charts, two seconds each

const shoot = (page, name, more) => page.screenshot({ path: join(FOLDER, `${name}.png`), ...more });

/** The first of two lines of tokens: what it shows is below it. */
async function openAlternatives(answer) {
  const token = answer.locator(".heat span").filter({ hasText: " called" }).or(answer.locator(".heat span").nth(8)).first();
  await token.hover();
  await token.page().getByRole("dialog").waitFor();
}

async function playground(page) {
  await set(page, "temperature", 0);
  await set(page, "max_completion_tokens", 120);
  await page.getByLabel("Heat map").check();
  const answer = await ask(page, "Explain in two sentences why the sky is blue.");
  await openAlternatives(answer);
  await shoot(page, "playground");
  await page.mouse.move(0, 0);
  await page.getByRole("dialog").waitFor({ state: "detached" });

  await page.setViewportSize(PHONE);
  await page.locator(".log").evaluate((log) => { log.scrollTop = 0; });
  await shoot(page, "playground-phone");

  await page.setViewportSize(DESKTOP);
  await page.emulateMedia({ colorScheme: "dark" });
  await page.getByLabel("Heat map").uncheck();
  await page.getByRole("tab", { name: "Schema" }).click();
  await page.getByRole("button", { name: "A review" }).click();
  await ask(page, "The soup was cold and the waiter rude. I paid 12 euros for two plates.");
  await shoot(page, "playground-dark");
}

/** Requests of three clients, one after another, until `isOver`. Some are wrong. */
async function clients(isOver) {
  let count = 0;
  const one = async () => {
    while (!isOver()) {
      count += 1;
      const content = QUESTIONS[count % QUESTIONS.length];
      const body = { model: "gpt-4.1-mini", messages: [{ role: "user", content }], max_tokens: 60 + 90 * (count % 4) };
      if (count % 9 === 5) body.temperature = 3;
      const headers = { "content-type": "application/json" };
      await (await fetch(`${SERVER}/v1/chat/completions`, { method: "POST", headers, body: JSON.stringify(body) })).text();
    }
  };
  await Promise.all([one(), one(), one()]);
}

async function dashboard(page) {
  let isOver = false;
  const load = clients(() => isOver);
  await page.waitForTimeout(2000 * POINTS);
  await shoot(page, "dashboard", { fullPage: true });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.waitForTimeout(2500);
  await shoot(page, "dashboard-dark", { fullPage: true });
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(PHONE);
  await page.waitForTimeout(2500);
  await shoot(page, "dashboard-phone");
  isOver = true;
  await load;
}

await inBrowser(playground, { viewport: DESKTOP });
await inBrowser(dashboard, { path: "dashboard", viewport: { width: 1200, height: 720 } });
await inBrowser(async (page) => {
  await page.locator("footer").waitFor();
  await shoot(page, "catalog");
}, { path: "catalog/models/smollm2-135m-instruct.html", viewport: { width: 1000, height: 1290 } });
