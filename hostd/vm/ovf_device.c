/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/ovf_device.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/range.h"
#include "hostd/api/vim_types.gen.h"

const char *ovf_device_id(struct arena *arena, const char *vm_name, const struct vmxfile *vmx,
                          const char *slot)
{
    static const struct {
        const char *bus, *model, *class;
    } kinds[] = {
        {"scsi", "pvscsi", "ParaVirtualSCSIController"},
        {"scsi", "lsisas1068", "VirtualLsiLogicSASController"},
        {"scsi", "buslogic", "VirtualBusLogicController"},
        {"scsi", "", "VirtualLsiLogicController"},
        {"ide", "", "VirtualIDEController"},
        {"sata", "", "VirtualAHCIController"},
        {"nvme", "", "VirtualNVMEController"},
    };
    const char *place = slot + strcspn(slot, "0123456789");
    char key[48];

    (void)snprintf(key, sizeof key, "%.*s.virtualDev", (int)strcspn(slot, ":"), slot);
    const char *model = vmxfile_get(vmx, key);
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        if (!strncasecmp(slot, kinds[i].bus, strlen(kinds[i].bus)) &&
            (!*kinds[i].model || (model && !strcasecmp(model, kinds[i].model))))
            return arena_printf(arena, "/%s/%s%s", vm_name, kinds[i].class, place);
    return arena_printf(arena, "/%s/%s", vm_name, slot);
}

const char *ovf_nvram_id(struct arena *arena, const char *vm_name)
{
    return arena_printf(arena, "/%s/nvram", vm_name);
}

bool ovf_is_own_image(const char *file)
{
    return !strncmp(file, OVF_IMAGE_PREFIX, sizeof OVF_IMAGE_PREFIX - 1) && !strchr(file, '/');
}

bool ovf_next_image(const struct vmxfile *vmx, size_t *at, char slot[16])
{
    const char *key;

    while ((key = vmxfile_next_key(vmx, at))) {
        const char *dot = strchr(key, '.');
        if (!dot || strcasecmp(dot, ".deviceType") != 0 || dot - key >= 16 ||
            strcasecmp(vmxfile_get(vmx, key), "cdrom-image") != 0)
            continue;
        (void)snprintf(slot, 16, "%.*s", (int)(dot - key), key);
        return true;
    }
    return false;
}

bool ovf_is_nvram(const char *key, const char *value)
{
    return !strcmp(key, "nvram") && value &&
           !strncmp(value, OVF_FILE_REFERENCE, sizeof OVF_FILE_REFERENCE - 1);
}

bool ovf_wants_nvram(const struct vim_VirtualMachineConfigSpec *spec)
{
    for (size_t i = 0; spec && i < spec->extraConfig.count; i++) {
        const struct vim_OptionValue *option = spec->extraConfig.items[i];
        if (option->value.shape.kind == VIM_STRING && ovf_is_nvram(option->key, option->value.str))
            return true;
    }
    return false;
}
