// SPDX-License-Identifier: Apache-2.0
// Export of a VM or of one of its snapshots: the host lends the disks over a lease, each comes as a file, and at last
// the descriptor that names them.
import { useState } from "preact/hooks";
import { Dialog, openDialog } from "../ui/dialog";
import { SelectField } from "../ui/field";
import { bytes, quoted } from "../ui/format";
import { hostUrl, on, request, type AnyRef, type Request } from "../vim/client";
import type { VmRecord } from "../vim/inventory";
import { content } from "../vim/session";
import { perform } from "../vim/task";
import type {
  HttpNfcLease, HttpNfcLeaseDeviceUrl, OvfFile, OvfManager, VirtualMachine, VirtualMachineSnapshot, VirtualMachineSnapshotTree,
} from "../vim/types.gen";
import { leaseReady, throwFaults } from "./lease";
import { writeTar } from "./ova";

function save(name: string, data: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(data);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** The browser keeps large blobs on its disk. */
async function fetchFile(url: string, tell: (received: number) => void): Promise<Blob> {
  const answer = await fetch(hostUrl(url));
  if (!answer.ok || !answer.body) throw new Error((await answer.text()) || `HTTP ${answer.status}`);
  let received = 0;
  const counter = new TransformStream<Uint8Array, Uint8Array>({
    transform: (part, out) => (tell((received += part.length)), out.enqueue(part)),
  });
  return new Response(answer.body.pipeThrough(counter)).blob();
}

const fileName = (base: string, device: HttpNfcLeaseDeviceUrl, n: number) => (device.disk ? `${base}-disk${n + 1}.vmdk` : device.targetId ?? `${base}-${n}`);

/** What `lend` gives a lease for, as files: the descriptor first, as in an OVA. */
async function packageOf(vm: VmRecord, lend: Request, base: string, tell: (text: string) => void): Promise<[string, Blob][]> {
  const lease = (await perform(lend)) as AnyRef;
  try {
    const info = await leaseReady(lease, "The host cannot lend it."), described: OvfFile[] = [], files: [string, Blob][] = [];
    for (const [n, device] of (info.deviceUrl ?? []).entries()) {
      const name = fileName(base, device, n);
      const data = await fetchFile(device.url, (got) => tell(`${name}: ${bytes(got)}`));
      files.push([name, data]);
      described.push({ _typeName: "OvfFile", deviceId: device.key, path: name, size: data.size });
      await on<HttpNfcLease>(lease).HttpNfcLeaseProgress({ percent: Math.floor(((n + 1) / info.deviceUrl!.length) * 99) });
    }
    const result = await on<OvfManager>(content.value!.ovfManager!).CreateDescriptor({ obj: vm.ref, cdp: { _typeName: "OvfCreateDescriptorParams", name: vm.name ?? base, ovfFiles: described } });
    throwFaults(result.error);
    await on<HttpNfcLease>(lease).HttpNfcLeaseComplete({});
    return [[`${base}.ovf`, new Blob([result.ovfDescriptor])], ...files];
  } catch (e) {
    await on<HttpNfcLease>(lease).HttpNfcLeaseAbort({}).catch(() => {});
    throw e;
  }
}

function Export({ vm, snapshot }: { vm: VmRecord; snapshot?: VirtualMachineSnapshotTree }) {
  const [text, setText] = useState("");
  const [kind, setKind] = useState("ova");
  const base = (snapshot ? `${vm.name} ${snapshot.name}` : vm.name ?? "vm").replace(/[^\p{L}\p{N}_.-]+/gu, "_").slice(0, 60), name = quoted(vm.name ?? "");
  const lend = snapshot ? request<VirtualMachineSnapshot>(snapshot.snapshot).ExportSnapshot({}) : request<VirtualMachine>(vm.ref).ExportVm({});
  const take = async () => {
    const files = await packageOf(vm, lend, base, setText);
    if (kind === "ova") save(`${base}.ova`, writeTar(files));
    else files.forEach(([name, data]) => save(name, data));
  };
  return (
    <Dialog title={snapshot ? `Export snapshot “${snapshot.name}”` : `Export “${vm.name}”`} confirm="Export" onConfirm={take}
      commands={snapshot ? { govc: `govc export.ovf -vm ${name} -snapshot ${quoted(snapshot.name)} .`, request: lend }
        : { socle: `socle vm export ${name}`, govc: `govc export.ovf -vm ${name} .`, request: lend }}>
      <p>{snapshot ? "The disks as they were when the snapshot was taken, without memory. The virtual machine may go on running."
        : "Disks and settings, which any hypervisor can import that reads OVF."}</p>
      <SelectField label="As" value={kind} onValue={setKind} choices={[["ova", "One file (OVA)"], ["ovf", "A descriptor and its disks (OVF)"]]} />
      {text && <p role="status">{text}</p>}
    </Dialog>
  );
}

export const openExportVm = (vm: VmRecord) => openDialog(<Export vm={vm} />);
export const openExportSnapshot = (vm: VmRecord, snapshot: VirtualMachineSnapshotTree) => openDialog(<Export vm={vm} snapshot={snapshot} />);
