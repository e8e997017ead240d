#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What hostd makes of what keepers say (vm/process/keeper.h): the keeper is played here, also one of an older build. TAP.

usage: host_keeper.py BUILD
"""

import os
import re
import socket
import struct
import sys
import threading

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
from client import Client, connect, create, devices, disk, events_of, wait  # noqa: E402
from host import Host, Tap, eventually  # noqa: E402
from pyVmomi import vim  # noqa: E402

MESSAGE = struct.Struct("<IIqQQ512s")
RUNNING, ENDED, CHANGED, STOP, WITH_CONFIG, WITH_COMMIT, CHANGE, NO_SPACE, RETRY = 2, 3, 5, 8, 10, 11, 13, 19, 20
with open(f"{HERE}/../../vm/process/keeper.h", encoding="utf-8") as header:
    VERSION = int(re.search(r"KEEPER_VERSION = (\d+)", header.read())[1])
SLOT = "the device for slot 160 comes at the next start only: slot 1: Device or resource busy"


class Keeper:
    """Of a VM whose host is down: whoever connects hears that it runs."""

    def __init__(self, host, vm, version):
        self.host, self.version, self.changes = host, version, 0
        self.heard, self.answer, self.client = [], (0, ""), None
        self.path = f"{host.root}/run/vm/{vm}.sock"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        folder = os.getcwd()
        os.chdir(host.root)
        self.socket.bind(f"run/vm/{vm}.sock")  # the name of a socket is short
        os.chdir(folder)
        self.socket.listen(4)
        threading.Thread(target=self.serve, daemon=True).start()

    def say(self, kind, value=0, token=0, text=""):
        self.client.send(MESSAGE.pack(kind, value, 0, self.changes, token, text.encode()))

    def serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            self.client = client
            self.say(RUNNING, token=self.version)
            threading.Thread(target=self.listen, args=(client,), daemon=True).start()

    def listen(self, client):
        commit = None
        while True:
            data, fds, _, _ = socket.recv_fds(client, MESSAGE.size, 4)
            if not data:
                return
            kind, _, _, _, token, text = MESSAGE.unpack(data)
            self.heard.append(kind)
            if kind == WITH_COMMIT:
                commit = text.split(b"\0")[0].decode(), os.pread(fds[0], 1 << 20, 0)
            for fd in fds:
                os.close(fd)
            if kind == CHANGE:
                self.carry_out(token, commit)
            if kind == STOP:
                self.say(ENDED, 1)
                self.end()

    def carry_out(self, token, commit):
        code, text = self.answer
        if code == 0:
            path = os.path.join(self.host.root, commit[0])
            with open(f"{path}.tmp", "wb") as file:
                file.write(commit[1])
            os.rename(f"{path}.tmp", path)
            self.changes += 1
        self.say(CHANGED, code, token, text)

    def end(self):
        self.socket.close()
        if os.path.exists(self.path):
            os.unlink(self.path)


def played(host, client, name, version):
    """A VM that runs, as far as hostd hears."""
    vm = create(client, name)._moId
    host.stop()
    keeper = Keeper(host, vm, version)
    host.start()
    client.__init__(connect(host))
    return vim.VirtualMachine(vm, client.si._stub), keeper


def add(vm, unit):
    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[disk(-1, 1024, 1000, unit)])))


def events(client, vm, word):
    return [t for t in events_of(client, "GeneralVmErrorEvent", "GeneralVmInfoEvent") if word in t and vm.name in t]


def changes(tap, host, client):
    vm, keeper = played(host, client, "played", VERSION)
    tap.equal("it runs", vm.runtime.powerState, "poweredOn")
    tap.equal("of this build: nothing is said of another", events(client, vm, "older build"), [])
    keeper.answer = 0, SLOT
    add(vm, 1)
    tap.equal("a disk that came, but not into its slot, is the VM's", len(devices(vm, vim.vm.device.VirtualDisk)), 2)
    tap.check("and an event says what is missing", events(client, vm, SLOT), events_of(client, "GeneralVmErrorEvent"))
    keeper.answer = 0, ""
    add(vm, 2)
    tap.equal("one that came into its slot is no event", len(events(client, vm, "comes at the next start")), 1)
    files = sorted(os.listdir(host.path("played")))
    keeper.answer = 28, "no room for it"
    fault = tap.raises("a change that fails", vim.fault.NoDiskSpace, lambda: add(vm, 3))
    tap.check("says why", fault and "no room for it" in fault.msg, fault)
    tap.equal("and leaves nothing", (len(devices(vm, vim.vm.device.VirtualDisk)), sorted(os.listdir(host.path("played")))), (3, files))

    keeper.say(NO_SPACE, text="datastores/datastore1/played/played.vmdk")
    tap.check("no room: it asks", eventually(lambda: vm.runtime.question))
    tap.raises("and nothing else begins", vim.fault.QuestionPending, lambda: add(vm, 4))
    vm.AnswerVM(vm.runtime.question.id, "0")
    tap.check("the answer reaches its keeper", eventually(lambda: RETRY in keeper.heard))
    keeper.client.send(b"short")
    tap.check("a keeper that hangs up is called again", eventually(lambda: "its keeper hung up" in host.log()))
    tap.equal("for its VM runs", vm.runtime.powerState, "poweredOn")
    wait(vm.PowerOff())
    tap.equal("off", vm.runtime.powerState, "poweredOff")
    wait(vm.Destroy())


def older(tap, host, client):
    vm, keeper = played(host, client, "aged", 1)
    tap.equal("one of an older build runs on", vm.runtime.powerState, "poweredOn")
    tap.equal("and an event says so", len(events(client, vm, "older build")), 1)
    keeper.answer = 22, "this it does not know"
    fault = tap.raises("what it can not do", Exception, lambda: add(vm, 1))
    tap.check("has the reason", fault and "older build" in fault.msg, fault)
    keeper.say(ENDED, 0)
    keeper.end()
    tap.check("it ends as others do", eventually(lambda: vm.runtime.powerState == "poweredOff"))
    wait(vm.Destroy())


def main():
    with Host(os.path.abspath(sys.argv[1])) as host:
        Tap().run([changes, older], host, Client(connect(host)))


main()
