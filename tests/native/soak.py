#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Works a guest of the software engine hard for a while. TAP.

usage: soak.py BUILD [--seconds N] [--seed N] [--keep DIR]

Two vCPUs, two lanes of jobs in random order: a compiler, databases, fork storms, cryptography, compression,
Python, and all of bench/engine's workloads. What each prints must be what it prints natively. Memory and CPU
time of the VM's processes are recorded. When something is wrong, or nothing is heard any more, the console,
the records, and where every thread stood are kept in DIR (default BUILD/soak).
"""

import argparse
import base64
import collections
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import zlib

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.realpath(f"{HERE}/../..")
sys.path[1:1] = [f"{ROOT}/bench/engine", f"{ROOT}/lab", f"{HERE}/../lab"]
import cputime  # noqa: E402
import image  # noqa: E402
from tree import Tree  # noqa: E402
from vm import Tap  # noqa: E402
from workloads import HEAVY, WORKLOADS  # noqa: E402

MEMORY_MIB, CPUS = 1024, 2
SILENCE_S = 240  # the longest job, many times over
SAMPLE_S = 5
BESIDE_RAM_MAX_MIB = 700  # code caches and tables, when all of them are full


def parse_arguments():
    parser = argparse.ArgumentParser(prog="soak.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("build")
    add("--seconds", type=int, default=40, metavar="N", help="the guest's (default 40)")
    add("--seed", type=int, default=int(time.time()) % 100000, metavar="N", help="of the order (default: the time)")
    add("--keep", metavar="DIR", help="where what went wrong is kept (default BUILD/soak)")
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    args.keep = os.path.abspath(args.keep or f"{args.build}/soak")
    return args


def native_digests():
    """What each job prints, natively; kept, as long as the image is the same."""
    path = f"{image.FOLDER}/digests"
    if not os.path.exists(path):
        root = [] if os.getuid() == 0 else ["--map-root-user"]
        words = ["unshare", "--mount", *root, f"{image.HERE}/native.py", f"{image.FOLDER}/root", *WORKLOADS, *HEAVY]
        done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
        with open(f"{path}.new", "wb") as file:
            file.write(done.stdout)
        os.rename(f"{path}.new", path)
    with open(path, encoding="ascii") as file:
        return {name: digest for name, (_, digest) in json.load(file).items()}


def make_initrd(path, digests):
    """The benchmark's, with ours laid over it."""
    tree = Tree()
    tree.add_program(f"{HERE}/soak.sh", "init")
    # a job of much weight comes as often as four others
    names = [name for name in digests for _ in range(4 if name in HEAVY else 1)]
    tree.add_data("bench/order", "".join(f"{name}\n" for name in names))
    tree.add_data("bench/expected", "".join(f"{name} {digest}\n" for name, digest in digests.items()))
    with open(path, "wb") as out:
        with open(f"{image.FOLDER}/bench.cpio", "rb") as file:
            shutil.copyfileobj(file, out)
        tree.write_cpio(out)


class Record:
    """CPU time and memory of the VM's processes over time, as lines of a table."""

    def __init__(self, pid, path):
        self.pid, self.most = pid, 0
        self.file = open(path, "w", encoding="ascii")  # pylint: disable=consider-using-with
        print("wall s  process  CPU s  PSS MiB  of it beside guest RAM", file=self.file)
        self.began = self.last = time.monotonic()

    def sample(self):
        if time.monotonic() - self.last < SAMPLE_S:
            return
        self.last = time.monotonic()
        for member in cputime.family(self.pid):
            try:
                with open(f"/proc/{member}/comm", encoding="ascii") as file:
                    name = file.read().strip()
                whole, beside = memory_of(member)
            except OSError:
                continue
            self.most = max(self.most, beside)
            print(f"{self.last - self.began:7.1f}  {name:<10} {cputime.of_process(member) / 1e9:8.2f} {whole:8.1f} "
                  f"{beside:8.1f}", file=self.file, flush=True)


def memory_of(pid):
    """PSS in MiB: all, and without mappings of the size of guest RAM."""
    whole = beside = size = 0
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if words[0] == "Size:":
                size = int(words[1])
            elif words[0] == "Pss:":
                whole += int(words[1])
                beside += int(words[1]) if size < MEMORY_MIB << 9 else 0
    return whole / 1024, beside / 1024


