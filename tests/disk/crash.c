/* SPDX-License-Identifier: Apache-2.0 */
/* Crash replay: a workload is recorded, power cuts are made from the record (tape.h), and in every
 * state the disk must open, pass our check before and after its recovery, pass an independent
 * checker (vmdk_check.py), and hold in every sector what was last flushed there or something
 * written later.
 *
 *     test-disk-crash [STATES]      CRASH_SEED changes the course */
#include <errno.h>

#include "base/bytes.h"
#include "base/range.h"
#include "tests/disk/tape.h"

enum {
    DEPTH = 6,
    AREAS = 5,
    AREA_SECTORS = 12 * 1024,
    ROUNDS = 40,
    STAMPS_MAX = 4096,
    COUNT_MAX = 140
};

/* One write, discard or zeroing; times are positions in the record. */
struct stamp {
    uint64_t sector, count;
    bool zeroes;           /* leaves zeros */
    bool maybe;            /* a discard: leaves zeros or what was there */
    unsigned begun;        /* the record's length when it was submitted */
    unsigned order, acked; /* counters of the workload: submission and completion */
    unsigned durable;      /* the record's length when a flush that covers it had returned; or ~0 */
};

struct work {
    struct tape tape;
    struct disk *disk;
    struct aio *aio;
    uint64_t random;
    uint32_t first_id; /* what sectors have that nobody wrote: 0, or the parent's */
    struct stamp stamps[STAMPS_MAX];
    unsigned stamp_count, clock, pending, failures;
    unsigned flush_begun; /* clock */
};

struct request {
    struct disk_io io;
    struct iovec iov;
    uint8_t bytes[COUNT_MAX * DISK_SECTOR];
    struct work *work;
    unsigned stamp, flush_order;
};

static uint64_t draw(struct work *work)
{
    work->random ^= work->random << 13;
    work->random ^= work->random >> 7;
    work->random ^= work->random << 17;
    return work->random >> 9;
}

/* Areas lie across the borders of grain tables (32 MiB), so that several tables change at once. */
static uint64_t area_start(unsigned area)
{
    return (uint64_t)(area + 1) * MIB(32) / DISK_SECTOR - AREA_SECTORS / 2;
}

/* -- The workload --------------------------------------------------------------------------------
 */

static void on_done(struct disk_io *io, int result)
{
    struct request *request = io->ctx;
    struct work *work = request->work;

    work->pending--;
    work->clock++;
    work->failures += result != 0;
    if (io->op != DISK_FLUSH) {
        work->stamps[request->stamp].acked = work->clock;
        return;
    }
    for (unsigned i = 0; i < work->stamp_count; i++)
        if (work->stamps[i].acked < request->flush_order && work->stamps[i].durable == ~0u)
            work->stamps[i].durable = work->tape.count;
}

/* Every sector says which stamp wrote it and where it belongs. */
static void fill(struct request *request, unsigned id)
{
    for (uint64_t i = 0; i < request->io.length; i += DISK_SECTOR) {
        uint8_t *sector = request->bytes + i;

        memset(sector, (int)(id * 7 + 1), DISK_SECTOR);
        le32_store(sector, id + 1);
        le64_store(sector + 8, (request->io.offset + i) / DISK_SECTOR);
    }
}

static void submit(struct work *work, struct request *request, unsigned lane)
{
    static const enum disk_op ops[] = {DISK_WRITE, DISK_WRITE, DISK_WRITE,        DISK_WRITE,
                                       DISK_FLUSH, DISK_WRITE, DISK_WRITE_ZEROES, DISK_DISCARD};
    uint64_t count = draw(work) % 4 ? draw(work) % 8 + 1 : draw(work) % COUNT_MAX + 1;
    uint64_t lane_sectors = AREA_SECTORS / DEPTH;
    enum disk_op op = ops[draw(work) % ARRAY_SIZE(ops)];
    uint64_t sector = area_start((unsigned)(draw(work) % AREAS)) + lane * lane_sectors +
                      draw(work) % (lane_sectors - count);

    request->work = work;
    request->io = (struct disk_io){.op = op, .done = on_done, .ctx = request};
    if (op != DISK_FLUSH) {
        struct stamp *stamp = &work->stamps[request->stamp = work->stamp_count++];

        request->io.offset = sector * DISK_SECTOR;
        request->io.length = count * DISK_SECTOR;
        *stamp = (struct stamp){.sector = sector,
                                .count = count,
                                .zeroes = op == DISK_WRITE_ZEROES,
                                .maybe = op == DISK_DISCARD,
                                .begun = work->tape.count,
                                .order = work->clock,
                                .acked = ~0u,
                                .durable = ~0u};
        fill(request, request->stamp);
        request->iov = (struct iovec){request->bytes, request->io.length};
        request->io.iov = &request->iov;
        request->io.niov = op == DISK_WRITE;
    }
    request->flush_order = ++work->clock;
    work->pending++;
    disk_submit(work->disk, &request->io);
}

