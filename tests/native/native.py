#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whole machines with the software engine, on this machine, without root. TAP.

usage: native.py BUILD GROUP

The guest and how it is driven are those of tests/lab; what is prepared is kept in BUILD/tests/native.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[1:1] = [f"{HERE}/../lab", f"{HERE}/../../lab"]
import screen  # noqa: E402
import secure_boot as secure  # noqa: E402
import vm as lab  # noqa: E402
from grub_image import make_image  # noqa: E402
from rescue_image import rescue  # noqa: E402
from run import KERNEL, LAB, OVMF, SEABIOS, newer  # noqa: E402
from tree import Tree  # noqa: E402

ROOT = os.path.realpath(f"{HERE}/../..")
BUSYBOX, MAWK = f"{LAB}/busybox/busybox", "/usr/bin/mawk"
MIB = 1 << 20
ENGINE = ("--engine", "bt")
IDLE_S, IDLE_SHARE = 3, 0.10
FULL_KERNEL = "6.12"
OVMF_SECURE = [f"/usr/share/OVMF/OVMF_{name}.fd" for name in ("CODE_4M.secboot", "VARS_4M.ms")]
COMPUTE_S, FIRMWARE_S = 240, 240  # the machine may be busy

WORK = ""  # where what is prepared lies
TEMP = ""  # a folder of this run


class Vm(lab.Vm):
    """A VM of the software engine."""

    def __init__(self, *arguments, **options):
        super().__init__(*ENGINE, *arguments, **options)

    def processes(self, name=""):
        return lab.processes(f"socle{name}", self.process.pid)

    def only(self, name):
        """The one process of that name, once it has it."""
        lab.eventually(lambda: self.processes(f"-{name}"))
        (pid,) = self.processes(f"-{name}")
        return pid


def md5(data):
    return hashlib.md5(data).hexdigest()


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def write_file(name, data):
    path = f"{TEMP}/{name}"
    with open(path, "wb") as file:
        file.write(data)
    return path


def gone(tap, vm):
    tap.check("no process is left", lab.eventually(lambda: not vm.processes()), vm.processes())


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


# boot

def boots(tap, cpus):
    """A VM with so many processors, all of which run programs, and one shell."""
    vm = Vm("--cpus", str(cpus)).boot()
    tap.equal(f"{cpus} vCPU: the guest has as many", vm.command("nproc"), str(cpus))
    runs = "; ".join(f"taskset {1 << n:x} cut -d' ' -f39 /proc/self/stat" for n in range(cpus))
    tap.equal(f"{cpus} vCPU: each runs programs", vm.command(runs).split(), [str(n) for n in range(cpus)])
    tap.equal(f"{cpus} vCPU: the kernel has no complaint", vm.command(lab.COMPLAINTS), "(1)")
    return vm


def one_processor(tap):
    vm = boots(tap, 1)
    kib = int(vm.command("sed -n 's/MemTotal: *//p' /proc/meminfo").split()[0])
    tap.check("it has the memory it was given", 200 << 10 < kib < 256 << 10, kib)
    seconds = int(vm.command("date +%s"))
    tap.check("the clock has the time of day", abs(seconds - time.time()) < 120, seconds)
    vm.send("reboot -f\n")
    tap.check("after a reset it comes up again", vm.boot())
    tap.equal("power off ends it with status 0", vm.power_off(), lab.POWER_OFF)
    tap.equal("without a word", vm.errors, "")
    gone(tap, vm)


def two_processors(tap):
    vm = boots(tap, 2)
    pid = vm.only("vmm")
    before, began = cpu_seconds(pid), time.monotonic()
    time.sleep(IDLE_S)
    share = (cpu_seconds(pid) - before) / (time.monotonic() - began)
    tap.check("an idle guest needs (almost) no CPU time", share < IDLE_SHARE, share)
    print(f"# idle: {share * 100:.1f} % of a CPU")
    event = vm.command("sed -n '/Power Button/,/^$/s/.*Handlers=.*\\(event[0-9]*\\).*/\\1/p' "
                       "/proc/bus/input/devices | head -n 1")
    vm.send(f"exec 3</dev/input/{event}; echo open; head -c 24 <&3 >/dev/null; echo pressed\n")
    vm.expect("open")
    vm.kill(signal.SIGUSR1)
    tap.check("SIGUSR1 presses the power button", vm.expect("pressed"))
    vm.expect(r"SOCLE-STATUS 0\n")
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)


def four_processors(tap):
    vm = boots(tap, 4)
    work = "for n in 1 2 3 4; do (seq 1 20000 | md5sum) & done | sort | uniq -c; wait"
    digest = md5("".join(f"{n}\n" for n in range(1, 20001)).encode())
    tap.equal("all at work get the same", vm.command(work).split()[:2], ["4", digest])
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)


