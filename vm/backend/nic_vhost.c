/* SPDX-License-Identifier: Apache-2.0 */
/* See nic_vhost.h; the interface is Linux, include/uapi/linux/vhost.h. */
#include "vm/backend/nic_vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"

struct nic_vhost {
    int fd; /* borrowed */
    uint64_t features;
    struct vhost_memory *memory; /* owned; as the kernel was told */
};

int nic_vhost_open(void)
{
    int fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int call(int fd, unsigned long request, void *arg)
{
    return ioctl(fd, request, arg) < 0 ? -errno : 0;
}

static int set_memory(struct nic_vhost *vhost, const struct gmem *gmem)
{
    vhost->memory =
        calloc(1, sizeof *vhost->memory + gmem->range_count * sizeof vhost->memory->regions[0]);
    if (!vhost->memory)
        return -ENOMEM;
    vhost->memory->nregions = gmem->range_count;
    for (unsigned i = 0; i < gmem->range_count; i++)
        vhost->memory->regions[i] = (struct vhost_memory_region){
            .guest_phys_addr = gmem->range[i].base.v,
            .memory_size = gmem->range[i].size,
            .userspace_addr = (uintptr_t)gmem->range[i].host,
        };
    return call(vhost->fd, VHOST_SET_MEM_TABLE, vhost->memory);
}

int nic_vhost_create(int fd, struct gmem *gmem, uint64_t features, struct nic_vhost **ret_vhost,
                     struct err *err)
{
    struct nic_vhost *vhost = calloc(1, sizeof *vhost);
    uint64_t has = 0;
    int rc = vhost ? call(fd, VHOST_SET_OWNER, NULL) : -ENOMEM;

    if (!rc) {
        vhost->fd = fd;
        vhost->features = features;
        rc = call(fd, VHOST_GET_FEATURES, &has);
    }
    if (!rc && (features & ~has))
        rc = -ENOTSUP;
    if (!rc)
        rc = set_memory(vhost, gmem);
    if (rc) {
        nic_vhost_destroy(vhost);
        return err_sys(err, rc, "vhost-net");
    }
    *ret_vhost = vhost;
    return 0;
}

void nic_vhost_destroy(struct nic_vhost *vhost)
{
    if (!vhost)
        return;
    free(vhost->memory);
    free(vhost);
}

static int set_ring(const struct nic_vhost *vhost, unsigned index, const struct nic_vhost_ring *r)
{
    struct vhost_vring_state num = {index, r->size}, base = {index, r->base};
    struct vhost_vring_file kick = {index, r->kick_fd}, notify = {index, r->call_fd};
    struct vhost_vring_addr addr = {.index = index,
                                    .desc_user_addr = (uintptr_t)r->desc,
                                    .avail_user_addr = (uintptr_t)r->avail,
                                    .used_user_addr = (uintptr_t)r->used};
    int rc = call(vhost->fd, VHOST_SET_VRING_NUM, &num);

    if (!rc)
        rc = call(vhost->fd, VHOST_SET_VRING_BASE, &base);
    if (!rc)
        rc = call(vhost->fd, VHOST_SET_VRING_ADDR, &addr);
    if (!rc)
        rc = call(vhost->fd, VHOST_SET_VRING_KICK, &kick);
    return rc ? rc : call(vhost->fd, VHOST_SET_VRING_CALL, &notify);
}

static int set_backend(const struct nic_vhost *vhost, unsigned index, int tap_fd)
{
    struct vhost_vring_file backend = {index, tap_fd};

    return call(vhost->fd, VHOST_NET_SET_BACKEND, &backend);
}

int nic_vhost_start(struct nic_vhost *vhost, uint64_t features, const struct nic_vhost_ring ring[2],
                    int tap_fd)
{
    uint64_t chosen = features & vhost->features;
    uint16_t base[2];
    int rc = call(vhost->fd, VHOST_SET_FEATURES, &chosen);

    for (unsigned i = 0; i < 2 && !rc; i++)
        rc = set_ring(vhost, i, &ring[i]);
    for (unsigned i = 0; i < 2 && !rc; i++)
        rc = set_backend(vhost, i, tap_fd);
    if (rc)
        nic_vhost_stop(vhost, base);
    return rc;
}

void nic_vhost_stop(struct nic_vhost *vhost, uint16_t ret_base[2])
{
    for (unsigned i = 0; i < 2; i++) {
        struct vhost_vring_state base = {.index = i};
        struct vhost_vring_file none = {i, -1};

        (void)set_backend(vhost, i, -1);
        (void)call(vhost->fd, VHOST_GET_VRING_BASE, &base);
        (void)call(vhost->fd, VHOST_SET_VRING_KICK, &none);
        (void)call(vhost->fd, VHOST_SET_VRING_CALL, &none);
        ret_base[i] = (uint16_t)base.num;
    }
}
