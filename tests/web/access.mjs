// SPDX-License-Identifier: Apache-2.0
// Users, roles and permissions; what somebody sees and may do who is not the administrator; the other settings of
// the host.
import { PASSWORD, act, check, checkCommand, confirm, dialog, eventually, gone, logIn, main, open, openPage, picture, step } from "./rig.mjs";


await main(async (host, browser) => {
  const page = await openPage(browser), guest = await openPage(browser);

  await step("a user is added", async () => {
    await logIn(page, host);
    await page.getByRole("region", { name: "Capacity" }).waitFor();
    await open(page, host, "host", "manage", "users");
    await page.getByRole("button", { name: "Add user" }).click();
    await dialog(page).getByLabel("User name").fill("vera");
    await dialog(page).getByLabel("Password", { exact: true }).fill("green Tea 7 leaves");
    await dialog(page).getByLabel("Once more").fill("green Tea");
    await dialog(page).getByText("The passwords differ.").first().waitFor();
    await dialog(page).getByLabel("Once more").fill("green Tea 7 leaves");
    await checkCommand(page);
    check(!(await dialog(page).textContent()).includes("leaves"), "the password stands in the command");
    await confirm(page, "Add");
    await page.getByRole("cell", { name: "vera" }).first().waitFor();
    await picture(page, "users");
  });
  await step("a role of one's own", async () => {
    await page.getByRole("link", { name: "Roles" }).click();
    await page.getByRole("button", { name: "Add role" }).click();
    await dialog(page).getByLabel("Name", { exact: true }).fill("Switch");
    await dialog(page).getByLabel("Find a privilege").fill("Interact.Power");
    await dialog(page).getByLabel("VirtualMachine.Interact.PowerOn").check();
    await picture(page, "role");
    await checkCommand(page);
    await confirm(page, "Add");
    await page.getByRole("cell", { name: "Switch" }).first().waitFor();
  });
  await step("the user gets it on the whole host", async () => {
    await page.getByRole("link", { name: "Permissions" }).click();
    await page.getByRole("button", { name: "Add permission" }).click();
    await dialog(page).getByLabel("Who").selectOption("vera");
    await dialog(page).getByLabel("Role").selectOption({ label: "Switch" });
    await checkCommand(page);
    await confirm(page, "Add");
    await page.getByRole("cell", { name: "Switch" }).first().waitFor();
    await picture(page, "permissions");
  });
  await step("that user may log in and look, and is told what is not allowed", async () => {
    await logIn(guest, host, "vera", "green Tea 7 leaves");
    await guest.getByRole("region", { name: "Capacity" }).waitFor();
    await open(guest, host, "host", "vms");
    const create = guest.getByRole("button", { name: "Create VM" }).first();
    await eventually(async () => /does not have VirtualMachine.Inventory.Create/.test(await create.getAttribute("title")), "it does not say why");
    await create.click({ force: true });
    check((await guest.locator("dialog[open]").count()) === 0, "it opens all the same");
  });
  await step("and changes the own password, with the old one", async () => {
    await guest.getByRole("banner").getByRole("button", { name: "vera" }).click();
    await guest.getByRole("menuitem", { name: "Change password" }).click();
    await dialog(guest).getByLabel("Present password").fill("green Tea");
    for (const label of ["New password", "Once more"]) await dialog(guest).getByLabel(label).fill("black Tea 7 leaves");
    await confirm(guest, "Change");
    await dialog(guest).getByRole("alert").waitFor();
    await dialog(guest).getByLabel("Present password").fill("green Tea 7 leaves");
    await confirm(guest, "Change");
    await gone(guest);
  });
  await step("who may only look is told so where there is nothing to see, not as a mishap", async () => {
    await open(guest, host, "host", "monitor", "logs");
    await guest.getByText("You may not see the logs").waitFor();
    await open(guest, host, "host", "manage", "packages");
    await guest.getByText("You may not see the packages").waitFor();
    check((await guest.locator(".pf-v6-c-alert-group .pf-m-danger").count()) === 0, "it is told as a mishap");
  });
  await step("taken from them, nothing is left to see", async () => {
    await act(page, "Actions of vera", "Take away");
    await checkCommand(page);
    await confirm(page, "Take away");
    await gone(page);
    await guest.reload();
    await guest.waitForTimeout(500);
    check((await guest.getByRole("region", { name: "Capacity" }).count()) === 0, "the host is still shown");
    await open(guest, host, "host");
    await guest.getByText("You may not see the host").waitFor();
  });
  await step("a setting of the host is changed", async () => {
    await open(page, host, "host", "manage", "advanced");
    const rows = page.getByRole("table", { name: "Advanced settings" }).getByRole("row");
    await rows.nth(1).waitFor();
    await picture(page, "advanced");
  });
  await step("a virtual machine starts with the host", async () => {
    await open(page, host, "host", "vms");
    await page.getByRole("button", { name: "Create VM" }).first().click();
    await dialog(page).getByLabel("Name", { exact: true }).fill("early");
    await confirm(page, "Create");
    await gone(page);
    await open(page, host, "host", "manage", "autostart");
    await page.getByLabel("Start virtual machines with the host").check();
    await page.getByRole("button", { name: "Start with the host" }).click();
    await page.getByRole("button", { name: "Not by itself" }).waitFor();
    await picture(page, "autostart");
  });
  await step("the services are listed", async () => {
    await open(page, host, "host", "manage", "services");
    await page.getByRole("table", { name: "Services" }).getByRole("row").nth(1).waitFor();
    await picture(page, "services");
  });
  await step("root changes its own password, and logs in with it", async () => {
    await page.getByRole("banner").getByRole("button", { name: "root" }).click();
    await page.getByRole("menuitem", { name: "Change password" }).click();
    await dialog(page).getByLabel("Present password").fill(PASSWORD);
    for (const label of ["New password", "Once more"]) await dialog(page).getByLabel(label).fill("quite another 5 cups");
    await checkCommand(page);
    await confirm(page, "Change");
    await gone(page);
    const next = await openPage(browser);
    await logIn(next, host, "root", "quite another 5 cups");
    await next.getByRole("region", { name: "Capacity" }).waitFor();
  });
  await step("the browser had nothing to complain about", () => check(!page.complaints.length, page.complaints.join("\n")));
});
