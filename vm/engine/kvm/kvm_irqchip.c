/* SPDX-License-Identifier: Apache-2.0 */
/* Interrupts through KVM's own controllers: lines, message routes, eventfds, doorbells, and the
 * controllers' state. Linux Documentation/virt/kvm/api.rst, KVM_SET_GSI_ROUTING, KVM_IRQFD,
 * KVM_IOEVENTFD.
 *
 * KVM takes the whole routing table at once and waits for a grace period each time, so the table is
 * sent only when an eventfd is, or gets, bound to a route that changed. A guest that sets up an
 * MSI-X entry (mask, address, data, unmask) costs one update, not four. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "base/range.h"
#include "vm/engine/irqchip_state.h"
#include "vm/engine/kvm/kvm_internal.h"

enum { PIC_PINS = 8, CASCADE = 2, LINE_ENTRIES_MAX = 2 * ENGINE_GSI_LINES };

static void add_pin(struct kvm_irq_routing *table, unsigned gsi, unsigned chip, unsigned pin)
{
    table->entries[table->nr++] = (struct kvm_irq_routing_entry){
        .gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = {.irqchip = chip, .pin = pin}};
}

static void add_pic_pin(struct kvm_irq_routing *table, unsigned gsi, int irq)
{
    if (irq >= 0 && irq != CASCADE)
        add_pin(table, gsi, irq < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
                (unsigned)irq % PIC_PINS);
}

/* ISA interrupts go to both controllers; 0, the timer, is pin 2 of the IOAPIC (as the MADT's source
 * override says), and the PIC's pin 2 is its cascade. PIRQs go where the chip set leads them. */
static void add_lines(const struct engine_vm *vm, struct kvm_irq_routing *table)
{
    for (unsigned gsi = 0; gsi < ENGINE_GSI_LINES; gsi++) {
        add_pic_pin(table, gsi,
                    gsi < ENGINE_PIRQ_FIRST ? (int)gsi : vm->pirq[gsi - ENGINE_PIRQ_FIRST]);
        add_pin(table, gsi, KVM_IRQCHIP_IOAPIC, gsi ? gsi : 2);
    }
}

static int send_routes(struct engine_vm *vm)
{
    cleanup_free struct kvm_irq_routing *table =
        calloc(1, sizeof *table + (LINE_ENTRIES_MAX + vm->route_end) * sizeof table->entries[0]);

    if (!table)
        return -ENOMEM;
    add_lines(vm, table);
    for (unsigned i = 0; i < vm->route_end; i++) {
        const struct kvm_route *r = &vm->route[i];
        if (r->used && r->valid)
            table->entries[table->nr++] = (struct kvm_irq_routing_entry){
                .gsi = ENGINE_GSI_LINES + i,
                .type = KVM_IRQ_ROUTING_MSI,
                .u.msi = {
                    .address_lo = r->address_lo, .address_hi = r->address_hi, .data = r->data}};
    }
    if (ioctl(vm->fd, KVM_SET_GSI_ROUTING, table) < 0)
        return -errno;
    vm->routes_changed = false;
    return 0;
}

int kvm_irqchip_init(struct engine_vm *vm, struct err *err)
{
    struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
    int rc;

    if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0) < 0)
        return err_sys(err, -errno, "cannot create interrupt controllers");
    if (ioctl(vm->fd, KVM_CREATE_PIT2, &pit) < 0)
        return err_sys(err, -errno, "cannot create the PIT");
    memset(vm->pirq, -1, sizeof vm->pirq);
    vm->route = calloc(KVM_ROUTES_MAX, sizeof *vm->route);
    vm->route_bound = calloc(KVM_ROUTES_MAX, sizeof *vm->route_bound);
    if (!vm->route || !vm->route_bound)
        return err_sys(err, -ENOMEM, "interrupt routes");
    rc = send_routes(vm);
    return rc ? err_sys(err, rc, "cannot route interrupts") : 0;
}

int kvm_irq_line(struct engine_vm *vm, unsigned gsi, bool level)
{
    struct kvm_irq_level line = {.irq = gsi, .level = level};

    if (gsi >= ENGINE_GSI_LINES)
        return -EINVAL;
    return ioctl(vm->fd, KVM_IRQ_LINE, &line) < 0 ? -errno : 0;
}

