/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/pci/pci_shell.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/range.h"
#include "vm/pci/pci_msi.h"
#include "vm/pci/pci_msix.h"
#include "vm/pci/pci_regs.h"

enum {
    FIRST_CAP = 0x40,
    /* virtio 1.2, 4.1.4: within a VIRTIO_PCI_CAP_PCI_CFG capability */
    WINDOW_BAR = 4,
    WINDOW_OFFSET = 8,
    WINDOW_LENGTH = 12,
    WINDOW_DATA = 16,
    WINDOW_SIZE = 20,
};

struct pci_shell {
    char name[32];
    struct dev_layout layout;
    struct pci_wiring wiring;
    pthread_mutex_t lock;
    uint8_t config[PCI_CONFIG_SIZE];
    uint8_t writable[PCI_CONFIG_SIZE];
    unsigned msix_cap, msi_cap, window_cap; /* where they stand in config; 0: none */
    struct pci_msix msix;
    struct pci_msi msi;
    struct pci_upstream upstream;
    uint64_t mapped[PCI_BARS]; /* where each BAR is decoded now; NOT_MAPPED */
};

#define NOT_MAPPED UINT64_MAX

/* --- what a BAR decodes --- */

static bool bar_is_64(enum pci_bar_kind kind)
{
    return kind == PCI_BAR_MEM64 || kind == PCI_BAR_MEM64_PREFETCH;
}

static bool bar_has_msix(const struct pci_shell *s, unsigned bar)
{
    return s->layout.pci.msix_vectors && s->layout.pci.msix_bar == bar;
}

static const struct pci_bar *bar_of(const struct pci_shell *s, unsigned bar)
{
    static const struct pci_bar msix_bar = {PCI_BAR_MEM32, PCI_MSIX_BAR_SIZE};

    return bar_has_msix(s, bar) ? &msix_bar : &s->layout.pci.bar[bar];
}

static uint64_t msix_bus_read(void *ctx, uint64_t offset, unsigned size)
{
    struct pci_shell *s = ctx;

    (void)pthread_mutex_lock(&s->lock);
    uint64_t value = pci_msix_read(&s->msix, offset, size);
    (void)pthread_mutex_unlock(&s->lock);
    return value;
}

static void msix_bus_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    struct pci_shell *s = ctx;

    (void)pthread_mutex_lock(&s->lock);
    pci_msix_write(&s->msix, offset, size, value);
    (void)pthread_mutex_unlock(&s->lock);
}

static const struct bus_ops msix_bus_ops = {msix_bus_read, msix_bus_write};

static int map_region(struct pci_shell *s, unsigned i, enum bus_space space, uint64_t at)
{
    const struct dev_region *r = &s->layout.region[i];

    if (r->ram) {
        struct engine_memory m = {.base = at, .size = r->size, .host = s->wiring.ram[i]};
        return s->wiring.engine->map(s->wiring.vm, &m, NULL);
    }
    struct bus_region region = {r->name, s->wiring.region_ops, s->wiring.region_ctx[i],
                                r->size, r->min_width,         r->max_width};
    return bus_map(s->wiring.bus, space, at, &region, NULL);
}

static void unmap_region(struct pci_shell *s, unsigned i, enum bus_space space, uint64_t at)
{
    if (s->layout.region[i].ram)
        (void)s->wiring.engine->unmap(s->wiring.vm, at);
    else
        (void)bus_unmap(s->wiring.bus, space, at);
}

static void bind_doorbells(struct pci_shell *s, unsigned bar, enum bus_space space, uint64_t base,
                           bool on)
{
    if (s->layout.doorbell.bar != bar)
        return;
    for (unsigned i = 0; i < s->layout.doorbell.count; i++)
        (void)s->wiring.engine->doorbell(
            s->wiring.vm, space, base + s->layout.doorbell.offset + i * s->layout.doorbell.stride,
            s->wiring.doorbell_fd[i], on);
}

