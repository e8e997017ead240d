#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""esxcli's commands, called as govc does: by names and XML in strings; held against what they say of themselves. TAP.

usage: host_esxcli.py BUILD
"""

import json
import os
import re
import sys
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from host import Host, Tap, context  # noqa: E402
from client import Client, connect, create, wait  # noqa: E402

XSI = "{http://www.w3.org/2001/XMLSchema-instance}type"
VIM = "{urn:vim25}"


class Esxcli:
    """The commands of a host: call as esxcli("network.vm.list", name="value"). By VI/JSON: pyVmomi lacks the types."""

    def __init__(self, host, key):
        self.url, self.key = f"https://127.0.0.1:{host.port}/sdk/vim25/8.0.3.0", key
        self.executer = self.call("HostSystem/ha-host/RetrieveManagedMethodExecuter")["value"]
        self.types = self.call("HostSystem/ha-host/RetrieveDynamicTypeManager")["value"]

    def call(self, path, **arguments):
        request = urllib.request.Request(f"{self.url}/{path}", json.dumps(arguments).encode(), {
            "Content-Type": "application/json", "vmware-api-session-id": self.key})
        return json.load(urllib.request.urlopen(request, context=context()))

    def execute(self, moid, method, **arguments):
        return self.call(f"ReflectManagedMethodExecuter/{self.executer}/ExecuteSoap", moid=moid, method=method,
                         version="urn:vim25/5.0",
                         argument=[{"name": n, "val": f"<{n}>{v}</{n}>"} for n, v in arguments.items()])

    def fault(self, *arguments, **named):
        """The name of the fault that a call ends with."""
        try:
            return self.execute(*arguments, **named)
        except urllib.error.HTTPError as error:
            return json.load(error)["_typeName"]

    def __call__(self, command, **arguments):
        """Rows as lists of (name, value); a plain value as a string."""
        moid = "ha-cli-handler-" + command.rsplit(".", 1)[0].replace(".", "-")
        result = self.execute(moid, f"vim.EsxCLI.{command}", **arguments)
        if "fault" in result:
            raise RuntimeError(ET.fromstring(result["fault"]["faultDetail"]).find(f"{VIM}errMsg").text)
        root = ET.fromstring(result["response"])
        kind = root.get(XSI)
        if kind.startswith("xsd:"):
            return root.text
        rows = list(root) if kind == "ArrayOfDataObject" else [root]
        return [[(field.tag.replace(VIM, ""), field.text) for field in row] for row in rows]

    def info(self, space):
        result = self.execute("ha-dynamic-type-manager-local-cli-cliinfo", "vim.CLIInfo.FetchCLIInfo",
                              typeName=f"vim.EsxCLI.{space}")
        return ET.fromstring(result["response"])


SPACES = """hardware.clock hardware.platform iscsi.software network.firewall network.ip.connection
network.nic.ring.current network.nic.ring.preset network.vm software.vib system.hostname system.settings.advanced
system.stats.uptime vm.process""".split()


def by_name(tap, client, esxcli):
    host = client.host
    names = dict(esxcli("system.hostname.get")[0])
    tap.equal("the host's name", names["HostName"], host.name)
    platform = dict(esxcli("hardware.platform.get")[0])
    tap.equal("the platform", (platform["UUID"], platform["VendorName"]),
              (host.hardware.systemInfo.uuid, host.hardware.systemInfo.vendor))
    tap.check("the clock", re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", esxcli("hardware.clock.get")))
    tap.equal("no iSCSI", esxcli("iscsi.software.get"), "false")
    tap.equal("the firewall", esxcli("network.firewall.get"),
              [[("DefaultAction", "PASS"), ("Enabled", "true"), ("Loaded", "true")]])
    tap.check("uptime in microseconds",
              abs(int(esxcli("system.stats.uptime.get")) / 1e6 - host.summary.quickStats.uptime) < 5)
    tap.equal("what is installed", [dict(r)["Name"] for r in esxcli("software.vib.list")], ["socle"])
    tap.equal("the version", dict(esxcli("system.version.get")[0])["Version"], client.content.about.version)
    ports = [dict(r) for r in esxcli("network.ip.connection.list")]
    tap.check("connections: the front listens", any(
        r["LocalAddress"].endswith(f":{host._stub.host.rsplit(':', 1)[1]}") and r["State"] == "LISTEN"
        for r in ports), ports)
    options = {r["Path"]: r for r in map(dict, esxcli("system.settings.advanced.list"))}
    tap.equal("an option", options["/Security/AccountLockFailures"]["IntValue"], "5")
    one = esxcli("system.settings.advanced.list", option="/Security/AccountUnlockTime")
    tap.equal("one alone", [dict(r)["IntValue"] for r in one], ["900"])
    groups = [dict(r) for r in esxcli("network.vswitch.standard.portgroup.list")]
    tap.equal("port groups", [(g["Name"], g["VirtualSwitch"]) for g in groups], [("VM Network", "vSwitch0")])
    volumes = [dict(r) for r in esxcli("storage.filesystem.list")]
    tap.equal("volumes", [(v["VolumeName"], int(v["Size"])) for v in volumes],
              [(d.name, d.summary.capacity) for d in client.datacenter.datastore])
    tap.equal("maintenance mode", esxcli("system.maintenanceMode.get"), "Disabled")


def of_vms(tap, client, esxcli):
    tap.equal("no VM runs", (esxcli("vm.process.list"), esxcli("network.vm.list")), ([], []))
    vm = create(client, "wor<ld>")
    wait(vm.PowerOnVM_Task())
    process = [dict(r) for r in esxcli("vm.process.list")]
    tap.equal("it runs", [(p["DisplayName"], p["UUID"].replace(" ", "").replace("-", "")) for p in process],
              [("wor<ld>", vm.config.uuid.replace("-", ""))])
    tap.equal("on its network", esxcli("network.vm.list"),
              [[("Name", "wor<ld>"), ("Networks", "VM Network"), ("NumPorts", "1"), ("WorldID", process[0]["WorldID"])]])
    wait(vm.PowerOffVM_Task())
    wait(vm.Destroy_Task())


def wrong(tap, client, esxcli):
    def message(*arguments, **named):
        try:
            return esxcli(*arguments, **named)
        except RuntimeError as error:
            return str(error)

    tap.equal("a card that is not there", message("network.nic.ring.current.get", nicname="none0"),
              "none0: there is no such card")
    tap.equal("a parameter that is missing", message("network.nic.ring.preset.get"), "Missing required parameter -n")
    tap.equal("an option that is none", message("system.settings.advanced.list", option="/None"),
              "Unable to find option /None")
    for moid, method in (("ha-cli-handler-vm-process", "vim.EsxCLI.vm.process.kill"), ("x", "y"),
                         ("ha-cli-handler-vm-process", "vim.EsxCLI.network.vm.list"), ("", ""),
                         ("ha-cli-handler-vm", "vim.EsxCLI.vm.process.list")):
        tap.equal(f"no method {method} of {moid}", esxcli.fault(moid, method), "InvalidRequest")
    tap.equal("an argument that is no XML", esxcli.fault("ha-cli-handler-system-settings-advanced",
              "vim.EsxCLI.system.settings.advanced.list", option="<"), "InvalidArgument")
    tap.equal("nor of one element", esxcli.fault("ha-cli-handler-system-settings-advanced",
              "vim.EsxCLI.system.settings.advanced.list", option="<!DOCTYPE x>"), "InvalidArgument")


def direct(tap, client, esxcli):
    """As VMware's own esxcli calls a host: a command is a method, its rows are the result."""
    def call(method, moid, **arguments):
        body = "".join(f"<{n}>{v}</{n}>" for n, v in arguments.items())
        envelope = ('<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
                    f'<{method} xmlns="urn:vim25"><_this type="{method}">{moid}</_this>{body}</{method}>'
                    '</soapenv:Body></soapenv:Envelope>')
        request = urllib.request.Request(esxcli.url.split("/vim25")[0], envelope.encode(), {
            "Content-Type": "text/xml", "SOAPAction": "urn:vim25/5.0",
            "Cookie": f'vmware_soap_session="{esxcli.key}"'})
        try:
            answer = urllib.request.urlopen(request, context=context()).read()
        except urllib.error.HTTPError as error:
            return ET.fromstring(error.read()).find(".//faultstring").text
        found = ET.fromstring(answer)[0][0]
        tap.equal(f"the answer to {method}", found.tag, f"{VIM}{method}Response")
        return [(r.get(XSI), [(f.tag.replace(VIM, ""), f.text) for f in r] or r.text) for r in found]

    vm = create(client, 'wor<ld> "ArrayOfDataObject" obj>')
    wait(vm.PowerOnVM_Task())
    rows = call("VimEsxCLInetworkvmlist", "ha-cli-handler-network-vm")
    tap.equal("rows", [row for _, row in rows], esxcli("network.vm.list"))
    tap.equal("of their type", rows[0][0], "VimEsxCLInetworkvmlistVM")
    wait(vm.PowerOffVM_Task())
    wait(vm.Destroy_Task())
    tap.equal("no rows", call("VimEsxCLInetworkvmlist", "ha-cli-handler-network-vm"), [])
    tap.equal("one row", call("VimEsxCLInetworkfirewallget", "ha-cli-handler-network-firewall")[0][1],
              esxcli("network.firewall.get")[0])
    tap.equal("a plain value", call("VimEsxCLIiscsisoftwareget", "ha-cli-handler-iscsi-software"),
              [("xsd:boolean", "false")])
    one = call("VimEsxCLIsystemsettingsadvancedlist", "ha-cli-handler-system-settings-advanced",
               option="/Security/AccountUnlockTime")
    tap.equal("a parameter", [dict(r)["IntValue"] for _, r in one], ["900"])
    tap.equal("one that is wrong", call("VimEsxCLIsystemsettingsadvancedlist", "ha-cli-handler-system-settings-advanced",
                                        option="/None"), "Unable to find option /None")
    tap.check("no such command", "no method" in call("VimEsxCLInetworkvmkill", "ha-cli-handler-network-vm"))
    tap.check("of another object", "no method" in call("VimEsxCLInetworkvmlist", "ha-cli-handler-vm-process"))
    key, esxcli.key = esxcli.key, "nobody's"
    tap.check("not for strangers", "not authenticated" in call("VimEsxCLInetworkvmlist", "ha-cli-handler-network-vm"))
    esxcli.key = key