/* Messages. An interrupt message is a write to 0xFEExxxxx (SDM volume 3, 11.11). Bits 11-5 carry
 * bits 14-8 of the destination where the hypervisor's leaf says so; KVM wants them in the upper
 * word. A write elsewhere would be an ordinary one: as a message it is dropped. */
static bool message_split(uint64_t address, uint32_t *ret_lo, uint32_t *ret_hi)
{
    if (address >> 20 != 0xfee)
        return false;
    *ret_lo = (uint32_t)address & ~0xfe0u;
    *ret_hi = ((uint32_t)address >> 5 & 0x7f) << 8;
    return true;
}

int kvm_msi_alloc(struct engine_vm *vm, unsigned *ret_route)
{
    int rc = -ENOSPC;

    (void)pthread_mutex_lock(&vm->lock);
    for (unsigned i = 0; i < KVM_ROUTES_MAX && ENGINE_GSI_LINES + i < vm->caps.routes; i++) {
        if (vm->route[i].used)
            continue;
        vm->route[i] = (struct kvm_route){.used = true};
        vm->route_end = MAX(vm->route_end, i + 1);
        *ret_route = ENGINE_GSI_LINES + i;
        rc = 0;
        break;
    }
    (void)pthread_mutex_unlock(&vm->lock);
    return rc;
}

/* NULL: no such route. Under the lock. */
static struct kvm_route *find_route(struct engine_vm *vm, unsigned gsi)
{
    unsigned i = gsi - ENGINE_GSI_LINES;

    return gsi >= ENGINE_GSI_LINES && i < vm->route_end && vm->route[i].used ? &vm->route[i] : NULL;
}

void kvm_msi_free(struct engine_vm *vm, unsigned gsi)
{
    (void)pthread_mutex_lock(&vm->lock);
    struct kvm_route *r = find_route(vm, gsi);
    if (r && !vm->route_bound[gsi - ENGINE_GSI_LINES]) { /* bound: the caller's mistake; kept */
        vm->routes_changed |= r->valid;
        *r = (struct kvm_route){0};
    }
    while (vm->route_end && !vm->route[vm->route_end - 1].used)
        vm->route_end--;
    (void)pthread_mutex_unlock(&vm->lock);
}

static int set_route(struct engine_vm *vm, unsigned gsi, uint64_t address, uint32_t data)
{
    struct kvm_route *r = find_route(vm, gsi), changed = {.used = true, .data = data};

    if (!r)
        return -EINVAL;
    changed.valid = message_split(address, &changed.address_lo, &changed.address_hi);
    if (!changed.valid)
        changed.data = 0;
    if (changed.valid == r->valid && changed.address_lo == r->address_lo &&
        changed.address_hi == r->address_hi && changed.data == r->data)
        return 0;
    *r = changed;
    vm->routes_changed = true;
    return vm->route_bound[gsi - ENGINE_GSI_LINES] ? send_routes(vm) : 0;
}

int kvm_msi_set(struct engine_vm *vm, unsigned gsi, uint64_t address, uint32_t data)
{
    (void)pthread_mutex_lock(&vm->lock);
    int rc = set_route(vm, gsi, address, data);
    (void)pthread_mutex_unlock(&vm->lock);
    return rc;
}

int kvm_msi_send(struct engine_vm *vm, uint64_t address, uint32_t data)
{
    struct kvm_msi msi = {.data = data};

    if (!message_split(address, &msi.address_lo, &msi.address_hi))
        return -EINVAL;
    return ioctl(vm->fd, KVM_SIGNAL_MSI, &msi) < 0 ? -errno : 0;
}

/* KVM itself says nothing when what is unbound was not bound. */
static int bind_message(struct engine_vm *vm, unsigned gsi, struct kvm_irqfd *irqfd, bool on)
{
    uint8_t *bound;
    int rc = 0;

    if (!find_route(vm, gsi))
        return -EINVAL;
    bound = &vm->route_bound[gsi - ENGINE_GSI_LINES];
    if (*bound == (on ? UINT8_MAX : 0))
        return on ? -ENOSPC : -ENOENT;
    if (on && vm->routes_changed)
        rc = send_routes(vm);
    if (!rc && ioctl(vm->fd, KVM_IRQFD, irqfd) < 0)
        rc = -errno;
    if (!rc)
        *bound += on ? 1 : -1;
    return rc;
}