static enum bus_space bar_space(const struct pci_bar *bar)
{
    return bar->kind == PCI_BAR_IO ? BUS_PIO : BUS_MMIO;
}

/* Takes out the first `regions` regions of a BAR. */
static void unmap_bar(struct pci_shell *s, unsigned bar, uint64_t base, unsigned regions)
{
    enum bus_space space = bar_space(bar_of(s, bar));

    if (bar_has_msix(s, bar)) {
        (void)bus_unmap(s->wiring.bus, BUS_MMIO, base);
        return;
    }
    for (unsigned i = 0; i < regions; i++)
        if (s->layout.region[i].space == DEV_BAR && s->layout.region[i].bar == bar)
            unmap_region(s, i, space, base + s->layout.region[i].base);
}

static int map_bar(struct pci_shell *s, unsigned bar, uint64_t base)
{
    enum bus_space space = bar_space(bar_of(s, bar));

    if (bar_has_msix(s, bar)) {
        struct bus_region table = {s->name, &msix_bus_ops, s, PCI_MSIX_BAR_SIZE, 4, 8};
        return bus_map(s->wiring.bus, BUS_MMIO, base, &table, NULL);
    }
    for (unsigned i = 0; i < s->layout.region_count; i++) {
        const struct dev_region *r = &s->layout.region[i];
        if (r->space != DEV_BAR || r->bar != bar)
            continue;
        int rc = map_region(s, i, space, base + r->base);
        if (rc < 0) {
            unmap_bar(s, bar, base, i);
            return rc;
        }
    }
    bind_doorbells(s, bar, space, base, true);
    return 0;
}

static bool forwarded(const struct pci_shell *s, const struct pci_bar *bar, uint64_t base)
{
    const struct pci_upstream *up = &s->upstream;
    uint64_t end = base + bar->size;

    if (bar->kind == PCI_BAR_IO)
        return base >= up->io.base && end <= up->io.end;
    return (base >= up->memory.base && end <= up->memory.end) ||
           (base >= up->prefetch.base && end <= up->prefetch.end);
}

/* Where the guest wants a BAR decoded now. */
static uint64_t wanted(const struct pci_shell *s, unsigned i)
{
    const struct pci_bar *bar = bar_of(s, i);
    uint16_t command = le16_load(s->config + PCI_COMMAND);
    uint32_t low = le32_load(s->config + PCI_BAR0 + i * 4);
    uint64_t base, limit;

    if (bar->kind == PCI_BAR_NONE)
        return NOT_MAPPED;
    if (bar->kind == PCI_BAR_IO) {
        base = low & ~3u;
        limit = 0x10000;
        if (!(command & PCI_COMMAND_IO))
            return NOT_MAPPED;
    } else {
        base = low & ~15u;
        limit = bar_is_64(bar->kind) ? BIT64(s->wiring.phys_bits) : GIB(4);
        if (bar_is_64(bar->kind))
            base |= (uint64_t)le32_load(s->config + PCI_BAR0 + i * 4 + 4) << 32;
        if (!(command & PCI_COMMAND_MEMORY))
            return NOT_MAPPED;
    }
    return base && range_within(base, bar->size, limit) && forwarded(s, bar, base) ? base
                                                                                   : NOT_MAPPED;
}

static void remap_bars(struct pci_shell *s)
{
    for (unsigned i = 0; i < PCI_BARS; i++) {
        uint64_t want = wanted(s, i);
        if (want == s->mapped[i])
            continue;
        if (s->mapped[i] != NOT_MAPPED) {
            if (!bar_has_msix(s, i))
                bind_doorbells(s, i, bar_space(bar_of(s, i)), s->mapped[i], false);
            unmap_bar(s, i, s->mapped[i], s->layout.region_count);
            s->mapped[i] = NOT_MAPPED;
        }
        if (want != NOT_MAPPED && map_bar(s, i, want) == 0)
            s->mapped[i] = want;
    }
}

