/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/process/keeper_order.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "vm/process/config_fd.h"

void keeper_order_init(struct keeper_order *order)
{
    *order = (struct keeper_order){.state_fd = -1};
}

void keeper_order_free(struct keeper_order *order)
{
    (void)close_fd(order->state_fd);
    if (order->has_config)
        vmcfg_free(&order->cfg);
    free(order->commit_path);
    buf_free(&order->commit);
    keeper_order_init(order);
}

void keeper_order_for(struct keeper_order *order, uint64_t token)
{
    if (order->token != token)
        keeper_order_free(order);
    order->token = token;
}

static int add_config(struct keeper_order *order, int fd)
{
    cleanup_buf struct buf text = {0};
    int rc = bytes_read(fd, &text, NULL);

    if (rc < 0 || order->has_config)
        return -EBADMSG;
    rc = vmcfg_decode(text.data, text.len, &order->cfg, NULL);
    order->has_config = rc == 0;
    return rc < 0 ? -EBADMSG : 0;
}

static int add_commit(struct keeper_order *order, const char *path, int fd)
{
    if (order->commit_path || bytes_read(fd, &order->commit, NULL) < 0)
        return -EBADMSG;
    order->commit_path = strdup(path);
    return order->commit_path ? 0 : -ENOMEM;
}

int keeper_order_add(struct keeper_order *order, const struct keeper_message *message, int fd)
{
    cleanup_fd int owned = fd;

    keeper_order_for(order, message->token);
    if (message->kind == KEEPER_WITH_SIZE) {
        if (message->value >= VMCFG_DISKS_MAX || message->us <= 0)
            return -EBADMSG;
        order->grow[message->value] = (uint64_t)message->us;
        return 0;
    }
    if (fd < 0)
        return -EBADMSG;
    if (message->kind == KEEPER_WITH_CONFIG)
        return add_config(order, fd);
    if (message->kind == KEEPER_WITH_COMMIT)
        return add_commit(order, message->text, fd);
    if (message->kind != KEEPER_WITH_STATE || order->state_fd >= 0)
        return -EBADMSG;
    order->state_fd = TAKE_FD(owned);
    return 0;
}
