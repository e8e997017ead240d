/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of a .vmx as VirtualDevice objects, under the keys that clients count on:
 *   IDE 200+n  PS/2 300  PCI 100  SIO 400  keyboard 600  pointing 700  video 500
 *   SCSI 1000+n, its disks 2000+16n+unit     AHCI 15000+n, 16000+30n+unit
 *   NVMe 31000+n, 32000+15n+unit             IDE disks and CDs 3000+2n+unit
 *   NIC 4000+n  serial 9000+n  floppy 8000+n  USB 7000  xHCI 14000 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/parse_num.h"
#include "base/range.h"
#include "config/vmcfg.h"
#include "hostd/api/call.h"
#include "hostd/api/vim_types.gen.h"
#include "hostd/model/network.h"
#include "hostd/model/virtual_machine.h"
#include "hostd/vm/vm_backing.h"

enum { KEY_PCI = 100, KEY_IDE = 200, KEY_PS2 = 300, KEY_SIO = 400 };

struct bus {
    const char *name;
    int32_t controller, device; /* keys of number 0, unit 0 */
    int32_t units, controllers;
};

static const struct bus buses[] = {
    {"scsi", 1000, 2000, 16, 4},
    {"sata", 15000, 16000, 30, 4},
    {"nvme", 31000, 32000, 15, 4},
    {"ide", 200, 3000, 2, 2},
};

bool vm_slot_of_key(int32_t key, char slot[16])
{
    for (unsigned i = 0; i < ARRAY_SIZE(buses); i++) {
        unsigned at = (unsigned)(key - buses[i].device);
        unsigned units = (unsigned)buses[i].units;
        if (key >= buses[i].device && at < units * (unsigned)buses[i].controllers) {
            (void)snprintf(slot, 16, "%s%u:%u", buses[i].name, at / units & 7, at % units & 31);
            return true;
        }
    }
    return false;
}

int32_t vm_key_of_slot(const char *slot)
{
    for (unsigned i = 0; i < ARRAY_SIZE(buses); i++) {
        size_t len = strlen(buses[i].name);
        if (strncasecmp(slot, buses[i].name, len) || slot[len] < '0' ||
            slot[len] >= '0' + buses[i].controllers || slot[len + 1] != ':')
            continue;
        unsigned unit;
        if (parse_unsigned(slot + len + 2, 0, (unsigned)buses[i].units - 1, &unit) == 0)
            return buses[i].device + (slot[len] - '0') * buses[i].units + (int32_t)unit;
    }
    return -1;
}

/* --- reading the dictionary --- */

struct reader {
    struct arena *arena;
    const struct virtual_machine *vm;
    struct vim_VirtualHardware *hardware;
};

static const char *get(const struct reader *r, const char *device, const char *what)
{
    char key[64];

    (void)snprintf(key, sizeof key, "%s.%s", device, what);
    return vmxfile_get(r->vm->vmx, key);
}

static bool is_on(const struct reader *r, const char *device, const char *what, bool fallback)
{
    const char *value = get(r, device, what);

    return value && *value ? !strcasecmp(value, "true") : fallback;
}

static bool present(const struct reader *r, const char *device)
{
    return is_on(r, device, "present", false);
}

unsigned vm_count_devices(const struct virtual_machine *vm, const char *prefix)
{
    const struct reader r = {.vm = vm};
    unsigned count = 0;
    char device[24];

    for (unsigned i = 0; vm->vmx && i < VMCFG_NICS_MAX; i++) {
        (void)snprintf(device, sizeof device, "%s%u", prefix, i);
        count += present(&r, device);
    }
    return count;
}

/* --- making objects --- */

