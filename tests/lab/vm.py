# SPDX-License-Identifier: Apache-2.0
"""A VM of Socle's as a test drives it, and TAP. Runs in L1, and on the machine itself (tests/native).

A Vm is one `socle run` whose serial port ends here. With the guest of lab/guest and guest.sh in it,
the console is a line of commands: vm.command() runs one in the guest and returns what it printed.
All waits have limits, generous ones: the machine under L1 may be busy.
"""

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import time

SOCLE = "/job/socle"
KERNEL = ("--kernel", "vmlinuz", "--initrd", "initrd")
APPEND = "console=ttyS0 quiet panic=-1 socle.test=run"
READY = r"SOCLE-GUEST-READY"
COMMANDS = r"SOCLE-COMMANDS"
# looked for in the guest: all of dmesg would take its time on a serial line
COMPLAINTS = "dmesg | grep -E 'ACPI (BIOS )?Error|ACPI Warning|[Ff]irmware [Bb]ug|BUG:|WARNING:|Oops'"
BOOT_S, ANSWER_S, END_S = 100, 90, 30

# exit statuses of socle-run(1)
POWER_OFF, FAILED, USAGE, BAD_FILE, NO_ENGINE, TRIPLE_FAULT, DIED, STOPPED = range(8)


class Failed(Exception):
    """What was waited for did not come; the text says what did."""


class Tap:
    """Checks of one run, as TAP. A scenario that raises is one failed check more."""

    def __init__(self):
        self.number = self.failed = 0

    def check(self, name, good, detail=""):
        self.number += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.number} - {name}", flush=True)
        if not good and detail != "":
            print("\n".join(f"# {line}" for line in str(detail).splitlines()), flush=True)
        return good

    def equal(self, name, got, want):
        return self.check(name, got == want, f"got  {got!r}\nwant {want!r}")

    def match(self, name, pattern, text):
        return self.check(name, re.search(pattern, text), f"no {pattern!r} in\n{text[-2000:]}")

    def skip(self, name, reason):
        self.number += 1
        print(f"ok {self.number} - {name} # SKIP {reason}", flush=True)

    def run(self, scenarios):
        for scenario in scenarios:
            started = time.monotonic()
            try:
                scenario(self)
            except (Failed, EOFError, OSError, subprocess.SubprocessError, IndexError, ValueError) as error:
                self.check(scenario.__name__, False, f"{type(error).__name__}: {error}")
            finally:
                Vm.kill_all()
            print(f"# {scenario.__name__}: {time.monotonic() - started:.1f} s", flush=True)
        print(f"1..{self.number}", flush=True)
        return 1 if self.failed else 0


class Line:
    """The line of commands at a guest's serial port: `inward` is the descriptor that it reads,
    `outward` the one that it writes. READY and COMMANDS are lab/guest's."""

    def __init__(self):
        self.text, self.seen = "", 0  # all that came, and up to where expect() has looked
        self.inward = self.outward = None

    def read(self, timeout):
        """Takes what is there; False: nothing in that time, or nothing any more."""
        ready, _, _ = select.select([self.outward], [], [], max(timeout, 0))
        try:
            data = os.read(self.outward, 65536) if ready else b""
        except OSError:  # a pty whose other side is closed
            data = b""
        self.text += data.decode(errors="replace").replace("\r", "")
        return bool(data)

    def tail(self):
        """What came last, for whoever reads why a test failed."""
        return self.text[-3000:]

    def expect(self, pattern, timeout=ANSWER_S):
        end = time.monotonic() + timeout
        while True:
            found = re.compile(pattern).search(self.text, self.seen)
            if found:
                self.seen = found.end()
                return found
            if not self.read(end - time.monotonic()):
                raise Failed(f"no {pattern!r} within {timeout} s, but:\n{self.tail()}")

    def send(self, text):
        os.write(self.inward, text.encode())

    def expect_commands(self, timeout=BOOT_S):
        self.expect(READY, timeout)
        self.expect(COMMANDS)
        return self

    def command(self, text, timeout=ANSWER_S):
        """What a command line printed in the guest; "(N)" in a last line when its status is N."""
        self.send(text + "\n")
        found = self.expect(r"(?s)(.*?)\n?SOCLE-STATUS (\d+)\n", timeout)
        status = int(found[2])
        return "\n".join(filter(None, (found[1].strip("\n"), f"({status})" if status else "")))


