/* SPDX-License-Identifier: Apache-2.0 */
/* Address space whose pages have no memory until they are given it, with their contents, and which
 * raises a signal where they have none. Never is a page of zeros seen. For the tables of flat.h.
 *
 * By userfaultfd where the host has it (one mapping, and no zeroing: half the price), else by
 * access rights, which takes up to two of the process's mappings (vm.max_map_count) for each page.
 *
 * One thread's. The functions are async-signal-safe but for create and destroy. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct flat_pages {
    uint8_t *at; /* owned; NULL: not made */
    uint64_t size;
    int fd; /* owned; -1: by access rights */
};

enum { FLAT_PAGE = 4096 };

/* Before the sandbox closes. `split`: by access rights. -ENOMEM. */
int flat_pages_create(struct flat_pages *pages, uint64_t size, bool split);
void flat_pages_destroy(struct flat_pages *pages); /* one that is all zeros, too */

/* A page that has no memory gets it. -errno: the host has none, or no mapping. */
int flat_pages_give(struct flat_pages *pages, uint64_t *page, const uint64_t contents[512]);
/* Takes the memory from all pages in a range. -errno: they have it still, or (by userfaultfd) none
 * can be given there any more. */
int flat_pages_take(struct flat_pages *pages, void *at, uint64_t size);
