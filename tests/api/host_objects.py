#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The host's own objects, by pyVmomi: network, services, firewall, options, logs, maintenance ... TAP.

usage: host_objects.py BUILD
"""

import datetime
import hashlib
import io
import json
import os
import socket
import ssl
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from host import Host, Tap, context, eventually  # noqa: E402
from pyVim.connect import Disconnect, SmartConnect  # noqa: E402
from pyVim.task import WaitForTask  # noqa: E402
from pyVmomi import VmomiSupport, vim, vmodl  # noqa: E402


class Client:
    """A connection, and the few objects that everybody wants."""

    def __init__(self, host, user="root", password=None):
        self.si = SmartConnect(host="127.0.0.1", port=host.port, user=user,
                               pwd=password or host.password, sslContext=context())
        self.content = self.si.RetrieveContent()
        self.datacenter = self.content.rootFolder.childEntity[0]
        self.compute = self.datacenter.hostFolder.childEntity[0]
        self.host = self.compute.host[0]
        self.manager = self.host.configManager

    def make_vm(self, name, network):
        card = vim.vm.device.VirtualVmxnet3(
            key=-2, addressType="generated",
            backing=vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=network))
        spec = vim.vm.ConfigSpec(
            name=name, memoryMB=32, numCPUs=1, guestId="otherLinux64Guest",
            files=vim.vm.FileInfo(vmPathName="[datastore1]"),
            extraConfig=[vim.option.OptionValue(key="socle.engine", value="bt")],
            deviceChange=[vim.vm.device.VirtualDeviceSpec(operation="add", device=card)])
        return WaitFor(self.datacenter.vmFolder.CreateVM_Task(spec, self.compute.resourcePool))


def WaitFor(task):
    WaitForTask(task)
    return task.info.result


def group(name, switch, vlan=0, policy=None):
    return vim.host.PortGroup.Specification(name=name, vswitchName=switch, vlanId=vlan,
                                            policy=policy or vim.host.NetworkPolicy())


def network(tap, host, client):
    system = client.manager.networkSystem
    info = system.networkInfo
    tap.equal("one switch at first", [s.name for s in info.vswitch], ["vSwitch0"])
    tap.equal("one port group on it", [(g.spec.name, g.vswitch) for g in info.portgroup],
              [("VM Network", info.vswitch[0].key)])
    tap.equal("what nobody set has a default", info.portgroup[0].computedPolicy.security.macChanges, False)
    tap.check("hosted mode has no VLAN, and says so", not system.capabilities.supportsVlan)
    tap.equal("cards are those with a device", sorted(n.device for n in info.pnic),
              sorted(n for n in os.listdir("/sys/class/net") if os.path.exists(f"/sys/class/net/{n}/device")))
    tap.check("vmk0 has an address of this machine",
              all(n.spec.ip.ipAddress and n.spec.mac for n in info.vnic) and len(info.vnic) > 0, info.vnic)

    system.AddVirtualSwitch("lab", vim.host.VirtualSwitch.Specification(numPorts=64, mtu=9000))
    policy = vim.host.NetworkPolicy(security=vim.host.NetworkPolicy.SecurityPolicy(allowPromiscuous=True))
    system.AddPortGroup(group("lab net", "lab", 12, policy))
    config = client.host.config.network
    tap.equal("the new switch is in the host's configuration at once",
              [(s.name, s.mtu, s.numPorts) for s in config.vswitch],
              [("vSwitch0", 1500, 4096), ("lab", 9000, 64)])
    made = [g for g in config.portgroup if g.spec.name == "lab net"][0]
    tap.equal("its port group", (made.spec.vlanId, made.vswitch), (12, "key-vim.host.VirtualSwitch-lab"))
    security = made.computedPolicy.security
    tap.equal("its own policy over the switch's", (security.allowPromiscuous, security.forgedTransmits),
              (True, False))
    tap.equal("the policy is kept as it was given", made.spec.policy.security.forgedTransmits, None)
    tap.equal("a network of that name", sorted(n.name for n in client.datacenter.network),
              ["VM Network", "lab net"])
    fault = tap.raises("a switch's name twice", vim.fault.AlreadyExists, lambda: system.AddVirtualSwitch("lab"))
    tap.equal("the fault names it", fault and fault.name, "lab")
    tap.raises("a port group's name twice", vim.fault.AlreadyExists,
               lambda: system.AddPortGroup(group("lab net", "lab")))
    tap.raises("a port group on no switch", vim.fault.NotFound, lambda: system.AddPortGroup(group("x", "none")))
    tap.raises("a VLAN that is none", vmodl.fault.InvalidArgument,
               lambda: system.AddPortGroup(group("x", "lab", 4096)))
    bond = vim.host.VirtualSwitch.BondBridge(nicDevice=["eth0"])
    tap.raises("an uplink, in hosted mode", vim.fault.HostConfigFault,
               lambda: system.AddVirtualSwitch("up", vim.host.VirtualSwitch.Specification(numPorts=8, bridge=bond)))
    system.UpdateVirtualSwitch("lab", vim.host.VirtualSwitch.Specification(numPorts=32, mtu=1400))
    tap.equal("changed", [(s.numPorts, s.mtu) for s in system.networkInfo.vswitch if s.name == "lab"], [(32, 1400)])
    system.UpdatePortGroup("lab net", group("lab two", "lab", 7))
    tap.equal("renamed", sorted(n.name for n in client.datacenter.network), ["VM Network", "lab two"])


def network_in_use(tap, host, client):
    system = client.manager.networkSystem
    vm = client.make_vm("wired", "lab two")
    tap.equal("the VM is on its network", [n.name for n in vm.network], ["lab two"])
    lab = [n for n in client.datacenter.network if n.name == "lab two"][0]
    tap.equal("the network has the VM", [v.name for v in lab.vm], ["wired"])
    other = [n for n in client.datacenter.network if n.name == "VM Network"][0]
    tap.equal("the other has not", list(other.vm), [])
    WaitFor(vm.PowerOnVM_Task())
    fault = tap.raises("a port group that a running VM uses stays", vim.fault.ResourceInUse,
                       lambda: system.RemovePortGroup("lab two"))
    tap.equal("the fault names it", fault and fault.name, "lab two")
    tap.raises("so does its switch", vim.fault.ResourceInUse, lambda: system.RemoveVirtualSwitch("lab"))
    WaitFor(vm.PowerOffVM_Task())
    WaitFor(vm.Destroy_Task())


def network_at_once(tap, host, client):
    system = client.manager.networkSystem
    before = system.networkConfig
    both = vim.host.NetworkConfig(
        vswitch=[vim.host.VirtualSwitch.Config(changeOperation="add", name="s2",
                                               spec=vim.host.VirtualSwitch.Specification(numPorts=8))],
        portgroup=[vim.host.PortGroup.Config(changeOperation="remove", spec=group("lab two", "lab")),
                   vim.host.PortGroup.Config(changeOperation="add", spec=group("p2", "s2"))])
    system.UpdateNetworkConfig(both, "modify")
    tap.equal("several changes at once", sorted(n.name for n in client.datacenter.network), ["VM Network", "p2"])
    tap.raises("one of them wrong", vim.fault.NotFound, lambda: system.UpdateNetworkConfig(both, "modify"))
    tap.equal("none was made", [p.spec.name for p in system.networkConfig.portgroup], ["VM Network", "p2"])
    host.stop()
    host.start()
    client.__init__(host)
    system = client.manager.networkSystem
    tap.equal("kept over a restart", [(p.spec.name, p.spec.vswitchName) for p in system.networkConfig.portgroup],
              [("VM Network", "vSwitch0"), ("p2", "s2")])
    system.RemoveVirtualSwitch("s2")
    system.RemoveVirtualSwitch("lab")
    tap.equal("a switch takes its port groups along", [n.name for n in client.datacenter.network], ["VM Network"])
    tap.equal("as it was", len(system.networkConfig.vswitch), len(before.vswitch) - 1)


def options(tap, host, client):
    manager = client.manager.advancedOption
    key = "Security.AccountLockFailures"
    tap.equal("an option", [(o.key, o.value) for o in manager.QueryOptions(key)], [(key, 5)])
    tap.equal("a subtree", len(manager.QueryOptions("Security.")), 2)
    fault = tap.raises("one that is none", vim.fault.InvalidName, lambda: manager.QueryOptions("Net.Nothing"))
    tap.equal("the fault names it", fault and fault.name, "Net.Nothing")
    option = [o for o in manager.supportedOption if o.key == key][0]
    tap.equal("its range", (option.optionType.min, option.optionType.max, option.optionType.defaultValue), (0, 100, 5))
    set_option(manager, key, 2)
    tap.equal("set", manager.QueryOptions(key)[0].value, 2)
    tap.equal("seen by the other door", client.content.setting.QueryOptions(key)[0].value, 2)
    tap.equal("and in the host's configuration", [o.value for o in client.host.config.option if o.key == key], [2])
    tap.raises("out of range", vmodl.fault.InvalidArgument, lambda: set_option(manager, key, 101))
    tap.raises("no number", vmodl.fault.InvalidArgument, lambda: set_option(manager, key, "many"))
    for _ in range(2):
        tap.raises("a wrong password", vim.fault.InvalidLogin, lambda: Client(host, "nobody", "x"))
    accounts = client.content.accountManager
    accounts.CreateUser(vim.host.LocalAccountManager.AccountSpecification(id="locked", password="Look-123456"))
    for _ in range(2):
        tap.raises("a wrong password", vim.fault.InvalidLogin, lambda: Client(host, "locked", "x"))
    tap.raises("locked after two", vim.fault.InvalidLogin, lambda: Client(host, "locked", "Look-123456"))
    set_option(manager, key, 5)
    accounts.RemoveUser("locked")


def change_password(host, user, old, new, key=None):
    """By JSON, for this pyVmomi's types are older than the method. The fault, or {}."""
    request = urllib.request.Request(
        f"https://127.0.0.1:{host.port}/sdk/vim25/8.0.3.0/HostLocalAccountManager/ha-localacctmgr/ChangePassword",
        json.dumps({"user": user, "oldPassword": old, "newPassword": new}).encode(),
        {"Content-Type": "application/json", **({"vmware-api-session-id": key} if key else {})})
    try:
        urllib.request.urlopen(request, context=context()).close()
        return {}
    except urllib.error.HTTPError as error:
        return json.loads(error.read())


