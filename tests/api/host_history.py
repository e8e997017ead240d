#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Events and tasks: collectors, what they keep over the death of hostd, a record that is damaged. TAP.

usage: host_history.py BUILD [SCENARIO...]
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
from pyVmomi import vim  # noqa: E402

Filter, TaskFilter = vim.event.EventFilterSpec, vim.TaskFilterSpec


def names(events):
    return [type(e).__name__.split(".")[-1] for e in events]


def by_entity(kind, entity, recursion):
    return kind(entity=kind.ByEntity(entity=entity, recursion=recursion))


def collect(client, spec):
    collector = client.content.eventManager.CreateCollectorForEvents(spec)
    found = collector.ReadNextEvents(1000)
    collector.DestroyCollector()
    return found


def collect_tasks(client, spec):
    collector = client.content.taskManager.CreateCollectorForTasks(spec)
    found = collector.ReadNextTasks(1000)
    collector.DestroyCollector()
    return found


def life_of(client, name):
    vm = create(client, name)
    task = vm.PowerOn()
    WaitForTask(task)
    WaitForTask(vm.PowerOff())
    return vm, task


def filters(tap, host, client):
    began = datetime.datetime.now(datetime.timezone.utc)
    vm, power_on = life_of(client, "filtered")
    other = create(client, "other")
    of_vm = ["VmCreatedEvent", "VmStartingEvent", "VmPoweredOnEvent", "VmStoppingEvent", "VmPoweredOffEvent"]
    tap.equal("of one VM", names(collect(client, by_entity(Filter, vm, "self"))), of_vm)
    tap.equal("a VM has no children", collect(client, by_entity(Filter, vm, "children")), [])
    below = names(collect(client, by_entity(Filter, client.folder, "children")))
    tap.equal("below the folder", below, [*of_vm, "VmCreatedEvent"])
    for what, where in (("host", client.host), ("pool", client.pool), ("root", client.content.rootFolder)):
        found = names(collect(client, by_entity(Filter, where, "all")))
        tap.check(f"and under the {what}", set(of_vm) <= set(found), found)
    tap.check("the host itself was logged in to",
              "UserLoginSessionEvent" in names(collect(client, by_entity(Filter, client.host, "self"))))
    tap.equal("but no VM is the host", [n for n in names(collect(client, by_entity(Filter, client.host, "self")))
                                        if n.startswith("Vm")], [])
    chain = collect(client, Filter(eventChainId=power_on.info.eventChainId))
    tap.equal("of one task's chain", names(chain), ["VmStartingEvent", "VmPoweredOnEvent"])
    tap.equal("by a base type", names(collect(client, Filter(type=[vim.event.VmEvent])))[-6:], [*of_vm, "VmCreatedEvent"])
    for text in ("VmPoweredOnEvent", "vim.event.VmPoweredOnEvent"):
        tap.equal(f"by the type's id {text}", names(collect(client, Filter(eventTypeId=[text]))), ["VmPoweredOnEvent"])
    Time, User = Filter.ByTime, Filter.ByUsername
    tap.equal("since then", names(collect(client, Filter(time=Time(beginTime=began)))), [*of_vm, "VmCreatedEvent"])
    tap.equal("up to then", [n for n in names(collect(client, Filter(time=Time(endTime=began)))) if n.startswith("Vm")], [])
    tap.check("by user", len(collect(client, Filter(userName=User(systemUser=False, userList=["root"])))) >= 4)
    tap.equal("by another", collect(client, Filter(userName=User(systemUser=False, userList=["nobody"]))), [])
    tap.equal("by severity", names(collect(client, Filter(category=["error"]))), [])
    quiet = collect(client, Filter(disableFullMessage=True))
    tap.equal("without text", {e.fullFormattedMessage for e in quiet}, {None})
    tap.equal("QueryEvents is the same at once", names(client.content.eventManager.QueryEvents(
        by_entity(Filter, vm, "self"))), of_vm)
    tap.equal("what there is of", names(collect(client, Filter(type=[vim.event.DvsEvent]))), [])
    WaitForTask(other.Destroy())
    tap.equal("a VM that is gone has a past",
              names(e for e in collect(client, Filter()) if e.vm and e.vm.name == "other"),
              ["VmCreatedEvent", "VmRemovedEvent"])
    WaitForTask(vm.Destroy())


