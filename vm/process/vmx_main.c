/* SPDX-License-Identifier: Apache-2.0 */
/* The process `vmx`: device models that read guest memory, their back ends, and what the guest
 * starts with.
 *
 * Threads: the main loop (console, link, timers), one that serves register accesses by call slots,
 * and those that devices have for their I/O. It gets all files from the parent and opens none,
 * which holds from its first moments on (sandbox_no_files). It builds its half of the board when
 * vmm has sent the descriptors, loads the start program, confines itself and then serves until vmm
 * or the parent is gone. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/thread.h"
#include "config/vmcfg.h"
#include "vm/backend/blk.h"
#include "vm/backend/chr_ring.h"
#include "vm/backend/console_page.h"
#include "vm/backend/nic.h"
#include "vm/engine/host_cpu.h"
#include "vm/process/board.h"
#include "vm/process/boot.h"
#include "vm/process/child.h"
#include "vm/process/handover.h"
#include "vm/process/sandbox.h"
#include "vm/process/state.h"
#include "vm/process/usage.h"

/* A disk, to whom it belongs: for what is told of it from its own thread. */
struct vmx_disk {
    struct vmx *vmx;
    unsigned place;
};

struct vmx {
    struct child_env env;
    struct usage *usage;
    struct board *board;
    struct boot *boot;
    struct handover handover;           /* disks use theirs as long as they are open */
    struct blk *blk[VMCFG_DISK_PLACES]; /* NULL: none, nor may one come */
    struct vmx_disk disk[VMCFG_DISK_PLACES];
    struct nic *nic[VMCFG_NIC_PLACES];
    struct chr *serial, *console;
    struct chr_ring *serial_ring;
    struct console_page *console_page; /* NULL: no display */
    struct bytering tablet;
    struct loop_source control, link;
    bool paused;
    pthread_t server;
    atomic_bool server_stop;
};

/* From any thread: to vmm, which owns the machine. */
static void request(void *ctx, enum machine_request what)
{
    struct link_message m = {.kind = LINK_REQUEST, .value = what};

    (void)ctx;
    (void)link_send(VM_FD_LINK, &m, NULL, 0);
}

/* --- register accesses --- */

static uint64_t serve(void *ctx, const struct callslot *call)
{
    return board_serve(((struct vmx *)ctx)->board, call);
}

static void *server_main(void *arg)
{
    struct vmx *v = arg;

    sandbox_enter(SANDBOX_VMX_CALL);
    callslot_serve(&v->env.shared->calls, &v->server_stop, serve, v);
    return NULL;
}

/* --- back ends --- */

static int open_given(struct vmx *v, const struct vmcfg_disk *disk, unsigned place, struct aio *aio,
                      struct disk **ret_disk, struct err *err)
{
    struct disk_options options = handover_disk_options(disk);
    struct disk_given *given = &v->handover.disk[place];

    int rc = disk_open(&given->host, given->file[0].name, &options, aio, ret_disk, err);
    if (rc == 0)
        disk_count_into(*ret_disk, &v->usage->disk[place]);
    return rc;
}

static int open_empty(struct vmx *v, unsigned place, struct err *err)
{
    struct aio *aio = NULL;
    int rc = aio_create(AIO_AUTO, &aio, err);

    return rc < 0 ? rc : blk_disk_open_empty(aio, &v->blk[place], err);
}

static int open_disk(struct vmx *v, unsigned i, struct err *err)
{
    unsigned place = vmcfg_disk_place(&v->env.cfg, i);
    struct aio *aio = NULL;
    struct disk *opened;

    if (!v->handover.disk[place].count)
        return open_empty(v, place, err);
    int rc = aio_create(AIO_AUTO, &aio, err);
    if (rc == 0)
        rc = open_given(v, &v->env.cfg.disks[i], place, aio, &opened, err);
    return rc < 0 ? rc : blk_disk_open(opened, &v->blk[place], err);
}

