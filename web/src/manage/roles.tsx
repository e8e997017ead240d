// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Dialog, openDialog } from "../ui/dialog";
import { CheckField, TextField } from "../ui/field";
import { plural, quoted } from "../ui/format";
import type { Action } from "../ui/menu";
import { Table, type Column } from "../ui/table";
import { get, request } from "../vim/client";
import { host } from "../vim/inventory";
import { forbids, roles } from "../vim/privilege";
import { content } from "../vim/session";
import { perform } from "../vim/task";
import type { AuthorizationManager, AuthorizationPrivilege, AuthorizationRole } from "../vim/types.gen";
import { useAnswer } from "../vim/use";

const manager = () => content.value!.authorizationManager!;

function RoleDialog({ role, all }: { role?: AuthorizationRole; all: AuthorizationPrivilege[] }) {
  const [name, setName] = useState(role?.name ?? "");
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set(role?.privilege));
  const [text, setText] = useState("");
  const groups = Map.groupBy(all.filter((p) => !p.privId.startsWith("System.") && p.privId.toLowerCase().includes(text.toLowerCase())), (p) => p.privGroupName);
  const toggle = (ids: string[], yes: boolean) => {
    const next = new Set(chosen);
    for (const id of ids) yes ? next.add(id) : next.delete(id);
    setChosen(next);
  };
  const privIds = [...chosen];
  const save = role ? request<AuthorizationManager>(manager()).UpdateAuthorizationRole({ roleId: role.roleId, newName: name, privIds })
    : request<AuthorizationManager>(manager()).AddAuthorizationRole({ name, privIds });
  return (
    <Dialog title={role ? `Edit role ${role.name}` : "Add a role"} confirm={role ? "Save" : "Add"} wide because={!name.trim() && "A name is needed."} onConfirm={() => perform(save)}
      commands={{ socle: role ? undefined : `socle role add ${quoted(name || "NAME")} ${privIds.join(" ")}`, govc: `govc role.${role ? `update -name ${quoted(name || "NAME")} ${quoted(role.name)}` : `create ${quoted(name || "NAME")}`} ${privIds.join(" ")}`, request: save }}>
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

function removeRole(role: AuthorizationRole) {
  const remove = request<AuthorizationManager>(manager()).RemoveAuthorizationRole({ roleId: role.roleId, failIfUsed: true });
  openDialog(
    <Dialog title={`Delete role ${role.name}?`} confirm="Delete" danger onConfirm={() => perform(remove)}
      commands={{ socle: `socle role remove ${quoted(role.name)}`, govc: `govc role.remove ${quoted(role.name)}`, request: remove }}>
      <p>Its list of privileges is lost. A role that a permission uses is not deleted.</p>
    </Dialog>);
}

export function Roles() {
  const cannot = forbids(host(), "Authorization.ModifyRoles");
  const [all] = useAnswer(() => get<AuthorizationPrivilege[]>(manager(), "privilegeList"));
  const columns: Column<AuthorizationRole>[] = [
    { name: "Role", cell: (r) => r.info.label || r.name, by: (r) => r.info.label || r.name },
    { name: "What it allows", cell: (r) => (r.system ? r.info.summary : plural(r.privilege?.length ?? 0, "privilege")), by: (r) => r.info.summary },
  ];
  const actions = (r: AuthorizationRole): Action[] => r.system ? [] : [
    { text: "Edit", icon: "edit", because: cannot || (!all && "One moment."), run: () => openDialog(<RoleDialog role={r} all={all ?? []} />) },
    { text: "Delete", icon: "trash", danger: true, because: cannot, run: () => removeRole(r) },
  ];
  return <Table label="Roles" noun="role" rows={roles.value} columns={columns} keyOf={(r) => String(r.roleId)} actions={actions}
    tools={<Button kind="primary" icon="plus" because={cannot || (!all && "One moment.")} onClick={() => openDialog(<RoleDialog all={all!} />)}>Add role</Button>} />;
}
