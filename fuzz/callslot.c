/* SPDX-License-Identifier: Apache-2.0 */
/* Register accesses as vmx gets them from vmm, by a vmm that its guest has taken over: any device,
 * region, width and offset, and any contents of guest memory. What must hold: only devices of vmx
 * are reached, within their regions. */
#include <string.h>

#include "base/loop.h"
#include "fuzz/fuzz.h"
#include "vm/machine/gmem.h"
#include "vm/process/board.h"

enum { RAM = 1 << 20, CALLS_MAX = 300 };

static struct gmem *gmem;
static struct loop *loop;
static struct link_shared *shared;
static struct vmcfg cfg;
static struct fw_cfg_items *items;

static void request(void *ctx, enum machine_request what)
{
    (void)ctx, (void)what;
}

static void prepare(void)
{
    vmcfg_init(&cfg);
    cfg.name = strdup("fuzzed");
    cfg.firmware = VMCFG_FIRMWARE_BIOS;
    cfg.slots_given = true; /* none: what may stand in them has targets of its own */
    FUZZ_CHECK(vmcfg_finish(&cfg, NULL) == 0);
    FUZZ_CHECK(gmem_create(RAM, GMEM_PAGES_AUTO, &gmem, NULL) == 0);
    FUZZ_CHECK(loop_create(&loop) == 0);
    FUZZ_CHECK((shared = calloc(1, sizeof *shared)) != NULL);
    FUZZ_CHECK(fw_cfg_items_create(&items) == 0);
    FUZZ_CHECK(fw_cfg_add_file(items, "etc/x", "hello", 5) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!gmem)
        prepare();
    struct board_parts parts = {.fw_cfg = items};
    struct board_env env = {.gmem = gmem, .loop = loop, .shared = shared, .request = request};
    struct board *board;

    FUZZ_CHECK(board_build(&cfg, &parts, &board, NULL) == 0);
    for (unsigned i = 0; i < board->count; i++)
        FUZZ_CHECK(board_make_fds(board->device[i], NULL) == 0);
    FUZZ_CHECK(board_create_devices(board, DEV_IN_VMX, &env, NULL) == 0);
    for (unsigned n = 0; n < CALLS_MAX && size >= 16; n++, data += 16, size -= 16) {
        struct callslot call = {.device = (uint16_t)(data[0] & 0x80 ? data[0] << 4 : data[0] % 16),
                                .region = data[1],
                                .size = data[2] & 0x80 ? data[2] : (uint8_t)(1u << (data[2] & 3)),
                                .is_write = data[3] & 1};
        memcpy(&call.offset, data + 4, data[3] & 2 ? 8 : 2);
        memcpy(&call.value, data + 8, 8);
        uint64_t value = board_serve(board, &call);
        if (call.device < board->count && board->device[call.device]->class->place == DEV_IN_VMM)
            FUZZ_CHECK(value == UINT64_MAX);
        if (data[3] & 4)
            (void)gmem_write(gmem, gpa(call.value % RAM), data, 16);
    }
    board_destroy(board);
    return 0;
}