static int open_nic(struct vmx *v, unsigned i, struct err *err)
{
    const struct vmcfg_nic *nic = &v->env.cfg.nics[i];
    unsigned place = vmcfg_nic_place(&v->env.cfg, i);
    struct handover_nic *given = &v->handover.nic[place];
    struct nic_params params = {.kind = nic->type == VMCFG_NIC_TAP ? NIC_TAP : NIC_USER,
                                .queues = nic->queues,
                                .vhost = given->count == 2 * nic->queues};

    if (given->count != nic->queues && !params.vhost)
        return err_set(err, -EBADMSG, "network card %u was not handed over", nic->index);
    memcpy(params.fd, given->fd, nic->queues * sizeof given->fd[0]);
    if (params.vhost)
        memcpy(params.vhost_fd, given->fd + nic->queues, nic->queues * sizeof given->fd[0]);
    memcpy(params.mac, nic->mac, sizeof params.mac);
    int rc = nic_create(&params, &v->nic[place], err);
    if (rc == 0)
        nic_count_into(v->nic[place], &v->usage->nic[place]);
    if (rc == 0)
        nic_set_link(v->nic[place], nic->connected);
    return rc;
}

/* A user-mode card that has no network yet. */
static int open_no_nic(struct vmx *v, unsigned place, struct err *err)
{
    const struct nic_params params = {.kind = NIC_USER, .fd = {-1}, .queues = 1};
    int rc = nic_create(&params, &v->nic[place], err);

    if (rc < 0)
        return rc;
    nic_unplug(v->nic[place]);
    nic_count_into(v->nic[place], &v->usage->nic[place]);
    return 0;
}

/* What of each slot with hot-plug nothing is configured for, for what may come (board.h). */
static int open_spares(struct vmx *v, struct err *err)
{
    int rc = 0;

    for (unsigned i = 0; i < VMCFG_SLOTS_MAX && rc == 0; i++) {
        if (!(v->env.cfg.slots & BIT(i)))
            continue;
        if (!v->blk[VMCFG_DISKS_MAX + i])
            rc = open_empty(v, VMCFG_DISKS_MAX + i, err);
        if (rc == 0 && !v->nic[VMCFG_NICS_MAX + i])
            rc = open_no_nic(v, VMCFG_NICS_MAX + i, err);
    }
    return rc;
}

static int open_stream(struct vmx *v, const struct vmcfg_stream *stream, int fd,
                       struct chr **ret_chr, struct err *err)
{
    static const enum chr_kind kinds[] = {[VMCFG_STREAM_NONE] = CHR_NONE,
                                          [VMCFG_STREAM_STDIO] = CHR_STREAM,
                                          [VMCFG_STREAM_UNIX] = CHR_LISTEN,
                                          [VMCFG_STREAM_FILE] = CHR_FILE};
    enum chr_kind kind = kinds[stream->type];

    return chr_create(kind, kind == CHR_NONE ? -1 : fd, v->env.loop, ret_chr, err);
}

static int open_serial(struct vmx *v, struct err *err)
{
    struct bytering out, in;

    int rc = open_stream(v, &v->env.cfg.serial, VM_FD_SERIAL, &v->serial, err);
    if (rc == 0)
        rc = link_ring_reader(v->env.shared, LINK_UART_TX, &out);
    if (rc == 0)
        rc = link_ring_writer(v->env.shared, LINK_UART_RX, &in);
    return rc < 0 ? rc : chr_ring_create(v->serial, &out, &in, v->env.loop, &v->serial_ring, err);
}

static int open_backends(struct vmx *v, struct err *err)
{
    int rc = usage_map(VM_FD_USAGE, true, &v->usage);

    if (rc < 0)
        return err_sys(err, rc, "the VM's counters");
    rc = open_serial(v, err);
    if (rc == 0 && v->env.cfg.console.type != VMCFG_STREAM_NONE)
        rc = open_stream(v, &v->env.cfg.console, VM_FD_CONSOLE, &v->console, err);
    handover_init(&v->handover);
    if (rc == 0)
        rc = handover_receive(&v->handover, VM_FD_CONTROL, err);
    for (unsigned i = 0; i < v->env.cfg.disk_count && rc == 0; i++)
        rc = open_disk(v, i, err);
    for (unsigned i = 0; i < v->env.cfg.nic_count && rc == 0; i++)
        rc = open_nic(v, i, err);
    return rc < 0 ? rc : open_spares(v, err);
}

