#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who may have which file, by pyVmomi: what a VM's settings and devices name, and what is not seen. TAP.

usage: host_privileges.py BUILD
"""

import base64
import os
import sys
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from client import Client, connect, create, device, devices, disk, vm_spec, wait  # noqa: E402
from host import Host, Tap, context  # noqa: E402
from pyVmomi import vim, vmodl  # noqa: E402

PASSWORD = "carls-secret-1"
VICTIM = "/vmfs/volumes/datastore1/b/b.vmdk"
HOSTILE = {
    "scsi0:5.present": "TRUE", "scsi0:5.fileName": VICTIM, "SCSI0:5.FILENAME": VICTIM, "scsi0:5.pciSlotNumber": "160",
    "sata0:1.fileName": VICTIM, "ide1:0.fileName": VICTIM, "nvme0:0.fileName": VICTIM, "scsi1.present": "TRUE",
    "ethernet0.networkName": "secret", "serial0.fileType": "file", "serial0.fileName": "b/b.vmx",
    "parallel0.fileName": "x", "floppy0.fileName": "x", "virtioConsole0.path": "x", "usb.present": "TRUE",
    "usb_xhci.present": "TRUE", "usb:0.deviceType": "hid", "sound.fileName": "x", "vmci0.present": "FALSE",
    "log.fileName": "b/b.vmx", "bios440.filename": "x", "nvram": "b.nvram", "workingDir": "/", "suspend.directory": "/",
    "extendedConfigFile": "x", "snapshot.redoNotWithParent": "x", "checkpoint.vmState": "x", "migrate.hostlog": "x",
    "sched.swap.dir": "/", "sharedFolder0.hostPath": "/", "socle.kernel": "/etc/passwd", "socle.firmwareLog": "b/b.vmx",
}
OWN = {
    "displayName": "x", "memSize": "4096", "MEMSIZE": "4096", "numvcpus": "8", "cpuid.coresPerSocket": "4", "annotation": "x",
    "guestOS": "x", "firmware": "efi", "virtualHW.version": "7", "uuid.bios": "56 4d", "vc.uuid": "56 4d", "uuid.location": "x",
    "bios.bootOrder": "hdd", "bios.forceSetupOnce": "TRUE", "uefi.secureBoot.enabled": "TRUE", "socle.template": "TRUE",
    "sched.cpu.min": "1000", "sched.cpu.max": "1", "sched.cpu.shares": "high", "sched.mem.min": "4096", "sched.mem.shares": "high",
    "sched.mem.max": "1", "config.version": "1", ".encoding": "x",
}
USUAL = {
    "guestinfo.a.fileName": "x", "guestinfo.present": "y", "sched.scsi0:0.throughputCap": "off", "disk.EnableUUID": "TRUE",
    "isolation.tools.copy.disable": "TRUE", "RemoteDisplay.maxConnections": "1", "tools.syncTime": "FALSE",
    "numa.autosize": "TRUE", "cpuid.80000001.edx": "---- ", "bios.bootDeviceClasses": "allow:hd", "svga.vramSize": "8388608",
}


def options(values):
    return [vim.option.OptionValue(key=key, value=value) for key, value in values.items()]


def reconfigure(vm, *changes, **more):
    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=list(changes), **more)))


def allow(client, entity, *privileges):
    """Carl's permission there, alone."""
    roles = client.content.authorizationManager
    name = f"carl-{entity._moId}"
    role = next((r.roleId for r in roles.roleList if r.name == name), None)
    if role is None:
        role = roles.AddAuthorizationRole(name, list(privileges))
    else:
        roles.UpdateAuthorizationRole(role, name, list(privileges) or ["System.View"])  # none would leave it as it is
    roles.SetEntityPermissions(entity, [vim.AuthorizationManager.Permission(
        principal="carl", group=False, roleId=role, propagate=False)])


def written(host, name):
    with open(host.path(name), encoding="utf-8") as file:
        return sorted(file)


