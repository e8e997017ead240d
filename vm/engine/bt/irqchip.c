/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/engine/bt/irqchip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "base/lock.h"
#include "base/range.h"
#include "vm/engine/bt/irqchip_internal.h"

#define NS_PER_S UINT64_C(1000000000)
enum { PIT_GSI = 0, PIT_PIN = 2, CASCADE = 2, PHYS_BITS_MAX = 52 };

/* Wiring. */

void bt_irqchip_update_pic(struct bt_irqchip *chip)
{
    bool output = bt_pic_output(&chip->pic);
    bool rose = output && !chip->pic_output;

    if (output == chip->pic_output)
        return;
    chip->pic_output = output;
    bt_lapic_pic_changed(chip, rose);
}

/* An input of the PIC is up while any of the GSIs that lead there is. */
static void set_pic_pin(struct bt_irqchip *chip, int pin)
{
    if (pin < 0 || pin == CASCADE)
        return;
    bool level = chip->level[pin];
    for (unsigned n = 0; n < ENGINE_PIRQS; n++)
        level |= chip->pirq[n] == pin && chip->level[ENGINE_PIRQ_FIRST + n];
    bt_pic_set_pin(&chip->pic, (unsigned)pin, level);
    bt_irqchip_update_pic(chip);
}

void bt_irqchip_set_gsi(struct bt_irqchip *chip, unsigned gsi, unsigned source, bool level)
{
    uint8_t *sources = &chip->level[gsi];

    *sources = (uint8_t)(level ? *sources | source : *sources & ~source);
    set_pic_pin(chip, gsi < ENGINE_PIRQ_FIRST ? (int)gsi : chip->pirq[gsi - ENGINE_PIRQ_FIRST]);
    if (gsi == PIT_GSI || gsi == PIT_PIN)
        bt_ioapic_set_pin(&chip->ioapic, PIT_PIN, chip->level[PIT_GSI] || chip->level[PIT_PIN]);
    else
        bt_ioapic_set_pin(&chip->ioapic, gsi, *sources);
}

static void pit_pulse(void *ctx)
{
    bt_irqchip_set_gsi(ctx, PIT_GSI, BT_SOURCE_PIT, true);
    bt_irqchip_set_gsi(ctx, PIT_GSI, BT_SOURCE_PIT, false);
}

static void pic_eoi(void *ctx, unsigned pin)
{
    struct bt_irqchip *chip = ctx;

    bt_irqfd_resample(chip, pin);
    for (unsigned n = 0; n < ENGINE_PIRQS; n++)
        if (chip->pirq[n] == (int)pin)
            bt_irqfd_resample(chip, ENGINE_PIRQ_FIRST + n);
}

static void ioapic_eoi(void *ctx, unsigned pin)
{
    bt_irqfd_resample(ctx, pin);
    if (pin == PIT_PIN)
        bt_irqfd_resample(ctx, PIT_GSI);
}

static unsigned ioapic_deliver(void *ctx, const struct bt_message *message)
{
    return bt_lapic_deliver(ctx, message);
}

void bt_irqchip_end(struct bt_irqchip *chip, uint8_t vector)
{
    bt_ioapic_end(&chip->ioapic, vector);
}

/* What vCPUs ask. */

bool bt_irqchip_pending(const struct bt_vcpu *vcpu)
{
    return atomic_load(&vcpu->request) & BT_REQUEST_INTERRUPT;
}

bool bt_irqchip_interrupt(struct bt_vcpu *vcpu, uint8_t *ret_vector)
{
    struct bt_lapic *lapic = vcpu->lapic;
    struct bt_irqchip *chip = lapic->chip;

    LOCK_SCOPE(&chip->lock);
    if (!chip->pic_output || !bt_lapic_takes_pic(lapic))
        return bt_lapic_interrupt(lapic, ret_vector);
    *ret_vector = bt_pic_acknowledge(&chip->pic);
    bt_irqchip_update_pic(chip);
    return true;
}

/* Lines and messages. */

int bt_irqchip_line(struct bt_irqchip *chip, unsigned gsi, bool level)
{
    if (gsi >= ENGINE_GSI_LINES)
        return -EINVAL;
    LOCK_SCOPE(&chip->lock);
    bt_irqchip_set_gsi(chip, gsi, BT_SOURCE_LINE, level);
    return 0;
}

