# SPDX-License-Identifier: Apache-2.0
"""Who may include whom. A directory may include itself and what its line names; a name with a file
stands for that one header. The longest prefix of a path decides. docs: ARCHITECTURE.md."""

MACHINE = "base wire vm/machine"
PARTS = MACHINE + " vm/engine vm/pci vm/backend"

LAYERS = {
    "base": "",
    "wire": "base",
    "config": "base",
    "disk": "base",
    "vm/machine": "base wire",
    "vm/engine": MACHINE + " vm/engine/kvm/kvm.h",  # the table of engines
    "vm/engine/kvm": MACHINE + " vm/engine",
    "vm/pci": MACHINE + " vm/engine",
    "vm/backend": MACHINE + " disk/disk.h disk/aio.h",
    "vm/chipset": PARTS,
    "vm/dev": PARTS,
    "vm/firmware": PARTS + " config vm/chipset",
    "vm/console": MACHINE + " vm/backend",
    "vm/process": PARTS + " config disk/disk.h disk/aio.h disk/given.h vm/console vm/chipset vm/dev vm/firmware vm/engine/kvm",
    "hostd/xml": "base",
    "hostd/api": "base hostd/xml",
    "hostd/http": "base",
    "hostd/ovf": "base hostd/xml",
    "hostd/up": "base hostd/session/account.h vm/process/keeper.h",
    "hostd": "base config disk/disk.h disk/aio.h vm/process/keeper.h vm/process/console.h vm/process/usage.h hostd/api hostd/http hostd/ovf hostd/xml hostd/up/rootdir.h hostd/up/cert.h",
    "cli": "base config disk/disk.h disk/aio.h vm/process/run.h hostd/up/up.h",
    "lab": "base",
    "tests": "*",
    "fuzz": "*",
    "bench": "*",
    "tools": "*",
}

# Headers of the system that only these directories may see.
SYSTEM = {
    "linux/kvm.h": "vm/engine/kvm tests",
    "asm/kvm.h": "vm/engine/kvm tests",
}
