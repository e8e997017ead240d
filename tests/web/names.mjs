// SPDX-License-Identifier: Apache-2.0
// Names and texts that others give: with a script, right to left, with a NUL, 10 kB long. They stay text, on every
// page that shows them, and no page becomes wider than the screen.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { api, check, createVm, dialog, eventually, gone, confirm, logIn, main, open, openPage, picture, step } from "./rig.mjs";
import { idsOf, pages } from "./pages.mjs";

const EVIL = `"><img src=x onerror="document.title='taken'"> ‮live`;
const LONG = "<b>".repeat(20) + "x".repeat(10_000) + "' onclick='";

await main(async (host, browser) => {
  const page = await openPage(browser);
  page.on("dialog", (d) => (page.complaints.push(`a dialog: ${d.message()}`), void d.dismiss()));
  let vm;
  /** The API's answer, whatever it is. */
  const call = (path, body) => page.evaluate(async ([path, body]) => {
    const answer = await fetch(`/sdk/vim25/8.0.3.0/${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    return { status: answer.status, text: await answer.text() };
  }, [path, JSON.stringify(body)]);
  const spec = (more) => ({ spec: { _typeName: "VirtualMachineConfigSpec", ...more } });

  await step("somebody tries to log in with such a name", async () => {
    await logIn(page, host, EVIL, "x");
    await page.getByText("User name or password is wrong.").waitFor();
    await logIn(page, host);
    await page.getByRole("region", { name: "Capacity" }).waitFor();
    page.complaints = []; // the refused request
  });
  await step("such names are given to a VM, its notes, snapshots, parameters, files, port groups, roles", async () => {
    vm = await createVm(page, host, EVIL, { disk: "0" });
    const well = async (path, body) => { const { status, text } = await call(path, body); check(status < 300, `${path}: ${status} ${text.slice(0, 300)}`); };
    await well(`VirtualMachine/${vm}/ReconfigVM_Task`, spec({ annotation: EVIL + LONG, extraConfig: [{ _typeName: "OptionValue", key: "guestinfo.evil", value: { _typeName: "string", _value: EVIL } }] }));
    await eventually(async () => (await api(page, "VirtualMachine", vm, "config")).annotation.length > 10_000, "the notes are not kept");
    await well(`VirtualMachine/${vm}/CreateSnapshot_Task`, { name: EVIL, description: EVIL + LONG, memory: false, quiesce: false });
    await well("AuthorizationManager/ha-authmgr/AddAuthorizationRole", { name: EVIL.slice(0, 60), privIds: [] });
    await well("HostNetworkSystem/networkSystem/AddPortGroup", { portgrp: { _typeName: "HostPortGroupSpec", name: "<i>net</i> ‮ten", vlanId: 0, vswitchName: "vSwitch0", policy: { _typeName: "HostNetworkPolicy" } } });
    const folder = join(host.root, "datastores/datastore1", "<u>‮redlof");
    mkdirSync(folder);
    writeFileSync(join(folder, "<svg onload=alert(1)>.iso"), "x");
  });
  await step("a NUL is refused, or is no end of anything", async () => {
    const { status } = await call(`VirtualMachine/${vm}/ReconfigVM_Task`, spec({ annotation: "before\u0000after" }));
    const { annotation } = await api(page, "VirtualMachine", vm, "config");
    check(status >= 400 ? annotation.length > 10_000 : annotation === "before\u0000after", `${status}: ${JSON.stringify(annotation.slice(0, 20))}`);
    page.complaints = []; // the refused request
  });
  await step("they are shown as they are", async () => {
    await open(page, host, "host", "vms");
    await page.getByRole("main").getByRole("link", { name: EVIL, exact: true }).click();
    await page.getByRole("heading", { name: EVIL }).waitFor();
    check((await page.locator("pre.notes").textContent()) === EVIL + LONG, "other notes");
    await page.getByRole("link", { name: "Snapshots" }).click();
    await page.getByText(LONG, { exact: false }).first().waitFor();
    await picture(page, "names-snapshots");
    await open(page, host, "host", "monitor", "events");
    await page.getByText(EVIL, { exact: false }).first().waitFor();
  });
  for (const [variant, options] of Object.entries({ wide: {}, narrow: { viewport: { width: 400, height: 800 } } }))
    await step(`on no page anything came of them, ${variant}`, async () => {
      await page.setViewportSize(options.viewport ?? { width: 1280, height: 800 });
      const wrong = [];
      for (const [name, path] of Object.entries(pages(await idsOf(page, api, vm)))) {
        await open(page, host, path);
        await page.locator("main h1, main h2").first().waitFor();
        await page.waitForTimeout(150);
        const seen = await page.evaluate(() => ({
          title: document.title, made: document.querySelectorAll("main img:not(.thumbnail img), main svg[onload], main i:not([style]), main u, main b").length,
          wide: document.documentElement.scrollWidth - innerWidth,
        }));
        if (seen.title === "taken" || seen.made || seen.wide > 0) wrong.push(`${name}: ${JSON.stringify(seen)}`);
      }
      check(!wrong.length, wrong.join("\n"));
    });
  await step("files with such names are listed, and found as discs", async () => {
    await page.setViewportSize({ width: 1280, height: 800 });
    const { datastore } = await idsOf(page, api, vm);
    await open(page, host, "host", "datastores", datastore, "files");
    await page.getByRole("link", { name: "<u>‮redlof" }).click();
    await page.getByRole("link", { name: "<svg onload=alert(1)>.iso" }).waitFor();
    await picture(page, "names-files");
  });
  await step("dialogs quote them for the shell", async () => {
    await open(page, host, "host", "vms", vm);
    await page.getByRole("button", { name: "Actions", exact: true }).click();
    await page.getByRole("menuitem", { name: "Rename" }).click();
    await dialog(page).getByLabel("Name", { exact: true }).fill("it's $(reboot)");
    await dialog(page).getByRole("button", { name: "As a command" }).click();
    check((await dialog(page).locator("pre").first().textContent()).endsWith(`'it'\\''s $(reboot)'`), "not quoted");
    await confirm(page, "Rename");
    await gone(page);
    await page.getByRole("heading", { name: "it's $(reboot)" }).waitFor();
  });
  await step("the browser had nothing to complain about", () => check(!page.complaints.length, page.complaints.join("\n")));
});
