// SPDX-License-Identifier: Apache-2.0
// The console in the page: the firmware's screen is seen, keys that are typed change it, the serial port answers.
import { readFileSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { act, check, confirm, createVm, dialog, eventually, gone, logIn, main, openPage, picture, step, web } from "./rig.mjs";

/** Clears the screen and shows what is typed, on a US keyboard; its BIOS writes the same to COM1. tests/lab/screen.py has the source. */
const ECHO = Buffer.from("b80300cd10b83e0e31dbcd1030e4cd16b40e31dbcd10ebf4".padEnd(1020, "0") + "55aa", "hex");

/** A CD that boots `code`: El Torito, no emulation, sectors of 2048. Nothing else is on it. */
function disc(code) {
  const image = Buffer.alloc(1 << 20), record = 17 * 2048, catalogue = 18 * 2048;
  image.write("\0CD001\x01EL TORITO SPECIFICATION", record, "latin1");
  image.writeUInt32LE(18, record + 0x47);
  image.writeUInt8(1, catalogue); // validation: the words of its 32 bytes add up to 0
  image.writeUInt16LE(0xaa55, catalogue + 0x1e);
  image.writeUInt16LE(0x10000 - 0xaa55 - 1, catalogue + 0x1c);
  image.writeUInt8(0x88, catalogue + 0x20);
  image.writeUInt16LE(4, catalogue + 0x26);
  image.writeUInt32LE(19, catalogue + 0x28);
  code.copy(image, 19 * 2048);
  return image;
}

/** How many pixels of noVNC's canvas are lit, and a digest of them. */
const look = (page) =>
  page.evaluate(() => {
    const canvas = document.querySelector(".screen canvas");
    if (!canvas?.width) return { lit: 0, sum: 0 };
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let lit = 0, sum = 0;
    for (let i = 0; i < data.length; i += 4)
      if (data[i] + data[i + 1] + data[i + 2] > 96) (lit++, (sum = (sum * 31 + i) | 0));
    return { lit, sum, width: canvas.width, height: canvas.height };
  });

const console_ = (page) => page.getByRole("link", { name: "Console", exact: true }).first().click();
/** In the place of the picture, besides the page's own. */
const stopped = (page) => page.locator(".pf-v6-c-empty-state").getByRole("button", { name: "Power on" });
const connected = (page) => page.getByText("Connected", { exact: true }).waitFor();
const serialText = (page) => page.locator(".xterm-rows").innerText().then((t) => t.replaceAll("\u00a0", " "));

const ownWindow = (page) =>
  Promise.all([page.context().waitForEvent("page"), page.getByRole("link", { name: "Own window" }).click()]).then(([own]) => own);

/** Until the picture has been the same for a while. */
async function settle(page) {
  let last = {};
  await eventually(async () => {
    const now = await look(page), same = now.sum === last.sum && now.lit > 0;
    last = now;
    await page.waitForTimeout(700);
    return same;
  }, "the picture changes all the time");
}

async function typeText(page, text, layout) {
  await page.getByRole("button", { name: "Type text" }).click();
  await dialog(page).getByLabel("Text", { exact: true }).fill(text);
  await dialog(page).getByLabel("Keyboard layout").selectOption(layout);
  await dialog(page).getByLabel("Slowly").check();
  await picture(page, "type");
  await confirm(page, "Type");
  await page.getByText(/keys typed/).waitFor({ state: "detached" });
}

/** Programs that show a screen of this host's VMs: an ancestor of theirs, the keeper, works in the host's folder. */
function screens(host) {
  const of = (pid, name) => new RegExp(`^${name}:\\s+(.*)$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1];
  const ours = (pid) => {
    for (; pid > 1; pid = Number(of(pid, "PPid"))) if (readlinkSync(`/proc/${pid}/cwd`) === host.root) return true;
    return false;
  };
  return readdirSync("/proc").filter((p) => /^\d+$/.test(p)).map(Number).filter((pid) => {
    try {
      return of(pid, "Name") === "socle-rfb" && ours(pid);
    } catch {
      return false; // it has ended meanwhile
    }
  });
}

/** The client's own module, as it is built. */
async function keyboards() {
  const { build } = createRequire(join(web, "package.json"))("esbuild");
  const { outputFiles } = await build({ entryPoints: [join(web, "src/console/keyboards.ts")], bundle: true, format: "esm", write: false });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}

await main(async (host, browser) => {
  const page = await openPage(browser);
  let id;

  await step("layouts know where characters are", async () => {
    const { layouts, strokes } = await keyboards();
    const way = (layout, text) => strokes(layouts[layout], text).strokes.map((s) => `${s.altgr ? "AltGr-" : ""}${s.shift ? "Shift-" : ""}${s.code}`).join(" ");
    for (const [layout, text, want] of [
      ["us", "aZ|\t\n", "KeyA Shift-KeyZ Shift-Backslash Tab Enter"], ["us", "1\r\n~", "Digit1 Enter Shift-Backquote"],
      ["de", "zY@{ß", "KeyY Shift-KeyZ AltGr-KeyQ AltGr-Digit7 Minus"], ["de", "^ é", "Backquote Space Space Equal KeyE"],
      ["fr", "a1.q@", "KeyQ Shift-Digit1 Shift-Comma KeyA AltGr-Digit0"], ["gb", '"@#', "Shift-Digit2 Shift-Quote Backslash"],
      ["es", "ñ~", "Semicolon AltGr-Digit4"], ["br", "ç/", "Semicolon AltGr-KeyQ"]])
      check(way(layout, text) === want, `${layout} ${text}: ${way(layout, text)}`);
    check(strokes(layouts.us, "aλ€b").missing.join("") === "λ€", "what is missing");
    for (const layout of Object.values(layouts)) // whatever a shell needs
      for (let c = 0x20; c < 0x7f; c++)
        check(!strokes(layout, String.fromCharCode(c)).missing.length, `${layout.name} has no ${String.fromCharCode(c)}`);
  });
  await step("a virtual machine with nothing to boot is started", async () => {
    await logIn(page, host);
    await page.getByRole("region", { name: "Capacity" }).waitFor();
    id = await createVm(page, host, "screen", { disk: "0", start: true });
  });
  await step("its summary has a picture of the screen", async () => {
    const image = page.getByRole("img", { name: "The screen" });
    await image.waitFor();
    await eventually(() => image.evaluate((i) => i.complete && i.naturalWidth > 0), "no picture came");
  });
  await step("the console shows what the firmware writes", async () => {
    await console_(page);
    await connected(page);
    await eventually(async () => (await look(page)).lit > 500, "the screen stays dark", 40);
    await picture(page, "console");
  });
  await step("Ctrl-Alt-Del starts the firmware again, and the screen changes", async () => {
    const before = await look(page);
    await page.getByRole("button", { name: "Ctrl-Alt-Del" }).click();
    await eventually(async () => (await look(page)).sum !== before.sum, "the screen stays as it is", 40);
  });
  await step("its size fits the window or is what it is", async () => {
    const width = () => page.locator(".screen canvas").evaluate((c) => [c.width, Math.round(c.getBoundingClientRect().width)]);
    await page.getByLabel("Size").selectOption("whole");
    await eventually(async () => (([is, shown]) => is === shown)(await width()), "it is not shown as it is");
    await page.setViewportSize({ width: 700, height: 800 });
    check((([is, shown]) => is === shown)(await width()), "it has shrunk");
    await page.getByLabel("Size").selectOption("fit");
    await eventually(async () => (([is, shown]) => is > shown)(await width()), "it does not fit");
    await page.setViewportSize({ width: 1280, height: 800 });
  });
  await step("whoever only looks changes nothing", async () => {
    await page.getByLabel("View only").check();
    check((await page.getByRole("button", { name: "Ctrl-Alt-Del" }).getAttribute("aria-disabled")) === "true", "it can be pressed");
    await page.getByLabel("View only").uncheck();
  });
  await step("when the program that shows the screen ends, it comes again", async () => {
    const pids = screens(host);
    check(pids.length === 1, `${pids.length} of them`);
    process.kill(pids[0], "SIGKILL");
    await page.getByText("connecting again").waitFor();
    await connected(page);
    await eventually(async () => (await look(page)).lit > 500, "the screen stays dark", 40);
  });
  await step("a window of its own shows the same", async () => {
    const own = await ownWindow(page);
    await connected(own);
    await eventually(async () => (await look(own)).lit > 500, "the screen stays dark", 40);
    check((await own.title()).startsWith("screen"), await own.title());
    await own.close();
  });
  await step("the serial port is a terminal", async () => {
    await page.getByRole("radio", { name: "Serial port" }).check();
    await page.locator(".terminal-place .xterm").waitFor();
    await page.waitForTimeout(500);
    check(await page.getByText("Connected", { exact: true }).isVisible(), "it was disconnected");
  });
  await step("a ticket opens once", async () => {
    const twice = await page.evaluate(async (id) => {
      const answer = await fetch(`/sdk/vim25/8.0.3.0/VirtualMachine/${id}/AcquireTicket`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ticketType: "webmks" }) });
      const url = `wss://${location.host}/ticket/${(await answer.json()).ticket}`;
      const attempt = () => new Promise((r) => { const s = new WebSocket(url, ["binary"]); s.onopen = () => (s.close(), r(true)); s.onerror = () => r(false); });
      return [await attempt(), await attempt()];
    }, id);
    check(twice[0] && !twice[1], String(twice));
    page.complaints = []; // the refused one
  });
  await step("a console that is open outlives the session that opened it", async () => {
    const other = await openPage(browser);
    await logIn(other, host);
    await other.getByRole("region", { name: "Capacity" }).waitFor();
    const [banner, answer] = await other.evaluate(async (id) => {
      const call = (path, body) => fetch(`/sdk/vim25/8.0.3.0/${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
      const { ticket } = await (await call(`VirtualMachine/${id}/AcquireTicket`, { ticketType: "webmks" })).json();
      const socket = new WebSocket(`wss://${location.host}/ticket/${ticket}`, ["binary"]);
      const next = () => new Promise((r) => ((socket.onmessage = async (m) => r(await m.data.text())), (socket.onclose = () => r("closed")), setTimeout(r, 10_000, "nothing")));
      const banner = await next();
      const out = await call("SessionManager/ha-sessionmgr/Logout", {});
      await new Promise((r) => setTimeout(r, 1000));
      const types = next();
      socket.send(banner);
      return [banner, out.ok && (await types)];
    }, id);
    check(banner === "RFB 003.008\n" && answer === "\x01\x01", `${banner} ${JSON.stringify(answer)}`);
    await other.context().close();
  });
  await step("powered off, the console says so", async () => {
    await page.getByRole("radio", { name: "Screen" }).check();
    await page.getByRole("button", { name: "Power off" }).click();
    await dialog(page).getByRole("button", { name: "Power off" }).click();
    await page.getByText("there is nothing on its screen").waitFor();
  });
  await step("text is typed as the guest's layout needs it", async () => {
    writeFileSync(join(host.root, "datastores/datastore1/echo.iso"), disc(ECHO));
    await createVm(page, host, "echo", { disk: "0", iso: "[datastore1] echo.iso", start: true });
    await console_(page);
    await page.getByRole("radio", { name: "Serial port" }).check();
    await connected(page);
    await eventually(async () => (await serialText(page)).trim().endsWith(">"), "the guest does not begin", 40);
    let seen = ">";
    for (const [text, layout, means] of [['a "{X}|~\\\\_^`', "us", 'a "{X}|~\\\\_^`'], ["zy-", "de", "yz/"]]) { // a BIOS keeps 15 keys for its programs
      await page.getByRole("radio", { name: "Screen" }).check();
      await connected(page);
      await typeText(page, text, layout);
      await page.getByRole("radio", { name: "Serial port" }).check();
      await connected(page);
      seen += means;
      await eventually(async () => (await serialText(page)).includes(seen), `it is not ${seen}`, 40).catch(async (e) => { throw new Error(`${e.message} but ${await serialText(page)}`); });
    }
    await picture(page, "serial");
  });
  await step("the serial port is there again after a power cycle", async () => {
    await page.getByRole("button", { name: "Power off" }).click();
    await confirm(page, "Power off");
    await page.getByText("its serial port is silent").waitFor();
    await stopped(page).click();
    await connected(page);
    await eventually(async () => (await serialText(page)).trim().endsWith(">"), "it is silent", 40);
  });
  await step("suspended, it says so; then it goes on with the same picture", async () => {
    await page.getByRole("radio", { name: "Screen" }).check();
    await connected(page);
    await page.locator(".screen canvas").click();
    await settle(page);
    const before = await look(page);
    await page.keyboard.type("ab", { delay: 50 });
    await eventually(async () => (await look(page)).sum !== before.sum, "it does not take keys");
    await settle(page);
    const typed = await look(page);
    await act(page, "Actions", "Suspend");
    await page.getByText("It is suspended").waitFor();
    await stopped(page).click();
    await connected(page);
    await eventually(async () => (await look(page)).sum === typed.sum, "it is another picture");
  });
  await step("a snapshot that is gone back to is what both viewers see", async () => {
    const own = await ownWindow(page);
    await connected(own);
    await settle(own);
    const before = await look(own);
    await act(page, "Actions", "Take snapshot");
    await dialog(page).getByLabel("Name").fill("typed");
    await dialog(page).getByLabel("Include the memory").check();
    await confirm(page, "Take snapshot");
    await gone(page);
    await page.getByRole("link", { name: "Snapshots" }).click();
    await page.getByRole("button", { name: "Revert" }).waitFor();
    await own.locator(".screen canvas").click();
    await own.keyboard.type("cd", { delay: 50 });
    await eventually(async () => (await look(own)).sum !== before.sum, "it does not take keys");
    await page.getByRole("button", { name: "Revert" }).click();
    await confirm(page, "Revert");
    await eventually(async () => (await look(own)).sum === before.sum, "it is not the snapshot's picture");
    await console_(page);
    await connected(page);
    await eventually(async () => (await look(page)).sum === before.sum, "the page shows something else");
    await own.close();
  });
  await step("in full screen, keys go to the guest", async () => {
    const before = await look(page);
    await page.getByRole("button", { name: "Full screen" }).click();
    await eventually(() => page.evaluate(() => document.fullscreenElement?.className === "screen"), "it is not");
    await page.waitForTimeout(300);
    await page.keyboard.type("e");
    await eventually(async () => (await look(page)).sum !== before.sum, "they do not");
    await page.evaluate(() => document.exitFullscreen());
  });
  await step("the serial port has a window of its own, which starts the machine, and ends with it", async () => {
    await page.getByRole("radio", { name: "Serial port" }).check();
    await connected(page);
    const own = await ownWindow(page);
    await connected(own);
    check((await own.title()).startsWith("echo (serial port)"), await own.title());
    await page.getByRole("button", { name: "Power off" }).click();
    await confirm(page, "Power off");
    await own.getByRole("button", { name: "Power on" }).click();
    await connected(own);
    await eventually(async () => (await serialText(own)).trim().endsWith(">"), "it is silent", 40);
    await page.getByRole("button", { name: "Power off" }).click();
    await confirm(page, "Power off");
    await own.getByText("its serial port is silent").waitFor();
    await act(page, "Actions", "Delete");
    await confirm(page, "Delete");
    await own.getByText("This virtual machine is gone").waitFor();
    await own.close();
  });
  await step("the browser had nothing to complain about", () => check(!page.complaints.length, page.complaints.join("\n")));
});
