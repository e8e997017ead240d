/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/vm_access.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/range.h"
#include "config/nvram.h"
#include "config/vmcfg.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/network.h"

/* --- networks --- */

bool vm_access_network(struct call *call, const char *name)
{
    struct inventory *inventory = hostd_of(call)->inventory;
    struct entity *there = inventory_find(inventory, VIM_MANAGED(Network), name);
    struct entity *network = network_find(call, name);

    if (network)
        return call_authorize(call, &network->mo, "Network.Assign") == 0;
    if (!there &&
        call->api->ops->authorize(call, &inventory->network_folder.e.mo, "Network.Assign") == 0)
        return true;
    CALL_FAULT_TEXT(call, InvalidVmConfig, "The network \"%s\" is not there.", name);
    return false;
}

static const char *card_network(const struct vmxfile *vmx, unsigned number)
{
    const char *name;
    bool present = false;
    char key[40];

    (void)snprintf(key, sizeof key, "ethernet%u.present", number);
    if (!vmx || vmxfile_get_bool(vmx, key, &present, NULL) < 0 || !present)
        return NULL;
    (void)snprintf(key, sizeof key, "ethernet%u.networkName", number);
    name = vmxfile_get(vmx, key);
    return name && *name ? name : NETWORK_DEFAULT;
}

static bool new_cards(struct call *call, const struct vmxfile *vmx, const struct vmxfile *before)
{
    for (unsigned i = 0; i < VMCFG_NICS_MAX; i++) {
        const char *name = card_network(vmx, i), *was = card_network(before, i);
        if (name && !(was && !strcmp(was, name)) && !vm_access_network(call, name))
            return false;
    }
    return true;
}

bool vm_access_cards(struct call *call, const struct vmxfile *vmx)
{
    return new_cards(call, vmx, NULL);
}

/* --- files --- */

/* What the VM does with the file that a key names; NULL: it names none. */
static const char *privilege_of(const char *key)
{
    static const char *const reads[] = {"socle.kernel", "socle.initrd"};
    static const char *const writes[] = {"nvram", NVRAM_OWN_KEY, "checkpoint.vmState",
                                         "socle.firmwareLog"};
    const char *dot = strrchr(key, '.');

    for (unsigned i = 0; i < ARRAY_SIZE(reads); i++)
        if (!strcasecmp(key, reads[i]))
            return "Datastore.Browse";
    for (unsigned i = 0; i < ARRAY_SIZE(writes); i++)
        if (!strcasecmp(key, writes[i]))
            return "Datastore.FileManagement";
    if (!dot || strcasecmp(dot, ".fileName") != 0)
        return NULL;
    return memchr(key, ':', (size_t)(dot - key)) ? "Datastore.Browse" : "Datastore.FileManagement";
}

static bool new_files(struct call *call, const struct virtual_machine *vm,
                      const struct vmxfile *vmx, const struct vmxfile *before)
{
    const char *key;
    size_t at = 0;

    while ((key = vmxfile_next_key(vmx, &at))) {
        const char *priv = privilege_of(key), *name = vmxfile_get(vmx, key);
        const char *was = before ? vmxfile_get(before, key) : NULL;
        struct dspath path;
        if (!priv || !*name || (was && !strcmp(was, name)))
            continue;
        /* A name that leads to no datastore starts no VM (vm_read_config). */
        struct datastore *datastore = vm_file(vm, name, &path);
        if (datastore && datastore != vm->datastore &&
            !datastore_may(call, datastore, arena_strdup(call->arena, name), priv))
            return false;
    }
    return true;
}

bool vm_access_all(struct call *call, const struct virtual_machine *vm, const struct vmxfile *vmx,
                   const struct vmxfile *before)
{
    return new_cards(call, vmx, before) && new_files(call, vm, vmx, before);
}
