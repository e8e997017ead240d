/* SPDX-License-Identifier: Apache-2.0 */
/* Where the host's processor stopped, in the guest's terms (jit.h).
 *
 * A trap in translated code never changes more than where it goes on: at the cache's leaving stub,
 * with jit.site set to the site of the guest instruction that trapped; the loop lets the
 * interpreter carry it out. Only what the handler can read without locks is read: the cache of the
 * vCPU whose thread this is. */
#include "vm/engine/bt/jit/trap.h"

#include <string.h>

#include "vm/engine/bt/bt_vm.h"
#include "vm/engine/bt/flat.h"
#include "vm/engine/bt/jit/cache.h"
#include "vm/engine/bt/signals.h"

/* The loads of a jump's look-up (emit_flow.c). */
static bool is_look_up(const struct jit_cache *cache, const uint8_t *code)
{
    static const uint8_t upper[] = {0x46, 0x8b, 0x14, 0xd5};
    uint32_t canonical = (uint32_t)(uintptr_t)cache->canonical;
    static const uint8_t entry[] = {0x65, 0x67, 0x4e, 0x8b, 0x14, 0xd5, 0, 0, 0};
    static const uint8_t word[] = {0x46, 0x8b, 0x14, 0x95, 0, 0, 0, 0};

    if (!memcmp(code, entry, sizeof entry)) /* FLAT_EXEC, FLAT_EXEC32 */
        return code[sizeof entry] == 0x40 || code[sizeof entry] == 0xc0;
    return !memcmp(code, word, sizeof word) ||
           (!memcmp(code, upper, sizeof upper) &&
            !memcmp(code + sizeof upper, &canonical, sizeof canonical));
}

/* The instruction's own, of those two that it has where a loop is there twice. One whose check was
 * passed by the oddness of an empty entry is not to be resumed, as the code behind would believe
 * the address to be aligned. */
static const struct jit_site *site_at(const struct jit_unit *unit, uint64_t run)
{
    const struct jit_mark *mark = jit_unit_mark(unit, run);

    if (!mark)
        return NULL;
    for (unsigned i = mark->site; i < unit->site_count; i++) {
        const struct jit_site *site = &unit->site[i];
        if (site->offset != mark->offset)
            break;
        if (site->kind == JIT_SITE_ACCESS || site->kind == JIT_SITE_STEP)
            return site->align ? NULL : site;
    }
    return NULL;
}

/* Those without a site leave at one that is made for the occasion. */
static const struct jit_site *make_site(const struct jit_cache *cache, const struct jit_unit *unit,
                                        uint64_t run)
{
    const struct jit_mark *mark = jit_unit_mark(unit, run);

    if (!mark)
        return NULL;
    *cache->trap = (struct jit_site){.kind = JIT_SITE_ACCESS,
                                     .length = (uint8_t)mark->length,
                                     .offset = mark->offset,
                                     .unit = (uint32_t)(uintptr_t)unit};
    return cache->trap;
}

/* The host's registers, by number. */
static void registers(const greg_t *regs, uint64_t gpr[CPU_GPRS])
{
    static const uint8_t order[CPU_GPRS] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                            REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                            REG_R12, REG_R13, REG_R14, REG_R15};

    for (unsigned i = 0; i < CPU_GPRS; i++)
        gpr[i] = (uint64_t)regs[order[i]];
}

static bool leave(struct bt_vcpu *vcpu, ucontext_t *context)
{
    greg_t *regs = context->uc_mcontext.gregs;
    const struct jit_cache *cache = vcpu->jit.cache;
    uint64_t run = (uint64_t)regs[REG_RIP], gpr[CPU_GPRS];
    const struct jit_unit *unit = jit_cache_find(cache, run);
    const uint8_t *code = (const uint8_t *)(uintptr_t)run;

    vcpu->jit.traps++;
    if (is_look_up(cache, code)) {
        vcpu->jit.jump = run;
        regs[REG_RIP] = cache->miss;
        return true;
    }
    if (run >= cache->stubs.load && run < cache->stubs.end) {
        regs[REG_RIP] = cache->stubs.fail;
        return true;
    }
    if (!unit)
        return false;
    const struct jit_site *site = site_at(unit, run);
    if (!site && !(site = make_site(cache, unit, run)))
        return false;
    registers(regs, gpr);
    regs[REG_R11] = (greg_t)translate_linear(code, gpr);
    vcpu->jit.site = (uint32_t)(uintptr_t)site;
    regs[REG_RIP] = cache->leave;
    return true;
}

static bool on_trap(struct bt_vcpu *vcpu, int signal, const siginfo_t *info, ucontext_t *context)
{
    if (!vcpu || !vcpu->jit.cache ||
        !jit_cache_holds(vcpu->jit.cache, (uint64_t)context->uc_mcontext.gregs[REG_RIP]))
        return false;
    if ((signal == SIGSEGV || signal == SIGBUS) && vcpu->jit.base != flat_poison() &&
        flat_populate(vcpu, (uintptr_t)info->si_addr,
                      (uint64_t)context->uc_mcontext.gregs[REG_R10] << 12)) /* JIT_T2 */
        return true;
    return leave(vcpu, context);
}

/* The base goes, and with it every access: the loop puts it back when it has looked. */
static void on_call(struct bt_vcpu *vcpu)
{
    uint64_t poison = flat_poison();

    if (!atomic_load_explicit(&vcpu->jit.inside, memory_order_relaxed))
        return;
    *(volatile uint64_t *)&vcpu->jit.base = poison;
    __asm__ volatile("wrgsbase %0" : : "r"(poison) : "memory");
}

int trap_create(void)
{
    return signals_watch(SIGNALS_JIT, on_trap, on_call);
}
