/* SPDX-License-Identifier: Apache-2.0 */
/* What firmware and kernels read from fw_cfg: layouts, and the tables' dependence on where ECAM is.
 */
#include <errno.h>

#include "base/bytes.h"
#include "base/range.h"
#include "tests/tap.h"
#include "vm/chipset/fw_cfg_items.h"
#include "vm/firmware/acpi.h"
#include "vm/firmware/fw_content.h"
#include "vm/firmware/smbios.h"

struct fixture {
    struct fw_machine machine;
    _Atomic(uint64_t) ecam;
    _Atomic(uint32_t) smi;
    struct fw_cfg_items *items;
    struct fw_content *content;
};

static bool set_up(struct fixture *f, enum fw_kind kind)
{
    *f = (struct fixture){0};
    fw_machine_init(&f->machine, NULL);
    f->machine.cpus = 3;
    f->machine.ram[0] = (struct fw_ram){0, GMEM_LOW_MAX};
    f->machine.ram[1] = (struct fw_ram){GMEM_HIGH, GIB(1)};
    f->machine.ram_count = 2;
    f->machine.boot_order = "/pci@i0cf8/scsi@2/disk@0,0\n";
    struct fw_content_params params = {.kind = kind,
                                       .machine = &f->machine,
                                       .ecam = &f->ecam,
                                       .smi_features = kind == FW_OVMF ? &f->smi : NULL,
                                       .serial_console = 0x3f8};
    return CHECK(!fw_cfg_items_create(&f->items)) &&
           CHECK(!fw_content_create(&params, f->items, &f->content, NULL));
}

static void tear_down(struct fixture *f)
{
    fw_cfg_items_destroy(f->items);
    fw_content_destroy(f->content);
}

static const struct fw_cfg_item *file(struct fixture *f, const char *name)
{
    int key = fw_cfg_file_key(f->items, name);

    return key < 0 ? NULL : fw_cfg_items_get(f->items, (uint16_t)key, NULL);
}

static const struct fw_cfg_item *item(struct fixture *f, uint16_t key)
{
    return fw_cfg_items_get(f->items, key, NULL);
}

static void items_have_their_layouts(void)
{
    struct fixture f;

    if (set_up(&f, FW_SEABIOS)) {
        const struct fw_cfg_item *e820 = file(&f, "etc/e820");
        CHECK(e820 && e820->len == 40);
        CHECK_EQ(le64_load(e820->data + 20), GMEM_HIGH);
        CHECK_EQ(le64_load(e820->data + 28), GIB(1));
        CHECK_EQ(le32_load(e820->data + 36), 1);
        CHECK_EQ(le64_load(item(&f, FW_CFG_RAM_SIZE)->data), GIB(3));
        CHECK_EQ(le16_load(item(&f, FW_CFG_NB_CPUS)->data), 3);
        CHECK_EQ(le16_load(item(&f, FW_CFG_BOOT_MENU)->data), 0);
        CHECK_EQ(le16_load(file(&f, "etc/boot-cpus")->data), 3);
        CHECK_EQ(le64_load(file(&f, "etc/sercon-port")->data), 0x3f8);
        CHECK_EQ(file(&f, "etc/system-states")->len, 6);
        CHECK_EQ(file(&f, "etc/system-states")->data[3] & 0x80, 0);
        CHECK_STR((const char *)file(&f, "bootorder")->data, f.machine.boot_order);
        CHECK_EQ(file(&f, SMBIOS_FILE_ANCHOR)->len, SMBIOS_ENTRY21_SIZE);
        CHECK(!memcmp(file(&f, SMBIOS_FILE_ANCHOR)->data, "_SM_", 4));
    }
    tear_down(&f);
    if (set_up(&f, FW_OVMF)) {
        CHECK_EQ(file(&f, SMBIOS_FILE_ANCHOR)->len, SMBIOS_ENTRY30_SIZE);
        CHECK_EQ(file(&f, ACPI_FILE_RSDP)->len, ACPI_RSDP_SIZE);
        CHECK_EQ(file(&f, ACPI_FILE_LOADER)->len % 128, 0);
    }
    tear_down(&f);
}

static void without_firmware_there_are_no_tables(void)
{
    struct fixture f;

    if (set_up(&f, FW_DIRECT)) {
        CHECK_EQ(le64_load(item(&f, FW_CFG_RAM_SIZE)->data), GIB(3));
        CHECK_EQ(le16_load(item(&f, FW_CFG_NB_CPUS)->data), 3);
        CHECK_EQ(le16_load(item(&f, FW_CFG_MAX_CPUS)->data), 3);
        CHECK_EQ(item(&f, FW_CFG_UUID)->len, 16);
        CHECK(file(&f, "etc/e820"));
        CHECK(!file(&f, ACPI_FILE_TABLES) && !file(&f, SMBIOS_FILE_TABLES) &&
              !file(&f, "bootorder"));
    }
    tear_down(&f);
}

static uint64_t mcfg_base(const struct fw_cfg_item *tables)
{
    for (size_t at = 0; tables && at + 60 <= tables->len; at += 8)
        if (!memcmp(tables->data + at, "MCFG", 4))
            return le64_load(tables->data + at + 44);
    return 0;
}

