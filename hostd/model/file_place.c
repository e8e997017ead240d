/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/file_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/datastore/unfinished.h"

void file_place_set(struct file_place *place, const struct datastore *datastore, const char *rel)
{
    (void)snprintf(place->datastore, sizeof place->datastore, "%s", datastore->e.id);
    (void)snprintf(place->rel, sizeof place->rel, "%s", rel);
    dspath_format(datastore->e.name, rel, place->text, sizeof place->text);
    place->fd = fcntl(datastore->fd, F_DUPFD_CLOEXEC, 3);
}

bool file_place_find(struct call *call, const char *name, const char *priv,
                     struct file_place *ret_place)
{
    struct dspath path;
    struct datastore *datastore =
        name ? datastore_resolve(hostd_of(call)->inventory, name, &path) : NULL;

    if (!datastore_may(call, datastore, name, priv))
        return false;
    file_place_set(ret_place, datastore, path.rel);
    return true;
}

void file_place_free(struct file_place *place)
{
    place->fd = close_fd(place->fd);
}

int file_place_dir(const struct file_place *place, struct disk_dir *ret_dir, const char **ret_name,
                   struct err *err)
{
    const char *slash = strrchr(place->rel, '/');
    char folder[DSPATH_MAX] = "";

    if (!*place->rel)
        return err_set(err, -EINVAL, "%s is not the name of a file", place->text);
    if (slash)
        (void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - place->rel), place->rel);
    int fd = dspath_open(place->fd, folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return err_sys(err, fd, "the folder of %s", place->text);
    disk_dir_take(ret_dir, fd);
    *ret_name = slash ? slash + 1 : place->rel;
    return 0;
}

int file_place_check_free(const struct file_place *place, struct err *err)
{
    size_t len = strlen(place->rel);
    char flat[DSPATH_MAX + 16];
    struct stat st;

    len -= len > 5 && !strcasecmp(place->rel + len - 5, ".vmdk") ? 5 : 0;
    (void)snprintf(flat, sizeof flat, "%.*s-flat.vmdk", (int)len, place->rel);
    return dspath_stat(place->fd, place->rel, &st) == 0 || dspath_stat(place->fd, flat, &st) == 0
               ? err_set(err, -EEXIST, "%s is there already", place->text)
               : 0;
}

int file_place_begin_disk(const struct file_place *place, struct unfinished *record,
                          struct err *err)
{
    int rc = file_place_check_free(place, err); /* a record of what is somebody's would remove it */

    if (rc < 0)
        return rc;
    rc = unfinished_begin(record, UNFINISHED_DISK, place->datastore, place->rel,
                          unfinished_folders(place->fd, place->rel));
    if (rc < 0)
        return err_sys(err, rc, "%s can not be made now", place->text);
    rc = file_place_check_free(place, err);
    if (rc < 0)
        unfinished_end(record);
    return rc;
}

int placed_disk_prepare(struct placed_disk *placed, const struct file_place *place, struct err *err)
{
    *placed = (struct placed_disk){.dir.fd = -1};
    int rc = file_place_dir(place, &placed->dir, &placed->name, err);
    return rc < 0 ? rc : aio_create(AIO_PLAIN, &placed->aio, err);
}

int placed_disk_open(struct placed_disk *placed, const struct file_place *place, unsigned flags,
                     struct err *err)
{
    struct disk_options options = {.flags = flags, .format = "vmdk"};
    int rc = placed_disk_prepare(placed, place, err);

    return rc < 0 ? rc
                  : disk_open(&placed->dir.host, placed->name, &options, placed->aio, &placed->disk,
                              err);
}

void placed_disk_close(struct placed_disk *placed)
{
    disk_close(placed->disk);
    aio_destroy(placed->aio);
    disk_dir_close(&placed->dir);
    *placed = (struct placed_disk){.dir.fd = -1};
}
