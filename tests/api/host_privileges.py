#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who may have which file, by pyVmomi: what a VM's settings and devices name, and what is not seen. TAP.

usage: host_privileges.py BUILD
"""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from client import Client, connect, create, device, devices, disk, vm_spec, wait  # noqa: E402
from host import Host, Tap  # noqa: E402
from pyVmomi import vim, vmodl  # noqa: E402

PASSWORD = "carls-secret-1"
VICTIM = "/vmfs/volumes/datastore1/b/b.vmdk"
HOSTILE = {
    "scsi0:5.present": "TRUE", "scsi0:5.fileName": VICTIM, "SCSI0:5.FILENAME": VICTIM, "scsi0:5.pciSlotNumber": "160",
    "sata0:1.fileName": VICTIM, "ide1:0.fileName": VICTIM, "nvme0:0.fileName": VICTIM, "scsi1.present": "TRUE",
    "ethernet0.networkName": "secret", "serial0.fileType": "file", "serial0.fileName": "b/b.vmx",
    "parallel0.fileName": "x", "floppy0.fileName": "x", "virtioConsole0.path": "x", "usb.present": "TRUE",
    "usb_xhci.present": "TRUE", "usb:0.deviceType": "hid", "sound.fileName": "x", "vmci0.present": "FALSE",
    "log.fileName": "b/b.vmx", "bios440.filename": "x", "nvram": "b.nvram", "workingDir": "/", "suspend.directory": "/",
    "extendedConfigFile": "x", "snapshot.redoNotWithParent": "x", "checkpoint.vmState": "x", "migrate.hostlog": "x",
    "sched.swap.dir": "/", "sharedFolder0.hostPath": "/", "socle.kernel": "/etc/passwd", "socle.firmwareLog": "b/b.vmx",
}
USUAL = {
    "guestinfo.a.fileName": "x", "guestinfo.present": "y", "sched.scsi0:0.throughputCap": "off", "disk.EnableUUID": "TRUE",
    "isolation.tools.copy.disable": "TRUE", "RemoteDisplay.maxConnections": "1", "tools.syncTime": "FALSE",
    "numa.autosize": "TRUE", "cpuid.80000001.edx": "---- ", "bios.bootDeviceClasses": "allow:hd", "svga.vramSize": "8388608",
}


def options(values):
    return [vim.option.OptionValue(key=key, value=value) for key, value in values.items()]


def reconfigure(vm, *changes, **more):
    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=list(changes), **more)))


def allow(client, entity, *privileges):
    """Carl's permission there, alone."""
    roles = client.content.authorizationManager
    name = f"carl-{entity._moId}"
    role = next((r.roleId for r in roles.roleList if r.name == name), None)
    if role is None:
        role = roles.AddAuthorizationRole(name, list(privileges))
    else:
        roles.UpdateAuthorizationRole(role, name, list(privileges))
    roles.SetEntityPermissions(entity, [vim.AuthorizationManager.Permission(
        principal="carl", group=False, roleId=role, propagate=False)])


def settings(tap, host, client):
    vm = create(client, "set")
    for key, value in HOSTILE.items():
        tap.raises(f"no setting: {key}", vmodl.fault.InvalidArgument,
                   lambda key=key, value=value: reconfigure(vm, extraConfig=options({key: value})))
    spec = vm_spec("never")
    spec.extraConfig += options({"scsi0:5.fileName": VICTIM})
    tap.raises("nor of a new VM", vmodl.fault.InvalidArgument, lambda: wait(client.folder.CreateVM_Task(spec, client.pool)))
    reconfigure(vm, extraConfig=options(USUAL))
    now = {o.key: o.value for o in vm.config.extraConfig}
    tap.equal("what people set", {key: now.get(key) for key in USUAL}, USUAL)
    tap.check("some of what is read may not be changed", "vmci0.present" in now, now)
    reconfigure(vm, extraConfig=list(vm.config.extraConfig))
    tap.equal("but sent back as it was", {o.key: o.value for o in vm.config.extraConfig}, now)
    wait(vm.Destroy())


def in_use(tap, host, client):
    """A VM that is off names the disk of another one that runs."""
    other = create(client, "b")
    wait(other.PowerOn())
    vm = create(client, "a")
    theirs = disk(-1, 0, 1000, 1)
    theirs.device.backing.fileName, theirs.fileOperation = "[datastore1] b/b.vmdk", None
    reconfigure(vm, theirs)
    files = sorted(os.listdir(host.path("a"))), sorted(os.listdir(host.path("b")))
    taken = devices(vm, vim.vm.device.VirtualDisk)[1]
    fault = tap.raises("a disk in use is not destroyed", vim.fault.FileLocked,
                       lambda: reconfigure(vm, device("remove", taken, "destroy")))
    tap.equal("the fault names it", fault and fault.file, "[datastore1] b/b.vmdk")
    tap.raises("nor with its VM", vim.fault.FileLocked, lambda: wait(vm.Destroy()))
    tap.equal("nothing is removed", (sorted(os.listdir(host.path("a"))), sorted(os.listdir(host.path("b")))), files)
    tap.equal("the VM stays", (vm.name, len(devices(vm, vim.vm.device.VirtualDisk))), ("a", 2))
    reconfigure(vm, device("remove", taken))
    wait(vm.Destroy())
    tap.check("without that disk it goes", not os.path.exists(host.path("a")))
    wait(other.PowerOff())
    os.truncate(host.path("b/b.vmdk"), 0)
    wait(other.Destroy())
    tap.check("one that is damaged goes with its VM", not os.path.exists(host.path("b")))