/* Every device goes this way: key, name, place. */
static void put(const struct reader *r, void *object, int32_t key, const char *label,
                const char *summary, int32_t controller, int32_t unit)
{
    struct vim_VirtualDevice *device = object;

    device->key = key;
    device->deviceInfo = VIM_NEW(r->arena, Description);
    device->deviceInfo->label = label;
    device->deviceInfo->summary = summary;
    if (controller >= 0)
        device->controllerKey = vim_int(controller);
    if (unit >= 0)
        device->unitNumber = vim_int(unit);
    VIM_ADD(r->arena, &r->hardware->device, device);
    for (size_t i = 0; controller >= 0 && i < r->hardware->device.count; i++) {
        struct vim_VirtualController *c = VIM_AS(VirtualController, r->hardware->device.items[i]);
        if (c && c->key == controller)
            VIM_ADD(r->arena, &c->device, key);
    }
}

static struct vim_VirtualDeviceConnectInfo *connection(const struct reader *r, bool start,
                                                       bool guest_control)
{
    struct vim_VirtualDeviceConnectInfo *c = VIM_NEW(r->arena, VirtualDeviceConnectInfo);

    c->startConnected = start;
    c->allowGuestControl = guest_control;
    c->connected = start && r->vm->power == VM_ON;
    c->status = "untried";
    return c;
}

static void put_fixed(const struct reader *r)
{
    struct vim_VirtualMachineVideoCard *video = VIM_NEW(r->arena, VirtualMachineVideoCard);

    for (int i = 0; i < 2; i++) {
        struct vim_VirtualIDEController *ide = VIM_NEW(r->arena, VirtualIDEController);
        ide->busNumber = i;
        put(r, ide, KEY_IDE + i, arena_printf(r->arena, "IDE %d", i),
            arena_printf(r->arena, "IDE %d", i), -1, -1);
    }
    put(r, VIM_NEW(r->arena, VirtualPS2Controller), KEY_PS2, "PS2 controller 0", "PS2 controller 0",
        -1, -1);
    put(r, VIM_NEW(r->arena, VirtualPCIController), KEY_PCI, "PCI controller 0", "PCI controller 0",
        -1, -1);
    put(r, VIM_NEW(r->arena, VirtualSIOController), KEY_SIO, "SIO controller 0", "SIO controller 0",
        -1, -1);
    put(r, VIM_NEW(r->arena, VirtualKeyboard), 600, "Keyboard", "Keyboard", KEY_PS2, 0);
    struct vim_VirtualPointingDevice *pointing = VIM_NEW(r->arena, VirtualPointingDevice);
    struct vim_VirtualPointingDeviceDeviceBackingInfo *backing =
        VIM_NEW(r->arena, VirtualPointingDeviceDeviceBackingInfo);
    backing->deviceName = "";
    backing->useAutoDetect = vim_bool(false);
    backing->hostPointingDevice = "autodetect";
    pointing->backing = (struct vim_VirtualDeviceBackingInfo *)(void *)backing;
    put(r, pointing, 700, "Pointing device", "Pointing device; Device", KEY_PS2, 1);
    video->videoRamSizeInKB = vim_long(16384);
    video->numDisplays = vim_int(1);
    video->useAutoDetect = video->enable3DSupport = vim_bool(false);
    video->use3dRenderer = "automatic";
    put(r, video, 500, "Video card", "Video card", KEY_PCI, 0);
}

static void put_scsi(const struct reader *r, const char *device, int number)
{
    const char *model = get(r, device, "virtualDev");
    struct vim_VirtualSCSIController *c;
    const char *summary;

    if (model && !strcasecmp(model, "pvscsi")) {
        c = (void *)VIM_NEW(r->arena, ParaVirtualSCSIController);
        summary = "VMware paravirtual SCSI";
    } else if (model && !strcasecmp(model, "lsisas1068")) {
        c = (void *)VIM_NEW(r->arena, VirtualLsiLogicSASController);
        summary = "LSI Logic SAS";
    } else if (model && !strcasecmp(model, "buslogic")) {
        c = (void *)VIM_NEW(r->arena, VirtualBusLogicController);
        summary = "BusLogic";
    } else {
        c = (void *)VIM_NEW(r->arena, VirtualLsiLogicController);
        summary = "LSI Logic";
    }
    c->busNumber = number;
    c->sharedBus = VIM_VirtualSCSISharing_noSharing;
    c->hotAddRemove = vim_bool(true);
    c->scsiCtlrUnitNumber = vim_int(7);
    put(r, c, 1000 + number, arena_printf(r->arena, "SCSI controller %d", number), summary, KEY_PCI,
        3 + number);
}

