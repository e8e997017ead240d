// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Dialog, openDialog } from "../ui/dialog";
import { CheckField, TextField } from "../ui/field";
import { plural, quoted } from "../ui/format";
import { Menu } from "../ui/menu";
import { Table, type Column } from "../ui/table";
import { get, on } from "../vim/client";
import { content } from "../vim/session";
import type { AuthorizationManager, AuthorizationPrivilege, AuthorizationRole } from "../vim/types.gen";
import { useAnswer } from "../vim/use";

const manager = () => content.value!.authorizationManager!;
export const listRoles = () => get<AuthorizationRole[]>(manager(), "roleList");

function RoleDialog({ role, all, again }: { role?: AuthorizationRole; all: AuthorizationPrivilege[]; again: () => void }) {
  const [name, setName] = useState(role?.name ?? "");
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set(role?.privilege));
  const [text, setText] = useState("");
  const groups = Map.groupBy(all.filter((p) => !p.privId.startsWith("System.") && p.privId.toLowerCase().includes(text.toLowerCase())), (p) => p.privGroupName);
  const toggle = (ids: string[], yes: boolean) => {
    const next = new Set(chosen);
    for (const id of ids) yes ? next.add(id) : next.delete(id);
    setChosen(next);
  };
  const save = async () => {
    const privIds = [...chosen];
    await (role ? on<AuthorizationManager>(manager()).UpdateAuthorizationRole({ roleId: role.roleId, newName: name, privIds })
      : on<AuthorizationManager>(manager()).AddAuthorizationRole({ name, privIds }));
    again();
  };
  return (
    <Dialog title={role ? `Edit role ${role.name}` : "Add a role"} confirm={role ? "Save" : "Add"} wide because={!name.trim() && "A name is needed."} onConfirm={save}
      commands={{ socle: `socle role ${role ? "set" : "create"} ${quoted(name || "NAME")} ${[...chosen].slice(0, 40).join(" ")}`, govc: `govc role.${role ? "update" : "create"} ${quoted(name || "NAME")} ${[...chosen].slice(0, 40).join(" ")}` }}>
      <div class="columns">
        <TextField label="Name" value={name} onValue={setName} autoFocus />
        <TextField label="Find a privilege" type="search" value={text} onValue={setText} />
      </div>
      <div class="privileges">
        {[...groups].map(([group, list]) => (
          <details key={group} open={Boolean(text)}>
            <summary>{group} <span class="subtle">{list.filter((p) => chosen.has(p.privId)).length} of {list.length}</span></summary>
            <CheckField label="All of these" checked={list.every((p) => chosen.has(p.privId))} onValue={(yes) => toggle(list.map((p) => p.privId), yes)} />
            {list.map((p) => <CheckField key={p.privId} label={p.privId} checked={chosen.has(p.privId)} onValue={(yes) => toggle([p.privId], yes)} />)}
          </details>
        ))}
      </div>
    </Dialog>
  );
}

function removeRole(role: AuthorizationRole, again: () => void) {
  openDialog(
    <Dialog title={`Delete role ${role.name}?`} confirm="Delete" danger
      onConfirm={async () => { await on<AuthorizationManager>(manager()).RemoveAuthorizationRole({ roleId: role.roleId, failIfUsed: true }); again(); }}
      commands={{ socle: `socle role delete ${quoted(role.name)}`, govc: `govc role.remove ${quoted(role.name)}` }}>
      <p>A role that a permission uses is not deleted.</p>
    </Dialog>);
}

export function Roles() {
  const [roles, again] = useAnswer(listRoles);
  const [all] = useAnswer(() => get<AuthorizationPrivilege[]>(manager(), "privilegeList"));
  const columns: Column<AuthorizationRole>[] = [
    { name: "Role", cell: (r) => r.info.label || r.name, by: (r) => r.info.label || r.name },
    { name: "What it allows", cell: (r) => (r.system ? r.info.summary : plural(r.privilege?.length ?? 0, "privilege")), by: (r) => r.info.summary },
    {
      name: "", right: true,
      cell: (r) => !r.system && (
        <Menu kind="plain" label={`Actions of ${r.name}`} actions={[
          { text: "Edit", icon: "edit", run: () => openDialog(<RoleDialog role={r} all={all ?? []} again={again} />) },
          { text: "Delete", icon: "trash", danger: true, run: () => removeRole(r, again) },
        ]} />),
    },
  ];
  return <Table label="Roles" noun="role" rows={roles ?? []} columns={columns} keyOf={(r) => String(r.roleId)}
    tools={<Button kind="primary" icon="plus" onClick={() => openDialog(<RoleDialog all={all ?? []} again={again} />)}>Add role</Button>} />;
}
