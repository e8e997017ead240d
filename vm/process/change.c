/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/change.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "base/range.h"
#include "vm/process/change_run.h"
#include "vm/process/handover.h"
#include "vm/process/savefile.h"

/* One change under way. */
struct work {
    struct change_machine *m;
    struct vm_change *change;
    bool stands; /* the guest has to; for a .vmx alone it has not */
    bool closed[VMCFG_DISKS_MAX], opened[VMCFG_DISKS_MAX], made[VMCFG_DISKS_MAX];
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
        if (m.kind == LINK_DONE && m.value)
            return err_set(w->err, m.value < 4096 ? -(int)m.value : -EIO, "%s", m.text);
        if (m.kind == LINK_DONE)
            return 0;
    }
}

static int ask(struct work *w, int socket, enum link_kind kind, uint32_t value, int fd)
{
    struct link_message m = {.kind = kind, .value = value};
    int rc = link_send(socket, &m, &fd, fd >= 0);

    return rc < 0 ? err_sys(w->err, rc, "a process of the VM") : await(w, socket);
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

static int open_disk(struct work *w, const struct vmcfg *cfg, unsigned i)
{
    struct disk_given given;

    disk_given_init(&given, NULL);
    int rc = handover_open_disk(&given, &cfg->disks[i], w->err);
    if (rc == 0 && (rc = handover_send_disk(&given, i, w->m->vmx)) < 0)
        (void)err_sys(w->err, rc, "a process of the VM");
    disk_given_free(&given);
    return rc < 0 ? rc : ask(w, w->m->vmx, LINK_DISK_OPEN, i, -1);
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

static int grow(struct work *w, unsigned i)
{
    cleanup_aio struct aio *aio = NULL;
    struct disk_dir dir;
    const char *name;
    int rc = disk_dir_open_for(&dir, w->m->cfg->disks[i].file, &name, w->err);

    if (rc < 0)
        return rc;
    rc = aio_create(AIO_PLAIN, &aio, w->err);
    if (rc == 0)
        rc = disk_extend(&dir.host, name, w->change->grow[i], false, aio, on_merge, w, w->err);
    disk_dir_close(&dir);
    return rc;
}

/* The old disk's next one is made, or gets what the old one holds. */
static int prepare(struct work *w, unsigned i)
{
    const char *was = w->m->cfg->disks[i].file, *becomes = w->change->cfg->disks[i].file;
    unsigned flags = w->change->flags & (VM_CHANGE_CHILDREN | VM_CHANGE_MERGE);
    cleanup_aio struct aio *aio = NULL;
    struct disk_dir dir;
    const char *name, *old;

    if (w->change->grow[i] && was)
        return grow(w, i);
    if (!flags || !was || !becomes)
        return 0;
    int rc = open_folder(becomes, was, &dir, &name, &old, w->err);
    if (rc < 0)
        return rc;
    rc = aio_create(AIO_PLAIN, &aio, w->err);
    if (rc == 0 && flags & VM_CHANGE_CHILDREN) {
        struct disk_spec spec = {.format = DISK_VMDK_SPARSE, .parent = old};
        rc = disk_create(&dir.host, name, &spec, aio, NULL, NULL, w->err);
        w->made[i] = rc == 0;
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

static int change_disks(struct work *w)
{
    const struct vmcfg *now = w->m->cfg, *next = w->change->cfg;
    int rc = 0;

    for (unsigned i = 0; i < next->disk_count && rc == 0; i++) {
        if (same_file(now->disks[i].file, next->disks[i].file) && !w->change->grow[i])
            continue;
        rc = ask(w, w->m->vmx, LINK_DISK_CLOSE, i, -1);
        w->closed[i] = rc == 0;
    }
    for (unsigned i = 0; i < next->disk_count && rc == 0; i++) {
        if (!w->closed[i])
            continue;
        rc = prepare(w, i);
        if (rc == 0)
            rc = open_disk(w, next, i);
        w->opened[i] = rc == 0;
    }
    return rc;
}

/* All disks as they were; what can not be is the end of the VM. */
static void restore_disks(struct work *w)
{
    struct err err = ERR_INIT, *cause = w->err;

    w->err = &err;
    for (unsigned i = 0; i < w->m->cfg->disk_count; i++) {
        int rc = w->opened[i] ? ask(w, w->m->vmx, LINK_DISK_CLOSE, i, -1) : 0;
        if (w->made[i])
            unmake(w->change->cfg->disks[i].file);
        if (rc == 0 && w->closed[i])
            rc = open_disk(w, w->m->cfg, i);
        if (rc < 0)
            w->m->lost = err;
    }
    w->err = cause;
}

/* --- cables --- */

static int change_cables(struct work *w)
{
    int rc = 0;

    for (unsigned i = 0; i < w->change->cfg->nic_count && rc == 0; i++)
        if (w->change->cfg->nics[i].connected != w->m->cfg->nics[i].connected)
            rc = ask(w, w->m->vmx, LINK_NIC_LINK, i * 2 + w->change->cfg->nics[i].connected, -1);
    return rc;
}

/* --- what may change --- */

static void swap_text(char **a, char **b)
{
    char *was = *a;

    *a = *b;
    *b = was;
}

/* What a running VM can take over. */
static void take_changes(struct vmcfg *cfg, struct vmcfg *next)
{
    for (unsigned i = 0; i < cfg->disk_count; i++) {
        swap_text(&cfg->disks[i].file, &next->disks[i].file);
        cfg->disks[i].format = next->disks[i].format;
    }
    for (unsigned i = 0; i < cfg->nic_count; i++)
        cfg->nics[i].connected = next->nics[i].connected;
}

static int copy_config(const struct vmcfg *from, struct vmcfg *ret, struct err *err)
{
    cleanup_buf struct buf text = {0};
    int rc = vmcfg_encode(from, &text);

    return rc < 0 ? err_sys(err, rc, "the configuration")
                  : vmcfg_decode(text.data, text.len, ret, err);
}

/* Both have the same disks and cards at the same places. */
static bool same_places(const struct vmcfg *a, const struct vmcfg *b)
{
    bool same = a->disk_count == b->disk_count && a->nic_count == b->nic_count;

    for (unsigned i = 0; same && i < a->disk_count; i++)
        same = a->disks[i].bus == b->disks[i].bus && a->disks[i].unit == b->disks[i].unit &&
               a->disks[i].controller == b->disks[i].controller &&
               a->disks[i].readonly == b->disks[i].readonly && a->disks[i].slot == b->disks[i].slot;
    for (unsigned i = 0; same && i < a->nic_count; i++)
        same = a->nics[i].index == b->nics[i].index;
    return same;
}

/* *ret_next: what is taken over of the wanted configuration. */
static int plan(struct work *w, struct vmcfg *ret_next)
{
    const struct vmcfg *wanted = w->change->cfg;

    if (!wanted)
        return 0;
    if (!same_places(w->m->cfg, wanted))
        return err_set(w->err, -EINVAL, "a running VM keeps its disks and network cards");
    return copy_config(wanted, ret_next, w->err);
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

static int carry_out(struct work *w)
{
    struct vm_change *change = w->change;
    int rc = w->stands ? stand_still(w) : 0;

    if (rc == 0 && change->state_fd >= 0)
        rc = save(w);
    if (rc == 0 && change->cfg)
        rc = change_disks(w);
    if (rc == 0 && cancelled(w))
        rc = err_set(w->err, -ECANCELED, "cancelled");
    if (rc == 0 && change->commit)
        rc = change->commit(change->ctx, w->err);
    if (rc < 0)
        restore_disks(w);
    else if (change->cfg)
        (void)change_cables(w);
    return rc;
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
    uint64_t began = clock_now();
    change->rc = carry_out(&w);
    if (change->rc == 0) {
        if (change->cfg)
            take_changes(m->cfg, &next);
        if (w.stands && !(change->flags & VM_CHANGE_END))
            change->rc = go_on(&w);
    } else if (w.stands && !restored) {
        struct err ignored = ERR_INIT;
        w.err = &ignored; /* the first reason counts */
        (void)go_on(&w);
    }
    change->stood_us = w.stands ? (clock_now() - began) / 1000 : 0;
}
