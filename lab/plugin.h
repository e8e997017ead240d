/* SPDX-License-Identifier: Apache-2.0 */
/* The interface of QEMU 10's TCG plugins (plugin API 4), declared by hand since Debian ships no
 * header for it, and the instructions that our plugins look for. */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
typedef void (*tb_translated_cb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*executed_cb)(unsigned int cpu, void *arg);
typedef void (*end_cb)(qemu_plugin_id_t id, void *arg);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, tb_translated_cb cb);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, executed_cb cb, int flags,
                                          void *arg);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, executed_cb cb,
                                            int flags, void *arg);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, end_cb cb, void *arg);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *insn, void *buf, size_t size);
void qemu_plugin_outs(const char *text);

#define EXPORT __attribute__((visibility("default")))
extern int qemu_plugin_version; /* the plugin defines it: 4 */
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc,
                               char **argv);

/* APM volume 3: VMRUN is 0f 01 d8. */
static const uint8_t vmrun_code[] = {0x0f, 0x01, 0xd8};
/* The nop of LAB_MARK; the fifth byte is the number. */
static const uint8_t mark_head[] = {0x0f, 0x1f, 0x84, 0x00};
static const uint8_t mark_tail[] = {'B', 'A', 'L'};
