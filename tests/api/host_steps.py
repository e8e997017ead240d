#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is done to VMs' files, cut off at its steps: hostd is killed before the Nth write, rename, link or unlink that
an operation does on datastores, in settings or records. The VM is then as before or as wanted, on and off, and no
file is left that nothing names. TAP.

usage: host_steps.py BUILD [CUTS [SCENARIO...]]      CUTS: at most so many of each operation; 0: at every step
"""

import mmap
import os
import re
import signal
import struct
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from client import Client, create, device, devices, disk, reconnect, vm_spec, wait  # noqa: E402
from host import Host, Tap, eventually  # noqa: E402
from pyVmomi import vim  # noqa: E402

MANY = 1 << 32
MEMORY = "/dev/shm"  # another file system
CUTS = int(sys.argv[2]) if len(sys.argv) > 2 else 6


class Knife:
    """How many steps hostd may still do (knife.c)."""

    def __init__(self, path):
        with open(path, "wb") as file:
            file.write(bytes(8))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 8)
        os.environ["SOCLE_KNIFE"] = path

    @property
    def left(self):
        return struct.unpack("<Q", self.map[:8])[0]

    @left.setter
    def left(self, count):
        self.map[:8] = struct.pack("<Q", count)


def stores(host):
    """The datastores' folders by name."""
    top = f"{host.root}/datastores"
    return {name: os.path.realpath(f"{top}/{name}") for name in os.listdir(top)}


def there(host):
    found = []
    for name, top in stores(host).items():
        for folder, folders, files in os.walk(top):
            found += [f"[{name}] {os.path.relpath(os.path.join(folder, n), top)}" for n in folders + files
                      if n != ".socle-datastore"]
    return sorted(found)


def file_of(host, client, folder, name):
    """[store] path of what a .vmx in a folder names."""
    volume = re.match(r"/vmfs/volumes/([^/]+)/(.*)", name)
    if not volume:
        return f"{folder}/{name}"
    ids = {d.info.url.rstrip("/").split("/")[-1]: d.name for d in client.datacenter.datastore}
    return f"[{ids.get(volume[1], volume[1])}] {volume[2]}"


def real(host, text):
    store, rel = re.match(r"\[(.*?)\] (.*)", text).groups()
    return os.path.join(stores(host)[store], rel)


def named(host, client):
    """What the VMs of the inventory name: their folders, .vmx files, disks, all that these stand on."""
    found = set()
    for vm in client.folder.childEntity:
        vmx = vm.config.files.vmPathName
        folder = vmx.rsplit("/", 1)[0]
        found |= {folder, vmx}
        found |= {f for f in (vmx[:-4] + end for end in (".nvram", ".vmsd")) if os.path.exists(real(host, f))}
        found |= {f"{folder}/{n}" for n in os.listdir(real(host, folder)) if re.search(r"-Snapshot\d+\.(vmx|nvram)$", n)}
        with open(real(host, vmx), encoding="utf-8") as file:
            disks = [file_of(host, client, folder, n) for n in re.findall(r'(?m)^\S+\.fileName = "(.*\.vmdk)"', file.read())]
        while disks:
            one = disks.pop()
            found.add(one)
            with open(real(host, one), "rb") as file:
                text = file.read(1 << 16).decode("latin-1")
            place = one.rsplit("/", 1)[0] if "/" in one else one.split(" ")[0] + " "
            at = f"{place}/" if "/" in one else place
            found |= {at + n for n in re.findall(r'(?m)^RW \d+ \w+ "(.*?)"', text)}
            disks += [at + n for n in re.findall(r'(?m)^parentFileNameHint="(.*?)"', text)]
    return sorted(found)


def records(host):
    folder = f"{host.root}/unfinished"
    return os.listdir(folder) if os.path.isdir(folder) else []


