// SPDX-License-Identifier: Apache-2.0
// Text typed into a guest key by key: what people have instead of a clipboard before tools are installed in it.
import { useState } from "preact/hooks";
import { Dialog } from "../ui/dialog";
import { CheckField, SelectField, TextField } from "../ui/field";
import { plural } from "../ui/format";
import { layouts, strokes, type Stroke } from "./keyboards";

export const TEXT_MAX = 16_384;
const KEPT = "keyboard", PAUSE_MS = 20, SLOW_MS = 120; // a BIOS keeps 16 keys for its programs, and nothing says that one was lost

/** The layout that was chosen last; else one that goes with the reader's language. */
function usual(): string {
  const kept = localStorage.getItem(KEPT), region = /-([A-Z]{2})$/.exec(navigator.language)?.[1]?.toLowerCase() ?? "";
  return kept && layouts[kept] ? kept : layouts[region] ? region : "us";
}

export interface Typing {
  key: (code: string, down: boolean) => void;
  slow: boolean;
  /** Called after each stroke; false ends it. */
  went: (done: number, all: number) => boolean;
}

export async function typeStrokes(all: Stroke[], { key, slow, went }: Typing): Promise<void> {
  for (const [i, { code, shift, altgr }] of all.entries()) {
    const held = [shift && "ShiftLeft", altgr && "AltRight"].filter((k): k is string => Boolean(k));
    for (const k of held) key(k, true);
    key(code, true);
    key(code, false);
    for (const k of held.reverse()) key(k, false);
    if (!went(i + 1, all.length)) return;
    await new Promise((next) => setTimeout(next, slow ? SLOW_MS : PAUSE_MS));
  }
}

export function TypeText({ first, onType }: { first: string; onType: (strokes: Stroke[], slow: boolean) => void }) {
  const [text, setText] = useState(first);
  const [layout, setLayout] = useState(usual);
  const [slow, setSlow] = useState(false);
  const { strokes: found, missing } = strokes(layouts[layout]!, text);
  const lines = text.split("\n").length - 1;
  const wrong = text.length > TEXT_MAX ? `At most ${TEXT_MAX} characters.`
    : missing.length ? `This layout has no keys for ${missing.slice(0, 20).join(" ")}` : "";
  const go = () => {
    localStorage.setItem(KEPT, layout);
    onType(found, slow);
  };
  return (
    <Dialog title="Type text" confirm="Type" onConfirm={go} because={wrong || (!text && "There is nothing to type.")}>
      <div class="pf-v6-c-form">
        <TextField label="Text" lines={8} value={text} onValue={setText} error={wrong} autoFocus
          help={`${plural(found.length, "key")}${lines ? `, ${lines} of them Enter: a shell runs each line` : ""}.`} />
        <SelectField label="Keyboard layout of the guest" value={layout} onValue={setLayout}
          choices={Object.entries(layouts).map(([id, { name }]) => [id, name] as const)}
          help="The guest hears of keys and makes characters of them itself. Caps Lock has to be off there." />
        <CheckField label="Slowly" checked={slow} onValue={setSlow} help="For firmware and boot loaders, which lose keys that come too fast." />
      </div>
    </Dialog>
  );
}
