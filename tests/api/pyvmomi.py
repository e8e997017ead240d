#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pyVmomi against the API's core (tests/api/serve): it is strict about order, types, versions and unset
values, so what it reads is right. Usage: pyvmomi.py SERVE"""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.append("/usr/lib/python3/dist-packages")
try:
    from pyVmomi import SoapAdapter, vim, vmodl
except ImportError:
    print("1..0 # SKIP no pyVmomi")
    sys.exit(0)

VMS = 300
collector = vmodl.query.PropertyCollector


class Server:
    def __init__(self, program):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "socket")
        self.process = subprocess.Popen([program, self.path, str(VMS)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def content(self):
        stub = SoapAdapter.SoapStubAdapter(sock=self.path, version="vim.version.version12", path="/sdk")
        content = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
        content.sessionManager.Login("root", "secret")
        return content

    def memory_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

    def sanitized(self):
        with open(f"/proc/{self.process.pid}/maps", encoding="ascii") as file:
            return "asan" in file.read()

    def end(self):
        self.process.stdin.close()
        return self.process.wait(10)


def expect(fault, call):
    try:
        call()
    except fault as why:
        return why
    raise AssertionError(f"no {fault.__name__}")


def vm_spec(content, paths, view=None):
    view = view or content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    step = collector.TraversalSpec(name="v", path="view", skip=False, type=type(view))
    return collector.FilterSpec(
        objectSet=[collector.ObjectSpec(obj=view, skip=True, selectSet=[step])],
        propSet=[collector.PropertySpec(type=vim.VirtualMachine, pathSet=paths)])


def login_is_checked(server):
    content = server.content()
    why = expect(vim.fault.InvalidLogin, lambda: content.sessionManager.Login("root", "no"))
    assert why.msg == "Cannot complete login due to an incorrect user name or password."
    assert content.about.name == "Rig & <test>"


def properties_are_read_whole_and_by_path(server):
    content = server.content()
    vm = content.rootFolder.childEntity[0].childEntity[0]
    assert vm.name == "vm-1" and vm.runtime.powerState == "poweredOff" and vm.guest is None
    disk = vm.config.hardware.device[1]
    assert isinstance(disk, vim.vm.device.VirtualDisk) and disk.deviceInfo.label == "Hard disk 1"
    assert vm.config.extraConfig[0].value == "x < y"
    expect(vmodl.fault.NotSupported, vm.Reset)


def pages_bring_all(server):
    content = server.content()
    spec = vm_spec(content, ["name", "config.hardware.device", "parent"])
    page = content.propertyCollector.RetrievePropertiesEx([spec], collector.RetrieveOptions(maxObjects=70))
    names = [o.propSet[0].val for o in page.objects]
    pages = 1
    while page.token:
        page = content.propertyCollector.ContinueRetrievePropertiesEx(page.token)
        names += [o.propSet[0].val for o in page.objects]
        pages += 1
    assert pages == 5 and sorted(names) == sorted(f"vm-{i + 1}" for i in range(VMS))


def updates_come_as_they_happen(server):
    content, other = server.content(), server.content()
    vm = other.rootFolder.childEntity[0].childEntity[6]
    pc = content.propertyCollector
    made = pc.CreateFilter(vm_spec(content, ["runtime.powerState"]), False)
    update = pc.WaitForUpdatesEx("", collector.WaitOptions(maxWaitSeconds=1))
    assert len(update.filterSet[0].objectSet) == VMS
    timer = threading.Timer(0.3, vm.PowerOn)
    timer.start()
    update = pc.WaitForUpdatesEx(update.version, collector.WaitOptions(maxWaitSeconds=10))
    timer.join()
    change = update.filterSet[0].objectSet[0]
    assert change.kind == "modify" and change.obj._moId == "7"
    assert [(c.name, c.op, c.val) for c in change.changeSet] == [("runtime.powerState", "assign", "poweredOn")]
    assert pc.WaitForUpdatesEx(update.version, collector.WaitOptions(maxWaitSeconds=0)) is None
    expect(vmodl.query.InvalidCollectorVersion, lambda: pc.CheckForUpdates("9999999"))
    why = expect(vim.fault.InvalidPowerState, vm.PowerOn)
    assert why.existingState == "poweredOn"
    made.Destroy()


def a_wait_is_canceled_from_elsewhere(server):
    content = server.content()
    pc = content.propertyCollector.CreatePropertyCollector()
    same = type(pc)(pc._moId, pc._stub)
    pc.CreateFilter(vm_spec(content, ["name"]), False)
    version = pc.WaitForUpdates("").version
    timer = threading.Timer(0.3, same.CancelWaitForUpdates)
    timer.start()
    expect(vmodl.fault.RequestCanceled, lambda: pc.WaitForUpdates(version))
    timer.join()
    pc.Destroy()
    expect(vmodl.fault.ManagedObjectNotFound, lambda: pc.WaitForUpdates(version))


def list_views_change(server):
    content = server.content()
    vms = content.rootFolder.childEntity[0].childEntity
    view = content.viewManager.CreateListView(vms[:3])
    view.Modify([vms[5]], [vms[0]])
    assert [v._moId for v in view.view] == ["2", "3", "6"]
    view.Destroy()
    expect(vmodl.fault.ManagedObjectNotFound, lambda: view.view)


def json_is_the_same_api(server):
    server.content()
    link = http.client.HTTPConnection("x")
    link.sock = socket.socket(socket.AF_UNIX)
    link.sock.connect(server.path)
    base = "/sdk/vim25/8.0.1.0/"
    link.request("POST", base + "SessionManager/ha-sessionmgr/Login",
                 json.dumps({"userName": "root", "password": "secret"}))
    answer = link.getresponse()
    assert answer.status == 200 and json.load(answer)["_typeName"] == "UserSession"
    link.request("GET", base + "VirtualMachine/3/name", headers={"Cookie": "vmware_soap_session=key"})
    assert json.load(link.getresponse()) == "vm-3"
    link.request("GET", "/sdk/vimServiceVersions.xml")
    answer = link.getresponse()
    assert answer.status == 200 and b"urn:vim25" in answer.read()


def waiters_are_cheap(server):
    """200 calls that wait, each on a connection of its own; all hear of one change."""
    content = server.content()
    pc = content.propertyCollector.CreatePropertyCollector()
    pc.CreateFilter(vm_spec(content, ["runtime.powerState"]), False)
    version = pc.WaitForUpdates("").version
    body = ("<Envelope><Body><WaitForUpdatesEx><_this type='PropertyCollector'>" + pc._moId + "</_this>"
            f"<version>{version}</version></WaitForUpdatesEx></Body></Envelope>").encode()
    request = b"POST /sdk HTTP/1.1\r\nHost: x\r\nCookie: vmware_soap_session=key\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body), body)
    before, links = server.memory_kib(), []
    for _ in range(200):
        link = socket.socket(socket.AF_UNIX)
        link.connect(server.path)
        link.sendall(request)
        links.append(link)
    vm = content.rootFolder.childEntity[0].childEntity[9]
    each = (server.memory_kib() - before) / 200
    start = time.monotonic()
    vm.PowerOn()
    for link in links:
        link.settimeout(5)
        data = b""
        while b"</soapenv:Envelope>" not in data:
            data += link.recv(65536)
        assert b"<kind>modify</kind>" in data
        link.close()
    print(f"# {each:.1f} KiB a waiter, all 200 told within {(time.monotonic() - start) * 1000:.0f} ms")
    assert each < 64 or server.sanitized()
    pc.Destroy()


CASES = [login_is_checked, properties_are_read_whole_and_by_path, pages_bring_all,
         updates_come_as_they_happen, a_wait_is_canceled_from_elsewhere, list_views_change,
         json_is_the_same_api, waiters_are_cheap]


def main():
    server = Server(sys.argv[1])
    print(f"1..{len(CASES) + 1}")
    for number, case in enumerate(CASES, 1):
        try:
            case(server)
            print(f"ok {number} - {case.__name__}", flush=True)
        except Exception as why:  # a failed case says why, and the others go on
            print(f"# {type(why).__name__}: {str(why)[:400]}\nnot ok {number} - {case.__name__}", flush=True)
    status = server.end()
    print(f"{'ok' if status == 0 else 'not ok'} {len(CASES) + 1} - the server ended with status {status}")


main()
