#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""pyVmomi against a whole host: what a person's scripts do. TAP.

usage: host_pyvmomi.py BUILD
"""

import base64
import os
import signal
import sys
import time
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from client import Client, connect, create, device, devices, disk, reconnect, vm_spec, vmm_of  # noqa: E402
from host import Host, Tap, context, eventually  # noqa: E402
from pyVim.connect import Disconnect  # noqa: E402
from pyVim.task import WaitForTask  # noqa: E402
from pyVmomi import vim, vmodl  # noqa: E402


# scenarios

def inventory(tap, host, client):
    about = client.content.about
    tap.equal("it says that it is a host", (about.apiType, about.productLineId), ("HostAgent", "embeddedEsx"))
    tap.equal("and whose", about.name, "Socle")
    tap.equal("the datacenter", client.datacenter.name, "ha-datacenter")
    tap.equal("one datastore", [d.name for d in client.datacenter.datastore], ["datastore1"])
    tap.equal("one network", [n.name for n in client.datacenter.network], ["VM Network"])
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    tap.equal("the machine's memory", client.host.hardware.memorySize, memory)
    tap.equal("the machine's processors", client.host.hardware.cpuInfo.numCpuThreads, os.cpu_count())
    for name in ("summary", "config", "capability", "runtime", "configManager", "systemResources"):
        tap.check(f"HostSystem.{name} is there", getattr(client.host, name) is not None)
    tap.check("the clock", abs(client.si.CurrentTime().timestamp() - time.time()) < 5)
    view = client.content.viewManager.CreateContainerView(client.content.rootFolder,
                                                          [vim.HostSystem, vim.Datastore], True)
    tap.equal("a view has both", sorted(type(o).__name__ for o in view.view),
              ["vim.Datastore", "vim.HostSystem"])
    view.Destroy()


def life(tap, host, client):
    vm = create(client, "life")
    tap.equal("made", vm.name, "life")
    tap.equal("where ESXi puts it", vm.config.files.vmPathName, "[datastore1] life/life.vmx")
    tap.equal("its devices", [(d.key, d.deviceInfo.label) for d in vm.config.hardware.device if d.key >= 1000],
              [(1000, "SCSI controller 0"), (2000, "Hard disk 1"), (4000, "Network adapter 1")])
    tap.equal("the disk's size", devices(vm, vim.vm.device.VirtualDisk)[0].capacityInKB, 4096)
    tap.check("the address is one of ours",
              devices(vm, vim.vm.device.VirtualEthernetCard)[0].macAddress.startswith("00:0c:29:"))
    tap.check("its files are there", os.path.exists(host.path("life/life-flat.vmdk")))
    fault = tap.raises("a name is given once", vim.fault.DuplicateName,
                       lambda: WaitForTask(client.folder.CreateVM_Task(vm_spec("life"), client.pool)))
    tap.equal("by whom", fault and fault.object, vm)
    WaitForTask(vm.PowerOn())
    tap.equal("on", vm.runtime.powerState, "poweredOn")
    fault = tap.raises("on is on", vim.fault.InvalidPowerState, lambda: WaitForTask(vm.PowerOn()))
    tap.equal("and says so", fault and fault.msg,
              "The attempted operation cannot be performed in the current state (Powered on).")
    WaitForTask(vm.Reset())
    tap.equal("reset leaves it on", vm.runtime.powerState, "poweredOn")
    tap.raises("no hardware changes while it runs", vim.fault.InvalidPowerState,
               lambda: WaitForTask(vm.Reconfigure(vim.vm.ConfigSpec(memoryMB=64))))
    tap.raises("nor does it go", vim.fault.InvalidPowerState, lambda: WaitForTask(vm.Destroy()))
    WaitForTask(vm.PowerOff())
    tap.equal("off", vm.runtime.powerState, "poweredOff")
    vm.Unregister()
    tap.raises("unregistered, it is no object any more", vmodl.fault.ManagedObjectNotFound, lambda: vm.name)
    task = client.folder.RegisterVM_Task("[datastore1] life/life.vmx", None, False, client.pool)
    WaitForTask(task)
    vm = task.info.result
    tap.equal("registered again, it is the same VM", vm.config.hardware.memoryMB, 32)
    WaitForTask(vm.Destroy())
    tap.check("destroyed, its files are gone", not os.path.exists(host.path("life")))


def reconfigure(tap, host, client):
    vm = create(client, "change")
    version = vm.config.changeVersion
    spec = vim.vm.ConfigSpec(
        memoryMB=64, numCPUs=2, annotation="one\ntwo \"quoted\"", changeVersion=version,
        deviceChange=[disk(-1, 2048, 1000, 1)],
        extraConfig=[vim.option.OptionValue(key="guestinfo.a", value="b")])
    WaitForTask(vm.Reconfigure(spec))
    tap.equal("memory and processors", (vm.config.hardware.memoryMB, vm.config.hardware.numCPU), (64, 2))
    tap.equal("the annotation", vm.config.annotation, "one\ntwo \"quoted\"")
    tap.equal("a second disk", [d.key for d in devices(vm, vim.vm.device.VirtualDisk)], [2000, 2001])
    extra = {o.key: o.value for o in vm.config.extraConfig}
    tap.equal("extraConfig", extra.get("guestinfo.a"), "b")
    tap.raises("a stale version is refused", vim.fault.ConcurrentAccess, lambda: WaitForTask(
        vm.Reconfigure(vim.vm.ConfigSpec(changeVersion=version, annotation="late"))))
    second = devices(vm, vim.vm.device.VirtualDisk)[1]
    name = second.backing.fileName.split("] ")[1]
    WaitForTask(vm.Reconfigure(vim.vm.ConfigSpec(deviceChange=[device("remove", second, "destroy")])))
    tap.equal("the second disk goes", [d.key for d in devices(vm, vim.vm.device.VirtualDisk)], [2000])
    tap.check("with its file", not os.path.exists(host.path(name)))
    WaitForTask(vm.Reconfigure(vim.vm.ConfigSpec(
        extraConfig=[vim.option.OptionValue(key="guestinfo.a", value="")])))
    tap.check("an empty value removes the key", "guestinfo.a" not in [o.key for o in vm.config.extraConfig])
    tap.raises("memory that can not be", vmodl.fault.InvalidArgument, lambda: WaitForTask(
        vm.Reconfigure(vim.vm.ConfigSpec(memoryMB=3))))
    tap.raises("the host's files are not a VM's to name", vmodl.fault.InvalidArgument, lambda: WaitForTask(
        vm.Reconfigure(vim.vm.ConfigSpec(extraConfig=[vim.option.OptionValue(key="socle.kernel", value="/etc/passwd")]))))
    first = devices(vm, vim.vm.device.VirtualDisk)[0]
    first.backing.diskMode = "independent_persistent"
    WaitForTask(vm.Reconfigure(vim.vm.ConfigSpec(deviceChange=[device("edit", first)])))
    tap.equal("a disk's mode", devices(vm, vim.vm.device.VirtualDisk)[0].backing.diskMode, "independent_persistent")
    with open(host.path("change/change.vmx"), encoding="utf-8") as file:
        tap.check("as .vmx files have it", 'mode = "independent-persistent"' in file.read())
    first.backing.diskMode = "independent_nonpersistent"
    tap.raises("one that a power-off throws away", vim.fault.InvalidDeviceSpec, lambda: WaitForTask(
        vm.Reconfigure(vim.vm.ConfigSpec(deviceChange=[device("edit", first)]))))
    WaitForTask(vm.Reconfigure(vim.vm.ConfigSpec(version="vmx-15")))
    WaitForTask(vm.UpgradeVM_Task("vmx-19"))
    tap.equal("a newer version of virtual hardware", vm.config.version, "vmx-19")
    tap.raises("no way back", vim.fault.AlreadyUpgraded, lambda: WaitForTask(vm.UpgradeVM_Task("vmx-17")))
    WaitForTask(vm.UpgradeVM_Task())
    tap.equal("the newest", vm.config.version, "vmx-21")
    WaitForTask(vm.Rename("changed"))
    tap.equal("a new name", vm.name, "changed")
    with open(host.path("change/change.vmx"), encoding="utf-8") as file:
        tap.check("the file knows it", 'displayName = "changed"' in file.read())
    index = client.content.searchIndex
    tap.equal("found by its uuid", index.FindByUuid(None, vm.config.uuid, True), vm)
    tap.equal("by its place", index.FindByInventoryPath("ha-datacenter/vm/changed"), vm)
    tap.equal("by its file", index.FindByDatastorePath(client.datacenter, "[datastore1] change/change.vmx"), vm)
    tap.equal("as a child", index.FindChild(client.folder, "changed"), vm)
    tap.equal("and not if it is not", index.FindChild(client.folder, "nobody"), None)
    WaitForTask(vm.Destroy())


def snapshots(tap, host, client):
    vm = create(client, "snap")
    flat = host.path("snap/snap-flat.vmdk")
    with open(flat, "r+b") as file:
        file.write(b"A" * 4096)

    def take(name):
        task = vm.CreateSnapshot_Task(name, f"about {name}", False, False)
        WaitForTask(task)
        return task.info.result

    first = take("one")
    tap.equal("one is current", vm.snapshot.currentSnapshot, first)
    tap.equal("the VM goes on with a child", devices(vm, vim.vm.device.VirtualDisk)[0].backing.fileName,
              "[datastore1] snap/snap-000001.vmdk")
    WaitForTask(vm.Reconfigure(vim.vm.ConfigSpec(memoryMB=64)))
    second = take("two")
    tree = vm.snapshot.rootSnapshotList[0]
    tap.equal("a tree", (tree.name, tree.description, tree.childSnapshotList[0].name), ("one", "about one", "two"))
    tap.equal("what the VM was then", (first.config.hardware.memoryMB, second.config.hardware.memoryMB), (32, 64))
    first.RenameSnapshot("uno", None)
    tap.equal("renamed", vm.snapshot.rootSnapshotList[0].name, "uno")
    WaitForTask(first.RevertToSnapshot_Task())
    tap.equal("back to the first", (vm.snapshot.currentSnapshot, vm.config.hardware.memoryMB), (first, 32))
    third = take("three")
    tap.equal("a branch", len(vm.snapshot.rootSnapshotList[0].childSnapshotList), 2)
    with open(host.path("snap/snap.vmsd"), encoding="utf-8") as file:
        tap.check("listed as ESXi does", 'snapshot.numSnapshots = "3"' in file.read())
    WaitForTask(third.RemoveSnapshot_Task(False))
    tap.raises("what is removed is no object", vmodl.fault.ManagedObjectNotFound, lambda: third.config)
    WaitForTask(vm.PowerOn())
    take("hot")
    tap.equal("while it runs, too", vm.runtime.powerState, "poweredOn")
    WaitForTask(vm.PowerOff())
    WaitForTask(vm.RemoveAllSnapshots_Task())
    tap.equal("none left", vm.snapshot, None)
    tap.equal("all in the first disk again", devices(vm, vim.vm.device.VirtualDisk)[0].backing.fileName,
              "[datastore1] snap/snap.vmdk")
    with open(flat, "rb") as file:
        tap.equal("with what it held", file.read(4096), b"A" * 4096)
    left = sorted(n for n in os.listdir(host.path("snap")) if n.endswith(".vmdk"))
    tap.equal("and no other is left", left, ["snap-flat.vmdk", "snap.vmdk"])
    take("last")
    WaitForTask(vm.Destroy())
    tap.check("destroyed with its snapshot", not os.path.exists(host.path("snap")),
              os.path.exists(host.path("snap")) and os.listdir(host.path("snap")))


def events(tap, host, client):
    collector = client.content.eventManager.CreateCollectorForEvents(vim.event.EventFilterSpec())
    collector.ResetCollector()
    vm = create(client, "eventful")
    WaitForTask(vm.PowerOn())
    WaitForTask(vm.PowerOff())
    WaitForTask(vm.Destroy())
    names = [type(e).__name__.split(".")[-1] for e in collector.ReadNextEvents(100)]
    tap.equal("what happened, in order", names,
              ["VmCreatedEvent", "VmStartingEvent", "VmPoweredOnEvent", "VmStoppingEvent", "VmPoweredOffEvent", "VmRemovedEvent"])
    tap.equal("the newest first", type(collector.latestPage[0]).__name__, "vim.event.VmRemovedEvent")
    by_type = client.content.eventManager.CreateCollectorForEvents(
        vim.event.EventFilterSpec(eventTypeId=["vim.event.VmPoweredOnEvent"]))
    tap.check("by type", {type(e).__name__ for e in by_type.ReadNextEvents(100)} == {"vim.event.VmPoweredOnEvent"})
    collector.DestroyCollector()
    by_type.DestroyCollector()


def http(host, method, path, data=None, headers=None, password=None):
    login = base64.b64encode(f"root:{password or host.password}".encode()).decode()
    request = urllib.request.Request(f"https://127.0.0.1:{host.port}{path}", data=data, method=method,
                                     headers={"Authorization": f"Basic {login}", **(headers or {})})
    try:
        with urllib.request.urlopen(request, context=context(), timeout=60) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def files(tap, host, client):
    where = "?dcPath=ha-datacenter&dsName=datastore1"
    data = os.urandom(3 << 20)
    tap.equal("an upload makes folders", http(host, "PUT", f"/folder/new/dir/a.bin{where}", data)[:2], (201, b""))
    tap.equal("over an old one", http(host, "PUT", f"/folder/new/dir/a.bin{where}", data)[0], 200)
    tap.equal("what comes back", http(host, "GET", f"/folder/new/dir/a.bin{where}")[1], data)
    status, part, headers = http(host, "GET", f"/folder/new/dir/a.bin{where}", headers={"Range": "bytes=1000-1999"})
    tap.equal("a range", (status, part, headers["Content-Range"]),
              (206, data[1000:2000], f"bytes 1000-1999/{len(data)}"))
    status, body, headers = http(host, "HEAD", f"/folder/new/dir/a.bin{where}")
    tap.equal("HEAD", (status, body, headers["Content-Length"]), (200, b"", str(len(data))))
    tap.equal("beyond its end", http(host, "GET", f"/folder/new/dir/a.bin{where}",
                                     headers={"Range": "bytes=99999999-"})[0], 416)
    tap.check("a folder is a list", b"a.bin" in http(host, "GET", f"/folder/new/dir{where}")[1])
    tap.equal("a folder is not deleted so", http(host, "DELETE", f"/folder/new/dir{where}")[0], 405)
    tap.equal("a file is", http(host, "DELETE", f"/folder/new/dir/a.bin{where}")[0], 204)
    tap.equal("and is gone", http(host, "GET", f"/folder/new/dir/a.bin{where}")[0], 404)
    tap.equal("nothing above the datastore", http(host, "GET", f"/folder/%2e%2e/%2e%2e/password{where}")[0], 400)
    os.symlink("/etc/passwd", host.path("link"))
    tap.equal("nor behind a link", http(host, "GET", f"/folder/link{where}")[0], 403)
    os.unlink(host.path("link"))
    tap.equal("not without a password", http(host, "GET", f"/folder{where}", password="wrong-one")[0], 401)
    manager = client.content.fileManager
    manager.MakeDirectory("[datastore1] made/deep", client.datacenter, True)
    tap.check("MakeDirectory", os.path.isdir(host.path("made/deep")))
    with open(host.path("made/x.iso"), "wb") as file:
        file.write(b"iso")
    WaitForTask(manager.CopyDatastoreFile_Task("[datastore1] made/x.iso", client.datacenter,
                                               "[datastore1] made/y.iso", client.datacenter, False))
    WaitForTask(manager.MoveDatastoreFile_Task("[datastore1] made/y.iso", client.datacenter,
                                               "[datastore1] made/deep/z.iso", client.datacenter, False))
    browser = client.datacenter.datastore[0].browser
    task = browser.SearchDatastoreSubFolders_Task("[datastore1] made", vim.host.DatastoreBrowser.SearchSpec(
        matchPattern=["*.iso"], details=vim.host.DatastoreBrowser.FileInfo.Details(
            fileType=True, fileSize=True, modification=False, fileOwner=False)))
    WaitForTask(task)
    found = sorted(r.folderPath + f.path for r in task.info.result for f in r.file)
    tap.equal("the browser finds both", found, ["[datastore1] made/deep/z.iso", "[datastore1] made/x.iso"])
    tap.raises("what is there is not copied over", vim.fault.FileAlreadyExists, lambda: WaitForTask(
        manager.CopyDatastoreFile_Task("[datastore1] made/x.iso", None, "[datastore1] made/deep/z.iso", None, False)))
    WaitForTask(manager.DeleteDatastoreFile_Task("[datastore1] made", client.datacenter))
    tap.check("a tree goes", not os.path.exists(host.path("made")))
    disks = client.content.virtualDiskManager
    spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(capacityKb=4096, diskType="thin", adapterType="lsiLogic")
    WaitForTask(disks.CreateVirtualDisk_Task("[datastore1] new.vmdk", client.datacenter, spec))
    tap.check("a disk of nobody", os.path.getsize(host.path("new-flat.vmdk")) == 4 << 20)
    WaitForTask(disks.DeleteVirtualDisk_Task("[datastore1] new.vmdk", client.datacenter))
    tap.check("goes with its extent", not os.path.exists(host.path("new-flat.vmdk")))


def foreign(tap, host, client):
    """A .vmx from a stranger names files of the host."""
    where = "?dcPath=ha-datacenter&dsName=datastore1"
    secret = "../../../config/accounts.json"
    for number, name in enumerate(("/etc/passwd", secret, "/vmfs/volumes/datastore1/" + secret)):
        text = ('.encoding = "UTF-8"\nmemSize = "32"\nsocle.engine = "bt"\nide0:0.present = "TRUE"\n'
                f'ide0:0.deviceType = "cdrom-image"\nide0:0.fileName = "{name}"\n')
        http(host, "PUT", f"/folder/evil{number}/evil.vmx{where}", text.encode())
        task = client.folder.RegisterVM_Task(f"[datastore1] evil{number}/evil.vmx", f"evil{number}", False, client.pool)
        WaitForTask(task)
        vm = task.info.result
        fault = tap.raises(f"{name} is not given to it", vim.fault.GenericVmConfigFault,
                           lambda vm=vm: WaitForTask(vm.PowerOn()))
        tap.check("for it is on no datastore", fault and "is not on a datastore" in fault.msg, fault)
        WaitForTask(vm.Destroy())


def permissions(tap, host, client):
    accounts, roles = client.content.accountManager, client.content.authorizationManager
    accounts.CreateUser(vim.host.LocalAccountManager.AccountSpecification(
        id="alice", password="alice-secret-1", description="Alice"))
    tap.raises("without a permission nobody comes in", vim.fault.InvalidLogin,
               lambda: connect(host, "alice", "alice-secret-1"))
    vm, other = create(client, "hers"), create(client, "not-hers")
    role = roles.AddAuthorizationRole("switcher", ["VirtualMachine.Interact.PowerOn",
                                                   "VirtualMachine.Interact.PowerOff"])
    listed = {r.roleId: r for r in roles.roleList}
    tap.check("a role has what everybody must", set(listed[role].privilege) >= {"System.View", "System.Read"})
    roles.SetEntityPermissions(vm, [vim.AuthorizationManager.Permission(
        principal="alice", group=False, roleId=role, propagate=True)])
    alice = connect(host, "alice", "alice-secret-1")
    hers = alice.RetrieveContent().rootFolder.childEntity[0].vmFolder.childEntity
    tap.equal("she sees one VM", [v.name for v in hers], ["hers"])
    WaitForTask(hers[0].PowerOn())
    tap.equal("and may switch it on", vm.runtime.powerState, "poweredOn")
    WaitForTask(hers[0].PowerOff())
    fault = tap.raises("but not destroy it", vim.fault.NoPermission, lambda: WaitForTask(hers[0].Destroy()))
    tap.equal("for want of", fault and fault.privilegeId, "VirtualMachine.Inventory.Delete")
    stranger = vim.VirtualMachine(other._moId, alice._stub)
    tap.raises("the other one does not exist for her", vmodl.fault.ManagedObjectNotFound, stranger.PowerOn)
    tap.raises("nor may she make roles", vim.fault.NoPermission,
               lambda: alice.content.authorizationManager.AddAuthorizationRole("mine", []))
    tap.raises("a role in use stays", vim.fault.RemoveFailed, lambda: roles.RemoveAuthorizationRole(role, True))
    accounts.RemoveUser("alice")
    tap.raises("her session ends with her account", vim.fault.NotAuthenticated, alice.CurrentTime)
    roles.RemoveAuthorizationRole(role, True)
    WaitForTask(vm.Destroy())
    WaitForTask(other.Destroy())


def sessions(tap, host, client):
    manager = client.content.sessionManager
    second = connect(host)
    key = second.content.sessionManager.currentSession.key
    tap.check("both are listed", {s.key for s in manager.sessionList} >= {key, manager.currentSession.key})
    ticket = second.content.sessionManager.AcquireCloneTicket()
    manager.TerminateSession([key])
    tap.raises("ended by another", vim.fault.NotAuthenticated, second.CurrentTime)
    stub = connect(host)
    stub.content.sessionManager.Logout()
    tap.raises("a ticket of an ended session opens nothing", vim.fault.InvalidLogin,
               lambda: stub.content.sessionManager.CloneSession(ticket))
    faults = [tap.raises(f"wrong password {n}", vim.fault.InvalidLogin,
                         lambda: connect(host, "mallory", "guess")) for n in range(1, 7)]
    tap.equal("all answers are alike", len({f.msg for f in faults if f}), 1)
    tap.equal("and this", faults[0] and faults[0].msg,
              "Cannot complete login due to an incorrect user name or password.")
    accounts = client.content.accountManager
    accounts.CreateUser(vim.host.LocalAccountManager.AccountSpecification(id="bob", password="bobs-secret-1"))
    client.content.authorizationManager.SetEntityPermissions(client.content.rootFolder, [
        vim.AuthorizationManager.Permission(principal="bob", group=False, roleId=-2, propagate=True)])
    Disconnect(connect(host, "bob", "bobs-secret-1"))
    for _ in range(5):
        try:
            connect(host, "bob", "wrong")
        except vim.fault.InvalidLogin:
            pass
    tap.raises("after five wrong ones the right one is too late", vim.fault.InvalidLogin,
               lambda: connect(host, "bob", "bobs-secret-1"))
    accounts.RemoveUser("bob")


def survival(tap, host, client):
    """hostd and parts of VMs are killed."""
    vm = create(client, "survivor")
    WaitForTask(vm.PowerOn())
    boot, keeper = vm.runtime.bootTime, host.processes("socle-keeper")
    tap.equal("a running VM has a keeper", len(keeper), 1)
    began = time.monotonic()
    for pid in host.processes("socle-hostd"):
        os.kill(pid, signal.SIGKILL)
    client = Client(eventually(lambda: reconnect(host)))
    print(f"# back after {time.monotonic() - began:.2f} s")
    tap.check("within 2 s", time.monotonic() - began < 2)
    (vm,) = client.folder.childEntity
    tap.equal("the VM never noticed", (host.processes("socle-keeper"), vm.runtime.powerState),
              (keeper, "poweredOn"))
    tap.equal("nor did its clock", eventually(lambda: vm.runtime.bootTime == boot and boot), boot)
    status = host.stop()
    tap.equal("socle up ends well", status, 0)
    tap.equal("without hostd it runs on", host.processes("socle-keeper"), keeper)
    host.start()
    client = Client(connect(host))
    (vm,) = client.folder.childEntity
    tap.equal("the next host has it again", vm.runtime.powerState, "poweredOn")
    os.kill(vmm_of(keeper[0], "vmx"), signal.SIGKILL)
    tap.check("a killed vmx switches it off", eventually(lambda: vm.runtime.powerState == "poweredOff"))
    event = client.content.eventManager.latestEvent
    tap.check("and an event says why", "socle-vmx" in event.fullFormattedMessage
              or "vmx was killed" in event.fullFormattedMessage, event.fullFormattedMessage)
    WaitForTask(vm.PowerOn())
    tap.equal("it starts again", vm.runtime.powerState, "poweredOn")
    second = host.socle("up", "--root", host.root, "--listen", "127.0.0.1:1")
    tap.check("a second host on the same folder is refused by name",
              second.returncode == 1 and str(host.process.pid) in second.stderr, second.stderr)
    host.stop()
    tap.equal("down", host.socle("down", "--root", host.root, "--vms", "off").returncode, 0)
    tap.equal("took the VM along", eventually(lambda: not host.processes("socle-keeper")), True)
    host.start()
    client = Client(connect(host))
    (vm,) = client.folder.childEntity
    tap.equal("which is off now", vm.runtime.powerState, "poweredOff")
    WaitForTask(vm.Destroy())


def main():
    with Host(sys.argv[1]) as host:
        client = Client(connect(host))
        Tap().run([inventory, life, reconfigure, snapshots, events, files, foreign, permissions, sessions, survival], host, client)


main()
