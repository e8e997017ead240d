/* SPDX-License-Identifier: Apache-2.0 */
/* Defaults, derived values and validation of a VM's description. Reading and writing it as a
 * dictionary is vmcfg_vmx.c, spelling is vmcfg_words.c. */
#include "config/vmcfg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/un.h>

#include "base/utf8.h"

void vmcfg_init(struct vmcfg *cfg)
{
    *cfg = (struct vmcfg){.cpus = 1, .memory = MIB(512)};
}

void vmcfg_free(struct vmcfg *cfg)
{
    for (unsigned i = 0; i < cfg->disk_count; i++)
        free(cfg->disks[i].file);
    free(cfg->disks);
    free(cfg->nics);
    free(cfg->name);
    free(cfg->nvram);
    free(cfg->state);
    free(cfg->firmware_log);
    free(cfg->boot_order);
    free(cfg->boot_disks);
    free(cfg->kernel);
    free(cfg->initrd);
    free(cfg->append);
    free(cfg->serial.path);
    free(cfg->console.path);
    free(cfg->vnc_addr);
    free(cfg->vnc_password);
    *cfg = (struct vmcfg){0};
}

/* Lowest unit of the bus's controllers that no disk has; -ENOSPC when full. */
static int free_unit(const struct vmcfg *cfg, enum vmcfg_bus bus, unsigned *ret_controller,
                     unsigned *ret_unit)
{
    unsigned units = vmcfg_bus_units(bus);

    for (unsigned at = 0; at < units * vmcfg_bus_controllers(bus); at++) {
        bool taken = bus == VMCFG_BUS_SCSI && at % units == 7; /* the controller's own id */
        for (unsigned i = 0; i < cfg->disk_count && !taken; i++) {
            const struct vmcfg_disk *disk = &cfg->disks[i];
            taken = disk->bus == bus && disk->controller * units + disk->unit == at;
        }
        if (!taken) {
            *ret_controller = at / units;
            *ret_unit = at % units;
            return 0;
        }
    }
    return -ENOSPC;
}

struct vmcfg_disk *vmcfg_add_disk(struct vmcfg *cfg, enum vmcfg_bus bus, struct err *err)
{
    struct vmcfg_disk disk = {.bus = bus};

    if (cfg->disk_count == VMCFG_DISKS_MAX) {
        (void)err_set(err, -E2BIG, "more than %d disks", VMCFG_DISKS_MAX);
        return NULL;
    }
    if (free_unit(cfg, bus, &disk.controller, &disk.unit) < 0) {
        (void)err_set(err, -E2BIG, "no unit is free on the %s bus", vmcfg_bus_word(bus));
        return NULL;
    }
    struct vmcfg_disk *disks = reallocarray(cfg->disks, cfg->disk_count + 1, sizeof *disks);
    if (!disks) {
        (void)err_sys(err, -ENOMEM, "disk");
        return NULL;
    }
    cfg->disks = disks;
    disks[cfg->disk_count] = disk;
    return &disks[cfg->disk_count++];
}

struct vmcfg_nic *vmcfg_add_nic(struct vmcfg *cfg, struct err *err)
{
    struct vmcfg_nic nic = {.connected = true};

    for (unsigned i = 0; i < cfg->nic_count; i++)
        if (cfg->nics[i].index == nic.index) {
            nic.index++;
            i = UINT_MAX; /* look again from the first */
        }
    if (nic.index >= VMCFG_NICS_MAX) {
        (void)err_set(err, -E2BIG, "more than %d network cards", VMCFG_NICS_MAX);
        return NULL;
    }
    struct vmcfg_nic *nics = reallocarray(cfg->nics, cfg->nic_count + 1, sizeof *nics);
    if (!nics) {
        (void)err_sys(err, -ENOMEM, "network card");
        return NULL;
    }
    cfg->nics = nics;
    nics[cfg->nic_count] = nic;
    return &nics[cfg->nic_count++];
}

/* Deriving. */

static bool all_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i])
            return false;
    return true;
}

/* RFC 4122 version 4. */
static int random_uuid(uint8_t ret_uuid[16])
{
    if (getrandom(ret_uuid, 16, 0) != 16)
        return -errno;
    ret_uuid[6] = (ret_uuid[6] & 0x0f) | 0x40;
    ret_uuid[8] = (ret_uuid[8] & 0x3f) | 0x80;
    return 0;
}