def on_datastores(tap, host, client):
    client.content.accountManager.CreateUser(vim.host.LocalAccountManager.AccountSpecification(id="carl", password=PASSWORD))
    vm, other = create(client, "his"), create(client, "b")
    place = f"{host.folder}/hidden"
    os.mkdir(place)
    hidden = client.host.configManager.datastoreSystem.CreateLocalDatastore("hidden", place)
    with open(f"{place}/a.iso", "wb") as file:
        file.write(bytes(4096))
    store = client.datacenter.datastore[0]
    allow(client, vm, *(f"VirtualMachine.Config.{what}" for what in (
        "AddNewDisk", "AddExistingDisk", "RemoveDisk", "EditDevice", "AdvancedConfig")))
    stub = connect(host, "carl", PASSWORD)._stub
    his = vim.VirtualMachine(vm._moId, stub)

    def existing(file):
        change = disk(-1, 0, 1000, 1)
        change.device.backing.fileName, change.fileOperation = file, None
        return change

    def cdrom(file):
        return device("add", vim.vm.device.VirtualCdrom(
            key=-1, controllerKey=200, unitNumber=0, backing=vim.vm.device.VirtualCdrom.IsoBackingInfo(fileName=file)))

    def refused(name, change, privilege):
        fault = tap.raises(name, vim.fault.NoPermission, lambda: reconfigure(his, change))
        tap.equal(f"{name}, for want of", fault and fault.privilegeId, privilege)

    messages = []
    for file in ("[hidden] a.iso", "[nowhere] a.iso"):
        for name, change in (("disk", existing(file)), ("image", cdrom(file))):
            fault = tap.raises(f"no {name} of {file}", vim.fault.InvalidDatastorePath, lambda c=change: reconfigure(his, c))
            messages.append(fault and fault.msg.replace("nowhere", "hidden"))
    tap.equal("what is hidden is as what is not there", len(set(messages)), 1)
    refused("somebody's disk", existing("[datastore1] b/b.vmdk"), "Datastore.Browse")
    refused("an image", cdrom("[datastore1] b/b.vmdk"), "Datastore.Browse")
    refused("a new disk", disk(-1, 2048, 1000, 1), "Datastore.AllocateSpace")
    port = vim.vm.device.VirtualSerialPort(
        key=-1, yieldOnPoll=True, backing=vim.vm.device.VirtualSerialPort.FileBackingInfo(fileName="[datastore1] b/b.vmx"))
    refused("a file that a port writes", device("add", port), "Datastore.FileManagement")
    mine = devices(his, vim.vm.device.VirtualDisk)[0]
    refused("a disk destroyed", device("remove", mine, "destroy"), "Datastore.FileManagement")
    tap.equal("nothing came of it", len(devices(vm, vim.vm.device.VirtualDisk)), 1)

    allow(client, client.folder, "VirtualMachine.Inventory.Register")
    allow(client, client.pool, "Resource.AssignVMToPool")
    folder, pool = vim.Folder(client.folder._moId, stub), vim.ResourcePool(client.pool._moId, stub)
    tap.raises("no VM of a hidden datastore", vim.fault.InvalidDatastorePath,
               lambda: wait(folder.RegisterVM_Task("[hidden] a.vmx", None, False, pool)))
    allow(client, store)
    tap.raises("nor of one where he may not look", vim.fault.NoPermission,
               lambda: wait(folder.RegisterVM_Task("[datastore1] x/x.vmx", None, False, pool)))
    allow(client, store, "Datastore.Browse", "Datastore.AllocateSpace", "Datastore.FileManagement")
    reconfigure(his, disk(-1, 2048, 1000, 1), cdrom("[datastore1] b/b.vmdk"))
    tap.equal("a new disk, where he may", len(devices(vm, vim.vm.device.VirtualDisk)), 2)
    reconfigure(his, device("remove", devices(his, vim.vm.device.VirtualDisk)[1], "destroy"))
    tap.check("destroyed, where he may", not os.path.exists(host.path("his/his_1.vmdk")))
    allow(client, store)
    reconfigure(his, device("edit", devices(his, vim.vm.device.VirtualCdrom)[0]))
    tap.equal("a drive keeps what it has", devices(vm, vim.vm.device.VirtualCdrom)[0].backing.fileName, "[datastore1] b/b.vmdk")
    unseen(tap, client, stub)
    wait(vm.Destroy())
    wait(other.Destroy())
    hidden.DestroyDatastore()
    client.content.accountManager.RemoveUser("carl")


def unseen(tap, client, stub):
    allow(client, client.host)
    allow(client, client.compute)
    info = vim.HostSystem(client.host._moId, stub).QueryHostConnectionInfo()
    tap.equal("of the host's connection he sees", ([d.summary.name for d in info.datastore], list(info.network)),
              (["datastore1"], []))
    target = vim.EnvironmentBrowser(client.compute.environmentBrowser._moId, stub).QueryConfigTarget(None)
    tap.equal("and of what VMs may have", ([d.name for d in target.datastore], list(target.network)), (["datastore1"], []))


def main():
    tap = Tap()
    with Host(sys.argv[1]) as host:
        tap.run([settings, in_use, on_datastores], host, Client(connect(host)))


main()
