/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's description as a .vmx dictionary, both ways. Keys are VMware's where VMware has the thing;
 * ours stand under `socle.` (and `virtioN:M` for virtio disks). docs/formats/vmx.md has the table.
 *
 * Deliberately missing: everything of ESXi's hardware that this version has no device for. What a
 * person would miss in the running VM is said in `warnings`; the rest is left alone. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/parse_num.h"
#include "config/nvram.h"
#include "config/vmcfg.h"

/* What ESXi writes where a drive has no file. */
#define NO_DISC "emptyBackingString"

struct reading {
    struct vmcfg *cfg;
    const struct vmxfile *vmx;
    const char *folder;
    struct buf *warnings;
    struct err *err;
};

/* A key of a device: "scsi0:1" or "ethernet2" and ".property". */
struct key {
    char text[64];
};

static struct key device_key(const char *device, const char *property)
{
    struct key key;

    (void)snprintf(key.text, sizeof key.text, "%.30s.%.32s", device, property);
    return key;
}

static struct key disk_device(enum vmcfg_bus bus, unsigned controller, unsigned unit)
{
    struct key key;

    (void)snprintf(key.text, sizeof key.text, "%s%u:%u", vmcfg_bus_word(bus), controller, unit);
    return key;
}

static struct key numbered(const char *word, unsigned number)
{
    struct key key;

    (void)snprintf(key.text, sizeof key.text, "%s%u", word, number);
    return key;
}

static void warn(const struct reading *r, const char *device, const char *reason)
{
    if (r->warnings)
        buf_printf(r->warnings, "%s: %s: %s\n", vmxfile_name(r->vmx), device, reason);
}

/* An empty value is an absent one, as in the typed reads of vmxfile. */
static const char *get(const struct reading *r, const char *key)
{
    const char *value = vmxfile_get(r->vmx, key);

    return value && *value ? value : NULL;
}

static bool get_is(const struct reading *r, const char *key, const char *word)
{
    const char *value = get(r, key);

    return value && !strcasecmp(value, word);
}

static int get_string(const struct reading *r, const char *key, char **field)
{
    const char *value = get(r, key);
    char *copy = value ? strdup(value) : NULL;

    if (!value)
        return 0;
    if (!copy)
        return -ENOMEM;
    free(*field);
    *field = copy;
    return 0;
}

static int get_path(const struct reading *r, const char *key, char **field)
{
    const char *value = get(r, key);
    char *path = NULL;

    if (!value || *value == '/' || !r->folder || !*r->folder)
        return get_string(r, key, field);
    if (asprintf(&path, "%s/%s", r->folder, value) < 0)
        return -ENOMEM;
    free(*field);
    *field = path;
    return 0;
}

/* Reading, one subject a function. */

static int read_identity(const struct reading *r)
{
    const char *uuid = get(r, "uuid.bios"), *engine = get(r, "socle.engine");
    const char *cpu = get(r, "socle.cpu");
    int rc = get_string(r, "displayName", &r->cfg->name);

    if (rc < 0)
        return rc;
    if (get(r, "encryption.keySafe") || get(r, "encryption.data"))
        return err_set(r->err, -EINVAL,
                       "%s: an encrypted VM; decrypt it with the software that made it",
                       vmxfile_name(r->vmx));
    if (uuid && vmcfg_uuid_parse(uuid, r->cfg->uuid) < 0)
        return vmxfile_complain(r->vmx, "uuid.bios", r->err, -EINVAL,
                                "not a UUID; write 16 bytes in hexadecimal or remove the line");
    if (engine && vmcfg_engine_parse(engine, &r->cfg->engine) < 0)
        return vmxfile_complain(r->vmx, "socle.engine", r->err, -EINVAL, "not auto, kvm or bt");
    if (cpu && strcasecmp(cpu, "host") != 0 && strcasecmp(cpu, "portable") != 0)
        return vmxfile_complain(r->vmx, "socle.cpu", r->err, -EINVAL, "not host or portable");
    r->cfg->portable_cpu = cpu && !strcasecmp(cpu, "portable");
    return 0;
}

