/* SPDX-License-Identifier: Apache-2.0 */
/* A VM's description: what golden files mean, that it survives the dictionary, what it refuses. */
#include <errno.h>
#include <stdlib.h>

#include "config/vmcfg.h"
#include "tests/tap.h"

static int load(struct vmcfg *cfg, const char *text, struct buf *warnings, struct err *err)
{
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    int rc = vmxfile_parse("t.vmx", text, strlen(text), &vmx, err);

    vmcfg_init(cfg);
    if (!rc)
        rc = vmcfg_from_vmx(cfg, vmx, "dir", warnings, err);
    return rc < 0 ? rc : vmcfg_finish(cfg, err);
}

static bool read_golden(const char *name, const char *suffix, struct buf *out)
{
    const char *tests = getenv("SOCLE_TESTS");
    char path[512];

    (void)snprintf(path, sizeof path, "%s/golden/vmx/%s%s", tests ? tests : "tests", name, suffix);
    FILE *file = fopen(path, "re");
    int c;
    if (!file)
        return CHECK(file);
    while ((c = getc(file)) != EOF)
        buf_put_u8(out, (uint8_t)c);
    return fclose(file) == 0;
}

/* NAME.vmx means NAME.means: the warnings, a line of dashes, then everything as a dictionary. */
static void check_golden(const char *name)
{
    cleanup_buf struct buf text = {0}, want = {0}, got = {0};
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    cleanup_vmcfg struct vmcfg cfg;
    struct err err = ERR_INIT;

    vmcfg_init(&cfg);
    REQUIRE(read_golden(name, ".vmx", &text) && read_golden(name, ".means", &want));
    CHECK_EQ(vmxfile_parse("t.vmx", text.data, text.len, &vmx, &err), 0);
    CHECK_EQ(vmcfg_from_vmx(&cfg, vmx, "dir", &got, &err), 0);
    if (!cfg.uuid[0])
        cfg.uuid[0] = cfg.uuid[15] = 0x11; /* it would be a random one */
    CHECK_EQ(vmcfg_finish(&cfg, &err), 0);
    CHECK_STR(err.text, "");
    vmcfg_substitutions(&cfg, &got);
    buf_put_str(&got, "--\n");
    CHECK_EQ(vmcfg_encode(&cfg, &got), 0);
    CHECK_STR(buf_cstr(&got), buf_cstr(&want));
}

