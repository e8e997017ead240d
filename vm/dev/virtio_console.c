/* SPDX-License-Identifier: Apache-2.0 */
/* virtio console device: VIRTIO 1.2, section 5.3. One port and no control queues: what the guest
 * sends goes to a byte stream of the host (backend/chr.h), what comes from there goes to the guest.
 *
 * Everything happens on the process's loop, under the transport's lock. The stream is not to be
 * touched from elsewhere, and registers are written from elsewhere: so `start` only wakes the loop,
 * and the device watches its doorbells itself.
 *
 * Flow control: output that the stream does not take stays in the driver's buffer, of which a part
 * may be gone already (`sent`); input is not read while the driver has no buffers.
 *
 * Deliberately missing: MULTIPORT, SIZE, EMERG_WRITE. */
#include "vm/dev/virtio_console.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/range.h"
#include "vm/dev/virtio_pci.h"

enum { RX, TX, QUEUES, QUEUE_SIZE = 64, PIECES_MAX = 2 * QUEUE_SIZE };
/* 5.3.4: cols, rows, max_nr_ports, emerg_wr; none of them is valid without its feature */
enum { CONFIG_SIZE = 12 };

struct virtio_console {
    struct virtio_pci vp; /* first */
    struct virtqueue vq[QUEUES];
    uint8_t config[CONFIG_SIZE];
    struct chr *chr; /* owned */
    uint32_t sent;   /* bytes of the oldest chain that are out already */
    struct loop_source bell, input_bell, wake;
    int wake_fd; /* owned */
};

/* -- To the host ---------------------------------------------------------------------------------
 */

/* 1: the chain is done with; 0: there is none, or the stream takes no more of it; or the queue's
 * error. The driver may have changed the rest of it in between; it only fools itself. */
static int send_chain(struct virtio_console *con)
{
    struct virtqueue *vq = &con->vq[TX];
    struct iovec pieces[PIECES_MAX], *iov = pieces;
    struct vq_chain chain = {.iov = pieces, .iov_max = PIECES_MAX};
    int rc = virtqueue_pop(vq, &chain);
    unsigned count = chain.out;

    if (rc <= 0)
        return rc;
    uint64_t left = chain.out_len - MIN((uint64_t)con->sent, chain.out_len);
    vq_iov_drop(&iov, &count, con->sent);
    size_t n = left ? chr_write(con->chr, iov, (int)count) : 0;
    if (n < left) {
        con->sent += (uint32_t)n;
        virtqueue_unpop(vq, 1);
        return 0;
    }
    con->sent = 0;
    virtqueue_push(vq, chain.head, 0);
    return 1;
}

static void ring(const struct loop_source *bell)
{
    const uint64_t one = 1;

    (void)!write(bell->fd, &one, sizeof one);
}

/* At most one ring's worth; whoever has more waits for the loop to come round again. While the
 * stream is full no doorbell is needed: `writable` comes. */
static void send_all(struct virtio_console *con)
{
    struct virtqueue *vq = &con->vq[TX];
    unsigned budget = QUEUE_SIZE;
    int rc;

    do {
        virtqueue_disarm(vq);
        while ((rc = budget ? send_chain(con) : 0) > 0)
            budget--;
    } while (!rc && budget && !virtqueue_pending(vq) && virtqueue_arm(vq));
    virtio_pci_publish(&con->vp, vq);
    if (rc < 0)
        virtio_pci_fail(&con->vp);
    else if (!budget)
        ring(&con->bell);
}

/* -- From the host -------------------------------------------------------------------------------
 */

/* 1: a buffer was filled; 0: nothing to fill it with; -ENOBUFS: no buffer; or the queue's error. */
static int receive_chain(struct virtio_console *con)
{
    struct virtqueue *vq = &con->vq[RX];
    struct iovec iov[PIECES_MAX];
    struct vq_chain chain = {.iov = iov, .iov_max = PIECES_MAX};
    uint8_t bytes[1024];
    int rc = virtqueue_pop(vq, &chain);

    if (rc <= 0)
        return rc ? rc : -ENOBUFS;
    if (chain.out_len || !chain.in_len)
        return -EINVAL;
    size_t n = chr_read(con->chr, bytes, MIN(sizeof bytes, (size_t)chain.in_len));
    if (!n) {
        virtqueue_unpop(vq, 1);
        return 0;
    }
    (void)vq_iov_write(iov, chain.in, 0, bytes, n);
    virtqueue_mark_written(vq, iov, chain.in);
    virtqueue_push(vq, chain.head, (uint32_t)n);
    return 1;
}

static void receive_all(struct virtio_console *con)
{
    struct virtqueue *vq = &con->vq[RX];
    unsigned budget = QUEUE_SIZE;
    int rc = 1;

    virtqueue_disarm(vq);
    while (budget && rc > 0) {
        rc = receive_chain(con);
        budget--;
        if (rc == -ENOBUFS && virtqueue_arm(vq))
            rc = 1;
    }
    virtio_pci_publish(&con->vp, vq);
    chr_want_input(con->chr, rc >= 0); /* the stream tells again what is left */
    if (rc < 0 && rc != -ENOBUFS)
        virtio_pci_fail(&con->vp);
}

