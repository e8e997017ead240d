#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Bad days: processes of a VM that are killed; datastores that are full, read-only or away; files of
others in a VM's folder. Each with the fault and the event that say so. TAP.

Datastores are small file systems of our own where we may mount some (root); without, those steps
are left out and said so.

usage: host_faults.py BUILD [SCENARIO...]
"""

import json
import os
import shutil
import signal
import socket
import struct
import sys
import threading
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from client import Client, connect, create, disk, events_of, reconnect, vm_spec, vmm_of  # noqa: E402
from host import Host, Tap, context, eventually  # noqa: E402
from pyVim.task import WaitForTask  # noqa: E402
from pyVmomi import vim, vmodl  # noqa: E402
from small import Small, may_mount  # noqa: E402

Filter = vim.event.EventFilterSpec


def spec_on(store, name):
    spec = vm_spec(name)
    spec.files.vmPathName = f"[{store}]"
    return spec


def make(client, spec):
    task = client.folder.CreateVM_Task(spec, client.pool)
    WaitForTask(task)
    return task.info.result


def fault_of(action):
    try:
        WaitForTask(action())
    except vim.fault.VimFault as fault:
        return fault
    except Exception as fault:  # noqa: BLE001 - runtime faults too
        return fault
    return None


# scenarios

def killed(tap, host, client):
    """Whichever process dies, the VM is off, and why is said."""
    vm = create(client, "mortal")
    for victim in ("vmm", "vmx", "keeper"):
        WaitForTask(vm.PowerOn())
        (keeper,) = host.processes("socle-keeper")
        os.kill(keeper if victim == "keeper" else vmm_of(keeper, victim), signal.SIGKILL)
        tap.check(f"a killed {victim} switches the VM off", eventually(lambda: vm.runtime.powerState == "poweredOff"))
        off = events_of(client, "vim.event.VmPoweredOffEvent")[-1]
        error = (events_of(client, "vim.event.GeneralVmErrorEvent") or [""])[-1]
        want = "kept it was killed" if victim == "keeper" else f"{victim} was killed by signal 9"
        tap.check("an event says why", want in off, off)
        tap.check("another that it is an error", want in error and "mortal" in error, error)
        tap.check("nothing of it is left running", eventually(lambda: not host.processes("socle-vmm")
                                                              and not host.processes("socle-vmx")))
    tap.equal("errors can be asked for", len(client.content.eventManager.QueryEvents(Filter(
        entity=Filter.ByEntity(entity=vm, recursion="self"), category=["error"]))), 3)
    WaitForTask(vm.PowerOn())
    WaitForTask(vm.PowerOff())
    tap.check("what was asked for is no error", len(events_of(client, "vim.event.GeneralVmErrorEvent")) == 3)
    WaitForTask(vm.Destroy())


def files(tap, host, client):
    """Files that are not there, may not be read, are in use."""
    vm, flat = create(client, "filed"), host.path("filed/filed-flat.vmdk")
    os.rename(flat, flat + "x")
    fault = fault_of(vm.PowerOn)
    tap.check("a disk that is gone", isinstance(fault, vim.fault.FileNotFound), fault)
    tap.check("is named", fault and "[datastore1] filed/" in str(fault.file), fault and fault.file)
    tap.check("in the event too", "filed" in (events_of(client, "vim.event.VmFailedToPowerOnEvent") or [""])[-1])
    os.rename(flat + "x", flat)
    os.rename(host.path("filed/filed.vmdk"), host.path("filed/real.vmdk"))
    os.symlink("/etc/passwd", host.path("filed/filed.vmdk"))
    fault = fault_of(vm.PowerOn)
    tap.check("a link to elsewhere is no disk", fault and "passwd" not in str(fault) and "root:" not in str(fault), fault)
    os.unlink(host.path("filed/filed.vmdk"))
    os.rename(host.path("filed/real.vmdk"), host.path("filed/filed.vmdk"))
    WaitForTask(vm.PowerOn())
    other = make(client, vim.vm.ConfigSpec(
        name="thief", memoryMB=32, numCPUs=1, files=vim.vm.FileInfo(vmPathName="[datastore1]"),
        extraConfig=[vim.option.OptionValue(key="socle.engine", value="bt")],
        deviceChange=[vm_spec("x").deviceChange[0], _existing("[datastore1] filed/filed.vmdk")]))
    fault = fault_of(other.PowerOn)
    tap.check("a disk in use", isinstance(fault, vim.fault.FileLocked), fault)
    tap.equal("the one that uses it goes on", vm.runtime.powerState, "poweredOn")
    WaitForTask(vm.PowerOff())
    other.Unregister()
    shutil.rmtree(host.path("thief"))
    with open(host.path("filed/notes of mine.txt"), "w", encoding="ascii") as file:
        file.write("mine")
    os.mkdir(host.path("filed/a folder"))
    WaitForTask(vm.Destroy())
    left = sorted(os.listdir(host.path("filed")))
    tap.equal("destroyed, what is somebody else's stays", left, ["a folder", "notes of mine.txt"])
    shutil.rmtree(host.path("filed"))


def _existing(path):
    spec = disk(-1, 4096)
    spec.fileOperation, spec.device.backing.fileName = None, path
    return spec


def put(host, path, store, data):
    import base64
    login = base64.b64encode(f"root:{host.password}".encode()).decode()
    request = urllib.request.Request(f"https://127.0.0.1:{host.port}/folder/{path}?dcPath=ha-datacenter&dsName={store}",
                                     data=data, method="PUT", headers={"Authorization": f"Basic {login}"})
    try:
        with urllib.request.urlopen(request, context=context(), timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def full(tap, host, client, small):
    vm = make(client, spec_on("small", "tight"))
    vmx = f"{small.folder}/tight/tight.vmx"
    small.fill()
    with open(vmx, encoding="utf-8") as file:
        before = file.read()
    fault = fault_of(lambda: client.folder.CreateVM_Task(spec_on("small", "none"), client.pool))
    tap.check("no VM fits any more", isinstance(fault, vim.fault.NoDiskSpace), fault)
    tap.check("and nothing of it is left", not os.path.exists(f"{small.folder}/none"))
    fault = fault_of(lambda: vm.Reconfigure(vim.vm.ConfigSpec(annotation="x" * 8000)))
    tap.check("no change either", isinstance(fault, vim.fault.NoDiskSpace), fault)
    with open(vmx, encoding="utf-8") as file:
        tap.equal("the VM is as it was", (file.read(), vm.config.annotation or None), (before, None))
    disks = client.content.virtualDiskManager
    thick = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(capacityKb=8192, diskType="eagerZeroedThick",
                                                             adapterType="lsiLogic")
    fault = fault_of(lambda: disks.CreateVirtualDisk_Task("[small] big.vmdk", client.datacenter, thick))
    tap.check("no disk", isinstance(fault, vim.fault.NoDiskSpace), fault)
    tap.check("nor a part of one", not [n for n in os.listdir(small.folder) if n.startswith("big")], os.listdir(small.folder))
    small.fill()
    fault = fault_of(lambda: vm.CreateSnapshot_Task("s", "", False, False))
    tap.check("no snapshot", isinstance(fault, vim.fault.NoDiskSpace), fault)
    tap.equal("none is listed", vm.snapshot, None)
    small.fill()
    tap.equal("no upload", put(host, "up.bin", "small", b"y" * (1 << 20)), 507)
    tap.check("nor a part of one", not os.path.exists(f"{small.folder}/up.bin") or os.path.getsize(f"{small.folder}/up.bin") == 0)
    small.store.RefreshDatastore()
    tap.check("an event says that it is full", eventually(lambda: any(
        "small is full" in t for t in events_of(client, "socle.problem.datastore.full"))))
    small.empty()
    WaitForTask(vm.Reconfigure(vim.vm.ConfigSpec(annotation="room")))
    tap.equal("with room all is well", vm.config.annotation, "room")
    return vm


def read_only(tap, host, client, small, vm):
    small.remount("ro")
    fault = fault_of(lambda: vm.Reconfigure(vim.vm.ConfigSpec(annotation="late")))
    tap.check("read-only: no change", isinstance(fault, vim.fault.CannotAccessFile), fault)
    tap.equal("the VM is as it was", vm.config.annotation, "room")
    fault = fault_of(lambda: client.folder.CreateVM_Task(spec_on("small", "none"), client.pool))
    tap.check("no VM", isinstance(fault, vim.fault.CannotAccessFile), fault)
    fault = fault_of(vm.PowerOn)
    tap.check("nothing is switched on", fault is not None and vm.runtime.powerState == "poweredOff", fault)
    small.store.RefreshDatastore()
    tap.check("an event says so", eventually(lambda: events_of(client, "socle.problem.datastore.readonly")))
    tap.equal("and the mount", small.store.host[0].mountInfo.accessMode, "readOnly")
    small.remount("rw")
    small.store.RefreshDatastore()
    tap.check("written again", eventually(lambda: events_of(client, "socle.clear.datastore.readonly")))
    WaitForTask(vm.Reconfigure(vim.vm.ConfigSpec(annotation="again")))


def vanished(tap, host, client, small, vm):
    kept = f"{host.folder}/kept"
    shutil.copytree(small.folder, kept)
    small.umount()
    small.store.RefreshDatastore()
    tap.check("an event says that it is away", eventually(lambda: events_of(
        client, "esx.problem.storage.connectivity.lost")))
    tap.equal("it is not accessible", (small.store.summary.accessible, vm.runtime.connectionState), (False, "inaccessible"))
    fault = fault_of(lambda: client.folder.CreateVM_Task(spec_on("small", "none"), client.pool))
    tap.check("no VM is made below it", isinstance(fault, (vim.fault.FileNotFound, vim.fault.CannotAccessFile)), fault)
    tap.equal("nothing lands where it was", [n for n in os.listdir(small.folder)], [])
    fault = fault_of(vm.PowerOn)
    tap.check("nothing is switched on", isinstance(fault, (vim.fault.FileNotFound, vim.fault.CannotAccessFile)), fault)
    tap.equal("no upload", put(host, "up.bin", "small", b"y") in (404, 403, 500, 503), True)
    host.stop()
    host.start()
    client.__init__(connect(host))
    vm, store = client.same(vm), client.same(small.store)
    tap.equal("over a restart too, and its VM is still registered", vm.name, "tight")
    tap.equal("the others are there", {d.name: d.summary.accessible for d in client.datacenter.datastore},
              {"datastore1": True, "small": False})
    small.mount()
    shutil.copytree(kept, small.folder, dirs_exist_ok=True)
    store.RefreshDatastore()
    tap.check("it is back", eventually(lambda: store.summary.accessible, 30))
    tap.check("an event says so", events_of(client, "esx.clear.storage.connectivity.restored"))
    tap.equal("with its VM", (vm.runtime.connectionState, vm.config.annotation), ("connected", "again"))
    WaitForTask(vm.PowerOn())
    WaitForTask(vm.PowerOff())
    WaitForTask(vm.Destroy())


def datastores(tap, host, client):
    if not may_mount():
        print("# full, read-only and vanished datastores are left out: file systems can not be mounted here")
        return
    small = Small(host, client, "small")
    try:
        vm = full(tap, host, client, small)
        read_only(tap, host, client, small, vm)
        vanished(tap, host, client, small, vm)
    finally:
        small.umount()


class OldKeeper(threading.Thread):
    """A keeper of another build: `version` 0 says none and hangs up at what it does not know, a newer one has
    longer messages. Its VM is nothing but its socket."""
    RUNNING, ENDED, CHANGED, STOP, CHANGE, CONSOLE = 2, 3, 5, 8, 13, 17
    LAYOUT = struct.Struct("=IIqQQ512s")

    def __init__(self, path, version, more=b""):
        super().__init__(daemon=True)
        self.path, self.version, self.more, self.kinds = path, version, more, []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(8)
        self.start()

    def send(self, link, kind, value=0, token=0, text=""):
        link.send(self.LAYOUT.pack(kind, value, 1, 0, token, text.encode()) + self.more)

    def run(self):
        while True:
            link, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def serve(self, link):
        self.send(link, self.RUNNING, token=self.version)
        while message := link.recv(4096):
            kind, _, _, _, token, _ = self.LAYOUT.unpack(message[:self.LAYOUT.size])
            self.kinds.append(kind)
            if kind > self.CONSOLE and not self.version:
                break
            if kind == self.CHANGE:
                self.send(link, self.CHANGED, 22, token, "it can not")
            if kind == self.STOP:
                os.unlink(self.path)
                self.send(link, self.ENDED, 2)
                break
        link.close()


def builds(tap, host, client):
    """Keepers of an older and of a newer build: their VMs run, and what they can not do is said."""
    client.__init__(connect(host))  # the host has been down meanwhile
    vms = [make(client, vm_spec(name)) for name in ("older", "newer")]
    host.stop()
    keepers = [OldKeeper(os.path.relpath(f"{host.root}/run/vm/{vm._moId}.sock"), version, more)
               for vm, version, more in zip(vms, (0, 99), (b"", bytes(64)))]
    host.start()
    client.__init__(connect(host))
    older, newer = [client.same(vm) for vm in vms]
    tap.equal("both run", [eventually(lambda vm=vm: vm.runtime.powerState == "poweredOn") for vm in (older, newer)],
              [True, True])
    said = events_of(client, "vim.event.GeneralVmInfoEvent")
    tap.check("an event says which is of an older build, and what to do",
              any("older on" in text and "power it off and on" in text for text in said)
              and not any("newer on" in text for text in said), said)
    for vm, wants in ((older, True), (newer, False)):
        task = vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="x"))
        fault = fault_of(lambda task=task: WaitForTask(task))
        tap.check("what it can not do fails, and why is said", fault and ("older build" in str(task.info.error)) == wants,
                  task.info.error)
    snapshot = older.CreateSnapshot_Task("s", "", False, False)
    fault_of(lambda: WaitForTask(snapshot))
    tap.check("a snapshot fails as well", snapshot.info.state == "error" and "older build" in str(snapshot.info.error),
              snapshot.info.error)
    tap.equal("it still runs", older.runtime.powerState, "poweredOn")
    tap.check("nothing was asked that it does not know", max(keepers[0].kinds) <= OldKeeper.CONSOLE, keepers[0].kinds)
    for vm in (older, newer):
        WaitForTask(vm.PowerOff())
        WaitForTask(vm.Destroy())


def unmade(tap, host, client):
    """VMs that were on their way in or out when hostd was killed: there as a whole, or not at all."""
    source = make(client, vm_spec("source"))
    with open(host.path("source", "source.vmdk").replace(".vmdk", "-flat.vmdk"), "r+b") as file:
        file.write(os.urandom(4 << 20))
    for n in range(6):
        pid = host.processes("socle-hostd")[0]
        timer = threading.Timer(0.004 * n, os.kill, (pid, signal.SIGKILL))
        timer.start()
        try:
            if n % 2:
                source.CloneVM_Task(client.folder, f"copy{n}", vim.vm.CloneSpec(location=vim.vm.RelocateSpec()))
            else:
                client.folder.CreateVM_Task(vm_spec(f"copy{n}"), client.pool)
        except Exception:  # noqa: BLE001 - it was killed before it could answer
            pass
        timer.join()
        client.__init__(eventually(lambda: host.processes("socle-hostd") not in ([], [pid]) and reconnect(host)))
        source = client.same(source)
        folders = sorted(n for n in os.listdir(host.path()) if not n.startswith("."))
        tap.equal(f"killed after {4 * n} ms: folders and VMs are the same", folders,
                  sorted(vm.config.files.vmPathName.split()[1].split("/")[0] for vm in client.folder.childEntity))
        tap.equal("and no mark is left", [n for n in folders if os.path.exists(host.path(n, ".socle-coming"))], [])
    out = make(client, vm_spec("out"))
    host.stop()
    for name, inode in (("half", None), ("copied", 1)):
        os.mkdir(host.path(name))
        with open(host.path(name, "disk.vmdk"), "wb") as file:
            file.write(b"x")
        with open(host.path(name, ".socle-coming"), "w", encoding="ascii") as file:
            file.write(f"inode {inode or os.stat(host.path(name)).st_ino}\n")
    with open(f"{host.root}/config/inventory.json", "r+", encoding="utf-8") as file:
        known = json.load(file)
        next(vm for vm in known["vms"] if vm["id"] == out._moId)["removing"] = True
        file.seek(0)
        json.dump(known, file)
        file.truncate()
    os.unlink(host.path("out", "out.vmdk"))
    host.start()
    client.__init__(connect(host))
    tap.check("a folder of a VM that was being made is gone", not os.path.exists(host.path("half")))
    tap.check("a copy of such a one is somebody's", os.path.exists(host.path("copied", "disk.vmdk")))
    tap.check("a VM that was being destroyed is", "out" not in [vm.name for vm in client.folder.childEntity])
    tap.check("with its folder", not os.path.exists(host.path("out")),
              os.path.exists(host.path("out")) and os.listdir(host.path("out")))
    shutil.rmtree(host.path("copied"))
    for vm in client.folder.childEntity:
        WaitForTask(vm.Destroy())


def unsettled(tap, host, client):
    """What was begun on a VM's snapshots and can not be ended: nothing is begun over it."""
    vm = make(client, vm_spec("unsettled"))
    WaitForTask(vm.CreateSnapshot_Task("first", "", False, False))
    plan = host.path("unsettled", "unsettled.vmsd.plan")
    with open(plan, "w", encoding="ascii") as file:
        file.write("no plan at all\n")
    for what, begin in (("another snapshot", lambda: vm.CreateSnapshot_Task("second", "", False, False)),
                        ("its removal", vm.RemoveAllSnapshots_Task),
                        ("going back", vm.RevertToCurrentSnapshot_Task)):
        fault = fault_of(begin)
        tap.check(f"a plan that can not be read stops {what}", fault and "vmsd.plan" in fault.msg, fault)
    with open(plan, encoding="ascii") as file:
        tap.equal("and stays", file.read(), "no plan at all\n")
    tap.equal("with the snapshot", [s.name for s in vm.snapshot.rootSnapshotList], ["first"])
    tap.raises("which keeps its name", vim.fault.InvalidState,
               lambda: vm.snapshot.currentSnapshot.RenameSnapshot("other", ""))
    os.unlink(plan)
    WaitForTask(vm.CreateSnapshot_Task("second", "", False, False))
    tap.equal("without it all goes on", vm.snapshot.rootSnapshotList[0].childSnapshotList[0].name, "second")
    WaitForTask(vm.Destroy())


