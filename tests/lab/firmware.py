# SPDX-License-Identifier: Apache-2.0
"""Runs in L1: Debian's SeaBIOS and OVMF boot a disk with GRUB, and OVMF keeps its variables."""

import os
import shutil

import vm as lab
from vm import Vm

IMAGE = "/job/grub.img"
VARIABLE = "/sys/firmware/efi/efivars/SocleTest-0b4b1f7c-4f4e-4f6c-9d1e-2f6a3d8a1c55"
EFIVARFS = "mount -t efivarfs efivarfs /sys/firmware/efi/efivars"
BOOT_S = 280  # OVMF measures out its time in exits


class Firmware(Vm):
    def boot(self):
        self.expect(r"GRUB for (pc|efi)", BOOT_S)
        self.expect(lab.READY, BOOT_S)
        self.expect(lab.COMMANDS)
        return self


def seabios(tap):
    vm = Firmware("--firmware", "bios", "--disk", IMAGE, "--serial", "stdio", kernel=False).boot()
    tap.match("SeaBIOS boots a disk with GRUB", r"socle\.grub=pc", vm.command("cat /proc/cmdline"))
    tap.match("the guest has the firmware's memory map", "BIOS-e820",
              vm.command("dmesg | grep -m 1 e820"))
    tap.equal("the kernel has no complaint", vm.command(lab.COMPLAINTS), "(1)")
    vm.send("reboot -f\n")
    tap.check("after a reset the firmware boots again", vm.boot())
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)


def ovmf(tap):
    os.makedirs("/tmp/efi", exist_ok=True)
    shutil.copy(IMAGE, "/tmp/efi/disk.img")
    with open("/tmp/efi/web.vmx", "w", encoding="ascii") as file:
        file.write('.encoding = "UTF-8"\ndisplayName = "web"\nmemSize = "256"\nfirmware = "efi"\n'
                   'uuid.bios = "56 4d 1f 2e 3d 4c 5b 6a-79 88 97 a6 b5 ff ff fe"\n')
    words = ("/tmp/efi/web.vmx", "--disk", "/tmp/efi/disk.img", "--serial", "stdio")
    vm = Firmware(*words, kernel=False).boot()
    tap.match("OVMF boots a disk with GRUB", r"socle\.grub=efi", vm.command("cat /proc/cmdline"))
    tap.equal("the guest has its runtime services", vm.command(EFIVARFS), "")
    tap.equal("the kernel has no complaint", vm.command(lab.COMPLAINTS), "(1)")
    tap.equal("a variable is written", vm.command(f"printf '\\7\\0\\0\\0kept' >{VARIABLE}"), "")
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)
    tap.check("the variables are beside the .vmx file", os.path.exists("/tmp/efi/web.nvram"))
    vm = Firmware(*words, kernel=False).boot()
    vm.command(EFIVARFS)
    tap.equal("the next run has the variable", vm.command(f"tail -c 4 {VARIABLE}"), "kept")
    status, said = lab.refused("/tmp/efi/web.vmx")
    tap.check("variables in use by another VM are refused", status == lab.BAD_FILE, (status, said))
    tap.match("by name", r"\Asocle run: .*web\.nvram.*in use.*\n\Z", said)
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)


lab.main([seabios, ovmf])
