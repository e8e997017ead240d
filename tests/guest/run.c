/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the guest programs on an engine, through its seam, and looks at both sides of each. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/loop.h"
#include "base/range.h"
#include "harness.h"
#include "tests/tap.h"
#include "vm/engine/irqchip_state.h"

#define cleanup_machine CLEANUP(machine_close)

static void say(const struct machine *m, enum engine_exit exit)
{
    if (exit != ENGINE_EXIT_KICKED || m->err.code)
        (void)printf("# exit %d: %s\n", exit, m->err.text);
    if (m->failed_line)
        (void)printf("# the guest program failed at line %u (results: %x %x)\n", m->failed_line,
                     m->result[0], m->result[1]);
}

/* The program runs to its end and is content. */
static bool run_well(struct machine *m)
{
    enum engine_exit exit = machine_run(m);

    say(m, exit);
    return exit == ENGINE_EXIT_KICKED && m->done && !m->failed_line;
}

static bool open_and_run(struct machine *m, enum guest_program program)
{
    return machine_open(m, 1) && machine_start(m, program) && run_well(m);
}

static uint64_t event_count(int fd)
{
    uint64_t n = 0;

    return read(fd, &n, sizeof n) == sizeof n ? n : 0;
}

static void event_signal(int fd)
{
    uint64_t one = 1;

    (void)!write(fd, &one, sizeof one);
}

static void ports(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;

    CHECK(open_and_run(&m, PROGRAM_ports));
    CHECK_EQ(le64_load(m.echo_port), 0x8877665544332211);
    CHECK(bus_stats(m.bus).unclaimed >= 4);
}

static void string_io(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;

    CHECK(open_and_run(&m, PROGRAM_string_io));
}

static void mmio(void)
{
    static const unsigned widths[] = {1, 1, 2, 4, 8};
    cleanup_machine struct machine m = MACHINE_INIT;

    CHECK(open_and_run(&m, PROGRAM_mmio));
    REQUIRE(m.logged >= 5);
    for (unsigned i = 0; i < ARRAY_SIZE(widths); i++)
        CHECK_EQ(m.log[i].size, widths[i]);
    CHECK_EQ(m.log[4].value, 0x1817161514131211);
    CHECK(bus_stats(m.bus).unclaimed >= 2);
}

static void cmpxchg16b(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;

    CHECK(open_and_run(&m, PROGRAM_cx16));
}

static void exceptions(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;

    CHECK(open_and_run(&m, PROGRAM_exceptions));
}

static void apic_timer(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;

    CHECK(open_and_run(&m, PROGRAM_apic_timer));
}

static int pulse(struct machine *m, unsigned gsi)
{
    int rc = engine->irq_line(m->vm, gsi, true);

    return rc ? rc : engine->irq_line(m->vm, gsi, false);
}

static uint32_t lines_command(struct machine *m, uint32_t command)
{
    switch (command) {
    case CMD_PULSE_5:
        return (uint32_t)pulse(m, 5);
    case CMD_PULSE_4:
        return (uint32_t)pulse(m, 4);
    case CMD_IRQFD_10:
        if (!m->asserted++ && engine->irqfd(m->vm, 10, m->event_fd, m->resample_fd, true))
            return 1;
        event_signal(m->event_fd);
        return 0;
    case CMD_RESAMPLED:
        return (uint32_t)event_count(m->resample_fd);
    }
    return 1;
}

static void interrupt_lines(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;

    REQUIRE(machine_open(&m, 1) && machine_start(&m, PROGRAM_lines));
    m.command = lines_command;
    CHECK(run_well(&m));
    CHECK_EQ(engine->irqfd(m.vm, 10, m.event_fd, -1, false), 0);
    CHECK(engine->irq_line(m.vm, ENGINE_GSI_LINES, true) != 0);
}

