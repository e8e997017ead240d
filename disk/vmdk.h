/* SPDX-License-Identifier: Apache-2.0 */
/* VMDK inside the library: descriptor files, and the hosted sparse extent ("KDMV") that may carry
 * the descriptor itself. */
#pragma once

#include "disk/format.h"
#include "disk/vmdk_desc.h"

/* The header of a hosted sparse extent: 512 bytes, little-endian. Sectors unless said. */
enum {
    KDMV_MAGIC = 0x564d444b,
    KDMV_HEADER_SIZE = 512,
    KDMV_GTES = 512, /* entries of a grain table: the one number that the format has ever had */
    KDMV_GRAIN_MIN = 8,
    KDMV_GRAIN_MAX = 2048, /* 1 MiB */
    KDMV_GRAIN = 128,
};
enum kdmv_flags {
    KDMV_NEWLINE = 1,
    KDMV_REDUNDANT = 2,
    KDMV_ZEROED = 4, /* entry 1 means a grain of zeros */
    KDMV_COMPRESSED = 0x10000,
    KDMV_MARKERS = 0x20000,
};
#define KDMV_GD_AT_END UINT64_MAX

struct kdmv_header {
    uint32_t version, flags;
    uint64_t capacity, grain, desc_offset, desc_size;
    uint32_t gtes;
    uint64_t rgd_offset, gd_offset, overhead;
    bool unclean;
    uint16_t compression; /* 1: deflate */
};

/* Only the bytes that say that it is one are checked by load; kdmv_validate does the rest. */
int kdmv_load(struct kdmv_header *header, const uint8_t bytes[KDMV_HEADER_SIZE], struct err *err);
void kdmv_store(const struct kdmv_header *header, uint8_t bytes[KDMV_HEADER_SIZE]);
int kdmv_validate(const struct kdmv_header *header, uint64_t file_size, struct err *err);
uint64_t kdmv_tables(const struct kdmv_header *header); /* grain tables = directory entries */

/* Sets ops, impl and length of `extent` from its file: read-write if plain, read-only if
 * compressed. */
int sparse_open(struct disk *disk, struct extent *extent, const struct kdmv_header *header,
                struct err *err);
int stream_open(struct disk *disk, struct extent *extent, const struct kdmv_header *header,
                struct err *err);

/* A random content id; never 0 nor VMDK_NO_PARENT. */
uint32_t vmdk_random_cid(void);