static void put_controllers(const struct reader *r)
{
    char device[16];

    for (int i = 0; i < 4; i++) {
        (void)snprintf(device, sizeof device, "scsi%d", i);
        if (present(r, device))
            put_scsi(r, device, i);
    }
    for (int i = 0; i < 4; i++) {
        (void)snprintf(device, sizeof device, "sata%d", i);
        struct vim_VirtualAHCIController *c = VIM_NEW(r->arena, VirtualAHCIController);
        c->busNumber = i;
        if (present(r, device))
            put(r, c, 15000 + i, arena_printf(r->arena, "SATA controller %d", i), "AHCI", KEY_PCI,
                24 + i);
    }
    for (int i = 0; i < 4; i++) {
        (void)snprintf(device, sizeof device, "nvme%d", i);
        struct vim_VirtualNVMEController *c = VIM_NEW(r->arena, VirtualNVMEController);
        c->busNumber = i;
        if (present(r, device))
            put(r, c, 31000 + i, arena_printf(r->arena, "NVME controller %d", i), "NVMe", KEY_PCI,
                30 + i);
    }
    struct vim_VirtualUSBXHCIController *xhci = VIM_NEW(r->arena, VirtualUSBXHCIController);
    if (present(r, "usb_xhci"))
        put(r, xhci, 14000, "USB xHCI controller", "USB xHCI controller", KEY_PCI, 23);
}

/* "16,384 KB" */
static const char *with_commas(struct arena *arena, uint64_t kib)
{
    char digits[24], out[40];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)kib), at = 0;

    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return arena_printf(arena, "%s KB", out);
}

const char *vm_disk_mode(struct arena *arena, const char *mode)
{
    char *text = arena_strdup(arena, mode && *mode ? mode : "persistent");

    for (char *at = text; *at; at++)
        *at = *at == '-' ? '_' : (char)tolower((unsigned char)*at);
    return text;
}

static void put_disk(const struct reader *r, const char *slot, int32_t key, int32_t controller,
                     int32_t unit, int *number)
{
    struct vim_VirtualDisk *disk = VIM_NEW(r->arena, VirtualDisk);
    const struct vm_disk *size = vm_backing_measured(r->vm, slot);
    struct vim_VirtualDiskFlatVer2BackingInfo *backing =
        vm_backing(r->arena, r->vm, slot, get(r, slot, "fileName"), get(r, slot, "mode"));

    disk->backing = (struct vim_VirtualDeviceBackingInfo *)(void *)backing;
    disk->capacityInKB = size ? (int64_t)(size->capacity >> 10) : 0;
    disk->capacityInBytes = vim_long(size ? (int64_t)size->capacity : 0);
    disk->shares = VIM_NEW(r->arena, SharesInfo);
    disk->shares->shares = 1000;
    disk->shares->level = VIM_SharesLevel_normal;
    disk->storageIOAllocation = VIM_NEW(r->arena, StorageIOAllocationInfo);
    disk->storageIOAllocation->limit = vim_long(-1);
    disk->storageIOAllocation->reservation = vim_int(0);
    disk->storageIOAllocation->shares = disk->shares;
    disk->diskObjectId = arena_printf(r->arena, "%s-%d", r->vm->e.id, (int)key);
    disk->nativeUnmanagedLinkedClone = vim_bool(false);
    put(r, disk, key, arena_printf(r->arena, "Hard disk %d", ++*number),
        with_commas(r->arena, (uint64_t)disk->capacityInKB), controller, unit);
}

