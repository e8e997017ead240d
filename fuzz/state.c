/* SPDX-License-Identifier: Apache-2.0 */
/* vmx's part of a saved VM, loaded into a board of its own. What is accepted can be saved, and that
 * be loaded, into the same; what is refused leaves devices that a reset makes good. */
#include "vm/process/state.h"

#include <stdlib.h>
#include <string.h>

#include "base/loop.h"
#include "fuzz/fuzz.h"
#include "vm/process/board.h"

static struct state_machine machine;

static void request(void *ctx, enum machine_request what)
{
    (void)ctx, (void)what;
}

static void make_board(void)
{
    static struct link_shared shared;
    struct board_parts parts = {0};
    struct board_env env = {.shared = &shared, .request = request};
    struct vmcfg cfg;

    vmcfg_init(&cfg);
    cfg.memory = MIB(4);
    cfg.kernel = strdup("kernel");
    if (vmcfg_finish(&cfg, NULL) < 0 ||
        gmem_create(cfg.memory, GMEM_PAGES_AUTO, &env.gmem, NULL) < 0 ||
        loop_create(&env.loop) < 0 || fw_cfg_items_create(&parts.fw_cfg) < 0)
        abort();
    if (board_build(&cfg, &parts, &machine.board, NULL) < 0)
        abort();
    for (unsigned i = 0; i < machine.board->count; i++)
        if (board_make_fds(machine.board->device[i], NULL) < 0)
            abort();
    if (board_create_devices(machine.board, DEV_IN_VMX, &env, NULL) < 0)
        abort();
    machine.shared = &shared;
    machine.place = DEV_IN_VMX;
    vmcfg_free(&cfg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_buf struct buf one = {0}, two = {0};
    struct err err = ERR_INIT;

    if (!machine.board)
        make_board();
    board_reset_devices(machine.board, DEV_IN_VMX);
    board_quiesce_devices(machine.board, DEV_IN_VMX);
    if (state_take(&machine, data, size, &err) < 0) {
        FUZZ_CHECK(err.code < 0 && *err.text);
        board_reset_devices(machine.board, DEV_IN_VMX);
    }
    FUZZ_CHECK(state_put(&machine, &one, &err) == 0);
    FUZZ_CHECK(state_take(&machine, one.data, one.len, &err) == 0);
    FUZZ_CHECK(state_put(&machine, &two, &err) == 0);
    FUZZ_CHECK(one.len == two.len && !memcmp(one.data, two.data, one.len));
    board_reset_devices(machine.board, DEV_IN_VMX);
    board_resume_devices(machine.board, DEV_IN_VMX);
    return 0;
}
