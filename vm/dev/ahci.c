/* SPDX-License-Identifier: Apache-2.0 */
/* The controller's registers, interrupts and resets: AHCI 1.3.1, sections 3 and 10.
 *
 * CAP is as ESXi's: 64-bit addresses, queueing, CLO, AHCI only, 32 slots, 6 Gbit/s. Missing on
 * purpose: staggered spin-up (a driver would probe one port after the other), port multipliers,
 * command completion coalescing, enclosure management, device sleep and link power management
 * (states of a wire that is not there), hand-over from firmware (none of ours keeps the
 * controller), and plugging of drives while the machine runs. */
#include "vm/dev/ahci.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "base/range.h"
#include "vm/dev/ahci_core.h"

/* --- interrupts: 10.6; with `lock` --- */

static uint32_t port_causes(const struct ahci_port *p)
{
    return p->is | (p->serr & SERR_DIAG_X ? IS_PCS : 0) | (p->serr & SERR_DIAG_N ? IS_PRCS : 0);
}

/* What the ports say goes into IS, and IS onto the wire or, when there may be something new, into a
 * message: one too many does no harm, one too few does. */
static void update(struct ahci *h, bool news)
{
    for (uint32_t ports = h->implemented; ports; ports &= ports - 1) {
        unsigned n = (unsigned)__builtin_ctz(ports);
        if (port_causes(&h->port[n]) & h->port[n].ie)
            h->is |= BIT(n);
    }
    bool level = (h->ghc & GHC_IE) && h->is, messages = pci_port_msi_enabled(h->env.pci);

    if (messages && level && news)
        pci_port_msi(h->env.pci, 0);
    pci_port_intx(h->env.pci, level && !messages);
}

void ahci_interrupt(struct ahci_port *p, uint32_t cause)
{
    p->is |= cause;
    update(p->hba, cause & p->ie);
}

/* --- resets --- */

/* The wire comes up again: 10.4.2. With `control`, parked. */
static void connect(struct ahci_port *p)
{
    ahci_port_reset_device(p);
    LOCK_SCOPE(&p->hba->lock);
    p->serr |= SERR_DIAG_X | SERR_DIAG_N;
    ahci_port_listen(p);
    update(p->hba, true);
}

/* As HR does, which leaves the addresses; power-on clears these as well. */
static void reset_port(struct ahci_port *p)
{
    ahci_port_park(p);
    ahci_port_clear(p);
    {
        LOCK_SCOPE(&p->hba->lock);
        p->is = p->ie = p->sctl = p->serr = 0;
        p->cmd = CMD_SUD | CMD_POD;
        p->sig = UINT32_MAX;
        p->tfd = 0x7f;
        p->in_reset = 0;
    }
    if (p->blk)
        connect(p);
}

static void reset(struct ahci *h)
{
    for (uint32_t ports = h->implemented; ports; ports &= ports - 1)
        reset_port(&h->port[__builtin_ctz(ports)]);
    LOCK_SCOPE(&h->lock);
    h->ghc = GHC_AE;
    h->is = 0;
    update(h, false);
}

/* --- a port's registers: 3.3 --- */

/* 3.3.10. DET 1 holds the wire in reset, and 0 lets it go. */
static uint32_t link_status(const struct ahci_port *p)
{
    uint32_t det = p->sctl & SCTL_DET, limit = p->sctl >> 4 & 15;

    if (det)
        return det == SCTL_DET_OFF ? SCTL_DET_OFF : 0;
    return SSTS_PRESENT | MIN(limit ? limit : UINT32_MAX, (uint32_t)LINK_GEN_MAX) << 4;
}

static void sctl_write(struct ahci_port *p, uint32_t value)
{
    uint32_t was = p->sctl & SCTL_DET, det = value & SCTL_DET;

    if (det && det != was) {
        ahci_port_park(p);
        ahci_port_clear(p);
        LOCK_SCOPE(&p->hba->lock);
        p->tfd = 0x7f;
        p->signature_due = 0;
    }
    {
        LOCK_SCOPE(&p->hba->lock);
        p->sctl = value & SCTL_MASK;
    }
    if (was && !det)
        connect(p);
    ahci_port_run(p);
}

