# SPDX-License-Identifier: Apache-2.0
# RbVmomi against a whole host: its idioms, of which each goes another way over the wire. TAP.
#
# usage: ruby rbvmomi.rb URL PASSWORD THUMBPRINT
require 'rbvmomi'
require 'tmpdir'
require 'uri'

# It calls what Ruby 3 no longer has.
def URI.escape(text) = URI::DEFAULT_PARSER.escape(text)

VIM = RbVmomi::VIM
$steps = $failed = 0

def check(name, good, detail = nil)
  $steps += 1
  $failed += 1 unless good
  puts "#{good ? 'ok' : 'not ok'} #{$steps} - #{name}"
  puts detail.inspect.gsub(/^/, '# ') unless good || detail.nil?
  good
end

def equal(name, got, want)
  check(name, got == want, "got #{got.inspect}, want #{want.inspect}")
end

def raises(name, kind)
  yield
  check(name, false, 'nothing was raised')
rescue RbVmomi::Fault => e
  check(name, e.fault.class.wsdl_name == kind, e.fault.class.wsdl_name)
end

# A scenario that raises is one failed step.
def scenario(name)
  yield
rescue StandardError => e
  check(name, false, "#{e.class}: #{e.message} #{e.backtrace.first(3)}")
end

uri = URI.parse(ARGV[0])
options = { host: uri.host, port: uri.port, user: 'root', password: ARGV[1], insecure: true }
raises('a wrong password', 'InvalidLogin') { VIM.connect(options.merge(password: 'x')) }
vim = VIM.connect options
check('login', vim.serviceContent.sessionManager.currentSession.userName == 'root')
equal('the version it settled on', vim.rev, '5.5')
instance = vim.serviceInstance
equal('content, as a property', instance.content.about.apiType, 'HostAgent')

dc = instance.find_datacenter
compute = dc.hostFolder.childEntity.grep(VIM::ComputeResource).first
datastore = dc.find_datastore 'datastore1'
host = compute.host.first

scenario('inventory') do
  equal('a datacenter', dc.name, 'ha-datacenter')
  check('a compute resource by path', dc.find_compute_resource(compute.name).host.first == host)
  equal('a datastore', datastore.summary.accessible, true)
  equal('usage', compute.stats.keys.sort, %i[totalCPU totalMem usedCPU usedMem])
  tree = vim.rootFolder.inventory(Datacenter: %w[name])
  equal('folders as a tree', tree.values.first.keys.grep(String), ['ha-datacenter'])
  found = vim.propertyCollector.collectMultiple([host], 'name', 'summary.hardware.memorySize')
  check('several properties at once', found[host]['summary.hardware.memorySize'].positive?, found)
  check('hardware', host.hardware.cpuPkg.size.positive? && host.config.network.portgroup.size == 1)
  raises('no such property', 'InvalidProperty') { host.collect('nonsense') }
end

vm = nil
scenario('a VM') do
  spec = {
    name: 'ruby', guestId: 'otherLinux64Guest', files: { vmPathName: '[datastore1]' }, numCPUs: 1, memoryMB: 32,
    deviceChange: [
      { operation: :add, device: VIM.ParaVirtualSCSIController(key: 1000, busNumber: 0, sharedBus: :noSharing) },
      { operation: :add, fileOperation: :create,
        device: VIM.VirtualDisk(key: 0, backing: VIM.VirtualDiskFlatVer2BackingInfo(
          fileName: '[datastore1]', diskMode: :persistent, thinProvisioned: true
        ), controllerKey: 1000, unitNumber: 0, capacityInKB: 4096) },
      { operation: :add,
        device: VIM.VirtualE1000(key: 0, deviceInfo: { label: 'Network Adapter 1', summary: 'VM Network' },
                                 backing: VIM.VirtualEthernetCardNetworkBackingInfo(deviceName: 'VM Network'),
                                 addressType: 'generated') }
    ],
    extraConfig: [{ key: 'socle.engine', value: 'bt' }]
  }
  task = dc.vmFolder.CreateVM_Task(config: spec, pool: compute.resourcePool)
  vm = task.wait_for_completion
  equal('created', vm.name, 'ruby')
  check('found by its name', dc.find_vm('ruby') == vm)
  equal('one disk', vm.disks.map(&:capacityInKB), [4096])
  check('an address', vm.macs.values.all? { |mac| mac =~ /\A(\h\h:){5}\h\h\z/ }, vm.macs)
  check('by its uuid', dc.vmFolder.findByUuid(vm.config.uuid, VIM::VirtualMachine, dc) == vm)
  raises('a name twice', 'DuplicateName') do
    dc.vmFolder.CreateVM_Task(config: spec, pool: compute.resourcePool).wait_for_completion
  end
  vm.ReconfigVM_Task(spec: { numCPUs: 2, extraConfig: [{ key: 'guestinfo.a', value: 'b' }] }).wait_for_completion
  equal('two processors', vm.collect('config.hardware.numCPU'), [2])
