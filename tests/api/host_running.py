#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What happens to VMs while they run: suspend, snapshots, hot changes; real guests, pyVmomi. TAP.

usage: host_running.py BUILD GROUP|SCENARIO...

In the environment: SOCLE_CRASH_ROUNDS=N: how often somebody is killed; SOCLE_CRASH_SEED=N: when.
"""

import fcntl
import hashlib
import os
import random
import re
import shutil
import signal
import struct
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import guest  # noqa: E402
from client import connect, device, devices, reconnect, vm_spec, vmm_of, wait  # noqa: E402
from client import disk as new_disk  # noqa: E402
from guest import Guest  # noqa: E402
from host import eventually, read_at  # noqa: E402
from pyVmomi import vim, vmodl  # noqa: E402


ROUNDS = int(os.environ.get("SOCLE_CRASH_ROUNDS", "3"))
MOMENTS = random.Random(int(os.environ.get("SOCLE_CRASH_SEED", "1")))


EMPTY_DRIVE = {"ide1:0.present": "TRUE", "ide1:0.deviceType": "atapi-cdrom",
               "ide1:0.fileName": "emptyBackingString", "ide1:0.startConnected": "FALSE"}


# suspend

def suspend(tap, host, client):
    """In the middle of a computation, which then has the right result; over a restart of hostd."""
    one = Guest(host, client, "suspend").boot()
    want = one.command("seq 1 30000 | md5sum")
    one.command("dmesg -n 7; echo kept >/tmp/file; (for i in 1 2 3 4 5 6; do seq 1 30000 | md5sum; done "
                ">/tmp/sums; echo all >/tmp/done) &")
    one.command("dd if=/dev/urandom of=/tmp/data bs=1M count=8; md5sum /tmp/data >/tmp/data.md5")
    before = float(one.command("cut -d' ' -f1 /proc/uptime"))
    wait(one.vm.Suspend())
    tap.equal("it is suspended", one.state(), "suspended")
    tap.equal("and its processes are gone", host.processes("socle-vmm"), [])
    name = one.vmx["checkpoint.vmState"]
    tap.check("the .vmx names the state as ESXi's does", name.startswith("suspend-") and name.endswith(".vmss"),
              name)
    size = os.stat(one.path(name))
    tap.check("memory that is zero takes no room", size.st_blocks * 512 < size.st_size * 0.8,
              (size.st_blocks * 512, size.st_size))
    tap.raises("it can not be suspended twice", vim.fault.InvalidPowerState, lambda: wait(one.vm.Suspend()))
    host.stop(signal.SIGKILL)
    host.start()
    client.__init__(eventually(lambda: reconnect(host)))
    one.vm = client.same(one.vm)
    tap.equal("a new hostd knows it", one.state(), "suspended")
    wait(one.vm.PowerOn())
    tap.equal("it goes on", one.state(), "poweredOn")
    tap.equal("and is not suspended any more", one.vmx["checkpoint.vmState"], "")
    one.attach()
    tap.equal("with what it had in memory", one.command("cat /tmp/file; md5sum -c /tmp/data.md5"),
              "kept\n/tmp/data: OK")
    tap.equal("what it was at goes on, and is right",
              one.command("while [ ! -f /tmp/done ]; do sleep 0.2; done; sort -u /tmp/sums"), want)
    after = float(one.command("cut -d' ' -f1 /proc/uptime"))
    tap.check("its time goes on where it stood", before <= after < before + 60, (before, after))
    clock = int(one.command("hwclock -u -r >/dev/null; date -u +%s -d \"$(cat /sys/class/rtc/rtc0/date) "
                            "$(cat /sys/class/rtc/rtc0/time)\""))
    tap.check("the clock on the board has the time of day", abs(clock - time.time()) < 30, clock)
    tap.equal("the disk works", one.command("dd if=/dev/vda of=/dev/null bs=1M count=4 2>/dev/null; echo $?"), "0")
    tap.equal("the kernel has no complaint", one.command(guest.lab.COMPLAINTS), "(1)")
    tap.check("the state file is gone", eventually(lambda: not os.path.exists(one.path(name))))
    one.remove()


def discard(tap, host, client):
    """A suspended VM that is powered off starts anew; a state that does not fit is refused."""
    one = Guest(host, client, "discard").boot()
    one.command("echo kept >/tmp/file")
    wait(one.vm.Suspend())
    name = one.vmx["checkpoint.vmState"]
    tap.raises("its hardware stays", vim.fault.InvalidPowerState,
               lambda: wait(one.vm.Reconfigure(vim.vm.ConfigSpec(memoryMB=64))))
    with open(one.path("discard.vmx"), "r+", encoding="utf-8") as file:
        text = file.read().replace('memSize = "128"', 'memSize = "96"')
        file.seek(0)
        file.write(text)
        file.truncate()
    one.vm.Reload()
    fault = tap.raises("another machine can not go on from it", vim.fault.GenericVmConfigFault,
                       lambda: wait(one.vm.PowerOn()))
    tap.check("and hears why", fault and "128" in fault.reason and "96" in fault.reason, fault and fault.reason)
    tap.equal("it is still suspended", one.state(), "suspended")
    with open(one.path(name), "r+b") as file:
        file.write(b"x" * 64)
    tap.raises("nor can anybody from a damaged one", vim.fault.GenericVmConfigFault,
               lambda: wait(one.vm.PowerOn()))
    wait(one.vm.PowerOff())
    tap.equal("off", one.state(), "poweredOff")
    tap.check("the state is gone", eventually(lambda: not os.path.exists(one.path(name))))
    one.boot()
    tap.equal("it starts anew", one.command("cat /tmp/file 2>/dev/null"), "(1)")
    one.remove()


# snapshots

# In the guest: numbered sectors, each on stable storage before its number is said.
WRITER = ("i=0; while [ ! -f /tmp/stop ]; do i=$((i+1)); printf '%-511d\\n' $i | "
          "dd of=/dev/vda bs=512 seek=$((i % 4096)) conv=fsync,notrunc 2>/dev/null || echo $i >>/tmp/failed; "
          "echo $i >/tmp/count; done")


def take(one, name, memory=False, quiesce=False):
    return wait(one.vm.CreateSnapshot_Task(name, f"about {name}", memory, quiesce))


def writing(one):
    one.command(f"rm -f /tmp/stop; ({WRITER}) & sleep 0.3")


def stop_writing(one):
    """How many sectors it has written."""
    return int(one.command("touch /tmp/stop; wait; cat /tmp/count"))


def numbers(data):
    return [int(data[i:i + 511] or 0) if data[i:i + 511].strip(b"\0 ") else 0 for i in range(0, len(data), 512)]


def check_disk(tap, one, name, count, text):
    """All that was acknowledged is there: sector n % 4096 has the last such n up to count."""
    got = numbers(content(one, name)[:4096 * 512])
    want = [max((n for n in range(s or 4096, count + 1, 4096)), default=0) for s in range(4096)]
    tap.check(text, got == want, [(s, g, w) for s, (g, w) in enumerate(zip(got, want)) if g != w][:5])


def content(one, name):
    raw = one.path("raw")
    done = one.host.socle("disk", "convert", "--quiet", "--format", "raw", one.path(name), raw)
    if done.returncode:
        raise RuntimeError(done.stderr)
    with open(raw, "rb") as file:
        data = file.read()
    os.unlink(raw)
    return data


def images(one):
    return sorted(n for n in os.listdir(one.host.path(one.name)) if n.endswith(".vmdk") and "-flat" not in n)


def named(one):
    """Those that the .vmx or the .vmsd name, and their parents: a removal that was cut off may leave others behind,
    which nobody needs any more."""
    files = [n for n in os.listdir(one.host.path(one.name)) if n.endswith((".vmx", ".vmsd"))]
    text = "".join(read_text(one.path(n)) for n in files)
    left = [n for n in images(one) if f'"{n}"' in text]
    found = set()
    while left:
        name = left.pop()
        if name not in found and name in images(one):
            found.add(name)
            left += re.findall(r'parentFileNameHint="([^"]*)"', read_text(one.path(name)))
    return sorted(found)


def read_text(path):
    with open(path, "rb") as file:
        return file.read(1 << 16).decode("latin1")


def check_images(tap, one):
    said = [done.stdout + done.stderr for name in named(one)
            if (done := one.host.socle("disk", "check", one.path(name))).returncode]
    tap.check(f"images are in order: {len(named(one))}", named(one) and not said, "\n".join(said))


def settled(one):
    """Whatever was under way has ended, and was settled."""
    done = ("success", "error")
    if not eventually(lambda: all(t.info.state in done for t in one.vm.recentTask)
                      and not os.path.exists(one.path(f"{one.name}.vmsd.plan")), 60):
        raise RuntimeError(f"not settled: {[t.info.state for t in one.vm.recentTask]}")


def left_over(one):
    """Files that no .vmx and no .vmsd is in need of."""
    known = re.compile(rf"{one.name}(-Snapshot\d+)?\.(vmx|nvram|vmsd)|{one.name}-Snapshot\d+\.vmsn|vmlinuz|initrd|com1|raw")
    return [n for n in os.listdir(one.host.path(one.name)) if not known.fullmatch(n) and n not in named(one)
            and n.replace("-flat.vmdk", ".vmdk") not in named(one)]


def stood(host):
    """How long VMs have stood still for snapshots, ms."""
    return [float(ms) for ms in re.findall(r"stood still for ([0-9.]+) ms", host.log())]


def hot(tap, host, client):
    """Snapshots of a guest that writes all the time; removed while it goes on."""
    one = Guest(host, client, "hot").boot()
    writing(one)
    for i in range(6):
        take(one, f"s{i}", quiesce=i == 3)
        time.sleep(0.2)
    tap.equal("it runs", one.state(), "poweredOn")
    tree, names = one.vm.snapshot.rootSnapshotList, []
    while tree:
        names.append((tree[0].name, tree[0].state))
        tree = tree[0].childSnapshotList
    tap.equal("six of them, one behind the other", names, [(f"s{i}", "poweredOff") for i in range(6)])
    tap.equal("on its seventh disk", one.vmx["scsi0:0.fileName"], "disk-000006.vmdk")
    wait(one.vm.snapshot.currentSnapshot.RemoveSnapshot_Task(False))
    time.sleep(0.3)
    wait(one.vm.RemoveAllSnapshots_Task())
    tap.equal("all removed: on its first disk again", one.vmx["scsi0:0.fileName"], "disk.vmdk")
    tap.equal("and no other file is left", images(one), ["disk.vmdk"])
    tap.equal("nor is anything left to consolidate", one.vm.runtime.consolidationNeeded, False)
    time.sleep(0.3)
    count = stop_writing(one)
    tap.check("it has written all the time", count > 50, count)
    tap.equal("and no write failed", one.command("cat /tmp/failed 2>/dev/null"), "(1)")
    tap.equal("the kernel has no complaint", one.command(guest.lab.COMPLAINTS), "(1)")
    wait(one.vm.PowerOff())
    check_images(tap, one)
    check_disk(tap, one, "disk.vmdk", count, "every write that was acknowledged is there")
    print(f"# stood still for (ms): {stood(host)}")
    one.remove()


def remove_named(one, name, children=False, consolidate=None):
    wait(snapshots(one)[name].RemoveSnapshot_Task(children, consolidate))


def snapshots(one):
    """By name."""
    found, left = {}, list(one.vm.snapshot.rootSnapshotList) if one.vm.snapshot else []
    while left:
        entry = left.pop()
        found[entry.name] = entry.snapshot
        left += entry.childSnapshotList
    return found


def room(one):
    """What the disks take on the host, KiB."""
    return sum(os.stat(one.path(n)).st_blocks for n in os.listdir(one.host.path(one.name)) if n.endswith(".vmdk")) // 2


def held(host):
    """Disks that have gone and that a VM's processes still have open."""
    pids = [pid for name in ("socle-vmx", "socle-keeper") for pid in host.processes(name)]
    links = [os.readlink(f"/proc/{pid}/fd/{fd}") for pid in pids for fd in os.listdir(f"/proc/{pid}/fd")]
    return [link for link in links if link.endswith(".vmdk (deleted)")]


