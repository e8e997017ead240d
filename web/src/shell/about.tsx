// SPDX-License-Identifier: Apache-2.0
// How this client is used, and what it is: release, licence, what it is made of.
import { Facts } from "../ui/card";
import { Dialog, openDialog } from "../ui/dialog";
import { content } from "../vim/session";
import { Mark, release } from "./brand";

const PARTS = [["Preact", "MIT"], ["PatternFly", "MIT"], ["Lucide", "ISC"], ["noVNC", "MPL-2.0"], ["xterm.js", "MIT"], ["uPlot", "MIT"]] as const;

const Help = () => (
  <Dialog title="Help" confirm="Close" only onConfirm={() => {}}>
    <Facts of={[
      ["Ctrl-K or /", "Find a virtual machine, datastore, network or page by its name"],
      ["Right click", "On a line of a table: what can be done with it"],
      ["Tab, Enter", "Go through a page; what is grey says why"],
      ["Arrow keys", "In menus and in the tabs of a dialog"],
      ["Escape", "Close a menu or dialog"],
    ]} />
    <h2 class="section">As a command</h2>
    <p>Each dialog shows how the same is done in a shell: with <code>socle</code> on the host or from elsewhere, with govc, and as a request of the API, which is all that
      this client uses. <code>$SESSION</code> is the header <code>vmware-api-session-id</code> of the answer to SessionManager's Login.</p>
    <h2 class="section">First steps</h2>
    <p>Upload an installation image (Storage, a datastore, Upload), create a virtual machine with it as its CD, power it on and open its console. One that comes from
      another hypervisor is imported as an OVA, or its folder is copied to a datastore and registered.</p>
  </Dialog>
);

function About() {
  const about = content.value?.about;
  return (
    <Dialog title="About Socle" confirm="Close" only onConfirm={() => {}}>
      <p class="brand"><Mark />Socle {release()}</p>
      <p>A hypervisor for bare metal. Free software under the Apache License 2.0: no key, no account, no limit, and nothing is sent to anybody.</p>
      <Facts of={[
        ["Host", location.hostname], ["Product", about?.fullName], ["API", about && `vim25 ${about.apiVersion}, as ${about.apiType}`],
        ["This client", PARTS.map(([name, licence]) => `${name} (${licence})`).join(", ")],
      ]} />
    </Dialog>
  );
}

export const openHelp = () => openDialog(<Help />);
export const openAbout = () => openDialog(<About />);
