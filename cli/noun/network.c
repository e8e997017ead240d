/* SPDX-License-Identifier: Apache-2.0 */
/* `socle network`. */
#include "cli/client/inventory.h"
#include "cli/client/out.h"
#include "cli/noun/nouns.h"

static const struct column columns[] = {
    {"name", "NAME", COLUMN_TEXT},
    {"accessible", "ACCESSIBLE", COLUMN_BOOL},
    {"vms", "VMS", COLUMN_NUMBER},
    {"id", "ID", COLUMN_TEXT, .wide = true},
};

static int list(struct command *command, struct err *err)
{
    cleanup_json json_t *networks = NULL, *rows = json_array();
    struct api *api;
    json_t *network;
    size_t i;
    int rc = command_api(command, &api, err);

    if (rc == 0)
        rc = inventory_list(api, "Network", "name summary vm", &networks, err);
    json_array_foreach(networks, i, network)
    {
        json_t *row = json_pack("{s:s, s:s, s:i}", "name", api_text(network, "name"), "id",
                                api_id(json_object_get(network, "ref")), "vms",
                                (int)json_array_size(json_object_get(network, "vm")));
        (void)json_object_set(row, "accessible",
                              json_object_get(json_object_get(network, "summary"), "accessible"));
        (void)json_array_append_new(rows, row);
    }
    return rc < 0 ? rc : out_rows(command, columns, ARRAY_SIZE(columns), rows, err);
}

/* --- switches and port groups --- */

static int network_system(struct command *command, struct api **ret_api, const json_t **ret_system,
                          struct err *err)
{
    int rc = command_api(command, ret_api, err);

    return rc < 0 ? rc : api_host_manager(*ret_api, "networkSystem", ret_system, err);
}

static int network_info(struct command *command, json_t **ret_info, struct err *err)
{
    const json_t *system;
    struct api *api;
    int rc = network_system(command, &api, &system, err);

    return rc < 0 ? rc : api_get(api, system, "networkInfo", ret_info, err);
}

static const struct column switch_columns[] = {
    {"name", "NAME", COLUMN_TEXT},
    {"portgroups", "PORT GROUPS", COLUMN_NUMBER},
    {"mtu", "MTU", COLUMN_NUMBER},
};

static int switch_list(struct command *command, struct err *err)
{
    cleanup_json json_t *info = NULL, *rows = json_array();
    json_t *one;
    size_t i;
    int rc = network_info(command, &info, err);

    json_array_foreach(json_object_get(info, "vswitch"), i, one)
    {
        json_t *row = json_pack("{s:s, s:i}", "name", api_text(one, "name"), "portgroups",
                                (int)json_array_size(json_object_get(one, "portgroup")));
        (void)json_object_set(row, "mtu", json_object_get(one, "mtu"));
        (void)json_array_append_new(rows, row);
    }
    return rc < 0 ? rc : out_rows(command, switch_columns, ARRAY_SIZE(switch_columns), rows, err);
}

static const struct column group_columns[] = {
    {"name", "NAME", COLUMN_TEXT},
    {"switch", "SWITCH", COLUMN_TEXT},
    {"vlan", "VLAN", COLUMN_NUMBER},
};

static int group_list(struct command *command, struct err *err)
{
    cleanup_json json_t *info = NULL, *rows = json_array();
    json_t *one;
    size_t i;
    int rc = network_info(command, &info, err);

    json_array_foreach(json_object_get(info, "portgroup"), i, one)
    {
        const json_t *spec = json_object_get(one, "spec");
        json_t *row = json_pack("{s:s, s:s}", "name", api_text(spec, "name"), "switch",
                                api_text(spec, "vswitchName"));
        (void)json_object_set(row, "vlan", json_object_get(spec, "vlanId"));
        (void)json_array_append_new(rows, row);
    }
    return rc < 0 ? rc : out_rows(command, group_columns, ARRAY_SIZE(group_columns), rows, err);
}

static int change(struct command *command, const char *method, json_t *args, struct err *err)
{
    const json_t *system;
    struct api *api;
    int rc = network_system(command, &api, &system, err);

    if (rc == 0)
        return api_call(api, system, method, args, NULL, err);
    json_decref(args);
    return rc;
}

static int switch_add(struct command *command, struct err *err)
{
    return change(command, "AddVirtualSwitch",
                  json_pack("{s:s}", "vswitchName", command_operand(command, 0)), err);
}

static int switch_remove(struct command *command, struct err *err)
{
    return change(command, "RemoveVirtualSwitch",
                  json_pack("{s:s}", "vswitchName", command_operand(command, 0)), err);
}

static const struct option group_options[] = {
    {"switch", "SWITCH", "of this switch (default vSwitch0)", NULL},
    {"vlan", "N", "0 to 4095 (default 0: none)", NULL},
};

static int group_add(struct command *command, struct err *err)
{
    const char *name = command_value(command, "switch");
    unsigned vlan = 0;
    int rc = command_unsigned(command, "vlan", 0, 4095, &vlan, err);

    return rc < 0 ? rc
                  : change(command, "AddPortGroup",
                           json_pack("{s:{s:s, s:i, s:s, s:{}}}", "portgrp", "name",
                                     command_operand(command, 0), "vlanId", (int)vlan,
                                     "vswitchName", name ? name : "vSwitch0", "policy"),
                           err);
}

static int group_remove(struct command *command, struct err *err)
{
    return change(command, "RemovePortGroup",
                  json_pack("{s:s}", "pgName", command_operand(command, 0)), err);
}

static const struct verb verbs[] = {
    {"list", "", "shows all networks", NO_OPTIONS, list},
    {"portgroup list", "", "shows all port groups", NO_OPTIONS, group_list},
    {"portgroup add", "NAME", "makes one", OPTIONS(group_options), group_add},
    {"portgroup remove", "NETWORK", "removes one", NO_OPTIONS, group_remove},
    {"switch list", "", "shows all virtual switches", NO_OPTIONS, switch_list},
    {"switch add", "NAME", "makes one", NO_OPTIONS, switch_add},
    {"switch remove", "NAME", "removes one", NO_OPTIONS, switch_remove},
};

const struct noun noun_network = {"network", "Networks that virtual machines can have cards on.",
                                  verbs, ARRAY_SIZE(verbs)};