def own_password(tap, host, client):
    """By who is no administrator, and by who is not logged in: the old password is what lets him."""
    first, second = "First-123456", "Second-123456"
    accounts, authority = client.content.accountManager, client.content.authorizationManager
    accounts.CreateUser(vim.host.LocalAccountManager.AccountSpecification(id="rosa", password=first))
    authority.SetEntityPermissions(client.content.rootFolder, [
        vim.AuthorizationManager.Permission(principal="rosa", group=False, roleId=-2, propagate=True)])

    def change(*passwords, user="rosa"):
        return change_password(host, user, *passwords).get("_typeName")

    own = Client(host, "rosa", first)
    tap.raises("no administrator", vim.fault.NoPermission, lambda: own.content.accountManager.UpdateUser(
        vim.host.LocalAccountManager.AccountSpecification(id="rosa", password=second)))
    tap.equal("a wrong old one", change("x", second), "InvalidLogin")
    tap.equal("nobody's", change("x", second, user="none"), "InvalidLogin")
    fault = change_password(host, "rosa", first, "x")
    tap.equal("none", (fault["_typeName"], fault["invalidProperty"]), ("InvalidArgument", "newPassword"))
    key = own.si._stub.cookie.split('"')[1]
    tap.equal("in a session", change_password(host, "rosa", first, second, key), {})
    tap.check("which goes on", own.content.sessionManager.currentSession)
    tap.raises("the old one is none now", vim.fault.InvalidLogin, lambda: Client(host, "rosa", first))
    tap.equal("without one", change(second, first), None)
    tap.raises("what the old one opened ends", vim.fault.NotAuthenticated,
               lambda: own.host.summary.hardware)
    tap.equal("guesses", {change("x", second) for _ in range(5)}, {"InvalidLogin"})
    tap.equal("locked after five", change(first, second), "InvalidLogin")
    tap.raises("for logins too", vim.fault.InvalidLogin, lambda: Client(host, "rosa", first))
    authority.RemoveEntityPermission(client.content.rootFolder, "rosa", False)
    accounts.RemoveUser("rosa")