static uint32_t messages_command(struct machine *m, uint32_t command)
{
    int rc = -EINVAL;

    switch (command) {
    case CMD_MSI_BIND:
        rc = engine->msi_alloc(m->vm, &m->route);
        if (!rc)
            rc = engine->msi_set(m->vm, m->route, 0xfee00000, 0x60);
        if (!rc)
            rc = engine->irqfd(m->vm, m->route, m->event_fd, -1, true);
        break;
    case CMD_MSI_SIGNAL:
        event_signal(m->event_fd);
        rc = 0;
        break;
    case CMD_MSI_MOVE:
        rc = engine->msi_set(m->vm, m->route, 0xfee00000, 0x62);
        break;
    case CMD_MSI_SEND:
        rc = engine->msi_send(m->vm, 0xfee00000, 0x61);
        break;
    case CMD_MSI_NONSENSE:
        rc = engine->msi_set(m->vm, m->route, ECHO_MMIO, 0x60);
        break;
    }
    return (uint32_t)rc;
}

static void message_interrupts(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;
    unsigned routes[64], count = 0;

    REQUIRE(machine_open(&m, 1) && machine_start(&m, PROGRAM_messages));
    m.command = messages_command;
    CHECK(run_well(&m));
    CHECK_EQ(engine->irqfd(m.vm, m.route, m.event_fd, -1, false), 0);
    CHECK_EQ(engine->irqfd(m.vm, m.route, m.event_fd, -1, false), -ENOENT);
    engine->msi_free(m.vm, m.route);
    CHECK(engine->msi_set(m.vm, m.route, 0xfee00000, 0x60) < 0);
    while (count < ARRAY_SIZE(routes) && !engine->msi_alloc(m.vm, &routes[count]))
        count++;
    CHECK_EQ(count, ARRAY_SIZE(routes));
    CHECK_EQ(routes[0], m.route); /* used again */
    for (unsigned i = 1; i < count; i++)
        CHECK(routes[i] != routes[i - 1]);
}

/* An eventfd that was signalled before it is bound counts at once. */
static void pending_message(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;
    unsigned route;
    struct cpu_state state;

    REQUIRE(machine_open(&m, 1) && machine_start(&m, PROGRAM_spin));
    REQUIRE(!engine->vcpu_get_state(m.vcpu, &state));
    state.lapic[0xf] = 0x1ff; /* enabled */
    REQUIRE(!engine->vcpu_set_state(m.vcpu, &state));
    event_signal(m.event_fd);
    REQUIRE(!engine->msi_alloc(m.vm, &route));
    CHECK_EQ(engine->msi_set(m.vm, route, 0xfee00000, 0x65), 0);
    CHECK_EQ(engine->irqfd(m.vm, route, m.event_fd, -1, true), 0);
    for (unsigned i = 0; i < 200; i++) {
        (void)usleep(10000);
        REQUIRE(!engine->vcpu_get_state(m.vcpu, &state));
        if (state.lapic[0x20 + 0x65 / 32] & BIT(0x65 % 32))
            break;
    }
    CHECK(state.lapic[0x20 + 0x65 / 32] & BIT(0x65 % 32)); /* IRR */
}

static void doorbells(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;
    uint64_t beside;

    REQUIRE(machine_open(&m, 1) && machine_start(&m, PROGRAM_doorbells));
    CHECK_EQ(engine->doorbell(m.vm, BUS_MMIO, BELL_MMIO, m.event_fd, true), 0);
    CHECK_EQ(engine->doorbell(m.vm, BUS_PIO, BELL_PORT, m.resample_fd, true), 0);
    CHECK(run_well(&m));
    CHECK_EQ(event_count(m.event_fd), 4);
    CHECK_EQ(event_count(m.resample_fd), 3);
    beside = bus_stats(m.bus).unclaimed; /* one write of four bytes */
    CHECK(beside && beside <= 4);
    CHECK_EQ(engine->doorbell(m.vm, BUS_MMIO, BELL_MMIO, m.event_fd, false), 0);
    CHECK_EQ(engine->doorbell(m.vm, BUS_PIO, BELL_PORT, m.resample_fd, false), 0);
    m.done = false;
    REQUIRE(machine_start(&m, PROGRAM_doorbells));
    CHECK(run_well(&m));
    CHECK_EQ(event_count(m.event_fd), 0);
    CHECK(bus_stats(m.bus).unclaimed >= 2 * beside + 7);
}

static void *page_of(uint64_t value)
{
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        abort();
    le64_store(page, value);
    return page;
}

