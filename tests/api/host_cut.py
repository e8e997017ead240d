#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Transfers that kill -9 of hostd cuts off: uploads, packages in and out, relocations, copies of disks and
files, clones; and records that earlier ones have left. hostd is back, the task has ended and says why, and nothing half-made is left. TAP.

usage: host_cut.py BUILD [SCENARIO...]
"""

import hashlib
import os
import random
import shutil
import signal
import ssl
import sys
import tempfile
import time
import urllib.parse

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from client import Client, create, reconnect, wait  # noqa: E402
from host import Host, Tap, context, eventually, listing, read_at, write_at  # noqa: E402
from host_transfer import Folder  # noqa: E402
from pyVmomi import vim  # noqa: E402
from slow_disk import slow_disk  # noqa: E402

MIB = 1 << 20
BACK_S = 4.0  # 2 s on a machine that has nothing else to do: host_crash.py holds it to that


def everything(host, *more):
    """All files and folders of the datastores."""
    found = []
    for store in (host.path(), *more):
        for folder, folders, files in os.walk(store):
            found += [os.path.relpath(os.path.join(folder, n), store) for n in folders + files if n != ".socle-datastore"]
    return sorted(found)


def records(host):
    folder = f"{host.root}/unfinished"
    return os.listdir(folder) if os.path.exists(folder) else []


def killed(tap, host, client, what):
    """hostd is killed and back; the client is connected anew."""
    os.kill(host.processes("socle-hostd")[0], signal.SIGKILL)
    began = time.monotonic()
    instance = eventually(lambda: reconnect(host), 30)
    tap.check(f"{what}: hostd is back", time.monotonic() - began < BACK_S, f"{time.monotonic() - began:.2f} s")
    client.__init__(instance)
    eventually(lambda: not records(host), 10)
    tap.equal(f"{what}: no record is left", records(host), [])


def cut(tap, host, client, what, begin, seen, *more):
    """Killed while `seen`: the task has failed, and all is as it was."""
    before = everything(host, *more)
    task = begin()
    tap.check(f"{what} is under way", eventually(seen, 30))
    tap.equal(f"{what}: it was not too late", task.info.state, "running")
    killed(tap, host, client, what)
    info = client.same(task).info
    tap.check(f"{what}: the task has ended and says why", info.state == "error" and info.error and info.error.msg, info)
    tap.equal(f"{what}: nothing half-made is left", everything(host, *more), before)


def started(host, path, headers):
    """An upload by hand, whose body is still to come."""
    connection = Folder(host).connection()
    connection.putrequest("PUT", path)
    for key, value in headers.items():
        connection.putheader(key, value)
    connection.endheaders()
    return connection


def uploads(tap, host, client):
    folder, data = Folder(host), random.Random(7).randbytes(3 * MIB)
    before = everything(host)
    sending = started(host, folder.url("new/deeper/file"), {**folder.headers, "Content-Length": str(len(data))})
    sending.send(data[:2 * MIB])
    tap.check("an upload is under way", eventually(lambda: any("upload-" in n for n in everything(host))))
    killed(tap, host, client, "an upload")
    tap.equal("nothing is left of it, nor of its folders", everything(host), before)
    tap.equal("it can be sent again", folder.ask("PUT", "new/deeper/file", data)[0], 201)

    def part(first, end, total=len(data)):
        return folder.ask("PUT", "large", data[first:end], Content_Range=f"bytes {first}-{end - 1}/{total}")

    tap.equal("a part is acknowledged", part(0, MIB)[0], 202)
    sending = started(host, folder.url("large"), {**folder.headers, "Content-Length": str(2 * MIB),
                                                  "Content-Range": f"bytes {MIB}-{3 * MIB - 1}/{3 * MIB}"})
    sending.send(data[MIB:MIB + 700000])
    eventually(lambda: os.path.getsize(host.path(".large.partial")) > MIB)
    killed(tap, host, client, "a part of an upload")
    have = folder.ask("PUT", "large", b"", Content_Range=f"bytes */{len(data)}")[1].get("Range")
    at = int(have.split("-")[1]) + 1
    tap.check("what was acknowledged is there", at >= MIB, have)
    tap.equal("and continues", part(at, len(data))[0], 201)
    with open(host.path("large"), "rb") as file:
        tap.check("byte for byte", file.read() == data)
    tap.equal("with nothing beside it", [n for n in everything(host) if n.startswith(".")], [])
    os.unlink(host.path("large"))
    shutil.rmtree(host.path("new"))


def import_spec(client, name):
    from client import vm_spec
    return vim.vm.VmImportSpec(configSpec=vm_spec(name))


def packages(tap, host, client):
    before = everything(host)
    lease = client.pool.ImportVApp(import_spec(client, "coming"), client.folder)
    eventually(lambda: lease.state == "ready")
    url = urllib.parse.urlsplit(lease.info.deviceUrl[0].url.replace("*", "127.0.0.1"))
    import http.client
    sending = http.client.HTTPSConnection(url.hostname, url.port, context=context(), timeout=30)
    sending.putrequest("POST", url.path)
    sending.putheader("Content-Length", str(4 * MIB))
    sending.endheaders()
    sending.send(random.Random(8).randbytes(MIB))
    task = next(t for t in client.pool.recentTask if t.info.state == "running")
    killed(tap, host, client, "an import")
    tap.equal("an import: its task", client.same(task).info.state, "error")
    tap.equal("an import: nothing is left", (everything(host), [v.name for v in client.folder.childEntity]), (before, []))
    tap.raises("nor its lease", Exception, lambda: client.same(lease).state)
    tap.equal("its address leads nowhere", started(host, url.path, {"Content-Length": "0"}).getresponse().status, 404)

    vm = create(client, "going")
    write_at(host.path("going/going-flat.vmdk"), 0, random.Random(9).randbytes(4 * MIB))
    before = everything(host)
    lease = vm.ExportVm()
    url = urllib.parse.urlsplit(lease.info.deviceUrl[0].url.replace("*", "127.0.0.1"))
    fetching = http.client.HTTPSConnection(url.hostname, url.port, context=context(), timeout=30)
    fetching.request("GET", url.path)
    answer = fetching.getresponse()
    answer.read(1000)
    task = next(t for t in vm.recentTask if t.info.state == "running")
    killed(tap, host, client, "an export")
    try:
        whole = answer.read()
        tap.check("who fetches sees that it is not whole", False, len(whole))
    except (http.client.HTTPException, OSError, ssl.SSLError):
        tap.check("who fetches sees that it is not whole", True)
    vm = client.same(vm)
    tap.equal("an export: its task, and the VM", (client.same(task).info.state, vm.name, everything(host)), ("error", "going", before))
    lease = vm.ExportVm()
    eventually(lambda: lease.state == "ready")
    tap.equal("it can be exported again", lease.state, "ready")
    lease.HttpNfcLeaseAbort()
    eventually(lambda: not [t for t in vm.recentTask if t.info.state == "running"])
    wait(vm.Destroy())


def copies(tap, host, client):
    disks, files = client.content.virtualDiskManager, client.content.fileManager
    os.mkdir(host.path("c"))
    slow_disk(host.path("c/big.vmdk"))
    for kind in ("thin", "sparseMonolithic"):
        spec = vim.VirtualDiskManager.VirtualDiskSpec(diskType=kind, adapterType="lsiLogic")
        cut(tap, host, client, f"a copy of a disk ({kind})",
            lambda spec=spec: client.same(disks).CopyVirtualDisk_Task("[datastore1] c/big.vmdk", None, "[datastore1] c/copy.vmdk", None, spec),
            lambda: any(n.endswith(".part") for n in everything(host)))
    thick = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(diskType="eagerZeroedThick", adapterType="lsiLogic", capacityKb=2 << 20)
    cut(tap, host, client, "an eager disk",
        lambda: client.same(disks).CreateVirtualDisk_Task("[datastore1] c/eager.vmdk", None, thick),
        lambda: any(n.endswith(".part") for n in everything(host)))
    for name in ("c/tree", "c/tree/sub"):
        os.mkdir(host.path(name))
    for name in ("c/tree/one", "c/tree/sub/two"):
        with open(host.path(name), "wb") as file:
            for _ in range(300):
                file.write(bytes(range(256)) * 4096)
    for name in ("c/tree/one", "c/tree"):
        cut(tap, host, client, f"a copy of {name}",
            lambda name=name: client.same(files).CopyDatastoreFile_Task(f"[datastore1] {name}", None, "[datastore1] c/other", None, False),
            lambda: any(".copy-" in n for n in everything(host)))
    shutil.rmtree(host.path("c"))


def vms(tap, host, client):
    vm = create(client, "slow")
    for name in ("slow.vmdk", "slow-flat.vmdk"):
        os.unlink(host.path("slow", name))
    slow_disk(host.path("slow/slow.vmdk"))
    spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec(), powerOn=False, template=False)
    cut(tap, host, client, "a clone", lambda: client.same(vm).CloneVM_Task(client.folder, "twin", spec),
        lambda: any(n.startswith("twin/") and n.endswith(".part") for n in everything(host)))
    tap.equal("no such VM is listed", [v.name for v in client.folder.childEntity], ["slow"])
    tap.equal("and the other can be used", client.same(vm).config.hardware.device[-1] is not None, True)
    wait(client.same(vm).Destroy())


def moves(tap, host, client):
    """Between two file systems."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as far:
        if os.stat(far).st_dev == os.stat(host.path()).st_dev:
            print("# relocation: there is but one file system here")
            return
        store = client.host.configManager.datastoreSystem.CreateLocalDatastore("far", far)
        vm = create(client, "nomad")
        with open(host.path("nomad/nomad-flat.vmdk"), "r+b") as file:
            file.truncate(300 * MIB)
            for at in range(300):
                file.seek(at * MIB)
                file.write(bytes(range(256)) * 4096)
        cut(tap, host, client, "a relocation",
            lambda: client.same(vm).RelocateVM_Task(vim.vm.RelocateSpec(datastore=client.same(store))),
            lambda: any(".copy-" in n for n in everything(host, far)), far)
        vm = client.same(vm)
        tap.equal("the VM is where it was", vm.config.files.vmPathName, "[datastore1] nomad/nomad.vmx")
        vm = client.same(vm)
        wait(vm.RelocateVM_Task(vim.vm.RelocateSpec(datastore=client.same(store))))
        tap.equal("and can go", (vm.config.files.vmPathName, listing(host.path())), ("[far] nomad/nomad.vmx", []))
        tap.equal("with all that is in it", read_at(f"{far}/nomad/nomad-flat.vmdk", 299 * MIB, 4), bytes(range(4)))
        wait(vm.Destroy())
        client.host.configManager.datastoreSystem.RemoveDatastore(client.same(store))


