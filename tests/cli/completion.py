#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What bash completes, asked of a bash that has read `socle completion bash`; and zsh's, if there is a zsh."""

import os
import shutil
import subprocess
import sys

from client import Host, Socle, Tap

ASK = r"""
eval "$(socle completion bash)"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
compopt() { echo "<files>"; }
_socle
printf '%s\n' "${COMPREPLY[@]}"
"""


class Bash:
    def __init__(self, host):
        self.env = {**os.environ, "PATH": f"{host.build}:{os.environ['PATH']}", "HOME": host.folder}

    def __call__(self, *words, **env):
        done = subprocess.run(["bash", "-c", ASK, "bash", *words], capture_output=True, text=True, check=False,
                              env={**self.env, **env}, timeout=60)
        return sorted(filter(None, done.stdout.splitlines())) if not done.stderr else [done.stderr]


def static(tap, bash, host):
    tap.check("nouns", {"vm", "host", "datastore", "run", "up"} <= set(bash("socle", "")))
    tap.equal("a noun that begins so", bash("socle", "da"), ["datastore"])
    tap.equal("verbs", bash("socle", "vm", "re"), ["reboot", "register", "rename", "reset"])
    tap.equal("two words", bash("socle", "vm", "snapshot", ""), ["delete", "list", "revert", "take"])
    tap.equal("three words", bash("socle", "vm", "device", "add", ""), ["cd", "disk", "nic"])
    tap.equal("options", bash("socle", "vm", "create", "x", "--s"), ["--secure-boot", "--set", "--start"])
    tap.equal("values", bash("socle", "vm", "create", "x", "--firmware", ""), ["bios", "efi"])
    tap.equal("formats", bash("socle", "vm", "list", "-o", "j"), ["json"])
    tap.equal("files, where files may stand", bash("socle", "datastore", "upload", ""), ["<files>"])
    tap.check("options of commands that are no nouns", "--kernel" in bash("socle", "run", "--k")
              and "--listen" in bash("socle", "up", "--l"))
    tap.equal("names without a host: none", bash("socle", "vm", "start", "a"), ["<files>"])


def names(tap, bash, host):
    socle = Socle(host)
    for name in ("alpha", "beta one"):
        socle("vm", "create", name, "--disk", "0", "--no-nic")
    tap.equal("names of VMs, by --root", bash("socle", "vm", "show", "--root", host.root, ""), ["alpha", "beta\\ one"])
    tap.equal("by SOCLE_ROOT, the second operand", bash("socle", "vm", "start", "alpha", "be", SOCLE_ROOT=host.root),
              ["beta\\ one"])
    tap.equal("no name where none belongs", bash("socle", "vm", "create", "a", SOCLE_ROOT=host.root), ["<files>"])
    tap.equal("roles", bash("socle", "permission", "set", "root", "Ad", SOCLE_ROOT=host.root), ["Admin"])
    tap.equal("users", bash("socle", "user", "remove", "r", SOCLE_ROOT=host.root), ["root"])
    tap.equal("networks of an option", bash("socle", "vm", "create", "x", "--nic", "V", SOCLE_ROOT=host.root),
              ["VM\\ Network"])


def scripts(tap, bash, host):
    socle = Socle(host, [])
    tap.check("which shell?", socle("completion").status == 2 and socle("completion", "fish").status == 2)
    zsh = shutil.which("zsh")
    done = zsh and subprocess.run([zsh, "-f", "-c", "autoload -Uz compinit; compinit -D; " + socle("completion", "zsh").out],
                                  capture_output=True, text=True, check=False)
    tap.check("zsh reads its script" + ("" if zsh else " # SKIP no zsh here"), not zsh or (done.returncode == 0 and
                                                                                         not done.stderr), done)


def main():
    with Host(sys.argv[1]) as host:
        Tap().run([static, names, scripts], Bash(host), host)


if __name__ == "__main__":
    main()
