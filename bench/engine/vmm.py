# SPDX-License-Identifier: Apache-2.0
"""A VMM that runs the guest, and what its CPU time is when the guest says that something begins or ends.

A VMM is a command line for each way to start the guest, with {kernel} {initrd} {append} {cpus} {disk}
{vars} in it, and the guest's serial port as its standard output.
"""

import os
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

import cputime
import image

PEER = f"{image.LAB}/peer"
OVMF = f"{PEER}/usr/share/OVMF"
MEMORY_MIB = 1024
END_S = 5


class Vmm:
    """The words of three commands; a way that is None cannot be had."""

    def __init__(self, direct, seabios=None, ovmf=None, environment=None):
        self.direct, self.seabios, self.ovmf = direct, seabios, ovmf
        self.environment = environment or {}


def tcg(cpu):
    qemu = [f"{PEER}/usr/bin/qemu-system-x86_64", "-L", f"{PEER}/usr/share/qemu", "-L", f"{PEER}/usr/share/seabios",
            "-cpu", cpu, "-smp", "{cpus}", "-m", f"{MEMORY_MIB}", "-display", "none", "-no-reboot", "-nodefaults",
            "-serial", "stdio", "-monitor", "none", "-accel", "tcg,thread={threads}"]
    disk = ["-machine", "q35", "-drive", "if=virtio,format=raw,read-only=on,file={disk}"]
    flash = ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF}/OVMF_CODE_4M.fd",
             "-drive", "if=pflash,format=raw,file={vars}"]
    return Vmm([*qemu, "-kernel", "{kernel}", "-initrd", "{initrd}", "-append", "{append}"],
               [*qemu, *disk], [*qemu, *disk, *flash],
               {"LD_LIBRARY_PATH": f"{PEER}/usr/lib/x86_64-linux-gnu"})


def socle(program):
    words = [program, "run", "--engine", "bt", "--cpus", "{cpus}", "--memory", f"{MEMORY_MIB}M", "--serial", "stdio"]
    disk = ["--disk", "{disk},readonly"]
    return Vmm([*words, "--kernel", "{kernel}", "--initrd", "{initrd}", "--append", "{append}"],
               [*words, "--firmware", "bios", *disk], [*words, "--firmware", "uefi", *disk])


def other(command):
    """One that a person names: it can start a kernel."""
    return Vmm(shlex.split(command))


class Guest:
    """A running guest: iterate over it for the words of its @@ lines, .pid is its VMM. Ends with the block.

    One that says nothing while `limit` seconds of CPU time pass is taken as stuck."""

    def __init__(self, vmm, words, log, limit, **values):
        self.folder = tempfile.TemporaryDirectory(prefix="socle-bench-")
        shutil.copy(f"{OVMF}/OVMF_VARS_4M.fd", f"{self.folder.name}/vars")
        values.setdefault("cpus", 1)
        values.update(kernel=image.KERNEL, disk=f"{image.FOLDER}/grub.img", vars=f"{self.folder.name}/vars",
                      threads="multi" if values["cpus"] > 1 else "single")
        self.log, self.limit = open(log, "ab"), limit  # pylint: disable=consider-using-with
        self.process = subprocess.Popen([word.format(**values) for word in words], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.log, start_new_session=True,
                                        env={**os.environ, **vmm.environment})
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end = time.monotonic() + END_S
        while self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        if self.process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.log.close()
        self.folder.cleanup()

    def __iter__(self):
        rest, heard = b"", 0
        while True:
            ready, _, _ = select.select([self.process.stdout], [], [], 2)
            if not ready and cputime.of_family(self.pid) - heard > self.limit * 1e9:
                self.log.write(b"\n== stuck\n")
                return
            data = os.read(self.process.stdout.fileno(), 65536) if ready else None
            if data == b"":
                return
            self.log.write(data or b"")
            *lines, rest = (rest + (data or b"")).split(b"\n")
            for line in lines:
                found = line.find(b"@@")
                if found >= 0:
                    heard = cputime.of_family(self.pid)
                    yield line[found + 2:].decode("latin1").split()