def settings(tap, host, client):
    vm = create(client, "set")
    for key, value in HOSTILE.items():
        tap.raises(f"no setting: {key}", vmodl.fault.InvalidArgument,
                   lambda key=key, value=value: reconfigure(vm, extraConfig=options({key: value})))
    spec = vm_spec("never")
    spec.extraConfig += options({"scsi0:5.fileName": VICTIM})
    tap.raises("nor of a new VM", vmodl.fault.InvalidArgument, lambda: wait(client.folder.CreateVM_Task(spec, client.pool)))
    reconfigure(vm, extraConfig=options(USUAL))
    before = written(host, "set/set.vmx")
    reconfigure(vm, extraConfig=options(OWN))
    tap.equal("what the spec has fields for is left out", written(host, "set/set.vmx"), before)
    now = {o.key: o.value for o in vm.config.extraConfig}
    tap.equal("none of it is shown", [key for key in OWN if key in now], [])
    tap.equal("what people set", {key: now.get(key) for key in USUAL}, USUAL)
    tap.check("some of what is read may not be changed", "vmci0.present" in now, now)
    reconfigure(vm, extraConfig=list(vm.config.extraConfig))
    tap.equal("but sent back as it was", {o.key: o.value for o in vm.config.extraConfig}, now)
    wait(vm.Destroy())


def foreign(tap, host, client):
    """What a .vmx from elsewhere and a spec may say, and what comes of it."""
    os.mkdir(host.path("odd"))
    with open(host.path("odd/odd.vmx"), "w", encoding="utf-8") as file:
        file.write('.encoding = "UTF-8"\nconfig.version = "8"\nvirtualHW.version = "19"\nguestOS = "other-64"\n'
                   'displayName = "a\uffff|01b\ufffe"\nannotation = "q\uffffr"\nguestinfo.x = "\ufffe"\n')
    odd = wait(client.folder.RegisterVM_Task("[datastore1] odd/odd.vmx", None, False, client.pool))
    tap.equal("no character of XML, no end of all answers", (odd.name, odd.config.annotation), ("a??b?", "q?r"))
    tap.raises("more cores than there can be", vmodl.fault.InvalidArgument, lambda: reconfigure(odd, numCoresPerSocket=1 << 30))
    for delay in (-5, 10001):
        tap.raises(f"a delay of {delay}", vmodl.fault.InvalidArgument,
                   lambda d=delay: reconfigure(odd, bootOptions=vim.vm.BootOptions(bootDelay=d)))
    reconfigure(odd, name="x")
    odd.UnregisterVM()
    with open(host.path("odd/odd.vmx"), "w", encoding="utf-8") as file:
        file.write('.encoding = "UTF-8"\nconfig.version = "8"\nvirtualHW.version = "19"\ndisplayName = "a' + "\u00e9" * 80 + '"\n')
    odd = wait(client.folder.RegisterVM_Task("[datastore1] odd/odd.vmx", None, False, client.pool))
    tap.equal("a name that is too long is cut between characters", odd.name, "a" + "\u00e9" * 39)
    odd.UnregisterVM()
    one = create(client, "one")
    for kib in (1 << 53, 1 << 54, (1 << 54) + 4, (1 << 62) + 1):
        tap.raises(f"a disk of {kib} KiB", vim.fault.InvalidDeviceSpec, lambda k=kib: reconfigure(one, disk(-1, k, 1000, 1)))
        larger = devices(one, vim.vm.device.VirtualDisk)[0]
        larger.capacityInKB, larger.capacityInBytes = kib, None
        tap.raises(f"or one that grows to {kib} KiB", vim.fault.InvalidDeviceSpec, lambda: reconfigure(one, device("edit", larger)))
    reconfigure(one, disk(-1, 1024, 1000, 1))
    less = device("remove", devices(one, vim.vm.device.VirtualDisk)[1])
    spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec(), powerOn=False, template=False,
                            config=vim.vm.ConfigSpec(deviceChange=[less]))
    wait(one.CloneVM_Task(client.folder, "less", spec))
    tap.equal("a clone without one of the disks has no file of it", sorted(n for n in os.listdir(host.path("less")) if "vmdk" in n),
              ["less-flat.vmdk", "less.vmdk"])
    for name in ("less", "one"):
        wait(next(v for v in client.folder.childEntity if v.name == name).Destroy())