def record(host, what, folders, *places):
    """As a hostd leaves one that is killed: (datastore, name), ..."""
    os.makedirs(f"{host.root}/unfinished", exist_ok=True)
    text = "\n".join(f"{store}\n{name}" for store, name in places)
    os.symlink(f"{what}\n123\n{folders}\n{text}", f"{host.root}/unfinished/{hashlib.sha256(text.encode()).hexdigest()}")


def restarted(host, client):
    os.kill(host.processes("socle-hostd")[0], signal.SIGKILL)
    client.__init__(eventually(lambda: reconnect(host), 30))


def stale(tap, host, client):
    """Records that have to wait take nothing that is somebody's by then."""
    store = client.host.datastore[0]._moId
    a, b = create(client, "a"), create(client, "b")
    wait(a.CreateSnapshot_Task("s", "", False, False))
    record(host, "disk", 0, (store, "a/a.vmdk"))
    record(host, "disk", 1, (store, "mine/x.vmdk"))
    record(host, "disk", 1, (store, "half/y.vmdk"))
    os.mkdir(host.path("half"))
    write_new(host.path("half/y.vmdk.part"), b"half")
    os.rename(host.path("b/b.vmx"), host.path("b/kept"))
    restarted(host, client)
    eventually(lambda: len(records(host)) == 2)
    tap.equal("while a VM is not known, records wait, but for what another has", len(records(host)), 2)
    folder = Folder(host)
    for name in ("mine/x.vmdk", "mine/x-flat.vmdk"):
        tap.equal(f"{name} is made by another meanwhile", folder.ask("PUT", name, b"data")[0], 201)
    os.rename(host.path("b/kept"), host.path("b/b.vmx"))
    killed(tap, host, client, "stale records")
    tap.equal("a snapshot's disk stays", os.path.exists(host.path("a/a.vmdk")), True)
    tap.equal("a later file of the same name stays, and its folder", sorted(listing(host.path("mine"))), ["x-flat.vmdk", "x.vmdk"])
    tap.equal("what is half made goes, and its folder", os.path.exists(host.path("half")), False)
    for vm in (a, b):
        wait(client.same(vm).Destroy())
    shutil.rmtree(host.path("mine"))


