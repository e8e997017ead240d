/* SPDX-License-Identifier: Apache-2.0 */
/* The .vmsd file (vmsd.h): the dictionary is the truth, beside it only who stands in which slot.
 *
 * Keys: snapshot.lastUID, snapshot.current, snapshot.numSnapshots, snapshot.needConsolidate;
 * snapshotN.uid, .parent, .displayName, .description, .filename, .type, .createTimeHigh and
 * .createTimeLow (halves of the microseconds, signed), .numDisks, .diskM.fileName, .diskM.node. */
#include "config/vmsd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/range.h"

/* snapshotN.type, as far as it is understood: a bit of what the snapshot has. */
enum { TYPE_MEMORY = 1, TYPE_QUIESCED = 2 };

enum { KEY_MAX = 64 };

struct slot {
    uint32_t uid, parent;
};

struct vmsd {
    struct vmxfile *dict; /* owned */
    uint32_t last_uid, current;
    unsigned count;
    struct slot slot[VMSD_SNAPSHOTS_MAX];
};

static const char *slot_key(char *key, unsigned slot, const char *name)
{
    (void)snprintf(key, KEY_MAX, "snapshot%u.%s", slot, name);
    return key;
}

static const char *disk_key(char *key, unsigned slot, unsigned disk, const char *name)
{
    (void)snprintf(key, KEY_MAX, "snapshot%u.disk%u.%s", slot, disk, name);
    return key;
}

static int slot_of(const struct vmsd *vmsd, uint32_t uid)
{
    for (unsigned i = 0; i < vmsd->count; i++)
        if (vmsd->slot[i].uid == uid)
            return (int)i;
    return -ENOENT;
}

/* -- Reading -------------------------------------------------------------------------------------
 */

static int broken(const struct vmsd *vmsd, struct err *err, unsigned slot, const char *name,
                  const char *what)
{
    char key[KEY_MAX];

    return vmxfile_complain(vmsd->dict, slot_key(key, slot, name), err, -EBADMSG, "%s", what);
}

static int read_slot(struct vmsd *vmsd, unsigned i, struct err *err)
{
    char key[KEY_MAX];
    unsigned uid = VMSD_NONE, parent = VMSD_NONE;
    int rc = vmxfile_get_unsigned(vmsd->dict, slot_key(key, i, "uid"), 1, INT32_MAX, &uid, err);

    rc = rc ? rc
            : vmxfile_get_unsigned(vmsd->dict, slot_key(key, i, "parent"), 0, INT32_MAX, &parent,
                                   err);
    if (rc)
        return -EBADMSG;
    if (uid == VMSD_NONE)
        return broken(vmsd, err, i, "uid", "the snapshot has no uid");
    if (slot_of(vmsd, uid) >= 0)
        return broken(vmsd, err, i, "uid", "two snapshots have this uid");
    vmsd->slot[i] = (struct slot){uid, parent};
    vmsd->count = i + 1;
    vmsd->last_uid = MAX(vmsd->last_uid, uid);
    return 0;
}

/* The way up from slot i ends, at a root or where another way did. `way`: i + 1 of those that have
 * come by. */
static int check_way_up(const struct vmsd *vmsd, unsigned i, uint16_t *way, struct err *err)
{
    unsigned at = i;

    while (!way[at]) {
        way[at] = (uint16_t)(i + 1);
        if (vmsd->slot[at].parent == VMSD_NONE)
            return 0;
        int parent = slot_of(vmsd, vmsd->slot[at].parent);
        if (parent < 0)
            return broken(vmsd, err, at, "parent", "there is no such snapshot");
        at = (unsigned)parent;
    }
    return way[at] != i + 1 ? 0
                            : broken(vmsd, err, i, "parent", "the snapshot is its own ancestor");
}

static int check_forest(const struct vmsd *vmsd, struct err *err)
{
    uint16_t way[VMSD_SNAPSHOTS_MAX] = {0};

    for (unsigned i = 0; i < vmsd->count; i++) {
        int rc = way[i] ? 0 : check_way_up(vmsd, i, way, err);
        if (rc)
            return rc;
    }
    if (vmsd->current != VMSD_NONE && slot_of(vmsd, vmsd->current) < 0)
        return vmxfile_complain(vmsd->dict, "snapshot.current", err, -EBADMSG,
                                "there is no such snapshot");
    return 0;
}

