#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Packer's vsphere-iso builds a VM: uploads an ISO, boots it before the empty disk, types a word, waits for the guest
to switch itself off, takes a snapshot. TAP.

usage: host_packer.py BUILD PACKER
"""

import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from host import Host, Tap  # noqa: E402
from client import Client, connect  # noqa: E402

# A boot sector that waits for "go" and Enter, then switches the machine off by the ICH9's PM1a control register.
SECTOR = bytes((
    0x31, 0xc0,              # 00      xor ax, ax
    0x8e, 0xd8,              # 02      mov ds, ax
    0xfb,                    # 04      sti
    0xbe, 0x20, 0x7c,        # 05 again: mov si, word
    0xb4, 0x00,              # 08 next: mov ah, 0
    0xcd, 0x16,              # 0a      int 0x16: a key
    0x3a, 0x04,              # 0c      cmp al, [si]
    0x75, 0xf5,              # 0e      jne again
    0x46,                    # 10      inc si
    0x80, 0x3c, 0x00,        # 11      cmp byte [si], 0
    0x75, 0xf2,              # 14      jne next
    0xba, 0x04, 0x06,        # 16      mov dx, 0x604
    0xb8, 0x00, 0x20,        # 19      mov ax, 0x2000: SLP_EN
    0xef,                    # 1c      out dx, ax
    0xf4,                    # 1d halt: hlt
    0xeb, 0xfd,              # 1e      jmp halt
)) + b"go\r\0"


def make_iso(folder):
    """An ISO that a BIOS starts by El Torito, without pretending to be a floppy disk."""
    os.mkdir(f"{folder}/content")
    with open(f"{folder}/content/boot.bin", "wb") as file:
        file.write(SECTOR.ljust(2048, b"\0"))
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-b", "boot.bin", "-no-emul-boot", "-boot-load-size", "4",
                    "-o", "boot.iso", "content"], cwd=folder, check=True, capture_output=True)
    return f"{folder}/boot.iso"


def template(host, name, iso):
    return {"builders": [{
        "type": "vsphere-iso", "vcenter_server": f"127.0.0.1:{host.port}", "username": "root",
        "password": host.password, "insecure_connection": True, "host": name, "datastore": "datastore1",
        "vm_name": "packed", "guest_os_type": "otherLinux64Guest", "CPUs": 1, "RAM": 64, "firmware": "bios",
        "disk_controller_type": ["pvscsi"], "storage": [{"disk_size": 8, "disk_thin_provisioned": True}],
        "network_adapters": [{"network": "VM Network", "network_card": "vmxnet3"}],
        "iso_url": iso, "iso_checksum": "none", "boot_order": "cdrom,disk",
        "boot_wait": "6s", "boot_command": ["xgo<enter>"], "communicator": "none", "shutdown_timeout": "60s",
        "create_snapshot": True, "remove_cdrom": True, "notes": "made by Packer",
        "configuration_parameters": {"socle.engine": "bt"},
    }]}


def build(tap, host, client, packer):
    with open(f"{host.folder}/packer.json", "w", encoding="ascii") as file:
        json.dump(template(host, client.host.name, make_iso(host.folder)), file)
    done = subprocess.run([packer, "build", "-color=false", f"{host.folder}/packer.json"], cwd=host.folder,
                          capture_output=True, text=True, timeout=200, check=False,
                          env={"PATH": os.environ["PATH"], "HOME": host.folder, "CHECKPOINT_DISABLE": "1",
                               "PACKER_CACHE_DIR": f"{host.folder}/cache", "TMPDIR": host.folder})
    tap.check("packer build", done.returncode == 0 and "Builds finished" in done.stdout, done.stdout + done.stderr)
    for step in ("Uploading boot.iso", "Creating VM", "Power on VM", "Typing boot command", "Creating snapshot"):
        tap.check(step, step in done.stdout, done.stdout)


def result(tap, host, client, packer):
    vm = [v for v in client.folder.childEntity if v.name == "packed"][0]
    done = [t.info.descriptionId for t in client.content.taskManager.recentTask]
    tap.check("the guest switched it off", vm.runtime.powerState == "poweredOff" and
              "VirtualMachine.powerOn" in done and "VirtualMachine.powerOff" not in done, done)
    tap.equal("as asked", (vm.config.hardware.memoryMB, vm.config.hardware.numCPU, vm.config.annotation),
              (64, 1, "made by Packer"))
    tap.equal("with a snapshot", len(vm.snapshot.rootSnapshotList), 1)
    kinds = [type(d).__name__.split(".")[-1] for d in vm.config.hardware.device]
    tap.check("no CD drive", "VirtualCdrom" not in kinds and "VirtualDisk" in kinds, kinds)


def main():
    with Host(sys.argv[1]) as host:
        Tap().run([build, result], host, Client(connect(host)), sys.argv[2])


main()
