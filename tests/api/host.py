# SPDX-License-Identifier: Apache-2.0
"""A host in hosted mode for tests: `socle up` in a folder of its own at a free port, and clients."""

import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import schema

START_S, STOP_S = 60, 60


def free_port():
    """Below those that Linux gives out by itself: a host that starts again finds it free again."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def eventually(condition, seconds=20):
    """Its first true value, or the last false one."""
    end = time.monotonic() + seconds
    value = condition()
    while not value and time.monotonic() < end:
        time.sleep(0.05)
        value = condition()
    return value


def write_at(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def read_at(path, offset, length):
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(length)


def listing(folder):
    """What is in it, without what each datastore has."""
    return [name for name in os.listdir(folder) if name != ".socle-datastore"]


class Host:
    def __init__(self, build):
        self.build = build
        self.folder = tempfile.mkdtemp(prefix="socle-host-")
        self.root = f"{self.folder}/root"
        self.port = free_port()
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.socle("down", "--root", self.root, "--vms", "off")
        shutil.rmtree(self.folder, ignore_errors=True)

    def socle(self, *arguments):
        return subprocess.run([f"{self.build}/socle", *arguments], capture_output=True, text=True,
                              timeout=120, check=False)

    def start(self):
        """Brings it up; the lines it said."""
        self.process = subprocess.Popen(
            [f"{self.build}/socle", "up", "--root", self.root, "--listen", f"127.0.0.1:{self.port}"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = []
        for line in self.process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("Socle is ready"):
                return lines
        raise RuntimeError("\n".join(lines + [self.log()]))

    def stop(self, how=signal.SIGTERM):
        """Ends `socle up`; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(STOP_S)
        self.process.stdout.close()
        return status

    def log(self):
        try:
            with open(f"{self.root}/log/hostd.log", encoding="utf-8") as file:
                return file.read()
        except OSError:
            return "(no log)"

    @property
    def password(self):
        with open(f"{self.root}/password", encoding="ascii") as file:
            return file.read().strip()

    def path(self, *parts):
        return os.path.join(self.root, "datastores/datastore1", *parts)

    def processes(self, name):
        """Ids of our processes of that name whose working directory is this host's."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                    if file.read().strip() != name[:15]:
                        continue
                if os.path.realpath(f"/proc/{pid}/cwd") == os.path.realpath(self.root):
                    found.append(int(pid))
            except OSError:
                pass
        return found


class Tap:
    """Steps of one run, as TAP; the last line says how many passed of all."""

    def __init__(self):
        self.number = self.failed = 0

    def check(self, name, good, detail=""):
        self.number += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.number} - {name}", flush=True)
        if not good and str(detail):
            print("\n".join(f"# {line}" for line in str(detail).splitlines()), flush=True)
        return good

    def equal(self, name, got, want):
        return self.check(name, got == want, f"got  {got!r}\nwant {want!r}")

    def raises(self, name, kind, action):
        """The fault, or None when another one or none came."""
        try:
            action()
        except kind as fault:
            self.check(name, True)
            return fault
        except Exception as other:  # noqa: BLE001 - whatever it is, it is not what was asked for
            self.check(name, False, f"{type(other).__name__}: {other}")
        else:
            self.check(name, False, "nothing was raised")
        return None

    def run(self, scenarios, *arguments):
        """All of them, the plan, and the end of the program."""
        for scenario in scenarios:
            began = time.monotonic()
            try:
                scenario(self, *arguments)
            except Exception as error:  # noqa: BLE001 - a scenario that raises is one failed step
                self.check(scenario.__name__, False, f"{type(error).__name__}: {error}")
            print(f"# {scenario.__name__}: {time.monotonic() - began:.1f} s", flush=True)
        schema.finish(self)
        print(f"1..{self.number}")
        print(f"# {self.number - self.failed} of {self.number} steps passed")
        sys.exit(self.failed != 0)


def context():
    return ssl._create_unverified_context()  # noqa: S323 - the certificate is self-signed
