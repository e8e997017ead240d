// SPDX-License-Identifier: Apache-2.0
// What somebody has begun goes on: a dialog over the end of the session, an upload over a restart of the host, over
// another page, over a page that was closed.
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { check, confirm, dialog, drop, eventually, gone, logIn, logInAgain, main, open, openPage, picture, step } from "./rig.mjs";

const SIZE = 64 << 20; // bytes
const digest = (path) => createHash("sha256").update(readFileSync(path)).digest("hex");

/** From now on the page sends no more bytes a second. */
async function slow(page, rate) {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: rate });
}

await main(async (host, browser) => {
  let page = await openPage(browser);
  const store = join(host.root, "datastores/datastore1"), partOf = (name) => join(store, `.${name}.partial`);
  const disc = (name) => (writeFileSync(join(host.folder, name), randomBytes(SIZE)), join(host.folder, name));
  const first = disc("first.iso"), second = disc("second.iso"), package_ = join(host.folder, "broken.ova");
  writeFileSync(package_, "no tar archive".repeat(100));
  const uploads = () => page.getByRole("region", { name: "Uploads" });
  const files = async (p = page) => {
    await open(p, host, "host", "datastores");
    await p.getByRole("link", { name: "datastore1" }).click();
    await p.getByRole("table", { name: "Files" }).or(p.getByText("This folder is empty")).waitFor();
  };

  await step("a session ends under a dialog, whose fields are still there after the log-in", async () => {
    await logIn(page, host);
    await page.getByRole("region", { name: "Capacity" }).waitFor();
    await page.getByRole("button", { name: "Create VM" }).first().click();
    await dialog(page).getByLabel("Name", { exact: true }).fill("half made");
    await page.context().clearCookies();
    await confirm(page, "Create");
    await page.getByText("Your session has ended").waitFor();
    for (let i = 0; i < 3; i++) await page.keyboard.press("Escape"); // which is no way around it
    await picture(page, "session-ended");
    await logInAgain(page);
    await page.getByText("Your session has ended").waitFor({ state: "detached" });
    check((await dialog(page).getByLabel("Name", { exact: true }).inputValue()) === "half made", "the name is lost");
    await confirm(page, "Create");
    await gone(page);
    await page.getByRole("heading", { name: "half made" }).waitFor();
    page.complaints = []; // the refused request itself
  });
  await step("a file that is dropped beside everything does not replace the page", async () => {
    await drop(page, [first]);
    await page.waitForTimeout(300);
    await page.getByRole("heading", { name: "half made" }).waitFor();
    await open(page, host, "host", "vms");
    await page.getByRole("heading", { name: "Virtual machines" }).waitFor();
    await drop(page, [first]);
    await page.getByText("Nothing was imported").waitFor();
  });
  await step("a package that is dropped on the list of VMs is imported", async () => {
    await drop(page, [package_]);
    await dialog(page).getByText("broken.ova").waitFor();
    await confirm(page, "Next");
    await dialog(page).getByText("no tar archive").waitFor(); // and that it is none is said
    await dialog(page).getByRole("button", { name: "Cancel" }).click();
  });
  await step("an upload goes on while other pages are looked at", async () => {
    await files();
    await slow(page, 8 << 20);
    await drop(page, [first], { y: 700 });
    await uploads().getByText("first.iso").waitFor();
    await page.getByRole("link", { name: "Virtual machines" }).click();
    await eventually(() => existsSync(partOf("first.iso")) && statSync(partOf("first.iso")).size > SIZE / 6, "nothing comes");
  });
  await step("the host restarts under it, and after the log-in it goes on by itself where it was", async () => {
    await host.stop();
    await uploads().getByText("The host does not answer").waitFor();
    const had = statSync(partOf("first.iso")).size;
    await host.start();
    await logInAgain(page);
    await eventually(() => existsSync(join(store, "first.iso")), "it does not arrive", 60);
    check(digest(join(store, "first.iso")) === digest(first), "another content");
    check(had > 0, "there was nothing to go on with");
    page.complaints = []; // requests that the host was not there for
  });
  await step("its line goes some seconds after it has arrived", () => uploads().waitFor({ state: "detached" }));
  await step("the page asks before it is closed over an upload", async () => {
    await files();
    await slow(page, 1 << 20);
    await drop(page, [second]);
    await eventually(() => existsSync(partOf("second.iso")) && statSync(partOf("second.iso")).size > SIZE / 16, "nothing comes");
    const asked = page.waitForEvent("dialog");
    const closing = page.close({ runBeforeUnload: true });
    const question = await asked;
    check(question.type() === "beforeunload", question.type());
    await Promise.all([question.accept(), closing, page.waitForEvent("close")]);
  });
  await step("whoever comes back and gives the same file again sends the rest alone", async () => {
    const again = await page.context().newPage();
    again.complaints = [];
    page = again;
    page.setDefaultTimeout(30_000);
    const ranges = [];
    page.on("request", (r) => r.method() === "PUT" && ranges.push(r.headers()["content-range"]));
    await page.goto(`${host.url}/ui/`);
    await files();
    const had = statSync(partOf("second.iso")).size;
    await drop(page, [second]);
    await eventually(() => existsSync(join(store, "second.iso")), "it does not arrive", 60);
    check(digest(join(store, "second.iso")) === digest(second), "another content");
    check(ranges[0] === `bytes */${SIZE}` && Number(/^bytes (\d+)-/.exec(ranges[1])?.[1]) === had, ranges.join("; "));
  });
  await step("a file that is there is replaced only when that is wanted", async () => {
    await page.getByRole("table", { name: "Files" }).getByRole("link", { name: "first.iso" }).waitFor();
    const before = digest(join(store, "first.iso"));
    writeFileSync(first, "a smaller one");
    await drop(page, [first]);
    check((await dialog(page).textContent()).includes("is lost"), "it does not say what is lost");
    await dialog(page).getByRole("button", { name: "Cancel" }).click();
    check(digest(join(store, "first.iso")) === before, "it was replaced");
    await drop(page, [first]);
    await confirm(page, "Replace");
    await eventually(() => readFileSync(join(store, "first.iso"), "utf8") === "a smaller one", "it was not replaced");
  });
  await step("a CD image is dropped on the wizard", async () => {
    await open(page, host, "host", "vms");
    await page.getByRole("button", { name: "Create VM" }).first().click();
    const third = disc("third.iso");
    await drop(page, [third], { x: 600, y: 400 });
    await dialog(page).getByRole("button", { name: /third\.iso/, pressed: true }).waitFor();
    await picture(page, "chooser-drop");
    await confirm(page, "Choose");
    check((await dialog(page).getByLabel("CD image", { exact: true }).inputValue()) === "[datastore1] third.iso", "another image");
    await dialog(page).getByRole("button", { name: "Cancel" }).click();
  });
  await step("a wrong password does not lose it either", async () => {
    await page.getByRole("button", { name: "Create VM" }).first().click();
    await page.context().clearCookies();
    await dialog(page).getByLabel("Name", { exact: true }).fill("mine");
    await confirm(page, "Create");
    await page.getByText("Your session has ended").waitFor();
    await page.getByLabel("User name").fill("nobody");
    await page.getByLabel("Password", { exact: true }).fill("wrong");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByText("User name or password is wrong.").waitFor();
    await page.getByLabel("User name").fill("root");
    await page.getByLabel("Password", { exact: true }).fill("correct horse battery");
    await page.getByRole("button", { name: "Log in" }).click();
    await dialog(page).getByRole("button", { name: "Cancel" }).click();
    page.complaints = [];
  });
  await step("the browser had nothing to complain about", () => check(!page.complaints.length, page.complaints.join("\n")));
});
