/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: from translated code to the interpreter and back (jit.h).
 *
 * While jit_run runs, RIP and the status flags are kept as between the interpreter's blocks
 * (flags.h); the landing of a fault is the same as interp_run's. `inside` is set all the while, so
 * who asks for attention signals the thread; the handler spoils GS's base, and since the loop sets
 * the base before it looks at the requests, either it sees the request or the spoiled base stays.
 *
 * At every leave at least the instruction of the site is carried out before a request is looked at,
 * or the guest stands between two instructions none of which casts an interrupt shadow. */
#include "vm/engine/bt/jit/jit.h"

#include <cpuid.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/range.h"
#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/except.h"
#include "vm/engine/bt/flags.h"
#include "vm/engine/bt/flat.h"
#include "vm/engine/bt/interp.h"
#include "vm/engine/bt/jit/cache.h"
#include "vm/engine/bt/jit/enter.h"
#include "vm/engine/bt/jit/trap.h"
#include "vm/engine/bt/jit/warm.h"
#include "vm/engine/bt/segment.h"
#include "vm/engine/bt/signals.h"

enum { PAGE = 4096 };
/* Accesses at odd addresses until a unit is made anew for them. */
enum { UNALIGNED_MAX = 4 };
/* Runs of a block that another vCPU has translated (warm.h) until it is worth that here. */
enum { HEAT_ELSEWHERE = 2 };

void jit_enter(struct bt_vcpu *vcpu, uint64_t code); /* enter.S */
extern const char jit_exit[];

_Static_assert(offsetof(struct bt_vcpu, gpr) == 0, "enter.h");
_Static_assert(offsetof(struct bt_vcpu, status) == VCPU_STATUS, "enter.h");
_Static_assert(offsetof(struct bt_vcpu, jit) == VCPU_JIT, "enter.h");
_Static_assert(offsetof(struct bt_vcpu, jit.linear) == JIT_LINEAR, "enter.h");
_Static_assert(offsetof(struct bt_vcpu, jit.host_stack) == JIT_HOST_STACK, "enter.h");
_Static_assert(offsetof(struct bt_vcpu, jit.live) == JIT_LIVE, "enter.h");
_Static_assert(offsetof(struct bt_vcpu, jit.mxcsr) == JIT_MXCSR, "enter.h");
_Static_assert(offsetof(struct bt_vcpu, jit.image) == JIT_IMAGE, "enter.h");

/* --- Making --- */

static bool host_has_lahf64(void)
{
    unsigned a, b, c, d;

    return __get_cpuid(0x80000001, &a, &b, &c, &d) && c & 1;
}

static int check_host(struct err *err)
{
    enum { HWCAP2_FSGSBASE = 2 };

    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi") ||
        !__builtin_cpu_supports("bmi2") || !host_has_lahf64())
        return err_set(err, -ENOSYS, "this processor has no AVX2 or BMI2");
    if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE))
        return err_set(err, -ENOSYS, "the host's kernel gives programs no WRGSBASE");
    return 0;
}

int jit_vm_create(struct bt_vm *vm, struct err *err)
{
    uint64_t maps = jit_cache_map_bytes(vm->model.cpus);
    int rc = check_host(err);

    if (rc)
        return rc;
    if (!maps)
        return err_set(err, -E2BIG, "too many processors to translate for");
    rc = flat_vm_create(vm, maps, &vm->flat, err);
    if (rc)
        return rc;
    rc = trap_create();
    if (!rc)
        rc = bt_memory_publish(vm);
    if (!rc && !(vm->warm = calloc(1, sizeof *vm->warm)))
        rc = -ENOMEM;
    if (rc)
        return err_sys(err, rc, "cannot watch traps of translated code");
    vm->jit = true;
    return 0;
}

struct bt_vcpu *jit_vcpu_alloc(const struct bt_vm *vm)
{
    return vm->jit ? jit_low_map(sizeof(struct bt_vcpu)) : NULL;
}

void jit_vcpu_free(struct bt_vcpu *vcpu)
{
    (void)munmap(vcpu, sizeof *vcpu);
}

