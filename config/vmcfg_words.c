/* SPDX-License-Identifier: Apache-2.0 */
/* How the values of a VM's description are spelled: words, MAC addresses, UUIDs, and the sizes of
 * the buses. The spelling is VMware's where VMware has the thing, with ours accepted beside it. */
#include "config/vmcfg.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/range.h"

static const char *const engine_words[VMCFG_ENGINE_MAX] = {"auto", "kvm", "bt"};
static const char *const firmware_words[VMCFG_FIRMWARE_MAX] = {"auto", "uefi", "bios", "none"};
static const char *const bus_words[VMCFG_BUS_MAX] = {"virtio", "scsi", "sata", "nvme", "ide"};
static const char *const format_words[VMCFG_FORMAT_MAX] = {"auto", "raw", "vmdk"};
static const char *const model_words[VMCFG_NIC_MODEL_MAX] = {"virtio", "vmxnet3", "e1000", "e1000e",
                                                             "vlance"};

/* Maxima of ESXi 8; a virtio disk is a PCI function of its own, so one "controller" has them all.
 */
static const struct {
    unsigned controllers, units;
} buses[VMCFG_BUS_MAX] = {
    [VMCFG_BUS_VIRTIO] = {1, VMCFG_DISKS_MAX},
    [VMCFG_BUS_SCSI] = {4, 64},
    [VMCFG_BUS_SATA] = {4, 30},
    [VMCFG_BUS_NVME] = {4, 64},
    [VMCFG_BUS_IDE] = {2, 2},
};

static int find_word(const char *const *words, unsigned count, const char *word)
{
    for (unsigned i = 0; word && i < count; i++)
        if (!strcasecmp(words[i], word))
            return (int)i;
    return -EINVAL;
}

#define WORD_PARSE(words, word, ret)                        \
    ({                                                      \
        int i_ = find_word(words, ARRAY_SIZE(words), word); \
        if (i_ >= 0)                                        \
            *(ret) = (__typeof__(*(ret)))i_;                \
        i_ < 0 ? i_ : 0;                                    \
    })

int vmcfg_engine_parse(const char *word, enum vmcfg_engine *ret_engine)
{
    return WORD_PARSE(engine_words, word, ret_engine);
}

int vmcfg_firmware_parse(const char *word, enum vmcfg_firmware *ret_firmware)
{
    if (word && !strcasecmp(word, "efi"))
        word = "uefi";
    if (word && !strcasecmp(word, "auto"))
        return -EINVAL;
    return WORD_PARSE(firmware_words, word, ret_firmware);
}

int vmcfg_bus_parse(const char *word, enum vmcfg_bus *ret_bus)
{
    return WORD_PARSE(bus_words, word, ret_bus);
}

int vmcfg_disk_format_parse(const char *word, enum vmcfg_disk_format *ret_format)
{
    return WORD_PARSE(format_words, word, ret_format);
}

int vmcfg_nic_model_parse(const char *word, enum vmcfg_nic_model *ret_model)
{
    if (word && !strcasecmp(word, "vmxnet"))
        word = "vlance"; /* the "flexible" adapter is both */
    return WORD_PARSE(model_words, word, ret_model);
}

const char *vmcfg_engine_word(enum vmcfg_engine engine)
{
    return engine_words[engine];
}

const char *vmcfg_firmware_word(enum vmcfg_firmware firmware)
{
    return firmware_words[firmware];
}

const char *vmcfg_bus_word(enum vmcfg_bus bus)
{
    return bus_words[bus];
}

const char *vmcfg_disk_format_word(enum vmcfg_disk_format format)
{
    return format_words[format];
}

const char *vmcfg_nic_model_word(enum vmcfg_nic_model model)
{
    return model_words[model];
}

enum vmcfg_disk_format vmcfg_disk_format_default(const struct vmcfg_disk *disk)
{
    const char *dot = disk->file ? strrchr(disk->file, '.') : NULL;

    if (disk->cdrom)
        return VMCFG_FORMAT_RAW;
    if (!dot)
        return VMCFG_FORMAT_PROBE;
    if (!strcasecmp(dot, ".vmdk"))
        return VMCFG_FORMAT_VMDK;
    if (!strcasecmp(dot, ".raw") || !strcasecmp(dot, ".img") || !strcasecmp(dot, ".iso"))
        return VMCFG_FORMAT_RAW;
    return VMCFG_FORMAT_PROBE;
}

unsigned vmcfg_bus_controllers(enum vmcfg_bus bus)
{
    return buses[bus].controllers;
}

unsigned vmcfg_bus_units(enum vmcfg_bus bus)
{
    return buses[bus].units;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Two hex digits at *text, which it moves on. */
static int hex_byte(const char **text, uint8_t *ret_byte)
{
    int high = hex_digit((*text)[0]), low = high < 0 ? -1 : hex_digit((*text)[1]);

    if (low < 0)
        return -EINVAL;
    *ret_byte = (uint8_t)(high << 4 | low);
    *text += 2;
    return 0;
}

int vmcfg_mac_parse(const char *text, uint8_t ret_mac[6])
{
    uint8_t mac[6];

    if (!text)
        return -EINVAL;
    for (unsigned i = 0; i < 6; i++) {
        if (i && *text != ':' && *text != '-')
            return -EINVAL;
        text += i > 0;
        if (hex_byte(&text, &mac[i]) < 0)
            return -EINVAL;
    }
    if (*text)
        return -EINVAL;
    memcpy(ret_mac, mac, sizeof mac);
    return 0;
}

void vmcfg_mac_format(const uint8_t mac[6], char text[VMCFG_MAC_TEXT])
{
    (void)snprintf(text, VMCFG_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
                   mac[3], mac[4], mac[5]);
}

int vmcfg_uuid_parse(const char *text, uint8_t ret_uuid[16])
{
    uint8_t uuid[16];

    if (!text)
        return -EINVAL;
    for (unsigned i = 0; i < 16; i++) {
        if (i && (*text == ' ' || *text == '-'))
            text++;
        if (hex_byte(&text, &uuid[i]) < 0)
            return -EINVAL;
    }
    if (*text)
        return -EINVAL;
    memcpy(ret_uuid, uuid, sizeof uuid);
    return 0;
}

void vmcfg_uuid_format(const uint8_t uuid[16], char text[VMCFG_UUID_TEXT])
{
    for (unsigned i = 0; i < 16; i++) {
        const char *gap = i == 15 ? "" : i == 7 ? "-" : " ";
        (void)snprintf(text + 3 * i, VMCFG_UUID_TEXT - 3 * i, "%02x%s", uuid[i], gap);
    }
}