/* Flushes run beside writes; now and then the loop turns between submissions. */
static void work_on(struct work *work)
{
    static struct request requests[DEPTH];

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned lane = 0; lane < DEPTH; lane++) {
            submit(work, &requests[lane], lane);
            if (draw(work) % 2)
                (void)aio_run_once(work->aio, false);
        }
        while (work->pending)
            (void)aio_run_once(work->aio, true);
    }
}

/* -- The oracle ----------------------------------------------------------------------------------
 */

static bool covers(const struct stamp *stamp, uint64_t sector)
{
    return sector - stamp->sector < stamp->count;
}

/* Is `id` (0: zeros) allowed in `sector` after a cut before event `at`? Walks back from the newest
 * write that had begun to the newest that was durable. */
static bool allowed(const struct work *work, unsigned at, uint64_t sector, uint32_t id)
{
    for (unsigned i = work->stamp_count; i-- > 0;) {
        const struct stamp *stamp = &work->stamps[i];

        if (!covers(stamp, sector) || stamp->begun > at)
            continue;
        if (id == (stamp->zeroes || stamp->maybe ? 0 : i + 1))
            return true;
        if (stamp->durable < at && !stamp->maybe)
            return false;
    }
    return id == work->first_id;
}

static unsigned wrong_sectors(struct work *work, struct disk *disk, unsigned at)
{
    static uint8_t bytes[COUNT_MAX * DISK_SECTOR];
    unsigned wrong = 0;

    for (unsigned s = 0; s < work->stamp_count; s++) {
        uint64_t first = work->stamps[s].sector, count = work->stamps[s].count;

        if (disk_pread(disk, bytes, count * DISK_SECTOR, first * DISK_SECTOR))
            return wrong + 1;
        for (uint64_t i = 0; i < count; i++) {
            uint32_t id = le32_load(bytes + i * DISK_SECTOR);

            wrong += (id && le64_load(bytes + i * DISK_SECTOR + 8) != first + i) ||
                     !allowed(work, at, first + i, id);
        }
    }
    return wrong;
}

static void on_problem(void *ctx, const char *text)
{
    (void)printf("# state %u: %s\n", *(unsigned *)ctx, text);
}

/* Opens read-only, then for writing (which recovers), and once more. */
static unsigned examine(struct work *work, const struct disk_host *host, struct aio *aio,
                        const char *name, unsigned at)
{
    static const unsigned flags[] = {DISK_READONLY, 0, DISK_READONLY};
    unsigned bad = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
        struct disk_options options = {.flags = flags[i]};
        struct disk_check check = {.problem = on_problem, .ctx = &at};
        struct disk *disk = NULL;
        struct err err = ERR_INIT;

        if (disk_open(host, name, &options, aio, &disk, &err) || disk_check(disk, &check, &err)) {
            (void)printf("# state %u: %s\n", at, err.text);
            disk_close(disk);
            return 1;
        }
        bad += check.problems || wrong_sectors(work, disk, at);
        if (!flags[i] && i)
            bad += disk_op_sync(disk, DISK_WRITE_ZEROES, DISK_SECTOR, 0) != 0;
        disk_close(disk);
    }
    return bad;
}

/* -- The run -------------------------------------------------------------------------------------
 */

static unsigned states_wanted = 60;

