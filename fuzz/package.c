/* SPDX-License-Identifier: Apache-2.0 */
/* An archive of any bytes: what is listed lies within it, and can be opened by its name unless that
 * leads elsewhere. */
#include "cli/client/package.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

static void look(const struct package *package, size_t size)
{
    for (unsigned i = 0; i < package->count; i++) {
        const struct package_file *f = &package->files[i];
        cleanup_fd int fd = -1;
        uint64_t length;
        FUZZ_CHECK(f->offset <= size && f->size <= size - f->offset);
        int rc = package_file(package, f->name, &fd, &length, NULL);
        FUZZ_CHECK(rc < 0 ? !*f->name || strchr(f->name, '/') : length <= size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_package struct package package = {.fd = -1};
    cleanup_fd int fd = memfd_create("archive", MFD_CLOEXEC);
    struct err err = ERR_INIT;
    char path[40];

    FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (package_open(&package, path, &err) < 0)
        FUZZ_CHECK(err.code < 0 && *err.text);
    else if (package.fd >= 0)
        FUZZ_CHECK(*package.descriptor);
    if (package.fd >= 0)
        look(&package, size);
    return 0;
}
