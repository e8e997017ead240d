/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "cli/client/inventory.h"
#include "cli/client/out.h"
#include "cli/noun/vm.h"

static const struct column columns[] = {
    {"name", "NAME", COLUMN_TEXT},       {"order", "ORDER", COLUMN_NUMBER},
    {"start", "START", COLUMN_TEXT},     {"delay", "DELAY", COLUMN_NUMBER},
    {"stop", "AT THE END", COLUMN_TEXT},
};

int vm_autostart_list(struct command *command, struct err *err)
{
    cleanup_json json_t *config = NULL, *rows = json_array();
    const json_t *manager;
    struct api *api;
    json_t *info;
    size_t i;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = api_host_manager(api, "autoStartManager", &manager, err);
    if (rc == 0)
        rc = api_get(api, manager, "config", &config, err);
    json_array_foreach(json_object_get(config, "powerInfo"), i, info)
    {
        cleanup_json json_t *vm = NULL;
        if (rc == 0)
            rc = inventory_read(api, json_object_get(info, "key"), "name", &vm, err);
        json_t *row =
            json_pack("{s:s, s:s, s:s}", "name", api_text(vm, "name"), "start",
                      api_text(info, "startAction"), "stop", api_text(info, "stopAction"));
        (void)json_object_set(row, "order", json_object_get(info, "startOrder"));
        (void)json_object_set(row, "delay", json_object_get(info, "startDelay"));
        (void)json_array_append_new(rows, row);
    }
    return rc < 0 ? rc : out_rows(command, columns, ARRAY_SIZE(columns), rows, err);
}

const struct option vm_autostart_options[VM_AUTOSTART_OPTIONS] = {
    {"order", "N", "its place in the order (default: after those that have one)", NULL},
    {"delay", "SECONDS", "time until the next one is started (default: the host's)", NULL},
};

static int set(struct api *api, const json_t *vm, bool on, int order, int delay, struct err *err)
{
    const json_t *manager;
    int rc = api_host_manager(api, "autoStartManager", &manager, err);

    if (rc < 0)
        return rc;
    json_t *info = json_pack(
        "{s:O, s:i, s:i, s:s, s:s, s:i, s:s}", "key", json_object_get(vm, "ref"), "startOrder",
        on ? order : -1, "startDelay", delay, "waitForHeartbeat", "systemDefault", "startAction",
        on ? "powerOn" : "none", "stopDelay", -1, "stopAction", "systemDefault");
    json_t *spec = json_pack("{s:[o]}", "powerInfo", info);
    if (on)
        (void)json_object_set_new(spec, "defaults", json_pack("{s:b}", "enabled", 1));
    return api_call(api, manager, "ReconfigureAutostart", json_pack("{s:o}", "spec", spec), NULL,
                    err);
}

static int on_one(struct command *command, struct api *api, const json_t *row, struct err *err)
{
    unsigned order = UINT32_MAX, delay = UINT32_MAX;
    int rc = command_unsigned(command, "order", 1, 1000, &order, err);

    if (rc == 0)
        rc = command_unsigned(command, "delay", 0, 86400, &delay, err);
    return rc < 0 ? rc
                  : set(api, row, true, order == UINT32_MAX ? -1 : (int)order,
                        delay == UINT32_MAX ? -1 : (int)delay, err);
}

static int off_one(struct command *command, struct api *api, const json_t *row, struct err *err)
{
    (void)command;
    return set(api, row, false, -1, -1, err);
}

int vm_autostart_on(struct command *command, struct err *err)
{
    return each_vm(command, err, on_one);
}

int vm_autostart_off(struct command *command, struct err *err)
{
    return each_vm(command, err, off_one);
}
