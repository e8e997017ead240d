/* SPDX-License-Identifier: Apache-2.0 */
#include "hostd/ovf/ovf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/parse_num.h"
#include "base/range.h"
#include "hostd/xml/xml.h"

struct reader {
    struct arena *arena;
    struct ovf *ovf;
    struct err *err;
};

static int bad(const struct reader *r, const struct xml_element *at, const char *what)
{
    return err_set(r->err, -EINVAL, "line %u: %s: %s", at->line, at->name, what);
}

static const char *attribute(const struct xml_element *element, const char *name)
{
    const char *value = xml_attribute(element, name);

    return value ? value : "";
}

static bool flag(const struct xml_element *element, const char *name, bool otherwise)
{
    const char *value = xml_attribute(element, name);

    return value ? !strcasecmp(value, "true") || !strcmp(value, "1") : otherwise;
}

/* --- numbers --- */

int ovf_units(const char *text, uint64_t *ret_factor)
{
    static const struct {
        const char *name;
        uint64_t factor;
    } names[] = {{"KiloBytes", KIB(1)}, {"MegaBytes", MIB(1)},   {"GigaBytes", GIB(1)},
                 {"KB", KIB(1)},        {"MB", MIB(1)},          {"GB", GIB(1)},
                 {"bytes", 1},          {"TeraBytes", GIB(1024)}};
    uint64_t power;

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcasecmp(text, names[i].name)) {
            *ret_factor = names[i].factor;
            return 0;
        }
    if (strncasecmp(text, "byte", 4))
        return -EINVAL;
    text += 4 + strspn(text + 4, " ");
    if (!*text) {
        *ret_factor = 1;
        return 0;
    }
    if (*text != '*')
        return -EINVAL;
    text += 1 + strspn(text + 1, " ");
    if (strncmp(text, "2^", 2) || parse_u64(text + 2, 0, 60, &power))
        return -EINVAL;
    *ret_factor = UINT64_C(1) << power;
    return 0;
}

/* "${key}" stands for a property's value. */
static const char *resolve(const struct reader *r, const char *text)
{
    size_t len = strlen(text);

    if (strncmp(text, "${", 2) || !len || text[len - 1] != '}')
        return text;
    for (const struct ovf_property *p = r->ovf->properties; p; p = p->next)
        if (strlen(p->key) == len - 3 && !strncmp(text + 2, p->key, len - 3))
            return p->value;
    return text;
}

static int amount(const struct reader *r, const struct xml_element *at, const char *number,
                  const char *units, uint64_t *ret_bytes)
{
    uint64_t factor = 1, value;

    number = resolve(r, number);
    if (*units && ovf_units(units, &factor))
        return bad(r, at, "a unit that is none");
    if (parse_u64(number, 0, UINT64_MAX, &value) || __builtin_mul_overflow(value, factor, &value))
        return bad(r, at, "a number that is none");
    *ret_bytes = value;
    return 0;
}

/* A number that need not be there. */
static int optional(const struct reader *r, const struct xml_element *at, const char *number,
                    uint64_t *ret_value)
{
    return number && *number ? amount(r, at, number, "", ret_value) : 0;
}

/* --- the package --- */

static int read_files(struct reader *r, const struct xml_element *envelope)
{
    struct ovf_file **end = &r->ovf->files;
    const struct xml_element *e = xml_child(xml_child(envelope, "References"), "File");

    for (; e; e = xml_again(e)) {
        struct ovf_file *file = arena_alloc(r->arena, sizeof *file);
        file->id = attribute(e, "id");
        file->href = attribute(e, "href");
        file->compression = attribute(e, "compression");
        if (!strcmp(file->compression, "identity"))
            file->compression = "";
        if (!*file->id || !*file->href)
            return bad(r, e, "without id or href");
        int rc = optional(r, e, xml_attribute(e, "size"), &file->size);
        rc = rc ? rc : optional(r, e, xml_attribute(e, "chunkSize"), &file->chunk);
        if (rc)
            return rc;
        *end = file;
        end = &file->next;
    }
    return 0;
}

