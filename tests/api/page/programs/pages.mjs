// The description of the API and the catalog: axe finds nothing serious in light and dark, and neither scrolls sideways
// on a phone. The Tab key goes from the header to the page. Arguments after the browser: the paths, or none for all.
import assert from "node:assert/strict";
import { check } from "./axe.mjs";
import { inBrowser, SERVER } from "./browser.mjs";

const CHOSEN = process.argv.slice(4);
const PAGES = {
  "docs": ".opblock",
  "catalog": "footer",
  "catalog/models/smollm2-135m-instruct.html": "footer",
  "catalog/comparisons/capabilities.html": "footer",
};

await inBrowser(async (page) => {
  for (const [path, sign] of Object.entries(PAGES).filter(([path]) => !CHOSEN.length || CHOSEN.includes(path))) {
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.emulateMedia({ colorScheme: "light" });
    await page.goto(`${SERVER}/${path}`);
    await page.locator(sign).first().waitFor();
    if (path === "docs") {
      await page.getByText("Answer a conversation", { exact: true }).click();
      await page.getByRole("textbox", { name: "Request body" }).waitFor();
    }
    await page.getByRole("navigation", { name: "Site" }).getByRole("link").last().focus();
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.closest(".site")), null, `${path}: Tab leaves the header`);
    await check(page, path);
    await page.emulateMedia({ colorScheme: "dark" });
    await check(page, `${path}, dark`);
    await page.setViewportSize({ width: 360, height: 700 });
    await check(page, `${path}, phone`);
    const sideways = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(sideways <= 0, `${path}: ${sideways} pixels too wide`);
  }
}, { bypassCSP: true });
