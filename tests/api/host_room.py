#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Datastores that are full, read-only or away while VMs on them are suspended, frozen, merged, cloned, moved,
imported and grown: clear faults, the VM goes on, nothing half-made is left, and with room all is well again. TAP.

Needs file systems of its own (root); without, it is left out and said so.

usage: host_room.py BUILD
"""

import http.client
import os
import random
import shutil
import sys
import urllib.parse

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from client import Client, connect, create, device, devices, vm_spec, wait  # noqa: E402
from host import Host, Tap, context, eventually, write_at  # noqa: E402
from host_faults import fault_of, make, spec_on  # noqa: E402
from pyVmomi import vim, vmodl  # noqa: E402
from small import Small, may_mount  # noqa: E402

MIB = 1 << 20
DISK = vim.vm.device.VirtualDisk


def names(folder):
    return sorted(os.path.relpath(os.path.join(at, n), folder) for at, folders, files in os.walk(folder) for n in folders + files)


def lease_of(client, store, name):
    spec = vm_spec(name)
    spec.files.vmPathName = f"[{store}]"
    lease = client.pool.ImportVApp(vim.vm.VmImportSpec(configSpec=spec), client.folder)
    eventually(lambda: lease.state in ("ready", "error"))
    return lease


def send(lease, data):
    url = urllib.parse.urlsplit(lease.info.deviceUrl[0].url.replace("*", "127.0.0.1"))
    connection = http.client.HTTPSConnection(url.hostname, url.port, context=context(), timeout=60)
    connection.request("POST", url.path, data, {"Content-Type": "application/octet-stream"})
    return connection.getresponse().status


def steps(client, vm, source, store):
    """What needs room, by its name, and how it is begun."""
    disks = client.content.virtualDiskManager
    eager = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(capacityKb=40960, diskType="eagerZeroedThick", adapterType="lsiLogic")
    there = vim.vm.RelocateSpec(datastore=store)
    return {
        "suspending": vm.Suspend,
        "a snapshot with memory": lambda: vm.CreateSnapshot_Task("m", "", True, False),
        "a snapshot": lambda: vm.CreateSnapshot_Task("s", "", False, False),
        "a clone": lambda: source.CloneVM_Task(client.folder, "twin", vim.vm.CloneSpec(location=there, powerOn=False, template=False)),
        "a relocation": lambda: source.RelocateVM_Task(there),
        "an eager disk": lambda: disks.CreateVirtualDisk_Task("[small] eager.vmdk", None, eager),
        "eager growth": lambda: disks.ExtendVirtualDisk_Task("[small] grows.vmdk", None, 40960, True),
        "inflation": lambda: disks.InflateVirtualDisk_Task("[small] grows.vmdk"),
        "a copy of a disk": lambda: disks.CopyVirtualDisk_Task("[datastore1] source/source.vmdk", None, "[small] copy.vmdk"),
        "a copy of a file": lambda: client.content.fileManager.CopyDatastoreFile_Task(
            "[datastore1] source/source-flat.vmdk", None, "[small] copy.bin", None, False),
    }


def refused(tap, client, vm, source, store, small, how, kinds, fill=False):
    before = names(small.folder)
    for what, begin in steps(client, vm, source, store).items():
        if fill:
            small.fill()
            before = names(small.folder)
        fault = fault_of(begin)
        tap.check(f"{how}: {what} is refused", isinstance(fault, kinds), f"{type(fault).__name__}: {fault and fault.msg}")
        tap.equal(f"{how}: {what} leaves nothing", names(small.folder), before)
        if vm.runtime.powerState != "poweredOn":
            tap.check(f"{how}: {what}: the VM goes on", False, vm.runtime.powerState)
            wait(vm.PowerOn())
    tap.equal(f"{how}: the VM goes on, with what it had", (vm.runtime.powerState, vm.snapshot), ("poweredOn", None))
    tap.equal(f"{how}: the other VM is where it was", source.config.files.vmPathName, "[datastore1] source/source.vmx")


def full(tap, client, vm, source, small):
    refused(tap, client, vm, source, small.store, small, "full", vim.fault.NoDiskSpace, fill=True)
    small.fill()
    lease = lease_of(client, "small", "import")
    tap.check("full: an import is refused", lease.state == "error" and isinstance(lease.error, vim.fault.NoDiskSpace), lease.error)
    small.empty()
    lease = lease_of(client, "small", "import")
    small.fill()
    tap.equal("full: a disk that comes is", send(lease, random.Random(1).randbytes(4 * MIB)), 507)
    lease.HttpNfcLeaseAbort()
    tap.check("full: nothing is left of it", eventually(lambda: "import" not in names(small.folder)), names(small.folder))
    small.empty()
    wait(vm.CreateSnapshot_Task("kept", "", False, False))
    small.fill()
    fault = fault_of(vm.RemoveAllSnapshots_Task)
    tap.check("full: removal of a snapshot, which has to write, is refused", isinstance(fault, vim.fault.NoDiskSpace), fault)
    tap.equal("full: it goes on", vm.runtime.powerState, "poweredOn")
    small.empty()
    tap.equal("full: the rest is known to be there", (vm.snapshot is not None or vm.runtime.consolidationNeeded), True)
    wait(vm.RemoveAllSnapshots_Task() if vm.snapshot else vm.ConsolidateVMDisks_Task())
    tap.equal("with room: all is merged", (vm.snapshot, vm.runtime.consolidationNeeded,
                                           devices(vm, DISK)[0].backing.fileName), (None, False, "[small] vm/vm.vmdk"))
    wait(vm.Suspend())
    tap.equal("with room: it is suspended", vm.runtime.powerState, "suspended")
    wait(vm.PowerOn())


def aside(client, name):
    """A VM whose home is on the small datastore, and its disk is not: nothing there is open for writing."""
    spec = spec_on("small", name)
    for change in spec.deviceChange:
        if isinstance(change.device, DISK):
            change.device.backing.fileName = "[datastore1]"
            change.device.backing.diskMode = "independent_persistent"  # snapshots leave it out
    return make(client, spec)


def read_only(tap, client, vm, source, small):
    wait(vm.PowerOff())
    running, vm = vm, aside(client, "aside")
    wait(vm.PowerOn())
    small.remount("ro")
    refused(tap, client, vm, source, small.store, small, "read-only",
            (vim.fault.CannotAccessFile, vim.fault.FileFault))
    lease = lease_of(client, "small", "import")
    tap.check("read-only: an import is refused", lease.state == "error" and isinstance(lease.error, vim.fault.FileFault), lease.error)
    small.remount("rw")
    wait(vm.CreateSnapshot_Task("kept", "", True, False))
    small.remount("ro")
    fault = fault_of(vm.RemoveAllSnapshots_Task)
    tap.check("read-only: removal of a snapshot is refused", isinstance(fault, vim.fault.FileFault), fault)
    fault = fault_of(vm.RevertToCurrentSnapshot_Task)
    tap.check("read-only: going back is refused", isinstance(fault, vim.fault.FileFault), fault)
    tap.equal("read-only: it stays listed, and the VM on", (vm.snapshot.rootSnapshotList[0].name, vm.runtime.powerState), ("kept", "poweredOn"))
    small.remount("rw")
    wait(vm.RemoveAllSnapshots_Task())
    tap.equal("written again: it goes", vm.snapshot, None)
    wait(vm.PowerOff())
    wait(vm.Destroy())
    wait(running.PowerOn())


def vanished(tap, client, vm, source, small):
    """Its name leads nowhere any more; what is open stays open."""
    kept = small.folder + "-kept"
    shutil.copytree(small.folder, kept)
    small.umount()
    small.store.RefreshDatastore()
    eventually(lambda: not small.store.summary.accessible)
    refused(tap, client, vm, source, small.store, small, "away",
            (vim.fault.FileNotFound, vim.fault.CannotAccessFile, vim.fault.InvalidDatastore, vim.fault.FileFault,
             vim.fault.InvalidDatastorePath, vmodl.fault.HostNotReachable))
    lease = lease_of(client, "small", "import")
    tap.check("away: an import is refused", lease.state == "error", lease.error)
    wait(vm.PowerOff())
    tap.equal("away: it can be switched off", vm.runtime.powerState, "poweredOff")
    small.mount()
    shutil.copytree(kept, small.folder, dirs_exist_ok=True)
    small.store.RefreshDatastore()
    tap.check("it is back", eventually(lambda: small.store.summary.accessible, 30))
    wait(vm.PowerOn())
    wait(vm.Suspend())
    tap.equal("and its VM can be suspended", vm.runtime.powerState, "suspended")
    wait(vm.PowerOn())
    wait(vm.PowerOff())
    wait(vm.Destroy())


def scenario(tap, host, client):
    if not may_mount():
        print("# left out: file systems can not be mounted here")
        return
    small = Small(host, client, "small", 64)
    try:
        source = create(client, "source")
        write_at(host.path("source/source-flat.vmdk"), 0, random.Random(3).randbytes(4 * MIB))
        vm = make(client, spec_on("small", "vm"))
        kind = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(capacityKb=20480, diskType="thin", adapterType="lsiLogic")
        wait(client.content.virtualDiskManager.CreateVirtualDisk_Task("[small] grows.vmdk", None, kind))
        wait(vm.PowerOn())
        for step in (full, read_only, vanished):
            step(tap, client, vm, source, small)
    finally:
        small.umount()


def main():
    tap = Tap()
    with Host(sys.argv[1]) as host:
        tap.run([scenario], host, Client(connect(host)))


main()