class Steps:
    def __init__(self, tap, host, client, knife):
        self.tap, self.host, self.client, self.knife = tap, host, client, knife

    def vm(self, name):
        return next((v for v in self.client.folder.childEntity if v.name == name), None)

    def back(self):
        self.client.__init__(eventually(lambda: reconnect(self.host), 30))

    def settled(self):
        """Nothing is there that nothing names; also where a keeper has still to say that it is idle."""
        return eventually(lambda: there(self.host) == named(self.host, self.client) and not records(self.host), 10)

    def operation(self, name, do, undo, state):
        """do() begins it and returns its task; undo() makes all as before; state() tells before from after."""
        before = state()
        self.knife.left = MANY
        wait(do())
        total = MANY - self.knife.left
        self.knife.left = 0
        after = state()
        self.tap.check(f"{name}: {total} steps, and it shows", total > 2 and before != after, (total, before, after))
        undo()
        at = range(1, total + 1) if not CUTS or total <= CUTS else sorted({1 + i * (total - 1) // (CUTS - 1) for i in range(CUTS)})
        done = undone = 0
        wrong = []
        for cut in at:
            old = self.host.processes("socle-hostd")
            self.knife.left = cut
            try:
                wait(do())
            except Exception as e:  # the connection ends, in whatever way
                ended = e
            else:
                ended = None
            left, self.knife.left = self.knife.left, 0
            if left == 0:
                eventually(lambda o=old: self.host.processes("socle-hostd") not in (o, []), 20)
                self.back()
            good, now = self.settled(), state()
            if not good:
                wrong.append((cut, "unnamed", sorted(set(there(self.host)) ^ set(named(self.host, self.client))), records(self.host)))
            if now not in (before, after):
                wrong.append((cut, "neither", now, ended))
            done, undone = done + (now == after), undone + (now == before)
            if now != before:
                undo()
        self.tap.equal(f"{name}: cut at {len(at)} of {total} steps ({undone} undone, {done} done)", wrong, [])


def disks_of(steps, name):
    vm = steps.vm(name)
    return vm and [(d.backing.fileName, d.capacityInKB) for d in devices(vm, vim.vm.device.VirtualDisk)]


def elsewhere(key, unit, name):
    change = disk(key, 1024, 1000, unit)
    change.device.backing.fileName = f"[second] {name}"
    return change


def reconfigure(steps, name, *changes, **more):
    return steps.vm(name).ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=list(changes), **more))


def remove_added(steps, name):
    gone = devices(steps.vm(name), vim.vm.device.VirtualDisk)[1:]
    if gone:
        wait(reconfigure(steps, name, *(device("remove", d, "destroy") for d in gone)))


def add(steps, name):
    return lambda: reconfigure(steps, name, disk(-1, 1024, 1000, 1), elsewhere(-2, 2, "other.vmdk"))


def make(_tap, steps):
    spec = vm_spec("made")
    spec.deviceChange.append(elsewhere(-9, 3, "of-made.vmdk"))
    spec.deviceChange[-1].device.controllerKey = -101

    def undo():
        if steps.vm("made"):
            wait(steps.vm("made").Destroy())
    steps.operation("create", lambda: steps.client.folder.CreateVM_Task(spec, steps.client.pool), undo,
                    lambda: disks_of(steps, "made"))


def change_off(_tap, steps):
    state = lambda: disks_of(steps, "off")  # noqa: E731
    steps.operation("disks added", add(steps, "off"), lambda: remove_added(steps, "off"), state)
    wait(add(steps, "off")())
    steps.operation("disks destroyed", lambda: reconfigure(
        steps, "off", *(device("remove", d, "destroy") for d in devices(steps.vm("off"), vim.vm.device.VirtualDisk)[1:])),
        lambda: wait(add(steps, "off")()), state)
    remove_added(steps, "off")
    steps.operation("a setting", lambda: reconfigure(steps, "off", annotation="new"),
                    lambda: wait(reconfigure(steps, "off", annotation="old")), lambda: steps.vm("off").config.annotation or "old")


def change_on(_tap, steps):
    wait(steps.vm("on").PowerOn())
    state = lambda: disks_of(steps, "on")  # noqa: E731
    steps.operation("disks that come", add(steps, "on"), lambda: remove_added(steps, "on"), state)
    wait(add(steps, "on")())
    steps.operation("disks that go", lambda: reconfigure(
        steps, "on", *(device("remove", d, "destroy") for d in devices(steps.vm("on"), vim.vm.device.VirtualDisk)[1:])),
        lambda: wait(add(steps, "on")()), state)
    steps.tap.equal("it runs on", steps.vm("on").runtime.powerState, "poweredOn")
    remove_added(steps, "on")
    wait(steps.vm("on").PowerOff())


