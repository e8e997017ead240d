// SPDX-License-Identifier: Apache-2.0
// A VM that was copied asks at its start; the answer is given in the page, which everybody sees.
import { cpSync } from "node:fs";
import { join } from "node:path";
import { api, check, confirm, createVm, dialog, gone, logIn, main, open, openPage, picture, step } from "./rig.mjs";

await main(async (host, browser) => {
  const page = await openPage(browser), other = await openPage(browser);
  const files = join(host.root, "datastores/datastore1");
  let before;

  await step("a virtual machine that has run is copied behind the host's back, and registered", async () => {
    await logIn(page, host);
    await page.getByRole("region", { name: "Capacity" }).waitFor();
    const id = await createVm(page, host, "one", { start: true });
    before = (await api(page, "VirtualMachine", id, "config")).uuid;
    await page.getByRole("button", { name: "Power off" }).click();
    await confirm(page, "Power off");
    await page.locator(".page-head").getByText("Powered off").waitFor();
    cpSync(join(files, "one"), join(files, "two"), { recursive: true });
    await open(page, host, "host", "vms");
    await page.getByRole("button", { name: "Register VM" }).click();
    await dialog(page).getByLabel("Configuration file").fill("two/one.vmx");
    await confirm(page, "Register");
    await gone(page);
  });
  await step("it asks whether it was moved or copied", async () => {
    const [copy] = (await api(page, "HostSystem", "ha-host", "vm")).slice(-1);
    await logIn(other, host);
    await other.getByRole("region", { name: "Capacity" }).waitFor();
    for (const p of [page, other]) await open(p, host, "host", "vms", copy.value);
    await page.getByRole("button", { name: "Power on" }).click();
    for (const p of [page, other]) await p.getByRole("region", { name: "Question" }).getByRole("button", { name: /copied/i }).waitFor();
    await page.locator(".page-head").getByText("Has a question").waitFor();
    check((await page.getByRole("button", { name: "Power on" }).count()) === 0, "it can be powered on twice");
    await picture(page, "question");
  });
  await step("answered in one window, it is answered in the other", async () => {
    await page.getByRole("region", { name: "Question" }).getByRole("button", { name: /copied/i }).click();
    await other.getByRole("region", { name: "Question" }).waitFor({ state: "detached" });
    await other.locator(".page-head").getByText("Powered on").waitFor();
    const id = page.url().match(/vms\/(\d+)/)[1];
    check((await api(page, "VirtualMachine", id, "config")).uuid !== before, "it has the other's identity");
  });
  await step("the browser had nothing to complain about", () => check(!page.complaints.length, page.complaints.join("\n")));
});
