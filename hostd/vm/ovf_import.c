/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/vm/ovf_import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/range.h"
#include "hostd/about.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/hostd.h"
#include "hostd/model/guest_os.h"
#include "hostd/model/inventory.h"
#include "hostd/model/network.h"
#include "hostd/vm/ovf_device.h"
#include "hostd/vm/vm_edit.h"

enum { CONTROLLERS_MAX = 16, HARDWARE_MAX = 21, CIM_DISK = 17 };

struct controller {
    const struct ovf_item *item; /* NULL: made for disks that have none */
    const char *class;           /* on the wire */
    int32_t key;
    int bus, units, reserved; /* reserved: the unit that is the controller itself, -1 none */
    uint32_t used;
};

struct import {
    struct call *call;
    struct arena *arena;
    struct ovf *ovf;
    const struct vim_OvfCreateImportSpecParams *params;
    struct vim_OvfCreateImportSpecResult *result;
    struct vim_VirtualMachineConfigSpec *spec;
    const char *name;
    struct controller controller[CONTROLLERS_MAX];
    unsigned controllers;
    int32_t next_key;
    bool thin, eager;
};

/* --- what is wrong --- */

static void unsupported(struct import *in, const struct ovf_item *item, const char *text)
{
    struct vim_OvfUnsupportedType *fault = VIM_NEW(in->arena, OvfUnsupportedType);
    struct vim_LocalizedMethodFault *said;

    fault->name = item->name;
    fault->instanceId = item->id;
    fault->deviceType = (int32_t)item->type;
    fault->lineNumber = vim_int((int32_t)item->line);
    said = fault_localized(
        in->arena, &fault->self,
        arena_printf(in->arena, "line %u: \"%s\": %s", item->line, item->name, text));
    if (item->required)
        VIM_ADD(in->arena, &in->result->error, said);
    else
        VIM_ADD(in->arena, &in->result->warning, said);
}

static void warn(struct import *in, const char *text)
{
    struct vim_OvfImport *fault = VIM_NEW(in->arena, OvfImport);

    VIM_ADD(in->arena, &in->result->warning, fault_localized(in->arena, &fault->self, text));
}

/* --- devices --- */

static void add_device(struct import *in, void *device, bool create)
{
    struct vim_VirtualDeviceConfigSpec *change = VIM_NEW(in->arena, VirtualDeviceConfigSpec);

    change->operation = VIM_VirtualDeviceConfigSpecOperation_add;
    if (create)
        change->fileOperation = VIM_VirtualDeviceConfigSpecFileOperation_create;
    change->device = device;
    VIM_ADD(in->arena, &in->spec->deviceChange, change);
}

static const struct vim_type *scsi_class(const char *models)
{
    static const struct {
        const char *model;
        uint16_t type;
    } known[] = {{"VirtualSCSI", VIM_T_ParaVirtualSCSIController},
                 {"pvscsi", VIM_T_ParaVirtualSCSIController},
                 {"lsilogicsas", VIM_T_VirtualLsiLogicSASController},
                 {"buslogic", VIM_T_VirtualBusLogicController}};

    for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
        if (strcasestr(models, known[i].model))
            return &vim_types[known[i].type];
    return VIM_TYPE(VirtualLsiLogicController);
}

static const struct vim_type *controller_class(const struct ovf_item *item)
{
    switch (item->type) {
    case OVF_IDE:
        return VIM_TYPE(VirtualIDEController);
    case OVF_SCSI:
        return scsi_class(item->sub_type);
    case OVF_STORAGE:
        return strcasestr(item->sub_type, "nvme")   ? VIM_TYPE(VirtualNVMEController)
               : strcasestr(item->sub_type, "ahci") ? VIM_TYPE(VirtualAHCIController)
               : strcasestr(item->sub_type, "sata") ? VIM_TYPE(VirtualAHCIController)
                                                    : NULL;
    default:
        return NULL;
    }
}

