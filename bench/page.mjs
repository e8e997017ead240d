// SPDX-License-Identifier: Apache-2.0
// How long until somebody can use the page, in Debian's Chromium before a host of its own: the log-in form after the address is
// entered, and the host's page after a reload with a session. Cold (nothing kept) and warm, by HTTP/2 and HTTP/1.1, interleaved;
// beside them a page of one file from the same nginx. Medians, quartiles in brackets; processor time is the browser's for the page.
//   usage: node bench/page.mjs BUILD WEB [ROUNDS]
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Host, PASSWORD } from "../tests/web/rig.mjs";

const web = process.argv[3], rounds = Number(process.argv[4] ?? 9);
const { chromium } = createRequire(join(web, "package.json"))("playwright-core");
const ARGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--ignore-certificate-errors"]; // an exception for the certificate turns caches off

const rows = new Map();
function note(what, values) {
  if (!rows.has(what)) rows.set(what, []);
  rows.get(what).push(values);
}

/** Opens an address; from its start until `ready` is there and the page's thread has time. */
async function load(page, url, ready) {
  const client = await page.context().newCDPSession(page);
  await client.send("Performance.enable");
  let requests = 0, bytes = 0;
  await client.send("Network.enable");
  client.on("Network.requestWillBeSent", () => requests++);
  client.on("Network.loadingFinished", (e) => (bytes += e.encodedDataLength));
  await page.goto("about:blank");
  requests = bytes = 0;
  const busy = async () => (await client.send("Performance.getMetrics")).metrics.find((m) => m.name === "TaskDuration").value * 1000;
  const before = await busy();
  await page.goto(url, { waitUntil: "commit" });
  const ms = await page.evaluate((selector) => new Promise((resolve) => {
    const look = () => (document.querySelector(selector) ? setTimeout(() => resolve(performance.now())) : requestAnimationFrame(look));
    look();
  }), ready);
  const values = [ms, (await busy()) - before, requests, bytes / 1024];
  await client.detach();
  return values;
}

const host = await Host.create();
try {
  writeFileSync(join(host.root, "run/web/plain.html"), `<!doctype html><meta charset="utf-8"><title>plain</title><p id="it">${"A page. ".repeat(40)}</p>`, { mode: 0o644 });
  for (let round = 0; round < rounds; round++)
    for (const [way, more] of [["HTTP/2", []], ["HTTP/1.1", ["--disable-http2"]]]) {
      const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: [...ARGS, ...more] });
      const context = await browser.newContext({ viewport: { width: 1280, height: 800 } }), page = await context.newPage();
      page.setDefaultTimeout(60_000);
      await page.goto(`${host.url}/ui/none`).catch(() => {}); // the browser itself has done its work, and the connection is made
      note(`one file, ${way}`, await load(page, `${host.url}/ui/plain.html`, "#it"));
      note(`log-in form, cold, ${way}`, await load(page, `${host.url}/ui/`, "input[type=password]"));
      note(`log-in form, warm, ${way}`, await load(page, `${host.url}/ui/`, "input[type=password]"));
      await page.getByLabel("User name").fill("root");
      await page.getByLabel("Password").fill(PASSWORD);
      await page.getByRole("button", { name: "Log in" }).click();
      await page.getByRole("region", { name: "Capacity" }).waitFor();
      note(`host's page, warm, ${way}`, await load(page, `${host.url}/ui/`, "section[aria-label=Capacity] .gauges"));
      await browser.close();
    }
} finally {
  await host.destroy();
}

const at = (sorted, part) => sorted[Math.round((sorted.length - 1) * part)];
console.log(`${"".padEnd(30)}${"ms".padStart(18)}${"busy ms".padStart(10)}${"requests".padStart(10)}${"KiB".padStart(8)}`);
for (const [what, all] of [...rows].sort()) {
  const column = (i) => all.map((v) => v[i]).sort((a, b) => a - b);
  const ms = column(0), mid = (i) => at(column(i), 0.5);
  console.log(`${what.padEnd(30)}${`${mid(0).toFixed(0)} (${at(ms, 0.25).toFixed(0)}-${at(ms, 0.75).toFixed(0)})`.padStart(18)}${mid(1).toFixed(0).padStart(10)}${mid(2).toFixed(0).padStart(10)}${mid(3).toFixed(0).padStart(8)}`);
}
