// SPDX-License-Identifier: Apache-2.0
// Files on datastores: listing by the datastore's browser, transfers by /folder.
import { signal } from "@preact/signals";
import { on, type AnyRef } from "./client";
import { done } from "./task";
import type { FileInfo, HostDatastoreBrowser, HostDatastoreBrowserSearchResults } from "./types.gen";

export const DATACENTER = "ha-datacenter";

export async function listFolder(browser: AnyRef, path: string): Promise<FileInfo[]> {
  const query = ["FolderFileQuery", "VmDiskFileQuery", "IsoImageFileQuery", "VmConfigFileQuery", "VmLogFileQuery", "FileQuery"];
  const task = await on<HostDatastoreBrowser>(browser).SearchDatastore_Task({
    datastorePath: path,
    searchSpec: {
      _typeName: "HostDatastoreBrowserSearchSpec",
      query: query.map((_typeName) => ({ _typeName })),
      details: { _typeName: "FileQueryFlags", fileType: true, fileSize: true, modification: true, fileOwner: false },
      sortFoldersFirst: true,
    },
  });
  const files = ((await done(task)).result as HostDatastoreBrowserSearchResults | undefined)?.file ?? [];
  const rank = (f: FileInfo) => Number(f._typeName !== "FolderFileInfo");
  return files.sort((a, b) => rank(a) - rank(b) || a.path.localeCompare(b.path, undefined, { numeric: true }));
}

export function fileUrl(datastore: string, path: string): string {
  return `/folder/${path.split("/").map(encodeURIComponent).join("/")}?dcPath=${DATACENTER}&dsName=${encodeURIComponent(datastore)}`;
}

/* --- transfers, which go on while other pages are looked at --- */

export interface Transfer {
  id: number;
  name: string;
  to: string;
  size: number;
  sent: number;
  state: "running" | "paused" | "done" | "failed";
  error?: string;
  cancel: () => void;
  again?: () => void;
}

export const transfers = signal<readonly Transfer[]>([]);
let last = 0;

function change(id: number, to: Partial<Transfer>) {
  transfers.value = transfers.value.map((t) => (t.id === id ? { ...t, ...to } : t));
}
export const forget = (id: number) => (transfers.value = transfers.value.filter((t) => t.id !== id));

/** Sends what the host does not have yet; one that broke off can be taken up again. */
function send(id: number, url: string, file: Blob, from: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    if (file.size) request.setRequestHeader("Content-Range", `bytes ${from}-${file.size - 1}/${file.size}`);
    request.upload.onprogress = (e) => change(id, { sent: from + e.loaded });
    request.onload = () => (request.status < 300 ? resolve() : reject(new Error(request.responseText.trim() || `HTTP ${request.status}`)));
    request.onerror = () => reject(new Error("The connection broke off."));
    request.onabort = () => reject(new Error("Cancelled."));
    change(id, { cancel: () => request.abort() });
    request.send(from ? file.slice(from) : file);
  });
}

/** How much of an upload that broke off the host has kept. */
async function kept(url: string, size: number): Promise<number> {
  const answer = await fetch(url, { method: "PUT", headers: { "Content-Range": `bytes */${size}` } });
  const range = /^bytes=0-(\d+)$/.exec(answer.headers.get("Range") ?? "");
  return answer.ok && range ? Number(range[1]) + 1 : 0;
}

export function upload(datastore: string, folder: string, file: File, whenDone: () => void): void {
  const id = ++last, path = folder ? `${folder}/${file.name}` : file.name, url = fileUrl(datastore, path);
  const attempt = async (resume: boolean) => {
    const from = resume && file.size ? Math.min(await kept(url, file.size), file.size) : 0;
    change(id, { state: "running", sent: from });
    try {
      if (from < file.size || !file.size) await send(id, url, file, from);
      change(id, { state: "done", sent: file.size });
      whenDone();
    } catch (e) {
      change(id, { state: "failed", error: e instanceof Error ? e.message : String(e) });
    }
  };
  transfers.value = [...transfers.value, {
    id, name: file.name, to: `[${datastore}] ${path}`, size: file.size, sent: 0, state: "running", cancel: () => {}, again: () => void attempt(true),
  }];
  void attempt(false);
}
