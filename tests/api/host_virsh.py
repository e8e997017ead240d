#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""libvirt's ESX driver against a whole host, by virsh. TAP.

usage: host_virsh.py BUILD
"""

import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from host import Host, Tap  # noqa: E402

DOMAIN = """<domain type='vmware'>
  <name>virt</name>
  <memory unit='KiB'>32768</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <source file='[datastore1] virt/virt.vmdk'/>
      <target dev='sda' bus='scsi'/>
      <address type='drive' controller='0' bus='0' target='0' unit='0'/>
    </disk>
    <controller type='scsi' index='0' model='vmpvscsi'/>
    <interface type='bridge'>
      <mac address='00:50:56:11:22:33'/>
      <source bridge='VM Network'/>
      <model type='vmxnet3'/>
    </interface>
  </devices>
</domain>
"""
# libvirt says on standard error what it does not know of the API's newer properties.
CHATTER = re.compile(r"^\d{4}-\d\d-\d\d .* (info|warning) :.*\n", re.MULTILINE)


class Virsh:
    def __init__(self, host):
        self.host = host
        self.auth = f"{host.folder}/auth.conf"
        with open(self.auth, "w", encoding="ascii") as file:
            file.write(f"[credentials-s]\nusername=root\npassword={host.password}\n"
                       "[auth-esx-127.0.0.1]\ncredentials=s\n")

    def __call__(self, *arguments):
        """Exit status, and all that it printed."""
        done = subprocess.run(
            ["virsh", "-c", f"esx://root@127.0.0.1:{self.host.port}/?no_verify=1", *arguments],
            capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "LIBVIRT_AUTH_FILE": self.auth, "LC_ALL": "C"})
        return done.returncode, (done.stdout + CHATTER.sub("", done.stderr)).strip()


def says(tap, virsh, pattern, *arguments):
    status, text = virsh(*arguments)
    tap.check(" ".join(arguments), status == 0 and re.search(pattern, text), text)
    return text


def looking(tap, host, virsh):
    says(tap, virsh, r"ESX 8\.0\.3", "version")
    says(tap, virsh, rf"(?m)^CPU\(s\): +{os.cpu_count()}$", "nodeinfo")
    says(tap, virsh, r"\S", "hostname")
    says(tap, virsh, r"<os_type>hvm</os_type>", "capabilities")
    says(tap, virsh, r"datastore1 +active", "pool-list")
    says(tap, virsh, r"Capacity: +\d", "pool-info", "datastore1")
    uuid = says(tap, virsh, r"^[0-9a-f-]{36}$", "pool-uuid", "datastore1")
    says(tap, virsh, "^datastore1$", "pool-name", uuid)
    says(tap, virsh, "refreshed", "pool-refresh", "datastore1")
    says(tap, virsh, r"<path>/vmfs/volumes/[0-9a-f-]+</path>", "pool-dumpxml", "datastore1")
    says(tap, virsh, r"vSwitch0 +active", "net-list")
    says(tap, virsh, r"<portgroup name='VM Network'>", "net-dumpxml", "vSwitch0")


def volumes(tap, host, virsh):
    os.mkdir(host.path("vol"))
    says(tap, virsh, "created", "vol-create-as", "datastore1", "vol/a.vmdk", "4M", "--format", "vmdk")
    tap.check("its files are there", os.path.exists(host.path("vol/a-flat.vmdk")))
    says(tap, virsh, r"vol/a\.vmdk", "vol-list", "datastore1")
    says(tap, virsh, r"Capacity: +4\.00 MiB", "vol-info", "vol/a.vmdk", "datastore1")
    says(tap, virsh, r"<format type='vmdk'/>", "vol-dumpxml", "vol/a.vmdk", "datastore1")
    says(tap, virsh, r"datastore1\] vol/a\.vmdk", "vol-path", "vol/a.vmdk", "datastore1")
    key = says(tap, virsh, r"\S", "vol-key", "vol/a.vmdk", "datastore1")
    says(tap, virsh, r"^vol/a\.vmdk$", "vol-name", key)
    says(tap, virsh, "cloned", "vol-clone", "vol/a.vmdk", "vol/b.vmdk", "--pool", "datastore1")
    says(tap, virsh, r"Capacity: +4\.00 MiB", "vol-info", "vol/b.vmdk", "datastore1")
    says(tap, virsh, "wiped", "vol-wipe", "vol/b.vmdk", "datastore1")
    says(tap, virsh, "deleted", "vol-delete", "vol/b.vmdk", "datastore1")
    says(tap, virsh, "deleted", "vol-delete", "vol/a.vmdk", "datastore1")
    tap.check("its files are gone", os.listdir(host.path("vol")) == [], os.listdir(host.path("vol")))


def domain(tap, host, virsh):
    os.mkdir(host.path("virt"))
    host.socle("disk", "create", "--size", "4M", host.path("virt/virt.vmdk"))
    with open(f"{host.folder}/domain.xml", "w", encoding="ascii") as file:
        file.write(DOMAIN)
    says(tap, virsh, "defined", "define", f"{host.folder}/domain.xml")
    says(tap, virsh, r"-  +virt +shut off", "list", "--all")
    text = says(tap, virsh, r"<mac address='00:50:56:11:22:33'", "dumpxml", "virt")
    tap.check("its disk is where it was", "<source file='[datastore1] virt/virt.vmdk'/>" in text, text)
    with open(host.path("virt/virt.vmx"), "a", encoding="ascii") as file:
        file.write('socle.engine = "bt"\n')
    says(tap, virsh, "started", "start", "virt")
    says(tap, virsh, r"(?m)^ 1  +virt +running", "list")
    says(tap, virsh, r"State: +running", "dominfo", "virt")
    says(tap, virsh, "destroyed", "destroy", "virt")
    says(tap, virsh, "shut off", "domstate", "virt")
    says(tap, virsh, "marked as autostarted", "autostart", "virt")
    says(tap, virsh, r"Autostart: +enable", "dominfo", "virt")
    says(tap, virsh, "created", "snapshot-create-as", "virt", "one", "the first")
    says(tap, virsh, "created", "snapshot-create-as", "virt", "two")
    says(tap, virsh, r"(?s)one .*two ", "snapshot-list", "virt")
    says(tap, virsh, r"two", "snapshot-current", "virt", "--name")
    says(tap, virsh, r"<description>the first</description>", "snapshot-dumpxml", "virt", "one")
    says(tap, virsh, "", "snapshot-revert", "virt", "one")
    says(tap, virsh, r"one", "snapshot-current", "virt", "--name")
    says(tap, virsh, "deleted", "snapshot-delete", "virt", "one", "--children")
    says(tap, virsh, r"^ *Name.*\n-*$", "snapshot-list", "virt")
    says(tap, virsh, "undefined", "undefine", "virt")
    tap.check("its files stay", os.path.exists(host.path("virt/virt.vmdk")))


NETWORK = """<network>
  <name>virtlab</name>
  <portgroup name='virt one'/>
  <portgroup name='virt two'/>
