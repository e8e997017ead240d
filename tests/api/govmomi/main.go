// SPDX-License-Identifier: Apache-2.0

// govmomi, the library of govc, Packer and Terraform, against a whole host: what these do. TAP.
//
// usage: govmomi-client URL PASSWORD THUMBPRINT
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/event"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/license"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// One connection, and what everybody wants of it.
type client struct {
	*govmomi.Client
	ctx        context.Context
	url        *url.URL
	finder     *find.Finder
	datacenter *object.Datacenter
	datastore  *object.Datastore
	host       *object.HostSystem
	pool       *object.ResourcePool
	folders    *object.DatacenterFolders
	vm         *object.VirtualMachine
	folder     string // for files of ours
}

var steps, failed int

func check(name string, good bool, detail ...interface{}) bool {
	steps++
	word := "ok"
	if !good {
		word = "not ok"
		failed++
	}
	fmt.Printf("%s %d - %s\n", word, steps, name)
	if !good && len(detail) > 0 {
		fmt.Println("# " + strings.ReplaceAll(fmt.Sprint(detail...), "\n", "\n# "))
	}
	return good
}

func succeeds(name string, err error) bool {
	return check(name, err == nil, err)
}

// The fault in an error of a call or of a task, nil if it is none.
func faultOf(err error) interface{} {
	if err == nil {
		return nil
	}
	if soap.IsSoapFault(err) {
		return soap.ToSoapFault(err).VimFault()
	}
	type withFault interface{ Fault() types.BaseMethodFault }
	if f, ok := err.(withFault); ok {
		return f.Fault()
	}
	return nil
}

func fails(name string, err error, kind string) bool {
	got := strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", faultOf(err)), "*"), "types.")
	return check(name, got == kind, "got "+got+", want "+kind+": ", err)
}

func (c *client) waits(name string, task *object.Task, err error) *types.TaskInfo {
	if err != nil {
		succeeds(name, err)
		return nil
	}
	info, err := task.WaitForResult(c.ctx, nil)
	if !succeeds(name, err) {
		return nil
	}
	return info
}

func (c *client) taskFails(name string, task *object.Task, err error, kind string) {
	if err == nil {
		err = task.Wait(c.ctx)
	}
	fails(name, err, kind)
}

func connect(ctx context.Context, u *url.URL) (*client, error) {
	inner, err := govmomi.NewClient(ctx, u, true)
	if err != nil {
		return nil, err
	}
	return &client{Client: inner, ctx: ctx, url: u}, nil
}

// --- sessions ---

func (c *client) sessions(thumbprint string) {
	about := c.ServiceContent.About
	check("a host, no vCenter", !c.IsVC() && about.ApiType == "HostAgent", about)
	check("product", about.ProductLineId == "embeddedEsx" && about.Version == "8.0.3", about)
	user, err := c.SessionManager.UserSession(c.ctx)
	check("whose session", err == nil && user != nil && user.UserName == "root", err, user)

	wrong := *c.url
	wrong.User = url.UserPassword("root", "wrong")
	_, err = govmomi.NewClient(c.ctx, &wrong, true)
	fails("a wrong password", err, "InvalidLogin")

	ticket, err := c.SessionManager.AcquireCloneTicket(c.ctx)
	succeeds("a clone ticket", err)
	plain := *c.url
	plain.User = nil
	other, err := vim25.NewClient(c.ctx, soap.NewClient(&plain, true))
	if succeeds("a second connection without a login", err) {
		manager := session.NewManager(other)
		none, err := manager.UserSession(c.ctx)
		check("nobody's yet", err == nil && none == nil, err, none)
		succeeds("opened by the ticket", manager.CloneSession(c.ctx, ticket))
		same, err := manager.UserSession(c.ctx)
		check("for the same user", err == nil && same != nil && same.UserName == "root", err, same)
		fails("a ticket works once", manager.CloneSession(c.ctx, ticket), "InvalidLogin")
		succeeds("logout", manager.Logout(c.ctx))
	}

	pinned := soap.NewClient(&plain, false)
	pinned.SetThumbprint(c.url.Host, thumbprint)
	_, err = vim25.NewClient(c.ctx, pinned)
	succeeds("the certificate by its thumbprint", err)
	pinned = soap.NewClient(&plain, false)
	pinned.SetThumbprint(c.url.Host, strings.Repeat("00:", 19)+"00")
	_, err = vim25.NewClient(c.ctx, pinned)
	check("another thumbprint is refused", err != nil)
	now, err := methods.GetCurrentTime(c.ctx, c)
	check("the time", err == nil && time.Since(*now) < time.Minute && time.Since(*now) > -time.Minute, err, now)
}