static void readonly_memory(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;
    struct engine_memory rom = {.base = ROM, .size = 4096, .readonly = true};

    rom.host = page_of(0x1122334455667788);
    REQUIRE(machine_open(&m, 1) && machine_start(&m, PROGRAM_readonly));
    CHECK_EQ(engine->map(m.vm, &rom, &m.err), 0);
    CHECK(run_well(&m));
    CHECK_EQ(m.logged, 1);
    CHECK_EQ(m.log[0].offset, ROM + 4);
    CHECK_EQ(m.log[0].value, 0xcafe);

    CHECK_EQ(engine->map(m.vm, &rom, &m.err), -EEXIST);
    rom.base++;
    CHECK_EQ(engine->map(m.vm, &rom, &m.err), -EINVAL);
    CHECK_EQ(engine->unmap(m.vm, ROM + 4096), -ENOENT);
    CHECK_EQ(engine->unmap(m.vm, ROM), 0);
    m.done = false;
    REQUIRE(machine_start(&m, PROGRAM_readonly));
    (void)machine_run(&m);
    CHECK(m.failed_line != 0); /* no memory there now: the bus reads zero */
    (void)munmap(rom.host, 4096);
}

enum { DIRTY_PAGES = 1024 };

static uint32_t dirty_command(struct machine *m, uint32_t command)
{
    static const uint16_t pages[] = {0, 1, 63, 64, 65, 200, 511, 512, 700};
    uint64_t want[DIRTY_PAGES / 64] = {0}, got[DIRTY_PAGES / 64] = {0}, part[1] = {0};
    uint64_t size = DIRTY_PAGES * 4096;

    (void)command;
    if (m->scratch == 0)
        CHECK_EQ(engine->dirty_fetch(m->vm, GUEST_DIRTY, size, got), 0);
    if (m->scratch == 1) {
        for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
            want[pages[i] / 64] |= BIT64(pages[i] % 64);
        /* A part first: page 64, which leaves the others alone. */
        CHECK_EQ(engine->dirty_fetch(m->vm, GUEST_DIRTY + 64 * 4096, 4096, part), 0);
        CHECK_EQ(part[0], 1);
        want[1] &= ~UINT64_C(1);
        CHECK_EQ(engine->dirty_fetch(m->vm, GUEST_DIRTY, size, got), 0);
        CHECK(!memcmp(got, want, sizeof got));
        (void)memset(got, 0, sizeof got);
        (void)memset(want, 0, sizeof want);
        CHECK_EQ(engine->dirty_fetch(m->vm, GUEST_DIRTY, size, got), 0);
        CHECK(!memcmp(got, want, sizeof got));
    }
    if (m->scratch == 2) {
        for (unsigned i = 1; i < ARRAY_SIZE(pages); i += 2)
            want[pages[i] / 64] |= BIT64(pages[i] % 64);
        CHECK_EQ(engine->dirty_fetch(m->vm, GUEST_DIRTY, size, got), 0);
        CHECK(!memcmp(got, want, sizeof got));
        return 0;
    }
    return ++m->scratch;
}

static void dirty_pages(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;
    uint64_t bitmap[DIRTY_PAGES / 64];

    REQUIRE(machine_open(&m, 1) && machine_start(&m, PROGRAM_dirty));
    CHECK_EQ(engine->dirty_enable(m.vm, true), 0);
    m.command = dirty_command;
    CHECK(run_well(&m));
    CHECK_EQ(m.scratch, 2);
    CHECK_EQ(engine->dirty_enable(m.vm, false), 0);
    CHECK(engine->dirty_fetch(m.vm, 0, 4096, bitmap) < 0);
}

static void *kick_later(void *arg)
{
    struct machine *m = arg;

    (void)usleep(50000);
    engine->vcpu_kick(m->vcpu);
    return NULL;
}

static void kick(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;
    pthread_t thread;

    REQUIRE(machine_open(&m, 1) && machine_start(&m, PROGRAM_spin));
    engine->vcpu_kick(m.vcpu); /* before it ever ran */
    CHECK_EQ(engine->vcpu_run(m.vcpu, &m.err), ENGINE_EXIT_KICKED);
    CHECK_EQ(m.results, 0);
    for (unsigned i = 0; i < 3; i++) {
        REQUIRE(!pthread_create(&thread, NULL, kick_later, &m));
        CHECK_EQ(engine->vcpu_run(m.vcpu, &m.err), ENGINE_EXIT_KICKED);
        (void)pthread_join(thread, NULL);
    }
    CHECK_EQ(m.results, 1);
}

