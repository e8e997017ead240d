/* SPDX-License-Identifier: Apache-2.0 */
/* Reads all tables of a sparse extent: to check them, and to bring the two copies together when the
 * last writer did not close the disk. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/range.h"
#include "disk/sparse.h"

/* Both copies of one table, host order. */
struct table_pair {
    uint32_t primary[KDMV_GTES], redundant[KDMV_GTES];
};

static int read_table(struct disk *disk, struct extent *extent, uint32_t sector, uint32_t *entries)
{
    int rc;

    memset(entries, 0, SPARSE_TABLE_SIZE);
    if (!sector)
        return 0;
    rc = file_read(disk, extent->file, entries, SPARSE_TABLE_SIZE, (uint64_t)sector * DISK_SECTOR);
    for (unsigned i = 0; i < KDMV_GTES; i++)
        entries[i] = le32_load(&entries[i]);
    return rc;
}

static int read_pair(struct disk *disk, struct extent *extent, uint32_t table,
                     struct table_pair *pair)
{
    struct sparse *sparse = extent->impl;
    int rc = read_table(disk, extent, sparse->gd[table], pair->primary);

    if (!rc && sparse->rgd)
        rc = read_table(disk, extent, sparse->rgd[table], pair->redundant);
    return rc;
}

/* -- Recovery ------------------------------------------------------------------------------------
 */

/* Entries only ever go from nothing to a grain, so the copy that has the grain is the newer one. */
static int merge(const struct sparse *sparse, struct table_pair *pair, bool *ret_changed)
{
    *ret_changed = false;
    for (unsigned i = 0; i < KDMV_GTES; i++) {
        uint32_t *a = &pair->primary[i], *b = &pair->redundant[i];

        if (*a == *b)
            continue;
        if (sparse_is_grain(sparse, *a) && sparse_is_grain(sparse, *b))
            return -EUCLEAN;
        *a = *b = sparse_is_grain(sparse, *a) ? *a : *b;
        *ret_changed = true;
    }
    return 0;
}

static int write_pair(struct disk *disk, struct extent *extent, uint32_t table,
                      struct table_pair *pair)
{
    struct sparse *sparse = extent->impl;
    int rc;

    for (unsigned i = 0; i < KDMV_GTES; i++)
        le32_store(&pair->primary[i], pair->primary[i]);
    rc = file_write(disk, extent->file, pair->primary, SPARSE_TABLE_SIZE,
                    (uint64_t)sparse->rgd[table] * DISK_SECTOR);
    return rc ? rc
              : file_write(disk, extent->file, pair->primary, SPARSE_TABLE_SIZE,
                           (uint64_t)sparse->gd[table] * DISK_SECTOR);
}

int sparse_recover(struct disk *disk, struct extent *extent, struct err *err)
{
    struct sparse *sparse = extent->impl;
    struct table_pair pair;
    bool changed;
    int rc = 0;

    if (!sparse->rgd)
        return 0;
    for (uint32_t table = 0; table < sparse->tables && !rc; table++) {
        rc = read_pair(disk, extent, table, &pair);
        if (rc)
            break;
        if (merge(sparse, &pair, &changed))
            return err_set(err, -EUCLEAN, "the two copies of grain table %u name different grains",
                           table);
        if (changed)
            rc = write_pair(disk, extent, table, &pair);
    }
    rc = rc ? rc : file_sync(disk, extent->file);
    return rc ? err_sys(err, rc, "cannot repair its tables after a crash") : 0;
}

/* -- Check ---------------------------------------------------------------------------------------
 */

/* Which parts of the file grains take, in units of 8 sectors counted from the first grain's place
 * in its unit: entries have 32 bits, so at most 64 MiB. */
struct usage {
    uint8_t *bits;
    uint64_t units;
    uint32_t residue;
    bool residue_known;
};
enum { UNIT = KDMV_GRAIN_MIN };

/* Marks a grain; false when some of it was taken. */
static bool take(struct usage *usage, uint64_t sector, uint64_t sectors)
{
    uint64_t first = sector / UNIT, count = sectors / UNIT;
    bool free_before = true;

    for (uint64_t unit = first; unit < first + count && unit < usage->units; unit++) {
        uint8_t bit = (uint8_t)(1u << (unit % 8));
        free_before &= !(usage->bits[unit / 8] & bit);
        usage->bits[unit / 8] |= bit;
    }
    return free_before;
}

