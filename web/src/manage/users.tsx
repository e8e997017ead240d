// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Dialog, openDialog } from "../ui/dialog";
import { TextField } from "../ui/field";
import { quoted } from "../ui/format";
import { Icon } from "../ui/icon";
import type { Action } from "../ui/menu";
import { Table, type Column } from "../ui/table";
import { on, request } from "../vim/client";
import { content } from "../vim/session";
import { perform } from "../vim/task";
import type { HostLocalAccountManager, UserDirectory, UserSearchResult } from "../vim/types.gen";
import { useAnswer } from "../vim/use";

const accounts = () => request<HostLocalAccountManager>(content.value!.accountManager!);

export const listUsers = (): Promise<UserSearchResult[]> =>
  on<UserDirectory>(content.value!.userDirectory!).RetrieveUserGroups({ searchStr: "", exactMatch: false, findUsers: true, findGroups: true });

function UserDialog({ user, again }: { user?: UserSearchResult; again: () => void }) {
  const [id, setId] = useState(user?.principal ?? "");
  const [full, setFull] = useState(user?.fullName ?? "");
  const [password, setPassword] = useState("");
  const [twice, setTwice] = useState("");
  const wrong = !/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/.test(id) ? "Up to 32 letters, digits, dots and dashes; a letter first."
    : !user && !password ? "A password is needed." : password !== twice ? "The passwords differ." : undefined;
  const spec = { _typeName: "HostAccountSpec", id, description: full, ...(password && { password }) };
  const save = user ? accounts().UpdateUser({ user: spec }) : accounts().CreateUser({ user: spec });
  return (
    <Dialog title={user ? `Edit ${user.principal}` : "Add a user"} confirm={user ? "Save" : "Add"} because={wrong} onConfirm={async () => { await perform(save); again(); }}
      commands={{ socle: !user ? `socle user add ${quoted(id || "NAME")}${full ? ` --description ${quoted(full)}` : ""}` : password && full === user.fullName ? `socle user password ${quoted(id)}` : undefined, request: save }}>
      {!user && <TextField label="User name" value={id} onValue={setId} error={id && !/^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/.test(id) && wrong} autoFocus />}
      <TextField label="Description" value={full} onValue={setFull} />
      <TextField label={user ? "New password" : "Password"} type="password" value={password} onValue={setPassword} autoComplete="new-password" help={user && "Empty: as it is."} />
      <TextField label="Once more" type="password" value={twice} onValue={setTwice} autoComplete="new-password" error={twice && password !== twice && "The passwords differ."} />
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
  const [users, again] = useAnswer(listUsers);
  const columns: Column<UserSearchResult>[] = [
    { name: "Name", cell: (u) => <span class="status"><Icon name={u.group ? "users" : "user"} />{u.principal}</span>, by: (u) => u.principal },
    { name: "Description", cell: (u) => u.fullName, by: (u) => u.fullName },
  ];
  const actions = (u: UserSearchResult): Action[] => u.group ? [] : [
    { text: "Edit", icon: "edit", run: () => openDialog(<UserDialog user={u} again={again} />) },
    { text: "Delete", icon: "trash", danger: true, because: u.principal === "root" && "The host needs its root user.", run: () => removeUser(u, again) },
  ];
  return <Table label="Users" noun="user" rows={users} columns={columns} keyOf={(u) => u.principal} actions={actions}
    tools={<Button kind="primary" icon="plus" onClick={() => openDialog(<UserDialog again={again} />)}>Add user</Button>} />;
}
