/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/change.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "base/range.h"
#include "vm/process/change_run.h"
#include "vm/process/handover.h"
#include "vm/process/resources.h"
#include "vm/process/savefile.h"

enum { EJECT_MS = 30000, EJECT_LOOK_MS = 100, REOPEN_MS = 60000, REOPEN_LOOK_MS = 200 };

/* One change under way: what stands at each place now, and what is to. */
struct work {
    struct change_machine *m;
    struct vm_change *change;
    bool stands; /* the guest has to; for a .vmx alone it has not */
    const struct vmcfg_disk *now[VMCFG_DISK_PLACES], *next[VMCFG_DISK_PLACES];
    const struct vmcfg_nic *now_nic[VMCFG_NIC_PLACES], *next_nic[VMCFG_NIC_PLACES];
    uint64_t grow[VMCFG_DISK_PLACES];
    bool closed[VMCFG_DISK_PLACES], opened[VMCFG_DISK_PLACES], made[VMCFG_DISK_PLACES];
    bool plugged[VMCFG_NIC_PLACES];
    unsigned ejected; /* bit n: the card of slot n + 1 has been taken out */
    struct err *err;
};

/* --- requests --- */

/* The answer, or the end of the VM, which has come instead. */
static int await(struct work *w, int socket)
{
    struct link_message m;

    for (;;) {
        int rc = link_receive(socket, &m, NULL, 0, NULL);
        if (rc < 0)
            return err_set(w->err, -EPIPE, "a process of the VM has ended");
        m.text[sizeof m.text - 1] = '\0';
        if (m.kind == LINK_ENDED) {
            w->m->last_word = m;
            w->m->has_ended = true;
            return err_set(w->err, -EPIPE, "the VM has ended");
        }
        if (m.kind == LINK_NO_SPACE)
            w->m->no_space = true;
        if (m.kind == LINK_DONE && m.value)
            return err_set(w->err, m.value < 4096 ? -(int)m.value : -EIO, "%s", m.text);
        if (m.kind == LINK_DONE)
            return 0;
    }
}

static int send_to(struct work *w, int socket, const struct link_message *m, int fd)
{
    int rc = link_send(socket, m, &fd, fd >= 0);

    return rc < 0 ? err_sys(w->err, rc, "a process of the VM") : 0;
}

/* Sends a request and waits for its answer. */
static int ask_with(struct work *w, int socket, const struct link_message *m, int fd)
{
    int rc = send_to(w, socket, m, fd);

    return rc < 0 ? rc : await(w, socket);
}

static int ask(struct work *w, int socket, enum link_kind kind, uint32_t value, int fd)
{
    struct link_message m = {.kind = kind, .value = value};

    return ask_with(w, socket, &m, fd);
}

static bool cancelled(const struct work *w)
{
    return atomic_load(&w->change->cancel);
}

/* --- state --- */

static int on_memory(void *ctx, unsigned percent)
{
    struct work *w = ctx;

    atomic_store(&w->m->percent, percent);
    w->m->tell(w->m->tell_ctx);
    return cancelled(w) ? -ECANCELED : 0;
}

static int save(struct work *w)
{
    cleanup_fd int vmm = memfd_create("state", MFD_CLOEXEC);
    cleanup_fd int vmx = memfd_create("state", MFD_CLOEXEC);
    struct savefile_parts parts = {vmm, vmx};
    int rc = vmm < 0 || vmx < 0 ? err_sys(w->err, -errno, "the VM's state") : 0;

    if (rc == 0)
        rc = ask(w, w->m->vmx, LINK_SAVE, 0, vmx);
    if (rc == 0)
        rc = ask(w, w->m->vmm, LINK_SAVE, 0, vmm);
    return rc < 0 ? rc
                  : savefile_write(w->change->state_fd, w->m->cfg, &parts, w->m->gmem, on_memory, w,
                                   w->err);
}

/* --- disks --- */