</network>
"""


def networks(tap, host, virsh):
    path = f"{host.folder}/network.xml"
    with open(path, "w", encoding="ascii") as file:
        file.write(NETWORK)
    says(tap, virsh, "defined", "net-define", path)
    says(tap, virsh, r"virtlab +active", "net-list")
    says(tap, virsh, r"(?s)<portgroup name='virt one'>.*<portgroup name='virt two'>", "net-dumpxml", "virtlab")
    uuid = says(tap, virsh, r"^[0-9a-f-]{36}$", "net-uuid", "virtlab")
    says(tap, virsh, "^virtlab$", "net-name", uuid)
    says(tap, virsh, r"Autostart: +yes", "net-info", "virtlab")
    status, text = virsh("net-define", path)
    tap.check("not twice", status != 0 and "already exists" in text, text)
    says(tap, virsh, "undefined", "net-undefine", "virtlab")
    status, text = virsh("net-info", "virtlab")
    tap.check("it is gone", status != 0, text)


def interfaces(tap, host, virsh):
    cards = [n for n in os.listdir("/sys/class/net") if os.path.exists(f"/sys/class/net/{n}/device")]
    for card in cards[:1]:
        # libvirt 9 finds cards by their address alone, so that its own list stays empty.
        with open(f"/sys/class/net/{card}/address", encoding="ascii") as file:
            mac = file.read().strip()
        says(tap, virsh, f"^{card}$", "iface-name", mac)
        says(tap, virsh, rf"(?s)<interface type='ethernet' name='{card}'>.*<ip address=", "iface-dumpxml", mac)


def settings(tap, host, virsh):
    """Of a domain that is off."""
    with open(f"{host.folder}/domain.xml", "w", encoding="ascii") as file:
        file.write(DOMAIN.replace("virt", "sett"))
    os.mkdir(host.path("sett"))
    host.socle("disk", "create", "--size", "4M", host.path("sett/sett.vmdk"))
    says(tap, virsh, "defined", "define", f"{host.folder}/domain.xml")
    says(tap, virsh, "", "setvcpus", "sett", "2")
    says(tap, virsh, "", "setmem", "sett", "16384", "--current")
    says(tap, virsh, r"(?s)CPU\(s\): +2\n.*Max memory: +32768 KiB\nUsed memory: +16384 KiB", "dominfo", "sett")
    says(tap, virsh, r"<vcpu[^>]*>2</vcpu>", "dumpxml", "sett")
    says(tap, virsh, "", "schedinfo", "sett", "--set", "reservation=100")
    says(tap, virsh, r"(?s)reservation *: 100\n.*limit *: -1\n", "schedinfo", "sett")
    uuid = says(tap, virsh, r"^[0-9a-f-]{36}$", "domuuid", "sett")
    says(tap, virsh, "^sett$", "domname", uuid)
    says(tap, virsh, "unmarked as autostarted", "autostart", "sett", "--disable")
    vmx = host.path("sett/sett.vmx")
    says(tap, virsh, r"<name>sett</name>", "domxml-from-native", "vmware-vmx", vmx)
    says(tap, virsh, r'displayName = "sett"', "domxml-to-native", "vmware-vmx", f"{host.folder}/domain.xml")
    says(tap, virsh, "undefined", "undefine", "sett")


def main():
    with Host(sys.argv[1]) as host:
        Tap().run([looking, domain, volumes, networks, interfaces, settings], host, Virsh(host))


main()
