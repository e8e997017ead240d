# SPDX-License-Identifier: Apache-2.0
"""Makes the images of `make guests`: ISO files that GRUB starts from, under BIOS and UEFI, from a
disk or a CD; and lists what a group's run needs beside its script.
"""

import os
import subprocess
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
FETCH, GUEST = f"{HERE}/../../lab/fetch", f"{HERE}/../../lab/guest"
HEAD = 'serial --unit=0 --speed=115200\nterminal_output serial\necho "GRUB for $grub_platform"\n'


def rescue(path, files, commands):
    """An image with `files` {name: path} and GRUB, which carries out `commands`."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
        os.makedirs(f"{folder}/boot/grub")
        with open(f"{folder}/boot/grub/grub.cfg", "w", encoding="ascii") as file:
            file.write(HEAD + commands + "boot\n")
        placed = [f"/{name}={os.path.abspath(source)}" for name, source in files.items()]
        subprocess.run(["grub-mkrescue", "-o", f"{path}.new", folder, *placed], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.rename(f"{path}.new", path)
    return path


def fetch(*items):
    subprocess.run([FETCH, *items], check=True)


def memtest(work, lab):
    fetch("memtest")
    kernel, program = f"{lab}/memtest/kernel", f"{lab}/memtest/efi"
    words = "console=ttyS0,115200 nobench"
    image = rescue(f"{work}/memtest.iso", {"kernel": kernel, "program": program},
                   f'if [ "$grub_platform" = efi ]; then linux /program {words}; '
                   f"else linux /kernel {words}; fi\n")
    return [f"{kernel}:memtest", f"{program}:memtest.efi", image]


def installer(work, lab):
    fetch("installer")
    kernel, initrd = f"{lab}/installer/linux", f"{lab}/installer/initrd.gz"
    image = rescue(f"{work}/installer.iso", {"linux": kernel, "initrd.gz": initrd},
                   "linux /linux console=ttyS0 TERM=vt102\ninitrd /initrd.gz\n")
    return [kernel, initrd, image]


def fwts(work, lab):
    fetch("fwts", "6.1")
    kernel, initrd = f"{lab}/6.1/vmlinuz", f"{work}/initrd.fwts"
    subprocess.run([GUEST, "--kernel", "6.1", "--module", "msr", "--module", "efivarfs", "--file",
                    f"{lab}/fwts/root.tar:/fw.tar", "--run", f"{HERE}/fwts.sh", initrd], check=True)
    image = rescue(f"{work}/fwts.iso", {"vmlinuz": kernel, "initrd": initrd},
                   "linux /vmlinuz console=ttyS0 quiet iomem=relaxed log_buf_len=1M "
                   "socle.test=run\n"
                   "initrd /initrd\n")
    return [f"{kernel}:vmlinuz.fwts", initrd, image]