SLOT = "/sys/bus/pci/slots/192"  # as ESXi numbers slot 2


def slots(tap):
    """A disk in a slot with hot-plug: the guest's driver switches the slot off and on again."""
    data = os.urandom(MIB)
    vm = Vm("--cpus", "2", "--disk", f"{write_file('disk.raw', data)},slot=2").boot()
    tap.match("pciehp has the slot", r"Slot #192 AttnBtn\+ PwrCtrl\+", vm.command("dmesg | grep pciehp"))
    tap.equal("the disk is behind the port", vm.command(f"cat {SLOT}/address"), "0000:01:00")
    tap.equal("and reads as it should", vm.command("md5sum </dev/vda")[:32], md5(data))
    vm.command(f"echo 0 >{SLOT}/power")
    tap.equal("without power it is gone", vm.command("ls /dev/vda 2>&1 | grep -c such; cat /proc/partitions"
                                                     " | grep -c vda"), "1\n0\n(1)")
    vm.command(f"echo 1 >{SLOT}/power")
    tap.check("with power it is there again", vm.command("while [ ! -b /dev/vda ]; do sleep 0.1; done") == "")
    tap.equal("with the same content", vm.command("md5sum </dev/vda")[:32], md5(data))
    tap.equal("the kernel has no complaint", vm.command(lab.COMPLAINTS), "(1)")
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)


def hot_plug(tap):
    """A disk is taken out while the guest runs, and put back; by the terminal's keys."""
    data = os.urandom(MIB)
    vm = Vm("--disk", f"{write_file('disk.raw', data)},slot=2", serial="pty").boot()
    tap.equal("the disk is there", vm.command("md5sum </dev/vda")[:32], md5(data))
    vm.send("\x012")
    tap.check("asked to, the guest gives it back", vm.command(
        f"while grep -q 1 {SLOT}/power; do sleep 0.2; done; grep -c vda /proc/partitions") == "0\n(1)",
        vm.text[-300:])
    vm.send("\x012")
    tap.equal("put back, it is found", vm.command("while [ ! -b /dev/vda ]; do sleep 0.1; done"), "")
    tap.equal("with the same content", vm.command("md5sum </dev/vda")[:32], md5(data))
    tap.match("by its button", r"Card present", vm.command("dmesg | grep pciehp"))
    tap.equal("the kernel has no complaint", vm.command(lab.COMPLAINTS), "(1)")
    vm.send("poweroff -f\n")
    tap.equal("power off", vm.end(), lab.POWER_OFF)
    tap.match("and one line said so", r"slot 2: its card is out", vm.errors)


def thirty_two_bits(tap):
    """Debian's i386 kernel by the 32-bit entry, with one program."""
    program, initrd = f"{TEMP}/init32", f"{TEMP}/initrd32"
    subprocess.run(["cc", "-m32", "-O1", "-ffreestanding", "-fno-pic", "-nostdlib", "-static", "-o", program,
                    f"{HERE}/init32.c"], check=True)
    tree = Tree()
    tree.add_char_device("dev/console", 5, 1)
    tree.add_data("init", read_file(program), 0o755)
    with open(initrd, "wb") as file:
        tree.write_cpio(file)
    vm = Vm("--kernel", f"{LAB}/installer-i386/linux", "--initrd", initrd, "--append", "console=ttyS0 panic=-1",
            "--serial", "stdio", kernel=False)
    vm.expect("SOCLE-INIT-32", lab.BOOT_S)
    tap.match("an i386 kernel runs its first program", r"Linux version \S+-686", vm.text)
    tap.check("and another beside it", vm.expect("SOCLE-CHILD-RIGHT"))
    tap.equal("power off", vm.end(), lab.POWER_OFF)


def multiboot(tap):
    """A Multiboot kernel with a command line and a module."""
    program = f"{TEMP}/multiboot"
    subprocess.run(["cc", "-m32", "-O1", "-ffreestanding", "-fno-pic", "-fno-pie", "-fno-stack-protector", "-nostdlib",
                    "-static", "-Wl,--build-id=none,-Ttext=0x200000,--section-start=.header=0x1ff000", "-o", program,
                    f"{HERE}/multiboot.c"], check=True)
    vm = Vm("--kernel", program, "--initrd", write_file("module", b"what the module holds\0"),
            "--append", "one two", "--serial", "stdio", "--cpus", "2", kernel=False, memory="32M")
    vm.expect("MULTIBOOT-STARTED .*\n", lab.BOOT_S)
    tap.match("a Multiboot kernel has its command line and its module", r"/multiboot one two MODULE what the module holds",
              vm.text)
    tap.match("fw_cfg tells it of processors and memory", r" CPUS 2 OF 2 MIB 32\b", vm.text)
    tap.equal("its triple fault ends it", vm.end(), lab.TRIPLE_FAULT)
    vm = Vm("--kernel", program, "--debug-exit", "0xf4", "--serial", "stdio", kernel=False, memory="32M")
    vm.expect("MULTIBOOT-STARTED .*\n", lab.BOOT_S)
    tap.equal("it ends with a status by its debug-exit port", vm.end(), 33 << 1 | 1)


