# SPDX-License-Identifier: Apache-2.0
"""A Debian kernel as lab/fetch unpacked it: its image, its modules and what they need."""

import lzma
import os
import re


class KernelError(Exception):
    """A kernel or module that is not there; the text names it."""


class Kernel:
    def __init__(self, folder):
        self.folder = folder
        self.name = os.path.basename(folder)
        self.image = os.path.join(folder, "vmlinuz")
        try:
            with open(os.path.join(folder, "release"), encoding="ascii") as file:
                self.release = file.read().strip()
        except OSError as error:
            raise KernelError(f"kernel '{self.name}' is not fetched ({error.strerror})") from error
        self.modules = os.path.join(folder, "lib/modules", self.release)
        self.needs = self._read_needs()
        self.builtin = self._read_builtin()

    def _lines(self, name):
        with open(os.path.join(self.modules, name), encoding="ascii") as file:
            return file.read().splitlines()

    def _read_needs(self):
        """Module name -> (path, paths of what it needs, nearest first), from modules.dep."""
        needs = {}
        for line in self._lines("modules.dep"):
            path, _, rest = line.partition(":")
            needs[module_name(path)] = (path, rest.split())
        return needs

    def _read_builtin(self):
        return {module_name(line) for line in self._lines("modules.builtin")}

    def load_order(self, names, optional=()):
        """Paths of modules and all that they need, in load order; built-in ones are left out."""
        order = []
        for name in [*names, *optional]:
            name = module_name(name)
            if name in self.needs:
                path, rest = self.needs[name]
                order += [*reversed(rest), path]
            elif name not in self.builtin and name not in map(module_name, optional):
                raise KernelError(f"kernel {self.name} has no module '{name}'")
        return list(dict.fromkeys(order))

    def add_modules(self, tree, names, optional=()):
        """Places modules, uncompressed, with an index for modprobe; returns them in load order."""
        index, loaded = [], []
        for path in self.load_order(names, optional):
            file = plain_name(path)
            tree.add_data(f"lib/modules/{self.release}/{file}", self._read_module(path))
            needs = self.needs[module_name(path)][1]
            index.append(f"{file}: {' '.join(map(plain_name, needs))}\n")
            loaded.append(f"/lib/modules/{self.release}/{file}")
        tree.add_data(f"lib/modules/{self.release}/modules.dep", "".join(index))
        return loaded

    def _read_module(self, path):
        with open(os.path.join(self.modules, path), "rb") as file:
            data = file.read()
        return lzma.decompress(data) if path.endswith(".xz") else data


def plain_name(path):
    return re.sub(r"\.xz$", "", os.path.basename(path))


def module_name(path):
    """The kernel's own spelling: no folder, no suffix, underscores."""
    return re.sub(r"\.ko.*$", "", os.path.basename(path)).replace("-", "_")
