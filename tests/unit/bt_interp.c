/* SPDX-License-Identifier: Apache-2.0 */
/* The interpreter's loop and what random programs (tests/bt/native.c) do not reach: faults, code
 * that changes, pages, modes, requests. */
#include "tests/bt/rig.h"
#include "vm/engine/bt/except.h"

enum { CODE = 0x10000, PAGE = 4096 };

static struct rig rig;

static struct bt_vcpu *start(unsigned mode, const char *code, size_t len)
{
    rig_reset(&rig, mode);
    rig_write(&rig, CODE, code, len);
    rig.vcpu->gpr[CPU_RSP] = 0x9000;
    rig.vcpu->rip = CODE;
    return rig.vcpu;
}

#define START64(code) start(BT_MODE_CODE64, code, sizeof code - 1)
#define START32(code) start(BT_MODE_CODE32, code, sizeof code - 1)
#define START16(code) start(BT_MODE_CODE16, code, sizeof code - 1)

static uint32_t load(uint64_t address)
{
    uint32_t value;

    (void)gmem_read(rig.gmem, gpa(address), &value, sizeof value);
    return value;
}

/* Runs to HLT; where it then stands, from CODE. */
static int64_t run(void)
{
    interp_run(rig.vcpu);
    return rig.vcpu->run_state == CPU_HALTED ? (int64_t)(rig.vcpu->rip - CODE) : -1;
}

static void divides_by_zero(void)
{
    /* mov eax, 5; xor edx, edx; xor ecx, ecx (sets ZF); div ecx */
    struct bt_vcpu *v = START64("\xb8\5\0\0\0\x31\xd2\x31\xc9\xf7\xf1\xf4");

    interp_run(v); /* no IDT: three faults */
    CHECK(v->triple_fault);
    CHECK_EQ(v->rip, CODE + 9);
    CHECK_EQ(v->gpr[CPU_RAX], 5);
    CHECK(v->rflags & BT_FLAG_ZF);
    v->triple_fault = false;
}

static void overflowing_quotient(void)
{
    /* mov rax, 1 << 63; cqo; mov rcx, -1; idiv rcx */
    struct bt_vcpu *v =
        START64("\x48\xb8\0\0\0\0\0\0\0\x80\x48\x99\x48\xc7\xc1\xff\xff\xff\xff\x48\xf7\xf9\xf4");

    interp_run(v);
    CHECK(v->triple_fault);
    CHECK_EQ(v->rip, CODE + 19);
    v->triple_fault = false;
}

/* The quotient is one too large; and the one that not even 128 bits hold. */
static void overflows_by_one(void)
{
    struct bt_vcpu *v = START64("\xf7\xf1\xf4"); /* div ecx */

    v->gpr[CPU_RDX] = v->gpr[CPU_RCX] = 5;
    interp_run(v);
    CHECK(v->triple_fault);
    CHECK_EQ(v->rip, CODE);
    v->triple_fault = false;
    v = START64("\x48\xf7\xf9\xf4"); /* idiv rcx */
    v->gpr[CPU_RDX] = UINT64_C(1) << 63;
    v->gpr[CPU_RCX] = UINT64_MAX;
    interp_run(v);
    CHECK(v->triple_fault);
    v->triple_fault = false;
    v = START64("\x48\xf7\xf9\xf4"); /* -2^63 is the least that fits */
    v->gpr[CPU_RAX] = UINT64_C(1) << 63;
    v->gpr[CPU_RDX] = UINT64_MAX;
    v->gpr[CPU_RCX] = 1;
    CHECK_EQ(run(), 4);
    CHECK_EQ(v->gpr[CPU_RAX], UINT64_C(1) << 63);
}

static void undefined_opcodes(void)
{
    struct bt_vcpu *v = START64("\x40\x0f\x0b\xf4"); /* ud2 behind a prefix */

    interp_run(v);
    CHECK(v->triple_fault);
    CHECK_EQ(v->rip, CODE);
    v->triple_fault = false;
}

