// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { say } from "../ui/alert";
import { Button } from "../ui/button";
import { Dialog, openDialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { quoted } from "../ui/format";
import { Icon } from "../ui/icon";
import type { Action } from "../ui/menu";
import { Table, type Column } from "../ui/table";
import { on, request } from "../vim/client";
import { host } from "../vim/inventory";
import { forbids } from "../vim/privilege";
import { content, user } from "../vim/session";
import { perform } from "../vim/task";
import type { HostLocalAccountManager, UserDirectory, UserSearchResult } from "../vim/types.gen";
import { useAnswer, useEvents } from "../vim/use";

const accounts = () => request<HostLocalAccountManager>(content.value!.accountManager!);

export const listUsers = (): Promise<UserSearchResult[]> =>
  on<UserDirectory>(content.value!.userDirectory!).RetrieveUserGroups({ searchStr: "", exactMatch: false, findUsers: true, findGroups: true });

interface NewPassword { password: string; twice: string }
const differs = (p: NewPassword) => p.password !== p.twice && "The passwords differ.";

function PasswordFields({ value, onValue, label, help }: { value: NewPassword; onValue: (p: NewPassword) => void; label: string; help?: string | undefined }) {
  return (
    <>
      <TextField label={label} type="password" value={value.password} onValue={(password) => onValue({ ...value, password })} autoComplete="new-password" help={help} />
      <TextField label="Once more" type="password" value={value.twice} onValue={(twice) => onValue({ ...value, twice })} autoComplete="new-password" error={value.twice && differs(value)} />
    </>
  );
}

function OwnPassword({ id }: { id: string }) {
  const [old, setOld] = useState("");
  const [p, setP] = useState<NewPassword>({ password: "", twice: "" });
  const save = accounts().ChangePassword({ user: id, oldPassword: old, newPassword: p.password });
  return (
    <Dialog title={`Change the password of ${id}`} confirm="Change" because={!old ? "The present password is needed." : !p.password ? "A password is needed." : differs(p)}
      onConfirm={async () => { await perform(save); say("success", "The password is changed"); }} commands={{ socle: `socle user password ${quoted(id)} --old-password-file FILE`, request: save }}>
      <p>Sessions that are open go on; the next log-in asks for the new one.</p>
      <TextField label="Present password" type="password" value={old} onValue={setOld} autoComplete="current-password" autoFocus />
      <PasswordFields value={p} onValue={setP} label="New password" />
    </Dialog>
  );
}

/** Of whoever is logged in. */
export const changeOwnPassword = (): Action => ({
  text: "Change password", icon: "lock", run: () => openDialog(<OwnPassword id={user.value!.userName} />),
});

function UserDialog({ user, again }: { user?: UserSearchResult; again: () => void }) {
  const [id, setId] = useState(user?.principal ?? "");
  const [full, setFull] = useState(user?.fullName ?? "");
  const [p, setP] = useState<NewPassword>({ password: "", twice: "" }), password = p.password;
  const wrong = !/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/.test(id) ? "Up to 32 letters, digits, dots and dashes; a letter first."
    : !user && !password ? "A password is needed." : differs(p);
  const spec = { _typeName: "HostAccountSpec", id, description: full, ...(password && { password }) };
  const save = user ? accounts().UpdateUser({ user: spec }) : accounts().CreateUser({ user: spec });
  return (
    <Dialog title={user ? `Edit ${user.principal}` : "Add a user"} confirm={user ? "Save" : "Add"} because={wrong} onConfirm={async () => { await perform(save); again(); }}
      commands={{ socle: !user ? `socle user add ${quoted(id || "NAME")}${full ? ` --description ${quoted(full)}` : ""}` : password && full === user.fullName ? `socle user password ${quoted(id)}` : undefined, request: save }}>
      {!user && <TextField label="User name" value={id} onValue={setId} error={id && !/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/.test(id) && wrong} autoFocus />}
      <TextField label="Description" value={full} onValue={setFull} />
      <PasswordFields value={p} onValue={setP} label={user ? "New password" : "Password"} help={user && "Empty: as it is."} />
    </Dialog>
  );
}

function removeUser(user: UserSearchResult, again: () => void) {
  const remove = accounts().RemoveUser({ userName: user.principal });
  openDialog(
    <Dialog title={`Delete user ${user.principal}?`} confirm="Delete" danger onConfirm={async () => { await perform(remove); again(); }}
      commands={{ socle: `socle user remove ${quoted(user.principal)}`, request: remove }}>
      <p>The account and its permissions are lost; sessions of it end.</p>
    </Dialog>);
}

export function Users() {
  const cannot = forbids(host(), "Host.Local.ManageUserGroups");
  const [users, again] = useAnswer(listUsers, [useEvents(/^Account/)]);
  const columns: Column<UserSearchResult>[] = [
    { name: "Name", cell: (u) => <span class="status"><Icon name={u.group ? "users" : "user"} />{u.principal}</span>, by: (u) => u.principal },
    { name: "Description", cell: (u) => u.fullName, by: (u) => u.fullName },
  ];
  const actions = (u: UserSearchResult): Action[] => u.group ? [] : [
    { text: "Edit", icon: "edit", because: cannot, run: () => openDialog(<UserDialog user={u} again={again} />) },
    { text: "Delete", icon: "trash", danger: true, because: cannot || (u.principal === "root" && "The host needs its root user."), run: () => removeUser(u, again) },
  ];
  return <Table label="Users" noun="user" rows={users} columns={columns} keyOf={(u) => u.principal} actions={actions}
    tools={<Button kind="primary" icon="plus" because={cannot} onClick={() => openDialog(<UserDialog again={again} />)}>Add user</Button>} />;
}
