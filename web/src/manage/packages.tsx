// SPDX-License-Identifier: Apache-2.0
// What the host is made of, and under which licence it may be used.
import { Card, Facts } from "../ui/card";
import { capital } from "../ui/format";
import { Empty, Table, type Column } from "../ui/table";
import { get, on } from "../vim/client";
import { host } from "../vim/inventory";
import { content } from "../vim/session";
import type { HostImageConfigManager, LicenseManagerLicenseInfo, SoftwarePackage } from "../vim/types.gen";
import { useAnswer } from "../vim/use";

const columns: Column<SoftwarePackage>[] = [
  { name: "Package", cell: (p) => p.name, by: (p) => p.name },
  { name: "Version", cell: (p) => p.version, by: (p) => p.version },
  { name: "Vendor", cell: (p) => p.vendor, by: (p) => p.vendor },
  { name: "Accepted as", cell: (p) => capital(p.acceptanceLevel), by: (p) => p.acceptanceLevel },
  { name: "What it is", cell: (p) => p.summary, by: (p) => p.summary },
];

export function Packages() {
  const manager = host()?.configManager?.imageConfigManager;
  const [packages, , refused] = useAnswer(async () => (manager ? on<HostImageConfigManager>(manager).fetchSoftwarePackages({}) : []), [manager?.value]);
  const [level] = useAnswer(async () => (manager ? on<HostImageConfigManager>(manager).HostImageConfigGetAcceptance({}) : undefined), [manager?.value]);
  const [licences] = useAnswer(() => get<LicenseManagerLicenseInfo[]>(content.value!.licenseManager!, "licenses"));
  return (
    <>
      <div class="cards">
        <Card title="Licence"><Facts of={[["Licence", licences?.map((l) => l.name).join(", ")], ["Version", content.value?.about.fullName], ["Acceptance level", level && capital(level)]]} /></Card>
      </div>
      <Table label="Packages" noun="package" rows={refused ? [] : packages} columns={columns} keyOf={(p) => p.name} empty={refused && <Empty title="You may not see the packages" icon="lock" />} />
    </>
  );
}
