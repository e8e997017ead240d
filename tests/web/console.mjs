// SPDX-License-Identifier: Apache-2.0
// The console in the page: the firmware's screen is seen, keys that are typed change it, the serial port answers.
import { check, createVm, dialog, eventually, logIn, main, open, openPage, picture, step } from "./rig.mjs";


/** How many pixels of noVNC's canvas are lit, and a digest of them. */
const look = (page) =>
  page.evaluate(() => {
    const canvas = document.querySelector(".screen canvas");
    if (!canvas?.width) return { lit: 0, sum: 0 };
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let lit = 0, sum = 0;
    for (let i = 0; i < data.length; i += 4)
      if (data[i] + data[i + 1] + data[i + 2] > 96) (lit++, (sum = (sum * 31 + i) | 0));
    return { lit, sum, width: canvas.width, height: canvas.height };
  });

await main(async (host, browser) => {
  const page = await openPage(browser);
  let id;

  await step("a virtual machine with nothing to boot is started", async () => {
    await logIn(page, host);
    await page.getByRole("region", { name: "Capacity" }).waitFor();
    id = await createVm(page, host, "screen", { disk: "0", start: true });
  });
  await step("its summary has a picture of the screen", async () => {
    const image = page.getByRole("img", { name: "The screen" });
    await image.waitFor();
    await eventually(() => image.evaluate((i) => i.complete && i.naturalWidth > 0), "no picture came");
  });
  await step("the console shows what the firmware writes", async () => {
    await page.getByRole("link", { name: "Console", exact: true }).first().click();
    await page.getByText("Connected", { exact: true }).waitFor();
    await eventually(async () => (await look(page)).lit > 500, "the screen stays dark", 40);
    await picture(page, "console");
  });
  await step("Ctrl-Alt-Del starts the firmware again, and the screen changes", async () => {
    const before = await look(page);
    await page.getByRole("button", { name: "Ctrl-Alt-Del" }).click();
    await eventually(async () => (await look(page)).sum !== before.sum, "the screen stays as it is", 40);
  });
  await step("a window of its own shows the same", async () => {
    const [own] = await Promise.all([page.context().waitForEvent("page"), page.getByRole("link", { name: "Own window" }).click()]);
    await own.getByText("Connected", { exact: true }).waitFor();
    await eventually(async () => (await look(own)).lit > 500, "the screen stays dark", 40);
    check((await own.title()).startsWith("screen"), await own.title());
    await own.close();
  });
  await step("the serial port is a terminal", async () => {
    await page.getByRole("radio", { name: "Serial port" }).check();
    await page.locator(".terminal-place .xterm").waitFor();
    await page.waitForTimeout(500);
    check((await page.getByText("The serial port is disconnected.").count()) === 0, "it was disconnected");
  });
  await step("a ticket opens once", async () => {
    const twice = await page.evaluate(async (id) => {
      const answer = await fetch(`/sdk/vim25/8.0.3.0/VirtualMachine/${id}/AcquireTicket`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ticketType: "webmks" }) });
      const url = `wss://${location.host}/ticket/${(await answer.json()).ticket}`;
      const attempt = () => new Promise((r) => { const s = new WebSocket(url, ["binary"]); s.onopen = () => (s.close(), r(true)); s.onerror = () => r(false); });
      return [await attempt(), await attempt()];
    }, id);
    check(twice[0] && !twice[1], String(twice));
    page.complaints = []; // the refused one
  });
  await step("powered off, the console says so", async () => {
    await page.getByRole("radio", { name: "Screen" }).check();
    await page.getByRole("button", { name: "Power off" }).click();
    await dialog(page).getByRole("button", { name: "Power off" }).click();
    await page.getByText("there is nothing on its screen").waitFor();
  });
  await step("the browser had nothing to complain about", () => check(!page.complaints.length, page.complaints.join("\n")));
});
