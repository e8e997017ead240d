#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""VMs from VMs, by pyVmomi: clones, templates, other datastores. TAP.

usage: host_clone.py BUILD
"""

import os
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from client import Client, connect, create, device, devices, wait  # noqa: E402
from host import Host, Tap, eventually, listing, read_at, write_at  # noqa: E402
from pyVmomi import vim, vmodl  # noqa: E402
from slow_disk import slow_disk  # noqa: E402

DISK = vim.vm.device.VirtualDisk
CARD = vim.vm.device.VirtualEthernetCard


def clone(client, vm, name, move=None, **options):
    spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec(diskMoveType=move), powerOn=False, template=False)
    for key, value in options.items():
        setattr(spec, key, value)
    return vm.CloneVM_Task(client.folder, name, spec)


def full(tap, host, client):
    vm = create(client, "source")
    write_at(host.path("source/source-flat.vmdk"), 1 << 20, b"payload")
    with open(host.path("source/source.nvram"), "wb") as file:
        file.write(b"variables")
    copy = wait(clone(client, vm, "copy", config=vim.vm.ConfigSpec(memoryMB=64, annotation="a copy")))
    tap.equal("a VM of that name", copy.name, "copy")
    tap.equal("of its own", copy.config.files.vmPathName, "[datastore1] copy/copy.vmx")
    tap.equal("as the other, but for what was asked", (copy.config.hardware.memoryMB, copy.config.annotation), (64, "a copy"))
    tap.check("with uuids of its own", len({copy.config.uuid, vm.config.uuid, copy.config.instanceUuid,
                                            vm.config.instanceUuid}) == 4)
    tap.check("and addresses", devices(copy, CARD)[0].macAddress != devices(vm, CARD)[0].macAddress)
    tap.equal("its disk", devices(copy, DISK)[0].backing.fileName, "[datastore1] copy/copy.vmdk")
    tap.equal("what is on it", read_at(host.path("copy/copy-flat.vmdk"), 1 << 20, 7), b"payload")
    tap.equal("and in its firmware", read_at(host.path("copy/copy.nvram"), 0, 99), b"variables")
    write_at(host.path("copy/copy-flat.vmdk"), 1 << 20, b"changed")
    tap.equal("they are two", read_at(host.path("source/source-flat.vmdk"), 1 << 20, 7), b"payload")
    disk = devices(vm, DISK)[0]
    disk.capacityInKB *= 2
    grown = wait(clone(client, vm, "grown", powerOn=True, config=vim.vm.ConfigSpec(deviceChange=[device("edit", disk)])))
    tap.equal("a larger disk", devices(grown, DISK)[0].capacityInKB, 8192)
    tap.equal("and on", eventually(lambda: grown.runtime.powerState == "poweredOn"), True)
    tap.raises("what runs is not cloned", vim.fault.InvalidPowerState, lambda: wait(clone(client, grown, "no")))
    wait(grown.PowerOff())
    tap.raises("a name is given once", vim.fault.DuplicateName, lambda: wait(clone(client, vm, "copy")))
    tap.raises("no customization", vim.fault.UncustomizableGuest,
               lambda: wait(clone(client, vm, "no", customization=vim.vm.customization.Specification(
                   options=None, identity=vim.vm.customization.IdentitySettings(),
                   globalIPSettings=vim.vm.customization.GlobalIPSettings()))))
    for one in (copy, grown):
        wait(one.Destroy())
    tap.equal("nothing is left of them", sorted(listing(host.path())), ["source"])


def linked(tap, host, client):
    vm = client.si.content.searchIndex.FindChild(client.folder, "source")
    tap.raises("a child of what is written to", vmodl.fault.InvalidArgument,
               lambda: wait(clone(client, vm, "no", "createNewChildDiskBacking")))
    wait(vm.CreateSnapshot_Task("base", "", False, False))
    snapshot = vm.snapshot.currentSnapshot
    twins = [wait(clone(client, vm, name, "createNewChildDiskBacking", snapshot=snapshot)) for name in ("one", "two")]
    tap.equal("two at the price of none", [os.path.exists(host.path(f"{t.name}/{t.name}.vmdk")) for t in twins], [True] * 2)
    tap.equal("the bytes are there once", os.stat(host.path("source/source-flat.vmdk")).st_nlink, 3)
    wait(twins[0].PowerOn())
    wait(vm.PowerOn())
    tap.equal("both may run at once", (twins[0].runtime.powerState, vm.runtime.powerState), ("poweredOn", "poweredOn"))
    wait(twins[0].PowerOff())
    wait(vm.PowerOff())
    of_snapshot = wait(clone(client, vm, "whole", snapshot=snapshot))
    tap.equal("a whole one of the snapshot", read_at(host.path("whole/whole-flat.vmdk"), 1 << 20, 7), b"payload")
    wait(vm.RemoveAllSnapshots_Task())
    tap.equal("the snapshot goes", vm.snapshot, None)
    tap.equal("what stands on it stays whole", read_at(host.path("one/source-flat.vmdk"), 1 << 20, 7), b"payload")
    wait(clone(client, twins[1], "third")).Destroy()
    wait(vm.Destroy())
    tap.check("so does it without the first VM", not os.path.exists(host.path("source")))
    wait(twins[0].PowerOn())
    tap.equal("it runs", twins[0].runtime.powerState, "poweredOn")
    wait(twins[0].PowerOff())
    for one in (*twins, of_snapshot):
        wait(one.Destroy())
    eventually(lambda: listing(host.path()) == [])
    tap.equal("all of it is gone", listing(host.path()), [])


def cancelled(tap, host, client):
    vm = create(client, "slow")
    for name in ("slow.vmdk", "slow-flat.vmdk"):
        os.unlink(host.path("slow", name))
    slow_disk(host.path("slow/slow.vmdk"))
    task = clone(client, vm, "never")
    tap.check("it says how far it is", eventually(lambda: task.info.progress or task.info.state != "running"))
    tap.raises("one thing at a time", vim.fault.TaskInProgress, lambda: wait(vm.Destroy()))
    task.Cancel()
    eventually(lambda: task.info.state == "error")
    tap.check("cancelled", isinstance(task.info.error, vmodl.fault.RequestCanceled), task.info.error)
    tap.equal("nothing is left", listing(host.path()), ["slow"])
    wait(vm.Destroy())


def templates(tap, host, client):
    vm = create(client, "template")
    vm.MarkAsTemplate()
    tap.equal("a template", (vm.config.template, vm.summary.config.template, vm.resourcePool), (True, True, None))
    tap.raises("it does not run", vim.fault.InvalidState, lambda: wait(vm.PowerOn()))
    tap.raises("it is one already", vim.fault.InvalidState, vm.MarkAsTemplate)
    copy = wait(clone(client, vm, "of-template", location=vim.vm.RelocateSpec(pool=client.pool)))
    tap.equal("a VM of it", copy.config.template, False)
    wait(copy.Destroy())
    vm.Unregister()
    vm = wait(client.folder.RegisterVM_Task("[datastore1] template/template.vmx", None, True, None, client.host))
    tap.equal("it is one again", vm.config.template, True)
    vm.MarkAsVirtualMachine(client.pool)
    tap.equal("and no more", (vm.config.template, vm.resourcePool), (False, client.pool))
    wait(vm.Destroy())


def elsewhere(tap, host, client):
    system = client.host.configManager.datastoreSystem
    fast = system.CreateLocalDatastore("fast", "/vmfs/volumes/fast")
    tap.equal("another datastore", sorted(d.name for d in client.datacenter.datastore), ["datastore1", "fast"])
    tap.raises("its name is taken", vim.fault.DuplicateName, lambda: system.CreateLocalDatastore("fast", ""))
    tap.raises("none at a folder of others", vim.fault.FileFault, lambda: system.CreateLocalDatastore("etc", "/proc/1"))
    tap.raises("nor where nothing is", vim.fault.FileNotFound, lambda: system.CreateLocalDatastore("x", "/nowhere/at/all"))
    with tempfile.TemporaryDirectory(dir=host.folder) as far:
        linked_one = system.CreateLocalDatastore("far", far)
        vm = create(client, "nomad")
        write_at(host.path("nomad/nomad-flat.vmdk"), 0, b"luggage")
        wait(vm.CreateSnapshot_Task("s", "", False, False))
        for store in (linked_one, fast):
            wait(vm.RelocateVM_Task(vim.vm.RelocateSpec(datastore=store)))
            tap.equal(f"moved to {store.name}", vm.config.files.vmPathName, f"[{store.name}] nomad/nomad.vmx")
            tap.equal("alone there", vm.datastore, [store])
        tap.equal("nothing is left", listing(far) + listing(host.path()), [])
        tap.equal("its snapshot came along", vm.snapshot.rootSnapshotList[0].name, "s")
        wait(vm.PowerOn())
        tap.equal("it runs there", vm.runtime.powerState, "poweredOn")
        tap.raises("what runs does not move", vim.fault.InvalidPowerState,
                   lambda: wait(vm.RelocateVM_Task(vim.vm.RelocateSpec(datastore=linked_one))))
        wait(vm.PowerOff())
        copy = wait(clone(client, vm, "settler", location=vim.vm.RelocateSpec(datastore=linked_one)))
        tap.equal("cloned to another", read_at(f"{far}/settler/settler-flat.vmdk", 0, 7), b"luggage")
        tap.raises("a datastore in use stays", vim.fault.ResourceInUse, lambda: system.RemoveDatastore(linked_one))
        copy.Unregister()
        system.RemoveDatastore(linked_one)
        tap.equal("without its files", sorted(listing(f"{far}/settler"))[:1], ["settler-flat.vmdk"])
        system.CreateLocalDatastore("far", far).RenameDatastore("farther")
        system.CreateLocalDatastore("brief", "")
        system.RemoveDatastore(next(d for d in client.datacenter.datastore if d.name == "brief"))
        tap.equal("an empty one goes with its folder", os.path.exists(f"{host.root}/datastores/brief"), False)
        host.stop()
        host.start()
        again = Client(connect(host))
        tap.equal("kept over a restart", sorted(d.name for d in again.datacenter.datastore), ["datastore1", "farther", "fast"])
        again.host.configManager.datastoreSystem.RemoveDatastore(
            next(d for d in again.datacenter.datastore if d.name == "farther"))


def main():
    tap = Tap()
    with Host(sys.argv[1]) as host:
        tap.run([full, linked, cancelled, templates, elsewhere], host, Client(connect(host)))


main()
