/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tests/tap.h"
#include "vm/machine/bus.h"

struct probe {
    uint64_t offset, value;
    unsigned size, calls;
};

static uint64_t probe_read(void *ctx, uint64_t offset, unsigned size)
{
    struct probe *p = ctx;
    p->offset = offset;
    p->size = size;
    p->calls++;
    return 0x8877665544332211u >> (offset * 8 % 64);
}

static void probe_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    struct probe *p = ctx;
    p->offset = offset;
    p->size = size;
    p->value = value;
    p->calls++;
}

static const struct bus_ops probe_ops = {probe_read, probe_write};

static void finds_and_splits(void)
{
    struct bus *bus;
    struct probe p = {0};
    REQUIRE(bus_create(&bus) == 0);
    struct bus_region r = {"probe", &probe_ops, &p, 8, 1, 4};
    CHECK_EQ(bus_map(bus, BUS_MMIO, 0x1000, &r, NULL), 0);
    CHECK_EQ(bus_read(bus, BUS_MMIO, 0x1000, 8), 0x8877665544332211);
    CHECK_EQ(p.calls, 2); /* 4 + 4 */
    CHECK_EQ(bus_read(bus, BUS_MMIO, 0x1006, 4), 0xffff8877);
    CHECK_EQ(bus_read(bus, BUS_MMIO, 0xfff, 2), 0x11ff);
    CHECK_EQ(bus_read(bus, BUS_PIO, 0x1000, 4), 0xffffffff);
    bus_write(bus, BUS_MMIO, 0x1004, 2, 0xabcd);
    CHECK_EQ(p.offset, 4);
    CHECK_EQ(p.size, 2);
    CHECK_EQ(p.value, 0xabcd);
    bus_destroy(bus);
}

static void narrow_is_refused(void)
{
    struct bus *bus;
    struct probe p = {0};
    REQUIRE(bus_create(&bus) == 0);
    struct bus_region r = {"probe", &probe_ops, &p, 8, 4, 4};
    CHECK_EQ(bus_map(bus, BUS_PIO, 0xcf8, &r, NULL), 0);
    CHECK_EQ(bus_read(bus, BUS_PIO, 0xcf8, 1), 0xff);
    bus_write(bus, BUS_PIO, 0xcf8, 2, 1);
    CHECK_EQ(p.calls, 0);
    bus_destroy(bus);
}

static void overlap_names_both(void)
{
    struct bus *bus;
    struct probe p = {0};
    struct err err = ERR_INIT;
    REQUIRE(bus_create(&bus) == 0);
    struct bus_region a = {"uart", &probe_ops, &p, 8, 0, 0},
                      b = {"floppy", &probe_ops, &p, 8, 0, 0};
    CHECK_EQ(bus_map(bus, BUS_PIO, 0x3f8, &a, &err), 0);
    CHECK_EQ(bus_map(bus, BUS_PIO, 0x3f1, &b, &err), -EEXIST);
    CHECK_STR(err.text, "floppy at 0x3f1 overlaps uart at 0x3f8");
    CHECK_EQ(bus_map(bus, BUS_PIO, 0x3ff, &b, &err), -EEXIST);
    CHECK_EQ(bus_map(bus, BUS_PIO, 0x3f0, &b, &err), 0);
    CHECK_EQ(bus_map(bus, BUS_PIO, 0xfffc, &b, &err), -ERANGE);
    CHECK_EQ(bus_unmap(bus, BUS_PIO, 0x3f9), -ENOENT);
    CHECK_EQ(bus_unmap(bus, BUS_PIO, 0x3f8), 0);
    CHECK_EQ(bus_read(bus, BUS_PIO, 0x3f8, 1), 0xff);
    CHECK_EQ(bus_read(bus, BUS_PIO, 0x3f0, 1), 0x11);
    bus_destroy(bus);
}

struct race {
    struct bus *bus;
    atomic_bool stop;
    atomic_ulong reads;
};

static void *reader(void *arg)
{
    struct race *r = arg;
    while (!atomic_load(&r->stop)) {
        (void)bus_read(r->bus, BUS_MMIO, 0x2000, 4);
        atomic_fetch_add(&r->reads, 1);
    }
    return NULL;
}

/* Readers run while the map changes; ASan and TSan are the judges. */
static void map_changes_under_readers(void)
{
    struct race r = {0};
    struct probe p[2] = {{0}};
    pthread_t t[2];
    REQUIRE(bus_create(&r.bus) == 0);
    for (int i = 0; i < 2; i++)
        REQUIRE(pthread_create(&t[i], NULL, reader, &r) == 0);
    struct bus_region other = {"other", &probe_ops, &p[0], 16, 0, 0};
    for (int i = 0; i < 2000; i++) {
        CHECK_EQ(bus_map(r.bus, BUS_MMIO, 0x3000, &other, NULL), 0);
        CHECK_EQ(bus_unmap(r.bus, BUS_MMIO, 0x3000), 0);
    }
    while (atomic_load(&r.reads) < 100)
        ;
    atomic_store(&r.stop, true);
    for (int i = 0; i < 2; i++)
        (void)pthread_join(t[i], NULL);
    bus_destroy(r.bus);
}

TAP_MAIN(TAP_CASE(finds_and_splits), TAP_CASE(narrow_is_refused), TAP_CASE(overlap_names_both),
         TAP_CASE(map_changes_under_readers))
