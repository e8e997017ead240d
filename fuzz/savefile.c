/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a saved VM: any bytes at its beginning, and as long as its header says, if that is
 * not long. What is accepted can be read in all its parts, and compared. */
#include "vm/process/savefile.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/range.h"
#include "fuzz/fuzz.h"

enum { SIZES = 24, HEADER = 4096, ALIGN = 65536 };

static uint64_t implied_size(const uint8_t *data, size_t size)
{
    uint64_t at = HEADER;

    for (unsigned i = 0; i < 3 && size >= SIZES + 32; i++)
        at += le64_load(data + SIZES + 8 * i) % MIB(16);
    return size >= SIZES + 32 ? align_up(at, ALIGN) + le64_load(data + SIZES + 24) % MIB(16) : size;
}

static void read_all(const struct savefile *file)
{
    cleanup_vmcfg struct vmcfg cfg = {0};
    struct savefile_parts parts;
    struct gmem *gmem = NULL;
    struct err err = ERR_INIT;

    if (savefile_config(file, &cfg, &err) == 0)
        (void)savefile_matches(file, &cfg, &err);
    if (savefile_parts(file, &parts, &err) == 0) {
        (void)close(parts.vmm);
        (void)close(parts.vmx);
    }
    if (gmem_create(MIB(4), GMEM_PAGES_AUTO, &gmem, NULL) == 0)
        (void)savefile_memory(file, gmem, &err);
    gmem_destroy(gmem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_fd int fd = memfd_create("fuzz", MFD_CLOEXEC);
    struct err err = ERR_INIT;
    struct savefile file;

    if (write(fd, data, size) != (ssize_t)size ||
        ftruncate(fd, (off_t)implied_size(data, size)) < 0)
        return 0;
    if (savefile_open(fd, &file, &err) == 0)
        read_all(&file);
    else
        FUZZ_CHECK(err.code < 0 && *err.text);
    return 0;
}