/* 10.3. Stopping waits for what is under way. */
static void cmd_write(struct ahci_port *p, uint32_t value)
{
    if (!(value & CMD_ST)) {
        ahci_port_park(p);
        if (p->cmd & CMD_ST)
            ahci_port_clear(p);
    }
    {
        LOCK_SCOPE(&p->hba->lock);
        if ((value & CMD_CLO) && !(p->cmd & CMD_ST))
            p->tfd &= ~(uint32_t)(ATA_BSY | ATA_DRQ);
        p->cmd = (p->cmd & (CMD_CCS_MASK | CMD_SUD | CMD_POD)) | (value & CMD_WRITABLE) |
                 (value & CMD_FRE ? CMD_FR : 0) | (value & CMD_ST ? CMD_CR : 0);
        ahci_port_listen(p);
    }
    ahci_port_run(p);
}

/* 64-bit registers come in halves; the low one has bits that are none. */
static void half(uint64_t *reg, bool high, uint32_t value, uint32_t mask)
{
    *reg = high ? (*reg & UINT32_MAX) | (uint64_t)value << 32
                : (*reg & ~(uint64_t)UINT32_MAX) | (value & mask);
}

/* With `lock`. Addresses stay as they are while the port works with them. */
static void port_write(struct ahci_port *p, uint64_t offset, uint32_t value)
{
    switch (offset) {
    case PORT_CLB:
    case PORT_CLBU:
        if (!(p->cmd & CMD_ST))
            half(&p->clb, offset & 4, value, ~UINT32_C(1023));
        break;
    case PORT_FB:
    case PORT_FBU:
        if (!(p->cmd & CMD_FRE))
            half(&p->fb, offset & 4, value, ~UINT32_C(255));
        break;
    case PORT_IS:
        p->is &= ~value;
        break;
    case PORT_IE:
        p->ie = value & IS_MASK;
        update(p->hba, true);
        break;
    case PORT_SERR:
        p->serr &= ~value;
        break;
    case PORT_SACT:
        if (p->cmd & CMD_ST)
            p->sact |= value;
        break;
    case PORT_CI:
        if (p->cmd & CMD_ST)
            p->ci |= value;
        ahci_port_ring(p);
        break;
    default:
        break;
    }
}

static uint32_t port_read(const struct ahci_port *p, uint64_t offset)
{
    switch (offset) {
    case PORT_CLB:
        return (uint32_t)p->clb;
    case PORT_CLBU:
        return (uint32_t)(p->clb >> 32);
    case PORT_FB:
        return (uint32_t)p->fb;
    case PORT_FBU:
        return (uint32_t)(p->fb >> 32);
    case PORT_IS:
        return port_causes(p);
    case PORT_IE:
        return p->ie;
    case PORT_CMD:
        return p->cmd;
    case PORT_TFD:
        return p->tfd;
    case PORT_SIG:
        return p->sig;
    case PORT_SSTS:
        return link_status(p);
    case PORT_SCTL:
        return p->sctl;
    case PORT_SERR:
        return p->serr;
    case PORT_SACT:
        return p->sact;
    case PORT_CI:
        return p->ci;
    default:
        return 0;
    }
}

/* --- the controller's: 3.1 --- */

static struct ahci_port *port_at(struct ahci *h, uint64_t offset)
{
    uint64_t n = (offset - AHCI_PORT) / AHCI_PORT_SIZE;

    return offset >= AHCI_PORT && n < AHCI_PORTS_MAX && h->implemented & BIT(n) ? &h->port[n]
                                                                                : NULL;
}

static uint32_t read_register(struct ahci *h, uint64_t offset)
{
    unsigned last = h->implemented ? 31 - (unsigned)__builtin_clz(h->implemented) : 0;

    if (offset >= AHCI_PORT) {
        const struct ahci_port *p = port_at(h, offset);
        return p ? port_read(p, offset % AHCI_PORT_SIZE) : 0;
    }
    switch (offset) {
    case AHCI_CAP:
        return CAP_S64A | CAP_SNCQ | CAP_SCLO | CAP_GEN3 | CAP_SAM | (AHCI_SLOTS - 1) << 8 | last;
    case AHCI_GHC:
        return h->ghc;
    case AHCI_IS:
        return h->is;
    case AHCI_PI:
        return h->implemented;
    case AHCI_VS:
        return AHCI_VERSION;
    default:
        return 0;
    }
}

static uint64_t hba_read(void *dev, unsigned region, uint64_t offset, unsigned size)
{
    struct ahci *h = dev;
    unsigned shift = (unsigned)(offset & 3) * 8;

    (void)region;
    LOCK_SCOPE(&h->lock);
    return (uint64_t)(read_register(h, offset & ~UINT64_C(3)) >> shift) &
           (UINT64_MAX >> (64 - 8 * size));
}

static void ghc_write(struct ahci *h, uint32_t value)
{
    if (value & GHC_HR) {
        reset(h);
        return;
    }
    LOCK_SCOPE(&h->lock);
    h->ghc = GHC_AE | (value & GHC_IE);
    update(h, true);
}

