#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Statistics of the host and of a running VM, as clients ask for them. Takes 40 s, for they are
measured every 20. TAP.

usage: host_perf.py BUILD
"""

import datetime
import os
import signal
import sqlite3
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from client import Client, connect, create, reconnect  # noqa: E402
from host import Host, Tap, eventually  # noqa: E402
from pyVim.task import WaitForTask  # noqa: E402
from pyVmomi import vim, vmodl  # noqa: E402

Metric, Spec = vim.PerformanceManager.MetricId, vim.PerformanceManager.QuerySpec


class Perf:
    def __init__(self, client):
        self.manager = client.content.perfManager
        self.key = {f"{c.groupInfo.key}.{c.nameInfo.key}.{c.rollupType}": c.key for c in self.manager.perfCounter}
        self.name = {key: name for name, key in self.key.items()}

    def query(self, entity, *names, instance="", interval=20, **options):
        ids = [Metric(counterId=self.key[n], instance=instance) for n in names]
        return self.manager.QueryPerf([Spec(entity=entity, metricId=ids, intervalId=interval, **options)])[0]

    def last(self, entity, name, instance=""):
        found = self.query(entity, name, instance=instance, maxSample=1)
        return found.value[0].value[0] if found.value else None


def counters(tap, host, client, perf):
    tap.equal("keys that clients know", [perf.key[n] for n in (
        "cpu.usage.average", "cpu.ready.summation", "mem.consumed.average", "net.usage.average",
        "virtualDisk.read.average", "sys.uptime.latest")], [1, 11, 65611, 196609, 589826, 262144])
    (one,) = perf.manager.QueryPerfCounter([65611])
    tap.equal("one of them", (one.groupInfo.key, one.nameInfo.key, one.unitInfo.key, one.rollupType, one.statsType),
              ("mem", "consumed", "kiloBytes", "average", "absolute"))
    tap.raises("one that is not", vmodl.fault.InvalidArgument, lambda: perf.manager.QueryPerfCounter([999999]))
    by_level = [len(perf.manager.QueryPerfCounterByLevel(level)) for level in (1, 2, 3, 4)]
    tap.check("more at each level", by_level == sorted(by_level) and by_level[3] == len(perf.key), by_level)
    tap.equal("the intervals", [(i.samplingPeriod, i.length) for i in perf.manager.historicalInterval],
              [(300, 86400), (1800, 604800), (7200, 2592000), (86400, 31536000)])
    summary = perf.manager.QueryPerfProviderSummary(client.host)
    tap.equal("the host tells now and then", (summary.currentSupported, summary.summarySupported, summary.refreshRate),
              (True, True, 20))
    tap.equal("a folder does not", perf.manager.QueryPerfProviderSummary(client.folder).currentSupported, False)


# What monitoring looks up by name before it asks for anything (Prometheus' vmware_exporter, Telegraf, Zabbix).
LOOKED_UP = """cpu.costop.summation cpu.demand.average cpu.idle.summation cpu.latency.average cpu.maxlimited.summation
cpu.ready.summation cpu.swapwait.summation cpu.usage.average cpu.usagemhz.average cpu.used.summation cpu.wait.summation
datastore.totalReadLatency.average datastore.totalWriteLatency.average disk.deviceReadLatency.average
disk.kernelReadLatency.average disk.maxTotalLatency.latest disk.read.average disk.usage.average disk.write.average
mem.active.average mem.compressed.average mem.consumed.average mem.latency.average mem.shared.average mem.swapin.average
mem.swapinRate.average mem.swapout.average mem.swapped.average mem.usage.average mem.vmmemctl.average
net.broadcastRx.summation net.broadcastTx.summation net.bytesRx.average net.droppedRx.summation net.multicastRx.summation
net.multicastTx.summation net.pnicBytesRx.average net.received.average net.transmitted.average net.usage.average
power.power.average power.powerCap.average rescpu.actav1.latest storageAdapter.read.average storagePath.read.average
sys.heartbeat.latest sys.uptime.latest virtualDisk.readOIO.latest virtualDisk.totalReadLatency.average
virtualDisk.writeOIO.latest""".split()


def looked_up(tap, host, client, perf):
    """A name that is described and not measured is asked for all the same: what is measured is answered."""
    tap.equal("every name that monitoring knows", [n for n in LOOKED_UP if n not in perf.key], [])
    Id, Spec = vim.PerformanceManager.MetricId, vim.PerformanceManager.QuerySpec
    ids = [Id(counterId=perf.key[n], instance="") for n in LOOKED_UP]
    answer = perf.manager.QueryPerf([Spec(entity=client.host, metricId=ids, maxSample=1, intervalId=20)])
    names = {perf.name[v.id.counterId] for v in answer[0].value}
    tap.check("what is measured is answered", {"cpu.usage.average", "mem.consumed.average", "net.usage.average"} <= names, names)
    tap.check("and nothing else", "mem.compressed.average" not in names, names)
    available = {perf.name[m.counterId] for m in perf.manager.QueryAvailablePerfMetric(client.host, None, None, 20)}
    tap.equal("and that is what is available", names - available, set())
    # Only what Linux counts requests of has them: a file system on a disk, not one in memory or of a container.
    device = os.stat(host.path()).st_dev
    with open("/proc/diskstats", encoding="ascii") as file:
        counted = any((int(line.split()[0]), int(line.split()[1])) == (os.major(device), os.minor(device)) for line in file)
    stores = [v for v in perf.manager.QueryPerf([Spec(entity=client.host, intervalId=20, maxSample=1, metricId=[
        Id(counterId=perf.key["datastore.totalWriteLatency.average"], instance="*")])])[0].value]
    tap.equal("the datastore by its id", [v.id.instance for v in stores], [client.host.datastore[0]._moId] if counted else [])


def machine(tap, host, client, perf):
    there = perf.manager.QueryAvailablePerfMetric(client.host, None, None, 20)
    names = {perf.name[m.counterId] for m in there}
    wanted = {"cpu.usage.average", "cpu.usagemhz.average", "cpu.used.summation", "mem.usage.average",
              "mem.consumed.average", "disk.usage.average", "net.usage.average", "sys.uptime.latest"}
    tap.check("the host has what every host has", wanted <= names, wanted - names)
    cpus = sorted(m.instance for m in there if m.counterId == 1)
    tap.equal("each processor, and all", cpus, sorted(["", *map(str, range(os.cpu_count()))]))
    usage, used = perf.last(client.host, "cpu.usage.average"), perf.last(client.host, "cpu.used.summation")
    idle = perf.last(client.host, "cpu.idle.summation")
    tap.check("usage is used of used and idle", abs(usage - 10000 * used / (used + idle)) < 30, (usage, used, idle))
    tap.check("all processors' time is there", abs((used + idle) / (20000 * os.cpu_count()) - 1) < 0.2, (used, idle))
    memory = client.host.hardware.memorySize
    consumed = perf.last(client.host, "mem.consumed.average")
    tap.check("memory", 0 < consumed * 1024 < memory, (consumed, memory))
    with open("/proc/uptime", encoding="ascii") as file:
        tap.check("uptime", abs(perf.last(client.host, "sys.uptime.latest") - float(file.read().split()[0])) < 45)
    stats = client.host.summary.quickStats
    tap.equal("quickStats are the same", (stats.overallMemoryUsage, stats.overallCpuUsage),
              (consumed // 1024, perf.last(client.host, "cpu.usagemhz.average")))


def formats(tap, host, client, perf):
    both = perf.query(client.host, "cpu.usage.average", "mem.usage.average", instance="*")
    tap.equal("\"*\" is every instance", len([v for v in both.value if v.id.counterId == 1]), os.cpu_count() + 1)
    stamps = [s.timestamp for s in both.sampleInfo]
    tap.check("samples are 20 s apart", all(s.interval == 20 for s in both.sampleInfo)
              and all(int(s.timestamp()) % 20 == 0 for s in stamps), stamps)
    tap.check("each line is as long", {len(v.value) for v in both.value} == {len(stamps)})
    csv = perf.query(client.host, "cpu.usage.average", format="csv")
    tap.equal("the same as text", (csv.value[0].value, csv.sampleInfoCSV.count(",")),
              (",".join(str(v) for v in next(v for v in both.value if v.id.counterId == 1 and v.id.instance == "").value),
               2 * len(stamps) - 1))
    tap.equal("one sample", len(perf.query(client.host, "cpu.usage.average", maxSample=1).sampleInfo), 1)
    ahead = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    tap.equal("none of the future", len(perf.query(client.host, "cpu.usage.average", startTime=ahead).sampleInfo), 0)
    tap.equal("up to the first", len(perf.query(client.host, "cpu.usage.average", endTime=stamps[0]).sampleInfo), 1)
    tap.equal("behind the first", len(perf.query(client.host, "cpu.usage.average", startTime=stamps[0]).sampleInfo),
              len(stamps) - 1)
    tap.raises("no such interval", vmodl.fault.InvalidArgument,
               lambda: perf.query(client.host, "cpu.usage.average", interval=77))
    everything = perf.manager.QueryPerf([Spec(entity=client.host, intervalId=20, maxSample=1)])[0]
    tap.check("without names, all", len(everything.value) > 30)
    tap.raises("what is not measured", vmodl.fault.InvalidArgument,
               lambda: perf.manager.QueryPerf([Spec(entity=client.folder, intervalId=20)]))


def guest(tap, host, client, perf, vm):
    there = perf.manager.QueryAvailablePerfMetric(vm, None, None, 20)
    names = {perf.name[m.counterId] for m in there}
    wanted = {"cpu.usage.average", "cpu.usagemhz.average", "cpu.used.summation", "cpu.ready.summation",
              "mem.consumed.average", "mem.active.average", "mem.overhead.average", "mem.usage.average",
              "disk.read.average", "virtualDisk.write.average", "net.received.average", "sys.uptime.latest"}
    tap.check("a VM has what every VM has", wanted <= names, wanted - names)
    tap.equal("its disk by its name", {m.instance for m in there if m.counterId == 589826}, {"scsi0:0"})
    tap.equal("its card by its key", {m.instance for m in there if m.counterId == 196614}, {"", "4000"})
    tap.equal("its processor", {m.instance for m in there if m.counterId == 5}, {"", "0"})
    run = sum(perf.last(vm, n) for n in ("cpu.run.summation", "cpu.ready.summation", "cpu.wait.summation"))
    tap.check("a processor runs, is ready or waits, all the time", abs(run / 20000 - 1) < 0.2, run)
    (pid,) = host.processes("socle-vmm")
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        shared = int(file.read().split()[2]) * os.sysconf("SC_PAGE_SIZE") // 1024
    consumed = perf.last(vm, "mem.consumed.average")
    tap.check("its memory is what Linux says", abs(consumed - shared) <= 4096, (consumed, shared))
    stats = vm.summary.quickStats
    tap.equal("quickStats are the same", (stats.overallCpuUsage, stats.privateMemory),
              (perf.last(vm, "cpu.usagemhz.average"), consumed // 1024))
    tap.check("up since it was switched on", 0 < perf.last(vm, "sys.uptime.latest") < 300)
    composite = perf.manager.QueryPerfComposite(Spec(
        entity=client.host, metricId=[Metric(counterId=1, instance="")], intervalId=20, maxSample=1))
    tap.equal("host and VMs at once", (composite.entity.entity, [c.entity for c in composite.childEntity]),
              (client.host, [vm]))


def killed(tap, host, client, perf, vm):
    """kill -9 of hostd: the last hour is there again."""
    def known(perf, client, vm):
        return [dict(zip((s.timestamp for s in found.sampleInfo), found.value[0].value)) for found in (
            perf.query(client.host, "cpu.usage.average"), perf.query(vm, "mem.consumed.average")) if found.value]

    before = known(perf, client, vm)
    (pid,) = host.processes("socle-hostd")
    os.kill(pid, signal.SIGKILL)
    client.__init__(eventually(lambda: host.processes("socle-hostd") not in ([], [pid]) and reconnect(host)))
    perf.__init__(client)
    object.__setattr__(vm, "_stub", client.si._stub)
    eventually(lambda: len(known(perf, client, vm)) == 2)
    after = known(perf, client, vm)
    tap.check("what was measured of host and VM before hostd was killed is there",
              len(before) == len(after) == 2 and all(old and old.items() <= new.items() for old, new in zip(before, after)),
              (before, after))


def off(tap, host, client, perf, vm):
    WaitForTask(vm.PowerOff())
    tap.equal("a VM that is off is not measured", perf.manager.QueryAvailablePerfMetric(vm, None, None, 20), [])
    tap.equal("and uses nothing", (vm.summary.quickStats.overallCpuUsage, vm.summary.quickStats.hostMemoryUsage), (0, 0))


def history(tap, host, client, perf):
    """Rows of yesterday, put there while hostd is away, as it writes them itself (tests/unit/perf.c)."""
    host.stop()
    now = int(time.time()) // 300 * 300
    db = sqlite3.connect(f"{host.root}/perf.db")
    body = b"".join(k.to_bytes(4, "little") + v.to_bytes(4, "little") for k, v in ((1, 1234), (65611, 5678)))
    db.executemany("INSERT OR REPLACE INTO sample VALUES('ha-host', 0, ?, ?)",
                   ((now - 300 * i, body) for i in range(12)))
    db.commit()
    db.close()
    host.start()
    client = Client(connect(host))
    perf = Perf(client)
    found = perf.query(client.host, "cpu.usage.average", interval=300)
    tap.equal("the last hour by five minutes", [v.value for v in found.value], [[1234] * 12])
    tap.equal("their times", found.sampleInfo[-1].timestamp.timestamp(), now)
    tap.equal("which metrics", {perf.name[m.counterId] for m in perf.manager.QueryAvailablePerfMetric(
        client.host, None, None, 300)}, {"cpu.usage.average", "mem.consumed.average"})
    tap.equal("no week yet", len(perf.query(client.host, "cpu.usage.average", interval=1800).sampleInfo), 0)


def main():
    with Host(sys.argv[1]) as host:
        client = Client(connect(host))
        vm = create(client, "measured")
        WaitForTask(vm.PowerOn())
        perf = Perf(client)
        eventually(lambda: perf.last(client.host, "cpu.usage.average") is not None
                   and len(perf.query(client.host, "cpu.usage.average").sampleInfo) > 1
                   and perf.last(vm, "cpu.run.summation") is not None, 70)
        Tap().run([lambda tap, *_: counters(tap, host, client, perf), lambda tap, *_: looked_up(tap, host, client, perf), lambda tap, *_: machine(tap, host, client, perf),
                   lambda tap, *_: formats(tap, host, client, perf), lambda tap, *_: guest(tap, host, client, perf, vm),
                   lambda tap, *_: killed(tap, host, client, perf, vm),
                   lambda tap, *_: off(tap, host, client, perf, vm), lambda tap, *_: history(tap, host, client, perf)])


main()
