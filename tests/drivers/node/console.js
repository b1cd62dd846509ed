// A reviewer at the console, in a real browser: log in, see a hold appear by itself, approve it by clicking.
// Tells what it sees, one word a line; the test acts in between.

import { join } from "node:path";
import { start } from "./browser.js";

const [url, token, shots] = process.argv.slice(2);
const { browser, page, troubles } = await start(url);

try {
  await page.goto(url);
  await page.fill("#token", "wrong");
  const posted = page.waitForResponse((response) => response.request().method() === "POST");
  await page.keyboard.press("Enter");
  const refused = await posted;
  if (refused.status() < 400) throw new Error(`a wrong token was answered with ${refused.status()}`);
  // The form may still be the old one: fill it until it is the new page's.
  await page.waitForLoadState("networkidle");
  await page.fill("#token", token);
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/holds/);
  if (await page.getByText(/HLD-/).count()) throw new Error("a hold is shown before there is one");
  await page.screenshot({ path: join(shots, "console-waiting.png"), fullPage: true });
  console.log("watching");

  // Not reloaded: the page shows it by itself.
  const link = page.getByRole("link", { name: /HLD-/ }).first();
  await link.waitFor();
  await page.screenshot({ path: join(shots, "console-pending.png"), fullPage: true });
  console.log("appeared");
  await link.click();
  await page.waitForURL(/\/holds\/HLD-/);
  await page.waitForSelector("button[value=approve]");
  await page.screenshot({ path: join(shots, "console-hold.png"), fullPage: true });
  await page.fill("#reason", "checked with the ward");
  await page.click("button[value=approve]");
  await page.getByText(/ran: 4 rows|4 rows/).first().waitFor();
  await page.screenshot({ path: join(shots, "console-done.png"), fullPage: true });
  console.log(JSON.stringify({ text: await page.locator("main").innerText() }));
  // The wrong token is answered with a 401 or 403, which the browser reports.
  const worse = troubles.filter((text) => !/status of 40[13]/.test(text));
  if (worse.length) throw new Error(worse.join("\n"));
  console.log("done");
} finally {
  await browser.close();
}
