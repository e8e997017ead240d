# SPDX-License-Identifier: Apache-2.0
"""Runs in L1: the firmware test suite of Debian's unstable, in each way in which a VM can start."""

import vm as lab
from vm import Vm

END_S = 500
LEAST = 371  # what QEMU's pc passes with SeaBIOS, the most of the machines that we compare with
LEAST_DIRECT = 320  # there is less in such a machine, and no firmware, to test
TOTAL = r"(?m)^Total: *\|" + r" *(\d+)\|" * 5


def results(tap, name, *words, least=LEAST):
    vm = Vm(*words, "--serial", "stdio", kernel=False, memory="768M")
    vm.expect("FWTS-DONE", END_S)
    found = lab.re.search(TOTAL, vm.text)
    passed, failed, aborted, warned, skipped = map(int, found.groups()) if found else [0] * 5
    print(f"# {name}: {passed} passed, {failed} failed, {aborted} aborted, {warned} warnings, "
          f"{skipped} skipped", flush=True)
    tap.check(f"{name}: no failure", found and failed == 0,
              "\n".join(line for line in vm.text.splitlines() if line.startswith("FAILED")))
    tap.check(f"{name}: at least {least} pass", passed >= least, vm.text[-3000:])
    vm.kill(15)
    vm.end()


def seabios(tap):
    results(tap, "SeaBIOS", "--firmware", "bios", "--disk", "/job/fwts.iso,format=raw,readonly")


def ovmf(tap):
    results(tap, "OVMF", "--firmware", "uefi", "--disk", "/job/fwts.iso,format=raw,readonly")


def kernel(tap):
    results(tap, "kernel", "--kernel", "/job/vmlinuz.fwts", "--initrd", "/job/initrd.fwts",
            "--append", "console=ttyS0 quiet iomem=relaxed log_buf_len=1M socle.test=run", least=LEAST_DIRECT)


lab.main([kernel, seabios, ovmf])