static int read_all(struct vmsd *vmsd, struct err *err)
{
    unsigned count = 0, current = VMSD_NONE, last = 0;

    if (vmxfile_get_unsigned(vmsd->dict, "snapshot.numSnapshots", 0, VMSD_SNAPSHOTS_MAX, &count,
                             err) ||
        vmxfile_get_unsigned(vmsd->dict, "snapshot.current", 0, INT32_MAX, &current, err) ||
        vmxfile_get_unsigned(vmsd->dict, "snapshot.lastUID", 0, INT32_MAX - 1, &last, err))
        return -EBADMSG;
    vmsd->last_uid = last;
    vmsd->current = count ? current : VMSD_NONE;
    for (unsigned i = 0; i < count; i++) {
        int rc = read_slot(vmsd, i, err);
        if (rc)
            return rc;
    }
    return check_forest(vmsd, err);
}

static int adopt(struct vmxfile *dict, struct vmsd **ret_vmsd, struct err *err)
{
    cleanup_vmsd struct vmsd *vmsd = calloc(1, sizeof *vmsd);
    int rc;

    if (!vmsd) {
        vmxfile_destroy(dict);
        return err_sys(err, -ENOMEM, "snapshots");
    }
    vmsd->dict = dict;
    rc = read_all(vmsd, err);
    if (!rc)
        *ret_vmsd = TAKE_PTR(vmsd);
    return rc;
}

int vmsd_create(const char *name, struct vmsd **ret_vmsd)
{
    struct vmxfile *dict;
    int rc = vmxfile_create(name, &dict);

    rc = rc ? rc : adopt(dict, ret_vmsd, NULL);
    return rc ? rc : vmxfile_set((*ret_vmsd)->dict, ".encoding", "UTF-8");
}

int vmsd_parse(const char *name, const void *data, size_t len, struct vmsd **ret_vmsd,
               struct err *err)
{
    struct vmxfile *dict;
    int rc = vmxfile_parse(name, data, len, &dict, err);

    return rc ? rc : adopt(dict, ret_vmsd, err);
}

int vmsd_load(const char *path, struct vmsd **ret_vmsd, struct err *err)
{
    struct vmxfile *dict;
    int rc = access(path, F_OK) && errno == ENOENT ? -ENOENT : vmxfile_load(path, &dict, err);

    if (rc == -ENOENT)
        return vmsd_create(path, ret_vmsd);
    return rc ? rc : adopt(dict, ret_vmsd, err);
}

void vmsd_destroy(struct vmsd *vmsd)
{
    if (!vmsd)
        return;
    vmxfile_destroy(vmsd->dict);
    free(vmsd);
}

void vmsd_write(const struct vmsd *vmsd, struct buf *out)
{
    vmxfile_write(vmsd->dict, out);
}

int vmsd_save(const struct vmsd *vmsd, const char *path, struct err *err)
{
    return vmxfile_save(vmsd->dict, path, err);
}

/* -- Looking -------------------------------------------------------------------------------------
 */

unsigned vmsd_count(const struct vmsd *vmsd)
{
    return vmsd->count;
}

uint32_t vmsd_uid(const struct vmsd *vmsd, unsigned i)
{
    return vmsd->slot[i].uid;
}

uint32_t vmsd_parent(const struct vmsd *vmsd, unsigned i)
{
    return vmsd->slot[i].parent;
}

uint32_t vmsd_current(const struct vmsd *vmsd)
{
    return vmsd->current;
}

uint32_t vmsd_next_uid(const struct vmsd *vmsd)
{
    return vmsd->last_uid + 1;
}

static int64_t read_half(const struct vmsd *vmsd, unsigned slot, const char *name)
{
    char key[KEY_MAX];
    int64_t v = 0;

    (void)vmxfile_get_i64(vmsd->dict, slot_key(key, slot, name), INT32_MIN, UINT32_MAX, &v, NULL);
    return v;
}

static const char *text_of(const struct vmsd *vmsd, unsigned slot, const char *name)
{
    char key[KEY_MAX];
    const char *text = vmxfile_get(vmsd->dict, slot_key(key, slot, name));

    return text ? text : "";
}

