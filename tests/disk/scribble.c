/* SPDX-License-Identifier: Apache-2.0 */
/* Differential scribble: the same seeded requests go to a disk and to a model in memory, several at
 * once, with iovecs cut at random; what comes back must be the same, at once, after closing and
 * opening, and as qemu-img reads it. SCRIBBLE_ROUNDS and SCRIBBLE_SEED change length and course. */
#include <errno.h>
#include <stdlib.h>

#include "base/range.h"
#include "tests/disk/folder.h"

enum { DEPTH = 8, IOV = 24, MAX_SECTORS = 640 };

struct scribble {
    struct folder folder;
    struct aio *aio;
    struct disk *disk;
    uint8_t *model;
    uint64_t size;
    uint64_t random;
    unsigned pending, failures;
    bool discard_exact, chain;
};

struct request {
    struct disk_io io;
    struct iovec iov[IOV];
    uint8_t *bytes;
    struct scribble *scribble;
};

static uint64_t next_random(struct scribble *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return s->random;
}

static void on_done(struct disk_io *io, int result)
{
    struct request *request = io->ctx;
    struct scribble *s = request->scribble;

    s->pending--;
    s->failures += result != 0;
    if (io->op == DISK_READ && memcmp(request->bytes, s->model + io->offset, io->length))
        s->failures++;
}

/* Cuts the buffer anywhere, not only at sectors; some pieces are empty. */
static void cut(struct scribble *s, struct request *request)
{
    uint64_t at = 0, length = request->io.length;
    unsigned n = 0, wanted = (unsigned)(next_random(s) % IOV) + 1;

    for (; n + 1 < wanted && at < length; n++) {
        size_t len = (size_t)(next_random(s) % (2 * length / wanted + 1));
        len = MIN(len, (size_t)(length - at));
        request->iov[n] = (struct iovec){request->bytes + at, len};
        at += len;
    }
    request->iov[n++] = (struct iovec){request->bytes + at, (size_t)(length - at)};
    request->io.iov = request->iov;
    request->io.niov = n;
}

/* The parts of one batch do not overlap: each stays in its own eighth of the disk. */
static void choose(struct scribble *s, struct request *request, unsigned lane)
{
    static const enum disk_op ops[] = {DISK_READ,    DISK_READ,         DISK_WRITE, DISK_WRITE,
                                       DISK_DISCARD, DISK_WRITE_ZEROES, DISK_WRITE, DISK_FLUSH};
    uint64_t lane_sectors = s->size / DISK_SECTOR / DEPTH;
    uint64_t count = next_random(s) % MAX_SECTORS + 1, start;
    struct disk_io *io = &request->io;

    start = next_random(s) % (lane_sectors - count);
    *io = (struct disk_io){.op = ops[next_random(s) % ARRAY_SIZE(ops)],
                           .done = on_done,
                           .ctx = request,
                           .offset = (lane * lane_sectors + start) * DISK_SECTOR,
                           .length = count * DISK_SECTOR};
    if (io->op == DISK_DISCARD && s->chain)
        io->op = DISK_READ; /* in a child it leaves what the parent has */
    if (io->op == DISK_FLUSH)
        io->offset = io->length = 0;
    for (uint64_t i = 0; io->op == DISK_WRITE && i < io->length; i += 8) {
        uint64_t v = next_random(s);
        memcpy(request->bytes + i, &v, 8);
    }
    cut(s, request);
}

static void apply(struct scribble *s, const struct request *request)
{
    const struct disk_io *io = &request->io;

    if (io->op == DISK_WRITE)
        memcpy(s->model + io->offset, request->bytes, io->length);
    else if (io->op == DISK_WRITE_ZEROES || (io->op == DISK_DISCARD && s->discard_exact))
        memset(s->model + io->offset, 0, io->length);
}

static void batch(struct scribble *s, struct request *requests)
{
    for (unsigned i = 0; i < DEPTH; i++) {
        choose(s, &requests[i], i);
        s->pending++;
        disk_submit(s->disk, &requests[i].io);
    }
    for (unsigned i = 0; i < DEPTH; i++)
        apply(s, &requests[i]);
    while (s->pending)
        REQUIRE(aio_run_once(s->aio, true) >= 0);
}