static void check_entry(struct sparse *sparse, struct usage *usage, uint64_t file_size,
                        uint32_t table, unsigned i, uint32_t entry, struct disk_check *check)
{
    uint64_t grain = (uint64_t)table * KDMV_GTES + i;

    if (!sparse_is_grain(sparse, entry))
        return;
    if (!usage->residue_known) {
        usage->residue = entry % UNIT;
        usage->residue_known = true;
    }
    if (grain >= (sparse->header.capacity + sparse->header.grain - 1) / sparse->header.grain)
        check_problem(check, "grain %" PRIu64 " is past the end of the disk", grain);
    else if (entry < sparse->data_start)
        check_problem(check, "grain %" PRIu64 " points into the header or the tables (sector %u)",
                      grain, entry);
    else if (!sparse_grain_valid(sparse, entry, file_size))
        check_problem(check, "grain %" PRIu64 " is past the end of the file (sector %u)", grain,
                      entry);
    else if (entry % UNIT != usage->residue)
        check_problem(check, "grain %" PRIu64 " is not in line with the others (sector %u)", grain,
                      entry);
    else if (!take(usage, entry - usage->residue, sparse->header.grain))
        check_problem(check, "grain %" PRIu64 " shares its data with another (sector %u)", grain,
                      entry);
    else
        check->used++;
}

/* While a writer is at it (or died), one copy may be behind the other. */
static void check_copies(const struct sparse *sparse, const struct table_pair *pair, uint32_t table,
                         struct disk_check *check)
{
    for (unsigned i = 0; i < KDMV_GTES; i++) {
        uint32_t a = pair->primary[i], b = pair->redundant[i];
        bool behind = !sparse_is_grain(sparse, a) || !sparse_is_grain(sparse, b);

        if (a != b && !(behind && sparse->header.unclean))
            check_problem(check, "the two tables differ about grain %" PRIu64 " (sectors %u, %u)",
                          (uint64_t)table * KDMV_GTES + i, a, b);
    }
}

static int check_tables(struct disk *disk, struct extent *extent, struct usage *usage,
                        struct disk_check *check)
{
    struct sparse *sparse = extent->impl;
    struct table_pair pair;

    for (uint32_t table = 0; table < sparse->tables; table++) {
        int rc = read_pair(disk, extent, table, &pair);

        if (rc)
            return rc;
        if (sparse->rgd)
            check_copies(sparse, &pair, table, check);
        for (unsigned i = 0; i < KDMV_GTES; i++)
            check_entry(sparse, usage, extent->file->size, table, i,
                        /* what recovery would choose */
                        sparse->rgd && !sparse_is_grain(sparse, pair.primary[i]) ? pair.redundant[i]
                                                                                 : pair.primary[i],
                        check);
    }
    return 0;
}

static uint64_t count_leaks(const struct sparse *sparse, uint64_t file_size, uint64_t used)
{
    uint64_t end = file_size / DISK_SECTOR;
    uint64_t all = end > sparse->data_start ? (end - sparse->data_start) / sparse->header.grain : 0;

    return all > used ? all - used : 0;
}

int sparse_check(struct disk *disk, struct extent *extent, struct disk_check *check,
                 struct err *err)
{
    struct sparse *sparse = extent->impl;
    uint64_t before = check->used,
             sectors = MIN(extent->file->size / DISK_SECTOR, (uint64_t)UINT32_MAX + KDMV_GRAIN_MAX);
    struct usage usage = {.units = sectors / UNIT + 1};
    cleanup_free uint8_t *bits = calloc(usage.units / 8 + 1, 1);
    int rc;

    if (!bits)
        return err_sys(err, -ENOMEM, "check");
    usage.bits = bits;
    if (sparse_check_layout(sparse, NULL))
        check_problem(check, "the grain tables overlap, are missing or are among the data");
    rc = check_tables(disk, extent, &usage, check);
    check->leaks += count_leaks(sparse, extent->file->size, check->used - before);
    return rc ? err_sys(err, rc, "cannot read the grain tables") : 0;
}
