/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-console on a socket pair whose other end echoes; single-threaded. See virtio_ops.h. */
#include "vm/dev/virtio_console.h"

#include <sys/socket.h>
#include <unistd.h>

#include "fuzz/virtio_ops.h"

enum { TURNS = 3 };

static int peer;

/* At most a block at a time, so that the socket fills up behind it. */
static void step(struct harness *h)
{
    static uint8_t block[4096];

    for (unsigned i = 0; i < TURNS; i++) {
        harness_run(h);
        ssize_t n = recv(peer, block, sizeof block, MSG_DONTWAIT);
        if (n > 0)
            (void)!send(peer, block, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    harness_run(h);
}

static void drain(struct harness *h)
{
    static uint8_t block[65536];

    do
        harness_run(h);
    while (recv(peer, block, sizeof block, MSG_DONTWAIT) > 0);
}

/* Some bytes out, and the echo in. */
static void check_works(struct virtio_ops *ops)
{
    drain(ops->h);
    virtio_ops_mend(ops);
    vd_desc(&ops->d, 1, 0, VD_HEAP, 5, 0, 0);
    FUZZ_CHECK(virtio_ops_serve(ops, 1) == 0);
    vd_desc(&ops->d, 0, 0, VD_HEAP, 64, VD_WRITE, 0);
    FUZZ_CHECK(virtio_ops_serve(ops, 0) >= 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtio_console_params params = {0};
    struct virtio_ops ops = {.step = step};
    int fd[2];

    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
    peer = fd[1];
    ops.h = harness_prepare(&virtio_console_class, &params, VD_RAM);
    FUZZ_CHECK(chr_create(CHR_STREAM, fd[0], ops.h->loop, &params.chr, NULL) == 0);
    FUZZ_CHECK(harness_start(ops.h, &params, NULL) == 0);
    virtio_ops_run(&ops, data, size);
    check_works(&ops);
    harness_destroy(ops.h);
    (void)close(peer);
    return 0;
}