def in_use(tap, host, client):
    """A VM that is off names the disk of another one that runs."""
    other = create(client, "b")
    wait(other.PowerOn())
    vm = create(client, "a")
    theirs = disk(-1, 0, 1000, 1)
    theirs.device.backing.fileName, theirs.fileOperation = "[datastore1] b/b.vmdk", None
    reconfigure(vm, theirs)
    files = sorted(os.listdir(host.path("a"))), sorted(os.listdir(host.path("b")))
    taken = devices(vm, vim.vm.device.VirtualDisk)[1]
    fault = tap.raises("a disk in use is not destroyed", vim.fault.FileLocked,
                       lambda: reconfigure(vm, device("remove", taken, "destroy")))
    tap.equal("the fault names it", fault and fault.file, "[datastore1] b/b.vmdk")
    tap.equal("nothing is removed", (sorted(os.listdir(host.path("a"))), sorted(os.listdir(host.path("b")))), files)
    wait(vm.Destroy())
    tap.equal("a VM goes without the disk that another one has", (os.path.exists(host.path("a")), sorted(os.listdir(host.path("b")))),
              (False, files[1]))
    wait(other.PowerOff())
    wait(other.CreateSnapshot_Task("s", "", False, False))
    files = sorted(os.listdir(host.path("b")))
    vm = create(client, "a")
    reconfigure(vm, theirs)
    wait(vm.Destroy())
    tap.equal("nor the one that another one's snapshot has", sorted(os.listdir(host.path("b"))), files)
    wait(other.RemoveAllSnapshots_Task())
    os.truncate(host.path("b/b.vmdk"), 0)
    wait(other.Destroy())
    tap.check("one that is damaged goes with its VM", not os.path.exists(host.path("b")))


def folder_page(host):
    """/folder as carl sees it."""
    login = base64.b64encode(f"carl:{PASSWORD}".encode()).decode()
    request = urllib.request.Request(f"https://127.0.0.1:{host.port}/folder", headers={"Authorization": f"Basic {login}"})
    with urllib.request.urlopen(request, context=context(), timeout=30) as answer:
        return answer.read().decode()


