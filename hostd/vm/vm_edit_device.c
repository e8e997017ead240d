/* SPDX-License-Identifier: Apache-2.0 */
/* deviceChange of a ConfigSpec: devices come, go and change in the dictionary. A spec names new
 * devices by negative keys, and by these its own controllers; here every one gets its real key. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/range.h"
#include "config/vmcfg.h"
#include "config/vmsd.h"
#include "disk/disk.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/network.h"
#include "hostd/vm/file_holder.h"
#include "hostd/vm/ovf_device.h"
#include "hostd/vm/vm_edit.h"

enum { MAPPED_MAX = 64 };

struct editing {
    struct call *call;
    const struct virtual_machine *vm; /* NULL: new */
    struct plan *plan;
    int index; /* of the change at work, for faults */
    struct {
        int32_t from, to;
    } mapped[MAPPED_MAX];
    unsigned mapped_count;
};

static bool bad_device(struct editing *e, const char *text)
{
    struct vim_InvalidDeviceSpec *fault = VIM_NEW(e->call->arena, InvalidDeviceSpec);

    fault->property = "virtualDeviceSpec.device";
    fault->deviceIndex = e->index;
    call_fault_text(e->call, &fault->self, "Invalid configuration for device '%d'.%s%s", e->index,
                    text ? " " : "", text ? text : "");
    return false;
}

static int32_t real_key(const struct editing *e, int32_t key)
{
    for (unsigned i = 0; i < e->mapped_count; i++)
        if (e->mapped[i].from == key)
            return e->mapped[i].to;
    return key;
}

static void map_key(struct editing *e, int32_t from, int32_t to)
{
    if (e->mapped_count < MAPPED_MAX) {
        e->mapped[e->mapped_count].from = from;
        e->mapped[e->mapped_count++].to = to;
    }
}

/* Of a VM, on it; of one that is to come, on what it is made in. */
static bool may(struct editing *e, const char *priv)
{
    struct mo *mo = e->vm ? (struct mo *)(uintptr_t)&e->vm->e.mo : e->call->mo;

    return call_authorize(e->call, mo, priv) == 0;
}

/* --- the dictionary --- */

static const char *get(const struct editing *e, const char *device, const char *what)
{
    char key[64];

    (void)snprintf(key, sizeof key, "%s.%s", device, what);
    return vmxfile_get(e->plan->vmx, key);
}

static bool present(const struct editing *e, const char *device)
{
    const char *value = get(e, device, "present");

    return value && !strcasecmp(value, "true");
}

static bool is_cdrom(const struct editing *e, const char *slot)
{
    const char *type = get(e, slot, "deviceType");

    return type && strcasestr(type, "cdrom");
}

static void set(struct editing *e, const char *device, const char *what, const char *value)
{
    char key[64];

    (void)snprintf(key, sizeof key, "%s.%s", device, what);
    if (value)
        (void)vmxfile_set(e->plan->vmx, key, value);
    else
        vmxfile_remove(e->plan->vmx, key);
}

/* All keys of a device: "scsi0:0.", not those of "scsi0:01". */
static void forget(struct editing *e, const char *device)
{
    size_t len = strlen(device), at = 0;
    const char *key;
    char found[VMXFILE_KEY_MAX + 1];

    while ((key = vmxfile_next_key(e->plan->vmx, &at)))
        if (!strncasecmp(key, device, len) && key[len] == '.') {
            (void)snprintf(found, sizeof found, "%s", key);
            vmxfile_remove(e->plan->vmx, found);
            at = 0;
        }
}

/* --- controllers --- */

static const char *scsi_model(const struct vim_VirtualDevice *device)
{
    return VIM_AS(ParaVirtualSCSIController, device)      ? "pvscsi"
           : VIM_AS(VirtualLsiLogicSASController, device) ? "lsisas1068"
           : VIM_AS(VirtualBusLogicController, device)    ? "buslogic"
                                                          : "lsilogic";
}

static bool add_controller(struct editing *e, const struct vim_VirtualController *c,
                           const char *bus, int32_t base, const char *model)
{
    char device[16];
    int number = c->busNumber;

    (void)snprintf(device, sizeof device, "%s%d", bus, number);
    for (int i = 0; present(e, device) && i < 4; i++) /* taken: the next that is free */
        (void)snprintf(device, sizeof device, "%s%d", bus, number = i);
    if (number < 0 || number > 3 || present(e, device))
        return bad_device(e, "There is no room for the controller.");
    set(e, device, "present", "TRUE");
    if (model)
        set(e, device, "virtualDev", model);
    map_key(e, c->key, base + number);
    return true;
}