static uint32_t stop_command(struct machine *m, uint32_t command)
{
    (void)command;
    m->done = true;
    m->engine->vcpu_kick(m->vcpu);
    return 0;
}

static void copy_ram(struct machine *from, struct machine *to)
{
    for (unsigned i = 0; i < from->gmem->range_count; i++)
        memcpy(to->gmem->range[i].host, from->gmem->range[i].host, from->gmem->range[i].size);
}

/* Through the encoding, as a snapshot does. */
static void carry_state(struct machine *from, struct machine *to)
{
    struct cpu_state state, loaded, again;
    struct irqchip_state chips, chips_loaded;
    cleanup_buf struct buf saved = {0}, saved_again = {0};

    REQUIRE(!from->engine->vcpu_get_state(from->vcpu, &state));
    REQUIRE(!from->engine->irqchip_get(from->vm, &chips));
    state_save(&cpu_state_table, &state, &saved);
    (void)memset(&loaded, 0, sizeof loaded);
    CHECK_EQ(state_load(&cpu_state_table, &loaded, saved.data, saved.len, NULL, &to->err), 0);
    CHECK(!memcmp(&state.gpr, &loaded.gpr, sizeof state.gpr));
    CHECK_EQ(to->engine->vcpu_set_state(to->vcpu, &loaded), 0);
    saved.len = 0;
    state_save(&irqchip_state_table, &chips, &saved);
    CHECK_EQ(state_load(&irqchip_state_table, &chips_loaded, saved.data, saved.len, NULL, &to->err),
             0);
    CHECK_EQ(to->engine->irqchip_set(to->vm, &chips_loaded), 0);

    /* What was set is what is there, but for time. */
    REQUIRE(!to->engine->vcpu_get_state(to->vcpu, &again));
    again.msr[MSR_SLOT_tsc] = state.msr[MSR_SLOT_tsc];
    again.msr[MSR_SLOT_tsc_adjust] = state.msr[MSR_SLOT_tsc_adjust];
    /* Engines may differ in what XSAVE leaves to software, where KVM says what its host has, and in
     * XSTATE_BV, by components in their initial state (SDM volume 1, 10.5.1 and 13.6). */
    if (from->engine != to->engine)
        (void)memcpy(again.xsave + 464, state.xsave + 464, 512 + 8 - 464);
    saved.len = 0;
    state_dump(&cpu_state_table, &state, &saved);
    state_dump(&cpu_state_table, &again, &saved_again);
    if (!CHECK(saved.len == saved_again.len && !memcmp(saved.data, saved_again.data, saved.len)))
        (void)printf("# first:\n%s\n# second:\n%s\n", buf_cstr(&saved), buf_cstr(&saved_again));
}

static bool open_by(struct machine *m, const struct engine *other)
{
    const struct engine *under_test = engine;

    engine = other;
    bool good = machine_open(m, 1);
    engine = under_test;
    return good;
}

/* A program that is stopped half way under one engine and ends under another, or under the same:
 * with the results of one that runs through. */
static void continues(const struct engine *begins, const struct engine *ends)
{
    cleanup_machine struct machine whole = MACHINE_INIT, first = MACHINE_INIT,
                                   second = MACHINE_INIT;

    REQUIRE(open_by(&whole, begins) && open_by(&first, begins) && open_by(&second, ends));
    REQUIRE(machine_start(&whole, PROGRAM_compute) && machine_start(&first, PROGRAM_compute));
    CHECK(run_well(&whole));
    CHECK_EQ(whole.results, 10);
    first.command = stop_command;
    CHECK(run_well(&first));
    CHECK_EQ(first.results, 0);

    copy_ram(&first, &second);
    carry_state(&first, &second);
    CHECK(run_well(&second));
    CHECK_EQ(second.results, whole.results);
    for (unsigned i = 0; i < whole.results; i++)
        CHECK_EQ(second.result[i], whole.result[i]);
    CHECK_EQ(whole.result[4], 0x7f4a7c15);
    CHECK_EQ(whole.result[5], 0x5555);
}

static void save_and_continue(void)
{
    continues(engine, engine);
}

