// SPDX-License-Identifier: Apache-2.0
// Who may do what with what: all of it, or what is in force on one object, its own and what comes from above.
import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Dialog, openDialog } from "../ui/dialog";
import { CheckField, SelectField } from "../ui/field";
import { quoted } from "../ui/format";
import { Icon } from "../ui/icon";
import type { Action } from "../ui/menu";
import { Table, type Column } from "../ui/table";
import { keyOf, on, request, type AnyRef } from "../vim/client";
import { datastores, host, nameOf, networks, vms } from "../vim/inventory";
import { forbids, roles } from "../vim/privilege";
import { content } from "../vim/session";
import { perform } from "../vim/task";
import type { AuthorizationManager, Permission, UserSearchResult } from "../vim/types.gen";
import { useAnswer, useEvents } from "../vim/use";
import { listUsers } from "./users";

const manager = () => request<AuthorizationManager>(content.value!.authorizationManager!);
const same = (a: AnyRef | undefined, b: AnyRef) => a !== undefined && keyOf(a) === keyOf(b);

const entities = (): [AnyRef, string][] => [
  [content.value!.rootFolder, "The host and all that is on it"],
  ...vms().map((v): [AnyRef, string] => [v.ref, `Virtual machine ${v.name}`]),
  ...datastores().map((d): [AnyRef, string] => [d.ref, `Datastore ${d.name}`]),
  ...networks().map((n): [AnyRef, string] => [n.ref, `Port group ${n.name}`]),
];
function entityName(entity: AnyRef): string {
  return entities().find(([r]) => same(r, entity))?.[1] ?? (host() && same(host()!.ref, entity) ? "The host" : nameOf(entity) ?? entity.value);
}
const roleName = (id: number) => { const r = roles.value.find((r) => r.roleId === id); return r?.info.label || r?.name || String(id); };

/** The command line knows permissions on the whole host and on VMs. */
function socleOf(verb: "set" | "remove", who: string, entity: AnyRef, rest: string): string | undefined {
  const vm = vms().find((v) => same(v.ref, entity));
  return vm || same(content.value!.rootFolder, entity) ? `socle permission ${verb} ${quoted(who)}${rest}${vm ? ` --vm ${quoted(vm.name ?? "")}` : ""}` : undefined;
}

/** By path: without one govc means the whole host. */
function govcOf(verb: "set" | "remove", who: string, entity: AnyRef, rest = ""): string | undefined {
  const folder = ([["vm", vms()], ["datastore", datastores()], ["network", networks()]] as const).find(([, list]) => list.some((x) => same(x.ref, entity)))?.[0];
  const path = folder ? `/ha-datacenter/${folder}/${nameOf(entity) ?? ""}` : same(content.value!.rootFolder, entity) ? "/" : undefined;
  return path && `govc permissions.${verb} -principal ${quoted(who)}${rest} ${quoted(path)}`;
}

function PermissionDialog({ users, old, of, again }: { users: UserSearchResult[]; old?: Permission | undefined; of?: AnyRef | undefined; again: () => void }) {
  const all = entities();
  const [who, setWho] = useState(old?.principal ?? users.find((u) => u.principal !== "root")?.principal ?? "");
  const [role, setRole] = useState(String(old?.roleId ?? roles.value.find((r) => r.name === "ReadOnly")?.roleId ?? ""));
  const [what, setWhat] = useState(keyOf(old?.entity ?? of ?? all[0]![0]));
  const [down, setDown] = useState(old?.propagate ?? true);
  const entity = all.find(([r]) => keyOf(r) === what)?.[0] ?? of ?? content.value!.rootFolder, name = roles.value.find((r) => String(r.roleId) === role)?.name ?? "";
  const group = users.find((u) => u.principal === who)?.group ?? false;
  const save = manager().SetEntityPermissions({ entity, permission: [{ _typeName: "Permission", principal: who, group, roleId: Number(role), propagate: down }] });
  return (
    <Dialog title={old ? `Edit the permission of ${who}` : "Add a permission"} confirm={old ? "Save" : "Add"} because={!who && "There is nobody but root: add a user first (Host, Manage, Users)."}
      onConfirm={async () => { await perform(save); again(); }}
      commands={{ socle: socleOf("set", who, entity, ` ${quoted(name)}${down ? "" : " --only"}`), govc: govcOf("set", who, entity, ` -propagate=${down} -role ${quoted(name)}`), request: save }}>
      <SelectField label="Who" value={who} onValue={setWho} because={old && "Another person has another permission."} choices={(old ? [old.principal] : users.filter((u) => u.principal !== "root").map((u) => u.principal)).map((p) => [p, p] as const)} />
      <SelectField label="Role" value={role} onValue={setRole} choices={roles.value.map((r) => [String(r.roleId), r.info.label || r.name] as const)} help={roles.value.find((r) => String(r.roleId) === role)?.info.summary} />
      {!of && !old && <SelectField label="On" value={what} onValue={setWhat} choices={all.map(([r, name]) => [keyOf(r), name] as const)} />}
      <CheckField label="And on all that is in it" checked={down} onValue={setDown} />
    </Dialog>
  );
}