/* --- drives --- */

/* Of a drive that names none. */
static int32_t usual_controller(const struct editing *e, const struct vim_VirtualDevice *device)
{
    if (!VIM_AS(VirtualCdrom, device))
        return 1000;
    return present(e, "sata0") ? 15000 : 200;
}

/* The name in the dictionary for a drive that is to be at controller and unit; unit -1: any. */
static bool place(struct editing *e, const struct vim_VirtualDevice *device, char slot[16])
{
    static const struct {
        const char *bus;
        int32_t controller;
        int units;
    } buses[] = {{"scsi", 1000, 16}, {"sata", 15000, 30}, {"nvme", 31000, 15}, {"ide", 200, 2}};
    int32_t key = device->controllerKey.set ? real_key(e, device->controllerKey.v)
                                            : usual_controller(e, device);
    int unit = device->unitNumber.set ? device->unitNumber.v : -1;

    for (unsigned i = 0; i < ARRAY_SIZE(buses); i++) {
        int number = key - buses[i].controller;
        char controller[16]; /* "nvme3" at most */
        if (number < 0 || number > 3)
            continue;
        (void)snprintf(controller, sizeof controller, "%s%d", buses[i].bus, number);
        if (strcmp(buses[i].bus, "ide") && !present(e, controller))
            return bad_device(e, "Its controller is not there.");
        for (int u = unit < 0 ? 0 : unit; u < buses[i].units; u++) {
            (void)snprintf(slot, 16, "%.8s:%u", controller, (unsigned)u & 31);
            if (!present(e, slot) && !(u == 7 && i == 0))
                return true;
            if (unit >= 0)
                return bad_device(e, "Its place is taken.");
        }
    }
    return bad_device(e, "There is no place for it.");
}

/* The name that a new disk gets when the client leaves it open: NAME.vmdk, NAME_1.vmdk ... */
static void name_disk(struct editing *e, const struct datastore *datastore, char rel[DSPATH_MAX])
{
    const char *slash = strrchr(e->plan->rel, '/'), *name = slash ? slash + 1 : e->plan->rel;
    size_t len = strlen(name);
    char folder[DSPATH_MAX];
    struct stat st;

    len -= len > 4 && !strcasecmp(name + len - 4, ".vmx") ? 4 : 0;
    plan_folder_on(e->plan, datastore, folder);
    for (unsigned n = 0; n < PLAN_DISKS_MAX * 2; n++) {
        char number[16] = "";
        if (n)
            (void)snprintf(number, sizeof number, "_%u", n);
        (void)snprintf(rel, DSPATH_MAX, "%.700s%s%.*s%s.vmdk", folder, *folder ? "/" : "",
                       (int)MIN(len, (size_t)255), name, number);
        if (!plan_has(e->plan, datastore, rel) && dspath_stat(datastore->fd, rel, &st) < 0)
            return;
    }
}

/* Clients send back what they read: a device keeps the file that it has. */
static bool has_file(const struct editing *e, const char *slot, const struct datastore *datastore,
                     const char *rel)
{
    const char *file = e->vm && present(e, slot) ? get(e, slot, "fileName") : NULL;
    struct dspath path;

    return file && datastore && vm_file(e->vm, file, &path) == datastore && !strcmp(path.rel, rel);
}

/* On a datastore that an edit names. That of the VM itself is no secret to who may edit it. */
static bool may_use(struct editing *e, struct datastore *datastore, const char *name,
                    const char *priv)
{
    if (datastore && datastore == e->plan->datastore)
        return call_authorize(e->call, &datastore->e.mo, priv) == 0;
    return datastore_may(e->call, datastore, name, priv);
}

/* What the client's name means for the device at `slot`, if he may use `priv` on its datastore; ""
 * and "[ds]" leave it to us. NULL: the fault is set. */
static struct datastore *locate(struct editing *e, const char *slot, const char *name,
                                const char *priv, bool may_choose, char rel[DSPATH_MAX])
{
    struct inventory *inventory = hostd_of(e->call)->inventory;
    struct dspath path = {0};
    struct datastore *datastore = e->plan->datastore;

    if (name && *name) {
        datastore = datastore_resolve(inventory, name, &path);
        if (!datastore && e->vm)
            datastore = vm_file(e->vm, name, &path);
    }
    if (!has_file(e, slot, datastore, path.rel) && !may_use(e, datastore, name, priv))
        return NULL;
    if (!*path.rel && may_choose)
        name_disk(e, datastore, rel);
    else
        (void)snprintf(rel, DSPATH_MAX, "%s", path.rel);
    return datastore;
}