static void means_what_golden_files_say(void)
{
    check_golden("esxi8-debian");
    check_golden("esxi67-windows");
    check_golden("workstation-crlf");
    check_golden("socle-direct");
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static void check_same_devices(const struct vmcfg *a, const struct vmcfg *b)
{
    CHECK_EQ(a->disk_count, b->disk_count);
    CHECK_EQ(a->nic_count, b->nic_count);
    for (unsigned i = 0; i < MIN(a->disk_count, b->disk_count); i++) {
        const struct vmcfg_disk *x = &a->disks[i], *y = &b->disks[i];
        CHECK(x->bus == y->bus && x->controller == y->controller && x->unit == y->unit);
        CHECK(same_text(x->file, y->file) && x->format == y->format);
        CHECK(x->readonly == y->readonly && x->cdrom == y->cdrom && x->slot == y->slot);
    }
    for (unsigned i = 0; i < MIN(a->nic_count, b->nic_count); i++) {
        const struct vmcfg_nic *x = &a->nics[i], *y = &b->nics[i];
        CHECK(x->index == y->index && x->type == y->type && x->model == y->model);
        CHECK(!strcmp(x->ifname, y->ifname) && !memcmp(x->mac, y->mac, 6));
        CHECK(x->mac_static == y->mac_static && x->connected == y->connected);
        CHECK(x->slot == y->slot && x->queues == y->queues);
    }
}

static void check_same(const struct vmcfg *a, const struct vmcfg *b)
{
    CHECK(same_text(a->name, b->name) && same_text(a->nvram, b->nvram) &&
          same_text(a->state, b->state));
    CHECK_EQ(a->portable_cpu, b->portable_cpu);
    CHECK(a->engine == b->engine && a->cpus == b->cpus && a->memory == b->memory);
    CHECK(a->cores_per_socket == b->cores_per_socket && a->huge_pages == b->huge_pages);
    CHECK(!memcmp(a->uuid, b->uuid, sizeof a->uuid));
    CHECK_EQ(a->slots, b->slots);
    CHECK(a->firmware == b->firmware && a->secure_boot == b->secure_boot);
    CHECK(same_text(a->boot_order, b->boot_order) && same_text(a->boot_disks, b->boot_disks));
    CHECK(same_text(a->kernel, b->kernel) && same_text(a->initrd, b->initrd));
    CHECK_EQ(a->debug_exit, b->debug_exit);
    CHECK(same_text(a->append, b->append) && same_text(a->firmware_log, b->firmware_log));
    CHECK(a->serial.type == b->serial.type && same_text(a->serial.path, b->serial.path));
    CHECK(a->console.type == b->console.type && same_text(a->console.path, b->console.path));
    CHECK(same_text(a->vnc_addr, b->vnc_addr) && a->vnc_port == b->vnc_port);
    CHECK(same_text(a->vnc_password, b->vnc_password) && a->usb == b->usb);
    check_same_devices(a, b);
}

static void add_random_disk(struct vmcfg *cfg, unsigned (*die)(unsigned sides))
{
    struct vmcfg_disk *disk = vmcfg_add_disk(cfg, die(VMCFG_BUS_MAX), NULL);

    if (!disk)
        return;
    disk->cdrom = die(3) == 0;
    disk->readonly = die(2);
    disk->format = die(VMCFG_FORMAT_MAX);
    disk->file = disk->cdrom && die(2) ? NULL : strdup(die(2) ? "a b|\".vmdk" : "/x/\xc3\xa4.iso");
}

static void add_random_nic(struct vmcfg *cfg, unsigned (*die)(unsigned sides))
{
    struct vmcfg_nic *nic = vmcfg_add_nic(cfg, NULL);

    if (!nic)
        return;
    nic->type = die(VMCFG_NIC_TYPE_MAX);
    if (nic->type == VMCFG_NIC_TAP)
        nic->queues = die(VMCFG_NIC_QUEUES_MAX + 1);
    if (nic->type == VMCFG_NIC_TAP)
        (void)snprintf(nic->ifname, sizeof nic->ifname, "tap%u", die(1000));
    nic->model = die(VMCFG_NIC_MODEL_MAX);
    nic->connected = die(2);
    nic->mac_static = die(2);
    if (nic->mac_static) {
        uint8_t mac[6] = {0, 0x50, 0x56, (uint8_t)die(256), (uint8_t)die(256), (uint8_t)nic->index};
        memcpy(nic->mac, mac, 6);
    }
}

static uint32_t dice_state;
static unsigned dice(unsigned sides)
{
    dice_state = dice_state * 1664525 + 1013904223;
    return (dice_state >> 8) % sides;
}

/* A card or a disk, if there is one that may, goes there; often nothing. */
static void fill_slot(struct vmcfg *cfg, unsigned slot)
{
    unsigned i = dice(12);

    if (dice(2) && i < cfg->nic_count)
        cfg->nics[i].slot = slot;
    else if (i < cfg->disk_count && vmcfg_bus_has_slots(cfg->disks[i].bus))
        cfg->disks[i].slot = slot;
}

static void make_random(struct vmcfg *cfg)
{
    vmcfg_init(cfg);
    cfg->name = strdup(dice(2) ? "vm" : "\"M\xc3\xbc|ller\" # 1 ");
    cfg->engine = dice(VMCFG_ENGINE_MAX);
    cfg->portable_cpu = dice(2);
    cfg->cores_per_socket = 1 + dice(8);
    cfg->cpus = cfg->cores_per_socket * (1 + dice(96));
    cfg->memory = VMCFG_MEMORY_UNIT * (1 + dice(1u << 22));
    cfg->huge_pages = dice(2);
    cfg->secure_boot = dice(2);
    if (dice(2)) {
        cfg->kernel = strdup("k");
        cfg->initrd = dice(2) ? strdup("i\n") : NULL;
        cfg->append = dice(2) ? strdup(" a=\"b c\" |0A") : NULL;
        cfg->firmware = dice(2) ? VMCFG_FIRMWARE_UEFI : VMCFG_FIRMWARE_AUTO;
    } else {
        cfg->firmware = dice(3);
    }
    cfg->debug_exit = dice(2) ? 0xf4 : 0;
    cfg->firmware_log = dice(2) ? strdup("log") : NULL;
    cfg->boot_order = dice(2) ? strdup("cdrom,hdd") : NULL;
    cfg->boot_disks = dice(2) ? strdup("scsi0:1") : NULL;
    cfg->nvram = dice(2) ? strdup("n.nvram") : NULL;
    cfg->state = dice(2) ? strdup("n.vmss") : NULL;
    cfg->console.type = dice(2) ? VMCFG_STREAM_FILE : VMCFG_STREAM_NONE;
    if (cfg->console.type == VMCFG_STREAM_FILE)
        cfg->console.path = strdup("/run/c");
    cfg->serial.type = dice(VMCFG_STREAM_MAX);
    if (cfg->serial.type >= VMCFG_STREAM_UNIX)
        cfg->serial.path = strdup("/run/s");
    if (dice(2)) {
        cfg->vnc_addr = strdup(dice(2) ? "::1" : "0.0.0.0");
        cfg->vnc_port = (uint16_t)(1 + dice(65535));
        cfg->vnc_password = dice(2) ? strdup("Sesame") : NULL;
    }
    cfg->usb = dice(VMCFG_USB_MAX);
    for (unsigned n = dice(12); n; n--)
        add_random_disk(cfg, dice);
    for (unsigned n = dice(12); n; n--)
        add_random_nic(cfg, dice);
    cfg->slots_given = dice(2);
    cfg->slots = dice(1 << VMCFG_SLOTS_MAX);
    for (unsigned n = 0; cfg->slots_given && n < VMCFG_SLOTS_MAX; n++)
        if (cfg->slots >> n & 1)
            fill_slot(cfg, n + 1);
}

static void survives_the_dictionary(void)
{
    cleanup_vmxfile struct vmxfile *reused = NULL;

    REQUIRE(vmxfile_create("reused.vmx", &reused) == 0);
    for (dice_state = 1; dice_state < 300; dice_state++) {
        uint32_t seed = dice_state;
        cleanup_vmcfg struct vmcfg cfg, back = {0}, over;
        cleanup_buf struct buf text = {0};
        struct err err = ERR_INIT;
        make_random(&cfg);
        vmcfg_init(&over);
        CHECK_EQ(vmcfg_finish(&cfg, &err), 0);
        CHECK_EQ(vmcfg_encode(&cfg, &text), 0);
        CHECK_EQ(vmcfg_decode(text.data, text.len, &back, &err), 0);
        check_same(&cfg, &back);
        /* Into a dictionary that described another VM before. */
        CHECK_EQ(vmcfg_to_vmx(&cfg, reused), 0);
        CHECK_EQ(vmcfg_from_vmx(&over, reused, NULL, NULL, &err), 0);
        CHECK_EQ(vmcfg_finish(&over, &err), 0);
        check_same(&cfg, &over);
        CHECK_STR(err.text, "");
        REQUIRE(!tap_failures_);
        dice_state = seed;
    }
}

static void rewrites_nothing_needlessly(void)
{
    cleanup_vmxfile struct vmxfile *vmx = NULL;
    cleanup_buf struct buf text = {0}, first = {0}, second = {0};
    cleanup_vmcfg struct vmcfg cfg;

    vmcfg_init(&cfg);
    REQUIRE(read_golden("esxi8-debian", ".vmx", &text));
    REQUIRE(vmxfile_parse("t.vmx", text.data, text.len, &vmx, NULL) == 0);
    CHECK_EQ(vmcfg_from_vmx(&cfg, vmx, NULL, NULL, NULL), 0);
    CHECK_EQ(vmcfg_finish(&cfg, NULL), 0);
    CHECK_EQ(vmcfg_to_vmx(&cfg, vmx), 0);
    vmxfile_write(vmx, &first);
    /* Only lines that were not there: the file's own are the beginning of the new one. */
    CHECK(first.len > text.len && !memcmp(first.data, text.data, text.len));
    CHECK_EQ(vmcfg_to_vmx(&cfg, vmx), 0);
    vmxfile_write(vmx, &second);
    CHECK_STR(buf_cstr(&second), buf_cstr(&first));
}

static void refuses_nonsense(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"memSize = \"4098\"", "t.vmx:1: memSize = \"4098\": not a multiple of 4 (megabytes)"},
        {"memSize = \"lots\"", "t.vmx:1: memSize = \"lots\": not a number from 4 to 16777216"},
        {"\nnumvcpus = \"769\"", "t.vmx:2: numvcpus = \"769\": not a number from 1 to 768"},
        {"numvcpus = \"4\"\ncpuid.coresPerSocket = \"3\"",
         "4 CPUs can not be in sockets of 3; cpuid.coresPerSocket must divide them and be at most "
         "256"},
        {"firmware = \"coreboot\"", "t.vmx:1: firmware = \"coreboot\": not efi, bios or none"},
        {"uuid.bios = \"56 4d\"", "t.vmx:1: uuid.bios = \"56 4d\": not a UUID; write 16 bytes in "
                                  "hexadecimal or remove the line"},
        {"encryption.keySafe = \"x\"",
         "t.vmx: an encrypted VM; decrypt it with the software that made it"},
        {"socle.initrd = \"i\"", "initrd \"dir/i\": needs a kernel"},
        {"firmware = \"none\"", "firmware none: nothing to start; give a kernel"},
        {"firmware = \"bios\"\nsocle.kernel = \"k\"",
         "firmware bios: does not start a kernel; use none or uefi"},
        {"virtio0:0.present = \"TRUE\"",
         "virtio0:0: a disk without a file; set virtio0:0.fileName"},
        {"scsi0:64.present = \"TRUE\"",
         "t.vmx:1: scsi0:64.present = \"TRUE\": there is no such place on this bus"},
        {"ide0:0.present = \"TRUE\"\nide0:0.fileName = \"a\"\nide0:0.mode = "
         "\"independent-nonpersistent\"",
         "t.vmx:3: ide0:0.mode = \"independent-nonpersistent\": this version writes only "
         "persistent disks; change the mode"},
        {"ide0:0.present = \"TRUE\"\nide0:0.deviceType = \"rawDisk\"",
         "t.vmx:2: ide0:0.deviceType = \"rawDisk\": this version has disk, scsi-hardDisk and "
         "cdrom-image"},
        {"ethernet0.present = \"TRUE\"\nethernet0.addressType = \"static\"\nethernet0.address = "
         "\"52:54:00:00:00:01\"",
         "t.vmx:3: ethernet0.address = \"52:54:00:00:00:01\": outside 00:50:56:00:00:00-"
         "00:50:56:3f:ff:ff; choose another or set ethernet0.checkMACAddress to FALSE"},
        {"ethernet0.present = \"TRUE\"\nethernet0.generatedAddress = \"1:2\"",
         "t.vmx:2: ethernet0.generatedAddress = \"1:2\": not a MAC address; write it like "
         "00:50:56:00:00:01"},
        {"ethernet2.present = \"TRUE\"\nethernet2.generatedAddress = \"01:0c:29:00:00:01\"",
         "ethernet2: 01:0c:29:00:00:01 is a group address; a card needs its own"},
        {"ethernet0.present = \"TRUE\"\nethernet0.connectionType = \"tap\"",
         "t.vmx: ethernet0.vnet: a tap connection needs the interface's name, at most 15 bytes"},
        {"serial0.present = \"TRUE\"\nserial0.fileType = \"file\"",
         "serial: needs a path; set serial0.fileName"},
        {"RemoteDisplay.vnc.enabled = \"TRUE\"\nRemoteDisplay.vnc.ip = \"localhost\"",
         "vnc \"localhost\": not an IPv4 or IPv6 address"},
        {"displayName = \"a|0Ab\"", "name: a control character"},
        {"ethernet0.present = \"TRUE\"\nethernet0.socle.queues = \"2\"",
         "ethernet0: 2 queues; a tap can have up to 8, others 1"},
        {"ethernet0.present = \"TRUE\"\nethernet1.present = \"TRUE\"\nethernet0.pciSlotNumber = "
         "\"192\"\nethernet1.pciSlotNumber = \"192\"",
         "ethernet1: slot 2 is taken"},
        {"pciBridge4.present = \"maybe\"",
         "t.vmx:1: pciBridge4.present = \"maybe\": neither TRUE nor FALSE"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        cleanup_vmcfg struct vmcfg cfg;
        struct err err = ERR_INIT;
        CHECK_EQ(load(&cfg, cases[i].text, NULL, &err), -EINVAL);
        CHECK_STR(err.text, cases[i].message);
    }
}

