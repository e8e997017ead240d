/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/range.h"

const struct engine *engine;

extern const uint8_t guest_image[], guest_image_end[];

/* Control ports */

static uint64_t control_read(void *ctx, uint64_t offset, unsigned size)
{
    struct machine *m = ctx;

    (void)size;
    return offset == CTL_COMMAND - CTL_RESULT ? m->answer : 0;
}

static void control_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    struct machine *m = ctx;

    (void)size;
    switch (offset + CTL_RESULT) {
    case CTL_RESULT:
        m->results_in_smm += m->engine->in_smm && m->engine->in_smm(m->vm, 0);
        if (m->results < RESULTS_MAX)
            m->result[m->results++] = (uint32_t)value;
        break;
    case CTL_FAIL:
        if (!m->failed_line)
            m->failed_line = (unsigned)value;
        break;
    case CTL_DONE:
        m->done = true;
        m->engine->vcpu_kick(m->vcpu);
        break;
    case CTL_COMMAND:
        m->answer = m->command ? m->command(m, (uint32_t)value) : 0;
        break;
    }
}

/* The echo device */

static uint64_t port_read(void *ctx, uint64_t offset, unsigned size)
{
    return le_load(((struct machine *)ctx)->echo_port + offset, size);
}

static void port_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    le_store(((struct machine *)ctx)->echo_port + offset, size, value);
}

static uint64_t mmio_read(void *ctx, uint64_t offset, unsigned size)
{
    return le_load(((struct machine *)ctx)->echo_mmio + offset, size);
}

static void log_write(struct machine *m, uint64_t offset, unsigned size, uint64_t value)
{
    if (m->logged < LOG_MAX) {
        m->log[m->logged].offset = offset;
        m->log[m->logged].size = size;
        m->log[m->logged].value = value;
    }
    m->logged++;
}

static void mmio_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    le_store(((struct machine *)ctx)->echo_mmio + offset, size, value);
    log_write(ctx, offset, size, value);
}

static uint64_t rom_read(void *ctx, uint64_t offset, unsigned size)
{
    (void)ctx;
    (void)offset;
    (void)size;
    return 0;
}

static void rom_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    log_write(ctx, ROM + offset, size, value);
}

static const struct bus_ops control_ops = {control_read, control_write};
static const struct bus_ops port_ops = {port_read, port_write};
static const struct bus_ops mmio_ops = {mmio_read, mmio_write};
static const struct bus_ops rom_ops = {rom_read, rom_write};

static int map_devices(struct machine *m)
{
    const struct {
        enum bus_space space;
        uint64_t base, size;
        const char *name;
        const struct bus_ops *ops;
    } regions[] = {
        {BUS_PIO, CTL_RESULT, 0x10, "control", &control_ops},
        {BUS_PIO, ECHO_PORT, ECHO_PORT_SIZE, "echo port", &port_ops},
        {BUS_MMIO, ECHO_MMIO, ECHO_MMIO_SIZE, "echo memory", &mmio_ops},
        {BUS_MMIO, ROM, 0x1000, "rom", &rom_ops},
    };
    int rc = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(regions) && !rc; i++) {
        struct bus_region region = {
            .name = regions[i].name, .ops = regions[i].ops, .ctx = m, .size = regions[i].size};
        rc = bus_map(m->bus, regions[i].space, regions[i].base, &region, &m->err);
    }
    return rc;
}

bool machine_open(struct machine *m, unsigned cpus)
{
    *m = (struct machine){
        .engine = engine, .model = {.cpus = cpus}, .event_fd = -1, .resample_fd = -1};
    struct engine_vm_config config = {.model = &m->model, .cpus = cpus};

    if (gmem_create(GUEST_RAM, GMEM_PAGES_AUTO, &m->gmem, &m->err) || bus_create(&m->bus) ||
        map_devices(m))
        return false;
    config.gmem = m->gmem;
    config.bus = m->bus;
    m->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    m->resample_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return m->event_fd >= 0 && m->resample_fd >= 0 &&
           !m->engine->vm_create(&config, &m->vm, &m->err) &&
           !m->engine->vcpu_create(m->vm, 0, &m->vcpu, &m->err);
}

void machine_close(struct machine *m)
{
    if (m->engine) {
        m->engine->vcpu_destroy(m->vcpu);
        m->engine->vm_destroy(m->vm);
    }
    bus_destroy(m->bus);
    gmem_destroy(m->gmem);
    m->event_fd = close_fd(m->event_fd);
    m->resample_fd = close_fd(m->resample_fd);
}

/* Starting a program */

static void put(struct machine *m, uint64_t address, uint64_t value)
{
    uint8_t bytes[8];

    le64_store(bytes, value);
    (void)gmem_write(m->gmem, gpa(address), bytes, sizeof bytes);
}

static void write_tables(struct machine *m)
{
    put(m, GUEST_PML4, GUEST_PDPT | 3);
    for (unsigned i = 0; i < 4; i++)
        put(m, GUEST_PDPT + i * 8, (GUEST_PD + i * 0x1000) | 3);
    for (uint64_t i = 0; i < 2048; i++)
        put(m, GUEST_PD + i * 8, i << 21 | 0x83);
    put(m, GUEST_GDT + SEL_CODE64, UINT64_C(0x00af9b000000ffff));
    put(m, GUEST_GDT + SEL_DATA, UINT64_C(0x00cf93000000ffff));
    put(m, GUEST_GDT + SEL_CODE32, UINT64_C(0x00cf9b000000ffff));
}

bool machine_start(struct machine *m, enum guest_program program)
{
    struct cpu_state state;

    write_tables(m);
    if (gmem_write(m->gmem, gpa(GUEST_IMAGE), guest_image, (size_t)(guest_image_end - guest_image)))
        return false;
    if (m->engine->vcpu_reset(m->vcpu) || m->engine->vcpu_get_state(m->vcpu, &state))
        return false;
    for (unsigned i = CPU_ES; i <= CPU_GS; i++)
        state.seg[i] = (struct cpu_segment){
            .limit = ~0u, .selector = SEL_DATA, .attributes = CPU_SEG_G | CPU_SEG_DB | 0x93};
    state.seg[CPU_CS] = (struct cpu_segment){
        .limit = ~0u, .selector = SEL_CODE64, .attributes = CPU_SEG_G | CPU_SEG_L | 0x9b};
    state.gdtr = (struct cpu_table_register){.base = GUEST_GDT, .limit = 31};
    state.cr3 = GUEST_PML4;
    state.cr4 = 0x620;
    state.cr0 = 0x80000033;
    state.efer = 0x500;
    state.rip = GUEST_IMAGE;
    state.gpr[CPU_RDI] = program;
    return !m->engine->vcpu_set_state(m->vcpu, &state);
}

enum engine_exit machine_run(struct machine *m)
{
    enum engine_exit exit;

    do
        exit = m->engine->vcpu_run(m->vcpu, &m->err);
    while (exit == ENGINE_EXIT_KICKED && !m->done);
    return exit;
}