/* Where KVM works: a VM is saved under either and continues under the other. */
static void other_engine(void)
{
    const struct engine *other = engine_find(strcmp(engine->name, "bt") ? "bt" : "kvm");
    struct err why = ERR_INIT;

    REQUIRE(other);
    if (other->probe(&why)) {
        (void)printf("# not tried, engine %s: %s\n", other->name, why.text);
        return;
    }
    continues(engine, other);
    continues(other, engine);
}

static void triple_fault(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;

    REQUIRE(machine_open(&m, 1) && machine_start(&m, PROGRAM_triple_fault));
    CHECK_EQ(engine->vcpu_run(m.vcpu, &m.err), ENGINE_EXIT_SHUTDOWN);
    /* and after a reset it runs again */
    REQUIRE(machine_start(&m, PROGRAM_ports));
    CHECK(run_well(&m));
}

/* KVM gives up and says on what. bt finds nothing there to fetch, which reads as all ones: #UD. */
static void code_in_a_device(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;

    REQUIRE(machine_open(&m, 1) && machine_start(&m, PROGRAM_nowhere));
    if (!strcmp(engine->name, "bt")) {
        CHECK_EQ(machine_run(&m), ENGINE_EXIT_KICKED);
        CHECK_EQ(m.failed_line, 1006000);
        return;
    }
    m.echo_mmio[0] = 0xf4;
    CHECK_EQ(engine->vcpu_run(m.vcpu, &m.err), ENGINE_EXIT_FAILED);
    (void)printf("# %s\n", m.err.text);
    CHECK(m.err.code < 0 && strstr(m.err.text, "processor 0") && strstr(m.err.text, "d0000000"));
}

struct second {
    struct machine *m;
    struct engine_vcpu *vcpu;
    enum engine_exit exit;
};

static void *second_run(void *arg)
{
    struct second *s = arg;
    struct err err = ERR_INIT;

    s->exit = engine->vcpu_run(s->vcpu, &err);
    if (err.code)
        (void)printf("# second processor: %s\n", err.text);
    return NULL;
}

/* Bits 14-8 of a message's destination are in bits 11-5 of its address. */
static uint32_t target_command(struct machine *m, uint32_t command)
{
    uint32_t id = m->scratch;

    if (command == CMD_TARGET)
        return id;
    return (uint32_t)engine->msi_send(m->vm, 0xfee00000 | (id & 0xff) << 12 | id >> 8 << 5, 0x72);
}

/* Processor `last` of `cpus` is started by INIT and SIPI; the ones between exist and wait. */
static void start_processor(unsigned cpus, unsigned last)
{
    cleanup_machine struct machine m = MACHINE_INIT;
    struct engine_vcpu *vcpu[ENGINE_CPUS_MAX] = {0};
    struct second second = {.m = &m};
    pthread_t thread;

    if (!CHECK(machine_open(&m, cpus))) {
        (void)printf("# %s\n", m.err.text);
        return;
    }
    for (unsigned i = 1; i < cpus; i++)
        if (!CHECK(!engine->vcpu_create(m.vm, i, &vcpu[i], &m.err))) {
            (void)printf("# %s\n", m.err.text);
            break;
        }
    m.command = target_command;
    m.scratch = cpu_model_apic_id(&m.model, last);
    second.vcpu = vcpu[last];
    if (CHECK(vcpu[last] && machine_start(&m, PROGRAM_two_cpus)) &&
        CHECK(!pthread_create(&thread, NULL, second_run, &second))) {
        CHECK(run_well(&m));
        engine->vcpu_kick(vcpu[last]);
        (void)pthread_join(thread, NULL);
        CHECK_EQ(second.exit, ENGINE_EXIT_KICKED);
    }
    for (unsigned i = 1; i < cpus; i++)
        engine->vcpu_destroy(vcpu[i]);
}

static void two_processors(void)
{
    start_processor(2, 1);
}

static void many_processors(void)
{
    start_processor(300, 299);
}

static void all_processors(void)
{
    start_processor(ENGINE_CPUS_MAX, ENGINE_CPUS_MAX - 1);
}

static uint32_t nmi_command(struct machine *m, uint32_t command)
{
    return command == CMD_NMI ? (uint32_t)engine->vcpu_nmi(m->vcpu) : (uint32_t)engine->smi(m->vm);
}