static void derives_identity(void)
{
    cleanup_vmcfg struct vmcfg a, b;
    char mac[VMCFG_MAC_TEXT], uuid[VMCFG_UUID_TEXT];

    CHECK_EQ(load(&a, "", NULL, NULL), 0);
    CHECK_EQ(load(&b, "", NULL, NULL), 0);
    CHECK(memcmp(a.uuid, b.uuid, 16) && (a.uuid[6] & 0xf0) == 0x40);
    vmcfg_free(&a);
    CHECK_EQ(load(&a,
                  "uuid.bios = \"56 4d 1f 2e 3d 4c 5b 6a-79 88 97 a6 b5 ff ff fe\"\n"
                  "ethernet0.present = \"TRUE\"\nethernet3.present = \"TRUE\"\n",
                  NULL, NULL),
             0);
    vmcfg_mac_format(a.nics[0].mac, mac);
    CHECK_STR(mac, "00:0c:29:ff:ff:fe");
    vmcfg_mac_format(a.nics[1].mac, mac);
    CHECK_STR(mac, "00:0c:29:00:00:1c");
    vmcfg_uuid_format(a.uuid, uuid);
    CHECK_STR(uuid, "56 4d 1f 2e 3d 4c 5b 6a-79 88 97 a6 b5 ff ff fe");
    CHECK_EQ(vmcfg_uuid_parse("564d1f2e-3d4c-5b6a-7988-97a6b5fffffe", b.uuid), 0);
    CHECK(!memcmp(a.uuid, b.uuid, 16));
    CHECK_EQ(vmcfg_uuid_parse("564d1f2e-3d4c-5b6a-7988-97a6b5fffffe0", b.uuid), -EINVAL);
}

