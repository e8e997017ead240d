// SPDX-License-Identifier: Apache-2.0
// Networking, and what is measured.
import { readFileSync } from "node:fs";
import { check, checkCommand, confirm, dialog, eventually, logIn, main, open, openPage, picture, step } from "./rig.mjs";


await main(async (host, browser) => {
  const page = await openPage(browser);
  let collectors = 0, waits = 0, most = 0;
  page.on("request", (r) => {
    collectors += r.url().endsWith("/CreatePropertyCollector");
    if (r.url().endsWith("/WaitForUpdatesEx")) most = Math.max(most, ++waits);
  });
  for (const end of ["requestfinished", "requestfailed"]) page.on(end, (r) => (waits -= r.url().endsWith("/WaitForUpdatesEx")));

  await step("a switch is added", async () => {
    await logIn(page, host);
    await page.getByRole("region", { name: "Capacity" }).waitFor();
    await open(page, host, "host", "networking", "switches");
    await page.getByRole("button", { name: "Add switch" }).click();
    await dialog(page).getByLabel("Name", { exact: true }).fill("lab");
    await checkCommand(page);
    await dialog(page).getByLabel("MTU", { exact: true }).fill("9000");
    await confirm(page, "Add");
    await page.getByRole("cell", { name: "lab" }).first().waitFor();
    await picture(page, "switches");
  });
  await step("a port group with a VLAN and shaping on it, which the list of networks has at once", async () => {
    await page.getByRole("link", { name: "Port groups" }).click();
    await page.getByRole("button", { name: "Add port group" }).click();
    await dialog(page).getByLabel("Name", { exact: true }).fill("Storage 12");
    await dialog(page).getByLabel("VLAN", { exact: true }).fill("12");
    await dialog(page).getByLabel("Switch", { exact: true }).selectOption("lab");
    await dialog(page).getByLabel("Shaping").selectOption("on");
    await dialog(page).getByLabel("Average", { exact: true }).fill("50000");
    await picture(page, "port-group");
    await checkCommand(page);
    await confirm(page, "Add");
    await page.getByRole("cell", { name: "Storage 12" }).first().waitFor();
    await page.getByRole("navigation", { name: "Navigator" }).getByText("2", { exact: true }).waitFor();
  });
  await step("it keeps what was set", async () => {
    await page.getByRole("button", { name: "Actions of Storage 12" }).click();
    await page.getByRole("menuitem", { name: "Edit" }).click();
    check((await dialog(page).getByLabel("VLAN", { exact: true }).inputValue()) === "12", "another VLAN");
    check((await dialog(page).getByLabel("Average", { exact: true }).inputValue()) === "50000", "another rate");
    await dialog(page).getByRole("button", { name: "Cancel" }).click();
  });
  await step("the machine's own cards are listed", async () => {
    await page.getByRole("link", { name: "Physical NICs" }).click();
    await page.getByRole("table", { name: "Physical NICs" }).getByRole("row").nth(1).waitFor();
    await page.getByRole("link", { name: "VMkernel NICs" }).click();
    await page.getByRole("table", { name: "VMkernel NICs" }).waitFor();
    await picture(page, "vnics");
  });
  await step("the host is measured every 20 seconds and drawn", async () => {
    await open(page, host, "host", "monitor", "performance");
    await eventually(async () => (await page.locator(".plot canvas").count()) >= 6, "no plots came", 60);
    check(/CPU: Usage \d/.test(await page.getByRole("img", { name: /^CPU:/ }).getAttribute("aria-label")), "no value of the CPU");
    await picture(page, "performance");
  });
  await step("the logs are read, and come as one file", async () => {
    await page.getByRole("link", { name: "Logs" }).click();
    await eventually(async () => ((await page.getByLabel("Log", { exact: true }).last().textContent()) ?? "").length > 20, "the log is empty");
    await picture(page, "logs");
    const coming = page.waitForEvent("download");
    await page.getByRole("button", { name: "Support bundle" }).click();
    const bundle = readFileSync(await (await coming).path());
    check(bundle.length > 1000 && !bundle.includes("BEGIN PRIVATE KEY"), `${bundle.length} bytes`);
  });
  await step("the certificate is shown, and a signing request made", async () => {
    await open(page, host, "host", "manage", "security");
    await page.getByText("Issuer").waitFor();
    await page.getByRole("button", { name: "Signing request" }).click();
    await dialog(page).getByText("BEGIN CERTIFICATE REQUEST").waitFor();
    await picture(page, "certificate");
    await dialog(page).getByRole("button", { name: "Cancel" }).click();
  });
  await step("over one waiting request, whatever the pages watch", () => check(collectors === 1 && most === 1, `${collectors} collectors, ${most} waits at a time`));
  await step("the browser had nothing to complain about", () => check(!page.complaints.length, page.complaints.join("\n")));
});
