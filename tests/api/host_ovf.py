#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Packages by pyVmomi: VMs exported and imported again, descriptors of others, leases. TAP.

usage: host_ovf.py BUILD
"""

import hashlib
import http.client
import os
import random
import sys
import urllib.error
import urllib.parse
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from client import Client, connect, create, device, devices, disk, wait  # noqa: E402
from host import Host, Tap, context, eventually, listing  # noqa: E402
from pyVmomi import vim, vmodl  # noqa: E402

DISK = vim.vm.device.VirtualDisk
VMDK = "application/x-vnd.vmware-streamVmdk"
Ready = vim.HttpNfcLease.State.ready
PIECE = 100000

# As VirtualBox and VMware write them, with what is in between.
PACKAGE = """<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="urn:rasd" xmlns:vssd="urn:vssd" xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References><File ovf:id="file1" ovf:href="appliance-disk1.vmdk" ovf:size="12345"/></References>
  <DiskSection><Info/>
    <Disk ovf:diskId="system" ovf:fileRef="file1" ovf:capacity="3" ovf:capacityAllocationUnits="byte * 2^20"
          ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized" ovf:populatedSize="4096"/>
    <Disk ovf:diskId="data" ovf:capacity="${data}" ovf:capacityAllocationUnits="MegaBytes"/>
  </DiskSection>
  <NetworkSection><Info/><Network ovf:name="bridged"><Description>outside</Description></Network></NetworkSection>
  <DeploymentOptionSection><Info/>
    <Configuration ovf:id="small"><Label>Small</Label><Description>one</Description></Configuration>
    <Configuration ovf:id="large" ovf:default="true"><Label>Large</Label><Description>four</Description></Configuration>
  </DeploymentOptionSection>
  <VirtualSystem ovf:id="appliance"><Info/><Name>The appliance</Name>
    <AnnotationSection><Info/><Annotation>for &amp; by tests</Annotation></AnnotationSection>
    <EulaSection><Info/><License>Do as you like.</License></EulaSection>
    <OperatingSystemSection ovf:id="96" vmw:osType="debian11_64Guest"><Info/></OperatingSystemSection>
    <ProductSection ovf:class="net"><Info/><Product>Appliance</Product><Vendor>Tests</Vendor><Version>1</Version>
      <Category>Network</Category>
      <Property ovf:key="address" ovf:type="string" ovf:value="dhcp" ovf:userConfigurable="true"><Label>Address</Label></Property>
    </ProductSection>
    <ProductSection><Info/><Property ovf:key="data" ovf:type="int" ovf:value="2"/></ProductSection>
    <VirtualHardwareSection ovf:transport="com.vmware.guestInfo"><Info/>
      <System><vssd:ElementName>x</vssd:ElementName><vssd:VirtualSystemType>vmx-13 vmx-99 virtualbox-2.2</vssd:VirtualSystemType></System>
      <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
      <Item ovf:configuration="large"><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>4</rasd:VirtualQuantity><vmw:CoresPerSocket>2</vmw:CoresPerSocket></Item>
      <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID>
        <rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>64</rasd:VirtualQuantity></Item>
      <Item><rasd:Address>0</rasd:Address><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>VirtualSCSI</rasd:ResourceSubType>
        <rasd:ResourceType>6</rasd:ResourceType></Item>
      <Item><rasd:InstanceID>4</rasd:InstanceID><rasd:ResourceSubType>vmware.sata.ahci</rasd:ResourceSubType>
        <rasd:ResourceType>20</rasd:ResourceType></Item>
      <Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/system</rasd:HostResource>
        <rasd:InstanceID>5</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
      <Item><rasd:HostResource>ovf:/disk/data</rasd:HostResource>
        <rasd:InstanceID>6</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
      <Item ovf:required="false"><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:ElementName>cd</rasd:ElementName>
        <rasd:InstanceID>7</rasd:InstanceID><rasd:Parent>4</rasd:Parent><rasd:ResourceType>15</rasd:ResourceType></Item>
      <Item><rasd:AutomaticAllocation>true</rasd:AutomaticAllocation><rasd:Connection>bridged</rasd:Connection>
        <rasd:InstanceID>8</rasd:InstanceID><rasd:ResourceSubType>VmxNet3</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></Item>
      <Item ovf:required="false"><rasd:ElementName>sound</rasd:ElementName><rasd:InstanceID>9</rasd:InstanceID>
        <rasd:ResourceType>35</rasd:ResourceType></Item>
      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
      <vmw:ExtraConfig ovf:required="false" vmw:key="svga.vramSize" vmw:value="8388608"/>
      <vmw:ExtraConfig ovf:required="false" vmw:key="nvram" vmw:value="/etc/passwd"/>
      <vmw:ExtraConfig ovf:required="false" vmw:key="scsi0:5.fileName" vmw:value="/vmfs/volumes/datastore1/b/b.vmdk"/>
      <vmw:ExtraConfig ovf:required="false" vmw:key="serial0.fileName" vmw:value="../b/b.vmx"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>"""


def put(url, data, method="POST", kind=VMDK):
    """Its status. Data: bytes, or an iterator for a chunked body."""
    request = urllib.request.Request(url, data, {"Content-Type": kind}, method=method)
    try:
        with urllib.request.urlopen(request, context=context(), timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


def get(url):
    with urllib.request.urlopen(url, context=context(), timeout=60) as answer:
        return answer.read()


def ready(lease):
    eventually(lambda: lease.state != vim.HttpNfcLease.State.initializing)
    return lease.state == Ready


def urls(host, lease):
    return {u.key: u.url.replace("*", "127.0.0.1") for u in lease.info.deviceUrl}


def params(name, **options):
    return vim.OvfManager.CreateImportSpecParams(locale="", deploymentOption=options.pop("option", ""), entityName=name,
                                                 diskProvisioning=options.pop("provisioning", "thin"), **options)


def export(client, vm):
    """Descriptor and files, as a client stores them."""
    lease = vm.ExportVm()
    assert ready(lease), lease.error
    files, described = {}, []
    for url in lease.info.deviceUrl:
        name = f"{vm.name}-{url.targetId}"
        files[name] = get(url.url.replace("*", "127.0.0.1"))
        described.append(vim.OvfManager.OvfFile(deviceId=url.key, path=name, size=len(files[name])))
    manifest = {e.key: e for e in lease.HttpNfcLeaseGetManifest()}
    text = client.content.ovfManager.CreateDescriptor(vm, vim.OvfManager.CreateDescriptorParams(ovfFiles=described))
    task = next(t for t in vm.recentTask if t.info.state == "running")
    lease.HttpNfcLeaseComplete()
    return text.ovfDescriptor, files, manifest, {d.path: d.deviceId for d in described}, task


def load(client, text, name, files, pieces=False, **options):
    """The lease is complete when this returns; the VM."""
    spec = client.content.ovfManager.CreateImportSpec(text, client.pool, client.datacenter.datastore[0], params(name, **options))
    assert not spec.error, spec.error
    lease = client.pool.ImportVApp(spec.importSpec, client.folder)
    assert ready(lease), lease.error
    where = {u.importKey: u.url.replace("*", "127.0.0.1") for u in lease.info.deviceUrl}
    for item in spec.fileItem:
        data = files[item.path]
        body = (data[at:at + PIECE] for at in range(0, len(data), PIECE)) if pieces else data
        assert put(where[item.deviceId], body) == 201
        lease.HttpNfcLeaseProgress(50)
    vm = lease.info.entity
    lease.HttpNfcLeaseComplete()
    return vm


def content(host, vm):
    return [open(host.path(d.backing.fileName.removeprefix("[datastore1] ").replace(".vmdk", "-flat.vmdk")), "rb").read()
            for d in devices(vm, DISK)]


def hardware(vm):
    kinds = (DISK, vim.vm.device.VirtualSCSIController, vim.vm.device.VirtualEthernetCard, vim.vm.device.VirtualCdrom,
             vim.vm.device.VirtualSATAController)
    return [(type(d).__name__, d.key, getattr(d, "capacityInKB", None)) for d in vm.config.hardware.device if isinstance(d, kinds)]


def round_trip(tap, host, client):
    vm = create(client, "origin")
    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(firmware="efi", annotation="it's <here> & there", numCPUs=2,
                                              deviceChange=[disk(-1, 3 << 10, 1000, 3)])))
    generator = random.Random(1)
    for name, size in (("origin-flat", 4 << 20), ("origin_1-flat", 3 << 20)):
        with open(host.path(f"origin/{name}.vmdk"), "r+b") as file:
            for at in range(0, size, 512 << 10):
                file.seek(at + generator.randrange(0, 100) * 512)
                file.write(generator.randbytes(generator.randrange(1, 200000) & ~511))
            file.truncate(size)
    text, files, manifest, keys, task = export(client, vm)
    tap.equal("two files", sorted(files), ["origin-disk-0.vmdk", "origin-disk-1.vmdk"])
    tap.check("stream-optimized", all(data.startswith(b"KDMV") for data in files.values()))
    tap.equal("the manifest's sums", {n: (manifest[keys[n]].sha1, manifest[keys[n]].checksum) for n in files},
              {n: (hashlib.sha1(d).hexdigest(), hashlib.sha256(d).hexdigest()) for n, d in files.items()})
    tap.equal("and sizes", [manifest[keys[n]].size for n in files], [len(d) for d in files.values()])
    tap.check("the task has ended", eventually(lambda: task.info.state == "success"))
    before = content(host, vm)
    for name, options in (("again", {}), ("chunked", {"pieces": True}), ("thick", {"provisioning": "thick"})):
        copy = load(client, text, name, files, **options)
        tap.equal(f"{name}: the same bytes", content(host, copy) == before, True)
        tap.equal("the same hardware", hardware(copy), hardware(vm))
        tap.equal("and the rest", (copy.config.firmware, copy.config.annotation, copy.config.hardware.numCPU, copy.config.guestId),
                  (vm.config.firmware, vm.config.annotation, 2, vm.config.guestId))
        blocks = os.stat(host.path(f"{name}/{name}-flat.vmdk")).st_blocks * 512
        tap.equal("as thin as was asked for", blocks < 4 << 20, name != "thick")
        wait(copy.Destroy())
    wait(vm.CreateSnapshot_Task("s", "", False, False))
    with open(host.path("origin/origin-000001.vmdk"), "rb") as file:
        tap.equal("a snapshot's delta", file.read(4), b"KDMV")
    lease = vm.snapshot.currentSnapshot.ExportSnapshot()
    ready(lease)
    fetched = get(next(iter(urls(host, lease).values())))
    tap.equal("a snapshot is exported as it was", hashlib.sha1(fetched).hexdigest() != "", True)
    lease.HttpNfcLeaseAbort()
    eventually(lambda: lease.state == "error")
    wait(vm.Destroy())
    wait(create(client, "after").Destroy())
    tap.equal("nothing is left", listing(host.path()), [])
    return files


def descriptor(tap, host, client):
    manager = client.content.ovfManager
    parsed = manager.ParseDescriptor(PACKAGE, vim.OvfManager.ParseDescriptorParams(locale="", deploymentOption=""))
    tap.equal("no complaint", parsed.error, [])
    tap.equal("its name", (parsed.defaultEntityName, parsed.annotation), ("The appliance", "for & by tests"))
    tap.equal("its licence", list(parsed.eula), ["Do as you like."])
    tap.equal("its networks", [(n.name, n.description) for n in parsed.network], [("bridged", "outside")])
    tap.equal("its options", ([o.key for o in parsed.deploymentOption], parsed.defaultDeploymentOption), (["small", "large"], "large"))
    tap.equal("its properties", [(p.classId, p.id, p.category, p.defaultValue, p.userConfigurable) for p in parsed.property],
              [("net", "address", "Network", "dhcp", True), (None, "data", None, "2", False)])
    tap.equal("its product", (parsed.productInfo.name, parsed.productInfo.vendor), ("Appliance", "Tests"))
    tap.equal("its sizes", (parsed.approximateDownloadSize, parsed.approximateFlatDeploymentSize, parsed.approximateSparseDeploymentSize),
              (12345, 5 << 20, 4096 + (2 << 20)))
    checked = manager.ValidateHost(PACKAGE, client.host, vim.OvfManager.ValidateHostParams(locale="", deploymentOption=""))
    tap.equal("it fits", (checked.error, "thin" in checked.supportedDiskProvisioning), ([], True))
    network = client.datacenter.network[0]
    result = manager.CreateImportSpec(PACKAGE, client.pool, client.datacenter.datastore[0], params(
        "made", networkMapping=[vim.OvfManager.NetworkMapping(name="bridged", network=network)],
        propertyMapping=[vim.KeyValue(key="net.address", value='10.0.0.1 <"')]))
    tap.equal("can be made", (result.error, len(result.warning)), ([], 1))
    tap.check("without sound", "sound" in result.warning[0].msg, result.warning[0].msg)
    tap.equal("one file to send", [(f.deviceId, f.path, f.size, f.cimType) for f in result.fileItem],
              [("/made/ParaVirtualSCSIController0:0", "appliance-disk1.vmdk", 12345, 17)])
    spec = result.importSpec.configSpec
    tap.equal("the machine", (spec.name, spec.numCPUs, spec.numCoresPerSocket, spec.memoryMB, spec.firmware, spec.guestId, spec.version),
              ("made", 4, 2, 64, "efi", "debian11_64Guest", "vmx-13"))
    extra = {o.key: o.value for o in spec.extraConfig}
    tap.equal("what else is set", sorted(extra), ["guestinfo.ovfEnv", "svga.vramSize"])
    tap.check("with what the guest is told", 'oe:key="net.address" oe:value="10.0.0.1 &#60;&#34;"' in extra["guestinfo.ovfEnv"],
              extra["guestinfo.ovfEnv"])
    small = manager.CreateImportSpec(PACKAGE, client.pool, client.datacenter.datastore[0], params("made", option="small"))
    tap.equal("a smaller one", small.importSpec.configSpec.numCPUs, 1)
    lease = client.pool.ImportVApp(result.importSpec, client.folder)
    tap.check("a lease", ready(lease), lease.error)
    tap.equal("of both disks", sorted(u.importKey for u in lease.info.deviceUrl),
              ["/made/ParaVirtualSCSIController0:0", "/made/ParaVirtualSCSIController0:1"])
    vm = lease.info.entity
    lease.HttpNfcLeaseComplete()
    tap.equal("the VM", (vm.config.hardware.numCPU, vm.config.firmware, vm.network), (4, "efi", [network]))
    tap.equal("its disks", [d.capacityInKB for d in devices(vm, DISK)], [3 << 10, 2 << 10])
    wait(vm.Destroy())
    bad = {"no XML": "<Envelope", "a document type": '<!DOCTYPE x [<!ENTITY a "b">]>' + PACKAGE[PACKAGE.index("<Envelope"):],
           "another document": "<html/>", "no machine": "<Envelope/>",
           "a disk that is not there": PACKAGE.replace("ovf:/disk/system", "ovf:/disk/none"),
           "too deep": "<Envelope>" + "<a>" * 1000, "a huge capacity": PACKAGE.replace('capacity="3"', 'capacity="99999999999999999"'),
           "no such file": PACKAGE.replace('fileRef="file1"', 'fileRef="file2"'),
           "two machines": PACKAGE.replace("</Envelope>", '<VirtualSystem ovf:id="b"/></Envelope>')}
    for name, text in bad.items():
        result = manager.CreateImportSpec(text, client.pool, client.datacenter.datastore[0], params("bad"))
        tap.check(f"{name} is said", result.error and not result.importSpec, result)
    result = manager.CreateImportSpec(PACKAGE, client.pool, client.datacenter.datastore[0], params("bad", option="huge"))
    tap.check("no such option", result.error, result)


def begin(client, name):
    spec = client.content.ovfManager.CreateImportSpec(PACKAGE, client.pool, client.datacenter.datastore[0], params(name))
    lease = client.pool.ImportVApp(spec.importSpec, client.folder)
    ready(lease)
    return lease


def leases(tap, host, client):
    vm = create(client, "small")
    with open(host.path("small/small-flat.vmdk"), "r+b") as file:
        file.truncate(3 << 20)
        file.write(b"bytes" * 1000)
    text = open(host.path("small/small.vmdk"), encoding="utf-8").read().replace("RW 8192", "RW 6144")
    with open(host.path("small/small.vmdk"), "w", encoding="utf-8") as file:
        file.write(text)
    lease = vm.ExportVm()
    ready(lease)
    tap.raises("what is exported is not changed", vim.fault.TaskInProgress, lambda: wait(vm.Destroy()))
    url = next(iter(urls(host, lease).values()))
    image = get(url)
    tap.equal("an export takes nothing in", put(url, image), 404)
    tap.equal("another name", put(url.replace("disk-0", "disk-9"), image), 404)
    tap.equal("another secret", put(url.replace("/nfc/", "/nfc/0"), image), 404)
    lease.HttpNfcLeaseComplete()
    tap.raises("once", vim.fault.InvalidState, lease.HttpNfcLeaseComplete)
    eventually(lambda: not vm.recentTask or vm.recentTask[0].info.state == "success")
    tap.equal("and no more", put(url, image), 404)

    lease = begin(client, "coming")
    vm_coming = lease.info.entity
    url = urls(host, lease)["/coming/ParaVirtualSCSIController0:0"]
    tap.raises("it is not there before it is whole", vim.fault.TaskInProgress, lambda: wait(vm_coming.PowerOn()))
    tap.equal("damage is seen", put(url, image[:65560] + b"x" * 10 + image[65570:]), 400)
    tap.equal("an end before the end", put(url, image[:-512]), 400)
    tap.equal("another kind of image", put(url, image[:8] + b"\x01\x00\x00\x00" + image[12:]), 415)
    tap.equal("what comes compressed", put(url, b"\x1f\x8b" + image), 415)
    tap.equal("nothing of it in the manifest", lease.HttpNfcLeaseGetManifest(), [])
    tap.equal("a second attempt", put(url, image, "PUT"), 201)
    tap.equal("in the manifest", [e.sha1 for e in lease.HttpNfcLeaseGetManifest()], [hashlib.sha1(image).hexdigest()])
    raw = b"flat!" * 100000
    tap.equal("the disk's own bytes", put(url, raw.ljust(3 << 20, b"\0"), "PUT", "application/octet-stream"), 201)
    with open(host.path("coming/coming-flat.vmdk"), "rb") as file:
        tap.check("instead of what was there", file.read() == raw.ljust(3 << 20, b"\0"))
    other = Client(connect(host))
    tap.equal("another session of the same user sees it", len(other.same(lease).info.deviceUrl), 2)
    lease.HttpNfcLeaseAbort(vim.fault.OvfImportFailed(msg="no more"))
    eventually(lambda: not os.path.exists(host.path("coming")))
    tap.equal("aborted, all of it goes", listing(host.path()), ["small"])
    tap.equal("the lease says why", (lease.state, lease.error.msg), ("error", "no more"))
    tap.raises("the VM, too", vmodl.fault.ManagedObjectNotFound, lambda: vm_coming.name)

    lease = begin(client, "slow")
    url = urllib.parse.urlsplit(urls(host, lease)["/slow/ParaVirtualSCSIController0:0"])
    sending = http.client.HTTPSConnection(url.hostname, url.port, context=context(), timeout=30)
    sending.putrequest("POST", url.path)
    sending.putheader("Content-Length", str(len(image)))
    sending.endheaders()
    sending.send(image[:70000])
    eventually(lambda: lease.transferProgress is not None)
    task = next(t for t in client.pool.recentTask if t.info.state == "running")
    tap.raises("not complete while bytes come", vim.fault.InvalidState, lease.HttpNfcLeaseComplete)
    task.Cancel()
    sending.send(image[70000:])
    tap.equal("cancelled, the transfer ends", sending.getresponse().status, 409)
    tap.check("the task, too", eventually(lambda: task.info.state == "error"), task.info)
    tap.check("with its fault", isinstance(task.info.error, vmodl.fault.RequestCanceled), task.info.error)
    eventually(lambda: listing(host.path()) == ["small"])
    tap.equal("and nothing is left", listing(host.path()), ["small"])

    begin(client, "orphan")
    host.stop()
    tap.equal("the host's end is a lease's, too", listing(host.path()), ["small"])
    host.start()
    again = Client(connect(host))
    tap.equal("nothing of it afterwards", [v.name for v in again.folder.childEntity], ["small"])


def store(text):
    """A file that begins as a UEFI variable store does."""
    return (bytes(40) + b"_FVH" + text).ljust(4096, b"\xff")


def others(tap, host, client):
    """What is not a disk: the image of a CD, and firmware's variables."""
    CD = vim.vm.device.VirtualCdrom
    image, variables = random.Random(5).randbytes(300000), store(b"mine")
    vm = create(client, "more")
    with open(host.path("install.iso"), "wb") as file:
        file.write(image)
    cds = [device("add", CD(key=-1 - n, controllerKey=200, unitNumber=n, backing=backing,
                            connectable=vim.vm.device.VirtualDevice.ConnectInfo(startConnected=not n, allowGuestControl=True, connected=False)))
           for n, backing in enumerate((CD.IsoBackingInfo(fileName="[datastore1] install.iso"),
                                        CD.RemotePassthroughBackingInfo(deviceName="", exclusive=False)))]
    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=cds, firmware="efi")))
    with open(host.path("more/more.nvram"), "wb") as file:
        file.write(variables)
    lease = vm.ExportVm()
    assert ready(lease), lease.error
    tap.equal("the lease offers all", [(u.key, u.targetId, u.disk, u.fileSize) for u in lease.info.deviceUrl], [
        ("/more/ParaVirtualSCSIController0:0", "disk-0.vmdk", True, None), ("/more/VirtualIDEController0:0", "disk-1.iso", False, len(image)),
        ("/more/nvram", "disk-2.nvram", False, len(variables))])
    lease.HttpNfcLeaseAbort()
    eventually(lambda: not [t for t in vm.recentTask if t.info.state == "running"])
    text, files, manifest, keys, _ = export(client, vm)
    tap.equal("it came byte by byte", (files["more-disk-1.iso"], files["more-disk-2.nvram"]), (image, variables))
    tap.equal("and is in the manifest", [(manifest[keys[n]].checksum, manifest[keys[n]].disk) for n in ("more-disk-1.iso", "more-disk-2.nvram")],
              [(hashlib.sha256(data).hexdigest(), False) for data in (image, variables)])
    for want in ('ovf:href="more-disk-1.iso" ovf:id="file2"', "<rasd:HostResource>ovf:/file/file2</rasd:HostResource>", "vmware.cdrom.iso",
                 '<vmw:ExtraConfig ovf:required="false" vmw:key="nvram" vmw:value="ovf:/file/file3"/>'):
        tap.check(f"the descriptor has {want[:40]}", want in text, text)
    os.unlink(host.path("install.iso"))
    manager = client.content.ovfManager
    spec = manager.CreateImportSpec(text, client.pool, client.datacenter.datastore[0], params("again"))
    tap.equal("what is to be sent, and how", [(i.path, i.deviceId, i.create) for i in spec.fileItem],
              [("more-disk-0.vmdk", "/again/ParaVirtualSCSIController0:0", False), ("more-disk-1.iso", "/again/VirtualIDEController0:0", True),
               ("more-disk-2.nvram", "/again/nvram", True)])
    tap.equal("without a warning", spec.warning, [])
    again = load(client, text, "again", files)
    tap.equal("the image is in its folder", [d.backing.fileName for d in devices(again, CD) if isinstance(d.backing, CD.IsoBackingInfo)],
              ["[datastore1] again/_deviceImage-0.iso"])
    tap.equal("connected as it was", [d.connectable.startConnected for d in devices(again, CD)], [True, False])
    with open(host.path("again/_deviceImage-0.iso"), "rb") as iso, open(host.path("again/again.nvram"), "rb") as nvram:
        tap.equal("both as they were", (iso.read(), nvram.read()), (image, variables))
    tap.equal("the VM is EFI's", again.config.firmware, "efi")

    wait(vm.CreateSnapshot_Task("then", "", False, False))
    with open(host.path("more/more.nvram"), "wb") as file:
        file.write(store(b"later"))
    twin = wait(vm.CloneVM_Task(client.folder, "twin", vim.vm.CloneSpec(location=vim.vm.RelocateSpec(), powerOn=False, template=False,
                                                                       snapshot=vm.snapshot.currentSnapshot)))
    with open(host.path("twin/twin.nvram"), "rb") as file:
        tap.equal("a clone of a snapshot has what that had", file.read(), variables)
    lease = vm.snapshot.currentSnapshot.ExportSnapshot()
    assert ready(lease), lease.error
    tap.equal("and its export", get(urls(host, lease)["/more/nvram"]), variables)
    lease.HttpNfcLeaseAbort()
    eventually(lambda: not [t for t in vm.recentTask if t.info.state == "running"])
    wait(vm.RevertToCurrentSnapshot_Task())
    with open(host.path("more/more.nvram"), "rb") as file:
        tap.equal("and the VM again when it goes back", file.read(), variables)

    foreign = load(client, text, "foreign", {**files, "more-disk-2.nvram": b"MRVN" + bytes(8000)})
    tap.check("variables of another product are left out", not os.path.exists(host.path("foreign/foreign.nvram")))
    spec = manager.CreateImportSpec(text, client.pool, client.datacenter.datastore[0], params("broken"))
    lease = client.pool.ImportVApp(spec.importSpec, client.folder)
    assert ready(lease), lease.error
    tap.equal("too many variables", put(urls(host, lease)["/broken/nvram"], bytes(17 << 20), "PUT"), 400)
    tap.equal("half of an image", put(urls(host, lease)["/broken/VirtualIDEController0:0"], image[:1000], "PUT"), 201)
    lease.HttpNfcLeaseAbort()
    tap.check("nothing of it stays", eventually(lambda: not os.path.exists(host.path("broken"))))
    bad = text.replace("ovf:/file/file2", "ovf:/file/file9")
    spec = manager.CreateImportSpec(bad, client.pool, client.datacenter.datastore[0], params("bad"))
    tap.check("an image that is not in the package is an error", spec.error and "image" in spec.error[0].msg, spec.error)
    for one in (vm, again, twin, foreign):
        wait(one.Destroy())
    tap.equal("all goes with its VM", listing(host.path()), [])


def main():
    tap = Tap()
    with Host(sys.argv[1]) as host:
        tap.run([others, round_trip, descriptor, leases], host, Client(connect(host)))


main()
