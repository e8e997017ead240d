// SPDX-License-Identifier: Apache-2.0
// Export: the host lends the disks over a lease, each comes as a file, and at last the descriptor that names them.
import { useState } from "preact/hooks";
import { Dialog, openDialog } from "../ui/dialog";
import { bytes, quoted } from "../ui/format";
import { hostUrl, on } from "../vim/client";
import type { VmRecord } from "../vim/inventory";
import { content } from "../vim/session";
import type {
  HttpNfcLease, HttpNfcLeaseDeviceUrl, OvfFile, OvfManager, VirtualMachine,
} from "../vim/types.gen";
import { leaseReady, throwFaults } from "./lease";

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
  const parts: BlobPart[] = [], reader = answer.body.getReader();
  for (let received = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return new Blob(parts);
    parts.push(value);
    tell((received += value.length));
  }
}

const fileName = (base: string, device: HttpNfcLeaseDeviceUrl, n: number) => (device.disk ? `${base}-disk${n + 1}.vmdk` : device.targetId ?? `${base}-${n}`);

async function exportVm(vm: VmRecord, tell: (text: string) => void): Promise<void> {
  const base = (vm.name ?? "vm").replace(/[^\w.-]+/g, "_");
  const lease = await on<VirtualMachine>(vm.ref).ExportVm({});
  try {
    const info = await leaseReady(lease, "The host can not lend it."), files: OvfFile[] = [];
    for (const [n, device] of (info.deviceUrl ?? []).entries()) {
      const name = fileName(base, device, n);
      const data = await fetchFile(device.url, (got) => tell(`${name}: ${bytes(got)}`));
      save(name, data);
      files.push({ _typeName: "OvfFile", deviceId: device.key, path: name, size: data.size });
      await on<HttpNfcLease>(lease).HttpNfcLeaseProgress({ percent: Math.floor(((n + 1) / info.deviceUrl!.length) * 99) });
    }
    const result = await on<OvfManager>(content.value!.ovfManager!).CreateDescriptor({ obj: vm.ref, cdp: { _typeName: "OvfCreateDescriptorParams", name: vm.name ?? base, ovfFiles: files } });
    throwFaults(result.error);
    save(`${base}.ovf`, new Blob([result.ovfDescriptor]));
    await on<HttpNfcLease>(lease).HttpNfcLeaseComplete({});
  } catch (e) {
    await on<HttpNfcLease>(lease).HttpNfcLeaseAbort({}).catch(() => {});
    throw e;
  }
}

function ExportVm({ vm }: { vm: VmRecord }) {
  const [text, setText] = useState("");
  return (
    <Dialog title={`Export “${vm.name}”`} confirm="Export" onConfirm={() => exportVm(vm, setText)}
      commands={{ socle: `socle vm export ${quoted(vm.name ?? "")}`, govc: `govc export.ovf -vm ${quoted(vm.name ?? "")} .` }}>
      <p>Each disk and the descriptor are saved as files, which any hypervisor can import that reads OVF.</p>
      {text && <p role="status">{text}</p>}
    </Dialog>
  );
}

export const openExportVm = (vm: VmRecord) => openDialog(<ExportVm vm={vm} />);