// --- inventory ---

func (c *client) inventory() bool {
	var err error
	c.finder = find.NewFinder(c.Client.Client, false)
	if c.datacenter, err = c.finder.DefaultDatacenter(c.ctx); !succeeds("the only datacenter", err) {
		return false
	}
	c.finder.SetDatacenter(c.datacenter)
	check("its path", c.datacenter.InventoryPath == "/ha-datacenter", c.datacenter.InventoryPath)
	if c.datastore, err = c.finder.DefaultDatastore(c.ctx); !succeeds("the only datastore", err) {
		return false
	}
	if c.host, err = c.finder.DefaultHostSystem(c.ctx); !succeeds("the only host", err) {
		return false
	}
	if c.pool, err = c.finder.DefaultResourcePool(c.ctx); !succeeds("the only pool", err) {
		return false
	}
	if c.folders, err = c.datacenter.Folders(c.ctx); !succeeds("the datacenter's folders", err) {
		return false
	}
	network, err := c.finder.Network(c.ctx, "VM Network")
	check("a network by its name", err == nil && network.GetInventoryPath() == "/ha-datacenter/network/VM Network", err)
	_, err = c.finder.VirtualMachine(c.ctx, "nothing")
	_, missing := err.(*find.NotFoundError)
	check("a VM that is not there", missing, err)
	list, err := c.finder.ManagedObjectList(c.ctx, "/ha-datacenter/*")
	check("children of the datacenter", err == nil && len(list) == 4, err, list)
	list, err = c.finder.ManagedObjectListChildren(c.ctx, "/ha-datacenter/host/*/*")
	check("host and pool below the compute resource", err == nil && len(list) >= 2, err, list)

	manager := view.NewManager(c.Client.Client)
	v, err := manager.CreateContainerView(c.ctx, c.ServiceContent.RootFolder, []string{"ManagedEntity"}, true)
	if succeeds("a view of everything", err) {
		var all []mo.ManagedEntity
		err = v.Retrieve(c.ctx, []string{"ManagedEntity"}, []string{"name", "parent"}, &all)
		check("holds everything", err == nil && len(all) >= 9, err, len(all))
		found, err := v.Find(c.ctx, []string{"Datastore"}, property.Filter{"name": "data*"})
		check("and finds by a pattern", err == nil && len(found) == 1, err, found)
		succeeds("and goes", v.Destroy(c.ctx))
	}
	var host mo.HostSystem
	err = c.host.Properties(c.ctx, c.host.Reference(), nil, &host)
	check("all of the host", err == nil && host.Summary.Hardware != nil && host.Config.Network != nil &&
		host.Hardware.MemorySize > 0, err)
	addresses, err := c.host.ManagementIPs(c.ctx)
	check("addresses of its management", err == nil && len(addresses) > 0, err, addresses)
	index := object.NewSearchIndex(c.Client.Client)
	ref, err := index.FindByInventoryPath(c.ctx, "/ha-datacenter/vm")
	check("by path", err == nil && ref != nil && ref.Reference().Value == "ha-folder-vm", err, ref)
	ref, err = index.FindChild(c.ctx, c.folders.VmFolder, "nothing")
	check("no child", err == nil && ref == nil, err, ref)
	return true
}

// --- files and disks ---