/* VMware's rule: its own prefix, then the last three bytes of the UUID, ten apart per card. */
static void derive_mac(const uint8_t uuid[16], struct vmcfg_nic *nic)
{
    uint32_t low =
        ((uint32_t)uuid[13] << 16 | (uint32_t)uuid[14] << 8 | uuid[15]) + 10 * nic->index;
    uint8_t mac[6] = {0x00, 0x0c, 0x29, (uint8_t)(low >> 16), (uint8_t)(low >> 8), (uint8_t)low};

    memcpy(nic->mac, mac, sizeof mac);
    nic->mac_static = false;
}

static int disk_order(const void *left, const void *right)
{
    const struct vmcfg_disk *a = left, *b = right;

    if (a->bus != b->bus)
        return a->bus < b->bus ? -1 : 1;
    if (a->controller != b->controller)
        return a->controller < b->controller ? -1 : 1;
    return a->unit < b->unit ? -1 : a->unit > b->unit;
}

static int nic_order(const void *left, const void *right)
{
    const struct vmcfg_nic *a = left, *b = right;

    return a->index < b->index ? -1 : a->index > b->index;
}

/* 0 for none, and for what does not exist. */
static unsigned slot_bit(unsigned slot)
{
    return slot && slot <= VMCFG_SLOTS_MAX ? BIT(slot - 1) : 0;
}

unsigned vmcfg_slots_used(const struct vmcfg *cfg)
{
    unsigned used = 0;

    for (unsigned i = 0; i < cfg->disk_count; i++)
        used |= slot_bit(cfg->disks[i].slot);
    for (unsigned i = 0; i < cfg->nic_count; i++)
        used |= slot_bit(cfg->nics[i].slot);
    return used;
}

unsigned vmcfg_disk_place(const struct vmcfg *cfg, unsigned index)
{
    unsigned slot = cfg->disks[index].slot, place = 0;

    for (unsigned i = 0; i < index; i++)
        place += !cfg->disks[i].slot;
    return slot ? VMCFG_DISKS_MAX + slot - 1 : place;
}

unsigned vmcfg_nic_place(const struct vmcfg *cfg, unsigned index)
{
    unsigned slot = cfg->nics[index].slot, place = 0;

    for (unsigned i = 0; i < index; i++)
        place += !cfg->nics[i].slot;
    return slot ? VMCFG_NICS_MAX + slot - 1 : place;
}

unsigned vmcfg_slots_default(const struct vmcfg *cfg)
{
    return cfg->firmware == VMCFG_FIRMWARE_NONE ? 0 : BIT(VMCFG_SLOTS_MAX) - 1;
}

/* The usual ones, and those that a device is to stand in. */
static void derive_slots(struct vmcfg *cfg)
{
    if (cfg->slots_given)
        return;
    cfg->slots = vmcfg_slots_default(cfg) | vmcfg_slots_used(cfg);
    cfg->slots_given = true;
}

static int derive(struct vmcfg *cfg, struct err *err)
{
    if (!cfg->name)
        cfg->name = strdup("vm");
    if (!cfg->name)
        return err_sys(err, -ENOMEM, "name");
    if (!cfg->cores_per_socket)
        cfg->cores_per_socket = cfg->cpus <= VMCFG_CORES_PER_SOCKET_MAX ? cfg->cpus : 1;
    if (cfg->firmware == VMCFG_FIRMWARE_AUTO)
        cfg->firmware = cfg->kernel ? VMCFG_FIRMWARE_NONE : VMCFG_FIRMWARE_BIOS;
    if (cfg->firmware != VMCFG_FIRMWARE_UEFI)
        cfg->secure_boot = false; /* ESXi keeps the key when a VM changes to BIOS */
    derive_slots(cfg);
    if (cfg->usb == VMCFG_USB_AUTO)
        cfg->usb = cfg->vnc_addr ? VMCFG_USB_YES : VMCFG_USB_NO;
    if (cfg->serial.type == VMCFG_STREAM_AUTO)
        cfg->serial.type = cfg->kernel && cfg->console.type != VMCFG_STREAM_STDIO
                               ? VMCFG_STREAM_STDIO
                               : VMCFG_STREAM_NONE;
    if (cfg->console.type == VMCFG_STREAM_AUTO)
        cfg->console.type = VMCFG_STREAM_NONE;
    if (all_zero(cfg->uuid, sizeof cfg->uuid)) {
        int rc = random_uuid(cfg->uuid);
        if (rc < 0)
            return err_sys(err, rc, "uuid");
    }
    for (unsigned i = 0; i < cfg->nic_count; i++) {
        if (all_zero(cfg->nics[i].mac, 6))
            derive_mac(cfg->uuid, &cfg->nics[i]);
        cfg->nics[i].queues = MAX(cfg->nics[i].queues, 1u);
    }
    for (unsigned i = 0; i < cfg->disk_count; i++) {
        struct vmcfg_disk *disk = &cfg->disks[i];
        disk->readonly |= disk->cdrom;
        if (disk->format == VMCFG_FORMAT_PROBE)
            disk->format = vmcfg_disk_format_default(disk);
    }
    if (cfg->disk_count)
        qsort(cfg->disks, cfg->disk_count, sizeof cfg->disks[0], disk_order);
    if (cfg->nic_count)
        qsort(cfg->nics, cfg->nic_count, sizeof cfg->nics[0], nic_order);
    return 0;
}

