# SPDX-License-Identifier: Apache-2.0
"""Makes a disk image that GRUB starts from under BIOS and UEFI, without root and loop devices.

One MBR with one FAT partition, which is the EFI system partition and holds kernel, initramfs and
grub.cfg. GRUB for BIOS: boot.img in the first sector, core.img in the gap behind it, where boot.img
looks for it when nobody says otherwise (GRUB manual, "BIOS installation"). For UEFI:
EFI/BOOT/BOOTX64.EFI, where firmware looks when it has no boot entry (UEFI 2.10, 3.5.1.1).
"""

import os
import struct
import subprocess

SECTOR = 512
PARTITION_START = 2048  # sectors
PARTITION_TYPE_EFI = 0xEF
BOOT_CODE = 440  # bytes of boot.img before the disk's own signature and table
MODULES = ("part_msdos", "fat", "normal", "configfile", "linux", "serial", "terminal", "echo",
           "search", "search_fs_file")
EARLY = "search --file --set=root /grub.cfg\nconfigfile ($root)/grub.cfg\n"
CONFIG = """serial --unit=0 --speed=115200
terminal_output serial
echo "GRUB for $grub_platform"
linux /vmlinuz {append} socle.grub=$grub_platform
initrd /initrd
boot
"""


def tool(name, *words):
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "MTOOLS_SKIP_CHECK": "1"}
    subprocess.run([name, *words], check=True, env=environment, stdout=subprocess.DEVNULL)


def make_core(folder, platform, modules, out):
    with open(f"{folder}/early.cfg", "w", encoding="ascii") as file:
        file.write(EARLY)
    tool("grub-mkimage", "-O", platform, "-c", f"{folder}/early.cfg", "-p", "/grub", "-o", out,
         *modules, *MODULES)


def make_partition(path, files, mib):
    with open(path, "wb") as file:
        file.truncate(mib << 20)
    tool("mkfs.vfat", "-F", "16", "-n", "SOCLE", path)
    for folder in ("::/EFI", "::/EFI/BOOT"):
        tool("mmd", "-i", path, folder)
    for source, target in files.items():
        tool("mcopy", "-i", path, source, f"::/{target}")


def make_mbr(boot_img, sectors):
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", PARTITION_TYPE_EFI, b"\xfe\xff\xff",
                        PARTITION_START, sectors)
    return boot_img[:BOOT_CODE] + b"SOCL\0\0" + entry + bytes(48) + b"\x55\xaa"


def make_image(path, folder, kernel, initrd, append):
    """Writes the image; `folder` is for what is needed on the way."""
    with open(f"{folder}/grub.cfg", "w", encoding="ascii") as file:
        file.write(CONFIG.format(append=append))
    make_core(folder, "x86_64-efi", (), f"{folder}/bootx64.efi")
    make_core(folder, "i386-pc", ("biosdisk",), f"{folder}/core.img")
    size = os.path.getsize(kernel) + os.path.getsize(initrd)
    mib = (size >> 20) + 8
    make_partition(f"{folder}/partition", {kernel: "vmlinuz", initrd: "initrd",
                                           f"{folder}/grub.cfg": "grub.cfg",
                                           f"{folder}/bootx64.efi": "EFI/BOOT/BOOTX64.EFI"}, mib)
    with open("/usr/lib/grub/i386-pc/boot.img", "rb") as file:
        boot_img = file.read()
    with open(f"{folder}/core.img", "rb") as file:
        core = file.read()
    assert len(core) <= (PARTITION_START - 1) * SECTOR
    with open(path, "wb") as out, open(f"{folder}/partition", "rb") as partition:
        out.write(make_mbr(boot_img, mib << 11) + core)
        out.seek(PARTITION_START * SECTOR)
        out.write(partition.read())