static void set_file(struct editing *e, const char *slot, const struct datastore *datastore,
                     const char *rel)
{
    char name[DSPATH_MAX + 128];

    plan_file_name(e->plan, datastore, rel, name, sizeof name);
    set(e, slot, "fileName", name);
}

/* File name, mode and provisioning of whatever kind of backing it is. */
struct backing {
    const char *file, *mode;
    bool thin, eager;
};

/* "" and "[ds]": the name is ours to choose. */
static bool names_no_file(const char *name)
{
    const char *end = strchr(name, ']');

    end = *name == '[' && end ? end + 1 : name;
    return !end[strspn(end, " ")];
}

/* Bytes of what is said in KiB; more than a disk can have stays more. */
static uint64_t capacity_of(const struct vim_VirtualDisk *disk)
{
    int64_t kib = MIN(MAX(disk->capacityInKB, (int64_t)0), INT64_MAX >> 10);

    return (uint64_t)kib << 10;
}

static bool plan_new_disk(struct editing *e, const struct vim_VirtualDisk *disk,
                          const struct datastore *datastore, const char *rel,
                          const struct backing *backing)
{
    uint64_t kib = capacity_of(disk);
    int64_t bytes = disk->capacityInBytes.set ? disk->capacityInBytes.v : (int64_t)kib;

    if (bytes <= 0 || kib > DISK_SIZE_MAX || (uint64_t)bytes > DISK_SIZE_MAX)
        return bad_device(e, "Its capacity can not be.");
    struct plan_disk *out = plan_add(e->plan, PLAN_MAKE, datastore, rel);
    if (!out)
        return bad_device(e, "There are too many disks.");
    out->size = align_up((uint64_t)bytes, 512);
    out->provision = backing->eager ? DISK_EAGER : backing->thin ? DISK_THIN : DISK_LAZY;
    out->adapter = "lsilogic";
    out->make_folder = datastore != e->plan->datastore && names_no_file(backing->file);
    return true;
}

static bool read_backing(struct editing *e, struct vim_VirtualDeviceBackingInfo *from,
                         struct backing *b)
{
    const struct vim_VirtualDeviceFileBackingInfo *file =
        VIM_AS(VirtualDeviceFileBackingInfo, from);
    const struct vim_VirtualDiskFlatVer2BackingInfo *flat =
        VIM_AS(VirtualDiskFlatVer2BackingInfo, from);

    *b = (struct backing){.file = "", .mode = "persistent", .thin = true};
    if (!from)
        return true;
    if (!file)
        return bad_device(e, "Its backing is of a kind that this host does not have.");
    b->file = file->fileName ? file->fileName : "";
    if (flat) {
        b->mode = flat->diskMode;
        b->thin = flat->thinProvisioned.set && flat->thinProvisioned.v;
        b->eager = flat->eagerlyScrub.set && flat->eagerlyScrub.v;
    }
    return true;
}

/* The API has an underscore where the .vmx has a dash. What a power-off would throw away, this
 * version does not have. */
static bool set_mode(struct editing *e, const char *slot, const char *mode)
{
    if (!strcmp(mode, "persistent"))
        set(e, slot, "mode", NULL);
    else if (!strcmp(mode, "independent_persistent"))
        set(e, slot, "mode", "independent-persistent");
    else
        return bad_device(
            e, "This host has disks that are persistent, and independent and persistent.");
    return true;
}

static bool add_disk(struct editing *e, const struct vim_VirtualDeviceConfigSpec *change,
                     struct vim_VirtualDisk *disk)
{
    bool create = change->fileOperation == VIM_VirtualDeviceConfigSpecFileOperation_create;
    struct backing backing;
    char slot[16], rel[DSPATH_MAX];
    struct stat st;