/* Controllers of one bus count from 0. */
static int next_bus(const struct import *in, const struct vim_type *class)
{
    bool scsi = vim_type_is(class, VIM_TYPE(VirtualSCSIController));
    int bus = 0;

    for (unsigned i = 0; i < in->controllers; i++) {
        const struct vim_type *other = vim_find_type(in->controller[i].class);
        bus += scsi ? vim_type_is(other, VIM_TYPE(VirtualSCSIController)) : other == class;
    }
    return bus;
}

static struct controller *add_controller(struct import *in, const struct ovf_item *item,
                                         const struct vim_type *class)
{
    bool scsi = vim_type_is(class, VIM_TYPE(VirtualSCSIController));
    bool ide = class == VIM_TYPE(VirtualIDEController);
    int bus = next_bus(in, class);

    if (in->controllers == CONTROLLERS_MAX || bus >= (ide ? 2 : 4))
        return NULL;
    struct controller *c = &in->controller[in->controllers++];
    *c = (struct controller){.item = item,
                             .class = class->name,
                             .key = in->next_key--,
                             .bus = bus,
                             .units = ide    ? 2
                                      : scsi ? 16
                                             : 15,
                             .reserved = scsi ? 7 : -1};
    struct vim_VirtualController *device = vim_new(in->arena, class);
    device->key = c->key;
    device->busNumber = bus;
    if (scsi)
        ((struct vim_VirtualSCSIController *)(void *)device)->sharedBus =
            VIM_VirtualSCSISharing_noSharing;
    add_device(in, device, false);
    return c;
}

static void read_controllers(struct import *in)
{
    for (const struct ovf_item *item = in->ovf->items; item; item = item->next) {
        if (item->type != OVF_IDE && item->type != OVF_SCSI && item->type != OVF_STORAGE)
            continue;
        const struct vim_type *class = controller_class(item);
        if (!class || !add_controller(in, item, class))
            unsupported(in, item, "this host has no such controller, or no room for it");
    }
}

static struct controller *controller_of(struct import *in, const struct ovf_item *item)
{
    for (unsigned i = 0; i < in->controllers; i++)
        if (in->controller[i].item && !strcmp(in->controller[i].item->id, item->parent))
            return &in->controller[i];
    if (*item->parent)
        return NULL;
    for (unsigned i = 0; i < in->controllers; i++)
        if (!in->controller[i].item)
            return &in->controller[i];
    return add_controller(in, NULL, VIM_TYPE(VirtualLsiLogicController));
}

/* -1: there is no room. */
static int place_on(struct controller *c, int wanted)
{
    if (wanted >= 0 && wanted < c->units && wanted != c->reserved && !(c->used >> wanted & 1)) {
        c->used |= 1u << wanted;
        return wanted;
    }
    for (int unit = 0; wanted < 0 && unit < c->units; unit++)
        if (unit != c->reserved && !(c->used >> unit & 1)) {
            c->used |= 1u << unit;
            return unit;
        }
    return -1;
}

/* `create`: clients send it by PUT, as it is. */
static void add_file(struct import *in, const char *device_id, int cim_type, bool create,
                     const struct ovf_file *file)
{
    struct vim_OvfFileItem *out = VIM_NEW(in->arena, OvfFileItem);

    out->deviceId = device_id;
    out->path = file->href;
    out->compressionMethod = *file->compression ? file->compression : NULL;
    if (file->chunk)
        out->chunkSize = vim_long((int64_t)file->chunk);
    if (file->size)
        out->size = vim_long((int64_t)file->size);
    out->cimType = cim_type;
    out->create = create;
    VIM_ADD(in->arena, &in->result->fileItem, out);
}

static const char *drive_id(struct import *in, const struct controller *c, int unit)
{
    return arena_printf(in->arena, "/%s/%s%d:%d", in->name, c->class, c->bus, unit);
}

static bool check_file(struct import *in, const struct ovf_item *item, const struct ovf_file *file)
{
    if (file->chunk)
        unsupported(in, item, "its file comes in parts");
    else if (*file->compression)
        unsupported(in, item, "its file is compressed as a whole");
    return !file->chunk && !*file->compression;
}

