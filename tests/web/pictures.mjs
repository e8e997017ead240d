// SPDX-License-Identifier: Apache-2.0
// Pictures of every page: light, dark and narrow, in $SOCLE_PICTURES. Not a test; `make pictures`.
import { createVm, logIn, main, openPage, picture } from "./rig.mjs";

const variants = { light: {}, dark: { colorScheme: "dark" }, narrow: { viewport: { width: 400, height: 800 } } };
const pages = {
  host: "host", vms: "host/vms", storage: "host/datastores", networking: "host/networking", switches: "host/networking/switches",
  pnics: "host/networking/pnics", vnics: "host/networking/vnics", users: "host/manage/users", roles: "host/manage/roles",
  permissions: "host/manage/permissions", services: "host/manage/services", autostart: "host/manage/autostart", advanced: "host/manage/advanced",
  performance: "host/monitor/performance", events: "host/monitor/events", tasks: "host/monitor/tasks",
};
const tabs = ["summary", "console", "snapshots", "hardware", "performance", "events"];

await main(async (host, browser) => {
  let vm;
  for (const [variant, options] of Object.entries(variants)) {
    const page = await openPage(browser, options);
    await page.goto(`${host.url}/ui/`);
    await page.getByRole("button", { name: "Log in" }).waitFor();
    await picture(page, `login-${variant}`);
    await logIn(page, host);
    await page.getByRole("region", { name: "Capacity" }).waitFor();
    if (!vm) {
      vm = await createVm(page, host, "mail", { start: true });
      await page.waitForTimeout(25_000); // for samples and a screen
    }
    const all = { ...pages, ...Object.fromEntries(tabs.map((t) => [`vm-${t}`, `host/vms/${vm}/${t}`])) };
    for (const [name, path] of Object.entries(all)) {
      await page.goto(`${host.url}/ui/#/${path}`);
      await page.waitForTimeout(1200);
      await picture(page, `${name}-${variant}`);
    }
    await page.context().close();
  }
});