func (c *client) files() {
	path := filepath.Join(c.folder, "lines")
	var text bytes.Buffer
	for i := 0; i < 2000; i++ {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	succeeds("a file of ours", os.WriteFile(path, text.Bytes(), 0600))
	manager := object.NewFileManager(c.Client.Client)
	succeeds("a folder", manager.MakeDirectory(c.ctx, c.datastore.Path("go/deep"), c.datacenter, true))
	fails("twice", manager.MakeDirectory(c.ctx, c.datastore.Path("go/deep"), c.datacenter, false), "FileAlreadyExists")
	succeeds("an upload", c.datastore.UploadFile(c.ctx, path, "go/lines", nil))
	succeeds("a download", c.datastore.DownloadFile(c.ctx, "go/lines", path+".back", nil))
	back, err := os.ReadFile(path + ".back")
	check("of the same bytes", err == nil && bytes.Equal(back, text.Bytes()), err, len(back))
	info, err := c.datastore.Stat(c.ctx, "go/lines")
	check("its size", err == nil && info.GetFileInfo().FileSize == int64(text.Len()), err, info)
	_, err = c.datastore.Stat(c.ctx, "go/none")
	_, missing := err.(object.DatastoreNoSuchFileError)
	check("a file that is not there", missing, err)
	_, err = c.datastore.Stat(c.ctx, "none/none")
	_, missing = err.(object.DatastoreNoSuchDirectoryError)
	check("a folder that is not there", missing, err)

	file, err := c.datastore.Open(c.ctx, "go/lines")
	if succeeds("opened", err) {
		succeeds("its end", file.Tail(2))
		tail, err := io.ReadAll(file)
		check("by ranges", err == nil && string(tail) == "line 1998\nline 1999\n", err, string(tail))
		_ = file.Close()
	}
	m := c.datastore.NewFileManager(c.datacenter, true)
	succeeds("copied", m.CopyFile(c.ctx, "go/lines", "go/deep/copy"))
	succeeds("moved", m.MoveFile(c.ctx, "go/deep/copy", "go/deep/moved"))
	succeeds("deleted", m.DeleteFile(c.ctx, "go/deep/moved"))
	err = m.DeleteFile(c.ctx, "go/deep/moved")
	fails("it is gone", err, "FileNotFound")
}

func (c *client) disks() {
	manager := object.NewVirtualDiskManager(c.Client.Client)
	name := c.datastore.Path("go/disk.vmdk")
	spec := &types.FileBackedVirtualDiskSpec{
		VirtualDiskSpec: types.VirtualDiskSpec{AdapterType: "lsiLogic", DiskType: "thin"}, CapacityKb: 4096}
	task, err := manager.CreateVirtualDisk(c.ctx, name, c.datacenter, spec)
	c.waits("a disk", task, err)
	uuid, err := manager.QueryVirtualDiskUuid(c.ctx, name, c.datacenter)
	check("its uuid", err == nil && strings.Count(uuid, " ") == 14 && strings.Count(uuid, "-") == 1, err, uuid)
	wanted := "60 00 c2 90 11 22 33 44-55 66 77 88 99 aa bb cc"
	succeeds("another uuid", manager.SetVirtualDiskUuid(c.ctx, name, c.datacenter, wanted))
	uuid, err = manager.QueryVirtualDiskUuid(c.ctx, name, c.datacenter)
	check("is kept", err == nil && strings.EqualFold(uuid, wanted), err, uuid)
	task, err = manager.CopyVirtualDisk(c.ctx, name, c.datacenter, c.datastore.Path("go/copy.vmdk"), c.datacenter, nil, false)
	c.waits("a copy", task, err)
	task, err = manager.MoveVirtualDisk(c.ctx, c.datastore.Path("go/copy.vmdk"), c.datacenter,
		c.datastore.Path("go/moved.vmdk"), c.datacenter, false)
	c.waits("moved", task, err)
	task, err = manager.InflateVirtualDisk(c.ctx, c.datastore.Path("go/moved.vmdk"), c.datacenter)
	c.waits("inflated", task, err)
	task, err = manager.DeleteVirtualDisk(c.ctx, c.datastore.Path("go/moved.vmdk"), c.datacenter)
	c.waits("deleted", task, err)
	_, err = c.datastore.Stat(c.ctx, "go/moved-flat.vmdk")
	check("with its data", err != nil)
}

// --- a VM ---

func (c *client) createVM() bool {
	network, err := c.finder.Network(c.ctx, "VM Network")
	if !succeeds("a network", err) {
		return false
	}
	var devices object.VirtualDeviceList
	scsi, err := devices.CreateSCSIController("pvscsi")
	if !succeeds("a controller", err) {
		return false
	}
	devices = append(devices, scsi)
	disk := devices.CreateDisk(scsi.(types.BaseVirtualController), c.datastore.Reference(), "")
	disk.CapacityInKB = 4096
	devices = append(devices, disk)
	ide, err := devices.CreateIDEController()
	if !succeeds("an IDE controller", err) {
		return false
	}
	devices = append(devices, ide)
	cdrom, err := devices.CreateCdrom(ide.(*types.VirtualIDEController))
	if !succeeds("a CD drive", err) {
		return false
	}
	devices = append(devices, cdrom)
	backing, err := network.EthernetCardBackingInfo(c.ctx)
	if !succeeds("the network as a card's backing", err) {
		return false
	}
	card, err := devices.CreateEthernetCard("vmxnet3", backing)
	if !succeeds("a card", err) {
		return false
	}
	devices = append(devices, card)
	change, err := devices.ConfigSpec(types.VirtualDeviceConfigSpecOperationAdd)
	if !succeeds("as changes", err) {
		return false
	}
	for _, d := range change {
		if _, ok := d.GetVirtualDeviceConfigSpec().Device.(*types.VirtualDisk); ok {
			d.GetVirtualDeviceConfigSpec().FileOperation = types.VirtualDeviceConfigSpecFileOperationCreate
		}
	}
	spec := types.VirtualMachineConfigSpec{
		Name: "gopher", GuestId: "otherLinux64Guest", NumCPUs: 1, MemoryMB: 32, DeviceChange: change,
		Files:       &types.VirtualMachineFileInfo{VmPathName: c.datastore.Path("")},
		ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: "socle.engine", Value: "bt"}},
	}
	task, err := c.folders.VmFolder.CreateVM(c.ctx, spec, c.pool, c.host)
	info := c.waits("created", task, err)
	if info == nil {
		return false
	}
	c.vm = object.NewVirtualMachine(c.Client.Client, info.Result.(types.ManagedObjectReference))
	task, err = c.folders.VmFolder.CreateVM(c.ctx, spec, c.pool, c.host)
	c.taskFails("a name twice", task, err, "DuplicateName")
	return true
}

