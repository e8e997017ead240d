# SPDX-License-Identifier: Apache-2.0
"""`socle run` where no engine works: status 4 and one line that says why, in less than a second.

The kernel is no kernel. It is looked at when the engine stands: status 3 means that KVM works on
this machine, and then this test proves nothing. TAP. Usage: no_engine.py SOCLE"""

import subprocess
import sys
import tempfile
import time

BAD_FILE, NO_ENGINE = 3, 4
LIMIT_S = 1.0


def run(socle, kernel):
    begin = time.monotonic()
    done = subprocess.run([socle, "run", "--engine", "kvm", "--memory", "64M", "--kernel", kernel],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
                          check=False)
    return done.returncode, done.stdout + done.stderr, time.monotonic() - begin


def main():
    with tempfile.NamedTemporaryFile() as kernel:
        kernel.write(b"no kernel at all\n" * 100)
        kernel.flush()
        tries = [run(sys.argv[1], kernel.name) for _ in range(3)]
    status, said, _ = tries[0]
    if status == BAD_FILE:
        print("1..0 # SKIP KVM works on this machine")
        return 0
    fastest = min(took for _, _, took in tries)  # of three, since the machine may be busy
    one_line = said.startswith("socle run: ") and said.count("\n") == 1 and "engine kvm" in said
    checks = [("status 4", status == NO_ENGINE), ("one line that names the engine", one_line),
              (f"in less than {LIMIT_S:g} s ({fastest:.2f})", fastest < LIMIT_S)]
    print(f"1..{len(checks)}")
    for number, (name, good) in enumerate(checks, 1):
        print(f"{'ok' if good else 'not ok'} {number} - {name}")
    print(f"# {status}: {said}", end="")
    return 0 if all(good for _, good in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