def damaged(tap, host, client):
    """Names that look like more fields than there are."""
    store = client.host.datastore[0]._moId
    os.mkdir(host.path("victim"))
    write_new(host.path("victim/precious"), b"x")
    record(host, "file", 0, (store, "victim\nz"))
    killed(tap, host, client, "a record of too many lines")
    tap.equal("what it seems to name stays", listing(host.path("victim")), ["precious"])
    tap.raises("nor is such a name taken", vim.fault.InvalidDatastorePath,
               lambda: client.content.fileManager.MakeDirectory("[datastore1] victim\nz", None, False))
    shutil.rmtree(host.path("victim"))


def renames(tap, host, client):
    """A disk of several extents that was about to get another name."""
    store = client.host.datastore[0]._moId
    os.mkdir(host.path("r"))
    for old, new, stays in (("old.vmdk", "new.vmdk", "old"), (None, "new.vmdk", "new")):
        for name in (old, new):
            if name:
                write_new(host.path("r", name), b"descriptor")
        for number in (1, 2):
            write_new(host.path(f"r/old-f00{number}.vmdk"), b"data")
            os.link(host.path(f"r/old-f00{number}.vmdk"), host.path(f"r/new-f00{number}.vmdk"))
        write_new(host.path("r/new-f003.vmdk"), b"another's")
        write_new(host.path("r/old-f003.vmdk"), b"another's")
        record(host, "rename", 0, (store, "r/new.vmdk"), (store, "r/old.vmdk"))
        killed(tap, host, client, f"a rename of which {stays} stays")
        tap.equal("its second links go, and nothing else", sorted(listing(host.path("r"))),
                  sorted(["new-f003.vmdk", "old-f003.vmdk", f"{stays}.vmdk", *(f"{stays}-f00{n}.vmdk" for n in (1, 2))]))
        for name in os.listdir(host.path("r")):
            os.unlink(host.path("r", name))
    vm = create(client, "had")
    write_new(host.path("r/new.vmdk"), b"descriptor")
    record(host, "rename", 0, (store, "r/new.vmdk"), (store, "had/had.vmdk"))
    killed(tap, host, client, "a rename of a disk that a VM has")
    tap.equal("both names stay", (os.path.exists(host.path("had/had.vmdk")), listing(host.path("r"))), (True, ["new.vmdk"]))
    wait(client.same(vm).Destroy())
    shutil.rmtree(host.path("r"))


def write_new(path, data):
    with open(path, "wb") as file:
        file.write(data)


def main():
    tap = Tap()
    with Host(sys.argv[1]) as host:
        client = Client(eventually(lambda: reconnect(host)))
        tap.run([globals()[n] for n in sys.argv[2:]] or [uploads, packages, copies, vms, moves, stale, damaged, renames], host, client)


if __name__ == "__main__":
    main()
