/* SPDX-License-Identifier: Apache-2.0 */
/* The hosted sparse extent, read and written. Specification: "Virtual Disk Format 5.0", "Hosted
 * sparse extents". See sparse.h for the model and flush.c for the order of writes.
 *
 * A new grain is made by letting the file grow by it, which makes it read as zeros, and by writing
 * the caller's part; its entry goes to the file's tables with the next flush, after a sync. Tables
 * are read when they are first needed, blocking: 2 KiB that map 32 MiB. Deliberately missing:
 * giving grains back to the file (their data is punched instead), growing. */
#include "disk/sparse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"

enum { SLOTS_MIN = 8, ALLOCS_MIN = 16 };

/* -- The cache of tables -------------------------------------------------------------------------
 */

/* A slot that nothing needs, by second chance. There always is one: see room_for_pins. */
static struct sparse_slot *victim(struct sparse *sparse)
{
    for (;;) {
        struct sparse_slot *slot = &sparse->slots[sparse->hand];

        sparse->hand = (sparse->hand + 1) % sparse->slot_count;
        if (slot->pins)
            continue;
        if (!slot->recent)
            return slot;
        slot->recent = false;
    }
}

static int load_table(struct disk *disk, struct extent *extent, uint32_t table,
                      struct sparse_slot *slot)
{
    struct sparse *sparse = extent->impl;
    int rc;

    if (slot->table != UINT32_MAX)
        sparse->slot_of[slot->table] = UINT32_MAX;
    slot->table = UINT32_MAX;
    rc = file_read(disk, extent->file, slot->entries, SPARSE_TABLE_SIZE,
                   (uint64_t)sparse->gd[table] * DISK_SECTOR);
    if (rc)
        return rc;
    for (unsigned i = 0; i < KDMV_GTES; i++)
        slot->entries[i] = le32_load(&slot->entries[i]);
    slot->table = table;
    sparse->slot_of[table] = (uint32_t)(slot - sparse->slots);
    return 0;
}

/* NULL slot: the directory has no such table, nothing is allocated there. */
static int find_table(struct disk *disk, struct extent *extent, uint32_t table,
                      struct sparse_slot **ret_slot)
{
    struct sparse *sparse = extent->impl;
    struct sparse_slot *slot = NULL;
    int rc = 0;

    if (sparse->slot_of[table] != UINT32_MAX) {
        slot = &sparse->slots[sparse->slot_of[table]];
    } else if (sparse->gd[table]) {
        slot = victim(sparse);
        rc = load_table(disk, extent, table, slot);
    }
    if (slot)
        slot->recent = true;
    *ret_slot = slot;
    return rc;
}

static void pin(struct sparse *sparse, struct sparse_slot *slot)
{
    sparse->pinned += !slot->pins++;
}

static void unpin(struct sparse *sparse, uint32_t table)
{
    struct sparse_slot *slot = &sparse->slots[sparse->slot_of[table]];

    sparse->pinned -= !--slot->pins;
}

/* -- Mapping -------------------------------------------------------------------------------------
 */

bool sparse_grain_valid(const struct sparse *sparse, uint32_t entry, uint64_t file_size)
{
    return entry >= sparse->data_start &&
           range_within(entry, sparse->header.grain, file_size / DISK_SECTOR);
}

/* How many entries from `entry` on (at most `max`) follow one another in the file as they do here.
 */
static unsigned grains_in_row(const struct sparse *sparse, const struct sparse_slot *slot,
                              unsigned entry, unsigned max)
{
    uint64_t next = slot->entries[entry];
    unsigned count = 0;

    while (count < max && slot->entries[entry + count] == next) {
        count++;
        next += sparse->header.grain;
    }
    return count;
}

/* Holes of one kind: a child's grains of zeros hide what the parent has. */
static unsigned holes_in_row(const struct sparse *sparse, const struct sparse_slot *slot,
                             unsigned entry, unsigned max)
{
    uint32_t first = slot->entries[entry];
    unsigned count = 0;

    while (count < max && slot->entries[entry + count] == first && !sparse_is_grain(sparse, first))
        count++;
    return count;
}

/* How many allocations may be added to `slot` before the next commit. */
static unsigned room_for_allocs(const struct sparse *sparse, const struct sparse_slot *slot)
{
    if (!slot->pins && sparse->slot_count < sparse->tables &&
        sparse->pinned >= sparse->slot_count / 2)
        return 0;
    return sparse->allocs_max - sparse->open_count - sparse->closing_count;
}

/* A child's new grains begin as what they replace, all of them, and before anything leads there: a
 * write that a crash cuts off leaves old or new sectors. */
static int inherit(struct disk *disk, struct extent *extent, uint64_t first_grain, unsigned count)
{
    struct sparse *sparse = extent->impl;
    uint64_t offset = first_grain * sparse->grain;

    return chain_copy_up(disk, extent->start + offset,
                         MIN(count * sparse->grain, extent->length - offset), extent->file,
                         sparse->next_grain * DISK_SECTOR);
}

