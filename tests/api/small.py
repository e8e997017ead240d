# SPDX-License-Identifier: Apache-2.0
"""A datastore on a small file system of its own, where we may mount one (root)."""

import os
import subprocess


class Small:
    """A datastore of some MiB on a file system of its own."""

    def __init__(self, host, client, name, mib=16):
        self.name, self.folder, self.mib = name, f"{host.folder}/{name}", mib
        os.mkdir(self.folder)
        self.mount()
        self.store = client.host.configManager.datastoreSystem.CreateLocalDatastore(name, self.folder)

    def mount(self):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.mib}m,mode=0700", "small", self.folder], check=True)

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", self.folder], check=True)

    def umount(self):
        subprocess.run(["umount", "-l", self.folder], check=False)

    def fill(self):
        with open(f"{self.folder}/ballast", "ab", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass

    def empty(self):
        os.unlink(f"{self.folder}/ballast")


def may_mount():
    probe = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "x", "/mnt"], capture_output=True, check=False)
    return os.geteuid() == 0 and probe.returncode == 0
