// SPDX-License-Identifier: Apache-2.0
// What to do on a host that has no virtual machine yet.
import { href } from "../shell/route";
import { Button } from "../ui/button";
import { Card } from "../ui/card";
import { Icon } from "../ui/icon";
import { datastores } from "../vim/inventory";
import { cannotCreateVm, openCreateVm } from "../vm/create";
import { cannotImport, openImport } from "../vm/import";
import { cannotRegister, openRegisterVm } from "../vm/register";

export function FirstSteps() {
  const store = datastores()[0];
  return (
    <Card title="First steps" wide>
      <ol class="steps">
        <li><b><Icon name="disc" />Upload an installation image</b><span>An ISO that a virtual machine finds in its CD drive. Drop it on the list of files.</span>
          <a class="pf-v6-c-button pf-m-secondary" href={store ? href("host", "datastores", store.ref.value) : href("host", "datastores")}>{store ? `Files of ${store.name}` : "Storage"}</a></li>
        <li><b><Icon name="vm" />Create a virtual machine</b><span>Choose the image as its CD, power it on, and install in its console.</span>
          <Button kind="primary" icon="plus" because={cannotCreateVm()} onClick={openCreateVm}>Create VM</Button></li>
        <li><b><Icon name="upload" />Bring one along</b><span>Import an OVA or OVF, or register one whose folder was copied from an ESXi host to a datastore.</span>
          <span class="tools"><Button icon="upload" because={cannotImport()} onClick={() => openImport()}>Import</Button><Button icon="folder" because={cannotRegister()} onClick={openRegisterVm}>Register VM</Button></span></li>
      </ol>
    </Card>
  );
}
