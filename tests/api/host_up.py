#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`socle up` and `socle down` as their user meets them: folders, passwords, addresses, certificates,
processes that are killed, a full disk. TAP.

usage: host_up.py BUILD [SCENARIO...]
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from host import Host, Tap, context, eventually, free_port  # noqa: E402
from small import may_mount  # noqa: E402


class Up(Host):
    """A host in a folder of its user's choice, with options of its user's."""

    def __init__(self, build, *options, root=None, listen="127.0.0.1"):
        super().__init__(build)
        self.root = root or self.root
        self.options, self.listen = options, listen

    def command(self):
        return [f"{self.build}/socle", "up", "--root", self.root, "--listen", f"{self.listen}:{self.port}", *self.options]

    def refusal(self):
        """What it says when it does not come up."""
        done = subprocess.run(self.command(), capture_output=True, text=True, timeout=120, check=False)
        return done.stderr if done.returncode == 1 else f"status {done.returncode}"

    def start(self):
        self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = []
        for line in self.process.stdout:
            lines.append(line.rstrip("\n"))
            if line.startswith("Socle is ready"):
                return lines
        raise RuntimeError("\n".join(lines))

    def answers(self, at="127.0.0.1"):
        try:
            with urllib.request.urlopen(f"https://{at}:{self.port}/sdk/vimServiceVersions.xml",
                                        context=context(), timeout=20) as answer:
                return answer.status == 200
        except OSError:
            return False

    def login(self, password):
        return subprocess.run([f"{self.build}/socle", "vm", "list", "--insecure"],
                              capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, "SOCLE_PASSWORD": password, "SOCLE_URL": f"https://127.0.0.1:{self.port}"})


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


def first_use(tap, build):
    """Folders above it are made; what is nobody else's business is nobody else's to read."""
    host = Up(build)
    host.root = f"{host.folder}/not/yet/ä b"
    with host:
        password = os.stat(f"{host.root}/password")
        tap.equal("the password is its owner's", stat.S_IMODE(password.st_mode), 0o600)
        loose = [path for folder, _, files in os.walk(host.root) for path in (os.path.join(folder, file) for file in files)
                 if os.stat(path).st_mode & 0o077 and not path.startswith((f"{host.root}/run/", f"{host.root}/tls/", f"{host.root}/log/"))]
        tap.equal("nothing of it can be read by others", loose, [])
        second = subprocess.run(host.command(), capture_output=True, text=True, timeout=60, check=False)
        tap.check("a second one is refused, with the first one's number",
                  second.returncode == 1 and str(host.process.pid) in second.stderr, second.stderr)
    foreign = Up(build)
    os.makedirs(f"{foreign.root}/run")
    tap.check("a folder of something else is refused", "no host's folder" in foreign.refusal())
    tap.equal("and nothing is made in it", os.listdir(foreign.root), ["run"])
    shutil.rmtree(foreign.folder)


