#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The text of central objects in both bindings, byte for byte but for values that differ from run to run, against
tests/golden/api. TAP.

usage: host_golden.py BUILD [--update]      --update writes the files instead; look at what git says has changed
"""

import difflib
import json
import os
import re
import sys
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
from host import Host, Tap, context  # noqa: E402
from client import Client, connect, disk, device, vm_spec, wait  # noqa: E402
from pyVmomi import vim  # noqa: E402

GOLDEN = os.path.join(HERE, "../golden/api")
# Names of members whose values are the machine's or the moment's.
VOLATILE = """freeSpace capacity memorySize maxCpuUsage maxMemoryUsage uncommitted committed unshared size uptimeSeconds
uniqueSize timestamp bootTime modified createDate changeVersion sharedKey eventChainId chainId serverClock
hostMemoryUsage overallCpuUsage overallCpuDemand guestMemoryUsage uptime overallMemoryUsage cpuMhz numCpuCores
numCpuThreads numCpuPkgs numNics cpuModel vendor model sslThumbprint ipAddress userAgent callCount
limit reservation overallUsage unreservedForPool unreservedForVm maxUsage""".split()
MASKS = (
    (r"(?:6000C29[0-9a-f]|[0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{12}", "VOLUME"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"(?i)00:0c:29(:[0-9a-f]{2}){3}", "MAC"),
    (r"0\.\d+\.\d+ \(API", "VERSION (API"),
)


def masked(text):
    """Text of a response, a line for each element or member."""
    for pattern, mask in MASKS:
        text = re.sub(pattern, mask, text)
    for name in VOLATILE:
        text = re.sub(rf"(<{name}(?: [^>]*)?>)[^<]+(</{name}>)", r"\1~\2", text)
        text = re.sub(rf'("{name}": )("[^"]*"|-?[0-9.]+)', r"\1~", text)
    return text.replace("><", ">\n<") + "\n"


class Wire:
    """Requests as text."""

    def __init__(self, host, client):
        self.url, self.client = f"https://127.0.0.1:{host.port}/sdk", client
        self.cookie = client.si._stub.cookie.split(";")[0]
        self.key = re.search('vmware_soap_session="?([0-9a-f]+)', self.cookie).group(1)

    def send(self, path, body, **headers):
        request = urllib.request.Request(self.url + path, body and body.encode(), headers)
        try:
            return urllib.request.urlopen(request, context=context()).read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()

    def soap(self, inner, session=True):
        body = ('<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/">'
                f'<e:Body>{inner}</e:Body></e:Envelope>')
        headers = {"SOAPAction": "urn:vim25/8.0.3.0", "Content-Type": "text/xml"}
        return self.send("", body, **headers, **({"Cookie": self.cookie} if session else {}))

    def soap_property(self, kind, moid, name):
        return self.soap(
            '<RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">ha-property-collector</_this>'
            f"<specSet><propSet><type>{kind}</type><pathSet>{name}</pathSet></propSet>"
            f'<objectSet><obj type="{kind}">{moid}</obj></objectSet></specSet><options/></RetrievePropertiesEx>')

    def json(self, path, body=None, session=True):
        headers = {"Content-Type": "application/json"}
        if session:
            headers["vmware-api-session-id"] = self.key
        text = self.send(f"/vim25/8.0.3.0/{path}", body, **headers)
        return json.dumps(json.loads(text), indent=1) if text else text


def make_vm(client):
    """One of each kind of device; nothing random but what is masked."""
    spec = vm_spec("golden", 64)
    spec.annotation = "a <note> & \"more\""
    cdrom = vim.vm.device.VirtualCdrom(
        key=-9, controllerKey=200, unitNumber=0,
        backing=vim.vm.device.VirtualCdrom.RemotePassthroughBackingInfo(deviceName="", exclusive=False),
        connectable=vim.vm.device.VirtualDevice.ConnectInfo(startConnected=False, connected=False,
                                                            allowGuestControl=True))
    spec.deviceChange += [disk(-5, 2048, unit=1), device("add", cdrom)]
    return wait(client.folder.CreateVM_Task(spec, client.pool))


def properties(client, vm):
    datastore, network = client.datacenter.datastore[0], client.datacenter.network[0]
    for kind, moid, names in (
            ("ServiceInstance", "ServiceInstance", "content"),
            ("Folder", "ha-folder-root", "childEntity childType name parent overallStatus effectiveRole"),
            ("Datacenter", "ha-datacenter", "datastore network vmFolder"),
            ("ComputeResource", "ha-compute-res", "host resourcePool environmentBrowser"),
            ("ResourcePool", "ha-root-pool", "config owner"),
            ("HostSystem", "ha-host", "configManager capability"),
            ("Datastore", datastore._moId, "summary info capability host"),
            ("Network", network._moId, "summary vm"),
            ("HostNetworkSystem", "networkSystem", "networkConfig capabilities"),
            ("LicenseManager", "ha-license-manager", "licenses"),
            ("OptionManager", "ha-adv-options", "supportedOption setting"),
            ("VirtualMachine", vm._moId, "config runtime summary snapshot resourcePool layoutEx"),
            ("HostFirewallSystem", "firewallSystem", "firewallInfo")):
        for name in names.split():
            yield kind, moid, name


def compare(tap, file, text, update):
    path = os.path.join(GOLDEN, file)
    if update:
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
    try:
        with open(path, encoding="utf-8") as golden:
            want = golden.read()
    except OSError:
        want = ""
    difference = difflib.unified_diff(want.splitlines(), text.splitlines(), "golden", "now", lineterm="", n=1)
    tap.check(file, text == want, "\n".join(difference)[:3000])


def objects(tap, host, wire, update):
    client = wire.client
    vm = make_vm(client)
    for kind, moid, name in properties(client, vm):
        stem = f"{kind}.{name}"
        compare(tap, f"{stem}.xml", masked(wire.soap_property(kind, moid, name)), update)
        compare(tap, f"{stem}.json", masked(wire.json(f"{kind}/{urllib.request.quote(moid)}/{name}")), update)


def faults(tap, host, wire, update):
    login = ('<Login xmlns="urn:vim25"><_this type="SessionManager">ha-sessionmgr</_this>'
             "<userName>nobody</userName><password>x</password></Login>")
    gone = '<PowerOnVM_Task xmlns="urn:vim25"><_this type="VirtualMachine">999</_this></PowerOnVM_Task>'
    cases = {
        "InvalidLogin.xml": lambda: wire.soap(login, session=False),
        "InvalidLogin.json": lambda: wire.json("SessionManager/ha-sessionmgr/Login",
                                               '{"userName": "nobody", "password": "x"}', session=False),
        "NotAuthenticated.xml": lambda: wire.soap(gone, session=False),
        "NotAuthenticated.json": lambda: wire.json("HostSystem/ha-host/name", session=False),
        "ManagedObjectNotFound.xml": lambda: wire.soap(gone),
        "ManagedObjectNotFound.json": lambda: wire.json("VirtualMachine/999/PowerOnVM_Task", "{}"),
        "InvalidPowerState.json": lambda: wire.json(f"VirtualMachine/{1}/ShutdownGuest", "{}"),
        "NotSupported.xml": lambda: wire.soap(
            '<RebootHost_Task xmlns="urn:vim25"><_this type="HostSystem">ha-host</_this><force>true</force>'
            "</RebootHost_Task>"),
        "InvalidProperty.xml": lambda: wire.soap_property("HostSystem", "ha-host", "nonsense"),
        "AlreadyExists.xml": lambda: wire.soap(
            '<AddVirtualSwitch xmlns="urn:vim25"><_this type="HostNetworkSystem">networkSystem</_this>'
            "<vswitchName>vSwitch0</vswitchName></AddVirtualSwitch>"),
    }
    for name, action in cases.items():
        compare(tap, f"fault.{name}", masked(action()), update)


def main():
    update = "--update" in sys.argv
    os.makedirs(GOLDEN, exist_ok=True)
    with Host(sys.argv[1]) as host:
        Tap().run([objects, faults], host, Wire(host, Client(connect(host))), update)


main()