class Vm(Line):
    running = []

    def __init__(self, *arguments, kernel=True, append="", memory="256M", serial="pipe"):
        super().__init__()
        if kernel:
            arguments = (*KERNEL, "--append", f"{APPEND} {append}", *arguments)
        self.words = [SOCLE, "run", "--memory", memory, *arguments]
        self.serial, self.errors = serial, ""
        self.terminal = None
        stdin = stdout = subprocess.PIPE
        if serial == "pty":
            self.terminal, stdin = pty.openpty()
            stdout = stdin
            self.before = termios.tcgetattr(stdin)
        elif serial == "unix":
            self.path = f"/tmp/console.{len(Vm.running)}.{time.monotonic_ns()}"
            self.words += ["--serial", f"unix={self.path}"]
            stdin = stdout = subprocess.DEVNULL
        self.process = subprocess.Popen(self.words, stdin=stdin, stdout=stdout,
                                        stderr=subprocess.PIPE, preexec_fn=os.setsid)
        Vm.running.append(self)
        self.slave = stdin if serial == "pty" else None
        self.inward, self.outward = self.ends(serial)

    def ends(self, serial):
        if serial == "pty":
            return self.terminal, self.terminal
        if serial == "unix":
            self.socket = self.connect()
            return self.socket.fileno(), self.socket.fileno()
        return self.process.stdin.fileno(), self.process.stdout.fileno()

    def connect(self):
        end = time.monotonic() + ANSWER_S
        while time.monotonic() < end and self.process.poll() is None:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(self.path)
                return sock
            except OSError:
                sock.close()
                time.sleep(0.05)
        raise Failed(f"nothing listens at {self.path}: {self.process.communicate()[1].decode()}")

    def tail(self):
        while self.read(0.2):
            pass
        try:
            status = self.process.wait(1)  # a console that has closed is about to be followed
        except subprocess.TimeoutExpired:
            return self.text[-3000:]
        said = self.process.stderr.read().decode()
        return f"{self.text[-3000:]}\nit ended with status {status}: {said}"

    def boot(self):
        return self.expect_commands()

    def power_off(self):
        self.send("poweroff -f\n")
        return self.end()

    def end(self, timeout=END_S):
        """Its exit status; the rest of its output is in .text, its messages in .errors."""
        end = time.monotonic() + timeout
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        if self.process.poll() is None:
            raise Failed(f"it does not end:\n{self.tail()}")
        while self.serial != "pty" and self.read(0.2):
            pass
        self.errors = self.process.stderr.read().decode()
        return self.process.returncode

    def kill(self, number):
        os.kill(self.process.pid, number)

    @classmethod
    def kill_all(cls):
        for vm in cls.running:
            if vm.process.poll() is None:
                vm.process.send_signal(signal.SIGKILL)
                vm.process.wait()
        cls.running.clear()


def refused(*arguments, timeout=END_S):
    """A `socle run` that is to fail: (status, what it said)."""
    done = subprocess.run([SOCLE, "run", *arguments], stdin=subprocess.DEVNULL, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def processes(prefix="socle", session=None):
    """{pid: name} of the processes whose names begin so; of one session (a VM is one) or of all."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as file:
                name = file.read().strip()
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                state, _, _, of = file.read().rpartition(")")[2].split()[:4]
            if name.startswith(prefix) and state != "Z" and session in (None, int(of)):
                found[int(pid)] = name
        except OSError:
            continue  # it has just ended
    return found


def guest_memory_left():
    """Who still has a guest's memory open or mapped."""
    holders = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            links = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
            with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as file:
                links.append(file.read())
        except OSError:
            continue
        if any("memfd:guest-ram" in link for link in links):
            holders.append(pid)
    return holders


def eventually(condition, timeout=10):
    end = time.monotonic() + timeout
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def output(*words):
    """What a program printed; raises when it fails."""
    return subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT).stdout.decode()


def main(scenarios):
    os.chdir("/job")
    sys.exit(Tap().run(scenarios))
