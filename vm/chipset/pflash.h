/* SPDX-License-Identifier: Apache-2.0 */
/* Flash memory for firmware variables: an 8-bit Intel-command device (CFI, JEDEC JESD68.01; command
 * set 0001, Intel 28F128J3 data sheet), as OVMF's QemuFlashFvbServices drives it. Lives in `vmm`.
 *
 * The content is a file, mapped shared. In array mode the guest reads it as memory, by a read-only
 * mapping that the owner of the machine makes when asked (set_readable); writes are always trapped,
 * and in all other modes reads are too. Erased and programmed bytes are in the file at once and on
 * disk a fifth of a second after the first of a burst, and when the device is quiesced or
 * destroyed.
 *
 * Firmware code needs none of this: map its file read-only, and let writes find nobody. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vm/machine/dev.h"

enum { PFLASH_BLOCK_SIZE = 4096 }; /* OVMF's PcdOvmfFirmwareBlockSize */

struct pflash_params {
    uint64_t base; /* guest physical; OVMF_VARS_4M.fd: 0xffc00000 */
    uint64_t size; /* a multiple of PFLASH_BLOCK_SIZE, at most 16 MiB */
    int fd;        /* of at least `size` bytes; borrowed until create returns. A memfd where
                      variables are to be forgotten */
    bool readonly; /* programming and erasing fail, as with a locked block; `fd` may be so too */
    /* Maps [base, base + size) for guest reads from `host`, or takes the mapping away. Called from
     * vCPU threads, from create (on), reset (on) and destroy (off), never twice in a row with the
     * same `on`. May be NULL, or fail: every read is then trapped, which is slow and right. */
    int (*set_readable)(void *ctx, uint64_t base, uint64_t size, void *host, bool on);
    /* Who may write: NULL, everybody; otherwise those accesses for which it says so (Secure Boot:
     * system management mode). What others write is as if it had not been. On vCPU threads. */
    bool (*may_write)(void *ctx);
    void *ctx;
};

extern const struct dev_class pflash_class;
