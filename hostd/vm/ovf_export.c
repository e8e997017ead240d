/* SPDX-License-Identifier: Apache-2.0 */
/* The children of an Item stand in the order of their names, as CIM's schema wants them. */
#include "hostd/vm/ovf_export.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/range.h"
#include "config/nvram.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/ovf/ovf.h"
#include "hostd/snapshot/vm_snapshot.h"
#include "hostd/vm/ovf_device.h"

#define VMDK_FORMAT "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"

enum { ITEMS_MAX = 256 };

struct export
{
    struct call *call;
    struct buf out;
    const struct virtual_machine *vm;
    struct vim_VirtualMachineConfigInfo *config;
    const struct vim_OvfCreateDescriptorParams *params;
    struct {
        int32_t key; /* of a controller */
        unsigned instance;
    } known[ITEMS_MAX];
    unsigned known_count, instances, files, disks, first_image; /* a file's number */
};

/* --- XML --- */

static void put_text(struct export *x, const char *text)
{
    for (; text && *text; text++)
        if (strchr("<>&\"", *text) || (unsigned char)*text < ' ')
            buf_printf(&x->out, "&#%u;", (unsigned char)*text);
        else
            buf_put_u8(&x->out, (uint8_t)*text);
}

static void put(struct export *x, const char *name, const char *text)
{
    if (!text)
        return;
    buf_printf(&x->out, "<%s>", name);
    put_text(x, text);
    buf_printf(&x->out, "</%s>", name);
}

static void put_number(struct export *x, const char *name, int64_t number)
{
    if (number >= 0)
        buf_printf(&x->out, "<%s>%" PRId64 "</%s>", name, number, name);
}

struct item {
    const char *name, *units, *connection, *host, *sub_type;
    int64_t address, unit, quantity; /* -1: not said */
    int connected;                   /* -1: not said */
    unsigned instance, parent, type; /* parent 0: none */
};

static void put_item(struct export *x, const struct item *item)
{
    buf_put_str(&x->out, "<Item>");
    put_number(x, "rasd:Address", item->address);
    put_number(x, "rasd:AddressOnParent", item->unit);
    put(x, "rasd:AllocationUnits", item->units);
    if (item->connected >= 0)
        put(x, "rasd:AutomaticAllocation", item->connected ? "true" : "false");
    put(x, "rasd:Connection", item->connection);
    put(x, "rasd:ElementName", item->name);
    put(x, "rasd:HostResource", item->host);
    put_number(x, "rasd:InstanceID", item->instance);
    put_number(x, "rasd:Parent", item->parent ? (int64_t)item->parent : -1);
    put(x, "rasd:ResourceSubType", item->sub_type);
    put_number(x, "rasd:ResourceType", item->type);
    put_number(x, "rasd:VirtualQuantity", item->quantity);
    buf_put_str(&x->out, "</Item>\n");
}

static struct item new_item(struct export *x, unsigned type, const char *name)
{
    return (struct item){.type = type,
                         .name = name,
                         .instance = ++x->instances,
                         .address = -1,
                         .unit = -1,
                         .quantity = -1,
                         .connected = -1};
}

/* --- files and disks --- */

static const struct vim_OvfFile *file_named(const struct export *x, const char *id)
{
    for (size_t i = 0; i < x->params->ovfFiles.count; i++)
        if (!strcmp(x->params->ovfFiles.items[i]->deviceId, id))
            return x->params->ovfFiles.items[i];
    return NULL;
}

/* What the client calls the file that has this drive's content; NULL: it has none of it. */
static const struct vim_OvfFile *file_of(struct export *x, int32_t key)
{
    char slot[16];

    return vm_slot_of_key(key, slot)
               ? file_named(x, ovf_device_id(x->call->arena, x->vm->e.name, x->vm->vmx, slot))
               : NULL;
}

static const struct vim_OvfFile *nvram_of(struct export *x)
{
    return file_named(x, ovf_nvram_id(x->call->arena, x->vm->e.name));
}

#define EACH_DISK(x, disk)                                                            \
    for (size_t i_ = 0; i_ < (x)->config->hardware->device.count; i_++)               \
        if (!((disk) = VIM_AS(VirtualDisk, (x)->config->hardware->device.items[i_]))) \
            continue;                                                                 \
        else

