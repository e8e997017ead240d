/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/savefile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/range.h"
#include "vm/process/state.h"

enum {
    VERSION = 1,
    HEADER_SIZE = 4096, /* the configuration follows, then vmm's part, then vmx's */
    AT_VERSION = 16,
    AT_CONFIG = 24,
    AT_VMM = 32,
    AT_VMX = 40,
    AT_MEMORY = 48,
    CONFIG_MAX = 1 << 20,
    CHUNK = 1 << 20,
    MEMORY_ALIGN = 65536,
};

static const char magic[16] = "Socle VM state\n\x1a";

static uint64_t memory_at(const struct savefile *f)
{
    return align_up(HEADER_SIZE + f->config_size + f->vmm_size + f->vmx_size, MEMORY_ALIGN);
}

static int write_at(int fd, const void *data, size_t len, uint64_t offset)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(fd, (const uint8_t *)data + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int read_at(int fd, void *data, size_t len, uint64_t offset)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(fd, (uint8_t *)data + done, len - done, (off_t)(offset + done));
        if (n == 0)
            return -EBADMSG;
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* `len` bytes from the beginning of one file to a place in another. */
static int copy(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t len)
{
    cleanup_free uint8_t *bytes = malloc(CHUNK);
    int rc = bytes ? 0 : -ENOMEM;

    for (uint64_t at = 0, n; at < len && rc == 0; at += n) {
        n = MIN(len - at, (uint64_t)CHUNK);
        rc = read_at(from, bytes, n, from_offset + at);
        if (rc == 0)
            rc = write_at(to, bytes, n, to_offset + at);
    }
    return rc;
}

/* --- RAM: what is zero is a hole --- */

static bool is_zero(const uint8_t *page)
{
    return !page[0] && !memcmp(page, page + 1, GMEM_PAGE_SIZE - 1);
}

/* The pages of [at, end) that hold something, in as few writes as that takes. */
static int write_pages(int fd, const uint8_t *ram, uint64_t at, uint64_t end, uint64_t base)
{
    int rc = 0;

    while (at < end && rc == 0) {
        uint64_t from = at;
        while (at < end && !is_zero(ram + at))
            at += GMEM_PAGE_SIZE;
        if (at > from)
            rc = write_at(fd, ram + from, at - from, base + from);
        while (at < end && is_zero(ram + at))
            at += GMEM_PAGE_SIZE;
    }
    return rc;
}

/* The next stretch of memory that has been touched at all, from `at`; false: there is none. Where
 * that can not be known all of it is. */
static bool next_touched(int fd, uint64_t size, uint64_t *at, uint64_t *ret_end)
{
    off_t data = lseek(fd, (off_t)*at, SEEK_DATA);

    *ret_end = size;
    if (data < 0)
        return errno != ENXIO;
    off_t hole = lseek(fd, data, SEEK_HOLE);
    *at = (uint64_t)data;
    if (hole > data)
        *ret_end = MIN((uint64_t)hole, size);
    return *at < size;
}

static int write_memory(int fd, const struct gmem *gmem, uint64_t base,
                        savefile_progress_fn *progress, void *ctx)
{
    uint64_t at = 0, end;
    int rc = 0;

    while (rc == 0 && at < gmem->size && next_touched(gmem->fd, gmem->size, &at, &end)) {
        for (uint64_t n; at < end && rc == 0; at += n) {
            n = MIN(end - at, (uint64_t)CHUNK);
            rc = write_pages(fd, gmem->host, at, at + n, base);
            if (rc == 0 && progress)
                rc = progress(ctx, (unsigned)((at + n) * 100 / gmem->size));
        }
    }
    return rc;
}

int savefile_memory(const struct savefile *f, struct gmem *gmem, struct err *err)
{
    uint64_t base = memory_at(f), at = base, end, total = base + f->memory_size;
    int rc = 0;

    if (f->memory_size != gmem->size)
        return err_set(err, -EINVAL, "the saved state has %llu MiB of memory",
                       (unsigned long long)(f->memory_size >> 20));
    while (rc == 0 && at < total && next_touched(f->fd, total, &at, &end)) {
        rc = read_at(f->fd, gmem->host + (at - base), end - at, at);
        at = end;
    }
    return rc < 0 ? err_sys(err, rc, "the saved memory") : 0;
}

/* --- header --- */

static int write_header(int fd, const struct savefile *f)
{
    uint8_t header[HEADER_SIZE] = {0};

    memcpy(header, magic, sizeof magic);
    le32_store(header + AT_VERSION, VERSION);
    le64_store(header + AT_CONFIG, f->config_size);
    le64_store(header + AT_VMM, f->vmm_size);
    le64_store(header + AT_VMX, f->vmx_size);
    le64_store(header + AT_MEMORY, f->memory_size);
    return write_at(fd, header, sizeof header, 0);
}

static int part_size(int fd, uint64_t *ret_size)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    *ret_size = (uint64_t)st.st_size;
    return *ret_size > STATE_PART_MAX ? -EFBIG : 0;
}