def texts(tap, host, client):
    """What a snapshot's list has no room for is said of the text, before anything is done."""
    vm = make(client, vm_spec("texts"))
    most = "a\n" * (16 << 10)
    WaitForTask(vm.CreateSnapshot_Task("n" * 80, most, False, False))
    snapshot = vm.snapshot.currentSnapshot
    tap.equal("the longest", vm.snapshot.rootSnapshotList[0].description, most)
    for what, begin in (("CreateSnapshot", lambda n, d: WaitForTask(vm.CreateSnapshot_Task(n, d, False, False))),
                        ("RenameSnapshot", snapshot.RenameSnapshot)):
        fault = tap.raises(f"{what}: one more", vmodl.fault.InvalidArgument, lambda b=begin: b("x", most + "a"))
        tap.equal("it says of what", fault and fault.invalidProperty, "description")
        for name in ("n" * 81, ""):
            fault = tap.raises(f"{what}: a name of {len(name)}", vim.fault.InvalidName, lambda b=begin, n=name: b(n, ""))
            tap.equal("it says which", fault and fault.name, name)
    fault = None
    for _ in range(40):
        fault = fault or fault_of(lambda: vm.CreateSnapshot_Task("x", most, False, False))
    tap.check("a list that is full says so", fault and "snapshots is full" in fault.msg, fault)
    WaitForTask(vm.Destroy())
    tap.check("nothing stays", not os.path.exists(host.path("texts", "")), host.path("texts", ""))