def described(tap, client, esxcli):
    for space in SPACES:
        info = esxcli.info(space)
        tap.check(f"CLIInfo of {space}", info.find(f"{VIM}name").text == space and
                  info.find(f"{VIM}method/{VIM}help").text, ET.tostring(info))
    method = esxcli.info("network.nic.ring.current").find(f"{VIM}method")
    tap.equal("with its parameters", [a.text for a in method.findall(f"{VIM}param/{VIM}aliases")], ["-n", "--nicname"])
    hints = {h.find(f"{VIM}key").text: h.find(f"{VIM}value").text for h in esxcli.info("network.vm").iter(f"{VIM}hints")}
    tap.equal("and how to show it", hints, {"formatter": "table", "table-columns": "Name,Networks,NumPorts,WorldID"})
    tap.equal("of nothing", esxcli.fault("ha-dynamic-type-manager-local-cli-cliinfo", "vim.CLIInfo.FetchCLIInfo",
                                         typeName="vim.EsxCLI.no.such"), "InvalidArgument")


READ = {"string": str, "long": int, "boolean": {"true": True, "false": False}.__getitem__}


def fits(row, fields):
    """Are these the declared fields, in their order, with values of their types?"""
    names = list(dict.fromkeys(name for name, _ in row))
    for name, text in row:
        kind = fields[name]
        READ[kind.replace("[]", "")](text or "")
        if not kind.endswith("[]") and [n for n, _ in row].count(name) > 1:
            return False
    return names == [n for n in fields if n in names]