static void changes_the_next_instruction(void)
{
    /* mov byte [rip + 1], 7: the immediate of mov al, 1 */
    struct bt_vcpu *v = START64("\xc6\x05\1\0\0\0\7\xb0\1\xf4");

    CHECK_EQ(run(), 10);
    CHECK_EQ(v->gpr[CPU_RAX] & 0xff, 7);
    v = START64("\xc6\x05\1\0\0\0\x9\xb0\1\xf4"); /* and again, where a block has been */
    CHECK_EQ(run(), 10);
    CHECK_EQ(v->gpr[CPU_RAX] & 0xff, 9);
}

/* A loop increments the immediate that it adds. */
static void changes_a_loop(void)
{
    /* mov ecx, 10; L: add eax, 0; inc byte [rip - 3 - 6]; loop L (backwards 11) */
    struct bt_vcpu *v = START64("\xb9\x0a\0\0\0\x83\xc0\0\xfe\x05\xf9\xff\xff\xff\xe2\xf5\xf4");

    CHECK_EQ(run(), 17);
    CHECK_EQ(v->gpr[CPU_RAX], 45);
}

static void sees_dma(void)
{
    struct bt_vcpu *v = START64("\xb0\1\xf4");

    CHECK_EQ(run(), 3);
    CHECK_EQ(v->gpr[CPU_RAX], 1);
    rig_reset(&rig, BT_MODE_CODE64);
    rig_write(&rig, CODE + 1, "\2", 1);
    v->rip = CODE;
    CHECK_EQ(run(), 3);
    CHECK_EQ(v->gpr[CPU_RAX], 2);
}

/* An instruction on two pages; its second page changes, by DMA and by a store. */
static void crosses_pages(void)
{
    struct bt_vcpu *v = START64("\xf4");
    uint64_t at = CODE + PAGE - 2;

    rig_write(&rig, at, "\xb8\1\0\0\0\xf4", 6); /* mov eax, 1; hlt */
    v->rip = at;
    CHECK_EQ(run(), PAGE + 4);
    CHECK_EQ(v->gpr[CPU_RAX], 1);
    rig_write(&rig, at + 4, "\1", 1);
    v->run_state = CPU_RUNNING;
    v->rip = at;
    CHECK_EQ(run(), PAGE + 4);
    CHECK_EQ(v->gpr[CPU_RAX], 0x1000001);
}

static void string_stops_for_a_request(void)
{
    /* mov ecx, 0x100000; rep stosb */
    struct bt_vcpu *v = START64("\xb9\0\0\x10\0\xf3\xaa\xf4");

    v->gpr[CPU_RAX] = 0x5a;
    v->gpr[CPU_RDI] = 0x100800;
    atomic_store(&v->request, BT_REQUEST_KICK);
    interp_run(v);
    CHECK_EQ(v->rip, CODE + 5);
    CHECK_EQ(v->gpr[CPU_RCX], 0x100000 - 0x800); /* to the end of the page */
    CHECK_EQ(v->gpr[CPU_RDI], 0x101000);
    atomic_store(&v->request, 0);
    CHECK_EQ(run(), 8);
    CHECK_EQ(v->gpr[CPU_RCX], 0);
    CHECK_EQ(v->gpr[CPU_RDI], 0x200800);
    CHECK_EQ(load(0x2007fc), 0x5a5a5a5a);
    CHECK_EQ(load(0x200800), 0);
}

static void steps_a_string(void)
{
    struct bt_vcpu *v = START64("\xf3\xaa\xf4");

    v->gpr[CPU_RCX] = 3;
    v->gpr[CPU_RDI] = 0x3000;
    for (unsigned left = 3; left-- > 0;) {
        CHECK(interp_step(v));
        CHECK_EQ(v->gpr[CPU_RCX], left);
        CHECK_EQ(v->rip, left ? CODE : CODE + 2);
    }
}

/* A string that writes over the code behind it. */
static void string_changes_code(void)
{
    /* rep stosb; then four times inc eax (ff c0), which become hlt */
    struct bt_vcpu *v = START64("\xf3\xaa\xff\xc0\xff\xc0\xff\xc0\xff\xc0\xf4");

    v->gpr[CPU_RAX] = 0xf4;
    v->gpr[CPU_RCX] = 6;
    v->gpr[CPU_RDI] = CODE + 4;
    CHECK_EQ(run(), 5);
    CHECK_EQ(v->gpr[CPU_RAX], 0xf5);
}

