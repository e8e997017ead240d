#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients of every version from 4.1 on read everything of a whole host: what is newer than a client makes
pyVmomi fail. Older ones it cannot speak itself.
Usage: host_versions.py BUILD"""

import os
import ssl
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.append("/usr/lib/python3/dist-packages")
try:
    from pyVmomi import SoapAdapter, VmomiSupport, vim, vmodl
except ImportError:
    print("1..0 # SKIP no pyVmomi")
    sys.exit(0)
import host as hosts

NOT_THERE = (vmodl.fault.NotSupported, vmodl.fault.NotImplemented)


def versions(newest):
    """pyVmomi's names of them, oldest first, up to the host's own: it does not offer newer ones."""
    found = [(tuple(int(n) for n in number.split(".")), name)
             for name, number in VmomiSupport.versionIdMap.items()
             if name.startswith("vim.version.") and number.replace(".", "").isdigit()]
    return [name for number, name in sorted(found) if (4, 1) <= number <= newest]


def note(value, queue, seen):
    """Objects that a value refers to, at its top or one level down."""
    values = value if isinstance(value, list) else [value]
    for one in values:
        if isinstance(one, vmodl.DynamicData):
            note([getattr(one, p.name) for p in one._GetPropertyList()], queue, seen)
        elif isinstance(one, VmomiSupport.ManagedObject) and one._moId not in seen:
            seen.add(one._moId)
            queue.append(one)


def read_all(host, version):
    """Every property of every object that another one refers to. How many of each; what went wrong."""
    context = ssl._create_unverified_context()
    stub = SoapAdapter.SoapStubAdapter(host="127.0.0.1", port=host.port, version=version, path="/sdk",
                                       sslContext=context)
    content = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
    content.sessionManager.Login("root", host.password)
    queue, seen = [vim.ServiceInstance("ServiceInstance", stub), content.rootFolder], set()
    objects, properties, wrong = 0, 0, []
    while queue:
        mo = queue.pop(0)
        objects += 1
        for prop in mo._GetPropertyList():
            if not VmomiSupport.IsChildVersion(version, prop.version):
                continue
            try:
                note(getattr(mo, prop.name), queue, seen)
                properties += 1
            except vmodl.fault.ManagedObjectNotFound:
                break  # announced, not there yet
            except NOT_THERE:
                pass
            except Exception as why:
                wrong.append(f"{mo} {prop.name}: {type(why).__name__} {str(why)[:200]} {why.__context__!r:.200}")
    content.sessionManager.Logout()
    return objects, properties, wrong


def make_vm(host):
    """Makes it; the API's version."""
    stub = SoapAdapter.SoapStubAdapter(host="127.0.0.1", port=host.port, version="vim.version.version12", path="/sdk",
                                       sslContext=ssl._create_unverified_context())
    content = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
    content.sessionManager.Login("root", host.password)
    datacenter = content.rootFolder.childEntity[0]
    pool = datacenter.hostFolder.childEntity[0].resourcePool
    spec = vim.vm.ConfigSpec(name="read", memoryMB=64, files=vim.vm.FileInfo(vmPathName="[datastore1]"))
    datacenter.vmFolder.CreateVM_Task(spec, pool)
    assert hosts.eventually(lambda: len(datacenter.vmFolder.childEntity) == 1)
    return tuple(int(n) for n in content.about.apiVersion.split("."))


def main():
    with hosts.Host(sys.argv[1]) as host:
        names = versions(make_vm(host))
        print(f"1..{len(names)}")
        for number, name in enumerate(names, 1):
            objects, properties, wrong = read_all(host, name)
            for line in wrong[:5]:
                print("# " + line.replace("\n", " "))
            right = not wrong and objects > 10 and properties > 150
            print(f"{'ok' if right else 'not ok'} {number} - {name}: {properties} properties of "
                  f"{objects} objects", flush=True)


main()