static void write_register(struct ahci *h, uint64_t offset, uint32_t value)
{
    struct ahci_port *p = port_at(h, offset);

    LOCK_SCOPE(&h->lock);
    if (p) {
        port_write(p, offset % AHCI_PORT_SIZE, value);
    } else if (offset == AHCI_IS) {
        h->is &= ~value;
        update(h, true); /* what came while the driver was at the others */
    }
}

static void hba_write(void *dev, unsigned region, uint64_t offset, unsigned size, uint64_t value)
{
    struct ahci *h = dev;
    struct ahci_port *p = port_at(h, offset);
    uint64_t reg = offset % AHCI_PORT_SIZE;

    (void)region;
    if (size != 4 || offset & 3)
        return; /* no driver writes less than a register */
    if (offset != AHCI_GHC && !(p && (reg == PORT_CMD || reg == PORT_SCTL))) {
        write_register(h, offset, (uint32_t)value);
        return;
    }
    LOCK_SCOPE(&h->control);
    if (!p)
        ghc_write(h, (uint32_t)value);
    else if (reg == PORT_CMD)
        cmd_write(p, (uint32_t)value);
    else
        sctl_write(p, (uint32_t)value);
}

/* --- life --- */

static int hba_layout(const void *params, struct dev_layout *ret_layout, struct err *err)
{
    (void)params, (void)err;
    *ret_layout = (struct dev_layout){
        .region = {{.name = "ahci registers",
                    .space = DEV_BAR,
                    .bar = AHCI_BAR,
                    .size = AHCI_BAR_SIZE,
                    .min_width = 1,
                    .max_width = 4}},
        .region_count = 1,
        .is_pci = true,
        .pci = {.vendor = 0x15ad,
                .device = 0x07e0,
                .subsystem_vendor = 0x15ad,
                .subsystem = 0x07e0,
                .class_code = 0x010601,
                .intx = true,
                .bar = {[AHCI_BAR] = {PCI_BAR_MEM32, AHCI_BAR_SIZE}},
                .msi_vectors = 1},
    };
    return 0;
}

static void hba_destroy(void *dev)
{
    struct ahci *h = dev;

    if (!h)
        return;
    for (unsigned i = 0; i < AHCI_PORTS_MAX; i++)
        ahci_port_fini(&h->port[i]);
    (void)pthread_mutex_destroy(&h->control);
    (void)pthread_mutex_destroy(&h->lock);
    free(h);
}

static int init_port(struct ahci *h, unsigned n, const struct ahci_params *params, struct err *err)
{
    struct ahci_port *p = &h->port[n];

    p->hba = h;
    p->number = n;
    (void)snprintf(p->serial, sizeof p->serial, "%020u", params->controller * AHCI_PORTS_MAX + n);
    if (!params->drive[n].present)
        return 0;
    h->implemented |= BIT(n);
    return ahci_port_init(p, h, &params->drive[n], err);
}

static int hba_create(const struct dev_env *env, const void *params, void **ret_dev,
                      struct err *err)
{
    struct ahci *h = calloc(1, sizeof *h);
    int rc = 0;

    if (!h)
        return err_sys(err, -ENOMEM, "%s", env->name);
    h->env = *env;
    h->threaded = !((const struct ahci_params *)params)->unthreaded;
    (void)pthread_mutex_init(&h->control, NULL);
    (void)pthread_mutex_init(&h->lock, NULL);
    for (unsigned i = 0; i < AHCI_PORTS_MAX && rc == 0; i++)
        rc = init_port(h, i, params, err);
    if (rc < 0) {
        h->abandoned = true;
        hba_destroy(h);
        return rc;
    }
    reset(h);
    *ret_dev = h;
    return 0;
}

static void hba_reset(void *dev)
{
    struct ahci *h = dev;

    LOCK_SCOPE(&h->control);
    reset(h);
    for (unsigned i = 0; i < AHCI_PORTS_MAX; i++)
        h->port[i].clb = h->port[i].fb = 0;
}

static void hba_quiesce(void *dev)
{
    struct ahci *h = dev;

    LOCK_SCOPE(&h->control);
    h->quiesced = true;
    for (unsigned i = 0; i < AHCI_PORTS_MAX; i++)
        ahci_port_park(&h->port[i]);
}

static void go_on(struct ahci *h)
{
    LOCK_SCOPE(&h->control);
    h->quiesced = false;
    for (unsigned i = 0; i < AHCI_PORTS_MAX; i++) {
        struct ahci_port *p = &h->port[i];
        if (p->blk && p->blk->changes != p->changes) {
            p->changes = p->blk->changes;
            cdrom_changed(&p->cdrom, p->blk->size);
        }
        ahci_port_run(p);
    }
}