static int read_sizes(const struct reading *r)
{
    struct vmcfg *cfg = r->cfg;
    uint64_t mib = cfg->memory >> 20;
    int rc = vmxfile_get_u64(r->vmx, "memSize", VMCFG_MEMORY_MIN >> 20, VMCFG_MEMORY_MAX >> 20,
                             &mib, r->err);

    if (!rc && mib % (VMCFG_MEMORY_UNIT >> 20))
        rc =
            vmxfile_complain(r->vmx, "memSize", r->err, -EINVAL, "not a multiple of 4 (megabytes)");
    if (!rc)
        rc = vmxfile_get_unsigned(r->vmx, "numvcpus", 1, VMCFG_CPUS_MAX, &cfg->cpus, r->err);
    if (!rc && get(r, "numvcpus"))
        cfg->cores_per_socket = 1; /* what an absent coresPerSocket means */
    if (!rc)
        rc = vmxfile_get_unsigned(r->vmx, "cpuid.coresPerSocket", 1, VMCFG_CORES_PER_SOCKET_MAX,
                                  &cfg->cores_per_socket, r->err);
    if (!rc)
        rc = vmxfile_get_bool(r->vmx, "socle.hugePages", &cfg->huge_pages, r->err);
    cfg->memory = mib << 20;
    return rc;
}

/* One that is there and empty says nothing. */
static int get_list(const struct reading *r, const char *key, char **field)
{
    const char *value = get(r, key);

    return value && *value ? get_string(r, key, field) : 0;
}

static int read_boot(const struct reading *r)
{
    struct vmcfg *cfg = r->cfg;
    const char *firmware = get(r, "firmware"), *own = get(r, NVRAM_OWN_KEY);
    bool own_nvram = own && *own;
    int rc;

    if (firmware && vmcfg_firmware_parse(firmware, &cfg->firmware) < 0)
        return vmxfile_complain(r->vmx, "firmware", r->err, -EINVAL, "not efi, bios or none");
    if ((rc = vmxfile_get_bool(r->vmx, "uefi.secureBoot.enabled", &cfg->secure_boot, r->err)) < 0 ||
        (rc = get_path(r, own_nvram ? NVRAM_OWN_KEY : "nvram", &cfg->nvram)) < 0 ||
        (rc = get_path(r, "checkpoint.vmState", &cfg->state)) < 0 ||
        (rc = get_path(r, "socle.firmwareLog", &cfg->firmware_log)) < 0 ||
        (rc = get_path(r, "socle.kernel", &cfg->kernel)) < 0 ||
        (rc = get_path(r, "socle.initrd", &cfg->initrd)) < 0 ||
        (rc = vmxfile_get_unsigned(r->vmx, "socle.debugExit", 1, VMCFG_DEBUG_EXIT_MAX,
                                   &cfg->debug_exit, r->err)) < 0)
        return rc;
    if ((rc = get_list(r, "bios.bootOrder", &cfg->boot_order)) < 0 ||
        (rc = get_list(r, "bios.hddOrder", &cfg->boot_disks)) < 0)
        return rc;
    return get_string(r, "socle.append", &cfg->append);
}

/* Slots with hot-plug: ESXi's root ports are pciBridge4 to 7, and what stands behind N has
 * pciSlotNumber (N + 1) * 32. */
enum { FIRST_BRIDGE = 4, SLOT_NUMBER_UNIT = 32 };

static struct key bridge(unsigned slot)
{
    return numbered("pciBridge", FIRST_BRIDGE + slot - 1);
}

static int read_slots(const struct reading *r)
{
    struct vmcfg *cfg = r->cfg;

    for (unsigned slot = 1; slot <= VMCFG_SLOTS_MAX; slot++) {
        struct key device = bridge(slot), present = device_key(device.text, "present");
        bool there = false;
        int rc = vmxfile_get_bool(r->vmx, present.text, &there, r->err);
        if (rc < 0)
            return rc;
        if (!get(r, present.text))
            continue;
        cfg->slots_given = true;
        cfg->slots &= ~BIT(slot - 1);
        if (there && get_is(r, device_key(device.text, "virtualDev").text, "pcieRootPort"))
            cfg->slots |= BIT(slot - 1);
    }
    return 0;
}

/* A device in a slot that this VM does not have (a legacy bridge's, another function of a root
 * port, ESXi's -1) stands in none. */
