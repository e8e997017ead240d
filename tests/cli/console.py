#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The serial console: by a terminal, by pipes, by several at a time, over the network.

The guest is 100 bytes of machine code: it says READY, then answers each byte with the next one; '#'
gets 70,000 letters, '!' ends it."""

import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from client import Host, Socle, Tap, complains, eventually

LIMIT_S = 100
FLOOD = 70000


def echo_kernel():
    """An ELF file with a PVH entry (Xen's PHYS32_ENTRY note): 32-bit code, no paging."""
    base = 0x100000
    code = bytearray()
    labels, fixes = {}, []

    def emit(*data, jump=None, size=1):
        code.extend(data)
        if jump:
            fixes.append((len(code), jump, size))
            code.extend(bytes(abs(size)))

    def label(name):
        labels[name] = len(code)

    emit(0xBC, *struct.pack("<I", base + 0x8000))  # mov esp
    emit(0xBE, jump="message", size=-4)            # mov esi, message
    label("print")
    emit(0xAC, 0x84, 0xC0)                         # lodsb; test al, al
    emit(0x74, jump="echo")                        # jz
    emit(0xE8, jump="putc", size=4)                # call
    emit(0xEB, jump="print")
    label("echo")
    emit(0xF3, 0x90, 0x66, 0xBA, 0xFD, 0x03, 0xEC, 0xA8, 0x01)  # pause; dx = 3fd; in; test al, 1
    emit(0x74, jump="echo")
    emit(0x66, 0xBA, 0xF8, 0x03, 0xEC)             # dx = 3f8; in al, dx
    emit(0x3C, ord("!"), 0x74, jump="end")
    emit(0x3C, ord("#"), 0x74, jump="flood")
    emit(0xFE, 0xC0)                               # inc al
    emit(0xE8, jump="putc", size=4)
    emit(0xEB, jump="echo")
    label("flood")
    emit(0xB9, *struct.pack("<I", FLOOD))          # mov ecx
    label("more")
    emit(0x88, 0xC8, 0x24, 0x0F, 0x04, ord("a"))   # al = 'a' + cl % 16
    emit(0xE8, jump="putc", size=4)
    emit(0xE2, jump="more")                        # loop
    emit(0xB0, ord("."))
    emit(0xE8, jump="putc", size=4)
    emit(0xEB, jump="echo")
    label("putc")
    emit(0x50, 0x66, 0xBA, 0xFD, 0x03)             # push eax; dx = 3fd
    label("full")
    emit(0xEC, 0xA8, 0x20)                         # in; test al, 20h
    emit(0x74, jump="full")
    emit(0x58, 0x66, 0xBA, 0xF8, 0x03, 0xEE, 0xC3)  # pop eax; dx = 3f8; out; ret
    label("end")
    emit(0x0F, 0x01, 0x1D, *struct.pack("<I", 0), 0xCC)  # lidt [0]; int3: triple fault
    label("message")
    code.extend(b"READY\r\n\0")
    for at, name, size in fixes:
        where = base + labels[name] if size < 0 else labels[name] - at - size
        struct.pack_into("<i" if abs(size) == 4 else "<b", code, at, where)
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", base)
    head, offset = 52 + 2 * 32, 0x1000
    elf = struct.pack("<4sBBBB8xHHIIIIIHHHHHH", b"\x7fELF", 1, 1, 1, 0, 2, 3, 1, base, 52, 0, 0, 52, 32, 2, 40, 0, 0)
    elf += struct.pack("<IIIIIIII", 1, offset, base, base, len(code), 0x10000, 7, 0x1000)
    elf += struct.pack("<IIIIIIII", 4, head, 0, 0, len(note), len(note), 4, 4)
    return (elf + note).ljust(offset, b"\0") + bytes(code)


def make_vm(socle, host, name, *lines):
    os.makedirs(host.path(name), exist_ok=True)
    with open(host.path(name, "kernel"), "wb") as file:
        file.write(echo_kernel())
    text = [".encoding = \"UTF-8\"", "config.version = \"8\"", "virtualHW.version = \"19\"", f'displayName = "{name}"',
            'guestOS = "other-64"', 'memSize = "32"', 'socle.engine = "bt"', 'socle.kernel = "kernel"', *lines]
    with open(host.path(name, f"{name}.vmx"), "w", encoding="utf-8") as file:
        file.write("\n".join(text) + "\n")
    return socle("vm", "register", f"{name}/{name}.vmx")


class Pipe:
    """`socle vm console` with pipes."""

    def __init__(self, socle, name, *words):
        self.process = subprocess.Popen([socle.path, "vm", "console", name, *words, *socle.where], env=socle.env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.text = b""

    def read_until(self, done):
        end = time.monotonic() + LIMIT_S
        while not done(self.text) and time.monotonic() < end:
            if select.select([self.process.stdout], [], [], 0.2)[0]:
                data = os.read(self.process.stdout.fileno(), 1 << 20)
                self.text += data
                if not data:
                    break
        return done(self.text)

    def expect(self, text):
        return self.read_until(lambda got: text in got)

    def type(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def end(self, how=None):
        if how:
            self.process.send_signal(how)
        self.process.stdin.close()
        status = self.process.wait(LIMIT_S)
        self.process.stdout.close()
        self.process.stderr.close()
        return status


class Terminal:
    """The same on a terminal."""

    def __init__(self, socle, name):
        master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen([socle.path, "vm", "console", name, *socle.where], env=socle.env,
                                        stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True)
        self.master, self.text = master, b""

    def expect(self, text):
        end = time.monotonic() + LIMIT_S
        while text not in self.text and time.monotonic() < end:
            if select.select([self.master], [], [], 0.2)[0]:
                self.text += os.read(self.master, 65536)
        return text in self.text

    def type(self, text):
        os.write(self.master, text)

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO)

    def end(self):
        status = self.process.wait(LIMIT_S)
        restored = termios.tcgetattr(self.slave) == self.before
        while select.select([self.master], [], [], 0)[0]:
            self.text += os.read(self.master, 65536)
        os.close(self.slave)
        os.close(self.master)
        return status, restored


def pipes(tap, socle, host):
    tap.check("a VM of our own", make_vm(socle, host, "echo").status == 0 and socle("vm", "start", "echo").status == 0)
    one = Pipe(socle, "echo")
    tap.check("what it said before is there", one.expect(b"READY\r\n"), one.text)
    one.type(b"abc")
    tap.check("it hears, and is heard", one.expect(b"bcd"), one.text)
    two = Pipe(socle, "echo")
    tap.check("a second one sees all that was", two.expect(b"READY\r\nbcd"), two.text)
    two.type(b"x")
    tap.check("both see what one types", one.expect(b"bcdy") and two.expect(b"bcdy"), (one.text, two.text))
    tap.equal("SIGTERM leaves", one.end(signal.SIGTERM), 0)
    two.type(b"1")
    tap.check("the other goes on", two.expect(b"bcdy2"), two.text)
    two.process.stdin.close()
    tap.check("the end of input ends nothing by itself", two.process.poll() is None)
    two.end(signal.SIGTERM)
    said = socle("vm", "console", "echo", "--linger", "1", stdin="mno")
    tap.check("--linger leaves after the answer", said.status == 0 and said.out.endswith("nop"), said)


def flood(tap, socle, host):
    one = Pipe(socle, "echo")
    one.expect(b"READY")
    one.type(b"#")
    tap.check("much text arrives whole", one.read_until(lambda text: text.endswith(b".")), one.text[-100:])
    body = one.text[one.text.rindex(b"\n") + 1:-1][-FLOOD:]
    tap.equal("and right", body, bytes(ord("a") + n % 16 for n in range(FLOOD, 0, -1)))
    late = Pipe(socle, "echo")
    late.read_until(lambda text: len(text) >= 65536)
    tap.check("who comes later gets the last 64 KiB", len(late.text) == 65536 and late.text == one.text[-65536:],
              len(late.text))
    one.end(signal.SIGTERM)
    late.end(signal.SIGTERM)


def terminals(tap, socle, host):
    one = Terminal(socle, "echo")
    tap.check("a hint how to leave", one.expect(b"Ctrl-] leaves it"), one.text)
    tap.check("every key goes to the guest", eventually(one.is_raw))
    one.type(b"\x03\x01\x01")  # Ctrl-C; Ctrl-A twice
    tap.check("Ctrl-C too, and one Ctrl-A for two", one.expect(b"\x04\x02"), one.text)
    one.type(b"\x01h")
    tap.check("Ctrl-A h helps", one.expect(b"leave the console; the VM goes on"), one.text)
    one.type(b"\x1d")
    tap.check("Ctrl-] leaves", one.expect(b"echo goes on"), one.text)
    tap.equal("status, terminal restored", one.end(), (0, True))
    two = Terminal(socle, "echo")
    two.expect(b"leaves it")
    eventually(two.is_raw)
    two.type(b"\x01x")
    tap.equal("so does Ctrl-A x", two.end(), (0, True))
    three = Terminal(socle, "echo")
    three.expect(b"leaves it")
    eventually(three.is_raw)
    three.process.terminate()
    tap.equal("a signal restores the terminal", three.end(), (0, True))


def crowd(tap, socle, host):
    watchers = [Pipe(socle, "echo") for _ in range(8)]
    tap.check("eight look on", all(w.expect(b".") for w in watchers))
    complains(tap, "a ninth is told", socle("vm", "console", "echo"), 1, "")
    for w in watchers:
        w.end(signal.SIGTERM)
    tap.check("and comes in when they have gone", eventually(lambda: socle(
        "vm", "console", "echo", "--linger", "0").status == 0))


def remote(tap, socle, host):
    over = Socle(host, ["--url", f"127.0.0.1:{host.port}", "--insecure", "--password-file", f"{host.root}/password"])
    said = over("vm", "console", "echo", "--linger", "1", stdin="q")
    tap.check("over TLS", said.status == 0 and said.out.endswith("r"), (said.status, said.err))


def hostd_dies(tap, socle, host):
    one = Pipe(socle, "echo")
    one.expect(b".")
    (before,) = host.processes("socle-hostd")
    os.kill(before, signal.SIGKILL)
    eventually(lambda: host.processes("socle-hostd") not in ([], [before]))
    one.type(b"k")
    tap.check("a console survives hostd", one.expect(b"l"), one.text[-20:])
    one.end(signal.SIGTERM)
    tap.check("and the next hostd opens others", eventually(
        lambda: socle("vm", "console", "echo", "--linger", "0").status == 0))


def ends(tap, socle, host):
    one = Terminal(socle, "echo")
    one.expect(b"leaves it")
    one.type(b"!")
    tap.check("the guest's end ends it", one.expect(b"echo was switched off"), one.text[-100:])
    tap.equal("status, terminal restored", one.end(), (0, True))
    eventually(lambda: socle.rows("vm", "show", "echo")["power"] == "off")
    complains(tap, "a VM that is off has none", socle("vm", "console", "echo"), 1, "Powered off")
    make_vm(socle, host, "filed", 'serial0.present = "TRUE"', 'serial0.fileType = "file"', 'serial0.fileName = "out.txt"')
    socle("vm", "start", "filed")
    complains(tap, "a port that goes to a file is not the console's", socle("vm", "console", "filed"), 1, "ends elsewhere")
    tap.check("there it goes", eventually(lambda: os.path.exists(host.path("filed/out.txt"))
                                          and os.path.getsize(host.path("filed/out.txt")) == 7))
    complains(tap, "no such VM", socle("vm", "console", "nix"), 3, '"nix"')


def main():
    with Host(sys.argv[1]) as host:
        Tap().run([pipes, terminals, flood, crowd, remote, hostd_dies, ends], Socle(host), host)


if __name__ == "__main__":
    main()
