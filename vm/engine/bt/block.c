/* SPDX-License-Identifier: Apache-2.0 */
/* Making, finding and forgetting blocks (block.h). */
#include "vm/engine/bt/block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/range.h"
#include "vm/engine/bt/ahead.h"
#include "vm/engine/bt/exec.h"
#include "vm/engine/bt/uninitialized.h"

enum { PAGE = 4096, PIECE_MAX = 64 << 10 /* more than any block with its instructions */ };

int block_vm_create(struct bt_vm *vm)
{
    vm->device_words = calloc(BT_DEVICE_PAGES, sizeof *vm->device_words);
    if (!vm->device_words)
        return -ENOMEM;
    gmem_code_watch(vm->gmem);
    return 0;
}

void block_vm_destroy(struct bt_vm *vm)
{
    free(vm->device_words);
    vm->device_words = NULL;
}

int block_cache_create(struct bt_vcpu *vcpu)
{
    struct bt_interp *interp = calloc(1, sizeof *interp);

    if (!interp)
        return -ENOMEM;
    interp->arena = mmap(NULL, BLOCK_CACHE_SIZE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (interp->arena == MAP_FAILED) {
        free(interp);
        return -ENOMEM;
    }
    vcpu->interp = interp;
    return 0;
}

void block_cache_destroy(struct bt_vcpu *vcpu)
{
    if (!vcpu->interp)
        return;
    (void)munmap(vcpu->interp->arena, BLOCK_CACHE_SIZE);
    free(vcpu->interp);
    vcpu->interp = NULL;
}

void block_drop_all(struct bt_vcpu *vcpu)
{
    struct bt_interp *interp = vcpu->interp;

    interp->used = 0;
    interp->drops++;
    memset(interp->hash, 0, sizeof interp->hash);
    memset(interp->jump, 0, sizeof interp->jump);
}

static _Atomic(uint32_t) *word_of(struct bt_vm *vm, uint64_t page)
{
    uint64_t ram = vm->gmem->size / GMEM_PAGE_SIZE;

    return page < ram ? &vm->gmem->code[page] : &vm->device_words[(page - ram) % BT_DEVICE_PAGES];
}

bool block_page_has_code(struct bt_vm *vm, uint64_t page)
{
    return atomic_load(word_of(vm, page)) & GMEM_CODE;
}

/* Translated code looks at no words: it is told. */
static void tell(struct bt_vcpu *vcpu, uint64_t page)
{
    struct bt_vm *vm = vcpu->vm;

    if (page < vm->gmem->size / GMEM_PAGE_SIZE)
        gmem_code_log(vm->gmem, (uint32_t)page);
    jit_page_written(vcpu, page);
    for (unsigned i = 0; i < vm->model.cpus; i++) {
        struct bt_vcpu *other = atomic_load(&vm->vcpu[i]);
        if (other && other != vcpu)
            bt_vcpu_request(other, BT_REQUEST_CODE);
    }
}

void block_written(struct bt_vcpu *vcpu, uint64_t page)
{
    struct bt_block *running = vcpu->interp->running;

    if (gmem_code_written(word_of(vcpu->vm, page)) && vcpu->vm->jit)
        tell(vcpu, page);
    if (!running || (running->page[0] != page && running->page[1] != page))
        return;
    for (unsigned i = 0; i <= running->count; i++)
        running->step[i].run = exec_leave;
}

/* One page of code, as the fetch sees it. */
struct code_page {
    const uint8_t *host; /* NULL: no memory there */
    uint64_t number;
    _Atomic(uint32_t) *word;
    uint32_t generation;
};

/* Translates, and from here on hears of writes. True: others had to be waited for; other pages' may
 * not hold any more. */
static bool code_page(struct bt_vcpu *vcpu, uint64_t linear, struct code_page *ret_page)
{
    const uint8_t *host;
    uint64_t gpa = mmu_code_page(vcpu, linear, &host);
    const struct bt_piece *piece = bt_vm_find(vcpu->vm, gpa, vcpu->smm);

    *ret_page = (struct code_page){0};
    if (!host || !piece)
        return false;
    uint64_t number = piece->page + (gpa - piece->base) / PAGE;
    *ret_page =
        (struct code_page){.host = host, .number = number, .word = word_of(vcpu->vm, number)};
    uint32_t was = atomic_load(ret_page->word);
    if (!(was & GMEM_CODE)) {
        was = atomic_fetch_or(ret_page->word, GMEM_CODE);
        if (mmu_protect_code(vcpu, number)) {
            (void)code_page(vcpu, linear, ret_page);
            return true;
        }
    }
    ret_page->generation = was | GMEM_CODE;
    return false;
}

static unsigned hash_of(uint64_t page, unsigned start, uint32_t mode)
{
    uint64_t h = (page * PAGE + start) * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)mode << 40;

    return (unsigned)(h >> 40) % BLOCK_HASH_SIZE;
}