static int read_disks(struct reader *r, const struct xml_element *envelope)
{
    struct ovf_disk **end = &r->ovf->disks;
    const struct xml_element *section = xml_child(envelope, "DiskSection"), *e;

    section = section ? section : xml_child(envelope, "Section");
    for (e = xml_child(section, "Disk"); e; e = xml_again(e)) {
        struct ovf_disk *disk = arena_alloc(r->arena, sizeof *disk);
        disk->id = attribute(e, "diskId");
        disk->file = attribute(e, "fileRef");
        disk->format = attribute(e, "format");
        if (!*disk->id)
            return bad(r, e, "without diskId");
        int rc = amount(r, e, attribute(e, "capacity"), attribute(e, "capacityAllocationUnits"),
                        &disk->capacity);
        rc = rc ? rc : optional(r, e, xml_attribute(e, "populatedSize"), &disk->populated);
        if (rc)
            return rc;
        *end = disk;
        end = &disk->next;
    }
    return 0;
}

static void read_networks(struct reader *r, const struct xml_element *envelope)
{
    struct ovf_network **end = &r->ovf->networks;
    const struct xml_element *e = xml_child(xml_child(envelope, "NetworkSection"), "Network");

    for (; e; e = xml_again(e)) {
        struct ovf_network *network = arena_alloc(r->arena, sizeof *network);
        network->name = attribute(e, "name");
        network->description = xml_text(r->arena, e, "Description");
        *end = network;
        end = &network->next;
    }
}

static void read_options(struct reader *r, const struct xml_element *envelope)
{
    struct ovf_option **end = &r->ovf->options;
    const struct xml_element *e =
        xml_child(xml_child(envelope, "DeploymentOptionSection"), "Configuration");

    for (; e; e = xml_again(e)) {
        struct ovf_option *option = arena_alloc(r->arena, sizeof *option);
        option->id = attribute(e, "id");
        option->label = xml_text(r->arena, e, "Label");
        option->description = xml_text(r->arena, e, "Description");
        option->is_default = flag(e, "default", false);
        *end = option;
        end = &option->next;
    }
}

/* --- the machine --- */

static struct ovf_pair *read_pairs(struct reader *r, const struct xml_element *parent,
                                   const char *name)
{
    struct ovf_pair *first = NULL, **end = &first;

    for (const struct xml_element *e = xml_child(parent, name); e; e = xml_again(e)) {
        struct ovf_pair *pair = arena_alloc(r->arena, sizeof *pair);
        pair->key = attribute(e, "key");
        pair->value = attribute(e, "value");
        pair->required = flag(e, "required", true);
        *end = pair;
        end = &pair->next;
    }
    return first;
}

static void read_product(struct reader *r, const struct xml_element *e)
{
    struct ovf_product *p = arena_alloc(r->arena, sizeof *p);

    if (r->ovf->product)
        return;
    p->class_id = attribute(e, "class");
    p->instance_id = attribute(e, "instance");
    p->name = xml_text(r->arena, e, "Product");
    p->vendor = xml_text(r->arena, e, "Vendor");
    p->version = xml_text(r->arena, e, "Version");
    p->full_version = xml_text(r->arena, e, "FullVersion");
    p->product_url = xml_text(r->arena, e, "ProductUrl");
    p->vendor_url = xml_text(r->arena, e, "VendorUrl");
    p->app_url = xml_text(r->arena, e, "AppUrl");
    r->ovf->product = p;
}

/* Categories stand between the properties that they are of. */
static void read_properties(struct reader *r, const struct xml_element *section)
{
    struct ovf_property **end = &r->ovf->properties;
    const char *category = "";

    while (*end)
        end = &(*end)->next;
    for (const struct xml_element *e = section->first; e; e = e->next) {
        if (!strcmp(e->name, "Category"))
            category = e->text;
        if (strcmp(e->name, "Property") != 0)
            continue;
        struct ovf_property *p = arena_alloc(r->arena, sizeof *p);
        p->key = attribute(e, "key");
        p->class_id = attribute(section, "class");
        p->instance_id = attribute(section, "instance");
        p->category = category;
        p->type = attribute(e, "type");
        p->value = attribute(e, "value");
        if (!*p->value)
            p->value = attribute(xml_child(e, "Value"), "value");
        p->label = xml_text(r->arena, e, "Label");
        p->description = xml_text(r->arena, e, "Description");
        p->user = flag(e, "userConfigurable", false);
        p->password = flag(e, "password", false);
        *end = p;
        end = &p->next;
    }
}

