// SPDX-License-Identifier: Apache-2.0
// Files that are dropped on the page, wherever on it: what is open on top takes them. Without this a browser would
// leave the page and show the file.
import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";

type Take = (files: File[]) => void;

const takers: { current: Take }[] = [];
/** Files are held over the page. */
export const held = signal(false);

/** Whoever asked last takes what is dropped, as long as it is shown. */
export function useDrop(take: Take): void {
  const mine = useRef(take);
  mine.current = take;
  useLayoutEffect(() => {
    takers.push(mine);
    return () => void takers.splice(takers.indexOf(mine), 1);
  }, []);
}

const hasFiles = (e: DragEvent) => e.dataTransfer?.types.includes("Files") ?? false;

addEventListener("dragover", (e) => {
  if (!hasFiles(e)) return;
  e.preventDefault();
  held.value = takers.length > 0;
  e.dataTransfer!.dropEffect = takers.length ? "copy" : "none";
});
addEventListener("dragleave", (e) => e.relatedTarget || (held.value = false));
addEventListener("drop", (e) => {
  if (!hasFiles(e)) return;
  e.preventDefault();
  held.value = false;
  const files = [...(e.dataTransfer?.items ?? [])].filter((i) => !i.webkitGetAsEntry()?.isDirectory).map((i) => i.getAsFile()).filter((f) => f !== null);
  takers.at(-1)?.current(files);
});

/** Asks for files of this computer. */
export function pickFiles(take: Take, multiple = true): void {
  const input = document.createElement("input");
  Object.assign(input, { type: "file", multiple, onchange: () => take([...(input.files ?? [])]) });
  input.click();
}