def pages(tap, host, client):
    manager = client.content.eventManager
    for n in range(30):
        manager.LogUserEvent(client.host, f"note {n}")
    mine = Filter(eventTypeId=["vim.event.GeneralUserEvent"])
    collector = manager.CreateCollectorForEvents(mine)

    def numbers(events):
        return [int(e.message.split()[-1]) for e in events]

    tap.equal("a page has ten, the newest first", numbers(collector.latestPage), list(range(29, 19, -1)))
    tap.equal("the first read on", numbers(collector.ReadNextEvents(5)), [0, 1, 2, 3, 4])
    tap.equal("and on", numbers(collector.ReadNextEvents(3)), [5, 6, 7])
    tap.equal("and back", numbers(collector.ReadPreviousEvents(4)), [7, 6, 5, 4])
    collector.RewindCollector()
    tap.equal("from the beginning, backwards", numbers(collector.ReadPreviousEvents(9)), [])
    collector.ResetCollector()
    tap.equal("from the end, backwards", numbers(collector.ReadPreviousEvents(2)), [29, 28])
    collector.ResetCollector()
    tap.equal("nothing is newer than the newest", collector.ReadNextEvents(9), [])
    collector.SetCollectorPageSize(3)
    tap.equal("a smaller page", numbers(collector.latestPage), [29, 28, 27])
    manager.LogUserEvent(client.host, "note 30")
    tap.equal("it moves with the events", numbers(collector.latestPage), [30, 29, 28])
    tap.equal("and so does the end", numbers(collector.ReadNextEvents(9)), [30])
    tap.equal("what was asked for is told", collector.filter.eventTypeId, ["vim.event.GeneralUserEvent"])
    tap.raises("no page of nothing", Exception, lambda: collector.ReadNextEvents(0))
    tap.equal("and the newest of all", manager.latestEvent.message, "note 30")
    collector.DestroyCollector()
    tap.raises("a destroyed one is gone", Exception, lambda: collector.latestPage)


def posted(tap, host, client):
    manager = client.content.eventManager
    event = vim.event.EventEx(eventTypeId="com.example.hello", severity="info", message="Hello from a client",
                              key=0, chainId=0, createdTime=datetime.datetime.now(), userName="forged")
    manager.PostEvent(event, None)
    (found,) = collect(client, Filter(eventTypeId=["com.example.hello"]))
    tap.equal("what a client posts", (found.message, found.fullFormattedMessage, found.userName),
              ("Hello from a client", "Hello from a client", "root"))
    tap.raises("it can not pretend that something else happened", vim.fault.InvalidEvent,
               lambda: manager.PostEvent(vim.event.VmPoweredOnEvent(
                   key=0, chainId=0, createdTime=datetime.datetime.now(), userName="", template=False), None))


def tasks(tap, host, client):
    vm, power_on = life_of(client, "tasked")
    try:
        WaitForTask(vm.PowerOff())
    except vim.fault.InvalidPowerState:
        pass
    found = collect_tasks(client, by_entity(TaskFilter, vm, "self"))
    tap.equal("tasks of one VM", [(t.descriptionId, t.state) for t in found],
              [("VirtualMachine.powerOn", "success"), ("VirtualMachine.powerOff", "success"),
               ("VirtualMachine.powerOff", "error")])
    tap.equal("with what went wrong", type(found[2].error), vim.fault.InvalidPowerState)
    tap.equal("by state", [t.key for t in collect_tasks(client, TaskFilter(state=["error"]))][-1], found[2].key)
    tap.equal("by chain", [t.key for t in collect_tasks(client, TaskFilter(
        eventChainId=[power_on.info.eventChainId]))], [power_on.info.key])
    tap.equal("none is under way", collect_tasks(client, TaskFilter(state=["running", "queued"])), [])
    Time = TaskFilter.ByTime
    recent = collect_tasks(client, TaskFilter(time=Time(timeType="completedTime",
                                                        beginTime=power_on.info.completeTime)))
    tap.equal("by time", [t.key for t in recent], [t.key for t in found])
    collector = client.content.taskManager.CreateCollectorForTasks(by_entity(TaskFilter, client.folder, "all"))
    tap.equal("the newest first", collector.latestPage[0].key, found[2].key)
    collector.ResetCollector()
    tap.equal("back from the end", collector.ReadPreviousTasks(1)[0].key, found[2].key)
    task = vm.PowerOn()
    WaitForTask(task)
    tap.equal("it moves with the tasks", (collector.latestPage[0].key, collector.latestPage[0].state),
              (task.info.key, "success"))
    WaitForTask(vm.PowerOff())
    tap.check("recent ones are an object's property",
              task._moId in [t._moId for t in vm.recentTask] and task._moId in [t._moId for t in client.content.taskManager.recentTask])
    WaitForTask(vm.Destroy())


def kill_hostd(host):
    (hostd,) = host.processes("socle-hostd")
    os.kill(hostd, signal.SIGKILL)
    return Client(eventually(lambda: reconnect(host)))


