# SPDX-License-Identifier: Apache-2.0
"""The guest that is measured, made from Debian's packages (lab/fetch) and what lies in guest/.

Below build/bench-engine:
    root            the programs and their data as a tree, for the native runs
    bench.cpio      the same as an initramfs, not compressed
    boot.cpio.gz    busybox alone: says that it runs, and powers off
    grub.img        a disk from which either firmware starts GRUB, and GRUB the kernel with boot.cpio.gz
"""

import fcntl
import gzip
import os
import random
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.realpath(f"{HERE}/../..")
LAB = os.path.realpath(os.environ.get("SOCLE_LAB_DIR", f"{ROOT}/build/lab"))
FOLDER = f"{ROOT}/build/bench-engine"
KERNEL = f"{LAB}/6.1-cloud/vmlinuz"
APPEND = "console=ttyS0 quiet panic=-1"
SCRIPTS = ("workload", "mix.py", "mix.sql", "database.sql")
TEXT_SIZE = 6_000_000
FOLDERS = ("proc", "sys", "dev", "tmp", "bench", "root")

sys.path[1:1] = [f"{ROOT}/lab", f"{ROOT}/tests/lab"]
from grub_image import make_image  # noqa: E402
from tree import Tree  # noqa: E402


def run(*words):
    subprocess.run(words, check=True, stdout=sys.stderr)


def text():
    """Words as frequent as in a language, the same every time."""
    dice = random.Random(7)
    words = ["".join(dice.choice("etaoinshrdlucmfwyp") for _ in range(dice.randint(2, 9)))
             for _ in range(4000)]
    chosen, size = [], 0
    while size < TEXT_SIZE:
        word = words[min(int(dice.paretovariate(0.9)) - 1, len(words) - 1)]
        chosen.append(word)
        size += len(word) + 1
    return " ".join(chosen)


def large_function(dice, number):
    """A function of C that a compiler has to think about: loops, a switch, an array, calls to earlier ones."""
    def term():
        return dice.choice(["a", "b", "c", "t[a & 15]", str(dice.randint(1, 99))])

    def expression():
        return " ".join([term(), *(f"{dice.choice('+-*^|&')} ({term()} {dice.choice('+-*')} {term()})"
                                   for _ in range(dice.randint(1, 4)))])
    lines = [f"unsigned f{number}(unsigned a, unsigned b)", "{", "    unsigned t[16] = {0}, c = a;"]
    lines += [f"    for (unsigned i = 0; i < (b & {dice.randint(3, 31)}); i++) {{",
              f"        t[(i + {dice.randint(0, 15)}) & 15] += {expression()};",
              f"        c ^= {expression()};", "    }", f"    switch (c % {dice.randint(4, 9)}) {{"]
    for case in range(dice.randint(3, 8)):
        lines.append(f"    case {case}: {dice.choice('abc')} += {expression()}; break;")
    lines.append("    }")
    if number:
        lines.append(f"    c += f{dice.randrange(number)}({expression()}, b / 2);")
    return [*lines, f"    return {expression()};", "}"]


def large_source():
    dice = random.Random(11)
    return "\n".join(line for number in range(700) for line in large_function(dice, number)) + "\n"


def write_data(path, data):
    with open(path, "w", encoding="ascii") as file:
        file.write(data)


def make_root(root):
    shutil.copytree(f"{LAB}/workloads", root, symlinks=True)
    os.unlink(f"{root}/.complete")
    for folder in FOLDERS:
        os.makedirs(f"{root}/{folder}", exist_ok=True)
    for name in SCRIPTS:
        shutil.copy(f"{HERE}/guest/{name}", f"{root}/bench/{name}")
    os.chmod(f"{root}/bench/workload", 0o755)
    shutil.copy(f"{HERE}/guest/init", f"{root}/init")
    os.chmod(f"{root}/init", 0o755)
    micro = f"{HERE}/guest/micro.c"
    run("gcc", "-O2", "-D_GNU_SOURCE", "-static", "-o", f"{root}/bench/micro", micro, "-lm", "-lpthread")
    run("gcc", "-E", "-P", "-O2", "-D_GNU_SOURCE", micro, "-o", f"{root}/bench/unit.i")
    write_data(f"{root}/bench/text", text())
    write_data(f"{root}/bench/large.c", large_source())


def pack(root, path):
    tree = Tree()
    tree.add_file(root, "", libraries=False)
    with open(path, "wb") as out:
        tree.write_cpio(out)


def pack_boot(path):
    tree = Tree()
    for folder in ("bin", "proc", "sys", "dev"):
        tree.add_dir(folder)
    tree.add_program(f"{LAB}/busybox/busybox", "bin/busybox")
    tree.add_program(f"{HERE}/guest/init", "init")
    with open(path, "wb") as out, gzip.GzipFile(fileobj=out, filename="", mode="wb", mtime=0) as packed:
        tree.write_cpio(packed)


def fresh(stamp):
    sources = [f"{HERE}/guest/{name}" for name in os.listdir(f"{HERE}/guest")]
    return os.path.exists(stamp) and all(os.path.getmtime(stamp) > os.path.getmtime(source) for source in
                                         (*sources, f"{HERE}/image.py", f"{LAB}/workloads/.complete"))


def make(stamp):
    print("bench: making the guest", file=sys.stderr)
    shutil.rmtree(FOLDER, ignore_errors=True)
    os.makedirs(FOLDER)
    make_root(f"{FOLDER}/root")
    pack(f"{FOLDER}/root", f"{FOLDER}/bench.cpio")
    pack_boot(f"{FOLDER}/boot.cpio.gz")
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        make_image(f"{FOLDER}/grub.img", folder, KERNEL, f"{FOLDER}/boot.cpio.gz", APPEND)
    write_data(stamp, "")


def prepare():
    """Makes what is not there or older than what it comes from; one at a time."""
    run(f"{ROOT}/tools/packages.sh", "bench")
    run(f"{ROOT}/lab/fetch", "workloads", "busybox", "peer", "6.1-cloud")
    stamp = f"{FOLDER}/complete"
    with open(f"{FOLDER}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not fresh(stamp):
            make(stamp)
