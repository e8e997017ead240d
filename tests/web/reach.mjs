// SPDX-License-Identifier: Apache-2.0
// For everybody: axe-core finds nothing serious on any page and in the large dialogs, in both themes and on a narrow
// screen, and the keyboard alone is enough.
import { act, api, check, checkAccess, confirm, createVm, dialog, eventually, gone, logIn, main, open, openPage, step } from "./rig.mjs";
import { idsOf, pages } from "./pages.mjs";

const ready = async (page) => {
  await page.locator("main h1, main h2").first().waitFor();
  await eventually(async () => (await page.getByRole("progressbar", { name: "Loading" }).count()) === 0, "it is never filled");
};

await main(async (host, browser) => {
  let all, id;
  for (const [variant, options] of Object.entries({ light: {}, dark: { colorScheme: "dark" }, narrow: { viewport: { width: 400, height: 800 } } })) {
    const page = await openPage(browser, options);
    await step(`the login, ${variant}`, async () => {
      await page.goto(`${host.url}/ui/`);
      await page.getByRole("button", { name: "Log in" }).waitFor();
      await checkAccess(page, "login");
      await logIn(page, host);
      await page.getByRole("region", { name: "Capacity" }).waitFor();
      if (all) return;
      id = await createVm(page, host, "reach", { start: true });
      all = pages(await idsOf(page, api, id));
      await act(page, "Actions", "Take snapshot");
      await confirm(page, "Take snapshot");
      await gone(page);
    });
    await step(`every page, ${variant}`, async () => {
      const found = [];
      for (const [name, path] of Object.entries(all)) {
        await open(page, host, path);
        await ready(page);
        await checkAccess(page, name).catch((e) => found.push(e.message));
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) found.push(`${name}: ${wide} pixels wider than the screen`);
      }
      check(!found.length, found.join("\n"));
    });
    await step(`dialogs and menus, ${variant}`, async () => {
      await open(page, host, "host", "vms");
      await page.getByRole("button", { name: "Create VM" }).first().click();
      await dialog(page).getByRole("button", { name: "As a command" }).click();
      await checkAccess(page, "create");
      await page.keyboard.press("Escape");
      await open(page, host, "host", "vms", id);
      await page.getByRole("button", { name: "Actions", exact: true }).click();
      await checkAccess(page, "menu");
      await page.getByRole("menuitem", { name: "Edit settings" }).click();
      for (const tab of ["Hardware", "Resources", "Options", "Advanced"]) {
        await dialog(page).getByRole("tab", { name: tab }).click();
        await checkAccess(page, `edit, ${tab}`);
      }
      await page.keyboard.press("Escape");
      await page.getByRole("button", { name: "Power off" }).click();
      await checkAccess(page, "power off");
      await page.keyboard.press("Escape");
    });
    await step(`no complaints, ${variant}`, () => check(!page.complaints.length, page.complaints.join("\n")));
    if (variant === "light") await keyboard(page, host, id);
    await page.context().close();
  }
});

/** From the list of VMs to a dialog and back without a pointer. */
async function keyboard(page, host, id) {
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label") || document.activeElement?.textContent?.trim() || document.activeElement?.tagName);
  const tabTo = async (name) => {
    for (let i = 0; i < 80; i++, await page.keyboard.press("Tab")) if ((await focused()) === name) return;
    throw new Error(`the Tab key does not come to ${name}`);
  };
  await step("the Tab key comes to the VM, Enter opens it", async () => {
    await open(page, host, "host", "vms");
    await page.getByRole("main").getByRole("link", { name: "reach", exact: true }).waitFor();
    await tabTo("reach");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "reach" }).waitFor();
    check(page.url().includes(`/vms/${id}`), page.url());
  });
  await step("a menu opens, arrows move, what is grey is reached and says why, Escape gives the focus back", async () => {
    await tabTo("Actions");
    await page.keyboard.press("ArrowDown");
    await eventually(async () => (await focused()).startsWith("Shut down guest"), "the first action has not the focus");
    await page.keyboard.press("End");
    check((await focused()).includes("power it off first"), await focused());
    await page.keyboard.press("Escape");
    check((await focused()) === "Actions", await focused());
  });
  await step("a dialog keeps the focus, its tabs go by arrows, Escape gives the focus back", async () => {
    await page.keyboard.press("ArrowDown");
    await eventually(async () => (await focused()).startsWith("Shut down guest"), "the menu is not open");
    while (!(await focused()).startsWith("Edit settings")) await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await dialog(page).waitFor();
    await tabTo("Hardware");
    await page.keyboard.press("ArrowRight");
    check((await focused()) === "Resources", await focused());
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press("Tab");
      check(await page.evaluate(() => document.activeElement === document.body || Boolean(document.activeElement.closest("dialog"))), "the focus left the dialog");
    }
    await page.keyboard.press("Escape");
    await dialog(page).waitFor({ state: "detached" });
  });
  await step("a table is sorted by the keyboard, and says how", async () => {
    await open(page, host, "host", "manage", "users");
    await page.getByRole("cell", { name: "root" }).first().waitFor();
    await page.getByRole("button", { name: "Name", exact: true }).focus();
    await page.keyboard.press("Enter");
    await page.locator("main th[aria-sort=descending]").waitFor();
  });
}