static void read_disk(struct import *in, const struct ovf_item *item)
{
    const struct ovf_disk *disk = ovf_find_disk(in->ovf, item->host);
    const struct ovf_file *file = disk && *disk->file ? ovf_find_file(in->ovf, disk->file) : NULL;
    struct controller *c = controller_of(in, item);
    int unit = c ? place_on(c, item->unit) : -1;

    if (!disk || (*disk->file && !file)) {
        unsupported(in, item, "the disk or its file is not in the package");
        return;
    }
    if (unit < 0 || !disk->capacity || disk->capacity > DISK_SIZE_MAX) {
        unsupported(in, item, "there is no place for it, or no disk has that size");
        return;
    }
    if (file && !check_file(in, item, file))
        return;
    struct vim_VirtualDisk *out = VIM_NEW(in->arena, VirtualDisk);
    struct vim_VirtualDiskFlatVer2BackingInfo *backing =
        VIM_NEW(in->arena, VirtualDiskFlatVer2BackingInfo);
    backing->fileName = "";
    backing->diskMode = "persistent";
    backing->thinProvisioned = vim_bool(in->thin);
    backing->eagerlyScrub = vim_bool(in->eager);
    out->key = in->next_key--;
    out->controllerKey = vim_int(c->key);
    out->unitNumber = vim_int(unit);
    out->capacityInKB = (int64_t)(align_up(disk->capacity, 1024) >> 10);
    out->capacityInBytes = vim_long((int64_t)align_up(disk->capacity, 512));
    out->backing = (struct vim_VirtualDeviceBackingInfo *)(void *)backing;
    add_device(in, out, true);
    if (file)
        add_file(in, drive_id(in, c, unit), CIM_DISK, false, file);
}

/* "ovf:/file/ID", of 0.9 "file:/ID"; NULL: it is none of the package's. */
static const struct ovf_file *file_of(const struct ovf *ovf, const char *reference)
{
    const char *slash = strrchr(reference, '/');

    return slash ? ovf_find_file(ovf, slash + 1) : NULL;
}

static struct vim_VirtualDeviceBackingInfo *cdrom_backing(struct import *in, bool image)
{
    struct vim_VirtualCdromRemotePassthroughBackingInfo *none =
        VIM_NEW(in->arena, VirtualCdromRemotePassthroughBackingInfo);
    struct vim_VirtualCdromIsoBackingInfo *iso = VIM_NEW(in->arena, VirtualCdromIsoBackingInfo);

    none->deviceName = iso->fileName = "";
    return image ? (struct vim_VirtualDeviceBackingInfo *)(void *)iso
                 : (struct vim_VirtualDeviceBackingInfo *)(void *)none;
}

static void read_cdrom(struct import *in, const struct ovf_item *item)
{
    const struct ovf_file *file = file_of(in->ovf, item->host);
    struct controller *c = controller_of(in, item);
    int unit = c ? place_on(c, item->unit) : -1;
    struct vim_VirtualCdrom *cd = VIM_NEW(in->arena, VirtualCdrom);

    if (unit < 0 || (*item->host && !file)) {
        unsupported(in, item,
                    unit < 0 ? "there is no place for it" : "its image is not in the package");
        return;
    }
    if (file && !check_file(in, item, file))
        return;
    cd->key = in->next_key--;
    cd->controllerKey = vim_int(c->key);
    cd->unitNumber = vim_int(unit);
    cd->backing = cdrom_backing(in, file);
    cd->connectable = VIM_NEW(in->arena, VirtualDeviceConnectInfo);
    cd->connectable->startConnected = file && item->connected;
    cd->connectable->allowGuestControl = true;
    add_device(in, cd, file);
    if (file)
        add_file(in, drive_id(in, c, unit), (int)item->type, true, file);
}

/* --- network cards --- */