/* --- virtio's window to the BARs (virtio 1.2, 4.1.4.9), for firmware that cannot reach them --- */

static bool ring_doorbell(struct pci_shell *s, unsigned bar, uint32_t offset)
{
    const uint64_t one = 1;
    uint32_t n = offset - s->layout.doorbell.offset;

    if (!s->layout.doorbell.count || bar != s->layout.doorbell.bar ||
        offset < s->layout.doorbell.offset || n % s->layout.doorbell.stride ||
        n / s->layout.doorbell.stride >= s->layout.doorbell.count)
        return false;
    (void)!write(s->wiring.doorbell_fd[n / s->layout.doorbell.stride], &one, sizeof one);
    return true;
}

static void window_access(struct pci_shell *s, bool is_write)
{
    uint8_t *cap = s->config + s->window_cap;
    uint32_t offset = le32_load(cap + WINDOW_OFFSET), size = le32_load(cap + WINDOW_LENGTH);
    unsigned bar = cap[WINDOW_BAR];

    if ((size != 1 && size != 2 && size != 4) || offset % size ||
        (is_write && ring_doorbell(s, bar, offset)))
        return;
    for (unsigned i = 0; i < s->layout.region_count; i++) {
        const struct dev_region *r = &s->layout.region[i];
        if (r->space != DEV_BAR || r->bar != bar || r->ram || offset < r->base ||
            !range_within(offset - r->base, size, r->size) || size < r->min_width ||
            (r->max_width && size > r->max_width))
            continue;
        if (is_write)
            s->wiring.region_ops->write(s->wiring.region_ctx[i], offset - r->base, size,
                                        le_load(cap + WINDOW_DATA, size));
        else
            le_store(cap + WINDOW_DATA, size,
                     s->wiring.region_ops->read(s->wiring.region_ctx[i], offset - r->base, size));
        return;
    }
}

static bool touches(unsigned offset, unsigned size, unsigned at, unsigned len)
{
    return range_overlaps(offset, size, at, len);
}

/* --- configuration space --- */

uint32_t pci_shell_read(struct pci_shell *s, unsigned offset, unsigned size)
{
    (void)pthread_mutex_lock(&s->lock);
    if (s->window_cap && touches(offset, size, s->window_cap + WINDOW_DATA, 4))
        window_access(s, false);
    if (s->msi_cap && touches(offset, size, s->msi_cap + PCI_MSI_PENDING, 4))
        le32_store(s->config + s->msi_cap + PCI_MSI_PENDING,
                   pci_msi_pending(&s->msi, s->config + s->msi_cap));
    uint32_t value = (uint32_t)le_load(s->config + offset, size);
    (void)pthread_mutex_unlock(&s->lock);
    return value;
}

static void msix_control_written(struct pci_shell *s)
{
    uint16_t control = le16_load(s->config + s->msix_cap + PCI_MSIX_CONTROL);

    pci_msix_control(&s->msix, control & PCI_MSIX_ENABLE, control & PCI_MSIX_FUNCTION_MASK);
    atomic_store(&s->wiring.shared->msix_enabled, !!(control & PCI_MSIX_ENABLE));
}

static void msi_written(struct pci_shell *s)
{
    atomic_store(&s->wiring.shared->msi_enabled, pci_msi_update(&s->msi, s->config + s->msi_cap));
}

static void command_written(struct pci_shell *s)
{
    uint32_t now = le16_load(s->config + PCI_COMMAND);
    uint32_t before = atomic_exchange(&s->wiring.shared->command, now);
    const uint64_t one = 1;

    /* INTx allowed again: a device that still asserts it is asked to say so. */
    if (s->wiring.resample_fd >= 0 && (before & ~now & PCI_COMMAND_INTX_DISABLE))
        (void)!write(s->wiring.resample_fd, &one, sizeof one);
}

