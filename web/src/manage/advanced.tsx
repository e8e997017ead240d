// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Dialog, openDialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { quoted } from "../ui/format";
import { Empty, Table, type Column } from "../ui/table";
import { get, request, unbox } from "../vim/client";
import { host, useProperties } from "../vim/inventory";
import { forbids } from "../vim/privilege";
import { perform } from "../vim/task";
import type { OptionDef, OptionManager, OptionValue } from "../vim/types.gen";
import { useAnswer } from "../vim/use";

type Box = { _typeName?: string; _value?: unknown };

function OptionDialog({ option }: { option: OptionValue }) {
  const type = (option.value as Box)?._typeName ?? "string";
  const [text, setText] = useState(String(unbox(option.value)));
  const parsed = type === "string" ? text : type === "boolean" ? text === "true" : Number(text);
  const wrong = typeof parsed === "number" && (!text || Number.isNaN(parsed)) ? "A number is needed." : type === "boolean" && !/^(true|false)$/.test(text) ? "true or false." : undefined;
  const save = request<OptionManager>(host()!.configManager!.advancedOption!).UpdateOptions({ changedValue: [{ _typeName: "OptionValue", key: option.key, value: { _typeName: type, _value: parsed } }] });
  return (
    <Dialog title={option.key} confirm="Save" because={wrong} onConfirm={() => perform(save)}
      commands={{ socle: `socle host advanced set ${option.key} ${quoted(text)}`, govc: `govc host.option.set ${option.key} ${quoted(text)}`, request: save }}>
      <TextField label="Value" value={text} onValue={setText} error={wrong} autoFocus />
    </Dialog>
  );
}

export function AdvancedSettings() {
  const manager = host()?.configManager?.advancedOption;
  const options = useProperties<OptionManager, "setting">(manager, ["setting"])?.setting;
  const [defs] = useAnswer(async () => (manager ? get<OptionDef[]>(manager, "supportedOption").catch(() => []) : []), [manager?.value]);
  const cannot = forbids(host(), "Host.Config.AdvancedConfig");
  if (!manager) return <Empty title="This host has no advanced settings" icon="settings" />;
  const about = new Map(defs?.map((d) => [d.key, d.summary || d.label]));
  const columns: Column<OptionValue>[] = [
    { name: "Key", cell: (o) => o.key, by: (o) => o.key },
    { name: "Value", cell: (o) => String(unbox(o.value)), by: (o) => String(unbox(o.value)) },
    { name: "About", cell: (o) => <span class="subtle">{about.get(o.key)}</span>, by: (o) => about.get(o.key) },
    { name: "", tail: true, cell: (o) => <Button kind="plain" small icon="edit" label={`Edit ${o.key}`} because={cannot} onClick={() => openDialog(<OptionDialog option={o} />)} /> },
  ];
  return <Table label="Advanced settings" noun="setting" rows={options ?? []} columns={columns} keyOf={(o) => o.key} />;
}
