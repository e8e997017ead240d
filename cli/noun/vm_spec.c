/* SPDX-License-Identifier: Apache-2.0 */
/* Specs of VMs and devices as the API wants them, from what a command line says. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse_num.h"
#include "cli/noun/vm.h"

static int add_lines(const struct command *command, json_t *spec, struct err *err)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < command->options.hit_count; i++) {
        const struct option_hit *hit = &command->options.hits[i];
        const char *equals = hit->value ? strchr(hit->value, '=') : NULL;
        if (strcmp(hit->option->name, "set") != 0)
            continue;
        if (!equals || equals == hit->value) {
            json_decref(list);
            return err_set(err, -EINVAL, "--set \"%s\": not KEY=VALUE", hit->value);
        }
        (void)json_array_append_new(
            list, json_pack("{s:o, s:{s:s, s:s}}", "key",
                            json_stringn(hit->value, (size_t)(equals - hit->value)), "value",
                            "_typeName", "string", "_value", equals + 1));
    }
    if (json_array_size(list))
        return json_object_set_new(spec, "extraConfig", list);
    json_decref(list);
    return 0;
}

static int add_firmware(const struct command *command, json_t *spec, struct err *err)
{
    const char *firmware = command_value(command, "firmware");
    const char *secure = command_value(command, "secure-boot");
    unsigned delay = 0;
    int rc = command_unsigned(command, "boot-delay", 0, 600000, &delay, err);

    if (rc == 0 && firmware && strcmp(firmware, "efi") && strcmp(firmware, "bios"))
        rc = err_set(err, -EINVAL, "--firmware \"%s\": not efi or bios", firmware);
    if (rc == 0 && secure && strcmp(secure, "on") && strcmp(secure, "off"))
        rc = err_set(err, -EINVAL, "--secure-boot \"%s\": not on or off", secure);
    if (rc < 0)
        return rc;
    if (firmware)
        (void)json_object_set_new(spec, "firmware", json_string(firmware));
    json_t *boot = json_object();
    if (secure)
        (void)json_object_set_new(boot, "efiSecureBootEnabled",
                                  json_boolean(!strcmp(secure, "on")));
    if (command_flag(command, "boot-delay"))
        (void)json_object_set_new(boot, "bootDelay", json_integer(delay));
    if (json_object_size(boot))
        return json_object_set_new(spec, "bootOptions", boot);
    json_decref(boot);
    return 0;
}

int vm_spec(const struct command *command, json_t **ret_spec, struct err *err)
{
    cleanup_json json_t *spec = json_object();
    const char *guest = command_value(command, "guest"), *note = command_value(command, "note");
    unsigned cpus = 0;
    uint64_t memory = 0;
    int rc = command_unsigned(command, "cpus", 1, 768, &cpus, err);

    if (rc == 0)
        rc = command_size(command, "memory", (uint64_t)1 << 20, &memory, err);
    if (rc == 0 && command_value(command, "memory") && (!memory || memory % ((uint64_t)4 << 20)))
        rc = err_set(err, -EINVAL, "--memory: give a multiple of 4 MB");
    if (rc == 0)
        rc = add_firmware(command, spec, err);
    if (rc == 0)
        rc = add_lines(command, spec, err);
    if (rc < 0)
        return rc;
    if (cpus)
        (void)json_object_set_new(spec, "numCPUs", json_integer(cpus));
    if (memory)
        (void)json_object_set_new(spec, "memoryMB", json_integer((json_int_t)(memory >> 20)));
    if (guest)
        (void)json_object_set_new(spec, "guestId", json_string(guest));
    if (note)
        (void)json_object_set_new(spec, "annotation", json_string(note));
    *ret_spec = TAKE_PTR(spec);
    return 0;
}

json_t *spec_change(const char *operation, json_t *device)
{
    return json_pack("{s:s, s:o}", "operation", operation, "device", device);
}

json_t *spec_scsi(int key)
{
    return spec_change("add",
                       json_pack("{s:s, s:i, s:i, s:s}", "_typeName", "ParaVirtualSCSIController",
                                 "key", key, "busNumber", 0, "sharedBus", "noSharing"));
}

json_t *spec_sata(int key)
{
    return spec_change("add", json_pack("{s:s, s:i, s:i}", "_typeName", "VirtualAHCIController",
                                        "key", key, "busNumber", 0));
}

/* `file` NULL: a new one, named by the host; size is its own then. */
json_t *spec_disk(uint64_t size, const char *file, int controller, int key, bool eager)
{
    json_t *backing =
        json_pack("{s:s, s:s, s:s, s:b, s:b}", "_typeName", "VirtualDiskFlatVer2BackingInfo",
                  "fileName", file ? file : "", "diskMode", "persistent", "thinProvisioned", !eager,
                  "eagerlyScrub", eager);
    json_t *disk = json_pack("{s:s, s:i, s:i, s:I, s:o}", "_typeName", "VirtualDisk", "key", key,
                             "controllerKey", controller, "capacityInKB", (json_int_t)(size >> 10),
                             "backing", backing);
    json_t *change = spec_change("add", disk);

    if (!file)
        (void)json_object_set_new(change, "fileOperation", json_string("create"));
    return change;
}

json_t *spec_nic(const char *network, const char *model, const char *mac, int key)
{
    json_t *card = json_pack("{s:s, s:i, s:s, s:{s:s, s:s}}", "_typeName", model, "key", key,
                             "addressType", mac ? "manual" : "generated", "backing", "_typeName",
                             "VirtualEthernetCardNetworkBackingInfo", "deviceName", network);

    if (mac)
        (void)json_object_set_new(card, "macAddress", json_string(mac));
    return spec_change("add", card);
}

json_t *spec_cdrom(const char *file, int controller, int key)
{
    json_t *connectable =
        json_pack("{s:b, s:b, s:b}", "startConnected", 1, "connected", 1, "allowGuestControl", 1);
    json_t *backing =
        *file ? json_pack("{s:s, s:s}", "_typeName", "VirtualCdromIsoBackingInfo", "fileName", file)
              : json_pack("{s:s, s:s}", "_typeName", "VirtualCdromRemotePassthroughBackingInfo",
                          "deviceName", "");
    if (!*file)
        (void)json_object_set_new(backing, "exclusive", json_false());

    return spec_change("add", json_pack("{s:s, s:i, s:i, s:o, s:o}", "_typeName", "VirtualCdrom",
                                        "key", key, "controllerKey", controller, "backing", backing,
                                        "connectable", connectable));
}