def set_option(manager, key, value):
    if isinstance(value, int):
        value = VmomiSupport.vmodlTypes["long"](value)
    manager.UpdateOptions([vim.option.OptionValue(key=key, value=value)])


def maintenance(tap, host, client):
    vm = client.make_vm("worker", "VM Network")
    WaitFor(vm.PowerOnVM_Task())
    task = client.host.EnterMaintenanceMode_Task(0)
    time.sleep(0.6)
    tap.equal("it waits for the VM", (task.info.state, client.host.runtime.inMaintenanceMode), ("running", False))
    tap.raises("one at a time", vim.fault.InvalidState,
               lambda: client.host.EnterMaintenanceMode_Task(0))
    WaitFor(vm.PowerOffVM_Task())
    WaitFor(task)
    tap.equal("entered once it is off", client.host.runtime.inMaintenanceMode, True)
    tap.raises("no VM starts now", vim.fault.InvalidState, lambda: WaitFor(vm.PowerOnVM_Task()))
    host.stop()
    host.start()
    client.__init__(host)
    tap.equal("kept over a restart", client.host.runtime.inMaintenanceMode, True)
    tap.equal("in the summary", client.host.summary.runtime.inMaintenanceMode, True)
    WaitFor(client.host.ExitMaintenanceMode_Task(0))
    tap.equal("left", client.host.runtime.inMaintenanceMode, False)
    tap.raises("not twice", vim.fault.InvalidState, lambda: client.host.ExitMaintenanceMode_Task(0))
    vm = [v for v in client.datacenter.vmFolder.childEntity if v.name == "worker"][0]
    WaitFor(vm.PowerOnVM_Task())
    tap.raises("a time that runs out", vim.fault.Timedout,
               lambda: WaitFor(client.host.EnterMaintenanceMode_Task(1)))
    task = client.host.EnterMaintenanceMode_Task(0)
    task.CancelTask()
    tap.raises("cancelled", vmodl.fault.RequestCanceled, lambda: WaitFor(task))
    WaitFor(vm.PowerOffVM_Task())
    WaitFor(vm.Destroy_Task())


