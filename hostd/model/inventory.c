/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/model/inventory.h"
#include "hostd/datastore/unfinished.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/range.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/classes.h"
#include "hostd/model/datastore.h"
#include "hostd/model/host_network.h"
#include "hostd/model/network.h"
#include "hostd/model/resource_pool.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/vm/vm_coming.h"

enum { FILE_MAX = 16 << 20 };

static const struct {
    const struct mo_class *class;
    const char *id;
} singles[] = {
    {&service_instance_class, "ServiceInstance"},
    {&session_manager_class, "ha-sessionmgr"},
    {&task_manager_class, "ha-taskmgr"},
    {&event_manager_class, "ha-eventmgr"},
    {&perf_manager_class, "ha-perfmgr"},
    {&authorization_manager_class, "ha-authmgr"},
    {&local_account_manager_class, "ha-localacctmgr"},
    {&user_directory_class, "ha-user-directory"},
    {&search_index_class, "ha-searchindex"},
    {&option_manager_class, "HostAgentSettings"},
    {&option_manager_class, "ha-adv-options"},
    {&license_manager_class, "ha-license-manager"},
    {&license_assignment_manager_class, "ha-license-assignment-manager"},
    {&file_manager_class, "ha-nfc-file-manager"},
    {&virtual_disk_manager_class, "ha-vdiskmanager"},
    {&ovf_manager_class, "ha-ovf-manager"},
    {&environment_browser_class, "ha-env-browser"},
    {&host_network_system_class, "networkSystem"},
    {&host_virtual_nic_manager_class, "ha-vnic-mgr"},
    {&host_service_system_class, "serviceSystem"},
    {&host_firewall_system_class, "firewallSystem"},
    {&host_date_time_system_class, "dateTimeSystem"},
    {&host_health_status_system_class, "healthStatusSystem"},
    {&host_image_config_manager_class, "ha-image-config-manager"},
    {&host_access_manager_class, "ha-host-access-manager"},
    {&host_power_system_class, "ha-power-system"},
    {&host_vsan_system_class, "vsanSystem"},
    {&host_certificate_manager_class, "ha-certificate-manager"},
    {&managed_method_executer_class, "ha-managed-method-executer"},
    {&dynamic_type_manager_class, "ha-dynamic-type-manager"},
    {&diagnostic_manager_class, "ha-diagnosticmgr"},
    {&service_manager_class, "ha-servicemanager"},
    {&host_autostart_manager_class, "ha-autostart-mgr"},
    {&host_datastore_system_class, "ha-datastoresystem"},
    {&host_storage_system_class, "storageSystem"},
    {&datastore_browser_class, "ha-host-datastorebrowser"},
    {&host_cpu_scheduler_class, "cpuSchedulerSystem"},
    {&host_memory_class, "memoryManagerSystem"},
    {&host_kernel_module_class, "kernelModuleSystem"},
    {&host_snmp_class, "ha-snmp-agent"},
    {&host_authentication_class, "ha-auth-manager"},
    {&host_local_authentication_class, "ha-local-auth"},
    {&host_directory_class, "ha-ad-auth"},
    {&host_passthrough_class, "ha-pcipassthrusystem"},
    {&host_graphics_class, "ha-graphics-manager"},
    {&host_cache_class, "ha-cache-configuration-manager"},
    {&host_vmotion_class, "ha-vmotion-system"},
    {&host_diagnostic_class, "diagnosticsystem"},
    {&host_boot_device_class, "ha-boot-device-system"},
    {&host_iscsi_class, "iscsiManager"},
    {&localization_manager_class, "ha-l10n-manager"},
    {&crypto_manager_class, "ha-crypto-manager"},
    {&vstorage_object_manager_class, "ha-vstorage-object-manager"},
    {&storage_resource_manager_class, "ha-storage-resource-manager"},
    {&dvs_manager_class, "ha-dvsmanager"},
    {&guest_auth_manager_class, "ha-guest-operations-auth-manager"},
    {&guest_file_manager_class, "ha-guest-operations-file-manager"},
    {&guest_process_manager_class, "ha-guest-operations-process-manager"},
    {&guest_registry_manager_class, "ha-guest-operations-windows-registry-manager"},
    {&guest_alias_manager_class, "ha-guest-operations-alias-manager"},
    {&datastore_namespace_manager_class, "ha-datastore-namespace-manager"},
    {&guest_operations_manager_class, "ha-guest-operations-manager"},
};

/* --- the file --- */

static int random_uuid(char text[37])
{
    uint8_t b[16];

    if (getrandom(b, sizeof b, 0) != sizeof b)
        return -errno;
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    for (unsigned i = 0, at = 0; i < 16; i++) {
        at += (unsigned)snprintf(text + at, 37 - at, "%02x", b[i]);
        if (i == 3 || i == 5 || i == 7 || i == 9)
            text[at++] = '-';
    }
    return 0;
}

static json_t *datastores_to_json(struct inventory *inventory)
{
    json_t *list = json_array();

    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(Datastore), e));)
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:b}", "id", e->id, "name", e->name, "marked",
                            ((const struct datastore *)(const void *)e)->marked));
    return list;
}

