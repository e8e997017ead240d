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


def main():
    tap = Tap()
    with Host(sys.argv[1]) as host:
        tap.run([settings, in_use], host, Client(connect(host)))


main()
