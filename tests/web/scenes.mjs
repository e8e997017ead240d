// SPDX-License-Identifier: Apache-2.0
// What the client shows besides its pages (pages.mjs): dialogs, menus, banners and states of pages, each by the page where
// it is and what is done there.
import { act, dialog } from "./rig.mjs";

const button = (name) => (page) => page.getByRole("main").getByRole("button", { name, exact: true }).first().click();
const action = (name, menu = "Actions") => (page) => act(page, menu, name);
const tab = (name, first) => async (page) => (await first(page), await dialog(page).getByRole("tab", { name }).click());
const files = (doing) => async (page) => (await page.getByLabel("Select kept.vmdk").or(page.getByLabel(/^Select .*vmx$/)).first().check(), await doing(page));
const header = (menu, item) => async (page) => {
  await page.getByRole("banner").getByRole("button", { name: menu }).click();
  if (item) await page.getByRole("menuitem", { name: item, exact: true }).click();
};

/** Of each scene: where, and what to do. `ids`: { vm: running, off: powered off with snapshots, datastore, network }. */
export const scenes = ({ vm, off, datastore }) => ({
  "create": ["host/vms", button("Create VM")],
  "create-wrong": ["host/vms", async (page) => {
    await button("Create VM")(page);
    await dialog(page).getByLabel("Name", { exact: true }).fill("mail");
    await dialog(page).getByLabel("CPUs", { exact: true }).fill("99");
    await dialog(page).getByLabel("Memory", { exact: true }).fill("63");
  }],
  "choose-file": ["host/vms", async (page) => (await button("Create VM")(page), await dialog(page).getByRole("button", { name: /CD image/ }).click())],
  "register": ["host/vms", button("Register VM")],
  "import": ["host/vms", button("Import")],
  "edit": [`host/vms/${off}`, action("Edit settings")],
  "edit-running": [`host/vms/${vm}`, action("Edit settings")],
  ...Object.fromEntries(["Resources", "Options", "Advanced"].map((t) => [`edit-${t.toLowerCase()}`, [`host/vms/${off}`, tab(t, action("Edit settings"))]])),
  "edit-more": [`host/vms/${off}`, async (page) => {
    await action("Edit settings")(page);
    for (const what of ["Add a disk", "Add a CD drive", "Add a network card", "Add a serial port"]) await dialog(page).getByRole("button", { name: what }).click();
    await dialog(page).locator("[aria-expanded=false]").first().click();
  }],
  "clone": [`host/vms/${off}`, action("Clone")],
  "export": [`host/vms/${off}`, action("Export")],
  "rename": [`host/vms/${off}`, action("Rename")],
  "unregister": [`host/vms/${off}`, action("Unregister")],
  "delete-vm": [`host/vms/${off}`, action("Delete")],
  "notes": [`host/vms/${off}`, button("Edit notes")],
  "off": [`host/vms/${vm}`, button("Power off")],
  "off-many": ["host/vms", async (page) => (await page.getByLabel("Select all").check(), await button("Power off")(page))],
  "reset": [`host/vms/${vm}`, action(/^Reset/)],
  "snapshot": [`host/vms/${vm}`, action("Take snapshot")],
  "revert": [`host/vms/${off}/snapshots`, button("Revert")],
  "snapshot-edit": [`host/vms/${off}/snapshots`, action("Edit name and description", "Actions of before the upgrade")],
  "snapshot-delete": [`host/vms/${off}/snapshots`, action("Delete", "Actions of before the upgrade")],
  "snapshots-delete": [`host/vms/${off}/snapshots`, button("Delete all")],
  "type-text": [`host/vms/${vm}/console`, async (page) => (await page.getByText("Connected", { exact: true }).waitFor(), await button("Type text")(page))],
  "serial": [`host/vms/${vm}/console`, (page) => page.getByLabel("Serial port").check()],
  "console-window": [`console/${vm}`, (page) => page.locator("canvas").waitFor()],
  "console-off": [`host/vms/${off}/console`, async () => {}],
  "performance-off": [`host/vms/${off}/performance`, async () => {}],
  "maintenance": ["host", action("Enter maintenance mode")],
  "datastore-new": ["host/datastores", button("New datastore")],
  "datastore-rename": ["host/datastores", action("Rename", "Actions of datastore1")],
  "folder": [`host/datastores/${datastore}/files/archive`, async () => {}],
  "folder-new": [`host/datastores/${datastore}`, button("New folder")],
  "file-move": [`host/datastores/${datastore}/files/archive`, files(action("Move or rename"))],
  "file-copy": [`host/datastores/${datastore}/files/archive`, files(action("Copy"))],
  "file-delete": [`host/datastores/${datastore}/files/archive`, files(action("Delete"))],
  "drag-over": [`host/datastores/${datastore}`, (page) => page.locator("main .drop").dispatchEvent("dragover")],
  "portgroup-add": ["host/networking", button("Add port group")],
  "portgroup-edit": ["host/networking", action("Edit", "Actions of VM Network")],
  "switch-add": ["host/networking/switches", button("Add switch")],
  "switch-delete": ["host/networking/switches", action("Delete", "Actions of vSwitch0")],
  "firewall-edit": ["host/networking/firewall", (page) => page.getByRole("button", { name: /^Edit / }).first().click()],
  "user-add": ["host/manage/users", button("Add user")],
  "user-edit": ["host/manage/users", action("Edit", "Actions of vera")],
  "user-delete": ["host/manage/users", action("Delete", "Actions of vera")],
  "role-add": ["host/manage/roles", async (page) => (await button("Add role")(page), await dialog(page).locator("summary").first().click())],
  "permission-add": ["host/manage/permissions", button("Add permission")],
  "permission-remove": ["host/manage/permissions", action("Take away", "Actions of vera")],
  "option-edit": ["host/manage/advanced", (page) => page.getByRole("button", { name: /^Edit / }).first().click()],
  "certificate-request": ["host/manage/security", button("Signing request")],
  "certificate-install": ["host/manage/security", button("Install a certificate")],
  "help": ["host", header("Help", "Help")],
  "about": ["host", header("Help", "About")],
  "password": ["host", header("root", "Change password")],
  "menu-user": ["host", header("root")],
  "menu-vm": [`host/vms/${vm}`, button("Actions")],
  "menu-row": ["host/vms", (page) => page.getByRole("main").getByRole("row").nth(2).click({ button: "right", position: { x: 300, y: 10 } })],
  "menu-columns": ["host/vms", button("Columns")],
  "selected": ["host/vms", (page) => page.getByLabel("Select all").check()],
  "filtered": ["host/vms", (page) => page.getByLabel("Filter Virtual machines").fill("zzz")],
  "search": ["host", (page) => page.getByRole("combobox", { name: /Search/ }).fill("a")],
  "search-nothing": ["host", (page) => page.getByRole("combobox", { name: /Search/ }).fill("zzz")],
  "vm-gone": ["host/vms/4711", async () => {}],
});