end

scenario('snapshots') do
  vm.CreateSnapshot_Task(name: 'one', description: '', memory: false, quiesce: false).wait_for_completion
  equal('a snapshot', vm.snapshot.rootSnapshotList.map(&:name), ['one'])
  vm.snapshot.currentSnapshot.RevertToSnapshot_Task.wait_for_completion
  vm.snapshot.currentSnapshot.RemoveSnapshot_Task(removeChildren: false).wait_for_completion
  equal('no snapshot', vm.snapshot, nil)
end

scenario('power') do
  seen = []
  vm.PowerOnVM_Task.wait_for_progress { |progress| seen << progress }
  equal('on', vm.runtime.powerState, 'poweredOn')
  raises('not twice', 'InvalidPowerState') { vm.PowerOnVM_Task.wait_for_completion }
  vm.PowerOffVM_Task
  vm.wait_until('runtime.powerState') { vm.runtime.powerState == 'poweredOff' }
  check('waited for off', vm.collect('runtime.powerState') == ['poweredOff'])
end

scenario('files') do
  Dir.mktmpdir do |dir|
    File.write("#{dir}/a", 'some text' * 1000)
    datastore.upload 'ruby/a b', "#{dir}/a"
    check('uploaded', datastore.exists?('ruby/a b'))
    check('another is not there', !datastore.exists?('ruby/none'))
    datastore.download 'ruby/a b', "#{dir}/b"
    check('the same', File.read("#{dir}/b") == File.read("#{dir}/a"))
  end
end

scenario('events') do
  manager = vim.serviceContent.eventManager
  events = manager.CreateCollectorForEvents(filter: { entity: { entity: vm, recursion: :all } })
  kinds = events.ReadNextEvents(maxCount: 100).map { |e| e.class.wsdl_name }
  check('what happened to the VM', %w[VmCreatedEvent VmPoweredOnEvent VmPoweredOffEvent] - kinds == [], kinds)
  events.DestroyCollector
end

# Through the executer, as one does by a vCenter; the direct way calls methods that no WSDL has.
scenario('esxcli') do
  def host.direct? = false
  rows = host.esxcli.network.vswitch.standard.portgroup.list
  equal('esxcli: rows as objects', rows.map { |r| [r.Name, r.VLANID] }, [['VM Network', 0]])
  equal('esxcli: one row', host.esxcli.system.hostname.get.HostName, host.name)
  info = host.esxcli.network.nic.ring.preset.commands['get'].cli_info
  equal('esxcli: parameters', info.param.map(&:name), ['nicname'])
end

scenario('the end') do
  vm.Destroy_Task.wait_for_completion
  raises('it is gone', 'ManagedObjectNotFound') { vm.name }
  vim.close
  check('logged out', true)
end

puts "1..#{$steps}"
puts "# #{$steps - $failed} of #{$steps} steps passed"
exit $failed.zero?
