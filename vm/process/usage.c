/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { NIC_KEY = 4000 }; /* of the first network card, as clients know it */

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static void name_all(const struct vmcfg *cfg, struct usage *usage)
{
    memset(usage->disk_name, 0, sizeof usage->disk_name);
    memset(usage->nic_name, 0, sizeof usage->nic_name);
    for (unsigned i = 0; i < cfg->disk_count; i++)
        (void)snprintf(usage->disk_name[vmcfg_disk_place(cfg, i)], USAGE_NAME_MAX, "%s%u:%u",
                       vmcfg_bus_word(cfg->disks[i].bus), cfg->disks[i].controller,
                       cfg->disks[i].unit);
    for (unsigned i = 0; i < cfg->nic_count; i++)
        (void)snprintf(usage->nic_name[vmcfg_nic_place(cfg, i)], USAGE_NAME_MAX, "%u",
                       NIC_KEY + cfg->nics[i].index);
}

int usage_rename(int fd, const struct vmcfg *cfg)
{
    struct usage *usage;
    int rc = usage_map(fd, true, &usage);

    if (rc < 0)
        return rc;
    name_all(cfg, usage);
    usage_unmap(usage);
    return 0;
}

int usage_create(const struct vmcfg *cfg, int *ret_fd, struct err *err)
{
    cleanup_fd int fd = memfd_create("vm-usage", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || ftruncate(fd, sizeof(struct usage)) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
        return err_sys(err, -errno, "cannot make the memory for a VM's counters");
    int rc = usage_rename(fd, cfg);
    if (rc < 0)
        return err_sys(err, rc, "cannot map the memory for a VM's counters");
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int usage_map(int fd, bool writable, struct usage **ret_usage)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || st.st_size != sizeof(struct usage) || fcntl(fd, F_GET_SEALS) != SEALS)
        return -EINVAL;
    void *at = mmap(NULL, sizeof(struct usage), writable ? PROT_READ | PROT_WRITE : PROT_READ,
                    MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return -errno;
    *ret_usage = at;
    return 0;
}

void usage_unmap(const struct usage *usage)
{
    if (usage)
        (void)munmap((void *)(uintptr_t)usage, sizeof *usage);
}