    if (!may(e,
             create ? "VirtualMachine.Config.AddNewDisk" : "VirtualMachine.Config.AddExistingDisk"))
        return false;
    if (!read_backing(e, disk->backing, &backing) ||
        !place(e, (struct vim_VirtualDevice *)(void *)disk, slot))
        return false;
    struct datastore *datastore =
        locate(e, slot, backing.file, create ? "Datastore.AllocateSpace" : "Datastore.Browse",
               create, rel);
    if (!datastore)
        return false;
    if (!create && dspath_stat(datastore->fd, rel, &st) < 0) {
        struct vim_FileNotFound *fault = VIM_NEW(e->call->arena, FileNotFound);
        fault->file = arena_printf(e->call->arena, "[%s] %s", datastore->e.name, rel);
        call_fault(e->call, &fault->self);
        return false;
    }
    if (create && !plan_new_disk(e, disk, datastore, rel, &backing))
        return false;
    set(e, slot, "present", "TRUE");
    set(e, slot, "deviceType",
        !strncmp(slot, "ide", 3)    ? "ata-hardDisk"
        : !strncmp(slot, "scsi", 4) ? "scsi-hardDisk"
                                    : "disk");
    set_file(e, slot, datastore, rel);
    if (!set_mode(e, slot, backing.mode))
        return false;
    map_key(e, disk->key, vm_key_of_slot(slot));
    return true;
}

/* A running VM has one answer to both questions: what is connected now is so at the next start. */
static void set_connection(struct editing *e, const char *device,
                           const struct vim_VirtualDeviceConnectInfo *info)
{
    bool runs = e->vm && e->vm->power == VM_ON;

    if (info)
        set(e, device, "startConnected",
            (runs ? info->connected : info->startConnected) ? "TRUE" : "FALSE");
}

static bool set_cdrom(struct editing *e, const struct vim_VirtualCdrom *cdrom, const char *slot)
{
    const struct vim_VirtualCdromIsoBackingInfo *iso =
        VIM_AS(VirtualCdromIsoBackingInfo, cdrom->backing);
    char rel[DSPATH_MAX];

    if (iso && iso->fileName && *iso->fileName) {
        struct datastore *datastore =
            locate(e, slot, iso->fileName, "Datastore.Browse", false, rel);
        if (!datastore)
            return false;
        set(e, slot, "deviceType", "cdrom-image");
        set_file(e, slot, datastore, rel);
    } else if (cdrom->backing) {
        set(e, slot, "deviceType", "atapi-cdrom");
        set(e, slot, "fileName", "emptyBackingString");
        set(e, slot, "clientDevice", "TRUE");
    }
    set(e, slot, "present", "TRUE");
    set_connection(e, slot, cdrom->connectable);
    return true;
}

/* Its image comes with the VM, which is new: a file of its folder that is not there yet. */
static bool set_coming_image(struct editing *e, const char *slot)
{
    char other[16], name[64];
    unsigned number = 0;
    size_t at = 0;

    while (ovf_next_image(e->plan->vmx, &at, other))
        number++;
    (void)snprintf(name, sizeof name, OVF_IMAGE_PREFIX "%u.iso", number);
    set(e, slot, "deviceType", "cdrom-image");
    set(e, slot, "fileName", name);
    set(e, slot, "present", "TRUE");
    return true;
}

static bool add_cdrom(struct editing *e, const struct vim_VirtualDeviceConfigSpec *change,
                      struct vim_VirtualCdrom *cdrom)
{
    bool create = change->fileOperation == VIM_VirtualDeviceConfigSpecFileOperation_create;
    char slot[16];

    if (!place(e, (struct vim_VirtualDevice *)(void *)cdrom, slot))
        return false;
    if (!cdrom->backing) {
        set(e, slot, "deviceType", "atapi-cdrom");
        set(e, slot, "fileName", "emptyBackingString");
    }
    map_key(e, cdrom->key, vm_key_of_slot(slot));
    if (create && !e->vm && VIM_AS(VirtualCdromIsoBackingInfo, cdrom->backing)) {
        set_connection(e, slot, cdrom->connectable);
        return set_coming_image(e, slot);
    }
    return set_cdrom(e, cdrom, slot);
}

/* --- network cards --- */

static const char *card_model(const struct vim_VirtualDevice *device)
{
    return VIM_AS(VirtualVmxnet3, device)   ? "vmxnet3"
           : VIM_AS(VirtualE1000e, device)  ? "e1000e"
           : VIM_AS(VirtualE1000, device)   ? "e1000"
           : VIM_AS(VirtualVmxnet, device)  ? "vmxnet"
           : VIM_AS(VirtualPCNet32, device) ? "vlance"
                                            : NULL;
}

/* 00:0c:29 and three bytes of the VM's uuid and the card's number. */
static void generate_mac(const struct vmxfile *vmx, int number, char text[VMCFG_MAC_TEXT])
{
    const char *uuid_text = vmxfile_get(vmx, "uuid.bios");
    uint8_t uuid[16] = {0}, mac[6] = {0x00, 0x0c, 0x29};

    if (uuid_text)
        (void)vmcfg_uuid_parse(uuid_text, uuid);
    mac[3] = uuid[13];
    mac[4] = uuid[14];
    mac[5] = (uint8_t)(uuid[15] + 10 * number);
    vmcfg_mac_format(mac, text);
}

