// Keeps open pages true: counts down, and takes the live parts of a page from a fresh copy of it
// when the approver says that something changed. Every page works without this file.
"use strict";

const loadedAt = performance.now();
// A refused decision is answered under another address: go on under the page's own.
const page = document.body.dataset.page || location.pathname;
if (page !== location.pathname) history.replaceState(null, "", page);

function spanInWords(seconds) {
  const two = (n) => String(n).padStart(2, "0");
  const m = Math.floor(seconds / 60) % 60, h = Math.floor(seconds / 3600) % 24, d = Math.floor(seconds / 86400);
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${two(m)} min`;
  if (m) return `${m} min ${two(seconds % 60)} s`;
  return `${seconds} s`;
}

// What is left was counted by the approver's clock; only the time since then is this machine's.
function countDown() {
  for (const left of document.querySelectorAll("[data-left]")) {
    if (!left.dataset.from) left.dataset.from = String(performance.now());
    const gone = (performance.now() - Number(left.dataset.from)) / 1000;
    const seconds = Math.max(0, Math.round(Number(left.dataset.left) - gone));
    left.textContent = seconds ? spanInWords(seconds) : "time is up";
    left.classList.toggle("soon", seconds < 60);
    const bar = left.closest(".row, .hold-head")?.querySelector("progress");
    if (bar) bar.value = seconds;
  }
}

// A part with a key is kept while its key is the same: somebody may be typing in it.
function takeParts(fresh) {
  for (const old of document.querySelectorAll("[data-live]")) {
    const next = fresh.querySelector(`[data-live="${old.dataset.live}"]`);
    if (!next) return location.reload();
    if (old.dataset.key && old.dataset.key === next.dataset.key) continue;
    const focused = old.contains(document.activeElement) && document.activeElement.getAttribute("href");
    const part = document.importNode(next, true);
    old.replaceWith(part);
    if (focused) part.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
  }
  document.title = fresh.title;
  document.body.className = fresh.body.className;
  countDown();
}

let refreshing = null;
let again = false;

async function refresh() {
  if (refreshing) { again = true; return; }
  refreshing = (async () => {
    const answer = await fetch(page, { credentials: "same-origin", redirect: "manual" });
    if (answer.type === "opaqueredirect" || answer.status === 401) return location.reload();
    if (answer.ok) takeParts(new DOMParser().parseFromString(await answer.text(), "text/html"));
  })().catch(() => {}).finally(() => {
    refreshing = null;
    if (again) { again = false; refresh(); }
  });
}

function listen() {
  const sign = document.getElementById("live");
  if (!sign || !document.querySelector("[data-live]")) return;
  const changes = new EventSource("/live");
  changes.addEventListener("open", () => {
    sign.hidden = false;
    sign.textContent = "live";
    sign.classList.remove("off");
    // Whatever happened while nobody listened.
    refresh();
  });
  changes.addEventListener("change", refresh);
  changes.addEventListener("error", () => {
    sign.hidden = false;
    sign.textContent = "reconnecting";
    sign.classList.add("off");
    if (changes.readyState === EventSource.CLOSED) setTimeout(refresh, 3000);
  });
}

// A denial without a reason is sent back by the approver; this only saves the way.
document.addEventListener("click", (event) => {
  const button = event.target.closest("#decision button");
  if (!button) return;
  const reason = document.getElementById("reason");
  const missing = button.value === "deny" && !reason.value.trim();
  // On a phone it may be out of sight, where no browser could ask for it.
  const more = document.getElementById("more");
  if (missing && more) more.checked = true;
  reason.setCustomValidity(missing ? "Say in a few words why: whoever waits reads it." : "");
});
document.addEventListener("input", (event) => event.target.setCustomValidity?.(""));

// One click is one decision. After the form's values were taken, so that the button's is among them.
document.addEventListener("submit", (event) => {
  setTimeout(() => {
    for (const button of event.target.querySelectorAll("button")) button.disabled = true;
  });
});
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden && performance.now() - loadedAt > 2000) refresh(); });

countDown();
setInterval(countDown, 1000);
listen();
