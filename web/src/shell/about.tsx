// SPDX-License-Identifier: Apache-2.0
// What this is, what it is made of, and its keys.
import { Facts } from "../ui/card";
import { Dialog, openDialog } from "../ui/dialog";
import { content } from "../vim/session";

const PARTS = [["Preact", "MIT"], ["PatternFly", "MIT"], ["noVNC", "MPL-2.0"], ["xterm.js", "MIT"], ["uPlot", "MIT"], ["Lucide", "ISC"]] as const;

function About() {
  const about = content.value?.about;
  return (
    <Dialog title="Help" confirm="Close" only onConfirm={() => {}}>
      <Facts of={[
        ["Ctrl-K or /", "Find anything by its name"], ["Tab, Enter", "Go through a page; what is grey says why"], ["Arrow keys", "In menus and the tabs of a dialog"], ["Escape", "Close a menu or dialog"],
        ["“As a command”", "In a dialog: the same for a shell. $SESSION is the header vmware-api-session-id of the answer to SessionManager's Login."],
      ]} />
      <Facts of={[["Host", about?.fullName], ["API", about && `${about.apiType} ${about.apiVersion}`], ["This client", PARTS.map(([name, licence]) => `${name} (${licence})`).join(", ")]]} />
    </Dialog>
  );
}

export const openHelp = () => openDialog(<About />);
