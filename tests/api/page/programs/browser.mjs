// A page of the server in a real browser. The arguments of every program: the server's URL, and the browser.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const PATIENCE = 120_000;
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--no-first-run",
];
export const [, , SERVER, BROWSER] = process.argv;

/**
 * Runs `job(page)` on a new profile. Every error of the page's own fails it. `before` is awaited between the
 * start of the browser and the request for the page.
 */
export async function inBrowser(job, { path = "", before = null, ...options } = {}) {
  const profile = mkdtempSync(join(tmpdir(), "minikin-page-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: BROWSER, headless: true, args: FLAGS, viewport: { width: 1280, height: 800 }, ...options,
  });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(error.stack));
  page.on("console", (line) => {
    const isOfHttp = line.text().startsWith("Failed to load resource");
    if (line.type() === "error" && !isOfHttp) faults.push(line.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(SERVER) && !request.url().startsWith("data:")) faults.push(request.url());
  });
  try {
    await before?.();
    await page.goto(`${SERVER}/${path}`);
    await job(page);
    assert.deepEqual(faults, []);
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

/** Set the number of a parameter. */
export async function set(page, name, value) {
  await page.getByLabel(name, { exact: true }).fill(String(value));
}

/** Send a message, and wait for the whole answer. Returns the last answer. */
export async function ask(page, text) {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.keyboard.press("Enter");
  return answered(page);
}

/** Wait until nothing runs. Returns the last answer. */
export async function answered(page) {
  const last = page.getByRole("article", { name: "Model" }).last();
  await last.locator(".stats:not(:empty)").waitFor();
  await page.getByRole("button", { name: "Send", exact: true }).waitFor();
  return last;
}

/** The body of the next request for an answer. */
export async function nextBody(page) {
  const request = await page.waitForRequest((each) => each.url().endsWith("/v1/chat/completions"));
  return request.postDataJSON();
}