/* No memory: the bus answers with ones. */
static const uint8_t no_memory[BT_INSN_MAX] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                               0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static uint64_t next_page(const struct bt_vcpu *vcpu, uint64_t linear)
{
    uint64_t next = (linear | (PAGE - 1)) + 1;

    return (vcpu->mode & BT_MODE_CODE) == BT_MODE_CODE64 ? next : (uint32_t)next;
}

/* The instruction at the end of a page that goes on in the next one. */
static void decode_crossing(struct bt_vcpu *vcpu, uint64_t linear, struct code_page *first,
                            struct code_page *ret_second, struct bt_insn *ret_insn,
                            uint32_t *ret_sum)
{
    unsigned head = PAGE - linear % PAGE;
    uint8_t bytes[BT_INSN_MAX];

    while (code_page(vcpu, next_page(vcpu, linear), ret_second))
        (void)code_page(vcpu, linear, first);
    memcpy(bytes, first->host ? first->host + linear % PAGE : no_memory, head);
    memcpy(bytes + head, ret_second->host ? ret_second->host : no_memory, BT_INSN_MAX - head);
    if (!bt_decode(bytes, BT_INSN_MAX, vcpu->mode & BT_MODE_CODE, ret_insn))
        *ret_insn = (struct bt_insn){.op = BT_OP_TOO_LONG, .length = BT_INSN_MAX};
    *ret_sum = block_sum(bytes, ret_insn->length);
}

static void *arena_take(struct bt_vcpu *vcpu, uint64_t size)
{
    struct bt_interp *interp = vcpu->interp;
    void *at = interp->arena + interp->used;

    interp->used += (size + 63) & ~UINT64_C(63);
    ahead(interp->arena, BLOCK_CACHE_SIZE, interp->used, &interp->ahead);
    return at;
}

/* Where steps leave the block: flow handlers and exec_end get the links. */
static bool ends_by_flow(const struct bt_insn *insn)
{
    return (insn->op >= BT_OP_JCC && insn->op <= BT_OP_JRCXZ && insn->op != BT_OP_RET);
}

/* `keep`: room for the instructions that steps point to. */
static void fill_block(struct bt_vcpu *vcpu, struct bt_block *block, struct bt_insn *insn,
                       struct bt_insn *keep)
{
    unsigned offset = 0;

    for (unsigned i = 0; i < block->count; i++) {
        struct bt_insn *own = &insn[i];
        if (!exec_is_in_step(own)) {
            *keep = *own;
            own = keep++;
        }
        block->step[i] = (struct bt_step){.offset = (uint16_t)offset};
        exec_bind(vcpu, own, &block->step[i]);
        if (ends_by_flow(&insn[i]))
            block->step[i].imm = (int64_t)(uintptr_t)block->link;
        offset += insn[i].length;
    }
    block->step[block->count] = (struct bt_step){
        .run = exec_end, .offset = (uint16_t)offset, .imm = (int64_t)(uintptr_t)block->link};
}

/* Bytes of a page from `at` on, as many as one instruction can have; returns how many. */
unsigned block_bytes(const uint8_t *page, unsigned at, uint8_t bytes[BT_DECODE_WHOLE])
{
    unsigned room = PAGE - at;

    if (__builtin_expect(room >= BT_DECODE_WHOLE, 1)) {
        memcpy(bytes, page + at, BT_DECODE_WHOLE);
        return BT_DECODE_WHOLE;
    }
    memcpy(bytes, page + at, room);
    return room;
}

/* Decodes what is at `linear` into insn[]; returns how many. *ret_sum: of one on two pages. */
static unsigned decode_run(struct bt_vcpu *vcpu, uint64_t linear, unsigned max,
                           struct code_page *page, struct code_page *ret_second,
                           struct bt_insn *insn, uint32_t *ret_sum)
{
    unsigned at = linear % PAGE, count = 0, code = vcpu->mode & BT_MODE_CODE;

    while (count < max && at < PAGE) {
        uint8_t bytes[BT_DECODE_WHOLE] BT_UNINITIALIZED; /* memory may change meanwhile */
        unsigned room = page->host ? block_bytes(page->host, at, bytes) : BT_INSN_MAX;
        unsigned n = bt_decode(page->host ? bytes : no_memory, room, code, &insn[count]);
        if (!n) {
            if (count)
                break;
            decode_crossing(vcpu, linear, page, ret_second, &insn[0], ret_sum);
            return 1;
        }
        at += n;
        bool ends = insn[count++].properties & BT_INSN_ENDS_BLOCK;
        if (ends || insn[count - 1].op == BT_OP_UD || !page->host)
            break;
    }
    return count;
}

static struct bt_block *make(struct bt_vcpu *vcpu, uint64_t linear, bool single,
                             struct code_page *page)
{
    struct bt_interp *interp = vcpu->interp;
    struct code_page second = *page;