/* From a disk's thread. */
static void on_full(void *ctx)
{
    const struct vmx_disk *disk = ctx;
    struct link_message m = {.kind = LINK_NO_SPACE, .value = disk->place};

    (void)link_send(VM_FD_CONTROL, &m, NULL, 0);
}

/* Before the devices have them. */
static void watch_room(struct vmx *v)
{
    for (unsigned i = 0; i < VMCFG_DISK_PLACES; i++) {
        v->disk[i] = (struct vmx_disk){v, i};
        if (!v->blk[i])
            continue;
        v->blk[i]->full = on_full;
        v->blk[i]->full_ctx = &v->disk[i];
    }
}

/* --- building --- */

/* Takes the descriptors of all devices of ours, in board order, until BUILD. */
static int receive_board(struct board *board, struct err *err)
{
    int fds[LINK_FDS_MAX];
    struct link_message m;
    unsigned count;

    for (;;) {
        int rc = link_receive(VM_FD_LINK, &m, fds, LINK_FDS_MAX, &count);
        if (rc < 0)
            return rc;
        if (m.kind == LINK_BUILD)
            return 0;
        if (m.kind != LINK_DEVICE_FDS || m.value >= board->count ||
            board_take_fds(board->device[m.value], fds, count) < 0)
            return err_set(err, -EBADMSG, "vmm sent what the board does not have");
    }
}

static void show(void *ctx, const struct display_surface *surface)
{
    console_page_publish(((struct vmx *)ctx)->console_page, surface);
}

static int attach_tablet(struct vmx *v, struct xhci_params *params)
{
    static const int fds[] = {VM_FD_TABLET, VM_FD_TABLET + 1};

    *params = (struct xhci_params){&v->tablet, &v->console_page->tablet};
    return console_page_reader(v->console_page, CONSOLE_TABLET, fds, &v->tablet);
}

static int build_board(struct vmx *v, struct err *err)
{
    struct board_parts parts = {
        .fw_cfg = boot_fw_cfg(v->boot), .blk = v->blk, .nic = v->nic, .console = v->console};
    struct board_env env = {.gmem = v->env.gmem,
                            .loop = v->env.loop,
                            .shared = v->env.shared,
                            .request = request,
                            .request_ctx = v};

    int rc = 0;
    if (vmcfg_has_display(&v->env.cfg)) {
        rc = console_page_map(VM_FD_CONSOLE_PAGE, &v->console_page, err);
        parts.display = (struct display_sink){show, v};
    }
    if (rc == 0 && vmcfg_has_tablet(&v->env.cfg))
        rc = attach_tablet(v, &parts.xhci);
    if (rc == 0)
        rc = board_build(&v->env.cfg, &parts, &v->board, err);
    if (rc == 0)
        rc = receive_board(v->board, err);
    if (rc == 0)
        rc = boot_set_board(v->boot, v->board, err);
    return rc < 0 ? rc : board_create_devices(v->board, DEV_IN_VMX, &env, err);
}

static void send_entry(struct vmx *v, enum link_kind kind)
{
    struct link_message m = {.kind = kind};
    struct err err = ERR_INIT;

    /* A machine that goes on has its memory already. */
    if ((kind != LINK_READY || !v->env.cfg.state) && boot_load(v->boot, &m.entry, &err) < 0) {
        child_report(&v->env, VM_END_BAD_FILE, err.text);
        loop_stop(v->env.loop, 0);
        return;
    }
    (void)link_send(VM_FD_LINK, &m, NULL, 0);
}

static void on_link(void *ctx, uint32_t events)
{
    struct vmx *v = ctx;
    struct link_message m;

    (void)events;
    if (link_receive(VM_FD_LINK, &m, NULL, 0, NULL) < 0) {
        loop_stop(v->env.loop, 0); /* vmm is gone */
        return;
    }
    if (m.kind == LINK_RESET_DEVICE)
        board_reset_device(v->board, m.value);
    if (m.kind == LINK_RESET) {
        board_reset_devices(v->board, DEV_IN_VMX);
        send_entry(v, LINK_RESET_DONE);
    }
}