def put(host, origin):
    """A file as a browser writes one that knows root's password, for a page of `origin`: the status."""
    login = base64.b64encode(f"root:{host.password}".encode()).decode()
    request = urllib.request.Request(f"https://127.0.0.1:{host.port}/folder/page.txt?dsName=datastore1", data=b"x=1", method="POST",
                                     headers={"Authorization": f"Basic {login}", "Origin": origin})
    try:
        with urllib.request.urlopen(request, context=context(), timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def pages(tap, host, client):
    """Basic authorization that a browser remembers is good for the host's own pages."""
    tap.equal("a page of another origin writes nothing", (put(host, "https://evil.example"), os.path.exists(host.path("page.txt"))), (401, False))
    tap.check("the host's own does", put(host, f"https://127.0.0.1:{host.port}") < 300 and os.path.exists(host.path("page.txt")))
    os.remove(host.path("page.txt"))


def on_datastores(tap, host, client):
    client.content.accountManager.CreateUser(vim.host.LocalAccountManager.AccountSpecification(id="carl", password=PASSWORD))
    vm, other = create(client, "his"), create(client, "b")
    place = f"{host.folder}/hidden"
    os.mkdir(place)
    hidden = client.host.configManager.datastoreSystem.CreateLocalDatastore("hidden", place)
    with open(f"{place}/a.iso", "wb") as file:
        file.write(bytes(4096))
    store = client.datacenter.datastore[0]
    allow(client, vm, *(f"VirtualMachine.Config.{what}" for what in (
        "AddNewDisk", "AddExistingDisk", "RemoveDisk", "EditDevice", "AddRemoveDevice", "AdvancedConfig")))
    stub = connect(host, "carl", PASSWORD)._stub
    his = vim.VirtualMachine(vm._moId, stub)

    def existing(file):
        change = disk(-1, 0, 1000, 1)
        change.device.backing.fileName, change.fileOperation = file, None
        return change

    def cdrom(file):
        return device("add", vim.vm.device.VirtualCdrom(
            key=-1, controllerKey=200, unitNumber=0, backing=vim.vm.device.VirtualCdrom.IsoBackingInfo(fileName=file)))

    def refused(name, change, privilege):
        fault = tap.raises(name, vim.fault.NoPermission, lambda: reconfigure(his, change))
        tap.equal(f"{name}, for want of", fault and fault.privilegeId, privilege)

    messages = []
    for file in ("[hidden] a.iso", "[nowhere] a.iso"):
        for name, change in (("disk", existing(file)), ("image", cdrom(file))):
            fault = tap.raises(f"no {name} of {file}", vim.fault.InvalidDatastorePath, lambda c=change: reconfigure(his, c))
            messages.append(fault and fault.msg.replace("nowhere", "hidden"))
    tap.equal("what is hidden is as what is not there", len(set(messages)), 1)
    refused("somebody's disk", existing("[datastore1] b/b.vmdk"), "Datastore.Browse")
    refused("an image", cdrom("[datastore1] b/b.vmdk"), "Datastore.Browse")
    refused("a new disk", disk(-1, 2048, 1000, 1), "Datastore.AllocateSpace")
    port = vim.vm.device.VirtualSerialPort(
        key=-1, yieldOnPoll=True, backing=vim.vm.device.VirtualSerialPort.FileBackingInfo(fileName="[datastore1] b/b.vmx"))
    refused("a file that a port writes", device("add", port), "Datastore.FileManagement")
    mine = devices(his, vim.vm.device.VirtualDisk)[0]
    refused("a disk destroyed", device("remove", mine, "destroy"), "Datastore.FileManagement")
    tap.equal("nothing came of it", len(devices(vm, vim.vm.device.VirtualDisk)), 1)

    allow(client, client.folder, "VirtualMachine.Inventory.Register")
    allow(client, client.pool, "Resource.AssignVMToPool")
    folder, pool = vim.Folder(client.folder._moId, stub), vim.ResourcePool(client.pool._moId, stub)
    tap.raises("no VM of a hidden datastore", vim.fault.InvalidDatastorePath,
               lambda: wait(folder.RegisterVM_Task("[hidden] a.vmx", None, False, pool)))
    allow(client, store)
    tap.raises("nor of one where he may not look", vim.fault.NoPermission,
               lambda: wait(folder.RegisterVM_Task("[datastore1] x/x.vmx", None, False, pool)))
    allow(client, store, "Datastore.Browse", "Datastore.AllocateSpace", "Datastore.FileManagement")
    reconfigure(his, disk(-1, 2048, 1000, 1), cdrom("[datastore1] b/b.vmdk"))
    page = folder_page(host)
    tap.check("the list of datastores is of those he sees", "datastore1" in page and "hidden" not in page, page)
    tap.equal("a new disk, where he may", len(devices(vm, vim.vm.device.VirtualDisk)), 2)
    reconfigure(his, device("remove", devices(his, vim.vm.device.VirtualDisk)[1], "destroy"))
    tap.check("destroyed, where he may", not os.path.exists(host.path("his/his_1.vmdk")))
    allow(client, store)
    reconfigure(his, device("edit", devices(his, vim.vm.device.VirtualCdrom)[0]))
    tap.equal("a drive keeps what it has", devices(vm, vim.vm.device.VirtualCdrom)[0].backing.fileName, "[datastore1] b/b.vmdk")
    unseen(tap, client, stub)
    what_devices_ask(tap, client, vm, his)
    networks(tap, host, client, vm, stub)
    room(tap, client, vm, his)
    register(tap, host, client, stub)
    wait(vm.Destroy())
    wait(other.Destroy())
    hidden.DestroyDatastore()
    client.content.accountManager.RemoveUser("carl")


def denied(tap, name, privilege, action):
    fault = tap.raises(name, vim.fault.NoPermission, action)
    tap.equal(f"{name}, for want of", fault and fault.privilegeId, privilege)


def card(network, key=-1):
    backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=network) if network else None
    return vim.vm.device.VirtualVmxnet3(key=key, backing=backing, addressType="generated")


