// SPDX-License-Identifier: Apache-2.0
// A list of events, of one object or of all; new ones come by themselves.
import { pageOf } from "../shell/route";
import { Icon, type IconName } from "../ui/icon";
import { time } from "../ui/format";
import { Table, type Column } from "../ui/table";
import { on, type AnyRef } from "../vim/client";
import { useHistory } from "../vim/history";
import { content } from "../vim/session";
import type { Event, EventManager } from "../vim/types.gen";

type Tone = "danger" | "warning" | "info";

function tone(e: Event): Tone {
  const kind = ("severity" in e && String(e.severity)) || e._typeName || "";
  if (/error|Fail|Died|Lost|Crash/.test(kind)) return "danger";
  return /warning|Suspend|NoAccess|BadUsername|Disconnected/.test(kind) ? "warning" : "info";
}
const icons: { [T in Tone]: IconName } = { danger: "alert", warning: "warning", info: "info" };

function targetOf(e: Event) {
  const [ref, name] = e.vm ? [e.vm.vm, e.vm.name] : e.ds ? [e.ds.datastore, e.ds.name] : e.net ? [e.net.network, e.net.name] : [e.host?.host, e.host?.name];
  const to = pageOf(ref?.type, ref?.value);
  return to ? <a href={to}>{name}</a> : name ?? "–";
}

const columns: Column<Event>[] = [
  { name: "Event", cell: (e) => <span class="status wrap"><Icon name={icons[tone(e)]} tone={tone(e)} />{e.fullFormattedMessage ?? e._typeName}</span>, by: (e) => e.fullFormattedMessage },
  { name: "Time", cell: (e) => <span class="line">{time(e.createdTime)}</span>, by: (e) => e.createdTime },
  { name: "Target", cell: targetOf, by: (e) => e.vm?.name ?? e.host?.name },
  { name: "User", cell: (e) => e.userName || "–", by: (e) => e.userName },
];

/** `recent`: the last few, without the tools of a list. */
export function Events({ of, recent }: { of?: AnyRef | undefined; recent?: number }) {
  const create = () => {
    const filter = { _typeName: "EventFilterSpec", ...(of && { entity: { _typeName: "EventFilterSpecByEntity", entity: of, recursion: "all" as const } }) };
    return on<EventManager>(content.value!.eventManager!).CreateCollectorForEvents({ filter });
  };
  const { rows: events, more } = useHistory<Event>({ of: "Events", create, keyOf: (e) => String(e.key), recent: recent !== undefined }, of?.value);
  const rows = recent && events ? [...events].sort((a, b) => b.key - a.key).slice(0, recent) : events;
  return (
    <Table label={recent ? "Recent events" : "Events"} noun="event" rows={rows} columns={columns} keyOf={(e) => String(e.key)} sortBy={1} downwards filter={!recent} bare={Boolean(recent)} more={more}
      empty={<p class="subtle">Nothing has happened yet.</p>} />
  );
}
