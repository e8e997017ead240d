#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""native.py ROOT NAME...: runs workloads on this machine in the guest's file tree; one JSON object on stdout,
name -> [CPU seconds, digest of what it printed].

To be started in a mount namespace of its own (unshare --mount, without root also --map-root-user).
"""

import hashlib
import json
import os
import resource
import subprocess
import sys

ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "LC_ALL": "C", "PYTHONHASHSEED": "0"}


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def enter(root):
    mount("--rbind", "/proc", f"{root}/proc")
    mount("--rbind", "/dev", f"{root}/dev")
    mount("-t", "tmpfs", "tmp", f"{root}/tmp")
    os.chroot(root)
    os.chdir("/")
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # as the guest has one


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(name):
    subprocess.run(["/bench/workload", f"prepare_{name}"], env=ENVIRONMENT, check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before = children_seconds()
    done = subprocess.run(["/bench/workload", name], env=ENVIRONMENT, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        print(f"bench: {name} fails natively: {done.stderr.decode()}", file=sys.stderr)
        return None
    return children_seconds() - before, hashlib.md5(done.stdout).hexdigest()[:8]


def main():
    root, *names = sys.argv[1:]
    enter(root)
    found = {name: measure(name) for name in names}
    json.dump({name: value for name, value in found.items() if value}, sys.stdout)


if __name__ == "__main__":
    main()
