// SPDX-License-Identifier: Apache-2.0
// Who may do what with what.
import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Dialog, openDialog } from "../ui/dialog";
import { CheckField, SelectField } from "../ui/field";
import { quoted } from "../ui/format";
import { Icon } from "../ui/icon";
import { Table, type Column } from "../ui/table";
import { keyOf, on, type AnyRef } from "../vim/client";
import { datastores, host, nameOf, networks, vms } from "../vim/inventory";
import { content } from "../vim/session";
import type { AuthorizationManager, AuthorizationRole, Permission, UserSearchResult } from "../vim/types.gen";
import { useAnswer } from "../vim/use";
import { listRoles } from "./roles";
import { listUsers } from "./users";

const manager = () => on<AuthorizationManager>(content.value!.authorizationManager!);

const entities = (): [AnyRef, string][] => [
  [content.value!.rootFolder, "The host and all that is on it"],
  ...vms().map((v): [AnyRef, string] => [v.ref, `Virtual machine ${v.name}`]),
  ...datastores().map((d): [AnyRef, string] => [d.ref, `Datastore ${d.name}`]),
  ...networks().map((n): [AnyRef, string] => [n.ref, `Port group ${n.name}`]),
];
function entityName(entity: AnyRef): string {
  return entities().find(([r]) => keyOf(r) === keyOf(entity))?.[1] ?? (host() && keyOf(host()!.ref) === keyOf(entity) ? "The host" : nameOf(entity) ?? entity.value);
}

function PermissionDialog({ users, roles, again }: { users: UserSearchResult[]; roles: AuthorizationRole[]; again: () => void }) {
  const all = entities();
  const [who, setWho] = useState(users.find((u) => u.principal !== "root")?.principal ?? "");
  const [role, setRole] = useState(String(roles.find((r) => r.name === "ReadOnly")?.roleId ?? roles[0]?.roleId ?? ""));
  const [what, setWhat] = useState(keyOf(all[0]![0]));
  const [down, setDown] = useState(true);
  const save = async () => {
    const user = users.find((u) => u.principal === who)!;
    const permission = { _typeName: "Permission", principal: who, group: user.group, roleId: Number(role), propagate: down };
    await manager().SetEntityPermissions({ entity: all.find(([r]) => keyOf(r) === what)![0], permission: [permission] });
    again();
  };
  return (
    <Dialog title="Add a permission" confirm="Add" because={!who && "Add a user first."} onConfirm={save}
      commands={{ socle: `socle permission set ${quoted(who)} ${quoted(roles.find((r) => String(r.roleId) === role)?.name ?? "")}`, govc: `govc permissions.set -principal ${quoted(who)} -role ${quoted(roles.find((r) => String(r.roleId) === role)?.name ?? "")}` }}>
      <SelectField label="Who" value={who} onValue={setWho} choices={users.filter((u) => u.principal !== "root").map((u) => [u.principal, u.principal] as const)} />
      <SelectField label="Role" value={role} onValue={setRole} choices={roles.map((r) => [String(r.roleId), r.info.label || r.name] as const)} />
      <SelectField label="On" value={what} onValue={setWhat} choices={all.map(([r, name]) => [keyOf(r), name] as const)} />
      <CheckField label="And on all that is in it" checked={down} onValue={setDown} />
    </Dialog>
  );
}

function removePermission(p: Permission, again: () => void) {
  openDialog(
    <Dialog title={`Take the permission from ${p.principal}?`} confirm="Take away" danger
      onConfirm={async () => { await manager().RemoveEntityPermission({ entity: p.entity!, user: p.principal, isGroup: p.group }); again(); }}
      commands={{ socle: `socle permission delete ${quoted(p.principal)}`, govc: `govc permissions.remove -principal ${quoted(p.principal)}` }}>
      <p>{p.principal} can then no longer do what this role allows on “{entityName(p.entity!)}”.</p>
    </Dialog>);
}

export function Permissions() {
  const [permissions, again] = useAnswer(() => manager().RetrieveAllPermissions({}));
  const [roles] = useAnswer(listRoles);
  const [users] = useAnswer(listUsers);
  const roleName = (id: number) => { const r = roles?.find((r) => r.roleId === id); return r?.info.label || r?.name || String(id); };
  const columns: Column<Permission>[] = [
    { name: "Who", cell: (p) => <span class="status"><Icon name={p.group ? "users" : "user"} />{p.principal}</span>, by: (p) => p.principal },
    { name: "Role", cell: (p) => roleName(p.roleId), by: (p) => roleName(p.roleId) },
    { name: "On", cell: (p) => entityName(p.entity!), by: (p) => entityName(p.entity!) },
    { name: "And below", cell: (p) => (p.propagate ? "Yes" : "No"), by: (p) => String(p.propagate) },
    { name: "", right: true, cell: (p) => <Button kind="plain" small icon="trash" label={`Take the permission from ${p.principal}`} because={p.principal === "root" && "The root user keeps it."} onClick={() => removePermission(p, again)} /> },
  ];
  return <Table label="Permissions" noun="permission" rows={permissions ?? []} columns={columns} keyOf={(p) => `${p.principal} ${p.entity && keyOf(p.entity)}`}
    tools={<Button kind="primary" icon="plus" because={!users || !roles ? "One moment." : undefined} onClick={() => openDialog(<PermissionDialog users={users!} roles={roles!} again={again} />)}>Add permission</Button>} />;
}