static int write_all(int fd, struct savefile *f, const struct buf *config,
                     const struct savefile_parts *parts, const struct gmem *gmem,
                     savefile_progress_fn *progress, void *ctx)
{
    uint64_t at = HEADER_SIZE;
    int rc = write_at(fd, config->data, config->len, at);

    at += f->config_size;
    if (rc == 0)
        rc = copy(parts->vmm, 0, fd, at, f->vmm_size);
    at += f->vmm_size;
    if (rc == 0)
        rc = copy(parts->vmx, 0, fd, at, f->vmx_size);
    if (rc == 0)
        rc = write_memory(fd, gmem, memory_at(f), progress, ctx);
    if (rc == 0 && ftruncate(fd, (off_t)(memory_at(f) + f->memory_size)) < 0)
        rc = -errno;
    if (rc == 0 && fdatasync(fd) < 0)
        rc = -errno;
    if (rc == 0)
        rc = write_header(fd, f);
    return rc == 0 && fdatasync(fd) < 0 ? -errno : rc;
}

int savefile_write(int fd, const struct vmcfg *cfg, const struct savefile_parts *parts,
                   const struct gmem *gmem, savefile_progress_fn *progress, void *ctx,
                   struct err *err)
{
    struct savefile f = {.fd = fd, .memory_size = gmem->size};
    cleanup_buf struct buf config = {0};
    int rc = vmcfg_encode(cfg, &config);

    f.config_size = config.len;
    if (rc == 0)
        rc = part_size(parts->vmm, &f.vmm_size);
    if (rc == 0)
        rc = part_size(parts->vmx, &f.vmx_size);
    if (rc == 0)
        rc = write_all(fd, &f, &config, parts, gmem, progress, ctx);
    if (rc == -ECANCELED)
        return err_set(err, rc, "cancelled");
    return rc < 0 ? err_sys(err, rc, "the VM's state can not be saved") : 0;
}

int savefile_open(int fd, struct savefile *ret_file, struct err *err)
{
    uint8_t header[HEADER_SIZE];
    struct savefile f = {.fd = fd};
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_set(err, -EBADMSG, "a saved state is a regular file");
    if (read_at(fd, header, sizeof header, 0) < 0 || memcmp(header, magic, sizeof magic) != 0)
        return err_set(err, -EBADMSG, "it is no state saved by Socle, or not all of one");
    if (le32_load(header + AT_VERSION) != VERSION)
        return err_set(err, -EBADMSG, "it has version %u, which this Socle does not know",
                       le32_load(header + AT_VERSION));
    f.config_size = le64_load(header + AT_CONFIG);
    f.vmm_size = le64_load(header + AT_VMM);
    f.vmx_size = le64_load(header + AT_VMX);
    f.memory_size = le64_load(header + AT_MEMORY);
    if (f.config_size > CONFIG_MAX || f.vmm_size > STATE_PART_MAX || f.vmx_size > STATE_PART_MAX ||
        f.memory_size > VMCFG_MEMORY_MAX || memory_at(&f) + f.memory_size != (uint64_t)st.st_size)
        return err_set(err, -EBADMSG, "its sizes do not fit together: it is damaged or cut off");
    *ret_file = f;
    return 0;
}