static void nmi(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;

    REQUIRE(machine_open(&m, 1) && machine_start(&m, PROGRAM_nmi));
    m.command = nmi_command;
    CHECK(run_well(&m));
}

static uint32_t smi_to_one(struct machine *m, uint32_t command)
{
    (void)command;
    return (uint32_t)engine->vcpu_smi(m->vm, 0);
}

static void by_smi(uint32_t (*raise)(struct machine *m, uint32_t command))
{
    cleanup_machine struct machine m = MACHINE_INIT;
    struct engine_memory tseg = {.base = GUEST_TSEG, .size = 0x100000, .smm_only = true};
    uint32_t secret = 0x5ec2e7, open = 0x0badcafe;

    REQUIRE(machine_open(&m, 1) && machine_start(&m, PROGRAM_smm));
    m.command = raise;
    CHECK_EQ(gmem_write(m.gmem, gpa(GUEST_TSEG), &secret, sizeof secret), 0);
    CHECK_EQ(gmem_write(m.gmem, gpa(GUEST_TSEG - 4), &open, sizeof open), 0);
    tseg.host = m.gmem->range[0].host + GUEST_TSEG;
    CHECK_EQ(engine->map(m.vm, &tseg, &m.err), 0);
    CHECK(run_well(&m));
    CHECK_EQ(m.results, 1);
    CHECK_EQ(m.result[0], secret);
    CHECK_EQ(m.results_in_smm, 1);
}

static void system_management(void)
{
    by_smi(nmi_command);
    by_smi(smi_to_one);
}

static void identification(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;

    CHECK(open_and_run(&m, PROGRAM_cpuid));
    REQUIRE(m.results == 36);
    CHECK_EQ(m.results_in_smm, 0);
    CHECK(m.result[0] >= 0xd);
    CHECK(m.result[4 + 2] & BIT(31));              /* a hypervisor */
    CHECK(!(m.result[4 + 2] & (BIT(3) | BIT(5)))); /* no MONITOR, no VMX */
    CHECK(m.result[4 + 2] & BIT(26));              /* XSAVE; OSXSAVE as CR4 has it: off */
    CHECK(!(m.result[4 + 2] & BIT(27)));
    CHECK(m.result[4 + 2] & BIT(24)); /* the deadline timer, which apic_timer then tests */
    CHECK_EQ(m.result[8 + 2], 0x100);
    CHECK_EQ(m.result[16 + 1], 0x4b4d564b);
    CHECK(m.result[20] > 100000); /* kHz */
    CHECK_EQ(m.result[28] & ~(uint32_t)CPUID_XCR0_ALLOWED, 0);
    CHECK(m.result[32] != 0); /* a brand string */
}

static void registers(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;

    CHECK(open_and_run(&m, PROGRAM_msr));
}

/* The bytes at the reset vector: mov dx, 0x500; mov eax, 0x12345678; out dx, eax;
 * mov dx, 0x508; out dx, eax */
static const uint8_t reset_code[16] = {0xba, 0x00, 0x05, 0x66, 0xb8, 0x78, 0x56, 0x34,
                                       0x12, 0x66, 0xef, 0xb2, 0x08, 0x66, 0xef, 0xf4};

static void reset_vector(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;
    struct engine_memory flash = {.base = 0xfffff000, .size = 4096, .readonly = true};

    flash.host = page_of(0);
    memcpy((uint8_t *)flash.host + 0xff0, reset_code, sizeof reset_code);
    REQUIRE(machine_open(&m, 1));
    CHECK_EQ(engine->map(m.vm, &flash, &m.err), 0);
    for (unsigned i = 0; i < 2; i++) {
        m.done = false;
        CHECK(run_well(&m));
        CHECK_EQ(m.results, i + 1);
        CHECK_EQ(m.result[i], 0x12345678);
        CHECK_EQ(engine->vcpu_reset(m.vcpu), 0);
    }
    (void)munmap(flash.host, 4096);
}

