#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A host elsewhere: TLS with a certificate that is asked for, passwords, and a person at a terminal."""

import os
import pty
import re
import select
import subprocess
import sys
import time

from client import Host, Socle, Tap, complains

LIMIT_S = 30


def fingerprint(host):
    done = subprocess.run(["openssl", "x509", "-in", f"{host.root}/tls/cert.pem", "-noout", "-fingerprint", "-sha256"],
                          capture_output=True, text=True, check=True)
    return done.stdout.strip().split("=")[1]


class Person:
    """`socle WORDS` on a terminal: answers questions as they come."""

    def __init__(self, socle, *words):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(socle.path, [socle.path, *words, *socle.where], socle.env)
        self.text = ""

    def expect(self, pattern):
        end = time.monotonic() + LIMIT_S
        while not re.search(pattern, self.text):
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise RuntimeError(f"waited in vain for {pattern!r}: {self.text!r}")
            self.text += os.read(self.fd, 65536).decode(errors="replace")

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        try:
            while data := os.read(self.fd, 65536):
                self.text += data.decode(errors="replace")
        except OSError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def certificates(tap, host):
    url, secret = f"https://127.0.0.1:{host.port}", {"SOCLE_PASSWORD": host.password}
    seen = fingerprint(host)
    stranger = Socle(host, ["--url", url], **secret)
    complains(tap, "an unknown certificate, and nobody to ask", stranger("vm", "list"), 4, seen)
    tap.check("--fingerprint", Socle(host, ["--url", url, "--fingerprint", seen], **secret)("vm", "list").status == 0)
    tap.check("--fingerprint in small letters without colons", Socle(
        host, ["--url", url, "--fingerprint", seen.replace(":", "").lower()], **secret)("vm", "list").status == 0)
    other = "00" + seen[2:]
    complains(tap, "another fingerprint", Socle(host, ["--url", url, "--fingerprint", other], **secret)("vm", "list"), 4,
              "another certificate")
    complains(tap, "no fingerprint", Socle(host, ["--url", url, "--fingerprint", "ab"], **secret)("vm", "list"), 2,
              "no SHA-256 fingerprint")
    tap.check("--insecure", Socle(host, ["--url", url, "--insecure"], **secret)("vm", "list").status == 0)
    complains(tap, "http", Socle(host, ["--url", "http://127.0.0.1"], **secret)("vm", "list"), 2, "https://HOST")
    complains(tap, "nobody there", Socle(host, ["--url", "https://127.0.0.1:9"], **secret)("vm", "list"), 4, "127.0.0.1")


def first_contact(tap, host):
    socle = Socle(host, ["--url", f"https://127.0.0.1:{host.port}"])
    person = Person(socle, "vm", "list")
    person.expect(r"\[y/N\] $")
    tap.check("the first contact shows the fingerprint", fingerprint(host) in person.text, person.text)
    person.type("n\n")
    tap.check("no is no", person.end() == 4 and not os.path.exists(f"{host.folder}/.config/socle/hosts"))
    person = Person(socle, "vm", "list")
    person.expect(r"\[y/N\] $")
    person.type("y\n")
    person.expect("Password of root")
    person.type(f"{host.password}\n")
    tap.check("yes is kept, the password is asked for", person.end() == 0 and "NAME" in person.text, person.text)
    tap.check("the password is not shown", host.password not in person.text)
    tap.check("the second time there is no question", Socle(
        host, socle.where, SOCLE_PASSWORD=host.password)("vm", "list").status == 0)
    hosts = f"{host.folder}/.config/socle/hosts"
    with open(hosts, encoding="ascii") as file:
        tap.equal("what is kept", file.read(), f"127.0.0.1:{host.port} {fingerprint(host)}\n")
    with open(hosts, "w", encoding="ascii") as file:
        file.write(f"127.0.0.1:{host.port} {'00' + fingerprint(host)[2:]}\n")
    complains(tap, "another certificate than before", Socle(host, socle.where, SOCLE_PASSWORD=host.password)("vm", "list"),
              4, "another certificate than before")


def passwords(tap, host):
    where = ["--url", f"127.0.0.1:{host.port}", "--insecure"]
    complains(tap, "a wrong password", Socle(host, where, SOCLE_PASSWORD="no")("vm", "list"), 5, "incorrect user name")
    tap.check("--password-file", Socle(host, [*where, "--password-file", f"{host.root}/password"])("vm", "list").status == 0)
    local = Socle(host)
    with open(f"{host.folder}/bob", "w", encoding="ascii") as file:
        file.write("Secret-12345\n")
    local("user", "add", "bob", "--new-password-file", f"{host.folder}/bob")
    bob = Socle(host, [*where, "--user", "bob", "--password-file", f"{host.folder}/bob"])
    complains(tap, "an account without permissions cannot log in", bob("vm", "list"), 5, "")
    local("permission", "set", "bob", "ReadOnly")
    tap.check("with one it can", bob("vm", "list").status == 0)
    complains(tap, "and may what its role says", bob("vm", "create", "x"), 5, "denied")
    with open(f"{host.folder}/new", "w", encoding="ascii") as file:
        file.write("Another-12345\n")
    change = ("user", "password", "bob", "--new-password-file", f"{host.folder}/new")
    complains(tap, "its password is the administrator's", bob(*change), 5, "denied")
    complains(tap, "or whose who knows it", bob(*change, "--old-password-file", f"{host.folder}/new"), 5, "")
    tap.check("as it does", bob(*change, "--old-password-file", f"{host.folder}/bob").status == 0)
    complains(tap, "the old one is none now", bob("vm", "list"), 5, "")


def main():
    with Host(sys.argv[1]) as host:
        Tap().run([certificates, first_contact, passwords], host)


if __name__ == "__main__":
    main()
