#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What programs ask a host for that were written for ESXi and are not at hand here: their sequences of calls,
the properties that they rely on, the faults that they expect (telegraf, vmware_exporter, Terraform, Proxmox'
import, backup programs, PowerCLI).
Usage: host_foreign.py BUILD"""

import base64
import http.client
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.append("/usr/lib/python3/dist-packages")
try:
    from pyVmomi import vim, vmodl
except ImportError:
    print("1..0 # SKIP no pyVmomi")
    sys.exit(0)
from client import Client, connect, create, devices, wait  # noqa: E402
from host import Host, Tap, context  # noqa: E402

Collector = vmodl.query.PropertyCollector


def batch(client, kind, paths):
    """As vmware_exporter and many samples read: a view, one way from it, paths of which not all are there."""
    view = client.content.viewManager.CreateContainerView(client.content.rootFolder, [kind], True)
    way = Collector.TraversalSpec(name="v", type=vim.view.ContainerView, path="view", skip=False)
    spec = Collector.FilterSpec(objectSet=[Collector.ObjectSpec(obj=view, skip=True, selectSet=[way])],
                                propSet=[Collector.PropertySpec(type=kind, all=False, pathSet=paths)])
    found = client.content.propertyCollector.RetrieveContents([spec])
    view.Destroy()
    return [{p.name: p.val for p in obj.propSet} for obj in found]


def exporter(tap, host, client):
    create(client, "exported")
    vm, = [row for row in batch(client, vim.VirtualMachine, [
        "name", "summary.config.vmPathName", "runtime.host", "parent", "summary.config.numCpu", "summary.config.memorySizeMB",
        "runtime.maxCpuUsage", "summary.config.template", "runtime.powerState", "runtime.bootTime", "snapshot", "guest.disk",
        "guest.toolsStatus", "guest.toolsVersion", "guest.toolsVersionStatus2", "customValue", "triggeredAlarmState"])
        if row["name"] == "exported"]
    tap.check("a VM's properties", vm["summary.config.template"] is False and vm["guest.toolsStatus"] == "toolsNotInstalled", vm)
    tap.check("what is not there is left out", "snapshot" not in vm and "runtime.bootTime" not in vm, vm)
    row, = batch(client, vim.HostSystem, [
        "name", "summary.hardware.cpuMhz", "summary.config.product.build", "runtime.standbyMode", "runtime.bootTime",
        "runtime.inMaintenanceMode", "summary.quickStats.overallCpuUsage", "summary.hardware.model",
        "runtime.healthSystemRuntime.systemHealthInfo.numericSensorInfo",
        "runtime.healthSystemRuntime.hardwareStatusInfo.cpuStatusInfo"])
    tap.check("a host's", row["runtime.inMaintenanceMode"] is False and row["summary.config.product.build"].isdigit(), row)
    store, = batch(client, vim.Datastore, [
        "name", "summary.capacity", "summary.freeSpace", "summary.uncommitted", "summary.maintenanceMode", "summary.type",
        "summary.accessible", "host", "vm", "triggeredAlarmState"])
    tap.check("a datastore's", store["summary.uncommitted"] > 0 and store["summary.maintenanceMode"] == "normal", store)
    tap.equal("no custom fields", client.content.customFieldsManager, None)


def pollers(tap, host, client):
    tap.raises("telegraf's question for vCenter's limit", vim.fault.InvalidName,
               lambda: client.content.setting.QueryView("config.vpxd.stats.maxQueryMetrics"))
    label = {d.key: d.label for d in client.content.taskManager.description.methodInfo}
    tap.check("a task's name for people", label["VirtualMachine.powerOn"].lower().startswith("power on"), label["VirtualMachine.powerOn"])
    described = client.content.taskManager.description
    tap.equal("states of tasks", [d.key for d in described.state], ["queued", "running", "success", "error"])
    tap.check("who may have started one", vim.TaskReasonUser in [d.key for d in described.reason],
              [d.key for d in described.reason])
    storage = client.host.configManager.storageSystem
    mounts = storage.fileSystemVolumeInfo.mountInfo
    tap.equal("file systems are the datastores", [(m.volume.name, m.mountInfo.accessible) for m in mounts],
              [(d.name, True) for d in client.host.datastore])
    tap.equal("mounted where the datastore says", mounts[0].mountInfo.path, client.host.datastore[0].host[0].mountInfo.path)
    tap.equal("the policies of paths", [p.policy.key for p in storage.QueryPathSelectionPolicyOptions()], ["VMW_PSP_FIXED"])
    tap.equal("no volumes to be resolved", client.host.configManager.datastoreSystem.QueryUnresolvedVmfsVolumes(), [])
    tap.equal("no products within", client.si.RetrieveProductComponents(), [])


def disks(tap, host, client):
    """Terraform and backup programs tell disks by their uuid, and snapshots by what a disk stands on."""
    vm = create(client, "backed")
    disk, = devices(vm, vim.vm.device.VirtualDisk)
    uuid = client.content.virtualDiskManager.QueryVirtualDiskUuid(disk.backing.fileName, client.datacenter)
    tap.equal("its uuid is the file's", disk.backing.uuid.replace("-", ""), uuid.replace(" ", "").replace("-", ""))
    tap.check("in the API's form", re.fullmatch(r"6000C29[0-9a-f]-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
                                                disk.backing.uuid), disk.backing.uuid)
    wanted = "6000C29a-0102-0304-0506-0708090a0b0c"
    client.content.virtualDiskManager.SetVirtualDiskUuid(disk.backing.fileName, client.datacenter, wanted)
    tap.equal("given another one", devices(vm, vim.vm.device.VirtualDisk)[0].backing.uuid.lower(), wanted.lower())
    tap.equal("its object", disk.diskObjectId, f"{vm._moId}-{disk.key}")
    tap.equal("where its files are", [(d.name, d.url) for d in vm.config.datastoreUrl],
              [("datastore1", client.host.datastore[0].summary.url)])
    files = [disk.backing.fileName]
    for name in ("one", "two"):
        wait(vm.CreateSnapshot_Task(name, "", False, False))
        files.insert(0, devices(vm, vim.vm.device.VirtualDisk)[0].backing.fileName)
    backing, chain = devices(vm, vim.vm.device.VirtualDisk)[0].backing, []
    while backing:
        chain.append(backing.fileName)
        backing = backing.parent
    tap.equal("what it stands on, the newest first", chain, files)
    then, = [d for d in vm.snapshot.currentSnapshot.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk)]
    tap.equal("at the snapshot it is one less", (then.backing.fileName, then.backing.parent.fileName), (files[1], files[2]))
    tap.equal("and no more", then.backing.parent.parent, None)
    wait(vm.RemoveAllSnapshots_Task())
    tap.equal("alone again", devices(vm, vim.vm.device.VirtualDisk)[0].backing.parent, None)


def by_hand(tap, host, client):
    """A .vmx that somebody wrote: what it lacks to be told from others it gets when it starts."""
    os.mkdir(host.path("hand"))
    path = host.path("hand", "hand.vmx")
    with open(path, "w", encoding="ascii") as file:
        file.write('config.version = "8"\nvirtualHW.version = "19"\ndisplayName = "hand"\nmemSize = "32"\nguestOS = "otherlinux-64"\n'
                   'ethernet0.present = "TRUE"\nethernet0.virtualDev = "vmxnet3"\nethernet0.networkName = "VM Network"\n'
                   'ethernet1.present = "TRUE"\nethernet1.virtualDev = "vmxnet3"\nethernet1.addressType = "static"\n'
                   'ethernet1.address = "00:50:56:00:00:07"\nsocle.engine = "bt"\n')
    vm = wait(client.folder.RegisterVM_Task("[datastore1] hand/hand.vmx", None, False, client.pool))
    wait(vm.PowerOn())
    card, fixed = devices(vm, vim.vm.device.VirtualEthernetCard)
    tap.check("an address of its own", re.fullmatch("00:0c:29(:[0-9a-f]{2}){3}", card.macAddress or ""), card.macAddress)
    tap.equal("what was given stays", fixed.macAddress, "00:50:56:00:00:07")
    tap.check("and uuids", vm.config.instanceUuid and vm.config.uuid != "00000000-0000-0000-0000-000000000000", vm.config.uuid)
    tap.equal("by which it is found", client.content.searchIndex.FindByUuid(None, vm.config.instanceUuid, True, True), vm)
    first = (card.macAddress, vm.config.uuid, vm.config.instanceUuid)
    wait(vm.PowerOff())
    wait(vm.PowerOn())
    again = devices(vm, vim.vm.device.VirtualEthernetCard)[0].macAddress, vm.config.uuid, vm.config.instanceUuid
    tap.equal("for good", again, first)
    wait(vm.PowerOff())
    wait(vm.Destroy())


def importer(tap, host, client):
    """Proxmox' import reads the files of a VM by ranges, with name and password on each request."""
    vm = create(client, "brought")
    place = re.fullmatch(r"\[(.*)\] (.*)", vm.config.files.vmPathName)
    usage = vm.storage.perDatastoreUsage
    tap.equal("which datastores it is on", [u.datastore.name for u in usage], [place[1]])
    connection = http.client.HTTPSConnection("127.0.0.1", host.port, context=context())
    head = {"Authorization": "Basic " + base64.b64encode(f"root:{host.password}".encode()).decode()}
    path = f"/folder/{place[2]}?dcPath=ha-datacenter&dsName={place[1]}"

    def ask(method, **more):
        connection.request(method, path, headers={**head, **more})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()

    status, headers, _ = ask("HEAD")
    size = int(headers["Content-Length"])
    tap.check("its size beforehand", status == 200 and size == os.path.getsize(host.path(place[2])), headers)
    status, headers, part = ask("GET", Range="bytes=10-19")
    with open(host.path(place[2]), "rb") as file:
        text = file.read()
    tap.check("a part of it", (status, part) == (206, text[10:20]) and headers["Content-Range"] == f"bytes 10-19/{size}", headers)
    tap.equal("all of it", ask("GET")[2], text)
    wait(vm.Destroy())


