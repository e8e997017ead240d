/* SPDX-License-Identifier: Apache-2.0 */
/* The two address spaces in which trapped accesses find a device: I/O ports and memory (MMIO).
 * Lives in `vmm`.
 *
 * A region states its size and the access widths that it takes; the bus splits a wider access and
 * widens nothing: a narrower one than `min_width` reads all ones and is dropped. What nobody claims
 * reads all ones. Overlap is an error that names both owners. Handlers get an offset within the
 * region and a little-endian value in the low bytes.
 *
 * Lookups take no lock: the map is copied and swapped, old copies are freed once every vCPU has
 * left the bus (bus_synchronize). A handler may be called by several vCPUs at once; the device has
 * its own lock. bus_map and bus_unmap may be called from a handler. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum bus_space { BUS_PIO, BUS_MMIO, BUS_SPACE_MAX };

struct bus_ops {
    uint64_t (*read)(void *ctx, uint64_t offset, unsigned size);
    void (*write)(void *ctx, uint64_t offset, unsigned size, uint64_t value);
};

struct bus_region {
    const char *name; /* owner, for messages; borrowed for the life of the mapping */
    const struct bus_ops *ops;
    void *ctx;
    uint64_t size;
    uint8_t min_width, max_width; /* 1, 2, 4, 8 bytes; 0 means 1 and 8 */
};

struct bus;

int bus_create(struct bus **ret_bus);
void bus_destroy(struct bus *bus);

/* Maps a copy of `region` at `base`. -EEXIST: overlaps another (named in err). -ERANGE: leaves the
 * space. */
int bus_map(struct bus *bus, enum bus_space space, uint64_t base, const struct bus_region *region,
            struct err *err);
/* Takes out what was mapped at exactly `base`; -ENOENT when nothing was. */
int bus_unmap(struct bus *bus, enum bus_space space, uint64_t base);

uint64_t bus_read(struct bus *bus, enum bus_space space, uint64_t addr, unsigned size);
void bus_write(struct bus *bus, enum bus_space space, uint64_t addr, unsigned size, uint64_t value);

/* Access counters, for statistics and tests. */
struct bus_stats {
    uint64_t unclaimed; /* accesses that found nobody */
};
struct bus_stats bus_stats(const struct bus *bus);