int savefile_config(const struct savefile *f, struct vmcfg *ret_cfg, struct err *err)
{
    cleanup_free char *text = malloc(f->config_size + 1);
    int rc = text ? read_at(f->fd, text, f->config_size, HEADER_SIZE) : -ENOMEM;

    if (rc < 0)
        return err_sys(err, rc, "the saved configuration");
    rc = vmcfg_decode(text, f->config_size, ret_cfg, err);
    return rc < 0 ? err_prefix(err, rc, "the saved configuration") : 0;
}

static int make_part(const struct savefile *f, uint64_t at, uint64_t size, int *ret_fd)
{
    cleanup_fd int fd = memfd_create("state", MFD_CLOEXEC);
    int rc = fd < 0 ? -errno : copy(f->fd, at, fd, 0, size);

    if (rc == 0)
        *ret_fd = TAKE_FD(fd);
    return rc;
}

int savefile_parts(const struct savefile *f, struct savefile_parts *ret_parts, struct err *err)
{
    uint64_t at = HEADER_SIZE + f->config_size;
    cleanup_fd int vmm = -1, vmx = -1;
    int rc = make_part(f, at, f->vmm_size, &vmm);

    if (rc == 0)
        rc = make_part(f, at + f->vmm_size, f->vmx_size, &vmx);
    if (rc < 0)
        return err_sys(err, rc, "the saved state");
    *ret_parts = (struct savefile_parts){.vmm = TAKE_FD(vmm), .vmx = TAKE_FD(vmx)};
    return 0;
}

/* --- is it the same machine? --- */

static int differs(struct err *err, const char *what, uint64_t saved, uint64_t now)
{
    return err_set(err, -EINVAL, "it was saved with %llu %s, and the VM has %llu now",
                   (unsigned long long)saved, what, (unsigned long long)now);
}

static int compare(const struct vmcfg *saved, const struct vmcfg *now, struct err *err)
{
    if (saved->memory != now->memory)
        return differs(err, "MiB of memory", saved->memory >> 20, now->memory >> 20);
    if (saved->cpus != now->cpus)
        return differs(err, "processors", saved->cpus, now->cpus);
    if (saved->cores_per_socket != now->cores_per_socket)
        return differs(err, "cores a socket", saved->cores_per_socket, now->cores_per_socket);
    if (saved->disk_count != now->disk_count)
        return differs(err, "disks", saved->disk_count, now->disk_count);
    if (saved->nic_count != now->nic_count)
        return differs(err, "network cards", saved->nic_count, now->nic_count);
    if (saved->firmware != now->firmware || saved->secure_boot != now->secure_boot)
        return err_set(err, -EINVAL, "it was saved with other firmware than the VM has now");
    for (unsigned i = 0; i < now->disk_count; i++)
        if (saved->disks[i].slot != now->disks[i].slot ||
            saved->disks[i].bus != now->disks[i].bus ||
            saved->disks[i].controller != now->disks[i].controller ||
            saved->disks[i].unit != now->disks[i].unit ||
            saved->disks[i].readonly != now->disks[i].readonly)
            return err_set(err, -EINVAL, "disk %u was another disk when it was saved", i);
    for (unsigned i = 0; i < now->nic_count; i++)
        if (now->nics[i].mac_static &&
            memcmp(saved->nics[i].mac, now->nics[i].mac, sizeof now->nics[i].mac) != 0)
            return err_set(err, -EINVAL, "network card %u had another address when it was saved",
                           now->nics[i].index);
    return 0;
}

int savefile_matches(const struct savefile *f, const struct vmcfg *cfg, struct err *err)
{
    cleanup_vmcfg struct vmcfg saved = {0};
    int rc = savefile_config(f, &saved, err);

    return rc < 0 ? rc : compare(&saved, cfg, err);
}
