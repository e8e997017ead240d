#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Suites that others wrote, in guests of the software engine: the kernel's selftests of x86, and stress-ng, which
checks what it computes. In 64-bit guests, and in 32-bit ones under Debian's i386 kernel. TAP.

usage: suites.py BUILD [SUITE]...      selftests selftests-i386 stress stress-i386; none: all

Programs and packages are those of Debian 12 (lab/fetch suites suites-i386).
"""

import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[1:1] = [f"{HERE}/../lab", f"{HERE}/../../lab"]
import vm as lab  # noqa: E402
from run import LAB, newer  # noqa: E402
from tree import Tree  # noqa: E402

ROOT = os.path.realpath(f"{HERE}/../..")
# name: lab item of the guest's files, of its kernel, the kernel, processors
GUESTS = {"": ("suites", "6.1", "6.1/vmlinuz", 2),
          "-i386": ("suites-i386", "installer-i386", "installer-i386/linux", 1)}
SECONDS = 2  # of a stressor
PATIENCE_S = 400
STRESSORS = """cpu matrix matrix-3d memcpy memrate memthrash vm vm-rw vm-splice vm-addr mmap mremap mprotect madvise
    stack stackmmap bad-altstack malloc misaligned mcontend cache cacheline l1cache prefetch flushcache icache stream
    atomic lockbus str wcs fp vecmath vecwide vecfp vecshuf rdrand tsc nop opcode x86syscall far-branch branch goto
    longjmp funccall funcret regs plugin vdso getrandom bsearch hsearch qsort heapsort mergesort radixsort shellsort
    tree list skiplist zlib hash judy crypt sparsematrix peterson dekker syscall signal sigabrt sigchld sigfd sigfpe
    sigio signest sigpending sigpipe sigq sigrt sigsegv sigsuspend sigtrap fork vfork clone exec pthread ptrace futex
    sem sem-sysv msg mq pipe ring-pipe eventfd shm shm-sysv tmpfs timer timerfd itimer hrtimers nanosleep clock sleep
    yield switch context membarrier rseq schedpolicy set get seek brk mincore mlock munmap remap rmap userfaultfd
    tlb-shootdown""".split()
# What the kernel or the processor behind a guest does not have.
LACKS_AMX = "the processor has no AMX"


def flags():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        return re.search(r"(?m)^flags\s*: (.*)$", file.read())[1].split()


def pack(item, path):
    source, init = f"{LAB}/{item}", f"{HERE}/suites.sh"
    if newer(path, f"{source}/.complete", init, __file__):
        return
    tree = Tree()
    tree.add_file(source, "", libraries=False)
    for folder in ("proc", "sys", "dev", "tmp", "root"):
        tree.add_dir(folder)
    tree.add_char_device("dev/console", 5, 1)
    tree.add_program(init, "init")
    with open(f"{path}.new", "wb") as file:
        tree.write_cpio(file)
    os.rename(f"{path}.new", path)


def run(tap, work, name, guest):
    item, kernel_item, kernel, cpus = GUESTS[guest]
    subprocess.run([f"{ROOT}/lab/fetch", item, kernel_item], check=True)
    initrd = f"{work}/{item}.cpio"
    pack(item, initrd)
    wanted = sorted(os.listdir(f"{LAB}/{item}/x86")) if name == "selftests" else STRESSORS
    what = name if name == "selftests" else ",".join(wanted)
    vm = lab.Vm("--engine", "bt", "--cpus", str(cpus), "--kernel", f"{LAB}/{kernel}", "--initrd", initrd, "--append",
                f"console=ttyS0 quiet panic=-1 each={SECONDS} run={what}", "--serial", "stdio", kernel=False, memory="1G")
    for program in wanted:
        before = vm.seen
        status = vm.expect(rf"@@ {re.escape(program)} (\d+)\n", lab.BOOT_S + PATIENCE_S)[1]
        if program.startswith("amx") and "amx_tile" not in flags():
            tap.skip(f"{name}{guest}: {program}", LACKS_AMX)
        else:
            tap.check(f"{name}{guest}: {program}", status == "0", f"status {status}\n{vm.text[before:vm.seen][-2000:]}")
    vm.expect("@@OFF", lab.ANSWER_S)
    complaints = re.findall(r"@@COMPLAINT (.*)", vm.text)
    tap.equal(f"{name}{guest}: the kernel has no complaint", complaints, [])
    tap.equal(f"{name}{guest}: power off", vm.end(), lab.POWER_OFF)


def scenario(work, name, guest):
    def one(tap):
        run(tap, work, name, guest)
    one.__name__ = name + guest
    return one


def main():
    build, chosen = os.path.abspath(sys.argv[1]), sys.argv[2:]
    lab.SOCLE = f"{build}/socle"
    work = f"{build}/tests/native"
    os.makedirs(work, exist_ok=True)
    names = [(name, guest) for name in ("selftests", "stress") for guest in GUESTS if not chosen or name + guest in chosen]
    return lab.Tap().run([scenario(work, name, guest) for name, guest in names])


if __name__ == "__main__":
    sys.exit(main())
