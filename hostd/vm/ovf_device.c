/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/ovf_device.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/range.h"

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