func (c *client) devices() {
	list, err := c.vm.Device(c.ctx)
	if !succeeds("its devices", err) {
		return
	}
	disks := list.SelectByType((*types.VirtualDisk)(nil))
	check("a disk", len(disks) == 1 && list.Name(disks[0]) == "disk-1000-0", disks)
	card := list.Find("ethernet-0")
	check("a card with an address", card != nil && list.PrimaryMacAddress() != "", list)
	cdrom, err := list.FindCdrom("")
	if succeeds("the CD drive", err) {
		succeeds("a medium", c.vm.EditDevice(c.ctx, list.InsertIso(cdrom, c.datastore.Path("go/lines"))))
		list, _ = c.vm.Device(c.ctx)
		cdrom, _ = list.FindCdrom("")
		iso, ok := cdrom.Backing.(*types.VirtualCdromIsoBackingInfo)
		check("is in it", ok && iso.FileName == c.datastore.Path("go/lines"), cdrom)
		succeeds("ejected", c.vm.EditDevice(c.ctx, list.EjectIso(cdrom)))
	}
	controller, err := list.FindDiskController("scsi")
	if succeeds("the disk's controller", err) {
		more := list.CreateDisk(controller, c.datastore.Reference(), c.datastore.Path("gopher/more.vmdk"))
		more.CapacityInKB = 2048
		succeeds("another disk", c.vm.AddDevice(c.ctx, more))
		list, _ = c.vm.Device(c.ctx)
		disks = list.SelectByType((*types.VirtualDisk)(nil))
		check("is there", len(disks) == 2, disks)
		grown := disks[1].(*types.VirtualDisk)
		grown.CapacityInKB = 4096
		succeeds("larger", c.vm.EditDevice(c.ctx, grown))
		succeeds("removed with its file", c.vm.RemoveDevice(c.ctx, false, disks[1]))
		_, err = c.datastore.Stat(c.ctx, "gopher/more.vmdk")
		check("the file is gone", err != nil)
	}
	serial, err := list.CreateSerialPort()
	if succeeds("a serial port", err) {
		file := list.ConnectSerialPort(serial, c.datastore.Path("gopher/serial.log"), false, "")
		_ = file
		succeeds("added", c.vm.AddDevice(c.ctx, serial))
	}
	target, err := c.vm.QueryConfigTarget(c.ctx)
	check("what it could have", err == nil && len(target.Network) == 1, err)
}