static void put_cdrom(const struct reader *r, const char *slot, int32_t key, int32_t controller,
                      int32_t unit, int *number)
{
    struct vim_VirtualCdrom *cdrom = VIM_NEW(r->arena, VirtualCdrom);
    const char *file = get(r, slot, "fileName"), *type = get(r, slot, "deviceType"), *summary;
    bool image = type && !strcasecmp(type, "cdrom-image") && file && *file;

    if (image) {
        struct vim_VirtualCdromIsoBackingInfo *iso = VIM_NEW(r->arena, VirtualCdromIsoBackingInfo);
        struct dspath path;
        struct datastore *datastore = vm_file(r->vm, file, &path);
        iso->fileName = vm_file_text(r->arena, r->vm, file);
        iso->datastore = datastore ? mo_ref(&datastore->e.mo) : (struct vim_ref){0};
        summary = arena_printf(r->arena, "ISO %s", iso->fileName);
        cdrom->backing = (struct vim_VirtualDeviceBackingInfo *)(void *)iso;
    } else {
        struct vim_VirtualCdromRemotePassthroughBackingInfo *remote =
            VIM_NEW(r->arena, VirtualCdromRemotePassthroughBackingInfo);
        remote->deviceName = "";
        remote->useAutoDetect = vim_bool(false);
        summary = "Remote device";
        cdrom->backing = (struct vim_VirtualDeviceBackingInfo *)(void *)remote;
    }
    cdrom->connectable = connection(r, is_on(r, slot, "startConnected", true), true);
    put(r, cdrom, key, arena_printf(r->arena, "CD/DVD drive %d", ++*number), summary, controller,
        unit);
}

static void put_drive(const struct reader *r, int32_t key, int *disks, int *cdroms)
{
    char slot[16];
    unsigned b = 0;

    if (!vm_slot_of_key(key, slot))
        return;
    while (strncmp(slot, buses[b].name, strlen(buses[b].name)) != 0)
        b++;
    int32_t at = key - buses[b].device, unit = at % buses[b].units;
    int32_t controller = buses[b].controller + at / buses[b].units;
    const char *type = get(r, slot, "deviceType");
    if (type && strcasestr(type, "cdrom"))
        put_cdrom(r, slot, key, controller, unit, cdroms);
    else
        put_disk(r, slot, key, controller, unit, disks);
}

static int compare_keys(const void *a, const void *b)
{
    return *(const int32_t *)a - *(const int32_t *)b;
}

/* The dictionary is walked once: asking for every place that a drive could have would cost more
 * than all the rest of a VM's configuration. */
static void put_drives(const struct reader *r)
{
    int32_t found[VM_DISKS_MAX * 2];
    int disks = 0, cdroms = 0;
    size_t at = 0, count = 0;
    const char *key;

    while ((key = vmxfile_next_key(r->vm->vmx, &at)) && count < ARRAY_SIZE(found)) {
        const char *dot = strchr(key, '.');
        char slot[16];
        if (!dot || strcasecmp(dot, ".present") || dot - key >= (ptrdiff_t)sizeof slot ||
            !memchr(key, ':', (size_t)(dot - key)))
            continue;
        (void)snprintf(slot, sizeof slot, "%.*s", (int)(dot - key), key);
        int32_t number = present(r, slot) ? vm_key_of_slot(slot) : -1;
        if (number >= 0)
            found[count++] = number;
    }
    qsort(found, count, sizeof *found, compare_keys);
    for (size_t i = 0; i < count; i++)
        if (!i || found[i] != found[i - 1])
            put_drive(r, found[i], &disks, &cdroms);
}

static struct vim_VirtualEthernetCard *new_card(const struct reader *r, const char *model)
{
    if (!strcasecmp(model, "vmxnet3"))
        return (void *)VIM_NEW(r->arena, VirtualVmxnet3);
    if (!strcasecmp(model, "e1000"))
        return (void *)VIM_NEW(r->arena, VirtualE1000);
    if (!strcasecmp(model, "e1000e"))
        return (void *)VIM_NEW(r->arena, VirtualE1000e);
    if (!strcasecmp(model, "vmxnet"))
        return (void *)VIM_NEW(r->arena, VirtualVmxnet);
    return (void *)VIM_NEW(r->arena, VirtualPCNet32);
}