static unsigned slots_of(const char *text, unsigned *ret_nic)
{
    cleanup_vmcfg struct vmcfg cfg;

    CHECK_EQ(load(&cfg, text, NULL, NULL), 0);
    if (ret_nic)
        *ret_nic = cfg.nics[0].slot;
    return cfg.slots;
}

#define NIC "ethernet0.present = \"TRUE\"\nethernet0.pciSlotNumber = "

static void slots_are_esxis(void)
{
    unsigned nic;

    CHECK_EQ(slots_of("", NULL), 15); /* firmware */
    CHECK_EQ(slots_of("firmware = \"none\"\nsocle.kernel = \"k\"", NULL), 0);
    CHECK_EQ(slots_of("pciBridge0.present = \"TRUE\"", NULL), 15); /* no root port */
    CHECK_EQ(slots_of("pciBridge5.present = \"TRUE\"\npciBridge5.virtualDev = \"pcieRootPort\"\n"
                      "firmware = \"none\"\nsocle.kernel = \"k\"",
                      NULL),
             2);
    CHECK_EQ(slots_of("pciBridge5.present = \"FALSE\"", NULL), 0);
    CHECK_EQ(slots_of(NIC "\"160\"", &nic), 15);
    CHECK_EQ(nic, 1);
    (void)slots_of(NIC "\"256\"", &nic);
    CHECK_EQ(nic, 4);
    (void)slots_of(NIC "\"32\"", &nic); /* behind a legacy bridge */
    CHECK_EQ(nic, 0);
    (void)slots_of(NIC "\"1184\"", &nic); /* another function */
    CHECK_EQ(nic, 0);
    (void)slots_of(NIC "\"-1\"", &nic);
    CHECK_EQ(nic, 0);
    (void)slots_of(NIC "\"192\"\npciBridge4.present = \"FALSE\"", &nic);
    CHECK_EQ(nic, 0);
}

