// Somebody on call, in a real browser: an override made and taken back, "I'm looking", an approval for a while.
// Tells what it sees, one word a line; the test acts in between.

import { shoot, start } from "./browser.js";

const [url, token, shots, from, until] = process.argv.slice(2);
const { browser, page, troubles } = await start(url);
const fail = (text) => {
  throw new Error(text);
};

try {
  await page.goto(url);
  await page.fill("#token", token);
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/holds/);

  await page.getByRole("link", { name: "On call" }).click();
  await page.waitForURL(/\/oncall/);
  await page.getByRole("heading", { name: "On call" }).waitFor();
  if (await page.getByRole("heading", { name: "Overrides" }).count()) fail("there is an override already");
  await page.getByLabel("Put", { exact: true }).selectOption("cy");
  // The other way round first: the page says why not, and nothing is made.
  await page.getByLabel("on call from (Europe/Berlin)").fill(until);
  await page.getByLabel("until", { exact: true }).fill(from);
  await page.getByLabel("because").fill("dentist");
  await page.getByRole("button", { name: "Override" }).click();
  await page.getByRole("alert").waitFor();
  await shoot(page, shots, "oncall-refused");
  if (await page.getByRole("heading", { name: "Overrides" }).count()) fail("a span that ends before it begins was taken");

  await page.getByLabel("Put", { exact: true }).selectOption("cy");
  await page.getByLabel("on call from (Europe/Berlin)").fill(from);
  await page.getByLabel("until", { exact: true }).fill(until);
  await page.getByLabel("because").fill("dentist");
  await page.getByRole("button", { name: "Override" }).click();
  await page.getByRole("heading", { name: "Overrides" }).waitFor();
  await page.getByText("cy for dba").waitFor();
  await page.getByText("set by bob: dentist").first().waitFor();
  await shoot(page, shots, "oncall-override");
  console.log("made");

  await page.getByLabel("Why").fill("no need");
  await page.getByRole("button", { name: "Take back" }).click();
  await page.getByRole("heading", { name: "Overrides" }).waitFor({ state: "detached" });
  await shoot(page, shots, "oncall");
  console.log("taken back");

  await page.getByRole("link", { name: /Waiting|Holds/ }).first().click();
  console.log("watching");
  const link = page.getByRole("link", { name: /HLD-/ }).first();
  await link.waitFor();
  await link.click();
  await page.waitForURL(/\/holds\/HLD-/);
  await page.getByRole("button", { name: "I'm looking" }).waitFor();
  await shoot(page, shots, "hold-look");
  await page.getByRole("button", { name: "I'm looking" }).click();
  await page.getByText("Looking: bob").waitFor();
  if (await page.getByRole("button", { name: "I'm looking" }).count()) fail("one may look twice");
  await shoot(page, shots, "hold-looking");
  console.log("looking");

  const choices = await page.locator("select[name=grant] option").allInnerTexts();
  if (choices.join() !== "this once,15 minutes,30 minutes,60 minutes") fail(`choices: ${choices}`);
  await page.getByLabel("Approve this shape also for").selectOption("15");
  await page.getByRole("spinbutton", { name: "Uses" }).fill("3");
  await page.getByRole("button", { name: "Approve", exact: true }).click();
  await page.getByText(/4 rows/).first().waitFor();
  await page.getByRole("link", { name: "Grants" }).click();
  await page.getByRole("heading", { name: "1 active" }).waitFor();
  await page.getByText("0 of 3 used").waitFor();
  await shoot(page, shots, "grants");
  // A span that was refused is answered with a 4xx, which the browser reports.
  const worse = troubles.filter((text) => !/status of 4\d\d/.test(text));
  if (worse.length) fail(worse.join("\n"));
  console.log("done");
} finally {
  await browser.close();
}