def md5(one):
    return hashlib.md5(content(one, one.vmx["scsi0:0.fileName"])).hexdigest()


def check_snapshots(tap, one, sums):
    """Each that is there, gone back to, has what it froze."""
    for name, snapshot in sorted(snapshots(one).items()):
        wait(snapshot.RevertToSnapshot_Task(suppressPowerOn=True))
        if one.state() == "suspended":
            wait(one.vm.PowerOff())
        tap.equal(f"{name} has what it froze", md5(one), sums[name])
    check_images(tap, one)


def between(tap, host, client):
    """Snapshots between others that stay are removed, of a VM that writes, is suspended, is off; layers go with them."""
    one, sums = Guest(host, client, "between").boot(), {}
    for i in range(1, 7):
        one.command(f"dd if=/dev/urandom of=/dev/vda bs=64k seek={16 * i + 32} count=40 conv=fsync,notrunc 2>/dev/null")
        sums[f"s{i}"] = one.command("echo 3 >/proc/sys/vm/drop_caches; md5sum </dev/vda")[:32]
        take(one, f"s{i}", memory=i == 3)
    writing(one)
    layers, before = len(images(one)), room(one)
    for name, first in (("s2", "disk-000001.vmdk"), ("s1", "disk.vmdk")):
        remove_named(one, name)
        layers -= 1
        tap.equal(f"{name} removed while it runs: a layer less", len(images(one)), layers)
        listed = read_text(one.path("between.vmsd"))
        tap.check("s3 stands further down", f'fileName = "{first}"' in listed, listed)
    tap.check("room has been given back", room(one) < before - 2048, (before, room(one)))
    tap.equal("also by the VM", held(host), [])
    tap.equal("nothing to consolidate", one.vm.runtime.consolidationNeeded, False)
    remove_named(one, "s4", consolidate=False)
    tap.equal("s4 without merging: all layers stay", len(images(one)), layers)
    tap.equal("and that can be seen", one.vm.runtime.consolidationNeeded, True)
    wait(one.vm.ConsolidateVMDisks_Task())
    layers -= 1
    tap.equal("consolidated while it runs", (len(images(one)), one.vm.runtime.consolidationNeeded), (layers, False))
    tap.equal("and given back", held(host), [])
    count = stop_writing(one)
    tap.equal("no write failed", one.command("cat /tmp/failed 2>/dev/null"), "(1)")
    tap.equal("the kernel has no complaint", one.command(guest.lab.COMPLAINTS), "(1)")
    wait(one.vm.Suspend())
    remove_named(one, "s5")
    layers -= 1
    tap.equal("s5 removed while it is suspended", len(images(one)), layers)
    wait(one.vm.PowerOn())
    one.attach()
    now = one.command("echo 3 >/proc/sys/vm/drop_caches; md5sum </dev/vda")[:32]
    wait(one.vm.PowerOff())
    check_disk(tap, one, one.vmx["scsi0:0.fileName"], count, f"every write that was acknowledged is there ({count})")
    tap.equal("it reads what is on its disk", now, md5(one))
    check_snapshots(tap, one, sums)
    tap.equal("what is left: two snapshots, and the VM", (sorted(snapshots(one)), len(images(one))), (["s3", "s6"], 3))
    tap.equal("nothing else", left_over(one), [])
    one.remove()