static bool same_file(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static int open_disk(struct work *w, const struct vmcfg_disk *disk, unsigned place)
{
    struct link_message m = {.kind = LINK_DISK_OPEN, .value = place};
    struct disk_given given;

    m.disk = (struct link_disk){.format = (uint8_t)disk->format, .readonly = disk->readonly};
    disk_given_init(&given, NULL);
    int rc = handover_open_disk(&given, disk, w->err);
    if (rc == 0 && (rc = handover_send_disk(&given, place, w->m->vmx)) < 0)
        (void)err_sys(w->err, rc, "a process of the VM");
    disk_given_free(&given);
    return rc < 0 ? rc : ask_with(w, w->m->vmx, &m, -1);
}

/* The folder of `path` and both names in it. */
static int open_folder(const char *path, const char *other, struct disk_dir *dir,
                       const char **ret_name, const char **ret_other, struct err *err)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) + 1 : 0;

    if (strncmp(path, other, len) != 0 || strchr(other + len, '/'))
        return err_set(err, -EXDEV, "\"%s\" and \"%s\" are not in one folder", path, other);
    *ret_other = other + len;
    return disk_dir_open_for(dir, path, ret_name, err);
}

static int on_merge(void *ctx, uint64_t done, uint64_t total)
{
    (void)done, (void)total;
    return cancelled(ctx) ? -ECANCELED : 0;
}

static int grow(struct work *w, unsigned place)
{
    cleanup_aio struct aio *aio = NULL;
    struct disk_dir dir;
    const char *name;
    int rc = disk_dir_open_for(&dir, w->now[place]->file, &name, w->err);

    if (rc < 0)
        return rc;
    rc = aio_create(AIO_PLAIN, &aio, w->err);
    if (rc == 0)
        rc = disk_extend(&dir.host, name, w->grow[place], false, aio, on_merge, w, w->err);
    disk_dir_close(&dir);
    return rc;
}

/* The old disk's next one is made, or gets what the old one holds. */
static int prepare(struct work *w, unsigned place)
{
    const char *was = w->now[place]->file, *becomes = w->next[place]->file;
    unsigned flags = w->change->flags & (VM_CHANGE_CHILDREN | VM_CHANGE_MERGE);
    cleanup_aio struct aio *aio = NULL;
    struct disk_dir dir;
    const char *name, *old;

    if (w->grow[place] && was)
        return grow(w, place);
    if (!flags || !was || !becomes || same_file(was, becomes))
        return 0;
    int rc = open_folder(becomes, was, &dir, &name, &old, w->err);
    if (rc < 0)
        return rc;
    rc = aio_create(AIO_PLAIN, &aio, w->err);
    if (rc == 0 && flags & VM_CHANGE_CHILDREN) {
        struct disk_spec spec = {.format = DISK_VMDK_SPARSE, .parent = old};
        rc = disk_create(&dir.host, name, &spec, aio, NULL, NULL, w->err);
        w->made[place] = rc == 0;
    } else if (rc == 0) {
        struct disk_merge merge = {.name = old, .into = name, .layers = 1};
        rc = disk_merge_layers(&dir.host, &merge, aio, on_merge, w, w->err);
    }
    disk_dir_close(&dir);
    return rc;
}

static void unmake(const char *path)
{
    struct disk_dir dir;
    const char *name;

    if (disk_dir_open_for(&dir, path, &name, NULL) < 0)
        return;
    (void)dir.host.unlink(&dir.host, name);
    disk_dir_close(&dir);
}

static bool stays(const struct work *w, unsigned place)
{
    return w->now[place] && w->next[place] && !w->grow[place] &&
           !(w->change->flags & VM_CHANGE_REOPEN && !w->now[place]->readonly) &&
           same_file(w->now[place]->file, w->next[place]->file);
}

static int change_disks(struct work *w)
{
    int rc = 0;

    for (unsigned i = 0; i < VMCFG_DISK_PLACES && rc == 0; i++) {
        if (!w->now[i] || stays(w, i))
            continue;
        rc = ask(w, w->m->vmx, LINK_DISK_CLOSE, i, -1);
        w->closed[i] = rc == 0;
    }
    for (unsigned i = 0; i < VMCFG_DISK_PLACES && rc == 0; i++) {
        if (!w->next[i] || stays(w, i))
            continue;
        if (w->now[i])
            rc = prepare(w, i);
        if (rc == 0)
            rc = open_disk(w, w->next[i], i);
        w->opened[i] = rc == 0;
    }
    return rc;
}

/* Waits; true: it has not ended meanwhile. */
static bool vmx_lives(const struct work *w, int ms)
{
    struct pollfd control = {.fd = w->m->vmx};

    return poll(&control, 1, ms) == 0;
}

/* What the VM had it must have again. A file may be locked by somebody who looks at it, a datastore
 * away for a moment: the guest stands still and hears nothing of it. */
