# SPDX-License-Identifier: Apache-2.0
"""A file tree that exists only as a plan, written out as an initramfs (newc cpio) or as a tar.

No root, no device nodes on the disk, the same bytes for the same content: times are zero, owners
are root. Programs bring the shared libraries that they need, found by ldd; a library lies in the
library folder under the name that the loader looks for.
"""

import io
import os
import re
import shutil
import stat
import subprocess
import tarfile

LIBRARY_DIR = "lib/x86_64-linux-gnu"


class TreeError(Exception):
    """A file that cannot be packed; the text names it."""


class Entry:
    """One path: a folder, a link (data is its target), a device, bytes, or a file to read later."""

    def __init__(self, mode, data=b"", source=None, device=(0, 0)):
        self.mode = mode
        self.data = data
        self.source = source
        self.device = device

    def size(self):
        return os.path.getsize(self.source) if self.source else len(self.data)

    def open(self):
        return open(self.source, "rb") if self.source else io.BytesIO(self.data)


class Tree:
    def __init__(self):
        self.entries = {}
        self.resolved = set()

    def add(self, path, entry):
        path = os.path.normpath(path).lstrip("/")
        parent = os.path.dirname(path)
        if parent and parent not in self.entries:
            self.add_dir(parent)
        self.entries[path] = entry

    def add_dir(self, path, mode=0o755):
        self.add(path, Entry(stat.S_IFDIR | mode))

    def add_link(self, path, target):
        self.add(path, Entry(stat.S_IFLNK | 0o777, target.encode()))

    def add_data(self, path, data, mode=0o644):
        data = data.encode() if isinstance(data, str) else data
        self.add(path, Entry(stat.S_IFREG | mode, data))

    def add_char_device(self, path, major, minor, mode=0o600):
        self.add(path, Entry(stat.S_IFCHR | mode, device=(major, minor)))

    def add_program(self, source, path):
        """A script of ours, runnable whatever the mode of its file."""
        self.add(path, Entry(stat.S_IFREG | 0o755, source=source))

    def add_file(self, source, path, libraries=True):
        """A host file with what it needs to run, or a whole folder (links inside it stay links)."""
        if os.path.isdir(source):
            self.add_dir(path)
            for name in sorted(os.listdir(source)):
                inside = os.path.join(source, name)
                if os.path.islink(inside):
                    self.add_link(os.path.join(path, name), os.readlink(inside))
                else:
                    self.add_file(inside, os.path.join(path, name), libraries)
            return
        if not os.path.isfile(source):
            raise TreeError(f"{source}: no such file")
        mode = stat.S_IMODE(os.stat(source).st_mode)
        self.add(path, Entry(stat.S_IFREG | mode, source=source))
        if libraries:
            self.add_needs(source)

    def add_needs(self, source):
        """The loader and libraries of an ELF file, the interpreter of a script."""
        source = os.path.realpath(source)
        if source in self.resolved:
            return
        self.resolved.add(source)
        with open(source, "rb") as file:
            head = file.read(256)
        if head[:4] == b"\x7fELF":
            self.add_libraries(source)
        elif head[:2] == b"#!":
            first_line = head[2:].split(b"\n")[0]
            self.add_interpreter(first_line.decode(errors="replace").split())

    def add_libraries(self, source):
        answer = output_of("ldd", source)
        missing = re.findall(r"^\s*(\S+) => not found", answer, re.M)
        if missing:
            raise TreeError(f"{source}: not found: {', '.join(sorted(set(missing)))}")
        for name, path in re.findall(r"^\s*(\S+) => (/\S+) \(", answer, re.M):
            self.add_once(path, os.path.join(LIBRARY_DIR, os.path.basename(name)))
        for path in re.findall(r"^\s*(/\S*ld-linux\S*) \(", answer, re.M):
            self.add_once(path, path)

    def add_interpreter(self, words):
        program = words[0] if words else ""
        if os.path.basename(program) == "env" and len(words) > 1:
            program = shutil.which(words[1]) or ""
        if program in ("", "/bin/sh", "/bin/busybox") or not os.path.exists(program):
            return
        self.add_file(program, program)

    def add_once(self, source, path):
        """The first library of a name wins, as it would for the loader."""
        if os.path.normpath(path).lstrip("/") not in self.entries:
            self.add(path, Entry(stat.S_IFREG | 0o755, source=source))

    def write_cpio(self, out):
        for number, (path, entry) in enumerate(self.entries.items(), 1):
            write_cpio_entry(out, number, path, entry)
        write_cpio_entry(out, 0, "TRAILER!!!", Entry(0))

    def write_tar(self, out):
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for path, entry in self.entries.items():
                info = tarfile.TarInfo(path)
                info.mode = stat.S_IMODE(entry.mode)
                if stat.S_ISDIR(entry.mode):
                    info.type = tarfile.DIRTYPE
                    tar.addfile(info)
                elif stat.S_ISLNK(entry.mode):
                    info.type, info.linkname = tarfile.SYMTYPE, entry.data.decode()
                    tar.addfile(info)
                else:
                    info.size = entry.size()
                    with entry.open() as data:
                        tar.addfile(info, data)


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def place_of(spec, folder):
    """SRC[:DST] -> (source, path): DST is relative to the folder, and ends in / for a folder."""
    source, _, place = spec.partition(":")
    place = os.path.join(folder, place)
    if place.endswith("/"):
        place += os.path.basename(os.path.abspath(source))
    return source, place


def write_cpio_entry(out, number, path, entry):
    name = path.encode() + b"\0"
    with entry.open() as file:
        data = file.read()
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (number, entry.mode, 0, 0, links, 0, len(data), 0, 0, *entry.device, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    out.write(header + name + b"\0" * (-(len(header) + len(name)) % 4))
    out.write(data + b"\0" * (-len(data) % 4))


def busybox_tree(busybox):
    """The userland both guests start from: busybox, its applets as links, and the usual folders."""
    tree = Tree()
    for folder in ("bin", "sbin", "etc", "proc", "sys", "dev", "run", "mnt", "root", "lib64", "var",
                   LIBRARY_DIR, "usr/bin", "usr/sbin"):
        tree.add_dir(folder)
    tree.add_dir("tmp", 0o1777)
    tree.add_link("var/run", "/run")
    tree.add_char_device("dev/console", 5, 1)
    tree.add_program(busybox, "bin/busybox")
    for applet in output_of(busybox, "--list").split():
        if applet != "busybox":
            tree.add_link(f"bin/{applet}", "busybox")
    tree.add_link("sbin/modprobe", "../bin/busybox")
    tree.add_data("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
                                "nobody:x:65534:65534:nobody:/:/bin/false\n")
    tree.add_data("etc/group", "root:x:0:\nkvm:x:106:\nnogroup:x:65534:\n")
    tree.add_data("etc/hosts", "127.0.0.1 localhost\n")
    return tree