static int read_item(struct reader *r, const struct xml_element *e, struct ovf_item *item)
{
    const char *quantity = xml_text(r->arena, e, "VirtualQuantity");
    const char *address = xml_text(r->arena, e, "Address");
    const char *unit = xml_text(r->arena, e, "AddressOnParent");
    uint64_t number = 0;

    item->line = e->line;
    item->id = xml_text(r->arena, e, "InstanceID");
    if (!*item->id)
        item->id = xml_text(r->arena, e, "InstanceId"); /* 0.9 */
    item->parent = xml_text(r->arena, e, "Parent");
    item->sub_type = xml_text(r->arena, e, "ResourceSubType");
    item->name = xml_text(r->arena, e, "ElementName");
    if (!*item->name)
        item->name = xml_text(r->arena, e, "Caption");
    item->connection = xml_text(r->arena, e, "Connection");
    item->host = xml_text(r->arena, e, "HostResource");
    item->options = attribute(e, "configuration");
    item->required = flag(e, "required", true);
    item->connected = strcasecmp(xml_text(r->arena, e, "AutomaticAllocation"), "false") != 0;
    item->config = read_pairs(r, e, "Config");
    item->address = item->unit = -1;
    if (parse_u64(xml_text(r->arena, e, "ResourceType"), 0, 65535, &number))
        return bad(r, e, "without a ResourceType");
    item->type = (unsigned)number;
    if (*address && parse_u64(address, 0, 255, &number) == 0)
        item->address = (int)number;
    if (*unit && parse_u64(unit, 0, 255, &number) == 0)
        item->unit = (int)number;
    if (parse_u64(xml_text(r->arena, e, "CoresPerSocket"), 1, 1024, &number) == 0)
        item->cores_per_socket = (unsigned)number;
    /* The unit of a CPU is a frequency and means its limit. */
    return *quantity
               ? amount(r, e, quantity,
                        item->type == OVF_MEMORY ? xml_text(r->arena, e, "AllocationUnits") : "",
                        &item->quantity)
               : 0;
}

static bool is_item(const char *name)
{
    return !strcmp(name, "Item") || !strcmp(name, "StorageItem") ||
           !strcmp(name, "EthernetPortItem");
}

static int read_hardware(struct reader *r, const struct xml_element *section)
{
    struct ovf_item **end = &r->ovf->items;

    r->ovf->hardware = xml_text(r->arena, xml_child(section, "System"), "VirtualSystemType");
    r->ovf->transport = attribute(section, "transport");
    r->ovf->config = read_pairs(r, section, "Config");
    r->ovf->extra = read_pairs(r, section, "ExtraConfig");
    for (const struct xml_element *e = section->first; e; e = e->next) {
        if (!is_item(e->name))
            continue;
        struct ovf_item *item = arena_alloc(r->arena, sizeof *item);
        int rc = read_item(r, e, item);
        if (rc)
            return rc;
        *end = item;
        end = &item->next;
    }
    return 0;
}

static void read_system_texts(struct reader *r, const struct xml_element *system)
{
    const struct xml_element *os = xml_child(system, "OperatingSystemSection");
    struct ovf_eula **end = &r->ovf->eulas;
    uint64_t id = 0;

    r->ovf->id = attribute(system, "id");
    r->ovf->name = xml_text(r->arena, system, "Name");
    r->ovf->annotation = xml_text(r->arena, xml_child(system, "AnnotationSection"), "Annotation");
    r->ovf->os_type = attribute(os, "osType");
    r->ovf->os_description = xml_text(r->arena, os, "Description");
    if (os && parse_u64(attribute(os, "id"), 0, 65535, &id) == 0)
        r->ovf->os_id = (int)id;
    for (const struct xml_element *e = xml_child(system, "EulaSection"); e; e = xml_again(e)) {
        struct ovf_eula *eula = arena_alloc(r->arena, sizeof *eula);
        eula->text = xml_text(r->arena, e, "License");
        *end = eula;
        end = &eula->next;
    }
    for (const struct xml_element *e = xml_child(system, "ProductSection"); e; e = xml_again(e)) {
        read_product(r, e);
        read_properties(r, e);
    }
}

