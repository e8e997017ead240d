/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/resources.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "vm/backend/chr.h"
#include "vm/backend/nic.h"
#include "vm/backend/nic_vhost.h"
#include "vm/firmware/efi_load.h"

/* A regular file that is read once: kernel, initrd, firmware. */
static int open_input(const char *what, const char *path, struct spawn_fds *fds, enum vm_fd number,
                      struct err *err)
{
    struct stat st;

    if (!path)
        return 0;
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_sys(err, -errno, "%s \"%s\"", what, path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(err, -EBADMSG, "%s \"%s\": not a regular file", what, path);
    if (st.st_size == 0)
        return err_set(err, -EBADMSG, "%s \"%s\": the file is empty", what, path);
    int rc = spawn_fds_share(fds, number, fd);
    return rc < 0 ? err_sys(err, rc, "%s \"%s\"", what, path) : 0;
}

/* The end of one serial port. *stdio_fd is taken by the one that is the terminal's. */
static int open_stream(const struct vmcfg_stream *stream, int *stdio_fd, char **ret_socket_path,
                       enum vm_fd number, struct spawn_fds *vmx, struct err *err)
{
    int fd = -1, rc = 0;

    if (stream->type == VMCFG_STREAM_STDIO)
        fd = TAKE_FD(*stdio_fd);
    else if (stream->type == VMCFG_STREAM_UNIX)
        rc = chr_listen_unix(stream->path, &fd, err);
    else if (stream->type == VMCFG_STREAM_FILE)
        rc = chr_open_file(stream->path, &fd, err);
    if (rc < 0 || fd < 0)
        return rc;
    if (stream->type == VMCFG_STREAM_UNIX && !(*ret_socket_path = strdup(stream->path)))
        rc = -ENOMEM;
    rc = MIN(rc, spawn_fds_put(vmx, number, fd));
    return rc < 0 ? err_sys(err, rc, "serial port") : 0;
}

static int open_streams(const struct vmcfg *cfg, int stdio_fd, struct resources *res,
                        struct spawn_fds *vmx, struct err *err)
{
    int rc = open_stream(&cfg->serial, &stdio_fd, &res->socket_path[0], VM_FD_SERIAL, vmx, err);

    if (rc == 0)
        rc = open_stream(&cfg->console, &stdio_fd, &res->socket_path[1], VM_FD_CONSOLE, vmx, err);
    (void)close_fd(stdio_fd);
    return rc;
}

static int share_both(int fd, enum vm_fd number, struct spawn_fds *vmm, struct spawn_fds *vmx)
{
    int rc = spawn_fds_share(vmm, number, fd);

    return rc < 0 ? rc : spawn_fds_share(vmx, number, fd);
}

static int open_firmware(const struct vmcfg *cfg, struct spawn_fds *vmm, struct spawn_fds *vmx,
                         struct err *err)
{
    struct efi_paths efi = {.nvram = cfg->nvram, .secure_boot = cfg->secure_boot};
    cleanup_fd int code = -1, vars = -1, vga = -1;
    int rc = 0;