static int reopen_disk(struct work *w, unsigned place)
{
    uint64_t end = clock_now() + REOPEN_MS * UINT64_C(1000000);
    int rc = open_disk(w, w->now[place], place);

    while (rc < 0 && rc != -EPIPE && clock_now() < end && vmx_lives(w, REOPEN_LOOK_MS)) {
        *w->err = ERR_INIT;
        rc = open_disk(w, w->now[place], place);
    }
    return rc;
}

/* All disks as they were; what can not be, for a minute, is the end of the VM. */
static void restore_disks(struct work *w)
{
    struct err err = ERR_INIT, *cause = w->err;

    w->err = &err;
    for (unsigned i = 0; i < VMCFG_DISK_PLACES; i++) {
        int rc = w->opened[i] ? ask(w, w->m->vmx, LINK_DISK_CLOSE, i, -1) : 0;
        if (w->made[i])
            unmake(w->next[i]->file);
        if (rc == 0 && w->closed[i])
            rc = reopen_disk(w, i);
        if (rc < 0)
            w->m->lost = err;
    }
    w->err = cause;
}

/* --- network cards --- */

static int plug(struct work *w, unsigned place)
{
    const struct vmcfg_nic *nic = w->next_nic[place];
    struct link_message m = {.kind = LINK_NIC_OPEN, .value = place};
    struct handover_nic given = {.count = 0};

    memcpy(m.nic.mac, nic->mac, sizeof m.nic.mac);
    m.nic.connected = nic->connected;
    int rc = resources_open_nic(nic, &given, w->err);
    if (rc == 0 && (rc = handover_send_nic(&given, place, w->m->vmx)) < 0)
        (void)err_sys(w->err, rc, "a process of the VM");
    handover_nic_free(&given);
    return rc < 0 ? rc : ask_with(w, w->m->vmx, &m, -1);
}

static int plug_new(struct work *w)
{
    int rc = 0;

    for (unsigned i = 0; i < VMCFG_NIC_PLACES && rc == 0; i++)
        if (w->next_nic[i] && !w->now_nic[i]) {
            rc = plug(w, i);
            w->plugged[i] = rc == 0;
        }
    return rc;
}

static void unplug(struct work *w, unsigned place)
{
    (void)ask(w, w->m->vmx, LINK_NIC_CLOSE, place, -1);
}

/* Cables, and networks of cards that have gone. */
static void change_cables(struct work *w)
{
    for (unsigned i = 0; i < VMCFG_NIC_PLACES; i++) {
        if (w->now_nic[i] && !w->next_nic[i])
            unplug(w, i);
        else if (w->now_nic[i] && w->now_nic[i]->connected != w->next_nic[i]->connected)
            (void)ask(w, w->m->vmx, LINK_NIC_LINK, i * 2 + w->next_nic[i]->connected, -1);
    }
}

static void restore_cards(struct work *w)
{
    for (unsigned i = 0; i < VMCFG_NIC_PLACES; i++)
        if (w->plugged[i])
            unplug(w, i);
}

/* --- slots with hot-plug --- */

static bool comes(const struct work *w, unsigned slot, bool nic)
{
    unsigned disk = VMCFG_DISKS_MAX + slot, card = VMCFG_NICS_MAX + slot;

    return nic ? w->next_nic[card] && !w->now_nic[card] : w->next[disk] && !w->now[disk];
}

static bool goes(const struct work *w, unsigned slot, bool nic)
{
    unsigned disk = VMCFG_DISKS_MAX + slot, card = VMCFG_NICS_MAX + slot;

    return nic ? w->now_nic[card] && !w->next_nic[card] : w->now[disk] && !w->next[disk];
}

/* The guest may take its time, or never answer: then the card stays in. */
static int eject(struct work *w, unsigned slot)
{
    struct link_message order = {.kind = LINK_CARD_EJECT, .value = slot + 1};
    struct pollfd answered = {.fd = w->m->vmm, .events = POLLIN};
    uint64_t end = clock_now() + EJECT_MS * UINT64_C(1000000);
    int rc = send_to(w, w->m->vmm, &order, -1);

    while (rc == 0 && poll(&answered, 1, EJECT_LOOK_MS) <= 0 && clock_now() < end && !cancelled(w))
        ;
    if (rc == 0 && poll(&answered, 1, 0) <= 0) {
        order.kind = LINK_CARD_KEEP;
        rc = send_to(w, w->m->vmm, &order, -1);
    }
    if (rc == 0)
        rc = await(w, w->m->vmm);
    if (rc == -ETIMEDOUT && cancelled(w))
        return err_set(w->err, -ECANCELED, "cancelled");
    if (rc == -ETIMEDOUT)
        return err_set(w->err, rc,
                       "the guest does not let go of the device in slot %u; it has %u s to do so",
                       vmcfg_slot_number(slot + 1), EJECT_MS / 1000);
    return rc;
}