def services(tap, host, client):
    system = client.manager.serviceSystem
    names = {s.key: s for s in system.serviceInfo.service}
    tap.equal("services that people look for", sorted(names), ["TSM-SSH", "ntpd", "snmpd"])
    running = subprocess.run(["pgrep", "-x", "sshd"], stdout=subprocess.DEVNULL, check=False).returncode == 0
    tap.equal("SSH runs if it does", names["TSM-SSH"].running, running)
    tap.raises("hosted mode starts none", vim.fault.HostConfigFault, lambda: system.StartService("TSM-SSH"))
    tap.raises("one that is none", vim.fault.NotFound, lambda: system.StartService("nothing"))
    clock = client.manager.dateTimeSystem
    tap.check("the time is the machine's", abs(clock.QueryDateTime().timestamp() - time.time()) < 10)
    tap.equal("in UTC", [z.key for z in clock.QueryAvailableTimeZones()], ["UTC"])
    tap.raises("the clock is not ours", vim.fault.HostConfigFault,
               lambda: clock.UpdateDateTime(clock.QueryDateTime()))
    clock.UpdateDateTimeConfig(vim.host.DateTimeConfig(timeZone="UTC"))
    tap.raises("no other time zone", vmodl.fault.InvalidArgument,
               lambda: clock.UpdateDateTimeConfig(vim.host.DateTimeConfig(timeZone="CET")))


