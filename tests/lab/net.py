# SPDX-License-Identifier: Apache-2.0
"""Runs in L1: frames arrive both ways, by content, over a tap interface and by user-mode networking.

The first argument is a web page outside of L1, the second its MD5."""

import hashlib
import os
import socket
import subprocess
import sys
import threading

import vm as lab
from vm import Vm

SIZE = 4 << 20
L1, GUEST = "10.9.0.1", "10.9.0.2"
MAC = "00:50:56:00:00:42"


def md5(data):
    return hashlib.md5(data).hexdigest()


def make_tap(name):
    for words in (f"tunctl -t {name}", f"ip addr add {L1}/24 dev {name}", f"ip link set {name} up"):
        lab.output(*words.split())


def serve_once(port, handle):
    """A TCP server in L1 for one connection."""
    server = socket.create_server((L1, port))

    def work():
        connection = server.accept()[0]
        with connection:
            handle(connection)
        server.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def receive_all(connection):
    data = bytearray()
    while chunk := connection.recv(65536):
        data += chunk
    return bytes(data)


def send_all(data):
    def handle(connection):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        receive_all(connection)
    return handle


def by_tap(tap):
    make_tap("tap0")
    vm = Vm("--nic", f"tap=tap0,mac={MAC}").boot()
    tap.equal("the card has the address it was given",
              vm.command("cat /sys/class/net/eth0/address"), MAC)
    vm.command(f"ip link set eth0 up; ip addr add {GUEST}/24 dev eth0")
    tap.match("the guest pings L1", r" 0% packet loss", vm.command(f"ping -c 2 -W 10 {L1}"))
    data = os.urandom(SIZE)
    serve_once(7001, send_all(data))
    tap.equal("4 MiB arrive in the guest", vm.command(f"nc {L1} 7001 | md5sum")[:32], md5(data))
    got = []
    thread = serve_once(7002, lambda connection: got.append(receive_all(connection)))
    sent = vm.command(f"head -c {SIZE} /dev/urandom >/tmp/data; nc {L1} 7002 </tmp/data; "
                      "md5sum </tmp/data")
    thread.join(lab.ANSWER_S)
    tap.equal("4 MiB from the guest arrive", md5(got[0]) if got else None, sent[:32])
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)
    tap.match("the interface stays", "tap0", lab.output("ip", "link", "show", "tap0"))


def by_user(tap):
    url, digest = sys.argv[1:3]
    vm = Vm("--nic", "user").boot()
    vm.command("ip link set eth0 up; udhcpc -q -n -t 5 -T 3 -i eth0")
    tap.match("DHCP gives an address", r"inet \d+\.\d+\.\d+\.\d+",
              vm.command("ip -4 addr show dev eth0"))
    tap.equal("a page from outside arrives", vm.command(f"wget -q -O - {url} | md5sum")[:32], digest)
    tap.check("passt runs", lab.processes("passt"))
    tap.equal("power off", vm.power_off(), lab.POWER_OFF)
    tap.check("passt ends with it", lab.eventually(lambda: not lab.processes("passt")))


def refusals(tap):
    status, said = lab.refused(*lab.KERNEL, "--nic", "tap=tap9")
    tap.equal("an interface that is not there is refused", status, lab.FAILED)
    tap.match("by name", r"\Asocle run: .*tap9.*\n\Z", said)
    vm = Vm("--nic", "tap=tap0", append="socle.test=wait")
    vm.expect(lab.READY, lab.BOOT_S)
    status, said = lab.refused(*lab.KERNEL, "--nic", "tap=tap0")
    tap.check("an interface that another VM uses is refused", status == lab.FAILED, (status, said))
    tap.match("by name", r"\Asocle run: .*tap0.*\n\Z", said)


lab.main([by_tap, by_user, refusals])