int jit_vcpu_create(struct bt_vcpu *vcpu)
{
    struct jit_state *jit = &vcpu->jit;

    if (!vcpu->vm->jit || (uintptr_t)(vcpu + 1) >> 31)
        return 0;
    int rc = signals_thread(vcpu);
    if (rc) /* a thread with several vCPUs: it can translate for one */
        return rc == -EBUSY ? 0 : rc;
    jit->thread = gettid();
    jit->exit = (uintptr_t)jit_exit;
    jit->mxcsr = 0x1f80;
    jit->image = vcpu->xsave;
    rc = flat_create(vcpu);
    return rc ? rc : jit_cache_create(vcpu, &jit->cache);
}

void jit_vcpu_destroy(struct bt_vcpu *vcpu)
{
    signals_thread_end(vcpu);
    jit_cache_destroy(vcpu->jit.cache);
    vcpu->jit.cache = NULL;
}

bool jit_translates(uint32_t mode)
{
    const uint32_t flat = BT_MODE_PROTECTED | BT_MODE_FLAT | BT_MODE_STACK32;

    return (mode & BT_MODE_CODE) == BT_MODE_CODE64 ||
           ((mode & BT_MODE_CODE) == BT_MODE_CODE32 && (mode & flat) == flat);
}

/* --- Changed code --- */

void jit_page_written(struct bt_vcpu *vcpu, uint64_t page)
{
    if (vcpu->jit.cache)
        jit_cache_page_written(vcpu->jit.cache, page);
}

void jit_drop_all(struct bt_vcpu *vcpu)
{
    if (!vcpu->jit.cache)
        return;
    flat_flush_all(vcpu); /* the code maps will be other pages' */
    jit_cache_drop_all(vcpu->jit.cache);
}

/* What others have written since the last look. */
static __attribute__((noinline)) void follow(struct bt_vcpu *vcpu, uint32_t now)
{
    struct gmem *gmem = vcpu->vm->gmem;
    uint32_t page;

    for (uint32_t at = vcpu->jit.code_seen; at != now; at++) {
        if (!gmem_code_logged(gmem, at, &page)) {
            jit_cache_validate(vcpu->jit.cache);
            break;
        }
        jit_cache_page_check(vcpu->jit.cache, page);
    }
    vcpu->jit.code_seen = now;
}

static inline void look_for_writes(struct bt_vcpu *vcpu)
{
    uint32_t now = gmem_code_sequence(vcpu->vm->gmem);

    if (__builtin_expect(now != vcpu->jit.code_seen, 0))
        follow(vcpu, now);
}

/* --- Vector registers --- */

void jit_vec_off(struct bt_vcpu *vcpu)
{
    vcpu->jit.live = 0;
}

/* What may be live now; enter.S loads all of it, live says which instructions may run. */
static unsigned may_live(const struct bt_vcpu *vcpu)
{
    unsigned live = 0;

    if (vcpu->cr0 & (BT_CR0_EM | BT_CR0_TS))
        return 0;
    if (vcpu->cr4 & BT_CR4_OSFXSR)
        live |= JIT_LIVE_VEC;
    if (live && vcpu->cr4 & BT_CR4_OSXSAVE && (vcpu->xcr0 & 6) == 6)
        live |= JIT_LIVE_AVX;
    return live | JIT_LIVE_X87;
}

static bool make_live(struct bt_vcpu *vcpu, unsigned need)
{
    unsigned may = may_live(vcpu);

    if ((may & need) != need)
        return false;
    vcpu->jit.live |= need | (may & (JIT_LIVE_VEC | JIT_LIVE_AVX));
    vcpu->jit.live_mode = vcpu->mode;
    return true;
}

/* --- The loop --- */

static inline bool attended(struct bt_vcpu *vcpu)
{
    uint32_t request = atomic_load_explicit(&vcpu->request, memory_order_relaxed);

    return __builtin_expect((request & vcpu->heed) != 0, 0) ||
           __builtin_expect(vcpu->run_state != CPU_RUNNING, 0);
}