static void names_decide_formats(void)
{
    static const struct {
        const char *file;
        enum vmcfg_disk_format format;
    } cases[] = {{"a.VMDK", VMCFG_FORMAT_VMDK}, {"a.img", VMCFG_FORMAT_RAW},
                 {"a.raw", VMCFG_FORMAT_RAW},   {"a.vmdk.iso", VMCFG_FORMAT_RAW},
                 {"disk", VMCFG_FORMAT_PROBE},  {"a.vmdk.bak", VMCFG_FORMAT_PROBE}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        cleanup_vmcfg struct vmcfg cfg;
        vmcfg_init(&cfg);
        struct vmcfg_disk *disk = vmcfg_add_disk(&cfg, VMCFG_BUS_VIRTIO, NULL);
        REQUIRE(disk && (disk->file = strdup(cases[i].file)));
        CHECK_EQ(vmcfg_finish(&cfg, NULL), 0);
        CHECK_EQ(cfg.disks[0].format, cases[i].format);
        cfg.disks[0].cdrom = true;
        cfg.disks[0].format = VMCFG_FORMAT_PROBE;
        CHECK_EQ(vmcfg_finish(&cfg, NULL), 0);
        CHECK_EQ(cfg.disks[0].format, VMCFG_FORMAT_RAW);
        CHECK(cfg.disks[0].readonly);
    }
}