def passwords(tap, build):
    """The first line of a file; what no client could send is refused before anything is made."""
    host = Up(build)
    for name, content, why in (("empty", b"\nsecond line\n", "no password in its first line"),
                               ("short", b"abc\n", "a password has"),
                               ("zero byte", b"longenough\0more\n", "no control characters"),
                               ("escape", b"longenough\x1b[2J\n", "no control characters"),
                               ("latin 1", b"gen\xfcgend lang\n", "text in UTF-8"),
                               ("long", b"x" * 3000 + b"\n", "a password has"),
                               ("endless", b"x" * 5000, "larger than")):
        host.options = ("--password-file", write(f"{host.folder}/pw", content))
        said = host.refusal()
        tap.check(f"a password that is {name}", why in said, said)
        tap.check(f"a password that is {name}: nothing is made", not os.path.exists(host.root))
    host.options = ("--password-file", write(f"{host.folder}/pw", "gut & lang <ö>\r\nsecond\n".encode()))
    with host:
        tap.check("it is not written down", not os.path.exists(f"{host.root}/password"))
        tap.equal("it opens", host.login("gut & lang <ö>").returncode, 0)
        host.stop()
        write(f"{host.folder}/pw", b"another one\n")
        host.process = subprocess.Popen(host.command(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = [host.process.stdout.readline() for _ in range(2)]
        tap.check("another one later is told to be in vain", any("root keeps" in line for line in said), said)
        tap.equal("and is", host.login("another one").returncode, 5)


def addresses(tap, build):
    """IPv6; "::" is both."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        with Up(build, listen="[::]") as host:
            tap.check("[::]: IPv6", host.answers("[::1]"))
            tap.check("[::]: IPv4", host.answers())
        with Up(build, listen="[::1]") as host:
            tap.check("[::1]: IPv6", host.answers("[::1]"))
            tap.check("[::1]: not IPv4", not host.answers())
        return
    tap.check("no IPv6 here: left out", True)


class WithoutIpv6(Up):
    """In a network of its own, which has no IPv6 addresses."""

    def command(self):
        return ["unshare", "-n", "sh", "-c", 'ip link set lo up && echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 && exec "$@"', "sh",
                *super().command()]


def no_ipv6(tap, build):
    if not may_mount():
        tap.check("no IPv6: no networks may be made here", True)
        return
    with WithoutIpv6(build, listen="[::]") as host:
        tap.equal("[::] where there is no IPv6", host.stop(), 0)
    host = WithoutIpv6(build, listen="[::1]")
    tap.check("[::1] is said not to be there", "cannot listen at ::1" in host.refusal())
    shutil.rmtree(host.folder)


def certificates(tap, build):
    """Whoever signed it, and whatever the clock says: the host comes up."""
    with Up(build) as host:
        host.stop()
        tls = f"{host.root}/tls"
        for command in (f"req -new -key {tls}/key.pem -subj /CN=here -out {host.folder}/request",
                        f"ecparam -genkey -name prime256v1 -out {host.folder}/ca-key",
                        f"req -x509 -new -key {host.folder}/ca-key -subj /CN=authority -days 9 -out {host.folder}/ca",
                        f"x509 -req -in {host.folder}/request -CA {host.folder}/ca -CAkey {host.folder}/ca-key"
                        f" -CAcreateserial -days -1 -out {tls}/cert.pem"):
            subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
        tap.check("an authority's, and too old", host.start()[-1].startswith("Socle is ready") and host.answers())


def killed(tap, build):
    """kill -9 of each process of the host: no port stays taken, no two daemons at once."""
    with Up(build) as host:
        os.kill(max(host.processes("nginx"), key=lambda pid: parent(pid) == host.process.pid), signal.SIGKILL)
        tap.check("the front's master", eventually(lambda: host.answers() and len(host.processes("nginx")) == 2))
        os.kill(host.process.pid, signal.SIGSTOP)  # it does not start another one
        for pid in host.processes("nginx"):
            if parent(pid) == host.process.pid:
                os.kill(pid, signal.SIGKILL)
        host.stop(signal.SIGKILL)
        tap.check("the front's worker is left", eventually(lambda: len(host.processes("nginx")) == 1))
        eventually(lambda: not host.processes("socle-hostd"))
        with open(f"{host.root}/run/hostd.lock", "r+b") as lock:
            fcntl.lockf(lock, fcntl.LOCK_EX)  # as a daemon that takes its time
            host.process = subprocess.Popen(host.command(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            tap.check("another daemon waits for the one before", eventually(lambda: "has to end first" in host.log()))
        tap.check("and then it is ready", host.process.stdout.readline().startswith("Socle is ready"))
        tap.equal("with one daemon", len(eventually(lambda: host.processes("socle-hostd"))), 1)


def parent(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


def hung_up(tap, build):
    """SIGHUP ends it, unless it was ignored at the start (nohup)."""
    host = Up(build)
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with host:
        signal.signal(signal.SIGHUP, previous)
        os.kill(host.process.pid, signal.SIGHUP)
        tap.check("nohup", not eventually(lambda: host.process.poll() is not None, 1) and host.answers())
        host.stop()
        host.start()
        tap.equal("a terminal that goes", host.stop(signal.SIGHUP), 0)


def full(tap, build):
    """A full disk keeps nobody from coming up again to make room."""
    if not may_mount():
        tap.check("a full disk: no file systems may be mounted here", True)
        return
    host = Up(build)
    os.mkdir(host.root)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "small", host.root], check=True)
    try:
        with host:
            with open(host.path("ballast"), "ab", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(b"x" * 4096):
                    pass
            daemon = host.processes("socle-hostd")[0]
            os.kill(daemon, signal.SIGKILL)
            tap.check("hostd that was killed comes back",
                      eventually(lambda: daemon not in host.processes("socle-hostd") and host.answers()))
            host.stop(signal.SIGKILL)
            eventually(lambda: not host.processes("socle-hostd") and not host.processes("nginx"))
            with open(host.path("more"), "ab", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(b"x" * 4096):
                    pass
            tap.check("a host that was killed comes back", host.start()[-1].startswith("Socle is ready"))
            removed = host.socle("datastore", "rm", "--root", host.root, "[datastore1] ballast")
            tap.equal("room is made", removed.returncode, 0)
    finally:
        subprocess.run(["umount", "-l", host.root], check=False)


SCENARIOS = (first_use, passwords, addresses, no_ipv6, certificates, killed, hung_up, full)

if __name__ == "__main__":
    wanted = sys.argv[2:]
    Tap().run([s for s in SCENARIOS if not wanted or s.__name__ in wanted], sys.argv[1])
