/* SPDX-License-Identifier: Apache-2.0 */
/* A disk in memory, for tests. Completions come through an eventfd that the aio watches, as a real
 * disk's come through its files. */
#include "vm/backend/blk_mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void perform(struct blk_mem *mem, const struct disk_io *io)
{
    uint8_t *at = mem->data + io->offset;

    for (unsigned i = 0; i < io->niov && (io->op == DISK_READ || io->op == DISK_WRITE); i++) {
        if (io->op == DISK_READ)
            memcpy(io->iov[i].iov_base, at, io->iov[i].iov_len);
        else
            memcpy(at, io->iov[i].iov_base, io->iov[i].iov_len);
        at += io->iov[i].iov_len;
    }
    if (io->op == DISK_DISCARD || io->op == DISK_WRITE_ZEROES)
        memset(at, 0, io->length);
}

static struct disk_io *take(struct blk_mem *mem)
{
    struct disk_io *io = NULL;

    (void)pthread_mutex_lock(&mem->lock);
    if (!mem->hold && (io = mem->first)) {
        mem->first = io->next;
        if (!mem->first)
            mem->last = &mem->first;
        mem->waiting--;
    }
    (void)pthread_mutex_unlock(&mem->lock);
    return io;
}

static void on_wake(struct aio_watch *watch)
{
    struct blk_mem *mem = watch->ctx;
    struct disk_io *io;

    while ((io = take(mem))) {
        (void)pthread_mutex_lock(&mem->lock);
        int result = (io->offset | io->length) % DISK_SECTOR ? -EINVAL : mem->fail[io->op];
        if (!result)
            perform(mem, io);
        (void)pthread_mutex_unlock(&mem->lock);
        io->done(io, result);
    }
}

static void wake(struct blk_mem *mem)
{
    const uint64_t one = 1;

    (void)!write(mem->wake.fd, &one, sizeof one);
}

static void blk_mem_submit(struct blk *blk, struct disk_io *io)
{
    struct blk_mem *mem = (struct blk_mem *)blk;

    if (!mem->watched) {
        aio_watch(blk->aio, &mem->wake);
        mem->watched = true;
    }
    (void)pthread_mutex_lock(&mem->lock);
    io->next = NULL;
    *mem->last = io;
    mem->last = &io->next;
    mem->waiting++;
    mem->count[io->op]++;
    (void)pthread_mutex_unlock(&mem->lock);
    wake(mem);
}

static void blk_mem_close(struct blk *blk)
{
    struct blk_mem *mem = (struct blk_mem *)blk;

    if (mem->watched)
        aio_unwatch(blk->aio, &mem->wake);
    aio_destroy(blk->aio);
    (void)close_fd(mem->wake.fd);
    (void)pthread_mutex_destroy(&mem->lock);
    free(mem->data);
    free(mem);
}

static const struct blk_ops blk_mem_ops = {.submit = blk_mem_submit, .close = blk_mem_close};

int blk_mem_create(uint64_t size, struct blk_mem **ret_mem)
{
    struct blk_mem *mem = calloc(1, sizeof *mem);
    int rc = mem ? 0 : -ENOMEM;

    if (rc)
        return rc;
    mem->blk = (struct blk){.ops = &blk_mem_ops, .size = size};
    mem->last = &mem->first;
    mem->data = calloc(1, size);
    mem->wake = (struct aio_watch){
        .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = on_wake, .ctx = mem};
    (void)pthread_mutex_init(&mem->lock, NULL);
    rc = mem->data && mem->wake.fd >= 0 ? aio_create(AIO_PLAIN, &mem->blk.aio, NULL) : -ENOMEM;
    if (rc) {
        blk_mem_close(&mem->blk);
        return rc;
    }
    *ret_mem = mem;
    return 0;
}

void blk_mem_hold(struct blk_mem *mem, bool hold)
{
    (void)pthread_mutex_lock(&mem->lock);
    mem->hold = hold;
    (void)pthread_mutex_unlock(&mem->lock);
    wake(mem);
}

void blk_mem_fail(struct blk_mem *mem, enum disk_op op, int error)
{
    (void)pthread_mutex_lock(&mem->lock);
    mem->fail[op] = error;
    (void)pthread_mutex_unlock(&mem->lock);
}

unsigned blk_mem_count(struct blk_mem *mem, enum disk_op op)
{
    (void)pthread_mutex_lock(&mem->lock);
    unsigned count = mem->count[op];
    (void)pthread_mutex_unlock(&mem->lock);
    return count;
}

unsigned blk_mem_waiting(struct blk_mem *mem)
{
    (void)pthread_mutex_lock(&mem->lock);
    unsigned waiting = mem->waiting;
    (void)pthread_mutex_unlock(&mem->lock);
    return waiting;
}