int bt_irqchip_pirq(struct bt_irqchip *chip, unsigned gsi, int irq)
{
    unsigned n = gsi - ENGINE_PIRQ_FIRST;

    if (n >= ENGINE_PIRQS || irq >= BT_PIC_PINS)
        return -EINVAL;
    LOCK_SCOPE(&chip->lock);
    int before = chip->pirq[n];
    chip->pirq[n] = (int8_t)irq;
    set_pic_pin(chip, before);
    set_pic_pin(chip, irq);
    return 0;
}

/* An interrupt message is a write to 0xFEExxxxx (SDM volume 3, 11.11); bits 11-5 carry bits 14-8 of
 * the destination. A write elsewhere would be an ordinary one: as a message it is dropped. */
static int send_message(struct bt_irqchip *chip, uint64_t address, uint32_t data)
{
    struct bt_message message = {
        .vector = (uint8_t)data,
        .mode = data >> 8 & 7,
        .logical = address & 4,
        .redirect = (address & 12) == 12,
        .level = data & 1 << 15,
        .destination = (uint32_t)((address >> 12 & 0xff) | (address >> 5 & 0x7f) << 8),
    };

    if (address >> 20 != 0xfee)
        return -EINVAL;
    (void)bt_lapic_deliver(chip, &message);
    return 0;
}

int bt_irqchip_msi_send(struct bt_irqchip *chip, uint64_t address, uint32_t data)
{
    LOCK_SCOPE(&chip->lock);
    return send_message(chip, address, data);
}

void bt_irqchip_send_route(struct bt_irqchip *chip, unsigned route)
{
    const struct bt_route *r = &chip->route[route - ENGINE_GSI_LINES];

    (void)send_message(chip, r->address, r->data);
}

int bt_irqchip_msi_alloc(struct bt_irqchip *chip, unsigned *ret_route)
{
    LOCK_SCOPE(&chip->lock);
    for (unsigned i = 0; i < BT_ROUTES_MAX; i++) {
        if (chip->route[i].used)
            continue;
        chip->route[i] = (struct bt_route){.used = true};
        *ret_route = ENGINE_GSI_LINES + i;
        return 0;
    }
    return -ENOSPC;
}

struct bt_route *bt_irqchip_find_route(struct bt_irqchip *chip, unsigned gsi)
{
    unsigned i = gsi - ENGINE_GSI_LINES;

    return gsi >= ENGINE_GSI_LINES && i < BT_ROUTES_MAX && chip->route[i].used ? &chip->route[i]
                                                                               : NULL;
}

void bt_irqchip_msi_free(struct bt_irqchip *chip, unsigned route)
{
    LOCK_SCOPE(&chip->lock);
    struct bt_route *r = bt_irqchip_find_route(chip, route);
    if (r && !r->bound) /* bound: the caller's mistake; kept */
        r->used = false;
}

int bt_irqchip_msi_set(struct bt_irqchip *chip, unsigned route, uint64_t address, uint32_t data)
{
    LOCK_SCOPE(&chip->lock);
    struct bt_route *r = bt_irqchip_find_route(chip, route);
    if (!r)
        return -EINVAL;
    r->address = address;
    r->data = data;
    return 0;
}

/* State. */

static uint64_t clock_now_ns(const struct bt_irqchip *chip)
{
    uint64_t ticks = chip->host_tsc() - chip->clock_base.host_tsc;

    return chip->clock_base.ns +
           (uint64_t)((unsigned __int128)ticks * NS_PER_S / chip->clock_base.tsc_hz);
}

static void set_clock(struct bt_irqchip *chip, uint64_t ns)
{
    chip->clock_base = (struct bt_clock_base){.host_tsc = chip->host_tsc(),
                                              .tsc_hz = chip->tsc_hz,
                                              .ns = ns,
                                              .generation = chip->clock_base.generation + 1};
    if (!chip->clock_base.generation)
        chip->clock_base.generation = 1;
}

struct bt_clock_base bt_irqchip_clock_base(struct bt_irqchip *chip)
{
    LOCK_SCOPE(&chip->lock);
    return chip->clock_base;
}

uint64_t bt_irqchip_clock(struct bt_irqchip *chip)
{
    LOCK_SCOPE(&chip->lock);
    return clock_now_ns(chip);
}