static void adds_until_full(void)
{
    cleanup_vmcfg struct vmcfg cfg;
    struct err err = ERR_INIT;
    int disks = 0, nics = 0;

    vmcfg_init(&cfg);
    for (struct vmcfg_disk *disk; (disk = vmcfg_add_disk(&cfg, VMCFG_BUS_IDE, &err)); disks++)
        disk->file = strdup("x");
    CHECK_EQ(disks, 4);
    CHECK_STR(err.text, "no unit is free on the ide bus");
    CHECK(cfg.disks[3].controller == 1 && cfg.disks[3].unit == 1);
    for (struct vmcfg_disk *disk; (disk = vmcfg_add_disk(&cfg, VMCFG_BUS_SCSI, &err)); disks++)
        disk->file = strdup("x");
    CHECK_EQ(disks, VMCFG_DISKS_MAX);
    CHECK_EQ(cfg.disks[4 + 7].unit, 8); /* 7 is the controller's own id */
    while (vmcfg_add_nic(&cfg, &err))
        nics++;
    CHECK_EQ(nics, VMCFG_NICS_MAX);
    CHECK_STR(err.text, "more than 10 network cards");
    CHECK_EQ(vmcfg_finish(&cfg, &err), 0);
}

static void sequence_is(const struct vmcfg *cfg, const char *want)
{
    struct vmcfg_boot_device list[VMCFG_DISKS_MAX + VMCFG_NICS_MAX];
    unsigned count = vmcfg_boot_sequence(cfg, list);
    char got[200] = "";

    for (unsigned i = 0; i < count; i++)
        (void)snprintf(got + strlen(got), sizeof got - strlen(got), "%s%u ",
                       list[i].nic ? "n" : "d", list[i].index);
    CHECK_STR(got, want);
}

static void order(struct vmcfg *cfg, const char *words, const char *disks)
{
    free(cfg->boot_order);
    free(cfg->boot_disks);
    cfg->boot_order = words ? strdup(words) : NULL;
    cfg->boot_disks = disks ? strdup(disks) : NULL;
}

/* Disks 0 scsi0:0, 1 scsi0:1, 2 a CD; cards 0 and 1 with indexes 0 and 3. */
static void boot_order(void)
{
    struct vmcfg cleanup_vmcfg cfg;
    struct err err = ERR_INIT;

    vmcfg_init(&cfg);
    for (unsigned i = 0; i < 3; i++) {
        struct vmcfg_disk *d = vmcfg_add_disk(&cfg, i < 2 ? VMCFG_BUS_SCSI : VMCFG_BUS_IDE, &err);
        REQUIRE(d);
        d->cdrom = i == 2;
    }
    REQUIRE(vmcfg_add_nic(&cfg, &err) && vmcfg_add_nic(&cfg, &err));
    cfg.nics[1].index = 3;
    sequence_is(&cfg, "d0 d1 d2 n0 n1 ");
    order(&cfg, "cdrom,hdd", NULL);
    sequence_is(&cfg, "d2 d0 d1 n0 n1 ");
    order(&cfg, "ethernet3, CDROM,hdd", "scsi0:1");
    sequence_is(&cfg, "n1 d2 d1 d0 n0 ");
    order(&cfg, "hdd", "SCSI0:1,scsi0:1,ide0:0,scsi0:0,nvme9:9");
    sequence_is(&cfg, "d1 d0 d2 n0 n1 ");
    order(&cfg, ",, floppy,,ethernet,ethernet99,ethernet-1,xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
          "scsi0:1");
    sequence_is(&cfg, "d0 d1 d2 n0 n1 ");
    order(&cfg, "cdrom,cdrom,ethernet0,ethernet0", NULL);
    sequence_is(&cfg, "d2 n0 d0 d1 n1 ");
    /* However the buses are sorted, an installed system is started before its CD. */
    cfg.disks[2].cdrom = false;
    cfg.disks[0].cdrom = true;
    order(&cfg, NULL, NULL);
    sequence_is(&cfg, "d1 d2 d0 n0 n1 ");
}

TAP_MAIN(TAP_CASE(boot_order), TAP_CASE(means_what_golden_files_say),
         TAP_CASE(survives_the_dictionary), TAP_CASE(rewrites_nothing_needlessly),
         TAP_CASE(refuses_nonsense), TAP_CASE(derives_identity), TAP_CASE(slots_are_esxis),
         TAP_CASE(names_decide_formats), TAP_CASE(adds_until_full))