static void put_card(const struct reader *r, const char *device, int number)
{
    const char *model = get(r, device, "virtualDev"), *type = get(r, device, "addressType");
    const char *network = get(r, device, "networkName");
    bool fixed = type && !strcasecmp(type, "static");
    const char *mac = get(r, device, fixed ? "address" : "generatedAddress");
    struct vim_VirtualEthernetCard *card = new_card(r, model ? model : "");
    struct vim_VirtualEthernetCardNetworkBackingInfo *backing =
        VIM_NEW(r->arena, VirtualEthernetCardNetworkBackingInfo);

    network = network && *network ? arena_strdup(r->arena, network) : NETWORK_DEFAULT;
    backing->deviceName = network;
    backing->useAutoDetect = vim_bool(false);
    struct entity *found = inventory_find(r->vm->e.hostd->inventory, VIM_MANAGED(Network), network);
    if (found)
        backing->network = mo_ref(&found->mo);
    card->backing = (struct vim_VirtualDeviceBackingInfo *)(void *)backing;
    card->addressType = fixed ? "manual" : "generated";
    card->macAddress = arena_strdup(r->arena, mac ? mac : get(r, device, "address"));
    card->wakeOnLanEnabled = vim_bool(true);
    card->uptCompatibilityEnabled = vim_bool(false);
    card->connectable = connection(r, is_on(r, device, "startConnected", true), true);
    put(r, card, 4000 + number, arena_printf(r->arena, "Network adapter %d", number + 1), network,
        KEY_PCI, 7 + number);
}

static void put_serial(const struct reader *r, const char *device, int number)
{
    struct vim_VirtualSerialPort *port = VIM_NEW(r->arena, VirtualSerialPort);
    const char *type = get(r, device, "fileType"), *file = get(r, device, "fileName");

    if (type && !strcasecmp(type, "file")) {
        struct vim_VirtualSerialPortFileBackingInfo *backing =
            VIM_NEW(r->arena, VirtualSerialPortFileBackingInfo);
        backing->fileName = vm_file_text(r->arena, r->vm, file ? file : "");
        port->backing = (struct vim_VirtualDeviceBackingInfo *)(void *)backing;
    } else if (type && !strcasecmp(type, "pipe")) {
        struct vim_VirtualSerialPortPipeBackingInfo *backing =
            VIM_NEW(r->arena, VirtualSerialPortPipeBackingInfo);
        backing->pipeName = arena_strdup(r->arena, file ? file : "");
        backing->endpoint = "server";
        port->backing = (struct vim_VirtualDeviceBackingInfo *)(void *)backing;
    }
    port->yieldOnPoll = is_on(r, device, "yieldOnMsrRead", true);
    port->connectable = connection(r, is_on(r, device, "startConnected", true), true);
    put(r, port, 9000 + number, arena_printf(r->arena, "Serial port %d", number + 1),
        file ? arena_strdup(r->arena, file) : "", KEY_SIO, number);
}

void vm_default_devices(struct arena *arena, struct vim_VirtualHardware *hardware)
{
    const struct reader r = {arena, NULL, hardware};

    put_fixed(&r);
}

void vm_devices(struct arena *arena, const struct virtual_machine *vm,
                struct vim_VirtualHardware *hardware)
{
    const struct reader r = {arena, vm, hardware};
    char device[24];

    put_fixed(&r);
    put_controllers(&r);
    put_drives(&r);
    for (int i = 0; i < VMCFG_NICS_MAX; i++) {
        (void)snprintf(device, sizeof device, "ethernet%d", i);
        if (present(&r, device))
            put_card(&r, device, i);
    }
    for (int i = 0; i < 4; i++) {
        (void)snprintf(device, sizeof device, "serial%d", i);
        if (present(&r, device))
            put_serial(&r, device, i);
    }
}