def branches(tap, host, client):
    """Two branches; a layer that both stand on stays until there is but one."""
    one, sums = Guest(host, client, "branches").boot(), {}
    for name, seek, back in (("root", 0, None), ("a1", 1, None), ("a2", 2, None), ("b1", 3, "root"), ("b2", 4, None)):
        if back:
            wait(snapshots(one)[back].RevertToSnapshot_Task())
            one.boot()
        one.command(f"dd if=/dev/urandom of=/dev/vda bs=1M seek={seek} count=2 conv=fsync,notrunc 2>/dev/null")
        sums[name] = one.command("echo 3 >/proc/sys/vm/drop_caches; md5sum </dev/vda")[:32]
        take(one, name)
    layers = len(images(one))
    remove_named(one, "root")
    tap.equal("where two branches begin all stays", (len(images(one)), one.vm.runtime.consolidationNeeded),
              (layers, False))
    remove_named(one, "a1", children=True)
    tap.equal("one branch gone: a layer of its own and the common one less", sorted(snapshots(one)), ["b1", "b2"])
    tap.equal("what is left", (len(images(one)), held(host)), (3, []))
    wait(one.vm.PowerOff())
    check_snapshots(tap, one, sums)
    tap.equal("nothing else is left", left_over(one), [])
    wait(one.vm.RemoveAllSnapshots_Task())
    tap.equal("on its first disk", images(one), ["disk.vmdk"])
    one.remove()


