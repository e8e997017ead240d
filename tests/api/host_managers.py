#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What clients ask of every ESXi besides VMs: the managers of a host's configuration, operations in
guests without tools, licences, pools, disks of the machine, files of a VM. Usage: host_managers.py BUILD"""

import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.append("/usr/lib/python3/dist-packages")
try:
    from pyVmomi import vim, vmodl
except ImportError:
    print("1..0 # SKIP no pyVmomi")
    sys.exit(0)
from client import Client, connect, create, wait
from host import Host, Tap, eventually


def guest_operations(tap, client, vm):
    manager = client.content.guestOperationsManager
    auth = vim.vm.guest.NamePasswordAuthentication(username="root", password="x")
    spec = vim.vm.guest.ProcessManager.ProgramSpec(programPath="/bin/true", arguments="")
    calls = {
        "a program": lambda: manager.processManager.StartProgramInGuest(vm, auth, spec),
        "processes": lambda: manager.processManager.ListProcessesInGuest(vm, auth, []),
        "a folder": lambda: manager.fileManager.MakeDirectoryInGuest(vm, auth, "/x", False),
        "files": lambda: manager.fileManager.ListFilesInGuest(vm, auth, "/"),
        "an upload": lambda: manager.fileManager.InitiateFileTransferToGuest(
            vm, auth, "/x", vim.vm.guest.FileManager.FileAttributes(), 1, False),
        "credentials": lambda: manager.authManager.ValidateCredentialsInGuest(vm, auth),
        "aliases": lambda: manager.aliasManager.ListGuestAliases(vm, auth, "root"),
        "a registry": lambda: manager.guestWindowsRegistryManager.ListRegistryKeysInGuest(
            vm, auth, vim.vm.guest.WindowsRegistryManager.RegistryKeyName(
                registryPath="HKLM", wowBitness="WOWNative"), False),
    }
    for what, call in calls.items():
        tap.raises(f"in a guest that is off: {what}", vim.fault.InvalidPowerState, call)
    wait(vm.PowerOn())
    for what, call in calls.items():
        tap.raises(f"in a guest without tools: {what}", vim.fault.GuestOperationsUnavailable, call)
    tap.raises("tools to mount", vim.fault.ToolsImageNotAvailable, vm.MountToolsInstaller)
    vm.UnmountToolsInstaller()
    tap.raises("a guest that sleeps", vim.fault.ToolsUnavailable, vm.StandbyGuest)
    tap.raises("a guest that starts again", vim.fault.ToolsUnavailable, vm.RebootGuest)
    tap.raises("tools renewed", vim.fault.ToolsUnavailable, lambda: wait(vm.UpgradeTools_Task()))
    tap.raises("newer hardware while it runs", vim.fault.InvalidPowerState, lambda: wait(vm.UpgradeVM_Task("vmx-20")))
    vm.TerminateVM()
    tap.check("a hard end", is_off(vm))
    wait(vm.UpgradeVM_Task())
    tap.equal("the newest hardware", vm.config.version, "vmx-21")
    tap.raises("twice", vim.fault.InvalidPowerState, vm.TerminateVM)


def is_off(vm):
    return eventually(lambda: vm.runtime.powerState == "poweredOff")


def upkeep(tap, client, vm):
    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(version="vmx-13")))
    tap.equal("older hardware", vm.config.version, "vmx-13")
    wait(vm.UpgradeVM_Task("vmx-19"))
    tap.equal("newer hardware", vm.config.version, "vmx-19")
    tap.raises("older it does not become", vim.fault.AlreadyUpgraded, lambda: wait(vm.UpgradeVM_Task("vmx-13")))
    tap.raises("one that is none", vmodl.fault.InvalidArgument, lambda: wait(vm.UpgradeVM_Task("vmx-99")))
    tap.equal("nobody else's files", list(vm.QueryUnownedFiles()), [])
    tap.equal("its pool's view", vm.resourceConfig.cpuAllocation.shares.shares, 1000)
    tap.equal("tools were never installed", vm.config.tools.lastInstallInfo.counter, 0)


def names(layout, kind):
    return sorted(f.name.split("/")[-1] for f in layout.file if f.type == kind)


def used(tap, vm, what):
    """What its files take, wherever that is told; never of a moment before."""
    total = sum(f.size for f in vm.layoutEx.file)
    one = vm.storage.perDatastoreUsage[0]
    tap.equal(f"room that its files take, {what}", (vm.summary.storage.committed, vm.summary.storage.unshared,
              one.committed, one.unshared), (total,) * 4)
    return total


def taken(tap, host, vm):
    """A disk behind a snapshot goes on taking room."""
    path = next(f.name.split("] ")[1] for f in vm.layoutEx.file if f.name.endswith("-flat.vmdk"))
    with open(host.path(path), "r+b") as file:
        file.write(os.urandom(8 << 20))
    vm.RefreshStorageInfo()
    before = used(tap, vm, "8 MiB of a disk")
    tap.check("8 MiB at least", before >= 8 << 20, before)
    wait(vm.CreateSnapshot("room", "", False, False))
    tap.check("no less with a snapshot", used(tap, vm, "with a snapshot") >= before)
    wait(vm.RemoveAllSnapshots())
    tap.check("about the same without", abs(used(tap, vm, "without it again") - before) < 1 << 20)


def files(tap, client, vm):
    wait(vm.CreateSnapshot("a", "", False, False))
    wait(vm.CreateSnapshot("b", "", False, False))
    ex = vm.layoutEx
    stem = vm.name
    tap.equal("its file", names(ex, "config"), [f"{stem}.vmx"])
    tap.equal("the list of snapshots", names(ex, "snapshotList"), [f"{stem}.vmsd"])
    tap.equal("descriptors", names(ex, "diskDescriptor"),
              [f"{stem}-000001.vmdk", f"{stem}-000002.vmdk", f"{stem}.vmdk"])
    tap.equal("extents", names(ex, "diskExtent")[-1], f"{stem}-flat.vmdk")
    by_key = {f.key: f.name.split("/")[-1] for f in ex.file}

    def chain(disk):
        return [by_key[unit.fileKey[0]] for unit in disk.chain]

    tap.equal("the chain", chain(ex.disk[0]), [f"{stem}.vmdk", f"{stem}-000001.vmdk", f"{stem}-000002.vmdk"])
    tap.equal("keys of disks", [d.key for d in ex.disk], [2000])
    trees = {s.key: s for s in ex.snapshot}
    first = vm.snapshot.rootSnapshotList[0]
    tap.equal("the first snapshot's chain", chain(trees[first.snapshot].disk[0]), [f"{stem}.vmdk"])
    second = first.childSnapshotList[0]
    tap.equal("the second's", chain(trees[second.snapshot].disk[0]), [f"{stem}.vmdk", f"{stem}-000001.vmdk"])
    tap.equal("no memory", [trees[s].memoryKey for s in trees], [-1, -1])
    old = vm.layout
    tap.equal("as it was told before 4.0", [d.diskFile[0].split("/")[-1] for d in old.disk], [f"{stem}-000002.vmdk"])
    wait(vm.RemoveAllSnapshots())
    tap.equal("one disk again", chain(vm.layoutEx.disk[0])[-1:], [by_key[ex.disk[0].chain[0].fileKey[0]]])


def watched(tap, client, vm, second, third):
    """Who watches pools sees VMs come and go."""
    collector, kind = client.content.propertyCollector, vmodl.query.PropertyCollector
    watch = collector.CreateFilter(kind.FilterSpec(
        propSet=[kind.PropertySpec(type=vim.ResourcePool, pathSet=["vm"])],
        objectSet=[kind.ObjectSpec(obj=pool) for pool in (second, third)]), False)

    def seen(version):
        update = collector.WaitForUpdatesEx(version, kind.WaitOptions(maxWaitSeconds=5))
        if update is None:
            return version, {}
        return update.version, {o.obj: list(o.changeSet[0].val) for o in update.filterSet[0].objectSet}

    version, _ = seen("")
    third.MoveIntoResourcePool([vm])
    version, now = seen(version)
    tap.equal("a VM's move is told of both pools", now, {second: [], third: [vm]})
    second.MoveIntoResourcePool([vm])
    tap.equal("and back", seen(version)[1], {second: [vm], third: []})
    watch.Destroy()


def many_snapshots(tap, host, client):
    """A list that somebody has uploaded: the host does not stand still over it."""
    vm = create(client, "many")
    vm.UnregisterVM()
    count = 1000
    lines = ['.encoding = "UTF-8"', f'snapshot.lastUID = "{count}"', f'snapshot.current = "{count}"',
             f'snapshot.numSnapshots = "{count}"']
    for n in range(count):
        keys = {"uid": n + 1, "displayName": f"s{n}", "numDisks": 1, "disk0.node": "scsi0:0",
                "disk0.fileName": f"many-{n:06}.vmdk"}
        keys.update({"parent": n} if n else {})
        lines += [f'snapshot{n}.{key} = "{value}"' for key, value in keys.items()]
        if n in (0, count - 1):
            with open(host.path("many", f"many-{n:06}.vmdk"), "wb"):
                pass
    with open(host.path("many", "many.vmsd"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    vm = wait(client.folder.RegisterVM_Task("[datastore1] many/many.vmx", None, False, client.pool))
    for what in ("layoutEx", "layout", "snapshot", "rootSnapshot"):
        begun = time.monotonic()
        value = getattr(vm, what)
        took = time.monotonic() - begun
        tap.check(f"{what} of a VM with {count} snapshots comes soon", value and took < 10, took)
    ex = vm.layoutEx
    tap.equal("its files are told", names(ex, "diskDescriptor"),
              sorted([f"many-{n:06}.vmdk" for n in (0, count - 1)] + (["many.vmdk"] if ex.disk else [])))
    tap.check("and the first snapshots' chains", [len(s.disk[0].chain) for s in ex.snapshot[:2]] == [1, 1] and
              100 < len(ex.snapshot) < count, len(ex.snapshot))
    vm.UnregisterVM()


def pools(tap, client, vm):
    def spec():
        share = vim.SharesInfo(level="normal", shares=0)
        allocation = vim.ResourceAllocationInfo(reservation=0, limit=-1, expandableReservation=True, shares=share)
        return vim.ResourceConfigSpec(cpuAllocation=allocation, memoryAllocation=allocation)

    first = client.pool.CreateResourcePool("first", spec())
    second = client.pool.CreateResourcePool("second", spec())
    second.MoveIntoResourcePool([vm, first])
    tap.equal("a VM moved", vm.resourcePool, second)
    tap.equal("a pool moved", (first.parent, list(second.resourcePool)), (second, [first]))
    tap.raises("not into itself", vmodl.fault.InvalidArgument, lambda: first.MoveIntoResourcePool([second]))
    tap.raises("not the root", vmodl.fault.InvalidArgument, lambda: first.MoveIntoResourcePool([client.pool]))
    client.pool.CreateResourcePool("first", spec())
    tap.raises("not beside its name", vim.fault.DuplicateName, lambda: client.pool.MoveIntoResourcePool([first]))
    wanted = spec()
    wanted.entity = first
    wanted.cpuAllocation.limit = 500
    second.UpdateChildResourceConfiguration([wanted])
    tap.equal("a child's limits", first.config.cpuAllocation.limit, 500)
    wanted.cpuAllocation.limit, wrong = 600, spec()
    wrong.entity = client.pool
    tap.raises("one of several wrong", vmodl.fault.InvalidArgument,
               lambda: second.UpdateChildResourceConfiguration([wanted, wrong]))
    tap.raises("nor a pool twice", vmodl.fault.InvalidArgument,
               lambda: second.UpdateChildResourceConfiguration([wanted, wanted]))
    tap.equal("none is changed", first.config.cpuAllocation.limit, 500)
    third = client.pool.CreateResourcePool("third", spec())
    twins = [pool.CreateResourcePool("twin", spec()) for pool in (second, client.pool)]
    tap.raises("nor two of one name at once", vim.fault.DuplicateName, lambda: third.MoveIntoResourcePool(twins))
    tap.equal("neither has moved", list(third.resourcePool), [])
    third.MoveIntoResourcePool([twins[0], twins[0]])
    tap.equal("one that is named twice has", list(third.resourcePool), [twins[0]])
    watched(tap, client, vm, second, third)
    third.Destroy()
    for twin in twins:
        twin.Destroy()
    tap.raises("not a grandchild's", vmodl.fault.InvalidArgument,
               lambda: client.pool.UpdateChildResourceConfiguration([wanted]))
    deep = first
    for level in range(5):
        deep = deep.CreateResourcePool(f"level {level}", spec())
    tap.raises("not ever deeper", vim.fault.InsufficientResourcesFault,
               lambda: deep.CreateResourcePool("too deep", spec()))
    tap.equal("shares of options", client.pool.QueryResourceConfigOption().cpuAllocationOption.sharesOption
              .sharesOption.defaultValue, 4000)
    return second


def kept(tap, host):
    host.stop()
    host.start()
    client = Client(connect(host))
    second = [p for p in client.pool.resourcePool if p.name == "second"][0]
    tap.equal("pools are where they were, after a restart", [p.name for p in second.resourcePool], ["first"])
    tap.equal("and the VM", [vm.name for vm in second.vm], ["managed"])
    client.pool.DestroyChildren()
    tap.equal("without pools it is in the root", [vm.name for vm in client.pool.vm], ["managed"])


def modules():
    try:
        with open("/proc/modules", encoding="ascii") as file:
            return len(file.readlines())
    except FileNotFoundError:
        return 0  # a kernel without


def host_managers(tap, client):
    m = client.host.configManager
    disks = [name for name in os.listdir("/sys/block") if os.path.exists(f"/sys/block/{name}/device")]
    info = m.storageSystem.storageDeviceInfo
    tap.equal("disks of the machine", sorted(d.canonicalName for d in info.scsiLun), sorted(disks))
    tap.equal("each by a path", len(info.multipathInfo.lun), len(disks))
    for disk in info.scsiLun:
        parts = m.storageSystem.RetrieveDiskPartitionInfo([disk.devicePath])
        tap.equal("its size", parts[0].layout.total.block, disk.capacity.block)
    tap.equal("a disk that is none", list(m.storageSystem.RetrieveDiskPartitionInfo(["/dev/none"])), [])
    if disks:
        m.storageSystem.RescanHba("vmhba0")
    tap.raises("an adapter that is none", vim.fault.NotFound, lambda: m.storageSystem.RescanHba("vmhba9"))
    threads = m.cpuScheduler.hyperthreadInfo
    tap.equal("hyper-threads", threads.available, threads.active)
    tap.equal("modules", len(m.kernelModuleSystem.QueryModules()), modules())
    tap.equal("no agent", m.snmpSystem.configuration.enabled, False)
    stores = m.authenticationManager.info.authConfig
    tap.equal("local accounts only", [s.enabled for s in stores], [True, False])
    tap.equal("as each store says", m.authenticationManager.supportedStore[1].info.enabled, False)
    config = client.host.config
    tap.equal("the same in the host's configuration",
              (config.hyperThread.active, [s.enabled for s in config.authenticationManagerInfo.authConfig],
               len(config.pciPassthruInfo)), (threads.active, [True, False], len(m.pciPassthruSystem.pciPassthruInfo)))
    tap.equal("nothing passed through", [p for p in m.pciPassthruSystem.pciPassthruInfo if p.passthruEnabled], [])
    tap.equal("PCI functions", len(m.pciPassthruSystem.pciPassthruInfo), len(client.host.hardware.pciDevice))
    tap.equal("sources of the time", list(m.dateTimeSystem.dateTimeInfo.ntpConfig.server), [])
    devices = [p.device for p in client.host.config.network.pnic]
    tap.equal("hints of cards", [h.device for h in m.networkSystem.QueryNetworkHint(devices)], devices)
    tap.raises("of one that is none", vim.fault.NotFound, lambda: m.networkSystem.QueryNetworkHint(["vmnic99"]))
    refused = vim.fault.HostConfigFault
    dns = vim.host.DnsConfig(dhcp=False, hostName="x", domainName="y", address=["192.0.2.1"])
    tap.raises("name servers are the machine's", refused, lambda: m.networkSystem.UpdateDnsConfig(dns))
    tap.raises("its stack is, too", refused, lambda: m.networkSystem.UpdateNetworkConfig(
        vim.host.NetworkConfig(ipV6Enabled=True), "modify"))
    nics = client.host.config.network.vnic
    if nics:
        m.virtualNicManager.SelectVnicForNicType("management", nics[0].device)
        tap.raises("vMotion", refused, lambda: m.virtualNicManager.SelectVnicForNicType("vmotion", nics[0].device))
    tap.raises("the machine goes on", vmodl.fault.NotSupported, lambda: client.host.RebootHost_Task(True))


def service(tap, client):
    connection = client.host.QueryHostConnectionInfo()
    tap.equal("the host as a whole", connection.host.host, client.host)
    tap.equal("its VMs", [vm.config.name for vm in connection.vm], ["managed"])
    tap.equal("its datastores", [d.summary.name for d in connection.datastore], ["datastore1"])
    licenses = client.content.licenseManager
    key = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"
    tap.check("a key does nothing", "No license key" in licenses.AddLicense(key).properties[0].value)
    assigned = licenses.licenseAssignmentManager.QueryAssignedLicenses("ha-host")
    tap.equal("what the host has", [a.assignedLicense.editionKey for a in assigned], ["socle"])
    tap.equal("no encryption", client.content.cryptoManager.enabled, False)
    tap.equal("no keys", list(client.content.cryptoManager.ListKeys(None)), [])
    store = client.datacenter.datastore[0]
    tap.equal("no first class disks", list(client.content.vStorageObjectManager.HostListVStorageObject(store)), [])
    tap.equal("no catalogs of texts", list(client.content.localizationManager.catalog), [])


def run(tap, host):
    client = Client(connect(host))
    vm = create(client, "managed")
    upkeep(tap, client, vm)
    files(tap, client, vm)
    taken(tap, host, vm)
    many_snapshots(tap, host, client)
    host_managers(tap, client)
    service(tap, client)
    guest_operations(tap, client, vm)
    pools(tap, client, vm)
    kept(tap, host)


def main():
    with Host(sys.argv[1]) as host:
        Tap().run([run], host)


main()