static void put_file(struct export *x, const struct vim_OvfFile *file)
{
    if (!file)
        return;
    buf_put_str(&x->out, "<File ovf:href=\"");
    put_text(x, file->path);
    buf_printf(&x->out, "\" ovf:id=\"file%u\" ovf:size=\"%" PRId64 "\"/>\n", ++x->files,
               file->size);
}

/* Disks, then CDs, then variables: file1, file2 ... */
static void put_references(struct export *x)
{
    struct vim_VirtualHardware *hardware = x->config->hardware;
    const struct vim_VirtualDisk *disk;

    buf_put_str(&x->out, "<References>\n");
    EACH_DISK(x, disk)
    put_file(x, file_of(x, disk->key));
    x->first_image = x->files + 1;
    for (size_t i = 0; i < hardware->device.count; i++)
        if (VIM_AS(VirtualCdrom, hardware->device.items[i]))
            put_file(x, file_of(x, hardware->device.items[i]->key));
    put_file(x, nvram_of(x));
    buf_put_str(&x->out, "</References>\n");
}

static void put_disks(struct export *x)
{
    const struct vim_VirtualDisk *disk;
    unsigned files = 0;

    buf_put_str(&x->out, "<DiskSection><Info>Virtual disk information</Info>\n");
    EACH_DISK(x, disk)
    {
        const struct vim_OvfFile *file = file_of(x, disk->key);
        int64_t bytes =
            disk->capacityInBytes.set ? disk->capacityInBytes.v : disk->capacityInKB * 1024;
        buf_printf(&x->out,
                   "<Disk ovf:capacity=\"%" PRId64
                   "\" ovf:capacityAllocationUnits=\"byte\" ovf:diskId=\"vmdisk%u\"",
                   bytes, ++x->disks);
        if (file)
            buf_printf(&x->out, " ovf:fileRef=\"file%u\"", ++files);
        if (file && file->populatedSize.set)
            buf_printf(&x->out, " ovf:populatedSize=\"%" PRId64 "\"", file->populatedSize.v);
        buf_put_str(&x->out, " ovf:format=\"" VMDK_FORMAT "\"/>\n");
    }
    buf_put_str(&x->out, "</DiskSection>\n");
}

/* --- networks --- */

static const char *network_of(const struct vim_VirtualDevice *device)
{
    const struct vim_VirtualEthernetCard *card = VIM_AS(VirtualEthernetCard, device);
    const struct vim_VirtualEthernetCardNetworkBackingInfo *backing =
        card ? VIM_AS(VirtualEthernetCardNetworkBackingInfo, card->backing) : NULL;

    return backing ? backing->deviceName : NULL;
}

static void put_networks(struct export *x)
{
    struct vim_VirtualHardware *hardware = x->config->hardware;

    buf_put_str(&x->out, "<NetworkSection><Info>The list of logical networks</Info>\n");
    for (size_t i = 0; i < hardware->device.count; i++) {
        const char *name = network_of(hardware->device.items[i]);
        bool again = false;
        for (size_t j = 0; name && j < i; j++) {
            const char *other = network_of(hardware->device.items[j]);
            again |= other && !strcmp(other, name);
        }
        if (!name || again)
            continue;
        buf_put_str(&x->out, "<Network ovf:name=\"");
        put_text(x, name);
        buf_put_str(&x->out, "\"><Description>The ");
        put_text(x, name);
        buf_put_str(&x->out, " network</Description></Network>\n");
    }
    buf_put_str(&x->out, "</NetworkSection>\n");
}

/* --- hardware --- */

static void know(struct export *x, int32_t key, unsigned instance)
{
    if (x->known_count == ITEMS_MAX)
        return;
    x->known[x->known_count].key = key;
    x->known[x->known_count++].instance = instance;
}

static unsigned instance_of(const struct export *x, const struct vim_VirtualDevice *device)
{
    for (unsigned i = 0; device->controllerKey.set && i < x->known_count; i++)
        if (x->known[i].key == device->controllerKey.v)
            return x->known[i].instance;
    return 0;
}