def acknowledged(one):
    """The number of the last sector whose writing the guest has reported."""
    end = time.monotonic() + 1  # it reports more without end
    while one.read(0.1) and time.monotonic() < end:
        pass
    return int((re.findall(r"W(\d+)\n", one.text) or [0])[-1])


def check_kept(tap, one, count, text):
    """No acknowledged write is missing; what came later may be there or not."""
    name = one.vmx["scsi0:0.fileName"]
    got = numbers(content(one, name)[:4096 * 512])
    lost = [(s, g) for s, g in enumerate(got) if g < max((n for n in range(s or 4096, count + 1, 4096)), default=0)]
    tap.check(text, not lost, (count, lost[:5]))


REPORTER = WRITER.replace("echo $i >/tmp/count", "echo W$i >/dev/console")


def churn(one, seconds):
    """Snapshots come and go for that long; what fails then fails because somebody was killed."""
    end, n = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        n += 1
        try:
            task = (one.vm.RemoveAllSnapshots_Task() if n % 9 == 0 else
                    remove_any(one) if n % 3 == 0 else
                    one.vm.CreateSnapshot_Task(f"s{n}", "", n % 4 == 3, False))
        # The keeper may be at what the hostd before has asked for.
        except (vim.fault.TaskInProgress, vim.fault.InvalidState, vmodl.fault.ManagedObjectNotFound):
            time.sleep(0.02)
            continue
        while task.info.state in ("queued", "running") and time.monotonic() < end:
            time.sleep(0.005)


def remove_any(one):
    """One of them, wherever it stands."""
    there = sorted(snapshots(one).items())
    return (MOMENTS.choice(there)[1].RemoveSnapshot_Task(False) if there else
            one.vm.CreateSnapshot_Task("first", "", False, False))


def keeper_crash(tap, host, client):
    """kill -9 of the keeper, and of the VM with it, while snapshots come and go."""
    one, count = Guest(host, client, "crash"), 0
    for n in range(ROUNDS):
        one.text, one.seen = "", 0
        one.boot()
        one.send(f"(i={count}; {REPORTER.split(';', 1)[1]}) &\n")
        one.expect(r"W\d+\n")
        churn(one, MOMENTS.uniform(0.1, 2))
        keepers = host.processes("socle-keeper")
        if not tap.check(f"{n}: it has run until now", keepers, last_words(host)):
            return
        os.kill(keepers[0], signal.SIGKILL)
        count = max(count, acknowledged(one))
        tap.check(f"{n}: the VM is off", eventually(lambda: one.state() == "poweredOff"))
        settled(one)
        check_kept(tap, one, count, f"{n}: on its disk is what was acknowledged ({count})")
        check_images(tap, one)
        tap.equal(f"{n}: nothing else is left", left_over(one), [])
        snapshots = one.vm.snapshot
        if snapshots and MOMENTS.random() < 0.5:  # the newest can be gone back to, and the VM forgets
            wait(snapshots.currentSnapshot.RevertToSnapshot_Task(suppressPowerOn=True))
            if one.state() == "suspended":
                wait(one.vm.PowerOff())
            count = 0
        one.vm.UnregisterVM()
        one.vm = wait(client.folder.RegisterVM_Task("[datastore1] crash/crash.vmx", None, False, client.pool))
        tap.equal(f"{n}: it registers", one.state(), "poweredOff")
    wait(one.vm.RemoveAllSnapshots_Task())
    wait(one.vm.ConsolidateVMDisks_Task())
    tap.equal("all can be brought together", one.vmx["scsi0:0.fileName"], "disk.vmdk")
    one.remove()


def last_words(host):
    """What the VMs' processes have logged last."""
    folder = f"{host.root}/log"
    return "".join(read_text(f"{folder}/{n}")[-1500:] for n in sorted(os.listdir(folder)) if n.startswith("vm-"))


def is_back(host, client, one):
    try:
        client.__init__(connect(host))
        one.vm = client.same(one.vm)
        return one.state()
    except Exception:  # noqa: BLE001 - not yet
        return None


def hostd_crash(tap, host, client):
    """kill -9 of hostd while snapshots come and go: the guest goes on, on what the .vmx says."""
    one = Guest(host, client, "survive").boot()
    one.send(f"({REPORTER}) &\n")
    for n in range(ROUNDS):
        churn(one, MOMENTS.uniform(0.05, 1))
        os.kill(host.processes("socle-hostd")[0], signal.SIGKILL)
        tap.check(f"{n}: hostd is back", eventually(lambda: is_back(host, client, one)))
        if not tap.check(f"{n}: it runs", eventually(lambda: one.state() == "poweredOn"), last_words(host)):
            return
    before = acknowledged(one)
    tap.check("and has written", eventually(lambda: acknowledged(one) > before + 3))
    end = time.monotonic() + 20
    while time.monotonic() < end:  # the keeper may be at what the last hostd asked for
        try:
            wait(one.vm.RemoveAllSnapshots_Task())
            break
        except Exception as error:  # noqa: BLE001
            print(f"# {type(error).__name__}: {getattr(error, 'msg', error)}")
            time.sleep(0.2)
    wait(one.vm.ConsolidateVMDisks_Task())
    tap.equal("all can be brought together while it runs", one.vmx["scsi0:0.fileName"], "disk.vmdk")
    count = acknowledged(one)
    wait(one.vm.PowerOff())
    check_kept(tap, one, count, f"on its disk is what was acknowledged ({count})")
    check_images(tap, one)
    tap.equal("nothing else is left", left_over(one), [])
    one.remove()


