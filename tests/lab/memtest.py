# SPDX-License-Identifier: Apache-2.0
"""Runs in L1: memtest86+ sees all processors and all memory, and finds no fault in it."""

import re
import time

import vm as lab
from vm import Failed, Vm

START_S, TEST_S = 300, 120
PATTERNS = 3  # tests to get through
ROWS, COLUMNS = 25, 80
VT100 = r"\x1b\[(\d+);(\d+)[Hf]|(\x1b\[2J)|\x1b\[[0-9;?]*[A-Za-z]|([ -~])"


def screen(text):
    """What a VT100 shows after that text."""
    rows, row, column = [], 0, 0
    for found in re.finditer(VT100, "\x1b[2J" + text):
        if found[1]:
            row, column = int(found[1]) - 1, int(found[2]) - 1
        elif found[3]:
            rows = [[" "] * COLUMNS for _ in range(ROWS)]
        elif found[4] and row < ROWS and column < COLUMNS:
            rows[row][column] = found[4]
            column += 1
    return "\n".join("".join(line).rstrip() for line in rows)


class Memtest(Vm):
    def watch(self, done, timeout):
        """Reads until the screen fulfils `done`; returns the screen."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and self.process.poll() is None:
            self.read(1)
            shown = screen(self.text)
            if done(shown):
                return shown
        raise Failed(f"not within {timeout} s:\n{screen(self.text)}")


def runs(tap, name, *words, memory, cpus=2):
    vm = Memtest("--cpus", str(cpus), "--serial", "stdio", *words, kernel=False,
                 memory=f"{memory}M")
    vm.watch(lambda shown: "Testing" in shown, START_S)
    seen = set()

    def enough(shown):
        seen.update(re.findall(r"Test #(\d+)", shown))
        return len(seen) >= PATTERNS

    shown = vm.watch(enough, TEST_S)
    print("\n".join(f"# {line}" for line in shown.splitlines() if line), flush=True)
    tap.match(f"{name}: it has the processors", rf"CPU: {cpus} Cores {cpus} Threads", shown)
    found = re.search(r"Memory *: *([\d.]+)(MB|GB)", shown)
    mib = float(found[1]) * (1024 if found[2] == "GB" else 1)
    tap.check(f"{name}: it has the memory", memory - 16 <= mib <= memory, found[0])
    tap.match(f"{name}: it finds no error", r"Errors: 0\b", shown)
    vm.kill(15)
    tap.equal(f"{name}: ended from outside", vm.end(), lab.STOPPED)


def kernel(tap):
    runs(tap, "kernel", "--kernel", "/job/memtest", "--append", "console=ttyS0,115200 nobench",
         memory=128)


def seabios(tap):
    runs(tap, "SeaBIOS", "--firmware", "bios", "--disk", "/job/memtest.iso,format=raw,readonly",
         memory=128)


def ovmf(tap):
    runs(tap, "OVMF", "--firmware", "uefi", "--disk", "/job/memtest.iso,format=raw,readonly",
         memory=256)


lab.main([kernel, seabios, ovmf])
