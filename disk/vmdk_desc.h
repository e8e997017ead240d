/* SPDX-License-Identifier: Apache-2.0 */
/* The VMDK descriptor: a text of `key = value` and extent lines, a file of its own or embedded in a
 * sparse extent. Specification: VMware, "Virtual Disk Format 5.0"; docs/formats/vmdk.md has what we
 * accept and write. Reading is of hostile text: lengths, counts and numbers are checked here; names
 * are only checked not to leave the folder, the host opens them. */
#pragma once

#include "base/buf.h"
#include "disk/disk.h"

enum { VMDK_DESC_MAX = 256 * 1024, VMDK_NAME_MAX = 256, VMDK_EXTENTS_MAX = 1024 };
#define VMDK_NO_PARENT UINT32_MAX

enum vmdk_extent_type { VMDK_FLAT, VMDK_SPARSE, VMDK_ZERO };

struct vmdk_extent {
    enum vmdk_extent_type type;
    bool readonly;
    uint64_t sectors, offset; /* offset: sectors into the file */
    char file[VMDK_NAME_MAX]; /* "" for ZERO */
};

struct vmdk_desc {
    unsigned version;
    uint32_t cid, parent_cid;
    size_t cid_at;              /* where in the text the eight digits of the CID are; 0 none */
    size_t long_cid_at;         /* the last eight of ddb.longContentID, which are the CID too */
    uint32_t long_cid[3];       /* the 24 before them */
    char parent[VMDK_NAME_MAX]; /* with parent_cid; "" else */
    /* Where the eight digits of parent_cid are, and the parent's name in its quotes, with all of
     * its line that is behind it and blank; 0 none. */
    size_t parent_cid_at, parent_at, parent_room;
    char create_type[32];
    char adapter[16], uuid[64];
    bool thin;
    uint64_t sectors; /* sum */
    unsigned extent_count;
    struct vmdk_extent *extents; /* owned */
};

/* `text` need not end in NUL; a NUL ends it. */
int vmdk_desc_parse(struct vmdk_desc *desc, const char *text, size_t len, struct err *err);
void vmdk_desc_free(struct vmdk_desc *desc);
#define cleanup_vmdk_desc CLEANUP(vmdk_desc_free)

/* Appends a descriptor as ESXi writes it; hardware values come from desc->adapter and sectors. */
void vmdk_desc_print(const struct vmdk_desc *desc, struct buf *ret_text);

/* The same text, which `desc` was parsed from, with another parent, and *from .. *to for what
 * differs. All else stays where it is. -ENOTSUP: there is no room for that. */
int vmdk_desc_set_parent(const struct vmdk_desc *desc, char *text, const char *parent, uint32_t cid,
                         size_t *ret_from, size_t *ret_to);

/* Appends `old` with what `desc`, which was parsed from it and then changed, says now: extents,
 * geometry if the size is another, uuid, thinness. All other lines stay as they are. */
void vmdk_desc_rewrite(const struct vmdk_desc *desc, const char *old, size_t len,
                       struct buf *ret_text);