class Soak:
    def __init__(self, args, digests):
        self.args = args
        self.good, self.wrong, self.kernel = collections.Counter(), [], []
        self.inits, self.off, self.silent = 0, False, False
        initrd = f"{args.keep}/initrd"
        make_initrd(initrd, digests)
        append = f"{image.APPEND} soak_seconds={args.seconds} soak_seed={args.seed}"
        words = [f"{args.build}/socle", "run", "--engine", "bt", "--cpus", str(CPUS), "--memory", f"{MEMORY_MIB}M",
                 "--kernel", image.KERNEL, "--initrd", initrd, "--append", append]
        self.console = open(f"{args.keep}/console", "wb")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self.console, start_new_session=True)
        self.record = Record(self.process.pid, f"{args.keep}/record")

    def line(self, words):
        if words[0] == "INIT":
            self.inits += 1
        elif words[0] == "GOOD":
            self.good[words[2]] += 1
        elif words[0] == "WRONG":
            self.wrong.append(" ".join(words[1:]))
        elif words[0] == "KERNEL":
            self.kernel.append(" ".join(words[1:]))
        elif words[0] == "OFF":
            self.off = True
        elif words[0] in ("OUTPUT", "ERRORS") and len(words) == 3:
            self.keep_output(*words)

    def keep_output(self, kind, job, text):
        with open(f"{self.args.keep}/{job}.{kind.lower()}", "wb") as file:
            try:
                data = base64.b64decode(text)
                file.write(zlib.decompressobj(31).decompress(data) if kind == "OUTPUT" else data)
            except (ValueError, zlib.error):
                file.write(text.encode())

    def run(self):
        """Until it ends, or nothing was heard for too long."""
        rest, heard, out = b"", time.monotonic(), self.process.stdout
        while True:
            ready, _, _ = select.select([out], [], [], 1)
            self.record.sample()
            if not ready:
                if time.monotonic() - heard > SILENCE_S:
                    self.silent = True
                    self.stands()
                    break
                continue
            data = os.read(out.fileno(), 65536)
            if not data:
                break
            self.console.write(data)
            self.console.flush()
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if (found := line.find(b"@@")) >= 0:
                    heard = time.monotonic()
                    self.line(line[found + 2:].decode("latin1").split() or [""])
        return self.end()

    def stands(self):
        """Where all threads stand, if there is a debugger."""
        with open(f"{self.args.keep}/threads", "wb") as file:
            for member in cputime.family(self.process.pid):
                subprocess.run(["gdb", "-p", str(member), "-batch", "-ex", "info registers",
                                "-ex", "thread apply all bt 12"], stdout=file, stderr=file, check=False, timeout=60)

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def end(self):
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
        return self.process.wait()


def check(tap, soak, status):
    jobs = sum(soak.good.values())
    tap.equal("every result is the processor's", soak.wrong, [])
    tap.check("there were results", jobs > 0)
    tap.check("it was heard of all the time", not soak.silent)
    tap.equal("one boot, and it ended as it was to", (soak.inits, soak.off, status), (1, True, 0))
    tap.equal("the guest's kernel has no complaint", soak.kernel, [])
    tap.check("memory beside guest RAM stays in bounds", soak.record.most < BESIDE_RAM_MAX_MIB,
              f"{soak.record.most:.0f} MiB")
    print(f"# seed {soak.args.seed}: {jobs} jobs of {len(soak.good)} kinds; at most {soak.record.most:.0f} MiB beside "
          "guest RAM in one process")


def soak_guest(args):
    image.prepare()
    digests = native_digests()
    shutil.rmtree(args.keep, ignore_errors=True)
    os.makedirs(args.keep)
    soak = Soak(args, digests)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tap = Tap()
    try:
        status = soak.run()
    finally:
        soak.kill()
    os.unlink(f"{args.keep}/initrd")
    check(tap, soak, status)
    print(f"1..{tap.number}")
    if tap.failed:
        print(f"# kept: {args.keep}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(soak_guest(parse_arguments()))
