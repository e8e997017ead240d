/* SPDX-License-Identifier: Apache-2.0 */
/* An image taken in as its bytes come, without a file of its own: the markers of a stream-optimized
 * VMDK say where each grain belongs. Specification: "Virtual Disk Format 5.0", "Stream-optimized
 * compressed sparse extents". The tables in it are passed over: who reads front to back needs none.
 * Hostile bytes: lengths are checked before they are waited for, memory is two grains. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/range.h"
#include "disk/vmdk.h"

enum {
    GRAIN_MARKER = 12,
    RAW_CHUNK = 1 << 20,
    BLOCK = 65536,
    METADATA_MAX = 1 << 16, /* sectors: a directory of 2^20 tables has 2^13 */
};
enum { MARKER_END = 0, MARKER_TABLE = 1, MARKER_DIRECTORY = 2, MARKER_FOOTER = 3 };

struct disk_intake {
    struct disk *target;
    bool raw;
    enum { AT_HEADER, AT_MARKER, AT_TYPE, AT_GRAIN, AT_RAW, AT_END } state;
    uint64_t skip;     /* bytes to pass over before anything else */
    size_t have, want; /* collected of what this state needs */
    uint8_t *bytes;    /* room bytes */
    size_t room;
    uint8_t *grain; /* unpacked */
    uint64_t grain_size, capacity;
    uint64_t sectors; /* of the marker at hand: a place, or a length */
    uint64_t at, populated;
};

int disk_intake_create(struct disk *target, bool raw, struct disk_intake **ret_intake)
{
    struct disk_intake *intake = calloc(1, sizeof *intake);

    if (!intake)
        return -ENOMEM;
    intake->target = target;
    intake->raw = raw;
    intake->state = raw ? AT_RAW : AT_HEADER;
    intake->room = raw ? RAW_CHUNK : KDMV_HEADER_SIZE;
    intake->want = raw ? MIN(target->size, (uint64_t)RAW_CHUNK) : KDMV_HEADER_SIZE;
    intake->bytes = malloc(intake->room);
    if (!intake->bytes) {
        free(intake);
        return -ENOMEM;
    }
    *ret_intake = intake;
    return 0;
}

void disk_intake_destroy(struct disk_intake *intake)
{
    if (!intake)
        return;
    free(intake->bytes);
    free(intake->grain);
    free(intake);
}

uint64_t disk_intake_at(const struct disk_intake *intake)
{
    return intake->at;
}

/* -- What is in it -------------------------------------------------------------------------------
 */

static bool all_zero(const uint8_t *bytes, size_t len)
{
    return !bytes[0] && !memcmp(bytes, bytes + 1, len - 1);
}

/* The target holds zeros: what is zero stays a hole. */
static int put(struct disk_intake *intake, const uint8_t *bytes, uint64_t len, uint64_t offset,
               struct err *err)
{
    int rc = 0;

    for (uint64_t at = 0, n; at < len && !rc; at += n) {
        n = MIN(len - at, (uint64_t)BLOCK);
        if (all_zero(bytes + at, n))
            continue;
        rc = disk_pwrite(intake->target, bytes + at, n, offset + at);
        intake->populated += n;
    }
    intake->at = MAX(intake->at, offset + len);
    return rc ? err_sys(err, rc, "cannot write, at %llu", (unsigned long long)offset) : 0;
}

static void expect_marker(struct disk_intake *intake)
{
    intake->state = AT_MARKER;
    intake->have = 0;
    intake->want = GRAIN_MARKER;
}

static int take_header(struct disk_intake *intake, struct err *err)
{
    struct kdmv_header header;
    uint64_t front;

    if (kdmv_load(&header, intake->bytes, NULL))
        return err_set(err, -EUCLEAN, "the image is no VMDK, or was damaged on its way");
    if (!(header.flags & KDMV_COMPRESSED) || !(header.flags & KDMV_MARKERS) ||
        header.compression != 1)
        return err_set(err, -ENOTSUP, "the image is no stream-optimized VMDK");
    if (!is_power_of_two(header.grain) || header.grain < KDMV_GRAIN_MIN ||
        header.grain > KDMV_GRAIN_MAX || header.desc_size > VMDK_DESC_MAX / DISK_SECTOR ||
        header.desc_offset > KDMV_GRAIN_MAX || header.overhead > METADATA_MAX)
        return err_set(err, -EUCLEAN, "the image's header is damaged");
    if (header.capacity > intake->target->size / DISK_SECTOR)
        return err_set(err, -EFBIG, "the image is of a disk of %llu bytes, which has only %llu",
                       (unsigned long long)(header.capacity * DISK_SECTOR),
                       (unsigned long long)intake->target->size);
    intake->capacity = header.capacity * DISK_SECTOR;
    intake->grain_size = header.grain * DISK_SECTOR;
    intake->room = compressBound(intake->grain_size) + DISK_SECTOR;
    free(intake->bytes);
    intake->bytes = malloc(intake->room);
    intake->grain = malloc(intake->grain_size);
    if (!intake->bytes || !intake->grain)
        return err_sys(err, -ENOMEM, "image");
    front = MAX(header.overhead, MAX(header.desc_offset + header.desc_size, (uint64_t)1));
    intake->skip = (front - 1) * DISK_SECTOR;
    expect_marker(intake);
    return 0;
}

