#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""States that one build has saved and another is to go on from: what they are made of may only grow, older ones are
taken, newer ones refused by name. TAP.

usage: host_state.py BUILD [--write]     --write: what is saved now becomes what tests/api/vmss.layout says
"""

import os
import shutil
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
from client import Client, connect, device, disk, vm_spec, wait  # noqa: E402
from host import Host, Tap  # noqa: E402
from pyVmomi import vim  # noqa: E402
from vmss import State  # noqa: E402

LAYOUT = f"{HERE}/vmss.layout"


def suspended(client, host, name, firmware):
    """A VM with something of each kind, in the midst of its firmware."""
    spec = vm_spec(name, memory=64)
    spec.firmware, spec.numCPUs = firmware, 2
    sata = vim.vm.device.VirtualAHCIController(key=-201, busNumber=0)
    cdrom = vim.vm.device.VirtualCdrom(key=-202, controllerKey=-201, unitNumber=1)
    port = vim.vm.device.VirtualSerialPort(key=-203, yieldOnPoll=True, backing=vim.vm.device.VirtualSerialPort.PipeBackingInfo(
        pipeName="com1", endpoint="server"))
    nvme = vim.vm.device.VirtualNVMEController(key=-204, busNumber=0)
    spec.deviceChange += [device("add", sata), disk(-205, 1024, -201, 0), device("add", cdrom), device("add", port),
                          device("add", nvme), disk(-206, 1024, -204, 0)]
    vm = wait(client.folder.CreateVM_Task(spec, client.pool))
    wait(vm.PowerOn())
    wait(vm.Suspend())
    with open(host.path(name, f"{name}.vmx"), encoding="utf-8") as file:
        state = next(line.split('"')[1] for line in file if line.startswith("checkpoint.vmState"))
    return vm, host.path(name, state)


def entries(text):
    """Records by their name: the section's name and version, its fields."""
    found, last = {}, None
    for line in text:
        if line.startswith("  "):
            found[last][1].append(line)
        else:
            last, section = line.split(": ")
            while last in found:
                last += "'"
            found[last] = (section, [])
    return found


def is_within(old, new):
    """All of the old lines are there, in their order."""
    rest = iter(new)
    return all(line in rest for line in old)


def wrong(old, new):
    """What keeps this build from states that have the old layout."""
    old, new, found = entries(old), entries(new), []
    if list(old) != list(new):
        found.append(("other records", sorted(set(old) ^ set(new))))
    for name in old.keys() & new.keys():
        (was, fields), (now, more) = old[name], new[name]
        if was == now and fields != more:
            found.append((name, "changed, and its version did not"))
        if was != now and not (was.split()[0] == now.split()[0] and is_within(fields, more)):
            found.append((name, "a field is gone, or is another"))
    return found


def layout(tap, host, client):
    now, seen = [], []
    for firmware in ("bios", "efi"):
        vm, path = suspended(client, host, firmware, firmware)
        now += [f"{firmware} {line}" if not line.startswith("  ") else line for line in State(path).layout(seen)]
        wait(vm.PowerOn())
        tap.equal(f"{firmware}: it goes on", vm.runtime.powerState, "poweredOn")
        wait(vm.PowerOff())
        wait(vm.Destroy())
    if sys.argv[2:] == ["--write"]:
        with open(LAYOUT, "w", encoding="ascii") as file:
            file.writelines(f"{line}\n" for line in now)
    with open(LAYOUT, encoding="ascii") as file:
        was = file.read().splitlines()
    tap.check("there is much of it", len(entries(now)) > 60, len(entries(now)))
    tap.equal("states that were saved before are still understood", wrong(was, now), [])
    tap.check("vmss.layout says what is saved now (host_state.py BUILD --write)", was == now,
              sorted(set(was) ^ set(now)))


def versions(tap, host, client):
    vm, path = suspended(client, host, "ages", "bios")
    shutil.copy(path, f"{host.folder}/kept")
    state = State(path)
    state.save(path)
    with open(path, "rb") as file, open(f"{host.folder}/kept", "rb") as kept:
        tap.check("taken apart and put together it is the same", file.read() == kept.read())
    ports = state.sections("root-port")
    tap.equal("ports with slots are in it", [(s.version, s.fields[-1][0]) for s in ports], [(2, "kept")] * 4)
    for port in ports:
        port.version = 3
        port.fields.append(["later", 4, 1, b"\1"])
    state.save(path)
    fault = tap.raises("a newer one is refused", vim.fault.GenericVmConfigFault, lambda: wait(vm.PowerOn()))
    tap.check("by name and both versions", fault and all(w in fault.reason for w in ("root-port", "version 3", "up to 2")),
              fault and fault.reason)
    tap.equal("the VM stays suspended", vm.runtime.powerState, "suspended")
    for port in ports:
        port.version = 2
    state.save(path)
    tap.raises("nor is one that has more than its version says", vim.fault.GenericVmConfigFault, lambda: wait(vm.PowerOn()))
    for port in ports:
        port.version, port.fields = 1, port.fields[:-2]
    state.save(path)
    wait(vm.PowerOn())
    tap.equal("an older one is taken", vm.runtime.powerState, "poweredOn")
    wait(vm.Suspend())
    wait(vm.PowerOn())
    wait(vm.PowerOff())
    wait(vm.Destroy())


def main():
    with Host(os.path.abspath(sys.argv[1])) as host:
        Tap().run([layout, versions], host, Client(connect(host)))


main()
