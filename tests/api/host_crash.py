#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of hostd at random moments of a stream of operations. After each: it is back within 2 s,
running VMs never noticed, everything that was acknowledged is so, what was under way has ended and
is there as a whole or not at all. The seed decides what is done and when it is killed. TAP.

usage: host_crash.py BUILD [--kills N] [--seed N]
"""

import argparse
import http.client
import os
import random
import signal
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from client import Client, create, reconnect  # noqa: E402
from host import Host, Tap, eventually  # noqa: E402
from pyVmomi import vim, vmodl  # noqa: E402

BACK_S, VMS, ON = 2.0, 6, 2


class Lost(Exception):
    """hostd went away in the middle."""


class Known:
    """One VM as far as we have been told. A pair is "either of these"."""

    def __init__(self, name):
        self.name, self.note, self.on, self.snapshots, self.keeper = name, {""}, {False}, {0}, None


class Stream:
    """Operations, one after the other, and what is known after each."""

    def __init__(self, host, seed):
        self.host, self.random, self.serial = host, random.Random(seed), 0
        self.vms = {}    # by name: Known
        self.unsure = set()  # names of VMs of which it is not known whether they are there
        self.ended = {}  # id of a task that has ended: its state as we were told
        self.begun = {}  # id of one that we know has begun: what it was
        self.event = 0   # the newest event we have seen
        self.client = None
        self.count = 0

    def connect(self):
        instance = eventually(lambda: reconnect(self.host), 30)
        if not instance:
            raise RuntimeError(f"it does not come back:\n{self.host.log()[-3000:]}")
        self.client = Client(instance)

    def call(self, action):
        try:
            return action()
        except (OSError, http.client.HTTPException, vim.fault.NotAuthenticated, vmodl.fault.HostNotConnected) as error:
            raise Lost from error

    def wait(self, task, what):
        """To its end; its state."""
        self.begun[task._moId] = what
        info = self.call(lambda: task.info)
        while info.state in ("queued", "running"):
            time.sleep(0.005)
            info = self.call(lambda: task.info)
        self.ended[task._moId] = info.state
        del self.begun[task._moId]
        self.count += 1
        return info.state

    def vm(self, name):
        return next((v for v in self.call(lambda: self.client.folder.childEntity)
                     if self.call(lambda v=v: v.name) == name), None)

    # operations

    def make(self):
        self.serial += 1
        name = f"vm{self.serial}"
        self.unsure.add(name)
        self.call(lambda: create(self.client, name))
        self.unsure.discard(name)
        self.vms[name] = Known(name)
        self.count += 1

    def destroy(self, known):
        self.vms.pop(known.name)
        self.unsure.add(known.name)
        if self.wait(self.call(self.vm(known.name).Destroy), "destroy") == "success":
            self.unsure.discard(known.name)

    def annotate(self, known):
        self.serial += 1
        text = f"note {self.serial}"
        vm = self.vm(known.name)
        known.note.add(text)
        if self.wait(self.call(lambda: vm.Reconfigure(vim.vm.ConfigSpec(annotation=text))), "reconfigure") == "success":
            known.note = {text}

    def snapshot(self, known):
        vm, count = self.vm(known.name), max(known.snapshots)
        known.snapshots.add(count + 1)
        if self.wait(self.call(lambda: vm.CreateSnapshot_Task(f"s{count}", "", False, False)), "snapshot") == "success":
            known.snapshots = {count + 1}

    def switch(self, known, on):
        vm = self.vm(known.name)
        known.on.add(on)
        if self.wait(self.call(vm.PowerOn if on else vm.PowerOff), "power") == "success":
            known.on = {on}
        known.keeper = self.host.keeper_of(vm._moId) if on else None

    def step(self):
        surely_on = [v for v in self.vms.values() if v.on == {True}]
        surely_off = [v for v in self.vms.values() if v.on == {False}]
        choices = [self.make] * 2 if len(self.vms) < VMS else []
        for v in surely_off:
            choices += [lambda v=v: self.annotate(v)] * 3 + [lambda v=v: self.snapshot(v)]
            choices += [lambda v=v: self.destroy(v)] if len(self.vms) > 3 else []
            choices += [lambda v=v: self.switch(v, True)] * 2 if len(surely_on) < ON else []
        choices += [lambda v=v: self.switch(v, False) for v in surely_on]
        self.random.choice(choices)()
        latest = self.call(lambda: self.client.content.eventManager.latestEvent)
        self.event = max(self.event, latest.key if latest else 0)

    # afterwards

    def wrong(self):
        """What is not as we were told: a list of texts. What was not known is known then."""
        found, client = [], self.client
        there = {v.name: v for v in client.folder.childEntity}
        for name in sorted(self.vms):
            if name not in there:
                found.append(f"{name} is gone")
                del self.vms[name]
        for name in set(there) - set(self.vms):
            if name not in self.unsure:
                found.append(f"{name} is there")
            self.vms[name] = Known(name)
            self.vms[name].note = {there[name].config.annotation or ""} if there[name].config else {""}
            self.vms[name].on = {there[name].runtime.powerState == "poweredOn"}
            self.vms[name].snapshots = {len(list(snapshots_of(there[name])))}
            found += [] if there[name].config else [f"{name} has no configuration"]
        self.unsure.clear()
        for name, vm in there.items():
            found += self.wrong_of(self.vms[name], vm)
        found += self.wrong_tasks()
        keys = [e.key for e in client.content.eventManager.QueryEvents(vim.event.EventFilterSpec())]
        if self.event and keys and self.event not in keys:
            found.append(f"event {self.event} is gone")
        if keys != sorted(set(keys)):
            found.append("events are out of order")
        return found

    def wrong_of(self, known, vm):
        found = []
        # A VM whose start or end was under way may still be at it.
        eventually(lambda: len(known.on) < 2 or not self.host.keeper_of(vm._moId)
                   or vm.runtime.powerState == "poweredOn", 5)
        note, on = vm.config.annotation or "", vm.runtime.powerState == "poweredOn"
        count = len(list(snapshots_of(vm)))
        if note not in known.note:
            found.append(f"{known.name}: annotation {note!r}, not of {known.note}")
        if on not in known.on:
            found.append(f"{known.name}: on is {on}, not of {known.on}")
        if count not in known.snapshots:
            found.append(f"{known.name}: {count} snapshots, not of {known.snapshots}")
        if on and known.keeper and self.host.keeper_of(vm._moId) != known.keeper:
            found.append(f"{known.name} is another VM's process than before")
        known.note, known.on, known.snapshots = {note}, {on}, {count}
        known.keeper = self.host.keeper_of(vm._moId) if on else None
        return found

    def wrong_tasks(self):
        found = []
        tasks = {t.key: t.state for t in self.tasks()}
        for key, state in self.ended.items():
            if tasks.get(key) != state:
                found.append(f"task {key} was {state} and is {tasks.get(key)}")
        for key, what in self.begun.items():
            if tasks.get(key) not in ("success", "error"):
                found.append(f"{what} {key} is {tasks.get(key)}")
        self.begun = {}
        return found

    def tasks(self):
        collector = self.client.content.taskManager.CreateCollectorForTasks(vim.TaskFilterSpec())
        page = collector.ReadNextTasks(1000)
        while page:
            yield from page
            page = collector.ReadNextTasks(1000)
        collector.DestroyCollector()


def snapshots_of(vm):
    todo = list(vm.snapshot.rootSnapshotList) if vm.snapshot else []
    while todo:
        one = todo.pop()
        todo += one.childSnapshotList
        yield one


class CrashHost(Host):
    def hostd(self):
        return eventually(lambda: (self.processes("socle-hostd") or [None])[0])

    def keeper_of(self, moid):
        """The process that listens at the VM's socket, by its command line."""
        for pid in self.processes("socle-keeper"):
            try:
                with open(f"/proc/{pid}/cmdline", encoding="ascii") as file:
                    if f"/{moid}.sock" in file.read():
                        return pid
            except OSError:
                pass
        return None