/* Checking. */

static int check_text(const char *what, const char *text, size_t max, struct err *err)
{
    if (!text)
        return 0;
    if (!*text)
        return err_set(err, -EINVAL, "%s: empty", what);
    if (!utf8_valid(text))
        return err_set(err, -EINVAL, "%s: not UTF-8", what);
    if (utf8_count(text) > max || strlen(text) > VMCFG_PATH_MAX)
        return err_set(err, -EINVAL, "%s: longer than %zu characters", what, max);
    return 0;
}

static int check_texts(const struct vmcfg *cfg, struct err *err)
{
    const struct {
        const char *what, *text;
        size_t max;
    } texts[] = {
        {"name", cfg->name, VMCFG_NAME_MAX},
        {"nvram", cfg->nvram, VMCFG_PATH_MAX},
        {"checkpoint.vmState", cfg->state, VMCFG_PATH_MAX},
        {"socle.firmwareLog", cfg->firmware_log, VMCFG_PATH_MAX},
        {"kernel", cfg->kernel, VMCFG_PATH_MAX},
        {"bios.bootOrder", cfg->boot_order, VMCFG_BOOT_ORDER_MAX},
        {"bios.hddOrder", cfg->boot_disks, VMCFG_BOOT_ORDER_MAX},
        {"initrd", cfg->initrd, VMCFG_PATH_MAX},
        {"append", cfg->append, VMCFG_APPEND_MAX},
        {"serial", cfg->serial.path, VMCFG_PATH_MAX},
        {"console", cfg->console.path, VMCFG_PATH_MAX},
        {"vnc password", cfg->vnc_password, VMCFG_NAME_MAX},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
        int rc = check_text(texts[i].what, texts[i].text, texts[i].max, err);
        if (rc < 0)
            return rc;
    }
    for (const char *c = cfg->name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return err_set(err, -EINVAL, "name: a control character");
    return 0;
}

static int check_sizes(const struct vmcfg *cfg, struct err *err)
{
    if (cfg->cpus < 1 || cfg->cpus > VMCFG_CPUS_MAX)
        return err_set(err, -EINVAL, "%u CPUs: from 1 to %d are possible", cfg->cpus,
                       VMCFG_CPUS_MAX);
    if (cfg->cores_per_socket > VMCFG_CORES_PER_SOCKET_MAX || cfg->cpus % cfg->cores_per_socket)
        return err_set(err, -EINVAL,
                       "%u CPUs can not be in sockets of %u; cpuid.coresPerSocket must divide them "
                       "and be at most %d",
                       cfg->cpus, cfg->cores_per_socket, VMCFG_CORES_PER_SOCKET_MAX);
    if (cfg->memory < VMCFG_MEMORY_MIN || cfg->memory > VMCFG_MEMORY_MAX ||
        cfg->memory % VMCFG_MEMORY_UNIT)
        return err_set(err, -EINVAL,
                       "memory of %llu bytes: give a multiple of 4 MB, from 4 MB to 16 TB",
                       (unsigned long long)cfg->memory);
    return 0;
}

static int check_boot(const struct vmcfg *cfg, struct err *err)
{
    if (!cfg->kernel && cfg->initrd)
        return err_set(err, -EINVAL, "initrd \"%s\": needs a kernel", cfg->initrd);
    if (!cfg->kernel && cfg->append)
        return err_set(err, -EINVAL, "append \"%s\": needs a kernel", cfg->append);
    if (!cfg->kernel && cfg->firmware == VMCFG_FIRMWARE_NONE)
        return err_set(err, -EINVAL, "firmware none: nothing to start; give a kernel");
    if (cfg->kernel && cfg->firmware == VMCFG_FIRMWARE_BIOS)
        return err_set(err, -EINVAL, "firmware bios: does not start a kernel; use none or uefi");
    return 0;
}

static int check_disks(const struct vmcfg *cfg, struct err *err)
{
    for (unsigned i = 0; i < cfg->disk_count; i++) {
        const struct vmcfg_disk *disk = &cfg->disks[i];
        char what[32];
        (void)snprintf(what, sizeof what, "%s%u:%u", vmcfg_bus_word(disk->bus), disk->controller,
                       disk->unit);
        if (disk->controller >= vmcfg_bus_controllers(disk->bus) ||
            disk->unit >= vmcfg_bus_units(disk->bus))
            return err_set(err, -EINVAL, "%s: there is no such place on this bus", what);
        if (i && !disk_order(&disk[-1], disk))
            return err_set(err, -EINVAL, "%s: given twice", what);
        if (!disk->file && !disk->cdrom)
            return err_set(err, -EINVAL, "%s: a disk without a file; set %s.fileName", what, what);
        int rc = check_text(what, disk->file, VMCFG_PATH_MAX, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* A slot that exists and that nobody has: *used has those that somebody has. */
static int check_slot(const struct vmcfg *cfg, const char *what, unsigned slot, unsigned *used,
                      struct err *err)
{
    if (!slot)
        return 0;
    if (!(cfg->slots & slot_bit(slot)))
        return err_set(err, -EINVAL, "%s: the VM has no slot %u", what, slot);
    if (*used & slot_bit(slot))
        return err_set(err, -EINVAL, "%s: slot %u is taken", what, slot);
    *used |= slot_bit(slot);
    return 0;
}

static int check_slots(const struct vmcfg *cfg, struct err *err)
{
    unsigned used = 0;
    char what[32];
    int rc = 0;

    for (unsigned i = 0; i < cfg->disk_count && rc == 0; i++) {
        const struct vmcfg_disk *disk = &cfg->disks[i];
        (void)snprintf(what, sizeof what, "%s%u:%u", vmcfg_bus_word(disk->bus), disk->controller,
                       disk->unit);
        if (disk->slot && !vmcfg_bus_has_slots(disk->bus))
            rc = err_set(err, -EINVAL, "%s: a disk of this bus has no slot of its own", what);
        else
            rc = check_slot(cfg, what, disk->slot, &used, err);
    }
    for (unsigned i = 0; i < cfg->nic_count && rc == 0; i++) {
        (void)snprintf(what, sizeof what, "ethernet%u", cfg->nics[i].index);
        rc = check_slot(cfg, what, cfg->nics[i].slot, &used, err);
    }
    return rc;
}

static bool ifname_valid(const char *name)
{
    for (const char *c = name; *c; c++)
        if (*c <= ' ' || *c == '/' || *c == ':' || *c == 0x7f)
            return false;
    return *name && strcmp(name, ".") && strcmp(name, "..");
}

static int check_nics(const struct vmcfg *cfg, struct err *err)
{
    for (unsigned i = 0; i < cfg->nic_count; i++) {
        const struct vmcfg_nic *nic = &cfg->nics[i];
        char mac[VMCFG_MAC_TEXT];
        vmcfg_mac_format(nic->mac, mac);
        if (nic->index >= VMCFG_NICS_MAX || (i && nic[-1].index == nic->index))
            return err_set(err, -EINVAL, "ethernet%u: given twice or above %d", nic->index,
                           VMCFG_NICS_MAX - 1);
        if (nic->mac[0] & 1)
            return err_set(err, -EINVAL, "ethernet%u: %s is a group address; a card needs its own",
                           nic->index, mac);
        for (unsigned j = 0; j < i; j++)
            if (!memcmp(cfg->nics[j].mac, nic->mac, 6))
                return err_set(err, -EINVAL, "ethernet%u and ethernet%u have the same address %s",
                               cfg->nics[j].index, nic->index, mac);
        if (nic->queues > VMCFG_NIC_QUEUES_MAX || (nic->queues > 1 && nic->type != VMCFG_NIC_TAP))
            return err_set(err, -EINVAL, "ethernet%u: %u queues; a tap can have up to %d, others 1",
                           nic->index, nic->queues, VMCFG_NIC_QUEUES_MAX);
        if (nic->type == VMCFG_NIC_TAP && !ifname_valid(nic->ifname))
            return err_set(err, -EINVAL, "ethernet%u: \"%s\" can not be a tap interface",
                           nic->index, nic->ifname);
    }
    return 0;
}

static int check_stream(const char *what, const char *device, const struct vmcfg_stream *stream,
                        struct err *err)
{
    bool path_wanted = stream->type == VMCFG_STREAM_UNIX || stream->type == VMCFG_STREAM_FILE;

    if (path_wanted && !stream->path)
        return err_set(err, -EINVAL, "%s: needs a path; set %s.fileName", what, device);
    if (stream->type == VMCFG_STREAM_UNIX &&
        strlen(stream->path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return err_set(err, -EINVAL, "%s \"%s\": too long for a socket's path", what, stream->path);
    return 0;
}

static int check_endpoints(const struct vmcfg *cfg, struct err *err)
{
    uint8_t addr[16];

    int rc = check_stream("serial", "serial0", &cfg->serial, err);
    if (rc == 0)
        rc = check_stream("console", "virtioConsole0", &cfg->console, err);
    if (rc < 0)
        return rc;
    if (cfg->serial.type == VMCFG_STREAM_STDIO && cfg->console.type == VMCFG_STREAM_STDIO)
        return err_set(err, -EINVAL, "serial and console can not both be stdio");
    if (cfg->vnc_addr && inet_pton(AF_INET, cfg->vnc_addr, addr) != 1 &&
        inet_pton(AF_INET6, cfg->vnc_addr, addr) != 1)
        return err_set(err, -EINVAL, "vnc \"%s\": not an IPv4 or IPv6 address", cfg->vnc_addr);
    if (cfg->vnc_addr && !cfg->vnc_port)
        return err_set(err, -EINVAL, "vnc \"%s\": needs a port", cfg->vnc_addr);
    return 0;
}

int vmcfg_finish(struct vmcfg *cfg, struct err *err)
{
    static int (*const checks[])(const struct vmcfg *cfg, struct err *err) = {
        check_texts, check_sizes, check_boot, check_disks, check_nics, check_slots, check_endpoints,
    };
    int rc = derive(cfg, err);

    for (unsigned i = 0; i < ARRAY_SIZE(checks) && !rc; i++)
        rc = checks[i](cfg, err);
    return rc;
}

/* "a, b: TEXT" of those that have something else in its place. */
struct listing {
    struct buf *out;
    size_t start;
};

static void list_disk(struct listing *l, const struct vmcfg_disk *disk)
{
    buf_printf(l->out, "%s%s%u:%u", l->out->len == l->start ? "" : ", ", vmcfg_bus_word(disk->bus),
               disk->controller, disk->unit);
}

static void end_list(struct listing *l, const char *text)
{
    if (l->out->len != l->start)
        buf_put_str(l->out, text);
    l->start = l->out->len;
}

void vmcfg_substitutions(const struct vmcfg *cfg, struct buf *warnings)
{
    struct listing l = {warnings, warnings->len};

    for (unsigned i = 0; i < cfg->disk_count; i++)
        if (cfg->disks[i].bus == VMCFG_BUS_IDE)
            list_disk(&l, &cfg->disks[i]);
    end_list(&l, ": attached to a SATA controller; this version has no IDE\n");
    for (unsigned i = 0; i < cfg->disk_count; i++)
        if (cfg->disks[i].bus != VMCFG_BUS_VIRTIO && !vmcfg_is_ahci(&cfg->disks[i]))
            list_disk(&l, &cfg->disks[i]);
    end_list(&l, ": attached as virtio; this version has no SCSI and NVMe controllers\n");
    for (unsigned i = 0; i < cfg->nic_count; i++) {
        const struct vmcfg_nic *nic = &cfg->nics[i];
        if (nic->model != VMCFG_NIC_VIRTIO)
            buf_printf(warnings, "%sethernet%u (%s)", warnings->len == l.start ? "" : ", ",
                       nic->index, vmcfg_nic_model_word(nic->model));
    }
    end_list(&l, ": attached as virtio; this version has no other network cards\n");
}

int vmcfg_encode(const struct vmcfg *cfg, struct buf *out)
{
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    int rc = vmxfile_create("configuration", &vmx);

    if (!rc)
        rc = vmcfg_to_vmx(cfg, vmx);
    if (!rc)
        vmxfile_write(vmx, out);
    return rc < 0 ? rc : out->failed ? -ENOMEM : 0;
}

int vmcfg_decode(const void *data, size_t len, struct vmcfg *ret_cfg, struct err *err)
{
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    cleanup_vmcfg struct vmcfg cfg;
    vmcfg_init(&cfg);
    int rc = vmxfile_parse("configuration", data, len, &vmx, err);

    if (!rc)
        rc = vmcfg_from_vmx(&cfg, vmx, NULL, NULL, err);
    if (!rc)
        rc = vmcfg_finish(&cfg, err);
    if (rc < 0)
        return rc;
    *ret_cfg = cfg;
    cfg = (struct vmcfg){0};
    return 0;
}
