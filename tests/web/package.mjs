// SPDX-License-Identifier: Apache-2.0
// Export and import in the browser: a disk's bytes come back through an OVF and through an OVA.
import { execFileSync } from "node:child_process";
import { openSync, readFileSync, writeSync, closeSync, readdirSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { act, build, check, checkCommand, confirm, dialog, eventually, logIn, main, openPage, picture, row, step } from "./rig.mjs";


/** The bytes of a VM's disk, whatever its format, as the disk tool reads it. */
function diskBytes(host, folder, to) {
  const at = join(host.root, "datastores/datastore1", folder);
  const vmdk = readdirSync(at).find((f) => f.endsWith(".vmdk") && !f.endsWith("-flat.vmdk"));
  execFileSync(`${build}/socle`, ["disk", "convert", join(at, vmdk), to], { stdio: "pipe" });
  return readFileSync(to);
}

async function importFiles(page, host, files, name) {
  await page.goto(`${host.url}/ui/#/host/vms`);
  await page.getByRole("button", { name: "Import" }).click();
  const chooser = page.waitForEvent("filechooser");
  await dialog(page).getByRole("button", { name: "Choose files" }).click();
  await (await chooser).setFiles(files);
  await confirm(page, "Next");
  await dialog(page).getByLabel("Name", { exact: true }).fill(name);
  await picture(page, "import");
  await confirm(page, "Import");
  await dialog(page).waitFor({ state: "detached", timeout: 60_000 });
  await row(page, name).waitFor();
}

await main(async (host, browser) => {
  const page = await openPage(browser);
  const content = randomBytes(300_000), files = [], ova = join(host.folder, "goods.ova");
  let first;

  await step("a virtual machine with something on its disk", async () => {
    await logIn(page, host);
    await page.getByRole("region", { name: "Capacity" }).waitFor();
    await page.getByRole("button", { name: "Create VM" }).first().click();
    await dialog(page).getByLabel("Name", { exact: true }).fill("goods");
    await dialog(page).getByLabel("Disk", { exact: true }).fill("1");
    await dialog(page).getByLabel("Memory", { exact: true }).fill("256");
    await confirm(page, "Create");
    await page.getByRole("heading", { name: "goods" }).waitFor();
    const flat = openSync(join(host.root, "datastores/datastore1/goods/goods-flat.vmdk"), "r+");
    writeSync(flat, content, 0, content.length, 12_345_678);
    closeSync(flat);
    first = diskBytes(host, "goods", join(host.folder, "first.raw"));
    check(first.subarray(12_345_678, 12_345_678 + content.length).equals(content), "the test's own writing failed");
  });
  await step("it is exported: disks, and a descriptor that names them", async () => {
    await page.getByRole("button", { name: "Actions", exact: true }).click();
    await page.getByRole("menuitem", { name: "Export" }).click();
    const take = async (download) => {
      const path = join(host.folder, download.suggestedFilename());
      await download.saveAs(path);
      files.push(path);
    };
    page.on("download", take);
    await dialog(page).getByLabel("As", { exact: true }).selectOption("ovf");
    await confirm(page, "Export");
    await eventually(() => files.some((f) => f.endsWith(".ovf")) && files.some((f) => f.endsWith(".vmdk")), "the files do not come", 60);
    await dialog(page).waitFor({ state: "detached" });
    page.off("download", take);
  });
  await step("it comes back from OVF and disk", async () => {
    await importFiles(page, host, files, "goods-ovf");
    check(diskBytes(host, "goods-ovf", join(host.folder, "ovf.raw")).equals(first), "another content");
  });
  await step("a snapshot is exported as one file, which tar can read", async () => {
    await page.getByRole("main").getByRole("link", { name: "goods", exact: true }).click();
    await page.getByRole("link", { name: "Snapshots" }).click();
    await page.getByRole("button", { name: "Take snapshot" }).click();
    await dialog(page).getByLabel("Name", { exact: true }).fill("kept");
    await checkCommand(page);
    await confirm(page, "Take snapshot");
    await act(page, "Actions of kept", "Export");
    const coming = page.waitForEvent("download");
    await confirm(page, "Export");
    const download = await coming;
    check(download.suggestedFilename() === "goods_kept.ova", download.suggestedFilename());
    await download.saveAs(ova);
    const names = execFileSync("tar", ["-tf", ova], { encoding: "utf8" }).trim().split("\n");
    check(names.length === 2 && names[0].endsWith(".ovf") && names[1].endsWith(".vmdk"), String(names));
  });
  await step("and it comes back from it", async () => {
    await importFiles(page, host, [ova], "goods-ova");
    check(diskBytes(host, "goods-ova", join(host.folder, "ova.raw")).equals(first), "another content");
    await row(page, "goods-ova").getByText("256 MB").waitFor();
  });
  await step("what is no package is refused in words", async () => {
    const bad = join(host.folder, "bad.ova");
    writeFileSync(bad, content);
    await page.getByRole("button", { name: "Import" }).click();
    const chooser = page.waitForEvent("filechooser");
    await dialog(page).getByRole("button", { name: "Choose files" }).click();
    await (await chooser).setFiles([bad]);
    await confirm(page, "Next");
    await dialog(page).getByText("it is no tar archive").waitFor();
    await dialog(page).getByRole("button", { name: "Cancel" }).click();
  });
  await step("the browser had nothing to complain about", () => check(!page.complaints.length, page.complaints.join("\n")));
});