/* Firmware reads the directory, then moves ECAM, then fetches the tables. */
static void tables_follow_ecam(void)
{
    struct fixture f;

    if (set_up(&f, FW_OVMF)) {
        const struct fw_cfg_item *dir = item(&f, FW_CFG_FILE_DIR);
        int key = fw_cfg_file_key(f.items, ACPI_FILE_TABLES);
        uint32_t len = 0;
        for (size_t at = 4; dir && at + 64 <= dir->len; at += 64)
            if (be16_load(dir->data + at + 4) == key)
                len = be32_load(dir->data + at);
        f.ecam = 0xe0000000;
        const struct fw_cfg_item *tables = file(&f, ACPI_FILE_TABLES);
        CHECK_EQ(mcfg_base(tables), 0xe0000000);
        CHECK_EQ(tables->len, len);
        /* After a reset it may be elsewhere. */
        fw_cfg_items_reset(f.items);
        f.ecam = 0;
        CHECK_EQ(mcfg_base(file(&f, ACPI_FILE_TABLES)), FW_ECAM_BASE);
    }
    tear_down(&f);
}

/* As the device does for the guest. */
static void write_file(struct fixture *f, const char *name, uint64_t value)
{
    const struct fw_cfg_item *it = file(f, name);
    uint8_t *at = NULL;

    if (CHECK(it) && CHECK_EQ(fw_cfg_items_writable(f->items, it, 0, 8, &at), 0)) {
        le64_store(at, value);
        it->written(it->ctx, it->data, it->len);
    }
}

static void smi_features_are_chosen(void)
{
    static const char wanted[] = "etc/smi/requested-features", ok[] = "etc/smi/features-ok";
    struct fixture f;

    if (set_up(&f, FW_OVMF)) {
        (void)item(&f, FW_CFG_FILE_DIR);
        CHECK_EQ(le64_load(file(&f, "etc/smi/supported-features")->data), FW_SMI_BROADCAST);
        CHECK_EQ(f.smi, 0);
        write_file(&f, wanted, FW_SMI_BROADCAST);
        CHECK_EQ(f.smi, 0); /* not before it has looked */
        CHECK_EQ(file(&f, ok)->data[0], 1);
        CHECK_EQ(f.smi, FW_SMI_BROADCAST);
        fw_content_reset(f.content);
        fw_cfg_items_reset(f.items);
        CHECK_EQ(f.smi, 0);
        write_file(&f, wanted, 6); /* what there is not */
        CHECK_EQ(file(&f, ok)->data[0], 0);
        CHECK_EQ(f.smi, 0);
    }
    tear_down(&f);
    if (set_up(&f, FW_SEABIOS))
        CHECK(!file(&f, ok));
    tear_down(&f);
}

static void boot_paths(void)
{
    struct buf order = {0};

    fw_boot_order_add(&order, FW_BOOT_DISK, -1, 2, 0);
    fw_boot_order_add(&order, FW_BOOT_NIC, 28, 0, 1);
    CHECK_STR(buf_cstr(&order), "/pci@i0cf8/scsi@2/disk@0,0\n"
                                "/pci@i0cf8/pci-bridge@1c/ethernet@0,1/ethernet-phy@0\n");
    order.len = 0;
    fw_boot_order_add_sata(&order, 25, 11);
    CHECK_STR(buf_cstr(&order), "/pci@i0cf8/pci8086,2922@19/drive@b/disk@0\n");
    buf_free(&order);
}

static void kernel_is_split(void)
{
    static uint8_t kernel[4096];
    struct err err = ERR_INIT;
    struct fixture f;

    if (set_up(&f, FW_OVMF)) {
        CHECK_EQ(fw_content_kernel(f.items, kernel, sizeof kernel, NULL, 0, NULL, &err), -EINVAL);
        memcpy(kernel + 0x202, "HdrS", 4);
        kernel[0x1f1] = 100;
        CHECK_EQ(fw_content_kernel(f.items, kernel, sizeof kernel, NULL, 0, NULL, &err), -EINVAL);
        kernel[0x1f1] = 3;
        kernel[2048] = 0x77;
        kernel[0x1f4] = 2048 / 16 + 1;
        CHECK_EQ(fw_content_kernel(f.items, kernel, sizeof kernel, NULL, 0, NULL, &err), -EINVAL);
        kernel[0x1f4] = 2048 / 16;
        CHECK_EQ(fw_content_kernel(f.items, kernel, sizeof kernel, "ramdisk", 7, "quiet", &err), 0);
        CHECK_EQ(item(&f, FW_CFG_SETUP_DATA)->len, 2048);
        CHECK_EQ(item(&f, FW_CFG_SETUP_DATA)->data[0x210], 0xff); /* who loads it: nobody known */
        CHECK_EQ(item(&f, FW_CFG_KERNEL_DATA)->data[0], 0x77);
        CHECK_EQ(le32_load(item(&f, FW_CFG_KERNEL_SIZE)->data), 2048);
        CHECK_EQ(le32_load(item(&f, FW_CFG_CMDLINE_SIZE)->data), 6);
        CHECK_EQ(le32_load(item(&f, FW_CFG_INITRD_SIZE)->data), 7);
    }
    tear_down(&f);
}

TAP_MAIN(TAP_CASE(items_have_their_layouts), TAP_CASE(without_firmware_there_are_no_tables),
         TAP_CASE(tables_follow_ecam), TAP_CASE(smi_features_are_chosen), TAP_CASE(boot_paths),
         TAP_CASE(kernel_is_split))
