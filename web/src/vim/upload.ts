// SPDX-License-Identifier: Apache-2.0
// Uploads, which go on while other pages are looked at. The host keeps what has come of one that breaks off; it is
// taken up by itself when the host answers again and somebody is logged in, and by whoever gives the same file once
// more after the page was closed.
import { signal } from "@preact/signals";
import { fileUrl } from "./files";
import { user } from "./session";

export interface Transfer {
  id: number;
  name: string;
  to: string;
  size: number;
  sent: number;
  /** "paused": what came between passes. */
  state: "running" | "paused" | "done" | "failed";
  error?: string | undefined;
  cancel: () => void;
  again?: () => void;
}

export const transfers = signal<readonly Transfer[]>([]);
export const isUnderWay = (t: Transfer) => t.state === "running" || t.state === "paused";
const SHOWN_MS = 10_000, PAUSE_MS = 1000, PAUSE_MAX_MS = 10_000;
let last = 0;

function change(id: number, to: Partial<Transfer>) {
  transfers.value = transfers.value.map((t) => (t.id === id ? { ...t, ...to } : t));
}
export const forget = (id: number) => (transfers.value = transfers.value.filter((t) => t.id !== id));

addEventListener("beforeunload", (e) => transfers.value.some(isUnderWay) && e.preventDefault());

/** The host has said no; trying again would not help. */
class Refused extends Error {}
const passes = (status: number) => status === 0 || status === 401 || (status >= 502 && status <= 504);

/** Sends what the host does not have yet. */
function send(id: number, url: string, file: Blob, from: number, cancelled: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    if (file.size) request.setRequestHeader("Content-Range", `bytes ${from}-${file.size - 1}/${file.size}`);
    request.upload.onprogress = (e) => change(id, { sent: from + e.loaded });
    request.onload = () => {
      const { status } = request, text = request.responseText.trim() || `HTTP ${status}`;
      if (status < 300) resolve();
      else reject(passes(status) ? new Error("The host is restarting.") : new Refused(text));
    };
    request.onerror = () => reject(new Error("The connection broke off."));
    request.onabort = () => reject(cancelled.aborted ? new Refused("Cancelled.") : new Error("The page is left."));
    cancelled.addEventListener("abort", () => request.abort());
    request.send(from ? file.slice(from) : file);
  });
}

/** How much of an upload that broke off the host has kept. */
async function kept(url: string, size: number): Promise<number> {
  const answer = await fetch(url, { method: "PUT", headers: { "Content-Range": `bytes */${size}` } });
  if (passes(answer.status)) throw new Error("The host is restarting.");
  const range = /^bytes=0-(\d+)$/.exec(answer.headers.get("Range") ?? "");
  return answer.ok && range ? Math.min(Number(range[1]) + 1, size) : 0;
}

/* What was begun stays on record in the browser, so that a part is continued by its own file alone. */
const record = (url: string) => `upload ${url}`;
const markOf = (file: File) => `${file.size} ${file.lastModified}`;
export const isBegun = (url: string, file: File) => localStorage.getItem(record(url)) === markOf(file);

/** All of it, however often the host goes away meanwhile. */
async function sendAll(id: number, url: string, file: File, cancelled: AbortSignal): Promise<void> {
  const whose = user.value?.userName;
  let resume = isBegun(url, file);
  localStorage.setItem(record(url), markOf(file));
  for (let pause = PAUSE_MS; ; pause = Math.min(pause * 2, PAUSE_MAX_MS)) {
    try {
      const from = resume && file.size ? await kept(url, file.size) : 0;
      change(id, { state: "running", sent: from, error: undefined });
      if (from < file.size || !file.size) await send(id, url, file, from, cancelled);
      localStorage.removeItem(record(url));
      return;
    } catch (e) {
      if (e instanceof Refused) {
        localStorage.removeItem(record(url));
        throw e;
      }
      change(id, { state: "paused", error: user.value ? "The host does not answer. Trying again …" : "It goes on when you are logged in." });
    }
    resume = true;
    do await new Promise((wake) => setTimeout(wake, pause));
    while (!user.value && !cancelled.aborted);
    if (cancelled.aborted) {
      localStorage.removeItem(record(url));
      throw new Refused("Cancelled.");
    }
    /* What one user has begun is not written with another's rights; he may go on with it later. */
    if (user.value?.userName !== whose) throw new Error("Another user has logged in.");
  }
}

export function upload(datastore: string, folder: string, file: File, whenDone: () => void): void {
  const id = ++last, path = folder ? `${folder}/${file.name}` : file.name, url = fileUrl(datastore, path);
  const attempt = async () => {
    const cancelled = new AbortController();
    change(id, { state: "running", error: undefined, cancel: () => cancelled.abort() });
    try {
      await sendAll(id, url, file, cancelled.signal);
      change(id, { state: "done", sent: file.size });
      whenDone();
      setTimeout(() => forget(id), SHOWN_MS);
    } catch (e) {
      change(id, { state: "failed", error: e instanceof Error ? e.message : String(e) });
    }
  };
  transfers.value = [...transfers.value, {
    id, name: file.name, to: `[${datastore}] ${path}`, size: file.size, sent: 0, state: "running", cancel: () => {}, again: () => void attempt(),
  }];
  void attempt();
}