def what_devices_ask(tap, client, vm, his):
    """A device that comes or goes, one that changes, a disk: each has a privilege of its own."""
    first, cd = devices(vm, vim.vm.device.VirtualDisk)[0], devices(vm, vim.vm.device.VirtualCdrom)[0]
    allow(client, vm, "VirtualMachine.Config.AddRemoveDevice")
    denied(tap, "a disk goes", "VirtualMachine.Config.RemoveDisk", lambda: reconfigure(his, device("remove", first)))
    stranger = vim.vm.device.VirtualCdrom(key=first.key, controllerKey=first.controllerKey)
    denied(tap, "whatever it is called", "VirtualMachine.Config.RemoveDisk",
           lambda: reconfigure(his, device("remove", stranger)))
    denied(tap, "a drive changes", "VirtualMachine.Config.EditDevice", lambda: reconfigure(his, device("edit", cd)))
    allow(client, vm, "VirtualMachine.Config.EditDevice", "VirtualMachine.Config.RemoveDisk")
    denied(tap, "a drive goes", "VirtualMachine.Config.AddRemoveDevice", lambda: reconfigure(his, device("remove", cd)))
    port = vim.vm.device.VirtualSerialPort(
        key=first.key, yieldOnPoll=True, backing=vim.vm.device.VirtualSerialPort.PipeBackingInfo(pipeName="x", endpoint="client"))
    for name, other in (("drive", vim.vm.device.VirtualCdrom(key=first.key)), ("port", port), ("card", card(None, first.key))):
        tap.raises(f"a disk is no {name}", vim.fault.InvalidDeviceSpec, lambda d=other: reconfigure(his, device("edit", d)))
    tap.equal("it is as before", devices(vm, vim.vm.device.VirtualDisk)[0].backing.fileName, first.backing.fileName)
    spec = vm_spec("never")
    spec.extraConfig += options({"a.b": "c"})
    allow(client, client.folder, "VirtualMachine.Inventory.Create", "VirtualMachine.Config.AddNewDisk")
    folder, pool = vim.Folder(client.folder._moId, his._stub), vim.ResourcePool(client.pool._moId, his._stub)
    denied(tap, "settings of a new VM", "VirtualMachine.Config.AdvancedConfig", lambda: wait(folder.CreateVM_Task(spec, pool)))


def networks(tap, host, client, vm, stub):
    system = client.host.configManager.networkSystem
    system.AddPortGroup(vim.host.PortGroup.Specification(
        name="Quiet", vlanId=0, vswitchName="vSwitch0", policy=vim.host.NetworkPolicy()))
    quiet = next(n for n in client.datacenter.network if n.name == "Quiet")
    usual = next(n for n in client.datacenter.network if n.name == "VM Network")
    his, mine = vim.VirtualMachine(vm._moId, stub), devices(vm, vim.vm.device.VirtualEthernetCard)[0]
    allow(client, vm, *(f"VirtualMachine.{what}" for what in ("Config.AddRemoveDevice", "Config.EditDevice", "Provisioning.Clone")))
    texts = []
    for name in ("Quiet", "Nowhere", "VM Network"):
        fault = tap.raises(f"no card on {name}", vim.fault.InvalidDeviceSpec, lambda n=name: reconfigure(his, device("add", card(n))))
        texts.append(fault and fault.msg)
    tap.equal("what is not seen is as what is not there", len(set(texts)), 1)
    tap.raises("nor on the usual one", vim.fault.InvalidDeviceSpec, lambda: reconfigure(his, device("add", card(None))))
    reconfigure(his, device("edit", mine))
    tap.equal("a card keeps what it has", devices(vm, vim.vm.device.VirtualEthernetCard)[0].backing.deviceName, "VM Network")
    mine.backing.deviceName = "Quiet"
    allow(client, quiet)
    denied(tap, "another network", "Network.Assign", lambda: reconfigure(his, device("edit", mine)))
    allow(client, quiet, "Network.Assign")
    reconfigure(his, device("edit", mine))
    tap.equal("where he may", devices(vm, vim.vm.device.VirtualEthernetCard)[0].backing.deviceName, "Quiet")

    allow(client, client.folder, "VirtualMachine.Inventory.CreateFromExisting", "VirtualMachine.Inventory.Create", "VApp.Import")
    allow(client, client.pool, "Resource.AssignVMToPool", "VApp.Import")
    allow(client, client.datacenter.datastore[0], "Datastore.AllocateSpace")
    allow(client, quiet)
    folder, pool = vim.Folder(client.folder._moId, stub), vim.ResourcePool(client.pool._moId, stub)
    spec = vim.vm.CloneSpec(location=vim.vm.RelocateSpec(), powerOn=False, template=False)
    denied(tap, "a clone", "Network.Assign", lambda: wait(his.CloneVM_Task(folder, "twin", spec)))
    allow(client, quiet, "Network.Assign")
    spec.powerOn = True
    denied(tap, "one that runs", "VirtualMachine.Interact.PowerOn", lambda: wait(his.CloneVM_Task(folder, "twin", spec)))
    spec.powerOn = False
    wait(client.same(wait(his.CloneVM_Task(folder, "twin", spec))).Destroy())
    new = vm_spec("made")
    new.deviceChange, new.extraConfig = [device("add", card("Quiet"))], []
    allow(client, quiet)
    denied(tap, "a new VM", "Network.Assign", lambda: wait(folder.CreateVM_Task(new, pool)))
    denied(tap, "one that is imported", "Network.Assign",
           lambda: pool.ImportVApp(vim.vm.VmImportSpec(configSpec=new), folder))
    tap.check("nothing came of it", not os.path.exists(host.path("made")))
    tap.equal("a package's network that he does not see", mapped(client, stub, "Quiet", quiet), "Quiet")
    client.content.authorizationManager.RemoveEntityPermission(quiet, "carl", False)
    tap.equal("is as one that is not there", mapped(client, stub, "Quiet", quiet), "VM Network")
    tap.equal("nor is it one of his VM's networks", list(his.network), [])
    tap.equal("though it is", list(vm.network), [quiet])
    mine.backing.deviceName = usual.name
    reconfigure(vm, device("edit", mine))
    system.RemovePortGroup("Quiet")