static void compare(struct scribble *s)
{
    cleanup_free uint8_t *bytes = malloc(MIB(1));
    uint64_t different = 0;

    for (uint64_t at = 0; at < s->size; at += MIB(1)) {
        uint64_t len = MIN(MIB(1), s->size - at);
        CHECK_EQ(disk_pread(s->disk, bytes, len, at), 0);
        different += memcmp(bytes, s->model + at, len) != 0;
    }
    CHECK_EQ(different, 0);
}

static void compare_with_qemu(struct scribble *s, const char *name, const char *format)
{
    char command[1024], raw[300];

    if (system("command -v qemu-img >/dev/null 2>&1")) {
        (void)printf("# no qemu-img here: not compared with it\n");
        return;
    }
    (void)snprintf(raw, sizeof raw, "%s/model", s->folder.path);
    folder_write(&s->folder, "model", s->model, s->size, 0);
    (void)snprintf(command, sizeof command,
                   "qemu-img compare -q -f raw -F %s '%s' '%s/%s' && %s '%s/%s' >/dev/null", format,
                   raw, s->folder.path, name,
                   strcmp(format, "vmdk") ? "true" : "qemu-img check -q -f vmdk", s->folder.path,
                   name);
    CHECK_EQ(system(command), 0);
    CHECK_EQ(unlink(raw), 0);
}

static struct request requests[DEPTH];

static void begin(struct scribble *s, enum aio_engine engine)
{
    const char *seed = getenv("SCRIBBLE_SEED");
    struct err err = ERR_INIT;

    s->random = 0x9e3779b97f4a7c15u + (seed ? strtoull(seed, NULL, 0) : 0);
    folder_make(&s->folder);
    s->model = calloc(1, s->size);
    folder_require(s->model && !aio_create(engine, &s->aio, &err), err.text);
    for (unsigned i = 0; i < DEPTH; i++) {
        requests[i].bytes = malloc((size_t)MAX_SECTORS * DISK_SECTOR);
        requests[i].scribble = s;
    }
}

static void end(struct scribble *s)
{
    CHECK_EQ(s->failures, 0);
    for (unsigned i = 0; i < DEPTH; i++)
        free(requests[i].bytes);
    aio_destroy(s->aio);
    free(s->model);
    folder_remove(&s->folder);
}

static bool open_it(struct scribble *s, const char *name)
{
    struct err err = ERR_INIT;
    int rc =
        disk_open(&s->folder.dir.host, name, &(struct disk_options){0}, s->aio, &s->disk, &err);

    if (!CHECK_EQ(rc, 0))
        (void)printf("# %s\n", err.text);
    return !rc;
}

static void run(enum disk_format_id format, enum disk_provision provision, enum aio_engine engine)
{
    struct disk_spec spec = {
        .format = format, .provision = provision, .size = MIB(64) + 7 * DISK_SECTOR * DEPTH};
    const char *name = format == DISK_RAW ? "a.img" : "a.vmdk";
    const char *rounds = getenv("SCRIBBLE_ROUNDS");
    struct scribble s = {.size = spec.size,
                         .discard_exact = format != DISK_VMDK_FLAT || provision == DISK_THIN};
    struct disk_check check = {0};
    struct err err = ERR_INIT;

    begin(&s, engine);
    CHECK_EQ(disk_create(&s.folder.dir.host, name, &spec, s.aio, NULL, NULL, &err), 0);
    for (unsigned part = 0; part < 3; part++) {
        if (!open_it(&s, name))
            break;
        compare(&s);
        for (unsigned i = 0, n = rounds ? (unsigned)atoi(rounds) : 40; part < 2 && i < n; i++)
            batch(&s, requests);
        compare(&s);
        CHECK_EQ(disk_check(s.disk, &check, &err), 0);
        disk_close(s.disk);
    }
    CHECK_EQ(check.problems, 0);
    CHECK_EQ(check.leaks, 0);
    compare_with_qemu(&s, name, format == DISK_RAW ? "raw" : "vmdk");
    end(&s);
}

