/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel images: the input is the file. The first byte chooses how much RAM there is and whether
 * the same file is the initrd too. A kernel that is accepted must start inside of RAM. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/range.h"
#include "fuzz/fuzz.h"
#include "vm/firmware/direct_boot.h"

static struct gmem *memory(uint8_t choice)
{
    static struct gmem *gmem[2];
    unsigned which = choice & 1;

    if (!gmem[which])
        FUZZ_CHECK(!gmem_create(which ? MIB(64) : MIB(8), GMEM_PAGES_AUTO, &gmem[which], NULL));
    return gmem[which];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static int fd = -1;
    struct fw_machine machine;
    struct boot_start start = {0};
    struct err err = ERR_INIT;

    if (!len)
        return 0;
    if (fd < 0)
        fd = memfd_create("kernel", MFD_CLOEXEC);
    FUZZ_CHECK(fd >= 0 && !ftruncate(fd, 0));
    FUZZ_CHECK(pwrite(fd, data + 1, len - 1, 0) == (ssize_t)(len - 1));
    struct gmem *gmem = memory(data[0]);

    fw_machine_init(&machine, gmem);
    struct direct_boot boot = {.gmem = gmem,
                               .machine = &machine,
                               .kernel_fd = fd,
                               .initrd_fd = data[0] & 2 ? fd : -1,
                               .kernel_name = "k",
                               .initrd_name = "i",
                               .cmdline = "quiet",
                               .ram_is_clean = data[0] & 4};
    int rc = direct_boot(&boot, &start, &err);
    FUZZ_CHECK((rc < 0) == (err.code < 0));
    FUZZ_CHECK(rc < 0 || start.entry < gmem->size);
    return 0;
}
