#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The host's own objects, by pyVmomi: network, services, firewall, options, logs, maintenance ... TAP.

usage: host_objects.py BUILD
"""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from host import Host, Tap, context, eventually  # noqa: E402
from pyVim.connect import Disconnect, SmartConnect  # noqa: E402
from pyVim.task import WaitForTask  # noqa: E402
from pyVmomi import vim, vmodl  # noqa: E402


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
    yield "UpdateNetworkConfig", lambda: system.UpdateNetworkConfig(vim.host.NetworkConfig(), "modify")


def main():
    with Host(sys.argv[1]) as host:
        Tap().run([network, network_in_use, network_at_once, privileges], host, Client(host))


main()