static void locked_across_pages(void)
{
    /* lock add [rdi], eax; xchg [rsi], ebx */
    struct bt_vcpu *v = START64("\xf0\x01\x07\x87\x1e\xf4");

    v->gpr[CPU_RAX] = 0x01020304;
    v->gpr[CPU_RBX] = 0xaabbccdd;
    v->gpr[CPU_RDI] = 0x4ffe;
    v->gpr[CPU_RSI] = 0x5ffd;
    CHECK_EQ(run(), 6);
    CHECK_EQ(load(0x4ffe), 0x01020304);
    CHECK_EQ(load(0x5ffd), 0xaabbccdd);
    CHECK(!v->interp->split_locked);
}

/* 0x48 is REX.W or DEC EAX; the same bytes at the same place are two blocks. */
static void modes_apart(void)
{
    static const char code[] = "\x48\x01\xc0\xf4"; /* add rax, rax; or dec eax, add eax, eax */
    struct bt_vcpu *v = START64(code);

    v->gpr[CPU_RAX] = 0x80000001;
    CHECK_EQ(run(), 4);
    CHECK_EQ(v->gpr[CPU_RAX], 0x100000002);
    v = START32(code);
    v->gpr[CPU_RAX] = 0x80000001;
    CHECK_EQ(run(), 4);
    CHECK_EQ(v->gpr[CPU_RAX], 0);
    v = START16(code);
    v->rip = CODE & 0xffff;
    v->seg[CPU_CS].base = CODE;
    v->mode &= ~(uint32_t)BT_MODE_FLAT;
    v->gpr[CPU_RAX] = 0x80000001;
    interp_run(v);
    CHECK_EQ(v->rip, 4);
    CHECK_EQ(v->gpr[CPU_RAX], 0x80000000); /* 16 bits of it */
}

/* In real mode's 64 KiB: a jump back from the end, the stack from 0 to its top. */
static void wraps_at_64k(void)
{
    struct bt_vcpu *v = START16("\xf4");

    rig_write(&rig, CODE + 0xfffd, "\x50\xeb\x02", 3); /* push ax; jmp +2: to 2 */
    rig_write(&rig, CODE + 2, "\xf4", 1);
    v->mode = BT_MODE_CODE16;
    v->cr0 = 0;
    for (unsigned i = 0; i < 6; i++)
        v->seg[i] = (struct cpu_segment){.base = CODE, .limit = 0xffff, .attributes = 0x93};
    v->seg[CPU_SS].base = 0x30000;
    v->gpr[CPU_RSP] = 0x12340000;
    v->gpr[CPU_RAX] = 0xbeef;
    v->rip = 0xfffd;
    interp_run(v);
    CHECK_EQ(v->rip, 3);
    CHECK_EQ(v->gpr[CPU_RSP], 0x1234fffe);
    CHECK_EQ(load(0x30000 + 0xfffc) >> 16, 0xbeef);
}

/* Execution goes on above 64 KiB where the segment does (OVMF's first SMM code jumps there). */
static void goes_on_above_64k(void)
{
    struct bt_vcpu *v = START16("\xf4");

    rig_write(&rig, CODE + 0xffff, "\x40", 1); /* inc ax */
    v->mode = BT_MODE_CODE16;
    v->cr0 = 0;
    rig_write(&rig, CODE + 0x10000, "\x66\xe9\xfa\xff\x00\x00", 6); /* jmp 0x20000 */
    rig_write(&rig, CODE + 0x20000, "\xf4", 1);
    v->seg[CPU_CS] = (struct cpu_segment){.base = CODE, .limit = UINT32_MAX, .attributes = 0x93};
    v->rip = 0xffff;
    interp_run(v);
    CHECK_EQ(v->rip, 0x20001);
    CHECK_EQ(v->gpr[CPU_RAX], 1);
}