def as_types(tap, client, esxcli):
    """Every command's answer against the type that the host tells of it."""
    manager = f"InternalDynamicTypeManager/{esxcli.types}"
    types = esxcli.call(f"{manager}/DynamicTypeMgrQueryTypeInfo")
    instances = {i["moType"]: i["id"] for i in esxcli.call(f"{manager}/DynamicTypeMgrQueryMoInstances")}
    tap.equal("an object for each namespace", sorted(instances), sorted(t["name"] for t in types["managedTypeInfo"]))
    tap.equal("all namespaces that clients ask for", sorted(s for s in SPACES if f"vim.EsxCLI.{s}" not in instances), [])
    data = {t["name"]: {p["name"]: p["type"] for p in t["property"]} for t in types["dataTypeInfo"]}
    called = 0
    for info in types["managedTypeInfo"]:
        if info["name"] == "vim.CLIInfo":
            continue
        for method in info["method"]:
            if any(not p.get("annotation") for p in method.get("paramTypeInfo", ())):
                continue
            value = esxcli(f"{info['name']}.{method['name']}".replace("vim.EsxCLI.", ""))
            kind = method["returnTypeInfo"]["type"]
            fields = data.get(kind.replace("[]", ""))
            good = all(fits(row, fields) for row in value) if fields else READ[kind](value) is not None
            tap.check(f"{info['name']}.{method['name']} is {kind}", good, value)
            called += 1
    tap.check("commands", called > 20, called)
    filtered = esxcli.call(f"{manager}/DynamicTypeMgrQueryTypeInfo", filterSpec={
        "_typeName": "DynamicTypeMgrTypeFilterSpec", "typeSubstr": "network.vm"})
    tap.equal("of one namespace", [t["name"] for t in filtered["managedTypeInfo"]], ["vim.EsxCLI.network.vm"])


def main():
    with Host(sys.argv[1]) as host:
        client = Client(connect(host))
        key = re.search('vmware_soap_session="?([0-9a-f]+)', client.si._stub.cookie).group(1)
        Tap().run([by_name, of_vms, wrong, direct, described, as_types], client, Esxcli(host, key))


main()