static const struct vim_type *card_class(const char *models)
{
    static const struct {
        const char *model;
        uint16_t type;
    } known[] = {{"vmxnet3", VIM_T_VirtualVmxnet3},
                 {"e1000e", VIM_T_VirtualE1000e},
                 {"e1000", VIM_T_VirtualE1000},
                 {"pcnet32", VIM_T_VirtualPCNet32},
                 {"vmxnet", VIM_T_VirtualVmxnet2}};

    for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
        if (strcasestr(models, known[i].model))
            return &vim_types[known[i].type];
    return VIM_TYPE(VirtualE1000);
}

/* Where the client says that the package's network is; else one of the same name, or the usual. */
static const char *map_network(struct import *in, const char *name)
{
    for (size_t i = 0; i < in->params->networkMapping.count; i++) {
        const struct vim_OvfNetworkMapping *map = in->params->networkMapping.items[i];
        struct mo *mo = strcmp(map->name, name)
                            ? NULL
                            : call_resolve_as(in->call, map->network, VIM_MANAGED(Network));
        if (mo)
            return arena_strdup(in->arena, entity_from(mo)->name);
    }
    if (network_find(in->call, name))
        return name;
    warn(in, arena_printf(in->arena, "The network \"%s\" is not there; \"%s\" is used instead.",
                          name, NETWORK_DEFAULT));
    return NETWORK_DEFAULT;
}

static void read_card(struct import *in, const struct ovf_item *item)
{
    struct vim_VirtualEthernetCard *card = vim_new(in->arena, card_class(item->sub_type));
    struct vim_VirtualEthernetCardNetworkBackingInfo *backing =
        VIM_NEW(in->arena, VirtualEthernetCardNetworkBackingInfo);

    backing->deviceName = map_network(in, item->connection);
    card->key = in->next_key--;
    card->addressType = "generated";
    card->connectable = VIM_NEW(in->arena, VirtualDeviceConnectInfo);
    card->connectable->startConnected = item->connected;
    card->connectable->allowGuestControl = true;
    card->connectable->connected = item->connected;
    card->backing = (struct vim_VirtualDeviceBackingInfo *)(void *)backing;
    add_device(in, card, false);
}

/* --- the machine --- */

static void read_item(struct import *in, const struct ovf_item *item)
{
    switch (item->type) {
    case OVF_CPU:
        in->spec->numCPUs = vim_int((int32_t)MIN(item->quantity, (uint64_t)INT32_MAX));
        if (item->cores_per_socket)
            in->spec->numCoresPerSocket = vim_int((int32_t)item->cores_per_socket);
        break;
    case OVF_MEMORY:
        in->spec->memoryMB = vim_long((int64_t)(align_up(item->quantity, MIB(4)) >> 20));
        break;
    case OVF_DISK:
        read_disk(in, item);
        break;
    case OVF_CD:
    case OVF_DVD:
        read_cdrom(in, item);
        break;
    case OVF_ETHERNET:
        read_card(in, item);
        break;
    case OVF_IDE:
    case OVF_SCSI:
    case OVF_STORAGE:
    case OVF_FLOPPY:
    case OVF_USB:
    case OVF_VIDEO:
    case OVF_OTHER:
        break; /* read already, or there in any case, or nothing would come of it */
    default:
        unsupported(in, item, "this host has no such device");
    }
}

/* The newest family that both know. */
static void read_hardware_version(struct import *in)
{
    long best = 0;

    for (const char *at = in->ovf->hardware; (at = strstr(at, "vmx-")); at += 4) {
        long version = strtol(at + 4, NULL, 10);
        if (version >= 4 && version <= HARDWARE_MAX && version > best)
            best = version;
    }
    if (best)
        in->spec->version = arena_printf(in->arena, "vmx-%02ld", best);
    else if (*in->ovf->hardware)
        warn(in,
             arena_printf(in->arena,
                          "The package is for hardware of the family \"%s\", which is not ours.",
                          in->ovf->hardware));
}