/* Makes up to `count` grains at the end of the file for the holes from `entry` on. */
static int allocate(struct disk *disk, struct extent *extent, struct sparse_slot *slot,
                    unsigned entry, bool inherited, unsigned *inout_count)
{
    struct sparse *sparse = extent->impl;
    unsigned count = MIN(*inout_count, room_for_allocs(sparse, slot));
    uint64_t sectors = count * sparse->header.grain;
    int64_t rc;

    if (!count)
        return -EAGAIN;
    if (sparse->next_grain + sectors > UINT32_MAX)
        return -EFBIG; /* entries have 32 bits */
    rc = aio_do(disk->aio, &(struct aio_req){.op = AIO_EXTEND,
                                             .file = extent->file->kind,
                                             .fd = extent->file->fd,
                                             .offset = sparse->next_grain * DISK_SECTOR,
                                             .length = sectors * DISK_SECTOR});
    if (rc < 0)
        return (int)rc;
    extent->file->dirty = true;
    rc = inherited ? inherit(disk, extent, (uint64_t)slot->table * KDMV_GTES + entry, count) : 0;
    if (rc < 0) {
        sparse->next_grain += sectors; /* no zeros any more: nobody's */
        return (int)rc;
    }
    for (unsigned i = 0; i < count; i++) {
        sparse->open[sparse->open_count++] =
            (struct sparse_alloc){slot->table, entry + i, slot->entries[entry + i]};
        slot->entries[entry + i] = (uint32_t)sparse->next_grain;
        sparse->next_grain += sparse->header.grain;
        pin(sparse, slot);
    }
    extent->file->size = sparse->next_grain * DISK_SECTOR;
    *inout_count = count;
    return 0;
}

/* Whether all of these grains, which follow one another, are within the file. */
static bool row_valid(const struct extent *extent, const struct sparse_slot *slot, unsigned entry,
                      unsigned count)
{
    const struct sparse *sparse = extent->impl;

    return sparse_grain_valid(sparse, slot->entries[entry], extent->file->size) &&
           sparse_grain_valid(sparse, slot->entries[entry + count - 1], extent->file->size);
}

static int map_grains(struct extent *extent, struct sparse_slot *slot, unsigned entry,
                      unsigned count, struct run *ret_run)
{
    if (!row_valid(extent, slot, entry, count) &&
        !(file_has_grown(extent->file) && row_valid(extent, slot, entry, count)))
        return -EUCLEAN;
    ret_run->kind = RUN_FILE;
    ret_run->file = extent->file;
    ret_run->offset = (uint64_t)slot->entries[entry] * DISK_SECTOR;
    return 0;
}

static int sparse_map(struct disk *disk, struct extent *extent, uint64_t offset, uint64_t length,
                      enum map_mode mode, struct run *ret_run)
{
    struct sparse *sparse = extent->impl;
    uint64_t grain = offset / sparse->grain, within = offset % sparse->grain;
    unsigned entry = grain % KDMV_GTES, count;
    unsigned wanted = (unsigned)MIN((within + length + sparse->grain - 1) / sparse->grain,
                                    (uint64_t)(KDMV_GTES - entry));
    struct sparse_slot *slot;
    bool inherited;
    int rc = find_table(disk, extent, (uint32_t)(grain / KDMV_GTES), &slot);

    if (rc)
        return rc;
    count = slot ? holes_in_row(sparse, slot, entry, wanted) : wanted;
    inherited = count && disk->parent && !(slot && slot->entries[entry]);
    if (count && mode != MAP_WRITE) {
        ret_run->kind = inherited ? RUN_PARENT : RUN_ZERO;
    } else {
        if (!slot)
            return -EUCLEAN; /* sparse_open refuses writers of such images */
        if (count)
            rc = allocate(disk, extent, slot, entry, inherited, &count);
        else
            count = grains_in_row(sparse, slot, entry, wanted);
        rc = rc ? rc : map_grains(extent, slot, entry, count, ret_run);
        ret_run->offset += within;
    }
    ret_run->length = MIN(length, count * sparse->grain - within);
    return rc;
}

/* -- Committing tables ---------------------------------------------------------------------------
 */

static bool sparse_commit_begin(struct extent *extent)
{
    struct sparse *sparse = extent->impl;
    struct sparse_alloc *empty = sparse->closing;

    if (!sparse->open_count)
        return false;
    sparse->closing = sparse->open;
    sparse->closing_count = sparse->open_count;
    sparse->open = empty;
    sparse->open_count = 0;
    sparse->commit_at = 0;
    sparse->commit++;
    sparse->commit_primary = !sparse->rgd;
    return true;
}