static json_t *vms_to_json(struct inventory *inventory)
{
    json_t *list = json_array();

    for (struct entity *e = NULL; (e = inventory_next(inventory, VIM_MANAGED(VirtualMachine), e));)
        if (!vm_of(&e->mo)->unfinished)
            (void)json_array_append_new(list, vm_to_json(vm_of(&e->mo)));
    return list;
}

int inventory_save(struct inventory *inventory, struct err *err)
{
    json_t *root = json_pack("{s:s, s:i, s:i, s:o, s:o, s:o}", "hostUuid", inventory->host_uuid,
                             "nextVm", (int)inventory->next_vm, "nextPool",
                             (int)inventory->next_pool, "datastores", datastores_to_json(inventory),
                             "vms", vms_to_json(inventory), "pools", pools_to_json(inventory));
    cleanup_free char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;

    json_decref(root);
    int rc = text ? file_replace(inventory->hostd->root_fd, INVENTORY_FILE, 0600, text,
                                 strlen(text), err)
                  : err_sys(err, -ENOMEM, "inventory");
    vm_coming_arrived(inventory); /* also if it was in vain: the VM is there, and its files stay */
    return rc;
}

/* --- walking --- */

struct entity *inventory_root(struct inventory *inventory)
{
    return &inventory->root.e;
}

struct entity *inventory_next(struct inventory *inventory, const struct vim_managed *type,
                              struct entity *entity)
{
    struct mo *mo = mo_next(inventory->hostd->api.registry, type, entity ? &entity->mo : NULL);

    return (struct entity *)(void *)mo;
}

struct entity *inventory_find(struct inventory *inventory, const struct vim_managed *type,
                              const char *name)
{
    for (struct entity *e = NULL; (e = inventory_next(inventory, type, e));)
        if (!strcmp(e->name, name))
            return e;
    return NULL;
}

struct vim_any inventory_refs(struct call *call, const struct vim_managed *type,
                              const struct entity *parent)
{
    VIM_LIST(struct vim_ref) list = {0};
    struct inventory *inventory = hostd_of(call)->inventory;

    for (struct entity *e = NULL; (e = inventory_next(inventory, type, e));)
        if ((!parent || e->parent == parent) && entity_visible(call, &e->mo))
            VIM_ADD(call->arena, &list, mo_ref(&e->mo));
    if (!list.items)
        VIM_EMPTY(&list);
    return VIM_ANY_LIST(VIM_REF, (unsigned)(type - vim_managed), &list);
}

struct vim_any inventory_get_hosts(struct mo *mo, struct call *call)
{
    (void)mo;
    return inventory_refs(call, VIM_MANAGED(HostSystem), NULL);
}

struct vim_any inventory_get_vms(struct mo *mo, struct call *call)
{
    (void)mo;
    return inventory_refs(call, VIM_MANAGED(VirtualMachine), NULL);
}

struct vim_any inventory_get_datastores(struct mo *mo, struct call *call)
{
    (void)mo;
    return inventory_refs(call, VIM_MANAGED(Datastore), NULL);
}

struct vim_any inventory_get_networks(struct mo *mo, struct call *call)
{
    (void)mo;
    return inventory_refs(call, VIM_MANAGED(Network), NULL);
}

/* --- creation --- */

static int add_folder(struct inventory *inventory, struct folder *folder, const char *id,
                      const char *name, struct entity *parent, const struct vim_managed *child)
{
    folder->child = child;
    return entity_add(inventory->hostd, &folder->e, &folder_class, id, name, parent);
}

static int add_tree(struct inventory *inventory)
{
    struct hostd *hostd = inventory->hostd;
    struct entity *dc = &inventory->datacenter, *root = &inventory->root.e;
    int rc = add_folder(inventory, &inventory->root, "ha-folder-root", "ha-folder-root", NULL,
                        VIM_MANAGED(Datacenter));

    if (rc == 0)
        rc = entity_add(hostd, dc, &datacenter_class, "ha-datacenter", "ha-datacenter", root);
    if (rc == 0)
        rc = add_folder(inventory, &inventory->vm_folder, "ha-folder-vm", "vm", dc,
                        VIM_MANAGED(VirtualMachine));
    if (rc == 0)
        rc = add_folder(inventory, &inventory->host_folder, "ha-folder-host", "host", dc,
                        VIM_MANAGED(ComputeResource));
    if (rc == 0)
        rc = add_folder(inventory, &inventory->datastore_folder, "ha-folder-datastore", "datastore",
                        dc, VIM_MANAGED(Datastore));
    if (rc == 0)
        rc = add_folder(inventory, &inventory->network_folder, "ha-folder-network", "network", dc,
                        VIM_MANAGED(Network));
    if (rc == 0)
        rc = entity_add(hostd, &inventory->compute, &compute_resource_class, "ha-compute-res",
                        inventory->machine.host_name, &inventory->host_folder.e);
    if (rc == 0)
        rc = entity_add(hostd, &inventory->host, &host_system_class, "ha-host",
                        inventory->machine.host_name, &inventory->compute);
    if (rc == 0)
        rc = resource_pool_add(inventory, "ha-root-pool", "Resources", &inventory->compute,
                               &inventory->root_pool);
    return rc;
}

