#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Disks of one VM on several datastores: made there, cloned and moved there one by one and as other kinds, frozen
by snapshots, listed, destroyed; and what kill -9 of hostd leaves of such a move. TAP.

usage: host_places.py BUILD [SCENARIO...]
"""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from client import Client, connect, devices, disk, reconnect, vm_spec, wait  # noqa: E402
from host import Host, Tap, eventually, listing, read_at, write_at  # noqa: E402
from host_cut import everything, killed  # noqa: E402
from pyVmomi import vim, vmodl  # noqa: E402
from slow_disk import slow_disk  # noqa: E402

DISK = vim.vm.device.VirtualDisk
Flat = DISK.FlatVer2BackingInfo
MIB = 1 << 20


class Stores:
    """Two more datastores, one of them on another file system if there is one."""

    def __init__(self, host, client):
        self.system = client.host.configManager.datastoreSystem
        self.two = self.system.CreateLocalDatastore("two", "/vmfs/volumes/two")
        self.far_folder = f"/dev/shm/{os.path.basename(host.folder)}"
        os.mkdir(self.far_folder, 0o700)
        self.far = self.system.CreateLocalDatastore("far", self.far_folder)
        self.one = next(d for d in client.datacenter.datastore if d.name == "datastore1")
        self.folders = {"datastore1": host.path(), "two": f"{host.root}/datastores/two", "far": self.far_folder}

    def path(self, name):
        """Of "[far] a/b"."""
        store, rel = name[1:].split("] ")
        return os.path.join(self.folders[store], rel)

    def left(self):
        return {name: listing(folder) for name, folder in self.folders.items() if listing(folder)}


def files(vm):
    return [d.backing.fileName for d in devices(vm, DISK)]


def make(client, name, *stores):
    """A VM with a disk on each; each has its number in it."""
    spec = vm_spec(name)
    spec.deviceChange = [c for c in spec.deviceChange if not isinstance(c.device, DISK)]
    for unit, store in enumerate(stores):
        one = disk(-10 - unit, 4096, unit=unit)
        one.device.backing.fileName = store
        spec.deviceChange.append(one)
    return wait(client.folder.CreateVM_Task(spec, client.pool))


def mark(stores, vm):
    for n, file in enumerate(files(vm)):
        write_at(stores.path(file).replace(".vmdk", "-flat.vmdk"), MIB, b"disk %d" % n)


def marks(stores, vm):
    return [read_at(stores.path(file).replace(".vmdk", "-flat.vmdk"), MIB, 6) for file in files(vm)]


def locator(vm, number, store, **kind):
    backing = Flat(fileName="", diskMode="persistent", **kind) if kind else None
    return vim.vm.RelocateSpec.DiskLocator(diskId=devices(vm, DISK)[number].key, datastore=store, diskBackingInfo=backing)


def runs(tap, vm, name):
    wait(vm.PowerOn())
    tap.equal(f"{name}: it runs", vm.runtime.powerState, "poweredOn")
    wait(vm.PowerOff())


def made(tap, host, client, stores):
    vm = make(client, "wide", "", "[two]", "[far]", "[two] ")
    tap.equal("each where it was to be", files(vm), ["[datastore1] wide/wide.vmdk", "[two] wide/wide.vmdk", "[far] wide/wide.vmdk",
                                                     "[two] wide/wide_1.vmdk"])
    tap.equal("the VM is on all", sorted(d.name for d in vm.datastore), ["datastore1", "far", "two"])
    tap.equal("its layout has all", sorted(f.name for f in vm.layoutEx.file if f.name.endswith("-flat.vmdk")), sorted(
        f.replace(".vmdk", "-flat.vmdk") for f in files(vm)))
    runs(tap, vm, "as made")
    try:
        wait(vm.CreateSnapshot_Task("no", "", False, False))
        tap.check("no snapshot of a VM with disks elsewhere", False)
    except vmodl.fault.NotSupported as fault:
        tap.check("no snapshot of a VM with disks elsewhere, and why", "not in the VM's folder" in fault.msg, fault.msg)
    other = make(client, "other", "[two]")
    tap.equal("the next has a folder of its own", files(other), ["[two] other/other.vmdk"])
    tap.raises("a folder that a client names is not made", vim.fault.FileNotFound, lambda: make(client, "no", "[two] nowhere/x.vmdk"))
    one = disk(-1, 4096, controller=1000, unit=4)
    one.device.backing.fileName = "[far]"
    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[one])))
    tap.equal("one more", files(vm)[-1], "[far] wide/wide_1.vmdk")
    wait(other.Destroy())
    wait(vm.Destroy())
    tap.equal("all of it goes", stores.left(), {})


def cloned(tap, host, client, stores):
    vm = make(client, "source", "", "[two]")
    mark(stores, vm)
    spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec(), powerOn=False, template=False)
    same = wait(vm.CloneVM_Task(client.folder, "same", spec))
    tap.equal("each disk beside what it was made of", files(same), ["[datastore1] same/same.vmdk", "[two] same/same.vmdk"])
    spec.location = vim.vm.RelocateSpec(datastore=stores.two, disk=[
        locator(vm, 0, stores.far, thinProvisioned=False), locator(vm, 1, stores.one, thinProvisioned=True)])
    spread = wait(vm.CloneVM_Task(client.folder, "spread", spec))
    tap.equal("where the locators say", (spread.config.files.vmPathName, files(spread)), (
        "[two] spread/spread.vmx", ["[far] spread/spread.vmdk", "[datastore1] spread/spread.vmdk"]))
    tap.equal("of the kinds that they say", [bool(d.backing.thinProvisioned) for d in devices(spread, DISK)], [False, True])
    tap.equal("with what was in them", (marks(stores, same), marks(stores, spread)), ([b"disk 0", b"disk 1"],) * 2)
    runs(tap, spread, "a clone")
    spec.location.disk[0].diskId = 4711
    tap.raises("no such disk", vmodl.fault.InvalidArgument, lambda: wait(vm.CloneVM_Task(client.folder, "no", spec)))
    for one in (same, spread, vm):
        wait(one.Destroy())
    tap.equal("all of it goes", stores.left(), {})


def moved(tap, host, client, stores):
    vm = make(client, "nomad", "", "", "[two]")
    mark(stores, vm)
    want = [b"disk 0", b"disk 1", b"disk 2"]
    keys = [d.key for d in devices(vm, DISK)]
    uuids = [d.backing.uuid for d in devices(vm, DISK)]

    def go(name, expected, **spec):
        wait(vm.RelocateVM_Task(vim.vm.RelocateSpec(**spec)))
        tap.equal(name, (vm.config.files.vmPathName, files(vm)), expected)
        tap.equal(f"{name}: with all that is in them", marks(stores, vm), want)
        tap.equal(f"{name}: the same disks", ([d.key for d in devices(vm, DISK)], [d.backing.uuid for d in devices(vm, DISK)]), (keys, uuids))
        runs(tap, vm, name)

    go("one disk leaves", ("[datastore1] nomad/nomad.vmx",
                           ["[datastore1] nomad/nomad.vmdk", "[far] nomad/nomad_1.vmdk", "[two] nomad/nomad.vmdk"]),
       disk=[locator(vm, 1, stores.far)])
    tap.equal("it is there no more", sorted(n for n in listing(host.path("nomad")) if n.endswith(".vmdk")), ["nomad-flat.vmdk", "nomad.vmdk"])
    go("two change places", ("[datastore1] nomad/nomad.vmx",
                             ["[two] nomad/nomad_1.vmdk", "[far] nomad/nomad_1.vmdk", "[datastore1] nomad/nomad_1.vmdk"]),
       disk=[locator(vm, 0, stores.two), locator(vm, 2, stores.one)])
    go("all to one datastore", ("[far] nomad_1/nomad.vmx",
                                ["[far] nomad_1/nomad_1_1.vmdk", "[far] nomad/nomad_1.vmdk", "[far] nomad_1/nomad_1.vmdk"]),
       datastore=stores.far)
    tap.equal("nothing is left elsewhere", sorted(stores.left()), ["far"])
    go("the VM goes, a disk stays", ("[two] nomad_1/nomad.vmx",
                                     ["[far] nomad_1/nomad_1_1.vmdk", "[two] nomad_1/nomad_1_2.vmdk", "[two] nomad_1/nomad_1.vmdk"]),
       datastore=stores.two, disk=[locator(vm, 0, stores.far)])
    tap.equal("of the old place just that", (listing(stores.far_folder), sorted(listing(f"{stores.far_folder}/nomad_1"))),
              (["nomad_1"], ["nomad_1_1-flat.vmdk", "nomad_1_1.vmdk"]))
    wait(vm.RelocateVM_Task(vim.vm.RelocateSpec(transform="flat")))
    tap.equal("all become thick", [bool(d.backing.thinProvisioned) for d in devices(vm, DISK)], [False] * 3)
    tap.equal("with all that is in them", marks(stores, vm), want)
    wait(vm.RelocateVM_Task(vim.vm.RelocateSpec(datastore=stores.one, disk=[locator(vm, 1, stores.one, thinProvisioned=True)])))
    tap.equal("one becomes thin on the way", [bool(d.backing.thinProvisioned) for d in devices(vm, DISK)], [False, True, False])
    tap.equal("all are there", (sorted(stores.left()), marks(stores, vm)), (["datastore1"], want))
    wait(vm.Destroy())
    tap.equal("all of it goes", stores.left(), {})


def shared(tap, host, client, stores):
    """What another VM has as well stays where it is, and is not destroyed by a move."""
    vm, other = make(client, "first", "[two]"), make(client, "second", "")
    one = disk(-1, 4096, controller=1000, unit=1)
    one.fileOperation, one.device.backing.fileName = None, files(vm)[0]
    wait(other.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[one])))
    wait(other.RelocateVM_Task(vim.vm.RelocateSpec(datastore=stores.far)))
    tap.equal("it stays", files(other), ["[far] second/second.vmdk", "[two] first/first.vmdk"])
    wait(vm.RelocateVM_Task(vim.vm.RelocateSpec(disk=[locator(vm, 0, stores.one)])))
    tap.equal("moved all the same, the other has what it had", (files(vm), files(other)[1], os.path.exists(stores.path(files(other)[1]))),
              (["[datastore1] first/first.vmdk"], "[two] first/first.vmdk", True))
    for one in (vm, other):
        wait(one.Destroy())
    os.rmdir(f"{stores.folders['two']}/first")  # the first VM's, which went before the disk did
    tap.equal("all of it goes", stores.left(), {})


def cut(tap, host, client, stores):
    """hostd is killed while a disk is on its way."""
    vm = make(client, "slow", "", "")
    file = stores.path(files(vm)[0])
    for name in (file, file.replace(".vmdk", "-flat.vmdk")):
        os.unlink(name)
    slow_disk(file)
    for what, spec in (("one disk", {"disk": [locator(vm, 0, stores.far, thinProvisioned=True)]}),
                       ("the VM, by parts", {"datastore": stores.two, "disk": [locator(vm, 0, stores.far, thinProvisioned=True)]})):
        before = everything(host, *stores.folders.values())
        task = client.same(vm).RelocateVM_Task(vim.vm.RelocateSpec(**spec))
        tap.check(f"{what} is on its way", eventually(lambda: any(n.endswith(".part") for n in everything(host, *stores.folders.values()))))
        killed(tap, host, client, what)
        info = client.same(task).info
        tap.check(f"{what}: the task has ended and says why", info.state == "error" and info.error.msg, info)
        tap.equal(f"{what}: nothing half-made is left", everything(host, *stores.folders.values()), before)
        tap.equal(f"{what}: the VM is where it was", files(client.same(vm)), ["[datastore1] slow/slow.vmdk", "[datastore1] slow/slow_1.vmdk"])
    wait(client.same(vm).Destroy())
    tap.equal("all of it goes", stores.left(), {})


def main():
    tap = Tap()
    with Host(sys.argv[1]) as host:
        client = Client(connect(host))
        stores = Stores(host, client)
        try:
            tap.run([globals()[n] for n in sys.argv[2:]] or [made, cloned, moved, shared, cut], host, client, stores)
        finally:
            os.system(f"rm -rf {stores.far_folder}")  # noqa: S605 - ours


main()
