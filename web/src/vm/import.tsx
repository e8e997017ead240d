// SPDX-License-Identifier: Apache-2.0
// Import of an OVA or OVF: the host reads the descriptor and says what it makes of it, then takes the disks one after
// the other over a lease.
import { useState } from "preact/hooks";
import { held, pickFiles, useDrop } from "../shell/drop";
import { say } from "../ui/alert";
import { Button } from "../ui/button";
import { Bar } from "../ui/card";
import { Dialog, openDialog } from "../ui/dialog";
import { CheckField, SelectField, TextField } from "../ui/field";
import { bytes, plural, quoted } from "../ui/format";
import { get, hostUrl, on, type AnyRef } from "../vim/client";
import { datastores, host, networks } from "../vim/inventory";
import { content } from "../vim/session";
import type {
  HttpNfcLease, HttpNfcLeaseInfo, OvfCreateImportSpecResult, OvfFileItem, OvfManager, OvfParseDescriptorResult,
  ResourcePool, VirtualMachine,
} from "../vim/types.gen";
import { leaseReady, throwFaults } from "./lease";
import { openPackage, type Package } from "./ova";
import { cannotPlace, rootPool, vmFolder } from "./place";

const manager = () => on<OvfManager>(content.value!.ovfManager!);

function sendDisk(url: string, item: OvfFileItem, data: Blob, tell: (sent: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(item.create ? "PUT" : "POST", hostUrl(url));
    request.setRequestHeader("Content-Type", "application/x-vnd.vmware-streamVmdk");
    request.upload.onprogress = (e) => tell(e.loaded);
    request.onload = () => (request.status < 300 ? resolve() : reject(new Error(`${item.path}: ${request.responseText.trim() || `HTTP ${request.status}`}`)));
    request.onerror = () => reject(new Error(`${item.path}: the connection broke off.`));
    request.send(data);
  });
}

async function sendAll(lease: AnyRef, spec: OvfCreateImportSpecResult, pack: Package, tell: (share: number) => void): Promise<void> {
  const info = await leaseReady(lease, "The host cannot take it."), items = spec.fileItem ?? [];
  const all = items.reduce((sum, i) => sum + (pack.files.get(i.path)?.size ?? 0), 0) || 1;
  let before = 0, shown = -1;
  const progress = (sent: number) => {
    const share = Math.floor(((before + sent) / all) * 100);
    tell(share);
    if (share !== shown) void on<HttpNfcLease>(lease).HttpNfcLeaseProgress({ percent: (shown = share) }).catch(() => {});
  };
  for (const item of items) {
    const data = pack.files.get(item.path), url = info.deviceUrl?.find((d) => d.importKey === item.deviceId)?.url;
    if (!data) throw new Error(`“${item.path}” is not among the files.`);
    if (!url) throw new Error(`The host does not say where “${item.path}” goes.`);
    await sendDisk(url, item, data, progress);
    before += data.size;
  }
}

interface Choice { name: string; store: string; thin: boolean; start: boolean; network: { [name: string]: string } }

async function importPackage(pack: Package, c: Choice, tell: (share: number) => void): Promise<void> {
  const pool = rootPool();
  const spec = await manager().CreateImportSpec({
    ovfDescriptor: pack.descriptor, resourcePool: pool, datastore: datastores().find((d) => d.ref.value === c.store)!.ref,
    cisp: {
      _typeName: "OvfCreateImportSpecParams", locale: "", deploymentOption: "", entityName: c.name, diskProvisioning: c.thin ? "thin" : "thick",
      networkMapping: Object.entries(c.network).map(([name, id]) => ({ _typeName: "OvfNetworkMapping", name, network: networks().find((n) => n.ref.value === id)!.ref })),
      ...(host() && { hostSystem: host()!.ref }),
    },
  });
  throwFaults(spec.error);
  const lease = await on<ResourcePool>(pool).ImportVApp({ spec: spec.importSpec!, folder: vmFolder() });
  try {
    await sendAll(lease, spec, pack, tell);
  } catch (e) {
    await on<HttpNfcLease>(lease).HttpNfcLeaseAbort({}).catch(() => {});
    throw e;
  }
  const vm = (await get<HttpNfcLeaseInfo>(lease, "info")).entity;
  await on<HttpNfcLease>(lease).HttpNfcLeaseComplete({});
  if (c.start) await on<VirtualMachine>(vm).PowerOnVM_Task({});
}

