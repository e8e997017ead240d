# SPDX-License-Identifier: Apache-2.0
"""Runs in L1: the Debian installer comes to its first question."""

import vm as lab
from vm import Vm

BOOT_S = 400
WORDS = ("--serial", "stdio")
COMMAND_LINE = "console=ttyS0 DEBIAN_FRONTEND=newt TERM=vt102"
QUESTION = r"Select a language"


def asks(tap, name, *words, memory="1G", loader=None):
    vm = Vm(*words, *WORDS, kernel=False, memory=memory)
    if loader:
        tap.check(f"{name}: GRUB starts", vm.expect(loader, BOOT_S))
    tap.check(f"{name}: the installer asks for the language", vm.expect(QUESTION, BOOT_S))
    tap.check(f"{name}: and offers some", vm.expect("English", BOOT_S))
    vm.kill(15)
    tap.equal(f"{name}: ended from outside", vm.end(), lab.STOPPED)


def kernel(tap):
    asks(tap, "kernel", "--kernel", "/job/linux", "--initrd", "/job/initrd.gz", "--append",
         COMMAND_LINE)


def seabios(tap):
    asks(tap, "SeaBIOS", "--firmware", "bios", "--cdrom", "/job/installer.iso",
         loader="GRUB for pc")


def ovmf(tap):
    asks(tap, "OVMF", "--firmware", "uefi", "--cdrom", "/job/installer.iso", loader="GRUB for efi")


lab.main([kernel, seabios, ovmf])
