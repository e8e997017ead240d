// SPDX-License-Identifier: Apache-2.0
// Security and traffic shaping, which switches and port groups have in common. A port group may leave each to its
// switch.
import { CheckField, SelectField, TextField } from "../ui/field";
import type { HostNetworkPolicy } from "../vim/types.gen";

export interface Policy {
  inherit: boolean;
  promiscuous: boolean;
  macChanges: boolean;
  forged: boolean;
  shape: "" | "off" | "on"; // "": as the switch has it
  average: string; // kbit/s
  peak: string;
  burst: string; // KB
}

export function readPolicy(p: HostNetworkPolicy | undefined): Policy {
  const s = p?.security, t = p?.shapingPolicy;
  return {
    inherit: s?.allowPromiscuous === undefined, promiscuous: s?.allowPromiscuous ?? false, macChanges: s?.macChanges ?? true, forged: s?.forgedTransmits ?? true,
    shape: t?.enabled === undefined ? "" : t.enabled ? "on" : "off",
    average: String((t?.averageBandwidth ?? 100_000_000) / 1000), peak: String((t?.peakBandwidth ?? 100_000_000) / 1000), burst: String((t?.burstSize ?? 104_857_600) / 1024),
  };
}

export function policySpec(p: Policy): HostNetworkPolicy {
  return {
    _typeName: "HostNetworkPolicy",
    ...(!p.inherit && { security: { _typeName: "HostNetworkSecurityPolicy", allowPromiscuous: p.promiscuous, macChanges: p.macChanges, forgedTransmits: p.forged } }),
    ...(p.shape && {
      shapingPolicy: {
        _typeName: "HostNetworkTrafficShapingPolicy", enabled: p.shape === "on",
        averageBandwidth: Number(p.average) * 1000, peakBandwidth: Number(p.peak) * 1000, burstSize: Number(p.burst) * 1024,
      },
    }),
  };
}

export function PolicyFields({ value, onValue, ofSwitch }: { value: Policy; onValue: (p: Policy) => void; ofSwitch?: boolean }) {
  const put = (to: Partial<Policy>) => onValue({ ...value, ...to });
  const because = value.inherit && !ofSwitch && "As the switch has it.";
  return (
    <>
      <fieldset class="part">
        <legend>Security</legend>
        {!ofSwitch && <CheckField label="As the switch has it" checked={value.inherit} onValue={(inherit) => put({ inherit })} />}
        <CheckField label="Promiscuous mode" checked={value.promiscuous} because={because} onValue={(promiscuous) => put({ promiscuous })} help="A card may see frames for others." />
        <CheckField label="MAC address changes" checked={value.macChanges} because={because} onValue={(macChanges) => put({ macChanges })} help="A guest may take another address than its card has." />
        <CheckField label="Forged transmits" checked={value.forged} because={because} onValue={(forged) => put({ forged })} help="A guest may send from another address than its card has." />
      </fieldset>
      <fieldset class="part">
        <legend>Traffic shaping</legend>
        <SelectField label="Shaping" value={value.shape} onValue={(shape) => put({ shape: shape as Policy["shape"] })}
          choices={[...(ofSwitch ? [] : [["", "As the switch has it"] as const]), ["off", "Off"], ["on", "On"]]} />
        {value.shape === "on" && (
          <div class="columns">
            <TextField label="Average" type="number" unit="kbit/s" min={1} value={value.average} onValue={(average) => put({ average })} />
            <TextField label="Peak" type="number" unit="kbit/s" min={1} value={value.peak} onValue={(peak) => put({ peak })} />
            <TextField label="Burst" type="number" unit="KB" min={1} value={value.burst} onValue={(burst) => put({ burst })} />
          </div>
        )}
      </fieldset>
    </>
  );
}