static void hba_resume(void *dev)
{
    struct ahci *h = dev;

    go_on(h);
    LOCK_SCOPE(&h->lock);
    update(h, true); /* a machine that was restored knows nothing of the wire */
}

void ahci_step(void *dev)
{
    struct ahci *h = dev;

    for (unsigned i = 0; i < AHCI_PORTS_MAX; i++)
        if (h->port[i].blk)
            io_thread_step(&h->port[i].thread);
}

/* --- state --- */

static const struct state_field disk_fields[] = {
    STATE_FIELD(struct ata_disk, multiple, STATE_U8),
    STATE_FIELD(struct ata_disk, write_cache, STATE_U8),
    STATE_FIELD(struct ata_disk, smart, STATE_U8),
    STATE_FIELD(struct ata_disk, transfer_mode, STATE_U8),
    STATE_FIELD(struct ata_disk, failed_slot, STATE_U8),
    STATE_FIELD(struct ata_disk, failed_status, STATE_U8),
    STATE_FIELD(struct ata_disk, failed_error, STATE_U8),
    STATE_FIELD(struct ata_disk, failed_lba, STATE_U64),
};
static const struct state_table disk_state = {
    .name = "ata-disk",
    .version = 1,
    .size = sizeof(struct ata_disk),
    .fields = disk_fields,
    .field_count = ARRAY_SIZE(disk_fields),
};

static const struct state_field port_fields[] = {
    STATE_FIELD(struct ahci_port, clb, STATE_U64),
    STATE_FIELD(struct ahci_port, fb, STATE_U64),
    STATE_FIELD(struct ahci_port, is, STATE_U32),
    STATE_FIELD(struct ahci_port, ie, STATE_U32),
    STATE_FIELD(struct ahci_port, cmd, STATE_U32),
    STATE_FIELD(struct ahci_port, tfd, STATE_U32),
    STATE_FIELD(struct ahci_port, sig, STATE_U32),
    STATE_FIELD(struct ahci_port, sctl, STATE_U32),
    STATE_FIELD(struct ahci_port, serr, STATE_U32),
    STATE_FIELD(struct ahci_port, sact, STATE_U32),
    STATE_FIELD(struct ahci_port, ci, STATE_U32),
    STATE_FIELD(struct ahci_port, failed, STATE_U8),
    STATE_FIELD(struct ahci_port, signature_due, STATE_U8),
    STATE_FIELD(struct ahci_port, in_reset, STATE_U8),
    STATE_SUB(struct ahci_port, disk, &disk_state, 1),
    STATE_SUB(struct ahci_port, cdrom, &cdrom_state, 1),
};
static const struct state_table port_state = {
    .name = "ahci-port",
    .version = 1,
    .size = sizeof(struct ahci_port),
    .fields = port_fields,
    .field_count = ARRAY_SIZE(port_fields),
};

static int hba_post_load(void *object, struct err *err)
{
    struct ahci *h = object;

    for (unsigned i = 0; i < AHCI_PORTS_MAX; i++) {
        struct ahci_port *p = &h->port[i];
        if (p->failed > 1 || p->signature_due > 1 || p->in_reset > 1 || p->disk.multiple > 16 ||
            p->disk.failed_slot >= AHCI_SLOTS || p->clb % 1024 || p->fb % 256)
            return err_set(err, -EINVAL, "port %u in a state that none can be in", i);
        if (!p->blk && p->cmd)
            return err_set(err, -EINVAL, "port %u has no drive here", i);
    }
    return 0;
}

static const struct state_field hba_fields[] = {
    STATE_FIELD(struct ahci, ghc, STATE_U32),
    STATE_FIELD(struct ahci, is, STATE_U32),
    STATE_SUB(struct ahci, port, &port_state, AHCI_PORTS_MAX),
};
static const struct state_table hba_state = {
    .name = "ahci",
    .version = 1,
    .size = sizeof(struct ahci),
    .fields = hba_fields,
    .field_count = ARRAY_SIZE(hba_fields),
    .post_load = hba_post_load,
};

const struct dev_class ahci_class = {
    .name = "ahci",
    .place = DEV_IN_VMX,
    .layout = hba_layout,
    .create = hba_create,
    .destroy = hba_destroy,
    .reset = hba_reset,
    .quiesce = hba_quiesce,
    .resume = hba_resume,
    .read = hba_read,
    .write = hba_write,
    .state = &hba_state,
};
