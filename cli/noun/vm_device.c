/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/client/follow.h"
#include "cli/client/inventory.h"
#include "cli/client/out.h"
#include "cli/noun/vm.h"

static const char hardware_path[] = "name config.hardware.device";

static int reconfigure(struct command *command, struct api *api, const json_t *vm, json_t *changes,
                       const char *label, struct err *err)
{
    return follow_call(command, api, json_object_get(vm, "ref"), "ReconfigVM_Task",
                       json_pack("{s:{s:o}}", "spec", "deviceChange", changes), label, NULL, err);
}

/* --- list --- */

static const struct column columns[] = {
    {"key", "KEY", COLUMN_NUMBER},           {"label", "LABEL", COLUMN_TEXT},
    {"type", "TYPE", COLUMN_TEXT},           {"size", "SIZE", COLUMN_SIZE},
    {"backing", "WHAT", COLUMN_TEXT},        {"mac", "MAC", COLUMN_TEXT},
    {"connected", "CONNECTED", COLUMN_BOOL},
};

static json_t *device_row(const json_t *device)
{
    const json_t *backing = json_object_get(device, "backing");
    const json_t *connectable = json_object_get(device, "connectable");
    const json_t *bytes = json_object_get(device, "capacityInBytes");
    const char *file = api_text(backing, "fileName"), *name = api_text(backing, "deviceName");
    json_t *row =
        json_pack("{s:s, s:s}", "label", api_text(json_object_get(device, "deviceInfo"), "label"),
                  "type", api_type(device));

    (void)json_object_set(row, "key", json_object_get(device, "key"));
    if (json_is_integer(bytes))
        (void)json_object_set(row, "size", (json_t *)(uintptr_t)bytes);
    if (*file || *name)
        (void)json_object_set_new(row, "backing", json_string(*file ? file : name));
    if (*api_text(device, "macAddress"))
        (void)json_object_set(row, "mac", json_object_get(device, "macAddress"));
    if (connectable)
        (void)json_object_set(row, "connected", json_object_get(connectable, "connected"));
    return row;
}

int vm_device_list(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL, *rows = json_array();
    struct api *api;
    json_t *device;
    size_t i;
    int rc = first_vm(command, hardware_path, &api, &vm, err);

    if (rc < 0)
        return rc;
    json_array_foreach(json_object_get(vm, "config.hardware.device"), i, device)(void)
        json_array_append_new(rows, device_row(device));
    return out_rows(command, columns, ARRAY_SIZE(columns), rows, err);
}

/* --- add --- */

static const char *const disk_controllers[] = {"ParaVirtualSCSIController",
                                               "VirtualLsiLogicController",
                                               "VirtualLsiLogicSASController",
                                               "VirtualBusLogicController",
                                               "VirtualAHCIController",
                                               "VirtualNVMEController",
                                               NULL};
static const char *const cd_controllers[] = {"VirtualAHCIController", NULL};

/* A controller that is there, the first kind of them first: its key, else that of a new one
 * (negative). */
static int controller_for(const char *const *kinds, const json_t *devices)
{
    json_t *device;
    size_t i;

    for (unsigned k = 0; kinds[k]; k++)
        json_array_foreach(devices, i, device) if (!strcmp(api_type(device), kinds[k])) return (
            int)json_integer_value(json_object_get(device, "key"));
    return -1;
}

const struct option vm_disk_options[VM_DISK_OPTIONS] = {
    {"size", "SIZE", "a new disk of this size: a number with M, G or T", NULL},
    {"file", "FILE", "this .vmdk file of a datastore", NULL},
    {"eager", NULL, "reserve and zero all of it now", NULL},
};

int vm_device_add_disk(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL;
    cleanup_free char *path = NULL;
    const char *file = command_value(command, "file");
    struct api *api;
    uint64_t size = 0;
    int rc = command_size(command, "size", 1, &size, err);

    if (rc == 0 && !file == !size)
        rc = err_set(err, -EINVAL, "give one of --size and --file");
    if (rc == 0)
        rc = first_vm(command, hardware_path, &api, &vm, err);
    if (rc == 0 && file)
        rc = datastore_path(api, file, &path, err);
    if (rc < 0)
        return rc;
    int controller =
        controller_for(disk_controllers, json_object_get(vm, "config.hardware.device"));
    json_t *changes = json_array();
    if (controller < 0)
        (void)json_array_append_new(changes, spec_scsi(-1));
    (void)json_array_append_new(
        changes, spec_disk(size, path, controller, -10, command_flag(command, "eager")));
    return reconfigure(command, api, vm, changes, "add disk", err);
}

const struct option vm_nic_options[VM_NIC_OPTIONS] = {
    {"model", "MODEL", "vmxnet3 (default), e1000e or e1000", NULL},
    {"mac", "ADDRESS", "its address (default: made by the host)", NULL},
};