static int take_marker(struct disk_intake *intake, struct err *err)
{
    uint32_t size = le32_load(intake->bytes + 8);

    intake->sectors = le64_load(intake->bytes);
    if (!size) { /* metadata: a whole sector */
        intake->state = AT_TYPE;
        intake->want = DISK_SECTOR;
        return 0;
    }
    if (size > intake->room || intake->sectors >= intake->capacity / DISK_SECTOR ||
        intake->sectors % (intake->grain_size / DISK_SECTOR))
        return err_set(err, -EUCLEAN, "the image is damaged: a grain of %u bytes for sector %llu",
                       size, (unsigned long long)intake->sectors);
    intake->state = AT_GRAIN;
    intake->have = 0;
    intake->want = size;
    return 0;
}

static int take_type(struct disk_intake *intake, struct err *err)
{
    uint32_t type = le32_load(intake->bytes + GRAIN_MARKER);

    if (type > MARKER_FOOTER || intake->sectors > METADATA_MAX)
        return err_set(err, -EUCLEAN, "the image is damaged: a marker of type %u", type);
    expect_marker(intake);
    intake->skip = intake->sectors * DISK_SECTOR;
    if (type == MARKER_END)
        intake->state = AT_END;
    return 0;
}

static int take_grain(struct disk_intake *intake, struct err *err)
{
    uint64_t offset = intake->sectors * DISK_SECTOR;
    uint64_t length = MIN(intake->grain_size, intake->capacity - offset);
    uLongf got = intake->grain_size;

    if (uncompress(intake->grain, &got, intake->bytes, intake->want) != Z_OK || got < length)
        return err_set(err, -EUCLEAN, "the image is damaged: the grain for sector %llu",
                       (unsigned long long)intake->sectors);
    intake->skip =
        align_up(GRAIN_MARKER + intake->want, DISK_SECTOR) - (GRAIN_MARKER + intake->want);
    expect_marker(intake);
    return put(intake, intake->grain, length, offset, err);
}

static int take_raw(struct disk_intake *intake, struct err *err)
{
    int rc = put(intake, intake->bytes, intake->have, intake->at, err);

    intake->have = 0;
    intake->want = MIN(intake->target->size - intake->at, (uint64_t)RAW_CHUNK);
    if (!intake->want)
        intake->state = AT_END;
    return rc;
}

static int take(struct disk_intake *intake, struct err *err)
{
    switch (intake->state) {
    case AT_HEADER:
        return take_header(intake, err);
    case AT_MARKER:
        return take_marker(intake, err);
    case AT_TYPE:
        return take_type(intake, err);
    case AT_GRAIN:
        return take_grain(intake, err);
    case AT_RAW:
        return take_raw(intake, err);
    default:
        return 0;
    }
}

int disk_intake_put(struct disk_intake *intake, const void *data, size_t len, struct err *err)
{
    const uint8_t *at = data, *end = at + len;
    int rc = 0;

    while (at < end && !rc && intake->state != AT_END) {
        if (intake->skip) {
            size_t n = MIN((uint64_t)(end - at), intake->skip);
            intake->skip -= n;
            at += n;
            continue;
        }
        size_t n = MIN((size_t)(end - at), intake->want - intake->have);
        memcpy(intake->bytes + intake->have, at, n);
        intake->have += n;
        at += n;
        if (intake->have == intake->want)
            rc = take(intake, err);
    }
    /* Behind the end of a VMDK some tools have blanks; a disk's own bytes have no end but its size.
     */
    if (!rc && at < end && intake->raw)
        rc = err_set(err, -EFBIG, "the image is larger than the disk");
    return rc;
}

int disk_intake_end(struct disk_intake *intake, uint64_t *ret_populated, struct err *err)
{
    int rc;

    if (intake->state != AT_END)
        return err_set(err, -EUCLEAN, "the image ends before its end");
    rc = disk_flush(intake->target);
    if (rc)
        return err_sys(err, rc, "cannot flush the disk");
    *ret_populated = intake->populated;
    return 0;
}