/* CIM_OperatingSystem.OSType, as far as packages that do not say it better have them. */
static void read_os(struct import *in)
{
    static const struct {
        int id;
        const char *guest;
    } known[] = {{36, "otherLinuxGuest"},  {79, "rhel7Guest"},         {80, "rhel8_64Guest"},
                 {93, "ubuntuGuest"},      {94, "ubuntu64Guest"},      {95, "debian10Guest"},
                 {96, "debian11_64Guest"}, {101, "otherLinux64Guest"}, {100, "otherLinux64Guest"},
                 {102, "otherGuest64"},    {107, "centos8_64Guest"}};
    const char *guest = in->ovf->os_id == 1 ? "otherGuest" : "otherGuest64";

    for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
        if (known[i].id == in->ovf->os_id)
            guest = known[i].guest;
    if (*in->ovf->os_type && guest_os_by_id(in->ovf->os_type))
        guest = in->ovf->os_type;
    in->spec->guestId = guest;
}

static void read_config(struct import *in)
{
    for (const struct ovf_pair *pair = in->ovf->config; pair; pair = pair->next) {
        if (!strcmp(pair->key, "firmware"))
            in->spec->firmware = !strcmp(pair->value, "efi") ? "efi" : "bios";
        if (!strcmp(pair->key, "bootOptions.efiSecureBootEnabled")) {
            in->spec->bootOptions = VIM_NEW(in->arena, VirtualMachineBootOptions);
            in->spec->bootOptions->efiSecureBootEnabled = vim_bool(!strcmp(pair->value, "true"));
        }
    }
}

static void add_extra(struct import *in, const char *key, const char *value)
{
    struct vim_OptionValue *option = VIM_NEW(in->arena, OptionValue);

    option->key = key;
    option->value = vim_any_string(value);
    VIM_ADD(in->arena, &in->spec->extraConfig, option);
}

/* Stays in the spec, so that ImportVApp knows that there is something to come. */
static void read_nvram(struct import *in, const struct ovf_pair *pair)
{
    const struct ovf_file *file = file_of(in->ovf, pair->value);

    if (!file) {
        warn(in, "The variables of firmware are not in the package.");
        return;
    }
    add_extra(in, pair->key, pair->value);
    add_file(in, ovf_nvram_id(in->arena, in->name), OVF_OTHER, true, file);
}

static void read_extra(struct import *in)
{
    for (const struct ovf_pair *pair = in->ovf->extra; pair; pair = pair->next)
        if (ovf_is_nvram(pair->key, pair->value))
            read_nvram(in, pair);
        else if (*pair->key && *pair->value && !vm_edit_is_reserved(pair->key))
            add_extra(in, pair->key, pair->value);
    if (in->ovf->properties)
        add_extra(in, "guestinfo.ovfEnv", ovf_environment(in->arena, in->ovf, in->params));
}

static bool read_provisioning(struct import *in)
{
    static const char *const thin[] = {"thin", "sparse", "seSparse", "monolithicSparse",
                                       "twoGbMaxExtentSparse"};
    static const char *const thick[] = {"thick", "flat", "monolithicFlat", "twoGbMaxExtentFlat"};
    const char *kind = in->params->diskProvisioning;

    in->thin = !kind || !*kind;
    in->eager = kind && !strcmp(kind, "eagerZeroedThick");
    bool known = in->thin || in->eager;
    for (unsigned i = 0; kind && i < ARRAY_SIZE(thin); i++)
        known |= in->thin |= !strcmp(kind, thin[i]);
    for (unsigned i = 0; kind && i < ARRAY_SIZE(thick); i++)
        known |= !strcmp(kind, thick[i]);
    if (known)
        return true;
    struct vim_OvfUnsupportedDiskProvisioning *fault =
        VIM_NEW(in->arena, OvfUnsupportedDiskProvisioning);
    fault->diskProvisioning = kind;
    fault->supportedDiskProvisioning = "thin,thick,eagerZeroedThick,sparse,flat";
    VIM_ADD(in->arena, &in->result->error,
            fault_localized(in->arena, &fault->self, "Disks are not made in that way here."));
    return false;
}

