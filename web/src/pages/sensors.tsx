// SPDX-License-Identifier: Apache-2.0
// Temperatures, fans and voltages, as far as the machine tells them.
import { Icon } from "../ui/icon";
import { Empty, Table, type Column } from "../ui/table";
import { host, useProperties } from "../vim/inventory";
import type { HostHealthStatusSystem, HostNumericSensorInfo } from "../vim/types.gen";

const reading = (s: HostNumericSensorInfo) => s.currentReading * 10 ** s.unitModifier;
const tones = { green: "success", yellow: "warning", red: "danger" } as const;
const toneOf = (s: HostNumericSensorInfo) => tones[(s.healthState?.key ?? "").toLowerCase() as keyof typeof tones] ?? "muted";

const columns: Column<HostNumericSensorInfo>[] = [
  { name: "Sensor", cell: (s) => s.name, by: (s) => s.name },
  { name: "Kind", cell: (s) => s.sensorType, by: (s) => s.sensorType },
  { name: "Reading", cell: (s) => `${Number(reading(s).toFixed(2))} ${s.baseUnits}${s.rateUnits && s.rateUnits !== "none" ? ` a ${s.rateUnits}` : ""}`, by: reading, right: true },
  { name: "State", cell: (s) => <span class="status"><Icon name={toneOf(s) === "success" ? "check" : "warning"} tone={toneOf(s)} />{s.healthState?.label ?? "Unknown"}</span>, by: (s) => s.healthState?.label },
];

export function Sensors() {
  const system = host()?.configManager?.healthStatusSystem;
  const runtime = useProperties<HostHealthStatusSystem, "runtime">(system, ["runtime"])?.runtime;
  const sensors = runtime?.systemHealthInfo?.numericSensorInfo ?? [];
  return <Table label="Sensors" noun="sensor" rows={sensors} columns={columns} keyOf={(s) => s.id ?? s.name}
    empty={<Empty title="No sensors" icon="activity">The machine has none that Linux can read. Virtual machines and many cloud computers have none.</Empty>} />;
}