def branches(tap, host, client):
    """A VM of more snapshots' disks than a plan has of others, each a branch of its own, goes as a whole."""
    vm = make(client, vm_spec("branches"))
    WaitForTask(vm.CreateSnapshot_Task("root", "", False, False))
    root = vm.snapshot.currentSnapshot
    for n in range(70):
        WaitForTask(vm.CreateSnapshot_Task(f"s{n}", "", False, False))
        WaitForTask(root.RevertToSnapshot_Task())
    folder = host.path("branches", "")
    tap.check("many disks", len([n for n in os.listdir(folder) if n.endswith(".vmdk")]) > 70, os.listdir(folder))
    WaitForTask(vm.Destroy())
    tap.equal("nothing stays", os.listdir(folder) if os.path.exists(folder) else [], [])


def logs(tap, host, client):
    """A log that has become large makes room, and its writers go on."""
    for _ in range(6):
        with open(f"{host.root}/log/front.log", "ab") as file:
            file.write(b"x" * (5 << 20))
        os.kill(host.processes("socle-hostd")[0], signal.SIGKILL)
        eventually(lambda: os.path.getsize(f"{host.root}/log/front.log") < 1 << 20, 20)
    names = sorted(n for n in os.listdir(f"{host.root}/log") if n.startswith("front.log"))
    tap.equal("four old ones are kept", names, ["front.log"] + [f"front.log.{n}" for n in range(1, 5)])
    tap.check("and the log is small again", os.path.getsize(f"{host.root}/log/front.log") < 1 << 20)
    client.__init__(eventually(lambda: reconnect(host)))


def down(tap, host, client):
    """`socle down --vms off` ends every VM, also one whose socket nobody finds any more."""
    vms = [make(client, vm_spec(f"down{n}")) for n in range(2)]
    for vm in vms:
        WaitForTask(vm.PowerOn())
    host.stop()
    tap.equal("both go on without the host", len(host.processes("socle-keeper")), 2)
    os.unlink(f"{host.root}/run/vm/{vms[0]._moId}.sock")
    done = host.socle("down", "--root", host.root, "--vms", "off")
    tap.equal("down", done.returncode, 0)
    tap.check("says whom it had to kill", "killed" in done.stderr, done.stderr)
    tap.equal("and nobody is left", [host.processes(f"socle-{n}") for n in ("keeper", "vmm", "vmx")], [[], [], []])


def main():
    with Host(sys.argv[1]) as host:
        client = Client(connect(host))
        Tap().run([globals()[n] for n in sys.argv[2:]] or [killed, files, datastores, builds, unmade, unsettled, texts, branches, logs, down], host, client)


if __name__ == "__main__":
    main()