static unsigned slot_of(const struct vmcfg *cfg, const char *number)
{
    unsigned n, port;

    if (!number || parse_unsigned(number, 0, UINT16_MAX, &n) < 0 || n % SLOT_NUMBER_UNIT)
        return 0;
    port = n / SLOT_NUMBER_UNIT - FIRST_BRIDGE - 1;
    return port < VMCFG_SLOTS_MAX && (!cfg->slots_given || cfg->slots & BIT(port)) ? port + 1 : 0;
}

static unsigned read_slot(const struct reading *r, const char *device)
{
    return slot_of(r->cfg, get(r, device_key(device, "pciSlotNumber").text));
}

/* Disks. */

/* A decimal number without leading zeros, at most 255; moves *text behind it. */
static int small_number(const char **text, unsigned *ret_v)
{
    const char *p = *text;
    unsigned v = 0;

    for (; isdigit((unsigned char)*p) && p - *text < 3; p++)
        v = 10 * v + (unsigned)(*p - '0');
    if (p == *text || (**text == '0' && p - *text > 1) || v > 255)
        return -EINVAL;
    *text = p;
    *ret_v = v;
    return 0;
}

/* Is this key BUSc:u.present? */
static bool disk_present_key(const char *key, enum vmcfg_bus *ret_bus, unsigned *ret_controller,
                             unsigned *ret_unit)
{
    for (enum vmcfg_bus bus = 0; bus < VMCFG_BUS_MAX; bus++) {
        const char *word = vmcfg_bus_word(bus), *p = key + strlen(word);
        if (strncasecmp(key, word, strlen(word)) || small_number(&p, ret_controller) < 0 ||
            *p++ != ':' || small_number(&p, ret_unit) < 0 || strcasecmp(p, ".present"))
            continue;
        *ret_bus = bus;
        return true;
    }
    return false;
}

static struct vmcfg_disk *find_disk(const struct vmcfg *cfg, enum vmcfg_bus bus,
                                    unsigned controller, unsigned unit)
{
    for (unsigned i = 0; i < cfg->disk_count; i++) {
        struct vmcfg_disk *disk = &cfg->disks[i];
        if (disk->bus == bus && disk->controller == controller && disk->unit == unit)
            return disk;
    }
    return NULL;
}

static int read_device_type(const struct reading *r, const char *device, struct vmcfg_disk *disk,
                            bool *ret_host_drive)
{
    struct key key = device_key(device, "deviceType");
    const char *type = get(r, key.text);

    *ret_host_drive = type && (!strcasecmp(type, "cdrom-raw") || !strcasecmp(type, "atapi-cdrom"));
    disk->cdrom = *ret_host_drive || (type && !strcasecmp(type, "cdrom-image"));
    if (!type || disk->cdrom || !strcasecmp(type, "disk") || !strcasecmp(type, "scsi-hardDisk") ||
        !strcasecmp(type, "ata-hardDisk"))
        return 0;
    return vmxfile_complain(r->vmx, key.text, r->err, -EINVAL,
                            "this version has disk, scsi-hardDisk and cdrom-image");
}

/* A disk that a snapshot or a power-off would throw away must not be written as if it were kept. */
static int check_mode(const struct reading *r, const char *device)
{
    struct key key = device_key(device, "mode");
    const char *mode = get(r, key.text);

    if (!mode || !strcasecmp(mode, "persistent") || !strcasecmp(mode, "independent-persistent"))
        return 0;
    return vmxfile_complain(r->vmx, key.text, r->err, -EINVAL,
                            "this version writes only persistent disks; change the mode");
}

static int read_medium(const struct reading *r, const char *device, struct vmcfg_disk *disk,
                       bool host_drive)
{
    struct key key = device_key(device, "fileName");
    bool connected = true;
    int rc = 0;

    if (disk->cdrom)
        rc =
            vmxfile_get_bool(r->vmx, device_key(device, "startConnected").text, &connected, r->err);
    if (rc < 0)
        return rc;
    if (host_drive && connected && get(r, key.text) && !get_is(r, key.text, NO_DISC))
        warn(r, device, "the host's own drive is not passed on; the VM gets an empty one");
    if (!host_drive && connected && !(disk->cdrom && get_is(r, key.text, NO_DISC)))
        return get_path(r, key.text, &disk->file);
    return 0;
}