def settling(tap, host, client):
    """A hostd that starts has much to settle: calls of that VM wait for it, nobody else does."""
    one = Guest(host, client, "settle")
    other = Guest(host, client, "other")
    for name in ("s1", "s2"):
        take(one, name)
    host.stop(signal.SIGKILL)
    orphans = [f"disk-{n:06}.vmdk" for n in range(100, 500)]
    for name in orphans:
        shutil.copy(one.path("disk-000002.vmdk"), one.path(name))
    files = orphans + [f"settle-Snapshot{n}.vmsn" for n in range(1000, 8000)]
    guest.write_vmx(one.path("settle.vmsd.plan"), {
        "done": "TRUE", "list": "FALSE", "nvram": "0", **{f"file{i}": name for i, name in enumerate(files)}})
    host.start()
    client.__init__(eventually(lambda: reconnect(host)))
    one.vm, other.vm = client.same(one.vm), client.same(other.vm)
    task = one.vm.CreateSnapshot_Task("s3", "", False, False)  # waits
    tap.check("the log says what was there", "has been settled" in host.log())
    wait(task)
    tap.equal("a call of it has waited, and does what it should", sorted(snapshots(one)), ["s1", "s2", "s3"])
    wait(other.vm.Rename_Task("another"))
    tap.equal("what nobody needs has gone", images(one), [f"disk-{n:06}.vmdk" for n in (1, 2, 3)] + ["disk.vmdk"])
    check_images(tap, one)
    for each in (one, other):
        each.remove()


def leave(one, state):
    """From what a snapshot has: its file and disk become others, and the VM is in that state."""
    one.command("echo now >/tmp/file; echo now | dd of=/dev/vda bs=512 conv=sync,fsync,notrunc 2>/dev/null")
    if state == "poweredOff":
        wait(one.vm.PowerOff())
    if state == "suspended":
        wait(one.vm.Suspend())


def memory(tap, host, client):
    """Back to a moment in which a guest was at work, from on, off and suspended."""
    one = Guest(host, client, "memory").boot()
    one.command("echo then >/tmp/file; echo then | dd of=/dev/vda bs=512 conv=sync,fsync,notrunc 2>/dev/null")
    snapshot = take(one, "then", memory=True)
    tap.equal("it runs on", one.command("cat /tmp/file"), "then")
    entry = one.vm.snapshot.rootSnapshotList[0]
    tap.equal("the snapshot is of a running VM", entry.state, "poweredOn")
    for before in ("poweredOn", "poweredOff", "suspended"):
        leave(one, before)
        wait(snapshot.RevertToSnapshot_Task())
        tap.equal(f"from {before}: it runs", one.state(), "poweredOn")
        one.attach()
        tap.equal("with the memory of then", one.command("cat /tmp/file"), "then")
        tap.equal("and the disk", one.command("echo 3 >/proc/sys/vm/drop_caches; head -c 4 /dev/vda"), "then")
    wait(snapshot.RevertToSnapshot_Task(suppressPowerOn=True))
    tap.equal("without power it is suspended", one.state(), "suspended")
    wait(one.vm.PowerOff())
    tap.check("the state stays with the snapshot", os.path.exists(one.path("memory-Snapshot1.vmsn")))
    tap.check("no other is left", eventually(lambda: not [n for n in os.listdir(host.path("memory"))
                                                          if n.endswith(".vmss")]))
    disk_only = take(one, "off")
    one.boot()
    wait(disk_only.RevertToSnapshot_Task())
    tap.equal("to one without memory: off", one.state(), "poweredOff")
    wait(one.vm.RemoveAllSnapshots_Task())
    tap.check("removed with its state", not os.path.exists(one.path("memory-Snapshot1.vmsn")))
    check_images(tap, one)
    one.remove()


def suspended(tap, host, client):
    """Snapshots of a suspended VM: it stays suspended, and is so again when it goes back there."""
    one = Guest(host, client, "still").boot()
    one.command("echo then >/tmp/file; echo then | dd of=/dev/vda bs=512 conv=sync,fsync,notrunc 2>/dev/null")
    wait(one.vm.Suspend())
    snapshot = take(one, "then")
    tap.equal("it is still suspended", one.state(), "suspended")
    tap.equal("and its snapshot is of that", one.vm.snapshot.rootSnapshotList[0].state, "suspended")
    kept = one.path("still-Snapshot1.vmsn")
    tap.equal("which takes no room of its own", os.stat(kept).st_nlink, 2)
    wait(one.vm.PowerOn())
    one.attach()
    tap.equal("it goes on", one.command("cat /tmp/file; head -c 4 /dev/vda"), "then\nthen")
    tap.check("and the snapshot keeps the state", eventually(lambda: os.stat(kept).st_nlink == 1))
    for before in ("poweredOn", "poweredOff", "suspended"):
        leave(one, before)
        wait(snapshot.RevertToSnapshot_Task())
        tap.equal(f"from {before}: it is suspended again", one.state(), "suspended")
        wait(one.vm.PowerOn())
        one.attach()
        tap.equal("with memory and disk of then", one.command("cat /tmp/file; echo 3 >/proc/sys/vm/drop_caches; "
                                                              "head -c 4 /dev/vda"), "then\nthen")
    wait(one.vm.Suspend())
    wait(one.vm.RemoveAllSnapshots_Task())
    tap.equal("snapshots of it can be removed", (one.vm.snapshot, images(one)), (None, ["disk.vmdk"]))
    tap.check("with the state that they had", not os.path.exists(kept))
    wait(one.vm.PowerOn())
    one.attach()
    tap.equal("and it goes on from its own", one.command("cat /tmp/file; echo 3 >/proc/sys/vm/drop_caches; "
                                                         "head -c 4 /dev/vda"), "then\nthen")
    tap.equal("the kernel has no complaint", one.command(guest.lab.COMPLAINTS), "(1)")
    wait(one.vm.PowerOff())
    check_images(tap, one)
    one.remove()