def without_apics(tap):
    """A guest that has no IOAPIC and no messages: PCI interrupts by the PICs, shared by all."""
    data = os.urandom(MIB)
    vm = Vm("--disk", write_file("disk.raw", data), "--nic", "user",
            append="noapic nolapic pci=nomsi").boot()
    tap.equal("the disk reads as it should", vm.command("md5sum </dev/vda")[:32], md5(data))
    counts = vm.command("grep virtio /proc/interrupts").splitlines()
    tap.check("by interrupts of the PICs", counts and all("XT-PIC" in line for line in counts)
              and any(int(line.split()[1]) for line in counts),
              counts)
    tap.equal("the kernel has no complaint", vm.command(lab.COMPLAINTS), "(1)")
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)


# end

def triple_fault(tap):
    vm = Vm(append="reboot=t socle.nomodules socle.test=reboot")
    vm.expect(lab.READY, lab.BOOT_S)
    tap.equal("a triple fault ends it with status 5", vm.end(lab.BOOT_S), lab.TRIPLE_FAULT)
    tap.match("and one line says so", r"\Asocle run: vm: .*triple fault.*\n\Z", vm.errors)
    gone(tap, vm)


# A boot sector that asks for a reset at port 0xCF9, then ten times at the keyboard controller, and goes on to a triple
# fault, as firmware does that tries one way after the other.
RESET_THEN_FAULT = bytes.fromhex(
    "baf90c b006 ee"                        # mov dx,0xcf9; mov al,6; out dx,al
    "b90a00 b0fe e664 bb0040 4b 75fd e2f4"  # mov cx,10; again: mov al,0xfe; out 0x64,al; wait; loop again
    "0f011e207c cc"                         # lidt [0x7c20]; int3
).ljust(0x20, b"\0") + bytes(6)  # no interrupt table
STARTS = 12  # it went wrong within six


def reset_before_fault(tap):
    disk = write_file("reset.img", RESET_THEN_FAULT.ljust(510, b"\0") + b"\x55\xaa" + bytes(MIB - 512))
    vm = Vm("--firmware", "bios", "--disk", disk, "--serial", "stdio", kernel=False, memory="64M")
    starts, detail = 0, ""
    try:
        while starts < STARTS:
            vm.expect("Booting from Hard Disk", FIRMWARE_S)
            starts += 1
    except lab.Failed as failed:
        detail = str(failed)
    tap.check(f"a fault while the machine resets is not its end, {STARTS} times", starts == STARTS, detail)
    vm.kill(signal.SIGTERM)
    vm.end()


def killed(tap):
    for name in ("vmm", "vmx"):
        vm = Vm(append="earlyprintk=ttyS0 ignore_loglevel")
        vm.expect(r"(?m)^\[ *\d+\.\d+\] ", lab.BOOT_S)  # the kernel talks
        os.kill(vm.only(name), signal.SIGKILL)
        tap.equal(f"{name} killed: status 6", vm.end(), lab.DIED)
        tap.match("and one line names it", rf"\Asocle run: vm: .*\b{name}\b.*killed.*\n\Z", vm.errors)
        gone(tap, vm)


# disk