def mapped(client, stub, name, network):
    """The network that a package's card gets, by its name alone."""
    text = f"""<?xml version="1.0"?><Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
 <References/><NetworkSection><Info/><Network ovf:name="{name}"/></NetworkSection>
 <VirtualSystem ovf:id="x"><Info/><VirtualHardwareSection><Info/>
  <Item><rasd:Connection>{name}</rasd:Connection><rasd:ElementName>n</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID>
   <rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></Item>
 </VirtualHardwareSection></VirtualSystem></Envelope>"""
    manager = vim.OvfManager(client.content.ovfManager._moId, stub)
    pool, store = (type(o)(o._moId, stub) for o in (client.pool, client.datacenter.datastore[0]))
    params = vim.OvfManager.CreateImportSpecParams(entityName="x", locale="", deploymentOption="")
    spec = manager.CreateImportSpec(text, pool, store, params).importSpec
    return next(c.device.backing.deviceName for c in spec.configSpec.deviceChange
                if isinstance(c.device, vim.vm.device.VirtualEthernetCard))


def room(tap, client, vm, his):
    """What takes room on a datastore asks that datastore."""
    store = client.datacenter.datastore[0]
    larger = devices(vm, vim.vm.device.VirtualDisk)[0]
    larger.capacityInKB *= 2
    larger.capacityInBytes *= 2
    allow(client, vm, *(f"VirtualMachine.{what}" for what in ("Config.EditDevice", "Config.DiskExtend", "State.CreateSnapshot")))
    allow(client, store)
    denied(tap, "a larger disk", "Datastore.AllocateSpace", lambda: reconfigure(his, device("edit", larger)))
    denied(tap, "a snapshot", "Datastore.AllocateSpace", lambda: wait(his.CreateSnapshot_Task("s", "", False, False)))
    allow(client, store, "Datastore.AllocateSpace")
    reconfigure(his, device("edit", larger))
    tap.equal("larger, where he may", devices(vm, vim.vm.device.VirtualDisk)[0].capacityInKB, larger.capacityInKB)
    wait(his.CreateSnapshot_Task("s", "", False, False))
    wait(vm.RemoveAllSnapshots_Task())