static int eject_all(struct work *w)
{
    int rc = 0;

    for (unsigned slot = 0; slot < VMCFG_SLOTS_MAX && rc == 0; slot++) {
        if (!goes(w, slot, false) && !goes(w, slot, true))
            continue;
        rc = eject(w, slot);
        w->ejected |= rc == 0 ? BIT(slot) : 0;
    }
    return rc;
}

static void insert(struct work *w, unsigned slot, bool nic)
{
    int rc = ask(w, w->m->vmm, LINK_CARD_INSERT, (slot + 1) * 2 + nic, -1);

    if (rc < 0)
        (void)err_prefix(w->err, rc, "the device for slot %u comes at the next start only",
                         vmcfg_slot_number(slot + 1));
}

/* What has come; or, when nothing came of the change, what was taken out. The guest runs. */
static void insert_all(struct work *w, bool done)
{
    for (unsigned slot = 0; slot < VMCFG_SLOTS_MAX; slot++)
        for (unsigned nic = 0; nic < 2; nic++)
            if (done ? comes(w, slot, nic) : goes(w, slot, nic) && w->ejected & BIT(slot))
                insert(w, slot, nic);
}

/* --- what may change --- */

static int copy_config(const struct vmcfg *from, struct vmcfg *ret, struct err *err)
{
    cleanup_buf struct buf text = {0};
    int rc = vmcfg_encode(from, &text);

    return rc < 0 ? err_sys(err, rc, "the configuration")
                  : vmcfg_decode(text.data, text.len, ret, err);
}

static void list_places(struct work *w, const struct vmcfg *now, const struct vmcfg *next)
{
    for (unsigned i = 0; i < now->disk_count; i++)
        w->now[vmcfg_disk_place(now, i)] = &now->disks[i];
    for (unsigned i = 0; i < next->disk_count; i++) {
        w->next[vmcfg_disk_place(next, i)] = &next->disks[i];
        w->grow[vmcfg_disk_place(next, i)] = w->change->grow[i];
    }
    for (unsigned i = 0; i < now->nic_count; i++)
        w->now_nic[vmcfg_nic_place(now, i)] = &now->nics[i];
    for (unsigned i = 0; i < next->nic_count; i++)
        w->next_nic[vmcfg_nic_place(next, i)] = &next->nics[i];
}

static bool same_disk(const struct vmcfg_disk *a, const struct vmcfg_disk *b)
{
    return a->bus == b->bus && a->unit == b->unit && a->controller == b->controller &&
           a->readonly == b->readonly;
}

/* A card that a slot can get or lose while the VM runs. */
static bool is_simple(const struct vmcfg_nic *nic)
{
    return nic->type == VMCFG_NIC_USER && nic->queues == 1;
}

/* Disks and cards that stand in no slot stay where they are. */
static int check_places(struct work *w)
{
    bool same = true, simple = true;

    for (unsigned i = 0; i < VMCFG_DISK_PLACES; i++)
        if (w->now[i] && w->next[i])
            same &= same_disk(w->now[i], w->next[i]);
        else
            same &= i >= VMCFG_DISKS_MAX || w->now[i] == w->next[i];
    for (unsigned i = 0; i < VMCFG_NIC_PLACES; i++)
        if (w->now_nic[i] && w->next_nic[i])
            same &= w->now_nic[i]->index == w->next_nic[i]->index;
        else if (i < VMCFG_NICS_MAX)
            same &= w->now_nic[i] == w->next_nic[i];
        else if (w->now_nic[i] != w->next_nic[i])
            simple &= is_simple(w->now_nic[i] ? w->now_nic[i] : w->next_nic[i]);
    for (unsigned slot = 0; slot < VMCFG_SLOTS_MAX; slot++)
        same &= !(comes(w, slot, false) || comes(w, slot, true)) || w->m->cfg->slots & BIT(slot);
    if (!same)
        return err_set(w->err, -EINVAL,
                       "a running VM keeps its disks and network cards but for those in slots with "
                       "hot-plug");
    return simple ? 0
                  : err_set(w->err, -EINVAL,
                            "a running VM gets and loses network cards of one queue at user-mode "
                            "networks only");
}

