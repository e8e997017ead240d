/* SPDX-License-Identifier: Apache-2.0 */
/* A VirtualMachineConfigSpec applied to a dictionary. Nothing is touched on the datastore by this:
 * what must happen there is written down in `plan`, and done by plan_run on a worker thread; what
 * fails half-way is undone there. */
#pragma once

#include <limits.h>

#include "hostd/model/virtual_machine.h"

enum { PLAN_DISKS_MAX = 64 };

struct vim_VirtualMachineConfigSpec;

struct plan {
    struct datastore *datastore; /* of the VM */
    char rel[DSPATH_MAX];        /* of its .vmx */
    struct vmxfile *vmx;         /* the new content; owned until taken */
    bool make_folder;            /* the VM is new */
    struct plan_disk {
        int fd; /* the datastore's folder, borrowed */
        char path[PATH_MAX], rel[DSPATH_MAX];
        uint64_t size; /* 0: delete it */
        bool thin, eager;
        bool grow; /* it is there, and becomes `size` */
        const char *adapter;
    } disk[PLAN_DISKS_MAX];
    unsigned disk_count;
    int rc;
    struct err err;
    char failed_file[DSPATH_MAX + DSPATH_NAME_MAX + 4];
};

/* `vm` NULL: a new one. plan->datastore, rel and vmx (a copy of what is now) are the caller's to
 * fill in first. False: the call has its fault. */
bool vm_edit(struct call *call, const struct virtual_machine *vm, struct plan *plan,
             const struct vim_VirtualMachineConfigSpec *spec);
bool vm_edit_devices(struct call *call, const struct virtual_machine *vm, struct plan *plan,
                     const struct vim_VirtualMachineConfigSpec *spec);

/* Keys every new VM has. -errno. */
int plan_new_vmx(struct plan *plan, const char *name);

void plan_run(struct plan *plan); /* sets rc, err, failed_file */
void plan_free(struct plan *plan);