def register(tap, host, client, stub):
    """A .vmx that somebody put there names what its VM may have only if he may have it."""
    hidden, store = (next(d for d in client.datacenter.datastore if d.name == name) for name in ("hidden", "datastore1"))
    folder, pool = vim.Folder(client.folder._moId, stub), vim.ResourcePool(client.pool._moId, stub)
    allow(client, client.folder, "VirtualMachine.Inventory.Register")
    allow(client, client.pool, "Resource.AssignVMToPool")
    allow(client, store, "Datastore.Browse", "Datastore.FileManagement")

    def attempt(**more):
        keys = {"config.version": "8", "virtualHW.version": "21", "displayName": "reg", "guestOS": "other-64", **more}
        os.makedirs(host.path("reg"), exist_ok=True)
        with open(host.path("reg/reg.vmx"), "w", encoding="utf-8") as file:
            file.writelines(f'{key.replace("__", ":").replace("_", ".")} = "{value}"\n' for key, value in keys.items())
        return client.same(wait(folder.RegisterVM_Task("[datastore1] reg/reg.vmx", None, False, pool)))

    theirs = "/vmfs/volumes/hidden/a.iso"
    for name, keys in (("disk", {"scsi0__0_fileName": theirs}), ("image", {"ide1__0_fileName": theirs}),
                       ("port", {"serial0_fileName": theirs}), ("kernel", {"socle_kernel": theirs})):
        tap.raises(f"no VM with a {name} of a hidden datastore", vim.fault.InvalidDatastorePath, lambda k=keys: attempt(**k))
    allow(client, hidden)
    denied(tap, "of one where he may not look", "Datastore.Browse", lambda: attempt(scsi0__0_fileName=theirs))
    allow(client, hidden, "Datastore.Browse")
    denied(tap, "of one where he may not write", "Datastore.FileManagement", lambda: attempt(serial0_fileName=theirs))
    for name in ("VM Network", "Nowhere"):
        tap.raises(f"none with a card on {name}", vim.fault.InvalidVmConfig,
                   lambda n=name: attempt(ethernet0_present="TRUE", ethernet0_networkName=n))
    tap.equal("none of them is there", [v.name for v in client.folder.childEntity if v.name == "reg"], [])
    denied(tap, "nor in the pool of all", "Resource.AssignVMToPool", lambda: (
        allow(client, client.pool), wait(folder.RegisterVM_Task("[datastore1] reg/reg.vmx", None, False, None))))
    allow(client, client.pool, "Resource.AssignVMToPool")
    vm = attempt(scsi0__0_fileName=theirs)
    tap.equal("where he may, it is", vm.name, "reg")
    allow(client, vm)
    allow(client, hidden)
    again = vim.VirtualMachine(vm._moId, stub)
    again.Reload()
    with open(host.path("reg/reg.vmx"), "a", encoding="utf-8") as file:
        file.write(f'serial0.fileName = "{theirs}"\n')
    denied(tap, "what it names when it is read again", "Datastore.FileManagement", again.Reload)
    back(tap, host, client, vm, stub, theirs)
    vm.UnregisterVM()


def back(tap, host, client, vm, stub, theirs):
    """What a snapshot has kept lies in a file beside the VM's."""
    own = host.path("reg/reg.vmx")
    with open(own, encoding="utf-8") as file:
        lines = [line for line in file if theirs not in line]
    with open(own, "w", encoding="utf-8") as file:
        file.writelines(lines)
    vm.Reload()
    wait(vm.CreateSnapshot_Task("s", "", False, False))
    allow(client, vm, "VirtualMachine.State.RevertToSnapshot")
    his = vim.vm.Snapshot(vm.snapshot.currentSnapshot._moId, stub)
    wait(his.RevertToSnapshot_Task(None, True))
    with open(host.path("reg/reg-Snapshot1.vmx"), "a", encoding="utf-8") as file:
        file.write(f'serial0.present = "TRUE"\nserial0.fileType = "file"\nserial0.fileName = "{theirs}"\n')
    denied(tap, "what a snapshot's file names", "Datastore.FileManagement", lambda: wait(his.RevertToSnapshot_Task(None, True)))
    tap.equal("the VM is as it was", devices(vm, vim.vm.device.VirtualSerialPort), [])
    wait(vm.snapshot.currentSnapshot.RevertToSnapshot_Task(None, True))
    tap.equal("who may, goes back", len(devices(vm, vim.vm.device.VirtualSerialPort)), 1)


def unseen(tap, client, stub):
    allow(client, client.host)
    allow(client, client.compute)
    info = vim.HostSystem(client.host._moId, stub).QueryHostConnectionInfo()
    tap.equal("of the host's connection he sees", ([d.summary.name for d in info.datastore], list(info.network)),
              (["datastore1"], []))
    target = vim.EnvironmentBrowser(client.compute.environmentBrowser._moId, stub).QueryConfigTarget(None)
    tap.equal("and of what VMs may have", ([d.name for d in target.datastore], list(target.network)), (["datastore1"], []))