/* A chain as snapshots make it: each child is written, read through all of them, and in the end
 * merged into its parent, one after the other. */
enum { LAYERS = 70 };

static const char *layer_name(unsigned layer)
{
    static char name[2][32];
    char *to = name[layer & 1];

    (void)snprintf(to, sizeof name[0], "a-%06u.vmdk", layer);
    return layer ? to : "a.vmdk";
}

static void add_layers(struct scribble *s)
{
    struct disk_check check = {0};
    struct err err = ERR_INIT;

    for (unsigned layer = 0; layer <= LAYERS; layer++) {
        struct disk_spec child = {.format = DISK_VMDK_SPARSE, .parent = layer_name(layer - 1)};

        if (layer && !CHECK_EQ(disk_create(&s->folder.dir.host, layer_name(layer), &child, s->aio,
                                           NULL, NULL, &err),
                               0))
            (void)printf("# %s\n", err.text);
        if (!open_it(s, layer_name(layer)))
            return;
        for (unsigned i = 0; i < 3; i++)
            batch(s, requests);
        if (layer % 23 == 1 || layer == LAYERS) {
            compare(s);
            CHECK_EQ(disk_check(s->disk, &check, &err), 0);
        }
        disk_close(s->disk);
    }
    CHECK_EQ(check.problems, 0);
}

static void merge_layers(struct scribble *s)
{
    struct err err = ERR_INIT;

    for (unsigned layer = LAYERS; layer; layer--) {
        if (!CHECK_EQ(disk_merge(&s->folder.dir.host, layer_name(layer), s->aio, NULL, NULL, &err),
                      0))
            (void)printf("# %s\n", err.text);
        CHECK_EQ(disk_open(&s->folder.dir.host, layer_name(layer), &(struct disk_options){0},
                           s->aio, &s->disk, NULL),
                 -ESTALE);
        CHECK_EQ(s->folder.dir.host.unlink(&s->folder.dir.host, layer_name(layer)), 0);
        if (layer % 23 != 1)
            continue;
        if (!open_it(s, layer_name(layer - 1)))
            return;
        compare(s);
        disk_close(s->disk);
    }
}

static void run_chain(enum disk_format_id base, enum aio_engine engine)
{
    struct disk_spec spec = {.format = base, .size = MIB(24) + 5 * DISK_SECTOR * DEPTH};
    struct scribble s = {.size = spec.size, .chain = true};
    struct err err = ERR_INIT;

    begin(&s, engine);
    CHECK_EQ(disk_create(&s.folder.dir.host, "a.vmdk", &spec, s.aio, NULL, NULL, &err), 0);
    add_layers(&s);
    compare_with_qemu(&s, layer_name(LAYERS), "vmdk");
    merge_layers(&s);
    compare_with_qemu(&s, "a.vmdk", "vmdk");
    end(&s);
}

static void chain_on_flat(void)
{
    run_chain(DISK_VMDK_FLAT, AIO_URING);
}
static void chain_on_sparse(void)
{
    run_chain(DISK_VMDK_SPARSE, AIO_PLAIN);
}

static void raw_uring(void)
{
    run(DISK_RAW, DISK_THIN, AIO_URING);
}
static void raw_plain(void)
{
    run(DISK_RAW, DISK_EAGER, AIO_PLAIN);
}
static void flat_thin_uring(void)
{
    run(DISK_VMDK_FLAT, DISK_THIN, AIO_URING);
}
static void flat_lazy_plain(void)
{
    run(DISK_VMDK_FLAT, DISK_LAZY, AIO_PLAIN);
}
static void sparse_uring(void)
{
    run(DISK_VMDK_SPARSE, DISK_THIN, AIO_URING);
}
static void sparse_plain(void)
{
    run(DISK_VMDK_SPARSE, DISK_THIN, AIO_PLAIN);
}

TAP_MAIN(TAP_CASE(raw_uring), TAP_CASE(raw_plain), TAP_CASE(flat_thin_uring),
         TAP_CASE(flat_lazy_plain), TAP_CASE(sparse_uring), TAP_CASE(sparse_plain),
         TAP_CASE(chain_on_flat), TAP_CASE(chain_on_sparse))