/* PIRQs that share an input of the PIC. KVM knows one GSI of an input, the last in its table, whose
 * eventfds alone hear of an end of interrupt there; it lowers the input for all. So those of the
 * other GSIs are echoed to that one: an eventfd of ours that nobody signals, with their resample
 * eventfd. Whoever still wants the interrupt then asserts it again. */

static unsigned last_sharer(const struct engine_vm *vm, unsigned gsi)
{
    int irq = vm->pirq[gsi - ENGINE_PIRQ_FIRST];
    unsigned last = ENGINE_PIRQS - 1;

    while (irq >= 0 && vm->pirq[last] != irq)
        last--;
    return irq < 0 ? gsi : ENGINE_PIRQ_FIRST + last;
}

static void echo(struct engine_vm *vm, struct kvm_shared_line *line, unsigned gsi)
{
    struct kvm_irqfd irqfd = {.fd = (uint32_t)line->echo_fd, .gsi = line->echo};

    if (gsi == line->echo)
        return;
    irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN;
    if (line->echo)
        (void)ioctl(vm->fd, KVM_IRQFD, &irqfd);
    irqfd = (struct kvm_irqfd){.fd = (uint32_t)line->echo_fd,
                               .gsi = gsi,
                               .flags = KVM_IRQFD_FLAG_RESAMPLE,
                               .resamplefd = (uint32_t)line->resample_fd};
    line->echo = gsi && ioctl(vm->fd, KVM_IRQFD, &irqfd) == 0 ? gsi : 0;
}

static void share_lines(struct engine_vm *vm)
{
    for (unsigned i = 0; i < vm->line_count; i++) {
        struct kvm_shared_line *line = &vm->line[i];
        unsigned last = last_sharer(vm, line->gsi);
        echo(vm, line, last == line->gsi ? 0 : last);
    }
}

/* While the VM is built: making an eventfd is not for confined threads. */
static int add_shared_line(struct engine_vm *vm, unsigned gsi, int fd, int resample_fd)
{
    if (vm->line_count == KVM_SHARED_LINES_MAX)
        return -ENOSPC;
    int echo_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (echo_fd < 0)
        return -errno;
    vm->line[vm->line_count++] = (struct kvm_shared_line){
        .fd = fd, .resample_fd = resample_fd, .echo_fd = echo_fd, .gsi = gsi};
    share_lines(vm);
    return 0;
}

static void remove_shared_line(struct engine_vm *vm, unsigned gsi, int fd)
{
    for (unsigned i = 0; i < vm->line_count; i++) {
        struct kvm_shared_line *line = &vm->line[i];
        if (line->gsi != gsi || line->fd != fd)
            continue;
        echo(vm, line, 0);
        (void)close_fd(line->echo_fd);
        *line = vm->line[--vm->line_count];
        return;
    }
}

int kvm_pirq(struct engine_vm *vm, unsigned gsi, int irq)
{
    unsigned n = gsi - ENGINE_PIRQ_FIRST;
    int rc = 0;

    if (n >= ENGINE_PIRQS || irq >= 2 * PIC_PINS)
        return -EINVAL;
    (void)pthread_mutex_lock(&vm->lock);
    if (vm->pirq[n] != irq) {
        vm->pirq[n] = (int8_t)irq;
        rc = send_routes(vm);
        share_lines(vm);
    }
    (void)pthread_mutex_unlock(&vm->lock);
    return rc;
}

static int bind_locked(struct engine_vm *vm, unsigned gsi, int fd, int resample_fd, bool on)
{
    struct kvm_irqfd irqfd = {
        .fd = (uint32_t)fd, .gsi = gsi, .flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN};

    if (gsi >= ENGINE_GSI_LINES)
        return bind_message(vm, gsi, &irqfd, on);
    if (on && resample_fd >= 0) {
        irqfd.flags |= KVM_IRQFD_FLAG_RESAMPLE;
        irqfd.resamplefd = (uint32_t)resample_fd;
    }
    if (!on)
        remove_shared_line(vm, gsi, fd);
    if (ioctl(vm->fd, KVM_IRQFD, &irqfd) < 0)
        return -errno;
    return on && resample_fd >= 0 && gsi >= ENGINE_PIRQ_FIRST
               ? add_shared_line(vm, gsi, fd, resample_fd)
               : 0;
}