def content(tap):
    data = os.urandom(2 * MIB) + bytes(MIB) + os.urandom(MIB)
    raw, vmdk = write_file("disk.raw", data), f"{TEMP}/disk.vmdk"
    lab.output(lab.SOCLE, "disk", "convert", "--quiet", "--from", "raw", "--format", "vmdk-sparse", raw, vmdk)
    vm = Vm("--disk", raw, "--disk", vmdk).boot()
    pattern = (b"socle pattern\n" * (MIB // 14 + 1))[:MIB]
    vm.command(f"yes 'socle pattern' | head -c {MIB} >/tmp/pattern")
    for disk in ("vda", "vdb"):
        tap.equal(f"{disk}: the guest reads what the image holds", vm.command(f"md5sum </dev/{disk}")[:32],
                  md5(data))
        vm.command(f"dd if=/tmp/pattern of=/dev/{disk} bs=64k seek=16 conv=fsync,notrunc")
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)
    lab.output(lab.SOCLE, "disk", "convert", "--quiet", "--format", "raw", vmdk, f"{TEMP}/back")
    wanted = data[:MIB] + pattern + data[2 * MIB:]
    for name in ("disk.raw", "back"):
        tap.equal(f"{name}: it holds what the guest wrote", md5(read_file(f"{TEMP}/{name}")), md5(wanted))


# sata

def full_vm(*arguments):
    """Debian's own kernel, which has libata."""
    return Vm("--kernel", f"{LAB}/{FULL_KERNEL}/vmlinuz", "--initrd", f"{WORK}/initrd-full", "--append", lab.APPEND,
              "--serial", "stdio", *arguments, kernel=False, memory="512M").boot()


def make_iso(name, files):
    folder = f"{TEMP}/{name}.files"
    os.mkdir(folder)
    for file, data in files.items():
        with open(f"{folder}/{file}", "wb") as out:
            out.write(data)
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-R", "-V", name, "-o", f"{TEMP}/{name}.iso", folder],
                   check=True, stderr=subprocess.DEVNULL)
    return f"{TEMP}/{name}.iso"


def sata_disk(tap):
    """A file system on a SATA disk, with the kernel's queueing and trim."""
    data = os.urandom(4 * MIB)
    path = write_file("sata.raw", data + bytes(60 * MIB))
    vm = full_vm("--cpus", "2", "--disk", f"{path},bus=sata")
    tap.match("libata has the controller", r"32 command slots, 6 Gbps, SATA mode", vm.command("dmesg | grep ahci"))
    tap.equal("and queues", vm.command("cat /sys/block/sda/device/queue_depth"), "32")
    tap.equal("the guest reads what the image holds", vm.command(f"head -c {len(data)} /dev/sda | md5sum")[:32],
              md5(data))
    vm.command("mke2fs /dev/sda; mkdir /mnt; mount -o discard /dev/sda /mnt")
    sums = vm.command("for n in $(seq 12); do seq $n 99999 | head -c 2000000 >/mnt/$n & done; wait; sync; md5sum /mnt/[0-9]*")
    tap.equal("many write at once", len(sums.splitlines()), 12)
    vm.command("umount /mnt; echo 3 >/proc/sys/vm/drop_caches; mount /dev/sda /mnt")
    tap.equal("and what they wrote is there", vm.command("md5sum /mnt/[0-9]*"), sums)
    used = os.stat(path).st_blocks
    vm.command("rm /mnt/[0-9]*; sync; fstrim /mnt; umount /mnt")
    tap.check("trim gives room back", os.stat(path).st_blocks < used - 20 * MIB // 512, (used, os.stat(path).st_blocks))
    tap.equal("the kernel has no complaint", vm.command(lab.COMPLAINTS), "(1)")
    tap.equal("nor libata", vm.command("dmesg | grep -cE 'ata[0-9.]+: .*(exception|failed|error|reset)'"), "0\n(1)")
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)
    checked = subprocess.run(["/sbin/e2fsck", "-fn", path], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    tap.equal("the file system is whole", checked.returncode, 0)


def sata_cd(tap):
    data = os.urandom(3 * MIB)
    vm = full_vm("--cdrom", make_iso("DISC", {"data": data, "text": b"on the disc\n"}))
    vm.command("mkdir /cd; mount -t iso9660 -o ro /dev/sr0 /cd")
    tap.equal("the disc is mounted and read", vm.command("md5sum </cd/data")[:32], md5(data))
    tap.equal("locked by that, it stays in", vm.command("tray eject /dev/sr0"), "disc")
    vm.command("umount /cd; echo 0 >/proc/sys/dev/cdrom/autoclose")
    tap.equal("afterwards it comes out", vm.command("tray eject /dev/sr0"), "open")
    tap.match("and is no more", "No medium", vm.command("cat /dev/sr0 2>&1"))
    tap.equal("it goes in again", vm.command("tray load /dev/sr0"), "disc")
    tap.equal("and reads as ever", vm.command("mount -t iso9660 -o ro /dev/sr0 /cd; cat /cd/text; umount /cd"), "on the disc")
    tap.equal("the kernel has no complaint", vm.command(lab.COMPLAINTS), "(1)")
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)


