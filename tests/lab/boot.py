# SPDX-License-Identifier: Apache-2.0
"""Runs in L1: a kernel boots, and ends in each way in which a machine can."""

import os
import signal
import termios
import time

import vm as lab
from vm import Vm

PCI_LIST = "cd /sys/bus/pci/devices; for d in *; do echo $d $(cat $d/vendor $d/device $d/class); done"
BALLOON = "cd /sys/bus/virtio/drivers/virtio_balloon; cut -c6 virtio*/features"


def one_processor(tap):
    vm = Vm("--cpus", "1").boot()
    tap.equal("a kernel boots to its shell with 1 processor", vm.command("nproc"), "1")
    kib = int(vm.command("sed -n 's/MemTotal: *//p' /proc/meminfo").split()[0])
    tap.check("it has the memory it was given", 200 << 10 < kib < 256 << 10, kib)
    pci = vm.command(PCI_LIST)
    for what, address, pattern in (("host bridge", "00:00.0", "0x060000"),
                                   ("ISA bridge", "00:1f.0", "0x060100"),
                                   ("virtio entropy", "", "0x1af4 0x1044"),
                                   ("virtio balloon", "", "0x1af4 0x1045")):
        tap.match(f"PCI lists the {what}", f"{address}.* {pattern}", pci)
    two = [vm.command("head -c 16 /dev/hwrng | md5sum") for _ in range(2)]
    tap.check("/dev/hwrng gives random bytes", two[0] != two[1] and len(two[0]) > 32, two)
    tap.equal("the balloon reports free pages", vm.command(BALLOON), "1")
    seconds = int(vm.command("date +%s"))
    tap.check("the clock has the time of day", abs(seconds - time.time()) < 120, seconds)
    start = vm.command("cat /proc/uptime").split()[0]
    vm.command("sleep 2")
    slept = float(vm.command("cat /proc/uptime").split()[0]) - float(start)
    tap.check("sleeping takes its time", 2 <= slept < 20, slept)
    tap.match("the kernel's log can be read", r"\d{3,}", vm.command("dmesg | wc -c"))
    tap.equal("the kernel has no complaint", vm.command(lab.COMPLAINTS), "(1)")
    tap.equal("power off ends it with status 0", vm.power_off(), lab.POWER_OFF)
    tap.equal("without a word", vm.errors, "")
    tap.check("no process is left", lab.eventually(lambda: not lab.processes()), lab.processes())


def reset_and_button(tap):
    vm = Vm(serial="unix").boot()
    first = vm.command("cat /proc/sys/kernel/random/boot_id")
    vm.send("reboot -f\n")
    vm.boot()
    second = vm.command("cat /proc/sys/kernel/random/boot_id")
    tap.check("after a reset it comes up again, on a Unix socket", first != second, first)
    event = vm.command("sed -n '/Power Button/,/^$/s/.*Handlers=.*\\(event[0-9]*\\).*/\\1/p' "
                       "/proc/bus/input/devices | head -n 1")
    vm.send(f"head -c 24 /dev/input/{event} >/dev/null; echo pressed\n")
    time.sleep(1)
    tap.check("nobody presses the power button", "pressed" not in vm.tail(), vm.text[-500:])
    vm.kill(signal.SIGUSR1)
    tap.check("SIGUSR1 presses the power button", vm.expect("pressed"))
    vm.expect(r"SOCLE-STATUS 0\n")
    vm.send("echo c >/proc/sysrq-trigger\n")  # panic=-1: a reset at once
    tap.check("a kernel that panics resets the machine", vm.boot())
    tap.equal("and it powers off", vm.power_off(), lab.POWER_OFF)
    tap.check("the socket is removed", not os.path.exists(vm.path))


def terminal(tap):
    vm = Vm("--cpus", "2", serial="pty").boot()
    tap.equal("a kernel boots with 2 processors, on a terminal", vm.command("nproc"), "2")
    online = vm.command("cat /sys/devices/system/cpu/online")
    tap.equal("both are online", online, "0-1")
    busy = "grep -c . /proc/interrupts; taskset 2 sh -c 'echo on $(cut -d\" \" -f39 /proc/self/stat)'"
    tap.match("the second one runs programs", r"on 1$", vm.command(busy))
    raw = termios.tcgetattr(vm.slave)
    tap.check("the terminal is raw", not raw[3] & termios.ICANON and raw != vm.before)
    vm.send("echo \x01\x01 | od -An -tx1\n")
    tap.check("Ctrl-A Ctrl-A is one Ctrl-A", vm.expect(r"(?m)^ 01 0a\n"), vm.text[-200:])
    vm.send("\x01x")
    tap.equal("Ctrl-A x ends it", vm.end(), lab.STOPPED)
    tap.equal("the terminal is as before", termios.tcgetattr(vm.slave), vm.before)
    tap.check("no process is left", lab.eventually(lambda: not lab.processes()), lab.processes())


def without_apics(tap):
    """PCI interrupts by the PICs, of which there are fewer than disks."""
    disks = []
    for n in range(5):
        disks += ["--disk", f"/tmp/pic{n}.raw"]
        with open(disks[-1], "wb") as file:
            file.write(b"%d\n" % n * 131072)
    vm = Vm(*disks, append="noapic nolapic pci=nomsi").boot()
    read = "for d in a b c d e; do dd if=/dev/vd$d bs=4k 2>/dev/null | uniq & done; wait"
    tap.equal("without APICs, disks that share interrupts read as they should", sorted(vm.command(read).split()),
              list("01234"))
    counts = vm.command("grep virtio /proc/interrupts").splitlines()
    tap.check("by interrupts of the PICs", counts and all("XT-PIC" in line for line in counts)
              and any(int(line.split()[1]) > 10 for line in counts), counts)
    tap.equal("and it powers off", vm.power_off(), lab.POWER_OFF)


def triple_fault(tap):
    log = "/tmp/serial"
    vm = Vm("--serial", f"file={log}", append="reboot=t socle.test=reboot")
    status = vm.end(lab.BOOT_S)
    with open(log, encoding="utf-8", errors="replace") as file:
        text = file.read()
    tap.match("a serial port writes to a file", lab.READY, text)
    tap.equal("a triple fault ends it with status 5", status, lab.TRIPLE_FAULT)
    tap.match("and one line says so", r"\Asocle run: vm: .*triple fault.*\n\Z", vm.errors)


lab.main([one_processor, reset_and_button, terminal, without_apics, triple_fault])