    if (cfg->firmware == VMCFG_FIRMWARE_NONE)
        return 0;
    rc = cfg->firmware == VMCFG_FIRMWARE_UEFI ? efi_open(&efi, &code, &vars, err)
                                              : bios_open(NULL, &code, err);
    if (rc == 0 && cfg->firmware == VMCFG_FIRMWARE_BIOS)
        rc = bios_vga_open(NULL, &vga, err);
    if (rc == 0 && vga >= 0)
        rc = spawn_fds_share(vmx, VM_FD_VGA_ROM, vga);
    if (rc == -EINVAL || rc == -EBUSY) /* not what it should be, or another VM's */
        return -EBADMSG;
    if (rc == 0)
        rc = share_both(code, VM_FD_FIRMWARE, vmm, vmx);
    if (rc == 0 && vars >= 0)
        rc = share_both(vars, VM_FD_NVRAM, vmm, vmx);
    return rc;
}

/* One of the host's vhost descriptors for each queue, or none at all. */
static int open_vhost(struct handover_nic *nic, unsigned queues)
{
    int rc = 0;

    for (unsigned q = 0; q < queues && rc == 0; q++) {
        int fd = nic_vhost_open();
        if (fd < 0 && q == 0)
            return 0;
        rc = fd < 0 ? fd : handover_add_nic_fd(nic, fd);
    }
    return rc;
}

int resources_open_nic(const struct vmcfg_nic *cfg, struct handover_nic *nic, struct err *err)
{
    int fds[VMCFG_NIC_QUEUES_MAX];
    bool tap = cfg->type == VMCFG_NIC_TAP;

    int rc = tap ? nic_tap_open(cfg->ifname, cfg->queues, fds, err) : nic_user_start(fds, err);
    for (unsigned q = 0; rc == 0 && q < cfg->queues; q++)
        rc = handover_add_nic_fd(nic, fds[q]);
    if (rc == 0 && tap && (rc = open_vhost(nic, cfg->queues)) < 0)
        (void)err_sys(err, rc, "/dev/vhost-net");
    return rc;
}

static int open_nics(const struct vmcfg *cfg, struct resources *res, struct err *err)
{
    int rc = 0;

    for (unsigned i = 0; i < cfg->nic_count && rc == 0; i++) {
        rc = resources_open_nic(&cfg->nics[i], &res->handover.nic[vmcfg_nic_place(cfg, i)], err);
        if (rc < 0)
            (void)err_prefix(err, rc, "network card %u", cfg->nics[i].index);
    }
    return rc;
}

static int open_firmware_log(const struct vmcfg *cfg, struct spawn_fds *vmx, struct err *err)
{
    int fd;

    if (!cfg->firmware_log)
        return 0;
    int rc = chr_open_file(cfg->firmware_log, &fd, err);
    if (rc == 0 && (rc = spawn_fds_put(vmx, VM_FD_FIRMWARE_LOG, fd)) < 0)
        (void)err_sys(err, rc, "firmware log");
    return rc;
}

static int make_ring_fds(struct spawn_fds *vmm, struct spawn_fds *vmx, struct err *err)
{
    for (int n = VM_FD_RING; n < VM_FD_RING + 2 * LINK_RINGS; n++) {
        cleanup_fd int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        int rc = fd < 0 ? -errno : share_both(fd, (enum vm_fd)n, vmm, vmx);
        if (rc < 0)
            return err_sys(err, rc, "cannot make an eventfd");
    }
    return 0;
}

int resources_open(const struct vmcfg *cfg, int stdio_fd, struct resources *res,
                   struct spawn_fds *vmm, struct spawn_fds *vmx, struct err *err)
{
    *res = (struct resources){0};
    handover_init(&res->handover);
    int rc = open_streams(cfg, stdio_fd, res, vmx, err);
    if (rc == 0)
        rc = open_input("kernel", cfg->kernel, vmx, VM_FD_KERNEL, err);
    if (rc == 0)
        rc = open_input("initrd", cfg->initrd, vmx, VM_FD_INITRD, err);
    if (rc == 0)
        rc = open_firmware(cfg, vmm, vmx, err);
    if (rc == 0)
        rc = make_ring_fds(vmm, vmx, err);
    if (rc == 0)
        rc = open_firmware_log(cfg, vmx, err);
    if (rc == 0)
        rc = handover_open_disks(&res->handover, cfg, err) < 0 ? -EBADMSG : 0; /* whatever it is */
    if (rc == 0)
        rc = open_nics(cfg, res, err);
    return rc;
}

int resources_hand_over(struct resources *res, int vmx_control, struct err *err)
{
    int rc = handover_send(&res->handover, vmx_control, err);

    handover_free(&res->handover);
    return rc;
}

void resources_close(struct resources *res)
{
    handover_free(&res->handover);
    for (unsigned i = 0; i < ARRAY_SIZE(res->socket_path); i++) {
        if (res->socket_path[i])
            (void)unlink(res->socket_path[i]);
        free(res->socket_path[i]);
        res->socket_path[i] = NULL;
    }
}
