#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Disks and network cards that come and go while VMs run; real guests, pyVmomi. TAP.

usage: host_hot.py BUILD [SCENARIO...]
"""

import os
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import guest  # noqa: E402
from client import cancel, device, devices, reconnect, wait  # noqa: E402
from client import disk as new_disk  # noqa: E402
from guest import SLOTS, Guest  # noqa: E402
from host import eventually  # noqa: E402
from pyVmomi import vim  # noqa: E402
from slow_disk import slow_disk  # noqa: E402

KIB = 8 << 10


def reconfigure(one, *changes):
    wait(one.vm.Reconfigure(vim.vm.ConfigSpec(deviceChange=list(changes))))


def add_disk(one, unit, kib=KIB):
    reconfigure(one, new_disk(-1, kib, 1000, unit))
    return disk_at(one, unit)


def disk_at(one, unit):
    return next((d for d in devices(one.vm, vim.vm.device.VirtualDisk) if d.unitNumber == unit), None)


def new_card():
    return device("add", vim.vm.device.VirtualVmxnet3(
        key=-2, addressType="generated",
        backing=vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network")))


def names(one):
    return one.command("cd /sys/block; ls -d vd*").split()


def appears(one, what, seconds=20):
    """Within that long, and how long it took by the guest's clock, hundredths of seconds."""
    text = one.command(f"n=0; while [ ! -e {what} ] && [ $n -lt {seconds * 10} ]; do n=$((n+1)); sleep 0.1; done; "
                       f"[ -e {what} ] && echo $n", timeout=seconds * 5)
    return int(text) if text.isdigit() else None


def write(one, disk, text):
    return one.command(f"echo {text} | dd of=/dev/{disk} bs=512 conv=sync,fsync,notrunc 2>/dev/null; echo $?")


def read(one, disk):
    return one.command(f"echo 3 >/proc/sys/vm/drop_caches; head -n 1 /dev/{disk}")


def disks(tap, host, client):
    one = Guest(host, client, "disks", extra=SLOTS).boot()
    tap.equal("one disk", names(one), ["vda"])
    add_disk(one, 1)
    took = appears(one, "/dev/vdb")
    tap.check("a second one shows by itself", took is not None, one.command("dmesg | tail"))
    print(f"# after {took} tenths of a second")
    tap.equal("of its size, and writable", one.command("cat /sys/block/vdb/size /sys/block/vdb/ro"), f"{KIB * 2}\n0")
    tap.equal("it is written", write(one, "vdb", "kept"), "0")
    tap.equal("the .vmx has its slot", one.vmx.get("scsi0:1.pciSlotNumber"), "160")

    wait(one.vm.Suspend())
    wait(one.vm.PowerOn())
    one.attach()
    tap.equal("it survives suspension", (names(one), read(one, "vdb")), (["vda", "vdb"], "kept"))
    snapshot = wait(one.vm.CreateSnapshot_Task("then", "", True, False))
    write(one, "vdb", "later")
    wait(snapshot.RevertToSnapshot_Task())
    one.attach()
    tap.equal("and a snapshot with memory", (names(one), read(one, "vdb")), (["vda", "vdb"], "kept"))
    wait(one.vm.RemoveAllSnapshots_Task())
    one.send("reboot -f\n")
    one.expect(guest.lab.READY, guest.BOOT_S)
    one.expect(guest.lab.COMMANDS)
    tap.equal("and a reset", sorted(names(one)), ["vda", "vdb"])
    added = next(d for d in names(one) if one.command(f"cat /sys/block/{d}/size") == str(KIB * 2))
    tap.equal("with what it has", read(one, added), "kept")

    os.kill(host.processes("socle-hostd")[0], signal.SIGKILL)
    client.__init__(eventually(lambda: reconnect(host)))
    one.vm = client.same(one.vm)
    file = one.path(one.vmx["scsi0:1.fileName"])
    reconfigure(one, device("remove", disk_at(one, 1), "destroy"))
    tap.equal("a later hostd removes it", len(names(one)), 1)
    tap.check("and its file", eventually(lambda: not os.path.exists(file)))
    tap.equal("the API has one", len(devices(one.vm, vim.vm.device.VirtualDisk)), 1)
    add_disk(one, 3, kib=4096)
    tap.check("the slot is free again", appears(one, f"/dev/{'vdb' if 'vda' in names(one) else 'vda'}") is not None)
    reconfigure(one, device("remove", disk_at(one, 3)))
    tap.check("a disk that is only removed keeps its file", [n for n in os.listdir(host.path("disks"))
                                                             if n.endswith("_1.vmdk") or n == "disks.vmdk"])
    tap.equal("the kernel has no complaint", one.command(guest.lab.COMPLAINTS), "(1)")
    one.remove()