/* The table as the file may have it now: without what came after the commit began. */
static void frozen_table(struct sparse *sparse, uint32_t table)
{
    const uint32_t *entries = sparse->slots[sparse->slot_of[table]].entries;

    for (unsigned i = 0; i < KDMV_GTES; i++)
        le32_store(sparse->commit_bytes + 4 * (size_t)i, entries[i]);
    for (unsigned i = 0; i < sparse->open_count; i++)
        if (sparse->open[i].table == table)
            le32_store(sparse->commit_bytes + 4 * (size_t)sparse->open[i].entry,
                       sparse->open[i].old);
}

/* The next table that this commit has not written yet; NULL when all are. */
static struct sparse_slot *next_table(struct sparse *sparse)
{
    for (; sparse->commit_at < sparse->closing_count; sparse->commit_at++) {
        uint32_t table = sparse->closing[sparse->commit_at].table;
        struct sparse_slot *slot = &sparse->slots[sparse->slot_of[table]];

        if (slot->commit != sparse->commit)
            return slot;
    }
    return NULL;
}

/* The second copy first, then the one that is read. */
static bool sparse_commit_next(struct extent *extent, struct aio_req *req)
{
    struct sparse *sparse = extent->impl;
    struct sparse_slot *slot = next_table(sparse);
    const uint32_t *directory = sparse->commit_primary ? sparse->gd : sparse->rgd;

    if (!slot)
        return false;
    frozen_table(sparse, slot->table);
    sparse->commit_iov = (struct iovec){sparse->commit_bytes, SPARSE_TABLE_SIZE};
    req->op = AIO_WRITE;
    req->iov = &sparse->commit_iov;
    req->niov = 1;
    req->length = SPARSE_TABLE_SIZE;
    req->offset = (uint64_t)directory[slot->table] * DISK_SECTOR;
    if (sparse->commit_primary)
        slot->commit = sparse->commit;
    sparse->commit_primary = !sparse->commit_primary || !sparse->rgd;
    return true;
}

static void sparse_commit_end(struct extent *extent, int result)
{
    struct sparse *sparse = extent->impl;

    for (unsigned i = 0; i < sparse->closing_count; i++) {
        if (result)
            sparse->open[sparse->open_count++] = sparse->closing[i];
        else
            unpin(sparse, sparse->closing[i].table);
    }
    sparse->closing_count = 0;
}

/* -- The mark of a writer ------------------------------------------------------------------------
 */

static int mark(struct disk *disk, struct extent *extent, bool unclean)
{
    struct sparse *sparse = extent->impl;
    uint8_t bytes[KDMV_HEADER_SIZE];
    int rc = file_read(disk, extent->file, bytes, sizeof bytes, 0);

    if (rc)
        return rc;
    bytes[72] = unclean;
    rc = file_write(disk, extent->file, bytes, sizeof bytes, 0);
    rc = rc ? rc : file_sync(disk, extent->file);
    if (!rc)
        sparse->header.unclean = unclean;
    return rc;
}

static int sparse_write_begin(struct disk *disk, struct extent *extent)
{
    return mark(disk, extent, true);
}

static int sparse_write_end(struct disk *disk, struct extent *extent)
{
    return mark(disk, extent, false);
}

/* -- Opening -------------------------------------------------------------------------------------
 */

static void sparse_destroy(struct extent *extent)
{
    struct sparse *sparse = extent->impl;

    if (!sparse)
        return;
    free(sparse->gd);
    free(sparse->rgd);
    free(sparse->slot_of);
    free(sparse->slots);
    free(sparse->block);
    free(sparse->open);
    free(sparse->closing);
    free(sparse);
    extent->impl = NULL;
}

/* Entry 0 (no table) is for readers only. */
static int load_directory(struct disk *disk, struct extent *extent, uint64_t offset,
                          uint32_t **ret_directory, struct err *err)
{
    struct sparse *sparse = extent->impl;
    uint32_t *directory = malloc(sparse->tables * sizeof *directory);
    uint64_t end = extent->file->size / DISK_SECTOR;
    int rc;

    *ret_directory = directory;
    if (!directory)
        return err_sys(err, -ENOMEM, "grain directory");
    rc = file_read(disk, extent->file, directory, sparse->tables * sizeof *directory,
                   offset * DISK_SECTOR);
    if (rc)
        return err_sys(err, rc, "cannot read its grain directory");
    for (uint32_t i = 0; i < sparse->tables; i++) {
        uint32_t sector = directory[i] = le32_load(&directory[i]);

        if (sector && !range_within(sector, SPARSE_TABLE_SECTORS, end))
            return err_set(err, -EUCLEAN, "grain table %u is past the end of the file", i);
    }
    return 0;
}

