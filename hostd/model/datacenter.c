/* SPDX-License-Identifier: Apache-2.0 */
/* Datacenter ha-datacenter. */
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/inventory.h"
#include "hostd/model/virtual_machine.h"

#define FOLDER_GETTER(name, id)                                  \
    static struct vim_any name(struct mo *mo, struct call *call) \
    {                                                            \
        (void)mo;                                                \
        (void)call;                                              \
        return vim_any_ref(VIM_REF(Folder, id));                 \
    }
FOLDER_GETTER(get_vm_folder, "ha-folder-vm")
FOLDER_GETTER(get_host_folder, "ha-folder-host")
FOLDER_GETTER(get_datastore_folder, "ha-folder-datastore")
FOLDER_GETTER(get_network_folder, "ha-folder-network")

static struct vim_any get_configuration(struct mo *mo, struct call *call)
{
    (void)mo;
    return vim_any_data(VIM_NEW(call->arena, DatacenterConfigInfo));
}

static const struct mo_property properties[] = {
    MO_PROPERTY(Datacenter, vmFolder, get_vm_folder),
    MO_PROPERTY(Datacenter, hostFolder, get_host_folder),
    MO_PROPERTY(Datacenter, datastoreFolder, get_datastore_folder),
    MO_PROPERTY(Datacenter, networkFolder, get_network_folder),
    MO_PROPERTY(Datacenter, datastore, inventory_get_datastores),
    MO_PROPERTY(Datacenter, network, inventory_get_networks),
    MO_PROPERTY(Datacenter, configuration, get_configuration),
};
static const struct mo_method methods[] = {
    MO_METHOD(PowerOnMultiVM_Task, vm_power_on_many),
};
const struct mo_class datacenter_class = {
    .type = VIM_MANAGED(Datacenter),
    .base = &entity_class,
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