static void apply(struct pci_shell *s, unsigned offset, unsigned size)
{
    if (touches(offset, size, PCI_COMMAND, 2))
        command_written(s);
    if (touches(offset, size, PCI_COMMAND, 2) || touches(offset, size, PCI_BAR0, PCI_BARS * 4))
        remap_bars(s);
    if (s->msix_cap && touches(offset, size, s->msix_cap + PCI_MSIX_CONTROL, 2))
        msix_control_written(s);
    if (s->msi_cap && touches(offset, size, s->msi_cap, PCI_MSI_CAP_SIZE))
        msi_written(s);
    if (s->window_cap && touches(offset, size, s->window_cap + WINDOW_DATA, 4))
        window_access(s, true);
    if (s->wiring.dev && s->wiring.class->config_written)
        s->wiring.class->config_written(s->wiring.dev, s->config, offset, size);
}

void pci_shell_write(struct pci_shell *s, unsigned offset, unsigned size, uint32_t value)
{
    bool effect = false;

    (void)pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < size; i++) {
        uint8_t mask = s->writable[offset + i];
        s->config[offset + i] =
            (uint8_t)((s->config[offset + i] & ~mask) | ((value >> (i * 8)) & mask));
        effect |= mask != 0;
    }
    if (effect)
        apply(s, offset, size);
    (void)pthread_mutex_unlock(&s->lock);
}

/* --- power-on contents --- */

