#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input to `socle run`: one line that names the file and the reason, the right status, the
terminal as before, nothing left running. Needs no engine: all of it is found before one starts.
TAP. Usage: bad_input.py SOCLE"""

import ctypes
import os
import pty
import subprocess
import sys
import tempfile
import termios

PR_SET_CHILD_SUBREAPER = 36

# arguments (@ is the folder), status, words that the one line must have
CASES = [
    ("--kernel @/none", 3, ["@/none", "No such file"]),
    ("--kernel @", 3, ["@", "not a regular file"]),
    ("--kernel @/secret", 3, ["@/secret", "denied"]),
    ("--kernel @/kernel --initrd @/none", 3, ["initrd", "@/none", "No such file"]),
    ("--kernel @/kernel --disk @/none.img", 3, ["none.img", "No such file"]),
    ("--kernel @/kernel --disk @/bad.vmdk", 3, ["bad.vmdk", "not a VMDK"]),
    ("--kernel @/kernel --disk @/outside.vmdk", 3, ["outside.vmdk", "etc"]),
    ("--kernel @/kernel --disk @/odd.img", 3, ["odd.img", "512"]),
    ("--kernel @/kernel --cdrom @/none.iso", 3, ["none.iso", "No such file"]),
    ("--kernel @/kernel --serial unix=@/none/socket", 3, ["@/none/socket", "No such file"]),
    ("--kernel @/kernel --serial file=@/none/file", 3, ["@/none/file", "No such file"]),
    ("@/none.vmx", 3, ["@/none.vmx", "No such file"]),
    ("@/binary.vmx", 3, ["@/binary.vmx:1", "no .vmx file"]),
    ("@/nonsense.vmx", 3, ["@/nonsense.vmx:2", "memSize", "number"]),
    ("@/nodisk.vmx", 3, ["gone.vmdk", "No such file"]),
]
FILES = {
    "kernel": b"not looked at before the rest stands\n",
    "secret": b"x",
    "bad.vmdk": b"hello\n",
    "outside.vmdk": b'# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n'
                    b'createType="monolithicFlat"\nRW 8 FLAT "/etc/passwd" 0\n',
    "odd.img": b"x" * 3000,
    "binary.vmx": b"\x7fELF\x02\x01\x01\0\0\0",
    "nonsense.vmx": b'displayName = "x"\nmemSize = "much"\n',
    "nodisk.vmx": b'virtio0:0.present = "TRUE"\nvirtio0:0.fileName = "gone.vmdk"\n'
                  b'uuid.bios = "564d1f2e-3d4c-5b6a-7988-97a6b5fffffe"\n',
}


def nothing_left():
    """Orphans become ours (subreaper): is there a process left that nobody waited for?"""
    try:
        os.waitpid(-1, os.WNOHANG)
        return False
    except ChildProcessError:
        return True


def run(socle, arguments, stdin):
    done = subprocess.run([socle, "run"] + arguments, stdin=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=30, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def problems(socle, folder, case, stdin):
    words, status, wanted = case
    got, out, text = run(socle, words.replace("@", folder).split(), stdin)
    found = [] if got == status else [f"status {got}, not {status}"]
    if out:
        found.append(f"on standard output: {out!r}")
    if text.count("\n") != 1 or not text.startswith("socle run: "):
        found.append("not one line")
    found += [f"no {w!r}" for w in wanted if w.replace("@", folder) not in text]
    if not nothing_left():
        found.append("a process is left")
    return found + ([f"said {text!r}"] if found else [])


def terminal_problems(socle, folder):
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    run(socle, ["--kernel", folder + "/kernel", "--disk", folder + "/none.img"], slave)
    after = termios.tcgetattr(slave)
    os.close(master)
    os.close(slave)
    return [] if before == after else ["the terminal is not as before"]


def main():
    socle = os.path.abspath(sys.argv[1])
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    failed = False
    print(f"1..{len(CASES) + 1}")
    with tempfile.TemporaryDirectory() as folder:
        for name, data in FILES.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
        os.chmod(os.path.join(folder, "secret"), 0)
        for number, case in enumerate(CASES, 1):
            if "secret" in case[0] and os.geteuid() == 0:
                print(f"ok {number} - {case[0]} # SKIP root reads everything")
                continue
            found = problems(socle, folder, case, subprocess.DEVNULL)
            failed |= bool(found)
            print(("not ok" if found else "ok") + f" {number} - {case[0]}")
            for line in found:
                print(f"# {line}")
        found = terminal_problems(socle, folder)
        failed |= bool(found)
        print(("not ok" if found else "ok") + f" {len(CASES) + 1} - terminal as before")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