    if (interp->used + PIECE_MAX > BLOCK_CACHE_SIZE)
        block_drop_all(vcpu);
    struct bt_insn scratch[BLOCK_STEPS_MAX] BT_UNINITIALIZED;
    uint32_t sum = 0;
    unsigned count =
        decode_run(vcpu, linear, single ? 1 : BLOCK_STEPS_MAX, page, &second, scratch, &sum);
    struct bt_block *block = arena_take(vcpu, sizeof *block + (count + 1) * sizeof(struct bt_step));
    unsigned kept = 0;
    for (unsigned i = 0; i < count; i++)
        kept += !exec_is_in_step(&scratch[i]);
    struct bt_insn *keep = arena_take(vcpu, kept * sizeof *keep);
    *block = (struct bt_block){.page = {page->number, second.number},
                               .mode = vcpu->mode,
                               .start = linear % PAGE,
                               .count = (uint16_t)count,
                               .single = single,
                               .op = scratch[0].op,
                               .sum = sum,
                               .word = {page->word, second.word},
                               .generation = {page->generation, second.generation}};
    for (unsigned i = 0; i < count; i++)
        block->bytes += scratch[i].length;
    block->crosses = block->start + block->bytes > PAGE;
    fill_block(vcpu, block, scratch, keep);
    return block;
}

static unsigned memory_size(const struct bt_insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++)
        if (insn->operand[i].kind == BT_OPERAND_MEM && insn->operand[i].size)
            return insn->operand[i].size;
    return 1;
}

struct bt_block *block_single(struct bt_vcpu *vcpu, uint64_t page, unsigned offset, void *memory)
{
    struct bt_block *block = memory;
    struct bt_insn *keep = (struct bt_insn *)(void *)&block->step[2], scratch, *insn = &scratch;
    _Atomic(uint32_t) *word = word_of(vcpu->vm, page);

    *block = (struct bt_block){.page = {page, page},
                               .mode = vcpu->mode,
                               .start = (uint16_t)offset,
                               .count = 1,
                               .single = true,
                               .word = {word, word}};
    uint8_t bytes[BT_DECODE_WHOLE];
    unsigned room = block_bytes(bt_vm_ram(vcpu->vm) + page * PAGE, offset, bytes);
    if (!bt_decode(bytes, room, vcpu->mode & BT_MODE_CODE, insn))
        *insn = (struct bt_insn){.op = BT_OP_UD, .length = 1};
    block->bytes = insn->length;
    block->sum = block_sum(bytes, insn->length);
    block->memory_size = (uint16_t)memory_size(insn);
    block->op = insn->op;
    fill_block(vcpu, block, insn, keep);
    return block;
}

/* Whether a block goes on where the next page is now. */
static bool goes_on(struct bt_vcpu *vcpu, uint64_t linear, const struct bt_block *block)
{
    struct code_page second;

    if (!block->crosses)
        return true;
    (void)code_page(vcpu, next_page(vcpu, linear), &second);
    return second.word && second.number == block->page[1];
}

static struct bt_block *look_up(struct bt_vcpu *vcpu, uint64_t linear, bool single)
{
    struct bt_interp *interp = vcpu->interp;
    struct code_page page;

    (void)code_page(vcpu, linear, &page);
    if (!page.word) /* no memory: never kept */
        return make(vcpu, linear, true, &page);
    unsigned start = linear % PAGE, slot = hash_of(page.number, start, vcpu->mode);
    for (struct bt_block **at = &interp->hash[slot]; *at;) {
        struct bt_block *block = *at;
        bool same = block->page[0] == page.number && block->start == start &&
                    block->mode == vcpu->mode && block->single == single;
        if (same && !block_valid(block)) {
            *at = block->chain;
            continue;
        }
        if (same && goes_on(vcpu, linear, block))
            return block;
        at = &block->chain;
    }
    struct bt_block *block = make(vcpu, linear, single, &page);
    if (block->word[0] && block->word[1]) {
        block->chain = interp->hash[slot];
        interp->hash[slot] = block;
    }
    return block;
}

/* Of code whose segment has a limit: all of the instruction must be within. */
static struct bt_block *within_limit(struct bt_vcpu *vcpu, uint64_t linear, struct bt_block *block)
{
    uint32_t limit = vcpu->seg[CPU_CS].limit;

    if (vcpu->rip <= limit && vcpu->rip + block->bytes - 1 <= limit)
        return block;
    if (vcpu->rip <= limit && block->count > 1)
        block = look_up(vcpu, linear, true);
    if (vcpu->rip > limit || vcpu->rip + block->bytes - 1 > limit)
        bt_raise_error(vcpu, BT_GP, 0);
    return block;
}

struct bt_block *block_find(struct bt_vcpu *vcpu, bool single)
{
    uint64_t linear = vcpu->rip;
    bool limited = false;

    if ((vcpu->mode & BT_MODE_CODE) != BT_MODE_CODE64) {
        linear = (uint32_t)(linear + vcpu->seg[CPU_CS].base);
        limited = !(vcpu->mode & BT_MODE_FLAT);
        if (limited && vcpu->rip > vcpu->seg[CPU_CS].limit)
            bt_raise_error(vcpu, BT_GP, 0);
    }
    struct bt_block *block = look_up(vcpu, linear, single);
    return limited ? within_limit(vcpu, linear, block) : block;
}