int vm_device_add_nic(struct command *command, struct err *err)
{
    static const char *const models[][2] = {
        {"vmxnet3", "VirtualVmxnet3"}, {"e1000e", "VirtualE1000e"}, {"e1000", "VirtualE1000"}};
    cleanup_json json_t *vm = NULL;
    const char *word = command_value(command, "model"), *type = word ? NULL : models[0][1];
    const char *network = command_operand(command, 1);
    struct api *api;

    for (unsigned i = 0; word && i < ARRAY_SIZE(models); i++)
        if (!strcmp(word, models[i][0]))
            type = models[i][1];
    if (!type)
        return err_set(err, -EINVAL, "--model \"%s\": not vmxnet3, e1000e or e1000", word);
    int rc = first_vm(command, "name", &api, &vm, err);
    return rc < 0 ? rc
                  : reconfigure(command, api, vm,
                                json_pack("[o]", spec_nic(network ? network : "VM Network", type,
                                                          command_value(command, "mac"), -10)),
                                "add card", err);
}

int vm_device_add_cd(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL;
    cleanup_free char *path = NULL;
    struct api *api;
    int rc = first_vm(command, hardware_path, &api, &vm, err);

    if (rc == 0 && command_operand(command, 1))
        rc = datastore_path(api, command_operand(command, 1), &path, err);
    if (rc < 0)
        return rc;
    int controller = controller_for(cd_controllers, json_object_get(vm, "config.hardware.device"));
    json_t *changes = json_array();
    if (controller < 0)
        (void)json_array_append_new(changes, spec_sata(controller));
    (void)json_array_append_new(changes, spec_cdrom(path ? path : "", controller, -10));
    return reconfigure(command, api, vm, changes, "add drive", err);
}

/* --- change, remove --- */

/* By key, or by label; borrowed. */
static const json_t *find_device(const json_t *vm, const char *word, struct err *err)
{
    json_t *device;
    char key[24];
    size_t i;

    json_array_foreach(json_object_get(vm, "config.hardware.device"), i, device)
    {
        (void)snprintf(key, sizeof key, "%lld",
                       (long long)json_integer_value(json_object_get(device, "key")));
        if (!strcmp(key, word) ||
            !strcmp(api_text(json_object_get(device, "deviceInfo"), "label"), word))
            return device;
    }
    (void)err_set(err, -ENOENT, "it has no device \"%s\"; \"socle vm device list\" shows them",
                  word);
    return NULL;
}

int vm_device_insert(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL;
    cleanup_free char *path = NULL;
    const char *file = command_operand(command, 2);
    struct api *api;
    int rc = first_vm(command, hardware_path, &api, &vm, err);
    const json_t *found = rc < 0 ? NULL : find_device(vm, command_operand(command, 1), err);

    if (rc == 0 && !found)
        rc = -ENOENT;
    if (rc == 0 && strcmp(api_type(found), "VirtualCdrom") != 0)
        rc = err_set(err, -EINVAL, "\"%s\" is no CD drive", command_operand(command, 1));
    if (rc == 0 && file)
        rc = datastore_path(api, file, &path, err);
    if (rc < 0)
        return rc;
    json_t *change = spec_cdrom(path ? path : "", 0, 0), *drive = json_object_get(change, "device");
    (void)json_object_set_new(change, "operation", json_string("edit"));
    (void)json_object_set(drive, "key", json_object_get(found, "key"));
    (void)json_object_set(drive, "controllerKey", json_object_get(found, "controllerKey"));
    (void)json_object_set(drive, "unitNumber", json_object_get(found, "unitNumber"));
    return reconfigure(command, api, vm, json_pack("[o]", change), "insert", err);
}

const struct option vm_remove_options[VM_REMOVE_OPTIONS] = {
    {"delete-file", NULL, "a disk's files as well", NULL},
};

int vm_device_remove(struct command *command, struct err *err)
{
    cleanup_json json_t *vm = NULL, *changes = json_array();
    struct api *api;
    const char *word;
    int rc = first_vm(command, hardware_path, &api, &vm, err);

    for (unsigned i = 1; rc == 0 && (word = command_operand(command, i)); i++) {
        const json_t *device = find_device(vm, word, err);
        if (!device)
            return -ENOENT;
        json_t *change = spec_change("remove", json_deep_copy(device));
        if (command_flag(command, "delete-file") && !strcmp(api_type(device), "VirtualDisk"))
            (void)json_object_set_new(change, "fileOperation", json_string("destroy"));
        (void)json_array_append_new(changes, change);
    }
    return rc < 0 ? rc : reconfigure(command, api, vm, json_incref(changes), "remove", err);
}