def deep(tap, host, client):
    """64 snapshots, and the guest still reads and writes."""
    one = Guest(host, client, "deep").boot()
    for i in range(64):
        one.command(f"echo {i} | dd of=/dev/vda bs=512 seek={i} conv=sync,fsync,notrunc 2>/dev/null")
        take(one, f"s{i}")
    wait(one.vm.PowerOff())
    one.boot()
    tap.equal("a VM on 65 disks starts, and reads all of them",
              one.command("for i in $(seq 0 63); do dd if=/dev/vda bs=512 skip=$i count=1 2>/dev/null | head -n 1; "
                          "done | tr '\\n' ' '"), " ".join(map(str, range(64))) + " ")
    wait(one.vm.RemoveAllSnapshots_Task())
    tap.equal("one disk again", images(one), ["disk.vmdk"])
    one.command("echo 3 >/proc/sys/vm/drop_caches")
    tap.equal("with all of it", one.command(
        "for i in $(seq 0 63); do dd if=/dev/vda bs=512 skip=$i count=1 2>/dev/null | head -n 1; done | tail -n 1"),
        "63")
    wait(one.vm.PowerOff())
    check_images(tap, one)
    one.remove()


def levels(tap, host, client):
    """As deep as it goes, which a client can read, and no deeper."""
    vm = wait(client.folder.CreateVM_Task(config=vim.vm.ConfigSpec(
        name="levels", memoryMB=64, files=vim.vm.FileInfo(vmPathName="[datastore1]")), pool=client.pool))
    for n in range(240):
        wait(vm.CreateSnapshot_Task(f"s{n}", "", False, False))
    tap.raises("240 are enough", vim.fault.TooManySnapshotLevels, lambda: vm.CreateSnapshot_Task("no", "", False, False))
    level, entries = 0, vm.snapshot.rootSnapshotList
    while entries:
        level, last, entries = level + 1, entries[0].name, entries[0].childSnapshotList
    tap.equal("all of them are told", (level, last), (240, "s239"))
    wait(vm.RemoveAllSnapshots_Task())
    tap.equal("and gone", vm.snapshot, None)
    wait(vm.Destroy())


def large(tap, host, client):
    """A disk with so many tables that the C library sorts them with a system call of its own."""
    spec = vm_spec("large")
    spec.deviceChange[1] = new_disk(-1, 4 << 20)
    vm = wait(client.folder.CreateVM_Task(config=spec, pool=client.pool))
    wait(vm.PowerOn())
    for name in ("one", "two"):
        wait(vm.CreateSnapshot_Task(name, "", False, False))
    tap.equal("a disk of 4 GiB has snapshots", vm.runtime.powerState, "poweredOn")
    wait(vm.PowerOff())
    wait(vm.Destroy())


def firmware(tap, host, client):
    """A whole PC: firmware, its flash and screen, two processors."""
    for kind in ("bios", "efi"):
        one = Guest(host, client, kind, firmware=kind, disks=(), extra={"numvcpus": "2", **EMPTY_DRIVE}).boot()
        cpus = int(one.command("nproc"))  # a busy machine may make the second one late for the kernel
        one.command("echo kept >/tmp/file; (seq 1 30000 | md5sum >/tmp/sum; echo all >/tmp/done) &")
        snapshot = take(one, "then", memory=True)
        wait(one.vm.Suspend())
        wait(one.vm.PowerOn())
        one.attach()
        tap.equal(f"{kind}: it goes on", one.command("cat /tmp/file; nproc"), f"kept\n{cpus}")
        tap.equal(f"{kind}: all processors do", one.command(
            f"for n in $(seq {cpus}); do taskset $n true || echo $n; done"), "")
        one.command("echo now >/tmp/file")
        wait(snapshot.RevertToSnapshot_Task())
        one.attach()
        tap.equal(f"{kind}: and back", one.command("while [ ! -f /tmp/done ]; do sleep 0.2; done; cat /tmp/file"),
                  "kept")
        tap.equal(f"{kind}: the clocks agree", one.command(
            "cat /sys/devices/system/clocksource/clocksource0/current_clocksource; sleep 1; echo slept")[-5:], "slept")
        tap.equal(f"{kind}: the kernel has no complaint", one.command(guest.lab.COMPLAINTS), "(1)")
        one.send("reboot -f\n")
        one.expect(guest.lab.READY, guest.BOOT_S)
        tap.check(f"{kind}: it still starts anew", True)
        one.remove()


