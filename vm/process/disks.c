/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/disks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct disk_options disks_options(const struct vmcfg_disk *disk)
{
    static const char *const formats[] = {[VMCFG_FORMAT_RAW] = "raw", [VMCFG_FORMAT_VMDK] = "vmdk"};

    return (struct disk_options){.flags = (disk->readonly ? DISK_READONLY : 0) | DISK_DEVICE,
                                 .format = formats[disk->format]};
}

/* Opened for its descriptors: what stays open of it is in `given`. */
static int open_one(const struct vmcfg_disk *disk, struct aio *aio, struct disk_given *given,
                    struct err *err)
{
    struct disk_options options = disks_options(disk);
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

int disks_open(const struct vmcfg *cfg, struct disk_given **ret_disks, struct err *err)
{
    struct disk_given *disks = calloc(cfg->disk_count + 1, sizeof *disks);
    cleanup_aio struct aio *aio = NULL;
    int rc = disks ? aio_create(AIO_PLAIN, &aio, err) : err_sys(err, -ENOMEM, "disks");

    for (unsigned i = 0; i < cfg->disk_count && rc == 0; i++) {
        disk_given_init(&disks[i], NULL);
        rc = open_one(&cfg->disks[i], aio, &disks[i], err);
    }
    if (rc < 0) {
        disks_free(disks, cfg->disk_count);
        return rc;
    }
    *ret_disks = disks;
    return 0;
}

void disks_free(struct disk_given *disks, unsigned count)
{
    for (unsigned i = 0; disks && i < count; i++)
        disk_given_free(&disks[i]);
    free(disks);
}

int disks_send(const struct disk_given *disks, unsigned count, int socket, struct err *err)
{
    struct link_message done = {.kind = LINK_DISKS};
    int rc = 0;

    for (unsigned i = 0; i < count; i++)
        for (unsigned f = 0; f < disks[i].count && rc == 0; f++) {
            const struct disk_given_file *file = &disks[i].file[f];
            struct link_message m = {.kind = LINK_DISK_FILE, .value = i};
            m.file.flags = file->flags;
            (void)snprintf(m.file.name, sizeof m.file.name, "%s", file->name);
            rc = link_send(socket, &m, &file->fd, 1);
        }
    if (rc == 0)
        rc = link_send(socket, &done, NULL, 0);
    return rc < 0 ? err_sys(err, rc, "cannot hand over the disks") : 0;
}

int disks_receive(struct disk_given *disks, unsigned count, int socket, struct err *err)
{
    struct link_message m;
    unsigned fds;
    int fd;

    for (;;) {
        int rc = link_receive(socket, &m, &fd, 1, &fds);
        if (rc == 0 && m.kind == LINK_DISKS && !fds)
            return 0;
        if (rc == 0 && fds && (m.kind != LINK_DISK_FILE || m.value >= count))
            (void)close_fd(fd);
        if (rc == 0 && (m.kind != LINK_DISK_FILE || m.value >= count || !fds))
            rc = -EBADMSG;
        m.file.name[sizeof m.file.name - 1] = '\0';
        if (rc == 0)
            rc = disk_given_add(&disks[m.value], m.file.name, m.file.flags, fd);
        if (rc < 0)
            return err_sys(err, rc, "no disks were handed over");
    }
}
