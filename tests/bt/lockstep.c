/* SPDX-License-Identifier: Apache-2.0 */
/* The translator against the interpreter, on system code: two VMs start the same kernel. One runs
 * translated code, a unit at a time; wherever it leaves, the other, which only interprets, follows
 * instruction by instruction to the same place, and then registers must be the same; every now and
 * then all of memory.
 *
 *     bt-lockstep KERNEL PLACES [SEED [INITRD]]
 *
 * PLACES: how many to compare. What the two cannot agree on (time, devices, random numbers) the
 * follower takes over from the other. Interrupts are injected into both, at places that the seed
 * chooses. Status flags are not compared themselves (jit.h says where they may differ), but
 * whatever is made of them is.
 *
 * A difference is printed with the instructions in front of it. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/tap.h"
#include "vm/engine/bt/block.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/disasm.h"
#include "vm/engine/bt/except.h"
#include "vm/engine/bt/flags.h"
#include "vm/engine/bt/interp.h"
#include "vm/engine/bt/jit/translate.h"
#include "vm/engine/bt/mmu.h"
#include "vm/firmware/direct_boot.h"

enum { RAM = 128 << 20, FOLLOW_MAX = 1 << 24, TAIL = 8192, SHOWN = 24, MEMORY_EVERY = 200000 };
enum { TIMER_VECTOR = 0x30, TICK_MIN = 2000 };

static const char cmdline[] =
    "earlyprintk=serial,ttyS0,115200 console=ttyS0 acpi=off nolapic noapic "
    "lpj=10000 tsc=reliable no_timer_check nokaslr mitigations=off "
    "panic=-1 socle.test=run";

struct machine {
    struct gmem *gmem;
    struct bus *bus;
    struct engine_vm *vm;
    struct bt_vcpu *cpu;
};

static struct machine leader, follower;
static struct {
    uint64_t places, limit, next_memory, next_tick, ticks, taken_over, flags_taken;
    bool failed;
    uint64_t tail[TAIL]; /* where the follower has been */
    unsigned tail_count, tail_end, arrived;
    uint64_t gpr[CPU_GPRS];
    char line[256];
    unsigned line_len;
} run;

/* --- random numbers: xorshift64* --- */

static uint64_t seed = 1;

static uint64_t next(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * UINT64_C(2685821657736338717);
}

/* --- a machine: memory, and a serial port that is always ready --- */

static uint64_t port_read(void *ctx, uint64_t offset, unsigned size)
{
    (void)ctx;
    (void)size;
    return offset == 5 ? 0x60 : 0;
}

static void port_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    (void)size;
    if (!ctx || offset)
        return;
    if (value != '\n' && run.line_len < sizeof run.line - 1) {
        run.line[run.line_len++] = value >= ' ' ? (char)value : ' ';
        return;
    }
    (void)printf("# %.*s\n", (int)run.line_len, run.line);
    run.line_len = 0;
}

static bool open_machine(struct machine *m, const char *kernel, const char *initrd, bool translate)
{
    static const struct bus_ops ops = {port_read, port_write};
    struct bus_region port = {
        .name = "serial", .ops = &ops, .ctx = translate ? m : NULL, .size = 8};
    struct cpu_model model = {.cpus = 1, .hypervisor = CPU_HYPERVISOR_NONE};
    struct engine_vm_config config = {.model = &model, .cpus = 1};
    struct engine_vcpu *vcpu = NULL;
    struct fw_machine machine;
    struct boot_start start;
    struct err err = ERR_INIT;

    int fd = open(kernel, O_RDONLY | O_CLOEXEC);
    int initrd_fd = initrd ? open(initrd, O_RDONLY | O_CLOEXEC) : -1;
    bool ok = fd >= 0 && !gmem_create(RAM, GMEM_PAGES_AUTO, &m->gmem, &err) &&
              !bus_create(&m->bus) && !bus_map(m->bus, BUS_PIO, 0x3f8, &port, &err);
    config.gmem = m->gmem;
    config.bus = m->bus;
    ok = ok && !engine_bt.vm_create(&config, &m->vm, &err);
    if (ok && !translate)
        bt_vm_of(m->vm)->jit = false;
    ok = ok && !engine_bt.vcpu_create(m->vm, 0, &vcpu, &err);
    if (ok) {
        m->cpu = bt_vcpu_of(vcpu);
        fw_machine_init(&machine, m->gmem);
        struct direct_boot boot = {.gmem = m->gmem,
                                   .machine = &machine,
                                   .kernel_fd = fd,
                                   .initrd_fd = initrd_fd,
                                   .kernel_name = kernel,
                                   .initrd_name = initrd,
                                   .cmdline = cmdline};
        ok = !direct_boot(&boot, &start, &err);
    }
    static struct cpu_state state;
    ok = ok && !engine_bt.vcpu_get_state(vcpu, &state);
    if (ok) {
        boot_start_apply(&start, &state);
        ok = !engine_bt.vcpu_set_state(vcpu, &state);
    }
    (void)close_fd(fd);
    (void)close_fd(initrd_fd);
    if (!ok)
        (void)printf("# %s\n", err.text);
    return ok;
}