static int read_disk(const struct reading *r, const char *device, struct vmcfg_disk *disk)
{
    struct key format = device_key(device, "socle.format");
    bool host_drive = false;
    int rc = read_device_type(r, device, disk, &host_drive);

    if (!rc && !disk->cdrom)
        rc = check_mode(r, device);
    if (!rc)
        rc = vmxfile_get_bool(r->vmx, device_key(device, "readonly").text, &disk->readonly, r->err);
    if (!rc && get(r, format.text) &&
        vmcfg_disk_format_parse(get(r, format.text), &disk->format) < 0)
        rc = vmxfile_complain(r->vmx, format.text, r->err, -EINVAL, "not auto, raw or vmdk");
    if (vmcfg_bus_has_slots(disk->bus)) /* others share their controller's */
        disk->slot = read_slot(r, device);
    return rc < 0 ? rc : read_medium(r, device, disk, host_drive);
}

/* ESXi ignores a disk whose controller is absent. IDE and virtio have none of their own. */
static int controller_present(const struct reading *r, enum vmcfg_bus bus, unsigned controller,
                              bool *ret_present)
{
    struct key device = numbered(vmcfg_bus_word(bus), controller);

    *ret_present = bus == VMCFG_BUS_IDE || bus == VMCFG_BUS_VIRTIO;
    return *ret_present ? 0
                        : vmxfile_get_bool(r->vmx, device_key(device.text, "present").text,
                                           ret_present, r->err);
}

static int read_disk_at(const struct reading *r, const char *key, enum vmcfg_bus bus,
                        unsigned controller, unsigned unit)
{
    struct key device = disk_device(bus, controller, unit);
    bool present = false, reachable = false;
    int rc;

    if (controller >= vmcfg_bus_controllers(bus) || unit >= vmcfg_bus_units(bus))
        return vmxfile_complain(r->vmx, key, r->err, -EINVAL, "there is no such place on this bus");
    rc = vmxfile_get_bool(r->vmx, key, &present, r->err);
    if (!rc && present)
        rc = controller_present(r, bus, controller, &reachable);
    if (rc < 0 || !present)
        return rc;
    if (!reachable) {
        warn(r, device.text, "left out; its controller is not present");
        return 0;
    }
    struct vmcfg_disk *disk = vmcfg_add_disk(r->cfg, bus, r->err);
    if (!disk)
        return -E2BIG;
    disk->controller = controller;
    disk->unit = unit;
    return read_disk(r, device.text, disk);
}

