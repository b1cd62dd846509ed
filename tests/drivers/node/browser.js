// A headless Chromium with one page, which notes every trouble the page has.

import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { chromium } from "playwright-core";

export const DESK = { width: 1200, height: 900 };
export const PHONE = { width: 390, height: 844 };

export async function start(url) {
  const names = ["chromium", "chromium-browser", "google-chrome"];
  const executablePath = process.env.PATH.split(delimiter)
    .flatMap((folder) => names.map((name) => join(folder, name)))
    .find(existsSync);
  if (!executablePath) throw new Error("chromium is not installed: run scripts/setup");
  const args = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
  ];
  if (process.getuid() === 0) args.push("--no-sandbox");
  const browser = await chromium.launch({ executablePath, args });
  const page = await browser.newPage({ viewport: DESK });
  // Generous: the machine may be busy.
  page.setDefaultTimeout(120000);
  const troubles = [];
  page.on("console", (message) => message.type() === "error" && troubles.push(message.text()));
  page.on("pageerror", (error) => troubles.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith("data:")) troubles.push(`foreign: ${request.url()}`);
  });
  return { browser, page, troubles };
}

// One picture as on a desk and one as on a phone, where nothing may stick out.
export async function shoot(page, shots, name) {
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
  await page.setViewportSize(PHONE);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  await page.screenshot({ path: join(shots, `${name}-phone.png`), fullPage: true });
  await page.setViewportSize(DESK);
  if (wide > 0) throw new Error(`${name} is ${wide} pixels too wide for a phone`);
}