static void close_machine(struct machine *m)
{
    engine_bt.vcpu_destroy((struct engine_vcpu *)m->cpu);
    engine_bt.vm_destroy(m->vm);
    bus_destroy(m->bus);
    gmem_destroy(m->gmem);
}

/* --- what is said of a difference --- */

static void print_instruction(uint64_t rip)
{
    struct bt_vcpu *cpu = follower.cpu;
    char text[BT_DISASM_MAX];
    uint8_t bytes[BT_INSN_MAX];
    struct bt_insn insn;

    if (setjmp(cpu->unwind)) {
        (void)printf("# %16" PRIx64 "  (not there)\n", rip);
        return;
    }
    mmu_read(cpu, rip, bytes, sizeof bytes);
    if (bt_decode(bytes, sizeof bytes, cpu->mode & BT_MODE_CODE, &insn)) {
        (void)printf("# %16" PRIx64 "  %s  ;", rip, bt_disasm(&insn, rip, text));
        for (unsigned i = 0; i < insn.length; i++)
            (void)printf(" %02x", bytes[i]);
        (void)printf("\n");
    }
}

static void print_difference(const char *what)
{
    const struct bt_vcpu *a = leader.cpu, *b = follower.cpu;

    if (run.failed)
        return;
    run.failed = true;
    (void)printf("# %s differs at place %" PRIu64 "; the follower came by\n", what, run.places);
    unsigned end = run.arrived ? run.tail_end : run.tail_count, count = end < SHOWN ? end : SHOWN;
    const uint64_t *gpr = run.arrived ? run.gpr : b->gpr;
    for (unsigned i = end - count; i < end; i++)
        print_instruction(run.tail[i % TAIL]);
    (void)printf("# it is at, and the translated one: %" PRIx64 " %" PRIx64 "\n", b->rip, a->rip);
    print_instruction(b->rip);
    for (unsigned i = 0; i < CPU_GPRS; i++)
        (void)printf("# r%-2u %016" PRIx64 " %016" PRIx64 "%s\n", i, gpr[i], a->gpr[i],
                     a->gpr[i] == gpr[i] ? "" : "  <");
    (void)printf("# flags %" PRIx64 " %" PRIx64 ", cr0 %" PRIx64 " cr3 %" PRIx64 " cr2 %" PRIx64
                 " %" PRIx64 " mode %x %x\n",
                 b->rflags, a->rflags, b->cr0, b->cr3, b->cr2, a->cr2, b->mode, a->mode);
}

/* --- comparing --- */

/* Components, but for exception pointers, which are dropped, and the header. */
static bool same_image(const struct bt_vcpu *a, const struct bt_vcpu *b)
{
    return !memcmp(a->xsave, b->xsave, 6) && !memcmp(a->xsave + 24, b->xsave + 24, 512 - 24 - 96) &&
           !memcmp(a->xsave + 576, b->xsave + 576, 256);
}

static bool is_flags(uint64_t value)
{
    enum { ALWAYS = 2, NEVER = 0x8028 };

    return value < 1 << 22 && (value & (ALWAYS | NEVER)) == ALWAYS;
}