static void init_header(struct pci_shell *s)
{
    const struct pci_layout *l = &s->layout.pci;

    le16_store(s->config + PCI_VENDOR_ID, l->vendor);
    le16_store(s->config + PCI_DEVICE_ID, l->device);
    s->config[PCI_REVISION_ID] = l->revision;
    s->config[PCI_CLASS_CODE] = (uint8_t)l->class_code;
    le16_store(s->config + PCI_CLASS_CODE + 1, (uint16_t)(l->class_code >> 8));
    le16_store(s->config + PCI_SUBSYSTEM_VENDOR_ID, l->subsystem_vendor);
    le16_store(s->config + PCI_SUBSYSTEM_ID, l->subsystem);
    s->config[PCI_INTERRUPT_PIN] = l->intx ? 1 : 0;
    le16_store(s->writable + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
                                              PCI_COMMAND_BUS_MASTER | PCI_COMMAND_PARITY |
                                              PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
    s->writable[PCI_INTERRUPT_LINE] = 0xff;
    s->writable[0x0c] = 0xff; /* cache line size, latency timer: kept, without effect */
}

static void init_bars(struct pci_shell *s)
{
    for (unsigned i = 0; i < PCI_BARS; i++) {
        const struct pci_bar *bar = bar_of(s, i);
        uint8_t *config = s->config + PCI_BAR0 + i * 4, *writable = s->writable + PCI_BAR0 + i * 4;
        if (bar->kind == PCI_BAR_NONE)
            continue;
        uint64_t mask = ~(bar->size - 1);
        le32_store(writable, (uint32_t)mask);
        if (bar->kind == PCI_BAR_IO)
            config[0] = 1;
        else if (bar_is_64(bar->kind))
            config[0] = bar->kind == PCI_BAR_MEM64_PREFETCH ? 0xc : 4;
        if (bar_is_64(bar->kind))
            le32_store(writable + 4, (uint32_t)(mask >> 32));
    }
}

/* Appends a capability at *at; *link is the byte that points to it. */
static unsigned add_cap(struct pci_shell *s, unsigned *link, unsigned *at, const uint8_t *cap,
                        unsigned len)
{
    unsigned here = *at;

    memcpy(s->config + here, cap, len);
    s->config[here + 1] = 0;
    s->config[*link] = (uint8_t)here;
    s->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
    *link = here + 1;
    *at = here + (unsigned)align_up(len, 4);
    return here;
}

static void init_caps(struct pci_shell *s)
{
    const struct pci_layout *l = &s->layout.pci;
    unsigned link = PCI_CAPABILITIES_POINTER, at = FIRST_CAP;
    const uint8_t *cap = l->caps;

    if (l->msix_vectors) {
        uint8_t msix[PCI_MSIX_CAP_SIZE] = {PCI_CAP_ID_MSIX};
        le16_store(msix + PCI_MSIX_CONTROL, (uint16_t)(l->msix_vectors - 1));
        le32_store(msix + PCI_MSIX_TABLE, l->msix_bar);
        le32_store(msix + PCI_MSIX_PBA, PCI_MSIX_PBA_OFFSET | l->msix_bar);
        s->msix_cap = add_cap(s, &link, &at, msix, sizeof msix);
        s->writable[s->msix_cap + PCI_MSIX_CONTROL + 1] =
            (PCI_MSIX_ENABLE | PCI_MSIX_FUNCTION_MASK) >> 8;
    }
    if (l->msi_vectors) {
        uint8_t msi[PCI_MSI_CAP_SIZE] = {0}, writable[PCI_MSI_CAP_SIZE] = {0};
        pci_msi_cap(l->msi_vectors, msi, writable);
        s->msi_cap = add_cap(s, &link, &at, msi, sizeof msi);
        memcpy(s->writable + s->msi_cap, writable, sizeof writable);
    }
    for (unsigned i = 0; i < l->cap_count; cap += l->cap_len[i++]) {
        unsigned here = add_cap(s, &link, &at, cap, l->cap_len[i]);
        if (i + 1 != l->window_cap || l->cap_len[i] < WINDOW_SIZE)
            continue;
        s->window_cap = here;
        s->writable[here + WINDOW_BAR] = 0xff;
        memset(s->writable + here + WINDOW_OFFSET, 0xff, WINDOW_SIZE - WINDOW_OFFSET);
    }
}

static void reset(struct pci_shell *s)
{
    memset(s->config, 0, sizeof s->config);
    memset(s->writable, 0, sizeof s->writable);
    init_header(s);
    init_bars(s);
    init_caps(s);
    pci_msix_reset(&s->msix);
    if (s->msi_cap)
        msi_written(s);
    atomic_store(&s->wiring.shared->msix_enabled, 0);
    atomic_store(&s->wiring.shared->command, 0);
    if (s->wiring.dev && s->wiring.class->config_init)
        s->wiring.class->config_init(s->wiring.dev, s->config, s->writable);
    remap_bars(s);
}

void pci_shell_reset(struct pci_shell *s)
{
    (void)pthread_mutex_lock(&s->lock);
    reset(s);
    (void)pthread_mutex_unlock(&s->lock);
}

void pci_shell_set_upstream(struct pci_shell *s, const struct pci_upstream *upstream)
{
    (void)pthread_mutex_lock(&s->lock);
    s->upstream = upstream ? *upstream : (struct pci_upstream){0};
    if (!upstream)
        reset(s);
    remap_bars(s);
    (void)pthread_mutex_unlock(&s->lock);
}

void pci_shell_exclusive(struct pci_shell *s, void (*fn)(void *ctx), void *ctx)
{
    (void)pthread_mutex_lock(&s->lock);
    fn(ctx);
    (void)pthread_mutex_unlock(&s->lock);
}

/* --- life --- */

static int check_layout(const struct dev_layout *layout, struct err *err)
{
    unsigned caps = layout->pci.msix_vectors ? PCI_MSIX_CAP_SIZE : 0, msi = layout->pci.msi_vectors;

    if (msi)
        caps += PCI_MSI_CAP_SIZE;
    if (msi && (!is_power_of_two(msi) || msi > PCI_MSI_VECTORS_MAX))
        return err_set(err, -EINVAL, "%u MSI vectors", msi);

    for (unsigned i = 0; i < layout->pci.cap_count; i++)
        caps += (unsigned)align_up(layout->pci.cap_len[i], 4);
    for (unsigned i = 0; i < PCI_BARS; i++) {
        const struct pci_bar *bar = &layout->pci.bar[i];
        if (bar->kind != PCI_BAR_NONE && !is_power_of_two(bar->size))
            return err_set(err, -EINVAL, "BAR %u is no power of two", i);
    }
    if (FIRST_CAP + caps > PCI_CONFIG_SIZE || layout->pci.msix_vectors > PCI_MSIX_VECTORS_MAX)
        return err_set(err, -EINVAL, "capabilities do not fit");
    return 0;
}

int pci_shell_create(const char *name, const struct dev_layout *layout,
                     const struct pci_wiring *wiring, struct pci_shell **ret_shell, struct err *err)
{
    int rc = check_layout(layout, err);
    if (rc < 0)
        return err_prefix(err, rc, "%s", name);
    struct pci_shell *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(err, -ENOMEM, "%s: out of memory", name);
    strncpy(s->name, name, sizeof s->name - 1);
    s->layout = *layout;
    s->wiring = *wiring;
    (void)pthread_mutex_init(&s->lock, NULL);
    for (unsigned i = 0; i < PCI_BARS; i++)
        s->mapped[i] = NOT_MAPPED;
    s->upstream = (struct pci_upstream){.io = {0, UINT64_MAX}, .memory = {0, UINT64_MAX}};
    pci_msix_init(&s->msix, wiring->engine, wiring->vm, layout->pci.msix_vectors, wiring->msix_fd);
    pci_msi_init(&s->msi, wiring->engine, wiring->vm, layout->pci.msi_vectors, wiring->msi_fd);
    if (wiring->intx_fd >= 0) {
        rc = wiring->engine->irqfd(wiring->vm, wiring->intx_gsi, wiring->intx_fd,
                                   wiring->resample_fd, true);
        if (rc < 0) {
            pci_shell_destroy(s);
            return err_sys(err, rc, "%s: interrupt line %u", name, wiring->intx_gsi);
        }
    }
    pci_shell_reset(s);
    *ret_shell = s;
    return 0;
}

void pci_shell_destroy(struct pci_shell *s)
{
    if (!s)
        return;
    le16_store(s->config + PCI_COMMAND, 0);
    remap_bars(s);
    pci_msix_fini(&s->msix);
    pci_msi_fini(&s->msi);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

/* --- state --- */

static const struct state_field fields[] = {
    STATE_FIELD(struct pci_shell, config, STATE_U8),
    STATE_SUB(struct pci_shell, msix, &pci_msix_state, 1),
};
static const struct state_table shell_state = {
    "pci-function", 1, sizeof(struct pci_shell), fields, ARRAY_SIZE(fields), NULL};

void pci_shell_save(const struct pci_shell *s, struct buf *out)
{
    state_save(&shell_state, s, out);
}

int pci_shell_load(struct pci_shell *s, const uint8_t *data, size_t len, size_t *ret_used,
                   struct err *err)
{
    uint8_t before[PCI_CONFIG_SIZE];

    memcpy(before, s->config, sizeof before);
    int rc = state_load(&shell_state, s, data, len, ret_used, err);
    if (rc < 0)
        return rc;
    /* What the guest could never have written stays as this function has it. */
    for (unsigned i = 0; i < PCI_CONFIG_SIZE; i++)
        s->config[i] = (uint8_t)((s->config[i] & s->writable[i]) | (before[i] & ~s->writable[i]));
    command_written(s);
    remap_bars(s);
    if (s->msix_cap)
        msix_control_written(s);
    pci_msix_refresh(&s->msix);
    if (s->msi_cap)
        msi_written(s);
    if (s->wiring.dev && s->wiring.class->config_written)
        s->wiring.class->config_written(s->wiring.dev, s->config, 0, PCI_CONFIG_SIZE);
    return 0;
}