static bool describe_controller(const struct vim_VirtualDevice *device, struct item *item)
{
    static const struct {
        uint16_t class;
        unsigned type;
        const char *sub_type;
    } kinds[] = {
        {VIM_T_ParaVirtualSCSIController, OVF_SCSI, "VirtualSCSI"},
        {VIM_T_VirtualLsiLogicSASController, OVF_SCSI, "lsilogicsas"},
        {VIM_T_VirtualBusLogicController, OVF_SCSI, "buslogic"},
        {VIM_T_VirtualLsiLogicController, OVF_SCSI, "lsilogic"},
        {VIM_T_VirtualIDEController, OVF_IDE, NULL},
        {VIM_T_VirtualAHCIController, OVF_STORAGE, "vmware.sata.ahci"},
        {VIM_T_VirtualNVMEController, OVF_STORAGE, "vmware.nvme.controller"},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        if (device->self.type == &vim_types[kinds[i].class]) {
            item->type = kinds[i].type;
            item->sub_type = kinds[i].sub_type;
            return true;
        }
    return false;
}

static void put_controllers(struct export *x)
{
    struct vim_VirtualHardware *hardware = x->config->hardware;

    for (size_t i = 0; i < hardware->device.count; i++) {
        struct vim_VirtualDevice *device = hardware->device.items[i];
        const struct vim_VirtualController *controller = VIM_AS(VirtualController, device);
        struct item item = {0};
        if (!controller || !describe_controller(device, &item))
            continue;
        struct item out = new_item(x, item.type, device->deviceInfo->label);
        out.sub_type = item.sub_type;
        out.address = controller->busNumber;
        know(x, device->key, out.instance);
        put_item(x, &out);
    }
}

static const char *card_model(const struct vim_VirtualDevice *device)
{
    return VIM_AS(VirtualVmxnet3, device)   ? "VmxNet3"
           : VIM_AS(VirtualE1000e, device)  ? "E1000e"
           : VIM_AS(VirtualPCNet32, device) ? "PCNet32"
                                            : "E1000";
}

static void put_drive(struct export *x, const struct vim_VirtualDevice *device, unsigned type,
                      const char *host)
{
    struct item item = new_item(x, type, device->deviceInfo->label);

    item.parent = instance_of(x, device);
    item.unit = device->unitNumber.set ? device->unitNumber.v : -1;
    item.host = host;
    if (type == OVF_CD) {
        item.connected = host && device->connectable ? device->connectable->startConnected : false;
        item.sub_type = host ? "vmware.cdrom.iso" : "vmware.cdrom.remotepassthrough";
    }
    put_item(x, &item);
}

static void put_devices(struct export *x)
{
    struct vim_VirtualHardware *hardware = x->config->hardware;
    unsigned disks = 0, image = x->first_image;

    for (size_t i = 0; i < hardware->device.count; i++) {
        struct vim_VirtualDevice *device = hardware->device.items[i];
        if (VIM_AS(VirtualDisk, device))
            put_drive(x, device, OVF_DISK,
                      arena_printf(x->call->arena, "ovf:/disk/vmdisk%u", ++disks));
        if (VIM_AS(VirtualCdrom, device))
            put_drive(x, device, OVF_CD,
                      file_of(x, device->key)
                          ? arena_printf(x->call->arena, OVF_FILE_REFERENCE "file%u", image++)
                          : NULL);
        if (!network_of(device))
            continue;
        struct item item = new_item(x, OVF_ETHERNET, device->deviceInfo->label);
        item.connection = network_of(device);
        item.connected = !device->connectable || device->connectable->startConnected;
        item.sub_type = card_model(device);
        put_item(x, &item);
    }
}

static void put_cpu_and_memory(struct export *x)
{
    struct vim_VirtualHardware *hardware = x->config->hardware;
    struct item cpu = new_item(x, OVF_CPU, "Virtual CPUs");
    struct item memory = new_item(x, OVF_MEMORY, "Memory");

    cpu.units = "hertz * 10^6";
    cpu.quantity = hardware->numCPU;
    put_item(x, &cpu);
    memory.units = "byte * 2^20";
    memory.quantity = hardware->memoryMB;
    put_item(x, &memory);
}

static bool wants_extra(const struct export *x)
{
    for (size_t i = 0; i < x->params->exportOption.count; i++)
        if (!strcmp(x->params->exportOption.items[i], "extraconfig"))
            return true;
    return false;
}

static void put_pair(struct export *x, const char *element, const char *key, const char *value)
{
    buf_printf(&x->out, "<vmw:%s ovf:required=\"false\" vmw:key=\"", element);
    put_text(x, key);
    buf_put_str(&x->out, "\" vmw:value=\"");
    put_text(x, value);
    buf_put_str(&x->out, "\"/>\n");
}

static void put_config(struct export *x)
{
    const struct vim_VirtualMachineConfigInfo *config = x->config;

    put_pair(x, "Config", "firmware", config->firmware);
    if (config->bootOptions && config->bootOptions->efiSecureBootEnabled.set &&
        config->bootOptions->efiSecureBootEnabled.v)
        put_pair(x, "Config", "bootOptions.efiSecureBootEnabled", "true");
    if (nvram_of(x))
        put_pair(x, "ExtraConfig", "nvram",
                 arena_printf(x->call->arena, OVF_FILE_REFERENCE "file%u", x->files));
    for (size_t i = 0; wants_extra(x) && i < config->extraConfig.count; i++) {
        const struct vim_OptionValue *option = config->extraConfig.items[i];
        if (option->value.shape.kind == VIM_STRING && strcmp(option->key, "nvram") != 0 &&
            strcmp(option->key, NVRAM_OWN_KEY) != 0)
            put_pair(x, "ExtraConfig", option->key, option->value.str);
    }
}

static void put_system(struct export *x, const char *name)
{
    const struct vim_VirtualMachineConfigInfo *config = x->config;
    const char *note = x->params->description ? x->params->description : config->annotation;

    buf_put_str(&x->out, "<VirtualSystem ovf:id=\"");
    put_text(x, name);
    buf_put_str(&x->out, "\">\n<Info>A virtual machine</Info>\n");
    put(x, "Name", name);
    if (note && *note) {
        buf_put_str(&x->out, "<AnnotationSection><Info>A human-readable annotation</Info>");
        put(x, "Annotation", note);
        buf_put_str(&x->out, "</AnnotationSection>\n");
    }
    buf_printf(&x->out, "<OperatingSystemSection ovf:id=\"%d\" vmw:osType=\"%s\">",
               strstr(config->guestId, "64") ? 102 : 1, config->guestId);
    buf_put_str(&x->out, "<Info>The kind of installed guest operating system</Info>");
    put(x, "Description", config->guestFullName);
    buf_put_str(&x->out, "</OperatingSystemSection>\n<VirtualHardwareSection>\n"
                         "<Info>Virtual hardware requirements</Info>\n<System>"
                         "<vssd:ElementName>Virtual Hardware Family</vssd:ElementName>"
                         "<vssd:InstanceID>0</vssd:InstanceID>");
    put(x, "vssd:VirtualSystemIdentifier", name);
    put(x, "vssd:VirtualSystemType", config->version);
    buf_put_str(&x->out, "</System>\n");
    put_cpu_and_memory(x);
    put_controllers(x);
    put_devices(x);
    put_config(x);
    buf_put_str(&x->out, "</VirtualHardwareSection>\n</VirtualSystem>\n");
}

static const char *write_all(struct export *x)
{
    static const char head[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                               "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" "
                               "xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" "
                               "xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
                               "CIM_ResourceAllocationSettingData\" "
                               "xmlns:vssd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
                               "CIM_VirtualSystemSettingData\" "
                               "xmlns:vmw=\"http://www.vmware.com/schema/ovf\">\n";

    buf_put_str(&x->out, head);
    put_references(x);
    put_disks(x);
    put_networks(x);
    put_system(x, x->params->name && *x->params->name ? x->params->name : x->vm->e.name);
    buf_put_str(&x->out, "</Envelope>\n");
    const char *text = arena_strdup(x->call->arena, buf_cstr(&x->out));
    buf_free(&x->out);
    return text;
}

const char *ovf_export(struct call *call, struct mo *mo,
                       const struct vim_OvfCreateDescriptorParams *params)
{
    struct export x = {.call = call, .params = params, .vm = vm_of(mo)};
    struct virtual_machine *then = NULL;

    if (params->snapshot.id) {
        struct mo *snapshot =
            call_resolve_as(call, params->snapshot, VIM_MANAGED(VirtualMachineSnapshot));
        if (!snapshot)
            return NULL;
        then = vm_at_snapshot(snapshot);
        x.vm = then;
    }
    x.config = x.vm ? vm_config_info(call->arena, x.vm) : NULL;
    if (!x.config)
        CALL_FAULT(call, InvalidState);
    const char *text = x.config ? write_all(&x) : NULL;
    vm_at_snapshot_free(then);
    return text;
}