def starts_from(tap, firmware):
    """What starts without any setting: the CD beside an empty disk, the disk once it has a system."""
    files = {"bios": SEABIOS, "uefi": OVMF}[firmware]
    if missing := [path for path in files if not os.path.exists(path)]:
        tap.skip(f"{firmware}: what starts", f"{missing[0]} is not there")
        return
    iso = rescue(f"{TEMP}/{firmware}.iso", {"vmlinuz": lab.KERNEL[1], "initrd": lab.KERNEL[3]},
                 f"linux /vmlinuz {lab.APPEND} socle.from=cd\ninitrd /initrd\n")
    empty = write_file("empty.raw", bytes(MIB))
    ordered = write_file("cd-first.vmx", b'bios.bootOrder = "cdrom,hdd"\n')
    system = f"{WORK}/grub.img,readonly,bus=sata"
    for name, disk, wanted, *vmx in (("an empty disk", empty, "socle.from=cd"),
                                     ("an empty SATA disk", f"{empty},bus=sata", "socle.from=cd"),
                                     ("a SATA disk with a system", system, "socle.grub="),
                                     ("the CD first", system, "socle.from=cd", ordered)):
        vm = Vm(*vmx, "--firmware", firmware, "--cdrom", iso, "--disk", disk, "--serial", "stdio", kernel=False)
        vm.expect(lab.READY, FIRMWARE_S)
        vm.expect(lab.COMMANDS)
        tap.match(f"{firmware}, {name}: {wanted}", wanted, vm.command("cat /proc/cmdline"))
        tap.equal("power off", vm.power_off(), lab.POWER_OFF)


def bios_starts(tap):
    starts_from(tap, "bios")


def uefi_starts(tap):
    starts_from(tap, "uefi")


# compute

def compute(tap):
    """The same programs on the same data, by the processor and by the engine."""
    data = b"a line of text, 1234567890\n" * (3 * MIB // 27) + os.urandom(5 * MIB // 2)
    path = write_file("data", data[:5 * MIB])
    script = f". {HERE}/compute.sh; compute {path}"
    here = subprocess.run([BUSYBOX, "sh", "-c", script], check=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, env={"PATH": os.path.dirname(MAWK)}).stdout.decode()
    vm = Vm("--disk", f"{path},format=raw,readonly").boot()
    vm.command("cat /dev/vda >/tmp/data; . /compute.sh")
    there = vm.command("compute /tmp/data", COMPUTE_S)
    for wanted, got in zip(here.splitlines(), there.splitlines()):
        tap.equal(f"as the processor computes it: {wanted[:24]}", got, wanted)
    tap.equal("and all of it", len(there.splitlines()), len(here.splitlines()))
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)


# net

def by_user(tap):
    name = "DHCP gives an address"
    vm = Vm("--nic", "user")
    try:
        vm.boot()
    except lab.Failed as failed:
        said = str(failed).splitlines()[-1]
        if "user-mode network" not in said:
            raise
        tap.skip(name, said)
        return
    vm.command("ip link set eth0 up; udhcpc -q -n -t 5 -T 3 -i eth0")
    tap.match(name, r"inet \d+\.\d+\.\d+\.\d+", vm.command("ip -4 addr show dev eth0"))
    tap.match("and a way out", r"^default via", vm.command("ip route"))
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)


def by_tap(tap):
    """Two queues, to a tap interface of ours: only root can make one."""
    name, host, guest = f"socle{os.getpid() % 100000}", "10.99.97.1", "10.99.97.2"
    made = subprocess.run(f"ip tuntap add {name} mode tap multi_queue && ip addr add {host}/30 dev {name} && "
                          f"ip link set {name} up", shell=True, check=False, stderr=subprocess.PIPE)
    try:
        if made.returncode:
            tap.skip("a tap interface", made.stderr.decode().splitlines()[-1])
            return
        vm = Vm("--cpus", "2", "--nic", f"tap={name},queues=2").boot()
        tap.equal("the card has two pairs of queues", vm.command("ls /sys/class/net/eth0/queues").split(),
                  ["rx-0", "rx-1", "tx-0", "tx-1"])
        vm.command(f"ip link set eth0 up; ip addr add {guest}/30 dev eth0")
        for cpu in (1, 2):
            tap.match(f"packets come back to processor {cpu - 1}", " 0% packet loss",
                      vm.command(f"taskset {cpu} ping -c 5 -i 0.2 -w 10 {host}"))
        used = vm.command("grep -E 'virtio0-output.[01]' /proc/interrupts").splitlines()
        tap.check("both queues send", len(used) == 2 and all(sum(map(int, line.split()[1:3])) for line in used), used)
        tap.equal("power off", vm.power_off(), lab.POWER_OFF)
    finally:
        subprocess.run(["ip", "link", "del", name], check=False, stderr=subprocess.DEVNULL)


# firmware

