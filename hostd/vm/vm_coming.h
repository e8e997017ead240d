/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of VMs that are being made: created, cloned, imported. Such a folder has a mark from the
 * moment it is there until the VM stands in the inventory's file. So a hostd that starts knows what
 * one that was killed has left half made, and takes it away.
 *
 * The mark names the folder's inode: a copy that somebody made of it is not taken for it. Looked
 * for in the datastores' uppermost folders, where VMs are made. */
#pragma once

#include "hostd/model/virtual_machine.h"

#define VM_COMING_MARK DSPATH_OWN "coming"

/* Makes the folder, marked from the first: under another name (VM_COMING_MARK and a number), then
 * renamed. -EEXIST. */
int vm_coming_make(int parent_fd, const char *name);
void vm_coming_unmark(int datastore_fd, const char *folder);
bool vm_coming_is_marked(int datastore_fd, const char *folder);

/* After the inventory's file was written: of VMs that are on their way no more. */
void vm_coming_arrived(struct inventory *inventory);
/* At start, when all VMs are known. */
void vm_coming_sweep(struct inventory *inventory);
