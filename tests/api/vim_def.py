#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds hostd/api/def against pyVmomi's tables: of every type, property, enum and method that both know,
name, base, order, type, optionality, version, privilege and faults. What pyVmomi has, the text must have;
what the text has, pyVmomi must have if it is new enough to. Usage: vim_def.py ROOT"""

import importlib.util
import os
import sys

sys.dont_write_bytecode = True
sys.path.append("/usr/lib/python3/dist-packages")
try:
    from pyVmomi import VmomiSupport as theirs
except ImportError:
    print("1..0 # SKIP no pyVmomi")
    sys.exit(0)

F_LINK, F_OPTIONAL, F_SECRET = 1, 4, 8
WORDS = {
    "anyType": "any", "vmodl.DateTime": "dateTime", "vmodl.Binary": "binary", "vmodl.URI": "uri",
    "vmodl.TypeName": "typename", "vmodl.MethodName": "methodname", "vmodl.PropertyPath": "path",
    "vmodl.ManagedObject": "ManagedObject", "vmodl.MethodFault": "MethodFault",
    "vmodl.RuntimeFault": "RuntimeFault",
}
# pyVmomi gives it a text that travels beside it on the wire.
NOT_ON_THE_WIRE = {("MethodFault", "msg")}
# pyVmomi unwraps it; in the published schema it is no fault.
WRAPPER = "LocalizedMethodFault"
# The published declarations changed; the text follows 8.0.3.
CHANGED = set("""
    NoPermission.object NoPermission.privilegeId HostCapability.vmDirectPathGen2Supported
    HostFibreChannelOverEthernetHba.markedForRemoval VAppPropertyInfo.defaultValue VAppPropertyInfo.value
    VirtualMachineDeviceRuntimeInfoVirtualEthernetCardRuntimeState.vmDirectPathGen2Active
    VirtualEthernetCardOption.vmDirectPathGen2Supported SSLVerifyFault.thumbprint
    DVSFeatureCapability.vmDirectPathGen2Supported PropertyCollector.ContinueRetrievePropertiesEx
    PropertyCollector.CancelRetrievePropertiesEx StorageResourceManager.ConfigureDatastoreIORM_Task.datastore
    HostPowerSystem.capability HostPowerSystem.info HostVirtualNicManager.QueryNetConfig
    FailoverClusterManager.disabledClusterMethod
    HostVStorageObjectManager.HostSetVStorageObjectControlFlags.datastore
    HostVStorageObjectManager.HostClearVStorageObjectControlFlags.datastore
    VcenterVStorageObjectManager.SetVStorageObjectControlFlags.datastore
    VcenterVStorageObjectManager.ClearVStorageObjectControlFlags.datastore
    HostSystem.QueryProductLockerLocation HostSystem.UpdateProductLockerLocation_Task
    HostCertificateManager.NotifyAffectedServices VcenterVStorageObjectManager.RetrieveSnapshotDetails
    VcenterVStorageObjectManager.VstorageObjectVCenterQueryChangedDiskAreas
    HostProfileManager.UpdateHostCustomizations_Task
""".split())
# Dated back when they were published; clients of the versions between do not know them.
LATER = {"HostSpecificationChangedEvent", "HostSpecificationRequireEvent", "HostSpecificationUpdateEvent",
         "HostSubSpecificationDeleteEvent", "HostSubSpecificationUpdateEvent"}
# Ours alone: in no published list, but on the wire.
OURS = {("ManagedObject", "Fetch"), ("HostSystem", "RetrieveDynamicTypeManager"),
        ("HostSystem", "RetrieveManagedMethodExecuter")}


def load_model(root):
    path = os.path.join(root, "tools/gen/vim.py")
    spec = importlib.util.spec_from_file_location("vim_gen", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = os.path.join(root, "hostd/api/def")
    return module.Model(sorted(os.path.join(folder, n) for n in os.listdir(folder)))


class Tables:
    """pyVmomi's definitions, by our words."""

    def __init__(self, model):
        self.model = model
        maps = (theirs._dataDefMap, theirs._managedDefMap, theirs._enumDefMap)
        self.names = {d[0]: d[1] for m in maps for d in m.values()}
        self.bases = {d[0]: d[2] for m in maps[:2] for d in m.values()}
        self.data = [d for d in maps[0].values() if self.plain(d[0], d[3])]
        self.managed = [d for d in maps[1].values() if self.plain(d[0], d[3])]
        self.enums = [d for d in maps[2].values() if self.plain(d[0], d[2])]

    def plain(self, name, version):
        """Of plain vim25, and not kept for the old days only."""
        return name.split(".")[0] in ("vim", "vmodl") and not name.startswith("vmodl.reflect") \
            and self.version(version) is not None

    def version(self, name):
        """Index in our versions of the first that has it; None: none has."""
        if name == "vim.version.legacy":
            return None
        known = [i for i, v in enumerate(self.model.versions)
                 for full, own in theirs.versionIdMap.items()
                 if own == v and full.startswith("vim.version.")
                 and full != "vim.version.legacy" and name in theirs.parentMap.get(full, {full: 1})]
        return min(known) if known else None

    def is_fault(self, name):
        while name:
            if name == "vmodl.MethodFault":
                return True
            name = self.bases.get(name) or ("vmodl.MethodFault" if name == "vmodl.RuntimeFault" else None)
        return False

    def type(self, name, flags=0):
        array = "[]" if name.endswith("[]") else ""
        name = name[:-2] if array else name
        if flags & F_LINK:
            return "string" + array
        if self.is_fault(name):
            return "LocalizedMethodFault" + array
        return WORDS.get(name, self.names.get(name, name)) + array


