/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/handover.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/range.h"

struct disk_options handover_disk_options(const struct vmcfg_disk *disk)
{
    static const char *const formats[] = {[VMCFG_FORMAT_RAW] = "raw", [VMCFG_FORMAT_VMDK] = "vmdk"};

    return (struct disk_options){.flags = (disk->readonly ? DISK_READONLY : 0) | DISK_DEVICE,
                                 .format = formats[disk->format]};
}

/* Opened for its descriptors: what stays open of it is in `given`. */
static int open_one(const struct vmcfg_disk *disk, struct aio *aio, struct disk_given *given,
                    struct err *err)
{
    struct disk_options options = handover_disk_options(disk);
    struct disk_dir dir;
    struct disk *opened;
    const char *name;

    if (!disk->file)
        return 0; /* a drive without a disc */
    int rc = disk_dir_open_for(&dir, disk->file, &name, err);
    if (rc < 0)
        return rc;
    given->folder = &dir.host;
    rc = disk_open(&given->host, name, &options, aio, &opened, err);
    if (rc == 0)
        disk_close(opened);
    given->folder = NULL;
    disk_dir_close(&dir);
    return rc;
}

int handover_open_disk(struct disk_given *given, const struct vmcfg_disk *disk, struct err *err)
{
    cleanup_aio struct aio *aio = NULL;
    int rc = aio_create(AIO_PLAIN, &aio, err);

    return rc < 0 ? rc : open_one(disk, aio, given, err);
}

int handover_open_disks(struct handover *handover, const struct vmcfg *cfg, struct err *err)
{
    cleanup_aio struct aio *aio = NULL;
    int rc = aio_create(AIO_PLAIN, &aio, err);

    for (unsigned i = 0; i < cfg->disk_count && rc == 0; i++)
        rc = open_one(&cfg->disks[i], aio, &handover->disk[vmcfg_disk_place(cfg, i)], err);
    return rc;
}

void handover_init(struct handover *handover)
{
    for (unsigned i = 0; i < VMCFG_DISK_PLACES; i++)
        disk_given_init(&handover->disk[i], NULL);
    for (unsigned i = 0; i < VMCFG_NIC_PLACES; i++)
        handover->nic[i].count = 0;
}

void handover_nic_free(struct handover_nic *nic)
{
    for (unsigned f = 0; f < nic->count; f++)
        (void)close_fd(nic->fd[f]);
    nic->count = 0;
}

void handover_free(struct handover *handover)
{
    for (unsigned i = 0; i < VMCFG_DISK_PLACES; i++) {
        disk_given_free(&handover->disk[i]);
        disk_given_init(&handover->disk[i], NULL);
    }
    for (unsigned i = 0; i < VMCFG_NIC_PLACES; i++)
        handover_nic_free(&handover->nic[i]);
}

int handover_add_nic_fd(struct handover_nic *nic, int fd)
{
    if (nic->count == ARRAY_SIZE(nic->fd)) {
        (void)close_fd(fd);
        return -EMFILE;
    }
    nic->fd[nic->count++] = fd;
    return 0;
}

int handover_send_nic(const struct handover_nic *nic, unsigned place, int socket)
{
    struct link_message m = {.kind = LINK_NIC, .value = place};

    return nic->count ? link_send(socket, &m, nic->fd, nic->count) : 0;
}

int handover_send_disk(const struct disk_given *disk, unsigned place, int socket)
{
    int rc = 0;

    for (unsigned f = 0; f < disk->count && rc == 0; f++) {
        const struct disk_given_file *file = &disk->file[f];
        struct link_message m = {.kind = LINK_DISK_FILE, .value = place};
        m.file.flags = file->flags;
        (void)snprintf(m.file.name, sizeof m.file.name, "%s", file->name);
        rc = link_send(socket, &m, &file->fd, 1);
    }
    return rc;
}

int handover_send(const struct handover *handover, int socket, struct err *err)
{
    struct link_message end = {.kind = LINK_END_OF_FILES};
    int rc = 0;

    for (unsigned i = 0; i < VMCFG_DISK_PLACES && rc == 0; i++)
        rc = handover_send_disk(&handover->disk[i], i, socket);
    for (unsigned i = 0; i < VMCFG_NIC_PLACES && rc == 0; i++)
        rc = handover_send_nic(&handover->nic[i], i, socket);
    if (rc == 0)
        rc = link_send(socket, &end, NULL, 0);
    return rc < 0 ? err_sys(err, rc, "cannot hand over disks and network cards") : 0;
}

int handover_take(struct handover *handover, struct link_message *m, int *fds, unsigned count)
{
    unsigned taken = 0;
    int rc = 0;

    if (m->kind == LINK_DISK_FILE && m->value < VMCFG_DISK_PLACES && count == 1) {
        m->file.name[sizeof m->file.name - 1] = '\0';
        rc = disk_given_add(&handover->disk[m->value], m->file.name, m->file.flags, fds[taken++]);
    } else if (m->kind == LINK_NIC && m->value < VMCFG_NIC_PLACES) {
        while (taken < count && rc == 0)
            rc = handover_add_nic_fd(&handover->nic[m->value], fds[taken++]);
    } else {
        rc = -EBADMSG;
    }
    while (taken < count)
        (void)close_fd(fds[taken++]);
    return rc;
}

int handover_receive(struct handover *handover, int socket, struct err *err)
{
    int fds[LINK_FDS_MAX];
    struct link_message m;
    unsigned count = 0;

    for (;;) {
        int rc = link_receive(socket, &m, fds, LINK_FDS_MAX, &count);
        if (rc == 0 && m.kind == LINK_END_OF_FILES && !count)
            return 0;
        if (rc == 0)
            rc = handover_take(handover, &m, fds, count);
        if (rc < 0)
            return err_sys(err, rc, "no disks and network cards were handed over");
    }
}
