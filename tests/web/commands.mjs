// SPDX-License-Identifier: Apache-2.0
// "As a command": each command that a dialog shows is carried out as it stands, in a shell, instead of the dialog's
// button, and the host is looked at. `govc` takes part where it is installed.
import { spawnSync } from "node:child_process";
import { act, api, build, check, createVm, dialog, eventually, logIn, main, open, openPage, PASSWORD, step } from "./rig.mjs";

const BY = ["socle command", "request", ...(spawnSync("govc", ["version"]).error ? [] : ["govc command"])];
const short = (by) => by.split(" ")[0];

await main(async (host, browser) => {
  const page = await openPage(browser);
  const env = {
    ...process.env, PATH: `${build}:${process.env.PATH}`, SOCLE_ROOT: host.root, PASSWORD, NEW_PASSWORD: "green Tea 7 leaves",
    GOVC_URL: host.url, GOVC_USERNAME: "root", GOVC_PASSWORD: PASSWORD, GOVC_INSECURE: "1", GOVC_PERSIST_SESSION: "false",
  };

  /** The open dialog's command; undefined where it has none of that kind. The dialog is left without having done it. */
  async function commandOf(by) {
    await dialog(page).getByRole("button", { name: "As a command" }).click();
    await dialog(page).locator("pre[data-by=request]").waitFor();
    const texts = await dialog(page).locator(`pre[data-by="${by}"]`).allTextContents();
    const login = await dialog(page).locator("pre[data-by='log-in']").textContent();
    await dialog(page).getByRole("button", { name: "Cancel" }).click();
    await dialog(page).waitFor({ state: "detached" });
    return texts.length && (by === "request" ? `${login}\n${texts[0]}` : texts[0]);
  }
  /** Carries out what the dialog that `fill` opens shows, for each kind of command; `seen` says that it was done. */
  async function each(name, fill, seen, but = []) {
    for (const by of BY.filter((by) => !but.includes(short(by))))
      await step(`${name}, by ${short(by)}`, async () => {
        const id = short(by);
        await fill(id);
        const text = await commandOf(by);
        check(text, "there is none");
        const { status, stdout, stderr } = spawnSync("sh", ["-ec", text], { env, encoding: "utf8", cwd: host.folder });
        check(status === 0 && !/faultstring|_typeName": *"[A-Z]\w*Fault/.test(stdout), `${text}\n${stdout}${stderr}`);
        await eventually(() => seen(id), `it was not done: ${text}\n${stdout}${stderr}`);
      });
  }
  const listed = (name) => page.getByRole("main").getByRole("link", { name, exact: true }).count();
  const onVm = async (name, action) => {
    await open(page, host, "host", "vms");
    await page.getByRole("main").getByRole("link", { name, exact: true }).click();
    await page.getByRole("heading", { name, exact: true }).waitFor();
    if (action) await act(page, "Actions", action);
  };
  const cell = (text) => page.getByRole("cell", { name: text, exact: true }).count();

  await logIn(page, host);
  await page.getByRole("region", { name: "Capacity" }).waitFor();

  await each("a VM is created", async (id) => {
    await open(page, host, "host", "vms");
    await page.getByRole("button", { name: "Create VM" }).first().click();
    await dialog(page).getByLabel("Name", { exact: true }).fill(`it's ${id}`);
    await dialog(page).getByLabel("Memory", { exact: true }).fill("64");
    await dialog(page).getByLabel("Disk", { exact: true }).fill("1");
  }, async (id) => await listed(`it's ${id}`));
  for (const by of BY) await step(`one for ${short(by)}`, () => createVm(page, host, `vm ${short(by)}`));
  await each("it gets another name", async (id) => {
    await onVm(`vm ${id}`, "Rename");
    await dialog(page).getByLabel("Name", { exact: true }).fill(`new $${id}`);
  }, async (id) => await page.getByRole("heading", { name: `new $${id}`, exact: true }).count());
  await each("its settings are changed", async (id) => {
    await onVm(`new $${id}`, "Edit settings");
    await dialog(page).getByLabel("Memory", { exact: true }).fill("128");
  }, async () => (await api(page, "VirtualMachine", page.url().match(/vms\/(\d+)/)[1], "config")).hardware.memoryMB === 128);
  await each("a snapshot is taken", async (id) => {
    await onVm(`new $${id}`, "Take snapshot");
    await dialog(page).getByLabel("Name", { exact: true }).fill("first one");
  }, async () => {
    await page.getByRole("link", { name: "Snapshots" }).click();
    return page.getByRole("list", { name: "Snapshots" }).getByText("first one", { exact: true }).count();
  });
  await each("it is cloned, linked", async (id) => {
    await onVm(`new $${id}`, "Clone");
    await dialog(page).getByLabel("Name of the copy").fill(`clone ${id}`);
    await dialog(page).getByLabel(/^Linked clone/).check();
  }, async (id) => (await open(page, host, "host", "vms"), page.waitForTimeout(300), await listed(`clone ${id}`)));
  await each("it is unregistered", async (id) => onVm(`clone ${id}`, "Unregister"), async (id) => (await open(page, host, "host", "vms"), !(await listed(`clone ${id}`))));
  await each("it is registered", async (id) => {
    await open(page, host, "host", "vms");
    await page.getByRole("button", { name: "Register VM" }).click();
    await dialog(page).getByLabel("Configuration file").fill(`clone ${id}/clone ${id}.vmx`);
  }, async (id) => await listed(`clone ${id}`));
  await each("it is deleted", async (id) => onVm(`clone ${id}`, "Delete"), async (id) => (await open(page, host, "host", "vms"), !(await listed(`clone ${id}`))));

  await each("a folder is made", async (id) => {
    await open(page, host, "host", "datastores");
    await page.getByRole("link", { name: "datastore1" }).click();
    await page.getByRole("button", { name: "New folder" }).click();
    await dialog(page).getByLabel("Name").fill(`of ${id}`);
  }, async (id) => (await page.getByRole("button", { name: "Refresh" }).click(), await listed(`of ${id}`)));
  await each("it is deleted with its files", async (id) => {
    await page.getByRole("row").filter({ has: page.getByRole("link", { name: `of ${id}`, exact: true }) }).getByLabel("Select").check();
    await act(page, "Actions", "Delete");
  }, async (id) => (await page.getByRole("button", { name: "Refresh" }).click(), !(await listed(`of ${id}`))));
  await each("a port group is made", async (id) => {
    await open(page, host, "host", "networking");
    await page.getByRole("button", { name: "Add port group" }).click();
    await dialog(page).getByLabel("Name", { exact: true }).fill(`group ${id}`);
    await dialog(page).getByLabel("VLAN").fill("7");
  }, async (id) => await listed(`group ${id}`));
  await each("it is edited", async (id) => {
    await act(page, `Actions of group ${id}`, "Edit");
    await dialog(page).getByLabel("VLAN").fill("8");
  }, async (id) => await page.getByRole("row").filter({ has: page.getByRole("link", { name: `group ${id}`, exact: true }) }).getByText("8", { exact: true }).count(), ["socle"]);
  await each("and removed", async (id) => act(page, `Actions of group ${id}`, "Delete"), async (id) => !(await listed(`group ${id}`)));
  await each("a user is added", async (id) => {
    await open(page, host, "host", "manage", "users");
    await page.getByRole("button", { name: "Add user" }).click();
    await dialog(page).getByLabel("User name").fill(id);
    await dialog(page).getByLabel("Password", { exact: true }).fill("green Tea 7 leaves");
    await dialog(page).getByLabel("Once more").fill("green Tea 7 leaves");
  }, async (id) => await cell(id), ["socle", "govc"]); // they ask for the password, and have no such command
  await each("it may see one VM", async (id) => {
    await open(page, host, "host", "manage", "permissions");
    await page.getByRole("button", { name: "Add permission" }).click();
    await dialog(page).getByLabel("On", { exact: true }).selectOption({ label: `Virtual machine new $${id}` });
  }, async (id) => await cell(`Virtual machine new $${id}`));
  await each("a role is added", async (id) => {
    await open(page, host, "host", "manage", "roles");
    await page.getByRole("button", { name: "Add role" }).click();
    await dialog(page).getByLabel("Name", { exact: true }).fill(`role ${id}`);
    await dialog(page).getByLabel("Find a privilege").fill("Interact.PowerOn");
    await dialog(page).getByLabel("VirtualMachine.Interact.PowerOn").check();
  }, async (id) => await cell(`role ${id}`));
  await each("and removed", async (id) => act(page, `Actions of role ${id}`, "Delete"), async (id) => !(await cell(`role ${id}`)));
  await step("the browser had nothing to complain about", () => check(!page.complaints.length, page.complaints.join("\n")));
});
