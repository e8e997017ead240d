/* SPDX-License-Identifier: Apache-2.0 */
/* The signature: UEFI Platform Initialization specification 1.7, volume 3, 3.2.1. */
#include "config/nvram.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { SIGNATURE = 40, SIGNATURE_SIZE = 4 };

const char *nvram_named(const struct vmxfile *vmx)
{
    const char *own = vmxfile_get(vmx, NVRAM_OWN_KEY), *name = vmxfile_get(vmx, "nvram");

    return own && *own ? own : name && *name ? name : NULL;
}

/* "a/b.vmx" and ".nvram": "a/b.nvram". */
static char *beside(const char *vmx_path, const char *end)
{
    size_t len = strlen(vmx_path);
    char *path;

    len -= len > 4 && !strcasecmp(vmx_path + len - 4, ".vmx") ? 4 : 0;
    return asprintf(&path, "%.*s%s", (int)len, vmx_path, end) < 0 ? NULL : path;
}

int nvram_default(struct vmcfg *cfg, const char *vmx_path, struct err *err)
{
    if (!vmx_path || cfg->nvram || cfg->firmware != VMCFG_FIRMWARE_UEFI)
        return 0;
    cfg->nvram = beside(vmx_path, ".nvram");
    return cfg->nvram ? 0 : err_sys(err, -ENOMEM, "%s", vmx_path);
}

bool nvram_is_foreign(const char *path)
{
    char head[SIGNATURE + SIGNATURE_SIZE];
    struct stat st;
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    ssize_t n = pread(fd, head, sizeof head, 0);
    return n > 0 && (n < (ssize_t)sizeof head || memcmp(head + SIGNATURE, "_FVH", 4) != 0);
}

int nvram_leave_foreign(struct vmcfg *cfg, const char *vmx_path, char **ret_name, struct err *err)
{
    *ret_name = NULL;
    if (!vmx_path || !cfg->nvram || cfg->firmware != VMCFG_FIRMWARE_UEFI)
        return 0;
    cleanup_free char *path = beside(vmx_path, NVRAM_OWN_END);
    if (path && (!strcmp(path, cfg->nvram) || !nvram_is_foreign(cfg->nvram)))
        return 0;
    const char *slash = path ? strrchr(path, '/') : NULL;
    cleanup_free char *name = path ? strdup(slash ? slash + 1 : path) : NULL;
    if (!name)
        return err_sys(err, -ENOMEM, "%s", vmx_path);
    free(cfg->nvram);
    cfg->nvram = TAKE_PTR(path);
    *ret_name = TAKE_PTR(name);
    return 0;
}