static const char *card_get(const struct plan *plan, int number, const char *what)
{
    char key[40];

    (void)snprintf(key, sizeof key, "ethernet%d.%s", number, what);
    return vmxfile_get(plan->vmx, key);
}

static void set_generated(struct plan *plan, int number)
{
    char key[40], text[VMCFG_MAC_TEXT];

    generate_mac(plan->vmx, number, text);
    (void)snprintf(key, sizeof key, "ethernet%d.addressType", number);
    (void)vmxfile_set(plan->vmx, key, "generated");
    (void)snprintf(key, sizeof key, "ethernet%d.generatedAddress", number);
    (void)vmxfile_set(plan->vmx, key, text);
}

void vm_edit_new_addresses(struct plan *plan)
{
    for (int number = 0; number < VMCFG_NICS_MAX; number++) {
        const char *type = card_get(plan, number, "addressType");
        if (type && strcasecmp(type, "static") != 0)
            set_generated(plan, number);
    }
}

void vm_edit_missing_addresses(struct plan *plan)
{
    for (int number = 0; number < VMCFG_NICS_MAX; number++)
        if (card_get(plan, number, "present") && !card_get(plan, number, "address") &&
            !card_get(plan, number, "generatedAddress"))
            set_generated(plan, number);
}

/* A card keeps the network that it has, whoever edits it. */
static bool set_network(struct editing *e, const char *device, const char *name)
{
    const char *now = get(e, device, "networkName");
    struct entity *network;

    if (now && !strcmp(now, name))
        return true;
    if (!(network = network_find(e->call, name)))
        return bad_device(e, "The network is not there.");
    if (call_authorize(e->call, &network->mo, "Network.Assign"))
        return false;
    set(e, device, "networkName", name);
    return true;
}

static bool set_card(struct editing *e, const struct vim_VirtualEthernetCard *card,
                     const char *device, int number)
{
    const struct vim_VirtualEthernetCardNetworkBackingInfo *network =
        VIM_AS(VirtualEthernetCardNetworkBackingInfo, card->backing);
    char text[VMCFG_MAC_TEXT];
    uint8_t mac[6];

    if (card->backing && !network)
        return bad_device(e, "This host has no such networks.");
    if (network && !set_network(e, device, network->deviceName))
        return false;
    set_connection(e, device, card->connectable);
    bool manual = card->macAddress && *card->macAddress && card->addressType &&
                  !strcasecmp(card->addressType, "manual");
    if (manual && vmcfg_mac_parse(card->macAddress, mac) < 0)
        return bad_device(e, "Its MAC address is none.");
    if (manual) {
        vmcfg_mac_format(mac, text);
        set(e, device, "addressType", "static");
        set(e, device, "address", text);
        set(e, device, "generatedAddress", NULL);
    } else if (!get(e, device, "generatedAddress") && !get(e, device, "address")) {
        generate_mac(e->plan->vmx, number, text);
        set(e, device, "addressType", "generated");
        set(e, device, "generatedAddress", text);
    }
    return true;
}

static bool add_card(struct editing *e, struct vim_VirtualEthernetCard *card)
{
    const char *model = card_model((struct vim_VirtualDevice *)(void *)card);
    char device[16];
    int number = 0;

    do
        (void)snprintf(device, sizeof device, "ethernet%d", number);
    while (present(e, device) && ++number < VMCFG_NICS_MAX);
    if (number == VMCFG_NICS_MAX || !model)
        return bad_device(e, "There is no room for the card, or it is of no kind we know.");
    set(e, device, "present", "TRUE");
    set(e, device, "virtualDev", model);
    map_key(e, card->key, 4000 + number);
    if (!card->backing && !set_network(e, device, NETWORK_DEFAULT))
        return false;
    return set_card(e, card, device, number);
}

/* --- serial ports --- */

