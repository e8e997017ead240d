#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one of the groups of tests in this folder in the lab and passes its TAP on.

usage: run.py BUILD GROUP

L1 gets our three programs from BUILD, a kernel and the test guest's initramfs, Debian's Python with
just the modules that the group imports, and what NEEDS lists for the group. Prepared files are kept
in BUILD/tests/lab and made again when what they come from has changed.
"""

import http.server
import importlib.util
import modulefinder
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.join(HERE, "../..")
LAB = os.path.realpath(os.environ.get("SOCLE_LAB_DIR", os.path.join(ROOT, "build/lab")))
STDLIB = f"/usr/lib/python3.{sys.version_info.minor}"
KERNEL = "6.1-cloud"

SEABIOS = ["/usr/share/seabios/bios-256k.bin", "/usr/share/seabios/vgabios-stdvga.bin"]
OVMF = [f"/usr/share/OVMF/OVMF_{name}.fd" for name in ("CODE_4M", "VARS_4M")]


def group(limit, *options, files=(), script=None, cleanup=None):
    return {"limit": limit, "options": options, "files": files, "script": script}


GROUPS = {
    "boot": group(180),
}


def say(text):
    print(f"# {text}", flush=True)


def newer(target, *sources):
    """Is the target there and newer than all that it is made from?"""
    return os.path.exists(target) and all(
        os.path.getmtime(target) > os.path.getmtime(source) for source in sources)


def initrd(work):
    path = f"{work}/initrd"
    command = [f"{ROOT}/lab/guest", "--kernel", KERNEL, "--module", "efivarfs", "--run",
               f"{HERE}/guest.sh", path]
    sources = [f"{ROOT}/lab/guest", f"{ROOT}/lab/guest.init", f"{HERE}/guest.sh"]
    if not newer(path, *sources):
        subprocess.run(command, check=True)
    return path


def python_files(script, folder):
    """Debian's Python for one script: its modules, compiled, in a folder as /usr/lib/python3.X."""
    finder = modulefinder.ModuleFinder([HERE, STDLIB, f"{STDLIB}/lib-dynload"])
    finder.run_script(script)
    names = {name: module.__file__ for name, module in finder.modules.items() if module.__file__}
    for name in ("encodings", "encodings.utf_8", "encodings.ascii", "encodings.latin_1",
                 "encodings.aliases", "os"):
        names.setdefault(name, importlib.util.find_spec(name).origin)
    for name, path in names.items():
        if path.startswith(HERE) or name == "__main__" or not os.path.isfile(path):
            continue
        place = os.path.join(folder, os.path.relpath(path, STDLIB))
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if path.endswith(".py"):
            py_compile.compile(path, place + "c", doraise=True,
                               invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        else:
            shutil.copy(path, place)
    os.makedirs(f"{folder}/lib-dynload", exist_ok=True)
    return ["--file", f"{folder}:{STDLIB}", "--file", "/usr/bin/python3:/usr/bin/python3"]


def lab_run(words):
    """Runs lab/run; returns its status and the last try's output, which a person sees live."""
    lines = []
    with subprocess.Popen(words, stdout=subprocess.PIPE) as run:
        for line in run.stdout:
            if line == b"# begin\n":
                lines.clear()
            lines.append(line.decode(errors="replace"))
            if sys.stderr.isatty() or os.environ.get("SOCLE_LIVE"):
                print(lines[-1], end="", file=sys.stderr)
    return run.returncode, "".join(lines)


def main():
    build, name = os.path.abspath(sys.argv[1]), sys.argv[2]
    what = GROUPS[name]
    work = f"{build}/tests/lab"
    os.makedirs(work, exist_ok=True)
    subprocess.run([f"{ROOT}/lab/fetch", "tools", "busybox", "qemu", "6.12-cloud", KERNEL], check=True)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        files = [f"{build}/{program}" for program in ("socle", "socle-vmm", "socle-vmx")]
        files += [f"{LAB}/{KERNEL}/vmlinuz", initrd(work), f"{HERE}/vm.py", f"{HERE}/{name}.py"]
        words = [f"{ROOT}/lab/run", "--timeout", str(what["limit"]), *what["options"]]
        for file in files:
            words += ["--file", file]
        for file in what["files"]:
            words += ["--file", f"{file}:{file}"]
        words += python_files(f"{HERE}/{name}.py", f"{folder}/python")
        status, text = lab_run([*words, "--", "python3", "-B", "-S", "-s", f"{name}.py"])
    print(text, end="")
    if status not in (0, 1):
        print(f"Bail out! lab/run ended with status {status}")
    return status


if __name__ == "__main__":
    sys.exit(main())