static int add_singles(struct inventory *inventory)
{
    inventory->singles = calloc(ARRAY_SIZE(singles), sizeof *inventory->singles);
    for (unsigned i = 0; inventory->singles && i < ARRAY_SIZE(singles); i++) {
        struct mo *mo = &inventory->singles[i].mo;
        mo->class = singles[i].class;
        mo->id = singles[i].id;
        int rc = mo_add(inventory->hostd->api.registry, NULL, mo);
        if (rc < 0)
            return rc;
        inventory->single_count++;
    }
    return inventory->singles ? 0 : -ENOMEM;
}

static void read_identity(struct inventory *inventory, json_t *root)
{
    const char *uuid = json_string_value(json_object_get(root, "hostUuid"));
    json_int_t vm = json_integer_value(json_object_get(root, "nextVm"));
    json_int_t pool = json_integer_value(json_object_get(root, "nextPool"));

    if (uuid && strlen(uuid) == 36)
        (void)snprintf(inventory->host_uuid, sizeof inventory->host_uuid, "%s", uuid);
    inventory->next_vm = vm > 0 ? (unsigned)vm : 1;
    inventory->next_pool = pool > 0 ? (unsigned)pool : 1;
}

/* A VM whose files are gone stays registered, as one that cannot be used; that is told later. */
static int read_vms(struct inventory *inventory, json_t *list)
{
    json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        struct err err = ERR_INIT;
        int rc = vm_from_json(inventory, item, &err);
        if (rc == -ENOMEM)
            return rc;
        if (rc < 0)
            log_warn("a registered VM is left out: %s", err.text);
    }
    return 0;
}

static int populate(struct inventory *inventory, json_t *root, struct err *err)
{
    int rc = *inventory->host_uuid ? 0 : random_uuid(inventory->host_uuid);

    if (rc == 0)
        read_identity(inventory, root);
    machine_read(&inventory->machine, inventory->host_uuid);
    if (rc == 0)
        rc = add_tree(inventory);
    if (rc == 0)
        rc = add_singles(inventory);
    if (rc == 0)
        rc = datastores_scan(inventory, json_object_get(root, "datastores"), err);
    if (rc == 0)
        rc = host_network_sync(inventory->hostd);
    if (rc == 0)
        rc = pools_from_json(inventory, json_object_get(root, "pools"));
    if (rc == 0)
        rc = read_vms(inventory, json_object_get(root, "vms"));
    return rc;
}

/* On a full disk a host that is there already goes on with what it has read: how else could
 * somebody make room? */
static int save_first(struct inventory *inventory, bool was_there, struct err *err)
{
    struct err why = ERR_INIT;
    int rc = inventory_save(inventory, &why);

    if (rc == 0 || !was_there || (rc != -ENOSPC && rc != -EDQUOT))
        return rc < 0 ? err_set(err, rc, "%s", why.text) : 0;
    log_error("%s", why.text);
    return 0;
}

int inventory_create(struct hostd *hostd, struct inventory **ret_inventory, struct err *err)
{
    struct inventory *inventory = calloc(1, sizeof *inventory);
    cleanup_buf struct buf text = {0};
    json_t *root = NULL;

    if (!inventory)
        return err_sys(err, -ENOMEM, "inventory");
    inventory->hostd = hostd;
    hostd->inventory = inventory;
    int rc = file_load(hostd->root_fd, INVENTORY_FILE, FILE_MAX, &text, err);
    if (rc == 0 && !(root = json_loadb((const char *)text.data, text.len, 0, NULL)))
        rc = err_set(err, -EBADMSG, "\"%s\" is damaged", INVENTORY_FILE);
    if (rc == 0 || rc == -ENOENT)
        rc = populate(inventory, root, err);
    json_decref(root);
    if (rc == 0) {
        vms_destroy_rest(inventory);
        inventory->complete = true;
        unfinished_sweep(inventory);
        vm_coming_sweep(inventory);
        rc = save_first(inventory, text.len > 0, err);
    }
    *ret_inventory = inventory;
    return rc < 0 && !err->code ? err_sys(err, rc, "inventory") : rc;
}

void inventory_destroy(struct inventory *inventory)
{
    if (!inventory)
        return;
    vms_destroy(inventory);
    networks_destroy(inventory);
    datastores_destroy(inventory);
    pools_destroy(inventory);
    for (unsigned i = 0; i < inventory->single_count; i++)
        mo_remove(&inventory->singles[i].mo);
    free(inventory->singles);
    mo_remove(&inventory->host.mo);
    mo_remove(&inventory->compute.mo);
    mo_remove(&inventory->network_folder.e.mo);
    mo_remove(&inventory->datastore_folder.e.mo);
    mo_remove(&inventory->host_folder.e.mo);
    mo_remove(&inventory->vm_folder.e.mo);
    mo_remove(&inventory->datacenter.mo);
    mo_remove(&inventory->root.e.mo);
    free(inventory);
}
