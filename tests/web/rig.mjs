// SPDX-License-Identifier: Apache-2.0
// A host in hosted mode and Debian's Chromium before it. Tests are steps in order, each a line of TAP.
import { spawn, spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const [build, web] = process.argv.slice(2);
const { chromium } = createRequire(join(web, "package.json"))("playwright-core");
export const PASSWORD = "correct horse battery";

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

export class Host {
  static async create() {
    const host = new Host();
    host.folder = mkdtempSync(join(tmpdir(), "socle-web-"));
    host.root = join(host.folder, "root");
    host.port = await freePort();
    writeFileSync(join(host.folder, "password"), PASSWORD + "\n", { mode: 0o600 });
    await host.start();
    return host;
  }

  get url() {
    return `https://127.0.0.1:${this.port}`;
  }

  start() {
    this.process = spawn(`${build}/socle`,
      ["up", "--root", this.root, "--listen", `127.0.0.1:${this.port}`, "--password-file", join(this.folder, "password")],
      { stdio: ["ignore", "pipe", "pipe"] });
    return new Promise((resolve, reject) => {
      let text = "";
      const onText = (data) => (text += data).includes("Socle is ready") && resolve();
      this.process.stdout.on("data", onText);
      this.process.stderr.on("data", onText);
      this.process.on("exit", () => reject(new Error(`socle up ended: ${text}`)));
    });
  }

  stop() {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    this.process.kill("SIGTERM");
    return ended;
  }

  async destroy() {
    await this.stop();
    spawnSync(`${build}/socle`, ["down", "--root", this.root, "--vms", "off"]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function openBrowser() {
  return chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
}

/** A page as a person opens it; whatever the browser complains about is remembered. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 }, locale: "en-GB", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.complaints = [];
  page.on("pageerror", (e) => page.complaints.push(e.message));
  page.on("console", (m) => m.type() === "error" && page.complaints.push(`${m.text()} (${m.location().url})`));
  return page;
}

export async function logIn(page, host, name = "root", password = PASSWORD) {
  await page.goto(`${host.url}/ui/`);
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
}

export async function logInAgain(page, name = "root", password = PASSWORD) {
  await page.getByText("Your session has ended").waitFor();
  await page.getByLabel("User name").fill(name);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByLabel("Password", { exact: true }).press("Enter");
}

/* --- what is on a page --- */

export const open = (page, host, ...parts) => page.goto(`${host.url}/ui/#/${parts.join("/")}`);
export const dialog = (page) => page.locator("dialog[open]").last();
export const confirm = (page, button) => dialog(page).getByRole("button", { name: button, exact: true }).click();
/** The dialog has closed; where it has not, its own words are the reason. */
export async function gone(page) {
  await page.locator("dialog[open], dialog[open] [role=alert]").first().waitFor({ state: "detached", timeout: 1000 }).catch(() => {});
  const alert = dialog(page).getByRole("alert");
  await Promise.race([dialog(page).waitFor({ state: "detached" }), alert.waitFor().then(async () => { throw new Error(await alert.textContent()); }, () => {})]);
}
export const row = (page, name) => page.getByRole("main").getByRole("row").filter({ has: page.getByRole("link", { name, exact: true }) });

/** Files of this machine, dragged over the page and dropped as by hand. */
export async function drop(page, files, { x = 700, y = 300 } = {}) {
  const session = await page.context().newCDPSession(page), data = { items: [], files, dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"]) await session.send("Input.dispatchDragEvent", { type, x, y, data });
  await session.detach();
}

/** A property of an object, asked for with the page's session. */
export const api = (page, type, id, property) => page.evaluate(async (path) => (await fetch(`/sdk/vim25/8.0.3.0/${path}`)).json(), `${type}/${id}/${property}`);

/** Makes a VM in the list's dialog; its id. `start`: runs it. */
export async function createVm(page, host, name, { memory = "64", disk = "1", iso, start = false } = {}) {
  await open(page, host, "host", "vms");
  await page.getByRole("button", { name: "Create VM" }).first().click();
  await dialog(page).getByLabel("Name", { exact: true }).fill(name);
  await dialog(page).getByLabel("Memory", { exact: true }).fill(memory);
  await dialog(page).getByLabel("Disk", { exact: true }).fill(disk);
  await dialog(page).getByLabel("Firmware").selectOption("bios");
  if (iso) await dialog(page).getByLabel("CD image", { exact: true }).fill(iso);
  if (start) await dialog(page).getByLabel("Power it on").check();
  await checkCommand(page);
  await confirm(page, "Create");
  await page.getByRole("heading", { name }).waitFor();
  if (start) await page.locator(".page-head").getByText("Powered on").waitFor();
  return page.url().match(/vms\/(\d+)/)[1];
}

/** Of a dialog that is open: the command that it shows is one. `socle` takes it, up to the host that does not answer. */
export async function checkCommand(page) {
  await dialog(page).getByRole("button", { name: "As a command" }).click();
  check((await dialog(page).locator("pre[data-by=request]").textContent()).startsWith("curl "), "no request is shown");
  for (const text of await dialog(page).locator("pre[data-by='socle command']").allTextContents()) {
    const { status, stderr } = spawnSync("sh", ["-c", `${text} --url https://127.0.0.1:1 --insecure --user nobody --password-file /dev/null`],
      { env: { ...process.env, PATH: `${build}:${process.env.PATH}` }, encoding: "utf8" });
    check(status !== null && status !== 2, `${text}: ${stderr}`);
  }
  await dialog(page).getByRole("button", { name: "As a command" }).click();
}

const axe = readFileSync(createRequire(join(web, "package.json")).resolve("axe-core/axe.min.js"), "utf8");

/** What would keep somebody out who does not see the page, or does not see it well. */
export async function checkAccess(page, what) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const serious = found.violations.filter((v) => v.impact === "serious" || v.impact === "critical");
  check(!serious.length, `${what}:\n` + serious.map((v) => `${v.id}: ${v.help}\n` + v.nodes.slice(0, 4).map((n) => `    ${n.html.slice(0, 200)}\n    ${n.any[0]?.message ?? ""}`).join("\n")).join("\n"));
}

/** Does the VM's or row's action from its menu. */
export async function act(page, menu, action) {
  await page.getByRole("button", { name: menu, exact: true }).click();
  await page.getByRole("menuitem", { name: action }).click();
}

/* --- steps --- */

let count = 0, failed = 0, skip = false;

/** One step. After a failed one the others make no sense and are not tried. */
export async function step(name, doing) {
  count++;
  if (skip) return console.log(`not ok ${count} - ${name} # not tried`), void failed++;
  try {
    await doing();
    console.log(`ok ${count} - ${name}`);
  } catch (e) {
    failed++;
    skip = true;
    console.log(`not ok ${count} - ${name}`);
    console.log(String(e?.stack ?? e).replace(/^/gm, "# "));
  }
}

export function check(condition, text) {
  if (!condition) throw new Error(text);
}

/** Waits until it is true. */
export async function eventually(condition, text, seconds = 20) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await new Promise((wake) => setTimeout(wake, 100)))
    if (await condition()) return;
  throw new Error(text);
}

export async function main(steps) {
  const host = await Host.create(), browser = await openBrowser();
  try {
    await steps(host, browser);
  } finally {
    await browser.close();
    await host.destroy();
    console.log(`1..${count}`);
    process.exitCode = failed ? 1 : 0;
  }
}

export function picture(page, name) {
  const folder = process.env.SOCLE_PICTURES;
  if (!folder) return undefined;
  mkdirSync(folder, { recursive: true });
  return page.screenshot({ path: join(folder, `${name}.png`) });
}
