/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/client/follow.h"
#include "cli/client/inventory.h"
#include "cli/client/out.h"
#include "cli/noun/vm.h"

enum { DEPTH_MAX = 64 };

static const struct column columns[] = {
    {"id", "ID", COLUMN_NUMBER},      {"name", "NAME", COLUMN_TEXT},
    {"parent", "AFTER", COLUMN_TEXT}, {"created", "TAKEN", COLUMN_TIME},
    {"power", "POWER", COLUMN_TEXT},  {"current", "CURRENT", COLUMN_BOOL},
    {"note", "NOTE", COLUMN_TEXT},    {"ref", "REF", COLUMN_TEXT, .wide = true},
};

static void add_tree(json_t *rows, const json_t *list, const char *parent, const json_t *current,
                     unsigned depth)
{
    json_t *node;
    size_t i;

    json_array_foreach(list, i, node)
    {
        const char *state = api_text(node, "state");
        const json_t *ref = json_object_get(node, "snapshot");
        json_t *row =
            json_pack("{s:s, s:s, s:b, s:s, s:s}", "name", api_text(node, "name"), "power",
                      !strcmp(state, "poweredOn") ? "on" : "off", "current", api_is(ref, current),
                      "ref", api_id(ref), "note", api_text(node, "description"));
        (void)json_object_set(row, "id", json_object_get(node, "id"));
        (void)json_object_set(row, "created", json_object_get(node, "createTime"));
        if (parent)
            (void)json_object_set_new(row, "parent", json_string(parent));
        (void)json_array_append_new(rows, row);
        if (depth < DEPTH_MAX)
            add_tree(rows, json_object_get(node, "childSnapshotList"), api_text(node, "name"),
                     current, depth + 1);
    }
}

static json_t *all_snapshots(const json_t *vm)
{
    const json_t *info = json_object_get(vm, "snapshot");
    json_t *rows = json_array();

    add_tree(rows, json_object_get(info, "rootSnapshotList"), NULL,
             json_object_get(info, "currentSnapshot"), 0);
    return rows;
}

int vm_snapshot_list(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL, *rows = NULL;
    struct api *api;
    int rc = first_vm(command, "name snapshot", &api, &vm, err);

    if (rc < 0)
        return rc;
    rows = all_snapshots(vm);
    return out_rows(command, columns, ARRAY_SIZE(columns), rows, err);
}

const struct option vm_take_options[VM_TAKE_OPTIONS] = {
    {"note", "TEXT", "what it is good for", NULL},
    {"memory", NULL, "of a running VM: with its memory, so that it goes on from there", NULL},
    {"quiesce", NULL, "let tools in the guest settle its file systems", NULL},
};

int vm_snapshot_take(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL;
    const char *note = command_value(command, "note");
    struct api *api;
    int rc = first_vm(command, "name", &api, &vm, err);

    return rc < 0
               ? rc
               : follow_call(command, api, json_object_get(vm, "ref"), "CreateSnapshot_Task",
                             json_pack("{s:s, s:s, s:b, s:b}", "name", command_operand(command, 1),
                                       "description", note ? note : "", "memory",
                                       command_flag(command, "memory"), "quiesce",
                                       command_flag(command, "quiesce")),
                             "snapshot", NULL, err);
}

/* A snapshot by name or id: its reference. */
static int find_snapshot(const json_t *vm, const char *word, json_t **ret_ref, struct err *err)
{
    cleanup_json json_t *rows = all_snapshots(vm);
    const json_t *found = NULL;
    unsigned named = 0;
    json_t *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        char id[24];
        bool match = !strcmp(api_text(row, "name"), word);
        (void)snprintf(id, sizeof id, "%lld",
                       (long long)json_integer_value(json_object_get(row, "id")));
        named += match;
        if (match || (!found && !strcmp(id, word)))
            found = row;
    }
    if (named > 1)
        return err_set(err, -EINVAL, "%u snapshots are called \"%s\"; give the id", named, word);
    if (!found)
        return err_set(err, -ENOENT, "it has no snapshot \"%s\"", word);
    *ret_ref = json_pack("{s:s, s:s, s:s}", "_typeName", "ManagedObjectReference", "type",
                         "VirtualMachineSnapshot", "value", api_text(found, "ref"));
    return 0;
}

int vm_snapshot_revert(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL, *snapshot = NULL;
    const char *word = command_operand(command, 1);
    struct api *api;
    int rc = first_vm(command, "name snapshot", &api, &vm, err);

    if (rc == 0 && word)
        rc = find_snapshot(vm, word, &snapshot, err);
    if (rc < 0)
        return rc;
    return word ? follow_call(command, api, snapshot, "RevertToSnapshot_Task", NULL, "revert", NULL,
                              err)
                : follow_call(command, api, json_object_get(vm, "ref"),
                              "RevertToCurrentSnapshot_Task", NULL, "revert", NULL, err);
}

const struct option vm_forget_options[VM_FORGET_OPTIONS] = {
    {"all", NULL, "all snapshots of the VM", NULL},
    {"children", NULL, "with those that were taken after it", NULL},
};

int vm_snapshot_delete(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL, *snapshot = NULL;
    const char *word = command_operand(command, 1);
    bool all = command_flag(command, "all");
    struct api *api;

    if (all == (word != NULL))
        return err_set(err, -EINVAL, "give a snapshot, or --all");
    int rc = first_vm(command, "name snapshot", &api, &vm, err);
    if (rc == 0 && word)
        rc = find_snapshot(vm, word, &snapshot, err);
    if (rc < 0)
        return rc;
    return all ? follow_call(command, api, json_object_get(vm, "ref"), "RemoveAllSnapshots_Task",
                             NULL, "delete snapshots", NULL, err)
               : follow_call(
                     command, api, snapshot, "RemoveSnapshot_Task",
                     json_pack("{s:b}", "removeChildren", command_flag(command, "children")),
                     "delete snapshot", NULL, err);
}