def one_round(stream, host):
    """Operations until it is killed; seconds until it answers again."""
    pid, killed = host.hostd(), []

    def kill():
        os.kill(pid, signal.SIGKILL)
        killed.append(time.monotonic())

    timer = threading.Timer(stream.random.uniform(0.02, 0.8), kill)
    timer.start()
    try:
        while not killed:
            stream.step()
    except Lost:
        pass
    timer.join()
    stream.connect()
    return time.monotonic() - killed[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=4)
    options = parser.parse_args()
    tap, slowest, total = Tap(), 0, 0
    with CrashHost(options.build) as host:
        stream = Stream(host, options.seed)
        stream.connect()
        for n in range(1, options.kills + 1):
            before = stream.count
            back = one_round(stream, host)
            slowest = max(slowest, back)
            wrong = stream.wrong()
            total += stream.count - before
            if wrong or options.kills <= 20 or n == options.kills:
                tap.check(f"kill {n} of {options.kills}, {stream.count - before} operations: nothing is lost",
                          not wrong, "\n".join(wrong))
        tap.check(f"back within {BACK_S:.0f} s, each time", slowest < BACK_S, f"{slowest:.2f} s")
        tap.check("something was done between", total > options.kills, total)
        print(f"# {options.kills} kills, {total} operations, back after {slowest:.2f} s at most", flush=True)
        tap.run([])


main()