def cards(tap, host, client):
    one = Guest(host, client, "cards", extra=SLOTS).boot()
    reconfigure(one, new_card())
    took = appears(one, "/sys/class/net/eth1")
    tap.check("a second card shows by itself", took is not None, one.command("dmesg | tail"))
    card = devices(one.vm, vim.vm.device.VirtualEthernetCard)[1]
    tap.equal("with its address", one.command("cat /sys/class/net/eth1/address"), card.macAddress)
    one.command("ip link set eth1 up; udhcpc -q -n -t 5 -T 3 -i eth1", timeout=300)
    tap.check("and gets one of the network", "inet " in one.command("ip addr show eth1"), one.command("ip addr"))
    reconfigure(one, device("remove", card))
    tap.equal("removed, it is gone", one.command("ls -d /sys/class/net/eth*"), "/sys/class/net/eth0")
    tap.equal("for the API as well", len(devices(one.vm, vim.vm.device.VirtualEthernetCard)), 1)
    reconfigure(one, new_card())
    tap.check("and another one comes", appears(one, "/sys/class/net/eth1") is not None)
    wait(one.vm.Suspend())
    wait(one.vm.PowerOn())
    one.attach()
    one.command("ip link set eth1 up; udhcpc -q -n -t 5 -T 3 -i eth1", timeout=300)
    tap.check("which works after a suspension", "inet " in one.command("ip addr show eth1"),
              one.command("ip addr"))
    tap.equal("the kernel has no complaint", one.command(guest.lab.COMPLAINTS), "(1)")
    one.remove()


def limits(tap, host, client):
    """What can not be says why, and changes nothing."""
    one = Guest(host, client, "limits", extra=SLOTS).boot()
    for unit in range(1, 5):
        add_disk(one, unit, kib=1024)
    fault = tap.raises("a fifth device", vim.fault.TooManyDevices, lambda: add_disk(one, 5, kib=1024))
    tap.check("hears that the slots are taken", fault and "4 slots" in fault.msg, fault and fault.msg)
    tap.equal("and leaves no file", sorted(n for n in os.listdir(host.path("limits")) if n.endswith("-flat.vmdk")),
              sorted(["disk-flat.vmdk", "limits-flat.vmdk"] + [f"limits_{n}-flat.vmdk" for n in range(1, 4)]))
    fault = tap.raises("what was there at power-on stays", vim.fault.DeviceHotPlugNotSupported,
                       lambda: reconfigure(one, device("remove", disk_at(one, 0))))
    tap.check("and says why", fault and "slot" in fault.msg, fault and fault.msg)
    tap.check("all are there", eventually(lambda: len(names(one)) == 5))
    one.command("cd /sys/bus/pci_express/drivers/pciehp; for d in *:pcie*; do echo $d >unbind; done")
    fault = tap.raises("a guest that does not let go", vim.fault.GenericVmConfigFault,
                       lambda: reconfigure(one, device("remove", disk_at(one, 1))))
    tap.check("is told of", fault and "let go" in fault.msg, fault and fault.msg)
    tap.check("and keeps it", disk_at(one, 1) and len(names(one)) == 5)
    one.remove()
    bare = Guest(host, client, "bare").boot()
    tap.raises("a VM without slots", vim.fault.DeviceHotPlugNotSupported, lambda: add_disk(bare, 1))
    bare.remove()


