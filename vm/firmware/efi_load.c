/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a variable store: UEFI Platform Initialization specification 1.7, volume 3, 3.2.1
 * (EFI_FIRMWARE_VOLUME_HEADER), with the GUID gEfiSystemNvDataFvGuid. */
#include "vm/firmware/efi_load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/range.h"

enum {
    FV_GUID = 16,
    FV_LENGTH = 32,
    FV_SIGNATURE = 40,
    FV_HEADER_LENGTH = 48,
    FV_HEADER_LEAST = 72,
    FV_HEADER_MOST = 4096,
};

static const uint8_t nv_data_guid[16] = {0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c,
                                         0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50};

/* Why the first bytes of a file are not those of a variable store; NULL: they are. */
static const char *not_a_store(const uint8_t *h, size_t len, uint64_t size)
{
    uint16_t sum = 0;

    if (len < FV_HEADER_LEAST || memcmp(h + FV_SIGNATURE, "_FVH", 4) != 0)
        return "is not a UEFI variable store";
    if (memcmp(h + FV_GUID, nv_data_guid, sizeof nv_data_guid) != 0)
        return "is a UEFI firmware volume, but not of variables";
    unsigned header = le16_load(h + FV_HEADER_LENGTH);
    if (header < FV_HEADER_LEAST || header > len || header % 2)
        return "is a damaged UEFI variable store (header length)";
    for (unsigned i = 0; i < header; i += 2)
        sum = (uint16_t)(sum + le16_load(h + i));
    if (sum)
        return "is a damaged UEFI variable store (header checksum)";
    if (le64_load(h + FV_LENGTH) > size)
        return "is truncated";
    return NULL;
}

static int check_store(int fd, const char *kind, const char *path, uint64_t want_size,
                       struct err *err)
{
    uint8_t head[FV_HEADER_MOST];
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(err, -errno, "%s \"%s\"", kind, path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "%s \"%s\" is not a regular file", kind, path);
    ssize_t n = pread(fd, head, sizeof head, 0);
    if (n < 0)
        return err_sys(err, -errno, "%s \"%s\"", kind, path);
    const char *why = not_a_store(head, (size_t)n, (uint64_t)st.st_size);
    if (why)
        return err_set(err, -EINVAL, "%s \"%s\" %s; move it away and a new one is made", kind, path,
                       why);
    if ((uint64_t)st.st_size != want_size)
        return err_set(
            err, -EINVAL,
            "%s \"%s\" has %lld bytes, this firmware's have %llu: it is of another firmware", kind,
            path, (long long)st.st_size, (unsigned long long)want_size);
    return 0;
}

static int copy(int from, int to, uint64_t size)
{
    uint8_t block[65536];

    for (uint64_t at = 0; at < size;) {
        ssize_t n = pread(from, block, MIN(sizeof block, size - at), (off_t)at);
        if (n == 0)
            return -EIO;
        if (n < 0 || pwrite(to, block, (size_t)n, (off_t)at) != n)
            return errno ? -errno : -EIO;
        at += (uint64_t)n;
    }
    return 0;
}

/* Makes the VM's store under another name and links it into place, so that one is there whole or
 * not at all, and one that somebody else made meanwhile is kept. */
static int make_store(const char *path, int template, uint64_t size, struct err *err)
{
    char new_name[4096];

    if (snprintf(new_name, sizeof new_name, "%s.XXXXXX", path) >= (int)sizeof new_name)
        return err_set(err, -ENAMETOOLONG, "variable store \"%s\": the name is too long", path);
    cleanup_fd int fd = mkostemp(new_name, O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, -errno, "cannot make the variable store \"%s\"", path);
    int rc = copy(template, fd, size);
    if (!rc && (fsync(fd) < 0 || (link(new_name, path) < 0 && errno != EEXIST)))
        rc = -errno;
    (void)unlink(new_name);
    return rc ? err_sys(err, rc, "cannot make the variable store \"%s\"", path) : 0;
}

static int lock_store(int fd, const char *path, struct err *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (!fcntl(fd, F_OFD_SETLK, &lock))
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return err_set(err, -EBUSY, "variable store \"%s\" is in use by another VM", path);
    return err_sys(err, -errno, "cannot lock the variable store \"%s\"", path);
}

static int open_nvram(const char *path, int template, uint64_t size, int *ret_fd, struct err *err)
{
    enum { FLAGS = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK };
    int rc = 0;
    cleanup_fd int fd = open(path, FLAGS);

    if (fd < 0 && errno == ENOENT) {
        rc = make_store(path, template, size, err);
        if (rc < 0)
            return rc;
        fd = open(path, FLAGS);
    }
    if (fd < 0)
        return err_sys(err, -errno, "variable store \"%s\"", path);
    rc = check_store(fd, "variable store", path, size, err);
    rc = rc ? rc : lock_store(fd, path, err);
    if (!rc)
        *ret_fd = TAKE_FD(fd);
    return rc;
}

static int forgetful_store(int template, uint64_t size, int *ret_fd, struct err *err)
{
    cleanup_fd int fd = memfd_create("efi-variables", MFD_CLOEXEC);
    int rc = fd < 0 ? -errno : copy(template, fd, size);

    if (rc < 0)
        return err_sys(err, rc, "cannot make a UEFI variable store in memory");
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int open_vars(const struct efi_paths *paths, int *ret_fd, struct err *err)
{
    const char *path = paths->vars_template ? paths->vars_template
                       : paths->secure_boot ? EFI_VARS_SECBOOT_PATH
                                            : EFI_VARS_PATH;
    struct stat st;
    cleanup_fd int template = -1;
    int rc = rom_open("UEFI variable template", path, "ovmf", GMEM_PAGE_SIZE, EFI_SIZE_MAX,
                      GMEM_PAGE_SIZE, &template, err);

    if (rc < 0)
        return rc;
    if (fstat(template, &st) < 0)
        return err_sys(err, -errno, "UEFI variable template \"%s\"", path);
    uint64_t size = (uint64_t)st.st_size;
    rc = check_store(template, "UEFI variable template", path, size, err);
    if (rc < 0)
        return rc;
    if (!paths->nvram)
        return forgetful_store(template, size, ret_fd, err);
    return open_nvram(paths->nvram, template, size, ret_fd, err);
}

int efi_open(const struct efi_paths *paths, int *ret_code, int *ret_vars, struct err *err)
{
    const char *path = paths->code          ? paths->code
                       : paths->secure_boot ? EFI_CODE_SECBOOT_PATH
                                            : EFI_CODE_PATH;
    cleanup_fd int code = -1;
    int rc = rom_open("UEFI firmware", path, "ovmf", BIOS_SIZE_MIN, EFI_SIZE_MAX, GMEM_PAGE_SIZE,
                      &code, err);

    rc = rc ? rc : open_vars(paths, ret_vars, err);
    if (!rc)
        *ret_code = TAKE_FD(code);
    return rc;
}

int efi_code_map(int fd, struct rom *ret_code, struct err *err)
{
    return rom_map("UEFI firmware", fd, EFI_SIZE_MAX, ret_code, err);
}

int efi_vars_map(int fd, struct rom *ret_vars, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(err, -errno, "UEFI variables");
    if (st.st_size <= 0 || st.st_size > EFI_SIZE_MAX || st.st_size % GMEM_PAGE_SIZE)
        return err_set(err, -EINVAL, "UEFI variables: wrong size");
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return err_sys(err, -errno, "cannot map UEFI variables");
    *ret_vars = (struct rom){data, (uint64_t)st.st_size};
    return 0;
}
