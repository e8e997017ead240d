// SPDX-License-Identifier: Apache-2.0
// The host's own pages: hardware, maintenance mode, what is not to be done in hosted mode, datastores, firewall.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { act, api, check, checkCommand, confirm, createVm, dialog, eventually, gone, logIn, main, open, openPage, picture, step } from "./rig.mjs";

await main(async (host, browser) => {
  const page = await openPage(browser);

  await step("the hardware of the host is what Linux says", async () => {
    await logIn(page, host);
    await page.getByRole("region", { name: "Capacity" }).waitFor();
    await open(page, host, "host", "manage", "hardware");
    const { cpuInfo, pciDevice, numaInfo } = await api(page, "HostSystem", "ha-host", "hardware");
    await page.getByRole("region", { name: "Processors" }).getByText(String(cpuInfo.numCpuThreads), { exact: true }).first().waitFor();
    await eventually(async () => (await page.getByRole("table", { name: "PCI devices" }).getByRole("row").count()) === 1 + Math.min(100, pciDevice.length), "other PCI devices");
    check((await page.getByRole("table", { name: "NUMA nodes" }).getByRole("row").count()) === 1 + numaInfo.numNodes, "other nodes");
    await picture(page, "hardware-host");
  });
  await step("what belongs to the machine is grey and says why", async () => {
    await open(page, host, "host");
    await page.getByRole("button", { name: "Actions", exact: true }).click();
    for (const name of [/^Restart/, /^Shut down/]) check((await page.getByRole("menuitem", { name }).textContent()).includes("In hosted mode"), "no reason");
    await picture(page, "host-actions");
    await page.keyboard.press("Escape");
    await open(page, host, "host", "manage", "time");
    await page.getByText("The same time").waitFor();
    check((await page.getByRole("button", { name: "Time servers" }).getAttribute("title")).includes("In hosted mode"), "no reason");
  });
  await step("maintenance mode waits for the last VM, can be cancelled, is entered and left", async () => {
    await createVm(page, host, "last", { start: true });
    await open(page, host, "host");
    await act(page, "Actions", "Enter maintenance mode");
    check((await dialog(page).textContent()).includes("last"), "the running VM is not named");
    await checkCommand(page);
    await confirm(page, "Enter");
    await gone(page);
    await page.getByRole("region", { name: "Recent tasks" }).getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("alert").first().waitFor(); // the cancelled task is told
    await page.getByRole("button", { name: "Close" }).first().click();
    await act(page, "Actions", "Enter maintenance mode");
    await confirm(page, "Enter");
    await page.getByRole("link", { name: "Virtual machines" }).first().click();
    await page.getByRole("main").getByRole("link", { name: "last", exact: true }).click();
    await page.getByRole("button", { name: "Power off" }).click();
    await confirm(page, "Power off");
    await open(page, host, "host");
    await page.getByText("The host is in maintenance mode.").waitFor();
    await picture(page, "maintenance");
    await act(page, "Actions", "Exit maintenance mode");
    await page.getByText("The host is in maintenance mode.").waitFor({ state: "detached" });
  });
  await step("a datastore is made of a folder, gets another name, and goes without its files", async () => {
    const folder = join(host.folder, "elsewhere");
    mkdirSync(folder);
    await open(page, host, "host", "datastores");
    await page.getByRole("button", { name: "New datastore" }).click();
    await dialog(page).getByLabel("Name", { exact: true }).fill("datastore1");
    await dialog(page).getByText("Another datastore has this name.").first().waitFor();
    await dialog(page).getByLabel("Name", { exact: true }).fill("second");
    await dialog(page).getByLabel("Folder on the host").fill(folder);
    await checkCommand(page);
    await confirm(page, "Create");
    await gone(page);
    await act(page, "Actions of second", "Rename");
    await dialog(page).getByLabel("Name", { exact: true }).fill("third");
    await confirm(page, "Rename");
    await gone(page);
    await page.getByRole("main").getByRole("link", { name: "third" }).click();
    await page.getByRole("link", { name: "Details" }).click();
    await page.getByText("Local folder").waitFor();
    await picture(page, "datastore-details");
    await act(page, "Actions", "Remove");
    check((await dialog(page).textContent()).includes("No file is lost"), "it does not say what is lost");
    await confirm(page, "Remove");
    await page.getByRole("main").getByRole("link", { name: "datastore1" }).waitFor();
    check(existsSync(join(folder, ".socle-datastore")) || existsSync(folder), "the folder is gone");
  });
  await step("a datastore with VMs on it stays, and says why", async () => {
    await page.getByRole("button", { name: "Actions of datastore1" }).click();
    check((await page.getByRole("menuitem", { name: /^Remove/ }).textContent()).includes("Virtual machines are on it"), "no reason");
    await page.keyboard.press("Escape");
  });
  await step("a port group has a page of its own, with who is connected", async () => {
    await open(page, host, "host", "networking");
    await page.getByRole("main").getByRole("link", { name: "VM Network" }).click();
    await page.getByRole("table", { name: "Connected virtual machines" }).getByText("last").waitFor();
    await picture(page, "network");
  });
  await step("the firewall does not shut us out by mistake", async () => {
    await open(page, host, "host", "networking", "firewall");
    await page.getByRole("button", { name: /^Edit/ }).first().click();
    await dialog(page).getByLabel("From all addresses").uncheck();
    await dialog(page).getByText("nobody could come in").first().waitFor();
    await dialog(page).getByLabel("Only from").fill("127.0.0.0/8 ::1");
    await checkCommand(page);
    await confirm(page, "Save");
    await gone(page);
    await page.getByRole("cell", { name: "::1, 127.0.0.0/8" }).waitFor();
  });
  await step("each object has its events and tasks", async () => {
    await open(page, host, "host", "vms");
    await page.getByRole("main").getByRole("link", { name: "last", exact: true }).click();
    await page.getByRole("link", { name: "Tasks" }).click();
    await page.getByRole("table", { name: "Tasks" }).getByText("Power off VM").first().waitFor();
    await page.getByRole("link", { name: "Permissions" }).click();
    await page.getByRole("table", { name: "Permissions" }).getByText("root").waitFor();
  });
  await step("the browser had nothing to complain about", () => check(!page.complaints.length, page.complaints.join("\n")));
});