static int read_disks(const struct reading *r)
{
    unsigned controller, unit;
    enum vmcfg_bus bus;
    size_t at = 0;

    for (unsigned i = 0; i < r->cfg->disk_count; i++)
        free(r->cfg->disks[i].file);
    r->cfg->disk_count = 0;
    for (const char *key; (key = vmxfile_next_key(r->vmx, &at));) {
        if (!disk_present_key(key, &bus, &controller, &unit) ||
            find_disk(r->cfg, bus, controller, unit))
            continue; /* seen already: a duplicate, of which the last counts */
        int rc = read_disk_at(r, key, bus, controller, unit);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Network cards. */

/* The range where a person may choose: 00:50:56:00:00:00 to 00:50:56:3f:ff:ff. */
static bool mac_in_static_range(const uint8_t mac[6])
{
    return mac[0] == 0x00 && mac[1] == 0x50 && mac[2] == 0x56 && mac[3] <= 0x3f;
}

static int read_mac(const struct reading *r, const char *device, struct vmcfg_nic *nic)
{
    bool check = true;

    nic->mac_static = get_is(r, device_key(device, "addressType").text, "static");
    struct key key = device_key(device, nic->mac_static ? "address" : "generatedAddress");
    const char *text = get(r, key.text);
    int rc = vmxfile_get_bool(r->vmx, device_key(device, "checkMACAddress").text, &check, r->err);

    if (rc < 0 || !text)
        return rc;
    if (vmcfg_mac_parse(text, nic->mac) < 0)
        return vmxfile_complain(r->vmx, key.text, r->err, -EINVAL,
                                "not a MAC address; write it like 00:50:56:00:00:01");
    if (nic->mac_static && check && !mac_in_static_range(nic->mac))
        return vmxfile_complain(
            r->vmx, key.text, r->err, -EINVAL,
            "outside 00:50:56:00:00:00-00:50:56:3f:ff:ff; choose another or set "
            "%s.checkMACAddress to FALSE",
            device);
    return 0;
}

static int read_connection(const struct reading *r, const char *device, struct vmcfg_nic *nic)
{
    struct key type = device_key(device, "connectionType"), tap = device_key(device, "vnet");
    const char *ifname = get(r, tap.text);

    if (get_is(r, type.text, "tap")) {
        if (!ifname || strlen(ifname) > VMCFG_IFNAME_MAX)
            return vmxfile_complain(r->vmx, tap.text, r->err, -EINVAL,
                                    "a tap connection needs the interface's name, at most %d bytes",
                                    VMCFG_IFNAME_MAX);
        nic->type = VMCFG_NIC_TAP;
        (void)snprintf(nic->ifname, sizeof nic->ifname, "%s", ifname);
    } else if (get(r, device_key(device, "networkName").text) ||
               (get(r, type.text) && !get_is(r, type.text, "nat"))) {
        warn(r, device, "no port groups here; connected by user-mode networking");
    }
    return vmxfile_get_bool(r->vmx, device_key(device, "startConnected").text, &nic->connected,
                            r->err);
}

static int read_nic(const struct reading *r, unsigned index)
{
    struct key device = numbered("ethernet", index);
    struct key model = device_key(device.text, "virtualDev");
    const char *word = get(r, model.text);
    bool present = false;
    int rc = vmxfile_get_bool(r->vmx, device_key(device.text, "present").text, &present, r->err);

    if (rc < 0 || !present)
        return rc;
    struct vmcfg_nic *nic = vmcfg_add_nic(r->cfg, r->err);
    if (!nic)
        return -E2BIG;
    nic->index = index;
    nic->model = VMCFG_NIC_VLANCE; /* ESXi's "flexible" adapter is the one without a name */
    if (word && vmcfg_nic_model_parse(word, &nic->model) < 0)
        return vmxfile_complain(r->vmx, model.text, r->err, -EINVAL,
                                "not virtio, vmxnet3, e1000, e1000e or vlance");
    rc = read_connection(r, device.text, nic);
    nic->slot = read_slot(r, device.text);
    if (rc == 0)
        rc = vmxfile_get_unsigned(r->vmx, device_key(device.text, "socle.queues").text, 1,
                                  VMCFG_NIC_QUEUES_MAX, &nic->queues, r->err);
    return rc < 0 ? rc : read_mac(r, device.text, nic);
}

static int read_nics(const struct reading *r)
{
    r->cfg->nic_count = 0;
    for (unsigned i = 0; i < VMCFG_NICS_MAX; i++) {
        int rc = read_nic(r, i);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Serial port and screen. */

/* `device` is serial0 or virtioConsole0; both say it in the same words. */
static int read_stream(const struct reading *r, const char *device, struct vmcfg_stream *stream)
{
    struct key present = device_key(device, "present"), type = device_key(device, "fileType");
    struct key end = device_key(device, "pipe.endPoint"), name = device_key(device, "fileName");
    bool is_present = false;
    int rc = vmxfile_get_bool(r->vmx, present.text, &is_present, r->err);

    if (rc < 0 || !get(r, present.text))
        return rc;
    stream->type = VMCFG_STREAM_NONE;
    if (!is_present)
        return 0;
    if (get_is(r, type.text, "stdio")) {
        stream->type = VMCFG_STREAM_STDIO;
        return 0;
    }
    bool pipe = get_is(r, type.text, "pipe");
    if (pipe && get_is(r, end.text, "client"))
        return vmxfile_complain(r->vmx, end.text, r->err, -EINVAL,
                                "this version only listens; set it to server");
    if (!pipe && !get_is(r, type.text, "file")) {
        warn(r, device, "left out; its fileType is not pipe, file or stdio");
        return 0;
    }
    stream->type = pipe ? VMCFG_STREAM_UNIX : VMCFG_STREAM_FILE;
    return get_path(r, name.text, &stream->path);
}

static int read_streams(const struct reading *r)
{
    int rc = read_stream(r, "serial0", &r->cfg->serial);

    return rc < 0 ? rc : read_stream(r, "virtioConsole0", &r->cfg->console);
}

static int read_usb(const struct reading *r)
{
    bool present = false;
    int rc = vmxfile_get_bool(r->vmx, "usb_xhci.present", &present, r->err);

    if (rc == 0 && vmxfile_get(r->vmx, "usb_xhci.present"))
        r->cfg->usb = present ? VMCFG_USB_YES : VMCFG_USB_NO;
    return rc;
}

static int read_vnc(const struct reading *r)
{
    struct vmcfg *cfg = r->cfg;
    unsigned port = 5900;
    bool enabled = false;
    int rc = vmxfile_get_bool(r->vmx, "RemoteDisplay.vnc.enabled", &enabled, r->err);

    if (rc < 0 || !enabled)
        return rc;
    rc = vmxfile_get_unsigned(r->vmx, "RemoteDisplay.vnc.port", 1, UINT16_MAX, &port, r->err);
    if (!rc)
        rc = get_string(r, "RemoteDisplay.vnc.ip", &cfg->vnc_addr);
    if (!rc && !cfg->vnc_addr && !(cfg->vnc_addr = strdup("127.0.0.1")))
        rc = -ENOMEM;
    if (!rc)
        rc = get_string(r, "RemoteDisplay.vnc.password", &cfg->vnc_password);
    cfg->vnc_port = (uint16_t)port;
    return rc;
}

/* Devices that a person would miss. */
static int read_left_out(const struct reading *r)
{
    static const char *const devices[] = {"serial1", "serial2",      "serial3",     "floppy0",
                                          "floppy1", "parallel0",    "sound",       "vtpm",
                                          "nvdimm0", "pciPassthru0", "pciPassthru1"};

    for (unsigned i = 0; i < ARRAY_SIZE(devices); i++) {
        bool present = false;
        int rc = vmxfile_get_bool(r->vmx, device_key(devices[i], "present").text, &present, r->err);
        if (rc < 0)
            return rc;
        if (present)
            warn(r, devices[i], "left out; this version has no such device");
    }
    return 0;
}

int vmcfg_from_vmx(struct vmcfg *cfg, const struct vmxfile *vmx, const char *folder,
                   struct buf *warnings, struct err *err)
{
    static int (*const parts[])(const struct reading *r) = {
        read_identity, read_sizes,   read_boot, read_slots, read_disks,
        read_nics,     read_streams, read_usb,  read_vnc,   read_left_out,
    };
    const struct reading r = {cfg, vmx, folder, warnings, err};
    int rc = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(parts) && !rc; i++)
        rc = parts[i](&r);
    return rc == -ENOMEM ? err_sys(err, rc, "%s", vmxfile_name(vmx)) : rc;
}

/* Writing. The first failure sticks, so that the keys below read as a list. */

struct writing {
    struct vmxfile *vmx;
    int rc;
};

static void put(struct writing *w, const char *key, const char *value)
{
    if (w->rc)
        return;
    if (value)
        w->rc = vmxfile_set(w->vmx, key, value);
    else
        vmxfile_remove(w->vmx, key);
}

static void put_number(struct writing *w, const char *key, uint64_t value)
{
    if (!w->rc)
        w->rc = vmxfile_set_u64(w->vmx, key, value);
}

/* Keeps the file's own spelling of a truth that is right already. */
static void put_bool(struct writing *w, const char *key, bool value)
{
    const char *text = vmxfile_get(w->vmx, key);
    bool there = !value;

    if (!w->rc && (!text || vmxfile_get_bool(w->vmx, key, &there, NULL) < 0 || there != value))
        w->rc = vmxfile_set_bool(w->vmx, key, value);
}

static void put_device(struct writing *w, struct key device, const char *property,
                       const char *value)
{
    put(w, device_key(device.text, property).text, value);
}

/* As ESXi numbers it; a number that means no slot of ours stays as it is. */
static void write_slot(struct writing *w, const struct vmcfg *cfg, struct key device, unsigned slot)
{
    struct key key = device_key(device.text, "pciSlotNumber");

    if (slot)
        put_number(w, key.text, vmcfg_slot_number(slot));
    else if (slot_of(cfg, vmxfile_get(w->vmx, key.text)))
        put(w, key.text, NULL);
}

static void write_slots(struct writing *w, const struct vmcfg *cfg)
{
    bool usual = cfg->slots == vmcfg_slots_default(cfg);

    for (unsigned slot = 1; slot <= VMCFG_SLOTS_MAX; slot++) {
        struct key device = bridge(slot), present = device_key(device.text, "present");
        bool there = cfg->slots & BIT(slot - 1);
        if (usual && !vmxfile_get(w->vmx, present.text))
            continue;
        put_bool(w, present.text, there);
        if (there)
            put_device(w, device, "virtualDev", "pcieRootPort");
    }
}

static void write_disk_type(struct writing *w, struct key device, const struct vmcfg_disk *disk)
{
    const char *type = vmxfile_get(w->vmx, device_key(device.text, "deviceType").text);
    bool image = type && !strcasecmp(type, "cdrom-image");
    bool host_drive = type && !image && strcasestr(type, "cdrom");

    if (disk->cdrom ? image || (host_drive && !disk->file) : type && !image && !host_drive)
        return; /* as the file has it */
    put_device(w, device, "deviceType",
               disk->cdrom                   ? "cdrom-image"
               : disk->bus == VMCFG_BUS_SCSI ? "scsi-hardDisk"
                                             : "disk");
}

static void write_disk(struct writing *w, const struct vmcfg *cfg, const struct vmcfg_disk *disk)
{
    struct key device = disk_device(disk->bus, disk->controller, disk->unit);

    if (disk->bus != VMCFG_BUS_IDE && disk->bus != VMCFG_BUS_VIRTIO)
        put_bool(
            w,
            device_key(numbered(vmcfg_bus_word(disk->bus), disk->controller).text, "present").text,
            true);
    put_bool(w, device_key(device.text, "present").text, true);
    write_disk_type(w, device, disk);
    put_device(w, device, "fileName", disk->file ? disk->file : NO_DISC);
    if (disk->cdrom && disk->file)
        put_bool(w, device_key(device.text, "startConnected").text, true);
    if (!disk->cdrom)
        put_device(w, device, "readonly", disk->readonly ? "TRUE" : NULL);
    write_slot(w, cfg, device, vmcfg_bus_has_slots(disk->bus) ? disk->slot : 0);
    put_device(w, device, "socle.format",
               disk->format == vmcfg_disk_format_default(disk)
                   ? NULL
                   : vmcfg_disk_format_word(disk->format));
}

/* The first present disk of the dictionary that `cfg` does not have, NULL when there is none. */
static const char *find_gone_disk(const struct vmcfg *cfg, const struct vmxfile *vmx)
{
    unsigned controller, unit;
    enum vmcfg_bus bus;
    size_t at = 0;

    for (const char *key; (key = vmxfile_next_key(vmx, &at));) {
        bool present = false;
        if (disk_present_key(key, &bus, &controller, &unit) &&
            !find_disk(cfg, bus, controller, unit) &&
            (vmxfile_get_bool(vmx, key, &present, NULL) < 0 || present))
            return key;
    }
    return NULL;
}

static void write_disks(struct writing *w, const struct vmcfg *cfg)
{
    char gone[VMXFILE_KEY_MAX + 1];

    for (const char *key; !w->rc && (key = find_gone_disk(cfg, w->vmx));) {
        (void)snprintf(gone, sizeof gone, "%s", key);
        put(w, gone, "FALSE");
    }
    for (unsigned i = 0; i < cfg->disk_count; i++)
        write_disk(w, cfg, &cfg->disks[i]);
}

static void write_mac(struct writing *w, struct key device, const struct vmcfg_nic *nic)
{
    struct key type = device_key(device.text, "addressType");
    const char *was = vmxfile_get(w->vmx, type.text);
    bool was_static = was && !strcasecmp(was, "static");
    char mac[VMCFG_MAC_TEXT];

    vmcfg_mac_format(nic->mac, mac);
    if (!was || was_static != nic->mac_static)
        put(w, type.text, nic->mac_static ? "static" : "generated"); /* but "vpx" stays */
    put_device(w, device, nic->mac_static ? "address" : "generatedAddress", mac);
    if (nic->mac_static && !mac_in_static_range(nic->mac))
        put_bool(w, device_key(device.text, "checkMACAddress").text, false);
}

static void write_nic(struct writing *w, const struct vmcfg *cfg, const struct vmcfg_nic *nic)
{
    struct key device = numbered("ethernet", nic->index);
    bool tap = nic->type == VMCFG_NIC_TAP;

    put_bool(w, device_key(device.text, "present").text, true);
    put_device(w, device, "virtualDev", vmcfg_nic_model_word(nic->model));
    put_device(w, device, "connectionType", tap ? "tap" : "nat");
    put_device(w, device, "vnet", tap ? nic->ifname : NULL);
    put_bool(w, device_key(device.text, "startConnected").text, nic->connected);
    if (nic->queues > 1)
        put_number(w, device_key(device.text, "socle.queues").text, nic->queues);
    else
        put_device(w, device, "socle.queues", NULL);
    write_slot(w, cfg, device, nic->slot);
    write_mac(w, device, nic);
}

static void write_nics(struct writing *w, const struct vmcfg *cfg)
{
    for (unsigned index = 0, i = 0; index < VMCFG_NICS_MAX; index++) {
        struct key present = device_key(numbered("ethernet", index).text, "present");
        if (i < cfg->nic_count && cfg->nics[i].index == index)
            write_nic(w, cfg, &cfg->nics[i++]);
        else if (vmxfile_get(w->vmx, present.text))
            put_bool(w, present.text, false);
    }
}

static void write_stream(struct writing *w, const char *device, const struct vmcfg_stream *stream)
{
    static const char *const types[VMCFG_STREAM_MAX] = {
        [VMCFG_STREAM_STDIO] = "stdio", [VMCFG_STREAM_UNIX] = "pipe", [VMCFG_STREAM_FILE] = "file"};

    put_bool(w, device_key(device, "present").text, stream->type != VMCFG_STREAM_NONE);
    if (types[stream->type])
        put(w, device_key(device, "fileType").text, types[stream->type]);
    if (stream->path)
        put(w, device_key(device, "fileName").text, stream->path);
}

static void write_endpoints(struct writing *w, const struct vmcfg *cfg)
{
    write_stream(w, "serial0", &cfg->serial);
    if (cfg->console.type != VMCFG_STREAM_NONE || vmxfile_get(w->vmx, "virtioConsole0.present"))
        write_stream(w, "virtioConsole0", &cfg->console);
    put_bool(w, "usb_xhci.present", cfg->usb == VMCFG_USB_YES);
    put_bool(w, "RemoteDisplay.vnc.enabled", cfg->vnc_addr);
    if (cfg->vnc_addr) {
        put(w, "RemoteDisplay.vnc.ip", cfg->vnc_addr);
        put_number(w, "RemoteDisplay.vnc.port", cfg->vnc_port);
        put(w, "RemoteDisplay.vnc.password", cfg->vnc_password);
    }
}

int vmcfg_to_vmx(const struct vmcfg *cfg, struct vmxfile *vmx)
{
    struct writing w = {.vmx = vmx};
    char uuid[VMCFG_UUID_TEXT];
    bool uefi = cfg->firmware == VMCFG_FIRMWARE_UEFI;

    vmcfg_uuid_format(cfg->uuid, uuid);
    put(&w, ".encoding", "UTF-8");
    put(&w, "displayName", cfg->name);
    put(&w, "uuid.bios", uuid);
    put(&w, "socle.engine", vmcfg_engine_word(cfg->engine));
    put(&w, "socle.cpu", cfg->portable_cpu ? "portable" : NULL);
    put_number(&w, "numvcpus", cfg->cpus);
    put_number(&w, "cpuid.coresPerSocket", cfg->cores_per_socket);
    put_number(&w, "memSize", cfg->memory >> 20);
    put(&w, "socle.hugePages", cfg->huge_pages ? "TRUE" : NULL);
    put(&w, "firmware", uefi ? "efi" : vmcfg_firmware_word(cfg->firmware));
    if (uefi)
        put_bool(&w, "uefi.secureBoot.enabled", cfg->secure_boot);
    put(&w, "nvram", cfg->nvram);
    put(&w, "checkpoint.vmState", cfg->state);
    put(&w, "socle.firmwareLog", cfg->firmware_log);
    put(&w, "bios.bootOrder", cfg->boot_order);
    put(&w, "bios.hddOrder", cfg->boot_disks);
    put(&w, "socle.kernel", cfg->kernel);
    put(&w, "socle.initrd", cfg->initrd);
    put(&w, "socle.append", cfg->append);
    if (cfg->debug_exit)
        put_number(&w, "socle.debugExit", cfg->debug_exit);
    else
        put(&w, "socle.debugExit", NULL);
    write_slots(&w, cfg);
    write_disks(&w, cfg);
    write_nics(&w, cfg);
    write_endpoints(&w, cfg);
    return w.rc;
}