/* A card that has lost power is reset before anything else is done to it. */
static void drain_link(struct vmx *v)
{
    struct pollfd waiting = {.fd = VM_FD_LINK, .events = POLLIN};

    while (poll(&waiting, 1, 0) == 1 && waiting.revents == POLLIN)
        on_link(v, 0);
}

/* --- what the parent does to a VM that runs --- */

static struct state_machine state_machine_of(struct vmx *v)
{
    return (struct state_machine){.board = v->board, .shared = v->env.shared, .place = DEV_IN_VMX};
}

/* After this everything that the guest has written is on stable storage. */
static int pause_devices(struct vmx *v, struct err *err)
{
    int rc = 0;

    drain_link(v);
    board_quiesce_devices(v->board, DEV_IN_VMX);
    v->paused = true;
    for (unsigned i = 0; i < VMCFG_DISK_PLACES && rc == 0; i++)
        rc = v->blk[i] ? blk_disk_flush(v->blk[i]) : 0;
    return rc < 0 ? err_sys(err, rc, "cannot flush a disk") : 0;
}

static int resume_devices(struct vmx *v)
{
    if (v->paused)
        board_resume_devices(v->board, DEV_IN_VMX);
    v->paused = false;
    return 0;
}

static void forget_files(struct vmx *v, unsigned i)
{
    disk_given_free(&v->handover.disk[i]);
    disk_given_init(&v->handover.disk[i], NULL);
}

static int close_disk(struct vmx *v, unsigned i, struct err *err)
{
    int rc = blk_disk_take(v->blk[i]);

    if (rc < 0)
        return err_sys(err, rc, "cannot flush disk %u", i);
    forget_files(v, i);
    return 0;
}

static int change_disk(struct vmx *v, unsigned i, const struct link_disk *what, struct err *err)
{
    const struct vmcfg_disk disk = {.format = what->format, .readonly = what->readonly};
    struct disk *opened;
    int rc = 0;

    if (!v->handover.disk[i].count)
        return 0; /* no disc */
    if (what->format >= VMCFG_FORMAT_MAX)
        return err_set(err, -EBADMSG, "an unknown format");
    rc = open_given(v, &disk, i, v->blk[i]->aio, &opened, err);
    if (rc == 0)
        blk_disk_put(v->blk[i], opened);
    else
        forget_files(v, i);
    return rc;
}

static int plug_nic(struct vmx *v, unsigned place, const struct link_nic *what, struct err *err)
{
    struct handover_nic *given = &v->handover.nic[place];
    int rc = given->count == 1 ? nic_plug(v->nic[place], given->fd[0], what->mac) : -EINVAL;

    given->count = given->count == 1 ? 0 : given->count;
    handover_nic_free(given);
    if (rc < 0)
        return err_set(err, rc, "a network card of this kind can not be added to a running VM");
    nic_set_link(v->nic[place], what->connected);
    return 0;
}

static int save_devices(struct vmx *v, int fd, struct err *err)
{
    struct state_machine machine = state_machine_of(v);

    for (unsigned i = 0; i < VMCFG_DISK_PLACES; i++)
        if (v->blk[i] && v->blk[i]->held_count)
            return err_set(err, -ENOSPC, "there is no room for what the guest has written");
    return fd < 0 ? err_set(err, -EBADMSG, "nowhere to save to") : state_write(&machine, fd, err);
}

static int change(struct vmx *v, const struct link_message *m, int fd, struct err *err)
{
    struct blk *blk = m->value < VMCFG_DISK_PLACES ? v->blk[m->value] : NULL;
    unsigned place = m->kind == LINK_NIC_LINK ? m->value / 2 : m->value;
    struct nic *nic = place < VMCFG_NIC_PLACES ? v->nic[place] : NULL;

    if (m->kind == LINK_PAUSE)
        return pause_devices(v, err);
    if (m->kind == LINK_RESUME)
        return resume_devices(v);
    if (!v->paused)
        return err_set(err, -EINVAL, "the VM does not stand still");
    if (m->kind == LINK_SAVE)
        return save_devices(v, fd, err);
    if (m->kind == LINK_DISK_CLOSE && blk)
        return close_disk(v, m->value, err);
    if (m->kind == LINK_DISK_OPEN && blk)
        return change_disk(v, m->value, &m->disk, err);
    if (m->kind == LINK_NIC_OPEN && nic)
        return plug_nic(v, place, &m->nic, err);
    if (m->kind == LINK_NIC_CLOSE && nic) {
        nic_unplug(nic);
        return 0;
    }
    if (m->kind == LINK_NIC_LINK && nic) {
        nic_set_link(nic, m->value % 2);
        return 0;
    }
    return err_set(err, -EBADMSG, "an unknown request");
}