func (c *client) settings() {
	spec := types.VirtualMachineConfigSpec{NumCPUs: 2, MemoryMB: 64, Annotation: "a note",
		ExtraConfig: []types.BaseOptionValue{&types.OptionValue{Key: "guestinfo.x", Value: "1"}}}
	task, err := c.vm.Reconfigure(c.ctx, spec)
	c.waits("reconfigured", task, err)
	var vm mo.VirtualMachine
	err = c.vm.Properties(c.ctx, c.vm.Reference(), []string{"config", "summary", "runtime", "guest", "layoutEx"}, &vm)
	if !succeeds("its properties", err) {
		return
	}
	check("as it was set", vm.Config.Hardware.NumCPU == 2 && vm.Config.Hardware.MemoryMB == 64 &&
		vm.Config.Annotation == "a note", vm.Config.Hardware)
	found := false
	for _, option := range vm.Config.ExtraConfig {
		found = found || option.GetOptionValue().Key == "guestinfo.x"
	}
	check("with what is extra", found)
	check("its uuid", c.vm.UUID(c.ctx) == vm.Config.Uuid, c.vm.UUID(c.ctx))
	index := object.NewSearchIndex(c.Client.Client)
	ref, err := index.FindByUuid(c.ctx, c.datacenter, vm.Config.Uuid, true, nil)
	check("found by it", err == nil && ref != nil && ref.Reference() == c.vm.Reference(), err, ref)
	ref, err = index.FindByDatastorePath(c.ctx, c.datacenter, vm.Config.Files.VmPathName)
	check("and by its file", err == nil && ref != nil && ref.Reference() == c.vm.Reference(), err, ref)
	list, _ := c.vm.Device(c.ctx)
	order := list.BootOrder([]string{object.DeviceTypeCdrom, object.DeviceTypeDisk, object.DeviceTypeEthernet})
	succeeds("a boot order", c.vm.SetBootOptions(c.ctx, &types.VirtualMachineBootOptions{BootOrder: order, BootDelay: 10}))
	options, err := c.vm.BootOptions(c.ctx)
	check("is kept", err == nil && len(options.BootOrder) == 3 && options.BootDelay == 10, err, options)
}

func (c *client) snapshots() {
	task, err := c.vm.CreateSnapshot(c.ctx, "first", "of two", false, false)
	c.waits("a snapshot", task, err)
	task, err = c.vm.CreateSnapshot(c.ctx, "second", "", false, false)
	c.waits("another", task, err)
	ref, err := c.vm.FindSnapshot(c.ctx, "first/second")
	check("by its path", err == nil && ref != nil, err)
	task, err = c.vm.RevertToSnapshot(c.ctx, "first", true)
	c.waits("back to the first", task, err)
	task, err = c.vm.RemoveSnapshot(c.ctx, "second", false, nil)
	c.waits("the second removed", task, err)
	_, err = c.vm.FindSnapshot(c.ctx, "second")
	check("it is gone", err != nil)
	task, err = c.vm.RemoveAllSnapshot(c.ctx, nil)
	c.waits("all removed", task, err)
}