def silent(tap, steps):
    """A keeper that says nothing when a new hostd asks may be at anything: what it is at counts when it speaks."""
    host = steps.host
    wait(steps.vm("on").PowerOn())
    for name, sent in (("a change that the keeper has got", True), ("one that it has not", False)):
        keeper, before = host.processes("socle-keeper")[0], disks_of(steps, "on")
        os.kill(keeper, signal.SIGSTOP)
        if sent:
            task = add(steps, "on")()
            tap.check(f"{name}: both disks are there", eventually(lambda: os.path.exists(real(host, "[second] other-flat.vmdk"))))
            tap.check("and wait for it", eventually(lambda: steps.vm("on").config and task.info.state == "running"))
            time.sleep(0.3)  # the last of its messages
            os.kill(host.processes("socle-hostd")[0], signal.SIGKILL)
        else:
            steps.knife.left = 8  # the second disk is being made
            try:
                wait(add(steps, "on")())
            except Exception:  # noqa: BLE001 - the connection ends
                pass
        steps.back()
        files = there(host)
        tap.check(f"{name}: records wait", records(host), records(host))
        tap.raises("no snapshot meanwhile", vim.fault.InvalidState,
                   lambda: wait(steps.vm("on").CreateSnapshot_Task("s", "", False, False)))
        tap.equal("nothing is taken away", there(host), files)
        os.kill(keeper, signal.SIGCONT)
        tap.check(f"{name}: settled when it speaks", steps.settled(), (there(host), named(host, steps.client), records(host)))
        tap.equal("as the keeper did it", len(disks_of(steps, "on")), 3 if sent else 1)
        remove_added(steps, "on")
        tap.equal("and back", disks_of(steps, "on"), before)
    wait(steps.vm("on").PowerOff())


def move(_tap, steps):
    def to(name):
        store = next(d for d in steps.client.datacenter.datastore if d.name == name)
        return steps.vm("off").RelocateVM_Task(vim.vm.RelocateSpec(datastore=store))
    place = lambda: steps.vm("off").config.files.vmPathName.split("]")[0]  # noqa: E731
    for name, store in (("moved", "second"), ("copied elsewhere", "outside")):
        steps.operation(name, lambda s=store: to(s), lambda: wait(to("datastore1")), place)


def copies(_tap, steps):
    def undo():
        if steps.vm("twin"):
            wait(steps.vm("twin").Destroy())

    def clone(**more):
        return steps.vm("off").CloneVM_Task(steps.client.folder, "twin", vim.vm.CloneSpec(
            location=vim.vm.RelocateSpec(**more), powerOn=False, template=False,
            snapshot=steps.vm("off").snapshot and steps.vm("off").snapshot.currentSnapshot))
    state = lambda: disks_of(steps, "twin")  # noqa: E731
    steps.operation("cloned", clone, undo, state)
    wait(steps.vm("off").CreateSnapshot_Task("s", "", False, False))
    steps.operation("a linked clone", lambda: clone(diskMoveType="createNewChildDiskBacking"), undo, state)
    wait(clone(diskMoveType="createNewChildDiskBacking"))

    def again():
        if steps.vm("twin"):
            return
        wait(clone(diskMoveType="createNewChildDiskBacking"))
    first = lambda: devices(steps.vm("twin"), vim.vm.device.VirtualDisk)[0]  # noqa: E731
    steps.operation("its disk destroyed", lambda: reconfigure(steps, "twin", device("remove", first(), "destroy")),
                    lambda: (undo(), again()), state)
    steps.operation("destroyed", lambda: steps.vm("twin").Destroy_Task(), again, state)
    undo()
    wait(steps.vm("off").RemoveAllSnapshots_Task())


SCENARIOS = [make, change_off, change_on, silent, move, copies]


def main():
    build, tap = os.path.abspath(sys.argv[1]), Tap()
    with tempfile.TemporaryDirectory(prefix="socle-knife-") as folder, \
            tempfile.TemporaryDirectory(prefix="socle-outside-", dir=MEMORY if os.path.isdir(MEMORY) else None) as outside:
        knife = Knife(f"{folder}/knife")
        os.environ["LD_PRELOAD"] = f"{build}/tests/api/libknife.so"
        os.mkdir(f"{outside}/outside")
        with Host(build) as host:
            client = Client(reconnect(host))
            system = client.host.configManager.datastoreSystem
            for name, place in (("second", f"{host.folder}/datastores2"), ("outside", f"{outside}/outside")):
                os.makedirs(place, exist_ok=True)
                system.CreateLocalDatastore(name, place)
            steps = Steps(tap, host, client, knife)
            for name in ("off", "on"):
                create(client, name)
            tap.equal("to begin with, all is named", there(host), named(host, client))
            tap.run([s for s in SCENARIOS if not sys.argv[3:] or s.__name__ in sys.argv[3:]], steps)


main()
