#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The property collector of a whole host against a model of it that was written from the API's
documentation: random filters over a random inventory that changes at random. The model selects objects and
reads each property on its own; what clients have pieced together from updates has to be that.
Usage: host_model.py BUILD [ROUNDS [SEED]]"""

import os
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.append("/usr/lib/python3/dist-packages")
try:
    from pyVmomi import VmomiSupport, vim, vmodl
except ImportError:
    print("1..0 # SKIP no pyVmomi")
    sys.exit(0)
from client import Client, connect, create, wait  # noqa: E402
from host import Host, Tap  # noqa: E402

Collector = vmodl.query.PropertyCollector
ROUNDS, WATCHERS = 40, 4

# Ways that lead from an object to others.
WAYS = [(vim.Folder, "childEntity"), (vim.Datacenter, "vmFolder"), (vim.Datacenter, "hostFolder"),
        (vim.ComputeResource, "resourcePool"), (vim.ResourcePool, "resourcePool"), (vim.ResourcePool, "vm"),
        (vim.VirtualMachine, "datastore"), (vim.VirtualMachine, "network"), (vim.VirtualMachine, "resourcePool"),
        (vim.ManagedEntity, "parent"), (vim.Datastore, "vm"), (vim.Datacenter, "datastore")]
# What is read; nothing that changes by itself. Some of it no VM has at first.
PATHS = {
    vim.ManagedEntity: ["name", "parent", "overallStatus"],
    vim.VirtualMachine: ["config.name", "config.annotation", "config.hardware.memoryMB", "config.hardware.device[4000]",
                         "config.hardware.device[4000].macAddress", "config.extraConfig[\"model.key\"].value",
                         "config.extraConfig", "summary.config", "snapshot.currentSnapshot", "resourcePool", "runtime.powerState",
                         "config.hardware.device[2000].capacityInKB", "snapshot", "config.files"],
    vim.ResourcePool: ["config.cpuAllocation", "vm", "config.memoryAllocation.reservation"],
    vim.Folder: ["childEntity", "childType"],
    vim.Datastore: ["vm", "summary.name", "host[\"ha-host\"].mountInfo.accessMode"],
}


def value_at(obj, path):
    """Read alone: a property of the object, then step by step. None: it is not there."""
    steps, value = path.replace("]", "").replace("[", ".[").split("."), obj
    for step in steps:
        if value is None:
            return None
        if step.startswith("["):
            key = step[1:].strip('"')
            keyed = [v for v in value if key_of(v) == key]
            value = keyed[0] if keyed else None
        else:
            value = getattr(value, step, None)
    return None if isinstance(value, list) and not value else value


def key_of(item):
    key = getattr(item, "key", None)
    return key._moId if isinstance(key, VmomiSupport.ManagedObject) else str(key)


def text(value):
    """What two equal values have in common, whoever read them."""
    if isinstance(value, VmomiSupport.ManagedObject):
        return f"{type(value).__name__}:{value._moId}"
    if isinstance(value, vmodl.DynamicData):
        return {p.name: text(v) for p in value._GetPropertyList()
                for v in [getattr(value, p.name)] if v is not None and not (isinstance(v, list) and not v)}
    if isinstance(value, list):
        return [text(v) for v in value]
    return str(value)


class Filter:
    """A filter, random: which objects, by what ways, and what of them."""

    def __init__(self, rng, client, kinds):
        self.client = client
        ways = rng.sample(WAYS, rng.randint(1, 6))
        self.ways = [(f"w{i}", kind, path, rng.random() < 0.4) for i, (kind, path) in enumerate(ways)]
        names = [w[0] for w in self.ways]
        self.next = {name: rng.sample(names, rng.randint(0, len(names))) for name in names}
        self.start = [(rng.choice(kinds), rng.random() < 0.3, rng.sample(names, rng.randint(0, len(names))))
                      for _ in range(rng.randint(1, 2))]
        self.types = {}
        for kind in rng.sample(list(PATHS), rng.randint(1, len(PATHS))):
            general = [p for base in PATHS if issubclass(kind, base) for p in PATHS[base]]
            self.types[kind] = rng.sample(general, rng.randint(1, min(6, len(general))))

    def spec(self):
        def named(name):
            _, kind, path, skip = next(w for w in self.ways if w[0] == name)
            return Collector.TraversalSpec(name=name, type=kind, path=path, skip=skip,
                                           selectSet=[Collector.SelectionSpec(name=n) for n in self.next[name]])
        told, objects = set(), []
        for obj, skip, names in self.start:
            # A way is described where it comes first, with all that it names; later by its name.
            objects.append(Collector.ObjectSpec(obj=obj, skip=skip, selectSet=self.describe(names, named, told)))
        # Each that a description names is described somewhere.
        missing = [n for n in self.next if n not in told]
        if missing:
            objects[0].selectSet = list(objects[0].selectSet) + self.describe(missing, named, told)
            self.start[0] = (self.start[0][0], self.start[0][1], [*self.start[0][2], *missing])
        return Collector.FilterSpec(objectSet=objects, propSet=[
            Collector.PropertySpec(type=kind, all=False, pathSet=paths) for kind, paths in self.types.items()])

    @staticmethod
    def describe(names, named, told):
        specs = []
        for name in names:
            specs.append(Collector.SelectionSpec(name=name) if name in told else named(name))
            told.add(name)
        return specs

    def objects(self):
        """Reached, and not only passed through."""
        found, seen, todo = {}, set(), []

        def arrive(obj, skip, names):
            if not skip:
                found[obj._moId] = obj
            for name in names:
                if (obj._moId, name) not in seen:
                    seen.add((obj._moId, name))
                    todo.append((obj, name))

        for obj, skip, names in self.start:
            arrive(obj, skip, names)
        while todo:
            obj, name = todo.pop()
            _, kind, path, skip = next(w for w in self.ways if w[0] == name)
            if not isinstance(obj, kind):
                continue
            to = getattr(obj, path)
            for one in to if isinstance(to, list) else [to] if to is not None else []:
                arrive(one, skip, self.next[name])
        return found

    def state(self):
        """{id: {path: value}} of objects of which something is asked for."""
        state = {}
        for moid, obj in self.objects().items():
            # Those for its type and for each type above it count together.
            kinds = [k for k in self.types if isinstance(obj, k)]
            if kinds:
                state[moid] = {p: text(v) for p in {p for k in kinds for p in self.types[k]}
                               for v in [value_at(obj, p)] if v is not None}
        return state


class Watcher:
    """A client that keeps what it was told."""

    def __init__(self, rng, client, kinds):
        self.rng, self.filter = rng, Filter(rng, client, kinds)
        self.collector = client.content.propertyCollector.CreatePropertyCollector()
        self.partial = rng.random() < 0.5
        self.collector.CreateFilter(self.filter.spec(), self.partial)
        self.version, self.state = "", {}

    def follow(self):
        """All that there is now, in pages of random size."""
        while True:
            options = Collector.WaitOptions(maxWaitSeconds=0)
            if self.rng.random() < 0.5:
                options.maxObjectUpdates = self.rng.randint(1, 3)
            update = self.collector.WaitForUpdatesEx(self.version, options)
            if not update:
                return
            self.version = update.version
            for of_filter in update.filterSet:
                for obj in of_filter.objectSet:
                    self.take(obj)

    def take(self, update):
        moid = update.obj._moId
        if update.kind == "leave":
            if moid not in self.state:
                raise RuntimeError(f"{moid} leaves and was not there")
            del self.state[moid]
            return
        if update.kind == "enter" and moid in self.state:
            raise RuntimeError(f"{moid} enters a second time")
        if update.kind == "modify" and moid not in self.state:
            raise RuntimeError(f"{moid} changes and was not there")
        values = self.state.setdefault(moid, {})
        for change in update.changeSet:
            if change.op == "assign" and change.val is not None and not (isinstance(change.val, list) and not change.val):
                values[change.name] = text(change.val)
            else:
                values.pop(change.name, None)


def retrieve(rng, client, spec):
    """The same in one answer, or in pages."""
    options = Collector.RetrieveOptions(maxObjects=rng.randint(1, 5)) if rng.random() < 0.5 else Collector.RetrieveOptions()
    result = client.content.propertyCollector.RetrievePropertiesEx([spec], options)
    state = {}
    while result:
        for obj in result.objects:
            if obj.obj._moId in state:
                raise RuntimeError(f"{obj.obj._moId} comes twice")
            state[obj.obj._moId] = {p.name: text(p.val) for p in obj.propSet
                                    if not (isinstance(p.val, list) and not p.val)}
        if not result.token:
            break
        result = client.content.propertyCollector.ContinueRetrievePropertiesEx(result.token)
    return state


class World:
    """What happens to the inventory."""

    def __init__(self, rng, client):
        self.rng, self.client, self.number = rng, client, 0
        self.vms, self.pools = [], []
        for _ in range(3):
            self.make_vm()
        self.make_pool()

    def name(self):
        self.number += 1
        return f"m{self.number}"

    def make_vm(self):
        self.vms.append(create(self.client, self.name()))

    def make_pool(self):
        self.pools.append(self.client.pool.CreateResourcePool(self.name(), vim.ResourceConfigSpec(
            cpuAllocation=allocation(0), memoryAllocation=allocation(0))))

    def reconfigure(self, **what):
        wait(self.rng.choice(self.vms).ReconfigVM_Task(vim.vm.ConfigSpec(**what)))

    def destroy(self):
        if len(self.vms) > 1:
            wait(self.vms.pop(self.rng.randrange(len(self.vms))).Destroy())

    def remove_pool(self):
        if self.pools:
            wait(self.pools.pop().Destroy())

    def snapshot(self):
        vm = self.rng.choice(self.vms)
        wait(vm.RemoveAllSnapshots_Task() if vm.snapshot else vm.CreateSnapshot_Task(self.name(), "", False, False))

    def move(self):
        self.rng.choice([self.client.pool, *self.pools]).MoveIntoResourcePool([self.rng.choice(self.vms)])

    def reserve(self):
        if self.pools:
            self.pools[-1].UpdateConfig(None, vim.ResourceConfigSpec(
                cpuAllocation=allocation(self.rng.randint(0, 50)), memoryAllocation=allocation(0)))

    def change(self):
        rng = self.rng
        rng.choice([
            self.make_vm, self.destroy, self.snapshot, self.move, self.make_pool, self.remove_pool, self.reserve,
            lambda: self.reconfigure(name=self.name()),
            lambda: self.reconfigure(annotation=self.name()),
            lambda: self.reconfigure(memoryMB=rng.choice([32, 64, 128])),
            lambda: self.reconfigure(extraConfig=[vim.option.OptionValue(key="model.key", value=rng.choice(["", "a", "b"]))]),
        ])()


def allocation(reservation):
    return vim.ResourceAllocationInfo(reservation=reservation, expandableReservation=True, limit=-1,
                                      shares=vim.SharesInfo(level="normal", shares=0))


def difference(got, want):
    lines = []
    for moid in sorted(set(got) | set(want)):
        if moid not in got or moid not in want:
            lines.append(f"{moid} only in {'the answer' if moid in got else 'the model'}")
            continue
        for path in sorted(set(got[moid]) | set(want[moid])):
            if got[moid].get(path) != want[moid].get(path):
                lines.append(f"{moid} {path}: {str(got[moid].get(path))[:150]} instead of {str(want[moid].get(path))[:150]}")
    return "\n".join(lines[:6])


def run(tap, client, rounds, seed):
    rng = random.Random(seed)
    world = World(rng, client)
    starts = [client.content.rootFolder, client.datacenter, client.folder, client.compute, client.pool, *world.vms[:1]]
    watchers, read, followed = [], 0, 0
    for number in range(rounds):
        there = [s for s in starts if s not in starts[5:] or s in world.vms]
        if len(watchers) < WATCHERS or rng.random() < 0.2:
            if len(watchers) == WATCHERS:
                watchers.pop(rng.randrange(WATCHERS)).collector.DestroyPropertyCollector()
            watchers.append(Watcher(rng, client, there))
        for _ in range(rng.randint(1, 3)):
            world.change()
        for watcher in list(watchers):
            if any(s[0] in starts[5:] and s[0] not in world.vms for s in watcher.filter.start):
                watchers.remove(watcher)  # what its filter begins at is gone
                continue
            want = watcher.filter.state()
            got = retrieve(rng, client, watcher.filter.spec())
            if not difference(got, want):
                read += 1
            else:
                tap.check(f"round {number} of seed {seed}: read", False, difference(got, want) + f"\n{watcher.filter.spec()}")
            if rng.random() < 0.7:
                watcher.follow()
                told = {moid: values for moid, values in watcher.state.items()}
                if not difference(told, want):
                    followed += 1
                else:
                    tap.check(f"round {number} of seed {seed}: followed", False, difference(told, want) + f"\n{watcher.filter.spec()}")
                    watchers.remove(watcher)
    tap.check(f"{read} readings were as the model's", read > rounds)
    tap.check(f"{followed} times what was followed was", followed > rounds / 2)


def main():
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 30)
    print(f"# seed {seed}")
    with Host(sys.argv[1]) as host:
        client = Client(connect(host))
        Tap().run([lambda tap: run(tap, client, rounds, seed)])


main()
