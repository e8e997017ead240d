// SPDX-License-Identifier: Apache-2.0
// What is wrong now, and where it is put right.
import { href, vmHref } from "../shell/route";
import { Alert } from "../ui/alert";
import { bytes } from "../ui/format";
import { datastores, host, useProperties, vms, type DatastoreRecord, type HostRecord, type VmRecord } from "../vim/inventory";
import type { HostCertificateManager } from "../vim/types.gen";

interface Problem { title: string; text?: string; grave?: boolean; to?: string; next?: string }

const LITTLE = 0.05, SOON_DAYS = 30;

function ofVm(v: VmRecord): Problem | undefined {
  const runtime = v["summary.runtime"], to = vmHref(v.ref.value);
  if (runtime?.connectionState && runtime.connectionState !== "connected")
    return { title: `“${v.name}” cannot be read.`, text: "Its datastore is away, or its configuration file is gone or damaged.", grave: true, to, next: "Look at it" };
  if (runtime?.question) return { title: `“${v.name}” waits for an answer.`, to, next: "Answer" };
  if (runtime?.consolidationNeeded) return { title: `The disks of “${v.name}” need to be consolidated.`, text: "A snapshot was deleted, its disks are still there.", to: vmHref(v.ref.value, "snapshots"), next: "Snapshots" };
  return undefined;
}

function ofDatastore(d: DatastoreRecord): Problem | undefined {
  const s = d.summary, to = href("host", "datastores", d.ref.value);
  if (s?.accessible === false) return { title: `Datastore “${d.name}” is not accessible.`, text: "Virtual machines on it cannot be used.", grave: true, to, next: "Look at it" };
  if (s && s.freeSpace < s.capacity * LITTLE) return { title: `Datastore “${d.name}” is nearly full.`, text: `${bytes(s.freeSpace)} of ${bytes(s.capacity)} are free. Virtual machines stand still when they need more.`, grave: true, to, next: "Its files" };
  return undefined;
}

function ofCertificate(until: string | undefined): Problem | undefined {
  const days = until ? (Date.parse(until) - Date.now()) / 86_400_000 : Infinity;
  if (days > SOON_DAYS) return undefined;
  return { title: days < 0 ? "The host's certificate has expired." : `The host's certificate expires in ${Math.ceil(days)} days.`, to: href("host", "manage", "security"), next: "Certificate" };
}

const ofHost = (h: HostRecord): Problem | undefined =>
  h["summary.runtime"]?.inMaintenanceMode ? { title: "The host is in maintenance mode.", text: "No virtual machine starts until it is left (Actions)." } : undefined;

export function Problems({ h }: { h: HostRecord }) {
  const until = useProperties<HostCertificateManager, "certificateInfo">(host()?.configManager?.certificateManager, ["certificateInfo"])?.certificateInfo?.notAfter;
  const all = [ofHost(h), ...datastores().map(ofDatastore), ...vms().map(ofVm), ofCertificate(until)].filter((p): p is Problem => p !== undefined);
  if (!all.length) return null;
  return (
    <section class="problems" aria-label="Problems">
      {all.slice(0, 8).map((p) => (
        <Alert key={p.title} kind={p.grave ? "danger" : "warning"} title={p.title}>
          {p.text} {p.to && <a href={p.to}>{p.next}</a>}
        </Alert>
      ))}
      {all.length > 8 && <p class="subtle">And {all.length - 8} more.</p>}
    </section>
  );
}