def written(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return data


def nvram_events(client, one):
    spec = vim.event.EventFilterSpec(entity=vim.event.EventFilterSpec.ByEntity(entity=one.vm, recursion="self"))
    return [e.fullFormattedMessage for e in client.content.eventManager.QueryEvents(spec)
            if isinstance(e, vim.event.GeneralVmInfoEvent) and "firmware variables" in e.fullFormattedMessage]


def foreign_nvram(tap, host, client):
    """A folder of ESXi's, with variables that only VMware's firmware reads: it starts, and may go back."""
    one = Guest(host, client, "esx", firmware="efi", disks=(), extra={"nvram": "esx.nvram", **EMPTY_DRIVE})
    theirs = written(one.path("esx.nvram"), (b"MRVN" + bytes(range(256)) * 34)[:8684])
    first = take(one, "before")
    one.boot()
    tap.equal("it boots from the disk's fallback path", one.command("ls -d /sys/firmware/efi"), "/sys/firmware/efi")
    tap.equal("the other's file is as it was, and named", (read_at(one.path("esx.nvram"), 0, 9999), one.vmx["nvram"]),
              (theirs, "esx.nvram"))
    tap.equal("ours is another", (one.vmx.get("socle.nvram"), read_at(one.path("esx.socle.nvram"), 40, 4)),
              ("esx.socle.nvram", b"_FVH"))
    said = nvram_events(client, one)
    tap.check("an event says so", len(said) == 1 and "esx.nvram" in said[0] and "esx.socle.nvram" in said[0], said)
    wait(one.vm.PowerOff())
    wait(one.vm.PowerOn())
    tap.equal("it is said once", len(nvram_events(client, one)), 1)
    wait(one.vm.PowerOff())
    then = take(one, "after")
    ours = written(one.path("esx.socle.nvram"), read_at(one.path("esx.socle.nvram"), 0, 1 << 30)[:-1] + b"x")
    wait(then.RevertToSnapshot_Task())
    tap.check("a snapshot keeps ours", read_at(one.path("esx.socle.nvram"), 0, 1 << 30) != ours)
    copy = wait(one.vm.CloneVM_Task(client.folder, "twin", vim.vm.CloneSpec(
        location=vim.vm.RelocateSpec(), powerOn=False, template=False)))
    tap.equal("a clone has a copy of ours", read_at(host.path("twin/twin.nvram"), 40, 4), b"_FVH")
    wait(copy.Destroy())
    wait(first.RevertToSnapshot_Task())
    tap.equal("as it came, it has theirs", (one.vmx.get("socle.nvram"), read_at(one.path("esx.nvram"), 0, 9999)), (None, theirs))
    wait(one.vm.PowerOn())
    tap.equal("and starts again", (one.state(), one.vmx.get("socle.nvram")), ("poweredOn", "esx.socle.nvram"))
    wait(one.vm.PowerOff())
    store = read_at(one.path("esx.socle.nvram"), 0, 1 << 30)
    written(one.path("esx.socle.nvram"), store[:50] + b"\xff\xff" + store[52:])
    try:
        wait(one.vm.PowerOn())
        tap.check("a damaged one of ours is refused", False)
    except vmodl.MethodFault as fault:
        tap.check("a damaged one of ours is refused, with what to do", "move it away" in str(fault.msg), fault.msg)
    wait(one.vm.Destroy())
    tap.check("nothing of ours is left", not os.path.exists(host.path("esx/esx.socle.nvram")))


# hot changes

def edit(one, what):
    wait(one.vm.Reconfigure(vim.vm.ConfigSpec(deviceChange=[device("edit", what)])))


def only(one, kind):
    return devices(one.vm, kind)[0]


def ide_drive(one):
    return devices(one.vm, vim.vm.device.VirtualCdrom)[-1]


def insert(one, file, connected=True):
    drive = ide_drive(one)
    drive.backing = vim.vm.device.VirtualCdrom.IsoBackingInfo(fileName=f"[datastore1] {one.name}/{file}")
    drive.connectable.connected = drive.connectable.startConnected = connected
    edit(one, drive)


def changes(tap, host, client):
    """Discs, cables and larger disks, under the guest's eyes; the rest is refused."""
    discs = {}
    one = Guest(host, client, "changes", kernel=guest.FULL_KERNEL, extra={
        "memSize": "256", **EMPTY_DRIVE,
        "scsi0:5.present": "TRUE", "scsi0:5.deviceType": "cdrom-image", "scsi0:5.fileName": "c.iso"})
    for name, size in (("a.iso", 2), ("b.iso", 3), ("c.iso", 1)):
        discs[name] = os.urandom(size << 20)
        with open(one.path(name), "wb") as file:
            file.write(discs[name])
    one.boot()
    drive, disk_name, none = "sr0", "vda", "(1)"
    tap.equal("a drive on SCSI is virtio's", one.command("md5sum </dev/vdb")[:32],
              hashlib.md5(discs.pop("c.iso")).hexdigest())
    tap.equal("a drive without a disc", one.command(f"cat /dev/{drive} 2>/dev/null"), none)
    for name, data in discs.items():
        insert(one, name)
        tap.equal(f"{name} is in", one.command(f"md5sum </dev/{drive}")[:32], hashlib.md5(data).hexdigest())
        tap.check("and the API says so", ide_drive(one).connectable.connected)
    tap.equal("the guest ejects it", one.command(f"tray eject /dev/{drive}"), "open")
    insert(one, "b.iso", connected=False)
    insert(one, "a.iso")
    tap.equal("and has the next one", one.command(f"md5sum </dev/{drive}")[:32],
              hashlib.md5(discs["a.iso"]).hexdigest())
    insert(one, "b.iso", connected=False)
    tap.equal("ejected", one.command(f"cat /dev/{drive} 2>/dev/null"), none)
    tap.raises("a disc that is not there", Exception, lambda: insert(one, "none.iso"))
    tap.equal("changes nothing", (one.state(), one.command(f"cat /dev/{drive} 2>/dev/null")), ("poweredOn", none))

    card = only(one, vim.vm.device.VirtualEthernetCard)
    one.command("ip link set eth0 up")
    for connected, carrier in ((False, "0"), (True, "1")):
        card.connectable.connected = card.connectable.startConnected = connected
        edit(one, card)
        tap.equal(f"the cable is {'in' if connected else 'out'}", one.command(
            f"for i in $(seq 50); do [ $(cat /sys/class/net/eth0/carrier) = {carrier} ] && break; sleep 0.1; done; "
            "cat /sys/class/net/eth0/carrier"), carrier)

    before = int(one.command(f"cat /sys/block/{disk_name}/size"))
    disk = only(one, vim.vm.device.VirtualDisk)
    disk.capacityInKB = 24 << 10
    disk.capacityInBytes = 24 << 20
    edit(one, disk)
    tap.equal("the disk has grown", (before, one.command(f"cat /sys/block/{disk_name}/size")), (32768, "49152"))
    tap.equal("to its end", one.command(f"echo end | dd of=/dev/{disk_name} bs=512 seek=49151 conv=sync,fsync,notrunc "
                                        "2>/dev/null; echo $?"), "0")
    tap.equal("and the API says so", only(one, vim.vm.device.VirtualDisk).capacityInKB, 24 << 10)
    wait(one.vm.Reconfigure(vim.vm.ConfigSpec(annotation="while it runs")))
    tap.equal("words change, too", one.vm.config.annotation, "while it runs")
    for text, why, spec in (
            ("memory", vim.fault.InvalidPowerState, vim.vm.ConfigSpec(memoryMB=256)),
            ("processors", vim.fault.InvalidPowerState, vim.vm.ConfigSpec(numCPUs=2)),
            ("another disk", vim.fault.DeviceHotPlugNotSupported,
             vim.vm.ConfigSpec(deviceChange=[new_disk(-1, 1024, 1000, 3)])),
            ("a card less", vim.fault.DeviceHotPlugNotSupported,
             vim.vm.ConfigSpec(deviceChange=[device("remove", card)]))):
        tap.raises(f"{text}: not while it runs", why, lambda spec=spec: wait(one.vm.Reconfigure(spec)))
    tap.equal("the kernel has no complaint", one.command(guest.lab.COMPLAINTS), "(1)")
    wait(one.vm.PowerOff())
    check_images(tap, one)
    tap.equal("what was written last is there", content(one, "disk.vmdk")[-512:-508], b"end\n")
    one.remove()


def seized(tap, host, client):
    """Somebody locks a VM's disk in the moment in which the VM opens it anew: it waits for him."""
    one = Guest(host, client, "seized").boot()
    one.command("echo before >/tmp/file")
    has_it, lock = threading.Event(), struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)

    def seize():
        with open(one.path("disk.vmdk"), "r+b") as file:
            fcntl.fcntl(file, 38, lock)  # F_OFD_SETLKW
            has_it.set()
            time.sleep(4)

    thread = threading.Thread(target=seize)
    thread.start()
    time.sleep(0.2)
    tap.check("a running VM has its disk for itself", not has_it.is_set())
    tap.raises("no snapshot now", vim.fault.FileLocked, lambda: take(one, "no"))
    thread.join()
    tap.check("somebody else had the disk", has_it.is_set())
    tap.equal("the VM has waited", (one.state(), one.command("cat /tmp/file")), ("poweredOn", "before"))
    tap.equal("and has its disk again", one.command("dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync,notrunc "
                                                    "2>/dev/null; echo $?"), "0")
    tap.equal("the kernel has no complaint", one.command(guest.lab.COMPLAINTS), "(1)")
    take(one, "yes")
    tap.equal("there is nothing else", (sorted(snapshots(one)), left_over(one)), (["yes"], []))
    wait(one.vm.PowerOff())
    check_images(tap, one)
    one.remove()


