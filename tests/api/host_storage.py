#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Disks, files and datastores of a host, by pyVmomi. TAP.

usage: host_storage.py BUILD
"""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from client import Client, connect, create, device, devices, wait  # noqa: E402
from host import Host, Tap, eventually, read_at, write_at  # noqa: E402
from pyVmomi import vim, vmodl  # noqa: E402
from slow_disk import slow_disk  # noqa: E402

MIB = 1024


def spec(kind, kib=None, adapter="lsiLogic"):
    if kib is None:
        return vim.VirtualDiskManager.VirtualDiskSpec(diskType=kind, adapterType=adapter)
    return vim.VirtualDiskManager.FileBackedVirtualDiskSpec(diskType=kind, adapterType=adapter, capacityKb=kib)


def room(path):
    return os.stat(path).st_blocks * 512


def text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def disks(tap, host, client):
    manager = client.content.virtualDiskManager
    os.mkdir(host.path("d"))
    os.mkdir(host.path("e"))
    tap.equal("made, and where", wait(manager.CreateVirtualDisk_Task("[datastore1] d/a.vmdk", None, spec("thin", 4 * MIB))),
              "[datastore1] d/a.vmdk")
    write_at(host.path("d/a-flat.vmdk"), 1 << 20, b"here")
    tap.raises("a name is given once", vim.fault.FileAlreadyExists,
               lambda: wait(manager.CreateVirtualDisk_Task("[datastore1] d/a.vmdk", None, spec("thin", 4))))
    tap.raises("no such kind", vmodl.fault.InvalidArgument,
               lambda: wait(manager.CreateVirtualDisk_Task("[datastore1] d/x.vmdk", None, spec("rdm", 4))))
    wait(manager.ExtendVirtualDisk_Task("[datastore1] d/a.vmdk", None, 8 * MIB, False))
    tap.equal("longer", os.path.getsize(host.path("d/a-flat.vmdk")), 8 << 20)
    tap.check("still thin", room(host.path("d/a-flat.vmdk")) < 1 << 20)
    tap.raises("not shorter", vim.fault.FileFault,
               lambda: wait(manager.ExtendVirtualDisk_Task("[datastore1] d/a.vmdk", None, MIB, False)))
    tap.equal("copied as it is", wait(manager.CopyVirtualDisk_Task("[datastore1] d/a.vmdk", None, "[datastore1] e/b.vmdk")),
              "[datastore1] e/b.vmdk")
    tap.check("as thin", room(host.path("e/b-flat.vmdk")) < 1 << 20 and "thinProvisioned" in text(host.path("e/b.vmdk")))
    tap.equal("with what was in it", read_at(host.path("e/b-flat.vmdk"), 1 << 20, 4), b"here")
    wait(manager.CopyVirtualDisk_Task("[datastore1] d/a.vmdk", None, "[datastore1] e/s.vmdk", None, spec("sparseMonolithic")))
    tap.equal("as a sparse one", read_at(host.path("e/s.vmdk"), 0, 4), b"KDMV")
    was = manager.QueryVirtualDiskUuid("[datastore1] e/s.vmdk")
    wait(manager.ExtendVirtualDisk_Task("[datastore1] e/s.vmdk", None, 16 * MIB, False))
    tap.equal("which grows, and stays the same disk", (manager.QueryVirtualDiskUuid("[datastore1] e/s.vmdk"), was), (was, was))
    tap.equal("it is in order", manager.QueryVirtualDiskFragmentation("[datastore1] e/s.vmdk"), 0)
    wait(manager.DefragmentVirtualDisk_Task("[datastore1] e/s.vmdk"))
    wait(manager.ShrinkVirtualDisk_Task("[datastore1] e/s.vmdk", None, True))
    tap.equal("with nothing beside it", sorted(os.listdir(host.path("e"))), ["b-flat.vmdk", "b.vmdk", "s.vmdk"])
    wait(manager.CopyVirtualDisk_Task("[datastore1] e/s.vmdk", None, "[datastore1] e/t.vmdk", None, spec("eagerZeroedThick")))
    tap.check("and as a thick one", room(host.path("e/t-flat.vmdk")) >= 16 << 20)
    tap.equal("the same in it", read_at(host.path("e/t-flat.vmdk"), 1 << 20, 4), b"here")
    wait(manager.InflateVirtualDisk_Task("[datastore1] e/b.vmdk"))
    tap.check("inflated", room(host.path("e/b-flat.vmdk")) >= 8 << 20)
    tap.check("it is thin no more", "thinProvisioned" not in text(host.path("e/b.vmdk")))
    write_at(host.path("d/a-flat.vmdk"), 2 << 20, bytes(1 << 20))
    wait(manager.ShrinkVirtualDisk_Task("[datastore1] d/a.vmdk"))
    tap.check("shrunk", room(host.path("d/a-flat.vmdk")) < 1 << 20)
    tap.equal("nothing to defragment", manager.QueryVirtualDiskFragmentation("[datastore1] d/a.vmdk"), 0)
    wait(manager.DefragmentVirtualDisk_Task("[datastore1] d/a.vmdk"))
    before = manager.QueryVirtualDiskUuid("[datastore1] d/a.vmdk")
    wait(manager.MoveVirtualDisk_Task("[datastore1] d/a.vmdk", None, "[datastore1] e/moved.vmdk"))
    tap.equal("moved", sorted(os.listdir(host.path("d"))), [])
    tap.equal("it is the same disk", manager.QueryVirtualDiskUuid("[datastore1] e/moved.vmdk"), before)
    manager.SetVirtualDiskUuid("[datastore1] e/moved.vmdk", None, "60 00 C2 91 02 03 04 05-06 07 08 09 0a 0b 0c 0d")
    tap.equal("with another uuid", manager.QueryVirtualDiskUuid("[datastore1] e/moved.vmdk"),
              "60 00 C2 91 02 03 04 05-06 07 08 09 0a 0b 0c 0d")
    tap.raises("not with any", vmodl.fault.InvalidArgument,
               lambda: manager.SetVirtualDiskUuid("[datastore1] e/moved.vmdk", None, "mine"))
    tap.equal("and content", read_at(host.path("e/moved-flat.vmdk"), 1 << 20, 4), b"here")
    wait(manager.ZeroFillVirtualDisk_Task("[datastore1] e/moved.vmdk"))
    tap.equal("filled with zeros", read_at(host.path("e/moved-flat.vmdk"), 1 << 20, 4), bytes(4))
    tap.equal("its geometry", manager.QueryVirtualDiskGeometry("[datastore1] e/moved.vmdk").head, 255)
    for name in ("b", "s", "t", "moved"):
        wait(manager.DeleteVirtualDisk_Task(f"[datastore1] e/{name}.vmdk"))
    tap.equal("deleted", os.listdir(host.path("e")), [])
    tap.raises("what is not there", vim.fault.FileNotFound,
               lambda: wait(manager.DeleteVirtualDisk_Task("[datastore1] e/b.vmdk")))


def cancelled(tap, host, client):
    """A copy that takes its time says how far it is, and leaves nothing when it is cancelled."""
    manager = client.content.virtualDiskManager
    os.mkdir(host.path("c"))
    slow_disk(host.path("c/big.vmdk"))
    task = manager.CopyVirtualDisk_Task("[datastore1] c/big.vmdk", None, "[datastore1] c/copy.vmdk", None, spec("thin"))
    tap.check("it says how far it is", eventually(lambda: task.info.progress or task.info.state != "running"))
    tap.check("it can be cancelled", task.info.cancelable)
    task.Cancel()
    eventually(lambda: task.info.state == "error")
    tap.check("cancelled", isinstance(task.info.error, vmodl.fault.RequestCanceled), task.info.error)
    tap.equal("nothing is left", sorted(os.listdir(host.path("c"))), ["big.vmdk"])


def files(tap, host, client):
    manager = client.content.fileManager
    manager.MakeDirectory("[datastore1] f/g", None, True)
    with open(host.path("f/g/x"), "wb") as file:
        file.write(b"content")
        file.truncate(64 << 20)
    os.mkdir(host.path("f/g/sub"))
    with open(host.path("f/g/sub/y"), "wb") as file:
        file.write(b"deeper")
    wait(manager.CopyDatastoreFile_Task("[datastore1] f/g/x", None, "[datastore1] f/z", None, False))
    tap.equal("copied", read_at(host.path("f/z"), 0, 7), b"content")
    tap.equal("all of it", os.path.getsize(host.path("f/z")), 64 << 20)
    tap.check("holes stay holes", room(host.path("f/z")) < 1 << 20)
    tap.raises("not over another", vim.fault.FileAlreadyExists,
               lambda: wait(manager.CopyDatastoreFile_Task("[datastore1] f/g/sub/y", None, "[datastore1] f/z", None, False)))
    wait(manager.CopyDatastoreFile_Task("[datastore1] f/g/sub/y", None, "[datastore1] f/z", None, True))
    tap.equal("but by force", read_at(host.path("f/z"), 0, 99), b"deeper")
    wait(manager.CopyDatastoreFile_Task("[datastore1] f/g", None, "[datastore1] f/h", None, False))
    tap.equal("a folder with all that is in it", read_at(host.path("f/h/sub/y"), 0, 99), b"deeper")
    wait(manager.MoveDatastoreFile_Task("[datastore1] f/h", None, "[datastore1] f/i", None, False))
    tap.equal("moved", sorted(os.listdir(host.path("f"))), ["g", "i", "z"])
    os.symlink("/etc/passwd", host.path("f/i/link"))
    tap.raises("links are not followed", vim.fault.FileFault,
               lambda: wait(manager.CopyDatastoreFile_Task("[datastore1] f/i/link", None, "[datastore1] f/stolen", None, False)))
    tap.raises("in no folder either", vim.fault.FileFault,
               lambda: wait(manager.CopyDatastoreFile_Task("[datastore1] f/i", None, "[datastore1] f/stolen", None, False)))
    tap.equal("and nothing is left of it", sorted(os.listdir(host.path("f"))), ["g", "i", "z"])
    wait(manager.DeleteDatastoreFile_Task("[datastore1] f"))
    tap.check("deleted", not os.path.exists(host.path("f")))
    vm = create(client, "busy")
    wait(vm.PowerOn())
    for name in ("busy/busy-flat.vmdk", "busy"):
        tap.raises(f"{name} is in use", vim.fault.FileLocked,
                   lambda name=name: wait(manager.DeleteDatastoreFile_Task(f"[datastore1] {name}")))
    tap.raises("its disk, too", vim.fault.FileLocked,
               lambda: wait(client.content.virtualDiskManager.CopyVirtualDisk_Task(
                   "[datastore1] busy/busy.vmdk", None, "[datastore1] stolen.vmdk")))
    wait(vm.PowerOff())
    wait(vm.Destroy())


def grows(tap, host, client):
    vm = create(client, "grows")
    disk = devices(vm, vim.vm.device.VirtualDisk)[0]
    disk.capacityInKB = 16 * MIB
    change = vim.vm.ConfigSpec(deviceChange=[device("edit", disk)])
    wait(vm.ReconfigVM_Task(change))
    tap.equal("larger", devices(vm, vim.vm.device.VirtualDisk)[0].capacityInKB, 16 * MIB)
    tap.equal("its file, too", os.path.getsize(host.path("grows/grows-flat.vmdk")), 16 << 20)
    disk.capacityInKB = disk.capacityInBytes = MIB
    tap.raises("it does not shrink", vim.fault.InvalidDeviceSpec,
               lambda: wait(vm.ReconfigVM_Task(change)))
    wait(vm.CreateSnapshot_Task("s", "", False, False))
    disk.capacityInKB, disk.capacityInBytes = 32 * MIB, 32 << 20
    tap.raises("nor grow with snapshots", vim.fault.InvalidDeviceSpec,
               lambda: wait(vm.ReconfigVM_Task(change)))
    wait(vm.Destroy())


def browser(tap, host, client):
    vm = create(client, "seen")
    wait(client.content.virtualDiskManager.CreateVirtualDisk_Task("[datastore1] seen/s.vmdk", None, spec("sparseMonolithic", MIB)))
    for name in ("cd.iso", "vm.log"):
        with open(host.path("seen", name), "wb"):
            pass
    os.symlink("/etc", host.path("seen/out"))
    Browser = vim.host.DatastoreBrowser
    queries = [Browser.VmDiskQuery(details=Browser.VmDiskQuery.Details(
                   diskType=True, capacityKb=True, hardwareVersion=True, controllerType=True, diskExtents=True, thin=True)),
               Browser.VmConfigQuery(details=Browser.VmConfigQuery.Details(configVersion=True)),
               Browser.IsoImageQuery(), Browser.VmLogQuery()]
    search = Browser.SearchSpec(query=queries, details=Browser.FileInfo.Details(fileType=True, fileSize=True, fileOwner=False,
                                                                                modification=True))
    found = wait(vm.datastore[0].browser.SearchDatastore_Task("[datastore1] seen", search))
    files = {f.path: f for f in found.file}
    tap.equal("what is there, by kind", sorted((n, type(f).__name__.rsplit(".", 1)[1]) for n, f in files.items()),
              [("cd.iso", "IsoImageInfo"), ("s.vmdk", "VmDiskInfo"), ("seen.vmdk", "VmDiskInfo"), ("seen.vmx", "VmConfigInfo"),
               ("vm.log", "VmLogInfo")])
    tap.equal("a disk", (files["seen.vmdk"].capacityKb, files["seen.vmdk"].thin), (4096, True))
    tap.equal("of which kind", [files[n].diskType.__name__.rsplit(".", 1)[1] for n in ("seen.vmdk", "s.vmdk")],
              ["FlatVer2BackingInfo", "SparseVer2BackingInfo"])
    tap.equal("a configuration", files["seen.vmx"].configVersion, 21)
    wait(vm.Destroy())


def attach(vm, name):
    keys = [d.key for d in vm.config.hardware.device if isinstance(d, vim.vm.device.ParaVirtualSCSIController)]
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=name, diskMode="persistent")
    disk = vim.vm.device.VirtualDisk(key=-9, controllerKey=keys[0], unitNumber=3, backing=backing)
    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[device("add", disk)])))
    return next(d for d in devices(vm, vim.vm.device.VirtualDisk) if d.unitNumber == 3)


def vmdks(host, folder):
    return sorted(n for n in os.listdir(host.path(folder)) if n.endswith(".vmdk"))


def shared(tap, host, client):
    """What another VM has or stands on stays, whoever goes."""
    manager = client.content.virtualDiskManager
    a, b = create(client, "sa"), create(client, "sb")
    wait(b.CreateSnapshot_Task("s", "", False, False))
    top = attach(a, "[datastore1] sb/sb-000001.vmdk")
    tap.raises("a reconfiguration does not destroy another's disk", vim.fault.FileLocked,
               lambda: wait(a.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[device("remove", top, "destroy")]))))
    whole = ["sb-000001.vmdk", "sb-flat.vmdk", "sb.vmdk"]
    tap.equal("it is there", vmdks(host, "sb"), whole)
    wait(a.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[device("remove", top)])))
    attach(a, "[datastore1] sb/sb.vmdk")
    tap.raises("a base does not grow", vim.fault.FileFault,
               lambda: wait(manager.ExtendVirtualDisk_Task("[datastore1] sb/sb.vmdk", None, 8 * MIB, False)))
    tap.raises("nor is it wiped", vim.fault.FileFault,
               lambda: wait(manager.ZeroFillVirtualDisk_Task("[datastore1] sb/sb.vmdk", None)))
    wait(b.snapshot.rootSnapshotList[0].snapshot.RemoveSnapshot_Task(False, False))
    wait(a.Destroy())
    tap.equal("an unlisted chain keeps its base", vmdks(host, "sb"), whole)
    a = create(client, "sa")
    attach(a, "[datastore1] sb/sb.vmdk")
    wait(b.Destroy())
    tap.equal("whoever has a base keeps it", vmdks(host, "sb"), whole[1:])
    wait(a.Destroy())
    a, b = create(client, "sa"), create(client, "sc")
    attach(a, "[datastore1] sc/sc.vmdk")
    os.rename(host.path("sc/sc.vmx"), host.path("sc/kept"))
    b.Reload()
    wait(a.Destroy())
    tap.equal("one that can not be read has its folder", vmdks(host, "sc"), ["sc-flat.vmdk", "sc.vmdk"])
    os.rename(host.path("sc/kept"), host.path("sc/sc.vmx"))
    b.Reload()
    a = create(client, "sa")
    disk = attach(a, "[datastore1] sc/sc.vmdk")
    os.makedirs(f"{host.folder}/away")
    away = client.host.configManager.datastoreSystem.CreateLocalDatastore("away", f"{host.folder}/away")
    tap.raises("a folder where another has a disk stays", vmodl.fault.NotSupported,
               lambda: wait(b.RelocateVM_Task(vim.vm.RelocateSpec(datastore=away))))
    wait(a.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[device("remove", disk)])))
    wait(a.Destroy())
    wait(b.RelocateVM_Task(vim.vm.RelocateSpec(datastore=away)))
    tap.equal("else it goes", (os.path.exists(host.path("sc")), b.config.files.vmPathName), (False, "[away] sc/sc.vmx"))
    wait(b.Destroy())


def main():
    tap = Tap()
    with Host(sys.argv[1]) as host:
        tap.run([disks, cancelled, files, grows, browser, shared], host, Client(connect(host)))


main()
