/* SPDX-License-Identifier: Apache-2.0 */
/* An OVF descriptor (DSP0243, versions 0.9 to 2.x, as VMware's and other products write it), read
 * into plain structs: what files there are, which disks, networks and deployment options, and one
 * virtual machine.
 *
 * A descriptor is foreign. Everything it says is a text or a checked number, lists are linked and
 * bounded by the XML's own limits, references are resolved by look-up and may fail. All of it lives
 * in the arena. Strings are never NULL unless said.
 *
 * Deliberately missing: several machines in one package (`systems` counts them; only the first is
 * read), message bundles in files (the texts in the descriptor itself are taken). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum { OVF_SIZE_MAX = 8 << 20, OVF_MEMORY_MAX = 64 << 20 };

/* CIM's numbers of devices, as far as packages have them. */
enum ovf_resource {
    OVF_OTHER = 1,
    OVF_CPU = 3,
    OVF_MEMORY = 4,
    OVF_IDE = 5,
    OVF_SCSI = 6,
    OVF_ETHERNET = 10,
    OVF_FLOPPY = 14,
    OVF_CD = 15,
    OVF_DVD = 16,
    OVF_DISK = 17,
    OVF_STORAGE = 20, /* SATA, NVMe */
    OVF_SERIAL = 21,
    OVF_PARALLEL = 22,
    OVF_USB = 23,
    OVF_VIDEO = 24,
    OVF_SOUND = 35,
};

struct ovf_file {
    const char *id, *href, *compression; /* compression: "" none, "gzip" */
    uint64_t size, chunk;                /* 0: not said */
    struct ovf_file *next;
};

struct ovf_disk {
    const char *id, *file, *format; /* file: "" none */
    uint64_t capacity, populated;   /* bytes */
    struct ovf_disk *next;
};

struct ovf_network {
    const char *name, *description;
    struct ovf_network *next;
};

struct ovf_option {
    const char *id, *label, *description;
    bool is_default;
    struct ovf_option *next;
};

struct ovf_pair {
    const char *key, *value;
    bool required;
    struct ovf_pair *next;
};

struct ovf_item {
    unsigned type; /* enum ovf_resource, or another */
    unsigned line;
    const char *id, *parent, *sub_type, *name, *connection, *host; /* "": not said */
    const char *options; /* the deployment options that it is for, or "" */
    int address, unit;   /* of a controller; on its parent. -1: not said */
    uint64_t quantity;   /* in bytes where the item has units */
    unsigned cores_per_socket;
    bool required, connected;
    struct ovf_pair *config; /* vmw:Config */
    struct ovf_item *next;
};

struct ovf_property {
    const char *key, *class_id, *instance_id, *category, *type, *value, *label, *description;
    bool user, password;
    struct ovf_property *next;
};

struct ovf_product {
    const char *class_id, *instance_id, *name, *vendor, *version, *full_version, *product_url,
        *vendor_url, *app_url;
};

struct ovf_eula {
    const char *text;
    struct ovf_eula *next;
};

struct ovf {
    struct ovf_file *files;
    struct ovf_disk *disks;
    struct ovf_network *networks;
    struct ovf_option *options;
    unsigned systems; /* how many machines the package has */
    bool collection;

    /* Of the first. */
    const char *id, *name, *annotation, *os_type, *os_description;
    int os_id;
    const char *hardware;  /* "vmx-13 vmx-14" */
    const char *transport; /* "com.vmware.guestInfo iso" */
    struct ovf_item *items;
    struct ovf_pair *config, *extra; /* vmw:Config and vmw:ExtraConfig of the machine */
    struct ovf_product *product;     /* NULL: none */
    struct ovf_property *properties;
    struct ovf_eula *eulas;
};

/* -EINVAL with the line and what is wrong there. */
int ovf_parse(struct arena *arena, const char *text, struct ovf **ret_ovf, struct err *err);

const struct ovf_file *ovf_find_file(const struct ovf *ovf, const char *id);
/* By id, or by the "ovf:/disk/ID" that an item says. */
const struct ovf_disk *ovf_find_disk(const struct ovf *ovf, const char *reference);
const struct ovf_item *ovf_find_item(const struct ovf *ovf, const char *id);

/* The option that counts when the client says none; "" if the package has none. */
const char *ovf_default_option(const struct ovf *ovf);
/* The items that count under an option: those for it take the place of those of the same id that
 * are for all. Leaves `ovf` with these alone. -ENOENT: there is no such option. */
int ovf_choose_option(struct ovf *ovf, const char *option);

/* "byte * 2^20", "MegaBytes" ... as a factor; -EINVAL. */
int ovf_units(const char *text, uint64_t *ret_factor);