/* A new processor and one that was reset are what the architecture says. */
static void power_on_state(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;
    struct cpu_state fresh, reset, table;

    REQUIRE(machine_open(&m, 1));
    REQUIRE(!engine->vcpu_get_state(m.vcpu, &fresh));
    REQUIRE(machine_start(&m, PROGRAM_compute));
    CHECK(run_well(&m));
    REQUIRE(!engine->vcpu_reset(m.vcpu) && !engine->vcpu_get_state(m.vcpu, &reset));
    cpu_state_power_on(&table, 0, true);
    fresh.msr[MSR_SLOT_tsc] = reset.msr[MSR_SLOT_tsc] = 0;
    for (unsigned i = 0; i < MSR_SLOT_MAX; i++)
        if (fresh.msr[i] != reset.msr[i])
            (void)printf("# %s: fresh %llx, reset %llx\n", msr_info[i].name,
                         (unsigned long long)fresh.msr[i], (unsigned long long)reset.msr[i]);
    CHECK(!memcmp(fresh.msr, reset.msr, sizeof fresh.msr));
    for (unsigned i = 0; i < CPU_SEGS; i++) {
        /* Whether the accessed bit is set, and how wide the TSS is, differs between vendors. */
        uint16_t free_bits = fresh.seg[i].attributes & CPU_SEG_S ? 1 : 8;
        CHECK_EQ(fresh.seg[i].attributes & ~free_bits, reset.seg[i].attributes & ~free_bits);
        CHECK_EQ(fresh.seg[i].selector, reset.seg[i].selector);
        CHECK_EQ(fresh.seg[i].base, reset.seg[i].base);
        CHECK_EQ(reset.seg[i].base, table.seg[i].base);
        CHECK_EQ(reset.seg[i].limit, table.seg[i].limit);
    }
    CHECK_EQ(reset.rip, 0xfff0);
    CHECK_EQ(fresh.rip, 0xfff0);
    CHECK_EQ(reset.cr0, table.cr0);
    CHECK_EQ(fresh.cr0, table.cr0);
    CHECK_EQ(reset.cr4, 0);
    CHECK_EQ(reset.efer, 0);
    CHECK_EQ(reset.apic_base, fresh.apic_base);
    CHECK_EQ(reset.xcr0, fresh.xcr0);
    for (unsigned i = 0; i < CPU_LAPIC_REGISTERS; i++)
        if (!CHECK(fresh.lapic[i] == reset.lapic[i]))
            (void)printf("# APIC register %x: fresh %x, reset %x\n", i * 16, fresh.lapic[i],
                         reset.lapic[i]);
    CHECK_EQ(reset.run_state, CPU_RUNNING);
    CHECK_EQ(reset.dr[0], 0);
}

/* Not a test: what an exit costs, in the lab: `lab/run --count ... test-guest exits`. */
static int measure_exits(void)
{
    cleanup_machine struct machine m = MACHINE_INIT;

    return open_and_run(&m, PROGRAM_port_loop) ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct tap_case cases[] = {
        TAP_CASE(ports),
        TAP_CASE(string_io),
        TAP_CASE(mmio),
        TAP_CASE(cmpxchg16b),
        TAP_CASE(exceptions),
        TAP_CASE(apic_timer),
        TAP_CASE(interrupt_lines),
        TAP_CASE(message_interrupts),
        TAP_CASE(pending_message),
        TAP_CASE(doorbells),
        TAP_CASE(readonly_memory),
        TAP_CASE(dirty_pages),
        TAP_CASE(kick),
        TAP_CASE(save_and_continue),
        TAP_CASE(other_engine),
        TAP_CASE(triple_fault),
        TAP_CASE(code_in_a_device),
        TAP_CASE(two_processors),
        TAP_CASE(many_processors),
        TAP_CASE(all_processors),
        TAP_CASE(nmi),
        TAP_CASE(system_management),
        TAP_CASE(identification),
        TAP_CASE(registers),
        TAP_CASE(reset_vector),
        TAP_CASE(power_on_state),
    };
    const char *name = getenv("SOCLE_ENGINE");
    struct err why = ERR_INIT;

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    engine = engine_choose(name ? name : "auto", &why);
    if (!engine) {
        (void)printf("1..0 # SKIP %s\n", why.text);
        return name ? 1 : 0;
    }
    (void)printf("# engine %s\n", engine->name);
    if (argc > 1 && !strcmp(argv[1], "exits"))
        return measure_exits();
    (void)alarm(100); /* a guest that waits for what never comes */
    return tap_run_(cases, ARRAY_SIZE(cases));
}
