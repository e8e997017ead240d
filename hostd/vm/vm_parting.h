/* SPDX-License-Identifier: Apache-2.0 */
/* Disks that part from their VM when it is relocated: those that do not simply go along with its
 * folder, or stay where they are while that stays. Each is converted to where it is to be and of
 * the kind that is wanted, stays behind when the folder goes, or comes after it.
 *
 * Records (datastore/unfinished.h) name the new ones and the old ones until partings_end; which of
 * the two goes, whoever is killed, is what the VM's .vmx does not name. */
#pragma once

#include "hostd/datastore/unfinished.h"
#include "hostd/model/file_place.h"
#include "hostd/task/haul.h"
#include "hostd/vm/vm_clone.h"

struct parting {
    char slot[16];
    struct file_place from, to;
    struct disk_wish wish;
    char name[DSPATH_MAX + 128]; /* as the .vmx will name it */
    bool stays;                  /* only the folder goes */
    bool in_folder;              /* it is in the VM's folder now */
    bool keep_old;               /* another VM has it, too */
    unsigned folders;            /* made for it */
    struct unfinished made, gone;
};

struct partings {
    struct virtual_machine *vm;
    const struct file_place *from, *to; /* its folders; `to` NULL: it stays */
    struct datastore *datastore;        /* where the folder is going to be */
    const char *vmx;                    /* the name of its .vmx there */
    struct parting disk[VM_DISKS_MAX];
    unsigned count;
};

/* Which they are, as a spec wants it; all but these is set. False: the call has its fault. */
bool partings_find(struct call *call, struct partings *p,
                   const struct vim_VirtualMachineRelocateSpec *spec);
void partings_free(struct partings *p);

/* On a thread. Those that move, with the haul's progress; what fails is undone by partings_undo. */
int partings_go(struct partings *p, struct haul *haul);
void partings_undo(struct partings *p);
/* The .vmx's new names of all of them. */
int partings_rename(const struct partings *p, struct vmxfile *vmx);
/* Calls with the name of each file that these have in the VM's old folder. */
int partings_each_file(const struct partings *p, void (*visit)(void *ctx, const char *name),
                       void *ctx, struct err *err);
/* Does one stay in the old folder? */
bool partings_leave_some(const struct partings *p);
/* It is true now: the old ones go. */
void partings_remove_old(const struct partings *p);

/* Done or undone: no records any more. */
void partings_end(struct partings *p);