int kvm_irqfd(struct engine_vm *vm, unsigned gsi, int fd, int resample_fd, bool on)
{
    (void)pthread_mutex_lock(&vm->lock);
    int rc = bind_locked(vm, gsi, fd, resample_fd, on);
    (void)pthread_mutex_unlock(&vm->lock);
    return rc;
}

/* Length 0: a write of any width. */
int kvm_doorbell(struct engine_vm *vm, enum bus_space space, uint64_t addr, int fd, bool on)
{
    struct kvm_ioeventfd bell = {
        .addr = addr,
        .fd = fd,
        .flags = (space == BUS_PIO ? KVM_IOEVENTFD_FLAG_PIO : 0) |
                 (on ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
    };

    return ioctl(vm->fd, KVM_IOEVENTFD, &bell) < 0 ? -errno : 0;
}

/* State */

static void pic_get(const struct kvm_pic_state *from, struct pic_state *to)
{
    *to = (struct pic_state){
        .irr = from->irr,
        .imr = from->imr,
        .isr = from->isr,
        .last_lines = from->last_irr,
        .elcr = from->elcr,
        .elcr_mask = from->elcr_mask,
        .irq_base = from->irq_base,
        .init_state = from->init_state,
        .priority_add = from->priority_add,
        .read_isr = from->read_reg_select,
        .poll = from->poll,
        .special_mask = from->special_mask,
        .auto_eoi = from->auto_eoi,
        .rotate_on_auto_eoi = from->rotate_on_auto_eoi,
        .special_fully_nested = from->special_fully_nested_mode,
        .init4 = from->init4,
    };
}

static void pic_set(const struct pic_state *from, struct kvm_pic_state *to)
{
    *to = (struct kvm_pic_state){
        .irr = from->irr,
        .imr = from->imr,
        .isr = from->isr,
        .last_irr = from->last_lines,
        .elcr = from->elcr,
        .elcr_mask = from->elcr_mask,
        .irq_base = from->irq_base,
        .init_state = from->init_state,
        .priority_add = from->priority_add,
        .read_reg_select = from->read_isr,
        .poll = from->poll,
        .special_mask = from->special_mask,
        .auto_eoi = from->auto_eoi,
        .rotate_on_auto_eoi = from->rotate_on_auto_eoi,
        .special_fully_nested_mode = from->special_fully_nested,
        .init4 = from->init4,
    };
}

static int controllers_get(struct engine_vm *vm, struct irqchip_state *state)
{
    struct kvm_irqchip chip = {0};

    for (unsigned i = 0; i < IRQCHIP_PICS; i++) {
        chip.chip_id = i ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER;
        if (ioctl(vm->fd, KVM_GET_IRQCHIP, &chip) < 0)
            return -errno;
        pic_get(&chip.chip.pic, &state->pic[i]);
    }
    chip.chip_id = KVM_IRQCHIP_IOAPIC;
    if (ioctl(vm->fd, KVM_GET_IRQCHIP, &chip) < 0)
        return -errno;
    state->ioapic.base = chip.chip.ioapic.base_address;
    state->ioapic.select = chip.chip.ioapic.ioregsel;
    state->ioapic.id = chip.chip.ioapic.id;
    state->ioapic.irr = chip.chip.ioapic.irr;
    for (unsigned i = 0; i < IRQCHIP_IOAPIC_PINS; i++)
        state->ioapic.redirection[i] = chip.chip.ioapic.redirtbl[i].bits;
    return 0;
}

static int controllers_set(struct engine_vm *vm, const struct irqchip_state *state)
{
    struct kvm_irqchip chip = {0};

    for (unsigned i = 0; i < IRQCHIP_PICS; i++) {
        chip.chip_id = i ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER;
        pic_set(&state->pic[i], &chip.chip.pic);
        if (ioctl(vm->fd, KVM_SET_IRQCHIP, &chip) < 0)
            return -errno;
    }
    chip = (struct kvm_irqchip){.chip_id = KVM_IRQCHIP_IOAPIC};
    chip.chip.ioapic.base_address = state->ioapic.base;
    chip.chip.ioapic.ioregsel = state->ioapic.select;
    chip.chip.ioapic.id = state->ioapic.id;
    chip.chip.ioapic.irr = state->ioapic.irr;
    for (unsigned i = 0; i < IRQCHIP_IOAPIC_PINS; i++)
        chip.chip.ioapic.redirtbl[i].bits = state->ioapic.redirection[i];
    return ioctl(vm->fd, KVM_SET_IRQCHIP, &chip) < 0 ? -errno : 0;
}

static int pit_get(struct engine_vm *vm, struct irqchip_state *state)
{
    uint64_t now = clock_now();
    struct kvm_pit_state2 pit;

    if (ioctl(vm->fd, KVM_GET_PIT2, &pit) < 0)
        return -errno;
    state->pit_disabled = pit.flags & KVM_PIT_FLAGS_HPET_LEGACY;
    for (unsigned i = 0; i < IRQCHIP_PIT_CHANNELS; i++) {
        const struct kvm_pit_channel_state *from = &pit.channels[i];
        uint64_t loaded = (uint64_t)from->count_load_time;
        state->pit[i] = (struct pit_channel_state){
            .count = from->count,
            .latched_count = from->latched_count,
            .count_latched = from->count_latched,
            .status_latched = from->status_latched,
            .status = from->status,
            .read_state = from->read_state,
            .write_state = from->write_state,
            .write_latch = from->write_latch,
            .rw_mode = from->rw_mode,
            .mode = from->mode,
            .bcd = from->bcd,
            .gate = from->gate,
            .loaded_ago_ns = loaded && loaded < now ? now - loaded : 0,
        };
    }
    return 0;
}

/* KVM starts the counters anew at their initial count, whatever the load time says. */
static int pit_set(struct engine_vm *vm, const struct irqchip_state *state)
{
    struct kvm_pit_state2 pit = {.flags = (state->pit_disabled ? KVM_PIT_FLAGS_HPET_LEGACY : 0)};
    uint64_t now = clock_now();

    for (unsigned i = 0; i < IRQCHIP_PIT_CHANNELS; i++) {
        const struct pit_channel_state *from = &state->pit[i];
        pit.channels[i] = (struct kvm_pit_channel_state){
            .count = from->count,
            .latched_count = from->latched_count,
            .count_latched = from->count_latched,
            .status_latched = from->status_latched,
            .status = from->status,
            .read_state = from->read_state,
            .write_state = from->write_state,
            .write_latch = from->write_latch,
            .rw_mode = from->rw_mode,
            .mode = from->mode,
            .bcd = from->bcd,
            .gate = from->gate,
            .count_load_time = (int64_t)(now - from->loaded_ago_ns),
        };
    }
    return ioctl(vm->fd, KVM_SET_PIT2, &pit) < 0 ? -errno : 0;
}

int kvm_pit_disable(struct engine_vm *vm, bool on)
{
    struct irqchip_state state = {0};
    int rc = pit_get(vm, &state);

    state.pit_disabled = on;
    return rc ? rc : pit_set(vm, &state);
}

int kvm_irqchip_get(struct engine_vm *vm, struct irqchip_state *ret_state)
{
    struct irqchip_state state = {0};
    struct kvm_clock_data clock = {0};
    int rc = controllers_get(vm, &state);

    if (!rc)
        rc = pit_get(vm, &state);
    if (!rc && ioctl(vm->fd, KVM_GET_CLOCK, &clock) < 0)
        rc = -errno;
    if (rc)
        return rc;
    state.clock_ns = clock.clock;
    *ret_state = state;
    return 0;
}

int kvm_irqchip_set(struct engine_vm *vm, const struct irqchip_state *state)
{
    struct kvm_clock_data clock = {.clock = state->clock_ns};
    int rc = controllers_set(vm, state);

    if (!rc)
        rc = pit_set(vm, state);
    if (!rc && ioctl(vm->fd, KVM_SET_CLOCK, &clock) < 0)
        rc = -errno;
    return rc;
}
