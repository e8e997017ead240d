// SPDX-License-Identifier: Apache-2.0
// Files on datastores: listing by the datastore's browser; upload.ts sends them to /folder.
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