/* Values that do not fit count as absent: a wrong time is no reason to lose the disks. */
int vmsd_get(const struct vmsd *vmsd, uint32_t uid, struct vmsd_snapshot *s)
{
    char key[KEY_MAX];
    unsigned type = 0, disks = 0;
    int slot = slot_of(vmsd, uid);

    if (slot < 0)
        return slot;
    (void)vmxfile_get_unsigned(vmsd->dict, slot_key(key, slot, "type"), 0, UINT32_MAX, &type, NULL);
    (void)vmxfile_get_unsigned(vmsd->dict, slot_key(key, slot, "numDisks"), 0, VMSD_DISKS_MAX,
                               &disks, NULL);
    *s = (struct vmsd_snapshot){
        .uid = uid,
        .parent = vmsd->slot[slot].parent,
        .name = text_of(vmsd, slot, "displayName"),
        .description = text_of(vmsd, slot, "description"),
        .filename = vmxfile_get(vmsd->dict, slot_key(key, slot, "filename")),
        .created_usec = (int64_t)((uint64_t)read_half(vmsd, slot, "createTimeHigh") << 32 |
                                  (uint32_t)read_half(vmsd, slot, "createTimeLow")),
        .memory = type & TYPE_MEMORY,
        .quiesced = type & TYPE_QUIESCED,
    };
    (void)vmxfile_get_bool(vmsd->dict, slot_key(key, slot, "socle.suspended"), &s->suspended, NULL);
    s->suspended &= s->memory;
    for (unsigned i = 0; i < disks; i++) {
        const char *file = vmxfile_get(vmsd->dict, disk_key(key, slot, i, "fileName"));
        const char *node = vmxfile_get(vmsd->dict, disk_key(key, slot, i, "node"));
        if (file && node)
            s->disk[s->disk_count++] = (struct vmsd_disk){file, node};
    }
    return 0;
}

bool vmsd_needs_consolidation(const struct vmsd *vmsd)
{
    bool needs = false;

    (void)vmxfile_get_bool(vmsd->dict, "snapshot.needConsolidate", &needs, NULL);
    return needs;
}

/* -- Changing ------------------------------------------------------------------------------------
 */

int vmsd_set_needs_consolidation(struct vmsd *vmsd, bool needs)
{
    return vmxfile_set_bool(vmsd->dict, "snapshot.needConsolidate", needs);
}

int vmsd_set_current(struct vmsd *vmsd, uint32_t uid)
{
    int rc = uid == VMSD_NONE ? 0 : slot_of(vmsd, uid);

    rc = rc < 0 ? rc : vmxfile_set_u64(vmsd->dict, "snapshot.current", uid);
    if (!rc)
        vmsd->current = uid;
    return rc;
}

static int put(struct vmsd *vmsd, unsigned slot, const char *name, const char *value)
{
    char key[KEY_MAX];

    slot_key(key, slot, name);
    if (value)
        return vmxfile_set(vmsd->dict, key, value);
    vmxfile_remove(vmsd->dict, key);
    return 0;
}

static int put_number(struct vmsd *vmsd, unsigned slot, const char *name, int64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRId64, value);
    return put(vmsd, slot, name, text);
}

static int put_disks(struct vmsd *vmsd, unsigned slot, const struct vmsd_snapshot *s)
{
    char key[KEY_MAX];
    int rc = put_number(vmsd, slot, "numDisks", s->disk_count);

    for (unsigned i = 0; i < s->disk_count && !rc; i++) {
        rc = vmxfile_set(vmsd->dict, disk_key(key, slot, i, "fileName"), s->disk[i].file);
        rc = rc ? rc : vmxfile_set(vmsd->dict, disk_key(key, slot, i, "node"), s->disk[i].node);
    }
    return rc;
}

static int put_all(struct vmsd *vmsd, unsigned slot, const struct vmsd_snapshot *s, uint32_t uid)
{
    unsigned type = (s->memory ? TYPE_MEMORY : 0) | (s->quiesced ? TYPE_QUIESCED : 0);
    int rc = put_number(vmsd, slot, "uid", uid);

    rc = rc ? rc : put(vmsd, slot, "filename", s->filename);
    if (!rc && s->parent != VMSD_NONE)
        rc = put_number(vmsd, slot, "parent", s->parent);
    rc = rc ? rc : put(vmsd, slot, "displayName", s->name);
    rc = rc ? rc : put(vmsd, slot, "description", s->description);
    if (!rc && type)
        rc = put_number(vmsd, slot, "type", type);
    if (!rc && s->suspended)
        rc = put(vmsd, slot, "socle.suspended", "TRUE");
    rc = rc ? rc : put_number(vmsd, slot, "createTimeHigh", (int32_t)(s->created_usec >> 32));
    rc = rc ? rc : put_number(vmsd, slot, "createTimeLow", (int32_t)(uint32_t)s->created_usec);
    return rc ? rc : put_disks(vmsd, slot, s);
}

/* All keys of the slot go. */
static void drop_slot(struct vmsd *vmsd, unsigned slot)
{
    char prefix[KEY_MAX];

    vmxfile_remove_prefixed(vmsd->dict, slot_key(prefix, slot, ""));
}