function ImportDialog({ pack, parsed }: { pack: Package; parsed: OvfParseDescriptorResult }) {
  const [c, set] = useState<Choice>({
    name: parsed.defaultEntityName, store: datastores()[0]?.ref.value ?? "", thin: true, start: false,
    network: Object.fromEntries((parsed.network ?? []).map((n) => [n.name, networks().find((m) => m.name === n.name)?.ref.value ?? networks()[0]?.ref.value ?? ""])),
  });
  const [share, setShare] = useState<number>();
  const size = [...pack.files.values()].reduce((sum, f) => sum + f.size, 0);
  return (
    <Dialog title="Import a virtual machine" confirm="Import" because={!c.name.trim() && "A name is needed."} onConfirm={() => importPackage(pack, c, setShare)}
      commands={{ socle: `socle vm import ${quoted(pack.name)} --name ${quoted(c.name)}`, govc: `govc import.${/\.ova$/i.test(pack.name) ? "ova" : "ovf"} -name ${quoted(c.name)} ${quoted(pack.name)}` }}>
      <p class="subtle">{plural(pack.files.size, "file")}, {bytes(size)}{parsed.productInfo?.name ? `: ${parsed.productInfo.name} ${parsed.productInfo.version ?? ""}` : ""}</p>
      {parsed.eula?.map((text, i) => <details key={i}><summary>Licence agreement</summary><pre>{text}</pre></details>)}
      <TextField label="Name" value={c.name} onValue={(name) => set({ ...c, name })} autoFocus />
      <SelectField label="Datastore" value={c.store} onValue={(store) => set({ ...c, store })}
        choices={datastores().map((d) => [d.ref.value, `${d.name} (${bytes(d.summary?.freeSpace)} free)`] as const)} />
      {(parsed.network ?? []).map((n) => (
        <SelectField key={n.name} label={`Network “${n.name}”`} value={c.network[n.name] ?? ""} onValue={(id) => set({ ...c, network: { ...c.network, [n.name]: id } })}
          choices={networks().map((m) => [m.ref.value, m.name ?? ""] as const)} />
      ))}
      <CheckField label="Thin provisioning" checked={c.thin} onValue={(thin) => set({ ...c, thin })} />
      <CheckField label="Power it on when it is there" checked={c.start} onValue={(start) => set({ ...c, start })} />
      {share !== undefined && <Bar label="Import" share={share} />}
    </Dialog>
  );
}

async function examine(files: readonly File[]): Promise<void> {
  const pack = await openPackage(files);
  const parsed = await manager().ParseDescriptor({ ovfDescriptor: pack.descriptor, pdp: { _typeName: "OvfParseDescriptorParams", locale: "", deploymentOption: "" } });
  throwFaults(parsed.error);
  setTimeout(() => openDialog(<ImportDialog pack={pack} parsed={parsed} />)); // when this dialog has closed
}

function PickFiles({ first }: { first: readonly File[] }) {
  const [files, setFiles] = useState(first);
  const take = (more: File[]) => setFiles([...files.filter((f) => !more.some((m) => m.name === f.name)), ...more]);
  useDrop(take);
  return (
    <Dialog title="Import a virtual machine" confirm="Next" because={!files.length && "No file is chosen yet."} onConfirm={() => examine(files)}>
      <div class={`drop import${held.value ? " over" : ""}`}>
        <p>Drop an OVA here, or an OVF with its disks.</p>
        <Button icon="folder" onClick={() => pickFiles(take)}>Choose files</Button>
        <ul>{files.map((f) => <li key={f.name}>{f.name} <span class="subtle">{bytes(f.size)}</span></li>)}</ul>
      </div>
    </Dialog>
  );
}

export const cannotImport = () => cannotPlace("VApp.Import");
export const openImport = (files: readonly File[] = []) => openDialog(<PickFiles first={files} />);

/** Of a page that lists VMs: a package that is dropped on it is imported. */
export function useImportDrop(): void {
  useDrop((files) => {
    if (!files.some((f) => /\.(ova|ovf|vmdk)$/i.test(f.name))) say("info", "Nothing was imported", "An OVA, or an OVF with its disks, can be dropped here; other files on a folder of a datastore.");
    else if (cannotImport()) say("warning", "Nothing was imported", cannotImport() || "");
    else openImport(files);
  });
}
