/* SPDX-License-Identifier: Apache-2.0 */
/* What a 4 KiB random read costs from doorbell to interrupt, without a guest around it: one thread
 * rings an eventfd and waits for another, the I/O thread serves `DEPTH` reads between the two.
 * Marked for the lab's counting plugin.
 *
 *     disk-bench ENGINE FILE DEPTH COUNT      FILE: a raw image of at least 64 MiB */
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/range.h"
#include "disk/disk.h"
#include "lab/lab.h"
#include "tests/disk/folder.h"

enum { DEPTH_MAX = 64, BLOCK = 4096 };

struct bench {
    struct aio *aio;
    struct disk *disk;
    struct aio_watch bell;
    int irq;
    unsigned depth, pending;
    uint64_t rounds, random;
    struct disk_io io[DEPTH_MAX];
    struct iovec iov[DEPTH_MAX];
    uint8_t bytes[DEPTH_MAX][BLOCK];
};

static void on_done(struct disk_io *io, int result)
{
    struct bench *bench = io->ctx;

    folder_require(!result, "read");
    if (!--bench->pending)
        (void)eventfd_write(bench->irq, 1);
}

static void on_bell(struct aio_watch *watch)
{
    struct bench *bench = watch->ctx;

    bench->rounds--;
    bench->pending = bench->depth;
    for (unsigned i = 0; i < bench->depth; i++) {
        bench->random = bench->random * 6364136223846793005u + 1442695040888963407u;
        bench->iov[i] = (struct iovec){bench->bytes[i], BLOCK};
        bench->io[i].op = DISK_READ;
        bench->io[i].niov = 1;
        bench->io[i].iov = &bench->iov[i];
        bench->io[i].offset = (bench->random >> 33) % (MIB(64) / BLOCK) * BLOCK;
        bench->io[i].length = BLOCK;
        bench->io[i].done = on_done;
        bench->io[i].ctx = bench;
        disk_submit(bench->disk, &bench->io[i]);
    }
}

static void *serve(void *arg)
{
    struct bench *bench = arg;

    while (bench->rounds || bench->pending)
        (void)aio_run_once(bench->aio, true);
    return NULL;
}

static void ring(struct bench *bench, uint64_t count)
{
    eventfd_t value;

    for (uint64_t i = 0; i < count; i++) {
        (void)eventfd_write(bench->bell.fd, 1);
        (void)eventfd_read(bench->irq, &value);
    }
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct disk_options options = {.flags = DISK_READONLY, .format = "raw"};
    enum { WARM_UP = 200 };
    enum aio_engine engine;
    struct timespec begin, end;
    struct disk_dir dir;
    struct err err = ERR_INIT;
    const char *name;
    pthread_t thread;
    uint64_t count;

    if (argc != 5 || !aio_engine_parse(argv[1], &engine))
        return 2;
    bench.depth = (unsigned)atoi(argv[3]);
    count = strtoull(argv[4], NULL, 0);
    bench.rounds = count + WARM_UP;
    if (bench.depth > DEPTH_MAX || disk_dir_open_for(&dir, argv[2], &name, &err) ||
        aio_create(engine, &bench.aio, &err) ||
        disk_open(&dir.host, name, &options, bench.aio, &bench.disk, &err)) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    bench.irq = eventfd(0, EFD_CLOEXEC);
    bench.bell = (struct aio_watch){
        .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = on_bell, .ctx = &bench};
    aio_watch(bench.aio, &bench.bell);
    folder_require(!pthread_create(&thread, NULL, serve, &bench), "thread");
    ring(&bench, WARM_UP);
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    LAB_MARK(LAB_BEGIN);
    ring(&bench, count);
    LAB_MARK(LAB_END);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    (void)pthread_join(thread, NULL);
    (void)printf("%s depth %u: %.0f ns a read\n", argv[1], bench.depth,
                 (double)((end.tv_sec - begin.tv_sec) * 1000000000L + end.tv_nsec - begin.tv_nsec) /
                     (double)(count * bench.depth));
    disk_close(bench.disk);
    aio_destroy(bench.aio);
    return 0;
}