static inline bool is_code64(const struct bt_vcpu *vcpu)
{
    return (vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64;
}

/* May translated code run now? */
static inline bool runs_now(const struct bt_vcpu *vcpu)
{
    return jit_translates(vcpu->mode) && vcpu->tlb->context == vcpu->tlb->real_context &&
           !(vcpu->rflags & BT_FLAG_DF) && !(vcpu->gpr[CPU_RSP] & (is_code64(vcpu) ? 7 : 3));
}

/* What 32-bit units expect (jit.h). What is above the registers' low halves is nobody's in such a
 * mode: SDM volume 1, section 3.4.1.1. */
static void prepare32(struct bt_vcpu *vcpu)
{
    for (unsigned i = 0; i <= CPU_RDI; i++)
        if (__builtin_expect(vcpu->gpr[i] >> 32 != 0, 0))
            vcpu->gpr[i] = (uint32_t)vcpu->gpr[i];
    for (unsigned i = 0; i < 2; i++)
        vcpu->jit.bar[i] = segment_is_whole(&vcpu->seg[CPU_FS + i]) ? 0 : UINT64_C(1) << 62;
}

static inline void set_base(struct bt_vcpu *vcpu)
{
    uint64_t base = flat_base(vcpu);

    if (__builtin_expect(*(volatile uint64_t *)&vcpu->jit.base == base, 1))
        return;
    *(volatile uint64_t *)&vcpu->jit.base = base; /* first: a call in between spoils both */
    __asm__ volatile("wrgsbase %0" : : "r"(base) : "memory");
}

/* False: somebody wants something; RIP is where the guest stands. */
static inline bool enter(struct bt_vcpu *vcpu, uint32_t code)
{
    struct jit_state *jit = &vcpu->jit;

    set_base(vcpu);
    if (attended(vcpu))
        return false;
    vcpu->shadow = 0;
    if (!is_code64(vcpu))
        prepare32(vcpu);
    if (jit->live && jit->live_mode != vcpu->mode)
        jit->live = 0;
    jit_enter(vcpu, code);
    return true;
}

static struct jit_site *site_of(const struct bt_vcpu *vcpu)
{
    return (struct jit_site *)(uintptr_t)vcpu->jit.site;
}

static struct jit_unit *unit_of(const struct jit_site *site)
{
    return (struct jit_unit *)(uintptr_t)site->unit;
}

/* The site's instruction as a block; kept with the site while there is room. */
static struct bt_block *block_of(struct bt_vcpu *vcpu, struct jit_site *site)
{
    struct jit_cache *cache = vcpu->jit.cache;
    const struct jit_page *page = unit_of(site)->page;

    if (__builtin_expect(site->block != 0, 1))
        return (struct bt_block *)(uintptr_t)site->block;
    void *memory = site == cache->trap ? NULL : jit_cache_take(cache, BLOCK_SINGLE_SIZE);
    struct bt_block *block =
        block_single(vcpu, page->number, site->offset, memory ? memory : cache->spare);
    if (memory)
        site->block = (uint32_t)(uintptr_t)block;
    return block;
}

/* Its check refuses the address, though the page may well be there. True: not to be resumed. */
static __attribute__((noinline)) bool met_unaligned(struct bt_vcpu *vcpu, struct jit_site *site)
{
    if (++site->misses < UNALIGNED_MAX || unit_of(site)->dead)
        return false;
    site->misses = 0;
    return jit_cache_be_careful(vcpu, unit_of(site), site->offset);
}

/* Which may raise what a fetch raises. */
static void note_code(struct bt_vcpu *vcpu, uint64_t linear, const uint32_t *map)
{
    vcpu->step = NULL;
    flags_merge(vcpu);
    flat_note_code(vcpu, linear, map);
}

/* The block of an instruction on two pages, at RIP. The unit for it wants the second page's code
 * map in the table. */
static struct bt_block *crossing_block(struct bt_vcpu *vcpu)
{
    struct bt_block *block = interp_block(vcpu);
    const uint32_t *map = jit_cache_second_map(vcpu->jit.cache, block);

    if (map)
        note_code(vcpu, interp_wrap(vcpu, (vcpu->rip | (PAGE - 1)) + 1), map);
    return block;
}

static inline bool same_place(const struct bt_vcpu *vcpu, uint64_t epoch, uint64_t context,
                              uint32_t mode)
{
    return vcpu->map_epoch == epoch && vcpu->tlb->real_context == context && vcpu->mode == mode;
}

/* The interpreter carries out the site's instruction; returns where translated code goes on, or 0:
 * at RIP, wherever that is. */
static uint32_t step(struct bt_vcpu *vcpu, struct jit_site *site)
{
    struct jit_state *jit = &vcpu->jit;
    bool crosses = site->offset + site->length > PAGE;
    uint64_t linear = interp_wrap(vcpu, jit->linear), at = jit->page + site->offset;
    uint64_t epoch = vcpu->map_epoch, context = vcpu->tlb->real_context;
    uint32_t mode = vcpu->mode;

    vcpu->rip = at;
    struct bt_block *block = crosses ? crossing_block(vcpu) : block_of(vcpu, site);
    vcpu->block_rip = at;
    vcpu->interp->running = block;
    vcpu->instructions++;
    jit->cache->stats.stepped[block->op]++;
    (void)block->step[0].run(vcpu, block->step);
    if (__builtin_expect(jit->watch != NULL, 0))
        jit->watch(vcpu, site, block->op);
    look_for_writes(vcpu);
    if (site->kind == JIT_SITE_ACCESS) {
        flat_note(vcpu, linear);
        if (!crosses && linear & ((block->memory_size - 1u) | site->align) &&
            met_unaligned(vcpu, site))
            return 0;
        if (linear & site->align)
            return 0;
    }
    if (block->bytes != site->length || block->sum != site->sum) /* other code by now */
        return 0;
    if (vcpu->rip != at + block->bytes || !same_place(vcpu, epoch, context, mode) ||
        unit_of(site)->dead || !runs_now(vcpu))
        return 0;
    return site->resume;
}

static bool refuses(const struct jit_site *site)
{
    const struct jit_unit *unit = unit_of(site);

    return unit->refuse && site->offset == unit->offset;
}

/* Of the jump whose look-up trapped: the block, at RIP, with the stack as before it. NULL: it is
 * not known any more. */
static struct bt_block *before_jump(struct bt_vcpu *vcpu)
{
    struct jit_cache *cache = vcpu->jit.cache;
    const struct jit_unit *unit = jit_cache_find(cache, vcpu->jit.jump);
    const struct jit_mark *mark = unit ? jit_unit_mark(unit, vcpu->jit.jump) : NULL;
    struct bt_block *block = NULL;

    /* What is done at once with the return in front of it goes by without being done again. */
    for (unsigned at = mark ? mark->offset : PAGE; at + BT_INSN_MAX <= PAGE; at += block->bytes) {
        const struct jit_page *page = unit->page;
        block = block_single(vcpu, page->number, at, cache->spare);
        if (block->op != BT_OP_RET && block->op != BT_OP_CALL && block->op != BT_OP_JMP)
            continue;
        if (block->op == BT_OP_RET)
            vcpu->gpr[CPU_RSP] -= 8 + (uint64_t)(uint32_t)block->step[0].disp;
        else if (block->op == BT_OP_CALL)
            vcpu->gpr[CPU_RSP] += 8;
        vcpu->rip = vcpu->jit.page + at;
        return block;
    }
    return NULL;
}

/* To where no code can be: the jump itself raises that, by the interpreter. */
static __attribute__((noinline)) void jump_nowhere(struct bt_vcpu *vcpu)
{
    struct bt_block *block = before_jump(vcpu);

    vcpu->jit.jump = 0;
    if (block)
        interp_run_block(vcpu, block);
    else
        vcpu->rip = vcpu->jit.linear;
}

/* Translated code has left: where it goes on, or 0: at RIP. *ret_from: the site that wants to know
 * the unit there. */
static uint32_t left(struct bt_vcpu *vcpu, struct jit_site **ret_from)
{
    struct jit_site *site = site_of(vcpu);

    vcpu->jit.cache->stats.left[site->kind]++;
    switch (site->kind) {
    case JIT_SITE_JUMP:
        if (is_code64(vcpu) && !segment_canonical(vcpu->jit.linear)) {
            jump_nowhere(vcpu);
            return 0;
        }
        vcpu->rip = vcpu->jit.linear;
        *ret_from = site;
        return 0;
    case JIT_SITE_LINK:
        *ret_from = site;
        vcpu->rip = vcpu->jit.page + site->offset;
        return 0;
    case JIT_SITE_END:
        if (refuses(site)) /* the second page is another one now */
            break;
        vcpu->rip = interp_wrap(vcpu, vcpu->jit.page + site->offset);
        return 0;
    case JIT_SITE_LIVE:
        vcpu->rip = vcpu->jit.page + site->offset;
        look_for_writes(vcpu);
        if (!attended(vcpu) && !unit_of(site)->dead && make_live(vcpu, site->need))
            return site->resume;
        break;
    default:
        break;
    }
    return step(vcpu, site);
}

/* One run more. */
static void heat(const struct bt_vcpu *vcpu, struct bt_block *block)
{
    if (vcpu->jit.watch && block->heat != BLOCK_HEAT_NEVER)
        block->heat = BLOCK_HEAT_MAX;
    else if (block->heat < BLOCK_HEAT_MAX)
        block->heat++;
    if (block->heat == HEAT_ELSEWHERE &&
        warm_has(vcpu->vm->warm, warm_key(block->page[0], block->start, block->mode)))
        block->heat = JIT_CACHE_HEAT;
}

static struct jit_unit *find_unit(struct bt_vcpu *vcpu, struct bt_block *block)
{
    struct jit_cache *cache = vcpu->jit.cache;

    if (block->unit && block->unit_epoch == cache->epoch && !block->unit->dead)
        return block->unit;
    heat(vcpu, block);
    if (block->heat < JIT_CACHE_HEAT)
        return NULL;
    struct jit_unit *unit = jit_cache_unit(vcpu, block);
    block->unit = unit;
    block->unit_epoch = cache->epoch;
    return unit;
}

/* Whoever came from `from` gets there directly the next time. */
static void lead(struct bt_vcpu *vcpu, struct jit_site *from, const struct jit_unit *unit)
{
    struct jit_page *page = unit->page;

    if (from->kind == JIT_SITE_JUMP)
        note_code(vcpu, vcpu->rip, page->map);
    else if (!unit_of(from)->dead && unit_of(from)->page == page)
        jit_cache_link(vcpu->jit.cache, from, unit);
}

/* RIP where the site is. */
static __attribute__((noinline)) void watch_left(struct bt_vcpu *vcpu)
{
    const struct jit_site *site = site_of(vcpu);

    vcpu->rip = site->kind == JIT_SITE_JUMP ? vcpu->jit.linear : vcpu->jit.page + site->offset;
    vcpu->jit.watch(vcpu, site, JIT_WATCH_LEFT);
}

/* From the block at RIP until it takes a look-up to go on. */
static bool run_unit(struct bt_vcpu *vcpu, const struct jit_unit *unit, struct jit_site **ret_from)
{
    uint32_t code = unit->code;

    vcpu->jit.page = vcpu->rip & ~(uint64_t)(PAGE - 1);
    do {
        if (!enter(vcpu, code))
            return false;
        if (__builtin_expect(vcpu->jit.watch != NULL, 0))
            watch_left(vcpu);
        code = left(vcpu, ret_from);
    } while (code);
    return true;
}

/* What is cold, or cannot be translated. Returns where it goes on, as interp_next wants it. */
static struct bt_block **interpret(struct bt_vcpu *vcpu, struct bt_block *block)
{
    vcpu->jit.cache->stats.interpreted++;
    if (__builtin_expect(!vcpu->jit.watch, 1))
        return interp_run_block(vcpu, block);
    block = interp_single(vcpu);
    (void)interp_run_block(vcpu, block);
    vcpu->jit.watch(vcpu, NULL, block->op);
    return NULL;
}

static void run(struct bt_vcpu *vcpu)
{
    struct jit_cache *cache = vcpu->jit.cache;
    struct bt_block **link = NULL;
    struct jit_site *from = NULL;

    do {
        struct bt_block *block = interp_next(vcpu, link);
        uint32_t epoch = cache->epoch;
        look_for_writes(vcpu);
        struct jit_unit *unit = runs_now(vcpu) ? find_unit(vcpu, block) : NULL;
        if (unit && from && epoch == cache->epoch && !vcpu->jit.watch)
            lead(vcpu, from, unit);
        from = NULL;
        link = NULL;
        if (!unit)
            link = interpret(vcpu, block);
        else if (!run_unit(vcpu, unit, &from))
            return;
    } while (!attended(vcpu));
}

void jit_run(struct bt_vcpu *vcpu)
{
    if (!vcpu->jit.cache || !signals_thread_is(vcpu) || !jit_translates(vcpu->mode)) {
        interp_run(vcpu);
        return;
    }
    vcpu->shadow = 0;
    if (setjmp(vcpu->unwind)) {
        vcpu->interp->running = NULL;
        vcpu->jit.cache->stats.faults++;
        except_landed(vcpu);
    }
    atomic_store(&vcpu->jit.inside, true);
    if (!attended(vcpu)) {
        flags_split(vcpu);
        run(vcpu);
        interp_leave(vcpu);
    }
    atomic_store_explicit(&vcpu->jit.inside, false, memory_order_relaxed);
}

void jit_call(struct bt_vcpu *vcpu)
{
    if (atomic_load(&vcpu->jit.inside) && !signals_thread_is(vcpu))
        signals_call(vcpu->jit.thread);
}
