// Several holds that are alike, in a real browser: each is seen, on a phone too, before all are decided by one click.
// Tells what it sees, one word a line; the test acts in between.

import { PHONE, shoot, start } from "./browser.js";

const [url, token, shots, count] = process.argv.slice(2);
const { browser, page, troubles } = await start(url);
const fail = (text) => {
  throw new Error(text);
};

try {
  await page.goto(url);
  await page.fill("#token", token);
  await page.keyboard.press("Enter");
  await page.waitForURL(/\/holds/);
  await page.getByText(`${count} waiting`).first().waitFor();
  await page.getByRole("link", { name: /HLD-/ }).first().click();
  await page.waitForURL(/\/holds\/HLD-/);

  const list = page.getByLabel("The holds that are alike");
  await page.getByText(`Decide all ${count} that are alike`).waitFor();
  const lines = await list.locator("li").allInnerTexts();
  if (lines.length !== Number(count)) fail(`${lines.length} are listed`);
  for (const line of lines) if (!/^HLD-\w+\s+.* old\s+.*\d rows?/.test(line)) fail(line);
  await shoot(page, shots, "hold-alike");

  // On a desk nothing is folded away.
  const [more, reason, panel] = [page.getByLabel("More", { exact: true }), page.locator("#reason"), page.locator(".decide")];
  if (await more.isVisible()) fail("something is folded away on a desk");
  if (!(await reason.isVisible())) fail("there is no room for a reason");

  // On a phone the buttons alone are in the way, until more is asked for: by a finger, a key, or a denial without a reason.
  await page.setViewportSize(PHONE);
  const { height } = await panel.boundingBox();
  if (height > PHONE.height / 10) fail(`the decision takes ${height} pixels`);
  await page.screenshot({ path: `${shots}/hold-folded-phone.png` });
  if (await reason.isVisible()) fail("the reason is in the way");
  await more.focus();
  await page.keyboard.press("Space");
  await reason.waitFor();
  await page.screenshot({ path: `${shots}/hold-unfolded-phone.png` });
  await page.keyboard.press("Space");
  await reason.waitFor({ state: "hidden" });
  await page.getByRole("button", { name: "Deny" }).click();
  await page.locator("#reason:focus").waitFor();
  await page.getByText("More", { exact: true }).click();
  await reason.waitFor({ state: "hidden" });
  await page.getByText("More", { exact: true }).click();

  // The list is out of the way until the box is ticked, and the buttons stay in sight.
  if (await list.isVisible()) fail("the list is in the way");
  await page.getByRole("checkbox", { name: /alike/ }).check();
  await list.waitFor();
  // What is chosen is not folded away: it goes with the decision.
  await page.getByText("More", { exact: true }).click();
  await reason.waitFor({ state: "hidden" });
  if (!(await list.isVisible())) fail("what is decided together is out of sight");
  await page.getByText("More", { exact: true }).click();
  await page.fill("#reason", "checked with the ward");
  await page.screenshot({ path: `${shots}/hold-alike-chosen-phone.png` });
  const inSight = async (what) => {
    const box = await what.boundingBox();
    if (!box || box.y < 0 || box.y + box.height > PHONE.height) fail(`out of sight: ${JSON.stringify(box)}`);
  };
  await inSight(list);
  await inSight(page.getByText("Together:"));
  const approve = page.getByRole("button", { name: "Approve", exact: true });
  await inSight(approve);
  console.log("seen");
  await approve.click();
  await page.getByText(/4 rows|0 rows/).first().waitFor();
  if (troubles.length) fail(troubles.join("\n"));
  console.log("done");
} finally {
  await browser.close();
}
