// SPDX-License-Identifier: Apache-2.0
// Pictures of every page and the larger dialogs: light, dark and narrow, in $SOCLE_PICTURES. Not a test; `make pictures`.
import { act, api, createVm, dialog, logIn, main, open, openPage, picture } from "./rig.mjs";
import { idsOf, pages } from "./pages.mjs";

const variants = { light: {}, dark: { colorScheme: "dark" }, narrow: { viewport: { width: 400, height: 800 } } };
const dialogs = {
  create: async (page, host) => (await open(page, host, "host", "vms"), page.getByRole("button", { name: "Create VM" }).first().click()),
  edit: async (page, host, vm) => (await open(page, host, "host", "vms", vm), act(page, "Actions", "Edit settings")),
  clone: async (page, host, vm) => (await open(page, host, "host", "vms", vm), act(page, "Actions", "Clone")),
  off: async (page, host, vm) => (await open(page, host, "host", "vms", vm), page.getByRole("button", { name: "Power off" }).click()),
  import: async (page, host) => (await open(page, host, "host", "vms"), page.getByRole("button", { name: "Import" }).click()),
};

await main(async (host, browser) => {
  let vm, all;
  for (const [variant, options] of Object.entries(variants)) {
    const page = await openPage(browser, options);
    await page.goto(`${host.url}/ui/`);
    await page.getByRole("button", { name: "Log in" }).waitFor();
    await picture(page, `login-${variant}`);
    await logIn(page, host);
    await page.getByRole("region", { name: "Capacity" }).waitFor();
    if (!vm) {
      await createVm(page, host, "archive");
      vm = await createVm(page, host, "mail", { start: true });
      await act(page, "Actions", "Take snapshot");
      await dialog(page).getByRole("button", { name: "Take snapshot" }).click();
      all = pages(await idsOf(page, api, vm));
      await page.waitForTimeout(25_000); // for samples and a screen
    }
    for (const [name, path] of Object.entries(all)) {
      await open(page, host, path);
      await page.waitForTimeout(1200);
      await picture(page, `${name}-${variant}`);
    }
    for (const [name, show] of Object.entries(dialogs)) {
      await show(page, host, vm);
      await dialog(page).getByRole("button", { name: "As a command" }).click({ timeout: 1000 }).catch(() => {}); // where there is one
      await page.waitForTimeout(500);
      await picture(page, `dialog-${name}-${variant}`);
      await page.keyboard.press("Escape");
    }
    await page.context().close();
  }
});
