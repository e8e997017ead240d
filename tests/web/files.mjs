// SPDX-License-Identifier: Apache-2.0
// The datastore's browser: folders, uploads by button and by drop, downloads, copies, deletion.
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { check, confirm, dialog, eventually, logIn, main, openPage, picture, step } from "./rig.mjs";

const digest = (data) => createHash("sha256").update(data).digest("hex");
const file = (page, name) => page.getByRole("table", { name: "Files" }).getByRole("row").filter({ has: page.getByRole("link", { name, exact: true }) });

async function act(page, name, action) {
  await file(page, name).getByLabel("Select").check();
  await page.getByRole("button", { name: "Actions", exact: true }).click();
  await page.getByRole("menuitem", { name: action }).click();
}

await main(async (host, browser) => {
  const page = await openPage(browser);
  const iso = join(host.folder, "small disc.iso"), data = randomBytes(3 << 20);
  const onHost = (path) => join(host.root, "datastores/datastore1", path);
  writeFileSync(iso, data);

  await step("the list of datastores leads to the files", async () => {
    await logIn(page, host);
    await page.getByRole("link", { name: "Storage" }).click();
    await page.getByRole("main").getByRole("link", { name: "datastore1" }).click();
    await page.getByText("This folder is empty").waitFor();
  });
  await step("a folder is made and opened", async () => {
    await page.getByRole("button", { name: "New folder" }).click();
    await dialog(page).getByLabel("Name").fill("iso & more");
    await confirm(page, "Create");
    await page.getByRole("link", { name: "iso & more" }).click();
    await page.getByText("This folder is empty").waitFor();
  });
  await step("a file is uploaded, byte for byte", async () => {
    const chooser = page.waitForEvent("filechooser");
    await page.getByRole("button", { name: "Upload" }).click();
    await (await chooser).setFiles(iso);
    await file(page, "small disc.iso").waitFor();
    check(digest(readFileSync(onHost("iso & more/small disc.iso"))) === digest(data), "another content");
    await picture(page, "files");
  });
  await step("a file that is dropped is uploaded", async () => {
    const dropped = await page.evaluateHandle(() => {
      const transfer = new DataTransfer();
      transfer.items.add(new File(["dropped"], "dropped.txt"));
      return transfer;
    });
    await page.locator("main .drop").dispatchEvent("drop", { dataTransfer: dropped });
    await file(page, "dropped.txt").waitFor();
    check(readFileSync(onHost("iso & more/dropped.txt"), "utf8") === "dropped", "another content");
  });
  await step("it comes back as it went", async () => {
    const coming = page.waitForEvent("download");
    await page.getByRole("link", { name: "small disc.iso" }).click();
    check(digest(readFileSync(await (await coming).path())) === digest(data), "another content");
  });
  await step("it is copied and moved", async () => {
    await act(page, "small disc.iso", "Copy");
    await dialog(page).getByLabel("To").fill("[datastore1] iso & more/second.iso");
    await confirm(page, "Copy");
    await file(page, "second.iso").waitFor();
    await file(page, "small disc.iso").getByLabel("Select").uncheck();
    await act(page, "second.iso", "Move or rename");
    await dialog(page).getByLabel("To").fill("[datastore1] third.iso");
    await confirm(page, "Move");
    await file(page, "second.iso").waitFor({ state: "detached" });
    check(statSync(onHost("third.iso")).size === data.length, "another size");
  });
  await step("it is found as the disc of a new virtual machine", async () => {
    await page.goto(`${host.url}/ui/#/host/vms`);
    await page.getByRole("button", { name: "Create VM" }).first().click();
    await dialog(page).getByRole("button", { name: "Browse for CD image" }).click();
    await dialog(page).getByRole("button", { name: "iso & more" }).click();
    await dialog(page).getByRole("button", { name: "small disc.iso" }).click();
    await confirm(page, "Choose");
    await eventually(async () => (await page.locator("dialog[open]").count()) === 1, "the chooser stays");
    check((await dialog(page).getByLabel("CD image", { exact: true }).inputValue()) === "[datastore1] iso & more/small disc.iso", "another file");
    await dialog(page).getByRole("button", { name: "Cancel" }).click();
    await page.goto(`${host.url}/ui/#/host/datastores`);
    await page.getByRole("main").getByRole("link", { name: "datastore1" }).click();
    await page.getByRole("link", { name: "iso & more" }).click();
  });
  await step("one that is not there yet is uploaded where it is chosen", async () => {
    await page.goto(`${host.url}/ui/#/host/vms`);
    await page.getByRole("button", { name: "Create VM" }).first().click();
    await dialog(page).getByRole("button", { name: "Browse for CD image" }).click();
    const chooser = page.waitForEvent("filechooser");
    await dialog(page).getByRole("button", { name: "Upload one of this computer" }).click();
    await (await chooser).setFiles(iso);
    await dialog(page).getByRole("button", { name: "small disc.iso", pressed: true }).waitFor();
    await picture(page, "choose");
    await confirm(page, "Choose");
    await eventually(async () => (await page.locator("dialog[open]").count()) === 1, "the chooser stays");
    check((await dialog(page).getByLabel("CD image", { exact: true }).inputValue()) === "[datastore1] small disc.iso", "another file");
    await dialog(page).getByRole("button", { name: "Cancel" }).click();
    await page.goto(`${host.url}/ui/#/host/datastores`);
    await page.getByRole("main").getByRole("link", { name: "datastore1" }).click();
    await page.getByRole("link", { name: "iso & more" }).click();
  });
  await step("a folder is deleted with what is in it, after a question", async () => {
    await page.getByRole("navigation", { name: "Folder" }).getByRole("link", { name: "datastore1" }).click();
    await file(page, "third.iso").waitFor();
    await act(page, "iso & more", "Delete");
    check((await dialog(page).textContent()).includes("There is no way back"), "it does not say what is lost");
    await confirm(page, "Delete");
    await file(page, "iso & more").waitFor({ state: "detached" });
    await eventually(() => !statSync(onHost("iso & more"), { throwIfNoEntry: false }), "it is still there");
  });
  await step("the browser had nothing to complain about", () => check(!page.complaints.length, page.complaints.join("\n")));
});
