// SPDX-License-Identifier: Apache-2.0
// The host client as a person uses it: log in, make machines, run, snapshot, clone and delete them.
import { act, check, checkCommand, confirm, createVm, dialog, eventually, logIn, main, openPage, PASSWORD, picture, row, step } from "./rig.mjs";


await main(async (host, browser) => {
  const page = await openPage(browser);

  await step("the address of the host leads to the client", async () => {
    await page.goto(`${host.url}/`);
    await page.getByRole("button", { name: "Log in" }).waitFor();
    check(page.url().endsWith("/ui/"), page.url());
  });
  await step("a wrong password is refused in words", async () => {
    await logIn(page, host, "root", "wrong");
    await page.getByText("User name or password is wrong.").waitFor();
    page.complaints = []; // the refused request itself
  });
  await step("logging in shows the host", async () => {
    await logIn(page, host);
    await page.getByRole("region", { name: "Capacity" }).waitFor();
    await picture(page, "host");
  });
  await step("a virtual machine is created", async () => {
    await createVm(page, host, "web-1");
    await page.locator(".page-head").getByText("Powered off").waitFor();
  });
  await step("a name with a script in it stays text", async () => {
    const name = `<img src=x onerror=alert(1)> ${"‮"}rtl`;
    await createVm(page, host, name, { disk: "0" });
    await page.goto(`${host.url}/ui/#/host/vms`);
    await row(page, name).waitFor();
    check((await page.locator("main img").count()) === 0, "an image came of it");
  });
  await step("the list filters and sorts", async () => {
    await page.getByLabel("Filter Virtual machines").fill("web");
    await page.getByText("1 of 2 virtual machines").waitFor();
    await page.getByLabel("Filter Virtual machines").fill("");
    await picture(page, "vms");
  });
  await step("it is powered on, and what cannot be done then says why", async () => {
    await row(page, "web-1").getByLabel("Select").check();
    await page.getByRole("button", { name: "Power on" }).click();
    await row(page, "web-1").getByText("Powered on").waitFor();
    await page.getByRole("button", { name: "Actions", exact: true }).click();
    check((await page.getByRole("menuitem", { name: /^Delete/ }).textContent()).includes("power it off first"), "no reason");
    await page.keyboard.press("Escape");
  });
  await step("the page changes when somebody else changes the host", async () => {
    const other = await openPage(browser);
    await logIn(other, host);
    await other.goto(`${host.url}/ui/#/host/vms`);
    await row(other, "web-1").getByText("Powered on").waitFor();
    await row(page, "web-1").getByRole("link").click();
    await page.getByRole("button", { name: "Power off" }).click();
    check((await dialog(page).textContent()).includes("is lost"), "the dialog does not say what is lost");
    await confirm(page, "Power off");
    await row(other, "web-1").getByText("Powered off").waitFor();
    await other.context().close();
  });
  await step("a snapshot is taken, reverted to and deleted", async () => {
    await page.getByRole("link", { name: "Snapshots" }).click();
    await page.getByRole("button", { name: "Take snapshot" }).click();
    await dialog(page).getByLabel("Name", { exact: true }).fill("before");
    await confirm(page, "Take snapshot");
    await page.getByRole("list", { name: "Snapshots" }).getByText("before", { exact: true }).waitFor();
    await picture(page, "snapshots");
    await page.getByRole("button", { name: "Revert" }).click();
    await checkCommand(page);
    await confirm(page, "Revert");
    await dialog(page).waitFor({ state: "detached" });
    await act(page, "Actions of before", "Delete");
    await checkCommand(page);
    await confirm(page, "Delete");
    await page.getByText("No snapshots").waitFor();
  });
  await step("the dialog shows the same thing as a command", async () => {
    await page.getByRole("button", { name: "Actions", exact: true }).click();
    await page.getByRole("menuitem", { name: "Rename" }).click();
    await dialog(page).getByLabel("Name", { exact: true }).fill("web two");
    await checkCommand(page);
    await dialog(page).getByRole("button", { name: "As a command" }).click();
    check((await dialog(page).locator("pre").first().textContent()) === "socle vm rename web-1 'web two'", "another command");
    await confirm(page, "Rename");
    await page.getByRole("heading", { name: "web two" }).waitFor();
  });
  await step("its settings are edited: memory, a bigger disk, a second one, a CD drive without a disc", async () => {
    await page.getByRole("button", { name: "Actions", exact: true }).click();
    await page.getByRole("menuitem", { name: "Edit settings" }).click();
    await dialog(page).getByLabel("Memory", { exact: true }).fill("127");
    await dialog(page).getByText("Memory: a multiple of 4 MB.").first().waitFor();
    await dialog(page).getByLabel("Memory", { exact: true }).fill("128");
    await dialog(page).getByLabel("Hard disk 1", { exact: true }).fill("2");
    await dialog(page).getByRole("button", { name: "Add a disk" }).click();
    await dialog(page).getByLabel("New disk", { exact: true }).fill("3");
    await dialog(page).getByRole("button", { name: "Add a CD drive" }).click();
    await picture(page, "edit");
    await confirm(page, "Save");
    await dialog(page).waitFor({ state: "detached" });
    await page.getByRole("link", { name: "Hardware" }).click();
    for (const text of ["Hard disk 1", "Hard disk 2", "CD/DVD drive 1"]) await page.getByText(text).waitFor();
    await page.getByText("3 GB").waitFor();
    await page.getByText("2 GB").first().waitFor();
    await picture(page, "hardware");
  });
  await step("it is cloned", async () => {
    await page.getByRole("button", { name: "Actions", exact: true }).click();
    await page.getByRole("menuitem", { name: "Clone" }).click();
    await dialog(page).getByLabel("Name of the copy").fill("web three");
    await checkCommand(page);
    await confirm(page, "Clone");
    await dialog(page).waitFor({ state: "detached" });
    await page.getByRole("link", { name: "Virtual machines" }).click();
    await row(page, "web three").waitFor();
    await row(page, "web two").getByRole("link").click();
  });
  await step("the search finds it by its new name", async () => {
    await page.keyboard.press("Control+k");
    await page.keyboard.type("two");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "web two" }).waitFor();
  });
  await step("the host restarts under the page, which goes on", async () => {
    await host.stop();
    await page.getByText("The host does not answer").waitFor();
    await host.start();
    // Sessions end with hostd: the page asks for the password and goes on where it was.
    await page.getByText("Your session has ended").waitFor();
    const at = page.url();
    await page.getByLabel("User name").fill("root");
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("heading", { name: "web two" }).waitFor();
    check(page.url() === at, "it went elsewhere");
    page.complaints = []; // requests that the host was not there for
  });
  await step("it is deleted", async () => {
    await page.getByRole("button", { name: "Actions", exact: true }).click();
    await page.getByRole("menuitem", { name: "Delete" }).click();
    await confirm(page, "Delete");
    await page.getByText("This virtual machine is gone").waitFor();
  });
  await step("the events tell what was done", async () => {
    await page.goto(`${host.url}/ui/#/host/monitor/events`);
    await eventually(async () => (await page.getByRole("row").count()) > 5, "there are no events");
    await picture(page, "events");
  });
  await step("dark colours stay over a reload", async () => {
    await page.getByRole("button", { name: "Dark colours" }).click();
    await page.reload();
    await page.getByRole("button", { name: "Light colours" }).waitFor();
    await picture(page, "events-dark");
  });
  await step("logging out ends the session", async () => {
    await page.getByRole("button", { name: "root" }).click();
    await page.getByRole("menuitem", { name: "Log out" }).click();
    await page.getByRole("button", { name: "Log in" }).waitFor();
    await page.reload();
    await page.getByRole("button", { name: "Log in" }).waitFor();
  });
  await step("the browser had nothing to complain about", () => check(!page.complaints.length, page.complaints.join("\n")));
});
