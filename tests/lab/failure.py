# SPDX-License-Identifier: Apache-2.0
"""Runs in L1: what goes wrong is said in one line with the right status, and nothing is left."""

import os
import shutil
import signal
import time

import vm as lab
from vm import Vm

EARLY = "earlyprintk=ttyS0 ignore_loglevel"
TALK = r"(?m)^\[ *\d+\.\d+\] "  # a line of the kernel's


def nothing_left(tap):
    tap.check("no process is left", lab.eventually(lambda: not lab.processes()), lab.processes())
    tap.check("nor guest memory", lab.eventually(lambda: not lab.guest_memory_left()),
              lab.guest_memory_left())


def started():
    """A VM whose kernel has begun to talk."""
    vm = Vm(append=EARLY)
    vm.expect(TALK, lab.BOOT_S)
    return vm


def killed_process(tap):
    for name in ("vmm", "vmx"):
        vm = started()
        tap.check("guest memory is found while it runs", lab.guest_memory_left())
        victims = [pid for pid, comm in lab.processes(f"socle-{name}").items()]
        tap.equal(f"there is one socle-{name}", len(victims), 1)
        os.kill(victims[0], signal.SIGKILL)
        tap.equal(f"{name} killed: status 6", vm.end(), lab.DIED)
        tap.match("and one line names it", rf"\Asocle run: vm: .*\b{name}\b.*killed.*\n\Z", vm.errors)
        nothing_left(tap)


def killed_parent(tap):
    vm = started()
    vm.kill(signal.SIGKILL)
    vm.process.wait()
    tap.check("socle killed", vm.process.returncode == -signal.SIGKILL)
    nothing_left(tap)


def stopped_by_signal(tap):
    vm = started()
    vm.kill(signal.SIGTERM)
    tap.equal("SIGTERM ends it with status 7", vm.end(), lab.STOPPED)
    tap.match("and one line", r"\Asocle run: vm: .*\n\Z", vm.errors)
    nothing_left(tap)


def without_engine(tap):
    os.rename("/dev/kvm", "/dev/kvm.away")
    try:
        begin = time.monotonic()
        status, said = lab.refused("--engine", "kvm", *lab.KERNEL)
        took = time.monotonic() - begin
        tap.equal("without /dev/kvm: status 4", status, lab.NO_ENGINE)
        tap.match("and one line", r"\Asocle run: .*kvm.*\n\Z", said)
        tap.check("in less than a second", took < 1, took)
        shutil.copy("vmlinuz", "/dev/kvm")
        status, said = lab.refused("--engine", "kvm", *lab.KERNEL)
        tap.equal("/dev/kvm that is no KVM: status 4", status, lab.NO_ENGINE)
        tap.match("and one line", r"\Asocle run: .*kvm.*\n\Z", said)
    finally:
        os.rename("/dev/kvm.away", "/dev/kvm")
    nothing_left(tap)


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def write_vmx(path, **entries):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f'{key.replace("_", ".")} = "{value}"\n' for key, value in entries.items())


def bad_files(tap):
    with open("vmlinuz", "rb") as file:
        kernel = file.read()
    write("/tmp/short", kernel[:len(kernel) // 2])
    write("/tmp/stub", kernel[:600])
    write("/tmp/empty", b"")
    write("/tmp/garbage", b"\xaa" * 300000)
    write("/tmp/big", bytes(300 << 20))
    write("/tmp/vm.nvram", bytes(40) + b"_FVH" + b"no variables\n" * 1000)  # without this it is another product's
    write_vmx("/tmp/vm.vmx", memSize=256, firmware="efi", nvram="vm.nvram")
    for what, words, name in (
            ("a truncated kernel", ["--kernel", "/tmp/short"], "/tmp/short"),
            ("the first bytes of a kernel", ["--kernel", "/tmp/stub"], "/tmp/stub"),
            ("an empty kernel", ["--kernel", "/tmp/empty"], "/tmp/empty"),
            ("garbage as kernel", ["--kernel", "/tmp/garbage"], "/tmp/garbage"),
            ("an empty initrd", ["--kernel", "vmlinuz", "--initrd", "/tmp/empty"], "/tmp/empty"),
            ("an initrd that does not fit", ["--memory", "128M", "--kernel", "vmlinuz", "--initrd",
                                             "/tmp/big"], "/tmp/big"),
            ("garbage as firmware variables", ["/tmp/vm.vmx"], "vm.nvram")):
        status, said = lab.refused(*words)
        tap.equal(f"{what}: status 3", status, lab.BAD_FILE)
        tap.match("one line names it", rf"\Asocle run: .*{name}.*\n\Z", said)
    os.unlink("/tmp/big")
    nothing_left(tap)


def huge_pages(tap):
    write_vmx("/tmp/huge.vmx", memSize=128, socle_hugePages="TRUE")
    words = [*lab.KERNEL, "--append", f"{lab.APPEND} {EARLY}", "--serial", "stdio", "/tmp/huge.vmx"]
    status, said = lab.refused(*words)
    tap.equal("huge pages that are not there: status 1", status, lab.FAILED)
    tap.match("one line tells where they come from", r"\Asocle run: .*nr_hugepages.*\n\Z", said)
    write("/proc/sys/vm/nr_hugepages", b"80")
    free = huge_pages_free()
    vm = Vm("/tmp/huge.vmx", "--serial", "stdio", append=EARLY, memory="128M")
    vm.expect(TALK, lab.BOOT_S)
    used = free - huge_pages_free()
    vm.kill(signal.SIGTERM)
    tap.equal("with huge pages it runs", vm.end(), lab.STOPPED)
    tap.check("in huge pages", 1 <= used <= 70, used)
    tap.check("which come back", lab.eventually(lambda: huge_pages_free() == free))
    write("/proc/sys/vm/nr_hugepages", b"0")


def huge_pages_free():
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("HugePages_Free"))


lab.main([killed_process, killed_parent, stopped_by_signal, without_engine, bad_files, huge_pages])
