/* SPDX-License-Identifier: Apache-2.0 */
/* Folder: the five fixed ones of a lone host. They can not be made, moved or removed here; what can
 * be made in one (VMs) is in vm_create.c. */
#include "base/range.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/inventory.h"
#include "hostd/model/virtual_machine.h"

static struct vim_any get_child_type(struct mo *mo, struct call *call)
{
    VIM_LIST(const char *) list = {0};

    VIM_ADD(call->arena, &list, ENTITY_OF(folder, mo)->child->name);
    return VIM_ANY_LIST(VIM_TYPENAME, 0, &list);
}

static struct vim_any get_child_entity(struct mo *mo, struct call *call)
{
    return inventory_refs(call, VIM_MANAGED(ManagedEntity), &ENTITY_OF(folder, mo)->e);
}

static const struct mo_property properties[] = {
    MO_PROPERTY(Folder, childType, get_child_type),
    MO_PROPERTY(Folder, childEntity, get_child_entity),
};
static const struct mo_method methods[] = {
    MO_METHOD(CreateVM_Task, vm_create),
    MO_METHOD(RegisterVM_Task, vm_register),
};
const struct mo_class folder_class = {
    .type = VIM_MANAGED(Folder),
    .base = &entity_class,
    .props = properties,
    .methods = methods,
    .prop_count = ARRAY_SIZE(properties),
    .method_count = ARRAY_SIZE(methods),
};