static bool set_serial(struct editing *e, const struct vim_VirtualSerialPort *port,
                       const char *device)
{
    const struct vim_VirtualSerialPortFileBackingInfo *file =
        VIM_AS(VirtualSerialPortFileBackingInfo, port->backing);
    const struct vim_VirtualSerialPortPipeBackingInfo *pipe =
        VIM_AS(VirtualSerialPortPipeBackingInfo, port->backing);
    char rel[DSPATH_MAX];

    if (file) {
        /* What the guest sends is appended to it, whatever it is. */
        struct datastore *datastore =
            locate(e, device, file->fileName, "Datastore.FileManagement", false, rel);
        if (!datastore)
            return false;
        set(e, device, "fileType", "file");
        set_file(e, device, datastore, rel);
    } else if (pipe && !strchr(pipe->pipeName, '/')) {
        set(e, device, "fileType", "pipe");
        set(e, device, "fileName", pipe->pipeName);
        set(e, device, "pipe.endPoint", "server");
    } else if (port->backing) {
        return bad_device(e, "Its backing is of a kind that this host does not have.");
    }
    set(e, device, "present", "TRUE");
    set(e, device, "yieldOnMsrRead", port->yieldOnPoll ? "TRUE" : "FALSE");
    return true;
}

static bool add_serial(struct editing *e, struct vim_VirtualSerialPort *port)
{
    char device[16];
    int number = 0;

    do
        (void)snprintf(device, sizeof device, "serial%d", number);
    while (present(e, device) && ++number < 4);
    if (number == 4)
        return bad_device(e, "There is no room for the port.");
    map_key(e, port->key, 9000 + number);
    return set_serial(e, port, device);
}

/* --- changes --- */

static bool add(struct editing *e, const struct vim_VirtualDeviceConfigSpec *change)
{
    struct vim_VirtualDevice *device = change->device;
    struct vim_VirtualController *controller = VIM_AS(VirtualController, device);

    if (VIM_AS(VirtualSCSIController, device))
        return add_controller(e, controller, "scsi", 1000, scsi_model(device));
    if (VIM_AS(VirtualSATAController, device))
        return add_controller(e, controller, "sata", 15000, NULL);
    if (VIM_AS(VirtualNVMEController, device))
        return add_controller(e, controller, "nvme", 31000, NULL);
    if (VIM_AS(VirtualIDEController, device)) {
        map_key(e, device->key, 200 + controller->busNumber);
        return true; /* both are always there */
    }
    if (VIM_AS(VirtualDisk, device))
        return add_disk(e, change, VIM_AS(VirtualDisk, device));
    if (VIM_AS(VirtualCdrom, device))
        return add_cdrom(e, change, VIM_AS(VirtualCdrom, device));
    if (VIM_AS(VirtualEthernetCard, device))
        return add_card(e, VIM_AS(VirtualEthernetCard, device));
    if (VIM_AS(VirtualSerialPort, device))
        return add_serial(e, VIM_AS(VirtualSerialPort, device));
    if (VIM_AS(VirtualMachineVideoCard, device) || VIM_AS(VirtualKeyboard, device) ||
        VIM_AS(VirtualPointingDevice, device) || VIM_AS(VirtualFloppy, device) ||
        VIM_AS(VirtualUSBXHCIController, device) || VIM_AS(VirtualUSBController, device))
        return true; /* there is one, or nothing would come of it */
    return bad_device(e, "This host has no such device.");
}

/* The dictionary's name of an existing device. */
static bool name_of(struct editing *e, int32_t key, char device[16])
{
    static const struct {
        int32_t key;
        int count;
        const char *name;
    } kinds[] = {{1000, 4, "scsi"},      {15000, 4, "sata"},  {31000, 4, "nvme"},
                 {4000, 10, "ethernet"}, {9000, 4, "serial"}, {8000, 2, "floppy"}};

    if (vm_slot_of_key(key, device) && present(e, device))
        return true;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        if (key >= kinds[i].key && key < kinds[i].key + kinds[i].count) {
            (void)snprintf(device, 16, "%s%d", kinds[i].name, key - kinds[i].key);
            return present(e, device) || bad_device(e, "It is not there.");
        }
    return bad_device(e, "It is not there.");
}

static bool plan_delete(struct editing *e, const char *device)
{
    const char *file = get(e, device, "fileName");
    struct dspath path;
    struct datastore *datastore = file && e->vm ? vm_file(e->vm, file, &path) : NULL;

    bool snapshots = e->vm && e->vm->vmsd && vmsd_count(e->vm->vmsd);

    if (datastore && !may_use(e, datastore, file, "Datastore.FileManagement"))
        return false;
    if (!datastore)
        return bad_device(e, "Its file can not be removed.");
    if (plan_remove_own(e->plan, e->vm, datastore, path.rel, snapshots))
        return true;
    const char *text = arena_printf(e->call->arena, "[%s] %s", datastore->e.name, path.rel);
    call_fault_text(e->call, fault_from_errno(e->call->arena, -EBUSY, text),
                    "%s: another virtual machine has it, or another disk stands on it", text);
    return false;
}