def named(one):
    return {v for k, v in one.vmx.items() if k.startswith("scsi0:") and k.endswith(".fileName")}


def interrupted(tap, host, client):
    """Changes that others are in the way of, that are cancelled, or in which the VM is cut off."""
    one = Guest(host, client, "interrupted", extra=SLOTS).boot()
    slow_disk(host.path("slow.vmdk"))
    manager = client.content.virtualDiskManager
    copies = [manager.CopyVirtualDisk_Task("[datastore1] slow.vmdk", client.datacenter, f"[datastore1] copy{n}.vmdk",
                                           client.datacenter, None, False) for n in range(4)]
    wait(one.vm.Rename("renamed"))
    tap.equal("copies of disks do not hold up a running VM's change", [c.info.state for c in copies], ["running"] * 4)
    for copy in copies:
        cancel(copy)
    tap.check("they are cancelled", eventually(lambda: all(c.info.state == "error" for c in copies), 60))
    wait(one.vm.Rename("interrupted"))

    before, wrong = named(one), []
    for n in range(8):
        task = one.vm.Reconfigure(vim.vm.ConfigSpec(deviceChange=[new_disk(-1, 1024, 1000, 2)]))
        time.sleep(0.002 * n)
        cancel(task)
        eventually(lambda task=task: task.info.state in ("success", "error"), 60)
        done = task.info.state == "success"
        there = len(named(one) - before)
        files = [f for f in os.listdir(one.path("")) if f.startswith("interrupted") and f.endswith("-flat.vmdk")]
        if not done == bool(disk_at(one, 2)) == bool(there) == bool(files):
            wrong.append((n, task.info.state, bool(disk_at(one, 2)), there, files))
        if disk_at(one, 2):
            reconfigure(one, device("remove", disk_at(one, 2), "destroy"))
    tap.equal("a cancelled change is done or is not, for everybody", wrong, [])

    add_disk(one, 3, kib=1024)
    one.command("cd /sys/bus/pci_express/drivers/pciehp; for d in *:pcie*; do echo $d >unbind; done")
    task = one.vm.Reconfigure(vim.vm.ConfigSpec(deviceChange=[device("remove", disk_at(one, 3), "destroy")]))
    tap.check("a guest is waited for", eventually(lambda: task.info.state == "running"))
    one.vm.TerminateVM()
    tap.check("cut off meanwhile, the VM is off", eventually(lambda: one.state() == "poweredOff"))
    tap.check("and the change has ended", eventually(lambda: task.info.state in ("success", "error")), task.info.state)
    tap.equal("as the .vmx says", bool(disk_at(one, 3)), task.info.state == "error")
    tap.check("whose disks are there", all(os.path.exists(one.path(f)) for f in named(one)), named(one))
    wait(one.vm.Reconfigure(vim.vm.ConfigSpec(annotation="free")))
    tap.equal("and nothing is in the way of the next one", one.vm.config.annotation, "free")

    wrong = []
    for n in range(6):
        wait(one.vm.PowerOn())
        task, keeper = one.vm.Suspend(), host.processes("socle-keeper")[0]
        end = time.monotonic() + 60
        while not one.vmx.get("checkpoint.vmState") and time.monotonic() < end:
            pass
        time.sleep(0.0005 * n)
        try:
            os.kill(keeper, signal.SIGKILL)
        except ProcessLookupError:
            pass
        eventually(lambda task=task: task.info.state in ("success", "error"), 60)
        state = one.vmx.get("checkpoint.vmState")
        time.sleep(0.1)  # a file is removed in its own time
        if state and not os.path.exists(one.path(state)):
            wrong.append((n, task.info.state, state))
        eventually(lambda: one.state() != "poweredOn")
        if one.state() == "suspended":
            wait(one.vm.PowerOff())
    tap.equal("a state that the .vmx names is there, whoever is killed", wrong, [])
    one.remove()


SCENARIOS = [disks, cards, limits, interrupted]


def main():
    guest.run(sys.argv[1], [s for s in SCENARIOS if not sys.argv[2:] or s.__name__ in sys.argv[2:]])


if __name__ == "__main__":
    main()
