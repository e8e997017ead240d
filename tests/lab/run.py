#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs one of the groups of tests in this folder in the lab and passes its TAP on.

usage: run.py BUILD GROUP

L1 gets our three programs from BUILD, a kernel and the test guest's initramfs, Debian's Python with
just the modules that the group imports, and what NEEDS lists for the group. Prepared files are kept
in BUILD/tests/lab and made again when what they come from has changed.
"""

import hashlib
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
import rescue_image  # noqa: E402
from grub_image import make_image  # noqa: E402

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.join(HERE, "../..")
LAB = os.path.realpath(os.environ.get("SOCLE_LAB_DIR", os.path.join(ROOT, "build/lab")))
STDLIB = f"/usr/lib/python3.{sys.version_info.minor}"
KERNEL = "6.1-cloud"

SEABIOS = ["/usr/share/seabios/bios-256k.bin", "/usr/share/seabios/vgabios-stdvga.bin"]
OVMF = [f"/usr/share/OVMF/OVMF_{name}.fd" for name in ("CODE_4M", "VARS_4M")]
SECURE = [f"/usr/share/OVMF/OVMF_{name}.fd" for name in ("CODE_4M.secboot", "VARS_4M.ms")]


# Of each group: the time limit of its lab run; options for lab/run; host files that L1 has at the
# same places; whether it needs the GRUB disk, and a web page outside of L1; what makes its images; or
# a program of BUILD that is all of the group, with what runs a guest if it wants one. The last four are `make guests`.
GROUPS = {
    "boot": {"limit": 300},
    "disk": {"limit": 240},
    "net": {"limit": 240, "options": ["--net"], "files": ["/usr/bin/passt"], "page": True},
    "firmware": {"limit": 500, "files": [*SEABIOS, *OVMF], "disk": True},
    "failure": {"limit": 240, "files": OVMF},
    "size": {"limit": 300, "options": ["--memory", "7G"]},
    "engine": {"limit": 200, "program": "tests/guest/test-guest"},
    "state": {"limit": 900, "program": "tests/lab/lab-state", "guest": True},
    "secure_boot": {"limit": 600, "files": [*OVMF, *SECURE], "disk": True},
    "memtest": {"limit": 600, "files": [*SEABIOS, *OVMF], "images": rescue_image.memtest},
    "installer": {"limit": 900, "files": [*SEABIOS, *OVMF], "images": rescue_image.installer,
                  "options": ["--memory", "3G"]},
    "fwts": {"limit": 1200, "files": [*SEABIOS, *OVMF], "images": rescue_image.fwts,
             "options": ["--memory", "3G"]},
}


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


def python_places(script, folder):
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
    return [f"{folder}:{STDLIB}", "/usr/bin/python3:/usr/bin/python3"]


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


def grub_disk(work, guest):
    """A disk from which firmware starts GRUB, and GRUB the test guest."""
    path, kernel = f"{work}/grub.img", f"{LAB}/{KERNEL}/vmlinuz"
    if not newer(path, kernel, guest, f"{HERE}/grub_image.py"):
        with tempfile.TemporaryDirectory(dir=work) as folder:
            make_image(f"{path}.new", folder, kernel, guest, "console=ttyS0 quiet socle.test=run")
        os.rename(f"{path}.new", path)
    return path


class Page(http.server.BaseHTTPRequestHandler):
    """A web page outside of L1, to be reached by its network."""

    content = os.urandom(1 << 20)

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_):
        pass


def serve_page():
    """Its address as L1 sees it, and its MD5."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://10.0.2.2:{server.server_port}/", hashlib.md5(Page.content).hexdigest()


def script_words(build, name, what, folder):
    """What lab/run is to place for a group's script, and the command that runs it."""
    work = f"{build}/tests/lab"
    guest = initrd(work)
    places = [f"{build}/{program}" for program in ("socle", "socle-vmm", "socle-vmx")]
    places += [f"{LAB}/{KERNEL}/vmlinuz", guest, f"{HERE}/vm.py", f"{HERE}/{name}.py"]
    if what.get("disk"):
        places.append(grub_disk(work, guest))
    if images := what.get("images"):
        places += images(work, LAB)
    places += [f"{path}:{path}" for path in what.get("files", [])]
    places += python_places(f"{HERE}/{name}.py", f"{folder}/python")
    arguments = serve_page() if what.get("page") else ()
    return places, f"exec python3 -B -S -s {name}.py {' '.join(arguments)}"


def main():
    build, name = os.path.abspath(sys.argv[1]), sys.argv[2]
    what = GROUPS[name]
    os.makedirs(f"{build}/tests/lab", exist_ok=True)
    fetch = [f"{ROOT}/lab/fetch", "tools", "busybox", "qemu", "6.12-cloud", KERNEL]
    subprocess.run(fetch, check=True)
    with tempfile.TemporaryDirectory(dir=f"{build}/tests/lab") as folder:
        if program := what.get("program"):
            places, command = [f"{build}/{program}"], f"exec ./{os.path.basename(program)}"
            if what.get("guest"):
                places += [f"{build}/socle-{name}" for name in ("keeper", "vmm", "vmx")]
                places += [f"{LAB}/{KERNEL}/vmlinuz", initrd(f"{build}/tests/lab")]
        else:
            places, command = script_words(build, name, what, folder)
        words = [f"{ROOT}/lab/run", "--timeout", str(what["limit"]), "--env", "SOCLE_ENGINE=kvm"]
        words += what.get("options", [])
        for place in places:
            words += ["--file", place]
        status, text = lab_run([*words, "--", "sh", "-c", f"echo '# begin'; {command}"])
    print(text, end="")
    if status not in (0, 1):
        print(f"Bail out! lab/run ended with status {status}")
    return status


if __name__ == "__main__":
    sys.exit(main())