static void on_control(void *ctx, uint32_t events)
{
    struct vmx *v = ctx;
    struct err err = ERR_INIT;
    struct link_message m, done = {.kind = LINK_DONE};
    int fd = -1;
    unsigned count = 0;

    (void)events;
    if (link_receive(VM_FD_CONTROL, &m, &fd, 1, &count) < 0) {
        loop_stop(v->env.loop, 0);
        return;
    }
    if (m.kind == LINK_RETRY) {
        if (!v->paused) { /* else it comes with the next RESUME */
            board_quiesce_devices(v->board, DEV_IN_VMX);
            board_resume_devices(v->board, DEV_IN_VMX);
        }
        return;
    }
    if (m.kind == LINK_DISK_FILE || m.kind == LINK_NIC) { /* come before OPEN, without an answer */
        (void)handover_take(&v->handover, &m, &fd, count);
        return;
    }
    done.value = (uint32_t)-change(v, &m, fd, &err);
    (void)snprintf(done.text, sizeof done.text, "%s", done.value ? err.text : "");
    (void)link_send(VM_FD_CONTROL, &done, NULL, 0);
    (void)close_fd(fd);
}

/* Devices are as they were, and stand still. */
static int restore_devices(struct vmx *v, struct err *err)
{
    struct state_machine machine = state_machine_of(v);

    if (!v->env.cfg.state)
        return 0;
    board_quiesce_devices(v->board, DEV_IN_VMX);
    v->paused = true;
    int rc = state_read(&machine, VM_FD_STATE, err);
    (void)close(VM_FD_STATE);
    return rc;
}

static int confine_io(void)
{
    sandbox_enter(SANDBOX_VMX_IO);
    return 0;
}

static int build(struct vmx *v, struct err *err)
{
    int rc = open_backends(v, err);

    watch_room(v);
    thread_set_hook(confine_io);
    if (rc == 0)
        rc = boot_create(&v->env, &v->boot, err);
    if (rc == 0)
        rc = build_board(v, err);
    if (rc == 0)
        rc = restore_devices(v, err);
    if (rc == 0)
        rc = loop_add_fd(v->env.loop, &v->control, VM_FD_CONTROL, EPOLLIN, on_control, v);
    if (rc == 0)
        rc = loop_add_fd(v->env.loop, &v->link, VM_FD_LINK, EPOLLIN, on_link, v);
    if (rc == 0 && (rc = thread_start(&v->server, "register-access", server_main, v)) < 0)
        (void)err_sys(err, rc, "cannot start a thread");
    return rc;
}

/* In order: no access is served any more, no request is in flight, disks are flushed and closed. */
static void shut_down(struct vmx *v)
{
    atomic_store(&v->server_stop, true);
    callslot_wake(&v->env.shared->calls);
    (void)pthread_join(v->server, NULL);
    board_destroy(v->board);
    chr_ring_drain(v->serial_ring);
}

int main(void)
{
    struct err err = ERR_INIT;
    struct vmx v = {0};

    int rc = child_init(&v.env, "vmx", &err);
    sandbox_no_files();
    if (rc == 0)
        rc = build(&v, &err);
    if (rc < 0) {
        child_report(&v.env, VM_END_BAD_FILE, err.text);
        return EXIT_FAILURE;
    }
    sandbox_enter(SANDBOX_VMX_MAIN);
    send_entry(&v, LINK_READY);
    (void)loop_run(v.env.loop);
    shut_down(&v);
    _exit(EXIT_SUCCESS);
}