function removePermission(p: Permission, again: () => void) {
  const remove = manager().RemoveEntityPermission({ entity: p.entity!, user: p.principal, isGroup: p.group });
  openDialog(
    <Dialog title={`Take the permission from ${p.principal}?`} confirm="Take away" danger onConfirm={async () => { await perform(remove); again(); }}
      commands={{ socle: socleOf("remove", p.principal, p.entity!, ""), govc: govcOf("remove", p.principal, p.entity!), request: remove }}>
      <p>{p.principal} can then no longer do what this role allows on “{entityName(p.entity!)}”.</p>
    </Dialog>);
}

function listPermissions(of: AnyRef | undefined): Promise<Permission[]> {
  const authorization = on<AuthorizationManager>(content.value!.authorizationManager!);
  return of ? authorization.RetrieveEntityPermissions({ entity: of, inherited: true }) : authorization.RetrieveAllPermissions({});
}

/** Of one object: those from above are shown, and are changed where they were given. */
export function Permissions({ of }: { of?: AnyRef }) {
  const [permissions, again] = useAnswer(() => listPermissions(of), [of && keyOf(of), useEvents(/^Permission|^Role|^Account/)]);
  const [users] = useAnswer(() => listUsers().catch(() => []), [useEvents(/^Account/)]);
  const cannot = forbids(vms().find((v) => of && same(v.ref, of)) ?? host(), "Authorization.ModifyPermissions");
  const fixed = (p: Permission) => cannot || (p.principal === "root" && "The root user keeps it.") || (of !== undefined && !same(p.entity, of) && `It was given on “${entityName(p.entity!)}”: change it there.`);
  const columns: Column<Permission>[] = [
    { name: "Who", cell: (p) => <span class="status"><Icon name={p.group ? "users" : "user"} />{p.principal}</span>, by: (p) => p.principal },
    { name: "Role", cell: (p) => roleName(p.roleId), by: (p) => roleName(p.roleId) },
    { name: of ? "Given on" : "On", cell: (p) => entityName(p.entity!), by: (p) => entityName(p.entity!) },
    { name: "And below", cell: (p) => (p.propagate ? "Yes" : "No"), by: (p) => String(p.propagate) },
  ];
  const actions = (p: Permission): Action[] => [
    { text: "Edit", icon: "edit", because: fixed(p), run: () => openDialog(<PermissionDialog users={users ?? []} old={p} of={of} again={again} />) },
    { text: "Take away", icon: "trash", danger: true, because: fixed(p), run: () => removePermission(p, again) },
  ];
  return <Table label="Permissions" noun="permission" rows={permissions} columns={columns} actions={actions} keyOf={(p) => `${p.principal} ${p.entity && keyOf(p.entity)}`}
    tools={<Button kind="primary" icon="plus" because={!users ? "One moment." : cannot} onClick={() => openDialog(<PermissionDialog users={users!} of={of} again={again} />)}>Add permission</Button>} />;
}
