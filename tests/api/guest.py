# SPDX-License-Identifier: Apache-2.0
"""A real guest in a VM of a whole host: lab/guest's Linux with one command line at its serial port."""

import os
import re
import shutil
import socket
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[1:1] = [f"{HERE}/../native", f"{HERE}/../lab", f"{HERE}/../../lab"]
import native  # noqa: E402
import vm as lab  # noqa: E402
from client import Client, connect, wait  # noqa: E402
from host import Host, Tap  # noqa: E402
from pyVmomi import vim  # noqa: E402

BOOT_S, ANSWER_S = 240, 90
# A kernel that is loaded directly has slots when its .vmx says so.
SLOTS = {f"pciBridge{n}.{key}": value for n in range(4, 8)
         for key, value in (("present", "TRUE"), ("virtualDev", "pcieRootPort"))}
FULL_KERNEL = []  # as lab.KERNEL; it has drivers for hardware that clouds do not have


def prepare(build):
    native.WORK, lab.SOCLE = f"{build}/tests/native", f"{build}/socle"
    native.prepare("sata")  # with a disk that firmware boots, and with Debian's own kernel
    FULL_KERNEL[:] = "", f"{native.LAB}/{native.FULL_KERNEL}/vmlinuz", "", f"{native.WORK}/initrd-full"


def run(build, scenarios):
    """Each scenario is a function of Tap, the host and a client, all of one host."""
    build = os.path.abspath(build)
    prepare(build)
    with Host(build) as host:
        Tap().run(scenarios, host, Client(connect(host)))


def write_vmx(path, keys):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f'{key} = "{value}"\n' for key, value in keys.items())


class Guest(lab.Line):
    """A VM with a guest: `vm` is the API's object, the rest is the serial port."""

    def __init__(self, host, client, name, disks=("disk",), size=16 << 20, firmware=None, extra=None,
                 kernel=None):
        super().__init__()
        self.host, self.client, self.name = host, client, name
        self.socket = None
        folder = host.path(name)
        os.mkdir(folder)
        kernel = kernel or lab.KERNEL
        for source, what in ((kernel[1], "vmlinuz"), (kernel[3], "initrd")):
            shutil.copy(source, f"{folder}/{what}")
        keys = {
            ".encoding": "UTF-8", "config.version": "8", "virtualHW.version": "19", "displayName": name,
            "guestOS": "other5xlinux-64", "memSize": "128", "numvcpus": "1", "socle.engine": "bt",
            "socle.kernel": "vmlinuz", "socle.initrd": "initrd", "socle.append": lab.APPEND,
            "uuid.bios": "56 4d 00 00 00 00 00 00-00 00 00 00 00 00 00 %02x" % (sum(name.encode()) % 256),
            "serial0.present": "TRUE", "serial0.fileType": "pipe", "serial0.fileName": "com1",
            "scsi0.present": "TRUE", "scsi0.virtualDev": "pvscsi",
            "ethernet0.present": "TRUE", "ethernet0.virtualDev": "vmxnet3",
            "ethernet0.networkName": "VM Network",
        }
        for unit, disk in enumerate(disks):
            host.socle("disk", "create", "--quiet", "--format", "vmdk-flat", "--size", str(size),
                       f"{folder}/{disk}.vmdk")
            keys[f"scsi0:{unit}.present"], keys[f"scsi0:{unit}.fileName"] = "TRUE", f"{disk}.vmdk"
        if firmware:
            host.socle("disk", "convert", "--quiet", "--from", "raw", "--format", "vmdk-sparse",
                       f"{native.WORK}/grub.img", f"{folder}/grub.vmdk")
            keys = {key: value for key, value in keys.items() if key not in ("socle.kernel", "socle.initrd", "socle.append")}
            keys.update({"firmware": firmware, "memSize": "256", "scsi0:9.present": "TRUE",
                         "scsi0:9.fileName": "grub.vmdk"})
        keys.update(extra or {})
        write_vmx(f"{folder}/{name}.vmx", keys)
        self.vm = wait(client.folder.RegisterVM_Task(f"[datastore1] {name}/{name}.vmx", None, False,
                                                     client.pool))

    def path(self, name):
        return self.host.path(self.name, name)

    @property
    def vmx(self):
        with open(self.path(f"{self.name}.vmx"), encoding="utf-8") as file:
            return dict(re.findall(r'(?m)^(\S+) = "(.*)"$', file.read()))

    def attach(self):
        """The serial port; again after each start of the VM's processes."""
        if self.socket:
            self.socket.close()
        end = time.monotonic() + ANSWER_S
        folder = os.getcwd()
        while time.monotonic() < end:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                os.chdir(self.host.path(self.name))  # the name of a socket is short
                self.socket.connect("com1")
                self.inward = self.outward = self.socket.fileno()
                return self
            except OSError:
                self.socket.close()
                time.sleep(0.05)
            finally:
                os.chdir(folder)
        raise lab.Failed("nothing listens at the serial port")

    def boot(self):
        wait(self.vm.PowerOn())
        self.attach()
        return self.expect_commands(BOOT_S)

    def state(self):
        return self.vm.runtime.powerState

    def remove(self):
        if self.socket:
            self.socket.close()
        if self.state() != "poweredOff":
            wait(self.vm.PowerOff())
        wait(self.vm.Destroy())
        shutil.rmtree(self.host.path(self.name), ignore_errors=True)


SuspendedState = vim.VirtualMachine.PowerState.suspended