/* More blocks than the cache holds. */
static void fills_the_cache(void)
{
    enum { JUMPS = 1 << 19, AT = 0x100000 };
    struct bt_vcpu *v = START64("\xf4");
    uint8_t *code = rig_memory(&rig, AT);
    uint64_t drops = v->interp->drops;

    for (unsigned i = 0; i < JUMPS; i++)
        memcpy(code + 2 * i, "\xeb\0", 2);
    rig_write(&rig, AT + 2 * JUMPS, "\xf4", 1);
    v->rip = AT;
    CHECK_EQ(run(), AT + 2 * JUMPS + 1 - CODE);
    CHECK(v->interp->drops > drops);
    CHECK(v->interp->used <= BLOCK_CACHE_SIZE);
}

static void one_instruction_in_the_shadow(void)
{
    struct bt_vcpu *v = START64("\xff\xc0\xff\xc0\xf4");

    v->shadow = CPU_SHADOW_STI;
    CHECK(interp_step(v));
    CHECK_EQ(v->shadow, 0);
    CHECK_EQ(v->gpr[CPU_RAX], 1);
    CHECK_EQ(v->rip, CODE + 2);
}

static void flags_by_size(void)
{
    static const struct {
        const char *code;
        unsigned len;
        uint64_t rax, want, flags;
    } t[] = {
        {"\x04\1\xf4", 3, 0xff7f, 0xff80, BT_FLAG_SF | BT_FLAG_OF | BT_FLAG_AF},
        {"\x66\x05\1\0\xf4", 5, 0x1ffff, 0x10000,
         BT_FLAG_CF | BT_FLAG_ZF | BT_FLAG_PF | BT_FLAG_AF},
        {"\x05\1\0\0\0\xf4", 6, ~UINT64_C(0), 0, BT_FLAG_CF | BT_FLAG_ZF | BT_FLAG_PF | BT_FLAG_AF},
        {"\x48\x05\1\0\0\0\xf4", 7, INT64_MAX, UINT64_C(1) << 63,
         BT_FLAG_SF | BT_FLAG_OF | BT_FLAG_PF | BT_FLAG_AF},
        {"\xf9\xff\xc0\xf4", 4, 0, 1, BT_FLAG_CF},   /* stc; inc: CF stays */
        {"\xf9\xc1\xe0\0\xf4", 5, 8, 8, BT_FLAG_CF}, /* stc; shl eax, 0: all stay */
        {"\xf9\xd3\xe0\xf4", 4, 8, 8, BT_FLAG_CF},   /* stc; shl eax, cl of 0 */
        {"\xd1\xf8\xf4", 3, 3, 1, BT_FLAG_CF},       /* sar eax, 1 */
    };

    for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
        struct bt_vcpu *v = start(BT_MODE_CODE64, t[i].code, t[i].len);
        v->gpr[CPU_RAX] = t[i].rax;
        CHECK_EQ(run(), t[i].len);
        CHECK_EQ(v->gpr[CPU_RAX], t[i].want);
        CHECK_EQ(v->rflags & BT_FLAGS_STATUS & ~(uint64_t)(i >= 7 ? BT_FLAG_AF : 0), t[i].flags);
    }
}

int main(void)
{
    static const struct tap_case cases[] = {
        TAP_CASE(flags_by_size),        TAP_CASE(divides_by_zero),
        TAP_CASE(overflowing_quotient), TAP_CASE(overflows_by_one),
        TAP_CASE(undefined_opcodes),    TAP_CASE(changes_the_next_instruction),
        TAP_CASE(changes_a_loop),       TAP_CASE(sees_dma),
        TAP_CASE(crosses_pages),        TAP_CASE(string_stops_for_a_request),
        TAP_CASE(steps_a_string),       TAP_CASE(string_changes_code),
        TAP_CASE(locked_across_pages),  TAP_CASE(modes_apart),
        TAP_CASE(wraps_at_64k),         TAP_CASE(goes_on_above_64k),
        TAP_CASE(fills_the_cache),      TAP_CASE(one_instruction_in_the_shadow),
    };

    if (!rig_open(&rig)) {
        printf("1..0 # SKIP no memory\n");
        return 0;
    }
    int rc = tap_run_(cases, sizeof cases / sizeof *cases);
    rig_close(&rig);
    return rc;
}