int bt_irqchip_get(struct bt_irqchip *chip, struct irqchip_state *ret_state)
{
    LOCK_SCOPE(&chip->lock);
    *ret_state = (struct irqchip_state){
        .pic = {chip->pic.chip[0], chip->pic.chip[1]},
        .ioapic = bt_ioapic_get_state(&chip->ioapic),
        .pit_disabled = chip->pit.disabled,
        .clock_ns = clock_now_ns(chip),
    };
    bt_pit_get_state(&chip->pit, ret_state->pit);
    return 0;
}

/* Who held a line up is not in the state: the next level that a source sets counts alone, as with
 * KVM. */
int bt_irqchip_set(struct bt_irqchip *chip, const struct irqchip_state *state)
{
    LOCK_SCOPE(&chip->lock);
    for (unsigned i = 0; i < ENGINE_GSI_LINES; i++)
        chip->level[i] = 0;
    bt_pic_set_state(&chip->pic, state->pic);
    bt_irqchip_update_pic(chip);
    bt_ioapic_set_state(&chip->ioapic, &state->ioapic);
    bt_pit_set_state(&chip->pit, state->pit, state->pit_disabled);
    set_clock(chip, state->clock_ns);
    return 0;
}

int bt_irqchip_pit_disable(struct bt_irqchip *chip, bool on)
{
    LOCK_SCOPE(&chip->lock);
    bt_pit_disable(&chip->pit, on);
    return 0;
}

/* Life. */

static uint64_t read_tsc(void)
{
    return __rdtsc();
}

static int init(struct bt_irqchip *chip, const struct bt_irqchip_config *config, struct err *err)
{
    int rc = bt_timers_init(&chip->timers, config->clock ? config->clock : &clock_host);

    if (rc)
        return err_sys(err, rc, "a timer");
    set_clock(chip, 0);
    chip->route = calloc(BT_ROUTES_MAX, sizeof *chip->route);
    chip->binding = calloc(BT_BINDINGS_MAX, sizeof *chip->binding);
    if (!chip->route || !chip->binding)
        return err_sys(err, -ENOMEM, "interrupt routes");
    bt_pic_reset(&chip->pic);
    bt_ioapic_reset(&chip->ioapic);
    bt_pit_init(&chip->pit, &chip->timers, pit_pulse, chip);
    memset(chip->pirq, -1, sizeof chip->pirq);
    chip->pic.eoi = pic_eoi;
    chip->ioapic.deliver = ioapic_deliver;
    chip->ioapic.eoi = ioapic_eoi;
    chip->pic.ctx = chip->ioapic.ctx = chip;
    rc = bt_irqfd_init(chip);
    if (rc)
        return err_sys(err, rc, "eventfds of interrupts");
    rc = bt_irqchip_map(chip, err);
    if (!rc && !config->no_thread)
        rc = bt_irqfd_start(chip, config->thread_start);
    return rc ? err_prefix(err, rc, "interrupt controllers") : 0;
}

int bt_irqchip_create(const struct bt_irqchip_config *config, struct bt_irqchip **ret_chip,
                      struct err *err)
{
    struct bt_irqchip *chip;
    int rc;

    if (!config->tsc_hz)
        return err_set(err, -EINVAL, "the rate of the TSC is not known");
    chip = calloc(1, sizeof *chip);
    if (!chip)
        return err_sys(err, -ENOMEM, "interrupt controllers");
    chip->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    chip->timers.fd = chip->epoll_fd = chip->stop_fd = -1;
    chip->bus = config->bus;
    chip->host_tsc = config->host_tsc ? config->host_tsc : read_tsc;
    chip->tsc_hz = config->tsc_hz;
    chip->phys_bits = config->phys_bits ? config->phys_bits : PHYS_BITS_MAX;
    rc = init(chip, config, err);
    if (rc) {
        bt_irqchip_destroy(chip);
        return rc;
    }
    *ret_chip = chip;
    return 0;
}

void bt_irqchip_destroy(struct bt_irqchip *chip)
{
    if (!chip)
        return;
    bt_irqfd_fini(chip);
    bt_irqchip_unmap(chip);
    bt_timers_fini(&chip->timers);
    free(chip->route);
    free(chip->binding);
    (void)pthread_mutex_destroy(&chip->lock);
    free(chip);
}
