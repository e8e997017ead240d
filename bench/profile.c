/* SPDX-License-Identifier: Apache-2.0 */
/* A TCG plugin for QEMU 10 that says where L1's instructions go between mark 1 and mark 2
 * (lab/lab.h): one line "PROFILE address instructions" for each block of L1 that ran, biggest
 * first. bench/profile gives them names. How L1 and L2 are told apart: lab/labcount.c. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/plugin.h"

EXPORT int qemu_plugin_version = 4;

/* Blocks by address, in a table with open addressing; a block translated again is the same one. */
struct block {
    uint64_t address, instructions;
    unsigned size;
};
enum { BLOCKS = 1 << 20, RESUME_MAX = 16 };
static struct block blocks[BLOCKS];
static uint64_t resume[RESUME_MAX];
static int resumes, wanted_start, starts;
static bool in_l2, counting, wanted_l2;

static struct block *block_at(uint64_t address, unsigned size)
{
    uint64_t i = address * UINT64_C(0x9e3779b97f4a7c15) >> 44;

    for (int left = BLOCKS; left; left--, i = (i + 1) % BLOCKS) {
        struct block *b = &blocks[i];
        if (b->size == size && b->address == address)
            return b;
        if (!b->size) {
            *b = (struct block){.address = address, .size = size};
            return b;
        }
    }
    abort();
}

static void on_vmrun(unsigned int cpu, void *arg)
{
    in_l2 = true;
}

static void on_resume(unsigned int cpu, void *arg)
{
    in_l2 = false;
}

static void on_mark(unsigned int cpu, void *arg)
{
    uintptr_t mark = (uintptr_t)arg;

    if (mark == 1)
        counting = ++starts == wanted_start;
    if (mark == 2)
        counting = false;
}

static void on_block(unsigned int cpu, void *arg)
{
    struct block *b = arg;

    if (counting && in_l2 == wanted_l2)
        b->instructions += b->size;
}

static bool is_resume(uint64_t address)
{
    for (int i = 0; i < resumes; i++)
        if (resume[i] == address)
            return true;
    return false;
}

static void translate_insn(struct qemu_plugin_insn *insn)
{
    uint8_t code[16] = {0};
    size_t size = qemu_plugin_insn_data(insn, code, sizeof(code));
    uint64_t address = qemu_plugin_insn_vaddr(insn);

    if (is_resume(address))
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_resume, 0, NULL);
    if (size == sizeof(vmrun_code) && !memcmp(code, vmrun_code, size)) {
        if (!is_resume(address + size) && resumes < RESUME_MAX)
            resume[resumes++] = address + size;
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_vmrun, 0, NULL);
    } else if (size == 8 && !memcmp(code, mark_head, sizeof(mark_head)) &&
               !memcmp(code + 5, mark_tail, sizeof(mark_tail))) {
        void *number = (void *)(uintptr_t)code[4];

        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, 0, number);
    }
}

static void translate_block(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    size_t insns = qemu_plugin_tb_n_insns(tb);

    for (size_t i = 0; i < insns; i++)
        translate_insn(qemu_plugin_tb_get_insn(tb, i));
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, 0,
                                         block_at(qemu_plugin_tb_vaddr(tb), (unsigned)insns));
}

static int by_count(const void *a, const void *b)
{
    uint64_t x = ((const struct block *)a)->instructions;
    uint64_t y = ((const struct block *)b)->instructions;

    return x < y ? 1 : x > y ? -1 : 0;
}

static void on_end(qemu_plugin_id_t id, void *arg)
{
    char line[64];

    qsort(blocks, BLOCKS, sizeof(blocks[0]), by_count);
    for (int i = 0; i < BLOCKS && blocks[i].instructions; i++) {
        (void)snprintf(line, sizeof(line), "PROFILE %lx %lu\n", blocks[i].address,
                       blocks[i].instructions);
        qemu_plugin_outs(line);
    }
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
    wanted_start = 1;
    for (int i = 0; i < argc; i++)
        if (!strcmp(argv[i], "level=2"))
            wanted_l2 = true;
        else
            (void)sscanf(argv[i], "start=%d", &wanted_start);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate_block);
    qemu_plugin_register_atexit_cb(id, on_end, NULL);
    return 0;
}
