# SPDX-License-Identifier: Apache-2.0
"""pyVmomi as the tests of a whole host use it: a connection, the objects that everybody wants, VMs."""

import schema
from host import context
from pyVim.connect import SmartConnect
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl


def connect(host, user="root", password=None):
    schema.watch(host.port)
    return SmartConnect(host="127.0.0.1", port=host.port, user=user, pwd=password or host.password,
                        sslContext=context())


class Client:
    """A connection, and the few objects that everybody wants."""

    def __init__(self, si):
        self.si = si
        self.content = si.RetrieveContent()
        self.datacenter = self.content.rootFolder.childEntity[0]
        self.compute = self.datacenter.hostFolder.childEntity[0]
        self.host = self.compute.host[0]
        self.folder = self.datacenter.vmFolder
        self.pool = self.compute.resourcePool

    def same(self, thing):
        """An object of another connection as one of this."""
        return type(thing)(thing._moId, self.si._stub)


def wait(task):
    """Its result; raises its fault."""
    WaitForTask(task)
    return task.info.result


def cancel(task):
    """As far as it can be, at this moment."""
    try:
        task.CancelTask()
    except (vmodl.fault.NotSupported, vim.fault.InvalidState):
        pass


def device(operation, what, file=None):
    return vim.vm.device.VirtualDeviceSpec(operation=operation, device=what, fileOperation=file)


def disk(key, kib, controller=-101, unit=0):
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName="", diskMode="persistent",
                                                            thinProvisioned=True)
    return device("add", vim.vm.device.VirtualDisk(key=key, controllerKey=controller, unitNumber=unit,
                                                   capacityInKB=kib, backing=backing), "create")


def vm_spec(name, memory=32):
    """A VM with a disk and a card; its firmware finds nothing to boot."""
    scsi = vim.vm.device.ParaVirtualSCSIController(key=-101, busNumber=0, sharedBus="noSharing")
    card = vim.vm.device.VirtualVmxnet3(
        key=-2, addressType="generated",
        backing=vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network"))
    return vim.vm.ConfigSpec(
        name=name, memoryMB=memory, numCPUs=1, guestId="otherLinux64Guest",
        files=vim.vm.FileInfo(vmPathName="[datastore1]"),
        deviceChange=[device("add", scsi), disk(-1, 4096), device("add", card)],
        extraConfig=[vim.option.OptionValue(key="socle.engine", value="bt")])


def create(client, name, **options):
    return wait(client.folder.CreateVM_Task(vm_spec(name, **options), client.pool))


def devices(vm, kind):
    return [d for d in vm.config.hardware.device if isinstance(d, kind)]


def reconnect(host):
    try:
        return connect(host)
    except Exception:  # noqa: BLE001 - not yet
        return None


def events_of(client, *ids):
    return [e.fullFormattedMessage for e in client.content.eventManager.QueryEvents(vim.event.EventFilterSpec(eventTypeId=list(ids)))]


def vmm_of(keeper, name):
    """The keeper's child of that name."""
    with open(f"/proc/{keeper}/task/{keeper}/children", encoding="ascii") as file:
        for pid in map(int, file.read().split()):
            with open(f"/proc/{pid}/comm", encoding="ascii") as comm:
                if comm.read().strip() == f"socle-{name}":
                    return pid
    raise RuntimeError(f"no {name}")
