// SPDX-License-Identifier: Apache-2.0
// What people do with lists: menus at a line, columns and order that stay as they were chosen, filters; and what a
// host says that has no virtual machine yet, or a problem.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { check, createVm, eventually, logIn, main, open, openPage, row, step } from "./rig.mjs";

await main(async (host, browser) => {
  const page = await openPage(browser);
  const list = page.getByRole("table", { name: "Virtual machines" });
  const heads = () => list.getByRole("columnheader").allTextContents();
  const names = () => list.locator("a.name").allTextContents();

  await step("an empty host says what to do first", async () => {
    await logIn(page, host);
    await page.getByRole("region", { name: "First steps" }).getByRole("link", { name: "Files of datastore1" }).waitFor();
    check((await page.title()).endsWith("– Socle"), await page.title());
    await createVm(page, host, "alpha", { memory: "64" });
    check((await page.title()) === "alpha – Socle", await page.title());
    await createVm(page, host, "beta", { memory: "128" });
    await open(page, host, "host");
    await page.getByRole("region", { name: "Capacity" }).waitFor();
    check((await page.getByRole("region", { name: "First steps" }).count()) === 0, "it still says it");
  });
  await step("the other mouse button opens the line's menu, Escape closes it", async () => {
    await open(page, host, "host", "vms");
    await row(page, "beta").click({ button: "right", position: { x: 400, y: 8 } });
    const menu = page.getByRole("menu", { name: "Actions of beta" });
    await menu.getByRole("menuitem", { name: "Rename" }).waitFor();
    await page.keyboard.press("Escape");
    await menu.waitFor({ state: "detached" });
  });
  await step("with several lines chosen it is for all of them", async () => {
    await page.getByLabel("Select all").check();
    await row(page, "beta").click({ button: "right", position: { x: 400, y: 8 } });
    const rename = page.getByRole("menuitem", { name: "Rename" });
    check((await rename.textContent()).includes("One virtual machine at a time."), await rename.textContent());
    await page.keyboard.press("Escape");
  });
  await step("what a filter hides is not chosen any more", async () => {
    await page.getByLabel("Filter Virtual machines").fill("alpha");
    await page.getByText("1 selected, 1 of 2 virtual machines").waitFor();
    await page.getByLabel("Filter Virtual machines").fill("nobody");
    await page.getByRole("button", { name: "Clear the filter" }).click();
    await page.getByText("2 virtual machines", { exact: true }).waitFor();
  });
  await step("columns and order stay as they were chosen", async () => {
    await page.getByRole("button", { name: "Columns" }).click();
    await page.getByRole("menuitemcheckbox", { name: "Notes" }).click();
    await page.getByRole("menuitemcheckbox", { name: "IP address" }).click();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Memory", exact: true }).click();
    await page.getByRole("button", { name: "Memory", exact: true }).click();
    await page.reload();
    await list.waitFor();
    const text = (await heads()).join();
    check(text.includes("Notes") && !text.includes("IP address"), text);
    check((await names()).join() === "beta,alpha", (await names()).join());
  });
  await step("a virtual machine whose files are gone is a problem, with the way to it", async () => {
    rmSync(join(host.root, "datastores/datastore1/alpha"), { recursive: true });
    await host.stop();
    await host.start();
    await page.getByText("Your session has ended").waitFor({ timeout: 60_000 });
    await logIn(page, host);
    await open(page, host, "host");
    const problem = page.getByRole("region", { name: "Problems" });
    await problem.getByText("“alpha” cannot be read.").waitFor();
    await problem.getByRole("link", { name: "Look at it" }).click();
    await page.getByRole("heading", { name: "alpha" }).waitFor();
  });
  await step("a page is found by its name", async () => {
    await page.getByRole("combobox", { name: /Search/ }).fill("autost");
    await page.keyboard.press("Enter");
    await eventually(() => page.url().endsWith("/manage/autostart"), page.url());
  });
  await step("of a long history the newest come first, and a filter finds what is old", async () => {
    await page.evaluate(async () => {
      const content = await (await fetch("/sdk/vim25/8.0.3.0/ServiceInstance/ServiceInstance/content")).json();
      const log = (n) => fetch(`/sdk/vim25/8.0.3.0/EventManager/${content.eventManager.value}/LogUserEvent`, { method: "POST",
        headers: { "Content-Type": "application/json" }, body: JSON.stringify({ entity: content.rootFolder, msg: n ? `note ${n}` : "the very first" }) });
      for (let n = 0; n < 240; n += 10) await Promise.all(Array.from({ length: 10 }, (_, i) => log(n + i)));
    });
    await open(page, host, "host", "monitor", "events");
    const events = page.getByRole("table", { name: "Events" });
    await page.getByText("and older ones").waitFor();
    check((await events.getByText("the very first").count()) === 0, "all of them are there at once");
    await page.getByLabel("Filter Events").fill("very first");
    await events.getByText("the very first").waitFor();
    await page.getByLabel("Filter Events").fill("");
    await page.getByText("and older ones").waitFor({ state: "detached" });
  });
  await step("the browser had nothing to complain about", () => check(!page.complaints.filter((c) => !/40[1-4]|50[2-4]|ERR_/.test(c)).length, page.complaints.join("\n")));
});