static bool remove_device(struct editing *e, const struct vim_VirtualDeviceConfigSpec *change)
{
    bool destroy = change->fileOperation == VIM_VirtualDeviceConfigSpecFileOperation_destroy;
    char device[16], prefix[20];
    const char *key;
    size_t at = 0;

    if (!name_of(e, change->device->key, device))
        return false;
    (void)snprintf(prefix, sizeof prefix, "%s:", device);
    while ((key = vmxfile_next_key(e->plan->vmx, &at)))
        if (!strncasecmp(key, prefix, strlen(prefix)) && strcasestr(key, ".present") &&
            !strcasecmp(vmxfile_get(e->plan->vmx, key), "true"))
            return bad_device(e, "Devices are attached to it.");
    if (destroy && !plan_delete(e, device))
        return false;
    if (!e->vm && get(e, device, "fileName"))
        plan_drop(e->plan, get(e, device, "fileName"));
    forget(e, device);
    return true;
}

/* The one thing of a disk that can change is its size, upwards. A snapshot's delta could not tell
 * what its parent had from what came later. */
static bool plan_growth(struct editing *e, const char *slot, uint64_t size)
{
    const char *file = get(e, slot, "fileName");
    struct dspath path;
    struct datastore *datastore = file ? vm_file(e->vm, file, &path) : NULL;

    if (e->vm->vmsd && vmsd_count(e->vm->vmsd))
        return bad_device(e, "A disk with snapshots can not be resized.");
    if (!datastore)
        return bad_device(e, "Its file is not there.");
    if (!may(e, "VirtualMachine.Config.DiskExtend") ||
        !may_use(e, datastore, file, "Datastore.AllocateSpace"))
        return false;
    struct file_place place = {.fd = -1};
    file_place_set(&place, datastore, path.rel);
    bool parent = disk_has_child(&place, NULL);
    file_place_free(&place);
    if (parent)
        return bad_device(e, "Another disk stands on it.");
    struct plan_disk *out = plan_add(e->plan, PLAN_GROW, datastore, path.rel);
    if (!out)
        return bad_device(e, "There are too many disks.");
    out->size = size;
    return true;
}

/* A disk that is only on its way: what it has now is not known here, only that it does not shrink.
 */
static bool grow_clone(struct editing *e, const char *slot, uint64_t size)
{
    const char *file = get(e, slot, "fileName"), *slash = strrchr(e->plan->rel, '/');
    struct datastore *datastore = e->plan->datastore;
    struct dspath path;

    if (!size || !file || size % DISK_SECTOR || size > DISK_SIZE_MAX)
        return true;
    if (*file == '/')
        datastore = datastore_resolve(hostd_of(e->call)->inventory, file, &path);
    else
        (void)snprintf(path.rel, sizeof path.rel, "%.*s%s",
                       slash ? (int)(slash + 1 - e->plan->rel) : 0, e->plan->rel, file);
    struct plan_disk *out = datastore && plan_has(e->plan, datastore, path.rel)
                                ? plan_add(e->plan, PLAN_GROW, datastore, path.rel)
                                : NULL;
    if (!out)
        return bad_device(e, "Its file is not there.");
    out->size = size;
    return true;
}

/* Clients send the mode with every edit. Another one changes what snapshots have of the disk. */
static bool edit_mode(struct editing *e, const struct vim_VirtualDisk *disk, const char *slot)
{
    const struct vim_VirtualDiskFlatVer2BackingInfo *flat =
        VIM_AS(VirtualDiskFlatVer2BackingInfo, disk->backing);
    const char *mode = flat ? flat->diskMode : NULL;

    if (!mode || !*mode || !strcmp(mode, vm_disk_mode(e->call->arena, get(e, slot, "mode"))))
        return true;
    if (e->vm->power != VM_OFF)
        return bad_device(e, "The mode of a disk changes only while the VM is off.");
    if (e->vm->vmsd && vmsd_count(e->vm->vmsd))
        return bad_device(e, "The mode of a disk with snapshots can not change.");
    return set_mode(e, slot, mode);
}

