// SPDX-License-Identifier: Apache-2.0
// The host's clock, and whom it asks for the time.
import { useEffect, useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Card, Facts } from "../ui/card";
import { Dialog, openDialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { Empty } from "../ui/table";
import { on, request, type AnyRef } from "../vim/client";
import { host, useProperties } from "../vim/inventory";
import { forbids } from "../vim/privilege";
import { perform } from "../vim/task";
import type { HostDateTimeInfo, HostDateTimeSystem } from "../vim/types.gen";
import { hosted } from "./host_actions";

/** The host's time, which goes on by our own clock between two questions. */
function useClock(system: AnyRef | undefined): Date | undefined {
  const [ahead, setAhead] = useState<number>();
  const [, tick] = useState(0);
  useEffect(() => {
    if (!system) return;
    void on<HostDateTimeSystem>(system).QueryDateTime({}).then((t) => setAhead(Date.parse(t) - Date.now()), () => {});
    const timer = setInterval(() => document.hidden || tick((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, [system?.value]);
  return ahead === undefined ? undefined : new Date(Date.now() + ahead);
}

function EditTime({ system, info }: { system: AnyRef; info: HostDateTimeInfo }) {
  const [servers, setServers] = useState((info.ntpConfig?.server ?? []).join(" "));
  const save = request<HostDateTimeSystem>(system).UpdateDateTimeConfig({
    config: { _typeName: "HostDateTimeConfig", ntpConfig: { _typeName: "HostNtpConfig", server: servers.split(/[\s,]+/).filter(Boolean) } },
  });
  return (
    <Dialog title="Time servers" confirm="Save" onConfirm={() => perform(save)} commands={{ govc: `govc host.date.change -server ${servers}`, request: save }}>
      <TextField label="NTP servers" value={servers} onValue={setServers} placeholder="pool.ntp.org" help="Names or addresses, with blanks between them." autoFocus />
    </Dialog>
  );
}

export function Time() {
  const h = host(), system = h?.configManager?.dateTimeSystem;
  const info = useProperties<HostDateTimeSystem, "dateTimeInfo">(system, ["dateTimeInfo"])?.dateTimeInfo;
  const now = useClock(system);
  if (!system) return <Empty title="This host has no clock to manage" icon="activity" />;
  const apart = now ? (now.getTime() - Date.now()) / 1000 : 0;
  return (
    <div class="cards">
      <Card title="Time and date">
        <Facts of={[
          ["On the host", now?.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" })],
          ["In UTC", now?.toISOString().replace(/\.\d+Z/, "Z")],
          ["Time zone", info && `${info.timeZone.name} (${info.timeZone.description})`],
          ["To this computer", now && (Math.abs(apart) < 2 ? "The same time" : `${Math.abs(apart).toFixed(0)} s ${apart > 0 ? "ahead" : "behind"}`)],
          ["NTP servers", info?.ntpConfig?.server?.join(", ") || undefined],
        ]} />
        <div class="table-tools spaced">
          <Button icon="edit" because={!info ? "One moment." : hosted(h) || forbids(h, "Host.Config.DateTime")} onClick={() => openDialog(<EditTime system={system} info={info!} />)}>Time servers</Button>
        </div>
        {hosted(h) && <p class="subtle">{hosted(h)}</p>}
      </Card>
    </div>
  );
}
