/* SPDX-License-Identifier: Apache-2.0 */
/* A saved VM as a file (.vmss of a suspended one, .vmsn of a snapshot): its configuration, the
 * parts of vmm and vmx (state.h), and its RAM, sparse. docs/formats/vmss.md has the bytes.
 *
 * The header is written last, when all else is on stable storage, so what bears the magic is
 * complete. Reading is parsing hostile input: sizes are checked against the file before anything is
 * allocated, and the configuration against the VM that wants to go on from it. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "config/vmcfg.h"
#include "vm/machine/gmem.h"

/* Per cent done; anything but 0 cancels with that code. */
typedef int savefile_progress_fn(void *ctx, unsigned percent);

/* The processes' parts as memfds, whose whole content is taken. */
struct savefile_parts {
    int vmm, vmx;
};

/* `fd` is an empty file, open for writing. */
int savefile_write(int fd, const struct vmcfg *cfg, const struct savefile_parts *parts,
                   const struct gmem *gmem, savefile_progress_fn *progress, void *ctx,
                   struct err *err);

struct savefile {
    int fd; /* borrowed */
    uint64_t config_size, vmm_size, vmx_size, memory_size;
};

/* Checks header and sizes. -EBADMSG. */
int savefile_open(int fd, struct savefile *ret_file, struct err *err);
/* What the VM was; owned by the caller (vmcfg_free). */
int savefile_config(const struct savefile *file, struct vmcfg *ret_cfg, struct err *err);
/* May `cfg` go on from it? -EINVAL names the first thing that is different. */
int savefile_matches(const struct savefile *file, const struct vmcfg *cfg, struct err *err);
/* The parts as new memfds at their beginning, owned by the caller. */
int savefile_parts(const struct savefile *file, struct savefile_parts *ret_parts, struct err *err);
/* Into RAM that is all zero and as large. */
int savefile_memory(const struct savefile *file, struct gmem *gmem, struct err *err);