static int by_sector(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* A writer needs every table, each for itself, all of them in front of the data. */
int sparse_check_layout(const struct sparse *sparse, struct err *err)
{
    const struct kdmv_header *header = &sparse->header;
    uint64_t overhead = header->overhead;
    uint32_t count = sparse->tables * (sparse->rgd ? 2 : 1);
    cleanup_free uint32_t *all = malloc(count * sizeof *all);

    if (!all)
        return err_sys(err, -ENOMEM, "grain directory");
    memcpy(all, sparse->gd, sparse->tables * sizeof *all);
    if (sparse->rgd)
        memcpy(all + sparse->tables, sparse->rgd, sparse->tables * sizeof *all);
    qsort(all, count, sizeof *all, by_sector);
    if (!all[0])
        return err_set(err, -EUCLEAN, "a grain table is missing; it can be read and converted");
    for (uint32_t i = 1; i < count; i++)
        if (all[i] - all[i - 1] < SPARSE_TABLE_SECTORS)
            return err_set(err, -EUCLEAN, "two grain tables share sector %u", all[i]);
    if ((uint64_t)all[count - 1] + SPARSE_TABLE_SECTORS > overhead ||
        header->desc_offset + header->desc_size > overhead)
        return err_set(err, -EUCLEAN,
                       "a grain table is behind the first %llu sectors, where "
                       "only data should be",
                       (unsigned long long)overhead);
    return 0;
}

static int make_cache(struct sparse *sparse, unsigned extents)
{
    sparse->slot_count = MIN(sparse->tables, MAX(SPARSE_CACHE_MAX / extents, (unsigned)SLOTS_MIN));
    sparse->allocs_max = MAX(SPARSE_ALLOCS_MAX / extents, (unsigned)ALLOCS_MIN);
    sparse->slot_of = malloc(sparse->tables * sizeof *sparse->slot_of);
    sparse->slots = calloc(sparse->slot_count, sizeof *sparse->slots);
    sparse->block = malloc((size_t)sparse->slot_count * SPARSE_TABLE_SIZE);
    sparse->open = calloc(sparse->allocs_max, sizeof *sparse->open);
    sparse->closing = calloc(sparse->allocs_max, sizeof *sparse->closing);
    if (!sparse->slot_of || !sparse->slots || !sparse->block || !sparse->open || !sparse->closing)
        return -ENOMEM;
    memset(sparse->slot_of, 0xff, sparse->tables * sizeof *sparse->slot_of);
    for (unsigned i = 0; i < sparse->slot_count; i++) {
        sparse->slots[i].table = UINT32_MAX;
        sparse->slots[i].entries = sparse->block + (size_t)i * KDMV_GTES;
    }
    return 0;
}

static int load(struct disk *disk, struct extent *extent, struct err *err)
{
    struct sparse *sparse = extent->impl;
    const struct kdmv_header *header = &sparse->header;
    int rc = load_directory(disk, extent, header->gd_offset, &sparse->gd, err);

    if (!rc && (header->flags & KDMV_REDUNDANT))
        rc = load_directory(disk, extent, header->rgd_offset, &sparse->rgd, err);
    if (!rc && !(disk->flags & DISK_READONLY))
        rc = sparse_check_layout(sparse, err);
    if (rc)
        return rc;
    rc = make_cache(sparse, disk->extent_count);
    return rc ? err_sys(err, rc, "grain tables") : 0;
}

int sparse_open(struct disk *disk, struct extent *extent, const struct kdmv_header *header,
                struct err *err)
{
    struct sparse *sparse = calloc(1, sizeof *sparse);
    uint64_t end = (extent->file->size + DISK_SECTOR - 1) / DISK_SECTOR;
    int rc;

    if (!sparse)
        return err_sys(err, -ENOMEM, "sparse extent");
    extent->ops = &extent_sparse_ops;
    extent->impl = sparse;
    sparse->header = *header;
    sparse->grain = header->grain * DISK_SECTOR;
    sparse->tables = (uint32_t)kdmv_tables(header);
    sparse->data_start = MAX(header->overhead, UINT64_C(1));
    sparse->next_grain = align_up(MAX(end, sparse->data_start), header->grain);
    disk->table_count += sparse->tables;
    if (disk->table_count > SPARSE_TABLES_MAX)
        return err_set(err, -EFBIG, "more than %d grain tables", SPARSE_TABLES_MAX);
    rc = load(disk, extent, err);
    if (!rc && header->unclean && !(disk->flags & DISK_READONLY))
        rc = sparse_recover(disk, extent, err);
    return rc;
}

const struct extent_ops extent_sparse_ops = {
    .map = sparse_map,
    .commit_begin = sparse_commit_begin,
    .commit_next = sparse_commit_next,
    .commit_end = sparse_commit_end,
    .write_begin = sparse_write_begin,
    .write_end = sparse_write_end,
    .check = sparse_check,
    .destroy = sparse_destroy,
};