/* Flags that an instruction leaves undefined may differ, and PUSHF puts them into a register. */
static void take_undefined_flags(void)
{
    const uint64_t *a = leader.cpu->gpr;
    uint64_t *b = follower.cpu->gpr;

    for (unsigned i = 0; i < CPU_GPRS; i++)
        if (a[i] != b[i] && (!is_flags(b[i]) || (a[i] ^ b[i]) & ~(uint64_t)BT_FLAGS_STATUS))
            return;
    run.flags_taken += memcmp(a, b, sizeof leader.cpu->gpr) != 0;
    memcpy(b, a, sizeof leader.cpu->gpr);
}

static const char *difference(void)
{
    const struct bt_vcpu *a = leader.cpu, *b = follower.cpu;

    if (a->rip != b->rip)
        return "RIP";
    if (memcmp(a->gpr, b->gpr, sizeof a->gpr) != 0)
        return "a register";
    if ((a->rflags ^ b->rflags) & ~(uint64_t)BT_FLAGS_STATUS)
        return "a control flag";
    if (a->mode != b->mode || a->cr0 != b->cr0 || a->cr3 != b->cr3 || a->cr4 != b->cr4 ||
        a->cr2 != b->cr2 || a->xcr0 != b->xcr0)
        return "the mode";
    if (memcmp(a->seg, b->seg, sizeof a->seg) != 0)
        return "a segment";
    return same_image(a, b) ? NULL : "the image of vector registers";
}

/* Saved flags, and accessed and dirty bits, which are set when a translation is looked up. */
static bool tolerable(uint64_t x, uint64_t y)
{
    uint64_t changed = x ^ y;

    return !(changed & ~(uint64_t)BT_FLAGS_STATUS) || !(changed & ~UINT64_C(0x60)) ||
           !(changed & ~(UINT64_C(0x60) << 32));
}

static void compare_memory(void)
{
    const uint64_t *a = (const void *)leader.gmem->host, *b = (const void *)follower.gmem->host;
    unsigned shown = 0;

    if (!memcmp(a, b, RAM))
        return;
    for (uint64_t i = 0; i < RAM / 8 && shown < 10; i++)
        if (a[i] != b[i] && !tolerable(a[i], b[i])) {
            (void)printf("# at %" PRIx64 ": %016" PRIx64 ", translated %016" PRIx64 "\n", i * 8,
                         b[i], a[i]);
            shown++;
        }
    if (shown)
        print_difference("memory");
}

/* --- following --- */

static void one(void)
{
    struct bt_vcpu *b = follower.cpu;

    if (!run.tail_count || run.tail[(run.tail_count - 1) % TAIL] != b->rip)
        run.tail[run.tail_count++ % TAIL] = b->rip;
    (void)interp_step(b);
    atomic_store(&b->request, 0);
}

static bool is_volatile(unsigned op)
{
    switch (op) {
    case BT_OP_RDTSC:
    case BT_OP_RDTSCP:
    case BT_OP_RDRAND:
    case BT_OP_RDSEED:
    case BT_OP_RDMSR:
    case BT_OP_IN:
        return true;
    default:
        return false;
    }
}

static void take_over(void)
{
    struct bt_vcpu *a = leader.cpu, *b = follower.cpu;

    run.taken_over++;
    memcpy(b->gpr, a->gpr, sizeof a->gpr);
    b->rflags = (b->rflags & ~(uint64_t)BT_FLAGS_STATUS) | (a->rflags & BT_FLAGS_STATUS);
}

/* The place may be one that the leader came by before, as a unit can end with a jump into its own
 * middle; if it never fits, the first time is what is printed. */
static void arrive(void)
{
    struct bt_vcpu *b = follower.cpu;

    if (b->rip != leader.cpu->rip || run.arrived++)
        return;
    memcpy(run.gpr, b->gpr, sizeof run.gpr);
    run.tail_end = run.tail_count;
}

