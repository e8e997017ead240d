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

static const struct verb verbs[] = {
    {"list", "", "shows all networks", NO_OPTIONS, list},
};

const struct noun noun_network = {"network", "Networks that virtual machines can have cards on.",
                                  verbs, ARRAY_SIZE(verbs)};