def events(tap, host, client):
    """Of what happens, in the words of the API: arguments, not only a text."""
    manager, Spec = client.content.eventManager, vim.event.EventFilterSpec
    vm = create(client, "spoken")
    wait(vm.Rename_Task("renamed"))
    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(memoryMB=64)))
    of_vm = manager.QueryEvents(Spec(entity=Spec.ByEntity(entity=vm, recursion="self")))
    named, = [e for e in of_vm if isinstance(e, vim.event.VmRenamedEvent)]
    tap.equal("a new name", (named.oldName, named.newName, named.template), ("spoken", "renamed", False))
    changed = [e for e in of_vm if isinstance(e, vim.event.VmReconfiguredEvent)][-1]
    tap.equal("a change", (changed.configSpec.memoryMB, changed.configSpec.extraConfig), (64, []))
    os.rename(host.path("spoken"), host.path("elsewhere"))
    tap.raises("what can not start says why", vim.fault.FileNotFound, lambda: wait(vm.PowerOn()))
    failed, = manager.QueryEvents(Spec(eventTypeId=["VmFailedToPowerOnEvent"], entity=Spec.ByEntity(entity=vm, recursion="self")))
    tap.check("in the event too", isinstance(failed.reason, vim.fault.FileNotFound), failed.reason)
    os.rename(host.path("elsewhere"), host.path("spoken"))
    wait(vm.Destroy())


def main():
    with Host(sys.argv[1]) as host:
        Tap().run([exporter, pollers, disks, by_hand, importer, events], host, Client(connect(host)))


main()