func (c *client) power() {
	seen := make(chan types.VirtualMachinePowerState, 8)
	watching, stop := context.WithCancel(c.ctx)
	go func() {
		defer close(seen)
		_ = property.Wait(watching, property.DefaultCollector(c.Client.Client), c.vm.Reference(),
			[]string{"runtime.powerState"}, func(changes []types.PropertyChange) bool {
				for _, change := range changes {
					if state, ok := change.Val.(types.VirtualMachinePowerState); ok {
						seen <- state
					}
				}
				return false
			})
	}()
	check("watched: off", <-seen == types.VirtualMachinePowerStatePoweredOff)
	task, err := c.vm.PowerOn(c.ctx)
	c.waits("on", task, err)
	succeeds("waited for", c.vm.WaitForPowerState(c.ctx, types.VirtualMachinePowerStatePoweredOn))
	select {
	case state := <-seen:
		check("watched: on", state == types.VirtualMachinePowerStatePoweredOn, state)
	case <-time.After(10 * time.Second):
		check("watched: on", false, "nothing came")
	}
	stop()
	task, err = c.vm.PowerOn(c.ctx)
	c.taskFails("not twice", task, err, "InvalidPowerState")
	host, err := c.vm.HostSystem(c.ctx)
	check("where it runs", err == nil && host.Reference() == c.host.Reference(), err)
	tools, err := c.vm.IsToolsRunning(c.ctx)
	check("no tools in it", err == nil && !tools, err)
	task, err = c.vm.Reset(c.ctx)
	c.waits("reset", task, err)
	task, err = c.vm.PowerOff(c.ctx)
	c.waits("off", task, err)
}

func (c *client) away() {
	task, err := c.vm.Rename(c.ctx, "gopher two")
	c.waits("another name", task, err)
	found, err := c.finder.VirtualMachine(c.ctx, "gopher two")
	check("found by it", err == nil && found.Reference() == c.vm.Reference(), err)
	succeeds("out of the inventory", c.vm.Unregister(c.ctx))
	_, err = c.vm.PowerState(c.ctx)
	fails("it is no more", err, "ManagedObjectNotFound")
	task, err = c.folders.VmFolder.RegisterVM(c.ctx, c.datastore.Path("gopher/gopher.vmx"), "", false, c.pool, c.host)
	info := c.waits("back in", task, err)
	if info == nil {
		return
	}
	c.vm = object.NewVirtualMachine(c.Client.Client, info.Result.(types.ManagedObjectReference))
	task, err = c.vm.Destroy(c.ctx)
	c.waits("destroyed", task, err)
	_, err = c.datastore.Stat(c.ctx, "gopher/gopher.vmx")
	check("with its files", err != nil)
}

// --- the host ---

func (c *client) network() {
	system, err := c.host.ConfigManager().NetworkSystem(c.ctx)
	if !succeeds("the network system", err) {
		return
	}
	succeeds("a switch", system.AddVirtualSwitch(c.ctx, "go", &types.HostVirtualSwitchSpec{NumPorts: 16}))
	group := types.HostPortGroupSpec{Name: "go net", VswitchName: "go", VlanId: 3}
	succeeds("a port group", system.AddPortGroup(c.ctx, group))
	fails("twice", system.AddPortGroup(c.ctx, group), "AlreadyExists")
	network, err := c.finder.Network(c.ctx, "go net")
	check("its network", err == nil && network.Reference().Value == "HaNetwork-go net", err)
	var info mo.HostNetworkSystem
	err = system.Properties(c.ctx, system.Reference(), nil, &info)
	check("in the network's description", err == nil && len(info.NetworkInfo.Vswitch) == 2 &&
		len(info.NetworkInfo.Portgroup) == 2, err)
	succeeds("without the port group", system.RemovePortGroup(c.ctx, "go net"))
	succeeds("without the switch", system.RemoveVirtualSwitch(c.ctx, "go"))
	fails("that is not there", system.RemoveVirtualSwitch(c.ctx, "go"), "NotFound")
	nics, err := c.host.ConfigManager().VirtualNicManager(c.ctx)
	if succeeds("the manager of own interfaces", err) {
		info, err := nics.Info(c.ctx)
		check("tells which serve management", err == nil && info.NetConfig[0].NicType == "management", err)
	}
}

