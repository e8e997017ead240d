/* SPDX-License-Identifier: Apache-2.0 */
/* What the benchmarks of disk controllers begin with: a file as their disk. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "vm/backend/blk.h"

static inline _Noreturn void bench_fail(const char *what)
{
    (void)fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static inline struct blk *bench_open_blk(const char *path, const char *engine_name)
{
    static struct disk_dir dir; /* as long as the process */
    struct disk_options options = {.flags = DISK_READONLY, .format = "raw"};
    struct err err = ERR_INIT;
    enum aio_engine engine;
    struct disk *disk;
    struct aio *aio;
    struct blk *blk;
    const char *name;

    if (!aio_engine_parse(engine_name, &engine))
        bench_fail("engine: auto, uring or plain");
    if (disk_dir_open_for(&dir, path, &name, &err) || aio_create(engine, &aio, &err) ||
        disk_open(&dir.host, name, &options, aio, &disk, &err) || blk_disk_open(disk, &blk, &err))
        bench_fail(err.text);
    return blk;
}