static int read_system(struct reader *r, const struct xml_element *system)
{
    const struct xml_element *hardware = xml_child(system, "VirtualHardwareSection");

    return hardware ? read_hardware(r, hardware) : bad(r, system, "no VirtualHardwareSection");
}

/* The machines of the package, also of collections in it. */
static const struct xml_element *find_system(struct reader *r, const struct xml_element *parent)
{
    const struct xml_element *first = NULL;

    for (const struct xml_element *e = parent->first; e; e = e->next) {
        const struct xml_element *found = NULL;
        if (!strcmp(e->name, "VirtualSystem")) {
            r->ovf->systems++;
            found = e;
        } else if (!strcmp(e->name, "VirtualSystemCollection")) {
            r->ovf->collection = true;
            found = find_system(r, e);
        }
        first = first ? first : found;
    }
    return first;
}

int ovf_parse(struct arena *arena, const char *text, struct ovf **ret_ovf, struct err *err)
{
    struct reader r = {.arena = arena, .err = err};
    struct xml_element *envelope;
    size_t len = strlen(text);
    int rc = len > OVF_SIZE_MAX ? err_set(err, -E2BIG, "too large")
                                : xml_parse(arena, text, len, &envelope, err);

    if (rc)
        return rc;
    r.ovf = arena_alloc(arena, sizeof *r.ovf);
    r.ovf->hardware = r.ovf->transport = "";
    if (strcmp(envelope->name, "Envelope") != 0)
        return bad(&r, envelope, "this is no OVF Envelope");
    const struct xml_element *system = find_system(&r, envelope);
    if (!system)
        return bad(&r, envelope, "there is no VirtualSystem");
    read_system_texts(&r, system); /* first: capacities may name properties */
    rc = read_files(&r, envelope);
    rc = rc ? rc : read_disks(&r, envelope);
    rc = rc ? rc : read_system(&r, system);
    if (rc)
        return rc;
    read_networks(&r, envelope);
    read_options(&r, envelope);
    if (arena_exceeded(arena))
        return err_set(err, -E2BIG, "too large");
    *ret_ovf = r.ovf;
    return 0;
}

/* --- look-up --- */

const struct ovf_file *ovf_find_file(const struct ovf *ovf, const char *id)
{
    const struct ovf_file *file = ovf->files;

    while (file && strcmp(file->id, id) != 0)
        file = file->next;
    return file;
}

const struct ovf_disk *ovf_find_disk(const struct ovf *ovf, const char *reference)
{
    const struct ovf_disk *disk = ovf->disks;
    const char *at = strstr(reference, "/disk/");

    reference = at ? at + strlen("/disk/") : reference;
    while (disk && strcmp(disk->id, reference) != 0)
        disk = disk->next;
    return disk;
}

const struct ovf_item *ovf_find_item(const struct ovf *ovf, const char *id)
{
    const struct ovf_item *item = ovf->items;

    while (item && strcmp(item->id, id) != 0)
        item = item->next;
    return item;
}

const char *ovf_default_option(const struct ovf *ovf)
{
    for (const struct ovf_option *o = ovf->options; o; o = o->next)
        if (o->is_default)
            return o->id;
    return ovf->options ? ovf->options->id : "";
}

static bool has_word(const char *words, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = words; len && (at = strstr(at, word)); at += len)
        if ((at == words || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
            return true;
    return false;
}

static bool is_replaced(const struct ovf *ovf, const struct ovf_item *general, const char *option)
{
    for (const struct ovf_item *item = ovf->items; item; item = item->next)
        if (item != general && !strcmp(item->id, general->id) && has_word(item->options, option))
            return true;
    return false;
}

int ovf_choose_option(struct ovf *ovf, const char *option)
{
    const struct ovf_option *known = ovf->options;
    struct ovf_item *kept = NULL, **end = &kept;

    if (!option || !*option)
        option = ovf_default_option(ovf);
    while (known && strcmp(known->id, option) != 0)
        known = known->next;
    if (*option && !known)
        return -ENOENT;
    for (struct ovf_item *item = ovf->items, *next; item; item = next) {
        next = item->next;
        if (*item->options ? !has_word(item->options, option) : is_replaced(ovf, item, option))
            continue;
        /* What is left out keeps its `next`, so the list stays whole while it is walked. */
        *end = item;
        end = &item->next;
    }
    *end = NULL;
    ovf->items = kept;
    return 0;
}