def told(tap, host, root):
    """Who gives, changes and takes rights is in the events."""
    manager, events, folder = root.content.authorizationManager, root.content.eventManager, root.content.rootFolder
    accounts, dora = root.content.accountManager, vim.host.LocalAccountManager.AccountSpecification(id="dora", password=PASSWORD)

    def since(action):
        before = events.latestEvent.key
        action()
        found = [e for e in events.QueryEvents(vim.event.EventFilterSpec()) if e.key > before]
        return sorted(found, key=lambda e: e.key)

    def grant(role, propagate=True, to="dora"):
        return [vim.AuthorizationManager.Permission(principal=to, group=False, roleId=role, propagate=propagate)]

    (event,) = since(lambda: accounts.CreateUser(dora))
    tap.equal("an account, never its password", (type(event), event.spec.id, event.spec.password, event.group),
              (vim.event.AccountCreatedEvent, "dora", None, False))
    (event,) = since(lambda: accounts.UpdateUser(dora))
    tap.equal("a changed account", (type(event), event.spec.id, event.spec.password), (vim.event.AccountUpdatedEvent, "dora", None))
    (added,) = since(lambda: manager.AddAuthorizationRole("one", ["VirtualMachine.Interact.PowerOn"]))
    role = added.role.roleId
    tap.equal("a new role", (type(added), added.role.name, added.fullFormattedMessage, added.userName),
              (vim.event.RoleAddedEvent, "one", "New role one created", "root"))
    tap.check("with its privileges", "VirtualMachine.Interact.PowerOn" in added.privilegeList, added)
    (event,) = since(lambda: manager.UpdateAuthorizationRole(role, "two", ["VirtualMachine.Interact.PowerOff"]))
    tap.equal("another name and others", (type(event), event.prevRoleName, event.role.name, list(event.privilegesAdded),
              list(event.privilegesRemoved)), (vim.event.RoleUpdatedEvent, "one", "two", ["VirtualMachine.Interact.PowerOff"],
                                               ["VirtualMachine.Interact.PowerOn"]))
    (event,) = since(lambda: manager.SetEntityPermissions(folder, grant(role)))
    tap.equal("a permission", (type(event), event.principal, event.role.name, event.entity.entity, event.fullFormattedMessage),
              (vim.event.PermissionAddedEvent, "dora", "two", folder,
               f"Permission created for dora on {folder.name}, role is two, propagation is Enabled"))
    (event,) = since(lambda: manager.ResetEntityPermissions(root.datacenter, grant(role)))
    (event,) = since(lambda: manager.ResetEntityPermissions(root.datacenter, grant(-2, False)))
    tap.equal("a changed one", (type(event), event.role.roleId, event.prevRole.name, event.prevPropagate, event.propagate),
              (vim.event.PermissionUpdatedEvent, -2, "two", True, False))
    (event,) = since(lambda: manager.RemoveEntityPermission(root.datacenter, "dora", False))
    tap.equal("one that is taken", (type(event), event.fullFormattedMessage),
              (vim.event.PermissionRemovedEvent, f"Permission rule removed for dora on {root.datacenter.name}"))
    manager.SetEntityPermissions(root.datacenter, grant(-2))
    (event,) = since(lambda: manager.ResetEntityPermissions(root.datacenter, []))
    tap.equal("and by others in its place", type(event), vim.event.PermissionRemovedEvent)
    tap.raises("who fails", vmodl.fault.InvalidArgument, lambda: manager.RemoveAuthorizationRole(-1, False))
    gone = since(lambda: manager.RemoveAuthorizationRole(role, False))
    tap.equal("a role goes with what it gave", [(type(e), e.fullFormattedMessage) for e in gone],
              [(vim.event.PermissionRemovedEvent, f"Permission rule removed for dora on {folder.name}"),
               (vim.event.RoleRemovedEvent, "Role two removed")])
    (event,) = since(lambda: accounts.RemoveUser("dora"))
    tap.equal("an account that is gone", (type(event), event.account), (vim.event.AccountRemovedEvent, "dora"))


def main():
    tap = Tap()
    with Host(sys.argv[1]) as host:
        tap.run([settings, foreign, in_use, pages, on_datastores, told], host, Client(connect(host)))


main()
