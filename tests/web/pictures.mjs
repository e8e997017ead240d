// SPDX-License-Identifier: Apache-2.0
// Pictures of every page, dialog and state: light, dark and narrow, in $SOCLE_PICTURES; those alone whose names match
// $SOCLE_PICTURES_OF where that is set. Not a test; `make pictures`.
import { cpSync } from "node:fs";
import { join } from "node:path";
import { act, api, confirm, createVm, dialog, gone, logIn, main, open, openPage, picture } from "./rig.mjs";
import { idsOf, pages } from "./pages.mjs";
import { scenes } from "./scenes.mjs";

const variants = { light: {}, dark: { colorScheme: "dark" }, narrow: { viewport: { width: 400, height: 800 } } };
const wanted = new RegExp(process.env.SOCLE_PICTURES_OF ?? "");
const keep = (page, name) => (wanted.test(name) ? picture(page, name) : undefined);

/** A host as it may be after a day: VMs that run, are off and are suspended, one that asks, snapshots, a user who may little. */
async function furnish(page, host) {
  const off = await createVm(page, host, "archive");
  for (const name of ["before the upgrade", "after it"]) {
    await act(page, "Actions", "Take snapshot");
    await dialog(page).getByLabel("Name", { exact: true }).fill(name);
    await dialog(page).getByLabel("Description").fill("Version 12, with all updates.");
    await confirm(page, "Take snapshot");
    await gone(page);
  }
  await page.getByRole("button", { name: "Edit notes" }).click();
  await dialog(page).getByRole("textbox").fill("Files of past years.\nNobody writes here.");
  await confirm(page, "Save");
  await gone(page);
  const one = await createVm(page, host, "build-01", { memory: "128", disk: "8", start: true });
  await act(page, "Actions", "Suspend");
  await page.locator(".page-head").getByText("Suspended").waitFor();
  await createVm(page, host, "web-frontend-staging", { memory: "256", disk: "4" });
  const vm = await createVm(page, host, "mail", { memory: "128", disk: "2", start: true });
  await act(page, "Actions", "Take snapshot");
  await confirm(page, "Take snapshot");
  await gone(page);
  await user(page, host);
  return { ...(await idsOf(page, api, vm)), off, one };
}

async function user(page, host) {
  await open(page, host, "host", "manage", "users");
  await page.getByRole("button", { name: "Add user" }).click();
  await dialog(page).getByLabel("User name").fill("vera");
  for (const label of ["Password", "Once more"]) await dialog(page).getByLabel(label, { exact: true }).fill("green Tea 7 leaves");
  await confirm(page, "Add");
  await gone(page);
  await open(page, host, "host", "manage", "permissions");
  await page.getByRole("button", { name: "Add permission" }).click();
  await dialog(page).getByLabel("Role").selectOption({ label: "Read-only" });
  await confirm(page, "Add");
  await gone(page);
}

/** A VM that was copied asks at its start. */
async function question(page, host) {
  const files = join(host.root, "datastores/datastore1");
  cpSync(join(files, "web-frontend-staging"), join(files, "copy"), { recursive: true });
  await open(page, host, "host", "vms");
  await page.getByRole("button", { name: "Register VM" }).click();
  await dialog(page).getByLabel("Configuration file").fill("copy/web-frontend-staging.vmx");
  await confirm(page, "Register");
  await gone(page);
  const [copy] = (await api(page, "HostSystem", "ha-host", "vm")).slice(-1);
  await open(page, host, "host", "vms", copy.value);
  await page.getByRole("button", { name: "Power on" }).click();
  return copy.value;
}

async function shoot(page, name, show) {
  if (!wanted.test(name)) return;
  await show().catch((e) => console.log(`# ${name}: ${e.message.split("\n")[0]}`));
  await page.waitForTimeout(700);
  await picture(page, name);
  for (let i = 0; i < 3; i++) await page.keyboard.press("Escape");
}

async function asVera(browser, host, options, variant, ids) {
  const page = await openPage(browser, options);
  await logIn(page, host, "vera", "green Tea 7 leaves");
  await page.getByRole("region", { name: "Capacity" }).waitFor();
  await shoot(page, `restricted-vm-${variant}`, () => open(page, host, "host", "vms", ids.vm));
  await shoot(page, `restricted-menu-${variant}`, () => page.getByRole("main").getByRole("button", { name: "Actions", exact: true }).click());
  await page.context().close();
}

async function atTheEnd(page, host, variant) {
  await shoot(page, `upload-${variant}`, async () => {
    await open(page, host, "host", "datastores");
    await page.getByRole("main").getByRole("link", { name: "datastore1" }).click();
    const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.getByRole("button", { name: "Upload" }).click()]);
    await chooser.setFiles([{ name: `debian-12.8.0-amd64-netinst-${variant}.iso`, mimeType: "application/octet-stream", buffer: Buffer.alloc(3e6) }]);
    await page.waitForTimeout(600);
  });
  await shoot(page, `offline-${variant}`, async () => (await page.context().setOffline(true), await page.getByText("The host does not answer").waitFor()));
  await page.context().setOffline(false);
  await page.context().clearCookies();
  await shoot(page, `expired-${variant}`, () => page.getByText("Your session has ended").waitFor());
}

await main(async (host, browser) => {
  let ids, asking;
  for (const [variant, options] of Object.entries(variants)) {
    const page = await openPage(browser, options);
    await page.goto(`${host.url}/ui/`);
    await page.getByRole("button", { name: "Log in" }).waitFor();
    await keep(page, `login-${variant}`);
    await logIn(page, host, "root", "wrong");
    await shoot(page, `login-failed-${variant}`, () => page.getByText("User name or password is wrong").waitFor());
    await logIn(page, host);
    await page.getByRole("region", { name: "Capacity" }).waitFor();
    if (!ids) {
      await shoot(page, "empty-host-light", async () => {});
      await shoot(page, "empty-vms-light", () => open(page, host, "host", "vms"));
      ids = await furnish(page, host);
      asking = await question(page, host);
      await page.waitForTimeout(20_000); // for samples and a screen
    }
    for (const [name, path] of Object.entries(pages(ids))) await shoot(page, `${name}-${variant}`, async () => (await open(page, host, path), await page.waitForTimeout(500)));
    await shoot(page, `question-${variant}`, () => open(page, host, "host", "vms", asking));
    for (const [name, [path, doing]] of Object.entries(scenes(ids)))
      await shoot(page, `${name}-${variant}`, async () => (await open(page, host, path), await page.waitForTimeout(300), await doing(page)));
    for (const name of ["create", "off"].map((n) => `${n}-command-${variant}`))
      await shoot(page, name, async () => {
        const [path, doing] = scenes(ids)[name.split("-")[0]];
        await open(page, host, path);
        await doing(page);
        await dialog(page).getByRole("button", { name: "As a command" }).click();
      });
    await asVera(browser, host, options, variant, ids);
    await atTheEnd(page, host, variant);
    await page.context().close();
  }
});
