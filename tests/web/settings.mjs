// SPDX-License-Identifier: Apache-2.0
// Edit settings in detail: what is typed is what the API says afterwards; what can not be changed says why.
import { act, api, check, checkAccess, checkCommand, confirm, createVm, dialog, gone, logIn, main, openPage, picture, step } from "./rig.mjs";

await main(async (host, browser) => {
  const page = await openPage(browser);
  let id;
  const config = () => api(page, "VirtualMachine", id, "config");
  const edit = () => act(page, "Actions", "Edit settings");
  const tab = (name) => dialog(page).getByRole("tab", { name }).click();
  const field = (name) => dialog(page).getByLabel(name, { exact: true });

  await step("a virtual machine", async () => {
    await logIn(page, host);
    await page.getByRole("region", { name: "Capacity" }).waitFor();
    id = await createVm(page, host, "parts", { disk: "1" });
  });
  await step("nothing changed is nothing to save", async () => {
    await edit();
    check(await dialog(page).getByRole("button", { name: "Save" }).getAttribute("aria-disabled"), "it can be saved");
    await checkAccess(page, "edit");
  });
  await step("processors, a disk with another mode, a second controller with a disk, a card with an address of one's own", async () => {
    await field("CPUs").fill("4");
    await field("Cores per socket").fill("3");
    await dialog(page).getByText("must divide the number of CPUs").first().waitFor();
    await field("Cores per socket").fill("2");
    await dialog(page).getByText("2 sockets").waitFor();
    await checkCommandHidden();
    await dialog(page).getByRole("button", { name: "More of Hard disk 1" }).click();
    await field("Mode").selectOption("independent_persistent");
    await dialog(page).getByRole("button", { name: "Add a controller" }).click();
    await dialog(page).getByRole("button", { name: "Add a disk" }).click();
    await field("New disk").fill("0.5");
    await dialog(page).getByRole("button", { name: "More of New disk" }).click();
    await field("Controller").selectOption({ label: "New SCSI controller" });
    await dialog(page).getByRole("button", { name: "Add a network card" }).click();
    await dialog(page).getByRole("button", { name: "More of New network card" }).click();
    await field("Adapter type").last().selectOption("VirtualE1000e");
    await field("MAC address").last().selectOption("manual");
    await field("Address").last().fill("00:50:56:00:00:0g");
    await dialog(page).getByText("a MAC address such as").first().waitFor();
    await field("Address").last().fill("00:50:56:00:00:0a");
    await dialog(page).getByRole("button", { name: "Add a CD drive" }).click();
    await dialog(page).getByRole("button", { name: "Add a serial port" }).click();
    await field("New serial port").selectOption("file");
    await field("File").fill("[datastore1] parts/serial.txt");
    await picture(page, "edit-hardware");
    await confirm(page, "Save");
    await gone(page);
    const { hardware } = await config();
    const of = (type) => hardware.device.filter((d) => d._typeName === type);
    check(hardware.numCPU === 4 && hardware.numCoresPerSocket === 2, "processors");
    check(of("VirtualDisk")[0].backing.diskMode === "independent_persistent", "the mode");
    check(of("VirtualDisk")[1].capacityInKB === 512 * 1024 && of("VirtualDisk")[1].controllerKey === 1001, "the second disk");
    check(of("VirtualE1000e")[0]?.macAddress === "00:50:56:00:00:0a", "the card");
    check(of("VirtualCdrom").length === 1, "the CD drive");
    check(of("VirtualSerialPort")[0]?.backing.fileName === "[datastore1] parts/serial.txt", "the serial port");
  });
  async function checkCommandHidden() {
    await dialog(page).getByRole("button", { name: "As a command" }).click();
    check((await dialog(page).locator("pre").allTextContents()).every((t) => !t.startsWith("socle")), "socle can not set cores");
    await dialog(page).getByRole("button", { name: "As a command" }).click();
  }
  await step("reservations, shares, boot order, a line of the .vmx", async () => {
    await edit();
    await tab("Resources");
    await field("CPU reservation").fill("500");
    await field("CPU limit").fill("400");
    await dialog(page).getByText("the limit is below the reservation").first().waitFor();
    await field("CPU limit").fill("");
    await field("Memory shares").selectOption("high");
    await tab("Options");
    await dialog(page).getByRole("button", { name: "CD drives earlier" }).click();
    await dialog(page).getByRole("button", { name: "CD drives earlier" }).click();
    await field("Wait before the start").fill("2000");
    await picture(page, "edit-options");
    await tab("Advanced");
    await dialog(page).getByRole("button", { name: "Add a parameter" }).click();
    await field("Name").last().fill("guestinfo.colour");
    await dialog(page).getByLabel("Value of guestinfo.colour").fill("blue & <b>green</b>");
    await picture(page, "edit-advanced");
    await confirm(page, "Save");
    await gone(page);
    const c = await config();
    check(c.cpuAllocation.reservation === 500 && c.cpuAllocation.limit === -1, "the reservation");
    check(c.memoryAllocation.shares.level === "high", "the shares");
    check(c.bootOptions.bootOrder[0]._typeName === "VirtualMachineBootOptionsBootableCdromDevice" && c.bootOptions.bootDelay === 2000, "the order");
    check(c.extraConfig.some((o) => o.key === "guestinfo.colour" && o.value._value === "blue & <b>green</b>"), "the parameter");
  });
  await step("what socle can set, it shows, and it is a command", async () => {
    await edit();
    await field("CPUs").fill("2");
    await tab("Advanced");
    await dialog(page).getByRole("button", { name: "Remove guestinfo.colour" }).click();
    await checkCommand(page);
    await confirm(page, "Save");
    await gone(page);
    check(!(await config()).extraConfig.some((o) => o.key === "guestinfo.colour"), "the parameter is still there");
  });
  await step("a disk goes, with its file when that is wished", async () => {
    await edit();
    await dialog(page).getByRole("button", { name: "Remove Hard disk 2" }).click();
    await dialog(page).getByLabel("Delete its file as well").check();
    await dialog(page).getByRole("button", { name: "Remove Serial port 1" }).click();
    await confirm(page, "Save");
    await gone(page);
    check((await config()).hardware.device.filter((d) => d._typeName === "VirtualDisk").length === 1, "it is still there");
  });
  await step("its compatibility can not go further, and says so", async () => {
    await page.getByRole("button", { name: "Actions", exact: true }).click();
    check((await page.getByRole("menuitem", { name: /^Upgrade/ }).textContent()).includes("newest version"), "no reason");
    await page.keyboard.press("Escape");
  });
  await step("while it runs, what is fixed says why", async () => {
    await page.getByRole("button", { name: "Power on" }).click();
    await page.locator(".page-head").getByText("Powered on").waitFor();
    await edit();
    check((await field("CPUs").getAttribute("readonly")) !== null, "CPUs can be typed");
    await dialog(page).getByText("It runs: power it off first.").first().waitFor();
    await field("Connected").first().uncheck();
    await picture(page, "edit-running");
    await confirm(page, "Save");
    await gone(page);
    check((await config()).hardware.device.some((d) => d.connectable && !d.connectable.connected), "nothing was disconnected");
  });
  await step("the browser had nothing to complain about", () => check(!page.complaints.length, page.complaints.join("\n")));
});