# processes that die

def killed(tap, host, client):
    for name in ("vmm", "vmx"):
        one = Guest(host, client, f"kill-{name}").boot()
        keeper = host.processes("socle-keeper")[0]
        os.kill(vmm_of(keeper, name), signal.SIGKILL)
        tap.check(f"{name} killed: the VM is off", eventually(lambda: one.state() == "poweredOff"))
        spec = vim.event.EventFilterSpec(entity=vim.event.EventFilterSpec.ByEntity(
            entity=one.vm, recursion="self"))
        texts = [e.fullFormattedMessage for e in client.content.eventManager.QueryEvents(spec)
                 if isinstance(e, vim.event.VmPoweredOffEvent)]
        tap.check("and an event says which, and how", texts and name in texts[-1] and "signal 9" in texts[-1], texts)
        wait(one.vm.PowerOn())
        tap.equal("it starts again", one.state(), "poweredOn")
        one.remove()


BUTTON = ("event=$(sed -n '/Power Button/,/^$/s/.*Handlers=.*\\(event[0-9]*\\).*/\\1/p' /proc/bus/input/devices | head -n 1); "
          "exec 3</dev/input/$event; (head -c 24 <&3 >/dev/null; poweroff -f) &")


def shut_down(tap, host, client):
    """The power button, by the API and for all VMs of a host that goes down; a guest that minds it."""
    one = Guest(host, client, "button").boot()
    one.command(BUTTON)
    one.vm.ShutdownGuest()
    tap.check("ShutdownGuest: the guest switches itself off", eventually(lambda: one.state() == "poweredOff", 60))
    one.boot()
    one.command(BUTTON)
    host.stop()
    done = host.socle("down", "--root", host.root, "--vms", "shutdown")
    tap.equal("down --vms shutdown", (done.returncode, done.stderr), (
        0, "socle down: waiting for 1 VM to shut down, for 5 minutes at most\n"))
    tap.equal("and nothing of the VM is left", host.processes("socle-"), [])
    host.start()
    client.__init__(eventually(lambda: reconnect(host)))
    one.vm = client.same(one.vm)
    tap.equal("it is off", one.state(), "poweredOff")
    one.remove()


GROUPS = {
    "running": [suspend, discard, hot, between, branches, memory, suspended, changes, seized, killed, shut_down],
    "crashes": [keeper_crash, hostd_crash, settling], "machines": [deep, levels, large, firmware, foreign_nvram],
}


def main():
    names = sys.argv[2:]
    guest.run(sys.argv[1], [s for group, many in GROUPS.items() for s in many if group in names or s.__name__ in names])


if __name__ == "__main__":
    main()