def firewall(tap, host, client):
    system = client.manager.firewallSystem
    rule = system.firewallInfo.ruleset[0]
    tap.equal("the rule set of the API", (rule.key, rule.enabled, rule.required, rule.allowedHosts.allIp),
              ("vSphereClient", True, True, True))
    tap.raises("it is required", vim.fault.HostConfigFault, lambda: system.DisableRuleset("vSphereClient"))
    system.EnableRuleset("vSphereClient")
    tap.raises("another one", vim.fault.NotFound, lambda: system.EnableRuleset("sshServer"))

    def allow(*addresses, network=None):
        networks = [vim.host.Ruleset.IpNetwork(network=network[0], prefixLength=network[1])] if network else []
        system.UpdateRuleset("vSphereClient", vim.host.Ruleset.RulesetSpec(allowedHosts=vim.host.Ruleset.IpList(
            allIp=False, ipAddress=list(addresses), ipNetwork=networks)))

    def seen_from(peer):
        """hostd's status for a request of the front from that address."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(f"{host.root}/run/http.sock")
            s.sendall(f"GET /folder HTTP/1.1\r\nHost: x\r\nX-Real-IP: {peer}\r\nConnection: close\r\n\r\n".encode())
            return int(s.recv(64).split()[1])

    tap.equal("everybody", seen_from("192.0.2.7"), 401)
    allow("192.0.2.7", network=("2001:db8::", 32))
    tap.equal("an address that is allowed", seen_from("192.0.2.7"), 401)
    tap.equal("one that is not", seen_from("192.0.2.8"), 403)
    tap.equal("of a network that is", seen_from("2001:db8:1::5"), 401)
    tap.equal("and of one that is not", seen_from("2001:db9::5"), 403)
    tap.equal("the machine itself always", seen_from("127.0.0.1"), 401)
    allow(network=("192.0.2.0", 28))
    tap.equal("15 of 28 bits", (seen_from("192.0.2.15"), seen_from("192.0.2.16")), (401, 403))
    tap.raises("no address", vmodl.fault.InvalidArgument, lambda: allow("192.0.2"))
    tap.raises("no prefix", vmodl.fault.InvalidArgument, lambda: allow(network=("192.0.2.0", 33)))
    system.UpdateRuleset("vSphereClient", vim.host.Ruleset.RulesetSpec(
        allowedHosts=vim.host.Ruleset.IpList(allIp=True)))
    tap.equal("everybody again", seen_from("192.0.2.8"), 401)


def hardware(tap, host, client):
    health = client.manager.healthStatusSystem.runtime.systemHealthInfo.numericSensorInfo
    chips = [d for d in os.listdir("/sys/class/hwmon")] if os.path.isdir("/sys/class/hwmon") else []
    tap.equal("the sum of all sensors is the last", health[-1].name, "VMware Rollup Health State")
    tap.check("no other sensors where the machine has none", chips or len(health) == 1, health)
    tap.check("and then the sum is not known", len(health) > 1 or health[0].healthState.key == "unknown", health)
    power = client.manager.powerSystem
    tap.check("the power policy is one of those that there are",
              power.info.currentPolicy.key in [p.key for p in power.capability.availablePolicy])
    tap.raises("no policy", vmodl.fault.InvalidArgument, lambda: power.ConfigurePowerPolicy(9))
    power.ConfigurePowerPolicy(power.info.currentPolicy.key)
    vnic = client.manager.virtualNicManager
    management = vnic.QueryNetConfig("management")
    tap.equal("what has an address serves management", len(management.selectedVnic), len(management.candidateVnic))
    tap.equal("nothing serves vMotion", list(vnic.QueryNetConfig("vmotion").selectedVnic), [])
    tap.raises("a kind that is none", vmodl.fault.InvalidArgument, lambda: vnic.QueryNetConfig("x"))
    tap.equal("no vSAN", client.manager.vsanSystem.QueryHostStatus().nodeState.state, "disabled")
    image = client.manager.imageConfigManager
    tap.equal("what is installed", [p.name for p in image.FetchSoftwarePackages()], ["socle"])
    tap.equal("how it is accepted", image.HostImageConfigGetAcceptance(), "community")
    config = client.host.config
    tap.check("the configuration has them too", config.powerSystemInfo and config.firewall.ruleset and
              config.service.service and config.virtualNicManagerInfo.netConfig and config.optionDef, config)


def environment(tap, host, client):
    """What VMs can be made of."""
    browser = client.compute.environmentBrowser
    option = browser.QueryConfigOption()
    kinds = [type(d).__name__.split(".")[-1] for d in option.defaultDevice]
    tap.equal("devices that every VM has", sorted(set(kinds)), [
        "VirtualIDEController", "VirtualKeyboard", "VirtualPCIController", "VirtualPS2Controller",
        "VirtualPointingDevice", "VirtualSIOController", "VirtualVideoCard"])
    keyboard = [d for d in option.defaultDevice if d.key == 600][0]
    tap.equal("under the keys that clients count on", (keyboard.controllerKey, kinds.count("VirtualIDEController")),
              (300, 2))
    ahci, cdrom = option.hardwareOptions.virtualDeviceOption[:2]
    tap.equal("CD drives stand at a SATA controller", (ahci.type, ahci.numSATACdroms.max, cdrom.type, cdrom.controllerType,
              [g.recommendedCdromController for g in option.guestOSDescriptor[:1]]),
              (vim.vm.device.VirtualAHCIController, 30, vim.vm.device.VirtualCdrom, vim.vm.device.VirtualAHCIController,
               [vim.vm.device.VirtualAHCIController]))
    vm = client.make_vm("drives", "VM Network")
    spec = vim.vm.ConfigSpec(deviceChange=[vim.vm.device.VirtualDeviceSpec(operation="add", device=device) for device in (
        vim.vm.device.VirtualAHCIController(key=-1, busNumber=0),
        vim.vm.device.VirtualCdrom(key=-2, backing=vim.vm.device.VirtualCdrom.RemotePassthroughBackingInfo(
            deviceName="", exclusive=False)))])
    WaitFor(vm.ReconfigVM_Task(spec))
    tap.equal("one that names no controller, too", [(d.key, d.controllerKey) for d in vm.config.hardware.device
                                                    if isinstance(d, vim.vm.device.VirtualCdrom)], [(16000, 15000)])
    WaitFor(vm.Destroy_Task())
    tap.equal("normal shares of one vCPU", option.hardwareOptions.resourceConfigOption.cpuAllocationOption.sharesOption
              .sharesOption.defaultValue, 1000)
    tap.check("shares have a range", option.hardwareOptions.resourceConfigOption.cpuAllocationOption.sharesOption
              .sharesOption.max > 0)
    target = browser.QueryConfigTarget()
    tap.equal("datastores", [(d.name, d.datastore.capacity > 0, d.mode) for d in target.datastore],
              [("datastore1", True, "readWrite")])
    tap.equal("networks", [n.name for n in target.network], ["VM Network"])
    tap.equal("what the host can", browser.QueryTargetCapabilities().maintenanceModeSupported, True)
    hardware = client.host.hardware
    functions = os.listdir("/sys/bus/pci/devices") if os.path.isdir("/sys/bus/pci/devices") else []
    tap.equal("PCI functions", sorted(d.id for d in hardware.pciDevice), sorted(functions))
    nodes = [n for n in os.listdir("/sys/devices/system/node") if n[4:].isdigit()] \
        if os.path.isdir("/sys/devices/system/node") else ["node0"]
    tap.equal("memory nodes", (hardware.numaInfo.numNodes, len(hardware.numaInfo.numaNode)), (len(nodes), len(nodes)))
    uptime = client.host.RetrieveHardwareUptime()
    tap.check("uptime", abs(uptime - float(open("/proc/uptime", encoding="ascii").read().split()[0])) < 5, uptime)
    licenses = client.content.licenseManager
    tap.equal("no licence is needed", (len(licenses.licenses), licenses.CheckLicenseFeature(featureKey="vsmp"),
                                       licenses.QueryLicenseUsage().sourceAvailable), (1, True, True))


def autostart(tap, host, client):
    manager = client.manager.autoStartManager
    vms = [client.make_vm(f"auto{i}", "VM Network") for i in range(2)]
    power = vim.host.AutoStartManager.AutoPowerInfo
    manager.ReconfigureAutostart(vim.host.AutoStartManager.Config(
        defaults=vim.host.AutoStartManager.SystemDefaults(enabled=False, startDelay=1, stopDelay=2, stopAction="powerOff"),
        powerInfo=[power(key=vm, startOrder=i + 1, startDelay=1, stopDelay=-1, waitForHeartbeat="no",
                         startAction="powerOn", stopAction=("guestShutdown", "systemDefault")[i])
                   for i, vm in enumerate(vms)]))
    manager.AutoStartPowerOn()
    tap.check("started one after another", eventually(lambda: [v.runtime.powerState for v in vms] == ["poweredOn"] * 2),
              [v.runtime.powerState for v in vms])
    manager.AutoStartPowerOff()
    tap.check("the last is stopped first", eventually(
        lambda: [v.runtime.powerState for v in vms] == ["poweredOn", "poweredOff"]), [v.runtime.powerState for v in vms])
    tap.check("a guest that does not listen is cut off", eventually(lambda: vms[0].runtime.powerState == "poweredOff"))
    for vm in vms:
        WaitFor(vm.Destroy_Task())


def access(tap, host, client):
    manager = client.manager.hostAccessManager
    accounts = client.content.accountManager
    accounts.CreateUser(vim.host.LocalAccountManager.AccountSpecification(id="guest", password="Look-123456"))
    tap.equal("who may what", [(e.principal, e.accessMode) for e in manager.RetrieveHostAccessControlEntries()],
              [("root", "accessAdmin")])
    tap.raises("without any right nobody comes in", vim.fault.InvalidLogin, lambda: Client(host, "guest", "Look-123456"))
    manager.ChangeAccessMode("guest", False, "accessReadOnly")
    tap.equal("now he reads", Client(host, "guest", "Look-123456").host.name, client.host.name)
    manager.ChangeAccessMode("guest", False, "accessNone")
    tap.raises("and no longer", vim.fault.InvalidLogin, lambda: Client(host, "guest", "Look-123456"))
    tap.raises("root stays", vim.fault.AuthMinimumAdminPermission,
               lambda: manager.ChangeAccessMode("root", False, "accessReadOnly"))
    tap.raises("a user that is none", vim.fault.UserNotFound,
               lambda: manager.ChangeAccessMode("nobody", False, "accessAdmin"))
    tap.equal("no lockdown", manager.lockdownMode, "lockdownDisabled")
    accounts.RemoveUser("guest")


def logs(tap, host, client):
    manager = client.content.diagnosticManager
    vm = client.make_vm("logged", "VM Network")
    WaitFor(vm.PowerOnVM_Task())
    keys = [d.key for d in manager.QueryDescriptions()]
    mine = f"vm-{vm._moId}"
    tap.equal("logs of hostd, the front, the VM", [k in keys for k in ("hostd", "front", mine)], [True] * 3)
    whole = host.log().split("\n")[:-1]
    header = manager.BrowseDiagnosticLog(key="hostd", start=2, lines=2)
    tap.equal("two lines", (header.lineStart, header.lineEnd, header.lineText), (2, 3, whole[1:3]))
    header = manager.BrowseDiagnosticLog(key="hostd", start=2**31 - 1, lines=10)
    tap.equal("behind the end", (header.lineEnd, len(header.lineText)), (len(whole), 0))
    text = manager.BrowseDiagnosticLog(key=mine).lineText
    tap.check("the VM's", any("starts" in line for line in text), text)
    WaitFor(vm.PowerOffVM_Task())
    tap.check("and its end", eventually(
        lambda: any("has ended" in line for line in manager.BrowseDiagnosticLog(key=mine).lineText)))
    for key in ("nothing", "../password", "hostd.log", "", "/etc/passwd"):
        tap.raises(f"no log {key!r}", vim.fault.CannotAccessFile, lambda k=key: manager.BrowseDiagnosticLog(key=k))
    WaitFor(vm.ReconfigVM_Task(vim.vm.ConfigSpec(
        extraConfig=[vim.option.OptionValue(key="RemoteDisplay.vnc.password", value="hush-hush")])))
    bundle(tap, host, client, manager)
    WaitFor(vm.Destroy_Task())


def bundle(tap, host, client, manager):
    info = WaitFor(manager.GenerateLogBundles_Task(includeDefault=True))[0]
    url = info.url.replace("*", f"127.0.0.1:{host.port}")
    cookie = client.si._stub.cookie.split(";")[0]
    fetched = urllib.request.urlopen(urllib.request.Request(url, headers={"Cookie": cookie}), context=context())
    data = fetched.read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = {m.name.split("/", 1)[1]: tar.extractfile(m).read() for m in tar.getmembers()}
    tap.check("a bundle has what is needed", {"log/hostd.log", "log/front.log", "config/inventory.json",
                                              "machine/meminfo", "machine/mounts"} <= set(members), sorted(members))
    tap.check("and the VMs", any(b"hush-hush" not in v and b"(left out)" in v
                                 for k, v in members.items() if k.startswith("vm/")), sorted(members))
    with open(f"{host.root}/config/accounts.json", encoding="utf-8") as file:
        hashes = [a["hash"].encode() for a in json.load(file)["users"]]
    secrets = hashes + [host.password.encode(), b"PRIVATE KEY", b"hush-hush"]
    tap.equal("nothing secret", [s for s in secrets for v in members.values() if s in v], [])

    def status(address, **headers):
        try:
            return urllib.request.urlopen(urllib.request.Request(address, headers=headers), context=context()).status
        except urllib.error.HTTPError as error:
            return error.code

    tap.equal("not without a session", status(url), 401)
    for name in ("x.tgz", "..%2f..%2fpassword", "../../password", ""):
        code = status(f"https://127.0.0.1:{host.port}/downloads/{name}", Cookie=cookie)
        tap.check(f"nor another file {name!r}", code in (400, 404), code)
    for _ in range(4):
        WaitFor(manager.GenerateLogBundles_Task(includeDefault=True))
    tap.equal("the newest are kept", len(os.listdir(f"{host.root}/run/downloads")), 3)


def thumbprint(host):
    return hashlib.sha1(ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", host.port)))).hexdigest()


def certificates(tap, host, client):
    manager = client.manager.certificateManager
    info = manager.certificateInfo
    tap.check("the certificate", "CN=" in info.subject and info.issuer == info.subject and info.status == "good" and
              info.notBefore < info.notAfter, info)
    request = manager.GenerateCertificateSigningRequestByDn("/O=Test/CN=host.example")
    tap.raises("no name", vim.fault.HostConfigFault, lambda: manager.GenerateCertificateSigningRequestByDn("host"))
    folder = host.folder
    with open(f"{folder}/csr", "w", encoding="ascii") as file:
        file.write(request)

    def openssl(*arguments):
        return subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout

    tap.check("is a signing request", "CN = host.example" in openssl("req", "-in", "csr", "-noout", "-subject", "-verify"))
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key",
            "-out", "ca.pem", "-subj", "/CN=ca", "-days", "400")
    openssl("x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-out", "new.pem", "-days", "30")
    with open(f"{folder}/new.pem", encoding="ascii") as file:
        new = file.read()
    with open(f"{folder}/ca.pem", encoding="ascii") as file:
        foreign = file.read()
    before = thumbprint(host)
    tap.raises("a certificate for another key", vim.fault.HostConfigFault,
               lambda: manager.InstallServerCertificate(foreign))
    tap.raises("none at all", vim.fault.HostConfigFault, lambda: manager.InstallServerCertificate("x"))
    manager.InstallServerCertificate(new)
    wanted = hashlib.sha1(ssl.PEM_cert_to_DER_cert(new)).hexdigest()
    tap.check("installed, it serves", before != wanted and eventually(lambda: thumbprint(host) == wanted))
    client.__init__(host)
    info = client.manager.certificateManager.certificateInfo
    tap.equal("and is told", (info.issuer, info.status), ("CN=ca", "expiringShortly"))


def privileges(tap, host, client):
    """What changes the host asks for a privilege."""
    accounts = client.content.accountManager
    accounts.CreateUser(vim.host.LocalAccountManager.AccountSpecification(id="looker", password="Look-123456"))
    permission = vim.AuthorizationManager.Permission(principal="looker", group=False, roleId=-2, propagate=True)
    client.content.authorizationManager.SetEntityPermissions(client.content.rootFolder, [permission])
    other = Client(host, "looker", "Look-123456")
    manager = other.manager
    tap.equal("a reader reads", manager.networkSystem.networkInfo.vswitch[0].name, "vSwitch0")
    for name, action in denied(other):
        tap.raises(f"a reader may not: {name}", vim.fault.NoPermission, action)
    Disconnect(other.si)


def denied(other):
    system = other.manager.networkSystem
    yield "AddVirtualSwitch", lambda: system.AddVirtualSwitch("x")
    yield "RemovePortGroup", lambda: system.RemovePortGroup("VM Network")
    yield "UpdateOptions", lambda: set_option(other.manager.advancedOption, "Security.AccountUnlockTime", 1)
    yield "UpdateRuleset", lambda: other.manager.firewallSystem.UpdateRuleset(
        "vSphereClient", vim.host.Ruleset.RulesetSpec(allowedHosts=vim.host.Ruleset.IpList(allIp=True)))
    yield "StartService", lambda: other.manager.serviceSystem.StartService("TSM-SSH")
    yield "UpdateDateTime", lambda: other.manager.dateTimeSystem.UpdateDateTime(datetime.datetime.now())
    yield "ConfigurePowerPolicy", lambda: other.manager.powerSystem.ConfigurePowerPolicy(1)
    yield "ChangeAccessMode", lambda: other.manager.hostAccessManager.ChangeAccessMode("looker", False, "accessAdmin")
    yield "FetchSoftwarePackages", lambda: other.manager.imageConfigManager.FetchSoftwarePackages()
    yield "InstallServerCertificate", lambda: other.manager.certificateManager.InstallServerCertificate("x")
    yield "certificateInfo", lambda: other.manager.certificateManager.certificateInfo
    yield "BrowseDiagnosticLog", lambda: other.content.diagnosticManager.BrowseDiagnosticLog(key="hostd")
    yield "GenerateLogBundles_Task", lambda: other.content.diagnosticManager.GenerateLogBundles_Task(includeDefault=True)
    yield "AutoStartPowerOff", lambda: other.manager.autoStartManager.AutoStartPowerOff()
    yield "EnterMaintenanceMode_Task", lambda: other.host.EnterMaintenanceMode_Task(0)
    yield "UpdateNetworkConfig", lambda: system.UpdateNetworkConfig(vim.host.NetworkConfig(), "modify")


def main():
    with Host(sys.argv[1]) as host:
        Tap().run([network, network_in_use, network_at_once, options, own_password, maintenance, services, firewall,
                   hardware, environment, autostart, access, logs, certificates, privileges], host, Client(host))


main()