def by_grub(tap, name, firmware, platform):
    files = {"bios": SEABIOS, "uefi": OVMF}[firmware]
    if missing := [path for path in files if not os.path.exists(path)]:
        tap.skip(f"{name} boots a disk with GRUB", f"{missing[0]} is not there")
        return
    vm = Vm("--firmware", firmware, "--disk", f"{WORK}/grub.img,readonly,slot=3", "--serial", "stdio", kernel=False)
    vm.expect(f"GRUB for {platform}", FIRMWARE_S)
    vm.expect(lab.READY, FIRMWARE_S)
    vm.expect(lab.COMMANDS)
    tap.match(f"{name} boots a disk with GRUB", rf"socle\.grub={platform}", vm.command("cat /proc/cmdline"))
    tap.equal("which is in the third of four slots", vm.command("cd /sys/bus/pci/slots; cat 160/address "
              "192/address 224/address 256/address; ls /sys/bus/pci/devices/0000:03:00.0/virtio*/block").split(),
              ["0000:01:00", "0000:02:00", "0000:03:00", "0000:04:00", "vda"])
    tap.equal("the kernel has no complaint", vm.command(lab.COMPLAINTS), "(1)")
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)


def seabios(tap):
    by_grub(tap, "SeaBIOS", "bios", "pc")


def ovmf(tap):
    by_grub(tap, "OVMF", "uefi", "efi")


# screen