/* To where the leader is, which may be where the follower is already. */
static void follow(bool moved, bool volatile_)
{
    unsigned n = 0;

    if (run.failed)
        return;
    run.arrived = 0;
    while (moved || difference()) {
        one();
        moved = false;
        arrive();
        if (volatile_ && follower.cpu->rip == leader.cpu->rip)
            take_over();
        if (follower.cpu->rip == leader.cpu->rip)
            take_undefined_flags();
        n += follower.cpu->rip != run.tail[(run.tail_count - 1) % TAIL]; /* else: repeated */
        if (n > FOLLOW_MAX)
            break;
    }
    const char *what = difference();
    if (what)
        print_difference(what);
}

static bool is_device(uint64_t linear)
{
    return !mmu_entry(leader.cpu, linear);
}

static void watch(struct bt_vcpu *cpu, const struct jit_site *site, unsigned op)
{
    uint64_t rip = cpu->rip;

    flags_merge(cpu);
    bool stepped = op != JIT_WATCH_LEFT;
    bool device = stepped && site && site->kind == JIT_SITE_ACCESS && is_device(cpu->jit.linear);
    follow(stepped, stepped && (is_volatile(op) || device));
    cpu->rip = rip;
    if (++run.places >= run.next_tick || run.failed || run.places >= run.limit)
        bt_attend(cpu);
}

static void tick(struct bt_vcpu *cpu)
{
    struct bt_event event = {.kind = BT_EVENT_INTERRUPT, .vector = TIMER_VECTOR};

    cpu->run_state = CPU_RUNNING;
    except_inject(cpu, &event);
}

static bool interruptible(const struct bt_vcpu *cpu)
{
    return cpu->rflags & BT_FLAG_IF && !cpu->shadow;
}

static void lead(void)
{
    struct bt_vcpu *a = leader.cpu;

    atomic_store(&a->request, 0);
    if (a->run_state != CPU_RUNNING || run.places >= run.next_tick) {
        if (interruptible(a) && interruptible(follower.cpu)) {
            run.ticks++;
            tick(a);
            tick(follower.cpu);
            run.next_tick = run.places + TICK_MIN + next() % TICK_MIN;
        } else if (a->run_state != CPU_RUNNING) {
            (void)printf("# halted for good at place %" PRIu64 "\n", run.places);
            run.limit = run.places;
        } else
            run.next_tick = run.places + 100;
        return;
    }
    if (a->shadow || (a->mode & BT_MODE_CODE) != BT_MODE_CODE64) {
        (void)interp_step(a);
        run.places++;
        follow(true, false);
        return;
    }
    jit_run(a);
    if (a->rip != follower.cpu->rip)
        follow(true, false);
}

static bool ends(void)
{
    return run.failed || run.places >= run.limit || leader.cpu->triple_fault;
}

static void compare_all(void)
{
    leader.cpu->jit.watch = watch;
    while (!ends()) {
        lead();
        if (run.places < run.next_memory)
            continue;
        compare_memory();
        run.next_memory = run.places + MEMORY_EVERY;
    }
    compare_memory();
    (void)printf("# %" PRIu64 " places, %" PRIu64 " ticks, taken over %" PRIu64 ", flags %" PRIu64
                 "\n",
                 run.places, run.ticks, run.taken_over, run.flags_taken);
}

static int result(bool ok)
{
    (void)printf("%s 1 - translated code does what interpreted code does\n1..1\n",
                 ok ? "ok" : "not ok");
    return !ok;
}

int main(int argc, char **argv)
{
    const char *kernel = argc > 1 ? argv[1] : "", *initrd = argc > 4 ? argv[4] : NULL;
    const char *why = NULL;

    run.limit = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
    seed = argc > 3 ? strtoull(argv[3], NULL, 10) * 2 + 1 : 1;
    run.next_tick = TICK_MIN;
    if (access(kernel, R_OK)) {
        (void)printf("1..0 # SKIP no kernel %s\n", kernel);
        return 0;
    }
    if (!open_machine(&leader, kernel, initrd, true) ||
        !open_machine(&follower, kernel, initrd, false))
        return result(false);
    if (!leader.cpu->jit.cache)
        why = bt_vm_of(leader.vm)->jit_why.text;
    if (why)
        (void)printf("1..0 # SKIP no translator: %s\n", why);
    else
        compare_all();
    bool ok = why || (!run.failed && !leader.cpu->triple_fault);
    close_machine(&leader);
    close_machine(&follower);
    return why ? 0 : result(ok);
}