/* All of them become those of slot `to`, which has none. */
static int move_slot(struct vmsd *vmsd, unsigned slot, unsigned to)
{
    char prefix[KEY_MAX], old[VMXFILE_KEY_MAX + 1], new[VMXFILE_KEY_MAX + 32];
    size_t at = 0, len = strlen(slot_key(prefix, slot, ""));
    const char *key;
    int rc = 0;

    while (!rc && (key = vmxfile_next_key(vmsd->dict, &at))) {
        if (strncasecmp(key, prefix, len))
            continue;
        (void)snprintf(old, sizeof old, "%s", key);
        (void)snprintf(new, sizeof new, "snapshot%u.%s", to, old + len);
        rc = vmxfile_set(vmsd->dict, new, vmxfile_get(vmsd->dict, old));
    }
    if (!rc)
        drop_slot(vmsd, slot);
    return rc;
}

static int put_counters(struct vmsd *vmsd)
{
    int rc = vmxfile_set_u64(vmsd->dict, "snapshot.lastUID", vmsd->last_uid);

    rc = rc ? rc : vmxfile_set_u64(vmsd->dict, "snapshot.current", vmsd->current);
    return rc ? rc : vmxfile_set_u64(vmsd->dict, "snapshot.numSnapshots", vmsd->count);
}

int vmsd_add(struct vmsd *vmsd, const struct vmsd_snapshot *snapshot, uint32_t *ret_uid)
{
    uint32_t uid = vmsd_next_uid(vmsd);
    unsigned slot = vmsd->count;
    int rc;

    if (slot == VMSD_SNAPSHOTS_MAX || snapshot->disk_count > VMSD_DISKS_MAX || uid >= INT32_MAX)
        return -E2BIG;
    if (snapshot->parent != VMSD_NONE && slot_of(vmsd, snapshot->parent) < 0)
        return -ENOENT;
    drop_slot(vmsd, slot); /* leftovers behind the last one */
    rc = put_all(vmsd, slot, snapshot, uid);
    if (rc) {
        drop_slot(vmsd, slot);
        return rc;
    }
    vmsd->slot[slot] = (struct slot){uid, snapshot->parent};
    vmsd->count++;
    vmsd->last_uid = uid;
    *ret_uid = uid;
    return put_counters(vmsd);
}

int vmsd_rename(struct vmsd *vmsd, uint32_t uid, const char *name, const char *description)
{
    int slot = slot_of(vmsd, uid), rc = slot < 0 ? slot : 0;

    if (!rc && name)
        rc = put(vmsd, (unsigned)slot, "displayName", name);
    if (!rc && description)
        rc = put(vmsd, (unsigned)slot, "description", description);
    return rc;
}

int vmsd_set_disk(struct vmsd *vmsd, uint32_t uid, const char *node, const char *file)
{
    int slot = slot_of(vmsd, uid);
    char key[KEY_MAX];

    for (unsigned i = 0; slot >= 0 && i < VMSD_DISKS_MAX; i++) {
        const char *there = vmxfile_get(vmsd->dict, disk_key(key, (unsigned)slot, i, "node"));
        if (there && !strcmp(there, node))
            return vmxfile_set(vmsd->dict, disk_key(key, (unsigned)slot, i, "fileName"), file);
    }
    return -ENOENT;
}

static int give_away(struct vmsd *vmsd, uint32_t uid, uint32_t parent)
{
    int rc = 0;

    for (unsigned i = 0; i < vmsd->count && !rc; i++) {
        char text[16];
        if (vmsd->slot[i].parent != uid)
            continue;
        (void)snprintf(text, sizeof text, "%u", parent);
        rc = put(vmsd, i, "parent", parent == VMSD_NONE ? NULL : text);
        if (!rc)
            vmsd->slot[i].parent = parent;
    }
    return rc;
}

int vmsd_remove(struct vmsd *vmsd, uint32_t uid)
{
    int slot = slot_of(vmsd, uid), rc;
    unsigned last = vmsd->count - 1;
    uint32_t parent;

    if (slot < 0)
        return slot;
    parent = vmsd->slot[slot].parent;
    rc = give_away(vmsd, uid, parent);
    if (rc)
        return rc;
    drop_slot(vmsd, (unsigned)slot);
    if ((unsigned)slot != last)
        rc = move_slot(vmsd, last, (unsigned)slot);
    if (rc)
        return rc;
    vmsd->slot[slot] = vmsd->slot[last];
    vmsd->count--;
    if (vmsd->current == uid)
        vmsd->current = parent;
    return put_counters(vmsd);
}