def screen_vm(*arguments, **options):
    """A VM with a screen at a port of its own, and that."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    vm = Vm("--vnc", f"127.0.0.1:{port}", *arguments, kernel=False, **options)
    lab.eventually(lambda: vm.processes("-vmx"))
    return vm, port


def echo_vm(*arguments):
    """A guest that shows what is typed."""
    disk = write_file("echo.raw", screen.ECHO + bytes(MIB))
    return screen_vm("--firmware", "bios", "--disk", disk, *arguments)


def look(port, **options):
    return screen.Viewer(socket.create_connection(("127.0.0.1", port), 30), **options)


def by_viewers(tap):
    """Ours, and one that people have."""
    vm, port = echo_vm()
    tap.equal("while nobody looks there is no process for it", vm.processes("-rfb"), {})
    viewer = look(port)
    tap.match("the firmware starts the disk", r"^>", viewer.wait_for(">", FIRMWARE_S))
    viewer.type("Typed by name: 'Ab'")
    tap.match("keys by their names", r"Typed by name: 'Ab'", viewer.wait_for("'Ab'"))
    for xt in (0x35, 0x26, 0x18, 0x26, 0x35):
        viewer.place(xt)
    text = viewer.wait_for("/lol/")
    tap.match("and by their places", "/lol/", text)
    picture = f"{TEMP}/capture.png"
    if shutil.which("gvnccapture"):
        subprocess.run(["gvnccapture", f"127.0.0.1:{port - 5900}", picture], check=True, timeout=60,
                       stdout=subprocess.DEVNULL)
        tap.equal("gvnccapture sees the same", screen.from_png(read_file(picture)).text(), text)
    else:
        tap.skip("gvnccapture sees the same", "it is not installed")
    os.kill(vm.only("rfb"), signal.SIGKILL)
    tap.equal("killed, it is started anew, and the VM runs on", look(port).look().text(), text)
    vm.kill(signal.SIGTERM)
    tap.equal("the VM ends", vm.end(), lab.STOPPED)
    gone(tap, vm)


def wakeups(pid):
    """How often it has waited for something."""
    return int(read_file(f"/proc/{pid}/status").partition(b"\nvoluntary_ctxt_switches:")[2].split()[0])


def idle_viewer(tap):
    vm, port = echo_vm()
    viewer = look(port)
    viewer.wait_for(">", FIRMWARE_S)
    viewer.look(incremental=False)
    pid = vm.only("rfb")
    time.sleep(1)
    before = wakeups(pid)
    time.sleep(3)
    tap.equal("while nobody waits for anything it sleeps", wakeups(pid) - before, 0)
    viewer.sock.sendall(bytes([3, 1, 0, 0, 0, 0, 255, 255, 255, 255]))
    time.sleep(1)
    before, woken, began = cpu_seconds(pid), wakeups(pid), time.monotonic()
    viewer.sock.settimeout(IDLE_S)
    try:
        got = viewer.sock.recv(1)
    except TimeoutError:
        got = b"nothing"
    tap.equal("a screen that stands still costs no bytes", got, b"nothing")
    share = (cpu_seconds(pid) - before) / (time.monotonic() - began)
    tap.check("and (almost) no CPU time", share < 0.02, share)
    rate = (wakeups(pid) - woken) / (time.monotonic() - began)
    tap.check("for two looks a second", 0 < rate < 3.5, rate)
    viewer.sock.settimeout(30)
    silent = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(40)]
    viewer.type("on")
    tap.match("others who say nothing are in nobody's way", "on", viewer.wait_for(">on"))
    tap.match("nor is it full of them", "on", look(port).look().text())
    for other in silent:
        other.close()
    rude = look(port)
    rude.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    rude.sock.settimeout(2)
    rude.sock.sendall(struct.pack(">BxHi", 2, 1, -312))  # Fence: each is answered
    before, sent = rss_kib(pid), 0
    with contextlib.suppress(TimeoutError):
        while sent < 64 << 20:
            sent += rude.sock.send((struct.pack(">B3xIB", 248, 1 << 31, 64) + bytes(64)) * 1000)
    tap.check("who asks and does not read is not listened to", sent < 64 << 20, sent)
    tap.check("and costs little memory", rss_kib(pid) - before < 4096, (before, rss_kib(pid)))
    viewer.type("ly")
    tap.match("the others go on", "only", viewer.wait_for(">only"))
    vm.kill(signal.SIGTERM)
    tap.equal("the VM ends", vm.end(), lab.STOPPED)


def with_password(tap):
    """VNC's: DES, the password's bytes the other way round as its key."""
    def answer(password, challenge):
        key = bytes(int(f"{b:08b}"[::-1], 2) for b in password.encode().ljust(8, b"\0")[:8]).hex()
        return subprocess.run(["openssl", "enc", "-des-ede3-ecb", "-K", key * 3, "-nopad"], input=challenge,
                              check=True, stdout=subprocess.PIPE).stdout
    vm, port = echo_vm("--vnc-password", write_file("password", b"Sesame77\n"))
    right = look(port, password=lambda challenge: answer("Sesame77", challenge))
    tap.equal("who knows the password", (right.types, right.result), (b"\x02", 0))
    tap.match("may look", "^>", right.wait_for(">", FIRMWARE_S))
    wrong = look(port, password=lambda challenge: answer("sesame77", challenge))
    tap.equal("who does not may not", wrong.result, 1)
    slow = look(port, password=lambda challenge: time.sleep(22) or answer("Sesame77", challenge))
    tap.equal("there is time to type it", slow.result, 0)
    vm.kill(signal.SIGTERM)
    tap.equal("the VM ends", vm.end(), lab.STOPPED)


EVENT = struct.Struct("<16xHHi")  # struct input_event: time, type, code, value
EV_SYN, EV_KEY, EV_ABS, BTN_LEFT = 0, 1, 3, 0x110
FONT_RED = "\\033[31m"


def by_debian(tap):
    """Debian's own kernel, not the one for clouds: its drivers for the display and for USB."""
    vm, port = screen_vm("--kernel", f"{LAB}/{FULL_KERNEL}/vmlinuz", "--initrd", f"{WORK}/initrd-full",
                         "--append", lab.APPEND, memory="512M")
    vm.expect(lab.READY, lab.BOOT_S)
    vm.expect(lab.COMMANDS)
    tap.equal("bochs-drm has the display", vm.command("cat /sys/class/graphics/fb0/name"), "bochs-drmdrmfb")
    vm.command(f"echo -e '\\033c{FONT_RED}A line to note' >/dev/tty1")
    viewer = look(port)  # the kernel's font has most letters as the ROM has them
    tap.match("what is written on it is seen", "A line to note", viewer.wait_for("A line to note"))
    tap.equal("in its size", (viewer.picture.width, viewer.picture.height), (1024, 768))
    tap.check("and colour", 0xaa0000 in viewer.picture.lines[5] + viewer.picture.lines[8])
    tap.match("usbhid has the tablet", "USB Tablet", vm.command("cat /sys/class/input/event*/device/name"))
    event = vm.command("grep -l 'USB Tablet' /sys/class/input/event*/device/name").split("/")[4]
    seen = hand(vm, viewer, event, 3, [(512, 384, 0)])
    tap.equal("the pointer is where the hand is", seen, [(EV_ABS, 0, 512 * 32767 // 1023),
                                                         (EV_ABS, 1, 384 * 32767 // 767), (EV_SYN, 0, 0)])
    seen = hand(vm, viewer, event, 9, [(1023, 767, 0), (1023, 767, 1), (1023, 767, 0)])
    tap.equal("in the corner", seen[:2], [(EV_ABS, 0, 32767), (EV_ABS, 1, 32767)])
    tap.equal("a click comes there", [e for e in seen if e[0] == EV_KEY], [(EV_KEY, BTN_LEFT, 1), (EV_KEY, BTN_LEFT, 0)])
    tap.equal("the kernel has no complaint", vm.command(lab.COMPLAINTS), "(1)")
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)


def hand(vm, viewer, event, count, moves):
    """What the guest's next `count` events say when the hand does that, but for scan codes of buttons."""
    vm.send(f"exec 3</dev/input/{event}; echo open; head -c {count * EVENT.size} <&3"
            " | hexdump -v -e '1/1 \"%02x\"'; echo; exec 3<&-\n")
    vm.expect("open")
    for move in moves:
        viewer.point(*move)
        time.sleep(0.1)
    data = bytes.fromhex(vm.expect(r"(?m)^([0-9a-f]+)$").group(1))
    vm.expect(r"SOCLE-STATUS 0\n")
    return [e for e in EVENT.iter_unpack(data) if e[0] in (EV_SYN, EV_KEY, EV_ABS)]


# secure

def secure_boot(tap):
    """Two processors, system management mode, flash that only it writes to."""
    if missing := [path for path in OVMF_SECURE if not os.path.exists(path)]:
        tap.skip("OVMF's Secure Boot build", f"{missing[0]} is not there")
        return
    secure.MACHINE, secure.FOLDER, secure.GRUB = Vm, TEMP, f"{WORK}/grub.img"
    secure.secure_boot(tap)


GROUPS = {
    "boot": [one_processor, two_processors, four_processors, slots, hot_plug, thirty_two_bits, multiboot, without_apics],
    "end": [triple_fault, reset_before_fault, killed],
    "disk": [content],
    "sata": [sata_disk, sata_cd, bios_starts, uefi_starts],
    "compute": [compute],
    "net": [by_user, by_tap],
    "firmware": [seabios, ovmf],
    "screen": [by_viewers, idle_viewer, with_password, by_debian],
    "secure": [secure_boot],
}


def make_initrd(path, kernel=KERNEL, *modules, files=()):
    lab_guest, script = f"{ROOT}/lab/guest", f"{ROOT}/tests/lab/guest.sh"
    more = [word for module in ("efivarfs", *modules) for word in ("--module", module)]
    more += [word for file in files for word in ("--file", file)]
    if not newer(path, lab_guest, f"{lab_guest}.init", script, f"{HERE}/compute.sh", __file__):
        subprocess.run([lab_guest, "--kernel", kernel, *more, "--file", f"{MAWK}:bin/mawk",
                        "--file", f"{HERE}/compute.sh:compute.sh", "--run", script, path], check=True)


def make_full():
    """The initramfs of Debian's own kernel, with drivers for the screen, USB and SATA."""
    tray = f"{WORK}/tray"
    subprocess.run([f"{ROOT}/lab/fetch", FULL_KERNEL], check=True)
    if not newer(tray, f"{HERE}/tray.c"):
        subprocess.run(["cc", "-O1", "-static", "-o", tray, f"{HERE}/tray.c"], check=True)
    make_initrd(f"{WORK}/initrd-full", FULL_KERNEL, "xhci-pci", "usbhid", "hid-generic", "bochs", "ahci", "sd_mod",
                "sr_mod", "isofs", files=(f"{tray}:bin/tray",))


def make_disk(path, kernel, initrd):
    if not newer(path, kernel, initrd, f"{ROOT}/tests/lab/grub_image.py"):
        with tempfile.TemporaryDirectory(dir=WORK) as folder:
            make_image(f"{path}.new", folder, kernel, initrd, lab.APPEND)
        os.rename(f"{path}.new", path)


def prepare(group):
    """What the group needs, once for all groups: they run at the same time."""
    os.makedirs(WORK, exist_ok=True)
    kernel, initrd = f"{LAB}/{KERNEL}/vmlinuz", f"{WORK}/initrd"
    with open(f"{WORK}/lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([f"{ROOT}/lab/fetch", "tools", "busybox", KERNEL,
                        *(("installer-i386",) if group == "boot" else ())], check=True)
        make_initrd(initrd)
        if group in ("screen", "sata"):
            make_full()
        if group in ("firmware", "secure", "sata"):
            make_disk(f"{WORK}/grub.img", kernel, initrd)
    lab.KERNEL = ("--kernel", kernel, "--initrd", initrd)


def main():
    global WORK, TEMP
    build, group = os.path.abspath(sys.argv[1]), sys.argv[2]
    WORK, lab.SOCLE = f"{build}/tests/native", f"{build}/socle"
    prepare(group)
    with tempfile.TemporaryDirectory() as TEMP:
        return lab.Tap().run(GROUPS[group])


if __name__ == "__main__":
    sys.exit(main())
