# SPDX-License-Identifier: Apache-2.0
"""Runs in L1, and with the software engine (tests/native): OVMF starts a kernel that it is given, and its Secure Boot build keeps the rules.

The rules are OVMF's own: a kernel handed over by whoever starts the VM need not be signed, but what
lies on a disk must be.
"""

import os

import vm as lab

BOOT_S = 280  # OVMF measures out its time in exits
SECURE_VMX = """.encoding = "UTF-8"
displayName = "secure"
memSize = "512"
firmware = "efi"
uefi.secureBoot.enabled = "TRUE"
uuid.bios = "56 4d 1f 2e 3d 4c 5b 6a-79 88 97 a6 b5 ff ff fe"
"""
VARIABLES = "/sys/firmware/efi/efivars"
SECURE_BOOT = f"od -An -tu1 {VARIABLES}/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
SOCLE_TEST = f"{VARIABLES}/SocleTest-0b4b1f7c-4f4e-4f6c-9d1e-2f6a3d8a1c55"


FOLDER, GRUB = "/tmp/secure", "/job/grub.img"
MACHINE = lab.Vm


def boot(vm):
    vm.expect(lab.READY, BOOT_S)
    vm.expect(lab.COMMANDS)
    return vm


def kernel(tap):
    vm = boot(MACHINE("--firmware", "uefi", memory="512M", append="socle.word=given"))
    tap.match("OVMF starts the kernel with its command line", r"socle\.word=given",
              vm.command("cat /proc/cmdline"))
    tap.equal("as a UEFI kernel", vm.command("ls -d /sys/firmware/efi/runtime-map"),
              "/sys/firmware/efi/runtime-map")
    tap.equal("the kernel has no complaint", vm.command(lab.COMPLAINTS), "(1)")
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)


def secure_boot(tap):
    os.makedirs(FOLDER, exist_ok=True)
    with open(f"{FOLDER}/secure.vmx", "w", encoding="ascii") as file:
        file.write(SECURE_VMX)
    words = (f"{FOLDER}/secure.vmx", "--cpus", "2", "--serial", "stdio")
    vm = boot(MACHINE(*words, memory="512M"))
    vm.command(f"mount -t efivarfs efivarfs {VARIABLES}")
    listed = vm.command(f"ls {VARIABLES} | cut -d- -f1").split()
    tap.check("the guest has the firmware's variables", {"SecureBoot", "PK", "db"} <= set(listed),
              listed)
    tap.equal("Secure Boot is on", vm.command(SECURE_BOOT).split()[-1:], ["1"])
    tap.match("and so does its kernel", "(?i)secure boot enabled",
              vm.command("dmesg | grep -i 'secure *boot'"))
    tap.equal("both processors run", vm.command("nproc"), "2")
    tap.equal("a variable is written, by way of system management mode",
              vm.command(f"printf '\\7\\0\\0\\0kept' >{SOCLE_TEST}"), "")
    vm.send("reboot -f\n")
    tap.check("after a reset it comes up again", boot(vm))
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)
    with open(f"{FOLDER}/secure.nvram", "rb") as file:
        tap.check("it is in the file", "S\0o\0c\0l\0e\0T\0e\0s\0t\0".encode() in file.read())
    vm = MACHINE(*words, "--disk", f"{GRUB},readonly", kernel=False)
    denied = vm.expect(r"BdsDxe: failed to (load|start) Boot\d+ .*: "
                       r"(Access Denied|Security Violation)", BOOT_S)
    tap.check("GRUB without a signature is refused", denied)
    vm.kill(15)
    tap.equal("and ended from outside", vm.end(), lab.STOPPED)


if __name__ == "__main__":
    lab.main([kernel, secure_boot])
