// Opens as many playgrounds as the argument after the browser says, and a dashboard: a line "open" or "close" of
// the input does so, and is answered with the same line.
import { createInterface } from "node:readline";
import { inBrowser, SERVER } from "./browser.mjs";

const COUNT = Number(process.argv[4]);

async function open(page, path, sign) {
  await page.goto(`${SERVER}/${path}`);
  await page.locator(sign).first().waitFor();
}

await inBrowser(async (page) => {
  const playgrounds = [];
  while (playgrounds.length < COUNT) playgrounds.push(await page.context().newPage());
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === "open") {
      for (const each of playgrounds) await open(each, "", ".welcome");
      await open(page, "dashboard", ".plot canvas");
    } else await Promise.all([page, ...playgrounds].map((each) => each.goto("about:blank")));
    console.log(line);
  }
}, { path: "dashboard" });