/* -- The loop ------------------------------------------------------------------------------------
 */

/* Does `what` if the device is running, otherwise leaves input where it is. */
static void serve(struct virtio_console *con, unsigned queue)
{
    (void)pthread_mutex_lock(&con->vp.lock);
    bool can = con->vp.running && con->vq[queue].active && virtio_pci_dma(&con->vp);
    if (!can && queue == RX)
        chr_want_input(con->chr, false);
    else if (can && queue == RX)
        receive_all(con);
    else if (can)
        send_all(con);
    (void)pthread_mutex_unlock(&con->vp.lock);
}

static void drain(const struct loop_source *bell)
{
    uint64_t count;

    (void)!read(bell->fd, &count, sizeof count);
}

static void on_bell(void *ctx, uint32_t events)
{
    struct virtio_console *con = ctx;

    drain(&con->bell);
    serve(con, TX);
}

static void on_input_bell(void *ctx, uint32_t events)
{
    struct virtio_console *con = ctx;

    drain(&con->input_bell);
    serve(con, RX);
}

static void on_wake(void *ctx, uint32_t events)
{
    struct virtio_console *con = ctx;

    drain(&con->wake);
    serve(con, RX);
    serve(con, TX);
}

static void on_readable(void *ctx)
{
    serve(ctx, RX);
}

static void on_writable(void *ctx)
{
    serve(ctx, TX);
}

/* -- The transport's side ------------------------------------------------------------------------
 */

static void console_start(struct virtio_pci *vp)
{
    ring(&((struct virtio_console *)vp)->wake);
}

static void console_reset(struct virtio_pci *vp)
{
    ((struct virtio_console *)vp)->sent = 0;
}

static const struct virtio_pci_type console_type = {
    .id = VIRTIO_ID_CONSOLE,
    .class_code = 0x078000, /* communication, other */
    .config_size = CONFIG_SIZE,
    .start = console_start,
    .reset = console_reset,
};

/* -- Life ----------------------------------------------------------------------------------------
 */

static int console_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    virtio_pci_layout(&console_type, QUEUES, ret_layout);
    return 0;
}

static void console_destroy(void *ptr)
{
    struct virtio_console *con = ptr;

    if (!con)
        return;
    loop_del(&con->bell);
    loop_del(&con->input_bell);
    loop_del(&con->wake);
    virtio_pci_deinit(&con->vp);
    chr_destroy(con->chr);
    (void)close_fd(con->wake_fd);
    free(con);
}

static int watch(struct virtio_console *con, const struct dev_env *env)
{
    int rc;

    con->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (con->wake_fd < 0)
        return -errno;
    rc = loop_add_fd(env->loop, &con->wake, con->wake_fd, EPOLLIN, on_wake, con);
    if (!rc)
        rc = loop_add_fd(env->loop, &con->input_bell, env->doorbell_fd[RX], EPOLLIN, on_input_bell,
                         con);
    if (!rc)
        rc = loop_add_fd(env->loop, &con->bell, env->doorbell_fd[TX], EPOLLIN, on_bell, con);
    return rc;
}

static int console_create(const struct dev_env *env, const void *params, void **ret_dev,
                          struct err *err)
{
    const struct virtio_console_params *p = params;
    struct virtio_console *con = calloc(1, sizeof *con);
    int rc;

    if (!con)
        return err_sys(err, -ENOMEM, "%s", env->name);
    con->wake_fd = -1;
    for (unsigned i = 0; i < QUEUES; i++)
        virtqueue_init(&con->vq[i], QUEUE_SIZE);
    struct virtio_pci_config config = {
        .type = &console_type, .vq = con->vq, .queue_count = QUEUES, .config = con->config};
    rc = virtio_pci_init(&con->vp, env, &config, err);
    if (!rc && (rc = watch(con, env)) < 0)
        (void)err_sys(err, rc, "%s", env->name);
    if (rc) {
        console_destroy(con);
        return rc;
    }
    con->chr = p->chr;
    chr_set_user(con->chr,
                 &(struct chr_user){.readable = on_readable, .writable = on_writable, .ctx = con});
    *ret_dev = con;
    return 0;
}

/* -- State ---------------------------------------------------------------------------------------
 */

static int console_post_load(void *object, struct err *err)
{
    return virtio_pci_post_load(object, err);
}

static const struct state_field console_fields[] = {
    STATE_SUB(struct virtio_console, vp, &virtio_pci_state, 1),
    STATE_SUB(struct virtio_console, vq, &virtqueue_state, QUEUES),
    STATE_FIELD(struct virtio_console, sent, STATE_U32),
};

static const struct state_table console_state = {
    .name = "virtio-console",
    .version = 1,
    .size = sizeof(struct virtio_console),
    .fields = console_fields,
    .field_count = ARRAY_SIZE(console_fields),
    .post_load = console_post_load,
};

const struct dev_class virtio_console_class = {
    .name = "virtio-console",
    .place = DEV_IN_VMX,
    .layout = console_layout,
    .create = console_create,
    .destroy = console_destroy,
    .reset = virtio_pci_reset,
    .quiesce = virtio_pci_quiesce,
    .resume = virtio_pci_resume,
    .read = virtio_pci_read,
    .write = virtio_pci_write,
    .state = &console_state,
};