def survival(tap, host, client):
    """What was told before kill -9 is told after it."""
    vm, done = life_of(client, "kept")
    done_info, latest = done.info, client.content.eventManager.latestEvent
    under_way = vm.PowerOn()
    client = kill_hostd(host)
    (vm,) = client.folder.childEntity
    tap.equal("an ended task is still an object", client.same(done).info.completeTime, done_info.completeTime)
    tap.equal("and as it was", client.same(done).info.state, "success")
    found = [e for e in collect(client, Filter()) if e.key == latest.key]
    tap.equal("an event too", [e.fullFormattedMessage for e in found], [latest.fullFormattedMessage])
    ended = client.same(under_way).info
    tap.check("one that was under way has ended", ended.state in ("success", "error"), ended.state)
    tap.equal("none is under way for ever", collect_tasks(client, TaskFilter(state=["running", "queued"])), [])
    if vm.runtime.powerState == "poweredOn":
        WaitForTask(vm.PowerOff())
    newer = create(client, "newer")
    keys = [e.key for e in collect(client, Filter())]
    tap.check("numbers go on", keys == sorted(set(keys)), keys)
    WaitForTask(newer.Destroy())
    WaitForTask(vm.Destroy())


def interrupted(tap, host, client):
    """A task that really was under way: a disk that takes a while to be written."""
    spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(capacityKb=4 << 20, diskType="eagerZeroedThick",
                                                            adapterType="lsiLogic")
    client = Client(connect(host))
    task = client.content.virtualDiskManager.CreateVirtualDisk_Task("[datastore1] big.vmdk", client.datacenter, spec)
    tap.equal("under way", task.info.state, "running")
    client = kill_hostd(host)
    info = client.same(task).info
    tap.equal("it ends in a stated way", (info.state, type(info.error).__name__ != "NoneType"), ("error", True))
    tap.check("and says why", "restarted" in info.error.msg, info.error)
    events = [e for e in collect(client, Filter(eventTypeId=["vim.event.TaskEvent"])) if e.info.key == info.key]
    tap.equal("in an event too", [e.chainId for e in events], [info.eventChainId])
    for name in os.listdir(host.path()):
        if name.startswith("big"):
            os.unlink(host.path(name))


def damaged(tap, host, client):
    host.stop()
    path = f"{host.root}/state.db"
    os.unlink(path + "-wal")  # it has the same pages once more
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(os.urandom(8000))
    host.start()
    client = Client(connect(host))
    texts = [e.fullFormattedMessage for e in collect(client, Filter(type=[vim.event.GeneralHostWarningEvent]))]
    tap.check("a damaged record is told", any("set aside" in t for t in texts), texts)
    tap.check("and kept", [n for n in os.listdir(host.root) if n.startswith("state.db.broken")])
    WaitForTask(create(client, "after").Destroy())
    host.stop()
    for n in (path, path + "-wal"):
        if os.path.exists(n):
            os.unlink(n)
    os.mkdir(path)
    host.start()
    client = Client(connect(host))
    texts = [e.fullFormattedMessage for e in collect(client, Filter(type=[vim.event.GeneralHostWarningEvent]))]
    tap.check("where there is no file hostd goes on without", any("forgotten" in t for t in texts), texts)
    WaitForTask(create(client, "after").Destroy())
    host.stop()
    os.rmdir(path)
    host.start()
    connect(host)


def bounded(tap, host, client):
    """More events than are kept: the oldest go. They are put there while hostd is away."""
    host.stop()
    path = f"{host.root}/state.db"
    db = sqlite3.connect(path)
    head = db.execute("SELECT * FROM event ORDER BY n DESC LIMIT 1").fetchone()
    last = head[0]
    db.executemany("INSERT INTO event VALUES(?,?,?,?,?,?,?,?,?)",
                   ((last + i, *head[1:]) for i in range(1, 50100)))
    db.commit()
    db.close()
    host.start()
    client = Client(connect(host))
    client.content.eventManager.LogUserEvent(client.host, "one more")
    eventually(lambda: False, 1.5)
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    count, integrity = db.execute("SELECT count(*) FROM event").fetchone()[0], db.execute("PRAGMA integrity_check").fetchone()
    db.close()
    tap.check("no more than 50,000 are kept", count <= 50000, count)
    tap.equal("the file is whole", integrity, ("ok",))
    began = time.monotonic()
    tap.equal("a filter that matches nothing", collect(client, Filter(eventTypeId=["no.such"])), [])
    print(f"# through {count} events in {(time.monotonic() - began) * 1000:.0f} ms", flush=True)
    tap.check("reads through all of them fast", time.monotonic() - began < 1)


SCENARIOS = [filters, pages, posted, tasks, survival, interrupted, damaged, bounded]


def main():
    with Host(sys.argv[1]) as host:
        client = Client(connect(host))
        Tap().run([globals()[n] for n in sys.argv[2:]] or SCENARIOS, host, client)


main()