static bool edit_disk(struct editing *e, const struct vim_VirtualDisk *disk, const char *slot)
{
    uint64_t size = capacity_of(disk);
    uint64_t bytes = disk->capacityInBytes.set ? (uint64_t)disk->capacityInBytes.v : 0;

    if (!e->vm)
        return grow_clone(e, slot, size);
    if (!edit_mode(e, disk, slot))
        return false;
    for (unsigned i = 0; i < e->vm->disk_count; i++) {
        const struct vm_disk *now = &e->vm->disk[i];
        if (strcasecmp(now->slot, slot) != 0)
            continue;
        if (bytes && bytes != now->capacity)
            size = bytes; /* clients change the one and send the other as they read it */
        if (!size || size == now->capacity)
            continue;
        if (size < now->capacity)
            return bad_device(e, "Disks do not shrink.");
        if (size % DISK_SECTOR || size > DISK_SIZE_MAX)
            return bad_device(e, "No disk has that size.");
        return plan_growth(e, slot, size);
    }
    return true;
}

/* A key alone says what is meant; a client that calls it something else means something else. */
static bool is_alike(const struct editing *e, const struct vim_VirtualDevice *device,
                     const char *name)
{
    bool card = !strncmp(name, "ethernet", 8), port = !strncmp(name, "serial", 6);
    bool drive = strchr(name, ':'), cdrom = drive && is_cdrom(e, name);

    return card == !!VIM_AS(VirtualEthernetCard, device) &&
           port == !!VIM_AS(VirtualSerialPort, device) && cdrom == !!VIM_AS(VirtualCdrom, device) &&
           (drive && !cdrom) == !!VIM_AS(VirtualDisk, device);
}

static bool edit(struct editing *e, const struct vim_VirtualDeviceConfigSpec *change)
{
    struct vim_VirtualDevice *device = change->device;
    char name[16];

    if (device->key < 1000 && !VIM_AS(VirtualController, device))
        return true; /* keyboard, video ... have nothing to set */
    if (!name_of(e, device->key, name))
        return false;
    if (!is_alike(e, device, name))
        return bad_device(e, "It is of another kind.");
    if (VIM_AS(VirtualEthernetCard, device))
        return set_card(e, VIM_AS(VirtualEthernetCard, device), name, device->key - 4000);
    if (VIM_AS(VirtualCdrom, device))
        return set_cdrom(e, VIM_AS(VirtualCdrom, device), name);
    if (VIM_AS(VirtualDisk, device))
        return edit_disk(e, VIM_AS(VirtualDisk, device), name);
    if (VIM_AS(VirtualSerialPort, device))
        return set_serial(e, VIM_AS(VirtualSerialPort, device), name);
    return true;
}

/* Of an existing VM. Disks that come ask more (add_disk), and a larger one (plan_growth). By what
 * the VM has there, not by what the client calls it. */
static const char *privilege_of(const struct editing *e,
                                const struct vim_VirtualDeviceConfigSpec *change)
{
    bool comes = change->operation == VIM_VirtualDeviceConfigSpecOperation_add;
    char slot[16];

    if (change->operation == VIM_VirtualDeviceConfigSpecOperation_edit)
        return "VirtualMachine.Config.EditDevice";
    if (comes && VIM_AS(VirtualDisk, change->device))
        return NULL;
    return !comes && vm_slot_of_key(change->device->key, slot) && present(e, slot) &&
                   !is_cdrom(e, slot)
               ? "VirtualMachine.Config.RemoveDisk"
               : "VirtualMachine.Config.AddRemoveDevice";
}

static bool apply(struct editing *e, const struct vim_VirtualDeviceConfigSpec *change)
{
    const char *priv;

    if (!change->device)
        return bad_device(e, NULL);
    priv = e->vm ? privilege_of(e, change) : NULL;
    if (priv && !may(e, priv))
        return false;
    switch (change->operation) {
    case VIM_VirtualDeviceConfigSpecOperation_add:
        return add(e, change);
    case VIM_VirtualDeviceConfigSpecOperation_remove:
        return remove_device(e, change);
    case VIM_VirtualDeviceConfigSpecOperation_edit:
        return edit(e, change);
    default:
        return bad_device(e, "What to do with it is not said.");
    }
}

/* Controllers first: a spec may name them later than what is attached to them. */
bool vm_edit_devices(struct call *call, const struct virtual_machine *vm, struct plan *plan,
                     const struct vim_VirtualMachineConfigSpec *spec)
{
    struct editing e = {.call = call, .vm = vm, .plan = plan};

    for (int controllers = 1; controllers >= 0; controllers--)
        for (size_t i = 0; i < spec->deviceChange.count; i++) {
            const struct vim_VirtualDeviceConfigSpec *change = spec->deviceChange.items[i];
            bool first = change->device && VIM_AS(VirtualController, change->device) &&
                         change->operation == VIM_VirtualDeviceConfigSpecOperation_add;
            e.index = (int)i;
            if (first == controllers && !apply(&e, change))
                return false;
        }
    return true;
}