func (c *client) hostSettings() {
	m := c.host.ConfigManager()
	if options, err := m.OptionManager(c.ctx); succeeds("options", err) {
		list, err := options.Query(c.ctx, "Security.AccountUnlockTime")
		if check("one of them", err == nil && len(list) == 1, err) {
			succeeds("set", options.Update(c.ctx, list))
		}
		_, err = options.Query(c.ctx, "None.Of.These")
		fails("none of them", err, "InvalidName")
	}
	if services, err := m.ServiceSystem(c.ctx); succeeds("services", err) {
		list, err := services.Service(c.ctx)
		check("a list of them", err == nil && len(list) > 0, err)
	}
	if firewall, err := m.FirewallSystem(c.ctx); succeeds("the firewall", err) {
		info, err := firewall.Info(c.ctx)
		check("its rules", err == nil && len(info.Ruleset) > 0, err)
		rules := object.HostFirewallRulesetList(info.Ruleset)
		found, err := rules.EnabledByRule(types.HostFirewallRule{Port: 443, PortType: types.HostFirewallRulePortTypeDst,
			Direction: types.HostFirewallRuleDirectionInbound, Protocol: "tcp"}, true)
		check("which one opens the API's port", err == nil && len(found) == 1, err)
	}
	if clock, err := m.DateTimeSystem(c.ctx); succeeds("the clock", err) {
		now, err := clock.Query(c.ctx)
		check("is right", err == nil && time.Since(*now) < time.Minute, err, now)
	}
	if storage, err := m.StorageSystem(c.ctx); succeeds("the storage system", err) {
		succeeds("looks again", storage.RescanAllHba(c.ctx))
	}
	if _, err := m.DatastoreSystem(c.ctx); err != nil {
		succeeds("the datastore system", err)
	}
	if _, err := m.VsanSystem(c.ctx); err != nil {
		succeeds("the vSAN system", err)
	}
	if accounts, err := m.AccountManager(c.ctx); succeeds("accounts", err) {
		spec := &types.HostAccountSpec{Id: "gopher", Password: "Go-12345678", Description: "of the test"}
		succeeds("a user", accounts.Create(c.ctx, spec))
		spec.Description = "changed"
		succeeds("changed", accounts.Update(c.ctx, spec))
		succeeds("removed", accounts.Remove(c.ctx, "gopher"))
		fails("not there", accounts.Remove(c.ctx, "gopher"), "UserNotFound")
	}
	task, err := c.host.EnterMaintenanceMode(c.ctx, 10, false, nil)
	c.waits("into maintenance", task, err)
	task, err = c.host.ExitMaintenanceMode(c.ctx, 10)
	c.waits("out of it", task, err)
}

func (c *client) rights() {
	m := object.NewAuthorizationManager(c.Client.Client)
	roles, err := m.RoleList(c.ctx)
	check("roles", err == nil && roles.ByName("Admin") != nil && roles.ById(-2) != nil, err)
	id, err := m.AddRole(c.ctx, "gophers", []string{"VirtualMachine.Interact.PowerOn"})
	check("one of ours", err == nil && id > 0, err, id)
	succeeds("changed", m.UpdateRole(c.ctx, id, "gophers", []string{"VirtualMachine.Interact.PowerOff"}))
	root := c.ServiceContent.RootFolder
	has, err := m.HasPrivilegeOnEntity(c.ctx, root, "", []string{"System.View"})
	_ = has
	if err != nil {
		check("asked without a session's key", faultOf(err) != nil, err)
	}
	list, err := m.RetrieveEntityPermissions(c.ctx, root, true)
	check("permissions of the root", err == nil && len(list) == 1 && list[0].Principal == "root", err, list)
	fails("a user that is none", m.SetEntityPermissions(c.ctx, root, []types.Permission{
		{Principal: "nobody", RoleId: id, Propagate: true}}), "UserNotFound")
	succeeds("the role removed", m.RemoveRole(c.ctx, id, true))
}

func (c *client) pools() {
	spec := types.DefaultResourceConfigSpec()
	pool, err := c.pool.Create(c.ctx, "gopool", spec)
	if !succeeds("a pool", err) {
		return
	}
	limit := int64(1000)
	spec.CpuAllocation.Limit = &limit
	succeeds("changed", pool.UpdateConfig(c.ctx, "gopool", &spec))
	found, err := c.finder.ResourcePool(c.ctx, "*/Resources/gopool")
	check("by its path", err == nil && found.Reference() == pool.Reference(), err)
	task, err := pool.Destroy(c.ctx)
	c.waits("destroyed", task, err)
}