/* *ret_next: what the VM is then. A card that stays is what it was but for its cable. */
static int plan(struct work *w, struct vmcfg *ret_next)
{
    const struct vmcfg *wanted = w->change->cfg;

    if (!wanted)
        return 0;
    list_places(w, w->m->cfg, wanted);
    int rc = check_places(w);
    if (rc == 0)
        rc = copy_config(wanted, ret_next, w->err);
    for (unsigned i = 0; rc == 0 && i < ret_next->nic_count; i++) {
        const struct vmcfg_nic *now = w->now_nic[vmcfg_nic_place(ret_next, i)];
        bool connected = ret_next->nics[i].connected;
        if (now)
            ret_next->nics[i] = *now;
        ret_next->nics[i].connected = connected;
    }
    return rc;
}

static void take_changes(struct vmcfg *cfg, struct vmcfg *next)
{
    struct vmcfg was = *cfg;

    cfg->disks = next->disks;
    cfg->disk_count = next->disk_count;
    cfg->nics = next->nics;
    cfg->nic_count = next->nic_count;
    next->disks = was.disks;
    next->disk_count = was.disk_count;
    next->nics = was.nics;
    next->nic_count = was.nic_count;
}

/* --- the whole --- */

static int stand_still(struct work *w)
{
    int rc = w->m->paused ? 0 : ask(w, w->m->vmm, LINK_PAUSE, 0, -1);

    if (rc == 0 && !w->m->paused)
        rc = ask(w, w->m->vmx, LINK_PAUSE, 0, -1);
    return rc;
}

static int go_on(struct work *w)
{
    int rc = ask(w, w->m->vmx, LINK_RESUME, 0, -1);

    if (rc == 0)
        rc = ask(w, w->m->vmm, LINK_RESUME, 0, -1);
    w->m->paused = rc < 0;
    return rc;
}

/* While the guest stands still. */
static int carry_out(struct work *w)
{
    struct vm_change *change = w->change;
    int rc = w->stands ? stand_still(w) : 0;

    if (rc == 0 && change->state_fd >= 0)
        rc = save(w);
    if (rc == 0 && change->cfg)
        rc = change_disks(w);
    if (rc == 0)
        rc = plug_new(w);
    if (rc == 0 && cancelled(w))
        rc = err_set(w->err, -ECANCELED, "cancelled");
    if (rc == 0 && change->commit)
        rc = change->commit(change->ctx, w->err);
    if (rc < 0) {
        struct err ignored = ERR_INIT, *cause = w->err;
        restore_disks(w);
        w->err = &ignored; /* the first reason counts */
        restore_cards(w);
        w->err = cause;
    } else if (change->cfg) {
        change_cables(w);
    }
    return rc;
}

/* What was tried in vain: the guest goes on as before. */
static void give_up(struct work *w, bool restored)
{
    struct err ignored = ERR_INIT;

    w->err = &ignored; /* the first reason counts */
    if (w->stands && !restored)
        (void)go_on(w);
    insert_all(w, false);
}

void change_run(struct change_machine *m, struct vm_change *change)
{
    struct work w = {.m = m, .change = change, .err = &change->err};
    cleanup_vmcfg struct vmcfg next = {0};
    bool restored = m->paused;

    w.stands = restored || change->cfg || change->state_fd >= 0;
    change->rc = plan(&w, &next);
    if (change->rc < 0)
        return;
    change->rc = restored ? 0 : eject_all(&w);
    if (change->rc < 0) {
        w.stands = false;
        give_up(&w, restored);
        return;
    }
    uint64_t began = clock_now();
    change->rc = carry_out(&w);
    if (change->rc < 0)
        give_up(&w, restored);
    else if (w.stands && !(change->flags & VM_CHANGE_END))
        change->rc = go_on(&w);
    change->stood_us = w.stands ? (clock_now() - began) / 1000 : 0;
    if (change->rc < 0)
        return;
    if (!(change->flags & VM_CHANGE_END))
        insert_all(&w, true);
    if (change->cfg)
        take_changes(m->cfg, &next);
}
