// SPDX-License-Identifier: Apache-2.0
import { useState } from "preact/hooks";
import { Dialog, openDialog } from "../ui/dialog";
import { SelectField, TextField } from "../ui/field";
import { quoted } from "../ui/format";
import { request } from "../vim/client";
import { datastores } from "../vim/inventory";
import { perform } from "../vim/task";
import type { Folder } from "../vim/types.gen";
import { cannotPlace, rootPool, vmFolder } from "./place";

function RegisterVm({ at }: { at?: string | undefined }) {
  const [store, setStore] = useState(datastores()[0]?.name ?? "");
  const [file, setFile] = useState("");
  const path = at ?? `[${store}] ${file}`;
  const wrong = at || /\.vmx$/i.test(file) ? undefined : "The name of a .vmx file is needed, such as web/web.vmx.";
  const register = request<Folder>(vmFolder()).RegisterVM_Task({ path, asTemplate: false, pool: rootPool() });
  return (
    <Dialog title="Register a virtual machine" confirm="Register" because={wrong} onConfirm={() => perform(register)}
      commands={{ socle: `socle vm register ${quoted(path)}`, govc: `govc vm.register ${quoted(path)}`, request: register }}>
      <p>A folder with a virtual machine that lies on a datastore, copied from an ESXi host for example, joins this host's list.</p>
      {at ? <p><code>{at}</code></p> : (
        <>
          <SelectField label="Datastore" value={store} onValue={setStore} choices={datastores().map((d) => [d.name ?? "", d.name ?? ""] as const)} />
          <TextField label="Configuration file" value={file} onValue={setFile} placeholder="web/web.vmx" error={file && wrong} autoFocus />
        </>
      )}
    </Dialog>
  );
}

export const cannotRegister = () => cannotPlace("VirtualMachine.Inventory.Register");
export const openRegisterVm = () => openDialog(<RegisterVm />);
export const openRegisterAt = (path: string) => openDialog(<RegisterVm at={path} />);