func (c *client) history() {
	m := event.NewManager(c.Client.Client)
	collector, err := m.CreateCollectorForEvents(c.ctx, types.EventFilterSpec{
		Entity: &types.EventFilterSpecByEntity{Entity: c.ServiceContent.RootFolder,
			Recursion: types.EventFilterSpecRecursionOptionAll}})
	if !succeeds("a collector of events", err) {
		return
	}
	page, err := collector.LatestPage(c.ctx)
	check("the latest", err == nil && len(page) > 0, err)
	succeeds("from the beginning", collector.Rewind(c.ctx))
	list, err := collector.ReadNextEvents(c.ctx, 5)
	check("five of them", err == nil && len(list) == 5, err, len(list))
	category, err := m.EventCategory(c.ctx, list[0])
	check("what kind it is", err == nil && category != "", err)
	succeeds("done", collector.Destroy(c.ctx))
	licenses, err := license.NewManager(c.Client.Client).List(c.ctx)
	check("no licence needed", err == nil && len(licenses) == 1, err)
}

func (c *client) logs() {
	m := object.NewDiagnosticManager(c.Client.Client)
	list, err := m.QueryDescriptions(c.ctx, nil)
	keys := map[string]bool{}
	for _, d := range list {
		keys[d.Key] = true
	}
	check("logs", err == nil && keys["hostd"] && keys["front"], err, keys)
	log := m.Log(c.ctx, nil, "hostd")
	succeeds("the last lines of one", log.Seek(c.ctx, 3))
	var text bytes.Buffer
	_, err = log.Copy(c.ctx, &text)
	check("read", err == nil && strings.Count(text.String(), "\n") >= 3, err, text.String())
	task, err := m.GenerateLogBundles(c.ctx, true, nil)
	info := c.waits("all in one file", task, err)
	if info == nil {
		return
	}
	bundles := info.Result.(types.ArrayOfDiagnosticManagerBundleInfo).DiagnosticManagerBundleInfo
	u, err := c.Client.Client.ParseURL(bundles[0].Url)
	if !succeeds("its address", err) {
		return
	}
	reader, _, err := c.Client.Client.Download(c.ctx, u, &soap.DefaultDownload)
	if succeeds("fetched", err) {
		head := make([]byte, 2)
		_, err = io.ReadFull(reader, head)
		check("compressed", err == nil && head[0] == 0x1f && head[1] == 0x8b, err, head)
		_ = reader.Close()
	}
}

func (c *client) certificates() {
	m, err := c.host.ConfigManager().CertificateManager(c.ctx)
	if !succeeds("the certificate manager", err) {
		return
	}
	info, err := m.CertificateInfo(c.ctx)
	check("its certificate", err == nil && info.Status == "good" && info.NotAfter.After(time.Now()), err, info)
	csr, err := m.GenerateCertificateSigningRequest(c.ctx, false)
	check("a signing request", err == nil && strings.HasPrefix(csr, "-----BEGIN CERTIFICATE REQUEST"), err)
	fails("no certificate", m.InstallServerCertificate(c.ctx, "nothing"), "HostConfigFault")
}

func (c *client) run(thumbprint string) {
	c.sessions(thumbprint)
	if !c.inventory() {
		return
	}
	c.files()
	c.disks()
	if c.createVM() {
		c.devices()
		c.settings()
		c.snapshots()
		c.power()
		c.away()
	}
	c.network()
	c.hostSettings()
	c.rights()
	c.pools()
	c.history()
	c.logs()
	c.certificates()
	succeeds("logout", c.Logout(c.ctx))
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	u, err := soap.ParseURL(os.Args[1])
	if err != nil {
		fmt.Println("Bail out! ", err)
		os.Exit(1)
	}
	u.User = url.UserPassword("root", os.Args[2])
	c, err := connect(ctx, u)
	if succeeds("login", err) {
		c.folder, err = os.MkdirTemp("", "socle-govmomi-")
		if succeeds("a folder of ours", err) {
			defer os.RemoveAll(c.folder)
			c.run(os.Args[3])
		}
	}
	fmt.Printf("1..%d\n# %d of %d steps passed\n", steps, steps-failed, steps)
	if failed > 0 {
		os.Exit(1)
	}
}
