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

/* Where grains are, to find two that overlap: sorted, for one window of the file at a time, which
 * is as large as it can have grains side by side. */
enum { WINDOW_GRAINS = 8 << 20 };

struct window {
    uint64_t start, end; /* sectors */
    uint32_t *grains;
    size_t count, room;
    bool full; /* more than fit side by side */
};

static void window_add(struct window *window, uint32_t sector)
{
    if (sector < window->start || sector >= window->end)
        return;
    if (window->count < window->room)
        window->grains[window->count++] = sector;
    else
        window->full = true;
}

static int by_sector(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* `last` is the last grain of the window before, or 0. */
static void check_overlaps(const struct sparse *sparse, struct window *window, uint32_t *inout_last,
                           struct disk_check *check)
{
    qsort(window->grains, window->count, sizeof *window->grains, by_sector);
    for (size_t i = 0; i < window->count; i++) {
        uint32_t sector = window->grains[i];

        if (*inout_last && sector - *inout_last < sparse->header.grain)
            check_problem(check, "two grains share data at sector %u", sector);
        *inout_last = sector;
    }
    if (window->full)
        check_problem(check, "more grains than the file has room for: some share their data");
}

static void check_entry(struct sparse *sparse, uint64_t file_size, uint64_t grain, uint32_t entry,
                        struct disk_check *check)
{
    uint64_t grains = (sparse->header.capacity + sparse->header.grain - 1) / sparse->header.grain;

    check->used++;
    if (grain >= grains)
        check_problem(check, "grain %" PRIu64 " is past the end of the disk", grain);
    else if (entry < sparse->data_start)
        check_problem(check, "grain %" PRIu64 " points into the header or the tables (sector %u)",
                      grain, entry);
    else if (!sparse_grain_valid(sparse, entry, file_size))
        check_problem(check, "grain %" PRIu64 " is past the end of the file (sector %u)", grain,
                      entry);
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

/* One pass over all tables. The first judges each entry, every one collects its window. */
static int pass(struct disk *disk, struct extent *extent, struct window *window,
                struct disk_check *check)
{
    struct sparse *sparse = extent->impl;
    struct table_pair pair;

    for (uint32_t table = 0; table < sparse->tables; table++) {
        int rc = read_pair(disk, extent, table, &pair);

        if (rc)
            return rc;
        if (sparse->rgd && !window->start)
            check_copies(sparse, &pair, table, check);
        for (unsigned i = 0; i < KDMV_GTES; i++) {
            /* what recovery would choose */
            uint32_t entry = sparse->rgd && !sparse_is_grain(sparse, pair.primary[i])
                                 ? pair.redundant[i]
                                 : pair.primary[i];

            if (!sparse_is_grain(sparse, entry))
                continue;
            if (!window->start)
                check_entry(sparse, extent->file->size, (uint64_t)table * KDMV_GTES + i, entry,
                            check);
            window_add(window, entry);
        }
    }
    return 0;
}

static int check_tables(struct disk *disk, struct extent *extent, struct disk_check *check)
{
    struct sparse *sparse = extent->impl;
    uint64_t sectors = MIN(extent->file->size / DISK_SECTOR, (uint64_t)UINT32_MAX + 1);
    uint64_t step = WINDOW_GRAINS * sparse->header.grain;
    struct window window = {.room = (size_t)(MIN(sectors, step) / sparse->header.grain + 1)};
    cleanup_free uint32_t *grains = malloc(window.room * sizeof *grains);
    uint32_t last = 0;
    int rc = grains ? 0 : -ENOMEM;

    window.grains = grains;
    do {
        window.end = window.start + step;
        window.count = 0;
        window.full = false;
        rc = rc ? rc : pass(disk, extent, &window, check);
        if (!rc)
            check_overlaps(sparse, &window, &last, check);
        window.start += step;
    } while (!rc && window.start < sectors);
    return rc;
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
    uint64_t before = check->used;
    int rc;

    if (sparse_check_layout(sparse, NULL))
        check_problem(check, "the grain tables overlap, are missing or are among the data");
    rc = check_tables(disk, extent, check);
    check->leaks += count_leaks(sparse, extent->file->size, check->used - before);
    return rc ? err_sys(err, rc, "cannot read the grain tables") : 0;
}