/* The independent checker sees the states before anything of ours has touched them. */
static void check_outside(const char *list)
{
    const char *tests = getenv("SOCLE_TESTS");
    char command[512];

    if (!tests) {
        (void)printf("# SOCLE_TESTS not set: no independent check\n");
        return;
    }
    (void)snprintf(command, sizeof command, "python3 '%s/disk/vmdk_check.py' --quiet '%s'/*.vmdk",
                   tests, list);
    CHECK_EQ(system(command), 0);
}

/* A copy, holes and all; 1. */
static unsigned keep(const struct folder *from, const char *name, const struct folder *to,
                     unsigned i)
{
    static uint8_t bytes[KIB(64)];
    char copy[32];
    int in = openat(from->dir.fd, name, O_RDONLY | O_CLOEXEC), out;
    off_t size = lseek(in, 0, SEEK_END), at = 0;

    (void)snprintf(copy, sizeof copy, "%u.vmdk", i);
    out = openat(to->dir.fd, copy, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    folder_require(in >= 0 && out >= 0 && !ftruncate(out, size), copy);
    while ((at = lseek(in, at, SEEK_DATA)) >= 0) {
        ssize_t got = pread(in, bytes, sizeof bytes, at);

        folder_require(got > 0 && pwrite(out, bytes, (size_t)got, at) == got, copy);
        at += got;
    }
    (void)close(in);
    (void)close(out);
    return 1;
}

static void cut_all(struct work *work, const char *name, bool sparse)
{
    struct folder state, saved;
    struct aio *aio = NULL;
    unsigned bad = 0, kept = 0;

    folder_make(&state);
    folder_make(&saved);
    folder_require(!aio_create(AIO_PLAIN, &aio, NULL), "aio");
    for (unsigned i = 0; i < states_wanted; i++) {
        unsigned at = 1 + (unsigned)(draw(work) % work->tape.count);

        folder_empty(&state);
        tape_cut(&work->tape, at, &work->random, &state);
        if (sparse)
            kept += keep(&state, name, &saved, i);
        bad += examine(work, &state.dir.host, aio, name, at) != 0;
        if (sparse && (kept % 50 == 0 || i + 1 == states_wanted)) {
            check_outside(saved.path);
            folder_empty(&saved);
        }
    }
    CHECK_EQ(bad, 0);
    (void)printf("# %u states of %u events, %u writes: %u bad\n", states_wanted, work->tape.count,
                 work->stamp_count, bad);
    aio_destroy(aio);
    folder_remove(&state);
    folder_remove(&saved);
}

/* A parent whose areas are full of sectors that say so. */
enum { PARENT_ID = 0x7fffffff };

static void make_parent(struct work *work, const struct disk_host *host)
{
    struct disk_spec spec = {.format = DISK_VMDK_SPARSE, .size = MIB(224)};
    static uint8_t bytes[KIB(64)];
    struct disk *disk = NULL;

    CHECK_EQ(disk_create(host, "parent.vmdk", &spec, work->aio, NULL, NULL, NULL), 0);
    REQUIRE(!disk_open(host, "parent.vmdk", &(struct disk_options){0}, work->aio, &disk, NULL));
    for (unsigned area = 0; area < AREAS; area++)
        for (uint64_t i = 0; i < AREA_SECTORS; i += sizeof bytes / DISK_SECTOR) {
            uint64_t first = area_start(area) + i;
            for (uint64_t j = 0; j < sizeof bytes / DISK_SECTOR; j++) {
                le32_store(bytes + j * DISK_SECTOR, PARENT_ID);
                le64_store(bytes + j * DISK_SECTOR + 8, first + j);
            }
            CHECK_EQ(disk_pwrite(disk, bytes, sizeof bytes, first * DISK_SECTOR), 0);
        }
    disk_close(disk);
    work->first_id = PARENT_ID;
}

static void replay(enum disk_format_id format, bool child)
{
    struct disk_spec spec = {
        .format = format, .size = MIB(224), .parent = child ? "parent.vmdk" : NULL};
    const char *name = format == DISK_RAW ? "a.img" : "a.vmdk";
    const char *seed = getenv("CRASH_SEED");
    struct folder folder;
    struct err err = ERR_INIT;
    struct work *work = calloc(1, sizeof *work);

    folder_require(work && !aio_create(AIO_PLAIN, &work->aio, NULL), "aio");
    folder_make(&folder);
    work->random = 88172645463325252u + (seed ? strtoull(seed, NULL, 0) : 0);
    if (child)
        make_parent(work, &folder.dir.host);
    CHECK_EQ(disk_create(&folder.dir.host, name, &spec, work->aio, NULL, NULL, &err), 0);
    tape_init(&work->tape, &folder.dir.host, work->aio);
    if (CHECK_EQ(disk_open(&work->tape.host, name, &(struct disk_options){0}, work->aio,
                           &work->disk, &err),
                 0)) {
        work_on(work);
        disk_close(work->disk);
        CHECK_EQ(work->failures, 0);
        cut_all(work, name, format == DISK_VMDK_SPARSE);
    }
    tape_free(&work->tape);
    aio_destroy(work->aio);
    folder_remove(&folder);
    free(work);
}

static void sparse(void)
{
    replay(DISK_VMDK_SPARSE, false);
}

static void fewer(enum disk_format_id format, bool child)
{
    unsigned all = states_wanted;

    states_wanted = all / 6 + 1;
    replay(format, child);
    states_wanted = all;
}

static void flat(void)
{
    fewer(DISK_VMDK_FLAT, false);
}

static void child(void)
{
    fewer(DISK_VMDK_SPARSE, true);
}

/* A merge that was cut: the child reads as before, or is void and the parent reads like that. */
static bool merged_wrong(const struct folder *state, struct aio *aio, const uint8_t *want,
                         uint64_t size)
{
    struct disk_options options = {.flags = DISK_READONLY};
    cleanup_free uint8_t *bytes = malloc(size);
    cleanup_disk struct disk *disk = NULL;
    int rc = disk_open(&state->dir.host, "b.vmdk", &options, aio, &disk, NULL);

    if (rc == -ESTALE)
        rc = disk_open(&state->dir.host, "a.vmdk", &options, aio, &disk, NULL);
    return rc || disk_pread(disk, bytes, size, 0) || memcmp(bytes, want, size);
}

static void put_both(struct disk *disk, uint8_t *want, uint64_t at, uint8_t byte)
{
    memset(want + at, byte, KIB(4));
    CHECK_EQ(disk_pwrite(disk, want + at, KIB(4), at), 0);
}

static void merge(void)
{
    struct disk_spec spec = {.format = DISK_VMDK_SPARSE, .size = MIB(2)};
    struct disk_spec child_spec = {.format = DISK_VMDK_SPARSE, .parent = "a.vmdk"};
    cleanup_free uint8_t *want = calloc(1, spec.size);
    uint64_t random = 362436069362436069u;
    struct folder folder, state;
    struct aio *aio = NULL, *other = NULL;
    struct disk *disk = NULL;
    struct tape tape;
    unsigned bad = 0;

    folder_make(&folder);
    folder_make(&state);
    folder_require(!aio_create(AIO_PLAIN, &aio, NULL) && !aio_create(AIO_PLAIN, &other, NULL),
                   "aio");
    CHECK_EQ(disk_create(&folder.dir.host, "a.vmdk", &spec, aio, NULL, NULL, NULL), 0);
    REQUIRE(!disk_open(&folder.dir.host, "a.vmdk", &(struct disk_options){0}, aio, &disk, NULL));
    for (uint64_t at = 0; at < spec.size; at += KIB(96))
        put_both(disk, want, at, 0x11);
    disk_close(disk);
    CHECK_EQ(disk_create(&folder.dir.host, "b.vmdk", &child_spec, aio, NULL, NULL, NULL), 0);
    REQUIRE(!disk_open(&folder.dir.host, "b.vmdk", &(struct disk_options){0}, aio, &disk, NULL));
    for (uint64_t at = 0; at < spec.size; at += KIB(36))
        put_both(disk, want, at, 0x22);
    memset(want + KIB(96), 0, KIB(8));
    CHECK_EQ(disk_op_sync(disk, DISK_WRITE_ZEROES, KIB(8), KIB(96)), 0);
    disk_close(disk);
    tape_init(&tape, &folder.dir.host, aio);
    CHECK_EQ(disk_merge(&tape.host, "b.vmdk", aio, NULL, NULL, NULL), 0);
    for (unsigned i = 0; i < 3 * tape.count; i++) {
        folder_empty(&state);
        tape_cut(&tape, tape.count - i % tape.count, &random, &state);
        bad += merged_wrong(&state, other, want, spec.size);
    }
    CHECK_EQ(bad, 0);
    (void)printf("# %u states of %u events: %u bad\n", 3 * tape.count, tape.count, bad);
    tape_free(&tape);
    aio_destroy(aio);
    aio_destroy(other);
    folder_remove(&folder);
    folder_remove(&state);
}

/* A conversion that was cut: the name is not there, or the whole disk is. */
static unsigned converted_wrong(const struct folder *state, struct aio *aio, struct disk *source)
{
    static uint8_t a[MIB(1)], b[MIB(1)];
    struct disk_options options = {.flags = DISK_READONLY};
    cleanup_disk struct disk *disk = NULL;
    struct disk_check check = {0};
    struct err err = ERR_INIT;
    int rc = disk_open(&state->dir.host, "b.vmdk", &options, aio, &disk, &err);

    if (rc)
        return faccessat(state->dir.fd, "b.vmdk", F_OK, 0) ? 0 : 1;
    if (disk_check(disk, &check, NULL) || check.problems)
        return 1;
    for (uint64_t at = 0; at < disk_size(disk); at += sizeof a)
        if (disk_pread(source, a, sizeof a, at) || disk_pread(disk, b, sizeof b, at) ||
            memcmp(a, b, sizeof a))
            return 1;
    return 0;
}

static void convert(enum disk_format_id format)
{
    struct disk_spec spec = {.size = MIB(4)}, to = {.format = format};
    uint64_t random = 362436069362436069u;
    struct folder folder, state;
    struct aio *aio = NULL, *other = NULL;
    struct disk *source = NULL;
    struct tape tape;
    uint8_t bytes[3 * DISK_SECTOR];
    unsigned bad = 0;

    folder_make(&folder);
    folder_make(&state);
    folder_require(!aio_create(AIO_PLAIN, &aio, NULL) && !aio_create(AIO_PLAIN, &other, NULL),
                   "aio");
    memset(bytes, 0x5a, sizeof bytes);
    CHECK_EQ(disk_create(&folder.dir.host, "a.img", &spec, aio, NULL, NULL, NULL), 0);
    REQUIRE(!disk_open(&folder.dir.host, "a.img", &(struct disk_options){0}, other, &source, NULL));
    for (uint64_t at = 0; at < spec.size; at += KIB(300) / DISK_SECTOR * DISK_SECTOR)
        CHECK_EQ(disk_pwrite(source, bytes, sizeof bytes, at), 0);
    tape_init(&tape, &folder.dir.host, aio);
    CHECK_EQ(disk_convert(source, &tape.host, "b.vmdk", &to, aio, NULL, NULL, NULL), 0);
    for (unsigned i = 0; i < 3 * tape.count; i++) {
        folder_empty(&state);
        tape_cut(&tape, tape.count - i % tape.count, &random, &state);
        bad += converted_wrong(&state, other, source);
    }
    CHECK_EQ(bad, 0);
    (void)printf("# %u states of %u events: %u bad\n", 3 * tape.count, tape.count, bad);
    disk_close(source);
    tape_free(&tape);
    aio_destroy(aio);
    aio_destroy(other);
    folder_remove(&folder);
    folder_remove(&state);
}

static void convert_flat(void)
{
    convert(DISK_VMDK_FLAT);
}
static void convert_sparse(void)
{
    convert(DISK_VMDK_SPARSE);
}
static void convert_stream(void)
{
    convert(DISK_VMDK_STREAM);
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(sparse),       TAP_CASE(flat),           TAP_CASE(child),         TAP_CASE(merge),
        TAP_CASE(convert_flat), TAP_CASE(convert_sparse), TAP_CASE(convert_stream)};

    if (argc > 1)
        states_wanted = (unsigned)atoi(argv[1]);
    return tap_run_(cases, ARRAY_SIZE(cases));
}