class Check:
    def __init__(self, model):
        self.model, self.tables = model, Tables(model)
        self.wrong, self.compared = [], 0
        self.newest = max(i for i, v in enumerate(model.versions) if v in theirs.versionIdMap.values())

    def same(self, where, ours, other):
        self.compared += 1
        if ours != other and (self.newest == len(self.model.versions) - 1
                              or where.rsplit(" ", 1)[0] not in CHANGED):
            self.wrong.append(f"{where}: {ours}, pyVmomi: {other}")

    def missing(self, where, version):
        if self.tables.version(version) is not None and "vsan" not in where.lower():
            self.wrong.append(f"{where}: not there")

    def extra(self, where, since):
        """What an older table cannot have is no mistake."""
        if self.model.version(since) <= self.newest and where not in CHANGED:
            self.wrong.append(f"{where}: pyVmomi has none")

    def props(self, where, ours, other):
        """Properties or parameters: (name, type, version, flags[, privilege])."""
        other = [p for p in other or [] if (where, p[0]) not in NOT_ON_THE_WIRE
                 and self.tables.version(p[2]) is not None]
        mine = {p.name: p for p in ours}
        common = [p for p in other if p[0] in mine]
        self.same(where + " order", [p.name for p in ours if p.name in {o[0] for o in common}],
                  [p[0] for p in common])
        for extra in set(mine) - {p[0] for p in other}:
            self.extra(f"{where}.{extra}", mine[extra].since)
        for name, kind, version, flags, *rest in other:
            if name not in mine:
                self.missing(f"{where}.{name}", version)
                continue
            prop = mine[name]
            self.same(f"{where}.{name} type", prop.type + ("[]" if prop.list else ""),
                      self.tables.type(kind, flags))
            self.same(f"{where}.{name} optional", prop.optional, bool(flags & F_OPTIONAL))
            self.same(f"{where}.{name} secret", prop.secret, bool(flags & F_SECRET))
            self.since(f"{where}.{name}", prop.since, version)
            if rest:
                self.same(f"{where}.{name} privilege", prop.priv, rest[0])

    def since(self, where, ours, version):
        if where.split(".")[0] in LATER:
            return
        self.same(where + " version", ours, self.model.versions[self.tables.version(version)])

    def base(self, where, ours, name):
        root = name in ("vmodl.DataObject", "vmodl.Any", "object", None)
        self.same(where + " base", ours, None if root else
                  WORDS.get(name, self.tables.names.get(name)))

    def data(self):
        for vmodl, name, base, version, props in self.tables.data:
            if name == WRAPPER:
                continue
            ours = self.model.types.get(name)
            if not ours:
                self.missing(name, version)
                continue
            self.same(name + " vmodl", ours.vmodl, vmodl)
            self.same(name + " is a fault", ours.kind == "fault", self.tables.is_fault(vmodl))
            self.base(name, ours.base, base)
            self.since(name, ours.since, version)
            self.props(name, ours.props, props)

    def enums(self):
        for vmodl, name, version, values in self.tables.enums:
            ours = self.model.types.get(name)
            if not ours:
                self.missing(name, version)
                continue
            self.same(name + " vmodl", (ours.kind, ours.vmodl), ("enum", vmodl))
            self.since(name, ours.since, version)
            self.same(name + " values", [v for v in values if v not in ours.values], [])

    def managed(self):
        for vmodl, name, base, version, props, methods in self.tables.managed:
            ours = self.model.managed.get(name)
            if not ours:
                self.missing(name, version)
                continue
            self.same(name + " vmodl", ours.vmodl, vmodl)
            self.base(name, ours.base, base)
            self.since(name, ours.since, version)
            self.props(name, ours.props, props)
            known = {m.name: m for m in ours.methods if (name, m.name) not in OURS}
            theirs_by_name = {m[1]: m for m in methods or []}
            for extra in set(known) - set(theirs_by_name):
                self.extra(f"{name}.{extra}", known[extra].since)
            for method in theirs_by_name.values():
                if method[1] in known:
                    self.method(f"{name}.{method[1]}", known[method[1]], method)
                elif self.tables.version(method[2]) is not None:
                    self.missing(f"{name}.{method[1]}", method[2])

    def method(self, where, ours, other):
        vmodl, _, version, params, (flags, result, _), priv, faults = other
        self.same(where + " vmodl", ours.vmodl, vmodl)
        self.since(where, ours.since, version)
        self.same(where + " privilege", ours.priv, priv)
        self.props(where, ours.params, params)
        mine = ours.result.type + ("[]" if ours.result.list else "") if ours.result else "void"
        self.same(where + " result", mine, self.tables.type(result))
        if ours.result:
            self.same(where + " result optional", ours.result.optional, bool(flags & F_OPTIONAL))
        names = [self.tables.names.get(f, f.split(".")[-1]) for f in faults or []]
        self.same(where + " faults", ours.faults, [n for n in names if n in self.model.types])


def main():
    check = Check(load_model(sys.argv[1]))
    number = 0
    parts = ("data", "enums", "managed")
    print(f"1..{len(parts) + 1}")
    for part in parts:
        number += 1
        check.wrong = []
        getattr(check, part)()
        for line in check.wrong[:40]:
            print("# " + line)
        print(f"{'not ok' if check.wrong else 'ok'} {number} - {part}")
    print(f"{'ok' if check.compared > 30000 else 'not ok'} {number + 1} - {check.compared} facts compared")


main()