static bool check_package(struct import *in)
{
    if (in->ovf->systems == 1)
        return true;
    struct vim_OvfUnsupportedElement *fault = VIM_NEW(in->arena, OvfUnsupportedElement);
    fault->name = "VirtualSystemCollection";
    VIM_ADD(in->arena, &in->result->error,
            fault_localized(in->arena, &fault->self,
                            "The package has several machines; this host takes one at a time."));
    return false;
}

void ovf_import(struct call *call, struct ovf *ovf, const char *datastore,
                const struct vim_OvfCreateImportSpecParams *params,
                struct vim_OvfCreateImportSpecResult *result)
{
    struct vim_VirtualMachineImportSpec *spec = VIM_NEW(call->arena, VirtualMachineImportSpec);
    struct import in = {.call = call,
                        .arena = call->arena,
                        .ovf = ovf,
                        .params = params,
                        .result = result,
                        .next_key = -1};

    in.spec = spec->configSpec = VIM_NEW(call->arena, VirtualMachineConfigSpec);
    in.name = params->entityName && *params->entityName ? params->entityName
              : *ovf->name                              ? ovf->name
                                                        : ovf->id;
    in.spec->name = in.name;
    in.spec->annotation = *ovf->annotation ? ovf->annotation : NULL;
    in.spec->files = VIM_NEW(call->arena, VirtualMachineFileInfo);
    in.spec->files->vmPathName = arena_printf(call->arena, "[%s]", datastore);
    if (!check_package(&in) || !read_provisioning(&in))
        return;
    read_hardware_version(&in);
    read_os(&in);
    read_config(&in);
    read_controllers(&in);
    for (const struct ovf_item *item = ovf->items; item; item = item->next)
        read_item(&in, item);
    read_extra(&in);
    if (!result->error.count)
        result->importSpec = (struct vim_ImportSpec *)(void *)spec;
}

/* --- properties --- */

const char *ovf_property_id(struct arena *arena, const struct ovf_property *p)
{
    return arena_printf(arena, "%s%s%s%s%s", p->class_id, *p->class_id ? "." : "", p->key,
                        *p->instance_id ? "." : "", p->instance_id);
}

static void put_escaped(struct buf *out, const char *text)
{
    for (; *text; text++)
        if (strchr("<>&\"\n\t\r", *text))
            buf_printf(out, "&#%u;", (unsigned char)*text);
        else
            buf_put_u8(out, (uint8_t)*text);
}

static const char *value_of(struct arena *arena, const struct ovf_property *p,
                            const struct vim_OvfCreateImportSpecParams *params)
{
    const char *id = ovf_property_id(arena, p);

    for (size_t i = 0; i < params->propertyMapping.count; i++)
        if (!strcmp(params->propertyMapping.items[i]->key, id))
            return params->propertyMapping.items[i]->value;
    return p->value;
}

const char *ovf_environment(struct arena *arena, const struct ovf *ovf,
                            const struct vim_OvfCreateImportSpecParams *params)
{
    cleanup_buf struct buf out = {0};

    buf_put_str(&out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                      "<Environment xmlns=\"http://schemas.dmtf.org/ovf/environment/1\" "
                      "xmlns:oe=\"http://schemas.dmtf.org/ovf/environment/1\" oe:id=\"");
    put_escaped(&out, ovf->id);
    buf_put_str(&out, "\">\n<PlatformSection><Kind>" ABOUT_NAME "</Kind><Version>" ABOUT_VERSION
                      "</Version><Vendor>" ABOUT_VENDOR
                      "</Vendor><Locale>en</Locale></PlatformSection>\n<PropertySection>\n");
    for (const struct ovf_property *p = ovf->properties; p; p = p->next) {
        buf_put_str(&out, "<Property oe:key=\"");
        put_escaped(&out, ovf_property_id(arena, p));
        buf_put_str(&out, "\" oe:value=\"");
        put_escaped(&out, value_of(arena, p, params));
        buf_put_str(&out, "\"/>\n");
    }
    buf_put_str(&out, "</PropertySection>\n</Environment>\n");
    return arena_strdup(arena, buf_cstr(&out));
}
